// Calls of the engine that may not come back.
#include <fmt/format.h>

#include <utility>

#include "ane/bound.h"
#include "ane/foundation.h"
#include "ane/model_state.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

struct BoundedCall {
  std::shared_ptr<ModelState> state;
  EngineCall call = nullptr;
  Error error;
};

void make_call(void* argument) {
  auto* bounded = static_cast<BoundedCall*>(argument);
  bounded->error = bounded->call(*bounded->state);
}

Error no_answer(ModelState& state, std::string_view verb, std::chrono::milliseconds bound) {
  state.broken = true;
  return Error({.kind = ErrorKind::timeout,
                .message = fmt::format("the engine did not {} {} within {} ms", verb,
                                       printable(state.name), bound.count()),
                .hint = "the driver may be wedged; what it uses is kept until it answers"});
}

}  // namespace

Error call_bounded(const std::shared_ptr<ModelState>& state, EngineCall call, std::string_view verb,
                   std::chrono::milliseconds bound) {
  if (bound_of(bound) == kForever) return call(*state);
  const std::shared_ptr<Worker> worker = Worker::start();
  if (worker == nullptr) {
    return {ErrorKind::unavailable,
            fmt::format("the system starts no thread to {} {} on", verb, printable(state->name))};
  }
  const auto bounded = std::make_shared<BoundedCall>();
  bounded->state = state;
  bounded->call = call;
  if (worker->run({make_call, bounded.get(), nullptr}, bound_of(bound), bounded)) {
    return std::move(bounded->error);
  }
  return no_answer(*state, verb, bound);
}

namespace {

Error refusal(const ModelState& state, Id error, ErrorKind kind, Message message,
              std::string_view verb) {
  return runtime_error(state.platform(), error, kind, std::string(message_text(message)),
                       fmt::format("the engine does not {} {}", verb, printable(state.name)));
}

Error ask_client(ModelState& state, Message message, ErrorKind kind, std::string_view verb) {
  const AutoreleasePool pool(state.platform());
  Id error = nullptr;
  if (state.runtime().send<Bool>(state.client.get(), message, state.inner.get(),
                                 state.call_options.get(), state.options.qos, &error)) {
    return {};
  }
  return refusal(state, error, kind, message, verb);
}

Error ask_model(ModelState& state, Message message, ErrorKind kind, std::string_view verb) {
  const AutoreleasePool pool(state.platform());
  Id error = nullptr;
  if (state.runtime().send<Bool>(state.in_memory.get(), message, state.options.qos,
                                 state.call_options.get(), &error)) {
    return {};
  }
  return refusal(state, error, kind, message, verb);
}

/// The one message of the three that takes no options.
Error unload_model(ModelState& state) {
  const AutoreleasePool pool(state.platform());
  Id error = nullptr;
  if (state.runtime().send<Bool>(state.in_memory.get(), Message::unload, state.options.qos,
                                 &error)) {
    return {};
  }
  return refusal(state, error, ErrorKind::load, Message::unload, "unload");
}

/// Loading clears it, so that it is set before and after (ane_runtime, 4.9).
void set_perf_mask(const ModelState& state) {
  const EngineState& runtime = state.runtime();
  const std::uint32_t mask = state.options.perf_stats_mask;
  if (mask == 0) return;
  if (state.in_memory && runtime.has(Message::set_in_memory_perf_mask)) {
    runtime.send<void>(state.in_memory.get(), Message::set_in_memory_perf_mask, mask);
  } else if (state.platform().responds(state.inner.get(),
                                       runtime.sel(Message::set_model_perf_mask))) {
    runtime.send<void>(state.inner.get(), Message::set_model_perf_mask, mask);
  }
}

}  // namespace

Error compile_now(ModelState& state) {
  return state.from_package
             ? ask_client(state, Message::client_compile, ErrorKind::compile, "compile")
             : ask_model(state, Message::compile, ErrorKind::compile, "compile");
}

Error load_now(ModelState& state) {
  const AutoreleasePool pool(state.platform());
  set_perf_mask(state);
  Error error = state.from_package
                    ? ask_client(state, Message::client_load, ErrorKind::load, "load")
                    : ask_model(state, Message::load, ErrorKind::load, "load");
  state.loaded = !error;
  if (state.loaded) set_perf_mask(state);
  return error;
}

Error unload_now(ModelState& state) {
  Error error = state.from_package
                    ? ask_client(state, Message::client_unload, ErrorKind::load, "unload")
                    : unload_model(state);
  state.loaded = state.loaded && error;
  return error;
}

}  // namespace milgen::ane
