#include "milgen/stories.h"

#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>

#include "milgen/ops.h"

namespace milgen {
namespace {

using Half = Tensor<fp16>;

/// What every kernel of the set asks of its configuration. The first broken rule is reported,
/// without a place: a line of this file would tell the one who chose the values nothing. False when
/// there is one.
bool legal(Kernel& k, const StoriesConfig& c) {
  const auto refuse = [&](const std::string& sentence) {
    return k.require(false, sentence, Loc{});
  };
  const auto number = [](std::int64_t value) { return std::to_string(value); };
  // Sentences are made only once a rule is broken: a legal configuration pays nothing for them.
  for (const auto& [name, value] : {std::pair("dim", c.dim), std::pair("hidden", c.hidden),
                                    std::pair("heads", c.heads), std::pair("seq", c.seq)}) {
    // The largest channel count of the set is 2D + 3H or 2NS + 2D: this bound keeps every one of
    // them, and every weight, far inside 63 bits.
    constexpr std::int64_t kLargest = 1 << 20;
    if (value >= 1 && value <= kLargest) continue;
    return refuse(std::string(name) + " is " + number(value) + " but has to be 1 to " +
                  number(kLargest));
  }
  if (c.dim % c.heads != 0) {
    return refuse("heads is " + number(c.heads) + ", which does not divide dim, " + number(c.dim));
  }
  if (!std::isfinite(c.eps) || c.eps <= 0) {
    char eps[32];
    std::snprintf(eps, sizeof eps, "%g", c.eps);
    return refuse("eps is " + std::string(eps) + " but has to be above 0");
  }
  return true;
}

/// x: [1, D, 1, S]; gain `name`: [1, D, 1, 1].
Half rms_norm(Kernel& k, Half x, std::string_view name, double eps) {
  const std::int64_t dim = x.dim(1);
  const Half gain = k.weight<fp16>(name, {1, dim, 1, 1}, Fill::near_one);
  const Half sum = reduce_sum(x * x, {.axes = {1}, .keep_dims = true});
  const Half mean = sum * k.scalar<fp16>("inv_dim", 1.0 / static_cast<double>(dim));
  const Half rrms = pow(mean + k.scalar<fp16>("eps", eps), k.scalar<fp16>("minus_half", -0.5));
  return (x * rrms) * gain;
}

/// A 1x1 convolution, which is the projection of every position. x: [1, C_in, 1, S].
Half project(Kernel& k, Half x, std::string_view weight, std::int64_t out_channels) {
  return conv(x, k.weight<fp16>(weight, {out_channels, x.dim(1), 1, 1}));
}

/// [1, D, 1, S] to [1, N, S, d].
Half heads_of(Half t, const StoriesConfig& c) {
  return transpose(reshape(t, {1, c.heads, c.head_dim(), c.seq}), {0, 1, 3, 2});
}

/// [1, N, S, d] to [1, D, 1, S].
Half unheads(Half t, const StoriesConfig& c) {
  return reshape(transpose(t, {0, 1, 3, 2}), {1, c.dim, 1, c.seq});
}

Half scale_of(Kernel& k, const StoriesConfig& c) {
  return k.scalar<fp16>("scale", 1.0 / std::sqrt(static_cast<double>(c.head_dim())));
}

/// Attention probabilities. q, k_heads: [1, N, S, d]; result [1, N, S, S].
Half attention_probs(Kernel& k, Half q, Half k_heads, const StoriesConfig& c) {
  const Half mask = k.constant<fp16>("mask", {1, 1, c.seq, c.seq}, Fill::causal_mask);
  const Half scores = matmul(q, k_heads, {.transpose_y = true}) * scale_of(k, c) + mask;
  return softmax(scores, {.axis = -1}).named("probs");
}

/// Takes tensors of [1, C, 1, S] off a concatenation, one behind the other.
class Taker {
 public:
  Taker(Half packed, std::int64_t seq) : packed_(packed), seq_(seq) {}
  Half take(std::string_view name, std::int64_t channels, Loc loc = here()) {
    const Half out =
        slice_by_size(packed_, {0, at_, 0, 0}, {1, channels, 1, seq_}, loc).named(name, loc);
    at_ += channels;
    return out;
  }

 private:
  Half packed_;
  std::int64_t seq_;
  std::int64_t at_ = 0;
};

}  // namespace

void sdpa_fwd_taps(Kernel& k, const StoriesConfig& c) {
  if (!legal(k, c)) return;
  const Half x = k.input<fp16>("x", {1, c.dim, 1, c.seq});
  const Half xn = rms_norm(k, x, "rms1", c.eps).named("xn");
  const Half qf = project(k, xn, "wq", c.dim).named("qf");
  const Half kf = project(k, xn, "wk", c.dim).named("kf");
  const Half vf = project(k, xn, "wv", c.dim).named("vf");
  const Half probs = attention_probs(k, heads_of(qf, c), heads_of(kf, c), c);
  const Half af = unheads(matmul(probs, heads_of(vf, c)), c).named("af");
  const Half of = project(k, af, "wo", c.dim).named("of");
  k.output("out", concat({of, qf, kf, vf, af, xn}, 1));
}

void ffn_fwd_taps(Kernel& k, const StoriesConfig& c) {
  if (!legal(k, c)) return;
  const Half x = k.input<fp16>("x", {1, c.dim, 1, c.seq});
  const Half xn = rms_norm(k, x, "rms2", c.eps).named("xn");
  const Half h1 = project(k, xn, "w1", c.hidden).named("h1");
  const Half h3 = project(k, xn, "w3", c.hidden).named("h3");
  const Half silu = (h1 * sigmoid(h1)).named("silu");
  const Half gate = (silu * h3).named("gate");
  const Half y = project(k, gate, "w2", c.dim).named("y");
  k.output("out", concat({y, h1, h3, gate, xn}, 1));
}

void ffn_bwd(Kernel& k, const StoriesConfig& c) {
  if (!legal(k, c)) return;
  Taker in(k.input<fp16>("x", {1, c.dim + 2 * c.hidden, 1, c.seq}), c.seq);
  const Half dffn = in.take("dffn", c.dim);
  const Half h1 = in.take("h1", c.hidden);
  const Half h3 = in.take("h3", c.hidden);
  const Half dsilu = project(k, dffn, "w2t", c.hidden).named("dsilu");
  const Half sig = sigmoid(h1).named("sig");
  const Half dsd = (sig * (1 + h1 * (1 - sig))).named("dsd");
  const Half dh1 = ((dsilu * h3) * dsd).named("dh1");
  const Half dh3 = (dsilu * (h1 * sig)).named("dh3");
  const Half dx = (project(k, dh1, "w1t", c.dim) + project(k, dh3, "w3t", c.dim)).named("dx");
  k.output("out", concat({dx, dh1, dh3}, 1));
}

void sdpa_bwd1(Kernel& k, const StoriesConfig& c) {
  if (!legal(k, c)) return;
  Taker in(k.input<fp16>("x", {1, 4 * c.dim, 1, c.seq}), c.seq);
  const Half qf = in.take("qf", c.dim);
  const Half kf = in.take("kf", c.dim);
  const Half vf = in.take("vf", c.dim);
  const Half dx2 = in.take("dx2", c.dim);
  const Half df = project(k, dx2, "wot", c.dim).named("df");
  const Half v = heads_of(vf, c);
  const Half da = heads_of(df, c);
  const Half probs = attention_probs(k, heads_of(qf, c), heads_of(kf, c), c);
  const Half dv = matmul(probs, da, {.transpose_x = true}).named("dv");
  const Half dp = matmul(da, v, {.transpose_y = true}).named("dp");
  const Shape flat = {1, c.heads * c.seq, 1, c.seq};
  k.output("out", concat({unheads(dv, c), reshape(probs, flat), reshape(dp, flat)}, 1));
}

void sdpa_bwd2(Kernel& k, const StoriesConfig& c) {
  if (!legal(k, c)) return;
  const std::int64_t scores = c.heads * c.seq;
  Taker in(k.input<fp16>("x", {1, 2 * scores + 2 * c.dim, 1, c.seq}), c.seq);
  const Shape square = {1, c.heads, c.seq, c.seq};
  const Half probs = reshape(in.take("probs_flat", scores), square).named("probs");
  const Half dp = reshape(in.take("dp_flat", scores), square).named("dp");
  const Half q = heads_of(in.take("qf", c.dim), c);
  const Half kh = heads_of(in.take("kf", c.dim), c);
  const Half row_sum = reduce_sum(probs * dp, {.axes = {-1}, .keep_dims = true});
  const Half ds = ((probs * (dp - row_sum)) * scale_of(k, c)).named("ds");
  const Half dq = matmul(ds, kh).named("dq");
  const Half dk = matmul(ds, q, {.transpose_x = true}).named("dk");
  k.output("out", concat({unheads(dq, c), unheads(dk, c)}, 1));
}

void qkv_bwd(Kernel& k, const StoriesConfig& c) {
  if (!legal(k, c)) return;
  Taker in(k.input<fp16>("x", {1, 3 * c.dim, 1, c.seq}), c.seq);
  const Half dq = in.take("dq", c.dim);
  const Half dk = in.take("dk", c.dim);
  const Half dv = in.take("dv", c.dim);
  const Half dx =
      (project(k, dq, "wqt", c.dim) + project(k, dk, "wkt", c.dim)) + project(k, dv, "wvt", c.dim);
  k.output("out", dx);
}

void add_stories_kernels(Registry& registry) {
  registry
      .set<StoriesConfig>("stories", "fused training kernels of one Llama-style transformer layer")
      .param("dim", &StoriesConfig::dim, "channels of the residual stream")
      .param("hidden", &StoriesConfig::hidden, "channels inside the feed-forward block")
      .param("heads", &StoriesConfig::heads, "attention heads; divides dim")
      .param("seq", &StoriesConfig::seq, "positions")
      .param("eps", &StoriesConfig::eps, "added to the mean square in RMSNorm")
      .config("stories110m", {})
      .config("small", {.dim = 64, .hidden = 160, .heads = 2, .seq = 32})
      .kernel<sdpa_fwd_taps>("sdpa_fwd_taps", "attention forward; out = (of, qf, kf, vf, af, xn)")
      .kernel<ffn_fwd_taps>("ffn_fwd_taps", "feed-forward forward; out = (y, h1, h3, gate, xn)")
      .kernel<ffn_bwd>("ffn_bwd", "feed-forward backward; (dffn, h1, h3) to (dx, dh1, dh3)")
      .kernel<sdpa_bwd1>("sdpa_bwd1", "attention backward 1; (qf, kf, vf, dx2) to (dV, probs, dP)")
      .kernel<sdpa_bwd2>("sdpa_bwd2", "attention backward 2; (probs, dP, qf, kf) to (dQ, dK)")
      .kernel<qkv_bwd>("qkv_bwd", "projections backward; (dq, dk, dv) to dx");
}

}  // namespace milgen
