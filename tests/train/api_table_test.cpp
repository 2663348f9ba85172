// src/train/README.md: its table about the field's API is complete, and what it names is there.
#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/doc_table.h"

namespace milgen::test {
namespace {

/// A symbol of the reference, below the heading of its file.
using Symbol = std::pair<std::string, std::string>;

struct Row {
  std::string section;
  std::vector<std::string> symbols;
  std::string here;
};

std::vector<Row> table() {
  std::vector<Row> rows;
  std::string section;
  for (const std::string& line : lines_of(read(root() / "src/train/README.md"))) {
    if (line.starts_with("### ")) section = line.substr(4);
    if (section.empty() || !line.starts_with("| `")) continue;
    const std::vector<std::string> cells = cells_of(line);
    REQUIRE_MESSAGE(cells.size() == 2, line);
    rows.push_back({section, in_backquotes(cells[0]), cells[1]});
  }
  return rows;
}

/// Functions, structures, macros and variables of the reference: the first cell of each row, and
/// headings of structures, whose fields stand in rows of their own.
std::set<Symbol> reference_symbols(const std::string& text) {
  std::set<Symbol> out;
  std::string section;
  bool fields = false;
  for (const std::string& line : lines_of(text)) {
    if (line.starts_with("## ")) section = line.substr(3);
    if (line.starts_with("## ") || line.starts_with("### ")) fields = false;
    if (line.starts_with("#### ")) {
      fields = true;
      out.emplace(section, in_backquotes(line).front());
    }
    if (fields || !line.starts_with("| `")) continue;
    for (const std::string& symbol : in_backquotes(cells_of(line).front())) {
      out.emplace(section, words(symbol).front());
    }
  }
  return out;
}

}  // namespace

TEST_CASE("the table about the field's API has every symbol of its reference") {
  const std::filesystem::path seed =
      root().parent_path() / "shared/seeds/ane_training_api_reference.txt";
  if (!std::filesystem::exists(seed)) {
    MESSAGE("skipped: ", seed.string(), " is not there");
    return;
  }
  std::set<Symbol> listed;
  for (const Row& row : table()) {
    for (const std::string& symbol : row.symbols) listed.emplace(row.section, symbol);
  }
  const std::set<Symbol> symbols = reference_symbols(read(seed));
  CHECK(symbols.size() > 120);
  for (const Symbol& symbol : symbols) {
    CHECK_MESSAGE(listed.count(symbol) == 1, symbol.first, ": ", symbol.second);
  }
  MESSAGE(symbols.size(), " symbols");
}

TEST_CASE("the table about the field's API has no symbol twice in a section") {
  std::map<Symbol, int> seen;
  for (const Row& row : table()) {
    for (const std::string& symbol : row.symbols) {
      const int times = ++seen[Symbol(row.section, symbol)];
      CHECK_MESSAGE(times == 1, row.section, ": ", symbol);
    }
  }
  CHECK(seen.size() > 120);
}

TEST_CASE("what the table about the field's API names on milgen's side is there") {
  const MilgenNames known;
  for (const Row& row : table()) known.check(row.symbols.front(), row.here);
}

}  // namespace milgen::test
