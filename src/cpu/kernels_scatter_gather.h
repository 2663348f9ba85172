// Gather and scatter: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_gather(OpRun& run);
bool run_gather_along_axis(OpRun& run);
bool run_gather_nd(OpRun& run);
bool run_scatter(OpRun& run);
bool run_scatter_along_axis(OpRun& run);
bool run_scatter_nd(OpRun& run);

inline constexpr KernelRow kScatterGatherKernels[] = {
    {.code = OpCode::gather, .kernel = run_gather},
    {.code = OpCode::gather_along_axis, .kernel = run_gather_along_axis},
    {.code = OpCode::gather_nd, .kernel = run_gather_nd},
    {.code = OpCode::scatter, .kernel = run_scatter, .flags = KernelFlags::in_place},
    {.code = OpCode::scatter_along_axis,
     .kernel = run_scatter_along_axis,
     .flags = KernelFlags::in_place},
    {.code = OpCode::scatter_nd, .kernel = run_scatter_nd, .flags = KernelFlags::in_place},
};

}  // namespace milgen::cpu
