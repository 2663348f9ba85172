#include "train/value_file.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

namespace milgen::train::detail {

static_assert(std::endian::native == std::endian::little, "values are copied as they are");

bool fail(Rule rule, std::string message, const std::string& path, Diagnostics& diagnostics) {
  diagnostics.error(rule.id(), std::move(message), Place(path));
  return false;
}

bool check_model_at(const std::string& path, const ModelConfig& config, Diagnostics& diagnostics) {
  Diagnostics faults;
  const bool ok = check_model(config, faults);
  for (Diagnostic fault : faults.all()) {
    fault.place = Place(path);
    diagnostics.add(std::move(fault));
  }
  return ok;
}

std::vector<TensorGroup> groups_to_read(const ModelTensors& tensors, const ModelConfig& config) {
  return groups_of(const_cast<ModelTensors&>(tensors), config);
}

namespace {

std::string count_fault(std::string_view what, std::size_t count, const TensorGroup& group) {
  if (std::cmp_equal(count, group.rows * group.columns)) return {};
  return fmt::format("{}{} has {} values, but the model's has [{}, {}]", what, full_name(group),
                     count, group.rows, group.columns);
}

std::string layer_fault(std::size_t layers, const ModelConfig& config) {
  if (std::cmp_equal(layers, config.layers)) return {};
  return fmt::format("there are tensors of {} layers, but the model has {}", layers, config.layers);
}

std::string classifier_fault(std::size_t count, const ModelConfig& config) {
  if (!config.shared_classifier || count == 0) return {};
  return fmt::format("the classifier has {} values, but the model's is the embedding", count);
}

}  // namespace

std::string tensor_fault(const ModelConfig& config, const ModelTensors& tensors) {
  std::string fault = layer_fault(tensors.layers.size(), config);
  if (fault.empty()) fault = classifier_fault(tensors.classifier.size(), config);
  if (!fault.empty()) return fault;
  for (const TensorGroup& group : groups_to_read(tensors, config)) {
    fault = count_fault("", group.values.size(), group);
    if (!fault.empty()) return fault;
  }
  return {};
}

std::string tensor_fault(const ModelConfig& config, const ModelAdam& adam) {
  std::string fault = layer_fault(adam.layers.size(), config);
  if (fault.empty()) fault = classifier_fault(adam.classifier.m.size(), config);
  if (!fault.empty()) return fault;
  // Names and shapes alone: its tensors are empty.
  ModelTensors names;
  names.layers.resize(adam.layers.size());
  const std::vector<TensorGroup> groups = groups_of(names, config);
  const std::vector<AdamState*> states = states_of(const_cast<ModelAdam&>(adam));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    // A classifier that is missing has no state.
    fault = count_fault("m of ", i < states.size() ? states[i]->m.size() : 0, groups[i]);
    if (fault.empty()) fault = count_fault("v of ", states[i]->v.size(), groups[i]);
    if (!fault.empty()) return fault;
  }
  return {};
}

void forget_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size()) / page * page;
  if (begin >= end) return;
  // Advice: where the system does not take it, the pages stay.
  const std::size_t offset = begin - reinterpret_cast<std::uintptr_t>(bytes.data());
  void* first = const_cast<std::byte*>(bytes.data()) + offset;
  if (::madvise(first, end - begin, MADV_DONTNEED) != 0) errno = 0;
}

void ValueReader::read(std::span<float> values) {
  constexpr std::size_t kPieceBytes = std::size_t{4} << 20;
  std::span<std::byte> to = std::as_writable_bytes(values);
  while (!to.empty()) {
    const std::size_t piece = std::min(kPieceBytes, to.size());
    std::memcpy(to.data(), bytes_.data() + at_, piece);
    to = to.subspan(piece);
    at_ += piece;
    if (at_ - kept_from_ < kPieceBytes) continue;
    forget_pages(bytes_.subspan(kept_from_, at_ - kept_from_));
    kept_from_ = at_;
  }
}

bool write_values(AtomicFile& file, std::span<const float> values, float scale,
                  Diagnostics& diagnostics) {
  if (scale == 1) return file.write(std::as_bytes(values), diagnostics);
  while (!values.empty()) {
    const std::span<std::byte> lent = file.lend(values.size_bytes(), diagnostics);
    const std::size_t count = lent.size() / sizeof(float);
    if (count == 0) return false;
    for (std::size_t i = 0; i < count; ++i) {
      const float value = values[i] * scale;
      std::memcpy(lent.data() + i * sizeof(float), &value, sizeof(float));
    }
    file.accept(count * sizeof(float));
    values = values.subspan(count);
  }
  return true;
}

}  // namespace milgen::train::detail
