// Half-precision and bfloat16 conversions.
//
// One rounding, to nearest, ties to even. Subnormals are kept, values beyond the range become
// infinity. A NaN keeps its sign and the leading bits of its payload and becomes quiet: what F16C
// and the Arm instructions do, so that every path gives the same bits.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace milgen {

/// The largest finite fp16.
inline constexpr float kHalfMax = 65504.0f;

constexpr std::uint16_t half_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  // Normal halves: round at bit 13, then take the exponent bias from 127 to 15.
  const std::uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  std::uint32_t half = (rounded - 0x38000000u) >> 13;
  // 65520 and above round to infinity.
  half = magnitude >= 0x477FF000u ? 0x7C00u : half;
  // Below 2^-14 the spacing is 2^-24, which is the spacing of floats in [0.5, 1): the addition
  // rounds there, and what it adds to the bits of 0.5 is the subnormal half.
  const float shifted = std::bit_cast<float>(magnitude < 0x38800000u ? magnitude : 0u) + 0.5f;
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(shifted) - 0x3F000000u;
  half = magnitude < 0x38800000u ? subnormal : half;
  half = magnitude > 0x7F800000u ? (0x7E00u | ((magnitude >> 13) & 0x3FFu)) : half;
  return static_cast<std::uint16_t>(half | ((bits >> 16) & 0x8000u));
}

/// The double cut to 24 significant bits, the last of them set when anything was cut off. Every
/// such value in float's normal range is a float, and rounding it again gives what rounding the
/// double once would have given.
constexpr double cut_to_odd(double value) {
  constexpr std::uint64_t kCut = (std::uint64_t{1} << 29) - 1;
  const auto bits = std::bit_cast<std::uint64_t>(value);
  return std::bit_cast<double>((bits | ((bits & kCut) + kCut)) & ~kCut);
}

constexpr std::uint16_t half_from_double(double value) {
  // Where the float is not normal, the half is zero or infinity either way.
  return half_from_float(static_cast<float>(cut_to_odd(value)));
}

constexpr float float_from_half(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7FFFu;
  if (magnitude < 0x400u) {
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | sign);
  }
  std::uint32_t bits = (magnitude << 13) + 0x38000000u;
  if (magnitude >= 0x7C00u) bits += 0x38000000u;
  if (magnitude > 0x7C00u) bits |= 0x00400000u;
  return std::bit_cast<float>(bits | sign);
}

constexpr std::uint16_t bf16_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

constexpr std::uint16_t bf16_from_double(double value) {
  const double magnitude = value < 0 ? -value : value;
  if (magnitude >= 0x1p-126) return bf16_from_float(static_cast<float>(cut_to_odd(value)));
  if (magnitude != magnitude) return bf16_from_float(static_cast<float>(cut_to_odd(value)));
  // Subnormal bfloat16: multiples of 2^-133, counted in a double, where the addition rounds.
  const double counted = magnitude * 0x1p133 + 0x1p52;
  const auto count = std::bit_cast<std::uint64_t>(counted) & 0xFFFFu;
  const std::uint64_t sign = (std::bit_cast<std::uint64_t>(value) >> 48) & 0x8000u;
  return static_cast<std::uint16_t>(count | sign);
}

constexpr float float_from_bf16(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

/// What a bulk conversion met. Indices count elements of the destination.
struct HalfReport {
  static constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t overflows = 0;  ///< finite values that became infinity
  std::uint64_t nans = 0;
  std::uint64_t infinities = 0;  ///< values that were infinite before
  std::uint64_t first_overflow = kNone;
  std::uint64_t first_nan = kNone;
  std::uint64_t first_infinity = kNone;

  void overflow_at(std::uint64_t index) {
    ++overflows;
    if (index < first_overflow) first_overflow = index;
  }
  void nan_at(std::uint64_t index) {
    ++nans;
    if (index < first_nan) first_nan = index;
  }
  void infinity_at(std::uint64_t index) {
    ++infinities;
    if (index < first_infinity) first_infinity = index;
  }
  friend bool operator==(const HalfReport&, const HalfReport&) = default;
};

enum class HalfPath : std::uint8_t {
  best,
  narrow,  ///< without the widest vectors that the machine has; the same as best elsewhere
  portable,
};

/// What HalfPath::best is on this machine: "f16c with avx512", "f16c", "neon" or "portable".
std::string_view half_path_name();

/// `count` little-endian fp32 at `floats` to fp16 at `halves`. Neither needs to be aligned; they do
/// not overlap. `first_index` is the destination index of the first element in `report`, which is
/// added to.
void halves_from_floats(const void* floats, void* halves, std::size_t count, HalfReport& report,
                        std::uint64_t first_index = 0, HalfPath path = HalfPath::best);

/// The columns [first_column, first_column + column_count) of a row-major [rows, columns] fp32
/// matrix as rows of fp16: the destination is [column_count, rows]. Report indices are those of
/// the whole transposed matrix [columns, rows].
void halves_from_floats_transposed(const void* floats, std::size_t rows, std::size_t columns,
                                   std::size_t first_column, std::size_t column_count, void* halves,
                                   HalfReport& report, HalfPath path = HalfPath::best);

/// `count` fp16 to fp32; alignment as above.
void floats_from_halves(const void* halves, void* floats, std::size_t count,
                        HalfPath path = HalfPath::best);

/// `count` fp64 to fp16, each rounded once.
void halves_from_doubles(const void* doubles, void* halves, std::size_t count, HalfReport& report,
                         std::uint64_t first_index = 0, HalfPath path = HalfPath::best);

}  // namespace milgen
