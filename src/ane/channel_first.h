// Matrices [batch, features] as the kernels of this field keep them: [1, features, 1, batch], a row
// of a surface for each feature.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "milgen/ane/error.h"
#include "milgen/ane/surface.h"

namespace milgen::ane {

/// The widest row of a surface that all chips take (IO-014 in ane_constraints).
inline constexpr std::int64_t kMostColumns = 16'384;
/// So many fp16 are a row without padding.
inline constexpr std::int64_t kColumnAlignment = kRowAlignmentBytes / 2;

/// Rounded up to kColumnAlignment; `columns` is at most 2^62.
constexpr std::int64_t aligned_columns(std::int64_t columns) {
  return (columns + kColumnAlignment - 1) / kColumnAlignment * kColumnAlignment;
}

/// `argument` when a size is below 1 or above `most`.
Error check_dim(std::string_view what, std::int64_t size, std::int64_t most);
/// `argument` when `values` is not rows * columns, both of which check_dim() let through.
Error check_values(std::string_view what, std::size_t values, std::int64_t rows,
                   std::int64_t columns);

/// x [batch, in], as fp16 [in, batch].
void to_channel_first(std::span<const float> x, std::int64_t batch,
                      std::span<std::uint16_t> channel_first);
/// [channels, batch] to the columns of a row-major matrix with `row_size` columns, whose first one
/// of the first row is at `to`.
void from_channel_first(std::span<const float> channel_first, std::int64_t batch, float* to,
                        std::int64_t row_size);

}  // namespace milgen::ane
