#include "cpu/product_kernels.h"

#include <algorithm>
#include <bit>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/product_kernels.cpp"
#include "cpu/half-inl.h"
#include "cpu/highway.h"

HWY_BEFORE_NAMESPACE();
namespace milgen::detail {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;

// Registers: kTileRows x kTileVectors sums, kTileVectors of B and one of A. 32 of AVX-512 and
// AArch64, 16 otherwise.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr std::size_t kTileRows = 12;
#else
constexpr std::size_t kTileRows = 6;
#endif
constexpr std::size_t kTileVectors = 2;

constexpr std::size_t kTileColumns = kTileVectors * HWY_LANES(float);
static_assert(kTileRows <= kLargestTileRows && kTileColumns <= kLargestTileColumns);

template <bool kFused, std::size_t kRows>
void tile_of(const float* HWY_RESTRICT rows, std::size_t row_width,
             const float* HWY_RESTRICT columns, std::size_t inner, TileSums tile) {
  const Floats d;
  constexpr std::size_t kLanes = HWY_LANES(float);
  using V = hn::Vec<Floats>;
  V sums[kRows][kTileVectors];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kTileVectors; ++v) {
      sums[r][v] =
          tile.first ? hn::Zero(d) : hn::Load(d, tile.sums + r * kTileColumns + v * kLanes);
    }
  }
  for (std::size_t k = 0; k < inner; ++k) {
    V b[kTileVectors];
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kTileVectors; ++v) b[v] = hn::Load(d, columns + v * kLanes);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < kRows; ++r) {
      const V a = hn::Set(d, rows[r]);
#pragma GCC unroll 2
      for (std::size_t v = 0; v < kTileVectors; ++v) {
        if constexpr (kFused) {
          sums[r][v] = hn::MulAdd(a, b[v], sums[r][v]);
        } else {
          sums[r][v] = hn::Add(sums[r][v], hn::Mul(a, b[v]));
        }
      }
    }
    rows += row_width;
    columns += kTileColumns;
  }
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kTileVectors; ++v) {
      hn::Store(sums[r][v], d, tile.sums + r * kTileColumns + v * kLanes);
    }
  }
}

template <bool kFused>
void tile(const float* rows, std::size_t row_width, std::size_t row_count, const float* columns,
          std::size_t inner, TileSums sums) {
  if (row_count > 8 && kTileRows > 8) {
    tile_of<kFused, kTileRows>(rows, row_width, columns, inner, sums);
  } else if (row_count > 6 && kTileRows > 6) {
    tile_of<kFused, 8>(rows, row_width, columns, inner, sums);
  } else if (row_count > 4) {
    tile_of<kFused, 6>(rows, row_width, columns, inner, sums);
  } else if (row_count > 2) {
    tile_of<kFused, 4>(rows, row_width, columns, inner, sums);
  } else if (row_count > 1) {
    tile_of<kFused, 2>(rows, row_width, columns, inner, sums);
  } else {
    tile_of<kFused, 1>(rows, row_width, columns, inner, sums);
  }
}

HWY_INLINE hn::Vec<Floats> load_kept(const float* from) { return hn::Load(Floats(), from); }
HWY_INLINE hn::Vec<Floats> load_kept(const std::uint16_t* from) {
  return load_halves(Floats(), from);
}

template <bool kFused, std::size_t kPanels, class T>
void row_of(const float* HWY_RESTRICT row, const T* HWY_RESTRICT panels, std::size_t stride,
            std::size_t inner, TileSums tile) {
  const Floats d;
  constexpr std::size_t kLanes = HWY_LANES(float);
  constexpr std::size_t kTile = kTileRows * kTileColumns;
  hn::Vec<Floats> sums[kPanels][kTileVectors];
#pragma GCC unroll 4
  for (std::size_t p = 0; p < kPanels; ++p) {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kTileVectors; ++v) {
      sums[p][v] = tile.first ? hn::Zero(d) : hn::Load(d, tile.sums + p * kTile + v * kLanes);
    }
  }
  for (std::size_t k = 0; k < inner; ++k, panels += kTileColumns) {
    const auto a = hn::Set(d, row[k]);
#pragma GCC unroll 4
    for (std::size_t p = 0; p < kPanels; ++p) {
#pragma GCC unroll 2
      for (std::size_t v = 0; v < kTileVectors; ++v) {
        const auto b = load_kept(panels + p * stride + v * kLanes);
        sums[p][v] = kFused ? hn::MulAdd(a, b, sums[p][v]) : hn::Add(sums[p][v], hn::Mul(a, b));
      }
    }
  }
#pragma GCC unroll 4
  for (std::size_t p = 0; p < kPanels; ++p) {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kTileVectors; ++v) {
      hn::Store(sums[p][v], d, tile.sums + p * kTile + v * kLanes);
    }
  }
}

template <bool kFused, class T>
void row_as(const float* row, const KeptPanels& panels, std::size_t inner, TileSums tile) {
  // Several panels at a time, because each sum waits for the one before.
  constexpr std::size_t kTogether = 4;
  const T* at = static_cast<const T*>(panels.first);
  std::size_t p = 0;
  for (; p + kTogether <= panels.count; p += kTogether) {
    row_of<kFused, kTogether>(row, at + p * panels.stride, panels.stride, inner, tile);
    tile.sums += kTogether * kTileRows * kTileColumns;
  }
  for (; p < panels.count; ++p) {
    row_of<kFused, 1>(row, at + p * panels.stride, panels.stride, inner, tile);
    tile.sums += kTileRows * kTileColumns;
  }
}

template <bool kFused>
void row(const float* elements, const KeptPanels& panels, std::size_t inner, TileSums tile) {
  if (panels.half) {
    row_as<kFused, std::uint16_t>(elements, panels, inner, tile);
  } else {
    row_as<kFused, float>(elements, panels, inner, tile);
  }
}

float element(const LineSource& source, std::ptrdiff_t at) {
  if (source.half) return float_from_half(static_cast<const std::uint16_t*>(source.data)[at]);
  return static_cast<const float*>(source.data)[at];
}

/// Lanes(d) elements that lie next to each other.
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const LineSource& source, std::ptrdiff_t at) {
  if (source.half) return load_halves(d, static_cast<const std::uint16_t*>(source.data) + at);
  return hn::LoadU(d, static_cast<const float*>(source.data) + at);
}

/// The elements [from, lines) x [0, inner), one by one.
void pack_elements(const LineSource& source, std::size_t from, std::size_t lines, std::size_t inner,
                   std::size_t width, float* panel) {
  for (std::size_t line = from; line < lines; ++line) {
    std::ptrdiff_t at = static_cast<std::ptrdiff_t>(line) * source.line_stride;
    for (std::size_t k = 0; k < inner; ++k, at += source.inner_stride) {
      panel[k * width + line] = element(source, at);
    }
  }
}

/// As many lines, from the first, as vectors of `d` hold; lines are neighbours in memory.
template <class D>
std::size_t pack_neighbours(D d, const LineSource& source, std::size_t from, std::size_t lines,
                            std::size_t inner, std::size_t width, float* panel) {
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t full = from + (lines - from) / lanes * lanes;
  if (full == from) return from;
  std::ptrdiff_t at = 0;
  for (std::size_t k = 0; k < inner; ++k, at += source.inner_stride) {
    for (std::size_t line = from; line < full; line += lanes) {
      hn::StoreU(load(d, source, at + static_cast<std::ptrdiff_t>(line)), d,
                 panel + k * width + line);
    }
  }
  return full;
}

#if HWY_TARGET != HWY_SCALAR
/// Four lines at a time, whose elements are neighbours in memory, by transposing 4 x 4 of them.
std::size_t pack_transposed(const LineSource& source, std::size_t lines, std::size_t inner,
                            std::size_t width, float* panel) {
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<double, 2> pairs;
  const std::size_t full = lines / 4 * 4;
  const std::size_t inner_full = inner / 4 * 4;
  for (std::size_t line = 0; line < full; line += 4) {
    const std::ptrdiff_t stride = source.line_stride;
    std::ptrdiff_t at = static_cast<std::ptrdiff_t>(line) * stride;
    for (std::size_t k = 0; k < inner_full; k += 4, at += 4) {
      const auto r0 = load(d, source, at);
      const auto r1 = load(d, source, at + stride);
      const auto r2 = load(d, source, at + 2 * stride);
      const auto r3 = load(d, source, at + 3 * stride);
      const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1));
      const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1));
      const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
      const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
      float* to = panel + k * width + line;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, to);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d, to + width);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d, to + 2 * width);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d, to + 3 * width);
    }
    for (std::size_t k = inner_full; k < inner; ++k, ++at) {
      for (std::size_t i = 0; i < 4; ++i) {
        panel[k * width + line + i] = element(source, at + static_cast<std::ptrdiff_t>(i) * stride);
      }
    }
  }
  return full;
}
#endif

void pack(const LineSource& source, std::size_t lines, std::size_t inner, std::size_t width,
          float* panel) {
  if (lines < width) std::fill_n(panel, inner * width, 0.0f);
  std::size_t done = 0;
  if (source.line_stride == 1) {
    done = pack_neighbours(Floats(), source, 0, lines, inner, width, panel);
    done = pack_neighbours(hn::CappedTag<float, 4>(), source, done, lines, inner, width, panel);
#if HWY_TARGET != HWY_SCALAR
  } else if (source.inner_stride == 1) {
    done = pack_transposed(source, lines, inner, width, panel);
#endif
  }
  pack_elements(source, done, lines, inner, width, panel);
}

void widen(const std::uint16_t* halves, std::size_t count, float* floats) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(load_halves(d, halves + i), d, floats + i);
  for (; i < count; ++i) floats[i] = float_from_half(halves[i]);
}

/// A row of a tile with its bias, in the one form of NaN, rounded into `out`.
template <class T>
HWY_INLINE void finish_row(const float* HWY_RESTRICT sums, const TileTarget& target,
                           std::size_t row, T* HWY_RESTRICT out) {
  const Floats d;
  constexpr std::size_t kLanes = HWY_LANES(float);
  for (std::size_t at = 0; at < kTileColumns; at += kLanes) {
    auto value = hn::Load(d, sums + at);
    if (target.row_bias != nullptr) value = hn::Add(value, hn::Set(d, target.row_bias[row]));
    if (target.column_bias != nullptr) {
      value = hn::Add(value, hn::LoadU(d, target.column_bias + at));
    }
    const auto nan = hn::Set(d, std::bit_cast<float>(0x7FC00000u));
    value = hn::IfThenElse(hn::IsNaN(value), nan, value);
    if constexpr (sizeof(T) == 2) {
      store_halves(value, d, out + at);
    } else {
      hn::StoreU(value, d, out + at);
    }
  }
}

template <class T>
void finish_as(const float* sums, std::size_t rows, std::size_t columns, const TileTarget& target) {
  for (std::size_t row = 0; row < rows; ++row, sums += kTileColumns) {
    T* to = static_cast<T*>(target.data) + static_cast<std::ptrdiff_t>(row) * target.row_stride;
    if (target.column_stride == 1 && columns == kTileColumns) {
      finish_row(sums, target, row, to);
      continue;
    }
    T buffer[kTileColumns];
    finish_row(sums, target, row, buffer);
    if (target.column_stride == 1) {
      std::memcpy(to, buffer, columns * sizeof(T));
      continue;
    }
    for (std::size_t i = 0; i < columns; ++i) {
      to[static_cast<std::ptrdiff_t>(i) * target.column_stride] = buffer[i];
    }
  }
}

void finish(const float* sums, std::size_t rows, std::size_t columns, const TileTarget& target) {
  if (target.half) {
    finish_as<std::uint16_t>(sums, rows, columns, target);
  } else {
    finish_as<float>(sums, rows, columns, target);
  }
}

}  // namespace

const ProductKernels* kernels_of_target() {
  static constexpr ProductKernels kKernels = {.tile_rows = kTileRows,
                                              .tile_columns = kTileColumns,
                                              .separate = &tile<false>,
                                              .row_separate = &row<false>,
                                              .fused = &tile<true>,
                                              .row_fused = &row<true>,
                                              .pack = &pack,
                                              .widen = &widen,
                                              .finish = &finish};
  return &kKernels;
}

}  // namespace HWY_NAMESPACE
}  // namespace milgen::detail
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace milgen::detail {

HWY_EXPORT(kernels_of_target);

const ProductKernels& product_kernels() { return *HWY_DYNAMIC_DISPATCH(kernels_of_target)(); }

std::size_t row_width_for(const ProductKernels& kernels, std::size_t rows) {
  constexpr std::size_t kWidths[] = {1, 2, 4, 6, 8};
  for (const std::size_t width : kWidths) {
    if (rows <= width) return std::min(width, kernels.tile_rows);
  }
  return kernels.tile_rows;
}

}  // namespace milgen::detail
#endif
