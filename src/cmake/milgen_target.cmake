include_guard(GLOBAL)
include(CheckIPOSupported)

if(MILGEN_CCACHE)
  find_program(MILGEN_CCACHE_PROGRAM ccache)
  mark_as_advanced(MILGEN_CCACHE_PROGRAM)
endif()

if(MILGEN_LTO)
  check_ipo_supported(LANGUAGES CXX)
endif()

# What every target of this repository is compiled with. All of it is private to the target, so
# that none of it reaches a project that links to milgen.
function(milgen_configure_target target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  # Messages and tests show the source file of an op; this makes them the same in every checkout.
  target_compile_options(${target} PRIVATE "-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=")
  if(MILGEN_WARNINGS)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      # False alarms on concatenated std::strings when optimising: GCC bug 105651.
      target_compile_options(${target} PRIVATE -Wno-restrict)
    endif()
    if(MILGEN_WARNINGS_AS_ERRORS)
      target_compile_options(${target} PRIVATE -Werror)
    endif()
  endif()
  if(MILGEN_CCACHE_PROGRAM)
    set_target_properties(${target} PROPERTIES CXX_COMPILER_LAUNCHER "${MILGEN_CCACHE_PROGRAM}")
  endif()
  if(MILGEN_LTO)
    set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION ON)
  endif()
endfunction()
