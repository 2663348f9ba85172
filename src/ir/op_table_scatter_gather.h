// Rows of the op table: reading and writing at indices.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

inline constexpr DTypeSet kIndicesIos16{DType::int32, DType::int16, DType::uint16};
inline constexpr DTypeSet kIndicesIos17 = kInt32 | kInt8And16;
inline constexpr std::string_view kScatterModes = "add div max min mul sub update";

inline constexpr Param kGatherIos15[] = {
    in("x", 'T', kNumber),
    in("indices", kInt32),
    integer("axis", whole(0)),
};
inline constexpr Param kGatherIos16[] = {
    in("x", 'T', kNumber),
    in("indices", 'I', kIndicesIos16),
    integer("axis", whole(0)),
    integer("batch_dims", whole(0)),
};
inline constexpr Param kGatherIos17[] = {
    in("x", 'T', kAnyNumber),        in("indices", 'I', kIndicesIos17),  integer("axis", whole(0)),
    integer("batch_dims", whole(0)), boolean("validate_indices", false),
};
inline constexpr Signature kGather[] = {
    {Opset::ios15, kGatherIos15},
    {Opset::ios16, kGatherIos16},
    {Opset::ios17, kGatherIos17},
};

inline constexpr Param kGatherAlongAxisIos15[] = {
    in("x", 'T', kNumber),
    in("indices", kInt32),
    integer("axis", whole(0)),
};
inline constexpr Param kGatherAlongAxisIos16[] = {
    in("x", 'T', kNumber),
    in("indices", 'I', kIndicesIos16),
    integer("axis", whole(0)),
};
inline constexpr Param kGatherAlongAxisIos17[] = {
    in("x", 'T', kAnyNumber),
    in("indices", 'I', kIndicesIos17),
    integer("axis", whole(0)),
    boolean("validate_indices", false),
};
inline constexpr Signature kGatherAlongAxis[] = {
    {Opset::ios15, kGatherAlongAxisIos15},
    {Opset::ios16, kGatherAlongAxisIos16},
    {Opset::ios17, kGatherAlongAxisIos17},
};

inline constexpr Param kGatherNdIos15[] = {in("x", 'T', kNumber), in("indices", kInt32)};
inline constexpr Param kGatherNdIos16[] = {
    in("x", 'T', kNumber),
    in("indices", 'I', kIndicesIos16),
    integer("batch_dims", whole(0)),
};
inline constexpr Param kGatherNdIos17[] = {
    in("x", 'T', kAnyNumber),
    in("indices", 'I', kIndicesIos17),
    integer("batch_dims", whole(0)),
    boolean("validate_indices", false),
};
inline constexpr Signature kGatherNd[] = {
    {Opset::ios15, kGatherNdIos15},
    {Opset::ios16, kGatherNdIos16},
    {Opset::ios17, kGatherNdIos17},
};

// scatter and scatter_along_axis.
inline constexpr Param kScatterIos15[] = {
    in("data", 'T', kNumber),           in("indices", kInt32),
    in("updates", 'T', kNumber),        integer("axis", whole(0)),
    text("mode", kScatterModes, "add"),
};
inline constexpr Param kScatterIos17[] = {
    in("data", 'T', kNumber),           in("indices", kInt32),
    in("updates", 'T', kNumber),        integer("axis", whole(0)),
    text("mode", kScatterModes, "add"), boolean("validate_indices", false),
};
inline constexpr Signature kScatter[] = {
    {Opset::ios15, kScatterIos15},
    {Opset::ios17, kScatterIos17},
};

inline constexpr Param kScatterNdIos15[] = {
    in("data", 'T', kNumber),
    in("indices", kInt32),
    in("updates", 'T', kNumber),
    text("mode", kScatterModes, "add"),
};
inline constexpr Param kScatterNdIos17[] = {
    in("data", 'T', kNumber),           in("indices", kInt32),
    in("updates", 'T', kNumber),        text("mode", kScatterModes, "add"),
    boolean("validate_indices", false),
};
inline constexpr Signature kScatterNd[] = {
    {Opset::ios15, kScatterNdIos15},
    {Opset::ios17, kScatterNdIos17},
};

constexpr OpInfo at_indices(OpCode code, std::string_view name,
                            std::span<const Signature> signatures, void (*infer)(InferContext&),
                            std::string_view summary) {
  return {.code = code,
          .name = name,
          .family = "scatter_gather",
          .summary = summary,
          .signatures = signatures,
          .infer = infer};
}

inline constexpr OpInfo kScatterGatherOps[] = {
    at_indices(OpCode::gather, "gather", kGather, infer_gather,
               "the slices of x along axis that indices name"),
    at_indices(OpCode::gather_along_axis, "gather_along_axis", kGatherAlongAxis,
               infer_gather_along_axis,
               "for each entry of indices, the element of x at that place along axis"),
    at_indices(OpCode::gather_nd, "gather_nd", kGatherNd, infer_gather_nd,
               "the slices of x that the rows of indices (its last dim) name"),
    at_indices(OpCode::scatter, "scatter", kScatter, infer_scatter,
               "data with updates worked by mode into the slices along axis that indices name"),
    at_indices(OpCode::scatter_along_axis, "scatter_along_axis", kScatter, infer_scatter_along_axis,
               "data with each element of updates worked in at its index along axis"),
    at_indices(OpCode::scatter_nd, "scatter_nd", kScatterNd, infer_scatter_nd,
               "data with updates worked in at the slices that the rows of indices name"),
};

}  // namespace milgen::table
