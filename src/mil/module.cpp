#include "milgen/module.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "ir/builder.h"
#include "mil/literal.h"
#include "mil/module_data.h"
#include "milgen/op_info.h"
#include "support/rule.h"

namespace milgen {
namespace mil {
namespace {

template <class T>
Range<T> range(ModuleData* data, Id first, std::size_t count) {
  return {data, first, first + static_cast<Id>(count), count};
}

}  // namespace

// --- Type ---

TypeClass Type::type_class() const {
  switch (data_->types[id_].kind) {
    case TypeKind::tensor:
      break;
    case TypeKind::list:
      return TypeClass::list;
    case TypeKind::dict:
      return TypeClass::dict;
    case TypeKind::tuple:
      return TypeClass::tuple;
    case TypeKind::state:
      return TypeClass::state;
    case TypeKind::tensor_buffer:
      return TypeClass::tensor_buffer;
  }
  return TypeClass::tensor;
}
DType Type::dtype() const { return data_->types[id_].dtype; }
Shape Type::shape() const { return Shape(data_->types.shape(data_->types[id_])); }
std::size_t Type::element_count() const { return data_->types[id_].children; }
Type Type::element(std::size_t i) const {
  return {data_, data_->types.children(data_->types[id_])[i]};
}
std::int64_t Type::list_length() const { return data_->types[id_].length; }
std::string_view Type::text() const { return data_->types[id_].text; }
bool Type::same(Type other) const {
  if (data_ == other.data_) return data_->types[id_].plain == data_->types[other.id_].plain;
  const auto plain_text = [](Type t) { return t.data_->types[t.data_->types[t.id_].plain].text; };
  return plain_text(*this) == plain_text(other);
}

// --- Literal ---

Type Literal::type() const { return {data_, data_->literals[id_].type}; }
bool Literal::is_blob() const { return data_->literals[id_].blob != kNoId; }
std::string Literal::blob_path() const {
  return is_blob() ? unescape(data_->blobs[data_->literals[id_].blob].path) : std::string();
}
std::uint64_t Literal::blob_offset() const {
  return is_blob() ? data_->blobs[data_->literals[id_].blob].offset : 0;
}
std::string_view Literal::text() const { return data_->literals[id_].text; }
bool Literal::integers(std::vector<std::int64_t>& out, std::size_t limit) const {
  out.clear();
  return !is_blob() && decode_integers(text(), out, limit);
}
bool Literal::reals(std::vector<double>& out, std::size_t limit) const {
  out.clear();
  const DType dtype = type() ? type().dtype() : DType::fp64;
  return !is_blob() && decode_reals(text(), dtype, out, limit);
}
bool Literal::strings(std::vector<std::string>& out, std::size_t limit) const {
  out.clear();
  return !is_blob() && decode_strings(text(), out, limit);
}
bool Literal::string(std::string& out) const {
  std::vector<std::string> all;
  if (!strings(all, 1) || all.size() != 1) return false;
  out = std::move(all.front());
  return true;
}

// --- Binding, Argument, Attribute ---

bool Binding::is_value() const { return data_->bindings[id_].kind == BindingKind::value; }
bool Binding::is_literal() const { return data_->bindings[id_].kind == BindingKind::literal; }
bool Binding::is_tuple() const { return data_->bindings[id_].kind == BindingKind::tuple; }
bool Binding::is_undefined() const { return data_->bindings[id_].kind == BindingKind::undefined; }
Value Binding::value() const { return {data_, is_value() ? data_->bindings[id_].id : kNoId}; }
Literal Binding::literal() const { return {data_, is_literal() ? data_->bindings[id_].id : kNoId}; }
Range<Binding> Binding::elements() const {
  const BindingRecord& record = data_->bindings[id_];
  return is_tuple() ? range<Binding>(data_, record.id, record.count) : range<Binding>(data_, 0, 0);
}
std::string_view Binding::name() const {
  if (is_value()) return value().name();
  return is_undefined() ? data_->name(data_->bindings[id_].id) : std::string_view();
}
Op Binding::user() const { return {data_, data_->bindings[id_].op}; }
Place Binding::place() const {
  return data_->place(data_->bindings[id_].at, std::max<std::size_t>(name().size(), 1));
}

std::string_view Argument::name() const { return data_->name(data_->arguments[id_].name); }
bool Argument::is_tuple() const { return data_->arguments[id_].is_tuple; }
Range<Binding> Argument::bindings() const {
  const ArgumentRecord& record = data_->arguments[id_];
  return range<Binding>(data_, record.first_binding, record.bindings);
}
Place Argument::place() const { return data_->place(data_->arguments[id_].at, name().size()); }

std::string_view Attribute::name() const { return data_->name(data_->attributes[id_].name); }
Literal Attribute::value() const { return {data_, data_->attributes[id_].literal}; }
Place Attribute::place() const { return data_->place(data_->attributes[id_].at, name().size()); }

// --- Value ---

std::string_view Value::name() const { return data_->name(data_->values[id_].name); }
Type Value::type() const { return {data_, data_->values[id_].type}; }
Op Value::producer() const { return {data_, data_->values[id_].op}; }
std::size_t Value::index() const { return data_->values[id_].index; }
Literal Value::constant() const {
  const Id op = data_->values[id_].op;
  return {data_, op == kNoId ? kNoId : data_->const_literal(data_->ops[op])};
}
std::vector<Binding> Value::uses() const {
  std::vector<Binding> out;
  for (Id use = data_->values[id_].first_use; use != kNoId; use = data_->bindings[use].next_use) {
    out.emplace_back(data_, use);
  }
  return out;
}
bool Value::has_uses() const { return data_->values[id_].first_use != kNoId; }
Place Value::place() const { return data_->place_of_value(id_); }

// --- Op ---

std::uint32_t Op::next(ModuleData* data, std::uint32_t id) { return data->ops[id].next; }
std::string_view Op::name() const { return data_->name(data_->ops[id_].name); }
const OpInfo* Op::info() const {
  const std::int16_t code = data_->ops[id_].code;
  return code < 0 ? nullptr : &op_info(static_cast<OpCode>(code));
}
bool Op::is(OpCode code) const { return data_->ops[id_].code == static_cast<std::int16_t>(code); }
std::string_view Op::opset_override() const { return data_->name(data_->ops[id_].opset); }
Range<Value> Op::results() const {
  return range<Value>(data_, data_->ops[id_].first_result, data_->ops[id_].results);
}
Range<Argument> Op::arguments() const {
  return range<Argument>(data_, data_->ops[id_].first_argument, data_->ops[id_].arguments);
}
Argument Op::argument(std::string_view name) const {
  for (const Argument argument : arguments()) {
    if (argument.name() == name) return argument;
  }
  return {data_, kNoId};
}
Range<Attribute> Op::attributes() const {
  return range<Attribute>(data_, data_->ops[id_].first_attribute, data_->ops[id_].attributes);
}
Attribute Op::attribute(std::string_view name) const {
  for (const Attribute attribute : attributes()) {
    if (attribute.name() == name) return attribute;
  }
  return {data_, kNoId};
}
Range<Block> Op::blocks() const {
  return {data_, data_->ops[id_].first_block, kNoId, data_->ops[id_].blocks};
}
Block Op::parent() const { return {data_, data_->ops[id_].block}; }
Place Op::place() const { return data_->place_of_op(id_); }

// --- Block, Function ---

std::uint32_t Block::next(ModuleData* data, std::uint32_t id) { return data->blocks[id].next; }
Range<Value> Block::inputs() const {
  return range<Value>(data_, data_->blocks[id_].first_input, data_->blocks[id_].inputs);
}
Range<Op> Block::ops() const {
  return {data_, data_->blocks[id_].first_op, kNoId, data_->blocks[id_].ops};
}
Range<Binding> Block::outputs() const {
  return range<Binding>(data_, data_->blocks[id_].first_output, data_->blocks[id_].outputs);
}
Op Block::parent() const { return {data_, data_->blocks[id_].op}; }
Function Block::function() const { return {data_, data_->blocks[id_].function}; }
Place Block::place() const { return data_->place(data_->blocks[id_].at); }

std::string_view Function::name() const { return data_->name(data_->functions[id_].name); }
std::string_view Function::opset() const { return data_->name(data_->functions[id_].opset); }
Range<Value> Function::inputs() const { return body().inputs(); }
Range<Attribute> Function::attributes() const {
  return range<Attribute>(data_, data_->functions[id_].first_attribute,
                          data_->functions[id_].attributes);
}
Block Function::body() const { return {data_, data_->functions[id_].body}; }
Place Function::place() const { return data_->place(data_->functions[id_].at, name().size()); }

namespace {

/// Moves an op's attributes to the end of their array, where one more can follow.
std::vector<AttributeRecord>& open_attributes(ModuleData& data, Id op) {
  OpRecord& record = data.ops[op];
  const auto first = static_cast<Id>(data.attributes.size());
  for (std::uint32_t i = 0; i < record.attributes; ++i) {
    const AttributeRecord copy = data.attributes[record.first_attribute + i];
    data.attributes.push_back(copy);
  }
  record.first_attribute = first;
  return data.attributes;
}

Id find_attribute(const ModuleData& data, Id op, std::string_view name) {
  const OpRecord& record = data.ops[op];
  for (Id a = record.first_attribute; a != record.first_attribute + record.attributes; ++a) {
    if (data.name(data.attributes[a].name) == name) return a;
  }
  return kNoId;
}

Id find_argument(const ModuleData& data, Id op, std::string_view name) {
  const OpRecord& record = data.ops[op];
  for (Id a = record.first_argument; a != record.first_argument + record.arguments; ++a) {
    if (data.name(data.arguments[a].name) == name) return a;
  }
  return kNoId;
}

/// Takes bindings out of the chains of uses, those inside of tuples as well.
void drop_uses(ModuleData& data, Id first, std::uint32_t count) {
  struct Span {
    Id first;
    std::uint32_t count;
  };
  std::vector<Span> open{{first, count}};
  while (!open.empty()) {
    const Span span = open.back();
    open.pop_back();
    for (Id b = span.first; b != span.first + span.count; ++b) {
      const BindingRecord& record = data.bindings[b];
      if (record.kind == BindingKind::value) data.remove_use(b);
      if (record.kind == BindingKind::tuple) open.push_back({record.id, record.count});
    }
  }
}

void drop_argument_uses(ModuleData& data, Id op) {
  for (const ArgumentRecord& argument : data.arguments_of(data.ops[op])) {
    drop_uses(data, argument.first_binding, argument.bindings);
  }
}

/// Binds one thing to an argument, which is added where it is not there.
void bind(ModuleData& data, Id op, std::string_view name, BindingRecord bound) {
  Id argument = find_argument(data, op, name);
  if (argument == kNoId) {
    OpRecord& record = data.ops[op];
    const auto first = static_cast<Id>(data.arguments.size());
    for (std::uint32_t i = 0; i < record.arguments; ++i) {
      const ArgumentRecord copy = data.arguments[record.first_argument + i];
      data.arguments.push_back(copy);
    }
    record.first_argument = first;
    ++record.arguments;
    argument = static_cast<Id>(data.arguments.size());
    data.arguments.emplace_back();
    data.arguments[argument].name = data.names.intern(data.keep(name));
  } else {
    drop_uses(data, data.arguments[argument].first_binding, data.arguments[argument].bindings);
  }
  bound.op = op;
  const auto binding = static_cast<Id>(data.bindings.size());
  data.bindings.push_back(bound);
  if (bound.kind == BindingKind::value) data.add_use(binding);
  ArgumentRecord& record = data.arguments[argument];
  record.first_binding = binding;
  record.bindings = 1;
  record.is_tuple = false;
}

/// The blocks of an op and all that are nested in them.
std::vector<Id> blocks_below(const ModuleData& data, Id op) {
  std::vector<Id> out;
  std::vector<Id> ops{op};
  while (!ops.empty()) {
    const Id outer = ops.back();
    ops.pop_back();
    for (Id block = data.ops[outer].first_block; block != kNoId; block = data.blocks[block].next) {
      out.push_back(block);
      for (Id inner = data.blocks[block].first_op; inner != kNoId; inner = data.ops[inner].next) {
        if (data.ops[inner].blocks != 0) ops.push_back(inner);
      }
    }
  }
  return out;
}

/// A use of one of `count` values that is not in `blocks`, which are sorted; kNoId when there is
/// none.
Id use_outside(const ModuleData& data, Id first, std::uint32_t count, std::span<const Id> blocks) {
  for (Id value = first; value != first + count; ++value) {
    for (Id use = data.values[value].first_use; use != kNoId; use = data.bindings[use].next_use) {
      const BindingRecord& record = data.bindings[use];
      const Id block = record.op == kNoId ? record.block : data.ops[record.op].block;
      if (!std::ranges::binary_search(blocks, block)) return use;
    }
  }
  return kNoId;
}

/// The same of all that an op and those in its blocks make.
Id use_outside(const ModuleData& data, Id op, std::span<const Id> blocks) {
  Id use = use_outside(data, data.ops[op].first_result, data.ops[op].results, blocks);
  for (std::size_t i = 0; i < blocks.size() && use == kNoId; ++i) {
    const BlockRecord& block = data.blocks[blocks[i]];
    use = use_outside(data, block.first_input, block.inputs, blocks);
    for (Id inner = block.first_op; inner != kNoId && use == kNoId; inner = data.ops[inner].next) {
      use = use_outside(data, data.ops[inner].first_result, data.ops[inner].results, blocks);
    }
  }
  return use;
}

bool refuse_erased(const ModuleData& data, Id op, Diagnostics& diagnostics) {
  if (op == kNoId || !data.ops[op].erased) return false;
  diagnostics.error(rule<"edit.erased">.id(),
                    fmt::format("nothing can be added where {} was, which is erased",
                                data.name(data.ops[op].name)),
                    data.place_of_op(op));
  return true;
}

}  // namespace
}  // namespace mil

using namespace mil;

Module::Module() : data_(std::make_unique<ModuleData>()) {
  data_->source = std::make_shared<const std::string>();
}
Module::Module(Module&&) noexcept = default;
Module& Module::operator=(Module&&) noexcept = default;
Module::~Module() = default;
Module::operator bool() const { return data_->well_formed; }

Module Module::clone() const {
  Module out;
  out.data_ = std::make_unique<ModuleData>(*data_);
  return out;
}

std::string_view Module::version() const { return data_->version; }
Dialect Module::dialect() const {
  // The versions in between have never been seen; 1.3 is where scalars are written bare.
  return data_->version == "1.0" ? Dialect::v1_0 : Dialect::v1_3;
}
Range<Attribute> Module::attributes() const {
  return range<Attribute>(data_.get(), data_->first_attribute, data_->program_attributes);
}
Range<Function> Module::functions() const {
  return range<Function>(data_.get(), 0, data_->functions.size());
}
std::size_t Module::op_count() const { return data_->live_ops; }
std::size_t Module::text_bytes() const { return data_->text().size(); }

bool Module::rename(mil::Value value, std::string_view name, Diagnostics& diagnostics) {
  ModuleData& data = *data_;
  if (!is_identifier(name)) {
    diagnostics.error(rule<"name.characters">.id(),
                      fmt::format("'{}' is not [A-Za-z_][A-Za-z0-9_@]*, so that '{}' cannot be "
                                  "called that",
                                  name, value.name()),
                      value.place());
    return false;
  }
  if (is_reserved_word(name)) {
    diagnostics.error(rule<"name.reserved">.id(),
                      fmt::format("'{}' is a reserved word, so that '{}' cannot be called that",
                                  name, value.name()),
                      value.place());
    return false;
  }
  const Id known_as = data.names.find(name);
  if (known_as != kNoId && known_as != data.values[value.id()].name) {
    const Id function = data.function_of_value(value.id());
    for (Id other = 0; other < data.values.size(); ++other) {
      if (data.values[other].name != known_as || data.is_erased_value(other) ||
          data.function_of_value(other) != function) {
        continue;
      }
      diagnostics
          .error(rule<"name.duplicate">.id(),
                 fmt::format("'{}' cannot be called '{}', which is taken", value.name(), name),
                 value.place())
          .notes.push_back({fmt::format("'{}' is made here", name), data.place_of_value(other)});
      return false;
    }
  }
  const Op op = value.producer();
  std::string written;
  const bool says_name = op && value.index() == 0 && op.attribute("name") &&
                         op.attribute("name").value().string(written) && written == value.name();
  if (says_name) {
    LiteralRecord& literal = data.literals[op.attribute("name").value().id()];
    literal.text = data.keep(fmt::format("\"{}\"", name));
    literal.spaced = true;
  }
  data.values[value.id()].name = known_as == kNoId ? data.names.intern(data.keep(name)) : known_as;
  return true;
}

void Module::set_op_name(Op op, std::string_view name) {
  const Id known_as = data_->names.find(name);
  mil::OpRecord& record = data_->ops[op.id()];
  record.name = known_as == kNoId ? data_->names.intern(data_->keep(name)) : known_as;
  const OpInfo* info = find_op(name);
  record.code = info == nullptr ? std::int16_t{-1} : static_cast<std::int16_t>(info->code);
}

void Module::replace_uses(mil::Value from, mil::Value to) {
  if (from == to) return;
  ModuleData& data = *data_;
  while (data.values[from.id()].first_use != kNoId) {
    const Id use = data.values[from.id()].first_use;
    data.remove_use(use);
    data.bindings[use].id = to.id();
    data.add_use(use);
  }
}

void Module::set_argument(Op op, std::string_view name, mil::Value value) {
  BindingRecord bound;
  bound.kind = BindingKind::value;
  bound.id = value.id();
  bind(*data_, op.id(), name, bound);
}

bool Module::set_argument(Op op, std::string_view name, std::string_view literal,
                          Diagnostics& diagnostics) {
  BindingRecord bound;
  bound.kind = BindingKind::literal;
  bound.id = parse_literal(*data_, literal, diagnostics);
  if (bound.id == kNoId) return false;
  bind(*data_, op.id(), name, bound);
  return true;
}

void Module::remove_argument(Op op, std::string_view name) {
  ModuleData& data = *data_;
  const Id argument = find_argument(data, op.id(), name);
  if (argument == kNoId) return;
  drop_uses(data, data.arguments[argument].first_binding, data.arguments[argument].bindings);
  mil::OpRecord& record = data.ops[op.id()];
  const auto first = data.arguments.begin();
  std::copy(first + argument + 1, first + record.first_argument + record.arguments,
            first + argument);
  --record.arguments;
}

bool Module::set_attribute(Op op, std::string_view name, std::string_view literal,
                           Diagnostics& diagnostics) {
  ModuleData& data = *data_;
  const Id value = parse_literal(data, literal, diagnostics);
  if (value == kNoId) return false;
  const Id there = find_attribute(data, op.id(), name);
  if (there != kNoId) {
    data.attributes[there].literal = value;
    return true;
  }
  AttributeRecord attribute;
  attribute.name = data.names.intern(data.keep(name));
  attribute.literal = value;
  open_attributes(data, op.id()).push_back(attribute);
  ++data.ops[op.id()].attributes;
  return true;
}

void Module::remove_attribute(Op op, std::string_view name) {
  ModuleData& data = *data_;
  const Id attribute = find_attribute(data, op.id(), name);
  if (attribute == kNoId) return;
  mil::OpRecord& record = data.ops[op.id()];
  const auto first = data.attributes.begin();
  std::copy(first + attribute + 1, first + record.first_attribute + record.attributes,
            first + attribute);
  --record.attributes;
}

bool Module::erase(Op op, Diagnostics& diagnostics) {
  ModuleData& data = *data_;
  // The op of a block that is erased goes with it, and whoever holds both may erase both.
  if (data.ops[op.id()].erased) return true;
  std::vector<Id> blocks = blocks_below(data, op.id());
  std::ranges::sort(blocks);
  if (const Id use = use_outside(data, op.id(), blocks); use != kNoId) {
    const Binding binding(&data, use);
    Diagnostic& report =
        diagnostics.error(rule<"edit.used">.id(),
                          fmt::format("{} cannot be erased while its result '{}' is in use",
                                      op.name(), binding.name()),
                          op.place());
    report.notes.push_back({fmt::format("'{}' is used here", binding.name()), binding.place()});
    return false;
  }
  for (const Id block : blocks) {
    drop_uses(data, data.blocks[block].first_output, data.blocks[block].outputs);
    for (Id inner = data.blocks[block].first_op; inner != kNoId; inner = data.ops[inner].next) {
      drop_argument_uses(data, inner);
      data.ops[inner].erased = true;
      --data.live_ops;
    }
  }
  drop_argument_uses(data, op.id());
  mil::OpRecord& record = data.ops[op.id()];
  mil::BlockRecord& block = data.blocks[record.block];
  (record.previous == kNoId ? block.first_op : data.ops[record.previous].next) = record.next;
  (record.next == kNoId ? block.last_op : data.ops[record.next].previous) = record.previous;
  --block.ops;
  --data.live_ops;
  record.erased = true;
  return true;
}

Op Module::insert_before(Op op, std::string_view text, Diagnostics& diagnostics) {
  if (refuse_erased(*data_, op.id(), diagnostics)) return {};
  if (!parse_ops(*data_, text, data_->ops[op.id()].block, op.id(), diagnostics)) return {};
  const Id last = data_->ops[op.id()].previous;
  return {data_.get(), last};
}

Op Module::append(mil::Block block, std::string_view text, Diagnostics& diagnostics) {
  if (refuse_erased(*data_, data_->blocks[block.id()].op, diagnostics)) return {};
  if (!parse_ops(*data_, text, block.id(), kNoId, diagnostics)) return {};
  return {data_.get(), data_->blocks[block.id()].last_op};
}

void Module::set_output(mil::Block block, std::size_t index, mil::Value value) {
  const Id binding = data_->blocks[block.id()].first_output + static_cast<Id>(index);
  if (data_->bindings[binding].kind == BindingKind::value) data_->remove_use(binding);
  data_->bindings[binding].kind = BindingKind::value;
  data_->bindings[binding].id = value.id();
  data_->add_use(binding);
}

}  // namespace milgen
