// Kernels run on a backend and held against their numeric goldens.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/numeric_golden.h"
#include "cli/run_input.h"
#include "milgen/diagnostic.h"

namespace milgen::cli {

/// Every *.numeric below GOLDEN_DIR/numeric in name order, as paths below GOLDEN_DIR.
std::vector<std::string> numeric_golden_files(const Context& context,
                                              const std::string& golden_dir);

/// "GOLDEN_DIR/numeric/SET/KERNEL.CONFIG.numeric"
std::string numeric_golden_path(const std::string& golden_dir, const GoldenHeader& header);

/// Reads a numeric golden. Reports `file.*`, `golden.format`, and `golden.kernel` where the header
/// is of another kernel or configuration than the path, which ends in SET/KERNEL.CONFIG.numeric.
bool read_numeric_golden(const Context& context, const std::string& path, NumericGolden& golden,
                         Diagnostics& diagnostics);

/// The first element in which outputs of two runs, in the same order, are not the same to the bit,
/// as a sentence; empty where there is none.
std::string first_different_bits(std::span<const NamedArray> outputs,
                                 std::span<const NamedArray> others);

/// What one run and its comparison found.
struct NumericOutcome {
  /// `golden.numeric`, each beginning with the mode: what is beyond a bound, and outputs that only
  /// one side has.
  Diagnostics differences;
  NumericWorst truth;     ///< of all sampled elements
  bool is_equal = false;  ///< all sampled elements are what rounding after each op gives
  std::vector<NamedArray> outputs;
  std::int64_t run_ms = 0;

  bool holds() const { return differences.empty(); }
};

/// Runs `target` once on the CPU backend with the seeded inputs of the golden `path`; in mode exact
/// the outputs are held against `truth` and `rounded`, in mode fast against `truth`. False when it
/// could not be run; `diagnostics` says why.
bool run_numeric(const Context& context, RunTarget& target, const NumericGolden& golden,
                 const std::string& path, NumericOutcome& outcome, Diagnostics& diagnostics);

}  // namespace milgen::cli
