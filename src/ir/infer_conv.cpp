// Convolution.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>

#include "ir/infer.h"
#include "ir/infer_util.h"
#include "ir/op_table.h"
#include "ir/window.h"

namespace milgen {
namespace {

constexpr detail::WindowRules kConvRules = {
    .rank = rule<"conv.rank">,
    .length = rule<"conv.length">,
    .value = rule<"conv.value">,
    .output = rule<"conv.output">,
};

/// Whether the bias, if there is one, has one element for each of `channels`.
bool bias_fits(InferContext& ctx, std::int64_t channels) {
  if (!ctx.has("bias")) return true;
  const TypeView bias = ctx.type("bias");
  if (bias.rank() == 1 && compatible(bias.dim(0), channels)) return true;
  ctx.error(rule<"conv.bias">, "bias weight",
            fmt::format("{} has shape {} but {} {} with groups = {} takes {}", ctx.describe("bias"),
                        shape_text(bias.shape), ctx.describe("weight"),
                        shape_text(ctx.type("weight").shape), ctx.integer("groups", 1),
                        shape_text({&channels, 1})));
  return false;
}

/// Reads what the two convolutions share: windows, a weight of x's rank, and groups.
bool read_conv(InferContext& ctx, detail::Windows& windows, std::int64_t& groups) {
  if (!windows.read(ctx, true)) return false;
  const TypeView x = ctx.type("x");
  const TypeView weight = ctx.type("weight");
  if (weight.rank() != x.rank()) {
    ctx.error(rule<"conv.rank">, "weight x",
              fmt::format("{} has shape {} but must have the rank of x {}", ctx.describe("weight"),
                          shape_text(weight.shape), shape_text(x.shape)));
    return false;
  }
  for (const std::int64_t dim : weight.shape) {
    if (dim != 0) continue;
    ctx.error(rule<"conv.value">, "weight",
              fmt::format("{} has shape {}, which is empty", ctx.describe("weight"),
                          shape_text(weight.shape)));
    return false;
  }
  return detail::need_at_least(ctx, rule<"conv.groups">, "groups", 1, 1, groups);
}

/// Reports conv.groups unless groups divides this dim.
bool groups_divide(InferContext& ctx, std::string_view operand, std::int64_t dim,
                   std::int64_t groups) {
  if (!known(dim) || dim % groups == 0) return true;
  ctx.error(rule<"conv.groups">, fmt::format("groups {}", operand),
            fmt::format("groups is {}, which does not divide the {} channels of {} {}", groups, dim,
                        ctx.describe(operand), shape_text(ctx.type(operand).shape)));
  return false;
}

}  // namespace

void infer_conv(InferContext& ctx) {
  detail::Windows windows(kConvRules);
  std::int64_t groups = 1;
  if (!read_conv(ctx, windows, groups)) return;
  const TypeView x = ctx.type("x");
  const TypeView weight = ctx.type("weight");
  if (windows.pad_type() == detail::PadType::same_lower && ctx.opset() < Opset::ios16) {
    ctx.error(rule<"conv.same_lower">, "pad_type",
              fmt::format("pad_type is same_lower, which exists from ios16 on, but the program is "
                          "{}",
                          opset_name(ctx.opset())));
    return;
  }
  if (ctx.constant("weight") == nullptr) {
    for (int i = 0; i < windows.dims(); ++i) {
      if (windows.dilation(i) == 1) continue;
      ctx.error(rule<"conv.dynamic_weight">, "weight dilations",
                fmt::format("dilations holds {} but {} is a run-time value, which only takes 1",
                            windows.dilation(i), ctx.describe("weight")));
      return;
    }
  }
  if (!groups_divide(ctx, "x", x.dim(1), groups)) return;
  if (known(x.dim(1)) && !compatible(x.dim(1) / groups, weight.dim(1))) {
    std::int64_t taken = 0;
    if (!detail::multiply_dims(ctx, "weight groups", weight.dim(1), groups, taken)) return;
    ctx.error(
        rule<"conv.channels">, "x weight",
        fmt::format("{} has {} channels but {} {} with groups = {} takes {}", ctx.describe("x"),
                    x.dim(1), ctx.describe("weight"), shape_text(weight.shape), groups, taken));
    return;
  }
  if (!groups_divide(ctx, "weight", weight.dim(0), groups)) return;
  if (!bias_fits(ctx, weight.dim(0))) return;
  Shape out{x.dim(0), weight.dim(0)};
  for (int i = 0; i < windows.dims(); ++i) {
    std::int64_t size = 0;
    if (!windows.count(ctx, i, weight.dim(i + 2), false, size)) return;
    out.push_back(size);
  }
  ctx.result(x.dtype, out);
}

void infer_conv_transpose(InferContext& ctx) {
  detail::Windows windows(kConvRules);
  std::int64_t groups = 1;
  if (!read_conv(ctx, windows, groups)) return;
  const TypeView x = ctx.type("x");
  const TypeView weight = ctx.type("weight");
  // The reference tools leave this unchecked, which op_semantics lists among their bugs.
  if (!compatible(x.dim(1), weight.dim(0))) {
    ctx.error(rule<"conv.channels">, "x weight",
              fmt::format("{} has {} channels but {} {} takes {}", ctx.describe("x"), x.dim(1),
                          ctx.describe("weight"), shape_text(weight.shape), weight.dim(0)));
    return;
  }
  if (!groups_divide(ctx, "x", x.dim(1), groups)) return;
  std::int64_t channels = 0;
  if (!detail::multiply_dims(ctx, "weight groups", weight.dim(1), groups, channels)) return;
  if (!bias_fits(ctx, channels)) return;
  Shape out{x.dim(0), channels};
  for (int i = 0; i < windows.dims(); ++i) {
    std::int64_t size = 0;
    if (ctx.has("output_shape")) break;
    if (!windows.spread(ctx, i, weight.dim(i + 2), size)) return;
    out.push_back(size);
  }
  if (const ConstView* named = ctx.constant("output_shape"); named != nullptr) {
    bool good = named->ints.size() == x.shape.size() && compatible(named->ints[0], x.dim(0)) &&
                compatible(named->ints[1], channels);
    for (const std::int64_t dim : named->ints) good = good && dim >= 1;
    if (!good) {
      ctx.error(
          rule<"conv_transpose.output_shape">, "output_shape x weight",
          fmt::format("output_shape is [{}] but the result has rank {}, {} dims of at least 1 "
                      "and begins with {}",
                      fmt::join(named->ints, ", "), x.rank(), windows.dims(), shape_text(out)));
      return;
    }
    // A batch that is not known stays the one that x has.
    for (std::size_t i = 2; i < named->ints.size(); ++i) out.push_back(named->ints[i]);
  }
  ctx.result(x.dtype, out);
}

}  // namespace milgen
