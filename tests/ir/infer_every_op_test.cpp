// The repository's own cases: for every op, and for each of its signatures, one line that is
// accepted and one that is refused; and from the accepted line of each signature every refusal that
// its row states. infer_cases.h explains the notation.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/infer_cases.h"
#include "milgen/op_info.h"

using namespace milgen;
using namespace milgen::test;

namespace {

/// The accepted arguments and the types of their results; the refused ones and the error with a
/// part of its sentence. Where a younger signature takes more, the refused line is one of its own.
struct OwnCase {
  std::string_view op;
  Opset opset;
  std::string_view accepted;
  std::string_view results;
  std::string_view refused;
  std::string_view error;
};

// In name order, the oldest signature first.
constexpr OwnCase kOwnCases[] = {
    {"abs", Opset::ios18, "x=int32[2,s0]", "int32[2,s0]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16, fp32 or int32 there"},
    {"acos", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=int32[1,1,2,4]",
     "arg.dtype: x is tensor<int32, [1, 1, 2, 4]> but the op takes fp16 or fp32 there"},
    {"add", Opset::ios18, "x=fp16[1,4,1,8] y=fp16[4,1,1]", "fp16[1,4,1,8]",
     "x=fp16[2,3] y=fp16[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"affine", Opset::ios18,
     "x=fp16[1,2,4,4] transform_matrix=fp16[1,6] output_height=int32:3 output_width=int32:5 "
     "sampling_mode=string:bilinear padding_mode=string:constant padding_value=fp16:0 "
     "coordinates_mode=string:normalized_minus_one_to_one align_corners=bool:true",
     "fp16[1,2,3,5]",
     "x=fp32[1,1,6,6] transform_matrix=fp32[1,6] output_height=int32:2 output_width=int32:5 "
     "sampling_mode=string:bilinear padding_mode=string:constant padding_value=fp32:0.0 "
     "coordinates_mode=string:unnormalized align_corners=bool:true",
     "arg.choice: coordinates_mode is \"unnormalized\" but the op takes "
     "normalized_minus_one_to_one"},
    {"argsort", Opset::ios18, "x=fp16[2,3] axis=int32:0", "int32[2,3]", "x=fp16[2,3] axis=int32:2",
     "argsort.axis: axis is 2 but must lie in [-2, 2) for rank 2"},
    {"asin", Opset::ios18, "x=fp32[2]", "fp32[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"atan", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"atanh", Opset::ios18, "x=fp16", "fp16", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"avg_pool", Opset::ios18, "x=fp16[1,2,6,6] kernel_sizes=int32[2]:2,3 pad_type=string:valid",
     "fp16[1,2,5,4]", "x=fp16[1,2,6,6] kernel_sizes=int32[2]:2 pad_type=string:full",
     "arg.choice: pad_type is \"full\" but the op takes valid, custom, same or same_lower"},
    {"band_part", Opset::ios18, "x=bool[3,3] lower=int32:1", "bool[3,3]", "x=fp16[3]",
     "band_part.rank: x has shape [3] but must have rank 2 or more"},
    {"batch_norm", Opset::ios15, "x=fp16[1,4,8] mean=%fp16[4] variance=%fp16[4] gamma=%fp16[4]",
     "fp16[1,4,8]", "x=fp32[3,1,1,4] mean=fp16[1]:-0.375 variance=fp16[1]:3.0",
     "arg.domain: mean is fp16 but x is fp32, and both must have one dtype"},
    {"batch_norm", Opset::ios18, "x=fp16[1,4,8] mean=%fp16[4] variance=%fp16[4] gamma=%fp16[4]",
     "fp16[1,4,8]", "x=fp16[1,4,8] mean=%fp16[3] variance=%fp16[4]",
     "batch_norm.channels: mean has shape [3] but x [1, 4, 8] takes [4]"},
    {"batch_to_space", Opset::ios18, "x=fp16[4,2,3,3] block_shape=int32[2]:2,2 crops=int32[2,2]:0",
     "fp16[1,2,6,6]", "x=fp16[4,4,4] block_shape=int32[2]:2 crops=int32[2,2]:0",
     "batch_to_space.rank: x has shape [4, 4, 4] but must have rank 4"},
    {"cast", Opset::ios15, "x=bool dtype=string:fp32", "fp32", "x=int8 dtype=string:fp32",
     "arg.dtype: x is int8 but the op takes bool, fp16, fp32 or int32 there"},
    {"cast", Opset::ios18, "x=fp32[2,3] dtype=string:uint8", "uint8[2,3]",
     "x=uint8[2,4] dtype=string:int64",
     "arg.choice: dtype is \"int64\" but the op takes fp16, fp32, int8, uint8, int16, uint16, "
     "int32 or bool"},
    {"ceil", Opset::ios18, "x=fp32[2]", "fp32[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"clamped_relu", Opset::ios15, "x=fp32[s0] alpha=fp32:0.625 beta=fp32:1.0", "fp32[s0]",
     "x=fp16[2] alpha=fp32:0.5 beta=fp32:1",
     "arg.domain: alpha is fp32 but x is fp16, and both must have one dtype"},
    {"clamped_relu", Opset::ios18, "x=fp16[2] alpha=fp32:0.5 beta=fp32:1", "fp16[2]",
     "x=fp16 alpha=fp16:0.75 beta=fp32:1",
     "arg.domain: beta is fp32 but alpha is fp16, and both must have one dtype"},
    {"classify", Opset::ios18, "probabilities=fp32[2] classes=#list<string,2>:cat,dog",
     "string dict<string,fp64>", "probabilities=fp32[3] classes=#list<string,2>:a,b",
     "classify.count: probabilities has shape [3], 3 elements, but there are 2 classes"},
    {"clip", Opset::ios15, "x=fp16[2] alpha=fp16:0 beta=fp16:1", "fp16[2]",
     "x=fp16[3,5] alpha=fp16 beta=fp16:1",
     "arg.const: alpha is a run-time value but must be known when the program is compiled"},
    {"clip", Opset::ios18, "x=fp16[2] alpha=fp16:0 beta=fp16:1", "fp16[2]",
     "x=fp32[3] alpha=fp32:2.0 beta=fp32:-1.0",
     "clip.range: alpha is 2 but must be less than beta, which is -1"},
    {"concat", Opset::ios18, "values=(fp16[1,2,4] fp16[1,3,4]) axis=int32:1 interleave=bool:false",
     "fp16[1,5,4]", "values=() axis=int32:0",
     "concat.count: there are 0 values but at least 1 is needed"},
    {"cond", Opset::ios18, "pred=bool in0=() out0=(fp16[2]) in1=() out1=(fp16[2])", "fp16[2]",
     "pred=bool in0=() out0=(fp16[2]) in1=() out1=(fp16[3])",
     "cond.type: value 0 is tensor<fp16, [2]> in the block for true but tensor<fp16, [3]> in that "
     "for false"},
    {"const", Opset::ios18, "val=%fp16[2,2]", "", "x=%fp16[2,2]",
     "arg.unknown: there is no argument x"},
    {"constexpr_affine_dequantize", Opset::ios18,
     "quantized_data=%int8[2,3] zero_point=int8:0 scale=%fp16[3] axis=int32:-1", "fp16[2,3]",
     "quantized_data=int8[2,3]:7,8,5,4,4,6 zero_point=int8[3]:1 scale=fp32:1 axis=int32:0",
     "constexpr.length: zero_point has shape [3] but must be a scalar or have the [2] of dim 0 of "
     "quantized_data [2, 3]"},
    {"constexpr_blockwise_shift_scale", Opset::ios18,
     "data=%uint4[4,6] scale=%fp16[2,1] offset=%uint4[2,1]", "fp16[4,6]",
     "data=uint8:3 scale=fp32:1", "constexpr.rank: data has shape [] but must have rank 1 or more"},
    {"constexpr_cast", Opset::ios16, "source_val=%fp16[2,3] output_dtype=string:fp32", "fp32[2,3]",
     "source_val=fp16[2,3,1]:-1.75,0.0,-0.375,1.375,-1.25,1.25 output_dtype=string:fp16",
     "arg.choice: output_dtype is \"fp16\" but the op takes fp32"},
    {"constexpr_cast", Opset::ios18, "source_val=%fp16[2,3] output_dtype=string:fp32", "fp32[2,3]",
     "source_val=fp16[2,4]:-0.375,2.5,-1.875,-2.625,-2.25,2.625,0.375,2.625 "
     "output_dtype=string:fp16",
     "arg.choice: output_dtype is \"fp16\" but the op takes fp32"},
    {"constexpr_lut_to_dense", Opset::ios16,
     "indices=uint8[1]:165 lut=uint8[64]:8 shape=uint32[2]:1", "uint8[1,1]",
     "indices=uint4[6]:4,15,6,13,5,7 lut=%fp32[3,16,1]",
     "arg.dtype: indices is tensor<uint4, [6]> but the op takes uint8 there"},
    {"constexpr_lut_to_dense", Opset::ios18,
     "indices=%uint2[4,6] lut=%fp16[2,1,4,3] vector_axis=int32:1", "fp16[4,18]",
     "indices=uint2:2 lut=%int8[4,1]",
     "constexpr.rank: indices has shape [] but must have rank 1 or more"},
    {"constexpr_lut_to_sparse", Opset::ios18,
     "indices_mask=uint1[2,2]:1,0,0,1 indices_nonzero_data=%uint1[2] lut=%int8[1,1,2,2] "
     "vector_axis=int32:0",
     "uint1[4,2] int8[4]",
     "indices_mask=uint1[2,2]:1,0,0,1 indices_nonzero_data=uint1[2]:0,1 lut=%uint8[1,2,1]",
     "constexpr.lut: lut has shape [1, 2, 1] but must have rank 4, two more than indices_mask [2, "
     "2]"},
    {"constexpr_sparse_blockwise_shift_scale", Opset::ios18,
     "data_mask=uint1[2,2]:1,0,1,1 nonzero_data=%int8[3] scale=%fp16[1,1]", "uint1[2,2] fp16[3]",
     "data_mask=uint1[2,2]:1,0,0,1 nonzero_data=fp16[2]:1 scale=fp32[2]:1",
     "constexpr.rank: scale has shape [2] but must have the rank of data_mask [2, 2]"},
    {"constexpr_sparse_to_dense", Opset::ios16,
     "nonzero_data=uint8[1]:4 mask=uint8[1]:1 shape=uint32[1]:3", "uint8[3]",
     "nonzero_data=int8[1]:4 mask=uint1[1]:1",
     "arg.dtype: mask is tensor<uint1, [1]> but the op takes uint8 there"},
    {"constexpr_sparse_to_dense", Opset::ios18, "nonzero_data=%fp16[2] mask=uint1[3]:1,0,1",
     "fp16[3]", "nonzero_data=fp32:1 mask=uint1[2,2]:1,0,0,1",
     "constexpr.rank: nonzero_data has shape [] but must have rank 1"},
    {"conv", Opset::ios15,
     "x=fp16[1,4,8,8] weight=%fp16[6,2,3,3] bias=%fp16[6] groups=int32:2 pad_type=string:same "
     "strides=int32[2]:2,2",
     "fp16[1,6,4,4]", "x=fp16[2,2,8] weight=%fp32[2,2,3] bias=fp32[2]:0.5 pad_type=string:valid",
     "arg.domain: weight is fp32 but x is fp16, and both must have one dtype"},
    {"conv", Opset::ios18,
     "x=fp16[1,4,8,8] weight=%fp16[6,2,3,3] bias=%fp16[6] groups=int32:2 pad_type=string:same "
     "strides=int32[2]:2,2",
     "fp16[1,6,4,4]", "x=fp16[1,4,8,8] weight=%fp32[2,4,3]",
     "conv.rank: weight has shape [2, 4, 3] but must have the rank of x [1, 4, 8, 8]"},
    {"conv_quantized", Opset::ios18,
     "x=fp16[1,4,8] weight=%uint8[2,4,3] quantization_type=string:linear quant_scale=%fp16[2,1,1] "
     "quant_bias=%fp16[2,1,1]",
     "fp16[1,2,6]",
     "x=fp16[1,4,8] weight=%uint8[2,3,3] quantization_type=string:linear quant_scale=%fp16[2,1,1] "
     "quant_bias=%fp16[2,1,1]",
     "conv.channels: x has 4 channels but weight [2, 3, 3] with groups = 1 takes 3"},
    {"conv_transpose", Opset::ios15, "x=fp16[1,4,5,5] weight=%fp16[4,3,3,3] strides=int32[2]:2,1",
     "fp16[1,3,11,7]",
     "x=fp16[1,2,5] weight=fp16[2,3,2] pad_type=string:valid output_shape=int32[3]:1,3,6",
     "arg.const: weight is a run-time value but must be known when the program is compiled"},
    {"conv_transpose", Opset::ios18, "x=fp16[1,4,5,5] weight=%fp16[4,3,3,3] strides=int32[2]:2,1",
     "fp16[1,3,11,7]", "x=fp32[1,4,5,5] weight=%fp16[4,2,3,3] bias=fp16[3]:0.25",
     "conv.bias: bias has shape [3] but weight [4, 2, 3, 3] with groups = 1 takes [2]"},
    {"coreml_update_state", Opset::ios18, "state=state<fp16[2]> value=fp16[2]", "fp16[2]",
     "state=state<fp16[2]> value=fp16[3]",
     "state.type: value is tensor<fp16, [3]> but state is state<tensor<fp16, [2]>>"},
    {"cos", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"cosh", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"crop", Opset::ios18, "x=fp16[1,2,6,6] crop_height=int32[2]:1,1 crop_width=int32[2]:2,0",
     "fp16[1,2,4,4]", "x=fp32[5,5] crop_height=int32[2]:1,0 crop_width=int32[2]:1",
     "crop.rank: x has shape [5, 5] but must have rank 3 or more"},
    {"crop_resize", Opset::ios15,
     "x=fp32[1,3,5,8] roi=fp32[1,1,5,1,1] box_coordinate_mode=string:CENTER_SIZE_WIDTH_FIRST",
     "fp32[1,1,3,1,1]",
     "x=fp16[2,3,8,8] boxes=fp16[2,4] target_height=int32:4 target_width=int32:5",
     "arg.unknown: there is no argument boxes"},
    {"crop_resize", Opset::ios16,
     "x=fp32[1,3,7,7] roi=fp32[2,1,5,1,1] target_height=int32:1 target_width=int32:1",
     "fp32[2,1,3,1,1]",
     "x=fp16[2,3,8,8] boxes=fp16[2,4] target_height=int32:4 target_width=int32:5",
     "arg.unknown: there is no argument boxes"},
    {"crop_resize", Opset::ios18,
     "x=fp16[2,3,8,8] boxes=fp16[2,4] target_height=int32:4 target_width=int32:5", "fp16[2,3,4,5]",
     "x=fp16[3,8,8] boxes=fp16[3,4] target_height=int32:3 target_width=int32:2 "
     "pad_value=fp16:0.125",
     "crop_resize.rank: x has shape [3, 8, 8] but must have rank 4"},
    {"cumsum", Opset::ios18, "x=fp16[2,3] axis=int32:1", "fp16[2,3]", "x=fp32[2,3] axis=int32:2",
     "cumsum.axis: axis is 2 but must lie in [-1, 2) for rank 2"},
    {"depth_to_space", Opset::ios18, "x=fp16[1,8,2,3] block_size=int32:2", "fp16[1,2,4,6]",
     "x=fp32[4,4,4] block_size=int32:2",
     "depth_to_space.rank: x has shape [4, 4, 4] but must have rank 4"},
    {"dequantize", Opset::ios18, "input=uint8[2,3] scale=%fp16[3] axis=int32:1", "fp16[2,3]",
     "input=uint8[2,3] scale=fp32[3]:0.5",
     "quantize.axis: scale has shape [3], which needs an axis, but none is given"},
    {"einsum", Opset::ios18, "values=(fp16[2,3,4,5] fp16[2,5,4,6]) equation=string:abcd,adce->abce",
     "fp16[2,3,4,6]", "values=(fp16[2,3,4,5] fp16[2,5,4,6]) equation=string:nchw,nwhu",
     "einsum.equation: equation is \"nchw,nwhu\" but must be nchw,nwhu->nchu or chw,whr->chr, in "
     "any letters"},
    {"elu", Opset::ios15, "x=fp16[2] alpha=fp16:1", "fp16[2]", "x=fp32 alpha=fp16:0.625",
     "arg.domain: alpha is fp16 but x is fp32, and both must have one dtype"},
    {"elu", Opset::ios18, "x=fp16[2] alpha=fp16:1", "fp16[2]", "x=fp16 alpha=fp32",
     "arg.const: alpha is a run-time value but must be known when the program is compiled"},
    {"equal", Opset::ios18, "x=int32[2,1] y=int32[3]", "bool[2,3]", "x=fp32[2,3] y=fp32[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"erf", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"exp", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"exp2", Opset::ios18, "x=int32[2]", "int32[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16, fp32 or int32 there"},
    {"expand_dims", Opset::ios15, "x=fp16[2,3] axes=int32[2]:0,-1", "fp16[1,2,3,1]",
     "x=int16 axes=int32[2]:-2,1",
     "arg.dtype: x is int16 but the op takes bool, fp16, fp32 or int32 there"},
    {"expand_dims", Opset::ios18, "x=fp16[2,3] axes=int32[2]:0,-1", "fp16[1,2,3,1]",
     "x=int8[2,3] axes=int32:1",
     "arg.rank: axes has shape [] but the op takes a list of rank 1 there"},
    {"fill", Opset::ios18, "shape=int32[2]:2,3 value=fp16:1", "fp16[2,3]",
     "shape=int32[2]:2,-3 value=fp16:1", "fill.shape: shape[1] is -3 but a dim is 0 or more"},
    {"fill_like", Opset::ios18, "ref_tensor=int32[2,s0] value=fp16:1", "fp16[2,s0]",
     "ref_tensor=int8[2] value=fp16:1",
     "arg.dtype: ref_tensor is tensor<int8, [2]> but the op takes bool, fp16, fp32 or int32 there"},
    {"flatten2d", Opset::ios18, "x=fp16[2,3,4] axis=int32:1", "fp16[2,12]",
     "x=fp16[2,3,4] axis=int32:4", "flatten2d.axis: axis is 4 but must lie in [-3, 3] for rank 3"},
    {"floor", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=uint8[1,1]",
     "arg.dtype: x is tensor<uint8, [1, 1]> but the op takes fp16 or fp32 there"},
    {"floor_div", Opset::ios18, "x=int32[2] y=int32", "int32[2]", "x=fp16[2,3] y=fp16[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"gather", Opset::ios15, "x=fp16[4,5] indices=int32[3] axis=int32:1", "fp16[4,3]",
     "x=fp32[3] indices=int16:1", "arg.dtype: indices is int16 but the op takes int32 there"},
    {"gather", Opset::ios16, "x=fp16[4,5] indices=int32[3] axis=int32:1", "fp16[4,3]",
     "x=fp16[3,1,2] indices=int8[1,2]",
     "arg.dtype: indices is tensor<int8, [1, 2]> but the op takes int16, int32 or uint16 there"},
    {"gather", Opset::ios18, "x=fp16[4,5] indices=int32[3] axis=int32:1", "fp16[4,3]",
     "x=int32[3,4,5] indices=int32[2] axis=int32:3",
     "gather.axis: axis is 3 but must lie in [-3, 3) for rank 3"},
    {"gather_along_axis", Opset::ios15, "x=fp16[4,5] indices=int32[2,5] axis=int32:0", "fp16[2,5]",
     "x=int32[3,2] indices=int16[3,3] axis=int32:1",
     "arg.dtype: indices is tensor<int16, [3, 3]> but the op takes int32 there"},
    {"gather_along_axis", Opset::ios16, "x=fp16[4,5] indices=int32[2,5] axis=int32:0", "fp16[2,5]",
     "x=fp16[4,4,4] indices=int8[4,5,4] axis=int32:1",
     "arg.dtype: indices is tensor<int8, [4, 5, 4]> but the op takes int16, int32 or uint16 there"},
    {"gather_along_axis", Opset::ios18, "x=fp16[4,5] indices=int32[2,5] axis=int32:0", "fp16[2,5]",
     "x=int8[3,4] indices=uint16[2]",
     "gather_along_axis.shape: indices has shape [2] but x has [3, 4], and only dim 0 (axis) may "
     "differ"},
    {"gather_nd", Opset::ios15, "x=fp16[4,5,6] indices=int32[3,2]", "fp16[3,6]",
     "x=int8[2] indices=int8[2,1]",
     "arg.dtype: x is tensor<int8, [2]> but the op takes fp16, fp32 or int32 there"},
    {"gather_nd", Opset::ios16, "x=fp16[4,5,6] indices=int32[3,2]", "fp16[3,6]",
     "x=int8[2] indices=int8[2,1]",
     "arg.dtype: x is tensor<int8, [2]> but the op takes fp16, fp32 or int32 there"},
    {"gather_nd", Opset::ios18, "x=fp16[4,5,6] indices=int32[3,2]", "fp16[3,6]",
     "x=uint16[3,4] indices=int8[2,3]",
     "gather_nd.depth: indices has shape [2, 3], but its last dim must be known and at most 2 for "
     "x of shape [3, 4]"},
    {"gelu", Opset::ios18, "x=fp16[2] mode=string:TANH_APPROXIMATION", "fp16[2]",
     "x=fp16[2,4,1] mode=string:",
     "arg.choice: mode is \"\" but the op takes EXACT, TANH_APPROXIMATION or "
     "SIGMOID_APPROXIMATION"},
    {"greater", Opset::ios18, "x=fp16[2] y=fp16[2]", "bool[2]", "x=fp16[4,2,3] y=fp16[3,3]",
     "broadcast.shapes: x has shape [4, 2, 3] and y has shape [3, 3], which do not broadcast"},
    {"greater_equal", Opset::ios18, "x=fp16[2] y=fp16[2]", "bool[2]", "x=fp16[2,3] y=fp16[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"gru", Opset::ios15,
     "x=fp32[s0,1,3] initial_h=fp32[1,1] weight_ih=fp32[3,3]:0.25 weight_hh=fp32[3,1]:0.25 "
     "direction=string:forward output_sequence=bool:true",
     "fp32[s0,1,1] fp32[1,1]",
     "x=fp16[5,1,3] initial_h=fp16[1,2] weight_ih=%fp16[6,3] weight_hh=%fp16[6,2]",
     "arg.dtype: x is tensor<fp16, [5, 1, 3]> but the op takes fp32 there"},
    {"gru", Opset::ios17,
     "x=fp16[5,1,3] initial_h=fp16[1,2] weight_ih=%fp16[6,3] weight_hh=%fp16[6,2]",
     "fp16[1,1,2] fp16[1,2]",
     "x=fp32[4,2,4] initial_h=fp32[2,3] weight_ih=%fp32[9,4] weight_hh=%fp32[9,3] "
     "input_bias=fp32[9]:0.25",
     "arg.unknown: there is no argument input_bias"},
    {"gru", Opset::ios18,
     "x=fp16[5,1,3] initial_h=fp16[1,2] weight_ih=%fp16[6,3] weight_hh=%fp16[6,2]",
     "fp16[1,1,2] fp16[1,2]",
     "x=fp16[3,4] initial_h=fp16[2,5] weight_ih=%fp16[15,4] weight_hh=%fp16[15,5]",
     "recurrent.rank: x has shape [3, 4] but must have rank 3"},
    {"identity", Opset::ios18, "x=fp16[2]", "fp16[2]", "y=fp16[2]",
     "arg.unknown: there is no argument y"},
    {"instance_norm", Opset::ios15, "x=fp16[1,4,8] gamma=%fp16[4] beta=%fp16[4]", "fp16[1,4,8]",
     "x=fp16[5,3,1,4] epsilon=fp32:0.0009765625",
     "arg.domain: epsilon is fp32 but x is fp16, and both must have one dtype"},
    {"instance_norm", Opset::ios18, "x=fp16[1,4,8] gamma=%fp16[4] beta=%fp16[4]", "fp16[1,4,8]",
     "x=fp16[1,4,8] gamma=%fp16[3]",
     "instance_norm.channels: gamma has shape [3] but x [1, 4, 8] takes [4]"},
    {"inverse", Opset::ios15, "x=fp16", "fp16", "x=fp16 epsilon=fp32:0.5",
     "arg.domain: epsilon is fp32 but x is fp16, and both must have one dtype"},
    {"inverse", Opset::ios18, "x=fp16[2] epsilon=fp32:0.1", "fp16[2]", "x=fp16 epsilon=fp32",
     "arg.const: epsilon is a run-time value but must be known when the program is compiled"},
    {"l2_norm", Opset::ios15, "x=fp16[2,3,4] epsilon=fp16:0.1", "fp16[2,3,4]",
     "x=fp16[3,3,2,3] epsilon=fp32:0.0009765625",
     "arg.domain: epsilon is fp32 but x is fp16, and both must have one dtype"},
    {"l2_norm", Opset::ios18, "x=fp16[2,3,4] epsilon=fp16:0.1", "fp16[2,3,4]", "x=fp32",
     "l2_norm.rank: x has shape [] but must have rank 3 or more"},
    {"l2_pool", Opset::ios18, "x=fp16[1,2,7] kernel_sizes=int32[1]:2 pad_type=string:valid",
     "fp16[1,2,6]", "x=fp32[1,2,6,6] kernel_sizes=int32[2]:2 pad_type=string:full",
     "arg.choice: pad_type is \"full\" but the op takes valid, custom, same or same_lower"},
    {"layer_norm", Opset::ios15, "x=fp16[2,3,4] axes=int32[1]:-1 gamma=%fp16[4]", "fp16[2,3,4]",
     "x=fp32[1] axes=int32[1]:-1 epsilon=fp16:0.0009765625",
     "arg.domain: epsilon is fp16 but x is fp32, and both must have one dtype"},
    {"layer_norm", Opset::ios18, "x=fp16[2,3,4] axes=int32[1]:-1 gamma=%fp16[4]", "fp16[2,3,4]",
     "x=fp16[2,3,4] axes=int32[1]:3",
     "layer_norm.axis: axes holds 3 but must lie in [-3, 3) for rank 3"},
    {"leaky_relu", Opset::ios15, "x=fp16[2] alpha=fp16:0.1", "fp16[2]", "x=fp16 alpha=fp32:0.25",
     "arg.domain: alpha is fp32 but x is fp16, and both must have one dtype"},
    {"leaky_relu", Opset::ios18, "x=fp16[2] alpha=fp16:0.1", "fp16[2]",
     "x=fp16[s0,3,s1,3,s2] alpha=fp16",
     "arg.const: alpha is a run-time value but must be known when the program is compiled"},
    {"less", Opset::ios18, "x=fp16[2] y=fp16[2]", "bool[2]", "x=fp16[4,2,3] y=fp16[3,3]",
     "broadcast.shapes: x has shape [4, 2, 3] and y has shape [3, 3], which do not broadcast"},
    {"less_equal", Opset::ios18, "x=fp16[2] y=fp16[2]", "bool[2]", "x=fp32[2,3] y=fp32[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"linear", Opset::ios15, "x=fp16[s0,4] weight=%fp16[3,4] bias=%fp16[3]", "fp16[s0,3]",
     "x=fp32[3] weight=int32[1,3]:3",
     "arg.domain: weight is int32 but x is fp32, and both must have one dtype"},
    {"linear", Opset::ios18, "x=fp16[s0,4] weight=%fp16[3,4] bias=%fp16[3]", "fp16[s0,3]",
     "x=int32[2,4] weight=fp16[4]:1", "linear.weight: weight has shape [4] but must have rank 2"},
    {"linear_activation", Opset::ios15, "x=fp16[2] alpha=fp16:2 beta=fp16:1", "fp16[2]",
     "x=fp16:2.875 alpha=fp32:0.75 beta=fp32:0.75",
     "arg.domain: alpha is fp32 but x is fp16, and both must have one dtype"},
    {"linear_activation", Opset::ios18, "x=fp16[2] alpha=fp16:2 beta=fp16:1", "fp16[2]",
     "x=fp16 alpha=fp16:1.0 beta=fp32:1",
     "arg.domain: beta is fp32 but alpha is fp16, and both must have one dtype"},
    {"list_gather", Opset::ios18, "ls=list<fp16[3],?> indices=int32[2]", "fp16[2,3]",
     "ls=list<fp16[3],?> indices=int32",
     "list_gather.indices: indices has shape [] but must have rank 1"},
    {"list_length", Opset::ios18, "ls=list<fp16[3],?>", "int32", "ls=fp16[3]",
     "arg.kind: ls is tensor<fp16, [3]> but the op takes a list there"},
    {"list_read", Opset::ios18, "ls=list<fp16[3],?> index=int32", "fp16[3]",
     "ls=fp16[3] index=int32", "arg.kind: ls is tensor<fp16, [3]> but the op takes a list there"},
    {"list_scatter", Opset::ios18, "ls=list<fp16[3],?> indices=int32[2] value=fp16[2,3]",
     "list<fp16[3],?>", "ls=list<fp16[3],?> indices=int32[2] value=fp16[3,3]",
     "list_scatter.count: value has shape [3, 3] but its first dim must be 2, the length of "
     "indices"},
    {"list_write", Opset::ios18, "ls=list<fp16[3],?> index=int32 value=fp16[3]", "list<fp16[3],?>",
     "ls=list<fp16[3],?> index=int32 value=fp16[4]",
     "list_write.element: value gives elements of tensor<fp16, [4]> but ls holds tensor<fp16, "
     "[3]>"},
    {"local_response_norm", Opset::ios15, "x=fp16[1,4,8,8] size=int32:3", "fp16[1,4,8,8]",
     "x=fp32[s0,3,s1] size=int32:4 beta=fp16:0.75",
     "arg.domain: beta is fp16 but x is fp32, and both must have one dtype"},
    {"local_response_norm", Opset::ios18, "x=fp16[1,4,8,8] size=int32:3", "fp16[1,4,8,8]",
     "x=fp16[1,4,8,8] size=int32:0", "local_response_norm.size: size is 0 but must be 1 or more"},
    {"log", Opset::ios15, "x=fp16[2]", "fp16[2]", "x=fp32 epsilon=fp16:0.5",
     "arg.domain: epsilon is fp16 but x is fp32, and both must have one dtype"},
    {"log", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=fp32[5,2] epsilon=fp16",
     "arg.const: epsilon is a run-time value but must be known when the program is compiled"},
    {"logical_and", Opset::ios18, "x=bool[2] y=bool", "bool[2]", "x=bool[5,1] y=bool[4,7,3]",
     "broadcast.shapes: x has shape [5, 1] and y has shape [4, 7, 3], which do not broadcast"},
    {"logical_not", Opset::ios18, "x=bool[2]", "bool[2]", "x=fp16[2]",
     "arg.dtype: x is tensor<fp16, [2]> but the op takes bool there"},
    {"logical_or", Opset::ios18, "x=bool[2] y=bool", "bool[2]", "x=bool[2,3] y=bool[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"logical_xor", Opset::ios18, "x=bool[2] y=bool", "bool[2]", "x=bool[5,1] y=bool[4,7,3]",
     "broadcast.shapes: x has shape [5, 1] and y has shape [4, 7, 3], which do not broadcast"},
    {"lstm", Opset::ios15,
     "x=fp32[3,1,2] initial_h=fp32[1,4] initial_c=fp32[1,4] weight_ih=fp32[16,2]:0.25 "
     "weight_hh=fp32[16,4]:0.25 output_sequence=bool:true activation=string:relu",
     "fp32[3,1,4] fp32[1,4] fp32[1,4]",
     "x=fp16[5,1,3] initial_h=fp16[1,2] initial_c=fp16[1,2] weight_ih=%fp16[8,3] "
     "weight_hh=%fp16[8,2] output_sequence=bool:true",
     "arg.dtype: x is tensor<fp16, [5, 1, 3]> but the op takes fp32 there"},
    {"lstm", Opset::ios18,
     "x=fp16[5,1,3] initial_h=fp16[1,2] initial_c=fp16[1,2] weight_ih=%fp16[8,3] "
     "weight_hh=%fp16[8,2] output_sequence=bool:true",
     "fp16[5,1,2] fp16[1,2] fp16[1,2]",
     "x=fp32[3,4] initial_h=fp32[2,5] initial_c=fp32[2,5] weight_ih=%fp32[20,4] "
     "weight_hh=%fp32[20,5]",
     "recurrent.rank: x has shape [3, 4] but must have rank 3"},
    {"make_list", Opset::ios18,
     "elem_shape=(int32:2 int32:3) dtype=string:fp16 dynamic_length=bool:true", "list<fp16[2,3],?>",
     "elem_shape=int32:3 dynamic_length=bool:true dtype=string:bool",
     "arg.kind: elem_shape is a single value but the op takes a tuple there"},
    {"matmul", Opset::ios15, "x=fp16[2,1,4,5] y=fp16[3,6,5] transpose_y=bool:true", "fp16[2,3,4,6]",
     "x=fp16[1,3,3,2] y=fp32[2]:-3.0,1.375",
     "arg.domain: y is fp32 but x is fp16, and both must have one dtype"},
    {"matmul", Opset::ios18, "x=fp16[2,1,4,5] y=fp16[3,6,5] transpose_y=bool:true", "fp16[2,3,4,6]",
     "x=fp32 y=fp32[3]", "matmul.rank: x is a scalar but must have rank 1 or more"},
    {"max_pool", Opset::ios18,
     "x=fp16[1,2,7] kernel_sizes=int32[1]:3 strides=int32[1]:2 pad_type=string:valid "
     "ceil_mode=bool:true",
     "fp16[1,2,3]", "x=fp16[1,2,6,6] kernel_sizes=int32[2]:2 pad_type=string:full",
     "arg.choice: pad_type is \"full\" but the op takes valid, custom, same or same_lower"},
    {"maximum", Opset::ios18, "x=fp16[2] y=fp16", "fp16[2]", "x=fp16[5,1] y=fp16[4,7,3]",
     "broadcast.shapes: x has shape [5, 1] and y has shape [4, 7, 3], which do not broadcast"},
    {"minimum", Opset::ios18, "x=fp16[2] y=fp16", "fp16[2]", "x=fp32[2,3] y=fp32[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"mod", Opset::ios18, "x=int32[2] y=int32", "int32[2]", "x=fp16[2,3] y=fp16[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"mul", Opset::ios18, "x=fp16[s0,4] y=fp16[s0,1]", "fp16[s0,4]", "x=int32[2,3] y=int32[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"non_maximum_suppression", Opset::ios15,
     "boxes=fp16[2,3,4] scores=fp16[2,3,4] iou_threshold=fp16:0.5 max_boxes=int32:5 "
     "score_threshold=fp16:0.25",
     "fp16[2,5,4] fp16[2,5,4] int32[2,5] int32[2]",
     "boxes=fp16[2,4,3] scores=fp16[2,1,3] iou_threshold=fp16:0.5 max_boxes=int32:5",
     "arg.missing: argument score_threshold is required but missing"},
    {"non_maximum_suppression", Opset::ios18,
     "boxes=fp16[1,4,9] scores=fp16[1,2,9] iou_threshold=fp16:0.5 max_boxes=int32:3",
     "fp16[1,4,3] fp16[1,2,3] int32[1,3]",
     "boxes=fp16[1,9,4] scores=fp16[1,2,9] iou_threshold=fp16:0.5 max_boxes=int32:3",
     "non_maximum_suppression.coordinates: boxes has shape [1, 9, 4] but dim 1 must be the 4 "
     "coordinates of a box"},
    {"non_zero", Opset::ios18, "x=fp16[2,3]", "int32[?,2]", "x=int8[2]",
     "arg.dtype: x is tensor<int8, [2]> but the op takes bool, fp16, fp32 or int32 there"},
    {"not_equal", Opset::ios18, "x=fp16[2] y=fp16", "bool[2]", "x=fp32[2,3] y=fp32[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"one_hot", Opset::ios18, "indices=int32[3] one_hot_vector_size=int32:4", "int32[3,4]",
     "indices=int32[2,3] one_hot_vector_size=int32:-1",
     "one_hot.size: one_hot_vector_size is -1 but must be 0 or more"},
    {"pad", Opset::ios18, "x=fp16[2,3] pad=int32[2]:1,2", "fp16[2,6]", "x=fp32[3,4] pad=int32:1",
     "pad.rank: pad has shape [] but must have rank 1"},
    {"pixel_shuffle", Opset::ios18, "x=fp16[1,8,2,3] upscale_factor=int32:2", "fp16[1,2,4,6]",
     "x=fp32[4,4,4] upscale_factor=int32:2",
     "pixel_shuffle.rank: x has shape [4, 4, 4] but must have rank 4"},
    {"pixel_unshuffle", Opset::ios18, "x=fp16[1,2,4,6] downscale_factor=uint32:2", "fp16[1,8,2,3]",
     "x=fp16[4,4,4] downscale_factor=uint32:2",
     "pixel_unshuffle.rank: x has shape [4, 4, 4] but must have rank 4"},
    {"pow", Opset::ios18, "x=fp16[2] y=fp16:-0.5", "fp16[2]", "x=fp16[2,3] y=fp16[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"prelu", Opset::ios15, "x=fp16[1,3,4,4] alpha=fp16[3]:0.1,0.2,0.3", "fp16[1,3,4,4]",
     "x=fp32[4,2,3] alpha=fp16[2]:0.25",
     "arg.domain: alpha is fp16 but x is fp32, and both must have one dtype"},
    {"prelu", Opset::ios18, "x=fp16[1,3,4,4] alpha=fp16[3]:0.1,0.2,0.3", "fp16[1,3,4,4]",
     "x=fp32[2,3] alpha=fp16[3]:0.25",
     "prelu.rank: x has shape [2, 3] but must have rank 3, 4 or 5"},
    {"quantize", Opset::ios18, "input=fp16[2,3] scale=fp16:0.5 output_dtype=string:uint8",
     "uint8[2,3]", "input=fp16[2,3] scale=fp16:0.5 output_dtype=string:int32",
     "arg.choice: output_dtype is \"int32\" but the op takes int8 or uint8"},
    {"random_bernoulli", Opset::ios18, "shape=int32[2]:2,3 prob=fp16:0.5", "fp16[2,3]",
     "shape=int32[2]:2,-3", "random.shape: shape[1] is -3 but a dim is 0 or more"},
    {"random_categorical", Opset::ios18, "x=fp16[2,3] size=int32:4", "fp16[2,4]",
     "x=fp16[2,3] size=int32:0", "random_categorical.size: size is 0 but must be 1 or more"},
    {"random_normal", Opset::ios18, "shape=int32[1]:3 mean=fp16:0 stddev=fp16:1", "fp16[3]",
     "shape=int32[2]:2,3 mean=fp16:0.5",
     "random.dtype: mean is fp16 but stddev, which is left out, is fp32 by default"},
    {"random_uniform", Opset::ios18, "shape=int32[1]:3 low=fp16:0 high=fp16:1", "fp16[3]",
     "shape=int32[2]:2,3 low=fp16:0.5",
     "random.dtype: low is fp16 but high, which is left out, is fp32 by default"},
    {"range_1d", Opset::ios18, "end=int32:7 start=int32:1 step=int32:2", "int32[3]",
     "end=int32:7 start=int32:1 step=int32:0",
     "range_1d.step: step is 0 but must move towards end"},
    {"read_state", Opset::ios18, "input=state<fp16[2]>", "fp16[2]", "input=fp16[2]",
     "arg.kind: input is tensor<fp16, [2]> but the op takes a state there"},
    {"real_div", Opset::ios18, "x=fp16[2] y=fp16", "fp16[2]", "x=fp16[4,2,3] y=fp16[3,3]",
     "broadcast.shapes: x has shape [4, 2, 3] and y has shape [3, 3], which do not broadcast"},
    {"reduce_argmax", Opset::ios15, "x=fp32[1,s0,4]", "int32[1,s0]",
     "x=fp32[2,3,3,4,5] output_dtype=string:int32",
     "arg.unknown: there is no argument output_dtype"},
    {"reduce_argmax", Opset::ios18, "x=fp16[2,3] axis=int32:1 output_dtype=string:UInt16",
     "uint16[2]", "x=fp16[2,3] axis=int32:2",
     "reduce.axis: axis is 2 but must lie in [-2, 2) for rank 2"},
    {"reduce_argmin", Opset::ios15, "x=fp16[2,3] keep_dims=bool:true", "int32[2,1]",
     "x=int32[3,1,1,2] axis=int32:2 output_dtype=string:UInt16",
     "arg.unknown: there is no argument output_dtype"},
    {"reduce_argmin", Opset::ios18, "x=fp16[2,3] keep_dims=bool:true", "int32[2,1]",
     "x=fp16[2,3] axis=int32:-3", "reduce.axis: axis is -3 but must lie in [-2, 2) for rank 2"},
    {"reduce_l1_norm", Opset::ios18, "x=fp16[2,3]", "fp16", "x=fp16[2,3] axes=int32[1]:2",
     "reduce.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"reduce_l2_norm", Opset::ios18, "x=fp16[2,3] axes=int32[1]:0", "fp16[3]",
     "x=fp16[2,3] axes=int32[1]:2", "reduce.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"reduce_log_sum", Opset::ios18, "x=fp16[2,3] axes=int32[2]:0,1 keep_dims=bool:true",
     "fp16[1,1]", "x=fp16[2,3] axes=int32[1]:2",
     "reduce.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"reduce_log_sum_exp", Opset::ios18, "x=fp16[2,3] axes=int32[1]:-1", "fp16[2]",
     "x=fp16[2,3] axes=int32[1]:2", "reduce.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"reduce_max", Opset::ios18, "x=int32[2,3] axes=int32[1]:-1", "int32[2]",
     "x=fp16[2,3] axes=int32[1]:2", "reduce.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"reduce_mean", Opset::ios18, "x=fp16[2,s0] axes=int32[1]:0", "fp16[s0]",
     "x=fp16[2,3] axes=int32[1]:2", "reduce.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"reduce_min", Opset::ios18, "x=fp16[2,3] axes=int32[1]:-1", "fp16[2]",
     "x=fp16[2,3] axes=int32[1]:2", "reduce.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"reduce_prod", Opset::ios18, "x=fp16[2,3] axes=int32[0]:", "fp16[2,3]",
     "x=fp16[2,3] axes=int32[1]:2", "reduce.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"reduce_sum", Opset::ios18, "x=fp16[1,8,1,4] axes=int32[1]:1 keep_dims=bool:true",
     "fp16[1,1,1,4]", "x=fp16[2,3] axes=int32[1]:2",
     "reduce.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"reduce_sum_square", Opset::ios18, "x=fp16[2,3] axes=int32[1]:-1", "fp16[2]",
     "x=fp16[2,3] axes=int32[1]:2", "reduce.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"relu", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"relu6", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=int32[3,3]",
     "arg.dtype: x is tensor<int32, [3, 3]> but the op takes fp16 or fp32 there"},
    {"resample", Opset::ios15,
     "x=fp16[3,2,5,6] coordinates=int32[3,5,2,2] sampling_mode=string:nearest "
     "padding_mode=string:reflection padding_value=fp16:1.5 coordinates_mode=string:unnormalized "
     "align_corners=bool:true",
     "fp16[3,2,5,2]",
     "x=fp16[1,2,4,4] coordinates=fp16[1,3,5,2] sampling_mode=string:nearest "
     "padding_mode=string:border padding_value=fp16:0 coordinates_mode=string:unnormalized "
     "align_corners=bool:false",
     "arg.dtype: coordinates is tensor<fp16, [1, 3, 5, 2]> but the op takes fp32 or int32 there"},
    {"resample", Opset::ios16,
     "x=fp16[1,2,4,4] coordinates=fp16[1,3,5,2] sampling_mode=string:nearest "
     "padding_mode=string:border padding_value=fp16:0 coordinates_mode=string:unnormalized "
     "align_corners=bool:false",
     "fp16[1,2,3,5]",
     "x=fp16[2,2,2,3] coordinates=uint8[2,4,5,2] sampling_mode=string:bilinear "
     "padding_mode=string:border padding_value=fp16:1.5 coordinates_mode=string:unnormalized "
     "align_corners=bool:true",
     "arg.dtype: coordinates is tensor<uint8, [2, 4, 5, 2]> but the op takes fp16, fp32 or int32 "
     "there"},
    {"resample", Opset::ios18,
     "x=fp16[1,2,4,4] coordinates=fp16[1,3,5,2] sampling_mode=string:nearest "
     "padding_mode=string:border padding_value=fp16:0 coordinates_mode=string:unnormalized "
     "align_corners=bool:false",
     "fp16[1,2,3,5]",
     "x=fp16[3,2,3,3] coordinates=int32[2,2,2] sampling_mode=string:nearest "
     "padding_mode=string:border padding_value=fp16:0.0 coordinates_mode=string:unnormalized "
     "align_corners=bool:true",
     "resample.coordinates: coordinates has shape [2, 2, 2] but must have [3, ?, ?, 2]"},
    {"reshape", Opset::ios15, "x=fp16[2,3,4] shape=int32[2]:6,-1", "fp16[6,4]",
     "x=int8 shape=int8[2]:1",
     "arg.dtype: x is int8 but the op takes bool, fp16, fp32 or int32 there"},
    {"reshape", Opset::ios18, "x=fp16[2,3,4] shape=int32[2]:6,-1", "fp16[6,4]",
     "x=bool[2,3,4] shape=int32[2]:-1",
     "reshape.free: shape has -1 at 0 and at 1 but only one dim can be worked out"},
    {"reshape_like", Opset::ios16,
     "x=fp16[6] ref_tensors=(fp16[2,3]) begins=(int32:0) ends=(int32:2) end_masks=(bool:false)",
     "fp16[2,3]",
     "x=uint16[2] ref_tensors=(bool[2]) begins=(int32:0) ends=(int32:1) end_masks=(bool:false)",
     "arg.dtype: x is tensor<uint16, [2]> but the op takes bool, fp16, fp32 or int32 there"},
    {"reshape_like", Opset::ios18,
     "x=fp16[6] ref_tensors=(fp16[2,3]) begins=(int32:0) ends=(int32:2) end_masks=(bool:false)",
     "fp16[2,3]",
     "x=fp32[6] ref_tensors=(fp32[2,3]) begins=(int32:0) ends=(int32:2) end_masks=(int32:0)",
     "reshape_like.bound: end_masks[0] is int32 but must be a constant bool"},
    {"resize", Opset::ios18, "x=fp16[1,2,4,4] shape=int32[2]:8,0 resized_dims=uint32:2",
     "fp16[1,2,8,4]", "x=fp16[2,3,4] shape=int32[1]:3 resized_dims=uint32:2",
     "resize.dims: resized_dims is 2 but must lie in [0, 1] for shape of 1 entries"},
    {"resize_bilinear", Opset::ios18,
     "x=fp16[1,2,4,4] target_size_height=int32:3 target_size_width=int32:5", "fp16[1,2,3,5]",
     "x=fp32[3,4] target_size_height=int32:9",
     "resize_images.rank: x has shape [3, 4] but must have rank 3 or more"},
    {"resize_nearest_neighbor", Opset::ios18,
     "x=fp16[1,2,4,4] target_size_height=int32:3 target_size_width=int32:5", "fp16[1,2,3,5]",
     "x=fp16[3] target_size_height=int32:5 target_size_width=int32:1",
     "resize_images.rank: x has shape [3] but must have rank 3 or more"},
    {"reverse", Opset::ios15, "x=fp16[2,3] axes=int32[1]:0", "fp16[2,3]", "x=uint8[4]",
     "arg.dtype: x is tensor<uint8, [4]> but the op takes bool, fp16, fp32 or int32 there"},
    {"reverse", Opset::ios18, "x=fp16[2,3] axes=int32[1]:0", "fp16[2,3]",
     "x=fp16[2,3] axes=int32[1]:2",
     "reverse.axis: axes holds 2 but must lie in [-2, 2) for rank 2"},
    {"reverse_sequence", Opset::ios15, "x=fp16[2,3] lengths=int32[2] seq_axis=int32:1", "fp16[2,3]",
     "x=uint8[3,1] lengths=int8[3] seq_axis=int32:1 batch_axis=int32:0",
     "arg.dtype: x is tensor<uint8, [3, 1]> but the op takes bool, fp16, fp32 or int32 there"},
    {"reverse_sequence", Opset::ios18, "x=fp16[2,3] lengths=int32[2] seq_axis=int32:1", "fp16[2,3]",
     "x=fp16[2,3] lengths=int32[3] seq_axis=int32:1",
     "reverse_sequence.lengths: lengths has shape [3] but must have [2]"},
    {"rnn", Opset::ios15,
     "x=fp32[1,1,4] initial_h=fp32[1,2] weight_ih=fp32[2,4]:0.25 weight_hh=fp32[2,2]:0.25",
     "fp32[1,1,2] fp32[1,2]",
     "x=fp16[5,1,3] initial_h=fp16[1,2] weight_ih=%fp16[2,3] weight_hh=%fp16[2,2]",
     "arg.dtype: x is tensor<fp16, [5, 1, 3]> but the op takes fp32 there"},
    {"rnn", Opset::ios18,
     "x=fp16[5,1,3] initial_h=fp16[1,2] weight_ih=%fp16[2,3] weight_hh=%fp16[2,2]",
     "fp16[1,1,2] fp16[1,2]",
     "x=fp16[3,4] initial_h=fp16[2,5] weight_ih=%fp16[5,4] weight_hh=%fp16[5,5]",
     "recurrent.rank: x has shape [3, 4] but must have rank 3"},
    {"round", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"rsqrt", Opset::ios15, "x=fp16[2]", "fp16[2]", "x=fp16[s0,3,3,5] epsilon=fp32:0.5",
     "arg.domain: epsilon is fp32 but x is fp16, and both must have one dtype"},
    {"rsqrt", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=fp16[2] epsilon=fp32",
     "arg.const: epsilon is a run-time value but must be known when the program is compiled"},
    {"scaled_dot_product_attention", Opset::ios18,
     "query=fp16[1,2,4,8] key=fp16[1,2,6,8] value=fp16[1,2,6,3] attn_mask=fp16[4,6]",
     "fp16[1,2,4,3]", "query=fp16[2,3,4] key=fp16[2,5,4] value=fp16[2,4,6]",
     "attention.sequence: key has 5 positions (shape [2, 5, 4]) but value has 4 (shape [2, 4, 6])"},
    {"scaled_tanh", Opset::ios15, "x=fp16[2] alpha=fp16:1 beta=fp16:2", "fp16[2]",
     "x=fp16 alpha=fp32:0.375 beta=fp32:1.25",
     "arg.domain: alpha is fp32 but x is fp16, and both must have one dtype"},
    {"scaled_tanh", Opset::ios18, "x=fp16[2] alpha=fp16:1 beta=fp16:2", "fp16[2]",
     "x=fp32 beta=fp32 alpha=fp32:0.375",
     "arg.const: beta is a run-time value but must be known when the program is compiled"},
    {"scatter", Opset::ios15, "data=fp16[4,5] indices=int32[3] updates=fp16[3,5]", "fp16[4,5]",
     "data=int32[3] indices=int32[4] updates=int32[4] mode=string:max validate_indices=bool:true",
     "arg.unknown: there is no argument validate_indices"},
    {"scatter", Opset::ios18, "data=fp16[4,5] indices=int32[3] updates=fp16[3,5]", "fp16[4,5]",
     "data=int32[3,4] indices=int32[2] updates=int32[2]",
     "scatter.updates: updates has shape [2] but must have [2, 4]"},
    {"scatter_along_axis", Opset::ios15, "data=fp16[4,5] indices=int32[2,5] updates=fp16[2,5]",
     "fp16[4,5]",
     "data=fp32[3] indices=int32[3] updates=fp32[3] axis=int32:0 mode=string:min "
     "validate_indices=bool:true",
     "arg.unknown: there is no argument validate_indices"},
    {"scatter_along_axis", Opset::ios18, "data=fp16[4,5] indices=int32[2,5] updates=fp16[2,5]",
     "fp16[4,5]", "data=int32[3,4] indices=int32[2] updates=int32[2]",
     "scatter_along_axis.shape: indices has shape [2] but data has [3, 4], and only dim 0 (axis) "
     "may differ"},
    {"scatter_nd", Opset::ios15, "data=fp16[4,5] indices=int32[3,1] updates=fp16[3,5]", "fp16[4,5]",
     "data=fp32[2,5,3,5] indices=int32[2,2] updates=fp32[2,3,5] validate_indices=bool:false",
     "arg.unknown: there is no argument validate_indices"},
    {"scatter_nd", Opset::ios18, "data=fp16[4,5] indices=int32[3,1] updates=fp16[3,5]", "fp16[4,5]",
     "data=fp16[3,4] indices=int32[2,1] updates=fp16[2,3]",
     "scatter_nd.updates: updates has shape [2, 3] but must have [2, 4]"},
    {"select", Opset::ios18, "cond=bool[2,1] a=fp16[3] b=fp16", "fp16[2,3]",
     "cond=bool[2] a=fp16[3] b=fp16[3]",
     "broadcast.shapes: cond has shape [2], which does not broadcast with [3], the shape of a and "
     "b"},
    {"shape", Opset::ios18, "x=fp16[2,3]", "int32[2]", "x=int8[2]",
     "arg.dtype: x is tensor<int8, [2]> but the op takes bool, fp16, fp32 or int32 there"},
    {"sigmoid", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"sigmoid_hard", Opset::ios15, "x=fp16[2] alpha=fp16:0.2 beta=fp16:0.5", "fp16[2]",
     "x=fp16[2,3] alpha=fp32:0.75 beta=fp32:1.75",
     "arg.domain: alpha is fp32 but x is fp16, and both must have one dtype"},
    {"sigmoid_hard", Opset::ios18, "x=fp16[2] alpha=fp16:0.2 beta=fp16:0.5", "fp16[2]",
     "x=fp32[2,2,1,3] alpha=fp16:0.75 beta=fp32:1",
     "arg.domain: beta is fp32 but alpha is fp16, and both must have one dtype"},
    {"sign", Opset::ios18, "x=int32[2]", "int32[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16, fp32 or int32 there"},
    {"silu", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[3,5,3,5]",
     "arg.dtype: x is tensor<bool, [3, 5, 3, 5]> but the op takes fp16 or fp32 there"},
    {"sin", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"sinh", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"slice_by_index", Opset::ios15,
     "x=fp16[4,5] begin=int32[2]:0,1 end=int32[2]:4,5 stride=int32[2]:2,1", "fp16[2,4]",
     "x=int16[5] begin=int8[1]:3 end=int8[1]:5 stride=int8[1]:1",
     "arg.dtype: x is tensor<int16, [5]> but the op takes bool, fp16, fp32 or int32 there"},
    {"slice_by_index", Opset::ios18,
     "x=fp16[4,5] begin=int32[2]:0,1 end=int32[2]:4,5 stride=int32[2]:2,1", "fp16[2,4]",
     "x=int32[4,5] begin=int32[1]:0 end=int32[2]:2",
     "slice.length: begin has shape [1] but takes one entry for each of the 2 dims of [4, 5]"},
    {"slice_by_size", Opset::ios15, "x=fp16[4,5] begin=int32[2]:1,0 size=int32[2]:2,-1",
     "fp16[2,5]", "x=bool[5,5] size=int8[2] begin=int8[2]:3,0",
     "arg.dtype: begin is tensor<int8, [2]> but the op takes int32 there"},
    {"slice_by_size", Opset::ios18, "x=fp16[4,5] begin=int32[2]:1,0 size=int32[2]:2,-1",
     "fp16[2,5]", "x=fp32[4,5] begin=int32[1]:0 size=int32[2]:1",
     "slice_by_size.length: begin has shape [1] but must have [2]"},
    {"slice_update", Opset::ios18,
     "x=fp16[4,5] update=fp16[2,5] begin=int32[2]:1,0 end=int32[2]:3,5", "fp16[4,5]",
     "x=fp16[4,5] update=fp16[2] begin=int32[2]:0 end=int32[2]:2",
     "slice_update.shape: update has shape [2] but must have [2, 2]"},
    {"sliding_windows", Opset::ios15, "x=fp16[2,7] axis=int32:1 size=int32:3 stride=int32:2",
     "fp16[2,3,3]", "x=uint8[2] axis=int32:0 size=int32:1",
     "arg.dtype: x is tensor<uint8, [2]> but the op takes fp16, fp32 or int32 there"},
    {"sliding_windows", Opset::ios18, "x=fp16[2,7] axis=int32:1 size=int32:3 stride=int32:2",
     "fp16[2,3,3]", "x=int32[4,5] axis=int32:2 size=int32:2",
     "sliding_windows.axis: axis is 2 but must lie in [-2, 2) for rank 2"},
    {"softmax", Opset::ios18, "x=fp16[2,3] axis=int32:-1", "fp16[2,3]", "x=fp16[2,3] axis=int32:2",
     "softmax.axis: axis is 2 but must lie in [-2, 2) for rank 2"},
    {"softplus", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"softplus_parametric", Opset::ios15, "x=fp16[1,3,4] alpha=%fp16[3] beta=%fp16[3]",
     "fp16[1,3,4]", "x=fp16[4,2,2,2] alpha=fp32[2]:-1.0,-2.75 beta=fp32[2]:0.125,3.0",
     "arg.domain: alpha is fp32 but x is fp16, and both must have one dtype"},
    {"softplus_parametric", Opset::ios18, "x=fp16[1,3,4] alpha=%fp16[3] beta=%fp16[3]",
     "fp16[1,3,4]", "x=fp32[2,3] alpha=fp16[3]:0.5 beta=fp16[3]:0.5",
     "softplus_parametric.rank: x has shape [2, 3] but must have rank 3 or more"},
    {"softsign", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"space_to_batch", Opset::ios18,
     "x=fp16[1,2,6,6] block_shape=int32[2]:2,2 paddings=int32[2,2]:0", "fp16[4,2,3,3]",
     "x=fp16[4,2,4,4] block_shape=int32[2]:2 paddings=int32[4]:0",
     "space_to_batch.shape: paddings has shape [4] but must have [2, 2]"},
    {"space_to_depth", Opset::ios18, "x=fp16[1,2,4,6] block_size=int32:2", "fp16[1,8,2,3]",
     "x=fp32[4,4,4] block_size=int32:2",
     "space_to_depth.rank: x has shape [4, 4, 4] but must have rank 4"},
    {"split", Opset::ios18, "x=fp16[6,2] num_splits=int32:3 axis=int32:0",
     "fp16[2,2] fp16[2,2] fp16[2,2]", "x=fp32[6,4] axis=int32:0",
     "split.parts: neither num_splits nor split_sizes is given but one of them must be"},
    {"sqrt", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"square", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16, fp32 or int32 there"},
    {"squeeze", Opset::ios15, "x=fp16[1,2,1] axes=int32[1]:0", "fp16[2,1]", "x=int16[4]",
     "arg.dtype: x is tensor<int16, [4]> but the op takes bool, fp16, fp32 or int32 there"},
    {"squeeze", Opset::ios18, "x=fp16[1,2,1] axes=int32[1]:0", "fp16[2,1]",
     "x=bool[1,3,1] axes=int32[1]:3",
     "squeeze.axis: axes holds 3 but must lie in [-3, 3) for rank 3"},
    {"stack", Opset::ios18, "values=(fp16[2,3] fp16[2,3]) axis=int32:1", "fp16[2,2,3]",
     "values=() axis=int32:0", "stack.count: there are 0 values but at least 1 is needed"},
    {"sub", Opset::ios18, "x=fp16[2] y=fp16", "fp16[2]", "x=fp32[2,3] y=fp32[2,4]",
     "broadcast.shapes: x has shape [2, 3] and y has shape [2, 4], which do not broadcast"},
    {"tan", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"tanh", Opset::ios18, "x=fp16[2]", "fp16[2]", "x=bool[2]",
     "arg.dtype: x is tensor<bool, [2]> but the op takes fp16 or fp32 there"},
    {"threshold", Opset::ios18, "x=int32[2] alpha=int32:1", "int32[2]",
     "x=%fp32[5,1,4,2,5] alpha=fp16:1",
     "arg.domain: alpha is fp16 but x is fp32, and both must have one dtype"},
    {"thresholded_relu", Opset::ios15, "x=fp16[2] alpha=fp16:1", "fp16[2]", "x=fp32 alpha=fp16:0.5",
     "arg.domain: alpha is fp16 but x is fp32, and both must have one dtype"},
    {"thresholded_relu", Opset::ios18, "x=fp16[2] alpha=fp16:1", "fp16[2]", "x=fp16[2] alpha=fp32",
     "arg.const: alpha is a run-time value but must be known when the program is compiled"},
    {"tile", Opset::ios18, "x=fp16[2,3] reps=int32[2]:1,2", "fp16[2,6]",
     "x=fp32[2,3] reps=int32[1]:2", "tile.length: reps has 1 entries but x has rank 2"},
    {"topk", Opset::ios15, "x=fp16[2,5] k=int32:3 axis=int32:1", "fp16[2,3] int32[2,3]",
     "x=int32[5,2,2] sort=bool:false", "arg.unknown: there is no argument sort"},
    {"topk", Opset::ios16, "x=fp16[2,5] k=int32:3 axis=int32:1", "fp16[2,3] int32[2,3]",
     "x=uint16[2,4,5,4] return_indices=bool:false",
     "arg.dtype: x is tensor<uint16, [2, 4, 5, 4]> but the op takes fp16, fp32 or int32 there"},
    {"topk", Opset::ios18, "x=fp16[2,5] k=int32:3 axis=int32:1", "fp16[2,3] int32[2,3]",
     "x=int16[2,3] k=int32:4", "topk.k: k is 4 but dim 1 of x has 3 elements"},
    {"transpose", Opset::ios15, "x=fp16[1,2,3,4] perm=int32[4]:0,1,3,2", "fp16[1,2,4,3]",
     "x=uint8[2] perm=int32[1]:0",
     "arg.dtype: x is tensor<uint8, [2]> but the op takes bool, fp16, fp32 or int32 there"},
    {"transpose", Opset::ios18, "x=fp16[1,2,3,4] perm=int32[4]:0,1,3,2", "fp16[1,2,4,3]",
     "x=int16[2,3,4] perm=int32[2]:1,0", "transpose.perm: perm has 2 entries but x has rank 3"},
    {"upsample_bilinear", Opset::ios15,
     "x=fp16[1,2,3,4] scale_factor_height=int32:2 scale_factor_width=int32:3", "fp16[1,2,6,12]",
     "x=fp32[2,3,5] scale_factor_height=int32:3 scale_factor_width=int32:1 "
     "align_corners=bool:false half_pixel_centers=bool:true",
     "arg.unknown: there is no argument half_pixel_centers"},
    {"upsample_bilinear", Opset::ios18,
     "x=fp16[1,2,3,4] scale_factor_height=int32:2 scale_factor_width=int32:3", "fp16[1,2,6,12]",
     "x=fp32[3]", "upsample.rank: x has shape [3] but must have rank 3 or more"},
    {"upsample_nearest_neighbor", Opset::ios18,
     "x=fp16[1,2,3,4] scale_factor_height=fp32:1.5 scale_factor_width=fp32:2", "fp16[1,2,4,8]",
     "x=fp32[3]", "upsample.rank: x has shape [3] but must have rank 3 or more"},
    {"while_loop", Opset::ios18,
     "loop_vars=(int32 fp16[2]) in0=(int32 fp16[2]) out0=(bool) in1=(int32 fp16[2]) out1=(int32 "
     "fp16[2])",
     "int32 fp16[2]", "loop_vars=(int32) in0=(int32) out0=(int32) in1=(int32) out1=(int32)",
     "while_loop.condition: the condition is int32 but must be bool"},
    {"write_state", Opset::ios18, "input=state<fp16[2]> data=fp16[2]", "",
     "input=state<fp16[2]> data=fp32[2]",
     "state.type: data is tensor<fp32, [2]> but input is state<tensor<fp16, [2]>>"},
};

/// The signature that holds for the case's opset, as its number.
std::size_t signature_of(const OpInfo& op, Opset opset) {
  std::size_t out = 0;
  for (std::size_t i = 0; i < op.signatures.size(); ++i) {
    if (op.signatures[i].since <= opset) out = i;
  }
  return out;
}

/// Refusals that follow from the rows alone, derived from a line that is accepted.
class Refusals {
 public:
  int count = 0;

  explicit Refusals(const OwnCase& own) : own_(own), op_(*find_op(own.op)) {
    REQUIRE(read_line(own.accepted, line_));
  }

  void try_all() {
    if (op_.since() > Opset::ios15) {
      const auto before = static_cast<Opset>(static_cast<int>(op_.since()) - 1);
      expect("op.opset", infer_parsed(op_, before, line_), opset_name(before));
    }
    ParsedLine more = line_;
    more.arguments.push_back({"no_such", false, {value_of(DType::fp16, 0, false)}});
    expect("arg.unknown", more, "no_such");
    for (const Param& param : op_.params(own_.opset)) {
      if (param.kind == ParamKind::block) continue;
      try_missing(param);
      try_kind(param);
      try_dtypes(param);
      try_domain(param);
      try_run_time(param);
      try_rank(param);
      try_choice(param);
    }
  }

 private:
  static OwnedValue value_of(DType dtype, int rank, bool is_const) {
    OwnedValue out;
    out.type.dtype = dtype;
    out.type.shape = Shape(static_cast<std::size_t>(rank), 1);
    out.is_const = is_const;
    return out;
  }
  static DType first_of(DTypeSet dtypes) {
    int i = 0;
    while (!dtypes.has(static_cast<DType>(i))) ++i;
    return static_cast<DType>(i);
  }
  static bool is_list(const Param& param) {
    return param.form == Form::integers || param.form == Form::booleans;
  }

  /// The argument of the line, or one that the row would take where the line has none.
  Argument argument_for(const Param& param) const {
    for (const Argument& argument : line_.arguments) {
      if (argument.name == param.name) return argument;
    }
    return {std::string(param.name),
            false,
            {value_of(first_of(param.dtypes), is_list(param) ? 1 : 0, param.is_const)}};
  }
  /// The line with this argument in the place of the one of its name.
  ParsedLine with(Argument changed) const {
    ParsedLine out = line_;
    for (Argument& argument : out.arguments) {
      if (argument.name != changed.name) continue;
      argument = std::move(changed);
      return out;
    }
    out.arguments.push_back(std::move(changed));
    return out;
  }

  void try_missing(const Param& param) {
    ParsedLine less;
    less.blocks = line_.blocks;
    for (const Argument& argument : line_.arguments) {
      if (argument.name != param.name) less.arguments.push_back(argument);
    }
    if (param.required()) expect("arg.missing", less, param.name);
  }
  void try_kind(const Param& param) {
    if (param.kind == ParamKind::any) return;
    Argument changed{std::string(param.name), param.kind != ParamKind::variadic, {}};
    changed.values.push_back(value_of(DType::fp16, 1, false));
    expect("arg.kind", with(changed), param.name);
  }
  void try_dtypes(const Param& param) {
    for (int i = 1; i < kDTypeCount && !param.dtypes.empty(); ++i) {
      const auto dtype = static_cast<DType>(i);
      if (param.dtypes.has(dtype)) continue;
      Argument changed = argument_for(param);
      changed.values.front().type.dtype = dtype;
      expect("arg.dtype", with(changed), fmt::format("{} {}", param.name, dtype_name(dtype)));
    }
  }
  void try_domain(const Param& param) {
    if (param.domain == '\0' || param.kind != ParamKind::tensor) return;
    // That of a partner that is given: this argument may be one that the line leaves out.
    DType taken = DType::none;
    for (const Param& other : op_.params(own_.opset)) {
      if (other.domain == param.domain && other.name != param.name && has(other.name)) {
        taken = argument_for(other).values.front().type.dtype;
      }
    }
    if (taken == DType::none) return;
    Argument changed = argument_for(param);
    for (int i = 1; i < kDTypeCount; ++i) {
      const auto dtype = static_cast<DType>(i);
      if (dtype == taken || !param.dtypes.has(dtype)) continue;
      changed.values.front().type.dtype = dtype;
      expect("arg.domain", with(changed), fmt::format("{} {}", param.name, dtype_name(dtype)));
    }
  }
  void try_run_time(const Param& param) {
    if (!param.is_const || param.kind != ParamKind::tensor) return;
    Argument changed = argument_for(param);
    changed.values.front().is_const = false;
    expect("arg.const", with(changed), param.name);
  }
  void try_rank(const Param& param) {
    const bool is_scalar = param.form != Form::operand && param.form != Form::extents;
    if (!is_scalar) return;
    Argument changed = argument_for(param);
    changed.values.front().type.shape = Shape(is_list(param) ? 0 : 1, 1);
    expect("arg.rank", with(changed), param.name);
  }
  void try_choice(const Param& param) {
    if (param.choices.empty()) return;
    Argument changed = argument_for(param);
    changed.values.front().known = true;
    changed.values.front().texts = {"no such word"};
    expect("arg.choice", with(changed), param.name);
  }

  bool has(std::string_view name) const {
    for (const Argument& argument : line_.arguments) {
      if (argument.name == name) return true;
    }
    return false;
  }
  void expect(std::string_view id, const ParsedLine& line, std::string_view what) {
    expect(id, infer_parsed(op_, own_.opset, line), what);
  }
  void expect(std::string_view id, const Outcome& outcome, std::string_view what) {
    ++count;
    for (const Diagnostic& diagnostic : outcome.diagnostics.all()) {
      if (diagnostic.id == id) return;
    }
    FAIL_CHECK(op_.name, " in ", opset_name(own_.opset), ", ", what, ": no ", id, " but ",
               outcome.accepted ? "accepted" : outcome.diagnostics.all().front().message);
  }

  const OwnCase& own_;
  const OpInfo& op_;
  ParsedLine line_;
};

}  // namespace

namespace {

constexpr std::int64_t kSymbol = kFirstSymbolDim - 7;

/// Whether each result is what it was, but for dims that are no longer known, and the symbol where
/// `dim` was.
bool follows(const std::vector<OwnedType>& got, const std::vector<OwnedType>& was,
             std::int64_t dim) {
  if (got.size() != was.size()) return false;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (got[i].kind != was[i].kind || got[i].dtype != was[i].dtype) return false;
    if (got[i].shape.size() != was[i].shape.size()) return false;
    for (std::size_t d = 0; d < got[i].shape.size(); ++d) {
      const std::int64_t now = got[i].shape[d];
      const std::int64_t before = was[i].shape[d];
      if (now != before && now != kUnknownDim && !(now == kSymbol && before == dim)) return false;
    }
  }
  return true;
}

/// Puts the symbol in the place of each dim of a run-time tensor, one after another. How many.
int check_symbols(const OwnCase& own, const ParsedLine& line, std::size_t argument,
                  std::size_t index, const std::vector<OwnedType>& results) {
  const OwnedValue& value = line.arguments[argument].values[index];
  if (value.is_const || value.type.kind != TypeKind::tensor) return 0;
  for (std::size_t d = 0; d < value.type.shape.size(); ++d) {
    ParsedLine changed = line;
    changed.arguments[argument].values[index].type.shape[d] = kSymbol;
    DataContext context(*find_op(own.op), own.opset, changed.arguments, changed.blocks);
    const bool accepted = context.run();
    CHECK_MESSAGE(
        (accepted && follows(context.results(), results, value.type.shape[d])),
        own.op << " " << own.accepted << ": " << line.arguments[argument].name << ", dim " << d);
  }
  return static_cast<int>(value.type.shape.size());
}

}  // namespace

TEST_CASE("an op is accepted with a symbol for a dim, and its results follow") {
  // The values of these dims are part of the op: how many indices address an element, and what
  // shape is copied; and a dim of 1 is dropped only where it is known to be one.
  const std::set<std::pair<std::string_view, std::string_view>> kMustBeKnown = {
      {"gather_nd", "indices"},
      {"scatter_nd", "indices"},
      {"reshape_like", "ref_tensors"},
      {"squeeze", "x"},
  };
  int count = 0;
  for (const OwnCase& own : kOwnCases) {
    ParsedLine line;
    REQUIRE(read_line(own.accepted, line));
    DataContext before(*find_op(own.op), own.opset, line.arguments, line.blocks);
    REQUIRE(before.run());
    for (std::size_t a = 0; a < line.arguments.size(); ++a) {
      if (kMustBeKnown.count({own.op, line.arguments[a].name}) != 0) continue;
      for (std::size_t v = 0; v < line.arguments[a].values.size(); ++v) {
        count += check_symbols(own, line, a, v, before.results());
      }
    }
  }
  MESSAGE(count, " dims");
}

TEST_CASE("every op and every signature has a case of its own") {
  std::map<std::string_view, std::set<std::size_t>> seen;
  for (const OwnCase& own : kOwnCases) {
    const OpInfo* op = find_op(own.op);
    REQUIRE_MESSAGE(op != nullptr, own.op);
    CHECK_MESSAGE(!own.accepted.empty(), own.op);
    CHECK_MESSAGE(!own.refused.empty(), own.op);
    CHECK_MESSAGE(seen[own.op].insert(signature_of(*op, own.opset)).second,
                  own.op << " has two cases of one signature");
  }
  for (const OpInfo& op : op_table()) {
    CHECK_MESSAGE(seen[op.name].size() == op.signatures.size(),
                  op.name << " has cases of " << seen[op.name].size() << " of its "
                          << op.signatures.size() << " signatures");
  }
  MESSAGE(std::size(kOwnCases), " signatures of ", op_table().size(), " ops");
}

TEST_CASE("every op by example, accepted and refused") {
  for (const OwnCase& own : kOwnCases) {
    std::string why;
    const bool accepted =
        as_expected(infer_line(own.op, own.accepted, own.opset), own.results, why);
    CHECK_MESSAGE(accepted, own.op << " " << own.accepted << "\n    wants " << own.results
                                   << "\n    has   " << why);
    const bool refused = as_expected(infer_line(own.op, own.refused, own.opset), own.error, why);
    CHECK_MESSAGE(refused, own.op << " " << own.refused << "\n    wants " << own.error
                                  << "\n    has   " << why);
  }
}

TEST_CASE("what the rows state is refused for every argument of every signature") {
  int count = 0;
  for (const OwnCase& own : kOwnCases) {
    Refusals refusals(own);
    refusals.try_all();
    count += refusals.count;
  }
  MESSAGE(count, " refusals");
}
