#include "cpu/real_math.h"

#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace milgen::cpu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The oracle is the C library in long double where that is wider than double; elsewhere (there are
// machines on which they are the same) its own error is allowed for.
constexpr double kUnit = 0x1p-53;
constexpr double kOracleUnits = sizeof(long double) > 8 && LDBL_MANT_DIG > 53 ? 0 : 4;

bool same(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return a == b && std::signbit(a) == std::signbit(b);
}

struct Range {
  double low;
  double high;
};

/// Points of a range, dense both in value and in magnitude.
template <class F>
void each_point(const Range& range, const F& f) {
  std::mt19937_64 random(7);
  constexpr int kCount = 40000;
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int i = 0; i <= kCount; ++i) {
    f(range.low + (range.high - range.low) * uniform(random));
  }
  // 2^-60 to the ends.
  const double largest = std::fmax(std::fabs(range.low), std::fabs(range.high));
  for (int i = 0; i <= kCount; ++i) {
    const double x = largest * std::exp2(-uniform(random) * 60);
    if (x >= range.low && x <= range.high) f(x);
    if (-x >= range.low && -x <= range.high) f(-x);
  }
}

/// The largest error in units of 2^-53, where the true result is normal.
double largest_error(double (*function)(double), long double (*truth)(long double),
                     const std::vector<Range>& ranges) {
  long double worst = 0;
  for (const Range& range : ranges) {
    each_point(range, [&](double x) {
      const long double want = truth(x);
      if (std::fabs(want) < std::numeric_limits<double>::min() ||
          std::fabs(want) > std::numeric_limits<double>::max()) {
        return;
      }
      const long double error = std::fabs((function(x) - want) / want);
      if (!(error <= worst)) worst = error;
    });
  }
  return static_cast<double>(worst / kUnit);
}

struct Row {
  std::string name;
  double (*function)(double);
  long double (*truth)(long double);
  std::vector<Range> ranges;
  double limit;  ///< the number in real_math.h
};

std::vector<Row> rows() {
  using L = long double;
  return {
      {"exp", real_exp, [](L x) { return std::exp(x); }, {{-709, 709.7}, {-2, 2}}, 1.3},
      {"exp2", real_exp2, [](L x) { return std::exp2(x); }, {{-1022, 1023.9}, {-2, 2}}, 1.4},
      {"expm1", real_expm1, [](L x) { return std::expm1(x); }, {{-50, 709.7}, {-2, 2}}, 4.1},
      {"log", real_log, [](L x) { return std::log(x); }, {{0, 1e300}, {0, 4}, {0.9, 1.1}}, 1.6},
      {"log1p",
       real_log1p,
       [](L x) { return std::log1p(x); },
       {{-0.999999, 1e300}, {-1, 1}, {-0.5, 8}},
       2.1},
      {"sin",
       real_sin,
       [](L x) { return std::sin(x); },
       {{-8, 8}, {-2e6, 2e6}, {-1e300, 1e300}},
       1.2},
      {"cos",
       real_cos,
       [](L x) { return std::cos(x); },
       {{-8, 8}, {-2e6, 2e6}, {-1e300, 1e300}},
       1.2},
      {"tan",
       real_tan,
       [](L x) { return std::tan(x); },
       {{-8, 8}, {-2e6, 2e6}, {-1e300, 1e300}},
       2.6},
      {"asin", real_asin, [](L x) { return std::asin(x); }, {{-1, 1}, {0.99, 1}}, 3.4},
      {"acos", real_acos, [](L x) { return std::acos(x); }, {{-1, 1}, {0.99, 1}}, 2.9},
      {"atan", real_atan, [](L x) { return std::atan(x); }, {{-4, 4}, {-1e9, 1e9}}, 2.9},
      {"sinh", real_sinh, [](L x) { return std::sinh(x); }, {{-4, 4}, {-710, 710}}, 4.3},
      {"cosh", real_cosh, [](L x) { return std::cosh(x); }, {{-4, 4}, {-710, 710}}, 3.6},
      {"tanh", real_tanh, [](L x) { return std::tanh(x); }, {{-4, 4}, {-30, 30}}, 3.8},
      {"atanh", real_atanh, [](L x) { return std::atanh(x); }, {{-1, 1}, {0.9, 1}}, 2.8},
      {"erf", real_erf, [](L x) { return std::erf(x); }, {{-2, 2}, {-7, 7}}, 2.5},
      {"erfc", real_erfc, [](L x) { return std::erfc(x); }, {{-7, 26.5}, {-1, 3}}, 4},
      {"sigmoid",
       real_sigmoid,
       [](L x) { return 1 / (1 + std::exp(-x)); },
       {{-708, 708}, {-8, 8}},
       2.9},
      {"softplus",
       real_softplus,
       [](L x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); },
       {{-708, 708}, {-8, 8}},
       2.6},
  };
}

TEST_CASE("functions of doubles have the error that their header states") {
  for (const Row& row : rows()) {
    const double error = largest_error(row.function, row.truth, row.ranges);
    INFO(row.name, ": ", error);
    CHECK(error <= row.limit + kOracleUnits);
    // A statement that is far from the truth is of no use.
    if (kOracleUnits == 0) CHECK(error >= row.limit / 4);
  }
}

TEST_CASE("pow has the error that its header states") {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> uniform(-1, 1);
  long double worst = 0;
  for (int i = 0; i < 400000; ++i) {
    const double x = i % 2 == 0 ? std::exp2(1000 * uniform(random)) : 1 + 0.5 * uniform(random);
    const double limit = std::fabs(700 / std::log(x));
    const double y = uniform(random) * std::fmin(limit, 1e300);
    const long double want = std::pow(static_cast<long double>(x), static_cast<long double>(y));
    if (!(want > 1e-300L && want < 1e300L)) continue;
    worst = std::fmax(worst, std::fabs((real_pow(x, y) - want) / want));
  }
  const double error = static_cast<double>(worst / kUnit);
  INFO("pow: ", error);
  CHECK(error <= 1.6 + kOracleUnits);
}

TEST_CASE("special values are those of the C standard") {
  struct Special {
    std::string name;
    double (*function)(double);
    double (*truth)(double);
  };
  const Special functions[] = {
      {"exp", real_exp, [](double x) { return std::exp(x); }},
      {"exp2", real_exp2, [](double x) { return std::exp2(x); }},
      {"expm1", real_expm1, [](double x) { return std::expm1(x); }},
      {"log", real_log, [](double x) { return std::log(x); }},
      {"log1p", real_log1p, [](double x) { return std::log1p(x); }},
      {"sin", real_sin, [](double x) { return std::sin(x); }},
      {"cos", real_cos, [](double x) { return std::cos(x); }},
      {"tan", real_tan, [](double x) { return std::tan(x); }},
      {"asin", real_asin, [](double x) { return std::asin(x); }},
      {"acos", real_acos, [](double x) { return std::acos(x); }},
      {"atan", real_atan, [](double x) { return std::atan(x); }},
      {"sinh", real_sinh, [](double x) { return std::sinh(x); }},
      {"cosh", real_cosh, [](double x) { return std::cosh(x); }},
      {"tanh", real_tanh, [](double x) { return std::tanh(x); }},
      {"atanh", real_atanh, [](double x) { return std::atanh(x); }},
      {"erf", real_erf, [](double x) { return std::erf(x); }},
      {"erfc", real_erfc, [](double x) { return std::erfc(x); }},
  };
  const double values[] = {0.0, -0.0, kInfinity, -kInfinity, kNan, 1.0, -1.0, 1e4, -1e4};
  for (const Special& f : functions) {
    for (const double x : values) {
      const double want = f.truth(x);
      const double got = f.function(x);
      INFO(f.name, " of ", x, ": ", got, ", not ", want);
      const bool special = want == 0 || !std::isfinite(want);
      CHECK((special ? same(got, want) : std::fabs(got - want) <= 1e-15 * std::fabs(want)));
    }
  }
  CHECK(real_sigmoid(kInfinity) == 1);
  CHECK(real_sigmoid(-kInfinity) == 0);
  CHECK(real_sigmoid(-0.0) == 0.5);
  CHECK(std::isnan(real_sigmoid(kNan)));
  CHECK(real_softplus(kInfinity) == kInfinity);
  CHECK(real_softplus(-kInfinity) == 0);
  CHECK(std::isnan(real_softplus(kNan)));
}

TEST_CASE("special values of pow are those of the C standard") {
  const double values[] = {0.0,  -0.0, 1.0,  -1.0,  0.5,    -0.5,      2.0,        -2.0, 3.0,
                           -3.0, 1.5,  -1.5, 1e300, -1e300, kInfinity, -kInfinity, kNan};
  for (const double x : values) {
    for (const double y : values) {
      const double want = std::pow(x, y);
      const double got = real_pow(x, y);
      INFO(x, " to the power of ", y, ": ", got, ", not ", want);
      const bool special = want == 0 || !std::isfinite(want);
      CHECK((special ? same(got, want) : std::fabs(got - want) <= 1e-15 * std::fabs(want)));
    }
  }
}

TEST_CASE("results that are subnormal or overflow are near the C library's") {
  for (double x = -745.5; x < -708; x += 0.01) {
    INFO(x);
    CHECK(std::fabs(real_exp(x) - std::exp(x)) <= std::numeric_limits<double>::denorm_min());
  }
  CHECK(real_exp(709.79) == kInfinity);
  CHECK(real_exp(-745.2) == 0);
  CHECK(std::fabs(real_exp2(-1074) / std::numeric_limits<double>::denorm_min() - 1) == 0);
  CHECK(real_exp2(1024) == kInfinity);
  CHECK(real_log(std::numeric_limits<double>::denorm_min()) ==
        doctest::Approx(-744.4400719213812).epsilon(1e-15));
}

TEST_CASE("mod has the sign of the divisor") {
  CHECK(real_mod(5.5, 2) == 1.5);
  CHECK(real_mod(-5.5, 2) == 0.5);
  CHECK(real_mod(5.5, -2) == -0.5);
  CHECK(real_mod(-5.5, -2) == -1.5);
  CHECK(same(real_mod(-4, 2), 0.0));
  CHECK(same(real_mod(4, -2), -0.0));
  CHECK(real_mod(1, kInfinity) == 1);
  CHECK(real_mod(-1, kInfinity) == kInfinity);
  CHECK(std::isnan(real_mod(1, 0)));
  CHECK(std::isnan(real_mod(kInfinity, 1)));
}

}  // namespace
}  // namespace milgen::cpu
