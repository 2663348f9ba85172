// Judging MIL text: whether a Module says what a compiler would take.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/module.h"
#include "milgen/op_info.h"

namespace milgen {

enum class WeightCheck : std::uint8_t {
  skip,   ///< references are judged by themselves: path, offset, type
  check,  ///< and held against the files that they lead to
};

struct VerifyOptions {
  /// Judges every function as one of this opset instead of the one that it is written for. Ops with
  /// an opset of their own (`op<ios17>(...)`) keep that.
  std::optional<Opset> opset = {};
  WeightCheck weights = WeightCheck::skip;
  /// The folder that @model_path stands for.
  std::string model_path = ".";
  /// All references are looked up in this file, whatever their paths; "" for the files that they
  /// name.
  std::string weight_file = {};
  /// Reads weight files as ReadMode::lenient does (milgen/weights.h).
  bool lenient = false;
  /// Ids of diagnostics that are neither reported nor counted.
  std::vector<std::string> allow = {};
  /// How often one id is reported; one more (`report.many`) says how many were left out.
  std::size_t limit_per_id = 100;
};

/// Judges a module and reports everything that is wrong with it, in the order of the text; false
/// when an error is among that. What merely follows from another mistake is not reported: an op
/// that was refused counts as giving the types that are written, and an op with a syntax error is
/// passed over.
///
/// Errors are what makes a program mean nothing, or another thing than it says: unknown ops,
/// arguments that are missing, surplus or of the wrong type, types that are not those that the ops
/// give, names that are not defined or defined twice, literals that do not fit their types, weights
/// that are not there. Warnings are what is legal and probably not meant (values that nothing uses)
/// and what some loaders refuse. Each dim `?` of an input is a number of its own that is carried
/// through the ops; where milgen cannot say what a dim is, the one that is written counts.
///
/// `allowed_errors` gets the number of errors that VerifyOptions::allow keeps from being reported.
///
/// Linear in the text.
bool verify_mil(const Module& module, const VerifyOptions& options, Diagnostics& diagnostics,
                std::size_t* allowed_errors = nullptr);

}  // namespace milgen
