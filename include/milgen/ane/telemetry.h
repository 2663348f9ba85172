// What the engine tells of an evaluation, of a loaded model and of itself. Which of it is there
// differs between systems: consumer builds of macOS often fill nothing but the hardware time
// (ane_runtime, 4.9), and what is not told is empty here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "milgen/ane/engine.h"
#include "milgen/ane/error.h"
#include "milgen/ane/model.h"

namespace milgen::ane {

struct PerfCounter {
  std::string name;
  std::int64_t value = 0;
};

/// Of one evaluation.
struct EvaluateStats {
  std::uint64_t host_ns = 0;                 ///< on the caller's clock, from call to return
  std::uint64_t hardware_ns = 0;             ///< as the engine measured it; 0 when it did not
  std::vector<PerfCounter> counters = {};    ///< as far as the engine gives them with names
  std::vector<std::byte> counter_data = {};  ///< as the engine gives them, uninterpreted
};

/// As Model::evaluate(), with what the engine tells of it. `argument` for a model that was made
/// without a perf_stats_mask. Any thread, as Model's calls.
Result<EvaluateStats> evaluate_with_stats(Model& model);

/// Times evaluations on the engine's clock without allocating. For one thread at a time; the model
/// must outlive it.
class HardwareTimer {
 public:
  /// `argument` for a model that was made without a perf_stats_mask.
  static Result<HardwareTimer> of(Model& model);
  /// Evaluates; ns, 0 when the engine did not measure.
  Result<std::uint64_t> evaluate();

 private:
  explicit HardwareTimer(Model& model) : model_(&model) {}
  Model* model_;
};

/// What the runtime says of a loaded model.
struct ModelDiagnostics {
  std::optional<std::uint64_t> state = {};
  std::optional<int> queue_depth = {};  ///< how many requests it queues
  std::optional<std::uint64_t> program_handle = {};
  /// Not 0 when values between ops go to memory (RT-012 in ane_constraints).
  std::optional<std::uint64_t> intermediate_buffer = {};
  std::optional<std::uint32_t> perf_stats_mask = {};  ///< that it has after loading
};
/// Any thread, as Model's calls, and with their errors.
Result<ModelDiagnostics> diagnose(const Model& model);

/// Host and engine at one time. Any thread.
struct EngineSnapshot {
  std::string label = {};  ///< "ane" or "fake"
  DeviceInfo device = {};
  std::optional<bool> virtual_client = {};  ///< the engine of a virtual machine's host
  CompileLedger ledger = {};
};
/// Of no engine, or in a child of the process that opened it, all of it is empty.
EngineSnapshot take_snapshot(const Engine& engine);

/// One line each, "name=value name=value", of what is known; "" of nothing.
std::string to_text(const EvaluateStats& stats);
std::string to_text(const ModelDiagnostics& diagnostics);
std::string to_text(const EngineSnapshot& snapshot);

}  // namespace milgen::ane
