// Checkpoints of the field's training programs (CkptHdr of stories_config.h), little-endian.
//
// The header has 96 bytes. The documentation of stories_config.h says 128, which its fields with
// natural alignment are not:
//
//      0  int32   magic 0x424C5A54, version (2 or 4), step, total_steps,
//                 n_layers, vocab_size, dim, hidden_dim, n_heads, seq_len
//     40  float   lr, loss
//     48  double  cum_compile, cum_train, cum_wall, in ms
//     72  int32   cum_steps, cum_batches, adam_t
//     84  int32   version 2: padding; version 4: kv_heads, head_dim, q_dim
//
// Behind it fp32. Per layer the weights Wq [Q, D], Wk [KV, D], Wv [KV, D], Wo [D, Q], W1 [H, D],
// W2 [D, H], W3 [H, D], rms_att [D], rms_ffn [D], and behind these nine, in the same order, m and v
// of each. Then rms_final [D], its m, its v; the embedding [V, D], its m, its v. Version 2 has no
// grouped-query attention: kv_heads = n_heads and head_dim = dim / n_heads. A classifier that is
// not the embedding has no place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "milgen/diagnostic.h"
#include "milgen/train/model.h"

namespace milgen::train {

inline constexpr std::size_t kCheckpointHeaderBytes = 96;

/// How far a run is.
struct CheckpointProgress {
  std::int32_t step = 0;  ///< the next one to be done
  std::int32_t total_steps = 0;
  float lr = 0;
  float loss = 0;         ///< the last one
  double compile_ms = 0;  ///< these three over all processes of the run
  double train_ms = 0;
  double wall_ms = 0;
  std::int32_t cum_steps = 0;    ///< steps done, over all processes of the run
  std::int32_t cum_batches = 0;  ///< updates of the weights, over all processes
  std::int32_t adam_t = 0;       ///< updates that the moments have seen

  friend bool operator==(const CheckpointProgress&, const CheckpointProgress&) = default;
};

struct CheckpointInfo {
  int version = 0;
  /// The sizes; eps, theta and residual_scale, which checkpoints do not have, are the defaults.
  ModelConfig config;
  CheckpointProgress progress;
};

/// Reads the header and holds it against the size of the file. Reports `file.*`;
/// `checkpoint.header` for a file that is too short, another magic or version, negative counts,
/// numbers that are not finite, and sizes that contradict each other; `model.config` for sizes that
/// are none of a model; `checkpoint.size` when the file is not as large as its header says.
bool read_checkpoint_info(const std::string& path, CheckpointInfo& info, Diagnostics& diagnostics);

/// Reads a checkpoint of the model `config`. Beside what read_checkpoint_info() reports:
/// `checkpoint.config` for each size in which the checkpoint's model is another one,
/// `checkpoint.classifier` when the wanted model has a classifier of its own, and `memory.limit`.
/// The results stay as they are when the file is at fault. Memory beyond the tensors is flat.
bool read_checkpoint(const std::string& path, const ModelConfig& config,
                     CheckpointProgress& progress, ModelWeights& weights, ModelAdam& adam,
                     Diagnostics& diagnostics);

/// Writes a checkpoint and flushes it to the disk; it takes its place whole or not at all, and the
/// one that was there stays until then. `version` is 2 or 4; 0 takes 2 where that holds the model.
/// Reports `file.*`, `model.config`, `checkpoint.classifier`, `checkpoint.header` for progress that
/// would not be read back, and `checkpoint.version` for a version that does not hold the model.
/// Memory is flat.
bool write_checkpoint(const std::string& path, const ModelConfig& config,
                      const CheckpointProgress& progress, const ModelWeights& weights,
                      const ModelAdam& adam, Diagnostics& diagnostics, int version = 0);

}  // namespace milgen::train
