// Valid programs over the whole opset, generated from fixed seeds: each has to parse, to print back
// byte for byte, to verify, and to be the same program when its white space is not what it was.
#include "fuzz/program_generator.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "fuzz/program_checks.h"

using namespace milgen;
using namespace milgen::test;

namespace {

struct NotGenerated {
  std::string_view op;
  std::string_view why;
};
// Empty: the generator reaches every op.
constexpr std::initializer_list<NotGenerated> kNotGenerated = {};

}  // namespace

TEST_CASE("programs of every op in every opset") {
  std::map<std::string_view, Attempts> attempts;
  std::string faults;
  int programs = 0;
  int found = 0;
  for (const OpInfo& info : op_table()) {
    for (int opset = 15; opset <= 18; ++opset) {
      if (info.since() > static_cast<Opset>(opset)) continue;
      // Some ops are hard to come by.
      constexpr std::uint64_t kSeeds = 30;
      const int before = attempts[info.name].valid;
      for (std::uint64_t seed = 0; seed < kSeeds && attempts[info.name].valid == before; ++seed) {
        RandomChoices choices((static_cast<std::uint64_t>(info.code) * 100 + seed) * 100 +
                              static_cast<std::uint64_t>(opset));
        ProgramGenerator generator(choices);
        ProgramPlan plan = generator.plan();
        plan.opset = static_cast<Opset>(opset);
        plan.dialect = opset != 18 && choices.chance(50) ? mil::Dialect::v1_0 : mil::Dialect::v1_3;
        plan.first = &info;
        const std::string fault = fault_of_program(generator, plan);
        ++programs;
        if (!fault.empty() && ++found <= 20) FAIL_CHECK(info.name, ", ios", opset, ": ", fault);
        for (const auto& [name, one] : generator.attempts()) {
          attempts[name].tried += one.tried;
          attempts[name].valid += one.valid;
        }
      }
    }
  }
  std::string table;
  Attempts all;
  for (const OpInfo& info : op_table()) {
    const Attempts one = attempts[info.name];
    all.tried += one.tried;
    all.valid += one.valid;
    table += fmt::format("{:42}{:7}{:7}{:5.0f} %\n", info.name, one.tried, one.valid,
                         100.0 * one.valid / std::max(one.tried, 1));
    bool is_listed = false;
    for (const NotGenerated& exception : kNotGenerated) is_listed |= exception.op == info.name;
    CHECK_MESSAGE((one.valid > 0) != is_listed, info.name, " is generated ", one.valid, " times");
  }
  MESSAGE(programs, " programs, ", all.valid, " valid ops of ", all.tried, " tried (",
          100 * all.valid / std::max(all.tried, 1), " %); op, tried, valid, share:\n", table);
  CHECK(found == 0);
}

TEST_CASE("random programs") {
  int found = 0;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    RandomChoices choices(seed);
    ProgramGenerator generator(choices);
    const std::string fault = fault_of_program(generator, generator.plan());
    if (!fault.empty() && ++found <= 10) FAIL_CHECK("seed ", seed, ": ", fault);
  }
  CHECK(found == 0);
}

TEST_CASE("the same seed makes the same program") {
  const auto make = [](std::uint64_t seed) {
    RandomChoices choices(seed);
    ProgramGenerator generator(choices);
    return generator.program(generator.plan());
  };
  CHECK(make(1) == make(1));
  CHECK(make(1) != make(2));
}

TEST_CASE("choices that end are zeros") {
  const std::uint8_t bytes[] = {200, 1, 2};
  ByteChoices choices(bytes);
  CHECK(choices.below(100) == 0);
  CHECK(choices.below(1000) == 258);
  CHECK(choices.below(5) == 0);
}
