#include "ir/infer_lines.h"

using namespace milgen;
using namespace milgen::test;

TEST_CASE("cond") {
  const Line lines[] = {
      {"cond", "pred=bool out0=(fp16[2,s0] int32) out1=(fp16[2,s0] int32)", "fp16[2,s0] int32"},
      {"cond", "pred=bool out0=(list<fp16[2],3>) out1=(list<fp16[2],3>)", "list<fp16[2],3>"},
      {"cond", "pred=bool[2] out0=(fp16) out1=(fp16)",
       "cond.pred: pred has shape [2] but must have"},
      {"cond", "pred=bool out0=(fp16)", "block.count: the op has 1 blocks but takes 2"},
      {"cond", "pred=bool out0=(fp16 fp16) out1=(fp16)",
       "cond.count: the block for true gives 2 values and that for false 1"},
      {"cond", "pred=bool out0=(fp16[1,5]) out1=(fp16[5])",
       "cond.type: value 0 is tensor<fp16, [1, 5]> in the block for true but tensor<fp16, [5]>"},
      {"cond", "pred=bool out0=(fp16[5]) out1=(fp32[5])",
       "cond.type: value 0 is tensor<fp16, [5]> in the block for true but tensor<fp32, [5]>"},
      {"cond", "pred=bool out0=(state<fp16[5]>) out1=(state<fp16[5]>)",
       "cond.type: value 0 is state<tensor<fp16, [5]>> but a block gives tensors and lists"},
  };
  check_lines(lines);
}

TEST_CASE("while_loop") {
  const Line lines[] = {
      {"while_loop",
       "loop_vars=(int32 fp16[3,4]) in0=(int32 fp16[3,4]) out0=(bool) in1=(int32 fp16[3,4]) "
       "out1=(int32 fp16[3,5])",
       "int32 fp16[3,?]"},
      {"while_loop",
       "loop_vars=(list<fp16[2],?>) in0=(list<fp16[2],?>) out0=(bool) in1=(list<fp16[2],?>) "
       "out1=(list<fp16[2],?>)",
       "list<fp16[2],?>"},
      {"while_loop", "loop_vars=(int32) in0=(int32) out0=(bool)",
       "block.count: the op has 1 blocks but takes 2"},
      {"while_loop", "loop_vars=(int32) in0=(int32 int32) out0=(bool) in1=(int32) out1=(int32)",
       "while_loop.count: block 0 takes 2 values but there are 1 loop_vars"},
      {"while_loop", "loop_vars=(int32) in0=(int32) out0=(bool) in1=(int32) out1=(int32 int32)",
       "while_loop.count: the body gives 2 values but there are 1 loop_vars"},
      {"while_loop", "loop_vars=(int32) in0=(fp16) out0=(bool) in1=(int32) out1=(int32)",
       "while_loop.input: loop_vars[0] is int32 but block 0 takes fp16"},
      {"while_loop", "loop_vars=(int32) in0=(int32) out0=(int32) in1=(int32) out1=(int32)",
       "while_loop.condition: the condition is int32 but must be bool"},
      {"while_loop", "loop_vars=(int32) in0=(int32) out0=(bool bool) in1=(int32) out1=(int32)",
       "while_loop.condition: the condition block gives 2 values but must give 1 bool"},
      {"while_loop", "loop_vars=(int32) in0=(int32) out0=(bool) in1=(int32) out1=(fp32)",
       "while_loop.type: loop_vars[0] is int32 but the body makes it fp32"},
      {"while_loop", "loop_vars=(fp16[2]) in0=(fp16[2]) out0=(bool) in1=(fp16[2]) out1=(fp16[1,2])",
       "while_loop.type: loop_vars[0] is tensor<fp16, [2]> but the body makes it tensor<fp16"},
  };
  check_lines(lines);
}

TEST_CASE("lists") {
  const Line lines[] = {
      {"make_list", "elem_shape=(int32:2 int32:3)", "list<fp32[2,3],?>"},
      {"make_list",
       "elem_shape=(int32:2 string:batch ) init_length=int32:6 dynamic_length=bool:false "
       "dtype=string:fp16",
       "list<fp16[2,?],6>"},
      {"make_list", "elem_shape=() init_length=int32 dynamic_length=bool:false", "list<fp32,?>"},
      {"make_list", "elem_shape=(int32:1 int32:1 int32:1 int32:1 int32:1)",
       "make_list.rank: elem_shape has 5 entries but elements have at most rank 4"},
      {"make_list", "elem_shape=(int32)",
       "make_list.shape: elem_shape[0] is a run-time value but must be a constant int32"},
      {"make_list", "elem_shape=(int32:-2)",
       "make_list.shape: elem_shape[0] is -2 but a dim is 0 or more"},
      {"make_list", "elem_shape=(int32:2) init_length=int32:-1",
       "make_list.length: init_length is -1 but must be 0 or more"},
      {"make_list", "elem_shape=(int32:2) dtype=string:float", "arg.choice: dtype is \"float\""},
      {"list_length", "ls=list<fp16[2],3>", "int32"},
      {"list_length", "ls=fp16[2]", "arg.kind: ls is tensor<fp16, [2]> but the op takes a list"},
      {"list_read", "ls=list<fp16[2,s0],?> index=int32", "fp16[2,s0]"},
      {"list_write", "ls=list<fp16[2,?],3> index=int32:0 value=fp16[2,7]", "list<fp16[2,?],3>"},
      {"list_write", "ls=list<fp16[2],3> index=int32:0 value=fp32[2]",
       "list_write.element: value gives elements of tensor<fp32, [2]> but ls holds tensor<fp16"},
      {"list_gather", "ls=list<fp16[2],3> indices=int32[4]", "fp16[4,2]"},
      {"list_gather", "ls=list<fp16[2],3> indices=int32",
       "list_gather.indices: indices has shape [] but must have rank 1"},
      {"list_scatter", "ls=list<fp16[2],3> indices=int32[2] value=fp16[2,2]", "list<fp16[2],3>"},
      {"list_scatter", "ls=list<fp16[2],3> indices=int32[1,2] value=fp16[2,2]",
       "list_scatter.indices: indices has shape [1, 2] but must have rank 1"},
      {"list_scatter", "ls=list<fp16[2],3> indices=int32[2] value=fp16[3,2]",
       "list_scatter.count: value has shape [3, 2] but its first dim must be 2, the length of"},
      {"list_scatter", "ls=list<fp16[2],3> indices=int32[2] value=fp16[2,4]",
       "list_scatter.element: value gives elements of tensor<fp16, [4]> but ls holds tensor<fp16, "
       "[2]>"},
  };
  check_lines(lines);
}
