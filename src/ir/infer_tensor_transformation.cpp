// Inference: reshape, transpose, the slices, squeeze and the other rearrangements.
#include <algorithm>
#include <cstddef>
#include <optional>

#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {

using namespace detail;

namespace {

// --- Space and depth. ---

/// [n, C, H, W] to [n, C / b^2, H * b, W * b].
void depth_to_space(InferContext& ctx, std::string_view block_param, Rule rank, Rule block,
                    Rule divides) {
  std::int64_t b = 0;
  if (!need_rank(ctx, rank, "x", 4) || !need_at_least(ctx, block, block_param, 1, 1, b)) return;
  const TypeView x = ctx.type("x");
  Shape out(x.shape);
  std::int64_t area = 0;
  if (!multiply_dims(ctx, block_param, b, b, area) ||
      !multiply_dims(ctx, "x", x.dim(2), b, out[2]) ||
      !multiply_dims(ctx, "x", x.dim(3), b, out[3])) {
    return;
  }
  if (known(x.dim(1))) {
    if (x.dim(1) % area != 0) {
      ctx.error(divides, "x",
                fmt::format("{} has {} channels, which {} = {} does not divide by its square",
                            ctx.describe("x"), x.dim(1), block_param, b));
      return;
    }
    out[1] = x.dim(1) / area;
  } else if (b != 1) {
    out[1] = kUnknownDim;
  }
  ctx.result(x.dtype, out);
}

/// [n, C, H, W] to [n, C * b^2, H / b, W / b].
void space_to_depth(InferContext& ctx, std::string_view block_param, Rule rank, Rule block,
                    Rule divides) {
  std::int64_t b = 0;
  if (!need_rank(ctx, rank, "x", 4) || !need_at_least(ctx, block, block_param, 1, 1, b)) return;
  const TypeView x = ctx.type("x");
  Shape out(x.shape);
  std::int64_t area = 0;
  if (!multiply_dims(ctx, block_param, b, b, area) ||
      !multiply_dims(ctx, "x", x.dim(1), area, out[1])) {
    return;
  }
  for (int d = 2; d < 4; ++d) {
    std::int64_t& dim = out[static_cast<std::size_t>(d)];
    if (known(dim) && dim % b != 0) {
      ctx.error(divides, "x",
                fmt::format("{} has shape {} but {} = {} does not divide dim {}", ctx.describe("x"),
                            shape_text(x.shape), block_param, b, d));
      return;
    }
    if (b != 1) dim = known(dim) ? dim / b : kUnknownDim;
  }
  ctx.result(x.dtype, out);
}

/// The arguments that space_to_batch and batch_to_space share: x of rank 4, a block_shape of two
/// sizes, and two margins for each of the two spatial dims.
struct Blocks {
  std::span<const std::int64_t> sizes;
  std::span<const std::int64_t> margins;
  std::int64_t area = 0;
};
bool read_blocks(InferContext& ctx, std::string_view margin_param, Rule rank, Rule shape, Rule size,
                 Blocks& out) {
  if (!need_rank(ctx, rank, "x", 4) || !need_shape(ctx, shape, "block_shape", Shape{2}) ||
      !need_shape(ctx, shape, margin_param, Shape{2, 2})) {
    return false;
  }
  for (const std::string_view param : {std::string_view("block_shape"), margin_param}) {
    auto& values = param == margin_param ? out.margins : out.sizes;
    if (!known_ints(ctx, param, values)) {
      ctx.error(rule<"arg.value">, param,
                fmt::format("the elements of {} are not at hand", ctx.describe(param)));
      return false;
    }
    const std::int64_t least = param == margin_param ? 0 : 1;
    for (const std::int64_t value : values) {
      if (value >= least) continue;
      ctx.error(size, param, fmt::format("{} holds {} but takes {} or more", param, value, least));
      return false;
    }
  }
  return multiply_dims(ctx, "block_shape", out.sizes[0], out.sizes[1], out.area);
}

// --- Slices. ---

/// One bound of a slice along one dim.
struct Bound {
  enum Kind { open, at, at_run_time } kind = open;
  std::int64_t index = 0;
};

/// The arguments of slice_by_index and slice_update. An empty list stands for one that was left
/// out, and for one whose elements are only known at run time.
struct Slice {
  std::span<const std::int64_t> begin, end, stride, begin_mask, end_mask, squeeze_mask;

  Bound begin_of(std::size_t d) const { return bound(begin, begin_mask, d); }
  Bound end_of(std::size_t d) const { return bound(end, end_mask, d); }
  std::int64_t stride_of(std::size_t d) const { return stride.empty() ? 1 : stride[d]; }
  bool squeezes(std::size_t d) const { return !squeeze_mask.empty() && squeeze_mask[d] != 0; }

 private:
  static Bound bound(std::span<const std::int64_t> index, std::span<const std::int64_t> mask,
                     std::size_t d) {
    if (!mask.empty() && mask[d] != 0) return {Bound::open, 0};
    if (index.empty()) return {Bound::at_run_time, 0};
    return {Bound::at, index[d]};
  }
};

bool read_slice(InferContext& ctx, Slice& out) {
  const TypeView x = ctx.type("x");
  const struct {
    std::string_view name;
    std::span<const std::int64_t>& values;
  } lists[] = {{"begin", out.begin},       {"end", out.end},
               {"stride", out.stride},     {"begin_mask", out.begin_mask},
               {"end_mask", out.end_mask}, {"squeeze_mask", out.squeeze_mask}};
  for (const auto& list : lists) {
    if (!ctx.has(list.name)) continue;
    const TypeView type = ctx.type(list.name);
    if (type.rank() != 1 || !compatible(type.dim(0), x.rank())) {
      ctx.error(rule<"slice.length">, list.name == "begin" ? "begin x" : list.name,
                fmt::format("{} has shape {} but takes one entry for each of the {} dims of {}",
                            ctx.describe(list.name), shape_text(type.shape), x.rank(),
                            shape_text(x.shape)));
      return false;
    }
    known_ints(ctx, list.name, list.values);
  }
  return true;
}

/// How many steps of `stride` lead over `distance` elements; 0 when the distance is not positive.
/// Unsigned, because the least stride has no positive counterpart.
std::int64_t count_steps(std::int64_t distance, std::int64_t stride) {
  if (distance <= 0) return 0;
  const auto raw = static_cast<std::uint64_t>(stride);
  const std::uint64_t step = stride > 0 ? raw : 0 - raw;
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(distance) - 1) / step + 1);
}

/// How many elements a slice with both bounds inside or outside [0, n) takes, as Python counts.
std::int64_t count_sliced(std::int64_t n, Bound begin, Bound end, std::int64_t stride) {
  const std::int64_t low = stride > 0 ? 0 : -1;
  const std::int64_t high = stride > 0 ? n : n - 1;
  const auto place = [&](Bound bound, std::int64_t open) {
    if (bound.kind == Bound::open) return open;
    return std::clamp(bound.index < 0 ? bound.index + n : bound.index, low, high);
  };
  const std::int64_t from = place(begin, stride > 0 ? 0 : n - 1);
  const std::int64_t to = place(end, stride > 0 ? n : -1);
  return count_steps(stride > 0 ? to - from : from - to, stride);
}

/// How far a slice goes in any dim that holds its bounds, where both count from the end of the dim
/// at which it begins: x[2:3] and x[-1:] take one element whatever the dim is. Negative when the
/// end comes first; nothing for other bounds.
std::optional<std::int64_t> sure_distance(Bound begin, Bound end, std::int64_t stride) {
  if (begin.kind == Bound::at_run_time || end.kind == Bound::at_run_time) return std::nullopt;
  const bool forward = stride > 0;
  if (begin.kind == Bound::at && end.kind == Bound::at) {
    // Bounds of one sign: their difference fits.
    if (forward && begin.index >= 0 && end.index >= 0) return end.index - begin.index;
    if (!forward && begin.index < 0 && end.index < 0) return begin.index - end.index;
  } else if (begin.kind == Bound::open) {
    if (forward && end.index > 0) return end.index;
    if (!forward && end.index < -1) return -1 - end.index;
  } else {
    if (forward && begin.index < 0 && begin.index != INT64_MIN) return -begin.index;
    if (!forward && begin.index >= 0 && begin.index != INT64_MAX) return begin.index + 1;
  }
  return std::nullopt;
}

/// The dim that a slice leaves of a dim of `n` elements.
bool slice_dim(InferContext& ctx, const Slice& slice, std::size_t d, std::int64_t n,
               std::int64_t& out) {
  const Bound begin = slice.begin_of(d);
  const Bound end = slice.end_of(d);
  const std::int64_t stride = slice.stride_of(d);
  out = kUnknownDim;
  if (begin.kind == Bound::open && end.kind == Bound::open) {
    if (known(n)) {
      out = count_sliced(n, begin, end, stride);
    } else if (stride == 1 || stride == -1) {
      out = n;
    }
    return true;
  }
  const std::optional<std::int64_t> distance = sure_distance(begin, end, stride);
  if (distance && *distance < 0) {
    ctx.error(rule<"slice.range">, "begin end",
              fmt::format("begin is {} and end is {} in dim {}, but with stride {} the end "
                          "must not come first",
                          begin.index, end.index, d, stride));
    return false;
  }
  if (!known(n)) {
    // A slice of at most one element is one in a dim of any size.
    if (distance && count_steps(*distance, stride) <= 1) out = count_steps(*distance, stride);
    return true;
  }
  if (begin.kind != Bound::at_run_time && end.kind != Bound::at_run_time) {
    out = count_sliced(n, begin, end, stride);
  }
  return true;
}

/// The shape of the slice that slice_by_index takes and slice_update writes.
bool slice_shape(InferContext& ctx, Shape& out) {
  Slice slice;
  if (!read_slice(ctx, slice)) return false;
  const TypeView x = ctx.type("x");
  for (std::size_t d = 0; d < x.shape.size(); ++d) {
    const std::int64_t n = x.shape[d];
    if (slice.stride_of(d) == 0) {
      ctx.error(rule<"slice.stride">, "stride",
                fmt::format("stride[{}] is 0 but must be positive or negative", d));
      return false;
    }
    if (slice.squeezes(d)) {
      const Bound begin = slice.begin_of(d);
      if (begin.kind == Bound::at && known(n) && (begin.index < -n || begin.index >= n)) {
        ctx.error(rule<"slice.range">, "begin x",
                  fmt::format("begin[{}] is {} but dim {} of {} has {} elements to take one from",
                              d, begin.index, d, ctx.describe("x"), n));
        return false;
      }
      continue;
    }
    std::int64_t dim = 0;
    if (!slice_dim(ctx, slice, d, n, dim)) return false;
    out.push_back(dim);
  }
  return true;
}

// --- Reshape. ---

/// The number of elements as far as it is known: the product of the known dims, how many others
/// there are, and one of those.
struct Volume {
  std::int64_t product = 1;
  int unknown = 0;
  std::int64_t symbol = kUnknownDim;

  bool take(InferContext& ctx, std::string_view operand, std::int64_t dim) {
    if (known(dim)) return multiply_dims(ctx, operand, product, dim, product);
    ++unknown;
    symbol = dim;
    return true;
  }
};

/// Reports an axis of a list that comes twice. `seen` has one entry for each axis.
bool need_new_axis(InferContext& ctx, Rule rule, std::string_view param, int axis, Ints& seen) {
  std::int64_t& mark = seen[static_cast<std::size_t>(axis)];
  if (mark == 0) {
    mark = 1;
    return true;
  }
  ctx.error(rule, param, fmt::format("{} names axis {} twice", param, axis));
  return false;
}

}  // namespace

void infer_depth_to_space(InferContext& ctx) {
  depth_to_space(ctx, "block_size", rule<"depth_to_space.rank">, rule<"depth_to_space.block">,
                 rule<"depth_to_space.channels">);
}

void infer_pixel_shuffle(InferContext& ctx) {
  depth_to_space(ctx, "upscale_factor", rule<"pixel_shuffle.rank">, rule<"pixel_shuffle.factor">,
                 rule<"pixel_shuffle.channels">);
}

void infer_space_to_depth(InferContext& ctx) {
  space_to_depth(ctx, "block_size", rule<"space_to_depth.rank">, rule<"space_to_depth.block">,
                 rule<"space_to_depth.divides">);
}

void infer_pixel_unshuffle(InferContext& ctx) {
  space_to_depth(ctx, "downscale_factor", rule<"pixel_unshuffle.rank">,
                 rule<"pixel_unshuffle.factor">, rule<"pixel_unshuffle.divides">);
}

void infer_space_to_batch(InferContext& ctx) {
  Blocks blocks;
  if (!read_blocks(ctx, "paddings", rule<"space_to_batch.rank">, rule<"space_to_batch.shape">,
                   rule<"space_to_batch.value">, blocks)) {
    return;
  }
  const TypeView x = ctx.type("x");
  Shape out(x.shape);
  if (!multiply_dims(ctx, "x block_shape", x.dim(0), blocks.area, out[0])) return;
  for (std::size_t i = 0; i < 2; ++i) {
    std::int64_t& dim = out[2 + i];
    if (!add_dims(ctx, "x paddings", dim, blocks.margins[2 * i], dim) ||
        !add_dims(ctx, "x paddings", dim, blocks.margins[2 * i + 1], dim)) {
      return;
    }
    if (known(dim) && dim % blocks.sizes[i] != 0) {
      ctx.error(rule<"space_to_batch.divides">, "x block_shape paddings",
                fmt::format("dim {} has {} elements with its paddings, which block_shape[{}] = {} "
                            "does not divide",
                            2 + i, dim, i, blocks.sizes[i]));
      return;
    }
    if (blocks.sizes[i] != 1) dim = known(dim) ? dim / blocks.sizes[i] : kUnknownDim;
  }
  ctx.result(x.dtype, out);
}

void infer_batch_to_space(InferContext& ctx) {
  Blocks blocks;
  if (!read_blocks(ctx, "crops", rule<"batch_to_space.rank">, rule<"batch_to_space.shape">,
                   rule<"batch_to_space.value">, blocks)) {
    return;
  }
  const TypeView x = ctx.type("x");
  Shape out(x.shape);
  if (known(x.dim(0)) && x.dim(0) % blocks.area != 0) {
    ctx.error(rule<"batch_to_space.divides">, "x block_shape",
              fmt::format("{} has a batch of {}, which block_shape {} of {} elements does not "
                          "divide",
                          ctx.describe("x"), x.dim(0), shape_text(blocks.sizes), blocks.area));
    return;
  }
  if (blocks.area != 1) out[0] = known(x.dim(0)) ? x.dim(0) / blocks.area : kUnknownDim;
  for (std::size_t i = 0; i < 2; ++i) {
    std::int64_t& dim = out[2 + i];
    std::int64_t cropped = 0;
    if (!multiply_dims(ctx, "x block_shape", dim, blocks.sizes[i], dim) ||
        !add_dims(ctx, "crops", blocks.margins[2 * i], blocks.margins[2 * i + 1], cropped)) {
      return;
    }
    if (known(dim) && cropped >= dim && cropped != 0) {
      ctx.error(
          rule<"batch_to_space.crops">, "x crops",
          fmt::format("crops take {} elements off dim {}, which has {}", cropped, 2 + i, dim));
      return;
    }
    if (cropped != 0) dim = known(dim) ? dim - cropped : kUnknownDim;
  }
  ctx.result(x.dtype, out);
}

void infer_expand_dims(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  const std::span<const std::int64_t> axes = list_of(ctx, "axes");
  const std::size_t rank = x.shape.size() + axes.size();
  Ints is_new(rank, 0);
  for (const std::int64_t value : axes) {
    int axis = 0;
    if (!normalize_axis(ctx, rule<"expand_dims.axis">, "axes", value, static_cast<int>(rank),
                        axis) ||
        !need_new_axis(ctx, rule<"expand_dims.axis">, "axes", axis, is_new)) {
      return;
    }
  }
  Shape out(rank, 1);
  std::size_t next = 0;
  for (std::size_t d = 0; d < rank; ++d) {
    if (is_new[d] == 0) out[d] = x.shape[next++];
  }
  ctx.result(x.dtype, out);
}

void infer_reshape(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  if (!need_rank(ctx, rule<"reshape.shape">, "shape", 1)) return;
  std::span<const std::int64_t> target;
  if (!known_ints(ctx, "shape", target)) {
    Shape out;
    if (shape_argument(ctx, rule<"reshape.shape">, "shape", out)) ctx.result(x.dtype, out);
    return;
  }
  // A copied dim is the same number on both sides whatever it is, so it is left out of the count.
  Shape rest(x.shape);
  Shape out(target);
  std::size_t free_dim = out.size();
  Volume wanted;
  const bool right_aligned = ctx.opset() >= Opset::ios17;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] == 0) {
      if (!right_aligned && target.size() != x.shape.size()) {
        ctx.error(rule<"reshape.copy">, "shape x",
                  fmt::format("shape {} copies dim {} of {}, which takes equal ranks before ios17",
                              shape_text(target), i, shape_text(x.shape)));
        return;
      }
      const std::size_t from_end = target.size() - i;
      if (from_end > x.shape.size()) {
        out[i] = 1;
      } else {
        std::int64_t& source = rest[x.shape.size() - from_end];
        out[i] = source;
        source = 1;
      }
    } else if (target[i] == -1) {
      if (free_dim != out.size()) {
        ctx.error(rule<"reshape.free">, "shape",
                  fmt::format("shape has -1 at {} and at {} but only one dim can be worked out",
                              free_dim, i));
        return;
      }
      free_dim = i;
    } else if (target[i] < 0) {
      ctx.error(rule<"reshape.shape">, "shape",
                fmt::format("shape[{}] is {} but a dim is -1 (worked out), 0 (copied) or more", i,
                            target[i]));
      return;
    } else if (!wanted.take(ctx, "shape", target[i])) {
      return;
    }
  }
  Volume held;
  for (const std::int64_t dim : rest) {
    if (!held.take(ctx, "x", dim)) return;
  }
  const bool has_free = free_dim != out.size();
  const bool divides = wanted.product != 0 && held.product % wanted.product == 0;
  bool fits = true;
  if (held.unknown == 0) {
    fits = has_free ? divides : held.product == wanted.product;
    if (has_free && fits) out[free_dim] = held.product / wanted.product;
  } else if (has_free) {
    const bool is_symbol = held.unknown == 1 && held.product == wanted.product;
    out[free_dim] = is_symbol ? held.symbol : kUnknownDim;
  } else {
    // The dims that are not known have to make up for the difference.
    fits = held.product == 0 ? wanted.product == 0 : wanted.product % held.product == 0;
  }
  if (!fits) {
    ctx.error(rule<"reshape.volume">, "x shape",
              fmt::format("{} has shape {}, whose elements do not fill {}", ctx.describe("x"),
                          shape_text(x.shape), to_string(Ints(target))));
    return;
  }
  ctx.result(x.dtype, out);
}

void infer_reshape_like(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  const int count = ctx.count("ref_tensors");
  for (const std::string_view param : {"begins", "ends", "end_masks"}) {
    if (ctx.count(param) != count) {
      ctx.error(
          rule<"reshape_like.count">, param,
          fmt::format("{} has {} entries but ref_tensors has {}", param, ctx.count(param), count));
      return;
    }
    const DType dtype = param == "end_masks" ? DType::boolean : DType::int32;
    for (int i = 0; i < count; ++i) {
      const TypeView type = ctx.type(param, i);
      const ConstView* value = ctx.constant(param, i);
      if (type.rank() == 0 && type.dtype == dtype && value != nullptr && value->known) continue;
      ctx.error(rule<"reshape_like.bound">, param,
                fmt::format("{} is {} but must be a constant {}", ctx.describe(param, i),
                            to_string(type), dtype_name(dtype)));
      return;
    }
  }
  Shape out;
  std::int64_t wanted = 1;
  for (int i = 0; i < count; ++i) {
    const TypeView ref = ctx.type("ref_tensors", i);
    if (ref.kind != TypeKind::tensor) {
      ctx.error(rule<"arg.kind">, "ref_tensors",
                fmt::format("{} is {} but the op takes a tensor there",
                            ctx.describe("ref_tensors", i), to_string(ref)));
      return;
    }
    const std::int64_t rank = ref.rank();
    const auto place = [&](std::int64_t index) {
      return std::clamp<std::int64_t>(index < 0 ? index + rank : index, 0, rank);
    };
    const std::int64_t from = place(ctx.constant("begins", i)->ints.front());
    const std::int64_t to = ctx.constant("end_masks", i)->ints.front() != 0
                                ? rank
                                : place(ctx.constant("ends", i)->ints.front());
    for (std::int64_t d = from; d < to; ++d) {
      const std::int64_t dim = ref.dim(static_cast<int>(d));
      if (!known(dim)) {
        ctx.error(rule<"reshape_like.unknown">, "ref_tensors",
                  fmt::format("{} has shape {} but dim {}, which is copied, must be known",
                              ctx.describe("ref_tensors", i), shape_text(ref.shape), d));
        return;
      }
      if (!multiply_dims(ctx, "ref_tensors", wanted, dim, wanted)) return;
      out.push_back(dim);
    }
  }
  Volume held;
  for (const std::int64_t dim : x.shape) {
    if (!held.take(ctx, "x", dim)) return;
  }
  const bool fits = held.unknown == 0   ? held.product == wanted
                    : held.product == 0 ? wanted == 0
                                        : wanted % held.product == 0;
  if (!fits) {
    ctx.error(rule<"reshape_like.volume">, "x ref_tensors",
              fmt::format("{} has shape {}, whose elements do not fill {}", ctx.describe("x"),
                          shape_text(x.shape), shape_text(out)));
    return;
  }
  ctx.result(x.dtype, out);
}

void infer_reverse(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  for (const std::int64_t value : list_of(ctx, "axes")) {
    int axis = 0;
    if (!normalize_axis(ctx, rule<"reverse.axis">, "axes", value, x.rank(), axis)) return;
  }
  ctx.result_like("x");
}

void infer_reverse_sequence(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  int batch = 0;
  int sequence = 0;
  if (!normalize_axis(ctx, rule<"reverse_sequence.axis">, "batch_axis", ctx.integer("batch_axis"),
                      x.rank(), batch) ||
      !normalize_axis(ctx, rule<"reverse_sequence.axis">, "seq_axis", ctx.integer("seq_axis"),
                      x.rank(), sequence) ||
      !need_shape(ctx, rule<"reverse_sequence.lengths">, "lengths", Shape{x.dim(batch)})) {
    return;
  }
  ctx.result_like("x");
}

void infer_slice_by_index(InferContext& ctx) {
  Shape out;
  if (slice_shape(ctx, out)) ctx.result(ctx.type("x").dtype, out);
}

void infer_slice_update(InferContext& ctx) {
  Shape slice;
  if (!slice_shape(ctx, slice)) return;
  const TypeView update = ctx.type("update");
  if (update.rank() == 0) {
    ctx.error(rule<"slice_update.rank">, "update",
              fmt::format("{} is a scalar but must have rank 1 or more", ctx.describe("update")));
    return;
  }
  if (!need_shape(ctx, rule<"slice_update.shape">, "update", slice)) return;
  ctx.result_like("x");
}

void infer_slice_by_size(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  const Shape length{x.rank()};
  if (!need_shape(ctx, rule<"slice_by_size.length">, "begin", length) ||
      !need_shape(ctx, rule<"slice_by_size.length">, "size", length)) {
    return;
  }
  std::span<const std::int64_t> begin;
  std::span<const std::int64_t> size;
  const bool begin_known = known_ints(ctx, "begin", begin);
  const bool size_known = known_ints(ctx, "size", size);
  Shape out(x.shape.size(), kUnknownDim);
  for (std::size_t d = 0; d < out.size(); ++d) {
    const std::int64_t n = x.shape[d];
    const std::int64_t from = begin_known ? begin[d] : 0;
    if (from < 0 || (known(n) && from > n)) {
      ctx.error(rule<"slice_by_size.range">, "begin x",
                fmt::format("begin[{}] is {} but dim {} of {} has {} elements", d, from, d,
                            ctx.describe("x"), known(n) ? std::to_string(n) : "unknown"));
      return;
    }
    if (!size_known) continue;
    if (size[d] < -1) {
      ctx.error(rule<"slice_by_size.range">, "size",
                fmt::format("size[{}] is {} but must be 0 or more, or -1 for all that is left", d,
                            size[d]));
      return;
    }
    if (size[d] != -1) {
      if (known(n) && size[d] > n - from) {
        ctx.error(
            rule<"slice_by_size.range">, "begin size x",
            fmt::format("begin[{}] = {} and size[{}] = {} reach {} but dim {} of {} has {} "
                        "elements",
                        d, from, d, size[d],
                        static_cast<std::uint64_t>(from) + static_cast<std::uint64_t>(size[d]), d,
                        ctx.describe("x"), n));
        return;
      }
      out[d] = size[d];
    } else if (begin_known) {
      out[d] = known(n) ? n - from : from == 0 ? n : kUnknownDim;
    }
  }
  ctx.result(x.dtype, out);
}

void infer_sliding_windows(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  int axis = 0;
  std::int64_t size = 0;
  std::int64_t stride = 0;
  if (!normalize_axis(ctx, rule<"sliding_windows.axis">, "axis", ctx.integer("axis"), x.rank(),
                      axis) ||
      !need_at_least(ctx, rule<"sliding_windows.size">, "size", 1, 1, size) ||
      !need_at_least(ctx, rule<"sliding_windows.stride">, "stride", 1, 1, stride)) {
    return;
  }
  const std::int64_t dim = x.dim(axis);
  if (known(dim) && size > dim) {
    ctx.error(rule<"sliding_windows.size">, "size x",
              fmt::format("size is {} but dim {} of {} has {} elements", size, axis,
                          ctx.describe("x"), dim));
    return;
  }
  Shape out(x.shape);
  const auto at = static_cast<std::size_t>(axis);
  out[at] = known(dim) ? (dim - size) / stride + 1 : size == 1 && stride == 1 ? dim : kUnknownDim;
  out.insert(at + 1, size);
  ctx.result(x.dtype, out);
}

void infer_squeeze(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  Shape out;
  if (!ctx.has("axes")) {
    for (const std::int64_t dim : x.shape) {
      if (dim != 1) out.push_back(dim);
    }
    ctx.result(x.dtype, out);
    return;
  }
  Ints listed(x.shape.size(), 0);
  for (const std::int64_t value : list_of(ctx, "axes")) {
    int axis = 0;
    if (!normalize_axis(ctx, rule<"squeeze.axis">, "axes", value, x.rank(), axis)) return;
    const std::int64_t dim = x.dim(axis);
    if (known(dim) && dim != 1) {
      ctx.error(rule<"squeeze.dim">, "axes x",
                fmt::format("axes names dim {} of {}, which has {} elements and not 1", axis,
                            ctx.describe("x"), dim));
      return;
    }
    listed[static_cast<std::size_t>(axis)] = 1;
  }
  // A listed dim that is not known to be 1 is kept, as the op's definition has it.
  for (std::size_t d = 0; d < listed.size(); ++d) {
    if (listed[d] == 0 || x.shape[d] != 1) out.push_back(x.shape[d]);
  }
  ctx.result(x.dtype, out);
}

void infer_transpose(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  const std::span<const std::int64_t> perm = list_of(ctx, "perm");
  if (perm.size() != x.shape.size()) {
    ctx.error(rule<"transpose.perm">, "perm x",
              fmt::format("perm has {} entries but {} has rank {}", perm.size(), ctx.describe("x"),
                          x.rank()));
    return;
  }
  Shape out(perm.size(), 0);
  Ints seen(perm.size(), 0);
  for (std::size_t i = 0; i < perm.size(); ++i) {
    int axis = 0;
    if (!normalize_axis(ctx, rule<"transpose.axis">, "perm", perm[i], x.rank(), axis) ||
        !need_new_axis(ctx, rule<"transpose.axis">, "perm", axis, seen)) {
      return;
    }
    out[i] = x.dim(axis);
  }
  ctx.result(x.dtype, out);
}

}  // namespace milgen
