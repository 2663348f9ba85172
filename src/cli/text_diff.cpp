#include "cli/text_diff.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/format.h"

namespace milgen::cli {
namespace {

constexpr std::size_t kLookAheadLines = 40;
constexpr std::size_t kMostHunks = 4;
constexpr std::size_t kMostLinesInHunk = 12;
constexpr std::size_t kMostColumns = 160;

/// A stretch of lines that do not match.
struct Change {
  std::size_t expected_begin, expected_end, found_begin, found_end;
};

/// A line cut around `column`, with control characters made visible.
std::string excerpt(std::string_view line, std::size_t column) {
  std::size_t begin = 0;
  if (line.size() > kMostColumns && column > kMostColumns / 2) {
    begin = std::min(column - kMostColumns / 2, line.size() - kMostColumns);
  }
  const std::string_view cut = line.substr(begin, kMostColumns);
  std::string out = begin != 0 ? "..." : "";
  for (const char c : cut) {
    const auto byte = static_cast<unsigned char>(c);
    out += (byte < 0x20 && c != '\t') || byte == 0x7F ? '?' : c;
  }
  if (begin + cut.size() < line.size()) out += "...";
  return out;
}

std::size_t first_difference(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string TextDiff::summary() const {
  const std::size_t count = std::max(removed, added);
  if (count == 0) return "only the line end at the end of the file differs";
  return fmt::format("{} {}", counted(count, "line"), count == 1 ? "differs" : "differ");
}

TextDiff diff_text(std::string_view expected, std::string_view found, std::string_view indent) {
  TextDiff diff;
  if (expected == found) return diff;
  const std::vector<std::string_view> a = split_lines(expected);
  const std::vector<std::string_view> b = split_lines(found);

  std::vector<Change> changes;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      ++i;
      ++j;
      continue;
    }
    // The nearest place where both texts go on alike: least lines skipped in all. Two equal lines
    // in a row are asked for, since a lone brace matches anywhere.
    std::size_t skip_a = 1;
    std::size_t skip_b = 1;
    bool resumed = false;
    for (std::size_t total = 1; total <= kLookAheadLines && !resumed; ++total) {
      for (std::size_t x = 0; x <= total && !resumed; ++x) {
        const std::size_t p = i + x;
        const std::size_t q = j + total - x;
        if (p > a.size() || q > b.size()) continue;
        const bool ends = p == a.size() && q == b.size();
        const bool first = p < a.size() && q < b.size() && a[p] == b[q];
        const bool second = p + 1 >= a.size() || q + 1 >= b.size() || a[p + 1] == b[q + 1];
        if (ends || (first && second)) {
          skip_a = x;
          skip_b = total - x;
          resumed = true;
        }
      }
    }
    skip_a = std::min(skip_a, a.size() - i);
    skip_b = std::min(skip_b, b.size() - j);
    if (!changes.empty() && changes.back().expected_end == i && changes.back().found_end == j) {
      changes.back().expected_end = i + skip_a;
      changes.back().found_end = j + skip_b;
    } else {
      changes.push_back({i, i + skip_a, j, j + skip_b});
    }
    i += skip_a;
    j += skip_b;
    diff.removed += skip_a;
    diff.added += skip_b;
  }

  if (changes.empty()) {
    // Lines are alike, so one text ends in a line end and the other does not.
    diff.line = static_cast<std::uint32_t>(b.size());
    diff.column = static_cast<std::uint32_t>(b.empty() ? 1 : b.back().size() + 1);
    diff.hunks = fmt::format("{}the golden text {} in a line end, the found text does{}\n", indent,
                             expected.ends_with('\n') ? "ends" : "does not end",
                             found.ends_with('\n') ? "" : " not");
    return diff;
  }

  const Change& first = changes.front();
  const std::string_view expected_line =
      first.expected_begin < a.size() ? a[first.expected_begin] : std::string_view();
  const std::string_view found_line =
      first.found_begin < b.size() ? b[first.found_begin] : std::string_view();
  const std::size_t column = first_difference(found_line, expected_line);
  diff.line = static_cast<std::uint32_t>(first.found_begin + 1);
  diff.column = static_cast<std::uint32_t>(column + 1);
  diff.expected_line = excerpt(expected_line, column);
  diff.found_line = excerpt(found_line, column);

  const std::size_t digits = std::to_string(std::max(a.size(), b.size())).size();
  const auto line = [&](char sign, std::size_t number, std::string_view text, std::size_t at) {
    diff.hunks += fmt::format("{}{}{:>{}} | {}\n", indent, sign, number, digits, excerpt(text, at));
  };
  for (std::size_t c = 0; c < changes.size(); ++c) {
    if (c == kMostHunks) {
      diff.hunks +=
          fmt::format("{}... and at {} more\n", indent, counted(changes.size() - c, "place"));
      break;
    }
    const Change& change = changes[c];
    if (change.found_begin > 0 && change.found_begin <= b.size()) {
      line(' ', change.found_begin, b[change.found_begin - 1], 0);
    }
    for (std::size_t k = change.expected_begin; k < change.expected_end; ++k) {
      if (k == change.expected_begin + kMostLinesInHunk) {
        diff.hunks += fmt::format("{}-... {}\n", indent, counted(change.expected_end - k, "line"));
        break;
      }
      const std::size_t partner = change.found_begin + (k - change.expected_begin);
      line('-', k + 1, a[k], partner < change.found_end ? first_difference(a[k], b[partner]) : 0);
    }
    for (std::size_t k = change.found_begin; k < change.found_end; ++k) {
      if (k == change.found_begin + kMostLinesInHunk) {
        diff.hunks += fmt::format("{}+... {}\n", indent, counted(change.found_end - k, "line"));
        break;
      }
      const std::size_t partner = change.expected_begin + (k - change.found_begin);
      line('+', k + 1, b[k],
           partner < change.expected_end ? first_difference(b[k], a[partner]) : 0);
    }
  }
  return diff;
}

}  // namespace milgen::cli
