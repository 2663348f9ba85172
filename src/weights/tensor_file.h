// Tensors in files of other programs. Offsets and sizes in them are untrusted.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "milgen/diagnostic.h"
#include "weights/convert.h"

namespace milgen::detail {

/// Reads the header of a .npy file (NEP 1, versions 1 to 3). The tensor's bytes lie in `file`.
/// Reports `npy.*`.
bool parse_npy(std::span<const std::byte> file, const std::string& path, SourceTensor& tensor,
               Diagnostics& diagnostics);

struct NamedTensor {
  std::string name;
  SourceTensor tensor;
};

/// Reads the header of a .safetensors file: a 64-bit length, that many bytes of JSON, the data.
/// Reports every tensor that does not fit (`safetensors.*`); one of a dtype that milgen does not
/// read is no fault before it is asked for.
bool parse_safetensors(std::span<const std::byte> file, const std::string& path,
                       std::vector<NamedTensor>& tensors, Diagnostics& diagnostics);

}  // namespace milgen::detail
