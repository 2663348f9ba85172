#include "cpu/float_span.h"

#include "cpu/kernel_util.h"
#include "support/half.h"

namespace milgen::cpu {
namespace {

template <class T>
void make_nans_equal(T* values, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = values[i] == values[i] ? values[i] : std::numeric_limits<T>::quiet_NaN();
  }
}

}  // namespace

const float* floats_of(const TensorView& tensor, std::int64_t begin, std::int64_t count,
                       float* buffer) {
  if (tensor.dtype == DType::fp32) return tensor.as<float>() + begin;
  if (tensor.dtype == DType::fp16) {
    floats_from_halves(tensor.as<std::uint16_t>() + begin, buffer, static_cast<std::size_t>(count));
    return buffer;
  }
  with_element_type(tensor.dtype, [&](auto zero) {
    const auto* elements = tensor.as<decltype(zero)>() + begin;
    for (std::int64_t i = 0; i < count; ++i) buffer[i] = static_cast<float>(number(elements[i]));
  });
  return buffer;
}

float* floats_for(const TensorView& tensor, std::int64_t begin, float* buffer) {
  return tensor.dtype == DType::fp32 ? tensor.as_mutable<float>() + begin : buffer;
}

void store_floats(const TensorView& tensor, std::int64_t begin, std::int64_t count, float* values) {
  make_nans_equal(values, count);
  if (tensor.dtype == DType::fp16) {
    HalfReport report;
    halves_from_floats(values, tensor.as_mutable<std::uint16_t>() + begin,
                       static_cast<std::size_t>(count), report);
    return;
  }
  with_element_type(tensor.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* elements = tensor.as_mutable<T>() + begin;
    if (static_cast<const void*>(elements) == static_cast<const void*>(values)) return;
    for (std::int64_t i = 0; i < count; ++i) {
      elements[i] = element_from_real<T>(static_cast<double>(values[i]));
    }
  });
}

void load_doubles(const TensorView& tensor, std::int64_t begin, std::int64_t count,
                  double* values) {
  if (tensor.dtype != DType::fp16) {
    with_element_type(tensor.dtype, [&](auto zero) {
      const auto* elements = tensor.as<decltype(zero)>() + begin;
      for (std::int64_t i = 0; i < count; ++i) {
        values[i] = static_cast<double>(number(elements[i]));
      }
    });
    return;
  }
  constexpr std::int64_t kBlock = 256;
  float block[kBlock];
  for (std::int64_t first = 0; first < count; first += kBlock) {
    const std::int64_t length = std::min(kBlock, count - first);
    floats_of(tensor, begin + first, length, block);
    for (std::int64_t i = 0; i < length; ++i) values[first + i] = static_cast<double>(block[i]);
  }
}

void store_doubles(const TensorView& tensor, std::int64_t begin, std::int64_t count,
                   double* values) {
  make_nans_equal(values, count);
  if (tensor.dtype == DType::fp16) {
    HalfReport report;
    halves_from_doubles(values, tensor.as_mutable<std::uint16_t>() + begin,
                        static_cast<std::size_t>(count), report);
    return;
  }
  with_element_type(tensor.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* elements = tensor.as_mutable<T>() + begin;
    for (std::int64_t i = 0; i < count; ++i) elements[i] = element_from_real<T>(values[i]);
  });
}

}  // namespace milgen::cpu
