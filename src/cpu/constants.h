// Constants of a text as arrays.
#pragma once

#include "mil/module_data.h"
#include "milgen/array.h"

namespace milgen::cpu {

/// A literal that stands in the text. `fallback` is the dtype of a bare one, which says none. No
/// tensor when the value cannot be read or memory does not take it.
Array array_of_literal(const mil::ModuleData& data, const mil::LiteralRecord& literal,
                       DType fallback);

/// The payload of a weight, where it is (`owner` keeps it alive) unless its elements are packed or
/// not aligned. No tensor when the bytes are fewer than the elements take.
Array array_of_payload(DType dtype, const Shape& shape, std::span<const std::byte> payload,
                       const std::shared_ptr<const void>& owner);

}  // namespace milgen::cpu
