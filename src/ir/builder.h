// What a Kernel holds: the graph, what is wrong with it, and who has which name.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "milgen/kernel.h"
#include "milgen/op_builder.h"

namespace milgen {

/// How deep blocks nest.
inline constexpr std::uint32_t kMostNestedBlocks = 256;

class Builder {
 public:
  Builder(std::string_view kernel_name, Opset kernel_opset, Loc kernel_loc)
      : name(kernel_name),
        opset(kernel_opset),
        loc(kernel_loc),
        graph(std::make_shared<Graph>()),
        owners_(64, kNone, graph->memory()) {
    check_kernel_name();
  }

  /// A name as it will stand in the text: with the scope's prefix, reserved words escaped. kNone
  /// after a report when it cannot be one.
  NameId declare_name(std::string_view text, Loc where);
  /// Gives `value` a name that nothing else has; reports `name.duplicate` otherwise.
  bool claim(NameId name_id, ValueId value, Loc where);
  /// The value that has a name; kNone when none has.
  ValueId owner(NameId name_id) const {
    return name_id < owners_.size() ? owners_[name_id] : kNone;
  }
  /// Gives `value` another name in the graph and among the outputs; its old one is free again.
  void rename(ValueId value, NameId name_id);
  void add_output(NameId name_id, ValueId value, Loc where);
  bool is_output(ValueId value) const {
    return value < output_of_.size() && output_of_[value] != kNone;
  }
  /// Checks a declared shape; reports `input.shape` and its kin.
  bool check_shape(std::string_view what, std::string_view value_name, const Shape& shape,
                   bool unknown_allowed, Loc where);
  bool check_open(Loc where);
  /// Adds a note that says what `value` is and where it was made.
  void note_made(Diagnostic& diagnostic, ValueId value) const;
  /// "weight 'wq'", "input 'x'", "the result of conv"
  std::string describe(ValueId value) const;
  Value handle(ValueId id) { return {this, id}; }
  Value poison() { return {this, kPoison}; }
  /// Opens a nested block with inputs of these types; kNone after a report when it cannot be.
  BlockId open_block(std::span<const TypeId> inputs, Loc where);
  /// Reports `block.scope` unless ops of the block that is open now see `value`. `what` says what
  /// it is to be: "add: x".
  bool check_visible(ValueId value, std::string_view what, Loc where);

  /// Checks the arguments that `op` has collected and adds the op.
  void build(OpBuilder& op);

  std::string name;
  Opset opset;
  Loc loc;
  std::shared_ptr<Graph> graph;
  Diagnostics diagnostics;
  std::string scope_prefix;
  std::vector<std::size_t> scope_lengths;
  bool finished = false;
  /// Outputs whose value an earlier refusal took away.
  struct LostOutput {
    std::string name;
    Loc loc;
  };
  std::vector<LostOutput> lost_outputs;

 private:
  void check_kernel_name();
  bool check_operands(const OpInfo& info, std::span<const Operand> operands, Loc where);
  bool check_blocks(const OpBuilder& op);
  void add_checked(OpBuilder& op);

  bool told_finished_ = false;
  bool told_depth_ = false;
  std::vector<std::uint32_t> output_of_;  // by ValueId: its place among the outputs, or kNone
  std::pmr::vector<ValueId> owners_;      // by NameId; in the memory of the graph
};

/// Whether `name` is a word that MIL keeps for itself (mil_text_format, section 1).
bool is_reserved_word(std::string_view name);
/// [A-Za-z_][A-Za-z0-9_@]*
bool is_identifier(std::string_view name);

}  // namespace milgen
