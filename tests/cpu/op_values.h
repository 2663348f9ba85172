// Values that tests of ops compute with, and the text of constants.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cpu/run_text.h"
#include "milgen/array.h"
#include "milgen/dtype.h"
#include "milgen/shape.h"

namespace milgen::test {

/// Numbers in [-1, 1) with all the bits that a float dtype has; of an integer dtype in [-9, 9].
inline Array some_values(DType dtype, Shape shape, std::uint64_t seed) {
  Array out(dtype, std::move(shape));
  std::uint64_t state = seed * 2654435761u + 12345;
  for (std::int64_t i = 0; i < out.size(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const double value = static_cast<double>(static_cast<std::int64_t>(state) >> 11) * 0x1p-52;
    out.set(i, is_float(dtype) ? value : value * 10);
  }
  return out;
}

inline std::string type_text(const Array& array) {
  return fmt::format("tensor<{}, {}>", dtype_name(array.dtype()), to_string(array.shape()));
}

/// The array as MIL spells it in place.
inline std::string literal(const Array& array) {
  std::string text = type_text(array) + "(";
  for (std::int64_t i = 0; i < array.size(); ++i) {
    // How many dims begin, and end, with this element.
    std::size_t begun = 0;
    std::size_t ended = 0;
    std::int64_t size = 1;
    for (std::size_t d = array.shape().size(); d-- > 0;) {
      size *= array.shape()[d];
      if (i % size == 0) ++begun;
      if ((i + 1) % size == 0) ++ended;
    }
    const std::string value = is_float(array.dtype()) ? fmt::format("{:.9e}", array.real(i))
                                                      : fmt::format("{}", array.integer(i));
    text += fmt::format("{}{}{}{}", i == 0 ? "" : ", ", std::string(begun, '['), value,
                        std::string(ended, ']'));
  }
  return text + ")";
}

inline std::string list(const std::vector<int>& values) {
  return fmt::format("tensor<int32, [{}]>([{}])", values.size(), fmt::join(values, ", "));
}

inline bool same_bytes(const Array& a, const Array& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::ranges::equal(a.bytes(), b.bytes());
}

/// What a program that fails reports first, "id: message"; "" when it does not fail.
inline std::string error_of(std::string_view params, std::string_view op,
                            const std::vector<NamedArray>& inputs) {
  const TextRun run = run_text(program_text(params, op, "y"), inputs);
  if (run.errors.empty()) return "";
  return run.ids.substr(0, run.ids.find('\n')) + ": " + run.errors.substr(0, run.errors.find('\n'));
}

}  // namespace milgen::test
