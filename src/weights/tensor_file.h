// Tensors in files of other programs. Offsets and sizes in them are untrusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/array.h"
#include "milgen/diagnostic.h"
#include "weights/convert.h"

namespace milgen::detail {

/// The bytes of all elements, element_bytes() each; false when 64 bits do not hold their number.
inline bool wanted_bytes(const SourceTensor& tensor, std::uint64_t& size_bytes) {
  std::int64_t count = 0;
  return element_count(tensor.shape, count) &&
         !__builtin_mul_overflow(static_cast<std::uint64_t>(count), element_bytes(tensor.dtype),
                                 &size_bytes);
}

/// The same for messages: "12 bytes".
inline std::string wanted_bytes_text(const SourceTensor& tensor) {
  std::uint64_t size_bytes = 0;
  return wanted_bytes(tensor, size_bytes) ? std::to_string(size_bytes) + " bytes"
                                          : "more bytes than 64 bits count";
}

/// Whether this many bytes are the elements of the tensor.
inline bool takes_bytes(const SourceTensor& tensor, std::uint64_t size_bytes) {
  std::uint64_t wanted = 0;
  return wanted_bytes(tensor, wanted) && wanted == size_bytes;
}

/// Reads the header of a .npy file (NEP 1, versions 1 to 3). The tensor's bytes lie in `file`.
/// Reports `npy.*`.
bool parse_npy(std::span<const std::byte> file, const std::string& path, SourceTensor& tensor,
               Diagnostics& diagnostics);

/// The bytes in front of the elements of a row-major .npy file; empty for a dtype that numpy has
/// not.
std::string npy_header(DType dtype, const Shape& shape);

struct NamedTensor {
  std::string name;
  SourceTensor tensor;
};

/// Reads the header of a .safetensors file: a 64-bit length, that many bytes of JSON, the data.
/// Reports every tensor that does not fit (`safetensors.*`); one of a dtype that milgen does not
/// read is no fault before it is asked for.
bool parse_safetensors(std::span<const std::byte> file, const std::string& path,
                       std::vector<NamedTensor>& tensors, Diagnostics& diagnostics);

/// What a .safetensors file calls a dtype; empty for one that it has not.
std::string_view safetensors_dtype(DType dtype);

}  // namespace milgen::detail
