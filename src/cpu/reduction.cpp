// Reductions: those of floats are row operations (rows.h), those of int32 are done here, in 64 bits
// or fp64; a result is cut off towards zero and wraps.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/kernel_util.h"
#include "cpu/kernels_reduction.h"
#include "cpu/real_math.h"
#include "cpu/rows.h"

namespace milgen::cpu {
namespace {

/// The axes that an op reduces: from the front, sorted, each once; all of x's when none are given.
Ints reduced_axes(const OpRun& run) {
  const std::size_t rank = run.in("x").rank();
  Ints axes;
  if (!run.has("axes")) {
    for (std::size_t i = 0; i < rank; ++i) axes.push_back(static_cast<std::int64_t>(i));
    return axes;
  }
  for (const std::int64_t axis : run.integers("axes")) {
    axes.push_back(static_cast<std::int64_t>(axis_from_front(axis, rank)));
  }
  std::sort(axes.begin(), axes.end());
  return axes;
}

/// Calls fold(accumulator, element) for every element of an int32 tensor in row-major order, with
/// the accumulator of the result's element that it goes into.
template <class A, class Fold>
void fold_integers(const TensorView& x, const Ints& axes, A* accumulators, const Fold& fold) {
  const std::size_t rank = x.rank();
  // How far the result moves along each dim of x; 0 along the reduced ones.
  Ints steps(rank, 0);
  std::int64_t step = 1;
  for (std::size_t i = rank; i-- > 0;) {
    if (std::binary_search(axes.begin(), axes.end(), static_cast<std::int64_t>(i))) continue;
    steps[i] = step;
    step *= x.dim(i);
  }
  Ints index(rank, 0);
  const auto* elements = x.as<std::int32_t>();
  const std::int64_t inner = rank == 0 ? 1 : x.shape.back();
  const std::int64_t inner_step = rank == 0 ? 0 : steps.back();
  std::int64_t at = 0;
  for (std::int64_t first = 0; first < x.count; first += inner) {
    for (std::int64_t k = 0; k < inner; ++k) {
      fold(accumulators[at + k * inner_step], elements[first + k]);
    }
    for (std::size_t i = rank < 2 ? 0 : rank - 1; i-- > 0;) {
      at += steps[i];
      if (++index[i] < x.dim(i)) break;
      at -= steps[i] * index[i];
      index[i] = 0;
    }
  }
}

/// Folds into 64-bit accumulators that begin with `start`, and stores finish(accumulator).
template <class Fold, class Finish>
bool reduce_integers(OpRun& run, const Ints& axes, std::int64_t start, const Fold& fold,
                     const Finish& finish) {
  const TensorView& out = run.out();
  auto* accumulators = run.scratch_of<std::int64_t>(out.count);
  if (accumulators == nullptr) return false;
  std::fill_n(accumulators, out.count, start);
  fold_integers(run.in("x"), axes, accumulators, fold);
  for (std::int64_t i = 0; i < out.count; ++i) finish(out, i, accumulators[i]);
  return true;
}

void store_low_bits(const TensorView& out, std::int64_t i, std::int64_t value) {
  set_integer(out, i, value);
}

/// a + b, wrapping.
std::int64_t wrapped_sum(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

void add(std::int64_t& sum, std::int32_t x) { sum = wrapped_sum(sum, x); }
void add_square(std::int64_t& sum, std::int32_t x) { sum = wrapped_sum(sum, std::int64_t{x} * x); }

/// log of the sum of exp(x), about the greatest element as for floats.
bool reduce_integers_log_sum_exp(OpRun& run, const Ints& axes) {
  struct Sum {
    double max;
    double sum;
  };
  const TensorView& out = run.out();
  auto* sums = run.scratch_of<Sum>(out.count);
  if (sums == nullptr) return false;
  std::fill_n(sums, out.count, Sum{-std::numeric_limits<double>::infinity(), 0});
  fold_integers(run.in("x"), axes, sums, [](Sum& sum, std::int32_t x) {
    sum.max = std::max(sum.max, static_cast<double>(x));
  });
  fold_integers(run.in("x"), axes, sums, [](Sum& sum, std::int32_t x) {
    sum.sum += real_exp(static_cast<double>(x) - sum.max);
  });
  for (std::int64_t i = 0; i < out.count; ++i) {
    set_real(out, i, sums[i].max + real_log(sums[i].sum));
  }
  return true;
}

bool reduce_integers_of(OpRun& run, Reduction reduction, const Ints& axes) {
  using Limits = std::numeric_limits<std::int32_t>;
  const auto log_of = [](const TensorView& out, std::int64_t i, std::int64_t sum) {
    set_real(out, i, real_log(static_cast<double>(sum)));
  };
  const auto root_of = [](const TensorView& out, std::int64_t i, std::int64_t sum) {
    set_real(out, i, std::sqrt(static_cast<double>(sum)));
  };
  switch (reduction) {
    case Reduction::sum:
      return reduce_integers(run, axes, 0, add, store_low_bits);
    case Reduction::mean: {
      const std::int64_t count = run.in("x").count / std::max<std::int64_t>(1, run.out().count);
      return reduce_integers(run, axes, 0, add,
                             [count](const TensorView& out, std::int64_t i, std::int64_t sum) {
                               set_integer(out, i, count == 0 ? 0 : sum / count);
                             });
    }
    case Reduction::max:
      return reduce_integers(
          run, axes, Limits::min(),
          [](std::int64_t& max, std::int32_t x) { max = std::max<std::int64_t>(max, x); },
          store_low_bits);
    case Reduction::min:
      return reduce_integers(
          run, axes, Limits::max(),
          [](std::int64_t& min, std::int32_t x) { min = std::min<std::int64_t>(min, x); },
          store_low_bits);
    case Reduction::prod:
      return reduce_integers(
          run, axes, 1,
          [](std::int64_t& product, std::int32_t x) {
            product = static_cast<std::int64_t>(static_cast<std::uint64_t>(product) *
                                                static_cast<std::uint64_t>(x));
          },
          store_low_bits);
    case Reduction::l1_norm:
      return reduce_integers(
          run, axes, 0,
          [](std::int64_t& sum, std::int32_t x) {
            sum = wrapped_sum(sum, x < 0 ? -std::int64_t{x} : x);
          },
          store_low_bits);
    case Reduction::l2_norm:
      return reduce_integers(run, axes, 0, add_square, root_of);
    case Reduction::sum_square:
      return reduce_integers(run, axes, 0, add_square, store_low_bits);
    case Reduction::log_sum:
      return reduce_integers(run, axes, 0, add, log_of);
    case Reduction::log_sum_exp:
      break;
  }
  return reduce_integers_log_sum_exp(run, axes);
}

bool reduce(OpRun& run, Reduction reduction) {
  const TensorView& x = run.in("x");
  if (run.out().count == 0) return true;
  const Ints axes = reduced_axes(run);
  if (!is_float(x.dtype)) return reduce_integers_of(run, reduction, axes);
  reduce_axes(reduction, x.dtype, x.data, run.out().data, x.shape, axes, run.mode(), run.pool());
  return true;
}

/// The first greatest or smallest element of each row of integers.
void arg_reduce_integers(bool greatest, const TensorView& x, const AxisView& view,
                         std::int32_t* out) {
  const auto* elements = x.as<std::int32_t>();
  for (std::int64_t row = 0; row < view.outer * view.inner; ++row) {
    const std::int32_t* from =
        elements + row / view.inner * view.size * view.inner + row % view.inner;
    std::int64_t best = 0;
    for (std::int64_t i = 1; i < view.size; ++i) {
      const std::int32_t one = from[i * view.inner];
      const std::int32_t other = from[best * view.inner];
      if (greatest ? one > other : one < other) best = i;
    }
    out[row] = static_cast<std::int32_t>(best);
  }
}

bool arg_reduce(OpRun& run, bool greatest) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const AxisView view = x.rank() == 0
                            ? AxisView{}
                            : around_axis(x.shape, axis_from_front(run.integer("axis"), x.rank()));
  const bool narrow = out.dtype != DType::int32;
  auto* indices = narrow ? run.scratch_of<std::int32_t>(out.count) : out.as_mutable<std::int32_t>();
  if (indices == nullptr) return false;
  if (is_float(x.dtype)) {
    arg_reduce_rows(greatest, x.dtype, x.data, indices,
                    {.outer = view.outer, .axis = view.size, .inner = view.inner}, run.pool());
  } else {
    arg_reduce_integers(greatest, x, view, indices);
  }
  for (std::int64_t i = 0; narrow && i < out.count; ++i) set_integer(out, i, indices[i]);
  return true;
}

}  // namespace

bool run_reduce_argmax(OpRun& run) { return arg_reduce(run, true); }
bool run_reduce_argmin(OpRun& run) { return arg_reduce(run, false); }
bool run_reduce_l1_norm(OpRun& run) { return reduce(run, Reduction::l1_norm); }
bool run_reduce_l2_norm(OpRun& run) { return reduce(run, Reduction::l2_norm); }
bool run_reduce_log_sum(OpRun& run) { return reduce(run, Reduction::log_sum); }
bool run_reduce_log_sum_exp(OpRun& run) { return reduce(run, Reduction::log_sum_exp); }
bool run_reduce_max(OpRun& run) { return reduce(run, Reduction::max); }
bool run_reduce_mean(OpRun& run) { return reduce(run, Reduction::mean); }
bool run_reduce_min(OpRun& run) { return reduce(run, Reduction::min); }
bool run_reduce_prod(OpRun& run) { return reduce(run, Reduction::prod); }
bool run_reduce_sum(OpRun& run) { return reduce(run, Reduction::sum); }
bool run_reduce_sum_square(OpRun& run) { return reduce(run, Reduction::sum_square); }

}  // namespace milgen::cpu
