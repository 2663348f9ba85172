#include "support/thread_pool.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <ctime>
#include <limits>
#include <thread>
#include <vector>

namespace milgen::detail {
namespace {

struct Piece {
  std::size_t begin;
  std::size_t end;
};

/// The pieces of one run, sorted.
std::vector<Piece> pieces_of(ThreadPool& pool, std::size_t count, std::size_t grain) {
  // Room for every piece that there may be, so that no lock hides a race.
  std::vector<Piece> pieces(count + 1);
  std::atomic<std::size_t> used = 0;
  pool.run(count, grain, [&](std::size_t begin, std::size_t end) {
    pieces[used++] = {begin, end};
  });
  pieces.resize(used);
  std::sort(pieces.begin(), pieces.end(), [](Piece a, Piece b) { return a.begin < b.begin; });
  return pieces;
}

TEST_CASE("pieces cover the range once, in multiples of the grain") {
  for (const int threads : {1, 2, 4, 7}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const std::size_t count : {0u, 1u, 2u, 7u, 63u, 64u, 65u, 1000u}) {
      for (const std::size_t grain : {0u, 1u, 3u, 16u, 64u, 5000u}) {
        CAPTURE(threads);
        CAPTURE(count);
        CAPTURE(grain);
        std::size_t next = 0;
        for (const Piece piece : pieces_of(pool, count, grain)) {
          REQUIRE(piece.begin == next);
          REQUIRE(piece.end > piece.begin);
          next = piece.end;
          if (grain > 0 && next != count) REQUIRE((piece.end - piece.begin) % grain == 0);
        }
        CHECK(next == count);
      }
    }
  }
}

TEST_CASE("counts and grains near the largest do not wrap around") {
  constexpr std::size_t kMax = std::numeric_limits<std::size_t>::max();
  ThreadPool pool(3);
  for (const std::size_t grain : {kMax / 2 + 1, kMax - 1, kMax}) {
    std::atomic<std::size_t> covered = 0;
    pool.run(kMax, grain, [&](std::size_t begin, std::size_t end) { covered += end - begin; });
    CHECK(covered == kMax);
  }
}

TEST_CASE("less than one thread means those of the machine") {
  const auto machine = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  CHECK(ThreadPool(0).threads() == machine);
  CHECK(ThreadPool(-3).threads() == machine);
}

TEST_CASE("every run sees what was written before it and is seen after it") {
  ThreadPool pool(4);
  std::vector<int> values(1000, 0);
  for (int round = 1; round <= 2000; ++round) {
    pool.run(values.size(), 10, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) values[i] += round;
    });
    REQUIRE(std::all_of(values.begin(), values.end(),
                        [&](int value) { return value == round * (round + 1) / 2; }));
  }
}

TEST_CASE("a slot is used by one thread at a time") {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> users(4);
  std::atomic<bool> shared = false;
  for (int round = 0; round < 500; ++round) {
    pool.run(64, 1, [&](std::size_t, std::size_t, std::size_t slot) {
      if (slot >= users.size() || users[slot].fetch_add(1) != 0) shared = true;
      std::this_thread::yield();
      users[slot].fetch_sub(1);
    });
  }
  CHECK(!shared);
}

TEST_CASE("runs inside of runs and runs of several threads are complete") {
  ThreadPool pool(3);
  std::atomic<std::size_t> sum = 0;
  const auto nested = [&] {
    for (int round = 0; round < 50; ++round) {
      pool.run(20, 1, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) {
          pool.run(10, 2, [&](std::size_t from, std::size_t to) { sum += to - from; });
        }
      });
    }
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) callers.emplace_back(nested);
  for (std::thread& caller : callers) caller.join();
  CHECK(sum == 4u * 50u * 20u * 10u);
}

TEST_CASE("more than the 65536 runs after which job numbers repeat") {
  ThreadPool pool(2);
  std::atomic<std::size_t> covered = 0;
  for (int round = 0; round < 70'000; ++round) {
    pool.run(2, 1, [&](std::size_t begin, std::size_t end) {
      covered.fetch_add(end - begin, std::memory_order_relaxed);
    });
  }
  CHECK(covered == 140'000);
}

TEST_CASE("an idle pool takes no processor time") {
  ThreadPool pool(4);
  pool.run(100, 1, [](std::size_t, std::size_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double milliseconds =
      1e3 * static_cast<double>(std::clock() - before) / static_cast<double>(CLOCKS_PER_SEC);
  CHECK(milliseconds < 20.0);
}

TEST_CASE("pools that come and go leave no thread behind") {
  for (int round = 0; round < 200; ++round) {
    ThreadPool pool(4);
    if (round % 2 == 0) pool.run(8, 1, [](std::size_t, std::size_t) {});
  }
}

}  // namespace
}  // namespace milgen::detail
