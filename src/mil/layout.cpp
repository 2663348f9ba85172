#include "milgen/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "ir/canonical.h"
#include "mil/number_text.h"
#include "mil/weight_path.h"
#include "milgen/weights.h"
#include "support/rule.h"
#include "support/tensor_text.h"
#include "support/text.h"

namespace milgen {
namespace {

std::string describe(const WeightInfo& weight) { return tensor_text(weight.dtype, weight.shape); }

/// A weight as its program declares it, and where its values went.
struct Declared {
  std::uint32_t program = 0;
  std::uint32_t index = 0;
  WeightPlace place;
};

const Const& constant_of(const Program& program, std::size_t index) {
  const ProgramData& data = program.data();
  return *data.graph->constant_of(data.canonical.weights[index]);
}

/// How the values of two weights of one dtype and shape differ; empty when they do not.
std::string difference(const Program& a, std::size_t a_index, const Program& b,
                       std::size_t b_index) {
  const auto kind_text = [](const Const& constant) -> std::string {
    switch (constant.kind) {
      case ConstKind::weight:
        return fmt::format("from a source, {} where that is seeded", fill_name(constant.fill));
      case ConstKind::fill:
        return fmt::format("the kernel's own, by the formula {}", fill_name(constant.fill));
      default:
        return "the kernel's own, element by element";
    }
  };
  const Const& left = constant_of(a, a_index);
  const Const& right = constant_of(b, b_index);
  const bool has_formula = left.kind == ConstKind::weight || left.kind == ConstKind::fill;
  if (left.kind != right.kind || (has_formula && left.fill != right.fill)) {
    return fmt::format("{} and {}", kind_text(left), kind_text(right));
  }
  const Graph& left_graph = *a.data().graph;
  const Graph& right_graph = *b.data().graph;
  const auto left_ints = left_graph.ints(left);
  const auto right_ints = right_graph.ints(right);
  const auto int_at =
      std::mismatch(left_ints.begin(), left_ints.end(), right_ints.begin(), right_ints.end());
  if (int_at.first != left_ints.end() && int_at.second != right_ints.end()) {
    return fmt::format("element {} is {} and {}", int_at.first - left_ints.begin(), *int_at.first,
                       *int_at.second);
  }
  const auto left_reals = left_graph.reals(left);
  const auto right_reals = right_graph.reals(right);
  // By their bits: 0 and -0 are other bytes, and a NaN is itself.
  const auto real_at =
      std::mismatch(left_reals.begin(), left_reals.end(), right_reals.begin(), right_reals.end(),
                    [](double x, double y) {
                      return std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y);
                    });
  if (real_at.first != left_reals.end() && real_at.second != right_reals.end()) {
    const DType dtype = left_graph.types.dtype(left.type);
    return fmt::format("element {} is {} and {}", real_at.first - left_reals.begin(),
                       float_text(*real_at.first, dtype, FloatStyle::decimal),
                       float_text(*real_at.second, dtype, FloatStyle::decimal));
  }
  return {};
}

/// Reports two declarations that one name in the folder cannot stand for both.
bool check_same(std::span<const Program> programs,
                const std::vector<std::vector<WeightInfo>>& weights, const Declared& other,
                std::uint32_t p, std::uint32_t w, Diagnostics& diagnostics) {
  const WeightInfo& weight = weights[p][w];
  const WeightInfo& first = weights[other.program][other.index];
  const std::string_view name = programs[p].name();
  const std::string_view first_name = programs[other.program].name();
  std::string message;
  if (weight.name != first.name || weight.derived_name != first.derived_name) {
    message = fmt::format(
        "weight '{}' of '{}' and weight '{}' of '{}' are both to be in '{}{}{}'; one of them needs "
        "a name "
        "of its own",
        weight.name, name, first.name, first_name, kWeightsFolder,
        joined_stem(name, weight.name, weight.derived_name), kWeightSuffix);
  } else if (weight.dtype != first.dtype || weight.shape != first.shape) {
    message = fmt::format(
        "weight '{}' of '{}' is {} but that of '{}' is {}; emit them into folders of their own",
        weight.name, name, describe(weight), first_name, describe(first));
  } else if (const std::string values =
                 difference(programs[p], w, programs[other.program], other.index);
             !values.empty()) {
    message = fmt::format(
        "weight '{}' of '{}' and that of '{}' are {} but their values differ: {}; emit them into "
        "folders of their own",
        weight.name, name, first_name, describe(weight), values);
  } else {
    return true;
  }
  Diagnostic& report =
      diagnostics.error(rule<"weight.conflict">.id(), std::move(message), weight.declared);
  report.notes.push_back({"the other one is declared here", Place(first.declared)});
  return false;
}

}  // namespace

bool check_programs(std::span<const Program> programs, Diagnostics& diagnostics) {
  bool ok = true;
  for (std::size_t p = 0; p < programs.size(); ++p) {
    if (programs[p]) continue;
    diagnostics.error(rule<"program.none">.id(),
                      fmt::format("program {} of {} is none: its kernel has errors or it was never "
                                  "built",
                                  p + 1, programs.size()));
    ok = false;
  }
  return ok;
}

bool WeightLayout::plan(std::span<const Program> programs, const LayoutOptions& options,
                        Diagnostics& diagnostics, std::span<const std::string> same_as) {
  files_.clear();
  blob_paths_.clear();
  places_.clear();
  first_.clear();
  const std::size_t errors_before = diagnostics.errors();
  const bool shared = options.files == WeightFiles::shared;
  if (!check_programs(programs, diagnostics)) return false;
  std::unordered_map<std::string, Declared> by_name;
  std::unordered_map<std::string, WeightPlace> by_content;
  std::unordered_map<std::string, Declared> by_folded_name;

  std::vector<std::vector<WeightInfo>> all_weights;
  all_weights.reserve(programs.size());
  for (std::uint32_t p = 0; p < programs.size(); ++p) {
    first_.push_back(places_.size());
    const std::vector<WeightInfo>& weights = all_weights.emplace_back(programs[p].weights());
    for (std::uint32_t w = 0; w < weights.size(); ++w) {
      const WeightInfo& weight = weights[w];
      std::string file_stem = joined_stem(programs[p].name(), weight.name, weight.derived_name);
      std::string name_key = file_stem;
      // In a shared file no file is called by its weight, and a derived name meets no other.
      if (shared && weight.derived_name) {
        name_key = std::string(programs[p].name()) + '\0' + weight.name;
      }
      if (const auto found = by_name.find(name_key); found != by_name.end()) {
        check_same(programs, all_weights, found->second, p, w, diagnostics);
        places_.push_back(found->second.place);
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
          by_name.emplace(std::move(name_key), Declared{p, w, found->second});
          places_.push_back(found->second);
          continue;
        }
      }
      if (!shared) {
        const auto [at, is_new] =
            by_folded_name.try_emplace(lower_case(file_stem), Declared{p, w, {}});
        if (!is_new) {
          const WeightInfo& first = all_weights[at->second.program][at->second.index];
          const std::string_view first_program = programs[at->second.program].name();
          Diagnostic& report = diagnostics.error(
              rule<"weight.file_case">.id(),
              fmt::format("weight '{}' of '{}' and weight '{}' of '{}' have files that differ only "
                          "in case, '{}{}{}' and '{}{}{}'",
                          weight.name, programs[p].name(), first.name, first_program,
                          kWeightsFolder, file_stem, kWeightSuffix, kWeightsFolder,
                          joined_stem(first_program, first.name, first.derived_name),
                          kWeightSuffix),
              weight.declared);
          report.notes.push_back({"the other one is declared here", Place(first.declared)});
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
      by_name.emplace(std::move(name_key), Declared{p, w, place});
      file.payloads.push_back({weight, p, w, size_bytes, padding_bits, 0});
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
