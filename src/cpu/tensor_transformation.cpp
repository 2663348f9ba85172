// Kernels that move elements without changing them. All of them are strided copies: an op works out
// where the first element is and how far it is to the next one along each dim.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cpu/kernel_util.h"
#include "cpu/kernels_tensor_transformation.h"
#include "cpu/strided_copy.h"

namespace milgen::cpu {
namespace {

std::byte* element_at(const TensorView& tensor, std::int64_t offset) {
  return tensor.data + offset * static_cast<std::int64_t>(element_bytes(tensor.dtype));
}

// --- Space and depth. ---

/// Between a tensor whose channels hold blocks of b x b and the image that they make. In the
/// channels the block is the outer factor or the inner one.
bool move_blocks(OpRun& run, std::string_view block_param, bool to_image, bool block_outer) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const std::int64_t b = run.integer(block_param);
  const TensorView& image = to_image ? out : x;
  const std::int64_t channels = image.dim(1);
  const std::int64_t height = image.dim(2) / b;
  const std::int64_t width = image.dim(3) / b;
  const std::int64_t area = height * width;
  const std::int64_t entry = channels * b * b * area;
  const std::int64_t channel = block_outer ? 1 : b * b;
  const std::int64_t block = block_outer ? channels : 1;
  // Both as [batch, channels, height, row of block, width, column of block].
  const Shape shape{x.dim(0), channels, height, b, width, b};
  const Ints deep{entry, channel * area, width, block * b * area, 1, block * area};
  const Ints flat{entry, b * b * area, b * b * width, b * width, b, 1};
  copy_strided(run.pool(), x.dtype, shape, {x.data, to_image ? deep : flat},
               {out.data, to_image ? flat : deep});
  return true;
}

/// The positions i >= 0 below `count` for which i * block + offset lies in [0, size).
struct Positions {
  std::int64_t first = 0;
  std::int64_t count = 0;
};
Positions inside(std::int64_t count, std::int64_t block, std::int64_t offset, std::int64_t size) {
  const std::int64_t first = offset >= 0 ? 0 : (-offset - 1) / block + 1;
  const std::int64_t end = offset >= size ? 0 : (size - offset - 1) / block + 1;
  return {first, std::max<std::int64_t>(0, std::min(end, count) - first)};
}

/// Between an image with margins around it and a batch that holds each place (i, j) of a block of
/// the image as entries of its own, i and j being the outer factors of the batch. Places of the
/// batch that fall into a margin are left alone.
bool move_batch_blocks(OpRun& run, std::string_view margin_param, bool to_batch) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (to_batch) fill_tensor(run.pool(), out, 0);
  if (x.count == 0 || out.count == 0) return true;
  const Ints block = run.integers("block_shape");
  const Ints margins = run.integers(margin_param);
  const TensorView& image = to_batch ? x : out;
  const TensorView& batch = to_batch ? out : x;
  const Ints image_strides = dense_strides(image.shape);
  const Ints batch_strides = dense_strides(batch.shape);
  const Ints flat{image_strides[0], image_strides[1], block[0] * image_strides[2], block[1]};
  for (std::int64_t place = 0; place < block[0] * block[1]; ++place) {
    const std::int64_t row = place / block[1] - margins[0];
    const std::int64_t column = place % block[1] - margins[2];
    const Positions rows = inside(batch.dim(2), block[0], row, image.dim(2));
    const Positions columns = inside(batch.dim(3), block[1], column, image.dim(3));
    const Shape shape{image.dim(0), image.dim(1), rows.count, columns.count};
    if (rows.count == 0 || columns.count == 0) continue;
    std::byte* in_image = element_at(image, (rows.first * block[0] + row) * image_strides[2] +
                                                columns.first * block[1] + column);
    std::byte* in_batch = element_at(batch, place * image.dim(0) * batch_strides[0] +
                                                rows.first * batch_strides[2] + columns.first);
    if (to_batch) {
      copy_strided(run.pool(), x.dtype, shape, {in_image, flat}, {in_batch, batch_strides});
    } else {
      copy_strided(run.pool(), x.dtype, shape, {in_batch, batch_strides}, {in_image, flat});
    }
  }
  return true;
}

// --- Slices. ---

/// Where a slice of x begins and how it goes on along each dim of x. Dims that are squeezed away
/// have one element.
struct Slice {
  std::int64_t offset = 0;
  Shape shape;
  Ints strides;
};

/// The first element that a slice takes of a dim of `n`; a begin beyond the dim is held to it.
std::int64_t first_index(std::int64_t n, bool open, std::int64_t begin, std::int64_t stride) {
  const std::int64_t low = stride > 0 ? 0 : -1;
  const std::int64_t high = stride > 0 ? n : n - 1;
  if (open) return stride > 0 ? low : high;
  return std::clamp(begin < 0 ? begin + n : begin, low, high);
}

/// What slice_by_index reads and slice_update writes. `sliced` is the shape of the slice, which has
/// elements. False when a squeezed dim has no element to take.
bool read_slice(OpRun& run, const Shape& sliced, Slice& out) {
  const TensorView& x = run.in("x");
  const Ints begin = run.integers("begin");
  const Ints stride = run.integers("stride");
  const Ints open = run.integers("begin_mask");
  const Ints squeezed = run.integers("squeeze_mask");
  const Ints strides = dense_strides(x.shape);
  std::size_t next = 0;
  for (std::size_t d = 0; d < x.rank(); ++d) {
    const std::int64_t step = stride.empty() ? 1 : stride[d];
    const std::int64_t first = first_index(x.dim(d), !open.empty() && open[d] != 0, begin[d], step);
    if (first < 0 || first >= x.dim(d)) {
      return run.fail(
          rule<"run.index">,
          fmt::format("begin[{}] is {} but dim {} of x has {} elements to take one from", d,
                      begin[d], d, x.dim(d)));
    }
    const bool squeezes = !squeezed.empty() && squeezed[d] != 0;
    const std::int64_t count = squeezes ? 1 : sliced[next++];
    out.offset += first * strides[d];
    out.shape.push_back(count);
    // With one element the stride says nothing, and may be of any size.
    out.strides.push_back(count == 1 ? 0 : step * strides[d]);
  }
  return true;
}

/// Copies elements of x to the result; `from` and `to` are the offsets of the first of them.
bool copy_part(OpRun& run, const Shape& shape, std::int64_t from, const Ints& from_strides,
               std::int64_t to, const Ints& to_strides) {
  const TensorView& x = run.in("x");
  copy_strided(run.pool(), x.dtype, shape, {element_at(x, from), from_strides},
               {element_at(run.out(), to), to_strides});
  return true;
}

}  // namespace

bool run_same_elements(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (x.data == out.data) return true;
  copy_bytes(run.pool(), x.data, out.data,
             static_cast<std::size_t>(x.count) * element_bytes(x.dtype));
  return true;
}

bool run_depth_to_space(OpRun& run) { return move_blocks(run, "block_size", true, true); }
bool run_space_to_depth(OpRun& run) { return move_blocks(run, "block_size", false, true); }
bool run_pixel_shuffle(OpRun& run) { return move_blocks(run, "upscale_factor", true, false); }
bool run_pixel_unshuffle(OpRun& run) { return move_blocks(run, "downscale_factor", false, false); }
bool run_space_to_batch(OpRun& run) { return move_batch_blocks(run, "paddings", true); }
bool run_batch_to_space(OpRun& run) { return move_batch_blocks(run, "crops", false); }

bool run_transpose(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const Ints strides = dense_strides(x.shape);
  Ints from;
  for (const std::int64_t axis : run.integers("perm")) {
    from.push_back(strides[axis_from_front(axis, x.rank())]);
  }
  copy_strided(run.pool(), x.dtype, out.shape, {x.data, from},
               {out.data, dense_strides(out.shape)});
  return true;
}

bool run_reverse(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const Ints strides = dense_strides(x.shape);
  Ints axes = run.integers("axes");
  if (!run.has("axes")) {
    for (std::size_t d = 0; d < x.rank(); ++d) axes.push_back(static_cast<std::int64_t>(d));
  }
  Ints from = strides;
  std::int64_t offset = 0;
  for (const std::int64_t value : axes) {
    const std::size_t d = axis_from_front(value, x.rank());
    if (from[d] < 0) continue;  // named twice
    from[d] = -strides[d];
    offset += (x.dim(d) - 1) * strides[d];
  }
  copy_strided(run.pool(), x.dtype, x.shape, {element_at(x, offset), from}, {out.data, strides});
  return true;
}

bool run_reverse_sequence(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& lengths = run.in("lengths");
  const std::size_t batch = axis_from_front(run.integer("batch_axis"), x.rank());
  const std::size_t sequence = axis_from_front(run.integer("seq_axis"), x.rank());
  const std::int64_t size = x.dim(sequence);
  for (std::int64_t i = 0; i < lengths.count; ++i) {
    const std::int64_t length = integer_at(lengths, i);
    if (length >= 0 && length <= size) continue;
    return run.fail(rule<"run.index">,
                    fmt::format("lengths[{}] is {} but dim {} of x has {} elements", i, length,
                                sequence, size));
  }
  if (x.count == 0) return true;
  const Ints strides = dense_strides(x.shape);
  Ints backwards = strides;
  backwards[sequence] = -strides[sequence];
  for (std::int64_t i = 0; i < lengths.count; ++i) {
    const std::int64_t length = integer_at(lengths, i);
    const std::int64_t entry = i * strides[batch];
    Shape shape = x.shape;
    shape[batch] = 1;
    if (batch == sequence) {
      // The entry has one element of the sequence: number i.
      const std::int64_t source = i < length ? length - 1 - i : i;
      copy_part(run, shape, source * strides[batch], strides, entry, strides);
      continue;
    }
    shape[sequence] = length;
    copy_part(run, shape, entry + (length - 1) * strides[sequence], backwards, entry, strides);
    const std::int64_t rest = entry + length * strides[sequence];
    shape[sequence] = size - length;
    copy_part(run, shape, rest, strides, rest, strides);
  }
  return true;
}

bool run_slice_by_index(OpRun& run) {
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  Slice slice;
  if (!read_slice(run, out.shape, slice)) return false;
  return copy_part(run, slice.shape, slice.offset, slice.strides, 0, dense_strides(slice.shape));
}

bool run_slice_by_size(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const Ints begin = run.integers("begin");
  const Ints strides = dense_strides(x.shape);
  std::int64_t offset = 0;
  for (std::size_t d = 0; d < x.rank(); ++d) offset += begin[d] * strides[d];
  return copy_part(run, out.shape, offset, strides, 0, dense_strides(out.shape));
}

bool run_slice_update(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& update = run.in("update");
  const TensorView& out = run.out();
  const std::size_t bytes = static_cast<std::size_t>(update.count) * element_bytes(update.dtype);
  const std::byte* from = update.data;
  if (out.data == update.data && update.count != 0) {
    std::byte* kept = run.scratch(bytes);
    if (kept == nullptr) return false;
    copy_bytes(run.pool(), update.data, kept, bytes);
    from = kept;
  }
  run_same_elements(run);
  if (update.count == 0) return true;
  Slice slice;
  if (!read_slice(run, update.shape, slice)) return false;
  copy_strided(run.pool(), x.dtype, slice.shape, {from, dense_strides(slice.shape)},
               {element_at(out, slice.offset), slice.strides});
  return true;
}

bool run_sliding_windows(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (out.count == 0) return true;
  const std::size_t axis = axis_from_front(run.integer("axis"), x.rank());
  Ints from = dense_strides(x.shape);
  const std::int64_t element = from[axis];
  // Of one window the stride says nothing, and may be of any size.
  from[axis] = out.dim(axis) == 1 ? 0 : run.integer("stride") * element;
  from.insert(axis + 1, element);
  return copy_part(run, out.shape, 0, from, 0, dense_strides(out.shape));
}

}  // namespace milgen::cpu
