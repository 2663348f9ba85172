// What an Engine holds: the platform, the classes, the selectors, the compile budget.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "ane/budget.h"
#include "ane/messages.h"
#include "ane/platform.h"
#include "milgen/ane/engine.h"

namespace milgen::ane {

struct EngineState {
  std::shared_ptr<const Platform> platform;
  std::array<Id, kClassCount> classes{};  ///< nil where the system lacks one
  std::array<Sel, kMessageCount> selectors{};
  std::array<bool, kMessageCount> present{};  ///< the class has the method
  Budget budget;

  Id class_of(RuntimeClass which) const { return classes[static_cast<std::size_t>(which)]; }
  Sel sel(Message message) const { return selectors[static_cast<std::size_t>(message)]; }
  /// Whether the class that the message belongs to has it.
  bool has(Message message) const { return present[static_cast<std::size_t>(message)]; }
  /// Sends `message` to `receiver`, or to its class when the receiver is null and it is a class
  /// method.
  template <class R, class... Args>
  auto send(Id receiver, Message message, Args... arguments) const {
    return platform->send<R>(receiver, sel(message), arguments...);
  }
  template <class R, class... Args>
  auto send_class(Message message, Args... arguments) const {
    return platform->send<R>(class_of(message_row(message).owner), sel(message), arguments...);
  }
  /// `closed` in a child of the process that opened the engine.
  Error check_process() const;
};

/// The next Engine::open() looks at the runtime anew, with a ledger at 0; engines that are open
/// stay so. For tests that hide parts of a runtime.
void forget_engines();

/// `selector`: what is missing, and what it was wanted for.
Error missing(const EngineState& engine, Message message, const char* purpose);

}  // namespace milgen::ane
