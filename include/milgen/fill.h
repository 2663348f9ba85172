// Values that a constant or a weight can be filled with by formula. golden/README.md, "Seeded
// weights", has the formulas so that anyone can reproduce the bytes.
#pragma once

#include <cstdint>
#include <string_view>

namespace milgen {

enum class Fill : std::uint8_t {
  uniform,   ///< seeded, (2u - 1) / sqrt(fan_in), fan_in = product of the dims after the first
  near_one,  ///< seeded, 1 + (2u - 1) / 10: for gains
  zeros,
  ones,
  causal_mask,  ///< [..., S, S]: 0 on and below the diagonal, -65504 above
};

/// "uniform", "near_one" ...
std::string_view fill_name(Fill fill);

}  // namespace milgen
