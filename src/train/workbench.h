// What every part of a training step works with: sizes, host operations, gradients, scratch memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/array.h"
#include "milgen/train/host_ops.h"
#include "milgen/train/model.h"
#include "milgen/train/pipeline.h"
#include "support/thread_pool.h"
#include "train/layer_kernel.h"

namespace milgen::train::detail {

/// fp16 channels of a sequence, [1, C, 1, S]: what kernels read and write, tensor behind tensor.
class Channels {
 public:
  /// `memory.limit` where there is no memory for it.
  bool open(std::int64_t channels, std::int64_t seq, Diagnostics& diagnostics);
  /// [1, count, 1, S], the same memory.
  Array part(std::int64_t first, std::int64_t count) const;
  Array all() const { return array_; }
  std::span<std::uint16_t> halves(std::int64_t first, std::int64_t count);
  std::span<const std::uint16_t> halves(std::int64_t first, std::int64_t count) const;
  std::uint64_t bytes() const { return array_.bytes().size(); }

 private:
  Array array_;
  std::size_t seq_ = 0;
};

/// fp32 memory of a known size.
using Floats = std::vector<float>;

struct Workbench {
  Workbench(const ModelConfig& model, const PipelineOptions& options);

  ModelConfig config;
  KernelEnvironment environment;
  PipelineTimes times;
  HostOps host;
  milgen::detail::ThreadPool pool;  ///< for what is shared out between layers

  // Of the step that is under way.
  const ModelWeights* weights = nullptr;
  ModelGrads* grads = nullptr;       ///< null: gradients of weights are not wanted
  float unscale = 1;                 ///< from scaled gradients to what is added to grads
  NonFiniteOrigin* probe = nullptr;  ///< where the first value that is not finite is looked for
  Diagnostics* diagnostics = nullptr;

  /// Runs a kernel, and looks at what it makes where that is asked for. False after a report, and
  /// when the probe has found something.
  bool run(LayerKernel& kernel, std::size_t layer, std::initializer_list<NamedArray> activations,
           const Array& output);
  /// Looks at values of the host. False when the probe has found something in them.
  bool finite(std::string_view stage, std::span<const float> values);
  bool finite(std::string_view stage, std::span<const std::uint16_t> values);

  /// to_fp16() of `from`, looked at.
  bool halve(std::string_view stage, std::span<std::uint16_t> to, std::span<const float> from);

  /// dw += dy * x^T, unscaled; dy: [out, S], x: [in, S].
  bool add_gradient(Floats& dw, std::span<const float> dy, std::span<const float> x);
  /// The same for what kernels made: as fp32 in scratch memory until the next call for that one.
  std::span<const float> dy_floats(std::span<const std::uint16_t> halves);
  std::span<const float> x_floats(std::span<const std::uint16_t> halves);
  /// dgain += what rmsnorm_backward() adds, unscaled. dx: [D, S], may be dy.
  void norm_backward(Floats* dgain, std::span<float> dx, std::span<const float> dy,
                     std::span<const float> x, std::span<const float> gain);

  /// Reports `memory.limit`. False.
  bool no_memory(std::string_view what);
  std::uint64_t held_bytes() const;

 private:
  std::span<const float> floats_in(Floats& scratch, std::span<const std::uint16_t> halves);

  Floats dy_;
  Floats x_;
  Floats gain_;
};

}  // namespace milgen::train::detail
