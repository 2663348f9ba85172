// Control flow, lists, states and classify: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

/// They need blocks, lists, states or dictionaries, which kernels do not see (control_flow.cpp).
inline constexpr std::string_view kByExecutor = "done by the executor itself";

inline constexpr KernelRow kControlFlowKernels[] = {
    {.code = OpCode::classify, .reason = kByExecutor, .by_executor = true},
    {.code = OpCode::cond, .reason = kByExecutor, .by_executor = true},
    {.code = OpCode::const_,
     .reason = "a value of the program, which is there before it runs",
     .by_executor = true},
    {.code = OpCode::coreml_update_state, .reason = kByExecutor, .by_executor = true},
    {.code = OpCode::list_gather, .reason = kByExecutor, .by_executor = true},
    {.code = OpCode::list_length, .reason = kByExecutor, .by_executor = true},
    {.code = OpCode::list_read, .reason = kByExecutor, .by_executor = true},
    {.code = OpCode::list_scatter, .reason = kByExecutor, .by_executor = true},
    {.code = OpCode::list_write, .reason = kByExecutor, .by_executor = true},
    {.code = OpCode::make_list, .reason = kByExecutor, .by_executor = true},
    {.code = OpCode::read_state, .reason = kByExecutor, .by_executor = true},
    {.code = OpCode::while_loop, .reason = kByExecutor, .by_executor = true},
    {.code = OpCode::write_state, .reason = kByExecutor, .by_executor = true},
};

}  // namespace milgen::cpu
