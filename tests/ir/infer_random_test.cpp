#include "ir/infer_lines.h"

using namespace milgen;
using namespace milgen::test;

TEST_CASE("random") {
  const Line lines[] = {
      {"random_bernoulli", "shape=int32[2]:2,3", "fp32[2,3]"},
      {"random_bernoulli", "shape=int32[2]:2,3 prob=fp16:0.25", "fp16[2,3]"},
      {"random_bernoulli", "shape=int32[s0]", "fp32[*]"},
      {"random_normal", "shape=int32[3]", "fp32[?,?,?]"},
      {"random_normal", "shape=int32[1]:4 mean=fp16:0 stddev=fp16:1", "fp16[4]"},
      {"random_normal", "shape=int32[1]:4 stddev=fp16:1",
       "random.dtype: stddev is fp16 but mean, which is left out, is fp32 by default"},
      {"random_uniform", "shape=int32[1]:4 low=fp32:-1", "fp32[4]"},
      {"random_uniform", "shape=int32[1]:4 low=fp16:-1",
       "random.dtype: low is fp16 but high, which is left out, is fp32 by default"},
      {"random_uniform", "shape=int32[1]:-4",
       "random.shape: shape[0] is -4 but a dim is 0 or more"},
      {"random_uniform", "shape=int32:4", "random.shape: shape has shape [] but must have rank 1"},
      {"random_categorical", "x=fp16[s0,9] size=int32:3 mode=string:probs", "fp16[s0,3]"},
      {"random_categorical", "x=fp16[s0,9]", "fp16[s0,1]"},
      {"random_categorical", "x=fp16",
       "random_categorical.rank: x has shape [] but must have rank 1"},
      {"random_categorical", "x=fp16[9] size=int32:0",
       "random_categorical.size: size is 0 but must be 1 or more"},
  };
  check_lines(lines);
}
