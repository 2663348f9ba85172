#include "milgen/ane/matmul.h"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <utility>

#include "ane/fake.h"
#include "ane/matrices.h"
#include "ane/programs.h"
#include "support/counted_memory.h"

namespace milgen::test {
namespace {

using ane::DynamicMatmul;
using ane::DynamicMatmulOptions;
using ane::ErrorKind;
using ane::WeightPlacement;

constexpr WeightPlacement kPlacements[] = {WeightPlacement::parameter, WeightPlacement::packed};

struct Sizes {
  std::int64_t batch;
  std::int64_t in;
  std::int64_t out;
};

DynamicMatmulOptions options_of(WeightPlacement weights, std::int64_t tile_out = 0) {
  DynamicMatmulOptions options;
  options.weights = weights;
  options.tile_out = tile_out;
  return options;
}

DynamicMatmul product_of(const ane::Engine& engine, const Sizes& sizes,
                         const DynamicMatmulOptions& options = {}) {
  auto product = DynamicMatmul::create(engine, sizes.batch, sizes.in, sizes.out, options);
  REQUIRE_MESSAGE(product, product.error().text());
  return *std::move(product);
}

ane::Error refusal_of(const ane::Engine& engine, const Sizes& sizes,
                      const DynamicMatmulOptions& options = {}) {
  return DynamicMatmul::create(engine, sizes.batch, sizes.in, sizes.out, options).error();
}

Floats zeros(std::int64_t count) { return Floats(static_cast<std::size_t>(count), -1); }

}  // namespace

TEST_CASE("a product with weights at run time is the product") {
  FakeScope fake;
  CleanTemporary clean;
  for (const WeightPlacement placement : kPlacements) {
    for (const Sizes& s : {Sizes{1, 1, 1}, Sizes{3, 5, 7}, Sizes{32, 64, 32}, Sizes{33, 31, 65}}) {
      DynamicMatmul product = product_of(fake.engine(), s, options_of(placement));
      CHECK(product.batch() == s.batch);
      CHECK(product.in() == s.in);
      CHECK(product.out() == s.out);
      CHECK(product.tiles() == 1);
      CHECK(product.columns() == (s.batch + 31) / 32 * 32);
      CHECK(product.stats().compile_ns > 0);
      for (std::uint32_t round = 1; round <= 2; ++round) {
        const Floats x = matrix(s.batch, s.in, round);
        const Floats w = matrix(s.in, s.out, round + 10);
        Floats y = zeros(s.batch * s.out);
        succeed(product.evaluate(x, w, y));
        check_product(x, w, y, s.batch, s.in, s.out);
      }
      succeed(product.close());
      succeed(product.close());
    }
  }
  CHECK(fake.engine().ledger().compiles == 8);
}

TEST_CASE("tiles of a product are one program") {
  FakeScope fake;
  for (const WeightPlacement placement : kPlacements) {
    struct Case {
      std::int64_t out;
      std::int64_t tile_out;
      int tiles;
    };
    // One column more than a tile has, one less, tiles that are rounded up, and ones of the rest.
    for (const Case& c : {Case{64, 32, 2}, Case{65, 32, 3}, Case{63, 32, 2}, Case{100, 1, 4},
                          Case{130, 65, 2}, Case{40, 1000, 1}}) {
      const Sizes s{3, 6, c.out};
      const int before = fake.engine().ledger().compiles;
      DynamicMatmul product = product_of(fake.engine(), s, options_of(placement, c.tile_out));
      CHECK(fake.engine().ledger().compiles == before + 1);
      CHECK(product.tiles() == c.tiles);
      const Floats x = matrix(s.batch, s.in, 1);
      Floats w = matrix(s.in, s.out, 2);
      Floats y = zeros(s.batch * s.out);
      succeed(product.evaluate(x, w, y));
      check_product(x, w, y, s.batch, s.in, s.out);

      succeed(product.write_weights_transposed(transposed(w, s.in, s.out)));
      Floats again = zeros(s.batch * s.out);
      succeed(product.evaluate(x, again));
      CHECK(again == y);

      Floats channel_first = zeros(s.batch * s.out);
      const Floats x_cf = transposed(x, s.batch, s.in);
      succeed(product.evaluate_channel_first(x_cf, channel_first));
      CHECK(channel_first == transposed(y, s.batch, s.out));

      w = matrix(s.in, s.out, 3);
      Floats w_before = matrix(s.in, s.out, 2);
      const std::vector<std::int64_t> rows = {5, 0, 5};
      succeed(product.write_weight_rows(w, rows));
      for (const std::int64_t row : {0, 5}) {
        for (std::int64_t o = 0; o < s.out; ++o) {
          const auto at = static_cast<std::size_t>(row * s.out + o);
          w_before[at] = w[at];
        }
      }
      succeed(product.evaluate(x, y));
      check_product(x, w_before, y, s.batch, s.in, s.out);

      const std::vector<std::int64_t> columns = {5, 0, 5};
      succeed(product.evaluate_one_hot(columns, y));
      for (std::size_t b = 0; b < 3; ++b) {
        for (std::int64_t o = 0; o < s.out; ++o) {
          CHECK(y[b * static_cast<std::size_t>(s.out) + static_cast<std::size_t>(o)] ==
                w_before[static_cast<std::size_t>(columns[b] * s.out + o)]);
        }
      }
    }
  }
}

TEST_CASE("a product in tiles because the engine takes no wider rows") {
  FakeScope fake;
  for (const WeightPlacement placement : kPlacements) {
    const Sizes s{2, 3, 16'385};
    DynamicMatmul product = product_of(fake.engine(), s, options_of(placement));
    CHECK(product.tiles() == 2);
    const Floats x = matrix(s.batch, s.in, 1);
    const Floats w = matrix(s.in, s.out, 2);
    Floats y = zeros(s.batch * s.out);
    succeed(product.evaluate(x, w, y));
    check_product(x, w, y, s.batch, s.in, s.out);
  }
  // 16,352 columns of weights and 32 of activations are as wide as a row may be.
  CHECK(product_of(fake.engine(), {1, 1, 16'352}, options_of(WeightPlacement::packed)).tiles() ==
        1);
  CHECK(product_of(fake.engine(), {1, 1, 16'353}, options_of(WeightPlacement::packed)).tiles() ==
        2);
  CHECK(product_of(fake.engine(), {1, 1, 16'384}).tiles() == 1);
}

TEST_CASE("weights that are converted in several pieces") {
  FakeScope fake;
  const Sizes s{1, 700, 600};
  DynamicMatmul product = product_of(fake.engine(), s);
  const Floats x = matrix(s.batch, s.in, 1);
  const Floats w = matrix(s.in, s.out, 2);
  Floats y = zeros(s.out);
  succeed(product.evaluate(x, w, y));
  check_product(x, w, y, s.batch, s.in, s.out);
  Floats again = zeros(s.out);
  succeed(product.write_weights_transposed(transposed(w, s.in, s.out)));
  succeed(product.evaluate(x, again));
  CHECK(again == y);
}

TEST_CASE("y stays on the engine's side until it is read or copied") {
  FakeScope fake;
  constexpr std::string_view kNext = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [1, 80, 1, 32]> x) {
            tensor<fp16, [1, 80, 1, 32]> y = add(x = x, y = x)[name = string("y")];
        } -> (y);
})";
  ane::Model next = compiled(fake.engine(), kNext);
  const Sizes s{2, 3, 70};
  DynamicMatmul product = product_of(fake.engine(), s, options_of({}, 32));
  const Floats x = matrix(s.batch, s.in, 1);
  const Floats w = matrix(s.in, s.out, 2);
  succeed(product.write_weights(w));
  succeed(product.evaluate_channel_first(transposed(x, s.batch, s.in)));
  Floats y = zeros(s.batch * s.out);
  succeed(product.read(y));
  check_product(x, w, y, s.batch, s.in, s.out);
  Floats channel_first = zeros(s.batch * s.out);
  succeed(product.read_channel_first(channel_first));
  CHECK(channel_first == transposed(y, s.batch, s.out));

  write(next, "x", Floats(80 * 32, 0));
  succeed(product.copy_output(next, "x", 7));
  evaluate(next);
  const Floats doubled = read(next, 0);
  CHECK(doubled[7 * 32] == 2 * channel_first[0]);
  CHECK(doubled[76 * 32 + 1] == 2 * channel_first[69 * 2 + 1]);
  CHECK(doubled[7 * 32 + 2] == 0);
  CHECK(doubled[77 * 32] == 0);
  CHECK(doubled[6 * 32] == 0);

  expect(product.copy_output(next, 0, 11), ErrorKind::argument,
         "y has 70 channels, which do not lie in the 80 of input 'x' from channel 11 on");
  expect(product.copy_output(next, 0, std::numeric_limits<std::int64_t>::min()),
         ErrorKind::argument,
         "y has 70 channels, which do not lie in the 80 of input 'x' from channel "
         "-9223372036854775808 on");
  expect(product.copy_output(next, "z"), ErrorKind::argument, "there is no input 'z', only 'x'");
}

TEST_CASE("sizes that the engine does not take are refused before anything is compiled") {
  FakeScope fake;
  const ane::Engine& engine = fake.engine();
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  expect(refusal_of(engine, {0, 1, 1}), ErrorKind::argument, "batch is 0, and can be 1 to 16384");
  expect(refusal_of(engine, {1, 16'385, 1}), ErrorKind::argument,
         "in is 16385, and can be 1 to 16384");
  expect(refusal_of(engine, {1, 1, most}), ErrorKind::argument,
         "out is 9223372036854775807, and can be 1 to 2080768");
  expect(refusal_of(engine, {16'353, 1, 1}, options_of(WeightPlacement::packed)),
         ErrorKind::argument, "batch is 16353, and can be 1 to 16352");
  expect(refusal_of(engine, {1, 1, 1}, options_of({}, -1)), ErrorKind::argument,
         "tile_out is -1, and cannot be below 0");
  expect(refusal_of(engine, {1, 1, 4065}, options_of({}, 32)), ErrorKind::argument,
         "out is 4065, which makes 128 tiles of 32, and 127 are the most");
  CHECK(engine.ledger().compiles == 0);
}

TEST_CASE("spans of other sizes are refused, with both") {
  FakeScope fake;
  DynamicMatmul product = product_of(fake.engine(), {2, 3, 4});
  Floats y = zeros(8);
  Floats few = zeros(5);
  const Floats x = matrix(2, 3, 1);
  const Floats w = matrix(3, 4, 1);
  const std::string_view wrong_x = "x has 5 values, but [2, 3] takes 6";
  const std::string_view wrong_w = "w has 5 values, but [3, 4] takes 12";
  const std::string_view wrong_y = "y has 5 values, but [2, 4] takes 8";
  const std::string_view unwritten = "no weights [3, 4] were written yet";
  expect(product.evaluate(few, w, y), ErrorKind::argument, wrong_x);
  expect(product.evaluate(x, few, y), ErrorKind::argument, wrong_w);
  expect(product.evaluate(x, w, few), ErrorKind::argument, wrong_y);
  expect(product.evaluate(x, y), ErrorKind::argument, unwritten);
  expect(product.evaluate_channel_first(x), ErrorKind::argument, unwritten);
  expect(product.evaluate_one_hot(std::array<std::int64_t, 2>{0, 1}, y), ErrorKind::argument,
         unwritten);
  expect(product.write_weight_rows(w, {}), ErrorKind::argument, unwritten);
  succeed(product.write_weights(w));
  expect(product.evaluate(few, y), ErrorKind::argument, wrong_x);
  expect(product.evaluate(x, few), ErrorKind::argument, wrong_y);
  expect(product.evaluate_channel_first(few), ErrorKind::argument,
         "x has 5 values, but [3, 2] takes 6");
  expect(product.evaluate_channel_first(x, few), ErrorKind::argument,
         "y has 5 values, but [4, 2] takes 8");
  expect(product.write_weights_transposed(few), ErrorKind::argument,
         "w has 5 values, but [4, 3] takes 12");
  expect(product.write_weight_rows(few, {}), ErrorKind::argument, wrong_w);
  expect(product.write_weight_rows(w, std::array<std::int64_t, 2>{0, 3}), ErrorKind::argument,
         "there is no row 3 of w, only 0 to 2");
  expect(product.evaluate_one_hot(std::array<std::int64_t, 2>{0, -1}, y), ErrorKind::argument,
         "there is no column -1 of x, only 0 to 2");
  expect(product.evaluate_one_hot(std::array<std::int64_t, 1>{0}, y), ErrorKind::argument,
         "columns has 1 values, but [2, 1] takes 2");
  expect(product.evaluate_one_hot(std::array<std::int64_t, 2>{0, 1}, few), ErrorKind::argument,
         wrong_y);
  expect(product.read(few), ErrorKind::argument, wrong_y);
  expect(product.read_channel_first(few), ErrorKind::argument,
         "y has 5 values, but [4, 2] takes 8");
}

TEST_CASE("a product that is closed, or was moved from, refuses everything") {
  FakeScope fake;
  DynamicMatmul product = product_of(fake.engine(), {1, 1, 1});
  DynamicMatmul other = std::move(product);
  CHECK(other);
  succeed(other.close());
  CHECK_FALSE(other);
  ane::Model target = compiled(fake.engine(), kDouble);
  Floats one(1);
  const std::array<std::int64_t, 1> zero = {0};
  for (const ane::Error& error :
       {other.write_weights(one), other.write_weights_transposed(one),
        other.write_weight_rows(one, zero), other.evaluate(one, one, one), other.evaluate(one, one),
        other.evaluate_channel_first(one), other.evaluate_channel_first(one, one),
        other.evaluate_one_hot(zero, one), other.read(one), other.read_channel_first(one),
        other.copy_output(target, 0)}) {
    expect(error, ErrorKind::closed, "the product is closed");
  }
  CHECK(other.batch() + other.in() + other.out() + other.columns() + other.tiles() == 0);
  CHECK(other.hardware_ns() == 0);
  CHECK(other.stats().total_ns == 0);
}

TEST_CASE("the engine's errors come through, and leave nothing behind") {
  FakeScope fake;
  CleanTemporary clean;
  const Sizes s{1, 2, 64};
  const DynamicMatmulOptions tiled = options_of({}, 32);
  FakeScope::set("fail_compile", "1");
  CHECK(refusal_of(fake.engine(), s, tiled).kind() == ErrorKind::compile);
  DynamicMatmul product = product_of(fake.engine(), s, tiled);
  const Floats x = matrix(1, 2, 1);
  const Floats w = matrix(2, 64, 2);
  Floats y = zeros(64);
  FakeScope::set("fail_evaluate", "1");
  CHECK(product.evaluate(x, w, y).kind() == ErrorKind::evaluate);
  succeed(product.evaluate(x, y));
  check_product(x, w, y, 1, 2, 64);
}

TEST_CASE("requests that cannot be mapped are an error of making a product") {
  FakeScope fake;
  const Sizes s{1, 2, 96};
  // The model's own is mapped first, then those of the other tiles.
  FakeScope::set("fail_map", "0");
  DynamicMatmul whole = product_of(fake.engine(), s);
  CHECK(whole.tiles() == 1);
  FakeScope::set("fail_map", "always");
  CHECK(refusal_of(fake.engine(), s, options_of({}, 32)).kind() == ErrorKind::map);
  FakeScope::set("fail_map", "0");
}

TEST_CASE("hardware time is that of all tiles") {
  FakeScope fake({{"hw_ns", "1000"}});
  DynamicMatmulOptions options = options_of({}, 32);
  options.model.perf_stats_mask = 1;
  DynamicMatmul product = product_of(fake.engine(), {1, 2, 96}, options);
  Floats y = zeros(96);
  succeed(product.evaluate(matrix(1, 2, 1), matrix(2, 96, 2), y));
  CHECK(product.tiles() == 3);
  CHECK(product.hardware_ns() == 3000);
}

TEST_CASE("a product that is made allocates nothing") {
  FakeScope fake({{"log", "0"}});
  const Sizes s{3, 40, 70};
  for (const WeightPlacement placement : kPlacements) {
    DynamicMatmul product = product_of(fake.engine(), s, options_of(placement, 32));
    const Floats x = matrix(s.batch, s.in, 1);
    const Floats w = matrix(s.in, s.out, 2);
    Floats y = zeros(s.batch * s.out);
    const std::array<std::int64_t, 3> places = {1, 0, 39};
    succeed(product.evaluate(x, w, y));
    const MemoryCost cost = memory_cost_of([&] {
      succeed(product.write_weights(w));
      succeed(product.write_weight_rows(w, places));
      succeed(product.read(y));
    });
    CHECK(cost.allocations == 0);
  }
}

}  // namespace milgen::test
