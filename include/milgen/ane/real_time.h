// Evaluations with real-time priority.
#pragma once

#include <memory>

#include "milgen/ane/engine.h"
#include "milgen/ane/error.h"
#include "milgen/ane/model.h"

namespace milgen::ane {

/// A scope of real-time scheduling on the engine's client (ane_runtime, 4.9); what was granted is
/// given back at its end. It holds for the process, not for a thread; an object is for one thread
/// at a time. Whether it makes evaluations any faster only measuring tells: sources disagree.
class RealTimeTask {
 public:
  RealTimeTask() = default;  ///< none: every call gives ErrorKind::closed
  RealTimeTask(RealTimeTask&&) noexcept = default;
  RealTimeTask& operator=(RealTimeTask&& other) noexcept;
  ~RealTimeTask() { (void)end(); }

  /// Asks for it. The system may refuse, and evaluating works then all the same (dev-erik,
  /// ane_runtime 4.9): that is no error. Errors: `selector` where the system has no such thing.
  static Result<RealTimeTask> begin(const Engine& engine);
  /// Whether the system granted it.
  bool granted() const;
  /// As Model::evaluate(), by -[_ANEClient evaluateRealTimeWithModel:options:request:error:].
  /// Errors beside: `argument` for a model of another engine, `closed` after end().
  Error evaluate(Model& model);
  /// Gives back what was granted; a second call does nothing. `evaluate` when the system says that
  /// there was nothing to give back.
  Error end();

 private:
  struct State;
  explicit RealTimeTask(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace milgen::ane
