// Elementwise ops beside what golden/numeric/ops shows: integers at their limits, what they cannot
// be divided by, casts at the edges of ranges, and broadcasting over many elements and threads.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/run_text.h"
#include "milgen/shape.h"

using namespace milgen;
using milgen::test::program_text;
using milgen::test::run_text;
using milgen::test::TextRun;

namespace {

constexpr std::int32_t kMin = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t kMax = std::numeric_limits<std::int32_t>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Array integers(Shape shape, const std::vector<std::int32_t>& values) {
  Array array(DType::int32, std::move(shape));
  std::ranges::copy(values, array.as_mutable<std::int32_t>().begin());
  return array;
}

std::string binary_text(std::string_view op, const Shape& x, const Shape& y, const Shape& out,
                        std::string_view result = "int32") {
  return program_text(
      fmt::format("tensor<int32, {}> x, tensor<int32, {}> y", to_string(x), to_string(y)),
      fmt::format("            tensor<{}, {}> z = {}(x = x, y = y)[name = string(\"z\")];", result,
                  to_string(out), op),
      "z");
}

std::vector<std::int32_t> of(const Array& array) {
  const auto values = array.as<std::int32_t>();
  return {values.begin(), values.end()};
}

TextRun run_binary(std::string_view op, const std::vector<std::int32_t>& x,
                   const std::vector<std::int32_t>& y) {
  const Shape shape{static_cast<std::int64_t>(x.size())};
  return run_text(binary_text(op, shape, shape, shape),
                  {{"x", integers(shape, x)}, {"y", integers(shape, y)}});
}

std::vector<std::int32_t> values_of(std::string_view op, const std::vector<std::int32_t>& x,
                                    const std::vector<std::int32_t>& y) {
  const TextRun run = run_binary(op, x, y);
  REQUIRE(run.errors == "");
  return of(run.outputs[0].array);
}

/// Numbers without a pattern, small enough to be equal now and then.
std::vector<std::int32_t> mixed(std::int64_t count, std::uint32_t seed) {
  std::vector<std::int32_t> values;
  for (std::int64_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    values.push_back(static_cast<std::int32_t>(seed >> 24) - 128);
  }
  return values;
}

}  // namespace

TEST_CASE("integers that do not fit keep their low bits") {
  using List = std::vector<std::int32_t>;
  CHECK(values_of("add", {kMax, kMin}, {1, -1}) == List{kMin, kMax});
  CHECK(values_of("sub", {kMin, 0}, {1, kMin}) == List{kMax, kMin});
  CHECK(values_of("mul", {65536, kMin, 46341}, {65536, -1, 46341}) == List{0, kMin, -2147479015});
  CHECK(values_of("real_div", {kMin, -7, 7}, {-1, 2, -2}) == List{kMin, -3, -3});
  CHECK(values_of("floor_div", {kMin, -7, 7, -8, kMin}, {-1, 2, -2, 2, kMax}) ==
        List{kMin, -4, -4, -4, -2});
  CHECK(values_of("mod", {kMin, -7, 7, -8, 7}, {-1, 2, -2, 2, kMin}) ==
        List{0, 1, -1, 0, kMin + 7});
  CHECK(values_of("pow", {2, 3, -2, 2, 0, -1, -1, 1, 5}, {31, 21, 31, 32, 0, -3, -4, kMin, -1}) ==
        List{kMin, 1870418611, kMin, 0, 1, -1, 1, 1, 0});
}

TEST_CASE("unary ops of integers at their limits") {
  const auto values = [](std::string_view op) {
    const TextRun run = run_text(
        program_text(
            "tensor<int32, [5]> x",
            fmt::format("            tensor<int32, [5]> y = {}[name = string(\"y\")];", op), "y"),
        {{"x", integers({5}, {kMin, -1, 0, 31, kMax})}});
    REQUIRE(run.errors == "");
    return of(run.outputs[0].array);
  };
  using List = std::vector<std::int32_t>;
  CHECK(values("abs(x = x)") == List{kMin, 1, 0, 31, kMax});
  CHECK(values("sign(x = x)") == List{-1, -1, 0, 1, 1});
  CHECK(values("square(x = x)") == List{0, 1, 0, 961, 1});
  CHECK(values("exp2(x = x)") == List{0, 0, 1, kMin, 0});
  CHECK(values("threshold(alpha = int32(-5), x = x)") == List{-5, -1, 0, 31, kMax});
}

TEST_CASE("dividing an integer by 0 is reported with where the 0 stands") {
  for (const std::string_view op : {"real_div", "floor_div", "mod"}) {
    CHECK(run_binary(op, {1, 2, 3}, {1, 0, 0}).errors ==
          fmt::format("{}: y is 0 at [1], and integers are divided by it\n", op));
  }
  CHECK(run_text(binary_text("mod", {2, 3}, {2, 1}, {2, 3}),
                 {{"x", integers({2, 3}, {1, 2, 3, 4, 5, 6})}, {"y", integers({2, 1}, {4, 0})}})
            .errors == "mod: y is 0 at [1, 0], and integers are divided by it\n");
  CHECK(run_binary("pow", {2, 0, 0}, {-1, 0, -2}).errors ==
        "pow: x is 0 and y is negative at [2], and a negative power of an integer divides by it\n");
  CHECK(run_binary("pow", {0}, {-1}).ids == "run.division\n");
  CHECK(run_binary("mod", {0}, {0}).ids == "run.division\n");
  // 0 and the negative power do not meet.
  CHECK(values_of("pow", {0, 1}, {3, -1}) == std::vector<std::int32_t>{0, 1});
}

TEST_CASE("integers broadcast alike for any number of threads") {
  const std::vector<std::vector<Shape>> shapes = {{{37, 1, 301}, {5, 1}, {37, 5, 301}},
                                                  {{1, 7}, {9001, 1}, {9001, 7}},
                                                  {{3, 5, 7, 11, 13}, {7, 1, 1}, {3, 5, 7, 11, 13}},
                                                  {{50021}, {1}, {50021}},
                                                  {{2, 3, 4}, {1, 1, 1}, {2, 3, 4}}};
  for (const auto& shape : shapes) {
    CAPTURE(to_string(shape[0]));
    std::int64_t x_count = 0;
    std::int64_t y_count = 0;
    REQUIRE(element_count(shape[0], x_count));
    REQUIRE(element_count(shape[1], y_count));
    const std::vector<std::int32_t> x = mixed(x_count, 1);
    const std::vector<std::int32_t> y = mixed(y_count, 2);
    // The element of an operand for an index of the result, dim by dim.
    const auto at = [&](const Shape& operand, std::int64_t index) {
      const Shape& out = shape[2];
      std::int64_t offset = 0;
      std::int64_t stride = 1;
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::int64_t place = index % out[out.size() - 1 - i];
        index /= out[out.size() - 1 - i];
        if (i >= operand.size()) continue;
        const std::int64_t dim = operand[operand.size() - 1 - i];
        offset += dim == 1 ? 0 : place * stride;
        stride *= dim;
      }
      return static_cast<std::size_t>(offset);
    };
    for (const int threads : {1, 2, 4}) {
      const std::vector<NamedArray> inputs = {{"x", integers(shape[0], x)},
                                              {"y", integers(shape[1], y)}};
      const TextRun sum =
          run_text(binary_text("sub", shape[0], shape[1], shape[2]), inputs, {.threads = threads});
      const TextRun less = run_text(binary_text("less_equal", shape[0], shape[1], shape[2], "bool"),
                                    inputs, {.threads = threads});
      REQUIRE(sum.errors == "");
      REQUIRE(less.errors == "");
      const auto differences = sum.outputs[0].array.as<std::int32_t>();
      std::int64_t wrong = 0;
      for (std::int64_t i = 0; i < sum.outputs[0].array.size(); ++i) {
        const std::int32_t a = x[at(shape[0], i)];
        const std::int32_t b = y[at(shape[1], i)];
        if (differences[static_cast<std::size_t>(i)] != a - b) ++wrong;
        if ((less.outputs[0].array.integer(i) != 0) != (a <= b)) ++wrong;
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("casts: integers keep low bits, floats are cut off and held in the range") {
  struct Range {
    DType dtype;
    double low;
    double high;
  };
  const Range integer_ranges[] = {{DType::int8, -128, 127},
                                  {DType::uint8, 0, 255},
                                  {DType::int16, -32768, 32767},
                                  {DType::uint16, 0, 65535},
                                  {DType::int32, -2147483648.0, 2147483647.0}};
  const auto cast = [](DType from, DType to, const std::vector<double>& values) {
    const Shape shape{static_cast<std::int64_t>(values.size())};
    Array x(from, shape);
    for (std::size_t i = 0; i < values.size(); ++i) {
      x.set(static_cast<std::int64_t>(i), values[i]);
    }
    const TextRun run = run_text(
        program_text(fmt::format("tensor<{}, {}> x", dtype_name(from), to_string(shape)),
                     fmt::format("            tensor<{0}, {1}> y = cast(dtype = string(\"{0}\"), x "
                                 "= x)[name = string(\"y\")];",
                                 dtype_name(to), to_string(shape)),
                     "y"),
        {{"x", x}});
    CHECK(run.errors == "");
    std::vector<double> out;
    for (std::size_t i = 0; i < values.size() && run.errors.empty(); ++i) {
      out.push_back(run.outputs[0].array.real(static_cast<std::int64_t>(i)));
    }
    return out;
  };
  using List = std::vector<double>;
  for (const DType from : {DType::fp16, DType::fp32}) {
    for (const Range& to : integer_ranges) {
      CAPTURE(dtype_name(to.dtype));
      const double low = to.low == 0 ? 0 : -1;
      CHECK(cast(from, to.dtype, {kInfinity, -kInfinity, std::nan(""), 1.75, -1.75, -0.5}) ==
            List{to.high, to.low, 0, 1, low, 0});
    }
    CHECK(cast(from, DType::boolean, {0, -0.0, 0.25, std::nan(""), -kInfinity}) ==
          List{0, 0, 1, 1, 1});
  }
  CHECK(cast(DType::fp32, DType::int32, {2147483648.0, -2147483904.0, 16777217}) ==
        List{2147483647, -2147483648.0, 16777216});
  CHECK(cast(DType::int32, DType::int8, {300, -129, 127}) == List{44, 127, 127});
  CHECK(cast(DType::int32, DType::uint16, {-1, 65537}) == List{65535, 1});
  CHECK(cast(DType::int8, DType::uint8, {-1, 5}) == List{255, 5});
  CHECK(cast(DType::int8, DType::int32, {-128, 127}) == List{-128, 127});
  CHECK(cast(DType::uint16, DType::int16, {65535, 3}) == List{-1, 3});
  CHECK(cast(DType::int32, DType::fp16, {65519, 65520, -2049, 2051}) ==
        List{65504, kInfinity, -2048, 2052});
  CHECK(cast(DType::int32, DType::fp32, {16777217, 16777219, kMax}) ==
        List{16777216, 16777220, 2147483648.0});
  CHECK(cast(DType::fp32, DType::fp16, {1e5, 1e-8, 65519.99, 5.9604645e-8}) ==
        List{kInfinity, 0, 65504, 0x1p-24});
  CHECK(cast(DType::boolean, DType::int16, {0, 1}) == List{0, 1});
  CHECK(cast(DType::int16, DType::boolean, {0, 256, -1}) == List{0, 1, 1});
  CHECK(cast(DType::fp16, DType::fp16, {1.5, -2}) == List{1.5, -2});
}

TEST_CASE("select moves elements as they are, NaNs with their bits too") {
  const std::string text = program_text(
      "tensor<bool, [2, 1]> c, tensor<fp16, [3]> a, tensor<fp16, [2, 3]> b",
      "            tensor<fp16, [2, 3]> y = select(a = a, b = b, cond = c)[name = string(\"y\")];",
      "y");
  Array cond(DType::boolean, {2, 1});
  cond.set(1, 1);
  Array a(DType::fp16, {3});
  Array b(DType::fp16, {2, 3});
  for (std::size_t i = 0; i < 3; ++i) {
    a.as_mutable<std::uint16_t>()[i] = static_cast<std::uint16_t>(0xFE01u + i);
  }
  for (std::size_t i = 0; i < 6; ++i) {
    b.as_mutable<std::uint16_t>()[i] = static_cast<std::uint16_t>(0x7D00u + i);
  }
  const TextRun run = run_text(text, {{"c", cond}, {"a", a}, {"b", b}});
  REQUIRE(run.errors == "");
  const auto values = run.outputs[0].array.as<std::uint16_t>();
  CHECK(std::vector<std::uint16_t>(values.begin(), values.end()) ==
        std::vector<std::uint16_t>{0x7D00, 0x7D01, 0x7D02, 0xFE01, 0xFE02, 0xFE03});
}

TEST_CASE("epsilons that are left out are numbers of x's dtype") {
  // 1e-45 is 0 in fp16 and the smallest number of fp32.
  const auto log_of_zero = [](DType dtype) {
    const TextRun run = run_text(
        program_text(
            fmt::format("tensor<{}, [1]> x", dtype_name(dtype)),
            fmt::format("            tensor<{}, [1]> y = log(x = x)[name = string(\"y\")];",
                        dtype_name(dtype)),
            "y"),
        {{"x", Array(dtype, {1})}});
    REQUIRE(run.errors == "");
    return run.outputs[0].array.real(0);
  };
  CHECK(log_of_zero(DType::fp32) == doctest::Approx(-103.27893));
  CHECK(log_of_zero(DType::fp16) == -kInfinity);
}

TEST_CASE("a random_categorical without a distribution is reported") {
  const auto draw = [](std::string_view mode, const std::vector<double>& row) {
    Array x(DType::fp32, {1, 2});
    for (std::size_t i = 0; i < 2; ++i) x.set(static_cast<std::int64_t>(i), row[i]);
    return run_text(program_text("tensor<fp32, [1, 2]> x",
                                 fmt::format("            tensor<fp32, [1, 3]> y = "
                                             "random_categorical(mode = string(\"{}\"), seed = "
                                             "int32(1), size = int32(3), x = x)[name = "
                                             "string(\"y\")];",
                                             mode),
                                 "y"),
                    {{"x", x}});
  };
  constexpr std::string_view kMessage =
      "random_categorical: the {} in row 0 of x [1, 2] are no distribution: each is finite and at "
      "least 0, and their sum is above 0\n";
  for (const std::vector<double>& row :
       std::vector<std::vector<double>>{{0, 0}, {-0.5, 1}, {kInfinity, 1}, {std::nan(""), 1}}) {
    CHECK(draw("probs", row).errors == fmt::format(fmt::runtime(kMessage), "probabilities"));
  }
  CHECK(draw("probs", {0, 0}).ids == "run.value\n");
  CHECK(draw("logits", {-kInfinity, -kInfinity}).errors ==
        fmt::format(fmt::runtime(kMessage), "exponentials"));
  CHECK(draw("logits", {-kInfinity, -1000}).errors == "");
}
