// Building, checking and printing costs memory in proportion to the graph, and few allocations:
// counted, because times depend on what else the machine does.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "milgen/milgen.h"
#include "support/counted_memory.h"

namespace {

using namespace milgen;

struct Cost {
  std::uint64_t allocations = 0;
  std::uint64_t bytes = 0;
  std::size_t text_bytes = 0;
};

template <class Build>
Cost cost_of(const Build& build) {
  std::size_t text_bytes = 0;
  const test::MemoryCost cost = test::memory_cost_of([&] {
    Kernel k("growth");
    build(k);
    const Program program = k.finish();
    REQUIRE(program);
    text_bytes = print_mil(program).size();
  });
  return {cost.allocations, cost.bytes, text_bytes};
}

/// About `ops` ops that share their attributes, with every tenth value named.
Cost chain(std::size_t ops) {
  return cost_of([&](Kernel& k) {
    auto x = k.input<fp16>("x", {1, 64, 1, 32});
    const auto w = k.weight<fp16>("w", {64, 64, 1, 1});
    std::string name;
    for (std::size_t i = 0; i < ops / 5; ++i) {
      const auto h = conv(x, w);
      x = x + h * sigmoid(h);
      x = slice_by_size(x, {0, 0, 0, 0}, {1, 64, 1, 32});
      name = "named";
      name += std::to_string(i);
      if (i % 2 == 0) x = x.named(name);
    }
    k.output("y", x);
  });
}

/// Ops of which each has a type and an attribute of its own.
Cost distinct(std::size_t ops) {
  return cost_of([&](Kernel& k) {
    const auto x = k.input<fp16>("x", {1, 1, 1, 4});
    std::vector<Tensor<fp16>> parts;
    for (std::size_t i = 0; i < ops / 2; ++i) {
      const auto width = static_cast<std::int64_t>(i + 1);
      parts.push_back(tile(x, {1, 1, 1, width}));
    }
    k.output("y", concat(parts, 3));
  });
}

/// One op with `ops` operands.
Cost wide(std::size_t ops) {
  return cost_of([&](Kernel& k) {
    const auto x = k.input<fp16>("x", {1, 1, 1, 4});
    const std::vector<Tensor<fp16>> parts(ops, x);
    k.output("y", concat(parts, 3));
  });
}

void check_growth(const char* what, Cost (*make)(std::size_t)) {
  const Cost small = make(1000);
  Cost before = small;
  for (const std::size_t ops : {std::size_t{10000}, std::size_t{100000}}) {
    const Cost now = make(ops);
    CAPTURE(what);
    CAPTURE(ops);
    CAPTURE(before.allocations);
    CAPTURE(before.bytes);
    CAPTURE(now.allocations);
    CAPTURE(now.bytes);
    // Arrays double, so ten times the ops may find one of them at the start of its last doubling
    // and the other at its end.
    CHECK(now.bytes <= before.bytes * 22);
    CHECK(now.bytes <= ops * 4096);
    // Arrays double a few more times; nothing is allocated for one op alone.
    CHECK(now.allocations <= 100 + ops / 100);
    CHECK(now.text_bytes >= before.text_bytes * 8);
    before = now;
  }
}

}  // namespace

TEST_CASE("memory grows with the number of ops") { check_growth("chain", chain); }

TEST_CASE("memory grows with the number of distinct types and attributes") {
  check_growth("distinct", distinct);
}

TEST_CASE("memory grows with the number of operands of one op") { check_growth("wide", wide); }

TEST_CASE("a kernel of the usual size is built and printed in a handful of allocations") {
  chain(40);  // what a thread keeps from one op to the next is made once
  const Cost cost = chain(40);
  CHECK(cost.allocations <= 40);
  CHECK(cost.bytes <= 96 * 1024);
}
