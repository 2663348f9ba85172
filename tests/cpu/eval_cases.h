// Evaluation cases through a backend: each is written as MIL text, read back, compiled and run, and
// what comes out is held against the expected values (op_semantics describes the files).
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/case_json.h"
#include "mil/case_text.h"
#include "milgen/backend.h"

namespace milgen::test {

/// What became of the cases of one op.
struct EvalScore {
  int passed = 0;
  int failed = 0;
  int not_run = 0;         ///< a tensor of a rank that Core ML does not take (op_semantics)
  int flagged_passed = 0;  ///< `flags`: a reference had to choose; judged, but not held against one
  int flagged_failed = 0;
};

struct EvalReport {
  std::map<std::string, EvalScore> ops;
  /// Of cases without flags: the case, how it was run, and what came instead of what. No more than
  /// some of an op.
  std::vector<std::string> faults;
  /// Of cases with flags.
  std::vector<std::string> flagged_faults;
};

/// Runs a case with its constants named and in place, in both numeric modes; all four have to give
/// the expected values for it to pass. The line that tells the origin of a file is no case.
void run_eval_case(const Backend& backend, const Json& json, EvalReport& report);

/// The program of a case; null, with the reason in `fault`, where it is none that this backend
/// runs.
std::unique_ptr<Executable> compile_case(const Backend& backend, const Json& json,
                                         const CaseStyle& style, const CompileOptions& options,
                                         std::string& fault);

/// What a program of a case is called with, in turn: most are called once. Its states live on.
std::span<const Json> calls_of(const Json& json);
std::vector<NamedArray> inputs_of(const Json& call);

/// "conv: 11 passed", one op a line.
std::string score_table(const EvalReport& report);

}  // namespace milgen::test
