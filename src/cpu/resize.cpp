// Resizing: every element of the result lies at a point of x's grid, along each resized dim by
// itself. Interpolation is computed in fp64 and rounded once.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "cpu/float_span.h"
#include "cpu/kernel_util.h"
#include "cpu/kernels_image_resizing.h"
#include "cpu/sampling.h"

namespace milgen::cpu {
namespace {

/// The last dims of x and of the result, which are resized, and where the elements come from.
struct Resize {
  struct Dim {
    std::int64_t from = 1;
    std::int64_t to = 1;
    const AxisPoint* points = nullptr;  ///< `to` of them
  };
  std::vector<Dim> dims;
  std::int64_t outer = 1;      ///< the dims before them
  std::int64_t from_size = 1;  ///< elements of x for each outer one
  std::int64_t rows = 1;       ///< rows of the result for each outer one
  /// For each thread, where elements are interpolated: a sum of rows, one of them, and a row of the
  /// result.
  double* buffers = nullptr;
  std::int64_t buffer_size = 0;

  const Dim& last() const { return dims.back(); }
};

/// Fills `resize` with the points that `point_of(dim, i)` gives, `dim` being one of Resize::dims.
template <class PointOf>
bool plan(OpRun& run, std::size_t resized, bool interpolates, Resize& resize,
          const PointOf& point_of) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  const std::size_t lead = x.rank() - resized;
  std::int64_t points = 0;
  for (std::size_t i = 0; i < lead; ++i) resize.outer *= x.dim(i);
  for (std::size_t i = lead; i < x.rank(); ++i) {
    if (x.dim(i) == 0) {
      return run.fail(rule<"run.shape">,
                      fmt::format("x has shape {}, which has no elements along dim {} to resize "
                                  "to {}",
                                  to_string(x.shape), i, out.dim(i)));
    }
    resize.dims.push_back({.from = x.dim(i), .to = out.dim(i)});
    resize.from_size *= x.dim(i);
    if (i + 1 < x.rank()) resize.rows *= out.dim(i);
    points += out.dim(i);
  }
  if (interpolates) resize.buffer_size = 2 * resize.last().from + resize.last().to;
  const std::int64_t doubles = resize.buffer_size * run.pool().threads();
  std::byte* memory = run.scratch(static_cast<std::uint64_t>(doubles) * sizeof(double) +
                                  static_cast<std::uint64_t>(points) * sizeof(AxisPoint));
  if (memory == nullptr) return false;
  resize.buffers = reinterpret_cast<double*>(memory);
  auto* next = reinterpret_cast<AxisPoint*>(resize.buffers + doubles);
  for (Resize::Dim& dim : resize.dims) {
    dim.points = next;
    for (std::int64_t k = 0; k < dim.to; ++k) *next++ = point_of(dim, k);
  }
  return true;
}

/// The rows of x that a row of the result is made of, with what each is multiplied by.
class SourceRows {
 public:
  struct Row {
    std::int64_t offset;  ///< in elements
    double weight;
  };

  std::span<const Row> find(const Resize& resize, std::int64_t row) {
    rows_.assign(1, {0, 1.0});
    std::int64_t step = resize.last().from;
    for (std::size_t i = resize.dims.size() - 1; i-- > 0;) {
      const Resize::Dim& dim = resize.dims[i];
      const AxisPoint& point = dim.points[row % dim.to];
      row /= dim.to;
      const std::size_t count = rows_.size();
      for (std::size_t k = 0; point.fraction != 0 && k < count; ++k) {
        const Row low = rows_[k];
        rows_.push_back({low.offset + point.high * step, low.weight * point.fraction});
      }
      for (std::size_t k = 0; k < count; ++k) {
        rows_[k].offset += point.low * step;
        rows_[k].weight *= 1 - point.fraction;
      }
      step *= dim.from;
    }
    return rows_;
  }

 private:
  std::vector<Row> rows_;
};

std::size_t row_grain(const Resize& resize) {
  const std::int64_t row = std::max(resize.last().to, resize.last().from);
  return items_grain(4 * row);
}

bool resize_linear(OpRun& run, const Resize& resize) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  const Resize::Dim& width = resize.last();
  const auto work = [&](std::size_t begin, std::size_t end, std::size_t slot) {
    double* sum = resize.buffers + static_cast<std::int64_t>(slot) * resize.buffer_size;
    double* one = sum + width.from;
    double* result = one + width.from;
    SourceRows sources;
    for (auto i = static_cast<std::int64_t>(begin); i < static_cast<std::int64_t>(end); ++i) {
      const std::int64_t image = i / resize.rows * resize.from_size;
      const auto rows = sources.find(resize, i % resize.rows);
      load_doubles(x, image + rows[0].offset, width.from, sum);
      if (rows.size() > 1) {
        for (std::int64_t k = 0; k < width.from; ++k) sum[k] *= rows[0].weight;
      }
      for (const SourceRows::Row& row : rows.subspan(1)) {
        load_doubles(x, image + row.offset, width.from, one);
        for (std::int64_t k = 0; k < width.from; ++k) sum[k] += one[k] * row.weight;
      }
      for (std::int64_t k = 0; k < width.to; ++k) {
        const AxisPoint& point = width.points[k];
        result[k] = point.fraction == 0
                        ? sum[point.low]
                        : sum[point.low] * (1 - point.fraction) + sum[point.high] * point.fraction;
      }
      store_doubles(out, i * width.to, width.to, result);
    }
  };
  run.pool().run(static_cast<std::size_t>(resize.outer * resize.rows), row_grain(resize), work);
  return true;
}

bool resize_nearest(OpRun& run, const Resize& resize) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  const Resize::Dim& width = resize.last();
  with_element_size(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto work = [&](std::int64_t begin, std::int64_t end) {
      SourceRows sources;
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t image = i / resize.rows * resize.from_size;
        const T* from = x.as<T>() + image + sources.find(resize, i % resize.rows)[0].offset;
        T* to = out.as_mutable<T>() + i * width.to;
        for (std::int64_t k = 0; k < width.to; ++k) to[k] = from[width.points[k].low];
      }
    };
    parallel_for(run, resize.outer * resize.rows, row_grain(resize), work);
  });
  return true;
}

bool copy_x(OpRun& run) {
  const TensorView& x = run.in("x");
  const std::size_t bytes = static_cast<std::size_t>(x.count) * element_bytes(x.dtype);
  if (bytes != 0) std::memcpy(run.out().data, x.data, bytes);
  return true;
}

double sampled(Sampling sampling, const Resize::Dim& dim, std::int64_t i) {
  return grid_point(sampling, 0, static_cast<double>(dim.from - 1), dim.to, i);
}

/// Nearest neighbours of the ops that have it by name: the element at or before the point
/// (op_semantics).
bool resize_floor(OpRun& run) {
  if (run.out().count == 0) return true;
  Resize resize;
  const auto point = [](const Resize::Dim& dim, std::int64_t i) {
    const double at = held_to(sampled(Sampling::standard, dim, i), dim.from);
    return AxisPoint{.low = static_cast<std::int64_t>(at)};
  };
  return plan(run, 2, false, resize, point) && resize_nearest(run, resize);
}

bool resize_sampled(OpRun& run, std::size_t resized) {
  const Sampling sampling = sampling_from(run.text("sampling_mode"));
  Resize resize;
  const auto point = [&](const Resize::Dim& dim, std::int64_t i) {
    return linear_point(sampled(sampling, dim, i), dim.from);
  };
  return plan(run, resized, true, resize, point) && resize_linear(run, resize);
}

}  // namespace

bool run_resize_nearest_neighbor(OpRun& run) { return resize_floor(run); }
bool run_upsample_nearest_neighbor(OpRun& run) { return resize_floor(run); }

bool run_resize_bilinear(OpRun& run) { return run.out().count == 0 || resize_sampled(run, 2); }

bool run_resize(OpRun& run) {
  const auto resized = static_cast<std::size_t>(run.integer("resized_dims"));
  if (run.out().count == 0) return true;
  if (resized == 0) return copy_x(run);
  if (run.text("interpolation_mode") == "LINEAR") return resize_sampled(run, resized);
  const Sampling sampling = sampling_from(run.text("sampling_mode"));
  Resize resize;
  // To the nearest element, a point in the middle to the even one.
  const auto point = [&](const Resize::Dim& dim, std::int64_t i) {
    return AxisPoint{
        .low = static_cast<std::int64_t>(std::rint(held_to(sampled(sampling, dim, i), dim.from)))};
  };
  return plan(run, resized, false, resize, point) && resize_nearest(run, resize);
}

bool run_upsample_bilinear(OpRun& run) {
  if (run.out().count == 0) return true;
  const bool align = run.boolean("align_corners");
  // Left out, the centres of pixels are at halves unless the corners are aligned.
  const bool centres = run.opset() >= Opset::ios16 && run.has("half_pixel_centers")
                           ? run.boolean("half_pixel_centers")
                           : !align;
  const Sampling sampling = align     ? Sampling::strict_align_corners
                            : centres ? Sampling::unalign_corners
                                      : Sampling::standard;
  Resize resize;
  const auto point = [&](const Resize::Dim& dim, std::int64_t i) {
    return linear_point(sampled(sampling, dim, i), dim.from);
  };
  return plan(run, 2, true, resize, point) && resize_linear(run, resize);
}

bool run_crop(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const std::int64_t top = run.integers("crop_height")[0];
  const std::int64_t left = run.integers("crop_width")[0];
  const std::int64_t height = x.dim(x.rank() - 2);
  const std::int64_t width = x.dim(x.rank() - 1);
  const std::int64_t out_height = out.dim(x.rank() - 2);
  const std::int64_t out_width = out.dim(x.rank() - 1);
  const auto bytes = static_cast<std::int64_t>(element_bytes(x.dtype));
  const auto work = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i / out_height * height + top + i % out_height;
      std::memcpy(out.data + i * out_width * bytes, x.data + (row * width + left) * bytes,
                  static_cast<std::size_t>(out_width * bytes));
    }
  };
  parallel_for(run, out.count / out_width, items_grain(out_width), work);
  return true;
}

}  // namespace milgen::cpu
