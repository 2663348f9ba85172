// The ops of MIL as functions, in name order: required arguments first, the others by
// designation, `loc` the caller's place. Those with blocks, lists, states and dictionaries
// are in milgen/control_flow.h.
//
// Written by `milc ops --format=header` from the op table; a test keeps it current. Do not
// edit.
// clang-format off
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "milgen/kernel.h"
#include "milgen/op_builder.h"
#include "milgen/value.h"

namespace milgen {

/// |x|
template <OneOf<fp16, fp32, int32> T>
Tensor<T> abs(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::abs, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// arc cosine, in radians
template <OneOf<fp16, fp32> T>
Tensor<T> acos(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::acos, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// x + y
template <OneOf<fp16, fp32, int32> T>
Tensor<T> add(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::add, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<T>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<T> add(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::add, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<T>();
}

/// x sampled where transform_matrix, [B, 6], sends the pixels of the result
template <OneOf<fp16, fp32> T>
Tensor<T> affine(Tensor<T> x, Tensor<T> transform_matrix, std::int64_t output_height,
    std::int64_t output_width, std::string_view sampling_mode, std::string_view padding_mode,
    double padding_value, std::string_view coordinates_mode, bool align_corners, Loc loc = here()) {
  OpBuilder op(OpCode::affine, loc);
  op.operand("x", x);
  op.operand("transform_matrix", transform_matrix);
  op.integer("output_height", output_height);
  op.integer("output_width", output_width);
  op.text("sampling_mode", sampling_mode);
  op.text("padding_mode", padding_mode);
  op.real("padding_value", padding_value);
  op.text("coordinates_mode", coordinates_mode);
  op.boolean("align_corners", align_corners);
  return op.tensor<T>();
}

/// the indices that would sort x along axis
struct ArgsortOptions {
  std::int64_t axis = -1;
  bool ascending = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<int32> argsort(Tensor<T> x, const ArgsortOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::argsort, loc);
  op.operand("x", x);
  op.integer("axis", options.axis);
  op.boolean("ascending", options.ascending);
  return op.tensor<int32>();
}

/// arc sine, in radians
template <OneOf<fp16, fp32> T>
Tensor<T> asin(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::asin, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// arc tangent, in radians
template <OneOf<fp16, fp32> T>
Tensor<T> atan(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::atan, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// area hyperbolic tangent
template <OneOf<fp16, fp32> T>
Tensor<T> atanh(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::atanh, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// mean of each window; padding counts unless exclude_padding_from_average
struct AvgPoolOptions {
  bool exclude_padding_from_average = false;
  Ints strides = {};  ///< empty: 1 for each spatial dim
  Ints pad = {};  ///< empty: 0 for each side of each spatial dim
  bool ceil_mode = false;
};
template <OneOf<fp16, fp32> T>
Tensor<T> avg_pool(Tensor<T> x, const Ints& kernel_sizes, std::string_view pad_type,
    const AvgPoolOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::avg_pool, loc);
  op.boolean("exclude_padding_from_average", options.exclude_padding_from_average);
  op.operand("x", x);
  op.integers("kernel_sizes", kernel_sizes);
  if (!options.strides.empty()) op.integers("strides", options.strides);
  op.text("pad_type", pad_type);
  if (!options.pad.empty()) op.integers("pad", options.pad);
  op.boolean("ceil_mode", options.ceil_mode);
  return op.tensor<T>();
}

/// the diagonals -lower to upper of each matrix, zero elsewhere; -1 keeps all
struct BandPartOptions {
  std::int64_t lower = -1;
  std::int64_t upper = -1;
};
template <OneOf<bool, fp16, fp32, int32> T>
Tensor<T> band_part(Tensor<T> x, const BandPartOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::band_part, loc);
  op.operand("x", x);
  op.integer("lower", options.lower);
  op.integer("upper", options.upper);
  return op.tensor<T>();
}

/// gamma * (x - mean) / sqrt(variance + epsilon) + beta, all per channel (dim 1)
template <class U>
struct BatchNormOptions {
  Tensor<U> gamma = {};
  Tensor<U> beta = {};
  double epsilon = 1e-05;
};
template <OneOf<fp16, fp32> T, OneOf<fp16, fp32> U>
Tensor<T> batch_norm(Tensor<T> x, Tensor<U> mean, Tensor<U> variance,
    const BatchNormOptions<U>& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::batch_norm, loc);
  op.operand("x", x);
  op.operand("mean", mean);
  op.operand("variance", variance);
  op.operand("gamma", options.gamma);
  op.operand("beta", options.beta);
  op.real("epsilon", options.epsilon);
  return op.tensor<T>();
}

/// batch entries laid out as blocks of the image, then cropped
template <OneOf<fp16, fp32> T>
Tensor<T> batch_to_space(Tensor<T> x, const Ints& block_shape, Tensor<int32> crops,
    Loc loc = here()) {
  OpBuilder op(OpCode::batch_to_space, loc);
  op.operand("x", x);
  op.integers("block_shape", block_shape);
  op.operand("crops", crops);
  return op.tensor<T>();
}

/// x converted to another dtype
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> To,
    OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T>
Tensor<To> cast(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::cast, loc);
  op.operand("x", x);
  op.dtype("dtype", dtype_of<To>);
  return op.tensor<To>();
}

/// smallest integer that is not below x
template <OneOf<fp16, fp32> T>
Tensor<T> ceil(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::ceil, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// leaky_relu with slope alpha, never above beta
template <OneOf<fp16, fp32> T>
Tensor<T> clamped_relu(Tensor<T> x, double alpha, double beta, Loc loc = here()) {
  OpBuilder op(OpCode::clamped_relu, loc);
  op.operand("x", x);
  op.real("alpha", alpha);
  op.real("beta", beta);
  return op.tensor<T>();
}

/// x, held between alpha and beta
template <OneOf<fp16, fp32> T>
Tensor<T> clip(Tensor<T> x, double alpha, double beta, Loc loc = here()) {
  OpBuilder op(OpCode::clip, loc);
  op.operand("x", x);
  op.real("alpha", alpha);
  op.real("beta", beta);
  return op.tensor<T>();
}

/// the values one after another along axis, or with their slices interleaved
struct ConcatOptions {
  bool interleave = false;
};
template <class T>
Tensor<T> concat(std::initializer_list<Tensor<T>> values, std::int64_t axis,
    const ConcatOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::concat, loc);
  op.operands<T>("values", std::span(values.begin(), values.end()));
  op.integer("axis", axis);
  op.boolean("interleave", options.interleave);
  return op.tensor<T>();
}
template <class T>
Tensor<T> concat(const std::vector<Tensor<T>>& values, std::int64_t axis,
    const ConcatOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::concat, loc);
  op.operands<T>("values", std::span(values.begin(), values.end()));
  op.integer("axis", axis);
  op.boolean("interleave", options.interleave);
  return op.tensor<T>();
}
template <class T>
Tensor<T> concat(const Tensors<T>& values, std::int64_t axis, const ConcatOptions& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::concat, loc);
  for (const Tensor<T> value : values) op.element("values", value);
  op.integer("axis", axis);
  op.boolean("interleave", options.interleave);
  return op.tensor<T>();
}

/// weight from 8-bit codes: scale * (quantized_data - zero_point), per axis
/// From ios16 on.
template <OneOf<int8, uint8> S, OneOf<fp32, int8, uint8> Z, OneOf<fp16, fp32> D>
Tensor<D> constexpr_affine_dequantize(Tensor<S> quantized_data, Tensor<Z> zero_point,
    Tensor<D> scale, std::int64_t axis, Loc loc = here()) {
  OpBuilder op(OpCode::constexpr_affine_dequantize, loc);
  op.operand("quantized_data", quantized_data);
  op.operand("zero_point", zero_point);
  op.operand("scale", scale);
  op.integer("axis", axis);
  return op.tensor<D>();
}

/// weight from codes: scale * (data - offset), one scale for each block
/// From ios18 on.
template <class O>
struct ConstexprBlockwiseShiftScaleOptions {
  Tensor<O> offset = {};
};
template <OneOf<fp16, fp32, int8, uint8, int4, uint4> S, OneOf<fp16, fp32> D,
    OneOf<fp16, fp32, int8, uint8, int4, uint4> O = D>
Tensor<D> constexpr_blockwise_shift_scale(Tensor<S> data, Tensor<D> scale,
    const ConstexprBlockwiseShiftScaleOptions<O>& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::constexpr_blockwise_shift_scale, loc);
  op.operand("data", data);
  op.operand("scale", scale);
  op.operand("offset", options.offset);
  return op.tensor<D>();
}

/// fp32 weight that is stored as fp16
/// From ios16 on.
template <OneOf<fp32> To>
Tensor<To> constexpr_cast(Tensor<fp16> source_val, Loc loc = here()) {
  OpBuilder op(OpCode::constexpr_cast, loc);
  op.operand("source_val", source_val);
  op.dtype("output_dtype", dtype_of<To>);
  return op.tensor<To>();
}

/// weight from indices into a table of values, or of vectors of them
/// From ios16 on.
struct ConstexprLutToDenseOptions {
  std::optional<std::int64_t> vector_axis = {};
};
template <OneOf<uint8, uint1, uint2, uint3, uint4, uint6> I, OneOf<fp16, fp32, int8, uint8> T>
Tensor<T> constexpr_lut_to_dense(Tensor<I> indices, Tensor<T> lut,
    const ConstexprLutToDenseOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::constexpr_lut_to_dense, loc);
  op.operand("indices", indices);
  op.operand("lut", lut);
  if (options.vector_axis) op.integer("vector_axis", *options.vector_axis);
  return op.tensor<T>();
}

/// the mask and the table values of a weight that stays sparse
/// From ios18 on.
struct ConstexprLutToSparseOptions {
  std::optional<std::int64_t> vector_axis = {};
};
template <OneOf<uint8, uint1, uint2, uint3, uint4, uint6> I, OneOf<fp16, fp32, int8, uint8> T>
Sparse<T> constexpr_lut_to_sparse(Tensor<uint1> indices_mask, Tensor<I> indices_nonzero_data,
    Tensor<T> lut, const ConstexprLutToSparseOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::constexpr_lut_to_sparse, loc);
  op.operand("indices_mask", indices_mask);
  op.operand("indices_nonzero_data", indices_nonzero_data);
  op.operand("lut", lut);
  if (options.vector_axis) op.integer("vector_axis", *options.vector_axis);
  return {op.tensor<uint1>(0), op.tensor<T>(1)};
}

/// the mask and the scaled values of a weight that stays sparse
/// From ios18 on.
template <class O>
struct ConstexprSparseBlockwiseShiftScaleOptions {
  Tensor<O> offset = {};
};
template <OneOf<fp16, fp32, int8, uint8, int4, uint4> S, OneOf<fp16, fp32> D,
    OneOf<fp16, fp32, int8, uint8, int4, uint4> O = D>
Sparse<D> constexpr_sparse_blockwise_shift_scale(Tensor<uint1> data_mask, Tensor<S> nonzero_data,
    Tensor<D> scale, const ConstexprSparseBlockwiseShiftScaleOptions<O>& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::constexpr_sparse_blockwise_shift_scale, loc);
  op.operand("data_mask", data_mask);
  op.operand("nonzero_data", nonzero_data);
  op.operand("scale", scale);
  op.operand("offset", options.offset);
  return {op.tensor<uint1>(0), op.tensor<D>(1)};
}

/// weight from its non-zero elements and a mask of where they stand
/// From ios16 on.
template <OneOf<fp16, fp32, int8, uint8, int4, uint4> T>
Tensor<T> constexpr_sparse_to_dense(Tensor<T> nonzero_data, Tensor<uint1> mask, Loc loc = here()) {
  OpBuilder op(OpCode::constexpr_sparse_to_dense, loc);
  op.operand("nonzero_data", nonzero_data);
  op.operand("mask", mask);
  return op.tensor<T>();
}

/// convolution of [N, C_in, dims...] with weight [C_out, C_in/groups, kernel...]
template <class U>
struct ConvOptions {
  Tensor<U> bias = {};
  Ints strides = {};  ///< empty: 1 for each spatial dim
  std::string_view pad_type = "valid";  ///< one of: valid custom same same_lower
  Ints pad = {};  ///< empty: 0 for each side of each spatial dim
  Ints dilations = {};  ///< empty: 1 for each spatial dim
  std::int64_t groups = 1;
};
template <OneOf<fp16, fp32> T, OneOf<fp16, fp32> U>
Tensor<T> conv(Tensor<T> x, Tensor<U> weight, const ConvOptions<U>& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::conv, loc);
  op.operand("x", x);
  op.operand("weight", weight);
  op.operand("bias", options.bias);
  if (!options.strides.empty()) op.integers("strides", options.strides);
  op.text("pad_type", options.pad_type);
  if (!options.pad.empty()) op.integers("pad", options.pad);
  if (!options.dilations.empty()) op.integers("dilations", options.dilations);
  op.integer("groups", options.groups);
  return op.tensor<T>();
}

/// conv with a weight of nbits-bit codes, scaled by quant_scale and quant_bias
/// made for the older neural network format
template <class U>
struct ConvQuantizedOptions {
  Tensor<U> bias = {};
  std::int64_t nbits = 8;
  Ints strides = {};  ///< empty: 1 for each spatial dim
  std::string_view pad_type = "valid";  ///< one of: valid custom same same_lower
  Ints pad = {};  ///< empty: 0 for each side of each spatial dim
  Ints dilations = {};  ///< empty: 1 for each spatial dim
  std::int64_t groups = 1;
};
template <OneOf<fp16, fp32> T, OneOf<uint8> U>
Tensor<T> conv_quantized(Tensor<T> x, Tensor<U> weight, std::string_view quantization_type,
    Tensor<T> quant_scale, Tensor<T> quant_bias, const ConvQuantizedOptions<U>& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::conv_quantized, loc);
  op.operand("x", x);
  op.operand("weight", weight);
  op.operand("bias", options.bias);
  op.text("quantization_type", quantization_type);
  op.integer("nbits", options.nbits);
  op.operand("quant_scale", quant_scale);
  op.operand("quant_bias", quant_bias);
  if (!options.strides.empty()) op.integers("strides", options.strides);
  op.text("pad_type", options.pad_type);
  if (!options.pad.empty()) op.integers("pad", options.pad);
  if (!options.dilations.empty()) op.integers("dilations", options.dilations);
  op.integer("groups", options.groups);
  return op.tensor<T>();
}

/// gradient of conv by its input, weight [C_in, C_out/groups, kernel...]
template <class U>
struct ConvTransposeOptions {
  Tensor<U> bias = {};
  Ints pad = {};  ///< empty: 0 for each side of each spatial dim
  Ints output_shape = {};  ///< empty: left out
  std::string_view pad_type = "valid";  ///< one of: valid custom same
  Ints strides = {};  ///< empty: 1 for each spatial dim
  Ints dilations = {};  ///< empty: 1 for each spatial dim
  std::int64_t groups = 1;
};
template <OneOf<fp16, fp32> T, OneOf<fp16, fp32> U>
Tensor<T> conv_transpose(Tensor<T> x, Tensor<U> weight, const ConvTransposeOptions<U>& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::conv_transpose, loc);
  op.operand("x", x);
  op.operand("weight", weight);
  op.operand("bias", options.bias);
  if (!options.pad.empty()) op.integers("pad", options.pad);
  if (!options.output_shape.empty()) op.integers("output_shape", options.output_shape);
  op.text("pad_type", options.pad_type);
  if (!options.strides.empty()) op.integers("strides", options.strides);
  if (!options.dilations.empty()) op.integers("dilations", options.dilations);
  op.integer("groups", options.groups);
  return op.tensor<T>();
}

/// cosine of x radians
template <OneOf<fp16, fp32> T>
Tensor<T> cos(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::cos, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// hyperbolic cosine of x
template <OneOf<fp16, fp32> T>
Tensor<T> cosh(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::cosh, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// x without crop_height rows and crop_width columns at its edges
template <OneOf<fp16, fp32> T>
Tensor<T> crop(Tensor<T> x, const Ints& crop_height, const Ints& crop_width, Loc loc = here()) {
  OpBuilder op(OpCode::crop, loc);
  op.operand("x", x);
  op.integers("crop_height", crop_height);
  op.integers("crop_width", crop_width);
  return op.tensor<T>();
}

/// the parts of x inside boxes, each resized to the target size
template <class N>
struct CropResizeOptions {
  Tensor<N> box_indices = {};
  std::int64_t target_height = 1;
  std::int64_t target_width = 1;
  bool normalized_coordinates = false;
  double spatial_scale = 1.0;
  std::string_view box_coordinate_mode = "CORNERS_HEIGHT_FIRST";  ///< one of: CORNERS_HEIGHT_FIRST CORNERS_WIDTH_FIRST CENTER_SIZE_HEIGHT_FIRST CENTER_SIZE_WIDTH_FIRST
  std::string_view sampling_mode = "DEFAULT";  ///< one of: DEFAULT STRICT_ALIGN_CORNERS ALIGN_CORNERS UNALIGN_CORNERS OFFSET_CORNERS
  double pad_value = 0.0;
};
template <OneOf<fp16, fp32> T, OneOf<fp16, fp32, uint16> B, OneOf<int32, uint16> N = int32>
Tensor<T> crop_resize(Tensor<T> x, Tensor<B> boxes, const CropResizeOptions<N>& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::crop_resize, loc);
  op.operand("x", x);
  op.operand("boxes", boxes);
  op.operand("box_indices", options.box_indices);
  op.integer("target_height", options.target_height);
  op.integer("target_width", options.target_width);
  op.boolean("normalized_coordinates", options.normalized_coordinates);
  op.real("spatial_scale", options.spatial_scale);
  op.text("box_coordinate_mode", options.box_coordinate_mode);
  op.text("sampling_mode", options.sampling_mode);
  op.real("pad_value", options.pad_value);
  return op.tensor<T>();
}

/// sum of all elements so far along axis; exclusive leaves out the own one
struct CumsumOptions {
  std::int64_t axis = 0;
  bool exclusive = false;
  bool reverse = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> cumsum(Tensor<T> x, const CumsumOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::cumsum, loc);
  op.operand("x", x);
  op.integer("axis", options.axis);
  op.boolean("exclusive", options.exclusive);
  op.boolean("reverse", options.reverse);
  return op.tensor<T>();
}

/// channels laid out as blocks of the image, the block being the outer factor
template <OneOf<fp16, fp32> T>
Tensor<T> depth_to_space(Tensor<T> x, std::int64_t block_size, Loc loc = here()) {
  OpBuilder op(OpCode::depth_to_space, loc);
  op.operand("x", x);
  op.integer("block_size", block_size);
  return op.tensor<T>();
}

/// scale * (input - zero_point)
/// From ios17 on.
template <class S>
struct DequantizeOptions {
  Tensor<S> zero_point = {};
  std::optional<std::int64_t> axis = {};
};
template <OneOf<int8, uint8> S, OneOf<fp16, fp32> D>
Tensor<D> dequantize(Tensor<S> input, Tensor<D> scale, const DequantizeOptions<S>& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::dequantize, loc);
  op.operand("input", input);
  op.operand("zero_point", options.zero_point);
  op.operand("scale", scale);
  if (options.axis) op.integer("axis", *options.axis);
  return op.tensor<D>();
}

/// sum of products by an equation: nchw,nwhu->nchu or chw,whr->chr, any letters
template <class T>
Tensor<T> einsum(std::initializer_list<Tensor<T>> values, std::string_view equation,
    Loc loc = here()) {
  OpBuilder op(OpCode::einsum, loc);
  op.operands<T>("values", std::span(values.begin(), values.end()));
  op.text("equation", equation);
  return op.tensor<T>();
}
template <class T>
Tensor<T> einsum(const std::vector<Tensor<T>>& values, std::string_view equation,
    Loc loc = here()) {
  OpBuilder op(OpCode::einsum, loc);
  op.operands<T>("values", std::span(values.begin(), values.end()));
  op.text("equation", equation);
  return op.tensor<T>();
}
template <class T>
Tensor<T> einsum(const Tensors<T>& values, std::string_view equation, Loc loc = here()) {
  OpBuilder op(OpCode::einsum, loc);
  for (const Tensor<T> value : values) op.element("values", value);
  op.text("equation", equation);
  return op.tensor<T>();
}

/// x above zero, alpha * (exp(x) - 1) below
template <OneOf<fp16, fp32> T>
Tensor<T> elu(Tensor<T> x, double alpha, Loc loc = here()) {
  OpBuilder op(OpCode::elu, loc);
  op.operand("x", x);
  op.real("alpha", alpha);
  return op.tensor<T>();
}

/// x == y
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> equal(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::equal, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<bool>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> equal(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::equal, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<bool>();
}

/// error function of the normal distribution
template <OneOf<fp16, fp32> T>
Tensor<T> erf(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::erf, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// e to the power of x
template <OneOf<fp16, fp32> T>
Tensor<T> exp(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::exp, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// 2 to the power of x
template <OneOf<fp16, fp32, int32> T>
Tensor<T> exp2(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::exp2, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// x with a new dim of 1 at each of axes of the result
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T>
Tensor<T> expand_dims(Tensor<T> x, const Ints& axes, Loc loc = here()) {
  OpBuilder op(OpCode::expand_dims, loc);
  op.operand("x", x);
  op.integers("axes", axes);
  return op.tensor<T>();
}

/// a tensor of the given shape, every element being value
struct FillOptions {
  double value = 0.0;
};
template <OneOf<bool, fp16, fp32, int32> T>
Tensor<T> fill(Kernel& kernel, const Extents& shape, const FillOptions& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::fill, kernel, loc);
  op.extents("shape", shape);
  op.number("value", dtype_of<T>, options.value);
  return op.tensor<T>();
}

/// a tensor of ref_tensor's shape, every element being value
/// From ios16 on.
struct FillLikeOptions {
  double value = 0.0;
};
template <OneOf<bool, fp16, fp32, int32> U, OneOf<bool, fp16, fp32, int32> T>
Tensor<U> fill_like(Tensor<T> ref_tensor, const FillLikeOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::fill_like, loc);
  op.operand("ref_tensor", ref_tensor);
  op.number("value", dtype_of<U>, options.value);
  return op.tensor<U>();
}

/// a matrix: the dims before axis make its rows, the others its columns
struct Flatten2dOptions {
  std::int64_t axis = 1;
};
template <OneOf<bool, fp16, fp32, int32> T>
Tensor<T> flatten2d(Tensor<T> x, const Flatten2dOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::flatten2d, loc);
  op.operand("x", x);
  op.integer("axis", options.axis);
  return op.tensor<T>();
}

/// largest integer that is not above x
template <OneOf<fp16, fp32> T>
Tensor<T> floor(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::floor, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// x / y rounded down to an integer
template <OneOf<fp16, fp32, int32> T>
Tensor<T> floor_div(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::floor_div, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<T>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<T> floor_div(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::floor_div, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<T>();
}

/// the slices of x along axis that indices name
struct GatherOptions {
  std::int64_t axis = 0;
  std::int64_t batch_dims = 0;
  bool validate_indices = false;
};
template <OneOf<fp16, fp32, int8, int16, int32, uint8, uint16> T,
    OneOf<int8, int16, int32, uint8, uint16> I>
Tensor<T> gather(Tensor<T> x, Tensor<I> indices, const GatherOptions& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::gather, loc);
  op.operand("x", x);
  op.operand("indices", indices);
  op.integer("axis", options.axis);
  op.integer("batch_dims", options.batch_dims);
  op.boolean("validate_indices", options.validate_indices);
  return op.tensor<T>();
}

/// for each entry of indices, the element of x at that place along axis
struct GatherAlongAxisOptions {
  std::int64_t axis = 0;
  bool validate_indices = false;
};
template <OneOf<fp16, fp32, int8, int16, int32, uint8, uint16> T,
    OneOf<int8, int16, int32, uint8, uint16> I>
Tensor<T> gather_along_axis(Tensor<T> x, Tensor<I> indices,
    const GatherAlongAxisOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::gather_along_axis, loc);
  op.operand("x", x);
  op.operand("indices", indices);
  op.integer("axis", options.axis);
  op.boolean("validate_indices", options.validate_indices);
  return op.tensor<T>();
}

/// the slices of x that the rows of indices (its last dim) name
struct GatherNdOptions {
  std::int64_t batch_dims = 0;
  bool validate_indices = false;
};
template <OneOf<fp16, fp32, int8, int16, int32, uint8, uint16> T,
    OneOf<int8, int16, int32, uint8, uint16> I>
Tensor<T> gather_nd(Tensor<T> x, Tensor<I> indices, const GatherNdOptions& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::gather_nd, loc);
  op.operand("x", x);
  op.operand("indices", indices);
  op.integer("batch_dims", options.batch_dims);
  op.boolean("validate_indices", options.validate_indices);
  return op.tensor<T>();
}

/// x times the normal distribution function of x
struct GeluOptions {
  std::string_view mode = "EXACT";  ///< one of: EXACT TANH_APPROXIMATION SIGMOID_APPROXIMATION
};
template <OneOf<fp16, fp32> T>
Tensor<T> gelu(Tensor<T> x, const GeluOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::gelu, loc);
  op.operand("x", x);
  op.text("mode", options.mode);
  return op.tensor<T>();
}

/// x > y
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> greater(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::greater, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<bool>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> greater(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::greater, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<bool>();
}

/// x >= y
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> greater_equal(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::greater_equal, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<bool>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> greater_equal(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::greater_equal, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<bool>();
}

/// gated recurrent unit; the gates stand in the order reset, output, update
template <class T>
struct GruOptions {
  Tensor<T> bias = {};
  std::string_view direction = "forward";  ///< one of: forward reverse
  bool output_sequence = false;
  std::string_view recurrent_activation = "sigmoid";  ///< one of: tanh scaled_tanh sigmoid hard_sigmoid relu linear
  std::string_view activation = "tanh";  ///< one of: tanh scaled_tanh sigmoid hard_sigmoid relu linear
  std::optional<bool> reset_after = {};
  Tensor<T> input_bias = {};
};
template <OneOf<fp16, fp32> T>
Tensors<T> gru(Tensor<T> x, Tensor<T> initial_h, Tensor<T> weight_ih, Tensor<T> weight_hh,
    const GruOptions<T>& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::gru, loc);
  op.operand("x", x);
  op.operand("initial_h", initial_h);
  op.operand("weight_ih", weight_ih);
  op.operand("weight_hh", weight_hh);
  op.operand("bias", options.bias);
  op.text("direction", options.direction);
  op.boolean("output_sequence", options.output_sequence);
  op.text("recurrent_activation", options.recurrent_activation);
  op.text("activation", options.activation);
  if (options.reset_after) op.boolean("reset_after", *options.reset_after);
  op.operand("input_bias", options.input_bias);
  return op.tensors<T>();
}

/// x unchanged
template <class T_x>
Tensor<T_x> identity(Tensor<T_x> x, Loc loc = here()) {
  OpBuilder op(OpCode::identity, loc);
  op.operand("x", x);
  return op.tensor<T_x>();
}

/// batch_norm with the statistics of each image and channel's own spatial dims
template <class U>
struct InstanceNormOptions {
  Tensor<U> gamma = {};
  Tensor<U> beta = {};
  double epsilon = 1e-05;
};
template <OneOf<fp16, fp32> T, OneOf<fp16, fp32> U = T>
Tensor<T> instance_norm(Tensor<T> x, const InstanceNormOptions<U>& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::instance_norm, loc);
  op.operand("x", x);
  op.operand("gamma", options.gamma);
  op.operand("beta", options.beta);
  op.real("epsilon", options.epsilon);
  return op.tensor<T>();
}

/// 1 / (x + epsilon)
struct InverseOptions {
  double epsilon = 0.0001;
};
template <OneOf<fp16, fp32> T>
Tensor<T> inverse(Tensor<T> x, const InverseOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::inverse, loc);
  op.operand("x", x);
  op.real("epsilon", options.epsilon);
  return op.tensor<T>();
}

/// x / sqrt(sum of x * x + epsilon), the sum over the last three dims
struct L2NormOptions {
  double epsilon = 1e-06;
};
template <OneOf<fp16, fp32> T>
Tensor<T> l2_norm(Tensor<T> x, const L2NormOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::l2_norm, loc);
  op.operand("x", x);
  op.real("epsilon", options.epsilon);
  return op.tensor<T>();
}

/// sqrt of the sum of x * x in each window, over one or two dims
struct L2PoolOptions {
  Ints strides = {};  ///< empty: 1 for each spatial dim
  Ints pad = {};  ///< empty: 0 for each side of each spatial dim
  bool ceil_mode = false;
};
template <OneOf<fp16, fp32> T>
Tensor<T> l2_pool(Tensor<T> x, const Ints& kernel_sizes, std::string_view pad_type,
    const L2PoolOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::l2_pool, loc);
  op.operand("x", x);
  op.integers("kernel_sizes", kernel_sizes);
  if (!options.strides.empty()) op.integers("strides", options.strides);
  op.text("pad_type", pad_type);
  if (!options.pad.empty()) op.integers("pad", options.pad);
  op.boolean("ceil_mode", options.ceil_mode);
  return op.tensor<T>();
}

/// x brought to mean 0 and variance 1 over axes, then times gamma, plus beta
template <class U>
struct LayerNormOptions {
  Ints axes = {};  ///< empty: all axes
  Tensor<U> gamma = {};
  Tensor<U> beta = {};
  double epsilon = 1e-05;
};
template <OneOf<fp16, fp32> T, OneOf<fp16, fp32> U = T>
Tensor<T> layer_norm(Tensor<T> x, const LayerNormOptions<U>& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::layer_norm, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  op.operand("gamma", options.gamma);
  op.operand("beta", options.beta);
  op.real("epsilon", options.epsilon);
  return op.tensor<T>();
}

/// x above zero, alpha * x below
template <OneOf<fp16, fp32> T>
Tensor<T> leaky_relu(Tensor<T> x, double alpha, Loc loc = here()) {
  OpBuilder op(OpCode::leaky_relu, loc);
  op.operand("x", x);
  op.real("alpha", alpha);
  return op.tensor<T>();
}

/// x < y
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> less(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::less, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<bool>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> less(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::less, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<bool>();
}

/// x <= y
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> less_equal(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::less_equal, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<bool>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> less_equal(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::less_equal, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<bool>();
}

/// x times the transpose of weight [D_out, D_in], plus bias [D_out]
template <class U>
struct LinearOptions {
  Tensor<U> bias = {};
};
template <OneOf<fp16, fp32, int32> T, OneOf<fp16, fp32, int32> U>
Tensor<T> linear(Tensor<T> x, Tensor<U> weight, const LinearOptions<U>& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::linear, loc);
  op.operand("x", x);
  op.operand("weight", weight);
  op.operand("bias", options.bias);
  return op.tensor<T>();
}

/// alpha * x + beta
template <OneOf<fp16, fp32> T>
Tensor<T> linear_activation(Tensor<T> x, double alpha, double beta, Loc loc = here()) {
  OpBuilder op(OpCode::linear_activation, loc);
  op.operand("x", x);
  op.real("alpha", alpha);
  op.real("beta", beta);
  return op.tensor<T>();
}

/// x / (k + alpha / size * sum of squares of size channels around it)^beta
struct LocalResponseNormOptions {
  double alpha = 0.0001;
  double beta = 0.75;
  double k = 1.0;
};
template <OneOf<fp16, fp32> T>
Tensor<T> local_response_norm(Tensor<T> x, std::int64_t size,
    const LocalResponseNormOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::local_response_norm, loc);
  op.operand("x", x);
  op.integer("size", size);
  op.real("alpha", options.alpha);
  op.real("beta", options.beta);
  op.real("k", options.k);
  return op.tensor<T>();
}

/// natural logarithm of (x + epsilon)
struct LogOptions {
  double epsilon = 1e-45;
};
template <OneOf<fp16, fp32> T>
Tensor<T> log(Tensor<T> x, const LogOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::log, loc);
  op.operand("x", x);
  op.real("epsilon", options.epsilon);
  return op.tensor<T>();
}

/// true where x and y are
template <OneOf<bool> T>
Tensor<bool> logical_and(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::logical_and, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<bool>();
}
inline Tensor<bool> operator&&(detail::Condition x, detail::Condition y) {
  return logical_and(x.value, y.value, x.loc);
}

/// true where x is false
template <OneOf<bool> T>
Tensor<T> logical_not(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::logical_not, loc);
  op.operand("x", x);
  return op.tensor<T>();
}
inline Tensor<bool> operator!(detail::Condition x) {
  return logical_not(x.value, x.loc);
}

/// true where x or y is
template <OneOf<bool> T>
Tensor<bool> logical_or(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::logical_or, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<bool>();
}
inline Tensor<bool> operator||(detail::Condition x, detail::Condition y) {
  return logical_or(x.value, y.value, x.loc);
}

/// true where exactly one of x and y is
template <OneOf<bool> T>
Tensor<bool> logical_xor(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::logical_xor, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<bool>();
}

/// long short-term memory; the gates stand in the order input, forget, output, cell
template <class T>
struct LstmOptions {
  Tensor<T> bias = {};
  Tensor<T> peephole = {};
  Tensor<T> weight_ih_back = {};
  Tensor<T> weight_hh_back = {};
  Tensor<T> bias_back = {};
  Tensor<T> peephole_back = {};
  std::string_view direction = "forward";  ///< one of: forward reverse bidirectional
  bool output_sequence = false;
  std::string_view recurrent_activation = "sigmoid";  ///< one of: tanh scaled_tanh sigmoid hard_sigmoid relu linear
  std::string_view cell_activation = "tanh";  ///< one of: tanh scaled_tanh sigmoid hard_sigmoid relu linear
  std::string_view activation = "tanh";  ///< one of: tanh scaled_tanh sigmoid hard_sigmoid relu linear
  std::optional<double> clip = {};
};
template <OneOf<fp16, fp32> T>
Tensors<T> lstm(Tensor<T> x, Tensor<T> initial_h, Tensor<T> initial_c, Tensor<T> weight_ih,
    Tensor<T> weight_hh, const LstmOptions<T>& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::lstm, loc);
  op.operand("x", x);
  op.operand("initial_h", initial_h);
  op.operand("initial_c", initial_c);
  op.operand("weight_ih", weight_ih);
  op.operand("weight_hh", weight_hh);
  op.operand("bias", options.bias);
  op.operand("peephole", options.peephole);
  op.operand("weight_ih_back", options.weight_ih_back);
  op.operand("weight_hh_back", options.weight_hh_back);
  op.operand("bias_back", options.bias_back);
  op.operand("peephole_back", options.peephole_back);
  op.text("direction", options.direction);
  op.boolean("output_sequence", options.output_sequence);
  op.text("recurrent_activation", options.recurrent_activation);
  op.text("cell_activation", options.cell_activation);
  op.text("activation", options.activation);
  if (options.clip) op.real("clip", *options.clip);
  return op.tensors<T>();
}

/// matrix product over the last two dims; the dims before them broadcast
/// x and y may have different dtypes from ios17 on when exactly one of them is a constant; the result then has the dtype of the other
struct MatmulOptions {
  bool transpose_x = false;
  bool transpose_y = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> matmul(Tensor<T> x, Tensor<T> y, const MatmulOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::matmul, loc);
  op.operand("x", x);
  op.operand("y", y);
  op.boolean("transpose_x", options.transpose_x);
  op.boolean("transpose_y", options.transpose_y);
  return op.tensor<T>();
}
/// The same of two dtypes, one of them a constant's; R is the other one.
template <class R, OneOf<fp16, fp32, int32> T, OneOf<fp16, fp32, int32> U>
requires(!__is_same(T, U) && (__is_same(R, T) || __is_same(R, U)))
Tensor<R> matmul(Tensor<T> x, Tensor<U> y, const MatmulOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::matmul, loc);
  op.operand("x", x);
  op.operand("y", y);
  op.boolean("transpose_x", options.transpose_x);
  op.boolean("transpose_y", options.transpose_y);
  return Tensor<R>::from(op.result(), loc);
}

/// greatest element of each window
struct MaxPoolOptions {
  Ints strides = {};  ///< empty: 1 for each spatial dim
  Ints pad = {};  ///< empty: 0 for each side of each spatial dim
  bool ceil_mode = false;
};
template <OneOf<fp16, fp32> T>
Tensor<T> max_pool(Tensor<T> x, const Ints& kernel_sizes, std::string_view pad_type,
    const MaxPoolOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::max_pool, loc);
  op.operand("x", x);
  op.integers("kernel_sizes", kernel_sizes);
  if (!options.strides.empty()) op.integers("strides", options.strides);
  op.text("pad_type", pad_type);
  if (!options.pad.empty()) op.integers("pad", options.pad);
  op.boolean("ceil_mode", options.ceil_mode);
  return op.tensor<T>();
}

/// the greater of x and y
template <OneOf<fp16, fp32, int32> T>
Tensor<T> maximum(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::maximum, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<T>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<T> maximum(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::maximum, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<T>();
}

/// the smaller of x and y
template <OneOf<fp16, fp32, int32> T>
Tensor<T> minimum(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::minimum, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<T>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<T> minimum(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::minimum, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<T>();
}

/// what floor_div leaves over; has the sign of y
template <OneOf<fp16, fp32, int32> T>
Tensor<T> mod(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::mod, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<T>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<T> mod(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::mod, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<T>();
}

/// x * y
template <OneOf<fp16, fp32, int32> T>
Tensor<T> mul(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::mul, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<T>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<T> mul(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::mul, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<T>();
}

/// the best boxes, without those that overlap a better one by iou_threshold
/// boxes, scores and indices; before ios17 also the number of boxes of each image
struct NonMaximumSuppressionOptions {
  bool per_class_suppression = false;
};
template <OneOf<fp16, fp32> T>
Values non_maximum_suppression(Tensor<T> boxes, Tensor<T> scores, double iou_threshold,
    std::int64_t max_boxes, const NonMaximumSuppressionOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::non_maximum_suppression, loc);
  op.operand("boxes", boxes);
  op.operand("scores", scores);
  op.real("iou_threshold", iou_threshold);
  op.integer("max_boxes", max_boxes);
  op.boolean("per_class_suppression", options.per_class_suppression);
  return op.values();
}

/// the indices of the elements of x that are not zero, one row each
template <OneOf<bool, fp16, fp32, int32> T>
Tensor<int32> non_zero(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::non_zero, loc);
  op.operand("x", x);
  return op.tensor<int32>();
}

/// x != y
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> not_equal(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::not_equal, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<bool>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<bool> not_equal(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::not_equal, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<bool>();
}

/// a new dim at axis: on_value where its index equals the entry of indices
struct OneHotOptions {
  std::int64_t axis = -1;
  double on_value = 1.0;
  double off_value = 0.0;
};
template <OneOf<bool, fp16, fp32, int32> T>
Tensor<T> one_hot(Tensor<int32> indices, Tensor<int32> one_hot_vector_size,
    const OneHotOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::one_hot, loc);
  op.operand("indices", indices);
  op.operand("one_hot_vector_size", one_hot_vector_size);
  op.integer("axis", options.axis);
  op.number("on_value", dtype_of<T>, options.on_value);
  op.number("off_value", dtype_of<T>, options.off_value);
  return op.tensor<T>();
}

/// x with pad[2i] elements put before and pad[2i+1] after each of its last dims
struct PadOptions {
  std::string_view mode = "constant";  ///< one of: constant reflect replicate
  double constant_val = 0.0;
};
template <OneOf<fp16, fp32> T>
Tensor<T> pad(Tensor<T> x, const Extents& pad, const PadOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::pad, loc);
  op.operand("x", x);
  op.extents("pad", pad);
  op.text("mode", options.mode);
  op.real("constant_val", options.constant_val);
  return op.tensor<T>();
}

/// channels laid out as blocks of the image, the block being the inner factor
template <OneOf<fp16, fp32> T>
Tensor<T> pixel_shuffle(Tensor<T> x, std::int64_t upscale_factor, Loc loc = here()) {
  OpBuilder op(OpCode::pixel_shuffle, loc);
  op.operand("x", x);
  op.integer("upscale_factor", upscale_factor);
  return op.tensor<T>();
}

/// blocks of the image laid out as channels
/// From ios16 on.
template <OneOf<fp16, fp32> T>
Tensor<T> pixel_unshuffle(Tensor<T> x, std::int64_t downscale_factor, Loc loc = here()) {
  OpBuilder op(OpCode::pixel_unshuffle, loc);
  op.operand("x", x);
  op.integer("downscale_factor", downscale_factor);
  return op.tensor<T>();
}

/// x raised to y
template <OneOf<fp16, fp32, int32> T>
Tensor<T> pow(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::pow, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<T>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<T> pow(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::pow, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<T>();
}

/// leaky_relu whose slope alpha is per channel, the channels being dim 1
template <OneOf<fp16, fp32> T, OneOf<fp16, fp32> U>
Tensor<T> prelu(Tensor<T> x, Tensor<U> alpha, Loc loc = here()) {
  OpBuilder op(OpCode::prelu, loc);
  op.operand("x", x);
  op.operand("alpha", alpha);
  return op.tensor<T>();
}

/// round(input / scale) + zero_point, saturated to 8 bits
/// From ios17 on.
template <class D>
struct QuantizeOptions {
  Tensor<D> zero_point = {};
  std::optional<std::int64_t> axis = {};
};
template <OneOf<int8, uint8> To, OneOf<fp16, fp32> S, OneOf<int8, uint8> D = To>
Tensor<To> quantize(Tensor<S> input, Tensor<S> scale, const QuantizeOptions<D>& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::quantize, loc);
  op.operand("input", input);
  op.operand("zero_point", options.zero_point);
  op.operand("scale", scale);
  if (options.axis) op.integer("axis", *options.axis);
  op.dtype("output_dtype", dtype_of<To>);
  return op.tensor<To>();
}

/// 1 with probability prob and 0 otherwise, drawn for each element
struct RandomBernoulliOptions {
  double prob = 0.5;
  std::int64_t seed = -1;
};
template <OneOf<fp16, fp32> T>
Tensor<T> random_bernoulli(Kernel& kernel, const Extents& shape,
    const RandomBernoulliOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::random_bernoulli, kernel, loc);
  op.extents("shape", shape);
  op.number("prob", dtype_of<T>, options.prob);
  op.integer("seed", options.seed);
  return op.tensor<T>();
}

/// size class indices drawn by the logits or probabilities in x's last dim
struct RandomCategoricalOptions {
  std::string_view mode = "logits";  ///< one of: logits probs
  std::int64_t size = 1;
  std::int64_t seed = -1;
};
template <OneOf<fp16, fp32> T>
Tensor<T> random_categorical(Tensor<T> x, const RandomCategoricalOptions& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::random_categorical, loc);
  op.operand("x", x);
  op.text("mode", options.mode);
  op.integer("size", options.size);
  op.integer("seed", options.seed);
  return op.tensor<T>();
}

/// numbers of the normal distribution with this mean and stddev
struct RandomNormalOptions {
  double mean = 0.0;
  double stddev = 1.0;
  std::int64_t seed = -1;
};
template <OneOf<fp16, fp32> T>
Tensor<T> random_normal(Kernel& kernel, const Extents& shape,
    const RandomNormalOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::random_normal, kernel, loc);
  op.extents("shape", shape);
  op.number("mean", dtype_of<T>, options.mean);
  op.number("stddev", dtype_of<T>, options.stddev);
  op.integer("seed", options.seed);
  return op.tensor<T>();
}

/// numbers that are equally likely anywhere from low up to high
struct RandomUniformOptions {
  double low = 0.0;
  double high = 1.0;
  std::int64_t seed = -1;
};
template <OneOf<fp16, fp32> T>
Tensor<T> random_uniform(Kernel& kernel, const Extents& shape,
    const RandomUniformOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::random_uniform, kernel, loc);
  op.extents("shape", shape);
  op.number("low", dtype_of<T>, options.low);
  op.number("high", dtype_of<T>, options.high);
  op.integer("seed", options.seed);
  return op.tensor<T>();
}

/// start, start + step, ... as long as end is not reached
template <OneOf<fp16, fp32, int32> T>
Tensor<T> range_1d(Tensor<T> end, Tensor<T> start, Tensor<T> step, Loc loc = here()) {
  OpBuilder op(OpCode::range_1d, loc);
  op.operand("end", end);
  op.operand("start", start);
  op.operand("step", step);
  return op.tensor<T>();
}

/// x / y; of integers, cut off towards zero
template <OneOf<fp16, fp32, int32> T>
Tensor<T> real_div(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::real_div, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<T>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<T> real_div(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::real_div, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<T>();
}

/// where along axis the maximum stands
struct ReduceArgmaxOptions {
  std::int64_t axis = -1;
  bool keep_dims = false;
};
template <OneOf<int32, uint16> To = int32, OneOf<fp16, fp32, int32> T>
Tensor<To> reduce_argmax(Tensor<T> x, const ReduceArgmaxOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reduce_argmax, loc);
  op.operand("x", x);
  op.integer("axis", options.axis);
  op.boolean("keep_dims", options.keep_dims);
  op.dtype("output_dtype", dtype_of<To>);
  return op.tensor<To>();
}

/// where along axis the minimum stands
struct ReduceArgminOptions {
  std::int64_t axis = -1;
  bool keep_dims = false;
};
template <OneOf<int32, uint16> To = int32, OneOf<fp16, fp32, int32> T>
Tensor<To> reduce_argmin(Tensor<T> x, const ReduceArgminOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reduce_argmin, loc);
  op.operand("x", x);
  op.integer("axis", options.axis);
  op.boolean("keep_dims", options.keep_dims);
  op.dtype("output_dtype", dtype_of<To>);
  return op.tensor<To>();
}

/// sum of |x| over axes
struct ReduceL1NormOptions {
  Ints axes = {};  ///< empty: left out
  bool keep_dims = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> reduce_l1_norm(Tensor<T> x, const ReduceL1NormOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reduce_l1_norm, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  op.boolean("keep_dims", options.keep_dims);
  return op.tensor<T>();
}

/// sqrt of the sum of x * x over axes
struct ReduceL2NormOptions {
  Ints axes = {};  ///< empty: left out
  bool keep_dims = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> reduce_l2_norm(Tensor<T> x, const ReduceL2NormOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reduce_l2_norm, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  op.boolean("keep_dims", options.keep_dims);
  return op.tensor<T>();
}

/// natural logarithm of the sum over axes
struct ReduceLogSumOptions {
  Ints axes = {};  ///< empty: left out
  bool keep_dims = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> reduce_log_sum(Tensor<T> x, const ReduceLogSumOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reduce_log_sum, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  op.boolean("keep_dims", options.keep_dims);
  return op.tensor<T>();
}

/// natural logarithm of the sum of exp(x) over axes
struct ReduceLogSumExpOptions {
  Ints axes = {};  ///< empty: left out
  bool keep_dims = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> reduce_log_sum_exp(Tensor<T> x, const ReduceLogSumExpOptions& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::reduce_log_sum_exp, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  op.boolean("keep_dims", options.keep_dims);
  return op.tensor<T>();
}

/// greatest element over axes
struct ReduceMaxOptions {
  Ints axes = {};  ///< empty: left out
  bool keep_dims = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> reduce_max(Tensor<T> x, const ReduceMaxOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reduce_max, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  op.boolean("keep_dims", options.keep_dims);
  return op.tensor<T>();
}

/// arithmetic mean over axes
struct ReduceMeanOptions {
  Ints axes = {};  ///< empty: left out
  bool keep_dims = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> reduce_mean(Tensor<T> x, const ReduceMeanOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reduce_mean, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  op.boolean("keep_dims", options.keep_dims);
  return op.tensor<T>();
}

/// smallest element over axes
struct ReduceMinOptions {
  Ints axes = {};  ///< empty: left out
  bool keep_dims = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> reduce_min(Tensor<T> x, const ReduceMinOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reduce_min, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  op.boolean("keep_dims", options.keep_dims);
  return op.tensor<T>();
}

/// product of the elements over axes
struct ReduceProdOptions {
  Ints axes = {};  ///< empty: left out
  bool keep_dims = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> reduce_prod(Tensor<T> x, const ReduceProdOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reduce_prod, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  op.boolean("keep_dims", options.keep_dims);
  return op.tensor<T>();
}

/// sum of the elements over axes
struct ReduceSumOptions {
  Ints axes = {};  ///< empty: left out
  bool keep_dims = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> reduce_sum(Tensor<T> x, const ReduceSumOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reduce_sum, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  op.boolean("keep_dims", options.keep_dims);
  return op.tensor<T>();
}

/// sum of x * x over axes
struct ReduceSumSquareOptions {
  Ints axes = {};  ///< empty: left out
  bool keep_dims = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> reduce_sum_square(Tensor<T> x, const ReduceSumSquareOptions& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::reduce_sum_square, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  op.boolean("keep_dims", options.keep_dims);
  return op.tensor<T>();
}

/// the greater of x and 0
template <OneOf<fp16, fp32> T>
Tensor<T> relu(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::relu, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// x, held between 0 and 6
template <OneOf<fp16, fp32> T>
Tensor<T> relu6(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::relu6, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// x sampled at coordinates, [B, H_out, W_out, 2]
template <OneOf<fp16, fp32> T, OneOf<fp16, fp32, int8, int16, int32, uint8, uint16> U>
Tensor<T> resample(Tensor<T> x, Tensor<U> coordinates, std::string_view sampling_mode,
    std::string_view padding_mode, double padding_value, std::string_view coordinates_mode,
    bool align_corners, Loc loc = here()) {
  OpBuilder op(OpCode::resample, loc);
  op.operand("x", x);
  op.operand("coordinates", coordinates);
  op.text("sampling_mode", sampling_mode);
  op.text("padding_mode", padding_mode);
  op.real("padding_value", padding_value);
  op.text("coordinates_mode", coordinates_mode);
  op.boolean("align_corners", align_corners);
  return op.tensor<T>();
}

/// the elements of x in another shape; -1 is worked out, 0 copies x's dim
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T>
Tensor<T> reshape(Tensor<T> x, const Extents& shape, Loc loc = here()) {
  OpBuilder op(OpCode::reshape, loc);
  op.operand("x", x);
  op.extents("shape", shape);
  return op.tensor<T>();
}

/// the elements of x in a shape put together from dims of ref_tensors
/// From ios16 on.
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T, class T_ref_tensors,
    class T_begins, class T_ends, class T_end_masks>
Tensor<T> reshape_like(Tensor<T> x, std::initializer_list<Tensor<T_ref_tensors>> ref_tensors,
    std::initializer_list<Tensor<T_begins>> begins, std::initializer_list<Tensor<T_ends>> ends,
    std::initializer_list<Tensor<T_end_masks>> end_masks, Loc loc = here()) {
  OpBuilder op(OpCode::reshape_like, loc);
  op.operand("x", x);
  op.operands<T_ref_tensors>("ref_tensors", std::span(ref_tensors.begin(), ref_tensors.end()));
  op.operands<T_begins>("begins", std::span(begins.begin(), begins.end()));
  op.operands<T_ends>("ends", std::span(ends.begin(), ends.end()));
  op.operands<T_end_masks>("end_masks", std::span(end_masks.begin(), end_masks.end()));
  return op.tensor<T>();
}
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T, class T_ref_tensors,
    class T_begins, class T_ends, class T_end_masks>
Tensor<T> reshape_like(Tensor<T> x, const std::vector<Tensor<T_ref_tensors>>& ref_tensors,
    const std::vector<Tensor<T_begins>>& begins, const std::vector<Tensor<T_ends>>& ends,
    const std::vector<Tensor<T_end_masks>>& end_masks, Loc loc = here()) {
  OpBuilder op(OpCode::reshape_like, loc);
  op.operand("x", x);
  op.operands<T_ref_tensors>("ref_tensors", std::span(ref_tensors.begin(), ref_tensors.end()));
  op.operands<T_begins>("begins", std::span(begins.begin(), begins.end()));
  op.operands<T_ends>("ends", std::span(ends.begin(), ends.end()));
  op.operands<T_end_masks>("end_masks", std::span(end_masks.begin(), end_masks.end()));
  return op.tensor<T>();
}

/// the last resized_dims dims of x resized to those of shape; 0 keeps one
/// From ios17 on.
struct ResizeOptions {
  std::string_view interpolation_mode = "LINEAR";  ///< one of: LINEAR NEAREST_NEIGHBOR
  std::string_view sampling_mode = "DEFAULT";  ///< one of: DEFAULT STRICT_ALIGN_CORNERS ALIGN_CORNERS UNALIGN_CORNERS OFFSET_CORNERS
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> resize(Tensor<T> x, const Extents& shape, std::int64_t resized_dims,
    const ResizeOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::resize, loc);
  op.operand("x", x);
  op.extents("shape", shape);
  op.integer("resized_dims", resized_dims);
  op.text("interpolation_mode", options.interpolation_mode);
  op.text("sampling_mode", options.sampling_mode);
  return op.tensor<T>();
}

/// images resized to the target size, bilinear
struct ResizeBilinearOptions {
  std::int64_t target_size_height = 1;
  std::int64_t target_size_width = 1;
  std::string_view sampling_mode = "DEFAULT";  ///< one of: DEFAULT STRICT_ALIGN_CORNERS ALIGN_CORNERS UNALIGN_CORNERS OFFSET_CORNERS
};
template <OneOf<fp16, fp32> T>
Tensor<T> resize_bilinear(Tensor<T> x, const ResizeBilinearOptions& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::resize_bilinear, loc);
  op.operand("x", x);
  op.integer("target_size_height", options.target_size_height);
  op.integer("target_size_width", options.target_size_width);
  op.text("sampling_mode", options.sampling_mode);
  return op.tensor<T>();
}

/// images resized to the target size, nearest pixel
template <OneOf<fp16, fp32> T>
Tensor<T> resize_nearest_neighbor(Tensor<T> x, std::int64_t target_size_height,
    std::int64_t target_size_width, Loc loc = here()) {
  OpBuilder op(OpCode::resize_nearest_neighbor, loc);
  op.operand("x", x);
  op.integer("target_size_height", target_size_height);
  op.integer("target_size_width", target_size_width);
  return op.tensor<T>();
}

/// x back to front along axes, or along all of them
struct ReverseOptions {
  Ints axes = {};  ///< empty: left out
};
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T>
Tensor<T> reverse(Tensor<T> x, const ReverseOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reverse, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  return op.tensor<T>();
}

/// for each batch entry i, its first lengths[i] elements back to front
struct ReverseSequenceOptions {
  std::int64_t seq_axis = 0;
  std::int64_t batch_axis = 0;
};
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T, OneOf<int8, int16, int32> U>
Tensor<T> reverse_sequence(Tensor<T> x, Tensor<U> lengths,
    const ReverseSequenceOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::reverse_sequence, loc);
  op.operand("x", x);
  op.operand("lengths", lengths);
  op.integer("seq_axis", options.seq_axis);
  op.integer("batch_axis", options.batch_axis);
  return op.tensor<T>();
}

/// activation(weight_ih x + weight_hh h + bias), step by step
template <class T>
struct RnnOptions {
  Tensor<T> bias = {};
  std::string_view direction = "forward";  ///< one of: forward reverse
  bool output_sequence = false;
  std::string_view activation = "tanh";  ///< one of: tanh scaled_tanh sigmoid hard_sigmoid relu linear
};
template <OneOf<fp16, fp32> T>
Tensors<T> rnn(Tensor<T> x, Tensor<T> initial_h, Tensor<T> weight_ih, Tensor<T> weight_hh,
    const RnnOptions<T>& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::rnn, loc);
  op.operand("x", x);
  op.operand("initial_h", initial_h);
  op.operand("weight_ih", weight_ih);
  op.operand("weight_hh", weight_hh);
  op.operand("bias", options.bias);
  op.text("direction", options.direction);
  op.boolean("output_sequence", options.output_sequence);
  op.text("activation", options.activation);
  return op.tensors<T>();
}

/// nearest integer, ties to the even one
template <OneOf<fp16, fp32> T>
Tensor<T> round(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::round, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// 1 / sqrt(x + epsilon)
struct RsqrtOptions {
  double epsilon = 1e-12;
};
template <OneOf<fp16, fp32> T>
Tensor<T> rsqrt(Tensor<T> x, const RsqrtOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::rsqrt, loc);
  op.operand("x", x);
  op.real("epsilon", options.epsilon);
  return op.tensor<T>();
}

/// softmax(query key^T / sqrt(E) + attn_mask) value, E being the last dim of query
/// From ios18 on.
template <class M>
struct ScaledDotProductAttentionOptions {
  Tensor<M> attn_mask = {};
};
template <OneOf<fp16, fp32> T, OneOf<bool, fp16, fp32> M = T>
Tensor<T> scaled_dot_product_attention(Tensor<T> query, Tensor<T> key, Tensor<T> value,
    const ScaledDotProductAttentionOptions<M>& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::scaled_dot_product_attention, loc);
  op.operand("query", query);
  op.operand("key", key);
  op.operand("value", value);
  op.operand("attn_mask", options.attn_mask);
  return op.tensor<T>();
}

/// alpha * tanh(beta * x)
template <OneOf<fp16, fp32> T>
Tensor<T> scaled_tanh(Tensor<T> x, double alpha, double beta, Loc loc = here()) {
  OpBuilder op(OpCode::scaled_tanh, loc);
  op.operand("x", x);
  op.real("alpha", alpha);
  op.real("beta", beta);
  return op.tensor<T>();
}

/// data with updates worked by mode into the slices along axis that indices name
struct ScatterOptions {
  std::int64_t axis = 0;
  std::string_view mode = "add";  ///< one of: add div max min mul sub update
  bool validate_indices = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> scatter(Tensor<T> data, Tensor<int32> indices, Tensor<T> updates,
    const ScatterOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::scatter, loc);
  op.operand("data", data);
  op.operand("indices", indices);
  op.operand("updates", updates);
  op.integer("axis", options.axis);
  op.text("mode", options.mode);
  op.boolean("validate_indices", options.validate_indices);
  return op.tensor<T>();
}

/// data with each element of updates worked in at its index along axis
struct ScatterAlongAxisOptions {
  std::int64_t axis = 0;
  std::string_view mode = "add";  ///< one of: add div max min mul sub update
  bool validate_indices = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> scatter_along_axis(Tensor<T> data, Tensor<int32> indices, Tensor<T> updates,
    const ScatterAlongAxisOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::scatter_along_axis, loc);
  op.operand("data", data);
  op.operand("indices", indices);
  op.operand("updates", updates);
  op.integer("axis", options.axis);
  op.text("mode", options.mode);
  op.boolean("validate_indices", options.validate_indices);
  return op.tensor<T>();
}

/// data with updates worked in at the slices that the rows of indices name
struct ScatterNdOptions {
  std::string_view mode = "add";  ///< one of: add div max min mul sub update
  bool validate_indices = false;
};
template <OneOf<fp16, fp32, int32> T>
Tensor<T> scatter_nd(Tensor<T> data, Tensor<int32> indices, Tensor<T> updates,
    const ScatterNdOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::scatter_nd, loc);
  op.operand("data", data);
  op.operand("indices", indices);
  op.operand("updates", updates);
  op.text("mode", options.mode);
  op.boolean("validate_indices", options.validate_indices);
  return op.tensor<T>();
}

/// a where cond is true and b elsewhere; all three broadcast
template <OneOf<bool, fp16, fp32, int32> T>
Tensor<T> select(Tensor<bool> cond, Tensor<T> a, Tensor<T> b, Loc loc = here()) {
  OpBuilder op(OpCode::select, loc);
  op.operand("cond", cond);
  op.operand("a", a);
  op.operand("b", b);
  return op.tensor<T>();
}
template <OneOf<bool, fp16, fp32, int32> T>
Tensor<T> select(Tensor<bool> cond, double a, Tensor<T> b, Loc loc = here()) {
  OpBuilder op(OpCode::select, loc);
  op.operand("cond", cond);
  op.number("a", dtype_of<T>, a);
  op.operand("b", b);
  return op.tensor<T>();
}
template <OneOf<bool, fp16, fp32, int32> T>
Tensor<T> select(Tensor<bool> cond, Tensor<T> a, double b, Loc loc = here()) {
  OpBuilder op(OpCode::select, loc);
  op.operand("cond", cond);
  op.operand("a", a);
  op.number("b", dtype_of<T>, b);
  return op.tensor<T>();
}

/// the dims of x as a list of int32
template <OneOf<bool, fp16, fp32, int32> T>
Tensor<int32> shape(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::shape, loc);
  op.operand("x", x);
  return op.tensor<int32>();
}

/// 1 / (1 + exp(-x))
template <OneOf<fp16, fp32> T>
Tensor<T> sigmoid(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::sigmoid, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// alpha * x + beta, held between 0 and 1
template <OneOf<fp16, fp32> T>
Tensor<T> sigmoid_hard(Tensor<T> x, double alpha, double beta, Loc loc = here()) {
  OpBuilder op(OpCode::sigmoid_hard, loc);
  op.operand("x", x);
  op.real("alpha", alpha);
  op.real("beta", beta);
  return op.tensor<T>();
}

/// -1 below zero, 0 at zero, 1 above
template <OneOf<fp16, fp32, int32> T>
Tensor<T> sign(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::sign, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// x / (1 + exp(-x))
template <OneOf<fp16, fp32> T>
Tensor<T> silu(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::silu, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// sine of x radians
template <OneOf<fp16, fp32> T>
Tensor<T> sin(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::sin, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// hyperbolic sine of x
template <OneOf<fp16, fp32> T>
Tensor<T> sinh(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::sinh, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// x[begin:end:stride]; the masks open an end or drop the dim
struct SliceByIndexOptions {
  Ints stride = {};  ///< empty: left out
  Ints begin_mask = {};  ///< 0 or 1 for each
  Ints end_mask = {};  ///< 0 or 1 for each
  Ints squeeze_mask = {};  ///< 0 or 1 for each
};
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T>
Tensor<T> slice_by_index(Tensor<T> x, const Extents& begin, const Extents& end,
    const SliceByIndexOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::slice_by_index, loc);
  op.operand("x", x);
  op.extents("begin", begin);
  op.extents("end", end);
  if (!options.stride.empty()) op.integers("stride", options.stride);
  if (!options.begin_mask.empty()) op.booleans("begin_mask", options.begin_mask);
  if (!options.end_mask.empty()) op.booleans("end_mask", options.end_mask);
  if (!options.squeeze_mask.empty()) op.booleans("squeeze_mask", options.squeeze_mask);
  return op.tensor<T>();
}

/// size elements of x from begin on; a size of -1 takes all that follow
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T>
Tensor<T> slice_by_size(Tensor<T> x, const Extents& begin, const Extents& size, Loc loc = here()) {
  OpBuilder op(OpCode::slice_by_size, loc);
  op.operand("x", x);
  op.extents("begin", begin);
  op.extents("size", size);
  return op.tensor<T>();
}

/// x with update in the place that slice_by_index would read
/// From ios18 on.
struct SliceUpdateOptions {
  Ints stride = {};  ///< empty: left out
  Ints begin_mask = {};  ///< 0 or 1 for each
  Ints end_mask = {};  ///< 0 or 1 for each
  Ints squeeze_mask = {};  ///< 0 or 1 for each
};
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T>
Tensor<T> slice_update(Tensor<T> x, Tensor<T> update, const Extents& begin, const Extents& end,
    const SliceUpdateOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::slice_update, loc);
  op.operand("x", x);
  op.operand("update", update);
  op.extents("begin", begin);
  op.extents("end", end);
  if (!options.stride.empty()) op.integers("stride", options.stride);
  if (!options.begin_mask.empty()) op.booleans("begin_mask", options.begin_mask);
  if (!options.end_mask.empty()) op.booleans("end_mask", options.end_mask);
  if (!options.squeeze_mask.empty()) op.booleans("squeeze_mask", options.squeeze_mask);
  return op.tensor<T>();
}

/// every window of size elements along axis, as a new dim after it
struct SlidingWindowsOptions {
  std::int64_t stride = 1;
};
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T>
Tensor<T> sliding_windows(Tensor<T> x, std::int64_t axis, std::int64_t size,
    const SlidingWindowsOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::sliding_windows, loc);
  op.operand("x", x);
  op.integer("axis", axis);
  op.integer("size", size);
  op.integer("stride", options.stride);
  return op.tensor<T>();
}

/// exp(x) divided by its sum along axis
struct SoftmaxOptions {
  std::int64_t axis = -1;
};
template <OneOf<fp16, fp32> T>
Tensor<T> softmax(Tensor<T> x, const SoftmaxOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::softmax, loc);
  op.operand("x", x);
  op.integer("axis", options.axis);
  return op.tensor<T>();
}

/// log(exp(x) + 1)
template <OneOf<fp16, fp32> T>
Tensor<T> softplus(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::softplus, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// alpha * log(exp(beta * x) + 1), alpha and beta per channel (dim 1)
template <OneOf<fp16, fp32> T, OneOf<fp16, fp32> U>
Tensor<T> softplus_parametric(Tensor<T> x, Tensor<U> alpha, Tensor<U> beta, Loc loc = here()) {
  OpBuilder op(OpCode::softplus_parametric, loc);
  op.operand("x", x);
  op.operand("alpha", alpha);
  op.operand("beta", beta);
  return op.tensor<T>();
}

/// x / (|x| + 1)
template <OneOf<fp16, fp32> T>
Tensor<T> softsign(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::softsign, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// the padded image's blocks laid out as batch entries
template <OneOf<fp16, fp32> T>
Tensor<T> space_to_batch(Tensor<T> x, const Ints& block_shape, Tensor<int32> paddings,
    Loc loc = here()) {
  OpBuilder op(OpCode::space_to_batch, loc);
  op.operand("x", x);
  op.integers("block_shape", block_shape);
  op.operand("paddings", paddings);
  return op.tensor<T>();
}

/// blocks of the image laid out as channels, the block being the outer factor
template <OneOf<fp16, fp32> T>
Tensor<T> space_to_depth(Tensor<T> x, std::int64_t block_size, Loc loc = here()) {
  OpBuilder op(OpCode::space_to_depth, loc);
  op.operand("x", x);
  op.integer("block_size", block_size);
  return op.tensor<T>();
}

/// x cut along axis into num_splits equal parts or parts of split_sizes
struct SplitOptions {
  std::optional<std::int64_t> num_splits = {};
  Ints split_sizes = {};  ///< empty: left out
};
template <OneOf<bool, fp16, fp32, int32> T>
Tensors<T> split(Tensor<T> x, std::int64_t axis, const SplitOptions& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::split, loc);
  op.operand("x", x);
  if (options.num_splits) op.integer("num_splits", *options.num_splits);
  if (!options.split_sizes.empty()) op.integers("split_sizes", options.split_sizes);
  op.integer("axis", axis);
  return op.tensors<T>();
}

/// non-negative root of x
template <OneOf<fp16, fp32> T>
Tensor<T> sqrt(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::sqrt, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// x times x
template <OneOf<fp16, fp32, int32> T>
Tensor<T> square(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::square, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// x without the dims of 1 among axes, or without any
struct SqueezeOptions {
  Ints axes = {};  ///< empty: left out
};
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T>
Tensor<T> squeeze(Tensor<T> x, const SqueezeOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::squeeze, loc);
  op.operand("x", x);
  if (!options.axes.empty()) op.integers("axes", options.axes);
  return op.tensor<T>();
}

/// the values, all of one shape, side by side along a new dim at axis
template <class T>
Tensor<T> stack(std::initializer_list<Tensor<T>> values, std::int64_t axis, Loc loc = here()) {
  OpBuilder op(OpCode::stack, loc);
  op.operands<T>("values", std::span(values.begin(), values.end()));
  op.integer("axis", axis);
  return op.tensor<T>();
}
template <class T>
Tensor<T> stack(const std::vector<Tensor<T>>& values, std::int64_t axis, Loc loc = here()) {
  OpBuilder op(OpCode::stack, loc);
  op.operands<T>("values", std::span(values.begin(), values.end()));
  op.integer("axis", axis);
  return op.tensor<T>();
}
template <class T>
Tensor<T> stack(const Tensors<T>& values, std::int64_t axis, Loc loc = here()) {
  OpBuilder op(OpCode::stack, loc);
  for (const Tensor<T> value : values) op.element("values", value);
  op.integer("axis", axis);
  return op.tensor<T>();
}

/// x - y
template <OneOf<fp16, fp32, int32> T>
Tensor<T> sub(Tensor<T> x, Tensor<T> y, Loc loc = here()) {
  OpBuilder op(OpCode::sub, loc);
  op.operand("x", x);
  op.operand("y", y);
  return op.tensor<T>();
}
template <OneOf<fp16, fp32, int32> T>
Tensor<T> sub(Tensor<T> x, double y, Loc loc = here()) {
  OpBuilder op(OpCode::sub, loc);
  op.operand("x", x);
  op.number("y", dtype_of<T>, y);
  return op.tensor<T>();
}

/// tangent of x radians
template <OneOf<fp16, fp32> T>
Tensor<T> tan(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::tan, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// hyperbolic tangent of x
template <OneOf<fp16, fp32> T>
Tensor<T> tanh(Tensor<T> x, Loc loc = here()) {
  OpBuilder op(OpCode::tanh, loc);
  op.operand("x", x);
  return op.tensor<T>();
}

/// the greater of x and alpha
template <OneOf<fp16, fp32, int32> T>
Tensor<T> threshold(Tensor<T> x, double alpha, Loc loc = here()) {
  OpBuilder op(OpCode::threshold, loc);
  op.operand("x", x);
  op.real("alpha", alpha);
  return op.tensor<T>();
}

/// x from alpha on, 0 below it
template <OneOf<fp16, fp32> T>
Tensor<T> thresholded_relu(Tensor<T> x, double alpha, Loc loc = here()) {
  OpBuilder op(OpCode::thresholded_relu, loc);
  op.operand("x", x);
  op.real("alpha", alpha);
  return op.tensor<T>();
}

/// x repeated reps[i] times along dim i
template <OneOf<bool, fp16, fp32, int32> T>
Tensor<T> tile(Tensor<T> x, const Extents& reps, Loc loc = here()) {
  OpBuilder op(OpCode::tile, loc);
  op.operand("x", x);
  op.extents("reps", reps);
  return op.tensor<T>();
}

/// the k greatest elements along axis (smallest when ascending) and their indices
/// values, and indices unless return_indices is false
struct TopkOptions {
  std::int64_t k = 1;
  std::int64_t axis = -1;
  bool ascending = false;
  bool sort = true;
  bool return_indices = true;
  std::string_view output_indices_dtype = "int32";  ///< one of: int32 uint16
};
template <OneOf<fp16, fp32, int8, int16, int32, uint8, uint16> T>
Values topk(Tensor<T> x, const TopkOptions& options = {}, Loc loc = here()) {
  OpBuilder op(OpCode::topk, loc);
  op.operand("x", x);
  op.integer("k", options.k);
  op.integer("axis", options.axis);
  op.boolean("ascending", options.ascending);
  op.boolean("sort", options.sort);
  op.boolean("return_indices", options.return_indices);
  if (options.return_indices) op.text("output_indices_dtype", options.output_indices_dtype);
  return op.values();
}

/// x with dim perm[i] moved to place i
template <OneOf<bool, fp16, fp32, int8, int16, int32, uint8, uint16> T>
Tensor<T> transpose(Tensor<T> x, const Ints& perm, Loc loc = here()) {
  OpBuilder op(OpCode::transpose, loc);
  op.operand("x", x);
  op.integers("perm", perm);
  return op.tensor<T>();
}

/// images resized by the scale factors, bilinear
struct UpsampleBilinearOptions {
  double scale_factor_height = 1.0;
  double scale_factor_width = 1.0;
  bool align_corners = true;
  std::optional<bool> half_pixel_centers = {};
};
template <OneOf<fp16, fp32> T>
Tensor<T> upsample_bilinear(Tensor<T> x, const UpsampleBilinearOptions& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::upsample_bilinear, loc);
  op.operand("x", x);
  op.real("scale_factor_height", options.scale_factor_height);
  op.real("scale_factor_width", options.scale_factor_width);
  op.boolean("align_corners", options.align_corners);
  if (options.half_pixel_centers) op.boolean("half_pixel_centers", *options.half_pixel_centers);
  return op.tensor<T>();
}

/// images resized by the scale factors, nearest pixel
struct UpsampleNearestNeighborOptions {
  double scale_factor_height = 1.0;
  double scale_factor_width = 1.0;
};
template <OneOf<fp16, fp32> T>
Tensor<T> upsample_nearest_neighbor(Tensor<T> x, const UpsampleNearestNeighborOptions& options = {},
    Loc loc = here()) {
  OpBuilder op(OpCode::upsample_nearest_neighbor, loc);
  op.operand("x", x);
  op.real("scale_factor_height", options.scale_factor_height);
  op.real("scale_factor_width", options.scale_factor_width);
  return op.tensor<T>();
}

}  // namespace milgen
