#include "milgen/train/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "milgen/weights.h"
#include "support/aligned_buffer.h"
#include "support/files.h"
#include "support/half_transpose.h"
#include "support/machine.h"
#include "support/rule.h"
#include "support/thread_pool.h"
#include "train/value_file.h"
#include "weights/blob_format.h"
#include "weights/convert.h"

namespace milgen::train {
namespace {

// Rows that are read from memory once: for the straight file, and while a core's cache has them for
// the transposed one. Multiples of the rows that make a cache line of the transposed file.
constexpr std::size_t kRowStep = 32;
constexpr std::size_t kMostRows = 256;
constexpr std::size_t kPartElements = std::size_t{1} << 17;

/// How a tensor of the model is called in the kernels.
struct KernelNames {
  std::string_view tensor;
  std::string_view straight;
  std::string_view transposed;  ///< empty: there is none
};
constexpr KernelNames kKernelNames[] = {
    {"wq", "wq", "wqt"},        {"wk", "wk", "wkt"},           {"wv", "wv", "wvt"},
    {"wo", "wo", "wot"},        {"w1", "w1", "w1t"},           {"w2", "w2", "w2t"},
    {"w3", "w3", "w3t"},        {"rms_att", "rms1", ""},       {"rms_ffn", "rms2", ""},
    {"rms_final", "rms_w", ""}, {"embed", "embed", "embed_t"},
};

/// A tensor and its files, which begin at multiples of 64 bytes.
struct PreparedTensor {
  TensorGroup group;
  KernelNames names;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::byte* straight = nullptr;
  std::byte* transposed = nullptr;

  std::size_t files() const { return names.transposed.empty() ? 1 : 2; }
  std::size_t file_bytes() const {
    return kWeightHeaderBytes + kWeightRecordBytes + 2 * rows * columns;
  }
  std::size_t room_bytes() const {
    return (file_bytes() + kWeightAlignmentBytes - 1) / kWeightAlignmentBytes *
           kWeightAlignmentBytes;
  }
};

/// Rows of a tensor: what a thread takes.
struct Part {
  std::size_t tensor = 0;
  std::size_t first_row = 0;
  std::size_t rows = 0;
  HalfReport report = {};
};

std::byte* payload(std::byte* file) { return file + kWeightHeaderBytes + kWeightRecordBytes; }

void write_headers(std::byte* file, std::size_t elements) {
  const WeightPayloadSize size = {DType::fp16, 2 * elements, 0};
  std::vector<WeightRecord> records;
  std::uint64_t file_bytes = 0;
  plan_weight_records({&size, 1}, records, file_bytes);
  const auto header = milgen::detail::header_bytes(1);
  const auto record = milgen::detail::record_bytes(records[0]);
  std::ranges::copy(header, file);
  std::ranges::copy(record, file + records[0].offset);
}

void convert(const PreparedTensor& tensor, Part& part) {
  const std::size_t first = part.first_row * tensor.columns;
  part.report = {};
  halves_from_floats(tensor.group.values.data() + first, payload(tensor.straight) + 2 * first,
                     part.rows * tensor.columns, part.report, first);
  if (tensor.transposed == nullptr) return;
  HalfReport same;
  milgen::detail::transpose_to_halves({.floats = tensor.group.values.data(),
                                       .rows = tensor.rows,
                                       .columns = tensor.columns,
                                       .first_row = part.first_row,
                                       .row_count = part.rows,
                                       .column_count = tensor.columns,
                                       .halves = payload(tensor.transposed) + 2 * part.first_row,
                                       .stride = tensor.rows,
                                       .past_caches = true},
                                      same);
}

void add(const HalfReport& part, HalfReport& whole) {
  whole.overflows += part.overflows;
  whole.nans += part.nans;
  whole.first_overflow = std::min(whole.first_overflow, part.first_overflow);
  whole.first_nan = std::min(whole.first_nan, part.first_nan);
}

/// "layer3/weights", or "weights" for what is in no layer.
std::string folder_of(std::int64_t layer) {
  return layer < 0 ? "weights" : fmt::format("layer{}/weights", layer);
}

bool write_file(const std::string& path, std::span<const std::byte> bytes,
                Diagnostics& diagnostics) {
  AtomicFile file;
  return file.open(path, diagnostics) && file.write(bytes, diagnostics) &&
         file.commit(diagnostics, Flush::no);
}

}  // namespace

struct PreparedWeights::Impl {
  Impl(const ModelConfig& model, int threads) : config(model), pool(threads) {}

  void add_tensor(const TensorGroup& group);
  bool place(Diagnostics& diagnostics);
  void cut();
  void take_values(const ModelWeights& weights);
  void report(Diagnostics& diagnostics) const;

  ModelConfig config;
  milgen::detail::ThreadPool pool;
  milgen::detail::AlignedBuffer memory;
  std::vector<PreparedTensor> tensors;
  std::vector<Part> parts;  // of each tensor, in order
  std::uint64_t size_bytes = 0;
};

PreparedWeights::PreparedWeights() = default;
PreparedWeights::PreparedWeights(PreparedWeights&&) noexcept = default;
PreparedWeights& PreparedWeights::operator=(PreparedWeights&&) noexcept = default;
PreparedWeights::~PreparedWeights() = default;

void PreparedWeights::Impl::add_tensor(const TensorGroup& group) {
  // The kernels have one matrix for the logits, whichever tensor of the model that is.
  const std::string_view source = config.shared_classifier ? "embed" : "classifier";
  if (group.layer < 0 && group.name != "rms_final" && group.name != source) return;
  const std::string_view name = group.name == "classifier" ? "embed" : group.name;
  PreparedTensor tensor;
  tensor.group = group;
  tensor.names = *std::ranges::find(kKernelNames, name, &KernelNames::tensor);
  tensor.rows = static_cast<std::size_t>(group.rows);
  tensor.columns = static_cast<std::size_t>(group.columns);
  tensors.push_back(tensor);
}

bool PreparedWeights::Impl::place(Diagnostics& diagnostics) {
  std::size_t room = 0;
  for (const PreparedTensor& tensor : tensors) room += tensor.files() * tensor.room_bytes();
  // What the system would promise beyond that it could not keep.
  const std::uint64_t machine = machine_memory_bytes();
  if (room > machine || !memory.reserve(room)) {
    diagnostics.error(rule<"memory.limit">.id(),
                      fmt::format("the weight files of the model take {} bytes, and the machine "
                                  "has {}, not all of them free",
                                  room, machine));
    return false;
  }
  std::byte* at = memory.data();
  for (PreparedTensor& tensor : tensors) {
    for (std::size_t i = 0; i < tensor.files(); ++i) {
      (i == 0 ? tensor.straight : tensor.transposed) = at;
      write_headers(at, tensor.rows * tensor.columns);
      at += tensor.room_bytes();
      size_bytes += tensor.file_bytes();
    }
  }
  return true;
}

void PreparedWeights::Impl::cut() {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const PreparedTensor& tensor = tensors[i];
    const std::size_t rows =
        std::clamp(kPartElements / tensor.columns / kRowStep * kRowStep, kRowStep, kMostRows);
    for (std::size_t first = 0; first < tensor.rows; first += rows) {
      parts.push_back({i, first, std::min(rows, tensor.rows - first)});
    }
  }
}

void PreparedWeights::Impl::take_values(const ModelWeights& weights) {
  std::size_t next = 0;
  for (const TensorGroup& group : detail::groups_to_read(weights, config)) {
    if (next == tensors.size()) return;
    TensorGroup& own = tensors[next].group;
    if (group.layer != own.layer || group.name != own.name) continue;
    own.values = group.values;
    ++next;
  }
}

void PreparedWeights::Impl::report(Diagnostics& diagnostics) const {
  std::size_t next = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    HalfReport whole;
    for (; next < parts.size() && parts[next].tensor == i; ++next) add(parts[next].report, whole);
    if (whole == HalfReport{}) continue;
    const TensorGroup& group = tensors[i].group;
    milgen::detail::report_halves(full_name(group), DType::fp16, Shape{group.rows, group.columns},
                                  whole, false, diagnostics);
  }
}

bool PreparedWeights::open(const ModelConfig& config, int threads, Diagnostics& diagnostics) {
  if (!check_model(config, diagnostics)) return false;
  auto impl = std::make_unique<Impl>(config, threads);
  ModelTensors names;
  names.layers.resize(static_cast<std::size_t>(config.layers));
  for (const TensorGroup& group : groups_of(names, config)) impl->add_tensor(group);
  if (!impl->place(diagnostics)) return false;
  impl->cut();
  impl_ = std::move(impl);
  return true;
}

bool PreparedWeights::prepare(const ModelWeights& weights, Diagnostics& diagnostics) {
  Impl& impl = *impl_;
  const std::string fault = detail::tensor_fault(impl.config, weights);
  if (!fault.empty()) {
    diagnostics.error(rule<"model.tensor">.id(), fault);
    return false;
  }
  impl.take_values(weights);
  impl.pool.run(impl.parts.size(), 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      convert(impl.tensors[impl.parts[i].tensor], impl.parts[i]);
    }
  });
  impl.report(diagnostics);
  return true;
}

std::span<const std::byte> PreparedWeights::file(std::int64_t layer,
                                                 std::string_view weight) const {
  if (impl_ == nullptr || weight.empty()) return {};
  for (const PreparedTensor& tensor : impl_->tensors) {
    if (tensor.group.layer != layer) continue;
    if (tensor.names.straight == weight) return {tensor.straight, tensor.file_bytes()};
    if (tensor.names.transposed == weight) return {tensor.transposed, tensor.file_bytes()};
  }
  return {};
}

std::uint64_t PreparedWeights::size_bytes() const {
  return impl_ == nullptr ? 0 : impl_->size_bytes;
}

bool PreparedWeights::write(const std::string& folder, Diagnostics& diagnostics) const {
  if (impl_ == nullptr) return true;
  std::string made;
  for (const PreparedTensor& tensor : impl_->tensors) {
    const std::string path = fmt::format("{}/{}", folder, folder_of(tensor.group.layer));
    if (path != made && !make_folders(path, diagnostics)) return false;
    made = path;
    for (const std::string_view name : {tensor.names.straight, tensor.names.transposed}) {
      if (!name.empty() && !write_file(fmt::format("{}/{}.bin", path, name),
                                       file(tensor.group.layer, name), diagnostics)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace milgen::train
