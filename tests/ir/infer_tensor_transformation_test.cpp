#include "ir/infer_lines.h"

using namespace milgen;
using namespace milgen::test;

TEST_CASE("space, depth and pixels") {
  const Line lines[] = {
      {"depth_to_space", "x=fp16[1,8,s0,3] block_size=int32:2", "fp16[1,2,?,6]"},
      {"depth_to_space", "x=fp16[1,s0,2,3] block_size=int32:1", "fp16[1,s0,2,3]"},
      {"depth_to_space", "x=fp16[8,2,3] block_size=int32:2",
       "depth_to_space.rank: x has shape [8, 2, 3] but must have rank 4"},
      {"depth_to_space", "x=fp16[1,8,2,3] block_size=int32:0",
       "depth_to_space.block: block_size is 0 but must be 1 or more"},
      {"depth_to_space", "x=fp16[1,5,2,3] block_size=int32:2",
       "depth_to_space.channels: x has 5 channels, which block_size = 2 does not divide"},
      {"space_to_depth", "x=fp16[s0,2,4,6] block_size=int32:2", "fp16[s0,8,2,3]"},
      {"space_to_depth", "x=fp16[4,4,4] block_size=int32:2", "space_to_depth.rank: x has shape [4"},
      {"space_to_depth", "x=fp16[1,2,4,6] block_size=int32:-1",
       "space_to_depth.block: block_size is -1 but must be 1 or more"},
      {"space_to_depth", "x=fp16[1,2,4,5] block_size=int32:2",
       "space_to_depth.divides: x has shape [1, 2, 4, 5] but block_size = 2 does not divide dim 3"},
      {"pixel_shuffle", "x=fp16[1,9,2,2] upscale_factor=int32:3", "fp16[1,1,6,6]"},
      {"pixel_shuffle", "x=fp16[9,2,2] upscale_factor=int32:3", "pixel_shuffle.rank: x has shape"},
      {"pixel_shuffle", "x=fp16[1,9,2,2] upscale_factor=int32:0",
       "pixel_shuffle.factor: upscale_factor is 0 but must be 1 or more"},
      {"pixel_shuffle", "x=fp16[1,9,2,2] upscale_factor=int32:2",
       "pixel_shuffle.channels: x has 9 channels, which upscale_factor = 2 does not divide"},
      {"pixel_unshuffle", "x=fp16[s0,1,6,6] downscale_factor=uint32:2", "fp16[s0,4,3,3]"},
      {"pixel_unshuffle", "x=fp16[1,6,6] downscale_factor=uint32:2", "pixel_unshuffle.rank: x has"},
      {"pixel_unshuffle", "x=fp16[1,1,6,6] downscale_factor=uint32:0",
       "pixel_unshuffle.factor: downscale_factor is 0 but must be 1 or more"},
      {"pixel_unshuffle", "x=fp16[1,1,6,5] downscale_factor=uint32:2",
       "pixel_unshuffle.divides: x has shape [1, 1, 6, 5] but downscale_factor = 2 does not"},
  };
  check_lines(lines);
}

TEST_CASE("space_to_batch, batch_to_space") {
  const Line lines[] = {
      {"space_to_batch", "x=fp16[1,2,4,5] block_shape=int32[2]:2,3 paddings=int32[2,2]:0,0,1,0",
       "fp16[6,2,2,2]"},
      {"space_to_batch", "x=fp16[1,2,s0,5] block_shape=int32[2]:1,5 paddings=int32[2,2]:0",
       "fp16[5,2,s0,1]"},
      {"space_to_batch", "x=fp16[2,4,5] block_shape=int32[2]:2,2 paddings=int32[2,2]:0",
       "space_to_batch.rank: x has shape [2, 4, 5] but must have rank 4"},
      {"space_to_batch", "x=fp16[1,2,4,4] block_shape=int32[2]:2,2 paddings=int32[4]:0",
       "space_to_batch.shape: paddings has shape [4] but must have [2, 2]"},
      {"space_to_batch", "x=fp16[1,2,4,4] block_shape=int32[2]:2,0 paddings=int32[2,2]:0",
       "space_to_batch.value: block_shape holds 0 but takes 1 or more"},
      {"space_to_batch", "x=fp16[1,2,4,5] block_shape=int32[2]:2,2 paddings=int32[2,2]:0",
       "space_to_batch.divides: dim 3 has 5 elements with its paddings, which block_shape[1] = 2"},
      {"space_to_batch", "x=fp16[1,2,4,4] block_shape=int32[2]:2,2 paddings=%int32[2,2]",
       "arg.value: the elements of paddings are not at hand"},
      {"batch_to_space", "x=fp16[6,2,2,2] block_shape=int32[2]:2,3 crops=int32[2,2]:0,0,1,0",
       "fp16[1,2,4,5]"},
      {"batch_to_space", "x=fp16[s0,2,2,2] block_shape=int32[2]:2,1 crops=int32[2,2]:0",
       "fp16[?,2,4,2]"},
      {"batch_to_space", "x=fp16[4,2,2] block_shape=int32[2]:2,2 crops=int32[2,2]:0",
       "batch_to_space.rank: x has shape [4, 2, 2] but must have rank 4"},
      {"batch_to_space", "x=fp16[4,2,2,2] block_shape=int32[1]:2 crops=int32[2,2]:0",
       "batch_to_space.shape: block_shape has shape [1] but must have [2]"},
      {"batch_to_space", "x=fp16[4,2,2,2] block_shape=int32[2]:2,2 crops=int32[2,2]:0,0,0,-1",
       "batch_to_space.value: crops holds -1 but takes 0 or more"},
      {"batch_to_space", "x=fp16[5,2,2,2] block_shape=int32[2]:2,2 crops=int32[2,2]:0",
       "batch_to_space.divides: x has a batch of 5, which block_shape [2, 2] of 4 elements"},
      {"batch_to_space", "x=fp16[4,2,2,2] block_shape=int32[2]:2,2 crops=int32[2,2]:2",
       "batch_to_space.crops: crops take 4 elements off dim 2, which has 4"},
  };
  check_lines(lines);
}

TEST_CASE("expand_dims, squeeze, transpose") {
  const Line lines[] = {
      {"expand_dims", "x=fp16[s0,3] axes=int32[2]:0,-1", "fp16[1,s0,3,1]"},
      {"expand_dims", "x=fp16 axes=int32[1]:0", "fp16[1]"},
      {"expand_dims", "x=fp16[2,3] axes=int32[1]:3",
       "expand_dims.axis: axes holds 3 but must lie in"},
      {"expand_dims", "x=fp16[2,3] axes=int32[2]:0,-4",
       "expand_dims.axis: axes names axis 0 twice"},
      {"expand_dims", "x=fp16[2,3] axes=int32:1", "arg.rank: axes has shape [] but the op takes a"},
      {"squeeze", "x=fp16[1,s0,1,3]", "fp16[s0,3]"},
      {"squeeze", "x=fp16[1,s0,1,3] axes=int32[1]:-2", "fp16[1,s0,3]"},
      {"squeeze", "x=fp16[1,1] axes=int32[2]:0,1", "fp16"},
      {"squeeze", "x=fp16[1,s0] axes=int32[2]:0,1", "fp16[s0]"},
      {"squeeze", "x=fp16[1,3] axes=int32[1]:2",
       "squeeze.axis: axes holds 2 but must lie in [-2, 2)"},
      {"squeeze", "x=fp16[1,3] axes=int32[1]:1",
       "squeeze.dim: axes names dim 1 of x, which has 3 elements and not 1"},
      {"transpose", "x=fp16[1,2,s0,4] perm=int32[4]:0,1,3,-2", "fp16[1,2,4,s0]"},
      {"transpose", "x=fp16[1,2] perm=int32[3]:0,1,2",
       "transpose.perm: perm has 3 entries but x has rank 2"},
      {"transpose", "x=fp16[1,2] perm=int32[2]:0,2",
       "transpose.axis: perm holds 2 but must lie in"},
      {"transpose", "x=fp16[1,2] perm=int32[2]:1,-1", "transpose.axis: perm names axis 1 twice"},
  };
  check_lines(lines);
}

TEST_CASE("reshape") {
  const Line lines[] = {
      {"reshape", "x=fp16[1,768,1,256] shape=int32[4]:1,12,64,256", "fp16[1,12,64,256]"},
      {"reshape", "x=fp16[2,3,4] shape=int32[2]:-1,6", "fp16[4,6]"},
      {"reshape", "x=fp16[2,3,4] shape=int32[2]:0,-1", "fp16[3,8]"},
      {"reshape", "x=fp16[2,3,4] shape=int32[3]:0,-1,0", "fp16[2,3,4]", Opset::ios15},
      {"reshape", "x=fp16[4,2] shape=int32[3]:0,0,0", "fp16[1,4,2]"},
      {"reshape", "x=fp16[s0,4,4] shape=int32[2]:-1,16", "fp16[s0,16]"},
      {"reshape", "x=fp16[s0,4,4] shape=int32[2]:-1,8", "fp16[?,8]"},
      {"reshape", "x=fp16[s0,4] shape=int32[2]:0,-1", "fp16[s0,4]"},
      {"reshape", "x=fp16[s0,s1,4] shape=int32[3]:0,-1,4", "fp16[s0,s1,4]"},
      {"reshape", "x=fp16[0,4] shape=int32[2]:0,-1", "fp16[0,4]"},
      {"reshape", "x=fp16[2,3] shape=int32[3]", "fp16[?,?,?]"},
      {"reshape", "x=fp16[2,3] shape=int32[s0]", "fp16[*]"},
      {"reshape", "x=fp16[1] shape=int32[0]", "fp16"},
      {"reshape", "x=fp16[2,3] shape=int32:6", "reshape.shape: shape has shape [] but must have"},
      {"reshape", "x=fp16[2,3] shape=int32[2]:-2,3", "reshape.shape: shape[0] is -2 but a dim is"},
      {"reshape", "x=fp16[2,3] shape=int32[2]:-1,-1", "reshape.free: shape has -1 at 0 and at 1"},
      {"reshape", "x=fp16[2,3,4] shape=int32[2]:0,12",
       "reshape.copy: shape [0, 12] copies dim 0 of [2, 3, 4], which takes equal ranks",
       Opset::ios15},
      {"reshape", "x=fp16[2,3,4] shape=int32[2]:0,12",
       "reshape.volume: x has shape [2, 3, 4], whose elements do not fill [0, 12]"},
      {"reshape", "x=fp16[2,3,4] shape=int32[2]:-1,7", "reshape.volume: x has shape [2, 3, 4]"},
      {"reshape", "x=fp16[s0,4] shape=int32[2]:3,3", "reshape.volume: x has shape [?, 4], whose"},
      {"reshape", "x=fp16[9223372036854775807,2] shape=int32[1]:-1",
       "shape.overflow: 9223372036854775807 * 2 elements"},
  };
  check_lines(lines);
}

TEST_CASE("reshape_like") {
  const Line lines[] = {
      {"reshape_like",
       "x=fp16[6] ref_tensors=(fp32[2,9] int32[4,3]) begins=(int32:0 int32:1) "
       "ends=(int32:1 int32:0) end_masks=(bool:false bool:true)",
       "fp16[2,3]"},
      {"reshape_like",
       "x=fp16[6] ref_tensors=(fp32[2,3]) begins=(int32:0 int32:1) ends=(int32:2) "
       "end_masks=(bool:false)",
       "reshape_like.count: begins has 2 entries but ref_tensors has 1"},
      {"reshape_like",
       "x=fp16[6] ref_tensors=(fp32[2,3]) begins=(int32[1]:0) ends=(int32:2) "
       "end_masks=(bool:false)",
       "reshape_like.bound: begins[0] is tensor<int32, [1]> but must be a constant int32"},
      {"reshape_like",
       "x=fp16[6] ref_tensors=(fp32[2,s0]) begins=(int32:0) ends=(int32:2) end_masks=(bool:false)",
       "reshape_like.unknown: ref_tensors[0] has shape [2, ?] but dim 1, which is copied"},
      {"reshape_like",
       "x=fp16[7] ref_tensors=(fp32[2,3]) begins=(int32:0) ends=(int32:2) end_masks=(bool:false)",
       "reshape_like.volume: x has shape [7], whose elements do not fill [2, 3]"},
  };
  check_lines(lines);
}

TEST_CASE("reverse, reverse_sequence, sliding_windows") {
  const Line lines[] = {
      {"reverse", "x=fp16[2,s0]", "fp16[2,s0]"},
      {"reverse", "x=fp16[2,s0] axes=int32[1]:-1", "fp16[2,s0]"},
      {"reverse", "x=fp16[2,3] axes=int32[1]:5",
       "reverse.axis: axes holds 5 but must lie in [-2, 2)"},
      {"reverse_sequence", "x=fp16[4,2] lengths=int32[2] seq_axis=int32:0 batch_axis=int32:1",
       "fp16[4,2]"},
      {"reverse_sequence", "x=fp16[4,2] lengths=int32[4] seq_axis=int32:2",
       "reverse_sequence.axis: seq_axis is 2 but must lie in [-2, 2)"},
      {"reverse_sequence", "x=fp16[4,2] lengths=int32[3] seq_axis=int32:1",
       "reverse_sequence.lengths: lengths has shape [3] but must have [4]"},
      {"sliding_windows", "x=fp16[2,s0,9] axis=int32:-1 size=int32:3 stride=int32:2",
       "fp16[2,s0,4,3]"},
      {"sliding_windows", "x=fp16[s0,9] axis=int32:0 size=int32:3", "fp16[?,3,9]"},
      {"sliding_windows", "x=fp16[4,5] axis=int32:2 size=int32:2",
       "sliding_windows.axis: axis is 2"},
      {"sliding_windows", "x=fp16[4,5] axis=int32:0 size=int32:5",
       "sliding_windows.size: size is 5 but dim 0 of x has 4 elements"},
      {"sliding_windows", "x=fp16[4,5] axis=int32:0 size=int32:0",
       "sliding_windows.size: size is 0 but must be 1 or more"},
      {"sliding_windows", "x=fp16[4,5] axis=int32:0 size=int32:2 stride=int32:0",
       "sliding_windows.stride: stride is 0 but must be 1 or more"},
  };
  check_lines(lines);
}

TEST_CASE("slice_by_index") {
  const Line lines[] = {
      {"slice_by_index", "x=fp16[4,5] begin=int32[2]:1,0 end=int32[2]:3,5", "fp16[2,5]"},
      {"slice_by_index", "x=fp16[9] begin=int32[1]:1 end=int32[1]:8 stride=int32[1]:3", "fp16[3]"},
      {"slice_by_index", "x=fp16[9] begin=int32[1]:-1 end=int32[1]:1 stride=int32[1]:-3",
       "fp16[3]"},
      {"slice_by_index", "x=fp16[4,5] begin=int32[2]:0,0 end=int32[2]:9,9", "fp16[4,5]"},
      {"slice_by_index",
       "x=fp16[4,5] begin=int32[2]:2,0 end=int32[2]:0,0 stride=int32[2]:-1,2 "
       "end_mask=bool[2]:true,true",
       "fp16[3,3]"},
      // Below the first element: one past it for a slice that runs backwards.
      {"slice_by_index", "x=fp16[4] begin=int32[1]:0 end=int32[1]:-5 stride=int32[1]:-1",
       "fp16[1]"},
      {"slice_by_index",
       "x=fp16[4,5,6] begin=int32[3]:1,-1,0 end=int32[3]:2,5,6 "
       "squeeze_mask=bool[3]:true,false,false",
       "fp16[1,6]"},
      {"slice_by_index", "x=fp16[4] begin=int32[1]:2 end=int32[1]:0 squeeze_mask=bool[1]:true",
       "fp16"},
      {"slice_by_index", "x=fp16[4,5] begin=int32[2] end=int32[2]", "fp16[?,?]"},
      {"slice_by_index",
       "x=fp16[4,5] begin=int32[2] end=int32[2] begin_mask=bool[2]:true,false "
       "end_mask=bool[2]:true,false",
       "fp16[4,?]"},
      {"slice_by_index", "x=fp16[4,5] begin=int32[2]:1,2 end=int32[2] end_mask=bool[2]:true,false",
       "fp16[3,?]"},
      // Of a dim that is not known: all of it, none, one, or no one knows.
      {"slice_by_index",
       "x=fp16[s0,s1] begin=int32[2]:0,0 end=int32[2]:0,1 begin_mask=bool[2]:true,false "
       "end_mask=bool[2]:true,false",
       "fp16[s0,1]"},
      {"slice_by_index", "x=fp16[s0,s1] begin=int32[2]:2,-1 end=int32[2]:2,4", "fp16[0,?]"},
      {"slice_by_index",
       "x=fp16[s0,s1,s2] begin=int32[3]:-1,-2,0 end=int32[3]:0,0,1 "
       "begin_mask=bool[3]:false,false,true end_mask=bool[3]:true,true,false",
       "fp16[1,?,1]"},
      {"slice_by_index",
       "x=fp16[s0,s1,s2] begin=int32[3]:0,1,0 end=int32[3]:0,0,-2 stride=int32[3]:-1,-1,-1 "
       "begin_mask=bool[3]:false,false,true end_mask=bool[3]:true,true,false",
       "fp16[1,?,1]"},
      {"slice_by_index",
       "x=fp16[s0] begin=int32[1]:-4 end=int32[1]:0 stride=int32[1]:4 end_mask=bool[1]:true",
       "fp16[1]"},
      {"slice_by_index", "x=fp16[4,5] begin=int32[1]:0 end=int32[2]:2,2",
       "slice.length: begin has shape [1] but takes one entry for each of the 2 dims of [4, 5]"},
      {"slice_by_index", "x=fp16[4,5] begin=int32[2]:0 end=int32[2]:2 end_mask=bool[1]:true",
       "slice.length: end_mask has shape [1] but takes one entry for each of the 2 dims"},
      {"slice_by_index", "x=fp16[4,5] begin=int32[2]:3,0 end=int32[2]:1,2",
       "slice.range: begin is 3 and end is 1 in dim 0, but with stride 1 the end must not come"},
      {"slice_by_index", "x=fp16[4,5] begin=int32[2]:-3,0 end=int32[2]:-1,2 stride=int32[2]:-1,1",
       "slice.range: begin is -3 and end is -1 in dim 0, but with stride -1 the end must not"},
      {"slice_by_index", "x=fp16[4] begin=int32[1]:4 end=int32[1]:5 squeeze_mask=bool[1]:true",
       "slice.range: begin[0] is 4 but dim 0 of x has 4 elements to take one from"},
      {"slice_by_index", "x=fp16[4] begin=int32[1]:0 end=int32[1]:4 stride=int32[1]:0",
       "slice.stride: stride[0] is 0 but must be positive or negative"},
  };
  check_lines(lines);
}

TEST_CASE("slice_by_size") {
  const Line lines[] = {
      {"slice_by_size", "x=fp16[1,9,4] begin=int32[3]:0,3,0 size=int32[3]:1,6,4", "fp16[1,6,4]"},
      {"slice_by_size", "x=fp16[s0,9] begin=int32[2]:0,3 size=int32[2]:-1,-1", "fp16[s0,6]"},
      {"slice_by_size", "x=fp16[s0,9] begin=int32[2]:1,3 size=int32[2]:-1,2", "fp16[?,2]"},
      {"slice_by_size", "x=fp16[4,9] begin=int32[2] size=int32[2]:2,-1", "fp16[2,?]"},
      {"slice_by_size", "x=fp16[4,9] begin=int32[2]:0,0 size=int32[2]", "fp16[?,?]"},
      {"slice_by_size", "x=fp16[4,9] begin=int32[1]:0 size=int32[2]:1,1",
       "slice_by_size.length: begin has shape [1] but must have [2]"},
      {"slice_by_size", "x=fp16[4,9] begin=int32[2]:0,0 size=int32[1,2]:1,1",
       "slice_by_size.length: size has shape [1, 2] but must have [2]"},
      {"slice_by_size", "x=fp16[4,5] begin=int32[2]:0,3 size=int32[2]:4,4",
       "slice_by_size.range: begin[1] = 3 and size[1] = 4 reach 7 but dim 1 of x has 5 elements"},
      {"slice_by_size", "x=fp16[4,5] begin=int32[2]:0,-1 size=int32[2]:4,1",
       "slice_by_size.range: begin[1] is -1 but dim 1 of x has 5 elements"},
      {"slice_by_size", "x=fp16[4,5] begin=int32[2]:0,1 size=int32[2]:-2,1",
       "slice_by_size.range: size[0] is -2 but must be 0 or more, or -1"},
  };
  check_lines(lines);
}

TEST_CASE("slice_update") {
  const Line lines[] = {
      {"slice_update", "x=fp16[4,5] update=fp16[2,5] begin=int32[2]:1,0 end=int32[2]:3,5",
       "fp16[4,5]"},
      {"slice_update", "x=fp16[4,s0] update=fp16[2,s1] begin=int32[2] end=int32[2]", "fp16[4,s0]"},
      {"slice_update", "x=fp16[4,5] update=fp16[2,3] begin=int32[2]:0,0 end=int32[2]:2,2",
       "slice_update.shape: update has shape [2, 3] but must have [2, 2]"},
      {"slice_update",
       "x=fp16[4] update=fp16 begin=int32[1]:0 end=int32[1]:1 squeeze_mask=bool[1]:true",
       "slice_update.rank: update is a scalar but must have rank 1 or more"},
      {"slice_update", "x=fp16[4] update=fp16[2] begin=int32[1]:3 end=int32[1]:1",
       "slice.range: begin is 3 and end is 1 in dim 0"},
      {"slice_update", "x=fp16[4] update=fp16[2] begin=int32[1]:0 end=int32[1]:2",
       "op.opset: the op exists from ios18 on but the program is ios17", Opset::ios17},
  };
  check_lines(lines);
}
