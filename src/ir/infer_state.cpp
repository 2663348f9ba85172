// Inference: reading and writing states.
#include <algorithm>

#include "ir/infer_util.h"
#include "ir/op_table.h"

namespace milgen {

using namespace detail;

namespace {

/// Reports state.type unless the value has exactly the type that the state holds.
bool need_held_type(InferContext& ctx, std::string_view state_param, std::string_view value_param) {
  const TypeView state = ctx.type(state_param);
  const TypeView value = ctx.type(value_param);
  const TypeView* held = state.element;
  const bool same =
      held != nullptr && held->dtype == value.dtype && held->shape.size() == value.shape.size() &&
      std::equal(held->shape.begin(), held->shape.end(), value.shape.begin(), compatible);
  if (same) return true;
  const std::string operands = fmt::format("{} {}", value_param, state_param);
  ctx.error(rule<"state.type">, operands,
            fmt::format("{} is {} but {} is {}", ctx.describe(value_param), to_string(value),
                        ctx.describe(state_param), to_string(state)));
  return false;
}

}  // namespace

void infer_read_state(InferContext& ctx) { ctx.result_element("input"); }

void infer_coreml_update_state(InferContext& ctx) {
  if (need_held_type(ctx, "state", "value")) ctx.result_like("value");
}

void infer_write_state(InferContext& ctx) { need_held_type(ctx, "input", "data"); }

}  // namespace milgen
