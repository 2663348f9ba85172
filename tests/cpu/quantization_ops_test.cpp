// Quantised values beside what golden/numeric/ops shows: as many elements as several threads share,
// against plain loops, and what saturates.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/run_text.h"

using namespace milgen;
using milgen::test::program_text;
using milgen::test::run_text;
using milgen::test::tensor_text;
using milgen::test::TextRun;

namespace {

std::uint32_t next_number(std::uint32_t& seed) {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 24;
}

}  // namespace

TEST_CASE("quantize and dequantize along any axis for any number of threads") {
  const Shape shape{3, 31, 409};
  Array x(DType::fp32, shape);
  std::uint32_t seed = 1;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    x.set(i, (static_cast<double>(next_number(seed)) - 128) / 3);
  }
  for (const std::int64_t axis : {0, 1, -1}) {
    CAPTURE(axis);
    const std::size_t dim = axis < 0 ? 2 : static_cast<std::size_t>(axis);
    std::vector<double> scales;
    std::vector<int> zero_points;
    for (std::int64_t i = 0; i < shape[dim]; ++i) {
      scales.push_back((static_cast<double>(next_number(seed)) + 1) / 256);
      zero_points.push_back(static_cast<int>(next_number(seed)) - 128);
    }
    const std::string parameters = fmt::format("axis = int32({}), scale = {}, zero_point = {}",
                                               axis, tensor_text("fp32", {shape[dim]}, scales),
                                               tensor_text("int8", {shape[dim]}, zero_points));
    const std::string text = program_text(
        "tensor<fp32, [3, 31, 409]> x",
        fmt::format("            tensor<int8, [3, 31, 409]> q = quantize(input = x, output_dtype = "
                    "string(\"int8\"), {0})[name = string(\"q\")];\n"
                    "            tensor<fp32, [3, 31, 409]> y = dequantize(input = q, {0})[name = "
                    "string(\"y\")];",
                    parameters),
        "q, y");
    for (const int threads : {1, 2, 4}) {
      const TextRun run = run_text(text, {{"x", x}}, {.threads = threads});
      REQUIRE(run.errors == "");
      std::int64_t wrong = 0;
      for (std::int64_t i = 0; i < x.size(); ++i) {
        const std::int64_t place = dim == 0 ? i / (31 * 409) : dim == 1 ? i / 409 % 31 : i % 409;
        const double scale = scales[static_cast<std::size_t>(place)];
        const int zero_point = zero_points[static_cast<std::size_t>(place)];
        const double code =
            std::clamp(std::nearbyint(x.real(i) / scale) + zero_point, -128.0, 127.0);
        if (run.outputs[0].array.real(i) != code) ++wrong;
        if (run.outputs[1].array.real(i) != scale * (code - zero_point)) ++wrong;
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("quantize saturates, and gives 0 for NaN") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<double> values = {kInfinity, -kInfinity, std::nan(""), 1000, -1000, 2.5, -2.5};
  Array x(DType::fp16, {7});
  for (std::size_t i = 0; i < values.size(); ++i) x.set(static_cast<std::int64_t>(i), values[i]);
  const TextRun run =
      run_text(program_text("tensor<fp16, [7]> x",
                            "            tensor<uint8, [7]> q = quantize(input = x, output_dtype = "
                            "string(\"uint8\"), scale = fp16(1.0), zero_point = uint8(100))[name = "
                            "string(\"q\")];",
                            "q"),
               {{"x", x}});
  REQUIRE(run.errors == "");
  const auto codes = run.outputs[0].array.as<std::uint8_t>();
  CHECK(std::vector<int>(codes.begin(), codes.end()) ==
        std::vector<int>{255, 0, 0, 255, 0, 102, 98});
}

TEST_CASE("blocks of scales and tables over many elements") {
  constexpr std::int64_t kRows = 128;
  constexpr std::int64_t kColumns = 168;
  const Shape shape{kRows, kColumns};
  std::uint32_t seed = 5;
  std::vector<int> codes;
  for (std::int64_t i = 0; i < kRows * kColumns; ++i) {
    codes.push_back(static_cast<int>(next_number(seed) % 16));
  }
  // Blocks of 64 x 24.
  std::vector<double> scales;
  std::vector<int> offsets;
  std::vector<double> lut;
  for (int i = 0; i < 14; ++i) {
    scales.push_back((static_cast<double>(next_number(seed)) + 1) / 256);
    offsets.push_back(static_cast<int>(next_number(seed) % 16));
    for (int k = 0; k < 16; ++k) lut.push_back((static_cast<double>(next_number(seed)) - 128) / 8);
  }
  const std::string data = tensor_text("uint4", shape, codes);
  const std::string text = program_text(
      "tensor<fp32, [1]> x",
      fmt::format("            tensor<fp32, [128, 168]> y = constexpr_blockwise_shift_scale(data = "
                  "{0}, offset = {1}, scale = {2})[name = string(\"y\")];\n"
                  "            tensor<fp16, [128, 168]> z = constexpr_lut_to_dense(indices = {0}, "
                  "lut = {3})[name = string(\"z\")];\n"
                  "            tensor<fp32, [128, 168]> a = add(x = y, y = x)[name = "
                  "string(\"a\")];\n"
                  "            tensor<fp16, [128, 168]> b = identity(x = z)[name = string(\"b\")];",
                  data, tensor_text("uint4", {2, 7}, offsets), tensor_text("fp32", {2, 7}, scales),
                  tensor_text("fp16", {2, 7, 16, 1}, lut)),
      "a, b");
  for (const int threads : {1, 4}) {
    const TextRun run = run_text(text, {{"x", Array(DType::fp32, {1})}}, {.threads = threads});
    REQUIRE(run.errors == "");
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < kRows * kColumns; ++i) {
      const auto code = static_cast<std::size_t>(codes[static_cast<std::size_t>(i)]);
      const auto block = static_cast<std::size_t>(i / kColumns / 64 * 7 + i % kColumns / 24);
      const double value = scales[block] * (static_cast<double>(code) - offsets[block]);
      if (run.outputs[0].array.real(i) != value) ++wrong;
      if (run.outputs[1].array.real(i) != lut[block * 16 + code]) ++wrong;
    }
    CHECK(wrong == 0);
  }
}
