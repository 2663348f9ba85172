// Real files: every *.mil of a folder is read, printed back and judged. MILGEN_CORPUS names the
// folder; without it the one beside the repository is taken when it is there.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "milgen/module.h"
#include "milgen/print.h"
#include "milgen/verify.h"

namespace fs = std::filesystem;
using namespace milgen;

namespace {

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<fs::path> texts_below(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code code;
  for (fs::recursive_directory_iterator at(folder, code), end; !code && at != end;
       at.increment(code)) {
    if (at->path().extension() == ".mil") out.push_back(at->path());
  }
  std::ranges::sort(out);
  return out;
}

/// Apple's compiler leaves its version; what it wrote is printed back byte for byte.
bool is_compiler_written(const std::string& text) {
  return text.find("\"coremlc-version\"") != std::string::npos;
}

void check_text(const fs::path& path) {
  CAPTURE(path.string());
  const std::string text = read(path);
  Diagnostics syntax;
  const Module module = parse_mil(text, syntax, {.file = path.filename().string()});
  CHECK_MESSAGE(syntax.empty(), render(syntax));
  if (!module) return;

  const std::string printed = print_mil(module);
  if (is_compiler_written(text)) {
    CHECK(printed == text);
  } else {
    Diagnostics again;
    CHECK(print_mil(parse_mil(printed, again)) == printed);
  }

  fs::path weights = path;
  weights.replace_extension(".weight.bin");
  VerifyOptions options;
  if (fs::exists(weights)) {
    options.weights = WeightCheck::check;
    options.weight_file = weights.string();
  }
  Diagnostics judged;
  CHECK_MESSAGE(verify_mil(module, options, judged), render(judged));
}

}  // namespace

TEST_CASE("real files parse, print back and verify") {
  const char* named = std::getenv("MILGEN_CORPUS");  // NOLINT(concurrency-mt-unsafe): one thread
  const fs::path folder =
      named != nullptr ? fs::path(named) : fs::path(MILGEN_SOURCE_DIR) / ".." / "shared" / "corpus";
  const std::vector<fs::path> texts = texts_below(folder);
  if (named == nullptr && texts.empty()) {
    MESSAGE(
        "skipped: there is no folder of real files beside the repository, and MILGEN_CORPUS "
        "names none");
    return;
  }
  REQUIRE_MESSAGE(!texts.empty(), "there is no MIL text in " << folder.string());
  for (const fs::path& path : texts) check_text(path);
  MESSAGE(texts.size() << " real files read");
}
