#include "cpu/rows.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/pointwise.h"
#include "cpu/simd.h"
#include "support/half.h"
#include "support/thread_pool.h"

namespace milgen::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Lifts the limit of the vector unit when a test ends.
struct SimdLimit {
  ~SimdLimit() { detail::limit_simd(""); }
};

detail::ThreadPool& pool() {
  static detail::ThreadPool one(1);
  return one;
}

/// Floats as a tensor of fp16 or fp32, and back. A NaN reads as the one that is written.
struct Data {
  DType dtype = DType::fp32;
  std::vector<float> floats = {};
  std::vector<std::uint16_t> halves = {};

  Data(DType type, std::size_t count)
      : dtype(type),
        floats(type == DType::fp32 ? count : 0),
        halves(type == DType::fp16 ? count : 0) {}
  Data(DType type, const std::vector<float>& values) : Data(type, values.size()) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (type == DType::fp32) floats[i] = values[i];
      if (type == DType::fp16) halves[i] = half_from_float(values[i]);
    }
  }

  std::size_t count() const { return floats.size() + halves.size(); }
  void* data() { return dtype == DType::fp32 ? static_cast<void*>(floats.data()) : halves.data(); }
  const void* data() const { return const_cast<Data*>(this)->data(); }
  float operator[](std::size_t i) const {
    return dtype == DType::fp32 ? floats[i] : float_from_half(halves[i]);
  }
  /// Bits, for comparison.
  std::uint32_t bits(std::size_t i) const {
    return dtype == DType::fp32 ? std::bit_cast<std::uint32_t>(floats[i]) : halves[i];
  }
};

std::uint32_t rounded_bits(DType dtype, float value) {
  if (dtype == DType::fp32) {
    return std::isnan(value) ? 0x7FC00000u : std::bit_cast<std::uint32_t>(value);
  }
  return std::isnan(value) ? 0x7E00u : half_from_float(value);
}

/// Values of about 1, some of them large, small or zero.
std::vector<float> values(std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> x(count);
  for (float& value : x) {
    value = normal(random);
    const auto kind = random() % 16;
    if (kind == 0) value *= 64;
    if (kind == 1) value *= 0.001f;
    if (kind == 2) value = 0;
  }
  return x;
}

/// A step of a tape as a function of one float: the vector functions have no other form.
float step(PointOp op, float x) {
  Tape tape;
  tape.output(tape.apply(op, Rounding::fp32, tape.input(DType::fp32)), DType::fp32);
  REQUIRE(tape.finish());
  float y = 0;
  run_tape(tape, std::array<const void*, 1>{&x}, std::array<void*, 1>{&y}, 1, pool());
  return y;
}

std::vector<float> row_of(const Data& x, const RowShape& shape, std::int64_t row) {
  std::vector<float> elements;
  const std::int64_t begin = row / shape.inner * shape.axis * shape.inner + row % shape.inner;
  for (std::int64_t i = 0; i < shape.axis; ++i) {
    elements.push_back(x[static_cast<std::size_t>(begin + i * shape.inner)]);
  }
  return elements;
}

// --- The rules of rows.h, one element after the other. ---

float reference_max(const std::vector<float>& row, bool greatest) {
  float best = greatest ? -kInfinity : kInfinity;
  for (const float x : row) {
    if (std::isnan(x) || std::isnan(best)) {
      best = kNan;
    } else {
      best = greatest ? std::max(best, x) : std::min(best, x);
    }
  }
  return best + 0.0f;
}

template <class F>
float reference_sum(const std::vector<float>& row, const F& term) {
  float sum = 0;
  for (const float x : row) sum += term(x);
  return sum;
}

float reference_reduction(Reduction reduction, const std::vector<float>& row) {
  const auto same = [](float x) { return x; };
  const auto square = [](float x) { return x * x; };
  switch (reduction) {
    case Reduction::sum:
      return reference_sum(row, same);
    case Reduction::mean:
      return reference_sum(row, same) / static_cast<float>(row.size());
    case Reduction::max:
      return reference_max(row, true);
    case Reduction::min:
      return reference_max(row, false);
    case Reduction::prod: {
      float product = 1;
      for (const float x : row) product *= x;
      return product;
    }
    case Reduction::l1_norm:
      return reference_sum(row, [](float x) { return std::fabs(x); });
    case Reduction::l2_norm:
      return std::sqrt(reference_sum(row, square));
    case Reduction::sum_square:
      return reference_sum(row, square);
    case Reduction::log_sum:
      return step(PointOp::log, reference_sum(row, same));
    case Reduction::log_sum_exp: {
      const float max = reference_max(row, true);
      if (std::isinf(max)) return max;
      return max + step(PointOp::log,
                        reference_sum(row, [&](float x) { return step(PointOp::exp, x - max); }));
    }
  }
  return kNan;
}

std::vector<float> reference_softmax(const std::vector<float>& row) {
  const float max = reference_max(row, true);
  std::vector<float> y;
  for (const float x : row) y.push_back(step(PointOp::exp, x - max));
  const float sum = reference_sum(y, [](float x) { return x; });
  for (float& e : y) e /= sum;
  return y;
}

std::vector<float> reference_norm(const std::vector<float>& row, bool centered, float epsilon) {
  const auto count = static_cast<float>(row.size());
  const float mean = centered ? reference_sum(row, [](float x) { return x; }) / count : 0;
  float spread = reference_sum(row, [&](float x) { return (x - mean) * (x - mean); });
  if (centered) spread /= count;
  spread = std::sqrt(spread + epsilon);
  std::vector<float> y;
  for (const float x : row) y.push_back((x - mean) / spread);
  return y;
}

constexpr Reduction kReductions[] = {
    Reduction::sum,     Reduction::mean,       Reduction::max,     Reduction::min,
    Reduction::prod,    Reduction::l1_norm,    Reduction::l2_norm, Reduction::sum_square,
    Reduction::log_sum, Reduction::log_sum_exp};

const RowShape kShapes[] = {
    {1, 1, 1},    {1, 7, 1},    {3, 5, 1},    {9, 33, 1},  {8, 1024, 1},
    {2, 1030, 1}, {1, 2500, 1}, {2, 9, 3},    {5, 17, 7},  {2, 6, 16},
    {1, 12, 100}, {3, 4, 257},  {1, 3, 1000}, {2, 70, 65}, {1, 1100, 2},
};

std::string text_of(const RowShape& shape) {
  return fmt::format("[{}, {}, {}]", shape.outer, shape.axis, shape.inner);
}

Data input_of(DType dtype, const RowShape& shape, unsigned seed = 1) {
  return {dtype, values(static_cast<std::size_t>(shape.outer * shape.axis * shape.inner), seed)};
}

/// Compares rows of a result with what `reference` makes of rows of x.
template <class F>
void check_rows(const Data& x, const Data& y, const RowShape& shape, const F& reference) {
  int wrong = 0;
  for (std::int64_t row = 0; row < shape.rows(); ++row) {
    const std::vector<float> want = reference(row_of(x, shape, row), row);
    const std::int64_t begin = row / shape.inner * shape.axis * shape.inner + row % shape.inner;
    for (std::int64_t i = 0; i < shape.axis; ++i) {
      const auto place = static_cast<std::size_t>(begin + i * shape.inner);
      wrong += y.bits(place) != rounded_bits(x.dtype, want[static_cast<std::size_t>(i)]);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("reductions have the bits of sequential fp32 sums") {
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    for (const RowShape& shape : kShapes) {
      const Data x = input_of(dtype, shape);
      for (const Reduction reduction : kReductions) {
        Data y(dtype, static_cast<std::size_t>(shape.rows()));
        reduce_rows(reduction, dtype, x.data(), y.data(), shape, NumericMode::exact, pool());
        int wrong = 0;
        for (std::int64_t row = 0; row < shape.rows(); ++row) {
          const float want = reference_reduction(reduction, row_of(x, shape, row));
          wrong += y.bits(static_cast<std::size_t>(row)) != rounded_bits(dtype, want);
        }
        INFO(text_of(shape), " ", static_cast<int>(reduction), " ", dtype_name(dtype));
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("softmax has the bits of its formula") {
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    for (const RowShape& shape : kShapes) {
      const Data x = input_of(dtype, shape);
      Data y(dtype, x.count());
      softmax_rows(dtype, x.data(), y.data(), shape, NumericMode::exact, pool());
      INFO(text_of(shape));
      const auto reference = [](const std::vector<float>& row, std::int64_t) {
        return reference_softmax(row);
      };
      check_rows(x, y, shape, reference);
      Data in_place = x;
      softmax_rows(dtype, in_place.data(), in_place.data(), shape, NumericMode::exact, pool());
      check_rows(x, in_place, shape, reference);
    }
  }
}

TEST_CASE("norms have the bits of their formula") {
  constexpr float kEpsilon = 1e-5f;
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    for (const RowShape& shape : kShapes) {
      INFO(text_of(shape), " ", dtype_name(dtype));
      const Data x = input_of(dtype, shape);
      Data y(dtype, x.count());
      const Data gamma(DType::fp32, values(static_cast<std::size_t>(shape.axis), 2));
      const Data beta(DType::fp16, values(static_cast<std::size_t>(shape.axis), 3));
      layer_norm_rows(dtype, x.data(), y.data(), shape, {gamma.data(), DType::fp32},
                      {beta.data(), DType::fp16}, kEpsilon, NumericMode::exact, pool());
      check_rows(x, y, shape, [&](const std::vector<float>& row, std::int64_t) {
        std::vector<float> want = reference_norm(row, true, kEpsilon);
        for (std::size_t i = 0; i < want.size(); ++i) want[i] = want[i] * gamma[i] + beta[i];
        return want;
      });
      layer_norm_rows(dtype, x.data(), y.data(), shape, {}, {}, kEpsilon, NumericMode::exact,
                      pool());
      const auto plain = [&](const std::vector<float>& row, std::int64_t) {
        std::vector<float> want = reference_norm(row, true, kEpsilon);
        for (float& value : want) value += 0.0f;
        return want;
      };
      check_rows(x, y, shape, plain);
      Data in_place = x;
      layer_norm_rows(dtype, in_place.data(), in_place.data(), shape, {}, {}, kEpsilon,
                      NumericMode::exact, pool());
      check_rows(x, in_place, shape, plain);
      l2_norm_rows(dtype, x.data(), y.data(), shape, kEpsilon, NumericMode::exact, pool());
      check_rows(x, y, shape, [&](const std::vector<float>& row, std::int64_t) {
        std::vector<float> want = reference_norm(row, false, kEpsilon);
        for (float& value : want) value += 0.0f;
        return want;
      });
    }
  }
}

TEST_CASE("instance_norm and batch_norm take their numbers by channel") {
  constexpr std::int64_t kBatch = 2;
  constexpr std::int64_t kChannels = 5;
  constexpr float kEpsilon = 1e-3f;
  const Data gamma(DType::fp16, values(kChannels, 2));
  const Data beta(DType::fp32, values(kChannels, 3));
  const Data mean(DType::fp32, values(kChannels, 4));
  Data variance(DType::fp32, values(kChannels, 5));
  for (float& v : variance.floats) v = v * v;
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    for (const std::int64_t spatial : {1, 6, 40}) {
      const RowShape rows = {kBatch * kChannels, spatial, 1};
      const Data x = input_of(dtype, rows);
      Data y(dtype, x.count());
      instance_norm(dtype, x.data(), y.data(), kBatch, kChannels, spatial,
                    {gamma.data(), DType::fp16}, {beta.data(), DType::fp32}, kEpsilon,
                    NumericMode::exact, pool());
      check_rows(x, y, rows, [&](const std::vector<float>& row, std::int64_t index) {
        const auto c = static_cast<std::size_t>(index % kChannels);
        std::vector<float> want = reference_norm(row, true, kEpsilon);
        for (float& value : want) value = value * gamma[c] + beta[c];
        return want;
      });
      batch_norm(dtype, x.data(), y.data(), kBatch, kChannels, spatial, {mean.data(), DType::fp32},
                 {variance.data(), DType::fp32}, {gamma.data(), DType::fp16},
                 {beta.data(), DType::fp32}, kEpsilon, pool());
      check_rows(x, y, rows, [&](std::vector<float> row, std::int64_t index) {
        const auto c = static_cast<std::size_t>(index % kChannels);
        for (float& value : row) {
          value = (value - mean[c]) / std::sqrt(variance[c] + kEpsilon) * gamma[c] + beta[c];
        }
        return row;
      });
    }
  }
}

/// The elements of x along `axes` for each of the other dims, in row-major order of both.
std::vector<std::vector<float>> rows_over(const Data& x, std::span<const std::int64_t> shape,
                                          std::span<const std::int64_t> axes) {
  std::vector<std::vector<float>> rows;
  std::vector<std::size_t> keys;
  for (std::size_t i = 0; i < x.count(); ++i) {
    std::size_t rest = i;
    std::size_t key = 0;
    std::size_t step = 1;
    for (std::size_t d = shape.size(); d-- > 0;) {
      const auto dim = static_cast<std::size_t>(shape[d]);
      if (!std::count(axes.begin(), axes.end(), static_cast<std::int64_t>(d))) {
        key += rest % dim * step;
        step *= dim;
      }
      rest /= dim;
    }
    if (rows.size() <= key) rows.resize(key + 1);
    rows[key].push_back(x[i]);
  }
  return rows;
}

TEST_CASE("axes need not be adjacent") {
  const std::vector<std::int64_t> shape = {3, 4, 5, 6};
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    const Data x(dtype, values(360));
    for (unsigned set = 0; set < 16; ++set) {
      std::vector<std::int64_t> axes;
      for (unsigned i = 0; i < 4; ++i) {
        if ((set >> i & 1u) != 0) axes.push_back(i);
      }
      INFO("axes ", set);
      const auto rows = rows_over(x, shape, axes);
      Data y(dtype, rows.size());
      reduce_axes(Reduction::sum, dtype, x.data(), y.data(), shape, axes, NumericMode::exact,
                  pool());
      for (std::size_t i = 0; i < rows.size(); ++i) {
        CHECK(y.bits(i) == rounded_bits(dtype, reference_reduction(Reduction::sum, rows[i])));
      }
      Data normal(dtype, x.count());
      const Data gamma(DType::fp32, values(rows[0].size(), 2));
      layer_norm_axes(dtype, x.data(), normal.data(), shape, axes, {gamma.data(), DType::fp32}, {},
                      1e-5f, NumericMode::exact, pool());
      const auto results = rows_over(normal, shape, axes);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const std::vector<float> want = reference_norm(rows[i], true, 1e-5f);
        for (std::size_t k = 0; k < want.size(); ++k) {
          CHECK(rounded_bits(dtype, results[i][k]) ==
                rounded_bits(dtype, want[k] * gamma[k] + 0.0f));
        }
      }
    }
  }
}

TEST_CASE("every vector unit and number of threads gives the same bits") {
  const SimdLimit lift;
  detail::ThreadPool threads(4);
  const auto run = [](DType dtype, const RowShape& shape, detail::ThreadPool& on) {
    const Data x = input_of(dtype, shape);
    std::vector<Data> results;
    for (const Reduction reduction : kReductions) {
      results.emplace_back(dtype, static_cast<std::size_t>(shape.rows()));
      reduce_rows(reduction, dtype, x.data(), results.back().data(), shape, NumericMode::exact, on);
    }
    results.emplace_back(dtype, x.count());
    softmax_rows(dtype, x.data(), results.back().data(), shape, NumericMode::exact, on);
    results.emplace_back(dtype, x.count());
    layer_norm_rows(dtype, x.data(), results.back().data(), shape, {}, {}, 1e-5f,
                    NumericMode::exact, on);
    std::vector<std::uint32_t> bits;
    for (const Data& result : results) {
      for (std::size_t i = 0; i < result.count(); ++i) bits.push_back(result.bits(i));
    }
    return bits;
  };
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    for (const RowShape& shape :
         {RowShape{37, 300, 1}, RowShape{2, 1500, 3}, RowShape{3, 200, 200}}) {
      detail::limit_simd("");
      const auto want = run(dtype, shape, pool());
      CHECK(run(dtype, shape, threads) == want);
      for (const std::string_view level : detail::simd_levels()) {
        INFO(level);
        CHECK(detail::limit_simd(level));
        CHECK(run(dtype, shape, pool()) == want);
      }
    }
  }
}

TEST_CASE("fast mode is near the exact one") {
  for (const RowShape& shape : kShapes) {
    std::vector<float> positive =
        values(static_cast<std::size_t>(shape.outer * shape.axis * shape.inner));
    for (float& value : positive) value = std::fabs(value);
    const Data x(DType::fp32, positive);
    Data exact(DType::fp32, static_cast<std::size_t>(shape.rows()));
    Data fast = exact;
    reduce_rows(Reduction::sum, DType::fp32, x.data(), exact.data(), shape, NumericMode::exact,
                pool());
    reduce_rows(Reduction::sum, DType::fp32, x.data(), fast.data(), shape, NumericMode::fast,
                pool());
    for (std::size_t i = 0; i < exact.count(); ++i) {
      CHECK(std::fabs(fast[i] - exact[i]) <= 1e-5f * exact[i]);
    }
  }
}

float reduced(Reduction reduction, const std::vector<float>& row) {
  const Data x(DType::fp32, row);
  Data y(DType::fp32, 1);
  reduce_rows(reduction, DType::fp32, x.data(), y.data(),
              {1, static_cast<std::int64_t>(row.size()), 1}, NumericMode::exact, pool());
  return y[0];
}

TEST_CASE("special values of reductions") {
  CHECK(std::isnan(reduced(Reduction::max, {1, kNan, 2})));
  CHECK(std::isnan(reduced(Reduction::min, {1, 2, kNan})));
  CHECK(reduced(Reduction::max, {-kInfinity, -1}) == -1);
  CHECK_FALSE(std::signbit(reduced(Reduction::max, {-0.0f, -0.0f})));
  CHECK(reduced(Reduction::log_sum_exp, {kInfinity, 1}) == kInfinity);
  CHECK(reduced(Reduction::log_sum_exp, {-kInfinity, -kInfinity}) == -kInfinity);
  CHECK(reduced(Reduction::log_sum_exp, {1000, 1000}) == doctest::Approx(1000.6931));
  CHECK(std::isnan(reduced(Reduction::log_sum, {-1})));
}

TEST_CASE("an empty axis gives what no elements give") {
  CHECK(reduced(Reduction::sum, {}) == 0);
  CHECK(reduced(Reduction::prod, {}) == 1);
  CHECK(std::isnan(reduced(Reduction::mean, {})));
  CHECK(reduced(Reduction::max, {}) == -kInfinity);
  CHECK(reduced(Reduction::min, {}) == kInfinity);
  CHECK(reduced(Reduction::log_sum, {}) == -kInfinity);
  CHECK(reduced(Reduction::log_sum_exp, {}) == -kInfinity);
  // Neither do rows that are not there.
  softmax_rows(DType::fp32, nullptr, nullptr, {0, 3, 4}, NumericMode::exact, pool());
  softmax_rows(DType::fp32, nullptr, nullptr, {3, 0, 40}, NumericMode::exact, pool());
  layer_norm_rows(DType::fp16, nullptr, nullptr, {3, 4, 0}, {}, {}, 0, NumericMode::exact, pool());
}

TEST_CASE("argmax and argmin take the first of equal elements, and the first NaN") {
  const auto arg = [](bool greatest, const std::vector<float>& row) {
    std::int32_t index = -1;
    const Data x(DType::fp16, row);
    arg_reduce_rows(greatest, DType::fp16, x.data(), &index,
                    {1, static_cast<std::int64_t>(row.size()), 1}, pool());
    return index;
  };
  CHECK(arg(true, {1, 3, 3, 2}) == 1);
  CHECK(arg(false, {1, 3, 1, 2}) == 0);
  CHECK(arg(true, {-0.0f, 0.0f}) == 0);
  CHECK(arg(true, {1, kNan, kNan, 5}) == 1);
  CHECK(arg(false, {kInfinity, -kInfinity}) == 1);
  CHECK(arg(true, {}) == 0);
  // Along an axis that is not the last.
  const Data x(DType::fp32, {1, 6, 2, 5, 3, 4});
  std::array<std::int32_t, 2> indices = {};
  arg_reduce_rows(true, DType::fp32, x.data(), indices.data(), {1, 3, 2}, pool());
  CHECK(indices == std::array<std::int32_t, 2>{2, 0});
}

}  // namespace
}  // namespace milgen::cpu
