#include <filesystem>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mil/weight_names.h"
#include "mil/weight_path.h"
#include "milgen/emit.h"
#include "milgen/print_cpp.h"
#include "milgen/weights.h"
#include "weights/memory_source.h"

namespace milgen {
namespace {

/// Payloads of weight files under names, and the files for as long as those are read.
class ModelWeights final : public WeightSource {
 public:
  /// False after a report.
  bool open(const Module& module, const std::string& folder, const WeightSourceOptions& options,
            Diagnostics& diagnostics) {
    const std::vector<WeightReference> references = references_of(module);
    // Paths, offsets and types are looked at there; what follows takes them as they are.
    if (!check_weights(references, folder, diagnostics)) return false;
    std::vector<MemoryWeight> weights;
    for (const WeightReference& reference : references) {
      const auto [file, is_new] = files_.try_emplace(reference.path);
      const std::filesystem::path path =
          std::filesystem::path(folder) / reference.path.substr(kModelPath.size());
      if (is_new && !file->second.open(path.string(), diagnostics)) return false;
      const WeightRecord* record = file->second.find(reference.offset);
      if (record == nullptr) return false;  // the file has changed in between
      weights.push_back(
          {reference.name, reference.dtype, reference.shape, file->second.payload(*record)});
    }
    source_ = detail::memory_weights_of(folder, std::move(weights), options, diagnostics);
    return source_ != nullptr;
  }

  bool describe(std::string_view name, WeightDescription& description) const override {
    return source_->describe(name, description);
  }
  std::vector<std::string> names() const override { return source_->names(); }
  std::string where() const override { return source_->where(); }
  bool check(const WeightRequest& request, bool transposed,
             Diagnostics& diagnostics) const override {
    return source_->check(request, transposed, diagnostics);
  }
  bool read(const WeightRequest& request, WeightSink& sink, Diagnostics& diagnostics) override {
    return source_->read(request, sink, diagnostics);
  }
  bool read_transposed(const WeightRequest& request, WeightSink& sink,
                       Diagnostics& diagnostics) override {
    return source_->read_transposed(request, sink, diagnostics);
  }

 private:
  /// Each name once; functions that share a weight refer to the same record.
  static std::vector<WeightReference> references_of(const Module& module) {
    std::vector<WeightReference> out;
    std::unordered_map<std::string, std::size_t> by_name;
    for (const mil::Function function : module.functions()) {
      for (const mil::NamedWeight& weight : mil::named_weights(function)) {
        const mil::Type type = weight.literal.type();
        if (!type || type.type_class() != mil::TypeClass::tensor) continue;
        WeightReference reference{weight.name, weight.literal.blob_path(),
                                  weight.literal.blob_offset(), type.dtype(), type.shape()};
        const auto [known, is_new] = by_name.try_emplace(weight.name, out.size());
        if (!is_new && out[known->second].path == reference.path &&
            out[known->second].offset == reference.offset) {
          continue;
        }
        out.push_back(std::move(reference));
      }
    }
    return out;
  }

  std::unordered_map<std::string, WeightFileReader> files_;
  std::unique_ptr<WeightSource> source_;
};

}  // namespace

std::unique_ptr<WeightSource> model_weights(const Module& module, const std::string& folder,
                                            const WeightSourceOptions& options,
                                            Diagnostics& diagnostics) {
  auto source = std::make_unique<ModelWeights>();
  if (!source->open(module, folder, options, diagnostics)) return nullptr;
  return source;
}

}  // namespace milgen
