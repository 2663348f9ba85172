// How the engine says no.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace milgen::fake_ane {

/// The domain of every error (ane_runtime, section 4.6).
inline constexpr std::string_view kErrorDomain = "com.apple.appleneuralengine";

/// Codes of that domain (ane_runtime, section 4.6).
inline constexpr long kCompileError = 1;
inline constexpr long kInferenceError = 8;
inline constexpr long kLoadError = 6;
inline constexpr long kBundleError = 10;
inline constexpr long kChainingError = 15;

/// What the real one says (ane_constraints, section 1.15).
inline constexpr std::string_view kCompileFailed = "_ANECompiler : ANECCompile() FAILED";
inline constexpr std::string_view kParseFailed = "InvalidMILProgram";
inline constexpr std::string_view kLoadFailed = "Program load failure (0x20004)";
inline constexpr std::string_view kBundleFailed = "verifyBundleAtPath: invalid model";
inline constexpr std::string_view kWrongSymbol =
    "ANEProgramProcessRequestDirect() Failed with status=0x2 : statusType=0x9: Program Inference "
    "error";
inline constexpr std::string_view kInferenceFailed =
    "ANEProgramProcessRequestDirect() Failed with status=0x1d : statusType=0x9: Program Inference "
    "error";

/// An error as the real engine words it, and why, which the real engine keeps to itself.
struct EngineError {
  long code = 0;
  std::string description;
  std::string detail;

  /// Fills it in and gives false, for `return error.set(...)`.
  bool set(long error_code, std::string_view words, std::string why) {
    code = error_code;
    description = words;
    detail = std::move(why);
    return false;
  }
};

}  // namespace milgen::fake_ane
