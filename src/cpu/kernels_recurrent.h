// Recurrent layers: which function executes which op.
#pragma once

#include "cpu/kernel.h"

namespace milgen::cpu {

bool run_gru(OpRun& run);
bool run_lstm(OpRun& run);
bool run_rnn(OpRun& run);

inline constexpr KernelRow kRecurrentKernels[] = {
    {.code = OpCode::gru, .kernel = run_gru},
    {.code = OpCode::lstm, .kernel = run_lstm},
    {.code = OpCode::rnn, .kernel = run_rnn},
};

}  // namespace milgen::cpu
