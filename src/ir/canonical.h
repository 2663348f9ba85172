// The canonical walk: the order of a program's ops and the names of its values, from the graph
// alone and never from the order in which C++ happened to build it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace milgen {

struct Canonical {
  /// Ops that an output needs: post-order from the outputs as declared, operands in table order.
  std::vector<OpId> order;
  /// By ValueId; empty for values that are not printed.
  std::vector<std::string_view> names;
  /// Constants that stand in weight files, in the order of their first use.
  std::vector<ValueId> weights;
  /// By place in Graph::inputs: whether an output needs it.
  std::vector<bool> input_needed;
  /// By ValueId: its index in `weights`, or kNone.
  std::vector<std::uint32_t> weight_index;

 private:
  friend Canonical canonicalize(const Graph& graph);
  std::vector<std::unique_ptr<char[]>> text_;
};

Canonical canonicalize(const Graph& graph);

/// Whether a constant stands in a weight file: a weight; a float that is not a scalar (some chips
/// refuse those inline: mil_text_format, section 5); or an operand of ten elements or more in a
/// dtype that weight files have (coremltools' threshold: mil_text_format, section 6).
bool stands_in_file(const Graph& graph, const Const& constant);

struct ProgramData {
  std::string name;
  Opset opset = Opset::ios18;
  std::shared_ptr<const Graph> graph;
  Canonical canonical;
  /// Of the Program handles; the first is made with the data.
  mutable std::atomic<std::uint32_t> references{1};
};

}  // namespace milgen
