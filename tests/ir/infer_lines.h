// Lists of one-line inference cases, checked one by one.
#pragma once

#include <doctest/doctest.h>

#include <span>
#include <string>
#include <string_view>

#include "ir/infer_cases.h"

namespace milgen::test {

/// An op, its arguments in the notation of infer_line, and either the types of its results or
/// "diagnostic.id: part of the sentence".
struct Line {
  std::string_view op;
  std::string_view arguments;
  std::string_view expected;
  Opset opset = Opset::ios18;
};

inline void check_lines(std::span<const Line> lines) {
  for (const Line& line : lines) {
    std::string why;
    const bool ok =
        as_expected(infer_line(line.op, line.arguments, line.opset), line.expected, why);
    CHECK_MESSAGE(ok, line.op << " " << line.arguments << "\n    wants " << line.expected
                              << "\n    has   " << why);
  }
}

}  // namespace milgen::test
