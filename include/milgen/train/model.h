// A Llama-style model: its sizes and its tensors. All tensors are fp32, row-major, and belong to
// the structure that has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/diagnostic.h"

namespace milgen::train {

/// Sizes of a model. The defaults are Stories110M.
struct ModelConfig {
  std::int64_t layers = 12;
  std::int64_t dim = 768;      ///< D, channels of the residual stream
  std::int64_t hidden = 2048;  ///< H, channels inside the feed-forward block
  std::int64_t heads = 12;     ///< N, query heads
  std::int64_t kv_heads = 12;  ///< key and value heads; divides heads
  std::int64_t head_dim = 64;  ///< d
  std::int64_t seq = 256;      ///< S, positions of a training sequence
  std::int64_t vocab = 32000;  ///< V
  double eps = 1e-5;           ///< added to the mean square in RMSNorm
  double theta = 10000;        ///< base of the rotary embedding
  /// Factor of what a block adds to the residual stream; 0: 1 / sqrt(2 * layers). A llama2.c model
  /// has 1.
  double residual_scale = 1;
  /// The classifier is the embedding.
  bool shared_classifier = true;

  std::int64_t q_dim() const { return heads * head_dim; }      ///< Q
  std::int64_t kv_dim() const { return kv_heads * head_dim; }  ///< KV
  /// residual_scale, with 0 replaced.
  double alpha() const;

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// 12 layers, dim 768, hidden 2048, 12 heads of 64, seq 256, vocab 32000.
ModelConfig stories110m();
/// The shape of Qwen3-0.6B: 28 layers, dim 1024, hidden 3072, 16 query and 8 key-value heads of
/// 128, vocab 151,936, theta 1e6, eps 1e-6. The real model also normalises q and k of each head.
ModelConfig qwen3_06b();
/// 2 layers, dim 64, hidden 160, 2 heads of 32, seq 32, vocab 256.
ModelConfig small_model();

/// Reports `model.config` for every rule that is broken: each size 1 to 2^20 (layers to 4096),
/// kv_heads divides heads, head_dim is even, eps and theta finite and above 0, residual_scale
/// finite and not below 0, and all sizes in bytes fit in 63 bits.
bool check_model(const ModelConfig& config, Diagnostics& diagnostics);

/// 2 Q D + 2 KV D + 3 H D + 2 D
std::uint64_t layer_parameters(const ModelConfig& config);
/// All layers, rms_final, embedding, and the classifier when it is one of its own.
std::uint64_t model_parameters(const ModelConfig& config);

/// The tensors of one layer: its weights, or their gradients.
struct LayerTensors {
  std::vector<float> wq;       ///< [Q, D]
  std::vector<float> wk;       ///< [KV, D]
  std::vector<float> wv;       ///< [KV, D]
  std::vector<float> wo;       ///< [D, Q]
  std::vector<float> w1;       ///< [H, D], gate
  std::vector<float> w2;       ///< [D, H], down
  std::vector<float> w3;       ///< [H, D], up
  std::vector<float> rms_att;  ///< [D]
  std::vector<float> rms_ffn;  ///< [D]

  LayerTensors() = default;
  /// Zeros.
  explicit LayerTensors(const ModelConfig& config);
};
using LayerWeights = LayerTensors;
using LayerGrads = LayerTensors;

/// The tensors of a model: its weights, or their gradients.
struct ModelTensors {
  std::vector<LayerTensors> layers;
  std::vector<float> rms_final;   ///< [D]
  std::vector<float> embed;       ///< [V, D]
  std::vector<float> classifier;  ///< [V, D]; empty where the embedding is the classifier

  ModelTensors() = default;
  explicit ModelTensors(const ModelConfig& config);
  void zero();
};
using ModelWeights = ModelTensors;
using ModelGrads = ModelTensors;

/// First and second moments of one tensor.
struct AdamState {
  std::vector<float> m;
  std::vector<float> v;

  AdamState() = default;
  explicit AdamState(std::size_t count) : m(count), v(count) {}
};

struct LayerAdam {
  AdamState wq, wk, wv, wo, w1, w2, w3, rms_att, rms_ffn;

  LayerAdam() = default;
  explicit LayerAdam(const ModelConfig& config);
};

struct ModelAdam {
  std::vector<LayerAdam> layers;
  AdamState rms_final, embed, classifier;

  ModelAdam() = default;
  explicit ModelAdam(const ModelConfig& config);
};

/// What the forward pass of a layer keeps for the backward pass; [C, S] each, channel-first.
struct LayerActs {
  std::vector<float> layer_in;  ///< [D, S]
  std::vector<float> xnorm;     ///< [D, S]
  std::vector<float> q;         ///< [Q, S], rotated where the model rotates
  std::vector<float> k, v;      ///< [KV, S]
  std::vector<float> attn_out;  ///< [Q, S], before wo
  std::vector<float> o_out;     ///< [D, S]
  std::vector<float> x2;        ///< [D, S], residual after attention
  std::vector<float> x2norm;    ///< [D, S]
  std::vector<float> h1, h3;    ///< [H, S]
  std::vector<float> silu_out;  ///< [H, S], silu(h1) * h3
  std::vector<float> ffn_out;   ///< [D, S]

  LayerActs() = default;
  explicit LayerActs(const ModelConfig& config);
};

/// One tensor of a model.
struct TensorGroup {
  std::string_view name;    ///< "wq" ..., "rms_final", "embed", "classifier"
  std::int64_t layer = -1;  ///< -1: in no layer
  std::span<float> values;
  std::int64_t rows = 0;
  std::int64_t columns = 0;  ///< 1 for gains
};

/// "layers.3.wq"; the name itself for what is in no layer.
std::string full_name(const TensorGroup& group);

/// All tensors in the order of checkpoints: per layer wq wk wv wo w1 w2 w3 rms_att rms_ffn, then
/// rms_final, embed, and the classifier where there is one. The same order for AdamState.
std::vector<TensorGroup> groups_of(ModelTensors& tensors, const ModelConfig& config);
std::vector<AdamState*> states_of(ModelAdam& adam);

/// Makes the tensors of the model and fills them by a seed, the same on every machine: matrices
/// and the embedding uniform in +-1/sqrt(columns), gains 1. The formula is that of
/// golden/README.md, "Seeded weights", with the names of full_name().
void initialize(ModelWeights& weights, const ModelConfig& config, std::uint64_t seed);

}  // namespace milgen::train
