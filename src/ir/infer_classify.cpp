// Inference: classify.
#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {

using namespace detail;

void infer_classify(InferContext& ctx) {
  const TypeView probabilities = ctx.type("probabilities");
  const TypeView classes = ctx.type("classes");
  const DType label = classes.element != nullptr ? classes.element->dtype : DType::none;
  if (label != DType::string && label != DType::int64) {
    ctx.error(rule<"classify.labels">, "classes",
              fmt::format("{} is {} but labels are string or int64", ctx.describe("classes"),
                          to_string(classes)));
    return;
  }
  std::int64_t count = 0;
  if (!product_of(ctx, "probabilities", probabilities.shape, count)) return;
  if (!compatible(count, classes.length)) {
    ctx.error(rule<"classify.count">, "probabilities classes",
              fmt::format("{} has shape {}, {} elements, but there are {} classes",
                          ctx.describe("probabilities"), shape_text(probabilities.shape), count,
                          classes.length));
    return;
  }
  ctx.result(label, {});
  ctx.result_dict(label, DType::fp64);
}

}  // namespace milgen
