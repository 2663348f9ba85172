// select: all three operands broadcast. (Apple's tools leave cond out of that; op_semantics lists
// it among their bugs.)
#include <fmt/format.h>

#include "ir/infer.h"
#include "ir/op_table.h"

namespace milgen {

void infer_select(InferContext& ctx) {
  const TypeView a = ctx.type("a");
  const TypeView b = ctx.type("b");
  const TypeView cond = ctx.type("cond");
  Shape values;
  if (!broadcast(a.shape, b.shape, values)) {
    ctx.error(rule<"broadcast.shapes">, "a b",
              fmt::format("{} has shape {} and {} has shape {}, which do not broadcast",
                          ctx.describe("a"), shape_text(a.shape), ctx.describe("b"),
                          shape_text(b.shape)));
    return;
  }
  Shape out;
  if (!broadcast(values, cond.shape, out)) {
    ctx.error(rule<"broadcast.shapes">, "cond a b",
              fmt::format("{} has shape {}, which does not broadcast with {}, the shape of a and b",
                          ctx.describe("cond"), shape_text(cond.shape), shape_text(values)));
    return;
  }
  ctx.result(a.dtype, out);
}

}  // namespace milgen
