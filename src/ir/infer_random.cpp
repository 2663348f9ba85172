// Inference: random tensors.
#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {

using namespace detail;

namespace {

/// A tensor whose shape is an argument and whose dtype is that of two parameters of the
/// distribution.
void infer_distribution(InferContext& ctx, std::string_view a, std::string_view b) {
  Shape shape;
  DType dtype = DType::none;
  if (!need_default_dtype(ctx, rule<"random.dtype">, a, b, DType::fp32, dtype) ||
      !shape_argument(ctx, rule<"random.shape">, "shape", shape)) {
    return;
  }
  ctx.result(dtype, shape);
}

}  // namespace

void infer_random_bernoulli(InferContext& ctx) { infer_distribution(ctx, "prob", "prob"); }
void infer_random_normal(InferContext& ctx) { infer_distribution(ctx, "mean", "stddev"); }
void infer_random_uniform(InferContext& ctx) { infer_distribution(ctx, "low", "high"); }

void infer_random_categorical(InferContext& ctx) {
  std::int64_t size = 0;
  if (!need_rank_from(ctx, rule<"random_categorical.rank">, "x", 1) ||
      !need_at_least(ctx, rule<"random_categorical.size">, "size", 1, 1, size)) {
    return;
  }
  const TypeView x = ctx.type("x");
  Shape out(x.shape);
  out[out.size() - 1] = size;
  ctx.result(x.dtype, out);
}

}  // namespace milgen
