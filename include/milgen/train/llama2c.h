// Model files of llama2.c, version 0 of its formats: what run.c reads and what legacy_export() of
// export.py writes (github.com/karpathy/llama2.c).
//
// All numbers are little-endian. A header of 7 int32: dim, hidden_dim, n_layers, n_heads,
// n_kv_heads, vocab_size, seq_len; a negative vocab_size says that the classifier is not the
// embedding. Behind it fp32, each tensor for all layers before the next:
//
//     token_embedding [V, D]      rms_att [L, D]
//     wq [L, Q, D]    wk [L, KV, D]    wv [L, KV, D]    wo [L, D, Q]
//     rms_ffn [L, D]
//     w1 [L, H, D]    w2 [L, D, H]     w3 [L, H, D]
//     rms_final [D]
//     freq_cis_real, freq_cis_imag [S, d / 2] each: tables of the rotary embedding
//     wcls [V, D], where the classifier is not the embedding
//
// run.c skips the tables and makes its own; files without them are read, too, told apart by their
// size. d = D / n_heads, so that Q = D. Rotary pairs are interleaved.
#pragma once

#include <cstddef>
#include <string>

#include "milgen/diagnostic.h"
#include "milgen/train/model.h"

namespace milgen::train {

inline constexpr std::size_t kLlama2cHeaderBytes = 28;

/// The header alone, held against the size of the file. `config` gets its sizes, eps 1e-5, theta
/// 10000 and residual_scale 1, which run.c has built in.
///
/// Reports `file.*`; `llama2c.header` for a header that is cut short, is of another version, or
/// has heads that do not divide dim; `model.config` for sizes that are none of a model; and
/// `llama2c.size` when the file is not as large as its header says.
bool read_llama2c_config(const std::string& path, ModelConfig& config, Diagnostics& diagnostics);

/// The whole file. Beside what read_llama2c_config() reports, `memory.limit`. `config` and
/// `weights` stay as they are when an error is reported.
bool read_llama2c(const std::string& path, ModelConfig& config, ModelWeights& weights,
                  Diagnostics& diagnostics);

/// Writes a file with tables, which takes its place whole or not at all. The format has no residual
/// scale: where that is not 1, wo and w2 are multiplied by it, which makes the same model.
///
/// Reports `model.config`, `file.*`, and `llama2c.config` for what the format or run.c has not:
/// heads * head_dim that is not dim, another eps than 1e-5, another theta than 10000.
bool write_llama2c(const std::string& path, const ModelConfig& config, const ModelWeights& weights,
                   Diagnostics& diagnostics);

}  // namespace milgen::train
