#include "ir/canonical.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "milgen/weights.h"

namespace milgen {
namespace {

constexpr std::size_t kTextChunkBytes = 4096;
constexpr std::int64_t kInlineElements = 10;

/// Writes names one behind the other into chunks that never move.
class NameWriter {
 public:
  explicit NameWriter(std::vector<std::unique_ptr<char[]>>& chunks) : chunks_(chunks) {}

  /// `base_number`, kept only when keep() is called.
  std::string_view draft(std::string_view base, std::uint32_t number) {
    constexpr std::size_t kLongestNumber = 11;
    if (room_ < base.size() + kLongestNumber) {
      room_ = std::max(kTextChunkBytes, base.size() + kLongestNumber);
      chunks_.push_back(std::make_unique_for_overwrite<char[]>(room_));
      at_ = chunks_.back().get();
    }
    std::memcpy(at_, base.data(), base.size());
    char* end = at_ + base.size();
    *end++ = '_';
    std::array<char, kLongestNumber> digits{};
    std::size_t n = 0;
    do {
      digits[n++] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    while (n != 0) *end++ = digits[--n];
    return {at_, static_cast<std::size_t>(end - at_)};
  }
  void keep(std::string_view name) {
    at_ += name.size();
    room_ -= name.size();
  }

 private:
  std::vector<std::unique_ptr<char[]>>& chunks_;
  char* at_ = nullptr;
  std::size_t room_ = 0;
};

/// Numbers for derived names: one counter for each base.
class Counters {
 public:
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
  if (constant.role.is_attribute) return false;
  if (constant.kind == ConstKind::fill) return true;
  return constant.count >= kInlineElements && weight_dtype_code(type.dtype) != 0;
}

Canonical canonicalize(const Graph& graph) {
  Canonical out;
  out.order.reserve(graph.op_count());
  out.names.resize(graph.value_count());
  out.weight_index.assign(graph.value_count(), kNone);

  std::vector<bool> visited(graph.op_count(), false);
  struct Frame {
    OpId op;
    std::uint32_t next_operand;
  };
  std::vector<Frame> stack;
  stack.reserve(64);
  out.input_needed.resize(graph.inputs.size());
  const auto visit = [&](ValueId value) {
    const OpId def = graph.value(value).def;
    if (def == kNone) {
      out.input_needed[graph.value(value).result] = true;
      return;
    }
    if (visited[def]) return;
    visited[def] = true;
    stack.push_back({def, 0});
  };
  for (const Graph::Output& output : graph.outputs) {
    visit(output.value);
    while (!stack.empty()) {
      Frame& frame = stack.back();
      const OpRecord& op = graph.op(frame.op);
      if (frame.next_operand == op.operands) {
        out.order.push_back(frame.op);
        stack.pop_back();
        continue;
      }
      const Operand operand = graph.operands(op)[frame.next_operand++];
      visit(operand.value);
    }
  }

  for (const ValueId input : graph.inputs) {
    out.names[input] = graph.names.view(graph.value(input).name);
  }
  NameWriter writer(out.text_);
  Counters counters;
  for (const OpId id : out.order) {
    const OpRecord& op = graph.op(id);
    for (std::uint32_t r = 0; r < op.results; ++r) {
      const ValueId value = op.first_result + r;
      if (const NameId name = graph.value(value).name; name != kNoName) {
        out.names[value] = graph.names.view(name);
        continue;
      }
      const std::string_view base =
          op.code == OpCode::const_ ? graph.constant(op.constant).role.base : op_info(op.code).name;
      std::uint32_t& next = counters.of(base);
      std::string_view name;
      do {
        name = writer.draft(base, next++);
      } while (graph.names.find(name) != kNone);
      writer.keep(name);
      out.names[value] = name;
    }
    if (op.code == OpCode::const_ && stands_in_file(graph, graph.constant(op.constant))) {
      out.weight_index[op.first_result] = static_cast<std::uint32_t>(out.weights.size());
      out.weights.push_back(op.first_result);
    }
  }
  return out;
}

}  // namespace milgen
