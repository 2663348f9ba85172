// What has to hold of every text, whatever stands in it: fuzzers and tests ask the same questions.
#pragma once

#include <string>
#include <string_view>

#include "milgen/diagnostic.h"
#include "milgen/module.h"

namespace milgen::test {

// Each says in one sentence what is wrong; "" when all is well.

/// Every place lies in the text (one column behind its last line is its end).
std::string fault_of_places(std::string_view text, const Diagnostics& diagnostics);

/// Every value knows exactly the bindings that name it, and every handle can be read.
std::string fault_of_handles(const Module& module);

/// Parsing says what it did, and what was read without an error prints to a fixpoint that means the
/// same: as it is written, in canonical form, and to the verifier.
std::string fault_of_text(std::string_view text);

/// Ends the process with the sentence, so that a fuzzer keeps the input; nothing for "".
void stop_at(const std::string& fault);

}  // namespace milgen::test
