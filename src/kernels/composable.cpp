#include "milgen/kernels/composable.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/parts.h"
#include "milgen/ops.h"

namespace milgen {
namespace {

using detail::Half;
using detail::project;

/// What every kernel of the set asks of its configuration; the first broken rule is reported.
bool legal(Kernel& k, const ComposableConfig& c) {
  if (!detail::legal_sizes(
          k, {{"in", c.in}, {"out", c.out}, {"hidden", c.hidden}, {"spatial", c.spatial}})) {
    return false;
  }
  constexpr double kLargestHalf = 65'504;
  if (std::fabs(c.scale) <= kLargestHalf) return true;
  return detail::refuse_config(
      k, "scale is " + detail::number_text(c.scale) + " but has to be -65504 to 65504");
}

/// An input that the kernel computes with in fp16.
template <class IO>
Half half_input(Kernel& k, std::string_view name, const Shape& shape) {
  const Tensor<IO> given = k.input<IO>(name, shape);
  if constexpr (__is_same(IO, fp16)) {
    return given;
  } else {
    return cast<fp16>(given).named(std::string(name) + "_half");
  }
}

/// An output of dtype IO.
template <class IO>
void half_output(Kernel& k, std::string_view name, Half value) {
  if constexpr (__is_same(IO, fp16)) {
    k.output(name, value);
  } else {
    k.output(name, cast<IO>(value.named(std::string(name) + "_half")));
  }
}

template <class IO>
Half activation(Kernel& k, const ComposableConfig& c) {
  return half_input<IO>(k, "x", {1, c.in, 1, c.spatial});
}

template <class IO>
void matmul_kernel(Kernel& k, const ComposableConfig& c) {
  if (!legal(k, c)) return;
  const Half w = half_input<IO>(k, "w", {1, c.out, c.in});
  const Half x = half_input<IO>(k, "x", {1, c.in, c.spatial});
  half_output<IO>(k, "y", matmul(w, x));
}

template <class IO>
void conv_kernel(Kernel& k, const ComposableConfig& c) {
  if (!legal(k, c)) return;
  half_output<IO>(k, "y", project(k, activation<IO>(k, c), "w", c.out));
}

template <class IO>
void qkv_kernel(Kernel& k, const ComposableConfig& c) {
  if (!legal(k, c)) return;
  const Half x = activation<IO>(k, c);
  half_output<IO>(k, "k", project(k, x, "wk", c.out));
  half_output<IO>(k, "q", project(k, x, "wq", c.out));
  half_output<IO>(k, "v", project(k, x, "wv", c.out));
}

template <class IO>
void ffn_up_kernel(Kernel& k, const ComposableConfig& c) {
  if (!legal(k, c)) return;
  const Half x = activation<IO>(k, c);
  half_output<IO>(k, "h1", project(k, x, "w1", c.hidden));
  half_output<IO>(k, "h3", project(k, x, "w3", c.hidden));
}

template <class IO>
void identity_kernel(Kernel& k, const ComposableConfig& c) {
  if (!legal(k, c)) return;
  constexpr std::int64_t kMostChannels = 4096;
  if (c.in > kMostChannels) {
    detail::refuse_config(k, "in is " + std::to_string(c.in) + ", but an identity matrix has " +
                                 std::to_string(kMostChannels) + " channels at most");
    return;
  }
  const Half x = activation<IO>(k, c);
  const auto channels = static_cast<std::size_t>(c.in);
  std::vector<float> matrix(channels * channels);
  for (std::size_t i = 0; i < channels; ++i) matrix[i * (channels + 1)] = 1;
  const Half w = k.constant<fp16>("identity", {c.in, c.in, 1, 1}, std::span<const float>(matrix));
  half_output<IO>(k, "y", conv(x, w));
}

}  // namespace

void composable_matmul(Kernel& k, const ComposableConfig& c) { matmul_kernel<fp32>(k, c); }
void composable_matmul_fp16(Kernel& k, const ComposableConfig& c) { matmul_kernel<fp16>(k, c); }

void composable_conv(Kernel& k, const ComposableConfig& c) { conv_kernel<fp32>(k, c); }
void composable_conv_fp16(Kernel& k, const ComposableConfig& c) { conv_kernel<fp16>(k, c); }

void composable_conv_fp32(Kernel& k, const ComposableConfig& c) {
  if (!legal(k, c)) return;
  const Tensor<fp32> x = k.input<fp32>("x", {1, c.in, 1, c.spatial});
  k.output("y", conv(x, k.weight<fp32>("w", {c.out, c.in, 1, 1})));
}

void composable_qkv(Kernel& k, const ComposableConfig& c) { qkv_kernel<fp32>(k, c); }
void composable_qkv_fp16(Kernel& k, const ComposableConfig& c) { qkv_kernel<fp16>(k, c); }

void composable_ffn_up(Kernel& k, const ComposableConfig& c) { ffn_up_kernel<fp32>(k, c); }
void composable_ffn_up_fp16(Kernel& k, const ComposableConfig& c) { ffn_up_kernel<fp16>(k, c); }

void composable_identity(Kernel& k, const ComposableConfig& c) { identity_kernel<fp32>(k, c); }
void composable_identity_fp16(Kernel& k, const ComposableConfig& c) { identity_kernel<fp16>(k, c); }

void composable_scale_fp16(Kernel& k, const ComposableConfig& c) {
  if (!legal(k, c)) return;
  const Half x = k.input<fp16>("x", {1, 1, 1, c.spatial});
  k.output("y", x * k.scalar<fp16>("scale", c.scale));
}

void composable_dynamic_matmul(Kernel& k, const ComposableConfig& c) {
  if (!legal(k, c)) return;
  const Half xw = k.input<fp16>("xw", {1, c.in, 1, c.spatial + c.out});
  const Half x = slice_by_size(xw, {0, 0, 0, 0}, {1, c.in, 1, c.spatial}).named("x");
  const Half w = slice_by_size(xw, {0, 0, 0, c.spatial}, {1, c.in, 1, c.out}).named("w");
  const Half rows = reshape(w, {1, 1, c.in, c.out});
  const Half columns = reshape(x, {1, 1, c.in, c.spatial});
  const Half product = matmul(rows, columns, {.transpose_x = true});
  k.output("y", reshape(product, {1, c.out, 1, c.spatial}));
}

void add_composable_kernels(Registry& registry) {
  constexpr Opset kOpset = Opset::ios18;
  constexpr WeightFiles kOneFile = WeightFiles::shared;
  registry.set<ComposableConfig>("composable", "products to put a training loop together from")
      .param("in", &ComposableConfig::in, "channels of x")
      .param("out", &ComposableConfig::out, "channels of what a projection gives")
      .param("hidden", &ComposableConfig::hidden, "channels inside the feed-forward block")
      .param("spatial", &ComposableConfig::spatial, "positions")
      .param("scale", &ComposableConfig::scale, "factor of scale_fp16")
      .config("stories110m", {})
      .config("small", {.in = 64, .out = 96, .hidden = 160, .spatial = 32})
      .weight_modes({WeightsAs::param, WeightsAs::packed})
      .kernel<composable_matmul>("matmul", "y = w @ x, both given at run time; casts inside")
      .kernel<composable_matmul_fp16>("matmul_fp16", "y = w @ x, both given at run time")
      .kernel<composable_conv>("conv", "1x1 convolution; casts inside")
      .kernel<composable_conv_fp16>("conv_fp16", "1x1 convolution")
      .kernel<composable_conv_fp32>("conv_fp32", "1x1 convolution in fp32, weights too")
      .kernel<composable_qkv>("qkv", "x to (k, q, v), one weight file; casts inside", kOpset,
                              kOneFile)
      .kernel<composable_qkv_fp16>("qkv_fp16", "x to (k, q, v), one weight file", kOpset, kOneFile)
      .kernel<composable_ffn_up>("ffn_up", "x to (h1, h3), one weight file; casts inside", kOpset,
                                 kOneFile)
      .kernel<composable_ffn_up_fp16>("ffn_up_fp16", "x to (h1, h3), one weight file", kOpset,
                                      kOneFile)
      .kernel<composable_identity>("identity",
                                   "y = x by a convolution with the identity; casts inside")
      .kernel<composable_identity_fp16>("identity_fp16", "y = x by a convolution with the identity")
      .kernel<composable_scale_fp16>("scale_fp16", "y = x * scale, one channel")
      .kernel<composable_dynamic_matmul>("dynamic_matmul",
                                         "y = w^T @ x, w packed behind x in one input");
}

}  // namespace milgen
