#include "milgen/print_cpp.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/graph.h"
#include "mil/cpp_source.h"
#include "mil/cpp_walk.h"
#include "mil/weight_names.h"
#include "milgen/op_info.h"
#include "milgen/weights.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen {
namespace {

using namespace detail;
using mil::Literal;

constexpr std::size_t kIndent = 2;
constexpr double kLargestWhole = 0x1p53;

std::string number_text(double value, DType dtype) {
  return is_float(dtype) ? cpp_real(value, dtype)
                         : fmt::format("{}", static_cast<std::int64_t>(value));
}

std::string shape_text(const Shape& shape) {
  std::string out = "{";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i != 0) out += ", ";
    out += shape[i] == kUnknownDim ? "kUnknownDim" : fmt::format("{}", shape[i]);
  }
  return out + "}";
}

std::string list_text(const std::vector<std::int64_t>& values) {
  return fmt::format("{{{}}}", fmt::join(values, ", "));
}

// --- One function. ---

class FunctionWriter {
 public:
  FunctionWriter(Session& session, const mil::Function& function)
      : session_(session), function_(function), derived_(function) {}

  bool write() {
    if (!opset_from_name(function_.opset(), opset_)) {
      return refuse(
          rule<"cpp.opset">,
          fmt::format("the DSL has no opset {}; it has ios15 to ios18", function_.opset()),
          function_.place());
    }
    for (const mil::Attribute attribute : function_.attributes()) {
      session_.warn_once(rule<"cpp.dropped">,
                         fmt::format("attribute {} of func {} is left out: kernels of the DSL have "
                                     "none",
                                     attribute.name(), function_.name()),
                         attribute.place());
    }
    if (!read_needed_ops(session_, function_, arguments_, derived_)) return false;
    for (mil::NamedWeight& weight : mil::named_weights(function_)) {
      weight_names_.emplace(weight.literal.id(), std::move(weight.name));
    }
    for (const mil::Value input : function_.inputs()) said_.insert(std::string(input.name()));
    for (const mil::Binding output : function_.body().outputs()) {
      said_.insert(std::string(output.name()));
      if (output.is_value()) outputs_.insert(output.value().id());
    }
    bool ok = true;
    for (const mil::Value input : function_.inputs()) ok = write_input(input) && ok;
    ok = write_ops(function_.body()) && ok;
    return write_outputs() && ok;
  }

  Opset opset() const { return opset_; }
  const std::string& body() const { return body_; }

 private:
  bool refuse(Rule rule, std::string message, const Place& place) {
    session_.diagnostics.error(rule.id(), std::move(message), place);
    return false;
  }
  void put(const std::string& statement) { put_statement(body_, indent_, statement); }

  bool write_ops(const mil::Block& block) {
    bool ok = true;
    for (const mil::Op op : block.ops()) {
      if (!is_const(op)) ok = write_op(op) && ok;
    }
    return ok;
  }

  /// The tag of a tensor, of a list's elements or of what a state holds; "" after a report when the
  /// DSL has none.
  std::string_view tag(const mil::Type& type, const Place& place) {
    const std::string_view out = cpp_tag(element_dtype(type));
    if (out.empty()) {
      refuse(rule<"cpp.type">, fmt::format("the DSL has no values of type {}", type.text()), place);
    }
    return out;
  }
  static std::string_view class_name(const mil::Type& type) {
    switch (type.type_class()) {
      case mil::TypeClass::list:
        return "List";
      case mil::TypeClass::state:
        return "State";
      default:
        return "Tensor";
    }
  }

  // --- Inputs, outputs, constants. ---

  bool write_input(const mil::Value& input) {
    const std::string_view of = tag(input.type(), input.place());
    if (of.empty()) return false;
    const mil::TypeClass type = input.type().type_class();
    if (type == mil::TypeClass::list) {
      return refuse(rule<"cpp.type">, "the DSL has no inputs that are lists", input.place());
    }
    const std::string made =
        fmt::format("k.{}<{}>({}, {});", type == mil::TypeClass::state ? "state" : "input", of,
                    cpp_string(input.name()), shape_text(element_type(input.type()).shape()));
    put(is_needed(input) ? fmt::format("auto {} = {}", variable(input), made) : made);
    return true;
  }

  /// Whether an output or an op that is written uses it.
  bool is_needed(const mil::Value& value) const {
    return std::ranges::any_of(value.uses(), [&](const mil::Binding& use) {
      return !use.user() || arguments_.contains(use.user().id());
    });
  }

  bool write_outputs() {
    std::unordered_set<std::uint32_t> written;
    bool ok = true;
    for (const mil::Binding output : function_.body().outputs()) {
      if (!output.is_value()) {
        ok = refuse(rule<"cpp.argument">, fmt::format("nothing defines '{}'", output.name()),
                    output.place());
        continue;
      }
      const mil::Value value = output.value();
      const bool of_an_op = value.producer() && !is_const(value.producer());
      if (!of_an_op || !written.insert(value.id()).second) {
        ok = refuse(rule<"cpp.output">,
                    fmt::format("output '{}' is {}; the DSL would put an identity op in between",
                                value.name(),
                                of_an_op           ? "an output already"
                                : value.producer() ? "a constant"
                                                   : "an input"),
                    output.place());
        continue;
      }
      put(fmt::format("k.output({}, {});", cpp_string(value.name()), variable(value)));
    }
    return ok;
  }

  bool is_output(const mil::Value& value) const { return outputs_.contains(value.id()); }

  std::string variable(const mil::Value& value) {
    std::string& name = variables_[value.id()];
    if (name.empty()) name = names_.take(value.name());
    return name;
  }

  /// The name of a value where the source has to say it: "" when another value has it already,
  /// which text allows in different blocks and the DSL does not.
  std::string said_once(const mil::Value& value) {
    const auto owner = owners_.try_emplace(std::string(value.name()), value.id()).first;
    return owner->second == value.id() && !said_.contains(owner->first) ? owner->first
                                                                        : std::string();
  }

  /// A constant operand as an expression, declared before when it has a name.
  bool constant(const Item& item, std::string& out) {
    if (item.value) {
      if (const auto known = variables_.find(item.value.id()); known != variables_.end()) {
        out = known->second;
        return true;
      }
    }
    const bool unnamed = !item.value || derived_.has(item.value);
    std::string name;
    if (item.literal.is_blob()) {
      name = weight_names_[item.literal.id()];
    } else if (!unnamed) {
      name = said_once(item.value);
    }
    std::string made;
    if (!make_constant(item, name, made)) return false;
    if (unnamed) {
      out = std::move(made);
      return true;
    }
    out = variables_[item.value.id()] = names_.take(name.empty() ? item.value.name() : name);
    declared_.push_back(item.value.id());
    put(fmt::format("auto {} = {};", out, made));
    return true;
  }

  bool make_constant(const Item& item, const std::string& name, std::string& out) {
    const mil::Type type = item.literal.type();
    if (!type) {
      return refuse(
          rule<"cpp.literal">,
          fmt::format("{} has no type, which a constant of the DSL needs", item.literal.text()),
          item.place);
    }
    const std::string_view of = tag(type, item.place);
    if (of.empty()) return false;
    const Shape shape = type.shape();
    if (item.literal.is_blob()) {
      out = fmt::format("k.weight<{}>({}, {})", of, cpp_string(name), shape_text(shape));
      return true;
    }
    Elements elements;
    std::int64_t count = 0;
    if (!read_elements(item.literal, elements) || !element_count(shape, count) ||
        static_cast<std::uint64_t>(count) != elements.ints.size() + elements.reals.size()) {
      return refuse(rule<"cpp.literal">,
                    fmt::format("the value of {} does not fit its type", type.text()), item.place);
    }
    if (is_float(type.dtype()) && count != 0 && !shape.empty() &&
        weight_dtype_code(type.dtype()) == 0) {
      return refuse(rule<"cpp.type">,
                    fmt::format("the DSL keeps {} in a weight file, and those have no {}",
                                type.text(), dtype_name(type.dtype())),
                    item.place);
    }
    std::vector<std::string> texts;
    for (const std::int64_t value : elements.ints) {
      if (std::abs(static_cast<double>(value)) > kLargestWhole) {
        return refuse(rule<"cpp.literal">,
                      fmt::format("{} is beyond the integers that the DSL takes, 2^53", value),
                      item.place);
      }
      texts.push_back(fmt::format("{}", value));
    }
    for (const double value : elements.reals) {
      texts.push_back(cpp_real(value, type.dtype()));
      session_.uses_cmath = session_.uses_cmath || !std::isfinite(value);
    }
    if (shape.empty()) {
      out = name.empty() ? fmt::format("k.scalar<{}>({})", of, texts.front())
                         : fmt::format("k.scalar<{}>({}, {})", of, cpp_string(name), texts.front());
      return true;
    }
    out = fmt::format("k.constant<{}>({}, {}, {})", of, cpp_string(name), shape_text(shape),
                      filled(elements, texts));
    return true;
  }

  /// The elements, or the formula that says the same of many floats.
  static std::string filled(const Elements& elements, const std::vector<std::string>& texts) {
    constexpr std::size_t kMany = 8;
    const auto all = [&](double value) {
      return std::ranges::all_of(elements.reals, [&](double real) {
        return std::bit_cast<std::uint64_t>(real) == std::bit_cast<std::uint64_t>(value);
      });
    };
    if (elements.reals.size() > kMany && all(0.0)) return "Fill::zeros";
    if (elements.reals.size() > kMany && all(1.0)) return "Fill::ones";
    return fmt::format("{{{}}}", fmt::join(texts, ", "));
  }

  /// A value or constant as an operand.
  bool operand(const Item& item, std::string& out) {
    if (item.literal) return constant(item, out);
    out = variable(item.value);
    return true;
  }

  // --- Ops. ---

  bool write_op(const mil::Op& op) {
    const auto found = arguments_.find(op.id());
    if (found == arguments_.end()) {
      session_.warn_once(
          rule<"cpp.dropped">,
          fmt::format("the result of {}, '{}', is not needed by any output and is "
                      "left out",
                      op.name(), op.results().empty() ? op.name() : op.results()[0].name()),
          op.place());
      return true;
    }
    if (!op.opset_override().empty() && op.opset_override() != function_.opset()) {
      return refuse(
          rule<"cpp.opset">,
          fmt::format("{} is of {} in a function of {}; a kernel of the DSL has one opset",
                      op.name(), op.opset_override(), function_.opset()),
          op.place());
    }
    const std::vector<Given>& given = found->second.all();
    if (!check_given(op, given)) return false;
    if (!op.blocks().empty()) return write_blocks(op, given);
    for (const mil::Value result : op.results()) {
      if (!op.is(OpCode::classify) && tag(result.type(), result.place()).empty()) return false;
    }
    Call call(*this, op, given);
    if (!call.typed()) return write_built(op, given);
    std::string expression;
    if (!call.expression(expression)) return false;
    write_results(op, expression, call.is_operator());
    return true;
  }

  /// Whether what has to be there is; warns of what the DSL writes although the text does not.
  bool check_given(const mil::Op& op, const std::vector<Given>& given) {
    bool ok = true;
    const std::span<const Param> in_opset = op.info()->params(opset_);
    for (const Given& one : given) {
      const Param& param = *one.param;
      if (one || param.def.kind == DefaultKind::absent || param.kind == ParamKind::block) continue;
      if (std::ranges::find(in_opset, param.name, &Param::name) == in_opset.end()) continue;
      if (param.required()) {
        ok = refuse(
            rule<"cpp.argument">,
            fmt::format("{} has no argument {}, which the DSL asks for", op.name(), param.name),
            op.place());
      } else if (param.needs.empty()) {
        session_.warn_once(rule<"cpp.default">,
                           fmt::format("{} is written without {}; the DSL writes out the default",
                                       op.name(), param.name),
                           op.place());
      }
    }
    return ok;
  }

  /// `expression` makes the results of `op`: gives them variables and names.
  void write_results(const mil::Op& op, const std::string& expression, bool is_operator) {
    const CppResult kind = cpp_result(*op.info());
    if (kind == CppResult::none) return put(expression + ";");
    if (kind == CppResult::tensor || kind == CppResult::value) {
      const mil::Value result = op.results()[0];
      const std::string typed =
          kind == CppResult::tensor
              ? expression
              : fmt::format("Tensor<{}>::from({})", cpp_tag(element_dtype(result.type())),
                            expression);
      return write_result(result, typed, is_operator);
    }
    const std::string results = names_.take("results");
    put(fmt::format("auto {} = {};", results, expression));
    std::size_t i = 0;
    for (const mil::Value result : op.results()) {
      write_element(result, kind, element_of(results, kind, i++));
    }
  }

  static std::string element_of(const std::string& results, CppResult kind, std::size_t i) {
    if (kind == CppResult::sparse) return results + (i == 0 ? ".mask" : ".values");
    if (kind == CppResult::classified) return results + (i == 0 ? ".label" : ".probabilities");
    return fmt::format("{}[{}]", results, i);
  }

  void write_element(const mil::Value& result, CppResult kind, const std::string& element) {
    const std::string typed =
        kind == CppResult::values
            ? fmt::format("Tensor<{}>::from({})", cpp_tag(element_dtype(result.type())), element)
            : element;
    if (kind == CppResult::classified) {  // has no dtype, and is named by being an output
      if (is_needed(result)) put(fmt::format("auto {} = {};", variable(result), element));
    } else if (is_needed(result)) {
      write_result(result, typed);
    } else if (const std::string named = naming(result); !named.empty()) {
      put(typed + named + ";");
    }
  }

  void write_result(const mil::Value& result, const std::string& expression,
                    bool is_operator = false) {
    const std::string named = naming(result);
    const std::string whole =
        is_operator && !named.empty() ? fmt::format("({})", expression) : expression;
    put(fmt::format("auto {} = {}{};", variable(result), whole, named));
  }

  /// `.named("x")`, or nothing where the name is found or said otherwise.
  std::string naming(const mil::Value& result) {
    if (derived_.has(result) || is_output(result)) return {};
    const std::string name = said_once(result);
    return name.empty() ? name : fmt::format(".named({})", cpp_string(name));
  }

  // --- Nested blocks. Recursion goes as deep as blocks nest, which parsing bounds
  // (kNestingLimit). ---

  bool write_blocks(const mil::Op& op, const std::vector<Given>& given) {
    const bool is_loop = op.is(OpCode::while_loop);
    const Given& first = given[is_loop ? 2 : 0];
    std::vector<std::string> operands;
    for (const Item& item : first.items) {
      if (!operand(item, operands.emplace_back())) return false;
    }
    std::string before = fmt::format("{}(", op.name());
    if (!is_loop) before += operands.front() + ", ";
    const std::string after = is_loop ? fmt::format("}}, {})", packed(operands)) : "})";
    const std::size_t count = op.results().size();
    const std::string results = count == 1   ? variable(op.results()[0])
                                : count == 0 ? std::string()
                                             : names_.take("results");
    if (!results.empty()) before = fmt::format("auto {} = {}", results, before);
    if (!write_block(op.blocks()[0], before) || !write_block(op.blocks()[1], "}, ")) return false;
    put(fmt::format("{}{};", after, count == 1 ? naming(op.results()[0]) : std::string()));
    for (std::size_t i = 0; count > 1 && i < count; ++i) {
      const mil::Value result = op.results()[i];
      if (is_needed(result)) write_result(result, fmt::format("get<{}>({})", i, results));
    }
    return true;
  }

  /// One value as it is, several as a Pack.
  static std::string packed(const std::vector<std::string>& values) {
    if (values.size() == 1) return values.front();
    if (values.empty()) return "std::vector<Value>()";
    return fmt::format("Pack({})", fmt::join(values, ", "));
  }

  /// The function of a block, up to its closing brace, behind `before`.
  bool write_block(const mil::Block& block, const std::string& before) {
    std::string inputs;
    for (const mil::Value input : block.inputs()) {
      const std::string_view of = tag(input.type(), input.place());
      if (of.empty()) return false;
      const std::string name = is_needed(input) ? " " + variable(input) : std::string();
      inputs +=
          fmt::format("{}{}<{}>{}", inputs.empty() ? "" : ", ", class_name(input.type()), of, name);
    }
    put(before + (inputs.empty() ? "[&] {" : fmt::format("[&]({}) {{", inputs)));
    indent_ += kIndent;
    const std::size_t declared_before = declared_.size();
    bool ok = write_ops(block);
    std::vector<std::string> outputs;
    for (const mil::Binding output : block.outputs()) {
      if (!output.is_value()) {
        ok = refuse(rule<"cpp.argument">, fmt::format("nothing defines '{}'", output.name()),
                    output.place());
        continue;
      }
      const Item item{output.value(), output.value().constant(), output.place()};
      ok = operand(item, outputs.emplace_back()) && ok;
    }
    put(fmt::format("return {};", packed(outputs)));
    // Constants that were declared in here are not seen outside.
    for (std::size_t i = declared_before; i < declared_.size(); ++i) {
      variables_.erase(declared_[i]);
    }
    declared_.resize(declared_before);
    indent_ -= kIndent;
    return ok;
  }

  /// The dtype in which the DSL writes a number for `param` (number_dtype() of ir/builder.cpp).
  static DType number_dtype(const OpInfo& info, const std::vector<Given>& given, const Param& param,
                            DType result, std::span<const DType> preferred) {
    if (spells_result(info) && info.result_dtype == ResultDType::domain &&
        param.domain == info.result_domain && param.form == Form::real) {
      return result;
    }
    if (param.domain == '\0' && std::has_single_bit(param.dtypes.bits())) {
      return static_cast<DType>(std::countr_zero(param.dtypes.bits()));
    }
    DType of_result_domain = DType::none;
    for (const Given& other : given) {
      if (!other || !is_operand(other)) continue;
      const DType dtype = other.only().dtype();
      if (param.domain != '\0' && other.param->domain == param.domain) return dtype;
      if (of_result_domain == DType::none && other.param->domain == info.result_domain) {
        of_result_domain = dtype;
      }
    }
    if (is_float(of_result_domain) && param.dtypes.has(of_result_domain)) return of_result_domain;
    for (const DType dtype : preferred) {
      if (param.dtypes.has(dtype)) return dtype;
    }
    return DType::none;
  }
  static DType integer_dtype(const OpInfo& info, const std::vector<Given>& given,
                             const Param& param) {
    constexpr DType kPreferred[] = {DType::int32, DType::uint32};
    return number_dtype(info, given, param, DType::none, kPreferred);
  }
  /// A number that would vanish as a half is written wider where the op lets it be.
  static DType real_dtype(const OpInfo& info, const std::vector<Given>& given, const Param& param,
                          DType result, double value) {
    constexpr DType kPreferred[] = {DType::fp16, DType::fp32};
    const DType dtype = number_dtype(info, given, param, result, kPreferred);
    const bool alone = std::ranges::count(info.params(), param.domain, &Param::domain) == 1;
    const bool vanishes = is_float(dtype) && value != 0 && round_to(dtype, value) == 0;
    return vanishes && alone && param.domain != info.result_domain && param.dtypes.has(DType::fp32)
               ? DType::fp32
               : dtype;
  }

  /// A call of the op's own C++ function or operator.
  class Call {
   public:
    Call(FunctionWriter& writer, const mil::Op& op, const std::vector<Given>& given)
        : writer_(writer), info_(*op.info()), given_(given), result_(result_dtype(op)) {}

    /// Whether the typed function takes just these arguments: dtypes as its template parameters
    /// say, and C++ values where it wants them. OpBuilder takes the rest.
    bool typed() const {
      for (const Given& one : given_) {
        if (one && !fits(one)) return false;
      }
      return true;
    }

    bool expression(std::string& out) {
      is_operator_ = has_operator();
      if (is_operator_) return operator_expression(out);
      std::vector<std::string> args;
      std::vector<std::string> options;
      if (takes_kernel(info_)) args.emplace_back("k");
      bool has_number = false;
      for (const Given& one : given_) {
        if (!one || is_said_by_type(one)) continue;
        std::string text;
        if (is_positional(*one.param)) {
          if (!has_number && numeric(one)) {
            text = number(one);
            has_number = true;
          } else if (!argument(one, text)) {
            return false;
          }
          args.push_back(std::move(text));
        } else if (is_option(*one.param) && !says_default(one)) {
          if (!argument(one, text)) return false;
          options.push_back(fmt::format(".{} = {}", cpp_word(one.param->name), text));
        }
      }
      if (!options.empty()) args.push_back(fmt::format("{{{}}}", fmt::join(options, ", ")));
      out =
          fmt::format("{}{}({})", cpp_word(info_.name), template_argument(), fmt::join(args, ", "));
      return true;
    }

    /// Whether expression() wrote an operator, which binds less tightly than what follows a call.
    bool is_operator() const { return is_operator_; }

   private:
    /// Of the result that has the op's type parameter: the second of a Sparse<T>.
    static DType result_dtype(const mil::Op& op) {
      if (op.results().empty()) return DType::none;
      const bool sparse = cpp_result(*op.info()) == CppResult::sparse && op.results().size() > 1;
      return element_dtype(op.results()[sparse ? 1 : 0].type());
    }

    bool has_operator() const {
      if (cpp_operator(info_.code).empty()) return false;
      const DType dtype = given_[0].only().dtype();
      return dtype == DType::boolean || dtype == DType::fp16 || dtype == DType::fp32 ||
             dtype == DType::int32;
    }

    /// make_list<T> has its dtype in the name.
    bool is_said_by_type(const Given& one) const {
      return info_.code == OpCode::make_list && one.param->name == "dtype";
    }
    bool is_elem_shape(const Given& one) const {
      return info_.code == OpCode::make_list && one.param->kind == ParamKind::variadic;
    }

    std::string template_argument() const {
      if (!spells_result(info_)) return {};
      for (const Given& one : given_) {
        const Param& param = *one.param;
        if (param.form != Form::dtype || param.required()) continue;
        if (param.def.text == dtype_name(result_)) return {};
      }
      return fmt::format("<{}>", cpp_tag(result_));
    }

    bool fits(const Given& one) const {
      const Param& param = *one.param;
      const Item& item = one.only();
      switch (param.form) {
        case Form::operand:
          return fits_operand(one);
        case Form::extents:
          if (item.literal && ints(item, integer_dtype(info_, given_, param), 1)) return true;
          return item.dtype() == DType::int32 || item.dtype() == DType::int16 ||
                 item.dtype() == DType::int8;
        case Form::integers:
        case Form::booleans: {
          const DType dtype =
              param.form == Form::booleans ? DType::boolean : integer_dtype(info_, given_, param);
          const auto values = ints(item, dtype, 1);
          // An empty list of options says that it is left out.
          return values && (is_positional(param) || !values->empty());
        }
        case Form::integer:
          return ints(item, integer_dtype(info_, given_, param), 0).has_value();
        case Form::boolean:
          return ints(item, DType::boolean, 0).has_value();
        case Form::real: {
          const std::optional<double> value = number_of(item.literal);
          return value && item.dtype() == real_dtype(info_, given_, param, result_, *value);
        }
        case Form::text: {
          std::string text;
          return item.literal && item.literal.string(text) &&
                 (is_positional(param) || !text.empty());
        }
        case Form::dtype: {
          std::string text;
          return item.literal && item.literal.string(text) && text == dtype_name(result_);
        }
      }
      return false;
    }

    bool fits_operand(const Given& one) const {
      const Param& param = *one.param;
      if (is_elem_shape(one)) {
        return std::ranges::all_of(
            one.items, [](const Item& item) { return number_of(item.literal).has_value(); });
      }
      const DType dtype = one.only().dtype();
      for (const Item& item : one.items) {
        if (item.dtype() != dtype) return false;
      }
      if (param.kind != ParamKind::variadic && one.items.size() != 1) return false;
      if (!param.dtypes.empty() && !param.dtypes.has(dtype)) return false;
      if (param.domain == '\0') return true;
      bool settled = is_positional(param);
      for (const Given& other : given_) {
        if (!other || other.param->form != Form::operand || other.param->domain != param.domain) {
          continue;
        }
        if (other.only().dtype() != dtype) return false;
        settled = settled || is_positional(*other.param);
      }
      // The typed matmul has one dtype for both (op_header.cpp, kJoinedDomains).
      if (info_.code == OpCode::matmul && dtype != result_) return false;
      if (settled) return true;
      if (info_.result_dtype == ResultDType::domain && param.domain == info_.result_domain) {
        return dtype == result_;
      }
      return dtype == default_option_dtype(info_, param, result_);
    }

    /// The integers of a literal of this dtype and rank.
    static std::optional<std::vector<std::int64_t>> ints(const Item& item, DType dtype,
                                                         std::size_t rank) {
      if (!item.literal || item.literal.is_blob() || !item.literal.type()) return {};
      if (item.literal.type().type_class() != mil::TypeClass::tensor || item.dtype() != dtype) {
        return {};
      }
      const Shape shape = item.literal.type().shape();
      std::vector<std::int64_t> values;
      std::int64_t count = 0;
      if (shape.size() != rank || !item.literal.integers(values) || !element_count(shape, count) ||
          static_cast<std::uint64_t>(count) != values.size()) {
        return {};
      }
      return values;
    }

    /// Whether the value of an option is what leaving it out gives.
    bool says_default(const Given& one) const {
      const Param& param = *one.param;
      const Literal& literal = one.only().literal;
      if (!literal) return false;
      switch (param.def.kind) {
        case DefaultKind::integer:
        case DefaultKind::boolean:
        case DefaultKind::real: {
          const std::optional<double> value = number_of(literal);
          const DType dtype = one.only().dtype();
          const double def = is_float(dtype) ? round_to(dtype, param.def.number) : param.def.number;
          return value && std::bit_cast<std::uint64_t>(*value) == std::bit_cast<std::uint64_t>(def);
        }
        case DefaultKind::text: {
          std::string text;
          return literal.string(text) && text == param.def.text;
        }
        case DefaultKind::spatial_dims:
        case DefaultKind::spatial_sides:
          return is_spatial_default(param, literal);
        case DefaultKind::all_axes:
          return is_counted(literal, rank_of_x());
        case DefaultKind::box_range:
        case DefaultKind::zero_bias:
        case DefaultKind::required:
        case DefaultKind::absent:
          return false;
      }
      return false;
    }
    /// As OpBuilder counts: the rank of the first operand.
    std::size_t rank_of_x() const {
      for (const Given& one : given_) {
        if (!one || !is_operand(one)) continue;
        const Item& item = one.only();
        return (item.value ? item.value.type() : item.literal.type()).shape().size();
      }
      return 0;
    }
    bool is_spatial_default(const Param& param, const Literal& literal) const {
      std::vector<std::int64_t> values;
      const std::size_t rank = rank_of_x();
      const std::size_t spatial = rank < 2 ? 0 : rank - 2;
      const std::size_t count = param.def.kind == DefaultKind::spatial_dims ? spatial : 2 * spatial;
      return literal.integers(values) && values.size() == count &&
             std::ranges::all_of(values, [&](std::int64_t value) {
               return static_cast<double>(value) == param.def.number;
             });
    }
    static bool is_counted(const Literal& literal, std::size_t count) {
      std::vector<std::int64_t> values;
      if (!literal.integers(values) || values.size() != count) return false;
      for (std::size_t i = 0; i < count; ++i) {
        if (values[i] != static_cast<std::int64_t>(i)) return false;
      }
      return true;
    }

    /// A scalar without a name of its own, which reads best as a C++ number.
    bool is_number(const Given& one) const {
      const Item& item = one.only();
      return number_of(item.literal) && (!item.value || writer_.derived_.has(item.value));
    }
    /// Whether `one` is a number where the function takes one, with a tensor beside it.
    bool numeric(const Given& one) const {
      if (!takes_number(info_, *one.param) || !is_number(one)) return false;
      if (has(info_.traits, Trait::own_dsl)) return true;
      return std::ranges::any_of(given_, [&](const Given& other) {
        return &other != &one && other && other.param->domain == one.param->domain &&
               other.only().dtype() == one.only().dtype();
      });
    }
    std::string number(const Given& one) {
      const double value = *number_of(one.only().literal);
      writer_.session_.uses_cmath = writer_.session_.uses_cmath || !std::isfinite(value);
      return number_text(value, one.only().dtype());
    }

    bool operator_expression(std::string& out) {
      const std::string_view token = cpp_operator(info_.code);
      const bool unary = given_.size() == 1;
      const bool takes_numbers = given_[0].only().dtype() != DType::boolean;
      std::string sides[2];
      for (std::size_t i = 0; i < given_.size(); ++i) {
        const bool beside_tensor = takes_numbers && !unary && !is_number(given_[1 - i]);
        if (beside_tensor && is_number(given_[i])) {
          sides[i] = number(given_[i]);
        } else if (!argument(given_[i], sides[i])) {
          return false;
        }
      }
      out = unary ? fmt::format("{}{}", token, sides[0])
                  : fmt::format("{} {} {}", sides[0], token, sides[1]);
      return true;
    }

    /// The argument as the typed function takes it.
    bool argument(const Given& one, std::string& out) {
      const Param& param = *one.param;
      const Item& item = one.only();
      std::string text;
      std::vector<std::int64_t> values;
      switch (param.form) {
        case Form::operand:
          if (info_.code == OpCode::classify && item.literal && param.kind == ParamKind::list) {
            out = labels(item.literal);
            return true;
          }
          if (param.kind != ParamKind::variadic) return writer_.operand(item, out);
          return variadic(one, out);
        case Form::extents:
          if (item.literal && ints(item, integer_dtype(info_, given_, param), 1)) {
            item.literal.integers(values);
            out = list_text(values);
            return true;
          }
          return writer_.operand(item, out);
        case Form::integers:
        case Form::booleans:
          item.literal.integers(values);
          out = list_text(values);
          return true;
        case Form::integer:
        case Form::real:
          out = number(one);
          return true;
        case Form::boolean:
          out = *number_of(item.literal) != 0 ? "true" : "false";
          return true;
        case Form::text:
          item.literal.string(text);
          out = cpp_string(text);
          return true;
        case Form::dtype:
          break;
      }
      return true;
    }
    /// The labels of classify.
    static std::string labels(const Literal& literal) {
      std::vector<std::string> texts;
      std::vector<std::int64_t> numbers;
      if (literal.integers(numbers)) return list_text(numbers);
      literal.strings(texts);
      for (std::string& text : texts) text = cpp_string(text);
      return fmt::format("{{{}}}", fmt::join(texts, ", "));
    }
    bool variadic(const Given& one, std::string& out) {
      std::vector<std::string> parts;
      if (is_elem_shape(one)) {
        for (const Item& item : one.items) {
          parts.push_back(number_text(*number_of(item.literal), DType::int32));
        }
        out = fmt::format("{{{}}}", fmt::join(parts, ", "));
        return true;
      }
      for (const Item& item : one.items) {
        if (!writer_.operand(item, parts.emplace_back())) return false;
      }
      out = fmt::format("{{{}}}", fmt::join(parts, ", "));
      return true;
    }

    FunctionWriter& writer_;
    const OpInfo& info_;
    const std::vector<Given>& given_;
    DType result_;
    bool is_operator_ = false;
  };

  /// The op by OpBuilder, which takes any value for any argument.
  bool write_built(const mil::Op& op, const std::vector<Given>& given) {
    const OpInfo& info = *op.info();
    if (has(info.traits, Trait::own_dsl)) {
      return refuse(rule<"cpp.argument">,
                    fmt::format("the DSL's {} does not take arguments of these types", info.name),
                    op.place());
    }
    const std::string builder = names_.take("op");
    std::string lines;  // behind the constants that they name
    put_statement(
        lines, indent_,
        fmt::format("OpBuilder {}(OpCode::{}, k, here());", builder, cpp_word(info.name)));
    for (const Given& one : given) {
      for (const Item& item : one.items) {
        std::string call;
        if (!built_argument(op, one, item, call)) return false;
        put_statement(lines, indent_, fmt::format("{}.{};", builder, call));
      }
    }
    body_ += lines;
    if (op.results().empty()) {
      put(fmt::format("{}.result();", builder));
      return true;
    }
    std::size_t i = 0;
    for (const mil::Value result : op.results()) {
      const std::string index = i == 0 ? std::string() : fmt::format("{}", i);
      ++i;
      write_result(result, fmt::format("{}.tensor<{}>({})", builder,
                                       cpp_tag(element_dtype(result.type())), index));
    }
    return true;
  }

  bool built_argument(const mil::Op& op, const Given& one, const Item& item, std::string& out) {
    const std::string name = cpp_string(one.param->name);
    std::string text;
    if (item.literal && item.literal.string(text)) {
      out = fmt::format("text({}, {})", name, cpp_string(text));
      return true;
    }
    if (item.dtype() == DType::none || item.dtype() == DType::string) {
      return refuse(
          rule<"cpp.type">,
          fmt::format("the DSL has no value of this kind for {} of {}", one.param->name, op.name()),
          item.place);
    }
    if (item.literal && !is_operand(one)) {
      std::vector<std::int64_t> values;
      if (is_scalar(item.literal)) {
        if (const std::optional<double> value = number_of(item.literal)) {
          session_.uses_cmath = session_.uses_cmath || !std::isfinite(*value);
          out = fmt::format("number({}, DType::{}, {})", name, dtype_word(item.dtype()),
                            number_text(*value, item.dtype()));
          return true;
        }
      } else if (item.literal.type().shape().size() == 1 && item.literal.integers(values) &&
                 (item.dtype() == DType::boolean ||
                  item.dtype() == integer_dtype(*op.info(), {}, *one.param))) {
        out = fmt::format("{}({}, {})", item.dtype() == DType::boolean ? "booleans" : "integers",
                          name, list_text(values));
        return true;
      }
    }
    std::string value;
    if (!operand(item, value)) return false;
    out = fmt::format("{}({}, {})", one.param->kind == ParamKind::variadic ? "element" : "operand",
                      name, value);
    return true;
  }
  static std::string dtype_word(DType dtype) {
    return dtype == DType::boolean ? "boolean" : std::string(dtype_name(dtype));
  }

  Session& session_;
  mil::Function function_;
  Opset opset_ = Opset::ios18;
  ArgumentMap arguments_;
  DerivedNames derived_;
  CppNames names_;
  std::unordered_map<std::uint32_t, std::string> variables_;
  std::vector<std::uint32_t> declared_;  ///< constants in sight, in the order of their declaration
  std::unordered_set<std::uint32_t> outputs_;
  std::unordered_set<std::string> said_;                   ///< names of inputs and outputs
  std::unordered_map<std::string, std::uint32_t> owners_;  ///< of the names that were said
  std::size_t indent_ = kIndent;
  std::unordered_map<std::uint32_t, std::string> weight_names_;  ///< by literal
  std::string body_;
};

/// How the program is built and what it does, for who finds the file without milc at hand.
std::string header_comment(const CppOptions& options, const std::string& kernel) {
  return fmt::format(
      "// Printed by `milc print --as=cpp` from {}.\n"
      "// Built and linked with milgen, the program has the command line of milc:\n"
      "//\n"
      "//     PROGRAM emit {}\n"
      "//     PROGRAM emit {} -o OUT --weights-from MODEL\n"
      "//\n"
      "// writes the text; with -o also the weight files, their values those of the original "
      "where\n"
      "// MODEL is the file, or the .mlmodelc folder, that this was printed from.\n",
      options.source, kernel, kernel);
}

}  // namespace

bool print_cpp(const Module& module, const CppOptions& options, std::string& out,
               Diagnostics& diagnostics) {
  if (!module) {
    diagnostics.error(
        rule<"cpp.syntax">.id(),
        fmt::format("{} has syntax errors; what could not be read would be lost", options.source));
    return false;
  }
  Session session{diagnostics, {}, false};
  CppNames names;
  std::string functions;
  std::string registrations;
  std::string first;
  bool ok = true;
  for (const mil::Function function : module.functions()) {
    std::string name(function.name());
    if (module.functions().size() == 1 && !options.name.empty()) {
      name = options.name;
    } else if (module.functions().size() == 1 && name == "main") {
      name = "kernel";
    }
    if (first.empty()) first = name;
    FunctionWriter writer(session, function);
    ok = writer.write() && ok;
    const std::string word = names.take(name);
    functions += fmt::format("void {}(Kernel& k, const Config&) {{\n{}}}\n\n", word, writer.body());
    const std::string opset = writer.opset() == Opset::ios18
                                  ? std::string()
                                  : fmt::format(", Opset::{}", opset_name(writer.opset()));
    registrations += fmt::format("\n      .kernel<{}>({}, \"func {}\"{})", word, cpp_string(name),
                                 function.name(), opset);
  }
  if (!ok) return false;
  out = header_comment(options, first);
  if (session.uses_cmath) out += "#include <cmath>\n\n";
  out +=
      "#include <milgen/cli.h>\n"
      "#include <milgen/milgen.h>\n\n"
      "using namespace milgen;\n\n"
      "/// What the kernels take: give it members, and .param() below, for what is to vary.\n"
      "struct Config {};\n\n";
  out += functions;
  out += fmt::format(
      "int main(int argc, char** argv) {{\n"
      "  Registry kernels;\n"
      "  kernels.set<Config>(\"printed\", {})\n"
      "      .config(\"as_printed\", {{}}){};\n"
      "  return milc_main(argc, argv, kernels);\n"
      "}}\n",
      cpp_string("kernels printed from " + options.source), registrations);
  return true;
}

}  // namespace milgen
