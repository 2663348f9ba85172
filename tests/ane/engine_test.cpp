#include "milgen/ane/engine.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ane/engine_state.h"
#include "ane/fake.h"

using namespace milgen;
using namespace milgen::ane;
using milgen::test::FakeScope;
using namespace std::chrono_literals;

namespace {

const RuntimeFeature* find(const std::vector<RuntimeFeature>& features, std::string_view name) {
  const auto found = std::find_if(features.begin(), features.end(),
                                  [name](const RuntimeFeature& one) { return one.name == name; });
  return found != features.end() ? &*found : nullptr;
}

/// Why the fake cannot be opened with these parts of it hidden.
Error open_error(const std::string& hidden) {
  FakeScope fake({{"hide", hidden}});
  auto engine = FakeScope::open();
  CHECK_FALSE(engine);
  return engine.error();
}

/// What a child of this process finds: true when `check` does.
template <class Check>
bool in_a_child(const Check& check) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(check() ? 0 : 1);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("an engine that was not opened does nothing") {
  Engine none;
  CHECK_FALSE(none);
  CHECK(none.library() == "");
  CHECK_FALSE(none.fake());
  CHECK(none.label() == "ane");
  CHECK(none.features().empty());
  CHECK_FALSE(none.device().has_ane.has_value());
  none.set_compile_limit(7);
  none.set_failure_pause(1ms);
  CHECK(none.ledger().limit == CompileLedger{}.limit);
}

TEST_CASE("the fake is opened, and says so") {
  FakeScope fake;
  const Engine& engine = fake.engine();
  CHECK(engine.library() == FakeScope::library());
  CHECK(engine.fake());
  CHECK(engine.label() == "fake");
}

TEST_CASE("there is one engine for each process and library") {
  FakeScope fake;
  Engine first = fake.engine();
  auto second = FakeScope::open();
  REQUIRE(second);
  CHECK(second->state() == first.state());

  first.set_compile_limit(17);
  CHECK(second->ledger().limit == 17);

  // The same file by another name.
  std::string other = FakeScope::library();
  other.insert(other.rfind('/'), "/.");
  for (int i = 0; i < 2; ++i) {
    auto third = Engine::open({other});
    REQUIRE(third);
    CHECK(third->state() == first.state());
  }
}

TEST_CASE("the environment names the library") {
  FakeScope fake;
  setenv("MILGEN_ANE_LIBRARY", FakeScope::library().c_str(), 1);
  auto engine = Engine::open();
  unsetenv("MILGEN_ANE_LIBRARY");
  REQUIRE_MESSAGE(engine, engine.error().text());
  CHECK(engine->library() == FakeScope::library());
}

TEST_CASE("what cannot be opened is tried again the next time") {
  {
    FakeScope fake({{"has_ane", "0"}});
    auto engine = FakeScope::open();
    REQUIRE_FALSE(engine);
    CHECK(engine.error().kind() == ErrorKind::unavailable);
    CHECK(engine.error().text() == "this machine says that it has no Neural Engine");
    FakeScope::set("has_ane", "1");
    CHECK(FakeScope::open());
  }
  FakeScope fake;
  auto engine = Engine::open({"/nowhere/lib.so"});
  REQUIRE_FALSE(engine);
  CHECK(engine.error().kind() == ErrorKind::unavailable);
  CHECK(FakeScope::open());
}

TEST_CASE("the device tells what it is") {
  FakeScope fake({{"cores", "16"},
                  {"architecture", "h16g"},
                  {"product", "macOS"},
                  {"build", "24A335"},
                  {"os", "15.0"},
                  {"vm", "0"}});
  const DeviceInfo device = fake.engine().device();
  CHECK(device.has_ane == true);
  CHECK(device.cores == 16u);
  CHECK(device.architecture == "h16g");
  CHECK(device.product == "macOS");
  CHECK(device.build_version == "24A335");
  CHECK(device.os_version == "Version 15.0 (Build 24A335)");
  CHECK(device.virtual_machine == false);
  CHECK(device.engines.has_value());
  CHECK(device.board_type.has_value());
  CHECK(device.internal_build.has_value());
}

TEST_CASE("facts that a system does not tell are empty") {
  FakeScope fake({{"hide", "_ANEDeviceInfo"}});
  const DeviceInfo device = fake.engine().device();
  CHECK_FALSE(device.has_ane.has_value());
  CHECK_FALSE(device.cores.has_value());
  CHECK(device.architecture == "");
  CHECK(device.os_version != "");  // of Foundation, not of that class
  CHECK_FALSE(device.precompiled_checks_disabled.has_value());
}

TEST_CASE("everything that may be used is listed, with what is there") {
  FakeScope fake({{"hide", "_ANEClient+_ANEInMemoryModel.setModelURL:"}});
  const auto features = fake.engine().features();
  std::set<std::string> names;
  for (const RuntimeFeature& feature : features) {
    CHECK_MESSAGE(names.insert(feature.name).second, feature.name);
    CHECK_MESSAGE(!feature.purpose.empty(), feature.name);
    if (feature.required) CHECK_MESSAGE(feature.present, feature.name);
  }
  CHECK(find(features, "IOSurfaceLock")->present);
  const RuntimeFeature* compile =
      find(features, "-[_ANEInMemoryModel compileWithQoS:options:error:]");
  REQUIRE(compile != nullptr);
  CHECK(compile->required);
  CHECK(find(features, "+[_ANEInMemoryModel inMemoryModelWithDescriptor:]")->present);
  CHECK_FALSE(find(features, "-[_ANEInMemoryModel setModelURL:]")->present);
  CHECK_FALSE(find(features, "+[_ANEClient sharedConnection]")->present);
  CHECK_FALSE(find(features, "_ANEClient")->present);
  CHECK(find(features, "_ANEInMemoryModel")->present);
  CHECK(find(features, "_ANEInMemoryModel")->required);
}

TEST_CASE("the fake has every message that milgen may send") {
  FakeScope fake;
  for (const RuntimeFeature& feature : fake.engine().features()) {
    CHECK_MESSAGE(feature.present, feature.name);
  }
}

TEST_CASE("what is required and missing is named, all of it") {
  const Error messages =
      open_error("_ANEInMemoryModel.hexStringIdentifier+_ANEInMemoryModel.unloadWithQoS:error:");
  CHECK(messages.kind() == ErrorKind::selector);
  CHECK(messages.text() == "the runtime " + FakeScope::library() +
                               " lacks -[_ANEInMemoryModel hexStringIdentifier], "
                               "-[_ANEInMemoryModel unloadWithQoS:error:]");
  CHECK(open_error("_ANERequest+_ANEIOSurfaceObject").text() ==
        "the runtime " + FakeScope::library() + " lacks _ANERequest, _ANEIOSurfaceObject");
}

TEST_CASE("one of the three forms of a request is enough") {
  const std::string seven =
      "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:"
      "procedureIndex:";
  const std::string six =
      "requestWithInputs:inputIndices:outputs:outputIndices:perfStats:procedureIndex:";
  const std::string five = "requestWithInputs:inputIndices:outputs:outputIndices:procedureIndex:";
  {
    FakeScope fake({{"hide", "_ANERequest." + seven + "+_ANERequest." + six}});
    CHECK(fake.engine());
  }
  CHECK(
      open_error("_ANERequest." + seven + "+_ANERequest." + six + "+_ANERequest." + five).text() ==
      "the runtime " + FakeScope::library() + " lacks +[_ANERequest " + seven +
          "], +[_ANERequest " + six + "], +[_ANERequest " + five + "]");
}

TEST_CASE("a message that is missing is named with what it is needed for") {
  FakeScope fake;
  const Error error = missing(*fake.engine().state(), Message::begin_real_time, "real-time tasks");
  CHECK(error.kind() == ErrorKind::selector);
  CHECK(error.text() == "the runtime " + FakeScope::library() +
                            " lacks -[_ANEClient beginRealTimeTask], which is needed for "
                            "real-time tasks");
}

TEST_CASE("the ledger is the engine's, and survives being asked from several threads") {
  FakeScope fake;
  const Engine& engine = fake.engine();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&engine] {
      for (int turn = 0; turn < 100; ++turn) {
        std::chrono::nanoseconds waited{};
        if (engine.state()->budget.take(waited)) continue;
        engine.state()->budget.ended(true);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(engine.ledger().compiles == 100);
  CHECK(engine.ledger().successes == 100);
  CHECK(engine.ledger().limit == 100);
}

TEST_CASE("threads that open the engine at the same time get the same one") {
  FakeScope fake;
  std::vector<Engine> engines(4);
  std::vector<std::thread> threads;
  for (Engine& engine : engines) {
    threads.emplace_back([&engine] {
      if (auto opened = FakeScope::open()) engine = *opened;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Engine& engine : engines) {
    CHECK(engine);
    CHECK(engine.state() == engines.front().state());
  }
}

TEST_CASE("a child after a fork can use neither the engine nor a new one") {
  FakeScope fake;
  Engine engine = fake.engine();
  CHECK_FALSE(engine.state()->check_process());
  CHECK(in_a_child([&engine] {
    const Error error = engine.state()->check_process();
    engine.set_compile_limit(3);
    const auto again = FakeScope::open();
    const std::string start = "the Neural Engine was opened by process " +
                              std::to_string(getppid()) + ", and this is process " +
                              std::to_string(getpid()) + ", a fork of it; ";
    return error.kind() == ErrorKind::closed && error.text().starts_with(start) &&
           !engine.device().has_ane.has_value() && engine.ledger().compiles == 0 && !again &&
           again.error().kind() == ErrorKind::closed;
  }));
  CHECK(engine.device().has_ane == true);
}

TEST_CASE("a child of a process that opened nothing opens its own") {
  FakeScope fake;
  CHECK_FALSE(Engine::open({"/nowhere/lib.so"}));
  CHECK(in_a_child([] { return static_cast<bool>(FakeScope::open()); }));
}
