include_guard(GLOBAL)

# Nothing is downloaded while configuring: every dependency is a package of the system, and
# tools/milc and tools/test install what is missing.
macro(milgen_require package debian_package)
  find_package(${package} ${ARGN})
  if(NOT ${package}_FOUND)
    message(FATAL_ERROR "milgen needs ${package}, which was not found "
                        "(Debian and Ubuntu: apt-get install ${debian_package})")
  endif()
endmacro()

milgen_require(fmt libfmt-dev CONFIG)
milgen_require(nlohmann_json nlohmann-json3-dev CONFIG)
if(MILGEN_BUILD_CPU)
  milgen_require(CLI11 libcli11-dev CONFIG)
  milgen_require(hwy libhwy-dev CONFIG)
endif()
# macOS has SHA-256 in libSystem.
if(NOT APPLE)
  milgen_require(OpenSSL libssl-dev COMPONENTS Crypto)
endif()
set(THREADS_PREFER_PTHREAD_FLAG ON)
milgen_require(Threads libc6-dev)
if(MILGEN_BUILD_TESTS)
  milgen_require(doctest doctest-dev CONFIG)
  milgen_require(ZLIB zlib1g-dev)
endif()

# The CBLAS library is loaded when it is first used, so that only its file is of interest; without
# one milgen uses its own products alone.
set(MILGEN_BLAS_LIBRARY "")
if(NOT MILGEN_BUILD_CPU)
  # Nothing multiplies.
elseif(APPLE)
  set(MILGEN_BLAS_LIBRARY "/System/Library/Frameworks/Accelerate.framework/Accelerate")
else()
  find_package(OpenBLAS CONFIG QUIET)
  set(blas_files ${OpenBLAS_LIBRARIES})
  if(NOT blas_files)
    find_package(BLAS QUIET)
    set(blas_files ${BLAS_LIBRARIES})
  endif()
  list(FILTER blas_files INCLUDE REGEX "\\.so")
  if(blas_files)
    list(GET blas_files 0 MILGEN_BLAS_LIBRARY)
    cmake_path(NORMAL_PATH MILGEN_BLAS_LIBRARY)
  endif()
endif()
