#include "kernels/parts.h"

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <vector>

#include "milgen/ops.h"

namespace milgen::detail {

bool refuse_config(Kernel& k, const std::string& sentence) {
  return k.require(false, sentence, Loc{});
}

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

// Sentences are made only once a rule is broken: a legal configuration pays nothing for them.

bool legal_sizes(Kernel& k, std::initializer_list<ConfigSize> sizes) {
  constexpr std::int64_t kLargest = 1 << 20;
  for (const ConfigSize& size : sizes) {
    if (size.value >= 1 && size.value <= kLargest) continue;
    return refuse_config(k, std::string(size.name) + " is " + std::to_string(size.value) +
                                " but has to be 1 to " + std::to_string(kLargest));
  }
  return true;
}

bool legal_divisor(Kernel& k, ConfigSize parts, ConfigSize whole) {
  if (whole.value % parts.value == 0) return true;
  return refuse_config(k, std::string(parts.name) + " is " + std::to_string(parts.value) +
                              ", which does not divide " + std::string(whole.name) + ", " +
                              std::to_string(whole.value));
}

bool legal_positive(Kernel& k, std::string_view name, double value) {
  return (std::isfinite(value) && value > 0) ||
         refuse_config(k,
                       std::string(name) + " is " + number_text(value) + " but has to be above 0");
}

Half reciprocal_rms(Kernel& k, Half x, double eps) {
  const Half sum = reduce_sum(x * x, {.axes = {1}, .keep_dims = true});
  const Half mean = sum * k.scalar<fp16>("inv_dim", 1.0 / static_cast<double>(x.dim(1)));
  return pow(mean + k.scalar<fp16>("eps", eps), k.scalar<fp16>("minus_half", -0.5));
}

Half rms_norm(Kernel& k, Half x, std::string_view name, double eps) {
  const Half gain = k.weight<fp16>(name, {1, x.dim(1), 1, 1}, Fill::near_one);
  const Half rrms = reciprocal_rms(k, x, eps);
  return (x * rrms) * gain;
}

Half project(Kernel& k, Half x, std::string_view weight, std::int64_t out_channels) {
  return conv(x, k.weight<fp16>(weight, {out_channels, x.dim(1), 1, 1}));
}

Half heads_of(Half t, std::int64_t heads) {
  return transpose(reshape(t, {1, heads, t.dim(1) / heads, t.dim(3)}), {0, 1, 3, 2});
}

Half unheads(Half t) {
  return reshape(transpose(t, {0, 1, 3, 2}), {1, t.dim(1) * t.dim(3), 1, t.dim(2)});
}

Half repeat_heads(Half t, std::int64_t heads) {
  const std::int64_t group = t.dim(1) > 0 ? heads / t.dim(1) : 1;  // a poisoned value has no dims
  if (group == 1) return t;
  const std::vector<Half> copies(static_cast<std::size_t>(group), t);
  return reshape(concat(copies, 2), {1, heads, t.dim(2), t.dim(3)});
}

Half attention_scale(Kernel& k, std::int64_t head_dim) {
  return k.scalar<fp16>("scale", 1.0 / std::sqrt(static_cast<double>(head_dim)));
}

Half attention_probs(Kernel& k, Half q, Half k_heads) {
  const std::int64_t seq = q.dim(2);
  const Half mask = k.constant<fp16>("mask", {1, 1, seq, seq}, Fill::causal_mask);
  const Half scores =
      matmul(q, k_heads, {.transpose_y = true}) * attention_scale(k, q.dim(3)) + mask;
  return softmax(scores, {.axis = -1}).named("probs");
}

Half attention_bwd1(Kernel& k, Half q, Half k_heads, Half v, Half da) {
  const Half probs = attention_probs(k, q, k_heads);
  const Half dv = matmul(probs, da, {.transpose_x = true}).named("dv");
  const Half dp = matmul(da, v, {.transpose_y = true}).named("dp");
  const Shape flat = {1, q.dim(1) * q.dim(2), 1, q.dim(2)};
  return concat({unheads(dv), reshape(probs, flat), reshape(dp, flat)}, 1);
}

Half Taker::take(std::string_view name, std::int64_t channels, Loc loc) {
  const Half out = slice_by_size(packed_, {0, at_, 0, 0}, {1, channels, 1, packed_.dim(3)}, loc)
                       .named(name, loc);
  at_ += channels;
  return out;
}

}  // namespace milgen::detail
