#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "milgen/weights.h"
#include "support/files.h"
#include "support/rule.h"
#include "weights/blob_format.h"
#include "weights/blob_report.h"
#include "weights/lenient.h"

namespace milgen {
namespace {

/// Goes over the records of a file that keeps to the format. What is a fault there and how bad it
/// is stands here alone.
class Walker {
 public:
  Walker(std::span<const std::byte> bytes, detail::BlobReport& report)
      : bytes_(bytes), report_(report) {}

  void walk(std::uint32_t count, std::vector<WeightRecord>& records) {
    const std::uint64_t end = walk_records(count, records);
    if (end != 0) behind_the_last(count, end);
  }

 private:
  bool fault(Rule rule, std::string message, Severity severity = Severity::error) {
    return report_.fault(rule, std::move(message), severity);
  }

  /// Returns where the last payload ends; 0 when the walk could not go to the end.
  std::uint64_t walk_records(std::uint32_t count, std::vector<WeightRecord>& records) {
    std::uint64_t end = kWeightHeaderBytes;
    for (std::uint32_t i = 0; i < count; ++i) {
      std::uint64_t at = 0;
      if (!detail::align_up(end, at) || at > bytes_.size() ||
          bytes_.size() - at < kWeightRecordBytes) {
        fault(rule<"blob.count">,
              fmt::format("the header counts {} records, but the file's {} bytes end where record "
                          "{} begins, at byte {}",
                          count, bytes_.size(), i, at));
        return 0;
      }
      if (!record(i, at, records, end)) return 0;
    }
    return end;
  }

  /// Checks the record at `at` and says where its payload ends. False when that is not to be known.
  bool record(std::uint32_t i, std::uint64_t at, std::vector<WeightRecord>& records,
              std::uint64_t& end) {
    const detail::RawRecord raw = detail::load_record(bytes_.data() + at);
    const std::uint64_t data = at + kWeightRecordBytes;
    const std::uint64_t room = bytes_.size() - data;
    const bool has_sentinel = raw.sentinel == kWeightSentinel;
    // A record with a wrong sentinel is gone over when the rest of it is right: then the sentinel
    // alone was damaged. Otherwise it is no record, and there is nothing more to say of it.
    if (!has_sentinel) {
      fault(rule<"blob.sentinel">,
            fmt::format("record {} at byte {} begins with {:#010x}, not with {:#010x}", i, at,
                        raw.sentinel, kWeightSentinel));
      if (raw.data_offset != data || raw.size_bytes > room) return false;
    }
    const DType dtype = dtype_from_weight_code(raw.dtype_code);
    if (dtype == DType::none &&
        !fault(rule<"blob.dtype">,
               fmt::format("record {} at byte {} has dtype number {}, which stands for none", i, at,
                           raw.dtype_code))) {
      return false;
    }
    if (raw.data_offset != data &&
        !fault(rule<"blob.offset">,
               fmt::format("record {} at byte {} puts its payload at byte {}, not right behind it "
                           "at {}",
                           i, at, raw.data_offset, data))) {
      return false;
    }
    if (raw.size_bytes > room) {
      fault(
          rule<"blob.range">,
          fmt::format("record {} at byte {} has a payload of {} bytes, but the file ends {} bytes "
                      "behind it",
                      i, at, raw.size_bytes, room));
      return false;
    }
    const bool packs = dtype != DType::none && dtype_bits(dtype) < 8;
    bool sound = has_sentinel && dtype != DType::none && raw.data_offset == data;
    if (dtype != DType::none && raw.padding_bits != 0 && !packs) {
      // Older writers leave what they like behind the offset (mil_text_format section 6).
      if (!fault(rule<"blob.padding">,
                 fmt::format("record {} at byte {} has {} unused bits, but {} leaves none", i, at,
                             raw.padding_bits, dtype_name(dtype)),
                 Severity::warning)) {
        return false;
      }
    } else if (packs && !detail::whole_elements(dtype, raw.size_bytes, raw.padding_bits)) {
      sound = false;
      if (!fault(
              rule<"blob.padding">,
              fmt::format("record {} at byte {} has {} bytes of {} with {} unused bits, which is "
                          "no whole number of elements",
                          i, at, raw.size_bytes, dtype_name(dtype), raw.padding_bits))) {
        return false;
      }
    }
    if (dtype != DType::none && !packs && !detail::whole_elements(dtype, raw.size_bytes, 0)) {
      sound = false;
      if (!fault(rule<"blob.size">,
                 fmt::format("record {} at byte {} has {} bytes, which is no whole number of {}", i,
                             at, raw.size_bytes, dtype_name(dtype)))) {
        return false;
      }
    }
    if (sound) {
      records.push_back({dtype, at, data, raw.size_bytes,
                         packs ? static_cast<std::uint32_t>(raw.padding_bits) : 0});
    }
    end = data + raw.size_bytes;
    return true;
  }

  void behind_the_last(std::uint32_t count, std::uint64_t end) {
    std::uint64_t next = 0;
    if (end == bytes_.size() || !detail::align_up(end, next)) return;
    if (next <= bytes_.size() && bytes_.size() - next >= kWeightRecordBytes &&
        detail::load_little<std::uint32_t>(bytes_.data() + next) == kWeightSentinel) {
      fault(
          rule<"blob.count">,
          fmt::format("the header counts {} records, but another begins at byte {}", count, next));
      return;
    }
    const auto rest = bytes_.subspan(static_cast<std::size_t>(end));
    // Zeros up to the next border are what a careful writer may add.
    const bool only_padding =
        bytes_.size() <= next &&
        std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; });
    if (!only_padding) {
      fault(rule<"blob.trailing">,
            fmt::format(
                "{} the last payload, which ends at byte {}",
                rest.size() == 1 ? "1 byte follows" : fmt::format("{} bytes follow", rest.size()),
                end),
            Severity::warning);
    }
  }

  std::span<const std::byte> bytes_;
  detail::BlobReport& report_;
};

bool read_records(std::span<const std::byte> bytes, std::string_view name,
                  const ReadOptions& options, std::vector<WeightRecord>& records,
                  Diagnostics& diagnostics) {
  const std::size_t errors_before = diagnostics.errors();
  detail::BlobReport report(name, diagnostics);
  std::uint32_t count = 0;
  if (!detail::read_header(bytes, report, count)) return false;
  switch (options.mode) {
    case ReadMode::strict:
      Walker(bytes, report).walk(count, records);
      break;
    case ReadMode::lenient:
      detail::read_referenced(bytes, count, options.references, report, records);
      break;
    case ReadMode::guess:
      detail::guess_records(bytes, count, report, records);
      break;
  }
  return diagnostics.errors() == errors_before;
}

}  // namespace

struct WeightFileReader::Impl {
  MappedFile file;
  std::span<const std::byte> bytes;
  std::vector<WeightRecord> records;
};

WeightFileReader::WeightFileReader() : impl_(std::make_unique<Impl>()) {}
WeightFileReader::WeightFileReader(WeightFileReader&& other) noexcept = default;
WeightFileReader& WeightFileReader::operator=(WeightFileReader&& other) noexcept = default;
WeightFileReader::~WeightFileReader() = default;

bool WeightFileReader::open(const std::string& path, Diagnostics& diagnostics,
                            const ReadOptions& options) {
  impl_ = std::make_unique<Impl>();
  if (!impl_->file.open(path, diagnostics)) return false;
  impl_->bytes = impl_->file.bytes();
  return read_records(impl_->bytes, path, options, impl_->records, diagnostics);
}

bool WeightFileReader::open(std::span<const std::byte> bytes, std::string_view name,
                            Diagnostics& diagnostics, const ReadOptions& options) {
  impl_ = std::make_unique<Impl>();
  impl_->bytes = bytes;
  return read_records(bytes, name, options, impl_->records, diagnostics);
}

const std::vector<WeightRecord>& WeightFileReader::records() const { return impl_->records; }

const WeightRecord* WeightFileReader::find(std::uint64_t offset) const {
  const auto& records = impl_->records;
  const auto found = std::lower_bound(
      records.begin(), records.end(), offset,
      [](const WeightRecord& record, std::uint64_t wanted) { return record.offset < wanted; });
  return found != records.end() && found->offset == offset ? &*found : nullptr;
}

std::span<const std::byte> WeightFileReader::payload(const WeightRecord& record) const {
  const std::uint64_t size = impl_->bytes.size();
  if (record.data_offset > size || record.size_bytes > size - record.data_offset) return {};
  return impl_->bytes.subspan(static_cast<std::size_t>(record.data_offset),
                              static_cast<std::size_t>(record.size_bytes));
}

std::uint64_t WeightFileReader::file_bytes() const { return impl_->bytes.size(); }

std::span<const std::byte> WeightFileReader::bytes() const { return impl_->bytes; }

}  // namespace milgen
