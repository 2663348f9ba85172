// Which vector unit the kernels of this folder use.
#pragma once

#include <string_view>
#include <vector>

namespace milgen::detail {

/// The level in use: "avx3" (AVX-512 F, BW, DQ, VL), "avx2" (with FMA and F16C), "sse4", "neon" or
/// "portable". It never changes a result in exact mode.
std::string_view simd_level();

/// The levels that this machine runs, the best first; "portable" only where no better one is part
/// of what the compiler may assume.
std::vector<std::string_view> simd_levels();

/// Kernels use no level better than `level` from now on; an empty one lifts the limit. False, and
/// nothing changes, when it is not one of simd_levels(). Not while kernels are running.
bool limit_simd(std::string_view level);

/// limit_simd() with the environment variable MILGEN_SIMD, where it is set.
bool limit_simd_by_environment();

/// Before main, in every program that has a kernel in it.
inline const bool simd_limit_read = limit_simd_by_environment();

}  // namespace milgen::detail
