// What is right for milgen and may be wrong for other hosts of the same program.
#pragma once

#include "ane/model_state.h"
#include "milgen/diagnostic.h"
#include "milgen/module.h"

namespace milgen::ane {

/// Warns of names that do not sort in declared order (`ane.order`, once for inputs and once for
/// outputs) and of rows that are no multiple of 64 bytes (`ane.pitch`), each at its place
/// (ane_runtime, 4.0; IO-001, IO-004 and IO-005 in ane_constraints).
void lint(const mil::Function& function, const Declaration& declaration, Diagnostics& diagnostics);

}  // namespace milgen::ane
