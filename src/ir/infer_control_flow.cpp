// Inference: cond, while_loop and the list ops. (const has the type of its value.)
#include <algorithm>
#include <cstddef>

#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {

using namespace detail;

namespace {

/// Core ML takes lists of elements up to this rank (opset_ios18, make_list).
constexpr int kMaxElementRank = 4;

/// Whether two values may have one type. Dims that are not known fit any.
bool same_type(const TypeView& a, const TypeView& b) {
  if (a.kind != b.kind || a.dtype != b.dtype || a.shape.size() != b.shape.size()) return false;
  for (std::size_t i = 0; i < a.shape.size(); ++i) {
    if (!compatible(a.shape[i], b.shape[i])) return false;
  }
  if (!compatible(a.length, b.length)) return false;
  if (a.element == nullptr || b.element == nullptr) return a.element == b.element;
  // Lists and states hold tensors only, so there is no deeper level to walk.
  return a.element->dtype == b.element->dtype &&
         a.element->shape.size() == b.element->shape.size() &&
         std::equal(a.element->shape.begin(), a.element->shape.end(), b.element->shape.begin(),
                    compatible);
}

/// What a value of either type is: dims that differ are not known.
Shape merge(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  Shape out(a);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i] != b[i]) out[i] = kUnknownDim;
  }
  return out;
}

/// A list or tensor result of a type that no argument has.
void add_result(InferContext& ctx, const TypeView& type) {
  if (type.kind == TypeKind::list && type.element != nullptr) {
    ctx.result_list(type.element->dtype, type.element->shape, type.length);
  } else {
    ctx.result(type.dtype, type.shape);
  }
}

bool need_blocks(InferContext& ctx) {
  if (ctx.block_count() == 2) return true;
  ctx.error(rule<"block.count">, {},
            fmt::format("the op has {} blocks but takes 2", ctx.block_count()));
  return false;
}

/// Reports `rule` unless a value of this shape and dtype can be an element of the list.
bool need_element(InferContext& ctx, Rule rule, std::span<const std::int64_t> shape) {
  const TypeView list = ctx.type("ls");
  const TypeView value = ctx.type("value");
  TypeView element = *list.element;
  TypeView wanted = value;
  wanted.shape = shape;
  if (same_type(element, wanted)) return true;
  ctx.error(rule, "ls value",
            fmt::format("{} gives elements of {} but {} holds {}", ctx.describe("value"),
                        to_string(wanted), ctx.describe("ls"), to_string(element)));
  return false;
}

}  // namespace

void infer_cond(InferContext& ctx) {
  if (!need_rank(ctx, rule<"cond.pred">, "pred", 0) || !need_blocks(ctx)) return;
  const int count = ctx.block_outputs(0);
  if (ctx.block_outputs(1) != count || count == 0) {
    ctx.error(rule<"cond.count">, {},
              fmt::format("the block for true gives {} values and that for false {}, but both must "
                          "give the same number, at least 1",
                          count, ctx.block_outputs(1)));
    return;
  }
  for (int i = 0; i < count; ++i) {
    const TypeView yes = ctx.block_output(0, i);
    const TypeView no = ctx.block_output(1, i);
    if (!same_type(yes, no)) {
      ctx.error(rule<"cond.type">, {},
                fmt::format("value {} is {} in the block for true but {} in that for false", i,
                            to_string(yes), to_string(no)));
      return;
    }
    if (yes.kind != TypeKind::tensor && yes.kind != TypeKind::list) {
      ctx.error(
          rule<"cond.type">, {},
          fmt::format("value {} is {} but a block gives tensors and lists", i, to_string(yes)));
      return;
    }
    add_result(ctx, yes);
  }
}

void infer_while_loop(InferContext& ctx) {
  if (!need_blocks(ctx)) return;
  const int count = ctx.count("loop_vars");
  for (int block = 0; block < 2; ++block) {
    if (ctx.block_inputs(block) != count) {
      ctx.error(rule<"while_loop.count">, "loop_vars",
                fmt::format("block {} takes {} values but there are {} loop_vars", block,
                            ctx.block_inputs(block), count));
      return;
    }
    for (int i = 0; i < count; ++i) {
      const TypeView taken = ctx.block_input(block, i);
      const TypeView given = ctx.type("loop_vars", i);
      if (same_type(taken, given)) continue;
      ctx.error(rule<"while_loop.input">, "loop_vars",
                fmt::format("{} is {} but block {} takes {}", ctx.describe("loop_vars", i),
                            to_string(given), block, to_string(taken)));
      return;
    }
  }
  const bool one_output = ctx.block_outputs(0) == 1;
  const TypeView condition = one_output ? ctx.block_output(0, 0) : TypeView{};
  if (condition.kind != TypeKind::tensor || condition.dtype != DType::boolean ||
      condition.rank() != 0) {
    ctx.error(rule<"while_loop.condition">, {},
              one_output ? fmt::format("the condition is {} but must be bool", to_string(condition))
                         : fmt::format("the condition block gives {} values but must give 1 bool",
                                       ctx.block_outputs(0)));
    return;
  }
  if (ctx.block_outputs(1) != count) {
    ctx.error(rule<"while_loop.count">, "loop_vars",
              fmt::format("the body gives {} values but there are {} loop_vars",
                          ctx.block_outputs(1), count));
    return;
  }
  for (int i = 0; i < count; ++i) {
    const TypeView before = ctx.type("loop_vars", i);
    const TypeView after = ctx.block_output(1, i);
    if (before.kind == TypeKind::tensor && after.kind == TypeKind::tensor &&
        before.dtype == after.dtype && before.rank() == after.rank()) {
      ctx.result(before.dtype, merge(before.shape, after.shape));
    } else if (before.kind != TypeKind::tensor && same_type(before, after)) {
      ctx.result_like("loop_vars", i);
    } else {
      ctx.error(rule<"while_loop.type">, "loop_vars",
                fmt::format("{} is {} but the body makes it {}", ctx.describe("loop_vars", i),
                            to_string(before), to_string(after)));
      return;
    }
  }
}

void infer_make_list(InferContext& ctx) {
  const int rank = ctx.count("elem_shape");
  if (rank > kMaxElementRank) {
    ctx.error(rule<"make_list.rank">, "elem_shape",
              fmt::format("elem_shape has {} entries but elements have at most rank {}", rank,
                          kMaxElementRank));
    return;
  }
  Shape element;
  for (int i = 0; i < rank; ++i) {
    const TypeView type = ctx.type("elem_shape", i);
    const ConstView* value = ctx.constant("elem_shape", i);
    // A name in place of a number stands for a dim that is only known at run time.
    const bool is_name = type.dtype == DType::string;
    if (value == nullptr || !value->known || type.rank() != 0 ||
        !(is_name || type.dtype == DType::int32)) {
      ctx.error(rule<"make_list.shape">, "elem_shape",
                fmt::format("{} is {} but must be a constant int32", ctx.describe("elem_shape", i),
                            value == nullptr ? "a run-time value" : to_string(type)));
      return;
    }
    const std::int64_t dim = is_name ? kUnknownDim : value->ints.front();
    if (!is_name && dim < 0) {
      ctx.error(rule<"make_list.shape">, "elem_shape",
                fmt::format("{} is {} but a dim is 0 or more", ctx.describe("elem_shape", i), dim));
      return;
    }
    element.push_back(dim);
  }
  if (ctx.has("init_length") && !need_rank(ctx, rule<"make_list.length">, "init_length", 0)) return;
  std::int64_t length = 1;
  std::span<const std::int64_t> value;
  if (ctx.has("init_length")) {
    length = known_ints(ctx, "init_length", value) ? value.front() : kUnknownDim;
  }
  if (!value.empty() && length < 0) {
    ctx.error(rule<"make_list.length">, "init_length",
              fmt::format("init_length is {} but must be 0 or more", length));
    return;
  }
  ctx.result_list(dtype_from_name(ctx.text("dtype", "fp32")), element,
                  ctx.boolean("dynamic_length", true) ? kUnknownDim : length);
}

void infer_list_length(InferContext& ctx) { ctx.result(DType::int32, {}); }

void infer_list_read(InferContext& ctx) { ctx.result_element("ls"); }

void infer_list_write(InferContext& ctx) {
  if (need_element(ctx, rule<"list_write.element">, ctx.type("value").shape)) ctx.result_like("ls");
}

void infer_list_gather(InferContext& ctx) {
  if (!need_rank(ctx, rule<"list_gather.indices">, "indices", 1)) return;
  const TypeView list = ctx.type("ls");
  Shape out(ctx.type("indices").shape);
  for (const std::int64_t dim : list.element->shape) out.push_back(dim);
  ctx.result(list.element->dtype, out);
}

void infer_list_scatter(InferContext& ctx) {
  if (!need_rank(ctx, rule<"list_scatter.indices">, "indices", 1)) return;
  const TypeView value = ctx.type("value");
  const std::int64_t count = ctx.type("indices").dim(0);
  if (value.rank() == 0 || !compatible(value.dim(0), count)) {
    ctx.error(rule<"list_scatter.count">, "value indices",
              fmt::format("{} has shape {} but its first dim must be {}, the length of {}",
                          ctx.describe("value"), shape_text(value.shape), count,
                          ctx.describe("indices")));
    return;
  }
  if (need_element(ctx, rule<"list_scatter.element">, value.shape.subspan(1))) {
    ctx.result_like("ls");
  }
}

}  // namespace milgen
