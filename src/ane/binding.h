// How the inputs and outputs of a program are found in what a loaded model tells (ane_runtime, 4.0,
// 4.5 and 4.6).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ane/foundation.h"
#include "ane/model_state.h"

namespace milgen::ane {

/// What a model tells; everything may be missing.
struct Told {
  Property attributes;                      ///< modelAttributes
  std::vector<std::int64_t> input_indices;  ///< symbols of procedure 0, ascending
  std::vector<std::int64_t> output_indices;
};

/// Gives each input and output its symbol, its index, and the strides that the model has for it.
/// `by_engine` is whether names were there to go by. `program` is for messages.
Error bind_declaration(const Told& told, std::string_view program, Declaration& declaration,
                       bool& by_engine);

/// The declaration that the model tells, in the order of its symbols; empty when it tells none.
Result<Declaration> declaration_of(const Told& told);

}  // namespace milgen::ane
