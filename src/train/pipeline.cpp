#include "milgen/train/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <new>
#include <utility>

#include "support/rule.h"
#include "train/classifier_head.h"
#include "train/layer_stack.h"
#include "train/timed.h"
#include "train/value_file.h"
#include "train/workbench.h"

namespace milgen::train {

using detail::ClassifierHead;
using detail::Floats;
using detail::LayerStack;
using detail::Workbench;

namespace {

constexpr std::array<std::string_view, 2> kSetNames = {"stories", "dynamic"};

/// What the six fused kernels ask of a model.
bool check_stories(const ModelConfig& c, Diagnostics& diagnostics) {
  const std::size_t before = diagnostics.errors();
  const auto refuse = [&](const std::string& sentence) {
    diagnostics.error(rule<"model.config">.id(), sentence);
  };
  if (c.kv_heads != c.heads) {
    refuse(
        fmt::format("kernel set stories gives every head keys and values of its own, and the "
                    "model has {} heads with {} kv_heads",
                    c.heads, c.kv_heads));
  }
  if (c.q_dim() != c.dim) {
    refuse(fmt::format("kernel set stories takes heads * head_dim = dim, and {} * {} is not {}",
                       c.heads, c.head_dim, c.dim));
  }
  if (c.alpha() != 1) {
    refuse(fmt::format("kernel set stories has the residual scale 1, and the model has {:g}",
                       c.alpha()));
  }
  return diagnostics.errors() == before;
}

/// Whether the tokens that occur, if there are any, are a vocabulary of the model.
bool check_vocab(const CompactVocab& vocab, const ModelConfig& c, Diagnostics& diagnostics) {
  if (vocab.full.empty()) return true;
  const auto refuse = [&](const std::string& sentence) {
    diagnostics.error(rule<"model.config">.id(), sentence);
    return false;
  };
  if (std::cmp_not_equal(vocab.compact.size(), c.vocab)) {
    return refuse(fmt::format("the compact vocabulary is of {} tokens, and the model has {}",
                              vocab.compact.size(), c.vocab));
  }
  for (std::size_t row = 0; row < vocab.full.size(); ++row) {
    const std::int32_t token = vocab.full[row];
    if (token >= 0 && token < c.vocab &&
        std::cmp_equal(vocab.compact[static_cast<std::size_t>(token)], row)) {
      continue;
    }
    return refuse(
        fmt::format("row {} of the compact vocabulary is token {}, which is not of that "
                    "row, or not below {}",
                    row, token, c.vocab));
  }
  const auto rows = static_cast<std::int64_t>(vocab.full.size());
  for (std::size_t token = 0; token < vocab.compact.size(); ++token) {
    if (vocab.compact[token] < rows) continue;
    return refuse(fmt::format("token {} has row {} of the compact vocabulary, which has {}", token,
                              vocab.compact[token], rows));
  }
  return true;
}

/// Whether weights or gradients are those of the model.
bool check_tensors(const ModelTensors& tensors, const ModelConfig& c, Diagnostics& diagnostics) {
  std::string fault = detail::tensor_fault(c, tensors);
  if (fault.empty()) return true;
  diagnostics.error(rule<"model.tensor">.id(), std::move(fault));
  return false;
}

bool check_loss_scale(float scale, Diagnostics& diagnostics) {
  if (std::isfinite(scale) && scale > 0) return true;
  diagnostics.error(rule<"train.option">.id(),
                    fmt::format("loss_scale is {:g} but has to be finite and above 0", scale));
  return false;
}

}  // namespace

std::string_view kernel_set_name(KernelSet set) { return kSetNames[static_cast<std::size_t>(set)]; }

bool kernel_set_from_name(std::string_view name, KernelSet& set) {
  const auto found = std::ranges::find(kSetNames, name);
  if (found == kSetNames.end()) return false;
  set = static_cast<KernelSet>(found - kSetNames.begin());
  return true;
}

std::string NonFiniteOrigin::text() const {
  if (!found) return "nothing that is not finite was found";
  if (op.empty()) return fmt::format("{} is {:g} at element {}", stage, value, index);
  return fmt::format("op '{}' of {} makes {:g} at element {} of '{}'", op, stage, value, index,
                     result);
}

struct Pipeline::Impl {
  Impl(const ModelConfig& model, const PipelineOptions& given)
      : options(given),
        bench(model, options),
        layers(options.kernels == KernelSet::stories ? detail::make_stories_stack(bench)
                                                     : detail::make_dynamic_stack(bench)),
        head(bench, options.classifier, options.vocab),
        dx(static_cast<std::size_t>(model.dim * model.seq)) {}

  /// Looks at tokens and at whether there are weights.
  bool check(Tokens tokens, bool whole, Diagnostics& diagnostics) const;
  /// From tokens to logits.
  bool run_forward(Tokens tokens);
  bool run_backward();
  /// The rows of the logits that `targets` stand for.
  bool find_rows(Tokens targets, Diagnostics& diagnostics);

  PipelineOptions options;
  Workbench bench;
  std::unique_ptr<LayerStack> layers;
  ClassifierHead head;
  Floats dx;
  std::vector<std::int32_t> tokens;  // of the sequence, filled up to S
  std::vector<std::int32_t> rows;    // of the targets
};

Pipeline::Pipeline() = default;
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;
Pipeline::~Pipeline() = default;

bool Pipeline::open(const ModelConfig& config, const PipelineOptions& options,
                    Diagnostics& diagnostics) {
  impl_.reset();
  if (!check_model(config, diagnostics)) return false;
  if (options.kernels == KernelSet::stories && !check_stories(config, diagnostics)) return false;
  if (!check_vocab(options.vocab, config, diagnostics) ||
      !check_loss_scale(options.loss_scale, diagnostics)) {
    return false;
  }
  try {
    auto impl = std::make_unique<Impl>(config, options);
    impl->bench.diagnostics = &diagnostics;
    if (!impl->layers->open() || !impl->head.open()) return false;
    impl_ = std::move(impl);
    return true;
  } catch (const std::bad_alloc&) {
    diagnostics.error(rule<"memory.limit">.id(),
                      fmt::format("there is not enough memory for the activations of {} layers of "
                                  "dim {}",
                                  config.layers, config.dim));
    return false;
  }
}

const ModelConfig& Pipeline::config() const { return impl_->bench.config; }
const PipelineOptions& Pipeline::options() const { return impl_->options; }
std::int64_t Pipeline::logit_rows() const { return impl_->head.rows(); }
const PipelineTimes& Pipeline::times() const { return impl_->bench.times; }
void Pipeline::reset_times() { impl_->bench.times = {}; }

std::int64_t Pipeline::compiles_per_refresh() const {
  return impl_->layers->compiles_per_refresh() + impl_->head.compiles_per_refresh();
}

std::uint64_t Pipeline::held_bytes() const {
  return impl_->layers->held_bytes() + impl_->head.held_bytes() + impl_->bench.held_bytes() +
         impl_->dx.size() * sizeof(float);
}

bool Pipeline::refresh(const ModelWeights& weights, Diagnostics& diagnostics) {
  impl_->bench.diagnostics = &diagnostics;
  impl_->bench.weights = nullptr;
  if (!check_tensors(weights, config(), diagnostics)) return false;
  if (!impl_->layers->refresh(weights) || !impl_->head.refresh(weights)) return false;
  impl_->bench.weights = &weights;
  return true;
}

bool Pipeline::Impl::check(Tokens given, bool whole, Diagnostics& diagnostics) const {
  const ModelConfig& c = bench.config;
  const auto refuse = [&](Rule rule, const std::string& sentence) {
    diagnostics.error(rule.id(), sentence);
    return false;
  };
  if (bench.weights == nullptr) {
    return refuse(rule<"train.option">,
                  "the pipeline has no weights yet: refresh() hands them over");
  }
  const auto seq = static_cast<std::size_t>(c.seq);
  if (whole ? given.size() != seq : given.empty() || given.size() > seq) {
    return refuse(rule<"model.config">, fmt::format("{} tokens are given, and the model's sequence "
                                                    "has {}",
                                                    given.size(), c.seq));
  }
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i] >= 0 && given[i] < c.vocab) continue;
    return refuse(rule<"model.token">,
                  fmt::format("token {} is {}, and the vocabulary has {}", i, given[i], c.vocab));
  }
  return true;
}

bool Pipeline::Impl::find_rows(Tokens targets, Diagnostics& diagnostics) {
  rows.resize(targets.size());
  for (std::size_t i = 0; i < targets.size(); ++i) {
    rows[i] = static_cast<std::int32_t>(head.row_of(targets[i]));
    if (rows[i] >= 0) continue;
    diagnostics.error(rule<"model.token">.id(),
                      fmt::format("target {} is {}, which is not among the {} tokens that the "
                                  "classifier was made for",
                                  i, targets[i], head.rows()));
    return false;
  }
  return true;
}

bool Pipeline::Impl::run_forward(Tokens given) {
  const ModelConfig& c = bench.config;
  tokens.assign(static_cast<std::size_t>(c.seq), given.front());
  std::ranges::copy(given, tokens.begin());
  embed_lookup(layers->input(), bench.weights->embed, tokens, c.dim, c.seq);
  return bench.finite("embedding", layers->input()) && layers->forward() &&
         head.forward(layers->output());
}

bool Pipeline::Impl::run_backward() {
  return head.backward(layers->output(), dx) && layers->backward(dx);
}

namespace {

/// Adds to host_ms what a step takes beside its kernels, products and classifier.
class StepTimer {
 public:
  explicit StepTimer(PipelineTimes& times)
      : times_(times), before_(times.step_ms()), timed_(total_) {}
  StepTimer(const StepTimer&) = delete;
  StepTimer& operator=(const StepTimer&) = delete;
  ~StepTimer() {
    timed_.stop();
    times_.host_ms += total_ - (times_.step_ms() - before_);
  }

 private:
  PipelineTimes& times_;
  double before_;
  double total_ = 0;
  detail::Timed timed_;
};

}  // namespace

bool Pipeline::step(Tokens tokens, Tokens targets, ModelGrads& grads, double& loss,
                    Diagnostics& diagnostics, float gradient_scale) {
  Impl& impl = *impl_;
  Workbench& bench = impl.bench;
  if (!check_tensors(grads, bench.config, diagnostics) || !impl.check(tokens, true, diagnostics) ||
      !impl.check(targets, true, diagnostics) || !impl.find_rows(targets, diagnostics)) {
    return false;
  }
  const StepTimer timer(bench.times);
  bench.diagnostics = &diagnostics;
  bench.grads = &grads;
  bench.unscale = gradient_scale / impl.options.loss_scale;
  if (!impl.run_forward(tokens)) return false;
  loss = impl.head.loss(impl.rows, impl.options.loss_scale);
  if (!std::isfinite(loss)) return true;
  if (!impl.run_backward()) return false;
  if (bench.unscale != 1) bench.host.scale(impl.dx, bench.unscale);
  embed_backward(grads.embed, impl.dx, tokens, bench.config.dim, bench.config.seq);
  return true;
}

bool Pipeline::evaluate(Tokens tokens, Tokens targets, double& loss, Diagnostics& diagnostics) {
  Impl& impl = *impl_;
  if (!impl.check(tokens, true, diagnostics) || !impl.check(targets, true, diagnostics) ||
      !impl.find_rows(targets, diagnostics)) {
    return false;
  }
  const StepTimer timer(impl.bench.times);
  impl.bench.diagnostics = &diagnostics;
  if (!impl.run_forward(tokens)) return false;
  loss = impl.head.loss(impl.rows, 1);
  return true;
}

bool Pipeline::forward(Tokens tokens, std::span<float> logits, Diagnostics& diagnostics) {
  Impl& impl = *impl_;
  if (!impl.check(tokens, false, diagnostics)) return false;
  const StepTimer timer(impl.bench.times);
  impl.bench.diagnostics = &diagnostics;
  if (!impl.run_forward(tokens)) return false;
  std::ranges::copy(impl.head.logits(), logits.begin());
  return true;
}

bool Pipeline::find_nonfinite(Tokens tokens, Tokens targets, NonFiniteOrigin& origin,
                              Diagnostics& diagnostics) {
  Impl& impl = *impl_;
  Workbench& bench = impl.bench;
  origin = {};
  if (!impl.check(tokens, true, diagnostics) || !impl.check(targets, true, diagnostics) ||
      !impl.find_rows(targets, diagnostics)) {
    return false;
  }
  const std::size_t errors = diagnostics.errors();
  bench.diagnostics = &diagnostics;
  bench.grads = nullptr;
  bench.probe = &origin;
  if (impl.layers->finite_weights() && impl.run_forward(tokens)) {
    const double loss = impl.head.loss(impl.rows, impl.options.loss_scale);
    if (!std::isfinite(loss)) {
      origin = {.found = true, .stage = "loss", .op = {}, .result = {}, .index = 0, .value = loss};
    } else {
      impl.run_backward();
    }
  }
  bench.probe = nullptr;
  return diagnostics.errors() == errors;
}

}  // namespace milgen::train
