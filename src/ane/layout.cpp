#include "ane/layout.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

#include "support/printable.h"
#include "support/tensor_text.h"

namespace milgen::ane {
namespace {

constexpr std::size_t kMaxRank = 5;

/// 0 for a dtype that surfaces do not hold.
std::int64_t surface_element_bytes(DType dtype) {
  switch (dtype) {
    case DType::boolean:
    case DType::int8:
    case DType::uint8:
      return 1;
    case DType::fp16:
    case DType::int16:
    case DType::uint16:
      return 2;
    case DType::fp32:
      return 4;
    default:
      return 0;
  }
}

/// -1 when a factor is negative or the product does not fit in 63 bits.
std::int64_t product(std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &out)) return -1;
  return out;
}

Error layout_error(std::string message) { return Error(ErrorKind::layout, std::move(message)); }

Error dtype_error(const TensorLayout& layout) {
  return layout_error(
      fmt::format("{}, but surfaces hold fp16, fp32, int8, uint8, int16, uint16 and bool",
                  layout_text(layout)));
}

Error size_error(const TensorLayout& layout) {
  return layout_error(
      fmt::format("{}, which takes more bytes than fit in 63 bits", layout_text(layout)));
}

Error check_shape(const TensorLayout& layout) {
  const Shape& shape = layout.shape;
  if (shape.size() > kMaxRank) {
    return layout_error(fmt::format("{} of rank {}, but surfaces hold ranks up to {}",
                                    layout_text(layout), shape.size(), kMaxRank));
  }
  for (const std::int64_t dim : shape) {
    if (dim < 0) {
      return layout_error(
          fmt::format("{}, but the dims of a surface are known", layout_text(layout)));
    }
    if (dim == 0) {
      return layout_error(fmt::format("{} without elements, but a surface holds at least one",
                                      layout_text(layout)));
    }
  }
  return {};
}

/// Aligned to the right; only rank 5 has a depth, which stands between C and H.
void set_dims(TensorLayout& layout) {
  const std::size_t rank = layout.shape.size();
  const std::array<std::int64_t*, kMaxRank> with_depth = {
      &layout.batches, &layout.channels, &layout.depth, &layout.height, &layout.width};
  const std::array<std::int64_t*, kMaxRank - 1> without = {&layout.batches, &layout.channels,
                                                           &layout.height, &layout.width};
  for (std::size_t i = 0; i < rank; ++i) {
    std::int64_t* dim = rank == kMaxRank ? with_depth[i] : without[without.size() - rank + i];
    *dim = layout.shape[i];
  }
}

}  // namespace

std::string layout_text(const TensorLayout& layout) {
  return fmt::format("'{}' is {}", printable(layout.name), tensor_text(layout.dtype, layout.shape));
}

std::string strides_text(const TensorLayout& layout) {
  return fmt::format("{}, its rows {} and its planes {} bytes apart", layout_text(layout),
                     layout.row_stride, layout.plane_stride);
}

bool same_layout(const TensorLayout& a, const TensorLayout& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.row_stride == b.row_stride &&
         a.depth_stride == b.depth_stride && a.plane_stride == b.plane_stride &&
         a.batch_stride == b.batch_stride;
}

std::int64_t row_stride_bytes(std::int64_t width, std::int64_t element_size) {
  constexpr std::int64_t kLast = kRowAlignmentBytes - 1;
  const std::int64_t bytes = product(width, element_size);
  if (bytes <= 0 || bytes > std::numeric_limits<std::int64_t>::max() - kLast) return -1;
  return (bytes + kLast) / kRowAlignmentBytes * kRowAlignmentBytes;
}

std::int64_t TensorLayout::element_bytes() const { return surface_element_bytes(dtype); }

std::int64_t TensorLayout::elements() const {
  return product(product(product(product(batches, channels), depth), height), width);
}

std::int64_t TensorLayout::logical_bytes() const { return product(elements(), element_bytes()); }

std::int64_t TensorLayout::alloc_bytes() const { return product(batches, batch_stride); }

bool TensorLayout::contiguous() const {
  struct Axis {
    std::int64_t count;
    std::int64_t stride;
  };
  std::int64_t run = product(width, element_bytes());
  for (const Axis axis : {Axis{height, row_stride}, Axis{depth, depth_stride},
                          Axis{channels, plane_stride}, Axis{batches, batch_stride}}) {
    if (axis.count == 1) continue;
    if (axis.stride != run) return false;
    run = product(run, axis.count);
  }
  return run > 0;
}

Error check_layout(const TensorLayout& layout) {
  if (layout.element_bytes() == 0) return dtype_error(layout);
  struct Level {
    const char* what;
    std::int64_t count;
    std::int64_t inner_stride;
    std::int64_t stride;
  };
  const std::array<Level, 4> levels = {
      Level{"row", layout.width, layout.element_bytes(), layout.row_stride},
      Level{"slice", layout.height, layout.row_stride, layout.depth_stride},
      Level{"plane", layout.depth, layout.depth_stride, layout.plane_stride},
      Level{"batch", layout.channels, layout.plane_stride, layout.batch_stride},
  };
  for (const Level& level : levels) {
    const std::int64_t bytes = product(level.count, level.inner_stride);
    // A tensor without elements is caught here, too: its product is 0.
    if (bytes > 0 && bytes <= level.stride) continue;
    if (bytes == -1 && level.count > 0) return size_error(layout);
    return layout_error(fmt::format("{}, but a {} of {} x {} bytes is given {} bytes",
                                    layout_text(layout), level.what, level.count,
                                    level.inner_stride, level.stride));
  }
  if (layout.batches < 1) {
    return layout_error(
        fmt::format("{}, but its batches number {}", layout_text(layout), layout.batches));
  }
  if (layout.alloc_bytes() < 0) return size_error(layout);
  return {};
}

Result<TensorLayout> make_layout(std::string name, DType dtype, const Shape& shape) {
  TensorLayout layout;
  layout.name = std::move(name);
  layout.dtype = dtype;
  layout.shape = shape;
  if (layout.element_bytes() == 0) return dtype_error(layout);
  if (Error error = check_shape(layout)) return error;
  set_dims(layout);
  layout.row_stride = row_stride_bytes(layout.width, layout.element_bytes());
  layout.depth_stride = product(layout.height, layout.row_stride);
  layout.plane_stride = product(layout.depth, layout.depth_stride);
  layout.batch_stride = product(layout.channels, layout.plane_stride);
  if (layout.alloc_bytes() < 0) return size_error(layout);
  return layout;
}

}  // namespace milgen::ane
