#include "cpu/rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "cpu/pointwise.h"
#include "cpu/rows_run.h"
#include "support/half.h"

namespace milgen::cpu {
namespace {

/// Elements of work that are worth waking a thread for.
constexpr std::int64_t kGrain = 16384;
/// Fewer columns than this are not worked on side by side.
constexpr std::int64_t kMinColumns = 16;

std::int64_t divided_up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

template <class Work>
void share(detail::ThreadPool& pool, std::int64_t items, std::int64_t item_elements,
           const Work& work) {
  const std::int64_t grain =
      std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, item_elements));
  pool.run(static_cast<std::size_t>(items), static_cast<std::size_t>(grain),
           [&](std::size_t first, std::size_t last) {
             work(static_cast<std::int64_t>(first), static_cast<std::int64_t>(last));
           });
}

void run_as_columns(const RowsRun& run, detail::ThreadPool& pool) {
  // Narrow enough that every thread has something.
  std::int64_t width = kMaxColumns;
  const auto blocks = [&] { return run.shape.outer * divided_up(run.shape.inner, width); };
  while (width > 4 * kMinColumns && blocks() < pool.threads()) width /= 2;
  share(pool, blocks(), width * run.length,
        [&](std::int64_t first, std::int64_t last) { run_columns(run, width, first, last); });
}

void run_as_rows(const RowsRun& run, detail::ThreadPool& pool) {
  share(pool, divided_up(run.rows, kRowGroup), kRowGroup * run.length,
        [&](std::int64_t first, std::int64_t last) { run_row_groups(run, first, last); });
}

void run_over(RowsRun& run, const RowShape& shape, detail::ThreadPool& pool) {
  run.length = shape.axis;
  run.shape = shape;
  if (shape.inner >= kMinColumns) return run_as_columns(run, pool);
  run.rows = shape.rows();
  run.axis_dims.add(shape.axis, shape.inner);
  run.row_dims.add(shape.inner, 1);
  run.row_dims.add(shape.outer, shape.axis * shape.inner);
  run_as_rows(run, pool);
}

bool adjacent(std::span<const std::int64_t> axes) {
  return axes.empty() || axes.back() - axes.front() + 1 == static_cast<std::int64_t>(axes.size());
}

void run_over(RowsRun& run, std::span<const std::int64_t> shape, std::span<const std::int64_t> axes,
              detail::ThreadPool& pool) {
  if (axes.empty()) return run_over(run, row_shape(shape, shape.size(), shape.size() - 1), pool);
  if (adjacent(axes)) {
    const RowShape rows = row_shape(shape, static_cast<std::size_t>(axes.front()),
                                    static_cast<std::size_t>(axes.back()));
    return run_over(run, rows, pool);
  }
  std::int64_t stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    const bool reduced = std::binary_search(axes.begin(), axes.end(), static_cast<std::int64_t>(i));
    (reduced ? run.axis_dims : run.row_dims).add(shape[i], stride);
    (reduced ? run.length : run.rows) *= shape[i];
    stride *= shape[i];
  }
  run_as_rows(run, pool);
}

RowsRun row_run(RowOp op, DType dtype, const void* x, void* out, NumericMode mode) {
  return {.op = op, .dtype = dtype, .x = x, .out = out, .fast = mode == NumericMode::fast};
}

RowsRun norm_run(DType dtype, const void* x, void* out, const NormVector& gamma,
                 const NormVector& beta, float epsilon, NumericMode mode) {
  RowsRun run = row_run(RowOp::layer_norm, dtype, x, out, mode);
  run.gamma = gamma;
  run.beta = beta;
  run.epsilon = epsilon;
  return run;
}

float value_of(float x) { return x; }
float value_of(std::uint16_t x) { return float_from_half(x); }

/// The first of the greatest or smallest, a NaN being more than either.
template <class T>
std::int32_t arg_of(bool greatest, const T* x, std::int64_t length, std::int64_t stride) {
  std::int64_t best_at = 0;
  float best = length == 0 ? 0 : value_of(x[0]);
  for (std::int64_t i = 1; i < length && !std::isnan(best); ++i) {
    const float value = value_of(x[i * stride]);
    const bool better = greatest ? value > best : value < best;
    if (!better && !std::isnan(value)) continue;
    best = value;
    best_at = i;
  }
  return static_cast<std::int32_t>(best_at);
}

template <class T>
void arg_reduce(bool greatest, const T* x, std::int32_t* out, const RowShape& rows,
                detail::ThreadPool& pool) {
  share(pool, rows.rows(), rows.axis, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const T* begin = x + row / rows.inner * rows.axis * rows.inner + row % rows.inner;
      out[row] = arg_of(greatest, begin, rows.axis, rows.inner);
    }
  });
}

}  // namespace

RowShape row_shape(std::span<const std::int64_t> shape, std::size_t first, std::size_t last) {
  RowShape rows;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    std::int64_t& part = i < first ? rows.outer : i <= last ? rows.axis : rows.inner;
    part *= shape[i];
  }
  return rows;
}

void reduce_rows(Reduction reduction, DType dtype, const void* x, void* out, const RowShape& rows,
                 NumericMode mode, detail::ThreadPool& pool) {
  RowsRun run = row_run(RowOp::reduce, dtype, x, out, mode);
  run.reduction = reduction;
  run_over(run, rows, pool);
}

void reduce_axes(Reduction reduction, DType dtype, const void* x, void* out,
                 std::span<const std::int64_t> shape, std::span<const std::int64_t> axes,
                 NumericMode mode, detail::ThreadPool& pool) {
  RowsRun run = row_run(RowOp::reduce, dtype, x, out, mode);
  run.reduction = reduction;
  run_over(run, shape, axes, pool);
}

void arg_reduce_rows(bool greatest, DType dtype, const void* x, std::int32_t* out,
                     const RowShape& rows, detail::ThreadPool& pool) {
  if (dtype == DType::fp16) {
    return arg_reduce(greatest, static_cast<const std::uint16_t*>(x), out, rows, pool);
  }
  arg_reduce(greatest, static_cast<const float*>(x), out, rows, pool);
}

void softmax_rows(DType dtype, const void* x, void* out, const RowShape& rows, NumericMode mode,
                  detail::ThreadPool& pool) {
  RowsRun run = row_run(RowOp::softmax, dtype, x, out, mode);
  run_over(run, rows, pool);
}

void layer_norm_rows(DType dtype, const void* x, void* out, const RowShape& rows,
                     const NormVector& gamma, const NormVector& beta, float epsilon,
                     NumericMode mode, detail::ThreadPool& pool) {
  RowsRun run = norm_run(dtype, x, out, gamma, beta, epsilon, mode);
  run_over(run, rows, pool);
}

void layer_norm_axes(DType dtype, const void* x, void* out, std::span<const std::int64_t> shape,
                     std::span<const std::int64_t> axes, const NormVector& gamma,
                     const NormVector& beta, float epsilon, NumericMode mode,
                     detail::ThreadPool& pool) {
  RowsRun run = norm_run(dtype, x, out, gamma, beta, epsilon, mode);
  run_over(run, shape, axes, pool);
}

void instance_norm(DType dtype, const void* x, void* out, std::int64_t batch, std::int64_t channels,
                   std::int64_t spatial, const NormVector& gamma, const NormVector& beta,
                   float epsilon, NumericMode mode, detail::ThreadPool& pool) {
  RowsRun run = norm_run(dtype, x, out, gamma, beta, epsilon, mode);
  run.channels = channels;
  run_over(run, {.outer = batch * channels, .axis = spatial, .inner = 1}, pool);
}

void l2_norm_rows(DType dtype, const void* x, void* out, const RowShape& rows, float epsilon,
                  NumericMode mode, detail::ThreadPool& pool) {
  RowsRun run = row_run(RowOp::l2_norm, dtype, x, out, mode);
  run.epsilon = epsilon;
  run_over(run, rows, pool);
}

void batch_norm(DType dtype, const void* x, void* out, std::int64_t batch, std::int64_t channels,
                std::int64_t spatial, const NormVector& mean, const NormVector& variance,
                const NormVector& gamma, const NormVector& beta, float epsilon,
                detail::ThreadPool& pool) {
  constexpr Rounding kNone = Rounding::fp32;
  const std::array<std::int64_t, 3> shape = {batch, channels, spatial};
  Tape tape;
  const Ints channel_strides = {0, 1, 0};
  std::array<TapeInput, 5> inputs;
  std::size_t count = 0;
  inputs[count++] = {x, Ints{channels * spatial, spatial, 1}};
  const TapeRegister value = tape.input(dtype);
  const auto per_channel = [&](const NormVector& vector) {
    inputs[count].data = vector.data;
    inputs[count++].strides = channel_strides;
    return tape.input(vector.dtype);
  };
  TapeRegister y = tape.apply(PointOp::sub, kNone, value, per_channel(mean));
  const TapeRegister shifted =
      tape.apply(PointOp::add, kNone, per_channel(variance), tape.constant(epsilon));
  y = tape.apply(PointOp::real_div, kNone, y, tape.apply(PointOp::sqrt, kNone, shifted));
  if (gamma.data != nullptr) y = tape.apply(PointOp::mul, kNone, y, per_channel(gamma));
  if (beta.data != nullptr) y = tape.apply(PointOp::add, kNone, y, per_channel(beta));
  tape.output(y, dtype);
  tape.finish();
  run_tape(tape, std::span(inputs).first(count), std::array<void*, 1>{out}, shape, pool);
}

}  // namespace milgen::cpu
