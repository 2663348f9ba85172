// What the rows of the op table are written with, and the inference functions that they point at.
//
// The rows stand in op_table_<family>.h, one family per file, as constants that only op_table.cpp
// includes: it puts them into OpCode order and proves while compiling that the table is sound, and
// for that it has to see every row.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "ir/infer.h"
#include "milgen/dtype.h"
#include "milgen/op_info.h"

namespace milgen {

// --- Inference, by family. ---

void infer_like_x(InferContext& ctx);  ///< the result is exactly x's type
void infer_clip(InferContext& ctx);
void infer_cast(InferContext& ctx);
void infer_prelu(InferContext& ctx);
void infer_softplus_parametric(InferContext& ctx);
void infer_softmax(InferContext& ctx);
void infer_arithmetic(InferContext& ctx);  ///< x and y broadcast, dtype theirs
void infer_comparison(InferContext& ctx);  ///< x and y broadcast, dtype bool
void infer_select(InferContext& ctx);
void infer_reduce(InferContext& ctx);
void infer_reduce_arg(InferContext& ctx);
void infer_linear(InferContext& ctx);
void infer_matmul(InferContext& ctx);
void infer_einsum(InferContext& ctx);
void infer_conv(InferContext& ctx);
void infer_conv_transpose(InferContext& ctx);
void infer_pool(InferContext& ctx);
void infer_batch_norm(InferContext& ctx);
void infer_instance_norm(InferContext& ctx);
void infer_l2_norm(InferContext& ctx);
void infer_layer_norm(InferContext& ctx);
void infer_local_response_norm(InferContext& ctx);
void infer_quantize(InferContext& ctx);
void infer_dequantize(InferContext& ctx);
void infer_constexpr_affine_dequantize(InferContext& ctx);
void infer_constexpr_blockwise_shift_scale(InferContext& ctx);
void infer_constexpr_cast(InferContext& ctx);
void infer_constexpr_lut_to_dense(InferContext& ctx);
void infer_constexpr_lut_to_sparse(InferContext& ctx);
void infer_constexpr_sparse_blockwise_shift_scale(InferContext& ctx);
void infer_constexpr_sparse_to_dense(InferContext& ctx);

// tensor_operation
void infer_argsort(InferContext& ctx);
void infer_band_part(InferContext& ctx);
void infer_concat(InferContext& ctx);
void infer_cumsum(InferContext& ctx);
void infer_fill(InferContext& ctx);
void infer_fill_like(InferContext& ctx);
void infer_flatten2d(InferContext& ctx);
void infer_identity(InferContext& ctx);
void infer_non_maximum_suppression(InferContext& ctx);
void infer_non_zero(InferContext& ctx);
void infer_one_hot(InferContext& ctx);
void infer_pad(InferContext& ctx);
void infer_range_1d(InferContext& ctx);
void infer_shape(InferContext& ctx);
void infer_split(InferContext& ctx);
void infer_stack(InferContext& ctx);
void infer_tile(InferContext& ctx);
void infer_topk(InferContext& ctx);
// tensor_transformation
void infer_batch_to_space(InferContext& ctx);
void infer_depth_to_space(InferContext& ctx);
void infer_expand_dims(InferContext& ctx);
void infer_pixel_shuffle(InferContext& ctx);
void infer_pixel_unshuffle(InferContext& ctx);
void infer_reshape(InferContext& ctx);
void infer_reshape_like(InferContext& ctx);
void infer_reverse(InferContext& ctx);
void infer_reverse_sequence(InferContext& ctx);
void infer_slice_by_index(InferContext& ctx);
void infer_slice_by_size(InferContext& ctx);
void infer_slice_update(InferContext& ctx);
void infer_sliding_windows(InferContext& ctx);
void infer_space_to_batch(InferContext& ctx);
void infer_space_to_depth(InferContext& ctx);
void infer_squeeze(InferContext& ctx);
void infer_transpose(InferContext& ctx);
// scatter_gather
void infer_gather(InferContext& ctx);
void infer_gather_along_axis(InferContext& ctx);
void infer_gather_nd(InferContext& ctx);
void infer_scatter(InferContext& ctx);
void infer_scatter_along_axis(InferContext& ctx);
void infer_scatter_nd(InferContext& ctx);
// image_resizing
void infer_affine(InferContext& ctx);
void infer_crop(InferContext& ctx);
void infer_crop_resize(InferContext& ctx);
void infer_resample(InferContext& ctx);
void infer_resize(InferContext& ctx);
void infer_resize_bilinear(InferContext& ctx);
void infer_resize_nearest_neighbor(InferContext& ctx);
void infer_upsample_bilinear(InferContext& ctx);
void infer_upsample_nearest_neighbor(InferContext& ctx);
// random
void infer_random_bernoulli(InferContext& ctx);
void infer_random_categorical(InferContext& ctx);
void infer_random_normal(InferContext& ctx);
void infer_random_uniform(InferContext& ctx);
// recurrent
void infer_gru(InferContext& ctx);
void infer_lstm(InferContext& ctx);
void infer_rnn(InferContext& ctx);
// control_flow
void infer_cond(InferContext& ctx);
void infer_list_gather(InferContext& ctx);
void infer_list_length(InferContext& ctx);
void infer_list_read(InferContext& ctx);
void infer_list_scatter(InferContext& ctx);
void infer_list_write(InferContext& ctx);
void infer_make_list(InferContext& ctx);
void infer_while_loop(InferContext& ctx);
// state, classify, transformer
void infer_classify(InferContext& ctx);
void infer_coreml_update_state(InferContext& ctx);
void infer_read_state(InferContext& ctx);
void infer_scaled_dot_product_attention(InferContext& ctx);
void infer_write_state(InferContext& ctx);

// --- The words that the rows are written with. ---

namespace table {

inline constexpr DTypeSet kBool = DType::boolean;
inline constexpr DTypeSet kInt32 = DType::int32;
inline constexpr DTypeSet kFp32 = DType::fp32;
inline constexpr DTypeSet kString = DType::string;
inline constexpr DTypeSet kFloat{DType::fp16, DType::fp32};
inline constexpr DTypeSet kNumber = kFloat | kInt32;        ///< what arithmetic takes
inline constexpr DTypeSet kNumberOrBool = kNumber | kBool;  ///< what data movement takes at first
inline constexpr DTypeSet kInt8And16{DType::int8, DType::uint8, DType::int16, DType::uint16};
inline constexpr DTypeSet kAnyNumber = kNumber | kInt8And16;  ///< the same from ios17 on
inline constexpr DTypeSet kAnyData = kAnyNumber | kBool;
inline constexpr DTypeSet kIndex{DType::int8, DType::int16, DType::int32};
inline constexpr DTypeSet kByte{DType::int8, DType::uint8};

/// An operand: a tensor of one of `dtypes`, run-time or not.
constexpr Param in(std::string_view name, char domain, DTypeSet dtypes) {
  return {.name = name, .domain = domain, .dtypes = dtypes};
}
constexpr Param in(std::string_view name, DTypeSet dtypes) { return in(name, '\0', dtypes); }

/// An operand whose value must be known when the program is compiled.
constexpr Param fixed(std::string_view name, char domain, DTypeSet dtypes) {
  return {.name = name, .domain = domain, .dtypes = dtypes, .is_const = true};
}
constexpr Param fixed(std::string_view name, DTypeSet dtypes) { return fixed(name, '\0', dtypes); }

/// An argument that is no plain tensor.
constexpr Param of_kind(ParamKind kind, std::string_view name) {
  return {.name = name, .kind = kind};
}

/// The argument, whose value must be known when the program is compiled.
constexpr Param known(Param param) {
  param.is_const = true;
  return param;
}

/// A tuple of tensors; those of one domain must have one dtype.
constexpr Param tuple(std::string_view name, char domain = '\0') {
  return {.name = name, .kind = ParamKind::variadic, .domain = domain};
}

constexpr Default absent() { return {.kind = DefaultKind::absent}; }
constexpr Default whole(double number) { return {.kind = DefaultKind::integer, .number = number}; }
constexpr Default decimal(double number) { return {.kind = DefaultKind::real, .number = number}; }
constexpr Default per_spatial_dim(double number) {
  return {.kind = DefaultKind::spatial_dims, .number = number};
}
constexpr Default per_spatial_side(double number) {
  return {.kind = DefaultKind::spatial_sides, .number = number};
}
constexpr Default rule_of(DefaultKind kind) { return {.kind = kind}; }

/// The argument with a default; without one it is required.
constexpr Param with(Param param, Default def) {
  param.def = def;
  return param;
}
/// The argument may be left out and is then not printed.
constexpr Param opt(Param param) { return with(param, absent()); }

constexpr Param attribute(Form form, std::string_view name, char domain, DTypeSet dtypes,
                          Default def) {
  return {
      .name = name, .form = form, .domain = domain, .dtypes = dtypes, .is_const = true, .def = def};
}

constexpr Param integer(std::string_view name, Default def = {}) {
  return attribute(Form::integer, name, '\0', kInt32, def);
}
constexpr Param integers(std::string_view name, Default def = {}) {
  return attribute(Form::integers, name, '\0', kInt32, def);
}
constexpr Param boolean(std::string_view name) {
  return attribute(Form::boolean, name, '\0', kBool, {});
}
constexpr Param boolean(std::string_view name, bool def) {
  return attribute(Form::boolean, name, '\0', kBool,
                   {.kind = DefaultKind::boolean, .number = def ? 1.0 : 0.0});
}
constexpr Param booleans(std::string_view name) {
  return attribute(Form::booleans, name, '\0', kBool, absent());
}
constexpr Param real(std::string_view name, char domain, DTypeSet dtypes, Default def = {}) {
  return attribute(Form::real, name, domain, dtypes, def);
}
constexpr Param real(std::string_view name, char domain, DTypeSet dtypes, double def) {
  return attribute(Form::real, name, domain, dtypes, decimal(def));
}

/// Integers that are usually known when the graph is built but need not be.
constexpr Param extents(std::string_view name, char domain, DTypeSet dtypes) {
  return {.name = name, .form = Form::extents, .domain = domain, .dtypes = dtypes};
}
constexpr Param extents(std::string_view name) { return extents(name, '\0', kInt32); }

/// One of the words in `choices`; any text when that is empty.
constexpr Param text(std::string_view name, std::string_view choices) {
  Param param = attribute(Form::text, name, '\0', kString, {});
  param.choices = choices;
  return param;
}
constexpr Param text(std::string_view name, std::string_view choices, std::string_view def) {
  return with(text(name, choices), {.kind = DefaultKind::text, .text = def});
}
/// Letter case does not matter to Apple's checks of this argument.
constexpr Param any_case(Param param) {
  param.any_case = true;
  return param;
}
/// Is not written when the boolean argument `condition` is false.
constexpr Param only_with(std::string_view condition, Param param) {
  param.needs = condition;
  return param;
}
/// A text that names the dtype of the result.
constexpr Param result_dtype(Param param) {
  param.form = Form::dtype;
  return param;
}

}  // namespace table
}  // namespace milgen
