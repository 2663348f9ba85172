// The op set of the segmenter's dumps.
#include <doctest/doctest.h>

#include <string>

#include "ir/infer_lines.h"
#include "ir/segmenter_ops.h"
#include "milgen/op_info.h"

using namespace milgen;
using namespace milgen::test;

TEST_CASE("tensor_buffer_to_tensor, tensor_to_tensor_buffer") {
  constexpr Line kLines[] = {
      {"tensor_buffer_to_tensor", "input=buffer<fp16[1,8,4];32,4,1;1,1,1>", "fp16[1,8,4]"},
      {"tensor_buffer_to_tensor", "input=buffer<int8;;>", "int8"},
      {"tensor_buffer_to_tensor", "input=fp16[1,8]",
       "arg.kind: input is tensor<fp16, [1, 8]> but the op takes a tensor_buffer there"},
      {"tensor_buffer_to_tensor", "", "arg.missing: argument input is required but missing"},
      {"tensor_buffer_to_tensor", "input=buffer<fp16[2];1;1> strides=int64[1]:1",
       "arg.unknown: there is no argument strides"},
      {"tensor_buffer_to_tensor", "input=buffer<fp16[2];1;1>",
       "op.opset: the op exists from ios17 on but the program is ios16", Opset::ios16},
      {"tensor_to_tensor_buffer",
       "input=fp16[2,3] strides=int64[2]:64,1 interleave_factors=uint8[2]:1,1",
       "buffer<fp16[2,3];64,1;1,1>"},
      {"tensor_to_tensor_buffer",
       "input=uint8[s0,3] strides=int64[2]:0,1 interleave_factors=uint8[2]:4,1",
       "buffer<uint8[s0,3];0,1;4,1>", Opset::ios17},
      {"tensor_to_tensor_buffer",
       "input=fp16[2,3] strides=int64[1]:64 interleave_factors=uint8[3]:1",
       "tensor_buffer.length: strides has 1 entries but input has shape [2, 3]"},
      {"tensor_to_tensor_buffer",
       "input=fp16[2,3] strides=int64[1]:64 interleave_factors=uint8[3]:1",
       "tensor_buffer.length: interleave_factors has 3 entries but input has shape [2, 3]"},
      {"tensor_to_tensor_buffer",
       "input=fp16[2,3] strides=int64[2]:-64,1 interleave_factors=uint8[2]:1",
       "tensor_buffer.value: strides[0] is -64 but must be 0 or more"},
      {"tensor_to_tensor_buffer",
       "input=fp16[2,3] strides=int64[2]:64,1 interleave_factors=uint8[2]:1,0",
       "tensor_buffer.value: interleave_factors[1] is 0 but must be 1 or more"},
      {"tensor_to_tensor_buffer",
       "input=fp16[2,3] strides=int64[2] interleave_factors=uint8[2]:1,1",
       "arg.const: strides is a run-time value but must be known when the program is compiled"},
      {"tensor_to_tensor_buffer",
       "input=fp16[2,3] strides=fp32[2]:1 interleave_factors=uint8[2]:1,1",
       "arg.dtype: strides is tensor<fp32, [2]> but the op takes"},
      {"tensor_to_tensor_buffer",
       "input=buffer<fp16[2];1;1> strides=int64[1]:1 interleave_factors=uint8[1]:1",
       "arg.kind: input is tensor_buffer<fp16, shape=[2], strides=[1], interleave_factors=[1]> but "
       "the op takes a tensor there"},
  };
  check_lines(kLines);
}

TEST_CASE("the ops of dumps stand beside the opset") {
  for (const OpInfo& op : segmenter_op_table()) {
    CHECK(find_segmenter_op(op.name) == &op);
    CHECK(find_op(op.name) == nullptr);
    CHECK(static_cast<int>(op.code) >= kOpCount);
  }
  CHECK(find_segmenter_op("relu") == nullptr);
}

TEST_CASE("a buffer goes into no op of the opset but identity") {
  constexpr Line kLines[] = {
      {"relu", "x=buffer<fp16[2];1;1>", "arg.kind: > but the op takes a tensor there"},
      {"identity", "x=buffer<fp16[2];1;1>", "buffer<fp16[2];1;1>"},
  };
  check_lines(kLines);
}

TEST_CASE("a buffer as a message spells it") {
  OwnedType type;
  type.kind = TypeKind::tensor_buffer;
  type.dtype = DType::fp16;
  type.shape = Shape{1, 8};
  CHECK(to_string(type.view()) == "tensor_buffer<fp16, shape=[1, 8]>");
  type.strides = Ints{64, 1};
  type.interleave_factors = Ints{1, 1};
  CHECK(to_string(type.view()) ==
        "tensor_buffer<fp16, shape=[1, 8], strides=[64, 1], interleave_factors=[1, 1]>");
}
