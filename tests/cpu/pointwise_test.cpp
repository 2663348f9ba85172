#include "cpu/pointwise.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/simd.h"
#include "support/half.h"
#include "support/thread_pool.h"

namespace milgen::cpu {
namespace {

using L = long double;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

detail::ThreadPool& pool() {
  static detail::ThreadPool one(1);
  return one;
}

/// Lifts the limit of the vector unit when a test ends.
struct SimdLimit {
  ~SimdLimit() { detail::limit_simd(""); }
};

Tape unary_tape(PointOp op, DType dtype, float alpha, float beta) {
  Tape tape;
  const Rounding rounding = dtype == DType::fp16 ? Rounding::fp16 : Rounding::fp32;
  tape.output(tape.apply(op, rounding, tape.input(dtype), alpha, beta), dtype);
  REQUIRE(tape.finish());
  return tape;
}

Tape binary_tape(PointOp op, DType dtype, DType result) {
  Tape tape;
  const Rounding rounding = dtype == DType::fp16 ? Rounding::fp16 : Rounding::fp32;
  const TapeRegister x = tape.input(dtype);
  const TapeRegister y = tape.input(dtype);
  tape.output(tape.apply(op, rounding, x, y), result);
  REQUIRE(tape.finish());
  return tape;
}

template <class T>
std::vector<T> run_unary(PointOp op, DType dtype, const std::vector<T>& x, float alpha = 0,
                         float beta = 0) {
  std::vector<T> out(x.size());
  const Tape tape = unary_tape(op, dtype, alpha, beta);
  run_tape(tape, std::array<const void*, 1>{x.data()}, std::array<void*, 1>{out.data()},
           static_cast<std::int64_t>(x.size()), pool());
  return out;
}

template <class T>
std::vector<T> run_binary(PointOp op, DType dtype, const std::vector<T>& x,
                          const std::vector<T>& y) {
  std::vector<T> out(x.size());
  const Tape tape = binary_tape(op, dtype, dtype);
  run_tape(tape, std::array<const void*, 2>{x.data(), y.data()}, std::array<void*, 1>{out.data()},
           static_cast<std::int64_t>(x.size()), pool());
  return out;
}

float run_one(PointOp op, float x, float alpha = 0, float beta = 0) {
  return run_unary<float>(op, DType::fp32, {x}, alpha, beta)[0];
}

float run_one(PointOp op, std::array<float, 2> xy) {
  return run_binary<float>(op, DType::fp32, {xy[0]}, {xy[1]})[0];
}

bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

/// The distance in units of the last place of fp32.
double ulps(float got, L want) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : 1e30;
  if (std::isinf(got)) return std::fabs(want) >= 0x1.ffffffp127L ? 0 : 1e30;
  if (std::isinf(want)) return 1e30;
  const int exponent = want == 0 ? -126 : std::max(std::ilogb(want), -126);
  return static_cast<double>(std::fabs(got - want) / std::ldexp(L{1}, exponent - 23));
}

struct Range {
  float low;
  float high;
};

/// Values of a range, dense both in value and in magnitude.
std::vector<float> samples(const std::vector<Range>& ranges) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<float> x;
  for (const Range& range : ranges) {
    const float largest = std::max(std::fabs(range.low), std::fabs(range.high));
    for (int i = 0; i < 60000; ++i) {
      x.push_back(range.low + (range.high - range.low) * uniform(random));
      const float small = largest * std::exp2(-uniform(random) * 40);
      if (small >= range.low && small <= range.high) x.push_back(small);
      if (-small >= range.low && -small <= range.high) x.push_back(-small);
    }
  }
  return x;
}

L sigmoid(L x) { return 1 / (1 + std::exp(-x)); }
L gelu_tanh(L x) {
  return x *
         sigmoid(2 * std::sqrt(2 / L{3.14159265358979323846264L}) * (x + 0.044715L * x * x * x));
}

/// An op of one operand with what pointwise.h says of its error.
struct Row {
  PointOp op;
  std::string name;
  L (*truth)(L);
  std::vector<Range> ranges;
  double limit;    ///< ULPs of fp32
  int misrounded;  ///< of the 65536 halves
  float alpha = 0;
  float beta = 0;
};

std::vector<Row> rows() {
  using P = PointOp;
  const std::vector<Range> all = {{-1e38f, 1e38f}, {-4, 4}};
  const std::vector<Range> positive = {{0, 3e38f}, {0, 4}};
  return {
      {P::exp, "exp", [](L x) { return std::exp(x); }, {{-104, 88.8f}, {-1, 1}}, 0.95, 2},
      {P::exp2, "exp2", [](L x) { return std::exp2(x); }, {{-150, 128}, {-1, 1}}, 0.93, 1},
      {P::log, "log", [](L x) { return std::log(x); }, {{0, 3e38f}, {0, 4}, {0.9f, 1.1f}}, 0.8, 1},
      {P::tanh, "tanh", [](L x) { return std::tanh(x); }, {{-10, 10}, {-1, 1}}, 1.3, 0},
      {P::sigmoid, "sigmoid", sigmoid, {{-104, 104}, {-4, 4}}, 2.2, 6},
      {P::silu, "silu", [](L x) { return x * sigmoid(x); }, {{-110, 104}, {-4, 4}}, 2.9, 3},
      {P::erf, "erf", [](L x) { return std::erf(x); }, {{-5, 5}, {-1, 1}}, 1.3, 2},
      {P::gelu,
       "gelu",
       [](L x) { return x * std::erfc(-x / std::sqrt(L{2})) / 2; },
       {{-15, 15}, {-2, 2}},
       4,
       3},
      {P::gelu_tanh, "gelu_tanh", gelu_tanh, {{-15, 15}, {-2, 2}}, 2.9, 2},
      {P::gelu_sigmoid,
       "gelu_sigmoid",
       [](L x) { return x * sigmoid(1.702L * x); },
       {{-70, 70}, {-2, 2}},
       2.7,
       2},
      {P::softplus,
       "softplus",
       [](L x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); },
       {{-104, 104}, {-4, 4}},
       1.6,
       2},
      {P::softsign, "softsign", [](L x) { return x / (1 + std::fabs(x)); }, all, 1.5, 0},
      {P::elu,
       "elu",
       [](L x) { return x > 0 ? x : std::expm1(x); },
       {{-100, 10}, {-2, 2}},
       0.9,
       0,
       1},
      {P::rsqrt, "rsqrt", [](L x) { return 1 / std::sqrt(x + 0); }, positive, 1.5, 0},
      {P::inverse, "inverse", [](L x) { return 1 / (x + 0); }, all, 0.5, 0},
      {P::sqrt, "sqrt", [](L x) { return std::sqrt(x); }, positive, 0.5, 0},
      {P::square, "square", [](L x) { return x * x; }, {{-1e18f, 1e18f}, {-4, 4}}, 0.5, 0},
      {P::pow_constant,
       "pow_constant 2.5",
       [](L x) { return std::pow(x, 2.5L); },
       {{0, 1e15f}, {0, 4}},
       1.2,
       0,
       2.5f},
      {P::pow_constant, "pow_constant -0.5", [](L x) { return std::pow(x, -0.5L); }, positive, 1.2,
       0, -0.5f},
      {P::scaled_tanh,
       "scaled_tanh",
       [](L x) { return 1.703125L * std::tanh(0.6875L * x); },
       {{-10, 10}, {-1, 1}},
       3,
       6,
       1.703125f,
       0.6875f},
      {P::acos, "acos", [](L x) { return std::acos(x); }, {{-1, 1}}, 0.501, 0},
      {P::asin, "asin", [](L x) { return std::asin(x); }, {{-1, 1}}, 0.501, 0},
      {P::atan, "atan", [](L x) { return std::atan(x); }, all, 0.501, 0},
      {P::atanh, "atanh", [](L x) { return std::atanh(x); }, {{-1, 1}}, 0.501, 0},
      {P::cos, "cos", [](L x) { return std::cos(x); }, all, 0.501, 0},
      {P::cosh, "cosh", [](L x) { return std::cosh(x); }, {{-89, 89}}, 0.501, 0},
      {P::sin, "sin", [](L x) { return std::sin(x); }, all, 0.501, 0},
      {P::sinh, "sinh", [](L x) { return std::sinh(x); }, {{-89, 89}}, 0.501, 0},
      {P::tan, "tan", [](L x) { return std::tan(x); }, all, 0.501, 0},
  };
}

TEST_CASE("functions of fp32 have the error that is stated") {
  for (const Row& row : rows()) {
    const std::vector<float> x = samples(row.ranges);
    const std::vector<float> y = run_unary(row.op, DType::fp32, x, row.alpha, row.beta);
    double worst = 0;
    float where = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double error = ulps(y[i], row.truth(x[i]));
      if (error > worst) where = x[i];
      worst = std::max(worst, error);
    }
    INFO(row.name, " is off by ", worst, " at ", where);
    CHECK(worst <= row.limit);
  }
}

TEST_CASE("functions of fp16 are rounded right but for the halves that are counted") {
  std::vector<std::uint16_t> x(65536);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::uint16_t>(i);
  for (const Row& row : rows()) {
    const auto y = run_unary(row.op, DType::fp16, x, row.alpha, row.beta);
    int wrong = 0;
    std::string list;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const L want = row.truth(float_from_half(x[i]));
      const auto half =
          std::isnan(want) ? std::uint16_t{0x7E00} : half_from_double(static_cast<double>(want));
      if (y[i] == half) continue;
      ++wrong;
      if (list.size() < 200) list += fmt::format(" {}", float_from_half(x[i]));
    }
    INFO(row.name, ": ", wrong, " at", list);
    CHECK(wrong == row.misrounded);
  }
}

// --- What a value is does not depend on where, how and with what it is run. ---

TEST_CASE("special values of ops of one operand") {
  using P = PointOp;
  struct Special {
    PointOp op;
    float x;
    float want;
    float alpha = 0;
    float beta = 0;
  };
  const Special rows[] = {
      {P::abs, -0.0f, 0.0f},
      {P::abs, -kInfinity, kInfinity},
      {P::ceil, -0.5f, -0.0f},
      {P::ceil, 0x1p30f, 0x1p30f},
      {P::ceil, 1.25f, 2},
      {P::clamped_relu, -2, -1, 0.5f, 3},
      {P::clamped_relu, 5, 3, 0.5f, 3},
      {P::clip, 5, 3, -1, 3},
      {P::clip, -5, -1, -1, 3},
      {P::clip, kNan, kNan, -1, 3},
      {P::elu, -0.0f, -0.0f, 1},
      {P::elu, -kInfinity, -2, 2},
      {P::erf, kInfinity, 1},
      {P::erf, -kInfinity, -1},
      {P::erf, -0.0f, -0.0f},
      {P::exp, kInfinity, kInfinity},
      {P::exp, -kInfinity, 0},
      {P::exp, -0.0f, 1},
      {P::exp, 89, kInfinity},
      {P::exp2, 10, 1024},
      {P::exp2, -149, 0x1p-149f},
      {P::exp2, -kInfinity, 0},
      {P::exp2, 128, kInfinity},
      {P::floor, -0.5f, -1},
      {P::floor, 0.5f, 0.0f},
      {P::floor, -0.0f, -0.0f},
      {P::gelu, kInfinity, kInfinity},
      {P::gelu, -kInfinity, kNan},
      {P::gelu, -0.0f, -0.0f},
      {P::gelu, -1e30f, -0.0f},
      {P::gelu_sigmoid, -1e30f, -0.0f},
      {P::gelu_tanh, -1e30f, -0.0f},
      {P::gelu_tanh, 1e30f, 1e30f},
      {P::inverse, -0.0f, 10000, 1e-4f},
      {P::leaky_relu, -2, -1, 0.5f},
      {P::leaky_relu, -0.0f, -0.0f, 0.5f},
      {P::linear, 3, 7, 2, 1},
      {P::log, 0, -kInfinity},
      {P::log, -1, kNan},
      {P::log, kInfinity, kInfinity},
      {P::log, 1, 0},
      {P::log, 0, -103.278929903431851f, 1e-45f},
      {P::logical_not, 0, 1},
      {P::logical_not, kNan, 0},
      {P::negate, 0, -0.0f},
      {P::pow_constant, -3, 9, 2},
      {P::pow_constant, -3, -27, 3},
      {P::pow_constant, -3, kNan, 0.5f},
      {P::relu, -0.0f, 0.0f},
      {P::relu, kNan, kNan},
      {P::relu, -kInfinity, 0},
      {P::relu6, 7, 6},
      {P::relu6, kNan, kNan},
      {P::round, 0.5f, 0},
      {P::round, 1.5f, 2},
      {P::round, 2.5f, 2},
      {P::round, -0.5f, -0.0f},
      {P::round, -2.5f, -2},
      {P::round, 8388609.0f, 8388609.0f},
      {P::round, kNan, kNan},
      {P::rsqrt, 0, kInfinity},
      {P::rsqrt, -1, kNan},
      {P::rsqrt, 0, 1e6f, 1e-12f},
      {P::sigmoid, kInfinity, 1},
      {P::sigmoid, -kInfinity, 0},
      {P::sigmoid, 0, 0.5f},
      {P::sigmoid_hard, 10, 1, 0.2f, 0.5f},
      {P::sigmoid_hard, -10, 0, 0.2f, 0.5f},
      {P::sigmoid_hard, kNan, kNan, 0.2f, 0.5f},
      {P::sign, -0.0f, -0.0f},
      {P::sign, -kInfinity, -1},
      {P::sign, kNan, kNan},
      {P::silu, -kInfinity, kNan},
      {P::silu, kInfinity, kInfinity},
      {P::silu, -1e38f, -0.0f},
      {P::sin, kInfinity, kNan},
      {P::softplus, -kInfinity, 0},
      {P::softplus, kInfinity, kInfinity},
      {P::softplus, kNan, kNan},
      {P::softsign, kInfinity, kNan},
      {P::sqrt, -0.0f, -0.0f},
      {P::sqrt, -1, kNan},
      {P::square, -kInfinity, kInfinity},
      {P::tanh, -0.0f, -0.0f},
      {P::tanh, kInfinity, 1},
      {P::tanh, -kInfinity, -1},
      {P::threshold, kNan, kNan, 1},
      {P::threshold, 0, 1, 1},
      {P::thresholded_relu, 1, 1, 1},
      {P::thresholded_relu, 0.5f, 0, 1},
      {P::thresholded_relu, kNan, 0, 1},
  };
  for (const Special& row : rows) {
    const float got = run_one(row.op, row.x, row.alpha, row.beta);
    INFO(static_cast<int>(row.op), " of ", row.x, ": ", got, ", not ", row.want);
    CHECK(same(got, row.want));
  }
}

TEST_CASE("special values of ops of two operands") {
  using P = PointOp;
  struct Special {
    PointOp op;
    float x;
    float y;
    float want;
  };
  const Special rows[] = {
      {P::maximum, 1, kNan, kNan},
      {P::maximum, kNan, 1, kNan},
      {P::maximum, 0.0f, -0.0f, -0.0f},
      {P::minimum, kNan, 1, kNan},
      {P::minimum, -kInfinity, 1, -kInfinity},
      {P::floor_div, 7, 2, 3},
      {P::floor_div, -7, 2, -4},
      {P::floor_div, 1, 0.1f, 9},
      {P::floor_div, 1, 0, kInfinity},
      {P::floor_div, 0, 0, kNan},
      {P::mod, -7, 2, 1},
      {P::mod, 7, -2, -1},
      {P::mod, 1, 0, kNan},
      {P::mod, 1, 0.1f, std::fmod(1.0f, 0.1f)},
      {P::real_div, 1, 0, kInfinity},
      {P::real_div, 0, 0, kNan},
      {P::prelu, -2, 0.25f, -0.5f},
      {P::equal, kNan, kNan, 0},
      {P::equal, 0.0f, -0.0f, 1},
      {P::not_equal, kNan, kNan, 1},
      {P::less, 1, 2, 1},
      {P::less_equal, 2, 2, 1},
      {P::greater, 2, 2, 0},
      {P::greater_equal, 2, kNan, 0},
      {P::logical_and, 2, kNan, 1},
      {P::logical_or, 0, 0, 0},
      {P::logical_xor, 2, 3, 0},
  };
  for (const Special& row : rows) {
    const float got = run_one(row.op, {row.x, row.y});
    INFO(static_cast<int>(row.op), " of ", row.x, ", ", row.y, ": ", got, ", not ", row.want);
    CHECK(same(got, row.want));
  }
}

TEST_CASE("pow has the special values of C, and squares exactly") {
  const float special[] = {0.0f,  -0.0f,  1,         -1,         0.5f, -0.5f,
                           2,     -2,     3,         -3,         1.5f, -2.5f,
                           1e30f, -1e30f, kInfinity, -kInfinity, kNan, 16777217.0f};
  for (const float x : special) {
    for (const float y : special) {
      const float got = run_one(PointOp::pow, {x, y});
      const auto want =
          static_cast<float>(std::pow(static_cast<double>(x), static_cast<double>(y)));
      INFO(x, " to the power of ", y, ": ", got, ", not ", want);
      const bool exact = want == 0 || !std::isfinite(want) || y == 2;
      CHECK((exact ? same(got, want) : std::fabs(got - want) <= 1.2e-7f * std::fabs(want)));
      CHECK(same(got, run_one(PointOp::pow_constant, x, y)));
    }
  }
  const std::vector<float> x = samples({{-1e18f, 1e18f}});
  CHECK(run_binary(PointOp::pow, DType::fp32, x, std::vector<float>(x.size(), 2)) ==
        run_unary(PointOp::square, DType::fp32, x));
}

TEST_CASE("pow of many exponents has the error that is stated") {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> x;
  std::vector<float> y;
  for (int i = 0; i < 200000; ++i) {
    x.push_back(i % 2 == 0 ? std::exp2(127 * uniform(random)) : 1 + 0.1f * uniform(random));
    y.push_back(uniform(random) * std::min(1e6f, std::fabs(100 / std::log(x.back()))));
  }
  const std::vector<float> got = run_binary(PointOp::pow, DType::fp32, x, y);
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, ulps(got[i], std::pow(static_cast<L>(x[i]), static_cast<L>(y[i]))));
  }
  INFO(worst);
  CHECK(worst <= 1.2);
}

/// The tape of one op of three inputs, of which it takes as many as it has operands.
Tape tape_of(PointOp op, DType dtype) {
  const Rounding rounding = dtype == DType::fp16 ? Rounding::fp16 : Rounding::fp32;
  Tape tape;
  const TapeRegister x = tape.input(dtype);
  const TapeRegister y = tape.input(dtype);
  const TapeRegister z = tape.input(dtype);
  const int operands = operand_count(op);
  tape.output(operands == 1   ? tape.apply(op, rounding, x, 0.75f, 1.5f)
              : operands == 2 ? tape.apply(op, rounding, x, y)
                              : tape.apply(op, rounding, x, y, z),
              dtype);
  REQUIRE(tape.finish());
  return tape;
}

/// Floats as the bytes of a tensor of fp16 or fp32.
std::vector<std::uint8_t> bytes_of(DType dtype, const std::vector<float>& floats) {
  std::vector<std::uint8_t> bytes(floats.size() * (dtype == DType::fp16 ? 2 : 4));
  for (std::size_t i = 0; i < floats.size(); ++i) {
    const std::uint16_t half = half_from_float(floats[i]);
    if (dtype == DType::fp16) std::memcpy(&bytes[2 * i], &half, 2);
    if (dtype == DType::fp32) std::memcpy(&bytes[4 * i], &floats[i], 4);
  }
  return bytes;
}

/// The results of every op over values of all kinds.
std::vector<std::uint8_t> bytes_of_all_ops(DType dtype, detail::ThreadPool& on) {
  std::vector<float> floats = {0.0f, -0.0f, kInfinity, -kInfinity, kNan, -kNan, 1e-45f, -1e-40f};
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-1, 1);
  while (floats.size() < 20011) {
    const float scale = std::exp2(std::floor(40 * uniform(random)));
    floats.push_back(floats.size() % 2 == 0 ? 100 * uniform(random) : scale * uniform(random));
  }
  std::shuffle(floats.begin(), floats.end(), random);
  const std::vector<std::uint8_t> x = bytes_of(dtype, floats);
  const std::size_t size = x.size() / floats.size();
  const std::size_t count = floats.size() - 2;
  std::vector<std::uint8_t> all;
  for (int op = 0; op <= static_cast<int>(PointOp::select); ++op) {
    std::vector<std::uint8_t> y(count * size);
    run_tape(tape_of(static_cast<PointOp>(op), dtype),
             std::array<const void*, 3>{x.data(), x.data() + size, x.data() + 2 * size},
             std::array<void*, 1>{y.data()}, static_cast<std::int64_t>(count), on);
    all.insert(all.end(), y.begin(), y.end());
  }
  return all;
}

TEST_CASE("every vector unit and number of threads gives the same bits") {
  const SimdLimit lift;
  detail::ThreadPool threads(4);
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    detail::limit_simd("");
    const auto want = bytes_of_all_ops(dtype, pool());
    const bool same_on_threads = bytes_of_all_ops(dtype, threads) == want;
    CHECK(same_on_threads);
    for (const std::string_view level : detail::simd_levels()) {
      CHECK(detail::limit_simd(level));
      const bool same_on_level = bytes_of_all_ops(dtype, pool()) == want;
      INFO(level);
      CHECK(same_on_level);
    }
  }
}

TEST_CASE("halves are widened and rounded as support/half.h defines it, on every vector unit") {
  const SimdLimit lift;
  std::vector<std::uint16_t> halves(65536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  // Around every half: it, what is just beside it, and ties.
  std::vector<float> floats;
  for (const std::uint16_t half : halves) {
    const float value = float_from_half(half);
    const float next = float_from_half(static_cast<std::uint16_t>(half + 1));
    const float tie = value / 2 + next / 2;
    for (const float x : {value, std::nextafter(value, next), tie, std::nextafter(tie, value)}) {
      floats.push_back(x);
    }
  }
  Tape widen;
  widen.output(widen.input(DType::fp16), DType::fp32);
  REQUIRE(widen.finish());
  Tape narrow;
  narrow.output(narrow.input(DType::fp32), DType::fp16);
  REQUIRE(narrow.finish());
  // The rounding of an instruction whose result is then read as fp32.
  Tape within;
  within.output(within.apply(PointOp::linear, Rounding::fp16, within.input(DType::fp32), 1, -0.0f),
                DType::fp32);
  REQUIRE(within.finish());
  for (const std::string_view level : detail::simd_levels()) {
    INFO(level);
    CHECK(detail::limit_simd(level));
    std::vector<float> wide(halves.size());
    run_tape(widen, std::array<const void*, 1>{halves.data()}, std::array<void*, 1>{wide.data()},
             65536, pool());
    std::vector<std::uint16_t> narrowed(floats.size());
    std::vector<float> rounded(floats.size());
    const auto count = static_cast<std::int64_t>(floats.size());
    run_tape(narrow, std::array<const void*, 1>{floats.data()},
             std::array<void*, 1>{narrowed.data()}, count, pool());
    run_tape(within, std::array<const void*, 1>{floats.data()},
             std::array<void*, 1>{rounded.data()}, count, pool());
    int wrong = 0;
    for (std::size_t i = 0; i < halves.size(); ++i) {
      wrong += !same(wide[i], float_from_half(halves[i]));
    }
    CHECK(wrong == 0);
    for (std::size_t i = 0; i < floats.size(); ++i) {
      const std::uint16_t want =
          std::isnan(floats[i]) ? std::uint16_t{0x7E00} : half_from_float(floats[i]);
      wrong += narrowed[i] != want || !same(rounded[i], float_from_half(want));
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("a fused chain has the bits of its ops one by one") {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> floats(3000);
  for (float& value : floats) value = normal(random);
  const auto count = static_cast<std::int64_t>(floats.size());
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    const Rounding rounding = dtype == DType::fp16 ? Rounding::fp16 : Rounding::fp32;
    const std::vector<std::uint8_t> x = bytes_of(dtype, floats);
    const auto one = [&](PointOp op, const std::vector<std::uint8_t>& a,
                         const std::vector<std::uint8_t>& b) {
      std::vector<std::uint8_t> y(x.size());
      run_tape(tape_of(op, dtype), std::array<const void*, 3>{a.data(), b.data(), b.data()},
               std::array<void*, 1>{y.data()}, count, pool());
      return y;
    };
    const auto silu = one(PointOp::silu, x, x);
    const auto product = one(PointOp::mul, silu, x);
    const auto exp = one(PointOp::exp, product, product);
    const auto sum = one(PointOp::add, exp, silu);
    const auto sine = one(PointOp::sin, sum, sum);
    const auto last = one(PointOp::real_div, sine, product);

    Tape tape;
    const TapeRegister in = tape.input(dtype);
    const TapeRegister t1 = tape.apply(PointOp::silu, rounding, in);
    const TapeRegister t2 = tape.apply(PointOp::mul, rounding, t1, in);
    const TapeRegister t3 = tape.apply(PointOp::exp, rounding, t2);
    const TapeRegister t4 = tape.apply(PointOp::add, rounding, t3, t1);
    const TapeRegister t5 = tape.apply(PointOp::sin, rounding, t4);
    tape.output(t4, dtype);
    tape.output(tape.apply(PointOp::real_div, rounding, t5, t2), dtype);
    REQUIRE(tape.finish());
    std::vector<std::uint8_t> tap(x.size());
    std::vector<std::uint8_t> fused(x.size());
    run_tape(tape, std::array<const void*, 1>{x.data()},
             std::array<void*, 2>{tap.data(), fused.data()}, count, pool());
    CHECK(tap == sum);
    CHECK(fused == last);
  }
}

TEST_CASE("an input that is added after an instruction is there when it is read") {
  Tape tape;
  const TapeRegister x = tape.input(DType::fp32);
  TapeRegister sum = tape.apply(PointOp::negate, Rounding::fp32, x);
  sum = tape.apply(PointOp::add, Rounding::fp32, sum, tape.input(DType::fp32));
  sum = tape.apply(PointOp::add, Rounding::fp32, sum, tape.input(DType::fp32));
  tape.output(sum, DType::fp32);
  REQUIRE(tape.finish());
  const float a = 1;
  const float b = 10;
  const float c = 100;
  float out = 0;
  run_tape(tape, std::array<const void*, 3>{&a, &b, &c}, std::array<void*, 1>{&out}, 1, pool());
  CHECK(out == 109);
}

TEST_CASE("an output may be the memory of an input") {
  constexpr std::int64_t kCount = 5000;
  std::vector<float> x(kCount);
  std::vector<float> y(kCount);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i);
    y[i] = static_cast<float>(2 * i + 1);
  }
  const std::vector<float> x_before = x;
  const std::vector<float> y_before = y;
  // The sum over x, the difference over y, so that each is read after the other was made.
  Tape tape;
  const TapeRegister a = tape.input(DType::fp32);
  const TapeRegister b = tape.input(DType::fp32);
  tape.output(tape.apply(PointOp::add, Rounding::fp32, a, b), DType::fp32);
  tape.output(tape.apply(PointOp::sub, Rounding::fp32, a, b), DType::fp32);
  REQUIRE(tape.finish());
  run_tape(tape, std::array<const void*, 2>{x.data(), y.data()},
           std::array<void*, 2>{x.data(), y.data()}, kCount, pool());
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] != x_before[i] + y_before[i] || y[i] != x_before[i] - y_before[i]) FAIL_CHECK(i);
  }
  // Swapped: an output is an input as it stands.
  x = x_before;
  y = y_before;
  Tape swap;
  const TapeRegister first = swap.input(DType::fp32);
  const TapeRegister second = swap.input(DType::fp32);
  swap.output(second, DType::fp32);
  swap.output(first, DType::fp32);
  REQUIRE(swap.finish());
  run_tape(swap, std::array<const void*, 2>{x.data(), y.data()},
           std::array<void*, 2>{x.data(), y.data()}, kCount, pool());
  CHECK(x == y_before);
  CHECK(y == x_before);
}

using Dims = std::vector<std::int64_t>;

std::size_t volume(const Dims& dims) {
  std::size_t count = 1;
  for (const std::int64_t dim : dims) count *= static_cast<std::size_t>(dim);
  return count;
}

/// Which element of a tensor of shape `shape` stands at element `flat` of the one it broadcasts to.
std::size_t index_in(const Dims& shape, const Dims& target, std::size_t flat) {
  std::size_t index = 0;
  std::size_t step = 1;
  for (std::size_t i = 0; i < target.size(); ++i) {
    const auto dim = static_cast<std::size_t>(target[target.size() - 1 - i]);
    const std::size_t at = flat % dim;
    flat /= dim;
    if (i >= shape.size()) continue;
    const auto own = static_cast<std::size_t>(shape[shape.size() - 1 - i]);
    if (own != 1) index += at * step;
    step *= own;
  }
  return index;
}

TEST_CASE("shapes broadcast") {
  struct Shapes {
    Dims x;
    Dims y;
    Dims out;
  };
  const Shapes rows[] = {
      {{}, {}, {}},
      {{1}, {1, 1, 1}, {1, 1, 1}},
      {{5}, {}, {5}},
      {{2, 3}, {3}, {2, 3}},
      {{2, 1}, {1, 3}, {2, 3}},
      {{4, 1, 600}, {1, 7, 1}, {4, 7, 600}},
      {{1, 768, 1, 4}, {768, 1, 1}, {1, 768, 1, 4}},
      {{3, 1, 5, 1, 7}, {3, 4, 1, 6, 1}, {3, 4, 5, 6, 7}},
      {{2, 2, 2, 2, 2, 2, 3}, {2, 1, 2, 1, 2, 1, 3}, {2, 2, 2, 2, 2, 2, 3}},
      {{1100, 2}, {2}, {1100, 2}},
      {{0, 3}, {1, 3}, {0, 3}},
      {{1, 3000}, {1}, {1, 3000}},
  };
  for (const DType y_dtype : {DType::fp32, DType::fp16, DType::boolean}) {
    for (const Shapes& row : rows) {
      std::vector<float> x(volume(row.x));
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 977);
      std::vector<float> y(volume(row.y));
      std::vector<std::uint8_t> booleans(y.size());
      for (std::size_t i = 0; i < y.size(); ++i) {
        booleans[i] = static_cast<std::uint8_t>(i % 2);
        y[i] = static_cast<float>(y_dtype == DType::boolean ? i % 2 : i % 61);
      }
      const auto y_bytes = y_dtype == DType::boolean ? booleans : bytes_of(y_dtype, y);
      Tape tape;
      const TapeRegister a = tape.input(DType::fp32);
      const TapeRegister b = tape.input(y_dtype);
      tape.output(tape.apply(PointOp::add, Rounding::fp32, a, b), DType::fp32);
      REQUIRE(tape.finish());
      std::vector<float> out(volume(row.out));
      const TapeInput inputs[] = {{x.data(), broadcast_strides(row.x, row.out)},
                                  {y_bytes.data(), broadcast_strides(row.y, row.out)}};
      run_tape(tape, inputs, std::array<void*, 1>{out.data()}, row.out, pool());
      int wrong = 0;
      for (std::size_t i = 0; i < out.size(); ++i) {
        wrong += out[i] != x[index_in(row.x, row.out, i)] + y[index_in(row.y, row.out, i)];
      }
      INFO(row.out.size(), " dims, ", out.size(), " elements");
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("inputs may have any strides") {
  // A transposed matrix, its rows from the last to the first.
  constexpr std::int64_t kRows = 37;
  constexpr std::int64_t kColumns = 53;
  std::vector<std::uint16_t> x(kRows * kColumns);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = half_from_float(static_cast<float>(i));
  Tape tape;
  tape.output(tape.apply(PointOp::negate, Rounding::fp32, tape.input(DType::fp16)), DType::fp32);
  REQUIRE(tape.finish());
  std::vector<float> out(x.size());
  const TapeInput inputs[] = {{x.data() + (kRows - 1) * kColumns, Ints{1, -kColumns}}};
  run_tape(tape, inputs, std::array<void*, 1>{out.data()},
           std::array<std::int64_t, 2>{kColumns, kRows}, pool());
  for (std::int64_t c = 0; c < kColumns; ++c) {
    for (std::int64_t r = 0; r < kRows; ++r) {
      const auto want = static_cast<float>((kRows - 1 - r) * kColumns + c);
      if (out[static_cast<std::size_t>(c * kRows + r)] != -want) FAIL_CHECK(c, " ", r);
    }
  }
}

TEST_CASE("comparisons, logical ops and select work on booleans") {
  const std::vector<float> x = {1, 2, kNan, 4};
  const std::vector<float> y = {1, 3, 0, 2};
  const std::vector<std::uint8_t> mask = {1, 0, 1, 1};
  Tape tape;
  const TapeRegister a = tape.input(DType::fp32);
  const TapeRegister b = tape.input(DType::fp32);
  const TapeRegister m = tape.input(DType::boolean);
  const TapeRegister less = tape.apply(PointOp::less, Rounding::fp32, a, b);
  const TapeRegister both = tape.apply(PointOp::logical_or, Rounding::fp32, less, m);
  tape.output(less, DType::boolean);
  tape.output(both, DType::boolean);
  tape.output(tape.apply(PointOp::select, Rounding::fp32, m, a, b), DType::fp32);
  tape.output(tape.constant(2.5f), DType::fp16);
  REQUIRE(tape.finish());
  std::vector<std::uint8_t> less_out(4);
  std::vector<std::uint8_t> both_out(4);
  std::vector<float> chosen(4);
  std::vector<std::uint16_t> constant(4);
  run_tape(tape, std::array<const void*, 3>{x.data(), y.data(), mask.data()},
           std::array<void*, 4>{less_out.data(), both_out.data(), chosen.data(), constant.data()},
           4, pool());
  CHECK(less_out == std::vector<std::uint8_t>{0, 1, 0, 0});
  CHECK(both_out == std::vector<std::uint8_t>{1, 1, 1, 1});
  CHECK(chosen[0] == 1);
  CHECK(chosen[1] == 3);
  CHECK(std::isnan(chosen[2]));
  CHECK(chosen[3] == 4);
  CHECK(constant == std::vector<std::uint16_t>(4, half_from_float(2.5f)));
}

TEST_CASE("a tape that needs too many registers says so") {
  const auto with_inputs = [](std::size_t count) {
    Tape tape;
    std::vector<TapeRegister> inputs;
    for (std::size_t i = 0; i < count; ++i) inputs.push_back(tape.input(DType::fp32));
    TapeRegister sum = inputs[0];
    for (std::size_t i = 1; i < count; ++i) {
      sum = tape.apply(PointOp::add, Rounding::fp32, sum, inputs[i]);
    }
    tape.output(sum, DType::fp32);
    return tape.finish();
  };
  CHECK(with_inputs(kMaxLiveRegisters));
  CHECK_FALSE(with_inputs(kMaxLiveRegisters + 1));
  // A long chain needs few.
  Tape chain;
  TapeRegister value = chain.input(DType::fp32);
  for (int i = 0; i < 1000; ++i) value = chain.apply(PointOp::negate, Rounding::fp32, value);
  chain.output(value, DType::fp32);
  CHECK(chain.finish());
  CHECK(chain.instruction_count() == 1000);
  Tape constants;
  TapeRegister total = constants.input(DType::fp32);
  for (std::size_t i = 0; i <= kMaxTapeConstants; ++i) {
    total = constants.apply(PointOp::add, Rounding::fp32, total, constants.constant(1));
  }
  constants.output(total, DType::fp32);
  CHECK_FALSE(constants.finish());
}

}  // namespace
}  // namespace milgen::cpu
