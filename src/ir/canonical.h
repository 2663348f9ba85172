// The canonical walk: the order of a program's ops and the names of its values, from the graph
// alone and never from the order in which C++ happened to build it.
#pragma once

#include <atomic>
#include <memory>
#include <memory_resource>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/arena.h"
#include "ir/graph.h"

namespace milgen {

/// The canonical form of a graph. Its names look into the graph.
class Canonical {
  BlockResource<8 * 1024> memory_;  // before everything that is in it: enough for some eighty ops

 public:
  explicit Canonical(const Graph& graph);

  /// Ops that an output or a state needs, in the order of the text: in each block post-order from
  /// its outputs as declared, operands in table order, what a nested block takes from outside
  /// before the op that has the block, then what writes to states. The ops of a nested block stand
  /// behind the op that has it. Inlined constants are among them, although they have no line.
  std::pmr::vector<OpId> order;
  /// By ValueId; empty for values that are not printed.
  std::pmr::vector<std::string_view> names;
  /// Constants that stand in weight files, in the order of their first use.
  std::pmr::vector<ValueId> weights;
  /// By ValueRecord::result of an input: whether an output needs it.
  std::pmr::vector<bool> input_needed;
  /// By OpId, empty when there is none: a constant that is only written in place, as an argument.
  std::pmr::vector<bool> inlined;
  std::size_t inlined_count = 0;
  /// By BlockId, of nested blocks that are printed: where in `order` its ops end. Empty when there
  /// are no nested blocks.
  std::pmr::vector<std::uint32_t> block_end;
  /// Of the ops without a result, in their order: what their attribute `name` says.
  std::pmr::vector<std::string_view> effect_names;
  /// By ValueId: its index in `weights`, or kNone.
  std::pmr::vector<std::uint32_t> weight_index;

 private:
  /// `Plain`: the graph has no blocks, no states and no inlined constants, so that the operands say
  /// everything.
  template <bool Plain>
  void walk(const Graph& graph);
  void join_blocks(const Graph& graph);
  void name_values(const Graph& graph);

  std::pmr::vector<std::pmr::vector<char>> text_;
};

/// Whether a constant stands in a weight file: a weight; a float that is not a scalar (some chips
/// refuse those inline: mil_text_format, section 5); or an operand of ten elements or more in a
/// dtype that weight files have (coremltools' threshold: mil_text_format, section 6).
bool stands_in_file(const Graph& graph, const Const& constant);

struct WeightLowering;  // ir/weight_lowering.h

struct ProgramData {
  ProgramData(std::string program_name, Opset program_opset, std::shared_ptr<const Graph> of)
      : name(std::move(program_name)), opset(program_opset), graph(std::move(of)) {}

  std::string name;
  Opset opset;
  std::shared_ptr<const Graph> graph;
  Canonical canonical{*graph};
  /// Of a program whose weights are inputs: what it was made from. Null for any other.
  std::shared_ptr<const WeightLowering> lowering;
  /// Of the Program handles; the first is made with the data.
  mutable std::atomic<std::uint32_t> references{1};
};

}  // namespace milgen
