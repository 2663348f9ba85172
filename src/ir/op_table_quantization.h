// Rows of the op table: quantization at run time and the constexpr ops.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

// --- At run time. ---

inline constexpr Param kQuantizeParams[] = {
    in("input", 'S', kFloat),
    opt(fixed("zero_point", 'D', kByte)),
    fixed("scale", 'S', kFloat),
    integer("axis", absent()),
    result_dtype(text("output_dtype", "int8 uint8")),
};
inline constexpr Signature kQuantize[] = {{Opset::ios17, kQuantizeParams}};

inline constexpr Param kDequantizeParams[] = {
    in("input", 'S', kByte),
    opt(fixed("zero_point", 'S', kByte)),
    fixed("scale", 'D', kFloat),
    integer("axis", absent()),
};
inline constexpr Signature kDequantize[] = {{Opset::ios17, kDequantizeParams}};

inline constexpr OpInfo kQuantizationOps[] = {
    {.code = OpCode::quantize,
     .name = "quantize",
     .family = "quantization",
     .summary = "round(input / scale) + zero_point, saturated to 8 bits",
     .signatures = kQuantize,
     .result_dtype = ResultDType::parameter,
     .result_domain = 'D',
     .infer = infer_quantize},
    {.code = OpCode::dequantize,
     .name = "dequantize",
     .family = "quantization",
     .summary = "scale * (input - zero_point)",
     .signatures = kDequantize,
     .result_domain = 'D',
     .infer = infer_dequantize},
};

// --- When the program is compiled. ---

inline constexpr DTypeSet kLutIndex{DType::uint1, DType::uint2, DType::uint3,
                                    DType::uint4, DType::uint6, DType::uint8};
inline constexpr DTypeSet kByteOrFloat = kByte | kFloat;
inline constexpr DTypeSet kPackedOrFloat = kByteOrFloat | DTypeSet{DType::int4, DType::uint4};

/// A list of dims in uint32, as the constexpr ops of ios16 name the shape of their result.
constexpr Param dense_shape() {
  return attribute(Form::integers, "shape", '\0', DType::uint32, {});
}

inline constexpr Param kConstexprAffineDequantizeParams[] = {
    fixed("quantized_data", 'S', kByte),
    fixed("zero_point", 'Z', kByte | kFp32),
    fixed("scale", 'D', kFloat),
    integer("axis"),
};
inline constexpr Signature kConstexprAffineDequantize[] = {
    {Opset::ios16, kConstexprAffineDequantizeParams},
};

inline constexpr Param kConstexprBlockwiseShiftScaleParams[] = {
    fixed("data", 'S', kPackedOrFloat),
    fixed("scale", 'D', kFloat),
    opt(fixed("offset", 'O', kPackedOrFloat)),
};
inline constexpr Signature kConstexprBlockwiseShiftScale[] = {
    {Opset::ios18, kConstexprBlockwiseShiftScaleParams},
};

inline constexpr Param kConstexprCastParams[] = {
    fixed("source_val", DType::fp16),
    result_dtype(text("output_dtype", "fp32")),
};
// From ios18 on the same arguments are written as inputs, no longer as attributes.
inline constexpr Signature kConstexprCast[] = {
    {Opset::ios16, kConstexprCastParams},
    {Opset::ios18, kConstexprCastParams},
};

inline constexpr Param kConstexprLutToDenseIos16[] = {
    fixed("indices", DType::uint8),
    fixed("lut", 'T', kByteOrFloat),
    dense_shape(),
};
inline constexpr Param kConstexprLutToDenseIos18[] = {
    fixed("indices", 'I', kLutIndex),
    fixed("lut", 'T', kByteOrFloat),
    integer("vector_axis", absent()),
};
inline constexpr Signature kConstexprLutToDense[] = {
    {Opset::ios16, kConstexprLutToDenseIos16},
    {Opset::ios18, kConstexprLutToDenseIos18},
};

inline constexpr Param kConstexprLutToSparseParams[] = {
    fixed("indices_mask", DType::uint1),
    fixed("indices_nonzero_data", 'I', kLutIndex),
    fixed("lut", 'T', kByteOrFloat),
    integer("vector_axis", absent()),
};
inline constexpr Signature kConstexprLutToSparse[] = {
    {Opset::ios18, kConstexprLutToSparseParams},
};

inline constexpr Param kConstexprSparseBlockwiseShiftScaleParams[] = {
    fixed("data_mask", DType::uint1),
    fixed("nonzero_data", 'S', kPackedOrFloat),
    fixed("scale", 'D', kFloat),
    opt(fixed("offset", 'O', kPackedOrFloat)),
};
inline constexpr Signature kConstexprSparseBlockwiseShiftScale[] = {
    {Opset::ios18, kConstexprSparseBlockwiseShiftScaleParams},
};

inline constexpr Param kConstexprSparseToDenseIos16[] = {
    fixed("nonzero_data", 'T', kByteOrFloat),
    fixed("mask", DType::uint8),
    dense_shape(),
};
inline constexpr Param kConstexprSparseToDenseIos18[] = {
    fixed("nonzero_data", 'T', kPackedOrFloat),
    fixed("mask", DType::uint1),
};
inline constexpr Signature kConstexprSparseToDense[] = {
    {Opset::ios16, kConstexprSparseToDenseIos16},
    {Opset::ios18, kConstexprSparseToDenseIos18},
};

inline constexpr OpInfo kConstexprOps[] = {
    {.code = OpCode::constexpr_affine_dequantize,
     .name = "constexpr_affine_dequantize",
     .family = "constexpr",
     .summary = "weight from 8-bit codes: scale * (quantized_data - zero_point), per axis",
     .signatures = kConstexprAffineDequantize,
     .result_domain = 'D',
     .traits = Trait::constexpr_op,
     .infer = infer_constexpr_affine_dequantize},
    {.code = OpCode::constexpr_blockwise_shift_scale,
     .name = "constexpr_blockwise_shift_scale",
     .family = "constexpr",
     .summary = "weight from codes: scale * (data - offset), one scale for each block",
     .signatures = kConstexprBlockwiseShiftScale,
     .result_domain = 'D',
     .traits = Trait::constexpr_op,
     .infer = infer_constexpr_blockwise_shift_scale},
    {.code = OpCode::constexpr_cast,
     .name = "constexpr_cast",
     .family = "constexpr",
     .summary = "fp32 weight that is stored as fp16",
     .signatures = kConstexprCast,
     .result_dtype = ResultDType::parameter,
     .traits = Trait::constexpr_op,
     .infer = infer_constexpr_cast},
    {.code = OpCode::constexpr_lut_to_dense,
     .name = "constexpr_lut_to_dense",
     .family = "constexpr",
     .summary = "weight from indices into a table of values, or of vectors of them",
     .signatures = kConstexprLutToDense,
     .traits = Trait::constexpr_op,
     .infer = infer_constexpr_lut_to_dense},
    {.code = OpCode::constexpr_lut_to_sparse,
     .name = "constexpr_lut_to_sparse",
     .family = "constexpr",
     .summary = "the mask and the table values of a weight that stays sparse",
     .signatures = kConstexprLutToSparse,
     .results = ResultCount::two,
     .result_dtype = ResultDType::inferred,
     .traits = Trait::constexpr_op,
     .infer = infer_constexpr_lut_to_sparse},
    {.code = OpCode::constexpr_sparse_blockwise_shift_scale,
     .name = "constexpr_sparse_blockwise_shift_scale",
     .family = "constexpr",
     .summary = "the mask and the scaled values of a weight that stays sparse",
     .signatures = kConstexprSparseBlockwiseShiftScale,
     .results = ResultCount::two,
     .result_dtype = ResultDType::inferred,
     .result_domain = 'D',
     .traits = Trait::constexpr_op,
     .infer = infer_constexpr_sparse_blockwise_shift_scale},
    {.code = OpCode::constexpr_sparse_to_dense,
     .name = "constexpr_sparse_to_dense",
     .family = "constexpr",
     .summary = "weight from its non-zero elements and a mask of where they stand",
     .signatures = kConstexprSparseToDense,
     .traits = Trait::constexpr_op,
     .infer = infer_constexpr_sparse_to_dense},
};

}  // namespace milgen::table
