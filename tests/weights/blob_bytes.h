// Weight files put together by hand, byte by byte, so that tests do not ask milgen what is right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "milgen/diagnostic.h"

namespace milgen {

using Bytes = std::vector<std::byte>;

inline void put(Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t size) {
  if (bytes.size() < at + size) bytes.resize(at + size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[at + i] = static_cast<std::byte>(value >> (8 * i) & 0xFF);
  }
}

inline Bytes hex_bytes(std::initializer_list<unsigned> values) {
  Bytes bytes;
  for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

inline void put_header(Bytes& bytes, std::uint32_t count) {
  put(bytes, 0, count, 4);
  put(bytes, 4, 2, 4);
  if (bytes.size() < 64) bytes.resize(64);
}

/// The 64 bytes of a record with what its fields say, and the payload right behind them.
inline void put_record(Bytes& bytes, std::size_t at, std::uint32_t dtype_code, std::uint64_t size,
                       std::uint64_t offset, const Bytes& payload, std::uint64_t padding_bits = 0) {
  put(bytes, at, 0xDEADBEEF, 4);
  put(bytes, at + 4, dtype_code, 4);
  put(bytes, at + 8, size, 8);
  put(bytes, at + 16, offset, 8);
  put(bytes, at + 24, padding_bits, 8);
  put(bytes, at + 56, 0, 8);
  bytes.resize(at + 64);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
}

inline std::string text_of(const Diagnostics& diagnostics) {
  return render(diagnostics, {.source_lines = false, .source_root = ""});
}

}  // namespace milgen
