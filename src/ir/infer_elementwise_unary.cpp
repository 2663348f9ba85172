// Elementwise functions of one tensor.
#include <fmt/format.h>

#include "ir/infer.h"
#include "ir/op_table.h"

namespace milgen {

void infer_like_x(InferContext& ctx) { ctx.result_like("x"); }

void infer_clip(InferContext& ctx) {
  const double alpha = ctx.real("alpha");
  const double beta = ctx.real("beta");
  // ios15 takes any interval (op_semantics, "What changed between opsets").
  if (ctx.opset() >= Opset::ios17 && !(alpha < beta)) {
    ctx.error(rule<"clip.range">, "alpha beta",
              fmt::format("alpha is {} but must be less than beta, which is {}", alpha, beta));
    return;
  }
  ctx.result_like("x");
}

void infer_cast(InferContext& ctx) {
  ctx.result(dtype_from_name(ctx.text("dtype")), ctx.type("x").shape);
}

}  // namespace milgen
