// Matrix products.
#include <fmt/format.h>

#include <array>
#include <cstdint>

#include "ir/infer.h"
#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {

void infer_linear(InferContext& ctx) {
  const TypeView x = ctx.type("x");
  const TypeView weight = ctx.type("weight");
  // The definition says rank 1 to 3, but files that Core ML's compiler wrote have rank 4 as well.
  if (!detail::need_rank_from(ctx, rule<"linear.rank">, "x", 1) ||
      !detail::need_rank(ctx, rule<"linear.weight">, "weight", 2)) {
    return;
  }
  if (!compatible(x.shape.back(), weight.dim(1))) {
    ctx.error(rule<"linear.features">, "x weight",
              fmt::format("{} {} has {} features but {} {} takes {}", ctx.describe("x"),
                          shape_text(x.shape), x.shape.back(), ctx.describe("weight"),
                          shape_text(weight.shape), weight.dim(1)));
    return;
  }
  if (ctx.has("bias")) {
    const TypeView bias = ctx.type("bias");
    if (bias.rank() != 1 || !compatible(bias.dim(0), weight.dim(0))) {
      ctx.error(rule<"linear.bias">, "bias weight",
                fmt::format("{} has shape {} but {} {} takes {}", ctx.describe("bias"),
                            shape_text(bias.shape), ctx.describe("weight"),
                            shape_text(weight.shape), shape_text(weight.shape.first(1))));
      return;
    }
  }
  Shape out(x.shape);
  out[out.size() - 1] = weight.dim(0);
  ctx.result(x.dtype, out);
}

namespace {

/// One side of a matrix product: its dims once the transpose flag and the dim that a vector is
/// given have been taken into account.
struct Side {
  std::span<const std::int64_t> batch;
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  bool is_vector = false;
};

bool read_side(InferContext& ctx, std::string_view name, std::string_view flag, bool is_left,
               Side& out) {
  const TypeView type = ctx.type(name);
  if (type.rank() == 0) {
    ctx.error(rule<"matmul.rank">, name,
              fmt::format("{} is a scalar but must have rank 1 or more", ctx.describe(name)));
    return false;
  }
  const bool transposed = ctx.boolean(flag);
  if (type.rank() == 1) {
    if (transposed) {
      ctx.error(rule<"matmul.transpose">, name,
                fmt::format("{} is true but {} has shape {}, and a vector has no transpose", flag,
                            ctx.describe(name), shape_text(type.shape)));
      return false;
    }
    out.is_vector = true;
    (is_left ? out.columns : out.rows) = type.dim(0);
    return true;
  }
  const std::size_t lead = type.shape.size() - 2;
  out.batch = type.shape.first(lead);
  out.rows = type.shape[lead + (transposed ? 1 : 0)];
  out.columns = type.shape[lead + (transposed ? 0 : 1)];
  return true;
}

/// "x [2, 3] (transposed)".
std::string side_text(InferContext& ctx, std::string_view name, std::string_view flag) {
  return fmt::format("{} {}{}", ctx.describe(name), shape_text(ctx.type(name).shape),
                     ctx.boolean(flag) ? " (transposed)" : "");
}

/// From ios17 on a constant may have another dtype than the value that it is multiplied with.
bool result_dtype_of(InferContext& ctx, DType& out) {
  const DType x = ctx.type("x").dtype;
  const DType y = ctx.type("y").dtype;
  const bool x_const = ctx.constant("x") != nullptr;
  const bool y_const = ctx.constant("y") != nullptr;
  out = x_const && !y_const ? y : x;
  if (x == y || x_const != y_const) return true;
  ctx.error(rule<"matmul.dtype">, "x y",
            fmt::format("{} is {} and {} is {}, but dtypes differ only between a constant and a "
                        "run-time value",
                        ctx.describe("x"), dtype_name(x), ctx.describe("y"), dtype_name(y)));
  return false;
}

}  // namespace

void infer_matmul(InferContext& ctx) {
  Side x;
  Side y;
  const bool x_read = read_side(ctx, "x", "transpose_x", true, x);
  const bool y_read = read_side(ctx, "y", "transpose_y", false, y);
  DType dtype = DType::none;
  if (!result_dtype_of(ctx, dtype) || !x_read || !y_read) return;
  if (!compatible(x.columns, y.rows)) {
    ctx.error(
        rule<"matmul.inner">, "x y",
        fmt::format("{} has {} columns but {} has {} rows", side_text(ctx, "x", "transpose_x"),
                    x.columns, side_text(ctx, "y", "transpose_y"), y.rows));
    return;
  }
  Shape out;
  if (!broadcast(x.batch, y.batch, out)) {
    ctx.error(rule<"matmul.batch">, "x y",
              fmt::format("{} and {} have batch dims {} and {}, which do not broadcast",
                          side_text(ctx, "x", "transpose_x"), side_text(ctx, "y", "transpose_y"),
                          shape_text(x.batch), shape_text(y.batch)));
    return;
  }
  if (!x.is_vector) out.push_back(x.rows);
  if (!y.is_vector) out.push_back(y.columns);
  ctx.result(dtype, out);
}

namespace {

/// The rank that both values of an einsum have: 4 for nchw,nwhu->nchu and 3 for chw,whr->chr, in
/// any letters; 0 for another equation.
int einsum_rank(std::string_view equation) {
  constexpr std::string_view kForms[] = {"nchw,nwhu->nchu", "chw,whr->chr"};
  for (const std::string_view form : kForms) {
    if (form.size() != equation.size()) continue;
    // A letter of the form stands for one letter of the equation, and the other way round.
    std::array<char, 128> meaning{};
    std::array<bool, 128> taken{};
    bool same = true;
    for (std::size_t i = 0; same && i < form.size(); ++i) {
      const char wanted = form[i];
      const char got = equation[i];
      if (wanted == ',' || wanted == '-' || wanted == '>') {
        same = got == wanted;
        continue;
      }
      const bool letter = (got >= 'a' && got <= 'z') || (got >= 'A' && got <= 'Z');
      char& mapped = meaning[static_cast<std::size_t>(wanted)];
      if (letter && mapped == 0 && !taken[static_cast<std::size_t>(got)]) {
        mapped = got;
        taken[static_cast<std::size_t>(got)] = true;
      }
      same = letter && mapped == got;
    }
    if (same) return static_cast<int>(form.find(','));
  }
  return 0;
}

}  // namespace

void infer_einsum(InferContext& ctx) {
  if (ctx.count("values") != 2) {
    ctx.error(rule<"einsum.count">, "values",
              fmt::format("{} values are given but the op takes 2", ctx.count("values")));
    return;
  }
  const int rank = einsum_rank(ctx.text("equation"));
  if (rank == 0) {
    ctx.error(rule<"einsum.equation">, "equation",
              fmt::format("equation is \"{}\" but must be nchw,nwhu->nchu or chw,whr->chr, in any "
                          "letters",
                          ctx.text("equation").substr(0, 60)));
    return;
  }
  const TypeView x = ctx.type("values", 0);
  const TypeView y = ctx.type("values", 1);
  if (x.rank() != rank || y.rank() != rank) {
    ctx.error(rule<"einsum.rank">, "values",
              fmt::format("values have shapes {} and {} but {} takes rank {}", shape_text(x.shape),
                          shape_text(y.shape), ctx.text("equation"), rank));
    return;
  }
  const int c = rank - 3;  // the dims of x are [n,] c, h, w and those of y [n,] w, h, u
  Shape out;
  if (!compatible(x.dim(c + 2), y.dim(c))) {
    ctx.error(rule<"einsum.contraction">, "values",
              fmt::format("values have shapes {} and {}, and the dims {} and {} that are summed "
                          "over differ",
                          shape_text(x.shape), shape_text(y.shape), x.dim(c + 2), y.dim(c)));
    return;
  }
  const auto shared = [&](int dim) {
    Shape one;
    const std::int64_t left = x.dim(dim);
    const std::int64_t right = y.dim(dim);
    if (!broadcast({&left, 1}, {&right, 1}, one)) {
      ctx.error(rule<"einsum.batch">, "values",
                fmt::format("values have shapes {} and {}, and the dims {} and {} neither are "
                            "equal nor broadcast",
                            shape_text(x.shape), shape_text(y.shape), left, right));
      return false;
    }
    out.push_back(one[0]);
    return true;
  };
  if (rank == 4 && !shared(0)) return;
  out.push_back(x.dim(c));
  if (!shared(c + 1)) return;
  out.push_back(y.dim(c + 2));
  ctx.result(x.dtype, out);
}

}  // namespace milgen
