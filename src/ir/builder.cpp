#include "ir/builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ir/canonical.h"
#include "milgen/weights.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen {
namespace {

constexpr int kLargestRank = 5;  // op_semantics: Apple's compiler takes no tensor above rank 5

std::string escaped(std::string_view name) {
  std::string out(name);
  // What coremltools' NameSanitizer appends (mil_text_format, section 1).
  if (is_reserved_word(name)) out += "_workaround";
  return out;
}

/// The nearest legal spelling, for the hint.
std::string legal_spelling(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool legal = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '@';
    out += legal ? c : '_';
  }
  if (out.empty() || (out[0] >= '0' && out[0] <= '9') || out[0] == '@') out.insert(0, 1, '_');
  return out;
}

}  // namespace

bool is_identifier(std::string_view name) {
  if (name.empty()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    const bool later = (c >= '0' && c <= '9') || c == '@';
    if (!letter && !(later && i != 0)) return false;
  }
  return true;
}

bool is_reserved_word(std::string_view name) {
  if (name.size() < 3 || name.size() > 7) return false;
  static constexpr std::array<std::string_view, 24> kWords = {
      "any",   "bf16",   "bool",   "dict",  "false", "float",  "fp16",   "fp32",
      "fp64",  "func",   "int16",  "int32", "int64", "int8",   "list",   "program",
      "state", "string", "tensor", "true",  "tuple", "uint16", "uint32", "uint64"};
  return name == "uint8" || std::find(kWords.begin(), kWords.end(), name) != kWords.end();
}

// --- Builder: names ---

NameId Builder::declare_name(std::string_view text, Loc where) {
  if (!is_identifier(text)) {
    diagnostics.error(rule<"name.characters">.id(),
                      fmt::format("name '{}' is not [A-Za-z_][A-Za-z0-9_@]*; '{}' would be", text,
                                  legal_spelling(text)),
                      where);
    return kNone;
  }
  if (scope_prefix.empty() && !is_reserved_word(text)) return graph->names.intern(text);
  return graph->names.intern(escaped(scope_prefix + std::string(text)));
}

bool Builder::claim(NameId name_id, ValueId value, Loc where) {
  if (const ValueId other = owner(name_id); other != kNone && other != value) {
    Diagnostic& report = diagnostics.error(
        rule<"name.duplicate">.id(),
        fmt::format("name '{}' is that of {} already", graph->names.view(name_id), describe(other)),
        where);
    note_made(report, other);
    return false;
  }
  if (name_id >= owners_.size()) {
    owners_.resize(std::max<std::size_t>(graph->names.size(), 64), kNone);
  }
  owners_[name_id] = value;
  return true;
}

std::string Builder::describe(ValueId value) const {
  const ValueRecord& record = graph->value(value);
  const std::string_view value_name = graph->names.view(record.name);
  std::string_view what = "value";
  if (record.def == kNone) {
    what = "input";
  } else if (const Const* constant = graph->constant_of(value)) {
    what = constant->kind == ConstKind::weight ? "weight" : "constant";
  } else if (value_name.empty()) {
    return fmt::format("the result of {}", op_info(graph->op(record.def).code).name);
  }
  return value_name.empty() ? std::string(what) : fmt::format("{} '{}'", what, value_name);
}

void Builder::note_made(Diagnostic& diagnostic, ValueId value) const {
  diagnostic.notes.push_back({fmt::format("{} is {}, made here", describe(value),
                                          to_string(graph->types.view(graph->value(value).type))),
                              Place(graph->loc_of(value))});
}

bool Builder::check_open(Loc where) {
  if (!finished) return true;
  diagnostics.error(rule<"kernel.finished">.id(),
                    fmt::format("kernel '{}' is finished; nothing can be added to it", name),
                    where);
  return false;
}

bool Builder::check_shape(std::string_view what, std::string_view value_name, const Shape& shape,
                          bool unknown_allowed, Loc where) {
  const auto refuse = [&](Rule broken, std::string message) {
    diagnostics.error(broken.id(), std::move(message), where);
    return false;
  };
  if (shape.size() > kLargestRank) {
    return refuse(rule<"tensor.rank">,
                  fmt::format("{} '{}' has rank {} with shape {}; the largest rank is {}", what,
                              value_name, shape.size(), to_string(shape), kLargestRank));
  }
  bool has_unknown = false;
  for (const std::int64_t dim : shape) {
    has_unknown = has_unknown || dim == kUnknownDim;
    if (dim > 0 || (dim == kUnknownDim && unknown_allowed)) continue;
    return refuse(rule<"tensor.dim">,
                  fmt::format("{} '{}' has shape {}; every dim is at least 1{}", what, value_name,
                              to_string(shape), unknown_allowed ? " or unknown" : ""));
  }
  std::int64_t count = 0;
  if (!has_unknown && !element_count(shape, count)) {
    return refuse(rule<"tensor.size">,
                  fmt::format("{} '{}' has shape {}, which has more than 2^63 - 1 elements", what,
                              value_name, to_string(shape)));
  }
  return true;
}

// --- Values ---

Shape Value::shape() const {
  if (poisoned() || builder_ == nullptr) return {};
  return Shape(builder_->graph->types.shape(builder_->graph->value(id_).type));
}

DType Value::dtype() const {
  if (poisoned() || builder_ == nullptr) return DType::none;
  return builder_->graph->types.dtype(builder_->graph->value(id_).type);
}

std::int64_t Value::dim(int axis) const {
  if (poisoned() || builder_ == nullptr) return 0;
  const std::span<const std::int64_t> dims =
      builder_->graph->types.shape(builder_->graph->value(id_).type);
  const auto rank = static_cast<int>(dims.size());
  const int at = axis < 0 ? axis + rank : axis;
  return at >= 0 && at < rank ? dims[static_cast<std::size_t>(at)] : 0;
}

namespace detail {

void set_name(Value value, std::string_view name, Loc loc) {
  if (value.poisoned() || !value.given()) return;
  Builder& builder = *value.builder();
  if (!builder.check_open(loc)) return;
  const NameId id = builder.declare_name(name, loc);
  if (id == kNone || !builder.claim(id, value.id(), loc)) return;
  const NameId old = builder.graph->value(value.id()).name;
  if (old != kNoName && old != id) {
    builder.diagnostics.warning(
        rule<"name.replaced">.id(),
        fmt::format("{} gets a second name, '{}'; MIL has one name for a value, so the text will "
                    "say '{}'",
                    builder.describe(value.id()), builder.graph->names.view(id),
                    builder.graph->names.view(id)),
        loc);
  }
  builder.graph->set_name(value.id(), id);
}

Value checked(Value value, DType dtype, Loc loc) {
  if (value.poisoned() || !value.given() || value.dtype() == dtype) return value;
  Builder& builder = *value.builder();
  Diagnostic& report =
      builder.diagnostics.error(rule<"value.dtype">.id(),
                                fmt::format("Tensor<{}> is made from a value of dtype {}",
                                            dtype_name(dtype), dtype_name(value.dtype())),
                                loc);
  builder.note_made(report, value.id());
  return builder.poison();
}

Value binary(Binary op, DType dtype, const At& x, const At& y) {
  static constexpr std::array<OpCode, 10> kCodes = {
      OpCode::add,       OpCode::sub,  OpCode::mul,        OpCode::real_div, OpCode::equal,
      OpCode::not_equal, OpCode::less, OpCode::less_equal, OpCode::greater,  OpCode::greater_equal};
  OpBuilder out(kCodes[static_cast<std::size_t>(op)], x.loc.file != nullptr ? x.loc : y.loc);
  // A number takes the kernel of the tensor beside it, so the tensor goes first.
  if (!x.is_number) out.operand("x", x.value);
  if (!y.is_number) out.operand("y", y.value);
  if (x.is_number) out.number("x", dtype, x.number);
  if (y.is_number) out.number("y", dtype, y.number);
  return out.result();
}

}  // namespace detail

// --- OpBuilder ---

namespace {

enum class ArgumentKind : std::uint8_t { value, ints, reals, text };

struct Argument {
  std::uint16_t param;
  ArgumentKind kind;
  bool scalar = false;
  DType dtype = DType::none;  // none: that of the domain
  Value value = {};
  std::string_view text = {};
  double number = 0;
  std::size_t first = 0;  // into Scratch::ints
  std::size_t count = 0;
};

/// A result type on its way from inference into the graph.
struct PendingResult {
  TypeId type;  // kNone: dtype and dims say it
  DType dtype;
  std::size_t first;  // into Scratch::dims
  std::size_t count;
};

/// Collected arguments, held from one op to the next so that the steady state allocates nothing.
/// A stack: the arguments of an op lie above those of ops that are still being collected.
struct Scratch {
  std::vector<Argument> arguments;
  std::vector<std::int64_t> ints;
  std::vector<Operand> operands;
  std::vector<std::string_view> names;  // of the operands' arguments
  std::vector<ConstView> constants;
  std::vector<std::string_view> texts;
  std::vector<PendingResult> pending;
  std::vector<std::int64_t> dims;
  std::vector<TypeId> results;
};

Scratch& scratch() {
  thread_local Scratch instance;
  return instance;
}

std::uint16_t param_index(const OpInfo& op, std::string_view name) {
  const std::span<const Param> params = op.signatures.back().params;
  for (std::size_t i = 0; i < params.size(); ++i) {
    if (params[i].name == name) return static_cast<std::uint16_t>(i);
  }
  return 0xFFFF;
}

/// The table's view of an op that is about to be added.
class GraphInferContext final : public InferContext {
 public:
  GraphInferContext(Builder& builder, const OpInfo& op, std::span<const Operand> operands,
                    Scratch& scratch, Loc loc)
      : InferContext(op, builder.opset),
        builder_(builder),
        graph_(*builder.graph),
        operands_(operands),
        scratch_(scratch),
        loc_(loc) {
    const std::span<const Param> params = op.signatures.back().params;
    scratch.results.clear();
    scratch.pending.clear();
    scratch.dims.clear();
    scratch.names.clear();
    for (const Operand& operand : operands) scratch.names.push_back(params[operand.param].name);
    // Views of constants are made when they are asked for.
    scratch.constants.resize(operands.size());
    scratch.texts.resize(operands.size());
    for (ConstView& view : scratch.constants) view.dtype = DType::none;
  }

  int count(std::string_view param) const override {
    std::size_t at = find(param, 0);
    int n = 0;
    // Operands stand in table order, so those of one argument stand together.
    for (; at < operands_.size() && same_name(scratch_.names[at], param); ++at) ++n;
    return n;
  }
  TypeView type(std::string_view param, int index) const override {
    const std::size_t at = find(param, index);
    return at == kMissing ? TypeView{} : graph_.types.view(graph_.value(operands_[at].value).type);
  }
  const ConstView* constant(std::string_view param, int index) const override {
    const std::size_t at = find(param, index);
    if (at == kMissing) return nullptr;
    ConstView& view = scratch_.constants[at];
    if (view.dtype != DType::none) return &view;
    const Const* constant = graph_.constant_of(operands_[at].value);
    if (constant == nullptr) return nullptr;
    view = ConstView();
    view.dtype = graph_.types.dtype(constant->type);
    view.shape = graph_.types.shape(constant->type);
    view.ints = graph_.ints(*constant);
    view.reals = graph_.reals(*constant);
    view.known = constant->kind != ConstKind::weight && constant->kind != ConstKind::fill;
    if (constant->kind == ConstKind::text) {
      scratch_.texts[at] = graph_.text(*constant);
      view.texts = {&scratch_.texts[at], 1};
    }
    return &view;
  }
  std::string describe(std::string_view param, int index) const override {
    const std::size_t at = find(param, index);
    std::string out(param);
    if (at == kMissing) return out;
    const NameId name = graph_.value(operands_[at].value).name;
    if (name != kNoName) out += fmt::format(" '{}'", graph_.names.view(name));
    return out;
  }

  // Result types are interned by take_results(), when inference is done: interning may move the
  // dims that the views given out by type() look at.
  void result(DType dtype, std::span<const std::int64_t> shape) override {
    scratch_.pending.push_back({kNone, dtype, scratch_.dims.size(), shape.size()});
    scratch_.dims.insert(scratch_.dims.end(), shape.begin(), shape.end());
  }
  void result_like(std::string_view param, int index) override {
    const TypeId type = graph_.value(operands_[find(param, index)].value).type;
    scratch_.pending.push_back({type, DType::none, 0, 0});
  }
  // Lists and states have no values in the DSL yet that could bring an op of theirs here; the
  // result then has the element's type, which the caller checks.
  void result_list(DType dtype, std::span<const std::int64_t> element_shape,
                   std::int64_t) override {
    result(dtype, element_shape);
  }
  void result_element(std::string_view param) override {
    const TypeView container = type(param, 0);
    if (container.element != nullptr) result(container.element->dtype, container.element->shape);
  }

  void take_results() {
    for (const PendingResult& result : scratch_.pending) {
      scratch_.results.push_back(
          result.type != kNone
              ? result.type
              : graph_.types.tensor(result.dtype,
                                    std::span(scratch_.dims).subspan(result.first, result.count)));
    }
  }

  void error(Rule rule, std::string_view operands, std::string message) override {
    set_failed();
    Diagnostic& report = builder_.diagnostics.error(
        rule.id(), fmt::format("{}: {}", op().name, message), Place(loc_));
    for_each_word(operands, [&](std::string_view word) {
      for (std::size_t i = 0; i < operands_.size(); ++i) {
        const Operand& operand = operands_[i];
        if (scratch_.names[i] != word) continue;
        const Const* constant = graph_.constant_of(operand.value);
        // An attribute was made by this very call: the report's own line shows it.
        if (constant == nullptr || !constant->role.is_attribute) {
          builder_.note_made(report, operand.value);
        }
      }
    });
  }

 private:
  static constexpr std::size_t kMissing = static_cast<std::size_t>(-1);
  static bool same_name(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    return a.data() == b.data() || a == b;
  }
  /// The first operand of `param`, then `index` further.
  std::size_t find(std::string_view param, int index) const {
    // The same argument is asked for several times in a row, and then mostly the next one.
    std::size_t at = last_found_;
    const std::size_t count = operands_.size();
    for (std::size_t tried = 0; tried < count; ++tried, ++at) {
      if (at == count) at = 0;
      if (!same_name(scratch_.names[at], param)) continue;
      // Landed in the middle of a tuple: go back to its first element.
      while (at != 0 && same_name(scratch_.names[at - 1], param)) --at;
      last_found_ = at;
      at += static_cast<std::size_t>(index);
      return at < count && same_name(scratch_.names[at], param) ? at : kMissing;
    }
    return kMissing;
  }

  Builder& builder_;
  Graph& graph_;
  std::span<const Operand> operands_;
  Scratch& scratch_;
  Loc loc_;
  mutable std::size_t last_found_ = 0;
};

/// The dtype in which a number is written for `param`.
DType number_dtype(const Graph& graph, const OpInfo& op, std::span<const Operand> operands,
                   const Param& param, std::initializer_list<DType> preferred) {
  const std::span<const Param> params = op.signatures.back().params;
  DType of_result_domain = DType::none;
  for (const Operand& operand : operands) {
    const Param& other = params[operand.param];
    const DType dtype = graph.types.dtype(graph.value(operand.value).type);
    if (param.domain != '\0' && other.domain == param.domain) return dtype;
    if (of_result_domain == DType::none && other.domain == op.result_domain) {
      of_result_domain = dtype;
    }
  }
  // A domain that no tensor settles (layer_norm's epsilon without gamma and beta) follows x.
  if (param.dtypes.has(of_result_domain)) return of_result_domain;
  for (const DType dtype : preferred) {
    if (param.dtypes.has(dtype)) return dtype;
  }
  for (int d = 1; d < kDTypeCount; ++d) {
    if (param.dtypes.has(static_cast<DType>(d))) return static_cast<DType>(d);
  }
  return DType::none;
}

}  // namespace

OpBuilder::OpBuilder(OpCode code, Loc loc)
    : code_(code), loc_(loc), first_argument_(scratch().arguments.size()) {}

OpBuilder::OpBuilder(OpCode code, Kernel& kernel, Loc loc) : OpBuilder(code, loc) {
  builder_ = kernel.builder();
}

OpBuilder::~OpBuilder() {
  Scratch& s = scratch();
  s.arguments.resize(std::min(s.arguments.size(), first_argument_));
  if (s.arguments.empty()) s.ints.clear();
}

void OpBuilder::take_builder(Value value) {
  if (builder_ == nullptr) builder_ = value.builder();
  if (value.builder() != builder_) mixed_ = true;
  if (value.poisoned()) poisoned_ = true;
}

void OpBuilder::element(std::string_view param, Value value) {
  if (!value.given()) return;
  take_builder(value);
  scratch().arguments.push_back(
      {.param = param_index(op_info(code_), param), .kind = ArgumentKind::value, .value = value});
}

void OpBuilder::operand(std::string_view param, Value value) { element(param, value); }

void OpBuilder::integer(std::string_view param, std::int64_t value) {
  Scratch& s = scratch();
  s.arguments.push_back({.param = param_index(op_info(code_), param),
                         .kind = ArgumentKind::ints,
                         .scalar = true,
                         .first = s.ints.size(),
                         .count = 1});
  s.ints.push_back(value);
}

void OpBuilder::integers(std::string_view param, const Ints& values) {
  Scratch& s = scratch();
  s.arguments.push_back({.param = param_index(op_info(code_), param),
                         .kind = ArgumentKind::ints,
                         .first = s.ints.size(),
                         .count = values.size()});
  s.ints.insert(s.ints.end(), values.begin(), values.end());
}

void OpBuilder::extents(std::string_view param, const Extents& values) {
  if (values.value().given()) {
    element(param, values.value());
  } else if (values.given()) {
    integers(param, values.ints());
  }
}

void OpBuilder::real(std::string_view param, double value) { number(param, DType::none, value); }

void OpBuilder::number(std::string_view param, DType dtype, double value) {
  scratch().arguments.push_back({.param = param_index(op_info(code_), param),
                                 .kind = ArgumentKind::reals,
                                 .scalar = true,
                                 .dtype = dtype,
                                 .number = value});
}

void OpBuilder::boolean(std::string_view param, bool value) {
  integer(param, value ? 1 : 0);
  scratch().arguments.back().dtype = DType::boolean;
}

void OpBuilder::booleans(std::string_view param, const Ints& values) {
  integers(param, values);
  scratch().arguments.back().dtype = DType::boolean;
}

void OpBuilder::text(std::string_view param, std::string_view value) {
  scratch().arguments.push_back(
      {.param = param_index(op_info(code_), param), .kind = ArgumentKind::text, .text = value});
}

void OpBuilder::dtype(std::string_view param, DType value) { text(param, dtype_name(value)); }

Value OpBuilder::result(std::size_t index) {
  build();
  if (poisoned_ || index >= results_) return {builder_, kPoison};
  return {builder_, first_result_ + static_cast<std::uint32_t>(index)};
}

std::size_t OpBuilder::result_count() {
  build();
  return results_;
}

std::vector<std::uint32_t> OpBuilder::result_ids() {
  build();
  std::vector<std::uint32_t> ids(results_);
  for (std::uint32_t i = 0; i < results_; ++i) ids[i] = first_result_ + i;
  return ids;
}

void OpBuilder::build() {
  if (built_) return;
  built_ = true;
  if (builder_ == nullptr) {
    poisoned_ = true;
    return;
  }
  builder_->build(*this);
}

void Builder::build(OpBuilder& op) {
  const OpInfo& info = op_info(op.code_);
  if (op.mixed_) {
    op.poisoned_ = true;
    diagnostics.error(
        rule<"value.kernel">.id(),
        fmt::format("{}: an operand belongs to another kernel than '{}'", info.name, name),
        op.loc_);
    return;
  }
  if (!check_open(op.loc_)) op.poisoned_ = true;
  if (op.poisoned_) return;

  Scratch& s = scratch();
  const std::span<const Param> params = info.signatures.back().params;
  const std::span<Argument> arguments = std::span(s.arguments).subspan(op.first_argument_);
  // Table order, elements of a variadic argument as given. Almost always sorted already.
  const auto by_param = [](const Argument& a, const Argument& b) { return a.param < b.param; };
  if (!std::is_sorted(arguments.begin(), arguments.end(), by_param)) {
    std::stable_sort(arguments.begin(), arguments.end(), by_param);
  }

  std::vector<Operand>& operands = s.operands;
  operands.clear();
  for (const Argument& argument : arguments) {
    if (argument.kind == ArgumentKind::value) {
      operands.push_back({argument.value.id(), argument.param});
    }
  }
  const std::size_t tensors = operands.size();
  const auto resolve = [&](const Param& param, std::initializer_list<DType> preferred) {
    return number_dtype(*graph, info, std::span(operands).first(tensors), param, preferred);
  };
  const auto add_ints = [&](std::uint16_t index, DType dtype, bool scalar,
                            std::span<const std::int64_t> values) {
    if (dtype == DType::none) {
      dtype = resolve(params[index], {DType::int32, DType::uint32});
    }
    const auto length = static_cast<std::int64_t>(values.size());
    const std::span<const std::int64_t> shape =
        scalar ? std::span<const std::int64_t>() : std::span(&length, 1);
    operands.push_back(
        {graph->intern_ints(dtype, shape, values, {params[index].name, true}, op.loc_), index});
  };
  const auto add_number = [&](std::uint16_t index, DType dtype, double value) {
    const Param& param = params[index];
    if (dtype == DType::none) dtype = resolve(param, {DType::fp16, DType::fp32});
    // A number beside a tensor (x * 2) is an operand, a number for a const argument an attribute.
    const ConstRole role = param.is_const ? ConstRole{param.name, true} : ConstRole{};
    if (is_float(dtype)) {
      operands.push_back(
          {graph->intern_reals(dtype, {}, std::span(&value, 1), role, op.loc_), index});
      return true;
    }
    if (std::nearbyint(value) != value || std::abs(value) > 0x1p53) {
      diagnostics.error(rule<"value.fraction">.id(),
                        fmt::format("{}: {} = {} is not an integer, and the operation is on {}",
                                    info.name, param.name, value, dtype_name(dtype)),
                        op.loc_);
      return false;
    }
    const auto whole = static_cast<std::int64_t>(value);
    operands.push_back({graph->intern_ints(dtype, {}, std::span(&whole, 1), role, op.loc_), index});
    return true;
  };

  std::size_t next = 0;
  for (std::uint16_t i = 0; i < params.size(); ++i) {
    const Param& param = params[i];
    bool given = false;
    for (; next < arguments.size() && arguments[next].param == i; ++next) {
      const Argument& argument = arguments[next];
      given = true;
      switch (argument.kind) {
        case ArgumentKind::value:
          break;
        case ArgumentKind::ints:
          add_ints(i, argument.dtype, argument.scalar,
                   std::span(s.ints).subspan(argument.first, argument.count));
          break;
        case ArgumentKind::reals:
          if (!add_number(i, argument.dtype, argument.number)) op.poisoned_ = true;
          break;
        case ArgumentKind::text:
          operands.push_back({graph->intern_text(argument.text, {param.name, true}, op.loc_), i});
          break;
      }
    }
    if (given || !param.always_printed() || param.required()) continue;
    const auto rank_of_x = [&]() -> std::int64_t {
      return tensors == 0 ? 0
                          : static_cast<std::int64_t>(
                                graph->types.shape(graph->value(operands[0].value).type).size());
    };
    switch (param.def.kind) {
      case DefaultKind::integer:
      case DefaultKind::boolean: {
        const auto value = static_cast<std::int64_t>(param.def.number);
        add_ints(i, param.def.kind == DefaultKind::boolean ? DType::boolean : DType::none, true,
                 std::span(&value, 1));
        break;
      }
      case DefaultKind::real:
        if (!add_number(i, DType::none, param.def.number)) op.poisoned_ = true;
        break;
      case DefaultKind::text:
        operands.push_back({graph->intern_text(param.def.text, {param.name, true}, op.loc_), i});
        break;
      case DefaultKind::spatial_dims:
      case DefaultKind::spatial_sides: {
        const std::int64_t spatial = std::max<std::int64_t>(rank_of_x() - 2, 0);
        const std::int64_t count =
            param.def.kind == DefaultKind::spatial_dims ? spatial : 2 * spatial;
        const Ints values(static_cast<std::size_t>(count),
                          static_cast<std::int64_t>(param.def.number));
        add_ints(i, DType::none, false, values);
        break;
      }
      case DefaultKind::all_axes:
      case DefaultKind::box_range: {
        std::int64_t count = rank_of_x();
        if (param.def.kind == DefaultKind::box_range) {
          const std::uint16_t boxes = param_index(info, "boxes");
          count = 0;
          for (std::size_t t = 0; t < tensors; ++t) {
            if (operands[t].param != boxes) continue;
            const auto shape = graph->types.shape(graph->value(operands[t].value).type);
            if (!shape.empty()) count = std::max<std::int64_t>(shape[0], 0);
          }
        }
        Ints values;
        for (std::int64_t axis = 0; axis < count; ++axis) values.push_back(axis);
        add_ints(i, DType::none, false, values);
        break;
      }
      case DefaultKind::zero_bias: {
        const std::uint16_t weight = param_index(info, "weight");
        for (std::size_t t = 0; t < tensors; ++t) {
          if (operands[t].param != weight) continue;
          const TypeId type = graph->value(operands[t].value).type;
          const auto shape = graph->types.shape(type);
          if (shape.empty()) break;
          Const zeros;
          zeros.type = graph->types.tensor(graph->types.dtype(type), shape.first(1));
          zeros.kind = ConstKind::fill;
          zeros.fill = Fill::zeros;
          // Named after the argument like an attribute, and kept in a file like a tensor.
          zeros.role = {param.name, true};
          operands.push_back({graph->add_const(zeros, kNoName, op.loc_), i});
          break;
        }
        break;
      }
      case DefaultKind::required:
      case DefaultKind::absent:
        break;
    }
  }
  if (op.poisoned_) return;
  const auto operand_order = [](const Operand& a, const Operand& b) { return a.param < b.param; };
  if (!std::is_sorted(operands.begin(), operands.end(), operand_order)) {
    std::stable_sort(operands.begin(), operands.end(), operand_order);
  }

  GraphInferContext context(*this, info, operands, s, op.loc_);
  if (!infer_op(context)) {
    op.poisoned_ = true;
    return;
  }
  context.take_results();
  for (const TypeId type : s.results) {
    const auto shape = graph->types.shape(type);
    std::int64_t count = 0;
    bool all_known = true;
    for (const std::int64_t dim : shape) all_known = all_known && known(dim);
    if (shape.size() > kLargestRank) {
      context.error(rule<"tensor.rank">, "x values",
                    fmt::format("the result {} has rank {}; the largest rank is {}",
                                to_string(graph->types.view(type)), shape.size(), kLargestRank));
    } else if (all_known && !element_count(shape, count)) {
      context.error(rule<"tensor.size">, "x values",
                    fmt::format("the result {} has more than 2^63 - 1 elements",
                                to_string(graph->types.view(type))));
    }
    if (context.failed()) {
      op.poisoned_ = true;
      return;
    }
  }
  const OpId id = graph->add_op(op.code_, operands, s.results, op.loc_);
  op.first_result_ = graph->op(id).first_result;
  op.results_ = graph->op(id).results;
}

}  // namespace milgen
