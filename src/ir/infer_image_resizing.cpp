// Inference: resizing, cropping and sampling of images.
#include <cmath>
#include <cstddef>

#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {

using namespace detail;

namespace {

/// floor(dim * factor) of an upsampling.
bool scale_dim(InferContext& ctx, std::string_view param, std::int64_t& dim) {
  const double factor = ctx.real(param, 1);
  // Negated, so that a NaN is refused as well.
  if (!(factor > 0)) {
    ctx.error(rule<"upsample.factor">, param,
              fmt::format("{} is {} but must be greater than 0", param, factor));
    return false;
  }
  if (!known(dim)) {
    dim = kUnknownDim;
    return true;
  }
  // The factor is the fp32 that the text has, the product is not rounded to one: 5 elements by 2.6
  // are 12, because the nearest fp32 is below 2.6 (a recorded case of eval_cases).
  const double scaled = std::floor(static_cast<double>(dim) * factor);
  constexpr double kMost = 4611686018427387904;  // 2^62
  // Negated, because no elements times an endless factor are not a number.
  if (!(scaled < kMost)) {
    const std::string operands = fmt::format("x {}", param);
    ctx.error(rule<"shape.overflow">, operands,
              fmt::format("{} * {} elements are more than 63 bits count", dim, factor));
    return false;
  }
  dim = static_cast<std::int64_t>(scaled);
  return true;
}

void infer_upsample(InferContext& ctx) {
  if (!need_rank_from(ctx, rule<"upsample.rank">, "x", 3)) return;
  const TypeView x = ctx.type("x");
  Shape out(x.shape);
  if (!scale_dim(ctx, "scale_factor_height", out[out.size() - 2]) ||
      !scale_dim(ctx, "scale_factor_width", out[out.size() - 1])) {
    return;
  }
  ctx.result(x.dtype, out);
}

void infer_resize_images(InferContext& ctx) {
  if (!need_rank_from(ctx, rule<"resize_images.rank">, "x", 3)) return;
  const TypeView x = ctx.type("x");
  Shape out(x.shape);
  if (!need_at_least(ctx, rule<"resize_images.size">, "target_size_height", 1, 1,
                     out[out.size() - 2]) ||
      !need_at_least(ctx, rule<"resize_images.size">, "target_size_width", 1, 1,
                     out[out.size() - 1])) {
    return;
  }
  ctx.result(x.dtype, out);
}

/// The dim that crop_height or crop_width leaves.
bool crop_dim(InferContext& ctx, std::string_view param, std::int64_t& dim) {
  const std::span<const std::int64_t> margins = list_of(ctx, param);
  if (margins.size() != 2) {
    ctx.error(
        rule<"crop.length">, param,
        fmt::format("{} has {} entries but takes 2: before and after", param, margins.size()));
    return false;
  }
  std::int64_t cropped = 0;
  for (const std::int64_t margin : margins) {
    if (margin < 0) {
      ctx.error(rule<"crop.margin">, param,
                fmt::format("{} holds {} but a margin is 0 or more", param, margin));
      return false;
    }
    if (!add_dims(ctx, param, cropped, margin, cropped)) return false;
  }
  if (cropped == 0) return true;
  if (known(dim) && cropped >= dim) {
    const std::string operands = fmt::format("x {}", param);
    ctx.error(rule<"crop.margin">, operands,
              fmt::format("{} takes {} elements off a dim of {}", param, cropped, dim));
    return false;
  }
  dim = known(dim) ? dim - cropped : kUnknownDim;
  return true;
}

/// crop_resize before ios17: roi of shape [N, 1, 4 or 5, 1, 1].
void infer_crop_resize_roi(InferContext& ctx, const TypeView& x, std::int64_t height,
                           std::int64_t width) {
  if (!need_rank(ctx, rule<"crop_resize.roi">, "roi", 5)) return;
  const TypeView roi = ctx.type("roi");
  const std::int64_t entries = roi.dim(2);
  if (!(compatible(entries, 4) || entries == 5) || !compatible(roi.dim(1), 1) ||
      !compatible(roi.dim(3), 1) || !compatible(roi.dim(4), 1)) {
    ctx.error(rule<"crop_resize.roi">, "roi",
              fmt::format("{} has shape {} but must have [N, 1, 4, 1, 1], or [N, 1, 5, 1, 1] with "
                          "the image's index in front",
                          ctx.describe("roi"), shape_text(roi.shape)));
    return;
  }
  // Four coordinates cut the box out of every image; with an index in front each box says which
  // image it is for, so that there is one result for it (op_semantics, bugs met: coremltools infers
  // the whole batch there).
  const std::int64_t images = entries == 5 ? 1 : known(entries) ? x.dim(0) : kUnknownDim;
  ctx.result(x.dtype, Shape{roi.dim(0), images, x.dim(1), height, width});
}

/// crop_resize from ios17 on: boxes of shape [N, 4], box_indices of shape [N].
void infer_crop_resize_boxes(InferContext& ctx, const TypeView& x, std::int64_t height,
                             std::int64_t width) {
  if (!need_shape(ctx, rule<"crop_resize.boxes">, "boxes", Shape{kUnknownDim, 4})) return;
  const TypeView boxes = ctx.type("boxes");
  const std::int64_t count = boxes.dim(0);
  const std::int64_t batch = x.dim(0);
  if (ctx.boolean("normalized_coordinates") && boxes.dtype == DType::uint16) {
    ctx.error(rule<"crop_resize.normalized">, "boxes normalized_coordinates",
              fmt::format("{} is uint16 but normalized coordinates lie between 0 and 1",
                          ctx.describe("boxes")));
    return;
  }
  if (!ctx.has("box_indices")) {
    if (known(count) && known(batch) && count > batch) {
      ctx.error(
          rule<"crop_resize.images">, "boxes x",
          fmt::format("{} has {} boxes but {} has {} images, and without box_indices box i is "
                      "for image i",
                      ctx.describe("boxes"), count, ctx.describe("x"), batch));
      return;
    }
  } else {
    if (!need_shape(ctx, rule<"crop_resize.indices">, "box_indices", Shape{count})) return;
    for (const std::int64_t index : list_of(ctx, "box_indices")) {
      if (index >= 0 && (!known(batch) || index < batch)) continue;
      ctx.error(rule<"crop_resize.images">, "box_indices x",
                fmt::format("{} holds {} but {} has {} images", ctx.describe("box_indices"), index,
                            ctx.describe("x"), known(batch) ? std::to_string(batch) : "0 or more"));
      return;
    }
  }
  ctx.result(x.dtype, Shape{count, x.dim(1), height, width});
}

}  // namespace

void infer_upsample_nearest_neighbor(InferContext& ctx) { infer_upsample(ctx); }
void infer_upsample_bilinear(InferContext& ctx) { infer_upsample(ctx); }
void infer_resize_nearest_neighbor(InferContext& ctx) { infer_resize_images(ctx); }
void infer_resize_bilinear(InferContext& ctx) { infer_resize_images(ctx); }

void infer_crop(InferContext& ctx) {
  if (!need_rank_from(ctx, rule<"crop.rank">, "x", 3)) return;
  const TypeView x = ctx.type("x");
  Shape out(x.shape);
  if (!crop_dim(ctx, "crop_height", out[out.size() - 2]) ||
      !crop_dim(ctx, "crop_width", out[out.size() - 1])) {
    return;
  }
  ctx.result(x.dtype, out);
}

void infer_crop_resize(InferContext& ctx) {
  std::int64_t height = 0;
  std::int64_t width = 0;
  if (!need_rank(ctx, rule<"crop_resize.rank">, "x", 4) ||
      !need_at_least(ctx, rule<"crop_resize.size">, "target_height", 1, 1, height) ||
      !need_at_least(ctx, rule<"crop_resize.size">, "target_width", 1, 1, width)) {
    return;
  }
  const TypeView x = ctx.type("x");
  if (ctx.opset() >= Opset::ios17) {
    infer_crop_resize_boxes(ctx, x, height, width);
  } else {
    infer_crop_resize_roi(ctx, x, height, width);
  }
}

void infer_affine(InferContext& ctx) {
  std::int64_t height = 0;
  std::int64_t width = 0;
  if (!need_rank(ctx, rule<"affine.rank">, "x", 4) ||
      !need_at_least(ctx, rule<"affine.size">, "output_height", 1, 1, height) ||
      !need_at_least(ctx, rule<"affine.size">, "output_width", 1, 1, width)) {
    return;
  }
  const TypeView x = ctx.type("x");
  const TypeView matrix = ctx.type("transform_matrix");
  const bool is_matrix = matrix.rank() == 2 && compatible(matrix.dim(1), 6);
  if (!is_matrix || (matrix.dim(0) != 1 && !compatible(matrix.dim(0), x.dim(0)))) {
    ctx.error(rule<"affine.matrix">, "transform_matrix x",
              fmt::format("{} has shape {} but takes 6 coefficients for each of the {} images, or "
                          "[1, 6] for all",
                          ctx.describe("transform_matrix"), shape_text(matrix.shape),
                          known(x.dim(0)) ? std::to_string(x.dim(0)) : "unknown"));
    return;
  }
  if (const double value = ctx.real("padding_value"); value != 0) {
    ctx.error(rule<"affine.padding_value">, "padding_value",
              fmt::format("padding_value is {} but only 0 is taken", value));
    return;
  }
  ctx.result(x.dtype, Shape{x.dim(0), x.dim(1), height, width});
}

void infer_resample(InferContext& ctx) {
  if (!need_rank(ctx, rule<"resample.rank">, "x", 4)) return;
  const TypeView x = ctx.type("x");
  if (!need_shape(ctx, rule<"resample.coordinates">, "coordinates",
                  Shape{x.dim(0), kUnknownDim, kUnknownDim, 2})) {
    return;
  }
  const TypeView coordinates = ctx.type("coordinates");
  ctx.result(x.dtype, Shape{x.dim(0), x.dim(1), coordinates.dim(1), coordinates.dim(2)});
}

void infer_resize(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  if (!need_rank(ctx, rule<"resize.shape">, "shape", 1)) return;
  const std::int64_t length = ctx.type("shape").dim(0);
  const std::int64_t resized = ctx.integer("resized_dims");
  if (known(length) && length > x.rank()) {
    ctx.error(rule<"resize.length">, "shape x",
              fmt::format("{} has {} entries but {} has rank {}", ctx.describe("shape"), length,
                          ctx.describe("x"), x.rank()));
    return;
  }
  const std::int64_t most = known(length) ? length : x.rank();
  if (resized < 0 || resized > most) {
    ctx.error(rule<"resize.dims">, "resized_dims shape",
              fmt::format("resized_dims is {} but must lie in [0, {}] for shape of {} entries",
                          resized, most, known(length) ? std::to_string(length) : "unknown"));
    return;
  }
  std::span<const std::int64_t> sizes;
  const bool sizes_known = known_ints(ctx, "shape", sizes);
  Shape out(x.shape);
  for (std::size_t i = 1; i <= static_cast<std::size_t>(resized); ++i) {
    std::int64_t& dim = out[out.size() - i];
    if (!sizes_known) {
      dim = kUnknownDim;
      continue;
    }
    const std::int64_t size = sizes[sizes.size() - i];
    if (size < 0) {
      ctx.error(
          rule<"resize.shape">, "shape",
          fmt::format("shape[{}] is {} but must be 0 (kept) or more", sizes.size() - i, size));
      return;
    }
    if (size != 0) dim = size;
  }
  ctx.result(x.dtype, out);
}

}  // namespace milgen
