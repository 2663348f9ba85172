#include "ir/builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "ir/canonical.h"
#include "milgen/control_flow.h"
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

/// The letters that `pick` takes from some words, as a set by character (of which all are ASCII).
template <std::size_t N, class Pick>
constexpr std::array<bool, 128> letters(const std::array<std::string_view, N>& words,
                                        const Pick& pick) {
  std::array<bool, 128> out{};
  for (const std::string_view word : words) out[static_cast<std::size_t>(pick(word))] = true;
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
  if (name.size() < 3 || name.size() > 13) return false;
  // coremltools' list, and the words of the grammar that it does not have.
  static constexpr std::array<std::string_view, 36> kWords = {
      "any",   "bf16",      "bool",    "dict",         "false", "float",  "fp16",   "fp32",
      "fp64",  "func",      "int16",   "int32",        "int64", "int8",   "list",   "program",
      "state", "string",    "tensor",  "true",         "tuple", "uint16", "uint32", "uint64",
      "uint8", "inf",       "int4",    "nan",          "uint1", "uint2",  "uint3",  "uint4",
      "uint6", "fp8e4m3fn", "fp8e5m2", "tensor_buffer"};
  // Every name of every kernel comes by here, and most begin and end as no word does.
  static constexpr auto kFirst = letters(kWords, [](std::string_view w) { return w.front(); });
  static constexpr auto kLast = letters(kWords, [](std::string_view w) { return w.back(); });
  const auto has = [](const auto& set, char c) { return set[static_cast<unsigned char>(c) & 127]; };
  return has(kFirst, name.front()) && has(kLast, name.back()) &&
         std::find(kWords.begin(), kWords.end(), name) != kWords.end();
}

// --- Builder: names ---

NameId Builder::declare_name(std::string_view text, Loc where) {
  const auto check = [&](std::string_view whole) {
    if (is_identifier(whole)) return true;
    diagnostics.error(rule<"name.characters">.id(),
                      fmt::format("name '{}' is not [A-Za-z_][A-Za-z0-9_@]*; '{}' would be", whole,
                                  legal_spelling(whole)),
                      where);
    return false;
  };
  if (scope_prefix.empty()) {
    if (!check(text)) return kNone;
    return graph->names.intern(is_reserved_word(text) ? escaped(text) : std::string(text));
  }
  const std::string whole = scope_prefix + std::string(text);
  if (text.empty() || !check(whole)) return kNone;
  return graph->names.intern(escaped(whole));
}

void Builder::check_kernel_name() {
  // It becomes a file's name.
  if (is_identifier(name)) return;
  diagnostics.error(rule<"name.characters">.id(),
                    fmt::format("kernel name '{}' is not [A-Za-z_][A-Za-z0-9_@]*; '{}' would be",
                                name, legal_spelling(name)),
                    loc);
}

void Builder::rename(ValueId value, NameId name_id) {
  const NameId old = graph->value(value).name;
  if (old != kNoName && old != name_id && owner(old) == value) owners_[old] = kNone;
  graph->set_name(value, name_id);
  if (value < output_of_.size() && output_of_[value] != kNone) {
    graph->outputs[output_of_[value]].name = name_id;
  }
}

void Builder::add_output(NameId name_id, ValueId value, Loc where) {
  if (value >= output_of_.size()) output_of_.resize(value + std::size_t{1}, kNone);
  output_of_[value] = static_cast<std::uint32_t>(graph->outputs.size());
  graph->outputs.push_back({name_id, value, where});
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
    owners_.resize(graph->names.size(), kNone);
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
    if (graph->types.kind(record.type) == TypeKind::state) what = "state";
    if (graph->block_of(value) != kRootBlock) what = "loop variable";
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

BlockId Builder::open_block(std::span<const TypeId> inputs, Loc where) {
  const std::uint32_t depth = graph->block(graph->current_block()).depth + 1;
  if (depth > kMostNestedBlocks) {
    if (!told_depth_) {
      diagnostics.error(
          rule<"block.depth">.id(),
          fmt::format("the block is nested {} deep; the deepest is {}", depth, kMostNestedBlocks),
          where);
    }
    told_depth_ = true;
    return kNone;
  }
  for (const TypeId type : inputs) {
    if (graph->types.kind(type) != TypeKind::state) continue;
    diagnostics.error(rule<"state.value">.id(),
                      fmt::format("an input of the block is {}, but a block sees the states of its "
                                  "kernel itself",
                                  to_string(graph->types.view(type))),
                      where);
    return kNone;
  }
  return graph->open_block(inputs, where);
}

bool Builder::check_visible(ValueId value, std::string_view what, Loc where) {
  const BlockRecord& block = graph->block(graph->block_of(value));
  if (block.open) return true;
  Diagnostic& report = diagnostics.error(
      rule<"block.scope">.id(),
      fmt::format("{} is {}, which belongs to a block{} and is not known outside of it", what,
                  describe(value),
                  block.owner == kNone
                      ? std::string()
                      : fmt::format(" of {}", op_info(graph->op(block.owner).code).name)),
      where);
  note_made(report, value);
  return false;
}

bool Builder::check_open(Loc where) {
  if (!finished) return true;
  if (!told_finished_) {  // once is enough: everything that follows fails for the same reason
    diagnostics.error(rule<"kernel.finished">.id(),
                      fmt::format("kernel '{}' is finished; nothing can be added to it", name),
                      where);
  }
  told_finished_ = true;
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

Shape element_shape(Value value) {
  if (value.poisoned() || !value.given()) return {};
  const Graph& graph = *value.builder()->graph;
  const TypeView type = graph.types.view(graph.value(value.id()).type);
  return type.element == nullptr ? Shape() : Shape(type.element->shape);
}

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
  builder.rename(value.id(), id);
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
  const auto add = [&](std::string_view param, const At& at) {
    if (at.is_number) {
      out.number(param, dtype, at.number);
    } else {
      out.operand(param, at.value);
    }
  };
  add("x", x);
  add("y", y);
  return out.result();
}

}  // namespace detail

// --- OpBuilder ---

namespace {

constexpr std::uint16_t kNoParam = 0xFFFF;

enum class ArgumentKind : std::uint8_t { value, integer, ints, real, text };

/// A result type on its way from inference into the graph.
struct PendingResult {
  TypeId type;        // kNone: the rest says it
  DType dtype;        // of a dictionary: the keys'
  std::size_t first;  // into OpScratch::dims: of a list, the elements'
  std::size_t count;
  TypeKind kind = TypeKind::tensor;
  std::int64_t length = 0;     // of a list
  DType values = DType::none;  // of a dictionary
};

}  // namespace

struct OpArgument {
  std::uint16_t param;
  ArgumentKind kind;
  DType dtype;  // none: that of the domain
  union {
    ValueId value;
    std::int64_t integer;
    double real;
    std::size_t first;  // into OpScratch::ints
    const char* text;
  };
  std::size_t count;  // of ints and of text
};

/// Collected arguments, held from one op to the next so that the steady state allocates nothing.
/// A stack: the arguments of an op lie above those of ops that are still being collected.
struct OpScratch {
  std::vector<OpArgument> arguments;
  std::vector<std::int64_t> ints;
  std::string unknown_param;  // a name that the op does not have
  std::vector<Operand> operands;
  // What inference looks at: one entry for each operand, and one for each argument.
  std::vector<ArgumentValue> values;
  std::vector<ConstView> constants;
  std::vector<std::string_view> texts;
  std::vector<ArgumentView> views;
  std::vector<PendingResult> pending;
  std::vector<std::int64_t> dims;
  std::vector<TypeId> results;
};

namespace {

OpScratch& scratch() {
  thread_local OpScratch instance;
  return instance;
}

bool same_name(std::string_view a, std::string_view b) {
  // Names come from a few literals: mostly it is the very same one.
  return a.size() == b.size() && (a.data() == b.data() || a == b);
}

std::uint16_t param_index(const OpInfo& op, std::string_view name) {
  const std::span<const Param> params = op.signatures.back().params;
  for (std::size_t i = 0; i < params.size(); ++i) {
    if (same_name(params[i].name, name)) return static_cast<std::uint16_t>(i);
  }
  return kNoParam;
}

/// The table's view of an op that is about to be added.
class GraphInferContext final : public InferContext {
 public:
  GraphInferContext(Builder& builder, const OpInfo& op, std::span<const Operand> operands,
                    std::span<const BlockId> blocks, OpScratch& scratch, Loc loc)
      : InferContext(op, builder.opset),
        builder_(builder),
        graph_(*builder.graph),
        operands_(operands),
        blocks_(blocks),
        scratch_(scratch),
        loc_(loc) {
    scratch.results.clear();
    scratch.pending.clear();
    scratch.dims.clear();
    const std::size_t count = operands.size();
    // These only grow: what lies beyond `count` is of an earlier op and is not looked at.
    if (scratch.values.size() < count) {
      scratch.values.resize(count);
      scratch.constants.resize(count);
      scratch.texts.resize(count);
    }
    if (scratch.views.size() <= count) scratch.views.resize(count + 1);
    const std::span<const Param> params = op.signatures.back().params;
    std::size_t arguments = 0;
    for (std::size_t i = 0; i < count;) {
      // Operands stand in table order, so those of one argument stand together.
      const std::size_t first = i;
      const std::uint16_t param = operands[first].param;
      for (; i < count && operands[i].param == param; ++i) fill(i);
      scratch.views[arguments++] = {params[param].name,
                                    std::span(scratch.values).subspan(first, i - first)};
    }
    // The elements of a list may be scalars.
    if (op.code == OpCode::make_list && find_operand_of(kElemShape) == nullptr) {
      scratch.views[arguments++] = {kElemShape, {}};
    }
    set_arguments(std::span(scratch.views).first(arguments));
  }

  std::string describe(std::string_view param, int index) const override {
    std::string out(param);
    const Operand* operand = find_operand(param, index);
    if (operand == nullptr) return out;
    const NameId name = graph_.value(operand->value).name;
    if (name != kNoName) out += fmt::format(" '{}'", graph_.names.view(name));
    return out;
  }

  // Result types are interned by take_results(), when inference is done: interning may move the
  // dims that the types of the arguments look at.
  void result(DType dtype, std::span<const std::int64_t> shape) override {
    scratch_.pending.push_back({kNone, dtype, scratch_.dims.size(), shape.size()});
    scratch_.dims.insert(scratch_.dims.end(), shape.begin(), shape.end());
  }
  void result_like(std::string_view param, int index) override {
    const Operand* operand = find_operand(param, index);
    scratch_.pending.push_back({graph_.value(operand->value).type, DType::none, 0, 0});
  }
  void result_list(DType dtype, std::span<const std::int64_t> element_shape,
                   std::int64_t length) override {
    result(dtype, element_shape);
    scratch_.pending.back().kind = TypeKind::list;
    scratch_.pending.back().length = length;
  }
  void result_dict(DType key, DType value) override {
    result(key, {});
    scratch_.pending.back().kind = TypeKind::dict;
    scratch_.pending.back().values = value;
  }
  void result_element(std::string_view param) override {
    const TypeView container = type(param, 0);
    if (container.element != nullptr) result(container.element->dtype, container.element->shape);
  }

  int block_count() const override { return static_cast<int>(blocks_.size()); }
  int block_inputs(int block) const override {
    return static_cast<int>(block_record(block).inputs);
  }
  TypeView block_input(int block, int index) const override {
    return type_of(block_record(block).first_input + static_cast<ValueId>(index));
  }
  int block_outputs(int block) const override {
    return static_cast<int>(block_record(block).outputs);
  }
  TypeView block_output(int block, int index) const override {
    return type_of(graph_.block_outputs(block_record(block))[static_cast<std::size_t>(index)]);
  }

  /// The results' types in the graph, or false after a report when there cannot be such a value.
  bool take_results() {
    for (const PendingResult& result : scratch_.pending) {
      if (result.type != kNone) {  // that of an argument, which was checked when it was made
        if (graph_.types.kind(result.type) == TypeKind::state) {
          error(rule<"state.value">, {},
                fmt::format("the result is {}, but a state is an input and no op gives one",
                            to_string(graph_.types.view(result.type))));
          return false;
        }
        scratch_.results.push_back(result.type);
        continue;
      }
      const std::span<const std::int64_t> shape =
          std::span<const std::int64_t>(scratch_.dims).subspan(result.first, result.count);
      bool all_known = true;
      std::int64_t count = 0;
      for (const std::int64_t dim : shape) all_known = all_known && known(dim);
      if (shape.size() == 1 && shape[0] == kUnknownRank) {
        error(rule<"tensor.unknown_rank">, "x shape",
              "the rank of the result is not known, and MIL text has no word for that");
      } else if (shape.size() > kLargestRank) {
        error(rule<"tensor.rank">, "x values",
              fmt::format("the result {} has rank {}; the largest rank is {}",
                          to_string({.dtype = result.dtype, .shape = shape}), shape.size(),
                          kLargestRank));
      } else if (all_known && !element_count(shape, count)) {
        error(rule<"tensor.size">, "x values",
              fmt::format("the result {} has more than 2^63 - 1 elements",
                          to_string({.dtype = result.dtype, .shape = shape})));
      }
      if (failed()) return false;
      scratch_.results.push_back(make_type(result, shape));
    }
    return true;
  }

  void error(Rule rule, std::string_view operands, std::string message) override {
    set_failed();
    Diagnostic& report = builder_.diagnostics.error(
        rule.id(), fmt::format("{}: {}", op().name, message), Place(loc_));
    const std::span<const Param> params = op().signatures.back().params;
    for_each_word(operands, [&](std::string_view word) {
      for (const Operand& operand : operands_) {
        if (params[operand.param].name != word) continue;
        const Const* constant = graph_.constant_of(operand.value);
        // An attribute was made by this very call: the report's own line shows it.
        if (constant == nullptr || !constant->role.is_attribute) {
          builder_.note_made(report, operand.value);
        }
      }
    });
  }

 private:
  static constexpr std::string_view kElemShape = "elem_shape";

  TypeId make_type(const PendingResult& result, std::span<const std::int64_t> shape) {
    if (result.kind == TypeKind::dict) return graph_.types.dict(result.dtype, result.values);
    const TypeId tensor = graph_.types.tensor(result.dtype, shape);
    return result.kind == TypeKind::list ? graph_.types.list(tensor, result.length) : tensor;
  }
  const BlockRecord& block_record(int block) const {
    return graph_.block(blocks_[static_cast<std::size_t>(block)]);
  }
  TypeView type_of(ValueId value) const { return graph_.types.view(graph_.value(value).type); }

  /// Makes the view of operand `i`.
  void fill(std::size_t i) {
    ArgumentValue& view = scratch_.values[i];
    const ValueRecord& record = graph_.value(operands_[i].value);
    view.type = graph_.types.view(record.type);
    view.constant = nullptr;
    const Const* constant = graph_.constant_of(operands_[i].value);
    ConstView& out = scratch_.constants[i];
    out.dtype = view.type.dtype;
    out.shape = view.type.shape;
    if (constant == nullptr) {
      // What a constexpr op gives is known when the program is compiled, though not here.
      // Attributes hold values only, no names.
      if (record.def == kNone || op().written_as_attributes(opset()) ||
          !milgen::has(op_info(graph_.op(record.def).code).traits, Trait::constexpr_op)) {
        return;
      }
      out.ints = {};
      out.reals = {};
      out.texts = {};
      out.known = false;
      view.constant = &out;
      return;
    }
    out.ints = graph_.ints(*constant);
    out.reals = graph_.reals(*constant);
    out.known = constant->kind != ConstKind::weight && constant->kind != ConstKind::fill;
    out.texts = {};
    if (constant->kind == ConstKind::text) {
      scratch_.texts[i] = graph_.text(*constant);
      out.texts = {&scratch_.texts[i], 1};
    }
    view.constant = &out;
  }
  const Operand* find_operand_of(std::string_view param) const {
    const std::span<const Param> params = op().signatures.back().params;
    for (const Operand& operand : operands_) {
      if (params[operand.param].name == param) return &operand;
    }
    return nullptr;
  }
  const Operand* find_operand(std::string_view param, int index) const {
    const ArgumentView* argument = find(param);
    const auto at = static_cast<std::size_t>(index);
    if (argument == nullptr || at >= argument->values.size()) return nullptr;
    return &operands_[static_cast<std::size_t>(argument->values.data() - scratch_.values.data()) +
                      at];
  }

  Builder& builder_;
  Graph& graph_;
  std::span<const Operand> operands_;
  std::span<const BlockId> blocks_;
  OpScratch& scratch_;
  Loc loc_;
};

/// The dtype in which a number is written for `param`.
DType number_dtype(const Graph& graph, const OpInfo& op, std::span<const OpArgument> arguments,
                   const Param& param, std::initializer_list<DType> preferred) {
  const std::span<const Param> params = op.signatures.back().params;
  // Most numbers are for an argument that takes one dtype only.
  if (param.domain == '\0' && std::has_single_bit(param.dtypes.bits())) {
    return static_cast<DType>(std::countr_zero(param.dtypes.bits()));
  }
  DType of_result_domain = DType::none;
  for (const OpArgument& argument : arguments) {
    if (argument.kind != ArgumentKind::value) continue;
    const Param& other = params[argument.param];
    const DType dtype = graph.types.dtype(graph.value(argument.value).type);
    if (param.domain != '\0' && other.domain == param.domain) return dtype;
    if (of_result_domain == DType::none && other.domain == op.result_domain) {
      of_result_domain = dtype;
    }
  }
  // A domain that no tensor settles (layer_norm's epsilon without gamma and beta) follows x, but
  // the dims that reshape takes are not int8 because its elements are.
  if (is_float(of_result_domain) && param.dtypes.has(of_result_domain)) return of_result_domain;
  for (const DType dtype : preferred) {
    if (param.dtypes.has(dtype)) return dtype;
  }
  for (int d = 1; d < kDTypeCount; ++d) {
    if (param.dtypes.has(static_cast<DType>(d))) return static_cast<DType>(d);
  }
  return DType::none;
}

/// Whether an argument says what leaving it out would say.
bool is_default(const Param& param, const OpArgument& argument) {
  switch (argument.kind) {
    case ArgumentKind::integer:
      return static_cast<double>(argument.integer) == param.def.number;
    case ArgumentKind::real:
      return argument.real == param.def.number;
    case ArgumentKind::text:
      return std::string_view(argument.text, argument.count) == param.def.text;
    default:
      return false;
  }
}

}  // namespace

OpBuilder::OpBuilder(OpCode code, Loc loc)
    : code_(code),
      loc_(loc),
      info_(&op_info(code)),
      scratch_(&scratch()),
      first_argument_(scratch_->arguments.size()) {}

OpBuilder::OpBuilder(OpCode code, Kernel& kernel, Loc loc) : OpBuilder(code, loc) {
  builder_ = kernel.builder();
}

OpBuilder::~OpBuilder() {
  std::vector<OpArgument>& arguments = scratch_->arguments;
  if (arguments.size() > first_argument_) {
    arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(first_argument_),
                    arguments.end());
  }
  if (!arguments.empty()) return;
  scratch_->ints.clear();
  // One op of a hundred thousand operands is no reason to hold their room as long as the thread.
  constexpr std::size_t kKeptEntries = 4096;
  if (arguments.capacity() > kKeptEntries || scratch_->ints.capacity() > kKeptEntries) {
    *scratch_ = OpScratch();
  }
}

void OpBuilder::take_builder(Value value) {
  if (value.builder() == nullptr) {  // the result of an op that had no kernel
    poisoned_ = true;
    return;
  }
  if (builder_ == nullptr) builder_ = value.builder();
  if (value.builder() != builder_) mixed_ = true;
  if (value.poisoned()) poisoned_ = true;
}

std::uint16_t OpBuilder::index_of(std::string_view param) {
  const std::span<const Param> params = info_->signatures.back().params;
  if (next_param_ < params.size() && same_name(params[next_param_].name, param)) {
    return next_param_;
  }
  // The next element of a tuple, or an argument behind some that were left out.
  return param_index(*info_, param);
}

OpArgument& OpBuilder::add(std::string_view param) {
  const std::uint16_t index = index_of(param);
  if (index == kNoParam) {
    unknown_ = true;
    scratch_->unknown_param = param;
  }
  sorted_ = sorted_ && index >= last_param_;
  last_param_ = index;
  next_param_ = static_cast<std::uint16_t>(index + 1);
  OpArgument& out = scratch_->arguments.emplace_back();
  out.param = index;
  return out;
}

void OpBuilder::block(const Block& value) {
  if (builder_ == nullptr) builder_ = value.builder_;
  if (value.builder_ != builder_) mixed_ = true;
  if (value.id_ == kNone) poisoned_ = true;
  if (block_count_ < kMostBlocks) blocks_[block_count_++] = value.id_;
}

void OpBuilder::element(std::string_view param, Value value) {
  if (!value.given()) return;
  take_builder(value);
  OpArgument& argument = add(param);
  argument.kind = ArgumentKind::value;
  argument.value = value.id();
}

void OpBuilder::operand(std::string_view param, Value value) { element(param, value); }

void OpBuilder::integer(std::string_view param, std::int64_t value) {
  OpArgument& argument = add(param);
  argument.kind = ArgumentKind::integer;
  argument.dtype = DType::none;
  argument.integer = value;
}

void OpBuilder::integers(std::string_view param, const Ints& values) {
  OpArgument& argument = add(param);
  argument.kind = ArgumentKind::ints;
  argument.dtype = DType::none;
  argument.first = scratch_->ints.size();
  argument.count = values.size();
  scratch_->ints.insert(scratch_->ints.end(), values.begin(), values.end());
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
  OpArgument& argument = add(param);
  argument.kind = ArgumentKind::real;
  argument.dtype = dtype;
  argument.real = value;
}

void OpBuilder::boolean(std::string_view param, bool value) {
  integer(param, value ? 1 : 0);
  scratch_->arguments.back().dtype = DType::boolean;
}

void OpBuilder::booleans(std::string_view param, const Ints& values) {
  integers(param, values);
  scratch_->arguments.back().dtype = DType::boolean;
}

void OpBuilder::text(std::string_view param, std::string_view value) {
  OpArgument& argument = add(param);
  argument.kind = ArgumentKind::text;
  argument.text = value.data();
  argument.count = value.size();
}

void OpBuilder::dtype(std::string_view param, DType value) { text(param, dtype_name(value)); }

Value OpBuilder::result(std::size_t index) {
  build();
  if (builder_ == nullptr) return {nullptr, kNowhere};
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
  const OpInfo& info = *op.info_;
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

  OpScratch& s = *op.scratch_;
  if (op.unknown_) {
    op.poisoned_ = true;
    diagnostics.error(rule<"arg.unknown">.id(),
                      fmt::format("{}: there is no argument {}", info.name, s.unknown_param),
                      op.loc_);
    return;
  }
  const std::span<const Param> params = info.signatures.back().params;
  const std::span<OpArgument> arguments = std::span(s.arguments).subspan(op.first_argument_);
  // Table order, elements of a variadic argument as given. Almost always sorted already.
  if (!op.sorted_) {
    std::stable_sort(arguments.begin(), arguments.end(),
                     [](const OpArgument& a, const OpArgument& b) { return a.param < b.param; });
  }

  std::vector<Operand>& operands = s.operands;
  operands.clear();
  const auto resolve = [&](const Param& param, std::initializer_list<DType> preferred) {
    return number_dtype(*graph, info, arguments, param, preferred);
  };
  /// The dims of the first tensor that is for `param`, or of the first one at all.
  const auto type_of = [&](std::uint16_t param) {
    for (const OpArgument& argument : arguments) {
      if (argument.kind != ArgumentKind::value) continue;
      if (param == kNoParam || argument.param == param) return graph->value(argument.value).type;
    }
    return TypeId{kNone};
  };
  const auto in_range = [&](const Param& param, DType dtype, std::span<const std::int64_t> values) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    integer_range(dtype, low, high);
    for (const std::int64_t value : values) {
      if (value >= low && value <= high) continue;
      diagnostics.error(rule<"arg.range">.id(),
                        fmt::format("{}: {} holds {}, outside {}'s range {} to {}", info.name,
                                    param.name, value, dtype_name(dtype), low, high),
                        op.loc_);
      op.poisoned_ = true;
      return false;
    }
    return true;
  };
  const auto add_ints = [&](std::uint16_t index, DType dtype, bool scalar,
                            std::span<const std::int64_t> values) {
    if (dtype == DType::none) {
      dtype = resolve(params[index], {DType::int32, DType::uint32});
    }
    if (!in_range(params[index], dtype, values)) return;
    const auto length = static_cast<std::int64_t>(values.size());
    const std::span<const std::int64_t> shape =
        scalar ? std::span<const std::int64_t>() : std::span(&length, 1);
    operands.push_back(
        {graph->intern_ints(dtype, shape, values, {params[index].name, true}, op.loc_), index});
  };
  const auto add_number = [&](std::uint16_t index, DType dtype, double value) {
    const Param& param = params[index];
    if (dtype == DType::none) {
      dtype = resolve(param, {DType::fp16, DType::fp32});
      // log's epsilon of 1e-45 would be 0 as a half; where nothing else shares its domain, the op
      // lets it be wider than x. It does not before ios17.
      const std::span<const Param> own = info.params(opset);
      const auto known_as = std::ranges::find(own, param.name, &Param::name);
      if (is_float(dtype) && value != 0 && round_to(dtype, value) == 0 && known_as != own.end() &&
          known_as->domain != info.result_domain && param.dtypes.has(DType::fp32) &&
          std::ranges::count(own, known_as->domain, &Param::domain) == 1) {
        dtype = DType::fp32;
      }
    }
    // A number beside a tensor (x * 2) is an operand, a number for a const argument an attribute.
    const ConstRole role = param.is_const ? ConstRole{param.name, true} : ConstRole{};
    if (is_float(dtype)) {
      const double rounded = round_to(dtype, value);
      if (std::isfinite(value) && (std::isinf(rounded) || (rounded == 0 && value != 0))) {
        diagnostics.warning(
            std::isinf(rounded) ? rule<"constant.overflow">.id() : rule<"constant.underflow">.id(),
            fmt::format("{}: {} = {} becomes {} in {}", info.name, param.name, value, rounded,
                        dtype_name(dtype)),
            op.loc_);
      }
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
    if (!in_range(param, dtype, std::span(&whole, 1))) return false;
    operands.push_back({graph->intern_ints(dtype, {}, std::span(&whole, 1), role, op.loc_), index});
    return true;
  };

  /// Whether a boolean argument is given and is false.
  const auto is_false = [&](std::string_view param) {
    const std::uint16_t index = param_index(info, param);
    return std::ranges::any_of(arguments, [&](const OpArgument& argument) {
      return argument.param == index && argument.kind == ArgumentKind::integer &&
             argument.integer == 0;
    });
  };
  std::size_t next = 0;
  const auto count_of_params = static_cast<std::uint16_t>(params.size());
  // An older opset may lack arguments that the newest signature has.
  const bool newest = info.params(opset).data() == params.data();
  const auto in_opset = [&](const Param& param) {
    return newest || std::ranges::any_of(info.params(opset), [&](const Param& older) {
             return older.name == param.name;
           });
  };
  for (std::uint16_t i = 0; i < count_of_params; ++i) {
    const Param& param = params[i];
    const std::size_t first = next;
    while (next < arguments.size() && arguments[next].param == i) ++next;
    const bool given = next != first;
    if (!in_opset(param)) {
      if (given && !is_default(param, arguments[first])) {
        diagnostics.error(rule<"arg.opset">.id(),
                          fmt::format("{}: {} is given, which {} does not have", info.name,
                                      param.name, opset_name(opset)),
                          op.loc_);
        op.poisoned_ = true;
      }
      continue;
    }
    if (next - first > 1 && param.kind != ParamKind::variadic) {
      diagnostics.error(
          rule<"arg.twice">.id(),
          fmt::format("{}: {} is given {} times", info.name, param.name, next - first), op.loc_);
      op.poisoned_ = true;
      continue;
    }
    for (std::size_t a = first; a < next; ++a) {
      const OpArgument& argument = arguments[a];
      switch (argument.kind) {
        case ArgumentKind::value:
          operands.push_back({argument.value, i});
          break;
        case ArgumentKind::integer:
          add_ints(i, argument.dtype, true, std::span(&argument.integer, 1));
          break;
        case ArgumentKind::ints:
          add_ints(i, argument.dtype, false,
                   std::span(s.ints).subspan(argument.first, argument.count));
          break;
        case ArgumentKind::real:
          if (!add_number(i, argument.dtype, argument.real)) op.poisoned_ = true;
          break;
        case ArgumentKind::text:
          operands.push_back(
              {graph->intern_text({argument.text, argument.count}, {param.name, true}, op.loc_),
               i});
          break;
      }
    }
    if (given || !param.always_printed() || param.required()) continue;
    if (!param.needs.empty() && is_false(param.needs)) continue;
    const auto rank_of_x = [&]() -> std::int64_t {
      const TypeId x = type_of(kNoParam);
      return x == kNone ? 0 : static_cast<std::int64_t>(graph->types.shape(x).size());
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
          const TypeId boxes = type_of(param_index(info, "boxes"));
          const auto shape =
              boxes == kNone ? std::span<const std::int64_t>() : graph->types.shape(boxes);
          count = shape.empty() ? 0 : shape[0];
          // The list is written out, so it has to be known and of a size that text may have.
          constexpr std::int64_t kMostBoxes = 1 << 16;
          if (!known(count) || count > kMostBoxes) {
            diagnostics.error(
                rule<"arg.missing">.id(),
                known(count)
                    ? fmt::format("{}: {} is left out, but it is written for {} boxes at most and "
                                  "there are {}",
                                  info.name, param.name, kMostBoxes, count)
                    : fmt::format("{}: {} is left out, but the number of boxes is not known",
                                  info.name, param.name),
                op.loc_);
            op.poisoned_ = true;
            break;
          }
        }
        Ints values;
        for (std::int64_t axis = 0; axis < count; ++axis) values.push_back(axis);
        add_ints(i, DType::none, false, values);
        break;
      }
      case DefaultKind::zero_bias: {
        const TypeId type = type_of(param_index(info, "weight"));
        if (type == kNone || graph->types.shape(type).empty()) break;
        const std::int64_t length = graph->types.shape(type)[0];
        Const zeros;
        zeros.type = graph->types.tensor(graph->types.dtype(type), std::span(&length, 1));
        zeros.kind = ConstKind::fill;
        zeros.fill = Fill::zeros;
        // Named after the argument like an attribute, and kept in a file like a tensor.
        zeros.role = {param.name, true};
        operands.push_back({graph->add_const(zeros, kNoName, op.loc_), i});
        break;
      }
      case DefaultKind::required:
      case DefaultKind::absent:
        break;
    }
  }
  if (!op.poisoned_) add_checked(op);
}

void Builder::add_checked(OpBuilder& op) {
  const OpInfo& info = *op.info_;
  OpScratch& s = *op.scratch_;
  const std::span<const BlockId> blocks = std::span(op.blocks_).first(op.block_count_);
  op.poisoned_ = true;
  if (graph->block_count() > 1 &&
      (!check_operands(info, s.operands, op.loc_) || !check_blocks(op))) {
    return;
  }
  GraphInferContext context(*this, info, s.operands, blocks, s, op.loc_);
  if (!infer_op(context) || !context.take_results()) return;
  op.poisoned_ = false;
  OpId id = kNone;
  if (op.code_ == OpCode::coreml_update_state) {
    // Which no text has (mil_text_format, section 2). Its state stands before its value, as do
    // input and data of write_state.
    graph->add_op(OpCode::write_state, s.operands, {}, op.loc_);
    id = graph->add_op(OpCode::read_state, std::span(s.operands).first(1), s.results, op.loc_);
  } else if (blocks.empty()) {
    id = graph->add_op(op.code_, s.operands, s.results, op.loc_);
  } else {
    id = graph->add_op(op.code_, s.operands, blocks, s.results, op.loc_);
  }
  op.first_result_ = graph->op(id).first_result;
  op.results_ = graph->op(id).results;
}

bool Builder::check_operands(const OpInfo& info, std::span<const Operand> operands, Loc where) {
  const std::span<const Param> params = info.signatures.back().params;
  return std::ranges::all_of(operands, [&](const Operand& operand) {
    return check_visible(operand.value,
                         fmt::format("{}: {}", info.name, params[operand.param].name), where);
  });
}

bool Builder::check_blocks(const OpBuilder& op) {
  const auto refuse = [&](Rule broken, const std::string& message) {
    diagnostics.error(broken.id(), fmt::format("{}: {}", op.info_->name, message), op.loc_);
    return false;
  };
  const std::uint32_t taken = takes_blocks(op.code_) ? kNestedBlocks : 0;
  // How many an op with blocks takes is what its inference says.
  if (taken == 0 && op.block_count_ != 0) {
    return refuse(rule<"block.count">,
                  fmt::format("the op has {} blocks but takes 0", op.block_count_));
  }
  for (const BlockId id : std::span(op.blocks_).first(op.block_count_)) {
    const BlockRecord& block = graph->block(id);
    if (block.open || block.owner != kNone || block.parent != graph->current_block()) {
      return refuse(rule<"block.place">,
                    block.open ? "the block is still open"
                    : block.owner != kNone
                        ? fmt::format("the block is that of {} already",
                                      op_info(graph->op(block.owner).code).name)
                        : std::string("the block was not made where the op stands"));
    }
    if (op.code_ == OpCode::cond && block.inputs != 0) {
      return refuse(
          rule<"block.inputs">,
          fmt::format("the block takes {} values but that of cond takes none", block.inputs));
    }
  }
  return true;
}

}  // namespace milgen
