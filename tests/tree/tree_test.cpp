// Holds the repository itself to its rules: which folder may include which, what a public header
// may include, what lies at the top level, and that no file is missing from the build.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/program.h"
#include "milgen/version.h"

namespace fs = std::filesystem;

namespace {

/// src/<folder> may include from itself and from folders before it; cpu and ane, which stand
/// behind one interface, not from each other.
constexpr std::string_view kLayers[] = {"support", "weights", "ir",  "mil",
                                        "passes",  "backend", "cpu", "ane",
                                        "kernels", "train",   "cli"};

struct SourceFile {
  std::string path;  // relative to the root, with '/'
  std::string text;
};

const fs::path& root() {
  static const fs::path path = MILGEN_SOURCE_DIR;
  return path;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string read(std::string_view relative) { return read_file(root() / relative); }

/// Names at the top level that git ignores, read from .gitignore ("/build/" gives "build").
std::set<std::string> ignored_names() {
  std::set<std::string> names = {".git"};
  const std::string text = read(".gitignore");
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    if (line.starts_with('/')) line.remove_prefix(1);
    if (line.ends_with('/')) line.remove_suffix(1);
    if (!line.empty()) names.emplace(line);
    begin = end + 1;
  }
  return names;
}

std::vector<SourceFile> read_tree() {
  const std::set<std::string> ignored = ignored_names();
  std::vector<SourceFile> files;
  for (auto it = fs::recursive_directory_iterator(root()); it != fs::end(it); ++it) {
    if (ignored.count(it->path().filename().string()) != 0) {
      if (it->is_directory()) it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file()) continue;
    files.push_back({it->path().lexically_relative(root()).generic_string(), ""});
    // Weight files and the like hold no text that a rule is about.
    if (it->file_size() <= 4'000'000) files.back().text = read_file(it->path());
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> files = read_tree();
  return files;
}

bool is_header(std::string_view path) { return path.ends_with(".h"); }
bool is_code(std::string_view path) { return is_header(path) || path.ends_with(".cpp"); }

/// The part of `path` before the first '/'.
std::string_view first_folder(std::string_view path) { return path.substr(0, path.find('/')); }

std::ptrdiff_t layer_of(std::string_view folder) {
  return std::find(std::begin(kLayers), std::end(kLayers), folder) - std::begin(kLayers);
}
bool is_layer(std::string_view folder) { return layer_of(folder) != std::ssize(kLayers); }

struct Include {
  bool angle;  // <name>, not "name"
  std::string name;
};

std::vector<Include> includes_of(std::string_view text) {
  std::vector<Include> found;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    const auto skip_blanks = [&line] {
      line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    };
    skip_blanks();
    if (!line.starts_with('#')) continue;
    line.remove_prefix(1);
    skip_blanks();
    if (!line.starts_with("include")) continue;
    line.remove_prefix(std::string_view("include").size());
    skip_blanks();
    if (!line.starts_with('<') && !line.starts_with('"')) continue;
    const bool angle = line.front() == '<';
    const std::size_t close = line.find(angle ? '>' : '"', 1);
    if (close != std::string_view::npos)
      found.push_back({angle, std::string(line.substr(1, close - 1))});
  }
  return found;
}

/// The words of a CMake file that look like files, comments left out.
std::set<std::string> files_in_list(std::string_view cmake_list) {
  const std::string text = read(cmake_list);
  std::set<std::string> words;
  std::string word;
  bool comment = false;
  for (const char c : text + "\n") {
    if (c == '#') comment = true;
    if (c == '\n') comment = false;
    if (!comment && std::string_view(" \t\n()\"").find(c) == std::string_view::npos) {
      word += c;
      continue;
    }
    if (is_code(word)) words.insert(word);
    word.clear();
  }
  return words;
}

/// Fails for each file of `folder` that `wanted` accepts and `folder`/CMakeLists.txt does not name.
/// `prefix` is how that list leads to `folder` when it stands in another one.
template <class Wanted>
void check_listed(std::string_view list, std::string_view folder, std::string_view prefix,
                  Wanted wanted) {
  const std::set<std::string> listed = files_in_list(list);
  std::size_t seen = 0;
  for (const SourceFile& file : tree()) {
    if (!file.path.starts_with(folder) || !wanted(file.path)) continue;
    ++seen;
    const std::string name = std::string(prefix) + file.path.substr(folder.size());
    CHECK_MESSAGE(listed.count(name) == 1, file.path, " is not in ", list);
  }
  CHECK(seen > 0);
}

}  // namespace

TEST_CASE("the reader of #include lines knows all spellings") {
  const auto found =
      includes_of("#include <a>\n  # include \"b/c.h\"  // why\n// #include <no>\nx");
  REQUIRE(found.size() == 2);
  CHECK(found[0].angle);
  CHECK(found[0].name == "a");
  CHECK_FALSE(found[1].angle);
  CHECK(found[1].name == "b/c.h");
}

TEST_CASE("each folder of src includes only from the folders before it") {
  std::size_t seen = 0;
  for (const SourceFile& file : tree()) {
    if (!file.path.starts_with("src/") || !is_code(file.path)) continue;
    ++seen;
    const std::string_view folder = first_folder(std::string_view(file.path).substr(4));
    CHECK_MESSAGE(is_layer(folder), file.path, " is in a folder without a place in the layering");
    for (const Include& include : includes_of(file.text)) {
      const std::string_view from = first_folder(include.name);
      if (include.angle || from == "milgen") continue;
      CHECK_MESSAGE(is_layer(from), file.path, " includes \"", include.name,
                    "\", which is relative to neither include nor src");
      CHECK_MESSAGE(layer_of(from) <= layer_of(folder), file.path, " includes \"", include.name,
                    "\" from a later folder");
      const bool siblings =
          (folder == "ane" && from == "cpu") || (folder == "cpu" && from == "ane");
      CHECK_MESSAGE(!siblings, file.path, " includes \"", include.name, "\" from its sibling");
      const bool private_to_kernels = folder == "kernels" && from != "kernels";
      CHECK_MESSAGE(!private_to_kernels, file.path, " includes \"", include.name,
                    "\", which a user's kernel could not");
    }
  }
  CHECK(seen > 0);
}

TEST_CASE("public headers include the standard library and each other") {
  std::size_t seen = 0;
  for (const SourceFile& file : tree()) {
    if (!file.path.starts_with("include/")) continue;
    ++seen;
    CHECK_MESSAGE(file.path.starts_with("include/milgen/"), file.path,
                  " is outside include/milgen");
    CHECK_MESSAGE(is_header(file.path), file.path, " is not a header");
    CHECK_MESSAGE(file.text.find("#pragma once\n") != std::string::npos, file.path,
                  " has no #pragma once");
    for (const Include& include : includes_of(file.text)) {
      if (include.angle) {
        // Standard headers of C++ have neither folder nor suffix; the bridge is for C, too.
        const bool for_c = file.path == "include/milgen/ane_bridge.h";
        CHECK_MESSAGE(include.name.find_first_of(for_c ? "/" : "/.") == std::string::npos,
                      file.path, " includes <", include.name, ">");
      } else {
        CHECK_MESSAGE(include.name.starts_with("milgen/"), file.path, " includes \"", include.name,
                      "\"");
      }
    }
  }
  CHECK(seen > 0);
}

TEST_CASE("no header has a using enum") {
  // It would put the enumerators into the scope of everyone who includes the header.
  for (const SourceFile& file : tree()) {
    if (!is_header(file.path)) continue;
    CHECK_MESSAGE(file.text.find("using enum") == std::string::npos, file.path);
  }
}

TEST_CASE("the top level holds only what is meant to be there") {
  const std::set<std::string> allowed = {
      "CMakeLists.txt", "CMakePresets.json", "CHANGELOG.md", "LICENSE", "README.md",
      "golden",         "include",           "src",          "tests",   "tools"};
  const std::set<std::string> ignored = ignored_names();
  for (const auto& entry : fs::directory_iterator(root())) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') || ignored.count(name) != 0) continue;
    CHECK_MESSAGE(allowed.count(name) == 1, name, " does not belong at the top level");
  }
}

TEST_CASE("every source, public header, test and tool is in a CMake list") {
  const auto is_source = [](std::string_view path) { return path.ends_with(".cpp"); };
  check_listed("src/CMakeLists.txt", "src/", "", is_source);
  check_listed("src/CMakeLists.txt", "include/", "../include/", is_header);
  check_listed("tools/CMakeLists.txt", "tools/", "", is_source);
  check_listed("tests/CMakeLists.txt", "tests/", "", [&](std::string_view path) {
    return is_source(path) && !path.starts_with("tests/consumer/") &&
           !path.starts_with("tests/fake_ane/");
  });
  check_listed("tests/fake_ane/CMakeLists.txt", "tests/fake_ane/", "", is_source);
}

TEST_CASE("no file names a path of the machine that it was written on") {
  for (const SourceFile& file : tree()) {
    // Written in halves, since this file is looked at too.
    for (const std::string& path : {std::string("/wo") + "rk/", std::string("/ro") + "ot/"}) {
      const std::size_t at = file.text.find(path);
      CHECK_MESSAGE(at == std::string::npos, file.path, " has ", path, " at byte ", at);
    }
  }
}

TEST_CASE("the changelog tells of this version and of this canonical form") {
  const std::string text = read("CHANGELOG.md");
  const std::string release = "\n## [" + std::string(milgen::version()) + "]";
  CHECK_MESSAGE(text.find(release) != std::string::npos, "CHANGELOG.md has no entry for ",
                milgen::version());
  const std::size_t heading = text.find("\n### Canonical form\n");
  REQUIRE(heading != std::string::npos);
  const std::string form = "\n- Version " + std::to_string(milgen::kCanonicalVersion);
  CHECK_MESSAGE(text.find(form, heading) != std::string::npos,
                "CHANGELOG.md has no entry for version ", milgen::kCanonicalVersion,
                " of the canonical form");
}
