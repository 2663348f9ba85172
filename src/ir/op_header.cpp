#include "ir/op_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "ir/infer.h"
#include "support/text.h"

namespace milgen {
namespace {

/// C++ has words of its own for two names of MIL.
std::string cpp_name(std::string_view name) {
  if (name == "const") return "const_";
  if (name == "dtype") return "dtype_";
  return std::string(name);
}

std::string pascal_case(std::string_view name) {
  std::string out;
  bool upper = true;
  for (const char c : name) {
    if (c == '_') {
      upper = true;
    } else {
      out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
      upper = false;
    }
  }
  return out;
}

std::string tag_name(DType dtype) {
  return std::string(dtype == DType::boolean ? "bool" : dtype_name(dtype));
}

std::vector<DType> dtypes_of(DTypeSet set) {
  std::vector<DType> out;
  for (int d = 1; d < kDTypeCount; ++d) {
    if (set.has(static_cast<DType>(d))) out.push_back(static_cast<DType>(d));
  }
  return out;
}

std::string tag_list(DTypeSet set) {
  std::string out;
  for (const DType dtype : dtypes_of(set)) {
    if (!out.empty()) out += ", ";
    out += tag_name(dtype);
  }
  return out;
}

DTypeSet set_of_words(std::string_view words) {
  DTypeSet out;
  for_each_word(words, [&](std::string_view word) { out = out | DTypeSet(dtype_from_name(word)); });
  return out;
}

std::string real_text(double value) {
  std::string out = fmt::format("{}", value);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

/// `head` and the arguments behind it, broken into lines of at most 100 columns.
std::string wrapped(const std::string& head, const std::vector<std::string>& args,
                    std::string_view tail) {
  constexpr std::size_t kColumns = 100;
  std::string out = head;
  std::size_t column = head.size();
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string piece = args[i] + (i + 1 == args.size() ? std::string(tail) : ",");
    if (i != 0 && column + 1 + piece.size() > kColumns) {
      out += "\n    ";
      column = 4;
    } else if (i != 0) {
      out += ' ';
      ++column;
    }
    out += piece;
    column += piece.size();
  }
  return out + "\n";
}

// --- Where C++ says something else than the row of the table. ---

/// Domains that the typed function joins. The dtypes of matmul's x and y may differ only where one
/// of the two is a constant, and the result has the dtype of the other: which one that is, the C++
/// types do not tell. A second function takes such a pair and wants the result's dtype by name.
constexpr struct {
  OpCode op;
  char domain;
  char joins;
} kJoinedDomains[] = {{OpCode::matmul, 'U', 'T'}};

bool joins_domains(OpCode code) {
  return std::ranges::any_of(kJoinedDomains, [&](const auto& joined) { return joined.op == code; });
}

char domain_of(const OpInfo& op, const Param& param) {
  for (const auto& joined : kJoinedDomains) {
    if (joined.op == op.code && joined.domain == param.domain) return joined.joins;
  }
  return param.domain;
}

/// Ops whose only result has the dtype of x although the table leaves it to inference: they take
/// lists and states, too, which Tensor<T> never is.
constexpr OpCode kTypedAsX[] = {OpCode::identity};

bool is_typed_as_x(OpCode code) {
  return std::ranges::find(kTypedAsX, code) != std::ranges::end(kTypedAsX);
}

/// Ops with two results, a mask and the values of the result's domain.
constexpr OpCode kSparseResults[] = {OpCode::constexpr_lut_to_sparse,
                                     OpCode::constexpr_sparse_blockwise_shift_scale};

bool is_sparse(OpCode code) {
  return std::ranges::find(kSparseResults, code) != std::ranges::end(kSparseResults);
}

/// The ops that C++ has an operator for, on Tensor<bool>. Those on numbers are members of
/// Tensor<T>.
constexpr struct {
  OpCode op;
  std::string_view token;
} kLogicalOperators[] = {
    {OpCode::logical_and, "&&"}, {OpCode::logical_not, "!"}, {OpCode::logical_or, "||"}};

/// One way to take the arguments of an op.
struct Variant {
  /// A variadic argument: of braces, the type of an element can be deduced only from
  /// std::initializer_list, so such ops come several times.
  std::string_view list_type = "std::initializer_list<Tensor<{}>> {}";
  bool list_is_results = false;        ///< Tensors<T>, whose elements are made on the way
  std::string_view number_param = {};  ///< the operand that is taken as a number
};

/// One template parameter of a generated function.
struct TypeParameter {
  std::string name;
  DTypeSet dtypes;
  std::string otherwise;  ///< default template argument; "" when there is none
  bool deduced = false;   ///< from a positional argument
};

/// Writes one op.
class Function {
 public:
  /// With `apart`, joined domains stay apart and the result's dtype R is named by the caller.
  explicit Function(const OpInfo& op, bool apart = false)
      : op_(op), params_(op.signatures.back().params), apart_(apart) {
    collect_types();
  }

  std::string text() const {
    std::string out = comment();
    out += options_struct();
    out += function({});
    const auto lists = std::ranges::count_if(params_, [](const Param& param) {
      return is_positional(param) && param.kind == ParamKind::variadic;
    });
    if (lists != 0) out += function({.list_type = "const std::vector<Tensor<{}>>& {}"});
    if (lists == 1) {
      out += function({.list_type = "const Tensors<{}>& {}", .list_is_results = true});
    }
    for (const std::string_view param : number_params()) out += function({.number_param = param});
    if (joins_domains(op_.code)) {
      out += "/// The same of two dtypes, one of them a constant's; R is the other one.\n";
      out += Function(op_, true).function({});
    }
    out += logical_operator();
    return out;
  }

 private:
  static bool is_positional(const Param& param) {
    return param.required() && param.form != Form::dtype;
  }
  static bool is_option(const Param& param) {
    return !param.required() && param.form != Form::dtype;
  }

  /// The C++ type argument of an operand: a letter, or the tag when only one dtype is taken.
  std::string type_of(const Param& param) const {
    if (param.domain != '\0') {
      return std::string(1, apart_ ? param.domain : domain_of(op_, param));
    }
    const std::vector<DType> dtypes = dtypes_of(param.dtypes);
    if (dtypes.size() == 1) return tag_name(dtypes.front());
    return "T_" + std::string(param.name);
  }

  void add_type(const std::string& name, DTypeSet dtypes, bool deduced) {
    for (TypeParameter& type : types_) {
      if (type.name == name) {
        type.deduced = type.deduced || deduced;
        return;
      }
    }
    types_.push_back({name, dtypes, "", deduced});
  }

  void collect_types() {
    for (const Param& param : params_) {
      if (param.form == Form::dtype) {
        TypeParameter to{"To", set_of_words(param.choices), "", false};
        if (!param.required()) to.otherwise = tag_name(dtype_from_name(param.def.text));
        types_.push_back(to);
      }
    }
    for (const Param& param : params_) {
      if (param.form != Form::operand) continue;
      const std::string name = type_of(param);
      if (dtypes_of(param.dtypes).size() == 1 && param.domain == '\0') continue;
      add_type(name, param.dtypes, is_positional(param));
    }
    const std::string result(1, op_.result_domain);
    if (op_.result_dtype == ResultDType::domain) {
      for (const Param& param : params_) {
        if (param.domain == op_.result_domain) add_type(result, param.dtypes, false);
      }
    }
    for (TypeParameter& type : types_) {
      if (type.deduced || !type.otherwise.empty() || type.name == "To") continue;
      if (op_.result_dtype == ResultDType::parameter) {
        type.otherwise = default_type(type, "To");
      } else if (type.name != result) {
        type.otherwise = default_type(type, result);
      }
    }
    // What the caller has to spell out comes first; what has a default comes last.
    std::ranges::stable_sort(types_, {}, [](const TypeParameter& type) {
      if (type.name == "To") return 0;
      if (type.deduced) return 2;
      return type.otherwise.empty() ? 1 : 3;
    });
  }

  /// What a domain is that only an option settles when the option is left out: the type `result`
  /// if each of its dtypes is allowed, or else an allowed dtype.
  std::string default_type(const TypeParameter& type, std::string_view result) const {
    for (const TypeParameter& other : types_) {
      if (other.name == result && !other.dtypes.empty() &&
          (other.dtypes | type.dtypes) == type.dtypes) {
        return other.name;
      }
    }
    if (type.dtypes.has(DType::int32)) return tag_name(DType::int32);
    const std::vector<DType> dtypes = dtypes_of(type.dtypes);
    return dtypes.empty() ? std::string() : tag_name(dtypes.front());
  }

  /// The operands that are also taken as a number: the second of an elementwise op of two numbers,
  /// and either branch of select.
  std::vector<std::string_view> number_params() const {
    if (op_.code == OpCode::select) return {"a", "b"};
    if (op_.family != "elementwise_binary" || params_.size() != 2 ||
        params_[0].domain != params_[1].domain || params_[1].dtypes.has(DType::boolean)) {
      return {};
    }
    return {params_[1].name};
  }

  std::string function(const Variant& variant) const { return signature(variant) + body(variant); }

  std::string logical_operator() const {
    for (const auto& logical : kLogicalOperators) {
      if (logical.op != op_.code) continue;
      if (params_.size() == 1) {
        return fmt::format(
            "inline Tensor<bool> operator{}(detail::Condition x) {{\n  return {}(x.value, "
            "x.loc);\n}}\n",
            logical.token, op_.name);
      }
      return fmt::format(
          "inline Tensor<bool> operator{}(detail::Condition x, detail::Condition y) {{\n  return "
          "{}(x.value, y.value, x.loc);\n}}\n",
          logical.token, op_.name);
    }
    return {};
  }

  bool has_options() const { return std::ranges::any_of(params_, is_option); }
  bool takes_kernel() const {
    return std::ranges::none_of(params_, [](const Param& param) {
      return is_positional(param) && param.form == Form::operand;
    });
  }
  /// The template parameters of the options struct: those of its operands.
  std::vector<std::string> option_types() const {
    std::vector<std::string> out;
    for (const Param& param : params_) {
      if (!is_option(param) || param.form != Form::operand) continue;
      const std::string name = type_of(param);
      const bool listed =
          std::ranges::any_of(types_, [&](const TypeParameter& type) { return type.name == name; });
      if (listed && std::ranges::find(out, name) == out.end()) out.push_back(name);
    }
    return out;
  }

  std::string comment() const {
    std::string out = fmt::format("/// {}\n", op_.summary);
    if (!op_.note.empty()) out += fmt::format("/// {}\n", op_.note);
    if (op_.since() != Opset::ios15)
      out += fmt::format("/// From {} on.\n", opset_name(op_.since()));
    return out;
  }

  std::string field(const Param& param) const {
    const std::string name = cpp_name(param.name);
    const bool absent = param.def.kind == DefaultKind::absent;
    switch (param.form) {
      case Form::operand:
        return fmt::format("Tensor<{}> {} = {{}};", type_of(param), name);
      case Form::extents:
        return fmt::format("Extents {} = {{}};", name);
      case Form::integers:
        return fmt::format("Ints {} = {{}};{}", name, integers_comment(param));
      case Form::booleans:
        return fmt::format("Ints {} = {{}};  ///< 0 or 1 for each", name);
      case Form::integer:
        return absent ? fmt::format("std::optional<std::int64_t> {} = {{}};", name)
                      : fmt::format("std::int64_t {} = {};", name,
                                    static_cast<std::int64_t>(param.def.number));
      case Form::real:
        return absent ? fmt::format("std::optional<double> {} = {{}};", name)
                      : fmt::format("double {} = {};", name, real_text(param.def.number));
      case Form::boolean:
        return absent
                   ? fmt::format("std::optional<bool> {} = {{}};", name)
                   : fmt::format("bool {} = {};", name, param.def.number != 0 ? "true" : "false");
      case Form::text:
        return fmt::format(
            "std::string_view {} = \"{}\";{}", name, param.def.text,
            param.choices.empty() ? "" : fmt::format("  ///< one of: {}", param.choices));
      case Form::dtype:
        break;
    }
    return {};
  }

  static std::string integers_comment(const Param& param) {
    switch (param.def.kind) {
      case DefaultKind::spatial_dims:
        return fmt::format("  ///< empty: {} for each spatial dim",
                           static_cast<std::int64_t>(param.def.number));
      case DefaultKind::spatial_sides:
        return fmt::format("  ///< empty: {} for each side of each spatial dim",
                           static_cast<std::int64_t>(param.def.number));
      case DefaultKind::all_axes:
        return "  ///< empty: all axes";
      case DefaultKind::box_range:
        return "  ///< empty: 0, 1, ... one for each box";
      default:
        return "  ///< empty: left out";
    }
  }

  std::string options_struct() const {
    if (!has_options()) return {};
    std::string out;
    const std::vector<std::string> types = option_types();
    if (!types.empty()) {
      out += "template <";
      for (std::size_t i = 0; i < types.size(); ++i) {
        out += fmt::format("{}class {}", i == 0 ? "" : ", ", types[i]);
      }
      out += ">\n";
    }
    out += fmt::format("struct {}Options {{\n", pascal_case(op_.name));
    for (const Param& param : params_) {
      if (is_option(param)) out += fmt::format("  {}\n", field(param));
    }
    out += "};\n";
    return out;
  }

  std::string result_type() const {
    if (apart_) return "Tensor<R>";
    if (is_sparse(op_.code)) return fmt::format("Sparse<{}>", op_.result_domain);
    switch (op_.results) {
      case ResultCount::none:
        return "void";
      case ResultCount::one:
        break;
      case ResultCount::by_inference:
      case ResultCount::two:
      case ResultCount::three:
        return same_dtype_results() ? fmt::format("Tensors<{}>", result_tag()) : "Values";
    }
    if (is_typed_as_x(op_.code)) return fmt::format("Tensor<{}>", result_tag());
    return op_.result_dtype == ResultDType::inferred ? "Value"
                                                     : fmt::format("Tensor<{}>", result_tag());
  }
  bool same_dtype_results() const {
    return op_.result_dtype != ResultDType::inferred && op_.result_dtype != ResultDType::parameter;
  }
  std::string result_tag() const {
    if (is_typed_as_x(op_.code)) return type_of(params_.front());
    switch (op_.result_dtype) {
      case ResultDType::boolean:
        return "bool";
      case ResultDType::int32:
        return "int32";
      case ResultDType::parameter:
        return "To";
      default:
        return std::string(1, op_.result_domain);
    }
  }

  static std::string positional(const Param& param, const std::string& type,
                                const Variant& variant) {
    const std::string name = cpp_name(param.name);
    if (param.name == variant.number_param) return fmt::format("double {}", name);
    switch (param.form) {
      case Form::operand:
        return param.kind == ParamKind::variadic
                   ? fmt::format(fmt::runtime(variant.list_type), type, name)
                   : fmt::format("Tensor<{}> {}", type, name);
      case Form::extents:
        return fmt::format("const Extents& {}", name);
      case Form::integers:
      case Form::booleans:
        return fmt::format("const Ints& {}", name);
      case Form::integer:
        return fmt::format("std::int64_t {}", name);
      case Form::real:
        return fmt::format("double {}", name);
      case Form::boolean:
        return fmt::format("bool {}", name);
      case Form::text:
        return fmt::format("std::string_view {}", name);
      case Form::dtype:
        break;
    }
    return {};
  }

  std::string signature(const Variant& variant) const {
    std::string out;
    if (!types_.empty()) {
      std::vector<std::string> parameters;
      if (apart_) parameters.emplace_back("class R");
      for (const TypeParameter& type : types_) {
        const std::string takes =
            type.dtypes.empty() ? "class" : fmt::format("OneOf<{}>", tag_list(type.dtypes));
        parameters.push_back(fmt::format("{} {}{}", takes, type.name,
                                         type.otherwise.empty() ? "" : " = " + type.otherwise));
      }
      out += wrapped("template <", parameters, ">");
      if (apart_) out += apart_requirement();
    }
    std::vector<std::string> args;
    if (takes_kernel()) args.emplace_back("Kernel& kernel");
    for (const Param& param : params_) {
      if (is_positional(param)) args.push_back(positional(param, type_of(param), variant));
    }
    if (has_options()) {
      const std::vector<std::string> types = option_types();
      std::string struct_name = pascal_case(op_.name) + "Options";
      if (!types.empty()) struct_name += fmt::format("<{}>", fmt::join(types, ", "));
      args.push_back(fmt::format("const {}& options = {{}}", struct_name));
    }
    args.emplace_back("Loc loc = here()");
    out += wrapped(
        fmt::format("{}{} {}(", types_.empty() ? "inline " : "", result_type(), cpp_name(op_.name)),
        args, ") {");
    return out;
  }

  /// The operands have different dtypes, one of which is the result's.
  std::string apart_requirement() const {
    return fmt::format(
        "requires(!__is_same({0}, {1}) && (__is_same(R, {0}) || __is_same(R, {1})))\n",
        types_.front().name, types_.back().name);
  }

  /// Whether a tensor among the positional arguments settles the dtype of `param`'s domain.
  bool settled_by_tensor(const Param& param) const {
    return std::ranges::any_of(params_, [&](const Param& other) {
      return other.form == Form::operand && other.domain == param.domain && other.domain != '\0';
    });
  }

  std::string body(const Variant& variant) const {
    std::string out = fmt::format("  OpBuilder op(OpCode::{}, {}loc);\n", cpp_name(op_.name),
                                  takes_kernel() ? "kernel, " : "");
    for (const Param& param : params_) {
      const std::string name = cpp_name(param.name);
      const std::string value = is_option(param) ? "options." + name : name;
      const bool absent = param.def.kind == DefaultKind::absent;
      const auto call = [&](std::string_view method) {
        return fmt::format("op.{}(\"{}\", {});", method, param.name, value);
      };
      const auto when_given = [&](std::string_view method) {
        return fmt::format("if ({}) op.{}(\"{}\", *{});", value, method, param.name, value);
      };
      std::string line;
      switch (param.form) {
        case Form::operand:
          if (param.name == variant.number_param) {
            line = fmt::format("op.number(\"{}\", dtype_of<{}>, {});", param.name, type_of(param),
                               value);
            break;
          }
          if (param.kind == ParamKind::variadic && variant.list_is_results) {
            line = fmt::format("for (const Tensor<{}> value : {}) op.element(\"{}\", value);",
                               type_of(param), value, param.name);
            break;
          }
          line = param.kind == ParamKind::variadic
                     ? fmt::format("op.operands<{}>(\"{}\", std::span({}.begin(), {}.end()));",
                                   type_of(param), param.name, value, value)
                     : call("operand");
          break;
        case Form::extents:
          line = call("extents");
          break;
        case Form::integers:
          line = is_option(param) ? fmt::format("if (!{}.empty()) {}", value, call("integers"))
                                  : call("integers");
          break;
        case Form::booleans:
          line = is_option(param) ? fmt::format("if (!{}.empty()) {}", value, call("booleans"))
                                  : call("booleans");
          break;
        case Form::integer:
          line = absent ? when_given("integer") : call("integer");
          break;
        case Form::boolean:
          line = absent ? when_given("boolean") : call("boolean");
          break;
        case Form::real:
          if (op_.result_dtype == ResultDType::domain && param.domain == op_.result_domain &&
              !settled_by_tensor(param)) {
            line = fmt::format("op.number(\"{}\", dtype_of<{}>, {});", param.name, param.domain,
                               value);
          } else {
            line = absent ? when_given("real") : call("real");
          }
          break;
        case Form::text:
          line = absent ? fmt::format("if (!{}.empty()) {}", value, call("text")) : call("text");
          break;
        case Form::dtype:
          line = fmt::format("op.dtype(\"{}\", dtype_of<To>);", param.name);
          break;
      }
      if (!param.needs.empty()) {
        line = fmt::format("if (options.{}) {}", cpp_name(param.needs), line);
      }
      out += fmt::format("  {}\n", line);
    }
    const std::string result = result_type();
    if (apart_) {
      out += "  return Tensor<R>::from(op.result(), loc);\n";
    } else if (is_sparse(op_.code)) {
      out +=
          fmt::format("  return {{op.tensor<uint1>(0), op.tensor<{}>(1)}};\n", op_.result_domain);
    } else if (result == "void") {
      out += "  op.result();\n";
    } else if (result == "Values") {
      out += "  return op.values();\n";
    } else if (result == "Value") {
      out += "  return op.result();\n";
    } else if (result.starts_with("Tensors")) {
      out += fmt::format("  return op.tensors<{}>();\n", result_tag());
    } else {
      out += fmt::format("  return op.tensor<{}>();\n", result_tag());
    }
    out += "}\n";
    return out;
  }

  const OpInfo& op_;
  std::span<const Param> params_;
  bool apart_;
  std::vector<TypeParameter> types_;
};

}  // namespace

std::string op_header() {
  std::string out =
      "// The ops of MIL as functions, in name order: required arguments first, the others by\n"
      "// designation, `loc` the caller's place. Those with blocks, lists, states and "
      "dictionaries\n"
      "// are in milgen/control_flow.h.\n"
      "//\n"
      "// Written by `milc ops --format=header` from the op table; a test keeps it current. Do "
      "not\n"
      "// edit.\n"
      "// clang-format off\n"
      "#pragma once\n\n"
      "#include <cstdint>\n"
      "#include <initializer_list>\n"
      "#include <optional>\n"
      "#include <span>\n"
      "#include <string_view>\n"
      "#include <vector>\n\n"
      "#include \"milgen/kernel.h\"\n"
      "#include \"milgen/op_builder.h\"\n"
      "#include \"milgen/value.h\"\n\n"
      "namespace milgen {\n";
  for (const OpInfo& op : op_table()) {
    if (has(op.traits, Trait::no_dsl | Trait::own_dsl)) continue;
    out += "\n" + Function(op).text();
  }
  out += "\n}  // namespace milgen\n";
  return out;
}

}  // namespace milgen
