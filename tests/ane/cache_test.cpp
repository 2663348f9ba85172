// Compiled programs that are found again.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "milgen/ane/model.h"

using namespace milgen;
using namespace milgen::ane;
using milgen::test::CleanTemporary;
using milgen::test::compiled;
using milgen::test::FakeScope;
using milgen::test::kDouble;
using milgen::test::refusal;

namespace {

ModelOptions cached(const TemporaryFolder& folder) {
  ModelOptions options;
  options.cache = {.enabled = true, .folder = folder.file("cache")};
  options.load_pause = std::chrono::milliseconds{1};
  return options;
}

void check_doubles(Model& model) {
  test::write(model, "x", std::vector<float>(128, 1));
  test::evaluate(model);
  CHECK(test::read(model, "y") == std::vector<float>(128, 2));
}

/// Files of this name anywhere below the folder.
std::vector<std::filesystem::path> find(const TemporaryFolder& folder, const std::string& name) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
    if (entry.path().filename() == name) found.push_back(entry.path());
  }
  return found;
}

}  // namespace

TEST_CASE("a program that was compiled once is loaded from the cache") {
  CleanTemporary temporary;
  TemporaryFolder folder;
  for (const std::string hidden : {"", "_ANEInMemoryModel.compiledModelExists"}) {
    CAPTURE(hidden);
    std::filesystem::remove_all(folder.file("cache"));
    FakeScope fake({{"hide", hidden}});
    {
      Model first = compiled(fake.engine(), kDouble, cached(folder));
      CHECK_FALSE(first.stats().cached);
      check_doubles(first);
    }
    {
      Model second = compiled(fake.engine(), kDouble, cached(folder));
      CHECK(second.stats().cached);
      CHECK(second.stats().compile_ns == 0);
      check_doubles(second);
      // Two of the same at a time.
      Model third = compiled(fake.engine(), kDouble, cached(folder));
      CHECK(third.stats().cached);
    }
    CHECK(fake.logged("compileWithQoS") == 1);
    CHECK(fake.engine().ledger().compiles == 1);
    CHECK(fake.engine().ledger().cache_loads == 2);
  }
}

TEST_CASE("a program of the cache is for one build of the system, however that is told") {
  CleanTemporary temporary;
  for (const std::string hidden : {"", "_ANEDeviceInfo.buildVersion"}) {
    CAPTURE(hidden);
    TemporaryFolder folder;
    FakeScope fake({{"hide", hidden}, {"build", "24A335"}});
    CHECK_FALSE(compiled(fake.engine(), kDouble, cached(folder)).stats().cached);
    CHECK(compiled(fake.engine(), kDouble, cached(folder)).stats().cached);
    FakeScope::set("build", "24B83");
    CHECK_FALSE(compiled(fake.engine(), kDouble, cached(folder)).stats().cached);
  }
}

TEST_CASE("a cached program that does not load is compiled exactly once more") {
  CleanTemporary temporary;
  TemporaryFolder folder;
  for (const std::string hidden : {"", "_ANEInMemoryModel.compiledModelExists"}) {
    CAPTURE(hidden);
    FakeScope fake({{"hide", hidden}});
    CHECK(compiled(fake.engine(), kDouble, cached(folder)));
    // As the fake keeps it: digests, then what they are of (tests/fake_ane/README.md).
    for (const auto& path : find(folder, "data")) std::filesystem::remove_all(path);
    for (const auto& path : find(folder, "net.plist")) std::ofstream(path, std::ios::app) << "x";
    const Error always = [&] {
      FakeScope::set("fail_load", "always");
      const Error error = refusal(fake.engine(), kDouble, cached(folder));
      FakeScope::set("fail_load", "0");
      return error;
    }();
    CHECK(always.kind() == ErrorKind::load);
    Model model = compiled(fake.engine(), kDouble, cached(folder));
    check_doubles(model);
    CHECK(compiled(fake.engine(), kDouble, cached(folder)).stats().cached);
  }
}

TEST_CASE("a bad load of a cached program purges it and says that it was compiled again") {
  CleanTemporary temporary;
  TemporaryFolder folder;
  FakeScope fake;
  CHECK(compiled(fake.engine(), kDouble, cached(folder)));
  FakeScope::set("fail_load", "2");
  Model model = compiled(fake.engine(), kDouble, cached(folder));
  CHECK(model.stats().recompiled);
  CHECK_FALSE(model.stats().cached);
  CHECK(model.stats().load_attempts == 3);
  CHECK(fake.logged("compileWithQoS") == 2);
  check_doubles(model);
}

TEST_CASE("a compile that fails leaves an empty folder in the cache") {
  CleanTemporary temporary;
  TemporaryFolder folder;
  FakeScope fake({{"fail_compile", "1"}});
  CHECK(refusal(fake.engine(), kDouble, cached(folder)).kind() == ErrorKind::compile);
  CHECK(find(folder, "model.mil").empty());
  CHECK(compiled(fake.engine(), kDouble, cached(folder)));
}

TEST_CASE("a cache without a folder, or of someone else, is an error") {
  CleanTemporary temporary;
  TemporaryFolder folder;
  FakeScope fake;
  ModelOptions options = cached(folder);
  std::filesystem::create_directory(options.cache.folder);
  std::filesystem::permissions(options.cache.folder, std::filesystem::perms::all);
  CHECK(refusal(fake.engine(), kDouble, options).kind() == ErrorKind::cache);

  options.cache.folder.clear();
  const char* const names[] = {"HOME", "XDG_CACHE_HOME", "MILGEN_ANE_CACHE"};
  std::vector<std::string> before;
  for (const char* name : names) {
    const char* value = std::getenv(name);
    before.emplace_back(value == nullptr ? "" : value);
    ::unsetenv(name);
  }
  CHECK(refusal(fake.engine(), kDouble, options).text() ==
        "nothing says where the cache's folder is: neither MILGEN_ANE_CACHE nor HOME is set");
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (!before[i].empty()) ::setenv(names[i], before[i].c_str(), 1);
  }
}
