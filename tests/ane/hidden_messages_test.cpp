// Every class and message of the table, missing in turn: what is required is named when the engine
// is opened, and without what is optional a program still runs, while everything else works or says
// what it lacks.
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "ane/fake.h"
#include "ane/messages.h"
#include "ane/programs.h"
#include "milgen/ane/event.h"
#include "milgen/ane/model.h"
#include "milgen/ane/real_time.h"
#include "milgen/ane/request_pool.h"
#include "milgen/ane/state_handle.h"
#include "milgen/ane/telemetry.h"

namespace milgen::test {
namespace {

using namespace std::chrono_literals;
using ane::ErrorKind;
using ane::Message;
using ane::RuntimeClass;

const std::vector<float> kOnes(128, 1.0F);
const std::vector<float> kTwos(128, 2.0F);

/// "-[_ANEModel state]" as the setting `hide` takes it: "_ANEModel.state".
std::string hidden_name(Message message) {
  const ane::MessageRow& row = ane::message_row(message);
  return std::string(ane::class_row(row.owner).name) + "." + std::string(row.selector);
}

/// It worked, or the error names what is missing.
void works_or_names(const ane::Error& error, std::string_view missing) {
  if (!error) return;
  CHECK_MESSAGE(error.kind() == ErrorKind::selector, error.text());
  CHECK_MESSAGE(error.text().find(missing) != std::string::npos, error.text());
}

void live_once(const ane::Engine& engine) {
  ane::Model model = compiled(engine, kDouble, {.perf_stats_mask = 1});
  write(model, "x", kOnes);
  evaluate(model);
  CHECK(read(model, "y") == kTwos);
  CHECK_FALSE(model.close());
}

void use_pool_and_states(const ane::Engine& engine) {
  ane::Model model = compiled(engine, kDouble);
  auto pool = ane::RequestPool::create(model, {});
  REQUIRE_MESSAGE(pool, pool.error().text());
  auto request = pool->acquire();
  REQUIRE(request);
  CHECK_FALSE(request->write_fp32("x", kOnes));
  CHECK_FALSE(request->evaluate());
  std::vector<float> values(128);
  CHECK_FALSE(request->read_fp32("y", values));
  CHECK(values == kTwos);
  request->release();
  const std::vector<ane::StatePair> pairs = {{"x", "y"}};
  auto states = ane::StateHandle::create(model, pairs, 4);
  REQUIRE_MESSAGE(states, states.error().text());
  CHECK_FALSE(states->write_fp32(0, kOnes));
  CHECK_FALSE(states->evaluate());
  CHECK_FALSE(states->read_fp32(0, values));
  CHECK(values == kTwos);
}

void use_real_time(const ane::Engine& engine, std::string_view missing) {
  ane::Model model = compiled(engine, kDouble);
  auto task = ane::RealTimeTask::begin(engine);
  works_or_names(task.error(), missing);
  if (!task) return;
  works_or_names(task->evaluate(model), missing);
  works_or_names(task->end(), missing);
}

void use_routes(const ane::Engine& engine, std::string_view missing) {
  for (const ane::EvaluateRoute route :
       {ane::EvaluateRoute::client, ane::EvaluateRoute::direct, ane::EvaluateRoute::real_time}) {
    Diagnostics diagnostics;
    auto model = ane::Model::compile(engine, kDouble, "test.mil", {.route = route}, diagnostics);
    works_or_names(model.error(), missing);
    if (!model) continue;
    works_or_names(model->evaluate(), missing);
  }
}

void use_events(const ane::Engine& engine, std::string_view missing) {
  ane::Model model = compiled(engine, kDouble);
  auto event = ane::SharedEvent::create(engine);
  works_or_names(event.error(), missing);
  if (!event) return;
  works_or_names(event->signal(1), missing);
  works_or_names(event->signaled_value().error(), missing);
  works_or_names(event->wait(1, 1ms).error(), missing);
  auto port = event->port();
  works_or_names(port.error(), missing);
  if (port) works_or_names(ane::SharedEvent::from_port(engine, *port).error(), missing);
  if (!event->signaled_value() || event->signal(1)) return;
  works_or_names(ane::evaluate_between(model, {*event, 1}, {*event, 2}, {.try_in_memory = true}),
                 missing);
}

void use_package(const ane::Engine& engine, std::string_view missing) {
  TemporaryFolder folder;
  folder.write("model.mil", kDouble);
  Diagnostics diagnostics;
  auto model = ane::Model::load_package(engine, folder.path().string(), {}, diagnostics);
  works_or_names(model.error(), missing);
  if (!model) return;
  write(*model, 0, kOnes);
  evaluate(*model);
  CHECK(read(*model, 0) == kTwos);
}

void use_telemetry(const ane::Engine& engine) {
  ane::Model model = compiled(engine, kDouble, {.perf_stats_mask = 1});
  CHECK(ane::evaluate_with_stats(model));
  CHECK(ane::diagnose(model));
  CHECK(ane::to_text(ane::take_snapshot(engine)).find("fake") != std::string::npos);
}

void use_cache(const ane::Engine& engine) {
  TemporaryFolder folder;
  ane::ModelOptions options;
  options.cache = {true, folder.file("cache")};
  for (int i = 0; i < 2; ++i) {
    ane::Model model = compiled(engine, kDouble, options);
    write(model, "x", kOnes);
    evaluate(model);
    CHECK(read(model, "y") == kTwos);
  }
}

/// Everything that there is, on a system without `hidden`; errors name `missing`.
void use_everything_without(const std::string& hidden, std::string_view missing) {
  CAPTURE(hidden);
  CleanTemporary temporary;
  FakeScope fake({{"hide", hidden}, {"events_in_memory", "1"}});
  // Without the messages that unmap, the fake objects to what stays mapped.
  if (hidden.find("unmap") != std::string::npos || hidden == "_ANEClient") fake.allow_violations();
  const ane::Engine& engine = fake.engine();
  live_once(engine);
  use_pool_and_states(engine);
  use_real_time(engine, missing);
  use_routes(engine, missing);
  use_events(engine, missing);
  use_package(engine, missing);
  use_telemetry(engine);
  use_cache(engine);
}

void opening_names(const std::string& hidden, std::string_view missing) {
  CAPTURE(hidden);
  FakeScope fake({{"hide", hidden}});
  const auto engine = FakeScope::open();
  CHECK_FALSE(engine);
  CHECK(engine.error().kind() == ErrorKind::selector);
  CHECK(engine.error().text() ==
        "the runtime " + FakeScope::library() + " lacks " + std::string(missing));
}

}  // namespace

TEST_CASE(
    "each message that is required and hidden is named, without each other one programs run") {
  for (std::size_t i = 0; i < ane::kMessageCount; ++i) {
    const auto message = static_cast<Message>(i);
    if (ane::message_row(message).required) {
      opening_names(hidden_name(message), ane::message_text(message));
    } else {
      use_everything_without(hidden_name(message), ane::message_text(message));
    }
  }
}

TEST_CASE("each class that is required and hidden is named, without each other one programs run") {
  for (std::size_t i = 0; i < ane::kClassCount; ++i) {
    const ane::RuntimeClassRow& row = ane::class_row(static_cast<RuntimeClass>(i));
    const std::string name(row.name);
    if (row.required) {
      opening_names(name, name);
    } else {
      use_everything_without(name, name);
    }
  }
}

}  // namespace milgen::test
