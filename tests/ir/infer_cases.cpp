#include "ir/infer_cases.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cctype>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <utility>

#include "ir/case_json.h"
#include "ir/graph.h"
#include "ir/segmenter_ops.h"
#include "milgen/op_info.h"
#include "support/rule.h"

namespace milgen::test {

// --- Types and values. ---

TypeView OwnedType::view() const {
  TypeView out{.kind = kind,
               .dtype = dtype,
               .shape = shape,
               .length = length,
               .strides = strides,
               .interleave_factors = interleave_factors};
  if (element != nullptr) {
    element_view_ = element->view();
    out.element = &element_view_;
  }
  return out;
}

std::string notation(const OwnedType& type) {
  const auto length = [](std::int64_t n) {
    return milgen::known(n) ? std::to_string(n) : std::string("?");
  };
  switch (type.kind) {
    case TypeKind::list:
      return fmt::format("list<{},{}>", notation(*type.element), length(type.length));
    case TypeKind::state:
      return fmt::format("state<{}>", notation(*type.element));
    case TypeKind::dict:
      return fmt::format("dict<{},{}>", dtype_name(type.key), dtype_name(type.dtype));
    case TypeKind::tensor_buffer: {
      OwnedType tensor;
      tensor.dtype = type.dtype;
      tensor.shape = type.shape;
      return fmt::format("buffer<{};{};{}>", notation(tensor), fmt::join(type.strides, ","),
                         fmt::join(type.interleave_factors, ","));
    }
    default:
      break;
  }
  std::string out(dtype_name(type.dtype));
  if (type.shape.empty()) return out;
  out += '[';
  for (std::size_t i = 0; i < type.shape.size(); ++i) {
    const std::int64_t dim = type.shape[i];
    if (i != 0) out += ',';
    if (milgen::known(dim)) {
      out += std::to_string(dim);
    } else if (dim == kUnknownDim) {
      out += '?';
    } else if (dim == kUnknownRank) {
      out += '*';
    } else {
      out += fmt::format("s{}", kFirstSymbolDim - dim);
    }
  }
  return out + ']';
}

// --- The context. ---

DataContext::DataContext(const OpInfo& op, Opset opset, std::vector<Argument> arguments,
                         std::vector<Block> blocks)
    : InferContext(op, opset), arguments_(std::move(arguments)), blocks_(std::move(blocks)) {
  for (const Argument& argument : arguments_) {
    std::vector<ArgumentValue>& values = value_views_.emplace_back();
    for (const OwnedValue& v : argument.values) {
      values.push_back({.type = v.type.view()});
      if (!v.is_const) continue;
      auto& [view, texts] = views_[&v];
      texts.assign(v.texts.begin(), v.texts.end());
      view = {.dtype = v.type.kind == TypeKind::list ? v.type.element->dtype : v.type.dtype,
              .shape = v.type.shape,
              .known = v.known,
              .ints = v.ints,
              .reals = v.reals,
              .texts = texts};
      values.back().constant = &view;
    }
    argument_views_.push_back({argument.name, values});
  }
  set_arguments(argument_views_);
}

bool DataContext::run() {
  const auto params = op().params(opset());
  for (const Argument& argument : arguments_) {
    if (params.empty()) break;
    bool listed = false;
    for (const Param& param : params) listed = listed || param.name == argument.name;
    if (!listed) {
      error(rule<"arg.unknown">, {}, fmt::format("there is no argument {}", argument.name));
    }
    for (const Param& param : params) {
      if (param.name == argument.name && argument.is_tuple != (param.kind == ParamKind::variadic) &&
          param.kind != ParamKind::any) {
        error(rule<"arg.kind">, param.name,
              fmt::format("{} is {} but the op takes {} there", argument.name,
                          argument.is_tuple ? "a tuple" : "a single value",
                          argument.is_tuple ? "a single value" : "a tuple"));
      }
    }
  }
  return infer_op(*this);
}

const Argument* DataContext::find(std::string_view param) const {
  for (const Argument& argument : arguments_) {
    if (argument.name == param) return &argument;
  }
  return nullptr;
}

const OwnedValue& DataContext::value(std::string_view param, int index) const {
  static const OwnedValue nothing;
  const Argument* argument = find(param);
  if (argument == nullptr || index < 0 ||
      static_cast<std::size_t>(index) >= argument->values.size()) {
    return nothing;
  }
  return argument->values[static_cast<std::size_t>(index)];
}

std::string DataContext::describe(std::string_view param, int index) const {
  const Argument* argument = find(param);
  if (argument == nullptr || !argument->is_tuple) return std::string(param);
  return fmt::format("{}[{}]", param, index);
}

void DataContext::result(DType dtype, std::span<const std::int64_t> shape) {
  OwnedType type;
  type.dtype = dtype;
  type.shape = Shape(shape);
  results_.push_back(std::move(type));
}
void DataContext::result_like(std::string_view param, int index) {
  results_.push_back(value(param, index).type);
}
void DataContext::result_list(DType dtype, std::span<const std::int64_t> element_shape,
                              std::int64_t length) {
  OwnedType type;
  type.kind = TypeKind::list;
  type.element = std::make_shared<OwnedType>();
  type.element->dtype = dtype;
  type.element->shape = Shape(element_shape);
  type.length = length;
  results_.push_back(std::move(type));
}
void DataContext::result_element(std::string_view param) {
  results_.push_back(*value(param, 0).type.element);
}
void DataContext::result_dict(DType key, DType value_dtype) {
  OwnedType type;
  type.kind = TypeKind::dict;
  type.key = key;
  type.dtype = value_dtype;
  results_.push_back(std::move(type));
}
void DataContext::result_tensor_buffer(DType dtype, std::span<const std::int64_t> shape,
                                       std::span<const std::int64_t> strides,
                                       std::span<const std::int64_t> interleave_factors) {
  OwnedType type;
  type.kind = TypeKind::tensor_buffer;
  type.dtype = dtype;
  type.shape = Shape(shape);
  type.strides = Ints(strides);
  type.interleave_factors = Ints(interleave_factors);
  results_.push_back(std::move(type));
}

int DataContext::block_inputs(int block) const {
  return static_cast<int>(blocks_[static_cast<std::size_t>(block)].inputs.size());
}
TypeView DataContext::block_input(int block, int index) const {
  return blocks_[static_cast<std::size_t>(block)].inputs[static_cast<std::size_t>(index)].view();
}
int DataContext::block_outputs(int block) const {
  return static_cast<int>(blocks_[static_cast<std::size_t>(block)].outputs.size());
}
TypeView DataContext::block_output(int block, int index) const {
  return blocks_[static_cast<std::size_t>(block)].outputs[static_cast<std::size_t>(index)].view();
}

void DataContext::error(Rule broken, std::string_view operands, std::string message) {
  set_failed();
  diagnostics_.error(broken.id(), fmt::format("{}: {}", op().name, message));
  blamed_.emplace_back(operands);
}

// --- One op from one line. ---

namespace {

/// Reads the notation. What is not understood leaves `bad` set.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool bad = false;

  void skip_spaces() {
    while (!text_.empty() && text_.front() == ' ') text_.remove_prefix(1);
  }
  bool at_end() const { return text_.empty() || bad; }
  bool eat(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool eat(std::string_view word) {
    if (text_.substr(0, word.size()) != word) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  void need(char c) { bad = bad || !eat(c); }

  std::string_view word() {
    std::size_t n = 0;
    while (n < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[n])) != 0 || text_[n] == '_')) {
      ++n;
    }
    bad = bad || n == 0;
    return take(n);
  }

  std::int64_t dim() {
    if (eat('?')) return kUnknownDim;
    if (eat('*')) return kUnknownRank;
    const bool symbol = eat('s');
    const std::string_view digits = word();
    std::int64_t out = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), out).ec != std::errc()) {
      bad = true;
    }
    return symbol ? kFirstSymbolDim - out : out;
  }

  /// Integers up to `end`, which is eaten.
  Ints ints(char end) {
    Ints out;
    while (!bad && !eat(end)) {
      out.push_back(dim());
      if (!text_.empty() && text_.front() != end) need(',');
    }
    return out;
  }

  OwnedType type() {
    OwnedType out;
    if (eat("buffer<")) {
      out = type();
      out.kind = TypeKind::tensor_buffer;
      need(';');
      out.strides = ints(';');
      out.interleave_factors = ints('>');
      return out;
    }
    const bool list = eat("list<");
    if (list || eat("state<")) {
      out.kind = list ? TypeKind::list : TypeKind::state;
      out.element = std::make_shared<OwnedType>(type());
      if (list) {
        need(',');
        out.length = dim();
      }
      need('>');
      return out;
    }
    out.dtype = dtype_from_name(word());
    bad = bad || out.dtype == DType::none;
    if (eat('[')) out.shape = ints(']');
    return out;
  }

  OwnedValue value() {
    OwnedValue out;
    const bool bytes_elsewhere = eat('%');
    const bool list_constant = eat('#');
    out.type = type();
    out.is_const = bytes_elsewhere || list_constant;
    if (!eat(':')) return out;
    out.is_const = true;
    out.known = true;
    const DType dtype = list_constant ? out.type.element->dtype : out.type.dtype;
    do {
      const std::size_t n =
          std::min(text_.find_first_of(dtype == DType::string ? "; " : " ,)"), text_.size());
      add(dtype, take(n), out);
    } while (!text_.empty() && dtype != DType::string && eat(','));
    if (dtype == DType::string && list_constant) split_texts(out);
    std::int64_t count = list_constant ? out.type.length : 1;
    if (!list_constant) element_count(out.type.shape, count);
    grow(out.ints, count);
    grow(out.reals, count);
    return out;
  }

 private:
  std::string_view take(std::size_t n) {
    const std::string_view out = text_.substr(0, n);
    text_.remove_prefix(n);
    return out;
  }
  void add(DType dtype, std::string_view item, OwnedValue& out) {
    if (dtype == DType::string) {
      out.texts.emplace_back(item);
    } else if (dtype == DType::boolean) {
      out.ints.push_back(item == "true" ? 1 : 0);
    } else if (item.empty()) {
      return;  // a list of no elements
    } else if (is_float(dtype)) {
      out.reals.push_back(round_to(dtype, std::strtod(std::string(item).c_str(), nullptr)));
    } else {
      out.ints.push_back(std::strtoll(std::string(item).c_str(), nullptr, 10));
    }
  }
  static void split_texts(OwnedValue& out) {
    std::string all = std::move(out.texts.front());
    out.texts.clear();
    for (std::size_t at = 0; at <= all.size();) {
      const std::size_t end = std::min(all.find(',', at), all.size());
      out.texts.push_back(all.substr(at, end - at));
      at = end + 1;
    }
  }
  template <class T>
  static void grow(std::vector<T>& values, std::int64_t count) {
    if (values.size() == 1 && count >= 0) {
      values.resize(static_cast<std::size_t>(count), T(values.front()));
    }
  }

  std::string_view text_;
};

std::string join(const std::vector<OwnedType>& types) {
  std::string out;
  for (const OwnedType& type : types) {
    if (!out.empty()) out += ' ';
    out += notation(type);
  }
  return out;
}

/// A plain value, or a tuple of them in parentheses.
Argument read_argument(Reader& reader) {
  Argument out;
  out.name = std::string(reader.word());
  reader.need('=');
  out.is_tuple = reader.eat('(');
  if (!out.is_tuple) {
    out.values.push_back(reader.value());
    return out;
  }
  for (reader.skip_spaces(); !reader.bad && !reader.eat(')'); reader.skip_spaces()) {
    out.values.push_back(reader.value());
    reader.bad = reader.bad || reader.at_end();
  }
  return out;
}

/// The list of a block that in0, out0, in1 ... stand for; null for an argument of the op.
std::vector<OwnedType>* block_list(std::string_view name, std::vector<Block>& blocks) {
  const bool inputs = name.size() == 3 && name.substr(0, 2) == "in";
  const bool outputs = name.size() == 4 && name.substr(0, 3) == "out";
  if ((!inputs && !outputs) || std::isdigit(static_cast<unsigned char>(name.back())) == 0) {
    return nullptr;
  }
  const auto block = static_cast<std::size_t>(name.back() - '0');
  if (blocks.size() <= block) blocks.resize(block + 1);
  return inputs ? &blocks[block].inputs : &blocks[block].outputs;
}

}  // namespace

bool read_line(std::string_view line, ParsedLine& out) {
  Reader reader(line);
  for (reader.skip_spaces(); !reader.at_end(); reader.skip_spaces()) {
    Argument argument = read_argument(reader);
    std::vector<OwnedType>* types = block_list(argument.name, out.blocks);
    if (types == nullptr) {
      out.arguments.push_back(std::move(argument));
    } else {
      for (OwnedValue& v : argument.values) types->push_back(std::move(v.type));
    }
  }
  return !reader.bad;
}

Outcome infer_parsed(const OpInfo& op, Opset opset, ParsedLine line) {
  DataContext context(op, opset, std::move(line.arguments), std::move(line.blocks));
  Outcome out;
  out.accepted = context.run();
  out.results = join(context.results());
  out.diagnostics = context.diagnostics();
  out.blamed = context.blamed();
  return out;
}

const OpInfo* find_any_op(std::string_view name) {
  const OpInfo* op = find_op(name);
  return op != nullptr ? op : find_segmenter_op(name);
}

Outcome infer_line(std::string_view op, std::string_view arguments, Opset opset) {
  Outcome out;
  const OpInfo* info = find_any_op(op);
  if (info == nullptr) {
    out.diagnostics.error("test.syntax", fmt::format("there is no op {}", op));
    return out;
  }
  ParsedLine line;
  if (read_line(arguments, line)) return infer_parsed(*info, opset, std::move(line));
  out.diagnostics.error("test.syntax", fmt::format("{}: cannot read {}", op, arguments));
  return out;
}

bool as_expected(const Outcome& outcome, std::string_view expected, std::string& why) {
  const std::size_t colon = expected.find(": ");
  const bool wants_error = colon != std::string_view::npos;
  if (!wants_error) {
    if (outcome.accepted && outcome.results == expected) return true;
    why = outcome.accepted ? outcome.results
                           : fmt::format("{}: {}", outcome.diagnostics.all().front().id,
                                         outcome.diagnostics.all().front().message);
    return false;
  }
  const std::string_view id = expected.substr(0, colon);
  const std::string_view sentence = expected.substr(colon + 2);
  for (const Diagnostic& diagnostic : outcome.diagnostics.all()) {
    if (diagnostic.id == id && diagnostic.message.find(sentence) != std::string::npos) return true;
  }
  why = outcome.accepted ? "accepted: " + outcome.results : "";
  for (const Diagnostic& diagnostic : outcome.diagnostics.all()) {
    why += fmt::format("{}{}: {}", why.empty() ? "" : "\n    ", diagnostic.id, diagnostic.message);
  }
  return false;
}

// --- Recorded cases. ---

namespace {

/// One op, and then the types of its results; nullopt when it is refused.
class CaseRunner {
 public:
  std::string why;  ///< of the refusal

  std::optional<std::vector<OwnedType>> op(const std::string& name, const Json& sides, Opset opset,
                                           const Scope& scope, std::vector<Block> blocks) {
    std::optional<std::vector<Argument>> arguments = arguments_of(sides, scope, why);
    if (!arguments) return std::nullopt;
    const OpInfo* info = find_op(name);
    if (info == nullptr) {
      why = "no op " + name;
      return std::nullopt;
    }
    if (info->code == OpCode::const_ && arguments->size() == 1 &&
        arguments->front().values.size() == 1) {
      return std::vector<OwnedType>{arguments->front().values[0].type};
    }
    DataContext context(*info, opset, std::move(*arguments), std::move(blocks));
    if (context.run()) return context.results();
    why.clear();
    for (const Diagnostic& diagnostic : context.diagnostics().all()) {
      why += fmt::format("{} [{}] ", diagnostic.message, diagnostic.id);
    }
    return std::nullopt;
  }

  /// The ops of a program or block; their results come into `scope`. The recorded programs nest
  /// two deep.
  bool ops(const Json& list, Opset opset, Scope& scope) {
    for (const Json& json : list) {
      std::vector<Block> blocks;
      std::vector<OwnedType> variables;
      if (json.contains("inputs") && json["inputs"].contains("loop_vars")) {
        for (const Json& item : json["inputs"]["loop_vars"]) {
          std::optional<OwnedValue> value = value_of(item, scope);
          if (!value) return false;
          variables.push_back(value->type);
        }
      }
      for (const Json& inner : json.value("blocks", Json::array())) {
        Scope nested = scope;
        Block block;
        const Json names = inner.value("inputs", Json::array());
        for (std::size_t i = 0; i < names.size() && i < variables.size(); ++i) {
          OwnedValue value;
          value.type = variables[i];
          block.inputs.push_back(value.type);
          nested[names[i].get<std::string>()] = std::move(value);
        }
        if (!ops(inner["ops"], opset, nested)) return false;
        for (const Json& output : inner["outputs"]) {
          std::optional<OwnedValue> value = value_of(output, nested);
          if (!value) {
            why = "no value " + output.dump();
            return false;
          }
          block.outputs.push_back(value->type);
        }
        blocks.push_back(std::move(block));
      }
      const auto results = op(json["op"].get<std::string>(), json, opset, scope, std::move(blocks));
      if (!results) return false;
      const Json names = json.value("outputs", Json::array({json["name"]}));
      for (std::size_t i = 0; i < names.size() && i < results->size(); ++i) {
        OwnedValue value;
        value.type = (*results)[i];
        scope[names[i].get<std::string>()] = std::move(value);
      }
    }
    return true;
  }

  std::optional<std::vector<OwnedType>> program(const Json& json, Opset opset) {
    Scope scope;
    for (const Json& input : json["inputs"]) {
      OwnedValue value;
      value.type = type_of(input);
      scope[input["name"].get<std::string>()] = std::move(value);
    }
    if (!ops(json["ops"], opset, scope)) return std::nullopt;
    std::vector<OwnedType> out;
    for (const Json& output : json["outputs"]) {
      std::optional<OwnedValue> value = value_of(output, scope);
      if (!value) {
        why = "no value " + output.dump();
        return std::nullopt;
      }
      out.push_back(value->type);
    }
    return out;
  }
};

/// Whether an inferred type is the recorded one. "?" is any unknown dim that no input has.
bool same_type(const OwnedType& got, const OwnedType& wanted) {
  if (got.kind != wanted.kind || got.dtype != wanted.dtype || got.key != wanted.key) return false;
  if ((got.element == nullptr) != (wanted.element == nullptr)) return false;
  if (got.element != nullptr && !same_type(*got.element, *wanted.element)) return false;
  return got.length == wanted.length && got.shape == wanted.shape;
}

void run_case(const Json& json, CaseReport& report) {
  const std::string category = json.at("category").get<std::string>();
  if (category != "valid" && category != "invalid") {
    ++report.not_judged[category];
    return;
  }
  const std::string id = json.at("id").get<std::string>();
  Opset opset = Opset::ios18;
  const std::string name = json.at("op").get<std::string>();
  OpScore& score = report.ops[name];
  CaseRunner runner;
  std::optional<std::vector<OwnedType>> got;
  if (find_op(name) == nullptr) {
    runner.why = "no op " + name;
  } else if (!opset_of(json, opset)) {
    runner.why = "no opset " + json["opset"].get<std::string>();
  } else if (json.contains("program")) {
    got = runner.program(json["program"], opset);
  } else {
    got = runner.op(name, json, opset, {}, {});
  }
  if (category == "invalid") {
    ++score.to_refuse;
    score.refused += got ? 0 : 1;
    if (got) {
      report.mismatches.push_back(
          fmt::format("{} [{}] is accepted: {}", id, json.value("tag", ""), join(*got)));
    }
    return;
  }
  bool corrected = false;
  const std::vector<OwnedType> wanted = expected_types(json, opset, corrected);
  bool same = got.has_value() && got->size() == wanted.size();
  for (std::size_t i = 0; same && i < wanted.size(); ++i) same = same_type((*got)[i], wanted[i]);
  ++(corrected ? report.to_correct : score.to_accept);
  if (same) {
    ++(corrected ? report.corrected : score.accepted);
    return;
  }
  report.mismatches.push_back(fmt::format("{} wants {} but {}", id, join(wanted),
                                          got ? "gives " + join(*got) : runner.why));
}

}  // namespace

CaseReport run_case_file(const std::string& path) {
  CaseReport report;
  CaseLines lines =
      read_cases(path, report.mismatches, [&](const Json& json) { run_case(json, report); });
  report.error = std::move(lines.error);
  report.is_missing = lines.is_missing;
  return report;
}

}  // namespace milgen::test
