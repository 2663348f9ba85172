// Any bytes as a weight file, in every mode: whatever they say, nothing outside of them is read.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/weights.h"

namespace {

using namespace milgen;

constexpr DType kDTypes[] = {DType::fp16, DType::int8, DType::uint3,
                             DType::fp32, DType::int4, DType::fp8e4m3fn};

/// References to where records are and to where the file's last words say that one is.
std::vector<RecordReference> references(std::span<const std::byte> bytes,
                                        const std::vector<WeightRecord>& found) {
  std::vector<RecordReference> out;
  constexpr std::size_t kLimit = 100;
  for (std::size_t i = 0; i < std::min(found.size(), kLimit); ++i) {
    out.push_back({"a", found[i].offset, found[i].dtype, element_count(found[i])});
    out.push_back({"b", found[i].offset + i % 3, kDTypes[i % std::size(kDTypes)], i});
  }
  std::array<std::uint64_t, 3> tail{};
  for (std::size_t i = 0; i < std::min(bytes.size(), sizeof(tail)); ++i) {
    tail[i / 8] = tail[i / 8] << 8 | std::to_integer<std::uint64_t>(bytes[bytes.size() - 1 - i]);
  }
  out.push_back({"tail", tail[0], kDTypes[tail[1] % std::size(kDTypes)], tail[2]});
  out.push_back({"tail", tail[0] % (bytes.size() + 1), static_cast<DType>(tail[1] % kDTypeCount),
                 tail[2] % 100});
  return out;
}

/// Reads every payload to its last element.
void touch(const WeightFileReader& reader) {
  std::array<double, 64> values{};
  // A file of many records costs no more than its bytes: payloads may lie over each other.
  std::uint64_t left = 4 * reader.file_bytes();
  for (const WeightRecord& record : reader.records()) {
    const std::span<const std::byte> payload = reader.payload(record);
    if (payload.size() != record.size_bytes) std::abort();
    if (reader.find(record.offset) == nullptr) std::abort();
    if (payload.size() > left) continue;
    left -= payload.size();
    const std::uint64_t count = element_count(record);
    for (std::uint64_t at = 0; at < count; at += values.size()) {
      const auto size =
          static_cast<std::size_t>(std::min<std::uint64_t>(values.size(), count - at));
      if (!read_elements(record.dtype, payload, at, std::span(values).first(size))) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  WeightFileReader reader;
  Diagnostics diagnostics;
  if (reader.open(bytes, "w.bin", diagnostics) == diagnostics.has_errors()) std::abort();
  touch(reader);
  diagnostics.clear();
  if (reader.open(bytes, "w.bin", diagnostics, {ReadMode::guess, {}}) == diagnostics.has_errors()) {
    std::abort();
  }
  touch(reader);
  const std::vector<RecordReference> wanted = references(bytes, reader.records());
  diagnostics.clear();
  if (reader.open(bytes, "w.bin", diagnostics, {ReadMode::lenient, wanted}) ==
      diagnostics.has_errors()) {
    std::abort();
  }
  touch(reader);
  return 0;
}
