// Kernels that read and write at indices. Indices are checked, all of them, before anything is read
// or written: they count from 0, or without validate_indices, negative ones from the end of the
// dim.
#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "cpu/float_span.h"
#include "cpu/integer_ops.h"
#include "cpu/kernel_util.h"
#include "cpu/kernels_scatter_gather.h"
#include "cpu/strided_copy.h"

namespace milgen::cpu {
namespace {

// --- Indices. ---

/// What the entries of an index vector are for: entry i of `depth` goes along dim first_dim + i of
/// `data`, where an element is `strides[i]` from the next one.
struct IndexUse {
  std::string_view data;
  std::size_t first_dim = 0;
  Ints strides;

  std::int64_t depth() const { return static_cast<std::int64_t>(strides.size()); }
};

/// "[1, 0, 2]": where element `at` stands.
std::string position_text(const Shape& shape, std::int64_t at) {
  Ints position = shape;
  for (std::size_t d = shape.size(); d-- > 0; at /= shape[d]) position[d] = at % shape[d];
  return to_string(position);
}

bool bad_index(OpRun& run, const IndexUse& use, std::int64_t at, std::int64_t index) {
  const TensorView& indices = run.in("indices");
  const std::size_t dim = use.first_dim + static_cast<std::size_t>(at % use.depth());
  return run.fail(
      rule<"run.index">,
      fmt::format("indices holds {} at {}, but dim {} of {} has {} elements", index,
                  position_text(indices.shape, at), dim, use.data, run.in(use.data).dim(dim)));
}

template <class T>
bool resolve(OpRun& run, const IndexUse& use, const T* indices, std::int64_t vectors,
             std::int64_t* offsets) {
  const bool from_end = !run.boolean("validate_indices");
  const std::int64_t depth = use.depth();
  const Shape& shape = run.in(use.data).shape;
  for (std::int64_t i = 0; i < vectors; ++i) {
    std::int64_t offset = 0;
    for (std::int64_t entry = 0; entry < depth; ++entry) {
      const std::int64_t dim = shape[use.first_dim + static_cast<std::size_t>(entry)];
      const std::int64_t given = indices[i * depth + entry];
      const std::int64_t index = given < 0 && from_end ? given + dim : given;
      if (index < 0 || index >= dim) return bad_index(run, use, i * depth + entry, given);
      offset += index * use.strides[static_cast<std::size_t>(entry)];
    }
    offsets[i] = offset;
  }
  return true;
}

/// Memory of a run: where the index vectors lead to, and as much as was asked for behind that.
struct Work {
  std::int64_t* offsets = nullptr;
  std::byte* rest = nullptr;
};

/// Resolves `vectors` index vectors. False when there is no memory or an index is wrong.
bool resolve_indices(OpRun& run, const IndexUse& use, std::int64_t vectors, std::uint64_t more,
                     Work& work) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(vectors) * sizeof(std::int64_t);
  std::byte* memory = run.scratch(bytes + more);
  if (memory == nullptr) return false;
  work = {reinterpret_cast<std::int64_t*>(memory), memory + bytes};
  const TensorView& indices = run.in("indices");
  return with_element_type(indices.dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::integral<T>) {
      return resolve(run, use, indices.as<T>(), vectors, work.offsets);
    } else {
      return false;
    }
  });
}

std::int64_t product(const Shape& shape, std::size_t first, std::size_t end) {
  std::int64_t out = 1;
  for (std::size_t d = first; d < end; ++d) out *= shape[d];
  return out;
}

// --- Reading. ---

/// Rows of `length` elements: row i of the result is at sources(i).
template <class Sources>
void gather_rows(OpRun& run, std::int64_t rows, std::int64_t length, const Sources& sources) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  with_element_size(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.as<T>();
    T* to = out.as_mutable<T>();
    parallel_for(run, rows, kElementGrain / static_cast<std::size_t>(length) + 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     std::copy_n(from + sources(i), length, to + i * length);
                   }
                 });
  });
}

// --- Writing. ---

struct Add {
  static float apply(float a, float b) { return a + b; }
  static std::int32_t apply(std::int32_t a, std::int32_t b) { return add_integers(a, b); }
};
struct Subtract {
  static float apply(float a, float b) { return a - b; }
  static std::int32_t apply(std::int32_t a, std::int32_t b) { return subtract_integers(a, b); }
};
struct Multiply {
  static float apply(float a, float b) { return a * b; }
  static std::int32_t apply(std::int32_t a, std::int32_t b) { return multiply_integers(a, b); }
};
struct Divide {
  static float apply(float a, float b) { return a / b; }
  static std::int32_t apply(std::int32_t a, std::int32_t b) { return divide_integers(a, b); }
};
/// Not a number where either is not.
struct Maximum {
  template <class T>
  static T apply(T a, T b) {
    return a > b || a != a ? a : b;
  }
};
struct Minimum {
  template <class T>
  static T apply(T a, T b) {
    return a < b || a != a ? a : b;
  }
};
struct Update {
  template <class T>
  static T apply(T, T b) {
    return b;
  }
};

/// Calls f with one of the types above; "add" is what is left.
template <class F>
void with_mode(std::string_view mode, const F& f) {
  if (mode == "sub") return f(Subtract{});
  if (mode == "mul") return f(Multiply{});
  if (mode == "div") return f(Divide{});
  if (mode == "max") return f(Maximum{});
  if (mode == "min") return f(Minimum{});
  f(Add{});
}

/// One quiet NaN for all: which one an operation gives differs between machines.
float plain(float value) {
  return value == value ? value : std::numeric_limits<float>::quiet_NaN();
}
template <std::integral T>
T plain(T value) {
  return value;
}

/// Where updates go. The data is [outer, size, inner] and the updates are [outer, rows, inner]: row
/// r goes to offset offsets[r] of its outer entry, or each element to one of its own.
struct Scatter {
  std::int64_t outer = 1;
  std::int64_t rows = 0;
  std::int64_t inner = 1;
  std::int64_t outer_stride = 0;  ///< elements of the data from one outer entry to the next
  const std::int64_t* offsets = nullptr;
  bool by_element =
      false;  ///< offsets is [outer, rows, inner], and counts rows of `inner` elements
};

/// Works the updates in, those of one element in the order of their rows. Threads share the columns
/// of the data, which no two updates of different columns meet in.
template <class Mode, class T>
void scatter_into(OpRun& run, const Scatter& at, const T* updates, T* data) {
  const auto columns = [&](std::int64_t outer, std::int64_t first, std::int64_t end) {
    T* to = data + outer * at.outer_stride;
    for (std::int64_t row = 0; row < at.rows; ++row) {
      const std::int64_t from = (outer * at.rows + row) * at.inner;
      for (std::int64_t i = first; i < end; ++i) {
        const std::int64_t offset =
            at.by_element ? at.offsets[from + i] * at.inner : at.offsets[row];
        to[offset + i] = plain(Mode::apply(to[offset + i], updates[from + i]));
      }
    }
  };
  parallel_for(run, at.outer * at.inner, kElementGrain / static_cast<std::size_t>(at.rows) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 while (begin < end) {
                   const std::int64_t first = begin % at.inner;
                   const std::int64_t count = std::min(at.inner - first, end - begin);
                   columns(begin / at.inner, first, first + count);
                   begin += count;
                 }
               });
}

bool need_divisors(OpRun& run, const TensorView& updates) {
  const auto* value = updates.as<std::int32_t>();
  const std::int64_t at = std::find(value, value + updates.count, 0) - value;
  if (at == updates.count) return true;
  return run.fail(rule<"run.division">,
                  fmt::format("updates holds 0 at {}, by which int32 is divided",
                              position_text(updates.shape, at)));
}

bool copy_data(OpRun& run) {
  const TensorView& data = run.in("data");
  if (run.out().data == data.data) return true;
  copy_bytes(run.pool(), data.data, run.out().data,
             static_cast<std::size_t>(data.count) * element_bytes(data.dtype));
  return true;
}

/// Whether values are worked in as fp32 and rounded when the last one is in.
bool widens(OpRun& run) { return run.out().dtype == DType::fp16 && run.text("mode") != "update"; }

/// Bytes that scatter() takes at `memory`.
std::uint64_t scatter_bytes(OpRun& run) {
  const TensorView& updates = run.in("updates");
  if (widens(run)) {
    return static_cast<std::uint64_t>(run.out().count + updates.count) * sizeof(float);
  }
  // The result may be where the updates are.
  if (updates.data != run.out().data) return 0;
  return static_cast<std::uint64_t>(updates.count) * element_bytes(updates.dtype);
}

void scatter_halves(OpRun& run, const Scatter& at, std::byte* memory) {
  const TensorView& data = run.in("data");
  const TensorView& updates = run.in("updates");
  auto* sums = reinterpret_cast<float*>(memory);
  float* values = sums + data.count;
  floats_of(data, 0, data.count, sums);
  floats_of(updates, 0, updates.count, values);
  with_mode(run.text("mode"), [&](auto mode) {
    scatter_into<decltype(mode)>(run, at, static_cast<const float*>(values), sums);
  });
  store_floats(run.out(), 0, data.count, sums);
}

/// data with the updates worked in, as the argument `mode` says.
bool scatter(OpRun& run, const Scatter& at, std::byte* memory) {
  const TensorView& out = run.out();
  const std::string_view mode = run.text("mode");
  TensorView updates = run.in("updates");
  if (is_integer(out.dtype) && mode == "div" && !need_divisors(run, updates)) return false;
  if (widens(run)) {
    scatter_halves(run, at, memory);
    return true;
  }
  if (updates.data == out.data) {
    copy_bytes(run.pool(), updates.data, memory, scatter_bytes(run));
    updates.data = memory;
  }
  copy_data(run);
  if (mode == "update") {
    with_element_size(out.dtype, [&](auto zero) {
      using T = decltype(zero);
      scatter_into<Update>(run, at, updates.as<T>(), out.as_mutable<T>());
    });
    return true;
  }
  with_mode(mode, [&](auto combine) {
    if (is_integer(out.dtype)) {
      scatter_into<decltype(combine)>(run, at, updates.as<std::int32_t>(),
                                      out.as_mutable<std::int32_t>());
    } else {
      scatter_into<decltype(combine)>(run, at, updates.as<float>(), out.as_mutable<float>());
    }
  });
  return true;
}

bool scatter_at(OpRun& run, const IndexUse& use, std::int64_t vectors, Scatter at) {
  Work work;
  if (!resolve_indices(run, use, vectors, scatter_bytes(run), work)) return false;
  at.offsets = work.offsets;
  return scatter(run, at, work.rest);
}

}  // namespace

bool run_gather(OpRun& run) {
  if (run.out().count == 0) return true;
  const TensorView& x = run.in("x");
  const TensorView& indices = run.in("indices");
  const std::size_t axis = axis_from_front(run.integer("axis"), x.rank());
  const auto batch_dims = static_cast<std::size_t>(run.integer("batch_dims"));
  Work work;
  const IndexUse use{.data = "x", .first_dim = axis, .strides = Ints{1}};
  if (!resolve_indices(run, use, indices.count, 0, work)) return false;
  const std::int64_t* at = work.offsets;
  // x is [batch, outer, size, inner], indices [batch, each], the result [batch, outer, each,
  // inner].
  const AxisView view = around_axis(x.shape, axis);
  const std::int64_t outer = product(x.shape, batch_dims, axis);
  const std::int64_t each = product(indices.shape, batch_dims, indices.rank());
  gather_rows(run, view.outer * each, view.inner, [&](std::int64_t row) {
    const std::int64_t entry = row / each;
    return (entry * view.size + at[entry / outer * each + row % each]) * view.inner;
  });
  return true;
}

bool run_gather_along_axis(OpRun& run) {
  if (run.out().count == 0) return true;
  const TensorView& x = run.in("x");
  const TensorView& indices = run.in("indices");
  const std::size_t axis = axis_from_front(run.integer("axis"), x.rank());
  Work work;
  const IndexUse use{.data = "x", .first_dim = axis, .strides = Ints{1}};
  if (!resolve_indices(run, use, indices.count, 0, work)) return false;
  const std::int64_t* at = work.offsets;
  const AxisView view = around_axis(x.shape, axis);
  const std::int64_t slab = indices.dim(axis) * view.inner;
  gather_rows(run, indices.count, 1, [&](std::int64_t i) {
    return (i / slab * view.size + at[i]) * view.inner + i % view.inner;
  });
  return true;
}

bool run_gather_nd(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& indices = run.in("indices");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const auto batch_dims = static_cast<std::size_t>(run.integer("batch_dims"));
  const auto depth = static_cast<std::size_t>(indices.dim(indices.rank() - 1));
  const Ints strides = x.count == 0 ? Ints(x.rank(), 0) : dense_strides(x.shape);
  const std::int64_t vectors = product(indices.shape, 0, indices.rank() - 1);
  const IndexUse use{
      .data = "x",
      .first_dim = batch_dims,
      .strides = Ints(std::span<const std::int64_t>(strides.data() + batch_dims, depth))};
  Work work;
  if (!resolve_indices(run, use, vectors, 0, work)) return false;
  const std::int64_t each = product(indices.shape, batch_dims, indices.rank() - 1);
  const std::int64_t batch_stride = product(x.shape, batch_dims, x.rank());
  gather_rows(run, vectors, out.count / vectors,
              [&](std::int64_t row) { return row / each * batch_stride + work.offsets[row]; });
  return true;
}

bool run_scatter(OpRun& run) {
  if (run.in("updates").count == 0) return copy_data(run);
  const TensorView& data = run.in("data");
  const std::int64_t rows = run.in("indices").count;
  const std::size_t axis = axis_from_front(run.integer("axis"), data.rank());
  const AxisView view = around_axis(data.shape, axis);
  return scatter_at(run, {.data = "data", .first_dim = axis, .strides = Ints{view.inner}}, rows,
                    {.outer = view.outer,
                     .rows = rows,
                     .inner = view.inner,
                     .outer_stride = view.size * view.inner});
}

bool run_scatter_along_axis(OpRun& run) {
  if (run.in("updates").count == 0) return copy_data(run);
  const TensorView& data = run.in("data");
  const TensorView& indices = run.in("indices");
  const std::size_t axis = axis_from_front(run.integer("axis"), data.rank());
  const AxisView view = around_axis(data.shape, axis);
  return scatter_at(run, {.data = "data", .first_dim = axis, .strides = Ints{1}}, indices.count,
                    {.outer = view.outer,
                     .rows = indices.dim(axis),
                     .inner = view.inner,
                     .outer_stride = view.size * view.inner,
                     .by_element = true});
}

bool run_scatter_nd(OpRun& run) {
  if (run.in("updates").count == 0) return copy_data(run);
  const TensorView& data = run.in("data");
  const TensorView& indices = run.in("indices");
  const auto depth = static_cast<std::size_t>(indices.dim(indices.rank() - 1));
  const Ints strides = data.count == 0 ? Ints(data.rank(), 0) : dense_strides(data.shape);
  const std::int64_t vectors = product(indices.shape, 0, indices.rank() - 1);
  const IndexUse use{.data = "data",
                     .strides = Ints(std::span<const std::int64_t>(strides.data(), depth))};
  return scatter_at(run, use, vectors,
                    {.rows = vectors, .inner = product(data.shape, depth, data.rank())});
}

}  // namespace milgen::cpu
