// Weights that are stored compressed and expanded when the program is compiled.
#include <fmt/format.h>

#include <bitset>
#include <cstdint>

#include "ir/infer.h"
#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {
namespace {

constexpr int kByteBits = 8;

/// Whether the ones in a mask of one element each are as many as `values` has elements. A mask
/// whose bytes are not at hand is taken to fit.
bool mask_fits(InferContext& ctx, std::string_view mask, std::string_view values) {
  if (!detail::need_rank(ctx, rule<"constexpr.rank">, values, 1) ||
      !detail::need_rank_from(ctx, rule<"constexpr.rank">, mask, 1)) {
    return false;
  }
  const ConstView* bits = ctx.constant(mask);
  if (bits == nullptr || !bits->known) return true;
  std::int64_t ones = 0;
  for (const std::int64_t bit : bits->ints) ones += bit != 0 ? 1 : 0;
  if (compatible(ones, ctx.type(values).dim(0))) return true;
  ctx.error(rule<"constexpr.mask">, fmt::format("{} {}", mask, values),
            fmt::format("{} has {} ones but {} has shape {}", ctx.describe(mask), ones,
                        ctx.describe(values), shape_text(ctx.type(values).shape)));
  return false;
}

/// Whether `blocks` has the rank of `whole`, and each of its dims divides that of `whole`.
bool blocks_divide(InferContext& ctx, std::string_view whole, std::string_view blocks,
                   std::span<const std::int64_t> block_dims) {
  const TypeView type = ctx.type(whole);
  for (std::size_t i = 0; i < block_dims.size(); ++i) {
    const std::int64_t dim = type.shape[i];
    const std::int64_t count = block_dims[i];
    if (!known(dim) || !known(count) || (count != 0 && dim % count == 0)) continue;
    ctx.error(rule<"constexpr.blocks">, fmt::format("{} {}", blocks, whole),
              fmt::format("{} has shape {} but {} has shape {}, and {} does not divide {}",
                          ctx.describe(blocks), shape_text(ctx.type(blocks).shape),
                          ctx.describe(whole), shape_text(type.shape), count, dim));
    return false;
  }
  return true;
}

/// Scale and offset of the blocks of `whole`, whose elements have the dtype of `data`.
bool blockwise_parameters_fit(InferContext& ctx, std::string_view whole, std::string_view data) {
  if (!detail::need_rank_from(ctx, rule<"constexpr.rank">, whole, 1)) return false;
  const TypeView scale = ctx.type("scale");
  if (scale.rank() != ctx.type(whole).rank()) {
    ctx.error(rule<"constexpr.rank">, fmt::format("scale {}", whole),
              fmt::format("{} has shape {} but must have the rank of {} {}", ctx.describe("scale"),
                          shape_text(scale.shape), ctx.describe(whole),
                          shape_text(ctx.type(whole).shape)));
    return false;
  }
  if (!blocks_divide(ctx, whole, "scale", scale.shape)) return false;
  if (!ctx.has("offset")) return true;
  const TypeView offset = ctx.type("offset");
  if (!detail::need_shape(ctx, rule<"constexpr.offset">, "offset", scale.shape)) return false;
  const DType dtype = ctx.type(data).dtype;
  if (is_float(offset.dtype) || offset.dtype == dtype) return true;
  ctx.error(
      rule<"constexpr.offset">, fmt::format("offset {}", data),
      fmt::format("{} is {} but must be a float or {}, the dtype of {}", ctx.describe("offset"),
                  dtype_name(offset.dtype), dtype_name(dtype), ctx.describe(data)));
  return false;
}

/// A lookup table [blocks..., 2^bits, vector] for the indices of `whole`, of which `indices` holds
/// the dtype. Gives the shape of the elements looked up, and how long the vectors are.
bool read_lut(InferContext& ctx, std::string_view whole, std::string_view indices, Shape& out,
              std::int64_t& vector) {
  const TypeView type = ctx.type(whole);
  const TypeView lut = ctx.type("lut");
  if (lut.rank() != type.rank() + 2) {
    ctx.error(rule<"constexpr.lut">, fmt::format("lut {}", whole),
              fmt::format("{} has shape {} but must have rank {}, two more than {} {}",
                          ctx.describe("lut"), shape_text(lut.shape), type.rank() + 2,
                          ctx.describe(whole), shape_text(type.shape)));
    return false;
  }
  const auto rank = static_cast<std::size_t>(type.rank());
  if (!blocks_divide(ctx, whole, "lut", lut.shape.first(rank))) return false;
  const DType dtype = ctx.type(indices).dtype;
  const std::int64_t entries = std::int64_t{1} << dtype_bits(dtype);
  if (!compatible(lut.shape[rank], entries)) {
    ctx.error(rule<"constexpr.lut">, fmt::format("lut {}", indices),
              fmt::format("{} has shape {} with {} entries but {} is {}, which numbers {}",
                          ctx.describe("lut"), shape_text(lut.shape), lut.shape[rank],
                          ctx.describe(indices), dtype_name(dtype), entries));
    return false;
  }
  vector = lut.shape[rank + 1];
  if (vector == 0) {
    ctx.error(rule<"constexpr.lut">, "lut",
              fmt::format("{} has shape {}, whose vectors have no elements", ctx.describe("lut"),
                          shape_text(lut.shape)));
    return false;
  }
  if (vector != 1 && !ctx.has("vector_axis")) {
    ctx.error(rule<"constexpr.vector_axis">, "lut",
              fmt::format("{} has shape {}, whose vectors of {} elements need a vector_axis, but "
                          "none is given",
                          ctx.describe("lut"), shape_text(lut.shape),
                          known(vector) ? fmt::format_int(vector).str() : "?"));
    return false;
  }
  out = Shape(type.shape);
  if (!ctx.has("vector_axis")) return true;
  int axis = 0;
  return normalize_axis(ctx, rule<"constexpr.vector_axis">, "vector_axis",
                        ctx.integer("vector_axis"), type.rank(), axis) &&
         detail::multiply_dims(ctx, whole, out[static_cast<std::size_t>(axis)], vector,
                               out[static_cast<std::size_t>(axis)]);
}

/// The number of elements in the `shape` argument of an op of ios16.
bool dense_count(InferContext& ctx, std::int64_t& out) {
  const std::span<const std::int64_t> dims = ctx.constant("shape")->ints;
  for (const std::int64_t dim : dims) {
    if (dim >= 0) continue;
    ctx.error(rule<"constexpr.shape">, "shape",
              fmt::format("shape holds {} but a dim is 0 or more", dim));
    return false;
  }
  return detail::product_of(ctx, "shape", dims, out);
}

/// Reports constexpr.packed unless `param` has the bytes that `count` elements of `bits` bits fill.
bool need_packed_bytes(InferContext& ctx, std::string_view param, std::int64_t count, int bits) {
  std::int64_t all_bits = 0;
  if (!detail::multiply_dims(ctx, param, count, bits, all_bits)) return false;
  const std::int64_t bytes = all_bits / kByteBits + (all_bits % kByteBits != 0 ? 1 : 0);
  const TypeView type = ctx.type(param);
  if (compatible(type.dim(0), bytes)) return true;
  ctx.error(rule<"constexpr.packed">, fmt::format("{} shape", param),
            fmt::format("{} has {} bytes but {} elements of {} bits fill {}", ctx.describe(param),
                        type.dim(0), count, bits, bytes));
  return false;
}

void infer_lut_to_dense_ios16(InferContext& ctx) {
  if (!detail::need_rank(ctx, rule<"constexpr.rank">, "indices", 1) ||
      !detail::need_rank(ctx, rule<"constexpr.rank">, "lut", 1)) {
    return;
  }
  const std::int64_t entries = ctx.type("lut").dim(0);
  int bits = 0;
  for (const int candidate : {1, 2, 4, 6, 8}) {
    if (entries == std::int64_t{1} << candidate) bits = candidate;
  }
  if (bits == 0) {
    ctx.error(rule<"constexpr.lut">, "lut",
              fmt::format("{} has {} entries but takes 2, 4, 16, 64 or 256", ctx.describe("lut"),
                          shape_text(ctx.type("lut").shape)));
    return;
  }
  std::int64_t count = 0;
  if (dense_count(ctx, count) && need_packed_bytes(ctx, "indices", count, bits)) {
    ctx.result(ctx.type("lut").dtype, ctx.constant("shape")->ints);
  }
}

void infer_sparse_to_dense_ios16(InferContext& ctx) {
  std::int64_t count = 0;
  if (!detail::need_rank(ctx, rule<"constexpr.rank">, "nonzero_data", 1) ||
      !detail::need_rank(ctx, rule<"constexpr.rank">, "mask", 1) || !dense_count(ctx, count) ||
      !need_packed_bytes(ctx, "mask", count, 1)) {
    return;
  }
  const ConstView* mask = ctx.constant("mask");
  if (mask->known && !mask->ints.empty()) {
    std::int64_t ones = 0;
    for (const std::int64_t byte : mask->ints) {
      ones += static_cast<std::int64_t>(
          std::bitset<kByteBits>(static_cast<unsigned long long>(byte)).count());
    }
    const auto used = static_cast<unsigned>(count % kByteBits);
    const std::int64_t padding = used == 0 ? 0 : mask->ints.back() >> used;
    if (padding != 0) {
      ctx.error(rule<"constexpr.padding">, "mask shape",
                fmt::format("the last byte of {} is {}, which sets bits beyond the {} elements",
                            ctx.describe("mask"), mask->ints.back(), count));
      return;
    }
    if (!compatible(ones, ctx.type("nonzero_data").dim(0))) {
      ctx.error(
          rule<"constexpr.mask">, "mask nonzero_data",
          fmt::format("{} has {} ones but {} has shape {}", ctx.describe("mask"), ones,
                      ctx.describe("nonzero_data"), shape_text(ctx.type("nonzero_data").shape)));
      return;
    }
  }
  ctx.result(ctx.type("nonzero_data").dtype, ctx.constant("shape")->ints);
}

}  // namespace

void infer_constexpr_affine_dequantize(InferContext& ctx) {
  const TypeView data = ctx.type("quantized_data");
  int axis = 0;
  if (!normalize_axis(ctx, rule<"constexpr.axis">, "axis", ctx.integer("axis"), data.rank(),
                      axis)) {
    return;
  }
  for (const std::string_view param : {"zero_point", "scale"}) {
    const TypeView type = ctx.type(param);
    if (type.rank() == 0 || (type.rank() == 1 && compatible(type.dim(0), data.dim(axis)))) continue;
    ctx.error(rule<"constexpr.length">, fmt::format("{} quantized_data", param),
              fmt::format("{} has shape {} but must be a scalar or have the {} of dim {} of {} {}",
                          ctx.describe(param), shape_text(type.shape),
                          shape_text(data.shape.subspan(static_cast<std::size_t>(axis), 1)), axis,
                          ctx.describe("quantized_data"), shape_text(data.shape)));
    return;
  }
  ctx.result(ctx.type("scale").dtype, data.shape);
}

void infer_constexpr_blockwise_shift_scale(InferContext& ctx) {
  if (blockwise_parameters_fit(ctx, "data", "data")) {
    ctx.result(ctx.type("scale").dtype, ctx.type("data").shape);
  }
}

void infer_constexpr_cast(InferContext& ctx) {
  ctx.result(dtype_from_name(ctx.text("output_dtype")), ctx.type("source_val").shape);
}

void infer_constexpr_lut_to_dense(InferContext& ctx) {
  if (ctx.opset() < Opset::ios18) {
    infer_lut_to_dense_ios16(ctx);
    return;
  }
  Shape out;
  std::int64_t vector = 1;
  if (detail::need_rank_from(ctx, rule<"constexpr.rank">, "indices", 1) &&
      read_lut(ctx, "indices", "indices", out, vector)) {
    ctx.result(ctx.type("lut").dtype, out);
  }
}

void infer_constexpr_lut_to_sparse(InferContext& ctx) {
  Shape mask;
  std::int64_t vector = 1;
  if (!mask_fits(ctx, "indices_mask", "indices_nonzero_data") ||
      !read_lut(ctx, "indices_mask", "indices_nonzero_data", mask, vector)) {
    return;
  }
  std::int64_t count = 0;
  if (!detail::multiply_dims(ctx, "indices_nonzero_data lut",
                             ctx.type("indices_nonzero_data").dim(0), vector, count)) {
    return;
  }
  ctx.result(DType::uint1, mask);
  ctx.result(ctx.type("lut").dtype, {&count, 1});
}

void infer_constexpr_sparse_blockwise_shift_scale(InferContext& ctx) {
  if (mask_fits(ctx, "data_mask", "nonzero_data") &&
      blockwise_parameters_fit(ctx, "data_mask", "nonzero_data")) {
    ctx.result(DType::uint1, ctx.type("data_mask").shape);
    ctx.result(ctx.type("scale").dtype, ctx.type("nonzero_data").shape);
  }
}

void infer_constexpr_sparse_to_dense(InferContext& ctx) {
  if (ctx.opset() < Opset::ios18) {
    infer_sparse_to_dense_ios16(ctx);
  } else if (mask_fits(ctx, "mask", "nonzero_data")) {
    ctx.result(ctx.type("nonzero_data").dtype, ctx.type("mask").shape);
  }
}

}  // namespace milgen
