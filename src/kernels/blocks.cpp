#include "milgen/kernels/blocks.h"

#include <cmath>
#include <string>

#include "kernels/parts.h"
#include "milgen/control_flow.h"
#include "milgen/ops.h"

namespace milgen {
namespace {

using detail::Half;
using detail::heads_of;
using detail::project;
using detail::repeat_heads;
using detail::rms_norm;
using detail::Taker;
using detail::unheads;

/// What every kernel of the set asks of its configuration; the first broken rule is reported.
bool legal(Kernel& k, const BlocksConfig& c) {
  return detail::legal_sizes(k, {{"dim", c.dim},
                                 {"hidden", c.hidden},
                                 {"heads", c.heads},
                                 {"kv_heads", c.kv_heads},
                                 {"seq", c.seq}}) &&
         detail::legal_divisor(k, {"heads", c.heads}, {"dim", c.dim}) &&
         detail::legal_divisor(k, {"kv_heads", c.kv_heads}, {"heads", c.heads}) &&
         detail::legal_positive(k, "eps", c.eps);
}

Half stream_input(Kernel& k, const BlocksConfig& c) {
  return k.input<fp16>("x", {1, c.dim, 1, c.seq});
}

struct Qkv {
  Half q, k, v;
};

Qkv projections(Kernel& k, Half x, const BlocksConfig& c) {
  const Half xn = rms_norm(k, x, "rms1", c.eps).named("xn");
  const Half q = project(k, xn, "wq", c.dim).named("qf");
  const Half keys = project(k, xn, "wk", c.kv_dim()).named("kf");
  const Half v = project(k, xn, "wv", c.kv_dim()).named("vf");
  return {q, keys, v};
}

/// x + wo attention(q, k, v)
Half with_attention(Kernel& k, Half x, const Qkv& of, const BlocksConfig& c) {
  const auto repeated = [&](Half t) { return repeat_heads(heads_of(t, c.kv_heads), c.heads); };
  const Half probs = detail::attention_probs(k, heads_of(of.q, c.heads), repeated(of.k));
  const Half attn = unheads(matmul(probs, repeated(of.v))).named("attn");
  return x + project(k, attn, "wo", c.dim).named("o");
}

Half ffn_silu(Kernel& k, Half x, const BlocksConfig& c) {
  const Half h1 = project(k, x, "w1", c.hidden).named("h1");
  const Half h3 = project(k, x, "w3", c.hidden).named("h3");
  const Half gate = ((h1 * sigmoid(h1)) * h3).named("gate");
  return project(k, gate, "w2", c.dim);
}

struct Relu2 {
  Half y, h1;
};

Relu2 ffn_relu2(Kernel& k, Half x, const BlocksConfig& c) {
  const Half h1 = project(k, x, "w1", c.hidden).named("h1");
  const Half up = relu(h1).named("up");
  return {project(k, up * up, "w2", c.dim), h1};
}

/// 2^-28: the square of the least fp16 number that keeps all its bits, and by which 1 can be
/// divided.
constexpr double kLeastEps = 1.0 / (1 << 28);

State<fp16> cache(Kernel& k, const BlocksConfig& c) {
  return k.state<fp16>("cache", {1, c.dim, 1, c.seq});
}

}  // namespace

void blocks_sdpa(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  const Shape heads = {1, c.heads, c.seq, c.head_dim()};
  const Half keys = k.input<fp16>("k", heads);
  const Half q = k.input<fp16>("q", heads);
  const Half v = k.input<fp16>("v", heads);
  k.output("out", scaled_dot_product_attention(q, keys, v));
}

void blocks_sdpa_fwd_x2(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  const Half x = stream_input(k, c);
  k.output("out", with_attention(k, x, projections(k, x, c), c));
}

void blocks_qkv_fwd_rms(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  const Qkv of = projections(k, stream_input(k, c), c);
  k.output("out", concat({of.q, of.k, of.v}, 1));
}

void blocks_sdpa_apply(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  Taker in(k.input<fp16>("qkv", {1, c.dim + 2 * c.kv_dim(), 1, c.seq}));
  const Half q = in.take("qf", c.dim);
  const Half keys = in.take("kf", c.kv_dim());
  const Half v = in.take("vf", c.kv_dim());
  k.output("out", with_attention(k, stream_input(k, c), {q, keys, v}, c));
}

void blocks_ffn_fwd(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  k.output("out", ffn_silu(k, stream_input(k, c), c));
}

void blocks_ffn_fwd_rms(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  k.output("out", ffn_silu(k, rms_norm(k, stream_input(k, c), "rms2", c.eps).named("xn"), c));
}

void blocks_ffn_fwd_relu2(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  k.output("out", ffn_relu2(k, stream_input(k, c), c).y);
}

void blocks_ffn_fwd_rms_relu2(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  k.output("out", ffn_relu2(k, rms_norm(k, stream_input(k, c), "rms2", c.eps), c).y);
}

void blocks_ffn_fwd_taps_relu2(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  const Relu2 ffn = ffn_relu2(k, rms_norm(k, stream_input(k, c), "rms2", c.eps), c);
  k.output("out", concat({ffn.y.named("y"), ffn.h1}, 1));
}

void blocks_ffn_bwd_relu2(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  const Half dffn = k.input<fp16>("dffn", {1, c.dim, 1, c.seq});
  const Half h1 = k.input<fp16>("h1", {1, c.hidden, 1, c.seq});
  const Half dsquare = project(k, dffn, "w2t", c.hidden).named("dsquare");
  const Half dh1 = (dsquare * (2 * relu(h1))).named("dh1");
  k.output("out", concat({project(k, dh1, "w1t", c.dim).named("dx"), dh1}, 1));
}

void blocks_rmsnorm(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  if (c.eps < kLeastEps) {
    detail::refuse_config(k, "eps is " + detail::number_text(c.eps) + " but has to be at least " +
                                 detail::number_text(kLeastEps));
    return;
  }
  const Half x = stream_input(k, c);
  const Half gain = k.weight<fp16>("rms_w", {1, c.dim, 1, 1}, Fill::near_one);
  const Half least = k.scalar<fp16>("root_eps", std::sqrt(c.eps));
  const Half largest = reduce_max(abs(x), {.axes = {1}, .keep_dims = true});
  const Half s = maximum(largest, least).named("s");
  const Half z = (x / s).named("z");
  const Half mean = reduce_mean(z * z, {.axes = {1}, .keep_dims = true});
  const Half least_z = (least / s).named("least_z");
  const Half rrms = pow(mean + least_z * least_z, k.scalar<fp16>("minus_half", -0.5));
  k.output("out", (z * rrms) * gain);
}

void blocks_gqa_expand(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  const Half x = k.input<fp16>("x", {1, c.kv_heads, c.seq, c.head_dim()});
  k.output("out", repeat_heads(x, c.heads));
}

void blocks_read_state(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  const State<fp16> held = cache(k, c);
  k.output("out", stream_input(k, c) + read_state(held));
}

void blocks_update_state(Kernel& k, const BlocksConfig& c) {
  if (!legal(k, c)) return;
  const State<fp16> held = cache(k, c);
  k.output("out", coreml_update_state(held, stream_input(k, c)));
}

void add_blocks_kernels(Registry& registry) {
  registry
      .set<BlocksConfig>("blocks", "blocks of a transformer for inference, or cut in other ways")
      .param("dim", &BlocksConfig::dim, "channels of the residual stream")
      .param("hidden", &BlocksConfig::hidden, "channels inside the feed-forward block")
      .param("heads", &BlocksConfig::heads, "query heads; divides dim")
      .param("kv_heads", &BlocksConfig::kv_heads, "key and value heads; divides heads")
      .param("seq", &BlocksConfig::seq, "positions")
      .param("eps", &BlocksConfig::eps, "added to the mean square in RMSNorm")
      .config("stories110m", {})
      .config("small", {.dim = 64, .hidden = 160, .heads = 4, .kv_heads = 2, .seq = 32})
      .weight_modes({WeightsAs::param, WeightsAs::packed})
      .kernel<blocks_sdpa>("sdpa", "attention by one op, without a mask; k, q, v to heads")
      .kernel<blocks_sdpa_fwd_x2>("sdpa_fwd_x2", "attention forward with norm and residual; x2")
      .kernel<blocks_qkv_fwd_rms>("qkv_fwd_rms", "its first half; out = (q, k, v)")
      .kernel<blocks_sdpa_apply>("sdpa_apply", "its second half; (q, k, v) and x to x2")
      .kernel<blocks_ffn_fwd>("ffn_fwd", "feed-forward with SiLU")
      .kernel<blocks_ffn_fwd_rms>("ffn_fwd_rms", "feed-forward with norm and SiLU")
      .kernel<blocks_ffn_fwd_relu2>("ffn_fwd_relu2", "feed-forward with the square of ReLU")
      .kernel<blocks_ffn_fwd_rms_relu2>("ffn_fwd_rms_relu2", "the same with norm")
      .kernel<blocks_ffn_fwd_taps_relu2>("ffn_fwd_taps_relu2", "the same with norm; out = (y, h1)")
      .kernel<blocks_ffn_bwd_relu2>("ffn_bwd_relu2", "its backward; dffn and h1 to (dx, dh1)")
      .kernel<blocks_rmsnorm>("rmsnorm", "RMSNorm that overflows for no finite x")
      .kernel<blocks_gqa_expand>("gqa_expand", "heads repeated for grouped-query attention")
      .kernel<blocks_read_state>("read_state", "x plus what a state holds")
      .kernel<blocks_update_state>("update_state", "stores x in a state");
}

}  // namespace milgen
