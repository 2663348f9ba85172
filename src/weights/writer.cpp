#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "milgen/weights.h"
#include "support/files.h"
#include "support/half.h"
#include "support/hash.h"
#include "support/rule.h"
#include "weights/blob_format.h"
#include "weights/convert.h"

namespace milgen {

// --- Sinks. ---

WeightSink::~WeightSink() = default;

std::span<std::byte> WeightSink::lend(std::uint64_t) { return {}; }

// Nothing was lent, so there is nothing to take.
bool WeightSink::accept(std::size_t size_bytes, Diagnostics&) { return size_bytes == 0; }

bool MemorySink::write(std::span<const std::byte> bytes, Diagnostics& diagnostics) {
  if (bytes.size() > target_.size() - size_) {
    diagnostics.error(rule<"blob.payload">.id(),
                      fmt::format("the payload has more than the {} bytes that there is room for",
                                  target_.size()));
    return false;
  }
  if (!bytes.empty()) std::memcpy(target_.data() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
  return true;
}

std::span<std::byte> MemorySink::lend(std::uint64_t wanted_bytes) {
  return target_.subspan(size_).first(
      static_cast<std::size_t>(std::min<std::uint64_t>(wanted_bytes, target_.size() - size_)));
}

bool MemorySink::accept(std::size_t size_bytes, Diagnostics&) {
  size_ += size_bytes;
  return true;
}

struct HashSink::Impl {
  Sha256 hash;
};

HashSink::HashSink() : impl_(std::make_unique<Impl>()) {}
HashSink::~HashSink() = default;

bool HashSink::write(std::span<const std::byte> bytes, Diagnostics&) {
  impl_->hash.update(bytes);
  size_bytes_ += bytes.size();
  return true;
}

std::string HashSink::finish() {
  size_bytes_ = 0;
  return hex(impl_->hash.finish());
}

// --- The file. ---

struct WeightFileWriter::Impl {
  AtomicFile file;
  std::string path;
  std::vector<WeightRecord> records;
  std::size_t next = 0;    ///< the record that begin_payload() writes
  std::uint64_t left = 0;  ///< bytes of the payload that are still to come
  bool open = false;
  Diagnostics lend_faults;

  bool fail(Diagnostics& diagnostics, Rule rule, std::string message) {
    open = false;
    diagnostics.error(rule.id(), std::move(message), Place(path));
    return false;
  }

  bool payload_is_complete(Diagnostics& diagnostics) {
    if (left == 0) return true;
    const WeightRecord& record = records[next - 1];
    return fail(diagnostics, rule<"blob.payload">,
                fmt::format("payload {} takes {} bytes but {} are given", next - 1,
                            record.size_bytes, record.size_bytes - left));
  }
};

WeightFileWriter::WeightFileWriter() : impl_(std::make_unique<Impl>()) {}
WeightFileWriter::~WeightFileWriter() = default;

bool WeightFileWriter::open(const std::string& path, std::vector<WeightRecord> records,
                            Diagnostics& diagnostics) {
  impl_ = std::make_unique<Impl>();
  impl_->path = path;
  std::vector<WeightPayloadSize> sizes;
  sizes.reserve(records.size());
  for (const WeightRecord& record : records) {
    sizes.push_back({record.dtype, record.size_bytes, record.padding_bits});
  }
  std::vector<WeightRecord> planned;
  std::uint64_t file_bytes = 0;
  if (!plan_weight_records(sizes, planned, file_bytes)) {
    return impl_->fail(diagnostics, rule<"blob.plan">,
                       fmt::format("no weight file can have these {} records", records.size()));
  }
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (records[i] == planned[i]) continue;
    return impl_->fail(diagnostics, rule<"blob.plan">,
                       fmt::format("record {} is planned at byte {} with its payload at {}, but "
                                   "belongs at {} with its payload at {}",
                                   i, records[i].offset, records[i].data_offset, planned[i].offset,
                                   planned[i].data_offset));
  }
  impl_->records = std::move(records);
  if (!impl_->file.open(path, diagnostics)) return false;
  impl_->open = true;
  const auto header = detail::header_bytes(static_cast<std::uint32_t>(impl_->records.size()));
  return impl_->file.write(std::span<const std::byte>(header), diagnostics);
}

bool WeightFileWriter::begin_payload(Diagnostics& diagnostics) {
  if (!impl_->open || !impl_->payload_is_complete(diagnostics)) return false;
  if (impl_->next == impl_->records.size()) {
    return impl_->fail(diagnostics, rule<"blob.payload">,
                       fmt::format("the file is planned with {} payloads but more are given",
                                   impl_->records.size()));
  }
  const WeightRecord& record = impl_->records[impl_->next];
  constexpr std::byte kZeros[kWeightAlignmentBytes] = {};
  const std::uint64_t gap = record.offset - impl_->file.size_bytes();
  const auto bytes = detail::record_bytes(record);
  if (!impl_->file.write(std::span(kZeros).first(static_cast<std::size_t>(gap)), diagnostics) ||
      !impl_->file.write(std::span<const std::byte>(bytes), diagnostics)) {
    impl_->open = false;
    return false;
  }
  ++impl_->next;
  impl_->left = record.size_bytes;
  return true;
}

bool WeightFileWriter::write(std::span<const std::byte> bytes, Diagnostics& diagnostics) {
  if (!impl_->open) {
    // What lend() could not say goes out here.
    diagnostics.append(std::exchange(impl_->lend_faults, {}));
    return false;
  }
  if (bytes.size() > impl_->left) {
    const std::uint64_t size = impl_->next == 0 ? 0 : impl_->records[impl_->next - 1].size_bytes;
    return impl_->fail(diagnostics, rule<"blob.payload">,
                       impl_->next == 0
                           ? std::string("bytes are given before the first payload begins")
                           : fmt::format("payload {} takes {} bytes but {} are given",
                                         impl_->next - 1, size, size - impl_->left + bytes.size()));
  }
  if (!impl_->file.write(bytes, diagnostics)) {
    impl_->open = false;
    return false;
  }
  impl_->left -= bytes.size();
  return true;
}

std::span<std::byte> WeightFileWriter::lend(std::uint64_t wanted_bytes) {
  if (!impl_->open) return {};
  const auto lent = impl_->file.lend(std::min(wanted_bytes, impl_->left), impl_->lend_faults);
  if (impl_->lend_faults.has_errors()) impl_->open = false;
  return lent;
}

bool WeightFileWriter::accept(std::size_t size_bytes, Diagnostics&) {
  if (!impl_->open || size_bytes > impl_->left) return false;
  impl_->file.accept(size_bytes);
  impl_->left -= size_bytes;
  return true;
}

bool WeightFileWriter::commit(Diagnostics& diagnostics) {
  if (!impl_->open) {
    diagnostics.append(std::exchange(impl_->lend_faults, {}));
    return false;
  }
  if (!impl_->payload_is_complete(diagnostics)) return false;
  if (impl_->next != impl_->records.size()) {
    return impl_->fail(diagnostics, rule<"blob.payload">,
                       fmt::format("the file is planned with {} payloads but {} are given",
                                   impl_->records.size(), impl_->next));
  }
  impl_->open = false;
  return impl_->file.commit(diagnostics);
}

// --- In memory. ---

std::vector<std::byte> weight_file_bytes(std::span<const WeightPayload> payloads) {
  std::vector<WeightPayloadSize> sizes;
  sizes.reserve(payloads.size());
  for (const WeightPayload& payload : payloads) {
    sizes.push_back({payload.dtype, payload.bytes.size(), payload.padding_bits});
  }
  std::vector<WeightRecord> records;
  std::uint64_t file_bytes = 0;
  if (!plan_weight_records(sizes, records, file_bytes)) return {};
  std::vector<std::byte> file(static_cast<std::size_t>(file_bytes));
  const auto header = detail::header_bytes(static_cast<std::uint32_t>(records.size()));
  std::copy(header.begin(), header.end(), file.begin());
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto record = detail::record_bytes(records[i]);
    std::copy(record.begin(), record.end(), file.data() + records[i].offset);
    std::copy(payloads[i].bytes.begin(), payloads[i].bytes.end(),
              file.data() + records[i].data_offset);
  }
  return file;
}

bool half_weight_file(std::string_view name, std::span<const float> values, std::uint64_t rows,
                      std::uint64_t columns, bool transposed, std::span<std::byte> file,
                      Diagnostics& diagnostics) {
  const WeightPayloadSize payload = {DType::fp16, std::uint64_t{values.size()} * 2, 0};
  std::vector<WeightRecord> records;
  std::uint64_t file_bytes = 0;
  const bool fits = columns == 0 ? values.empty()
                                 : values.size() % columns == 0 && values.size() / columns == rows;
  if (!fits || !plan_weight_records({&payload, 1}, records, file_bytes) ||
      file_bytes != file.size()) {
    diagnostics.error(
        rule<"weight.size">.id(),
        fmt::format("weight '{}' is [{}, {}], but there are {} values and {} bytes for "
                    "the file",
                    name, rows, columns, values.size(), file.size()));
    return false;
  }
  const auto header = detail::header_bytes(1);
  const auto record = detail::record_bytes(records[0]);
  std::copy(header.begin(), header.end(), file.begin());
  std::copy(record.begin(), record.end(), file.data() + records[0].offset);
  HalfReport report;
  std::byte* to = file.data() + records[0].data_offset;
  if (transposed) {
    halves_from_floats_transposed(values.data(), static_cast<std::size_t>(rows),
                                  static_cast<std::size_t>(columns), 0,
                                  static_cast<std::size_t>(columns), to, report);
  } else {
    halves_from_floats(values.data(), to, values.size(), report);
  }
  const Shape shape =
      transposed ? Shape{static_cast<std::int64_t>(columns), static_cast<std::int64_t>(rows)}
                 : Shape{static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)};
  return detail::report_halves(name, DType::fp16, shape, report, false, diagnostics);
}

}  // namespace milgen
