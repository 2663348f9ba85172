// Bytes as the choices of the program generator: every text is valid.
#include <cstddef>
#include <cstdint>

#include "fuzz/program_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  milgen::test::ByteChoices choices({data, size});
  milgen::test::ProgramGenerator generator(choices);
  milgen::test::stop_at(milgen::test::fault_of_program(generator, generator.plan()));
  return 0;
}
