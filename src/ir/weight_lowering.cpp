#include "ir/weight_lowering.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "ir/builder.h"
#include "milgen/op_builder.h"
#include "milgen/op_info.h"

namespace milgen {
namespace {

std::int64_t product(std::span<const std::int64_t> dims) {
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) count *= dim;
  return count;
}

/// Copies the live part of a graph in creation order, so that operands come before their ops, and
/// puts inputs in the place of weights on the way.
class Lowering {
 public:
  Lowering(const Program& definition, const WeightUses& uses, std::span<const LoweredPlace> places)
      : definition_(definition),
        from_(*definition.data().graph),
        uses_(uses),
        places_(places),
        builder_(definition.name(), definition.opset(), Loc{}),
        to_(*builder_.graph),
        values_(from_.value_count(), kNone),
        types_(from_.types.size(), kNone),
        at_run_time_(from_.value_count(), false),
        blocks_(from_.block_count(), kNone) {
    blocks_[kRootBlock] = kRootBlock;
  }

  Program run(Diagnostics& diagnostics) {
    add_inputs();
    for (OpId id = 0; id < from_.op_count(); ++id) {
      if (uses_.live()[id]) copy_op(from_.op(id));
    }
    enter(kRootBlock);
    for (const Graph::Output& output : from_.outputs) {
      to_.outputs.push_back({name(output.name), values_[output.value], output.loc});
    }
    diagnostics.append(builder_.diagnostics);
    if (builder_.diagnostics.has_errors()) return {};
    auto data = std::make_unique<ProgramData>(builder_.name, builder_.opset, builder_.graph);
    data->lowering =
        std::make_shared<const WeightLowering>(WeightLowering{definition_, std::move(plan_)});
    return Program(data.release());
  }

 private:
  // --- Inputs. ---

  struct Input {
    std::string_view name;
    ValueId of;                              // in from_: an input, or a weight
    std::uint32_t weight = kNone;            // of a weight: its index
    std::vector<std::uint32_t> packed = {};  // weights behind an activation
  };

  void add_inputs() {
    std::vector<Input> inputs;
    for (const ValueId input : from_.inputs) inputs.push_back({author_name(input), input});
    bool any_param = false;
    for (std::uint32_t w = 0; w < places_.size(); ++w) {
      if (places_[w].as == WeightsAs::constant) continue;
      at_run_time_[uses_.weights()[w].value] = true;
      if (places_[w].as == WeightsAs::packed) {
        inputs[places_[w].input].packed.push_back(w);
        continue;
      }
      any_param = true;
      const ValueId value = uses_.weights()[w].value;
      inputs.push_back({author_name(value), value, w});
    }
    if (any_param) std::ranges::sort(inputs, {}, &Input::name);
    for (const Input& input : inputs) add_input(input);
    // Inputs are whole before the first op, and the slices that stand for what is in them come
    // before every op that the author made.
    for (const Input& input : inputs) {
      if (!input.packed.empty()) take_apart(input);
    }
  }

  void add_input(const Input& input) {
    const TypeId declared = type(from_.value(input.of).type);
    TypeId made = declared;
    if (input.weight != kNone) {
      made = to_.types.tensor(to_.types.dtype(declared), uses_.weights()[input.weight].param_shape);
    } else if (!input.packed.empty()) {
      Shape wide(to_.types.shape(declared));
      for (const std::uint32_t w : input.packed) wide[3] += places_[w].columns;
      made = to_.types.tensor(to_.types.dtype(declared), wide);
    }
    values_[input.of] =
        to_.add_input(name(from_.value(input.of).name), made, from_.loc_of(input.of));
    if (to_.types.kind(made) == TypeKind::tensor) plan_input(input, made);
  }

  void plan_input(const Input& input, TypeId made) {
    PlannedInput planned{
        std::string(input.name), to_.types.dtype(made), Shape(to_.types.shape(made)), {}};
    PlannedPart& first = planned.parts.emplace_back(part(input.of));
    if (!input.packed.empty()) {
      first.layout = PartLayout::columns;
      first.columns = first.shape[3];
    }
    for (const std::uint32_t w : input.packed) {
      PlannedPart& packed = planned.parts.emplace_back(part(uses_.weights()[w].value));
      packed.layout = places_[w].layout;
      packed.first_column = places_[w].first_column;
      packed.columns = places_[w].columns;
    }
    plan_.inputs.push_back(std::move(planned));
  }

  PlannedPart part(ValueId value) const {
    const TypeView view = from_.types.view(from_.value(value).type);
    const Const* constant = from_.constant_of(value);
    return {.name = std::string(author_name(value)),
            .is_weight = constant != nullptr,
            .dtype = view.dtype,
            .shape = Shape(view.shape),
            .fill = constant == nullptr ? Fill::uniform : constant->fill};
  }

  /// The slices of an input that has weights behind its activation.
  void take_apart(const Input& input) {
    const ValueId packed = values_[input.of];
    const Shape shape(from_.types.shape(from_.value(input.of).type));
    const Loc loc = from_.loc_of(input.of);
    values_[input.of] = slice(packed, 0, shape[3], loc);
    for (const std::uint32_t w : input.packed) {
      const LoweredPlace& place = places_[w];
      const ValueId weight = uses_.weights()[w].value;
      const Loc weight_loc = from_.loc_of(weight);
      ValueId value = slice(packed, place.first_column, place.columns, weight_loc);
      const DType wanted = from_.types.dtype(from_.value(weight).type);
      if (dtype(value) != wanted) {
        OpBuilder cast(OpCode::cast, weight_loc);
        cast.operand("x", builder_.handle(value));
        cast.dtype("dtype", wanted);
        value = cast.result().id();
      }
      to_.set_name(value, name(from_.value(weight).name));
      values_[weight] = value;
    }
  }

  ValueId slice(ValueId packed, std::int64_t first, std::int64_t columns, Loc loc) {
    const std::span<const std::int64_t> shape = to_.types.shape(to_.value(packed).type);
    const Ints size = {1, shape[1], 1, columns};
    OpBuilder op(OpCode::slice_by_size, loc);
    op.operand("x", builder_.handle(packed));
    op.integers("begin", {0, 0, 0, first});
    op.integers("size", size);
    return op.result().id();
  }

  // --- What the copy has in the place of names, types and values. ---

  std::string_view author_name(ValueId value) const {
    return from_.names.view(from_.value(value).name);
  }
  NameId name(NameId of) { return to_.names.intern(from_.names.view(of)); }
  DType dtype(ValueId value) const { return to_.types.dtype(to_.value(value).type); }
  std::span<const std::int64_t> shape(ValueId value) const {
    return to_.types.shape(to_.value(value).type);
  }
  std::span<const std::int64_t> declared_shape(ValueId value) const {
    return from_.types.shape(from_.value(value).type);
  }

  TypeId type(TypeId of) {
    if (types_[of] == kNone) types_[of] = type(from_.types.view(of));
    return types_[of];
  }
  /// As deep as types nest: lists of tensors, states of tensors.
  TypeId type(const TypeView& of) {
    switch (of.kind) {
      case TypeKind::list:
        return to_.types.list(type(*of.element), of.length);
      case TypeKind::state:
        return to_.types.state(type(*of.element));
      case TypeKind::dict:
        return to_.types.dict(of.element->dtype, of.dtype);
      default:
        return to_.types.tensor(of.dtype, of.shape);
    }
  }

  const LoweredPlace* place_of(ValueId value) const {
    const std::uint32_t w = uses_.find(value);
    return w == kNone ? nullptr : &places_[w];
  }
  bool is_packed(ValueId value) const {
    const LoweredPlace* place = place_of(value);
    return place != nullptr && place->as == WeightsAs::packed;
  }
  bool is_transposed(ValueId value) const {
    return is_packed(value) && place_of(value)->layout == PartLayout::transposed;
  }

  /// The value under another shape of as many elements. Ops that ask for the same one share it.
  ValueId reshaped(ValueId value, const Shape& to, Loc loc) {
    const TypeId wanted = to_.types.tensor(dtype(value), to);
    const TypeId had = to_.value(value).type;
    if (had == wanted) return value;
    return shared(value, OpCode::reshape, wanted, [&] {
      OpBuilder op(OpCode::reshape, loc);
      op.operand("x", builder_.handle(value));
      op.integers("shape", to);
      const ValueId made = op.result().id();
      // What is reshaped back is what it was made from.
      shared_[{made, OpCode::reshape, had}] = value;
      return made;
    });
  }
  /// A value of rank 4 with its last two dims exchanged.
  ValueId transposed(ValueId value, Loc loc) {
    return shared(value, OpCode::transpose, 0, [&] {
      OpBuilder op(OpCode::transpose, loc);
      op.operand("x", builder_.handle(value));
      op.integers("perm", {0, 1, 3, 2});
      return op.result().id();
    });
  }
  template <class Make>
  ValueId shared(ValueId value, OpCode op, TypeId wanted, const Make& make) {
    const auto key = std::tuple(value, op, wanted);
    const auto found = shared_.find(key);
    // What was made in a block is not known outside of it.
    if (found != shared_.end() && to_.block(to_.block_of(found->second)).open) return found->second;
    const ValueId made = make();
    shared_[key] = made;
    return made;
  }

  /// The value as the author declared it, which a weight's input may not be.
  ValueId as_declared(ValueId of, Loc loc) {
    const LoweredPlace* place = place_of(of);
    const ValueId value = values_[of];
    if (place == nullptr || place->as == WeightsAs::constant) return value;
    const Shape declared(declared_shape(of));
    if (!is_transposed(of)) return reshaped(value, declared, loc);
    return reshaped(transposed(matrix_of(of, loc), loc), declared, loc);
  }
  /// A packed weight as a matrix in its layout: [1, 1, in, out] when it is transposed, else
  /// [1, 1, out, in].
  ValueId matrix_of(ValueId weight, Loc loc) {
    const std::int64_t channels = shape(values_[weight])[1];
    return reshaped(values_[weight], {1, 1, channels, place_of(weight)->columns}, loc);
  }

  // --- Ops. ---

  void copy_op(const OpRecord& op) {
    if (op.code == OpCode::const_) {
      copy_constant(op);
      return;
    }
    enter(op.block);
    note_run_time(op);
    if (!lower(op)) copy_plain(op);
  }

  void copy_constant(const OpRecord& op) {
    const ValueId value = op.first_result;
    if (at_run_time_[value]) return;
    const Const& constant = from_.constant(op.constant);
    const NameId own = from_.value(value).name;
    if (own == kNoName && from_.types.kind(constant.type) == TypeKind::tensor) {
      // Shared with those that the lowering makes itself.
      const std::span<const std::int64_t> dims = from_.types.shape(constant.type);
      const DType of = from_.types.dtype(constant.type);
      switch (constant.kind) {
        case ConstKind::ints:
          values_[value] = to_.intern_ints(of, dims, from_.ints(constant), constant.role, op.loc);
          return;
        case ConstKind::reals:
          values_[value] = to_.intern_reals(of, dims, from_.reals(constant), constant.role, op.loc);
          return;
        case ConstKind::text:
          values_[value] = to_.intern_text(from_.text(constant), constant.role, op.loc);
          return;
        default:
          break;
      }
    }
    values_[value] =
        to_.add_const(elements(constant), own == kNoName ? kNoName : name(own), op.loc);
  }

  Const elements(const Const& constant) {
    Const made = constant;
    switch (constant.kind) {
      case ConstKind::ints:
        made = to_.make_ints(DType::none, {}, from_.ints(constant));
        break;
      case ConstKind::reals:
        made = to_.make_reals(from_.types.dtype(constant.type), {}, from_.reals(constant));
        break;
      case ConstKind::text:
        made.first = name(constant.first);
        break;
      case ConstKind::texts: {
        std::vector<std::int64_t> ids;
        for (const std::int64_t id : from_.text_ids(constant)) {
          ids.push_back(name(static_cast<NameId>(id)));
        }
        made = to_.make_ints(DType::none, {}, ids);
        break;
      }
      case ConstKind::fill:
      case ConstKind::weight:
        break;
    }
    made.kind = constant.kind;
    made.fill = constant.fill;
    made.role = constant.role;
    made.type = type(constant.type);
    return made;
  }

  /// What is computed from constants alone comes at run time once one of them does.
  void note_run_time(const OpRecord& op) {
    if (op.results == 0 || !uses_.is_constant(op.first_result)) return;
    const bool any = std::ranges::any_of(
        from_.operands(op), [&](const Operand& operand) { return at_run_time_[operand.value]; });
    for (std::uint32_t r = 0; r < op.results; ++r) at_run_time_[op.first_result + r] = any;
  }
  bool argument_at_run_time(const OpRecord& op, std::string_view param) const {
    const ValueId value = argument_of(from_, op, param);
    return value != kNone && at_run_time_[value];
  }

  /// The ops that do not take their arguments as they come; false for any other.
  bool lower(const OpRecord& op) {
    ValueId made = kNone;
    if (op.code == OpCode::matmul) {
      if (!is_transposed(argument_of(from_, op, "x")) &&
          !is_transposed(argument_of(from_, op, "y"))) {
        return false;
      }
      made = lower_matmul(op);
    } else if (op.code == OpCode::conv || op.code == OpCode::linear) {
      if (!argument_at_run_time(op, "weight") && !argument_at_run_time(op, "bias")) return false;
      made = op.code == OpCode::conv ? lower_conv(op) : lower_linear(op);
    } else {
      return false;
    }
    keep_result(op.first_result, made);
    return true;
  }

  ValueId matmul(ValueId x, bool transpose_x, ValueId y, bool transpose_y, Loc loc) {
    OpBuilder op(OpCode::matmul, loc);
    op.operand("x", builder_.handle(x));
    op.operand("y", builder_.handle(y));
    op.boolean("transpose_x", transpose_x);
    op.boolean("transpose_y", transpose_y);
    return op.result().id();
  }
  ValueId add(ValueId x, ValueId y, Loc loc) {
    OpBuilder op(OpCode::add, loc);
    op.operand("x", builder_.handle(x));
    op.operand("y", builder_.handle(y));
    return op.result().id();
  }

  /// An operand of matmul that may be a packed weight; `transpose` is changed when what is given
  /// is its transpose.
  ValueId matmul_operand(ValueId of, bool& transpose, Loc loc) {
    if (!is_transposed(of)) return as_declared(of, loc);
    Shape stored(declared_shape(of));
    // A conv's weight [out, in, 1, 1] is many matrices where a matmul takes it as well.
    if (product(std::span(stored).first(stored.size() - 2)) != 1) return as_declared(of, loc);
    transpose = !transpose;
    std::swap(stored[stored.size() - 2], stored[stored.size() - 1]);
    return reshaped(values_[of], stored, loc);
  }

  ValueId lower_matmul(const OpRecord& op) {
    const auto flag = [&](std::string_view param) {
      const ValueId value = argument_of(from_, op, param);
      return value != kNone && from_.ints(*from_.constant_of(value))[0] != 0;
    };
    bool transpose_x = flag("transpose_x");
    bool transpose_y = flag("transpose_y");
    const ValueId x = matmul_operand(argument_of(from_, op, "x"), transpose_x, op.loc);
    const ValueId y = matmul_operand(argument_of(from_, op, "y"), transpose_y, op.loc);
    return matmul(x, transpose_x, y, transpose_y, op.loc);
  }

  /// x times the transpose of weight [out, in], plus bias [out].
  ValueId lower_linear(const OpRecord& op) {
    bool transpose_y = true;
    const ValueId x = as_declared(argument_of(from_, op, "x"), op.loc);
    const ValueId weight = matmul_operand(argument_of(from_, op, "weight"), transpose_y, op.loc);
    const ValueId made = matmul(x, false, weight, transpose_y, op.loc);
    const ValueId bias = argument_of(from_, op, "bias");
    if (bias == kNone || is_zero(bias)) return made;
    return add(made, as_declared(bias, op.loc), op.loc);
  }
  /// The bias of a linear for which the author gave none.
  bool is_zero(ValueId value) const {
    const Const* constant = from_.constant_of(value);
    return constant != nullptr && constant->kind == ConstKind::fill &&
           constant->fill == Fill::zeros;
  }

  ValueId lower_conv(const OpRecord& op) {
    const ValueId x_of = argument_of(from_, op, "x");
    const ValueId weight = argument_of(from_, op, "weight");
    const ValueId bias = argument_of(from_, op, "bias");
    const std::int64_t out = declared_shape(weight)[0];
    Shape result(declared_shape(x_of));
    result[1] = out;
    ValueId made = kNone;
    if (at_run_time_[weight]) {
      const ValueId x = as_declared(x_of, op.loc);
      made =
          is_packed(weight) ? packed_product(x, weight, op.loc) : plain_product(x, weight, op.loc);
      made = reshaped(made, result, op.loc);
    } else {
      made = conv_without_bias(op);
    }
    if (bias == kNone) return made;
    const ValueId given = values_[bias];
    return add(made, reshaped(given, product_bias_shape(out, result.size()), op.loc), op.loc);
  }
  /// The conv itself, where its weight stays a constant.
  ValueId conv_without_bias(const OpRecord& op) {
    operands_.clear();
    for (const Operand& operand : from_.operands(op)) {
      if (op_info(op.code).params()[operand.param].name == "bias") continue;
      operands_.push_back({as_declared(operand.value, op.loc), operand.param});
    }
    const TypeId result = type(from_.value(op.first_result).type);
    return to_.op(to_.add_op(op.code, operands_, {&result, 1}, op.loc)).first_result;
  }
  /// W[1, out, in] times x[N, in, S].
  ValueId plain_product(ValueId x, ValueId weight, Loc loc) {
    const Shape dims(shape(x));
    const Shape columns = {dims[0], dims[1], product(std::span(dims).subspan(2))};
    const ValueId w = reshaped(values_[weight], product_weight_shape(declared_shape(weight)), loc);
    return matmul(w, false, reshaped(x, columns, loc), false, loc);
  }
  /// The same with a weight whose layout is what packing made it: x[N, 1, S, in] times
  /// W[1, 1, in, out], or W[1, 1, out, in] times x[N, 1, in, S].
  ValueId packed_product(ValueId x, ValueId weight, Loc loc) {
    const Shape dims(shape(x));
    const ValueId columns =
        reshaped(x, {dims[0], 1, dims[1], product(std::span(dims).subspan(2))}, loc);
    // By the conv's own reading: where a matmul had the first use, rows may be what is out here.
    const std::int64_t out = declared_shape(weight)[0];
    if (!is_transposed(weight)) {
      const ValueId w = reshaped(values_[weight], {1, 1, out, dims[1]}, loc);
      return matmul(w, false, columns, false, loc);
    }
    const ValueId w = reshaped(values_[weight], {1, 1, dims[1], out}, loc);
    return transposed(matmul(transposed(columns, loc), false, w, false, loc), loc);
  }

  void copy_plain(const OpRecord& op) {
    std::vector<BlockId> nested;
    for (const BlockId block : from_.nested(op)) {
      if (blocks_[block] == kNone) {  // without ops of its own
        enter(block);
        enter(op.block);
      }
      nested.push_back(blocks_[block]);
    }
    operands_.clear();
    for (const Operand& operand : from_.operands(op)) {
      operands_.push_back({as_declared(operand.value, op.loc), operand.param});
    }
    results_.clear();
    for (std::uint32_t r = 0; r < op.results; ++r) {
      results_.push_back(type(from_.value(op.first_result + r).type));
    }
    const OpId made = nested.empty() ? to_.add_op(op.code, operands_, results_, op.loc)
                                     : to_.add_op(op.code, operands_, nested, results_, op.loc);
    for (std::uint32_t r = 0; r < op.results; ++r) {
      keep_result(op.first_result + r, to_.op(made).first_result + r);
    }
  }

  void keep_result(ValueId of, ValueId made) {
    values_[of] = made;
    const NameId own = from_.value(of).name;
    if (own != kNoName && made < to_.value_count()) to_.set_name(made, name(own));
  }

  // --- Blocks. ---

  /// Makes `target` the innermost open block. In creation order nobody comes back to a block that
  /// was left.
  void enter(BlockId target) {
    if (current_ == target) return;
    path_.clear();
    BlockId meeting = target;
    while (from_.block(meeting).depth > from_.block(current_).depth) {
      path_.push_back(meeting);
      meeting = from_.block(meeting).parent;
    }
    while (current_ != meeting) {
      if (from_.block(current_).depth == from_.block(meeting).depth) {
        path_.push_back(meeting);
        meeting = from_.block(meeting).parent;
      }
      leave();
    }
    for (std::size_t i = path_.size(); i-- != 0;) open(path_[i]);
  }
  void open(BlockId id) {
    const BlockRecord& block = from_.block(id);
    results_.clear();
    for (std::uint32_t i = 0; i < block.inputs; ++i) {
      results_.push_back(type(from_.value(block.first_input + i).type));
    }
    blocks_[id] = to_.open_block(results_, block.loc);
    const ValueId first = to_.block(blocks_[id]).first_input;
    for (std::uint32_t i = 0; i < block.inputs; ++i) keep_result(block.first_input + i, first + i);
    current_ = id;
  }
  void leave() {
    const BlockRecord& block = from_.block(current_);
    std::vector<ValueId> outputs;
    for (const ValueId output : from_.block_outputs(block)) {
      outputs.push_back(as_declared(output, block.loc));
    }
    to_.close_block(outputs);
    current_ = block.parent;
  }

  const Program& definition_;
  const Graph& from_;
  const WeightUses& uses_;
  std::span<const LoweredPlace> places_;
  Builder builder_;
  Graph& to_;
  WeightPlan plan_;
  std::vector<ValueId> values_;    // by ValueId of from_
  std::vector<TypeId> types_;      // by TypeId of from_
  std::vector<bool> at_run_time_;  // by ValueId of from_: a weight, or made of weights alone
  std::vector<BlockId> blocks_;    // by BlockId of from_
  BlockId current_ = kRootBlock;   // in from_
  std::map<std::tuple<ValueId, OpCode, TypeId>, ValueId> shared_;
  // Held from one op to the next.
  std::vector<Operand> operands_;
  std::vector<TypeId> results_;
  std::vector<BlockId> path_;
};

}  // namespace

Program lower_weights(const Program& definition, const WeightUses& uses,
                      std::span<const LoweredPlace> places, Diagnostics& diagnostics) {
  return Lowering(definition, uses, places).run(diagnostics);
}

WeightPlan plan_of_inputs(const Graph& graph) {
  WeightPlan plan;
  for (const ValueId input : graph.inputs) {
    const TypeView type = graph.types.view(graph.value(input).type);
    if (type.kind != TypeKind::tensor) continue;
    const std::string name(graph.names.view(graph.value(input).name));
    const Shape shape(type.shape);
    plan.inputs.push_back(
        {name, type.dtype, shape, {{.name = name, .dtype = type.dtype, .shape = shape}}});
  }
  return plan;
}

}  // namespace milgen
