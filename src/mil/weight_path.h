// How the files of a model folder are called: one place for the layout, which plans those of the
// weights, and for the printer, which names them without a plan when each weight has its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "milgen/diagnostic.h"
#include "milgen/dtype.h"
#include "milgen/program.h"

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

inline std::string joined_stem(std::string_view program, std::string_view weight,
                               bool derived_name) {
  std::string out;
  for (const std::string_view piece : weight_stem(program, weight, derived_name)) out += piece;
  return out;
}

/// What is wrong with the path of a reference, as the end of a sentence ("which is not below
/// @model_path"); empty when it names a file below the model's folder.
std::string_view weight_path_fault(std::string_view path);

/// The elements and the bytes of a weight in a file; false for a dtype that files do not have, a
/// dim that is not known, and more than 63 bits count.
bool weight_size(DType dtype, std::span<const std::int64_t> shape, std::uint64_t& elements,
                 std::uint64_t& size_bytes);

/// Reports each program that is none (`program.none`): all else looks into them.
bool check_programs(std::span<const Program> programs, Diagnostics& diagnostics);

}  // namespace milgen
