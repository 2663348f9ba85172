#include "mil/case_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "mil/number_text.h"

namespace milgen::test {
namespace {

constexpr int kIndent = 12;                 // of a function's ops (mil_text_format, section 3)
constexpr std::size_t kLargestRank = 5;     // op_semantics: no tensor above rank 5
constexpr std::size_t kMostElements = 256;  // of a tensor of floats that is not in a weight file

OwnedType scalar(DType dtype) {
  OwnedType out;
  out.dtype = dtype;
  return out;
}

OwnedType vector(DType dtype, std::int64_t length) {
  OwnedType out = scalar(dtype);
  out.shape.push_back(length);
  return out;
}

DType element_dtype(const OwnedType& type) {
  return type.kind == TypeKind::list ? type.element->dtype : type.dtype;
}

/// Makes `type` another one; false when it has no place for that. What inference cannot know, such
/// as how many elements of a tensor are not 0, is left as it is.
bool spoil(Spoiled how, const OwnedType& inferred, OwnedType& type) {
  if (type.kind != TypeKind::tensor) return false;
  switch (how) {
    case Spoiled::nothing:
      return true;
    case Spoiled::dtype:
      type.dtype = type.dtype == DType::fp32 ? DType::fp16 : DType::fp32;
      return true;
    case Spoiled::dim:
      for (std::size_t i = 0; i < std::min(type.shape.size(), inferred.shape.size()); ++i) {
        if (!known(type.shape[i]) || !known(inferred.shape[i])) continue;
        ++type.shape[i];
        return true;
      }
      return false;
    case Spoiled::rank:
      if (type.shape.size() == kLargestRank) return false;
      type.shape.push_back(1);
      return true;
  }
  return false;
}

/// What an argument that is left out has to be written as; nullopt when the other arguments do not
/// say.
class Defaults {
 public:
  Defaults(std::span<const Param> params, const std::vector<Argument>& given)
      : params_(params), given_(given) {}

  std::optional<OwnedValue> of(const Param& param) const {
    if (param.required() || !param.always_printed() || find(param.name) != nullptr) {
      return std::nullopt;
    }
    if (!param.needs.empty() && is_false(param.needs)) return std::nullopt;
    switch (param.def.kind) {
      case DefaultKind::integer:
      case DefaultKind::real:
      case DefaultKind::boolean:
        return filled(scalar(dtype(param)), param.def.number);
      case DefaultKind::text: {
        OwnedValue out = filled(scalar(DType::string), 0);
        out.texts = {std::string(param.def.text)};
        return out;
      }
      case DefaultKind::spatial_dims:
      case DefaultKind::spatial_sides: {
        const OwnedType* x = type_of("x");
        if (x == nullptr || x->shape.size() < 2) return std::nullopt;
        const auto spatial = static_cast<std::int64_t>(x->shape.size()) - 2;
        const bool sides = param.def.kind == DefaultKind::spatial_sides;
        return filled(vector(DType::int32, sides ? 2 * spatial : spatial), param.def.number);
      }
      case DefaultKind::all_axes: {
        const OwnedType* x = type_of("x");
        if (x == nullptr) return std::nullopt;
        return counted(DType::int32, static_cast<std::int64_t>(x->shape.size()));
      }
      case DefaultKind::box_range: {
        const OwnedType* boxes = type_of("boxes");
        if (boxes == nullptr || boxes->shape.empty() || !known(boxes->shape[0])) {
          return std::nullopt;
        }
        return counted(dtype(param), boxes->shape[0]);
      }
      case DefaultKind::zero_bias: {
        const OwnedType* weight = type_of("weight");
        if (weight == nullptr || weight->shape.empty() || !known(weight->shape[0])) {
          return std::nullopt;
        }
        return filled(vector(weight->dtype, weight->shape[0]), 0);
      }
      case DefaultKind::required:
      case DefaultKind::absent:
        break;
    }
    return std::nullopt;
  }

 private:
  const Argument* find(std::string_view name) const {
    const auto found = std::ranges::find(given_, name, &Argument::name);
    return found == given_.end() ? nullptr : &*found;
  }
  const OwnedType* type_of(std::string_view name) const {
    const Argument* argument = find(name);
    if (argument == nullptr || argument->values.empty()) return nullptr;
    return &argument->values.front().type;
  }
  bool is_false(std::string_view name) const {
    const Argument* argument = find(name);
    return argument != nullptr && !argument->values.empty() &&
           argument->values.front().ints == std::vector<std::int64_t>{0};
  }

  /// The dtype of the argument's domain, or else what coremltools would write.
  DType dtype(const Param& param) const {
    for (const Param& other : params_) {
      const OwnedType* type = type_of(other.name);
      const bool same = param.domain != '\0' && other.domain == param.domain;
      if (same && type != nullptr && type->element == nullptr) return type->dtype;
    }
    if (param.def.kind == DefaultKind::boolean) return DType::boolean;
    if (param.def.kind != DefaultKind::real) return DType::int32;
    return param.dtypes.has(DType::fp32) ? DType::fp32 : DType::fp16;
  }

  static OwnedValue filled(OwnedType type, double number) {
    OwnedValue out;
    std::int64_t count = 1;
    element_count(type.shape, count);
    if (is_float(type.dtype)) {
      out.reals.assign(static_cast<std::size_t>(count), number);
    } else {
      out.ints.assign(static_cast<std::size_t>(count), static_cast<std::int64_t>(number));
    }
    out.type = std::move(type);
    out.is_const = true;
    out.known = true;
    return out;
  }
  static OwnedValue counted(DType dtype, std::int64_t count) {
    OwnedValue out = filled(vector(dtype, count), 0);
    for (std::size_t i = 0; i < out.ints.size(); ++i) out.ints[i] = static_cast<std::int64_t>(i);
    return out;
  }

  std::span<const Param> params_;
  const std::vector<Argument>& given_;
};

class CaseWriter {
 public:
  CaseWriter(const CaseStyle& style, Opset opset, bool writes_defaults)
      : style_(style), opset_(opset), writes_defaults_(writes_defaults) {}

  std::string why;

  /// The only op of a case.
  bool single(const Json& json, const std::vector<OwnedType>* expected) {
    const std::string name = json.at("op").get<std::string>();
    Json op = json;
    const std::vector<OwnedType> inferred = result_types(name, json, {}, {});
    std::vector<OwnedType> types = expected != nullptr ? *expected : inferred;
    if (style_.spoiled != Spoiled::nothing &&
        (types.empty() || inferred.empty() || !spoil(style_.spoiled, inferred[0], types[0]))) {
      why = "nothing of the result can be made wrong";
      return false;
    }
    op["outputs"] = Json::array();
    for (std::size_t i = 0; i < types.size(); ++i) op["outputs"].push_back(fmt::format("y{}", i));
    if (!write(op, "y0", types, {}, {}, kIndent)) return false;
    for (const Json& output : op["outputs"]) outputs_.push_back(output.get<std::string>());
    return true;
  }

  bool program(const Json& json, const Json& expect) {
    for (const Json& op : expect.value("ops", Json::array())) {
      for (const Json& output : op["outputs"]) {
        recorded_[output["name"].get<std::string>()] = type_of(output);
      }
    }
    Scope scope;
    for (const Json& input : json["inputs"]) {
      const std::string name = input["name"].get<std::string>();
      scope[name].type = type_of(input);
      add_input(name, scope[name].type);
    }
    if (!ops(json["ops"], scope, kIndent)) return false;
    for (const Json& output : json["outputs"]) outputs_.push_back(name_of(output));
    return true;
  }

  std::string text() const {
    std::vector<std::string> inputs;
    for (const auto& [name, type] : inputs_) inputs.push_back(type + ' ' + name);
    return fmt::format("program({}) {{\n    func main<{}>({}) {{\n{}        }} -> ({});\n}}",
                       style_.dialect == mil::Dialect::v1_0 ? "1.0" : "1.3", opset_name(opset_),
                       fmt::join(inputs, ", "), lines_, fmt::join(outputs_, ", "));
  }

 private:
  static std::string name_of(const Json& reference) {
    return reference.get<std::string>().substr(1);
  }

  // --- Types and literals. ---

  std::string type_text(const OwnedType& type) {
    const auto length = [](std::int64_t n) {
      return known(n) ? std::to_string(n) : std::string("?");
    };
    if (std::ranges::find(type.shape, kUnknownRank) != type.shape.end()) {
      why = "a shape without a rank";
    }
    switch (type.kind) {
      case TypeKind::list:
        return fmt::format("list<{}, {}>", type_text(*type.element), length(type.length));
      case TypeKind::state:
        return fmt::format("state<{}>", type_text(*type.element));
      case TypeKind::dict:
        return fmt::format("dict<{}, {}>", type_text(scalar(type.key)),
                           type_text(scalar(type.dtype)));
      default:
        break;
    }
    const std::string_view dtype = dtype_name(type.dtype);
    if (type.shape.empty() && style_.dialect == mil::Dialect::v1_3) return std::string(dtype);
    std::vector<std::string> dims;
    for (const std::int64_t n : type.shape) dims.push_back(length(n));
    return fmt::format("tensor<{}, [{}]>", dtype, fmt::join(dims, ", "));
  }

  static std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    return out + '"';
  }

  static std::string element(const OwnedValue& value, std::size_t at) {
    const DType dtype = element_dtype(value.type);
    if (dtype == DType::string) return quoted(value.texts.at(at));
    if (dtype == DType::boolean) return value.ints.at(at) != 0 ? "true" : "false";
    if (is_float(dtype)) return float_text(value.reals.at(at), dtype, FloatStyle::hex);
    return std::to_string(value.ints.at(at));
  }

  static std::string nested(const OwnedValue& value, const Shape& shape, std::size_t dim,
                            std::size_t& at) {
    if (dim == shape.size()) return element(value, at++);
    std::vector<std::string> items;
    for (std::int64_t i = 0; i < shape[dim]; ++i) {
      items.push_back(nested(value, shape, dim + 1, at));
    }
    return fmt::format("[{}]", fmt::join(items, ", "));
  }

  std::string string_text(std::string_view text) {
    return fmt::format("{}({})", type_text(scalar(DType::string)), quoted(text));
  }

  std::string literal(const OwnedValue& value) {
    const bool is_weight = (value.type.dtype == DType::fp16 || value.type.dtype == DType::fp32) &&
                           value.reals.size() > kMostElements;
    if (is_weight && !style_.whole) {
      return fmt::format("{}(BLOBFILE(path = {}, offset = {}({})))", type_text(value.type),
                         string_text("@model_path/weights/weight.bin"),
                         type_text(scalar(DType::uint64)), 64);
    }
    const Shape length{value.type.length};
    std::size_t at = 0;
    return fmt::format(
        "{}({})", type_text(value.type),
        nested(value, value.type.kind == TypeKind::list ? length : value.type.shape, 0, at));
  }

  // --- Lines. ---

  void add_input(const std::string& name, const OwnedType& type) {
    if (type.shape.size() > kLargestRank) why = "an input of a rank that Core ML does not take";
    inputs_[name] = type_text(type);
  }

  std::string attributes(std::map<std::string, std::string> all, std::string_view name) {
    all["name"] = string_text(name);
    std::vector<std::string> items;
    for (const auto& [key, value] : all) items.push_back(key + " = " + value);
    return fmt::format("[{}]", fmt::join(items, ", "));
  }

  /// A constant as what is bound to an argument of `op`.
  std::string constant(const OwnedValue& value, const std::string& name, bool in_place,
                       int indent) {
    if (in_place) return literal(value);
    lines_ += fmt::format("{:{}}{} {} = const(){};\n", "", indent, type_text(value.type), name,
                          attributes({{"val", literal(value)}}, name));
    return name;
  }

  /// One value of an argument: the name of one that is there, an input or a constant.
  std::string bound(const Json& json, const OwnedValue& value, const std::string& name,
                    bool in_place, int indent) {
    if (json.is_string()) return name_of(json);
    if (value.is_const) return constant(value, name, in_place, indent);
    add_input("in_" + name, value.type);
    return "in_" + name;
  }

  /// The op of `json`, whose operands are all there or are constants.
  bool write(const Json& json, const std::string& name, const std::vector<OwnedType>& types,
             const Scope& scope, const std::string& blocks, int indent) {
    const std::string op = json["op"].get<std::string>();
    std::string ignored;  // a value that is not there is what such a case is about
    const std::optional<std::vector<Argument>> given = arguments_of(json, scope, ignored);
    const OpInfo* info = find_op(op);
    if (info == nullptr) {
      why = "no op " + op;
      return false;
    }
    const std::span<const Param> params = info->params(opset_);
    std::map<std::string, std::string> arguments;
    std::map<std::string, std::string> written_as_attributes;
    const bool in_place = style_.in_place || info->has_inline_constants();
    const bool in_attributes = info->code == OpCode::const_ || info->written_as_attributes(opset_);
    for (const char* side : {"inputs", "attrs"}) {
      if (!json.contains(side)) continue;
      for (const auto& [key, value] : json[side].items()) {
        const bool is_tuple = value.is_array();
        std::vector<std::string> items;
        for (const Json& item : is_tuple ? value : Json::array({value})) {
          const OwnedValue one = value_of(item, scope).value_or(OwnedValue{});
          if (in_attributes && one.is_const) {
            written_as_attributes[key] = literal(one);
            continue;
          }
          std::string item_name = name + '_' + key;
          if (is_tuple) item_name += fmt::format("_{}", items.size());
          items.push_back(bound(item, one, item_name, in_place, indent));
        }
        if (written_as_attributes.contains(key)) continue;
        const auto param = std::ranges::find(params, key, &Param::name);
        if (param != params.end() && param->kind == ParamKind::variadic && !is_tuple) {
          why = "one value where a tuple is taken, which text spells alike";
        }
        arguments[key] = is_tuple ? fmt::format("({})", fmt::join(items, ", ")) : items.front();
      }
    }
    if (given && writes_defaults_) {
      const Defaults defaults(params, *given);
      for (const Param& param : params) {
        const std::optional<OwnedValue> value = defaults.of(param);
        const std::string key(param.name);
        if (value) arguments[key] = constant(*value, name + '_' + key, in_place, indent);
      }
    }
    std::vector<std::string> items;
    for (const auto& [key, value] : arguments) items.push_back(key + " = " + value);
    std::vector<std::string> results;
    for (std::size_t i = 0; i < types.size(); ++i) {
      results.push_back(type_text(types[i]) + ' ' + json["outputs"][i].get<std::string>());
    }
    lines_ += fmt::format("{:{}}{}{}{}({}){}{};\n", "", indent, fmt::join(results, ", "),
                          results.empty() ? "" : " = ", op, fmt::join(items, ", "),
                          attributes(written_as_attributes, name), blocks);
    return true;
  }

  // --- Ops with what is inside of them. The recorded programs nest two deep. ---

  bool ops(const Json& list, Scope& scope, int indent) {
    for (const Json& json : list) {
      Json op = json;
      const std::string name = json["name"].get<std::string>();
      if (!op.contains("outputs")) op["outputs"] = Json::array({name});
      std::vector<Block> inner;
      std::string blocks;
      if (!write_blocks(op, scope, indent, inner, blocks)) return false;
      std::vector<OwnedType> types =
          result_types(op["op"].get<std::string>(), op, scope, std::move(inner));
      types.resize(op["outputs"].size(), types.empty() ? OwnedType{} : types.front());
      for (std::size_t i = 0; i < types.size(); ++i) {
        const std::string output = op["outputs"][i].get<std::string>();
        const auto recorded = recorded_.find(output);
        if (recorded != recorded_.end()) types[i] = recorded->second;
        OwnedValue value;
        value.type = types[i];
        scope[output] = std::move(value);
      }
      if (!write(op, name, types, scope, blocks, indent)) return false;
    }
    return true;
  }

  bool write_blocks(const Json& op, const Scope& scope, int indent, std::vector<Block>& inner,
                    std::string& text) {
    std::vector<OwnedType> variables;
    if (op.contains("inputs") && op["inputs"].contains("loop_vars")) {
      for (const Json& item : op["inputs"]["loop_vars"]) {
        variables.push_back(value_of(item, scope).value_or(OwnedValue{}).type);
      }
    }
    const std::string outside = std::exchange(lines_, {});
    for (const Json& json : op.value("blocks", Json::array())) {
      Scope nested = scope;
      Block block;
      std::vector<std::string> inputs;
      const Json names = json.value("inputs", Json::array());
      for (std::size_t i = 0; i < names.size(); ++i) {
        OwnedValue value;
        if (i < variables.size()) value.type = variables[i];
        const bool is_guess =
            value.type.kind == TypeKind::tensor && value.type.dtype == DType::none;
        if (is_guess) value.type.dtype = DType::fp32;
        block.inputs.push_back(value.type);
        inputs.push_back(type_text(value.type) + ' ' + names[i].get<std::string>());
        nested[names[i].get<std::string>()] = std::move(value);
      }
      if (!ops(json["ops"], nested, indent + 8)) return false;
      std::vector<std::string> outputs;
      for (const Json& output : json["outputs"]) {
        block.outputs.push_back(value_of(output, nested).value_or(OwnedValue{}).type);
        outputs.push_back(name_of(output));
      }
      inner.push_back(std::move(block));
      text +=
          fmt::format("\n{0:{1}}({2}) {{\n{3}{0:{1}}}} -> ({4})", "", indent + 4,
                      fmt::join(inputs, ", "), std::exchange(lines_, {}), fmt::join(outputs, ", "));
    }
    lines_ = outside;
    return true;
  }

  /// What inference gives, or a guess: as many as the op has, of the type of the first operand.
  std::vector<OwnedType> result_types(const std::string& op, const Json& json, const Scope& scope,
                                      std::vector<Block> blocks) {
    const OpInfo* info = find_op(op);
    std::string ignored;
    std::optional<std::vector<Argument>> given = arguments_of(json, scope, ignored);
    OwnedType guess = scalar(DType::fp32);
    if (info != nullptr && given) {
      for (const Argument& argument : *given) {
        for (const OwnedValue& value : argument.values) {
          if (!value.is_const && value.type.kind == TypeKind::tensor) guess = value.type;
        }
      }
      DataContext context(*info, opset_, std::move(*given), std::move(blocks));
      if (context.run()) return context.results();
    }
    std::size_t count = 1;
    if (info != nullptr && info->results == ResultCount::none) count = 0;
    if (info != nullptr && info->results == ResultCount::two) count = 2;
    if (info != nullptr && info->results == ResultCount::three) count = 3;
    return std::vector<OwnedType>(count, guess);
  }

  CaseStyle style_;
  Opset opset_;
  bool writes_defaults_;
  std::string lines_;
  std::map<std::string, std::string> inputs_;  // type by name: functions list them in this order
  std::vector<std::string> outputs_;
  std::map<std::string, OwnedType> recorded_;  // by name of the result
};

}  // namespace

std::optional<std::string> case_text(const Json& json, const CaseStyle& style, std::string& why) {
  Opset opset = Opset::ios18;
  if (!opset_of(json, opset)) {
    why = "no opset " + json["opset"].get<std::string>();
    return std::nullopt;
  }
  // What a case is refused for may be the dtype of a default.
  CaseWriter writer(style, opset, json.value("category", "") != "invalid");
  bool ok = false;
  if (json.contains("program")) {
    ok = writer.program(json["program"], json.value("expect", Json::object()));
  } else if (json.contains("expect") && json["expect"].contains("outputs")) {
    bool is_corrected = false;
    const std::vector<OwnedType> expected = expected_types(json, opset, is_corrected);
    ok = writer.single(json, &expected);
  } else {
    ok = writer.single(json, nullptr);
  }
  why = writer.why;
  if (!ok || !why.empty()) return std::nullopt;
  return writer.text();
}

namespace {

Json without_data(const Json& value) {
  return {{"dtype", value.at("dtype")}, {"shape", value.at("shape")}};
}

/// `value`, or each of its elements, as {key: what `change` makes of it}.
Json wrapped(const Json& value, const char* key, bool with_data) {
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& one : value) out.push_back(wrapped(one, key, with_data));
    return out;
  }
  if (!value.contains("dtype")) return value;
  return {{key, with_data ? value : without_data(value)}};
}

}  // namespace

Json as_infer_case(const Json& eval_case) {
  Json out = {{"id", eval_case.at("id")},
              {"op", eval_case.at("op")},
              {"opset", eval_case.at("opset")},
              {"category", "valid"}};
  if (eval_case.contains("program")) {
    out["program"] = eval_case["program"];
    return out;
  }
  for (const auto& [key, value] : eval_case.at("inputs").items()) {
    out["inputs"][key] = wrapped(value, "var", false);
  }
  for (const auto& [key, value] : eval_case.at("attrs").items()) {
    out["attrs"][key] = wrapped(value, "const", true);
  }
  Json types = Json::array();
  for (const Json& output : eval_case.at("outputs")) {
    if (output.contains("dict")) {
      const bool texts = output["dict"].at(0).at(0).is_string();
      types.push_back({{"dict", {{"key", texts ? "string" : "int64"}, {"value", "fp64"}}}});
    } else {
      types.push_back(without_data(output));
    }
  }
  out["expect"]["outputs"] = types;
  return out;
}

}  // namespace milgen::test
