// Cells of listings: numbers and shapes.
#pragma once

#include <charconv>
#include <string_view>

#include "milgen/shape.h"

namespace milgen::cli {

/// The whole of `text` as an integer or a decimal; false when it is none or out of range.
template <class T>
bool parse_number(std::string_view text, T& out) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

/// "[1, 64, 1, 32]", as to_string writes it.
inline bool parse_shape(std::string_view text, Shape& shape) {
  shape.clear();
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return false;
  text = text.substr(1, text.size() - 2);
  while (!text.empty()) {
    const std::size_t comma = text.find(", ");
    std::int64_t dim = 0;
    if (!parse_number(text.substr(0, comma), dim)) return false;
    shape.push_back(dim);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 2);
  }
  return true;
}

}  // namespace milgen::cli
