// Shared events: counters that the engine, the GPU and the CPU wait for and set, so that an
// evaluation can begin behind other work and other work behind it.
//
// One source says that the engine takes events only with models that come from a package (tmc,
// ane_runtime 4.9); `milc probe` tells what this system does. Nothing here knows of Metal: an
// MTLSharedEvent is reached through the Mach port that both sides share (port(), from_port()).
//
//     auto event = ane::SharedEvent::create(engine);
//     if (auto error = ane::evaluate_with_signal(package, {*event, 1})) return fail(error.text());
//     if (auto came = event->wait(1, std::chrono::seconds(1)); came && *came) ...
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "milgen/ane/engine.h"
#include "milgen/ane/error.h"
#include "milgen/ane/model.h"

namespace milgen::ane {

/// An IOSurfaceSharedEvent; copies are the same one. Any thread may call anything. Errors of all
/// functions: `event` where the system has none or makes none, `selector` for a message that it
/// lacks, `closed` in a child of the process that made it.
class SharedEvent {
 public:
  SharedEvent() = default;  ///< none: every call gives ErrorKind::event
  /// A new one, at 0.
  static Result<SharedEvent> create(const Engine& engine);
  /// The one of this Mach port, which a GPU or another process made.
  static Result<SharedEvent> from_port(const Engine& engine, std::uint32_t port);

  explicit operator bool() const { return state_ != nullptr; }
  /// The Mach port by which others reach it.
  Result<std::uint32_t> port() const;
  Result<std::uint64_t> signaled_value() const;
  /// Sets the value, and lets those go on who wait for it or for less.
  Error signal(std::uint64_t value) const;
  /// Waits until the value is at least this one, at most so long; whether it is.
  Result<bool> wait(std::uint64_t value, std::chrono::milliseconds at_most) const;

  struct State;  // internal
  const std::shared_ptr<State>& state() const { return state_; }

 private:
  explicit SharedEvent(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

/// An event at a value: what is waited for, or set.
struct EventPoint {
  SharedEvent event;
  std::uint64_t value = 0;
};

struct SharedEventOptions {
  /// kANEFDisableIOFencesUseSharedEventsKey: events instead of the fences of the surfaces.
  bool disable_io_fences = false;
  /// kANEFEnableFWToFWSignal: signals from firmware to firmware.
  bool enable_fw_to_fw_signal = false;
  /// Of the output whose end is signalled.
  std::uint32_t signal_symbol = 0;
  /// Sends events with a model that is not from a package, too.
  bool try_in_memory = false;
};

// An evaluation with events: with a request of its own over the model's surfaces. It waits for its
// end like Model::evaluate(), within the same bound: an event that it waits for must be signalled
// before, or by another thread, or it ends in `timeout` and leaves the model broken. Errors beside
// Model::evaluate()'s: `package` for a model that is not from one, unless try_in_memory; `event`,
// `selector`, `map`.

/// Sets `signal` when it ended.
Error evaluate_with_signal(Model& model, const EventPoint& signal,
                           const SharedEventOptions& options = {});
/// Begins when `wait` has come.
Error evaluate_with_wait(Model& model, const EventPoint& wait,
                         const SharedEventOptions& options = {});
/// Both.
Error evaluate_between(Model& model, const EventPoint& wait, const EventPoint& signal,
                       const SharedEventOptions& options = {});

}  // namespace milgen::ane
