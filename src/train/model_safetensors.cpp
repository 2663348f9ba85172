#include "milgen/train/model_safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "milgen/array_file.h"
#include "milgen/weights.h"
#include "support/printable.h"
#include "support/rule.h"
#include "support/tensor_text.h"
#include "train/value_file.h"

namespace milgen::train {
namespace {

using detail::fail;

struct NamePair {
  std::string_view milgen;
  std::string_view hugging_face;
};
constexpr NamePair kLayerNames[] = {
    {"wq", "self_attn.q_proj"},
    {"wk", "self_attn.k_proj"},
    {"wv", "self_attn.v_proj"},
    {"wo", "self_attn.o_proj"},
    {"w1", "mlp.gate_proj"},
    {"w2", "mlp.down_proj"},
    {"w3", "mlp.up_proj"},
    {"rms_att", "input_layernorm"},
    {"rms_ffn", "post_attention_layernorm"},
};
constexpr NamePair kModelNames[] = {
    {"rms_final", "model.norm"},
    {"embed", "model.embed_tokens"},
    {"classifier", "lm_head"},
};
constexpr std::string_view kHuggingFaceEmbedding = "model.embed_tokens.weight";
/// Frequencies of the rotary embedding, which older files have for each layer; theta says as much.
constexpr std::string_view kFrequencies = ".rotary_emb.inv_freq";

std::string name_of(const TensorGroup& group, TensorNames names) {
  if (names == TensorNames::milgen) return full_name(group);
  const bool in_layer = group.layer >= 0;
  const std::span<const NamePair> table =
      in_layer ? std::span<const NamePair>(kLayerNames) : std::span<const NamePair>(kModelNames);
  const std::string_view name =
      std::ranges::find(table, group.name, &NamePair::milgen)->hugging_face;
  return in_layer ? fmt::format("model.layers.{}.{}.weight", group.layer, name)
                  : fmt::format("{}.weight", name);
}

Shape shape_of(const TensorGroup& group) {
  const bool is_gain = group.name.starts_with("rms_");
  return is_gain ? Shape{group.rows} : Shape{group.rows, group.columns};
}

/// Whether Hugging Face has the rows of each head in another order.
bool is_rotated(const TensorGroup& group, TensorNames names) {
  return names == TensorNames::hugging_face && (group.name == "wq" || group.name == "wk");
}

/// The row of llama2.c's matrix that is row `row` of Hugging Face's.
std::int64_t interleaved_row(std::int64_t row, std::int64_t head_dim) {
  const std::int64_t half = head_dim / 2;
  const std::int64_t head = row / head_dim;
  const std::int64_t in_head = row % head_dim;
  return head * head_dim + in_head % half * 2 + in_head / half;
}

std::span<float> row_of(std::span<float> values, std::int64_t row, std::int64_t columns) {
  return values.subspan(static_cast<std::size_t>(row * columns), static_cast<std::size_t>(columns));
}

/// Which names the file has; false when it has neither embedding.
bool tell_names(const WeightSource& source, TensorNames& names) {
  WeightDescription ignored;
  if (source.describe("embed", ignored)) {
    names = TensorNames::milgen;
    return true;
  }
  names = TensorNames::hugging_face;
  return source.describe(kHuggingFaceEmbedding, ignored);
}

/// A tensor of the model, and how the file has it.
struct Entry {
  TensorGroup group;
  std::string name;
  Shape shape;

  WeightRequest request() const {
    return {.name = name, .dtype = DType::fp32, .shape = shape, .fill = Fill::uniform};
  }
};

bool refuse_unknown(const std::string& path, const WeightSource& source,
                    const std::vector<Entry>& entries, Diagnostics& diagnostics) {
  std::vector<std::string_view> known;
  for (const Entry& entry : entries) known.push_back(entry.name);
  std::ranges::sort(known);
  std::vector<std::string> unknown;
  for (const std::string& name : source.names()) {
    if (!std::ranges::binary_search(known, name) && !name.ends_with(kFrequencies)) {
      unknown.push_back(name);
    }
  }
  if (unknown.empty()) return true;
  return fail(rule<"model.tensor">,
              fmt::format("the file has {} tensor{} that the model does not have, the first '{}'",
                          unknown.size(), unknown.size() == 1 ? "" : "s", printable(unknown[0])),
              path, diagnostics);
}

/// Every tensor is there, and none beside them.
bool check_entries(const std::string& path, const WeightSource& source,
                   const std::vector<Entry>& entries, Diagnostics& diagnostics) {
  constexpr std::size_t kMostReports = 20;
  const std::size_t errors_before = diagnostics.errors();
  for (const Entry& entry : entries) {
    source.check(entry.request(), false, diagnostics);
    if (diagnostics.errors() - errors_before >= kMostReports) break;
  }
  return diagnostics.errors() == errors_before &&
         refuse_unknown(path, source, entries, diagnostics);
}

bool read_entry(const Entry& entry, const ModelConfig& config, TensorNames names,
                WeightSource& source, std::vector<float>& rows, Diagnostics& diagnostics) {
  const TensorGroup& group = entry.group;
  const bool rotated = is_rotated(group, names);
  if (rotated) rows.resize(group.values.size());
  MemorySink sink(std::as_writable_bytes(rotated ? std::span(rows) : group.values));
  if (!source.read(entry.request(), sink, diagnostics)) return false;
  if (!rotated) return true;
  for (std::int64_t row = 0; row < group.rows; ++row) {
    const std::int64_t to = interleaved_row(row, config.head_dim);
    std::ranges::copy(row_of(rows, row, group.columns),
                      row_of(group.values, to, group.columns).begin());
  }
  return true;
}

/// The tensor as the file has it. Shares memory with the model where nothing is to be changed.
Array array_of(const TensorGroup& group, const ModelConfig& config,
               const ModelSafetensorsOptions& options) {
  const bool rotated = is_rotated(group, options.names);
  const bool is_added = group.name == "wo" || group.name == "w2";
  const bool scaled = options.names == TensorNames::hugging_face && is_added;
  const float scale = scaled ? static_cast<float>(config.alpha()) : 1.0f;
  if (!rotated && scale == 1 && options.dtype == DType::fp32) {
    return Array::borrow(DType::fp32, shape_of(group), std::as_writable_bytes(group.values));
  }
  Array array = Array::uninitialized(options.dtype, shape_of(group));
  if (!array) return array;
  std::int64_t index = 0;
  for (std::int64_t row = 0; row < group.rows; ++row) {
    const std::int64_t from = rotated ? interleaved_row(row, config.head_dim) : row;
    for (const float value : row_of(group.values, from, group.columns)) {
      array.set(index++, value * scale);
    }
  }
  return array;
}

}  // namespace

bool read_model_safetensors(const std::string& path, const ModelConfig& config,
                            ModelWeights& weights, Diagnostics& diagnostics) {
  if (!detail::check_model_at(path, config, diagnostics)) return false;
  const std::unique_ptr<WeightSource> source = open_weights(path, {}, diagnostics);
  if (source == nullptr) return false;
  TensorNames names = TensorNames::milgen;
  if (!tell_names(*source, names)) {
    return fail(rule<"model.tensor">,
                fmt::format("the file has neither 'embed' nor '{}', so its names are not known",
                            kHuggingFaceEmbedding),
                path, diagnostics);
  }
  // What the file has is known before there is memory for it: names and shapes alone.
  ModelWeights empty;
  empty.layers.resize(static_cast<std::size_t>(config.layers));
  std::vector<Entry> entries;
  for (const TensorGroup& group : groups_of(empty, config)) {
    entries.push_back({group, name_of(group, names), shape_of(group)});
  }
  ModelWeights made;
  if (!check_entries(path, *source, entries, diagnostics) ||
      !detail::make_room(path, config, made, diagnostics)) {
    return false;
  }
  const std::vector<TensorGroup> groups = groups_of(made, config);
  std::vector<float> rows;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    entries[i].group = groups[i];
    if (!read_entry(entries[i], config, names, *source, rows, diagnostics)) return false;
  }
  weights = std::move(made);
  return true;
}

bool write_model_safetensors(const std::string& path, const ModelConfig& config,
                             const ModelWeights& weights, const ModelSafetensorsOptions& options,
                             Diagnostics& diagnostics) {
  if (!detail::check_model_at(path, config, diagnostics) ||
      !detail::check_tensors(path, config, weights, diagnostics)) {
    return false;
  }
  if (options.dtype != DType::fp32 && options.dtype != DType::fp16 &&
      options.dtype != DType::bf16) {
    return fail(rule<"array.dtype">,
                fmt::format("a model is written in fp32, fp16 or bf16, not in {}",
                            dtype_name(options.dtype)),
                path, diagnostics);
  }
  std::vector<NamedArray> arrays;
  for (const TensorGroup& group : detail::groups_to_read(weights, config)) {
    NamedArray& named = arrays.emplace_back();
    named.name = name_of(group, options.names);
    named.array = array_of(group, config, options);
    if (!named.array) {
      return fail(
          rule<"memory.limit">,
          fmt::format("there is no memory for {}", tensor_text(options.dtype, shape_of(group))),
          path, diagnostics);
    }
  }
  return write_safetensors(path, arrays, diagnostics);
}

}  // namespace milgen::train
