// Weights on their way into inputs: every layout, dtype and direction against the formula that the
// layout stands for, and what does not fit.
#include "milgen/weight_inputs.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/weights.h"
#include "support/half.h"

using namespace milgen;

namespace {

constexpr std::int64_t kChannels = 5;
constexpr std::int64_t kPositions = 3;

/// x: [5, 3], w: [7, 5] transposed, v: [5, 4] as it is: 14 columns.
PlannedInput packed_input(DType dtype, DType weights) {
  PlannedInput input{"x", dtype, {1, kChannels, 1, 14}, {}};
  input.parts.push_back({.name = "x",
                         .dtype = dtype,
                         .shape = {1, kChannels, 1, kPositions},
                         .layout = PartLayout::columns,
                         .columns = 3});
  input.parts.push_back({.name = "w",
                         .is_weight = true,
                         .dtype = weights,
                         .shape = {7, kChannels, 1, 1},
                         .layout = PartLayout::transposed,
                         .first_column = 3,
                         .columns = 7});
  input.parts.push_back({.name = "v",
                         .is_weight = true,
                         .dtype = weights,
                         .shape = {kChannels, 4},
                         .layout = PartLayout::columns,
                         .first_column = 10,
                         .columns = 4});
  return input;
}

PlannedInput whole_input(DType dtype, Shape shape, Shape declared) {
  PlannedInput input{"w", dtype, shape, {}};
  input.parts.push_back({.name = "w", .is_weight = true, .dtype = dtype, .shape = declared});
  return input;
}

/// Distinct values that no dtype rounds: 0.25, 0.5, ...
std::vector<float> values_of(std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t i = 1; i <= count; ++i) values.push_back(0.25f * static_cast<float>(i));
  return values;
}

std::vector<float> transpose_of(const std::vector<float>& values, std::int64_t rows,
                                std::int64_t columns) {
  std::vector<float> out;
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) {
      out.push_back(values[static_cast<std::size_t>(r * columns + c)]);
    }
  }
  return out;
}

std::string messages(const Diagnostics& diagnostics) {
  std::string out;
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    out += diagnostic.id + ": " + diagnostic.message + "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("a packed part goes into its columns and nowhere else") {
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    const PlannedInput input = packed_input(dtype, DType::fp16);
    for (const PlannedPart& part : input.parts) {
      for (const Transposed transposed : {Transposed::no, Transposed::yes}) {
        CAPTURE(part.name);
        const bool turned = part.layout == PartLayout::transposed;
        const std::int64_t rows = turned ? part.columns : kChannels;
        const std::int64_t columns = turned ? kChannels : part.columns;
        const std::vector<float> matrix = values_of(rows * columns);
        Array array(dtype, input.shape);
        for (std::int64_t i = 0; i < array.size(); ++i) array.set(i, -1);
        REQUIRE(
            write_part(input, part,
                       transposed == Transposed::yes ? transpose_of(matrix, rows, columns) : matrix,
                       transposed, array.mutable_bytes()));
        for (std::int64_t c = 0; c < kChannels; ++c) {
          for (std::int64_t w = 0; w < 14; ++w) {
            const std::int64_t at = w - part.first_column;
            double expected = -1;
            if (at >= 0 && at < part.columns) {
              const std::int64_t element = turned ? at * kChannels + c : c * part.columns + at;
              expected = static_cast<double>(matrix[static_cast<std::size_t>(element)]);
            }
            CHECK(array.real(c * 14 + w) == expected);
          }
        }
      }
    }
  }
}

TEST_CASE("blocks of a large packed weight") {
  // More than one block and more than one tile, with rows that are no multiple of either.
  constexpr std::int64_t kIn = 700;
  constexpr std::int64_t kOut = 331;
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    PlannedInput input{"x", dtype, {1, kIn, 1, kOut + 2}, {}};
    const PlannedPart part{.name = "w",
                           .is_weight = true,
                           .dtype = dtype,
                           .shape = {kOut, kIn, 1, 1},
                           .layout = PartLayout::transposed,
                           .first_column = 1,
                           .columns = kOut};
    std::vector<float> matrix;
    for (std::int64_t i = 0; i < kIn * kOut; ++i) {
      matrix.push_back(static_cast<float>(i * 7919 % 2039) / 1024);
    }
    Array straight(dtype, input.shape);
    Array turned(dtype, input.shape);
    REQUIRE(write_part(input, part, matrix, Transposed::no, straight.mutable_bytes()));
    REQUIRE(write_part(input, part, transpose_of(matrix, kOut, kIn), Transposed::yes,
                       turned.mutable_bytes()));
    CHECK(std::memcmp(straight.bytes().data(), turned.bytes().data(), turned.bytes().size()) == 0);
    bool same = true;
    for (std::int64_t c = 0; c < kIn; ++c) {
      same = same && straight.real(c * (kOut + 2)) == 0 &&
             straight.real(c * (kOut + 2) + kOut + 1) == 0;
      for (std::int64_t r = 0; r < kOut; ++r) {
        same = same && straight.real(c * (kOut + 2) + 1 + r) ==
                           static_cast<double>(matrix[static_cast<std::size_t>(r * kIn + c)]);
      }
    }
    CHECK(same);
  }
}

TEST_CASE("a part that is the whole of its input") {
  for (const DType dtype : {DType::fp16, DType::fp32, DType::int32, DType::bf16}) {
    const PlannedInput input = whole_input(dtype, {1, 6, 4}, {6, 4, 1, 1});
    std::vector<float> matrix;
    for (int i = 0; i < 24; ++i) matrix.push_back(static_cast<float>(i - 7));
    Array array(dtype, input.shape);
    REQUIRE(write_part(input, input.parts[0], matrix, Transposed::no, array.mutable_bytes()));
    for (int i = 0; i < 24; ++i) CHECK(array.real(i) == i - 7);
    Array turned(dtype, input.shape);
    REQUIRE(write_part(input, input.parts[0], transpose_of(matrix, 6, 4), Transposed::yes,
                       turned.mutable_bytes()));
    for (int i = 0; i < 24; ++i) CHECK(turned.real(i) == i - 7);
  }
}

TEST_CASE("numbers are rounded to nearest, ties to even") {
  const PlannedInput input = whole_input(DType::fp16, {1, 2, 2}, {2, 2, 1, 1});
  const std::vector<float> values = {1.00048828125f, 1.00146484375f, 70000.0f, -3e-8f};
  Array array(DType::fp16, input.shape);
  REQUIRE(write_part(input, input.parts[0], values, Transposed::no, array.mutable_bytes()));
  const auto halves = array.as<std::uint16_t>();
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(halves[i] == half_from_float(values[i]));
}

TEST_CASE("nothing is written where sizes do not fit") {
  const PlannedInput input = packed_input(DType::fp16, DType::fp16);
  Array array(DType::fp16, input.shape);
  const std::vector<float> values = values_of(35);
  const auto refused = [&](const PlannedInput& planned, const PlannedPart& part,
                           std::span<const float> given, std::span<std::byte> bytes,
                           Transposed transposed = Transposed::no) {
    CHECK(!write_part(planned, part, given, transposed, bytes));
  };
  const PlannedPart& w = input.parts[1];
  refused(input, w, std::span(values).first(34), array.mutable_bytes());
  refused(input, w, values, array.mutable_bytes().first(array.bytes().size() - 2));
  PlannedPart part = w;
  part.first_column = 8;  // its last column would be one too far
  refused(input, part, values, array.mutable_bytes());
  part.first_column = -1;
  refused(input, part, values, array.mutable_bytes());
  part.first_column = INT64_MAX;
  refused(input, part, values, array.mutable_bytes());
  part = w;
  part.columns = 5;
  refused(input, part, values, array.mutable_bytes());
  part = w;
  part.layout = PartLayout::whole;
  refused(input, part, values, array.mutable_bytes());
  PlannedInput other = input;
  other.dtype = DType::string;
  refused(other, w, values, array.mutable_bytes());
  other = input;
  other.shape = {1, kUnknownDim, 1, 14};
  refused(other, w, values, array.mutable_bytes());
  // Three dims that are not 1 have no transpose.
  const PlannedInput deep = whole_input(DType::fp16, {2, 3, 4}, {2, 3, 4});
  Array deep_array(DType::fp16, deep.shape);
  refused(deep, deep.parts[0], values_of(24), deep_array.mutable_bytes(), Transposed::yes);
  for (std::int64_t i = 0; i < array.size(); ++i) CHECK(array.real(i) == 0);
}

TEST_CASE("inputs are kept, written and bound") {
  WeightPlan plan;
  plan.inputs.push_back(whole_input(DType::fp32, {1, 2, 2}, {2, 2}));
  plan.inputs.push_back(packed_input(DType::fp32, DType::fp16));
  plan.inputs.push_back(
      {"z", DType::fp16, {1, 2}, {{.name = "z", .dtype = DType::fp16, .shape = {1, 2}}}});
  plan.inputs[1].parts[2].name = "u";
  WeightInputs weights;
  Diagnostics diagnostics;
  CHECK(weights.plan().inputs.empty());
  REQUIRE(weights.open(plan, diagnostics));
  CHECK(weights.plan().inputs.size() == 3);

  const std::vector<std::uint16_t> ones(35, half_from_float(1.0f));
  CHECK(weights.write("w", std::vector<float>{1, 2, 3, 4}, Transposed::yes, diagnostics) == true);
  CHECK(!weights.write("wq", values_of(4), Transposed::no, diagnostics));
  CHECK(!weights.write("u", values_of(4), Transposed::yes, diagnostics));
  CHECK(!weights.write("x", values_of(15), Transposed::no, diagnostics));
  CHECK(messages(diagnostics) ==
        "weights.unknown: no input of the program holds a weight wq\n"
        "weight.size: weight 'u' is tensor<fp16, [5, 4]> and was given 4 elements of its "
        "transpose\n"
        "weights.unknown: no input of the program holds a weight x\n");
  diagnostics.clear();
  CHECK(weights.write_fp16("u", std::span(ones).first(20), Transposed::no, diagnostics));

  Array x(DType::fp32, {1, kChannels, 1, kPositions});
  for (std::int64_t i = 0; i < x.size(); ++i) x.set(i, static_cast<double>(i));
  const Array z(DType::fp16, {1, 2});
  std::vector<NamedArray> inputs;
  CHECK(!weights.bind({{"x", x}}, inputs, diagnostics));
  CHECK(!weights.bind({{"x", z}, {"z", z}}, inputs, diagnostics));
  CHECK(!weights.bind({{"x", x}, {"z", z}, {"w", z}}, inputs, diagnostics));
  CHECK(!weights.bind({{"x", x}, {"z", z}, {"z", z}}, inputs, diagnostics));
  CHECK(messages(diagnostics) ==
        "run.input: input z is tensor<fp16, [1, 2]> and was not given\n"
        "run.input: input x is tensor<fp32, [1, 5, 1, 3]> but what was given is tensor<fp16, "
        "[1, 2]>\n"
        "run.input: there is no input w, only x, z\n"
        "run.input: input z is given twice\n");
  diagnostics.clear();
  REQUIRE(weights.bind({{"z", z}, {"x", x}}, inputs, diagnostics));
  REQUIRE(inputs.size() == 3);
  CHECK(inputs[0].name == "w");
  CHECK(inputs[0].array.real(1) == 3);
  CHECK(inputs[1].name == "x");
  CHECK(inputs[1].array.real(14 + 2) == 5);
  CHECK(inputs[1].array.real(14 + 10) == 1);
  // What has an input of its own is the caller's.
  CHECK(inputs[2].array.bytes().data() == z.bytes().data());
  // Bound again, the same arrays: nothing is made anew.
  const std::byte* kept = inputs[1].array.bytes().data();
  REQUIRE(weights.bind({{"z", z}, {"x", x}}, inputs, diagnostics));
  CHECK(inputs[1].array.bytes().data() == kept);
}

TEST_CASE("all weights come from a source") {
  WeightPlan plan;
  plan.inputs.push_back(whole_input(DType::fp16, {1, 7, 5}, {7, 5, 1, 1}));
  plan.inputs.push_back(packed_input(DType::fp32, DType::fp16));
  plan.inputs[1].parts.erase(plan.inputs[1].parts.begin() + 1);
  plan.inputs[1].parts[1].name = "u";
  WeightInputs weights;
  Diagnostics diagnostics;
  REQUIRE(weights.open(plan, diagnostics));
  REQUIRE(weights.load(*seeded_weights(5), diagnostics));
  Array expected(DType::fp16, {5, 4});
  MemorySink sink(expected.mutable_bytes());
  REQUIRE(seeded_weights(5)->read({"u", DType::fp16, {5, 4}, Fill::uniform}, sink, diagnostics));
  std::vector<NamedArray> inputs;
  REQUIRE(weights.bind({{"x", Array(DType::fp32, {1, 5, 1, 3})}}, inputs, diagnostics));
  CHECK(inputs[1].array.real(14 + 11) == expected.real(5));
  CHECK(inputs[0].array.real(3) != 0);

  const auto none = memory_weights({}, {}, diagnostics);
  CHECK(!weights.load(*none, diagnostics));
  CHECK(diagnostics.all().size() == 2);
  CHECK(diagnostics.all()[0].id == "weight.missing");
}

TEST_CASE("an input that memory does not hold is reported") {
  WeightPlan plan;
  plan.inputs.push_back(whole_input(DType::fp32, {1 << 30, 1 << 30, 4}, {1 << 30, 1 << 30, 4}));
  WeightInputs weights;
  Diagnostics diagnostics;
  CHECK(!weights.open(plan, diagnostics));
  CHECK(messages(diagnostics) ==
        "memory.limit: there is no memory for input 'w', tensor<fp32, [1073741824, "
        "1073741824, 4]>\n");
}
