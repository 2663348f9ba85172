// Text for people: numbers, columns, paragraphs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace milgen::cli {

/// "7,214"
std::string grouped(std::uint64_t value);
/// "1 file", "2 files"
std::string counted(std::uint64_t count, std::string_view noun);
/// "7,214 bytes"; from a mebibyte on "12.3 MB" (of 1,000,000 bytes).
std::string size_text(std::uint64_t bytes);

constexpr double milliseconds(std::uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e6;
}
/// "0.125 ms"
std::string milliseconds_text(std::uint64_t nanoseconds);

/// Breaks `text` into lines of at most `columns` at spaces; a longer word stays whole.
std::vector<std::string> wrap(std::string_view text, std::size_t columns);
/// Puts `left` in front of the paragraph `right`, which starts at column `indent` and is wrapped at
/// 100 columns; a `left` that is too long has a line of its own.
std::string hanging(std::string_view left, std::size_t indent, std::string_view right);

/// Rows of cells as aligned columns, two spaces apart, no space at line ends.
class Table {
 public:
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// Columns, from 0, whose cells stand at the right edge.
  void right_align(std::vector<std::size_t> columns) { right_ = std::move(columns); }
  bool empty() const { return rows_.empty(); }
  std::string text(std::string_view indent = "") const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> right_;
};

/// Characters as a terminal shows them: the bytes of UTF-8 that are not continuations.
std::size_t display_width(std::string_view text);

/// Whether `text` fits a pattern of characters, `*` (any text) and `?` (one character).
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace milgen::cli
