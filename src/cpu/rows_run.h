// What rows.cpp gives to its vector code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/rows.h"
#include "cpu/strided_dims.h"
#include "milgen/dtype.h"

namespace milgen::cpu {

enum class RowOp : std::uint8_t {
  reduce,
  softmax,
  layer_norm,
  l2_norm,
};

/// Rows that are worked on together where they are not adjacent columns.
inline constexpr std::int64_t kRowGroup = 8;

struct RowsRun {
  RowOp op = RowOp::reduce;
  Reduction reduction = Reduction::sum;
  DType dtype = DType::fp32;
  const void* x = nullptr;
  void* out = nullptr;
  bool fast = false;
  // Of layer_norm and l2_norm.
  NormVector gamma = {};
  NormVector beta = {};
  /// 0: gamma and beta have a number for each place of the axis; else that many, which rows take in
  /// turn.
  std::int64_t channels = 0;
  float epsilon = 0;

  std::int64_t length = 1;  ///< elements of a row
  // As columns, for run_columns: as in RowShape.
  RowShape shape = {};
  // As rows that stand anywhere, for run_row_groups.
  std::int64_t rows = 1;
  StridedDims row_dims = {};   ///< where rows begin
  StridedDims axis_dims = {};  ///< where the elements of a row stand
};

/// Groups [first, last) of kRowGroup rows.
void run_row_groups(const RowsRun& run, std::int64_t first, std::int64_t last);

/// Blocks [first, last) of `width` columns, those of the first outer index first; the last block of
/// each is narrower.
void run_columns(const RowsRun& run, std::int64_t width, std::int64_t first, std::int64_t last);

/// The largest width of run_columns.
inline constexpr std::int64_t kMaxColumns = 256;

}  // namespace milgen::cpu
