#include "milgen/kernels/stories.h"

#include <cstdint>

#include "kernels/parts.h"
#include "milgen/ops.h"

namespace milgen {
namespace {

using detail::attention_probs;
using detail::Half;
using detail::heads_of;
using detail::project;
using detail::rms_norm;
using detail::Taker;
using detail::unheads;

/// What every kernel of the set asks of its configuration; the first broken rule is reported.
bool legal(Kernel& k, const StoriesConfig& c) {
  return detail::legal_sizes(
             k, {{"dim", c.dim}, {"hidden", c.hidden}, {"heads", c.heads}, {"seq", c.seq}}) &&
         detail::legal_divisor(k, {"heads", c.heads}, {"dim", c.dim}) &&
         detail::legal_positive(k, "eps", c.eps);
}

}  // namespace

void sdpa_fwd_taps(Kernel& k, const StoriesConfig& c) {
  if (!legal(k, c)) return;
  const Half x = k.input<fp16>("x", {1, c.dim, 1, c.seq});
  const Half xn = rms_norm(k, x, "rms1", c.eps).named("xn");
  const Half qf = project(k, xn, "wq", c.dim).named("qf");
  const Half kf = project(k, xn, "wk", c.dim).named("kf");
  const Half vf = project(k, xn, "wv", c.dim).named("vf");
  const Half probs = attention_probs(k, heads_of(qf, c.heads), heads_of(kf, c.heads));
  const Half af = unheads(matmul(probs, heads_of(vf, c.heads))).named("af");
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
  Taker in(k.input<fp16>("x", {1, c.dim + 2 * c.hidden, 1, c.seq}));
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
  Taker in(k.input<fp16>("x", {1, 4 * c.dim, 1, c.seq}));
  const Half qf = in.take("qf", c.dim);
  const Half kf = in.take("kf", c.dim);
  const Half vf = in.take("vf", c.dim);
  const Half dx2 = in.take("dx2", c.dim);
  const Half df = project(k, dx2, "wot", c.dim).named("df");
  const Half v = heads_of(vf, c.heads);
  const Half da = heads_of(df, c.heads);
  k.output("out", detail::attention_bwd1(k, heads_of(qf, c.heads), heads_of(kf, c.heads), v, da));
}

void sdpa_bwd2(Kernel& k, const StoriesConfig& c) {
  if (!legal(k, c)) return;
  const std::int64_t scores = c.heads * c.seq;
  Taker in(k.input<fp16>("x", {1, 2 * scores + 2 * c.dim, 1, c.seq}));
  const Shape square = {1, c.heads, c.seq, c.seq};
  const Half probs = reshape(in.take("probs_flat", scores), square).named("probs");
  const Half dp = reshape(in.take("dp_flat", scores), square).named("dp");
  const Half q = heads_of(in.take("qf", c.dim), c.heads);
  const Half kh = heads_of(in.take("kf", c.dim), c.heads);
  const Half row_sum = reduce_sum(probs * dp, {.axes = {-1}, .keep_dims = true});
  const Half ds = ((probs * (dp - row_sum)) * detail::attention_scale(k, c.head_dim())).named("ds");
  const Half dq = matmul(ds, kh).named("dq");
  const Half dk = matmul(ds, q, {.transpose_x = true}).named("dk");
  k.output("out", concat({unheads(dq), unheads(dk)}, 1));
}

void qkv_bwd(Kernel& k, const StoriesConfig& c) {
  if (!legal(k, c)) return;
  Taker in(k.input<fp16>("x", {1, 3 * c.dim, 1, c.seq}));
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
      .weight_modes({WeightsAs::param, WeightsAs::packed})
      .kernel<sdpa_fwd_taps>("sdpa_fwd_taps", "attention forward; out = (of, qf, kf, vf, af, xn)")
      .kernel<ffn_fwd_taps>("ffn_fwd_taps", "feed-forward forward; out = (y, h1, h3, gate, xn)")
      .kernel<ffn_bwd>("ffn_bwd", "feed-forward backward; (dffn, h1, h3) to (dx, dh1, dh3)")
      .kernel<sdpa_bwd1>("sdpa_bwd1", "attention backward 1; (qf, kf, vf, dx2) to (dV, probs, dP)")
      .kernel<sdpa_bwd2>("sdpa_bwd2", "attention backward 2; (probs, dP, qf, kf) to (dQ, dK)")
      .kernel<qkv_bwd>("qkv_bwd", "projections backward; (dq, dk, dv) to dx");
}

}  // namespace milgen
