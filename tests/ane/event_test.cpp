#include "milgen/ane/event.h"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"

namespace milgen::test {
namespace {

using namespace std::chrono_literals;
using ane::ErrorKind;

ane::SharedEvent event_of(const ane::Engine& engine) {
  auto event = ane::SharedEvent::create(engine);
  REQUIRE_MESSAGE(event, event.error().text());
  return *event;
}

/// A package of the program that doubles.
class Package {
 public:
  Package() {
    std::filesystem::create_directories(folder_.path() / "double.mlmodelc");
    folder_.write("double.mlmodelc/model.mil", kDouble);
  }
  ane::Model load(const ane::Engine& engine, const ane::ModelOptions& options = {}) const {
    Diagnostics diagnostics;
    auto model =
        ane::Model::load_package(engine, folder_.file("double.mlmodelc"), options, diagnostics);
    REQUIRE_MESSAGE(model, model.error().text());
    return *std::move(model);
  }

 private:
  TemporaryFolder folder_;
};

std::uint64_t value_of(const ane::SharedEvent& event) {
  const auto value = event.signaled_value();
  REQUIRE_MESSAGE(value, value.error().text());
  return *value;
}

const std::vector<float> kOnes(128, 1.0F);
const std::vector<float> kTwos(128, 2.0F);

}  // namespace

TEST_CASE("a shared event is signalled and waited for") {
  FakeScope fake;
  const ane::SharedEvent event = event_of(fake.engine());
  CHECK(value_of(event) == 0);
  auto came = event.wait(3, 1ms);
  REQUIRE(came);
  CHECK_FALSE(*came);
  std::thread other([&] { CHECK_FALSE(event.signal(3)); });
  came = event.wait(3, 10s);
  other.join();
  REQUIRE(came);
  CHECK(*came);
  CHECK(value_of(event) == 3);
  CHECK_FALSE(*event.wait(4, -1ms));
}

TEST_CASE("a shared event is reached by its port") {
  FakeScope fake;
  const ane::SharedEvent event = event_of(fake.engine());
  const auto port = event.port();
  REQUIRE(port);
  const auto same = ane::SharedEvent::from_port(fake.engine(), *port);
  REQUIRE_MESSAGE(same, same.error().text());
  CHECK_FALSE(same->signal(5));
  CHECK(value_of(event) == 5);
  const ane::Error error = ane::SharedEvent::from_port(fake.engine(), 1).error();
  CHECK(error.kind() == ErrorKind::event);
  CHECK(error.detail().message == "port 1 is that of no shared event");
}

TEST_CASE("no event, no engine, no selector") {
  FakeScope fake(
      {{"hide", "IOSurfaceSharedEvent.initWithMachPort:+IOSurfaceSharedEvent.eventPort"}});
  const ane::SharedEvent none;
  CHECK(none.signal(1).kind() == ErrorKind::event);
  CHECK(none.port().error().detail().message == "there is no shared event");
  CHECK(none.signaled_value().error().kind() == ErrorKind::event);
  CHECK(none.wait(1, 1ms).error().kind() == ErrorKind::event);
  CHECK(ane::SharedEvent::create(ane::Engine()).error().kind() == ErrorKind::unavailable);
  CHECK(ane::SharedEvent::from_port(ane::Engine(), 1).error().kind() == ErrorKind::unavailable);
  CHECK(ane::SharedEvent::from_port(fake.engine(), 1).error().kind() == ErrorKind::selector);
  const ane::Error error = event_of(fake.engine()).port().error();
  CHECK(error.kind() == ErrorKind::selector);
  CHECK(error.detail().message.find("lacks -[IOSurfaceSharedEvent eventPort]") !=
        std::string::npos);
}

TEST_CASE("an evaluation of a package signals and waits") {
  FakeScope fake;
  const Package package;
  ane::Model model = package.load(fake.engine());
  write(model, 0, kOnes);
  const ane::SharedEvent event = event_of(fake.engine());
  const ane::SharedEvent end = event_of(fake.engine());
  ane::Error error = ane::evaluate_with_signal(model, {event, 7});
  CHECK_MESSAGE(!error, error.text());
  CHECK(value_of(event) == 7);
  CHECK(read(model, 0) == kTwos);
  error = ane::evaluate_with_wait(model, {event, 7});
  CHECK_MESSAGE(!error, error.text());
  std::thread other([&] {
    std::this_thread::sleep_for(2ms);
    CHECK_FALSE(event.signal(8));
  });
  error = ane::evaluate_between(model, {event, 8}, {end, 1},
                                {.disable_io_fences = true, .enable_fw_to_fw_signal = true});
  CHECK_MESSAGE(!error, error.text());
  other.join();
  CHECK(value_of(end) == 1);
  evaluate(model);
  CHECK_FALSE(model.close());
  // It would crash (tmc, ane_runtime 4.4).
  CHECK(FakeScope::logged("unloadModel") == 0);
  fake.allow_violations();
  fake.allow_live_objects();
}

TEST_CASE("models that are not from a package take events only when that is asked for") {
  FakeScope fake({{"events_in_memory", "1"}});
  ane::Model model = compiled(fake.engine(), kDouble);
  write(model, "x", kOnes);
  const ane::SharedEvent event = event_of(fake.engine());
  ane::Error error = ane::evaluate_with_signal(model, {event, 1});
  CHECK(error.kind() == ErrorKind::package);
  CHECK(error.detail().message ==
        "model 'test.mil' is not from a package, and shared events are for those that are");
  error = ane::evaluate_with_signal(model, {event, 1}, {.try_in_memory = true});
  CHECK_MESSAGE(!error, error.text());
  CHECK(value_of(event) == 1);
  CHECK(read(model, "y") == kTwos);
  CHECK(ane::evaluate_with_signal(model, {}, {.try_in_memory = true}).kind() == ErrorKind::event);
  ane::Model none;
  CHECK(ane::evaluate_with_wait(none, {event, 1}).kind() == ErrorKind::closed);
}

TEST_CASE("events are set on requests where they cannot be made with them") {
  FakeScope fake({{"events_in_memory", "1"},
                  {"hide",
                   "_ANERequest.requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:"
                   "perfStats:procedureIndex:sharedEvents:transactionHandle:"}});
  ane::Model model = compiled(fake.engine(), kDouble);
  write(model, "x", kOnes);
  const ane::SharedEvent event = event_of(fake.engine());
  const ane::Error error = ane::evaluate_with_signal(model, {event, 2}, {.try_in_memory = true});
  CHECK_MESSAGE(!error, error.text());
  CHECK(value_of(event) == 2);
}

TEST_CASE("a system that takes no events with requests at all is told") {
  const std::string request =
      "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:"
      "procedureIndex:sharedEvents:transactionHandle:";
  FakeScope fake({{"events_in_memory", "1"},
                  {"hide", "_ANERequest." + request + "+_ANERequest.setSharedEvents:"}});
  ane::Model model = compiled(fake.engine(), kDouble);
  const ane::SharedEvent event = event_of(fake.engine());
  const ane::Error error = ane::evaluate_with_signal(model, {event, 2}, {.try_in_memory = true});
  CHECK(error.kind() == ErrorKind::selector);
  CHECK(error.text() == "the runtime " + FakeScope::library() + " lacks +[_ANERequest " + request +
                            "], which is needed for evaluating with shared events");
}

TEST_CASE("a class of events that the system lacks is named") {
  for (const char* hidden : {"_ANESharedEvents", "_ANESharedSignalEvent"}) {
    FakeScope fake({{"events_in_memory", "1"}, {"hide", hidden}});
    ane::Model model = compiled(fake.engine(), kDouble);
    const ane::SharedEvent event = event_of(fake.engine());
    const ane::Error error = ane::evaluate_with_signal(model, {event, 1}, {.try_in_memory = true});
    CHECK(error.kind() == ErrorKind::selector);
    CHECK(error.detail().message.find(std::string("lacks +[") + hidden) != std::string::npos);
  }
}

TEST_CASE("an event that never comes leaves the model broken, and comes after all") {
  FakeScope fake({{"events_in_memory", "1"}});
  fake.allow_live_objects();
  const long live_before = FakeScope::live();
  {
    const ane::SharedEvent event = event_of(fake.engine());
    {
      ane::Model model = compiled(fake.engine(), kDouble, {.evaluate_timeout = 10ms});
      write(model, "x", kOnes);
      const ane::Error error = ane::evaluate_with_wait(model, {event, 1}, {.try_in_memory = true});
      CHECK(error.kind() == ErrorKind::timeout);
      CHECK(model.evaluate().kind() == ErrorKind::broken);
    }
    CHECK_FALSE(event.signal(1));
  }
  for (int i = 0; i < 2000 && FakeScope::live() != live_before; ++i) {
    std::this_thread::sleep_for(1ms);
  }
  CHECK(FakeScope::live() == live_before);
}

}  // namespace milgen::test
