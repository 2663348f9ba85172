#include "cpu/product.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cpu/blas.h"
#include "cpu/product_blas.h"
#include "cpu/simd.h"
#include "support/half.h"
#include "support/thread_pool.h"

namespace milgen::detail {
namespace {

/// Deterministic on every machine, as std::uniform_real_distribution is not.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) {}
  std::uint32_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> 32);
  }
  std::size_t below(std::size_t end) { return next() % end; }
  /// In [-1, 1).
  float value() { return static_cast<float>(static_cast<std::int32_t>(next())) * 0x1p-31f; }

 private:
  std::uint64_t state_;
};

/// Elements of a dtype, with room around those that are in use.
struct Elements {
  DType dtype;
  std::vector<std::uint16_t> halves;
  std::vector<float> floats;

  Elements(DType type, std::size_t count)
      : dtype(type),
        halves(type == DType::fp16 ? count : 0),
        floats(type == DType::fp16 ? 0 : count) {}
  std::size_t size() const { return std::max(halves.size(), floats.size()); }
  void* data() { return dtype == DType::fp16 ? static_cast<void*>(halves.data()) : floats.data(); }
  float at(std::ptrdiff_t i) const {
    const auto index = static_cast<std::size_t>(i);
    return dtype == DType::fp16 ? float_from_half(halves[index]) : floats[index];
  }
  void set(std::ptrdiff_t i, float value) {
    const auto index = static_cast<std::size_t>(i);
    if (dtype == DType::fp16) {
      halves[index] = half_from_float(value);
    } else {
      floats[index] = value;
    }
  }
  void fill(Random& random) {
    for (std::size_t i = 0; i < size(); ++i) set(static_cast<std::ptrdiff_t>(i), random.value());
  }
  /// The same bits; NaNs are not equal to themselves otherwise.
  friend bool operator==(const Elements& a, const Elements& b) {
    return a.halves == b.halves && a.floats.size() == b.floats.size() &&
           (a.floats.empty() ||
            std::memcmp(a.floats.data(), b.floats.data(), 4 * a.floats.size()) == 0);
  }
};

/// How the elements of a matrix lie in memory.
enum class Order { rows, columns, wide_rows, wide_columns, gaps };

struct Strides {
  std::ptrdiff_t row;
  std::ptrdiff_t column;
  std::size_t elements;  // of one matrix
};

Strides strides_of(Order order, std::size_t rows, std::size_t columns) {
  const auto r = static_cast<std::ptrdiff_t>(rows);
  const auto c = static_cast<std::ptrdiff_t>(columns);
  switch (order) {
    case Order::rows:
      return {c, 1, rows * columns};
    case Order::columns:
      return {1, r, rows * columns};
    case Order::wide_rows:
      return {c + 3, 1, rows * (columns + 3)};
    case Order::wide_columns:
      return {1, r + 5, (rows + 5) * columns};
    case Order::gaps:
      return {2 * c + 1, 2, rows * (2 * columns + 1)};
  }
  return {};
}

struct Setup {
  std::size_t rows = 1;
  std::size_t columns = 1;
  std::size_t inner = 1;
  std::size_t batch = 1;
  DType a_dtype = DType::fp16;
  DType b_dtype = DType::fp16;
  DType c_dtype = DType::fp16;
  Order a_order = Order::rows;
  Order b_order = Order::rows;
  Order c_order = Order::rows;
  bool a_once = false;  // the same for the whole batch
  bool b_once = false;
  int bias = 0;  // 1: per row, 2: per column
};

/// A product with its memory, and a second result to hold against it.
class Trial {
 public:
  explicit Trial(const Setup& setup, std::uint64_t seed = 1)
      : setup_(setup),
        a_(strides_of(setup.a_order, setup.rows, setup.inner)),
        b_(strides_of(setup.b_order, setup.inner, setup.columns)),
        c_(strides_of(setup.c_order, setup.rows, setup.columns)),
        a(setup.a_dtype, a_.elements * setup.batch),
        b(setup.b_dtype, b_.elements * setup.batch),
        bias(setup.b_dtype, std::max(setup.rows, setup.columns) * setup.batch),
        c(setup.c_dtype, c_.elements * setup.batch),
        expected(c) {
    Random random(seed);
    a.fill(random);
    b.fill(random);
    bias.fill(random);
    dim_ = {setup.batch, setup.a_once ? 0 : static_cast<std::ptrdiff_t>(a_.elements),
            setup.b_once ? 0 : static_cast<std::ptrdiff_t>(b_.elements),
            static_cast<std::ptrdiff_t>(c_.elements),
            static_cast<std::ptrdiff_t>(std::max(setup.rows, setup.columns))};
  }

  Product product() {
    Product p;
    p.rows = setup_.rows;
    p.columns = setup_.columns;
    p.inner = setup_.inner;
    p.a = {a.data(), a.dtype, a_.row, a_.column, nullptr};
    p.b = {b.data(), b.dtype, b_.row, b_.column, nullptr};
    p.c = {c.data(), c.dtype, c_.row, c_.column};
    if (setup_.bias != 0) p.bias = {bias.data(), bias.dtype, 1, setup_.bias == 1};
    p.batch = {&dim_, 1};
    return p;
  }

  /// The documented sum, term by term. Only volatile keeps a compiler that was told nothing about
  /// contraction from fusing it.
  void expect() {
    for (std::size_t n = 0; n < setup_.batch; ++n) {
      const auto at = static_cast<std::ptrdiff_t>(n);
      for (std::size_t i = 0; i < setup_.rows; ++i) {
        for (std::size_t j = 0; j < setup_.columns; ++j) expect_element(at, i, j);
      }
    }
  }

  void clear() {
    std::fill(c.halves.begin(), c.halves.end(), std::uint16_t{0});
    std::fill(c.floats.begin(), c.floats.end(), 0.0f);
  }

  bool packs(ProductSide side, PackedMatrix& packed, ThreadPool& pool, std::size_t other = 0,
             bool by_columns = false, NumericMode mode = NumericMode::exact) {
    const bool is_a = side == ProductSide::a;
    const Product p = product();
    PackRequest request;
    request.mode = mode;
    request.side = side;
    request.matrix = is_a ? p.a : p.b;
    request.rows = is_a ? setup_.rows : setup_.inner;
    request.columns = is_a ? setup_.inner : setup_.columns;
    request.count = (is_a ? setup_.a_once : setup_.b_once) ? 1 : setup_.batch;
    request.matrix_stride = is_a ? dim_.a_stride : dim_.b_stride;
    request.other = other;
    request.result_by_columns = by_columns;
    return packed.pack(request, pool);
  }

  /// The product with one operand packed.
  Product packed_product(ProductSide side, const PackedMatrix& packed) {
    Product p = product();
    packed_dim_ = dim_;
    const bool is_a = side == ProductSide::a;
    (is_a ? p.a : p.b) = {nullptr, DType::fp16, 0, 0, &packed};
    std::ptrdiff_t& stride = is_a ? packed_dim_.a_stride : packed_dim_.b_stride;
    if (stride != 0) stride = 1;
    p.batch = {&packed_dim_, 1};
    return p;
  }

 private:
  void expect_element(std::ptrdiff_t n, std::size_t row, std::size_t column) {
    const auto i = static_cast<std::ptrdiff_t>(row);
    const auto j = static_cast<std::ptrdiff_t>(column);
    float sum = 0;
    for (std::ptrdiff_t k = 0; k < static_cast<std::ptrdiff_t>(setup_.inner); ++k) {
      const volatile float term = a.at(n * dim_.a_stride + i * a_.row + k * a_.column) *
                                  b.at(n * dim_.b_stride + k * b_.row + j * b_.column);
      sum += term;
    }
    if (setup_.bias != 0) sum += bias.at(n * dim_.bias_stride + (setup_.bias == 1 ? i : j));
    if (std::isnan(sum)) sum = std::bit_cast<float>(0x7FC00000u);
    expected.set(n * dim_.c_stride + i * c_.row + j * c_.column, sum);
  }

  Setup setup_;
  Strides a_;
  Strides b_;
  Strides c_;
  BatchDim dim_;
  BatchDim packed_dim_;

 public:
  Elements a;
  Elements b;
  Elements bias;
  Elements c;
  Elements expected;
};

/// Lifts the limit at the end of a test.
struct SimdLimit {
  ~SimdLimit() { limit_simd(""); }
};

std::string describe(const Setup& s) {
  std::string text = std::to_string(s.rows) + "x" + std::to_string(s.columns) + "x" +
                     std::to_string(s.inner) + " batch " + std::to_string(s.batch);
  for (const DType dtype : {s.a_dtype, s.b_dtype, s.c_dtype}) {
    text += dtype == DType::fp16 ? " fp16" : " fp32";
  }
  for (const Order order : {s.a_order, s.b_order, s.c_order}) {
    text += " order " + std::to_string(static_cast<int>(order));
  }
  return text + (s.a_once ? " one a" : "") + (s.b_once ? " one b" : "") + " bias " +
         std::to_string(s.bias);
}

/// The largest difference between the result and the documented one.
float worst_difference(const Trial& trial) {
  float worst = 0;
  for (std::size_t i = 0; i < trial.c.size(); ++i) {
    const auto at = static_cast<std::ptrdiff_t>(i);
    worst = std::max(worst, std::fabs(trial.c.at(at) - trial.expected.at(at)));
  }
  return worst;
}

/// What another order of adding, and another rounding to halves because of it, may make.
float tolerance(const Setup& setup) {
  const auto terms = static_cast<float>(setup.inner);
  return 0x1p-22f * terms + (setup.c_dtype == DType::fp16 ? 0x1p-10f * std::sqrt(terms) : 0.0f);
}

/// Every vector unit and every way of packing gives the documented bits.
void check_exact(const Setup& setup, ThreadPool& pool, ProductWorkspace& workspace,
                 std::uint64_t seed) {
  CAPTURE(describe(setup));
  CAPTURE(pool.threads());
  const SimdLimit limit;
  Trial trial(setup, seed);
  trial.expect();
  for (const std::string_view level : simd_levels()) {
    CAPTURE(level);
    REQUIRE(limit_simd(level));
    trial.clear();
    REQUIRE(multiply(trial.product(), pool, workspace));
    REQUIRE((trial.c == trial.expected));
    for (const ProductSide side : {ProductSide::a, ProductSide::b}) {
      const bool is_a = side == ProductSide::a;
      for (const std::size_t other : {std::size_t{0}, is_a ? setup.columns : setup.rows}) {
        CAPTURE(is_a);
        CAPTURE(other);
        PackedMatrix packed;
        REQUIRE(trial.packs(side, packed, pool, other, setup.c_order == Order::columns));
        trial.clear();
        REQUIRE(multiply(trial.packed_product(side, packed), pool, workspace));
        REQUIRE((trial.c == trial.expected));
      }
    }
  }
}

TEST_CASE("products have the documented bits at every size, order, dtype and vector unit") {
  constexpr std::size_t kSizes[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  11,
                                    12, 13, 16, 17, 25, 31, 32, 33, 47, 65};
  Random random(7);
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    ProductWorkspace workspace;
    for (int i = 0; i < 100; ++i) {
      const auto size = [&] { return kSizes[random.below(std::size(kSizes))]; };
      const auto dtype = [&] { return random.below(2) == 0 ? DType::fp16 : DType::fp32; };
      const auto order = [&] { return static_cast<Order>(random.below(5)); };
      Setup setup;
      setup.rows = size();
      setup.columns = size();
      setup.inner = size();
      setup.batch = random.below(3) == 0 ? 1 + random.below(9) : 1;
      setup.a_dtype = dtype();
      setup.b_dtype = dtype();
      setup.c_dtype = dtype();
      setup.a_order = order();
      setup.b_order = order();
      setup.c_order = order();
      setup.a_once = random.below(4) == 0;
      setup.b_once = random.below(4) == 0;
      setup.bias = static_cast<int>(random.below(3));
      check_exact(setup, pool, workspace, random.next());
    }
  }
}

TEST_CASE("sums that go over several blocks have the documented bits") {
  const Setup setups[] = {
      {.rows = 100, .columns = 70, .inner = 257},
      {.rows = 70, .columns = 100, .inner = 600, .a_dtype = DType::fp32, .c_dtype = DType::fp32},
      {.rows = 13, .columns = 33, .inner = 3000, .b_order = Order::columns, .bias = 1},
      {.rows = 1, .columns = 500, .inner = 1025, .b_order = Order::columns, .bias = 2},
      {.rows = 500, .columns = 1, .inner = 513, .c_order = Order::gaps, .bias = 1},
      {.rows = 50, .columns = 40, .inner = 300, .batch = 20, .b_dtype = DType::fp32},
  };
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    ProductWorkspace workspace;
    for (const Setup& setup : setups) check_exact(setup, pool, workspace, 3);
  }
}

TEST_CASE("operands of which only a part is shared at a time have the documented bits") {
  ThreadPool pool(2);
  ProductWorkspace workspace;
  for (const Setup& setup : {Setup{.rows = 33, .columns = 33, .inner = 33'000},
                             Setup{.rows = 26, .columns = 34, .inner = 41'000}}) {
    CAPTURE(describe(setup));
    Trial trial(setup);
    trial.expect();
    const SimdLimit limit;
    for (const std::string_view level : simd_levels()) {
      CAPTURE(level);
      REQUIRE(limit_simd(level));
      trial.clear();
      REQUIRE(multiply(trial.product(), pool, workspace));
      CHECK((trial.c == trial.expected));
    }
  }
}

TEST_CASE("without terms the result is the bias, or 0") {
  ThreadPool pool(2);
  ProductWorkspace workspace;
  for (const int bias : {0, 1, 2}) {
    for (const DType dtype : {DType::fp16, DType::fp32}) {
      const Setup setup = {
          .rows = 14, .columns = 35, .inner = 0, .batch = 2, .c_dtype = dtype, .bias = bias};
      check_exact(setup, pool, workspace, 5);
    }
  }
  Trial zeros({.rows = 2, .columns = 3, .inner = 0});
  std::fill(zeros.c.halves.begin(), zeros.c.halves.end(), std::uint16_t{0x1234});
  REQUIRE(multiply(zeros.product(), pool, workspace));
  CHECK(zeros.c.halves == std::vector<std::uint16_t>(6, 0));
}

TEST_CASE("a product without elements writes nothing") {
  ThreadPool pool(2);
  ProductWorkspace workspace;
  for (const Setup& setup :
       {Setup{.rows = 0, .columns = 5, .inner = 3}, Setup{.rows = 5, .columns = 0, .inner = 3},
        Setup{.rows = 0, .columns = 0, .inner = 0},
        Setup{.rows = 4, .columns = 5, .inner = 3, .batch = 0}}) {
    check_exact(setup, pool, workspace, 1);
  }
}

TEST_CASE("several dimensions of a batch, some of them broadcast") {
  ThreadPool pool(2);
  ProductWorkspace workspace;
  // a [3, 1, 4, 5], b [2, 5, 6], c [3, 2, 4, 6] with the second dimension outermost.
  Elements a(DType::fp16, 3 * 4 * 5);
  Elements b(DType::fp16, 2 * 5 * 6);
  Elements c(DType::fp32, 3 * 2 * 4 * 6);
  Random random(1);
  a.fill(random);
  b.fill(random);
  const BatchDim batch[] = {{3, 20, 0, 24, 0}, {2, 0, 30, 72, 0}};
  Product p;
  p.rows = 4;
  p.columns = 6;
  p.inner = 5;
  p.a = {a.data(), DType::fp16, 5, 1, nullptr};
  p.b = {b.data(), DType::fp16, 6, 1, nullptr};
  p.c = {c.data(), DType::fp32, 6, 1};
  p.batch = batch;
  REQUIRE(multiply(p, pool, workspace));
  for (std::ptrdiff_t x = 0; x < 3; ++x) {
    for (std::ptrdiff_t y = 0; y < 2; ++y) {
      for (std::ptrdiff_t i = 0; i < 4; ++i) {
        for (std::ptrdiff_t j = 0; j < 6; ++j) {
          float sum = 0;
          for (std::ptrdiff_t k = 0; k < 5; ++k) {
            sum += a.at(x * 20 + i * 5 + k) * b.at(y * 30 + k * 6 + j);
          }
          REQUIRE(c.at(x * 24 + y * 72 + i * 6 + j) == sum);
        }
      }
    }
  }
}

TEST_CASE("negative strides and strides of 0") {
  ThreadPool pool(1);
  ProductWorkspace workspace;
  Trial trial({.rows = 20, .columns = 33, .inner = 9});
  Product p = trial.product();
  // Both turned around along the terms, from the last on: the same terms, added from the end.
  p.a.data = static_cast<std::uint16_t*>(trial.a.data()) + 8;
  p.a.column_stride = -1;
  p.b.data = static_cast<std::uint16_t*>(trial.b.data()) + 8 * 33;
  p.b.row_stride = -33;
  REQUIRE(multiply(p, pool, workspace));
  for (std::ptrdiff_t i = 0; i < 20; ++i) {
    float sum = 0;
    for (std::ptrdiff_t k = 9; k-- > 0;) sum += trial.a.at(i * 9 + k) * trial.b.at(k * 33 + 32);
    CHECK(trial.c.halves[static_cast<std::size_t>(i * 33 + 32)] == half_from_float(sum));
  }
  // The first row for all rows.
  p = trial.product();
  p.a.row_stride = 0;
  REQUIRE(multiply(p, pool, workspace));
  for (std::size_t i = 33; i < 20 * 33; ++i) {
    REQUIRE(trial.c.halves[i] == trial.c.halves[i % 33]);
  }
}

TEST_CASE("infinities, NaNs, subnormals, zeros and overflow") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float specials[] = {kInfinity,
                            -kInfinity,
                            std::numeric_limits<float>::quiet_NaN(),
                            std::bit_cast<float>(0xFFC12345u),
                            0.0f,
                            -0.0f,
                            0x1p-24f,
                            -0x1p-24f,
                            0x1.ff8p-15f,
                            65504.0f,
                            -65504.0f,
                            1.0f};
  Random random(11);
  for (const int threads : {1, 2}) {
    ThreadPool pool(threads);
    ProductWorkspace workspace;
    for (const DType dtype : {DType::fp16, DType::fp32}) {
      for (int round = 0; round < 20; ++round) {
        const Setup setup = {.rows = 30,
                             .columns = 40,
                             .inner = 1 + random.below(4),
                             .a_dtype = dtype,
                             .c_dtype = round % 2 == 0 ? DType::fp16 : DType::fp32,
                             .bias = round % 3};
        Trial trial(setup);
        for (Elements* elements : {&trial.a, &trial.b, &trial.bias}) {
          for (std::size_t i = 0; i < elements->size(); ++i) {
            const float value = specials[random.below(std::size(specials))];
            elements->set(static_cast<std::ptrdiff_t>(i), value);
          }
        }
        trial.expect();
        for (const std::string_view level : simd_levels()) {
          CAPTURE(level);
          const SimdLimit limit;
          REQUIRE(limit_simd(level));
          REQUIRE(multiply(trial.product(), pool, workspace));
          REQUIRE((trial.c == trial.expected));
        }
      }
    }
  }
}

TEST_CASE("what fp32 cannot represent is not flushed to zero") {
  ThreadPool pool(1);
  ProductWorkspace workspace;
  Trial trial({.rows = 1,
               .columns = 3,
               .inner = 1,
               .a_dtype = DType::fp32,
               .b_dtype = DType::fp32,
               .c_dtype = DType::fp32});
  trial.a.floats = {0x1p-100f};
  trial.b.floats = {0x1p-40f, 0x1.8p-49f, 0x1p-60f};
  REQUIRE(multiply(trial.product(), pool, workspace));
  CHECK(trial.c.floats == std::vector<float>{0x1p-140f, 0x1p-148f, 0.0f});
}

TEST_CASE("products run by several threads at a time share a pool and packed constants") {
  ThreadPool pool(3);
  Trial shared({.rows = 64, .columns = 50, .inner = 300});
  PackedMatrix packed;
  REQUIRE(shared.packs(ProductSide::a, packed, pool));
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      Trial trial({.rows = 64, .columns = 50, .inner = 300});
      trial.expect();
      ProductWorkspace workspace;
      for (int round = 0; round < 20; ++round) {
        trial.clear();
        const bool done = multiply(trial.packed_product(ProductSide::a, packed), pool, workspace);
        if (!done || !(trial.c == trial.expected)) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}

TEST_CASE("a reserved workspace does not grow, and packed constants keep their dtype") {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (const Setup& setup :
         {Setup{.rows = 300, .columns = 200, .inner = 1000},
          Setup{.rows = 20, .columns = 30, .inner = 40, .batch = 50},
          Setup{.rows = 1, .columns = 700, .inner = 300, .b_dtype = DType::fp32}}) {
      CAPTURE(describe(setup));
      Trial trial(setup);
      Product unplaced = trial.product();
      unplaced.a.data = unplaced.b.data = unplaced.c.data = nullptr;
      const std::size_t bytes = workspace_bytes(unplaced, threads);
      ProductWorkspace workspace;
      REQUIRE(workspace.reserve(bytes));
      const std::byte* before = workspace.data();
      REQUIRE(multiply(trial.product(), pool, workspace));
      CHECK(workspace.bytes() == bytes);
      CHECK(workspace.data() == before);
      // The larger operand is never copied as a whole.
      CHECK(bytes <= (std::size_t{6} << 20));
      PackedMatrix packed;
      REQUIRE(trial.packs(ProductSide::b, packed, pool));
      const std::size_t size = setup.b_dtype == DType::fp16 ? 2 : 4;
      CHECK(packed.bytes() >= setup.columns * setup.inner * setup.batch * size);
      CHECK(packed.bytes() <= (setup.columns + 31) * setup.inner * setup.batch * size);
    }
  }
}

Setup random_setup(Random& random, std::size_t largest) {
  Setup setup;
  const auto dtype = [&] { return random.below(3) == 0 ? DType::fp16 : DType::fp32; };
  const auto order = [&] { return static_cast<Order>(random.below(5)); };
  setup.rows = 1 + random.below(largest);
  setup.columns = 1 + random.below(largest);
  setup.inner = 1 + random.below(largest);
  setup.batch = 1 + random.below(3);
  setup.a_dtype = dtype();
  setup.b_dtype = dtype();
  setup.c_dtype = dtype();
  setup.a_order = order();
  setup.b_order = order();
  setup.c_order = order();
  setup.a_once = random.below(4) == 0;
  setup.b_once = random.below(4) == 0;
  setup.bias = static_cast<int>(random.below(3));
  return setup;
}

TEST_CASE("fast products are near the exact ones, packed or not") {
  Random random(3);
  for (const int threads : {1, 2}) {
    ThreadPool pool(threads);
    ProductWorkspace workspace;
    for (int i = 0; i < 60; ++i) {
      const Setup setup = random_setup(random, i < 30 ? 20 : 150);
      CAPTURE(describe(setup));
      Trial trial(setup, random.next());
      trial.expect();
      Product p = trial.product();
      p.mode = NumericMode::fast;
      REQUIRE(multiply(p, pool, workspace));
      CHECK(worst_difference(trial) <= tolerance(setup));
      for (const ProductSide side : {ProductSide::a, ProductSide::b}) {
        PackedMatrix packed;
        REQUIRE(trial.packs(side, packed, pool, 0, false, NumericMode::fast));
        for (const NumericMode mode : {NumericMode::fast, NumericMode::exact}) {
          trial.clear();
          p = trial.packed_product(side, packed);
          p.mode = mode;
          ProductWorkspace own;
          REQUIRE(own.reserve(workspace_bytes(p, threads)));
          const std::size_t bytes = own.bytes();
          REQUIRE(multiply(p, pool, own));
          CHECK(own.bytes() == bytes);
          CHECK(worst_difference(trial) <= tolerance(setup));
          if (mode == NumericMode::exact) CHECK((trial.c == trial.expected));
        }
      }
    }
  }
}

TEST_CASE("the CBLAS library is given every dtype and order") {
  const BlasLibrary& blas = blas_library();
  if (blas.sgemm == nullptr) {
    MESSAGE("skipped: ", blas.name);
    return;
  }
  Random random(5);
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int i = 0; i < 60; ++i) {
      const Setup setup = random_setup(random, i < 30 ? 20 : 130);
      CAPTURE(describe(setup));
      Trial trial(setup, random.next());
      trial.expect();
      const Product p = trial.product();
      ProductWorkspace workspace;
      REQUIRE(workspace.reserve(blas_workspace_bytes(p, threads) + 1));
      blas_multiply(p, blas, pool, workspace.data());
      CHECK(worst_difference(trial) <= tolerance(setup));
    }
  }
}

TEST_CASE("packed constants can be had again") {
  ThreadPool pool(2);
  for (const DType dtype : {DType::fp16, DType::fp32}) {
    for (const NumericMode mode : {NumericMode::exact, NumericMode::fast}) {
      for (const ProductSide side : {ProductSide::a, ProductSide::b}) {
        for (const bool by_columns : {false, true}) {
          constexpr std::size_t kRows = 37;
          constexpr std::size_t kColumns = 45;
          constexpr std::size_t kCount = 3;
          const std::size_t count = kRows * kColumns * kCount;
          Elements from(dtype, count);
          Random random(count);
          for (std::size_t i = 0; i < count; ++i) {
            from.set(static_cast<std::ptrdiff_t>(i), random.value());
          }
          PackRequest request;
          request.mode = mode;
          request.side = side;
          request.matrix = {from.data(), dtype, by_columns ? 1 : std::ptrdiff_t{kColumns},
                            by_columns ? std::ptrdiff_t{kRows} : 1, nullptr};
          request.rows = kRows;
          request.columns = kColumns;
          request.count = kCount;
          request.matrix_stride = kRows * kColumns;
          request.result_by_columns = by_columns;
          PackedMatrix packed;
          REQUIRE(packed.pack(request, pool));
          request.matrix.data = nullptr;
          Elements again(dtype, count);
          packed.unpack(request, again.data());
          CHECK(again.halves == from.halves);
          CHECK(again.floats == from.floats);
        }
      }
    }
  }
}

TEST_CASE("which products go to the CBLAS library") {
  BlasLibrary blas;
  Trial floats({.rows = 64,
                .columns = 64,
                .inner = 64,
                .a_dtype = DType::fp32,
                .b_dtype = DType::fp32,
                .c_dtype = DType::fp32});
  Trial halves({.rows = 64, .columns = 64, .inner = 64});
  Trial gaps({.rows = 64,
              .columns = 64,
              .inner = 64,
              .a_dtype = DType::fp32,
              .b_dtype = DType::fp32,
              .c_dtype = DType::fp32,
              .b_order = Order::gaps});
  CHECK(!blas_wants(blas, floats.product()));
  blas.sgemm = [](int, int, int, int, int, int, float, const float*, int, const float*, int, float,
                  float*, int) {};
  CHECK(blas_wants(blas, floats.product()));
  CHECK(!blas_wants(blas, halves.product()));
  CHECK(!blas_wants(blas, gaps.product()));
  Product small = floats.product();
  small.inner = 1;
  CHECK(!blas_wants(blas, small));
  Product narrow = floats.product();
  narrow.rows = 1;
  narrow.inner = 100'000;
  CHECK(!blas_wants(blas, narrow));
  PackRequest request;
  request.matrix.dtype = DType::fp32;
  CHECK(blas_wants(blas, request));
  request.other = 1;
  CHECK(!blas_wants(blas, request));
  blas.has_matrix_unit = true;
  CHECK(blas_wants(blas, halves.product()));
  CHECK(blas_wants(blas, gaps.product()));
  CHECK(!blas_wants(blas, small));
}

TEST_CASE("a CBLAS library that cannot be had says why") {
  CHECK(load_blas("none").name == "none (as asked for)");
  CHECK((load_blas("none").sgemm == nullptr));
  const BlasLibrary absent = load_blas("/nowhere/libblas.so");
  CHECK((absent.sgemm == nullptr));
  CHECK(absent.name.starts_with("none (/nowhere/libblas.so: "));
  CHECK((blas_library().sgemm == nullptr) == blas_library().name.starts_with("none ("));
}

TEST_CASE("vector units can be limited to those that there are") {
  const SimdLimit limit;
  const std::vector<std::string_view> levels = simd_levels();
  REQUIRE(!levels.empty());
  for (const std::string_view level : levels) {
    CHECK(limit_simd(level));
    CHECK(simd_level() == level);
  }
  CHECK(!limit_simd("mmx"));
  CHECK(simd_level() == levels.back());
  CHECK(limit_simd(""));
}

TEST_CASE("memory that there is not is said") {
  ProductWorkspace workspace;
  CHECK(workspace.reserve(10));
  CHECK(!workspace.reserve(AlignedBuffer::kMostBytes + 1));
  CHECK(workspace.bytes() == 0);
  CHECK(workspace.reserve(100));
  CHECK(reinterpret_cast<std::uintptr_t>(workspace.data()) % AlignedBuffer::kAlignmentBytes == 0);
}

}  // namespace
}  // namespace milgen::detail
