// Random values. The generator is splitmix64 by element: what an element gets depends on the seed
// and on its row-major index alone, so that the number of threads does not matter and a given seed
// gives the same values on every machine. A seed of -1 is replaced by one of the run.
//
//     draw(i)    = mixed(mixed(seed, 0), i)         64 bits
//     unit(i)    = (draw(i) >> 11) * 2^-53          uniform in [0, 1)
//     uniform    : low + (high - low) * unit(i), at most the number of the dtype below high
//     bernoulli  : 1 if unit(i) < prob, else 0
//     normal     : mean + stddev * sqrt(-2 log(1 - unit(2i))) * cos(2 pi unit(2i + 1))
//     categorical: the first class whose probability, added to those before it, is above
//                  unit(i) times the sum of all
//
// Everything is computed in double and rounded once.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "cpu/kernel_util.h"
#include "cpu/kernels_random.h"
#include "cpu/real_math.h"
#include "support/splitmix.h"

namespace milgen::cpu {
namespace {

constexpr std::size_t kRandomGrain = 2048;

class Generator {
 public:
  explicit Generator(OpRun& run) {
    const std::int64_t seed = run.integer("seed");
    start_ = detail::mixed(seed == -1 ? run.op_seed() : static_cast<std::uint64_t>(seed), 0);
  }

  double unit(std::int64_t index) const {
    const std::uint64_t bits = detail::mixed(start_, static_cast<std::uint64_t>(index)) >> 11;
    return static_cast<double>(bits) * 0x1p-53;
  }

 private:
  std::uint64_t start_;
};

/// Fills the result with value(i), rounded once.
template <class Value>
bool fill(OpRun& run, const Value& value) {
  const TensorView& out = run.out();
  parallel_for(run, out.count, kRandomGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) set_real(out, i, value(i));
  });
  return true;
}

/// The largest number of the dtype below `value`, which is one of the dtype and finite.
double number_below(DType dtype, double value) {
  if (dtype == DType::fp32) {
    return static_cast<double>(std::nextafter(static_cast<float>(value), -HUGE_VALF));
  }
  const std::uint16_t bits = half_from_double(value);
  const bool is_negative = (bits & 0x8000u) != 0;
  if ((bits & 0x7FFFu) == 0) return -0x1p-24;
  return static_cast<double>(
      float_from_half(static_cast<std::uint16_t>(is_negative ? bits + 1u : bits - 1u)));
}

/// Fills `sums` with the probabilities of the classes of a row, each added to those before it.
/// False when they have no finite positive sum.
bool accumulate(const TensorView& x, std::int64_t row, bool are_logits, std::span<double> sums) {
  const auto classes = static_cast<std::int64_t>(sums.size());
  double greatest = -HUGE_VAL;
  for (std::int64_t i = 0; are_logits && i < classes; ++i) {
    greatest = std::max(greatest, real_at(x, row * classes + i));
  }
  double sum = 0;
  bool is_sound = true;
  for (std::int64_t i = 0; i < classes; ++i) {
    const double value = real_at(x, row * classes + i);
    const double probability = are_logits ? real_exp(value - greatest) : value;
    is_sound = is_sound && probability >= 0;
    sum += probability;
    sums[static_cast<std::size_t>(i)] = sum;
  }
  return is_sound && sum > 0 && std::isfinite(sum);
}

}  // namespace

bool run_random_bernoulli(OpRun& run) {
  const Generator generator(run);
  const double prob = run.real("prob");
  return fill(run, [&](std::int64_t i) { return generator.unit(i) < prob ? 1.0 : 0.0; });
}

bool run_random_normal(OpRun& run) {
  const Generator generator(run);
  const double mean = run.real("mean");
  const double stddev = run.real("stddev");
  return fill(run, [&](std::int64_t i) {
    // 1 - unit is above 0, of which there is no logarithm.
    const double radius = std::sqrt(-2 * real_log(1 - generator.unit(2 * i)));
    const double angle = 2 * std::numbers::pi * generator.unit(2 * i + 1);
    return mean + stddev * (radius * real_cos(angle));
  });
}

bool run_random_uniform(OpRun& run) {
  const Generator generator(run);
  const double low = run.real("low");
  const double high = run.real("high");
  // Rounding to the dtype may reach high, which is excluded.
  const double greatest =
      std::isfinite(high) && low < high ? number_below(run.out().dtype, high) : high;
  return fill(run, [&](std::int64_t i) {
    return std::min(low + (high - low) * generator.unit(i), greatest);
  });
}

bool run_random_categorical(OpRun& run) {
  const Generator generator(run);
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const std::int64_t classes = x.shape.back();
  const std::int64_t draws = out.shape.back();
  const bool are_logits = run.text("mode") == "logits";
  auto* sums = run.scratch_of<double>(std::max<std::int64_t>(classes, 1));
  if (sums == nullptr) return false;
  const std::span<double> row_sums(sums, static_cast<std::size_t>(classes));
  for (std::int64_t row = 0; row * draws < out.count; ++row) {
    if (!accumulate(x, row, are_logits, row_sums)) {
      return run.fail(
          rule<"run.value">,
          fmt::format("the {} in row {} of x {} are no distribution: each is finite "
                      "and at least 0, and their sum is above 0",
                      are_logits ? "exponentials" : "probabilities", row, to_string(x.shape)));
    }
    for (std::int64_t i = row * draws; i < (row + 1) * draws; ++i) {
      const double target = generator.unit(i) * row_sums.back();
      const auto chosen = std::upper_bound(row_sums.begin(), row_sums.end(), target);
      set_real(out, i, static_cast<double>(chosen - row_sums.begin()));
    }
  }
  return true;
}

}  // namespace milgen::cpu
