#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "ane/foundation.h"
#include "ane/model_state.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

/// Two arrays of a request, in the order of the symbols: _ANEIOSurfaceObject and NSNumber.
struct Slots {
  Id objects = nullptr;
  Id indices = nullptr;
};

Result<Slots> make_slots(const ModelState& state, std::span<const TensorLayout> layouts,
                         std::span<const Surface> surfaces) {
  std::vector<std::size_t> order(layouts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return layouts[i].symbol_index; });
  std::vector<Id> objects;
  std::vector<Id> indices;
  for (const std::size_t i : order) {
    const Id object =
        state.runtime().send_class<Id>(Message::object_with_surface, surfaces[i].ref());
    if (object == nullptr) {
      return Error(
          {.kind = ErrorKind::map,
           .message = fmt::format("the engine takes no surface for {}", printable(layouts[i].name)),
           .operation = std::string(message_text(Message::object_with_surface))});
    }
    objects.push_back(object);
    indices.push_back(ns_number(state.platform(), layouts[i].symbol_index));
  }
  return Slots{ns_array(state.platform(), objects), ns_array(state.platform(), indices)};
}

/// The statistics object of a request; none unless counters are asked for. -init gives none
/// (ane_runtime, 4.9).
Ref make_stats(const ModelState& state) {
  const EngineState& runtime = state.runtime();
  if (state.options.perf_stats_mask == 0 || !runtime.has(Message::stats_with_ns)) return {};
  return Ref::retain(state.platform(),
                     runtime.send_class<Id>(Message::stats_with_ns, std::uint64_t{0}));
}

/// By the first of the class methods that there is (ane_runtime, 4.6).
Id make_object(const ModelState& state, const Slots& inputs, const Slots& outputs, Id stats) {
  const EngineState& runtime = state.runtime();
  const Id procedure = ns_number(state.platform(), std::int64_t{0});
  const Id no_weights = nullptr;
  if (runtime.has(Message::request_7)) {
    return runtime.send_class<Id>(Message::request_7, inputs.objects, inputs.indices,
                                  outputs.objects, outputs.indices, no_weights, stats, procedure);
  }
  if (runtime.has(Message::request_6)) {
    return runtime.send_class<Id>(Message::request_6, inputs.objects, inputs.indices,
                                  outputs.objects, outputs.indices, stats, procedure);
  }
  const Id object = runtime.send_class<Id>(Message::request_5, inputs.objects, inputs.indices,
                                           outputs.objects, outputs.indices, procedure);
  if (stats != nullptr && runtime.has(Message::set_perf_stats)) {
    runtime.send<void>(object, Message::set_perf_stats, stats);
  }
  return object;
}

Id make_event_object(const ModelState& state, const Slots& inputs, const Slots& outputs, Id stats,
                     Id shared_events) {
  const EngineState& runtime = state.runtime();
  if (runtime.has(Message::request_events)) {
    const Id none = nullptr;
    return runtime.send_class<Id>(
        Message::request_events, inputs.objects, inputs.indices, outputs.objects, outputs.indices,
        none, stats, ns_number(state.platform(), std::int64_t{0}), shared_events, none);
  }
  const Id object = make_object(state, inputs, outputs, stats);
  runtime.send<void>(object, Message::set_shared_events, shared_events);
  return object;
}

bool has_any_request(const EngineState& runtime) {
  return runtime.has(Message::request_7) || runtime.has(Message::request_6) ||
         runtime.has(Message::request_5);
}

Error check_messages(const EngineState& runtime, bool with_events) {
  if (with_events && runtime.has(Message::request_events)) return {};
  if (!has_any_request(runtime)) return missing(runtime, Message::request_7, "evaluating");
  if (with_events && !runtime.has(Message::set_shared_events)) {
    return missing(runtime, Message::request_events, "evaluating with shared events");
  }
  return {};
}

}  // namespace

Result<Request> make_request(const ModelState& state, std::span<const Surface> inputs,
                             std::span<const Surface> outputs, Id shared_events) {
  if (Error error = check_messages(state.runtime(), shared_events != nullptr)) return error;
  const AutoreleasePool pool(state.platform());
  const Result<Slots> input_slots = make_slots(state, state.inputs, inputs);
  if (!input_slots) return input_slots.error();
  const Result<Slots> output_slots = make_slots(state, state.outputs, outputs);
  if (!output_slots) return output_slots.error();
  Request request;
  request.stats = make_stats(state);
  const Id object = shared_events == nullptr
                        ? make_object(state, *input_slots, *output_slots, request.stats.get())
                        : make_event_object(state, *input_slots, *output_slots, request.stats.get(),
                                            shared_events);
  if (object == nullptr) {
    return Error(ErrorKind::map,
                 fmt::format("the engine makes no request for {}", printable(state.name)));
  }
  request.object = Ref::retain(state.platform(), object);
  request.inputs.assign(inputs.begin(), inputs.end());
  request.outputs.assign(outputs.begin(), outputs.end());
  return request;
}

Error map_request(const ModelState& state, Request& request) {
  const EngineState& runtime = state.runtime();
  const Message message = state.from_package ? Message::client_map_surfaces : Message::map_surfaces;
  // What is not mapped before is mapped by the evaluation.
  if (!runtime.has(message)) return {};
  const AutoreleasePool pool(state.platform());
  Id error = nullptr;
  // With cached inference first, then without (tmc, ane_runtime 4.6).
  for (const bool cached : {true, false}) {
    error = nullptr;
    request.mapped = state.from_package
                         ? runtime.send<Bool>(state.client.get(), message, state.inner.get(),
                                              request.object.get(), cached, &error)
                         : runtime.send<Bool>(state.in_memory.get(), message, request.object.get(),
                                              cached, &error);
    if (request.mapped) return {};
  }
  return runtime_error(state.platform(), error, ErrorKind::map, std::string(message_text(message)),
                       fmt::format("the surfaces of {} cannot be mapped", printable(state.name)));
}

void unmap_request(const ModelState& state, Request& request) {
  if (!std::exchange(request.mapped, false)) return;
  const EngineState& runtime = state.runtime();
  const AutoreleasePool pool(state.platform());
  if (state.from_package) {
    if (!runtime.has(Message::client_unmap_surfaces)) return;
    runtime.send<void>(state.client.get(), Message::client_unmap_surfaces, state.inner.get(),
                       request.object.get());
  } else if (runtime.has(Message::unmap_surfaces)) {
    runtime.send<void>(state.in_memory.get(), Message::unmap_surfaces, request.object.get());
  }
}

}  // namespace milgen::ane
