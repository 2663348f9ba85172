// The Neural Engine as a Backend.
#include "milgen/backend.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "milgen/milgen.h"

using namespace milgen;
using milgen::test::CleanTemporary;
using milgen::test::FakeScope;
using milgen::test::kDouble;
using milgen::test::kTwoAndTwo;

namespace {

/// MILGEN_ANE_LIBRARY names the fake: how a backend finds it.
class FakeBackend {
 public:
  explicit FakeBackend(const std::string& library = FakeScope::library()) {
    ::setenv("MILGEN_ANE_LIBRARY", library.c_str(), 1);
  }
  FakeBackend(const FakeBackend&) = delete;
  FakeBackend& operator=(const FakeBackend&) = delete;
  ~FakeBackend() { ::unsetenv("MILGEN_ANE_LIBRARY"); }
};

std::unique_ptr<Executable> compile(std::string_view text, Diagnostics& diagnostics,
                                    const CompileOptions& options = {}) {
  const Module module = parse_mil(text, diagnostics, {.file = "test.mil"});
  return ane_backend().compile(module, options, diagnostics);
}

std::unique_ptr<Executable> compiled(std::string_view text) {
  Diagnostics diagnostics;
  auto executable = compile(text, diagnostics);
  REQUIRE_MESSAGE(executable != nullptr, render(diagnostics));
  return executable;
}

Array filled(const Shape& shape, double first, double step) {
  Array array(DType::fp16, shape);
  for (std::int64_t i = 0; i < array.size(); ++i)
    array.set(i, first + step * static_cast<double>(i));
  return array;
}

std::string errors(const Diagnostics& diagnostics) {
  std::string text;
  for (const Diagnostic& one : diagnostics.all()) {
    if (one.severity == Severity::error) text += one.id + ": " + one.message + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("the backend is found by its name, and says what it is") {
  CHECK(find_backend("ane") == &ane_backend());
  CHECK(ane_backend().name() == "ane");
  {
    FakeScope fake;
    const FakeBackend backend;
    std::string why;
    CHECK(ane_backend().available(why));
    CHECK(ane_backend().engine() == "fake");
  }
  const FakeBackend backend("/nowhere/library.so");
  std::string why;
  CHECK_FALSE(ane_backend().available(why));
  CHECK(why.find("/nowhere/library.so") != std::string::npos);
  CHECK(ane_backend().engine() == "ane");
  Diagnostics diagnostics;
  CHECK(compile(kDouble, diagnostics) == nullptr);
  CHECK(diagnostics.all().back().id == "ane.unavailable");
}

TEST_CASE("outputs are made, or written to where the caller has them") {
  CleanTemporary temporary;
  FakeScope fake;
  const FakeBackend backend;
  const auto executable = compiled(kTwoAndTwo);
  REQUIRE(executable->inputs().size() == 2);
  CHECK(executable->inputs()[0].name == "w");
  CHECK(executable->outputs()[1].name == "b");
  CHECK(executable->states().empty());
  const std::vector<NamedArray> inputs = {{"a", filled({1, 2, 1, 4}, 1, 1)},
                                          {"w", filled({1, 2, 1, 4}, 10, 10)}};
  Diagnostics diagnostics;
  Array mine(DType::fp16, {1, 2, 1, 1});
  std::vector<NamedArray> outputs = {{"other", {}}, {"b", mine}};
  RunReport report;
  RunOptions options;
  options.report = &report;
  options.time_ops = true;
  options.report_nonfinite = true;
  REQUIRE(executable->run(inputs, outputs, diagnostics, options));
  CHECK(diagnostics.empty());
  REQUIRE(outputs.size() == 3);
  CHECK(outputs[2].name == "z");
  CHECK(outputs[2].array.real(7) == 72);
  CHECK(mine.real(0) == 90);
  CHECK(mine.real(1) == 234);
  CHECK(report.peak_bytes == 4 * 128);
  REQUIRE(report.ops.size() == 1);
  CHECK(report.ops[0].op == "program");
  CHECK_FALSE(report.nonfinite.found);
}

TEST_CASE("arrays that do not fit are refused as the other backends refuse them") {
  CleanTemporary temporary;
  FakeScope fake;
  const FakeBackend backend;
  const auto executable = compiled(kDouble);
  std::vector<NamedArray> outputs;
  {
    Diagnostics diagnostics;
    CHECK_FALSE(executable->run({{"x", Array(DType::fp16, {1, 4, 1, 31})}}, outputs, diagnostics));
    CHECK(
        errors(diagnostics) ==
        "run.input: input x is tensor<fp16, [1, 4, 1, 32]> but what was given is tensor<fp16, [1, "
        "4, 1, 31]>\n");
  }
  {
    Diagnostics diagnostics;
    CHECK_FALSE(executable->run({{"q", Array(DType::fp16, {1})}}, outputs, diagnostics));
    CHECK(diagnostics.all()[0].message == "there is no input q, only x");
  }
  Diagnostics diagnostics;
  outputs = {{"y", Array(DType::fp32, {1, 4, 1, 32})}};
  CHECK_FALSE(executable->run({{"x", Array(DType::fp16, {1, 4, 1, 32})}}, outputs, diagnostics));
  CHECK(errors(diagnostics) ==
        "run.output: output y is tensor<fp16, [1, 4, 1, 32]> but the array for it is tensor<fp32, "
        "[1, 4, 1, 32]>\n");
}

TEST_CASE("errors of the engine are reported, and a run after them works") {
  CleanTemporary temporary;
  FakeScope fake;
  const FakeBackend backend;
  const auto executable = compiled(kDouble);
  FakeScope::set("fail_evaluate", "1");
  std::vector<NamedArray> outputs;
  Diagnostics diagnostics;
  CHECK_FALSE(executable->run({{"x", filled({1, 4, 1, 32}, 0, 1)}}, outputs, diagnostics));
  CHECK(diagnostics.all()[0].id == "ane.evaluate");
  CHECK(executable->run({{"x", filled({1, 4, 1, 32}, 0, 1)}}, outputs, diagnostics));
  CHECK(outputs[0].array.real(127) == 254);

  FakeScope::set("fail_compile", "1");
  Diagnostics refused;
  CHECK(compile(kDouble, refused) == nullptr);
  CHECK(refused.all().back().id == "ane.compile");
  CHECK(refused.all().back().place.file == "test.mil");
  Diagnostics broken;
  CHECK(compile("program(1.3) {", broken) == nullptr);
  CHECK(broken.has_errors());
}

TEST_CASE("an output that is not finite is told") {
  CleanTemporary temporary;
  FakeScope fake;
  const FakeBackend backend;
  const auto executable = compiled(kDouble);
  Array x = filled({1, 4, 1, 32}, 0, 1);
  x.set(5, std::numeric_limits<double>::infinity());
  x.set(9, 65504);
  std::vector<NamedArray> outputs;
  Diagnostics diagnostics;
  RunReport report;
  RunOptions options;
  options.report = &report;
  options.report_nonfinite = true;
  REQUIRE(executable->run({{"x", x}}, outputs, diagnostics, options));
  CHECK(report.nonfinite.found);
  CHECK(report.nonfinite.result == "y");
  CHECK(report.nonfinite.index == 5);
  CHECK(report.nonfinite.count == 2);
  CHECK(std::isinf(report.nonfinite.value));
}

TEST_CASE("several threads run one executable") {
  CleanTemporary temporary;
  FakeScope fake;
  const FakeBackend backend;
  const auto executable = compiled(kDouble);
  std::atomic<int> wrong{0};
  const auto body = [&](double first) {
    const Array x = filled({1, 4, 1, 32}, first, 0);
    for (int i = 0; i < 20; ++i) {
      std::vector<NamedArray> outputs;
      Diagnostics diagnostics;
      const bool ran = executable->run({{"x", x}}, outputs, diagnostics);
      if (!ran || outputs[0].array.real(100) != 2 * first) ++wrong;
    }
  };
  std::thread one(body, 3);
  std::thread two(body, 5);
  one.join();
  two.join();
  CHECK(wrong == 0);
}

TEST_CASE("MILGEN_ANE_CACHE turns the cache on") {
  CleanTemporary temporary;
  TemporaryFolder folder;
  ::setenv("MILGEN_ANE_CACHE", folder.file("cache").c_str(), 1);
  {
    FakeScope fake;
    const FakeBackend backend;
    compiled(kDouble);
    compiled(kDouble);
    CHECK(fake.logged("compileWithQoS") == 1);
  }
  ::unsetenv("MILGEN_ANE_CACHE");
}
