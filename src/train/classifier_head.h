// The end of a model: final norm, classifier, loss, and their backward.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "milgen/train/pipeline.h"
#include "train/layer_kernel.h"
#include "train/workbench.h"

namespace milgen::train::detail {

class ClassifierHead {
 public:
  ClassifierHead(Workbench& bench, ClassifierOn where, const CompactVocab& vocab);

  bool open();
  bool refresh(const ModelWeights& weights);
  /// Logits from the residual stream `x` [D, S].
  bool forward(std::span<const float> x);
  /// Mean loss; the logits become its gradient at them, times `scale`. `targets` are rows.
  double loss(Tokens targets, float scale);
  /// From the gradient at the logits to `dx` [D, S], that at `x`, which is what forward() got.
  bool backward(std::span<const float> x, std::span<float> dx);

  std::int64_t rows() const { return rows_; }
  /// [rows(), S]
  std::span<const float> logits() const { return logits_; }
  /// The row of a token; -1 for one that has none.
  std::int64_t row_of(std::int32_t token) const;
  std::int64_t compiles_per_refresh() const;
  std::uint64_t held_bytes() const;

 private:
  bool open_kernels();
  bool refresh_kernels(const ModelWeights& weights);
  bool run_forward();
  bool run_backward(std::span<const float> x, std::span<float> dx);
  bool add_classifier_gradient();
  /// The rows of the classifier, [rows(), D].
  std::span<const float> table(const ModelWeights& weights) const;
  Floats& classifier_of(ModelTensors& tensors) const;

  Workbench& bench_;
  bool on_host_;
  const CompactVocab& vocab_;
  bool compact_;
  std::int64_t rows_;
  Floats compact_table_;  // [rows, D] where compact_
  Floats compact_grads_;
  Floats norm_;    // [D, S], the normalised x
  Floats logits_;  // [rows, S]
  // With kernels:
  KernelEnvironment environment_;
  LayerKernel final_norm_, forward_, backward_, norm_backward_;
  std::int64_t slice_rows_ = 0;  // of the classifier, in each weight of backward_
  std::vector<std::string> slice_names_;
  Channels narrow_;  // (dnorm, x)
  Channels normed_;
  Channels wide_;  // logits, then their gradient
};

}  // namespace milgen::train::detail
