#include "milgen/ane/telemetry.h"

#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <span>
#include <utility>

#include "ane/counters.h"
#include "ane/foundation.h"
#include "ane/model_state.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

Error check_mask(const Model& model) {
  const ModelState* state = model.state().get();
  if (state == nullptr || state->options.perf_stats_mask != 0) return Error();
  return Error(ErrorKind::argument,
               fmt::format("model '{}' was made without a perf_stats_mask, so that the engine "
                           "measures nothing",
                           printable(state->name)));
}

/// What one of two objects says to one of two messages: the in-memory model, or the model inside.
template <class R>
std::optional<R> ask(const ModelState& state, Message of_in_memory, Message of_model) {
  const EngineState& runtime = state.runtime();
  if (state.in_memory && runtime.has(of_in_memory)) {
    return runtime.send<R>(state.in_memory.get(), of_in_memory);
  }
  if (state.inner && runtime.has(of_model)) return runtime.send<R>(state.inner.get(), of_model);
  return std::nullopt;
}

/// "name=value" pairs, of what is known.
class Line {
 public:
  template <class T>
  Line& add(std::string_view name, const std::optional<T>& value) {
    return value ? add(name, *value) : *this;
  }
  template <class T>
  Line& add(std::string_view name, const T& value) {
    fmt::format_to(std::back_inserter(text_), "{}{}={}", text_.empty() ? "" : " ", name, value);
    return *this;
  }
  Line& add_text(std::string_view name, const std::string& value) {
    return value.empty() ? *this : add(name, printable(value));
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

std::vector<PerfCounter> counters_of(const Platform& platform, Id dictionary) {
  std::vector<PerfCounter> counters;
  const Property property = read_property(platform, dictionary);
  const PropertyMap* map = property.map();
  if (map == nullptr) return counters;
  for (const auto& [name, value] : *map) {
    if (const std::int64_t* number = value.integer()) counters.push_back({name, *number});
  }
  return counters;
}

std::vector<std::byte> bytes_of(const Platform& platform, Id data) {
  if (data == nullptr || !platform.is_kind_of(data, "NSData")) return {};
  const auto length = platform.send<std::uint64_t>(data, "length");
  const auto* bytes = platform.send<const std::byte*>(data, "bytes");
  return length == 0 ? std::vector<std::byte>() : std::vector<std::byte>(bytes, bytes + length);
}

Result<EvaluateStats> evaluate_with_stats(Model& model) {
  if (Error error = check_mask(model)) return error;
  const ModelCall call(model.state().get());
  if (call.error()) return call.error();
  ModelState& state = *model.state();
  const auto begin = std::chrono::steady_clock::now();
  if (Error error = evaluate_bounded(state, state.request)) return error;
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begin;
  EvaluateStats stats;
  stats.host_ns = static_cast<std::uint64_t>(took.count());
  stats.hardware_ns = state.hardware_ns;
  const EngineState& runtime = state.runtime();
  const AutoreleasePool pool(*runtime.platform);
  const Id object = state.request.stats.get();
  if (runtime.has(Message::stats_counters)) {
    stats.counters =
        counters_of(*runtime.platform, runtime.send<Id>(object, Message::stats_counters));
  }
  if (runtime.has(Message::stats_counter_data)) {
    stats.counter_data =
        bytes_of(*runtime.platform, runtime.send<Id>(object, Message::stats_counter_data));
  }
  return stats;
}

Result<HardwareTimer> HardwareTimer::of(Model& model) {
  if (Error error = check_mask(model)) return error;
  return HardwareTimer(model);
}

Result<std::uint64_t> HardwareTimer::evaluate() {
  if (Error error = model_->evaluate()) return error;
  return model_->hardware_ns();
}

Result<ModelDiagnostics> diagnose(const Model& model) {
  const ModelCall call(model.state().get());
  if (call.error()) return call.error();
  const ModelState& state = *model.state();
  const AutoreleasePool pool(state.platform());
  ModelDiagnostics told;
  told.state = ask<std::uint64_t>(state, Message::in_memory_state, Message::model_state);
  if (const auto depth =
          ask<signed char>(state, Message::in_memory_queue_depth, Message::model_queue_depth)) {
    told.queue_depth = *depth;
  }
  told.program_handle =
      ask<std::uint64_t>(state, Message::in_memory_program_handle, Message::model_program_handle);
  if (state.in_memory && state.runtime().has(Message::in_memory_intermediate_buffer)) {
    told.intermediate_buffer = state.runtime().send<std::uint64_t>(
        state.in_memory.get(), Message::in_memory_intermediate_buffer);
  }
  told.perf_stats_mask =
      ask<std::uint32_t>(state, Message::in_memory_perf_mask, Message::model_perf_mask);
  return told;
}

EngineSnapshot take_snapshot(const Engine& engine) {
  EngineSnapshot snapshot;
  if (!engine || engine.state()->check_process()) return snapshot;
  snapshot.label = engine.label();
  snapshot.device = engine.device();
  snapshot.ledger = engine.ledger();
  const EngineState& runtime = *engine.state();
  if (runtime.has(Message::shared_connection) && runtime.has(Message::client_is_virtual)) {
    const AutoreleasePool pool(*runtime.platform);
    snapshot.virtual_client = runtime.send<Bool>(runtime.send_class<Id>(Message::shared_connection),
                                                 Message::client_is_virtual);
  }
  return snapshot;
}

std::string to_text(const EvaluateStats& stats) {
  Line line;
  line.add("host_ns", stats.host_ns);
  if (stats.hardware_ns != 0) line.add("hardware_ns", stats.hardware_ns);
  for (const PerfCounter& counter : stats.counters) {
    line.add(printable(counter.name), counter.value);
  }
  if (!stats.counter_data.empty()) line.add("counter_bytes", stats.counter_data.size());
  return line.take();
}

std::string to_text(const ModelDiagnostics& diagnostics) {
  return Line()
      .add("state", diagnostics.state)
      .add("queue_depth", diagnostics.queue_depth)
      .add("program_handle", diagnostics.program_handle)
      .add("intermediate_buffer", diagnostics.intermediate_buffer)
      .add("perf_stats_mask", diagnostics.perf_stats_mask)
      .take();
}

std::string to_text(const EngineSnapshot& snapshot) {
  if (snapshot.label.empty()) return {};
  const DeviceInfo& device = snapshot.device;
  return Line()
      .add_text("engine", snapshot.label)
      .add_text("architecture", device.architecture)
      .add_text("sub_type", device.sub_type)
      .add("engines", device.engines)
      .add("cores", device.cores)
      .add("board_type", device.board_type)
      .add_text("product", device.product)
      .add_text("build", device.build_version)
      .add("virtual_machine", device.virtual_machine)
      .add("virtual_client", snapshot.virtual_client)
      .add("compiles", snapshot.ledger.compiles)
      .add("compile_limit", snapshot.ledger.limit)
      .take();
}

}  // namespace milgen::ane
