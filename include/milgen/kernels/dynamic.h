// The compile-once training set: kernels of one Llama-style layer whose weights are meant to arrive
// at run time (with_weights_as() in milgen/weight_modes.h), with rotary embedding and grouped-query
// attention. RMSNorm, residuals of the attention, the backward pass of SiLU and of the rotary
// embedding, tiling and reducing of key and value heads are the host's (milgen/train/host_ops.h).
//
// All tensors are fp16 in [1, C, 1, S]. Several tensors that travel in one stand side by side on
// the channel axis, in the order that each kernel states. Where weights of a kernel act on
// different activations, each activation is an input of its own, so that every weight can be packed
// behind one. Weights are declared as [out, in, 1, 1]; those of backward kernels are the forward
// ones transposed.
#pragma once

#include <cstdint>

#include "milgen/kernel.h"
#include "milgen/registry.h"

namespace milgen {

/// Shapes of one transformer layer. The defaults are Stories110M.
struct DynamicConfig {
  std::int64_t dim = 768;      ///< D, channels of the residual stream
  std::int64_t hidden = 2048;  ///< H, channels inside the feed-forward block
  std::int64_t heads = 12;     ///< N, query heads
  std::int64_t kv_heads = 12;  ///< key and value heads; divides heads
  std::int64_t head_dim = 64;  ///< d, even, at most 4096
  std::int64_t seq = 256;      ///< S, positions
  std::int64_t layers = 12;    ///< of the model: they make alpha
  double theta = 10000;        ///< base of the rotary embedding, at least 1
  double eps = 1e-5;           ///< added to the mean square in sdpa_fwd_qk_norm
  double alpha = 0;            ///< factor of what a block adds; 0: 1 / sqrt(2 * layers)

  std::int64_t q_dim() const { return heads * head_dim; }      ///< Q
  std::int64_t kv_dim() const { return kv_heads * head_dim; }  ///< KV
  /// alpha, with 0 replaced.
  double residual_scale() const;
};

/// Attention forward. `x`: [1, D, 1, S], normalised. Output [1, 2Q + 2KV + D, 1, S]: (attn[Q],
/// q_rope[Q], k_rope[KV], v[KV], xn[D]), xn being x. Query head h attends with key and value head
/// h / (heads / kv_heads); causal, scores divided by sqrt(d). Weights wq [Q, D, 1, 1]; wk, wv
/// [KV, D, 1, 1].
///
/// Rotary embedding: in position s the pair (t[2i], t[2i + 1]) of each head is turned by the angle
/// s * theta^(-2i / d), as t * cos + (t P^T) * sin with the constants cos, sin [1, 1, S, d], which
/// have each value twice, and rope_p [1, 1, d, d], a permutation with signs. Further constant: mask
/// [1, 1, S, S].
void dynamic_sdpa_fwd(Kernel& k, const DynamicConfig& config);

/// The same with RMSNorm over the d channels of each head of q and k before they are turned, as
/// Qwen3 has it. Further weights: gains q_norm, k_norm [1, 1, 1, d].
void dynamic_sdpa_fwd_qk_norm(Kernel& k, const DynamicConfig& config);

/// Output projection. `x`: [1, Q, 1, S], the attention. Output [1, D, 1, S]. Weight wo
/// [D, Q, 1, 1].
void dynamic_wo_fwd(Kernel& k, const DynamicConfig& config);

/// Feed-forward forward. `x2`, `xn`: [1, D, 1, S], the residual stream and its normalised self.
/// Output [1, D + 3H, 1, S]: (x2 + alpha * ffn [D], h1[H], h3[H], gate[H]), gate being
/// silu(h1) * h3. Weights w1, w3 [H, D, 1, 1]; w2 [D, H, 1, 1].
void dynamic_ffn_fused(Kernel& k, const DynamicConfig& config);

/// Feed-forward backward, first half. `x`: [1, D, 1, S], the gradient at ffn. Output [1, H, 1, S],
/// the gradient at gate. Weight w2t [H, D, 1, 1].
void dynamic_ffn_bwd_w2t(Kernel& k, const DynamicConfig& config);

/// Feed-forward backward, second half. `dh1`, `dh3`: [1, H, 1, S]. Output [1, D, 1, S], the
/// gradient at the normalised input. Weights w1t, w3t [D, H, 1, 1].
void dynamic_ffn_bwd_w13t(Kernel& k, const DynamicConfig& config);

/// Output projection backward. `x`: [1, D, 1, S]. Output [1, Q, 1, S], the gradient at the
/// attention. Weight wot [Q, D, 1, 1].
void dynamic_wot_bwd(Kernel& k, const DynamicConfig& config);

/// Attention backward, first half. `x`: [1, 4Q, 1, S] = (q, k, v, da), q and k turned, k and v
/// repeated to all heads. Output [1, Q + 2NS, 1, S]: (dv[Q], probs[NS], dp[NS]). No weights;
/// constant mask.
void dynamic_sdpa_bwd1(Kernel& k, const DynamicConfig& config);

/// Attention backward, second half. `x`: [1, 2NS + 2Q, 1, S] = (probs[NS], dp[NS], q[Q], k[Q]).
/// Output [1, 2Q, 1, S]: (dq, dk), the gradients at what was turned and repeated. No weights.
void dynamic_sdpa_bwd2(Kernel& k, const DynamicConfig& config);

/// Query projection backward. `x`: [1, Q, 1, S]. Output [1, D, 1, S]. Weight wqt [D, Q, 1, 1].
void dynamic_q_bwd(Kernel& k, const DynamicConfig& config);

/// Key and value projections backward. `dk`, `dv`: [1, KV, 1, S]. Output [1, D, 1, S]: their
/// gradients at the normalised input, added. Weights wkt, wvt [D, KV, 1, 1].
void dynamic_kv_bwd(Kernel& k, const DynamicConfig& config);

/// The set "dynamic": the kernels above, named without `dynamic_`, with configurations
/// `stories110m`, `small` and `qwen3_06b`.
void add_dynamic_kernels(Registry& registry);

}  // namespace milgen
