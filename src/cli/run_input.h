// What `run` and `compare` are given: a program with its weights, a backend, values of inputs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/args.h"
#include "cli/context.h"
#include "milgen/array.h"
#include "milgen/backend.h"
#include "milgen/diagnostic.h"
#include "milgen/module.h"
#include "milgen/program.h"
#include "milgen/weights.h"

namespace milgen::cli {

/// A program that is to be run.
struct RunTarget {
  std::string name;             ///< as the user named it
  Module module = {};           ///< a kernel's is its text, read
  CompileOptions options = {};  ///< weights of a kernel, and of --weights, are in memory
};

/// The program that the positional arguments name, FILE, NAME.mlmodelc, '-' or KERNEL [NAME=VALUE
/// ...], with --function, --mode, --threads, --model-path, --weights, --map and --config. False
/// after a report; `usage` is then whether the command line itself was wrong.
bool read_run_target(const Context& context, const Args& args, RunTarget& target, bool& usage,
                     Diagnostics& diagnostics);

/// A kernel as one: its text, read, and its weights from `source`.
bool make_kernel_target(const Program& program, WeightSource& source, RunTarget& target,
                        Diagnostics& diagnostics);

/// Compiles it. Warnings are left to 'verify'.
std::unique_ptr<Executable> compile_target(const Context& context, const Backend& backend,
                                           const RunTarget& target, const CompileOptions& options,
                                           Diagnostics& diagnostics);

/// "exact", "fast"
std::string_view mode_name(NumericMode mode);
/// The mode that is called so; false, with `mode` as it was, for a text that is none's name.
bool parse_mode(std::string_view text, NumericMode& mode);

/// The backend of this name; null after `backend.unavailable` where there is none here.
const Backend* usable_backend(std::string_view name, Diagnostics& diagnostics);

/// More threads than this are taken for a slip.
inline constexpr std::uint64_t kMostThreads = 1024;

/// Reads a number up to `most`; `usage.value` for what is none, `option` being what it is of.
bool read_count(std::string_view option, std::string_view text, std::uint64_t most,
                std::uint64_t& value, Diagnostics& diagnostics);
/// The same for the value of an option; `value` stays as it is without the option.
bool count_option(const Args& args, std::string_view option, std::uint64_t most,
                  std::uint64_t& value, Diagnostics& diagnostics);

/// Splits "NAME=REST"; false, with both as they were, for a text that begins with no name. A name
/// may have dots, as that of an element of a list.
bool split_name(std::string_view text, std::string& name, std::string& rest);

/// Where values come from, as --input and --state say it: [NAME=]SOURCE[:SHAPE].
struct ValueSpec {
  std::string name = {};    ///< empty: for whatever has no values yet
  std::string source = {};  ///< "seed:7", "zeros", "ones", a number, or a path
  bool has_shape = false;
  Shape shape = {};
};

/// What a program is started with.
struct RunValues {
  std::vector<NamedArray> inputs;
  std::vector<NamedArray> states;  ///< those that were given

  /// States of their own for one run, so that every run begins with the same.
  std::vector<NamedArray> fresh_states() const;
};

/// The options --input and --state.
class RunInput {
 public:
  /// `usage.value` for what has no such form or names a tensor twice.
  bool read(const Args& args, Diagnostics& diagnostics);
  /// Inputs that are given no values are made by formula, as seed:0 makes them.
  void seed_rest() { inputs_.push_back({.source = "seed:0"}); }
  /// Makes the arrays. Reports `run.input` for an input without values, a name that the program has
  /// not, a dtype or shape that does not fit and a dim that nothing says, and what reading files
  /// reports.
  bool make(const Context& context, std::span<const TensorSpec> inputs,
            std::span<const TensorSpec> states, RunValues& values, Diagnostics& diagnostics) const;

 private:
  std::vector<ValueSpec> inputs_;
  std::vector<ValueSpec> states_;
};

}  // namespace milgen::cli
