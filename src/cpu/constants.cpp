#include "cpu/constants.h"

#include <cstring>
#include <vector>

#include "cpu/kernel.h"
#include "mil/literal.h"
#include "milgen/weights.h"

namespace milgen::cpu {
namespace {

using mil::Token;
using mil::TokenKind;

/// The dtype of a value that stands in the text without a type.
DType dtype_of_bare(std::string_view text, DType fallback) {
  mil::LiteralTokens tokens(text);
  Token token = tokens.next();
  while (token.kind == TokenKind::open) token = tokens.next();
  if (token.kind == TokenKind::string) return DType::string;
  if (token.kind == TokenKind::word) return DType::boolean;
  return fallback;
}

TensorView view_of(Array& array) {
  return {array.dtype(), array.shape(), array.mutable_bytes().data(), array.size()};
}

Array filled(std::string_view text, DType dtype, const Shape& shape, std::int64_t count) {
  const auto elements = static_cast<std::size_t>(count);
  const std::size_t limit = elements + 1;
  if (dtype == DType::string) {
    std::vector<std::string> values;
    if (!mil::decode_strings(text, values, limit) || values.size() != elements) return {};
    return Array::of_strings(shape, std::move(values));
  }
  Array array(dtype, shape);
  if (!array) return {};
  const TensorView view = view_of(array);
  if (is_float(dtype)) {
    std::vector<double> values;
    if (!mil::decode_reals(text, dtype, values, limit) || values.size() != elements) return {};
    for (std::int64_t i = 0; i < count; ++i) set_real(view, i, values[static_cast<std::size_t>(i)]);
    return array;
  }
  std::vector<std::int64_t> values;
  const bool read = dtype == DType::uint64 ? mil::decode_unsigned(text, values, limit)
                                           : mil::decode_integers(text, values, limit);
  if (!read || values.size() != elements) return {};
  for (std::int64_t i = 0; i < count; ++i) {
    set_integer(view, i, values[static_cast<std::size_t>(i)]);
  }
  return array;
}

}  // namespace

Array array_of_literal(const mil::ModuleData& data, const mil::LiteralRecord& literal,
                       DType fallback) {
  DType dtype = dtype_of_bare(literal.text, fallback);
  Shape shape;
  if (literal.type != mil::kNoId) {
    const TypeView& type = data.types.view(literal.type);
    if (type.kind == TypeKind::list && type.element != nullptr) {
      dtype = type.element->dtype;
      std::vector<std::string> labels;
      std::vector<std::int64_t> numbers;
      const bool is_text = dtype == DType::string;
      if (is_text ? !mil::decode_strings(literal.text, labels, SIZE_MAX)
                  : !mil::decode_integers(literal.text, numbers, SIZE_MAX)) {
        return {};
      }
      shape = {static_cast<std::int64_t>(is_text ? labels.size() : numbers.size())};
    } else {
      dtype = type.dtype;
      shape = Shape(type.shape);
    }
  }
  std::int64_t count = 0;
  if (!element_count(shape, count)) return {};
  return filled(literal.text, dtype, shape, count);
}

Array array_of_payload(DType dtype, const Shape& shape, std::span<const std::byte> payload,
                       const std::shared_ptr<const void>& owner) {
  std::int64_t count = 0;
  if (!element_count(shape, count)) return {};
  const std::size_t size = element_bytes(dtype);
  const auto elements = static_cast<std::size_t>(count);
  std::uint64_t packed_bytes = 0;
  std::uint32_t padding_bits = 0;
  if (size == 0 || !payload_bytes(dtype, elements, packed_bytes, padding_bits) ||
      payload.size() < packed_bytes) {
    return {};
  }
  const bool is_packed = packed_bytes != elements * size;
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(payload.data()) % size == 0;
  if (!is_packed && is_aligned) {
    // Constants are never written to; an Array has one kind of pointer.
    auto* bytes = const_cast<std::byte*>(payload.data());
    return Array::share(dtype, shape, {bytes, elements * size}, owner);
  }
  Array array(dtype, shape);
  if (!array || !is_packed) {
    if (array) std::memcpy(array.mutable_bytes().data(), payload.data(), elements * size);
    return array;
  }
  const TensorView view = view_of(array);
  constexpr std::size_t kChunk = 4096;
  std::vector<std::int64_t> values(kChunk);
  for (std::size_t at = 0; at < elements; at += kChunk) {
    const std::span<std::int64_t> chunk(values.data(), std::min(kChunk, elements - at));
    if (!read_elements(dtype, payload, at, chunk)) return {};
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      set_integer(view, static_cast<std::int64_t>(at + i), chunk[i]);
    }
  }
  return array;
}

}  // namespace milgen::cpu
