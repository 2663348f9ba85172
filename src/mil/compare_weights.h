// What stands behind BLOBFILE, for a comparison by value.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "mil/compare_graph.h"
#include "milgen/diagnostic.h"
#include "milgen/weights.h"

namespace milgen::mil {

/// The weight files of one side: opened once each, read element by element.
class ModelWeights final : public WeightContents {
 public:
  /// Reports all that is wrong with the references and the files.
  ModelWeights(const ModuleData& data, const std::string& folder, Diagnostics& diagnostics);

  bool elements(const ModuleData& data, const LiteralRecord& literal, ElementKey& key) override;
  /// Elements [first, first + out.size()); false when they are not at hand.
  bool read(const ModuleData& data, const LiteralRecord& literal, std::uint64_t first,
            std::span<std::uint64_t> out) const;

 private:
  const WeightRecord* record_of(const ModuleData& data, const LiteralRecord& literal,
                                const WeightFileReader*& reader) const;

  std::unordered_map<std::string, WeightFileReader> readers_;
};

/// The elements of a tensor type with a known shape that a weight file can hold; 0 for others.
std::uint64_t weight_elements(const ModuleData& data, Id type);

}  // namespace milgen::mil
