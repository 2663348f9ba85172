#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <limits>
#include <optional>
#include <ostream>

#include "cli/array_report.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/run_input.h"
#include "cli/weights_as.h"
#include "milgen/array_file.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

constexpr std::string_view kOthers =
    "mode=fast, backend=NAME, threads=N, weights-as=MODES, outputs=DIR or OUTPUT=FILE";
constexpr std::string_view kModesPrefix = "weights-as=";
/// What a fast run may differ by: products in other orders, and less rounding between ops.
constexpr Tolerance kFastTolerance{.value = 8, .in_epsilons = true};

/// How one side is run.
struct Side {
  std::string backend = "cpu";
  NumericMode mode = NumericMode::exact;
  int threads = 0;
  std::string weights = {};      ///< how they come, where the sides may differ by it
  std::string_view engine = {};  ///< what computed

  std::string text() const {
    // A mode and threads are of the executor of milgen alone.
    std::string out = backend == "cpu" ? fmt::format("{}, {}", backend, mode_name(mode))
                                       : fmt::format("{}, engine: {}", backend, engine);
    if (backend == "cpu" && threads != 0) {
      out += fmt::format(", {}", counted(static_cast<unsigned>(threads), "thread"));
    }
    if (!weights.empty()) out += ", weights as " + weights;
    return out;
  }
};

/// Outputs in files.
struct Saved {
  std::string name;  ///< empty: all outputs
  std::string path;
};

/// One run of `compare`.
class Compare {
 public:
  Compare(Context& context, const Args& args) : context_(context), args_(args) {}

  int run() {
    bool usage = true;
    if (!read_run_target(context_, args_, target_, usage, diagnostics_)) {
      return usage ? context_.usage_error(diagnostics_, "compare") : context_.fail(diagnostics_);
    }
    if (!read_options()) return context_.usage_error(diagnostics_, "compare");
    if (!read_modes(usage)) {
      return usage ? context_.usage_error(diagnostics_, "compare") : context_.fail(diagnostics_);
    }
    const Backend* here = usable_backend(here_.backend, diagnostics_);
    const Backend* there = usable_backend(there_.backend, diagnostics_);
    if (here == nullptr || there == nullptr) return context_.fail(diagnostics_, kExitUnavailable);
    here_.engine = here->engine();
    there_.engine = there->engine();
    std::vector<NamedArray> results;
    std::vector<NamedArray> others;
    if (!run_side(*here, here_, target_, results)) return context_.fail(diagnostics_);
    const bool done = is_saved() ? read_saved(results, others) : run_other(*there, others);
    if (!done) return context_.fail(diagnostics_);
    const std::vector<ArrayDifference> differences = compare_arrays(results, others, tolerance_);
    context_.report(diagnostics_);
    context_.streams.out << (json() ? json_report(differences) : text_report(differences));
    return std::ranges::all_of(differences, &ArrayDifference::holds) ? kExitDone : kExitDiffers;
  }

 private:
  bool json() const { return args_.value("--format") == "json"; }
  bool is_saved() const { return !saved_.empty(); }

  bool refuse(std::string message) {
    diagnostics_.error(rule<"usage.value">.id(), std::move(message));
    return false;
  }

  bool read_options() {
    constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
    if (!count_option(args_, "--seed", kAny, seed_, diagnostics_) ||
        !input_.read(args_, diagnostics_)) {
      return false;
    }
    here_.backend = args_.value("--backend", "cpu");
    here_.mode = target_.options.mode;
    here_.threads = target_.options.threads;
    there_ = here_;
    if (!args_.has("--with")) {
      diagnostics_.error(rule<"usage.argument">.id(),
                         fmt::format("--with says what the run is compared with: {}", kOthers));
      return false;
    }
    for (const std::string& text : args_.values("--with")) {
      if (!read_other(text)) return false;
    }
    if (is_saved() && runs_again_) {
      return refuse("--with names saved outputs and another run; one of them can be compared with");
    }
    if (saved_.size() > 1 &&
        std::ranges::any_of(saved_, [](const Saved& one) { return one.name.empty(); })) {
      return refuse("--with outputs= is all there is to compare with, but more is given");
    }
    tolerance_ = default_tolerance();
    const std::string_view tolerance = args_.value("--tolerance");
    return tolerance.empty() || parse_tolerance(tolerance, tolerance_) ||
           refuse(fmt::format("--tolerance takes a number of epsilons or a relative error, as 4eps "
                              "or 1e-3, not '{}'",
                              tolerance));
  }

  bool read_other(const std::string& text) {
    if (text.starts_with(kModesPrefix)) {
      other_modes_.push_back(text.substr(kModesPrefix.size()));
      runs_again_ = true;
      return true;
    }
    std::string name;
    std::string value;
    if (!split_name(text, name, value) || value.empty()) {
      return refuse(fmt::format("--with takes {}, not '{}'", kOthers, text));
    }
    if (name == "mode") {
      if (!parse_mode(value, there_.mode)) {
        return refuse(fmt::format("--with mode= is exact or fast, not '{}'", value));
      }
    } else if (name == "backend") {
      there_.backend = value;
    } else if (name == "threads") {
      std::uint64_t threads = 0;
      if (!read_count("--with threads=", value, kMostThreads, threads, diagnostics_)) return false;
      there_.threads = static_cast<int>(threads);
    } else {
      saved_.push_back({name == "outputs" ? std::string() : name, value});
      return true;
    }
    runs_again_ = true;
    return true;
  }

  /// The weights of both sides; makes the target of the other one where it has its own.
  bool read_modes(bool& usage) {
    usage = true;
    WeightModes modes;
    if (!read_weight_modes(args_, modes, diagnostics_)) return false;
    if (!other_modes_.empty() || !is_constant(modes)) {
      here_.weights = there_.weights = weight_modes_text(modes);
    }
    if (other_modes_.empty()) return true;
    WeightModes others;
    if (!parse_weight_modes("--with weights-as=", other_modes_, others, diagnostics_)) return false;
    there_.weights = weight_modes_text(others);
    return read_run_target(context_, args_, other_target_.emplace(), usage, diagnostics_, &others);
  }

  Tolerance default_tolerance() const {
    const bool fast = here_.mode == NumericMode::fast || there_.mode == NumericMode::fast;
    return fast || here_.backend != there_.backend ? kFastTolerance : Tolerance();
  }

  bool run_other(const Backend& backend, std::vector<NamedArray>& results) {
    return run_side(backend, there_, other_target_ ? *other_target_ : target_, results);
  }

  bool run_side(const Backend& backend, const Side& side, RunTarget& target,
                std::vector<NamedArray>& results) {
    CompileOptions options = target.options;
    options.mode = side.mode;
    options.threads = side.threads;
    const auto executable = compile_target(context_, backend, target, options, diagnostics_);
    if (executable == nullptr) return false;
    if (!has_values_) {
      if (!input_.make(context_, target, executable->inputs(), executable->states(), values_,
                       diagnostics_)) {
        return false;
      }
      has_values_ = true;
    }
    std::vector<NamedArray> inputs;
    if (!bind_inputs(target, values_.inputs, inputs, diagnostics_)) return false;
    const BusyLine busy(context_, fmt::format("running {} ({})", target.name, side.text()));
    std::vector<NamedArray> states = values_.fresh_states();
    RunOptions run_options;
    run_options.states = &states;
    run_options.seed = seed_;
    if (!executable->run(inputs, results, diagnostics_, run_options)) return false;
    for (NamedArray& state : states) results.push_back(std::move(state));
    return true;
  }

  /// Reads what was saved for `results`, of which those stay that it is for.
  bool read_saved(std::vector<NamedArray>& results, std::vector<NamedArray>& others) {
    std::vector<NamedArray> compared;
    for (const Saved& saved : saved_) {
      const std::vector<NamedArray> wanted = saved_results(results, saved.name);
      if (wanted.empty()) return refuse_name(saved.name, flat_arrays(results));
      if (!read_files(saved.path, wanted, others)) return false;
      compared.insert(compared.end(), wanted.begin(), wanted.end());
    }
    results = std::move(compared);
    return true;
  }

  /// What files can have of the output of this name, be it one element of a list; of all outputs
  /// for an empty name.
  static std::vector<NamedArray> saved_results(std::span<const NamedArray> results,
                                               std::string_view name) {
    std::vector<NamedArray> out;
    for (const NamedArray& result : results) {
      const bool is_whole = name.empty() || name == result.name;
      for (NamedArray& flat : flat_arrays(std::span(&result, 1))) {
        // Labels of a dictionary are in no file that a run writes.
        if (flat.array.dtype() == DType::string) continue;
        if (is_whole || name == flat.name) out.push_back(std::move(flat));
      }
    }
    return out;
  }

  bool refuse_name(std::string_view name, std::span<const NamedArray> results) {
    std::vector<std::string_view> names;
    for (const NamedArray& result : results) names.push_back(result.name);
    diagnostics_.error(rule<"run.output">.id(), fmt::format("there is no output '{}' to compare{}",
                                                            name, did_you_mean(name, names)));
    return false;
  }

  bool read_files(const std::string& name, std::span<const NamedArray> wanted,
                  std::vector<NamedArray>& others) {
    const std::string path = context_.resolve(name);
    std::error_code code;
    if (name.ends_with(".safetensors")) return read_tensors(path, wanted, others);
    if (std::filesystem::is_directory(path, code)) return read_folder(path, wanted, others);
    if (wanted.size() != 1) {
      diagnostics_.error(rule<"run.output">.id(),
                         fmt::format("the file holds one tensor, but there are {} outputs; --with "
                                     "OUTPUT={} says which it is of",
                                     wanted.size(), name),
                         Place(path));
      return false;
    }
    const Array& result = wanted.front().array;
    Array& other = others.emplace_back(NamedArray{wanted.front().name, {}}).array;
    return name.ends_with(".npy")
               ? read_npy(path, other, diagnostics_)
               : read_raw(path, result.dtype(), result.shape(), other, diagnostics_);
  }

  bool read_folder(const std::string& folder, std::span<const NamedArray> wanted,
                   std::vector<NamedArray>& others) {
    for (const NamedArray& one : wanted) {
      const std::string file = fmt::format("{}/{}.npy", folder, one.name);
      std::error_code code;
      // What is not there is a difference.
      if (!std::filesystem::exists(file, code)) continue;
      others.push_back({one.name, {}});
      if (!read_npy(file, others.back().array, diagnostics_)) return false;
    }
    return true;
  }

  bool read_tensors(const std::string& path, std::span<const NamedArray> wanted,
                    std::vector<NamedArray>& others) {
    std::vector<std::string_view> names;
    for (const NamedArray& one : wanted) names.push_back(one.name);
    std::vector<NamedArray> arrays;
    if (!read_safetensors(path, names, arrays, diagnostics_)) return false;
    std::ranges::move(arrays, std::back_inserter(others));
    return true;
  }

  std::string there_text() const {
    if (!is_saved()) return there_.text();
    std::string out;
    for (const Saved& saved : saved_) {
      out += fmt::format("{}{}", out.empty() ? "" : ", ", saved.path);
    }
    return out;
  }

  std::string verdict(std::span<const ArrayDifference> differences) const {
    const auto beyond = static_cast<std::uint64_t>(std::ranges::count_if(
        differences, [](const ArrayDifference& one) { return !one.holds(); }));
    const bool identical = std::ranges::all_of(
        differences, [](const ArrayDifference& one) { return one.holds() && one.different == 0; });
    const std::string all = counted(differences.size(), "output");
    if (identical) return all + ": the same values\n";
    const std::string limit = tolerance_.text();
    return beyond == 0 ? fmt::format("{}: within {}\n", all, limit)
                       : fmt::format("{}: {} differ{} by more than {}\n", all, grouped(beyond),
                                     beyond == 1 ? "s" : "", limit);
  }

  std::string text_report(std::span<const ArrayDifference> differences) const {
    return fmt::format("here:  {}\nthere: {}\n\n{}\n{}", here_.text(), there_text(),
                       difference_table(differences).text(), verdict(differences));
  }

  std::string json_report(std::span<const ArrayDifference> differences) const {
    Json root;
    root["program"] = target_.name;
    root["here"] = here_.text();
    root["there"] = there_text();
    root["tolerance"] = tolerance_.text();
    root["holds"] = std::ranges::all_of(differences, &ArrayDifference::holds);
    root["outputs"] = difference_json(differences);
    return json_text(root);
  }

  Context& context_;
  const Args& args_;
  Diagnostics diagnostics_;
  Side here_;
  Side there_;
  std::vector<Saved> saved_;
  std::vector<std::string> other_modes_;  // of --with weights-as=
  bool runs_again_ = false;
  Tolerance tolerance_;
  std::uint64_t seed_ = 0;
  RunTarget target_;
  std::optional<RunTarget> other_target_;  // where only the other side has its weights so
  RunInput input_;
  RunValues values_;
  bool has_values_ = false;
};

}  // namespace

int run_compare(Context& context, const Args& args) { return Compare(context, args).run(); }

}  // namespace milgen::cli
