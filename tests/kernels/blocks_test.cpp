// The blocks: what goes in and comes out, what they compute where that is plain to see, and what is
// refused. golden/numeric/blocks has the numbers.
#include "milgen/kernels/blocks.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernel_checks.h"

using namespace milgen;
using namespace milgen::test;

namespace {

/// d = 2, KV = 4.
const BlocksConfig kTiny = {.dim = 8, .hidden = 7, .heads = 4, .kv_heads = 2, .seq = 5};

struct Case {
  const char* name;
  KernelBuild<BlocksConfig> build;
  const char* inputs;
  const char* output;
  const char* weights;  ///< and constants
};

constexpr const char* kStream = "x fp16 [1, 8, 1, 5]";
constexpr const char* kOut = "out fp16 [1, 8, 1, 5]";

constexpr Case kCases[] = {
    {"sdpa", blocks_sdpa, "k fp16 [1, 4, 5, 2]; q fp16 [1, 4, 5, 2]; v fp16 [1, 4, 5, 2]",
     "out fp16 [1, 4, 5, 2]", ""},
    {"sdpa_fwd_x2", blocks_sdpa_fwd_x2, kStream, kOut,
     "rms1 fp16 [1, 8, 1, 1]; wq fp16 [8, 8, 1, 1]; wk fp16 [4, 8, 1, 1]; mask fp16 [1, 1, 5, 5]; "
     "wv fp16 [4, 8, 1, 1]; wo fp16 [8, 8, 1, 1]"},
    {"qkv_fwd_rms", blocks_qkv_fwd_rms, kStream, "out fp16 [1, 16, 1, 5]",
     "rms1 fp16 [1, 8, 1, 1]; wq fp16 [8, 8, 1, 1]; wk fp16 [4, 8, 1, 1]; wv fp16 [4, 8, 1, 1]"},
    {"sdpa_apply", blocks_sdpa_apply, "qkv fp16 [1, 16, 1, 5]; x fp16 [1, 8, 1, 5]", kOut,
     "mask fp16 [1, 1, 5, 5]; wo fp16 [8, 8, 1, 1]"},
    {"ffn_fwd", blocks_ffn_fwd, kStream, kOut,
     "w1 fp16 [7, 8, 1, 1]; w3 fp16 [7, 8, 1, 1]; w2 fp16 [8, 7, 1, 1]"},
    {"ffn_fwd_rms", blocks_ffn_fwd_rms, kStream, kOut,
     "rms2 fp16 [1, 8, 1, 1]; w1 fp16 [7, 8, 1, 1]; w3 fp16 [7, 8, 1, 1]; w2 fp16 [8, 7, 1, 1]"},
    {"ffn_fwd_relu2", blocks_ffn_fwd_relu2, kStream, kOut,
     "w1 fp16 [7, 8, 1, 1]; w2 fp16 [8, 7, 1, 1]"},
    {"ffn_fwd_rms_relu2", blocks_ffn_fwd_rms_relu2, kStream, kOut,
     "rms2 fp16 [1, 8, 1, 1]; w1 fp16 [7, 8, 1, 1]; w2 fp16 [8, 7, 1, 1]"},
    {"ffn_fwd_taps_relu2", blocks_ffn_fwd_taps_relu2, kStream, "out fp16 [1, 15, 1, 5]",
     "rms2 fp16 [1, 8, 1, 1]; w1 fp16 [7, 8, 1, 1]; w2 fp16 [8, 7, 1, 1]"},
    {"ffn_bwd_relu2", blocks_ffn_bwd_relu2, "dffn fp16 [1, 8, 1, 5]; h1 fp16 [1, 7, 1, 5]",
     "out fp16 [1, 15, 1, 5]", "w2t fp16 [7, 8, 1, 1]; w1t fp16 [8, 7, 1, 1]"},
    {"rmsnorm", blocks_rmsnorm, kStream, kOut, "rms_w fp16 [1, 8, 1, 1]"},
    {"gqa_expand", blocks_gqa_expand, "x fp16 [1, 2, 5, 2]", "out fp16 [1, 4, 5, 2]", ""},
    {"read_state", blocks_read_state, "cache fp16 [1, 8, 1, 5]; x fp16 [1, 8, 1, 5]", kOut, ""},
    {"update_state", blocks_update_state, "cache fp16 [1, 8, 1, 5]; x fp16 [1, 8, 1, 5]", kOut, ""},
};

std::vector<double> counted(std::size_t count) {
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(static_cast<double>(i % 13) / 8 - 0.75);
  return values;
}

}  // namespace

TEST_CASE("each block takes and gives what its header says") {
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    const Program program = finished(c.build, kTiny);
    CHECK(all_described(program.inputs()) == c.inputs);
    CHECK(all_described(program.outputs()) == c.output);
    CHECK(all_described(program.weights()) == c.weights);
  }
}

TEST_CASE("the two halves of attention give what the whole gives") {
  const Array x = halves({1, 8, 1, 5}, counted(40));
  const Array qkv = computed(finished(blocks_qkv_fwd_rms, kTiny), {{"x", x}});
  const Array halved = computed(finished(blocks_sdpa_apply, kTiny), {{"qkv", qkv}, {"x", x}});
  CHECK(reals(halved) == reals(computed(finished(blocks_sdpa_fwd_x2, kTiny), {{"x", x}})));
}

TEST_CASE("attention by one op is that of the query with all keys") {
  // One position attends to itself: the values.
  const BlocksConfig one = {.dim = 4, .heads = 2, .kv_heads = 2, .seq = 1};
  const Array v = halves({1, 2, 1, 2}, {1, -2, 3, 0.5});
  CHECK(reals(computed(finished(blocks_sdpa, one), {{"k", v}, {"q", v}, {"v", v}})) == reals(v));
  // Equal keys: the mean of all values, later ones too.
  const BlocksConfig two = {.dim = 2, .heads = 1, .kv_heads = 1, .seq = 2};
  const Array same = halves({1, 1, 2, 2}, {1, 2, 1, 2});
  const Array values = halves({1, 1, 2, 2}, {1, 2, 3, 6});
  CHECK(reals(computed(finished(blocks_sdpa, two), {{"k", same}, {"q", values}, {"v", values}})) ==
        std::vector<double>{2, 4, 2, 4});
}

TEST_CASE("each head is repeated for its group, neighbours side by side") {
  const BlocksConfig config = {.dim = 4, .heads = 4, .kv_heads = 2, .seq = 2};
  const Array x = halves({1, 2, 2, 1}, {1, 2, 3, 4});
  CHECK(reals(computed(finished(blocks_gqa_expand, config), {{"x", x}})) ==
        std::vector<double>{1, 2, 1, 2, 3, 4, 3, 4});
  const BlocksConfig equal = {.dim = 4, .heads = 2, .kv_heads = 2, .seq = 2};
  CHECK(ops_of(finished(blocks_gqa_expand, equal)) == "identity");
}

TEST_CASE("the norm overflows for no finite x, and loses no small one") {
  const std::int64_t dim = 64;
  const BlocksConfig config = {.dim = dim, .heads = 1, .kv_heads = 1, .seq = 1, .eps = 1e-5};
  const Program program = finished(blocks_rmsnorm, config);
  const std::vector<double> gains =
      reals(computed(program, {{"x", halves({1, dim, 1, 1}, std::vector<double>(64, 65504))}}));
  for (const double largest : {65504.0, 300.0, 1.0, 0.01, 1e-3, 6e-8, 0.0}) {
    CAPTURE(largest);
    std::vector<double> values;
    for (int i = 0; i < dim; ++i) values.push_back((i % 2 == 0 ? 1 : -0.5) * largest);
    const Array x = halves({1, dim, 1, 1}, values);
    double squares = 0;
    for (const double value : reals(x)) squares += value * value;
    const std::vector<double> out = reals(computed(program, {{"x", x}}));
    for (std::size_t i = 0; i < out.size(); ++i) {
      // Of equal channels it gives the gains.
      const double want = gains[i] * x.real(static_cast<std::int64_t>(i)) /
                          std::sqrt(squares / static_cast<double>(dim) + config.eps);
      CHECK(std::fabs(out[i] - want) <= 6e-3 * std::fabs(want) + 6e-8);
    }
  }
}

TEST_CASE("the square of ReLU, forward and backward") {
  const BlocksConfig config = {.dim = 1, .hidden = 1, .heads = 1, .kv_heads = 1, .seq = 2};
  const Array h1 = halves({1, 1, 1, 2}, {-1, 3});
  const Array dffn = halves({1, 1, 1, 2}, {1, 1});
  const std::vector<double> out =
      reals(computed(finished(blocks_ffn_bwd_relu2, config), {{"dffn", dffn}, {"h1", h1}}));
  // (dx, dh1), positions beside each other.
  CHECK(out[0] == 0);
  CHECK(out[2] == 0);
  CHECK(out[3] != 0);
  const std::vector<double> forward = reals(
      computed(finished(blocks_ffn_fwd_relu2, config), {{"x", halves({1, 1, 1, 2}, {1, -1})}}));
  // One of x and -x is cut off.
  CHECK((forward[0] == 0) != (forward[1] == 0));
}

TEST_CASE("a state is read as it was left") {
  std::vector<NamedArray> states;
  const Array x = halves({1, 8, 1, 5}, counted(40));
  CHECK(reals(computed(finished(blocks_update_state, kTiny), {{"x", x}}, &states)) == reals(x));
  REQUIRE(states.size() == 1);
  CHECK(states[0].name == "cache");
  std::vector<double> twice = reals(x);
  for (double& value : twice) value *= 2;
  CHECK(reals(computed(finished(blocks_read_state, kTiny), {{"x", x}}, &states)) == twice);
}

TEST_CASE("a configuration that breaks a rule of the blocks is told which") {
  const std::pair<BlocksConfig, const char*> cases[] = {
      {{.dim = 0}, "dim is 0 but has to be 1 to 1048576"},
      {{.hidden = 0}, "hidden is 0 but has to be 1 to 1048576"},
      {{.heads = -2}, "heads is -2 but has to be 1 to 1048576"},
      {{.kv_heads = 0}, "kv_heads is 0 but has to be 1 to 1048576"},
      {{.seq = 1 << 21}, "seq is 2097152 but has to be 1 to 1048576"},
      {{.heads = 7}, "heads is 7, which does not divide dim, 768"},
      {{.kv_heads = 8}, "kv_heads is 8, which does not divide heads, 12"},
      {{.eps = -1e-5}, "eps is -1e-05 but has to be above 0"},
      {{.eps = std::numeric_limits<double>::infinity()}, "eps is inf but has to be above 0"},
  };
  for (const auto& [config, message] : cases) {
    for (const Case& c : kCases) {
      CHECK(refusal(c.build, config) == std::string("kernel: ") + message);
    }
  }
  CHECK(refusal(blocks_rmsnorm, BlocksConfig{.eps = 1e-9}) ==
        "kernel: eps is 1e-09 but has to be at least 3.72529e-09");
}

TEST_CASE("the blocks are registered with their configurations") {
  Registry registry;
  add_builtin_kernels(registry);
  const KernelSetInfo* set = registry.find_set("blocks");
  REQUIRE(set != nullptr);
  CHECK(set->kernels.size() == std::size(kCases));
  for (const Case& c : kCases) CHECK(set->find(c.name) != nullptr);
  REQUIRE(set->find_config("small") != nullptr);
  CHECK(set->describe(set->find_config("small")->config) ==
        "dim=64 hidden=160 heads=4 kv_heads=2 seq=32 eps=1e-05");
  CHECK(set->describe(set->configs.front().config) ==
        "dim=768 hidden=2048 heads=12 kv_heads=12 seq=256 eps=1e-05");
}
