// Reductions: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_reduce_argmax(OpRun& run);
bool run_reduce_argmin(OpRun& run);
bool run_reduce_l1_norm(OpRun& run);
bool run_reduce_l2_norm(OpRun& run);
bool run_reduce_log_sum(OpRun& run);
bool run_reduce_log_sum_exp(OpRun& run);
bool run_reduce_max(OpRun& run);
bool run_reduce_mean(OpRun& run);
bool run_reduce_min(OpRun& run);
bool run_reduce_prod(OpRun& run);
bool run_reduce_sum(OpRun& run);
bool run_reduce_sum_square(OpRun& run);

inline constexpr KernelRow kReductionKernels[] = {
    {.code = OpCode::reduce_argmax, .kernel = run_reduce_argmax},
    {.code = OpCode::reduce_argmin, .kernel = run_reduce_argmin},
    {.code = OpCode::reduce_l1_norm, .kernel = run_reduce_l1_norm},
    {.code = OpCode::reduce_l2_norm, .kernel = run_reduce_l2_norm},
    {.code = OpCode::reduce_log_sum, .kernel = run_reduce_log_sum},
    {.code = OpCode::reduce_log_sum_exp, .kernel = run_reduce_log_sum_exp},
    {.code = OpCode::reduce_max, .kernel = run_reduce_max},
    {.code = OpCode::reduce_mean, .kernel = run_reduce_mean},
    {.code = OpCode::reduce_min, .kernel = run_reduce_min},
    {.code = OpCode::reduce_prod, .kernel = run_reduce_prod},
    {.code = OpCode::reduce_sum, .kernel = run_reduce_sum},
    {.code = OpCode::reduce_sum_square, .kernel = run_reduce_sum_square},
};

}  // namespace milgen::cpu
