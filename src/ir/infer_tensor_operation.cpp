// Inference: concat, split, stack, tile, pad, topk and the other whole-tensor operations.
#include <cmath>
#include <cstddef>
#include <limits>

#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {

using namespace detail;

namespace {

/// The most results that an op record can number.
constexpr std::int64_t kMaxResults = 65535;

}  // namespace

void infer_argsort(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  int axis = 0;
  if (!normalize_axis(ctx, rule<"argsort.axis">, "axis", ctx.integer("axis", -1), x.rank(), axis)) {
    return;
  }
  ctx.result(DType::int32, x.shape);
}

void infer_band_part(InferContext& ctx) {
  if (need_rank_from(ctx, rule<"band_part.rank">, "x", 2)) ctx.result_like("x");
}

void infer_concat(InferContext& ctx) {
  const int count = ctx.count("values");
  if (count == 0) {
    ctx.error(rule<"concat.count">, "values", "there are 0 values but at least 1 is needed");
    return;
  }
  const TypeView first = ctx.type("values");
  const int rank = first.rank();
  // Scalars are joined to a vector, so for them the axis is that of the result.
  int axis = 0;
  if (!normalize_axis(ctx, rule<"concat.axis">, "axis", ctx.integer("axis"), rank == 0 ? 1 : rank,
                      axis)) {
    return;
  }
  const bool interleave = ctx.boolean("interleave");
  Shape out(first.shape);
  if (rank == 0) out.push_back(1);
  std::int64_t& joined = out[static_cast<std::size_t>(axis)];
  bool has_unknown = !known(joined);
  for (int i = 1; i < count; ++i) {
    const TypeView value = ctx.type("values", i);
    if (value.rank() != rank) {
      ctx.error(rule<"concat.rank">, "values",
                fmt::format("{} has shape {} but {} has {}, and all values must have one rank",
                            ctx.describe("values", i), shape_text(value.shape),
                            ctx.describe("values"), shape_text(first.shape)));
      return;
    }
    for (int d = 0; d < rank; ++d) {
      if (compatible(value.dim(d), first.dim(d)) || (d == axis && !interleave)) continue;
      if (d == axis) {
        ctx.error(rule<"concat.interleave">, "values",
                  fmt::format("{} has shape {} but {} has {}, and interleave takes equal shapes",
                              ctx.describe("values", i), shape_text(value.shape),
                              ctx.describe("values"), shape_text(first.shape)));
      } else {
        ctx.error(rule<"concat.shape">, "values",
                  fmt::format("{} has shape {} but {} has {}, and only dim {} (axis) may differ",
                              ctx.describe("values", i), shape_text(value.shape),
                              ctx.describe("values"), shape_text(first.shape), axis));
      }
      return;
    }
    const std::int64_t more = rank == 0 ? 1 : value.dim(axis);
    has_unknown = has_unknown || !known(more);
    if (!has_unknown && !add_dims(ctx, "values", joined, more, joined)) return;
  }
  // One dim that is not known makes the sum unknown, be it the only one (opset_ios18, concat).
  if (has_unknown) joined = kUnknownDim;
  ctx.result(first.dtype, out);
}

void infer_cumsum(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  const std::int64_t axis = ctx.integer("axis");
  if (axis < -1 || axis >= x.rank()) {
    ctx.error(
        rule<"cumsum.axis">, "axis x",
        fmt::format("axis is {} but must lie in [-1, {}) for rank {}", axis, x.rank(), x.rank()));
    return;
  }
  ctx.result_like("x");
}

void infer_fill(InferContext& ctx) {
  Shape shape;
  if (!shape_argument(ctx, rule<"fill.shape">, "shape", shape)) return;
  ctx.result(ctx.has("value") ? ctx.type("value").dtype : DType::fp32, shape);
}

void infer_fill_like(InferContext& ctx) {
  ctx.result(ctx.has("value") ? ctx.type("value").dtype : DType::fp32,
             ctx.type("ref_tensor").shape);
}

void infer_flatten2d(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  const int rank = x.rank();
  std::int64_t axis = ctx.integer("axis", 1);
  if (axis < -rank || axis > rank) {
    ctx.error(
        rule<"flatten2d.axis">, "axis x",
        fmt::format("axis is {} but must lie in [{}, {}] for rank {}", axis, -rank, rank, rank));
    return;
  }
  if (axis < 0) axis += rank;
  const auto split = static_cast<std::size_t>(axis);
  Shape out(2, 1);
  if (!product_of(ctx, "x", x.shape.first(split), out[0]) ||
      !product_of(ctx, "x", x.shape.subspan(split), out[1])) {
    return;
  }
  ctx.result(x.dtype, out);
}

void infer_identity(InferContext& ctx) { ctx.result_like("x"); }

void infer_non_maximum_suppression(InferContext& ctx) {
  const TypeView boxes = ctx.type("boxes");
  const TypeView scores = ctx.type("scores");
  std::int64_t most = 0;
  if (!need_rank(ctx, rule<"non_maximum_suppression.rank">, "boxes", 3) ||
      !need_rank(ctx, rule<"non_maximum_suppression.rank">, "scores", 3) ||
      !need_at_least(ctx, rule<"non_maximum_suppression.max_boxes">, "max_boxes", 1, 1, most)) {
    return;
  }
  // From ios17 on the boxes are the last dim; before they stand in front of coordinates and
  // classes.
  const bool boxes_last = ctx.opset() >= Opset::ios17;
  const int box = boxes_last ? 2 : 1;
  const int part = boxes_last ? 1 : 2;
  if (!compatible(boxes.dim(part), 4)) {
    ctx.error(rule<"non_maximum_suppression.coordinates">, "boxes",
              fmt::format("{} has shape {} but dim {} must be the 4 coordinates of a box",
                          ctx.describe("boxes"), shape_text(boxes.shape), part));
    return;
  }
  if (!compatible(boxes.dim(0), scores.dim(0)) || !compatible(boxes.dim(box), scores.dim(box))) {
    ctx.error(rule<"non_maximum_suppression.shape">, "boxes scores",
              fmt::format("{} has shape {} but {} has {}, and dims 0 and {} must agree",
                          ctx.describe("boxes"), shape_text(boxes.shape), ctx.describe("scores"),
                          shape_text(scores.shape), box));
    return;
  }
  const std::int64_t batch = scores.dim(0);
  const std::int64_t classes = scores.dim(part);
  if (boxes_last) {
    ctx.result(boxes.dtype, Shape{batch, 4, most});
    ctx.result(scores.dtype, Shape{batch, classes, most});
    ctx.result(DType::int32, Shape{batch, most});
  } else {
    ctx.result(boxes.dtype, Shape{batch, most, 4});
    ctx.result(scores.dtype, Shape{batch, most, classes});
    ctx.result(DType::int32, Shape{batch, most});
    ctx.result(DType::int32, Shape{batch});
  }
}

void infer_non_zero(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  std::int64_t count = kUnknownDim;
  if (const ConstView* value = ctx.constant("x"); value != nullptr && value->known) {
    count = 0;
    for (const std::int64_t element : value->ints) count += element != 0 ? 1 : 0;
    for (const double element : value->reals) count += element != 0 ? 1 : 0;
  }
  ctx.result(DType::int32, Shape{count, x.rank()});
}

void infer_one_hot(InferContext& ctx) {
  const TypeView indices = ctx.type("indices");
  const int rank = indices.rank();
  int axis = 0;
  DType dtype = DType::none;
  // The axis is one of the result, which has one dim more.
  if (!need_rank(ctx, rule<"one_hot.size">, "one_hot_vector_size", 0) ||
      !normalize_axis(ctx, rule<"one_hot.axis">, "axis", ctx.integer("axis", -1), rank + 1, axis) ||
      !need_default_dtype(ctx, rule<"one_hot.dtype">, "on_value", "off_value", DType::int32,
                          dtype)) {
    return;
  }
  std::int64_t size = kUnknownDim;
  std::span<const std::int64_t> value;
  if (known_ints(ctx, "one_hot_vector_size", value)) {
    size = value.front();
    if (size < 0) {
      ctx.error(rule<"one_hot.size">, "one_hot_vector_size",
                fmt::format("one_hot_vector_size is {} but must be 0 or more", size));
      return;
    }
  }
  Shape out(indices.shape);
  out.insert(static_cast<std::size_t>(axis), size);
  ctx.result(dtype, out);
}

void infer_pad(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  if (!need_rank(ctx, rule<"pad.rank">, "pad", 1)) return;
  std::span<const std::int64_t> pad;
  if (!known_ints(ctx, "pad", pad)) {
    const std::int64_t length = ctx.type("pad").dim(0);
    if (!compatible(length, 2 * x.rank())) {
      ctx.error(rule<"pad.length">, "pad x",
                fmt::format("{} has {} entries, but at run time it needs {}: 2 for each dim of {}",
                            ctx.describe("pad"), length, 2 * x.rank(), shape_text(x.shape)));
      return;
    }
    ctx.result(x.dtype, Shape(x.shape.size(), kUnknownDim));
    return;
  }
  const std::size_t sides = pad.size();
  if (sides % 2 != 0 || sides > 2 * x.shape.size()) {
    ctx.error(rule<"pad.length">, "pad x",
              fmt::format("{} has {} entries but takes 2 for each padded dim, at most {} for {}",
                          ctx.describe("pad"), sides, 2 * x.rank(), shape_text(x.shape)));
    return;
  }
  const std::string_view mode = ctx.text("mode", "constant");
  Shape out(x.shape);
  for (std::size_t i = 0; i < sides; ++i) {
    const std::size_t d = out.size() - sides / 2 + i / 2;
    if (pad[i] < 0) {
      ctx.error(rule<"pad.negative">, "pad",
                fmt::format("pad[{}] is {} but must be 0 or more", i, pad[i]));
      return;
    }
    const std::int64_t dim = x.shape[d];
    // A reflection leaves out the element at the edge.
    if (mode == "reflect" && pad[i] > 0 && known(dim) && pad[i] >= dim) {
      ctx.error(rule<"pad.reflect">, "pad x",
                fmt::format("pad[{}] is {} but dim {} of {} has {} elements to reflect, the edge "
                            "included",
                            i, pad[i], d, ctx.describe("x"), dim));
      return;
    }
    if (!add_dims(ctx, "x pad", out[d], pad[i], out[d])) return;
  }
  ctx.result(x.dtype, out);
}

void infer_range_1d(InferContext& ctx) {
  const DType dtype = ctx.type("start").dtype;
  for (const std::string_view param : {"end", "start", "step"}) {
    if (!need_rank(ctx, rule<"range_1d.rank">, param, 0)) return;
  }
  const ConstView* end = ctx.constant("end");
  const ConstView* start = ctx.constant("start");
  const ConstView* step = ctx.constant("step");
  if (step != nullptr && step->known && ctx.real("step") == 0) {
    ctx.error(rule<"range_1d.step">, "step", "step is 0 but must move towards end");
    return;
  }
  const bool all_known = end != nullptr && end->known && start != nullptr && start->known &&
                         step != nullptr && step->known;
  if (!all_known) {
    ctx.result(dtype, Shape{kUnknownDim});
    return;
  }
  const double from = ctx.real("start");
  const double to = ctx.real("end");
  const double by = ctx.real("step");
  const double count = std::ceil((to - from) / by);
  // Negated, so that a NaN ends up here as well.
  if (!(count >= 0 && count <= static_cast<double>(std::numeric_limits<std::int32_t>::max()))) {
    ctx.error(
        rule<"range_1d.count">, "start end step",
        fmt::format("from {} to {} by steps of {} there is no countable range", from, to, by));
    return;
  }
  ctx.result(dtype, Shape{static_cast<std::int64_t>(count)});
}

void infer_shape(InferContext& ctx) { ctx.result(DType::int32, Shape{ctx.type("x").rank()}); }

void infer_split(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  int axis = 0;
  if (!normalize_axis(ctx, rule<"split.axis">, "axis", ctx.integer("axis"), x.rank(), axis)) return;
  const std::int64_t whole = x.dim(axis);
  std::span<const std::int64_t> sizes;
  const bool has_sizes = known_ints(ctx, "split_sizes", sizes);
  const bool has_count = ctx.has("num_splits");
  if (!has_sizes && !has_count) {
    ctx.error(rule<"split.parts">, "x",
              "neither num_splits nor split_sizes is given but one of them must be");
    return;
  }
  const std::int64_t parts =
      has_count ? ctx.integer("num_splits") : static_cast<std::int64_t>(sizes.size());
  if (has_sizes && parts != static_cast<std::int64_t>(sizes.size())) {
    ctx.error(rule<"split.parts">, "num_splits split_sizes",
              fmt::format("num_splits is {} but split_sizes has {} entries", parts, sizes.size()));
    return;
  }
  if (parts < 1 || parts > kMaxResults) {
    ctx.error(rule<"split.count">, has_count ? "num_splits" : "split_sizes",
              fmt::format("there are {} parts but an op has 1 to {} results", parts, kMaxResults));
    return;
  }
  Shape out(x.shape);
  std::int64_t& part = out[static_cast<std::size_t>(axis)];
  if (has_sizes) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] < 0) {
        ctx.error(rule<"split.sizes">, "split_sizes",
                  fmt::format("split_sizes[{}] is {} but must be 0 or more", i, sizes[i]));
        return;
      }
      if (!add_dims(ctx, "split_sizes", sum, sizes[i], sum)) return;
    }
    if (!compatible(sum, whole)) {
      ctx.error(rule<"split.sizes">, "split_sizes x",
                fmt::format("split_sizes {} sum to {} but dim {} of {} has {} elements",
                            shape_text(sizes), sum, axis, ctx.describe("x"), whole));
      return;
    }
  } else if (known(whole) && whole % parts != 0) {
    ctx.error(rule<"split.divides">, "num_splits x",
              fmt::format("num_splits is {} but dim {} of {} has {} elements, which that does not "
                          "divide",
                          parts, axis, ctx.describe("x"), whole));
    return;
  }
  for (std::int64_t i = 0; i < parts; ++i) {
    part = has_sizes      ? sizes[static_cast<std::size_t>(i)]
           : known(whole) ? whole / parts
           : parts == 1   ? whole
                          : kUnknownDim;
    ctx.result(x.dtype, out);
  }
}

void infer_stack(InferContext& ctx) {
  const int count = ctx.count("values");
  if (count == 0) {
    ctx.error(rule<"stack.count">, "values", "there are 0 values but at least 1 is needed");
    return;
  }
  const TypeView first = ctx.type("values");
  int axis = 0;
  // The axis is one of the result, which has one dim more.
  if (!normalize_axis(ctx, rule<"stack.axis">, "axis", ctx.integer("axis"), first.rank() + 1,
                      axis)) {
    return;
  }
  for (int i = 1; i < count; ++i) {
    const TypeView value = ctx.type("values", i);
    bool same = value.rank() == first.rank();
    for (int d = 0; same && d < first.rank(); ++d) same = compatible(value.dim(d), first.dim(d));
    if (same) continue;
    ctx.error(rule<"stack.shape">, "values",
              fmt::format("{} has shape {} but {} has {}, and all values must have one shape",
                          ctx.describe("values", i), shape_text(value.shape),
                          ctx.describe("values"), shape_text(first.shape)));
    return;
  }
  Shape out(first.shape);
  out.insert(static_cast<std::size_t>(axis), count);
  ctx.result(first.dtype, out);
}

void infer_tile(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  if (!need_rank(ctx, rule<"tile.length">, "reps", 1)) return;
  const std::int64_t length = ctx.type("reps").dim(0);
  if (!compatible(length, x.rank())) {
    ctx.error(rule<"tile.length">, "reps x",
              fmt::format("{} has {} entries but {} has rank {}", ctx.describe("reps"), length,
                          ctx.describe("x"), x.rank()));
    return;
  }
  Shape out(x.shape.size(), kUnknownDim);
  std::span<const std::int64_t> reps;
  if (known_ints(ctx, "reps", reps)) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (reps[i] < 1) {
        ctx.error(rule<"tile.reps">, "reps",
                  fmt::format("reps[{}] is {} but must be 1 or more", i, reps[i]));
        return;
      }
      if (!multiply_dims(ctx, "x reps", x.shape[i], reps[i], out[i])) return;
    }
  }
  ctx.result(x.dtype, out);
}

void infer_topk(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  int axis = 0;
  if (!normalize_axis(ctx, rule<"topk.axis">, "axis", ctx.integer("axis", -1), x.rank(), axis)) {
    return;
  }
  const bool with_indices = ctx.boolean("return_indices", true);
  if (!with_indices && ctx.has("output_indices_dtype")) {
    ctx.error(rule<"topk.indices">, "return_indices output_indices_dtype",
              "return_indices is false but output_indices_dtype is given, which says what the "
              "indices are");
    return;
  }
  const std::int64_t whole = x.dim(axis);
  const std::int64_t k = ctx.integer("k", 1);
  if (k == 0 || k < -1) {
    ctx.error(rule<"topk.k">, "k", fmt::format("k is {} but must be 1 or more, or -1 for all", k));
    return;
  }
  // -1 asks for all of them; coremltools leaves the -1 in the type (op_semantics, bugs met).
  const std::int64_t taken = k == -1 ? whole : k;
  if (known(taken) && known(whole) && taken > whole) {
    ctx.error(rule<"topk.k">, "k x",
              fmt::format("k is {} but dim {} of {} has {} elements", taken, axis,
                          ctx.describe("x"), whole));
    return;
  }
  Shape out(x.shape);
  out[static_cast<std::size_t>(axis)] = taken;
  ctx.result(x.dtype, out);
  if (!with_indices) return;
  ctx.result(ctx.text("output_indices_dtype", "int32") == "uint16" ? DType::uint16 : DType::int32,
             out);
}

}  // namespace milgen
