// Dims with strides, as few as possible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace milgen::cpu {

/// A dim and how far it is from one of its elements to the next, in elements.
struct StridedDim {
  std::int64_t size;
  std::int64_t stride;
};

/// A list of dims, of which the innermost is added first and stands first. Dims of 1 are left out,
/// and those that continue the one inside of them become one with it.
class StridedDims {
 public:
  void add(std::int64_t size, std::int64_t stride) {
    if (size == 1) return;
    if (!dims_.empty() && stride == dims_.back().stride * dims_.back().size) {
      dims_.back().size *= size;
    } else {
      dims_.push_back({size, stride});
    }
  }

  std::size_t size() const { return dims_.size(); }
  /// The innermost; that of no dims has one element.
  StridedDim inner() const { return dims_.empty() ? StridedDim{1, 0} : dims_.front(); }

  /// Where the element with this row-major index stands.
  std::int64_t offset(std::int64_t index) const {
    std::int64_t offset = 0;
    for (const StridedDim& dim : dims_) {
      if (index == 0) break;
      offset += index % dim.size * dim.stride;
      index /= dim.size;
    }
    return offset;
  }

  /// Calls run(at, offset, length) for stretches of [first, first + count) within the innermost
  /// dim: `at` counts from `first`.
  template <class Run>
  void each_run(std::int64_t first, std::int64_t count, const Run& run) const {
    const StridedDim innermost = inner();
    for (std::int64_t at = 0; at < count;) {
      const std::int64_t left = innermost.size - (first + at) % innermost.size;
      const std::int64_t length = left < count - at ? left : count - at;
      run(at, offset(first + at), length);
      at += length;
    }
  }

 private:
  std::vector<StridedDim> dims_;
};

}  // namespace milgen::cpu
