#include "cpu/linear.h"

#include <algorithm>
#include <cstring>

#include "cpu/float_span.h"
#include "cpu/kernel_util.h"
#include "cpu/kernels_linear.h"

namespace milgen::cpu {

using detail::BatchDim;
using detail::PackRequest;
using detail::ProductSide;

namespace {

std::size_t size(std::int64_t dim) { return static_cast<std::size_t>(dim); }

/// How far a dense operand moves along its dim `i`; 0 where it is broadcast.
std::int64_t stride_of(const Shape& shape, std::size_t i) {
  if (shape[i] == 1) return 0;
  std::int64_t stride = 1;
  for (std::size_t k = i + 1; k < shape.size(); ++k) stride *= shape[k];
  return stride;
}

/// Whether `outer` steps over whole runs of `inner`, so that both are one dim.
bool continues(const BatchDim& outer, const BatchDim& inner) {
  const auto count = static_cast<std::ptrdiff_t>(inner.count);
  return outer.a_stride == inner.a_stride * count && outer.b_stride == inner.b_stride * count &&
         outer.c_stride == inner.c_stride * count;
}

/// Adds a batch dim behind the others, merged with the one before it where that is possible.
void add_batch(OpProduct& product, const BatchDim& dim) {
  if (dim.count == 1) return;
  if (!product.batch.empty() && continues(product.batch.back(), dim)) {
    BatchDim& outer = product.batch.back();
    const std::size_t count = outer.count * dim.count;
    outer = dim;
    outer.count = count;
    return;
  }
  product.batch.push_back(dim);
}

/// One B for many A whose rows follow each other makes a single product with more rows.
void merge_batch_into_rows(OpProduct& product) {
  if (product.batch.empty()) return;
  const BatchDim& dim = product.batch.back();
  detail::Product& p = product.product;
  const auto rows = static_cast<std::ptrdiff_t>(p.rows);
  if (dim.b_stride != 0 || dim.a_stride != rows * p.a.row_stride ||
      dim.c_stride != rows * p.c.row_stride) {
    return;
  }
  p.rows *= dim.count;
  product.batch.pop_back();
}

/// The strides of a matrix in the last two dims of a shape; a vector is a row or a column.
void set_matrix(detail::MatrixView& view, const Shape& shape, bool transposed, bool is_left) {
  if (shape.size() == 1) {
    view.row_stride = is_left ? 0 : 1;
    view.column_stride = is_left ? 1 : 0;
    return;
  }
  view.row_stride = shape.back();
  view.column_stride = 1;
  if (transposed) std::swap(view.row_stride, view.column_stride);
}

/// A product of integers, wrapping. T is the type of all elements.
template <class T>
void multiply_integers(const OpProduct& product, const T* a, const T* b, const T* bias, T* c) {
  const detail::Product& p = product.product;
  std::int64_t count = 1;
  for (const BatchDim& dim : product.batch) count *= static_cast<std::int64_t>(dim.count);
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = i;
    const T* a_one = a;
    const T* b_one = b;
    T* c_one = c;
    for (std::size_t d = product.batch.size(); d-- > 0;) {
      const BatchDim& dim = product.batch[d];
      const std::int64_t at = rest % static_cast<std::int64_t>(dim.count);
      rest /= static_cast<std::int64_t>(dim.count);
      a_one += at * dim.a_stride;
      b_one += at * dim.b_stride;
      c_one += at * dim.c_stride;
    }
    for (std::ptrdiff_t row = 0; row < static_cast<std::ptrdiff_t>(p.rows); ++row) {
      for (std::ptrdiff_t column = 0; column < static_cast<std::ptrdiff_t>(p.columns); ++column) {
        std::uint64_t sum = bias == nullptr ? 0 : static_cast<std::uint64_t>(number(bias[column]));
        for (std::ptrdiff_t k = 0; k < static_cast<std::ptrdiff_t>(p.inner); ++k) {
          sum += static_cast<std::uint64_t>(
                     number(a_one[row * p.a.row_stride + k * p.a.column_stride])) *
                 static_cast<std::uint64_t>(
                     number(b_one[k * p.b.row_stride + column * p.b.column_stride]));
        }
        T& result = c_one[row * p.c.row_stride + column * p.c.column_stride];
        if constexpr (std::is_same_v<T, Bool>) {
          result = {static_cast<std::uint8_t>(sum != 0)};
        } else {
          result = static_cast<T>(sum);
        }
      }
    }
  }
}

/// A product whose operands and result are all of one integer dtype.
bool run_integers(const OpProduct& product, const TensorView& a, const TensorView& b,
                  const TensorView* bias, const TensorView& out) {
  with_element_type(out.dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T> || std::is_same_v<T, Bool>) {
      multiply_integers(product, a.as<T>(), b.as<T>(), bias == nullptr ? nullptr : bias->as<T>(),
                        out.as_mutable<T>());
    }
  });
  return true;
}

/// The tensor with its elements converted to fp32, in `memory` and after it.
TensorView converted(const TensorView& tensor, float*& memory) {
  TensorView out = tensor;
  out.dtype = DType::fp32;
  out.data = reinterpret_cast<std::byte*>(memory);
  floats_of(tensor, 0, tensor.count, memory);
  memory += tensor.count;
  return out;
}

bool is_product_dtype(DType dtype) { return dtype == DType::fp16 || dtype == DType::fp32; }

/// Makes the product that `make(x, y, bias, out)` describes, in integers when all are integers and
/// else in fp32, to which integer operands are converted; an integer result is cut off towards
/// zero.
template <class Make>
bool run_as_product(OpRun& run, TensorView x, TensorView y, const TensorView* given_bias,
                    const Make& make) {
  const TensorView& result = run.out();
  if (result.count == 0) return true;
  TensorView out = result;
  TensorView bias;
  if (given_bias != nullptr) bias = *given_bias;
  const TensorView* bias_pointer = given_bias == nullptr ? nullptr : &bias;
  if (x.dtype == y.dtype && !is_product_dtype(x.dtype) && out.dtype == x.dtype &&
      (given_bias == nullptr || bias.dtype == x.dtype)) {
    return run_integers(make(x, y, bias_pointer, out), x, y, bias_pointer, out);
  }
  std::int64_t floats = 0;
  for (const TensorView* view :
       std::initializer_list<const TensorView*>{&x, &y, bias_pointer, &out}) {
    if (view != nullptr && !is_product_dtype(view->dtype)) floats += view->count;
  }
  if (floats != 0) {
    float* memory = run.scratch_of<float>(floats);
    if (memory == nullptr) return false;
    if (!is_product_dtype(x.dtype)) x = converted(x, memory);
    if (!is_product_dtype(y.dtype)) y = converted(y, memory);
    if (given_bias != nullptr && !is_product_dtype(bias.dtype)) bias = converted(bias, memory);
    if (!is_product_dtype(out.dtype)) {
      out.dtype = DType::fp32;
      out.data = reinterpret_cast<std::byte*>(memory);
    }
  }
  if (!multiply_in(run, make(x, y, bias_pointer, out), x.data, y.data, bias.data, out.data)) {
    return false;
  }
  if (out.data != result.data) store_floats(result, 0, result.count, out.as_mutable<float>());
  return true;
}

}  // namespace

bool is_float_product(DType a, DType b, DType c) {
  return is_product_dtype(a) && is_product_dtype(b) && is_product_dtype(c);
}

void OpProduct::use_packed(ProductSide side, const detail::PackedMatrix& packed) {
  const bool left = side == ProductSide::a;
  // Strides of a packed operand count its matrices, which lie as pack_request() found them.
  PackRequest request;
  pack_request(*this, side, nullptr, request);
  for (BatchDim& dim : batch) {
    std::ptrdiff_t& stride = left ? dim.a_stride : dim.b_stride;
    if (stride != 0) stride /= request.matrix_stride;
  }
  (left ? product.a : product.b).packed = &packed;
}

bool OpProduct::run(const void* a, const void* b, const void* bias, void* c, ThreadPool& pool,
                    detail::ProductWorkspace& workspace) const {
  detail::Product one = product;
  one.a.data = a;
  one.b.data = b;
  one.bias.data = bias;
  one.c.data = c;
  one.batch = batch;
  return detail::multiply(one, pool, workspace);
}

bool pack_request(const OpProduct& product, ProductSide side, const void* data,
                  PackRequest& request) {
  const bool left = side == ProductSide::a;
  const detail::Product& p = product.product;
  request = {};
  request.mode = p.mode;
  request.side = side;
  request.matrix = left ? p.a : p.b;
  request.matrix.data = data;
  request.matrix.packed = nullptr;
  request.rows = left ? p.rows : p.inner;
  request.columns = left ? p.inner : p.columns;
  request.other = left ? p.columns : p.rows;
  request.result_by_columns = p.c.column_stride != 1 && p.c.row_stride == 1;
  for (std::size_t i = product.batch.size(); i-- > 0;) {
    const BatchDim& dim = product.batch[i];
    const std::ptrdiff_t stride = left ? dim.a_stride : dim.b_stride;
    if (stride == 0) continue;
    if (request.matrix_stride == 0) request.matrix_stride = stride;
    if (stride != request.matrix_stride * static_cast<std::ptrdiff_t>(request.count)) return false;
    request.count *= dim.count;
  }
  return true;
}

OpProduct linear_product(NumericMode mode, const TensorView& x, const TensorView& weight,
                         const TensorView* bias, const TensorView& out) {
  OpProduct made;
  detail::Product& p = made.product;
  p.mode = mode;
  p.inner = size(weight.dim(1));
  p.columns = size(weight.dim(0));
  p.rows = 1;
  for (std::size_t i = 0; i + 1 < x.rank(); ++i) p.rows *= size(x.dim(i));
  p.a = {.dtype = x.dtype, .row_stride = weight.dim(1)};
  p.b = {.dtype = weight.dtype, .row_stride = 1, .column_stride = weight.dim(1)};
  p.c = {.dtype = out.dtype, .row_stride = weight.dim(0)};
  if (bias != nullptr) p.bias.dtype = bias->dtype;
  return made;
}

OpProduct matmul_product(NumericMode mode, const TensorView& x, const TensorView& y,
                         bool transpose_x, bool transpose_y, const TensorView& out) {
  OpProduct made;
  detail::Product& p = made.product;
  p.mode = mode;
  p.a.dtype = x.dtype;
  p.b.dtype = y.dtype;
  set_matrix(p.a, x.shape, transpose_x, true);
  set_matrix(p.b, y.shape, transpose_y, false);
  const bool x_is_vector = x.rank() == 1;
  const bool y_is_vector = y.rank() == 1;
  const std::size_t x_lead = x_is_vector ? 0 : x.rank() - 2;
  const std::size_t y_lead = y_is_vector ? 0 : y.rank() - 2;
  p.rows = x_is_vector ? 1 : size(x.dim(x_lead + (transpose_x ? 1 : 0)));
  p.inner = size(x_is_vector ? x.dim(0) : x.dim(x_lead + (transpose_x ? 0 : 1)));
  p.columns = y_is_vector ? 1 : size(y.dim(y_lead + (transpose_y ? 0 : 1)));
  const auto columns = static_cast<std::ptrdiff_t>(p.columns);
  p.c = {.dtype = out.dtype, .row_stride = columns};
  const std::size_t lead = std::max(x_lead, y_lead);
  std::int64_t matrix = static_cast<std::int64_t>(p.rows) * columns;
  std::vector<BatchDim> dims(lead);  // innermost last
  for (std::size_t i = lead; i-- > 0;) {
    BatchDim& dim = dims[i];
    dim.count = size(out.dim(i));
    dim.c_stride = matrix;
    matrix *= out.dim(i);
    if (i + x_lead >= lead) dim.a_stride = stride_of(x.shape, i + x_lead - lead);
    if (i + y_lead >= lead) dim.b_stride = stride_of(y.shape, i + y_lead - lead);
  }
  for (const BatchDim& dim : dims) add_batch(made, dim);
  merge_batch_into_rows(made);
  return made;
}

OpProduct einsum_product(NumericMode mode, const TensorView& x, const TensorView& y,
                         const TensorView& out) {
  OpProduct made;
  detail::Product& p = made.product;
  const std::size_t c = x.rank() - 3;  // x is [n,] c, h, w; y is [n,] w, h, u; out is [n,] c, h, u
  p.mode = mode;
  p.rows = size(x.dim(c));
  p.inner = size(x.dim(c + 2));
  p.columns = size(y.dim(c + 2));
  p.a = {.dtype = x.dtype, .row_stride = x.dim(c + 1) * x.dim(c + 2)};
  p.b = {.dtype = y.dtype, .row_stride = y.dim(c + 1) * y.dim(c + 2)};
  p.c = {.dtype = out.dtype, .row_stride = out.dim(c + 1) * out.dim(c + 2)};
  const auto shared = [&](std::size_t i) {
    add_batch(made, {.count = size(out.dim(i)),
                     .a_stride = stride_of(x.shape, i),
                     .b_stride = stride_of(y.shape, i),
                     .c_stride = stride_of(out.shape, i)});
  };
  if (c == 1) shared(0);
  shared(c + 1);
  return made;
}

bool multiply_in(OpRun& run, const OpProduct& product, const void* a, const void* b,
                 const void* bias, void* c) {
  detail::ProductWorkspace& workspace = run.workspace();
  if (product.run(a, b, bias, c, run.pool(), workspace)) return true;
  return run.fail(rule<"memory.limit">, "there is no memory for the product's packed operands");
}

bool run_linear(OpRun& run) {
  const TensorView* bias = run.has("bias") ? &run.in("bias") : nullptr;
  return run_as_product(
      run, run.in("x"), run.in("weight"), bias,
      [&](const TensorView& x, const TensorView& weight, const TensorView* added,
          const TensorView& out) { return linear_product(run.mode(), x, weight, added, out); });
}

bool run_matmul(OpRun& run) {
  const bool transpose_x = run.boolean("transpose_x");
  const bool transpose_y = run.boolean("transpose_y");
  return run_as_product(
      run, run.in("x"), run.in("y"), nullptr,
      [&](const TensorView& x, const TensorView& y, const TensorView*, const TensorView& out) {
        return matmul_product(run.mode(), x, y, transpose_x, transpose_y, out);
      });
}

bool run_einsum(OpRun& run) {
  return run_as_product(
      run, run.in("values", 0), run.in("values", 1), nullptr,
      [&](const TensorView& x, const TensorView& y, const TensorView*, const TensorView& out) {
        return einsum_product(run.mode(), x, y, out);
      });
}

}  // namespace milgen::cpu
