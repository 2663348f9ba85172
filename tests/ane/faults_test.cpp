// What goes wrong between the first message and the last: every fault that the fake injects, and
// that nothing stays behind.
#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "milgen/ane/model.h"
#include "support/file_faults.h"

using namespace milgen;
using namespace milgen::ane;
using namespace std::chrono_literals;
using milgen::test::CleanTemporary;
using milgen::test::compiled;
using milgen::test::FakeScope;
using milgen::test::kDouble;
using milgen::test::refusal;

namespace {

ModelOptions quick() {
  ModelOptions options;
  options.load_pause = 1ms;
  return options;
}

/// Waits for what another thread is about to do.
bool soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

}  // namespace

TEST_CASE("a compile that is refused gives the engine's words") {
  CleanTemporary temporary;
  FakeScope fake({{"fail_compile", "1"}});
  const Error error = refusal(fake.engine(), kDouble);
  CHECK(error.kind() == ErrorKind::compile);
  CHECK(error.detail().message == "the engine does not compile test.mil");
  CHECK(error.detail().operation == "-[_ANEInMemoryModel compileWithQoS:options:error:]");
  CHECK(error.detail().domain == "com.apple.appleneuralengine");
  CHECK(error.detail().code == 1);
  CHECK(error.detail().description.find("_ANECompiler : ANECCompile() FAILED") == 0);
  CHECK(fake.logged("loadWithQoS") == 0);
  CHECK(fake.engine().ledger().failures == 1);
  CHECK(compiled(fake.engine(), kDouble));
  CHECK(fake.engine().ledger().compiles == 2);
}

TEST_CASE("a load that fails once is tried once more") {
  CleanTemporary temporary;
  FakeScope fake({{"fail_load", "1"}});
  const Model model = compiled(fake.engine(), kDouble, quick());
  CHECK(model.stats().load_attempts == 2);
  CHECK(fake.logged("compileWithQoS") == 1);
}

TEST_CASE("a load that fails always is tried twice and no more") {
  CleanTemporary temporary;
  FakeScope fake({{"fail_load", "always"}});
  const Error error = refusal(fake.engine(), kDouble, quick());
  CHECK(error.kind() == ErrorKind::load);
  CHECK(error.detail().message == "the engine does not load test.mil");
  CHECK(error.detail().code == 6);
  CHECK(fake.logged("loadWithQoS") == 2);
  CHECK(fake.logged("unloadWithQoS") == 0);
}

TEST_CASE("surfaces are mapped with cached inference or without, or the model is none") {
  CleanTemporary temporary;
  {
    FakeScope fake({{"fail_map", "1"}});
    CHECK(compiled(fake.engine(), kDouble));
    CHECK(fake.logged("mapIOSurfacesWithRequest:cacheInference:error:]") >= 2);
  }
  FakeScope fake({{"fail_map", "always"}});
  const Error error = refusal(fake.engine(), kDouble);
  CHECK(error.kind() == ErrorKind::map);
  CHECK(error.detail().message == "the surfaces of test.mil cannot be mapped");
  CHECK(fake.logged("unloadWithQoS") == 1);
}

TEST_CASE("an evaluation that fails leaves the model in use") {
  CleanTemporary temporary;
  FakeScope fake({{"fail_evaluate", "1"}});
  Model model = compiled(fake.engine(), kDouble);
  test::write(model, "x", std::vector<float>(128, 1));
  CHECK(model.evaluate().kind() == ErrorKind::evaluate);
  test::evaluate(model);
  CHECK(test::read(model, "y") == std::vector<float>(128, 2));
}

TEST_CASE("an engine that does not answer is not waited for, and what it had goes when it does") {
  using Stage = std::pair<std::string, std::string>;
  for (const Stage& one :
       {Stage{"compile", "compile"}, Stage{"load", "load"}, Stage{"map", "map the surfaces of"}}) {
    const std::string& stage = one.first;
    const std::string& words = one.second;
    CAPTURE(stage);
    CleanTemporary temporary;
    FakeScope fake({{"hang", stage}});
    ModelOptions options = quick();
    options.compile_timeout = 30ms;
    options.load_timeout = stage == "map" ? 500ms : 30ms;
    if (stage != "compile") options.compile_timeout = 60s;
    const Error error = refusal(fake.engine(), kDouble, options);
    CHECK(error.kind() == ErrorKind::timeout);
    CHECK(error.detail().message == "the engine did not " + words + " test.mil within " +
                                        (stage == "map" ? "500" : "30") + " ms");
    CHECK(temporary.entries() == 1);
    CHECK(fake.engine().ledger().failures == (stage == "compile" ? 1 : 0));
    FakeScope::set("hang", "none");
    CHECK(soon([&] { return temporary.entries() == 0; }));
    CHECK(soon([&] { return FakeScope::live("_ANEInMemoryModel") == 0; }));
  }
}

TEST_CASE("a program that is not unloaded is not waited for, and goes when it is") {
  CleanTemporary temporary;
  FakeScope fake;
  ModelOptions options = quick();
  options.load_timeout = 500ms;
  {
    Model closed = compiled(fake.engine(), kDouble, options);
    const Model dropped = compiled(fake.engine(), kDouble, options);
    test::evaluate(closed);
    FakeScope::set("hang", "unload");
    const Error error = closed.close();
    CHECK(error.kind() == ErrorKind::timeout);
    CHECK(error.detail().message == "the engine did not unload test.mil within 500 ms");
    CHECK(closed.evaluate().kind() == ErrorKind::broken);
    CHECK(closed.close().text() == "");
  }
  CHECK(temporary.entries() == 2);
  FakeScope::set("hang", "none");
  CHECK(soon([&] { return temporary.entries() == 0; }));
  CHECK(soon([] { return FakeScope::live("_ANEInMemoryModel") == 0; }));
  CHECK(fake.logged("unloadWithQoS") == 2);
}

TEST_CASE("an evaluation that does not answer breaks the model, and it goes when it does") {
  CleanTemporary temporary;
  FakeScope fake({{"hang", "evaluate"}});
  ModelOptions options;
  options.evaluate_timeout = 30ms;
  {
    Model model = compiled(fake.engine(), kDouble, options);
    CHECK(model.evaluate().kind() == ErrorKind::timeout);
    CHECK(model.evaluate().kind() == ErrorKind::broken);
    std::vector<float> values(128);
    CHECK(model.read_fp32("y", values).kind() == ErrorKind::broken);
    CHECK(model.close().text() == "");
  }
  CHECK(temporary.entries() == 1);
  FakeScope::set("hang", "none");
  CHECK(soon([&] { return temporary.entries() == 0; }));
  CHECK(soon([&] { return FakeScope::live("_ANEInMemoryModel") == 0; }));
}

TEST_CASE("the budget of compiles ends before the engine does") {
  CleanTemporary temporary;
  FakeScope fake({{"budget", "2"}});
  Engine engine = fake.engine();
  engine.set_compile_limit(1);
  CHECK(compiled(engine, kDouble));
  const Error error = refusal(engine, kDouble);
  CHECK(error.kind() == ErrorKind::budget);
  CHECK(fake.logged("compileWithQoS") == 1);
  // An engine that ends without a word.
  engine.set_compile_limit(100);
  CHECK(compiled(engine, kDouble));
  const Error silent = refusal(engine, kDouble);
  CHECK(silent.kind() == ErrorKind::compile);
  CHECK(silent.detail().code == 0);
}

TEST_CASE("an old system refuses what it cannot read") {
  CleanTemporary temporary;
  FakeScope fake({{"os", "14.7"}});
  CHECK(refusal(fake.engine(), kDouble).kind() == ErrorKind::compile);
}

TEST_CASE("programs run without what is optional") {
  for (const std::string hidden :
       {"_ANEInMemoryModel.setModelURL:", "_ANEInMemoryModel.compiledModelExists",
        "_ANEInMemoryModel.mapIOSurfacesWithRequest:cacheInference:error:",
        "_ANEInMemoryModel.unmapIOSurfacesWithRequest:", "_ANEInMemoryModel.model",
        "_ANEInMemoryModel.modelAttributes", "_ANEInMemoryModel.setPerfStatsMask:",
        "_ANEPerformanceStats", "_ANEClient", "_ANEDeviceInfo",
        "_ANEModel.setPerfStatsMask:", "_ANEModel.inputSymbolIndicesForProcedureIndex:"}) {
    CAPTURE(hidden);
    CleanTemporary temporary;
    FakeScope fake({{"hide", hidden}});
    // Without the message to unmap, the fake objects to what stays mapped.
    if (hidden.find(".unmap") != std::string::npos) fake.allow_violations();
    ModelOptions options;
    options.perf_stats_mask = 1;
    Model model = compiled(fake.engine(), kDouble, options);
    test::write(model, "x", std::vector<float>(128, 1));
    test::evaluate(model);
    CHECK(test::read(model, "y") == std::vector<float>(128, 2));
  }
}

TEST_CASE("a system without any way to make a request is refused after all that it can do") {
  CleanTemporary temporary;
  const std::string request = "_ANERequest.requestWithInputs:inputIndices:outputs:outputIndices:";
  FakeScope fake({{"hide", request + "weightsBuffer:perfStats:procedureIndex:+" + request +
                               "perfStats:procedureIndex:+" + request + "procedureIndex:"}});
  auto engine = FakeScope::open();
  if (!engine) {
    CHECK(engine.error().kind() == ErrorKind::selector);
    return;
  }
  CHECK(refusal(*engine, kDouble).kind() == ErrorKind::selector);
}

TEST_CASE("where the engine looks by itself, programs of one text share their files") {
  CleanTemporary temporary;
  FakeScope fake({{"hide", "_ANEInMemoryModel.setModelURL:"}});
  ModelOptions options;
  options.cache.enabled = true;  // which there cannot be
  Model first = compiled(fake.engine(), kDouble, options);
  CHECK_FALSE(first.stats().cached);
  {
    const Model second = compiled(fake.engine(), kDouble, options);
    CHECK(temporary.entries() == 2);  // the folder and its lock
  }
  CHECK(temporary.entries() == 2);
  test::write(first, "x", std::vector<float>(128, 1));
  test::evaluate(first);
  CHECK(first.close().text() == "");
  CHECK(temporary.entries() == 0);
}

TEST_CASE("files that cannot be written are an error before anything is compiled") {
  CleanTemporary temporary;
  FakeScope fake;
  const detail::DiskRoom room(10);
  const Error error = refusal(fake.engine(), kDouble);
  CHECK(error.kind() == ErrorKind::file);
  CHECK(fake.logged("compileWithQoS") == 0);
}
