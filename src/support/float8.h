// The two 8-bit floats of weight files (OCP 8-bit floating point specification 1.0).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "milgen/dtype.h"

namespace milgen::detail {

struct Float8 {
  int mantissa_bits;
  int bias;
  double largest;
  std::uint8_t overflow;  // what stands for values beyond the largest
  std::uint8_t nan;
};

/// e4m3fn has no infinity and one NaN pattern, e5m2 is an ordinary small float.
constexpr Float8 float8_format(DType dtype) {
  return dtype == DType::fp8e4m3fn ? Float8{3, 7, 448.0, 0x7F, 0x7F}
                                   : Float8{2, 15, 57344.0, 0x7C, 0x7E};
}

/// Rounds once to nearest, ties to even.
inline std::uint8_t float8_from_double(double value, const Float8& format) {
  const auto sign = static_cast<std::uint8_t>(std::signbit(value) ? 0x80 : 0);
  const double magnitude = std::fabs(value);
  if (std::isnan(value)) return static_cast<std::uint8_t>(sign | format.nan);
  if (magnitude == 0) return sign;
  if (std::isinf(value)) return static_cast<std::uint8_t>(sign | format.overflow);
  const int exponent = std::max(std::ilogb(magnitude), 1 - format.bias);
  const double steps = std::nearbyint(std::ldexp(magnitude, format.mantissa_bits - exponent));
  if (std::ldexp(steps, exponent - format.mantissa_bits) > format.largest) {
    return static_cast<std::uint8_t>(sign | format.overflow);
  }
  // Steps carry into the exponent by themselves, at the top of a binade and above the subnormals.
  const int biased = exponent + format.bias - 1;
  return static_cast<std::uint8_t>(sign |
                                   ((biased << format.mantissa_bits) + static_cast<int>(steps)));
}

inline double double_from_float8(std::uint8_t bits, const Float8& format) {
  const int magnitude = bits & 0x7F;
  double value = 0;
  if (magnitude >= format.overflow) {
    const bool infinite = magnitude == format.overflow && format.overflow != format.nan;
    value = infinite ? std::numeric_limits<double>::infinity()
                     : std::numeric_limits<double>::quiet_NaN();
  } else {
    const int biased = magnitude >> format.mantissa_bits;
    const int mantissa = magnitude & ((1 << format.mantissa_bits) - 1);
    // Subnormals have the least exponent and no hidden bit.
    const int steps = biased == 0 ? mantissa : mantissa + (1 << format.mantissa_bits);
    value = std::ldexp(steps, std::max(biased, 1) - format.bias - format.mantissa_bits);
  }
  return std::copysign(value, (bits & 0x80) != 0 ? -1.0 : 1.0);
}

}  // namespace milgen::detail
