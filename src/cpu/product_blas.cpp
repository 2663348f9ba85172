#include "cpu/product_blas.h"

#include <algorithm>
#include <limits>

#include "cpu/product_kernels.h"
#include "cpu/product_parts.h"

namespace milgen::detail {
namespace {

// Below this a call costs more than it saves.
constexpr double kLeastMultiplications = 64 * 1024;
constexpr std::size_t kLeastLines = 16;
// More blocks than threads even out what they take; a library needs some rows to be good.
constexpr std::size_t kBlocksPerThread = 2;
constexpr std::size_t kLeastRows = 48;
// Bounds what a block has in the workspace.
constexpr std::size_t kMostRows = 512;

constexpr int kRowMajor = 101;
constexpr int kColumnMajor = 102;
constexpr int kNotTransposed = 111;
constexpr int kTransposed = 112;

/// A matrix as the library takes it: `stride` elements from one row to the next, or from one column
/// to the next.
struct BlasView {
  const float* data = nullptr;
  bool by_columns = false;
  std::ptrdiff_t stride = 0;
};

/// Whether the matrix can be read or written where it is; `view` then says how.
bool in_place(DType dtype, std::size_t rows, std::size_t columns, std::ptrdiff_t row_stride,
              std::ptrdiff_t column_stride, BlasView& view) {
  if (dtype != DType::fp32) return false;
  const auto r = static_cast<std::ptrdiff_t>(rows);
  const auto c = static_cast<std::ptrdiff_t>(columns);
  view.by_columns = column_stride != 1;
  view.stride = view.by_columns ? column_stride : row_stride;
  if (view.by_columns && row_stride != 1) return false;
  return view.stride >= (view.by_columns ? r : c) && view.stride <= std::numeric_limits<int>::max();
}

bool in_place(const MatrixView& matrix, std::size_t rows, std::size_t columns) {
  BlasView view;
  return in_place(matrix.dtype, rows, columns, matrix.row_stride, matrix.column_stride, view);
}

bool in_place(const MatrixTarget& target, std::size_t rows, std::size_t columns) {
  BlasView view;
  return in_place(target.dtype, rows, columns, target.row_stride, target.column_stride, view);
}

// Measured with OpenBLAS 0.3.21, AVX-512 and one thread (bench_product): our own products of halves
// take 0.82 to 0.96 of the time of sgemm alone, to which copies as fp32 would come, at 768 x 256 x
// 768 to 2048 x 2048 x 512 and 12 x (256 x 256 x 64). Those of floats, fused, take 0.94 to 1.05 of
// it, so that there the library decides, which knows machines that we do not. A single row times
// packed constants (1 x 2048 x 768) takes us 0.2 of it.
bool suits(const BlasLibrary& blas, DType dtype) {
  return blas.sgemm != nullptr && (dtype == DType::fp32 || blas.has_matrix_unit);
}

/// A product by the library. C is cut into blocks of rows; where it has more columns than rows, C
/// transposed is computed. B is made fp32 as a whole, A and C block by block, unless they already
/// are as the library wants them.
class BlasRun {
 public:
  BlasRun(const Product& product, int threads);
  std::size_t workspace_bytes() const {
    return (b_elements_ + scratch_elements() * threads_) * sizeof(float);
  }
  void run(BlasSgemm sgemm, ThreadPool& pool, float* workspace) const;

 private:
  std::size_t scratch_elements() const { return a_elements_ + c_elements_; }
  BlasView view_of(const MatrixView& matrix, std::size_t columns, std::ptrdiff_t offset,
                   const float* copy) const;
  void copy_b(std::ptrdiff_t offset, ThreadPool& pool, float* to) const;
  void multiply_block(BlasSgemm sgemm, std::size_t index, std::size_t first, const float* b_copy,
                      float* scratch) const;
  void set_to_bias(std::size_t index, std::size_t first, std::size_t rows, float* c,
                   std::ptrdiff_t row_stride, std::ptrdiff_t column_stride) const;
  void store(const float* from, std::size_t rows, std::ptrdiff_t at) const;

  const ProductKernels& kernels_;
  std::span<const BatchDim> batch_;
  std::size_t threads_;
  std::size_t rows_;
  std::size_t columns_;
  std::size_t inner_;
  MatrixView a_;
  MatrixView b_;
  MatrixTarget c_;
  ProductBias bias_;
  BatchStride a_stride_ = &BatchDim::a_stride;
  BatchStride b_stride_ = &BatchDim::b_stride;
  std::size_t block_rows_;
  // In the workspace; 0 where the matrix is used where it is.
  std::size_t a_elements_;
  std::size_t b_elements_;
  std::size_t c_elements_;
};

MatrixView transposed(MatrixView matrix) {
  std::swap(matrix.row_stride, matrix.column_stride);
  return matrix;
}

BlasRun::BlasRun(const Product& product, int threads)
    : kernels_(product_kernels()),
      batch_(product.batch),
      threads_(static_cast<std::size_t>(threads)),
      rows_(product.rows),
      columns_(product.columns),
      inner_(product.inner),
      a_(product.a),
      b_(product.b),
      c_(product.c),
      bias_(product.bias) {
  if (columns_ > rows_) {
    std::swap(rows_, columns_);
    a_ = transposed(product.b);
    b_ = transposed(product.a);
    std::swap(c_.row_stride, c_.column_stride);
    std::swap(a_stride_, b_stride_);
    bias_.per_row = !bias_.per_row;
  }
  const std::size_t wanted = rows_ / (kBlocksPerThread * threads_) + 1;
  block_rows_ = threads_ == 1 ? rows_ : std::max(wanted, kLeastRows);
  block_rows_ = std::min({block_rows_, kMostRows, rows_});
  a_elements_ = in_place(a_, rows_, inner_) ? 0 : block_rows_ * inner_;
  b_elements_ = in_place(b_, inner_, columns_) ? 0 : inner_ * columns_;
  c_elements_ = in_place(c_, rows_, columns_) ? 0 : block_rows_ * columns_;
}

void BlasRun::run(BlasSgemm sgemm, ThreadPool& pool, float* workspace) const {
  const std::size_t blocks = (rows_ - 1) / block_rows_ + 1;
  const std::size_t batch = batch_count(batch_);
  // A copy of B is that of one product, so that the others wait for it.
  const std::size_t together = b_elements_ == 0 ? batch : 1;
  for (std::size_t first = 0; first < batch; first += together) {
    if (b_elements_ != 0) copy_b(batch_offset(batch_, first, b_stride_), pool, workspace);
    const auto work = [&](std::size_t begin, std::size_t end, std::size_t slot) {
      float* scratch = workspace + b_elements_ + scratch_elements() * slot;
      for (std::size_t i = begin; i < end; ++i) {
        multiply_block(sgemm, first + i / blocks, i % blocks * block_rows_, workspace, scratch);
      }
    };
    pool.run(together * blocks, 1, work);
  }
}

void BlasRun::copy_b(std::ptrdiff_t offset, ThreadPool& pool, float* to) const {
  pool.run(inner_, 16, [&](std::size_t begin, std::size_t end) {
    const std::ptrdiff_t at = offset + static_cast<std::ptrdiff_t>(begin) * b_.row_stride;
    kernels_.pack(lines_of(b_, false, at), columns_, end - begin, columns_, to + begin * columns_);
  });
}

/// The matrix at `offset`, or the row-major copy of it.
BlasView BlasRun::view_of(const MatrixView& matrix, std::size_t columns, std::ptrdiff_t offset,
                          const float* copy) const {
  if (copy != nullptr) return {copy, false, static_cast<std::ptrdiff_t>(columns)};
  const auto* data = static_cast<const float*>(matrix.data) + offset;
  const bool by_columns = matrix.column_stride != 1;
  return {data, by_columns, by_columns ? matrix.column_stride : matrix.row_stride};
}

void BlasRun::multiply_block(BlasSgemm sgemm, std::size_t index, std::size_t first,
                             const float* b_copy, float* scratch) const {
  const std::size_t rows = std::min(block_rows_, rows_ - first);
  const auto row = static_cast<std::ptrdiff_t>(first);
  const std::ptrdiff_t a_at = batch_offset(batch_, index, a_stride_) + row * a_.row_stride;
  const std::ptrdiff_t b_at = batch_offset(batch_, index, b_stride_);
  const std::ptrdiff_t c_at =
      batch_offset(batch_, index, &BatchDim::c_stride) + row * c_.row_stride;

  if (a_elements_ != 0) {
    // With the terms as lines, the panel is the row-major matrix.
    kernels_.pack(lines_of(a_, false, a_at), inner_, rows, inner_, scratch);
  }
  const BlasView a = view_of(a_, inner_, a_at, a_elements_ != 0 ? scratch : nullptr);
  const BlasView b = view_of(b_, columns_, b_at, b_elements_ != 0 ? b_copy : nullptr);

  const bool copies_c = c_elements_ != 0;
  float* c = copies_c ? scratch + a_elements_ : static_cast<float*>(c_.data) + c_at;
  const bool by_columns = !copies_c && c_.column_stride != 1;
  const auto wide = static_cast<std::ptrdiff_t>(columns_);
  const std::ptrdiff_t row_stride = copies_c ? wide : c_.row_stride;
  const std::ptrdiff_t column_stride = copies_c ? 1 : c_.column_stride;
  if (bias_.data != nullptr) set_to_bias(index, first, rows, c, row_stride, column_stride);

  const auto transpose = [&](const BlasView& view) {
    return view.by_columns == by_columns ? kNotTransposed : kTransposed;
  };
  sgemm(by_columns ? kColumnMajor : kRowMajor, transpose(a), transpose(b), static_cast<int>(rows),
        static_cast<int>(columns_), static_cast<int>(inner_), 1.0f, a.data,
        static_cast<int>(a.stride), b.data, static_cast<int>(b.stride),
        bias_.data != nullptr ? 1.0f : 0.0f, c,
        static_cast<int>(by_columns ? column_stride : row_stride));
  if (copies_c) store(c, rows, c_at);
}

/// The library adds to what is there.
void BlasRun::set_to_bias(std::size_t index, std::size_t first, std::size_t rows, float* c,
                          std::ptrdiff_t row_stride, std::ptrdiff_t column_stride) const {
  const std::ptrdiff_t offset = batch_offset(batch_, index, &BatchDim::bias_stride);
  for (std::size_t i = 0; i < rows; ++i) {
    float* row = c + static_cast<std::ptrdiff_t>(i) * row_stride;
    for (std::size_t j = 0; j < columns_; ++j) {
      copy_bias(bias_, offset, bias_.per_row ? first + i : j, 1,
                row + static_cast<std::ptrdiff_t>(j) * column_stride);
    }
  }
}

/// Rounds row-major floats into C, from its element `at` on.
void BlasRun::store(const float* from, std::size_t rows, std::ptrdiff_t at) const {
  const bool half = c_.dtype == DType::fp16;
  const std::size_t width = kernels_.tile_columns;
  // A row of this buffer is what finish() takes a tile of one row to be.
  alignas(AlignedBuffer::kAlignmentBytes) float sums[kLargestTileColumns] = {};
  for (std::size_t i = 0; i < rows; ++i, from += columns_) {
    const std::ptrdiff_t row = at + static_cast<std::ptrdiff_t>(i) * c_.row_stride;
    for (std::size_t j = 0; j < columns_; j += width) {
      const std::size_t count = std::min(width, columns_ - j);
      std::copy_n(from + j, count, sums);
      const std::ptrdiff_t to = row + static_cast<std::ptrdiff_t>(j) * c_.column_stride;
      kernels_.finish(
          sums, 1, count,
          {element_at(c_.data, half, to), half, c_.row_stride, c_.column_stride, nullptr, nullptr});
    }
  }
}

}  // namespace

bool blas_wants(const BlasLibrary& blas, const PackRequest& request) {
  return suits(blas, request.matrix.dtype) && (request.other == 0 || request.other >= kLeastLines);
}

bool blas_wants(const BlasLibrary& blas, const Product& product) {
  constexpr std::size_t kMostInt = std::numeric_limits<int>::max();
  if (!suits(blas, product.a.dtype) || !suits(blas, product.b.dtype)) return false;
  if (std::min(product.rows, product.columns) < kLeastLines) return false;
  const bool fits =
      product.rows <= kMostInt && product.columns <= kMostInt && product.inner <= kMostInt;
  const double multiplications = static_cast<double>(product.rows) *
                                 static_cast<double>(product.columns) *
                                 static_cast<double>(product.inner);
  if (!fits || multiplications < kLeastMultiplications) return false;
  return blas.has_matrix_unit || (in_place(product.a, product.rows, product.inner) &&
                                  in_place(product.b, product.inner, product.columns) &&
                                  in_place(product.c, product.rows, product.columns));
}

std::size_t blas_workspace_bytes(const Product& product, int threads) {
  return BlasRun(product, threads).workspace_bytes();
}

void blas_multiply(const Product& product, const BlasLibrary& blas, ThreadPool& pool,
                   std::byte* workspace) {
  if (product.rows == 0 || product.columns == 0) return;
  BlasRun(product, pool.threads()).run(blas.sgemm, pool, reinterpret_cast<float*>(workspace));
}

}  // namespace milgen::detail
