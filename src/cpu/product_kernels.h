// The inner loops of products, for the vector unit in use.
//
// A tile of C has `tile_rows` rows, whose elements of A are broadcast, and `tile_columns` columns,
// whose elements of B fill vectors. Which operand plays which part is up to the caller: C
// transposed is B transposed times A transposed. A line is a row of the one or a column of the
// other; lines are packed into panels: [inner][width] floats, `width` lines next to each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace milgen::detail {

/// Where the lines of a panel come from.
struct LineSource {
  const void* data;             ///< the first element of the first line
  bool half;                    ///< fp16, otherwise fp32
  std::ptrdiff_t line_stride;   // elements
  std::ptrdiff_t inner_stride;  // elements
};

/// Where a finished tile goes, and what is added to it.
struct TileTarget {
  void* data;  ///< its first element
  bool half;
  std::ptrdiff_t row_stride;
  std::ptrdiff_t column_stride;
  const float* row_bias;     ///< null, or one for each row
  const float* column_bias;  ///< null, or tile_columns of them
};

struct TileSums {
  float* sums;  ///< [tile_rows][tile_columns], aligned
  bool first;   ///< begin with 0, not with what is there
};

/// sums += rows * columns over `inner`, one term after the other. `rows` is [inner][row_width], of
/// which the first `row_count` are used; sums of rows beyond are unspecified.
using TileFunction = void (*)(const float* rows, std::size_t row_width, std::size_t row_count,
                              const float* columns, std::size_t inner, TileSums sums);

/// Panels of columns that are kept in their own dtype.
struct KeptPanels {
  const void* first;
  bool half;
  std::size_t stride;  ///< elements from one to the next
  std::size_t count;
};

/// The same for the only row of a product, straight from the memory of constants: widened first,
/// they would cost more than the product. One tile of `sums` for each panel, one after the other.
using RowFunction = void (*)(const float* row, const KeptPanels& panels, std::size_t inner,
                             TileSums sums);

/// Of all vector units.
inline constexpr std::size_t kLargestTileRows = 12;
inline constexpr std::size_t kLargestTileColumns = 32;

struct ProductKernels {
  std::size_t tile_rows;
  std::size_t tile_columns;
  /// Products are rounded before they are added.
  TileFunction separate;
  RowFunction row_separate;
  /// Not so, where the machine has the instruction.
  TileFunction fused;
  RowFunction row_fused;
  /// `lines` of `source`, from the first, into a panel of `width` lines, the others 0.
  void (*pack)(const LineSource& source, std::size_t lines, std::size_t inner, std::size_t width,
               float* panel);
  void (*widen)(const std::uint16_t* halves, std::size_t count, float* floats);
  /// Adds the bias to the upper left [rows][columns] of a tile, rounds and stores.
  void (*finish)(const float* sums, std::size_t rows, std::size_t columns,
                 const TileTarget& target);
};

/// For the vector unit in use (cpu/simd.h).
const ProductKernels& product_kernels();

/// The widths of panels of rows that a tile function has a loop of its own for; the smallest that
/// holds `rows`, tile_rows at most.
std::size_t row_width_for(const ProductKernels& kernels, std::size_t rows);

}  // namespace milgen::detail
