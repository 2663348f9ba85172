#include "ir/canonical.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "ir/dependencies.h"
#include "milgen/weights.h"

namespace milgen {
namespace {

constexpr std::size_t kFirstChunkBytes = 1024;
constexpr std::size_t kTextChunkBytes = 16384;
constexpr std::int64_t kInlineElements = 10;

/// Writes names one behind the other into chunks that never move.
class NameWriter {
 public:
  explicit NameWriter(std::pmr::vector<std::pmr::vector<char>>& chunks) : chunks_(chunks) {}

  /// `base_number`, kept only when keep() is called.
  std::string_view draft(std::string_view base, std::uint32_t number) {
    constexpr std::size_t kLongestNumber = 11;
    if (room_ < base.size() + kLongestNumber) {
      room_ = std::max(chunks_.empty() ? kFirstChunkBytes : kTextChunkBytes,
                       base.size() + kLongestNumber);
      at_ = chunks_.emplace_back(room_).data();
    }
    // Bases are words of a few letters, for which a call of memcpy costs more than this.
    char* end = std::copy(base.begin(), base.end(), at_);
    *end++ = '_';
    if (number < 10) {
      *end++ = static_cast<char>('0' + number);
    } else {
      end = std::to_chars(end, end + kLongestNumber, number).ptr;
    }
    return {at_, static_cast<std::size_t>(end - at_)};
  }
  void keep(std::string_view name) {
    at_ += name.size();
    room_ -= name.size();
  }

 private:
  std::pmr::vector<std::pmr::vector<char>>& chunks_;
  char* at_ = nullptr;
  std::size_t room_ = 0;
};

/// Numbers for derived names: one counter for each base.
class Counters {
 public:
  Counters() { counters_.reserve(32); }
  std::uint32_t& of(std::string_view base) {
    for (auto& [name, next] : counters_) {
      if (name.data() == base.data() && name.size() == base.size()) return next;
    }
    for (auto& [name, next] : counters_) {
      if (name == base) return next;
    }
    return counters_.emplace_back(base, 0u).second;
  }

 private:
  // Bases are names of ops and of their arguments: a few dozen at most in one program.
  std::vector<std::pair<std::string_view, std::uint32_t>> counters_;
};

/// Calls `use(value, base)` for the results of an op and the inputs of its blocks, in the order of
/// the text; `base` is what a derived name begins with.
template <class Use>
void for_each_name(const Graph& graph, const OpRecord& op, const Use& use) {
  const std::string_view base =
      op.code == OpCode::const_ ? graph.constant(op.constant).role.base : op_info(op.code).name;
  for (std::uint32_t r = 0; r < op.results; ++r) use(op.first_result + r, base);
  for (const BlockId id : graph.nested(op)) {
    const BlockRecord& block = graph.block(id);
    for (std::uint32_t i = 0; i < block.inputs; ++i) use(block.first_input + i, "loop_var");
  }
}

}  // namespace

bool stands_in_file(const Graph& graph, const Const& constant) {
  if (constant.kind == ConstKind::weight) return true;
  if (constant.kind == ConstKind::text || constant.kind == ConstKind::texts) return false;
  const TypeView type = graph.types.view(constant.type);
  if (type.kind != TypeKind::tensor) return false;
  if (is_float(type.dtype) && type.rank() != 0) return true;
  // A formula has no elements to print, whatever its dtype and role.
  if (constant.kind == ConstKind::fill) return true;
  if (constant.role.is_attribute) return false;
  return constant.count >= kInlineElements && weight_dtype_code(type.dtype) != 0;
}

Canonical::Canonical(const Graph& graph)
    : order(&memory_),
      names(graph.value_count(), &memory_),
      weights(&memory_),
      input_needed(graph.input_count(), false, &memory_),
      inlined(&memory_),
      block_end(&memory_),
      effect_names(&memory_),
      weight_index(graph.value_count(), kNone, &memory_),
      text_(&memory_) {
  if (graph.block_count() == 1 && !graph.has_state_ops() && !graph.has_inline_ops()) {
    walk<true>(graph);
  } else {
    walk<false>(graph);
  }
  name_values(graph);
}

template <bool Plain>
void Canonical::walk(const Graph& graph) {
  order.reserve(graph.op_count());
  std::pmr::vector<bool> visited(graph.op_count(), false, &memory_);
  const bool any_inline = !Plain && graph.has_inline_ops();
  if (any_inline) inlined.resize(graph.op_count(), false);
  std::optional<Dependencies> dependencies;
  if (!Plain) dependencies.emplace(graph);
  struct Frame {
    OpId op;
    std::uint32_t operands;
    const Operand* next;
    std::uint32_t further;
    bool takes_inline;
  };
  std::pmr::vector<Frame> stack(&memory_);
  stack.reserve(64);
  const auto visit_op = [&](OpId id) {
    if (visited[id]) return;
    visited[id] = true;
    const OpRecord& op = graph.op(id);
    const auto further = Plain ? 0u : static_cast<std::uint32_t>(dependencies->of(id).size());
    // Half of all ops are constants, which need no place on the stack.
    if (op.operands == 0 && further == 0) {
      order.push_back(id);
    } else {
      stack.push_back({id, op.operands, graph.operands(op).data(), further,
                       any_inline && op_info(op.code).has_inline_constants()});
    }
  };
  const auto visit = [&](ValueId value, bool takes_inline) {
    const ValueRecord& record = graph.value(value);
    if (record.def == kNone) {
      input_needed[record.result] = true;
      return;
    }
    if (any_inline && graph.op(record.def).code == OpCode::const_) {
      if (!takes_inline) {
        inlined[record.def] = false;
      } else if (!visited[record.def]) {
        inlined[record.def] = true;
      }
    }
    visit_op(record.def);
  };
  const auto finish = [&] {
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.operands != 0) {
        --frame.operands;
        const ValueId operand = (frame.next++)->value;
        visit(operand, frame.takes_inline);
      } else if (!Plain && frame.further != 0) {
        const std::span<const Dependencies::Item> items = dependencies->of(frame.op);
        const Dependencies::Item item = items[items.size() - frame.further--];
        if (item.is_op) {
          visit_op(item.id);
        } else {
          visit(item.id, false);
        }
      } else {
        order.push_back(frame.op);
        stack.pop_back();
      }
    }
  };
  for (const Graph::Output& output : graph.outputs) {
    visit(output.value, false);
    finish();
  }
  if (!Plain) {
    for (const OpId effect : dependencies->effects()) {
      visit_op(effect);
      finish();
    }
  }
  if (any_inline) {
    inlined_count = static_cast<std::size_t>(std::ranges::count(inlined, true));
  }
  if (graph.block_count() > 1) join_blocks(graph);
}

void Canonical::join_blocks(const Graph& graph) {
  // The walk has put the ops of each block into their order, but blocks among each other.
  std::pmr::vector<OpId> first(graph.block_count(), kNone, &memory_);
  std::pmr::vector<OpId> last(graph.block_count(), kNone, &memory_);
  std::pmr::vector<OpId> next(graph.op_count(), kNone, &memory_);
  for (const OpId id : order) {
    const BlockId block = graph.op(id).block;
    (last[block] == kNone ? first[block] : next[last[block]]) = id;
    last[block] = id;
  }
  block_end.resize(graph.block_count(), 0);
  order.clear();
  struct At {
    BlockId block;
    OpId next;
  };
  std::pmr::vector<At> stack(&memory_);
  stack.push_back({kRootBlock, first[kRootBlock]});
  while (!stack.empty()) {
    At& place = stack.back();
    if (place.next == kNone) {
      block_end[place.block] = static_cast<std::uint32_t>(order.size());
      stack.pop_back();
      continue;
    }
    const OpId id = place.next;
    place.next = next[id];
    order.push_back(id);
    const std::span<const BlockId> nested = graph.nested(graph.op(id));
    for (std::size_t i = nested.size(); i-- != 0;) stack.push_back({nested[i], first[nested[i]]});
  }
}

void Canonical::name_values(const Graph& graph) {
  for (const ValueId input : graph.inputs) {
    names[input] = graph.names.view(graph.value(input).name);
  }
  text_.reserve(4);
  weights.reserve(16);
  // Only names that are printed are taken: what no output needs must not shift a number.
  const bool may_be_taken = graph.names.has_numbered();
  std::pmr::vector<bool> taken(may_be_taken ? graph.names.size() : 0, false, &memory_);
  if (may_be_taken) {
    for (const ValueId input : graph.inputs) taken[graph.value(input).name] = true;
    for (const OpId id : order) {
      for_each_name(graph, graph.op(id), [&](ValueId value, std::string_view) {
        taken[graph.value(value).name] = true;
      });
    }
  }
  const auto is_taken = [&](std::string_view name) {
    if (!may_be_taken) return false;
    const NameId id = graph.names.find(name);
    return id != kNone && taken[id];
  };
  NameWriter writer(text_);
  Counters counters;
  const auto derive = [&](std::string_view base) {
    std::uint32_t& next = counters.of(base);
    std::string_view name;
    do {
      name = writer.draft(base, next++);
    } while (is_taken(name));
    writer.keep(name);
    return name;
  };
  for (const OpId id : order) {
    const OpRecord& op = graph.op(id);
    const bool in_file =
        op.code == OpCode::const_ && stands_in_file(graph, graph.constant(op.constant));
    // A constant that stands in another op's line has no use for a name, but its file has.
    if (!inlined.empty() && inlined[id] && !in_file) continue;
    for_each_name(graph, op, [&](ValueId value, std::string_view base) {
      const NameId name = graph.value(value).name;
      names[value] = name != kNoName ? graph.names.view(name) : derive(base);
    });
    if (op.results == 0) effect_names.push_back(derive(op_info(op.code).name));
    if (in_file) {
      weight_index[op.first_result] = static_cast<std::uint32_t>(weights.size());
      weights.push_back(op.first_result);
    }
  }
}

}  // namespace milgen
