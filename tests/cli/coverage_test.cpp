// Gates: every diagnostic id and every op stands in some golden or some test.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "milgen/diagnostic.h"
#include "milgen/op_info.h"

namespace fs = std::filesystem;
using namespace milgen;

namespace {

/// Ids that no test provokes, each with the reason. There is none.
constexpr std::array<std::string_view, 0> kUntestedIds = {};
/// Ops that no test and no golden names, each with the reason. There is none.
constexpr std::array<std::string_view, 0> kUntestedOps = {};

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.';
}

/// Words of letters, digits, underscores and dots; those of a file are added to `words`.
void add_words(const fs::path& path, std::set<std::string, std::less<>>& words) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  for (std::size_t begin = 0; begin < text.size();) {
    if (!is_word_character(text[begin])) {
      ++begin;
      continue;
    }
    std::size_t end = begin;
    while (end < text.size() && is_word_character(text[end])) ++end;
    words.insert(text.substr(begin, end - begin));
    begin = end;
  }
}

/// The words of goldens and tests. Lists of everything prove nothing and are left out.
const std::set<std::string, std::less<>>& tested_words() {
  static const std::set<std::string, std::less<>> all = [] {
    std::set<std::string, std::less<>> words;
    const fs::path root = MILGEN_SOURCE_DIR;
    for (const char* folder : {"golden", "tests"}) {
      for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
        const std::string name = entry.path().filename().string();
        if (!entry.is_regular_file() || name == "ops.golden" || name == "explain_all.golden" ||
            name == "coverage_test.cpp") {
          continue;
        }
        add_words(entry.path(), words);
      }
    }
    return words;
  }();
  return all;
}

bool listed(std::span<const std::string_view> list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

}  // namespace

TEST_CASE("every diagnostic id stands in a golden or a test") {
  for (const DiagnosticInfo& info : diagnostic_ids()) {
    const std::string id(info.id);
    CAPTURE(id);
    const bool tested = tested_words().contains(id);
    CHECK(tested != listed(kUntestedIds, info.id));
  }
}

TEST_CASE("every op stands in a golden or a test") {
  for (const OpInfo& op : op_table()) {
    const std::string name(op.name);
    CAPTURE(name);
    const bool tested = tested_words().contains(name);
    CHECK(tested != listed(kUntestedOps, op.name));
  }
}
