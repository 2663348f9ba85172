// Which op of one program is which of the other.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "mil/compare_graph.h"

namespace milgen::mil {

/// Finds partners, from what is certain to what is likely.
///
/// Operands have names and outputs have places, so once two ops are partners their operands' makers
/// are, as long as they compute the same: from the outputs downwards there is no choice, and two
/// graphs that are one are found to be so without search. Where the graphs differ, ops that have
/// the same exact number come first, then those with the same skeleton, then what stands in the
/// same place of the graph, above or below. A wrong guess makes a report longer and never says of
/// two different graphs that they are one: the partners are compared afterwards.
class Matcher {
 public:
  Matcher(const GraphSide& a, const GraphSide& b, std::size_t keys, std::size_t words);

  /// Inputs of functions that are partners; before match().
  void pair_values(Id a, Id b);
  void match(Id body_a, Id body_b);

  /// kNoId for what has none.
  Id partner_of_a(Id op) const { return partner_a_[op]; }
  Id partner_of_b(Id op) const { return partner_b_[op]; }
  /// Pairs of blocks, each behind the pair of ops that it belongs to.
  const std::vector<std::pair<Id, Id>>& blocks() const { return blocks_; }
  bool same_value(Id a, Id b) const;
  /// Whether two operands are the same: values that are partners, equal constants.
  bool same(const OperandSlot& a, const OperandSlot& b) const;

  /// Calls `visit(slot of a or null, slot of b or null)` for operands that stand at the same
  /// argument and place.
  template <class Visit>
  static void aligned(std::span<const OperandSlot> a, std::span<const OperandSlot> b,
                      const Visit& visit) {
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < a.size() || j < b.size()) {
      const auto place = [](const OperandSlot& slot) { return std::pair(slot.name, slot.index); };
      if (j == b.size() || (i < a.size() && place(a[i]) < place(b[j]))) {
        visit(&a[i++], nullptr);
      } else if (i == a.size() || place(b[j]) < place(a[i])) {
        visit(nullptr, &b[j++]);
      } else {
        visit(&a[i++], &b[j++]);
      }
    }
  }

 private:
  /// Ops of b that have one key, and how many more of them a has.
  struct KeyChain {
    Id first = kNoId;
    std::int32_t surplus = 0;
  };
  /// How much two ops have to have in common to become partners where they stand in one place.
  enum class Level : std::uint8_t {
    exact,
    skeleton,
    word,
    operands,  ///< another op of the same
  };
  static constexpr std::size_t kLevels = 4;

  bool free_a(Id op) const { return op != kNoId && partner_a_[op] == kNoId && !a_.is_constant(op); }
  bool free_b(Id op) const { return op != kNoId && partner_b_[op] == kNoId && !b_.is_constant(op); }
  bool may_pair(Id a, Id b) const;
  bool alike(Id a, Id b, Level level) const;
  void pair(Id a, Id b);
  void pair_blocks(Id a, Id b);
  void consider(Id a, Id b, Level level);
  void consider_slots(std::span<const OperandSlot> a, std::span<const OperandSlot> b, Level level);
  void walk(Level level);
  void left_over(std::size_t first_block, Level level, bool uneven);
  void left_over(Id block_a, Id block_b, Level level, bool uneven);
  void meet_from_below(Id block_a);
  Id candidate(Id op_a, const OperandSlot& slot) const;
  std::size_t resemblance(Id a, Id b) const;
  bool same_operands(Id a, Id b, std::size_t same) const {
    return same == a_.operands(a).size() && same == b_.operands(b).size();
  }
  void meet_by_name(Id block_a, Id block_b);
  bool has_free(Id block_a, Id block_b) const;

  const GraphSide& a_;
  const GraphSide& b_;
  std::vector<Id> partner_a_;
  std::vector<Id> partner_b_;
  std::vector<Id> block_partner_a_;
  std::vector<Id> input_partner_a_;  // of values that no op makes
  std::vector<std::pair<Id, Id>> ops_;
  std::vector<std::pair<Id, Id>> blocks_;
  std::size_t walked_ops_[kLevels] = {};
  std::size_t walked_blocks_[kLevels] = {};
  std::vector<KeyChain> chains_;  // of each key; all empty between uses
  std::vector<Id> next_of_key_;
  std::vector<Id> op_of_word_;  // by the name of the first result; all kNoId between uses
};

}  // namespace milgen::mil
