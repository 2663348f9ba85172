// Depthwise convolution: every channel of the result is made of one channel of x, tap by tap over a
// row of positions at a time.
#pragma once

#include "cpu/conv.h"

namespace milgen::cpu {

std::uint64_t conv_planes_scratch_bytes(const ConvPlan& plan, int threads);

/// `plan` has one input channel a group. Adds in the order of the taps, as products do.
void convolve_planes(const ConvPlan& plan, const ConvData& data, ThreadPool& pool,
                     std::byte* scratch);

}  // namespace milgen::cpu
