// Quantised and compressed values: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_constexpr_affine_dequantize(OpRun& run);
bool run_constexpr_blockwise_shift_scale(OpRun& run);
bool run_constexpr_cast(OpRun& run);
bool run_constexpr_lut_to_dense(OpRun& run);
bool run_constexpr_lut_to_sparse(OpRun& run);
bool run_constexpr_sparse_blockwise_shift_scale(OpRun& run);
bool run_constexpr_sparse_to_dense(OpRun& run);
bool run_dequantize(OpRun& run);
bool run_quantize(OpRun& run);

inline constexpr KernelRow kQuantizationKernels[] = {
    {.code = OpCode::constexpr_affine_dequantize, .kernel = run_constexpr_affine_dequantize},
    {.code = OpCode::constexpr_blockwise_shift_scale,
     .kernel = run_constexpr_blockwise_shift_scale},
    {.code = OpCode::constexpr_cast, .kernel = run_constexpr_cast},
    {.code = OpCode::constexpr_lut_to_dense, .kernel = run_constexpr_lut_to_dense},
    {.code = OpCode::constexpr_lut_to_sparse, .kernel = run_constexpr_lut_to_sparse},
    {.code = OpCode::constexpr_sparse_blockwise_shift_scale,
     .kernel = run_constexpr_sparse_blockwise_shift_scale},
    {.code = OpCode::constexpr_sparse_to_dense, .kernel = run_constexpr_sparse_to_dense},
    {.code = OpCode::dequantize, .kernel = run_dequantize},
    {.code = OpCode::quantize, .kernel = run_quantize},
};

}  // namespace milgen::cpu
