#include "milgen/train/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "milgen/fill.h"
#include "milgen/weights.h"
#include "support/rule.h"

namespace milgen::train {
namespace {

constexpr std::int64_t kMostSize = std::int64_t{1} << 20;
constexpr std::int64_t kMostLayers = 4096;

/// A number of bytes that says when it does not fit in 63 bits.
class Size {
 public:
  explicit Size(std::int64_t value) : value_(value) {}
  Size operator*(const Size& other) const {
    Size product = *this;
    product.fits_ &= other.fits_;
    product.fits_ &= !__builtin_mul_overflow(value_, other.value_, &product.value_);
    return product;
  }
  Size operator+(const Size& other) const {
    Size sum = *this;
    sum.fits_ &= other.fits_;
    sum.fits_ &= !__builtin_add_overflow(value_, other.value_, &sum.value_);
    return sum;
  }
  bool fits() const { return fits_; }

 private:
  std::int64_t value_;
  bool fits_ = true;
};

/// The largest things that a training run holds: weights with gradients and both moments, the
/// scores of all heads, the logits.
bool sizes_fit(const ModelConfig& c) {
  const Size q = Size(c.heads) * Size(c.head_dim);
  const Size kv = Size(c.kv_heads) * Size(c.head_dim);
  const Size matrices = (Size(2) * q + Size(2) * kv + Size(3) * Size(c.hidden)) * Size(c.dim);
  const Size layer = matrices + Size(2) * Size(c.dim);
  const Size model = Size(c.layers) * layer + Size(2) * Size(c.vocab) * Size(c.dim) + Size(c.dim);
  const Size scores = Size(c.heads) * Size(c.seq) * Size(c.seq);
  const Size positions = (q + Size(c.hidden) + Size(c.vocab)) * Size(c.seq);
  constexpr std::int64_t kBytesOfParameter = 16;
  constexpr std::int64_t kBytesOfFloat = 4;
  return (Size(kBytesOfParameter) * model + Size(kBytesOfFloat) * (scores + positions)).fits();
}

std::size_t elements(std::int64_t rows, std::int64_t columns) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
}

/// A tensor of a layer: where it is in each of the structures, and its shape.
struct LayerMember {
  std::string_view name;
  std::vector<float> LayerTensors::*tensor;
  AdamState LayerAdam::*state;
  std::int64_t rows;
  std::int64_t columns;
};

/// In the order of checkpoints.
std::array<LayerMember, 9> layer_members(const ModelConfig& c) {
  return {{
      {"wq", &LayerTensors::wq, &LayerAdam::wq, c.q_dim(), c.dim},
      {"wk", &LayerTensors::wk, &LayerAdam::wk, c.kv_dim(), c.dim},
      {"wv", &LayerTensors::wv, &LayerAdam::wv, c.kv_dim(), c.dim},
      {"wo", &LayerTensors::wo, &LayerAdam::wo, c.dim, c.q_dim()},
      {"w1", &LayerTensors::w1, &LayerAdam::w1, c.hidden, c.dim},
      {"w2", &LayerTensors::w2, &LayerAdam::w2, c.dim, c.hidden},
      {"w3", &LayerTensors::w3, &LayerAdam::w3, c.hidden, c.dim},
      {"rms_att", &LayerTensors::rms_att, &LayerAdam::rms_att, c.dim, 1},
      {"rms_ffn", &LayerTensors::rms_ffn, &LayerAdam::rms_ffn, c.dim, 1},
  }};
}

}  // namespace

double ModelConfig::alpha() const {
  if (residual_scale > 0) return residual_scale;
  return 1 / std::sqrt(2 * static_cast<double>(layers));
}

ModelConfig stories110m() { return {}; }

ModelConfig qwen3_06b() {
  ModelConfig config;
  config.layers = 28;
  config.dim = 1024;
  config.hidden = 3072;
  config.heads = 16;
  config.kv_heads = 8;
  config.head_dim = 128;
  config.vocab = 151'936;
  config.eps = 1e-6;
  config.theta = 1e6;
  return config;
}

ModelConfig small_model() {
  ModelConfig config;
  config.layers = 2;
  config.dim = 64;
  config.hidden = 160;
  config.heads = 2;
  config.kv_heads = 2;
  config.head_dim = 32;
  config.seq = 32;
  config.vocab = 256;
  return config;
}

bool check_model(const ModelConfig& config, Diagnostics& diagnostics) {
  const std::size_t errors_before = diagnostics.errors();
  const auto report = [&](std::string message) {
    diagnostics.error(rule<"model.config">.id(), std::move(message));
  };
  const auto check_size = [&](std::string_view name, std::int64_t value, std::int64_t most) {
    if (value < 1 || value > most) {
      report(fmt::format("{} is {}, and a model has from 1 to {}", name, value, most));
    }
  };
  check_size("layers", config.layers, kMostLayers);
  check_size("dim", config.dim, kMostSize);
  check_size("hidden", config.hidden, kMostSize);
  check_size("heads", config.heads, kMostSize);
  check_size("kv_heads", config.kv_heads, kMostSize);
  check_size("head_dim", config.head_dim, kMostSize);
  check_size("seq", config.seq, kMostSize);
  check_size("vocab", config.vocab, kMostSize);
  const bool sizes_are_sound = diagnostics.errors() == errors_before;
  if (config.kv_heads > 0 && config.heads % config.kv_heads != 0) {
    report(fmt::format("kv_heads is {}, which does not divide the {} heads", config.kv_heads,
                       config.heads));
  }
  if (config.head_dim % 2 != 0) {
    report(fmt::format("head_dim is {}, and the rotary embedding takes pairs", config.head_dim));
  }
  const auto check_positive = [&](std::string_view name, double value) {
    if (!std::isfinite(value) || value <= 0) {
      report(fmt::format("{} is {}, and has to be finite and above 0", name, value));
    }
  };
  check_positive("eps", config.eps);
  check_positive("theta", config.theta);
  if (!std::isfinite(config.residual_scale) || config.residual_scale < 0) {
    report(fmt::format("residual_scale is {}, and has to be finite and not below 0",
                       config.residual_scale));
  }
  if (sizes_are_sound && !sizes_fit(config)) {
    report(fmt::format(
        "{} layers of dim {}, hidden {}, {} heads of {}, seq {}, vocab {} take more than 2^63 - 1 "
        "bytes",
        config.layers, config.dim, config.hidden, config.heads, config.head_dim, config.seq,
        config.vocab));
  }
  return diagnostics.errors() == errors_before;
}

std::uint64_t layer_parameters(const ModelConfig& config) {
  std::uint64_t count = 0;
  for (const LayerMember& member : layer_members(config)) {
    count += elements(member.rows, member.columns);
  }
  return count;
}

std::uint64_t model_parameters(const ModelConfig& config) {
  const std::uint64_t embeddings = config.shared_classifier ? 1 : 2;
  return static_cast<std::uint64_t>(config.layers) * layer_parameters(config) +
         elements(config.dim, 1) + embeddings * elements(config.vocab, config.dim);
}

LayerTensors::LayerTensors(const ModelConfig& config) {
  for (const LayerMember& member : layer_members(config)) {
    (this->*member.tensor).resize(elements(member.rows, member.columns));
  }
}

ModelTensors::ModelTensors(const ModelConfig& config)
    : rms_final(elements(config.dim, 1)),
      embed(elements(config.vocab, config.dim)),
      classifier(config.shared_classifier ? 0 : embed.size()) {
  layers.reserve(static_cast<std::size_t>(config.layers));
  for (std::int64_t i = 0; i < config.layers; ++i) layers.emplace_back(config);
}

void ModelTensors::zero() {
  const auto clear = [](std::vector<float>& values) { std::fill(values.begin(), values.end(), 0); };
  for (LayerTensors& layer : layers) {
    for (const LayerMember& member : layer_members({})) clear(layer.*member.tensor);
  }
  clear(rms_final);
  clear(embed);
  clear(classifier);
}

LayerAdam::LayerAdam(const ModelConfig& config) {
  for (const LayerMember& member : layer_members(config)) {
    this->*member.state = AdamState(elements(member.rows, member.columns));
  }
}

ModelAdam::ModelAdam(const ModelConfig& config)
    : rms_final(elements(config.dim, 1)),
      embed(elements(config.vocab, config.dim)),
      classifier(config.shared_classifier ? 0 : embed.m.size()) {
  layers.reserve(static_cast<std::size_t>(config.layers));
  for (std::int64_t i = 0; i < config.layers; ++i) layers.emplace_back(config);
}

LayerActs::LayerActs(const ModelConfig& config) {
  const std::size_t dim = elements(config.dim, config.seq);
  const std::size_t q_dim = elements(config.q_dim(), config.seq);
  const std::size_t kv_dim = elements(config.kv_dim(), config.seq);
  const std::size_t hidden = elements(config.hidden, config.seq);
  for (auto* values : {&layer_in, &xnorm, &o_out, &x2, &x2norm, &ffn_out}) values->resize(dim);
  for (auto* values : {&q, &attn_out}) values->resize(q_dim);
  for (auto* values : {&k, &v}) values->resize(kv_dim);
  for (auto* values : {&h1, &h3, &silu_out}) values->resize(hidden);
}

std::string full_name(const TensorGroup& group) {
  if (group.layer < 0) return std::string(group.name);
  return fmt::format("layers.{}.{}", group.layer, group.name);
}

std::vector<TensorGroup> groups_of(ModelTensors& tensors, const ModelConfig& config) {
  std::vector<TensorGroup> groups;
  for (std::size_t i = 0; i < tensors.layers.size(); ++i) {
    for (const LayerMember& member : layer_members(config)) {
      groups.push_back({member.name, static_cast<std::int64_t>(i), tensors.layers[i].*member.tensor,
                        member.rows, member.columns});
    }
  }
  groups.push_back({"rms_final", -1, tensors.rms_final, config.dim, 1});
  groups.push_back({"embed", -1, tensors.embed, config.vocab, config.dim});
  if (!config.shared_classifier) {
    groups.push_back({"classifier", -1, tensors.classifier, config.vocab, config.dim});
  }
  return groups;
}

std::vector<AdamState*> states_of(ModelAdam& adam) {
  std::vector<AdamState*> states;
  for (LayerAdam& layer : adam.layers) {
    for (const LayerMember& member : layer_members({})) states.push_back(&(layer.*member.state));
  }
  states.push_back(&adam.rms_final);
  states.push_back(&adam.embed);
  if (!adam.classifier.m.empty()) states.push_back(&adam.classifier);
  return states;
}

void initialize(ModelWeights& weights, const ModelConfig& config, std::uint64_t seed) {
  weights = ModelWeights(config);
  for (const TensorGroup& group : groups_of(weights, config)) {
    const std::string name = full_name(group);
    const bool is_gain = group.name.starts_with("rms_");
    MemorySink sink(std::as_writable_bytes(group.values));
    Diagnostics diagnostics;  // an fp32 tensor of known size takes either formula
    fill_weight({.name = name,
                 .dtype = DType::fp32,
                 .shape = is_gain ? Shape{group.rows} : Shape{group.rows, group.columns},
                 .fill = is_gain ? Fill::ones : Fill::uniform},
                seed, sink, diagnostics);
  }
}

}  // namespace milgen::train
