// The six fused training kernels of a Llama-style transformer: forward with taps, and backward.
//
// All tensors are fp16 in [1, C, 1, S]. Each kernel has one input and one output: several tensors
// travel in one, side by side on the channel axis, in the order that each kernel states. Tap order
// and formulas are the contract with the field's hand-written kernels of these names.
#pragma once

#include <cstdint>

#include "milgen/kernel.h"
#include "milgen/registry.h"

namespace milgen {

/// Shapes of one transformer layer. The defaults are Stories110M.
struct StoriesConfig {
  std::int64_t dim = 768;      ///< D, channels of the residual stream
  std::int64_t hidden = 2048;  ///< H, channels inside the feed-forward block
  std::int64_t heads = 12;     ///< N, attention heads; divides dim
  std::int64_t seq = 256;      ///< S, positions
  double eps = 1e-5;           ///< added to the mean square in RMSNorm

  std::int64_t head_dim() const { return dim / heads; }
};

/// Attention forward. `x`: [1, D, 1, S]. Output [1, 6D, 1, S]: (of, qf, kf, vf, af, xn), D each.
/// Weights rms1 [1, D, 1, 1]; wq, wk, wv, wo [D, D, 1, 1]; constant mask [1, 1, S, S].
void sdpa_fwd_taps(Kernel& k, const StoriesConfig& config);

/// Feed-forward forward. `x`: [1, D, 1, S]. Output [1, 2D + 3H, 1, S]: (y[D], h1[H], h3[H],
/// gate[H], xn[D]). Weights rms2 [1, D, 1, 1]; w1, w3 [H, D, 1, 1]; w2 [D, H, 1, 1].
void ffn_fwd_taps(Kernel& k, const StoriesConfig& config);

/// Feed-forward backward. `x`: [1, D + 2H, 1, S] = (dffn[D], h1[H], h3[H]). Output
/// [1, D + 2H, 1, S]: (dx[D], dh1[H], dh3[H]), dx the gradient at the normalised input. Weights
/// w2t [H, D, 1, 1]; w1t, w3t [D, H, 1, 1].
void ffn_bwd(Kernel& k, const StoriesConfig& config);

/// Attention backward, first half. `x`: [1, 4D, 1, S] = (qf, kf, vf, dx2). Output
/// [1, D + 2NS, 1, S]: (dV[D], probs[NS], dP[NS]). Weight wot [D, D, 1, 1]; constant mask.
void sdpa_bwd1(Kernel& k, const StoriesConfig& config);

/// Attention backward, second half. `x`: [1, 2NS + 2D, 1, S] = (probs[NS], dP[NS], qf[D], kf[D]).
/// Output [1, 2D, 1, S]: (dQ, dK). No weights.
void sdpa_bwd2(Kernel& k, const StoriesConfig& config);

/// Projections backward. `x`: [1, 3D, 1, S] = (dq, dk, dv). Output [1, D, 1, S], the gradient at
/// the normalised input. Weights wqt, wkt, wvt [D, D, 1, 1].
void qkv_bwd(Kernel& k, const StoriesConfig& config);

/// The set "stories": the six kernels with configurations `stories110m` and `small`.
void add_stories_kernels(Registry& registry);

}  // namespace milgen
