// Elementwise functions of two tensors that broadcast against each other.
#include <fmt/format.h>

#include "ir/infer.h"
#include "ir/op_table.h"

namespace milgen {
namespace {

void infer_binary(InferContext& ctx, DType dtype) {
  const TypeView x = ctx.type("x");
  const TypeView y = ctx.type("y");
  Shape out;
  if (!broadcast(x.shape, y.shape, out)) {
    ctx.error(rule<"broadcast.shapes">, "x y",
              fmt::format("{} has shape {} and {} has shape {}, which do not broadcast",
                          ctx.describe("x"), shape_text(x.shape), ctx.describe("y"),
                          shape_text(y.shape)));
    return;
  }
  ctx.result(dtype, out);
}

}  // namespace

void infer_arithmetic(InferContext& ctx) { infer_binary(ctx, ctx.type("x").dtype); }

void infer_comparison(InferContext& ctx) { infer_binary(ctx, DType::boolean); }

}  // namespace milgen
