// src/ane/README.md: its tables are complete, and what they name is there.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/ane/probe.h"

namespace milgen::test {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

fs::path root() { return MILGEN_SOURCE_DIR; }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// What stands between backquotes, in order.
std::vector<std::string> in_backquotes(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t begin = text.find('`'); begin != text.npos; begin = text.find('`', begin)) {
    const std::size_t end = text.find('`', begin + 1);
    if (end == text.npos) break;
    out.emplace_back(text.substr(begin + 1, end - begin - 1));
    begin = end + 1;
  }
  return out;
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && is_word(text[end])) ++end;
    if (end > i) out.emplace_back(text.substr(i, end - i));
    i = end + 1;
  }
  return out;
}

/// A row of three cells of a table about Go.
struct Row {
  std::string section;  ///< "x/ane/linear"
  std::string type;     ///< "Executor", "functions"
  std::vector<std::string> symbols;
  std::string here;
};

std::vector<Row> table() {
  std::vector<Row> rows;
  std::string section;
  for (const std::string& line : lines_of(read(root() / "src/ane/README.md"))) {
    if (line.starts_with("### ")) section = line.substr(4);
    if (section.empty() || !line.starts_with("| ") || line.starts_with("| Go type")) continue;
    std::vector<std::string> cells;
    for (std::size_t begin = 1; begin < line.size();) {
      const std::size_t end = line.find('|', begin);
      if (end == line.npos) break;
      cells.push_back(line.substr(begin, end - begin));
      begin = end + 1;
    }
    REQUIRE_MESSAGE(cells.size() == 3, line);
    const std::vector<std::string> type = words(cells[0]);
    REQUIRE_MESSAGE(type.size() == 1, line);
    rows.push_back({section, type.front(), in_backquotes(cells[1]), cells[2]});
  }
  return rows;
}

/// An exported symbol of the Go packages: a type alone, or a symbol, of that type if there is one.
struct GoSymbol {
  std::string section;
  std::string type;
  std::string name;
};

/// "A int; B []byte" of a line's "Fields: `...`".
void add_fields(const std::string& line, GoSymbol symbol, std::vector<GoSymbol>& out) {
  const std::size_t at = line.find("Fields: ");
  if (at == line.npos) return;
  std::istringstream fields(in_backquotes(line.substr(at)).front());
  for (std::string field; std::getline(fields, field, ';');) {
    symbol.name = words(field).front();
    out.push_back(symbol);
  }
}

/// "(m *Model) Eval() error", "Open() (*Client, error)", "A, B".
void add_symbols(const std::string& declaration, const std::string& section,
                 std::vector<GoSymbol>& out) {
  if (declaration.starts_with('(')) {
    const std::size_t end = declaration.find(')');
    out.push_back({section, words(declaration.substr(0, end)).back(),
                   words(declaration.substr(end)).front()});
    return;
  }
  for (const std::string& name : words(declaration.substr(0, declaration.find('(')))) {
    out.push_back({section, {}, name});
  }
}

std::vector<GoSymbol> go_symbols(const std::string& facts) {
  std::vector<GoSymbol> out;
  std::string section;
  for (const std::string& line : lines_of(facts)) {
    if (line.starts_with("### 5.")) section = in_backquotes(line).front();
    const bool is_item = line.starts_with("- ") || line.starts_with("  - ");
    if (section.empty() || !is_item || in_backquotes(line).empty()) continue;
    const std::string first = in_backquotes(line).front();
    if (line.starts_with("- **type")) {
      out.push_back({section, first, {}});
      add_fields(line, {section, first, {}}, out);
    } else {
      add_symbols(first, section, out);
    }
  }
  return out;
}

bool has(const std::vector<Row>& rows, const GoSymbol& symbol) {
  return std::ranges::any_of(rows, [&](const Row& row) {
    if (row.section != symbol.section) return false;
    if (!symbol.type.empty() && row.type != symbol.type) return false;
    return symbol.name.empty() || std::ranges::count(row.symbols, symbol.name) != 0;
  });
}

/// All words of the public headers that do not stand in comments.
std::set<std::string> public_words() {
  std::set<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(root() / "include/milgen")) {
    if (entry.path().extension() != ".h") continue;
    for (const std::string& line : lines_of(read(entry.path()))) {
      const std::size_t begin = line.find_first_not_of(' ');
      if (begin == line.npos || line[begin] == '*' || line.compare(begin, 2, "/*") == 0) continue;
      for (std::string& word : words(line.substr(0, line.find("//")))) out.insert(std::move(word));
    }
  }
  return out;
}

}  // namespace

TEST_CASE("the table about the Go packages has every exported symbol") {
  const fs::path facts = root().parent_path() / "shared/facts/go_ane_api.md";
  if (!fs::exists(facts)) {
    MESSAGE("skipped: ", facts.string(), " is not there");
    return;
  }
  const std::vector<Row> rows = table();
  const std::vector<GoSymbol> symbols = go_symbols(read(facts));
  CHECK(symbols.size() > 400);
  for (const GoSymbol& symbol : symbols) {
    CHECK_MESSAGE(has(rows, symbol), symbol.section, ": ", symbol.type, " ", symbol.name);
  }
  MESSAGE(symbols.size(), " symbols in ", rows.size(), " rows");
}

TEST_CASE("the table about the Go packages has no symbol twice") {
  std::map<std::string, int> seen;
  for (const Row& row : table()) {
    for (const std::string& symbol : row.symbols) {
      const std::string name = row.section + " " + row.type + "." + symbol;
      CHECK_MESSAGE(++seen[name] == 1, name);
    }
  }
}

TEST_CASE("what the table names on milgen's side is in a public header") {
  const std::set<std::string> known = public_words();
  for (const Row& row : table()) {
    for (const std::string& name : in_backquotes(row.here)) {
      if (name.starts_with("milc ")) continue;
      if (name.ends_with(".h")) {
        CHECK_MESSAGE(fs::exists(root() / "include" / name), name);
        continue;
      }
      for (const std::string& word : words(name)) {
        CHECK_MESSAGE(known.count(word) == 1, row.type, ": ", name);
      }
    }
  }
}

TEST_CASE("the README settles by every question of milc probe, and by no other") {
  std::vector<std::string> named;
  for (const std::string& line : lines_of(read(root() / "src/ane/README.md"))) {
    constexpr std::string_view kOnly = "milc probe --only ";
    for (const std::string& command : in_backquotes(line)) {
      if (command.starts_with(kOnly)) named.push_back(command.substr(kOnly.size()));
    }
  }
  std::vector<std::string> asked;
  for (const ane::ProbeQuestion& question : ane::probe_questions()) {
    asked.emplace_back(question.name);
  }
  CHECK(named == asked);
}

}  // namespace milgen::test
