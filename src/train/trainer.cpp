#include "milgen/train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "cpu/real_math.h"
#include "support/rule.h"
#include "support/splitmix.h"
#include "train/timed.h"
#include "train/train_log.h"

namespace milgen::train {
namespace {

constexpr std::int64_t kMostSteps = INT32_MAX;  // what a checkpoint has for it

/// One call of train().
class Run {
 public:
  Run(TrainState& state, Pipeline& pipeline, const TokenFile& tokens, const TrainOptions& options,
      Diagnostics& diagnostics)
      : state_(state),
        pipeline_(pipeline),
        tokens_(tokens),
        options_(options),
        diagnostics_(diagnostics),
        host_(pipeline.options().mode, pipeline.options().threads) {}

  TrainEnd run(const std::function<void(const TrainStep&)>& on_step);

 private:
  bool start();
  bool check_state();
  bool one_step();
  bool add_gradients(double& loss);
  bool read_sequence(std::int64_t sequence);
  bool refuse_loss(double loss);
  bool refuse_gradient(double norm);
  std::string last_checkpoint() const;
  double gradient_norm();
  void update(double norm);
  bool write_log();
  bool save();
  bool wants_checkpoint() const;
  double tokens_of_step() const { return static_cast<double>(options_.batch * state_.config.seq); }

  TrainState& state_;
  Pipeline& pipeline_;
  const TokenFile& tokens_;
  const TrainOptions& options_;
  Diagnostics& diagnostics_;
  HostOps host_;
  detail::TrainLog log_;
  ModelGrads grads_;
  std::vector<std::int32_t> sequence_;  // S + 1
  TrainStep report_;
  double done_ms_ = 0;  // of this call
  std::int64_t done_ = 0;
  std::int64_t saved_step_ = -1;  // of the checkpoint that this call wrote last
};

TrainEnd Run::run(const std::function<void(const TrainStep&)>& on_step) {
  if (!start()) return TrainEnd::failed;
  while (state_.progress.step < options_.steps) {
    if (!budget_allows(pipeline_, options_)) {
      if (done_ == 0) {
        diagnostics_.error(
            rule<"train.budget">.id(),
            fmt::format("a refresh of the weights takes {} compiles, and the process "
                        "has {} left; weights as param or packed take none",
                        pipeline_.compiles_per_refresh(), options_.compiles_left()));
        return TrainEnd::failed;
      }
      return save() ? TrainEnd::restart : TrainEnd::failed;
    }
    if (!one_step()) return TrainEnd::failed;
    if (!write_log()) return TrainEnd::failed;
    if (wants_checkpoint() && !save()) return TrainEnd::failed;
    if (on_step) on_step(report_);
  }
  const bool is_saved = done_ == 0 || saved_step_ == state_.progress.step;
  return is_saved || save() ? TrainEnd::done : TrainEnd::failed;
}

/// Whether the state fits the pipeline, and the run the counts of a checkpoint.
bool Run::check_state() {
  if (!(pipeline_.config() == state_.config)) {
    diagnostics_.error(rule<"train.option">.id(), "the pipeline was opened for another model");
    return false;
  }
  const CheckpointProgress& progress = state_.progress;
  const std::int64_t left = std::max<std::int64_t>(0, options_.steps - progress.step);
  for (const auto& [name, count] :
       {std::pair("cum_steps", progress.cum_steps), std::pair("cum_batches", progress.cum_batches),
        std::pair("adam_t", progress.adam_t)}) {
    if (count <= kMostSteps - left) continue;
    diagnostics_.error(
        rule<"train.option">.id(),
        fmt::format("{} is {}, and a checkpoint does not count {} more steps", name, count, left));
    return false;
  }
  return true;
}

bool Run::start() {
  if (!check_options(options_, diagnostics_) || !check_state()) return false;
  const std::int64_t seq = state_.config.seq;
  if (tokens_.size() <= seq) {
    diagnostics_.error(rule<"train.tokens">.id(),
                       fmt::format("the file has {} tokens, and a sequence with its targets takes "
                                   "{}",
                                   tokens_.size(), seq + 1),
                       Place(tokens_.path()));
    return false;
  }
  if (!log_.open(options_.log, state_.progress.step, diagnostics_)) return false;
  grads_ = ModelGrads(state_.config);
  sequence_.resize(static_cast<std::size_t>(seq) + 1);
  state_.progress.total_steps = static_cast<std::int32_t>(options_.steps);
  return true;
}

bool Run::one_step() {
  report_ = {.step = state_.progress.step + 1,
             .steps = options_.steps,
             .lr = learning_rate(options_, state_.progress.step)};
  const double compile_before = pipeline_.times().compile_ms;
  {
    const detail::Timed all(report_.step_ms);
    {
      const detail::Timed timed(report_.refresh_ms);
      if (!pipeline_.refresh(state_.weights, diagnostics_)) return false;
      grads_.zero();
    }
    if (!add_gradients(report_.loss)) return false;
    const detail::Timed timed(report_.optimizer_ms);
    report_.gradient_norm = gradient_norm();
    if (!std::isfinite(report_.gradient_norm)) return refuse_gradient(report_.gradient_norm);
    update(report_.gradient_norm);
  }
  const double compile_ms = pipeline_.times().compile_ms - compile_before;
  CheckpointProgress& progress = state_.progress;
  progress.step = static_cast<std::int32_t>(report_.step);
  progress.lr = report_.lr;
  progress.loss = static_cast<float>(report_.loss);
  progress.compile_ms += compile_ms;
  progress.train_ms += report_.step_ms - compile_ms;
  progress.wall_ms += report_.step_ms;
  ++progress.cum_steps;
  ++progress.cum_batches;
  done_ms_ += report_.step_ms;
  ++done_;
  report_.tokens_per_second = 1000 * tokens_of_step() / std::max(report_.step_ms, 1e-6);
  report_.seconds_left = done_ms_ / 1000 / static_cast<double>(done_) *
                         static_cast<double>(options_.steps - report_.step);
  return true;
}

bool Run::read_sequence(std::int64_t sequence) {
  const std::int64_t first =
      sequence_start(options_.seed, sequence, tokens_.size(), state_.config.seq);
  return tokens_.read(first, sequence_, diagnostics_);
}

bool Run::add_gradients(double& loss) {
  const Tokens whole = sequence_;
  const auto seq = static_cast<std::size_t>(state_.config.seq);
  loss = 0;
  for (std::int64_t i = 0; i < options_.batch; ++i) {
    if (!read_sequence(state_.progress.step * options_.batch + i)) return false;
    double one = 0;
    if (!pipeline_.step(whole.first(seq), whole.last(seq), grads_, one, diagnostics_,
                        1.0f / static_cast<float>(options_.batch))) {
      return false;
    }
    if (!std::isfinite(one)) return refuse_loss(one);
    loss += one / static_cast<double>(options_.batch);
  }
  return true;
}

std::string Run::last_checkpoint() const {
  if (options_.checkpoint.empty()) return "no checkpoint is written in this run";
  if (saved_step_ < 0) {
    return fmt::format("no checkpoint was written since step {}", state_.progress.step - done_);
  }
  return fmt::format("the last checkpoint, of step {}, is '{}'", saved_step_, options_.checkpoint);
}

bool Run::refuse_loss(double loss) {
  NonFiniteOrigin origin;
  const Tokens whole = sequence_;
  const auto seq = static_cast<std::size_t>(state_.config.seq);
  if (!pipeline_.find_nonfinite(whole.first(seq), whole.last(seq), origin, diagnostics_)) {
    return false;
  }
  diagnostics_.error(rule<"train.loss">.id(),
                     fmt::format("the loss of step {} is {:g}: {}; {}", report_.step, loss,
                                 origin.text(), last_checkpoint()));
  return false;
}

/// The sequences of the step once more, one after the other, for the first that shows where.
bool Run::refuse_gradient(double norm) {
  NonFiniteOrigin origin;
  const Tokens whole = sequence_;
  const auto seq = static_cast<std::size_t>(state_.config.seq);
  for (std::int64_t i = 0; i < options_.batch && !origin.found; ++i) {
    if (!read_sequence(state_.progress.step * options_.batch + i) ||
        !pipeline_.find_nonfinite(whole.first(seq), whole.last(seq), origin, diagnostics_)) {
      return false;
    }
  }
  diagnostics_.error(
      rule<"train.gradient">.id(),
      fmt::format("the norm of the gradients of step {} is {:g}: {}; the loss scale is {:g}, a "
                  "smaller one keeps them from overflowing; {}",
                  report_.step, norm, origin.text(), pipeline_.options().loss_scale,
                  last_checkpoint()));
  return false;
}

double Run::gradient_norm() {
  double squares = 0;
  for (const TensorGroup& group : groups_of(grads_, state_.config)) {
    squares += host_.sum_of_squares(group.values);
  }
  return std::sqrt(squares);
}

void Run::update(double norm) {
  const double most = static_cast<double>(options_.clip_norm);
  const float shortened = most > 0 && norm > most ? static_cast<float>(most / norm) : 1.0f;
  AdamOptions adam = options_.adam;
  adam.lr = report_.lr;
  const std::int64_t t = ++state_.progress.adam_t;
  const std::vector<TensorGroup> weights = groups_of(state_.weights, state_.config);
  const std::vector<TensorGroup> grads = groups_of(grads_, state_.config);
  const std::vector<AdamState*> states = states_of(state_.adam);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const bool is_gain = weights[i].name.starts_with("rms");
    adam.weight_decay = is_gain ? 0 : options_.adam.weight_decay;
    host_.adam_update(weights[i].values, grads[i].values, *states[i], t, adam, shortened);
  }
}

bool Run::write_log() {
  return log_.add({.step = report_.step,
                   .loss = report_.loss,
                   .lr = static_cast<double>(report_.lr),
                   .gradient_norm = report_.gradient_norm,
                   .tokens_per_second = report_.tokens_per_second,
                   .step_ms = report_.step_ms},
                  diagnostics_);
}

bool Run::wants_checkpoint() const {
  return options_.checkpoint_every > 0 && state_.progress.step % options_.checkpoint_every == 0;
}

bool Run::save() {
  if (options_.checkpoint.empty()) return true;
  if (!write_checkpoint(options_.checkpoint, state_.config, state_.progress, state_.weights,
                        state_.adam, diagnostics_)) {
    return false;
  }
  saved_step_ = state_.progress.step;
  return true;
}

}  // namespace

bool check_options(const TrainOptions& options, Diagnostics& diagnostics) {
  const std::size_t before = diagnostics.errors();
  const auto count = [&](std::string_view name, std::int64_t value, std::int64_t least,
                         std::int64_t most) {
    if (value >= least && value <= most) return;
    diagnostics.error(rule<"train.option">.id(),
                      fmt::format("{} is {} but has to be {} to {}", name, value, least, most));
  };
  const auto real = [&](std::string_view name, float value, float most) {
    if (std::isfinite(value) && value >= 0 && value <= most) return;
    diagnostics.error(
        rule<"train.option">.id(),
        most == INFINITY
            ? fmt::format("{} is {:g} but has to be finite and not below 0", name, value)
            : fmt::format("{} is {:g} but has to be 0 to {:g}", name, value, most));
  };
  count("steps", options.steps, 0, kMostSteps);
  count("batch", options.batch, 1, 1 << 20);
  count("warmup", options.warmup, 0, kMostSteps);
  count("checkpoint_every", options.checkpoint_every, 0, kMostSteps);
  real("lr", options.adam.lr, INFINITY);
  real("min_lr", options.min_lr, options.adam.lr);
  real("clip_norm", options.clip_norm, INFINITY);
  real("weight_decay", options.adam.weight_decay, INFINITY);
  return diagnostics.errors() == before;
}

TrainEnd train(TrainState& state, Pipeline& pipeline, const TokenFile& tokens,
               const TrainOptions& options, const std::function<void(const TrainStep&)>& on_step,
               Diagnostics& diagnostics) {
  return Run(state, pipeline, tokens, options, diagnostics).run(on_step);
}

float learning_rate(const TrainOptions& options, std::int64_t step) {
  const double peak = static_cast<double>(options.adam.lr);
  if (step < options.warmup) {
    return static_cast<float>(peak * static_cast<double>(step + 1) /
                              static_cast<double>(options.warmup));
  }
  const double least = static_cast<double>(options.min_lr);
  const auto done = static_cast<double>(step - options.warmup);
  const auto all = static_cast<double>(std::max<std::int64_t>(1, options.steps - options.warmup));
  const double falling = 0.5 * (1 + cpu::real_cos(std::numbers::pi * std::min(1.0, done / all)));
  return static_cast<float>(least + (peak - least) * falling);
}

std::int64_t sequence_start(std::uint64_t seed, std::int64_t sequence, std::int64_t count,
                            std::int64_t seq) {
  const std::uint64_t z =
      milgen::detail::mixed(seed * 0xD1B54A32D192ED03u, static_cast<std::uint64_t>(sequence));
  return static_cast<std::int64_t>(z % static_cast<std::uint64_t>(count - seq));
}

bool budget_allows(const Pipeline& pipeline, const TrainOptions& options) {
  return !options.compiles_left || pipeline.compiles_per_refresh() <= options.compiles_left();
}

bool tokens_of_file(const TokenFile& file, CompactVocab& vocab, Diagnostics& diagnostics) {
  constexpr std::int64_t kAtATime = 1 << 16;
  std::vector<std::int32_t> some;
  std::vector<bool> occurs(static_cast<std::size_t>(file.vocab()));
  for (std::int64_t first = 0; first < file.size(); first += kAtATime) {
    some.resize(static_cast<std::size_t>(std::min(kAtATime, file.size() - first)));
    if (!file.read(first, some, diagnostics)) return false;
    for (const std::int32_t token : some) occurs[static_cast<std::size_t>(token)] = true;
  }
  some.clear();
  for (std::size_t token = 0; token < occurs.size(); ++token) {
    if (occurs[token]) some.push_back(static_cast<std::int32_t>(token));
  }
  return compact_vocab(some, file.vocab(), vocab, diagnostics);
}

}  // namespace milgen::train
