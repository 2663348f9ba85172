#include "cli/format.h"

#include <fmt/format.h>

#include <algorithm>

namespace milgen::cli {
namespace {
constexpr std::size_t kColumns = 100;
}

std::string grouped(std::uint64_t value) {
  std::string out = std::to_string(value);
  for (std::size_t at = out.size(); at > 3;) {
    at -= 3;
    out.insert(at, 1, ',');
  }
  return out;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", grouped(count), noun, count == 1 ? "" : "s");
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t kBytesPerMegabyte = 1000000;
  if (bytes < kBytesPerMegabyte) return counted(bytes, "byte");
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

std::string milliseconds_text(std::uint64_t nanoseconds) {
  return fmt::format("{:.3f} ms", milliseconds(nanoseconds));
}

std::vector<std::string> wrap(std::string_view text, std::size_t columns) {
  std::vector<std::string> lines;
  std::string line;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    if (!line.empty() && line.size() + 1 + word.size() > columns) {
      lines.push_back(std::move(line));
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
    if (space == std::string_view::npos) break;
    text.remove_prefix(space + 1);
  }
  if (!line.empty()) lines.push_back(std::move(line));
  return lines;
}

std::string hanging(std::string_view left, std::size_t indent, std::string_view right) {
  std::string out(left);
  const std::vector<std::string> lines = wrap(right, kColumns - indent);
  bool on_left_line = left.size() + 2 <= indent;
  if (!on_left_line) out += '\n';
  for (const std::string& line : lines) {
    if (on_left_line && &line == &lines.front()) {
      out.append(indent - left.size(), ' ');
    } else {
      out.append(indent, ' ');
    }
    out += line;
    out += '\n';
  }
  if (lines.empty() && on_left_line) out += '\n';
  return out;
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

std::string Table::text(std::string_view indent) const {
  std::vector<std::size_t> widths;
  for (const std::vector<std::string>& cells : rows_) {
    widths.resize(std::max(widths.size(), cells.size()));
    for (std::size_t i = 0; i < cells.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(cells[i]));
    }
  }
  std::string out;
  for (const std::vector<std::string>& cells : rows_) {
    std::string line(indent);
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::size_t padding = widths[i] - display_width(cells[i]);
      const bool right = std::ranges::find(right_, i) != right_.end();
      if (right) line.append(padding, ' ');
      line += cells[i];
      if (!right) line.append(padding, ' ');
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line;
    out += '\n';
  }
  return out;
}

bool glob_matches(std::string_view pattern, std::string_view text) {
  // On a mismatch only the last star can take more, so this backtracks at most once per character.
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace milgen::cli
