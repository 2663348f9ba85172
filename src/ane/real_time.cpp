#include "milgen/ane/real_time.h"

#include <utility>

#include "ane/model_state.h"

namespace milgen::ane {

struct RealTimeTask::State {
  Engine engine;
  Ref client;
  bool granted = false;
};

RealTimeTask& RealTimeTask::operator=(RealTimeTask&& other) noexcept {
  if (this != &other) {
    (void)end();
    state_ = std::move(other.state_);
  }
  return *this;
}

Result<RealTimeTask> RealTimeTask::begin(const Engine& engine) {
  if (!engine) return Error(ErrorKind::unavailable, "there is no engine for a real-time task");
  const EngineState& runtime = *engine.state();
  if (Error error = runtime.check_process()) return error;
  for (const Message message :
       {Message::shared_connection, Message::begin_real_time, Message::end_real_time}) {
    if (!runtime.has(message)) return missing(runtime, message, "real-time tasks");
  }
  const AutoreleasePool pool(*runtime.platform);
  auto state = std::make_shared<State>();
  state->engine = engine;
  state->client =
      Ref::retain(*runtime.platform, runtime.send_class<Id>(Message::shared_connection));
  if (!state->client) {
    return Error(ErrorKind::unavailable, "the runtime connects to no client of the engine");
  }
  state->granted = runtime.send<Bool>(state->client.get(), Message::begin_real_time);
  return RealTimeTask(std::move(state));
}

bool RealTimeTask::granted() const { return state_ != nullptr && state_->granted; }

Error RealTimeTask::evaluate(Model& model) {
  if (state_ == nullptr) return Error(ErrorKind::closed, "the real-time task has ended");
  const ModelCall call(model.state().get());
  if (call.error()) return call.error();
  ModelState& state = *model.state();
  if (state.engine.state() != state_->engine.state()) {
    return Error(ErrorKind::argument, "the model is not of the engine of the real-time task");
  }
  if (!state.client) state.client = state_->client;
  return evaluate_bounded(state, state.request, EvaluateRoute::real_time, state.call_options.get(),
                          model.state());
}

Error RealTimeTask::end() {
  const std::shared_ptr<State> state = std::move(state_);
  if (state == nullptr || !state->granted) return Error();
  const EngineState& runtime = *state->engine.state();
  if (Error error = runtime.check_process()) return error;
  const AutoreleasePool pool(*runtime.platform);
  if (runtime.send<Bool>(state->client.get(), Message::end_real_time)) return Error();
  return Error({ErrorKind::evaluate,
                "the system says that no real-time task had begun, though it granted one",
                std::string(message_text(Message::end_real_time)),
                {},
                0,
                {},
                {}});
}

}  // namespace milgen::ane
