// Running a loaded program: the message, its bound, and runs that go on behind the caller's back.
#include <fmt/format.h>

#include <utility>

#include "ane/bound.h"
#include "ane/foundation.h"
#include "ane/model_state.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

Message message_of(const ModelState& state, EvaluateRoute route) {
  switch (route) {
    case EvaluateRoute::client:
      return Message::client_evaluate;
    case EvaluateRoute::direct:
      return Message::client_evaluate_direct;
    case EvaluateRoute::real_time:
      return Message::client_evaluate_real_time;
    case EvaluateRoute::standard:
      break;
  }
  // A package has no in-memory model: the client evaluates it.
  return state.in_memory ? Message::evaluate : Message::client_evaluate;
}

/// Sends the message; what the runtime gives for an error is in `error`.
bool send_evaluate(const ModelState& state, const Request& request, Message message, Id options,
                   Id* error) {
  const EngineState& engine = state.runtime();
  const Id client = state.client.get();
  const Id model = state.inner.get();
  const Id object = request.object.get();
  if (message == Message::evaluate) {
    return engine.send<Bool>(state.in_memory.get(), message, state.options.qos, options, object,
                             error);
  }
  if (message == Message::client_evaluate_real_time) {
    return engine.send<Bool>(client, message, model, options, object, error);
  }
  return engine.send<Bool>(client, message, model, options, object, state.options.qos, error);
}

void run_call(void* argument) {
  auto& call = *static_cast<EvaluateCall*>(argument);
  call.error = evaluate_now(*call.model, *call.request, call.route, call.options);
}

}  // namespace

Error evaluate_now(ModelState& state, Request& request, EvaluateRoute route, Id options) {
  const EngineState& engine = state.runtime();
  const Message message = message_of(state, route);
  if (!engine.has(message)) return missing(engine, message, "the chosen route of evaluation");
  if (message != Message::evaluate && (!state.client || !state.inner)) {
    return Error(
        ErrorKind::selector,
        fmt::format("model '{}' got nothing from {}, which {} needs", printable(state.name),
                    message_text(state.client ? Message::inner_model : Message::shared_connection),
                    message_text(message)));
  }
  const AutoreleasePool pool(state.platform());
  Id error = nullptr;
  if (!send_evaluate(state, request, message, options, &error)) {
    return runtime_error(state.platform(), error, ErrorKind::evaluate,
                         std::string(message_text(message)),
                         fmt::format("model '{}' cannot be evaluated", printable(state.name)));
  }
  if (request.stats && engine.has(Message::stats_hardware_ns)) {
    state.hardware_ns = engine.send<std::uint64_t>(request.stats.get(), Message::stats_hardware_ns);
  }
  return Error();
}

Error evaluate_now(ModelState& state, Request& request) {
  return evaluate_now(state, request, state.options.route, state.call_options.get());
}

Error start_worker(ModelState& state) {
  if (state.worker == nullptr) state.worker = Worker::start();
  if (state.worker != nullptr) return Error();
  return Error({ErrorKind::evaluate,
                fmt::format("model '{}' gets no thread to be evaluated on", printable(state.name)),
                "pthread_create",
                {},
                0,
                {},
                "fewer models at a time, or evaluate_timeout 0, which needs no thread"});
}

Error evaluate_bounded(ModelState& state, Request& request, EvaluateRoute route, Id options,
                       const std::shared_ptr<void>& keep) {
  const std::chrono::milliseconds bound = state.options.evaluate_timeout;
  if (bound.count() == 0) return evaluate_now(state, request, route, options);
  if (Error error = start_worker(state)) return error;
  EvaluateCall& call = state.evaluate_call;
  call = {&state, &request, route, options, {}};
  if (state.worker->run({run_call, &call}, bound_of(bound), keep)) return std::move(call.error);
  return gave_up(state);
}

Error evaluate_bounded(ModelState& state, Request& request) {
  return evaluate_bounded(state, request, state.options.route, state.call_options.get(),
                          state.shared_from_this());
}

Error gave_up(ModelState& state) {
  if (state.broken.exchange(true)) return broken_error(state);
  return Error(ErrorKind::timeout,
               fmt::format("the evaluation of model '{}' has not ended within {} ms",
                           printable(state.name), state.options.evaluate_timeout.count()));
}

Error post_evaluation(ModelState& state, const Worker::Job& job, PostedEvaluation& posted) {
  if (Error error = start_worker(state)) return error;
  state.lock.begin_evaluation();
  posted = {state.worker, state.worker->post(job)};
  if (posted.ticket != 0) return Error();
  state.lock.end_evaluation();
  return Error(ErrorKind::busy, fmt::format("{} evaluations of model '{}' are under way, the most "
                                            "that the engine queues",
                                            Worker::kMostJobs, printable(state.name)));
}

void run_posted(EvaluateCall& call) {
  // What was queued behind an evaluation that was given up is not run should that one end at last.
  call.error = call.model->broken
                   ? broken_error(*call.model)
                   : evaluate_now(*call.model, *call.request, call.route, call.options);
  call.model->lock.end_evaluation();
}

bool PostedEvaluation::wait(const ModelState& state) const {
  // Who waits for several does not wait for each of them when the first has not come back.
  if (state.broken) return ended();
  const std::chrono::nanoseconds bound = bound_of(state.options.evaluate_timeout);
  // Those before it have as long each.
  const auto turns = static_cast<std::int64_t>(worker->unfinished(ticket));
  return worker->wait(ticket, bound == kForever ? kForever : bound * turns);
}

Error Model::evaluate() {
  const ModelCall call(state_.get());
  return call.error() ? call.error() : evaluate_bounded(*state_, state_->request);
}

struct Evaluation::State {
  std::shared_ptr<ModelState> model;
  std::function<void(const Error&)> done;
  EvaluateCall call;
  PostedEvaluation posted;
  std::shared_ptr<State> self;  // until it has ended

  static void run(void* argument) { run_posted(static_cast<State*>(argument)->call); }
  static void tell(void* argument) {
    const std::shared_ptr<State> state = std::move(static_cast<State*>(argument)->self);
    if (!state->done) return;
    const TellingOfEnd telling(state->model.get());
    state->done(state->call.error);
  }
};

Result<Evaluation> Model::evaluate_async(std::function<void(const Error&)> done) {
  const ModelCall call(state_.get(), true);
  if (call.error()) return call.error();
  auto evaluation = std::make_shared<Evaluation::State>();
  evaluation->model = state_;
  evaluation->done = std::move(done);
  evaluation->call = {
      state_.get(), &state_->request, state_->options.route, state_->call_options.get(), {}};
  evaluation->self = evaluation;
  const Worker::Job job{Evaluation::State::run, evaluation.get(), Evaluation::State::tell};
  if (Error error = post_evaluation(*state_, job, evaluation->posted)) {
    evaluation->self.reset();
    return error;
  }
  return Evaluation(std::move(evaluation));
}

namespace {

/// Whether it may be waited for.
Error check_wait(const Evaluation::State* state) {
  if (state == nullptr) return Error(ErrorKind::closed, "there is no evaluation to wait for");
  return state->posted.ended() ? Error() : check_not_telling(*state->model);
}

}  // namespace

bool Evaluation::done() const { return state_ != nullptr && state_->posted.ended(); }

Error Evaluation::wait(std::chrono::milliseconds at_most) {
  if (Error error = check_wait(state_.get())) return error;
  // 0 asks whether it has ended, and does not wait.
  const std::chrono::nanoseconds bound =
      at_most.count() == 0 ? std::chrono::nanoseconds(0) : bound_of(at_most);
  if (state_->posted.worker->wait(state_->posted.ticket, bound)) return state_->call.error;
  return Error(ErrorKind::timeout, fmt::format("the evaluation of model '{}' has not ended within "
                                               "{} ms, and goes on",
                                               printable(state_->model->name), at_most.count()));
}

Error Evaluation::wait() {
  if (Error error = check_wait(state_.get())) return error;
  return state_->posted.wait(*state_->model) ? state_->call.error : gave_up(*state_->model);
}

}  // namespace milgen::ane
