// Both programs of a comparison with one numbering of everything: equal words, types, constants and
// ops of the two have equal numbers, so that comparing is comparing integers.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mil/literal.h"
#include "mil/module_data.h"
#include "support/hash.h"
#include "support/id_table.h"

namespace milgen::mil {

/// Numbers sequences of words: equal sequences get equal numbers, and no others do.
class Interner {
 public:
  Id intern(std::span<const std::uint32_t> key);
  std::size_t size() const { return ends_.size(); }

 private:
  std::span<const std::uint32_t> key(Id id) const {
    const std::size_t begin = id == 0 ? 0 : ends_[id - 1];
    return {words_.data() + begin, ends_[id] - begin};
  }

  std::vector<std::uint32_t> words_;
  std::vector<std::size_t> ends_;
  IdTable ids_;
};

/// The elements of a tensor constant as one short key, whatever spells or holds them.
class ElementKey {
 public:
  void add(std::span<const std::uint64_t> elements);
  /// Appends the key: the elements themselves, or for many of them their digest.
  void append_to(std::vector<std::uint32_t>& key);

 private:
  static constexpr std::size_t kVerbatimElements = 64;
  void digest();

  std::vector<std::uint64_t> elements_;
  std::uint64_t count_ = 0;
  std::unique_ptr<Sha256> sha_;
};

/// Values behind BLOBFILE, when they are compared.
class WeightContents {
 public:
  virtual ~WeightContents() = default;
  /// Adds all elements; false when they are not at hand.
  virtual bool elements(const ModuleData& data, const LiteralRecord& literal, ElementKey& key) = 0;
};

enum class SlotKind : std::uint8_t {
  value,
  constant,   ///< `code` is the constant's number
  undefined,  ///< `code` is the word
  mark,       ///< a parenthesis of a tuple in a tuple, or an empty tuple; `code` says which
};

/// One operand of an op, or one output of a block.
struct OperandSlot {
  Id name = 0;              ///< the argument, as a shared word; 0 for outputs
  std::uint32_t index = 0;  ///< in a tuple, or among the outputs
  SlotKind kind = SlotKind::value;
  std::uint32_t code = 0;
  Id value = kNoId;    ///< of this side; of a constant, the const op's result, if it is one
  Id literal = kNoId;  ///< of a constant
  Id binding = kNoId;  ///< kNoId for the last write to a state, which stands at a block's end
  Id after = kNoId;    ///< of a state: the op that wrote it last
};

/// What both sides share.
struct Shared {
  NameTable words;
  Interner keys;
  std::deque<std::string> texts;  ///< words that no module has as a text
  bool commutative = false;
};

class GraphSide {
 public:
  GraphSide(const ModuleData& module, Shared& shared, WeightContents* weights);

  /// Numbers a function's ops and constants. `input_codes` has a number for each input: partners
  /// of the two sides have equal ones. `output_places` has the place that each output is compared
  /// at; empty where that is its own.
  void number(Id function, std::span<const std::uint32_t> input_codes,
              std::span<const std::uint32_t> output_places);

  const ModuleData& data;

  /// Exact numbers: equal for ops that compute the same from the same, types included.
  Id exact(Id op) const { return exact_[op]; }
  /// The same blind to values of constants, to types and to attributes.
  Id skeleton(Id op) const { return skeleton_[op]; }
  std::span<const OperandSlot> operands(Id op) const { return slice(operand_ranges_[op]); }
  std::span<const OperandSlot> outputs(Id block) const { return slice(output_ranges_[block]); }
  /// Where an op stands in the order of the text.
  std::uint32_t position(Id op) const { return positions_[op]; }
  bool is_constant(Id op) const { return constant_[op] != kNoId; }
  Id word(Id op) const { return shared_name(data.ops[op].name); }
  Id opset(Id op) const { return shared_name(data.ops[op].opset); }
  Id type(Id type_id) const { return type_id == kNoId ? kNoId : types_[type_id]; }
  Id type_of_value(Id value) const { return type(data.values[value].type); }
  /// Of a literal: equal for equal values of equal types.
  Id constant(Id literal);
  /// The number of a literal's type; of a bare one, that of the scalar that it stands for.
  Id type_of_literal(const LiteralRecord& literal);
  /// Attributes but for `name` (and `val` of a const) as pairs of word and constant, sorted.
  void attributes(Id first, std::uint32_t count, bool is_const,
                  std::vector<std::pair<Id, Id>>& out);
  /// Of a value: exact(), skeleton() of what makes it.
  Id value_skeleton(Id value) const { return value_skeleton_[value]; }
  Id shared_name(Id name) const { return names_[name]; }
  std::size_t constant_ops() const { return constant_ops_; }

 private:
  struct Range {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };
  struct Frame {
    Id op;     ///< that the blocks belong to; kNoId for a function's body
    Id block;  ///< that is being read
    Id next_op;
    std::uint32_t block_index;
    std::size_t first_write;  ///< into writes_: those below stood before the op
  };
  /// A state's value before a write, to be put back or found again.
  struct Write {
    Id value;
    Id before;
  };

  std::span<const OperandSlot> slice(Range range) const {
    return {slots_.data() + range.first, range.count};
  }
  void number_types();
  void enter_block(Id block, std::uint32_t depth, std::uint32_t index);
  void leave_block(Id block, std::size_t first_write);
  void start_op(Id op);
  void finish_op(Id op, std::size_t first_write);
  void finish_constant(Id op, Id literal);
  Range add_slots(std::span<const ArgumentRecord> arguments);
  void add_argument(Id name, const ArgumentRecord& argument);
  void add_binding(Id name, std::uint32_t& index, Id binding);
  OperandSlot slot_of(Id name, std::uint32_t index, Id binding);
  void append_slots(Range range, bool exact, std::vector<std::uint32_t>& key) const;
  void append_slot(const OperandSlot& slot, bool exact, std::vector<std::uint32_t>& key) const;
  bool literal_key(const LiteralRecord& literal, std::vector<std::uint32_t>& key);
  void append_token(const Token& token, DType dtype, std::vector<std::uint32_t>& key);
  void append_tokens(const LiteralRecord& literal, std::vector<std::uint32_t>& key);
  Id word_of_text(std::string_view text);
  Id scalar_type(DType dtype);
  void set_value(Id value, Id exact, Id skeleton) {
    value_exact_[value] = exact;
    value_skeleton_[value] = skeleton;
  }
  bool is_state(Id value) const;
  void write_states(Id op);

  Shared& shared_;
  WeightContents* weights_;
  std::vector<Id> names_;     // word of each name
  std::vector<Id> types_;     // number of each type
  std::vector<Id> literals_;  // number of each constant; kNoId until asked for
  std::vector<Id> exact_;
  std::vector<Id> skeleton_;
  std::vector<Id> constant_;  // of a const op, its number
  std::vector<Id> value_exact_;
  std::vector<Id> value_skeleton_;
  std::vector<Id> block_exact_;
  std::vector<Id> block_skeleton_;
  std::vector<Range> operand_ranges_;
  std::vector<Range> output_ranges_;
  std::vector<std::uint32_t> positions_;
  std::vector<OperandSlot> slots_;
  std::vector<Id> last_write_;  // of each value that is a state
  std::vector<Write> writes_;
  std::vector<Frame> frames_;
  std::vector<std::uint32_t> key_;
  std::span<const std::uint32_t> output_places_;  // of the function that is being numbered
  std::uint32_t next_position_ = 0;
  std::size_t constant_ops_ = 0;
};

}  // namespace milgen::mil
