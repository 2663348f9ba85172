// What our own products and those of the CBLAS library have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "cpu/product.h"
#include "cpu/product_kernels.h"
#include "support/half.h"

namespace milgen::detail {

/// A stride of BatchDim.
using BatchStride = std::ptrdiff_t BatchDim::*;

inline std::size_t batch_count(std::span<const BatchDim> batch) {
  std::size_t count = 1;
  for (const BatchDim& dim : batch) count *= dim.count;
  return count;
}

/// Of the product `index`, counted with the last dimension fastest.
inline std::ptrdiff_t batch_offset(std::span<const BatchDim> batch, std::size_t index,
                                   BatchStride stride) {
  std::ptrdiff_t offset = 0;
  for (std::size_t i = batch.size(); i-- > 0;) {
    offset += static_cast<std::ptrdiff_t>(index % batch[i].count) * batch[i].*stride;
    index /= batch[i].count;
  }
  return offset;
}

inline std::size_t element_bytes(bool half) { return half ? 2 : 4; }

/// Null stays null: a product that is only measured has no data, and an empty tensor may have none.
inline const void* element_at(const void* data, bool half, std::ptrdiff_t index) {
  if (data == nullptr) return nullptr;
  return static_cast<const std::byte*>(data) +
         index * static_cast<std::ptrdiff_t>(element_bytes(half));
}

inline void* element_at(void* data, bool half, std::ptrdiff_t index) {
  return static_cast<std::byte*>(data) + index * static_cast<std::ptrdiff_t>(element_bytes(half));
}

/// Elements [first, first + count) of the bias, of the product whose bias begins at `offset`.
inline void copy_bias(const ProductBias& bias, std::ptrdiff_t offset, std::size_t first,
                      std::size_t count, float* to) {
  const bool half = bias.dtype == DType::fp16;
  for (std::size_t i = 0; i < count; ++i) {
    const void* at =
        element_at(bias.data, half, offset + static_cast<std::ptrdiff_t>(first + i) * bias.stride);
    to[i] = half ? float_from_half(*static_cast<const std::uint16_t*>(at))
                 : *static_cast<const float*>(at);
  }
}

/// The rows of a matrix, or its columns, from the element `offset` on.
inline LineSource lines_of(const MatrixView& matrix, bool lines_are_rows,
                           std::ptrdiff_t offset = 0) {
  const bool half = matrix.dtype == DType::fp16;
  const void* data = element_at(matrix.data, half, offset);
  return lines_are_rows ? LineSource{data, half, matrix.row_stride, matrix.column_stride}
                        : LineSource{data, half, matrix.column_stride, matrix.row_stride};
}

}  // namespace milgen::detail
