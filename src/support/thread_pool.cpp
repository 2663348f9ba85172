#include "support/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <system_error>

namespace milgen::detail {
namespace {

// state_: the workers in the job, then whether more may join, then the job's number. One word, so
// that joining a job and seeing that it is still open are one step: a worker that wakes late finds
// the job closed and never touches what the caller has moved on from.
constexpr std::uint32_t kOpen = 1u << 15;
constexpr std::uint32_t kWorkers = kOpen - 1;
constexpr std::uint32_t kJob = 1u << 16;

constexpr std::uint32_t job_number(std::uint32_t state) { return state / kJob; }

// More pieces than threads even out what they take; each costs an atomic addition.
constexpr std::size_t kPiecesPerThread = 4;

// Long enough for the next op of a program to come, short against a time slice.
constexpr std::chrono::microseconds kSpinTime{50};
constexpr int kSpinsPerLook = 64;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Waits until `ready(state)` and returns that state.
template <class Ready>
std::uint32_t wait_until(const std::atomic<std::uint32_t>& state, const Ready& ready) {
  const auto end = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < kSpinsPerLook; ++i) {
      const std::uint32_t now = state.load(std::memory_order_acquire);
      if (ready(now)) return now;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  std::uint32_t now = state.load(std::memory_order_acquire);
  while (!ready(now)) {
    state.wait(now, std::memory_order_acquire);
    now = state.load(std::memory_order_acquire);
  }
  return now;
}

std::size_t thread_count(int threads) {
  if (threads > 0) return std::min(static_cast<std::size_t>(threads), std::size_t{kWorkers});
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  const std::size_t count = thread_count(threads);
  workers_.reserve(count - 1);
  try {
    for (std::size_t slot = 1; slot < count; ++slot) {
      workers_.emplace_back([this, slot] { work(slot); });
    }
  } catch (const std::system_error&) {
    // The run-time library has no other way to say that there are no more threads.
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  state_.fetch_add(kJob, std::memory_order_release);
  state_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_pieces(std::size_t count, std::size_t grain, Call call) {
  if (count == 0) return;
  grain = std::max(grain, std::size_t{1});
  if (count <= grain || workers_.empty() || taken_.exchange(true, std::memory_order_acquire)) {
    call.function(call.context, {0, count}, 0);
    return;
  }
  const std::size_t grains = (count - 1) / grain + 1;
  const std::size_t pieces_wanted = (workers_.size() + 1) * kPiecesPerThread;
  const std::size_t piece = ((grains - 1) / pieces_wanted + 1) * grain;
  open({call, count, piece, (count - 1) / piece + 1});
  take_pieces(0);
  close();
  taken_.store(false, std::memory_order_release);
}

void ThreadPool::open(const Job& job) {
  job_ = job;
  next_.store(0, std::memory_order_relaxed);
  // There are no workers in a job here, so the sum touches only the number and the flag.
  state_.fetch_add(kJob + kOpen, std::memory_order_release);
  state_.notify_all();
}

void ThreadPool::close() {
  state_.fetch_and(~kOpen, std::memory_order_relaxed);
  wait_until(state_, [](std::uint32_t state) { return (state & kWorkers) == 0; });
}

void ThreadPool::take_pieces(std::size_t slot) {
  const Job job = job_;
  for (;;) {
    const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= job.pieces) return;
    const std::size_t begin = index * job.piece;
    job.call.function(job.call.context, {begin, begin + std::min(job.piece, job.count - begin)},
                      slot);
  }
}

void ThreadPool::work(std::size_t slot) {
  std::uint32_t seen = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    if (join(seen)) {
      take_pieces(slot);
      leave();
    }
  }
}

/// Waits for a job other than `seen`. False when it was closed before this worker came.
bool ThreadPool::join(std::uint32_t& seen) {
  std::uint32_t state = wait_until(state_, [&](std::uint32_t now) {
    // Job numbers repeat after 65536, stopping does not.
    return job_number(now) != seen || stop_.load(std::memory_order_relaxed);
  });
  seen = job_number(state);
  while ((state & kOpen) != 0 && job_number(state) == seen) {
    if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void ThreadPool::leave() {
  const std::uint32_t before = state_.fetch_sub(1, std::memory_order_release);
  if ((before & (kOpen | kWorkers)) == 1) state_.notify_all();
}

}  // namespace milgen::detail
