// A part of a matrix to fp16, transposed.
#pragma once

#include <cstddef>

#include "support/half.h"

namespace milgen::detail {

/// Rows [first_row, first_row + row_count) and columns [first_column, first_column + column_count)
/// of a row-major [rows, columns] fp32 matrix, and their place in the transposed fp16 matrix
/// [columns, rows].
struct TransposedPart {
  const void* floats = nullptr;  ///< the whole matrix
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t first_row = 0;
  std::size_t row_count = 0;
  std::size_t first_column = 0;
  std::size_t column_count = 0;
  void* halves = nullptr;  ///< of the part's first element
  std::size_t stride = 0;  ///< elements from one row of the result to the next: at least `rows`
  /// The result is too large for caches, of which this part may not be: it is written past them
  /// where its lines allow it.
  bool past_caches = false;
};

/// Neither needs to be aligned; they do not overlap. Report indices are those of the transposed
/// matrix. Fastest where row_count is a multiple of 32 and `halves` at one of 64 bytes.
void transpose_to_halves(const TransposedPart& part, HalfReport& report,
                         HalfPath path = HalfPath::best);

}  // namespace milgen::detail
