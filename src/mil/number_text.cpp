#include "mil/number_text.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "ir/graph.h"

namespace milgen {
namespace {

char* copy(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

char* write_hex(char* out, double value) {
  constexpr int kFractionBits = 52;
  constexpr int kBias = 1023;
  constexpr std::array<char, 17> kDigits = {"0123456789abcdef"};
  const auto bits = std::bit_cast<std::uint64_t>(value);
  std::uint64_t fraction = bits & ((std::uint64_t{1} << kFractionBits) - 1);
  int exponent = static_cast<int>((bits >> kFractionBits) & 0x7FF);
  if ((bits >> 63) != 0) *out++ = '-';
  if (exponent == 0 && fraction == 0) return copy(out, "0x0p+0");
  // A double's own subnormals keep the leading 0 that printf gives them; those of narrower types
  // are normal doubles by now.
  out = copy(out, exponent == 0 ? "0x0" : "0x1");
  exponent = exponent == 0 ? 1 - kBias : exponent - kBias;
  if (fraction != 0) {
    *out++ = '.';
    while (fraction != 0) {
      *out++ = kDigits[fraction >> (kFractionBits - 4)];
      fraction = (fraction << 4) & ((std::uint64_t{1} << kFractionBits) - 1);
    }
  }
  *out++ = 'p';
  *out++ = exponent < 0 ? '-' : '+';
  return write_integer(out, exponent < 0 ? -exponent : exponent);
}

bool reads_back(const char* first, const char* last, double value, DType dtype) {
  double wide = 0;
  if (std::from_chars(first, last, wide).ec != std::errc()) return false;
  if (std::bit_cast<std::uint64_t>(round_to(dtype, wide)) != std::bit_cast<std::uint64_t>(value)) {
    return false;
  }
  if (dtype != DType::fp32) return true;
  float narrow = 0;
  return std::from_chars(first, last, narrow).ec == std::errc() &&
         static_cast<double>(narrow) == value;
}

char* write_decimal(char* out, double value, DType dtype) {
  char* last = out;
  // Few digits first: a half needs five at most, a float nine, a double seventeen.
  for (int digits = 1; digits <= 17; ++digits) {
    std::array<char, kNumberTextBytes> text{};
    const auto result = std::to_chars(text.data(), text.data() + text.size(), value,
                                      std::chars_format::scientific, digits - 1);
    if (!reads_back(text.data(), result.ptr, value, dtype)) continue;
    // The digits are settled; print the number that they spell in its shortest form.
    double spelled = 0;
    std::from_chars(text.data(), result.ptr, spelled);
    last = std::to_chars(out, out + kNumberTextBytes, spelled).ptr;
    break;
  }
  const std::string_view text(out, static_cast<std::size_t>(last - out));
  if (text.find_first_of(".en") == std::string_view::npos) last = copy(last, ".0");
  return last;
}

}  // namespace

char* write_integer(char* out, std::int64_t value) {
  auto rest = static_cast<std::uint64_t>(value);
  if (value < 0) {
    *out++ = '-';
    rest = 0 - rest;
  }
  if (rest < 10) {
    *out++ = static_cast<char>('0' + rest);
    return out;
  }
  std::array<char, 20> digits{};
  std::size_t n = 0;
  do {
    digits[n++] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  while (n != 0) *out++ = digits[--n];
  return out;
}

char* write_float(char* out, double value, DType dtype, FloatStyle style) {
  if (std::isnan(value)) return copy(out, "nan");
  if (std::isinf(value)) return copy(out, value < 0 ? "-inf" : "inf");
  return style == FloatStyle::hex ? write_hex(out, value) : write_decimal(out, value, dtype);
}

std::string float_text(double value, DType dtype, FloatStyle style) {
  std::array<char, kNumberTextBytes> text{};
  return {text.data(), write_float(text.data(), value, dtype, style)};
}

}  // namespace milgen
