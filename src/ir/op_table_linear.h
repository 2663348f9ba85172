// Rows of the op table: matrix products.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

inline constexpr Param kLinearIos15[] = {
    in("x", 'T', kNumber),
    fixed("weight", 'T', kNumber),
    with(fixed("bias", 'T', kNumber), rule_of(DefaultKind::zero_bias)),
};
inline constexpr Param kLinearIos17[] = {
    in("x", 'T', kNumber),
    fixed("weight", 'U', kNumber),
    with(fixed("bias", 'U', kNumber), rule_of(DefaultKind::zero_bias)),
};
inline constexpr Signature kLinear[] = {
    {Opset::ios15, kLinearIos15},
    {Opset::ios17, kLinearIos17},
};

inline constexpr Param kMatmulIos15[] = {
    in("x", 'T', kNumber),
    in("y", 'T', kNumber),
    boolean("transpose_x", false),
    boolean("transpose_y", false),
};
inline constexpr Param kMatmulIos17[] = {
    in("x", 'T', kNumber),
    in("y", 'U', kNumber),
    boolean("transpose_x", false),
    boolean("transpose_y", false),
};
inline constexpr Signature kMatmul[] = {
    {Opset::ios15, kMatmulIos15},
    {Opset::ios17, kMatmulIos17},
};

inline constexpr Param kEinsumParams[] = {
    tuple("values", 'T'),
    text("equation", ""),
};
inline constexpr Signature kEinsum[] = {{Opset::ios15, kEinsumParams}};

inline constexpr OpInfo kLinearOps[] = {
    {.code = OpCode::linear,
     .name = "linear",
     .family = "linear",
     .summary = "x times the transpose of weight [D_out, D_in], plus bias [D_out]",
     .signatures = kLinear,
     .infer = infer_linear},
    {.code = OpCode::matmul,
     .name = "matmul",
     .family = "linear",
     .summary = "matrix product over the last two dims; the dims before them broadcast",
     .signatures = kMatmul,
     .note = "x and y may have different dtypes from ios17 on when exactly one of them is a "
             "constant; the result then has the dtype of the other",
     .infer = infer_matmul},
    {.code = OpCode::einsum,
     .name = "einsum",
     .family = "linear",
     .summary = "sum of products by an equation: nchw,nwhu->nchu or chw,whr->chr, any letters",
     .signatures = kEinsum,
     .infer = infer_einsum},
};

}  // namespace milgen::table
