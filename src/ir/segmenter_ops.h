// The small op set of the segmenter's dumps (mil_text_format, section 7): what leads from the
// buffers that such a program takes and gives to the tensors that its other ops work on.
//
// Rows of the same kind as the op table's, so that infer_op() and the text tools need no second
// way, but apart from it: no opset has these ops, and no program that is compiled may.
#pragma once

#include <span>
#include <string_view>

#include "milgen/op_info.h"

namespace milgen {

/// The rows' codes: none of op_info()'s.
inline constexpr OpCode kTensorBufferToTensor = static_cast<OpCode>(kOpCount);
inline constexpr OpCode kTensorToTensorBuffer = static_cast<OpCode>(kOpCount + 1);

/// In name order.
std::span<const OpInfo> segmenter_op_table();
/// The op of such a dump that MIL spells `name`; null when there is none.
const OpInfo* find_segmenter_op(std::string_view name);

}  // namespace milgen
