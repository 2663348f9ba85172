#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "mil/weight_file_set.h"
#include "mil/weight_path.h"
#include "milgen/emit.h"
#include "milgen/weights.h"
#include "support/printable.h"
#include "support/rule.h"

namespace milgen {
namespace {

namespace fs = std::filesystem;

/// Whether the resolved path `file` is below the resolved folder, names compared as a whole.
bool is_inside(const fs::path& file, const fs::path& folder) {
  auto at = file.begin();
  for (const fs::path& name : folder) {
    // "/" alone ends with no name, "/a/" with an empty one.
    if (name.empty()) continue;
    if (at == file.end() || *at++ != name) return false;
  }
  return at != file.end();
}

/// The bytes that a reference's type takes.
struct TypeSize {
  std::uint64_t elements = 0;
  std::uint64_t size_bytes = 0;
};

bool size_of(const WeightReference& reference, TypeSize& size) {
  return weight_size(reference.dtype, reference.shape, size.elements, size.size_bytes);
}

std::string spelled(const WeightReference& reference) {
  return fmt::format("weight '{}' is tensor<{}, {}>", printable(reference.name),
                     dtype_name(reference.dtype), to_string(reference.shape));
}

}  // namespace

WeightFileSet::WeightFileSet(const std::string& folder, CheckWeightsOptions options,
                             std::span<const MemoryFile> memory_files)
    : folder_(folder.empty() ? "." : folder),
      options_(std::move(options)),
      memory_files_(memory_files) {
  std::error_code code;
  real_folder_ = fs::canonical(folder_, code);
}

bool WeightFileSet::check(std::span<const WeightReference> references, Diagnostics& diagnostics) {
  const std::size_t errors_before = diagnostics.errors();
  diagnostics_ = &diagnostics;
  for (const WeightReference& reference : references) ++target_of(reference.path).uses;
  if (options_.lenient) collect(references);
  for (const WeightReference& reference : references) check(reference);
  diagnostics_ = nullptr;
  return diagnostics.errors() == errors_before;
}

std::span<const std::byte> WeightFileSet::payload(const WeightReference& reference) const {
  const Target* target = known_target(reference.path);
  if (target == nullptr) return {};
  const WeightRecord* record = target->reader.find(reference.offset);
  return record == nullptr ? std::span<const std::byte>() : target->reader.payload(*record);
}

std::span<const std::byte> WeightFileSet::file(std::string_view path) const {
  const Target* target = known_target(path);
  return target == nullptr ? std::span<const std::byte>() : target->reader.bytes();
}

const WeightFileSet::Target* WeightFileSet::known_target(std::string_view path) const {
  const auto known = by_path_.find(options_.file.empty() ? std::string(path) : options_.file);
  return known == by_path_.end() ? nullptr : known->second;
}

/// The file of each path, and one for all paths that lead to the same file.
WeightFileSet::Target& WeightFileSet::target_of(std::string_view path) {
  if (!options_.file.empty()) path = options_.file;
  const auto [known, is_new] = by_path_.try_emplace(std::string(path), nullptr);
  if (is_new) known->second = &resolve(path);
  return *known->second;
}

WeightFileSet::Target& WeightFileSet::resolve(std::string_view path) {
  Target target;
  const auto in_memory = std::ranges::find(memory_files_, path, &MemoryFile::path);
  if (in_memory != memory_files_.end()) {
    target.path = path;
    target.memory = &*in_memory;
    return targets_.emplace_back(std::move(target));
  }
  std::string real;
  target.fault = locate(path, target.path, real);
  if (!target.fault.empty()) real = target.fault;
  const auto [known, is_new] = by_file_.try_emplace(std::move(real), nullptr);
  if (is_new) known->second = &targets_.emplace_back(std::move(target));
  return *known->second;
}

/// The file that `path` leads to, as it is opened and without links; returns what is wrong with
/// the path.
std::string_view WeightFileSet::locate(std::string_view path, std::string& file,
                                       std::string& real) const {
  if (!options_.file.empty()) {
    file = options_.file;
    real = file;
    return {};
  }
  const std::string_view fault = weight_path_fault(path);
  if (!fault.empty()) return fault;
  file = folder_ + (folder_.back() == '/' ? "" : "/") + std::string(path.substr(kModelPath.size()));
  std::error_code code;
  const fs::path resolved = fs::canonical(file, code);
  // What is not there has no real path; opening it reports that.
  real = code ? file : resolved.string();
  if (code || is_inside(resolved, real_folder_)) return {};
  return "which leads out of the model's folder";
}

/// A lenient reader has to know all references to a file before it opens it.
void WeightFileSet::collect(std::span<const WeightReference> references) {
  for (const WeightReference& reference : references) {
    TypeSize size;
    if (!size_of(reference, size)) continue;
    target_of(reference.path)
        .references.push_back({reference.name, reference.offset, reference.dtype, size.elements});
  }
}

/// `first` is the reference that the file is opened for.
bool WeightFileSet::open(Target& target, const WeightReference& first) {
  if (target.opened) return target.sound;
  target.opened = true;
  ReadOptions how;
  if (options_.lenient) how = {ReadMode::lenient, target.references};
  Diagnostics found;
  target.sound = target.memory != nullptr
                     ? target.reader.open(target.memory->bytes, target.path, found, how)
                     : target.reader.open(target.path, found, how);
  for (const Diagnostic& one : found.all()) {
    if (one.id == rule<"file.open">.id() && !first.place.file.empty()) {
      const char* leads = target.uses == 1 ? "reference leads" : "references lead";
      fault(first, rule<"file.open">, target.path,
            fmt::format("weight '{}' is in '{}', which {}; {} {} to it", printable(first.name),
                        printable(first.path), one.message, target.uses, leads));
    } else {
      diagnostics_->add(one);
    }
  }
  return target.sound;
}

void WeightFileSet::check(const WeightReference& reference) {
  Target& target = target_of(reference.path);
  if (!target.fault.empty()) {
    fault(reference, rule<"weight.path">, {},
          fmt::format("weight '{}' is in '{}', {}", printable(reference.name),
                      printable(reference.path), target.fault));
    return;
  }
  TypeSize size;
  if (!size_of(reference, size)) {
    if (weight_dtype_code(reference.dtype) == 0) {
      fault(reference, rule<"weight.dtype">, target.path,
            fmt::format("{}, and weight files do not have {}", spelled(reference),
                        dtype_name(reference.dtype)));
    } else {
      fault(reference, rule<"weight.size">, target.path,
            fmt::format("{}, whose bytes are not known or do not fit in 63 bits",
                        spelled(reference)));
    }
    return;
  }
  // A broken file's own reports say enough; a lenient reader's are of single records.
  if (!open(target, reference) && !options_.lenient) return;
  check_record(reference, size.size_bytes, target);
}

void WeightFileSet::check_record(const WeightReference& reference, std::uint64_t size_bytes,
                                 const Target& target) {
  const WeightRecord* record = target.reader.find(reference.offset);
  if (record == nullptr && options_.lenient) return;
  if (record == nullptr) {
    fault(reference, rule<"weight.reference">, target.path,
          fmt::format("weight '{}' is at offset {}, where no record stands",
                      printable(reference.name), reference.offset));
    return;
  }
  if (record->dtype == reference.dtype && record->size_bytes == size_bytes) return;
  fault(reference, rule<"weight.record">, target.path,
        fmt::format("{} of {} bytes but the record at offset {} is {} of {} bytes",
                    spelled(reference), size_bytes, record->offset, dtype_name(record->dtype),
                    record->size_bytes));
}

void WeightFileSet::fault(const WeightReference& reference, Rule rule, const std::string& path,
                          std::string message) {
  const bool in_text = !reference.place.file.empty();
  Diagnostic& added =
      diagnostics_->error(rule.id(), std::move(message), in_text ? reference.place : Place(path));
  if (in_text && !path.empty()) added.notes.push_back({"this is the weight file", Place(path)});
}

std::string_view weight_path_fault(std::string_view path) {
  constexpr std::string_view kOutside = "which is not below @model_path";
  if (!path.starts_with(kModelPath)) return kOutside;
  const std::string_view below = path.substr(kModelPath.size());
  if (below.empty() || below.front() == '/') return kOutside;
  for (std::string_view rest = below; !rest.empty();) {
    const std::size_t slash = rest.find('/');
    if (rest.substr(0, slash) == "..") return kOutside;
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  }
  // They end a path early (NUL) or reach a terminal by way of a report.
  const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7F; };
  return std::ranges::any_of(below, is_control) ? "which has control characters" : "";
}

bool weight_size(DType dtype, std::span<const std::int64_t> shape, std::uint64_t& elements,
                 std::uint64_t& size_bytes) {
  std::int64_t count = 0;
  std::uint32_t padding_bits = 0;
  if (weight_dtype_code(dtype) == 0 || !element_count(shape, count)) return false;
  elements = static_cast<std::uint64_t>(count);
  return payload_bytes(dtype, elements, size_bytes, padding_bits);
}

bool check_weights(std::span<const WeightReference> references, const std::string& folder,
                   Diagnostics& diagnostics, const CheckWeightsOptions& options) {
  return WeightFileSet(folder, options).check(references, diagnostics);
}

}  // namespace milgen
