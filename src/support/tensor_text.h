// Types of tensors as MIL spells them.
#pragma once

#include <string>

#include "milgen/dtype.h"
#include "milgen/shape.h"

namespace milgen {

/// "tensor<fp16, [1, 64]>"
inline std::string tensor_text(DType dtype, const Shape& shape) {
  return "tensor<" + std::string(dtype_name(dtype)) + ", " + to_string(shape) + ">";
}

}  // namespace milgen
