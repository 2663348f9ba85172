// The activations that are not plainly elementwise.
#include <fmt/format.h>

#include <cmath>

#include "ir/infer.h"
#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {
namespace {

/// Whether `param` is a vector with one element for each channel (dim 1) of x.
bool is_per_channel(InferContext& ctx, Rule broken, std::string_view param) {
  const TypeView x = ctx.type("x");
  const TypeView type = ctx.type(param);
  if (type.rank() == 1 && compatible(type.dim(0), x.dim(1))) return true;
  ctx.error(
      broken, fmt::format("{} x", param),
      fmt::format("{} has shape {} but must be one value for each of the {} channels of x {}",
                  ctx.describe(param), shape_text(type.shape),
                  known(x.dim(1)) ? fmt::format_int(x.dim(1)).str() : "?", shape_text(x.shape)));
  return false;
}

}  // namespace

void infer_prelu(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  if (x.rank() < 3 || x.rank() > 5) {
    ctx.error(rule<"prelu.rank">, "x",
              fmt::format("{} has shape {} but must have rank 3, 4 or 5", ctx.describe("x"),
                          shape_text(x.shape)));
    return;
  }
  if (!is_per_channel(ctx, rule<"prelu.alpha">, "alpha")) return;
  // Only images (rank 4) may have slopes that differ.
  const ConstView* alpha = ctx.constant("alpha");
  if (x.rank() != 4 && alpha != nullptr) {
    constexpr double kTolerance = 1e-5;
    for (const double slope : alpha->reals) {
      if (std::abs(slope - alpha->reals.front()) <= kTolerance) continue;
      ctx.error(rule<"prelu.slopes">, "alpha x",
                fmt::format("alpha holds {} and {}, but with x of rank {} all slopes must be equal",
                            alpha->reals.front(), slope, x.rank()));
      return;
    }
  }
  ctx.result_like("x");
}

void infer_softplus_parametric(InferContext& ctx) {
  if (!detail::need_rank_from(ctx, rule<"softplus_parametric.rank">, "x", 3)) return;
  const bool alpha = is_per_channel(ctx, rule<"softplus_parametric.channels">, "alpha");
  const bool beta = is_per_channel(ctx, rule<"softplus_parametric.channels">, "beta");
  if (alpha && beta) ctx.result_like("x");
}

void infer_softmax(InferContext& ctx) {
  int axis = 0;
  if (normalize_axis(ctx, rule<"softmax.axis">, "axis", ctx.integer("axis", -1),
                     ctx.type("x").rank(), axis)) {
    ctx.result_like("x");
  }
}

}  // namespace milgen
