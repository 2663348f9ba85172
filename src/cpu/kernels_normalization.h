// Norms: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_batch_norm(OpRun& run);
bool run_instance_norm(OpRun& run);
bool run_l2_norm(OpRun& run);
bool run_layer_norm(OpRun& run);
bool run_local_response_norm(OpRun& run);

inline constexpr KernelRow kNormalizationKernels[] = {
    {.code = OpCode::batch_norm, .kernel = run_batch_norm, .flags = KernelFlags::in_place},
    {.code = OpCode::instance_norm, .kernel = run_instance_norm, .flags = KernelFlags::in_place},
    {.code = OpCode::l2_norm, .kernel = run_l2_norm, .flags = KernelFlags::in_place},
    {.code = OpCode::layer_norm, .kernel = run_layer_norm, .flags = KernelFlags::in_place},
    {.code = OpCode::local_response_norm, .kernel = run_local_response_norm},
};

}  // namespace milgen::cpu
