// Pooling. Every plane (an image's channel) is done by itself; the elements of a window are taken
// in increasing index order.
#include <cmath>
#include <limits>

#include "cpu/float_span.h"
#include "cpu/kernel_util.h"
#include "cpu/kernels_conv.h"
#include "cpu/window_dims.h"

namespace milgen::cpu {
namespace {

/// The greatest element; NaN when there is one.
struct MaxRule {
  static constexpr float kStart = -std::numeric_limits<float>::infinity();
  static float add(float sum, float x) { return x > sum || x != x ? x : sum; }
};
struct SumRule {
  static constexpr float kStart = 0;
  static float add(float sum, float x) { return sum + x; }
};
struct SquareRule {
  static constexpr float kStart = 0;
  static float add(float sum, float x) { return sum + x * x; }
};

/// Adds an input row to a row of windows. Wide rows go tap by tap, so that windows are done side by
/// side; the order of each window's sum is the same.
template <class Rule>
void add_row(const WindowDim& dim, const float* row, float* sums) {
  constexpr std::int64_t kFewTaps = 32;
  constexpr std::int64_t kManyWindows = 4;
  if (dim.kernel <= kFewTaps && dim.windows >= kManyWindows) {
    for (std::int64_t tap = 0; tap < dim.kernel; ++tap) {
      const std::int64_t last = dim.last_window(tap);
      std::int64_t i = dim.first_window(tap);
      if (i >= last) continue;
      const float* in = row + dim.start(i) + tap;
      if (dim.stride == 1) {
        for (const std::int64_t first = i; i < last; ++i) {
          sums[i] = Rule::add(sums[i], in[i - first]);
        }
      } else {
        for (; i < last; ++i, in += dim.stride) sums[i] = Rule::add(sums[i], *in);
      }
    }
    return;
  }
  for (std::int64_t i = 0; i < dim.windows; ++i) {
    const std::int64_t start = dim.start(i);
    const std::int64_t last = dim.last_tap(i);
    float sum = sums[i];
    for (std::int64_t tap = dim.first_tap(i); tap < last; ++tap) {
      sum = Rule::add(sum, row[start + tap]);
    }
    sums[i] = sum;
  }
}

/// One row of windows, at depth `d` and height `h`.
template <class Rule>
void pool_row(const WindowDims& dims, const float* plane, std::int64_t d, std::int64_t h,
              float* sums) {
  std::fill_n(sums, dims[2].windows, Rule::kStart);
  for (std::int64_t kd = dims[0].first_tap(d); kd < dims[0].last_tap(d); ++kd) {
    for (std::int64_t kh = dims[1].first_tap(h); kh < dims[1].last_tap(h); ++kh) {
      const std::int64_t row = (dims[0].start(d) + kd) * dims[1].size + dims[1].start(h) + kh;
      add_row<Rule>(dims[2], plane + row * dims[2].size, sums);
    }
  }
}

/// The elements of a window that the mean divides by: those in x, and unless padding is excluded
/// those in the padding. What a window of ceil_mode has beyond the padding never counts, as in
/// PyTorch, whose ceil_mode this is.
double counted(const WindowDim& dim, std::int64_t window, bool exclude_padding) {
  if (exclude_padding) {
    return static_cast<double>(
        std::max<std::int64_t>(0, dim.last_tap(window) - dim.first_tap(window)));
  }
  const std::int64_t end = std::min(dim.start(window) + dim.kernel, dim.size + dim.pad_after);
  return static_cast<double>(std::max<std::int64_t>(0, end - dim.start(window)));
}

/// Turns the sums of a row of windows into its results.
using Finish = void (*)(const WindowDims& dims, std::int64_t d, std::int64_t h, bool exclude,
                        float* sums);

void finish_max(const WindowDims&, std::int64_t, std::int64_t, bool, float*) {}

void finish_mean(const WindowDims& dims, std::int64_t d, std::int64_t h, bool exclude,
                 float* sums) {
  const double rows = counted(dims[0], d, exclude) * counted(dims[1], h, exclude);
  for (std::int64_t i = 0; i < dims[2].windows; ++i) {
    // A window that is all padding has the sum 0, and that is its mean.
    const double count = std::max(1.0, rows * counted(dims[2], i, exclude));
    sums[i] /= static_cast<float>(count);
  }
}

void finish_root(const WindowDims& dims, std::int64_t, std::int64_t, bool, float* sums) {
  for (std::int64_t i = 0; i < dims[2].windows; ++i) sums[i] = std::sqrt(sums[i]);
}

template <class Rule>
bool pool(OpRun& run, Finish finish, bool exclude_padding) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  WindowDims dims;
  if (!read_windows(run, x.shape, run.integers("kernel_sizes"), out.shape, false, dims)) {
    return false;
  }
  const std::int64_t plane = dims[0].size * dims[1].size * dims[2].size;
  const std::int64_t rows = dims[0].windows * dims[1].windows;
  const std::int64_t width = dims[2].windows;
  const auto threads = static_cast<std::int64_t>(run.pool().threads());
  const std::int64_t buffer_size = plane + width;
  auto* buffers = run.scratch_of<float>(threads * buffer_size);
  if (buffers == nullptr) return false;
  const auto work = [&](std::size_t begin, std::size_t end, std::size_t slot) {
    float* buffer = buffers + static_cast<std::int64_t>(slot) * buffer_size;
    for (auto p = static_cast<std::int64_t>(begin); p < static_cast<std::int64_t>(end); ++p) {
      const float* in = floats_of(x, p * plane, plane, buffer);
      for (std::int64_t row = 0; row < rows; ++row) {
        const std::int64_t d = row / dims[1].windows;
        const std::int64_t h = row % dims[1].windows;
        const std::int64_t first = (p * rows + row) * width;
        float* sums = floats_for(out, first, buffer + plane);
        pool_row<Rule>(dims, in, d, h, sums);
        finish(dims, d, h, exclude_padding, sums);
        store_floats(out, first, width, sums);
      }
    }
  };
  run.pool().run(static_cast<std::size_t>(x.dim(0) * x.dim(1)),
                 items_grain(std::max(plane, rows * width)), work);
  return true;
}

}  // namespace

bool run_max_pool(OpRun& run) { return pool<MaxRule>(run, finish_max, false); }

bool run_l2_pool(OpRun& run) { return pool<SquareRule>(run, finish_root, false); }

bool run_avg_pool(OpRun& run) {
  return pool<SumRule>(run, finish_mean, run.boolean("exclude_padding_from_average"));
}

}  // namespace milgen::cpu
