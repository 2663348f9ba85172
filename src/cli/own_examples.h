// Examples of the ops whose DSL functions are written by hand: for the documentation.
#pragma once

#include <string_view>

#include "milgen/kernel.h"
#include "milgen/op_code.h"

namespace milgen::cli {

struct OwnExample {
  OpCode op;
  std::string_view source;  ///< C++: what `build` does
  void (*build)(Kernel& k);
};

/// Null when the op has a generated function, or none.
const OwnExample* find_own_example(OpCode op);

}  // namespace milgen::cli
