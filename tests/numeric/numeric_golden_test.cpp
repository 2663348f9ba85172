#include "cli/numeric_golden.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/fill.h"
#include "support/hash.h"

namespace fs = std::filesystem;
using namespace milgen;
using namespace milgen::cli;

namespace {

/// Three channels of two positions; the parts have 1 and 2 channels. 0.3333 is 0x1.554p-2.
constexpr std::string_view kGolden =
    "# milgen numeric golden 1\n"
    "# kernel set/kernel\n"
    "# config tiny\n"
    "# params dim=3 eps=1e-05\n"
    "# weight-seed 0\n"
    "# input-seed 18446744073709551615\n"
    "# origin by hand\n"
    "output out fp16 [1, 3, 1, 2]\n"
    "part a 1 0.5 2 0 0.5\n"
    "part b 2 1 2 1 0.5\n"
    "at 0 0.3333333 0.3333\n"
    "at 2 1 1\n"
    "at 5 -2 -2\n"
    "sums 0.6666667 1.5\n"
    "sums -1.75\n";

std::string replaced(std::string_view from, std::string_view to) {
  std::string text(kGolden);
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

NumericGolden parsed(std::string_view text) {
  NumericGolden golden;
  Diagnostics diagnostics;
  const bool good = parse_numeric_golden(text, "x.numeric", golden, diagnostics);
  REQUIRE_MESSAGE(good, render(diagnostics, {.source_lines = false, .source_root = ""}));
  return golden;
}

NumericGoldenOutput tiny_output(std::string_view text = kGolden) {
  const NumericGolden golden = parsed(text);
  REQUIRE(golden.outputs.size() == 1);
  return golden.outputs[0];
}

/// What is said about a text that cannot be read.
std::string refusal(std::string_view text) {
  NumericGolden golden;
  Diagnostics diagnostics;
  CHECK_FALSE(parse_numeric_golden(text, "x.numeric", golden, diagnostics));
  return render(diagnostics, {.source_lines = false, .source_root = ""});
}

std::string refused(std::string_view from, std::string_view to) {
  return refusal(replaced(from, to));
}

Array array_of(DType dtype, const Shape& shape, std::initializer_list<double> values) {
  Array array(dtype, shape);
  REQUIRE(array.size() == std::ssize(values));
  std::int64_t i = 0;
  for (const double value : values) array.set(i++, value);
  return array;
}

Array tiny(std::initializer_list<double> values) {
  return array_of(DType::fp16, {1, 3, 1, 2}, values);
}

/// What is reported of an array; empty when everything is near enough.
std::string report(const Array& array, NumericTarget target = NumericTarget::rounded,
                   std::string_view text = kGolden) {
  const NumericGoldenOutput golden = tiny_output(text);
  const NumericVerdict verdict = compare_numeric(golden, array);
  Diagnostics diagnostics;
  const bool good = report_numeric(golden, array, verdict, target, "x.numeric", diagnostics);
  CHECK(good == diagnostics.empty());
  CHECK(good == (target == NumericTarget::rounded ? verdict.near_rounded() : verdict.near_truth()));
  return render(diagnostics, {.source_lines = false, .source_root = ""});
}

constexpr double kUlpAtOne = 0x1p-10;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("a numeric golden is read") {
  const NumericGolden golden = parsed(kGolden);
  CHECK(golden.set == "set");
  CHECK(golden.kernel == "kernel");
  CHECK(golden.config == "tiny");
  REQUIRE(golden.params.size() == 2);
  CHECK(golden.params[1] == std::pair<std::string, std::string>("eps", "1e-05"));
  CHECK(golden.weight_seed == 0);
  CHECK(golden.input_seed == std::numeric_limits<std::uint64_t>::max());
  CHECK(golden.origin == "by hand");
  REQUIRE(golden.outputs.size() == 1);
  const NumericGoldenOutput& output = golden.outputs[0];
  CHECK(output.name == "out");
  CHECK(output.dtype == DType::fp16);
  CHECK(output.shape == Shape{1, 3, 1, 2});
  REQUIRE(output.parts.size() == 2);
  CHECK(output.parts[0].name == "a");
  CHECK(output.parts[0].scale == 0.5);
  CHECK(output.parts[1].channels == 2);
  CHECK(output.parts[1].truth_tolerance == 2);
  CHECK(output.parts[1].rounded_tolerance == 1);
  CHECK(output.parts[1].mean_tolerance == 0.5);
  REQUIRE(output.samples.size() == 3);
  CHECK(output.samples[0].truth == 0.3333333);
  CHECK(output.samples[0].rounded == 0x1.554p-2);
  CHECK(output.samples[2].index == 5);
  CHECK(output.sums == std::vector<double>{0.6666667, 1.5, -1.75});
}

TEST_CASE("equal values are at no distance from what is rounded") {
  const Array same = tiny({0.3333, 0.3333, 1, 0.5, 0.25, -2});
  CHECK(report(same) == "");
  const NumericVerdict verdict = compare_numeric(tiny_output(), same);
  CHECK(verdict.equal == 3);
  CHECK(verdict.rounded.error == 0);
  CHECK(verdict.truth.error < 0.2);
  CHECK(verdict.truth.index == 0);
}

TEST_CASE("an error is held against the tolerance of its part") {
  // One epsilon is allowed in part b at 1, two are not; in part a none is.
  CHECK(report(tiny({0.3333, 0.3333, 1 + kUlpAtOne, 0.5 - kUlpAtOne, 0.25, -2})) == "");
  CHECK(report(tiny({0.3333, 0.3333, 1 + 2 * kUlpAtOne, 0.5 - 2 * kUlpAtOne, 0.25, -2})) ==
        "x.numeric: error: element [0, 1, 0, 0] of 'out', in part 'b', is 1.001953 but rounds "
        "after each op to 1: 2 epsilons of fp16, and at most 1 are allowed [golden.numeric]\n");
  CHECK(report(tiny({0x1.558p-2, 0x1.550p-2, 1, 0.5, 0.25, -2})) ==
        "x.numeric: error: element [0, 0, 0, 0] of 'out', in part 'a', is 0.3334961 but rounds "
        "after each op to 0.333252: 0.5 epsilons of fp16, and at most 0 are allowed "
        "[golden.numeric]\n");
}

TEST_CASE("rounding after each op is asked for only where the caller does") {
  const Array near_truth = tiny({0.3333, 0.3333, 1 + 2 * kUlpAtOne, 0.5 - 2 * kUlpAtOne, 0.25, -2});
  CHECK(report(near_truth, NumericTarget::truth) == "");
  const Array far = tiny({0.3333, 0.3333, 1 + 3 * kUlpAtOne, 0.5 - 3 * kUlpAtOne, 0.25, -2});
  CHECK(report(far, NumericTarget::truth) ==
        "x.numeric: error: element [0, 1, 0, 0] of 'out', in part 'b', is 1.00293 but is in truth "
        "1: 3 epsilons of fp16, and at most 2 are allowed [golden.numeric]\n");
}

TEST_CASE("large values have errors in units of themselves") {
  // -2 is twice the scale of its part: two units of 2^-10 are one epsilon.
  const Array array = tiny({0.3333, 0.3333, 1, 0.5, 0.25 + 2 * kUlpAtOne, -2 - 2 * kUlpAtOne});
  CHECK(report(array) == "");
  CHECK(compare_numeric(tiny_output(), array).rounded.error == 1);
}

TEST_CASE("a channel's mean sees what no sample does") {
  CHECK(report(tiny({0.3333, 0.3333, 1, 0.5, 0.75, -2})) ==
        "x.numeric: error: the mean of channel 2 of 'out', in part 'b', is -0.625 but is in truth "
        "-0.875: 256 epsilons of fp16, and at most 0.5 are allowed [golden.numeric]\n");
}

TEST_CASE("a value that is no number is an infinite error, unless it has to be one") {
  CHECK(report(tiny({0.3333, 0.3333, kNan, 0.5, 0.25, -2}), NumericTarget::truth) ==
        "x.numeric: error: element [0, 1, 0, 0] of 'out', in part 'b', is nan but is in truth 1: "
        "inf epsilons of fp16, and at most 2 are allowed [golden.numeric]\n"
        "x.numeric: error: the mean of channel 1 of 'out', in part 'b', is nan but is in truth "
        "0.75: inf epsilons of fp16, and at most 0.5 are allowed [golden.numeric]\n");
  CHECK(report(tiny({0.3333, 0.3333, 1, 0.5, 0.25, -kInf}), NumericTarget::truth)
            .find("is -inf but is in truth -2: inf epsilons") != std::string::npos);

  std::string wanted = replaced("at 5 -2 -2", "at 5 -inf -inf");
  wanted = wanted.replace(wanted.find("-1.75"), 5, "-inf");
  CHECK(report(tiny({0.3333, 0.3333, 1, 0.5, 0.25, -kInf}), NumericTarget::rounded, wanted) == "");
  CHECK(report(tiny({0.3333, 0.3333, 1, 0.5, 0.25, -65504}), NumericTarget::rounded, wanted) != "");
}

TEST_CASE("another dtype or shape is no comparison") {
  CHECK(report(Array(DType::fp16, {1, 3, 2, 1})) ==
        "x.numeric: error: 'out' is tensor<fp16, [1, 3, 2, 1]> but its golden is tensor<fp16, "
        "[1, 3, 1, 2]> [golden.numeric]\n");
  CHECK(report(Array(DType::fp32, {1, 3, 1, 2}))
            .starts_with("x.numeric: error: 'out' is "
                         "tensor<fp32, [1, 3, 1, 2]> but"));
  CHECK(report(Array()).starts_with("x.numeric: error: 'out' is tensor<none, []> but"));
}

TEST_CASE("integers have an epsilon of 1, and a low rank one channel") {
  constexpr std::string_view kIntegers =
      "# milgen numeric golden 1\n# kernel set/kernel\n"
      "output n int32 [2]\npart all 1 1 0 0 0\nat 0 40 40\nat 1 -3 -3\nsums 37\n"
      "output s fp32 []\npart all 1 1 1 1 1\nat 0 0.1 0.1\nsums 0.1\n";
  const NumericGolden golden = parsed(kIntegers);
  REQUIRE(golden.outputs.size() == 2);
  CHECK(compare_numeric(golden.outputs[0], array_of(DType::int32, {2}, {40, -3})).near_rounded());
  const NumericVerdict off =
      compare_numeric(golden.outputs[0], array_of(DType::int32, {2}, {40, -2}));
  CHECK_FALSE(off.near_truth());
  CHECK(off.rounded.index == 1);
  CHECK(off.rounded.error == doctest::Approx(1.0 / 3));
  const NumericVerdict scalar =
      compare_numeric(golden.outputs[1], array_of(DType::fp32, {}, {0.1}));
  CHECK(scalar.near_rounded());
  CHECK(scalar.equal == 1);
}

TEST_CASE("channels of several batches are added up") {
  constexpr std::string_view kBatches =
      "# milgen numeric golden 1\n# kernel set/kernel\n"
      "output out fp32 [2, 2]\npart a 1 1 0 0 0\npart b 1 1 0 0 0\nsums 4 6\n";
  const NumericGoldenOutput output = parsed(kBatches).outputs.at(0);
  CHECK(compare_numeric(output, array_of(DType::fp32, {2, 2}, {1, 2, 3, 4})).near_rounded());
  CHECK_FALSE(compare_numeric(output, array_of(DType::fp32, {2, 2}, {1, 3, 2, 4})).near_truth());
}

TEST_CASE("a text that is no numeric golden is refused with its line") {
  CHECK(
      refusal("") ==
      "x.numeric:1:1: error: the first line is not '# milgen numeric golden 1' [golden.format]\n");
  CHECK(refusal("# milgen numeric golden 2\n").starts_with("x.numeric:1:1: error: the first line"));
  CHECK(refusal("# milgen numeric golden 1\n") ==
        "x.numeric:1:1: error: no line says which kernel this is [golden.format]\n");
  CHECK(refusal("# milgen numeric golden 1\n# kernel a/b\n") ==
        "x.numeric:2:1: error: no output stands here [golden.format]\n");
  CHECK(refused("# config tiny", "# mood tiny") ==
        "x.numeric:3:1: error: 'mood' is no line of a numeric golden [golden.format]\n");
  CHECK(refused("set/kernel", "kernel") ==
        "x.numeric:2:1: error: 'kernel' cannot be 'kernel' [golden.format]\n");
  CHECK(refused("eps=1e-05", "eps") ==
        "x.numeric:4:1: error: 'params' cannot be 'dim=3 eps' [golden.format]\n");
  CHECK(refused("weight-seed 0", "weight-seed -1") ==
        "x.numeric:5:1: error: 'weight-seed' cannot be '-1' [golden.format]\n");
  CHECK(refused("18446744073709551615", "18446744073709551616") ==
        "x.numeric:6:1: error: 'input-seed' cannot be '18446744073709551616' [golden.format]\n");
  CHECK(refused("at 0", "in 0") ==
        "x.numeric:11:1: error: 'in' is no line of a numeric golden [golden.format]\n");
  CHECK(refused("output out fp16 [1, 3, 1, 2]\n", "") ==
        "x.numeric:8:1: error: 'part' stands in front of every 'output' [golden.format]\n");
}

TEST_CASE("an output that is none is refused") {
  for (const char* type : {"fp17 [1, 3, 1, 2]", "string [1, 3, 1, 2]", "fp16 [1, 3, ?, 2]",
                           "fp16 [1, 3, -1, 2]", "fp16 [1, 0, 1, 2]", "fp16 1, 3", "fp16",
                           "fp16 [9223372036854775807, 3]", "fp16 [1, 9223372036854775808]"}) {
    CHECK(refused("fp16 [1, 3, 1, 2]", type) == "x.numeric:8:1: error: 'output' cannot be 'out " +
                                                    std::string(type) + "' [golden.format]\n");
  }
}

TEST_CASE("a part that is none is refused") {
  for (const char* part :
       {"1 0.5 2 0", "1 0.5 2 0 x", "1 0 2 0 0.5", "1 -1 2 0 0.5", "1 nan 2 0 0.5",
        "1 0.5 -2 0 0.5", "1 0.5 2 inf 0.5", "0 0.5 2 0 0.5", "4 0.5 2 0 0.5", "1 0.5 2 0 0.5 7"}) {
    CHECK(refused("1 0.5 2 0 0.5", part) ==
          "x.numeric:9:1: error: 'part' cannot be 'a " + std::string(part) + "' [golden.format]\n");
  }
  CHECK(refused("part a 1 0.5 2 0 0.5\n", "") ==
        "x.numeric:14:1: error: the parts of 'out' have 2 channels together, but it has 3 "
        "[golden.format]\n");
}

TEST_CASE("a sample that is none is refused") {
  for (const char* sample : {"2", "2 1", "2 1 one", "2 1 1 1", "2.5 1 1", "2 1e999 1"}) {
    CHECK(refused("2 1 1", sample) ==
          "x.numeric:12:1: error: 'at' cannot be '" + std::string(sample) + "' [golden.format]\n");
  }
  CHECK(refused("at 5", "at 6") ==
        "x.numeric:13:1: error: element 6 is outside of 'out', which has 6 [golden.format]\n");
  CHECK(refused("at 0", "at -1") ==
        "x.numeric:11:1: error: element -1 is outside of 'out', which has 6 [golden.format]\n");
  CHECK(refused("at 5", "at 2") ==
        "x.numeric:13:1: error: element 2 stands behind element 2 [golden.format]\n");
}

TEST_CASE("a golden that is cut off is refused") {
  CHECK(refused("sums -1.75\n", "") ==
        "x.numeric:14:1: error: 'out' has 2 sums for 3 channels [golden.format]\n");
  CHECK(refused("sums -1.75\n", "sums -") ==
        "x.numeric:15:1: error: 'sums' cannot be '-' [golden.format]\n");
  CHECK(refused("sums -1.75\n", "sums -1.75 8\n") ==
        "x.numeric:15:1: error: 'out' has 4 sums for 3 channels [golden.format]\n");
  CHECK(refused("sums -1.75\n", "output more fp16 [1]\n") ==
        "x.numeric:15:1: error: 'out' has 2 sums for 3 channels [golden.format]\n");
  // Wherever a text ends, reading it ends too; only a whole one is good.
  for (std::size_t length = 0; length + 5 < kGolden.size(); ++length) {
    CHECK(refusal(kGolden.substr(0, length)).find("[golden.format]") != std::string::npos);
  }
}

TEST_CASE("the goldens of the Stories kernels can be read") {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(fs::path(MILGEN_SOURCE_DIR) / "golden/numeric/stories")) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const NumericGolden golden = parsed(text);
    CAPTURE(entry.path().filename().string());
    CHECK(text.size() < 100'000);
    names.push_back(golden.set + "/" + golden.kernel + "." + golden.config);
    CHECK(entry.path().filename() == golden.kernel + "." + golden.config + ".numeric");
    REQUIRE(golden.outputs.size() == 1);
    const NumericGoldenOutput& output = golden.outputs[0];
    REQUIRE(output.samples.size() == 1000);
    // What stands there as rounded is as near to the truth as it is said to be.
    Array array(output.dtype, output.shape);
    for (const NumericSample& sample : output.samples) array.set(sample.index, sample.rounded);
    const NumericVerdict verdict = compare_numeric(output, array);
    CHECK(verdict.equal == 1000);
    CHECK(verdict.truth.holds());
    CHECK(verdict.truth.error > 0);
    CHECK_FALSE(verdict.mean.holds());
  }
  std::ranges::sort(names);
  REQUIRE(names.size() == 12);
  CHECK(names.front() == "stories/ffn_bwd.small");
  CHECK(names.back() == "stories/sdpa_fwd_taps.stories110m");
}

TEST_CASE("seeded inputs are those that the goldens were computed from") {
  // Values and digest from tests/numeric/seeded.py, which has the formula on its own.
  Array halves(DType::fp16, {1, 64, 1, 32});
  fill_seeded(halves, "x", 7);
  CHECK(halves.real(0) == -0x1.e2p-1);
  CHECK(halves.real(1) == -0x1.3e4p-1);
  CHECK(halves.real(2) == -0x1.c64p-1);
  Sha256 digest;
  digest.update(halves.bytes());
  CHECK(hex(digest.finish()) == "fbfa359561d186890f887f1cfe4e9c7b66590a14bc25ed7f3d314431475dd720");

  const auto integers = [](DType dtype) {
    Array array(dtype, {4});
    fill_seeded(array, "x", 7);
    std::vector<std::int64_t> values;
    for (std::int64_t i = 0; i < array.size(); ++i) values.push_back(array.integer(i));
    return values;
  };
  CHECK(integers(DType::int32) == std::vector<std::int64_t>{96, 79, 90, 20});
  CHECK(integers(DType::boolean) == std::vector<std::int64_t>{0, 0, 0, 1});
  CHECK(integers(DType::int4) == std::vector<std::int64_t>{4, 3, 6, 4});
}
