#include "milgen/ane/real_time.h"

#include <doctest/doctest.h>

#include <vector>

#include "ane/engine_state.h"
#include "ane/fake.h"
#include "ane/programs.h"

namespace milgen::test {
namespace {

using ane::ErrorKind;

ane::RealTimeTask begun(const ane::Engine& engine) {
  auto task = ane::RealTimeTask::begin(engine);
  REQUIRE_MESSAGE(task, task.error().text());
  return *std::move(task);
}

}  // namespace

TEST_CASE("a real-time task evaluates by its own message, and is ended once") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble);
  write(model, "x", std::vector<float>(128, 1.0F));
  ane::RealTimeTask task = begun(fake.engine());
  CHECK(task.granted());
  const ane::Error error = task.evaluate(model);
  CHECK_MESSAGE(!error, error.text());
  CHECK(read(model, "y") == std::vector<float>(128, 2.0F));
  CHECK(FakeScope::logged("evaluateRealTimeWithModel:options:request:error:") == 1);
  CHECK_FALSE(task.end());
  CHECK_FALSE(task.end());
  CHECK_FALSE(task.granted());
  CHECK(FakeScope::logged("endRealTimeTask") == 1);
  CHECK(task.evaluate(model).detail().message == "the real-time task has ended");
}

TEST_CASE("a real-time task ends on every path") {
  FakeScope fake;
  {
    ane::RealTimeTask one = begun(fake.engine());
    ane::RealTimeTask two = begun(fake.engine());
    one = std::move(two);
    CHECK(FakeScope::logged("endRealTimeTask") == 1);
  }
  CHECK(FakeScope::logged("beginRealTimeTask] -> 1") == 2);
  CHECK(FakeScope::logged("endRealTimeTask") == 2);
}

TEST_CASE("what a real-time task refuses") {
  {
    FakeScope fake({{"hide", "_ANEClient.endRealTimeTask"}});
    const ane::Error error = ane::RealTimeTask::begin(fake.engine()).error();
    CHECK(error.kind() == ErrorKind::selector);
    CHECK(error.detail().message.find("lacks -[_ANEClient endRealTimeTask]") != std::string::npos);
    CHECK(FakeScope::logged("beginRealTimeTask") == 0);
  }
  FakeScope fake({{"hide", "_ANEClient.evaluateRealTimeWithModel:options:request:error:"}});
  CHECK(ane::RealTimeTask::begin(ane::Engine()).error().kind() == ErrorKind::unavailable);
  ane::RealTimeTask task = begun(fake.engine());
  ane::Model none;
  CHECK(task.evaluate(none).kind() == ErrorKind::closed);
  ane::Model model = compiled(fake.engine(), kDouble);
  const ane::Error error = task.evaluate(model);
  CHECK(error.kind() == ErrorKind::selector);
  CHECK(FakeScope::logged("evaluateWithQoS") == 0);
}

TEST_CASE("a real-time task evaluates the models of its own engine alone") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble);
  ane::forget_engines();
  auto other = FakeScope::open();
  REQUIRE(other);
  ane::RealTimeTask task = begun(*other);
  const ane::Error error = task.evaluate(model);
  CHECK(error.kind() == ErrorKind::argument);
  CHECK(error.text() == "the model is not of the engine of the real-time task");
}

TEST_CASE("a task that the system does not know any more is told") {
  FakeScope fake;
  ane::RealTimeTask task = begun(fake.engine());
  const ane::EngineState& runtime = *fake.engine().state();
  const auto client = runtime.send_class<ane::Id>(ane::Message::shared_connection);
  CHECK(runtime.send<ane::Bool>(client, ane::Message::end_real_time));
  const ane::Error error = task.end();
  CHECK(error.kind() == ErrorKind::evaluate);
  CHECK(error.detail().message ==
        "the system says that no real-time task had begun, though it granted one");
  CHECK(error.detail().operation == "-[_ANEClient endRealTimeTask]");
}

}  // namespace milgen::test
