#include <fmt/format.h>

#include <string>

#include "ane/bound.h"
#include "ane/model_state.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

thread_local const ModelState* told_of_an_end = nullptr;

/// What stands against a call before its lock is asked for.
Error refused(const ModelState* state) {
  if (state == nullptr) return Error(ErrorKind::closed, "the model is none, or was moved from");
  if (Error error = state->runtime().check_process()) return error;
  if (Error error = check_not_telling(*state)) return error;
  return state->broken ? broken_error(*state) : Error();
}

Error busy(const ModelState& state) {
  // What holds the lock may be the evaluation that broke the model.
  if (state.broken) return broken_error(state);
  return Error(ErrorKind::busy,
               fmt::format("model '{}' is in use by another call or evaluation for more than {} ms",
                           printable(state.name), state.options.evaluate_timeout.count()));
}

/// What stands against a call that has the lock.
Error unusable(const ModelState& state) {
  if (state.broken) return broken_error(state);
  if (!state.closed) return Error();
  return Error(ErrorKind::closed, fmt::format("model '{}' is closed", printable(state.name)));
}

}  // namespace

ModelCall::ModelCall(const ModelState* state, bool beside_evaluations) : error_(refused(state)) {
  if (error_) return;
  if (!state->lock.acquire(bound_of(state->options.evaluate_timeout), beside_evaluations)) {
    error_ = busy(*state);
    return;
  }
  state_ = state;
  error_ = unusable(*state);
}

ModelCall::~ModelCall() {
  if (state_ != nullptr) state_->lock.release();
}

TellingOfEnd::TellingOfEnd(const ModelState* state) { told_of_an_end = state; }
TellingOfEnd::~TellingOfEnd() { told_of_an_end = nullptr; }

Error check_not_telling(const ModelState& state) {
  if (&state != told_of_an_end) return Error();
  return Error(ErrorKind::busy,
               fmt::format("model '{}' is called by what is told of the end of its evaluation",
                           printable(state.name)));
}

Error broken_error(const ModelState& state) {
  return Error(ErrorKind::broken,
               fmt::format("an earlier call of model '{}' never came back", printable(state.name)));
}

}  // namespace milgen::ane
