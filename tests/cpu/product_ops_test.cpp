// linear, matmul, einsum and attention of sizes that threads share, against plain loops in the
// documented order, bit for bit; integers that wrap. What the ops give is in golden/numeric/ops.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/op_values.h"
#include "cpu/run_text.h"
#include "milgen/array.h"
#include "milgen/shape.h"

using namespace milgen;
using namespace milgen::test;

namespace {

/// The program with `x` and `y` as inputs, and with each of them as a constant.
void check_product(std::string_view op, const Array& x, const Array& y, std::string_view x_name,
                   std::string_view y_name, std::string_view rest, const Array& expected) {
  for (const char constant : {'-', 'x', 'y'}) {
    CAPTURE(constant);
    if (op == "linear" && constant != 'y') continue;  // its weight is a constant
    std::vector<std::string> params;
    std::vector<NamedArray> inputs;
    if (constant != 'x') {
      params.push_back(type_text(x) + " a");
      inputs.push_back({"a", x});
    }
    if (constant != 'y') {
      params.push_back(type_text(y) + " b");
      inputs.push_back({"b", y});
    }
    const std::string text = program_text(
        fmt::format("{}", fmt::join(params, ", ")),
        fmt::format("{} r = {}({} = {}, {} = {}, {})[name = string(\"r\")];", type_text(expected),
                    op, x_name, constant == 'x' ? literal(x) : "a", y_name,
                    constant == 'y' ? literal(y) : "b", rest),
        "r");
    for (const int threads : {1, 3}) {
      CAPTURE(threads);
      const TextRun run = run_text(text, inputs, {.threads = threads});
      REQUIRE(run.errors == "");
      CHECK(same_bytes(run.outputs.front().array, expected));
    }
  }
}

/// A product over the last two dims, with batch dims that broadcast; a sum is fp32.
Array plain_matmul(const Array& x, const Array& y, bool transpose_x, bool transpose_y,
                   Shape shape) {
  Array out(x.dtype(), std::move(shape));
  const auto dim = [](const Array& a, std::size_t from_end) {
    return a.shape()[a.shape().size() - from_end];
  };
  const std::int64_t rows = dim(out, 2);
  const std::int64_t columns = dim(out, 1);
  const std::int64_t inner = transpose_x ? dim(x, 2) : dim(x, 1);
  // The first element of an operand's matrix for matrix `i` of the result.
  const auto first = [&](const Array& operand, std::int64_t i) {
    std::int64_t at = 0;
    std::int64_t step = dim(operand, 1) * dim(operand, 2);
    for (std::size_t d = 3; d <= out.shape().size(); ++d) {
      const std::int64_t here = i % dim(out, d);
      i /= dim(out, d);
      if (d > operand.shape().size()) break;
      if (dim(operand, d) != 1) at += here * step;
      step *= dim(operand, d);
    }
    return at;
  };
  for (std::int64_t i = 0; i < out.size(); ++i) {
    const std::int64_t matrix = i / (rows * columns);
    const std::int64_t row = i / columns % rows;
    const std::int64_t column = i % columns;
    float sum = 0;
    for (std::int64_t k = 0; k < inner; ++k) {
      const std::int64_t a = transpose_x ? k * rows + row : row * inner + k;
      const std::int64_t b = transpose_y ? column * inner + k : k * columns + column;
      sum += static_cast<float>(x.real(first(x, matrix) + a)) *
             static_cast<float>(y.real(first(y, matrix) + b));
    }
    out.set(i, static_cast<double>(sum));
  }
  return out;
}

}  // namespace

TEST_CASE("matmul broadcasts and transposes, with operands that are constants or not") {
  struct Case {
    Shape x;
    Shape y;
    bool transpose_x;
    bool transpose_y;
    Shape out;
  };
  const Case cases[] = {
      {{67, 45}, {45, 70}, false, false, {67, 70}},
      {{3, 33, 20}, {20, 41}, false, false, {3, 33, 41}},
      {{3, 20, 33}, {41, 20}, true, true, {3, 33, 41}},
      {{2, 1, 9, 13}, {3, 13, 8}, false, false, {2, 3, 9, 8}},
      {{2, 3, 13, 9}, {2, 1, 8, 13}, true, true, {2, 3, 9, 8}},
      {{4, 1, 1, 5, 6}, {2, 3, 6, 7}, false, false, {4, 2, 3, 5, 7}},
      {{1, 5}, {6, 5, 2}, false, false, {6, 1, 2}},
  };
  for (const Case& one : cases) {
    for (const DType dtype : {DType::fp16, DType::fp32}) {
      CAPTURE(to_string(one.out));
      CAPTURE(dtype_name(dtype));
      const Array x = some_values(dtype, one.x, 1);
      const Array y = some_values(dtype, one.y, 2);
      check_product("matmul", x, y, "x", "y",
                    fmt::format("transpose_x = bool({}), transpose_y = bool({})", one.transpose_x,
                                one.transpose_y),
                    plain_matmul(x, y, one.transpose_x, one.transpose_y, one.out));
    }
  }
}

TEST_CASE("linear adds its bias in fp32 after the sum") {
  const Array x = some_values(DType::fp16, {5, 19, 83}, 1);
  const Array weight = some_values(DType::fp16, {77, 83}, 2);
  const Array bias = some_values(DType::fp16, {77}, 3);
  Array flat = x.reshaped({95, 83});
  Array sums = plain_matmul(flat, weight, false, true, {95, 77});
  // The sum again, so that it is not rounded before the bias is added.
  for (std::int64_t i = 0; i < sums.size(); ++i) {
    float sum = 0;
    for (std::int64_t k = 0; k < 83; ++k) {
      sum += static_cast<float>(x.real(i / 77 * 83 + k)) *
             static_cast<float>(weight.real(i % 77 * 83 + k));
    }
    sums.set(i, static_cast<double>(sum + static_cast<float>(bias.real(i % 77))));
  }
  check_product("linear", x, weight, "x", "weight", "bias = " + literal(bias),
                sums.reshaped({5, 19, 77}));
}

TEST_CASE("einsum multiplies over the last dim of x, for every n and h") {
  const Array x = some_values(DType::fp16, {3, 7, 5, 11}, 1);
  const Array y = some_values(DType::fp16, {3, 11, 5, 9}, 2);
  Array expected(DType::fp16, {3, 7, 5, 9});
  for (std::int64_t i = 0; i < expected.size(); ++i) {
    const std::int64_t n = i / (7 * 5 * 9);
    const std::int64_t c = i / (5 * 9) % 7;
    const std::int64_t h = i / 9 % 5;
    float sum = 0;
    for (std::int64_t w = 0; w < 11; ++w) {
      sum += static_cast<float>(x.real(((n * 7 + c) * 5 + h) * 11 + w)) *
             static_cast<float>(y.real(((n * 11 + w) * 5 + h) * 9 + i % 9));
    }
    expected.set(i, static_cast<double>(sum));
  }
  const TextRun run =
      run_text(program_text(type_text(x) + " a, " + type_text(y) + " b",
                            "tensor<fp16, [3, 7, 5, 9]> r = einsum(equation = "
                            "string(\"nchw,nwhu->nchu\"), values = (a, b))[name = string(\"r\")];",
                            "r"),
               {{"a", x}, {"b", y}});
  REQUIRE(run.errors == "");
  CHECK(same_bytes(run.outputs.front().array, expected));
}

TEST_CASE("products of int32 wrap, and an integer result of reals is cut off") {
  Array x(DType::int32, {1, 2});
  x.as_mutable<std::int32_t>()[0] = INT32_MAX;
  x.as_mutable<std::int32_t>()[1] = INT32_MIN;
  Array y(DType::int32, {2, 1});
  y.as_mutable<std::int32_t>()[0] = 3;
  y.as_mutable<std::int32_t>()[1] = 2;
  Array wrapped(DType::int32, {1, 1});
  wrapped.as_mutable<std::int32_t>()[0] = INT32_MAX - 2;  // 3 * 2^31 - 3, modulo 2^32
  check_product("matmul", x, y, "x", "y", "transpose_x = bool(false), transpose_y = bool(false)",
                wrapped);

  Array small(DType::int32, {3});
  for (std::int64_t i = 0; i < 3; ++i) small.set(i, static_cast<double>(i + 1));
  const TextRun run = run_text(
      program_text("tensor<int32, [3]> x",
                   "tensor<int32, [2]> y = linear(x = x, weight = tensor<fp32, [2, 3]>([[0.5, "
                   "0.25, 0.5], [-0.5, -0.25, -0.5]]), bias = tensor<fp32, [2]>([0.0, "
                   "0.0]))[name = string(\"y\")];",
                   "y"),
      {{"x", small}});
  REQUIRE(run.errors == "");
  CHECK(run.outputs.front().array.integer(0) == 2);
  CHECK(run.outputs.front().array.integer(1) == -2);
}

TEST_CASE("attention of long sequences is right, and the same for any number of threads") {
  constexpr std::int64_t kHeads = 3;
  constexpr std::int64_t kQueries = 700;
  constexpr std::int64_t kKeys = 1700;  // scores of a head are more than what is done at a time
  const Array query = some_values(DType::fp16, {1, kHeads, kQueries, 8}, 1);
  const Array key = some_values(DType::fp16, {1, kHeads, kKeys, 8}, 2);
  const Array value = some_values(DType::fp16, {1, kHeads, kKeys, 5}, 3);
  Array mask(DType::boolean, {1, kQueries, kKeys});
  for (std::int64_t i = 0; i < mask.size(); ++i) mask.set(i, i % kKeys <= i / kKeys + 1000 ? 1 : 0);
  const std::string text = program_text(
      fmt::format("{} q, {} k, {} v, {} m", type_text(query), type_text(key), type_text(value),
                  type_text(mask)),
      fmt::format("tensor<fp16, [1, {}, {}, 5]> y = scaled_dot_product_attention(query = q, key = "
                  "k, value = v, attn_mask = m)[name = string(\"y\")];",
                  kHeads, kQueries),
      "y");
  const std::vector<NamedArray> inputs = {{"q", query}, {"k", key}, {"v", value}, {"m", mask}};
  const TextRun one = run_text(text, inputs, {.threads = 1});
  REQUIRE(one.errors == "");
  const Array& got = one.outputs.front().array;
  for (std::int64_t row = 0; row < kHeads * kQueries; row += 97) {
    const std::int64_t head = row / kQueries;
    double total = 0;
    std::vector<double> sums(5, 0);
    for (std::int64_t k = 0; k < kKeys; ++k) {
      if (mask.real(row % kQueries * kKeys + k) == 0) continue;
      double score = 0;
      for (std::int64_t e = 0; e < 8; ++e) {
        score += query.real(row * 8 + e) * key.real((head * kKeys + k) * 8 + e);
      }
      const double weight = std::exp(score / std::sqrt(8.0));
      total += weight;
      for (std::size_t e = 0; e < 5; ++e) {
        sums[e] += weight * value.real((head * kKeys + k) * 5 + static_cast<std::int64_t>(e));
      }
    }
    for (std::size_t e = 0; e < 5; ++e) {
      CHECK(got.real(row * 5 + static_cast<std::int64_t>(e)) ==
            doctest::Approx(sums[e] / total).epsilon(0.002));
    }
  }
  for (const int threads : {2, 4}) {
    const TextRun more = run_text(text, inputs, {.threads = threads});
    REQUIRE(more.errors == "");
    CHECK(same_bytes(more.outputs.front().array, got));
  }
}
