#include "mil/canonical_module.h"

#include <fmt/format.h>

#include <algorithm>

#include "milgen/op_info.h"

namespace milgen::mil {
namespace {

const OpInfo* info_of(const OpRecord& op) {
  return op.code < 0 ? nullptr : &op_info(static_cast<OpCode>(op.code));
}

/// Where each parameter stands in its op's row, by the names of one module.
class ParamOrder {
 public:
  explicit ParamOrder(const ModuleData& data) : data_(data), rows_(op_table().size()) {}

  /// The arguments of an op in the order of its row; those that it does not have stand behind in
  /// byte order.
  std::span<const std::uint32_t> sorted(const OpRecord& op) {
    const std::span<const ArgumentRecord> arguments = data_.arguments_of(op);
    const OpInfo* info = info_of(op);
    keys_.clear();
    order_.clear();
    for (std::uint32_t i = 0; i < arguments.size(); ++i) {
      keys_.push_back(info == nullptr ? kUnknown : position(*info, arguments[i].name));
      order_.push_back(i);
    }
    std::ranges::stable_sort(order_, [&](std::uint32_t a, std::uint32_t b) {
      if (keys_[a] != keys_[b]) return keys_[a] < keys_[b];
      return keys_[a] == kUnknown && data_.name(arguments[a].name) < data_.name(arguments[b].name);
    });
    return order_;
  }

 private:
  static constexpr std::uint32_t kUnknown = 0xFFFFFFFFu;

  std::uint32_t position(const OpInfo& info, Id name) {
    std::vector<Id>& row = rows_[static_cast<std::size_t>(info.code)];
    if (row.empty()) {
      // The Program printer, whose text is canonical, goes by the last signature, too.
      for (const Param& param : info.signatures.back().params) {
        row.push_back(data_.names.find(param.name));
      }
    }
    const auto at = std::ranges::find(row, name);
    return at == row.end() ? kUnknown : static_cast<std::uint32_t>(at - row.begin());
  }

  const ModuleData& data_;
  std::vector<std::vector<Id>> rows_;
  std::vector<std::uint32_t> keys_;
  std::vector<std::uint32_t> order_;
};

}  // namespace

bool moves_out(const ModuleData& data, const BindingRecord& binding) {
  if (binding.kind != BindingKind::literal || binding.op == kNoId) return false;
  const OpInfo* info = info_of(data.ops[binding.op]);
  return info != nullptr && !has(info->traits, Trait::constexpr_op) &&
         data.literals[binding.id].type != kNoId;
}

/// Orders blocks, the inner ones before those that they are in: where an op with blocks stands
/// depends on what these take from outside, in the order in which they take it.
class BlockWalk {
 public:
  BlockWalk(const ModuleData& data, CanonicalOrder& out)
      : data_(data),
        out_(out),
        params_(data),
        visited_(data.ops.size(), false),
        captured_in_(data.values.size(), kNoId),
        captures_(data.blocks.size()),
        has_effects_(data.blocks.size(), false) {}

  void order_function(Id function) {
    std::vector<Id> blocks;
    for_each_block(data_, function, [&](Id block) { blocks.push_back(block); });
    const bool keep = must_keep_order(blocks);
    for (std::size_t i = blocks.size(); i-- != 0;) {
      block_ = blocks[i];
      out_.ranges_[block_].first = out_.entries_.size();
      if (keep) {
        keep_order();
      } else {
        captures_[block_].first = captured_.size();
        walk();
        captures_[block_].count = captured_.size() - captures_[block_].first;
      }
      out_.ranges_[block_].count = out_.entries_.size() - out_.ranges_[block_].first;
    }
  }

 private:
  /// What an op needs: another op, a literal that moves out of it, or a value, which is either what
  /// another op makes or taken from outside.
  struct Need {
    enum class Kind : std::uint8_t { op, literal, value } kind = Kind::op;
    Id id = kNoId;
    Id argument = kNoId;  // of a literal
  };
  /// What was done to one state so far in one block.
  struct Touched {
    Id last_write = kNoId;
    std::vector<Id> reads = {};  // since then
  };
  /// What a block takes from outside.
  struct Capture {
    Id value = kNoId;
    bool written = false;  // a state
  };
  /// An op with what it needs, in needs_ from `next` on.
  struct Frame {
    Id op;
    std::size_t first;
    std::size_t next;
    std::size_t end;
  };

  /// Whether moving ops could make a name mean something else.
  bool must_keep_order(std::span<const Id> blocks) const {
    const auto redefines = [&](Id first, std::uint32_t count) {
      for (Id v = first; v != first + count; ++v) {
        if (data_.redefined_value(v) != kNoId) return true;
      }
      return false;
    };
    const auto is_undefined = [](const BindingRecord& binding) {
      return binding.kind == BindingKind::undefined;
    };
    for (const Id block : blocks) {
      const BlockRecord& record = data_.blocks[block];
      if (redefines(record.first_input, record.inputs)) return true;
      if (std::ranges::any_of(data_.outputs_of(record), is_undefined)) return true;
      for (Id op = record.first_op; op != kNoId; op = data_.ops[op].next) {
        if (redefines(data_.ops[op].first_result, data_.ops[op].results)) return true;
        for (const ArgumentRecord& argument : data_.arguments_of(data_.ops[op])) {
          bool undefined = false;
          for_each_binding(data_, argument, [&](Id, const BindingRecord& binding) {
            undefined = undefined || is_undefined(binding);
          });
          if (undefined) return true;
        }
      }
    }
    return false;
  }

  void keep_order() {
    for (Id op = data_.blocks[block_].first_op; op != kNoId; op = data_.ops[op].next) {
      for (const std::uint32_t i : params_.sorted(data_.ops[op])) {
        const ArgumentRecord& argument = data_.arguments_of(data_.ops[op])[i];
        for_each_binding(data_, argument, [&](Id id, const BindingRecord& binding) {
          if (moves_out(data_, binding)) out_.entries_.push_back({id, argument.name});
        });
      }
      out_.entries_.push_back({op, kNoId});
    }
  }

  void walk() {
    const BlockRecord& block = data_.blocks[block_];
    collect_effects();
    for (const BindingRecord& output : data_.outputs_of(block)) {
      if (output.kind == BindingKind::value) run({Need::Kind::value, output.id});
    }
    for (const Id op : effects_) run({Need::Kind::op, op});
    for (Id op = block.first_op; op != kNoId; op = data_.ops[op].next) run({Need::Kind::op, op});
  }

  /// What has to stay behind what, in block_: what touches a state behind what wrote it, a write
  /// behind the reads before it, and what has side effects behind whatever has had some before.
  void collect_effects() {
    after_.clear();
    touched_.clear();
    effects_.clear();
    for (Id op = data_.blocks[block_].first_op; op != kNoId; op = data_.ops[op].next) {
      const OpRecord& record = data_.ops[op];
      const OpInfo* info = info_of(record);
      bool effect = info != nullptr ? has(info->traits, Trait::side_effect) : record.results == 0;
      for_each_inner(record, [&](Id inner) { effect = effect || has_effects_[inner]; });
      if (effect) {
        if (!effects_.empty()) after_[op].push_back(effects_.back());
        effects_.push_back(op);
      }
      // Nobody knows what an op that the table does not have does to a state.
      const bool writes = effect || info == nullptr;
      for (const std::uint32_t i : params_.sorted(record)) {
        for_each_binding(data_, data_.arguments_of(record)[i],
                         [&](Id, const BindingRecord& binding) {
                           if (binding.kind == BindingKind::value) touch(op, binding.id, writes);
                         });
      }
      for_each_inner(record, [&](Id inner) {
        for (const Capture& taken : captures_of(inner)) touch(op, taken.value, taken.written);
      });
    }
    has_effects_[block_] = !effects_.empty();
  }

  void touch(Id op, Id value, bool writes) {
    if (data_.types[data_.values[value].type].kind != TypeKind::state) return;
    Touched& touched = touched_[value];
    if (touched.last_write == op) return;
    if (touched.last_write != kNoId) after_[op].push_back(touched.last_write);
    if (!writes) {
      touched.reads.push_back(op);
      return;
    }
    for (const Id reader : touched.reads) {
      if (reader != op) after_[op].push_back(reader);
    }
    touched = {op};
  }

  template <class Visit>
  void for_each_inner(const OpRecord& op, const Visit& visit) const {
    Id inner = op.first_block;
    for (std::uint32_t b = 0; b < op.blocks; ++b, inner = data_.blocks[inner].next) visit(inner);
  }

  std::span<const Capture> captures_of(Id block) const {
    return std::span(captured_).subspan(captures_[block].first, captures_[block].count);
  }

  /// The order is that in which the Program printer walks, too.
  void collect_needs(Id op) {
    const OpRecord& record = data_.ops[op];
    for (const std::uint32_t i : params_.sorted(record)) {
      const ArgumentRecord& argument = data_.arguments_of(record)[i];
      for_each_binding(data_, argument, [&](Id id, const BindingRecord& binding) {
        if (binding.kind == BindingKind::value) {
          needs_.push_back({Need::Kind::value, binding.id});
        } else if (moves_out(data_, binding)) {
          needs_.push_back({Need::Kind::literal, id, argument.name});
        }
      });
    }
    if (const auto after = after_.find(op); after != after_.end()) {
      for (const Id before : after->second) needs_.push_back({Need::Kind::op, before});
    }
    for_each_inner(record, [&](Id inner) {
      for (const Capture& taken : captures_of(inner)) {
        needs_.push_back({Need::Kind::value, taken.value});
      }
    });
  }

  /// Writes an op to the order, everything that it needs in front.
  void run(Need root) {
    if (root.kind == Need::Kind::op && visited_[root.id]) return;
    std::vector<Frame>& stack = stack_;
    needs_.assign(1, root);
    stack.push_back({kNoId, 0, 0, 1});
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next == frame.end) {
        if (frame.op != kNoId) out_.entries_.push_back({frame.op, kNoId});
        needs_.resize(frame.first);
        stack.pop_back();
        continue;
      }
      const Need need = needs_[frame.next++];
      if (need.kind == Need::Kind::literal) {
        out_.entries_.push_back({need.id, need.argument});
        continue;
      }
      const Id op = need.kind == Need::Kind::op ? need.id : maker_of(need.id);
      if (op == kNoId || visited_[op]) continue;
      visited_[op] = true;
      const std::size_t first = needs_.size();
      collect_needs(op);
      stack.push_back({op, first, first, needs_.size()});
    }
  }

  /// The op of this block that makes a value; else the value is what the block takes from outside.
  Id maker_of(Id value) {
    const ValueRecord& record = data_.values[value];
    const Id home = record.op == kNoId ? record.block : data_.ops[record.op].block;
    if (home == block_) return record.op;
    if (captured_in_[value] != block_) {
      captured_in_[value] = block_;
      const auto touched = touched_.find(value);
      captured_.push_back(
          {value, touched != touched_.end() && touched->second.last_write != kNoId});
    }
    return kNoId;
  }

  using Range = CanonicalOrder::Range;

  const ModuleData& data_;
  CanonicalOrder& out_;
  ParamOrder params_;
  Id block_ = kNoId;
  std::vector<bool> visited_;
  std::vector<Frame> stack_;
  std::vector<Need> needs_;
  std::vector<Capture> captured_;  // what blocks take from outside, one block behind the other
  std::vector<Id> captured_in_;    // by value: the last block that took it
  std::vector<Range> captures_;    // by block, into captured_
  std::vector<bool> has_effects_;
  std::unordered_map<Id, std::vector<Id>> after_;  // by op of block_
  std::unordered_map<Id, Touched> touched_;        // by state, of block_
  std::vector<Id> effects_;                        // ops of block_, in written order
};

CanonicalOrder::CanonicalOrder(const ModuleData& data) : ranges_(data.blocks.size()) {
  entries_.reserve(data.live_ops);
  BlockWalk walk(data, *this);
  for (Id function = 0; function < data.functions.size(); ++function) {
    walk.order_function(function);
  }
}

FreshNames::FreshNames(const ModuleData& data) : data_(data), taken_in_(data.names.size(), kNoId) {}

void FreshNames::enter(Id function) {
  function_ = function;
  next_.clear();
  const auto take = [&](Id first, std::uint32_t count) {
    for (Id v = first; v != first + count; ++v) taken_in_[data_.values[v].name] = function;
  };
  for_each_block(data_, function, [&](Id block) {
    const BlockRecord& record = data_.blocks[block];
    take(record.first_input, record.inputs);
    for (Id op = record.first_op; op != kNoId; op = data_.ops[op].next) {
      take(data_.ops[op].first_result, data_.ops[op].results);
      // A name that nothing defines must not come to mean a new constant.
      for (const ArgumentRecord& argument : data_.arguments_of(data_.ops[op])) {
        for_each_binding(data_, argument, [&](Id, const BindingRecord& binding) {
          if (binding.kind == BindingKind::undefined) taken_in_[binding.id] = function;
        });
      }
    }
  });
}

std::string_view FreshNames::make(Id base) {
  std::uint32_t& next = next_[base];
  for (;;) {
    std::string name = fmt::format("{}_{}", data_.name(base), next++);
    const Id id = data_.names.find(name);
    if (id != kNoId && taken_in_[id] == function_) continue;
    return made_.emplace_back(std::move(name));
  }
}

}  // namespace milgen::mil
