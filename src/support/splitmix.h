// A 64-bit number for each place of a sequence, reachable without the numbers before it.
#pragma once

#include <cstdint>

namespace milgen::detail {

/// The finalizer of splitmix64 (Steele, Lea, Flood 2014) over a counter that begins at `start`.
constexpr std::uint64_t mixed(std::uint64_t start, std::uint64_t index) {
  std::uint64_t z = start + (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace milgen::detail
