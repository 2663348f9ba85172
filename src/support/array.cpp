#include "milgen/array.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>

#include "support/float8.h"
#include "support/half.h"

namespace milgen {
namespace {

// A cache line, which is also the widest vector.
constexpr std::size_t kAlignmentBytes = 64;

/// False when the shape has no number of elements or the bytes do not fit in memory's addresses.
bool size_of(DType dtype, const Shape& shape, std::int64_t& count, std::size_t& size_bytes) {
  if (dtype == DType::none || !element_count(shape, count)) return false;
  std::int64_t product = 0;
  if (__builtin_mul_overflow(count, static_cast<std::int64_t>(element_bytes(dtype)), &product)) {
    return false;
  }
  size_bytes = static_cast<std::size_t>(product);
  return product <= std::numeric_limits<std::ptrdiff_t>::max() - std::int64_t{kAlignmentBytes};
}

/// Zeros that `owner` keeps; null when there is no such memory. calloc, because large blocks of it
/// are pages that the system has cleared already.
std::byte* zeroed(std::size_t size_bytes, std::shared_ptr<const void>& owner) {
  void* block = std::calloc(size_bytes + kAlignmentBytes - 1, 1);
  if (block == nullptr) return nullptr;
  owner = std::shared_ptr<const void>(block, [](void* memory) { std::free(memory); });
  std::size_t space = size_bytes + kAlignmentBytes - 1;
  return static_cast<std::byte*>(std::align(kAlignmentBytes, size_bytes, block, space));
}

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void store(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

/// To nearest, ties to even, within the limits; not a number is 0.
template <class T>
T saturated(double value, int bits = std::numeric_limits<T>::digits) {
  // One above the largest is a power of two and so a double, which the largest itself need not be.
  const double above = std::ldexp(1.0, bits);
  const double least = std::numeric_limits<T>::is_signed ? -above : 0.0;
  if (std::isnan(value)) return 0;
  const double whole = std::nearbyint(value);
  if (whole >= above) {
    return static_cast<T>(std::numeric_limits<T>::max() >> (std::numeric_limits<T>::digits - bits));
  }
  return static_cast<T>(std::max(whole, least));
}

bool is_signed_integer(DType dtype) {
  return dtype == DType::int4 || dtype == DType::int8 || dtype == DType::int16 ||
         dtype == DType::int32 || dtype == DType::int64;
}

}  // namespace

std::size_t element_bytes(DType dtype) {
  if (dtype == DType::boolean) return 1;
  return (static_cast<std::size_t>(dtype_bits(dtype)) + 7) / 8;
}

Array::Array(DType dtype, Shape shape) {
  std::int64_t count = 0;
  std::size_t size_bytes = 0;
  if (!size_of(dtype, shape, count, size_bytes)) return;
  if (dtype == DType::string) {
    try {
      *this =
          of_strings(std::move(shape), std::vector<std::string>(static_cast<std::size_t>(count)));
    } catch (const std::bad_alloc&) {
    } catch (const std::length_error&) {
    }
    return;
  }
  data_ = zeroed(size_bytes, owner_);
  if (data_ == nullptr) return;
  dtype_ = dtype;
  shape_ = std::move(shape);
  size_ = count;
  bytes_ = size_bytes;
}

Array Array::uninitialized(DType dtype, Shape shape) {
  std::int64_t count = 0;
  std::size_t size_bytes = 0;
  if (dtype == DType::string) return Array(dtype, std::move(shape));
  if (!size_of(dtype, shape, count, size_bytes)) return {};
  void* block =
      std::aligned_alloc(kAlignmentBytes, (size_bytes / kAlignmentBytes + 1) * kAlignmentBytes);
  if (block == nullptr) return {};
  std::shared_ptr<const void> owner(block, [](void* memory) { std::free(memory); });
  return share(dtype, std::move(shape), {static_cast<std::byte*>(block), size_bytes},
               std::move(owner));
}

Array Array::borrow(DType dtype, Shape shape, std::span<std::byte> bytes) {
  return share(dtype, std::move(shape), bytes, nullptr);
}

Array Array::share(DType dtype, Shape shape, std::span<std::byte> bytes,
                   std::shared_ptr<const void> owner) {
  Array array;
  std::int64_t count = 0;
  std::size_t size_bytes = 0;
  if (dtype == DType::string || !size_of(dtype, shape, count, size_bytes)) return array;
  const bool aligned = std::bit_cast<std::uintptr_t>(bytes.data()) %
                           std::max<std::size_t>(element_bytes(dtype), 1) ==
                       0;
  if (size_bytes != bytes.size() || !aligned) return array;
  array.dtype_ = dtype;
  array.shape_ = std::move(shape);
  array.size_ = count;
  array.data_ = bytes.data();
  array.bytes_ = size_bytes;
  array.owner_ = std::move(owner);
  return array;
}

Array Array::of_strings(Shape shape, std::vector<std::string> values) {
  Array array;
  std::int64_t count = 0;
  if (!element_count(shape, count) || static_cast<std::uint64_t>(count) != values.size()) {
    return array;
  }
  array.dtype_ = DType::string;
  array.shape_ = std::move(shape);
  array.size_ = count;
  array.strings_ = std::make_shared<std::vector<std::string>>(std::move(values));
  return array;
}

std::span<const std::string> Array::strings() const {
  if (strings_ == nullptr) return {};
  return *strings_;
}

std::span<std::string> Array::mutable_strings() {
  if (strings_ == nullptr) return {};
  return *strings_;
}

double Array::real(std::int64_t index) const {
  const std::byte* from = data_ + static_cast<std::size_t>(index) * element_bytes(dtype_);
  switch (dtype_) {
    case DType::fp16:
      return static_cast<double>(float_from_half(load<std::uint16_t>(from)));
    case DType::bf16:
      return static_cast<double>(float_from_bf16(load<std::uint16_t>(from)));
    case DType::fp32:
      return static_cast<double>(load<float>(from));
    case DType::fp64:
      return load<double>(from);
    case DType::fp8e4m3fn:
    case DType::fp8e5m2:
      return detail::double_from_float8(std::to_integer<std::uint8_t>(*from),
                                        detail::float8_format(dtype_));
    case DType::uint64:
      return static_cast<double>(load<std::uint64_t>(from));
    case DType::none:
    case DType::string:
      return std::numeric_limits<double>::quiet_NaN();
    default:
      return static_cast<double>(integer(index));
  }
}

std::int64_t Array::integer(std::int64_t index) const {
  if (!is_integer(dtype_) && dtype_ != DType::boolean) return 0;
  const std::byte* from = data_ + static_cast<std::size_t>(index) * element_bytes(dtype_);
  const bool is_signed = is_signed_integer(dtype_);
  switch (element_bytes(dtype_)) {
    case 1:
      return is_signed ? load<std::int8_t>(from) : load<std::uint8_t>(from);
    case 2:
      return is_signed ? load<std::int16_t>(from) : load<std::uint16_t>(from);
    case 4:
      return is_signed ? load<std::int32_t>(from) : std::int64_t{load<std::uint32_t>(from)};
    default:
      return load<std::int64_t>(from);
  }
}

void Array::set(std::int64_t index, double value) {
  std::byte* to = data_ + static_cast<std::size_t>(index) * element_bytes(dtype_);
  switch (dtype_) {
    case DType::none:
    case DType::string:
      return;
    case DType::boolean:
      return store<std::uint8_t>(to, value != 0);
    case DType::fp16:
      return store(to, half_from_double(value));
    case DType::bf16:
      return store(to, bf16_from_double(value));
    case DType::fp32:
      return store(to, static_cast<float>(value));
    case DType::fp64:
      return store(to, value);
    case DType::fp8e4m3fn:
    case DType::fp8e5m2:
      return store(to, detail::float8_from_double(value, detail::float8_format(dtype_)));
    case DType::int4:
      return store(to, saturated<std::int8_t>(value, 3));
    case DType::int8:
      return store(to, saturated<std::int8_t>(value));
    case DType::int16:
      return store(to, saturated<std::int16_t>(value));
    case DType::int32:
      return store(to, saturated<std::int32_t>(value));
    case DType::int64:
      return store(to, saturated<std::int64_t>(value));
    case DType::uint16:
      return store(to, saturated<std::uint16_t>(value));
    case DType::uint32:
      return store(to, saturated<std::uint32_t>(value));
    case DType::uint64:
      return store(to, saturated<std::uint64_t>(value));
    case DType::uint8:
    case DType::uint1:
    case DType::uint2:
    case DType::uint3:
    case DType::uint4:
    case DType::uint6:
      return store(to, saturated<std::uint8_t>(value, dtype_bits(dtype_)));
  }
}

Array Array::clone() const {
  if (dtype_ == DType::string) return of_strings(shape_, *strings_);
  Array copy(dtype_, shape_);
  if (copy.bytes_ != 0) std::memcpy(copy.data_, data_, copy.bytes_);
  return copy;
}

Array Array::reshaped(Shape shape) const {
  std::int64_t count = 0;
  if (dtype_ == DType::none || !element_count(shape, count) || count != size_) return {};
  Array view = *this;
  view.shape_ = std::move(shape);
  return view;
}

const NamedArray* find_array(std::span<const NamedArray> arrays, std::string_view name) {
  const auto found = std::ranges::find(arrays, name, &NamedArray::name);
  return found == arrays.end() ? nullptr : &*found;
}

}  // namespace milgen
