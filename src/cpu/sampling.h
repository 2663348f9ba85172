// Where along an axis the elements of a resized axis are taken from: the sampling modes of the
// image ops.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

namespace milgen::cpu {

/// How `n` grid points lie in an interval [start, end] of element centres.
enum class Sampling : std::uint8_t {
  standard,              ///< DEFAULT: steps of (end - start + 1) / n from the start on
  strict_align_corners,  ///< first and last point at the ends; a single one at the start
  align_corners,         ///< the same, but a single one in the middle
  unalign_corners,       ///< the centres of n equal parts of the elements' extent
  offset_corners,        ///< the centres of n equal parts of the interval
};

constexpr Sampling sampling_from(std::string_view word) {
  if (word == "STRICT_ALIGN_CORNERS") return Sampling::strict_align_corners;
  if (word == "ALIGN_CORNERS") return Sampling::align_corners;
  if (word == "UNALIGN_CORNERS") return Sampling::unalign_corners;
  if (word == "OFFSET_CORNERS") return Sampling::offset_corners;
  return Sampling::standard;
}

/// Grid point `i` of `n`. Products come before quotients, so that a point that lies on an element
/// is exactly there.
inline double grid_point(Sampling sampling, double start, double end, std::int64_t n,
                         std::int64_t i) {
  const auto count = static_cast<double>(n);
  const auto index = static_cast<double>(i);
  const double span = end - start;
  switch (sampling) {
    case Sampling::strict_align_corners:
      return n == 1 ? start : start + index * span / (count - 1);
    case Sampling::align_corners:
      return n == 1 ? start + span / 2 : start + index * span / (count - 1);
    case Sampling::unalign_corners:
      return start + (2 * index + 1) * (span + 1) / (2 * count) - 0.5;
    case Sampling::offset_corners:
      return start + (2 * index + 1) * (span < 1 ? 1 : span) / (2 * count);
    case Sampling::standard:
      break;
  }
  return start + index * (span + 1) / count;
}

/// A point between two elements of an axis: low * (1 - fraction) + high * fraction.
struct AxisPoint {
  std::int64_t low = 0;
  std::int64_t high = 0;
  double fraction = 0;
};

/// `at` held to the elements [0, size); NaN reads as 0.
inline double held_to(double at, std::int64_t size) {
  const auto last = static_cast<double>(size - 1);
  return !(at > 0) ? 0 : at > last ? last : at;
}

inline AxisPoint linear_point(double at, std::int64_t size) {
  at = held_to(at, size);
  const double floor = std::floor(at);
  AxisPoint point;
  point.low = static_cast<std::int64_t>(floor);
  point.fraction = at - floor;
  point.high = point.fraction == 0 ? point.low : point.low + 1;
  return point;
}

}  // namespace milgen::cpu
