// Where the values of a plan stand in memory.
#pragma once

#include "cpu/plan.h"
#include "milgen/diagnostic.h"

namespace milgen::cpu {

/// Gives every value whose shape is known, and that a step of the body makes, its place: in the
/// array of an output where it becomes one, otherwise in the arena, where values that are not alive
/// at the same time share memory. Without `in_place` no result takes the place of an argument, so
/// that both can be looked at behind the step. Reports `memory.limit` for sizes that do not fit in
/// 63 bits, and where more is alive at one time than `limit_bytes`.
///
/// Costs n log n in the number of values.
bool plan_memory(Plan& plan, bool in_place, std::uint64_t limit_bytes, Diagnostics& diagnostics);

}  // namespace milgen::cpu
