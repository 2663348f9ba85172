#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "ane/fake.h"
#include "ane/model_state.h"
#include "ane/programs.h"
#include "milgen/ane/request_pool.h"
#include "support/counted_memory.h"

namespace milgen::test {
namespace {

using namespace std::chrono_literals;
using ane::ErrorKind;

std::vector<float> ones() { return std::vector<float>(128, 1.0F); }

void expect(const ane::Error& error, ErrorKind kind, std::string_view message) {
  CHECK(error.kind() == kind);
  CHECK(error.detail().message == message);
}

/// Ends a call of the fake that hangs, and waits until what it held is gone.
void unhang(long live_before) {
  FakeScope::set("hang_once", "none");
  FakeScope::set("hang", "none");
  for (int i = 0; i < 2000 && FakeScope::live() != live_before; ++i) {
    std::this_thread::sleep_for(1ms);
  }
}

}  // namespace

TEST_CASE("a model is evaluated with a bound and without one") {
  FakeScope fake;
  for (const auto bound : {0ms, 30'000ms}) {
    ane::Model model = compiled(fake.engine(), kDouble, {.evaluate_timeout = bound});
    write(model, "x", ones());
    evaluate(model);
    CHECK(read(model, "y") == std::vector<float>(128, 2.0F));
    CHECK((model.state()->worker != nullptr) == (bound != 0ms));
  }
}

TEST_CASE("each route sends its own message") {
  struct Row {
    ane::EvaluateRoute route;
    std::string_view logged;
  };
  for (const Row& row :
       {Row{ane::EvaluateRoute::standard, "evaluateWithQoS:options:request:error:"},
        Row{ane::EvaluateRoute::client, "_ANEClient evaluateWithModel:options:request:qos:error:"},
        Row{ane::EvaluateRoute::direct, "doEvaluateDirectWithModel:options:request:qos:error:"},
        Row{ane::EvaluateRoute::real_time, "evaluateRealTimeWithModel:options:request:error:"}}) {
    FakeScope fake;
    ane::Model model = compiled(fake.engine(), kDouble, {.route = row.route});
    write(model, "x", ones());
    evaluate(model);
    CHECK(read(model, 0) == std::vector<float>(128, 2.0F));
    CHECK(FakeScope::logged(row.logged) == 1);
  }
}

TEST_CASE("a route that the system lacks is an error, and no other is taken") {
  FakeScope fake({{"hide", "_ANEClient.doEvaluateDirectWithModel:options:request:qos:error:"}});
  Diagnostics diagnostics;
  const auto model = ane::Model::compile(fake.engine(), kDouble, "test.mil",
                                         {.route = ane::EvaluateRoute::direct}, diagnostics);
  const ane::Error error =
      model ? ane::Model::compile(fake.engine(), kDouble, "test.mil",
                                  {.route = ane::EvaluateRoute::direct}, diagnostics)
                  ->evaluate()
            : model.error();
  CHECK(error.kind() == ErrorKind::selector);
  CHECK(error.detail().message.find(
            "lacks -[_ANEClient doEvaluateDirectWithModel:options:request:qos:error:]") !=
        std::string::npos);
  CHECK(FakeScope::logged("evaluateWith") == 0);
}

TEST_CASE("what the engine says of a failed evaluation is in the error, and the next one works") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble);
  write(model, "x", ones());
  FakeScope::set("fail_evaluate", "1");
  const ane::Error error = model.evaluate();
  expect(error, ErrorKind::evaluate, "model 'test.mil' cannot be evaluated");
  CHECK(error.detail().domain == "com.apple.appleneuralengine");
  CHECK(error.detail().operation == "-[_ANEInMemoryModel evaluateWithQoS:options:request:error:]");
  CHECK(error.detail().code != 0);
  CHECK(error.detail().description.find("Program Inference error") != std::string::npos);
  evaluate(model);
}

TEST_CASE("an evaluation that never comes back leaves the model broken, and nothing else") {
  FakeScope fake;
  const long live_before = FakeScope::live();
  fake.allow_live_objects();
  {
    ane::Model model = compiled(fake.engine(), kDouble, {.evaluate_timeout = 20ms});
    ane::Model other = compiled(fake.engine(), kDouble);
    FakeScope::set("hang_once", "evaluate");
    expect(model.evaluate(), ErrorKind::timeout,
           "the evaluation of model 'test.mil' has not ended within 20 ms");
    expect(model.evaluate(), ErrorKind::broken,
           "an earlier call of model 'test.mil' never came back");
    std::vector<float> values(128);
    CHECK(model.read_fp32("y", values).kind() == ErrorKind::broken);
    CHECK(model.write_fp32("x", values).kind() == ErrorKind::broken);
    CHECK(model.evaluate_async().error().kind() == ErrorKind::broken);
    CHECK_FALSE(model.close());
    CHECK(FakeScope::logged("unloadWithQoS") == 0);
  }
  unhang(live_before);
  CHECK(FakeScope::live() == live_before);
}

TEST_CASE("evaluations go on behind the caller's back, in their order") {
  FakeScope fake({{"latency_us", "200"}});
  ane::Model model = compiled(fake.engine(), kDouble);
  write(model, "x", ones());
  std::vector<int> told;  // one thread tells
  std::vector<ane::Evaluation> evaluations;
  for (int i = 0; i < 20; ++i) {
    auto evaluation = model.evaluate_async([&told, i](const ane::Error& error) {
      CHECK_FALSE(error);
      told.push_back(i);
    });
    REQUIRE_MESSAGE(evaluation, evaluation.error().text());
    evaluations.push_back(*evaluation);
  }
  // Reading waits for all of them.
  CHECK(read(model, "y") == std::vector<float>(128, 2.0F));
  for (const ane::Evaluation& evaluation : evaluations) {
    CHECK_FALSE(ane::Evaluation(evaluation).wait());
    CHECK(evaluation.done());
  }
  CHECK_FALSE(model.close());
  // Closing ends the thread that tells, unless it is telling.
  while (FakeScope::live("_ANEInMemoryModel") != 0) std::this_thread::sleep_for(1ms);
  for (int i = 0; i < 2000 && told.size() < 20; ++i) std::this_thread::sleep_for(1ms);
  REQUIRE(told.size() == 20);
  for (int i = 0; i < 20; ++i) CHECK(told[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("waiting for an evaluation is bounded, and can be done again") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble);
  write(model, "x", ones());
  FakeScope::set("hang", "evaluate");
  auto evaluation = model.evaluate_async();
  REQUIRE(evaluation);
  CHECK_FALSE(evaluation->done());
  expect(evaluation->wait(5ms), ErrorKind::timeout,
         "the evaluation of model 'test.mil' has not ended within 5 ms, and goes on");
  CHECK(evaluation->wait(0ms).kind() == ErrorKind::timeout);
  FakeScope::set("hang", "none");
  CHECK_FALSE(evaluation->wait());
  CHECK(evaluation->done());
  expect(ane::Evaluation().wait(), ErrorKind::closed, "there is no evaluation to wait for");
  CHECK(ane::Evaluation().wait(1ms).kind() == ErrorKind::closed);
  CHECK_FALSE(ane::Evaluation().done());
}

TEST_CASE("an evaluation behind the back that never ends leaves the model broken") {
  FakeScope fake;
  const long live_before = FakeScope::live();
  fake.allow_live_objects();
  ane::Evaluation behind;
  {
    ane::Model model = compiled(fake.engine(), kDouble, {.evaluate_timeout = 10ms});
    FakeScope::set("hang_once", "evaluate");
    auto evaluation = model.evaluate_async();
    REQUIRE(evaluation);
    auto next = model.evaluate_async();
    REQUIRE(next);
    behind = *next;
    expect(model.evaluate(), ErrorKind::busy,
           "model 'test.mil' is in use by another call or evaluation for more than 10 ms");
    expect(evaluation->wait(), ErrorKind::timeout,
           "the evaluation of model 'test.mil' has not ended within 10 ms");
    CHECK(model.evaluate().kind() == ErrorKind::broken);
  }
  FakeScope::set("hang_once", "none");
  FakeScope::set("hang", "none");
  // What was queued behind it is not run any more.
  CHECK(behind.wait(10s).kind() == ErrorKind::broken);
  behind = {};
  unhang(live_before);
  CHECK(FakeScope::live() == live_before);
  CHECK(FakeScope::logged("evaluateWithQoS") == 1);
}

TEST_CASE("no more evaluations are under way than the engine queues") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble);
  write(model, "x", ones());
  FakeScope::set("hang", "evaluate");
  ane::Evaluation last;
  for (int i = 0; i < 127; ++i) {
    auto evaluation = model.evaluate_async();
    REQUIRE(evaluation);
    last = *evaluation;
  }
  expect(model.evaluate_async().error(), ErrorKind::busy,
         "127 evaluations of model 'test.mil' are under way, the most that the engine queues");
  FakeScope::set("hang", "none");
  CHECK_FALSE(last.wait());
}

TEST_CASE("who is told of an evaluation's end may not call the model") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble);
  write(model, "x", ones());
  ane::Error inside;
  std::atomic<bool> told{false};
  auto evaluation = model.evaluate_async([&](const ane::Error&) {
    inside = model.evaluate();
    told = true;
  });
  REQUIRE(evaluation);
  CHECK_FALSE(evaluation->wait());
  while (!told) std::this_thread::sleep_for(1ms);
  expect(inside, ErrorKind::busy,
         "model 'test.mil' is called by what is told of the end of its evaluation");
}

TEST_CASE("who is told of an evaluation's end does not wait for the next one") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble, {.evaluate_timeout = 0ms});
  ane::RequestPool pool = *ane::RequestPool::create(model, {.depth = 1});
  ane::PooledRequest pooled = *pool.acquire();
  std::vector<ane::Error> inside;
  std::atomic<bool> told{false};
  ane::Evaluation next;
  FakeScope::set("hang", "evaluate");
  auto first = model.evaluate_async([&](const ane::Error&) {
    inside = {next.wait(), next.wait(1s), pooled.wait()};
    told = true;
  });
  REQUIRE(first);
  next = *model.evaluate_async();
  REQUIRE_FALSE(pooled.begin());
  FakeScope::set("hang", "none");
  while (!told) std::this_thread::sleep_for(1ms);
  for (const ane::Error& error : inside) {
    expect(error, ErrorKind::busy,
           "model 'test.mil' is called by what is told of the end of its evaluation");
  }
  CHECK_FALSE(next.wait());
  CHECK_FALSE(pooled.wait());
}

TEST_CASE("threads that evaluate one model take turns") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble);
  write(model, "x", ones());
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        if (model.evaluate()) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(FakeScope::logged("evaluateWithQoS") == 200);
}

TEST_CASE("a model that is none, or closed, is not evaluated") {
  FakeScope fake;
  ane::Model none;
  expect(none.evaluate(), ErrorKind::closed, "the model is none, or was moved from");
  CHECK(none.evaluate_async().error().kind() == ErrorKind::closed);
  ane::Model model = compiled(fake.engine(), kDouble);
  CHECK_FALSE(model.close());
  expect(model.evaluate(), ErrorKind::closed, "model 'test.mil' is closed");
  CHECK(model.evaluate_async().error().kind() == ErrorKind::closed);
}

TEST_CASE("an evaluation outlives the model that began it") {
  FakeScope fake({{"latency_us", "5000"}});
  ane::Evaluation evaluation;
  {
    ane::Model model = compiled(fake.engine(), kDouble);
    write(model, "x", ones());
    auto begun = model.evaluate_async();
    REQUIRE(begun);
    evaluation = *begun;
  }
  CHECK_FALSE(evaluation.wait());
  CHECK(evaluation.done());
}

TEST_CASE("an evaluation takes no memory of ours") {
  FakeScope fake({{"log", "0"}});
  for (const auto bound : {0ms, 30'000ms}) {
    ane::Model model = compiled(fake.engine(), kDouble, {.evaluate_timeout = bound});
    const std::vector<float> x = ones();
    std::vector<float> y(128);
    ane::ModelState& state = *model.state();
    const auto whole = [&] {
      for (int i = 0; i < 50; ++i) {
        REQUIRE_FALSE(model.write_fp32("x", x));
        REQUIRE_FALSE(model.evaluate());
        REQUIRE_FALSE(model.read_fp32("y", y));
      }
    };
    const auto engine_alone = [&] {
      for (int i = 0; i < 50; ++i) REQUIRE_FALSE(ane::evaluate_now(state, state.request));
    };
    whole();
    engine_alone();
    // The fake allocates in this process, too: it is taken off.
    const std::uint64_t engines = memory_cost_of(engine_alone).allocations;
    CHECK(memory_cost_of(whole).allocations <= engines);
  }
}

TEST_CASE("a child of the process that made a model may not evaluate it") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kDouble);
  write(model, "x", ones());
  evaluate(model);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const bool refused = model.evaluate().kind() == ErrorKind::closed &&
                         model.evaluate_async().error().kind() == ErrorKind::closed;
    model = {};
    _exit(refused ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  evaluate(model);
}

}  // namespace milgen::test
