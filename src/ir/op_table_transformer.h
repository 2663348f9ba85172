// Rows of the op table: attention.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

inline constexpr Param kScaledDotProductAttentionParams[] = {
    in("query", 'T', kFloat),
    in("key", 'T', kFloat),
    in("value", 'T', kFloat),
    opt(in("attn_mask", 'M', kBool | kFloat)),
};
inline constexpr Signature kScaledDotProductAttention[] = {
    {Opset::ios18, kScaledDotProductAttentionParams},
};

inline constexpr OpInfo kTransformerOps[] = {
    {.code = OpCode::scaled_dot_product_attention,
     .name = "scaled_dot_product_attention",
     .family = "transformer",
     .summary = "softmax(query key^T / sqrt(E) + attn_mask) value, E being the last dim of query",
     .signatures = kScaledDotProductAttention,
     .infer = infer_scaled_dot_product_attention},
};

}  // namespace milgen::table
