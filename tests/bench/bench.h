// Side-by-side timing: the contestants of a row take turns in one run, so that what the machine
// does beside them falls on all alike. The figure of a row is the ratio of medians.
#pragma once

#include <dlfcn.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace milgen::bench {

/// `--quick`: a smoke run, whose figures mean nothing.
inline bool is_quick(int argc, char** argv) {
  return argc > 1 && std::strcmp(argv[1], "--quick") == 0;
}

template <class Work>
double seconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// What the processor spent on this process, or what the clock shows.
inline double seconds_now(bool of_processor) {
  timespec now{};
  clock_gettime(of_processor ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Threads of the CBLAS library, which milgen sets to one: the contestant gets as many as we have.
inline void give_blas_threads(int threads) {
  void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) return;
  const auto set = reinterpret_cast<void (*)(int)>(dlsym(library, "openblas_set_num_threads"));
  if (set != nullptr) set(threads);
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Median seconds of each of two works that take turns, `rounds` times, `repeats` runs a turn.
template <class A, class B>
std::pair<double, double> compare(int rounds, int repeats, const A& a, const B& b) {
  std::vector<double> times_a;
  std::vector<double> times_b;
  for (int round = 0; round < rounds; ++round) {
    times_a.push_back(seconds([&] {
                        for (int i = 0; i < repeats; ++i) a();
                      }) /
                      repeats);
    times_b.push_back(seconds([&] {
                        for (int i = 0; i < repeats; ++i) b();
                      }) /
                      repeats);
  }
  return {median(times_a), median(times_b)};
}

/// Any number of contestants that take turns. Times are the processor's for one thread and the
/// clock's for more.
class Race {
 public:
  Race(int rounds, int threads) : rounds_(rounds), threads_(threads) {}

  /// A work that is timed here, behind runs that are not. `around(true)` is called before its
  /// turn and `around(false)` behind it.
  std::size_t add(std::function<void()> work, std::function<void(bool)> around = {}) {
    return add_timed([this, work = std::move(work), around = std::move(around)] {
      if (around) around(true);
      warm_up(work);
      const double start = seconds_now(threads_ == 1);
      work();
      const double time = seconds_now(threads_ == 1) - start;
      if (around) around(false);
      return time;
    });
  }
  /// One that says how long it took.
  std::size_t add_timed(std::function<double()> work) {
    works_.push_back(std::move(work));
    times_.emplace_back();
    return works_.size() - 1;
  }
  /// Between turns it is waited until the threads of the one before, which spin for what may come,
  /// have gone to sleep.
  void run(std::chrono::milliseconds pause = std::chrono::milliseconds(0)) {
    for (int round = 0; round < rounds_; ++round) {
      for (std::size_t i = 0; i < works_.size(); ++i) {
        if (pause.count() != 0) std::this_thread::sleep_for(pause);
        times_[i].push_back(works_[i]());
      }
    }
  }
  double least(std::size_t i) const {
    return *std::min_element(times_[i].begin(), times_[i].end());
  }
  double median(std::size_t i) const { return bench::median(times_[i]); }

 private:
  /// At least one run; with threads as many as the system needs to spread them over processors.
  void warm_up(const std::function<void()>& work) const {
    constexpr double kSpreadSeconds = 0.15;
    const double begin = seconds_now(false);
    do {
      work();
    } while (threads_ > 1 && rounds_ > 1 && seconds_now(false) - begin < kSpreadSeconds);
  }

  int rounds_;
  int threads_;
  std::vector<std::function<double()>> works_;
  std::vector<std::vector<double>> times_;
};

/// Keeps a result from being optimised away.
inline void keep(const void* value) { __asm__ volatile("" : : "r"(value) : "memory"); }

}  // namespace milgen::bench
