// Inference: attention.
#include <algorithm>
#include <cstddef>

#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {

using namespace detail;

void infer_scaled_dot_product_attention(InferContext& ctx) {
  const TypeView query = ctx.type("query");
  const TypeView key = ctx.type("key");
  const TypeView value = ctx.type("value");
  const int rank = query.rank();
  if (!need_rank_from(ctx, rule<"attention.rank">, "query", 3) ||
      !need_rank(ctx, rule<"attention.rank">, "key", rank) ||
      !need_rank(ctx, rule<"attention.rank">, "value", rank)) {
    return;
  }
  for (const std::string_view param : {"key", "value"}) {
    const TypeView other = ctx.type(param);
    for (int d = 0; d < rank - 2; ++d) {
      if (compatible(query.dim(d), other.dim(d))) continue;
      const std::string operands = fmt::format("query {}", param);
      ctx.error(rule<"attention.batch">, operands,
                fmt::format("{} has shape {} but {} has {}, and all dims but the last two must "
                            "agree",
                            ctx.describe("query"), shape_text(query.shape), ctx.describe(param),
                            shape_text(other.shape)));
      return;
    }
  }
  if (!compatible(query.dim(rank - 1), key.dim(rank - 1))) {
    ctx.error(rule<"attention.embedding">, "query key",
              fmt::format("{} has {} features (shape {}) but {} has {} (shape {})",
                          ctx.describe("query"), query.dim(rank - 1), shape_text(query.shape),
                          ctx.describe("key"), key.dim(rank - 1), shape_text(key.shape)));
    return;
  }
  if (!compatible(key.dim(rank - 2), value.dim(rank - 2))) {
    ctx.error(rule<"attention.sequence">, "key value",
              fmt::format("{} has {} positions (shape {}) but {} has {} (shape {})",
                          ctx.describe("key"), key.dim(rank - 2), shape_text(key.shape),
                          ctx.describe("value"), value.dim(rank - 2), shape_text(value.shape)));
    return;
  }
  Shape out(query.shape);
  if (ctx.has("attn_mask")) {
    // The mask is added to scores of shape query.shape[:-1] + [S] and may not make them larger.
    const TypeView mask = ctx.type("attn_mask");
    Shape scores(query.shape);
    scores[scores.size() - 1] = key.dim(rank - 2);
    const std::size_t lead = scores.size() - std::min(scores.size(), mask.shape.size());
    bool fits = mask.rank() >= 1 && mask.rank() <= rank;
    for (std::size_t i = 0; fits && i < mask.shape.size(); ++i) {
      const bool is_last = i + 1 == mask.shape.size();
      fits = compatible(mask.shape[i], scores[lead + i]) || (mask.shape[i] == 1 && !is_last);
    }
    if (!fits) {
      ctx.error(rule<"attention.mask">, "attn_mask query key",
                fmt::format("{} has shape {}, which does not broadcast to the scores' {}",
                            ctx.describe("attn_mask"), shape_text(mask.shape), shape_text(scores)));
      return;
    }
  }
  out[out.size() - 1] = value.dim(rank - 1);
  ctx.result(query.dtype, out);
}

}  // namespace milgen
