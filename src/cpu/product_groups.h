// Matrix products as groups.
#pragma once

#include "cpu/executor.h"
#include "cpu/plan.h"

namespace milgen::cpu {

/// Makes groups of conv, linear and matmul steps: those with a constant operand, which is packed,
/// and those of matrices that a step before or behind them transposes. A transposition that nothing
/// else needs is left out.
void make_product_groups(Plan& plan, Runner& shapes);

}  // namespace milgen::cpu
