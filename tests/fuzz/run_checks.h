// What has to hold of programs that run: whatever a plan fuses, shares or leaves out, and however
// many threads there are, the numbers are those of the ops one by one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/chain_generator.h"
#include "milgen/backend.h"
#include "milgen/module.h"

namespace milgen::test {

/// What became of the programs that were tried.
struct RunTally {
  int programs = 0;
  int compiled = 0;
  int runs = 0;
  int complete_runs = 0;
};

/// Compiles and runs the program on values that follow from the seed, several times in several
/// ways, and says what is wrong with the outcome: "" when all is well. A refusal needs a place.
std::string fault_of_run(std::string_view text, std::uint64_t seed, RunTally& tally);

/// The same, and the outputs are held against those of each op as a program of its own. Such a
/// program is never refused.
std::string fault_of_chain(const ChainProgram& program, std::uint64_t seed, RunTally& tally);

/// A value for a port: dims that the text leaves open become 1 to 4.
Array random_array(const TensorSpec& spec, Choices& choices);

}  // namespace milgen::test
