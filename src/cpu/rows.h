// Operations along an axis: reductions, softmax, normalisations, of fp16 and fp32 tensors.
//
// A tensor is seen as [outer, axis, inner], dense and row-major: what stands before the axis, the
// axis (several adjacent dims may be taken as one), and what stands after it. For every place in
// outer and inner the `axis` elements that are `inner` apart make a row.
//
// Everything is computed in fp32 and rounded once, to the dtype of the result. Sums and products
// over a row are sequential: they start from 0 (or 1) and take the elements in increasing index
// order, whatever the vector width, machine or thread count; rows are what is vectorised over.
// NumericMode::fast allows other orders. Maxima and minima are NaN if any element is, and a result
// of zero has a positive sign. NaNs are written as in pointwise.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "milgen/backend.h"
#include "milgen/dtype.h"
#include "milgen/shape.h"
#include "support/thread_pool.h"

namespace milgen::cpu {

struct RowShape {
  std::int64_t outer = 1;
  std::int64_t axis = 1;
  std::int64_t inner = 1;

  std::int64_t rows() const { return outer * inner; }
};

/// The dims [first, last] of `shape` as the axis; last + 1 == first takes an axis of size 1.
RowShape row_shape(std::span<const std::int64_t> shape, std::size_t first, std::size_t last);

enum class Reduction : std::uint8_t {
  sum,
  mean,  ///< sum / axis
  max,
  min,
  prod,
  l1_norm,  ///< sum of |x|
  l2_norm,  ///< sqrt of the sum of squares
  sum_square,
  log_sum,      ///< log of the sum
  log_sum_exp,  ///< max + log of the sum of exp(x - max); max where that is infinite
};

/// Reduces each row to one element of `out`, which is [outer, inner] of the same dtype. An empty
/// axis gives what the formula gives for no elements: 0, 1 for prod, NaN for mean, -inf for max,
/// log_sum and log_sum_exp, inf for min.
void reduce_rows(Reduction reduction, DType dtype, const void* x, void* out, const RowShape& rows,
                 NumericMode mode, detail::ThreadPool& pool);

/// Reduces the dims of `shape` that `axes` lists (each at least 0, sorted, once), adjacent or not,
/// in increasing row-major index of those dims. `out` holds the other dims.
void reduce_axes(Reduction reduction, DType dtype, const void* x, void* out,
                 std::span<const std::int64_t> shape, std::span<const std::int64_t> axes,
                 NumericMode mode, detail::ThreadPool& pool);

/// The index in its row of the greatest (or smallest) element: the first of equal ones; the first
/// NaN if there is one. 0 for an empty axis. `out` is [outer, inner].
void arg_reduce_rows(bool greatest, DType dtype, const void* x, std::int32_t* out,
                     const RowShape& rows, detail::ThreadPool& pool);

/// exp(x - max) / sum of exp(x - max). `out` is like x and may be x.
void softmax_rows(DType dtype, const void* x, void* out, const RowShape& rows, NumericMode mode,
                  detail::ThreadPool& pool);

/// A vector of per-position numbers of a normalisation; null data: left out.
struct NormVector {
  const void* data = nullptr;
  DType dtype = DType::none;  ///< fp16 or fp32
};

/// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta over each row, mean and variance being
/// those of the row: mean = sum(x) / axis, variance = sum((x - mean)^2) / axis. gamma and beta have
/// one number for each of the axis's positions. `out` is like x and may be x.
void layer_norm_rows(DType dtype, const void* x, void* out, const RowShape& rows,
                     const NormVector& gamma, const NormVector& beta, float epsilon,
                     NumericMode mode, detail::ThreadPool& pool);

/// layer_norm over dims that need not be adjacent (`axes`: each at least 0, sorted, once); gamma
/// and beta have the shape of those dims.
void layer_norm_axes(DType dtype, const void* x, void* out, std::span<const std::int64_t> shape,
                     std::span<const std::int64_t> axes, const NormVector& gamma,
                     const NormVector& beta, float epsilon, NumericMode mode,
                     detail::ThreadPool& pool);

/// The formula of layer_norm over the rows of [batch, channels, spatial], each a channel of an
/// image; gamma and beta have one number a channel.
void instance_norm(DType dtype, const void* x, void* out, std::int64_t batch, std::int64_t channels,
                   std::int64_t spatial, const NormVector& gamma, const NormVector& beta,
                   float epsilon, NumericMode mode, detail::ThreadPool& pool);

/// x / sqrt(sum of squares + epsilon) over each row. `out` is like x and may be x.
void l2_norm_rows(DType dtype, const void* x, void* out, const RowShape& rows, float epsilon,
                  NumericMode mode, detail::ThreadPool& pool);

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta over [batch, channels, spatial], with one
/// number a channel of each vector. `out` is like x and may be x.
void batch_norm(DType dtype, const void* x, void* out, std::int64_t batch, std::int64_t channels,
                std::int64_t spatial, const NormVector& mean, const NormVector& variance,
                const NormVector& gamma, const NormVector& beta, float epsilon,
                detail::ThreadPool& pool);

}  // namespace milgen::cpu
