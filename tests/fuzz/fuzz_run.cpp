// Bytes as the choices of the generators: programs that run, the same in every way.
#include <cstddef>
#include <cstdint>

#include "fuzz/run_checks.h"
#include "fuzz/text_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // What an input chooses first is the generator. Its values follow from its size.
  milgen::test::ByteChoices choices({data + 1, size - 1});
  milgen::test::RunTally tally;
  if (data[0] % 2 == 0) {
    milgen::test::ChainGenerator generator(choices);
    milgen::test::stop_at(milgen::test::fault_of_chain(generator.program(), size, tally));
  } else {
    milgen::test::ProgramGenerator generator(choices);
    milgen::test::stop_at(
        milgen::test::fault_of_run(generator.program(generator.plan()), size, tally));
  }
  return 0;
}
