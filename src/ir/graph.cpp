#include "ir/graph.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "support/half.h"
#include "support/word_hash.h"

namespace milgen {
namespace {

constexpr std::size_t kFirstChunkBytes = 2048;
constexpr std::size_t kLargestChunkBytes = std::size_t{1} << 20;
constexpr std::size_t kFirstBuckets = 128;

/// "mul_0", "w_12": an underscore and digits at the end.
bool is_numbered(std::string_view text) {
  std::size_t digits = 0;
  while (digits < text.size() && text[text.size() - 1 - digits] >= '0' &&
         text[text.size() - 1 - digits] <= '9') {
    ++digits;
  }
  return digits != 0 && digits < text.size() && text[text.size() - 1 - digits] == '_';
}

/// Cheap and good enough to spread: names of arguments differ in length or in their ends.
std::uint64_t role_hash(ConstRole role) {
  const std::string_view base = role.base;
  return (base.size() * 131 + static_cast<unsigned char>(base.front())) * 131 * 8 +
         static_cast<unsigned char>(base.back()) * std::uint64_t{8} + (role.is_attribute ? 1 : 0);
}

}  // namespace

// --- StringPool ---

StringPool::StringPool(std::pmr::memory_resource* memory)
    : chunks_(memory), entries_(memory), table_(kFirstBuckets, kNone, memory) {
  chunks_.reserve(4);
  entries_.reserve(kFirstBuckets / 2);
  intern("");  // kNoName
}

const char* StringPool::store(std::string_view text) {
  if (chunks_.empty() || chunks_.back().size() - chunk_used_ < text.size()) {
    const std::size_t grown = chunks_.empty()
                                  ? kFirstChunkBytes
                                  : std::min(chunks_.back().size() * 2, kLargestChunkBytes);
    chunks_.emplace_back(std::max(grown, text.size()));
    chunk_used_ = 0;
  }
  char* at = chunks_.back().data() + chunk_used_;
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  chunk_used_ += text.size();
  return at;
}

void StringPool::rehash(std::size_t buckets) {
  table_.assign(buckets, kNone);
  for (std::uint32_t id = 0; id < entries_.size(); ++id) {
    std::size_t slot = entries_[id].hash & (buckets - 1);
    while (table_[slot] != kNone) slot = (slot + 1) & (buckets - 1);
    table_[slot] = id;
  }
}

NameId StringPool::find(std::string_view text, std::uint32_t hash) const {
  std::size_t slot = hash & (table_.size() - 1);
  while (table_[slot] != kNone) {
    const std::uint32_t id = table_[slot];
    if (entries_[id].hash == hash && view(id) == text) return id;
    slot = (slot + 1) & (table_.size() - 1);
  }
  return kNone;
}

NameId StringPool::find(std::string_view text) const { return find(text, hash_word(text)); }

NameId StringPool::intern(std::string_view text) {
  const std::uint32_t hash = hash_word(text);
  if (const NameId id = find(text, hash); id != kNone) return id;
  if ((entries_.size() + 1) * 2 > table_.size()) rehash(table_.size() * 2);
  const auto id = static_cast<NameId>(entries_.size());
  entries_.push_back({store(text), text.size(), hash});
  has_numbered_ = has_numbered_ || is_numbered(text);
  std::size_t slot = hash & (table_.size() - 1);
  while (table_[slot] != kNone) slot = (slot + 1) & (table_.size() - 1);
  table_[slot] = id;
  return id;
}

// --- TypePool ---

TypePool::TypePool(std::pmr::memory_resource* memory)
    : records_(memory), dims_(memory), table_(kFirstBuckets, kNone, memory) {
  records_.reserve(kFirstBuckets / 2);
  dims_.reserve(192);
}

TypeId TypePool::intern(const Record& record, std::span<const std::int64_t> shape) {
  std::size_t slot = record.hash & (table_.size() - 1);
  while (table_[slot] != kNone) {
    const Record& other = records_[table_[slot]];
    if (other.hash == record.hash && other.kind == record.kind && other.dtype == record.dtype &&
        other.rank == record.rank && other.element == record.element &&
        other.length == record.length &&
        std::equal(shape.begin(), shape.end(), dims_.data() + other.first_dim)) {
      return table_[slot];
    }
    slot = (slot + 1) & (table_.size() - 1);
  }
  const auto id = static_cast<TypeId>(records_.size());
  table_[slot] = id;
  records_.push_back(record);
  records_.back().first_dim = static_cast<std::uint32_t>(dims_.size());
  const std::int64_t* const before = dims_.data();
  dims_.insert(dims_.end(), shape.begin(), shape.end());
  if (dims_.data() != before) {
    for (std::size_t i = 0; i < elements_.size(); ++i) *element_views_[i] = view(elements_[i]);
  }
  if (records_.size() * 2 > table_.size()) {
    const std::size_t buckets = table_.size() * 2;
    table_.assign(buckets, kNone);
    for (std::uint32_t i = 0; i < records_.size(); ++i) {
      std::size_t at = records_[i].hash & (buckets - 1);
      while (table_[at] != kNone) at = (at + 1) & (buckets - 1);
      table_[at] = i;
    }
  }
  return id;
}

TypeId TypePool::tensor(DType dtype, std::span<const std::int64_t> shape) {
  std::uint64_t h = mix_hash(static_cast<std::uint64_t>(dtype), shape.size());
  for (const std::int64_t dim : shape) h = mix_hash(h, static_cast<std::uint64_t>(dim));
  return intern(
      {TypeKind::tensor, dtype, static_cast<std::uint32_t>(shape.size()), 0, kNone, kNone, 0, h},
      shape);
}

TypeId TypePool::container(TypeKind kind, DType dtype, TypeId element, std::int64_t length) {
  const std::uint64_t h = mix_hash(
      mix_hash(mix_hash(static_cast<std::uint64_t>(kind), static_cast<std::uint64_t>(dtype)),
               element),
      static_cast<std::uint64_t>(length));
  const std::size_t before = records_.size();
  const TypeId id = intern(
      {kind, dtype, 0, 0, element, static_cast<std::uint32_t>(elements_.size()), length, h}, {});
  if (id == before) {
    elements_.push_back(element);
    element_views_.push_back(std::make_unique<TypeView>(view(element)));
  }
  return id;
}

TypeId TypePool::list(TypeId element, std::int64_t length) {
  return container(TypeKind::list, DType::none, element, length);
}

TypeId TypePool::state(TypeId element) {
  return container(TypeKind::state, DType::none, element, 0);
}

TypeId TypePool::dict(DType key, DType value) {
  return container(TypeKind::dict, value, tensor(key, {}), 0);
}

// --- Graph ---

// The sizes are those of a fused kernel of some eighty ops, so that one is built in memory_ alone.
Graph::Graph()
    : inputs(&memory_),
      outputs(&memory_),
      names(&memory_),
      types(&memory_),
      ops_(&memory_),
      operands_(&memory_),
      values_(&memory_),
      inputs_(&memory_),
      blocks_(1, &memory_),
      nested_(&memory_),
      block_outputs_(&memory_),
      consts_(&memory_),
      ints_(&memory_),
      reals_(&memory_),
      interned_(kFirstBuckets, {0, kNone, kNone}, &memory_) {
  ops_.reserve(96);
  values_.reserve(112);
  operands_.reserve(320);
  consts_.reserve(64);
  ints_.reserve(160);
  reals_.reserve(16);
  inputs.reserve(8);
  inputs_.reserve(8);
  outputs.reserve(8);
}

ValueId Graph::add_input(NameId name, TypeId type, Loc loc) {
  const auto id = static_cast<ValueId>(values_.size());
  values_.push_back({type, kNone, name, static_cast<std::uint32_t>(inputs_.size())});
  inputs_.push_back({loc, kRootBlock});
  inputs.push_back(id);
  return id;
}

ValueId Graph::add_const_op(const Const& constant, NameId name, Loc loc) {
  const auto const_id = static_cast<ConstId>(consts_.size());
  consts_.push_back(constant);
  const auto value_id = static_cast<ValueId>(values_.size());
  const auto op_id = static_cast<OpId>(ops_.size());
  ops_.push_back({OpCode::const_,
                  1,
                  static_cast<std::uint32_t>(operands_.size()),
                  0,
                  value_id,
                  {const_id},
                  kRootBlock,
                  loc});
  values_.push_back({constant.type, op_id, name, 0});
  return value_id;
}

ValueId Graph::add_const(Const constant, NameId name, Loc loc) {
  return add_const_op(constant, name, loc);
}

OpId Graph::add_op(OpCode code, std::span<const Operand> operands, std::span<const TypeId> results,
                   Loc loc) {
  const auto op_id = static_cast<OpId>(ops_.size());
  ops_.push_back({code,
                  static_cast<std::uint16_t>(results.size()),
                  static_cast<std::uint32_t>(operands_.size()),
                  static_cast<std::uint32_t>(operands.size()),
                  static_cast<ValueId>(values_.size()),
                  {kNone},
                  current_block_,
                  loc});
  operands_.insert(operands_.end(), operands.begin(), operands.end());
  for (std::uint32_t i = 0; i < results.size(); ++i) {
    values_.push_back({results[i], op_id, kNoName, i});
  }
  has_state_ops_ = has_state_ops_ || code == OpCode::read_state || code == OpCode::write_state;
  has_inline_ops_ = has_inline_ops_ || has_inline_constants(code);
  return op_id;
}

OpId Graph::add_op(OpCode code, std::span<const Operand> operands, std::span<const BlockId> nested,
                   std::span<const TypeId> results, Loc loc) {
  const OpId id = add_op(code, operands, results, loc);
  ops_[id].first_nested = static_cast<std::uint32_t>(nested_.size());
  nested_.insert(nested_.end(), nested.begin(), nested.end());
  for (const BlockId block : nested) blocks_[block].owner = id;
  return id;
}

BlockId Graph::open_block(std::span<const TypeId> input_types, Loc loc) {
  const auto id = static_cast<BlockId>(blocks_.size());
  BlockRecord block;
  block.parent = current_block_;
  block.depth = blocks_[current_block_].depth + 1;
  block.first_input = static_cast<ValueId>(values_.size());
  block.inputs = static_cast<std::uint32_t>(input_types.size());
  block.loc = loc;
  blocks_.push_back(block);
  for (const TypeId type : input_types) {
    values_.push_back({type, kNone, kNoName, static_cast<std::uint32_t>(inputs_.size())});
    inputs_.push_back({loc, id});
  }
  current_block_ = id;
  return id;
}

void Graph::close_block(std::span<const ValueId> results) {
  BlockRecord& block = blocks_[current_block_];
  block.first_output = static_cast<std::uint32_t>(block_outputs_.size());
  block.outputs = static_cast<std::uint32_t>(results.size());
  block.open = false;
  block_outputs_.insert(block_outputs_.end(), results.begin(), results.end());
  current_block_ = block.parent;
}

Loc Graph::loc_of(ValueId id) const {
  const ValueRecord& record = values_[id];
  return record.def == kNone ? inputs_[record.result].loc : ops_[record.def].loc;
}

Const Graph::make_ints(DType dtype, std::span<const std::int64_t> shape,
                       std::span<const std::int64_t> values) {
  Const out;
  out.type = types.tensor(dtype, shape);
  out.kind = ConstKind::ints;
  out.first = static_cast<std::uint32_t>(ints_.size());
  out.count = static_cast<std::uint32_t>(values.size());
  ints_.insert(ints_.end(), values.begin(), values.end());
  return out;
}

Const Graph::make_reals(DType dtype, std::span<const std::int64_t> shape,
                        std::span<const double> values) {
  Const out;
  out.type = types.tensor(dtype, shape);
  out.kind = ConstKind::reals;
  out.first = static_cast<std::uint32_t>(reals_.size());
  out.count = static_cast<std::uint32_t>(values.size());
  for (const double value : values) reals_.push_back(round_to(dtype, value));
  return out;
}

void Graph::remember_const(std::uint64_t hash, ValueId id, ConstId constant) {
  if ((interned_count_ + 1) * 2 > interned_.size()) {
    std::pmr::vector<InternedConst> bigger(interned_.size() * 2, {0, kNone, kNone}, &memory_);
    for (const InternedConst& entry : interned_) {
      if (entry.value == kNone) continue;
      std::size_t slot = entry.hash & (bigger.size() - 1);
      while (bigger[slot].value != kNone) slot = (slot + 1) & (bigger.size() - 1);
      bigger[slot] = entry;
    }
    interned_ = std::move(bigger);
  }
  std::size_t slot = hash & (interned_.size() - 1);
  while (interned_[slot].value != kNone) slot = (slot + 1) & (interned_.size() - 1);
  interned_[slot] = {hash, id, constant};
  ++interned_count_;
}

template <class Same>
const Graph::InternedConst* Graph::find_const(std::uint64_t hash, const Same& same) const {
  const std::size_t mask = interned_.size() - 1;
  for (std::size_t slot = hash & mask; interned_[slot].value != kNone; slot = (slot + 1) & mask) {
    const InternedConst& entry = interned_[slot];
    if (entry.hash == hash && same(consts_[entry.constant])) return &entry;
  }
  return nullptr;
}

ValueId Graph::intern_new(const Const& constant, std::uint64_t hash, Loc loc) {
  const ValueId id = add_const_op(constant, kNoName, loc);
  remember_const(hash, id, static_cast<ConstId>(consts_.size() - 1));
  return id;
}

ValueId Graph::intern_ints(DType dtype, std::span<const std::int64_t> shape,
                           std::span<const std::int64_t> values, ConstRole role, Loc loc) {
  const TypeId type = types.tensor(dtype, shape);
  std::uint64_t h = mix_hash(type, role_hash(role));
  for (const std::int64_t value : values) h = mix_hash(h, static_cast<std::uint64_t>(value));
  const InternedConst* found = find_const(h, [&](const Const& other) {
    return other.type == type && other.kind == ConstKind::ints && other.count == values.size() &&
           other.role == role &&
           std::equal(values.begin(), values.end(), ints_.data() + other.first);
  });
  if (found != nullptr) return found->value;
  Const made = make_ints(dtype, shape, values);
  made.role = role;
  return intern_new(made, h, loc);
}

ValueId Graph::intern_reals(DType dtype, std::span<const std::int64_t> shape,
                            std::span<const double> values, ConstRole role, Loc loc) {
  // The elements are rounded at the end of the pool first and taken off again when the constant
  // turns out to be there already: the comparison then needs no second form of the elements.
  Const wanted = make_reals(dtype, shape, values);
  wanted.role = role;
  std::uint64_t h = mix_hash(wanted.type, role_hash(role) + 2);
  for (const double value : reals(wanted)) h = mix_hash(h, std::bit_cast<std::uint64_t>(value));
  const InternedConst* found = find_const(h, [&](const Const& other) {
    return other.type == wanted.type && other.kind == ConstKind::reals &&
           other.count == wanted.count && other.role == role &&
           std::memcmp(reals_.data() + other.first, reals_.data() + wanted.first,
                       wanted.count * sizeof(double)) == 0;
  });
  if (found != nullptr) {
    reals_.resize(wanted.first);
    return found->value;
  }
  return intern_new(wanted, h, loc);
}

ValueId Graph::intern_text(std::string_view text, ConstRole role, Loc loc) {
  const NameId name = names.intern(text);
  const std::uint64_t h = mix_hash(name, role_hash(role) + 4);
  const InternedConst* found = find_const(h, [&](const Const& other) {
    return other.kind == ConstKind::text && other.first == name && other.role == role;
  });
  if (found != nullptr) return found->value;
  Const c;
  c.type = types.tensor(DType::string, {});
  c.kind = ConstKind::text;
  c.role = role;
  c.first = name;
  c.count = 1;
  return intern_new(c, h, loc);
}

void integer_range(DType dtype, std::int64_t& low, std::int64_t& high) {
  const auto unsigned_bits = [&](int bits) {
    low = 0;
    high = (std::int64_t{1} << bits) - 1;
  };
  const auto signed_bits = [&](int bits) {
    high = (std::int64_t{1} << (bits - 1)) - 1;
    low = -high - 1;
  };
  low = INT64_MIN;
  high = INT64_MAX;
  switch (dtype) {
    case DType::boolean:
    case DType::uint1:
      return unsigned_bits(1);
    case DType::uint2:
      return unsigned_bits(2);
    case DType::uint3:
      return unsigned_bits(3);
    case DType::uint4:
      return unsigned_bits(4);
    case DType::uint6:
      return unsigned_bits(6);
    case DType::uint8:
      return unsigned_bits(8);
    case DType::uint16:
      return unsigned_bits(16);
    case DType::uint32:
      return unsigned_bits(32);
    case DType::int4:
      return signed_bits(4);
    case DType::int8:
      return signed_bits(8);
    case DType::int16:
      return signed_bits(16);
    case DType::int32:
      return signed_bits(32);
    case DType::uint64:
      low = 0;
      return;
    default:
      return;
  }
}

double round_to(DType dtype, double value) {
  switch (dtype) {
    case DType::fp16:
      return float_from_half(half_from_double(value));
    case DType::fp32:
      return static_cast<double>(static_cast<float>(value));
    case DType::bf16:
      return float_from_bf16(bf16_from_double(value));
    default:
      return value;
  }
}

}  // namespace milgen
