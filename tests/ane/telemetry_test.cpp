#include "milgen/ane/telemetry.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "ane/counters.h"
#include "ane/engine_state.h"
#include "ane/fake.h"
#include "ane/foundation.h"
#include "ane/programs.h"

namespace milgen::test {
namespace {

using ane::ErrorKind;

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the engine's own time comes with a mask of counters") {
  FakeScope fake({{"hw_ns", "1234"}});
  ane::Model model = compiled(fake.engine(), kDouble, {.perf_stats_mask = 15});
  write(model, "x", std::vector<float>(128, 1.0F));
  CHECK(model.hardware_ns() == 0);
  evaluate(model);
  CHECK(model.hardware_ns() == 1234);
  const auto stats = ane::evaluate_with_stats(model);
  REQUIRE_MESSAGE(stats, stats.error().text());
  CHECK(stats->hardware_ns == 1234);
  CHECK(stats->host_ns > 0);
  CHECK(stats->counters.empty());
  CHECK(stats->counter_data.empty());
  CHECK(holds(to_text(*stats), " hardware_ns=1234"));
  auto timer = ane::HardwareTimer::of(model);
  REQUIRE(timer);
  CHECK(*timer->evaluate() == 1234);
  FakeScope::set("fail_evaluate", "2");
  CHECK(timer->evaluate().error().kind() == ErrorKind::evaluate);
  CHECK(ane::evaluate_with_stats(model).error().kind() == ErrorKind::evaluate);
}

TEST_CASE("without a mask there is nothing to tell") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble);
  const ane::Error error = ane::evaluate_with_stats(model).error();
  CHECK(error.kind() == ErrorKind::argument);
  CHECK(error.detail().message ==
        "model 'test.mil' was made without a perf_stats_mask, so that the engine measures nothing");
  CHECK(ane::HardwareTimer::of(model).error().kind() == ErrorKind::argument);
  ane::Model none;
  CHECK(ane::evaluate_with_stats(none).error().kind() == ErrorKind::closed);
  CHECK(ane::diagnose(none).error().kind() == ErrorKind::closed);
}

TEST_CASE("counters that the runtime fills are read") {
  FakeScope fake;
  const ane::Platform& platform = *fake.engine().state()->platform;
  const ane::AutoreleasePool pool(platform);
  const std::array<std::pair<std::string, ane::Id>, 2> entries = {{
      {"cycles", ane::ns_number(platform, std::int64_t{42})},
      {"unit", ane::ns_string(platform, "ns")},
  }};
  const std::vector<ane::PerfCounter> counters =
      ane::counters_of(platform, ane::ns_dictionary(platform, entries));
  REQUIRE(counters.size() == 1);
  CHECK(counters[0].name == "cycles");
  CHECK(counters[0].value == 42);
  CHECK(ane::counters_of(platform, nullptr).empty());
  const std::vector<std::byte> bytes = {std::byte{1}, std::byte{2}};
  CHECK(ane::bytes_of(platform, ane::ns_data(platform, bytes)) == bytes);
  CHECK(ane::bytes_of(platform, ane::ns_data(platform, {})).empty());
  CHECK(ane::bytes_of(platform, ane::ns_string(platform, "no bytes")).empty());
  CHECK(ane::bytes_of(platform, nullptr).empty());
  CHECK(to_text(ane::EvaluateStats{5, 0, counters, bytes}) ==
        "host_ns=5 cycles=42 counter_bytes=2");
}

TEST_CASE("a loaded model says what it is") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble, {.perf_stats_mask = 3});
  const auto told = ane::diagnose(model);
  REQUIRE_MESSAGE(told, told.error().text());
  CHECK(told->queue_depth == 127);
  CHECK(told->state == 3);
  CHECK(told->perf_stats_mask == 3);
  REQUIRE(told->program_handle);
  CHECK(told->intermediate_buffer == 0);
  CHECK(to_text(*told) ==
        "state=3 queue_depth=127 program_handle=" + std::to_string(*told->program_handle) +
            " intermediate_buffer=0 perf_stats_mask=3");
  CHECK(to_text(ane::ModelDiagnostics()) == "");
}

TEST_CASE("what a system does not tell is empty") {
  FakeScope fake({{"hide",
                   "_ANEInMemoryModel.queueDepth+_ANEInMemoryModel.state+_ANEModel.state+"
                   "_ANEInMemoryModel.intermediateBufferHandle"}});
  const ane::Model model = compiled(fake.engine(), kDouble);
  const auto told = ane::diagnose(model);
  REQUIRE_MESSAGE(told, told.error().text());
  CHECK(told->queue_depth == 127);  // by the model inside
  CHECK_FALSE(told->state);
  CHECK_FALSE(told->intermediate_buffer);
}

TEST_CASE("a snapshot tells engine and ledger") {
  FakeScope fake({{"cores", "8"}, {"architecture", "h14g"}});
  const ane::EngineSnapshot snapshot = ane::take_snapshot(fake.engine());
  CHECK(snapshot.label == "fake");
  CHECK(snapshot.device.cores == 8);
  CHECK(snapshot.virtual_client == false);
  const std::string text = to_text(snapshot);
  CHECK(text.starts_with("engine=fake architecture=h14g "));
  CHECK(holds(text, " cores=8 "));
  CHECK(holds(text, " virtual_client=false compiles=0 compile_limit=100"));
  CHECK(to_text(ane::take_snapshot(ane::Engine())) == "");
}

}  // namespace milgen::test
