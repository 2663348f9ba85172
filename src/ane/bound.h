// How long something is waited for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace milgen::ane {

inline constexpr std::chrono::nanoseconds kForever = std::chrono::nanoseconds::max();

inline constexpr std::chrono::hours kYear{365 * 24};

/// A bound as ModelOptions says it: 0 is none, and what is beyond a year might as well be, since
/// nanoseconds cannot be added to the present time for ever.
constexpr std::chrono::nanoseconds bound_of(std::chrono::milliseconds option) {
  return option.count() == 0 || option > kYear ? kForever : option;
}

/// Waits until `has_come`, at most so long (kForever: no bound); whether it has.
template <class HasCome>
bool wait_bounded(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
                  std::chrono::nanoseconds at_most, const HasCome& has_come) {
  if (at_most != kForever) return changed.wait_for(lock, at_most, has_come);
  changed.wait(lock, has_come);
  return true;
}

}  // namespace milgen::ane
