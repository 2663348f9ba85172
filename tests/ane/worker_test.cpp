#include "ane/worker.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

#include "ane/call_lock.h"
#include "support/counted_memory.h"

namespace {

using namespace std::chrono_literals;
using milgen::ane::bound_of;
using milgen::ane::CallLock;
using milgen::ane::kForever;
using milgen::ane::Worker;

void add_one(void* number) { ++*static_cast<int*>(number); }

/// A job that waits until it is let go.
struct Gate {
  std::binary_semaphore begun{0};
  std::binary_semaphore open{0};
  static void pass(void* argument) {
    auto* gate = static_cast<Gate*>(argument);
    gate->begun.release();
    gate->open.acquire();
  }
};

/// A job that notes its number.
struct Note {
  std::vector<int>* noted = nullptr;
  int number = 0;
  static void write(void* argument) {
    const auto* note = static_cast<Note*>(argument);
    note->noted->push_back(note->number);
  }
};

}  // namespace

TEST_CASE("a worker runs a job and says that it ended") {
  const std::shared_ptr<Worker> worker = Worker::start();
  REQUIRE(worker != nullptr);
  int number = 0;
  for (int i = 0; i < 1000; ++i) REQUIRE(worker->run({add_one, &number, nullptr}, 10s, nullptr));
  CHECK(number == 1000);
}

TEST_CASE("a worker that slept is woken") {
  const std::shared_ptr<Worker> worker = Worker::start();
  int number = 0;
  CHECK(worker->run({add_one, &number, nullptr}, 10s, nullptr));
  std::this_thread::sleep_for(5ms);
  CHECK(worker->run({add_one, &number, nullptr}, kForever, nullptr));
  CHECK(number == 2);
}

TEST_CASE("jobs run in the order in which they came, as many as the queue holds") {
  const std::shared_ptr<Worker> worker = Worker::start();
  Gate gate;
  CHECK(worker->post({Gate::pass, &gate, nullptr}) == 1);
  std::vector<int> noted;
  std::array<Note, Worker::kMostJobs> notes;
  Worker::Ticket last = 0;
  for (std::size_t i = 0; i + 1 < Worker::kMostJobs; ++i) {
    notes[i] = {&noted, static_cast<int>(i)};
    last = worker->post({Note::write, &notes[i], nullptr});
    REQUIRE(last == i + 2);
  }
  CHECK(worker->post({Note::write, &notes[0], nullptr}) == 0);
  CHECK_FALSE(worker->run({Note::write, &notes[0], nullptr}, 1s, nullptr));
  CHECK(worker->unfinished(last) == Worker::kMostJobs);
  CHECK_FALSE(worker->wait(last, 1ms));
  gate.open.release();
  REQUIRE(worker->wait(last, kForever));
  CHECK(worker->unfinished(last) == 0);
  REQUIRE(noted.size() == Worker::kMostJobs - 1);
  for (std::size_t i = 0; i < noted.size(); ++i) CHECK(noted[i] == static_cast<int>(i));
}

TEST_CASE("what belongs to a job that was given up lives until the job ends") {
  const std::shared_ptr<Worker> worker = Worker::start();
  auto gate = std::make_shared<Gate>();
  const std::weak_ptr<Gate> known = gate;
  CHECK_FALSE(worker->run({Gate::pass, gate.get(), nullptr}, 5ms, gate));
  Gate* inside = gate.get();
  gate.reset();
  CHECK_FALSE(known.expired());
  inside->open.release();
  int number = 0;
  REQUIRE(worker->run({add_one, &number, nullptr}, 10s, nullptr));
  CHECK(known.expired());
}

TEST_CASE("a job that ended cannot be given up") {
  const std::shared_ptr<Worker> worker = Worker::start();
  int number = 0;
  const Worker::Ticket ticket = worker->post({add_one, &number, nullptr});
  REQUIRE(worker->wait(ticket, kForever));
  const auto keep = std::make_shared<int>(1);
  CHECK_FALSE(worker->abandon(ticket, keep));
  CHECK(keep.use_count() == 1);
}

TEST_CASE("a worker goes without waiting for a job that is stuck") {
  auto gate = std::make_shared<Gate>();
  std::shared_ptr<Worker> worker = Worker::start();
  CHECK_FALSE(worker->run({Gate::pass, gate.get(), nullptr}, 1ms, gate));
  worker.reset();
  CHECK(gate.use_count() == 2);
  gate->open.release();
  while (gate.use_count() != 1) std::this_thread::sleep_for(1ms);
}

TEST_CASE("a worker's queue is emptied though the worker has gone") {
  Gate gate;
  std::binary_semaphore ended{0};
  std::shared_ptr<Worker> worker = Worker::start();
  worker->post({Gate::pass, &gate, nullptr});
  worker->post(
      {[](void* argument) { static_cast<std::binary_semaphore*>(argument)->release(); }, &ended});
  gate.begun.acquire();
  worker.reset();
  gate.open.release();
  CHECK(ended.try_acquire_for(10s));
}

TEST_CASE("what is told of a job's end may end the worker") {
  struct Owner {
    std::shared_ptr<Worker> worker = Worker::start();
    std::binary_semaphore gone{0};
    static void let_go(void* argument) {
      auto* owner = static_cast<Owner*>(argument);
      owner->worker.reset();
      owner->gone.release();
    }
  };
  Owner owner;
  const Worker::Job job{[](void*) {}, &owner, Owner::let_go};
  owner.worker->post(job);
  CHECK(owner.gone.try_acquire_for(10s));
}

TEST_CASE("a job's end is told after who waits for it may go on") {
  struct Told {
    Worker* worker = nullptr;
    Worker::Ticket ticket = 1;
    std::uint64_t unfinished = 99;
    std::binary_semaphore done{0};
    static void tell(void* argument) {
      auto* told = static_cast<Told*>(argument);
      told->unfinished = told->worker->unfinished(told->ticket);
      told->done.release();
    }
  };
  const std::shared_ptr<Worker> worker = Worker::start();
  Told told;
  told.worker = worker.get();
  worker->post({[](void*) {}, &told, Told::tell});
  told.done.acquire();
  CHECK(told.unfinished == 0);
}

TEST_CASE("many threads share a worker") {
  const std::shared_ptr<Worker> worker = Worker::start();
  constexpr int kThreads = 4;
  constexpr int kJobs = 500;
  int number = 0;  // jobs run one after another
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kJobs; ++i) worker->run({add_one, &number, nullptr}, kForever, nullptr);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(number == kThreads * kJobs);
}

TEST_CASE("running jobs takes no memory") {
  const std::shared_ptr<Worker> worker = Worker::start();
  int number = 0;
  const std::shared_ptr<void> keep = std::make_shared<int>(0);
  const auto cost = milgen::test::memory_cost_of([&] {
    for (int i = 0; i < 100; ++i) worker->run({add_one, &number, nullptr}, 1s, keep);
  });
  CHECK(number == 100);
  CHECK(cost.allocations == 0);
}

TEST_CASE("a bound of 0, or beyond a year, is none") {
  CHECK(bound_of(0ms) == kForever);
  CHECK(bound_of(std::chrono::milliseconds::max()) == kForever);
  CHECK(bound_of(std::chrono::hours(365 * 24)) == std::chrono::hours(365 * 24));
  CHECK(bound_of(30ms) == 30ms);
}

TEST_CASE("a call waits for the call before, and not for ever") {
  CallLock lock;
  CHECK(lock.acquire(kForever, false));
  CHECK_FALSE(lock.acquire(1ms, false));
  CHECK_FALSE(lock.acquire(1ms, true));
  std::thread other([&] {
    std::this_thread::sleep_for(2ms);
    lock.release();
  });
  CHECK(lock.acquire(kForever, false));
  other.join();
  lock.release();
}

TEST_CASE("a call waits for evaluations under way, unless it begins another") {
  CallLock lock;
  REQUIRE(lock.acquire(kForever, true));
  lock.begin_evaluation();
  lock.release();
  REQUIRE(lock.acquire(kForever, true));
  lock.begin_evaluation();
  lock.release();
  lock.end_evaluation();
  CHECK_FALSE(lock.acquire(1ms, false));
  std::thread other([&] {
    std::this_thread::sleep_for(2ms);
    lock.end_evaluation();
  });
  CHECK(lock.acquire(10s, false));
  other.join();
  lock.release();
}

TEST_CASE("calls of many threads exclude each other") {
  CallLock lock;
  int number = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        lock.acquire(kForever, false);
        ++number;
        lock.release();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(number == 2000);
}
