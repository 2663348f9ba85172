// Random lives of several programs with random faults between their steps: whatever happens, every
// call ends, nothing is objected to, and nothing stays behind.
#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "milgen/ane/model.h"
#include "milgen/ane/request_pool.h"
#include "milgen/ane/state_handle.h"

namespace milgen::test {
namespace {

using namespace std::chrono_literals;
using ane::ErrorKind;

constexpr std::size_t kElements = 128;  // of kDouble's x and y
constexpr int kStepsPerLife = 40;

/// Waits for what a thread that was given up still has to do.
bool soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 4000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

struct Program {
  ane::Model model;
  std::optional<ane::RequestPool> pool = {};
  std::optional<ane::PooledRequest> request = {};
  std::optional<ane::StateHandle> states = {};
  std::vector<ane::Evaluation> evaluations = {};
  /// What all of y must be, where that is known.
  std::optional<float> written = {};
  std::optional<float> expected = {};

  void forget() { written = expected = std::nullopt; }
};

class RandomLife {
 public:
  RandomLife(std::uint32_t seed, bool hangs) : random_(seed), hangs_(hangs) {}

  void run(const ane::Engine& engine, const std::string& cache) {
    engine_ = engine;
    cache_ = cache;
    for (int i = 0; i < kStepsPerLife; ++i) step();
  }

 private:
  std::uint32_t below(std::uint32_t count) { return static_cast<std::uint32_t>(random_() % count); }
  bool one_in(std::uint32_t count) { return below(count) == 0; }
  Program& any() { return programs_[below(static_cast<std::uint32_t>(programs_.size()))]; }

  void step() {
    if (one_in(5)) set_fault();
    Program& program = any();
    switch (below(16)) {
      case 0:
      case 1:
        return make(program);
      case 2:
      case 3:
        return write(program);
      case 4:
      case 5:
        return evaluate(program);
      case 6:
      case 7:
        return read(program);
      case 8:
        return begin(program);
      case 9:
        return wait(program);
      case 10:
        return share(program, any());
      case 11:
        return copy(program, any());
      case 12:
        return replace_surface(program);
      case 13:
        return use_pool(program);
      case 14:
        return use_states(program);
      default:
        return end(program);
    }
  }

  void set_fault() {
    static constexpr std::array kKeys = {"fail_compile", "fail_load", "fail_evaluate", "fail_map"};
    static constexpr std::array kCalls = {"compile", "load", "evaluate"};
    if (hangs_ && one_in(6)) {
      FakeScope::set("hang_once", kCalls[below(kCalls.size())]);
      return;
    }
    FakeScope::set(kKeys[below(kKeys.size())], std::to_string(below(3)));
  }

  void make(Program& program) {
    ane::ModelOptions options;
    options.load_pause = 0ms;
    if (hangs_) options.compile_timeout = options.load_timeout = options.evaluate_timeout = 20ms;
    // Without a bound the caller's own thread makes the calls.
    if (!hangs_ && one_in(2)) options.compile_timeout = options.evaluate_timeout = 0ms;
    if (one_in(2)) options.cache = {true, cache_};
    if (one_in(3)) options.perf_stats_mask = 1;
    Diagnostics diagnostics;
    auto made = ane::Model::compile(engine_, kDouble, "test.mil", options, diagnostics);
    if (!made) {
      known(made.error());
      return;
    }
    // What the one before had goes after it, in the order of the members.
    program = Program{.model = *std::move(made)};
  }

  void write(Program& program) {
    const auto value = static_cast<float>(below(100));
    program.written.reset();
    if (known(program.model.write_fp32("x", std::vector<float>(kElements, value)))) return;
    program.written = value;
  }

  void evaluate(Program& program) {
    program.expected.reset();
    if (known(program.model.evaluate()) || !program.written) return;
    program.expected = 2 * *program.written;
  }

  void read(Program& program) {
    std::vector<float> values(kElements);
    if (known(program.model.read_fp32("y", values)) || !program.expected) return;
    CHECK(values == std::vector<float>(kElements, *program.expected));
  }

  void begin(Program& program) {
    program.expected.reset();
    auto evaluation = program.model.evaluate_async();
    if (known(evaluation.error())) return;
    program.evaluations.push_back(*evaluation);
  }

  void wait(Program& program) {
    for (ane::Evaluation& evaluation : program.evaluations) known(evaluation.wait());
    program.evaluations.clear();
  }

  void share(Program& source, Program& target) {
    known(ane::share_surface(source.model, "y", target.model, "x"));
    // From now on each may write what the other reads, until both are made anew.
    source.model = {};
    source.forget();
    target.forget();
  }

  void copy(Program& source, Program& target) {
    target.written.reset();
    if (known(ane::copy_io(source.model, "y", target.model, "x"))) return;
    // Doubled once more it still has to be a number of fp16.
    if (source.expected && *source.expected < 10'000) target.written = source.expected;
  }

  void replace_surface(Program& program) {
    auto surface = ane::Surface::create(engine_, 16384);
    if (known(surface.error())) return;
    program.forget();
    known(one_in(2) ? program.model.set_input_surface("x", *surface)
                    : program.model.set_output_surface("y", *surface));
  }

  void use_pool(Program& program) {
    if (!program.pool || one_in(3)) {
      program.request.reset();
      auto pool =
          ane::RequestPool::create(program.model, {.depth = 1 + static_cast<int>(below(3))});
      if (known(pool.error())) return;
      program.pool = *pool;
    }
    auto request = program.pool->acquire(0ms);
    if (known(request.error())) return;
    known(request->write_fp32("x", std::vector<float>(kElements, 1.0F)));
    known(request->begin());
    if (one_in(2)) known(request->wait());
    program.request = *std::move(request);
  }

  void use_states(Program& program) {
    if (!program.states || one_in(3)) {
      const std::vector<ane::StatePair> pairs = {{"x", "y"}};
      auto states = ane::StateHandle::create(program.model, pairs, 8);
      if (known(states.error())) return;
      program.states = *states;
    }
    if (!known(program.states->evaluate())) known(program.states->advance(1));
    if (one_in(2)) known(program.states->reset());
  }

  void end(Program& program) {
    switch (below(4)) {
      case 0:
        known(program.model.close());
        break;
      case 1:
        program.model = {};
        break;
      case 2:
        any().model = std::move(program.model);
        break;
      default:
        program = {};
        return;
    }
    for (Program& one : programs_) one.forget();
  }

  /// Whether there is an error. One of those that a fault explains, and it says something.
  bool known(const ane::Error& error) {
    if (!error) return false;
    CHECK(error.text() != "");
    switch (error.kind()) {
      case ErrorKind::closed:
      case ErrorKind::compile:
      case ErrorKind::load:
      case ErrorKind::map:
      case ErrorKind::evaluate:
      case ErrorKind::busy:
      case ErrorKind::argument:  // a place of states that is not there any more
        break;
      default:
        CHECK_MESSAGE(hangs_, error.text());
        CHECK_MESSAGE((error.kind() == ErrorKind::timeout || error.kind() == ErrorKind::broken ||
                       error.kind() == ErrorKind::cache),
                      error.text());
    }
    return true;
  }

  std::mt19937 random_;
  bool hangs_;
  ane::Engine engine_;
  std::string cache_;
  std::array<Program, 3> programs_;
};

/// How many lives there are: more are asked for by MILGEN_RANDOM_LIVES.
std::uint32_t lives(std::uint32_t usual) {
  const char* wanted = std::getenv("MILGEN_RANDOM_LIVES");
  return wanted == nullptr ? usual : static_cast<std::uint32_t>(std::atoi(wanted));
}

}  // namespace

TEST_CASE("random lives with random faults leave nothing") {
  for (std::uint32_t seed = 0; seed < lives(200); ++seed) {
    CAPTURE(seed);
    TemporaryFolder cache;
    CleanTemporary temporary;
    FakeScope fake({{"budget", "1000"}});
    ane::Engine engine = fake.engine();
    engine.set_compile_limit(1000);
    RandomLife(seed, false).run(engine, cache.file("cache"));
  }
}

TEST_CASE("random lives in which the engine hangs end, and leave nothing when it comes back") {
  for (std::uint32_t seed = 0; seed < lives(40); ++seed) {
    CAPTURE(seed);
    TemporaryFolder cache;
    CleanTemporary temporary;
    FakeScope fake({{"budget", "1000"}});
    ane::Engine engine = fake.engine();
    engine.set_compile_limit(1000);
    const long live_before = FakeScope::live();
    const auto begin = std::chrono::steady_clock::now();
    RandomLife(1000 + seed, true).run(engine, cache.file("cache"));
    CHECK(std::chrono::steady_clock::now() - begin < 60s);
    FakeScope::set("hang_once", "none");
    FakeScope::set("hang", "none");
    CHECK(soon([&] { return FakeScope::live() == live_before; }));
    CHECK(soon([&] { return temporary.entries() == 0; }));
  }
}

}  // namespace milgen::test
