// Tensor transformations: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_batch_to_space(OpRun& run);
bool run_depth_to_space(OpRun& run);
bool run_pixel_shuffle(OpRun& run);
bool run_pixel_unshuffle(OpRun& run);
bool run_reverse(OpRun& run);
bool run_reverse_sequence(OpRun& run);
/// Every op whose result is x's elements in their order.
bool run_same_elements(OpRun& run);
bool run_slice_by_index(OpRun& run);
bool run_slice_by_size(OpRun& run);
bool run_slice_update(OpRun& run);
bool run_sliding_windows(OpRun& run);
bool run_space_to_batch(OpRun& run);
bool run_space_to_depth(OpRun& run);
bool run_transpose(OpRun& run);

inline constexpr KernelRow kTensorTransformationKernels[] = {
    {.code = OpCode::batch_to_space, .kernel = run_batch_to_space},
    {.code = OpCode::depth_to_space, .kernel = run_depth_to_space},
    {.code = OpCode::expand_dims, .kernel = run_same_elements, .flags = KernelFlags::alias},
    {.code = OpCode::pixel_shuffle, .kernel = run_pixel_shuffle},
    {.code = OpCode::pixel_unshuffle, .kernel = run_pixel_unshuffle},
    {.code = OpCode::reshape, .kernel = run_same_elements, .flags = KernelFlags::alias},
    {.code = OpCode::reshape_like, .kernel = run_same_elements, .flags = KernelFlags::alias},
    {.code = OpCode::reverse, .kernel = run_reverse},
    {.code = OpCode::reverse_sequence, .kernel = run_reverse_sequence},
    {.code = OpCode::slice_by_index, .kernel = run_slice_by_index},
    {.code = OpCode::slice_by_size, .kernel = run_slice_by_size},
    {.code = OpCode::slice_update, .kernel = run_slice_update, .flags = KernelFlags::in_place},
    {.code = OpCode::sliding_windows, .kernel = run_sliding_windows},
    {.code = OpCode::space_to_batch, .kernel = run_space_to_batch},
    {.code = OpCode::space_to_depth, .kernel = run_space_to_depth},
    {.code = OpCode::squeeze, .kernel = run_same_elements, .flags = KernelFlags::alias},
    {.code = OpCode::transpose, .kernel = run_transpose},
};

}  // namespace milgen::cpu
