// The compile budget of a process and the pause after failures (ane_runtime, 4.4 and 4.7).
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "milgen/ane/engine.h"
#include "milgen/ane/error.h"

namespace milgen::ane {

class Budget {
 public:
  using Clock = std::chrono::steady_clock;
  /// Limit and pause from the environment (MILGEN_ANE_COMPILE_LIMIT, MILGEN_ANE_PAUSE_MS); what is
  /// no number there is as if it were not set.
  Budget();

  /// Asks for one compilation: waits out the pause after a failure, then counts it. `waited` gets
  /// how long that took. `budget` when the limit is reached, with the ways out as its hint: weights
  /// as inputs, the cache, another process.
  Error take(std::chrono::nanoseconds& waited);
  /// How the compilation that take() counted ended.
  void ended(bool success);
  void loaded_from_cache();

  CompileLedger ledger() const;
  void set_limit(int limit);
  void set_pause(std::chrono::milliseconds pause);

 private:
  /// Before which no compilation may begin. The lock is held.
  Clock::time_point next_start() const;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  ///< what next_start() and the limit depend on
  CompileLedger ledger_;
  std::chrono::milliseconds pause_;
  int failures_in_a_row_ = 0;
  Clock::time_point last_failure_{};
};

}  // namespace milgen::ane
