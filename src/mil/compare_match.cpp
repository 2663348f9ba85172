#include "mil/compare_match.h"

#include <algorithm>

namespace milgen::mil {
namespace {

/// Users of a value that are looked at for a partner: a constant mask may have thousands.
constexpr std::size_t kUsersLookedAt = 32;

/// The op that makes a value; kNoId for an input.
Id maker(const GraphSide& side, Id value) { return side.data.values[value].op; }

/// Calls `visit` for the ops of a block, last first: users come before what they use.
template <class Visit>
void for_each_op_backwards(const GraphSide& side, Id block, const Visit& visit) {
  for (Id op = side.data.blocks[block].last_op; op != kNoId; op = side.data.ops[op].previous) {
    visit(op);
  }
}

}  // namespace

Matcher::Matcher(const GraphSide& a, const GraphSide& b, std::size_t keys, std::size_t words)
    : a_(a),
      b_(b),
      partner_a_(a.data.ops.size(), kNoId),
      partner_b_(b.data.ops.size(), kNoId),
      block_partner_a_(a.data.blocks.size(), kNoId),
      input_partner_a_(a.data.values.size(), kNoId),
      chains_(keys),
      next_of_key_(b.data.ops.size(), kNoId),
      op_of_word_(words, kNoId) {}

void Matcher::pair_values(Id a, Id b) { input_partner_a_[a] = b; }

bool Matcher::same_value(Id a, Id b) const {
  const Id op_a = maker(a_, a);
  if (op_a == kNoId) return input_partner_a_[a] == b;
  return partner_a_[op_a] != kNoId && partner_a_[op_a] == maker(b_, b) &&
         a_.data.values[a].index == b_.data.values[b].index;
}

bool Matcher::same(const OperandSlot& a, const OperandSlot& b) const {
  if (a.kind != b.kind) return false;
  if (a.kind != SlotKind::value) return a.code == b.code;
  if (!same_value(a.value, b.value)) return false;
  if (a.after == kNoId || b.after == kNoId) return a.after == b.after;
  return partner_a_[a.after] == b.after;
}

bool Matcher::may_pair(Id a, Id b) const {
  return free_a(a) && free_b(b) && block_partner_a_[a_.data.ops[a].block] == b_.data.ops[b].block;
}

bool Matcher::alike(Id a, Id b, Level level) const {
  switch (level) {
    case Level::exact:
      return a_.exact(a) == b_.exact(b);
    case Level::skeleton:
      return a_.skeleton(a) == b_.skeleton(b);
    case Level::word:
      return a_.word(a) == b_.word(b);
    case Level::operands:
      break;
  }
  return same_operands(a, b, resemblance(a, b));
}

void Matcher::pair(Id a, Id b) {
  partner_a_[a] = b;
  partner_b_[b] = a;
  ops_.emplace_back(a, b);
  Id block_a = a_.data.ops[a].first_block;
  Id block_b = b_.data.ops[b].first_block;
  for (; block_a != kNoId && block_b != kNoId;
       block_a = a_.data.blocks[block_a].next, block_b = b_.data.blocks[block_b].next) {
    const BlockRecord& inner_a = a_.data.blocks[block_a];
    const BlockRecord& inner_b = b_.data.blocks[block_b];
    for (std::uint32_t i = 0; i < std::min(inner_a.inputs, inner_b.inputs); ++i) {
      pair_values(inner_a.first_input + i, inner_b.first_input + i);
    }
    pair_blocks(block_a, block_b);
  }
}

void Matcher::pair_blocks(Id a, Id b) {
  block_partner_a_[a] = b;
  blocks_.emplace_back(a, b);
}

void Matcher::consider(Id a, Id b, Level level) {
  if (may_pair(a, b) && alike(a, b, level)) pair(a, b);
}

void Matcher::consider_slots(std::span<const OperandSlot> a, std::span<const OperandSlot> b,
                             Level level) {
  aligned(a, b, [&](const OperandSlot* x, const OperandSlot* y) {
    if (x == nullptr || y == nullptr) return;
    if (x->after != kNoId && y->after != kNoId) consider(x->after, y->after, level);
    if (x->kind != SlotKind::value || y->kind != SlotKind::value) return;
    if (a_.data.values[x->value].index != b_.data.values[y->value].index) return;
    consider(maker(a_, x->value), maker(b_, y->value), level);
  });
}

/// Downwards from every pair that has not been looked at with this level.
void Matcher::walk(Level level) {
  const auto l = static_cast<std::size_t>(level);
  while (walked_ops_[l] < ops_.size() || walked_blocks_[l] < blocks_.size()) {
    if (walked_ops_[l] < ops_.size()) {
      const auto [a, b] = ops_[walked_ops_[l]++];
      consider_slots(a_.operands(a), b_.operands(b), level);
    } else {
      const auto [a, b] = blocks_[walked_blocks_[l]++];
      consider_slots(a_.outputs(a), b_.outputs(b), level);
    }
  }
}

/// What has the same number, wherever it stands: the last with the last and so on. Where the sides
/// have different numbers of them, only with `uneven`: who uses them may tell later which is which.
void Matcher::left_over(Id block_a, Id block_b, Level level, bool uneven) {
  const auto key_of = [level](const GraphSide& side, Id op) {
    return level == Level::exact ? side.exact(op) : side.skeleton(op);
  };
  for (Id op = b_.data.blocks[block_b].first_op; op != kNoId; op = b_.data.ops[op].next) {
    if (!free_b(op)) continue;
    KeyChain& chain = chains_[key_of(b_, op)];
    next_of_key_[op] = chain.first;
    chain.first = op;
    --chain.surplus;
  }
  for_each_op_backwards(a_, block_a, [&](Id op) {
    if (free_a(op)) ++chains_[key_of(a_, op)].surplus;
  });
  for_each_op_backwards(a_, block_a, [&](Id op) {
    if (!free_a(op)) return;
    KeyChain& chain = chains_[key_of(a_, op)];
    if (!uneven && chain.surplus != 0) return;
    while (chain.first != kNoId && !free_b(chain.first)) chain.first = next_of_key_[chain.first];
    if (chain.first == kNoId) return;
    pair(op, chain.first);
    walk(level);
  });
  const auto clear = [&](const GraphSide& side, Id block) {
    for_each_op_backwards(side, block, [&](Id op) {
      if (!side.is_constant(op)) chains_[key_of(side, op)] = {};
    });
  };
  clear(a_, block_a);
  clear(b_, block_b);
}

void Matcher::left_over(std::size_t first_block, Level level, bool uneven) {
  for (std::size_t i = first_block; i < blocks_.size(); ++i) {
    left_over(blocks_[i].first, blocks_[i].second, level, uneven);
  }
}

/// How many operands are the same.
std::size_t Matcher::resemblance(Id a, Id b) const {
  std::size_t count = 0;
  aligned(a_.operands(a), b_.operands(b), [&](const OperandSlot* x, const OperandSlot* y) {
    if (x != nullptr && y != nullptr && same(*x, *y)) ++count;
  });
  return count;
}

/// Among the users of the same value, the one that most resembles `op_a`. Another op is one only
/// if it has the very same operands: relu6(x = a) for relu(x = a).
Id Matcher::candidate(Id op_a, const OperandSlot& slot) const {
  const Id made_by = maker(a_, slot.value);
  Id value_b = kNoId;
  if (made_by == kNoId) {
    value_b = input_partner_a_[slot.value];
  } else if (partner_a_[made_by] != kNoId) {
    const OpRecord& partner = b_.data.ops[partner_a_[made_by]];
    const std::uint32_t index = a_.data.values[slot.value].index;
    if (index < partner.results) value_b = partner.first_result + index;
  }
  if (value_b == kNoId) return kNoId;
  Id best = kNoId;
  std::size_t best_score = 0;
  std::size_t looked_at = 0;
  for (Id use = b_.data.values[value_b].first_use; use != kNoId && looked_at < kUsersLookedAt;
       use = b_.data.bindings[use].next_use, ++looked_at) {
    const Id op_b = b_.data.bindings[use].op;
    if (!may_pair(op_a, op_b)) continue;
    const std::size_t operands = resemblance(op_a, op_b);
    const bool same_word = a_.word(op_a) == b_.word(op_b);
    if (operands == 0 || (!same_word && !same_operands(op_a, op_b, operands))) continue;
    const std::size_t score = 2 * operands + (same_word ? 1 : 0);
    if (score > best_score) {
      best = op_b;
      best_score = score;
    }
  }
  return best;
}

void Matcher::meet_from_below(Id block_a) {
  for (Id op = a_.data.blocks[block_a].first_op; op != kNoId; op = a_.data.ops[op].next) {
    if (!free_a(op)) continue;
    for (const OperandSlot& slot : a_.operands(op)) {
      if (slot.kind != SlotKind::value) continue;
      const Id found = candidate(op, slot);
      if (found == kNoId) continue;
      pair(op, found);
      break;
    }
  }
}

/// What is left: one op under one name in both.
void Matcher::meet_by_name(Id block_a, Id block_b) {
  const auto name_of = [](const GraphSide& side, Id op) {
    const OpRecord& record = side.data.ops[op];
    return record.results == 0 ? kEmptyName
                               : side.shared_name(side.data.values[record.first_result].name);
  };
  for (Id op = b_.data.blocks[block_b].first_op; op != kNoId; op = b_.data.ops[op].next) {
    if (free_b(op)) op_of_word_[name_of(b_, op)] = op;
  }
  op_of_word_[kEmptyName] = kNoId;
  for_each_op_backwards(a_, block_a, [&](Id op) {
    if (!free_a(op)) return;
    const Id found = op_of_word_[name_of(a_, op)];
    if (found == kNoId || !may_pair(op, found) || a_.word(op) != b_.word(found)) return;
    pair(op, found);
    walk(Level::word);
  });
  for (Id op = b_.data.blocks[block_b].first_op; op != kNoId; op = b_.data.ops[op].next) {
    op_of_word_[name_of(b_, op)] = kNoId;
  }
}

bool Matcher::has_free(Id block_a, Id block_b) const {
  const auto any = [](const GraphSide& side, Id block, const auto& is_free) {
    for (Id op = side.data.blocks[block].first_op; op != kNoId; op = side.data.ops[op].next) {
      if (is_free(op)) return true;
    }
    return false;
  };
  return any(a_, block_a, [&](Id op) { return free_a(op); }) &&
         any(b_, block_b, [&](Id op) { return free_b(op); });
}

void Matcher::match(Id body_a, Id body_b) {
  const std::size_t first_block = blocks_.size();
  pair_blocks(body_a, body_b);
  // Blocks whose ops become partners join the list, and are gone through in the next round.
  std::size_t done = first_block;
  while (done < blocks_.size()) {
    walk(Level::exact);
    left_over(done, Level::exact, false);
    walk(Level::skeleton);
    left_over(done, Level::skeleton, false);
    walk(Level::word);
    left_over(done, Level::exact, true);
    left_over(done, Level::skeleton, true);
    walk(Level::word);
    const std::size_t end = blocks_.size();
    for (; done < end; ++done) {
      const auto [a, b] = blocks_[done];
      if (!has_free(a, b)) continue;
      meet_from_below(a);
      walk(Level::word);
      meet_by_name(a, b);
      walk(Level::word);
      walk(Level::operands);
      walk(Level::word);
    }
  }
}

}  // namespace milgen::mil
