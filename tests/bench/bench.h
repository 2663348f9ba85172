// Side-by-side timing: the contestants of a row take turns in one run, so that what the machine
// does beside them falls on all alike. The figure of a row is the ratio of medians.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
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

/// Keeps a result from being optimised away.
inline void keep(const void* value) { __asm__ volatile("" : : "r"(value) : "memory"); }

}  // namespace milgen::bench
