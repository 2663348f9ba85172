// Building blocks that a training loop is put together from: products with weights baked in or
// given at run time, each with fp32 inputs and outputs, cast to fp16 and back inside, and with fp16
// ones and no casts, since M1 and M2 refuse the casts (IO-010 in ane_constraints).
//
// Tensors are [1, C, 1, S] where nothing else is said. Several inputs and outputs are declared
// sorted by name, as the engine binds them.
#pragma once

#include <cstdint>

#include "milgen/kernel.h"
#include "milgen/registry.h"

namespace milgen {

struct ComposableConfig {
  std::int64_t in = 768;       ///< C_in, channels of x
  std::int64_t out = 768;      ///< C_out, channels of what a projection gives
  std::int64_t hidden = 2048;  ///< H, channels inside the feed-forward block
  std::int64_t spatial = 256;  ///< S, positions
  double scale = 0.5;          ///< factor of scale_fp16
};

/// y = w @ x with both at run time. `w`: [1, C_out, C_in]; `x`: [1, C_in, S]. Output `y`:
/// [1, C_out, S].
void composable_matmul(Kernel& k, const ComposableConfig& config);
void composable_matmul_fp16(Kernel& k, const ComposableConfig& config);

/// A 1x1 convolution. `x`: [1, C_in, 1, S]. Output `y`: [1, C_out, 1, S]. Weight w
/// [C_out, C_in, 1, 1], fp16.
void composable_conv(Kernel& k, const ComposableConfig& config);
void composable_conv_fp16(Kernel& k, const ComposableConfig& config);
/// The same with fp32 weights and no cast: what the engine computes is fp16 all the same.
void composable_conv_fp32(Kernel& k, const ComposableConfig& config);

/// Three projections of one x. `x`: [1, C_in, 1, S]. Outputs `k`, `q`, `v`: [1, C_out, 1, S] each.
/// Weights wk, wq, wv [C_out, C_in, 1, 1], fp16, in this order in one file.
void composable_qkv(Kernel& k, const ComposableConfig& config);
void composable_qkv_fp16(Kernel& k, const ComposableConfig& config);

/// The two projections into the feed-forward block. `x`: [1, C_in, 1, S]. Outputs `h1`, `h3`:
/// [1, H, 1, S] each. Weights w1, w3 [H, C_in, 1, 1], fp16, in this order in one file.
void composable_ffn_up(Kernel& k, const ComposableConfig& config);
void composable_ffn_up_fp16(Kernel& k, const ComposableConfig& config);

/// y = x by a 1x1 convolution with the identity matrix, a constant of the kernel's own. `x` and
/// `y`: [1, C_in, 1, S], at most 4,096 channels.
void composable_identity(Kernel& k, const ComposableConfig& config);
void composable_identity_fp16(Kernel& k, const ComposableConfig& config);

/// y = x * scale. `x` and `y`: fp16 [1, 1, 1, S].
void composable_scale_fp16(Kernel& k, const ComposableConfig& config);

/// y = w^T @ x with w packed behind x: the product of rows when x and y lie channel-first. `xw`:
/// fp16 [1, C_in, 1, S + C_out], x in the first S columns and w [C_in, C_out] behind it. Output
/// `y`: fp16 [1, C_out, 1, S].
void composable_dynamic_matmul(Kernel& k, const ComposableConfig& config);

/// The set "composable": the kernels above, named without `composable_`, with configurations
/// `stories110m` and `small`.
void add_composable_kernels(Registry& registry);

}  // namespace milgen
