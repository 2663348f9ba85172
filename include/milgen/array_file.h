// Arrays in files: .npy (NEP 1), .safetensors, and raw values.
//
// Files are untrusted: sizes and offsets are checked before they are believed. A file that is
// written takes its place whole or not at all. Every function here returns false after a report:
// `file.*`, what the formats have of their own, and `memory.limit` where there is no memory for
// the values.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/array.h"
#include "milgen/diagnostic.h"

namespace milgen {

/// Versions 1 to 3, row-major or column-major, little-endian; bool, integers and floats that both
/// numpy and MIL have. Reports `npy.*`.
bool read_npy(const std::string& path, Array& array, Diagnostics& diagnostics);
/// Version 1, row-major. `array.dtype` for elements that numpy has not: bf16, fp8, strings and
/// integers of less than 8 bits.
bool write_npy(const std::string& path, const Array& array, Diagnostics& diagnostics);

/// The tensors of these names, in the order of the file, those that it does not have left out.
/// Reports `safetensors.*`.
bool read_safetensors(const std::string& path, std::span<const std::string_view> names,
                      std::vector<NamedArray>& arrays, Diagnostics& diagnostics);
/// All of its tensors.
bool read_safetensors(const std::string& path, std::vector<NamedArray>& arrays,
                      Diagnostics& diagnostics);
/// Tensors of distinct names; `array.dtype` for strings and integers of less than 8 bits.
bool write_safetensors(const std::string& path, std::span<const NamedArray> arrays,
                       Diagnostics& diagnostics);

/// Little-endian elements in row-major order, nothing else: element_bytes() each. `array.size` when
/// the file has another size than the tensor takes, `array.dtype` for strings and integers of less
/// than 8 bits.
bool read_raw(const std::string& path, DType dtype, const Shape& shape, Array& array,
              Diagnostics& diagnostics);
bool write_raw(const std::string& path, const Array& array, Diagnostics& diagnostics);

}  // namespace milgen
