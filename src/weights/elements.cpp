#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "milgen/weights.h"
#include "support/float8.h"
#include "support/half.h"
#include "weights/blob_format.h"

namespace milgen {
namespace {

/// Calls `convert` with each element's bits, which have the width of T.
template <class T, class Out, class Convert>
bool each(const std::byte* from, std::span<Out> out, const Convert& convert) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<Out>(convert(detail::load_little<T>(from + i * sizeof(T))));
  }
  return true;
}

/// Integers of a whole number of bytes; T says width and sign.
template <class T, class Out>
bool each_whole(const std::byte* from, std::span<Out> out) {
  using Bits = std::make_unsigned_t<T>;
  return each<Bits>(from, out, [](Bits bits) { return static_cast<T>(bits); });
}

template <class Out>
bool read_packed(DType dtype, std::span<const std::byte> payload, std::uint64_t first,
                 std::span<Out> out) {
  const auto width = static_cast<unsigned>(dtype_bits(dtype));
  const int sign = dtype == DType::int4 ? 8 : 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto bits =
        static_cast<int>(detail::packed_bits(payload, static_cast<std::size_t>(first) + i, width));
    out[i] = static_cast<Out>((bits ^ sign) - sign);
  }
  return true;
}

template <class Out>
bool read_whole(DType dtype, const std::byte* from, std::span<Out> out) {
  switch (dtype) {
    case DType::int8:
      return each_whole<std::int8_t>(from, out);
    case DType::int16:
      return each_whole<std::int16_t>(from, out);
    case DType::int32:
      return each_whole<std::int32_t>(from, out);
    case DType::uint8:
      return each_whole<std::uint8_t>(from, out);
    case DType::uint16:
      return each_whole<std::uint16_t>(from, out);
    case DType::uint32:
      return each_whole<std::uint32_t>(from, out);
    default:
      return false;
  }
}

/// The value of every pattern of an 8-bit float.
std::array<double, 256> float8_values(DType dtype) {
  std::array<double, 256> values{};
  for (std::size_t bits = 0; bits < values.size(); ++bits) {
    values[bits] =
        detail::double_from_float8(static_cast<std::uint8_t>(bits), detail::float8_format(dtype));
  }
  return values;
}

bool read_float8(DType dtype, const std::byte* from, std::span<double> out) {
  static const std::array<double, 256> kE4m3fn = float8_values(DType::fp8e4m3fn);
  static const std::array<double, 256> kE5m2 = float8_values(DType::fp8e5m2);
  const std::array<double, 256>& values = dtype == DType::fp8e4m3fn ? kE4m3fn : kE5m2;
  return each<std::uint8_t>(from, out, [&](std::uint8_t bits) { return values[bits]; });
}

bool read_real(DType dtype, const std::byte* from, std::span<double> out) {
  switch (dtype) {
    case DType::fp16:
      return each<std::uint16_t>(from, out, float_from_half);
    case DType::bf16:
      return each<std::uint16_t>(from, out, float_from_bf16);
    case DType::fp32:
      return each<std::uint32_t>(from, out,
                                 [](std::uint32_t bits) { return std::bit_cast<float>(bits); });
    default:
      return read_float8(dtype, from, out);
  }
}

/// Whether the payload's bytes have the elements [first, first + count).
bool has_elements(DType dtype, std::size_t payload_size, std::uint64_t first, std::size_t count) {
  if (weight_dtype_code(dtype) == 0) return false;
  const std::uint64_t there =
      element_count(WeightRecord{.dtype = dtype, .size_bytes = payload_size});
  return first <= there && count <= there - first;
}

template <class Out>
bool read_integers(DType dtype, std::span<const std::byte> payload, std::uint64_t first,
                   std::span<Out> out) {
  const auto bits = static_cast<std::size_t>(dtype_bits(dtype));
  if (bits < 8) return read_packed(dtype, payload, first, out);
  return read_whole(dtype, payload.data() + static_cast<std::size_t>(first) * (bits / 8), out);
}

}  // namespace

bool read_elements(DType dtype, std::span<const std::byte> payload, std::uint64_t first,
                   std::span<double> out) {
  if (!has_elements(dtype, payload.size(), first, out.size())) return false;
  if (is_integer(dtype)) return read_integers(dtype, payload, first, out);
  const auto bytes = static_cast<std::size_t>(dtype_bits(dtype)) / 8;
  return read_real(dtype, payload.data() + static_cast<std::size_t>(first) * bytes, out);
}

bool read_elements(DType dtype, std::span<const std::byte> payload, std::uint64_t first,
                   std::span<std::int64_t> out) {
  return is_integer(dtype) && has_elements(dtype, payload.size(), first, out.size()) &&
         read_integers(dtype, payload, first, out);
}

}  // namespace milgen
