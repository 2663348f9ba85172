// The compile-once training set: what goes in and comes out, what it computes where that is plain
// to see, which weights can be inputs, and what is refused. golden/numeric/dynamic has the numbers.
#include "milgen/kernels/dynamic.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernel_checks.h"
#include "milgen/weight_modes.h"

using namespace milgen;
using namespace milgen::test;

namespace {

/// Q = 12, KV = 6, NS = 4 * 5.
const DynamicConfig kTiny = {
    .dim = 10, .hidden = 7, .heads = 6, .kv_heads = 3, .head_dim = 2, .seq = 5, .layers = 2};

struct Case {
  const char* name;
  KernelBuild<DynamicConfig> build;
  const char* inputs;
  const char* output;
  const char* weights;
  const char* ops;
};

constexpr Case kCases[] = {
    {"sdpa_fwd", dynamic_sdpa_fwd, "x fp16 [1, 10, 1, 5]", "out fp16 [1, 46, 1, 5]",
     "wq fp16 [12, 10, 1, 1]; wk fp16 [6, 10, 1, 1]; wv fp16 [6, 10, 1, 1]", "sdpa"},
    {"sdpa_fwd_qk_norm", dynamic_sdpa_fwd_qk_norm, "x fp16 [1, 10, 1, 5]", "out fp16 [1, 46, 1, 5]",
     "wq fp16 [12, 10, 1, 1]; q_norm fp16 [1, 1, 1, 2]; wk fp16 [6, 10, 1, 1]; k_norm fp16 "
     "[1, 1, 1, 2]; wv fp16 [6, 10, 1, 1]",
     "sdpa"},
    {"wo_fwd", dynamic_wo_fwd, "x fp16 [1, 12, 1, 5]", "out fp16 [1, 10, 1, 5]",
     "wo fp16 [10, 12, 1, 1]", "conv"},
    {"ffn_fused", dynamic_ffn_fused, "x2 fp16 [1, 10, 1, 5]; xn fp16 [1, 10, 1, 5]",
     "out fp16 [1, 31, 1, 5]",
     "w1 fp16 [7, 10, 1, 1]; w3 fp16 [7, 10, 1, 1]; w2 fp16 [10, 7, 1, 1]",
     "conv sigmoid mul conv mul conv mul add concat"},
    {"ffn_bwd_w2t", dynamic_ffn_bwd_w2t, "x fp16 [1, 10, 1, 5]", "out fp16 [1, 7, 1, 5]",
     "w2t fp16 [7, 10, 1, 1]", "conv"},
    {"ffn_bwd_w13t", dynamic_ffn_bwd_w13t, "dh1 fp16 [1, 7, 1, 5]; dh3 fp16 [1, 7, 1, 5]",
     "out fp16 [1, 10, 1, 5]", "w1t fp16 [10, 7, 1, 1]; w3t fp16 [10, 7, 1, 1]", "conv conv add"},
    {"wot_bwd", dynamic_wot_bwd, "x fp16 [1, 10, 1, 5]", "out fp16 [1, 12, 1, 5]",
     "wot fp16 [12, 10, 1, 1]", "conv"},
    {"sdpa_bwd1", dynamic_sdpa_bwd1, "x fp16 [1, 48, 1, 5]", "out fp16 [1, 72, 1, 5]", "", "sdpa"},
    {"sdpa_bwd2", dynamic_sdpa_bwd2, "x fp16 [1, 84, 1, 5]", "out fp16 [1, 24, 1, 5]", "", "sdpa"},
    {"q_bwd", dynamic_q_bwd, "x fp16 [1, 12, 1, 5]", "out fp16 [1, 10, 1, 5]",
     "wqt fp16 [10, 12, 1, 1]", "conv"},
    {"kv_bwd", dynamic_kv_bwd, "dk fp16 [1, 6, 1, 5]; dv fp16 [1, 6, 1, 5]",
     "out fp16 [1, 10, 1, 5]", "wkt fp16 [10, 6, 1, 1]; wvt fp16 [10, 6, 1, 1]", "conv conv add"},
};

/// Those that a source is asked for.
std::vector<WeightInfo> declared_weights(const Program& program) {
  std::vector<WeightInfo> weights = program.weights();
  std::erase_if(weights, [](const WeightInfo& weight) { return weight.own_values; });
  return weights;
}

}  // namespace

TEST_CASE("each dynamic kernel takes and gives what its header says") {
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    const Program program = finished(c.build, kTiny);
    CHECK(all_described(program.inputs()) == c.inputs);
    CHECK(all_described(program.outputs()) == c.output);
    CHECK(all_described(declared_weights(program)) == c.weights);
    if (std::string(c.ops) != "sdpa") CHECK(ops_of(program) == c.ops);
  }
}

TEST_CASE("attention turns pairs by a product and repeats heads by concat") {
  const std::string ops = ops_of(finished(dynamic_sdpa_fwd, kTiny));
  // The projections; the two turns, the scores and the values; keys and values repeated, the
  // output.
  const auto count = [&](const std::string& op) {
    std::size_t found = 0;
    for (std::size_t at = ops.find(op); at != std::string::npos; at = ops.find(op, at + 1)) ++found;
    return found;
  };
  CHECK(count("conv") == 3);
  CHECK(count("matmul") == 4);
  CHECK(count("concat") == 3);
  CHECK(count("tile") == 0);
  CHECK(count("gather") == 0);
  // One head each: nothing to repeat.
  const std::string plain =
      ops_of(finished(dynamic_sdpa_fwd, DynamicConfig{.dim = 8, .heads = 2, .kv_heads = 2}));
  CHECK(plain.find("concat") == plain.rfind("concat"));
}

TEST_CASE("the first position is not turned, and sees itself alone") {
  const DynamicConfig config = {.dim = 4, .heads = 2, .kv_heads = 1, .head_dim = 4, .seq = 3};
  const Program program = finished(dynamic_sdpa_fwd, config);
  const Array x = halves({1, 4, 1, 3}, {1, 2, 3, -1, 0.5, 2, 0.25, -2, 1, 4, 3, -3});
  const std::vector<double> out = reals(computed(program, {{"x", x}}));
  REQUIRE(out.size() == 28 * 3);
  const auto at = [&](std::size_t channel, std::size_t position) {
    return out[channel * 3 + position];
  };
  // (attn[8], q_rope[8], k_rope[4], v[4], xn[4])
  for (std::size_t c = 0; c < 8; ++c) CHECK(at(c, 0) == at(20 + c % 4, 0));
  for (std::size_t c = 0; c < 12; ++c)
    CHECK(at(24 + c / 3, c % 3) == x.real(static_cast<std::int64_t>(c)));
  // The length of a pair is what it was before it was turned, wherever it stands: of the position
  // whose x is the first one's, here by another program, of the same weights.
  std::vector<double> same;
  for (const double value : {1, -1, 2, 3}) same.insert(same.end(), 3, value);
  const std::vector<double> turned = reals(computed(program, {{"x", halves({1, 4, 1, 3}, same)}}));
  for (std::size_t pair = 4; pair < 10; ++pair) {
    const auto length = [&](std::size_t position) {
      return std::hypot(turned[2 * pair * 3 + position], turned[(2 * pair + 1) * 3 + position]);
    };
    CHECK(length(1) == doctest::Approx(length(0)).epsilon(2e-3));
    CHECK(length(2) == doctest::Approx(length(0)).epsilon(2e-3));
    const double first = turned[2 * pair * 3], second = turned[(2 * pair + 1) * 3];
    // theta^(-2i / d) is 1 for the first pair of a head and 1 / 100 for the second.
    const double angle = pair % 2 == 0 ? 1 : 0.01;
    CHECK(turned[2 * pair * 3 + 1] ==
          doctest::Approx(first * std::cos(angle) - second * std::sin(angle)).epsilon(5e-3));
    CHECK(turned[(2 * pair + 1) * 3 + 1] ==
          doctest::Approx(first * std::sin(angle) + second * std::cos(angle)).epsilon(5e-3));
  }
}

TEST_CASE("every projection can be a parameter, and can be packed") {
  const DynamicConfig small = {
      .dim = 64, .hidden = 160, .heads = 4, .kv_heads = 2, .head_dim = 16, .seq = 32};
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    const Program program = finished(c.build, small);
    for (const WeightsAs as : {WeightsAs::param, WeightsAs::packed}) {
      Diagnostics found;
      const Program lowered = with_weights_as(program, {.all = as}, found);
      INFO(render(found));
      REQUIRE(lowered);
      for (const WeightInfo& left : declared_weights(lowered)) {
        // Gains are not packed.
        CHECK(as == WeightsAs::packed);
        CHECK((left.name == "q_norm" || left.name == "k_norm"));
      }
    }
  }
}

TEST_CASE("alpha is 1 / sqrt(2 * layers) where nothing else is said") {
  CHECK(DynamicConfig{}.residual_scale() == 1 / std::sqrt(24.0));
  CHECK(DynamicConfig{.layers = 2}.residual_scale() == 0.5);
  CHECK(DynamicConfig{.alpha = 1}.residual_scale() == 1);
}

TEST_CASE("a configuration that breaks a rule of the dynamic set is told which") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::pair<DynamicConfig, const char*> cases[] = {
      {{.dim = 0}, "dim is 0 but has to be 1 to 1048576"},
      {{.hidden = -1}, "hidden is -1 but has to be 1 to 1048576"},
      {{.heads = 0}, "heads is 0 but has to be 1 to 1048576"},
      {{.kv_heads = 0}, "kv_heads is 0 but has to be 1 to 1048576"},
      {{.head_dim = 0}, "head_dim is 0 but has to be 1 to 1048576"},
      {{.seq = 1 << 21}, "seq is 2097152 but has to be 1 to 1048576"},
      {{.layers = 0}, "layers is 0 but has to be 1 to 1048576"},
      {{.heads = 1 << 18}, "heads * head_dim is 16777216 but has to be 1 to 1048576"},
      {{.kv_heads = 5}, "kv_heads is 5, which does not divide heads, 12"},
      {{.heads = 2, .kv_heads = 4}, "kv_heads is 4, which does not divide heads, 2"},
      {{.head_dim = 63}, "head_dim is 63 but has to be even: the rotary embedding turns pairs"},
      {{.head_dim = 4098}, "head_dim is 4098 but has to be at most 4096"},
      {{.seq = 1 << 19}, "seq * head_dim is 33554432 but has to be at most 16777216"},
      {{.theta = 0.5}, "theta is 0.5 but has to be 1 or above"},
      {{.theta = nan}, "theta is nan but has to be 1 or above"},
      {{.eps = 0}, "eps is 0 but has to be above 0"},
      {{.alpha = -1}, "alpha is -1 but has to be 0 or above"},
      {{.alpha = nan}, "alpha is nan but has to be 0 or above"},
  };
  for (const auto& [config, message] : cases) {
    for (const Case& c : kCases) {
      CHECK(refusal(c.build, config) == std::string("kernel: ") + message);
    }
  }
}

TEST_CASE("the dynamic set is registered with its configurations") {
  Registry registry;
  add_builtin_kernels(registry);
  const KernelSetInfo* set = registry.find_set("dynamic");
  REQUIRE(set != nullptr);
  CHECK(set->kernels.size() == std::size(kCases));
  for (const Case& c : kCases) CHECK(set->find(c.name) != nullptr);
  const auto described = [&](const char* name) {
    const NamedConfig* config = set->find_config(name);
    REQUIRE(config != nullptr);
    return set->describe(config->config);
  };
  CHECK(described("stories110m") ==
        "dim=768 hidden=2048 heads=12 kv_heads=12 head_dim=64 seq=256 layers=12 theta=10000 "
        "eps=1e-05 alpha=0");
  CHECK(described("small") ==
        "dim=64 hidden=160 heads=4 kv_heads=2 head_dim=16 seq=32 layers=2 theta=10000 eps=1e-05 "
        "alpha=0");
  CHECK(described("qwen3_06b") ==
        "dim=1024 hidden=3072 heads=16 kv_heads=8 head_dim=128 seq=256 layers=28 theta=1000000 "
        "eps=1e-06 alpha=0");
}
