#include "ir/canonical.h"

#include <algorithm>
#include <charconv>

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

}  // namespace

bool stands_in_file(const Graph& graph, const Const& constant) {
  if (constant.kind == ConstKind::weight) return true;
  if (constant.kind == ConstKind::text) return false;
  const TypeView type = graph.types.view(constant.type);
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
      input_needed(graph.inputs.size(), false, &memory_),
      weight_index(graph.value_count(), kNone, &memory_),
      text_(&memory_) {
  walk(graph);
  name_values(graph);
}

void Canonical::walk(const Graph& graph) {
  order.reserve(graph.op_count());
  std::pmr::vector<bool> visited(graph.op_count(), false, &memory_);
  struct Frame {
    OpId op;
    std::uint32_t operands;
    const Operand* next;
  };
  std::pmr::vector<Frame> stack(&memory_);
  stack.reserve(64);
  const auto visit = [&](ValueId value) {
    const ValueRecord& record = graph.value(value);
    if (record.def == kNone) {
      input_needed[record.result] = true;
      return;
    }
    if (visited[record.def]) return;
    visited[record.def] = true;
    const OpRecord& op = graph.op(record.def);
    // Half of all ops are constants, which need no place on the stack.
    if (op.operands == 0) {
      order.push_back(record.def);
    } else {
      stack.push_back({record.def, op.operands, graph.operands(op).data()});
    }
  };
  for (const Graph::Output& output : graph.outputs) {
    visit(output.value);
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.operands == 0) {
        order.push_back(frame.op);
        stack.pop_back();
        continue;
      }
      --frame.operands;
      visit((frame.next++)->value);
    }
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
      const OpRecord& op = graph.op(id);
      for (std::uint32_t r = 0; r < op.results; ++r) {
        taken[graph.value(op.first_result + r).name] = true;
      }
    }
  }
  const auto is_taken = [&](std::string_view name) {
    if (!may_be_taken) return false;
    const NameId id = graph.names.find(name);
    return id != kNone && taken[id];
  };
  NameWriter writer(text_);
  Counters counters;
  for (const OpId id : order) {
    const OpRecord& op = graph.op(id);
    for (std::uint32_t r = 0; r < op.results; ++r) {
      const ValueId value = op.first_result + r;
      if (const NameId name = graph.value(value).name; name != kNoName) {
        names[value] = graph.names.view(name);
        continue;
      }
      const std::string_view base =
          op.code == OpCode::const_ ? graph.constant(op.constant).role.base : op_info(op.code).name;
      std::uint32_t& next = counters.of(base);
      std::string_view name;
      do {
        name = writer.draft(base, next++);
      } while (is_taken(name));
      writer.keep(name);
      names[value] = name;
    }
    if (op.code == OpCode::const_ && stands_in_file(graph, graph.constant(op.constant))) {
      weight_index[op.first_result] = static_cast<std::uint32_t>(weights.size());
      weights.push_back(op.first_result);
    }
  }
}

}  // namespace milgen
