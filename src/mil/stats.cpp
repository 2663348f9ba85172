#include "milgen/stats.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>

#include "mil/literal.h"
#include "mil/module_data.h"
#include "mil/op_cost.h"
#include "milgen/op_info.h"
#include "milgen/weights.h"

namespace milgen {
namespace mil {
namespace {

using Dims = std::span<const std::int64_t>;
/// A count that may not be known.
using Count = std::optional<std::uint64_t>;

/// The product of dims; nothing when one is not known.
Count product(Dims dims) {
  Saturating out(1);
  for (const std::int64_t dim : dims) {
    if (dim < 0) return std::nullopt;
    out *= static_cast<std::uint64_t>(dim);
  }
  return out.value();
}

Count times(Count a, Count b) {
  if (!a || !b) return std::nullopt;
  Saturating out(*a);
  out *= *b;
  return out.value();
}

Count plus(Count a, Count b) {
  if (!a || !b) return std::nullopt;
  Saturating out(*a);
  out += *b;
  return out.value();
}

Count quotient(Count a, Count b) {
  if (!a || !b || *b == 0) return std::nullopt;
  return *a / *b;
}

/// The bytes of a tensor as a weight file packs it, bool as one byte; nothing when a dim is not
/// known. Strings, lists and the like take none.
Count bytes_of(const ModuleData& data, Id type_id) {
  if (type_id == kNoId) return 0;
  const TypeRecord* type = &data.types[type_id];
  // A state holds a tensor.
  if (type->kind == TypeKind::state) type = &data.types[data.types.children(*type)[0]];
  if (type->kind != TypeKind::tensor && type->kind != TypeKind::tensor_buffer) return 0;
  const Count elements = product(data.types.shape(*type));
  if (!elements || type->dtype == DType::boolean) return elements;
  const auto bits = static_cast<std::uint64_t>(dtype_bits(type->dtype));
  if (bits < 8) return (*times(elements, bits) + 7) / 8;
  return times(elements, bits / 8);
}

/// What the formulas see of an op.
class CostView {
 public:
  CostView(const ModuleData& data, const OpRecord& op) : data_(data), op_(op) {}

  Count cost(const OpCost& rule) const {
    switch (rule.rule) {
      case CostRule::free:
      case CostRule::blocks:
        return 0;
      case CostRule::per_result:
        return times(elements_of_type(result_type()), rule.factor);
      case CostRule::per_operand:
        return times(elements("x"), rule.factor);
      case CostRule::conv:
        // Each result is a sum over the weights of its output channel.
        return products(elements_of_type(result_type()),
                        quotient(elements("weight"), dim("weight", 0)), with_bias());
      case CostRule::conv_transpose:
        // Each element of x goes into as many results as its channel has weights.
        return products(elements("x"), quotient(elements("weight"), dim("weight", 0)), with_bias());
      case CostRule::linear:
        return products(elements_of_type(result_type()), dim("weight", 1), with_bias());
      case CostRule::matmul:
        return products(elements_of_type(result_type()), dim("x", flag("transpose_x") ? -2 : -1),
                        0);
      case CostRule::einsum:
        return times(einsum_products(), 2);
      case CostRule::attention:
        return attention();
      case CostRule::recurrent:
        return recurrent(rule.factor);
      case CostRule::pool:
        return times(times(elements_of_type(result_type()), values_product("kernel_sizes")),
                     rule.factor);
      case CostRule::normalization_window:
        // Squares and sums over the window, then scale, power and quotient.
        return times(elements("x"), plus(times(values_product("size"), 2), 3));
      case CostRule::scatter:
        return elements("updates");
    }
    return std::nullopt;
  }

 private:
  Id result_type() const { return op_.results == 0 ? kNoId : data_.values[op_.first_result].type; }
  const ArgumentRecord* argument(std::string_view name) const {
    for (const ArgumentRecord& argument : data_.arguments_of(op_)) {
      if (data_.name(argument.name) == name) return &argument;
    }
    return nullptr;
  }
  Id type_of(const BindingRecord& binding) const {
    if (binding.kind == BindingKind::value) return data_.values[binding.id].type;
    return binding.kind == BindingKind::literal ? data_.literals[binding.id].type : kNoId;
  }
  /// Of a tensor argument; nothing where there is none.
  std::optional<Dims> dims(std::string_view name) const {
    const ArgumentRecord* found = argument(name);
    if (found == nullptr || found->bindings == 0) return std::nullopt;
    return dims_of_type(type_of(data_.bindings[found->first_binding]));
  }
  std::optional<Dims> dims_of_type(Id type_id) const {
    if (type_id == kNoId) return std::nullopt;
    const TypeRecord& type = data_.types[type_id];
    if (type.kind != TypeKind::tensor) return std::nullopt;
    return data_.types.shape(type);
  }
  Count elements_of_type(Id type_id) const {
    const std::optional<Dims> shape = dims_of_type(type_id);
    return shape ? product(*shape) : std::nullopt;
  }
  Count elements(std::string_view name) const {
    const std::optional<Dims> shape = dims(name);
    return shape ? product(*shape) : std::nullopt;
  }
  /// One dim, counted from the end where negative.
  Count dim(std::string_view name, int index) const {
    const std::optional<Dims> shape = dims(name);
    if (!shape) return std::nullopt;
    const auto rank = static_cast<int>(shape->size());
    // A vector is a row or a column.
    if (index == -2 && rank == 1) index = -1;
    if (index < 0) index += rank;
    if (index < 0 || index >= rank) return std::nullopt;
    const std::int64_t value = (*shape)[static_cast<std::size_t>(index)];
    return value < 0 ? Count() : static_cast<std::uint64_t>(value);
  }
  bool values(std::string_view name, std::vector<std::int64_t>& out) const {
    const ArgumentRecord* found = argument(name);
    if (found == nullptr || found->bindings == 0) return false;
    const Id literal = data_.literal_behind(data_.bindings[found->first_binding]);
    constexpr std::size_t kMostValues = 64;
    return literal != kNoId && data_.literals[literal].blob == kNoId &&
           decode_integers(data_.literals[literal].text, out, kMostValues);
  }
  bool flag(std::string_view name) const {
    std::vector<std::int64_t> value;
    return values(name, value) && value.size() == 1 && value[0] != 0;
  }
  Count values_product(std::string_view name) const {
    std::vector<std::int64_t> found;
    if (!values(name, found)) return std::nullopt;
    return product(found);
  }

  /// One addition a result where there is a bias.
  Count with_bias() const {
    return argument("bias") == nullptr ? Count(0) : elements_of_type(result_type());
  }
  static Count products(Count sums, Count terms, Count more) {
    return plus(times(times(sums, terms), 2), more);
  }

  /// The dims of all letters of "nchw,nwhu->nchu", each once.
  Count einsum_products() const {
    const ArgumentRecord* equation = argument("equation");
    const ArgumentRecord* operands = argument("values");
    if (equation == nullptr || operands == nullptr || equation->bindings == 0) return std::nullopt;
    const Id literal = data_.literal_behind(data_.bindings[equation->first_binding]);
    std::vector<std::string> texts;
    if (literal == kNoId || !decode_strings(data_.literals[literal].text, texts, 1) ||
        texts.size() != 1) {
      return std::nullopt;
    }
    std::array<bool, 256> seen{};
    Saturating out(1);
    std::uint32_t operand = 0;
    std::size_t axis = 0;
    for (const char c : std::string_view(texts[0]).substr(0, texts[0].find("->"))) {
      if (c == ' ') continue;
      if (c == ',') {
        ++operand;
        axis = 0;
        continue;
      }
      if (operand >= operands->bindings) return std::nullopt;
      const std::optional<Dims> shape =
          dims_of_type(type_of(data_.bindings[operands->first_binding + operand]));
      if (!shape || axis >= shape->size() || (*shape)[axis] < 0) return std::nullopt;
      bool& known_letter = seen[static_cast<unsigned char>(c)];
      if (!known_letter) out *= static_cast<std::uint64_t>((*shape)[axis]);
      known_letter = true;
      ++axis;
    }
    return out.value();
  }

  Count attention() const {
    // Scores are [..., positions of query, positions of key].
    const Count scores = times(quotient(elements("query"), dim("query", -1)), dim("key", -2));
    const Count sums = plus(dim("query", -1), dim("value", -1));
    const std::uint64_t per_score = 5 + (argument("attn_mask") == nullptr ? 1 : 2);
    return plus(times(times(scores, sums), 2), times(scores, per_score));
  }

  Count recurrent(std::uint64_t per_unit) const {
    Count terms = 0;
    Count biases = 0;
    Count units = 0;
    for (const std::string_view suffix : {"", "_back"}) {
      const std::string back(suffix);
      if (argument("weight_hh" + back) == nullptr) continue;
      terms = plus(terms, plus(elements("weight_ih" + back), elements("weight_hh" + back)));
      units = plus(units, dim("weight_hh" + back, 1));
      if (argument("bias" + back) != nullptr) biases = plus(biases, elements("bias" + back));
    }
    const Count steps = times(dim("x", 0), dim("x", 1));
    return times(steps, plus(plus(times(terms, 2), biases), times(units, per_unit)));
  }

  const ModuleData& data_;
  const OpRecord& op_;
};

class StatsOfFunction {
 public:
  StatsOfFunction(const ModuleData& data, const FunctionRecord& function)
      : data_(data), function_(function) {}

  FunctionStats run() {
    out_.name = data_.name(function_.name);
    out_.opset = data_.name(function_.opset);
    const BlockRecord& body = data_.blocks[function_.body];
    for (std::uint32_t i = 0; i < body.inputs; ++i) {
      out_.inputs.push_back(port(body.first_input + i));
    }
    for (const BindingRecord& binding : data_.outputs_of(body)) {
      if (binding.kind == BindingKind::value) out_.outputs.push_back(port(binding.id));
    }
    walk();
    for (auto& [name, stats] : ops_) out_.ops.push_back(std::move(stats));
    std::ranges::sort(out_.ops, [](const OpStats& a, const OpStats& b) {
      if (a.flops != b.flops) return a.flops > b.flops;
      return a.count != b.count ? a.count > b.count : a.name < b.name;
    });
    Saturating flops;
    for (const OpStats& op : out_.ops) {
      flops += op.flops;
      out_.uncounted_ops += op.uncounted;
    }
    out_.flops = flops.value();
    return std::move(out_);
  }

 private:
  PortStats port(Id value) const {
    const ValueRecord& record = data_.values[value];
    const Count bytes = bytes_of(data_, record.type);
    return {
        .name = std::string(data_.name(record.name)),
        .type = record.type == kNoId ? std::string() : std::string(data_.types[record.type].text),
        .bytes = bytes.value_or(0),
        .size_known = bytes.has_value()};
  }

  /// All ops of the function, with those of nested blocks, whatever the nesting.
  void walk() {
    std::vector<Id> blocks = {function_.body};
    while (!blocks.empty()) {
      const Id block = blocks.back();
      blocks.pop_back();
      for (Id id = data_.blocks[block].first_op; id != kNoId; id = data_.ops[id].next) {
        const OpRecord& op = data_.ops[id];
        add_op(op);
        for (Id inner = op.first_block; inner != kNoId; inner = data_.blocks[inner].next) {
          blocks.push_back(inner);
        }
      }
    }
  }

  void add_op(const OpRecord& op) {
    const Id literal =
        op.code == static_cast<std::int16_t>(OpCode::const_) ? data_.const_literal(op) : kNoId;
    if (literal != kNoId) {
      add_constant(literal, feeds_constexpr(op));
      return;
    }
    const OpInfo* info = op.code < 0 ? nullptr : &op_info(static_cast<OpCode>(op.code));
    const bool is_constexpr = info != nullptr && has(info->traits, Trait::constexpr_op);
    for (const ArgumentRecord& argument : data_.arguments_of(op)) {
      for (const BindingRecord& binding : data_.bindings_of(argument)) {
        if (binding.kind == BindingKind::literal) add_constant(binding.id, is_constexpr);
      }
    }
    // The attribute form of constexpr ops (to ios17) holds the data itself.
    for (const AttributeRecord& attribute : data_.attributes_of(op)) {
      if (is_constexpr && attribute.literal != kNoId && data_.name(attribute.name) != "name") {
        add_constant(attribute.literal, true);
      }
    }
    ++out_.op_count;
    OpStats& stats = ops_[op.name];
    stats.name = data_.name(op.name);
    ++stats.count;
    if (op.code == static_cast<std::int16_t>(OpCode::while_loop)) ++out_.loops;
    const Count cost =
        op.code < 0 || static_cast<std::size_t>(op.code) >= op_costs().size()
            ? Count()
            : CostView(data_, op).cost(op_costs()[static_cast<std::size_t>(op.code)]);
    if (cost) {
      Saturating sum(stats.flops);
      sum += *cost;
      stats.flops = sum.value();
    } else {
      ++stats.uncounted;
    }
    add_results(op, is_constexpr);
  }

  void add_results(const OpRecord& op, bool is_constexpr) {
    for (Id value = op.first_result; value < op.first_result + op.results; ++value) {
      const Id type = data_.values[value].type;
      if (is_constexpr) {
        add_parameters(type);
        continue;
      }
      ++out_.activation_count;
      const Count bytes = bytes_of(data_, type);
      if (!bytes) {
        ++out_.unknown_activations;
        continue;
      }
      out_.activation_bytes = sum(out_.activation_bytes, *bytes);
      if (*bytes > out_.largest_activation_bytes) {
        out_.largest_activation_bytes = *bytes;
        out_.largest_activation = data_.name(data_.values[value].name);
      }
    }
  }

  static std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
    Saturating out(a);
    out += b;
    return out.value();
  }

  bool feeds_constexpr(const OpRecord& op) const {
    for (Id use = data_.values[op.first_result].first_use; use != kNoId;
         use = data_.bindings[use].next_use) {
      const Id user = data_.bindings[use].op;
      const std::int16_t code = user == kNoId ? std::int16_t{-1} : data_.ops[user].code;
      if (code >= 0 && has(op_info(static_cast<OpCode>(code)).traits, Trait::constexpr_op)) {
        return true;
      }
    }
    return false;
  }

  void add_parameters(Id type_id) {
    if (type_id == kNoId || data_.types[type_id].kind != TypeKind::tensor) return;
    const Count elements = product(data_.types.shape(data_.types[type_id]));
    out_.parameters = sum(out_.parameters, elements.value_or(0));
  }

  void add_constant(Id literal_id, bool is_packed) {
    const LiteralRecord& literal = data_.literals[literal_id];
    ++out_.constant_count;
    const Count bytes = bytes_of(data_, literal.type);
    if (literal.blob != kNoId) {
      const BlobRecord& blob = data_.blobs[literal.blob];
      if (!weights_.emplace(blob.path, blob.offset).second) return;
      ++out_.weight_count;
      out_.weight_bytes = sum(out_.weight_bytes, bytes.value_or(0));
      if (!is_packed) add_parameters(literal.type);
      return;
    }
    out_.inline_bytes = sum(out_.inline_bytes, bytes.value_or(0));
    if (literal.type == kNoId || is_packed) return;
    const TypeRecord& type = data_.types[literal.type];
    if (type.rank != 0 && is_float(type.dtype)) add_parameters(literal.type);
  }

  const ModuleData& data_;
  const FunctionRecord& function_;
  FunctionStats out_;
  std::unordered_map<Id, OpStats> ops_;  // by the op's word
  std::set<std::pair<std::string_view, std::uint64_t>> weights_;
};

}  // namespace
}  // namespace mil

std::vector<FunctionStats> module_stats(const Module& module) {
  const mil::ModuleData& data = module.data();
  std::vector<FunctionStats> out;
  out.reserve(data.functions.size());
  for (const mil::FunctionRecord& function : data.functions) {
    if (function.body == mil::kNoId) continue;
    out.push_back(mil::StatsOfFunction(data, function).run());
  }
  return out;
}

}  // namespace milgen
