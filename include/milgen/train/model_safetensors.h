// Models as .safetensors, under milgen's names or those of Hugging Face.
//
// milgen's are those of groups_of(): "layers.0.wq", "rms_final", "embed", "classifier". Hugging
// Face's, of its Llama models: "model.embed_tokens.weight",
// "model.layers.0.self_attn.q_proj.weight" (k_proj, v_proj, o_proj),
// "model.layers.0.mlp.gate_proj.weight" (w1; up_proj is w3, down_proj w2),
// "model.layers.0.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight",
// "model.norm.weight", and "lm_head.weight" where the classifier is not the embedding.
//
// Hugging Face rotates element i of a head with element i + d/2, llama2.c and milgen element 2i
// with 2i + 1. So row 2i + j of a head of wq and wk is row j * d/2 + i of q_proj and k_proj
// (convert_llama_weights_to_hf.py, permute).
#pragma once

#include <cstdint>
#include <string>

#include "milgen/diagnostic.h"
#include "milgen/dtype.h"
#include "milgen/train/model.h"

namespace milgen::train {

enum class TensorNames : std::uint8_t { milgen, hugging_face };

struct ModelSafetensorsOptions {
  TensorNames names = TensorNames::hugging_face;
  DType dtype = DType::fp32;  ///< or fp16, bf16: rounded to nearest, ties to even
};

/// The tensors of the model `config`, under whichever names the file has; fp16, bf16 and fp64
/// become fp32. Reports `file.*`, `safetensors.*`, `model.config`, `weight.missing`, `weight.shape`
/// and `weight.convert` for each tensor, `model.tensor` for tensors that the model does not have (a
/// bias, a norm of q: the model would be another one), and `memory.limit`. `weights` stays as it is
/// when an error is reported.
///
/// The file has no eps, theta and residual scale: they are in `config`, from the config.json beside
/// it. Hugging Face's models have a residual scale of 1.
bool read_model_safetensors(const std::string& path, const ModelConfig& config,
                            ModelWeights& weights, Diagnostics& diagnostics);

/// Under Hugging Face's names a residual scale that is not 1 goes into wo and w2, which makes the
/// same model. Reports `file.*`, `model.config`, `array.dtype` for another dtype than the three,
/// and `memory.limit`.
bool write_model_safetensors(const std::string& path, const ModelConfig& config,
                             const ModelWeights& weights, const ModelSafetensorsOptions& options,
                             Diagnostics& diagnostics);

}  // namespace milgen::train
