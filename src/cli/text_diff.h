// What differs between two texts, line by line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace milgen::cli {

struct TextDiff {
  std::size_t removed = 0;  ///< lines that only the expected text has
  std::size_t added = 0;    ///< lines that only the found text has
  /// The first byte that differs, in the found text; from 1.
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string expected_line;  ///< the two lines at that place
  std::string found_line;
  /// A few windows of differing lines, `-` expected and `+` found, each with its line number.
  std::string hunks;

  bool same() const { return line == 0; }
  /// "3 lines differ"
  std::string summary() const;
};

/// Linear in the texts: lines are matched up again within a bounded distance.
TextDiff diff_text(std::string_view expected, std::string_view found,
                   std::string_view indent = "  ");

/// The lines of a text without their ends; a text that ends in a line end has no line behind it.
std::vector<std::string_view> split_lines(std::string_view text);

}  // namespace milgen::cli
