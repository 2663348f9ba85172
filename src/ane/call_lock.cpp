#include "ane/call_lock.h"

#include "ane/bound.h"

namespace milgen::ane {

bool CallLock::acquire(std::chrono::nanoseconds at_most, bool beside_evaluations) {
  const auto is_free = [&] { return !held_ && (beside_evaluations || evaluations_ == 0); };
  std::unique_lock<std::mutex> lock(mutex_);
  if (!is_free()) {
    ++waiting_;
    const bool came = wait_bounded(freed_, lock, at_most, is_free);
    --waiting_;
    if (!came) return false;
  }
  held_ = true;
  return true;
}

void CallLock::release() {
  // Told under the mutex: who waits may destroy this as soon as it has been let in.
  const std::lock_guard<std::mutex> lock(mutex_);
  held_ = false;
  if (waiting_ != 0) freed_.notify_all();
}

void CallLock::begin_evaluation() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++evaluations_;
}

void CallLock::end_evaluation() {
  const std::lock_guard<std::mutex> lock(mutex_);
  --evaluations_;
  if (waiting_ != 0) freed_.notify_all();
}

}  // namespace milgen::ane
