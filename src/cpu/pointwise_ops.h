// The elementwise ops and activations of MIL as steps of a tape.
#pragma once

#include <string_view>

#include "cpu/kernel.h"
#include "cpu/pointwise.h"

namespace milgen::cpu {

/// The step that an op on floats is, and the names of the arguments that are its constants (empty:
/// it has none).
struct PointRow {
  OpCode code;
  PointOp op;
  std::string_view alpha = {};
  std::string_view beta = {};
};

/// The row of an op; null for one that is no step. gelu's is that of its mode EXACT: see
/// gelu_step().
const PointRow* point_row(OpCode code);

/// The step of gelu with this mode.
PointOp gelu_step(std::string_view mode);

/// The value of an argument that was left out: defaults are numbers of x's dtype, in which an
/// epsilon may be 0 (op_semantics, "defaults").
float point_default(double value, DType x);

/// The step that a run of an op is, with the values of its constants.
struct PointStep {
  PointOp op;
  float alpha = 0;
  float beta = 0;
};

/// Reads attributes alone; of an op that has a row.
PointStep point_step(const OpRun& run);

/// What a step of an op with this result dtype rounds to.
Rounding rounding_of(DType dtype);

/// Runs the op of `run` as a tape of one step: one that has a row, on floats or bools.
bool run_pointwise(OpRun& run);

}  // namespace milgen::cpu
