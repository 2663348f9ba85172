#include "milgen/backend.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "ane/model_state.h"
#include "backend/ports.h"
#include "mil/module_data.h"
#include "milgen/ane/engine.h"
#include "milgen/ane/model.h"
#include "milgen/module.h"
#include "support/printable.h"
#include "support/rule.h"

namespace milgen {
namespace ane {
namespace {

std::vector<TensorSpec> specs_of(std::span<const TensorLayout> layouts) {
  std::vector<TensorSpec> specs;
  for (const TensorLayout& layout : layouts) {
    specs.push_back({layout.name, layout.dtype, layout.shape, ValueKind::tensor});
  }
  return specs;
}

/// A model on the engine as an Executable. Runs exclude each other: there is one set of surfaces.
class AneExecutable final : public Executable {
 public:
  AneExecutable(Model model, std::string file, std::vector<Place> inputs,
                std::vector<Place> outputs)
      : model_(std::move(model)),
        file_(std::move(file)),
        inputs_(specs_of(model_.inputs()), std::move(inputs)),
        outputs_(specs_of(model_.outputs()), std::move(outputs)) {}

  std::span<const TensorSpec> inputs() const override { return inputs_.specs(); }
  std::span<const TensorSpec> outputs() const override { return outputs_.specs(); }
  std::span<const TensorSpec> states() const override { return {}; }

  bool run(std::span<const NamedArray> inputs, std::vector<NamedArray>& outputs,
           Diagnostics& diagnostics, const RunOptions& options) const override {
    const std::lock_guard lock(mutex_);
    if (!match_inputs(inputs_, inputs, file_, at_, diagnostics)) return false;
    if (!check_outputs(outputs, diagnostics)) return false;
    Error error;
    {
      // From the first input to the last output, so that nobody who has the model's surfaces comes
      // in between.
      ModelState& state = *model_.state();
      const ModelCall call(&state);
      error = call.error();
      if (!error) error = write(state, inputs);
      if (!error) error = evaluate(state, options);
      if (!error) error = read(state, outputs);
    }
    if (error) report(error, diagnostics, Place(file_));
    if (!error && options.report != nullptr) tell(outputs, options);
    return !error;
  }

 private:
  Error write(const ModelState& state, std::span<const NamedArray> given) const {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (Error error =
              write_packed(state.input_surfaces[i], state.inputs[i], given[at_[i]].array.bytes())) {
        return error;
      }
    }
    return {};
  }

  Error evaluate(ModelState& state, const RunOptions& options) const {
    const auto begun = std::chrono::steady_clock::now();
    Error error = evaluate_bounded(state, state.request);
    const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begun;
    if (options.report != nullptr) {
      *options.report = {};
      for (const TensorLayout& layout : state.inputs) add_bytes(layout, *options.report);
      for (const TensorLayout& layout : state.outputs) add_bytes(layout, *options.report);
      if (options.time_ops) {
        // The engine tells of the program as a whole, and of no op.
        options.report->ops.push_back(
            {"program", state.name, 0, 1, static_cast<std::uint64_t>(took.count())});
      }
    }
    return error;
  }

  static void add_bytes(const TensorLayout& layout, RunReport& report) {
    report.peak_bytes += static_cast<std::uint64_t>(layout.alloc_bytes());
    report.live_bytes = report.peak_bytes;
  }

  bool check_outputs(const std::vector<NamedArray>& outputs, Diagnostics& diagnostics) const {
    outputs_.locate(outputs, output_at_);
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (output_at_[i] == Ports::kNone) continue;
      const Array& array = outputs[output_at_[i]].array;
      if (array && !check_output(outputs_, i, outputs_.spec(i).shape, array, diagnostics)) {
        return false;
      }
    }
    return true;
  }

  Error read(const ModelState& state, std::vector<NamedArray>& outputs) const {
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const TensorSpec& spec = outputs_.spec(i);
      if (output_at_[i] == Ports::kNone) {
        output_at_[i] = outputs.size();
        outputs.push_back({spec.name, {}});
      }
      Array& array = outputs[output_at_[i]].array;
      if (!array) array = Array::uninitialized(spec.dtype, spec.shape);
      if (!array) {
        return {ErrorKind::argument,
                fmt::format("there is no memory for output {}", printable(spec.name))};
      }
      if (Error error =
              read_packed(state.output_surfaces[i], state.outputs[i], array.mutable_bytes())) {
        return error;
      }
    }
    return {};
  }

  /// What the outputs alone show.
  void tell(const std::vector<NamedArray>& outputs, const RunOptions& options) const {
    if (!options.report_nonfinite) return;
    for (std::size_t i = 0; i < outputs_.size() && !options.report->nonfinite.found; ++i) {
      find_nonfinite(outputs[output_at_[i]].array, i, options.report->nonfinite);
    }
  }

  void find_nonfinite(const Array& array, std::size_t output, NonFinite& found) const {
    if (!is_float(array.dtype())) return;
    for (std::int64_t i = 0; i < array.size(); ++i) {
      const double value = array.real(i);
      if (std::isfinite(value)) continue;
      if (found.count++ != 0) continue;
      found.found = true;
      found.op = "program";
      found.result = outputs_.spec(output).name;
      found.place = outputs_.place(output);
      found.index = i;
      found.value = value;
    }
  }

  Model model_;
  std::string file_;
  Ports inputs_;
  Ports outputs_;
  mutable std::mutex mutex_;
  mutable std::vector<std::size_t> at_;  // by input, in the given arrays
  mutable std::vector<std::size_t> output_at_;
};

ModelOptions model_options(const CompileOptions& options) {
  ModelOptions out;
  out.function = options.function;
  out.model_path = options.model_path;
  out.weights = options.weights;
  out.weight_file = options.weight_file;
  const char* cache = std::getenv("MILGEN_ANE_CACHE");
  out.cache.enabled = cache != nullptr && *cache != '\0';
  return out;
}

class AneBackend final : public Backend {
 public:
  std::string_view name() const override { return "ane"; }
  std::string_view engine() const override {
    const Result<Engine> engine = Engine::open();
    return engine ? engine->label() : name();
  }
  bool available(std::string& why) const override {
    const Result<Engine> engine = Engine::open();
    if (!engine) why = engine.error().text();
    return static_cast<bool>(engine);
  }

  using Backend::compile;
  std::unique_ptr<Executable> compile(const Module& module, const CompileOptions& options,
                                      Diagnostics& diagnostics) const override {
    const std::size_t errors_before = diagnostics.errors();
    const std::string file = module.data().file;
    const Result<Engine> engine = Engine::open();
    Result<Model> model = engine
                              ? Model::compile(*engine, module, model_options(options), diagnostics)
                              : engine.error();
    if (!model) {
      // Those of the text and of weights stand there with their places already.
      if (diagnostics.errors() == errors_before) report(model.error(), diagnostics, Place(file));
      return nullptr;
    }
    // The function is the first one: Model::compile() refuses others.
    const mil::Function function = module.functions()[0];
    std::vector<Place> inputs;
    for (const mil::Value input : function.inputs()) inputs.push_back(input.place());
    std::vector<Place> outputs;
    for (const mil::Binding output : function.body().outputs()) outputs.push_back(output.place());
    return std::make_unique<AneExecutable>(*std::move(model), file, std::move(inputs),
                                           std::move(outputs));
  }
};

}  // namespace
}  // namespace ane

const Backend& ane_backend() {
  static const ane::AneBackend backend;
  return backend;
}

}  // namespace milgen
