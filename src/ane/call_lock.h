// What keeps the calls of one model apart, across threads and across evaluations that go on after
// the call that began them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace milgen::ane {

/// Held by one call at a time; beside it evaluations may be under way. Not a mutex, since an
/// evaluation ends on another thread than the one that began it. Any thread may call anything;
/// nothing allocates.
class CallLock {
 public:
  /// Waits for the call before, and for all evaluations under way unless `beside_evaluations`.
  /// False when they did not end in time (kForever: no bound).
  bool acquire(std::chrono::nanoseconds at_most, bool beside_evaluations);
  void release();

  /// By the call that has the lock: an evaluation that goes on after it.
  void begin_evaluation();
  void end_evaluation();

 private:
  std::mutex mutex_;
  std::condition_variable freed_;
  std::size_t waiting_ = 0;
  std::size_t evaluations_ = 0;
  bool held_ = false;
};

}  // namespace milgen::ane
