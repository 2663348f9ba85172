// Walking a result and operands that broadcast to it, in runs of the innermost dim.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "cpu/kernel.h"
#include "milgen/shape.h"

namespace milgen::cpu {

/// The dims of a dense result and how far each of N dense operands moves along them. Dims of 1 are
/// gone, and dims along which all operands move as if they were one are one, so that an operand
/// moves by 1 or by nothing along the innermost.
template <std::size_t N>
class BroadcastLoop {
 public:
  BroadcastLoop(const Shape& result, const std::array<const TensorView*, N>& operands) {
    std::array<std::int64_t, N> step;
    step.fill(1);
    // Built innermost first.
    for (std::size_t i = result.size(); i-- > 0;) {
      std::array<std::int64_t, N> moves;
      for (std::size_t k = 0; k < N; ++k) {
        const Shape& shape = operands[k]->shape;
        const std::size_t missing = result.size() - shape.size();
        const std::int64_t dim = i < missing ? 1 : shape[i - missing];
        moves[k] = dim == 1 ? 0 : step[k];
        step[k] *= dim;
      }
      if (result[i] != 1) add(result[i], moves);
    }
    if (dims_.empty()) add(1, {});
  }

  /// Whether operand `k` moves along the innermost dim.
  bool moves(std::size_t k) const { return strides_[k][0] != 0; }

  /// Calls run(first, length, offsets) for stretches of the result's elements [begin, end) that do
  /// not leave the innermost dim; `offsets` are those of the operands' first elements.
  template <class Run>
  void for_each_run(std::int64_t begin, std::int64_t end, const Run& run) const {
    if (begin >= end) return;
    Ints index(dims_.size(), 0);
    std::array<std::int64_t, N> offsets{};
    std::int64_t rest = begin;
    for (std::size_t i = 0; i < dims_.size(); ++i) {
      index[i] = rest % dims_[i];
      rest /= dims_[i];
      for (std::size_t k = 0; k < N; ++k) offsets[k] += index[i] * strides_[k][i];
    }
    while (begin < end) {
      const std::int64_t length = std::min(dims_[0] - index[0], end - begin);
      run(begin, length, offsets);
      begin += length;
      advance(index, offsets, length);
    }
  }

 private:
  void add(std::int64_t dim, const std::array<std::int64_t, N>& moves) {
    bool merges = !dims_.empty();
    for (std::size_t k = 0; merges && k < N; ++k) {
      merges = moves[k] == strides_[k].back() * dims_.back();
    }
    if (merges) {
      dims_[dims_.size() - 1] *= dim;
      return;
    }
    dims_.push_back(dim);
    for (std::size_t k = 0; k < N; ++k) strides_[k].push_back(moves[k]);
  }

  void advance(Ints& index, std::array<std::int64_t, N>& offsets, std::int64_t length) const {
    index[0] += length;
    for (std::size_t k = 0; k < N; ++k) offsets[k] += length * strides_[k][0];
    for (std::size_t i = 0; i + 1 < dims_.size() && index[i] == dims_[i]; ++i) {
      index[i] = 0;
      ++index[i + 1];
      for (std::size_t k = 0; k < N; ++k) {
        offsets[k] += strides_[k][i + 1] - dims_[i] * strides_[k][i];
      }
    }
  }

  Ints dims_;                    ///< innermost first
  std::array<Ints, N> strides_;  ///< in elements, innermost first
};

/// out[i] = op(x[i], y[i]) for a stretch of a BroadcastLoop. kOp is known here so that the loops
/// are vectorised.
template <auto kOp, class X, class Out>
void combine(const X* x, bool x_moves, const X* y, bool y_moves, Out* out, std::int64_t length) {
  if (x_moves && y_moves) {
    for (std::int64_t i = 0; i < length; ++i) out[i] = kOp(x[i], y[i]);
  } else if (x_moves) {
    for (std::int64_t i = 0; i < length; ++i) out[i] = kOp(x[i], *y);
  } else if (y_moves) {
    for (std::int64_t i = 0; i < length; ++i) out[i] = kOp(*x, y[i]);
  } else {
    std::fill_n(out, length, kOp(*x, *y));
  }
}

}  // namespace milgen::cpu
