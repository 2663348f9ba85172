// The composable kernels: what goes in and comes out, where casts stand, how weights are filed, and
// what is refused.
#include "milgen/kernels/composable.h"

#include <doctest/doctest.h>

#include <cmath>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/kernel_checks.h"

using namespace milgen;
using namespace milgen::test;

namespace {

using Build = KernelBuild<ComposableConfig>;

const ComposableConfig kTiny = {.in = 6, .out = 5, .hidden = 7, .spatial = 4, .scale = -0.25};

struct Case {
  const char* name;
  Build build;
  const char* inputs;
  const char* outputs;
  const char* weights;
  const char* ops;
};

constexpr Case kCases[] = {
    {"matmul", composable_matmul, "w fp32 [1, 5, 6]; x fp32 [1, 6, 4]", "y fp32 [1, 5, 4]", "",
     "cast cast matmul cast"},
    {"matmul_fp16", composable_matmul_fp16, "w fp16 [1, 5, 6]; x fp16 [1, 6, 4]",
     "y fp16 [1, 5, 4]", "", "matmul"},
    {"conv", composable_conv, "x fp32 [1, 6, 1, 4]", "y fp32 [1, 5, 1, 4]", "w fp16 [5, 6, 1, 1]",
     "cast conv cast"},
    {"conv_fp16", composable_conv_fp16, "x fp16 [1, 6, 1, 4]", "y fp16 [1, 5, 1, 4]",
     "w fp16 [5, 6, 1, 1]", "conv"},
    {"conv_fp32", composable_conv_fp32, "x fp32 [1, 6, 1, 4]", "y fp32 [1, 5, 1, 4]",
     "w fp32 [5, 6, 1, 1]", "conv"},
    {"qkv", composable_qkv, "x fp32 [1, 6, 1, 4]",
     "k fp32 [1, 5, 1, 4]; q fp32 [1, 5, 1, 4]; v fp32 [1, 5, 1, 4]",
     "wk fp16 [5, 6, 1, 1]; wq fp16 [5, 6, 1, 1]; wv fp16 [5, 6, 1, 1]",
     "cast conv cast conv cast conv cast"},
    {"qkv_fp16", composable_qkv_fp16, "x fp16 [1, 6, 1, 4]",
     "k fp16 [1, 5, 1, 4]; q fp16 [1, 5, 1, 4]; v fp16 [1, 5, 1, 4]",
     "wk fp16 [5, 6, 1, 1]; wq fp16 [5, 6, 1, 1]; wv fp16 [5, 6, 1, 1]", "conv conv conv"},
    {"ffn_up", composable_ffn_up, "x fp32 [1, 6, 1, 4]",
     "h1 fp32 [1, 7, 1, 4]; h3 fp32 [1, 7, 1, 4]", "w1 fp16 [7, 6, 1, 1]; w3 fp16 [7, 6, 1, 1]",
     "cast conv cast conv cast"},
    {"ffn_up_fp16", composable_ffn_up_fp16, "x fp16 [1, 6, 1, 4]",
     "h1 fp16 [1, 7, 1, 4]; h3 fp16 [1, 7, 1, 4]", "w1 fp16 [7, 6, 1, 1]; w3 fp16 [7, 6, 1, 1]",
     "conv conv"},
    {"identity", composable_identity, "x fp32 [1, 6, 1, 4]", "y fp32 [1, 6, 1, 4]",
     "identity fp16 [6, 6, 1, 1]", "cast conv cast"},
    {"identity_fp16", composable_identity_fp16, "x fp16 [1, 6, 1, 4]", "y fp16 [1, 6, 1, 4]",
     "identity fp16 [6, 6, 1, 1]", "conv"},
    {"scale_fp16", composable_scale_fp16, "x fp16 [1, 1, 1, 4]", "y fp16 [1, 1, 1, 4]", "", "mul"},
    {"dynamic_matmul", composable_dynamic_matmul, "xw fp16 [1, 6, 1, 9]", "y fp16 [1, 5, 1, 4]", "",
     "slice_by_size reshape slice_by_size reshape matmul reshape"},
};

/// The program's only output for one input of these values, row-major.
std::vector<double> computed_from(Build build, const ComposableConfig& config,
                                  const std::vector<double>& values) {
  const Program program = finished(build, config);
  const PortInfo input = program.inputs().front();
  return reals(computed(program, {{input.name, halves(input.shape, values)}}));
}

}  // namespace

TEST_CASE("each kernel takes, gives and does what its name says") {
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    const Program program = finished(c.build, kTiny);
    CHECK(all_described(program.inputs()) == c.inputs);
    CHECK(all_described(program.outputs()) == c.outputs);
    CHECK(all_described(program.weights()) == c.weights);
    CHECK(ops_of(program) == c.ops);
  }
}

TEST_CASE("the identity matrix is the kernel's own") {
  const std::vector<WeightInfo> weights = finished(composable_identity_fp16, kTiny).weights();
  REQUIRE(weights.size() == 1);
  CHECK(weights[0].own_values);
}

TEST_CASE("dynamic_matmul multiplies by the columns behind x") {
  // x is [2, 1], w [2, 3] behind it: y = w^T x.
  const ComposableConfig config = {.in = 2, .out = 3, .spatial = 1};
  CHECK(computed_from(composable_dynamic_matmul, config, {10, 1, 2, 3, 100, 4, 5, 6}) ==
        std::vector<double>{410, 520, 630});
}

TEST_CASE("identity gives back what it takes, and scale a multiple") {
  const ComposableConfig config = {.in = 2, .spatial = 2, .scale = -0.25};
  CHECK(computed_from(composable_identity_fp16, config, {1, -2, 0.5, 4}) ==
        std::vector<double>{1, -2, 0.5, 4});
  CHECK(computed_from(composable_scale_fp16, config, {8, -2}) == std::vector<double>{-2, 0.5});
}

TEST_CASE("a configuration that breaks a rule of the composable kernels is told which") {
  const std::pair<ComposableConfig, const char*> cases[] = {
      {{.in = 0}, "in is 0 but has to be 1 to 1048576"},
      {{.out = -5}, "out is -5 but has to be 1 to 1048576"},
      {{.hidden = 1 << 21}, "hidden is 2097152 but has to be 1 to 1048576"},
      {{.spatial = 0}, "spatial is 0 but has to be 1 to 1048576"},
      {{.scale = 65'505}, "scale is 65505 but has to be -65504 to 65504"},
      {{.scale = std::nan("")}, "scale is nan but has to be -65504 to 65504"},
  };
  for (const auto& [config, message] : cases) {
    for (const Case& kernel : kCases) {
      CHECK(refusal(kernel.build, config) == std::string("kernel: ") + message);
    }
  }
  for (const Case& kernel : {kCases[9], kCases[10]}) {
    CHECK(refusal(kernel.build, {.in = 4097}) ==
          "kernel: in is 4097, but an identity matrix has 4096 channels at most");
  }
}

TEST_CASE("the composable set files fused weights together") {
  Registry registry;
  add_builtin_kernels(registry);
  const KernelSetInfo* set = registry.find_set("composable");
  REQUIRE(set != nullptr);
  CHECK(set->kernels.size() == std::size(kCases));
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    const KernelEntry* entry = set->find(c.name);
    REQUIRE(entry != nullptr);
    const bool is_fused = std::string_view(c.outputs).find(';') != std::string_view::npos;
    CHECK(entry->weight_files == (is_fused ? WeightFiles::shared : WeightFiles::per_weight));
  }
  REQUIRE(set->find_config("small") != nullptr);
  CHECK(set->describe(set->find_config("small")->config) ==
        "in=64 out=96 hidden=160 spatial=32 scale=0.5");
}
