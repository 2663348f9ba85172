// The command line of milc as a function. A program that registers kernels of its own gets the
// whole of it: emit, check against goldens, weights, ops, kernels, demo.
#pragma once

#include <iosfwd>
#include <span>
#include <string>

#include "milgen/registry.h"

namespace milgen {

/// What a run of milc sees of the world.
struct Streams {
  std::istream& in;
  std::ostream& out;  ///< what was asked for
  std::ostream& err;  ///< diagnostics and progress
  /// Relative paths are looked up below this folder; "" is the process's own. Its name never
  /// appears in what is written.
  std::string cwd = {};
  /// How messages and help pages call the program.
  std::string program = "milc";
  /// Set where a continuous integration service runs: goldens cannot be accepted there.
  bool ci = false;
  /// Progress then rewrites its line.
  bool err_is_terminal = false;
  /// Where `check` and `demo` look for goldens when the working folder has no folder `golden`.
  std::string other_golden = {};
  /// How many transcripts that replay transcripts stand around this run.
  int replay_depth = 0;
};

/// Exit codes of milc_main.
enum ExitCode : int {
  kExitDone = 0,
  kExitFailed = 1,       ///< the input was rejected or the work failed
  kExitUsage = 2,        ///< the command line was wrong
  kExitDiffers = 3,      ///< a comparison found a difference
  kExitUnavailable = 4,  ///< the backend is not there on this machine
  kExitBug = 70,         ///< milgen broke its own rules
};

/// Runs one command. `args` are without the program's name. Nothing is thrown, nothing is kept
/// between calls, and the process is never ended.
int milc_main(std::span<const std::string> args, Streams& streams, const Registry& registry);

/// For a program's own main(): standard streams, the program's name from argv[0], CI from the
/// environment.
///
///     int main(int argc, char** argv) {
///       milgen::Registry kernels;
///       kernels.set<Config>("mine", "kernels of my model") ... ;
///       return milgen::milc_main(argc, argv, kernels);
///     }
int milc_main(int argc, char** argv, const Registry& registry);

}  // namespace milgen
