# Toolchain file: macOS, by `zig c++`, which brings the headers of the C library and of libc++, its
# own libc++ as a static library, and the list of libSystem's symbols; no other header or library of
# Apple's. tools/check_macos.sh uses it.
#
#   MILGEN_ZIG      the program zig; default: the one in PATH
#   MILGEN_ZIG_CPU  aarch64 or x86_64
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR ${MILGEN_ZIG_CPU})
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MILGEN_ZIG MILGEN_ZIG_CPU)
find_program(MILGEN_ZIG zig REQUIRED)
set(CMAKE_CXX_COMPILER "${MILGEN_ZIG}" c++ -target ${MILGEN_ZIG_CPU}-macos.13.0)
if(MILGEN_ZIG_CPU STREQUAL "x86_64")
  # zig names every feature that its target does not have, this one too; then a function for
  # AVX-512 cannot have vectors of 512 bits. With it alone no other function uses them.
  set(CMAKE_CXX_FLAGS_INIT "-Xclang -target-feature -Xclang +evex512")
endif()

# zig is the archiver, too. Nothing is installed, so no names are changed.
set(CMAKE_AR "${MILGEN_ZIG}")
set(CMAKE_CXX_ARCHIVE_CREATE "<CMAKE_AR> ar qc <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "<CMAKE_AR> ar q <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "<CMAKE_AR> ranlib <TARGET>")
set(CMAKE_INSTALL_NAME_TOOL "/bin/false")
