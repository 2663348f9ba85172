// A thread for calls that may never come back. A wedged driver does not return (oMLX, ane_runtime
// 4.6): the caller goes on after its bound, and the thread, with what it uses, is given up.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "ane/bound.h"

namespace milgen::ane {

/// Runs jobs one after another, in the order in which they came. Every function may be called from
/// every thread; run() and wait() not from a job, which would wait for itself. Nothing but start()
/// allocates.
class Worker {
 public:
  /// What is to be called; the argument stays the caller's.
  struct Job {
    void (*run)(void* argument) = nullptr;
    void* argument = nullptr;
    /// Called when run() ended and whoever waits for it may go on; may be null.
    void (*ended)(void* argument) = nullptr;
  };
  /// Says when a job ended: the how manieth it was. 0 is no job.
  using Ticket = std::uint64_t;
  /// As many jobs as the engine queues (ane_runtime, 4.6).
  static constexpr std::size_t kMostJobs = 127;

  /// Starts the thread. Null when the system has none left.
  static std::shared_ptr<Worker> start();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  /// Waits for the thread's end when it has nothing to do. One that has ends when its queue is
  /// empty, by itself: nobody waits for a driver that may be wedged.
  ~Worker();

  /// Puts a job into the queue; 0 when kMostJobs have not ended.
  Ticket post(const Job& job);
  /// Waits for a job's end, at most so long (kForever: no bound); false when it did not end. Spins
  /// for some microseconds before it sleeps, as the thread does between jobs, so that short
  /// evaluations do not pay for waking threads.
  bool wait(Ticket ticket, std::chrono::nanoseconds at_most);
  /// How many jobs have not ended of those up to this one: 0 when it has.
  std::uint64_t unfinished(Ticket ticket) const;
  /// Gives up waiting for a job: `keep`, which owns all that the job uses, is held until it has
  /// ended, which may be for ever. False when it has ended already.
  bool abandon(Ticket ticket, const std::shared_ptr<void>& keep);

  /// post(), wait() and, when it did not end, abandon(). False: it has not ended.
  bool run(const Job& job, std::chrono::nanoseconds at_most, const std::shared_ptr<void>& keep);

 private:
  struct State;
  explicit Worker(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace milgen::ane
