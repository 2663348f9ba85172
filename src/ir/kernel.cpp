#include "milgen/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <utility>

#include "ir/builder.h"
#include "ir/canonical.h"
#include "milgen/weight_modes.h"
#include "milgen/weights.h"
#include "support/rule.h"

namespace milgen {
namespace {

/// Whether two constants are the same thing, so that one name may stand for both.
bool same_constant(const Graph& graph, const Const& a, const Const& b) {
  if (a.type != b.type || a.kind != b.kind || a.count != b.count) return false;
  if (a.kind == ConstKind::fill || a.kind == ConstKind::weight) return a.fill == b.fill;
  if (a.kind == ConstKind::ints) {
    return std::ranges::equal(graph.ints(a), graph.ints(b));
  }
  return std::ranges::equal(graph.reals(a), graph.reals(b), [](double x, double y) {
    return std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y);
  });
}

/// Checks the elements of a constant against its shape and dtype.
class ConstantMaker {
 public:
  ConstantMaker(Builder& builder, std::string_view name, DType dtype, const Shape& shape, Loc loc)
      : builder_(builder), name_(name), dtype_(dtype), shape_(shape), loc_(loc) {}

  bool count_fits(std::size_t given) {
    std::int64_t count = 0;
    if (!builder_.check_shape("constant", name_, shape_, false, loc_)) return false;
    if (element_count(shape_, count) && static_cast<std::uint64_t>(count) == given) return true;
    builder_.diagnostics.error(rule<"constant.count">.id(),
                               fmt::format("constant '{}' has {} elements but shape {} takes {}",
                                           name_, given, to_string(shape_), count),
                               loc_);
    return false;
  }

  bool ints_fit(std::span<const std::int64_t> values) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    integer_range(dtype_, low, high);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] >= low && values[i] <= high) continue;
      builder_.diagnostics.error(
          rule<"constant.range">.id(),
          fmt::format("constant '{}' has element {} at index {}, outside {}'s range {} to {}",
                      name_, values[i], i, dtype_name(dtype_), low, high),
          loc_);
      return false;
    }
    return true;
  }

  bool whole(std::span<const double> values, std::vector<std::int64_t>& out) {
    out.reserve(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::nearbyint(values[i]) != values[i] || std::abs(values[i]) > 0x1p53) {
        builder_.diagnostics.error(
            rule<"constant.range">.id(),
            fmt::format(
                "constant '{}' has element {} at index {}, which is not a whole number that "
                "{} holds",
                name_, values[i], i, dtype_name(dtype_)),
            loc_);
        return false;
      }
      out.push_back(static_cast<std::int64_t>(values[i]));
    }
    return true;
  }

  void warn_rounding(std::span<const double> values) {
    warn_lost(values, rule<"constant.overflow">, "that become infinite",
              [&](double v) { return std::isfinite(v) && std::isinf(round_to(dtype_, v)); });
    warn_lost(values, rule<"constant.underflow">, "that become 0",
              [&](double v) { return v != 0 && round_to(dtype_, v) == 0; });
  }

  /// The constant under its name: a new one, or the equal one that has the name already.
  Value named(const Const& constant) {
    if (name_.empty()) return builder_.handle(builder_.graph->add_const(constant, kNoName, loc_));
    const NameId id = builder_.declare_name(name_, loc_);
    if (id == kNone) return builder_.poison();
    if (const ValueId other = builder_.owner(id); other != kNone) {
      const Const* same = builder_.graph->constant_of(other);
      if (same != nullptr && same_constant(*builder_.graph, *same, constant)) {
        return builder_.handle(other);
      }
      // The names are equal and the things are not: say both.
      Diagnostic& report = builder_.diagnostics.error(
          rule<"name.duplicate">.id(),
          same != nullptr
              ? fmt::format("name '{}' is that of {}, {}, already and cannot be that of {} as well",
                            builder_.graph->names.view(id), builder_.describe(other), spell(*same),
                            spell(constant))
              : fmt::format("name '{}' is that of {} already and cannot be that of {} as well",
                            builder_.graph->names.view(id), builder_.describe(other),
                            spell(constant)),
          loc_);
      builder_.note_made(report, other);
      return builder_.poison();
    }
    const ValueId value = builder_.graph->add_const(constant, id, loc_);
    builder_.claim(id, value, loc_);
    return builder_.handle(value);
  }

 private:
  template <class Lost>
  void warn_lost(std::span<const double> values, Rule broken, std::string_view how,
                 const Lost& lost) {
    const auto first = std::ranges::find_if(values, lost);
    if (first == values.end()) return;
    const auto count = std::ranges::count_if(values, lost);
    builder_.diagnostics.warning(
        broken.id(),
        fmt::format("constant '{}' has {} element{} that {} cannot hold and {}; the first is {} at "
                    "index {}",
                    name_, count, count == 1 ? "" : "s", dtype_name(dtype_), how, *first,
                    first - values.begin()),
        loc_);
  }
  /// "fp16 1e-05", "tensor<fp16, [4]> filled with zeros"
  std::string spell(const Const& constant) const {
    const Graph& graph = *builder_.graph;
    std::string out = to_string(graph.types.view(constant.type));
    if (constant.kind == ConstKind::fill || constant.kind == ConstKind::weight) {
      return out + fmt::format(" filled by {}", fill_name(constant.fill));
    }
    if (constant.count == 1 && constant.kind == ConstKind::reals) {
      return out + fmt::format(" {}", graph.reals(constant)[0]);
    }
    if (constant.count == 1 && constant.kind == ConstKind::ints) {
      return out + fmt::format(" {}", graph.ints(constant)[0]);
    }
    return out + " with its elements";
  }

  Builder& builder_;
  std::string_view name_;
  DType dtype_;
  const Shape& shape_;
  Loc loc_;
};

/// Whether a weight file can hold the dtype, and the formula makes sense for the shape.
bool check_fill(Builder& b, std::string_view what, std::string_view name, DType dtype,
                const Shape& shape, Fill fill, Loc loc) {
  if (weight_dtype_code(dtype) == 0) {
    b.diagnostics.error(
        rule<"weight.dtype">.id(),
        fmt::format("{} '{}' is {}, which weight files do not have", what, name, dtype_name(dtype)),
        loc);
    return false;
  }
  const std::size_t rank = shape.size();
  if (fill != Fill::causal_mask ||
      (is_float(dtype) && rank >= 2 && shape[rank - 1] == shape[rank - 2])) {
    return true;
  }
  b.diagnostics.error(
      rule<"weight.fill">.id(),
      fmt::format("{} '{}' is tensor<{}, {}>; a causal mask is a float and its last two dims are "
                  "equal",
                  what, name, dtype_name(dtype), to_string(shape)),
      loc);
  return false;
}

}  // namespace

Kernel::Kernel(std::string_view name, Opset opset, Loc loc)
    : builder_(std::make_unique<Builder>(name, opset, loc).release()) {}
Kernel::Kernel(Kernel&& other) noexcept : builder_(std::exchange(other.builder_, nullptr)) {}
Kernel& Kernel::operator=(Kernel&& other) noexcept {
  std::swap(builder_, other.builder_);
  return *this;
}
Kernel::~Kernel() { std::unique_ptr<Builder>{builder_}.reset(); }

const Diagnostics& Kernel::diagnostics() const { return builder_->diagnostics; }
std::string_view Kernel::name() const { return builder_->name; }

Value Kernel::add_port(std::string_view what, std::string_view name, DType dtype,
                       const Shape& shape, bool is_state, Loc loc) {
  Builder& b = *builder_;
  if (!b.check_open(loc)) return b.poison();
  const NameId id = b.declare_name(name, loc);
  const bool shape_ok = b.check_shape(what, name, shape, !is_state, loc);
  if (id == kNone || !shape_ok) return b.poison();
  if (b.owner(id) != kNone) {
    b.claim(id, kPoison, loc);  // reports
    return b.poison();
  }
  if (shape.empty()) {
    b.diagnostics.warning(
        rule<"input.scalar">.id(),
        fmt::format("{} '{}' has rank 0, which some loaders refuse; [1] is taken by all", what,
                    name),
        loc);
  }
  TypeId type = b.graph->types.tensor(dtype, shape);
  if (is_state) type = b.graph->types.state(type);
  const ValueId value = b.graph->add_input(id, type, loc);
  b.claim(id, value, loc);
  return b.handle(value);
}

Value Kernel::add_input(std::string_view name, DType dtype, const Shape& shape, Loc loc) {
  return add_port("input", name, dtype, shape, false, loc);
}

Value Kernel::add_state(std::string_view name, DType dtype, const Shape& shape, Loc loc) {
  Builder& b = *builder_;
  if (b.opset < op_info(OpCode::read_state).since()) {
    b.diagnostics.error(
        rule<"state.opset">.id(),
        fmt::format("state '{}': states exist from {} on but the program is {}", name,
                    opset_name(op_info(OpCode::read_state).since()), opset_name(b.opset)),
        loc);
    return b.poison();
  }
  return add_port("state", name, dtype, shape, true, loc);
}

namespace {

/// A constant whose elements are not in the graph: a weight, or a formula of the kernel's own.
Value add_by_formula(Builder& b, ConstKind kind, std::string_view name, DType dtype,
                     const Shape& shape, Fill fill, Loc loc) {
  const std::string_view what = kind == ConstKind::weight ? "weight" : "constant";
  if (!b.check_open(loc) || !b.check_shape(what, name, shape, false, loc) ||
      !check_fill(b, what, name, dtype, shape, fill, loc)) {
    return b.poison();
  }
  Const constant;
  constant.type = b.graph->types.tensor(dtype, shape);
  constant.kind = kind;
  constant.fill = fill;
  return ConstantMaker(b, name, dtype, shape, loc).named(constant);
}

}  // namespace

Value Kernel::add_weight(std::string_view name, DType dtype, const Shape& shape, Fill fill,
                         Loc loc) {
  return add_by_formula(*builder_, ConstKind::weight, name, dtype, shape, fill, loc);
}

Value Kernel::add_fill(std::string_view name, DType dtype, const Shape& shape, Fill fill, Loc loc) {
  return add_by_formula(*builder_, ConstKind::fill, name, dtype, shape, fill, loc);
}

Value Kernel::add_reals(std::string_view name, DType dtype, const Shape& shape,
                        std::span<const double> values, Loc loc) {
  Builder& b = *builder_;
  ConstantMaker maker(b, name, dtype, shape, loc);
  if (!b.check_open(loc) || !maker.count_fits(values.size())) return b.poison();
  if (!is_float(dtype)) {
    std::vector<std::int64_t> whole;
    if (!maker.whole(values, whole) || !maker.ints_fit(whole)) return b.poison();
    return maker.named(b.graph->make_ints(dtype, shape, whole));
  }
  if (!shape.empty() && !check_fill(b, "constant", name, dtype, shape, Fill::zeros, loc)) {
    return b.poison();
  }
  maker.warn_rounding(values);
  return maker.named(b.graph->make_reals(dtype, shape, values));
}

Value Kernel::add_floats(std::string_view name, DType dtype, const Shape& shape,
                         std::span<const float> values, Loc loc) {
  const std::vector<double> wide(values.begin(), values.end());
  return add_reals(name, dtype, shape, wide, loc);
}

Value Kernel::add_ints(std::string_view name, DType dtype, const Shape& shape,
                       std::span<const std::int64_t> values, Loc loc) {
  Builder& b = *builder_;
  ConstantMaker maker(b, name, dtype, shape, loc);
  if (!b.check_open(loc) || !maker.count_fits(values.size())) return b.poison();
  if (is_float(dtype)) {
    const std::vector<double> wide(values.begin(), values.end());
    return add_reals(name, dtype, shape, wide, loc);
  }
  if (!maker.ints_fit(values)) return b.poison();
  return maker.named(b.graph->make_ints(dtype, shape, values));
}

Value Kernel::add_scalar(std::string_view name, DType dtype, double value, Loc loc) {
  Builder& b = *builder_;
  if (!name.empty()) return add_reals(name, dtype, {}, std::span(&value, 1), loc);
  if (!b.check_open(loc)) return b.poison();
  const Shape scalar;
  ConstantMaker maker(b, "", dtype, scalar, loc);
  if (is_float(dtype)) {
    maker.warn_rounding(std::span(&value, 1));
    return b.handle(b.graph->intern_reals(dtype, {}, std::span(&value, 1), {}, loc));
  }
  std::vector<std::int64_t> whole;
  if (!maker.whole(std::span(&value, 1), whole) || !maker.ints_fit(whole)) return b.poison();
  return b.handle(b.graph->intern_ints(dtype, {}, whole, {}, loc));
}

bool Kernel::require(bool ok, std::string_view message, Loc loc) {
  if (!ok) {
    builder_->diagnostics.error(rule<"kernel.config">.id(),
                                fmt::format("{}: {}", builder_->name, message), loc);
  }
  return ok;
}

Kernel::Scope Kernel::scope(std::string_view prefix) {
  builder_->scope_lengths.push_back(builder_->scope_prefix.size());
  builder_->scope_prefix += prefix;
  builder_->scope_prefix += '_';
  return Scope(builder_);
}

Kernel::Scope::~Scope() {
  builder_->scope_prefix.resize(builder_->scope_lengths.back());
  builder_->scope_lengths.pop_back();
}

void Kernel::output(std::string_view name, Value value, Loc loc) {
  Builder& b = *builder_;
  if (!b.check_open(loc)) return;
  const NameId id = b.declare_name(name, loc);
  if (id == kNone) return;
  if (value.poisoned()) {
    b.lost_outputs.push_back({std::string(name), loc});
    return;
  }
  if (value.builder() != &b) {
    b.diagnostics.error(
        rule<"value.kernel">.id(),
        fmt::format("output '{}': the value belongs to another kernel than '{}'", name, b.name),
        loc);
    return;
  }
  Graph& graph = *b.graph;
  ValueId of = value.id();
  if (graph.current_block() != kRootBlock) {
    b.diagnostics.error(
        rule<"block.output">.id(),
        fmt::format("output '{}' is declared inside of a nested block; outputs are those of the "
                    "kernel",
                    name),
        loc);
    return;
  }
  if (!b.check_visible(of, fmt::format("output '{}'", name), loc)) return;
  const TypeId type = graph.value(of).type;
  if (const TypeKind kind = graph.types.kind(type);
      kind != TypeKind::tensor && kind != TypeKind::dict) {
    Diagnostic& report = b.diagnostics.error(
        rule<"output.kind">.id(),
        fmt::format("output '{}' is {}, but an output is a tensor or a dictionary", name,
                    to_string(graph.types.view(type))),
        loc);
    b.note_made(report, of);
    return;
  }
  // An output's name is its value's name, and the value has to be an op's result.
  if (graph.value(of).def == kNone || graph.constant_of(of) != nullptr || b.is_output(of)) {
    OpBuilder identity(OpCode::identity, loc);
    identity.operand("x", value);
    const Value result = identity.result();
    if (result.poisoned()) return;
    of = result.id();
  }
  const NameId old = graph.value(of).name;
  if (old != id) {
    if (!b.claim(id, of, loc)) return;
    if (old != kNoName) {
      b.diagnostics.warning(
          rule<"name.replaced">.id(),
          fmt::format(
              "value '{}' is output as '{}'; MIL has one name for a value, so the text will "
              "say '{}'",
              graph.names.view(old), graph.names.view(id), graph.names.view(id)),
          loc);
    }
    b.rename(of, id);
  }
  b.add_output(id, of, loc);
}

namespace {

/// Warns when names do not sort in the order in which they were declared: the runtime binds by
/// sorted name (ane_runtime, section 4.0, rule B).
template <class Name>
void warn_order(Builder& b, std::string_view what, std::size_t count, const Name& name_of) {
  for (std::size_t i = 1; i < count; ++i) {
    const auto [before, before_loc] = name_of(i - 1);
    const auto [after, after_loc] = name_of(i);
    if (before <= after) continue;
    Diagnostic& report = b.diagnostics.warning(
        rule<"io.order">.id(),
        fmt::format("{} '{}' is declared after '{}' and sorts before it; the ANE binds {}s in name "
                    "order, so give them names that sort as declared",
                    what, after, before, what),
        after_loc);
    report.notes.push_back({fmt::format("'{}' is declared here", before), Place(before_loc)});
    return;
  }
}

void warn_unused(Builder& b, const Canonical& canonical) {
  const Graph& graph = *b.graph;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const ValueId input = graph.inputs[i];
    if (canonical.input_needed[graph.value(input).result]) continue;
    b.diagnostics.warning(rule<"kernel.unused_input">.id(),
                          fmt::format("{} is not needed by any output", b.describe(input)),
                          graph.loc_of(input));
  }
  if (canonical.order.size() == graph.op_count()) return;
  std::vector<bool> operand_of_any(graph.value_count(), false);
  std::vector<bool> printed(graph.op_count(), false);
  for (const OpId id : canonical.order) printed[id] = true;
  for (OpId id = 0; id < graph.op_count(); ++id) {
    for (const Operand& operand : graph.operands(graph.op(id)))
      operand_of_any[operand.value] = true;
  }
  for (BlockId block = 0; block < graph.block_count(); ++block) {
    for (const ValueId output : graph.block_outputs(graph.block(block)))
      operand_of_any[output] = true;
  }
  for (OpId id = 0; id < graph.op_count(); ++id) {
    if (printed[id]) continue;
    const OpRecord& op = graph.op(id);
    const ValueId result = op.first_result;
    if (op.code == OpCode::const_) {
      const NameId name = graph.value(result).name;
      if (name == kNoName) continue;  // an argument of an op that is not needed itself
      b.diagnostics.warning(rule<"kernel.unused_weight">.id(),
                            fmt::format("{} is not needed by any output", b.describe(result)),
                            op.loc);
      continue;
    }
    // Whoever stores with coreml_update_state need not use what it gives.
    if (op.code == OpCode::read_state) continue;
    // Only the last op of a chain that leads nowhere: the rest follows from it.
    bool used = false;
    for (std::uint32_t r = 0; r < op.results; ++r) used = used || operand_of_any[result + r];
    if (used) continue;
    b.diagnostics.warning(
        rule<"kernel.unused_value">.id(),
        fmt::format("the result of {} is not needed by any output and is left out",
                    op_info(op.code).name),
        op.loc);
  }
}

}  // namespace

Program Kernel::finish(Loc loc) {
  Builder& b = *builder_;
  if (!b.check_open(loc)) return {};
  if (b.graph->current_block() != kRootBlock) {
    b.diagnostics.error(
        rule<"block.open">.id(),
        fmt::format("kernel '{}' is finished while a nested block of it is open", b.name), loc);
  }
  b.finished = true;
  Graph& graph = *b.graph;
  // A refusal has been reported, or else what was lost came from nowhere: a default Tensor, a
  // result past an op's last, a value of another kernel.
  if (!b.diagnostics.has_errors()) {
    for (const Builder::LostOutput& lost : b.lost_outputs) {
      b.diagnostics.error(rule<"output.lost">.id(),
                          fmt::format("output '{}' has no value: what it is computed from is a "
                                      "default Tensor, a result past an op's last, or a value of "
                                      "another kernel",
                                      lost.name),
                          lost.loc);
    }
  }
  if (graph.outputs.empty() && !b.diagnostics.has_errors()) {
    b.diagnostics.error(rule<"kernel.no_output">.id(),
                        fmt::format("kernel '{}' has no output", b.name), loc);
  }
  if (b.diagnostics.has_errors()) return {};

  auto data = std::make_unique<ProgramData>(b.name, b.opset, b.graph);
  warn_unused(b, data->canonical);
  warn_order(b, "input", graph.inputs.size(), [&](std::size_t i) {
    const ValueId input = graph.inputs[i];
    return std::pair(graph.names.view(graph.value(input).name), graph.loc_of(input));
  });
  warn_order(b, "output", graph.outputs.size(), [&](std::size_t i) {
    return std::pair(graph.names.view(graph.outputs[i].name), graph.outputs[i].loc);
  });
  return Program(data.release());
}

Program Kernel::finish(const WeightModes& modes, Loc loc) {
  return with_weights_as(finish(loc), modes, builder_->diagnostics);
}

}  // namespace milgen
