// Rows of the op table: resizing, cropping and resampling of images.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

inline constexpr DTypeSet kScaleFactor{DType::fp32, DType::int32};
inline constexpr std::string_view kSampling =
    "DEFAULT STRICT_ALIGN_CORNERS ALIGN_CORNERS UNALIGN_CORNERS OFFSET_CORNERS";
inline constexpr std::string_view kBoxCoordinates =
    "CORNERS_HEIGHT_FIRST CORNERS_WIDTH_FIRST CENTER_SIZE_HEIGHT_FIRST CENTER_SIZE_WIDTH_FIRST";

inline constexpr Param kUpsampleNearestNeighborParams[] = {
    in("x", 'T', kFloat),
    real("scale_factor_height", 'U', kScaleFactor, whole(1)),
    real("scale_factor_width", 'U', kScaleFactor, whole(1)),
};
inline constexpr Signature kUpsampleNearestNeighbor[] = {
    {Opset::ios15, kUpsampleNearestNeighborParams},
};

inline constexpr Param kUpsampleBilinearIos15[] = {
    in("x", 'T', kFloat),
    real("scale_factor_height", 'U', kScaleFactor, whole(1)),
    real("scale_factor_width", 'U', kScaleFactor, whole(1)),
    boolean("align_corners", true),
};
inline constexpr Param kUpsampleBilinearIos16[] = {
    in("x", 'T', kFloat),
    real("scale_factor_height", 'U', kScaleFactor, whole(1)),
    real("scale_factor_width", 'U', kScaleFactor, whole(1)),
    boolean("align_corners", true),
    opt(boolean("half_pixel_centers")),
};
inline constexpr Signature kUpsampleBilinear[] = {
    {Opset::ios15, kUpsampleBilinearIos15},
    {Opset::ios16, kUpsampleBilinearIos16},
};

inline constexpr Param kResizeNearestNeighborParams[] = {
    in("x", 'T', kFloat),
    integer("target_size_height"),
    integer("target_size_width"),
};
inline constexpr Signature kResizeNearestNeighbor[] = {
    {Opset::ios15, kResizeNearestNeighborParams},
};

inline constexpr Param kResizeBilinearParams[] = {
    in("x", 'T', kFloat),
    integer("target_size_height", whole(1)),
    integer("target_size_width", whole(1)),
    text("sampling_mode", kSampling, "DEFAULT"),
};
inline constexpr Signature kResizeBilinear[] = {{Opset::ios15, kResizeBilinearParams}};

inline constexpr Param kResizeParams[] = {
    in("x", 'T', kNumber),
    extents("shape", 'U', {DType::int32, DType::int16, DType::uint16, DType::uint32}),
    attribute(Form::integer, "resized_dims", '\0', DType::uint32, {}),
    text("interpolation_mode", "LINEAR NEAREST_NEIGHBOR", "LINEAR"),
    text("sampling_mode", kSampling, "DEFAULT"),
};
inline constexpr Signature kResize[] = {{Opset::ios17, kResizeParams}};

inline constexpr Param kCropResizeIos15[] = {
    in("x", 'T', kFloat),
    in("roi", 'T', kFloat),
    integer("target_height", whole(1)),
    integer("target_width", whole(1)),
    boolean("normalized_coordinates", false),
    real("spatial_scale", '\0', kFp32, 1.0),
    text("box_coordinate_mode", kBoxCoordinates, "CORNERS_HEIGHT_FIRST"),
    text("sampling_mode", kSampling, "DEFAULT"),
};
inline constexpr Param kCropResizeIos16[] = {
    in("x", 'T', kFloat),
    in("roi", 'T', kFloat),
    integer("target_height", whole(1)),
    integer("target_width", whole(1)),
    boolean("normalized_coordinates", false),
    real("spatial_scale", '\0', kFp32, 1.0),
    text("box_coordinate_mode", kBoxCoordinates, "CORNERS_HEIGHT_FIRST"),
    text("sampling_mode", kSampling, "DEFAULT"),
    real("pad_value", 'T', kFloat, 0.0),
};
inline constexpr Param kCropResizeIos17[] = {
    in("x", 'T', kFloat),
    in("boxes", 'B', kFloat | DTypeSet(DType::uint16)),
    with(in("box_indices", 'N', {DType::uint16, DType::int32}), rule_of(DefaultKind::box_range)),
    integer("target_height", whole(1)),
    integer("target_width", whole(1)),
    boolean("normalized_coordinates", false),
    real("spatial_scale", '\0', kFp32, 1.0),
    text("box_coordinate_mode", kBoxCoordinates, "CORNERS_HEIGHT_FIRST"),
    text("sampling_mode", kSampling, "DEFAULT"),
    real("pad_value", 'T', kFloat, 0.0),
};
inline constexpr Signature kCropResize[] = {
    {Opset::ios15, kCropResizeIos15},
    {Opset::ios16, kCropResizeIos16},
    {Opset::ios17, kCropResizeIos17},
};

inline constexpr Param kCropParams[] = {
    in("x", 'T', kFloat),
    integers("crop_height"),
    integers("crop_width"),
};
inline constexpr Signature kCrop[] = {{Opset::ios15, kCropParams}};

// affine knows one mode of each kind only.
inline constexpr Param kAffineParams[] = {
    in("x", 'T', kFloat),
    in("transform_matrix", 'T', kFloat),
    integer("output_height"),
    integer("output_width"),
    any_case(text("sampling_mode", "bilinear")),
    any_case(text("padding_mode", "constant")),
    real("padding_value", 'T', kFloat),
    any_case(text("coordinates_mode", "normalized_minus_one_to_one")),
    boolean("align_corners"),
};
inline constexpr Signature kAffine[] = {{Opset::ios15, kAffineParams}};

constexpr Param resample_sampling() { return any_case(text("sampling_mode", "nearest bilinear")); }
constexpr Param resample_padding() {
  return any_case(text("padding_mode", "constant border reflection symmetric"));
}
constexpr Param resample_coordinates() {
  return any_case(
      text("coordinates_mode", "unnormalized normalized_minus_one_to_one normalized_zero_to_one"));
}

inline constexpr Param kResampleIos15[] = {
    in("x", 'T', kFloat),
    in("coordinates", 'U', {DType::int32, DType::fp32}),
    resample_sampling(),
    resample_padding(),
    real("padding_value", 'T', kFloat),
    resample_coordinates(),
    boolean("align_corners"),
};
inline constexpr Param kResampleIos16[] = {
    in("x", 'T', kFloat),     in("coordinates", 'U', kNumber),    resample_sampling(),
    resample_padding(),       real("padding_value", 'T', kFloat), resample_coordinates(),
    boolean("align_corners"),
};
inline constexpr Param kResampleIos17[] = {
    in("x", 'T', kFloat),     in("coordinates", 'U', kAnyNumber), resample_sampling(),
    resample_padding(),       real("padding_value", 'T', kFloat), resample_coordinates(),
    boolean("align_corners"),
};
inline constexpr Signature kResample[] = {
    {Opset::ios15, kResampleIos15},
    {Opset::ios16, kResampleIos16},
    {Opset::ios17, kResampleIos17},
};

constexpr OpInfo image_op(OpCode code, std::string_view name, std::span<const Signature> signatures,
                          void (*infer)(InferContext&), std::string_view summary) {
  return {.code = code,
          .name = name,
          .family = "image_resizing",
          .summary = summary,
          .signatures = signatures,
          .infer = infer};
}

inline constexpr OpInfo kImageResizingOps[] = {
    image_op(OpCode::affine, "affine", kAffine, infer_affine,
             "x sampled where transform_matrix, [B, 6], sends the pixels of the result"),
    image_op(OpCode::crop, "crop", kCrop, infer_crop,
             "x without crop_height rows and crop_width columns at its edges"),
    image_op(OpCode::crop_resize, "crop_resize", kCropResize, infer_crop_resize,
             "the parts of x inside boxes, each resized to the target size"),
    image_op(OpCode::resample, "resample", kResample, infer_resample,
             "x sampled at coordinates, [B, H_out, W_out, 2]"),
    image_op(OpCode::resize, "resize", kResize, infer_resize,
             "the last resized_dims dims of x resized to those of shape; 0 keeps one"),
    image_op(OpCode::resize_bilinear, "resize_bilinear", kResizeBilinear, infer_resize_bilinear,
             "images resized to the target size, bilinear"),
    image_op(OpCode::resize_nearest_neighbor, "resize_nearest_neighbor", kResizeNearestNeighbor,
             infer_resize_nearest_neighbor, "images resized to the target size, nearest pixel"),
    image_op(OpCode::upsample_bilinear, "upsample_bilinear", kUpsampleBilinear,
             infer_upsample_bilinear, "images resized by the scale factors, bilinear"),
    image_op(OpCode::upsample_nearest_neighbor, "upsample_nearest_neighbor",
             kUpsampleNearestNeighbor, infer_upsample_nearest_neighbor,
             "images resized by the scale factors, nearest pixel"),
};

}  // namespace milgen::table
