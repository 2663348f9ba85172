#include "milgen/kernels/dynamic.h"

#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <vector>

#include "kernels/parts.h"
#include "milgen/kernels/stories.h"
#include "milgen/ops.h"

namespace milgen {
namespace {

using detail::attention_probs;
using detail::Half;
using detail::heads_of;
using detail::number_text;
using detail::project;
using detail::refuse_config;
using detail::Taker;
using detail::unheads;

/// The constants are made when the kernel is: these bounds keep each at 2^24 values.
constexpr std::int64_t kMostHeadDim = 4096;
constexpr std::int64_t kMostTableElements = 1 << 24;

bool legal_head_dim(Kernel& k, const DynamicConfig& c) {
  const std::string is = "head_dim is " + std::to_string(c.head_dim);
  if (c.head_dim % 2 != 0) {
    return refuse_config(k, is + " but has to be even: the rotary embedding turns pairs");
  }
  if (c.head_dim > kMostHeadDim) {
    return refuse_config(k, is + " but has to be at most " + std::to_string(kMostHeadDim));
  }
  const std::int64_t table = c.seq * c.head_dim;
  return table <= kMostTableElements ||
         refuse_config(k, "seq * head_dim is " + std::to_string(table) + " but has to be at most " +
                              std::to_string(kMostTableElements));
}

bool legal_theta(Kernel& k, double theta) {
  // Below 1 later pairs would turn faster than the first, by angles without a bound.
  return (std::isfinite(theta) && theta >= 1) ||
         refuse_config(k, "theta is " + number_text(theta) + " but has to be 1 or above");
}

bool legal_alpha(Kernel& k, double alpha) {
  return (std::isfinite(alpha) && alpha >= 0) ||
         refuse_config(k, "alpha is " + number_text(alpha) + " but has to be 0 or above");
}

/// What every kernel of the set asks of its configuration; the first broken rule is reported.
bool legal(Kernel& k, const DynamicConfig& c) {
  return detail::legal_sizes(k, {{"dim", c.dim},
                                 {"hidden", c.hidden},
                                 {"heads", c.heads},
                                 {"kv_heads", c.kv_heads},
                                 {"head_dim", c.head_dim},
                                 {"seq", c.seq},
                                 {"layers", c.layers}}) &&
         detail::legal_sizes(k, {{"heads * head_dim", c.q_dim()}}) &&
         detail::legal_divisor(k, {"kv_heads", c.kv_heads}, {"heads", c.heads}) &&
         legal_head_dim(k, c) && legal_theta(k, c.theta) &&
         detail::legal_positive(k, "eps", c.eps) && legal_alpha(k, c.alpha);
}

/// A factor of each position and channel of a head: [1, 1, S, d].
Half rope_table(Kernel& k, std::string_view name, double (*of_angle)(double),
                const DynamicConfig& c) {
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(c.seq * c.head_dim));
  for (std::int64_t s = 0; s < c.seq; ++s) {
    for (std::int64_t channel = 0; channel < c.head_dim; ++channel) {
      const double pair = static_cast<double>(channel / 2);
      const double angle =
          static_cast<double>(s) * std::pow(c.theta, -2 * pair / static_cast<double>(c.head_dim));
      values.push_back(of_angle(angle));
    }
  }
  return k.constant<fp16>(name, {1, 1, c.seq, c.head_dim}, values);
}

/// P [1, 1, d, d]: t P^T of t = (t0, t1, t2, t3, ...) is (-t1, t0, -t3, t2, ...).
Half rope_swap(Kernel& k, std::int64_t head_dim) {
  std::vector<double> values(static_cast<std::size_t>(head_dim * head_dim));
  for (std::int64_t even = 0; even < head_dim; even += 2) {
    values[static_cast<std::size_t>(even * head_dim + even + 1)] = -1;
    values[static_cast<std::size_t>((even + 1) * head_dim + even)] = 1;
  }
  return k.constant<fp16>("rope_p", {1, 1, head_dim, head_dim}, values);
}

/// The constants of the rotary embedding of one kernel.
class Rope {
 public:
  Rope(Kernel& k, const DynamicConfig& c)
      : cos_(rope_table(k, "cos", std::cos, c)),
        sin_(rope_table(k, "sin", std::sin, c)),
        swap_(rope_swap(k, c.head_dim)) {}

  /// t: [1, N, S, d]. The product with the swap is exact, and breaks no axis limit as taking pairs
  /// apart by a reshape would (AT-006 in ane_constraints). A constant matrix has to stand on the
  /// right and transposed (MM-004).
  Half turn(Half t) const { return t * cos_ + matmul(t, swap_, {.transpose_y = true}) * sin_; }

 private:
  Half cos_, sin_, swap_;
};

/// RMSNorm of each head and position. t: [1, N, S, d]; the weight `gain`: [1, 1, 1, d].
Half norm_of_heads(Kernel& k, Half t, std::string_view gain, double eps) {
  const std::int64_t head_dim = t.dim(3);
  const Half sum = reduce_sum(t * t, {.axes = {-1}, .keep_dims = true});
  const Half mean = sum * k.scalar<fp16>("inv_head_dim", 1.0 / static_cast<double>(head_dim));
  const Half rrms = pow(mean + k.scalar<fp16>("eps", eps), k.scalar<fp16>("minus_half", -0.5));
  return (t * rrms) * k.weight<fp16>(gain, {1, 1, 1, head_dim}, Fill::near_one);
}

void attention_forward(Kernel& k, const DynamicConfig& c, bool qk_norm) {
  if (!legal(k, c)) return;
  const Half x = k.input<fp16>("x", {1, c.dim, 1, c.seq});
  Half q = heads_of(project(k, x, "wq", c.q_dim()), c.heads);
  Half keys = heads_of(project(k, x, "wk", c.kv_dim()), c.kv_heads);
  const Half v = project(k, x, "wv", c.kv_dim()).named("v");
  if (qk_norm) {
    q = norm_of_heads(k, q, "q_norm", c.eps);
    keys = norm_of_heads(k, keys, "k_norm", c.eps);
  }
  const Rope rope(k, c);
  q = rope.turn(q);
  keys = rope.turn(keys);
  const Half probs = attention_probs(k, q, detail::repeat_heads(keys, c.heads));
  const Half values = detail::repeat_heads(heads_of(v, c.kv_heads), c.heads);
  const Half attn = unheads(matmul(probs, values)).named("attn");
  const Half q_rope = unheads(q).named("q_rope");
  const Half k_rope = unheads(keys).named("k_rope");
  k.output("out", concat({attn, q_rope, k_rope, v, x}, 1));
}

/// A kernel that is one projection of its input [1, in, 1, S].
void projection(Kernel& k, const DynamicConfig& c, std::string_view weight, std::int64_t out,
                std::int64_t in) {
  if (!legal(k, c)) return;
  k.output("out", project(k, k.input<fp16>("x", {1, in, 1, c.seq}), weight, out));
}

/// The sum of one projection each of two inputs [1, in, 1, S].
void two_projections(Kernel& k, const DynamicConfig& c,
                     std::initializer_list<std::string_view> inputs,
                     std::initializer_list<std::string_view> weights, std::int64_t in) {
  if (!legal(k, c)) return;
  const Half first = k.input<fp16>(inputs.begin()[0], {1, in, 1, c.seq});
  const Half second = k.input<fp16>(inputs.begin()[1], {1, in, 1, c.seq});
  k.output("out", project(k, first, weights.begin()[0], c.dim) +
                      project(k, second, weights.begin()[1], c.dim));
}

}  // namespace

double DynamicConfig::residual_scale() const {
  return alpha != 0 ? alpha : 1 / std::sqrt(2.0 * static_cast<double>(layers));
}

void dynamic_sdpa_fwd(Kernel& k, const DynamicConfig& c) { attention_forward(k, c, false); }

void dynamic_sdpa_fwd_qk_norm(Kernel& k, const DynamicConfig& c) { attention_forward(k, c, true); }

void dynamic_wo_fwd(Kernel& k, const DynamicConfig& c) { projection(k, c, "wo", c.dim, c.q_dim()); }

void dynamic_ffn_fused(Kernel& k, const DynamicConfig& c) {
  if (!legal(k, c)) return;
  const Half x2 = k.input<fp16>("x2", {1, c.dim, 1, c.seq});
  const Half xn = k.input<fp16>("xn", {1, c.dim, 1, c.seq});
  const Half h1 = project(k, xn, "w1", c.hidden).named("h1");
  const Half h3 = project(k, xn, "w3", c.hidden).named("h3");
  const Half gate = ((h1 * sigmoid(h1)) * h3).named("gate");
  const Half ffn = project(k, gate, "w2", c.dim).named("ffn");
  const Half y = (x2 + ffn * k.scalar<fp16>("alpha", c.residual_scale())).named("y");
  k.output("out", concat({y, h1, h3, gate}, 1));
}

void dynamic_ffn_bwd_w2t(Kernel& k, const DynamicConfig& c) {
  projection(k, c, "w2t", c.hidden, c.dim);
}

void dynamic_ffn_bwd_w13t(Kernel& k, const DynamicConfig& c) {
  two_projections(k, c, {"dh1", "dh3"}, {"w1t", "w3t"}, c.hidden);
}

void dynamic_wot_bwd(Kernel& k, const DynamicConfig& c) {
  projection(k, c, "wot", c.q_dim(), c.dim);
}

void dynamic_sdpa_bwd1(Kernel& k, const DynamicConfig& c) {
  if (!legal(k, c)) return;
  Taker in(k.input<fp16>("x", {1, 4 * c.q_dim(), 1, c.seq}));
  const Half q = heads_of(in.take("qf", c.q_dim()), c.heads);
  const Half keys = heads_of(in.take("kf", c.q_dim()), c.heads);
  const Half v = heads_of(in.take("vf", c.q_dim()), c.heads);
  const Half da = heads_of(in.take("daf", c.q_dim()), c.heads);
  k.output("out", detail::attention_bwd1(k, q, keys, v, da));
}

void dynamic_sdpa_bwd2(Kernel& k, const DynamicConfig& c) {
  if (!legal(k, c)) return;
  sdpa_bwd2(k, {.dim = c.q_dim(), .hidden = c.hidden, .heads = c.heads, .seq = c.seq});
}

void dynamic_q_bwd(Kernel& k, const DynamicConfig& c) { projection(k, c, "wqt", c.dim, c.q_dim()); }

void dynamic_kv_bwd(Kernel& k, const DynamicConfig& c) {
  two_projections(k, c, {"dk", "dv"}, {"wkt", "wvt"}, c.kv_dim());
}

void add_dynamic_kernels(Registry& registry) {
  registry
      .set<DynamicConfig>("dynamic",
                          "compile-once training kernels of one layer, weights at run time")
      .param("dim", &DynamicConfig::dim, "channels of the residual stream")
      .param("hidden", &DynamicConfig::hidden, "channels inside the feed-forward block")
      .param("heads", &DynamicConfig::heads, "query heads")
      .param("kv_heads", &DynamicConfig::kv_heads, "key and value heads; divides heads")
      .param("head_dim", &DynamicConfig::head_dim, "channels of a head, even")
      .param("seq", &DynamicConfig::seq, "positions")
      .param("layers", &DynamicConfig::layers, "layers of the model, which make alpha")
      .param("theta", &DynamicConfig::theta, "base of the rotary embedding")
      .param("eps", &DynamicConfig::eps, "added to the mean square where q and k are normalised")
      .param("alpha", &DynamicConfig::alpha, "factor of what a block adds; 0: 1 / sqrt(2 * layers)")
      .config("stories110m", {})
      .config("small", {.dim = 64,
                        .hidden = 160,
                        .heads = 4,
                        .kv_heads = 2,
                        .head_dim = 16,
                        .seq = 32,
                        .layers = 2})
      .config("qwen3_06b", {.dim = 1024,
                            .hidden = 3072,
                            .heads = 16,
                            .kv_heads = 8,
                            .head_dim = 128,
                            .seq = 256,
                            .layers = 28,
                            .theta = 1e6,
                            .eps = 1e-6})
      .weight_modes({WeightsAs::param, WeightsAs::packed})
      .kernel<dynamic_sdpa_fwd>("sdpa_fwd",
                                "attention forward of xn; out = (attn, q_rope, k_rope, v, xn)")
      .kernel<dynamic_sdpa_fwd_qk_norm>("sdpa_fwd_qk_norm",
                                        "the same with RMSNorm of each head of q and k")
      .kernel<dynamic_wo_fwd>("wo_fwd", "output projection; attn to o")
      .kernel<dynamic_ffn_fused>("ffn_fused",
                                 "feed-forward with residual; x2, xn to (x2 + "
                                 "alpha * ffn, h1, h3, gate)")
      .kernel<dynamic_ffn_bwd_w2t>("ffn_bwd_w2t", "feed-forward backward 1; dffn to dgate")
      .kernel<dynamic_ffn_bwd_w13t>("ffn_bwd_w13t", "feed-forward backward 2; dh1, dh3 to dxn")
      .kernel<dynamic_wot_bwd>("wot_bwd", "output projection backward; do to da")
      .kernel<dynamic_sdpa_bwd1>("sdpa_bwd1",
                                 "attention backward 1; (q, k, v, da) to (dv, probs, dp)")
      .kernel<dynamic_sdpa_bwd2>("sdpa_bwd2", "attention backward 2; (probs, dp, q, k) to (dq, dk)")
      .kernel<dynamic_q_bwd>("q_bwd", "query projection backward; dq to dxn")
      .kernel<dynamic_kv_bwd>("kv_bwd", "key and value projections backward; dk, dv to dxn");
}

}  // namespace milgen
