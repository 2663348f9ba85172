// Normalization.
#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "ir/infer.h"
#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {
namespace {

/// Whether the arguments that were given are vectors with one element for each channel (dim 1).
bool are_per_channel(InferContext& ctx, Rule broken,
                     std::initializer_list<std::string_view> params) {
  const TypeView x = ctx.type("x");
  bool good = true;
  for (const std::string_view param : params) {
    if (!ctx.has(param)) continue;
    const TypeView type = ctx.type(param);
    if (type.rank() == 1 && compatible(type.dim(0), x.dim(1))) continue;
    ctx.error(broken, fmt::format("{} x", param),
              fmt::format("{} has shape {} but x {} takes {}", ctx.describe(param),
                          shape_text(type.shape), shape_text(x.shape),
                          shape_text(x.shape.subspan(1, 1))));
    good = false;
  }
  return good;
}

}  // namespace

void infer_batch_norm(InferContext& ctx) {
  if (detail::need_rank_from(ctx, rule<"batch_norm.rank">, "x", 3) &&
      are_per_channel(ctx, rule<"batch_norm.channels">, {"mean", "variance", "gamma", "beta"})) {
    ctx.result_like("x");
  }
}

void infer_instance_norm(InferContext& ctx) {
  if (detail::need_rank_from(ctx, rule<"instance_norm.rank">, "x", 3) &&
      are_per_channel(ctx, rule<"instance_norm.channels">, {"gamma", "beta"})) {
    ctx.result_like("x");
  }
}

void infer_l2_norm(InferContext& ctx) {
  if (detail::need_rank_from(ctx, rule<"l2_norm.rank">, "x", 3)) ctx.result_like("x");
}

void infer_layer_norm(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  // The dims of x at the axes, in the order that x has them. Left out, the axes are all.
  Shape normalized;
  const ConstView* given = ctx.constant("axes");
  if (given == nullptr) {
    normalized = Shape(x.shape);
  } else {
    constexpr int kMostDims = 64;
    std::uint64_t axes = 0;
    for (const std::int64_t value : given->ints) {
      int axis = 0;
      if (!normalize_axis(ctx, rule<"layer_norm.axis">, "axes", value, x.rank(), axis)) return;
      if (axis < kMostDims) axes |= std::uint64_t{1} << axis;
    }
    for (int i = 0; i < x.rank() && i < kMostDims; ++i) {
      if ((axes >> i & 1u) != 0) normalized.push_back(x.dim(i));
    }
  }
  const bool gamma = detail::need_shape(ctx, rule<"layer_norm.shape">, "gamma", normalized);
  const bool beta = detail::need_shape(ctx, rule<"layer_norm.shape">, "beta", normalized);
  if (gamma && beta) ctx.result_like("x");
}

void infer_local_response_norm(InferContext& ctx) {
  std::int64_t size = 0;
  if (detail::need_rank_from(ctx, rule<"local_response_norm.rank">, "x", 3) &&
      detail::need_at_least(ctx, rule<"local_response_norm.size">, "size", 1, 1, size)) {
    ctx.result_like("x");
  }
}

}  // namespace milgen
