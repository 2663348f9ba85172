#include "milgen/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "mil/weight_path.h"
#include "milgen/weights.h"
#include "support/rule.h"

namespace milgen {
namespace {

bool same_weight(const WeightInfo& a, const WeightInfo& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.fill == b.fill &&
         a.own_values == b.own_values;
}

std::string describe(const WeightInfo& weight) {
  return fmt::format("tensor<{}, {}>", dtype_name(weight.dtype), to_string(weight.shape));
}

}  // namespace

bool WeightLayout::plan(std::span<const Program> programs, const LayoutOptions& options,
                        Diagnostics& diagnostics, std::span<const std::string> same_as) {
  files_.clear();
  blob_paths_.clear();
  places_.clear();
  first_.clear();
  const std::size_t errors_before = diagnostics.errors();
  const bool shared = options.files == WeightFiles::shared;
  std::unordered_map<std::string, WeightPlace> by_name;
  std::unordered_map<std::string, WeightPlace> by_content;

  for (std::uint32_t p = 0; p < programs.size(); ++p) {
    first_.push_back(places_.size());
    std::vector<WeightInfo> weights = programs[p].weights();
    for (std::uint32_t w = 0; w < weights.size(); ++w) {
      WeightInfo& weight = weights[w];
      std::string file_stem;
      for (const std::string_view piece :
           weight_stem(programs[p].name(), weight.name, weight.derived_name)) {
        file_stem += piece;
      }
      if (const auto found = by_name.find(file_stem); found != by_name.end()) {
        const PlannedPayload& other = files_[found->second.file].payloads[found->second.payload];
        // Values that two kernels carry themselves are compared by their form alone; a literal
        // that differs in its elements is told apart by `same_as`.
        if (same_weight(other.weight, weight) || other.weight.name != weight.name) {
          places_.push_back(found->second);
          continue;
        }
        Diagnostic& report = diagnostics.error(
            rule<"weight.conflict">.id(),
            fmt::format("weight '{}' of '{}' is {} but that of '{}' is {}; emit them into folders "
                        "of their own",
                        weight.name, programs[p].name(), describe(weight),
                        programs[other.program].name(), describe(other.weight)),
            weight.declared);
        report.notes.push_back({"the other one is declared here", Place(other.weight.declared)});
        places_.push_back(found->second);
        continue;
      }
      std::uint64_t size_bytes = 0;
      std::uint32_t padding_bits = 0;
      std::int64_t count = 0;
      if (!element_count(weight.shape, count) ||
          !payload_bytes(weight.dtype, static_cast<std::uint64_t>(count), size_bytes,
                         padding_bits)) {
        diagnostics.error(rule<"weight.size">.id(),
                          fmt::format("weight '{}' is {}, which no weight file can hold",
                                      weight.name, describe(weight)),
                          weight.declared);
        places_.push_back({});
        continue;
      }
      const std::size_t nth = places_.size();
      if (!same_as.empty()) {
        const std::string key =
            fmt::format("{} {} {}", dtype_name(weight.dtype), size_bytes, same_as[nth]);
        if (const auto found = by_content.find(key); found != by_content.end()) {
          by_name.emplace(file_stem, found->second);
          places_.push_back(found->second);
          continue;
        }
      }
      if (!shared || files_.empty()) {
        files_.push_back({std::string(kWeightsFolder), {}, 0});
        files_.back().path += shared ? options.shared_name : file_stem;
        if (!shared) files_.back().path += kWeightSuffix;
      }
      PlannedFile& file = files_.back();
      const WeightPlace place{static_cast<std::uint32_t>(files_.size() - 1),
                              static_cast<std::uint32_t>(file.payloads.size())};
      if (!same_as.empty()) {
        by_content.emplace(
            fmt::format("{} {} {}", dtype_name(weight.dtype), size_bytes, same_as[nth]), place);
      }
      by_name.emplace(file_stem, place);
      file.payloads.push_back({std::move(weight), p, w, size_bytes, padding_bits, 0});
      places_.push_back(place);
    }
  }

  for (PlannedFile& file : files_) {
    std::vector<WeightPayloadSize> sizes;
    sizes.reserve(file.payloads.size());
    for (const PlannedPayload& payload : file.payloads) {
      sizes.push_back({payload.weight.dtype, payload.size_bytes, payload.padding_bits});
    }
    std::vector<WeightRecord> records;
    if (!plan_weight_records(sizes, records, file.size_bytes)) {
      diagnostics.error(
          rule<"weight.size">.id(),
          fmt::format("the weights of '{}' together exceed 2^63 - 1 bytes", file.path));
      continue;
    }
    for (std::size_t i = 0; i < records.size(); ++i) {
      file.payloads[i].record_offset = records[i].offset;
    }
    blob_paths_.push_back(std::string(kModelPath) + file.path);
  }
  return diagnostics.errors() == errors_before;
}

}  // namespace milgen
