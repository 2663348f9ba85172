#include "weights/blob_format.h"

#include <algorithm>
#include <array>

#include "milgen/weights.h"
#include "support/hash.h"

namespace milgen {
namespace {

// The number of an entry is its index. mil_text_format section 6; MIL.proto numbers them otherwise.
constexpr std::array<DType, 18> kCodes = {
    DType::none,  DType::fp16,   DType::fp32,  DType::uint8,  DType::int8,      DType::bf16,
    DType::int16, DType::uint16, DType::int4,  DType::uint1,  DType::uint2,     DType::uint4,
    DType::uint3, DType::uint6,  DType::int32, DType::uint32, DType::fp8e4m3fn, DType::fp8e5m2};

bool packed_span_fits(DType dtype, std::size_t count, std::size_t packed_size) {
  const int width = dtype_bits(dtype);
  std::uint64_t size = 0;
  std::uint32_t padding = 0;
  return width > 0 && width < 8 && payload_bytes(dtype, count, size, padding) &&
         size == packed_size;
}

}  // namespace

std::uint32_t weight_dtype_code(DType dtype) {
  for (std::uint32_t code = 1; code < kCodes.size(); ++code) {
    if (kCodes[code] == dtype) return code;
  }
  return 0;
}

DType dtype_from_weight_code(std::uint32_t code) {
  return code < kCodes.size() ? kCodes[code] : DType::none;
}

bool payload_bytes(DType dtype, std::uint64_t count, std::uint64_t& size_bytes,
                   std::uint32_t& padding_bits) {
  const auto bits = static_cast<std::uint64_t>(dtype_bits(dtype));
  if (bits == 0) return false;
  if (bits >= 8) {
    if (count > detail::kLargestFileBytes / (bits / 8)) return false;
    size_bytes = count * (bits / 8);
    padding_bits = 0;
    return true;
  }
  // Eight elements take `bits` bytes, which keeps the count of bits out of the arithmetic.
  if (count > detail::kLargestFileBytes - 8) return false;
  const std::uint64_t rest_bits = count % 8 * bits;
  size_bytes = count / 8 * bits + (rest_bits + 7) / 8;
  padding_bits = static_cast<std::uint32_t>((8 - rest_bits % 8) % 8);
  return true;
}

std::uint64_t element_count(const WeightRecord& record) {
  const auto bits = static_cast<std::uint64_t>(dtype_bits(record.dtype));
  if (bits == 0) return 0;
  if (bits >= 8) return record.size_bytes / (bits / 8);
  // Whole groups of `bits` bytes have 8 elements each; counting all bits could overflow.
  std::uint64_t groups = record.size_bytes / bits;
  std::uint64_t rest_bits = record.size_bytes % bits * 8;
  if (rest_bits < record.padding_bits) {
    if (groups == 0) return 0;
    --groups;
    rest_bits += bits * 8;
  }
  return groups * 8 + (rest_bits - std::min<std::uint64_t>(rest_bits, record.padding_bits)) / bits;
}

bool pack_elements(DType dtype, std::span<const std::uint8_t> unpacked, std::span<std::byte> packed,
                   std::size_t& bad_index) {
  bad_index = unpacked.size();
  if (!packed_span_fits(dtype, unpacked.size(), packed.size())) return false;
  const auto width = static_cast<unsigned>(dtype_bits(dtype));
  const bool is_signed = dtype == DType::int4;
  std::fill(packed.begin(), packed.end(), std::byte{0});
  for (std::size_t i = 0; i < unpacked.size(); ++i) {
    const unsigned value = unpacked[i];
    const bool fits = is_signed ? (value < 8 || value >= 248) : value < (1u << width);
    if (!fits) {
      bad_index = i;
      return false;
    }
    const std::size_t bit = i * width;
    const unsigned shifted = (value & ((1u << width) - 1)) << (bit % 8);
    packed[bit / 8] |= static_cast<std::byte>(shifted & 0xFFu);
    if (shifted > 0xFF) packed[bit / 8 + 1] |= static_cast<std::byte>(shifted >> 8);
  }
  return true;
}

bool unpack_elements(DType dtype, std::span<const std::byte> packed,
                     std::span<std::uint8_t> unpacked) {
  if (!packed_span_fits(dtype, unpacked.size(), packed.size())) return false;
  const auto width = static_cast<unsigned>(dtype_bits(dtype));
  for (std::size_t i = 0; i < unpacked.size(); ++i) {
    unsigned value = detail::packed_bits(packed, i, width);
    if (dtype == DType::int4 && value >= 8) value |= 0xF0u;
    unpacked[i] = static_cast<std::uint8_t>(value);
  }
  return true;
}

bool plan_weight_records(std::span<const WeightPayloadSize> payloads,
                         std::vector<WeightRecord>& records, std::uint64_t& file_bytes) {
  records.clear();
  file_bytes = 0;
  if (payloads.size() > 0xFFFFFFFFu) return false;
  std::vector<WeightRecord> planned;
  planned.reserve(payloads.size());
  std::uint64_t end = kWeightHeaderBytes;
  for (const WeightPayloadSize& payload : payloads) {
    WeightRecord record;
    record.dtype = payload.dtype;
    record.size_bytes = payload.size_bytes;
    record.padding_bits = payload.padding_bits;
    if (weight_dtype_code(payload.dtype) == 0 ||
        !detail::whole_elements(payload.dtype, payload.size_bytes, payload.padding_bits) ||
        !detail::align_up(end, record.offset) ||
        record.offset > detail::kLargestFileBytes - kWeightRecordBytes) {
      return false;
    }
    record.data_offset = record.offset + kWeightRecordBytes;
    if (payload.size_bytes > detail::kLargestFileBytes - record.data_offset) return false;
    end = record.data_offset + payload.size_bytes;
    planned.push_back(record);
  }
  records = std::move(planned);
  file_bytes = end;
  return true;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hex(hash.finish());
}

}  // namespace milgen
