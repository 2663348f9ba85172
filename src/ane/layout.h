// How tensors lie in surfaces: what the sizes and strides of a layout must be for milgen to follow
// them.
#pragma once

#include <string>

#include "milgen/ane/error.h"
#include "milgen/ane/surface.h"

namespace milgen::ane {

/// "'x' is tensor<fp16, [1, 4, 1, 8]>", as messages begin.
std::string layout_text(const TensorLayout& layout);

/// layout_text() and how far rows and planes are apart.
std::string strides_text(const TensorLayout& layout);

/// Whether bytes that are written by one layout mean the same by the other.
bool same_layout(const TensorLayout& a, const TensorLayout& b);

/// Sizes and strides that can be followed without a further look: a dtype that surfaces hold, dims
/// of at least 1, rows, planes and batches that do not overlap, and alloc_bytes() in 63 bits.
/// `layout` otherwise. For strides that milgen did not compute; takes no memory without an error.
Error check_layout(const TensorLayout& layout);

}  // namespace milgen::ane
