#include "milgen/kernels/classifier.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "kernels/parts.h"
#include "milgen/ops.h"

namespace milgen {
namespace {

using detail::Half;
using detail::Taker;

/// What every kernel of the set asks of its configuration; the first broken rule is reported.
bool legal(Kernel& k, const ClassifierConfig& c) {
  return detail::legal_sizes(
             k,
             {{"dim", c.dim}, {"vocab", c.vocab}, {"seq", c.seq}, {"most_inner", c.most_inner}}) &&
         detail::legal_positive(k, "eps", c.eps);
}

std::int64_t divided_up(std::int64_t a, std::int64_t b) { return (a - 1) / b + 1; }

/// matmul of the weight `name` [1, D, channels] and dl: [1, channels, 1, S]. Result [1, D, S].
Half times_embedding(Kernel& k, const std::string& name, Half dl, const ClassifierConfig& c) {
  const std::int64_t channels = dl.dim(1);
  const Half embed_t = k.weight<fp16>(name, {1, c.dim, channels});
  return matmul(embed_t, reshape(dl, {1, channels, c.seq}));
}

}  // namespace

std::int64_t ClassifierConfig::slice_channels() const {
  const std::int64_t even = divided_up(vocab, divided_up(vocab, most_inner));
  constexpr std::int64_t kAlignment = 32;
  return std::min(divided_up(even, kAlignment) * kAlignment, most_inner);
}

void rmsnorm_bwd(Kernel& k, const ClassifierConfig& c) {
  if (!legal(k, c)) return;
  Taker in(k.input<fp16>("x", {1, 2 * c.dim, 1, c.seq}));
  const Half dy = in.take("dy", c.dim);
  const Half x = in.take("x0", c.dim);
  const Half gain = k.weight<fp16>("rms_w", {1, c.dim, 1, 1}, Fill::near_one);
  const Half rrms = detail::reciprocal_rms(k, x, c.eps).named("rrms");
  const Half dyw = (dy * gain).named("dyw");
  const Half dot = reduce_sum(dyw * x, {.axes = {1}, .keep_dims = true});
  const Half mean = dot * k.scalar<fp16>("inv_dim", 1.0 / static_cast<double>(c.dim));
  const Half factor = (mean * (rrms * rrms)).named("factor");
  k.output("out", (dyw - x * factor) * rrms);
}

void final_rmsnorm(Kernel& k, const ClassifierConfig& c) {
  if (!legal(k, c)) return;
  const Half x = k.input<fp16>("x", {1, c.dim, 1, c.seq});
  k.output("out", detail::rms_norm(k, x, "rms_w", c.eps));
}

void classifier_fwd(Kernel& k, const ClassifierConfig& c) {
  if (!legal(k, c)) return;
  const Half x = k.input<fp16>("x", {1, c.dim, 1, c.seq});
  k.output("out", detail::project(k, x, "embed", c.vocab));
}

void classifier_bwd(Kernel& k, const ClassifierConfig& c) {
  if (!legal(k, c)) return;
  const Half dl = k.input<fp16>("x", {1, c.vocab, 1, c.seq});
  k.output("out", reshape(times_embedding(k, "embed_t", dl, c), {1, c.dim, 1, c.seq}));
}

void classifier_bwd_split(Kernel& k, const ClassifierConfig& c) {
  if (!legal(k, c)) return;
  const std::int64_t size = c.slice_channels();
  const std::int64_t slices = divided_up(c.vocab, size);
  constexpr std::int64_t kMostSlices = 1024;
  if (slices > kMostSlices) {
    detail::refuse_config(k, "most_inner is " + std::to_string(c.most_inner) +
                                 ", which cuts vocab, " + std::to_string(c.vocab) + ", into " +
                                 std::to_string(slices) + " slices, but " +
                                 std::to_string(kMostSlices) + " are the most");
    return;
  }
  Taker in(k.input<fp16>("x", {1, c.vocab, 1, c.seq}));
  Half dx;
  for (std::int64_t i = 0; i < slices; ++i) {
    const std::string number = std::to_string(i);
    const Half dl = in.take("dl_" + number, std::min(size, c.vocab - i * size));
    const Half product = times_embedding(k, "embed_t_" + number, dl, c);
    dx = i == 0 ? product : dx + product;
  }
  k.output("out", reshape(dx, {1, c.dim, 1, c.seq}));
}

void softmax_vocab(Kernel& k, const ClassifierConfig& c) {
  if (!legal(k, c)) return;
  const Half x = k.input<fp16>("x", {1, c.vocab, 1, c.seq});
  k.output("out", softmax(x, {.axis = 1}));
}

void add_classifier_kernels(Registry& registry) {
  registry
      .set<ClassifierConfig>("classifier",
                             "last norm, classifier and softmax of a transformer, with backward")
      .param("dim", &ClassifierConfig::dim, "channels of the residual stream")
      .param("vocab", &ClassifierConfig::vocab, "tokens that the classifier tells apart")
      .param("seq", &ClassifierConfig::seq, "positions")
      .param("eps", &ClassifierConfig::eps, "added to the mean square in RMSNorm")
      .param("most_inner", &ClassifierConfig::most_inner, "longest inner dim of a matmul")
      .config("stories110m", {})
      .config("medium", {.dim = 256, .vocab = 4096, .seq = 64, .most_inner = 1024})
      .config("small", {.dim = 64, .vocab = 512, .seq = 32, .most_inner = 200})
      .weight_modes({WeightsAs::param, WeightsAs::packed})
      .kernel<rmsnorm_bwd>("rmsnorm_bwd", "norm backward; (dy, x) to dx")
      .kernel<final_rmsnorm>("final_rmsnorm", "norm in front of the classifier")
      .kernel<classifier_fwd>("classifier_fwd", "logits from the normalised x")
      .kernel<classifier_bwd>("classifier_bwd", "gradient at x from that at the logits")
      .kernel<classifier_bwd_split>("classifier_bwd_split",
                                    "the same in slices, for chips that cap the inner dim")
      .kernel<softmax_vocab>("softmax_vocab", "probabilities from logits");
}

}  // namespace milgen
