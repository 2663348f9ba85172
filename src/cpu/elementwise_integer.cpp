#include "cpu/elementwise_integer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>

#include "cpu/broadcast.h"
#include "cpu/integer_ops.h"
#include "cpu/kernel_util.h"

namespace milgen::cpu {
namespace {

template <auto kOp>
bool map_unary(OpRun& run) {
  const TensorView& out = run.out();
  const auto* x = run.in("x").as<std::int32_t>();
  auto* result = out.as_mutable<std::int32_t>();
  parallel_for(run, out.count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) result[i] = kOp(x[i]);
  });
  return true;
}

template <auto kOp, class Out = std::int32_t>
bool map_binary(OpRun& run) {
  const TensorView& out = run.out();
  const TensorView& x = run.in("x");
  const TensorView& y = run.in("y");
  const BroadcastLoop<2> loop(out.shape, {&x, &y});
  parallel_for(run, out.count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    loop.for_each_run(begin, end, [&](std::int64_t first, std::int64_t length, const auto& at) {
      combine<kOp>(x.as<std::int32_t>() + at[0], loop.moves(0), y.as<std::int32_t>() + at[1],
                   loop.moves(1), out.as_mutable<Out>() + first, length);
    });
  });
  return true;
}

template <auto kCompare>
bool map_comparison(OpRun& run) {
  constexpr auto kAsByte = [](std::int32_t x, std::int32_t y) {
    return static_cast<std::uint8_t>(kCompare(x, y));
  };
  return map_binary<kAsByte, std::uint8_t>(run);
}

/// Where the result is computed from a divisor of 0: its index in `divisor`, or -1.
std::int64_t first_zero(const TensorView& divisor) {
  const auto* values = divisor.as<std::int32_t>();
  const auto* end = values + divisor.count;
  const auto* zero = std::find(values, end, 0);
  return zero == end ? -1 : zero - values;
}

template <auto kOp>
bool map_division(OpRun& run) {
  if (run.out().count == 0) return true;
  const TensorView& y = run.in("y");
  const std::int64_t zero = first_zero(y);
  if (zero < 0) return map_binary<kOp>(run);
  return run.fail(rule<"run.division">, fmt::format("y is 0{}, and integers are divided by it",
                                                    place_text(y.shape, zero)));
}

bool run_threshold(OpRun& run) {
  const TensorView& out = run.out();
  const auto* x = run.in("x").as<std::int32_t>();
  const auto alpha = static_cast<std::int32_t>(run.integer("alpha"));
  auto* result = out.as_mutable<std::int32_t>();
  parallel_for(run, out.count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) result[i] = greater_integer(x[i], alpha);
  });
  return true;
}

/// A negative power of 0 divides by it. Only where there is a negative power at all are the pairs
/// looked at.
bool run_power(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& y = run.in("y");
  const auto* powers = y.as<std::int32_t>();
  const auto* bases = x.as<std::int32_t>();
  if (std::all_of(powers, powers + y.count, [](std::int32_t power) { return power >= 0; }) ||
      first_zero(x) < 0) {
    return map_binary<integer_power>(run);
  }
  const TensorView& out = run.out();
  const BroadcastLoop<2> loop(out.shape, {&x, &y});
  std::int64_t found = -1;
  loop.for_each_run(0, out.count, [&](std::int64_t first, std::int64_t length, const auto& at) {
    for (std::int64_t i = 0; i < length && found < 0; ++i) {
      const std::int32_t base = bases[at[0] + (loop.moves(0) ? i : 0)];
      if (base == 0 && powers[at[1] + (loop.moves(1) ? i : 0)] < 0) found = first + i;
    }
  });
  if (found < 0) return map_binary<integer_power>(run);
  return run.fail(rule<"run.division">,
                  fmt::format("x is 0 and y is negative{}, and a negative power of an integer "
                              "divides by it",
                              place_text(out.shape, found)));
}

}  // namespace

bool run_integers(OpRun& run) {
  switch (run.info().code) {
    case OpCode::abs:
      return map_unary<absolute_integer>(run);
    case OpCode::exp2:
      return map_unary<power_of_two>(run);
    case OpCode::sign:
      return map_unary<sign_of_integer>(run);
    case OpCode::square:
      return map_unary<square_of_integer>(run);
    case OpCode::threshold:
      return run_threshold(run);
    case OpCode::add:
      return map_binary<add_integers>(run);
    case OpCode::sub:
      return map_binary<subtract_integers>(run);
    case OpCode::mul:
      return map_binary<multiply_integers>(run);
    case OpCode::real_div:
      return map_division<divide_integers>(run);
    case OpCode::floor_div:
      return map_division<floor_divide_integers>(run);
    case OpCode::mod:
      return map_division<floor_remainder>(run);
    case OpCode::pow:
      return run_power(run);
    case OpCode::maximum:
      return map_binary<greater_integer>(run);
    case OpCode::minimum:
      return map_binary<smaller_integer>(run);
    case OpCode::equal:
      return map_comparison<std::equal_to<>{}>(run);
    case OpCode::not_equal:
      return map_comparison<std::not_equal_to<>{}>(run);
    case OpCode::greater:
      return map_comparison<std::greater<>{}>(run);
    case OpCode::greater_equal:
      return map_comparison<std::greater_equal<>{}>(run);
    case OpCode::less:
      return map_comparison<std::less<>{}>(run);
    default:  // less_equal
      return map_comparison<std::less_equal<>{}>(run);
  }
}

}  // namespace milgen::cpu
