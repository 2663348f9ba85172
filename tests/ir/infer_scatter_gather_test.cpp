#include "ir/infer_lines.h"

using namespace milgen;
using namespace milgen::test;

TEST_CASE("gather") {
  const Line lines[] = {
      {"gather", "x=fp16[3,4,5] indices=int32[2,s0] axis=int32:1", "fp16[3,2,s0,5]"},
      {"gather", "x=fp16[3] indices=int32:1", "fp16"},
      {"gather", "x=fp16[5,2,7] indices=int16[5,2,9] axis=int32:2 batch_dims=int32:2",
       "fp16[5,2,9]"},
      {"gather", "x=fp16[3,4] indices=int32[2]:0,-1", "fp16[2,4]", Opset::ios15},
      {"gather", "x=fp16[3,4] indices=int32[2] axis=int32:2",
       "gather.axis: axis is 2 but must lie"},
      {"gather", "x=fp16[3,4,5] indices=int32[3,4,5] axis=int32:2 batch_dims=int32:3",
       "gather.batch_dims: batch_dims is 3 but must lie in [0, 2] for x of shape [3, 4, 5]"},
      {"gather", "x=fp16[3,4,5] indices=int32[2,4] axis=int32:2 batch_dims=int32:1",
       "gather.batch_dims: x has shape [3, 4, 5] but indices has [2, 4], and with batch_dims 1"},
      {"gather", "x=fp16[3,4,5] indices=int32[3] axis=int32:0 batch_dims=int32:1",
       "gather.batch_dims: axis is 0 but the first 1 dims are batch_dims"},
      {"gather", "x=fp16[3,4] indices=int32[2]:0,3 validate_indices=bool:true",
       "gather.index: indices holds 3 but dim 0 of x has 3 elements"},
      {"gather", "x=fp16[3,4] indices=int32[2]:0,-1 validate_indices=bool:true",
       "gather.index: indices holds -1 but dim 0 of x has 3 elements"},
  };
  check_lines(lines);
}

TEST_CASE("scatter") {
  const Line lines[] = {
      {"scatter", "data=fp16[3,4] indices=int32[2] updates=fp16[3,2] axis=int32:-1", "fp16[3,4]"},
      {"scatter", "data=fp16[3,4] indices=int32 updates=fp16[4]", "fp16[3,4]"},
      {"scatter", "data=fp16[3,4] indices=int32[2] updates=fp16[2,4] axis=int32:-3",
       "scatter.axis: axis is -3 but must lie in [-2, 2)"},
      {"scatter", "data=fp16[3,4] indices=int32[2] updates=fp16[3,4]",
       "scatter.updates: updates has shape [3, 4] but must have [2, 4]"},
      {"scatter",
       "data=fp16[3,4] indices=int32[2]:0,3 updates=fp16[2,4] validate_indices=bool:true",
       "scatter.index: indices holds 3 but dim 0 of data has 3 elements"},
  };
  check_lines(lines);
}

TEST_CASE("along an axis") {
  const Line lines[] = {
      {"gather_along_axis", "x=fp16[3,s0] indices=int32[7,s0]", "fp16[7,s0]"},
      {"gather_along_axis", "x=fp16[3,4] indices=int32[3,4] axis=int32:2",
       "gather_along_axis.axis: axis is 2 but must lie in [-2, 2)"},
      {"gather_along_axis", "x=fp16[3,4] indices=int32[2]",
       "gather_along_axis.shape: indices has shape [2] but x has [3, 4], and only dim 0 (axis)"},
      {"gather_along_axis", "x=fp16[3,4] indices=int32[1,4]:0,1,2,3 validate_indices=bool:true",
       "gather_along_axis.index: indices holds 3 but dim 0 of x has 3 elements"},
      {"scatter_along_axis", "data=fp16[3,4] indices=int32[2,4] updates=fp16[2,4]", "fp16[3,4]"},
      {"scatter_along_axis", "data=fp16[3,4] indices=int32[2,4] updates=fp16[2,4] axis=int32:-3",
       "scatter_along_axis.axis: axis is -3 but must lie in [-2, 2)"},
      {"scatter_along_axis", "data=fp16[3,4] indices=int32[2,3] updates=fp16[2,3]",
       "scatter_along_axis.shape: indices has shape [2, 3] but data has [3, 4]"},
      {"scatter_along_axis", "data=fp16[3,4] indices=int32[2,4] updates=fp16[3,4]",
       "scatter_along_axis.updates: updates has shape [3, 4] but must have [2, 4]"},
      {"scatter_along_axis",
       "data=fp16[3,4] indices=int32[1,4]:0,1,2,3 updates=fp16[1,4] validate_indices=bool:true",
       "scatter_along_axis.index: indices holds 3 but dim 0 of data has 3 elements"},
  };
  check_lines(lines);
}

TEST_CASE("by index vectors") {
  const Line lines[] = {
      {"gather_nd", "x=fp16[3,4,5] indices=int32[s0,2]", "fp16[s0,5]"},
      {"gather_nd", "x=fp16[3,4,5] indices=int32[3,7,1] batch_dims=int32:1", "fp16[3,7,5]"},
      {"gather_nd", "x=fp16[3,4] indices=int32[2,3]",
       "gather_nd.depth: indices has shape [2, 3], but its last dim must be known and at most 2"},
      {"gather_nd", "x=fp16[3,4] indices=int32", "gather_nd.depth: indices is a scalar but must"},
      {"gather_nd", "x=fp16[3,4] indices=int32[3,2] batch_dims=int32:1",
       "gather_nd.depth: indices has shape [3, 2], but its last dim must be known and at most 1"},
      {"gather_nd", "x=fp16[3,4] indices=int32[2,1] batch_dims=int32:1",
       "gather_nd.batch_dims: x has shape [3, 4] but indices has [2, 1]"},
      {"gather_nd", "x=fp16[3,4] indices=int32[2,2]:2,3,0,4 validate_indices=bool:true",
       "gather_nd.index: indices holds 4 for dim 1 of x, which has 4 elements"},
      {"scatter_nd", "data=fp16[3,4,5] indices=int32[2,1] updates=fp16[2,4,5]", "fp16[3,4,5]"},
      {"scatter_nd", "data=fp16[3,4] indices=int32[2,3] updates=fp16[2]",
       "scatter_nd.depth: indices has shape [2, 3], but its last dim must be known and at most 2"},
      {"scatter_nd", "data=fp16[3,4] indices=int32[2,1] updates=fp16[2,3]",
       "scatter_nd.updates: updates has shape [2, 3] but must have [2, 4]"},
      {"scatter_nd",
       "data=fp16[3,4] indices=int32[1,2]:0,4 updates=fp16[1] validate_indices=bool:true",
       "scatter_nd.index: indices holds 4 for dim 1 of data, which has 4 elements"},
  };
  check_lines(lines);
}
