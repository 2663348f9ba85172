#include "ane/budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace milgen::ane {
namespace {

constexpr std::chrono::milliseconds kDefaultPause{1'000};
// ANEForge waits so long, since the compiler's service restarts (ane_runtime, 4.4).
constexpr std::chrono::milliseconds kLongestPause{15'000};
// 1 ms doubled so often is more than the longest pause.
constexpr int kMostDoublings = 14;

/// A number that is at least 0. What is not one counts as not set: ledger() shows what is in force.
std::int64_t environment_number(const char* variable, std::int64_t otherwise) {
  const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  if (text == nullptr) return otherwise;
  std::int64_t value = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  return error == std::errc() && stop == end && value >= 0 ? value : otherwise;
}

std::chrono::milliseconds bounded_pause(std::chrono::milliseconds pause) {
  return std::clamp(pause, std::chrono::milliseconds{0}, kLongestPause);
}

int bounded_limit(std::int64_t limit) {
  return static_cast<int>(std::clamp<std::int64_t>(limit, 0, std::numeric_limits<int>::max()));
}

Error exhausted(const CompileLedger& ledger) {
  Error::Detail detail;
  detail.kind = ErrorKind::budget;
  detail.message = fmt::format("this process has asked for {} compilations, and its limit is {}",
                               ledger.compiles, ledger.limit);
  detail.hint =
      "the engine's service stops answering after some hundred compilations of one process "
      "(RT-001): pass weights as inputs instead of compiling them in, use the cache of compiled "
      "programs, compile in another process, or raise MILGEN_ANE_COMPILE_LIMIT";
  return Error(std::move(detail));
}

}  // namespace

Budget::Budget() {
  ledger_.limit = bounded_limit(environment_number("MILGEN_ANE_COMPILE_LIMIT", ledger_.limit));
  pause_ = bounded_pause(std::chrono::milliseconds(std::min<std::int64_t>(
      environment_number("MILGEN_ANE_PAUSE_MS", kDefaultPause.count()), kLongestPause.count())));
}

Budget::Clock::time_point Budget::next_start() const {
  if (failures_in_a_row_ == 0) return Clock::time_point::min();
  const int doublings = std::min(failures_in_a_row_ - 1, kMostDoublings);
  return last_failure_ + bounded_pause(pause_ * (1 << doublings));
}

Error Budget::take(std::chrono::nanoseconds& waited) {
  waited = {};
  const Clock::time_point begin = Clock::now();
  std::unique_lock lock(mutex_);
  // Waiting lets others at the lock, so that all of this may be different after it.
  while (ledger_.compiles < ledger_.limit && Clock::now() < next_start()) {
    changed_.wait_until(lock, next_start());
    waited = Clock::now() - begin;
  }
  if (ledger_.compiles >= ledger_.limit) return exhausted(ledger_);
  ++ledger_.compiles;
  return {};
}

void Budget::ended(bool success) {
  const std::lock_guard lock(mutex_);
  if (success) {
    ++ledger_.successes;
    failures_in_a_row_ = 0;
  } else {
    ++ledger_.failures;
    ++failures_in_a_row_;
    last_failure_ = Clock::now();
  }
  changed_.notify_all();
}

void Budget::loaded_from_cache() {
  const std::lock_guard lock(mutex_);
  ++ledger_.cache_loads;
}

CompileLedger Budget::ledger() const {
  const std::lock_guard lock(mutex_);
  return ledger_;
}

void Budget::set_limit(int limit) {
  const std::lock_guard lock(mutex_);
  ledger_.limit = bounded_limit(limit);
  changed_.notify_all();
}

void Budget::set_pause(std::chrono::milliseconds pause) {
  const std::lock_guard lock(mutex_);
  pause_ = bounded_pause(pause);
  changed_.notify_all();
}

}  // namespace milgen::ane
