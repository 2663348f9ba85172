// What a training step does on the host, between the kernels. Plain fp32 on row-major memory;
// activations are channel-first, [C, S]. Sizes are the caller's promise: each span has exactly the
// elements of the shape beside it.
//
// Every function gives the same bits for any number of threads. Their elementary functions are
// milgen's own, so that the bits are the same on every machine, too; HostOps of NumericMode::fast
// does matrix products as that mode says.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "milgen/backend.h"
#include "milgen/train/model.h"

namespace milgen::train {

/// Token ids of a sequence.
using Tokens = std::span<const std::int32_t>;

struct AdamOptions {
  float lr = 3e-4f;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float eps = 1e-8f;
  /// Decoupled: w -= lr * weight_decay * w, with the w before the step. 0 gives the bits of the
  /// formula without it.
  float weight_decay = 0;
};

/// Owns threads and memory for what is worth sharing out. Not for several threads at a time.
class HostOps {
 public:
  /// `threads` of 0: as many as the machine has.
  explicit HostOps(NumericMode mode = NumericMode::exact, int threads = 0);
  HostOps(HostOps&&) noexcept;
  HostOps& operator=(HostOps&&) noexcept;
  ~HostOps();

  int threads() const;

  // --- Norms and activations. ---

  /// out = x * rsqrt(mean over channels of x^2 + eps) * w. out, x: [D, S]; w: [D]. out may be x.
  void rmsnorm(std::span<float> out, std::span<const float> x, std::span<const float> w,
               std::int64_t dim, std::int64_t seq, double eps = 1e-5);
  /// dx = (dy*w - x * (sum over channels of (dy*w)*x) / D * rrms^2) * rrms; dw += sum over S of
  /// dy * x * rrms. dx, dy, x: [D, S]; dw, w: [D]. dx may be dy. (The field's CPU routine
  /// multiplies the x term by w once too often.)
  void rmsnorm_backward(std::span<float> dx, std::span<float> dw, std::span<const float> dy,
                        std::span<const float> x, std::span<const float> w, std::int64_t dim,
                        std::int64_t seq, double eps = 1e-5);
  /// The gradient through y = silu(h1) * h3: dh1 = dy * h3 * s * (1 + h1 * (1 - s)) with
  /// s = sigmoid(h1), dh3 = dy * h1 * s. All of one size; each result may be any of the three.
  void silu_backward(std::span<float> dh1, std::span<float> dh3, std::span<const float> dy,
                     std::span<const float> h1, std::span<const float> h3);

  // --- Optimiser. ---

  /// One step, in place; `t` counts steps from 1. Per element, in fp32: m = b1*m + (1-b1)*g,
  /// v = b2*v + (1-b2)*g*g, w -= lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps).
  /// `gradient_scale` multiplies g first (1: the bits of g itself).
  void adam_update(std::span<float> w, std::span<const float> g, AdamState& state, std::int64_t t,
                   const AdamOptions& options, float gradient_scale = 1);

  // --- Loss. ---

  /// Mean over positions of -log softmax(logits)[target]; dlogits = (softmax - one_hot) * scale /
  /// S. logits, dlogits: [V, S]; the two may be the same memory. Targets are below V. NaN where a
  /// logit is.
  double cross_entropy_loss(std::span<float> dlogits, std::span<const float> logits, Tokens targets,
                            std::int64_t vocab, std::int64_t seq, float scale = 1);

  // --- Products. False when there is no memory. ---

  /// dw += dy * x^T * scale. dw: [out, in]; dy: [out, S]; x: [in, S].
  [[nodiscard]] bool add_weight_gradient(std::span<float> dw, std::span<const float> dy,
                                         std::span<const float> x, std::int64_t out,
                                         std::int64_t in, std::int64_t seq, float scale = 1);
  /// c = a * b, or a^T * b. a: [m, k], or [k, m]; b: [k, n]; c: [m, n].
  [[nodiscard]] bool multiply(std::span<float> c, std::span<const float> a,
                              std::span<const float> b, std::int64_t m, std::int64_t n,
                              std::int64_t k, bool transpose_a = false);

  // --- Elements. ---

  /// Rounded to nearest, ties to even; as many as `halves` has.
  void to_fp16(std::span<std::uint16_t> halves, std::span<const float> floats);
  void to_fp32(std::span<float> floats, std::span<const std::uint16_t> halves);
  /// y += x * scale
  void accumulate(std::span<float> y, std::span<const float> x, float scale = 1);
  /// out = x + y * scale. out may be x or y.
  void add_scaled(std::span<float> out, std::span<const float> x, std::span<const float> y,
                  float scale);
  /// x *= factor
  void scale(std::span<float> x, float factor);
  /// The sum of all squares, in double.
  double sum_of_squares(std::span<const float> x);
  /// The index of the first value that is infinite or not a number; -1 when all are finite.
  std::int64_t first_nonfinite(std::span<const float> x);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// --- Embedding. ---

/// x[:, s] = embed[tokens[s], :]. x: [D, S]; embed: [V, D].
void embed_lookup(std::span<float> x, std::span<const float> embed, Tokens tokens, std::int64_t dim,
                  std::int64_t seq);
/// d_embed[tokens[s], :] += dx[:, s], in the order of s.
void embed_backward(std::span<float> d_embed, std::span<const float> dx, Tokens tokens,
                    std::int64_t dim, std::int64_t seq);

/// The tokens that occur, so that a classifier is trained on those alone.
struct CompactVocab {
  std::vector<std::int32_t> full;     ///< of a compact id: the token; ascending
  std::vector<std::int32_t> compact;  ///< of a token: its compact id, or -1
};
/// `model.token` for a token that is not in [0, vocab), with its place.
bool compact_vocab(Tokens tokens, std::int64_t vocab, CompactVocab& out, Diagnostics& diagnostics);
/// Rows of the tokens that occur. compact: [compact V, D]; full: [V, D].
void gather_rows(std::span<float> compact, std::span<const float> full, const CompactVocab& vocab,
                 std::int64_t dim);
/// full[row] += compact[row'] for each of them.
void scatter_rows(std::span<float> full, std::span<const float> compact, const CompactVocab& vocab,
                  std::int64_t dim);

// --- Rotary embedding: interleaved pairs, angle s * theta^(-2i/d) for pair i of a head. ---

/// Tables [S, d] with each value twice, as the kernels have them.
struct RopeTables {
  std::vector<float> cos, sin;
};
RopeTables rope_tables(std::int64_t seq, std::int64_t head_dim, double theta = 10000);
/// Rotates in place. x: [heads * d, S].
void rope(std::span<float> x, const RopeTables& tables, std::int64_t heads, std::int64_t head_dim,
          std::int64_t seq);
/// Its transpose: rotates back.
void rope_backward(std::span<float> dx, const RopeTables& tables, std::int64_t heads,
                   std::int64_t head_dim, std::int64_t seq);

// --- Grouped-query attention. Query head h uses key-value head h / (heads / kv_heads). ---

/// out: [heads * d, S]; x: [kv_heads * d, S].
void gqa_tile(std::span<float> out, std::span<const float> x, std::int64_t heads,
              std::int64_t kv_heads, std::int64_t head_dim, std::int64_t seq);
/// Its transpose: sums the heads of a group, in their order.
void gqa_reduce(std::span<float> out, std::span<const float> x, std::int64_t heads,
                std::int64_t kv_heads, std::int64_t head_dim, std::int64_t seq);

}  // namespace milgen::train
