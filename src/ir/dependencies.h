// What has to stand before an op in the text besides its operands.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ir/graph.h"

namespace milgen {

/// Of a graph with nested blocks or states. An op with blocks depends on what its blocks give and
/// on the writes to states in them. What touches a state depends, among the ops of its block, on
/// what touched the state before it, as far as one of the two writes, and a write on the write
/// before it, whatever the state. An op counts as touching what the ops in its blocks touch. Ops
/// that nothing needs depend on nothing and nothing depends on them.
class Dependencies {
 public:
  struct Item {
    std::uint32_t id;
    bool is_op;  ///< an OpId, not a ValueId
  };
  explicit Dependencies(const Graph& graph);

  /// In the order in which a walk has to visit them.
  std::span<const Item> of(OpId op) const {
    return std::span(items_).subspan(first_[op], first_[op + std::size_t{1}] - first_[op]);
  }
  /// The ops of the function's own block that write to states, or have a block with such an op, in
  /// the order in which they were made.
  std::span<const OpId> effects() const { return effects_; }

 private:
  std::vector<std::uint32_t> first_;
  std::vector<Item> items_;
  std::vector<OpId> effects_;
};

}  // namespace milgen
