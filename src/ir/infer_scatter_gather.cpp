// Inference: gather and scatter, by axis, along an axis, and by index vectors.
#include <algorithm>
#include <cstddef>

#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {

using namespace detail;

namespace {

/// With validate_indices, checks indices that are known against one dim.
bool need_indices_in(InferContext& ctx, Rule rule, std::string_view data, int axis) {
  std::span<const std::int64_t> indices;
  const std::int64_t dim = ctx.type(data).dim(axis);
  if (!ctx.boolean("validate_indices") || !known(dim) || !known_ints(ctx, "indices", indices)) {
    return true;
  }
  for (const std::int64_t index : indices) {
    if (index >= 0 && index < dim) continue;
    const std::string operands = fmt::format("indices {}", data);
    ctx.error(rule, operands,
              fmt::format("{} holds {} but dim {} of {} has {} elements", ctx.describe("indices"),
                          index, axis, ctx.describe(data), dim));
    return false;
  }
  return true;
}

/// The same for index vectors in the last dim of indices, each entry against its own dim.
bool need_vectors_in(InferContext& ctx, Rule rule, std::string_view data, std::int64_t first_dim,
                     std::int64_t depth) {
  std::span<const std::int64_t> indices;
  if (!ctx.boolean("validate_indices") || !known_ints(ctx, "indices", indices)) return true;
  const TypeView type = ctx.type(data);
  std::int64_t entry = 0;
  for (const std::int64_t index : indices) {
    const int axis = static_cast<int>(first_dim + entry);
    if (++entry == depth) entry = 0;
    const std::int64_t dim = type.dim(axis);
    if (!known(dim) || (index >= 0 && index < dim)) continue;
    const std::string operands = fmt::format("indices {}", data);
    ctx.error(rule, operands,
              fmt::format("{} holds {} for dim {} of {}, which has {} elements",
                          ctx.describe("indices"), index, axis, ctx.describe(data), dim));
    return false;
  }
  return true;
}

/// batch_dims of gather and gather_nd: 0 to `most`, and the leading dims of x and indices agree.
bool read_batch_dims(InferContext& ctx, Rule rule, int most, int& out) {
  const TypeView x = ctx.type("x");
  const TypeView indices = ctx.type("indices");
  const std::int64_t batch = ctx.integer("batch_dims");
  if (batch < 0 || batch > most) {
    ctx.error(rule, "batch_dims x indices",
              fmt::format("batch_dims is {} but must lie in [0, {}] for x of shape {} and indices "
                          "of shape {}",
                          batch, most, shape_text(x.shape), shape_text(indices.shape)));
    return false;
  }
  out = static_cast<int>(batch);
  for (int d = 0; d < out; ++d) {
    if (compatible(x.dim(d), indices.dim(d))) continue;
    ctx.error(rule, "x indices",
              fmt::format("{} has shape {} but {} has {}, and with batch_dims {} dim {} must agree",
                          ctx.describe("x"), shape_text(x.shape), ctx.describe("indices"),
                          shape_text(indices.shape), batch, d));
    return false;
  }
  return true;
}

/// indices of an along-axis op: the rank of `data`, and its dims but for `axis`.
bool need_shape_but_for(InferContext& ctx, Rule rule, std::string_view data, int axis) {
  const TypeView type = ctx.type(data);
  const TypeView indices = ctx.type("indices");
  bool fits = indices.rank() == type.rank();
  for (int d = 0; fits && d < type.rank(); ++d) {
    fits = d == axis || compatible(indices.dim(d), type.dim(d));
  }
  if (fits) return true;
  const std::string operands = fmt::format("indices {}", data);
  ctx.error(rule, operands,
            fmt::format("{} has shape {} but {} has {}, and only dim {} (axis) may differ",
                        ctx.describe("indices"), shape_text(indices.shape), ctx.describe(data),
                        shape_text(type.shape), axis));
  return false;
}

/// The length of the index vectors of gather_nd and scatter_nd: the last dim of indices, which
/// together with `batch` is at most the rank of `data`.
bool read_depth(InferContext& ctx, Rule rule, std::string_view data, int batch,
                std::int64_t& depth) {
  const TypeView indices = ctx.type("indices");
  const TypeView type = ctx.type(data);
  if (indices.rank() == 0) {
    ctx.error(rule, "indices",
              fmt::format("{} is a scalar but must hold index vectors in its last dim",
                          ctx.describe("indices")));
    return false;
  }
  depth = indices.dim(indices.rank() - 1);
  if (known(depth) && depth <= type.rank() - batch) return true;
  const std::string operands = fmt::format("indices {}", data);
  ctx.error(rule, operands,
            fmt::format("{} has shape {}, but its last dim must be known and at most {} for {} of "
                        "shape {}",
                        ctx.describe("indices"), shape_text(indices.shape), type.rank() - batch,
                        ctx.describe(data), shape_text(type.shape)));
  return false;
}

void append(Shape& out, std::span<const std::int64_t> dims) {
  for (const std::int64_t dim : dims) out.push_back(dim);
}

/// indices.shape[:-1] + data.shape[first:], what an op with index vectors takes or gives.
Shape vectors_shape(const TypeView& indices, const TypeView& data, std::int64_t first) {
  Shape out(indices.shape.first(indices.shape.size() - 1));
  append(out, data.shape.subspan(static_cast<std::size_t>(first)));
  return out;
}

}  // namespace

void infer_gather(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  const TypeView indices = ctx.type("indices");
  int axis = 0;
  int batch = 0;
  if (!normalize_axis(ctx, rule<"gather.axis">, "axis", ctx.integer("axis"), x.rank(), axis) ||
      !read_batch_dims(ctx, rule<"gather.batch_dims">, std::min(x.rank() - 1, indices.rank()),
                       batch)) {
    return;
  }
  if (axis < batch) {
    ctx.error(rule<"gather.batch_dims">, "axis batch_dims",
              fmt::format("axis is {} but the first {} dims are batch_dims", axis, batch));
    return;
  }
  if (!need_indices_in(ctx, rule<"gather.index">, "x", axis)) return;
  const auto at = static_cast<std::size_t>(axis);
  Shape out(x.shape.first(at));
  append(out, indices.shape.subspan(static_cast<std::size_t>(batch)));
  append(out, x.shape.subspan(at + 1));
  ctx.result(x.dtype, out);
}

void infer_scatter(InferContext& ctx) {
  const TypeView data = ctx.type("data");
  int axis = 0;
  if (!normalize_axis(ctx, rule<"scatter.axis">, "axis", ctx.integer("axis"), data.rank(), axis)) {
    return;
  }
  const auto at = static_cast<std::size_t>(axis);
  Shape wanted(data.shape.first(at));
  append(wanted, ctx.type("indices").shape);
  append(wanted, data.shape.subspan(at + 1));
  if (!need_shape(ctx, rule<"scatter.updates">, "updates", wanted) ||
      !need_indices_in(ctx, rule<"scatter.index">, "data", axis)) {
    return;
  }
  ctx.result_like("data");
}

void infer_gather_along_axis(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  int axis = 0;
  if (!normalize_axis(ctx, rule<"gather_along_axis.axis">, "axis", ctx.integer("axis"), x.rank(),
                      axis) ||
      !need_shape_but_for(ctx, rule<"gather_along_axis.shape">, "x", axis) ||
      !need_indices_in(ctx, rule<"gather_along_axis.index">, "x", axis)) {
    return;
  }
  ctx.result(x.dtype, ctx.type("indices").shape);
}

void infer_scatter_along_axis(InferContext& ctx) {
  const TypeView data = ctx.type("data");
  int axis = 0;
  if (!normalize_axis(ctx, rule<"scatter_along_axis.axis">, "axis", ctx.integer("axis"),
                      data.rank(), axis) ||
      !need_shape_but_for(ctx, rule<"scatter_along_axis.shape">, "data", axis) ||
      !need_shape(ctx, rule<"scatter_along_axis.updates">, "updates", ctx.type("indices").shape) ||
      !need_indices_in(ctx, rule<"scatter_along_axis.index">, "data", axis)) {
    return;
  }
  ctx.result_like("data");
}

void infer_gather_nd(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  const TypeView indices = ctx.type("indices");
  int batch = 0;
  std::int64_t depth = 0;
  if (!read_batch_dims(ctx, rule<"gather_nd.batch_dims">,
                       std::max(0, std::min(x.rank(), indices.rank()) - 1), batch) ||
      !read_depth(ctx, rule<"gather_nd.depth">, "x", batch, depth) ||
      !need_vectors_in(ctx, rule<"gather_nd.index">, "x", batch, depth)) {
    return;
  }
  ctx.result(x.dtype, vectors_shape(indices, x, batch + depth));
}

void infer_scatter_nd(InferContext& ctx) {
  const TypeView data = ctx.type("data");
  const TypeView indices = ctx.type("indices");
  std::int64_t depth = 0;
  if (!read_depth(ctx, rule<"scatter_nd.depth">, "data", 0, depth) ||
      !need_shape(ctx, rule<"scatter_nd.updates">, "updates",
                  vectors_shape(indices, data, depth)) ||
      !need_vectors_in(ctx, rule<"scatter_nd.index">, "data", 0, depth)) {
    return;
  }
  ctx.result_like("data");
}

}  // namespace milgen
