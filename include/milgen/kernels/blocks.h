// Blocks of a transformer for inference and for training in other cuts than those of the stories
// set: attention in one or two programs, feed-forward with SiLU or with the square of ReLU, a norm
// that does not overflow, repeated heads, states.
//
// All tensors are fp16, activations in [1, C, 1, S] where nothing else is said. Several tensors
// that travel in one stand side by side on the channel axis. Attention is causal where nothing else
// is said, without rotary embedding; query head h attends with key and value head
// h / (heads / kv_heads).
#pragma once

#include <cstdint>

#include "milgen/kernel.h"
#include "milgen/registry.h"

namespace milgen {

/// Shapes of one transformer layer. The defaults are Stories110M.
struct BlocksConfig {
  std::int64_t dim = 768;      ///< D, channels of the residual stream
  std::int64_t hidden = 2048;  ///< H, channels inside the feed-forward block
  std::int64_t heads = 12;     ///< N, query heads; divides dim
  std::int64_t kv_heads = 12;  ///< NK, key and value heads; divides heads
  std::int64_t seq = 256;      ///< S, positions
  double eps = 1e-5;           ///< added to the mean square in RMSNorm

  std::int64_t head_dim() const { return dim / heads; }          ///< d
  std::int64_t kv_dim() const { return kv_heads * head_dim(); }  ///< KV
};

/// scaled_dot_product_attention, every position with every other. `k`, `q`, `v`: [1, N, S, d].
/// Output [1, N, S, d]. Without a mask, which the engine ignores in this op (AT-001 in
/// ane_constraints).
void blocks_sdpa(Kernel& k, const BlocksConfig& config);

/// Attention forward. `x`: [1, D, 1, S]. Output [1, D, 1, S]: x + wo attention(rms_norm(x)).
/// Weights rms1 [1, D, 1, 1]; wq, wo [D, D, 1, 1]; wk, wv [KV, D, 1, 1]; constant mask
/// [1, 1, S, S].
void blocks_sdpa_fwd_x2(Kernel& k, const BlocksConfig& config);

/// The first half of sdpa_fwd_x2. `x`: [1, D, 1, S]. Output [1, D + 2KV, 1, S]: (q, k, v). Weights
/// rms1, wq, wk, wv.
void blocks_qkv_fwd_rms(Kernel& k, const BlocksConfig& config);

/// The second half of sdpa_fwd_x2. `qkv`: [1, D + 2KV, 1, S], what qkv_fwd_rms gives; `x`:
/// [1, D, 1, S]. Output [1, D, 1, S]: x + wo attention(q, k, v). Weight wo; constant mask.
void blocks_sdpa_apply(Kernel& k, const BlocksConfig& config);

/// Feed-forward. `x`: [1, D, 1, S]. Output [1, D, 1, S]: w2 (silu(w1 x) * (w3 x)), without a
/// residual. Weights w1, w3 [H, D, 1, 1]; w2 [D, H, 1, 1].
void blocks_ffn_fwd(Kernel& k, const BlocksConfig& config);
/// The same of rms_norm(x); further weight rms2 [1, D, 1, 1].
void blocks_ffn_fwd_rms(Kernel& k, const BlocksConfig& config);

/// Feed-forward with relu(h)^2. `x`: [1, D, 1, S]. Output [1, D, 1, S]: w2 (relu(w1 x))^2, without
/// a residual. Weights w1 [H, D, 1, 1]; w2 [D, H, 1, 1].
void blocks_ffn_fwd_relu2(Kernel& k, const BlocksConfig& config);
/// The same of rms_norm(x); further weight rms2 [1, D, 1, 1].
void blocks_ffn_fwd_rms_relu2(Kernel& k, const BlocksConfig& config);
/// The same as ffn_fwd_rms_relu2 with what the backward pass takes. Output [1, D + H, 1, S]:
/// (y[D], h1[H]), h1 being w1 rms_norm(x).
void blocks_ffn_fwd_taps_relu2(Kernel& k, const BlocksConfig& config);

/// Feed-forward with relu(h)^2, backward. `dffn`: [1, D, 1, S], the gradient at y; `h1`:
/// [1, H, 1, S]. Output [1, D + H, 1, S]: (dx[D], dh1[H]), dx the gradient at the normalised
/// input. Weights w1t [D, H, 1, 1]; w2t [H, D, 1, 1].
void blocks_ffn_bwd_relu2(Kernel& k, const BlocksConfig& config);

/// RMSNorm that overflows for no finite x. `x`: [1, D, 1, S]. Output [1, D, 1, S]. Weight rms_w
/// [1, D, 1, 1].
///
/// Squares of fp16 overflow above 256. Here x is divided by s, the largest |x| of its position but
/// at least sqrt(eps), so that all that is squared lies in [-1, 1]: with z = x / s,
/// x / sqrt(mean(x^2) + eps) is z / sqrt(mean(z^2) + (sqrt(eps) / s)^2). eps is 2^-28 or more here,
/// so that s is a normal number.
void blocks_rmsnorm(Kernel& k, const BlocksConfig& config);

/// Heads repeated for grouped-query attention. `x`: [1, NK, S, d]. Output [1, N, S, d].
void blocks_gqa_expand(Kernel& k, const BlocksConfig& config);

/// x plus what the state `cache` [1, D, 1, S] holds. `x` and output: [1, D, 1, S]. The engine gets
/// states by other ways (ST-002 in ane_constraints): its backend refuses this one and the next.
void blocks_read_state(Kernel& k, const BlocksConfig& config);
/// Stores x in the state `cache`. `x` and output: [1, D, 1, S], the output what is stored.
void blocks_update_state(Kernel& k, const BlocksConfig& config);

/// The set "blocks": the kernels above, named without `blocks_`, with configurations `stories110m`
/// and `small`.
void add_blocks_kernels(Registry& registry);

}  // namespace milgen
