// Chains of elementwise ops as groups.
#pragma once

#include "cpu/executor.h"
#include "cpu/plan.h"

namespace milgen::cpu {

/// Makes groups of elementwise steps on floats that feed each other and have results of one shape:
/// each is one tape, which passes over memory once.
void make_tape_groups(Plan& plan, Runner& shapes);

}  // namespace milgen::cpu
