// Layers of the compile-once set: norms, residuals, SiLU's and the rotary embedding's backward are
// the host's.
#include <algorithm>

#include "milgen/kernels/dynamic.h"
#include "train/layer_stack.h"

namespace milgen::train::detail {
namespace {

DynamicConfig dynamic_config(const ModelConfig& c) {
  return {.dim = c.dim,
          .hidden = c.hidden,
          .heads = c.heads,
          .kv_heads = c.kv_heads,
          .head_dim = c.head_dim,
          .seq = c.seq,
          .layers = c.layers,
          .theta = c.theta,
          .eps = c.eps,
          .alpha = c.alpha()};
}

class DynamicStack final : public LayerStack {
 public:
  using LayerStack::LayerStack;

 private:
  std::vector<KernelOfSet> kernels() override {
    const auto define = [this](void (*kernel)(Kernel&, const DynamicConfig&)) {
      return [kernel, c = dynamic_config(config())](Kernel& k) { kernel(k, c); };
    };
    using Layer = const LayerTensors&;
    using Config = const ModelConfig&;
    using Values = std::vector<WeightValues>;
    constexpr auto kYes = Transposed::yes;
    return {
        {"sdpa_fwd", define(dynamic_sdpa_fwd),
         [](Layer w, Config c) {
           return Values{{"wq", w.wq, c.q_dim(), c.dim},
                         {"wk", w.wk, c.kv_dim(), c.dim},
                         {"wv", w.wv, c.kv_dim(), c.dim}};
         },
         &sdpa_fwd_},
        {"wo_fwd", define(dynamic_wo_fwd),
         [](Layer w, Config c) {
           return Values{{"wo", w.wo, c.dim, c.q_dim()}};
         },
         &wo_fwd_},
        {"ffn_fused", define(dynamic_ffn_fused),
         [](Layer w, Config c) {
           return Values{{"w1", w.w1, c.hidden, c.dim},
                         {"w3", w.w3, c.hidden, c.dim},
                         {"w2", w.w2, c.dim, c.hidden}};
         },
         &ffn_fused_},
        {"ffn_bwd_w2t", define(dynamic_ffn_bwd_w2t),
         [](Layer w, Config c) {
           return Values{{"w2t", w.w2, c.dim, c.hidden, kYes}};
         },
         &ffn_bwd_w2t_},
        {"ffn_bwd_w13t", define(dynamic_ffn_bwd_w13t),
         [](Layer w, Config c) {
           return Values{{"w1t", w.w1, c.hidden, c.dim, kYes},
                         {"w3t", w.w3, c.hidden, c.dim, kYes}};
         },
         &ffn_bwd_w13t_},
        {"wot_bwd", define(dynamic_wot_bwd),
         [](Layer w, Config c) {
           return Values{{"wot", w.wo, c.dim, c.q_dim(), kYes}};
         },
         &wot_bwd_},
        {"sdpa_bwd1", define(dynamic_sdpa_bwd1), nullptr, &sdpa_bwd1_},
        {"sdpa_bwd2", define(dynamic_sdpa_bwd2), nullptr, &sdpa_bwd2_},
        {"q_bwd", define(dynamic_q_bwd),
         [](Layer w, Config c) {
           return Values{{"wqt", w.wq, c.q_dim(), c.dim, kYes}};
         },
         &q_bwd_},
        {"kv_bwd", define(dynamic_kv_bwd),
         [](Layer w, Config c) {
           return Values{{"wkt", w.wk, c.kv_dim(), c.dim, kYes},
                         {"wvt", w.wv, c.kv_dim(), c.dim, kYes}};
         },
         &kv_bwd_},
    };
  }

  bool open_channels() override {
    const auto layers = static_cast<std::size_t>(config().layers);
    attention_.resize(layers);
    ffn_.resize(layers);
    for (Channels& taps : attention_) {
      if (!open(taps, 2 * q_ + 2 * kv_ + d_)) return false;
    }
    for (Channels& taps : ffn_) {
      if (!open(taps, 2 * d_ + 3 * h_)) return false;
    }
    const auto floats = [this](std::int64_t channels) {
      return Floats(static_cast<std::size_t>(channels * config().seq));
    };
    norm_ = floats(d_);
    const std::int64_t widest = std::max({h_, q_, d_, 2 * kv_});
    for (Floats* one : {&wide_a_, &wide_b_, &wide_c_}) *one = floats(widest);
    tables_ = rope_tables(config().seq, config().head_dim, config().theta);
    return open(x2_half_, d_) && open(narrow_, d_) && open(hidden_, 2 * h_) &&
           open(back_in_, 4 * q_) && open(scores_, 3 * q_ + 2 * scores_channels()) &&
           open(dqk_, 2 * q_) && open(dqkv_, q_ + 2 * kv_) && open(dnorm_, 2 * d_);
  }

  bool open(Channels& channels, std::int64_t count) {
    return channels.open(count, config().seq, *bench_.diagnostics);
  }
  std::int64_t scores_channels() const { return config().heads * config().seq; }
  std::span<float> first(Floats& floats, std::int64_t channels) const {
    return std::span(floats).first(static_cast<std::size_t>(channels * config().seq));
  }

  // --- Forward. ---

  bool forward_layer(std::size_t layer) override {
    return attention_forward(layer) && ffn_forward(layer);
  }

  bool attention_forward(std::size_t layer) {
    Channels& taps = attention_[layer];
    const Floats& x = residual_[layer];
    host().rmsnorm(norm_, x, weights(layer).rms_att, d_, config().seq, config().eps);
    if (!bench_.halve(stage(layer, "attention norm"), narrow_.halves(0, d_), norm_) ||
        !run(sdpa_fwd_, layer, {{"x", narrow_.all()}}, taps.all()) ||
        !run(wo_fwd_, layer, {{"x", taps.part(0, q_)}}, narrow_.all())) {
      return false;
    }
    host().to_fp32(norm_, narrow_.halves(0, d_));
    host().add_scaled(x2_[layer], x, norm_, alpha_);
    return true;
  }

  bool ffn_forward(std::size_t layer) {
    Channels& taps = ffn_[layer];
    const Floats& x2 = x2_[layer];
    host().rmsnorm(norm_, x2, weights(layer).rms_ffn, d_, config().seq, config().eps);
    const std::int64_t made = d_ + 3 * h_;
    if (!bench_.halve(stage(layer, "ffn norm"), taps.halves(made, d_), norm_) ||
        !bench_.halve(stage(layer, "x2 as fp16"), x2_half_.halves(0, d_), x2) ||
        !run(ffn_fused_, layer, {{"x2", x2_half_.all()}, {"xn", taps.part(made, d_)}},
             taps.part(0, made))) {
      return false;
    }
    host().to_fp32(residual_[layer + 1], taps.halves(0, d_));
    return true;
  }

  // --- Backward. ---

  bool backward_layer(std::size_t layer, std::span<float> dx) override {
    return ffn_backward(layer, dx) && attention_backward(layer, dx);
  }

  bool ffn_backward(std::size_t layer, std::span<float> dx) {
    Channels& taps = ffn_[layer];
    LayerTensors* g = grads(layer);
    if (!block_gradient(stage(layer, "dffn as fp16"), dx) ||
        !run(ffn_bwd_w2t_, layer, {{"x", narrow_.all()}}, hidden_.part(0, h_))) {
      return false;
    }
    if (g != nullptr &&
        !bench_.add_gradient(g->w2, norm_, bench_.x_floats(taps.halves(d_ + 2 * h_, h_)))) {
      return false;
    }
    const std::span<float> dgate = first(wide_a_, h_);
    const std::span<float> h1 = first(wide_b_, h_);
    const std::span<float> h3 = first(wide_c_, h_);
    host().to_fp32(dgate, hidden_.halves(0, h_));
    host().to_fp32(h1, taps.halves(d_, h_));
    host().to_fp32(h3, taps.halves(d_ + h_, h_));
    const std::span<float> dh1 = h1;
    const std::span<float> dh3 = h3;
    host().silu_backward(dh1, dh3, dgate, h1, h3);
    if (!bench_.halve(stage(layer, "dh1 as fp16"), hidden_.halves(0, h_), dh1) ||
        !bench_.halve(stage(layer, "dh3 as fp16"), hidden_.halves(h_, h_), dh3) ||
        !run(ffn_bwd_w13t_, layer, {{"dh1", hidden_.part(0, h_)}, {"dh3", hidden_.part(h_, h_)}},
             dnorm_.part(0, d_))) {
      return false;
    }
    if (g != nullptr) {
      const auto xn = bench_.x_floats(taps.halves(d_ + 3 * h_, d_));
      if (!bench_.add_gradient(g->w1, dh1, xn) || !bench_.add_gradient(g->w3, dh3, xn)) {
        return false;
      }
    }
    host().to_fp32(norm_, dnorm_.halves(0, d_));
    add_norm_backward(g != nullptr ? &g->rms_ffn : nullptr, x2_[layer], weights(layer).rms_ffn, dx);
    return true;
  }

  bool attention_backward(std::size_t layer, std::span<float> dx) {
    Channels& taps = attention_[layer];
    LayerTensors* g = grads(layer);
    if (!block_gradient(stage(layer, "dy as fp16"), dx) ||
        !run(wot_bwd_, layer, {{"x", narrow_.all()}}, back_in_.part(3 * q_, q_))) {
      return false;
    }
    if (g != nullptr && !bench_.add_gradient(g->wo, norm_, bench_.x_floats(taps.halves(0, q_)))) {
      return false;
    }
    if (!scores_backward(layer, taps) || !projections_backward(layer, taps, g)) return false;
    host().to_fp32(norm_, dnorm_.halves(0, d_));
    const std::span<float> of_kv = first(wide_a_, d_);
    host().to_fp32(of_kv, dnorm_.halves(d_, d_));
    host().accumulate(norm_, of_kv);
    add_norm_backward(g != nullptr ? &g->rms_att : nullptr, residual_[layer],
                      weights(layer).rms_att, dx);
    return true;
  }

  /// The gradient at what a block adds: alpha * dx, in norm_ and as fp16 in narrow_.
  bool block_gradient(const std::string& stage_name, std::span<const float> dx) {
    std::ranges::copy(dx, norm_.begin());
    if (alpha_ != 1) host().scale(norm_, alpha_);
    return bench_.halve(stage_name, narrow_.halves(0, d_), norm_);
  }

  /// From (q, k, v) of the taps and da to (dq, dk) of all heads, in dqk_, and dv, in scores_.
  bool scores_backward(std::size_t layer, const Channels& taps) {
    std::ranges::copy(taps.halves(q_, q_), back_in_.halves(0, q_).begin());
    tile_heads(taps.halves(2 * q_, kv_), back_in_.halves(q_, q_));
    tile_heads(taps.halves(2 * q_ + kv_, kv_), back_in_.halves(2 * q_, q_));
    const std::int64_t both = 2 * scores_channels();
    if (!run(sdpa_bwd1_, layer, {{"x", back_in_.all()}}, scores_.part(0, q_ + both))) {
      return false;
    }
    std::ranges::copy(back_in_.halves(0, 2 * q_), scores_.halves(q_ + both, 2 * q_).begin());
    return run(sdpa_bwd2_, layer, {{"x", scores_.part(q_, both + 2 * q_)}}, dqk_.all());
  }

  /// Each key or value head once for every query head that uses it.
  void tile_heads(std::span<const std::uint16_t> from, std::span<std::uint16_t> to) const {
    const auto head = static_cast<std::size_t>(config().head_dim * config().seq);
    const auto group = static_cast<std::size_t>(config().heads / config().kv_heads);
    for (std::size_t h = 0; h < static_cast<std::size_t>(config().heads); ++h) {
      std::ranges::copy(from.subspan(h / group * head, head), to.subspan(h * head, head).begin());
    }
  }

  /// From dq, dk, dv of all heads to the two gradients at the normalised input, in dnorm_.
  bool projections_backward(std::size_t layer, const Channels& taps, LayerTensors* g) {
    const std::span<float> dq = first(wide_a_, q_);
    const std::span<float> dk = first(wide_b_, kv_);
    const std::span<float> dv = first(wide_b_, 2 * kv_).subspan(dk.size());
    host().to_fp32(dq, dqk_.halves(0, q_));
    rope_backward(dq, tables_, config().heads, config().head_dim, config().seq);
    reduce_heads(dqk_.halves(q_, q_), dk);
    rope_backward(dk, tables_, config().kv_heads, config().head_dim, config().seq);
    reduce_heads(scores_.halves(0, q_), dv);
    if (!bench_.halve(stage(layer, "dq as fp16"), dqkv_.halves(0, q_), dq) ||
        !bench_.halve(stage(layer, "dk as fp16"), dqkv_.halves(q_, kv_), dk) ||
        !bench_.halve(stage(layer, "dv as fp16"), dqkv_.halves(q_ + kv_, kv_), dv)) {
      return false;
    }
    if (g != nullptr) {
      const auto xn = bench_.x_floats(taps.halves(2 * q_ + 2 * kv_, d_));
      if (!bench_.add_gradient(g->wq, dq, xn) || !bench_.add_gradient(g->wk, dk, xn) ||
          !bench_.add_gradient(g->wv, dv, xn)) {
        return false;
      }
    }
    return run(q_bwd_, layer, {{"x", dqkv_.part(0, q_)}}, dnorm_.part(0, d_)) &&
           run(kv_bwd_, layer, {{"dk", dqkv_.part(q_, kv_)}, {"dv", dqkv_.part(q_ + kv_, kv_)}},
               dnorm_.part(d_, d_));
  }

  void reduce_heads(std::span<const std::uint16_t> all, std::span<float> reduced) {
    const std::span<float> floats = first(wide_c_, q_);
    host().to_fp32(floats, all);
    gqa_reduce(reduced, floats, config().heads, config().kv_heads, config().head_dim, config().seq);
  }

  /// dx += the gradient at the norm's input `x`, from that at its output, in norm_.
  void add_norm_backward(Floats* dgain, std::span<const float> x, std::span<const float> gain,
                         std::span<float> dx) {
    bench_.norm_backward(dgain, norm_, norm_, x, gain);
    host().accumulate(dx, norm_);
  }

  HostOps& host() { return bench_.host; }

  std::uint64_t channel_bytes() const override {
    std::uint64_t bytes = 0;
    for (const Channels& taps : attention_) bytes += taps.bytes();
    for (const Channels& taps : ffn_) bytes += taps.bytes();
    for (const Channels* one :
         {&x2_half_, &narrow_, &hidden_, &back_in_, &scores_, &dqk_, &dqkv_, &dnorm_}) {
      bytes += one->bytes();
    }
    for (const Floats* one : {&norm_, &wide_a_, &wide_b_, &wide_c_}) {
      bytes += one->size() * sizeof(float);
    }
    return bytes;
  }

  const std::int64_t d_ = bench_.config.dim;
  const std::int64_t h_ = bench_.config.hidden;
  const std::int64_t q_ = bench_.config.q_dim();
  const std::int64_t kv_ = bench_.config.kv_dim();
  const float alpha_ = static_cast<float>(bench_.config.alpha());
  LayerKernel sdpa_fwd_, wo_fwd_, ffn_fused_, ffn_bwd_w2t_, ffn_bwd_w13t_, wot_bwd_, sdpa_bwd1_,
      sdpa_bwd2_, q_bwd_, kv_bwd_;
  std::vector<Channels> attention_;  // by layer: (attn, q, k, v, xn)
  std::vector<Channels> ffn_;        // by layer: (out, h1, h3, gate, xn)
  Channels x2_half_;
  Channels narrow_;   // [D], in or out of a kernel
  Channels hidden_;   // (dgate), then (dh1, dh3)
  Channels back_in_;  // (q, k, v, da) of all heads
  Channels scores_;   // (dv, probs, dp, q, k) of all heads
  Channels dqk_;      // of all heads
  Channels dqkv_;     // at the projections
  Channels dnorm_;    // (of q, of k and v)
  Floats norm_;       // [D, S]
  Floats wide_a_, wide_b_, wide_c_;
  RopeTables tables_;
};

}  // namespace

std::unique_ptr<LayerStack> make_dynamic_stack(Workbench& bench) {
  return std::make_unique<DynamicStack>(bench);
}

}  // namespace milgen::train::detail
