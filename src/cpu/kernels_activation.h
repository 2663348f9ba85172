// Activations: which function executes which op.
#pragma once

#include "cpu/kernel.h"
#include "cpu/pointwise_ops.h"

namespace milgen::cpu {

bool run_prelu(OpRun& run);
bool run_softmax(OpRun& run);
bool run_softplus_parametric(OpRun& run);

inline constexpr KernelRow kActivationKernels[] = {
    {.code = OpCode::clamped_relu, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::elu, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::gelu, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::leaky_relu, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::linear_activation, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::prelu, .kernel = run_prelu, .flags = KernelFlags::in_place},
    {.code = OpCode::relu, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::relu6, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::scaled_tanh, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::sigmoid, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::sigmoid_hard, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::silu, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::softmax, .kernel = run_softmax, .flags = KernelFlags::in_place},
    {.code = OpCode::softplus, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::softplus_parametric,
     .kernel = run_softplus_parametric,
     .flags = KernelFlags::in_place},
    {.code = OpCode::softsign, .kernel = run_pointwise, .flags = KernelFlags::in_place},
    {.code = OpCode::thresholded_relu, .kernel = run_pointwise, .flags = KernelFlags::in_place},
};

}  // namespace milgen::cpu
