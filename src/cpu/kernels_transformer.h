// Attention: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_scaled_dot_product_attention(OpRun& run);

inline constexpr KernelRow kTransformerKernels[] = {
    {.code = OpCode::scaled_dot_product_attention, .kernel = run_scaled_dot_product_attention},
};

}  // namespace milgen::cpu
