// Calls of the engine that may not come back.
#include <fmt/format.h>

#include <utility>

#include "ane/bound.h"
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

}  // namespace milgen::ane
