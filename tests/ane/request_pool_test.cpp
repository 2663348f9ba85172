#include "milgen/ane/request_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "support/counted_memory.h"

namespace milgen::test {
namespace {

using namespace std::chrono_literals;
using ane::ErrorKind;

/// y = x + w.
constexpr std::string_view kSum = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [1, 4, 1, 8]> x, tensor<fp16, [1, 4, 1, 8]> w) {
            tensor<fp16, [1, 4, 1, 8]> y = add(x = x, y = w)[name = string("y")];
        } -> (y);
})";

ane::RequestPool pool_of(ane::Model& model, const ane::RequestPoolOptions& options) {
  auto pool = ane::RequestPool::create(model, options);
  REQUIRE_MESSAGE(pool, pool.error().text());
  return *pool;
}

ane::PooledRequest take(ane::RequestPool& pool) {
  auto request = pool.acquire();
  REQUIRE_MESSAGE(request, request.error().text());
  return *std::move(request);
}

std::vector<float> all(float value) { return std::vector<float>(32, value); }

void expect(const ane::Error& error, ErrorKind kind, std::string_view message) {
  CHECK(error.kind() == kind);
  CHECK(error.detail().message == message);
}

}  // namespace

TEST_CASE("requests of a pool run behind each other, with surfaces of their own") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kSum);
  write(model, "w", all(100));
  ane::RequestPool pool = pool_of(model, {.depth = 3, .shared_inputs = {"w"}});
  CHECK(pool.depth() == 3);
  std::vector<ane::PooledRequest> requests;
  for (int i = 0; i < 3; ++i) requests.push_back(take(pool));
  for (int round = 0; round < 4; ++round) {
    for (ane::PooledRequest& request : requests) {
      const float x = static_cast<float>(10 * round) + static_cast<float>(request.slot());
      REQUIRE_FALSE(request.write_fp32("x", all(x)));
      REQUIRE_FALSE(request.begin());
    }
    for (ane::PooledRequest& request : requests) {
      REQUIRE_FALSE(request.wait());
      CHECK(request.done());
      std::vector<float> y(32);
      REQUIRE_FALSE(request.read_fp32("y", y));
      CHECK(y == all(100 + static_cast<float>(10 * round) + static_cast<float>(request.slot())));
    }
  }
  // The model's own request is untouched, and the shared input is the model's.
  write(model, "w", all(7));
  write(model, "x", all(1));
  evaluate(model);
  CHECK(read(model, "y") == all(8));
  REQUIRE_FALSE(requests[0].evaluate());
  std::vector<std::uint16_t> y(32);
  REQUIRE_FALSE(requests[0].read_fp16("y", y));
  CHECK(y == halves(all(37)));
  CHECK(requests[0].input_surface("w")->ref() == model.input_surface("w")->ref());
  CHECK(requests[0].input_surface("x")->ref() != model.input_surface("x")->ref());
  CHECK(requests[0].output_surface(0)->ref() != model.output_surface(0)->ref());
}

TEST_CASE("bytes and halves go into pooled requests") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kSum);
  ane::RequestPool pool = pool_of(model, {.depth = 1});
  ane::PooledRequest request = take(pool);
  const std::vector<std::uint16_t> two = halves(all(2));
  REQUIRE_FALSE(request.write_fp16("x", two));
  REQUIRE_FALSE(request.write_packed(1, std::as_bytes(std::span(two))));
  REQUIRE_FALSE(request.evaluate());
  std::vector<std::uint16_t> y(32);
  REQUIRE_FALSE(request.read_packed(0, std::as_writable_bytes(std::span(y))));
  CHECK(y == halves(all(4)));
}

TEST_CASE("what a pool refuses") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kSum);
  expect(ane::RequestPool::create(model, {.depth = 0}).error(), ErrorKind::argument,
         "a pool has 1 to 127 requests, not 0");
  expect(ane::RequestPool::create(model, {.depth = 128}).error(), ErrorKind::argument,
         "a pool has 1 to 127 requests, not 128");
  expect(ane::RequestPool::create(model, {.depth = 1, .shared_inputs = {"v"}}).error(),
         ErrorKind::argument, "there is no input 'v', only 'x', 'w'");
  ane::Model none;
  CHECK(ane::RequestPool::create(none, {}).error().kind() == ErrorKind::closed);
  CHECK(ane::RequestPool().depth() == 0);
  expect(ane::RequestPool().acquire().error(), ErrorKind::closed,
         "there is no pool to take a request from");

  ane::RequestPool pool = pool_of(model, {.depth = 1, .shared_inputs = {"w"}});
  ane::PooledRequest request = take(pool);
  expect(pool.acquire(2ms).error(), ErrorKind::busy,
         "all 1 requests of model 'test.mil' are taken, and none came back within 2 ms");
  CHECK(pool.acquire(0ms).error().kind() == ErrorKind::busy);
  expect(request.write_fp32("w", all(1)), ErrorKind::argument,
         "input 'w' is shared by all requests of the pool: the model writes it");
  expect(request.write_fp32("v", all(1)), ErrorKind::argument,
         "there is no input 'v', only 'x', 'w'");
  expect(request.read_fp32("x", {}), ErrorKind::argument, "there is no output 'x', only 'y'");
  CHECK(request.output_surface("x").error().kind() == ErrorKind::argument);
  expect(request.wait(), ErrorKind::argument, "request 0 of model 'test.mil' has not been begun");
  REQUIRE_FALSE(request.write_fp32("x", all(0)));
  REQUIRE_FALSE(request.begin());
  expect(request.begin(), ErrorKind::busy,
         "request 0 of model 'test.mil' is under way, or has not been waited for");
  CHECK(request.write_fp32("x", all(0)).kind() == ErrorKind::busy);
  CHECK(request.input_surface("x").error().kind() == ErrorKind::busy);
  REQUIRE_FALSE(request.wait());
  request.release();
  CHECK_FALSE(request);
  CHECK(request.done());
  expect(request.begin(), ErrorKind::closed, "the pooled request is none, or was given back");
  CHECK(request.wait().kind() == ErrorKind::closed);
  CHECK(request.evaluate().kind() == ErrorKind::closed);
  CHECK(pool.acquire(0ms));
}

TEST_CASE("a pooled request that goes is waited for, and comes back") {
  FakeScope fake({{"latency_us", "3000"}});
  ane::Model model = compiled(fake.engine(), kSum);
  ane::RequestPool pool = pool_of(model, {.depth = 2});
  {
    ane::PooledRequest one = take(pool);
    ane::PooledRequest two = take(pool);
    REQUIRE_FALSE(one.begin());
    REQUIRE_FALSE(two.begin());
    one = std::move(two);
    CHECK_FALSE(one.done());
  }
  CHECK(pool.acquire(0ms));
  CHECK(FakeScope::logged("evaluateWithQoS") == 2);
}

TEST_CASE("threads wait for requests of a pool") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kSum);
  ane::RequestPool pool = pool_of(model, {.depth = 2});
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const auto value = static_cast<float>(t);
      std::vector<float> y(32);
      for (int i = 0; i < 25; ++i) {
        auto request = pool.acquire();
        if (!request || request->write_fp32("x", all(value)) || request->write_fp32("w", all(1)) ||
            request->evaluate() || request->read_fp32("y", y) || y != all(value + 1)) {
          ++failures;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
}

TEST_CASE("the error of a pooled evaluation is given once, and the next one works") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kSum);
  ane::RequestPool pool = pool_of(model, {});
  ane::PooledRequest request = take(pool);
  FakeScope::set("fail_evaluate", "1");
  expect(request.evaluate(), ErrorKind::evaluate, "model 'test.mil' cannot be evaluated");
  CHECK_FALSE(request.evaluate());
}

TEST_CASE("requests that cannot be mapped leave nothing") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kSum);
  FakeScope::set("fail_map", "always");
  CHECK(ane::RequestPool::create(model, {.depth = 2}).error().kind() == ErrorKind::map);
  FakeScope::set("fail_map", "0");
  evaluate(model);
}

TEST_CASE("a pool outlives its model, without use") {
  FakeScope fake;
  ane::RequestPool pool;
  ane::PooledRequest request;
  {
    ane::Model model = compiled(fake.engine(), kSum);
    pool = pool_of(model, {});
    request = take(pool);
    REQUIRE_FALSE(request.evaluate());
  }
  expect(request.begin(), ErrorKind::closed, "model 'test.mil' is closed");
  request = {};
  pool = {};
}

TEST_CASE("a pooled evaluation that never ends leaves the model broken") {
  FakeScope fake;
  fake.allow_live_objects();
  const long live_before = FakeScope::live();
  {
    ane::Model model = compiled(fake.engine(), kSum, {.evaluate_timeout = 10ms});
    ane::RequestPool pool = pool_of(model, {});
    ane::PooledRequest request = take(pool);
    FakeScope::set("hang_once", "evaluate");
    expect(request.evaluate(), ErrorKind::timeout,
           "the evaluation of model 'test.mil' has not ended within 10 ms");
    CHECK(request.begin().kind() == ErrorKind::busy);
    ane::PooledRequest other = take(pool);
    CHECK(other.begin().kind() == ErrorKind::broken);
  }
  FakeScope::set("hang_once", "none");
  FakeScope::set("hang", "none");
  for (int i = 0; i < 2000 && FakeScope::live() != live_before; ++i) {
    std::this_thread::sleep_for(1ms);
  }
  CHECK(FakeScope::live() == live_before);
}

TEST_CASE("an engine that does not answer is waited for once, not once for each request") {
  FakeScope fake;
  fake.allow_live_objects();
  const long live_before = FakeScope::live();
  {
    ane::Model model = compiled(fake.engine(), kSum, {.evaluate_timeout = 300ms});
    ane::RequestPool pool = pool_of(model, {.depth = 3});
    ane::PooledRequest first = take(pool);
    ane::PooledRequest second = take(pool);
    ane::PooledRequest third = take(pool);
    FakeScope::set("hang", "evaluate");
    for (ane::PooledRequest* request : {&first, &second, &third}) REQUIRE_FALSE(request->begin());
    expect(first.wait(), ErrorKind::timeout,
           "the evaluation of model 'test.mil' has not ended within 300 ms");
    const auto begin = std::chrono::steady_clock::now();
    expect(second.wait(), ErrorKind::broken, "an earlier call of model 'test.mil' never came back");
    second.release();
    third.release();
    CHECK(std::chrono::steady_clock::now() - begin < 300ms);
  }
  FakeScope::set("hang", "none");
  for (int i = 0; i < 2000 && FakeScope::live() != live_before; ++i) {
    std::this_thread::sleep_for(1ms);
  }
  CHECK(FakeScope::live() == live_before);
}

TEST_CASE("a bound beyond a year is waited out, too") {
  FakeScope fake;
  ane::Model model = compiled(fake.engine(), kSum);
  ane::RequestPool pool = pool_of(model, {.depth = 1});
  ane::PooledRequest request = take(pool);
  std::thread other([&] {
    std::this_thread::sleep_for(10ms);
    request.release();
  });
  CHECK(pool.acquire(std::chrono::milliseconds::max()));
  other.join();
}

TEST_CASE("a pool's steady state takes no memory of ours") {
  FakeScope fake({{"log", "0"}});
  ane::Model model = compiled(fake.engine(), kSum);
  ane::RequestPool pool = pool_of(model, {.depth = 2});
  const std::vector<float> x = all(1);
  std::vector<float> y(32);
  const auto by_pool = [&] {
    for (int i = 0; i < 50; ++i) {
      ane::PooledRequest request = take(pool);
      REQUIRE_FALSE(request.write_fp32("x", x));
      REQUIRE_FALSE(request.evaluate());
      REQUIRE_FALSE(request.read_fp32("y", y));
    }
  };
  const auto by_model = [&] {
    for (int i = 0; i < 50; ++i) REQUIRE_FALSE(model.evaluate());
  };
  by_pool();
  by_model();
  const std::uint64_t engines = memory_cost_of(by_model).allocations;
  CHECK(memory_cost_of(by_pool).allocations <= engines);
}

}  // namespace milgen::test
