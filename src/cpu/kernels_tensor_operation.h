// Tensor operations: which function executes which op.
#pragma once

#include "cpu/kernel.h"
#include "cpu/kernels_tensor_transformation.h"

namespace milgen::cpu {

bool run_argsort(OpRun& run);
bool run_band_part(OpRun& run);
bool run_concat(OpRun& run);
bool run_cumsum(OpRun& run);
/// fill and fill_like.
bool run_fill(OpRun& run);
bool run_non_maximum_suppression(OpRun& run);
bool run_non_zero(OpRun& run);
bool run_one_hot(OpRun& run);
bool run_pad(OpRun& run);
bool run_range_1d(OpRun& run);
bool run_shape(OpRun& run);
bool run_split(OpRun& run);
bool run_stack(OpRun& run);
bool run_tile(OpRun& run);
bool run_topk(OpRun& run);

inline constexpr KernelRow kTensorOperationKernels[] = {
    {.code = OpCode::argsort, .kernel = run_argsort},
    {.code = OpCode::band_part, .kernel = run_band_part, .flags = KernelFlags::in_place},
    {.code = OpCode::concat, .kernel = run_concat},
    {.code = OpCode::cumsum, .kernel = run_cumsum, .flags = KernelFlags::in_place},
    {.code = OpCode::fill, .kernel = run_fill},
    {.code = OpCode::fill_like, .kernel = run_fill},
    {.code = OpCode::flatten2d, .kernel = run_same_elements, .flags = KernelFlags::alias},
    {.code = OpCode::identity, .kernel = run_same_elements, .flags = KernelFlags::alias},
    {.code = OpCode::non_maximum_suppression, .kernel = run_non_maximum_suppression},
    {.code = OpCode::non_zero, .kernel = run_non_zero},
    {.code = OpCode::one_hot, .kernel = run_one_hot},
    {.code = OpCode::pad, .kernel = run_pad},
    {.code = OpCode::range_1d, .kernel = run_range_1d},
    {.code = OpCode::shape, .kernel = run_shape},
    {.code = OpCode::split, .kernel = run_split},
    {.code = OpCode::stack, .kernel = run_stack},
    {.code = OpCode::tile, .kernel = run_tile},
    {.code = OpCode::topk, .kernel = run_topk},
};

}  // namespace milgen::cpu
