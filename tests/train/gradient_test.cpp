// The proof of the pipeline: gradients, two full steps and logits of small models against an
// independent implementation (tests/numeric/train_reference.py; golden/README.md, "Training", has
// the format of its files). `--success` shows the tables of every tensor.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "milgen/array.h"
#include "milgen/fill.h"
#include "milgen/train/host_ops.h"
#include "milgen/train/llama2c.h"
#include "milgen/train/model.h"
#include "milgen/train/pipeline.h"

using namespace milgen;
using namespace milgen::train;

namespace {

using Json = nlohmann::json;

// What rounding to fp16 between the ops may cost. Measured: cosines from 0.999994 on, relative L2
// up to 3.5e-3 (gradients) and 5.5e-3 (steps), losses within 4e-4. One gain too many in the
// backward pass of a norm costs 2e-2 to 2e-1.
constexpr double kLeastCosine = 0.9999;
constexpr double kMostRelativeL2 = 1e-2;
// Of the way that weights go in two steps, not of the weights.
constexpr double kMostStepError = 1e-2;
constexpr double kMostLossError = 1e-3;  // relative
/// The gradients of these models go from 1e-5 to 1; fp16 loses bits below 6e-5.
constexpr float kLossScale = 256;

std::string golden_path(std::string_view name) {
  return fmt::format("{}/golden/numeric/train/{}", MILGEN_SOURCE_DIR, name);
}

/// The lines of a golden behind its origin.
std::vector<Json> golden_rows(std::string_view name) {
  std::ifstream in(golden_path(name));
  std::vector<Json> rows;
  for (std::string line; std::getline(in, line);) rows.push_back(Json::parse(line));
  REQUIRE(rows.size() > 1);
  rows.erase(rows.begin());
  return rows;
}

ModelConfig config_of(const Json& json) {
  ModelConfig config;
  config.layers = json["layers"];
  config.dim = json["dim"];
  config.hidden = json["hidden"];
  config.heads = json["heads"];
  config.kv_heads = json["kv_heads"];
  config.head_dim = json["head_dim"];
  config.seq = json["seq"];
  config.vocab = json["vocab"];
  config.eps = json["eps"];
  config.theta = json["theta"];
  config.residual_scale = json["residual_scale"];
  config.shared_classifier = json["shared_classifier"];
  return config;
}

struct Sequence {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> targets;
};

/// A tensor of the reference.
struct Expected {
  std::string name;
  std::vector<double> gradient;
  std::vector<double> stepped;
};

struct Reference {
  ModelConfig config;
  std::uint64_t seed = 0;
  AdamOptions adam;
  std::vector<Sequence> sequences;
  std::vector<double> losses;
  std::vector<Expected> tensors;

  explicit Reference(std::string_view golden) {
    const std::vector<Json> rows = golden_rows(golden);
    const Json& head = rows.front();
    config = config_of(head["config"]);
    seed = head["seed"];
    adam = {.lr = head["adam"]["lr"],
            .beta1 = head["adam"]["beta1"],
            .beta2 = head["adam"]["beta2"],
            .eps = head["adam"]["eps"]};
    for (std::size_t i = 0; i < head["tokens"].size(); ++i) {
      sequences.push_back({head["tokens"][i], head["targets"][i]});
    }
    losses = head["losses"].get<std::vector<double>>();
    for (auto row = rows.begin() + 1; row != rows.end(); ++row) {
      tensors.push_back({(*row)["name"], (*row)["gradient"], (*row)["stepped"]});
    }
  }

  /// Those of initialize(), and gains that differ from 1.
  ModelWeights weights() const {
    ModelWeights made(config);
    initialize(made, config, seed);
    for (TensorGroup& group : groups_of(made, config)) {
      if (group.columns != 1) continue;
      Array unit(DType::fp32, {group.rows});
      fill_seeded(unit, full_name(group), seed);
      const auto values = unit.as<float>();
      std::transform(values.begin(), values.end(), group.values.begin(),
                     [](float u) { return 1 + u / 2; });
    }
    return made;
  }

  static std::string full_name(const TensorGroup& group) {
    return group.layer < 0 ? std::string(group.name)
                           : fmt::format("layers.{}.{}", group.layer, group.name);
  }
};

/// One way of running a model.
struct Way {
  const char* name;
  const char* golden;
  KernelSet kernels;
  WeightsAs weights_as;
  ClassifierOn classifier = ClassifierOn::host;
};

constexpr Way kWays[] = {
    {"static, const", "static.jsonl", KernelSet::stories, WeightsAs::constant},
    {"static, const, classifier by kernels", "static.jsonl", KernelSet::stories,
     WeightsAs::constant, ClassifierOn::kernels},
    {"run-time, const", "run_time.jsonl", KernelSet::dynamic, WeightsAs::constant},
    {"run-time, param", "run_time.jsonl", KernelSet::dynamic, WeightsAs::param},
    {"run-time, packed", "run_time.jsonl", KernelSet::dynamic, WeightsAs::packed},
    {"run-time, param, classifier by kernels", "run_time.jsonl", KernelSet::dynamic,
     WeightsAs::param, ClassifierOn::kernels},
};

void open(Pipeline& pipeline, const Way& way, const ModelConfig& config,
          const CompactVocab& vocab = {}) {
  Diagnostics diagnostics;
  const bool good = pipeline.open(config,
                                  {.kernels = way.kernels,
                                   .weights_as = way.weights_as,
                                   .mode = NumericMode::exact,
                                   .threads = 1,
                                   .loss_scale = kLossScale,
                                   .classifier = way.classifier,
                                   .vocab = vocab},
                                  diagnostics);
  REQUIRE_MESSAGE(good, render(diagnostics));
}

/// Refreshes and runs; adds to `grads`.
double step(Pipeline& pipeline, const ModelWeights& weights, const Sequence& sequence,
            ModelGrads& grads) {
  Diagnostics diagnostics;
  double loss = 0;
  const bool good = pipeline.refresh(weights, diagnostics) &&
                    pipeline.step(sequence.tokens, sequence.targets, grads, loss, diagnostics);
  REQUIRE_MESSAGE(good, render(diagnostics));
  return loss;
}

/// How far values are from what they should be.
struct Distance {
  double cosine;
  double relative_l2;
};

/// Of `got - origin` from `want - origin`; without an origin it is 0.
Distance distance(std::span<const float> got, const std::vector<double>& want,
                  std::span<const float> origin = {}) {
  REQUIRE(got.size() == want.size());
  double gg = 0;
  double ww = 0;
  double gw = 0;
  double dd = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double from = origin.empty() ? 0 : static_cast<double>(origin[i]);
    const double g = static_cast<double>(got[i]) - from;
    const double w = want[i] - from;
    gg += g * g;
    ww += w * w;
    gw += g * w;
    dd += (g - w) * (g - w);
  }
  return {gw / std::sqrt(gg * ww), std::sqrt(dd / ww)};
}

/// A table of distances, shown where one is too large, and by `--success`.
class Table {
 public:
  explicit Table(std::string_view title)
      : text_(fmt::format("{}\n{:<20} {:>10} {:>12}\n", title, "tensor", "cosine", "relative L2")) {
  }
  void add(const std::string& name, const Distance& d) {
    text_ += fmt::format("{:<20} {:>10.7f} {:>12.2e}\n", name, d.cosine, d.relative_l2);
    // So that what is not a number is the worst.
    if (!(d.cosine >= worst_.cosine)) worst_.cosine = d.cosine;
    if (!(d.relative_l2 <= worst_.relative_l2)) worst_.relative_l2 = d.relative_l2;
  }
  const std::string& text() const { return text_; }
  const Distance& worst() const { return worst_; }

 private:
  std::string text_;
  Distance worst_ = {1, 0};
};

std::vector<float> flat(ModelTensors& tensors, const ModelConfig& config) {
  std::vector<float> all;
  for (const TensorGroup& group : groups_of(tensors, config)) {
    all.insert(all.end(), group.values.begin(), group.values.end());
  }
  return all;
}

void adam_step(ModelWeights& weights, ModelGrads& grads, ModelAdam& state, std::int64_t t,
               const Reference& reference) {
  std::vector<TensorGroup> to = groups_of(weights, reference.config);
  const std::vector<TensorGroup> from = groups_of(grads, reference.config);
  const std::vector<AdamState*> states = states_of(state);
  REQUIRE(to.size() == from.size());
  REQUIRE(to.size() == states.size());
  HostOps host(NumericMode::exact, 1);
  for (std::size_t i = 0; i < to.size(); ++i) {
    host.adam_update(to[i].values, from[i].values, *states[i], t, reference.adam);
  }
}

}  // namespace

TEST_CASE("gradients of every tensor are those of central differences") {
  for (const Way& way : kWays) {
    const Reference reference(way.golden);
    ModelWeights weights = reference.weights();
    ModelGrads grads(reference.config);
    Pipeline pipeline;
    open(pipeline, way, reference.config);
    const double loss = step(pipeline, weights, reference.sequences[0], grads);

    const std::vector<TensorGroup> groups = groups_of(grads, reference.config);
    REQUIRE(groups.size() == reference.tensors.size());
    Table table(fmt::format("{}, loss scale {}, loss {:.7f} for {:.7f}", way.name, kLossScale, loss,
                            reference.losses[0]));
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const Expected& expected = reference.tensors[i];
      REQUIRE(Reference::full_name(groups[i]) == expected.name);
      table.add(expected.name, distance(groups[i].values, expected.gradient));
    }
    INFO(table.text());
    CHECK(table.worst().cosine >= kLeastCosine);
    CHECK(table.worst().relative_l2 <= kMostRelativeL2);
    CHECK(std::abs(loss / reference.losses[0] - 1) <= kMostLossError);
  }
}

TEST_CASE(
    "in a larger vocabulary the tokens that occur have the gradients of a model without others") {
  const auto widened = [](std::int32_t token) { return 3 * token + 1; };
  for (const Way& way : kWays) {
    const Reference reference(way.golden);
    ModelConfig wide = reference.config;
    wide.vocab = 3 * reference.config.vocab;
    std::vector<std::int32_t> occurring;
    for (std::int32_t t = 0; t < reference.config.vocab; ++t) occurring.push_back(widened(t));
    Sequence sequence = reference.sequences[0];
    for (std::int32_t& token : sequence.tokens) token = widened(token);
    for (std::int32_t& token : sequence.targets) token = widened(token);
    Diagnostics diagnostics;
    CompactVocab vocab;
    REQUIRE(compact_vocab(occurring, wide.vocab, vocab, diagnostics));

    // Rows of other tokens are so large that they would show.
    ModelWeights weights = reference.weights();
    const auto widen = [&](std::vector<float>& table) {
      if (table.empty()) return;
      const std::vector<float> rows = std::exchange(
          table, std::vector<float>(static_cast<std::size_t>(wide.vocab * wide.dim), 100.0f));
      for (const std::int32_t row : occurring) {
        std::fill_n(table.begin() + row * wide.dim, wide.dim, 0.0f);
      }
      scatter_rows(table, rows, vocab, wide.dim);
    };
    widen(weights.embed);
    widen(weights.classifier);
    ModelGrads grads(wide);
    Pipeline pipeline;
    open(pipeline, way, wide, vocab);
    CHECK(pipeline.logit_rows() == reference.config.vocab);
    const double loss = step(pipeline, weights, sequence, grads);

    const std::vector<TensorGroup> groups = groups_of(grads, wide);
    Table table(fmt::format("{}, compact vocabulary", way.name));
    for (std::size_t i = 0; i < groups.size(); ++i) {
      std::vector<float> of_occurring;
      std::span<const float> got = groups[i].values;
      if (groups[i].rows == wide.vocab) {
        of_occurring.resize(reference.tensors[i].gradient.size());
        gather_rows(of_occurring, got, vocab, wide.dim);
        const auto is_not_zero = [](float g) { return g != 0; };
        CHECK(std::count_if(got.begin(), got.end(), is_not_zero) ==
              std::count_if(of_occurring.begin(), of_occurring.end(), is_not_zero));
        got = of_occurring;
      }
      table.add(reference.tensors[i].name, distance(got, reference.tensors[i].gradient));
    }
    INFO(table.text());
    CHECK(table.worst().cosine >= kLeastCosine);
    CHECK(table.worst().relative_l2 <= kMostRelativeL2);
    CHECK(std::abs(loss / reference.losses[0] - 1) <= kMostLossError);
  }
}

TEST_CASE("the gradients of all three ways of weights have the same bits") {
  const Reference reference("run_time.jsonl");
  std::vector<float> first;
  for (const Way& way : kWays) {
    if (way.kernels != KernelSet::dynamic || way.classifier != ClassifierOn::host) continue;
    ModelWeights weights = reference.weights();
    ModelGrads grads(reference.config);
    Pipeline pipeline;
    open(pipeline, way, reference.config);
    step(pipeline, weights, reference.sequences[0], grads);
    const std::vector<float> all = flat(grads, reference.config);
    if (first.empty()) first = all;
    CHECK_MESSAGE(std::memcmp(all.data(), first.data(), all.size() * sizeof(float)) == 0, way.name);
  }
}

TEST_CASE("two full steps move the weights as the independent model's") {
  for (const Way& way : kWays) {
    const Reference reference(way.golden);
    ModelWeights begin = reference.weights();
    ModelWeights weights = reference.weights();
    ModelAdam adam(reference.config);
    Pipeline pipeline;
    open(pipeline, way, reference.config);
    std::vector<double> losses;
    for (std::size_t i = 0; i < reference.sequences.size(); ++i) {
      ModelGrads grads(reference.config);
      losses.push_back(step(pipeline, weights, reference.sequences[i], grads));
      adam_step(weights, grads, adam, static_cast<std::int64_t>(i + 1), reference);
    }
    ModelGrads unused(reference.config);
    losses.push_back(step(pipeline, weights, reference.sequences[0], unused));

    const std::vector<TensorGroup> before = groups_of(begin, reference.config);
    const std::vector<TensorGroup> after = groups_of(weights, reference.config);
    Table table(fmt::format("{}: the way of the weights", way.name));
    for (std::size_t i = 0; i < after.size(); ++i) {
      const Expected& expected = reference.tensors[i];
      table.add(expected.name, distance(after[i].values, expected.stepped, before[i].values));
    }
    INFO(table.text());
    CHECK(table.worst().relative_l2 <= kMostStepError);
    REQUIRE(losses.size() == reference.losses.size());
    for (std::size_t i = 0; i < losses.size(); ++i) {
      CHECK_MESSAGE(std::abs(losses[i] / reference.losses[i] - 1) <= kMostLossError, "loss ", i,
                    " is ", losses[i], ", not ", reference.losses[i]);
    }
  }
}

TEST_CASE(
    "a llama2.c file through the run-time kernels has the logits of its "
    "author's model") {
  const std::vector<Json> rows = golden_rows("llama2c.jsonl");
  const auto tokens = rows[0]["tokens"][0].get<std::vector<std::int32_t>>();
  const auto targets = rows[0]["targets"][0].get<std::vector<std::int32_t>>();
  const double expected_loss = rows[0]["losses"][0];
  Diagnostics diagnostics;
  ModelConfig config;
  ModelWeights weights;
  const bool good = read_llama2c(golden_path("llama2c.bin"), config, weights, diagnostics);
  REQUIRE_MESSAGE(good, render(diagnostics));
  CHECK(config == config_of(rows[0]["config"]));

  for (const Way& way : kWays) {
    if (way.kernels != KernelSet::dynamic) continue;
    Pipeline pipeline;
    open(pipeline, way, config);
    std::vector<float> logits(static_cast<std::size_t>(config.vocab * config.seq));
    double loss = 0;
    const bool ran = pipeline.refresh(weights, diagnostics) &&
                     pipeline.forward(tokens, logits, diagnostics) &&
                     pipeline.evaluate(tokens, targets, loss, diagnostics);
    REQUIRE_MESSAGE(ran, render(diagnostics));
    const Distance d = distance(logits, rows[0]["logits"].get<std::vector<double>>());
    INFO(
        fmt::format("{}: logits at cosine {:.7f}, relative L2 {:.2e}; loss "
                    "{:.7f} for {:.7f}",
                    way.name, d.cosine, d.relative_l2, loss, expected_loss));
    CHECK(d.cosine >= kLeastCosine);
    CHECK(d.relative_l2 <= kMostRelativeL2);
    CHECK(std::abs(loss / expected_loss - 1) <= kMostLossError);
  }
}
