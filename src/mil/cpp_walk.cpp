#include "mil/cpp_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace milgen::detail {
namespace {

constexpr double kLargestWhole = 0x1p53;

}  // namespace

/// The type of a tensor, of a list's elements or of what a state holds; false for other types.
mil::Type element_type(const mil::Type& type) {
  if (!type) return {};
  switch (type.type_class()) {
    case mil::TypeClass::tensor:
      return type;
    case mil::TypeClass::list:
    case mil::TypeClass::state:
      return type.element(0).type_class() == mil::TypeClass::tensor ? type.element(0) : mil::Type();
    default:
      return {};
  }
}

DType element_dtype(const mil::Type& type) {
  const mil::Type element = element_type(type);
  return element ? element.dtype() : DType::none;
}

bool is_scalar(const mil::Literal& literal) {
  return literal && !literal.is_blob() && literal.type() &&
         literal.type().type_class() == mil::TypeClass::tensor && literal.type().shape().empty();
}

bool read_elements(const mil::Literal& literal, Elements& out) {
  if (!literal || literal.is_blob() || !literal.type()) return false;
  return is_float(literal.type().dtype()) ? literal.reals(out.reals) : literal.integers(out.ints);
}

std::optional<double> number_of(const mil::Literal& literal) {
  Elements elements;
  if (!is_scalar(literal) || !read_elements(literal, elements)) return {};
  if (elements.reals.size() == 1) return elements.reals[0];
  if (elements.ints.size() != 1) return {};
  const auto value = static_cast<double>(elements.ints[0]);
  if (std::abs(value) > kLargestWhole) return {};
  return value;
}

Arguments::Arguments(Session& session, const mil::Op& op)
    : session_(&session), params_(op.info()->params()) {
  given_.resize(params_.size());
  for (std::size_t i = 0; i < params_.size(); ++i) given_[i].param = &params_[i];
  for (const mil::Argument argument : op.arguments()) {
    Given* given = find(argument.name());
    if (given == nullptr) {
      refuse(op, argument.name(), argument.place());
      continue;
    }
    for (const mil::Binding binding : argument.bindings()) add(*given, binding);
  }
  for (const mil::Attribute attribute : op.attributes()) take_attribute(op, attribute);
}

Given* Arguments::find(std::string_view name) {
  const auto at = std::ranges::find(params_, name, &Param::name);
  return at == params_.end() ? nullptr : &given_[static_cast<std::size_t>(at - params_.begin())];
}

void Arguments::refuse(const mil::Op& op, std::string_view name, const Place& place) {
  session_->diagnostics.error(rule<"cpp.argument">.id(),
                              fmt::format("the DSL's {} has no argument {}", op.name(), name),
                              place);
  ok_ = false;
}

void Arguments::add(Given& given, const mil::Binding& binding) {
  if (binding.is_value()) {
    given.items.push_back({binding.value(), binding.value().constant(), binding.place()});
  } else if (binding.is_literal()) {
    given.items.push_back({{}, binding.literal(), binding.place()});
  } else {
    session_->diagnostics.error(
        rule<"cpp.argument">.id(),
        binding.is_undefined()
            ? fmt::format("nothing defines '{}'", binding.name())
            : fmt::format("{} has a tuple in a tuple, which the DSL has no words for",
                          given.param->name),
        binding.place());
    ok_ = false;
  }
}

void Arguments::take_attribute(const mil::Op& op, const mil::Attribute& attribute) {
  if (attribute.name() == "name") return;
  if (has(op.info()->traits, Trait::constexpr_op)) {
    Given* given = find(attribute.name());
    if (given == nullptr) return refuse(op, attribute.name(), attribute.place());
    given->items.push_back({{}, attribute.value(), attribute.place()});
    return;
  }
  session_->warn_once(
      rule<"cpp.dropped">,
      fmt::format("attribute {} is left out: ops of the DSL have none", attribute.name()),
      attribute.place());
}

bool is_operand(const Given& given) {
  return given.param->form == Form::operand ||
         (given.param->form == Form::extents && !given.items.empty() && !given.only().literal);
}

DerivedNames::DerivedNames(const mil::Function& function) {
  for (const mil::Value input : function.inputs()) taken_.insert(std::string(input.name()));
  for (const OpInfo& op : op_table()) {
    for (const Param& param : op.params()) argument_names_.insert(param.name);
  }
}

void DerivedNames::add_results(const mil::Op& op) {
  for (const mil::Value result : op.results()) {
    // An op and an argument of one name share a counter, and which constants there will be for
    // arguments is not looked into here.
    if (!argument_names_.contains(op.name()) && is_next(op.name(), result.name())) {
      unnamed_.insert(result.id());
    } else {
      taken_.insert(std::string(result.name()));
    }
  }
}

void DerivedNames::add_number(const Item& item, DType dtype, double value) {
  if (item.value && !seen_.insert(item.value.id()).second) return;
  const std::pair key(dtype, std::bit_cast<std::uint64_t>(value));
  const auto known = numbers_.find(key);
  if (!item.value) {
    if (known == numbers_.end()) numbers_.emplace(key, next("const"));
  } else if (known != numbers_.end() ? known->second == item.value.name()
                                     : is_next("const", item.value.name())) {
    numbers_.emplace(key, item.value.name());
    unnamed_.insert(item.value.id());
  } else {
    taken_.insert(std::string(item.value.name()));
  }
}

void DerivedNames::add_constant(const Item& item) {
  if (item.value) taken_.insert(std::string(item.value.name()));
}

std::string DerivedNames::draft(std::string_view base, std::uint32_t number) const {
  return fmt::format("{}_{}", base, number);
}

std::string DerivedNames::next(std::string_view base) {
  std::uint32_t& number = counters_[std::string(base)];
  std::string name = draft(base, number++);
  while (taken_.contains(name)) name = draft(base, number++);
  return name;
}

bool DerivedNames::is_next(std::string_view base, std::string_view name) {
  std::uint32_t number = counters_[std::string(base)];
  while (taken_.contains(draft(base, number))) ++number;
  if (draft(base, number) != name) return false;
  counters_[std::string(base)] = number + 1;
  return true;
}

namespace {

/// Finds the ops that outputs and states need, reads their arguments and settles names.
class Walk {
 public:
  Walk(Session& session, const mil::Function& function, ArgumentMap& arguments, DerivedNames& names)
      : session_(session), arguments_(arguments), names_(names) {
    find_effects(function.body());
    if (!effects_.empty()) names_.say_all();
    for (const mil::Binding output : function.body().outputs()) {
      if (output.is_value()) visit(output.value().producer());
    }
    for (const mil::Op op : function.body().ops()) {
      if (effects_.contains(op.id())) visit(op);
    }
  }
  bool ok() const { return ok_; }

 private:
  struct Frame {
    mil::Op op;
    const Arguments* arguments = nullptr;
    std::size_t param = 0;
    std::size_t item = 0;
    std::vector<mil::Op> inner;  ///< what its blocks need, still to be visited
  };

  /// Ops that are needed although nothing uses a result: they change a state, or one inside of
  /// their blocks does.
  void find_effects(const mil::Block& body) {
    std::vector<mil::Block> blocks = {body};
    while (!blocks.empty()) {
      const mil::Block block = blocks.back();
      blocks.pop_back();
      for (const mil::Op op : block.ops()) {
        for (const mil::Block inner : op.blocks()) blocks.push_back(inner);
        if (op.info() == nullptr || !has(op.info()->traits, Trait::side_effect)) continue;
        mil::Op outer = op;
        while (outer && effects_.insert(outer.id()).second) outer = outer.parent().parent();
      }
    }
  }

  void visit(const mil::Op& op) {
    enter(op);
    while (!stack_.empty()) step();
  }

  void enter(const mil::Op& op) {
    if (!op || is_const(op) || arguments_.contains(op.id())) return;
    const bool takes_blocks = op.is(OpCode::cond) || op.is(OpCode::while_loop);
    if (op.info() == nullptr || has(op.info()->traits, Trait::no_dsl) ||
        op.blocks().size() != (takes_blocks ? 2u : 0u)) {
      ok_ = false;
      if (!told_.insert(op.id()).second) return;
      session_.diagnostics.error(rule<"cpp.op">.id(),
                                 fmt::format("the DSL has no function for op {}", op.name()),
                                 op.place());
      return;
    }
    const Arguments& read = arguments_.emplace(op.id(), Arguments(session_, op)).first->second;
    ok_ = ok_ && read.ok();
    stack_.push_back({op, &read, 0, 0, {}});
    for (const mil::Block block : op.blocks()) {
      names_.say_all();
      for (const mil::Binding output : block.outputs()) {
        if (output.is_value()) stack_.back().inner.push_back(output.value().producer());
      }
      for (const mil::Op inner : block.ops()) {
        if (effects_.contains(inner.id())) stack_.back().inner.push_back(inner);
      }
    }
  }

  void step() {
    Frame& frame = stack_.back();
    if (!frame.inner.empty()) {
      const mil::Op op = frame.inner.back();
      frame.inner.pop_back();
      return enter(op);
    }
    const std::vector<Given>& all = frame.arguments->all();
    while (frame.param < all.size() && frame.item == all[frame.param].items.size()) {
      ++frame.param;
      frame.item = 0;
    }
    if (frame.param == all.size()) {
      names_.add_results(frame.op);
      stack_.pop_back();
      return;
    }
    const Given& given = all[frame.param];
    const Item& item = given.items[frame.item++];
    if (!item.literal) {
      enter(item.value.producer());
    } else if (is_operand(given) || !given.param->is_const) {
      if (const std::optional<double> number = number_of(item.literal)) {
        names_.add_number(item, item.dtype(), *number);
      } else {
        names_.add_constant(item);
      }
    }
  }

  Session& session_;
  ArgumentMap& arguments_;
  DerivedNames& names_;
  std::unordered_set<std::uint32_t> effects_;
  std::unordered_set<std::uint32_t> told_;
  std::vector<Frame> stack_;
  bool ok_ = true;
};

}  // namespace

bool read_needed_ops(Session& session, const mil::Function& function, ArgumentMap& arguments,
                     DerivedNames& names) {
  return Walk(session, function, arguments, names).ok();
}

}  // namespace milgen::detail
