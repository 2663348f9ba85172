#include "support/half.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#include <immintrin.h>
#define MILGEN_HAS_F16C 1
#elif defined(__aarch64__)
#include <arm_neon.h>
#define MILGEN_HAS_NEON 1
#endif

#include "support/half_transpose.h"

namespace milgen {
namespace {

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <class T>
void store(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(value));
}

template <class Real>
void note(Real source, std::uint64_t index, HalfReport& report) {
  if (std::isnan(source)) {
    report.nan_at(index);
  } else if (std::isinf(source)) {
    report.infinity_at(index);
  } else {
    report.overflow_at(index);
  }
}

/// Goes over a block that is known to hold something worth a report.
template <class Real>
void scan(const std::byte* source, const std::byte* halves, std::size_t count, std::uint64_t index,
          HalfReport& report) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto half = load<std::uint16_t>(halves + 2 * i);
    if ((half & 0x7C00u) == 0x7C00u) note(load<Real>(source + sizeof(Real) * i), index + i, report);
  }
}

// Each kernel converts one block and says whether any result is infinite or not a number. Blocks
// are small enough that a second look finds them in the first-level cache.
constexpr std::size_t kBlock = 1024;

template <class Real>
bool block_portable(const std::byte* source, std::byte* halves, std::size_t count) {
  unsigned special = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t half;
    if constexpr (sizeof(Real) == 4) {
      half = half_from_float(load<float>(source + 4 * i));
    } else {
      half = half_from_double(load<double>(source + 8 * i));
    }
    // Only an exponent of all ones carries into bit 15.
    special |= (half & 0x7FFFu) + 0x0400u;
    store(halves + 2 * i, half);
  }
  return (special & 0x8000u) != 0;
}

void floats_portable(const std::byte* halves, std::byte* floats, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    store(floats + 4 * i, float_from_half(load<std::uint16_t>(halves + 2 * i)));
  }
}

// A transposing kernel takes a band of at most kBandRows rows: 32 halves are the 64 bytes of one
// cache line of the result, which is then written at once, and 16 floats are one of the source.
constexpr std::size_t kBandRows = 32;
constexpr std::size_t kLineBytes = 64;
// Columns that are gone through before the next band: their pages of the result stay known to the
// TLB, and each row is still read in runs long enough for the prefetcher.
constexpr std::size_t kBandColumns = 2048;
// Results larger than this do not stay in a cache, so their lines are written past it.
constexpr std::size_t kStreamBytes = std::size_t{4} << 20;

struct Band {
  const std::byte* source;
  std::size_t source_stride;  // bytes
  std::byte* target;
  std::size_t target_stride;  // bytes
  std::size_t rows;
  std::size_t columns;
  bool stream;  // the target's rows are aligned for non-temporal stores and worth them
};

bool band_portable(const Band& band) {
  unsigned special = 0;
  for (std::size_t c = 0; c < band.columns; ++c) {
    for (std::size_t r = 0; r < band.rows; ++r) {
      const std::uint16_t half =
          half_from_float(load<float>(band.source + r * band.source_stride + 4 * c));
      special |= (half & 0x7FFFu) + 0x0400u;
      store(band.target + c * band.target_stride + 2 * r, half);
    }
  }
  return (special & 0x8000u) != 0;
}

#if defined(MILGEN_HAS_F16C)

/// Vector instructions that the processor has and whose registers the operating system keeps.
struct VectorUnit {
  bool f16c = false;    ///< with AVX2
  bool avx512 = false;  ///< F, BW and VL
};

/// Not by __builtin_cpu_supports: for clang 14 there is no "f16c", and its table is in a library
/// that not every compiler for macOS brings. Bits: Intel's manual, CPUID leaves 1 and 7, and XCR0.
VectorUnit find_vector_unit() {
  constexpr unsigned kLeaf1 = 7u << 27;  // OSXSAVE, AVX, F16C
  constexpr unsigned kAvx2 = 1u << 5;
  constexpr unsigned kAvx512 = 1u << 16 | 1u << 30 | 1u << 31;  // F, BW, VL
  constexpr unsigned kAvxState = 0x06, kAvx512State = 0xE6;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kLeaf1) != kLeaf1) return {};
  unsigned state = 0, state_high = 0;
  __asm__("xgetbv" : "=a"(state), "=d"(state_high) : "c"(0));
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return {};
  VectorUnit unit;
  unit.f16c = (b & kAvx2) != 0 && (state & kAvxState) == kAvxState;
#ifdef __APPLE__
  // macOS keeps these registers from their first use on, and shows the bits only then.
  state |= kAvx512State;
#endif
  unit.avx512 = unit.f16c && (b & kAvx512) == kAvx512 && (state & kAvx512State) == kAvx512State;
  return unit;
}

const VectorUnit& vector_unit() {
  static const VectorUnit unit = find_vector_unit();
  return unit;
}

bool has_f16c() { return vector_unit().f16c; }

#define MILGEN_F16C __attribute__((target("avx,avx2,f16c")))

template <class Real>
MILGEN_F16C bool block_f16c(const std::byte* source, std::byte* halves, std::size_t count) {
  const __m256i exponent = _mm256_set1_epi16(0x7C00);
  __m256i special = _mm256_setzero_si256();
  std::size_t i = 0;
  if constexpr (sizeof(Real) == 4) {
    for (; i + 16 <= count; i += 16) {
      const auto* from = reinterpret_cast<const float*>(source + 4 * i);
      const __m128i low =
          _mm256_cvtps_ph(_mm256_loadu_ps(from), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      const __m128i high =
          _mm256_cvtps_ph(_mm256_loadu_ps(from + 8), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
      special =
          _mm256_or_si256(special, _mm256_cmpeq_epi16(_mm256_and_si256(both, exponent), exponent));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(halves + 2 * i), both);
    }
  } else {
    const __m256i cut = _mm256_set1_epi64x((1ll << 29) - 1);
    for (; i + 8 <= count; i += 8) {
      __m128 parts[2];
      for (int part = 0; part < 2; ++part) {
        const __m256i bits = _mm256_loadu_si256(
            reinterpret_cast<const __m256i*>(source + 8 * i + static_cast<std::size_t>(32 * part)));
        const __m256i sticky = _mm256_add_epi64(_mm256_and_si256(bits, cut), cut);
        const __m256i odd = _mm256_andnot_si256(cut, _mm256_or_si256(bits, sticky));
        parts[part] = _mm256_cvtpd_ps(_mm256_castsi256_pd(odd));
      }
      const __m256 floats = _mm256_insertf128_ps(_mm256_castps128_ps256(parts[0]), parts[1], 1);
      const __m128i out = _mm256_cvtps_ph(floats, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      special = _mm256_or_si256(special, _mm256_castsi128_si256(_mm_cmpeq_epi16(
                                             _mm_and_si128(out, _mm256_castsi256_si128(exponent)),
                                             _mm256_castsi256_si128(exponent))));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(halves + 2 * i), out);
    }
  }
  const bool tail = block_portable<Real>(source + sizeof(Real) * i, halves + 2 * i, count - i);
  return tail || _mm256_testz_si256(special, special) == 0;
}

MILGEN_F16C void floats_f16c(const std::byte* halves, std::byte* floats, std::size_t count) {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + 2 * i));
    _mm256_storeu_ps(reinterpret_cast<float*>(floats + 4 * i), _mm256_cvtph_ps(half));
  }
  floats_portable(halves + 2 * i, floats + 4 * i, count - i);
}

MILGEN_F16C bool band_f16c(const Band& band) {
  constexpr std::size_t kStep = 16;
  constexpr std::size_t kAheadBytes = 128;
  __m256i largest = _mm256_setzero_si256();
  alignas(64) std::byte tile[kStep * 2 * kBandRows];
  for (std::size_t c = 0; c < band.columns; c += kStep) {
    const std::size_t columns = std::min(kStep, band.columns - c);
    for (std::size_t group = 0; group < kBandRows / 8; ++group) {
      __m256i h[8];
      __m256i a[8];
      __m256i b[8];
      // Unrolled by request: rolled, these arrays would live in memory.
#pragma GCC unroll 8
      for (std::size_t k = 0; k < 8; ++k) {
        // A band that is not full repeats its last row, and the copies are not stored.
        const std::size_t row = std::min(8 * group + k, band.rows - 1);
        const std::byte* at = band.source + row * band.source_stride + 4 * c;
        _mm_prefetch(reinterpret_cast<const char*>(at) + kAheadBytes, _MM_HINT_T0);
        alignas(32) float part[kStep];
        const auto* from = reinterpret_cast<const float*>(at);
        if (columns != kStep) [[unlikely]] {
          std::memset(part, 0, sizeof(part));
          std::memcpy(part, at, 4 * columns);
          from = part;
        }
        const __m128i low =
            _mm256_cvtps_ph(_mm256_loadu_ps(from), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        const __m128i high = _mm256_cvtps_ph(_mm256_loadu_ps(from + 8),
                                             _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        h[k] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
        // Doubled, the sign is gone and an exponent of all ones is 0xF800 or more.
        largest = _mm256_max_epu16(largest, _mm256_add_epi16(h[k], h[k]));
      }
      // Two 8 x 8 transposes side by side: rows are interleaved at distances 1, 2 and 4.
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        a[2 * k] = _mm256_unpacklo_epi16(h[2 * k], h[2 * k + 1]);
        a[2 * k + 1] = _mm256_unpackhi_epi16(h[2 * k], h[2 * k + 1]);
      }
#pragma GCC unroll 2
      for (std::size_t k = 0; k < 2; ++k) {
        b[4 * k] = _mm256_unpacklo_epi32(a[4 * k], a[4 * k + 2]);
        b[4 * k + 1] = _mm256_unpackhi_epi32(a[4 * k], a[4 * k + 2]);
        b[4 * k + 2] = _mm256_unpacklo_epi32(a[4 * k + 1], a[4 * k + 3]);
        b[4 * k + 3] = _mm256_unpackhi_epi32(a[4 * k + 1], a[4 * k + 3]);
      }
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        const __m256i even = _mm256_unpacklo_epi64(b[k], b[k + 4]);
        const __m256i odd = _mm256_unpackhi_epi64(b[k], b[k + 4]);
        std::byte* to = tile + 2 * k * (2 * kBandRows) + 16 * group;
        const auto put = [](std::byte* place, __m128i value) MILGEN_F16C {
          _mm_store_si128(reinterpret_cast<__m128i*>(place), value);
        };
        put(to, _mm256_castsi256_si128(even));
        put(to + 2 * kBandRows, _mm256_castsi256_si128(odd));
        put(to + 8 * (2 * kBandRows), _mm256_extracti128_si256(even, 1));
        put(to + 9 * (2 * kBandRows), _mm256_extracti128_si256(odd, 1));
      }
    }
    std::byte* to = band.target + c * band.target_stride;
    for (std::size_t k = 0; k < columns; ++k, to += band.target_stride) {
      const auto* line = reinterpret_cast<const __m256i*>(tile + k * 2 * kBandRows);
      const __m256i first = _mm256_load_si256(line);
      const __m256i second = _mm256_load_si256(line + 1);
      if (band.rows != kBandRows) {
        std::memcpy(to, line, 2 * band.rows);
      } else if (band.stream) {
        _mm256_stream_si256(reinterpret_cast<__m256i*>(to), first);
        _mm256_stream_si256(reinterpret_cast<__m256i*>(to + 32), second);
      } else {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), first);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32), second);
      }
    }
  }
  if (band.stream) _mm_sfence();
  const __m256i limit = _mm256_set1_epi16(static_cast<short>(0xF800));
  const __m256i reached = _mm256_cmpeq_epi16(_mm256_max_epu16(largest, limit), largest);
  return _mm256_testz_si256(reached, reached) == 0;
}

bool has_avx512() { return vector_unit().avx512; }

#define MILGEN_AVX512 __attribute__((target("avx,avx2,f16c,avx512f,avx512bw,avx512vl")))

// gcc 12's own headers pass a register that they leave undefined on purpose (gcc PR105593).
#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

/// As band_f16c, with 16 rows in a register, so that whole cache lines of the result come out of
/// the shuffles and no tile is needed in between.
MILGEN_AVX512 bool band_avx512(const Band& band) {
  if (band.rows != kBandRows) return band_f16c(band);
  constexpr std::size_t kStep = 16;
  constexpr std::size_t kAheadBytes = 64;
  __m512i largest = _mm512_setzero_si512();
  std::size_t c = 0;
  for (; c + kStep <= band.columns; c += kStep) {
    __m512i out[2][8];
#pragma GCC unroll 2
    for (std::size_t half = 0; half < 2; ++half) {
      __m512i h[8];
      __m512i a[8];
      __m512i b[8];
#pragma GCC unroll 8
      for (std::size_t k = 0; k < 8; ++k) {
        const std::byte* first = band.source + (16 * half + k) * band.source_stride + 4 * c;
        const std::byte* second = first + 8 * band.source_stride;
        _mm_prefetch(reinterpret_cast<const char*>(first) + kAheadBytes, _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(second) + kAheadBytes, _MM_HINT_T0);
        const __m256i low =
            _mm512_cvtps_ph(_mm512_loadu_ps(first), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        const __m256i high =
            _mm512_cvtps_ph(_mm512_loadu_ps(second), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        h[k] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
        largest = _mm512_max_epu16(largest, _mm512_add_epi16(h[k], h[k]));
      }
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        a[2 * k] = _mm512_unpacklo_epi16(h[2 * k], h[2 * k + 1]);
        a[2 * k + 1] = _mm512_unpackhi_epi16(h[2 * k], h[2 * k + 1]);
      }
#pragma GCC unroll 2
      for (std::size_t k = 0; k < 2; ++k) {
        b[4 * k] = _mm512_unpacklo_epi32(a[4 * k], a[4 * k + 2]);
        b[4 * k + 1] = _mm512_unpackhi_epi32(a[4 * k], a[4 * k + 2]);
        b[4 * k + 2] = _mm512_unpacklo_epi32(a[4 * k + 1], a[4 * k + 3]);
        b[4 * k + 3] = _mm512_unpackhi_epi32(a[4 * k + 1], a[4 * k + 3]);
      }
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        out[half][2 * k] = _mm512_unpacklo_epi64(b[k], b[k + 4]);
        out[half][2 * k + 1] = _mm512_unpackhi_epi64(b[k], b[k + 4]);
      }
    }
    // The quarters of out[half][k] are 8 rows each of columns c + k, c + 8 + k, c + k, c + 8 + k.
#pragma GCC unroll 8
    for (std::size_t k = 0; k < 8; ++k) {
      const __m512i near = _mm512_shuffle_i64x2(out[0][k], out[1][k], 0x88);
      const __m512i far = _mm512_shuffle_i64x2(out[0][k], out[1][k], 0xDD);
      std::byte* to = band.target + (c + k) * band.target_stride;
      std::byte* to_far = to + 8 * band.target_stride;
      if (band.stream) {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to), near);
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to_far), far);
      } else {
        _mm512_storeu_si512(to, near);
        _mm512_storeu_si512(to_far, far);
      }
    }
  }
  if (band.stream) _mm_sfence();
  bool special =
      _mm512_cmpge_epu16_mask(largest, _mm512_set1_epi16(static_cast<short>(0xF800))) != 0;
  if (c < band.columns) {
    Band rest = band;
    rest.source += 4 * c;
    rest.target += c * band.target_stride;
    rest.columns -= c;
    special |= band_f16c(rest);
  }
  return special;
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#elif defined(MILGEN_HAS_NEON)

template <class Real>
bool block_neon(const std::byte* source, std::byte* halves, std::size_t count) {
  const uint16x8_t exponent = vdupq_n_u16(0x7C00);
  uint16x8_t special = vdupq_n_u16(0);
  std::size_t i = 0;
  if constexpr (sizeof(Real) == 4) {
    for (; i + 8 <= count; i += 8) {
      // Byte loads, because the source may stand at any address.
      const float32x4_t a =
          vreinterpretq_f32_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(source + 4 * i)));
      const float32x4_t b = vreinterpretq_f32_u8(
          vld1q_u8(reinterpret_cast<const std::uint8_t*>(source + 4 * i + 16)));
      const uint16x8_t both = vcombine_u16(vreinterpret_u16_f16(vcvt_f16_f32(a)),
                                           vreinterpret_u16_f16(vcvt_f16_f32(b)));
      special = vorrq_u16(special, vceqq_u16(vandq_u16(both, exponent), exponent));
      vst1q_u8(reinterpret_cast<std::uint8_t*>(halves + 2 * i), vreinterpretq_u8_u16(both));
    }
  }
  const bool tail = block_portable<Real>(source + sizeof(Real) * i, halves + 2 * i, count - i);
  return tail || vmaxvq_u16(special) != 0;
}

void floats_neon(const std::byte* halves, std::byte* floats, std::size_t count) {
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const float16x4_t half =
        vreinterpret_f16_u8(vld1_u8(reinterpret_cast<const std::uint8_t*>(halves + 2 * i)));
    vst1q_u8(reinterpret_cast<std::uint8_t*>(floats + 4 * i),
             vreinterpretq_u8_f32(vcvt_f32_f16(half)));
  }
  floats_portable(halves + 2 * i, floats + 4 * i, count - i);
}

/// The part of a band that lies behind its first `columns` columns.
bool band_rest(Band band, std::size_t columns) {
  band.source += 4 * columns;
  band.target += columns * band.target_stride;
  band.columns -= columns;
  return band_portable(band);
}

bool band_neon(const Band& band) {
  if (band.rows % 4 != 0) return band_portable(band);
  const uint16x4_t exponent = vdup_n_u16(0x7C00);
  uint16x4_t special = vdup_n_u16(0);
  std::size_t c = 0;
  for (; c + 4 <= band.columns; c += 4) {
    for (std::size_t r = 0; r < band.rows; r += 4) {
      uint16x4_t h[4];
      for (std::size_t k = 0; k < 4; ++k) {
        const std::byte* at = band.source + (r + k) * band.source_stride + 4 * c;
        const float32x4_t row =
            vreinterpretq_f32_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(at)));
        h[k] = vreinterpret_u16_f16(vcvt_f16_f32(row));
        special = vorr_u16(special, vceq_u16(vand_u16(h[k], exponent), exponent));
      }
      const uint16x4x2_t low = vtrn_u16(h[0], h[1]);
      const uint16x4x2_t high = vtrn_u16(h[2], h[3]);
      const uint32x2x2_t even =
          vtrn_u32(vreinterpret_u32_u16(low.val[0]), vreinterpret_u32_u16(high.val[0]));
      const uint32x2x2_t odd =
          vtrn_u32(vreinterpret_u32_u16(low.val[1]), vreinterpret_u32_u16(high.val[1]));
      const uint32x2_t out[4] = {even.val[0], odd.val[0], even.val[1], odd.val[1]};
      for (std::size_t k = 0; k < 4; ++k) {
        auto* to = band.target + (c + k) * band.target_stride + 2 * r;
        vst1_u8(reinterpret_cast<std::uint8_t*>(to), vreinterpret_u8_u32(out[k]));
      }
    }
  }
  const bool rest = band_rest(band, c);
  return rest || vmaxv_u16(special) != 0;
}

#endif

struct Kernels {
  const char* name;
  bool (*floats)(const std::byte*, std::byte*, std::size_t);
  bool (*doubles)(const std::byte*, std::byte*, std::size_t);
  void (*widen)(const std::byte*, std::byte*, std::size_t);
  bool (*band)(const Band&);
};

constexpr Kernels kPortable = {"portable", block_portable<float>, block_portable<double>,
                               floats_portable, band_portable};

const Kernels& kernels(HalfPath path) {
  if (path == HalfPath::portable) return kPortable;
#if defined(MILGEN_HAS_F16C)
  static constexpr Kernels kAvx512 = {"f16c with avx512", block_f16c<float>, block_f16c<double>,
                                      floats_f16c, band_avx512};
  static constexpr Kernels kF16c = {"f16c", block_f16c<float>, block_f16c<double>, floats_f16c,
                                    band_f16c};
  if (path == HalfPath::best && has_avx512()) return kAvx512;
  return has_f16c() ? kF16c : kPortable;
#elif defined(MILGEN_HAS_NEON)
  static constexpr Kernels kNeon = {"neon", block_neon<float>, block_neon<double>, floats_neon,
                                    band_neon};
  return kNeon;
#else
  return kPortable;
#endif
}

template <class Real>
void in_blocks(bool (*kernel)(const std::byte*, std::byte*, std::size_t), const void* source,
               void* halves, std::size_t count, HalfReport& report, std::uint64_t first_index) {
  const auto* from = static_cast<const std::byte*>(source);
  auto* to = static_cast<std::byte*>(halves);
  for (std::size_t i = 0; i < count; i += kBlock) {
    const std::size_t size = std::min(kBlock, count - i);
    if (kernel(from + sizeof(Real) * i, to + 2 * i, size)) {
      scan<Real>(from + sizeof(Real) * i, to + 2 * i, size, first_index + i, report);
    }
  }
}

}  // namespace

std::string_view half_path_name() { return kernels(HalfPath::best).name; }

void halves_from_floats(const void* floats, void* halves, std::size_t count, HalfReport& report,
                        std::uint64_t first_index, HalfPath path) {
  in_blocks<float>(kernels(path).floats, floats, halves, count, report, first_index);
}

void halves_from_doubles(const void* doubles, void* halves, std::size_t count, HalfReport& report,
                         std::uint64_t first_index, HalfPath path) {
  in_blocks<double>(kernels(path).doubles, doubles, halves, count, report, first_index);
}

void floats_from_halves(const void* halves, void* floats, std::size_t count, HalfPath path) {
  kernels(path).widen(static_cast<const std::byte*>(halves), static_cast<std::byte*>(floats),
                      count);
}

void halves_from_floats_transposed(const void* floats, std::size_t rows, std::size_t columns,
                                   std::size_t first_column, std::size_t column_count, void* halves,
                                   HalfReport& report, HalfPath path) {
  detail::transpose_to_halves({.floats = floats,
                               .rows = rows,
                               .columns = columns,
                               .row_count = rows,
                               .first_column = first_column,
                               .column_count = column_count,
                               .halves = halves,
                               .stride = rows},
                              report, path);
}

void detail::transpose_to_halves(const TransposedPart& part, HalfReport& report, HalfPath path) {
  const Kernels& use = kernels(path);
  const auto* from = static_cast<const std::byte*>(part.floats) +
                     4 * (part.first_row * part.columns + part.first_column);
  auto* to = static_cast<std::byte*>(part.halves);
  const std::size_t target_stride = 2 * part.stride;
  const auto address = reinterpret_cast<std::uintptr_t>(part.halves);
  const bool in_lines = target_stride % kLineBytes == 0 && address % 2 == 0;
  const bool stream =
      in_lines && (part.past_caches || part.column_count * target_stride > kStreamBytes);
  // Where the result's rows are whole cache lines, the bands are laid on line borders.
  const std::size_t lead = in_lines ? (kLineBytes - address % kLineBytes) % kLineBytes / 2 : 0;
  // The same for the source: read across two lines, each of them would be fetched twice.
  const auto source_address = reinterpret_cast<std::uintptr_t>(from);
  const bool from_lines = part.columns % (kLineBytes / 4) == 0 && source_address % 4 == 0;
  const std::size_t source_lead =
      from_lines ? (kLineBytes - source_address % kLineBytes) % kLineBytes / 4 : 0;
  std::size_t width = 0;
  for (std::size_t c = 0; c < part.column_count; c += width) {
    width = c == 0 && source_lead != 0 ? source_lead : kBandColumns;
    width = std::min(width, part.column_count - c);
    std::size_t height = 0;
    for (std::size_t r = 0; r < part.row_count; r += height) {
      height = r == 0 && lead != 0 ? lead : kBandRows;
      height = std::min(height, part.row_count - r);
      const Band band = {.source = from + 4 * (r * part.columns + c),
                         .source_stride = 4 * part.columns,
                         .target = to + c * target_stride + 2 * r,
                         .target_stride = target_stride,
                         .rows = height,
                         .columns = width,
                         .stream = stream};
      if (!use.band(band)) continue;
      for (std::size_t n = 0; n < band.rows; ++n) {
        for (std::size_t k = 0; k < width; ++k) {
          const auto value = load<float>(band.source + n * band.source_stride + 4 * k);
          const std::uint64_t index =
              std::uint64_t{part.first_column + c + k} * part.rows + part.first_row + r + n;
          // 65520 is the least magnitude that rounds to infinity; a NaN compares false.
          if (!(std::fabs(value) < 65520.0f)) note(value, index, report);
        }
      }
    }
  }
}

}  // namespace milgen
