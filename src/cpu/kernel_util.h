// Small things that kernels of several families share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "cpu/kernel.h"
#include "support/half.h"

namespace milgen::cpu {

/// Elements that are worth a thread of their own in a loop that does little with each.
inline constexpr std::size_t kElementGrain = 16384;

/// How many items are worth a thread of their own when each is as much as `elements` elements.
inline std::size_t items_grain(std::int64_t elements) {
  return std::max<std::size_t>(
      1, kElementGrain / static_cast<std::size_t>(std::max<std::int64_t>(1, elements)));
}

/// Calls work(begin, end) for pieces that cover [0, count), on the threads of the run.
template <class Work>
void parallel_for(OpRun& run, std::int64_t count, std::size_t grain, const Work& work) {
  run.pool().run(static_cast<std::size_t>(count), grain, [&](std::size_t begin, std::size_t end) {
    work(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end));
  });
}

/// An axis that inference has checked, counted from the front.
inline std::size_t axis_from_front(std::int64_t axis, std::size_t rank) {
  return static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis);
}

/// A tensor seen from one of its axes: [outer, size, inner]. A scalar is [1, 1, 1].
struct AxisView {
  std::int64_t outer = 1;
  std::int64_t size = 1;
  std::int64_t inner = 1;
};
inline AxisView around_axis(const Shape& shape, std::size_t axis) {
  AxisView view;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    (i < axis ? view.outer : i == axis ? view.size : view.inner) *= shape[i];
  }
  return view;
}

/// " at [1, 2]", where an element stands; nothing for that of a scalar.
inline std::string place_text(const Shape& shape, std::int64_t index) {
  if (shape.empty()) return {};
  Ints place(shape.size(), 0);
  for (std::size_t i = shape.size(); i-- > 0; index /= shape[i]) place[i] = index % shape[i];
  return " at " + to_string(place);
}

// --- Elements by type. ---

/// What an fp16 and a bool are in memory.
struct Half {
  std::uint16_t bits;
};
struct Bool {
  std::uint8_t byte;  ///< not 0: true
};

/// The value of an element, in a type that C++ computes with.
inline float number(Half element) { return float_from_half(element.bits); }
inline bool number(Bool element) { return element.byte != 0; }
template <class T>
requires std::is_arithmetic_v<T> T number(T element) { return element; }

/// A real number as an element: rounded once, or for an integer T cut off towards zero and held in
/// its range. NaN is 0 there.
template <class T>
T element_from_real(double value) {
  if constexpr (std::is_same_v<T, Half>) {
    return {half_from_double(value)};
  } else if constexpr (std::is_same_v<T, Bool>) {
    return {static_cast<std::uint8_t>(value != 0)};
  } else if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(value);
  } else {
    static_assert(sizeof(T) <= 4, "a double does not hold the range");
    constexpr double kLow = std::numeric_limits<T>::min();
    constexpr double kHigh = std::numeric_limits<T>::max();
    if (std::isnan(value)) return 0;
    return static_cast<T>(std::clamp(value, kLow, kHigh));
  }
}

/// Calls f with a value of the type that elements of `dtype` have: Half, float, Bool, or an integer
/// of up to 32 bits (those of less than 8 bits are bytes). Other dtypes read as bytes.
template <class F>
decltype(auto) with_element_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::fp16:
      return f(Half{});
    case DType::fp32:
      return f(float{});
    case DType::boolean:
      return f(Bool{});
    case DType::int8:
    case DType::int4:
      return f(std::int8_t{});
    case DType::int16:
      return f(std::int16_t{});
    case DType::uint16:
      return f(std::uint16_t{});
    case DType::int32:
      return f(std::int32_t{});
    case DType::uint32:
      return f(std::uint32_t{});
    default:
      return f(std::uint8_t{});
  }
}

/// The same for a number, and for a float that is fp16 or fp32: f(number, float).
template <class F>
void with_element_and_float(DType dtype, DType real, F&& f) {
  with_element_type(dtype, [&](auto element) {
    if (real == DType::fp16) {
      f(element, Half{});
    } else {
      f(element, float{});
    }
  });
}

}  // namespace milgen::cpu
