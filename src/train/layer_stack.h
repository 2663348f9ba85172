// The layers of a model on the kernels of one set: activations of a step and both directions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/train/pipeline.h"
#include "train/layer_kernel.h"
#include "train/workbench.h"

namespace milgen::train::detail {

class LayerStack {
 public:
  explicit LayerStack(Workbench& bench) : bench_(bench) {}
  LayerStack(const LayerStack&) = delete;
  LayerStack& operator=(const LayerStack&) = delete;
  virtual ~LayerStack() = default;

  /// Takes memory, builds the kernels, compiles those that need no weights.
  bool open();
  bool refresh(const ModelWeights& weights);
  /// Looks at the weights as the kernels get them, in fp16: false when one is not finite.
  bool finite_weights();
  /// From input() to output().
  bool forward();
  /// `dx` [D, S]: the scaled gradient at output(), and in the end that at input().
  bool backward(std::span<float> dx);

  /// The residual stream in front of the first layer and behind the last, [D, S].
  std::span<float> input() { return residual_.front(); }
  std::span<const float> output() const { return residual_.back(); }

  std::int64_t compiles_per_refresh() const;
  std::uint64_t held_bytes() const;

 protected:
  /// A kernel, and the weights of a layer that it takes.
  struct KernelOfSet {
    std::string_view name;
    std::function<void(Kernel&)> define;
    std::vector<WeightValues> (*weights)(const LayerTensors& layer, const ModelConfig& config);
    LayerKernel* kernel;
  };
  virtual std::vector<KernelOfSet> kernels() = 0;
  bool write(const ModelWeights& weights);
  /// Memory for what stays from a layer's forward to its backward, and for what does not.
  virtual bool open_channels() = 0;
  virtual bool forward_layer(std::size_t layer) = 0;
  virtual bool backward_layer(std::size_t layer, std::span<float> dx) = 0;
  virtual std::uint64_t channel_bytes() const = 0;

  const ModelConfig& config() const { return bench_.config; }
  const LayerTensors& weights(std::size_t layer) const { return bench_.weights->layers[layer]; }
  /// Null when gradients of weights are not wanted.
  LayerTensors* grads(std::size_t layer) const {
    return bench_.grads != nullptr ? &bench_.grads->layers[layer] : nullptr;
  }
  /// Workbench::run(), timed.
  bool run(LayerKernel& kernel, std::size_t layer, std::initializer_list<NamedArray> activations,
           const Array& output);
  /// "layer 3 WHAT"
  static std::string stage(std::size_t layer, std::string_view what);

  Workbench& bench_;
  std::vector<KernelOfSet> kernels_;  ///< kernels(), from open() on
  double* direction_ms_ = nullptr;    ///< what the time of kernels is added to
  std::vector<Floats> residual_;      ///< [D, S] in front of each layer, and behind the last
  std::vector<Floats> x2_;            ///< [D, S], behind the attention of each layer
};

std::unique_ptr<LayerStack> make_stories_stack(Workbench& bench);
std::unique_ptr<LayerStack> make_dynamic_stack(Workbench& bench);

}  // namespace milgen::train::detail
