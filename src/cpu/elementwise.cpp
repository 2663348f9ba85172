#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cpu/broadcast.h"
#include "cpu/elementwise_integer.h"
#include "cpu/kernel_util.h"
#include "cpu/kernels_elementwise.h"
#include "cpu/pointwise_ops.h"

namespace milgen::cpu {
namespace {

/// Numbers keep their low bits in a narrower integer, and are rounded once in a float. Floats are
/// cut off towards zero and held in the range of an integer.
template <class To, class From>
To converted(From element) {
  const auto value = number(element);
  using Value = decltype(value);
  if constexpr (std::is_same_v<To, Bool>) {
    return {static_cast<std::uint8_t>(value != 0)};
  } else if constexpr (std::is_same_v<std::remove_const_t<Value>, float> &&
                       std::is_same_v<To, Half>) {
    return {half_from_float(value)};
  } else if constexpr (std::is_integral_v<Value> && std::is_integral_v<To>) {
    return static_cast<To>(value);
  } else {
    return element_from_real<To>(static_cast<double>(value));
  }
}

template <class To, class From>
void convert(const From* from, To* to, std::int64_t count) {
  const auto size = static_cast<std::size_t>(count);
  HalfReport report;
  if constexpr (std::is_same_v<From, To>) {
    if (static_cast<const void*>(from) != to && count > 0) std::memcpy(to, from, size * sizeof(To));
  } else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, Half>) {
    halves_from_floats(from, to, size, report);
  } else if constexpr (std::is_same_v<From, Half> && std::is_same_v<To, float>) {
    floats_from_halves(from, to, size);
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i] = converted<To>(from[i]);
  }
}

}  // namespace

bool run_elementwise(OpRun& run) {
  return run.in("x").dtype == DType::int32 ? run_integers(run) : run_pointwise(run);
}

bool run_cast(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  with_element_type(x.dtype, [&](auto from) {
    with_element_type(out.dtype, [&](auto to) {
      const auto* source = x.as<decltype(from)>();
      auto* result = out.as_mutable<decltype(to)>();
      parallel_for(run, out.count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        convert(source + begin, result + begin, end - begin);
      });
    });
  });
  return true;
}

bool run_select(OpRun& run) {
  const TensorView& out = run.out();
  const TensorView& cond = run.in("cond");
  const TensorView& a = run.in("a");
  const TensorView& b = run.in("b");
  const BroadcastLoop<3> loop(out.shape, {&cond, &a, &b});
  const std::int64_t cond_step = loop.moves(0) ? 1 : 0;
  const std::int64_t a_step = loop.moves(1) ? 1 : 0;
  const std::int64_t b_step = loop.moves(2) ? 1 : 0;
  with_element_size(out.dtype, [&](auto element) {
    using T = decltype(element);
    const auto choose = [&](std::int64_t first, std::int64_t length, const auto& at) {
      const auto* test = cond.as<std::uint8_t>() + at[0];
      const T* yes = a.as<T>() + at[1];
      const T* no = b.as<T>() + at[2];
      T* result = out.as_mutable<T>() + first;
      for (std::int64_t i = 0; i < length; ++i) {
        result[i] = test[i * cond_step] != 0 ? yes[i * a_step] : no[i * b_step];
      }
    };
    parallel_for(run, out.count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      loop.for_each_run(begin, end, choose);
    });
  });
  return true;
}

}  // namespace milgen::cpu
