// Tables of README files that put symbols of somebody else's API beside milgen's, and what holds
// them against the public headers.
#pragma once

#include <doctest/doctest.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "milgen/registry.h"

namespace milgen::test {

inline std::string read(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

inline std::filesystem::path root() { return MILGEN_SOURCE_DIR; }

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// What stands between backquotes, in order.
inline std::vector<std::string> in_backquotes(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t begin = text.find('`'); begin != text.npos; begin = text.find('`', begin)) {
    const std::size_t end = text.find('`', begin + 1);
    if (end == text.npos) break;
    out.emplace_back(text.substr(begin + 1, end - begin - 1));
    begin = end + 1;
  }
  return out;
}

inline bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

inline std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && is_word(text[end])) ++end;
    if (end > i) out.emplace_back(text.substr(i, end - i));
    i = end + 1;
  }
  return out;
}

/// The cells of a table's line: "| a | b |".
inline std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  for (std::size_t begin = 1; begin < line.size();) {
    const std::size_t end = line.find('|', begin);
    if (end == line.npos) break;
    cells.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return cells;
}

/// All words of the public headers that do not stand in comments.
inline std::set<std::string> public_words() {
  std::set<std::string> out;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(root() / "include/milgen")) {
    if (entry.path().extension() != ".h") continue;
    for (const std::string& line : lines_of(read(entry.path()))) {
      const std::size_t begin = line.find_first_not_of(' ');
      if (begin == line.npos || line[begin] == '*' || line.compare(begin, 2, "/*") == 0) continue;
      for (std::string& word : words(line.substr(0, line.find("//")))) out.insert(std::move(word));
    }
  }
  return out;
}

/// What a table may name: words of the public headers, headers, kernels.
class MilgenNames {
 public:
  MilgenNames() : words_(public_words()) { add_builtin_kernels(kernels_); }

  /// Holds a cell against them: it has to say something, and every name in it has to be there.
  void check(const std::string& row, const std::string& cell) const {
    CHECK_MESSAGE(cell.find_first_not_of(' ') != cell.npos, row);
    for (const std::string& name : in_backquotes(cell)) {
      if (name.starts_with("milc ")) continue;
      if (name.ends_with(".h")) {
        CHECK_MESSAGE(std::filesystem::exists(root() / "include" / name), row, ": ", name);
      } else if (name.find('/') != name.npos) {
        const KernelSetInfo* set = nullptr;
        CHECK_MESSAGE(kernels_.find(name, set) != nullptr, row, ": ", name);
      } else {
        for (const std::string& word : milgen::test::words(name)) {
          CHECK_MESSAGE(words_.count(word) == 1, row, ": ", name);
        }
      }
    }
  }

 private:
  std::set<std::string> words_;
  Registry kernels_;
};

}  // namespace milgen::test
