// Elementwise ops: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_cast(OpRun& run);
bool run_elementwise(OpRun& run);
bool run_select(OpRun& run);

inline constexpr KernelRow kElementwiseKernels[] = {
    {.code = OpCode::abs, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::acos, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::add, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::asin, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::atan, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::atanh, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::cast, .kernel = run_cast, .flags = KernelFlags::in_place},
    {.code = OpCode::ceil, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::clip, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::cos, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::cosh, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::equal, .kernel = run_elementwise},
    {.code = OpCode::erf, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::exp, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::exp2, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::floor, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::floor_div, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::greater, .kernel = run_elementwise},
    {.code = OpCode::greater_equal, .kernel = run_elementwise},
    {.code = OpCode::inverse, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::less, .kernel = run_elementwise},
    {.code = OpCode::less_equal, .kernel = run_elementwise},
    {.code = OpCode::log, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::logical_and, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::logical_not, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::logical_or, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::logical_xor, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::maximum, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::minimum, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::mod, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::mul, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::not_equal, .kernel = run_elementwise},
    {.code = OpCode::pow, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::real_div, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::round, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::rsqrt, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::select, .kernel = run_select, .flags = KernelFlags::in_place},
    {.code = OpCode::sign, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::sin, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::sinh, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::sqrt, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::square, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::sub, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::tan, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::tanh, .kernel = run_elementwise, .flags = KernelFlags::in_place},
    {.code = OpCode::threshold, .kernel = run_elementwise, .flags = KernelFlags::in_place},
};

}  // namespace milgen::cpu
