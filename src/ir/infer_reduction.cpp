// Reductions over axes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>

#include "ir/infer.h"
#include "ir/op_table.h"

namespace milgen {
namespace {

/// The shape without the dims whose bit is set, or with 1 in their place.
Shape reduced(std::span<const std::int64_t> shape, std::uint64_t axes, bool keep_dims) {
  Shape out;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if ((axes >> i & 1u) == 0) {
      out.push_back(shape[i]);
    } else if (keep_dims) {
      out.push_back(1);
    }
  }
  return out;
}

constexpr int kMostDims = 64;  // one bit of a word each; Apple's limit is 5

bool rank_is_sane(InferContext& ctx, const TypeView& x) {
  if (x.rank() <= kMostDims) return true;
  ctx.error(
      rule<"reduce.rank">, "x",
      fmt::format("{} has rank {}, which is more than {}", ctx.describe("x"), x.rank(), kMostDims));
  return false;
}

}  // namespace

void infer_reduce(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  if (!rank_is_sane(ctx, x)) return;
  std::uint64_t axes = 0;
  const ConstView* given = ctx.constant("axes");
  if (given == nullptr) {
    axes = ~std::uint64_t{0};
  } else {
    for (const std::int64_t value : given->ints) {
      int axis = 0;
      if (!normalize_axis(ctx, rule<"reduce.axis">, "axes", value, x.rank(), axis)) return;
      const std::uint64_t bit = std::uint64_t{1} << axis;
      if ((axes & bit) != 0) {
        ctx.error(rule<"reduce.repeated">, "axes",
                  fmt::format("axes is [{}], which names dim {} twice",
                              fmt::join(given->ints, ", "), axis));
        return;
      }
      axes |= bit;
    }
  }
  ctx.result(x.dtype, reduced(x.shape, axes, ctx.boolean("keep_dims")));
}

void infer_reduce_arg(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  if (!rank_is_sane(ctx, x)) return;
  int axis = 0;
  if (!normalize_axis(ctx, rule<"reduce.axis">, "axis", ctx.integer("axis", -1), x.rank(), axis)) {
    return;
  }
  // Only int32 and uint16 get here, in any letter case.
  const std::string_view named = ctx.text("output_dtype", "int32");
  const DType dtype = named.front() == 'u' || named.front() == 'U' ? DType::uint16 : DType::int32;
  ctx.result(dtype, reduced(x.shape, std::uint64_t{1} << axis, ctx.boolean("keep_dims")));
}

}  // namespace milgen
