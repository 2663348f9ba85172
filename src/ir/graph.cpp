#include "ir/graph.h"

#include <bit>
#include <cstring>

#include "support/half.h"

namespace milgen {
namespace {

constexpr std::size_t kFirstChunkBytes = 2048;
constexpr std::size_t kLargestChunkBytes = std::size_t{1} << 20;
constexpr std::size_t kFirstBuckets = 128;

std::uint64_t mix(std::uint64_t h, std::uint64_t value) {
  h ^= value;
  h *= 0x9E3779B97F4A7C15u;
  return h ^ (h >> 32);
}

std::uint64_t hash_text(std::string_view text) {
  std::uint64_t h = text.size();
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, 8);
    h = mix(h, word);
  }
  std::uint64_t tail = 0;
  std::memcpy(&tail, text.data() + i, text.size() - i);
  return mix(h, tail);
}

/// Cheap and good enough to spread: names of arguments differ in length or in their ends.
std::uint64_t role_hash(ConstRole role) {
  const std::string_view base = role.base;
  return (base.size() * 131 + static_cast<unsigned char>(base.front())) * 131 * 8 +
         static_cast<unsigned char>(base.back()) * std::uint64_t{8} + (role.is_attribute ? 1 : 0);
}

}  // namespace

// --- StringPool ---

StringPool::StringPool() {
  entries_.reserve(64);
  hashes_.reserve(64);
  table_.assign(kFirstBuckets, kNone);
  intern("");  // kNoName
}

char* StringPool::store(std::string_view text) {
  if (chunk_size_ - chunk_used_ < text.size() || chunks_.empty()) {
    const std::size_t grown =
        chunks_.empty() ? kFirstChunkBytes : std::min(chunk_size_ * 2, kLargestChunkBytes);
    chunk_size_ = std::max(grown, text.size());
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(chunk_size_));
    chunk_used_ = 0;
  }
  char* at = chunks_.back().get() + chunk_used_;
  std::memcpy(at, text.data(), text.size());
  chunk_used_ += text.size();
  return at;
}

void StringPool::rehash(std::size_t buckets) {
  table_.assign(buckets, kNone);
  for (std::uint32_t id = 0; id < entries_.size(); ++id) {
    std::size_t slot = hashes_[id] & (buckets - 1);
    while (table_[slot] != kNone) slot = (slot + 1) & (buckets - 1);
    table_[slot] = id;
  }
}

NameId StringPool::find(std::string_view text) const {
  const std::uint64_t h = hash_text(text);
  std::size_t slot = h & (table_.size() - 1);
  while (table_[slot] != kNone) {
    const std::uint32_t id = table_[slot];
    if (hashes_[id] == h && entries_[id] == text) return id;
    slot = (slot + 1) & (table_.size() - 1);
  }
  return kNone;
}

NameId StringPool::intern(std::string_view text) {
  if (const NameId id = find(text); id != kNone) return id;
  if ((entries_.size() + 1) * 2 > table_.size()) rehash(table_.size() * 2);
  const auto id = static_cast<NameId>(entries_.size());
  entries_.emplace_back(store(text), text.size());
  const std::uint64_t h = hash_text(text);
  hashes_.push_back(h);
  std::size_t slot = h & (table_.size() - 1);
  while (table_[slot] != kNone) slot = (slot + 1) & (table_.size() - 1);
  table_[slot] = id;
  return id;
}

// --- TypePool ---

TypePool::TypePool() {
  records_.reserve(64);
  dims_.reserve(256);
  table_.assign(kFirstBuckets, kNone);
}

TypeId TypePool::intern(const Record& record, std::span<const std::int64_t> shape) {
  std::size_t slot = record.hash & (table_.size() - 1);
  while (table_[slot] != kNone) {
    const Record& other = records_[table_[slot]];
    if (other.hash == record.hash && other.kind == record.kind && other.dtype == record.dtype &&
        other.rank == record.rank && other.element == record.element &&
        other.length == record.length &&
        (shape.empty() ||
         std::memcmp(dims_.data() + other.first_dim, shape.data(), shape.size_bytes()) == 0)) {
      return table_[slot];
    }
    slot = (slot + 1) & (table_.size() - 1);
  }
  const auto id = static_cast<TypeId>(records_.size());
  table_[slot] = id;
  records_.push_back(record);
  records_.back().first_dim = static_cast<std::uint32_t>(dims_.size());
  dims_.insert(dims_.end(), shape.begin(), shape.end());
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
  std::uint64_t h = mix(static_cast<std::uint64_t>(dtype), shape.size());
  for (const std::int64_t dim : shape) h = mix(h, static_cast<std::uint64_t>(dim));
  return intern({TypeKind::tensor, dtype, static_cast<std::uint32_t>(shape.size()), 0, kNone, 0, h},
                shape);
}

TypeId TypePool::list(TypeId element, std::int64_t length) {
  const std::uint64_t h = mix(mix(1, element), static_cast<std::uint64_t>(length));
  return intern({TypeKind::list, DType::none, 0, 0, element, length, h}, {});
}

TypeId TypePool::state(TypeId element) {
  return intern({TypeKind::state, DType::none, 0, 0, element, 0, mix(2, element)}, {});
}

TypeView TypePool::view(TypeId id) const {
  const Record& record = records_[id];
  TypeView out{record.kind, record.dtype, shape(id), nullptr, record.length};
  if (record.element != kNone) {
    element_views_.push_back(std::make_unique<TypeView>(view(record.element)));
    out.element = element_views_.back().get();
  }
  return out;
}

// --- Graph ---

Graph::Graph() {
  // Sized for a fused kernel of some eighty ops, so that one is built in a handful of allocations.
  ops_.reserve(128);
  values_.reserve(160);
  operands_.reserve(384);
  consts_.reserve(64);
  ints_.reserve(192);
  reals_.reserve(16);
  inputs.reserve(8);
  outputs.reserve(8);
  interned_.assign(kFirstBuckets, {0, kNone});
}

ValueId Graph::add_input(NameId name, TypeId type, Loc loc) {
  const auto id = static_cast<ValueId>(values_.size());
  values_.push_back({type, kNone, name, static_cast<std::uint32_t>(input_locs_.size())});
  input_locs_.push_back(loc);
  inputs.push_back(id);
  return id;
}

ValueId Graph::add_const_op(const Const& constant, NameId name, Loc loc) {
  const auto const_id = static_cast<ConstId>(consts_.size());
  consts_.push_back(constant);
  const auto value_id = static_cast<ValueId>(values_.size());
  const auto op_id = static_cast<OpId>(ops_.size());
  ops_.push_back({OpCode::const_, 1, static_cast<std::uint32_t>(operands_.size()), 0, value_id,
                  const_id, loc});
  values_.push_back({constant.type, op_id, name, 0});
  return value_id;
}

ValueId Graph::add_const(Const constant, NameId name, Loc loc) {
  return add_const_op(constant, name, loc);
}

OpId Graph::add_op(OpCode code, std::span<const Operand> operands, std::span<const TypeId> results,
                   Loc loc) {
  const auto op_id = static_cast<OpId>(ops_.size());
  ops_.push_back({code, static_cast<std::uint16_t>(results.size()),
                  static_cast<std::uint32_t>(operands_.size()),
                  static_cast<std::uint32_t>(operands.size()), static_cast<ValueId>(values_.size()),
                  kNone, loc});
  operands_.insert(operands_.end(), operands.begin(), operands.end());
  for (std::uint32_t i = 0; i < results.size(); ++i) {
    values_.push_back({results[i], op_id, kNoName, i});
  }
  return op_id;
}

Loc Graph::loc_of(ValueId id) const {
  const ValueRecord& record = values_[id];
  return record.def == kNone ? input_locs_[record.result] : ops_[record.def].loc;
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

void Graph::remember_const(std::uint64_t hash, ValueId id) {
  if ((interned_count_ + 1) * 2 > interned_.size()) {
    std::vector<InternedConst> bigger(interned_.size() * 2, {0, kNone});
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
  interned_[slot] = {hash, id};
  ++interned_count_;
}

ValueId Graph::find_const(std::uint64_t hash, const Const& wanted) const {
  std::size_t slot = hash & (interned_.size() - 1);
  while (interned_[slot].value != kNone) {
    if (interned_[slot].hash == hash) {
      const Const& other = *constant_of(interned_[slot].value);
      const bool same_form = other.type == wanted.type && other.kind == wanted.kind &&
                             other.count == wanted.count && other.role == wanted.role;
      if (same_form && (wanted.kind == ConstKind::ints
                            ? std::memcmp(ints_.data() + other.first, ints_.data() + wanted.first,
                                          wanted.count * sizeof(std::int64_t)) == 0
                            : std::memcmp(reals_.data() + other.first, reals_.data() + wanted.first,
                                          wanted.count * sizeof(double)) == 0)) {
        return interned_[slot].value;
      }
    }
    slot = (slot + 1) & (interned_.size() - 1);
  }
  return kNone;
}

ValueId Graph::intern_ints(DType dtype, std::span<const std::int64_t> shape,
                           std::span<const std::int64_t> values, ConstRole role, Loc loc) {
  // The elements go to the end of the pool first and are taken off again when the constant turns
  // out to be there already: the comparison then needs no second form of the elements.
  Const wanted = make_ints(dtype, shape, values);
  wanted.role = role;
  std::uint64_t h = mix(wanted.type, role_hash(role));
  for (const std::int64_t value : values) h = mix(h, static_cast<std::uint64_t>(value));
  if (const ValueId id = find_const(h, wanted); id != kNone) {
    ints_.resize(wanted.first);
    return id;
  }
  const ValueId id = add_const_op(wanted, kNoName, loc);
  remember_const(h, id);
  return id;
}

ValueId Graph::intern_reals(DType dtype, std::span<const std::int64_t> shape,
                            std::span<const double> values, ConstRole role, Loc loc) {
  Const wanted = make_reals(dtype, shape, values);
  wanted.role = role;
  std::uint64_t h = mix(wanted.type, role_hash(role) + 2);
  for (const double value : reals(wanted)) h = mix(h, std::bit_cast<std::uint64_t>(value));
  if (const ValueId id = find_const(h, wanted); id != kNone) {
    reals_.resize(wanted.first);
    return id;
  }
  const ValueId id = add_const_op(wanted, kNoName, loc);
  remember_const(h, id);
  return id;
}

ValueId Graph::intern_text(std::string_view text, ConstRole role, Loc loc) {
  const NameId name = names.intern(text);
  const std::uint64_t h = mix(name, role_hash(role) + 4);
  std::size_t slot = h & (interned_.size() - 1);
  while (interned_[slot].value != kNone) {
    if (interned_[slot].hash == h) {
      const Const& other = *constant_of(interned_[slot].value);
      if (other.kind == ConstKind::text && other.first == name && other.role == role) {
        return interned_[slot].value;
      }
    }
    slot = (slot + 1) & (interned_.size() - 1);
  }
  Const c;
  c.type = types.tensor(DType::string, {});
  c.kind = ConstKind::text;
  c.role = role;
  c.first = name;
  c.count = 1;
  const ValueId id = add_const_op(c, kNoName, loc);
  remember_const(h, id);
  return id;
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
