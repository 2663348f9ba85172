#include "fuzz/program_generator.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace milgen::test {
namespace {

constexpr int kIndent = 12;                 // of a function's ops (mil_text_format, section 3)
constexpr int kTries = 400;                 // of one op
constexpr int kFreshStart = 40;             // tries with one choice of operands for the most part
constexpr std::int64_t kMostElements = 64;  // of a constant that is written out
constexpr std::size_t kLargestRank = 5;

// What Core ML takes (op_semantics, einsum), and what it does not.
constexpr std::string_view kEquations[] = {"abcd,adce->abce", "nchw,nwhu->nchu", "vnm,mno->vno",
                                           "ab,bc->ac", "a->a"};

bool is_scalar_form(Form form) {
  return form == Form::integer || form == Form::real || form == Form::boolean ||
         form == Form::text || form == Form::dtype;
}
bool is_vector_form(Form form) {
  return form == Form::integers || form == Form::booleans || form == Form::extents;
}

/// The number of elements of a constant that is written out; 0 for one that is not.
std::int64_t written_elements(const OwnedType& type) {
  std::int64_t count = 1;
  const Shape length{type.length};
  for (const std::int64_t n : type.kind == TypeKind::list ? length : type.shape) {
    if (n < 0 || n > kMostElements) return 0;
    count *= n;
    if (count > kMostElements) return 0;
  }
  return count;
}

DType element_dtype(const OwnedType& type) {
  return type.kind == TypeKind::list ? type.element->dtype : type.dtype;
}

OwnedType tensor(DType dtype, Shape shape) {
  OwnedType out;
  out.dtype = dtype;
  out.shape = std::move(shape);
  return out;
}

/// Whether text can spell the type and a program may have a value of it.
bool can_be_written(const OwnedType& type, bool is_weight) {
  std::int64_t count = 0;
  bool all_known = true;
  for (const std::int64_t n : type.shape) {
    if (n == kUnknownRank) return false;
    all_known = all_known && known(n);
  }
  if (all_known && !element_count(type.shape, count)) return false;
  if (type.element != nullptr && !can_be_written(*type.element, is_weight)) return false;
  return is_weight || type.shape.size() <= kLargestRank;
}

bool same_type(const OwnedType& a, const OwnedType& b) { return notation(a) == notation(b); }

}  // namespace

// --- Choices ---

std::uint8_t ByteChoices::next() {
  if (bytes_.empty()) return 0;
  const std::uint8_t byte = bytes_.front();
  bytes_ = bytes_.subspan(1);
  return byte;
}

std::size_t ByteChoices::below(std::size_t n) {
  std::size_t value = next();
  if (n > 256) value = value << 8 | next();
  return value % n;
}

// --- Programs ---

ProgramPlan ProgramGenerator::plan() {
  ProgramPlan plan;
  plan.opset = static_cast<Opset>(15 + choices_.below(4));
  // Programs of ios18 have the new spelling in all known files (mil_text_format, section 0).
  const bool old = plan.opset != Opset::ios18 && choices_.chance(50);
  plan.dialect = old ? mil::Dialect::v1_0 : mil::Dialect::v1_3;
  plan.functions = choices_.chance(85) ? 1 : 2;
  plan.ops = 1 + static_cast<int>(choices_.below(8));
  return plan;
}

std::string ProgramGenerator::program(const ProgramPlan& plan) {
  plan_ = plan;
  std::string out = plan.dialect == mil::Dialect::v1_0 ? "program(1.0)" : "program(1.3)";
  if (choices_.chance(70)) {
    const std::string key = plan.dialect == mil::Dialect::v1_0 ? "tensor<string, []>" : "string";
    const std::string_view entries =
        choices_.chance(20) ? "" : R"({"coremlc-component-MIL", "3520.4.1"}, {"", "\"\\"})";
    out += fmt::format("\n[buildInfo = dict<{}, {}>({{{}}})]\n{{\n", key, key, entries);
  } else {
    out += " {\n";
  }
  for (int i = 0; i < plan.functions; ++i) out += function(plan, i == 0 ? plan.first : nullptr);
  out += '}';
  if (choices_.chance(10)) out += '\n';
  return out;
}

std::string ProgramGenerator::function(const ProgramPlan& plan, const OpInfo* first) {
  scope_.clear();
  inputs_.clear();
  lines_.clear();
  if (first != nullptr) op(*first, kIndent);
  for (int i = 0; i < plan.ops; ++i) any_op(kIndent);
  const std::string results = outputs();
  std::string inputs;
  for (const Operand& input : inputs_) {
    if (!inputs.empty()) inputs += ", ";
    inputs += type_text(input.value.type) + ' ' + input.name;
  }
  const std::string attributes =
      choices_.chance(10)
          ? " [Launch_ane_ms = " +
                std::string(plan_.dialect == mil::Dialect::v1_0 ? "tensor<fp64, []>" : "fp64") +
                "(0x1p-3)]"
          : "";
  return fmt::format("    func {}<{}>({}){} {{\n{}        }} -> ({});\n", new_name("main"),
                     opset_name(plan.opset), inputs, attributes, lines_, results);
}

std::string ProgramGenerator::outputs() {
  std::vector<std::string> names;
  for (const Operand& value : scope_) {
    if (!value.value.is_const && value.value.type.kind != TypeKind::state) {
      names.push_back(value.name);
    }
  }
  if (names.empty()) {
    Operand input;
    input.value.type = tensor(DType::fp32, {1});
    names.push_back(made_input(input, "only"));
  }
  std::string out = choices_.one_of(names);
  for (const std::string& name : names) {
    if (!out.starts_with(name) && choices_.chance(10)) out += ", " + name;
  }
  return out;
}

std::string ProgramGenerator::in_disorder(std::string_view text) {
  constexpr std::string_view kSpaces[] = {"",   " ",    "  ",          "\t",
                                          "\n", "\r\n", " // }; \"\n", " \n\n"};
  std::string out;
  bool in_string = false;
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '@' || c == '.' || c == '+' || c == '-';
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      out += c;
      if (c == '\\') out += text[++i];
      in_string = c != '"';
      continue;
    }
    in_string = c == '"';
    if (c == ' ' || c == '\n') {
      const bool between_words =
          i > 0 && is_word(text[i - 1]) && i + 1 < text.size() && is_word(text[i + 1]);
      if (between_words) out += ' ';
      out += choices_.one_of(kSpaces);
      continue;
    }
    out += c;
    // Behind a word another piece of it may follow, and `->` is one token.
    if (!is_word(c) && !in_string && i + 1 < text.size() && choices_.chance(20)) {
      out += choices_.one_of(kSpaces);
    }
  }
  return out;
}

// --- Text ---

std::string ProgramGenerator::new_name(std::string_view stem) {
  return fmt::format("{}_{}", stem, names_++);
}

std::string ProgramGenerator::type_text(const OwnedType& type) const {
  const auto length = [](std::int64_t n) {
    return known(n) ? std::to_string(n) : std::string("?");
  };
  const auto scalar = [this](DType dtype) {
    return plan_.dialect == mil::Dialect::v1_0 ? fmt::format("tensor<{}, []>", dtype_name(dtype))
                                               : std::string(dtype_name(dtype));
  };
  switch (type.kind) {
    case TypeKind::list:
      return fmt::format("list<{}, {}>", type_text(*type.element), length(type.length));
    case TypeKind::state:
      return fmt::format("state<{}>", type_text(*type.element));
    case TypeKind::dict:
      return fmt::format("dict<{}, {}>", scalar(type.key), scalar(type.dtype));
    default:
      break;
  }
  if (type.shape.empty()) return scalar(type.dtype);
  std::vector<std::string> dims;
  for (const std::int64_t n : type.shape) dims.push_back(length(n));
  return fmt::format("tensor<{}, [{}]>", dtype_name(type.dtype), fmt::join(dims, ", "));
}

std::string ProgramGenerator::quoted(std::string_view text) const {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string ProgramGenerator::string_literal(std::string_view text) {
  return fmt::format("{}({})", type_text(tensor(DType::string, {})), quoted(text));
}

std::string ProgramGenerator::element(const OwnedValue& value, DType dtype, std::size_t at) {
  if (dtype == DType::string) return quoted(value.texts[at]);
  if (dtype == DType::boolean) return value.ints[at] != 0 ? "true" : "false";
  if (is_float(dtype)) {
    const double number = value.reals[at];
    return choices_.chance(80) ? fmt::format("{:a}", number) : fmt::format("{}", number);
  }
  return std::to_string(value.ints[at]);
}

std::string ProgramGenerator::nested(const OwnedValue& value, const Shape& shape, std::size_t dim,
                                     std::size_t& at) {
  if (dim == shape.size()) return element(value, element_dtype(value.type), at++);
  std::string out = "[";
  for (std::int64_t i = 0; i < shape[dim]; ++i) {
    if (i != 0) out += ", ";
    out += nested(value, shape, dim + 1, at);
  }
  return out + ']';
}

std::string ProgramGenerator::blob(const OwnedType& type) {
  constexpr std::string_view kPaths[] = {"@model_path/weights/weight.bin", "@model_path/w.bin"};
  return fmt::format("{}(BLOBFILE(path = {}, offset = {}({})))", type_text(type),
                     string_literal(choices_.one_of(kPaths)), type_text(tensor(DType::uint64, {})),
                     64 + 64 * choices_.below(1000));
}

std::string ProgramGenerator::literal(const OwnedValue& value) {
  if (!value.known) return blob(value.type);
  const Shape length{value.type.length};
  const bool is_list = value.type.kind == TypeKind::list;
  std::size_t at = 0;
  return fmt::format("{}({})", type_text(value.type),
                     nested(value, is_list ? length : value.type.shape, 0, at));
}

/// In the order of the keys, as Apple prints them.
std::string ProgramGenerator::attributes(std::map<std::string, std::string> attributes,
                                         std::string_view name) {
  if (choices_.chance(90)) attributes["name"] = string_literal(name);
  if (choices_.chance(5)) attributes["milId"] = type_text(tensor(DType::uint64, {})) + "(5)";
  if (choices_.chance(3)) {
    const std::string text = type_text(tensor(DType::string, {}));
    attributes["ValidationMessage"] =
        fmt::format(R"(dict<{}, {}>({{{{"ane", "no \"lstm\""}}}}))", text, text);
  }
  std::string out;
  for (const auto& [key, value] : attributes) {
    out += fmt::format("{}{} = {}", out.empty() ? "[" : ", ", key, value);
  }
  return out.empty() ? out : out + ']';
}

// --- Types and values ---

std::int64_t ProgramGenerator::dim() {
  if (!hints_.shapes.empty() && choices_.chance(30)) {
    const Shape& hint = choices_.one_of(hints_.shapes);
    return hint[choices_.below(hint.size())];
  }
  if (!theme_.empty() && choices_.chance(50)) {
    const std::int64_t n = theme_[choices_.below(theme_.size())];
    constexpr std::int64_t kTimes[] = {1, 1, 1, 1, 2, 3, 4};
    return n > 0 && n < 1000 ? n * choices_.one_of(kTimes) : n;
  }
  if (choices_.chance(95)) return 1 + static_cast<std::int64_t>(choices_.below(6));
  if (choices_.chance(50)) return next_symbol_--;
  constexpr std::int64_t kOdd[] = {0, 64, 100, 4096};
  return choices_.one_of(kOdd);
}

Shape ProgramGenerator::shape() {
  Shape out;
  if (!hints_.ranks.empty() && choices_.chance(80)) {
    for (std::size_t rank = choices_.one_of(hints_.ranks); rank != 0; --rank) out.push_back(dim());
    return out;
  }
  if (!hints_.shapes.empty() && choices_.chance(40)) return choices_.one_of(hints_.shapes);
  if (choices_.chance(60)) return theme_;
  constexpr std::size_t kRanks[] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 5};
  for (std::size_t rank = choices_.one_of(kRanks); rank != 0; --rank) out.push_back(dim());
  return out;
}

DType ProgramGenerator::pick(DTypeSet set) {
  std::vector<DType> in;
  for (int d = 1; d < kDTypeCount; ++d) {
    if (set.has(static_cast<DType>(d))) in.push_back(static_cast<DType>(d));
  }
  return in.empty() ? DType::fp16 : choices_.one_of(in);
}

DType ProgramGenerator::dtype_of(const Param& param) {
  const bool takes_hint = param.dtypes.empty() || param.dtypes.has(hints_.dtype);
  if (hints_.dtype != DType::none && takes_hint && choices_.chance(70)) {
    return hints_.dtype;
  }
  if (param.domain == '\0') return pick(param.dtypes);
  DType& shared = domains_[static_cast<std::size_t>(param.domain - 'A')];
  if (shared == DType::none || !param.dtypes.has(shared)) shared = pick(param.dtypes);
  return shared;
}

OwnedType ProgramGenerator::type_of(const Param& param) {
  OwnedType out;
  if (param.kind == ParamKind::list || param.kind == ParamKind::state) {
    out.kind = param.kind == ParamKind::list ? TypeKind::list : TypeKind::state;
    const DTypeSet labels(DType::string, DType::int64);
    const DTypeSet numbers(DType::fp16, DType::fp32, DType::int32);
    out.element = std::make_shared<OwnedType>(param.is_const ? tensor(pick(labels), {})
                                                             : tensor(pick(numbers), shape()));
    out.length = 1 + static_cast<std::int64_t>(choices_.below(4));
    return out;
  }
  if (is_scalar_form(param.form)) return tensor(dtype_of(param), {});
  if (is_vector_form(param.form)) {
    const auto rank = static_cast<std::int64_t>(theme_.size());
    const std::int64_t lengths[] = {rank, rank - 2, 2 * (rank - 2), 2 * rank, 1, 2, rank + 1, 3};
    const bool hinted = !hints_.shapes.empty() && choices_.chance(50);
    const std::int64_t length = hinted ? hints_.shapes.back().back() : choices_.one_of(lengths);
    return tensor(dtype_of(param), Shape{std::max<std::int64_t>(length, 1)});
  }
  return tensor(dtype_of(param), shape());
}

std::string ProgramGenerator::word(const Param& param) {
  if (param.name == "equation") return std::string(choices_.one_of(kEquations));
  std::vector<std::string_view> words;
  for (std::string_view rest = param.choices; !rest.empty();) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    words.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (words.empty()) return choices_.chance(50) ? "a \"quoted\" \\ word" : "word";
  return std::string(choices_.one_of(words));
}

void ProgramGenerator::fill_ints(const Param& param, std::size_t count, OwnedValue& value) {
  constexpr std::int64_t kFew[] = {1, 0, 1, 2, 3, -1, -2, 4};
  const bool is_unsigned = value.type.dtype >= DType::uint8 && value.type.dtype <= DType::uint64;
  const bool is_small = dtype_bits(value.type.dtype) < 8 || is_unsigned;
  const auto small = [&](std::int64_t n) { return is_small ? (n < 0 ? -n : n) % 2 : n; };
  const std::size_t way = choices_.below(11);
  const std::int64_t all = way == 7 ? dim() : choices_.one_of(kFew);
  for (std::size_t i = 0; i < count; ++i) {
    std::int64_t n = choices_.one_of(kFew);
    if (way < 3 || way == 7) n = all;
    if (way == 3) n = static_cast<std::int64_t>(i);
    if (way == 4) n = static_cast<std::int64_t>(count - 1 - i);
    if (way == 5 && i < theme_.size() && theme_[i] > 0) n = theme_[i];
    if (way == 6 && i + 1 == count) n = -1;
    if (way == 8) n = dim();
    if (dtype_bits(value.type.dtype) < 32) n %= 100;
    // Values of operands that are data stay those that every integer type has.
    value.ints.push_back(param.form == Form::operand || is_small ? small(n) : n);
  }
}

void ProgramGenerator::fill(const Param& param, OwnedValue& value) {
  const std::int64_t count = written_elements(value.type);
  const DType dtype = element_dtype(value.type);
  const bool has_blob = value.type.kind == TypeKind::tensor && !value.type.shape.empty() &&
                        dtype_bits(dtype) != 0 && dtype != DType::int64 && dtype != DType::uint64 &&
                        dtype != DType::fp64;
  for (const std::int64_t n : value.type.shape) {
    if (!known(n)) value.is_const = false;
  }
  if (!value.is_const) return;
  if (count == 0 || (has_blob && param.form == Form::operand && choices_.chance(30))) {
    // Where the values cannot be left to a file there is no constant.
    value.is_const = has_blob;
    return;
  }
  value.known = true;
  constexpr double kReals[] = {0.5, 1, 2, 0, -1, 0.25};
  if (dtype != DType::string && !is_float(dtype)) {
    if (dtype != DType::boolean) {
      fill_ints(param, static_cast<std::size_t>(count), value);
    } else {
      const std::size_t same = choices_.below(3);
      for (std::int64_t i = 0; i < count; ++i) {
        value.ints.push_back(static_cast<std::int64_t>(same == 2 ? choices_.below(2) : same));
      }
    }
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    if (dtype == DType::string) {
      // The labels of a list differ.
      value.texts.push_back(value.type.kind == TypeKind::list ? fmt::format("label {}", i)
                                                              : word(param));
    } else {
      value.reals.push_back(choices_.one_of(kReals));
    }
  }
}

bool ProgramGenerator::fits(const Param& param, const Operand& candidate) const {
  const OwnedType& type = candidate.value.type;
  const bool wants_list = param.kind == ParamKind::list;
  const bool wants_state = param.kind == ParamKind::state;
  if ((type.kind == TypeKind::list) != wants_list) return false;
  if ((type.kind == TypeKind::state) != wants_state) return false;
  if (type.kind == TypeKind::dict) return false;
  if (param.is_const && !candidate.value.is_const) return false;
  if (wants_list || wants_state) return true;
  if (is_scalar_form(param.form) && !type.shape.empty()) return false;
  if (is_vector_form(param.form) && type.shape.size() != 1) return false;
  return param.dtypes.empty() || param.dtypes.has(type.dtype);
}

bool ProgramGenerator::from_scope(const Param& param, Operand& out) {
  std::vector<const Operand*> fitting;
  for (const std::vector<Operand>* values : {&scope_, &inputs_}) {
    for (const Operand& candidate : *values) {
      if (!fits(param, candidate)) continue;
      const DType shared = param.domain == '\0'
                               ? DType::none
                               : domains_[static_cast<std::size_t>(param.domain - 'A')];
      if (shared == DType::none || shared == candidate.value.type.dtype) {
        fitting.push_back(&candidate);
      }
    }
  }
  if (fitting.empty()) return false;
  out = *choices_.one_of(fitting);
  if (param.domain != '\0' && out.value.type.kind == TypeKind::tensor) {
    domains_[static_cast<std::size_t>(param.domain - 'A')] = out.value.type.dtype;
  }
  return true;
}

ProgramGenerator::Operand ProgramGenerator::operand(const Param& param) {
  Operand out;
  const int percent = param.is_const ? 10 : hints_.shapes.empty() ? 50 : 20;
  if (!literals_only_ && choices_.chance(percent) && from_scope(param, out)) return out;
  out = {};
  out.value.type = type_of(param);
  const bool may_be_const = out.value.type.kind == TypeKind::tensor ||
                            (out.value.type.kind == TypeKind::list && param.is_const);
  out.value.is_const = may_be_const && (param.is_const || hints_.constant || choices_.chance(30));
  fill(param, out.value);
  return out;
}

// --- Ops ---

bool ProgramGenerator::any_op(int indent) {
  const std::span<const OpInfo> table = op_table();
  return op(table[choices_.below(table.size())], indent);
}

ProgramGenerator::Given ProgramGenerator::given(const Param& param) {
  Given out;
  out.param = &param;
  const bool is_tuple = param.kind == ParamKind::variadic;
  const std::size_t tuple_size = choices_.chance(10) ? 1 + choices_.below(4) : tuple_size_;
  const std::size_t count = is_tuple ? tuple_size : 1;
  while (out.operands.size() < count) out.operands.push_back(operand(param));
  return out;
}

std::vector<ProgramGenerator::Given> ProgramGenerator::arguments(const OpInfo& info, Opset opset) {
  for (DType& dtype : domains_) dtype = DType::none;
  theme_.clear();
  hints_ = {};
  tuple_size_ = 1 + choices_.below(4);
  constexpr std::size_t kRanks[] = {4, 3, 4, 2, 4, 1, 3, 5, 0};
  for (std::size_t rank = choices_.one_of(kRanks); rank != 0; --rank) theme_.push_back(dim());
  std::vector<Given> out;
  for (const Param& param : info.params(opset)) {
    if (param.kind == ParamKind::block) continue;
    // What has a default is written in every program that coremltools makes, and demanded by some
    // compilers.
    const bool is_written = param.required() || (param.always_printed() && param.needs.empty());
    const int percent = is_written ? 100 : 40;
    if (choices_.chance(percent)) out.push_back(given(param));
  }
  return out;
}

/// A refusal says what would have been right: "x has shape [2, 3] but must have rank 4".
void ProgramGenerator::take_hints(const Diagnostics& diagnostics) {
  constexpr std::int64_t kLargest = 1000;
  hints_ = {};
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    const std::string& message = diagnostic.message;
    const std::size_t rule = std::min(message.find("must "), message.size());
    const std::string_view wanted = std::string_view(message).substr(rule);
    if (wanted.find("a constant") != std::string_view::npos) {
      hints_.constant = true;
      hints_.ranks.push_back(0);
    }
    for (int d = 1; d < kDTypeCount; ++d) {
      const auto dtype = static_cast<DType>(d);
      if (wanted.find(dtype_name(dtype)) != std::string_view::npos) hints_.dtype = dtype;
    }
    const bool of_rank = wanted.find("rank") != std::string_view::npos;
    Shape numbers;
    std::int64_t number = -1;
    for (std::size_t i = 0; i <= message.size(); ++i) {
      const char c = i < message.size() ? message[i] : '.';
      if (c >= '0' && c <= '9') {
        number = std::min(std::max<std::int64_t>(number, 0) * 10 + (c - '0'), kLargest);
        continue;
      }
      if (number >= 0 && number < kLargest) {
        numbers.push_back(number);
        if (of_rank && i > rule && number <= static_cast<std::int64_t>(kLargestRank) + 1) {
          hints_.ranks.push_back(static_cast<std::size_t>(number));
        }
      }
      number = -1;
      if (c == ',' || c == ' ') continue;
      if (!numbers.empty() && numbers.size() <= kLargestRank) hints_.shapes.push_back(numbers);
      numbers.clear();
    }
  }
}

/// Other operands in the place of one of those that are to blame, or of any.
void ProgramGenerator::change(std::vector<Given>& arguments, const OpInfo& info, Opset opset,
                              std::string_view blamed) {
  if (arguments.empty() || choices_.chance(3)) {
    arguments = this->arguments(info, opset);
    return;
  }
  std::vector<Given*> to_blame;
  for (Given& argument : arguments) {
    if (blamed.find(argument.param->name) != std::string_view::npos) to_blame.push_back(&argument);
  }
  if (!to_blame.empty() && choices_.chance(90)) {
    Given& one = *choices_.one_of(to_blame);
    one = given(*one.param);
    return;
  }
  Given& any = arguments[choices_.below(arguments.size())];
  if (!any.param->required() && !any.param->always_printed() && choices_.chance(20)) {
    arguments.erase(arguments.begin() + (&any - arguments.data()));
  } else {
    any = given(*any.param);
  }
}

bool ProgramGenerator::op(const OpInfo& info, int indent) {
  Opset opset = plan_.opset;
  if (choices_.chance(3)) opset = static_cast<Opset>(15 + choices_.below(4));
  if (info.code == OpCode::const_) {
    Operand constant;
    constant.value.is_const = true;
    constant.value.known = true;
    constant.value.type = tensor(DType::int32, {});
    constant.value.ints = {7};
    Attempts& tally = attempts_[info.name];
    ++tally.tried;
    ++tally.valid;
    made_constant(constant, "lone", indent);
    return true;
  }
  const bool has_blocks = info.code == OpCode::cond || info.code == OpCode::while_loop;
  if (info.since() > opset || (has_blocks && depth_ == 3)) return false;
  // The function's opset says whether it may have states.
  if (info.family == "state" && plan_.opset < Opset::ios18) return false;
  literals_only_ = info.written_as_attributes(opset);
  std::vector<Given> given = arguments(info, opset);
  for (int i = 0; i < kTries; ++i) {
    std::vector<Argument> arguments;
    for (const Given& one : given) {
      Argument& argument = arguments.emplace_back();
      argument.name = std::string(one.param->name);
      argument.is_tuple = one.param->kind == ParamKind::variadic;
      for (const Operand& operand : one.operands) argument.values.push_back(operand.value);
    }
    // Blocks are right from the start, so that they are made once, around the operands.
    const std::size_t inputs = inputs_.size();
    std::vector<BlockText> made;
    if (has_blocks) made = blocks(info, given, indent);
    std::vector<Block> block_types;
    for (const BlockText& block : made) block_types.push_back(block.types);
    DataContext context(info, opset, arguments, block_types);
    Attempts& tally = attempts_[info.name];
    ++tally.tried;
    const bool is_weight = has(info.traits, Trait::constexpr_op);
    if (context.run() && std::ranges::all_of(context.results(), [&](const OwnedType& type) {
          return can_be_written(type, is_weight);
        })) {
      ++tally.valid;
      write(info, opset, given, context.results(), made, indent);
      return true;
    }
    inputs_.resize(inputs);
    std::string blamed;
    for (const std::string& operands : context.blamed()) blamed += operands + ' ';
    take_hints(context.diagnostics());
    if (i % kFreshStart == kFreshStart - 1) {
      given = this->arguments(info, opset);
    } else {
      change(given, info, opset, blamed);
    }
  }
  return false;
}

std::string ProgramGenerator::made_input(const Operand& operand, std::string_view stem) {
  Operand input;
  input.name = new_name(stem);
  input.value.type = operand.value.type;
  inputs_.push_back(input);
  return input.name;
}

std::string ProgramGenerator::made_constant(const Operand& operand, std::string_view stem,
                                            int indent) {
  Operand constant = operand;
  constant.name = new_name(stem);
  lines_ +=
      fmt::format("{:{}}{} {} = const(){};\n", "", indent, type_text(operand.value.type),
                  constant.name, attributes({{"val", literal(operand.value)}}, constant.name));
  scope_.push_back(constant);
  return constant.name;
}

std::string ProgramGenerator::bound(Operand& operand, const Param& param, bool in_place,
                                    int indent) {
  if (!operand.name.empty()) return operand.name;
  if (!operand.value.is_const) return operand.name = made_input(operand, param.name);
  if (in_place || operand.value.type.kind == TypeKind::list || choices_.chance(30)) {
    return literal(operand.value);
  }
  return operand.name = made_constant(operand, param.name, indent);
}

void ProgramGenerator::write(const OpInfo& info, Opset opset, std::vector<Given>& given,
                             const std::vector<OwnedType>& results,
                             const std::vector<BlockText>& blocks, int indent) {
  const bool in_attributes = info.written_as_attributes(opset);
  std::map<std::string, std::string> arguments;
  bool all_constant = true;
  for (Given& argument : given) {
    std::string text;
    for (Operand& operand : argument.operands) {
      all_constant = all_constant && operand.value.is_const;
      if (!text.empty()) text += ", ";
      text += bound(operand, *argument.param, in_attributes || info.has_inline_constants(), indent);
    }
    const bool bare = argument.param->kind != ParamKind::variadic;
    arguments[std::string(argument.param->name)] = bare ? text : '(' + text + ')';
  }
  const bool is_constant = has(info.traits, Trait::constexpr_op) ||
                           (all_constant && !has(info.traits, Trait::random) && blocks.empty());
  std::string line = fmt::format("{:{}}", "", indent);
  std::string name = new_name(info.name);
  for (std::size_t i = 0; i < results.size(); ++i) {
    Operand result;
    result.name = i == 0 ? name : new_name(info.name);
    result.value.type = results[i];
    result.value.is_const = is_constant;
    if (i != 0) line += ", ";
    line += type_text(results[i]) + ' ' + result.name;
    scope_.push_back(result);
  }
  if (!results.empty()) line += " = ";
  line += info.name;
  if (opset != plan_.opset) line += fmt::format("<{}>", opset_name(opset));
  line += '(';
  if (!in_attributes) {
    std::string list;
    for (const auto& [key, value] : arguments) {
      list += fmt::format("{}{} = {}", list.empty() ? "" : ", ", key, value);
    }
    line += list;
    arguments.clear();
  }
  line += ')' + attributes(arguments, name);
  for (const BlockText& block : blocks) line += block.text;
  lines_ += line + ";\n";
}

/// The blocks of cond and while_loop for these operands.
std::vector<ProgramGenerator::BlockText> ProgramGenerator::blocks(
    const OpInfo& info, const std::vector<Given>& arguments, int indent) {
  std::vector<Operand> passed;
  std::vector<OwnedType> types;
  if (info.code == OpCode::cond) {
    // Both branches give values from outside.
    for (const Operand& value : inputs_) {
      if (value.value.type.kind == TypeKind::tensor && choices_.chance(40)) passed.push_back(value);
    }
    if (passed.empty()) {
      Operand made;
      made.value.type = tensor(DType::fp16, {1, 2});
      made.name = made_input(made, "branch");
      passed.push_back(made);
    }
    return {block({}, false, passed, indent), block({}, false, passed, indent)};
  }
  for (const Given& given : arguments) {
    if (given.param->kind != ParamKind::variadic) continue;
    for (const Operand& operand : given.operands) types.push_back(operand.value.type);
  }
  return {block(types, true, {}, indent), block(types, false, {}, indent)};
}

/// A block that gives its inputs, or `passed`, or a condition.
ProgramGenerator::BlockText ProgramGenerator::block(const std::vector<OwnedType>& inputs,
                                                    bool gives_condition,
                                                    const std::vector<Operand>& passed,
                                                    int indent) {
  BlockText out;
  const std::string outer_lines = std::move(lines_);
  const std::size_t outer_scope = scope_.size();
  lines_.clear();
  ++depth_;
  std::string parameters;
  std::vector<Operand> results = passed;
  for (const OwnedType& type : inputs) {
    Operand input;
    input.name = new_name("in");
    input.value.type = type;
    if (!parameters.empty()) parameters += ", ";
    parameters += type_text(type) + ' ' + input.name;
    out.types.inputs.push_back(type);
    scope_.push_back(input);
    results.push_back(input);
  }
  for (std::size_t ops = choices_.below(3); ops != 0; --ops) any_op(indent + 8);
  if (gives_condition) {
    results.clear();
    for (const Operand& value : scope_) {
      if (same_type(value.value.type, tensor(DType::boolean, {}))) results = {value};
    }
    if (results.empty()) {
      Operand yes;
      yes.value.type = tensor(DType::boolean, {});
      yes.value.is_const = yes.value.known = true;
      yes.value.ints = {1};
      yes.name = made_constant(yes, "yes", indent + 8);
      results = {yes};
    }
  }
  std::string names;
  for (const Operand& result : results) {
    if (!names.empty()) names += ", ";
    names += result.name;
    out.types.outputs.push_back(result.value.type);
  }
  --depth_;
  out.text = fmt::format("\n{:{}}({}) {{\n{}{:{}}}} -> ({})", "", indent + 4, parameters, lines_,
                         "", indent + 4, names);
  lines_ = outer_lines;
  scope_.resize(outer_scope);
  return out;
}

}  // namespace milgen::test
