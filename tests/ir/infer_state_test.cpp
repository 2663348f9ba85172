// States, classify and attention.
#include "ir/infer_lines.h"

using namespace milgen;
using namespace milgen::test;

TEST_CASE("states") {
  const Line lines[] = {
      {"read_state", "input=state<fp16[2,3]>", "fp16[2,3]"},
      {"read_state", "input=fp16[2,3]", "arg.kind: input is tensor<fp16, [2, 3]> but the op takes"},
      {"write_state", "input=state<fp16[2,3]> data=fp16[2,3]", ""},
      {"write_state", "input=state<fp16[2,3]> data=fp32[2,3]",
       "state.type: data is tensor<fp32, [2, 3]> but input is state<tensor<fp16, [2, 3]>>"},
      {"coreml_update_state", "state=state<fp16[2,3]> value=fp16[2,3]", "fp16[2,3]"},
      {"coreml_update_state", "state=state<fp16[2,3]> value=fp16[2,3,1]",
       "state.type: value is tensor<fp16, [2, 3, 1]> but state is state<tensor<fp16, [2, 3]>>"},
  };
  check_lines(lines);
}

TEST_CASE("classify") {
  const Line lines[] = {
      {"classify", "probabilities=fp32[1,2] classes=#list<string,2>:a,b",
       "string dict<string,fp64>"},
      {"classify", "probabilities=fp32[s0] classes=#list<int64,2>:0,1", "int64 dict<int64,fp64>"},
      {"classify", "probabilities=fp32[3] classes=#list<string,2>:a,b",
       "classify.count: probabilities has shape [3], 3 elements, but there are 2 classes"},
      {"classify", "probabilities=fp32[2] classes=#list<fp16,2>:0,1",
       "classify.labels: classes is list<fp16, 2> but labels are string or int64"},
  };
  check_lines(lines);
}

TEST_CASE("attention") {
  const Line lines[] = {
      {"scaled_dot_product_attention",
       "query=fp16[s0,2,4,8] key=fp16[s0,2,5,8] value=fp16[s0,2,5,6] attn_mask=bool[1,1,4,5]",
       "fp16[s0,2,4,6]"},
      {"scaled_dot_product_attention",
       "query=fp16[2,4,8] key=fp16[2,5,8] value=fp16[2,5,6] attn_mask=fp16[5]", "fp16[2,4,6]"},
      {"scaled_dot_product_attention", "query=fp16[4,8] key=fp16[5,8] value=fp16[5,6]",
       "attention.rank: query has shape [4, 8] but must have rank 3 or more"},
      {"scaled_dot_product_attention", "query=fp16[2,4,8] key=fp16[1,2,5,8] value=fp16[2,5,6]",
       "attention.rank: key has shape [1, 2, 5, 8] but must have rank 3"},
      {"scaled_dot_product_attention", "query=fp16[2,3,4] key=fp16[3,5,4] value=fp16[2,5,6]",
       "attention.batch: query has shape [2, 3, 4] but key has [3, 5, 4]"},
      {"scaled_dot_product_attention", "query=fp16[2,3,4] key=fp16[2,5,3] value=fp16[2,5,6]",
       "attention.embedding: query has 4 features (shape [2, 3, 4]) but key has 3"},
      {"scaled_dot_product_attention", "query=fp16[2,3,4] key=fp16[2,5,4] value=fp16[2,4,6]",
       "attention.sequence: key has 5 positions (shape [2, 5, 4]) but value has 4"},
      {"scaled_dot_product_attention",
       "query=fp16[2,3,4] key=fp16[2,5,4] value=fp16[2,5,6] attn_mask=bool[2,4,5]",
       "attention.mask: attn_mask has shape [2, 4, 5], which does not broadcast to the scores' [2, "
       "3, 5]"},
  };
  check_lines(lines);
}
