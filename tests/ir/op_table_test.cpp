// The op table: its lookups, and every error of the families that stand in the first half of it.
// One line each: op, arguments, and the result types or the error with a part of its sentence.
// infer_cases.h explains the notation.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "ir/infer_cases.h"
#include "milgen/op_info.h"
#include "support/diagnostic_ids.h"

using namespace milgen;
using namespace milgen::test;

namespace {

struct Case {
  const char* op;
  const char* arguments;
  const char* expected;
  Opset opset = Opset::ios18;
};

void check(std::span<const Case> cases) {
  for (const Case& c : cases) {
    std::string why;
    if (!as_expected(infer_line(c.op, c.arguments, c.opset), c.expected, why)) {
      FAIL_CHECK(fmt::format("{} {}\n  wants {}\n  but   {}", c.op, c.arguments, c.expected, why));
    }
  }
}

constexpr Opset kIos15 = Opset::ios15;
constexpr Opset kIos16 = Opset::ios16;
constexpr Opset kIos17 = Opset::ios17;

// --- What the table itself forbids. ---

constexpr Case kTableRules[] = {
    {"quantize", "input=fp16[2] scale=fp16:1 output_dtype=string:int8",
     "op.opset: quantize: the op exists from ios17 on but the program is ios16", kIos16},
    {"add", "x=fp16[2]", "arg.missing: add: argument y is required but missing"},
    {"concat", "axis=int32:0", "arg.missing: concat: argument values is required but missing"},
    {"make_list", "dtype=string:fp16", "arg.missing: argument elem_shape is required"},
    {"make_list", "elem_shape=()", "list<fp32,?>"},
    {"relu", "x=fp16[2] y=fp16[2]", "arg.unknown: relu: there is no argument y"},
    {"relu", "x=int32[2]",
     "arg.dtype: x is tensor<int32, [2]> but the op takes fp16 or fp32 there"},
    {"softmax", "x=fp16[2] axis=fp32:1", "arg.dtype: axis is fp32 but the op takes int32 there"},
    {"relu", "x=state<fp16[2]>",
     "arg.kind: x is state<tensor<fp16, [2]>> but the op takes a tensor there"},
    {"list_length", "ls=fp16[2]",
     "arg.kind: ls is tensor<fp16, [2]> but the op takes a list there"},
    {"read_state", "input=list<fp16[2],3>",
     "arg.kind: input is list<tensor<fp16, [2]>, 3> but the op takes a state there"},
    {"mul", "x=fp16[2] y=fp32[2]",
     "arg.domain: y is fp32 but x is fp16, and both must have one dtype"},
    {"concat", "values=(fp16[2] fp32[2]) axis=int32:0",
     "arg.domain: values[1] is fp32 but values[0] is fp16"},
    {"softmax", "x=fp16[2] axis=int32",
     "arg.const: axis is a run-time value but must be known when the program is compiled"},
    {"linear", "x=fp16[2] weight=fp16[2,2]", "arg.const: weight is a run-time value"},
    {"softmax", "x=fp16[2] axis=%int32", "arg.value: axis"},
    {"softmax", "x=fp16[2] axis=int32[1]:0",
     "arg.rank: axis has shape [1] but the op takes a scalar there"},
    {"reduce_sum", "x=fp16[2] axes=int32:0",
     "arg.rank: axes has shape [] but the op takes a list of rank 1 there"},
    {"conv", "x=fp16[1,2,3] weight=%fp16[1,2,1] pad_type=string:sme",
     "arg.choice: pad_type is \"sme\" but the op takes valid, custom, same or same_lower; did you "
     "mean same?"},
    {"conv", "x=fp16[1,2,3] weight=%fp16[1,2,1] pad_type=string:full",
     "arg.choice: pad_type is \"full\" but the op takes valid, custom, same or same_lower"},
    {"cast", "x=fp16[2] dtype=string:int8",
     "arg.choice: dtype is \"int8\" but the op takes fp16, fp32, int32 or bool", kIos16},
    // Until ios17 parameters have the dtype of x.
    {"elu", "x=fp16[2] alpha=fp32:1", "arg.domain: alpha is fp32 but x is fp16", kIos16},
    {"elu", "x=fp16[2] alpha=fp32:1", "fp16[2]", kIos17},
    {"gather", "x=fp16[2] indices=int32[1] batch_dims=int32:0",
     "arg.unknown: there is no argument batch_dims", kIos15},
};

// --- Elementwise functions and activations. ---

constexpr Case kElementwise[] = {
    {"add", "x=fp16[s0,1] y=fp16[1,s1]", "fp16[s0,s1]"},
    {"add", "x=fp16[s0] y=fp16[s1]", "fp16[?]"},
    {"add", "x=fp16[s0] y=fp16[4]", "fp16[4]"},
    {"add", "x=fp16[s0] y=fp16[1]", "fp16[s0]"},
    {"add", "x=fp16 y=fp16", "fp16"},
    {"add", "x=fp16[0] y=fp16[1]", "fp16[0]"},
    {"add", "x=fp16[2,3] y=fp16[2,4]",
     "broadcast.shapes: add: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"select", "cond=bool a=fp16[2] b=fp16[3]",
     "broadcast.shapes: a has shape [2] and b has shape [3]"},
    {"select", "cond=bool[4] a=fp16[2] b=fp16[2]",
     "broadcast.shapes: cond has shape [4], which does not broadcast with [2]"},
    {"clip", "x=fp16[2] alpha=fp16:2 beta=fp16:1",
     "clip.range: clip: alpha is 2 but must be less than beta, which is 1"},
    {"clip", "x=fp16[2] alpha=fp16:1 beta=fp16:1", "clip.range: alpha is 1"},
    {"clip", "x=fp16[2] alpha=fp16:1 beta=fp16:1", "fp16[2]", kIos16},
    {"prelu", "x=fp16[1,3] alpha=%fp16[3]",
     "prelu.rank: x has shape [1, 3] but must have rank 3, 4 or 5"},
    {"prelu", "x=fp16[1,3,4] alpha=%fp16[2]",
     "prelu.alpha: alpha has shape [2] but must be one value for each of the 3 channels"},
    {"prelu", "x=fp16[1,s0,4] alpha=fp16[2]:0.5", "fp16[1,s0,4]"},
    {"prelu", "x=fp16[1,3,4] alpha=fp16[3]:0.5,0.5,0.25",
     "prelu.slopes: alpha holds 0.5 and 0.25, but with x of rank 3 all slopes must be equal"},
    {"softplus_parametric", "x=fp16[1,3] alpha=%fp16[3] beta=%fp16[3]",
     "softplus_parametric.rank: x has shape [1, 3] but must have rank 3 or more"},
    {"softplus_parametric", "x=fp16[1,3,4] alpha=%fp16[3] beta=%fp16[3,1]",
     "softplus_parametric.channels: beta has shape [3, 1] but must be one value for each"},
    {"softmax", "x=fp16[2,3] axis=int32:2",
     "softmax.axis: axis is 2 but must lie in [-2, 2) for rank 2"},
};

// --- Reductions and matrix products. ---

constexpr Case kReductions[] = {
    {"reduce_sum", "x=fp16[2,3] axes=int32[2]:0,2",
     "reduce.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"reduce_argmax", "x=fp16[2,3] axis=int32:-3",
     "reduce.axis: axis is -3 but must lie in [-2, 2) for rank 2"},
    {"reduce_argmax", "x=fp16[2,3]", "int32[2]", kIos15},
    {"reduce_sum", "x=fp16[2,3] axes=int32[2]:1,-1",
     "reduce.repeated: axes is [1, -1], which names dim 1 twice"},
    {"reduce_sum",
     "x=fp16[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
     "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
     "reduce.rank: x has rank 65, which is more than 64"},
};

constexpr Case kProducts[] = {
    {"linear", "x=fp16[1,2,3,4] weight=%fp16[3,4]", "fp16[1,2,3,3]"},
    {"linear", "x=fp16 weight=%fp16[3,4]",
     "linear.rank: x has shape [] but must have rank 1 or more"},
    {"linear", "x=fp16[4] weight=%fp16[4]",
     "linear.weight: weight has shape [4] but must have rank 2"},
    {"linear", "x=fp16[2,5] weight=%fp16[3,4]",
     "linear.features: x [2, 5] has 5 features but weight [3, 4] takes 4"},
    {"linear", "x=fp16[2,4] weight=%fp16[3,4] bias=%fp16[4]",
     "linear.bias: bias has shape [4] but weight [3, 4] takes [3]"},
    {"linear", "x=fp16[2,4] weight=%fp32[3,4]", "fp16[2,3]"},
    {"linear", "x=fp16[2,4] weight=%fp32[3,4]", "arg.domain: weight is fp32 but x is fp16", kIos16},
    {"matmul", "x=fp16[4] y=fp16[4]", "fp16"},
    {"matmul", "x=fp16[4] y=fp16[2,4,3]", "fp16[2,3]"},
    {"matmul", "x=fp16[2,3,4] y=fp16[4]", "fp16[2,3]"},
    {"matmul", "x=fp16[s0,4] y=fp16[s1,5]", "fp16[s0,5]"},
    {"matmul", "x=%fp32[3,4] y=fp16[4,5]", "fp16[3,5]"},
    {"matmul", "x=fp16[3,4] y=%fp32[4,5]", "fp16[3,5]"},
    {"matmul", "x=fp16[3,4] y=fp32[4,5]",
     "matmul.dtype: x is fp16 and y is fp32, but dtypes differ only between a constant and a "
     "run-time value"},
    {"matmul", "x=%fp16[3,4] y=%fp32[4,5]", "matmul.dtype: x is fp16 and y is fp32"},
    {"matmul", "x=fp16[3,4] y=%fp32[4,5]", "arg.domain: y is fp32 but x is fp16", kIos16},
    {"matmul", "x=fp16 y=fp16[4]", "matmul.rank: x is a scalar but must have rank 1 or more"},
    {"matmul", "x=fp16[4] y=fp16[4] transpose_x=bool:true",
     "matmul.transpose: transpose_x is true but x has shape [4], and a vector has no transpose"},
    {"matmul", "x=fp16[2,3] y=fp16[3,5] transpose_y=bool:true",
     "matmul.inner: x [2, 3] has 3 columns but y [3, 5] (transposed) has 5 rows"},
    {"matmul", "x=fp16[2,3,4] y=fp16[3,4,5]",
     "matmul.batch: x [2, 3, 4] and y [3, 4, 5] have batch dims [2] and [3]"},
    {"einsum", "values=(fp16[2,1,5] fp16[5,4,6]) equation=string:chw,whr->chr", "fp16[2,4,6]"},
    {"einsum", "values=(fp16[2,3]) equation=string:chw,whr->chr",
     "einsum.count: 1 values are given but the op takes 2"},
    {"einsum", "values=(fp16[2,3] fp16[3,4]) equation=string:ij,jk->ik",
     "einsum.equation: equation is \"ij,jk->ik\" but must be nchw,nwhu->nchu or chw,whr->chr"},
    {"einsum", "values=(fp16[2,3,4] fp16[4,3,2]) equation=string:aaa,aaa->aaa",
     "einsum.equation: equation is \"aaa,aaa->aaa\""},
    {"einsum", "values=(fp16[2,3,4] fp16[4,3,2]) equation=string:nchw,nwhu->nchu",
     "einsum.rank: values have shapes [2, 3, 4] and [4, 3, 2] but nchw,nwhu->nchu takes rank 4"},
    {"einsum", "values=(fp16[2,3,4] fp16[5,3,2]) equation=string:chw,whr->chr",
     "einsum.contraction: values have shapes [2, 3, 4] and [5, 3, 2], and the dims 4 and 5"},
    {"einsum", "values=(fp16[2,3,4] fp16[4,5,2]) equation=string:chw,whr->chr",
     "einsum.batch: values have shapes [2, 3, 4] and [4, 5, 2], and the dims 3 and 5"},
};

// --- Convolution and pooling. ---

constexpr Case kWindows[] = {
    {"conv", "x=fp16[s0,4,s1,8] weight=%fp16[2,4,3,3]", "fp16[s0,2,?,6]"},
    {"conv", "x=fp16[1,4,10] weight=%fp16[2,4,3] strides=int32[1]:2 dilations=int32[1]:2",
     "fp16[1,2,3]"},
    {"conv", "x=fp16[1,1,5,6,7] weight=%fp16[1,1,2,2,2] pad_type=string:same_lower",
     "fp16[1,1,5,6,7]", kIos16},
    {"conv", "x=fp16[1,4,8] weight=%fp16[2,4,3] pad_type=string:custom pad=int32[2]:1,2",
     "fp16[1,2,9]"},
    {"conv", "x=fp16[4,8] weight=%fp16[2,4]",
     "conv.rank: x has shape [4, 8] but must have rank 3, 4 or 5"},
    {"conv", "x=fp16[1,4,8,8] weight=%fp16[2,4,3]",
     "conv.rank: weight has shape [2, 4, 3] but must have the rank of x [1, 4, 8, 8]"},
    {"conv", "x=fp16[1,4,8,8] weight=%fp16[2,4,3,3] strides=int32[1]:2",
     "conv.length: strides has 1 entries but x [1, 4, 8, 8] has 2 spatial dims, which take 2"},
    {"conv", "x=fp16[1,4,8,8] weight=%fp16[2,4,3,3] pad=int32[2]:2,2",
     "conv.length: pad has 2 entries but x [1, 4, 8, 8] has 2 spatial dims, which take 4"},
    {"conv", "x=fp16[1,4,8] weight=%fp16[2,4,3] strides=int32[1]:0",
     "conv.value: strides holds 0 but takes 1 or more"},
    {"conv", "x=fp16[1,4,8] weight=%fp16[2,4,0]", "conv.value: weight has shape [2, 4, 0]"},
    {"conv", "x=fp16[1,4,8] weight=%fp16[2,4,3] groups=int32:0",
     "conv.groups: groups is 0 but must be 1 or more"},
    {"conv", "x=fp16[1,4,8] weight=%fp16[3,1,3] groups=int32:3",
     "conv.groups: groups is 3, which does not divide the 4 channels of x [1, 4, 8]"},
    {"conv", "x=fp16[1,4,8] weight=%fp16[3,2,3] groups=int32:2",
     "conv.groups: groups is 2, which does not divide the 3 channels of weight [3, 2, 3]"},
    {"conv", "x=fp16[1,768,1,256] weight=%fp16[768,384,1,1]",
     "conv.channels: conv: x has 768 channels but weight [768, 384, 1, 1] with groups = 1 takes "
     "384"},
    {"conv", "x=fp16[1,4,8] weight=%fp16[2,4,3] bias=%fp16[3]",
     "conv.bias: bias has shape [3] but weight [2, 4, 3] with groups = 1 takes [2]"},
    {"conv", "x=fp16[1,4,8] weight=%fp16[2,4,9]",
     "conv.output: spatial dim 0 of x [1, 4, 8] with a kernel of 9, dilation 1, stride 1 and "
     "padding 0 and 0 leaves 0 elements"},
    {"conv", "x=fp16[1,4,8] weight=fp16[2,4,3] dilations=int32[1]:2",
     "conv.dynamic_weight: dilations holds 2 but weight is a run-time value"},
    {"conv", "x=fp16[1,4,8] weight=%fp16[2,4,3] pad_type=string:same_lower",
     "conv.same_lower: pad_type is same_lower, which exists from ios16 on", kIos15},
    {"conv",
     "x=fp16[1,1,9223372036854775807] weight=%fp16[1,1,1] pad_type=string:same "
     "strides=int32[1]:2",
     "shape.overflow: the size of spatial dim 0 does not fit in 63 bits"},
    {"conv", "x=fp16[1,1,8] weight=%fp16[1,1,9223372036854775807] dilations=int32[1]:3",
     "shape.overflow: the size of spatial dim 0 does not fit in 63 bits"},
    {"conv_transpose",
     "x=fp16[1,4,5] weight=%fp16[4,3,3] groups=int32:2 pad_type=string:custom pad=int32[2]:1,1",
     "fp16[1,6,5]"},
    {"conv_transpose", "x=fp16[1,4,5] weight=%fp16[4,3,3] strides=int32[1]:2 pad_type=string:same",
     "fp16[1,3,10]"},
    {"conv_transpose", "x=fp16[s0,4,s1,s2] weight=%fp16[4,3,1,2]", "fp16[s0,3,s1,?]"},
    {"conv_transpose", "x=fp16[1,4,5] weight=%fp16[4,3,3] output_shape=int32[3]:1,3,9",
     "fp16[1,3,9]"},
    {"conv_transpose", "x=fp16[1,4,5] weight=%fp16[3,3,3]",
     "conv.channels: conv_transpose: x has 4 channels but weight [3, 3, 3] takes 3"},
    {"conv_transpose", "x=fp16[1,4,5] weight=%fp16[4,3,3] output_shape=int32[3]:1,4,9",
     "conv_transpose.output_shape: output_shape is [1, 4, 9] but the result has rank 3, 1 dims of "
     "at least 1 and begins with [1, 3]"},
    {"conv_transpose", "x=fp16[1,4,2] weight=%fp16[4,3,1] pad_type=string:custom pad=int32[2]:1,1",
     "conv.output: leaves 0 elements"},
    {"avg_pool",
     "x=fp16[1,2,s0,7] kernel_sizes=int32[2]:2,3 strides=int32[2]:2,2 pad_type=string:SAME",
     "fp16[1,2,?,4]"},
    {"max_pool",
     "x=fp16[1,1,4] kernel_sizes=int32[1]:2 strides=int32[1]:3 pad_type=string:custom "
     "pad=int32[2]:1,1 ceil_mode=bool:true",
     "fp16[1,1,2]"},
    {"max_pool", "x=fp16[2,3] kernel_sizes=int32[1]:2 pad_type=string:valid",
     "pool.rank: x has shape [2, 3] but must have rank 3, 4 or 5"},
    {"l2_pool", "x=fp16[1,2,6,6,6] kernel_sizes=int32[3]:2,2,2 pad_type=string:valid",
     "pool.rank: x has shape [1, 2, 6, 6, 6] but must have rank 3 or 4"},
    {"max_pool", "x=fp16[1,2,6] kernel_sizes=int32[2]:2,2 pad_type=string:valid",
     "pool.length: kernel_sizes has 2 entries but x [1, 2, 6] has 1 spatial dims, which take 1"},
    {"max_pool", "x=fp16[1,2,6] kernel_sizes=int32[1]:0 pad_type=string:valid",
     "pool.value: kernel_sizes holds 0 but takes 1 or more"},
    {"max_pool", "x=fp16[1,2,6] kernel_sizes=int32[1]:7 pad_type=string:valid",
     "pool.output: spatial dim 0 of x [1, 2, 6] with a kernel of 7"},
    {"max_pool", "x=fp16[1,2,6] kernel_sizes=int32[1]:2 pad_type=string:same_lower",
     "pool.same_lower: pad_type is same_lower, which exists from ios16 on", kIos15},
    {"max_pool", "x=fp16[1,2,6] kernel_sizes=int32[1]:2 pad_type=string:same ceil_mode=bool:true",
     "pool.ceil_mode: ceil_mode is true but pad_type is same"},
    {"max_pool",
     "x=fp16[1,2,6] kernel_sizes=int32[1]:2 pad_type=string:custom pad=int32[2]:0,1 "
     "ceil_mode=bool:true",
     "pool.ceil_mode: ceil_mode is true but pad has 0 before and 1 after spatial dim 0"},
    {"avg_pool",
     "x=fp16[1,2,6,6,6] kernel_sizes=int32[3]:2 pad_type=string:valid ceil_mode=bool:true",
     "pool.ceil_mode: ceil_mode is true but x [1, 2, 6, 6, 6] has 3 spatial dims"},
};

// --- Normalization. ---

constexpr Case kNormalizations[] = {
    {"batch_norm", "x=fp16[2,3] mean=%fp16[3] variance=%fp16[3]",
     "batch_norm.rank: x has shape [2, 3] but must have rank 3 or more"},
    {"batch_norm", "x=fp16[1,3,4] mean=%fp16[3] variance=%fp16[2]",
     "batch_norm.channels: variance has shape [2] but x [1, 3, 4] takes [3]"},
    {"batch_norm", "x=fp16[1,s0,4] mean=%fp16[3] variance=%fp16[3]", "fp16[1,s0,4]"},
    {"instance_norm", "x=fp16[2,3]", "instance_norm.rank: x has shape [2, 3]"},
    {"instance_norm", "x=fp16[2,3,4] gamma=%fp16[4]",
     "instance_norm.channels: gamma has shape [4] but x [2, 3, 4] takes [3]"},
    {"l2_norm", "x=fp16[2,3]", "l2_norm.rank: x has shape [2, 3] but must have rank 3 or more"},
    {"layer_norm", "x=fp16[2,3,4] axes=int32[1]:3",
     "layer_norm.axis: axes holds 3 but must lie in [-3, 3) for rank 3"},
    {"layer_norm", "x=fp16[2,3,4] axes=int32[2]:2,1 gamma=%fp16[3,4] beta=%fp16[3,4]",
     "fp16[2,3,4]"},
    {"layer_norm", "x=fp16[2,3] gamma=%fp16[2,3]", "fp16[2,3]"},
    {"layer_norm", "x=fp16[2,3,4] axes=int32[2]:1,2 beta=%fp16[4]",
     "layer_norm.shape: beta has shape [4] but must have [3, 4]"},
    {"local_response_norm", "x=fp16[2,3] size=int32:3",
     "local_response_norm.rank: x has shape [2, 3] but must have rank 3 or more"},
    {"local_response_norm", "x=fp16[1,2,3] size=int32:0",
     "local_response_norm.size: size is 0 but must be 1 or more"},
};

// --- Quantization and compressed weights. ---

constexpr Case kQuantizations[] = {
    {"quantize",
     "input=fp16[2,3] scale=%fp16[3] zero_point=%int8[3] axis=int32:-1 "
     "output_dtype=string:int8",
     "int8[2,3]"},
    {"quantize", "input=fp16[2] scale=fp16:1 zero_point=uint8:0 output_dtype=string:int8",
     "quantize.dtype: zero_point is uint8 but output_dtype is int8"},
    {"quantize", "input=fp16[2] scale=fp16:0 output_dtype=string:int8",
     "quantize.zero_scale: scale is 0 throughout"},
    {"quantize", "input=fp16[2,3] scale=%fp16[1,3] axis=int32:1 output_dtype=string:int8",
     "quantize.scale: scale has shape [1, 3] but must be a scalar or a vector"},
    {"dequantize", "input=int8[2,3] scale=%fp16[3] zero_point=int8:1 axis=int32:1",
     "quantize.zero_point: zero_point has shape [] but scale has shape [3], and both must be"},
    {"dequantize", "input=int8[2,3] scale=%fp16[3]",
     "quantize.axis: scale has shape [3], which needs an axis, but none is given"},
    {"dequantize", "input=int8[2,3] scale=fp16:1 axis=int32:1",
     "quantize.axis: axis is 1 but scale is a scalar, which has none"},
    {"dequantize", "input=int8[2,3] scale=%fp16[3] axis=int32:2",
     "quantize.axis: axis is 2 but must lie in [-2, 2) for rank 2"},
    {"dequantize", "input=int8[2,3] scale=%fp16[2] axis=int32:1",
     "quantize.length: scale has shape [2] but dim 1 of input [2, 3] is 3"},

    {"constexpr_affine_dequantize",
     "quantized_data=%int8[2,3] zero_point=int8:0 scale=%fp16[3] axis=int32:2",
     "constexpr.axis: axis is 2 but must lie in [-2, 2) for rank 2"},
    {"constexpr_affine_dequantize",
     "quantized_data=%int8[2,3] zero_point=int8:0 scale=%fp16[3] axis=int32:0",
     "constexpr.length: scale has shape [3] but must be a scalar or have the [2] of dim 0"},
    {"constexpr_blockwise_shift_scale", "data=%int4[4,6] scale=%fp16[3,1]",
     "constexpr.blocks: scale has shape [3, 1] but data has shape [4, 6], and 3 does not divide 4"},
    {"constexpr_blockwise_shift_scale", "data=%int4[4,6] scale=%fp16[6]",
     "constexpr.rank: scale has shape [6] but must have the rank of data [4, 6]"},
    {"constexpr_blockwise_shift_scale", "data=%int4[4,6] scale=%fp16[2,1] offset=%int8[2,1]",
     "constexpr.offset: offset is int8 but must be a float or int4, the dtype of data"},
    {"constexpr_blockwise_shift_scale", "data=%int4[4,6] scale=%fp16[2,1] offset=%int4[2,2]",
     "constexpr.offset: offset has shape [2, 2] but must have [2, 1]"},
    {"constexpr_lut_to_dense", "indices=%uint8[1] lut=%fp16[4] shape=uint32[2]:2,2", "fp16[2,2]",
     kIos16},
    {"constexpr_lut_to_dense", "indices=%uint8[2] lut=%fp16[4] shape=uint32[2]:2,2",
     "constexpr.packed: indices has 2 bytes but 4 elements of 2 bits fill 1", kIos17},
    {"constexpr_lut_to_dense", "indices=%uint8[1] lut=%fp16[4] shape=uint32[1]:-4",
     "constexpr.shape: shape holds -4 but a dim is 0 or more", kIos16},
    {"constexpr_lut_to_dense", "indices=%uint8[2] lut=%fp16[8] shape=uint32[2]:2,2",
     "constexpr.lut: lut has [8] entries but takes 2, 4, 16, 64 or 256", kIos16},
    {"constexpr_lut_to_dense", "indices=%uint2[4,6] lut=%fp16[1,1,8,1]",
     "constexpr.lut: lut has shape [1, 1, 8, 1] with 8 entries but indices is uint2, which numbers "
     "4"},
    {"constexpr_lut_to_dense", "indices=%uint2[4,6] lut=%fp16[1,4,1]",
     "constexpr.lut: lut has shape [1, 4, 1] but must have rank 4, two more than indices [4, 6]"},
    {"constexpr_lut_to_dense", "indices=%uint2[4,6] lut=%fp16[1,1,4,0]",
     "constexpr.lut: whose vectors have no elements"},
    {"constexpr_lut_to_dense", "indices=%uint2[4,6] lut=%fp16[1,1,4,2]",
     "constexpr.vector_axis: whose vectors of 2 elements need a vector_axis, but none is given"},
    {"constexpr_lut_to_dense", "indices=%uint2[4,6] lut=%fp16[1,1,4,2] vector_axis=int32:2",
     "constexpr.vector_axis: vector_axis is 2 but must lie in [-2, 2) for rank 2"},
    {"constexpr_sparse_to_dense", "nonzero_data=%fp16[3] mask=uint1[4]:1,0,0,1",
     "constexpr.mask: mask has 2 ones but nonzero_data has shape [3]"},
    {"constexpr_sparse_to_dense", "nonzero_data=%fp16[2] mask=uint8[1]:9 shape=uint32[1]:4",
     "fp16[4]", kIos16},
    {"constexpr_sparse_to_dense", "nonzero_data=%fp16[2] mask=uint8[1]:17 shape=uint32[1]:4",
     "constexpr.padding: the last byte of mask is 17, which sets bits beyond the 4 elements",
     kIos16},
    {"constexpr_sparse_to_dense", "nonzero_data=%fp16[3] mask=uint8[1]:9 shape=uint32[1]:4",
     "constexpr.mask: mask has 2 ones but nonzero_data has shape [3]", kIos16},
};

}  // namespace

TEST_CASE("what the table itself forbids") { check(kTableRules); }
TEST_CASE("elementwise functions and activations") { check(kElementwise); }
TEST_CASE("reductions") { check(kReductions); }
TEST_CASE("matrix products") { check(kProducts); }
TEST_CASE("convolution and pooling") { check(kWindows); }
TEST_CASE("normalization") { check(kNormalizations); }
TEST_CASE("quantization and compressed weights") { check(kQuantizations); }

TEST_CASE("an error names the operands that it is about") {
  CHECK(infer_line("conv", "x=fp16[1,4,8] weight=%fp16[2,3,3]").blamed ==
        std::vector<std::string>{"x weight"});
  CHECK(infer_line("add", "x=fp16[2] y=fp16[3]").blamed == std::vector<std::string>{"x y"});
  CHECK(infer_line("mul", "x=fp16[2] y=fp32[2]").blamed == std::vector<std::string>{"y x"});
}

TEST_CASE("every mistake that the table sees is reported at once") {
  const Outcome outcome = infer_line("conv", "x=int32[1,4,8] pad_type=string:full groups=int32");
  REQUIRE(outcome.diagnostics.all().size() == 4);
  CHECK(outcome.diagnostics.all()[0].id == "arg.dtype");
  CHECK(outcome.diagnostics.all()[1].id == "arg.missing");
  CHECK(outcome.diagnostics.all()[2].id == "arg.choice");
  CHECK(outcome.diagnostics.all()[3].id == "arg.const");
}

TEST_CASE("lookups") {
  CHECK(op_table().size() == std::size_t{kOpCount});
  for (const OpInfo& op : op_table()) {
    CHECK(&op_info(op.code) == &op);
    CHECK(find_op(op.name) == &op);
  }
  CHECK(find_op("") == nullptr);
  CHECK(find_op("convolution") == nullptr);
  CHECK(find_op("zzz") == nullptr);
  CHECK(op_info(OpCode::const_).name == "const");

  Opset opset = Opset::ios15;
  CHECK(opset_from_name("ios18", opset));
  CHECK(opset == Opset::ios18);
  CHECK(opset_name(Opset::ios16) == "ios16");
  CHECK_FALSE(opset_from_name("ios14", opset));
  CHECK_FALSE(opset_from_name("iOS18", opset));

  CHECK(op_info(OpCode::quantize).params(Opset::ios16).empty());
  CHECK(op_info(OpCode::quantize).since() == Opset::ios17);
  CHECK(op_info(OpCode::gather).params(Opset::ios15).size() == 3);
  CHECK(op_info(OpCode::gather).params(Opset::ios16).size() == 4);
  CHECK(op_info(OpCode::gather).params().size() == 5);
}

namespace {

using Json = nlohmann::json;

Json read_json(const std::string& path) {
  std::ifstream file(path);
  return file ? Json::parse(file, nullptr, /*allow_exceptions=*/false) : Json();
}

/// One argument as a line, so that a difference shows itself.
std::string param_line(const Param& param) {
  std::string out(param.name);
  if (param.kind == ParamKind::variadic) out += " tuple";
  if (param.kind == ParamKind::list) out += " list";
  if (param.kind == ParamKind::state) out += " state";
  if (param.kind == ParamKind::block) out += " block";
  if (param.kind == ParamKind::any) out += " any";
  if (param.is_const) out += " const";
  for (int i = 0; i < kDTypeCount; ++i) {
    if (param.dtypes.has(static_cast<DType>(i))) {
      out += ' ';
      out += dtype_name(static_cast<DType>(i));
    }
  }
  switch (param.def.kind) {
    case DefaultKind::required:
      break;
    case DefaultKind::absent:
      out += " = absent";
      break;
    case DefaultKind::integer:
    case DefaultKind::real:
      out += fmt::format(" = {}", param.def.number);
      break;
    case DefaultKind::boolean:
      out += param.def.number != 0 ? " = true" : " = false";
      break;
    case DefaultKind::text:
      out += fmt::format(" = \"{}\"", param.def.text);
      break;
    default:
      out += " = computed";
      break;
  }
  return out;
}

std::string param_line(const Json& json) {
  std::string out = json["name"].get<std::string>();
  const std::string kind = json["kind"].get<std::string>();
  if (kind.rfind("tuple", 0) == 0) out += " tuple";
  if (kind == "list" || kind == "state" || kind == "block") out += " " + kind;
  if (kind == "tensor, list or dictionary" || kind == "any (builder internal)") out += " any";
  if (json["const"].get<bool>()) out += " const";
  std::set<int> dtypes;
  for (const Json& name : json.value("dtypes", Json::array())) {
    dtypes.insert(static_cast<int>(dtype_from_name(name.get<std::string>())));
  }
  for (const int dtype : dtypes) {
    out += ' ';
    out += dtype_name(static_cast<DType>(dtype));
  }
  if (!json["optional"].get<bool>()) return out;
  const Json& def = json["default"];
  if (def.contains("expr")) {
    const std::string expr = def["expr"].get<std::string>();
    char* end = nullptr;
    const double number = std::strtod(expr.c_str(), &end);
    return out + (end == expr.c_str() ? " = computed" : fmt::format(" = {}", number));
  }
  const Json& value = def["value"];
  if (value.is_null()) return out + " = absent";
  if (value.is_boolean()) return out + (value.get<bool>() ? " = true" : " = false");
  if (value.is_string()) return out + fmt::format(" = \"{}\"", value.get<std::string>());
  return out + fmt::format(" = {}", value.get<double>());
}

/// Whether the two signatures share domains between the same arguments.
void check_domains(const std::string& where, std::span<const Param> params, const Json& inputs) {
  for (std::size_t i = 0; i < params.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const bool ours = params[i].domain != '\0' && params[i].domain == params[j].domain;
      const bool theirs = inputs[i].contains("domain") && inputs[j].contains("domain") &&
                          inputs[i]["domain"] == inputs[j]["domain"];
      if (ours != theirs) {
        FAIL_CHECK(where, ": ", params[j].name, " and ", params[i].name, ours ? "" : " do not",
                   " share a domain");
      }
    }
  }
}

}  // namespace

TEST_CASE("the table against the recorded op set") {
  const Json history = read_json(MILGEN_SOURCE_DIR "/../shared/opset/opset_history.json");
  const Json current = read_json(MILGEN_SOURCE_DIR "/../shared/opset/opset_ios18.json");
  if (!history.is_object() || !current.is_object()) {
    MESSAGE("skipped: there is no recorded op set beside the repository");
    return;
  }
  int signatures = 0;
  for (const OpInfo& op : op_table()) {
    const std::string name(op.name);
    REQUIRE(current["ops"].contains(name));
    const Json versions = history.contains(name)
                              ? history[name]
                              : Json{{"iOS18", {{"inputs", current["ops"][name]["inputs"]}}}};
    for (int opset = 15; opset <= 18; ++opset) {
      // The version that holds for an opset is the newest that is not younger.
      const Json* inputs = nullptr;
      for (int version = 13; version <= opset; ++version) {
        const std::string key = fmt::format("iOS{}", version);
        if (versions.contains(key)) inputs = &versions[key]["inputs"];
      }
      const auto params = op.params(static_cast<Opset>(opset));
      const std::string where = fmt::format("{} in ios{}", name, opset);
      if (inputs == nullptr) {
        if (!params.empty()) FAIL_CHECK(where, ": the op is not there yet");
        continue;
      }
      ++signatures;
      std::string ours;
      std::string theirs;
      for (const Param& param : params) ours += param_line(param) + "\n";
      for (const Json& input : *inputs) theirs += param_line(input) + "\n";
      if (ours != theirs) {
        FAIL_CHECK(where, ":\nours\n", ours, "theirs\n", theirs);
      } else {
        check_domains(where, params, *inputs);
      }
      for (std::size_t i = 0; opset == 18 && i < params.size(); ++i) {
        const bool block = params[i].kind == ParamKind::block;
        const std::string serialized = (*inputs)[i]["serialized"].get<std::string>();
        if (!block && params[i].always_printed() != (serialized.rfind("always", 0) == 0)) {
          FAIL_CHECK(where, ": ", params[i].name, " is serialized ", serialized);
        }
      }
    }
  }
  MESSAGE(signatures, " signatures compared");
}
