// How a weight's file is called: one place for the layout, which plans it, and for the printer,
// which names it without a plan when each weight has a file of its own.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace milgen {

inline constexpr std::string_view kModelPath = "@model_path/";
inline constexpr std::string_view kWeightsFolder = "weights/";
inline constexpr std::string_view kWeightSuffix = ".bin";

/// What a weight is called among those of all programs in a folder: the pieces, to be joined. Two
/// programs derive the same names for different things, so those carry their program's.
inline std::array<std::string_view, 3> weight_stem(std::string_view program,
                                                   std::string_view weight, bool derived_name) {
  if (!derived_name) return {weight, {}, {}};
  return {program, "_", weight};
}

}  // namespace milgen
