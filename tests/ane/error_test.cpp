#include "milgen/ane/error.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "ane/runtime_hints.h"

using namespace milgen;
using namespace milgen::ane;

namespace {

Error full_error() {
  Error::Detail detail;
  detail.kind = ErrorKind::load;
  detail.message = "the engine refuses to load main";
  detail.operation = "-[_ANEInMemoryModel loadWithQoS:options:error:]";
  detail.domain = "com.apple.appleneuralengine";
  detail.code = 6;
  detail.description = "Program load failure (0x20004)";
  detail.hint = "close some programs";
  return Error(detail);
}

std::string hint(ErrorKind kind, const RuntimeFailure& failure) {
  const std::vector<RuntimeFailure> chain = {failure};
  return std::string(runtime_hint(kind, chain));
}

std::string engine_hint(std::int64_t code, const std::string& description) {
  return hint(ErrorKind::evaluate, {"com.apple.appleneuralengine", code, description});
}

}  // namespace

TEST_CASE("no error is empty everywhere") {
  const Error none;
  CHECK_FALSE(none);
  CHECK(none.kind() == ErrorKind::none);
  CHECK(none.text() == "");
  CHECK(none.detail().message == "");
  CHECK(name(none.kind()) == "none");

  Diagnostics diagnostics;
  report(none, diagnostics);
  CHECK(diagnostics.empty());
}

TEST_CASE("the text of an error has all of its parts, in one line") {
  CHECK(Error(ErrorKind::busy, "another thread evaluates main").text() ==
        "another thread evaluates main");
  CHECK(full_error().text() ==
        "the engine refuses to load main (-[_ANEInMemoryModel loadWithQoS:options:error:] gives "
        "com.apple.appleneuralengine 6: Program load failure (0x20004)); close some programs");

  Error::Detail without_domain = full_error().detail();
  without_domain.domain.clear();
  without_domain.description = "no NSError";
  without_domain.hint.clear();
  CHECK(Error(without_domain).text() ==
        "the engine refuses to load main (-[_ANEInMemoryModel loadWithQoS:options:error:]: no "
        "NSError)");

  Error::Detail without_operation = full_error().detail();
  without_operation.operation.clear();
  without_operation.description.clear();
  CHECK(Error(without_operation).text() ==
        "the engine refuses to load main (com.apple.appleneuralengine 6); close some programs");
}

TEST_CASE("an error becomes a diagnostic with notes") {
  Diagnostics diagnostics;
  report(full_error(), diagnostics, Place("model.mil", 3, 2));
  CHECK(
      render(diagnostics) ==
      "model.mil:3:2: error: the engine refuses to load main [ane.load]\n"
      "note: -[_ANEInMemoryModel loadWithQoS:options:error:] gives com.apple.appleneuralengine 6: "
      "Program load failure (0x20004)\n"
      "note: close some programs\n");

  diagnostics.clear();
  report(Error(ErrorKind::closed, "the model was closed"), diagnostics);
  CHECK(render(diagnostics) == "error: the model was closed [ane.closed]\n");
}

TEST_CASE("each kind has the diagnostic of its name") {
  const std::vector<std::string> ids = {
      "ane.unavailable", "ane.selector", "ane.argument", "ane.layout",  "ane.text",
      "ane.weights",     "ane.file",     "ane.cache",    "ane.budget",  "ane.compile",
      "ane.load",        "ane.map",      "ane.evaluate", "ane.timeout", "ane.broken",
      "ane.busy",        "ane.closed",   "ane.event",    "ane.package"};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto kind = static_cast<ErrorKind>(i + 1);
    CHECK("ane." + std::string(name(kind)) == ids[i]);
    Diagnostics diagnostics;
    report(Error(kind, "x"), diagnostics);
    CHECK(diagnostics.all().front().id == ids[i]);
  }
  CHECK(name(static_cast<ErrorKind>(ids.size() + 1)) == "none");
}

TEST_CASE("copies of an error are the same one") {
  const Error first = full_error();
  const Error second = first;
  CHECK(&first.detail() == &second.detail());
}

TEST_CASE("a result is a value or an error") {
  const Result<int> value = 3;
  REQUIRE(value);
  CHECK(*value == 3);
  CHECK_FALSE(value.error());
  const Result<int> error = Error(ErrorKind::file, "x");
  CHECK_FALSE(error);
  CHECK(error.error().kind() == ErrorKind::file);
}

TEST_CASE("what the engine says leads to a hint") {
  // The texts are those of ane_constraints, 1.15.
  CHECK(engine_hint(8,
                    "ANEProgramProcessRequestDirect() Failed with status=0x1d : statusType=0x9: "
                    "Program Inference error")
            .find("IO-002") != std::string::npos);
  CHECK(engine_hint(8,
                    "ANEProgramProcessRequestDirect() Failed with status=0x2 : statusType=0x9: "
                    "Program Inference error")
            .find("FMT-021") != std::string::npos);
  CHECK(engine_hint(8, "status=0x2 statusType=0x9").find("RT-007") != std::string::npos);
  CHECK(engine_hint(6, "Program load failure (0x20004)").find("PR-012") != std::string::npos);
  CHECK(engine_hint(53, "Program load failed - no memory").find("PR-012") != std::string::npos);
  CHECK(engine_hint(10, "verifyBundleAtPath: invalid model").find("package") != std::string::npos);
  CHECK(engine_hint(15, "").find("chaining") != std::string::npos);
  CHECK(engine_hint(1, "_ANECompiler : ANECCompile() FAILED").find("FMT-006") != std::string::npos);
  CHECK(engine_hint(1, "InvalidMILProgram").find("FMT-012") != std::string::npos);
  CHECK(engine_hint(1, "Metadata data type does not match requested type.").find("FMT-017") !=
        std::string::npos);
  CHECK(engine_hint(1, "Graph has a cycle path").find("AT-008") != std::string::npos);
  CHECK(engine_hint(1, "The dim (=8192) at axis N exceeds the upper_bound 4096").find("SH-002") !=
        std::string::npos);
  CHECK(engine_hint(1, "Unit name \"a\" collision during MIL to ANEC IR conversion.")
            .find("FMT-011") != std::string::npos);
  CHECK(engine_hint(1, "lost helper application").find("CV-001") != std::string::npos);
  CHECK(engine_hint(6, "GetANEFModel: must re-compile").find("RT-002") != std::string::npos);

  CHECK(engine_hint(99, "something else") == "");
  // A code says something in the engine's own domain alone.
  CHECK(hint(ErrorKind::load, {"NSPOSIXErrorDomain", 53, "Software caused connection abort"}) ==
        "");
}

TEST_CASE("a compile that fails without a word is taken for a budget that is used up") {
  CHECK(runtime_hint(ErrorKind::compile, {}).find("RT-001") != std::string_view::npos);
  CHECK(runtime_hint(ErrorKind::load, {}).empty());
}
