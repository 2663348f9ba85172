// Layers of the six fused kernels: the norms and the whole of SwiGLU are in the kernels. Taps stay
// where the forward kernels wrote them; backward inputs that are their neighbours are put there.
#include <algorithm>

#include "milgen/kernels/stories.h"
#include "train/layer_stack.h"

namespace milgen::train::detail {
namespace {

StoriesConfig stories_config(const ModelConfig& c) {
  return {.dim = c.dim, .hidden = c.hidden, .heads = c.heads, .seq = c.seq, .eps = c.eps};
}

class StoriesStack final : public LayerStack {
 public:
  using LayerStack::LayerStack;

 private:
  std::vector<KernelOfSet> kernels() override {
    const auto define = [this](void (*kernel)(Kernel&, const StoriesConfig&)) {
      return [kernel, c = stories_config(config())](Kernel& k) { kernel(k, c); };
    };
    using Layer = const LayerTensors&;
    using Config = const ModelConfig&;
    using Values = std::vector<WeightValues>;
    constexpr auto kYes = Transposed::yes;
    return {
        {"sdpa_fwd_taps", define(sdpa_fwd_taps),
         [](Layer w, Config c) {
           return Values{{"rms1", w.rms_att, c.dim},
                         {"wq", w.wq, c.dim, c.dim},
                         {"wk", w.wk, c.dim, c.dim},
                         {"wv", w.wv, c.dim, c.dim},
                         {"wo", w.wo, c.dim, c.dim}};
         },
         &sdpa_fwd_},
        {"ffn_fwd_taps", define(ffn_fwd_taps),
         [](Layer w, Config c) {
           return Values{{"rms2", w.rms_ffn, c.dim},
                         {"w1", w.w1, c.hidden, c.dim},
                         {"w3", w.w3, c.hidden, c.dim},
                         {"w2", w.w2, c.dim, c.hidden}};
         },
         &ffn_fwd_},
        {"ffn_bwd", define(ffn_bwd),
         [](Layer w, Config c) {
           return Values{{"w2t", w.w2, c.dim, c.hidden, kYes},
                         {"w1t", w.w1, c.hidden, c.dim, kYes},
                         {"w3t", w.w3, c.hidden, c.dim, kYes}};
         },
         &ffn_bwd_},
        {"sdpa_bwd1", define(sdpa_bwd1),
         [](Layer w, Config c) {
           return Values{{"wot", w.wo, c.dim, c.dim, kYes}};
         },
         &sdpa_bwd1_},
        {"sdpa_bwd2", define(sdpa_bwd2), nullptr, &sdpa_bwd2_},
        {"qkv_bwd", define(qkv_bwd),
         [](Layer w, Config c) {
           return Values{{"wqt", w.wq, c.dim, c.dim, kYes},
                         {"wkt", w.wk, c.dim, c.dim, kYes},
                         {"wvt", w.wv, c.dim, c.dim, kYes}};
         },
         &qkv_bwd_},
    };
  }

  bool open_channels() override {
    const auto layers = static_cast<std::size_t>(config().layers);
    const std::int64_t scores = config().heads * config().seq;
    const auto open = [&](Channels& channels, std::int64_t count) {
      return channels.open(count, config().seq, *bench_.diagnostics);
    };
    attention_.resize(layers);
    ffn_.resize(layers);
    for (Channels& taps : attention_) {
      if (!open(taps, 6 * d_)) return false;
    }
    for (Channels& taps : ffn_) {
      if (!open(taps, 2 * d_ + 3 * h_)) return false;
    }
    dx2norm_.resize(residual_.front().size());
    return open(x_, d_) && open(ffn_back_, d_ + 2 * h_) && open(scores_, 3 * d_ + 2 * scores) &&
           open(dqkv_, 3 * d_) && open(dxnorm_, d_);
  }

  bool forward_layer(std::size_t layer) override {
    Channels& attention = attention_[layer];
    Channels& ffn = ffn_[layer];
    Floats& x2 = x2_[layer];
    if (!bench_.halve(stage(layer, "input as fp16"), x_.halves(0, d_), residual_[layer]) ||
        !run(sdpa_fwd_, layer, {{"x", x_.all()}}, attention.all())) {
      return false;
    }
    bench_.host.to_fp32(x2, attention.halves(0, d_));
    bench_.host.accumulate(x2, residual_[layer]);
    if (!bench_.halve(stage(layer, "x2 as fp16"), x_.halves(0, d_), x2) ||
        !run(ffn_fwd_, layer, {{"x", x_.all()}}, ffn.all())) {
      return false;
    }
    Floats& out = residual_[layer + 1];
    bench_.host.to_fp32(out, ffn.halves(0, d_));
    bench_.host.accumulate(out, x2);
    return true;
  }

  bool backward_layer(std::size_t layer, std::span<float> dx) override {
    return ffn_backward(layer, dx) && attention_backward(layer, dx);
  }

  /// Taps (y, h1, h3, gate, xn); y is used up and makes place for dffn.
  bool ffn_backward(std::size_t layer, std::span<float> dx) {
    Channels& taps = ffn_[layer];
    if (!bench_.halve(stage(layer, "dffn as fp16"), taps.halves(0, d_), dx) ||
        !run(ffn_bwd_, layer, {{"x", taps.part(0, d_ + 2 * h_)}}, ffn_back_.all())) {
      return false;
    }
    LayerTensors* g = grads(layer);
    if (g != nullptr) {
      const auto gate = bench_.x_floats(taps.halves(d_ + 2 * h_, h_));
      if (!bench_.add_gradient(g->w2, dx, gate)) return false;
      const auto xn = bench_.x_floats(taps.halves(d_ + 3 * h_, d_));
      const auto dh1 = bench_.dy_floats(ffn_back_.halves(d_, h_));
      if (!bench_.add_gradient(g->w1, dh1, xn)) return false;
      const auto dh3 = bench_.dy_floats(ffn_back_.halves(d_ + h_, h_));
      if (!bench_.add_gradient(g->w3, dh3, xn)) return false;
    }
    add_norm_backward(ffn_back_.halves(0, d_), g != nullptr ? &g->rms_ffn : nullptr, x2_[layer],
                      weights(layer).rms_ffn, dx);
    return true;
  }

  /// Taps (of, qf, kf, vf, af, xn); af makes place for dx2 once wo's gradient is there.
  bool attention_backward(std::size_t layer, std::span<float> dx) {
    Channels& taps = attention_[layer];
    LayerTensors* g = grads(layer);
    if (g != nullptr && !bench_.add_gradient(g->wo, dx, bench_.x_floats(taps.halves(4 * d_, d_)))) {
      return false;
    }
    if (!bench_.halve(stage(layer, "dx2 as fp16"), taps.halves(4 * d_, d_), dx) ||
        !scores_backward(layer, taps) ||
        !run(qkv_bwd_, layer, {{"x", dqkv_.all()}}, dxnorm_.all())) {
      return false;
    }
    if (g != nullptr) {
      const auto xn = bench_.x_floats(taps.halves(5 * d_, d_));
      Floats* const gradients[] = {&g->wq, &g->wk, &g->wv};
      for (std::int64_t i = 0; i < 3; ++i) {
        const auto dy = bench_.dy_floats(dqkv_.halves(i * d_, d_));
        if (!bench_.add_gradient(*gradients[i], dy, xn)) return false;
      }
    }
    add_norm_backward(dxnorm_.halves(0, d_), g != nullptr ? &g->rms_att : nullptr, residual_[layer],
                      weights(layer).rms_att, dx);
    return true;
  }

  /// From (q, k, v, dx2) to (dq, dk, dv).
  bool scores_backward(std::size_t layer, Channels& taps) {
    const std::int64_t scores = config().heads * config().seq;
    if (!run(sdpa_bwd1_, layer, {{"x", taps.part(d_, 4 * d_)}}, scores_.part(0, d_ + 2 * scores))) {
      return false;
    }
    std::ranges::copy(taps.halves(d_, 2 * d_), scores_.halves(d_ + 2 * scores, 2 * d_).begin());
    if (!run(sdpa_bwd2_, layer, {{"x", scores_.part(d_, 2 * scores + 2 * d_)}},
             dqkv_.part(0, 2 * d_))) {
      return false;
    }
    std::ranges::copy(scores_.halves(0, d_), dqkv_.halves(2 * d_, d_).begin());
    return true;
  }

  /// dx += the gradient at the norm's input `x`, from `dnorm` at its output.
  void add_norm_backward(std::span<const std::uint16_t> dnorm, Floats* dgain,
                         std::span<const float> x, std::span<const float> gain,
                         std::span<float> dx) {
    bench_.host.to_fp32(dx2norm_, dnorm);
    bench_.norm_backward(dgain, dx2norm_, dx2norm_, x, gain);
    bench_.host.accumulate(dx, dx2norm_);
  }

  std::uint64_t channel_bytes() const override {
    std::uint64_t bytes = x_.bytes() + ffn_back_.bytes() + scores_.bytes() + dqkv_.bytes() +
                          dxnorm_.bytes() + dx2norm_.size() * sizeof(float);
    for (const Channels& taps : attention_) bytes += taps.bytes();
    for (const Channels& taps : ffn_) bytes += taps.bytes();
    return bytes;
  }

  const std::int64_t d_ = bench_.config.dim;
  const std::int64_t h_ = bench_.config.hidden;
  LayerKernel sdpa_fwd_, ffn_fwd_, ffn_bwd_, sdpa_bwd1_, sdpa_bwd2_, qkv_bwd_;
  std::vector<Channels> attention_;  // by layer: (of, qf, kf, vf, af, xn)
  std::vector<Channels> ffn_;        // by layer: (y, h1, h3, gate, xn)
  Channels x_;
  Channels ffn_back_;  // (dx, dh1, dh3)
  Channels scores_;    // (dv, probs, dp, q, k)
  Channels dqkv_;
  Channels dxnorm_;
  Floats dx2norm_;
};

}  // namespace

std::unique_ptr<LayerStack> make_stories_stack(Workbench& bench) {
  return std::make_unique<StoriesStack>(bench);
}

}  // namespace milgen::train::detail
