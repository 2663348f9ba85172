#include "train/layer_kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "milgen/weights.h"
#include "train/timed.h"

namespace milgen::train::detail {
namespace {

/// The weights whose values come from outside and that are constants of the program.
std::vector<std::string> baked_weights(const Program& program) {
  std::vector<std::string> names;
  for (const WeightInfo& weight : program.weights()) {
    if (!weight.own_values) names.push_back(weight.name);
  }
  return names;
}

/// A source that has `values`, transposed where that is asked for, without a copy of them.
std::unique_ptr<WeightSource> source_of(std::span<const WeightValues> values,
                                        std::string_view kernel, Diagnostics& diagnostics) {
  std::vector<MemoryWeight> tensors;
  std::string map;
  for (const WeightValues& weight : values) {
    tensors.push_back({fmt::format("given.{}", weight.name), DType::fp32,
                       Shape{weight.rows, weight.columns}, std::as_bytes(weight.values)});
    map += fmt::format("{} = {}given.{}\n", weight.name,
                       weight.transposed == Transposed::yes ? "transpose " : "", weight.name);
  }
  std::unique_ptr<WeightSource> memory = memory_weights(std::move(tensors), {}, diagnostics);
  if (memory == nullptr) return nullptr;
  return mapped_weights(std::move(memory), map, kernel, diagnostics);
}

/// Everything that was reported, when there was an error: warnings of a kernel that is used as it
/// is tell its user nothing.
void pass_errors(const Diagnostics& from, Diagnostics& to) {
  if (from.has_errors()) to.append(from);
}

}  // namespace

bool LayerKernel::open(std::string_view name, const std::function<void(Kernel&)>& define,
                       std::size_t layers, const KernelEnvironment& environment,
                       PipelineTimes& times, Diagnostics& diagnostics) {
  name_ = name;
  environment_ = environment;
  if (!build(define, diagnostics)) return false;
  plan_ = weight_plan(program_);
  baked_ = !baked_weights(program_).empty();
  has_weights_ = baked_ || plan_.has_weights();
  executables_.resize(baked_ ? layers : 1);
  if (plan_.has_weights()) {
    inputs_ = std::vector<WeightInputs>(layers);
    for (WeightInputs& inputs : inputs_) {
      if (!inputs.open(plan_, diagnostics)) return false;
    }
  }
  if (baked_) return true;
  const std::unique_ptr<WeightSource> nothing = seeded_weights(0);
  executables_[0] = compile(*nothing, times, diagnostics);
  return executables_[0] != nullptr;
}

bool LayerKernel::build(const std::function<void(Kernel&)>& define, Diagnostics& diagnostics) {
  Kernel kernel(name_);
  define(kernel);
  const Program baked = kernel.finish();
  pass_errors(kernel.diagnostics(), diagnostics);
  if (!baked) return false;
  WeightModes modes{.all = environment_.weights_as};
  Diagnostics reports;
  program_ = with_weights_as(baked, modes, reports);
  // Gains have no place in a packed input: as parameters they spare a compile for every layer.
  if (program_ && modes.all == WeightsAs::packed) {
    for (const std::string& weight : baked_weights(program_)) {
      modes.choices.push_back({weight, WeightsAs::param});
    }
    if (!modes.choices.empty()) program_ = with_weights_as(baked, modes, reports);
  }
  pass_errors(reports, diagnostics);
  return static_cast<bool>(program_);
}

std::unique_ptr<Executable> LayerKernel::compile(WeightSource& source, PipelineTimes& times,
                                                 Diagnostics& diagnostics) const {
  const Timed timed(times.compile_ms);
  ++times.compiles;
  Diagnostics reports;
  std::unique_ptr<Executable> executable =
      environment_.backend->compile(program_, source, environment_.compile, reports);
  pass_errors(reports, diagnostics);
  return executable;
}

bool LayerKernel::write(std::size_t layer, std::span<const WeightValues> values,
                        Diagnostics& diagnostics) {
  if (!plan_.has_weights()) return true;
  return std::ranges::all_of(values, [&](const WeightValues& weight) {
    return inputs_[layer].write(weight.name, weight.values, weight.transposed, diagnostics);
  });
}

bool LayerKernel::bake(std::size_t layer, std::span<const WeightValues> values,
                       PipelineTimes& times, Diagnostics& diagnostics) {
  if (!baked_) return true;
  const std::unique_ptr<WeightSource> source = source_of(values, name_, diagnostics);
  if (source == nullptr) return false;
  // The old one goes first: both at a time would be memory for two sets of weights.
  executables_[layer].reset();
  executables_[layer] = compile(*source, times, diagnostics);
  return executables_[layer] != nullptr;
}

bool LayerKernel::run(std::size_t layer, std::initializer_list<NamedArray> activations,
                      const Array& output, const RunOptions& options, Diagnostics& diagnostics) {
  const Executable& executable = *executables_[baked_ ? layer : 0];
  std::vector<NamedArray> outputs{{executable.outputs()[0].name, output}};
  if (inputs_.empty()) return executable.run(activations, outputs, diagnostics, options);
  given_.clear();
  return inputs_[layer].bind(activations, given_, diagnostics) &&
         executable.run(given_, outputs, diagnostics, options);
}

std::string LayerKernel::stage(std::size_t layer) const {
  return environment_.in_layers ? fmt::format("layer {} {}", layer, name_) : name_;
}

std::uint64_t LayerKernel::held_bytes() const {
  std::uint64_t bytes = 0;
  for (const PlannedInput& input : plan_.inputs) {
    const bool kept = std::ranges::any_of(input.parts, &PlannedPart::is_weight);
    std::int64_t count = 1;
    for (const std::int64_t dim : input.shape) count *= dim;
    if (kept) bytes += static_cast<std::uint64_t>(count) * element_bytes(input.dtype);
  }
  return bytes * inputs_.size();
}

}  // namespace milgen::train::detail
