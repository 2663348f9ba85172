#include "mil/compare_weights.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "mil/literal.h"
#include "mil/module_weights.h"
#include "mil/weight_path.h"
#include "milgen/emit.h"

namespace milgen::mil {
namespace {

constexpr std::size_t kChunkElements = 4096;

}  // namespace

std::uint64_t weight_elements(const ModuleData& data, Id type_id) {
  if (type_id == kNoId) return 0;
  const TypeRecord& type = data.types[type_id];
  std::int64_t count = 0;
  if (type.kind != TypeKind::tensor || weight_dtype_code(type.dtype) == 0 ||
      !element_count(data.types.shape(type), count)) {
    return 0;
  }
  return static_cast<std::uint64_t>(count);
}

ModelWeights::ModelWeights(const ModuleData& data, const std::string& folder,
                           Diagnostics& diagnostics) {
  const std::vector<WeightReference> references = references_of(data);
  std::unordered_map<std::string, std::vector<RecordReference>> of_file;
  for (const WeightReference& reference : references) {
    std::int64_t elements = 0;
    if (weight_dtype_code(reference.dtype) == 0 || !element_count(reference.shape, elements) ||
        elements == 0) {
      continue;
    }
    of_file[reference.path].push_back({.name = {},
                                       .offset = reference.offset,
                                       .dtype = reference.dtype,
                                       .elements = static_cast<std::uint64_t>(elements)});
  }
  // Files that the field's own tools wrote are compared as well (mil_text_format, section 6.1).
  // This holds every path inside of the folder, so that below they can be opened as they are.
  if (!check_weights(references, folder, diagnostics, {.lenient = true})) return;
  for (const auto& [path, wanted] : of_file) {
    Diagnostics said_before;
    const std::string file =
        (folder.empty() ? std::string(".") : folder) + "/" + path.substr(kModelPath.size());
    WeightFileReader reader;
    if (reader.open(file, said_before, {.mode = ReadMode::lenient, .references = wanted})) {
      readers_.emplace(path, std::move(reader));
    }
  }
}

const WeightRecord* ModelWeights::record_of(const ModuleData& data, const LiteralRecord& literal,
                                            const WeightFileReader*& reader) const {
  if (literal.blob == kNoId) return nullptr;
  const auto found = readers_.find(unescape(data.blobs[literal.blob].path));
  if (found == readers_.end()) return nullptr;
  reader = &found->second;
  return reader->find(data.blobs[literal.blob].offset);
}

bool ModelWeights::read(const ModuleData& data, const LiteralRecord& literal, std::uint64_t first,
                        std::span<std::uint64_t> out) const {
  const WeightFileReader* reader = nullptr;
  const WeightRecord* record = record_of(data, literal, reader);
  if (record == nullptr || weight_elements(data, literal.type) == 0) return false;
  const DType dtype = data.types[literal.type].dtype;
  const std::span<const std::byte> payload = reader->payload(*record);
  if (is_float(dtype)) {
    std::vector<double> values(out.size());
    if (!read_elements(dtype, payload, first, std::span<double>(values))) return false;
    std::ranges::transform(values, out.begin(),
                           [](double value) { return std::bit_cast<std::uint64_t>(value); });
    return true;
  }
  std::vector<std::int64_t> values(out.size());
  if (!read_elements(dtype, payload, first, std::span<std::int64_t>(values))) return false;
  std::ranges::transform(values, out.begin(),
                         [](std::int64_t value) { return static_cast<std::uint64_t>(value); });
  return true;
}

bool ModelWeights::elements(const ModuleData& data, const LiteralRecord& literal, ElementKey& key) {
  const std::uint64_t count = weight_elements(data, literal.type);
  if (count == 0) return false;
  std::vector<std::uint64_t> chunk;
  for (std::uint64_t first = 0; first < count; first += chunk.size()) {
    chunk.resize(static_cast<std::size_t>(std::min<std::uint64_t>(count - first, kChunkElements)));
    if (!read(data, literal, first, chunk)) return false;
    key.add(chunk);
  }
  return true;
}

}  // namespace milgen::mil
