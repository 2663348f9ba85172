// Convolution and pooling: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_avg_pool(OpRun& run);
bool run_conv(OpRun& run);
bool run_conv_quantized(OpRun& run);
bool run_conv_transpose(OpRun& run);
bool run_l2_pool(OpRun& run);
bool run_max_pool(OpRun& run);

inline constexpr KernelRow kConvKernels[] = {
    {.code = OpCode::avg_pool, .kernel = run_avg_pool},
    {.code = OpCode::conv, .kernel = run_conv},
    {.code = OpCode::conv_quantized, .kernel = run_conv_quantized},
    {.code = OpCode::conv_transpose, .kernel = run_conv_transpose},
    {.code = OpCode::l2_pool, .kernel = run_l2_pool},
    {.code = OpCode::max_pool, .kernel = run_max_pool},
};

}  // namespace milgen::cpu
