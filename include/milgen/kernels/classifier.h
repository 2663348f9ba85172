// Kernels at the end of a Llama-style transformer: the last norm, the classifier and its softmax,
// and the backward of norm and classifier.
//
// All tensors are fp16. Each kernel has one input, `x`, and one output, `out`, both
// [1, channels, 1, S].
#pragma once

#include <cstdint>

#include "milgen/kernel.h"
#include "milgen/registry.h"

namespace milgen {

/// Shapes of the model's end. The defaults are Stories110M.
struct ClassifierConfig {
  std::int64_t dim = 768;            ///< D, channels of the residual stream
  std::int64_t vocab = 32'000;       ///< V, tokens that the classifier tells apart
  std::int64_t seq = 256;            ///< S, positions
  double eps = 1e-5;                 ///< added to the mean square in RMSNorm
  std::int64_t most_inner = 16'384;  ///< longest inner dim of a matmul (MM-003 in ane_constraints)

  /// Channels of V in a slice of classifier_bwd_split; the last slice may have fewer. As even as
  /// multiples of 32 can be: some chips get other inner dims wrong (MM-009 in ane_constraints).
  std::int64_t slice_channels() const;
};

/// RMSNorm backward. `x`: [1, 2D, 1, S] = (dy[D], x[D]). Output [1, D, 1, S], the gradient at x:
///
///     (dy * w - x * ((sum((dy * w) * x) * (1 / D)) * (rrms * rrms))) * rrms
///
/// in this order, sums over channels, rrms = pow(sum(x * x) * (1 / D) + eps, -0.5) as the forward
/// kernels have it. Weight rms_w [1, D, 1, 1]. The gradient of rms_w is left to the host.
void rmsnorm_bwd(Kernel& k, const ClassifierConfig& config);

/// The norm in front of the classifier. `x` and output: [1, D, 1, S]. Weight rms_w [1, D, 1, 1].
void final_rmsnorm(Kernel& k, const ClassifierConfig& config);

/// Logits. `x`: [1, D, 1, S]. Output [1, V, 1, S]. Weight embed [V, D, 1, 1]. Chips take 65,536
/// channels at most (SH-003 in ane_constraints): a larger vocabulary is compacted first.
void classifier_fwd(Kernel& k, const ClassifierConfig& config);

/// The gradient at classifier_fwd's input. `x`: [1, V, 1, S], the gradient at the logits. Output
/// [1, D, 1, S]. Weight embed_t [1, D, V]: a matmul, since chips refuse a convolution of so many
/// input channels (CV-006 in ane_constraints).
void classifier_bwd(Kernel& k, const ClassifierConfig& config);

/// The same for chips that cap the inner dim: a matmul for each slice of V of at most most_inner
/// channels, slices of one size but for the last, summed first to last. Weights embed_t_0
/// [1, D, V0], embed_t_1 [1, D, V1] ...: embed_t cut along V. At most 1,024 slices.
void classifier_bwd_split(Kernel& k, const ClassifierConfig& config);

/// Probabilities. `x` and output: [1, V, 1, S], the softmax over channels. No weights.
void softmax_vocab(Kernel& k, const ClassifierConfig& config);

/// The set "classifier": the six kernels with configurations `stories110m`, `medium` and `small`.
void add_classifier_kernels(Registry& registry);

}  // namespace milgen
