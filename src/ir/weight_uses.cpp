#include "ir/weight_uses.h"

#include <fmt/format.h>

#include <algorithm>

#include "milgen/op_info.h"

namespace milgen {
namespace {

std::span<const std::int64_t> shape_of(const Graph& graph, ValueId value) {
  return graph.types.shape(graph.value(value).type);
}
DType dtype_of_value(const Graph& graph, ValueId value) {
  return graph.types.dtype(graph.value(value).type);
}

bool fits_int32(std::int64_t value) { return value <= INT32_MAX; }

bool all_ones(std::span<const std::int64_t> dims) {
  return std::ranges::all_of(dims, [](std::int64_t dim) { return dim == 1; });
}

/// Whether an argument of integers is left out or holds nothing but `wanted`.
bool all_are(const Graph& graph, const OpRecord& op, std::string_view param, std::int64_t wanted) {
  const ValueId value = argument_of(graph, op, param);
  const Const* constant = value == kNone ? nullptr : graph.constant_of(value);
  return value == kNone || (constant != nullptr &&
                            std::ranges::all_of(graph.ints(*constant), [&](std::int64_t element) {
                              return element == wanted;
                            }));
}

/// Whether a conv's windows of 1 leave x's dims as they are. Padding of `same` and `same_lower` is
/// none where window and stride are 1.
bool is_padded(const Graph& graph, const OpRecord& op) {
  const ValueId type = argument_of(graph, op, "pad_type");
  const Const* constant = type == kNone ? nullptr : graph.constant_of(type);
  return constant != nullptr && graph.text(*constant) == "custom" && !all_are(graph, op, "pad", 0);
}

/// What no input of a program has: less than a byte an element, strings, and no dims at all, which
/// some loaders refuse (Kernel::input).
std::string input_obstacle(DType dtype, std::span<const std::int64_t> shape) {
  constexpr DTypeSet kInputs{DType::boolean, DType::int8,  DType::uint8, DType::int16,
                             DType::uint16,  DType::int32, DType::fp16,  DType::fp32};
  if (!kInputs.has(dtype)) return fmt::format("no input is of {}", dtype_name(dtype));
  return shape.empty() ? "it is a scalar, and some loaders take no input of rank 0" : "";
}

/// Whether the value of an argument has to be known when the program is compiled. Operands count
/// arguments as the newest opset does.
bool wants_constant(const OpInfo& info, std::uint16_t param, Opset opset) {
  if (info.has_inline_constants()) return true;
  const std::string_view name = info.params()[param].name;
  const std::span<const Param> params = info.params(opset);
  const auto found = std::ranges::find(params, name, &Param::name);
  return found != params.end() && found->is_const;
}

/// Whether the result of an op on constants is one.
bool keeps_constant(const OpRecord& op) {
  const OpInfo& info = op_info(op.code);
  return op.operands != 0 && !takes_blocks(op.code) && !has(info.traits, Trait::random) &&
         !has(info.traits, Trait::side_effect);
}

}  // namespace

ValueId argument_of(const Graph& graph, const OpRecord& op, std::string_view param) {
  const std::span<const Param> params = op_info(op.code).params();
  for (const Operand& operand : graph.operands(op)) {
    if (params[operand.param].name == param) return operand.value;
  }
  return kNone;
}

std::string conv_obstacle(const Graph& graph, const OpRecord& op) {
  const ValueId x = argument_of(graph, op, "x");
  const ValueId weight = argument_of(graph, op, "weight");
  const std::span<const std::int64_t> window = shape_of(graph, weight).subspan(2);
  if (!all_ones(window)) {
    return fmt::format("a conv with a window of {}", to_string(Ints(window)));
  }
  if (!all_are(graph, op, "groups", 1)) return "a conv with groups";
  if (!all_are(graph, op, "strides", 1)) return "a conv with strides";
  if (is_padded(graph, op)) return "a conv with padding";
  if (dtype_of_value(graph, x) != dtype_of_value(graph, weight)) {
    return fmt::format("a conv of {}, another dtype", dtype_name(dtype_of_value(graph, x)));
  }
  std::int64_t count = 0;
  if (!element_count(shape_of(graph, x), count)) {
    return fmt::format("a conv of {}, whose dims are not all known",
                       to_string(Ints(shape_of(graph, x))));
  }
  // What reshape is told in int32.
  if (!fits_int32(shape_of(graph, weight)[0]) || !fits_int32(count)) {
    return fmt::format("a conv of {}, of too many elements", to_string(Ints(shape_of(graph, x))));
  }
  return "";
}

std::string linear_obstacle(const Graph& graph, const OpRecord& op) {
  const DType x = dtype_of_value(graph, argument_of(graph, op, "x"));
  if (x == dtype_of_value(graph, argument_of(graph, op, "weight"))) return "";
  return fmt::format("a linear of {}, another dtype", dtype_name(x));
}

Shape product_weight_shape(std::span<const std::int64_t> weight) {
  return {1, weight[0], weight[1]};
}

Shape product_bias_shape(std::int64_t out, std::size_t rank) {
  Shape shape(rank, 1);
  shape[1] = out;
  return shape;
}

WeightUses::WeightUses(const ProgramData& definition)
    : graph_(*definition.graph),
      index_(graph_.value_count(), kNone),
      live_(graph_.op_count(), false),
      constant_(graph_.value_count(), false),
      sources_fixed_(graph_.op_count(), false) {
  for (const ValueId value : definition.canonical.weights) {
    if (graph_.constant_of(value)->kind != ConstKind::weight) continue;
    index_[value] = static_cast<std::uint32_t>(weights_.size());
    weights_.push_back({.value = value});
  }
  read_ops(definition.canonical);
  for (OpId id = 0; id < graph_.op_count(); ++id) {
    if (live_[id]) look_at(graph_.op(id), definition.opset);
  }
  for (WeightUse& use : weights_) {
    const std::span<const std::int64_t> shape = shape_of(graph_, use.value);
    if (use.param_shape.empty()) use.param_shape = Shape(shape);
    if (!use.fixed.empty()) continue;
    use.fixed = graph_.value(use.value).name == kNoName
                    ? "it has no name"
                    : input_obstacle(dtype_of_value(graph_, use.value), shape);
  }
}

void WeightUses::read_ops(const Canonical& canonical) {
  for (const OpId id : canonical.order) live_[id] = true;
  for (OpId id = 0; id < graph_.op_count(); ++id) {
    const OpRecord& op = graph_.op(id);
    const bool constant =
        op.code == OpCode::const_ ||
        (keeps_constant(op) && std::ranges::all_of(graph_.operands(op), [&](const Operand& o) {
           return constant_[o.value];
         }));
    for (std::uint32_t r = 0; r < op.results; ++r) constant_[op.first_result + r] = constant;
  }
}

void WeightUses::look_at(const OpRecord& op, Opset opset) {
  if (op.code == OpCode::conv) {
    look_at_conv(op);
    return;
  }
  const std::string obstacle = op.code == OpCode::linear ? linear_obstacle(graph_, op) : "";
  const bool lowered = op.code == OpCode::linear && obstacle.empty();
  for (const Operand& operand : graph_.operands(op)) {
    if (lowered && find(operand.value) != kNone) {
      ask_shape(operand.value, Shape(shape_of(graph_, operand.value)));
    } else if (!obstacle.empty()) {
      fix(operand.value, op, fmt::format("it is used by {}", obstacle));
    } else {
      look_at_operand(op, operand, opset);
    }
  }
  if (lowered) {
    const ValueId weight = argument_of(graph_, op, "weight");
    note_matrix(weight, shape_of(graph_, weight)[0], shape_of(graph_, weight)[1]);
  }
  // A window over a weight that is computed is a run-time window once what it is computed from
  // comes at run time.
  if (op.code == OpCode::conv_transpose) {
    fix_sources(argument_of(graph_, op, "weight"), op, "it is used by a conv_transpose");
    fix_sources(argument_of(graph_, op, "bias"), op, "it is used by a conv_transpose");
  }
}

void WeightUses::look_at_conv(const OpRecord& op) {
  const ValueId weight = argument_of(graph_, op, "weight");
  const ValueId bias = argument_of(graph_, op, "bias");
  const std::string obstacle = conv_obstacle(graph_, op);
  const ValueId x = argument_of(graph_, op, "x");
  if (find(x) != kNone) ask_shape(x, Shape(shape_of(graph_, x)));
  if (!obstacle.empty()) {
    fix_sources(weight, op, fmt::format("it is used by {}", obstacle));
    fix_sources(bias, op, fmt::format("it is used by {}", obstacle));
    return;
  }
  const std::span<const std::int64_t> shape = shape_of(graph_, weight);
  ask_shape(weight, product_weight_shape(shape));
  note_matrix(weight, shape[0], shape[1]);
  if (bias != kNone) ask_shape(bias, product_bias_shape(shape[0], shape_of(graph_, x).size()));
}

void WeightUses::look_at_operand(const OpRecord& op, const Operand& operand, Opset opset) {
  if (find(operand.value) == kNone) return;
  const OpInfo& info = op_info(op.code);
  const Param& param = info.params()[operand.param];
  if (wants_constant(info, operand.param, opset)) {
    fix(operand.value, op,
        fmt::format("{} has {} known when the program is compiled", info.name, param.name));
    return;
  }
  const std::span<const std::int64_t> shape = shape_of(graph_, operand.value);
  ask_shape(operand.value, Shape(shape));
  if (op.code != OpCode::matmul) return;
  const ValueId x = argument_of(graph_, op, "x");
  const ValueId y = argument_of(graph_, op, "y");
  if (dtype_of_value(graph_, x) != dtype_of_value(graph_, y)) {
    // Only a constant may be of another dtype than the value that it is multiplied with.
    fix(operand.value, op,
        fmt::format("it is used by a matmul with {}",
                    dtype_name(dtype_of_value(graph_, operand.value == x ? y : x))));
  } else if (shape.size() >= 2 && all_ones(shape.first(shape.size() - 2))) {
    note_matrix(operand.value, shape[shape.size() - 2], shape.back());
  }
}

void WeightUses::fix(ValueId value, const OpRecord& op, const std::string& why) {
  if (find(value) == kNone || !weights_[find(value)].fixed.empty()) return;
  weights_[find(value)].fixed = why;
  weights_[find(value)].fixed_at = op.loc;
}

void WeightUses::fix_sources(ValueId value, const OpRecord& op, const std::string& why) {
  if (value == kNone || !constant_[value]) return;
  std::vector<ValueId> left{value};
  while (!left.empty()) {
    const ValueId at = left.back();
    left.pop_back();
    fix(at, op, why);
    const OpId def = graph_.value(at).def;
    if (sources_fixed_[def]) continue;
    sources_fixed_[def] = true;
    for (const Operand& operand : graph_.operands(graph_.op(def))) left.push_back(operand.value);
  }
}

void WeightUses::note_matrix(ValueId value, std::int64_t rows, std::int64_t columns) {
  if (find(value) == kNone || weights_[find(value)].is_matrix) return;
  if (!fits_int32(rows) || !fits_int32(columns)) return;
  WeightUse& use = weights_[find(value)];
  use.is_matrix = true;
  use.rows = rows;
  use.columns = columns;
}

void WeightUses::ask_shape(ValueId value, const Shape& shape) {
  if (find(value) == kNone) return;
  Shape& asked = weights_[find(value)].param_shape;
  // Uses that disagree share the declared shape, and each reshapes for itself.
  if (asked.empty()) asked = shape;
  if (!(asked == shape)) asked = Shape(shape_of(graph_, value));
}

}  // namespace milgen
