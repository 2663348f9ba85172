#include "cpu/kernel.h"

#include <cmath>
#include <limits>

#include "support/half.h"

namespace milgen::cpu {
namespace {

/// Calls f with a value of the C++ type that holds an element as a number; halves are uint16_t.
template <class F>
decltype(auto) with_storage(DType dtype, F&& f) {
  switch (dtype) {
    case DType::fp32:
      return f(float{});
    case DType::fp64:
      return f(double{});
    case DType::int8:
    case DType::int4:
      return f(std::int8_t{});
    case DType::int16:
      return f(std::int16_t{});
    case DType::int32:
      return f(std::int32_t{});
    case DType::int64:
      return f(std::int64_t{});
    case DType::uint16:
    case DType::fp16:
    case DType::bf16:
      return f(std::uint16_t{});
    case DType::uint32:
      return f(std::uint32_t{});
    case DType::uint64:
      return f(std::uint64_t{});
    default:
      return f(std::uint8_t{});
  }
}

int bits_below_a_byte(DType dtype) {
  switch (dtype) {
    case DType::boolean:
    case DType::uint1:
      return 1;
    case DType::uint2:
      return 2;
    case DType::uint3:
      return 3;
    case DType::int4:
    case DType::uint4:
      return 4;
    case DType::uint6:
      return 6;
    default:
      return 0;
  }
}

bool is_signed(DType dtype) {
  return dtype == DType::int4 || dtype == DType::int8 || dtype == DType::int16 ||
         dtype == DType::int32 || dtype == DType::int64;
}

/// `value` rounded toward zero and held to the range of the dtype. The bounds are those that a
/// double has exactly: 2^63 and 2^64 are beyond them.
std::int64_t saturated(DType dtype, double value) {
  if (std::isnan(value)) return 0;
  const int narrow = bits_below_a_byte(dtype);
  const int bits = narrow != 0 ? narrow : static_cast<int>(element_bytes(dtype)) * 8;
  if (is_signed(dtype)) {
    const double limit = std::ldexp(1.0, bits - 1);
    if (value >= limit) return static_cast<std::int64_t>(~std::uint64_t{0} >> (65 - bits));
    if (value <= -limit) return -static_cast<std::int64_t>(~std::uint64_t{0} >> (65 - bits)) - 1;
    return static_cast<std::int64_t>(value);
  }
  if (value <= 0) return 0;
  if (value >= std::ldexp(1.0, bits)) {
    return static_cast<std::int64_t>(~std::uint64_t{0} >> (64 - bits));
  }
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(value));
}

}  // namespace

double real_at(const TensorView& tensor, std::int64_t index) {
  if (tensor.dtype == DType::fp16) {
    return static_cast<double>(float_from_half(tensor.as<std::uint16_t>()[index]));
  }
  if (tensor.dtype == DType::bf16) {
    return static_cast<double>(float_from_bf16(tensor.as<std::uint16_t>()[index]));
  }
  return with_storage(tensor.dtype, [&](auto zero) {
    return static_cast<double>(tensor.as<decltype(zero)>()[index]);
  });
}

std::int64_t integer_at(const TensorView& tensor, std::int64_t index) {
  if (is_float(tensor.dtype)) return saturated(DType::int64, real_at(tensor, index));
  return with_storage(tensor.dtype, [&](auto zero) {
    return static_cast<std::int64_t>(tensor.as<decltype(zero)>()[index]);
  });
}

void set_real(const TensorView& tensor, std::int64_t index, double value) {
  switch (tensor.dtype) {
    case DType::fp16:
      tensor.as_mutable<std::uint16_t>()[index] = half_from_double(value);
      break;
    case DType::bf16:
      tensor.as_mutable<std::uint16_t>()[index] = bf16_from_double(value);
      break;
    case DType::fp32:
      tensor.as_mutable<float>()[index] = static_cast<float>(value);
      break;
    case DType::fp64:
      tensor.as_mutable<double>()[index] = value;
      break;
    case DType::boolean:
      tensor.as_mutable<std::uint8_t>()[index] = value != 0 ? 1 : 0;
      break;
    default:
      set_integer(tensor, index, saturated(tensor.dtype, value));
  }
}

void set_integer(const TensorView& tensor, std::int64_t index, std::int64_t value) {
  if (is_float(tensor.dtype)) {
    set_real(tensor, index, static_cast<double>(value));
    return;
  }
  const int narrow = bits_below_a_byte(tensor.dtype);
  if (narrow != 0) {
    const std::int64_t span = std::int64_t{1} << narrow;
    value &= span - 1;
    if (is_signed(tensor.dtype) && value >= span / 2) value -= span;
  }
  with_storage(tensor.dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (!std::is_floating_point_v<T>) {
      tensor.as_mutable<T>()[index] = static_cast<T>(value);
    }
  });
}

}  // namespace milgen::cpu
