#include "weights/lenient.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "support/printable.h"
#include "weights/blob_format.h"

namespace milgen::detail {
namespace {

std::string counted_records(std::uint64_t count) {
  return fmt::format("{} record{}", count, count == 1 ? "" : "s");
}

/// "the record of 'wq' at byte 64"
std::string called(std::string_view name, std::uint64_t offset) {
  if (name.empty()) return fmt::format("the record at byte {}", offset);
  return fmt::format("the record of '{}' at byte {}", printable(name), offset);
}

std::string spelled_dtype(std::uint32_t code) {
  const DType dtype = dtype_from_weight_code(code);
  if (dtype == DType::none) return fmt::format("dtype number {}", code);
  return fmt::format("dtype {}", dtype_name(dtype));
}

/// What both ways of reading overlook in the same words.
class LenientReader {
 public:
  LenientReader(std::span<const std::byte> bytes, BlobReport& report)
      : bytes_(bytes), report_(report) {}

 protected:
  std::uint64_t file_size() const { return bytes_.size(); }
  bool holds(std::uint64_t offset, std::uint64_t size) const {
    return offset <= file_size() && size <= file_size() - offset;
  }
  RawRecord load(std::uint64_t offset) const {
    return load_record(bytes_.data() + static_cast<std::size_t>(offset));
  }

  void take_alignment(std::string_view name, std::uint64_t offset) {
    if (offset % kWeightAlignmentBytes == 0) return;
    liberties_.take(rule<"blob.lenient_alignment">, [&] {
      return fmt::format("{} is not at a multiple of {}", called(name, offset),
                         kWeightAlignmentBytes);
    });
  }

  /// Where the payload is: the record's word, unless it is zero.
  std::uint64_t take_offset(std::string_view name, std::uint64_t offset, const RawRecord& raw) {
    const std::uint64_t behind = offset + kWeightRecordBytes;
    if (raw.data_offset == behind) return behind;
    const bool zero = raw.data_offset == 0;
    liberties_.take(rule<"blob.lenient_offset">, [&] {
      return zero ? fmt::format("{} puts its payload at byte 0, which is read from byte {}",
                                called(name, offset), behind)
                  : fmt::format(
                        "{} puts its payload at byte {}, not right behind it at {}, and is "
                        "believed",
                        called(name, offset), raw.data_offset, behind);
    });
    return zero ? behind : raw.data_offset;
  }

  void take_size(std::string_view name, std::uint64_t offset, std::uint64_t said,
                 std::uint64_t read) {
    if (said == read) return;
    liberties_.take(rule<"blob.lenient_size">, [&] {
      return fmt::format("{} says that its payload has {} bytes, and {} are read",
                         called(name, offset), said, read);
    });
  }

  void take_count(std::uint32_t count, std::uint64_t there, std::string_view how) {
    liberties_.take(rule<"blob.lenient_count">, [&] {
      return fmt::format("the header counts {}, but {} {}", counted_records(count), there, how);
    });
  }

  /// False, with a report, when the payload does not lie inside the file.
  bool check_payload(std::string_view name, const WeightRecord& record) {
    if (holds(record.data_offset, record.size_bytes)) return true;
    report_.fault(rule<"blob.range">,
                  fmt::format("{} has a payload of {} bytes at byte {}, but the file has {} bytes",
                              called(name, record.offset), record.size_bytes, record.data_offset,
                              file_size()));
    return false;
  }

  std::span<const std::byte> bytes_;
  BlobReport& report_;
  Liberties liberties_;
};

class ReferenceReader : LenientReader {
 public:
  using LenientReader::LenientReader;

  void read(std::uint32_t count, std::span<const RecordReference> references,
            std::vector<WeightRecord>& records) {
    std::vector<RecordReference> sorted(references.begin(), references.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.offset < b.offset; });
    for (const RecordReference& reference : sorted) {
      const bool known = !records.empty() && records.back().offset == reference.offset;
      WeightRecord record;
      if (!known && locate(reference, record)) records.push_back(record);
    }
    if (records.size() > count) take_count(count, records.size(), "are referred to");
    check_overlaps(records);
    liberties_.report(report_);
  }

 private:
  bool locate(const RecordReference& reference, WeightRecord& record) {
    return settle_type(reference, record) && find_sentinel(reference) && settle(reference, record);
  }

  bool settle_type(const RecordReference& reference, WeightRecord& record) {
    record.dtype = reference.dtype;
    record.offset = reference.offset;
    if (weight_dtype_code(reference.dtype) == 0) {
      report_.fault(
          rule<"weight.dtype">,
          fmt::format("{} is referred to as {}, which weight files do not have",
                      called(reference.name, reference.offset), dtype_name(reference.dtype)));
      return false;
    }
    if (payload_bytes(reference.dtype, reference.elements, record.size_bytes,
                      record.padding_bits)) {
      return true;
    }
    report_.fault(
        rule<"weight.size">,
        fmt::format("{} is referred to as {} elements of {}, whose bytes do not fit in 63 bits",
                    called(reference.name, reference.offset), reference.elements,
                    dtype_name(reference.dtype)));
    return false;
  }

  bool find_sentinel(const RecordReference& reference) {
    const std::uint64_t offset = reference.offset;
    if (!holds(offset, kWeightRecordBytes)) {
      report_.fault(rule<"blob.range">,
                    fmt::format("{} takes {} bytes, but the file has {} bytes",
                                called(reference.name, offset), kWeightRecordBytes, file_size()));
      return false;
    }
    if (offset < kWeightHeaderBytes) {
      report_.fault(rule<"blob.overlap">,
                    fmt::format("{} begins inside of the header of {} bytes",
                                called(reference.name, offset), kWeightHeaderBytes));
      return false;
    }
    const std::uint32_t sentinel = load(offset).sentinel;
    if (sentinel == kWeightSentinel) return true;
    report_.fault(rule<"blob.sentinel">,
                  fmt::format("{} begins with {:#010x}, not with {:#010x}",
                              called(reference.name, offset), sentinel, kWeightSentinel));
    return false;
  }

  bool settle(const RecordReference& reference, WeightRecord& record) {
    const RawRecord raw = load(record.offset);
    take_alignment(reference.name, record.offset);
    if (raw.dtype_code != weight_dtype_code(record.dtype)) {
      liberties_.take(rule<"blob.lenient_dtype">, [&] {
        return fmt::format("{} has {} and is read as {}", called(reference.name, record.offset),
                           spelled_dtype(raw.dtype_code), dtype_name(record.dtype));
      });
    }
    take_size(reference.name, record.offset, raw.size_bytes, record.size_bytes);
    record.data_offset = take_offset(reference.name, record.offset, raw);
    if (raw.padding_bits != record.padding_bits) {
      liberties_.take(rule<"blob.padding">, [&] {
        return fmt::format("{} has {} unused bits, but {} elements of {} leave {}",
                           called(reference.name, record.offset), raw.padding_bits,
                           reference.elements, dtype_name(record.dtype), record.padding_bits);
      });
    }
    return check_payload(reference.name, record);
  }

  /// A payload that a record stands in was given another type than it was written with.
  void check_overlaps(const std::vector<WeightRecord>& records) {
    for (const WeightRecord& record : records) {
      if (record.size_bytes == 0) continue;
      const std::uint64_t begin = record.data_offset;
      const auto met = std::partition_point(
          records.begin(), records.end(),
          [&](const WeightRecord& other) { return other.offset + kWeightRecordBytes <= begin; });
      const bool on_record = met != records.end() && met->offset < begin + record.size_bytes;
      if (!on_record && begin >= kWeightHeaderBytes) continue;
      const std::string over = begin < kWeightHeaderBytes
                                   ? std::string("the header")
                                   : fmt::format("the record at byte {}", met->offset);
      if (!report_.fault(rule<"blob.overlap">,
                         fmt::format("the payload of {} bytes at byte {} of the record at byte {} "
                                     "runs over {}",
                                     record.size_bytes, begin, record.offset, over))) {
        return;
      }
    }
  }
};

class Guesser : LenientReader {
 public:
  using LenientReader::LenientReader;

  void guess(std::uint32_t count, std::vector<WeightRecord>& records) {
    for (std::uint64_t at = next_record(kWeightHeaderBytes); at != kNone;) {
      WeightRecord record;
      at = settle(at, record);
      if (check_payload({}, record)) records.push_back(record);
    }
    if (records.empty() && (count != 0 || file_size() > kWeightHeaderBytes)) {
      report_.fault(
          rule<"blob.sentinel">,
          fmt::format("no record begins with {:#010x} and the number of a dtype", kWeightSentinel));
      return;
    }
    report_.fault(rule<"blob.guess">,
                  fmt::format("{} found by the sentinel, not by a reference; sizes and dtypes are "
                              "a guess",
                              records.size() == 1 ? std::string("1 record is")
                                                  : fmt::format("{} records are", records.size())),
                  Severity::warning);
    if (records.size() != count) {
      take_count(count, records.size(), records.size() == 1 ? "is found" : "are found");
    }
    liberties_.report(report_);
  }

 private:
  static constexpr std::uint64_t kNone = kLargestFileBytes;

  /// The sentinel and a dtype together are no accident: values that look so come once in 2^59.
  bool is_record(std::uint64_t offset) const {
    if (!holds(offset, kWeightRecordBytes)) return false;
    const RawRecord raw = load(offset);
    return raw.sentinel == kWeightSentinel && dtype_from_weight_code(raw.dtype_code) != DType::none;
  }

  /// The first record at `from` or behind it.
  std::uint64_t next_record(std::uint64_t from) const {
    std::byte pattern[4];
    store_little(pattern, kWeightSentinel);
    const std::string_view sentinel(reinterpret_cast<const char*>(pattern), sizeof(pattern));
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
    for (std::size_t at = text.find(sentinel, static_cast<std::size_t>(from));
         at != std::string_view::npos; at = text.find(sentinel, at + 1)) {
      if (is_record(at)) return at;
    }
    return kNone;
  }

  /// Whether a payload that ends at `end` is followed by what follows a payload: a record, with or
  /// without padding in front, or the file's end. `next` is that record.
  bool ends_at(std::uint64_t end, std::uint64_t& next) const {
    std::uint64_t border = 0;
    if (!align_up(end, border)) return false;
    for (const std::uint64_t at : {end, border}) {
      if (!is_record(at)) continue;
      next = at;
      return true;
    }
    next = kNone;
    if (border < file_size()) return false;
    const auto rest = bytes_.subspan(static_cast<std::size_t>(end));
    return std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; });
  }

  /// Makes out the record at `at` and returns where the next one is.
  std::uint64_t settle(std::uint64_t at, WeightRecord& record) {
    const RawRecord raw = load(at);
    const std::uint64_t behind = at + kWeightRecordBytes;
    record.dtype = dtype_from_weight_code(raw.dtype_code);
    record.offset = at;
    record.size_bytes = raw.size_bytes;
    take_alignment({}, at);
    record.data_offset = take_offset({}, at, raw);
    std::uint64_t next = kNone;
    // A size that leads to the next record is right; nothing inside of the payload is looked at.
    const bool proved = record.data_offset == behind && holds(behind, raw.size_bytes) &&
                        ends_at(behind + raw.size_bytes, next);
    if (!proved) {
      next = next_record(behind);
      if (record.data_offset == behind) record.size_bytes = std::min(next, file_size()) - behind;
    }
    keep_whole_elements(raw, record);
    take_size({}, at, raw.size_bytes, record.size_bytes);
    return next;
  }

  /// Cuts what is no whole element off the payload's end.
  static void keep_whole_elements(const RawRecord& raw, WeightRecord& record) {
    const auto bits = static_cast<std::uint64_t>(dtype_bits(record.dtype));
    if (bits >= 8) {
      record.size_bytes -= record.size_bytes % (bits / 8);
      return;
    }
    const bool whole = record.size_bytes == raw.size_bytes &&
                       whole_elements(record.dtype, raw.size_bytes, raw.padding_bits);
    record.padding_bits = whole ? static_cast<std::uint32_t>(raw.padding_bits)
                                : static_cast<std::uint32_t>(record.size_bytes % bits * 8 % bits);
  }
};

}  // namespace

void read_referenced(std::span<const std::byte> bytes, std::uint32_t count,
                     std::span<const RecordReference> references, BlobReport& report,
                     std::vector<WeightRecord>& records) {
  ReferenceReader(bytes, report).read(count, references, records);
}

void guess_records(std::span<const std::byte> bytes, std::uint32_t count, BlobReport& report,
                   std::vector<WeightRecord>& records) {
  Guesser(bytes, report).guess(count, records);
}

}  // namespace milgen::detail
