// A hash of short words for tables that are only ever asked for a word, never walked in hash order.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace milgen {

inline std::uint64_t mix_hash(std::uint64_t h, std::uint64_t value) {
  h ^= value;
  h *= 0x9E3779B97F4A7C15u;
  return h ^ (h >> 32);
}

/// Of `size` bytes that are fewer than eight: no call of memcpy, whose length is not known here,
/// costs less than this.
inline std::uint64_t short_word(const char* at, std::size_t size) {
  if (size >= 4) {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    std::memcpy(&first, at, 4);
    std::memcpy(&last, at + size - 4, 4);
    return first | (std::uint64_t{last} << 32);
  }
  if (size == 0) return 0;
  const auto byte = [&](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(at[i])}; };
  return byte(0) | byte(size / 2) << 8 | byte(size - 1) << 16;
}

/// With a `seed` that differs from run to run nobody can choose words that all fall into one slot.
inline std::uint32_t hash_word(std::string_view text, std::uint64_t seed = 0) {
  std::uint64_t h = seed ^ text.size();
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, 8);
    h = mix_hash(h, word);
  }
  h = mix_hash(h, short_word(text.data() + i, text.size() - i));
  return static_cast<std::uint32_t>(h ^ (h >> 29));
}

}  // namespace milgen
