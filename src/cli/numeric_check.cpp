#include "cli/numeric_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/files.h"
#include "cli/progress.h"
#include "milgen/fill.h"
#include "support/printable.h"
#include "support/rule.h"
#include "support/tensor_text.h"

namespace milgen::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".numeric";

bool make_inputs(const Executable& executable, RunTarget& target, std::uint64_t seed,
                 std::vector<NamedArray>& inputs, Diagnostics& diagnostics) {
  std::vector<NamedArray> given;
  for (const TensorSpec& spec : given_inputs(target, executable.inputs())) {
    NamedArray& input = given.emplace_back(NamedArray{spec.name, Array(spec.dtype, spec.shape)});
    if (!input.array) {
      diagnostics.error(rule<"run.input">.id(),
                        fmt::format("input '{}' is {}, which no seed fills", printable(spec.name),
                                    tensor_text(spec.dtype, spec.shape)));
      return false;
    }
    fill_seeded(input.array, spec.name, seed);
  }
  return bind_inputs(target, given, inputs, diagnostics);
}

/// Holds the outputs of a run in `mode` against those of the golden.
void compare_outputs(const NumericGolden& golden, std::span<const NamedArray> outputs,
                     NumericMode mode, const std::string& path, NumericOutcome& outcome) {
  const NumericTarget target =
      mode == NumericMode::exact ? NumericTarget::rounded : NumericTarget::truth;
  Diagnostics found;
  const auto differ = [&](std::string message) {
    found.error(rule<"golden.numeric">.id(), std::move(message), Place(path));
  };
  outcome.is_equal = true;
  for (const NumericGoldenOutput& expected : golden.outputs) {
    const NamedArray* output = find_array(outputs, expected.name);
    if (output == nullptr) {
      differ(fmt::format("the kernel has no output '{}'", printable(expected.name)));
      continue;
    }
    const NumericVerdict verdict = compare_numeric(expected, output->array);
    report_numeric(expected, output->array, verdict, target, path, found);
    keep_worse(outcome.truth, verdict.truth);
    outcome.is_equal = outcome.is_equal && verdict.equal == expected.samples.size();
  }
  for (const NamedArray& output : outputs) {
    if (std::ranges::find(golden.outputs, output.name, &NumericGoldenOutput::name) ==
        golden.outputs.end()) {
      differ(fmt::format("output '{}' of the kernel is not in the golden", printable(output.name)));
    }
  }
  for (Diagnostic difference : found.all()) {
    difference.message = fmt::format("mode {}: {}", mode_name(mode), difference.message);
    outcome.differences.add(std::move(difference));
  }
}

}  // namespace

std::vector<std::string> numeric_golden_files(const Context& context,
                                              const std::string& golden_dir) {
  std::vector<std::string> paths;
  const fs::path root = context.resolve(golden_dir);
  std::error_code code;
  for (fs::recursive_directory_iterator file(root / "numeric", code), end; !code && file != end;
       file.increment(code)) {
    if (file->path().extension() == kExtension) {
      paths.push_back(file->path().lexically_relative(root).generic_string());
    }
  }
  std::ranges::sort(paths);
  return paths;
}

std::string numeric_golden_path(const std::string& golden_dir, const GoldenHeader& header) {
  return fmt::format("{}/numeric/{}/{}{}", golden_dir, header.set, header.id(), kExtension);
}

bool read_numeric_golden(const Context& context, const std::string& path, NumericGolden& golden,
                         Diagnostics& diagnostics) {
  std::string text;
  if (!read_text(context.resolve(path), text, diagnostics) ||
      !parse_numeric_golden(text, path, golden, diagnostics)) {
    return false;
  }
  const std::string end = fmt::format("/{}/{}{}", golden.set, golden.id(), kExtension);
  if (path.ends_with(end)) return true;
  diagnostics.error(rule<"golden.kernel">.id(),
                    fmt::format("the header is of {}/{} at '{}', whose file is called '{}'",
                                golden.set, golden.kernel, golden.config, end.substr(1)),
                    Place(path));
  return false;
}

std::string first_different_bits(std::span<const NamedArray> outputs,
                                 std::span<const NamedArray> others) {
  for (std::size_t i = 0; i < outputs.size() && i < others.size(); ++i) {
    const std::string name = printable(outputs[i].name);
    const Array& here = outputs[i].array;
    const Array& there = others[i].array;
    if (outputs[i].name != others[i].name || here.dtype() != there.dtype() ||
        here.shape() != there.shape()) {
      return fmt::format("output '{}' is {} but was '{}', {}", name,
                         tensor_text(here.dtype(), here.shape()), printable(others[i].name),
                         tensor_text(there.dtype(), there.shape()));
    }
    const auto [at, other] = std::ranges::mismatch(here.bytes(), there.bytes());
    if (at == here.bytes().end()) continue;
    const auto index = static_cast<std::int64_t>(
        static_cast<std::size_t>(at - here.bytes().begin()) / element_bytes(here.dtype()));
    return fmt::format("element {} of '{}' is {} but was {}", index, name, here.real(index),
                       there.real(index));
  }
  if (outputs.size() == others.size()) return {};
  return fmt::format("there are {} but were {} outputs", outputs.size(), others.size());
}

bool run_numeric(const Context& context, RunTarget& target, const NumericGolden& golden,
                 const std::string& path, NumericOutcome& outcome, Diagnostics& diagnostics) {
  const std::unique_ptr<Executable> executable =
      compile_target(context, cpu_backend(), target, target.options, diagnostics);
  std::vector<NamedArray> inputs;
  std::vector<NamedArray> outputs;
  if (executable == nullptr ||
      !make_inputs(*executable, target, golden.input_seed, inputs, diagnostics)) {
    return false;
  }
  const std::int64_t start = steady_ms();
  {
    const BusyLine busy(context, "running " + target.name);
    if (!executable->run(inputs, outputs, diagnostics)) return false;
  }
  outcome = {};
  outcome.run_ms = steady_ms() - start;
  compare_outputs(golden, outputs, target.options.mode, path, outcome);
  outcome.outputs = std::move(outputs);
  return true;
}

}  // namespace milgen::cli
