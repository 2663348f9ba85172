// The graph behind the DSL, the parser and the passes: one arena per function. Ops, values, types,
// constants and names are integers into flat arrays, so that a million ops are a handful of
// allocations and a copy is a memcpy.
#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/arena.h"
#include "ir/infer.h"
#include "milgen/diagnostic.h"
#include "milgen/dtype.h"
#include "milgen/fill.h"
#include "milgen/op_info.h"
#include "milgen/shape.h"

namespace milgen {

using ValueId = std::uint32_t;
using OpId = std::uint32_t;
using TypeId = std::uint32_t;
using NameId = std::uint32_t;
using ConstId = std::uint32_t;
using BlockId = std::uint32_t;

inline constexpr std::uint32_t kNone = 0xFFFFFFFFu;
/// The result of an op that was refused. Ops that take one are refused without a further report.
inline constexpr ValueId kPoison = kNone;
/// The result of an op none of whose operands belongs to a kernel.
inline constexpr ValueId kNowhere = kNone - 1;
inline constexpr NameId kNoName = 0;
/// The function's own block, which every other one is nested in.
inline constexpr BlockId kRootBlock = 0;

/// What a graph is built in: enough for a fused kernel of some eighty ops.
using GraphMemory = BlockResource<24 * 1024>;

/// Text that lives as long as its owner; each distinct string is held once.
class StringPool {
 public:
  explicit StringPool(std::pmr::memory_resource* memory);
  NameId intern(std::string_view text);
  /// The id of a string that is already there; kNone otherwise.
  NameId find(std::string_view text) const;
  std::string_view view(NameId id) const { return {entries_[id].text, entries_[id].size}; }
  std::size_t size() const { return entries_.size(); }
  /// Whether any of the strings ends in an underscore and a number. Where none does, no name that
  /// the canonical walk derives (mul_0) can be taken already, and it need not look.
  bool has_numbered() const { return has_numbered_; }

 private:
  struct Entry {
    const char* text;
    std::size_t size;
    std::uint32_t hash;
  };
  NameId find(std::string_view text, std::uint32_t hash) const;
  const char* store(std::string_view text);
  void rehash(std::size_t buckets);

  std::pmr::vector<std::pmr::vector<char>> chunks_;
  std::size_t chunk_used_ = 0;
  std::pmr::vector<Entry> entries_;
  std::pmr::vector<std::uint32_t> table_;
  bool has_numbered_ = false;
};

/// Types, each distinct one held once: equal types have equal ids.
class TypePool {
 public:
  explicit TypePool(std::pmr::memory_resource* memory);
  TypeId tensor(DType dtype, std::span<const std::int64_t> shape);
  TypeId list(TypeId element, std::int64_t length);
  TypeId state(TypeId element);
  /// The element of its view is the key's type, the dtype of its view the values'.
  TypeId dict(DType key, DType value);
  TypeView view(TypeId id) const {
    const Record& record = records_[id];
    if (record.element == kNone) return {record.kind, record.dtype, shape(id), nullptr, 0};
    return {
        record.kind, record.dtype, {}, element_views_[record.element_view].get(), record.length};
  }
  TypeKind kind(TypeId id) const { return records_[id].kind; }
  DType dtype(TypeId id) const { return records_[id].dtype; }
  std::span<const std::int64_t> shape(TypeId id) const {
    return {dims_.data() + records_[id].first_dim, records_[id].rank};
  }
  std::size_t size() const { return records_.size(); }

 private:
  struct Record {
    TypeKind kind;
    DType dtype;
    std::uint32_t rank;
    std::uint32_t first_dim;
    TypeId element;
    std::uint32_t element_view;
    std::int64_t length;
    std::uint64_t hash;
  };
  TypeId intern(const Record& record, std::span<const std::int64_t> shape);
  TypeId container(TypeKind kind, DType dtype, TypeId element, std::int64_t length);

  std::pmr::vector<Record> records_;
  std::pmr::vector<std::int64_t> dims_;
  std::pmr::vector<std::uint32_t> table_;
  /// By place in Record::element_view: the type of a container's elements, and its view, which
  /// needs an address that stays. Made anew when dims_ moves, so that reading changes nothing.
  std::vector<TypeId> elements_;
  std::vector<std::unique_ptr<TypeView>> element_views_;
};

/// Where a constant's elements are.
enum class ConstKind : std::uint8_t {
  ints,    ///< integers and bools, in the ints pool
  reals,   ///< floats already rounded to their dtype, in the reals pool
  text,    ///< one string
  texts,   ///< a list of strings: their NameIds are in the ints pool
  fill,    ///< by formula
  weight,  ///< by name, from outside
};

/// What a constant is for. Constants are shared within one role only, so that a reader does not
/// find a `shape` that is called size_0 because the two happen to be equal in this configuration.
struct ConstRole {
  /// What its derived name begins with: the argument's name, or "const" for an operand.
  std::string_view base = "const";
  /// Stands for an argument that is known when the graph is built (axes, strides), as against an
  /// operand: such a constant is printed inline unless it is a tensor of floats.
  bool is_attribute = false;

  friend bool operator==(const ConstRole& a, const ConstRole& b) {
    // Bases are literals and words of the op table, so that equal ones are mostly one.
    return a.is_attribute == b.is_attribute && a.base.size() == b.base.size() &&
           (a.base.data() == b.base.data() || a.base == b.base);
  }
};

struct Const {
  TypeId type = 0;
  ConstKind kind = ConstKind::ints;
  Fill fill = Fill::uniform;
  std::uint32_t first = 0;  ///< into the pool; the NameId of a text
  std::uint32_t count = 0;
  ConstRole role;
};

struct Operand {
  ValueId value;
  std::uint16_t param;  ///< into the op's ios18 parameters
};

struct ValueRecord {
  TypeId type = 0;
  OpId def = kNone;          ///< kNone for a function or block input
  NameId name = kNoName;     ///< the author's; kNoName where the canonical walk derives one
  std::uint32_t result = 0;  ///< its place among the op's results, or among all inputs
};

struct OpRecord {
  OpCode code{};
  std::uint16_t results = 1;
  std::uint32_t first_operand = 0;
  std::uint32_t operands = 0;
  ValueId first_result = 0;
  union {
    ConstId constant = kNone;    ///< OpCode::const_ only
    std::uint32_t first_nested;  ///< of an op that takes_blocks(): into the list of nested blocks
  };
  BlockId block = kRootBlock;  ///< the one that it was made in; a constant's is the function's
  Loc loc;
};

/// Whether ops of this kind have nested blocks. (A proof beside the op table holds that these are
/// the ones whose rows say so.)
constexpr bool takes_blocks(OpCode code) {
  return code == OpCode::cond || code == OpCode::while_loop;
}
/// How many they have.
inline constexpr std::uint32_t kNestedBlocks = 2;
/// As OpInfo::has_inline_constants(), for who has no row at hand. (Held by a proof there, too;
/// names ascend, so the constexpr ops stand together.)
constexpr bool has_inline_constants(OpCode code) {
  return (code >= OpCode::constexpr_affine_dequantize &&
          code <= OpCode::constexpr_sparse_to_dense) ||
         code == OpCode::classify;
}

/// A block: the function's own, or one that is nested in an op.
struct BlockRecord {
  BlockId parent = kNone;  ///< always smaller than the block's own id
  std::uint32_t depth = 0;
  OpId owner = kNone;  ///< kNone for the function's, and until the op has been made
  ValueId first_input = 0;
  std::uint32_t inputs = 0;
  std::uint32_t first_output = 0;
  std::uint32_t outputs = 0;
  /// Ops are being made in it, or in one that is nested in it: its values can be used.
  bool open = true;
  Loc loc;
};

class Graph {
 public:
  Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // --- Building. ---

  ValueId add_input(NameId name, TypeId type, Loc loc);
  /// A constant of its own (named by the author).
  ValueId add_const(Const constant, NameId name, Loc loc);
  /// A constant shared by everyone who asks for the same role, type and elements.
  ValueId intern_ints(DType dtype, std::span<const std::int64_t> shape,
                      std::span<const std::int64_t> values, ConstRole role, Loc loc);
  ValueId intern_reals(DType dtype, std::span<const std::int64_t> shape,
                       std::span<const double> values, ConstRole role, Loc loc);
  ValueId intern_text(std::string_view text, ConstRole role, Loc loc);
  /// An op whose operands have been checked and whose result types are known.
  OpId add_op(OpCode code, std::span<const Operand> operands, std::span<const TypeId> results,
              Loc loc);
  /// An op with nested blocks, which are closed and have no owner yet.
  OpId add_op(OpCode code, std::span<const Operand> operands, std::span<const BlockId> nested,
              std::span<const TypeId> results, Loc loc);
  /// Opens a block inside of the one that is open: ops are added to it from now on.
  BlockId open_block(std::span<const TypeId> input_types, Loc loc);
  /// Closes the innermost open block.
  void close_block(std::span<const ValueId> results);

  Const make_ints(DType dtype, std::span<const std::int64_t> shape,
                  std::span<const std::int64_t> values);
  /// Rounds `values` to `dtype`.
  Const make_reals(DType dtype, std::span<const std::int64_t> shape,
                   std::span<const double> values);

  // --- Reading. ---

  const OpRecord& op(OpId id) const { return ops_[id]; }
  const ValueRecord& value(ValueId id) const { return values_[id]; }
  const Const& constant(ConstId id) const { return consts_[id]; }
  /// The constant that a value is; null when it is none.
  const Const* constant_of(ValueId id) const {
    const OpId def = values_[id].def;
    return def != kNone && ops_[def].code == OpCode::const_ ? &consts_[ops_[def].constant]
                                                            : nullptr;
  }
  std::span<const Operand> operands(const OpRecord& op) const {
    return {operands_.data() + op.first_operand, op.operands};
  }
  std::span<const std::int64_t> ints(const Const& c) const {
    return c.kind == ConstKind::ints ? std::span{ints_}.subspan(c.first, c.count)
                                     : std::span<const std::int64_t>();
  }
  std::span<const double> reals(const Const& c) const {
    return c.kind == ConstKind::reals ? std::span{reals_}.subspan(c.first, c.count)
                                      : std::span<const double>();
  }
  std::string_view text(const Const& c) const { return names.view(c.first); }
  /// The NameIds of ConstKind::texts.
  std::span<const std::int64_t> text_ids(const Const& c) const {
    return std::span{ints_}.subspan(c.first, c.count);
  }
  Loc loc_of(ValueId id) const;
  const BlockRecord& block(BlockId id) const { return blocks_[id]; }
  BlockId current_block() const { return current_block_; }
  /// The nested blocks of an op, in the order of its row.
  std::span<const BlockId> nested(const OpRecord& op) const {
    return takes_blocks(op.code) ? std::span{nested_}.subspan(op.first_nested, kNestedBlocks)
                                 : std::span<const BlockId>();
  }
  std::span<const ValueId> block_outputs(const BlockRecord& block) const {
    return std::span{block_outputs_}.subspan(block.first_output, block.outputs);
  }
  /// The block that a value was made in, or that it is an input of.
  BlockId block_of(ValueId id) const {
    const ValueRecord& record = values_[id];
    return record.def == kNone ? inputs_[record.result].block : ops_[record.def].block;
  }
  void set_name(ValueId id, NameId name) { values_[id].name = name; }

  std::size_t op_count() const { return ops_.size(); }
  std::size_t value_count() const { return values_.size(); }
  std::size_t const_count() const { return consts_.size(); }
  /// At least one: the function's.
  std::size_t block_count() const { return blocks_.size(); }
  /// Of the function and of nested blocks.
  std::size_t input_count() const { return inputs_.size(); }
  /// Whether any op reads or writes a state.
  bool has_state_ops() const { return has_state_ops_; }
  /// Whether any op has constants written in place (see Canonical::inlined).
  bool has_inline_ops() const { return has_inline_ops_; }
  /// For arrays that live no longer than the graph and that only its builder grows.
  std::pmr::memory_resource* memory() { return &memory_; }

 private:
  GraphMemory memory_;  // before everything that is in it

 public:
  struct Output {
    NameId name;
    ValueId value;
    Loc loc;
  };
  std::pmr::vector<ValueId> inputs;
  std::pmr::vector<Output> outputs;

  StringPool names;
  TypePool types;

 private:
  struct InternedConst {
    std::uint64_t hash;
    ValueId value;
    ConstId constant;
  };
  /// The entry of the constant with this hash for which `same` holds; null when there is none.
  template <class Same>
  const InternedConst* find_const(std::uint64_t hash, const Same& same) const;
  ValueId add_const_op(const Const& constant, NameId name, Loc loc);
  ValueId intern_new(const Const& constant, std::uint64_t hash, Loc loc);
  void remember_const(std::uint64_t hash, ValueId id, ConstId constant);

  std::pmr::vector<OpRecord> ops_;
  std::pmr::vector<Operand> operands_;
  std::pmr::vector<ValueRecord> values_;
  struct InputRecord {
    Loc loc;
    BlockId block;
  };
  std::pmr::vector<InputRecord> inputs_;
  std::pmr::vector<BlockRecord> blocks_;
  std::pmr::vector<BlockId> nested_;
  std::pmr::vector<ValueId> block_outputs_;
  BlockId current_block_ = kRootBlock;
  bool has_state_ops_ = false;
  bool has_inline_ops_ = false;
  std::pmr::vector<Const> consts_;
  std::pmr::vector<std::int64_t> ints_;
  std::pmr::vector<double> reals_;
  std::pmr::vector<InternedConst> interned_;
  std::size_t interned_count_ = 0;
};

/// The least and the largest value of an integer dtype or bool, as far as 64 signed bits go.
void integer_range(DType dtype, std::int64_t& low, std::int64_t& high);

/// `value` rounded to nearest even in a float dtype, as a double.
double round_to(DType dtype, double value);

}  // namespace milgen
