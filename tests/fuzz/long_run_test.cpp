// The generators for longer than every build can wait.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "fuzz/program_checks.h"
#include "fuzz/run_checks.h"

using namespace milgen::test;

namespace {

/// The faults of many seeds, the first ten of them in full.
template <class FaultOf>
void check_many(std::uint64_t programs, const FaultOf& fault_of) {
  int found = 0;
  for (std::uint64_t seed = 1'000'000; seed < 1'000'000 + programs; ++seed) {
    RandomChoices choices(seed);
    const std::string fault = fault_of(choices, seed);
    if (!fault.empty() && ++found <= 10) FAIL_CHECK("seed ", seed, ": ", fault);
  }
  CHECK(found == 0);
}

}  // namespace

TEST_CASE("many random programs") {
  check_many(50'000, [](Choices& choices, std::uint64_t) {
    ProgramGenerator generator(choices);
    return fault_of_program(generator, generator.plan());
  });
}

TEST_CASE("many random programs that run") {
  RunTally tally;
  check_many(3'000, [&](Choices& choices, std::uint64_t seed) {
    ProgramGenerator generator(choices);
    return fault_of_run(generator.program(generator.plan()), seed, tally);
  });
  MESSAGE(tally.programs, " programs, ", tally.compiled, " compiled, ", tally.complete_runs, " of ",
          tally.runs, " runs complete");
}

TEST_CASE("many random chains") {
  RunTally tally;
  check_many(30'000, [&](Choices& choices, std::uint64_t seed) {
    ChainGenerator generator(choices);
    return fault_of_chain(generator.program(), seed, tally);
  });
}
