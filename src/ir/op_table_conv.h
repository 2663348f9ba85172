// Rows of the op table: convolution and pooling.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

// same_lower came with ios16; inference refuses it before that.
inline constexpr std::string_view kConvPadTypes = "valid custom same same_lower";

inline constexpr Param kConvIos15[] = {
    in("x", 'T', kFloat),
    in("weight", 'T', kFloat),
    opt(fixed("bias", 'T', kFloat)),
    integers("strides", per_spatial_dim(1)),
    text("pad_type", kConvPadTypes, "valid"),
    integers("pad", per_spatial_side(0)),
    integers("dilations", per_spatial_dim(1)),
    integer("groups", whole(1)),
};
inline constexpr Param kConvIos17[] = {
    in("x", 'T', kFloat),
    in("weight", 'U', kFloat),
    opt(in("bias", 'U', kFloat)),
    integers("strides", per_spatial_dim(1)),
    text("pad_type", kConvPadTypes, "valid"),
    integers("pad", per_spatial_side(0)),
    integers("dilations", per_spatial_dim(1)),
    integer("groups", whole(1)),
};
inline constexpr Signature kConv[] = {{Opset::ios15, kConvIos15}, {Opset::ios17, kConvIos17}};

inline constexpr Param kConvTransposeIos15[] = {
    in("x", 'T', kFloat),
    fixed("weight", 'T', kFloat),
    opt(fixed("bias", 'T', kFloat)),
    integers("pad", per_spatial_side(0)),
    integers("output_shape", absent()),
    text("pad_type", "valid custom same", "valid"),
    integers("strides", per_spatial_dim(1)),
    integers("dilations", per_spatial_dim(1)),
    integer("groups", whole(1)),
};
inline constexpr Param kConvTransposeIos17[] = {
    in("x", 'T', kFloat),
    in("weight", 'U', kFloat),
    opt(in("bias", 'U', kFloat)),
    integers("pad", per_spatial_side(0)),
    integers("output_shape", absent()),
    text("pad_type", "valid custom same", "valid"),
    integers("strides", per_spatial_dim(1)),
    integers("dilations", per_spatial_dim(1)),
    integer("groups", whole(1)),
};
inline constexpr Signature kConvTranspose[] = {
    {Opset::ios15, kConvTransposeIos15},
    {Opset::ios17, kConvTransposeIos17},
};

inline constexpr Param kConvQuantizedParams[] = {
    in("x", 'T', kFloat),
    in("weight", 'U', DType::uint8),
    opt(fixed("bias", 'U', DType::uint8)),
    text("quantization_type", "linear lut"),
    integer("nbits", whole(8)),
    fixed("quant_scale", 'T', kFloat),
    fixed("quant_bias", 'T', kFloat),
    integers("strides", per_spatial_dim(1)),
    text("pad_type", kConvPadTypes, "valid"),
    integers("pad", per_spatial_side(0)),
    integers("dilations", per_spatial_dim(1)),
    integer("groups", whole(1)),
};
inline constexpr Signature kConvQuantized[] = {{Opset::ios15, kConvQuantizedParams}};

inline constexpr OpInfo kConvOps[] = {
    {.code = OpCode::conv,
     .name = "conv",
     .family = "conv",
     .summary = "convolution of [N, C_in, dims...] with weight [C_out, C_in/groups, kernel...]",
     .signatures = kConv,
     .infer = infer_conv},
    {.code = OpCode::conv_quantized,
     .name = "conv_quantized",
     .family = "conv",
     .summary = "conv with a weight of nbits-bit codes, scaled by quant_scale and quant_bias",
     .signatures = kConvQuantized,
     .note = "made for the older neural network format",
     .infer = infer_conv},
    {.code = OpCode::conv_transpose,
     .name = "conv_transpose",
     .family = "conv",
     .summary = "gradient of conv by its input, weight [C_in, C_out/groups, kernel...]",
     .signatures = kConvTranspose,
     .infer = infer_conv_transpose},
};

inline constexpr Param kPoolParams[] = {
    in("x", 'T', kFloat),
    integers("kernel_sizes"),
    integers("strides", per_spatial_dim(1)),
    any_case(text("pad_type", kConvPadTypes)),
    integers("pad", per_spatial_side(0)),
    boolean("ceil_mode", false),
};
inline constexpr Signature kPool[] = {{Opset::ios15, kPoolParams}};

inline constexpr Param kAvgPoolParams[] = {
    boolean("exclude_padding_from_average", false),
    in("x", 'T', kFloat),
    integers("kernel_sizes"),
    integers("strides", per_spatial_dim(1)),
    any_case(text("pad_type", kConvPadTypes)),
    integers("pad", per_spatial_side(0)),
    boolean("ceil_mode", false),
};
inline constexpr Signature kAvgPool[] = {{Opset::ios15, kAvgPoolParams}};

inline constexpr OpInfo kPoolOps[] = {
    {.code = OpCode::avg_pool,
     .name = "avg_pool",
     .family = "pool",
     .summary = "mean of each window; padding counts unless exclude_padding_from_average",
     .signatures = kAvgPool,
     .infer = infer_pool},
    {.code = OpCode::l2_pool,
     .name = "l2_pool",
     .family = "pool",
     .summary = "sqrt of the sum of x * x in each window, over one or two dims",
     .signatures = kPool,
     .infer = infer_pool},
    {.code = OpCode::max_pool,
     .name = "max_pool",
     .family = "pool",
     .summary = "greatest element of each window",
     .signatures = kPool,
     .infer = infer_pool},
};

}  // namespace milgen::table
