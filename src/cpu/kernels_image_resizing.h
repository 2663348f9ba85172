// Image resizing: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_affine(OpRun& run);
bool run_crop(OpRun& run);
bool run_crop_resize(OpRun& run);
bool run_resample(OpRun& run);
bool run_resize(OpRun& run);
bool run_resize_bilinear(OpRun& run);
bool run_resize_nearest_neighbor(OpRun& run);
bool run_upsample_bilinear(OpRun& run);
bool run_upsample_nearest_neighbor(OpRun& run);

inline constexpr KernelRow kImageResizingKernels[] = {
    {.code = OpCode::affine, .kernel = run_affine},
    {.code = OpCode::crop, .kernel = run_crop},
    {.code = OpCode::crop_resize, .kernel = run_crop_resize},
    {.code = OpCode::resample, .kernel = run_resample},
    {.code = OpCode::resize, .kernel = run_resize},
    {.code = OpCode::resize_bilinear, .kernel = run_resize_bilinear},
    {.code = OpCode::resize_nearest_neighbor, .kernel = run_resize_nearest_neighbor},
    {.code = OpCode::upsample_bilinear, .kernel = run_upsample_bilinear},
    {.code = OpCode::upsample_nearest_neighbor, .kernel = run_upsample_nearest_neighbor},
};

}  // namespace milgen::cpu
