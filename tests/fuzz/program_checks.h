// What has to hold of generated programs, which are valid by construction.
#pragma once

#include <string>

#include "fuzz/program_generator.h"
#include "fuzz/text_checks.h"

namespace milgen::test {

/// Generates a program and says what is wrong with how it is taken: it has to parse, to be printed
/// back byte for byte, in disorder too, and the verifier must have no error. "" when all is well;
/// otherwise the text is part of the answer.
std::string fault_of_program(ProgramGenerator& generator, const ProgramPlan& plan);

}  // namespace milgen::test
