# Configures, builds and runs the consumer. cmake -DHOW=find_package|pkg_config|add_subdirectory
# -DMILGEN= -DPREFIX= -DLIBDIR= -DWORK= -DCOMPILER= -DFLAGS= -DBUILD_TYPE= -DBUILD_TYPE_FLAGS=
# -DNINJA= -DWARNINGS= -DWARNINGS_AS_ERRORS= -P
cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")
# A copy, so that nothing works merely because milgen's tree surrounds it.
file(COPY "${MILGEN}/tests/consumer/" DESTINATION "${WORK}/source")
# The program is the one that the README shows.
file(COPY_FILE "${MILGEN}/tools/examples/swiglu.cpp" "${WORK}/source/main.cpp")

if(HOW STREQUAL "pkg_config")
  find_program(pkg_config NAMES pkg-config pkgconf)
  if(NOT pkg_config)
    message("SKIPPED: there is no pkg-config here")
    return()
  endif()
  cmake_path(CONVERT "$ENV{PKG_CONFIG_PATH}" TO_CMAKE_PATH_LIST search)
  list(PREPEND search "${PREFIX}/${LIBDIR}/pkgconfig")
  cmake_path(CONVERT "${search}" TO_NATIVE_PATH_LIST search)
  set(ENV{PKG_CONFIG_PATH} "${search}")
  execute_process(
    COMMAND "${pkg_config}" --cflags --libs milgen
    OUTPUT_VARIABLE milgen_flags COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(milgen_flags UNIX_COMMAND "${milgen_flags}")
  separate_arguments(flags UNIX_COMMAND "${FLAGS} ${BUILD_TYPE_FLAGS}")
  execute_process(
    COMMAND "${COMPILER}" -std=c++20 ${flags} "${WORK}/source/main.cpp" ${milgen_flags} -o
            "${WORK}/consumer" COMMAND_ERROR_IS_FATAL ANY)
else()
  if(HOW STREQUAL "find_package")
    set(milgen_options "-DCMAKE_PREFIX_PATH=${PREFIX}")
  else()
    # The warnings change nothing here, but make this the same compiler call as milgen's own
    # build, whose result ccache then has.
    set(milgen_options "-DMILGEN_DIR=${MILGEN}" -DMILGEN_CCACHE=ON "-DMILGEN_WARNINGS=${WARNINGS}"
                       "-DMILGEN_WARNINGS_AS_ERRORS=${WARNINGS_AS_ERRORS}")
  endif()
  string(TOUPPER "${BUILD_TYPE}" type)
  execute_process(
    COMMAND
      "${CMAKE_COMMAND}" -G Ninja "-DCMAKE_MAKE_PROGRAM=${NINJA}" -S "${WORK}/source" -B "${WORK}"
      "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DCMAKE_CXX_FLAGS=${FLAGS}"
      "-DCMAKE_BUILD_TYPE=${BUILD_TYPE}" "-DCMAKE_CXX_FLAGS_${type}=${BUILD_TYPE_FLAGS}"
      ${milgen_options} COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND "${CMAKE_COMMAND}" --build "${WORK}" COMMAND_ERROR_IS_FATAL ANY)
endif()

# Only a shared milgen needs it; pkg-config knows nothing of run paths.
foreach(variable LD_LIBRARY_PATH DYLD_LIBRARY_PATH)
  set(ENV{${variable}} "${PREFIX}/${LIBDIR}:$ENV{${variable}}")
endforeach()
# run(<exit code> <what its output has to match> ARG...)
function(run code pattern)
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env --unset=CI "${WORK}/consumer" ${ARGN}
    WORKING_DIRECTORY "${WORK}"
    RESULT_VARIABLE result
    OUTPUT_VARIABLE output
    ERROR_VARIABLE output)
  list(JOIN ARGN " " command)
  if(NOT result EQUAL ${code} OR NOT output MATCHES "${pattern}")
    message(FATAL_ERROR "consumer ${command}: exit code ${result}, not ${code}, or no '${pattern}' "
                        "in\n${output}")
  endif()
endfunction()

# A user's kernel, emitted and put under golden test by the user's own command.
run(0 "swiglu.mil" emit swiglu dim=128 -o out)
file(READ "${WORK}/out/swiglu.mil" text)
if(NOT text MATCHES "tensor<fp16, \\[1, 128, 1, 32\\]> y = add")
  message(FATAL_ERROR "out/swiglu.mil does not end in the kernel's sum:\n${text}")
endif()
file(SIZE "${WORK}/out/weights/w1.bin" size)
if(NOT size EQUAL 41088) # 128 + 160 * 128 * 2
  message(FATAL_ERROR "out/weights/w1.bin has ${size} bytes, not 41088")
endif()
run(1 "check --accept mine" check mine)
run(0 "swiglu" check mine --accept)
run(0 "all match" check mine)
set(golden "${WORK}/mine/kernels/mine/swiglu.small.mil")
file(READ "${golden}" text)
string(REPLACE "silu(" "relu(" text "${text}")
file(WRITE "${golden}" "${text}")
run(3 "silu.*to accept: consumer check --accept" check mine)
