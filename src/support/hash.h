// Digests: SHA-256 for what people compare, 64-bit hashes for tables.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace milgen {

class Sha256 {
 public:
  using Digest = std::array<std::uint8_t, 32>;

  Sha256();
  Sha256(Sha256&& other) noexcept;
  Sha256& operator=(Sha256&& other) noexcept;
  ~Sha256();

  void update(std::span<const std::byte> bytes);
  /// The digest of everything so far; the object is then new again.
  Digest finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Lower-case hex digits, two a byte.
std::string hex(std::span<const std::uint8_t> bytes);

/// A hash for tables in memory: fast, the same within one run, and no promise beyond that.
std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed = 0);

/// FNV-1a with 64 bits: offset basis 0xCBF29CE484222325, prime 0x100000001B3. Part of the seeded
/// fill's formula.
constexpr std::uint64_t fnv1a64(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001B3u;
  }
  return hash;
}

}  // namespace milgen
