// Random values: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_random_bernoulli(OpRun& run);
bool run_random_categorical(OpRun& run);
bool run_random_normal(OpRun& run);
bool run_random_uniform(OpRun& run);

inline constexpr KernelRow kRandomKernels[] = {
    {.code = OpCode::random_bernoulli, .kernel = run_random_bernoulli},
    {.code = OpCode::random_categorical, .kernel = run_random_categorical},
    {.code = OpCode::random_normal, .kernel = run_random_normal},
    {.code = OpCode::random_uniform, .kernel = run_random_uniform},
};

}  // namespace milgen::cpu
