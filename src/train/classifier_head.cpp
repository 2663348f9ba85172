#include "train/classifier_head.h"

#include <fmt/format.h>

#include <algorithm>

#include "milgen/kernels/classifier.h"
#include "support/rule.h"
#include "train/timed.h"

namespace milgen::train::detail {

ClassifierHead::ClassifierHead(Workbench& bench, ClassifierOn where, const CompactVocab& vocab)
    : bench_(bench),
      on_host_(where == ClassifierOn::host),
      vocab_(vocab),
      compact_(!vocab.full.empty()),
      rows_(compact_ ? static_cast<std::int64_t>(vocab.full.size()) : bench.config.vocab),
      environment_(bench.environment) {}

bool ClassifierHead::open() {
  const auto floats = [](std::int64_t rows, std::int64_t columns) {
    return Floats(static_cast<std::size_t>(rows * columns));
  };
  const ModelConfig& c = bench_.config;
  norm_ = floats(c.dim, c.seq);
  logits_ = floats(rows_, c.seq);
  if (compact_) {
    compact_table_ = floats(rows_, c.dim);
    compact_grads_ = floats(rows_, c.dim);
  }
  return on_host_ || open_kernels();
}

bool ClassifierHead::open_kernels() {
  const ModelConfig& c = bench_.config;
  const ClassifierConfig config{.dim = c.dim, .vocab = rows_, .seq = c.seq, .eps = c.eps};
  environment_.in_layers = false;
  // Chips take no packed input of so many columns.
  if (environment_.weights_as == WeightsAs::packed && rows_ + c.seq > kMostPackedColumns) {
    environment_.weights_as = WeightsAs::param;
  }
  slice_rows_ = config.slice_channels();
  const std::int64_t slices = (rows_ + slice_rows_ - 1) / slice_rows_;
  for (std::int64_t i = 0; i < slices; ++i) {
    slice_names_.push_back(slices == 1 ? "embed_t" : fmt::format("embed_t_{}", i));
  }
  const auto open = [&](LayerKernel& kernel, std::string_view name,
                        void (*define)(Kernel&, const ClassifierConfig&)) {
    return kernel.open(
        name, [define, config](Kernel& k) { define(k, config); }, 1, environment_, bench_.times,
        *bench_.diagnostics);
  };
  return open(final_norm_, "final_rmsnorm", final_rmsnorm) &&
         open(forward_, "classifier_fwd", classifier_fwd) &&
         (slices == 1 ? open(backward_, "classifier_bwd", classifier_bwd)
                      : open(backward_, "classifier_bwd_split", classifier_bwd_split)) &&
         open(norm_backward_, "rmsnorm_bwd", rmsnorm_bwd) &&
         narrow_.open(2 * c.dim, c.seq, *bench_.diagnostics) &&
         normed_.open(c.dim, c.seq, *bench_.diagnostics) &&
         wide_.open(rows_, c.seq, *bench_.diagnostics);
}

Floats& ClassifierHead::classifier_of(ModelTensors& tensors) const {
  return bench_.config.shared_classifier ? tensors.embed : tensors.classifier;
}

std::span<const float> ClassifierHead::table(const ModelWeights& weights) const {
  if (compact_) return compact_table_;
  return bench_.config.shared_classifier ? weights.embed : weights.classifier;
}

bool ClassifierHead::refresh(const ModelWeights& weights) {
  if (compact_) {
    const Floats& full = bench_.config.shared_classifier ? weights.embed : weights.classifier;
    gather_rows(compact_table_, full, vocab_, bench_.config.dim);
  }
  return on_host_ || refresh_kernels(weights);
}

bool ClassifierHead::refresh_kernels(const ModelWeights& weights) {
  const std::int64_t dim = bench_.config.dim;
  const std::span<const float> rows = table(weights);
  const WeightValues gain{"rms_w", weights.rms_final, dim};
  const WeightValues embed{"embed", rows, rows_, dim};
  std::vector<WeightValues> slices;
  for (std::size_t i = 0; i < slice_names_.size(); ++i) {
    const std::int64_t first = static_cast<std::int64_t>(i) * slice_rows_;
    const std::int64_t count = std::min(slice_rows_, rows_ - first);
    slices.push_back(
        {slice_names_[i],
         rows.subspan(static_cast<std::size_t>(first * dim), static_cast<std::size_t>(count * dim)),
         count, dim, Transposed::yes});
  }
  Diagnostics& diagnostics = *bench_.diagnostics;
  const auto refresh = [&](LayerKernel& kernel, std::span<const WeightValues> values) {
    return kernel.write(0, values, diagnostics) &&
           kernel.bake(0, values, bench_.times, diagnostics);
  };
  return refresh(final_norm_, {&gain, 1}) && refresh(forward_, {&embed, 1}) &&
         refresh(backward_, slices) && refresh(norm_backward_, {&gain, 1});
}

bool ClassifierHead::forward(std::span<const float> x) {
  const Timed timed(bench_.times.classifier_ms);
  const ModelConfig& c = bench_.config;
  if (!on_host_) {
    if (!bench_.halve("residual stream as fp16", narrow_.halves(c.dim, c.dim), x) ||
        !run_forward()) {
      return false;
    }
  } else {
    bench_.host.rmsnorm(norm_, x, bench_.weights->rms_final, c.dim, c.seq, c.eps);
    if (!bench_.host.multiply(logits_, table(*bench_.weights), norm_, rows_, c.seq, c.dim)) {
      return bench_.no_memory("logits");
    }
  }
  return bench_.finite("logits", logits_);
}

bool ClassifierHead::run_forward() {
  const std::int64_t dim = bench_.config.dim;
  if (!bench_.run(final_norm_, 0, {{"x", narrow_.part(dim, dim)}}, normed_.all()) ||
      !bench_.run(forward_, 0, {{"x", normed_.all()}}, wide_.all())) {
    return false;
  }
  bench_.host.to_fp32(norm_, normed_.halves(0, dim));
  bench_.host.to_fp32(logits_, wide_.halves(0, rows_));
  return true;
}

double ClassifierHead::loss(Tokens targets, float scale) {
  const Timed timed(bench_.times.classifier_ms);
  return bench_.host.cross_entropy_loss(logits_, logits_, targets, rows_, bench_.config.seq, scale);
}

bool ClassifierHead::backward(std::span<const float> x, std::span<float> dx) {
  const Timed timed(bench_.times.classifier_ms);
  const ModelConfig& c = bench_.config;
  if (!add_classifier_gradient()) return false;
  Floats* const dgain = bench_.grads != nullptr ? &bench_.grads->rms_final : nullptr;
  if (!on_host_) {
    if (!run_backward(x, dx)) return false;
    // The kernel leaves the gradient of the gain to the host.
    bench_.norm_backward(dgain, norm_, norm_, x, bench_.weights->rms_final);
    return true;
  }
  if (!bench_.host.multiply(norm_, table(*bench_.weights), logits_, c.dim, c.seq, rows_, true)) {
    return bench_.no_memory("the gradient behind the final norm");
  }
  bench_.norm_backward(dgain, dx, norm_, x, bench_.weights->rms_final);
  return bench_.finite("gradient behind the layers", dx);
}

/// In the end norm_ has the gradient at the classifier's input.
bool ClassifierHead::run_backward(std::span<const float> x, std::span<float> dx) {
  const std::int64_t dim = bench_.config.dim;
  if (!bench_.halve("gradient of the logits as fp16", wide_.halves(0, rows_), logits_) ||
      !bench_.run(backward_, 0, {{"x", wide_.all()}}, narrow_.part(0, dim)) ||
      !bench_.halve("residual stream as fp16", narrow_.halves(dim, dim), x) ||
      !bench_.run(norm_backward_, 0, {{"x", narrow_.all()}}, normed_.all())) {
    return false;
  }
  bench_.host.to_fp32(norm_, narrow_.halves(0, dim));
  bench_.host.to_fp32(dx, normed_.halves(0, dim));
  return true;
}

bool ClassifierHead::add_classifier_gradient() {
  if (bench_.grads == nullptr) return true;
  const ModelConfig& c = bench_.config;
  Floats& full = classifier_of(*bench_.grads);
  if (compact_) std::ranges::fill(compact_grads_, 0.0f);
  if (!bench_.host.add_weight_gradient(compact_ ? compact_grads_ : full, logits_, norm_, rows_,
                                       c.dim, c.seq, bench_.unscale)) {
    return bench_.no_memory("the classifier's gradient");
  }
  if (compact_) scatter_rows(full, compact_grads_, vocab_, c.dim);
  return true;
}

std::int64_t ClassifierHead::row_of(std::int32_t token) const {
  return compact_ ? vocab_.compact[static_cast<std::size_t>(token)] : token;
}

std::int64_t ClassifierHead::compiles_per_refresh() const {
  std::int64_t count = 0;
  for (const LayerKernel* kernel : {&final_norm_, &forward_, &backward_, &norm_backward_}) {
    count += kernel->compiles_per_refresh();
  }
  return count;
}

std::uint64_t ClassifierHead::held_bytes() const {
  std::uint64_t bytes = narrow_.bytes() + normed_.bytes() + wide_.bytes();
  for (const Floats* floats : {&compact_table_, &compact_grads_, &norm_, &logits_}) {
    bytes += floats->size() * sizeof(float);
  }
  for (const LayerKernel* kernel : {&final_norm_, &forward_, &backward_, &norm_backward_}) {
    bytes += kernel->held_bytes();
  }
  return bytes;
}

}  // namespace milgen::train::detail
