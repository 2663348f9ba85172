// The pipeline beside its numbers (gradient_test.cpp has those): backends, refusals, and where a
// value that is not finite comes from.
#include "milgen/train/pipeline.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "ane/fake.h"
#include "train/train_data.h"

using namespace milgen;
using namespace milgen::train;
using milgen::test::bits_of;
using milgen::test::errors_of;
using milgen::test::FakeEnvironment;
using milgen::test::FakeScope;
using milgen::test::opened;
using milgen::test::ramp;
using milgen::test::tiny_config;

namespace {

struct Computed {
  double loss = 0;
  std::vector<std::uint32_t> gradients;  // the bits of all of them
  std::int64_t compiles = 0;
};

Computed compute(const ModelConfig& config, const PipelineOptions& options) {
  ModelWeights weights;
  initialize(weights, config, 3);
  Pipeline pipeline = opened(config, options, weights);
  ModelGrads grads(config);
  const std::vector<std::int32_t> tokens = ramp(config);
  const auto seq = static_cast<std::size_t>(config.seq);
  Computed result;
  Diagnostics diagnostics;
  REQUIRE_MESSAGE(pipeline.step(Tokens(tokens).first(seq), Tokens(tokens).last(seq), grads,
                                result.loss, diagnostics),
                  render(diagnostics));
  result.gradients = bits_of(grads, config);
  result.compiles = pipeline.times().compiles;
  return result;
}

}  // namespace

TEST_CASE("the fake engine gives the bits of the CPU, in every way of the weights") {
  for (const KernelSet set : {KernelSet::stories, KernelSet::dynamic}) {
    const ModelConfig config = tiny_config(set);
    PipelineOptions options{.kernels = set, .loss_scale = 256};
    const Computed on_cpu = compute(config, options);
    CHECK(std::isfinite(on_cpu.loss));
    for (const WeightsAs as : {WeightsAs::constant, WeightsAs::param, WeightsAs::packed}) {
      CAPTURE(kernel_set_name(set));
      CAPTURE(weights_as_name(as));
      FakeScope fake;
      const FakeEnvironment environment;
      options.backend = &ane_backend();
      options.weights_as = as;
      const Computed on_engine = compute(config, options);
      CHECK(on_engine.loss == on_cpu.loss);
      CHECK(on_engine.gradients == on_cpu.gradients);
      // Once a kernel, or once a layer and kernel.
      const std::int64_t kernels = set == KernelSet::stories ? 6 : 10;
      if (as != WeightsAs::constant) CHECK(on_engine.compiles == kernels);
    }
  }
}

TEST_CASE("the classifier by kernels is the one of the host, but for fp16") {
  ModelConfig config = tiny_config(KernelSet::dynamic);
  PipelineOptions options{.loss_scale = 256};
  const Computed on_host = compute(config, options);
  options.classifier = ClassifierOn::kernels;
  const Computed by_kernels = compute(config, options);
  CHECK(by_kernels.loss == doctest::Approx(on_host.loss).epsilon(1e-3));
  options.weights_as = WeightsAs::packed;
  CHECK(compute(config, options).gradients == by_kernels.gradients);
  // Two slices of the vocabulary, and more columns than a packed input takes.
  config.vocab = 16'500;
  options.mode = NumericMode::fast;
  CHECK(compute(config, options).loss == doctest::Approx(std::log(16'500)).epsilon(0.05));
}

TEST_CASE("a compact vocabulary is a softmax over the tokens that occur") {
  const ModelConfig config = tiny_config(KernelSet::dynamic);
  const std::vector<std::int32_t> tokens = ramp(config);
  PipelineOptions options;
  Diagnostics diagnostics;
  REQUIRE(compact_vocab(tokens, config.vocab, options.vocab, diagnostics));
  const auto rows = static_cast<std::int64_t>(options.vocab.full.size());
  REQUIRE(rows < config.vocab);
  ModelWeights weights;
  initialize(weights, config, 3);
  Pipeline pipeline = opened(config, options, weights);
  CHECK(pipeline.logit_rows() == rows);
  CHECK(pipeline.held_bytes() > 0);
  const auto seq = static_cast<std::size_t>(config.seq);
  ModelGrads grads(config);
  double loss = 0;
  REQUIRE(
      pipeline.step(Tokens(tokens).first(seq), Tokens(tokens).last(seq), grads, loss, diagnostics));
  CHECK(loss == doctest::Approx(std::log(static_cast<double>(rows))).epsilon(0.1));
  // Rows of tokens that do not occur have no gradient.
  for (std::int64_t token = 0; token < config.vocab; ++token) {
    const float gradient = grads.embed[static_cast<std::size_t>(token * config.dim)];
    CHECK((gradient != 0) == (options.vocab.compact[static_cast<std::size_t>(token)] >= 0));
  }
  std::vector<std::int32_t> others = tokens;
  while (options.vocab.compact[static_cast<std::size_t>(others[5])] >= 0) ++others[5];
  CHECK_FALSE(pipeline.step(Tokens(tokens).first(seq), Tokens(others).first(seq), grads, loss,
                            diagnostics));
  CHECK(errors_of(diagnostics) == "target 5 is " + std::to_string(others[5]) +
                                      ", which is not among the " + std::to_string(rows) +
                                      " tokens that the classifier was made for [model.token]\n");
}

TEST_CASE("logits do not depend on what follows, and evaluate() is the loss of step()") {
  const ModelConfig config = tiny_config(KernelSet::dynamic);
  ModelWeights weights;
  initialize(weights, config, 3);
  Pipeline pipeline = opened(config, {.weights_as = WeightsAs::param}, weights);
  const std::vector<std::int32_t> tokens = ramp(config);
  const auto seq = static_cast<std::size_t>(config.seq);
  const auto rows = static_cast<std::size_t>(config.vocab);
  Diagnostics diagnostics;
  std::vector<float> whole(rows * seq);
  std::vector<float> part(rows * seq);
  REQUIRE(pipeline.forward(Tokens(tokens).first(seq), whole, diagnostics));
  REQUIRE(pipeline.forward(Tokens(tokens).first(5), part, diagnostics));
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t s = 0; s < 5; ++s) CHECK(whole[row * seq + s] == part[row * seq + s]);
  }
  ModelGrads grads(config);
  double evaluated = 0;
  double stepped = 0;
  REQUIRE(pipeline.evaluate(Tokens(tokens).first(seq), Tokens(tokens).last(seq), evaluated,
                            diagnostics));
  REQUIRE(pipeline.step(Tokens(tokens).first(seq), Tokens(tokens).last(seq), grads, stepped,
                        diagnostics));
  CHECK(evaluated == stepped);
  // The mean over sequences is made of parts.
  ModelGrads halves(config);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(pipeline.step(Tokens(tokens).first(seq), Tokens(tokens).last(seq), halves, stepped,
                          diagnostics, 0.5f));
  }
  CHECK(halves.rms_final[3] == doctest::Approx(grads.rms_final[3]).epsilon(1e-5));
  CHECK(pipeline.times().kernel_runs > 0);
  CHECK(pipeline.times().step_ms() > 0);
  pipeline.reset_times();
  CHECK(pipeline.times().kernel_runs == 0);
}

TEST_CASE("what does not fit a set or a sequence is refused") {
  Diagnostics diagnostics;
  Pipeline pipeline;
  ModelConfig config = tiny_config(KernelSet::dynamic);
  config.kv_heads = 1;
  config.head_dim = 32;
  config.residual_scale = 0;
  CHECK_FALSE(pipeline.open(config, {.kernels = KernelSet::stories}, diagnostics));
  CHECK(errors_of(diagnostics) ==
        "kernel set stories gives every head keys and values of its own, and the model has 2 heads "
        "with 1 kv_heads [model.config]\n"
        "kernel set stories takes heads * head_dim = dim, and 2 * 32 is not 32 [model.config]\n"
        "kernel set stories has the residual scale 1, and the model has 0.5 [model.config]\n");
  for (const float scale : {0.0f, -1.0f, std::numeric_limits<float>::infinity()}) {
    diagnostics.clear();
    CHECK_FALSE(pipeline.open(config, {.loss_scale = scale}, diagnostics));
    CHECK(errors_of(diagnostics).ends_with("but has to be finite and above 0 [train.option]\n"));
  }
  const auto refused_vocab = [&](const CompactVocab& vocab) {
    diagnostics.clear();
    CHECK_FALSE(pipeline.open(config, {.vocab = vocab}, diagnostics));
    return errors_of(diagnostics);
  };
  CompactVocab vocab;
  REQUIRE(compact_vocab(std::vector<std::int32_t>{3, 5}, config.vocab, vocab, diagnostics));
  vocab.compact[7] = 2;
  CHECK(refused_vocab(vocab) ==
        "token 7 has row 2 of the compact vocabulary, which has 2 [model.config]\n");
  vocab.full[1] = 48;
  CHECK(refused_vocab(vocab) ==
        "row 1 of the compact vocabulary is token 48, which is not of that row, or not below 48 "
        "[model.config]\n");
  vocab.compact.resize(40);
  CHECK(refused_vocab(vocab) ==
        "the compact vocabulary is of 40 tokens, and the model has 48 [model.config]\n");
  diagnostics.clear();
  config.heads = 0;
  CHECK_FALSE(pipeline.open(config, {}, diagnostics));
  CHECK(errors_of(diagnostics).find("[model.config]") != std::string::npos);

  config = tiny_config(KernelSet::dynamic);
  diagnostics.clear();
  REQUIRE(pipeline.open(config, {}, diagnostics));
  std::vector<std::int32_t> tokens = ramp(config);
  const auto seq = static_cast<std::size_t>(config.seq);
  std::vector<float> logits(static_cast<std::size_t>(config.vocab) * seq);
  CHECK_FALSE(pipeline.forward(Tokens(tokens).first(1), logits, diagnostics));
  CHECK(errors_of(diagnostics) ==
        "the pipeline has no weights yet: refresh() hands them over [train.option]\n");
  ModelWeights weights;
  initialize(weights, small_model(), 3);
  diagnostics.clear();
  CHECK_FALSE(pipeline.refresh(weights, diagnostics));
  CHECK(errors_of(diagnostics) ==
        "layers.0.wq has 4096 values, but the model's has [64, 32] [model.tensor]\n");
  initialize(weights, config, 3);
  REQUIRE(pipeline.refresh(weights, diagnostics));
  ModelGrads none;
  double loss = 0;
  diagnostics.clear();
  CHECK_FALSE(
      pipeline.step(Tokens(tokens).first(seq), Tokens(tokens).first(seq), none, loss, diagnostics));
  CHECK(errors_of(diagnostics) ==
        "there are tensors of 0 layers, but the model has 2 [model.tensor]\n");
  const auto refused = [&](std::size_t count) {
    diagnostics.clear();
    CHECK_FALSE(pipeline.evaluate(Tokens(tokens).first(count), Tokens(tokens).first(count), loss,
                                  diagnostics));
    return errors_of(diagnostics);
  };
  CHECK(refused(31) == "31 tokens are given, and the model's sequence has 32 [model.config]\n");
  tokens[4] = 48;
  CHECK(refused(32) == "token 4 is 48, and the vocabulary has 48 [model.token]\n");
  tokens[4] = -1;
  CHECK(refused(32) == "token 4 is -1, and the vocabulary has 48 [model.token]\n");
}

TEST_CASE("the first op that makes a value that is not finite is found") {
  const auto found = [](KernelSet set, WeightsAs as, const auto& damage, float loss_scale,
                        ClassifierOn classifier = ClassifierOn::host) {
    const ModelConfig config = tiny_config(set);
    ModelWeights weights;
    initialize(weights, config, 3);
    damage(weights);
    Pipeline pipeline = opened(
        config,
        {.kernels = set, .weights_as = as, .loss_scale = loss_scale, .classifier = classifier},
        weights);
    const std::vector<std::int32_t> tokens = ramp(config);
    const auto seq = static_cast<std::size_t>(config.seq);
    NonFiniteOrigin origin;
    Diagnostics diagnostics;
    REQUIRE(pipeline.find_nonfinite(Tokens(tokens).first(seq), Tokens(tokens).last(seq), origin,
                                    diagnostics));
    CHECK(errors_of(diagnostics).empty());
    return origin.text();
  };
  const auto nothing = [](ModelWeights&) {};
  CHECK(found(KernelSet::dynamic, WeightsAs::param, nothing, 1) ==
        "nothing that is not finite was found");
  const auto infinite = [](ModelWeights& weights) { weights.layers[1].w1[3] = 70'000; };
  CHECK(found(KernelSet::dynamic, WeightsAs::param, infinite, 1) ==
        "layer 1 weight w1 of ffn_fused as fp16 is inf at element 3");
  CHECK(found(KernelSet::stories, WeightsAs::constant, infinite, 1) ==
        "layer 1 weight w1 of ffn_fwd_taps as fp16 is inf at element 3");
  const auto large = [](ModelWeights& weights) { weights.layers[1].w3.assign(64 * 32, 60'000); };
  CHECK(found(KernelSet::dynamic, WeightsAs::param, large, 1)
            .starts_with("op 'matmul' of layer 1 ffn_fused makes "));
  CHECK(found(KernelSet::stories, WeightsAs::constant, large, 1)
            .starts_with("op 'conv' of layer 1 ffn_fwd_taps makes "));
  const auto embedding = [](ModelWeights& weights) { weights.embed.assign(48 * 32, NAN); };
  CHECK(found(KernelSet::dynamic, WeightsAs::param, embedding, 1) ==
        "embedding is nan at element 0");
  // A token that does not occur: its row is the classifier's alone.
  const auto last_row = [](ModelWeights& weights) {
    std::fill_n(weights.embed.begin() + 47 * 32, 32, 60'000.0f);
  };
  CHECK(found(KernelSet::dynamic, WeightsAs::param, last_row, 1, ClassifierOn::kernels)
            .starts_with("op 'matmul' of classifier_fwd makes "));
  const auto gain = [](ModelWeights& weights) { weights.rms_final[2] = NAN; };
  CHECK(found(KernelSet::dynamic, WeightsAs::param, gain, 1).starts_with("logits is nan"));
  CHECK(found(KernelSet::dynamic, WeightsAs::param, nothing, 1e9f)
            .starts_with("layer 1 dffn as fp16 is "));
}
