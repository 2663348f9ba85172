#include "cpu/exact_bits_programs.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#include "milgen/milgen.h"

namespace milgen::test {
namespace {

constexpr std::uint64_t kInputSeed = 7;
constexpr std::int64_t kPatterns = 1 << 16;  // all there are of fp16

// --- Families. ---

template <class T>
void math(Kernel& k) {
  const Tensor<T> x = k.input<T>("bits_x", {kPatterns});
  k.output("abs", abs(x));
  k.output("acos", acos(x));
  k.output("asin", asin(x));
  k.output("atan", atan(x));
  k.output("atanh", atanh(x));
  k.output("ceil", ceil(x));
  k.output("cos", cos(x));
  k.output("cosh", cosh(x));
  k.output("erf", erf(x));
  k.output("exp", exp(x));
  k.output("exp2", exp2(x));
  k.output("floor", floor(x));
  k.output("inverse", inverse(x));
  k.output("log", log(x));
  k.output("round", round(x));
  k.output("rsqrt", rsqrt(x));
  k.output("sign", sign(x));
  k.output("sin", sin(x));
  k.output("sinh", sinh(x));
  k.output("sqrt", sqrt(x));
  k.output("square", square(x));
  k.output("tan", tan(x));
  k.output("tanh", tanh(x));
}

template <class T>
void activations(Kernel& k) {
  const Tensor<T> x = k.input<T>("bits_x", {kPatterns});
  k.output("clip", clip(x, -0.3, 1.7));
  k.output("elu", elu(x, 0.7));
  k.output("gelu", gelu(x));
  k.output("gelu_tanh", gelu(x, {.mode = "TANH_APPROXIMATION"}));
  k.output("gelu_sigmoid", gelu(x, {.mode = "SIGMOID_APPROXIMATION"}));
  k.output("leaky_relu", leaky_relu(x, 0.1));
  k.output("relu", relu(x));
  k.output("relu6", relu6(x));
  k.output("scaled_tanh", scaled_tanh(x, 1.3, 0.7));
  k.output("sigmoid", sigmoid(x));
  k.output("sigmoid_hard", sigmoid_hard(x, 0.3, 0.4));
  k.output("silu", silu(x));
  k.output("softplus", softplus(x));
  k.output("softsign", softsign(x));
  k.output("threshold", threshold(x, 0.2));
}

template <class T>
void pairs(Kernel& k) {
  const Tensor<T> x = k.input<T>("bits_x", {kPatterns});
  const Tensor<T> y = k.input<T>("bits_y", {kPatterns});
  k.output("add", x + y);
  k.output("floor_div", floor_div(x, y));
  k.output("maximum", maximum(x, y));
  k.output("minimum", minimum(x, y));
  k.output("mod", mod(x, y));
  k.output("mul", x * y);
  k.output("pow", pow(x, y));
  k.output("real_div", real_div(x, y));
  k.output("sub", x - y);
  k.output("less", less(x, y));
  k.output("equal", equal(x, y));
}

template <class T>
void casts(Kernel& k) {
  const Tensor<T> x = k.input<T>("bits_x", {kPatterns});
  k.output("to_bool", cast<bool>(x));
  k.output("to_fp16", cast<fp16>(x));
  k.output("to_fp32", cast<fp32>(x));
  k.output("to_int8", cast<int8>(x));
  k.output("to_int16", cast<int16>(x));
  k.output("to_int32", cast<int32>(x));
  k.output("to_uint8", cast<uint8>(x));
  k.output("to_uint16", cast<uint16>(x));
  k.output("quantized", quantize<int8>(x, k.scalar<T>("scale", 0.07)));
}

/// Many ops on one value, so that they run as one pass.
template <class T>
void chain(Kernel& k) {
  const Tensor<T> x = k.input<T>("x", {2, 77, 1, 129});
  const Tensor<T> gain = k.weight<T>("gain", {1, 77, 1, 1}, Fill::near_one);
  const Tensor<T> shift = k.weight<T>("shift", {1, 77, 1, 1});
  const Tensor<T> y = silu(x * gain + shift) * sigmoid(x - shift);
  const Tensor<T> square_mean = reduce_mean(y * y, {.axes = {1}, .keep_dims = true});
  const Tensor<T> scaled = y * rsqrt(square_mean, {.epsilon = 1e-5}) * gain;
  k.output("y", y);
  k.output("z", softmax(real_div(scaled, exp(shift)), {.axis = 3}));
}

template <class T>
void softmaxes(Kernel& k) {
  const Tensor<T> x = k.input<T>("x", {5, 37, 129});
  for (const std::int64_t axis : {0, 1, 2}) {
    k.output("axis" + std::to_string(axis), softmax(mul(x, 9), {.axis = axis}));
  }
  const Tensor<T> row = k.input<T>("row", {3, 4099});
  k.output("row_softmax", softmax(row));
}

template <class T>
void norms(Kernel& k) {
  const Tensor<T> x = k.input<T>("x", {3, 17, 259});
  k.output("layer_norm", layer_norm(x, {.axes = {2},
                                        .gamma = k.weight<T>("gamma", {259}, Fill::near_one),
                                        .beta = k.weight<T>("beta", {259})}));
  k.output("layer_norm_two", layer_norm(x, {.axes = {1, 2}, .epsilon = 1e-3}));
  const Tensor<T> image = k.input<T>("image", {2, 5, 13, 11});
  const Tensor<T> gain = k.weight<T>("gain", {5}, Fill::near_one);
  const Tensor<T> shift = k.weight<T>("shift", {5});
  k.output("instance_norm", instance_norm(image, {.gamma = gain, .beta = shift}));
  k.output("batch_norm", batch_norm(image, shift, gain, {.gamma = gain, .beta = shift}));
  k.output("l2_norm", l2_norm(image));
  k.output("local_response_norm", local_response_norm(image, 3, {.alpha = 0.5}));
}

template <class T>
void reductions(Kernel& k) {
  const Tensor<T> x = k.input<T>("x", {5, 37, 129});
  for (const Ints& axes : {Ints{1}, Ints{2}, Ints{0, 2}}) {
    std::string at = "_at";
    for (const std::int64_t axis : axes) at += std::to_string(axis);
    k.output("l1" + at, reduce_l1_norm(x, {.axes = axes}));
    k.output("l2" + at, reduce_l2_norm(x, {.axes = axes}));
    k.output("log_sum" + at, reduce_log_sum(abs(x), {.axes = axes}));
    k.output("log_sum_exp" + at, reduce_log_sum_exp(x, {.axes = axes}));
    k.output("max" + at, reduce_max(x, {.axes = axes}));
    k.output("mean" + at, reduce_mean(x, {.axes = axes}));
    k.output("min" + at, reduce_min(x, {.axes = axes}));
    k.output("prod" + at, reduce_prod(add(x, 0.7), {.axes = axes}));
    k.output("sum" + at, reduce_sum(x, {.axes = axes}));
    k.output("sum_square" + at, reduce_sum_square(x, {.axes = axes}));
  }
  k.output("cumsum", cumsum(x, {.axis = 1}));
  k.output("argmax", reduce_argmax(x, {.axis = 1}));
}

/// Sums, maxima and products of what is not finite.
template <class T>
void special_rows(Kernel& k) {
  const Tensor<T> x = k.input<T>("bits_x", {kPatterns / 64, 64});
  k.output("max", reduce_max(x, {.axes = {1}}));
  k.output("sum", reduce_sum(x, {.axes = {1}}));
  k.output("log_sum_exp", reduce_log_sum_exp(x, {.axes = {1}}));
  k.output("softmax", softmax(x));
  k.output("layer_norm", layer_norm(x, {.axes = {1}}));
  k.output("product", matmul(x, x, {.transpose_x = true}));
}

template <class T>
void products(Kernel& k) {
  const Tensor<T> x = k.input<T>("x", {3, 65, 131});
  k.output("matmul", matmul(x, k.input<T>("y", {3, 131, 77})));
  k.output("matmul_ty", matmul(x, k.input<T>("yt", {77, 131}), {.transpose_y = true}));
  k.output("matmul_tx", matmul(x, k.input<T>("z", {3, 65, 5}), {.transpose_x = true}));
  k.output("matmul_row", matmul(k.input<T>("row", {1, 131}), k.input<T>("m", {131, 259})));
  k.output("deep", matmul(k.input<T>("a", {129, 1031}), k.weight<T>("b", {1031, 67})));
  k.output("linear", linear(x, k.weight<T>("w", {77, 131}), {.bias = k.weight<T>("bias", {77})}));
  k.output("einsum", einsum({k.input<T>("p", {2, 3, 5, 7}), k.input<T>("q", {2, 7, 5, 11})},
                            "nchw,nwhu->nchu"));
  k.output("attention", scaled_dot_product_attention(k.input<T>("query", {1, 4, 33, 20}),
                                                     k.input<T>("key", {1, 4, 45, 20}),
                                                     k.input<T>("value", {1, 4, 45, 24}),
                                                     {.attn_mask = k.input<T>("mask", {33, 45})}));
}

template <class T>
void convolutions(Kernel& k) {
  const Tensor<T> x = k.input<T>("x", {2, 12, 23, 19});
  const Tensor<T> bias = k.weight<T>("bias", {18});
  k.output("plain", conv(x, k.weight<T>("plain_w", {18, 12, 3, 3}),
                         {.bias = bias,
                          .strides = {2, 1},
                          .pad_type = "custom",
                          .pad = {1, 1, 2, 0},
                          .dilations = {1, 2}}));
  k.output("grouped", conv(x, k.weight<T>("grouped_w", {18, 4, 3, 3}),
                           {.bias = bias, .pad_type = "same", .groups = 3}));
  k.output("depthwise",
           conv(x, k.weight<T>("depthwise_w", {12, 1, 5, 5}), {.pad_type = "same", .groups = 12}));
  k.output("pointwise", conv(x, k.weight<T>("pointwise_w", {18, 12, 1, 1}), {.bias = bias}));
  k.output("deep",
           conv(k.input<T>("deep_x", {1, 1037, 1, 70}), k.weight<T>("deep_w", {130, 1037, 1, 1})));
  k.output("row", conv(k.input<T>("row_x", {2, 12, 101}), k.weight<T>("row_w", {7, 12, 4})));
  k.output("volume", conv(k.input<T>("volume_x", {1, 3, 7, 9, 11}),
                          k.weight<T>("volume_w", {5, 3, 3, 3, 3}), {.pad_type = "same"}));
  k.output("transposed",
           conv_transpose(x, k.weight<T>("transposed_w", {12, 7, 3, 3}), {.strides = {2, 2}}));
}

template <class T>
void recurrent(Kernel& k) {
  constexpr std::int64_t kBatch = 3;
  constexpr std::int64_t kFeatures = 19;
  constexpr std::int64_t kHidden = 37;
  const Tensor<T> x = k.input<T>("x", {23, kBatch, kFeatures});
  const Tensor<T> h = k.input<T>("h", {kBatch, kHidden});
  const Tensor<T> h2 = k.input<T>("h2", {kBatch, 2 * kHidden});
  const auto from_x = [&](const char* name, std::int64_t gates) {
    return k.weight<T>(name, {gates * kHidden, kFeatures});
  };
  const auto from_h = [&](const char* name, std::int64_t gates) {
    return k.weight<T>(name, {gates * kHidden, kHidden});
  };
  const auto lstm_out = lstm(x, h2, k.input<T>("c2", {kBatch, 2 * kHidden}), from_x("lstm_ih", 4),
                             from_h("lstm_hh", 4),
                             {.bias = k.weight<T>("lstm_bias", {4 * kHidden}),
                              .weight_ih_back = from_x("lstm_ih_back", 4),
                              .weight_hh_back = from_h("lstm_hh_back", 4),
                              .bias_back = k.weight<T>("lstm_bias_back", {4 * kHidden}),
                              .direction = "bidirectional",
                              .output_sequence = true});
  k.output("lstm", lstm_out[0]);
  k.output("lstm_c", lstm_out[2]);
  k.output("gru", gru(x, h, from_x("gru_ih", 3), from_h("gru_hh", 3),
                      {.bias = k.weight<T>("gru_bias", {3 * kHidden})})[0]);
  k.output("rnn", rnn(x, h, from_x("rnn_ih", 1), from_h("rnn_hh", 1), {.direction = "reverse"})[0]);
}

template <class T>
void images(Kernel& k) {
  const Tensor<T> x = k.input<T>("x", {2, 5, 31, 23});
  k.output(
      "avg_pool",
      avg_pool(x, {3, 4}, "custom",
               {.exclude_padding_from_average = true, .strides = {2, 1}, .pad = {1, 0, 2, 1}}));
  k.output("max_pool", max_pool(x, {3, 3}, "same", {.strides = {2, 2}}));
  k.output("l2_pool", l2_pool(x, {3, 3}, "valid"));
  k.output("resize_bilinear",
           resize_bilinear(x, {.target_size_height = 47, .target_size_width = 13}));
  k.output("upsample_bilinear",
           upsample_bilinear(x, {.scale_factor_height = 2, .scale_factor_width = 3}));
  k.output("resample", resample(x, k.input<T>("at", {2, 9, 17, 2}), "bilinear", "border", 0,
                                "normalized_minus_one_to_one", true));
}

template <class T>
void draws(Kernel& k) {
  k.output("bernoulli", random_bernoulli<T>(k, {1031}, {.prob = 0.3, .seed = 1}));
  k.output("normal", random_normal<T>(k, {1031}, {.mean = 1, .stddev = 0.4, .seed = 2}));
  k.output("uniform", random_uniform<T>(k, {1031}, {.low = -2, .high = 3, .seed = 3}));
  k.output("categorical", random_categorical(k.input<T>("x", {3, 11}), {.size = 101, .seed = 4}));
}

struct Family {
  std::string_view name;
  void (*build_fp16)(Kernel&);
  void (*build_fp32)(Kernel&);
};

constexpr Family kFamilies[] = {
    {"activations", activations<fp16>, activations<fp32>},
    {"casts", casts<fp16>, casts<fp32>},
    {"chain", chain<fp16>, chain<fp32>},
    {"convolutions", convolutions<fp16>, convolutions<fp32>},
    {"draws", draws<fp16>, draws<fp32>},
    {"images", images<fp16>, images<fp32>},
    {"math", math<fp16>, math<fp32>},
    {"norms", norms<fp16>, norms<fp32>},
    {"pairs", pairs<fp16>, pairs<fp32>},
    {"products", products<fp16>, products<fp32>},
    {"recurrent", recurrent<fp16>, recurrent<fp32>},
    {"reductions", reductions<fp16>, reductions<fp32>},
    {"softmaxes", softmaxes<fp16>, softmaxes<fp32>},
    {"special_rows", special_rows<fp16>, special_rows<fp32>},
};

BitsProgram build(std::string_view family, std::string_view dtype, void (*build_family)(Kernel&)) {
  Kernel kernel(family);
  build_family(kernel);
  BitsProgram out{std::string(family).append(".").append(dtype), kernel.finish()};
  if (kernel.diagnostics().has_errors()) {
    std::fputs(render(kernel.diagnostics()).c_str(), stderr);
    std::exit(1);
  }
  return out;
}

// --- Values. ---

// Zeros, subnormals, the ends of the normal numbers, ones, infinities, quiet and signalling NaNs.
constexpr std::array<std::uint32_t, 16> kSpecialFloats = {
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF,
    0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC12345, 0x7F800001, 0x3F000000};
constexpr std::array<std::uint16_t, 16> kSpecialHalves = {
    0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF,
    0x3C00, 0xBC00, 0x7C00, 0xFC00, 0x7E00, 0xFE12, 0x7C01, 0x3800};

/// All pairs of special patterns, then patterns that are spread evenly: an odd factor gives each
/// of 2^16 and 2^32 once.
template <class Pattern>
void fill_patterns(std::span<Pattern> values, std::span<const Pattern, 16> special, bool is_first,
                   std::uint64_t factor) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool is_pair = i < special.size() * special.size();
    values[i] = is_pair ? special[is_first ? i / special.size() : i % special.size()]
                        : static_cast<Pattern>(i * factor);
  }
}

}  // namespace

std::vector<BitsProgram> bits_programs() {
  std::vector<BitsProgram> out;
  for (const Family& family : kFamilies) {
    out.push_back(build(family.name, "fp16", family.build_fp16));
    out.push_back(build(family.name, "fp32", family.build_fp32));
  }
  return out;
}

Array bits_input(const TensorSpec& spec) {
  Array out(spec.dtype, spec.shape);
  const bool is_first = spec.name == "bits_x";
  if (!is_first && spec.name != "bits_y") {
    fill_seeded(out, spec.name, kInputSeed);
  } else if (spec.dtype == DType::fp16) {
    fill_patterns<std::uint16_t>(out.as_mutable<std::uint16_t>(), kSpecialHalves, is_first,
                                 is_first ? 1 : 40503);
  } else {
    fill_patterns<std::uint32_t>(out.as_mutable<std::uint32_t>(), kSpecialFloats, is_first,
                                 is_first ? 2654435761 : 2246822519);
  }
  return out;
}

}  // namespace milgen::test
