// Quantization to 8 bits at run time, and back.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "ir/infer.h"
#include "ir/op_table.h"

namespace milgen {
namespace {

/// One scale and zero point for all elements, or one of each for every index along axis.
bool parameters_fit(InferContext& ctx) {
  const TypeView input = ctx.type("input");
  const TypeView scale = ctx.type("scale");
  const bool has_zero_point = ctx.has("zero_point");
  if (scale.rank() > 1) {
    ctx.error(rule<"quantize.scale">, "scale",
              fmt::format("{} has shape {} but must be a scalar or a vector", ctx.describe("scale"),
                          shape_text(scale.shape)));
    return false;
  }
  if (has_zero_point && ctx.type("zero_point").rank() != scale.rank()) {
    ctx.error(rule<"quantize.zero_point">, "zero_point scale",
              fmt::format("{} has shape {} but {} has shape {}, and both must be scalars or both "
                          "vectors",
                          ctx.describe("zero_point"), shape_text(ctx.type("zero_point").shape),
                          ctx.describe("scale"), shape_text(scale.shape)));
    return false;
  }
  if (ctx.has("axis") != (scale.rank() == 1)) {
    ctx.error(rule<"quantize.axis">, "scale axis",
              scale.rank() == 1
                  ? fmt::format("{} has shape {}, which needs an axis, but none is given",
                                ctx.describe("scale"), shape_text(scale.shape))
                  : fmt::format("axis is {} but {} is a scalar, which has none",
                                ctx.integer("axis"), ctx.describe("scale")));
    return false;
  }
  if (scale.rank() == 0) return true;
  int axis = 0;
  if (!normalize_axis(ctx, rule<"quantize.axis">, "axis", ctx.integer("axis"), input.rank(),
                      axis)) {
    return false;
  }
  for (const std::string_view param : {"scale", "zero_point"}) {
    if (!ctx.has(param) || compatible(ctx.type(param).dim(0), input.dim(axis))) continue;
    ctx.error(rule<"quantize.length">, fmt::format("{} input", param),
              fmt::format("{} has shape {} but dim {} of {} {} is {}", ctx.describe(param),
                          shape_text(ctx.type(param).shape), axis, ctx.describe("input"),
                          shape_text(input.shape), input.dim(axis)));
    return false;
  }
  return true;
}

}  // namespace

void infer_quantize(InferContext& ctx) {
  const DType dtype = dtype_from_name(ctx.text("output_dtype"));
  if (ctx.has("zero_point") && ctx.type("zero_point").dtype != dtype) {
    ctx.error(rule<"quantize.dtype">, "zero_point output_dtype",
              fmt::format("{} is {} but output_dtype is {}", ctx.describe("zero_point"),
                          dtype_name(ctx.type("zero_point").dtype), dtype_name(dtype)));
    return;
  }
  if (!parameters_fit(ctx)) return;
  const ConstView* scale = ctx.constant("scale");
  if (scale != nullptr && !scale->reals.empty() &&
      std::all_of(scale->reals.begin(), scale->reals.end(), [](double s) { return s == 0; })) {
    ctx.error(rule<"quantize.zero_scale">, "scale",
              fmt::format("{} is 0 throughout, and input is divided by it", ctx.describe("scale")));
    return;
  }
  ctx.result(dtype, ctx.type("input").shape);
}

void infer_dequantize(InferContext& ctx) {
  if (parameters_fit(ctx)) ctx.result(ctx.type("scale").dtype, ctx.type("input").shape);
}

}  // namespace milgen
