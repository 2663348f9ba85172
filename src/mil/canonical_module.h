// The order in which a Module's ops stand in canonical text (ModulePrintOptions::canonical says
// what that is).
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mil/module_data.h"

namespace milgen::mil {

/// An op, or a literal that is bound to an argument and gets a `const` of its own.
struct CanonicalEntry {
  Id id = kNoId;        ///< an op, or the literal's binding
  Id argument = kNoId;  ///< the literal's argument, by name; kNoId for an op
  bool is_literal() const { return argument != kNoId; }
};

class CanonicalOrder {
 public:
  explicit CanonicalOrder(const ModuleData& data);

  std::span<const CanonicalEntry> of(Id block) const {
    return std::span(entries_).subspan(ranges_[block].first, ranges_[block].count);
  }

 private:
  friend class BlockWalk;
  struct Range {
    std::size_t first = 0;
    std::size_t count = 0;
  };
  std::vector<CanonicalEntry> entries_;
  std::vector<Range> ranges_;
};

/// Whether the literal that `binding` is moves into a `const`: typed, and bound to an op that takes
/// values by name.
bool moves_out(const ModuleData& data, const BindingRecord& binding);

/// Names that a function does not have yet.
class FreshNames {
 public:
  explicit FreshNames(const ModuleData& data);
  /// Names of this function's blocks are taken from here on.
  void enter(Id function);
  /// `base_0`, or the next number that is free. Valid as long as this.
  std::string_view make(Id base);

 private:
  const ModuleData& data_;
  Id function_ = kNoId;
  std::vector<Id> taken_in_;  // by name: the last function that was seen to use it
  std::unordered_map<Id, std::uint32_t> next_;
  std::deque<std::string> made_;
};

/// Calls `visit` with each block of a function, an outer one before those in it.
template <class Visit>
void for_each_block(const ModuleData& data, Id function, const Visit& visit) {
  std::vector<Id> blocks{data.functions[function].body};
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Id block = blocks[i];
    visit(block);
    for (Id op = data.blocks[block].first_op; op != kNoId; op = data.ops[op].next) {
      const OpRecord& record = data.ops[op];
      Id inner = record.first_block;
      for (std::uint32_t b = 0; b < record.blocks; ++b, inner = data.blocks[inner].next) {
        blocks.push_back(inner);
      }
    }
  }
}

/// Calls `visit` with each binding of an argument that is no tuple, in order.
template <class Visit>
void for_each_binding(const ModuleData& data, const ArgumentRecord& argument, const Visit& visit) {
  struct Left {
    Id next;
    Id end;
  };
  const auto all = [](Id first, std::uint32_t count) { return Left{first, first + count}; };
  std::vector<Left> open;
  Left left = all(argument.first_binding, argument.bindings);
  for (;;) {
    if (left.next == left.end) {
      if (open.empty()) return;
      left = open.back();
      open.pop_back();
      continue;
    }
    const Id id = left.next++;
    const BindingRecord& binding = data.bindings[id];
    if (binding.kind == BindingKind::tuple) {
      open.push_back(left);
      left = all(binding.id, binding.count);
    } else {
      visit(id, binding);
    }
  }
}

}  // namespace milgen::mil
