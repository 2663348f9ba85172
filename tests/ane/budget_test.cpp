#include "ane/budget.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

using namespace milgen::ane;
using namespace std::chrono_literals;

namespace {

/// A variable of the environment, for as long as this lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { unsetenv(name_); }

 private:
  const char* name_;
};

/// What take() says; how long it waited is of no interest.
std::string take(Budget& budget) {
  std::chrono::nanoseconds waited{};
  return budget.take(waited).text();
}

/// How long take() waited.
std::chrono::nanoseconds wait_of(Budget& budget) {
  std::chrono::nanoseconds waited{-1};
  CHECK_FALSE(budget.take(waited));
  return waited;
}

}  // namespace

TEST_CASE("compilations are counted, and refused behind the limit") {
  Budget budget;
  budget.set_pause(0ms);
  budget.set_limit(3);
  for (const bool success : {true, false, true}) {
    CHECK(take(budget) == "");
    budget.ended(success);
  }
  budget.loaded_from_cache();
  CHECK(take(budget) ==
        "this process has asked for 3 compilations, and its limit is 3; the engine's service stops "
        "answering after some hundred compilations of one process (RT-001): pass weights as inputs "
        "instead of compiling them in, use the cache of compiled programs, compile in another "
        "process, or raise MILGEN_ANE_COMPILE_LIMIT");

  const CompileLedger ledger = budget.ledger();
  CHECK(ledger.compiles == 3);
  CHECK(ledger.successes == 2);
  CHECK(ledger.failures == 1);
  CHECK(ledger.cache_loads == 1);
  CHECK(ledger.limit == 3);

  budget.set_limit(4);
  CHECK(take(budget) == "");
}

TEST_CASE("a limit is at least 0") {
  Budget budget;
  budget.set_limit(-1);
  CHECK(budget.ledger().limit == 0);
  std::chrono::nanoseconds waited{};
  CHECK(budget.take(waited).kind() == ErrorKind::budget);
}

TEST_CASE("limit and pause come from the environment") {
  CHECK(Budget().ledger().limit == 100);
  {
    const Variable limit("MILGEN_ANE_COMPILE_LIMIT", "119");
    CHECK(Budget().ledger().limit == 119);
  }
  {
    const Variable limit("MILGEN_ANE_COMPILE_LIMIT", "9223372036854775807");
    CHECK(Budget().ledger().limit == 2147483647);
  }
  for (const char* text : {"", "many", "-1", "12 ", "99999999999999999999"}) {
    const Variable limit("MILGEN_ANE_COMPILE_LIMIT", text);
    CHECK(Budget().ledger().limit == 100);
  }

  const Variable pause("MILGEN_ANE_PAUSE_MS", "20");
  Budget budget;
  CHECK(take(budget) == "");
  budget.ended(false);
  const auto waited = wait_of(budget);
  CHECK(waited > 10ms);
  CHECK(waited < 900ms);
}

TEST_CASE("failures are paused after, longer with each, until a success") {
  Budget budget;
  budget.set_pause(20ms);
  CHECK(wait_of(budget) < 10ms);
  budget.ended(false);
  CHECK(wait_of(budget) > 10ms);
  budget.ended(false);
  CHECK(wait_of(budget) > 30ms);
  budget.ended(true);
  CHECK(wait_of(budget) < 10ms);
}

TEST_CASE("a pause that others wait out holds nobody up, and can be called off") {
  Budget budget;
  budget.set_pause(3'600'000ms);
  CHECK(take(budget) == "");
  for (int i = 0; i < 40; ++i) budget.ended(false);

  std::chrono::nanoseconds waited{};
  std::thread other([&] { CHECK_FALSE(budget.take(waited)); });
  // The pause is 15 s at most, and this is far below it.
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(20ms);
  CHECK(budget.ledger().compiles == 1);
  budget.set_pause(0ms);
  other.join();
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
  CHECK(waited > 5ms);
  CHECK(budget.ledger().compiles == 2);
}

TEST_CASE("a limit that is lowered meanwhile ends the wait") {
  Budget budget;
  budget.set_pause(15'000ms);
  CHECK(take(budget) == "");
  budget.ended(false);
  ErrorKind kind = ErrorKind::none;
  std::thread other([&] {
    std::chrono::nanoseconds waited{};
    kind = budget.take(waited).kind();
  });
  std::this_thread::sleep_for(20ms);
  budget.set_limit(1);
  other.join();
  CHECK(kind == ErrorKind::budget);
}
