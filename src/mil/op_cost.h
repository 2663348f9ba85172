// The arithmetic of each op: module_stats() in milgen/stats.h says how it is counted.
#pragma once

#include <cstdint>
#include <span>

#include "milgen/op_code.h"

namespace milgen::mil {

enum class CostRule : std::uint8_t {
  free,         ///< moves data, or is done when the program is compiled
  per_result,   ///< `factor` for each element of the first result
  per_operand,  ///< `factor` for each element of x
  blocks,       ///< what its blocks cost
  conv,
  conv_transpose,
  linear,
  matmul,
  einsum,
  attention,
  recurrent,  ///< `factor` for each unit and position beside the products
  pool,       ///< `factor` for each element under the kernel
  normalization_window,
  scatter,  ///< 1 for each element of updates
};

struct OpCost {
  OpCode code;
  CostRule rule;
  std::uint32_t factor = 0;
};

/// A row for each op, in the order of OpCode.
std::span<const OpCost> op_costs();

/// Sums and products that stop at the largest number.
class Saturating {
 public:
  explicit Saturating(std::uint64_t value = 0) : value_(value) {}
  std::uint64_t value() const { return value_; }
  Saturating& operator+=(std::uint64_t other) {
    if (__builtin_add_overflow(value_, other, &value_)) value_ = UINT64_MAX;
    return *this;
  }
  Saturating& operator*=(std::uint64_t other) {
    if (__builtin_mul_overflow(value_, other, &value_)) value_ = UINT64_MAX;
    return *this;
  }

 private:
  std::uint64_t value_;
};

}  // namespace milgen::mil
