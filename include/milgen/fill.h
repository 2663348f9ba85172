// Values that a constant or a weight can be filled with by formula. golden/README.md, "Seeded
// weights", has the formulas so that anyone can reproduce the bytes.
#pragma once

#include <cstdint>
#include <string_view>

namespace milgen {

class Array;

enum class Fill : std::uint8_t {
  uniform,   ///< seeded, (2u - 1) / sqrt(fan_in), fan_in = product of the dims after the first
  near_one,  ///< seeded, 1 + (2u - 1) / 10: for gains
  zeros,
  ones,
  causal_mask,  ///< [..., S, S]: 0 on and below the diagonal, -65504 above
};

/// "uniform", "near_one" ...
std::string_view fill_name(Fill fill);

/// Fills an array with numbers by formula, for the input of a program that has this name; they
/// depend on the name, the seed and the dtype alone (golden/README.md, "Seeded inputs"). Floats are
/// uniform in [-1, 1), integers in [0, 100) or what of that the dtype has, bools either. Strings
/// stay as they are.
void fill_seeded(Array& array, std::string_view name, std::uint64_t seed);

}  // namespace milgen
