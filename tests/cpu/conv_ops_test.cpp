// Convolutions and pools of sizes that are done in blocks and by threads, against plain loops in
// the documented order, bit for bit; and what only values show to be wrong. What the ops give is in
// golden/numeric/ops.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
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

struct Conv {
  std::string_view what;
  DType x_dtype = DType::fp16;
  DType weight_dtype = DType::fp16;
  Shape x;
  Shape weight;
  std::vector<int> strides;
  std::vector<int> dilations;
  std::vector<int> pad;  ///< before and after each dim
  std::int64_t groups = 1;
  Shape out;
};

/// Three spatial dims, those in front of one element.
std::array<std::int64_t, 3> spatial(const Shape& shape) {
  std::array<std::int64_t, 3> dims{1, 1, 1};
  for (std::size_t i = 2; i < shape.size(); ++i) dims[i + 3 - shape.size()] = shape[i];
  return dims;
}
std::array<std::int64_t, 3> spatial(const std::vector<int>& values, std::int64_t otherwise,
                                    std::size_t step = 1) {
  std::array<std::int64_t, 3> dims{otherwise, otherwise, otherwise};
  const std::size_t count = values.size() / step;
  for (std::size_t i = 0; i < count; ++i) dims[i + 3 - count] = values[i * step];
  return dims;
}

/// One fp32 sum over (c_in, kd, kh, kw) for each element, then the bias, then one rounding.
Array plain(const Conv& conv, bool transposed, const Array& x, const Array& weight,
            const Array& bias) {
  Array out(conv.x_dtype, conv.out);
  const auto in = spatial(conv.x);
  const auto to = spatial(conv.out);
  const auto kernel = spatial(conv.weight);
  const auto stride = spatial(conv.strides, 1);
  const auto dilation = spatial(conv.dilations, 1);
  const auto pad = spatial(conv.pad, 0, 2);
  const std::int64_t in_channels = conv.x[1] / conv.groups;
  const std::int64_t out_channels = conv.out[1] / conv.groups;
  // Where in x tap k of element o is; -1 for nowhere.
  const auto place = [&](std::size_t dim, std::int64_t o, std::int64_t k) -> std::int64_t {
    if (!transposed) {
      const std::int64_t at = o * stride[dim] - pad[dim] + k * dilation[dim];
      return at >= 0 && at < in[dim] ? at : -1;
    }
    const std::int64_t reached = o + pad[dim] - k * dilation[dim];
    if (reached < 0 || reached % stride[dim] != 0) return -1;
    return reached / stride[dim] < in[dim] ? reached / stride[dim] : -1;
  };
  std::int64_t i = 0;
  for (std::int64_t n = 0; n < conv.out[0]; ++n) {
    for (std::int64_t m = 0; m < conv.out[1]; ++m) {
      const std::int64_t group = m / out_channels;
      for (std::int64_t o = 0; o < to[0] * to[1] * to[2]; ++o, ++i) {
        float sum = 0;
        for (std::int64_t c = 0; c < in_channels; ++c) {
          for (std::int64_t k = 0; k < kernel[0] * kernel[1] * kernel[2]; ++k) {
            const std::int64_t d = place(0, o / (to[1] * to[2]), k / (kernel[1] * kernel[2]));
            const std::int64_t h = place(1, o / to[2] % to[1], k / kernel[2] % kernel[1]);
            const std::int64_t w = place(2, o % to[2], k % kernel[2]);
            if (d < 0 || h < 0 || w < 0) continue;
            const std::int64_t channel = n * conv.x[1] + group * in_channels + c;
            const std::int64_t row = transposed ? group * in_channels + c : m;
            const std::int64_t column = transposed ? m % out_channels : c;
            const std::int64_t tap =
                (row * conv.weight[1] + column) * kernel[0] * kernel[1] * kernel[2] + k;
            sum += static_cast<float>(x.real(((channel * in[0] + d) * in[1] + h) * in[2] + w)) *
                   static_cast<float>(weight.real(tap));
          }
        }
        out.set(i, static_cast<double>(sum + static_cast<float>(bias.real(m))));
      }
    }
  }
  return out;
}

void check_conv(const Conv& conv, bool transposed) {
  CAPTURE(conv.what);
  const Array x = some_values(conv.x_dtype, conv.x, 1);
  const Array weight = some_values(conv.weight_dtype, conv.weight, 2);
  const Array bias = some_values(conv.weight_dtype, {conv.out[1]}, 3);
  const Array expected = plain(conv, transposed, x, weight, bias);
  const bool dilated = std::ranges::any_of(conv.dilations, [](int d) { return d != 1; });
  for (const bool constant : {true, false}) {
    if (!constant && dilated) continue;  // which only constant weights take
    CAPTURE(constant);
    const std::string text = program_text(
        constant
            ? type_text(x) + " x"
            : fmt::format("{} x, {} w, {} b", type_text(x), type_text(weight), type_text(bias)),
        fmt::format("{} y = {}(x = x, weight = {}, bias = {}, strides = {}, dilations = {}, "
                    "pad_type = string(\"custom\"), pad = {}, groups = int32({}){})[name = "
                    "string(\"y\")];",
                    type_text(expected), transposed ? "conv_transpose" : "conv",
                    constant ? literal(weight) : "w", constant ? literal(bias) : "b",
                    list(conv.strides), list(conv.dilations), list(conv.pad), conv.groups,
                    transposed ? ", output_shape = " +
                                     list(std::vector<int>(conv.out.begin(), conv.out.end()))
                               : ""),
        "y");
    for (const int threads : {1, 2, 4}) {
      CAPTURE(threads);
      std::vector<NamedArray> inputs = {{"x", x}};
      if (!constant) inputs.insert(inputs.end(), {{"w", weight}, {"b", bias}});
      const TextRun run = run_text(text, inputs, {.threads = threads});
      REQUIRE(run.errors == "");
      CHECK(same_bytes(run.outputs.front().array, expected));
    }
  }
}

}  // namespace

TEST_CASE("convolutions add in the documented order, whatever the blocks and threads") {
  constexpr DType kHalf = DType::fp16;
  constexpr DType kFloat = DType::fp32;
  const Conv cases[] = {
      {"pointwise",
       kHalf,
       kHalf,
       {2, 37, 5, 9},
       {19, 37, 1, 1},
       {1, 1},
       {1, 1},
       {0, 0, 0, 0},
       1,
       {2, 19, 5, 9}},
      {"pointwise in groups",
       kFloat,
       kHalf,
       {2, 12, 31},
       {9, 4, 1},
       {1},
       {1},
       {0, 0},
       3,
       {2, 9, 31}},
      {"pointwise with a stride",
       kHalf,
       kHalf,
       {1, 8, 7, 7},
       {6, 8, 1, 1},
       {2, 3},
       {1, 1},
       {0, 0, 0, 0},
       1,
       {1, 6, 4, 3}},
      {"more columns than a block has",
       kHalf,
       kHalf,
       {1, 40, 61, 67},
       {3, 40, 3, 3},
       {1, 1},
       {1, 1},
       {1, 1, 1, 1},
       1,
       {1, 3, 61, 67}},
      {"a row longer than a block",
       kFloat,
       kFloat,
       {1, 48, 9001},
       {3, 48, 5},
       {1},
       {1},
       {4, 0},
       1,
       {1, 3, 9001}},
      {"strides, dilations and padding",
       kFloat,
       kFloat,
       {2, 6, 17, 19},
       {10, 3, 3, 2},
       {2, 3},
       {2, 3},
       {1, 3, 2, 0},
       2,
       {2, 10, 9, 6}},
      {"three dims",
       kHalf,
       kFloat,
       {1, 3, 5, 6, 7},
       {5, 3, 2, 3, 2},
       {1, 2, 1},
       {1, 1, 1},
       {0, 1, 1, 1, 1, 0},
       1,
       {1, 5, 5, 3, 7}},
      {"depthwise",
       kHalf,
       kHalf,
       {2, 33, 14, 15},
       {33, 1, 3, 3},
       {1, 1},
       {1, 1},
       {1, 1, 1, 1},
       33,
       {2, 33, 14, 15}},
      {"depthwise with a multiplier",
       kFloat,
       kHalf,
       {1, 5, 40},
       {10, 1, 4},
       {3},
       {2},
       {5, 5},
       5,
       {1, 10, 15}},
      {"padding beyond the kernel",
       kHalf,
       kHalf,
       {1, 2, 4},
       {5, 2, 2},
       {1},
       {1},
       {4, 3},
       1,
       {1, 5, 10}},
  };
  for (const Conv& conv : cases) check_conv(conv, false);
}

TEST_CASE("transposed convolutions add in the documented order") {
  constexpr DType kHalf = DType::fp16;
  constexpr DType kFloat = DType::fp32;
  const Conv cases[] = {
      {"stride 2",
       kHalf,
       kHalf,
       {2, 7, 9, 8},
       {7, 6, 4, 4},
       {2, 2},
       {1, 1},
       {1, 1, 1, 1},
       1,
       {2, 6, 18, 16}},
      {"a stride beyond the kernel",
       kFloat,
       kFloat,
       {1, 4, 6},
       {4, 3, 2},
       {3},
       {1},
       {0, 0},
       2,
       {1, 6, 19}},
      {"stride 1 and dilations",
       kFloat,
       kHalf,
       {1, 5, 6, 7},
       {5, 4, 3, 2},
       {1, 1},
       {2, 3},
       {1, 0, 0, 2},
       1,
       {1, 4, 9, 8}},
      {"one element of kernel",
       kHalf,
       kHalf,
       {1, 6, 5, 5},
       {6, 8, 1, 1},
       {1, 1},
       {1, 1},
       {0, 0, 0, 0},
       2,
       {1, 16, 5, 5}},
      {"depthwise",
       kHalf,
       kHalf,
       {1, 9, 6, 5},
       {9, 1, 3, 3},
       {2, 2},
       {1, 1},
       {1, 0, 1, 0},
       9,
       {1, 9, 12, 10}},
  };
  for (const Conv& conv : cases) check_conv(conv, true);
}

TEST_CASE("pools of many planes are the same for any number of threads") {
  const Array x = some_values(DType::fp16, {3, 41, 23, 29}, 5);
  for (const std::string_view op : {"avg_pool", "max_pool", "l2_pool"}) {
    CAPTURE(op);
    const std::string text = program_text(
        type_text(x) + " x",
        fmt::format(
            "tensor<fp16, [3, 41, 12, 10]> y = {}({}x = x, kernel_sizes = {}, strides = {}, "
            "pad_type = string(\"custom\"), pad = {}, ceil_mode = bool(true))[name = "
            "string(\"y\")];",
            op, op == "avg_pool" ? "exclude_padding_from_average = bool(false), " : "",
            list({3, 4}), list({2, 3}), list({1, 1, 1, 1})),
        "y");
    const TextRun one = run_text(text, {{"x", x}}, {.threads = 1});
    REQUIRE(one.errors == "");
    for (const int threads : {2, 4}) {
      const TextRun more = run_text(text, {{"x", x}}, {.threads = threads});
      REQUIRE(more.errors == "");
      CHECK(same_bytes(more.outputs.front().array, one.outputs.front().array));
    }
  }
}

TEST_CASE("a pool that meets a NaN gives the quiet positive one") {
  Array x(DType::fp32, {1, 1, 4});
  const std::uint32_t bits[] = {0x3F800000u, 0xFFC01234u, 0x40000000u, 0x40400000u};
  std::memcpy(x.mutable_bytes().data(), bits, sizeof bits);
  for (const std::string_view op : {"avg_pool", "max_pool", "l2_pool"}) {
    CAPTURE(op);
    const TextRun run = run_text(
        program_text(
            type_text(x) + " x",
            fmt::format("tensor<fp32, [1, 1, 2]> y = {}({}x = x, kernel_sizes = {}, "
                        "strides = {}, pad_type = string(\"valid\"), pad = {}, ceil_mode "
                        "= bool(false))[name = string(\"y\")];",
                        op, op == "avg_pool" ? "exclude_padding_from_average = bool(false), " : "",
                        list({2}), list({2}), list({0, 0})),
            "y"),
        {{"x", x}});
    REQUIRE(run.errors == "");
    CHECK(run.outputs.front().array.as<std::uint32_t>()[0] == 0x7FC00000u);
    CHECK(run.outputs.front().array.real(1) > 2);
  }
}

TEST_CASE("conv_quantized scales codes for each output channel") {
  const auto program = [](std::string_view type, std::string_view scale) {
    return fmt::format(
        "tensor<fp16, [1, 2, 3]> y = conv_quantized(x = x, weight = tensor<uint8, "
        "[2, 1, 1]>([[[3]], [[200]]]), quantization_type = string(\"{}\"), nbits = "
        "int32(8), quant_scale = {}, quant_bias = tensor<fp16, [1]>([-1.0]), "
        "strides = {}, pad_type = string(\"valid\"), pad = {}, dilations = {}, "
        "groups = int32(1))[name = string(\"y\")];",
        type, scale, list({1}), list({0, 0}), list({1}));
  };
  Array x(DType::fp16, {1, 1, 3});
  for (std::int64_t i = 0; i < 3; ++i) x.set(i, static_cast<double>(i + 1));
  constexpr std::string_view kParams = "tensor<fp16, [1, 1, 3]> x";
  const TextRun run = run_text(
      program_text(kParams, program("linear", "tensor<fp16, [2]>([0.5, 0.25])"), "y"), {{"x", x}});
  REQUIRE(run.errors == "");
  std::vector<double> values;
  for (std::int64_t i = 0; i < 6; ++i) values.push_back(run.outputs.front().array.real(i));
  CHECK(values == std::vector<double>{0.5, 1, 1.5, 49, 98, 147});

  CHECK(error_of(kParams, program("lut", "tensor<fp16, [1]>([1.0])"), {{"x", x}}) ==
        "run.value: conv_quantized: quantization_type is lut, but the op has no argument for the "
        "table; linear is executed");
  CHECK(error_of(kParams, program("linear", "tensor<fp16, [3]>([1.0, 1.0, 1.0])"), {{"x", x}}) ==
        "run.shape: conv_quantized: quant_scale has 3 elements but takes 1 or one for each of the "
        "2 output channels");
}
