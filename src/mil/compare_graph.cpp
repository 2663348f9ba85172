#include "mil/compare_graph.h"

#include <algorithm>
#include <bit>

#include "mil/literal.h"
#include "mil/literal_walk.h"

namespace milgen::mil {
namespace {

/// What a key is of: its first word.
enum class Tag : std::uint32_t {
  type,
  input,
  block_input,
  result,
  constant,
  retyped_constant,
  constant_op,
  blob,
  elements,
  strings,
  tokens,
  op,
  skeleton,
  block,
  block_skeleton,
};

/// The parentheses of a tuple in a tuple, and a tuple with nothing in it.
enum class Mark : std::uint32_t { open, close, empty };

void append(std::vector<std::uint32_t>& key, Tag tag) {
  key.push_back(static_cast<std::uint32_t>(tag));
}
void append(std::vector<std::uint32_t>& key, std::uint64_t value) {
  key.push_back(static_cast<std::uint32_t>(value));
  key.push_back(static_cast<std::uint32_t>(value >> 32));
}
std::uint32_t size32(std::size_t size) { return static_cast<std::uint32_t>(size); }

/// A bare `true` or `2` is what bool(true) and int32(2) are (mil_text_format, section 5).
DType bare_dtype(std::string_view text) {
  LiteralTokens tokens(text);
  const Token token = tokens.next();
  if (token.text == "true" || token.text == "false") return DType::boolean;
  if (token.kind == TokenKind::whole) return DType::int32;
  return token.kind == TokenKind::string ? DType::string : DType::none;
}

}  // namespace

// --- Interner ---

Id Interner::intern(std::span<const std::uint32_t> wanted) {
  const auto hash = static_cast<std::uint32_t>(hash64(std::as_bytes(wanted), hash_seed()));
  const auto next = static_cast<Id>(ends_.size());
  const Id id = ids_.find_or_add(hash, next,
                                 [&](Id other) { return std::ranges::equal(key(other), wanted); });
  if (id != next) return id;
  words_.insert(words_.end(), wanted.begin(), wanted.end());
  ends_.push_back(words_.size());
  return id;
}

// --- ElementKey ---

void ElementKey::add(std::span<const std::uint64_t> elements) {
  elements_.insert(elements_.end(), elements.begin(), elements.end());
  count_ += elements.size();
  if (elements_.size() > kVerbatimElements) digest();
}

void ElementKey::digest() {
  if (!sha_) sha_ = std::make_unique<Sha256>();
  sha_->update(std::as_bytes(std::span<const std::uint64_t>(elements_)));
  elements_.clear();
}

void ElementKey::append_to(std::vector<std::uint32_t>& key) {
  append(key, count_);
  if (!sha_) {
    for (const std::uint64_t element : elements_) append(key, element);
    return;
  }
  digest();
  const Sha256::Digest digest = sha_->finish();
  for (std::size_t i = 0; i < digest.size(); i += 4) {
    std::uint32_t word = 0;
    for (std::size_t byte = 0; byte < 4; ++byte) word = (word << 8) | digest[i + byte];
    key.push_back(word);
  }
}

// --- GraphSide ---

GraphSide::GraphSide(const ModuleData& module, Shared& shared, WeightContents* weights)
    : data(module),
      shared_(shared),
      weights_(weights),
      literals_(module.literals.size(), kNoId),
      exact_(module.ops.size(), kNoId),
      skeleton_(module.ops.size(), kNoId),
      constant_(module.ops.size(), kNoId),
      value_exact_(module.values.size(), kNoId),
      value_skeleton_(module.values.size(), kNoId),
      block_exact_(module.blocks.size(), kNoId),
      block_skeleton_(module.blocks.size(), kNoId),
      operand_ranges_(module.ops.size()),
      output_ranges_(module.blocks.size()),
      positions_(module.ops.size(), 0),
      last_write_(module.values.size(), kNoId) {
  names_.reserve(module.names.size());
  for (Id name = 0; name < module.names.size(); ++name) {
    names_.push_back(shared.words.intern(module.names.view(name)));
  }
  number_types();
}

/// A type's parts were made before it, so one pass over the table does, whatever the nesting.
void GraphSide::number_types() {
  types_.reserve(data.types.size());
  for (Id id = 0; id < data.types.size(); ++id) {
    const TypeRecord& type = data.types[id];
    key_.clear();
    append(key_, Tag::type);
    key_.push_back(static_cast<std::uint32_t>(type.kind));
    key_.push_back(static_cast<std::uint32_t>(type.dtype));
    key_.push_back(type.rank);
    for (const std::int64_t dim : data.types.shape(type)) {
      append(key_, static_cast<std::uint64_t>(dim));
    }
    append(key_, static_cast<std::uint64_t>(type.length));
    for (const Id child : data.types.children(type)) key_.push_back(types_[child]);
    for (const TypeField& field : data.types.fields(type)) {
      key_.push_back(shared_.words.intern(field.name));
      key_.push_back(field.dims);
      for (const std::int64_t dim : data.types.dims(field)) {
        append(key_, static_cast<std::uint64_t>(dim));
      }
    }
    types_.push_back(shared_.keys.intern(key_));
  }
}

Id GraphSide::word_of_text(std::string_view text) {
  const Id known_word = shared_.words.find(text);
  if (known_word != kNoId) return known_word;
  return shared_.words.intern(shared_.texts.emplace_back(text));
}

/// A token of a list, tuple or dict; numbers are brought to one spelling in `dtype`.
void GraphSide::append_token(const Token& token, DType dtype, std::vector<std::uint32_t>& key) {
  constexpr double kExactBelow = 0x1p53;
  double value = 0;
  const bool is_number = token.kind == TokenKind::whole || token.kind == TokenKind::real;
  if (is_number && decode_real(token.text, is_float(dtype) ? dtype : DType::fp64, value) &&
      (token.kind == TokenKind::real || (value < kExactBelow && value > -kExactBelow))) {
    key.push_back(static_cast<std::uint32_t>(TokenKind::real));
    append(key, std::bit_cast<std::uint64_t>(value));
  } else if (token.kind == TokenKind::string) {
    key.push_back(static_cast<std::uint32_t>(token.kind));
    key.push_back(word_of_text(unescape(token.text)));
  } else {
    key.push_back(static_cast<std::uint32_t>(token.kind));
    key.push_back(word_of_text(token.text));
  }
}

/// What stands in lists, tuples and dicts, each number in the dtype that its type gives it; where
/// the text does not fit the type, as a double.
void GraphSide::append_tokens(const LiteralRecord& literal, std::vector<std::uint32_t>& key) {
  struct Visitor {
    GraphSide& side;
    std::vector<std::uint32_t>& out;
    void open(const Token& token) { side.append_token(token, DType::none, out); }
    void close(const Token& token) { side.append_token(token, DType::none, out); }
    void comma() {}
    bool leaf(const Token& token, DType dtype, bool) {
      side.append_token(token, dtype, out);
      return true;
    }
    void count_fault(const LiteralPart&, std::int64_t, std::int64_t, const Token&) {}
    void shape_fault(Id, char, const Token&) {}
  };
  const std::size_t before = key.size();
  Visitor visitor{*this, key};
  if (literal.type != kNoId && LiteralWalk(data.types, literal.text, visitor).walk(literal.type)) {
    return;
  }
  key.resize(before);
  LiteralTokens tokens(literal.text);
  for (Token token = tokens.next(); token.kind != TokenKind::end; token = tokens.next()) {
    append_token(token, DType::none, key);
  }
}

bool GraphSide::literal_key(const LiteralRecord& literal, std::vector<std::uint32_t>& key) {
  const TypeRecord& type = data.types[literal.type];
  if (type.kind != TypeKind::tensor) return false;
  if (type.dtype == DType::string) {
    std::vector<std::string> strings;
    if (!decode_strings(literal.text, strings, SIZE_MAX)) return false;
    append(key, Tag::strings);
    for (const std::string& string : strings) key.push_back(word_of_text(string));
    return true;
  }
  std::vector<std::uint64_t> elements;
  if (is_float(type.dtype)) {
    std::vector<double> reals;
    if (!decode_reals(literal.text, type.dtype, reals, SIZE_MAX)) return false;
    for (const double real : reals) elements.push_back(std::bit_cast<std::uint64_t>(real));
  } else {
    std::vector<std::int64_t> integers;
    const bool decoded = type.dtype == DType::uint64
                             ? decode_unsigned(literal.text, integers, SIZE_MAX)
                             : decode_integers(literal.text, integers, SIZE_MAX);
    if (!decoded) return false;
    for (const std::int64_t integer : integers) {
      elements.push_back(static_cast<std::uint64_t>(integer));
    }
  }
  append(key, Tag::elements);
  ElementKey element_key;
  element_key.add(elements);
  element_key.append_to(key);
  return true;
}

Id GraphSide::scalar_type(DType dtype) {
  const std::uint32_t key[] = {static_cast<std::uint32_t>(Tag::type),
                               static_cast<std::uint32_t>(TypeKind::tensor),
                               static_cast<std::uint32_t>(dtype),
                               0,
                               0,
                               0};
  return shared_.keys.intern(key);
}

Id GraphSide::type_of_literal(const LiteralRecord& literal) {
  return literal.type != kNoId ? type(literal.type) : scalar_type(bare_dtype(literal.text));
}

Id GraphSide::constant(Id id) {
  if (literals_[id] != kNoId) return literals_[id];
  const LiteralRecord& literal = data.literals[id];
  std::vector<std::uint32_t> key;
  append(key, Tag::constant);
  const DType bare = literal.type == kNoId ? bare_dtype(literal.text) : DType::none;
  if (literal.blob != kNoId) {
    key.push_back(type(literal.type));
    ElementKey elements;
    if (weights_ != nullptr && weights_->elements(data, literal, elements)) {
      append(key, Tag::elements);
      elements.append_to(key);
    } else {
      const BlobRecord& blob = data.blobs[literal.blob];
      append(key, Tag::blob);
      key.push_back(word_of_text(unescape(blob.path)));
      append(key, blob.offset);
    }
  } else if (literal.type != kNoId) {
    key.push_back(type(literal.type));
    if (!literal_key(literal, key)) {
      append(key, Tag::tokens);
      append_tokens(literal, key);
    }
  } else if (bare != DType::none) {
    key.push_back(scalar_type(bare));
    std::vector<std::int64_t> integers;
    if (bare == DType::string) {
      append(key, Tag::strings);
      key.push_back(word_of_text(unescape(literal.text)));
    } else if (decode_integers(literal.text, integers, 1) && integers.size() == 1) {
      append(key, Tag::elements);
      ElementKey element;
      const auto bits = static_cast<std::uint64_t>(integers[0]);
      element.add({&bits, 1});
      element.append_to(key);
    }
  } else {
    key.push_back(kNoId);
    append(key, Tag::tokens);
    append_tokens(literal, key);
  }
  return literals_[id] = shared_.keys.intern(key);
}

void GraphSide::attributes(Id first, std::uint32_t count, bool is_const,
                           std::vector<std::pair<Id, Id>>& out) {
  out.clear();
  for (Id i = first; i < first + count; ++i) {
    const AttributeRecord& attribute = data.attributes[i];
    const std::string_view name = data.name(attribute.name);
    if (name == "name" || (is_const && name == "val") || attribute.literal == kNoId) continue;
    out.emplace_back(shared_name(attribute.name), constant(attribute.literal));
  }
  std::ranges::sort(out);
}

bool GraphSide::is_state(Id value) const {
  const Id type_id = data.values[value].type;
  return type_id != kNoId && data.types[type_id].kind == TypeKind::state;
}

// --- Operands ---

OperandSlot GraphSide::slot_of(Id name, std::uint32_t index, Id binding_id) {
  const BindingRecord& binding = data.bindings[binding_id];
  OperandSlot slot{.name = name, .index = index, .binding = binding_id};
  if (binding.kind == BindingKind::literal) {
    slot.kind = SlotKind::constant;
    slot.literal = binding.id;
    slot.code = constant(binding.id);
  } else if (binding.kind == BindingKind::undefined) {
    slot.kind = SlotKind::undefined;
    slot.code = shared_name(binding.id);
  } else {
    slot.value = binding.id;
    const Id op = data.values[binding.id].op;
    if (op != kNoId && constant_[op] != kNoId) {
      slot.kind = SlotKind::constant;
      slot.code = constant_[op];
      slot.literal = data.const_literal(data.ops[op]);
    } else if (is_state(binding.id)) {
      slot.after = last_write_[binding.id];
    }
  }
  return slot;
}

/// One binding, which may be a tuple of tuples.
void GraphSide::add_binding(Id name, std::uint32_t& index, Id binding) {
  struct Open {
    Id next;
    Id end;
  };
  const auto mark = [&](Mark what) {
    slots_.push_back({.name = name,
                      .index = index++,
                      .kind = SlotKind::mark,
                      .code = static_cast<std::uint32_t>(what)});
  };
  std::vector<Open> open;
  for (;;) {
    const BindingRecord& record = data.bindings[binding];
    if (record.kind != BindingKind::tuple) {
      slots_.push_back(slot_of(name, index++, binding));
    } else {
      mark(Mark::open);
      open.push_back({record.id, record.id + record.count});
    }
    while (!open.empty() && open.back().next == open.back().end) {
      mark(Mark::close);
      open.pop_back();
    }
    if (open.empty()) return;
    binding = open.back().next++;
  }
}

void GraphSide::add_argument(Id name, const ArgumentRecord& argument) {
  std::uint32_t index = 0;
  if (argument.bindings == 0) {
    slots_.push_back(
        {.name = name, .kind = SlotKind::mark, .code = static_cast<std::uint32_t>(Mark::empty)});
  }
  for (Id i = 0; i < argument.bindings; ++i) {
    const Id binding = argument.first_binding + i;
    // (a) is a (mil_text_format, section 2).
    if (argument.bindings == 1 && data.bindings[binding].kind != BindingKind::tuple) {
      slots_.push_back(slot_of(name, 0, binding));
    } else {
      add_binding(name, index, binding);
    }
  }
}

GraphSide::Range GraphSide::add_slots(std::span<const ArgumentRecord> arguments) {
  const std::size_t first = slots_.size();
  for (const ArgumentRecord& argument : arguments) {
    add_argument(shared_name(argument.name), argument);
  }
  const auto by_name = [](const OperandSlot& a, const OperandSlot& b) { return a.name < b.name; };
  const auto begin = slots_.begin() + static_cast<std::ptrdiff_t>(first);
  if (!std::is_sorted(begin, slots_.end(), by_name)) {
    std::stable_sort(begin, slots_.end(), by_name);
  }
  return {size32(first), size32(slots_.size() - first)};
}

void GraphSide::append_slot(const OperandSlot& slot, bool exact,
                            std::vector<std::uint32_t>& key) const {
  key.push_back(slot.name);
  key.push_back(static_cast<std::uint32_t>(slot.kind));
  switch (slot.kind) {
    case SlotKind::value:
      key.push_back(exact ? value_exact_[slot.value] : value_skeleton_[slot.value]);
      break;
    case SlotKind::constant:
      if (exact) key.push_back(slot.code);
      break;
    case SlotKind::undefined:
    case SlotKind::mark:
      key.push_back(slot.code);
      break;
  }
  if (slot.after != kNoId) {
    key.push_back(exact ? exact_[slot.after] : skeleton_[slot.after]);
  }
}

void GraphSide::append_slots(Range range, bool exact, std::vector<std::uint32_t>& key) const {
  key.push_back(range.count);
  for (const OperandSlot& slot : slice(range)) append_slot(slot, exact, key);
}

// --- Ops and blocks ---

void GraphSide::number(Id function, std::span<const std::uint32_t> input_codes,
                       std::span<const std::uint32_t> output_places) {
  output_places_ = output_places;
  next_position_ = 0;
  const Id body = data.functions[function].body;
  const BlockRecord& block = data.blocks[body];
  for (std::uint32_t i = 0; i < block.inputs; ++i) {
    const Id value = block.first_input + i;
    key_.clear();
    append(key_, Tag::input);
    key_.push_back(input_codes[i]);
    const Id skeleton_code = shared_.keys.intern(key_);
    key_.push_back(type_of_value(value));
    set_value(value, shared_.keys.intern(key_), skeleton_code);
    last_write_[value] = kNoId;
  }
  writes_.clear();
  frames_.clear();
  frames_.push_back({kNoId, body, block.first_op, 0, 0});
  while (!frames_.empty()) {
    const Frame frame = frames_.back();
    if (frame.next_op != kNoId) {
      const OpRecord& op = data.ops[frame.next_op];
      frames_.back().next_op = op.next;
      start_op(frame.next_op);
      if (op.blocks == 0) {
        finish_op(frame.next_op, writes_.size());
      } else {
        enter_block(op.first_block, size32(frames_.size()), 0);
        frames_.push_back({frame.next_op, op.first_block, data.blocks[op.first_block].first_op, 0,
                           writes_.size()});
      }
      continue;
    }
    leave_block(frame.block, frame.first_write);
    frames_.pop_back();
    if (frame.op == kNoId) continue;
    const OpRecord& op = data.ops[frame.op];
    // Writes of all blocks of the op lie on each other: its own begin with the first block's.
    const Id next = data.blocks[frame.block].next;
    if (frame.block_index + 1 < op.blocks && next != kNoId) {
      enter_block(next, size32(frames_.size()), frame.block_index + 1);
      frames_.push_back(
          {frame.op, next, data.blocks[next].first_op, frame.block_index + 1, frame.first_write});
    } else {
      finish_op(frame.op, frame.first_write);
    }
  }
}

void GraphSide::enter_block(Id block_id, std::uint32_t depth, std::uint32_t index) {
  const BlockRecord& block = data.blocks[block_id];
  for (std::uint32_t i = 0; i < block.inputs; ++i) {
    const Id value = block.first_input + i;
    key_.clear();
    append(key_, Tag::block_input);
    key_.push_back(depth);
    key_.push_back(index);
    key_.push_back(i);
    const Id skeleton_code = shared_.keys.intern(key_);
    key_.push_back(type_of_value(value));
    set_value(value, shared_.keys.intern(key_), skeleton_code);
    last_write_[value] = kNoId;
  }
}

/// A block's outputs are what it gives and, for each state that it wrote, what that holds then.
void GraphSide::leave_block(Id block_id, std::size_t first_write) {
  const BlockRecord& block = data.blocks[block_id];
  const std::size_t first = slots_.size();
  const bool is_moved = block.op == kNoId && !output_places_.empty();
  for (std::uint32_t i = 0; i < block.outputs; ++i) {
    const std::uint32_t place = is_moved ? output_places_[i] : i;
    if (data.bindings[block.first_output + i].kind != BindingKind::tuple) {
      slots_.push_back(slot_of(0, place, block.first_output + i));
    }
  }
  if (is_moved) {
    std::sort(slots_.begin() + static_cast<std::ptrdiff_t>(first), slots_.end(),
              [](const OperandSlot& a, const OperandSlot& b) { return a.index < b.index; });
  }
  const std::size_t first_state = slots_.size();
  std::vector<Id> written;
  for (std::size_t i = first_write; i < writes_.size(); ++i) written.push_back(writes_[i].value);
  std::ranges::sort(written);
  written.erase(std::unique(written.begin(), written.end()), written.end());
  for (const Id value : written) {
    if (last_write_[value] == kNoId) continue;
    slots_.push_back(
        {.name = value_skeleton_[value] + 1, .value = value, .after = last_write_[value]});
  }
  std::sort(slots_.begin() + static_cast<std::ptrdiff_t>(first_state), slots_.end(),
            [](const OperandSlot& a, const OperandSlot& b) { return a.name < b.name; });
  output_ranges_[block_id] = {size32(first), size32(slots_.size() - first)};

  for (const bool exact : {true, false}) {
    key_.clear();
    append(key_, exact ? Tag::block : Tag::block_skeleton);
    key_.push_back(block.inputs);
    for (std::uint32_t i = 0; exact && i < block.inputs; ++i) {
      key_.push_back(type_of_value(block.first_input + i));
    }
    append_slots(output_ranges_[block_id], exact, key_);
    (exact ? block_exact_ : block_skeleton_)[block_id] = shared_.keys.intern(key_);
  }
  // The next block of the op begins with the states as they were in front of the op.
  for (std::size_t i = writes_.size(); i > first_write; --i) {
    last_write_[writes_[i - 1].value] = writes_[i - 1].before;
  }
}

void GraphSide::start_op(Id id) {
  const OpRecord& op = data.ops[id];
  positions_[id] = next_position_++;
  const bool is_const = op.code == static_cast<std::int16_t>(OpCode::const_) && op.results == 1;
  const Id literal = is_const ? data.const_literal(op) : kNoId;
  if (literal != kNoId) {
    finish_constant(id, literal);
    return;
  }
  operand_ranges_[id] = add_slots(data.arguments_of(op));
}

void GraphSide::finish_constant(Id id, Id literal) {
  const OpRecord& op = data.ops[id];
  ++constant_ops_;
  Id code = constant(literal);
  const Id result_type = type_of_value(op.first_result);
  if (type_of_literal(data.literals[literal]) != result_type) {
    const std::uint32_t key[] = {static_cast<std::uint32_t>(Tag::retyped_constant), code,
                                 result_type};
    code = shared_.keys.intern(key);
  }
  std::vector<std::pair<Id, Id>> more;
  attributes(op.first_attribute, op.attributes, true, more);
  if (!more.empty()) {
    key_.clear();
    append(key_, Tag::constant_op);
    key_.push_back(code);
    for (const auto& [name, value] : more) {
      key_.push_back(name);
      key_.push_back(value);
    }
    code = shared_.keys.intern(key_);
  }
  constant_[id] = code;
}

/// Whoever reads the states behind this op reads what it wrote.
void GraphSide::write_states(Id id) {
  const OpRecord& op = data.ops[id];
  const bool writes =
      op.code < 0 || has(op_info(static_cast<OpCode>(op.code)).traits, Trait::side_effect);
  if (!writes) return;
  for (const OperandSlot& slot : operands(id)) {
    if (slot.kind != SlotKind::value || !is_state(slot.value)) continue;
    writes_.push_back({slot.value, last_write_[slot.value]});
    last_write_[slot.value] = id;
  }
}

void GraphSide::finish_op(Id id, std::size_t first_write) {
  if (is_constant(id)) return;
  const OpRecord& op = data.ops[id];
  const Range range = operand_ranges_[id];
  if (shared_.commutative && op.code >= 0 && range.count == 2 &&
      has(op_info(static_cast<OpCode>(op.code)).traits, Trait::commutative)) {
    // One order for both sides: that of the operands' numbers.
    const auto number_of = [&](const OperandSlot& slot) {
      std::vector<std::uint32_t> key;
      append_slot(slot, true, key);
      key.erase(key.begin());
      return key;
    };
    OperandSlot& x = slots_[range.first];
    OperandSlot& y = slots_[range.first + 1];
    if (number_of(y) < number_of(x)) {
      std::swap(x, y);
      std::swap(x.name, y.name);
    }
  }
  std::vector<std::pair<Id, Id>> more;
  attributes(op.first_attribute, op.attributes, false, more);
  for (const bool exact : {true, false}) {
    key_.clear();
    append(key_, exact ? Tag::op : Tag::skeleton);
    key_.push_back(word(id));
    key_.push_back(opset(id));
    append_slots(range, exact, key_);
    key_.push_back(op.results);
    for (std::uint32_t i = 0; exact && i < op.results; ++i) {
      key_.push_back(type_of_value(op.first_result + i));
    }
    key_.push_back(op.blocks);
    Id block = op.first_block;
    for (std::uint32_t i = 0; i < op.blocks && block != kNoId;
         ++i, block = data.blocks[block].next) {
      key_.push_back(exact ? block_exact_[block] : block_skeleton_[block]);
    }
    for (const auto& [name, value] : more) {
      if (!exact) break;
      key_.push_back(name);
      key_.push_back(value);
    }
    (exact ? exact_ : skeleton_)[id] = shared_.keys.intern(key_);
  }
  for (std::uint32_t i = 0; i < op.results; ++i) {
    const std::uint32_t exact_key[] = {static_cast<std::uint32_t>(Tag::result), exact_[id], i};
    const std::uint32_t skeleton_key[] = {static_cast<std::uint32_t>(Tag::result), skeleton_[id],
                                          i};
    set_value(op.first_result + i, shared_.keys.intern(exact_key),
              shared_.keys.intern(skeleton_key));
  }
  if (op.blocks == 0) {
    write_states(id);
    return;
  }
  std::vector<Write> own;
  for (std::size_t i = first_write; i < writes_.size(); ++i) {
    own.push_back({writes_[i].value, last_write_[writes_[i].value]});
  }
  std::ranges::sort(own, {}, &Write::value);
  const auto same = [](const Write& a, const Write& b) { return a.value == b.value; };
  own.erase(std::unique(own.begin(), own.end(), same), own.end());
  writes_.resize(first_write);
  for (const Write& write : own) {
    writes_.push_back(write);
    last_write_[write.value] = id;
  }
}

}  // namespace milgen::mil
