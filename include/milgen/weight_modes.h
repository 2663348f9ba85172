// One definition, three ways for the weights to reach the engine. An author declares a weight once
// (Kernel::weight()); whether it is baked in, a parameter of the function, or packed beside the
// activations is chosen when the kernel is finished, or later.
//
//     Program baked = kernel.finish();
//     Program with_params = with_weights_as(baked, {.all = WeightsAs::param}, diagnostics);
//     std::cout << plan_text(weight_plan(with_params));   // what the host writes where
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/dtype.h"
#include "milgen/fill.h"
#include "milgen/program.h"
#include "milgen/shape.h"

namespace milgen {

enum class WeightsAs : std::uint8_t {
  constant,  ///< a BLOBFILE constant: compiled in, a change of it is another compile
  param,     ///< a parameter of the function beside the activations
  packed,    ///< columns behind the activations of an input: [1, C, 1, S + widths]
};

/// "const", "param", "packed": how the command line spells them.
std::string_view weights_as_name(WeightsAs as);
/// False for a word that is none of them.
bool weights_as_from_name(std::string_view name, WeightsAs& as);

/// What is chosen for one weight.
struct WeightChoice {
  std::string weight;
  WeightsAs as = WeightsAs::constant;
};

/// `all` is for every weight that it is possible for; the others stay constants. A weight in
/// `choices` gets what it says there, or that is an error.
struct WeightModes {
  WeightsAs all = WeightsAs::constant;
  std::vector<WeightChoice> choices = {};
};

/// The widest packed input that chips before H16 take (IO-014 in ane_constraints).
inline constexpr std::int64_t kMostPackedColumns = 16'384;

/// How a tensor lies in its input.
enum class PartLayout : std::uint8_t {
  whole,       ///< it is the input: row-major, all of it
  columns,     ///< row r of the matrix is in channel r: [rows, columns] as it is
  transposed,  ///< row r of the matrix is in column r: channel c has the matrix's column c
};

/// "whole", "columns", "transposed"
std::string_view part_layout_name(PartLayout layout);

/// A tensor that the host writes: an activation or a weight.
struct PlannedPart {
  std::string name;
  bool is_weight = false;
  DType dtype = DType::none;  ///< as declared by the author; the input's may be wider
  Shape shape;                ///< as declared by the author: [out, in, 1, 1] of a projection
  Fill fill = Fill::uniform;  ///< of a weight, as declared
  PartLayout layout = PartLayout::whole;
  /// Of the input's last axis, where the layout is not `whole`: the part's place. Those of an
  /// activation [1, C, 1, S] are 0 and S.
  std::int64_t first_column = 0;
  std::int64_t columns = 0;
};

/// An input of the program and what is in it: an activation, a weight, or an activation with
/// weights packed behind it (the activation is then its first part).
struct PlannedInput {
  std::string name;
  DType dtype = DType::none;
  Shape shape;
  std::vector<PlannedPart> parts;
};

/// What goes where: the program's inputs in declared order. States are none of them.
struct WeightPlan {
  std::vector<PlannedInput> inputs;

  /// Whether some weight is an input: a program of constants alone has a plan, too.
  bool has_weights() const;
  /// Columns of the widest input that has packed weights; 0 when none has.
  std::int64_t widest_packed() const;
};

/// The program with its weights as `modes` says: the same numbers from the same values. What the
/// author declared is not changed; a program that was lowered before is lowered from its own
/// definition again, so that modes do not pile up.
///
/// `param`: every weight becomes an input. Inputs are declared sorted by name, as the ANE binds
/// them. A conv with a weight that comes at run time is ignored by some chips (CV-001 in
/// ane_constraints), so a 1x1 conv of one group becomes matmul(x=W[1, out, in], y=x[1, in, S]) with
/// the activation reshaped; a bias is a parameter [1, out, 1, 1]. The values of a parameter are
/// those of the weight in the same order. `linear` becomes a matmul likewise. Every other op takes
/// the parameter as it took the weight. A bias is then added to a product that was rounded to its
/// dtype before, where the conv rounds once: in fp16 that is the one thing in which numbers differ.
///
/// `packed`: for the weights of 1x1 convs of one group and of linears, and for [1, out, in] and
/// [out, in] operands of matmul, whose in (layout `transposed`) or else out (layout `columns`) is C
/// of an input x: [1, C, 1, S] of the same dtype, or of fp32 for fp16 weights, which are cast
/// inside; the first declared one. x becomes [1, C, 1, S + widths]: x itself, then the weights in
/// the order of their first use. Such a matrix that fits no input stays a constant, with
/// `weights.constant` as a warning; gains, biases and everything else do so without a word. Inputs
/// are declared in the author's order.
///
/// Stays a constant in any mode, with `weights.constant` as a warning: what an op wants to be
/// constant (conv with a window or groups, norms, constexpr ops), and scalars. What is no weight
/// but a constant of the kernel's own stays one without a word. Reports `weights.unknown` for a
/// choice that names no weight, `weights.choice` for one that is not possible or contradicts
/// another, and as a warning `weights.width` for an input of more than kMostPackedColumns columns.
/// The program is false after an error. A program that is false gives one, without a report.
Program with_weights_as(const Program& program, const WeightModes& modes, Diagnostics& diagnostics);

/// How the inputs of a program are made up.
WeightPlan weight_plan(const Program& program);

/// The plan as a table that read_plan() reads: a first line `# milgen weight plan 1`, a row of
/// column names, then a row for each part, cells separated by one tab: input, its dtype, its shape,
/// part, `activation` or `weight`, dtype, shape, layout, first column, columns.
std::string plan_text(const WeightPlan& plan);
/// Reports `plan.format` with the line. What a text says is not believed: shapes, layouts and
/// columns are held against each other, parts may not overlap.
bool read_plan(std::string_view text, std::string_view file, WeightPlan& plan,
               Diagnostics& diagnostics);

}  // namespace milgen
