// Random ops: what is known of their results without knowing the generator. Cases in which chance
// has no part stand in golden/numeric/ops/programs.jsonl.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/backend.h"
#include "milgen/module.h"

using namespace milgen;

namespace {

/// A mean of 20000 values is this many of its standard deviations off less than once in 10^6 seeds;
/// the seeds here are fixed.
constexpr double kDeviations = 5;

constexpr std::string_view kUniform =
    "random_uniform(high = fp32(3.0), low = fp32(-1.0), seed = int32({0}), shape = "
    "tensor<int32, [1]>([20000]))";
constexpr std::string_view kNormal =
    "random_normal(mean = fp32(2.0), seed = int32({0}), shape = tensor<int32, [1]>([20000]), "
    "stddev = fp32(0.5))";
constexpr std::string_view kBernoulli =
    "random_bernoulli(prob = fp32(0.25), seed = int32({0}), shape = tensor<int32, [1]>([20000]))";
constexpr std::string_view kCategorical =
    "random_categorical(mode = string(\"probs\"), seed = int32({0}), size = int32(20000), x = x)";
constexpr std::string_view kCategoricalLogits =
    "random_categorical(mode = string(\"logits\"), seed = int32({0}), size = int32(20000), x = x)";
constexpr std::string_view kDistributions[] = {kUniform, kNormal, kBernoulli, kCategorical};

std::string program(std::string_view op, int seed) {
  return fmt::format(
      "program(1.3) {{\n    func main<ios18>(tensor<fp32, [3]> x) {{\n"
      "            tensor<fp32, [20000]> y = {}[name = string(\"y\")];\n"
      "            tensor<fp32, [20000]> z = {}[name = string(\"z\")];\n        }} -> (y, z);\n}}",
      fmt::format(fmt::runtime(op), seed), fmt::format(fmt::runtime(op), seed));
}

/// The two results of a program that has the same op twice.
std::vector<std::vector<float>> draw(std::string_view op, int seed, std::uint64_t run_seed = 0,
                                     int threads = 1, NumericMode mode = NumericMode::exact,
                                     std::vector<float> x = {0.125F, 0.25F, 0.625F}) {
  Diagnostics diagnostics;
  const Module module = parse_mil(program(op, seed), diagnostics);
  std::unique_ptr<Executable> executable;
  if (module) {
    executable = cpu_backend().compile(module, {.mode = mode, .threads = threads}, diagnostics);
  }
  std::vector<NamedArray> outputs;
  Array input(DType::fp32, {3});
  std::ranges::copy(x, input.as_mutable<float>().begin());
  if (!executable || !executable->run({{"x", input}}, outputs, diagnostics, {.seed = run_seed})) {
    FAIL(render(diagnostics));
  }
  std::vector<std::vector<float>> out;
  for (const NamedArray& output : outputs) {
    const auto values = output.array.as<float>();
    out.emplace_back(values.begin(), values.end());
  }
  REQUIRE(out.size() == 2);
  return out;
}

double mean_of(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value);
  return sum / static_cast<double>(values.size());
}

/// Whether the mean of `values`, each of which has `mean` and `deviation`, is near enough.
bool near_mean(const std::vector<float>& values, double mean, double deviation) {
  return std::abs(mean_of(values) - mean) <=
         kDeviations * deviation / std::sqrt(static_cast<double>(values.size()));
}

std::vector<float> squares_around(const std::vector<float>& values, float centre) {
  std::vector<float> out;
  for (const float value : values) out.push_back((value - centre) * (value - centre));
  return out;
}

std::vector<float> equal_to(const std::vector<float>& values, float wanted) {
  std::vector<float> out;
  for (const float value : values) out.push_back(value == wanted ? 1.0F : 0.0F);
  return out;
}

}  // namespace

TEST_CASE("a seed of an op decides what it gives, for any run, number of threads and mode") {
  for (const std::string_view op : kDistributions) {
    CAPTURE(std::string(op));
    const auto values = draw(op, 7);
    CHECK(values == draw(op, 7, 99));
    CHECK(values == draw(op, 7, 0, 4));
    CHECK(values == draw(op, 7, 0, 1, NumericMode::fast));
    CHECK(values[0] == values[1]);
    CHECK(values != draw(op, 8));
  }
}

TEST_CASE(
    "without a seed of its own an op follows that of the run and differs from its neighbour") {
  for (const std::string_view op : kDistributions) {
    CAPTURE(std::string(op));
    const auto values = draw(op, -1, 5);
    CHECK(values == draw(op, -1, 5, 4));
    CHECK(values != draw(op, -1, 6));
    CHECK(values[0] != values[1]);
  }
}

TEST_CASE("uniform values fill their range evenly") {
  const std::vector<float> values = draw(kUniform, 3)[0];
  CHECK(std::ranges::all_of(values, [](float value) { return value >= -1 && value < 3; }));
  CHECK(near_mean(values, 1, 4 / std::sqrt(12.0)));
  // The variance of a square of a uniform value in [-2, 2] is 16 / 5 - (4 / 3)^2.
  CHECK(near_mean(squares_around(values, 1), 4.0 / 3, std::sqrt(16.0 / 5 - 16.0 / 9)));
}

TEST_CASE("normal values have the mean, the deviation and the tails of their distribution") {
  const std::vector<float> values = draw(kNormal, 3)[0];
  CHECK(near_mean(values, 2, 0.5));
  CHECK(near_mean(squares_around(values, 2), 0.25, 0.25 * std::sqrt(2.0)));
  std::vector<float> outside;
  for (const float value : values) outside.push_back(std::abs(value - 2) > 1 ? 1.0F : 0.0F);
  const double chance = std::erfc(2 / std::sqrt(2.0));  // of more than two deviations
  CHECK(near_mean(outside, chance, std::sqrt(chance * (1 - chance))));
}

TEST_CASE("Bernoulli values are 0 and 1, as often as asked for") {
  const std::vector<float> values = draw(kBernoulli, 3)[0];
  CHECK(std::ranges::all_of(values, [](float value) { return value == 0 || value == 1; }));
  CHECK(near_mean(values, 0.25, std::sqrt(0.25 * 0.75)));
}

TEST_CASE("classes come as often as their probabilities say, be they logits or not scaled") {
  const std::vector<float> chances = {0.125F, 0.25F, 0.625F};
  std::vector<float> logits;
  std::vector<float> scaled;
  for (const float chance : chances) {
    logits.push_back(std::log(chance) + 40);
    scaled.push_back(chance * 8);
  }
  const std::vector<std::vector<float>> drawn = {
      draw(kCategorical, 3)[0], draw(kCategorical, 4, 0, 1, NumericMode::exact, scaled)[0],
      draw(kCategoricalLogits, 5, 0, 1, NumericMode::exact, logits)[0]};
  for (const std::vector<float>& values : drawn) {
    for (std::size_t i = 0; i < chances.size(); ++i) {
      const auto chance = static_cast<double>(chances[i]);
      CHECK(near_mean(equal_to(values, static_cast<float>(i)), chance,
                      std::sqrt(chance * (1 - chance))));
    }
  }
}
