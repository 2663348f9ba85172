#include "milgen/ane/event.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "ane/foundation.h"
#include "ane/model_state.h"
#include "support/printable.h"

namespace milgen::ane {

struct SharedEvent::State {
  Engine engine;
  Ref object;

  EngineState& runtime() const { return *engine.state(); }
};

namespace {

/// tmc's, the only type that is known to work (ane_runtime, 4.9).
constexpr std::int64_t kEventType = 5;

Error no_event() { return Error(ErrorKind::event, "there is no shared event"); }

/// Whether the event takes a message: its class is the system's to choose.
Error check_event(const SharedEvent& event, Message message) {
  if (!event) return no_event();
  const EngineState& runtime = event.state()->runtime();
  if (Error error = runtime.check_process()) return error;
  if (runtime.platform->responds(event.state()->object.get(), runtime.sel(message))) return Error();
  return missing(runtime, message, "shared events");
}

Error check_engine(const Engine& engine) {
  if (!engine) return Error(ErrorKind::unavailable, "there is no engine to make an event for");
  return engine.state()->check_process();
}

template <class R, class... Args>
auto send_event(const SharedEvent& event, Message message, Args... arguments) {
  const AutoreleasePool pool(*event.state()->runtime().platform);
  return event.state()->runtime().send<R>(event.state()->object.get(), message, arguments...);
}

/// What an evaluation with events uses, all of it kept while the engine may.
struct EventCall {
  std::shared_ptr<ModelState> model;
  std::shared_ptr<RequestSet> requests;
  Ref options;
};

Error check_point(const ModelState& model, const EventPoint* point, Message message) {
  if (point == nullptr) return Error();
  if (!point->event) return no_event();
  if (!model.runtime().has(message)) return missing(model.runtime(), message, "shared events");
  return Error();
}

Error check_call(const ModelState& model, const EventPoint* wait, const EventPoint* signal,
                 const SharedEventOptions& options) {
  if (!model.from_package && !options.try_in_memory) {
    return Error({ErrorKind::package,
                  fmt::format("model '{}' is not from a package, and shared events are for those "
                              "that are",
                              printable(model.name)),
                  {},
                  {},
                  0,
                  {},
                  "`milc probe` tells whether this system takes them with other models, and "
                  "try_in_memory then sends them"});
  }
  if (Error error = check_point(model, wait, Message::wait_event_with)) return error;
  if (Error error = check_point(model, signal, Message::signal_event_with)) return error;
  if (!model.runtime().has(Message::shared_events_with)) {
    return missing(model.runtime(), Message::shared_events_with, "shared events");
  }
  return Error();
}

/// An NSArray of the event, or of nothing.
Id event_array(const Platform& platform, Id event) {
  return ns_array(platform, std::span<const Id>(&event, event == nullptr ? 0 : 1));
}

/// The _ANESharedEvents; nil when the runtime makes none.
Id make_events(const ModelState& model, const EventPoint* wait, const EventPoint* signal,
               std::uint32_t symbol) {
  const EngineState& runtime = model.runtime();
  Id waits = nullptr;
  Id signals = nullptr;
  if (wait != nullptr) {
    waits = runtime.send_class<Id>(Message::wait_event_with, wait->value,
                                   wait->event.state()->object.get());
    if (waits == nullptr) return nullptr;
  }
  if (signal != nullptr) {
    signals = runtime.send_class<Id>(Message::signal_event_with, signal->value, symbol, kEventType,
                                     signal->event.state()->object.get());
    if (signals == nullptr) return nullptr;
  }
  return runtime.send_class<Id>(Message::shared_events_with, event_array(model.platform(), signals),
                                event_array(model.platform(), waits));
}

Id make_options(const ModelState& model, const SharedEventOptions& options) {
  std::vector<EngineOption> all = model.options.options;
  if (options.disable_io_fences) all.push_back({"kANEFDisableIOFencesUseSharedEventsKey", true});
  if (options.enable_fw_to_fw_signal) all.push_back({"kANEFEnableFWToFWSignal", true});
  return ns_options(model.platform(), all);
}

Error evaluate_with_events(Model& model, const EventPoint* wait, const EventPoint* signal,
                           const SharedEventOptions& options) {
  const ModelCall call(model.state().get());
  if (call.error()) return call.error();
  ModelState& state = *model.state();
  if (Error error = check_call(state, wait, signal, options)) return error;
  const AutoreleasePool pool(state.platform());
  const Id events = make_events(state, wait, signal, options.signal_symbol);
  if (events == nullptr) {
    return Error(ErrorKind::event, fmt::format("the runtime makes no shared events for model '{}'",
                                               printable(state.name)));
  }
  const RequestSurfaces surfaces{state.input_surfaces, state.output_surfaces};
  Result<std::shared_ptr<RequestSet>> requests = make_request_set(state, {&surfaces, 1}, events);
  if (!requests) return requests.error();
  const auto used = std::make_shared<EventCall>();
  used->model = model.state();
  used->requests = *std::move(requests);
  used->options = Ref::retain(state.platform(), make_options(state, options));
  state.evaluated_with_events = true;
  Error error = evaluate_bounded(state, used->requests->requests.front(), state.options.route,
                                 used->options.get(), used);
  if (!state.broken) end_request_set(state, used->requests);
  return error;
}

}  // namespace

Result<SharedEvent> SharedEvent::create(const Engine& engine) {
  if (Error error = check_engine(engine)) return error;
  const Platform& platform = *engine.state()->platform;
  if (platform.IOSurfaceSharedEventCreate == nullptr) {
    return Error(ErrorKind::event, fmt::format("the system lacks IOSurfaceSharedEventCreate, which "
                                               "makes shared events"));
  }
  const AutoreleasePool pool(platform);
  const Id object = platform.IOSurfaceSharedEventCreate();
  if (object == nullptr) return Error(ErrorKind::event, "the system makes no shared event");
  return SharedEvent(std::make_shared<State>(State{engine, Ref::adopt(platform, object)}));
}

Result<SharedEvent> SharedEvent::from_port(const Engine& engine, std::uint32_t port) {
  if (Error error = check_engine(engine)) return error;
  const EngineState& runtime = *engine.state();
  if (!runtime.has(Message::event_with_port)) {
    return missing(runtime, Message::event_with_port, "the shared events of others");
  }
  const AutoreleasePool pool(*runtime.platform);
  const Id empty =
      runtime.platform->send<Id>(runtime.class_of(RuntimeClass::io_surface_shared_event), "alloc");
  const Id object = runtime.send<Id>(empty, Message::event_with_port, port);
  if (object == nullptr) {
    return Error(ErrorKind::event, fmt::format("port {} is that of no shared event", port));
  }
  return SharedEvent(std::make_shared<State>(State{engine, Ref::adopt(*runtime.platform, object)}));
}

Result<std::uint32_t> SharedEvent::port() const {
  if (Error error = check_event(*this, Message::event_port)) return error;
  return send_event<std::uint32_t>(*this, Message::event_port);
}

Result<std::uint64_t> SharedEvent::signaled_value() const {
  if (Error error = check_event(*this, Message::event_value)) return error;
  return send_event<std::uint64_t>(*this, Message::event_value);
}

Error SharedEvent::signal(std::uint64_t value) const {
  if (Error error = check_event(*this, Message::event_set_value)) return error;
  send_event<void>(*this, Message::event_set_value, value);
  return Error();
}

Result<bool> SharedEvent::wait(std::uint64_t value, std::chrono::milliseconds at_most) const {
  if (Error error = check_event(*this, Message::event_wait)) return error;
  const auto milliseconds = static_cast<std::uint64_t>(at_most.count() < 0 ? 0 : at_most.count());
  return send_event<Bool>(*this, Message::event_wait, value, milliseconds);
}

Error evaluate_with_signal(Model& model, const EventPoint& signal,
                           const SharedEventOptions& options) {
  return evaluate_with_events(model, nullptr, &signal, options);
}

Error evaluate_with_wait(Model& model, const EventPoint& wait, const SharedEventOptions& options) {
  return evaluate_with_events(model, &wait, nullptr, options);
}

Error evaluate_between(Model& model, const EventPoint& wait, const EventPoint& signal,
                       const SharedEventOptions& options) {
  return evaluate_with_events(model, &wait, &signal, options);
}

}  // namespace milgen::ane
