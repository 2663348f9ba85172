// Settling how a convolution is done.
#include <algorithm>

#include "cpu/conv.h"
#include "cpu/window_dims.h"

namespace milgen::cpu {

std::int64_t TapAxis::begin(std::int64_t offset) const {
  return offset >= 0 ? 0 : std::min(count, WindowDim::ceil_divide(-offset, step));
}

std::int64_t TapAxis::end(std::int64_t offset) const {
  const std::int64_t room = size - offset;
  return room <= 0 ? 0 : std::min(count, WindowDim::ceil_divide(room, step));
}

namespace {

std::vector<TapAxis> conv_axes(const WindowDim& dim) {
  TapAxis axis{.size = dim.size, .step = dim.stride, .count = dim.windows};
  for (std::int64_t k = 0; k < dim.kernel; ++k)
    axis.taps.push_back({k, k * dim.dilation - dim.pad});
  std::vector<TapAxis> axes;
  axes.push_back(std::move(axis));
  return axes;
}

/// A transposed convolution turns the dim around: `dim` says which elements of the result, of which
/// it has `size`, each of the `windows` elements of x reaches. Result position o takes tap k of
/// x[(o + pad - k * dilation) / stride] where that is whole.
std::vector<TapAxis> transposed_axes(const WindowDim& dim) {
  std::vector<TapAxis> axes;
  for (std::int64_t first = 0; first < std::min(dim.stride, dim.size); ++first) {
    TapAxis axis{.size = dim.windows,
                 .step = 1,
                 .count = WindowDim::ceil_divide(dim.size - first, dim.stride),
                 .first = first,
                 .result_step = dim.stride};
    for (std::int64_t k = 0; k < dim.kernel; ++k) {
      const std::int64_t reached = first + dim.pad - k * dim.dilation;
      if (reached % dim.stride == 0) axis.taps.push_back({k, reached / dim.stride});
    }
    axes.push_back(std::move(axis));
  }
  return axes;
}

/// Whether every element of the result is made of the one at its place in x.
bool is_pointwise(const ConvPlan& plan) {
  for (const std::vector<TapAxis>& axes : plan.axes) {
    const TapAxis& axis = axes.front();
    if (axes.size() != 1 || axis.step != 1 || axis.count != axis.size || axis.taps.size() != 1 ||
        axis.taps.front().offset != 0) {
      return false;
    }
  }
  return true;
}

ConvMethod method_for(const ConvPlan& plan) {
  // With so few rows a product does little with what it packs.
  constexpr std::int64_t kFewChannels = 4;
  if (plan.in_channels == 1 && plan.out_channels <= kFewChannels) return ConvMethod::planes;
  return is_pointwise(plan) ? ConvMethod::whole : ConvMethod::columns;
}

}  // namespace

bool make_conv_plan(OpRun& run, ConvPlan& plan) {
  const TensorView& x = run.in("x");
  const TensorView& weight = run.in("weight");
  const TensorView& out = run.out();
  const bool quantized = run.info().code == OpCode::conv_quantized;
  plan.mode = run.mode();
  plan.transposed = run.info().code == OpCode::conv_transpose;
  plan.x = x.dtype;
  plan.weight = quantized ? DType::fp32 : weight.dtype;
  if (run.has("bias")) plan.bias = quantized ? DType::fp32 : run.in("bias").dtype;
  plan.out = out.dtype;
  plan.images = x.dim(0);
  plan.groups = run.integer("groups");
  plan.in_channels = x.dim(1) / plan.groups;
  plan.out_channels = out.dim(1) / plan.groups;
  Shape kernel;
  for (std::size_t i = 2; i < weight.rank(); ++i) kernel.push_back(weight.dim(i));
  // The transposed one has x's elements as windows over its result.
  const Shape& windowed = plan.transposed ? out.shape : x.shape;
  const Shape& windows = plan.transposed ? x.shape : out.shape;
  WindowDims dims;
  if (!read_windows(run, windowed, kernel, windows, true, dims)) return false;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    plan.in_dims[i] = plan.transposed ? dims[i].windows : dims[i].size;
    plan.out_dims[i] = plan.transposed ? dims[i].size : dims[i].windows;
    plan.kernel[i] = dims[i].kernel;
    plan.axes[i] = plan.transposed ? transposed_axes(dims[i]) : conv_axes(dims[i]);
  }
  plan.method = out.count == 0 ? ConvMethod::planes : method_for(plan);
  return true;
}

}  // namespace milgen::cpu
