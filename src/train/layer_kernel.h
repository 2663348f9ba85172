// A kernel of the training pipeline: its program, what was compiled of it, and its weights for
// every layer.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/backend.h"
#include "milgen/kernel.h"
#include "milgen/program.h"
#include "milgen/train/pipeline.h"
#include "milgen/weight_inputs.h"
#include "milgen/weight_modes.h"

namespace milgen::train::detail {

/// The values of a weight of a kernel, under the name that the kernel has for it.
struct WeightValues {
  std::string_view name;
  std::span<const float> values;  ///< a matrix [rows, columns]
  std::int64_t rows = 0;
  std::int64_t columns = 1;
  /// The kernel's weight is the transposed matrix.
  Transposed transposed = Transposed::no;
};

struct KernelEnvironment {
  const Backend* backend = nullptr;
  CompileOptions compile;
  WeightsAs weights_as = WeightsAs::constant;
  bool in_layers = true;  ///< false for kernels that a model has once
};

/// One kernel for a number of layers. Where all its weights are inputs, or it has none, it is
/// compiled once; otherwise each layer has an executable of its own, made anew by bake().
class LayerKernel {
 public:
  /// What is compiled once is compiled here.
  bool open(std::string_view name, const std::function<void(Kernel&)>& define, std::size_t layers,
            const KernelEnvironment& environment, PipelineTimes& times, Diagnostics& diagnostics);
  /// Writes the weights of one layer that are inputs; all of them are among `values`. Different
  /// layers may be written at a time.
  bool write(std::size_t layer, std::span<const WeightValues> values, Diagnostics& diagnostics);
  /// Compiles what one layer has of its own, where some weight is a constant.
  bool bake(std::size_t layer, std::span<const WeightValues> values, PipelineTimes& times,
            Diagnostics& diagnostics);
  /// `activations` are the kernel's own inputs, `output` is its only output.
  bool run(std::size_t layer, std::initializer_list<NamedArray> activations, const Array& output,
           const RunOptions& options, Diagnostics& diagnostics);

  /// "layer 3 ffn_fused"; "classifier_fwd" of what is in no layer.
  std::string stage(std::size_t layer) const;
  bool has_weights() const { return has_weights_; }
  bool is_baked() const { return baked_; }
  /// Compiles of one refresh of all layers.
  std::int64_t compiles_per_refresh() const {
    return baked_ ? static_cast<std::int64_t>(executables_.size()) : 0;
  }
  std::uint64_t held_bytes() const;

 private:
  bool build(const std::function<void(Kernel&)>& define, Diagnostics& diagnostics);
  std::unique_ptr<Executable> compile(WeightSource& source, PipelineTimes& times,
                                      Diagnostics& diagnostics) const;

  std::string name_;
  KernelEnvironment environment_;
  Program program_;
  WeightPlan plan_;
  bool has_weights_ = false;
  bool baked_ = false;                                    // some weight is a constant
  std::vector<std::unique_ptr<Executable>> executables_;  // by layer where baked_, or one
  std::vector<WeightInputs> inputs_;                      // by layer where plan_.has_weights()
  std::vector<NamedArray> given_;                         // kept from run to run for its memory
};

}  // namespace milgen::train::detail
