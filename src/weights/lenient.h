// Weight files that do not keep to the format and are read all the same (mil_text_format section
// 6.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "milgen/weights.h"
#include "weights/blob_report.h"

namespace milgen::detail {

/// ReadMode::lenient. `count` is the header's.
void read_referenced(std::span<const std::byte> bytes, std::uint32_t count,
                     std::span<const RecordReference> references, BlobReport& report,
                     std::vector<WeightRecord>& records);

/// ReadMode::guess.
void guess_records(std::span<const std::byte> bytes, std::uint32_t count, BlobReport& report,
                   std::vector<WeightRecord>& records);

}  // namespace milgen::detail
