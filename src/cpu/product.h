// Matrix products: C = A * B + bias, many at a time.
//
// A is [rows, inner], B is [inner, columns], C is [rows, columns]. Elements are fp16 or fp32, each
// of the three as it likes. Matrices are strided views: transposed operands, rows with gaps and
// results written in place are a matter of strides. Every element of C is
//
//     s = 0;  for k = 0, 1, ... inner - 1: s = s + A[i][k] * B[k][j];  C[i][j] = round(s + bias)
//
// NumericMode::exact does exactly that: s is fp32, a product is rounded to fp32 before it is added
// (two halves multiply without rounding), the bias is added in fp32, and there is one rounding to
// the dtype of C, to nearest, ties to even. Without a bias nothing is added. A NaN becomes the
// quiet positive one (0x7E00, 0x7FC00000), because which NaN an addition gives differs between
// machines. The bits of the result depend on nothing else: not on threads, vector units, packing or
// strides.
//
// NumericMode::fast may add in any order, fuse, and use the CBLAS library (cpu/blas.h). For fp16
// operands it gives what exact gives when there is no such library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "milgen/backend.h"
#include "milgen/dtype.h"
#include "support/aligned_buffer.h"
#include "support/thread_pool.h"

namespace milgen::detail {

class PackedMatrix;
struct ProductKernels;

/// An operand. Strides are in elements and may be 0 or negative.
struct MatrixView {
  const void* data = nullptr;
  DType dtype = DType::fp16;  ///< fp16 or fp32
  std::ptrdiff_t row_stride = 0;
  std::ptrdiff_t column_stride = 1;
  /// Set: the operand is this one, and everything above is ignored.
  const PackedMatrix* packed = nullptr;
};

/// Where the result goes. Elements do not overlap each other, nor those of operands or bias.
struct MatrixTarget {
  void* data = nullptr;
  DType dtype = DType::fp16;  ///< fp16 or fp32
  std::ptrdiff_t row_stride = 0;
  std::ptrdiff_t column_stride = 1;
};

/// A vector that is added to every column (one element per row) or to every row.
struct ProductBias {
  const void* data = nullptr;  ///< null: none
  DType dtype = DType::fp16;   ///< fp16 or fp32
  std::ptrdiff_t stride = 1;
  bool per_row = false;  ///< [rows]; otherwise [columns]
};

/// One of the dimensions that the product is repeated over. Strides are in elements; a stride of 0
/// uses the same matrix every time. Those of a packed operand count matrices of its PackedMatrix.
struct BatchDim {
  std::size_t count = 1;
  std::ptrdiff_t a_stride = 0;
  std::ptrdiff_t b_stride = 0;
  std::ptrdiff_t c_stride = 0;
  std::ptrdiff_t bias_stride = 0;
};

struct Product {
  NumericMode mode = NumericMode::exact;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t inner = 0;  ///< 0: C is the bias, or 0
  MatrixView a;           ///< [rows, inner]
  MatrixView b;           ///< [inner, columns]; one of the two may be packed, not both
  MatrixTarget c;         ///< [rows, columns]
  ProductBias bias;
  std::span<const BatchDim> batch;  ///< outermost first; empty: one product
};

/// Memory that products use while they run. It belongs to one run at a time and grows to the most
/// that was asked of it.
using ProductWorkspace = AlignedBuffer;

/// What multiply() will reserve for this product with so many threads. Depends on the sizes, dtypes
/// and strides, not on where matrices lie: they may be null.
std::size_t workspace_bytes(const Product& product, int threads);

/// Does the product with the threads of `pool`. False when `workspace` cannot be grown to what it
/// needs (never when workspace_bytes() were reserved before); C is unspecified then.
[[nodiscard]] bool multiply(const Product& product, ThreadPool& pool, ProductWorkspace& workspace);

/// Which operand of a product a constant is.
enum class ProductSide : std::uint8_t { a, b };

/// A constant and what is known of the products that it will be used in. What is said beside the
/// matrix itself makes those products faster; they are right whatever it says.
struct PackRequest {
  NumericMode mode = NumericMode::exact;
  ProductSide side = ProductSide::b;
  MatrixView matrix;
  std::size_t rows = 0;     ///< of the matrix: for b that is `inner`
  std::size_t columns = 0;  ///< of the matrix: for a that is `inner`
  /// As many matrices (the groups of a convolution, a batch), `matrix_stride` elements apart.
  std::size_t count = 1;
  std::ptrdiff_t matrix_stride = 0;
  /// The `columns` (for a) or `rows` (for b) of the product; 0: not known, many.
  std::size_t other = 0;
  /// The result has column_stride != 1 and row_stride 1.
  bool result_by_columns = false;
};

/// Constants, arranged for multiply() once. It keeps no reference to what it was made from and may
/// be used by any number of products and threads at a time, in either mode.
class PackedMatrix {
 public:
  /// False when there is not enough memory.
  [[nodiscard]] bool pack(const PackRequest& request, ThreadPool& pool);

  /// The matrix as it was: writes the elements that pack() read from `request.matrix.data` to the
  /// same places of `matrix`. `request` is that of pack(); its data is not looked at.
  void unpack(const PackRequest& request, void* matrix) const;

  /// Bytes that it keeps: those of the matrix in its own dtype, with rows (for a) or columns (for
  /// b) rounded up to a multiple of at most 32. In fast mode, where the CBLAS library is to have
  /// it, those of the matrix as fp32.
  std::size_t bytes() const { return panels_.bytes(); }

  /// Kept for the library: row-major floats.
  bool is_dense() const { return dense_; }
  MatrixView dense_view() const {
    return {panels_.data(), DType::fp32, static_cast<std::ptrdiff_t>(inner_), 1, nullptr};
  }
  /// Elements from one matrix to the next.
  std::ptrdiff_t dense_stride() const { return static_cast<std::ptrdiff_t>(matrix_elements()); }

 private:
  friend class ProductRun;

  bool keep_dense(const PackRequest& request, ThreadPool& pool);
  std::size_t panel_count() const { return (lines_ + width_ - 1) / width_; }
  std::size_t panel_elements() const { return width_ * inner_; }
  std::size_t matrix_elements() const { return panel_count() * panel_elements(); }

  // Panels of lines as cpu/product_kernels.h has them, in the dtype of the matrix; or, dense, the
  // rows of the matrix as the lines, `inner_` floats each.
  AlignedBuffer panels_;
  const ProductKernels* kernels_ = nullptr;
  bool dense_ = false;
  bool half_ = false;
  bool vectors_ = false;  ///< lines are columns of tiles
  std::size_t lines_ = 0;
  std::size_t inner_ = 0;
  std::size_t width_ = 1;
};

}  // namespace milgen::detail
