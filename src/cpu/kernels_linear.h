// Products: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_einsum(OpRun& run);
bool run_linear(OpRun& run);
bool run_matmul(OpRun& run);

inline constexpr KernelRow kLinearKernels[] = {
    {.code = OpCode::einsum, .kernel = run_einsum},
    {.code = OpCode::linear, .kernel = run_linear},
    {.code = OpCode::matmul, .kernel = run_matmul},
};

}  // namespace milgen::cpu
