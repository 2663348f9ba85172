// Steps that run as one, or in a way that is prepared when a plan is made.
#pragma once

#include "cpu/executor.h"
#include "cpu/plan.h"

namespace milgen::cpu {

/// Finds groups among the steps of the body: products with constants that are packed ahead,
/// products of transposed matrices without the transposition, and chains of elementwise ops. In
/// NumericMode::exact a group gives the bits that its steps give one by one.
///
/// `shapes` runs on a frame whose slots have the shapes of the plan, and values where those are
/// constants. Linear in the steps.
void make_groups(Plan& plan, Runner& shapes);

}  // namespace milgen::cpu
