// A small kernel around one op, made from the op's row: for the documentation.
#pragma once

#include <string>

#include "milgen/op_info.h"

namespace milgen::cli {

struct OpExample {
  std::string source;  ///< C++
  std::string text;    ///< the MIL text that it prints
};

/// Looks for small operands that the op takes, by trying. False where there are none among those
/// that are tried, or the op has no function in the DSL.
bool make_op_example(const OpInfo& op, OpExample& example);

/// What a call of the op looks like in C++: "conv(x, weight, {.bias, .strides, ...})".
std::string op_call(const OpInfo& op);

}  // namespace milgen::cli
