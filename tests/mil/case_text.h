// Recorded cases as MIL text: the program that a compiler, or a hand, would have written for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/case_json.h"
#include "milgen/module.h"

namespace milgen::test {

/// What is wrong about the type that is written for the first result of a case of one op.
enum class Spoiled : std::uint8_t { nothing, dtype, dim, rank };

struct CaseStyle {
  mil::Dialect dialect = mil::Dialect::v1_3;
  /// Constants stand where they are used instead of as ops of their own.
  bool in_place = false;
  /// Tensors of floats stand in the text however many elements they have, so that a program needs
  /// no weight file to be run.
  bool whole = false;
  Spoiled spoiled = Spoiled::nothing;
};

/// The text of a case of infer_cases, in Apple's layout. Run-time values are inputs of the
/// function, dims that are not known `?`; the arguments that Apple's compiler demands and the case
/// leaves to their defaults are written; results have the expected types, or those that inference
/// gives, or, where it refuses the op, the type of the first operand. nullopt, and `why`, for what
/// text cannot spell.
std::optional<std::string> case_text(const Json& json, const CaseStyle& style, std::string& why);

/// A case of eval_cases in the form of infer_cases.
Json as_infer_case(const Json& eval_case);

}  // namespace milgen::test
