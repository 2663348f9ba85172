#include "cpu/conv_planes.h"

#include <algorithm>

#include "cpu/float_span.h"
#include "cpu/kernel_util.h"

namespace milgen::cpu {
namespace {

TensorView view_of(void* data, DType dtype, std::int64_t count) {
  return {.dtype = dtype, .shape = {count}, .data = static_cast<std::byte*>(data), .count = count};
}
/// The same of what is only read: views are of both.
TensorView view_of(const void* data, DType dtype, std::int64_t count) {
  return view_of(const_cast<void*>(data), dtype, count);
}

/// What each thread has to itself: a plane of x as fp32, a row of sums, and a row of the result.
struct PlaneBuffer {
  float* plane;
  float* sums;
  std::byte* row;
};

/// Floats of a plane that is converted; fp32 ones are used where they are.
std::int64_t plane_floats(const ConvPlan& plan) {
  return plan.x == DType::fp32 ? 0 : plan.in_plane();
}

std::int64_t buffer_floats(const ConvPlan& plan) {
  return plane_floats(plan) + 2 * plan.out_dims[2];
}

std::int64_t weight_floats(const ConvPlan& plan) {
  return plan.groups * plan.out_channels * (plan.taps() + (plan.bias != DType::none ? 1 : 0));
}

/// Adds what one tap takes of a row of x.
void add_tap(const TapAxis& axis, std::int64_t offset, const float* line, float weight,
             float* sums) {
  const std::int64_t begin = axis.begin(offset);
  const std::int64_t end = axis.end(offset);
  if (begin >= end) return;
  const float* from = line + begin * axis.step + offset;
  if (axis.step == 1) {
    for (std::int64_t j = begin; j < end; ++j) sums[j] += from[j - begin] * weight;
  } else {
    for (std::int64_t j = begin; j < end; ++j, from += axis.step) sums[j] += *from * weight;
  }
}

/// A row of sums of the positions at depth `d` and height `h` of their axes.
void add_row(const ConvPlan& plan, const TapAxis* const (&axes)[3], std::int64_t d, std::int64_t h,
             const float* plane, const float* kernel, float* sums) {
  std::fill_n(sums, axes[2]->count, 0.0f);
  for (const TapAxis::Tap& kd : axes[0]->taps) {
    const std::int64_t depth = d * axes[0]->step + kd.offset;
    if (depth < 0 || depth >= plan.in_dims[0]) continue;
    for (const TapAxis::Tap& kh : axes[1]->taps) {
      const std::int64_t height = h * axes[1]->step + kh.offset;
      if (height < 0 || height >= plan.in_dims[1]) continue;
      const float* line = plane + (depth * plan.in_dims[1] + height) * plan.in_dims[2];
      const float* weights = kernel + (kd.index * plan.kernel[1] + kh.index) * plan.kernel[2];
      for (const TapAxis::Tap& kw : axes[2]->taps) {
        add_tap(*axes[2], kw.offset, line, weights[kw.index], sums);
      }
    }
  }
}

/// Stores a row of sums as the elements first, first + step, ... of the result.
void store_row(const TensorView& out, std::int64_t first, std::int64_t step, std::int64_t count,
               const PlaneBuffer& buffer) {
  if (step == 1) {
    store_floats(out, first, count, buffer.sums);
    return;
  }
  const TensorView row = view_of(buffer.row, out.dtype, count);
  store_floats(row, 0, count, buffer.sums);
  with_element_size(out.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* to = out.as_mutable<T>() + first;
    const T* from = row.as<T>();
    for (std::int64_t i = 0; i < count; ++i) to[i * step] = from[i];
  });
}

/// One channel of the result, number `channel` of an image's, whose elements begin at `first`.
void convolve_plane(const ConvPlan& plan, const float* plane, const float* kernel,
                    const float* bias, const TensorView& out, std::int64_t first,
                    const PlaneBuffer& buffer) {
  for (const TapAxis& depth : plan.axes[0]) {
    for (const TapAxis& height : plan.axes[1]) {
      for (std::int64_t i = 0; i < depth.count * height.count; ++i) {
        const std::int64_t d = i / height.count;
        const std::int64_t h = i % height.count;
        const std::int64_t line =
            first + ((depth.first + d * depth.result_step) * plan.out_dims[1] + height.first +
                     h * height.result_step) *
                        plan.out_dims[2];
        for (const TapAxis& width : plan.axes[2]) {
          add_row(plan, {&depth, &height, &width}, d, h, plane, kernel, buffer.sums);
          for (std::int64_t k = 0; bias != nullptr && k < width.count; ++k) buffer.sums[k] += *bias;
          store_row(out, line + width.first, width.result_step, width.count, buffer);
        }
      }
    }
  }
}

}  // namespace

std::uint64_t conv_planes_scratch_bytes(const ConvPlan& plan, int threads) {
  return static_cast<std::uint64_t>(weight_floats(plan) + buffer_floats(plan) * threads) *
         sizeof(float);
}

void convolve_planes(const ConvPlan& plan, const ConvData& data, ThreadPool& pool,
                     std::byte* scratch) {
  const std::int64_t channels = plan.groups * plan.out_channels;
  const std::int64_t planes = plan.images * channels;
  const std::int64_t in_plane = plan.in_plane();
  const TensorView x = view_of(data.x, plan.x, plan.images * plan.groups * in_plane);
  const TensorView out = view_of(data.out, plan.out, planes * plan.out_plane());
  auto* weights = reinterpret_cast<float*>(scratch);
  float* biases = weights + channels * plan.taps();
  float* buffers = weights + weight_floats(plan);
  // With one input channel a group the weight is [channels][taps] either way.
  const float* kernels = floats_of(view_of(data.weight, plan.weight, channels * plan.taps()), 0,
                                   channels * plan.taps(), weights);
  const float* bias = data.bias == nullptr
                          ? nullptr
                          : floats_of(view_of(data.bias, plan.bias, channels), 0, channels, biases);
  const auto work = [&](std::size_t begin, std::size_t end, std::size_t slot) {
    float* own = buffers + static_cast<std::int64_t>(slot) * buffer_floats(plan);
    float* sums = own + plane_floats(plan);
    const PlaneBuffer buffer{
        .plane = own, .sums = sums, .row = reinterpret_cast<std::byte*>(sums + plan.out_dims[2])};
    for (auto i = static_cast<std::int64_t>(begin); i < static_cast<std::int64_t>(end); ++i) {
      const std::int64_t channel = i % channels;
      const std::int64_t from = i / plan.out_channels;  // images have as many groups as planes
      convolve_plane(plan, floats_of(x, from * in_plane, in_plane, buffer.plane),
                     kernels + channel * plan.taps(), bias == nullptr ? nullptr : bias + channel,
                     out, i * plan.out_plane(), buffer);
    }
  };
  pool.run(static_cast<std::size_t>(planes), items_grain(std::max(in_plane, plan.out_plane())),
           work);
}

}  // namespace milgen::cpu
