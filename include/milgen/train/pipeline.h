// Forward and backward of one sequence through the kernels, on any Backend. The host does what lies
// between the kernels: residual stream, norms of the set `dynamic`, loss, weight gradients.
//
//     Pipeline pipeline;
//     if (!pipeline.open(config, {.weights_as = WeightsAs::param}, diagnostics)) return false;
//     if (!pipeline.refresh(weights, diagnostics)) return false;      // after every change of them
//     double loss = 0;
//     if (!pipeline.step(tokens, targets, grads, loss, diagnostics)) return false;
//
// Gradients are added to those that are there.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/backend.h"
#include "milgen/diagnostic.h"
#include "milgen/train/host_ops.h"
#include "milgen/train/model.h"
#include "milgen/weight_modes.h"

namespace milgen::train {

/// Which kernels make up a layer, and so which model it is.
enum class KernelSet : std::uint8_t {
  /// The six fused kernels of milgen/kernels/stories.h. No rotary embedding, every head has keys
  /// and values of its own, heads * head_dim == dim, residual scale 1. A llama2.c file through
  /// these is not its author's model.
  stories,
  /// The compile-once set of milgen/kernels/dynamic.h: rotary embedding, grouped-query attention,
  /// any residual scale. The model of llama2.c with residual scale 1.
  dynamic,
};
/// "stories", "dynamic"
std::string_view kernel_set_name(KernelSet set);
bool kernel_set_from_name(std::string_view name, KernelSet& set);

/// What computes the final norm and the product with the classifier, forward and backward.
enum class ClassifierOn : std::uint8_t {
  host,     ///< products in fp32
  kernels,  ///< those of milgen/kernels/classifier.h, in fp16
};

struct PipelineOptions {
  KernelSet kernels = KernelSet::dynamic;
  /// `constant`: every layer has kernels of its own with its weights baked in, compiled anew at
  /// every refresh(). `param` and `packed`: each kernel is compiled once and serves all layers.
  WeightsAs weights_as = WeightsAs::constant;
  /// Null: cpu_backend().
  const Backend* backend = nullptr;
  /// Of the CPU backend and of the host's products. In `exact` the gradients and the loss have the
  /// same bits for all three ways of the weights, any number of threads, and any machine.
  NumericMode mode = NumericMode::exact;
  int threads = 0;  ///< 0: as many as the machine has
  /// Gradients are multiplied by this before they become fp16, and divided by it before they are
  /// added to the caller's.
  float loss_scale = 1;
  ClassifierOn classifier = ClassifierOn::host;
  /// The tokens that occur in the data: the classifier, the softmax and the loss are over these
  /// alone, and logits have their rows. Empty: the whole vocabulary.
  CompactVocab vocab = {};
};

/// Where a value that is infinite or not a number came from.
struct NonFiniteOrigin {
  bool found = false;
  /// What computed it: "layer 3 ffn_fwd_taps", "layer 0 wq gradient", "embedding", "loss".
  std::string stage;
  std::string op;      ///< of a kernel: its op, "matmul"; empty on the host
  std::string result;  ///< of a kernel: the name of the op's result
  std::int64_t index = 0;
  double value = 0;

  /// "op 'matmul' of layer 3 ffn_fwd_taps makes inf at element 12 of 'h1'"
  std::string text() const;
};

/// Where the time of refreshes and steps went, in ms, added up until reset.
struct PipelineTimes {
  double compile_ms = 0;           ///< refresh(): compiling (const mode), and open()
  double weights_ms = 0;           ///< refresh(): writing weights into inputs
  double forward_ms = 0;           ///< kernels forward
  double backward_ms = 0;          ///< kernels backward
  double weight_gradients_ms = 0;  ///< products for weight gradients
  double classifier_ms = 0;        ///< final norm, logits, their backward, wherever computed
  double host_ms = 0;              ///< everything else between the kernels
  std::int64_t compiles = 0;
  std::int64_t kernel_runs = 0;

  double step_ms() const {
    return forward_ms + backward_ms + weight_gradients_ms + classifier_ms + host_ms;
  }
};

/// Not for several threads at a time. All memory is taken by open() and the first refresh().
class Pipeline {
 public:
  Pipeline();
  Pipeline(Pipeline&&) noexcept;
  Pipeline& operator=(Pipeline&&) noexcept;
  ~Pipeline();

  /// Checks the model (`model.config`, with what the kernel set asks of it), makes the kernels and,
  /// unless weights are constants, compiles them. Errors are those of check_model(), of the kernels
  /// (`kernel.config`), of Backend::compile(), and `memory.limit`.
  bool open(const ModelConfig& config, const PipelineOptions& options, Diagnostics& diagnostics);
  const ModelConfig& config() const;
  const PipelineOptions& options() const;
  /// Rows of the logits: the vocabulary, or the tokens that occur.
  std::int64_t logit_rows() const;
  /// Programs that one refresh() has the backend compile: 0 unless weights are constants.
  std::int64_t compiles_per_refresh() const;

  /// Hands the weights to the kernels, after every change of them. They stay where they are and are
  /// read by every step: they outlive the pipeline, and its last use of them.
  /// False with `model.tensor` for weights of another model, and the errors of the backend:
  /// `ane.budget` when the engine stands no more compiles.
  bool refresh(const ModelWeights& weights, Diagnostics& diagnostics);

  /// Forward and backward of one sequence: `tokens` and `targets` are S each, below the vocabulary
  /// (`model.token`; `model.config` for another length; `model.tensor` for `grads` of another
  /// model). Adds to `grads` the gradients of the mean
  /// loss over the positions, times `gradient_scale`. `loss` is that mean.
  ///
  /// A loss that is not finite is no error of the step: it stands in `loss`, `grads` have not been
  /// changed, and find_nonfinite() says where it comes from.
  bool step(Tokens tokens, Tokens targets, ModelGrads& grads, double& loss,
            Diagnostics& diagnostics, float gradient_scale = 1);

  /// Forward alone. `logits` is [logit_rows(), S], row-major. Tokens behind the last that is given
  /// are filled with the first: at most S are given, and at least one; columns behind those given
  /// mean nothing.
  bool forward(Tokens tokens, std::span<float> logits, Diagnostics& diagnostics);
  /// The loss of a sequence without gradients.
  bool evaluate(Tokens tokens, Tokens targets, double& loss, Diagnostics& diagnostics);

  /// Runs forward and backward once more, op by op, and finds the first op, in the order of their
  /// computation, that makes a value that is infinite or not a number. Nothing is added to
  /// anything.
  bool find_nonfinite(Tokens tokens, Tokens targets, NonFiniteOrigin& origin,
                      Diagnostics& diagnostics);

  const PipelineTimes& times() const;
  void reset_times();
  /// Bytes of arrays that the pipeline holds: activations, taps, weights as fp16, buffers. Without
  /// what compiled kernels hold themselves.
  std::uint64_t held_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace milgen::train
