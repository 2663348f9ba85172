#include "ir/dependencies.h"

#include <map>
#include <utility>

namespace milgen {
namespace {

/// Whether the blocks lead up to the function: a block whose op was refused leads nowhere.
std::vector<bool> attached_blocks(const Graph& graph) {
  std::vector<bool> attached(graph.block_count(), false);
  attached[kRootBlock] = true;
  for (BlockId id = kRootBlock + 1; id < graph.block_count(); ++id) {
    const BlockRecord& block = graph.block(id);
    attached[id] = block.owner != kNone && attached[block.parent];
  }
  return attached;
}

/// By OpId: whether an output or a state needs the op.
std::vector<bool> live_ops(const Graph& graph) {
  const std::vector<bool> attached = attached_blocks(graph);
  std::vector<bool> live(graph.op_count(), false);
  std::vector<OpId> left;
  const auto need = [&](OpId op) {
    if (op == kNone || live[op]) return;
    live[op] = true;
    left.push_back(op);
  };
  for (const Graph::Output& output : graph.outputs) need(graph.value(output.value).def);
  for (OpId id = 0; id < graph.op_count(); ++id) {
    if (graph.op(id).code == OpCode::write_state && attached[graph.op(id).block]) need(id);
  }
  while (!left.empty()) {
    const OpRecord& op = graph.op(left.back());
    left.pop_back();
    need(graph.block(op.block).owner);
    for (const Operand& operand : graph.operands(op)) need(graph.value(operand.value).def);
    for (const BlockId id : graph.nested(op)) {
      for (const ValueId output : graph.block_outputs(graph.block(id))) {
        need(graph.value(output).def);
      }
    }
  }
  return live;
}

/// What the ops of one block did to one state so far.
struct Touched {
  OpId last_write = kNone;
  std::vector<OpId> reads;  // since then
  bool written = false;
};

struct BlockState {
  std::map<ValueId, Touched> states;
  std::vector<OpId> effects;
};

}  // namespace

Dependencies::Dependencies(const Graph& graph) {
  const std::vector<bool> live = live_ops(graph);
  std::vector<BlockState> blocks(graph.block_count());
  first_.reserve(graph.op_count() + 1);

  const auto read = [&](OpId op, ValueId state) {
    Touched& touched = blocks[graph.op(op).block].states[state];
    if (touched.last_write != kNone) items_.push_back({touched.last_write, true});
    touched.reads.push_back(op);
  };
  const auto write = [&](OpId op, ValueId state) {
    BlockState& block = blocks[graph.op(op).block];
    Touched& touched = block.states[state];
    if (block.effects.empty() || block.effects.back() != op) {
      if (!block.effects.empty()) items_.push_back({block.effects.back(), true});
      block.effects.push_back(op);
    }
    for (const OpId reader : touched.reads) items_.push_back({reader, true});
    touched.reads.clear();
    touched.last_write = op;
    touched.written = true;
  };

  // An op was made after everything that it depends on and after the ops in its blocks.
  for (OpId id = 0; id < graph.op_count(); ++id) {
    first_.push_back(static_cast<std::uint32_t>(items_.size()));
    if (!live[id]) continue;
    const OpRecord& op = graph.op(id);
    if (op.code == OpCode::read_state) read(id, graph.operands(op)[0].value);
    if (op.code == OpCode::write_state) write(id, graph.operands(op)[0].value);
    for (const BlockId nested : graph.nested(op)) {
      for (const auto& [state, touched] : blocks[nested].states) {
        if (touched.written) {
          write(id, state);
        } else {
          read(id, state);
        }
      }
    }
    for (const BlockId nested : graph.nested(op)) {
      for (const ValueId output : graph.block_outputs(graph.block(nested))) {
        items_.push_back({output, false});
      }
      for (const OpId effect : blocks[nested].effects) items_.push_back({effect, true});
    }
  }
  first_.push_back(static_cast<std::uint32_t>(items_.size()));
  effects_ = std::move(blocks[kRootBlock].effects);
}

}  // namespace milgen
