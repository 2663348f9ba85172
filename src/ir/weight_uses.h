// What a program does with its weights: which of them can come at run time, and which are matrices
// that packing knows how to lay out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/canonical.h"
#include "milgen/shape.h"

namespace milgen {

/// A weight of the definition and what its live ops ask of it.
struct WeightUse {
  ValueId value = kNone;
  /// Why it has to stay a constant, as the end of a sentence; empty when it need not.
  std::string fixed = {};
  Loc fixed_at = {};  ///< of the op that asks for it
  /// It is the weight of a 1x1 conv, of a linear, or a matrix operand of matmul: `rows` is out and
  /// `columns` is in of a projection.
  bool is_matrix = false;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  /// Of its parameter.
  Shape param_shape = {};
};

class WeightUses {
 public:
  explicit WeightUses(const ProgramData& definition);

  /// In the order of their first use.
  std::span<const WeightUse> weights() const { return weights_; }
  /// The index of a value among the weights; kNone for any other value.
  std::uint32_t find(ValueId value) const { return index_[value]; }
  /// By OpId: whether an output or a state needs the op.
  const std::vector<bool>& live() const { return live_; }
  /// Whether a value is made of constants alone.
  bool is_constant(ValueId value) const { return constant_[value]; }

 private:
  void read_ops(const Canonical& canonical);
  void look_at(const OpRecord& op, Opset opset);
  void look_at_conv(const OpRecord& op);
  void look_at_operand(const OpRecord& op, const Operand& operand, Opset opset);
  void fix(ValueId value, const OpRecord& op, const std::string& why);
  void fix_sources(ValueId value, const OpRecord& op, const std::string& why);
  void note_matrix(ValueId value, std::int64_t rows, std::int64_t columns);
  void ask_shape(ValueId value, const Shape& shape);

  const Graph& graph_;
  std::vector<WeightUse> weights_;
  std::vector<std::uint32_t> index_;  // by ValueId
  std::vector<bool> live_;            // by OpId
  std::vector<bool> constant_;        // by ValueId
  std::vector<bool> sources_fixed_;   // by OpId: fix_sources() was there
};

/// The value of an op's argument; kNone when it is left out.
ValueId argument_of(const Graph& graph, const OpRecord& op, std::string_view param);

/// Why a conv is no product of matrices ("a conv with 2 groups"); empty when it is one: 1x1, one
/// group, no strides and no padding, x of known dims and of the weight's dtype.
std::string conv_obstacle(const Graph& graph, const OpRecord& op);

/// Why a linear is no matmul of run-time values; empty when it is one.
std::string linear_obstacle(const Graph& graph, const OpRecord& op);

/// [1, out, in] of a conv's weight [out, in, 1, ...].
Shape product_weight_shape(std::span<const std::int64_t> weight);
/// [1, out, 1, ...] of a bias [out], of the rank of the conv's x.
Shape product_bias_shape(std::int64_t out, std::size_t rank);

}  // namespace milgen
