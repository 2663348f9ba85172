#include "milgen/train/model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "milgen/array.h"
#include "milgen/fill.h"

namespace milgen::train {
namespace {

/// The messages that a config gives, one a line.
std::string faults(const ModelConfig& config) {
  Diagnostics diagnostics;
  const bool sound = check_model(config, diagnostics);
  CHECK_EQ(sound, !diagnostics.has_errors());
  std::string text;
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    CHECK_EQ(diagnostic.id, "model.config");
    text += diagnostic.message + "\n";
  }
  return text;
}

template <class Change>
std::string faults_of(const Change& change) {
  ModelConfig config = small_model();
  change(config);
  return faults(config);
}

TEST_CASE("the models of the field have their sizes") {
  CHECK_EQ(faults(stories110m()), "");
  CHECK_EQ(faults(qwen3_06b()), "");
  CHECK_EQ(faults(small_model()), "");
  // 12 * (4 * 768^2 + 3 * 768 * 2048 + 2 * 768) + 768 + 32000 * 768
  CHECK_EQ(model_parameters(stories110m()), 109'529'856u);
  CHECK_EQ(layer_parameters(stories110m()), 7'079'424u);
  // Qwen3-0.6B has 596,049,920 parameters, 28 * 2 * 128 of which are the norms of q and k.
  CHECK_EQ(model_parameters(qwen3_06b()), 596'049'920u - 28 * 2 * 128);
  ModelConfig unshared = small_model();
  unshared.shared_classifier = false;
  CHECK_EQ(model_parameters(unshared), model_parameters(small_model()) + 256 * 64);
}

TEST_CASE("the factor of a block's result") {
  ModelConfig config;
  CHECK_EQ(config.alpha(), 1.0);
  config.residual_scale = 0;
  CHECK_EQ(config.alpha(), doctest::Approx(1 / std::sqrt(24.0)));
  config.residual_scale = 0.25;
  CHECK_EQ(config.alpha(), 0.25);
}

TEST_CASE("a config that breaks a rule is refused") {
  CHECK_EQ(faults_of([](ModelConfig& c) { c.layers = 0; }),
           "layers is 0, and a model has from 1 to 4096\n");
  CHECK_EQ(faults_of([](ModelConfig& c) { c.vocab = 1 << 21; }),
           "vocab is 2097152, and a model has from 1 to 1048576\n");
  CHECK_EQ(faults_of([](ModelConfig& c) { c.dim = std::numeric_limits<std::int64_t>::min(); }),
           "dim is -9223372036854775808, and a model has from 1 to 1048576\n");
  CHECK_EQ(faults_of([](ModelConfig& c) {
             c.heads = 12;
             c.kv_heads = 5;
           }),
           "kv_heads is 5, which does not divide the 12 heads\n");
  CHECK_EQ(faults_of([](ModelConfig& c) { c.kv_heads = 0; }),
           "kv_heads is 0, and a model has from 1 to 1048576\n");
  CHECK_EQ(faults_of([](ModelConfig& c) { c.head_dim = 33; }),
           "head_dim is 33, and the rotary embedding takes pairs\n");
  CHECK_EQ(faults_of([](ModelConfig& c) { c.eps = 0; }),
           "eps is 0, and has to be finite and above 0\n");
  CHECK_EQ(faults_of([](ModelConfig& c) { c.theta = -2.5; }),
           "theta is -2.5, and has to be finite and above 0\n");
  CHECK_EQ(faults_of([](ModelConfig& c) { c.theta = std::nan(""); }),
           "theta is nan, and has to be finite and above 0\n");
  CHECK_EQ(faults_of([](ModelConfig& c) { c.residual_scale = -1; }),
           "residual_scale is -1, and has to be finite and not below 0\n");
  CHECK_EQ(faults_of([](ModelConfig& c) {
             c.seq = 0;
             c.eps = -1;
           }),
           "seq is 0, and a model has from 1 to 1048576\n"
           "eps is -1, and has to be finite and above 0\n");
}

TEST_CASE("sizes that do not fit together in 63 bits are refused") {
  constexpr std::int64_t kMost = 1 << 20;
  CHECK_EQ(faults_of([](ModelConfig& c) {
             c.layers = 4096;
             c.dim = c.hidden = c.heads = c.kv_heads = c.head_dim = c.seq = c.vocab = kMost;
           }),
           "4096 layers of dim 1048576, hidden 1048576, 1048576 heads of 1048576, seq 1048576, "
           "vocab 1048576 take more than 2^63 - 1 bytes\n");
  CHECK_EQ(faults_of([](ModelConfig& c) { c.dim = c.hidden = c.vocab = kMost; }), "");
}

TEST_CASE("groups are in the order of checkpoints") {
  ModelConfig config = small_model();
  config.kv_heads = 1;
  config.shared_classifier = false;
  ModelWeights weights(config);
  ModelAdam adam(config);
  const std::vector<TensorGroup> groups = groups_of(weights, config);
  const std::vector<AdamState*> states = states_of(adam);
  std::string names;
  std::uint64_t total = 0;
  REQUIRE_EQ(groups.size(), states.size());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    names += full_name(groups[i]) + " ";
    total += groups[i].values.size();
    const auto count = static_cast<std::size_t>(groups[i].rows * groups[i].columns);
    CHECK_EQ(groups[i].values.size(), count);
    CHECK_EQ(states[i]->m.size(), count);
    CHECK_EQ(states[i]->v.size(), count);
  }
  CHECK_EQ(names,
           "layers.0.wq layers.0.wk layers.0.wv layers.0.wo layers.0.w1 layers.0.w2 layers.0.w3 "
           "layers.0.rms_att layers.0.rms_ffn layers.1.wq layers.1.wk layers.1.wv layers.1.wo "
           "layers.1.w1 layers.1.w2 layers.1.w3 layers.1.rms_att layers.1.rms_ffn rms_final embed "
           "classifier ");
  CHECK_EQ(total, model_parameters(config));
  CHECK_EQ(groups[1].values.data(), weights.layers[0].wk.data());
  CHECK_EQ(states[11], &adam.layers[1].wv);
  CHECK_EQ(groups[1].rows, 32);
  CHECK_EQ(groups[1].columns, 64);
  CHECK_EQ(groups[7].columns, 1);

  config.shared_classifier = true;
  ModelWeights shared(config);
  ModelAdam shared_adam(config);
  CHECK_EQ(groups_of(shared, config).size(), 20u);
  CHECK_EQ(states_of(shared_adam).size(), 20u);
  CHECK(shared.classifier.empty());
}

TEST_CASE("gradients become zero") {
  ModelConfig config = small_model();
  config.shared_classifier = false;
  ModelGrads grads(config);
  for (const TensorGroup& group : groups_of(grads, config)) {
    std::fill(group.values.begin(), group.values.end(), 1.5f);
  }
  grads.zero();
  for (const TensorGroup& group : groups_of(grads, config)) {
    for (const float value : group.values) REQUIRE_EQ(value, 0.0f);
  }
}

TEST_CASE("activations have the sizes of their channels") {
  ModelConfig config = small_model();
  config.heads = 4;
  config.kv_heads = 1;
  const LayerActs acts(config);
  CHECK_EQ(acts.layer_in.size(), 64u * 32);
  CHECK_EQ(acts.q.size(), 128u * 32);
  CHECK_EQ(acts.k.size(), 32u * 32);
  CHECK_EQ(acts.attn_out.size(), 128u * 32);
  CHECK_EQ(acts.h3.size(), 160u * 32);
  CHECK_EQ(acts.ffn_out.size(), 64u * 32);
}

TEST_CASE("seeded weights are those of the documented formula") {
  ModelConfig config = small_model();
  config.shared_classifier = false;
  ModelWeights weights;
  initialize(weights, config, 3);
  // fill_seeded() is 2u - 1 of the same generator.
  Array unit(DType::fp64, {64, 160});
  fill_seeded(unit, "layers.1.w2", 3);
  for (std::int64_t i = 0; i < unit.size(); ++i) {
    const auto want = static_cast<float>(unit.real(i) / std::sqrt(160.0));
    REQUIRE_EQ(weights.layers[1].w2[static_cast<std::size_t>(i)], want);
  }
  for (const float gain : weights.rms_final) REQUIRE_EQ(gain, 1.0f);
  for (const float gain : weights.layers[0].rms_att) REQUIRE_EQ(gain, 1.0f);
  for (const float value : weights.embed) REQUIRE(std::abs(value) <= 0.125f);
  CHECK(weights.embed != weights.classifier);
  CHECK(weights.layers[0].wq != weights.layers[1].wq);

  ModelWeights again;
  initialize(again, config, 3);
  CHECK(again.layers[1].w3 == weights.layers[1].w3);
  initialize(again, config, 4);
  CHECK(again.layers[1].w3 != weights.layers[1].w3);
}

TEST_CASE("a matrix of one column is no gain") {
  ModelConfig config = small_model();
  config.dim = 1;
  ModelWeights weights;
  initialize(weights, config, 0);
  CHECK(weights.layers[0].wq[0] != 1.0f);
  CHECK_EQ(weights.layers[0].rms_att[0], 1.0f);
}

}  // namespace
}  // namespace milgen::train
