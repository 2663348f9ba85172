# Checks one snippet that must not compile: cmake -DSNIPPET= -DCOMPILER= -DCOMPILER_ID= -DINCLUDE= -P
#
# To add a snippet, write tests/compile_fail/NAME.cpp and add it to tests/CMakeLists.txt. Its first
# lines say what the compiler's message must contain, as CMake regular expressions:
#
#   // expect: REGEX          every compiler
#   // expect-gcc: REGEX      g++ alone
#   // expect-clang: REGEX    clang alone
#
# All that apply must match; a long message takes several lines, since clang-format wraps long
# ones. The part under #ifdef FAIL is the mistake: without it the snippet has to compile, or else it
# would go on "failing" for some other reason.
cmake_minimum_required(VERSION 3.25)

# Other languages translate the messages, and other encodings have other quotes.
set(ENV{LC_ALL} C)
set(command "${COMPILER}" -std=c++20 -fsyntax-only "-I${INCLUDE}" "${SNIPPET}")
execute_process(COMMAND ${command} RESULT_VARIABLE code ERROR_VARIABLE message)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "The correct variant of ${SNIPPET} does not compile:\n${message}")
endif()

execute_process(COMMAND ${command} -DFAIL RESULT_VARIABLE code ERROR_VARIABLE message)
if(code EQUAL 0)
  message(FATAL_ERROR "The failing variant of ${SNIPPET} compiles")
endif()

if(COMPILER_ID STREQUAL "GNU")
  set(compiler gcc)
else()
  set(compiler clang)
endif()
file(STRINGS "${SNIPPET}" lines REGEX "^// expect(-gcc|-clang)?: ")
set(checked 0)
foreach(line IN LISTS lines)
  if(NOT line MATCHES "^// expect(-${compiler})?: (.*)$")
    continue()
  endif()
  math(EXPR checked "${checked} + 1")
  set(wanted "${CMAKE_MATCH_2}")
  if(NOT message MATCHES "${wanted}")
    message(FATAL_ERROR "The message for ${SNIPPET} does not match '${wanted}':\n${message}")
  endif()
endforeach()
if(checked EQUAL 0)
  message(FATAL_ERROR "${SNIPPET} does not say what ${compiler}'s message contains")
endif()
