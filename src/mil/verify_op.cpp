#include "mil/verify_op.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "ir/segmenter_ops.h"
#include "mil/literal.h"
#include "support/printable.h"
#include "support/text.h"

namespace milgen::mil {
namespace {

constexpr std::size_t kOpsets = 4;  // ios15 to ios18
constexpr std::size_t kRowsPerOpset = static_cast<std::size_t>(kOpCount) + 2;
constexpr std::size_t kMostNotes = 4;

/// What Apple's compiler is known to refuse a program without, although a default is documented
/// (op_semantics: "Required param 'pad' is missing" and the like). Of the other arguments with a
/// default some are left out in programs that it took (batch_dims of gather).
constexpr std::string_view kDemanded[] = {"dilations", "groups", "interleave", "mode",
                                          "pad",       "size",   "strides",    "validate_indices"};

/// What ops are called elsewhere and in MIL.
struct OtherName {
  std::string_view elsewhere;
  std::string_view here;
};
constexpr OtherName kOtherNames[] = {
    {"addition", "add"},
    {"batchnorm", "batch_norm"},
    {"cat", "concat"},
    {"ceiling", "ceil"},
    {"clamp", "clip"},
    {"concatenate", "concat"},
    {"conv2d", "conv"},
    {"convolution", "conv"},
    {"dense", "linear"},
    {"divide", "real_div"},
    {"div", "real_div"},
    {"fully_connected", "linear"},
    {"instancenorm", "instance_norm"},
    {"layernorm", "layer_norm"},
    {"max", "maximum"},
    {"maxpool", "max_pool"},
    {"mean", "reduce_mean"},
    {"min", "minimum"},
    {"multiply", "mul"},
    {"permute", "transpose"},
    {"power", "pow"},
    {"sdpa", "scaled_dot_product_attention"},
    {"subtract", "sub"},
    {"sum", "reduce_sum"},
    {"swish", "silu"},
    {"unsqueeze", "expand_dims"},
    {"where", "select"},
};

bool is_demanded(std::string_view param) {
  return std::ranges::find(kDemanded, param) != std::end(kDemanded);
}

/// Whether an attribute says something about an op and is no operand: the name, and what the
/// segmenter notes (mil_text_format, section 7).
bool is_annotation(std::string_view attribute) {
  return attribute == "name" || attribute == "milId" ||
         (attribute.substr(0, 1) >= "A" && attribute.substr(0, 1) <= "Z");
}

/// Whether a dim that is written stands for the one that was inferred. What inference cannot say
/// may be any number: Apple's compiler follows some values further than milgen does.
bool dim_agrees(std::int64_t inferred, std::int64_t written) {
  return inferred == written || !known(inferred) || !known(written);
}

bool dims_agree(std::span<const std::int64_t> inferred, std::span<const std::int64_t> written) {
  if (inferred.size() == 1 && inferred[0] == kUnknownRank) return true;
  return std::ranges::equal(inferred, written, dim_agrees);
}

bool types_agree(const TypeView& inferred, const TypeView& written) {
  if (inferred.kind == TypeKind::dict) return written.kind == TypeKind::dict;
  if (inferred.kind != written.kind || inferred.dtype != written.dtype ||
      !dims_agree(inferred.shape, written.shape) || !dim_agrees(inferred.length, written.length) ||
      (inferred.element == nullptr) != (written.element == nullptr)) {
    return false;
  }
  // Lists and states hold tensors only, so one level of nesting is all there is.
  return inferred.element == nullptr ||
         (inferred.element->dtype == written.element->dtype &&
          dims_agree(inferred.element->shape, written.element->shape));
}

/// Whether a number was inferred where `?` is written.
bool is_weaker(const TypeView& written, const TypeView& inferred) {
  if (written.shape.size() != inferred.shape.size()) return false;
  for (std::size_t i = 0; i < written.shape.size(); ++i) {
    if (!known(written.shape[i]) && known(inferred.shape[i])) return true;
  }
  return false;
}

/// Whether a glance says that a literal fits its type, as it does for most: names, flags, axes. The
/// parser has seen to it that what begins with a quote is one string.
bool is_evident(const TypeRecord& type, std::string_view text) {
  if (type.kind != TypeKind::tensor || type.rank != 0 || text.empty()) return false;
  if (type.dtype == DType::string) return text.front() == '"';
  if (type.dtype == DType::boolean) return text == "true" || text == "false";
  constexpr std::size_t kDigitsOfAny32Bits = 9;
  return type.dtype == DType::int32 && text.size() <= kDigitsOfAny32Bits &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::string spelled(const ModuleData& data, Id type) {
  constexpr std::size_t kTypeBytes = 200;
  return printable(data.types[type].text, kTypeBytes);
}

std::string spelled(const InferredResult& result) {
  if (result.type.kind == TypeKind::dict) {
    return fmt::format("dict<{}, {}>", dtype_name(result.key), dtype_name(result.type.dtype));
  }
  return to_string(result.type);
}

}  // namespace

/// The table's view of an op of a module.
class ModuleContext final : public InferContext {
 public:
  ModuleContext(OpVerifier& verifier, const OpRecord& op, const OpInfo& info, Opset opset)
      : InferContext(info, opset), verifier_(verifier), op_(op) {
    set_arguments(verifier.views_);
  }

  std::string describe(std::string_view param, int index) const override {
    const OpVerifier::Given* given = find(param);
    if (given == nullptr) return std::string(param);
    std::string out(param);
    if (given->is_tuple) out += fmt::format("[{}]", index);
    const auto at = static_cast<std::size_t>(index);
    if (at < given->count && given->bindings[at].kind == BindingKind::value) {
      out += fmt::format(" '{}'", data().name(data().values[given->bindings[at].id].name));
    }
    return out;
  }

  void result(DType dtype, std::span<const std::int64_t> shape) override {
    add({.dtype = dtype, .shape = shape});
  }
  void result_like(std::string_view param, int index) override {
    verifier_.results_.push_back({.type = type(param, index)});
  }
  void result_list(DType dtype, std::span<const std::int64_t> element_shape,
                   std::int64_t length) override {
    elements_.push_back(
        std::make_unique<TypeView>(TypeView{.dtype = dtype, .shape = keep(element_shape)}));
    add({.kind = TypeKind::list, .shape = {}, .element = elements_.back().get(), .length = length});
  }
  void result_element(std::string_view param) override {
    const TypeView container = type(param, 0);
    verifier_.results_.push_back(
        {.type = container.element != nullptr ? *container.element : TypeView{}});
  }
  void result_dict(DType key, DType value) override {
    verifier_.results_.push_back(
        {.type = {.kind = TypeKind::dict, .dtype = value, .shape = {}}, .key = key});
  }
  void result_tensor_buffer(DType dtype, std::span<const std::int64_t> shape,
                            std::span<const std::int64_t> strides,
                            std::span<const std::int64_t> interleave_factors) override {
    add({.kind = TypeKind::tensor_buffer,
         .dtype = dtype,
         .shape = shape,
         .strides = keep(strides),
         .interleave_factors = keep(interleave_factors)});
  }

  int block_count() const override { return static_cast<int>(op_.blocks); }
  int block_inputs(int block) const override { return static_cast<int>(at(block).inputs); }
  TypeView block_input(int block, int index) const override {
    return verifier_.values_.type(at(block).first_input + static_cast<Id>(index));
  }
  int block_outputs(int block) const override { return static_cast<int>(at(block).outputs); }
  TypeView block_output(int block, int index) const override {
    const BindingRecord& output = data().outputs_of(at(block))[static_cast<std::size_t>(index)];
    return verifier_.values_.type(output.id);
  }

  void error(Rule rule, std::string_view operands, std::string message) override {
    set_failed();
    if (verifier_.is_disputed_) return;
    Diagnostic* diagnostic = verifier_.report_.error(rule, place_of(operands), [&] {
      return fmt::format("{}: {}", op().name, printable(message, kMessageBytes));
    });
    if (diagnostic == nullptr) return;
    for_each_word(operands, [&](std::string_view param) { note(diagnostic, param); });
  }

 private:
  static constexpr std::size_t kMessageBytes = 1000;

  const ModuleData& data() const { return verifier_.data_; }
  std::span<const std::int64_t> keep(std::span<const std::int64_t> dims) {
    return verifier_.values_.keep(dims);
  }
  void add(TypeView type) {
    // The dims may be the inference function's own, which are gone when it returns.
    type.shape = keep(type.shape);
    verifier_.results_.push_back({.type = type});
  }
  const BlockRecord& at(int block) const {
    Id id = op_.first_block;
    for (; block > 0; --block) id = data().blocks[id].next;
    return data().blocks[id];
  }
  const OpVerifier::Given* find(std::string_view param) const {
    const std::span<const Param> params = verifier_.row_->params;
    for (std::size_t i = 0; i < params.size(); ++i) {
      if (params[i].name == param && verifier_.given_[i].count != 0) return &verifier_.given_[i];
    }
    return nullptr;
  }

  /// The first operand that the sentence is about, or the op's word.
  Place place_of(std::string_view operands) const {
    const OpVerifier::Given* given = find(operands.substr(0, operands.find(' ')));
    if (given == nullptr) return data().place(op_.name_at, op().name.size());
    return verifier_.place_of_argument(*given);
  }
  void note(Diagnostic* diagnostic, std::string_view param) const {
    const OpVerifier::Given* given = find(param);
    if (given == nullptr) return;
    for (std::uint32_t i = 0; i < given->count && i < kMostNotes; ++i) {
      if (given->bindings[i].kind != BindingKind::value) continue;
      verifier_.report_.note_made(
          diagnostic, given->is_tuple ? fmt::format("{}[{}]", param, i) : std::string(param),
          given->bindings[i].id);
    }
  }

  OpVerifier& verifier_;
  const OpRecord& op_;
  std::vector<std::unique_ptr<TypeView>> elements_;
};

OpVerifier::OpVerifier(const ModuleData& data, VerifyValues& values, VerifyNames& names,
                       VerifyReport& report)
    : data_(data),
      values_(values),
      names_(names),
      report_(report),
      rows_(kRowsPerOpset * kOpsets),
      seen_(data.names.size(), 0),
      name_key_(data.names.find("name")),
      val_key_(data.names.find("val")) {
  loses_names_ = std::ranges::any_of(
      data.ops, [](const OpRecord& op) { return op.broken && op.results == 0; });
}

// --- The pieces that every op has. ---

bool OpVerifier::verify_literal(Id literal) {
  if (values_.is_bad(literal)) return false;
  const LiteralRecord& record = data_.literals[literal];
  if (record.type == kNoId) {
    report_.warning(
        rule<"literal.bare">, [&] { return data_.place(record.at, record.text.size()); },
        [&] {
          return fmt::format("{} is written without a type, which no known compiler prints",
                             printable(record.text, 40));
        });
    return true;
  }
  if (record.blob != kNoId) return verify_blob(literal);
  if (is_evident(data_.types[record.type], record.text)) return true;
  std::vector<LiteralFault> lost;
  const std::optional<LiteralFault> fault = check_literal(data_, record, lost);
  for (const LiteralFault& one : lost) {
    report_.warning(
        one.rule, [&] { return place_of_text(data_, one.token); }, [&] { return one.message; });
  }
  if (!fault) return true;
  report_.error(fault->rule,
                fault->token.empty() ? data_.place(record.at, record.text.size())
                                     : place_of_text(data_, fault->token),
                [&] { return fault->message; });
  values_.set_bad(literal);
  return false;
}

bool OpVerifier::verify_blob(Id literal) {
  const LiteralRecord& record = data_.literals[literal];
  const BlobRecord& blob = data_.blobs[record.blob];
  const auto is_scalar = [&](Id type, DType dtype) {
    const TypeRecord& written = data_.types[type];
    return written.kind == TypeKind::tensor && written.dtype == dtype && written.rank == 0;
  };
  const auto refuse = [&](Rule rule, std::string message) {
    report_.error(rule, data_.place(record.at, record.text.size()), [&] { return message; });
    values_.set_bad(literal);
    return false;
  };
  if (!is_scalar(blob.path_type, DType::string) || !is_scalar(blob.offset_type, DType::uint64)) {
    return refuse(rule<"weight.blobfile">,
                  fmt::format("path and offset are {} and {} but must be string and uint64",
                              printable(data_.types[blob.path_type].text),
                              printable(data_.types[blob.offset_type].text)));
  }
  if (data_.types[record.type].kind != TypeKind::tensor) {
    return refuse(rule<"weight.kind">, fmt::format("a weight file holds tensors but this is {}",
                                                   printable(data_.types[record.type].text)));
  }
  blobs_.push_back({literal, name_});
  return true;
}

void OpVerifier::verify_attributes(std::span<const AttributeRecord> attributes) {
  const std::uint32_t round = ++round_;
  for (const AttributeRecord& attribute : attributes) {
    const std::string_view key = data_.name(attribute.name);
    if (seen_[attribute.name] == round) {
      report_.error(rule<"attribute.twice">, data_.place(attribute.at, key.size()),
                    [&] { return fmt::format("attribute {} is given twice", key); });
    }
    seen_[attribute.name] = round;
    verify_literal(attribute.literal);
    if (attribute.name != name_key_) continue;
    const Id type = data_.literals[attribute.literal].type;
    if (type == string_type_ || data_.types[type].text == "string") {
      string_type_ = type;
      continue;
    }
    const TypeRecord& written = data_.types[type];
    if (written.dtype == DType::string && written.rank == 0) continue;
    report_.error(rule<"attribute.name">, data_.place(attribute.at, key.size()), [&] {
      return fmt::format("attribute name is {} but must be string", printable(written.text));
    });
  }
}

bool OpVerifier::verify_binding(const BindingRecord& binding, std::string_view op,
                                std::string_view what, Id block, Id end) {
  switch (binding.kind) {
    case BindingKind::value:
      return true;
    case BindingKind::literal:
      return verify_literal(binding.id);
    case BindingKind::undefined:
      if (!loses_names_) {
        names_.undefined(binding.id, fmt::format("{}: {}", op, what),
                         data_.place(binding.at, data_.name(binding.id).size()), block, end);
      }
      return false;
    case BindingKind::tuple:
      break;
  }
  report_.error(rule<"arg.nested">, data_.place(binding.at),
                [&] { return fmt::format("{}: {} holds a tuple inside of a tuple", op, what); });
  return false;
}

// --- One op. ---

void OpVerifier::verify(Id id, Opset opset) {
  const OpRecord& op = data_.ops[id];
  name_ = op.results == 0 ? op.name : data_.values[op.first_result].name;
  verify_attributes(data_.attributes_of(op));
  if (judge(op, opset)) return;
  for (Id i = 0; i < op.results; ++i) values_.set_refused(op.first_result + i);
}

bool OpVerifier::judge(const OpRecord& op, Opset opset) {
  if (op.code == static_cast<std::int16_t>(OpCode::const_)) return verify_const(op);
  const OpRow* row = find_row(op, opset);
  if (row != nullptr) return verify_known_op(op, *row, opset);
  report_unknown_op(op);
  return false;
}

const OpRow* OpVerifier::find_row(const OpRecord& op, Opset opset) {
  const OpInfo* info = op.code >= 0 ? &op_info(static_cast<OpCode>(op.code))
                                    : find_segmenter_op(data_.name(op.name));
  if (info == nullptr) return nullptr;
  OpRow& row = rows_[kRowsPerOpset * (static_cast<std::size_t>(opset) -
                                      static_cast<std::size_t>(Opset::ios15)) +
                     static_cast<std::size_t>(info->code)];
  if (row.info != nullptr) return &row;
  row.info = info;
  row.params = info->params(opset);
  for (const Param& param : row.params) row.names.push_back(data_.names.find(param.name));
  Opset since = info->since();
  for (const Signature& signature : info->signatures) {
    if (signature.since <= opset) since = signature.since;
  }
  // opset_history: constexpr ops have inputs from the version of ios18 on, and one that has no such
  // version (constexpr_affine_dequantize) keeps its attributes in programs of ios18.
  row.in_attributes = has(info->traits, Trait::constexpr_op) && since < Opset::ios18;
  return &row;
}

void OpVerifier::report_unknown_op(const OpRecord& op) {
  const std::string_view word = data_.name(op.name);
  report_.error(rule<"op.unknown">, data_.place(op.name_at, word.size()), [&] {
    const auto known_as = std::ranges::find(kOtherNames, word, &OtherName::elsewhere);
    if (known_as != std::end(kOtherNames)) {
      return fmt::format("there is no op {}; MIL calls it '{}'", word, known_as->here);
    }
    std::vector<std::string_view> names;
    for (const OpInfo& info : op_table()) names.push_back(info.name);
    return fmt::format("there is no op {}{}", word, did_you_mean(word, names));
  });
  // What it is given is judged all the same: a name that nothing defines is a mistake of its own.
  for (const ArgumentRecord& argument : data_.arguments_of(op)) {
    for (const BindingRecord& binding : data_.bindings_of(argument)) {
      if (binding.kind == BindingKind::tuple) continue;
      verify_binding(binding, word, data_.name(argument.name), op.block, op.first_result);
    }
  }
}

bool OpVerifier::verify_const(const OpRecord& op) {
  const auto place = [&] { return data_.place(op.name_at, 5); };
  if (op.results != 1) {
    report_.error(rule<"op.results">, place(), [&] {
      return fmt::format("const: the op gives 1 result but {} are written", op.results);
    });
    return false;
  }
  if (op.arguments != 0) {
    const ArgumentRecord& argument = data_.arguments_of(op).front();
    const std::string_view name = data_.name(argument.name);
    report_.error(rule<"arg.unknown">, data_.place(argument.at, name.size()), [&] {
      return fmt::format("const: there is no argument {}; the value is the attribute val", name);
    });
  }
  if (op.blocks != 0) {
    report_.error(rule<"block.count">, place(), [&] {
      return fmt::format("const: the op has {} block{} but takes 0", op.blocks,
                         op.blocks == 1 ? "" : "s");
    });
  }
  const AttributeRecord* val = nullptr;
  for (const AttributeRecord& attribute : data_.attributes_of(op)) {
    if (attribute.name == val_key_ && val == nullptr) val = &attribute;
  }
  if (val == nullptr) {
    report_.error(rule<"const.value">, place(),
                  [] { return std::string("const: the attribute val, its value, is missing"); });
    return false;
  }
  const Id written = data_.values[op.first_result].type;
  const Id given = data_.literals[val->literal].type;
  if (written == given || data_.types[written].plain == data_.types[given].plain) {
    values_.set_literal(op.first_result, val->literal);
    return !values_.is_bad(val->literal);
  }
  Diagnostic* diagnostic = report_.error(rule<"const.type">, data_.place(val->at, 3), [&] {
    return fmt::format("const: val is {} but '{}' is written as {}", spelled(data_, given),
                       data_.name(data_.values[op.first_result].name), spelled(data_, written));
  });
  if (diagnostic != nullptr) {
    diagnostic->notes.push_back({"this is the written type", place_of_type(op.first_result)});
  }
  return false;
}

bool OpVerifier::verify_known_op(const OpRecord& op, const OpRow& row, Opset opset) {
  row_ = &row;
  const OpInfo& info = *row.info;
  given_.assign(row.params.size(), {});
  if (info.since() > opset) {
    report_.error(rule<"op.opset">, data_.place(op.name_at, info.name.size()), [&] {
      return fmt::format("{}: the op exists from {} on but is judged as one of {}", info.name,
                         opset_name(info.since()), opset_name(opset));
    });
    return false;
  }
  // Both are collected, so that all of an op's own mistakes are in one run.
  const bool arguments = collect_arguments(op, row, opset);
  const bool attributes = collect_attributes(op, row, opset);
  if (!arguments || !attributes) return false;
  if (op.code == static_cast<std::int16_t>(OpCode::cond) ||
      op.code == static_cast<std::int16_t>(OpCode::while_loop)) {
    if (!blocks_are_whole(op)) return false;
  } else if (op.blocks != 0) {
    report_.error(rule<"block.count">, data_.place(op.name_at, info.name.size()), [&] {
      return fmt::format("{}: the op has {} block{} but takes 0", info.name, op.blocks,
                         op.blocks == 1 ? "" : "s");
    });
    return false;
  }
  check_defaults(op, row);
  show_arguments(row);
  is_disputed_ = takes_disputed();
  results_.clear();
  ModuleContext context(*this, op, info, opset);
  if (!infer_op(context)) return false;
  const bool constant = has(info.traits, Trait::constexpr_op) ||
                        (all_constant() && !has(info.traits, Trait::random) && op.blocks == 0);
  for (Id i = 0; constant && i < op.results; ++i) values_.set_constant(op.first_result + i);
  return compare_results(op, info);
}

bool OpVerifier::blocks_are_whole(const OpRecord& op) const {
  for (Id block = op.first_block; block != kNoId; block = data_.blocks[block].next) {
    for (const BindingRecord& output : data_.outputs_of(data_.blocks[block])) {
      if (output.kind != BindingKind::value) return false;
    }
  }
  return true;
}

// --- Arguments. ---

bool OpVerifier::collect_arguments(const OpRecord& op, const OpRow& row, Opset opset) {
  bool ok = true;
  for (const ArgumentRecord& argument : data_.arguments_of(op)) {
    const std::span<const BindingRecord> bindings = data_.bindings_of(argument);
    const std::string_view name = data_.name(argument.name);
    for (const BindingRecord& binding : bindings) {
      ok = verify_binding(binding, row.info->name, name, op.block, op.first_result) && ok;
    }
    const auto param =
        static_cast<std::size_t>(std::ranges::find(row.names, argument.name) - row.names.begin());
    if (param == row.names.size() || row.params[param].kind == ParamKind::block) {
      report_unknown_argument(row, name, argument.at, opset);
      ok = false;
      continue;
    }
    if (row.in_attributes) {
      report_.error(rule<"constexpr.form">, data_.place(argument.at, name.size()), [&] {
        return fmt::format("{}: {} is written as an argument but is an attribute of the op in {}",
                           row.info->name, name, opset_name(opset));
      });
      ok = false;
    }
    if (row.params[param].is_const && !std::ranges::none_of(bindings, [&](const auto& binding) {
          return binding.kind == BindingKind::value && values_.is_refused(binding.id);
        })) {
      ok = false;  // what was refused might well have been a constant
    }
    const Given given{bindings.data(), argument.bindings, argument.at, argument.is_tuple};
    ok = give(row, param, given) && ok;
  }
  return ok;
}

/// Operands of constexpr ops that stand among the attributes.
bool OpVerifier::collect_attributes(const OpRecord& op, const OpRow& row, Opset opset) {
  if (!has(row.info->traits, Trait::constexpr_op)) return true;
  bool ok = true;
  const std::span<const AttributeRecord> attributes = data_.attributes_of(op);
  attribute_bindings_.clear();
  attribute_bindings_.reserve(attributes.size());  // what is given points into it
  for (const AttributeRecord& attribute : attributes) {
    const auto param =
        static_cast<std::size_t>(std::ranges::find(row.names, attribute.name) - row.names.begin());
    if (param == row.names.size()) {
      const std::string_view key = data_.name(attribute.name);
      if (!row.in_attributes || is_annotation(key)) continue;
      report_unknown_argument(row, key, attribute.at, opset);
      ok = false;
      continue;
    }
    if (!row.in_attributes) {
      const std::string_view name = data_.name(attribute.name);
      report_.error(rule<"constexpr.form">, data_.place(attribute.at, name.size()), [&] {
        return fmt::format(
            "{}: {} is written as an attribute but is an argument of the op from "
            "ios18 on",
            row.info->name, name);
      });
      ok = false;
    }
    BindingRecord binding;
    binding.kind = BindingKind::literal;
    binding.id = attribute.literal;
    binding.at = data_.literals[attribute.literal].at;
    attribute_bindings_.push_back(binding);
    ok = !values_.is_bad(attribute.literal) && ok;
    // A key that is there twice has been reported.
    if (given_[param].count == 0) {
      given_[param] = {&attribute_bindings_.back(), 1, attribute.at, false};
    }
  }
  return ok;
}

bool OpVerifier::give(const OpRow& row, std::size_t param, const Given& given) {
  const Param& wanted = row.params[param];
  if (given_[param].bindings != nullptr) {
    report_.error(rule<"arg.twice">, data_.place(given.at, wanted.name.size()), [&] {
      return fmt::format("{}: argument {} is given twice", row.info->name, wanted.name);
    });
    return false;
  }
  given_[param] = given;
  // One value in parentheses is the value (mil_text_format, section 2).
  if (wanted.kind == ParamKind::variadic || given.count == 1) return true;
  report_.error(rule<"arg.kind">, data_.place(given.at, wanted.name.size()), [&] {
    return fmt::format("{}: {} is a tuple of {} values but the op takes one there", row.info->name,
                       wanted.name, given.count);
  });
  return false;
}

void OpVerifier::report_unknown_argument(const OpRow& row, std::string_view name, std::uint32_t at,
                                         Opset opset) {
  const Place place = data_.place(at, name.size());
  for (const Signature& signature : row.info->signatures) {
    if (std::ranges::find(signature.params, name, &Param::name) == signature.params.end()) continue;
    report_.error(rule<"arg.opset">, place, [&] {
      return fmt::format("{}: the op of {} has no argument {}, which that of {} has",
                         row.info->name, opset_name(opset), name, opset_name(signature.since));
    });
    return;
  }
  report_.error(rule<"arg.unknown">, place, [&] {
    std::vector<std::string_view> names;
    for (const Param& param : row.params) {
      if (param.kind != ParamKind::block) names.push_back(param.name);
    }
    return fmt::format("{}: there is no {} {}{}", row.info->name,
                       row.in_attributes ? "attribute" : "argument", name,
                       did_you_mean(name, names));
  });
}

/// Arguments that have a default and are written in every program that coremltools makes.
void OpVerifier::check_defaults(const OpRecord& op, const OpRow& row) {
  for (std::size_t i = 0; i < row.params.size(); ++i) {
    const Param& param = row.params[i];
    if (given_[i].bindings != nullptr || param.required() || !param.always_printed()) continue;
    if (!param.needs.empty() && !is_wanted(row, param.needs)) continue;
    const auto place = [&] { return data_.place(op.name_at, row.info->name.size()); };
    if (is_demanded(param.name)) {
      report_.error(rule<"arg.demanded">, place(), [&] {
        return fmt::format(
            "{}: argument {} is missing; it has a default, but Apple's compiler "
            "demands it written",
            row.info->name, param.name);
      });
    } else {
      report_.warning(rule<"arg.default">, place, [&] {
        return fmt::format(
            "{}: argument {} is left to its default, which some compilers demand "
            "written",
            row.info->name, param.name);
      });
    }
  }
}

/// Whether a boolean argument is true, or left to a default.
bool OpVerifier::is_wanted(const OpRow& row, std::string_view param) {
  for (std::size_t i = 0; i < row.params.size(); ++i) {
    if (row.params[i].name != param || given_[i].count != 1) continue;
    const ConstView* constant = show(row, i, given_[i].bindings[0]).constant;
    return constant == nullptr || constant->ints.empty() || constant->ints[0] != 0;
  }
  return true;
}

void OpVerifier::show_arguments(const OpRow& row) {
  std::size_t count = 0;
  for (const Given& given : given_) count += given.count;
  argument_values_.clear();
  argument_values_.reserve(count);  // the views point into it
  unknown_constants_.clear();
  unknown_constants_.reserve(count);
  views_.clear();
  for (std::size_t i = 0; i < given_.size(); ++i) {
    if (given_[i].bindings == nullptr) continue;
    const std::size_t first = argument_values_.size();
    for (std::uint32_t b = 0; b < given_[i].count; ++b) {
      argument_values_.push_back(show(row, i, given_[i].bindings[b]));
    }
    views_.push_back({row.params[i].name, std::span(argument_values_).subspan(first)});
  }
}

ArgumentValue OpVerifier::show(const OpRow& row, std::size_t param, const BindingRecord& binding) {
  ArgumentValue out;
  if (binding.kind == BindingKind::literal) {
    const LiteralRecord& literal = data_.literals[binding.id];
    out.type =
        literal.type == kNoId ? bare_type(row, param, literal) : data_.types.view(literal.type);
    out.constant = &values_.constant(binding.id, out.type);
    return out;
  }
  out.type = values_.type(binding.id);
  const Id literal = values_.literal(binding.id);
  // No rule asks for the floats that an elementwise op takes, and there can be many.
  const bool is_plain_operand = has(row.info->traits, Trait::elementwise) &&
                                row.params[param].form == Form::operand && is_float(out.type.dtype);
  if (literal != kNoId && !is_plain_operand) {
    out.constant = &values_.constant(literal, out.type);
  } else if (values_.is_constant(binding.id)) {
    out.constant = &unknown_constants_.emplace_back(
        ConstView{out.type.dtype, out.type.shape, false, {}, {}, {}});
  }
  return out;
}

/// What a literal without a type is taken for: the dtype that its domain has already, or the one
/// that the argument takes and the text looks like.
const TypeView& OpVerifier::bare_type(const OpRow& row, std::size_t param,
                                      const LiteralRecord& literal) {
  const char first = literal.text.empty() ? '\0' : literal.text.front();
  const Param& wanted = row.params[param];
  DType dtype = DType::none;
  bare_.clear();
  if (first == '"') {
    dtype = DType::string;
  } else if (first == 't' || first == 'f') {
    dtype = DType::boolean;
  } else if (decode_integers(literal.text, bare_, SIZE_MAX) && wanted.dtypes.has(DType::int32)) {
    dtype = DType::int32;
  } else {
    dtype = wanted.dtypes.has(DType::fp32) ? DType::fp32 : DType::fp16;
  }
  for (std::size_t i = 0; i < row.params.size() && wanted.domain != '\0'; ++i) {
    if (row.params[i].domain != wanted.domain || given_[i].count != 1) continue;
    const BindingRecord& other = given_[i].bindings[0];
    if (other.kind == BindingKind::value) dtype = values_.type(other.id).dtype;
  }
  bare_.assign(1, std::ranges::count(literal.text, ',') + 1);
  return values_.make_type(
      dtype, first == '[' ? std::span<const std::int64_t>(bare_) : std::span<const std::int64_t>());
}

bool OpVerifier::takes_disputed() const {
  return std::ranges::any_of(given_, [&](const Given& given) {
    for (std::uint32_t i = 0; i < given.count; ++i) {
      const BindingRecord& binding = given.bindings[i];
      if (binding.kind == BindingKind::value && values_.is_disputed(binding.id)) return true;
    }
    return false;
  });
}

bool OpVerifier::all_constant() const {
  return std::ranges::all_of(argument_values_,
                             [](const ArgumentValue& value) { return value.constant != nullptr; });
}

Place OpVerifier::place_of_argument(const Given& given) const {
  // From the argument's word to the end of what is bound to it, as far as that is one line.
  const BindingRecord& binding = given.bindings[0];
  std::size_t length = 0;
  if (binding.kind == BindingKind::value) length = data_.name(data_.values[binding.id].name).size();
  if (binding.kind == BindingKind::literal) {
    const LiteralRecord& literal = data_.literals[binding.id];
    length = literal.at == kNoPlace ? 1 : literal.at + literal.text.size() - binding.at;
  }
  if (given.at == kNoPlace || binding.at == kNoPlace) return data_.place(given.at);
  return data_.place(given.at, std::min<std::size_t>(binding.at + length - given.at, 60));
}

// --- Results. ---

bool OpVerifier::compare_results(const OpRecord& op, const OpInfo& info) {
  if (results_.size() != op.results) {
    report_.error(rule<"op.results">, data_.place(op.name_at, info.name.size()), [&] {
      return fmt::format("{}: the op gives {} result{} but {} {} written", info.name,
                         results_.size(), results_.size() == 1 ? "" : "s", op.results,
                         op.results == 1 ? "is" : "are");
    });
    return false;
  }
  bool ok = true;
  for (Id i = 0; i < op.results; ++i) {
    ok = compare_result(info, op.first_result + i, results_[i]) && ok;
  }
  return ok;
}

bool OpVerifier::compare_result(const OpInfo& info, Id value, const InferredResult& inferred) {
  const Id type = data_.values[value].type;
  const TypeView& written = data_.types.view(type);
  const std::string_view name = data_.name(data_.values[value].name);
  if (inferred.type.kind == TypeKind::tensor && written.kind == TypeKind::tensor &&
      inferred.type.dtype == written.dtype &&
      std::ranges::equal(inferred.type.shape, written.shape)) {
    return true;
  }
  if (!types_agree(inferred.type, written) || !parts_agree(inferred, type)) {
    if (is_disputed_) return false;
    values_.set_disputed(value);
    Diagnostic* diagnostic = report_.error(rule<"type.annotation">, place_of_type(value), [&] {
      return fmt::format("{}: '{}' is written as {} but is {}", info.name, name,
                         spelled(data_, type), spelled(inferred));
    });
    note_operands(diagnostic);
    return false;
  }
  if (is_weaker(written, inferred.type)) {
    report_.warning(
        rule<"type.unknown_dim">, [&] { return place_of_type(value); },
        [&] {
          return fmt::format("{}: '{}' is written as {} but is known to be {}", info.name, name,
                             spelled(data_, type), spelled(inferred));
        });
  }
  values_.set_result(value, inferred.type.shape);
  return true;
}

/// What a type has beside shape and dtype: the keys of a dictionary, the layout of a buffer.
bool OpVerifier::parts_agree(const InferredResult& inferred, Id type) const {
  const TypeRecord& written = data_.types[type];
  if (written.kind == TypeKind::tensor_buffer) {
    return std::ranges::all_of(data_.types.fields(written), [&](const TypeField& field) {
      const std::span<const std::int64_t> dims = data_.types.dims(field);
      if (field.name == "strides") return std::ranges::equal(dims, inferred.type.strides);
      if (field.name != "interleave_factors") return true;
      return std::ranges::equal(dims, inferred.type.interleave_factors);
    });
  }
  if (written.kind != TypeKind::dict) return true;
  const auto is_scalar = [&](Id child, DType dtype) {
    return data_.types[child].kind == TypeKind::tensor && data_.types[child].dtype == dtype &&
           data_.types[child].rank == 0;
  };
  const std::span<const Id> children = data_.types.children(written);
  return is_scalar(children[0], inferred.key) && is_scalar(children[1], inferred.type.dtype);
}

/// Where the operands come from that are not constants: their types decide the result's.
void OpVerifier::note_operands(Diagnostic* diagnostic) const {
  if (diagnostic == nullptr) return;
  std::size_t notes = 0;
  for (std::size_t i = 0; i < given_.size(); ++i) {
    for (std::uint32_t b = 0; b < given_[i].count && notes < kMostNotes; ++b) {
      const BindingRecord& binding = given_[i].bindings[b];
      if (binding.kind != BindingKind::value || values_.is_constant(binding.id)) continue;
      const std::string_view param = row_->params[i].name;
      report_.note_made(diagnostic,
                        given_[i].is_tuple ? fmt::format("{}[{}]", param, b) : std::string(param),
                        binding.id);
      ++notes;
    }
  }
}

Place OpVerifier::place_of_type(Id value) const {
  const std::uint32_t at = data_.values[value].at;
  if (at == kNoPlace) return data_.place_of_value(value);
  // A type has no place of its own: it stands in front of the name.
  const std::string_view text = data_.text().substr(0, at);
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  std::size_t end = text.size();
  while (end > 0 && is_space(text[end - 1])) --end;
  std::size_t begin = end;
  std::size_t depth = 0;
  while (begin > 0) {
    const char c = text[begin - 1];
    if (c == '>') ++depth;
    if (c == '<') --depth;
    if (depth == 0 && c != '<' && !is_word(c)) break;
    --begin;
  }
  return data_.place(static_cast<std::uint32_t>(begin), end - begin);
}

}  // namespace milgen::mil
