// The generator for longer than every build can wait.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "fuzz/program_checks.h"

using namespace milgen::test;

TEST_CASE("many random programs") {
  constexpr std::uint64_t kPrograms = 50'000;
  int found = 0;
  for (std::uint64_t seed = 1'000'000; seed < 1'000'000 + kPrograms; ++seed) {
    RandomChoices choices(seed);
    ProgramGenerator generator(choices);
    const std::string fault = fault_of_program(generator, generator.plan());
    if (!fault.empty() && ++found <= 10) FAIL_CHECK("seed ", seed, ": ", fault);
  }
  CHECK(found == 0);
}
