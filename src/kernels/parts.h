// What kernels of several sets are made of. Tensors are fp16 in [1, C, 1, S] where nothing else is
// said.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "milgen/kernel.h"
#include "milgen/value.h"

namespace milgen::detail {

using Half = Tensor<fp16>;

/// Refuses the configuration with `sentence`, without a place: a line of the kernel's file would
/// tell the one who chose the values nothing. False.
bool refuse_config(Kernel& k, const std::string& sentence);

/// `value` as printf's %g writes it.
std::string number_text(double value);

/// A size of a configuration, under the name that its author knows.
struct ConfigSize {
  std::string_view name;
  std::int64_t value = 0;
};

/// Whether each is 1 to 1,048,576; the first that is not is reported. That bound keeps sums and
/// products of two sizes, and every weight, far inside 63 bits.
bool legal_sizes(Kernel& k, std::initializer_list<ConfigSize> sizes);
/// Whether `parts` is a divisor of `whole`.
bool legal_divisor(Kernel& k, ConfigSize parts, ConfigSize whole);
/// Whether `value` is a finite number above 0.
bool legal_positive(Kernel& k, std::string_view name, double value);

/// (mean of x * x over the channels + eps) ^ -0.5: [1, 1, 1, S].
Half reciprocal_rms(Kernel& k, Half x, double eps);
/// x * reciprocal_rms * gain, the gain being the weight `name`: [1, C, 1, 1].
Half rms_norm(Kernel& k, Half x, std::string_view name, double eps);

/// A 1x1 convolution, which is the projection of every position, with the weight `name`
/// [out_channels, C, 1, 1].
Half project(Kernel& k, Half x, std::string_view weight, std::int64_t out_channels);

/// [1, N * d, 1, S] to [1, N, S, d].
Half heads_of(Half t, std::int64_t heads);
/// [1, N, S, d] to [1, N * d, 1, S].
Half unheads(Half t);
/// Each head repeated for the query heads of its group, `heads` in all: head h is head
/// h / (heads / N) of `t` [1, N, S, d]; `t` itself where that changes nothing. By concat, since a
/// program with `tile` spoils later evaluations on some systems (DM-004 in ane_constraints).
Half repeat_heads(Half t, std::int64_t heads);

/// The scalar 1 / sqrt(head_dim).
Half attention_scale(Kernel& k, std::int64_t head_dim);
/// Causal attention probabilities. q, k_heads: [1, N, S, d]; result [1, N, S, S]. The mask is the
/// constant `mask` [1, 1, S, S].
Half attention_probs(Kernel& k, Half q, Half k_heads);
/// First half of the backward pass of matmul(attention_probs(q, k), v), from the gradient `da` at
/// it. All [1, N, S, d]. Result [1, N * d + 2 * N * S, 1, S]: (dv, probs, dp), the latter two being
/// [N, S, S] row-major.
Half attention_bwd1(Kernel& k, Half q, Half k_heads, Half v, Half da);

/// Takes tensors of [1, C, 1, S] off a concatenation, one behind the other.
class Taker {
 public:
  explicit Taker(Half packed) : packed_(packed) {}
  Half take(std::string_view name, std::int64_t channels, Loc loc = here());

 private:
  Half packed_;
  std::int64_t at_ = 0;
};

}  // namespace milgen::detail
