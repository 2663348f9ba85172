// The op table, read-only: every fact about a MIL op that milgen's parser, printer, verifier, DSL,
// documentation and tests share.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "milgen/dtype.h"
#include "milgen/op_code.h"

namespace milgen {

class InferContext;

enum class Opset : std::uint8_t { ios15 = 15, ios16, ios17, ios18 };

std::string_view opset_name(Opset opset);
/// The opset that MIL text spells `name` ("ios18"); false when there is none such.
bool opset_from_name(std::string_view name, Opset& opset);

/// What an argument is in MIL.
enum class ParamKind : std::uint8_t {
  tensor,    ///< one tensor or scalar
  variadic,  ///< a tuple of tensors: `values = (a, b)`
  list,      ///< a list<T, n>
  state,     ///< a state<tensor<...>>
  block,     ///< a nested block, printed after the op, not an argument
  any,       ///< tensor, list or dictionary
};

/// How the C++ DSL spells an argument.
enum class Form : std::uint8_t {
  operand,   ///< Tensor<T>; for ParamKind::variadic a list of them
  extents,   ///< integers known when the graph is built, or a Tensor at run time
  integer,   ///< std::int64_t
  integers,  ///< Ints
  real,      ///< double
  boolean,   ///< bool
  booleans,  ///< a list of bool
  text,      ///< std::string_view
  dtype,     ///< names the result's dtype: becomes a template parameter
};

/// The value of an argument that is left out.
enum class DefaultKind : std::uint8_t {
  required,       ///< there is none
  absent,         ///< the argument is not printed at all
  integer,        ///< Default::number
  real,           ///< Default::number
  boolean,        ///< Default::number
  text,           ///< Default::text
  spatial_dims,   ///< Default::number for each spatial dim, rank(x) - 2 of them
  spatial_sides,  ///< Default::number for each side of each spatial dim
  all_axes,       ///< 0, 1, ... rank(x) - 1
  zero_bias,      ///< zeros of [weight.shape[0]] in weight's dtype
  box_range,      ///< 0, 1, ... boxes.shape[0] - 1
};

struct Default {
  DefaultKind kind = DefaultKind::required;
  double number = 0;
  std::string_view text = {};
};

/// One argument of an op.
struct Param {
  std::string_view name;
  ParamKind kind = ParamKind::tensor;
  Form form = Form::operand;
  /// Arguments of one op that share a domain letter must have one dtype. '\0': a domain of its own.
  char domain = '\0';
  /// The dtypes that are taken; empty for a list, a state or a block.
  DTypeSet dtypes = {};
  /// The value must be known when the program is compiled.
  bool is_const = false;
  Default def = {};
  /// The boolean argument without which this one is not written (topk's output_indices_dtype is not
  /// when return_indices is false: op_semantics); empty for most.
  std::string_view needs = {};
  /// Form::text and Form::dtype: the words that are taken, separated by one space; empty when any
  /// is.
  std::string_view choices = {};
  bool any_case = false;  ///< letter case does not matter to `choices`

  constexpr bool required() const { return def.kind == DefaultKind::required; }
  /// Apple's compiler wants every argument written out whose default is not "absent"
  /// (op_semantics: the `serialized` column).
  constexpr bool always_printed() const { return def.kind != DefaultKind::absent; }
};

/// The arguments of an op from one opset on.
struct Signature {
  Opset since;
  std::span<const Param> params;  ///< in the definition's order
};

/// How many results an op has.
enum class ResultCount : std::uint8_t {
  none,  ///< write_state
  one,
  two,
  three,
  by_inference,  ///< split, cond, while_loop, topk: the inference function says
};

/// The dtype of an op's results, as the typed DSL needs it before any inference.
enum class ResultDType : std::uint8_t {
  domain,  ///< that of the arguments whose domain is OpInfo::result_domain
  boolean,
  int32,
  parameter,  ///< named by the argument whose form is Form::dtype
  inferred,   ///< only inference knows (lists, states, blocks)
};

enum class Trait : std::uint8_t {
  none = 0,
  elementwise = 1,   ///< each result element depends on the operands' elements at its index
  commutative = 2,   ///< x and y may be exchanged
  side_effect = 4,   ///< is kept and keeps its place although no result is used
  constexpr_op = 8,  ///< evaluated when the program is compiled
  random = 16,       ///< results differ from run to run unless seeded
  no_dsl = 32,       ///< has no DSL function; OpInfo::note says why
  own_dsl = 64,      ///< its DSL function is not generated: it is in milgen/control_flow.h
};
constexpr Trait operator|(Trait a, Trait b) {
  return static_cast<Trait>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool has(Trait set, Trait one) {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0;
}

/// One row of the table.
struct OpInfo {
  OpCode code;
  std::string_view name;
  std::string_view family;   ///< the inference file that it lives in: "conv", "reduction" ...
  std::string_view summary;  ///< what it computes, in one line
  std::span<const Signature> signatures;  ///< oldest first; the last is the ios18 one
  ResultCount results = ResultCount::one;
  ResultDType result_dtype = ResultDType::domain;
  char result_domain = 'T';
  Trait traits = Trait::none;
  std::string_view note = {};  ///< for a reader of the documentation
  /// Computes the result types and reports what is wrong; null only for `const`, whose type is
  /// that of its value.
  void (*infer)(InferContext&) = nullptr;

  Opset since() const { return signatures.front().since; }
  /// Whether constants among its arguments are written in place and not as ops of their own: those
  /// of constexpr ops, and the labels of classify (mil_text_format, section 2; opset_ios18).
  constexpr bool has_inline_constants() const {
    return has(traits, Trait::constexpr_op) || code == OpCode::classify;
  }
  /// Whether a program of `opset` writes the arguments as attributes, among which `name` takes its
  /// place in the order: constexpr ops as they were before ios18 (mil_text_format, section 2).
  bool written_as_attributes(Opset opset) const;
  /// The arguments in `opset`; empty when the op is younger than that.
  std::span<const Param> params(Opset opset = Opset::ios18) const;
};

/// All ops in name order, which is the order of OpCode.
std::span<const OpInfo> op_table();
const OpInfo& op_info(OpCode code);
/// The op that MIL spells `name`; null when there is none.
const OpInfo* find_op(std::string_view name);

}  // namespace milgen
