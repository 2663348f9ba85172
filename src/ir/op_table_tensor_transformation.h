// Rows of the op table: ops that move elements without changing them.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

inline constexpr Param kBatchToSpaceParams[] = {
    in("x", 'T', kFloat),
    integers("block_shape"),
    fixed("crops", kInt32),
};
inline constexpr Signature kBatchToSpace[] = {{Opset::ios15, kBatchToSpaceParams}};

inline constexpr Param kSpaceToBatchParams[] = {
    in("x", 'T', kFloat),
    integers("block_shape"),
    fixed("paddings", kInt32),
};
inline constexpr Signature kSpaceToBatch[] = {{Opset::ios15, kSpaceToBatchParams}};

// depth_to_space and space_to_depth.
inline constexpr Param kBlockSizeParams[] = {in("x", 'T', kFloat), integer("block_size")};
inline constexpr Signature kBlockSize[] = {{Opset::ios15, kBlockSizeParams}};

inline constexpr Param kPixelShuffleParams[] = {in("x", 'T', kFloat), integer("upscale_factor")};
inline constexpr Signature kPixelShuffle[] = {{Opset::ios15, kPixelShuffleParams}};

inline constexpr Param kPixelUnshuffleParams[] = {
    in("x", 'T', kFloat),
    attribute(Form::integer, "downscale_factor", '\0', DType::uint32, {}),
};
inline constexpr Signature kPixelUnshuffle[] = {{Opset::ios16, kPixelUnshuffleParams}};

inline constexpr Param kExpandDimsIos15[] = {in("x", 'T', kNumberOrBool), integers("axes")};
inline constexpr Param kExpandDimsIos17[] = {in("x", 'T', kAnyData), integers("axes")};
inline constexpr Signature kExpandDims[] = {
    {Opset::ios15, kExpandDimsIos15},
    {Opset::ios17, kExpandDimsIos17},
};

// reverse and squeeze.
inline constexpr Param kSomeAxesIos15[] = {
    in("x", 'T', kNumberOrBool),
    integers("axes", absent()),
};
inline constexpr Param kSomeAxesIos17[] = {in("x", 'T', kAnyData), integers("axes", absent())};
inline constexpr Signature kSomeAxes[] = {
    {Opset::ios15, kSomeAxesIos15},
    {Opset::ios17, kSomeAxesIos17},
};

inline constexpr Param kReshapeIos15[] = {in("x", 'T', kNumberOrBool), extents("shape")};
inline constexpr Param kReshapeIos17[] = {
    in("x", 'T', kAnyData),
    extents("shape", 'U', kIndex),
};
inline constexpr Signature kReshape[] = {
    {Opset::ios15, kReshapeIos15},
    {Opset::ios17, kReshapeIos17},
};

inline constexpr Param kReshapeLikeIos16[] = {
    in("x", 'T', kNumberOrBool), tuple("ref_tensors"), tuple("begins"), tuple("ends"),
    tuple("end_masks"),
};
inline constexpr Param kReshapeLikeIos17[] = {
    in("x", 'T', kAnyData), tuple("ref_tensors"), tuple("begins"),
    tuple("ends"),          tuple("end_masks"),
};
inline constexpr Signature kReshapeLike[] = {
    {Opset::ios16, kReshapeLikeIos16},
    {Opset::ios17, kReshapeLikeIos17},
};

inline constexpr Param kReverseSequenceIos15[] = {
    in("x", 'T', kNumberOrBool),
    in("lengths", kInt32),
    integer("seq_axis", whole(0)),
    integer("batch_axis", whole(0)),
};
inline constexpr Param kReverseSequenceIos17[] = {
    in("x", 'T', kAnyData),
    in("lengths", 'U', kIndex),
    integer("seq_axis", whole(0)),
    integer("batch_axis", whole(0)),
};
inline constexpr Signature kReverseSequence[] = {
    {Opset::ios15, kReverseSequenceIos15},
    {Opset::ios17, kReverseSequenceIos17},
};

inline constexpr Param kSliceByIndexIos15[] = {
    in("x", 'T', kNumberOrBool),  extents("begin"),       extents("end"),
    integers("stride", absent()), booleans("begin_mask"), booleans("end_mask"),
    booleans("squeeze_mask"),
};
inline constexpr Param kSliceByIndexIos17[] = {
    in("x", 'T', kAnyData),      extents("begin", 'U', kIndex),
    extents("end", 'U', kIndex), attribute(Form::integers, "stride", 'U', kIndex, absent()),
    booleans("begin_mask"),      booleans("end_mask"),
    booleans("squeeze_mask"),
};
inline constexpr Signature kSliceByIndex[] = {
    {Opset::ios15, kSliceByIndexIos15},
    {Opset::ios17, kSliceByIndexIos17},
};

inline constexpr Param kSliceUpdateParams[] = {
    in("x", 'T', kAnyData),
    in("update", 'T', kAnyData),
    extents("begin", 'U', kIndex),
    extents("end", 'U', kIndex),
    attribute(Form::integers, "stride", 'U', kIndex, absent()),
    booleans("begin_mask"),
    booleans("end_mask"),
    booleans("squeeze_mask"),
};
inline constexpr Signature kSliceUpdate[] = {{Opset::ios18, kSliceUpdateParams}};

inline constexpr Param kSliceBySizeIos15[] = {
    in("x", 'T', kNumberOrBool),
    extents("begin"),
    extents("size"),
};
inline constexpr Param kSliceBySizeIos17[] = {
    in("x", 'T', kAnyData),
    extents("begin", 'U', kIndex),
    extents("size", 'U', kIndex),
};
inline constexpr Signature kSliceBySize[] = {
    {Opset::ios15, kSliceBySizeIos15},
    {Opset::ios17, kSliceBySizeIos17},
};

inline constexpr Param kSlidingWindowsIos15[] = {
    in("x", 'T', kNumber),
    integer("axis"),
    integer("size"),
    integer("stride", whole(1)),
};
inline constexpr Param kSlidingWindowsIos17[] = {
    in("x", 'T', kAnyData),
    integer("axis"),
    integer("size"),
    integer("stride", whole(1)),
};
inline constexpr Signature kSlidingWindows[] = {
    {Opset::ios15, kSlidingWindowsIos15},
    {Opset::ios17, kSlidingWindowsIos17},
};

inline constexpr Param kTransposeIos15[] = {in("x", 'T', kNumberOrBool), integers("perm")};
inline constexpr Param kTransposeIos17[] = {in("x", 'T', kAnyData), integers("perm")};
inline constexpr Signature kTranspose[] = {
    {Opset::ios15, kTransposeIos15},
    {Opset::ios17, kTransposeIos17},
};

constexpr OpInfo transformation(OpCode code, std::string_view name,
                                std::span<const Signature> signatures, void (*infer)(InferContext&),
                                std::string_view summary) {
  return {.code = code,
          .name = name,
          .family = "tensor_transformation",
          .summary = summary,
          .signatures = signatures,
          .infer = infer};
}

inline constexpr OpInfo kTensorTransformationOps[] = {
    transformation(OpCode::batch_to_space, "batch_to_space", kBatchToSpace, infer_batch_to_space,
                   "batch entries laid out as blocks of the image, then cropped"),
    transformation(OpCode::depth_to_space, "depth_to_space", kBlockSize, infer_depth_to_space,
                   "channels laid out as blocks of the image, the block being the outer factor"),
    transformation(OpCode::expand_dims, "expand_dims", kExpandDims, infer_expand_dims,
                   "x with a new dim of 1 at each of axes of the result"),
    transformation(OpCode::pixel_shuffle, "pixel_shuffle", kPixelShuffle, infer_pixel_shuffle,
                   "channels laid out as blocks of the image, the block being the inner factor"),
    transformation(OpCode::pixel_unshuffle, "pixel_unshuffle", kPixelUnshuffle,
                   infer_pixel_unshuffle, "blocks of the image laid out as channels"),
    transformation(OpCode::reshape, "reshape", kReshape, infer_reshape,
                   "the elements of x in another shape; -1 is worked out, 0 copies x's dim"),
    transformation(OpCode::reshape_like, "reshape_like", kReshapeLike, infer_reshape_like,
                   "the elements of x in a shape put together from dims of ref_tensors"),
    transformation(OpCode::reverse, "reverse", kSomeAxes, infer_reverse,
                   "x back to front along axes, or along all of them"),
    transformation(OpCode::reverse_sequence, "reverse_sequence", kReverseSequence,
                   infer_reverse_sequence,
                   "for each batch entry i, its first lengths[i] elements back to front"),
    transformation(OpCode::slice_by_index, "slice_by_index", kSliceByIndex, infer_slice_by_index,
                   "x[begin:end:stride]; the masks open an end or drop the dim"),
    transformation(OpCode::slice_by_size, "slice_by_size", kSliceBySize, infer_slice_by_size,
                   "size elements of x from begin on; a size of -1 takes all that follow"),
    transformation(OpCode::slice_update, "slice_update", kSliceUpdate, infer_slice_update,
                   "x with update in the place that slice_by_index would read"),
    transformation(OpCode::sliding_windows, "sliding_windows", kSlidingWindows,
                   infer_sliding_windows,
                   "every window of size elements along axis, as a new dim after it"),
    transformation(OpCode::space_to_batch, "space_to_batch", kSpaceToBatch, infer_space_to_batch,
                   "the padded image's blocks laid out as batch entries"),
    transformation(OpCode::space_to_depth, "space_to_depth", kBlockSize, infer_space_to_depth,
                   "blocks of the image laid out as channels, the block being the outer factor"),
    transformation(OpCode::squeeze, "squeeze", kSomeAxes, infer_squeeze,
                   "x without the dims of 1 among axes, or without any"),
    transformation(OpCode::transpose, "transpose", kTranspose, infer_transpose,
                   "x with dim perm[i] moved to place i"),
};

}  // namespace milgen::table
