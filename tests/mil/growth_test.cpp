// Reading and printing text costs memory in proportion to the text, and next to no allocations:
// counted, because times depend on what else the machine does.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>

#include "milgen/module.h"
#include "milgen/print.h"
#include "milgen/verify.h"
#include "support/counted_memory.h"

namespace {

using namespace milgen;

/// `ops` ops, of which every second is a constant.
std::string program(std::size_t ops) {
  std::string text = "program(1.3) {\n    func main<ios18>(tensor<fp16, [1, 4]> v0) {\n";
  for (std::size_t i = 1; i <= ops / 2; ++i) {
    fmt::format_to(
        std::back_inserter(text),
        "            fp16 c{0} = const()[name = string(\"c{0}\"), val = fp16(0x1.8p+1)];\n"
        "            tensor<fp16, [1, 4]> v{0} = mul(x = v{1}, y = c{0})[name = "
        "string(\"v{0}\")];\n",
        i, i - 1);
  }
  return text + fmt::format("        }} -> (v{});\n}}", ops / 2);
}

}  // namespace

TEST_CASE("memory grows with the text") {
  test::MemoryCost before[3];
  for (const std::size_t ops : {std::size_t{1000}, std::size_t{10'000}, std::size_t{100'000}}) {
    const std::string text = program(ops);
    Diagnostics diagnostics;
    Module module;
    bool same = false;
    const test::MemoryCost costs[] = {
        test::memory_cost_of([&] { module = parse_mil(text, diagnostics); }),
        test::memory_cost_of([&] { verify_mil(module, {}, diagnostics); }),
        test::memory_cost_of([&] { same = print_mil(module) == text; })};
    REQUIRE(module);
    CHECK(same);
    CHECK(diagnostics.empty());
    for (std::size_t i = 0; i < std::size(costs); ++i) {
      CAPTURE(i);
      CAPTURE(ops);
      CAPTURE(text.size());
      CAPTURE(costs[i].bytes);
      CAPTURE(costs[i].allocations);
      CHECK(costs[i].bytes <= 65'536 + text.size() * 16);
      // Arrays double a few more times; nothing is allocated for one op alone.
      CHECK(costs[i].allocations <= 200 + ops / 100);
      // Arrays double, so ten times the ops may find one of them at the start of its last doubling
      // and the other at its end.
      if (before[i].bytes != 0) CHECK(costs[i].bytes <= before[i].bytes * 22);
      before[i] = costs[i];
    }
  }
}
