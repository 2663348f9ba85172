#include "cpu/real_math.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

// Constants were computed with 400 digits. Where one stands as a sum of several, the leading ones
// have so few bits that their products with the integers met here are exact (Cody and Waite, 1980).
// Series are Taylor's, with as many terms as the reduced range asks for.

namespace milgen::cpu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

constexpr double kLn2High = 0x1.62e42fefa3800p-1;  // 42 bits
constexpr double kLn2Low = 0x1.ef35793c76730p-45;
constexpr double kLn2 = 0x1.62e42fefa39efp-1;
constexpr double kLog2E = 0x1.71547652b82fep+0;
constexpr double kHalfPi = 0x1.921fb54442d18p+0;
constexpr double kHalfPiLow = 0x1.1a62633145c07p-54;
constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
constexpr double kTwoOverSqrtPi = 0x1.20dd750429b6dp+0;

/// A number as the sum of two, the second at most half a unit in the last place of the first.
struct Sum {
  double high;
  double low;
};

/// a + b, exactly.
Sum two_sum(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

/// The same for |a| >= |b|.
Sum ordered_sum(double a, double b) {
  const double sum = a + b;
  return {sum, b - (sum - a)};
}

/// a * b, exactly unless it underflows.
Sum two_product(double a, double b) {
  const double product = a * b;
  return {product, std::fma(a, b, -product)};
}

template <std::size_t N>
double polynomial(const std::array<double, N>& coefficients, double x) {
  double sum = coefficients[N - 1];
  for (std::size_t i = N - 1; i-- > 0;) sum = sum * x + coefficients[i];
  return sum;
}

/// 1 / (first + i * step)! with alternating signs if asked for. Factorials up to 22! are exact.
template <std::size_t N>
constexpr std::array<double, N> factorial_terms(int first, int step, bool alternating) {
  std::array<double, N> terms = {};
  double factorial = 1;
  int reached = 1;
  for (std::size_t i = 0; i < N; ++i) {
    const int wanted = first + static_cast<int>(i) * step;
    for (; reached < wanted; ++reached) factorial *= reached + 1;
    terms[i] = (alternating && i % 2 == 1 ? -1.0 : 1.0) / factorial;
  }
  return terms;
}

/// 1 / (3 + 2 i): what the series of atanh (and, alternating, of atan) has behind its first term.
template <std::size_t N>
constexpr std::array<double, N> odd_terms(bool alternating) {
  std::array<double, N> terms = {};
  for (std::size_t i = 0; i < N; ++i) {
    terms[i] = (alternating && i % 2 == 0 ? -1.0 : 1.0) / (3.0 + 2.0 * static_cast<double>(i));
  }
  return terms;
}

/// 2^exponent for exponents of normal numbers.
double power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

/// x * 2^exponent with one rounding, for exponents in [-2044, 2046].
double scaled(double x, int exponent) {
  const int half = exponent / 2;
  return x * power_of_two(half) * power_of_two(exponent - half);
}

/// exp(high + low) for |low| far below |high|; high neither NaN nor beyond +-1500.
double exp_of_sum(double high, double low) {
  static constexpr auto kTerms = factorial_terms<12>(2, 1, false);
  const double n = std::rint(high * kLog2E);
  const double r = ((high - n * kLn2High) - n * kLn2Low) + low;
  const double p = 1 + (r + r * r * polynomial(kTerms, r));
  return scaled(p, static_cast<int>(n));
}

/// x as m * 2^exponent, m in [sqrt(1/2), sqrt(2)]; x positive and finite.
struct Binary {
  double m;
  int exponent;
};
Binary split_binary(double x) {
  int exponent = 0;
  if (x < std::numeric_limits<double>::min()) {
    x *= 0x1p54;
    exponent = -54;
  }
  const auto bits = std::bit_cast<std::uint64_t>(x);
  exponent += static_cast<int>(bits >> 52) - 1023;
  const double m = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u);
  if (m > 0x1.6a09e667f3bcdp+0) return {m * 0.5, exponent + 1};
  return {m, exponent};
}

/// s + s^3/3 + s^5/5 ... without its first term, over s; |s| <= 0.1716.
double atanh_tail(double s) {
  static constexpr auto kTerms = odd_terms<11>(false);
  const double z = s * s;
  return z * polynomial(kTerms, z);
}

/// log(1 + f) for f in [-0.2929, 0.4143].
double log_near_one(double f) {
  // log(1 + f) = 2 atanh(s). 2 s = f - s f, and the terms that follow are small, so that f, which
  // is exact, carries the sum.
  const double s = f / (2 + f);
  return f - s * (f - 2 * atanh_tail(s));
}

/// log(x) as a sum, for positive finite x.
Sum log_as_sum(double x) {
  // log(m) = log(c) + 2 atanh(s), s = (m - c) / (m + c), c the nearest multiple of 1/16: |s| is so
  // small that only its first power needs more than a double.
  static constexpr Sum kLogs[] = {
      {-0x1.7fafa3bd81000p-2, -0x1.46fb79bf6d4cbp-44},
      {-0x1.269621134d800p-2, -0x1.c93c1df5bb3b6p-45},
      {-0x1.a93ed3c8ad800p-3, -0x1.e36f2bea77a5dp-47},
      {-0x1.1178e8227e000p-3, -0x1.1ef78ce2d07f2p-45},
      {-0x1.08598b59e3800p-4, -0x1.034451fecdfa8p-47},
      {0x0.0p+0, 0x0.0p+0},
      {0x1.f0a30c0116000p-5, 0x1.5330be64b8b77p-48},
      {0x1.e27076e2af000p-4, 0x1.72f4f543fff10p-47},
      {0x1.5ff3070a79000p-3, 0x1.e9e439f105039p-46},
      {0x1.c8ff7c79a9800p-3, 0x1.10d612ec0f798p-46},
      {0x1.1675cababa000p-2, 0x1.8380e731f55c4p-44},
      {0x1.4618bc21c5800p-2, 0x1.b09f42decdecdp-44},
      {0x1.739d7f6bbd000p-2, 0x1.a7389314feb50p-52},
  };
  const auto [m, exponent] = split_binary(x);
  const double sixteenths = std::rint(m * 16);
  const double c = sixteenths * 0.0625;
  const Sum& base = kLogs[static_cast<int>(sixteenths) - 11];
  const double f = m - c;
  const Sum d = two_sum(m, c);
  const double s = f / d.high;
  const double s_low = (std::fma(-s, d.high, f) - s * d.low) / d.high;
  const double e = exponent;
  const Sum known = two_sum(e * kLn2High, base.high);
  const Sum whole = two_sum(known.high, 2 * s);
  const double low =
      (known.low + whole.low) + ((e * kLn2Low + base.low) + (2 * s_low + 2 * s * atanh_tail(s)));
  return ordered_sum(whole.high, low);
}

/// Whether y is an integer, and whether it is odd.
bool is_integral(double y) { return std::trunc(y) == y; }
bool is_odd(double y) {
  const double half = y * 0.5;
  return std::fabs(y) < 0x1p53 && is_integral(y) && !is_integral(half);
}

/// x as quadrant * pi / 2 + rest, |rest| <= pi / 4 and a little; the quadrant modulo 4.
struct Angle {
  unsigned quadrant;
  Sum rest;
};

Angle reduce_moderate(double x) {
  // The first three parts of pi / 2 have 33 bits: exact times anything up to 2^20.
  const double n = std::rint(x * kTwoOverPi);
  Sum rest = two_sum(x - n * 0x1.921fb54400000p+0, -(n * 0x1.0b4611a600000p-34));
  const Sum next = two_sum(rest.high, -(n * 0x1.3198a2e000000p-69));
  rest = two_sum(next.high, (next.low + rest.low) - n * 0x1.b839a252049c1p-104);
  return {static_cast<unsigned>(static_cast<int>(n)) & 3u, rest};
}

/// 2 / pi after the binary point, 32 bits a word.
constexpr std::uint32_t kTwoOverPiBits[] = {
    0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB, 0xDEBBC561,
    0xB7246E3A, 0x424DD2E0, 0x06492EEA, 0x09D1921C, 0xFE1DEB1C, 0xB129A73E, 0xE88235F5, 0x2EBB4484,
    0xE99C7026, 0xB45F7E41, 0x3991D639, 0x835339F4, 0x9C845F8B, 0xBDF9283B, 0x1FF897FF, 0xDE05980F,
    0xEF2F118B, 0x5A0A6D1F, 0x6D367ECF, 0x27CB09B7, 0x4F463F66, 0x9E5FEA2D, 0x7527BAC7, 0xEBE5F17B,
    0x3D0739F7, 0x8A5292EA, 0x6BFB5FB1, 0x1F8D5D08, 0x56033046, 0xFC7B6BAB, 0xF0CFBC20, 0x9AF4361D};

/// Bits [first, first + 32) of 2 / pi, counted from the binary point; zeros before it.
std::uint32_t two_over_pi_word(int first) {
  const auto word = [](int i) { return i < 0 ? std::uint64_t{0} : kTwoOverPiBits[i]; };
  const int index = first >> 5;
  return static_cast<std::uint32_t>(((word(index) << 32 | word(index + 1)) << (first & 31)) >> 32);
}

/// Payne and Hanek, 1983: of the product of x and 2 / pi only the bits around the binary point
/// matter; those above are multiples of 4 and those far below are too small.
Angle reduce_huge(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const int exponent = static_cast<int>((bits >> 52) & 0x7FFu) - 1075;
  const std::uint64_t m = (bits & 0x000FFFFFFFFFFFFFu) | 0x0010000000000000u;
  // |x| = m * 2^exponent. Bit i of 2 / pi has in x * 2 / pi the weight m * 2^(exponent - 1 - i):
  // words start where it is a multiple of 4, and seven of them reach 160 bits below the point.
  constexpr int kWords = 7;
  const int first = exponent - 2;
  std::array<std::uint32_t, kWords> product = {};  // the most significant word first
  const std::uint64_t m_low = m & 0xFFFFFFFFu;
  const std::uint64_t m_high = m >> 32;
  std::uint64_t carry = 0;
  for (int i = kWords; i-- > 0;) {
    const std::uint64_t low_part = m_low * two_over_pi_word(first + 32 * i);
    const std::uint64_t high_part =
        i + 1 < kWords ? m_high * two_over_pi_word(first + 32 * (i + 1)) : 0;
    const std::uint64_t sum =
        (low_part & 0xFFFFFFFFu) + (high_part & 0xFFFFFFFFu) + (carry & 0xFFFFFFFFu);
    product[static_cast<std::size_t>(i)] = static_cast<std::uint32_t>(sum);
    carry = (sum >> 32) + (low_part >> 32) + (high_part >> 32) + (carry >> 32);
  }
  // The word 0 has the weights 2^1 to 2^-30.
  std::uint64_t high = std::uint64_t{product[0]} << 32 | product[1];
  std::uint64_t low = std::uint64_t{product[2]} << 32 | product[3];
  unsigned quadrant = static_cast<unsigned>(high >> 62);
  high = high << 2 | low >> 62;
  low = low << 2 | product[4] >> 30;
  // From [0, 1) to [-1/2, 1/2).
  const bool upper = (high >> 63) != 0;
  if (upper) {
    ++quadrant;
    low = ~low + 1;
    high = ~high + (low == 0 ? 1 : 0);
  }
  // Leading zeros would cost bits below: 128 bits leave at least 64, no double being nearer than
  // 2^-62 to a multiple of pi / 2.
  const int zeros = high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(low | 1);
  const auto shifted = [&](int shift) {
    if (shift == 0) return high;
    return shift < 64 ? high << shift | low >> (64 - shift) : low << (shift - 64);
  };
  const std::uint64_t top = shifted(zeros);
  const std::uint64_t rest = zeros < 64 ? low << zeros : 0;
  const double fraction_high = static_cast<double>(top >> 11) * 0x1p-53;
  const double fraction_low =
      (static_cast<double>(top & 0x7FFu) + static_cast<double>(rest >> 32) * 0x1p-32) * 0x1p-64;
  const double scale = (upper ? -1 : 1) * power_of_two(-zeros);
  const Sum product_sum = two_product(fraction_high, kHalfPi);
  const double product_low =
      product_sum.low + (fraction_high * kHalfPiLow + fraction_low * kHalfPi);
  const Sum rest_sum = ordered_sum(product_sum.high * scale, product_low * scale);
  if (x < 0) return {(0u - quadrant) & 3u, {-rest_sum.high, -rest_sum.low}};
  return {quadrant & 3u, rest_sum};
}

Angle reduce_angle(double x) {
  if (std::fabs(x) <= kHalfPi / 2) return {0, {x, 0}};
  return std::fabs(x) < 0x1p20 ? reduce_moderate(x) : reduce_huge(x);
}

double sin_of(const Sum& x) {
  static constexpr auto kTerms = factorial_terms<9>(3, 2, true);
  const double z = x.high * x.high;
  return x.high + (x.low * (1 - 0.5 * z) - x.high * z * polynomial(kTerms, z));
}

double cos_of(const Sum& x) {
  static constexpr auto kTerms = factorial_terms<8>(4, 2, true);
  const double z = x.high * x.high;
  const double half = 0.5 * z;
  const double w = 1 - half;
  return w + (((1 - w) - half) + (z * z * polynomial(kTerms, z) - x.high * x.low));
}

/// sin(x + turns * pi / 2).
double turned_sin(double x, unsigned turns) {
  if (!std::isfinite(x)) return kNan;
  const Angle angle = reduce_angle(x);
  const unsigned quadrant = (angle.quadrant + turns) & 3u;
  const double value = quadrant % 2 == 0 ? sin_of(angle.rest) : cos_of(angle.rest);
  return quadrant >= 2 ? -value : value;
}

/// atan of x in [0, 1].
double atan_within_one(double x) {
  // atan(x) = atan(c) + atan((x - c) / (1 + x c)), c the nearest of 0, 1/4, 1/2, 3/4, 1.
  static constexpr Sum kAtans[] = {{0, 0},
                                   {0x1.f5b75f92c80ddp-3, 0x1.8ab6e3cf7afbdp-57},
                                   {0x1.dac670561bb4fp-2, 0x1.a2b7f222f65e2p-56},
                                   {0x1.4978fa3269ee1p-1, 0x1.2419a87f2a458p-56},
                                   {0x1.921fb54442d18p-1, 0x1.1a62633145c07p-55}};
  static constexpr auto kTerms = odd_terms<9>(true);
  const double nearest = std::rint(x * 4);
  const double c = nearest * 0.25;
  const double t = (x - c) / (1 + x * c);
  const double z = t * t;
  const Sum& base = kAtans[static_cast<int>(nearest)];
  return base.high + (t + (t * z * polynomial(kTerms, z) + base.low));
}

/// exp(-x^2) with the rounding of the square made good.
double exp_minus_square(double x) {
  const Sum square = two_product(x, x);
  return exp_of_sum(-square.high, -square.low);
}

/// erfc(x) for x in [0.5, 28]: exp(-x^2) f(t) / (1 + 2 x), t = (x - 4) / (x + 4), a substitution of
/// Shepherd and Laframboise, 1981; f interpolated at 24 Chebyshev points, within 1e-18.
double erfc_from_half(double x) {
  static constexpr std::array<double, 24> kTerms = {
      0x1.3ba5916e9fd7fp+0,   -0x1.1df1ad154a28ep-3,  0x1.f7f5df66fd7afp-7,
      0x1.16ecefcfa539ep-4,   -0x1.9ddb23c3e906ep-4,  0x1.7fee004e123d8p-4,
      -0x1.0fb06dfe49e43p-4,  0x1.3079edf686180p-5,   -0x1.09623884f6f33p-6,
      0x1.49c6728507cedp-8,   -0x1.8d4a99f8e1195p-11, -0x1.a1df24798004cp-13,
      0x1.3be03d6974a4ap-13,  -0x1.9959675eea675p-16, -0x1.78845bcfdb3adp-17,
      0x1.7f2a83b6f787fp-18,  0x1.395e32dae2924p-22,  -0x1.bb34490220bd6p-21,
      0x1.4b57365b768b8p-24,  0x1.dad8579df16dep-24,  -0x1.5313af02c6ce7p-26,
      -0x1.f93d763641f71p-27, 0x1.4b285becdf595p-29,  0x1.a258258de60bbp-30};
  const double t = (x - 4) / (x + 4);
  return exp_minus_square(x) * (polynomial(kTerms, t) / (1 + 2 * x));
}

/// (-1)^i / (i! (2 i + 1)).
constexpr std::array<double, 20> erf_terms() {
  std::array<double, 20> terms = factorial_terms<20>(0, 1, true);
  for (std::size_t i = 0; i < terms.size(); ++i) terms[i] /= 2.0 * static_cast<double>(i) + 1.0;
  return terms;
}

}  // namespace

double real_exp(double x) {
  if (!(x <= 709.79)) return x > 709.79 ? kInfinity : x;
  return x < -745.2 ? 0 : exp_of_sum(x, 0);
}

double real_exp2(double x) {
  if (!(x < 1024)) return x >= 1024 ? kInfinity : x;
  if (x < -1075) return 0;
  const double n = std::rint(x);
  return scaled(exp_of_sum((x - n) * kLn2, 0), static_cast<int>(n));
}

double real_expm1(double x) {
  static constexpr auto kTerms = factorial_terms<13>(2, 1, false);
  if (x == 0) return x;
  if (std::fabs(x) <= 0.35) return x + x * x * polynomial(kTerms, x);
  if (x < -40) return -1;
  return real_exp(x) - 1;
}

double real_log(double x) {
  if (!(x > 0)) return x == 0 ? -kInfinity : kNan;
  if (x == kInfinity) return x;
  const auto [m, exponent] = split_binary(x);
  const double e = exponent;
  return e * kLn2High + (e * kLn2Low + log_near_one(m - 1));
}

double real_log1p(double x) {
  if (x >= -0.2928 && x <= 0.4142) return log_near_one(x);
  const double u = 1 + x;
  if (!(u > 0) || u == kInfinity) return real_log(u);
  // log(1 + x) = log(u) + log(1 + (1 + x - u) / u).
  const double lost = x > 1 ? 1 - (u - x) : x - (u - 1);
  return real_log(u) + lost / u;
}

double real_pow(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (std::isnan(x) || std::isnan(y)) return kNan;
  const double magnitude = std::fabs(x);
  if (std::isinf(y)) {
    if (magnitude == 1) return 1;
    return (magnitude > 1) == (y > 0) ? kInfinity : 0;
  }
  const double sign = std::signbit(x) && is_odd(y) ? -1 : 1;
  if (magnitude == 0) return sign * (y > 0 ? 0 : kInfinity);
  if (magnitude == kInfinity) return sign * (y > 0 ? kInfinity : 0);
  if (x < 0 && !is_integral(y)) return kNan;
  const Sum log = log_as_sum(magnitude);
  const double exponent = y * log.high;
  if (exponent > 710) return sign * kInfinity;
  if (exponent < -746) return sign * 0;
  const double low = std::fma(y, log.high, -exponent) + y * log.low;
  return sign * exp_of_sum(exponent, low);
}

// A zero keeps its sign, which a sum would lose.
double real_sin(double x) { return x == 0 ? x : turned_sin(x, 0); }

double real_cos(double x) { return turned_sin(x, 1); }

double real_tan(double x) {
  if (x == 0) return x;
  if (!std::isfinite(x)) return kNan;
  const Angle angle = reduce_angle(x);
  const double sin = sin_of(angle.rest);
  const double cos = cos_of(angle.rest);
  return angle.quadrant % 2 == 0 ? sin / cos : -(cos / sin);
}

double real_atan(double x) {
  const double magnitude = std::fabs(x);
  double angle = x;
  if (magnitude <= 1) {
    angle = atan_within_one(magnitude);
  } else if (magnitude > 1) {
    angle = kHalfPi - (atan_within_one(1 / magnitude) - kHalfPiLow);
  }
  return std::copysign(angle, x);
}

double real_asin(double x) {
  // 1 - x^2 as a product of two factors of which the small one is exact.
  return real_atan(x / std::sqrt((1 - x) * (1 + x)));
}

double real_acos(double x) { return 2 * real_atan(std::sqrt((1 - x) / (1 + x))); }

double real_sinh(double x) {
  const double magnitude = std::fabs(x);
  double value = x;
  if (magnitude <= 22) {
    const double grown = real_expm1(magnitude);
    value = 0.5 * (grown + grown / (grown + 1));
  } else {
    const double root = real_exp(0.5 * magnitude);
    value = 0.5 * root * root;
  }
  return std::copysign(value, x);
}

double real_cosh(double x) {
  const double magnitude = std::fabs(x);
  if (magnitude <= 22) {
    const double grown = real_exp(magnitude);
    return 0.5 * (grown + 1 / grown);
  }
  const double root = real_exp(0.5 * magnitude);
  return 0.5 * root * root;
}

double real_tanh(double x) {
  const double magnitude = std::fabs(x);
  if (magnitude > 22) return std::copysign(1.0, x);
  const double grown = real_expm1(2 * magnitude);
  return std::copysign(grown / (grown + 2), x);
}

double real_atanh(double x) {
  const double magnitude = std::fabs(x);
  const double value = 0.5 * real_log1p(2 * magnitude / (1 - magnitude));
  return std::copysign(value, x);
}

double real_erf(double x) {
  static constexpr auto kTerms = erf_terms();
  const double magnitude = std::fabs(x);
  if (magnitude <= 1) return kTwoOverSqrtPi * (x * polynomial(kTerms, x * x));
  if (!(magnitude <= 6)) return std::isnan(x) ? x : std::copysign(1.0, x);
  return std::copysign(1 - erfc_from_half(magnitude), x);
}

double real_erfc(double x) {
  if (!(x >= 0.5)) return 1 - real_erf(x);
  return x > 28 ? 0 : erfc_from_half(x);
}

double real_sigmoid(double x) {
  const double grown = real_exp(-std::fabs(x));
  return (x < 0 ? grown : 1) / (1 + grown);
}

double real_softplus(double x) { return (x > 0 ? x : 0) + real_log1p(real_exp(-std::fabs(x))); }

double real_mod(double x, double y) {
  const double rest = std::fmod(x, y);
  if (rest == 0) return std::copysign(rest, y);
  return (rest < 0) != (y < 0) ? rest + y : rest;
}

}  // namespace milgen::cpu
