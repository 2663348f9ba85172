// A training run: gradient accumulation, learning-rate schedule, clipping, Adam, checkpoints, log.
//
//     TrainState state(config);
//     initialize(state.weights, config, 0);
//     Pipeline pipeline;                                   // open()ed for the same model
//     if (train(state, pipeline, tokens, {.steps = 100}, {}, diagnostics) != TrainEnd::done) ...
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/train/checkpoint.h"
#include "milgen/train/host_ops.h"
#include "milgen/train/model.h"
#include "milgen/train/pipeline.h"
#include "milgen/train/token_file.h"

namespace milgen::train {

/// Everything of a run that changes; a checkpoint has all of it.
struct TrainState {
  ModelConfig config;
  ModelWeights weights;
  ModelAdam adam;
  CheckpointProgress progress;

  TrainState() = default;
  /// Zeros.
  explicit TrainState(const ModelConfig& model) : config(model), weights(model), adam(model) {}
};

/// What a run tells after each step. A step is one update of the weights.
struct TrainStep {
  std::int64_t step = 0;   ///< steps that are done, this one included
  std::int64_t steps = 0;  ///< of the whole run
  double loss = 0;         ///< mean over the step's sequences, before the update
  float lr = 0;
  double gradient_norm = 0;  ///< before clipping
  double tokens_per_second = 0;
  double seconds_left = 0;
  double step_ms = 0;       ///< all of the step
  double optimizer_ms = 0;  ///< of it: norm and Adam
  double refresh_ms = 0;    ///< of it: handing the weights to the kernels
};

struct TrainOptions {
  std::int64_t steps = 200;  ///< of the whole run, those before a resume included
  std::int64_t batch = 1;    ///< sequences whose gradients make one update
  AdamOptions adam = {};     ///< lr is the peak; weight decay is for matrices, not for gains
  float min_lr = 0;          ///< where the cosine ends
  std::int64_t warmup = 0;   ///< steps in which the learning rate grows to its peak
  float clip_norm = 1;       ///< longer gradients are shortened to it; 0: none is
  std::uint64_t seed = 0;    ///< of the order of the data

  std::string checkpoint = {};        ///< file; "" for none
  std::int64_t checkpoint_every = 0;  ///< steps; 0: at the end alone
  std::string log = {};               ///< CSV file; "" for none
  /// Compiles that the backend still stands in this process; null where there is no such bound.
  std::function<std::int64_t()> compiles_left = {};
};

enum class TrainEnd : std::uint8_t {
  done,
  failed,  ///< an error was reported
  /// The compile budget is used up, and the checkpoint written if there is to be one: another
  /// process goes on.
  restart,
};

/// Reports `train.option` for each that is out of its range.
bool check_options(const TrainOptions& options, Diagnostics& diagnostics);

/// Trains from state.progress.step to options.steps. Which tokens a sequence has follows from the
/// seed and the number of the sequence alone, so that a resumed run in NumericMode::exact gives the
/// bits of the uninterrupted one. The pipeline is open()ed for state.config, which stays where it
/// is as the pipeline reads its weights.
///
/// Reports `train.option`, `train.tokens` for a file that is shorter than a sequence, `train.loss`
/// and `train.gradient` with the step and the first op for what is not finite (the weights are then
/// those before the step, and the checkpoint is the last good one), `train.budget` when the backend
/// stands fewer compiles than one refresh takes, and the errors of the pipeline, the token file,
/// the log and the checkpoint.
TrainEnd train(TrainState& state, Pipeline& pipeline, const TokenFile& tokens,
               const TrainOptions& options, const std::function<void(const TrainStep&)>& on_step,
               Diagnostics& diagnostics);

/// The learning rate of step `step`, counted from 0.
float learning_rate(const TrainOptions& options, std::int64_t step);
/// The first token of sequence `sequence` of a run, below `count` - `seq`.
std::int64_t sequence_start(std::uint64_t seed, std::int64_t sequence, std::int64_t count,
                            std::int64_t seq);
/// Whether a refresh() fits in what options.compiles_left says.
bool budget_allows(const Pipeline& pipeline, const TrainOptions& options);

/// The tokens that occur in a file. Errors are the file's.
bool tokens_of_file(const TokenFile& file, CompactVocab& vocab, Diagnostics& diagnostics);

// --- The log. ---

/// A row of the log: `step,loss,lr,gradient_norm,tokens_per_second,step_ms`, steps from 1.
struct LogRow {
  std::int64_t step = 0;
  double loss = 0;
  double lr = 0;
  double gradient_norm = 0;
  double tokens_per_second = 0;
  double step_ms = 0;
};
/// Rows of a log, in order. A last line that was cut short is left out; what is not a row otherwise
/// is `train.log` with the line. `file.*` for a file that cannot be read.
bool read_log(const std::string& path, std::vector<LogRow>& rows, Diagnostics& diagnostics);
/// A picture of the loss over the steps, as SVG: every step, and the mean of its neighbourhood.
std::string loss_plot(std::span<const LogRow> rows);

// --- Sampling. ---

struct SampleOptions {
  std::int64_t tokens = 64;  ///< at most
  float temperature = 0.8f;  ///< 0: always the most probable
  float top_p = 0.9f;        ///< only the most probable that together have this; 1: all
  std::uint64_t seed = 0;
};
/// Tokens behind `prompt`, which is not empty, through the kernels of a pipeline that has its
/// weights; ends behind EOS or in front of BOS. Of a text longer than the sequence the last tokens
/// count. The same for the same logits. Reports `train.option`, `train.loss` for logits that are
/// not finite, and the errors of the pipeline.
bool sample(Pipeline& pipeline, Tokens prompt, const SampleOptions& options,
            std::vector<std::int32_t>& tokens, Diagnostics& diagnostics);

}  // namespace milgen::train
