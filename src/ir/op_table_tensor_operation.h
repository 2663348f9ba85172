// Rows of the op table: making, joining, splitting and sorting tensors.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

inline constexpr Param kArgsortParams[] = {
    in("x", 'T', kNumber),
    integer("axis", whole(-1)),
    boolean("ascending", false),
};
inline constexpr Signature kArgsort[] = {{Opset::ios15, kArgsortParams}};

inline constexpr Param kBandPartParams[] = {
    in("x", 'T', kNumberOrBool),
    integer("lower", whole(-1)),
    integer("upper", whole(-1)),
};
inline constexpr Signature kBandPart[] = {{Opset::ios15, kBandPartParams}};

inline constexpr Param kConcatParams[] = {
    tuple("values", 'T'),
    integer("axis"),
    boolean("interleave", false),
};
inline constexpr Signature kConcat[] = {{Opset::ios15, kConcatParams}};

inline constexpr Param kCumsumParams[] = {
    in("x", 'T', kNumber),
    integer("axis", whole(0)),
    boolean("exclusive", false),
    boolean("reverse", false),
};
inline constexpr Signature kCumsum[] = {{Opset::ios15, kCumsumParams}};

inline constexpr Param kFillParams[] = {
    extents("shape"),
    real("value", 'T', kNumberOrBool, 0.0),
};
inline constexpr Signature kFill[] = {{Opset::ios15, kFillParams}};

inline constexpr Param kFillLikeParams[] = {
    in("ref_tensor", 'T', kNumberOrBool),
    real("value", 'U', kNumberOrBool, 0.0),
};
inline constexpr Signature kFillLike[] = {{Opset::ios16, kFillLikeParams}};

inline constexpr Param kFlatten2dParams[] = {
    in("x", 'T', kNumberOrBool),
    integer("axis", whole(1)),
};
inline constexpr Signature kFlatten2d[] = {{Opset::ios15, kFlatten2dParams}};

inline constexpr Param kIdentityParams[] = {of_kind(ParamKind::any, "x")};
inline constexpr Signature kIdentity[] = {{Opset::ios15, kIdentityParams}};

inline constexpr Param kNonMaximumSuppressionIos15[] = {
    in("boxes", 'T', kFloat),
    in("scores", 'T', kFloat),
    real("iou_threshold", 'T', kFloat),
    real("score_threshold", 'T', kFloat),
    integer("max_boxes"),
    boolean("per_class_suppression", false),
};
inline constexpr Param kNonMaximumSuppressionIos17[] = {
    in("boxes", 'T', kFloat),
    in("scores", 'T', kFloat),
    real("iou_threshold", 'T', kFloat),
    integer("max_boxes"),
    boolean("per_class_suppression", false),
};
inline constexpr Signature kNonMaximumSuppression[] = {
    {Opset::ios15, kNonMaximumSuppressionIos15},
    {Opset::ios17, kNonMaximumSuppressionIos17},
};

inline constexpr Param kNonZeroParams[] = {in("x", 'T', kNumberOrBool)};
inline constexpr Signature kNonZero[] = {{Opset::ios15, kNonZeroParams}};

inline constexpr Param kOneHotParams[] = {
    in("indices", kInt32),
    in("one_hot_vector_size", kInt32),
    integer("axis", whole(-1)),
    real("on_value", 'T', kNumberOrBool, whole(1)),
    real("off_value", 'T', kNumberOrBool, whole(0)),
};
inline constexpr Signature kOneHot[] = {{Opset::ios15, kOneHotParams}};

inline constexpr Param kPadParams[] = {
    in("x", 'T', kFloat),
    extents("pad"),
    text("mode", "constant reflect replicate", "constant"),
    real("constant_val", 'T', kFloat, 0.0),
};
inline constexpr Signature kPad[] = {{Opset::ios15, kPadParams}};

inline constexpr Param kRange1dParams[] = {
    in("end", 'T', kNumber),
    in("start", 'T', kNumber),
    in("step", 'T', kNumber),
};
inline constexpr Signature kRange1d[] = {{Opset::ios15, kRange1dParams}};

inline constexpr Param kShapeParams[] = {in("x", 'T', kNumberOrBool)};
inline constexpr Signature kShape[] = {{Opset::ios15, kShapeParams}};

inline constexpr Param kSplitParams[] = {
    in("x", 'T', kNumberOrBool),
    integer("num_splits", absent()),
    integers("split_sizes", absent()),
    integer("axis"),
};
inline constexpr Signature kSplit[] = {{Opset::ios15, kSplitParams}};

inline constexpr Param kStackParams[] = {tuple("values", 'T'), integer("axis")};
inline constexpr Signature kStack[] = {{Opset::ios15, kStackParams}};

inline constexpr Param kTileParams[] = {in("x", 'T', kNumberOrBool), extents("reps")};
inline constexpr Signature kTile[] = {{Opset::ios15, kTileParams}};

inline constexpr Param kTopkIos15[] = {
    in("x", 'T', kNumber),
    integer("k", whole(1)),
    integer("axis", whole(-1)),
    boolean("ascending", false),
};
inline constexpr Param kTopkIos16[] = {
    in("x", 'T', kNumber),       integer("k", whole(1)), integer("axis", whole(-1)),
    boolean("ascending", false), boolean("sort", true),  boolean("return_indices", true),
};
inline constexpr Param kTopkIos17[] = {
    in("x", 'T', kAnyNumber),
    attribute(Form::integer, "k", 'K', kIndex, whole(1)),
    integer("axis", whole(-1)),
    boolean("ascending", false),
    boolean("sort", true),
    boolean("return_indices", true),
    only_with("return_indices", text("output_indices_dtype", "int32 uint16", "int32")),
};
inline constexpr Signature kTopk[] = {
    {Opset::ios15, kTopkIos15},
    {Opset::ios16, kTopkIos16},
    {Opset::ios17, kTopkIos17},
};

inline constexpr OpInfo kTensorOperationOps[] = {
    {.code = OpCode::argsort,
     .name = "argsort",
     .family = "tensor_operation",
     .summary = "the indices that would sort x along axis",
     .signatures = kArgsort,
     .result_dtype = ResultDType::int32,
     .infer = infer_argsort},
    {.code = OpCode::band_part,
     .name = "band_part",
     .family = "tensor_operation",
     .summary = "the diagonals -lower to upper of each matrix, zero elsewhere; -1 keeps all",
     .signatures = kBandPart,
     .infer = infer_band_part},
    {.code = OpCode::concat,
     .name = "concat",
     .family = "tensor_operation",
     .summary = "the values one after another along axis, or with their slices interleaved",
     .signatures = kConcat,
     .infer = infer_concat},
    {.code = OpCode::cumsum,
     .name = "cumsum",
     .family = "tensor_operation",
     .summary = "sum of all elements so far along axis; exclusive leaves out the own one",
     .signatures = kCumsum,
     .infer = infer_cumsum},
    {.code = OpCode::fill,
     .name = "fill",
     .family = "tensor_operation",
     .summary = "a tensor of the given shape, every element being value",
     .signatures = kFill,
     .infer = infer_fill},
    {.code = OpCode::fill_like,
     .name = "fill_like",
     .family = "tensor_operation",
     .summary = "a tensor of ref_tensor's shape, every element being value",
     .signatures = kFillLike,
     .result_domain = 'U',
     .infer = infer_fill_like},
    {.code = OpCode::flatten2d,
     .name = "flatten2d",
     .family = "tensor_operation",
     .summary = "a matrix: the dims before axis make its rows, the others its columns",
     .signatures = kFlatten2d,
     .infer = infer_flatten2d},
    {.code = OpCode::identity,
     .name = "identity",
     .family = "tensor_operation",
     .summary = "x unchanged",
     .signatures = kIdentity,
     .result_dtype = ResultDType::inferred,
     .infer = infer_identity},
    {.code = OpCode::non_maximum_suppression,
     .name = "non_maximum_suppression",
     .family = "tensor_operation",
     .summary = "the best boxes, without those that overlap a better one by iou_threshold",
     .signatures = kNonMaximumSuppression,
     .results = ResultCount::by_inference,
     .result_dtype = ResultDType::inferred,
     .note = "boxes, scores and indices; before ios17 also the number of boxes of each image",
     .infer = infer_non_maximum_suppression},
    {.code = OpCode::non_zero,
     .name = "non_zero",
     .family = "tensor_operation",
     .summary = "the indices of the elements of x that are not zero, one row each",
     .signatures = kNonZero,
     .result_dtype = ResultDType::int32,
     .infer = infer_non_zero},
    {.code = OpCode::one_hot,
     .name = "one_hot",
     .family = "tensor_operation",
     .summary = "a new dim at axis: on_value where its index equals the entry of indices",
     .signatures = kOneHot,
     .infer = infer_one_hot},
    {.code = OpCode::pad,
     .name = "pad",
     .family = "tensor_operation",
     .summary = "x with pad[2i] elements put before and pad[2i+1] after each of its last dims",
     .signatures = kPad,
     .infer = infer_pad},
    {.code = OpCode::range_1d,
     .name = "range_1d",
     .family = "tensor_operation",
     .summary = "start, start + step, ... as long as end is not reached",
     .signatures = kRange1d,
     .infer = infer_range_1d},
    {.code = OpCode::shape,
     .name = "shape",
     .family = "tensor_operation",
     .summary = "the dims of x as a list of int32",
     .signatures = kShape,
     .result_dtype = ResultDType::int32,
     .infer = infer_shape},
    {.code = OpCode::split,
     .name = "split",
     .family = "tensor_operation",
     .summary = "x cut along axis into num_splits equal parts or parts of split_sizes",
     .signatures = kSplit,
     .results = ResultCount::by_inference,
     .infer = infer_split},
    {.code = OpCode::stack,
     .name = "stack",
     .family = "tensor_operation",
     .summary = "the values, all of one shape, side by side along a new dim at axis",
     .signatures = kStack,
     .infer = infer_stack},
    {.code = OpCode::tile,
     .name = "tile",
     .family = "tensor_operation",
     .summary = "x repeated reps[i] times along dim i",
     .signatures = kTile,
     .infer = infer_tile},
    {.code = OpCode::topk,
     .name = "topk",
     .family = "tensor_operation",
     .summary = "the k greatest elements along axis (smallest when ascending) and their indices",
     .signatures = kTopk,
     .results = ResultCount::by_inference,
     .result_dtype = ResultDType::inferred,
     .note = "values, and indices unless return_indices is false",
     .infer = infer_topk},
};

}  // namespace milgen::table
