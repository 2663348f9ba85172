// A program on the Neural Engine: compiled, loaded, with its surfaces bound by name.
//
//     auto model = ane::Model::compile(*engine, module, {}, diagnostics);
//     if (!model) return fail(model.error().text());
//     if (auto error = model->write_fp32("x", x)) return fail(error.text());
//     if (auto error = model->evaluate()) return fail(error.text());
//     if (auto error = model->read_fp32("y", y)) return fail(error.text());
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "milgen/ane/engine.h"
#include "milgen/ane/error.h"
#include "milgen/ane/surface.h"
#include "milgen/backend.h"
#include "milgen/diagnostic.h"
#include "milgen/module.h"

namespace milgen::ane {

struct ModelState;  // internal: src/ane/model_state.h
class SharedEvent;

/// The quality of service that all known users of the runtime ask for (ane_runtime, 4.4).
inline constexpr std::uint32_t kDefaultQos = 21;

/// An entry of the options dictionary. Known keys (ane_runtime, 4.4): kANEFKeepModelMemoryWiredKey,
/// kANEFEnableLateLatchKey, kANEFEnablePowerSavingKey, kANEFSkipPreparePhaseKey,
/// kANEFAneInstanceHint, ...
struct EngineOption {
  std::string key;
  std::variant<bool, std::int64_t, std::string> value;
};

/// Compiled programs that other processes, and later runs, find again.
struct CacheOptions {
  bool enabled = false;
  /// Empty: what MILGEN_ANE_CACHE says, and without it the user's folder for caches. It must belong
  /// to the user and not be writable by others.
  std::string folder = {};
};

/// Which message evaluates. They all give the same numbers; none is always the fastest
/// (ane_runtime, 4.6), so that only measuring decides: `milc bench --route`.
enum class EvaluateRoute : std::uint8_t {
  standard,   ///< -[_ANEInMemoryModel evaluateWithQoS:options:request:error:]
  client,     ///< -[_ANEClient evaluateWithModel:options:request:qos:error:]
  direct,     ///< -[_ANEClient doEvaluateDirectWithModel:options:request:qos:error:]
  real_time,  ///< -[_ANEClient evaluateRealTimeWithModel:options:request:error:]
};

struct ModelOptions {
  /// Empty: `main`, or the only function.
  std::string function = {};
  /// The folder that `@model_path` stands for; weights that are not in `weights` are read there.
  std::string model_path = ".";
  /// Weight files in memory, by the exact path that BLOBFILE says.
  std::vector<WeightFileBytes> weights = {};
  /// All weights are looked up in this file, whatever their paths; "" for the files that they name.
  std::string weight_file = {};

  std::uint32_t qos = kDefaultQos;
  std::vector<EngineOption> options = {};  ///< for compile, load and evaluate
  /// Of the descriptor (`optionsPlist`): becomes a part of the program's identity.
  std::vector<EngineOption> compiler_options = {};
  /// Not 0: performance counters are asked for; 4 bits (RT-008 in ane_constraints).
  std::uint32_t perf_stats_mask = 0;
  EvaluateRoute route = EvaluateRoute::standard;
  CacheOptions cache = {};

  /// A load that fails is tried once more after this pause (ane_runtime, 4.4).
  std::chrono::milliseconds load_pause{100};
  /// 0: no bound, and the call is made on the caller's own thread.
  std::chrono::milliseconds compile_timeout{600'000};
  std::chrono::milliseconds load_timeout{60'000};  ///< also of mapping and unloading
  std::chrono::milliseconds evaluate_timeout{30'000};
  /// What is sent to the engine is written below this folder, one folder a program, before it is
  /// sent. Empty: what MILGEN_ANE_DUMP says; no dump without.
  std::string dump_folder = {};
};

/// What bringing a model up took.
struct CompileStats {
  std::uint64_t write_ns = 0;    ///< model.mil and weights/ written
  std::uint64_t pause_ns = 0;    ///< waited because an earlier compile had failed
  std::uint64_t compile_ns = 0;  ///< 0 when the cache had it
  std::uint64_t load_ns = 0;     ///< pauses between attempts included
  std::uint64_t map_ns = 0;
  std::uint64_t total_ns = 0;
  int load_attempts = 0;
  bool cached = false;      ///< loaded without compiling
  bool recompiled = false;  ///< the cache had it, loading failed, and it was compiled again
};

/// One input or output, by index in declared order or by name.
class Port {
 public:
  Port(int index) : index_(index), by_index_(true) {}
  Port(std::size_t index) : index_(static_cast<std::int64_t>(index)), by_index_(true) {}
  Port(std::string_view name) : name_(name) {}
  Port(const std::string& name) : name_(name) {}
  Port(const char* name) : name_(name) {}

  bool by_index() const { return by_index_; }
  std::int64_t index() const { return index_; }
  std::string_view name() const { return name_; }

 private:
  std::int64_t index_ = -1;
  std::string_view name_;
  bool by_index_ = false;
};

/// An evaluation under way.
class Evaluation {
 public:
  Evaluation() = default;
  bool done() const;
  /// Waits for the end, at most so long; `timeout` when it did not come, and it can be waited for
  /// again. Without a number: as long as the model's own bound.
  Error wait(std::chrono::milliseconds at_most);
  Error wait();

  struct State;  // internal
  explicit Evaluation(std::shared_ptr<State> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<State> state_;
};

/// A loaded program with one surface for each input and output. Moving is cheap; closing or
/// destroying it unloads it, gives its surfaces back and removes its files.
///
/// Threads: different models are independent. Calls for one model exclude each other: a call waits
/// for the one before, at most evaluate_timeout, and gives `busy` then. Views (view_input()) are
/// not part of that: nothing may be evaluated while the caller holds one. After a fork the child
/// may use nothing that was made before it (ANEForge, ane_runtime 4.6): every call gives `closed`.
///
/// A call that the engine does not answer in time gives `timeout`; from then on the model gives
/// `broken`, and what the engine may still write to stays allocated.
class Model {
 public:
  Model() = default;  ///< none: every call gives ErrorKind::closed
  Model(Model&&) noexcept = default;
  Model& operator=(Model&& other) noexcept;
  ~Model();

  /// Verifies the module, writes its files, compiles, loads, makes surfaces and binds them. The
  /// engine gets the text as print_mil() writes it. Warnings: `ane.order` where names do not sort
  /// as they are declared, `ane.pitch` where a row is not a multiple of 64 bytes; milgen binds and
  /// pitches such tensors rightly, other hosts may not.
  static Result<Model> compile(const Engine& engine, const Module& module,
                               const ModelOptions& options, Diagnostics& diagnostics);
  /// The same for a text, which is sent as it is, byte for byte. `name` is what reports call it.
  static Result<Model> compile(const Engine& engine, std::string_view mil_text,
                               std::string_view name, const ModelOptions& options,
                               Diagnostics& diagnostics);
  /// A compiled package: a folder NAME.mlmodelc. Its inputs and outputs are those that the engine
  /// tells after loading, and model.mil's in it when the engine tells none.
  static Result<Model> load_package(const Engine& engine, const std::string& folder,
                                    const ModelOptions& options, Diagnostics& diagnostics);

  explicit operator bool() const { return state_ != nullptr; }
  /// Unloads and removes files; a second call does nothing. The error of the engine, if it gave
  /// one; everything is released all the same, after a `timeout` when the engine comes back.
  Error close();

  const Engine& engine() const;
  /// The engine's name for the program, of its text, weights and options.
  std::string_view identifier() const;
  const CompileStats& stats() const;
  bool from_package() const;
  /// The folder with model.mil, weights/ and what the engine put beside them; removed when the
  /// model is closed, unless the cache has it. A package's own folder.
  const std::string& folder() const;
  /// How symbols were found: by the indices that the engine told, or by sorted names.
  bool bound_by_engine() const;

  /// In the order of the MIL text's declaration.
  std::span<const TensorLayout> inputs() const;
  std::span<const TensorLayout> outputs() const;
  /// -1 when there is none.
  std::ptrdiff_t find_input(std::string_view name) const;
  std::ptrdiff_t find_output(std::string_view name) const;

  // Writing and reading. An input keeps what was written to it until it is written again: weights
  // that are inputs are written once. Values are as in milgen/ane/surface.h. `argument` for a port
  // that there is none of, another number of elements and a dtype that does not fit, with both.
  Error write_packed(Port input, std::span<const std::byte> packed);
  Error write_fp16(Port input, std::span<const std::uint16_t> values, const Region& region = {});
  Error write_fp32(Port input, std::span<const float> values, const Region& region = {});
  Error write_raw(Port input, std::span<const std::byte> bytes);
  Error write(Port input, const Array& array);
  Error read_packed(Port output, std::span<std::byte> packed) const;
  Error read_fp16(Port output, std::span<std::uint16_t> values, const Region& region = {}) const;
  Error read_fp32(Port output, std::span<float> values, const Region& region = {}) const;
  Error read_raw(Port output, std::span<std::byte> bytes) const;
  Error read(Port output, Array& array) const;
  Result<TensorView> view_input(Port input, Access access = Access::write);
  Result<TensorView> view_output(Port output, Access access = Access::read);

  /// The surface of an input or output; it stays the model's own, too.
  Result<Surface> input_surface(Port input) const;
  Result<Surface> output_surface(Port output) const;
  /// Another surface in its place, large enough (`argument` otherwise). Maps again: not for every
  /// evaluation; StateHandle and RequestPool keep several requests instead.
  Error set_input_surface(Port input, const Surface& surface);
  Error set_output_surface(Port output, const Surface& surface);

  /// Runs it once and waits. The engine's thread is another one while there is a bound.
  Error evaluate();
  /// Begins a run; `done` is called on a thread of milgen's when it ended, in the order in which
  /// runs were begun, and may not call the model. Runs behind it begin when it has returned, and
  /// its time counts as theirs: it should be short. At most 127 may be under way (`busy`).
  Result<Evaluation> evaluate_async(std::function<void(const Error&)> done = {});

  /// Of the last evaluation, in ns, as the engine measured it; 0 when it did not
  /// (ModelOptions::perf_stats_mask).
  std::uint64_t hardware_ns() const;

  const std::shared_ptr<ModelState>& state() const { return state_; }

 private:
  explicit Model(std::shared_ptr<ModelState> state) : state_(std::move(state)) {}
  friend struct ModelState;
  std::shared_ptr<ModelState> state_;
};

/// `input` of `target` becomes the surface of `output` of `source`: what one writes the other
/// reads. `argument` when they are not the same in dtype and shape, `layout` when the engine's
/// strides of the two differ: copy_io() moves such tensors.
Error share_surface(Model& source, Port output, Model& target, Port input);
/// From an output to an input, by channels, without a buffer between them (the field's io_copy,
/// copy_io).
Error copy_io(const Model& source, Port output, Model& target, Port input,
              const CopyRange& range = {});

}  // namespace milgen::ane
