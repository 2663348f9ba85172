// Arithmetic of 32-bit integers as MIL's elementwise ops do it. Results that do not fit keep their
// low 32 bits, as in two's complement; that is also what the smallest integer divided by -1 and its
// absolute value give. Divisors are not 0.
#pragma once

#include <cstdint>

namespace milgen::cpu {

constexpr std::int32_t wrap(std::uint32_t bits) { return static_cast<std::int32_t>(bits); }
constexpr std::uint32_t bits_of(std::int32_t value) { return static_cast<std::uint32_t>(value); }

constexpr std::int32_t add_integers(std::int32_t x, std::int32_t y) {
  return wrap(bits_of(x) + bits_of(y));
}
constexpr std::int32_t subtract_integers(std::int32_t x, std::int32_t y) {
  return wrap(bits_of(x) - bits_of(y));
}
constexpr std::int32_t multiply_integers(std::int32_t x, std::int32_t y) {
  return wrap(bits_of(x) * bits_of(y));
}

/// Cut off towards zero.
constexpr std::int32_t divide_integers(std::int32_t x, std::int32_t y) {
  return y == -1 ? wrap(0u - bits_of(x)) : x / y;
}
/// Rounded down.
constexpr std::int32_t floor_divide_integers(std::int32_t x, std::int32_t y) {
  if (y == -1) return wrap(0u - bits_of(x));
  return x / y - (x % y != 0 && (x < 0) != (y < 0) ? 1 : 0);
}
/// What floor_divide_integers leaves over; it has the sign of y.
constexpr std::int32_t floor_remainder(std::int32_t x, std::int32_t y) {
  if (y == -1) return 0;
  const std::int32_t remainder = x % y;
  return remainder != 0 && (remainder < 0) != (y < 0) ? remainder + y : remainder;
}

/// x to the power y. A negative power is 1 / x^-y cut off towards zero; x is not 0 then.
constexpr std::int32_t integer_power(std::int32_t x, std::int32_t y) {
  if (y < 0) {
    if (x == 1) return 1;
    if (x == -1) return y % 2 == 0 ? 1 : -1;
    return 0;
  }
  std::uint32_t result = 1;
  std::uint32_t base = bits_of(x);
  for (std::uint32_t rest = bits_of(y); rest != 0; rest >>= 1) {
    if ((rest & 1u) != 0) result *= base;
    base *= base;
  }
  return wrap(result);
}
/// 2 to the power x, by the same rules.
constexpr std::int32_t power_of_two(std::int32_t x) {
  return x < 0 || x > 31 ? 0 : wrap(std::uint32_t{1} << x);
}

constexpr std::int32_t greater_integer(std::int32_t x, std::int32_t y) { return x < y ? y : x; }
constexpr std::int32_t smaller_integer(std::int32_t x, std::int32_t y) { return y < x ? y : x; }

constexpr std::int32_t square_of_integer(std::int32_t x) { return multiply_integers(x, x); }
constexpr std::int32_t absolute_integer(std::int32_t x) {
  return x < 0 ? wrap(0u - bits_of(x)) : x;
}
constexpr std::int32_t sign_of_integer(std::int32_t x) { return (x > 0 ? 1 : 0) - (x < 0 ? 1 : 0); }

}  // namespace milgen::cpu
