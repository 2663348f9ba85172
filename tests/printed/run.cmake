# Holds what a program that was printed by `milc print --as=cpp` emits against the text that it was
# printed from. cmake -DPROGRAM= -DMILC= -DTEXT= -DWORK= -DEXACT=ON|OFF -P
cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")
execute_process(COMMAND "${PROGRAM}" completion kernels OUTPUT_VARIABLE kernel
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${PROGRAM}" emit "${kernel}" OUTPUT_FILE "${WORK}/${kernel}.mil"
                ERROR_VARIABLE error RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "emit ${kernel}: exit code ${result}\n${error}")
endif()
if(EXACT)
  set(compare "${CMAKE_COMMAND}" -E compare_files "${TEXT}" "${WORK}/${kernel}.mil")
else()
  set(compare "${MILC}" diff "${TEXT}" "${WORK}/${kernel}.mil")
endif()
execute_process(COMMAND ${compare} RESULT_VARIABLE result OUTPUT_VARIABLE output
                ERROR_VARIABLE output)
if(NOT result EQUAL 0)
  execute_process(COMMAND "${MILC}" diff "${TEXT}" "${WORK}/${kernel}.mil" OUTPUT_VARIABLE output)
  message(FATAL_ERROR "${WORK}/${kernel}.mil is not ${TEXT}\n${output}")
endif()
