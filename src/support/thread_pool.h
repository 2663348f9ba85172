// Threads that share loops.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace milgen::detail {

/// A fixed number of threads, one of which is whoever calls run(). Between runs the others spin for
/// some tens of microseconds, so that a row of short runs does not pay for waking them, and sleep
/// then.
///
/// run() may be called by several threads at a time and from within a run. One run has the threads;
/// one that finds them taken is done by its caller alone. Work must not throw.
class ThreadPool {
 public:
  /// `threads` counts the caller: 1 starts none, less than 1 means as many as the machine has.
  /// Where the system refuses more threads, the pool makes do with those it got.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls `work(begin, end)` or `work(begin, end, slot)` for pieces that cover [0, count) once,
  /// each of a multiple of `grain` elements but the last, and returns when all are done. `slot` is
  /// in [0, threads()) and no two pieces that run at the same time have the same one: it chooses
  /// the scratch memory of a thread.
  template <class Work>
  void run(std::size_t count, std::size_t grain, const Work& work) {
    run_pieces(
        count, grain,
        {&work, [](const void* context, Range range, std::size_t slot) {
           const auto& call = *static_cast<const Work*>(context);
           if constexpr (std::is_invocable_v<const Work&, std::size_t, std::size_t, std::size_t>) {
             call(range.begin, range.end, slot);
           } else {
             call(range.begin, range.end);
           }
         }});
  }

 private:
  struct Range {
    std::size_t begin;
    std::size_t end;
  };
  struct Call {
    const void* context;
    void (*function)(const void* context, Range range, std::size_t slot);
  };
  struct Job {
    Call call;
    std::size_t count;
    std::size_t piece;  // elements of each but the last
    std::size_t pieces;
  };

  void run_pieces(std::size_t count, std::size_t grain, Call call);
  void open(const Job& job);
  void close();
  void take_pieces(std::size_t slot);
  void work(std::size_t slot);
  bool join(std::uint32_t& seen);
  void leave();

  std::vector<std::thread> workers_;
  std::atomic<bool> taken_ = false;
  std::atomic<bool> stop_ = false;
  Job job_ = {};
  // The number of the job, whether it is open to workers, and how many are in it (see the .cpp).
  // A cache line of its own: workers that wait read it all the time.
  alignas(64) std::atomic<std::uint32_t> state_ = 0;
  alignas(64) std::atomic<std::size_t> next_ = 0;
};

}  // namespace milgen::detail
