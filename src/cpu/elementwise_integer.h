// Elementwise ops on int32.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

/// Runs the op of `run`, one of those elementwise ops that take int32, on it. A divisor of 0 is
/// reported as run.division.
bool run_integers(OpRun& run);

}  // namespace milgen::cpu
