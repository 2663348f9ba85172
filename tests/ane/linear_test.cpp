#include "milgen/ane/linear.h"

#include <doctest/doctest.h>

#include <array>
#include <thread>
#include <utility>
#include <vector>

#include "ane/fake.h"
#include "ane/matrices.h"
#include "ane/programs.h"

namespace milgen::test {
namespace {

using ane::DynamicLinearExecutor;
using ane::ErrorKind;
using ane::LinearExecutor;
using ane::LinearShape;

constexpr LinearShape kShapes[] = {{1, 1, 1}, {3, 5, 7}, {32, 64, 33}, {33, 31, 32}};

Floats result_of(const LinearShape& shape) {
  return Floats(static_cast<std::size_t>(shape.batch * shape.out), -1);
}

/// x and w [out, in] of a shape, as a seed makes them.
struct Layer {
  Layer(const LinearShape& of, std::uint32_t seed)
      : shape(of), x(matrix(of.batch, of.in, seed)), w(matrix(of.out, of.in, seed + 100)) {}

  LinearShape shape;
  Floats x;
  Floats w;

  Floats w_io() const { return transposed(w, shape.out, shape.in); }
  void check(const Floats& y) const {
    check_product(x, w_io(), y, shape.batch, shape.in, shape.out);
  }
};

bool compiled_for(const ane::Result<ane::LinearCallStats>& stats) {
  REQUIRE_MESSAGE(stats, stats.error().text());
  return stats->compiled;
}

void check_stats(const ane::LinearStats& stats, std::uint64_t compiles, std::uint64_t hits,
                 std::size_t kernels) {
  CHECK(stats.compiles == compiles);
  CHECK(stats.cache_hits == hits);
  CHECK(stats.kernels == kernels);
}

}  // namespace

TEST_CASE("a linear layer with its weights in the program") {
  FakeScope fake;
  CleanTemporary clean;
  LinearExecutor linear(fake.engine());
  for (const LinearShape& shape : kShapes) {
    const Layer layer(shape, 1);
    for (const bool first : {true, false}) {
      Floats y = result_of(shape);
      CHECK(compiled_for(linear.run(shape, layer.x, layer.w, y)) == first);
      layer.check(y);
    }
  }
  check_stats(linear.stats(), 4, 4, 4);
  CHECK(fake.engine().ledger().compiles == 4);
  linear.close();
  check_stats(linear.stats(), 4, 4, 0);
}

TEST_CASE("other weights, or another shape of the same ones, are another program") {
  FakeScope fake;
  LinearExecutor linear(fake.engine());
  const Layer layer({2, 6, 4}, 1);
  succeed(linear.prepare(layer.shape, layer.w));
  Floats y = result_of(layer.shape);
  CHECK_FALSE(compiled_for(linear.run(layer.shape, layer.x, layer.w, y)));
  layer.check(y);

  Layer other = layer;
  other.w.back() += 0.5F;
  CHECK(compiled_for(linear.run(other.shape, other.x, other.w, y)));
  other.check(y);

  Layer turned = layer;
  turned.shape = {3, 4, 6};
  turned.x = matrix(3, 4, 2);
  Floats turned_y = result_of(turned.shape);
  CHECK(compiled_for(linear.run(turned.shape, turned.x, turned.w, turned_y)));
  turned.check(turned_y);
  check_stats(linear.stats(), 3, 1, 3);
}

TEST_CASE("programs that were not used for the longest time are closed") {
  FakeScope fake;
  LinearExecutor linear(fake.engine(), {.model = {}, .max_kernels = 2});
  std::vector<Layer> layers;
  for (std::uint32_t seed = 1; seed <= 3; ++seed) layers.emplace_back(LinearShape{1, 2, 3}, seed);
  Floats y = result_of(layers[0].shape);
  const auto run = [&](std::size_t i) {
    const bool compiled = compiled_for(linear.run(layers[i].shape, layers[i].x, layers[i].w, y));
    layers[i].check(y);
    return compiled;
  };
  CHECK(run(0));
  CHECK(run(1));
  CHECK_FALSE(run(0));
  CHECK(FakeScope::logged("unloadWithQoS") == 0);
  CHECK(run(2));  // in place of 1
  CHECK(FakeScope::logged("unloadWithQoS") == 1);
  CHECK_FALSE(run(0));
  CHECK(run(1));
  check_stats(linear.stats(), 4, 2, 2);

  LinearExecutor one(fake.engine(), {.model = {}, .max_kernels = 0});
  succeed(one.prepare(layers[0].shape, layers[0].w));
  CHECK(one.stats().kernels == 1);
}

TEST_CASE("a linear layer with weights at run time") {
  FakeScope fake;
  CleanTemporary clean;
  for (const ane::WeightPlacement placement :
       {ane::WeightPlacement::parameter, ane::WeightPlacement::packed}) {
    ane::DynamicLinearOptions options;
    options.matmul.weights = placement;
    options.matmul.tile_out = 32;
    DynamicLinearExecutor linear(fake.engine(), options);
    for (const LinearShape& shape : kShapes) {
      for (const std::uint32_t seed : {1U, 2U}) {
        const Layer layer(shape, seed);
        Floats y = result_of(shape);
        CHECK(compiled_for(linear.run(shape, layer.x, layer.w, y)) == (seed == 1));
        layer.check(y);
        Floats again = result_of(shape);
        CHECK_FALSE(compiled_for(linear.run_io(shape, layer.x, layer.w_io(), again)));
        CHECK(again == y);
        CHECK_FALSE(compiled_for(linear.run_written(shape, layer.x, again)));
        CHECK(again == y);
      }
    }
    check_stats(linear.stats(), 4, 20, 4);
  }
  CHECK(fake.engine().ledger().compiles == 8);
}

TEST_CASE("weights of a shape are written, patched and looked up") {
  FakeScope fake;
  DynamicLinearExecutor linear(fake.engine());
  const Layer layer({2, 3, 4}, 1);
  const Floats w_io = layer.w_io();
  Floats y = result_of(layer.shape);
  const std::array<std::int64_t, 2> columns = {2, 0};
  constexpr std::string_view kNone =
      "no weights were written for batch 2, in 3 and out 4, or they went with their program";
  expect(linear.run_written(layer.shape, layer.x, y).error(), ErrorKind::argument, kNone);
  expect(linear.run_one_hot(layer.shape, columns, y).error(), ErrorKind::argument, kNone);
  expect(linear.write_weight_rows(layer.shape, w_io, columns), ErrorKind::argument, kNone);
  CHECK(linear.stats().kernels == 0);

  succeed(linear.prepare(layer.shape));
  expect(linear.run_written(layer.shape, layer.x, y).error(), ErrorKind::argument,
         "no weights [3, 4] were written yet");
  succeed(linear.write_weights(layer.shape, w_io));
  CHECK_FALSE(compiled_for(linear.run_written(layer.shape, layer.x, y)));
  layer.check(y);
  CHECK_FALSE(compiled_for(linear.run_one_hot(layer.shape, columns, y)));
  CHECK(Floats(y.begin(), y.begin() + 4) == Floats(w_io.begin() + 8, w_io.end()));
  CHECK(Floats(y.begin() + 4, y.end()) == Floats(w_io.begin(), w_io.begin() + 4));

  Floats patched = w_io;
  patched[4] = 0.25F;
  patched[0] = 0.75F;
  succeed(linear.write_weight_rows(layer.shape, patched, std::array<std::int64_t, 1>{1}));
  CHECK_FALSE(compiled_for(linear.run_one_hot(layer.shape, std::array<std::int64_t, 2>{0, 1}, y)));
  CHECK(y[0] == w_io[0]);
  CHECK(y[4] == 0.25F);
  CHECK(fake.engine().ledger().compiles == 1);
}

TEST_CASE("sizes that do not fit make no program") {
  FakeScope fake;
  LinearExecutor baked(fake.engine());
  DynamicLinearExecutor dynamic(fake.engine());
  const LinearShape shape{2, 3, 4};
  const Floats x = matrix(2, 3, 1);
  const Floats w = matrix(3, 4, 1);
  Floats y(8);
  Floats few(5);
  const auto refused = [](const auto& result, std::string_view message) {
    expect(result.error(), ErrorKind::argument, message);
  };
  constexpr std::string_view kX = "x has 5 values, but [2, 3] takes 6";
  constexpr std::string_view kW = "w has 5 values, but [4, 3] takes 12";
  constexpr std::string_view kY = "y has 5 values, but [2, 4] takes 8";
  refused(baked.run(shape, few, w, y), kX);
  refused(baked.run(shape, x, few, y), kW);
  refused(baked.run(shape, x, w, few), kY);
  expect(baked.prepare(shape, few), ErrorKind::argument, kW);
  refused(dynamic.run(shape, few, w, y), kX);
  refused(dynamic.run(shape, x, few, y), kW);
  refused(dynamic.run(shape, x, w, few), kY);
  refused(dynamic.run_io(shape, few, w, y), kX);
  expect(dynamic.write_weights(shape, few), ErrorKind::argument,
         "w has 5 values, but [3, 4] takes 12");
  refused(baked.run({0, 3, 4}, x, w, y), "batch is 0, and can be 1 to 16384");
  refused(baked.run({2, 65'537, 4}, x, w, y), "in is 65537, and can be 1 to 65536");
  refused(baked.run({2, 3, 65'537}, x, w, y), "out is 65537, and can be 1 to 65536");
  refused(dynamic.run({2, 3, 2'080'769}, x, w, y), "out is 2080769, and can be 1 to 2080768");
  expect(dynamic.prepare({2, 16'385, 4}), ErrorKind::argument,
         "in is 16385, and can be 1 to 16384");
  CHECK(fake.engine().ledger().compiles == 0);
  CHECK(baked.stats().kernels + dynamic.stats().kernels == 0);
}

TEST_CASE("executors that are closed, or were moved from, refuse everything") {
  FakeScope fake;
  LinearExecutor baked(fake.engine());
  DynamicLinearExecutor dynamic(fake.engine());
  const LinearShape shape{1, 1, 1};
  const std::array<std::int64_t, 1> zero = {0};
  Floats one(1, 1);
  succeed(baked.prepare(shape, one));
  succeed(dynamic.prepare(shape));
  const auto refused = [&](std::string_view message) {
    for (const ane::Error& error :
         {baked.run(shape, one, one, one).error(), baked.prepare(shape, one),
          dynamic.run(shape, one, one, one).error(), dynamic.run_io(shape, one, one, one).error(),
          dynamic.run_written(shape, one, one).error(),
          dynamic.run_one_hot(shape, zero, one).error(), dynamic.prepare(shape),
          dynamic.write_weights(shape, one), dynamic.write_weight_rows(shape, one, zero)}) {
      expect(error, ErrorKind::closed, message);
    }
  };
  baked.close();
  dynamic.close();
  refused("the executor is closed");
  const LinearExecutor baked_now = std::move(baked);
  const DynamicLinearExecutor dynamic_now = std::move(dynamic);
  CHECK(baked_now.stats().compiles == 1);
  CHECK(dynamic_now.stats().compiles == 1);
  refused("the executor was moved from");
  check_stats(baked.stats(), 0, 0, 0);
  check_stats(dynamic.stats(), 0, 0, 0);
  baked.close();
  dynamic.close();
}

TEST_CASE("a program that could not be made is tried again by the next call") {
  FakeScope fake;
  LinearExecutor linear(fake.engine());
  const Layer layer({1, 2, 3}, 1);
  Floats y = result_of(layer.shape);
  FakeScope::set("fail_compile", "1");
  CHECK(linear.run(layer.shape, layer.x, layer.w, y).error().kind() == ErrorKind::compile);
  check_stats(linear.stats(), 0, 0, 0);
  CHECK(compiled_for(linear.run(layer.shape, layer.x, layer.w, y)));
  FakeScope::set("fail_evaluate", "1");
  CHECK(linear.run(layer.shape, layer.x, layer.w, y).error().kind() == ErrorKind::evaluate);
  CHECK_FALSE(compiled_for(linear.run(layer.shape, layer.x, layer.w, y)));
  layer.check(y);
}

TEST_CASE("a program that did not answer is made anew") {
  FakeScope fake;
  ane::DynamicLinearOptions options;
  options.matmul.model.evaluate_timeout = std::chrono::milliseconds(100);
  DynamicLinearExecutor linear(fake.engine(), options);
  const Layer layer({1, 2, 3}, 1);
  Floats y = result_of(layer.shape);
  CHECK(compiled_for(linear.run(layer.shape, layer.x, layer.w, y)));
  FakeScope::set("hang_once", "evaluate");
  CHECK(linear.run(layer.shape, layer.x, layer.w, y).error().kind() == ErrorKind::timeout);
  FakeScope::set("hang_once", "none");
  CHECK(linear.stats().kernels == 0);
  CHECK(compiled_for(linear.run(layer.shape, layer.x, layer.w, y)));
  layer.check(y);
  // What the engine had in use goes when it answers.
  fake.allow_live_objects();
}

TEST_CASE("calls tell what the engine measured") {
  FakeScope fake({{"hw_ns", "1000"}});
  ane::LinearOptions options;
  options.model.perf_stats_mask = 1;
  LinearExecutor baked(fake.engine(), options);
  ane::DynamicLinearOptions dynamic_options;
  dynamic_options.matmul.model.perf_stats_mask = 1;
  DynamicLinearExecutor dynamic(fake.engine(), dynamic_options);
  const Layer layer({1, 2, 3}, 1);
  Floats y = result_of(layer.shape);
  const auto first = baked.run(layer.shape, layer.x, layer.w, y);
  REQUIRE(first);
  CHECK(first->hardware_ns == 1000);
  const auto second = dynamic.run(layer.shape, layer.x, layer.w, y);
  REQUIRE(second);
  CHECK(second->hardware_ns == 1000);
}

TEST_CASE("threads that ask for one program get one") {
  FakeScope fake;
  LinearExecutor baked(fake.engine());
  DynamicLinearExecutor dynamic(fake.engine(), {.matmul = {}, .max_kernels = 1});
  const Layer layer({2, 3, 4}, 1);
  const Layer other({3, 4, 5}, 2);
  std::vector<Floats> results(8);
  {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < results.size(); ++i) {
      threads.emplace_back([&, i] {
        const Layer& mine = i % 2 == 0 ? layer : other;
        results[i] = result_of(mine.shape);
        const bool use_dynamic = i >= 4;
        const auto stats = use_dynamic ? dynamic.run(mine.shape, mine.x, mine.w, results[i])
                                       : baked.run(mine.shape, mine.x, mine.w, results[i]);
        if (!stats) results[i].clear();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  for (std::size_t i = 0; i < results.size(); ++i) (i % 2 == 0 ? layer : other).check(results[i]);
  check_stats(baked.stats(), 2, 2, 2);
  CHECK(dynamic.stats().kernels == 1);
}

}  // namespace milgen::test
