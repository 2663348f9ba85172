// What a program consists of: ops, constants, bytes, arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/module.h"

namespace milgen {

struct OpStats {
  std::string name;
  std::size_t count = 0;
  std::uint64_t flops = 0;
  /// Of `count`, those whose arithmetic is not in `flops`: a dim is not known, an operand that the
  /// formula needs is not there, or milgen does not have the op.
  std::size_t uncounted = 0;
};

struct PortStats {
  std::string name;
  std::string type;         ///< as the text spells it
  std::uint64_t bytes = 0;  ///< 0 when a dim is not known
  bool size_known = true;
};

/// Totals stop at 2^64 - 1, which then means "that or more".
struct FunctionStats {
  std::string name;
  std::string opset;
  std::vector<PortStats> inputs;
  std::vector<PortStats> outputs;
  /// By FLOPs, then count, then name. Without `const`.
  std::vector<OpStats> ops;
  std::size_t op_count = 0;        ///< without `const`, those of nested blocks included
  std::size_t constant_count = 0;  ///< `const` ops and values that other ops have written in
  /// Elements of constants in weight files and of results of constexpr ops (but not of the data
  /// that those unpack), and of inline float constants that are no scalars.
  std::uint64_t parameters = 0;
  std::uint64_t inline_bytes = 0;  ///< of constants in the text, as a weight file would pack them
  std::uint64_t weight_bytes = 0;  ///< of constants in weight files; each place there once
  std::size_t weight_count = 0;    ///< those places
  /// Results of ops that are computed at run time.
  std::size_t activation_count = 0;
  std::uint64_t activation_bytes = 0;
  std::uint64_t largest_activation_bytes = 0;
  std::string largest_activation = {};
  std::size_t unknown_activations = 0;  ///< not in the bytes: a dim is not known
  std::uint64_t flops = 0;
  std::size_t uncounted_ops = 0;
  std::size_t loops = 0;  ///< while_loops, whose blocks count once
};

/// Statistics of each function.
///
/// FLOPs count additions, multiplications, comparisons and function values of one element as 1, so
/// a multiply-add is 2:
///
///   conv              2 * results * C_in/groups * kernel, and 1 a result with a bias
///   conv_transpose    2 * elements of x * C_out/groups * kernel, and the bias
///   matmul, linear    2 * results * inner dim, and the bias
///   einsum            2 * the product of all dims of the equation
///   attention         2 * scores * (E + E_v), 2 a score for scale and mask, 5 for the softmax
///   lstm, gru, rnn    2 * positions * batch * elements of all weights, biases, and per unit 9, 8,
///   1 pooling           results * kernel (twice for l2_pool) reductions        1 an element of x,
///   2 where it is squared, made absolute or exponentiated softmax           5 an element;
///   layer_norm and instance_norm 7; l2_norm 3; batch_norm 2 elementwise       1 a result, whatever
///   the function resampling        7 a result (four products, three sums); nearest neighbour 0
///   data movement, sorting, casts, constexpr ops and random numbers   0
///
/// Blocks of cond and while_loop are counted once each.
std::vector<FunctionStats> module_stats(const Module& module);

}  // namespace milgen
