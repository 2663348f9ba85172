#include "ir/infer_lines.h"

using namespace milgen;
using namespace milgen::test;

TEST_CASE("rnn, gru") {
  const Line lines[] = {
      {"rnn", "x=fp32[7,s0,4] initial_h=fp32[s0,5] weight_ih=%fp32[5,4] weight_hh=%fp32[5,5]",
       "fp32[1,s0,5] fp32[s0,5]", Opset::ios15},
      {"rnn",
       "x=fp16[s1,2,4] initial_h=fp16[2,5] weight_ih=%fp16[5,4] weight_hh=%fp16[5,5] "
       "bias=%fp16[5] output_sequence=bool:true",
       "fp16[s1,2,5] fp16[2,5]"},
      {"rnn", "x=fp16[3,2,4,1] initial_h=fp16[2,5] weight_ih=%fp16[5,4] weight_hh=%fp16[5,5]",
       "recurrent.rank: x has shape [3, 2, 4, 1] but must have rank 3"},
      {"rnn", "x=fp16[3,2,4] initial_h=fp16[2,5] weight_ih=%fp16[5] weight_hh=%fp16[5,5]",
       "recurrent.rank: weight_ih has shape [5] but must have rank 2"},
      {"rnn", "x=fp16[3,2,4] initial_h=fp16[7,9] weight_ih=%fp16[5,4] weight_hh=%fp16[5,5]",
       "recurrent.state: initial_h has shape [7, 9] but must have [2, 5]"},
      {"rnn", "x=fp16[3,2,4] initial_h=fp16[2,5] weight_ih=%fp16[5,9] weight_hh=%fp16[5,5]",
       "recurrent.weight: weight_ih has shape [5, 9] but must have [5, 4]"},
      {"rnn",
       "x=fp16[3,2,4] initial_h=fp16[2,5] weight_ih=%fp16[5,4] weight_hh=%fp16[5,5] "
       "direction=string:bidirectional",
       "arg.choice: direction is \"bidirectional\" but the op takes forward or reverse"},
      {"gru",
       "x=fp16[3,2,4] initial_h=fp16[2,5] weight_ih=%fp16[15,4] weight_hh=%fp16[15,5] "
       "bias=%fp16[15] input_bias=%fp16[15] activation=string:RELU",
       "fp16[1,2,5] fp16[2,5]"},
      {"gru", "x=fp16[3,2,4] initial_h=fp16[2,5] weight_ih=%fp16[15,4] weight_hh=%fp16[10,5]",
       "recurrent.weight: weight_hh has shape [10, 5] but must have [15, 5]"},
      {"gru",
       "x=fp16[3,2,4] initial_h=fp16[2,5] weight_ih=%fp16[15,4] weight_hh=%fp16[15,5] "
       "bias=%fp16[5]",
       "recurrent.bias: bias has shape [5] but must have [15]"},
  };
  check_lines(lines);
}

TEST_CASE("lstm") {
  const Line lines[] = {
      {"lstm",
       "x=fp16[s0,2,4] initial_h=fp16[2,5] initial_c=fp16[2,5] weight_ih=%fp16[20,4] "
       "weight_hh=%fp16[20,5] bias=%fp16[20] peephole=%fp16[15] output_sequence=bool:true",
       "fp16[s0,2,5] fp16[2,5] fp16[2,5]"},
      {"lstm",
       "x=fp16[3,2,4] initial_h=fp16[2,10] initial_c=fp16[2,10] weight_ih=%fp16[20,4] "
       "weight_hh=%fp16[20,5] weight_ih_back=%fp16[20,4] weight_hh_back=%fp16[20,5] "
       "direction=string:bidirectional",
       "fp16[1,2,10] fp16[2,10] fp16[2,10]"},
      {"lstm",
       "x=fp16[3,2,4] initial_h=fp16[2,10] initial_c=fp16[2,10] weight_ih=%fp16[20,4] "
       "weight_hh=%fp16[20,5] direction=string:bidirectional",
       "lstm.back: direction is bidirectional but weight_ih_back is not given"},
      {"lstm",
       "x=fp16[3,2,4] initial_h=fp16[2,5] initial_c=fp16[2,5] weight_ih=%fp16[15,4] "
       "weight_hh=%fp16[20,5]",
       "recurrent.weight: weight_ih has shape [15, 4] but must have [20, 4]"},
      {"lstm",
       "x=fp16[3,2,4] initial_h=fp16[2,5] initial_c=fp16[2,5] weight_ih=%fp16[20,4] "
       "weight_hh=%fp16[20,5] peephole=%fp16[20]",
       "recurrent.bias: peephole has shape [20] but must have [15]"},
      {"lstm",
       "x=fp16[3,2,4] initial_h=fp16[2,5] initial_c=fp16[2,6] weight_ih=%fp16[20,4] "
       "weight_hh=%fp16[20,5]",
       "recurrent.state: initial_c has shape [2, 6] but must have [2, 5]"},
      {"lstm",
       "x=fp16[3,2,4] initial_h=fp16[2,5] initial_c=fp16[2,5] weight_ih=%fp16[20,4] "
       "weight_hh=%fp16[20,5] cell_activation=string:softsign",
       "arg.choice: cell_activation is \"softsign\" but the op takes tanh, scaled_tanh"},
  };
  check_lines(lines);
}
