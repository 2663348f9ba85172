// Kernels that make, join, split and repeat tensors.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

#include "cpu/float_span.h"
#include "cpu/integer_ops.h"
#include "cpu/kernel_util.h"
#include "cpu/kernels_tensor_operation.h"
#include "cpu/strided_copy.h"

namespace milgen::cpu {
namespace {

/// The element of type T that `value` is in `dtype`.
template <class T>
T element_of(DType dtype, double value) {
  T element{};
  set_real(
      {.dtype = dtype, .shape = {}, .data = reinterpret_cast<std::byte*>(&element), .count = 1}, 0,
      value);
  return element;
}

// --- Joining and splitting. ---

/// One of the tensors that are the parts of another along an axis: from `first` on, `runs`
/// stretches of `length` elements, which lie `stride` elements apart.
struct Part {
  std::int64_t first = 0;
  std::int64_t runs = 0;
  std::int64_t length = 0;
  std::int64_t stride = 0;
};

std::byte* begin_of(const TensorView& whole, const Part& part) {
  return whole.data + part.first * static_cast<std::int64_t>(element_bytes(whole.dtype));
}

void put_part(OpRun& run, const TensorView& value, const TensorView& whole, const Part& part) {
  copy_strided(run.pool(), whole.dtype, Shape{part.runs, part.length},
               {value.data, Ints{part.length, 1}}, {begin_of(whole, part), Ints{part.stride, 1}});
}

void take_part(OpRun& run, const TensorView& whole, const TensorView& value, const Part& part) {
  copy_strided(run.pool(), whole.dtype, Shape{part.runs, part.length},
               {begin_of(whole, part), Ints{part.stride, 1}}, {value.data, Ints{part.length, 1}});
}

/// The slices of the values along the axis in turn: of each value the first, then the second ...
void interleave(OpRun& run, const AxisView& view) {
  const int count = run.count("values");
  for (int i = 0; i < count; ++i) {
    const std::int64_t runs = view.outer * view.size / count;
    put_part(run, run.in("values", i), run.out(),
             {.first = i * view.inner,
              .runs = runs,
              .length = view.inner,
              .stride = view.inner * count});
  }
}

// --- Padding. ---

enum class PadMode : std::uint8_t { constant, reflect, replicate };

/// A dim of x and its padded counterpart.
struct PaddedDim {
  std::int64_t size = 1;    ///< of x
  std::int64_t stride = 0;  ///< of x
  std::int64_t before = 0;
  std::int64_t padded = 1;

  /// The offset in x of what index `i` of the result shows; -1 for the constant.
  std::int64_t source(PadMode mode, std::int64_t i) const {
    i -= before;
    if (i < 0) {
      if (mode == PadMode::constant) return -1;
      i = mode == PadMode::reflect ? -i : 0;
    } else if (i >= size) {
      if (mode == PadMode::constant) return -1;
      i = mode == PadMode::reflect ? 2 * (size - 1) - i : size - 1;
    }
    return i * stride;
  }
};

/// The dims of x up to the last one that is padded; the elements behind that move as one.
struct Padding {
  PadMode mode = PadMode::constant;
  std::vector<PaddedDim> dims;
  std::int64_t unit = 1;
};

Padding read_padding(OpRun& run) {
  const TensorView& x = run.in("x");
  const Ints sides = run.integers("pad");
  const std::string_view mode = run.text("mode");
  Padding pad{.mode = mode == "reflect"     ? PadMode::reflect
                      : mode == "replicate" ? PadMode::replicate
                                            : PadMode::constant,
              .dims = {}};
  const Ints strides = x.count == 0 ? Ints(x.rank(), 0) : dense_strides(x.shape);
  const std::size_t unpadded = x.rank() - sides.size() / 2;
  for (std::size_t d = 0; d < x.rank(); ++d) {
    pad.dims.push_back({.size = x.dim(d),
                        .stride = strides[d],
                        .before = d < unpadded ? 0 : sides[2 * (d - unpadded)],
                        .padded = run.out().dim(d)});
  }
  while (!pad.dims.empty() && pad.dims.back().size == pad.dims.back().padded) {
    pad.unit *= pad.dims.back().size;
    pad.dims.pop_back();
  }
  return pad;
}

/// Elements [first, end) of the last padded dim, outside of x's own.
template <class T>
void pad_edge(const Padding& pad, const T* from, T constant, std::int64_t first, std::int64_t end,
              T* to) {
  for (std::int64_t i = first; i < end; ++i) {
    const std::int64_t offset = pad.dims.back().source(pad.mode, i);
    if (offset < 0) {
      std::fill_n(to + i * pad.unit, pad.unit, constant);
    } else {
      std::copy_n(from + offset, pad.unit, to + i * pad.unit);
    }
  }
}

/// Row `row` of the result, along the last padded dim.
template <class T>
void pad_row(const Padding& pad, const T* from, T constant, std::int64_t row, T* to) {
  const PaddedDim& last = pad.dims.back();
  to += row * last.padded * pad.unit;
  for (std::size_t d = pad.dims.size() - 1; d-- > 0; row /= pad.dims[d].padded) {
    const std::int64_t offset = pad.dims[d].source(pad.mode, row % pad.dims[d].padded);
    if (offset < 0) {
      std::fill_n(to, last.padded * pad.unit, constant);
      return;
    }
    from += offset;
  }
  pad_edge(pad, from, constant, 0, last.before, to);
  std::copy_n(from, last.size * pad.unit, to + last.before * pad.unit);
  pad_edge(pad, from, constant, last.before + last.size, last.padded, to);
}

// --- Running sums. ---

/// Elements that are converted to fp32 at a time.
constexpr std::int64_t kSumBlock = 256;

const std::int32_t* values_of(const TensorView& tensor, std::int64_t begin, std::int64_t,
                              std::int32_t*) {
  return tensor.as<std::int32_t>() + begin;
}
const float* values_of(const TensorView& tensor, std::int64_t begin, std::int64_t count,
                       float* buffer) {
  return floats_of(tensor, begin, count, buffer);
}
std::int32_t* values_for(const TensorView& tensor, std::int64_t begin, std::int32_t*) {
  return tensor.as_mutable<std::int32_t>() + begin;
}
float* values_for(const TensorView& tensor, std::int64_t begin, float* buffer) {
  return floats_for(tensor, begin, buffer);
}
void store_values(const TensorView&, std::int64_t, std::int64_t, std::int32_t*) {}
void store_values(const TensorView& tensor, std::int64_t begin, std::int64_t count, float* values) {
  store_floats(tensor, begin, count, values);
}

std::int32_t add(std::int32_t a, std::int32_t b) { return add_integers(a, b); }
float add(float a, float b) { return a + b; }

/// The sums of `columns` neighbouring lanes along the axis, in blocks of whole steps: all lanes of
/// some steps lie in a row, or there is one step to a block.
template <class T>
void sum_lanes(OpRun& run, const AxisView& view, std::int64_t first, std::int64_t columns) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  const bool exclusive = run.boolean("exclusive");
  const bool reverse = run.boolean("reverse");
  const std::int64_t steps = columns == view.inner ? kSumBlock / columns : 1;
  std::array<T, kSumBlock> sums{};
  std::array<T, kSumBlock> from_buffer;
  std::array<T, kSumBlock> to_buffer;
  for (std::int64_t done = 0; done < view.size; done += steps) {
    const std::int64_t count = std::min(steps, view.size - done);
    const std::int64_t low = reverse ? view.size - done - count : done;
    const std::int64_t begin = first + low * view.inner;
    const T* from = values_of(x, begin, count * columns, from_buffer.data());
    T* to = values_for(out, begin, to_buffer.data());
    for (std::int64_t step = 0; step < count; ++step) {
      const std::int64_t at = (reverse ? count - 1 - step : step) * columns;
      for (std::int64_t c = 0; c < columns; ++c) {
        T& sum = sums[static_cast<std::size_t>(c)];
        const T next = add(sum, from[at + c]);
        to[at + c] = exclusive ? sum : next;
        sum = next;
      }
    }
    store_values(out, begin, count * columns, to);
  }
}

template <class T>
void sum_along(OpRun& run, const AxisView& view) {
  const std::int64_t columns = std::min(view.inner, kSumBlock);
  const std::int64_t strips = (view.inner - 1) / columns + 1;
  const auto work = static_cast<std::size_t>(view.size * columns);
  parallel_for(run, view.outer * strips, kElementGrain / work + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t column = i % strips * columns;
                   sum_lanes<T>(run, view, i / strips * view.size * view.inner + column,
                                std::min(columns, view.inner - column));
                 }
               });
}

/// Reports dims that the int32 of a result does not hold.
bool need_countable(OpRun& run, const TensorView& x) {
  for (std::size_t d = 0; d < x.rank(); ++d) {
    if (x.dim(d) <= std::numeric_limits<std::int32_t>::max()) continue;
    return run.fail(
        rule<"run.shape">,
        fmt::format("dim {} of x has {} elements, more than an int32 counts", d, x.dim(d)));
  }
  return true;
}

}  // namespace

bool run_concat(OpRun& run) {
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const std::size_t axis = axis_from_front(run.integer("axis"), out.rank());
  const AxisView view = around_axis(out.shape, axis);
  if (run.boolean("interleave")) {
    interleave(run, view);
    return true;
  }
  std::int64_t first = 0;
  for (int i = 0; i < run.count("values"); ++i) {
    const TensorView& value = run.in("values", i);
    const std::int64_t length = value.count / view.outer;
    put_part(
        run, value, out,
        {.first = first, .runs = view.outer, .length = length, .stride = view.size * view.inner});
    first += length;
  }
  return true;
}

bool run_stack(OpRun& run) {
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const AxisView view = around_axis(out.shape, axis_from_front(run.integer("axis"), out.rank()));
  for (int i = 0; i < run.count("values"); ++i) {
    put_part(run, run.in("values", i), out,
             {.first = i * view.inner,
              .runs = view.outer,
              .length = view.inner,
              .stride = view.size * view.inner});
  }
  return true;
}

bool run_split(OpRun& run) {
  const TensorView& x = run.in("x");
  if (x.count == 0) return true;
  const AxisView view = around_axis(x.shape, axis_from_front(run.integer("axis"), x.rank()));
  std::int64_t first = 0;
  for (int i = 0; i < run.results(); ++i) {
    const std::int64_t length = run.out(i).count / view.outer;
    take_part(
        run, x, run.out(i),
        {.first = first, .runs = view.outer, .length = length, .stride = view.size * view.inner});
    first += length;
  }
  return true;
}

bool run_tile(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const Ints x_strides = dense_strides(x.shape);
  const Ints out_strides = dense_strides(out.shape);
  Shape shape;
  Ints from;
  Ints to;
  for (std::size_t d = 0; d < x.rank(); ++d) {
    shape.push_back(out.dim(d) / x.dim(d));
    from.push_back(0);
    to.push_back(x.dim(d) * out_strides[d]);
    shape.push_back(x.dim(d));
    from.push_back(x_strides[d]);
    to.push_back(out_strides[d]);
  }
  copy_strided(run.pool(), x.dtype, shape, {x.data, from}, {out.data, to});
  return true;
}

bool run_pad(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const Padding pad = read_padding(run);
  if (x.count == 0 && pad.mode != PadMode::constant) {
    return run.fail(
        rule<"run.shape">,
        fmt::format("x has shape {}, which has no elements to pad with", to_string(x.shape)));
  }
  if (pad.dims.empty()) return run_same_elements(run);
  const std::int64_t row_elements = pad.dims.back().padded * pad.unit;
  with_element_size(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T constant = element_of<T>(x.dtype, run.real("constant_val"));
    parallel_for(run, out.count / row_elements,
                 kElementGrain / static_cast<std::size_t>(row_elements) + 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t row = begin; row < end; ++row) {
                     pad_row(pad, x.as<T>(), constant, row, out.as_mutable<T>());
                   }
                 });
  });
  return true;
}

bool run_fill(OpRun& run) {
  fill_tensor(run.pool(), run.out(), run.real("value"));
  return true;
}

bool run_one_hot(OpRun& run) {
  const TensorView& indices = run.in("indices");
  const TensorView& out = run.out();
  fill_tensor(run.pool(), out, run.real("off_value"));
  if (out.count == 0) return true;
  const AxisView view = around_axis(out.shape, axis_from_front(run.integer("axis"), out.rank()));
  with_element_size(out.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T on = element_of<T>(out.dtype, run.real("on_value"));
    T* to = out.as_mutable<T>();
    const auto* index = indices.as<std::int32_t>();
    // An index outside of the vector leaves it off throughout.
    for (std::int64_t i = 0; i < indices.count; ++i) {
      if (index[i] < 0 || index[i] >= view.size) continue;
      to[(i / view.inner * view.size + index[i]) * view.inner + i % view.inner] = on;
    }
  });
  return true;
}

bool run_band_part(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const std::int64_t rows = x.dim(x.rank() - 2);
  const std::int64_t columns = x.dim(x.rank() - 1);
  const std::int64_t lower = run.integer("lower");
  const std::int64_t upper = run.integer("upper");
  const std::size_t size = element_bytes(x.dtype);
  const auto bytes = [&](std::int64_t count) { return static_cast<std::size_t>(count) * size; };
  parallel_for(
      run, x.count / columns, kElementGrain / bytes(columns) + 1,
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t row = i % rows;
          const std::int64_t high = upper < 0 ? columns : std::min(columns, row + upper + 1);
          const std::int64_t low = lower < 0 ? 0 : std::clamp<std::int64_t>(row - lower, 0, high);
          std::byte* to = out.data + bytes(i * columns);
          std::memset(to, 0, bytes(low));
          // The result may be where x is.
          std::memmove(to + bytes(low), x.data + bytes(i * columns + low), bytes(high - low));
          std::memset(to + bytes(high), 0, bytes(columns - high));
        }
      });
  return true;
}

bool run_cumsum(OpRun& run) {
  const TensorView& x = run.in("x");
  if (x.count == 0) return true;
  const AxisView view = around_axis(x.shape, axis_from_front(run.integer("axis"), x.rank()));
  if (is_integer(x.dtype)) {
    sum_along<std::int32_t>(run, view);
  } else {
    sum_along<float>(run, view);
  }
  return true;
}

bool run_shape(OpRun& run) {
  const TensorView& x = run.in("x");
  if (!need_countable(run, x)) return false;
  for (std::size_t d = 0; d < x.rank(); ++d) {
    set_integer(run.out(), static_cast<std::int64_t>(d), x.dim(d));
  }
  return true;
}

bool run_range_1d(OpRun& run) {
  const TensorView& out = run.out();
  if (is_integer(out.dtype)) {
    const std::int64_t start = run.integer("start");
    const std::int64_t step = run.integer("step");
    for (std::int64_t i = 0; i < out.count; ++i) set_integer(out, i, start + i * step);
    return true;
  }
  const double start = run.real("start");
  const double step = run.real("step");
  for (std::int64_t i = 0; i < out.count; ++i) {
    set_real(out, i, std::fma(static_cast<double>(i), step, start));
  }
  return true;
}

bool run_non_zero(OpRun& run) {
  const TensorView& x = run.in("x");
  if (!need_countable(run, x)) return false;
  return with_element_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* element = x.as<T>();
    const auto is_set = [&](std::int64_t i) {
      return number(element[i]) != decltype(number(zero)){};
    };
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < x.count; ++i) count += is_set(i) ? 1 : 0;
    const auto rank = static_cast<std::int64_t>(x.rank());
    const TensorView* out = run.make_out(0, Shape{count, rank});
    if (out == nullptr) return false;
    auto* to = out->as_mutable<std::int32_t>();
    for (std::int64_t i = 0; i < x.count; ++i) {
      if (!is_set(i)) continue;
      std::int64_t rest = i;
      for (std::size_t d = x.rank(); d-- > 0; rest /= x.dim(d)) {
        to[d] = static_cast<std::int32_t>(rest % x.dim(d));
      }
      to += rank;
    }
    return true;
  });
}

}  // namespace milgen::cpu
