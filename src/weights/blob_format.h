// The bytes of a weight file's header and records (mil_text_format section 6).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "milgen/weights.h"

namespace milgen::detail {

inline constexpr std::uint64_t kLargestFileBytes = std::numeric_limits<std::int64_t>::max();

// Written out by shifts: the format is little-endian wherever milgen runs.
template <class T>
T load_little(const std::byte* from) {
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<T>(static_cast<std::uint64_t>(value) << 8 | std::to_integer<T>(from[i]));
  }
  return value;
}

template <class T>
void store_little(std::byte* to, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    to[i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xFFu);
  }
}

/// The bits of element `index` of a packed payload.
inline unsigned packed_bits(std::span<const std::byte> packed, std::size_t index, unsigned width) {
  const std::size_t bit = index * width;
  const std::size_t byte = bit / 8;
  unsigned window = std::to_integer<unsigned>(packed[byte]);
  if (byte + 1 < packed.size()) window |= std::to_integer<unsigned>(packed[byte + 1]) << 8;
  return window >> (bit % 8) & ((1u << width) - 1);
}

inline std::array<std::byte, kWeightHeaderBytes> header_bytes(std::uint32_t count) {
  std::array<std::byte, kWeightHeaderBytes> bytes{};
  store_little(bytes.data(), count);
  store_little(bytes.data() + 4, kWeightFileVersion);
  return bytes;
}

/// A record as it stands, nothing of it believed.
struct RawRecord {
  std::uint32_t sentinel = 0;
  std::uint32_t dtype_code = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t data_offset = 0;
  std::uint64_t padding_bits = 0;
};

inline RawRecord load_record(const std::byte* from) {
  return {load_little<std::uint32_t>(from), load_little<std::uint32_t>(from + 4),
          load_little<std::uint64_t>(from + 8), load_little<std::uint64_t>(from + 16),
          load_little<std::uint64_t>(from + 24)};
}

inline std::array<std::byte, kWeightRecordBytes> record_bytes(const WeightRecord& record) {
  std::array<std::byte, kWeightRecordBytes> bytes{};
  store_little(bytes.data(), kWeightSentinel);
  store_little(bytes.data() + 4, weight_dtype_code(record.dtype));
  store_little(bytes.data() + 8, record.size_bytes);
  store_little(bytes.data() + 16, record.data_offset);
  store_little(bytes.data() + 24, std::uint64_t{record.padding_bits});
  return bytes;
}

/// Whether bytes that may as well be values of a weight are those of a weight file. The 16 fixed
/// words that are looked at decide, and not whether the rest fits: bytes that begin so and are
/// broken later are a broken weight file.
inline bool begins_as_weight_file(std::span<const std::byte> bytes) {
  if (bytes.size() < kWeightHeaderBytes + 4) return false;
  std::byte any{0};
  for (std::size_t i = 8; i < kWeightHeaderBytes; ++i) any |= bytes[i];
  return any == std::byte{0} &&
         load_little<std::uint32_t>(bytes.data() + 4) == kWeightFileVersion &&
         load_little<std::uint32_t>(bytes.data() + kWeightHeaderBytes) == kWeightSentinel;
}

/// The next multiple of the alignment; false when it is beyond what a file can be.
inline bool align_up(std::uint64_t offset, std::uint64_t& aligned) {
  if (offset > kLargestFileBytes - kWeightAlignmentBytes) return false;
  aligned = (offset + kWeightAlignmentBytes - 1) / kWeightAlignmentBytes * kWeightAlignmentBytes;
  return true;
}

/// Whether the size and the unused bits are those of some whole number of elements.
inline bool whole_elements(DType dtype, std::uint64_t size_bytes, std::uint64_t padding_bits) {
  const auto bits = static_cast<std::uint64_t>(dtype_bits(dtype));
  if (bits == 0) return false;
  if (bits >= 8) return padding_bits == 0 && size_bytes % (bits / 8) == 0;
  if (padding_bits >= 8 || (size_bytes == 0 && padding_bits != 0)) return false;
  // 8 * size - padding modulo the width, without the multiplication that could overflow.
  return (size_bytes % bits * 8 + bits * 8 - padding_bits) % bits == 0;
}

}  // namespace milgen::detail
