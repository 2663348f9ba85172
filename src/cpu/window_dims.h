// Windows over the spatial dims of a tensor as numbers: what convolution and pooling loop over.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cpu/kernel.h"

namespace milgen::cpu {

/// The windows along one spatial dim: window `i` covers the elements i * stride - pad + k *
/// dilation for k in [0, kernel), of which those outside [0, size) are padding.
struct WindowDim {
  std::int64_t size = 1;  ///< elements of x
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t dilation = 1;
  std::int64_t pad = 0;  ///< before x
  std::int64_t pad_after = 0;
  std::int64_t windows = 1;

  /// Where in x the window's first element would be; negative in the padding.
  std::int64_t start(std::int64_t window) const { return window * stride - pad; }
  /// The k whose elements of a window are in x: [first, last).
  std::int64_t first_tap(std::int64_t window) const {
    const std::int64_t at = start(window);
    return at >= 0 ? 0 : std::min(kernel, ceil_divide(-at, dilation));
  }
  std::int64_t last_tap(std::int64_t window) const {
    const std::int64_t room = size - start(window);
    return room <= 0 ? 0 : std::min(kernel, ceil_divide(room, dilation));
  }
  /// The windows whose element `tap` is in x: [first, last).
  std::int64_t first_window(std::int64_t tap) const {
    const std::int64_t before = pad - tap * dilation;
    return before <= 0 ? 0 : std::min(windows, ceil_divide(before, stride));
  }
  std::int64_t last_window(std::int64_t tap) const {
    const std::int64_t room = size + pad - tap * dilation;
    return room <= 0 ? 0 : std::min(windows, ceil_divide(room, stride));
  }

  static std::int64_t ceil_divide(std::int64_t a, std::int64_t b) {
    return a / b + (a % b != 0 ? 1 : 0);
  }
};

/// Depth, height and width; those that x does not have are dims of one element, in front.
using WindowDims = std::array<WindowDim, 3>;

/// Reads the windows of an op with the arguments strides, pad_type, pad and, where it has them,
/// dilations. `x` and `result` are [N, C, spatial...], `kernel` has an entry for each spatial dim.
/// False, with `run.value` reported, where they reach further than can be computed with.
bool read_windows(OpRun& run, const Shape& x, const Shape& kernel, const Shape& result,
                  bool has_dilations, WindowDims& out);

}  // namespace milgen::cpu
