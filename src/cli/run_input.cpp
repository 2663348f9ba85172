#include "cli/run_input.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <set>
#include <utility>

#include "cli/format.h"
#include "cli/kernel_args.h"
#include "cli/mil_input.h"
#include "cli/parse_text.h"
#include "cli/progress.h"
#include "cli/weight_options.h"
#include "cli/weights_as.h"
#include "milgen/array_file.h"
#include "milgen/emit.h"
#include "milgen/fill.h"
#include "milgen/print.h"
#include "support/files.h"
#include "support/printable.h"
#include "support/rule.h"
#include "support/tensor_text.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

constexpr std::string_view kSeed = "seed:";

// --- The program. ---

bool one_text(const Context& context, std::string_view name, MilInput& input,
              Diagnostics& diagnostics) {
  std::vector<MilInput> inputs;
  if (!find_mil_inputs(context, name, inputs, diagnostics)) return false;
  input = inputs.front();
  if (inputs.size() == 1) return true;
  diagnostics.error(rule<"usage.argument">.id(),
                    fmt::format("the folder holds {} texts, '{}' first; name the one that is to be "
                                "run",
                                inputs.size(), input.path),
                    Place(std::string(name)));
  return false;
}

bool read_text_target(const Context& context, const Args& args, RunTarget& target, bool& usage,
                      Diagnostics& diagnostics) {
  const auto refuse = [&](std::string message) {
    usage = true;
    diagnostics.error(rule<"usage.argument">.id(), std::move(message));
    return false;
  };
  if (args.positionals().size() > 1) {
    return refuse(fmt::format("'{}' is a text; only kernels have parameters, '{}' is none",
                              target.name, args.positionals()[1]));
  }
  for (const std::string_view option :
       {std::string_view("--config"), std::string_view("--map"), kWeightsAs.name}) {
    if (args.has(option)) {
      return refuse(fmt::format("{} is for kernels, and '{}' is a text", option, target.name));
    }
  }
  MilInput input;
  if (!one_text(context, target.name, input, diagnostics) ||
      !read_mil_input(context, input, target.module, diagnostics) || !target.module) {
    return false;
  }
  target.options.model_path =
      args.has("--model-path") ? context.resolve(args.value("--model-path")) : input.folder;
  if (!args.has("--weights")) return true;
  // The text names another file, so that one which cannot be opened has no place in it.
  target.options.weight_file = context.resolve(args.value("--weights"));
  return MappedFile().open(target.options.weight_file, diagnostics);
}

bool read_kernel_target(const Context& context, const Args& args, KernelRequest& kernel,
                        const WeightModes* given_modes, RunTarget& target, bool& usage,
                        Diagnostics& diagnostics) {
  usage = true;
  WeightModes modes;
  if (!configure(kernel, args.value("--config"), args.positionals().subspan(1), diagnostics) ||
      !read_weight_modes(args, modes, diagnostics)) {
    return false;
  }
  if (args.has("--model-path")) {
    diagnostics.error(rule<"usage.argument">.id(),
                      fmt::format("'{}' is a kernel, which has no model path; --weights SOURCE "
                                  "says where its weights are",
                                  target.name));
    return false;
  }
  usage = false;
  const Program program =
      build_requested(kernel, given_modes != nullptr ? *given_modes : modes, diagnostics);
  if (!program) return false;
  const std::unique_ptr<WeightSource> source =
      weight_source(context, args, args.value("--weights", "seed:0"), usage, diagnostics);
  return source != nullptr && make_kernel_target(program, *source, target, diagnostics);
}

// --- Values. ---

bool is_file_name(std::string_view source) {
  double number = 0;
  return !source.starts_with(kSeed) && source != "zeros" && source != "ones" && source != "true" &&
         source != "false" && !parse_number(source, number);
}

/// Takes ":[1, 64]" off the end of a source; blanks in it do not matter.
bool take_shape(ValueSpec& spec) {
  const std::size_t colon = spec.source.rfind(":[");
  if (colon == std::string::npos || !spec.source.ends_with(']')) return true;
  std::string text;
  for (const char c : spec.source.substr(colon + 1)) {
    if (c == ' ') continue;
    text += c;
    if (c == ',') text += ' ';
  }
  spec.source.resize(colon);
  spec.has_shape = true;
  return parse_shape(text, spec.shape) &&
         std::ranges::none_of(spec.shape, [](std::int64_t dim) { return dim < 0; });
}

/// What is wrong with a spec; empty when nothing is.
std::string spec_fault(ValueSpec& spec) {
  if (!take_shape(spec)) return "has a shape that is no list of dims, as [1, 64]";
  if (spec.source.empty()) return "says no source of values";
  std::uint64_t seed = 0;
  if (spec.source.starts_with(kSeed) &&
      !parse_number(std::string_view(spec.source).substr(kSeed.size()), seed)) {
    return "has a seed that is no number from 0 to 2^64 - 1";
  }
  return {};
}

std::set<std::string_view> names_of(std::span<const NamedArray> values) {
  std::set<std::string_view> names;
  for (const NamedArray& named : values) names.insert(named.name);
  return names;
}

/// Makes the arrays of one kind, inputs or states.
class ValueMaker {
 public:
  ValueMaker(const Context& context, std::string_view option, std::span<const TensorSpec> wanted,
             std::vector<NamedArray>& values, Diagnostics& diagnostics)
      : context_(context),
        option_(option),
        kind_(option.substr(2)),
        wanted_(wanted),
        values_(values),
        diagnostics_(diagnostics) {}

  bool make(std::span<const ValueSpec> specs) {
    bool good = true;
    for (const ValueSpec& spec : specs) {
      if (!spec.name.empty()) good = make_named(spec) && good;
    }
    for (const ValueSpec& spec : specs) {
      if (spec.name.empty()) good = make_rest(spec) && good;
    }
    return good;
  }

 private:
  bool fail(std::string message, const std::string& file = {}) {
    diagnostics_.error(rule<"run.input">.id(), std::move(message), Place(file));
    return false;
  }

  bool make_named(const ValueSpec& spec) {
    const auto found = std::ranges::find(wanted_, spec.name, &TensorSpec::name);
    if (found == wanted_.end()) {
      std::vector<std::string_view> names;
      for (const TensorSpec& tensor : wanted_) names.push_back(tensor.name);
      return fail(wanted_.empty()
                      ? fmt::format("there is no {} '{}'; the program has none", kind_, spec.name)
                      : fmt::format("there is no {} '{}'{}", kind_, spec.name,
                                    did_you_mean(spec.name, names)));
    }
    const TensorSpec* const tensor = &*found;
    return make_all(spec, std::span(&tensor, 1));
  }

  bool make_rest(const ValueSpec& spec) {
    const std::set<std::string_view> made = names_of(values_);
    std::vector<const TensorSpec*> rest;
    for (const TensorSpec& tensor : wanted_) {
      if (!made.contains(tensor.name)) rest.push_back(&tensor);
    }
    return make_all(spec, rest);
  }

  bool make_all(const ValueSpec& spec, std::span<const TensorSpec* const> tensors) {
    if (!is_file_name(spec.source)) {
      return std::ranges::all_of(tensors, [&](const TensorSpec* tensor) {
        return check_kind(*tensor) && make_by_formula(spec, *tensor);
      });
    }
    const std::string path = context_.resolve(spec.source);
    if (tensors.empty()) {
      return fail(wanted_.empty()
                      ? fmt::format("the program has no {} that this is for", kind_)
                      : fmt::format("this is for no {}: all of them have values already", kind_),
                  path);
    }
    std::error_code code;
    if (spec.source.ends_with(".safetensors")) return read_tensors(path, tensors);
    if (std::filesystem::is_directory(path, code)) return read_folder(path, tensors);
    if (tensors.size() == 1) return read_one(spec, path, *tensors.front());
    return fail(fmt::format("the file holds one tensor, and {} have no values yet; {} NAME={} says "
                            "which it is for",
                            counted(tensors.size(), kind_), option_, spec.source),
                path);
  }

  bool check_kind(const TensorSpec& tensor) {
    if (tensor.kind == ValueKind::tensor && tensor.dtype != DType::string) return true;
    return fail(
        fmt::format("{} '{}' is no tensor of numbers, and there is no other form to give "
                    "one",
                    kind_, tensor.name));
  }

  static bool fits(const Shape& shape, const Shape& wanted) {
    if (wanted.size() == 1 && wanted[0] == kUnknownRank) return true;
    return std::ranges::equal(shape, wanted, [](std::int64_t dim, std::int64_t wanted_dim) {
      return wanted_dim < 0 || dim == wanted_dim;
    });
  }

  /// The shape that a source without one of its own gets.
  bool settle_shape(const ValueSpec& spec, const TensorSpec& tensor, Shape& shape) {
    shape = spec.has_shape ? spec.shape : tensor.shape;
    if (!spec.has_shape && std::ranges::any_of(shape, [](std::int64_t dim) { return dim < 0; })) {
      return fail(fmt::format(
          "{0} '{1}' is {2}, and '{3}' does not say what ? is; {4} "
          "'{1}={3}:[...]' does",
          kind_, tensor.name, tensor_text(tensor.dtype, tensor.shape), spec.source, option_));
    }
    if (fits(shape, tensor.shape)) return true;
    return fail(fmt::format("{} '{}' is {}, which '{}' does not fit", kind_, tensor.name,
                            tensor_text(tensor.dtype, tensor.shape), to_string(shape)));
  }

  bool make_by_formula(const ValueSpec& spec, const TensorSpec& tensor) {
    Shape shape;
    if (!settle_shape(spec, tensor, shape)) return false;
    Array array(tensor.dtype, shape);
    if (!array) {
      diagnostics_.error(rule<"memory.limit">.id(),
                         fmt::format("there is no memory for {} '{}', {}", kind_, tensor.name,
                                     tensor_text(tensor.dtype, shape)));
      return false;
    }
    if (spec.source.starts_with(kSeed)) {
      std::uint64_t seed = 0;
      parse_number(std::string_view(spec.source).substr(kSeed.size()), seed);
      fill_seeded(array, tensor.name, seed);
    } else if (!fill_constant(spec, tensor, array)) {
      return false;
    }
    values_.push_back({tensor.name, std::move(array)});
    return true;
  }

  bool fill_constant(const ValueSpec& spec, const TensorSpec& tensor, Array& array) {
    double value = spec.source == "ones" || spec.source == "true" ? 1 : 0;
    if (spec.source == "zeros" || spec.source == "false" || array.size() == 0) return true;
    if (value == 0) parse_number(spec.source, value);
    array.set(0, value);
    const double stored = array.real(0);
    const bool held =
        is_float(tensor.dtype) ? std::isfinite(stored) || !std::isfinite(value) : stored == value;
    if (!held) {
      return fail(fmt::format("{} '{}' is {}, which does not hold {}", kind_, tensor.name,
                              tensor_text(tensor.dtype, tensor.shape), spec.source));
    }
    const std::span<std::byte> bytes = array.mutable_bytes();
    const std::size_t element = element_bytes(tensor.dtype);
    for (std::size_t i = element; i < bytes.size(); ++i) bytes[i] = bytes[i - element];
    return true;
  }

  bool take(const TensorSpec& tensor, Array array, const std::string& path) {
    if (array.dtype() != tensor.dtype || !fits(array.shape(), tensor.shape)) {
      return fail(fmt::format("{} '{}' is {}, but the file has {}", kind_, tensor.name,
                              tensor_text(tensor.dtype, tensor.shape),
                              tensor_text(array.dtype(), array.shape())),
                  path);
    }
    values_.push_back({tensor.name, std::move(array)});
    return true;
  }

  bool read_one(const ValueSpec& spec, const std::string& path, const TensorSpec& tensor) {
    if (!check_kind(tensor)) return false;
    Array array;
    if (spec.source.ends_with(".npy")) {
      return read_npy(path, array, diagnostics_) && take(tensor, std::move(array), path);
    }
    Shape shape;
    return settle_shape(spec, tensor, shape) &&
           read_raw(path, tensor.dtype, shape, array, diagnostics_) &&
           take(tensor, std::move(array), path);
  }

  /// "'x.npy', 'y.npy'"
  static std::string names_text(std::span<const TensorSpec* const> tensors,
                                std::string_view extension = {}) {
    std::string out;
    for (const TensorSpec* tensor : tensors) {
      out += fmt::format("{}'{}{}'", out.empty() ? "" : ", ", tensor->name, extension);
    }
    return out;
  }

  bool read_folder(const std::string& folder, std::span<const TensorSpec* const> tensors) {
    const std::size_t before = values_.size();
    for (const TensorSpec* tensor : tensors) {
      const std::string path = fmt::format("{}/{}.npy", folder, tensor->name);
      std::error_code code;
      // What is not there is reported as a missing input, all of them at once.
      if (!std::filesystem::exists(path, code)) continue;
      Array array;
      if (!check_kind(*tensor) || !read_npy(path, array, diagnostics_) ||
          !take(*tensor, std::move(array), path)) {
        return false;
      }
    }
    return values_.size() != before ||
           fail("the folder has no file " + names_text(tensors, ".npy"), folder);
  }

  bool read_tensors(const std::string& path, std::span<const TensorSpec* const> tensors) {
    std::vector<std::string_view> names;
    for (const TensorSpec* tensor : tensors) names.push_back(tensor->name);
    std::vector<NamedArray> arrays;
    if (!read_safetensors(path, names, arrays, diagnostics_)) return false;
    if (arrays.empty()) return fail("the file has no tensor " + names_text(tensors), path);
    for (NamedArray& named : arrays) {
      const TensorSpec& tensor = **std::ranges::find(tensors, named.name, &TensorSpec::name);
      if (!check_kind(tensor) || !take(tensor, std::move(named.array), path)) return false;
    }
    return true;
  }

  const Context& context_;
  std::string_view option_;
  std::string_view kind_;
  std::span<const TensorSpec> wanted_;
  std::vector<NamedArray>& values_;
  Diagnostics& diagnostics_;
};

}  // namespace

std::string_view mode_name(NumericMode mode) {
  return mode == NumericMode::fast ? "fast" : "exact";
}

bool parse_mode(std::string_view text, NumericMode& mode) {
  for (const NumericMode one : {NumericMode::exact, NumericMode::fast}) {
    if (text != mode_name(one)) continue;
    mode = one;
    return true;
  }
  return false;
}

bool make_kernel_target(const Program& program, WeightSource& source, RunTarget& target,
                        Diagnostics& diagnostics) {
  if (!weight_files(program, source, target.options.weights, diagnostics)) return false;
  if (WeightPlan plan = weight_plan(program); plan.has_weights()) {
    target.weights.emplace();
    if (!target.weights->open(std::move(plan), diagnostics) ||
        !target.weights->load(source, diagnostics)) {
      return false;
    }
  }
  target.module = parse_mil(print_mil(program), diagnostics, {.file = target.name});
  return static_cast<bool>(target.module);
}

bool read_run_target(const Context& context, const Args& args, RunTarget& target, bool& usage,
                     Diagnostics& diagnostics, const WeightModes* modes) {
  usage = true;
  if (args.positionals().empty()) {
    diagnostics.error(rule<"usage.argument">.id(),
                      "a MIL text, an .mlmodelc folder or a kernel is to be named");
    return false;
  }
  target.name = args.positionals()[0];
  std::uint64_t threads = 0;
  if (!count_option(args, "--threads", kMostThreads, threads, diagnostics)) return false;
  target.options.threads = static_cast<int>(threads);
  target.options.function = args.value("--function");
  parse_mode(args.value("--mode"), target.options.mode);

  KernelRequest kernel;
  if (names_kernel(context, target.name, kernel)) {
    return read_kernel_target(context, args, kernel, modes, target, usage, diagnostics);
  }
  std::error_code code;
  const bool looks_like_kernel = target.name.find('.') == std::string::npos && target.name != "-" &&
                                 !std::filesystem::exists(context.resolve(target.name), code);
  if (looks_like_kernel) return find_kernel(context.registry, target.name, kernel, diagnostics);
  if (modes != nullptr) {
    diagnostics.error(rule<"usage.argument">.id(),
                      fmt::format("weights-as is for kernels, and '{}' is a text", target.name));
    return false;
  }
  usage = false;
  return read_text_target(context, args, target, usage, diagnostics);
}

std::unique_ptr<Executable> compile_target(const Context& context, const Backend& backend,
                                           const RunTarget& target, const CompileOptions& options,
                                           Diagnostics& diagnostics) {
  const BusyLine busy(context, "compiling " + target.name);
  Diagnostics found;
  std::unique_ptr<Executable> executable = backend.compile(target.module, options, found);
  for (const Diagnostic& one : found.all()) {
    if (one.severity == Severity::error) diagnostics.add(one);
  }
  return executable;
}

const Backend* usable_backend(std::string_view name, Diagnostics& diagnostics) {
  std::string why = "is not built into this milgen";
  const Backend* backend = find_backend(name);
  if (backend != nullptr && backend->available(why)) return backend;
  diagnostics.error(rule<"backend.unavailable">.id(),
                    backend == nullptr
                        ? fmt::format("backend '{}' {}; 'cpu' runs everywhere", name, why)
                        : fmt::format("backend '{}' cannot run here: {}", name, why));
  return nullptr;
}

bool read_count(std::string_view option, std::string_view text, std::uint64_t most,
                std::uint64_t& value, Diagnostics& diagnostics) {
  if (parse_number(text, value) && value <= most) return true;
  const std::string range =
      most == std::numeric_limits<std::uint64_t>::max() ? "" : fmt::format(" from 0 to {}", most);
  diagnostics.error(rule<"usage.value">.id(),
                    fmt::format("{} takes a number{}, not '{}'", option, range, text));
  return false;
}

bool count_option(const Args& args, std::string_view option, std::uint64_t most,
                  std::uint64_t& value, Diagnostics& diagnostics) {
  return !args.has(option) || read_count(option, args.value(option), most, value, diagnostics);
}

bool split_name(std::string_view text, std::string& name, std::string& rest) {
  const std::string_view word = text.substr(0, text.find('='));
  const bool is_name = !word.empty() && std::ranges::all_of(word, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  });
  if (word.size() == text.size() || !is_name) return false;
  name = word;
  rest = text.substr(word.size() + 1);
  return true;
}

namespace {

bool read_value_specs(const Args& args, std::string_view option, std::vector<ValueSpec>& specs,
                      Diagnostics& diagnostics) {
  const std::size_t errors = diagnostics.errors();
  for (const std::string& text : args.values(option)) {
    ValueSpec spec{.source = text};
    split_name(text, spec.name, spec.source);
    const std::string fault = spec_fault(spec);
    if (!fault.empty()) {
      diagnostics.error(rule<"usage.value">.id(), fmt::format("{} '{}' {}", option, text, fault));
    } else if (!spec.name.empty() &&
               std::ranges::find(specs, spec.name, &ValueSpec::name) != specs.end()) {
      diagnostics.error(rule<"usage.value">.id(),
                        fmt::format("{} gives '{}' values twice", option, spec.name));
    } else {
      specs.push_back(std::move(spec));
    }
  }
  return diagnostics.errors() == errors;
}

/// Reports unless all inputs have values.
bool has_all_inputs(std::span<const TensorSpec> wanted, std::span<const NamedArray> values,
                    Diagnostics& diagnostics) {
  std::string missing;
  std::string types;
  std::size_t count = 0;
  const std::set<std::string_view> made = names_of(values);
  for (const TensorSpec& tensor : wanted) {
    types += fmt::format("{}'{}' {}", types.empty() ? "" : ", ", tensor.name,
                         tensor_text(tensor.dtype, tensor.shape));
    if (made.contains(tensor.name)) continue;
    missing += fmt::format("{}'{}'", missing.empty() ? "" : ", ", tensor.name);
    ++count;
  }
  if (count == 0) return true;
  Diagnostic& report = diagnostics.error(
      rule<"run.input">.id(),
      fmt::format("{} no values: {}", count == 1 ? "an input has" : "inputs have", missing));
  report.notes.push_back({"the inputs are " + types, {}});
  report.notes.push_back(
      {"--input NAME=FILE.npy, NAME=zeros, NAME=0.5 or NAME=seed:7 gives one "
       "its values, --input seed:7 all of them",
       {}});
  return false;
}

}  // namespace

std::vector<NamedArray> RunValues::fresh_states() const {
  std::vector<NamedArray> out;
  for (const NamedArray& state : states) out.push_back({state.name, state.array.clone()});
  return out;
}

bool RunInput::read(const Args& args, Diagnostics& diagnostics) {
  const bool inputs = read_value_specs(args, "--input", inputs_, diagnostics);
  return read_value_specs(args, "--state", states_, diagnostics) && inputs;
}

std::vector<TensorSpec> given_inputs(const RunTarget& target, std::span<const TensorSpec> inputs) {
  if (!target.weights) return {inputs.begin(), inputs.end()};
  std::vector<TensorSpec> out;
  for (const PlannedInput& input : target.weights->plan().inputs) {
    for (const PlannedPart& part : input.parts) {
      if (!part.is_weight) out.push_back({part.name, part.dtype, part.shape});
    }
  }
  return out;
}

bool bind_inputs(RunTarget& target, std::span<const NamedArray> given,
                 std::vector<NamedArray>& inputs, Diagnostics& diagnostics) {
  if (target.weights) return target.weights->bind(given, inputs, diagnostics);
  inputs.assign(given.begin(), given.end());
  return true;
}

bool RunInput::names_weight(const WeightPlan& plan, Diagnostics& diagnostics) const {
  const std::vector<std::string_view> weights = planned_weights(plan);
  for (const ValueSpec& spec : inputs_) {
    if (std::ranges::find(weights, spec.name) == weights.end()) continue;
    diagnostics.error(rule<"run.input">.id(),
                      fmt::format("'{}' is a weight of the kernel; --weights SOURCE says where its "
                                  "values come from, and --input is for activations",
                                  spec.name));
    return true;
  }
  return false;
}

bool RunInput::make(const Context& context, const RunTarget& target,
                    std::span<const TensorSpec> all_inputs, std::span<const TensorSpec> states,
                    RunValues& values, Diagnostics& diagnostics) const {
  if (target.weights && names_weight(target.weights->plan(), diagnostics)) return false;
  const std::vector<TensorSpec> inputs = given_inputs(target, all_inputs);
  const bool inputs_made =
      ValueMaker(context, "--input", inputs, values.inputs, diagnostics).make(inputs_);
  const bool states_made =
      ValueMaker(context, "--state", states, values.states, diagnostics).make(states_);
  return inputs_made && states_made && has_all_inputs(inputs, values.inputs, diagnostics);
}

}  // namespace milgen::cli
