// What `run` and `compare` are given: a program with its weights, a backend, values of inputs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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
#include "milgen/weight_inputs.h"
#include "milgen/weight_modes.h"
#include "milgen/weights.h"

namespace milgen::cli {

/// A program that is to be run.
struct RunTarget {
  std::string name;             ///< as the user named it
  Module module = {};           ///< a kernel's is its text, read
  CompileOptions options = {};  ///< weights of a kernel, and of --weights, are in memory
  /// Of a kernel: the weights that are inputs, with their values.
  std::optional<WeightInputs> weights = {};
};

/// The program that the positional arguments name, FILE, NAME.mlmodelc, '-' or KERNEL [NAME=VALUE
/// ...], with --function, --mode, --threads, --model-path, --weights, --map, --config and
/// --weights-as, in whose place `modes` stands where it is given. False after a report; `usage` is
/// then whether the command line itself was wrong.
bool read_run_target(const Context& context, const Args& args, RunTarget& target, bool& usage,
                     Diagnostics& diagnostics, const WeightModes* modes = nullptr);

/// A kernel as one: its text, read, and its weights from `source`, be they constants or inputs.
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
  std::vector<NamedArray> inputs;  ///< those that were given: without the weights among them
  std::vector<NamedArray> states;  ///< those that were given

  /// States of their own for one run, so that every run begins with the same.
  std::vector<NamedArray> fresh_states() const;
};

/// What has to be given values: the activations of a target whose weights are inputs, else all
/// that the program takes.
std::vector<TensorSpec> given_inputs(const RunTarget& target, std::span<const TensorSpec> inputs);
/// All inputs of the program: `given`, with the weights among or behind them. Those of one target
/// share the arrays of its weights.
bool bind_inputs(RunTarget& target, std::span<const NamedArray> given,
                 std::vector<NamedArray>& inputs, Diagnostics& diagnostics);

/// The options --input and --state.
class RunInput {
 public:
  /// `usage.value` for what has no such form or names a tensor twice.
  bool read(const Args& args, Diagnostics& diagnostics);
  /// Inputs that are given no values are made by formula, as seed:0 makes them.
  void seed_rest() { inputs_.push_back({.source = "seed:0"}); }
  /// Makes the arrays of what `target` has for `inputs` but weights, and of `states`. Reports
  /// `run.input` for an input without values, a name that the program has not or that is a weight,
  /// a dtype or shape that does not fit and a dim that nothing says, and what reading files
  /// reports.
  bool make(const Context& context, const RunTarget& target, std::span<const TensorSpec> inputs,
            std::span<const TensorSpec> states, RunValues& values, Diagnostics& diagnostics) const;

 private:
  bool names_weight(const WeightPlan& plan, Diagnostics& diagnostics) const;

  std::vector<ValueSpec> inputs_;
  std::vector<ValueSpec> states_;
};

}  // namespace milgen::cli
