// Programs that run: the same numbers one op at a time, in one plan, again, and on several threads.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "fuzz/run_checks.h"

using namespace milgen::test;

TEST_CASE("random programs over the whole opset run the same in every way") {
  RunTally tally;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    RandomChoices choices(seed);
    ProgramGenerator generator(choices);
    const std::string fault = fault_of_run(generator.program(generator.plan()), seed, tally);
    CHECK_MESSAGE(fault.empty(), "seed ", seed, ": ", fault);
  }
  MESSAGE(tally.programs, " programs, ", tally.compiled, " compiled, ", tally.complete_runs, " of ",
          tally.runs, " runs complete");
  CHECK(tally.complete_runs > 100);
}

TEST_CASE("random chains give what their ops give one by one") {
  RunTally tally;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    RandomChoices choices(seed);
    ChainGenerator generator(choices);
    const std::string fault = fault_of_chain(generator.program(), seed, tally);
    CHECK_MESSAGE(fault.empty(), "seed ", seed, ": ", fault);
  }
  CHECK(tally.complete_runs == 300);
}
