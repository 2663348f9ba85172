// Shape arithmetic and checks that the inference functions of several families are written with.
//
// Nothing here formats or allocates unless an error is reported. Dims come from program text, so
// every sum and product of them is checked.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ir/infer.h"

namespace milgen::detail {

/// More dims than any program has; a run-time shape argument of such a length is refused before
/// memory is taken for it.
inline constexpr std::int64_t kMaxInferredRank = 32;

/// The integers of an argument; false when it was not given, is a run-time value, or is a constant
/// whose bytes are not at hand.
inline bool known_ints(const InferContext& ctx, std::string_view param,
                       std::span<const std::int64_t>& out) {
  const ConstView* value = ctx.constant(param);
  if (value == nullptr || !value->known) return false;
  out = value->ints;
  return true;
}

/// The elements of a list that is part of the op (axes, perm); none when it was not given.
/// infer_op() has seen to it that they are at hand.
inline std::span<const std::int64_t> list_of(const InferContext& ctx, std::string_view param) {
  std::span<const std::int64_t> out;
  known_ints(ctx, param, out);
  return out;
}

/// a + b; a dim that is not known makes the sum unknown unless the other side is 0. Reports
/// shape.overflow.
inline bool add_dims(InferContext& ctx, std::string_view operands, std::int64_t a, std::int64_t b,
                     std::int64_t& out) {
  if (!known(a) || !known(b)) {
    out = a == 0 ? b : b == 0 ? a : kUnknownDim;
    return true;
  }
  if (!__builtin_add_overflow(a, b, &out)) return true;
  ctx.error(rule<"shape.overflow">, operands,
            fmt::format("{} + {} elements along one dim are more than 63 bits count", a, b));
  return false;
}

/// a * b; a dim that is not known makes the product unknown unless the other side is 0 or 1.
/// Reports shape.overflow.
inline bool multiply_dims(InferContext& ctx, std::string_view operands, std::int64_t a,
                          std::int64_t b, std::int64_t& out) {
  if (!known(a) || !known(b)) {
    out = a == 0 || b == 0 ? 0 : a == 1 ? b : b == 1 ? a : kUnknownDim;
    return true;
  }
  if (!__builtin_mul_overflow(a, b, &out)) return true;
  ctx.error(rule<"shape.overflow">, operands,
            fmt::format("{} * {} elements are more than 63 bits count", a, b));
  return false;
}

/// The product of some dims, 1 when there are none.
inline bool product_of(InferContext& ctx, std::string_view operands,
                       std::span<const std::int64_t> dims, std::int64_t& out) {
  out = 1;
  for (const std::int64_t dim : dims) {
    if (!multiply_dims(ctx, operands, out, dim, out)) return false;
  }
  return true;
}

/// Reports `rule` unless the argument has this rank.
inline bool need_rank(InferContext& ctx, Rule rule, std::string_view param, int rank) {
  const TypeView type = ctx.type(param);
  if (type.rank() == rank) return true;
  ctx.error(rule, param,
            fmt::format("{} has shape {} but must have rank {}", ctx.describe(param),
                        shape_text(type.shape), rank));
  return false;
}

/// Reports `rule` unless the argument has at least this rank.
inline bool need_rank_from(InferContext& ctx, Rule rule, std::string_view param, int rank) {
  const TypeView type = ctx.type(param);
  if (type.rank() >= rank) return true;
  ctx.error(rule, param,
            fmt::format("{} has shape {} but must have rank {} or more", ctx.describe(param),
                        shape_text(type.shape), rank));
  return false;
}

/// Reports `rule` unless the argument may have this shape. Does nothing when it was not given.
inline bool need_shape(InferContext& ctx, Rule rule, std::string_view param,
                       std::span<const std::int64_t> shape) {
  if (!ctx.has(param)) return true;
  const TypeView type = ctx.type(param);
  bool same = type.shape.size() == shape.size();
  for (std::size_t i = 0; same && i < shape.size(); ++i) same = compatible(type.shape[i], shape[i]);
  if (same) return true;
  ctx.error(rule, param,
            fmt::format("{} has shape {} but must have {}", ctx.describe(param),
                        shape_text(type.shape), shape_text(shape)));
  return false;
}

/// Reports `rule` unless the integer argument is at least `least`. Gives its value in `out`.
inline bool need_at_least(InferContext& ctx, Rule rule, std::string_view param,
                          std::int64_t otherwise, std::int64_t least, std::int64_t& out) {
  out = ctx.integer(param, otherwise);
  if (out >= least) return true;
  ctx.error(rule, param, fmt::format("{} is {} but must be {} or more", param, out, least));
  return false;
}

/// Reads the argument that holds the result's shape: its values, or one new unknown dim for each
/// entry of a run-time vector, or an unknown rank where even its length is not known.
inline bool shape_argument(InferContext& ctx, Rule rule, std::string_view param, Shape& out) {
  if (!need_rank(ctx, rule, param, 1)) return false;
  std::span<const std::int64_t> values;
  if (known_ints(ctx, param, values)) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] >= 0) continue;
      ctx.error(rule, param,
                fmt::format("{}[{}] is {} but a dim is 0 or more", param, i, values[i]));
      return false;
    }
    out = Shape(values);
    return true;
  }
  const std::int64_t length = ctx.type(param).dim(0);
  if (!known(length)) {
    out = Shape{kUnknownRank};
    return true;
  }
  if (length > kMaxInferredRank) {
    ctx.error(rule, param,
              fmt::format("{} has {} entries but a tensor has at most {} dims", ctx.describe(param),
                          length, kMaxInferredRank));
    return false;
  }
  out = Shape(static_cast<std::size_t>(length), kUnknownDim);
  return true;
}

/// Reports `rule` unless two arguments of one op, of which one may have been left out, have one
/// dtype: the argument that is left out stands for a constant of its default's dtype.
inline bool need_default_dtype(InferContext& ctx, Rule rule, std::string_view a, std::string_view b,
                               DType default_dtype, DType& out) {
  const bool has_a = ctx.has(a);
  const bool has_b = ctx.has(b);
  out = has_a ? ctx.type(a).dtype : has_b ? ctx.type(b).dtype : default_dtype;
  if (has_a == has_b || out == default_dtype) return true;
  const std::string_view given = has_a ? a : b;
  ctx.error(rule, given,
            fmt::format("{} is {} but {}, which is left out, is {} by default", ctx.describe(given),
                        dtype_name(out), has_a ? b : a, dtype_name(default_dtype)));
  return false;
}

}  // namespace milgen::detail
