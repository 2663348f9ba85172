#include "cpu/strided_copy.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace milgen::cpu {

namespace {

/// Bytes that are worth a thread of their own.
constexpr std::size_t kGrainBytes = std::size_t{64} << 10;
/// A cache line: what a strip of tiles takes of a source row.
constexpr std::size_t kLineBytes = 64;
/// Source rows that are gone through before the next strip: their pages stay known to the TLB.
constexpr std::int64_t kBlockRows = 256;

/// A dim of a copy.
struct Dim {
  std::int64_t count = 1;
  std::int64_t from = 0;  ///< elements to the next one in the source
  std::int64_t to = 0;    ///< the same in the target
};

template <class T>
struct Copy {
  const T* from = nullptr;
  T* to = nullptr;
  std::vector<Dim> dims;  ///< outermost first; the last is the one with the least target stride
};

/// Turns dims so that the target is walked upwards, sorts them by the target's memory and makes one
/// of two that both sides walk as one. False when there is nothing to copy.
template <class T>
bool prepare(const Shape& shape, const Ints& from, const Ints& to, Copy<T>& copy) {
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return false;
    if (shape[i] == 1) continue;
    Dim dim{.count = shape[i], .from = from[i], .to = to[i]};
    if (dim.to < 0) {
      copy.from += (dim.count - 1) * dim.from;
      copy.to += (dim.count - 1) * dim.to;
      dim.from = -dim.from;
      dim.to = -dim.to;
    }
    copy.dims.push_back(dim);
  }
  std::stable_sort(copy.dims.begin(), copy.dims.end(),
                   [](const Dim& a, const Dim& b) { return a.to > b.to; });
  std::vector<Dim> merged;
  for (const Dim& dim : copy.dims) {
    const bool one = !merged.empty() && merged.back().from == dim.from * dim.count &&
                     merged.back().to == dim.to * dim.count;
    if (one) {
      merged.back() = {merged.back().count * dim.count, dim.from, dim.to};
    } else {
      merged.push_back(dim);
    }
  }
  if (merged.empty()) merged.push_back({.count = 1, .from = 1, .to = 1});
  copy.dims = std::move(merged);
  return true;
}

/// Where index `at` of the dims [0, count) is in the source and the target, in elements.
struct Offsets {
  std::int64_t from = 0;
  std::int64_t to = 0;
};
Offsets offsets_of(const std::vector<Dim>& dims, std::size_t count, std::int64_t at) {
  Offsets out;
  for (std::size_t i = count; i-- > 0 && at != 0;) {
    const std::int64_t index = at % dims[i].count;
    at /= dims[i].count;
    out.from += index * dims[i].from;
    out.to += index * dims[i].to;
  }
  return out;
}

std::int64_t product(const std::vector<Dim>& dims, std::size_t count) {
  std::int64_t out = 1;
  for (std::size_t i = 0; i < count; ++i) out *= dims[i].count;
  return out;
}

// --- Row by row. ---

template <class T>
void copy_row(const T* from, T* to, std::int64_t count, const Dim& dim) {
  if (dim.to == 1 && dim.from == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
  } else if (dim.to == 1 && dim.from == 0) {
    std::fill_n(to, count, *from);
  } else if (dim.to == 1) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i * dim.from];
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i * dim.to] = from[i * dim.from];
  }
}

/// Rows along the last dim; pieces of work are counted in elements, so that long rows are shared.
template <class T>
void copy_rows(ThreadPool& pool, const Copy<T>& copy) {
  const std::vector<Dim>& dims = copy.dims;
  const Dim& inner = dims.back();
  const Dim rows = dims.size() > 1 ? dims[dims.size() - 2] : Dim{};
  const auto piece = [&](std::size_t begin, std::size_t end) {
    auto at = static_cast<std::int64_t>(begin);
    const auto stop = static_cast<std::int64_t>(end);
    while (at < stop) {
      const std::int64_t column = at % inner.count;
      const std::int64_t row = at / inner.count;
      const Offsets start = offsets_of(dims, dims.size() - 1, row);
      const T* from = copy.from + start.from + column * inner.from;
      T* to = copy.to + start.to + column * inner.to;
      if (column != 0 || stop - at < inner.count) {
        const std::int64_t count = std::min(inner.count - column, stop - at);
        copy_row(from, to, count, inner);
        at += count;
        continue;
      }
      const std::int64_t count = std::min((stop - at) / inner.count, rows.count - row % rows.count);
      for (std::int64_t i = 0; i < count; ++i) {
        copy_row(from + i * rows.from, to + i * rows.to, inner.count, inner);
      }
      at += count * inner.count;
    }
  };
  pool.run(static_cast<std::size_t>(product(dims, dims.size())), kGrainBytes / sizeof(T), piece);
}

// --- In tiles. ---

// Vectors of the two compilers, whose interleaving every machine has as one instruction: the same
// source serves SSE2 and NEON, and there is nothing to round.
template <class T>
struct VectorOf;
template <>
struct VectorOf<std::uint8_t> {
  typedef std::uint8_t Type __attribute__((vector_size(16)));
};
template <>
struct VectorOf<std::uint16_t> {
  typedef std::uint16_t Type __attribute__((vector_size(16)));
};
template <>
struct VectorOf<std::uint32_t> {
  typedef std::uint32_t Type __attribute__((vector_size(16)));
};
template <>
struct VectorOf<std::uint64_t> {
  typedef std::uint64_t Type __attribute__((vector_size(16)));
};

/// The elements from `first` on of two vectors, taken in turn.
template <int first, class V, int... i>
V interleave(V a, V b, std::integer_sequence<int, i...>) {
  constexpr int kLanes = sizeof...(i);
  return __builtin_shufflevector(a, b, (i % 2 * kLanes + first + i / 2)...);
}

/// A square of as many rows as a vector has elements. Interleaving row i with row i + n/2 moves one
/// bit of the row's number into that of the column; after log2(n) rounds they have changed places.
template <class T>
void transpose_tile(const T* from, std::int64_t from_stride, T* to, std::int64_t to_stride) {
  using V = typename VectorOf<T>::Type;
  constexpr int kLanes = 16 / sizeof(T);
  constexpr std::make_integer_sequence<int, kLanes> kEach;
  V rows[kLanes];
  for (int i = 0; i < kLanes; ++i) std::memcpy(&rows[i], from + i * from_stride, sizeof(V));
  for (int n = 1; n < kLanes; n *= 2) {
    V next[kLanes];
    for (int i = 0; i < kLanes / 2; ++i) {
      next[2 * i] = interleave<0>(rows[i], rows[i + kLanes / 2], kEach);
      next[2 * i + 1] = interleave<kLanes / 2>(rows[i], rows[i + kLanes / 2], kEach);
    }
    for (int i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
  for (int i = 0; i < kLanes; ++i) std::memcpy(to + i * to_stride, &rows[i], sizeof(V));
}

/// A square of whole cache lines of both sides. The source's lines are taken together first: where
/// its rows are a power of two apart they would drive each other out of the cache.
template <class T>
void transpose_square(const T* from, std::int64_t from_stride, T* to, std::int64_t to_stride) {
  constexpr std::int64_t kSide = kLineBytes / sizeof(T);
  constexpr std::int64_t kLanes = 16 / sizeof(T);
  T lines[kSide * kSide];
  for (std::int64_t row = 0; row < kSide; ++row) {
    std::memcpy(lines + row * kSide, from + row * from_stride, kLineBytes);
  }
  for (std::int64_t column = 0; column < kSide; column += kLanes) {
    for (std::int64_t row = 0; row < kSide; row += kLanes) {
      transpose_tile(lines + row * kSide + column, kSide, to + column * to_stride + row, to_stride);
    }
  }
}

/// Some elements of each of some source rows as columns of the target.
template <class T>
void transpose_part(const T* from, std::int64_t from_stride, std::int64_t rows, T* to,
                    std::int64_t to_stride, std::int64_t columns) {
  constexpr std::int64_t kLanes = 16 / sizeof(T);
  const std::int64_t tile_rows = rows / kLanes * kLanes;
  const std::int64_t tile_columns = columns / kLanes * kLanes;
  for (std::int64_t column = 0; column < tile_columns; column += kLanes) {
    for (std::int64_t row = 0; row < tile_rows; row += kLanes) {
      transpose_tile(from + row * from_stride + column, from_stride, to + column * to_stride + row,
                     to_stride);
    }
  }
  const auto each = [&](std::int64_t first_row, std::int64_t end_row, std::int64_t first,
                        std::int64_t end) {
    for (std::int64_t column = first; column < end; ++column) {
      for (std::int64_t row = first_row; row < end_row; ++row) {
        to[column * to_stride + row] = from[row * from_stride + column];
      }
    }
  };
  each(0, rows, tile_columns, columns);
  each(tile_rows, rows, 0, tile_columns);
}

/// A strip of a line's width, or less.
template <class T>
void transpose_strip(const T* from, std::int64_t from_stride, std::int64_t rows, T* to,
                     std::int64_t to_stride, std::int64_t columns) {
  constexpr std::int64_t kSide = kLineBytes / sizeof(T);
  std::int64_t row = 0;
  if (columns == kSide) {
    for (; row + kSide <= rows; row += kSide) {
      transpose_square(from + row * from_stride, from_stride, to + row, to_stride);
    }
  }
  transpose_part(from + row * from_stride, from_stride, rows - row, to + row, to_stride, columns);
}

/// The target runs along the last dim and the source along `across`. A piece of work is some source
/// rows of a strip; neighbouring strips of the same rows follow each other.
template <class T>
void copy_tiles(ThreadPool& pool, const Copy<T>& copy, std::size_t across) {
  constexpr std::int64_t kStrip = kLineBytes / sizeof(T);
  const Dim rows = copy.dims.back();
  const Dim columns = copy.dims[across];
  std::vector<Dim> outer = copy.dims;
  outer.pop_back();
  outer.erase(outer.begin() + static_cast<std::ptrdiff_t>(across));
  const std::int64_t strips = (columns.count - 1) / kStrip + 1;
  const std::int64_t blocks = (rows.count - 1) / kBlockRows + 1;
  const auto piece = [&](std::size_t begin, std::size_t end) {
    for (auto at = static_cast<std::int64_t>(begin); at < static_cast<std::int64_t>(end); ++at) {
      const Offsets start = offsets_of(outer, outer.size(), at / strips / blocks);
      const std::int64_t row = at / strips % blocks * kBlockRows;
      const std::int64_t column = at % strips * kStrip;
      transpose_strip(copy.from + start.from + row * rows.from + column, rows.from,
                      std::min(kBlockRows, rows.count - row),
                      copy.to + start.to + column * columns.to + row, columns.to,
                      std::min(kStrip, columns.count - column));
    }
  };
  const std::int64_t piece_elements =
      std::min(kStrip, columns.count) * std::min(kBlockRows, rows.count);
  pool.run(static_cast<std::size_t>(product(outer, outer.size()) * strips * blocks),
           kGrainBytes / sizeof(T) / static_cast<std::size_t>(piece_elements) + 1, piece);
}

/// The dim other than the last along which the source runs; the number of dims when there is none.
std::size_t source_run(const std::vector<Dim>& dims) {
  std::size_t i = 0;
  while (i + 1 < dims.size() && dims[i].from != 1) ++i;
  return i + 1 < dims.size() ? i : dims.size();
}

}  // namespace

Ints dense_strides(const Shape& shape) {
  Ints out(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) out[i - 1] = out[i] * shape[i];
  return out;
}

void copy_strided(ThreadPool& pool, DType dtype, const Shape& shape, const StridedSource& from,
                  const StridedTarget& to) {
  with_element_size(dtype, [&](auto zero) {
    using T = decltype(zero);
    Copy<T> copy{.from = reinterpret_cast<const T*>(from.data),
                 .to = reinterpret_cast<T*>(to.data),
                 .dims = {}};
    if (!prepare(shape, from.strides, to.strides, copy)) return;
    const Dim& inner = copy.dims.back();
    const std::size_t across = source_run(copy.dims);
    if (inner.to == 1 && inner.from != 1 && across != copy.dims.size()) {
      copy_tiles(pool, copy, across);
    } else {
      copy_rows(pool, copy);
    }
  });
}

void copy_bytes(ThreadPool& pool, const std::byte* from, std::byte* to, std::size_t bytes) {
  pool.run(bytes, kGrainBytes, [&](std::size_t begin, std::size_t end) {
    std::memcpy(to + begin, from + begin, end - begin);
  });
}

void fill_tensor(ThreadPool& pool, const TensorView& tensor, double value) {
  if (tensor.count == 0) return;
  set_real(tensor, 0, value);
  with_element_size(tensor.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* to = tensor.as_mutable<T>();
    const T element = to[0];
    pool.run(static_cast<std::size_t>(tensor.count), kGrainBytes / sizeof(T),
             [&](std::size_t begin, std::size_t end) { std::fill(to + begin, to + end, element); });
  });
}

}  // namespace milgen::cpu
