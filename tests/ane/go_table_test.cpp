// src/ane/README.md and src/kernels/README.md: their tables about Go are complete, and what they
// name is there.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/ane/probe.h"
#include "milgen/registry.h"
#include "support/doc_table.h"

namespace milgen::test {
namespace {

/// A row of three cells of a table about Go.
struct Row {
  std::string section;  ///< "x/ane/linear"
  std::string type;     ///< "Executor", "functions"
  std::vector<std::string> symbols;
  std::string here;
};

/// The rows below headings of Go's packages.
std::vector<Row> table() {
  std::vector<Row> rows;
  for (const char* file : {"src/ane/README.md", "src/kernels/README.md"}) {
    std::string section;
    for (const std::string& line : lines_of(read(root() / file))) {
      if (line.starts_with("### ")) section = line.substr(4);
      if (section.empty() || !line.starts_with("| ") || line.starts_with("| Go type")) continue;
      const std::vector<std::string> cells = cells_of(line);
      REQUIRE_MESSAGE(cells.size() == 3, line);
      const std::vector<std::string> type = words(cells[0]);
      REQUIRE_MESSAGE(type.size() == 1, line);
      rows.push_back({section, type.front(), in_backquotes(cells[1]), cells[2]});
    }
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

}  // namespace

TEST_CASE("the table about the Go packages has every exported symbol") {
  const std::filesystem::path facts = root().parent_path() / "shared/facts/go_ane_api.md";
  if (!std::filesystem::exists(facts)) {
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

TEST_CASE("what the table names on milgen's side is there") {
  const MilgenNames known;
  for (const Row& row : table()) known.check(row.type, row.here);
}

TEST_CASE("the README of the kernels has a line for every set") {
  std::vector<std::string> lined;
  for (const std::string& line : lines_of(read(root() / "src/kernels/README.md"))) {
    if (line.starts_with("## ")) break;
    if (line.starts_with("| `")) lined.push_back(in_backquotes(line).front());
  }
  std::ranges::sort(lined);
  std::vector<std::string> registered;
  Registry kernels;
  add_builtin_kernels(kernels);
  for (const KernelSetInfo& set : kernels.sets()) registered.push_back(set.name);
  std::ranges::sort(registered);
  CHECK(lined == registered);
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
