#include "ir/infer_lines.h"

using namespace milgen;
using namespace milgen::test;

TEST_CASE("upsample and resize of images") {
  const Line lines[] = {
      {"upsample_nearest_neighbor",
       "x=fp16[1,s0,5,s1] scale_factor_height=fp32:2.6 scale_factor_width=fp32:2",
       "fp16[1,s0,12,?]"},
      {"upsample_nearest_neighbor", "x=fp16[3,4]",
       "upsample.rank: x has shape [3, 4] but must have rank 3 or more"},
      {"upsample_nearest_neighbor", "x=fp16[1,3,4] scale_factor_height=int32:0",
       "upsample.factor: scale_factor_height is 0 but must be greater than 0"},
      {"upsample_nearest_neighbor",
       "x=fp16[1,3,9223372036854775807] scale_factor_width=int32:2 scale_factor_height=int32:1",
       "shape.overflow: 9223372036854775807 * 2 elements"},
      {"upsample_bilinear", "x=fp16[1,4,4] scale_factor_height=int32:3", "fp16[1,12,4]"},
      {"resize_nearest_neighbor",
       "x=fp16[s0,s1,s2] target_size_height=int32:4 target_size_width=int32:7", "fp16[s0,4,7]"},
      {"resize_nearest_neighbor",
       "x=fp16[1,3,4] target_size_height=int32:0 target_size_width=int32:7",
       "resize_images.size: target_size_height is 0 but must be 1 or more"},
      {"resize_bilinear", "x=fp16[3,2,s0] target_size_height=int32:7", "fp16[3,7,1]"},
      {"resize_bilinear", "x=fp16[3,2]",
       "resize_images.rank: x has shape [3, 2] but must have rank 3"},
      {"resize_bilinear", "x=fp16[3,2,2] sampling_mode=string:FOO", "arg.choice: sampling_mode is"},
      {"resize", "x=fp16[s0,s1,s2] shape=int32[2]:0,8 resized_dims=uint32:2", "fp16[s0,s1,8]"},
      {"resize", "x=fp16[2,3,4] shape=int32[3] resized_dims=uint32:2", "fp16[2,?,?]"},
      {"resize", "x=fp16[2,3] shape=int32:4 resized_dims=uint32:1",
       "resize.shape: shape has shape [] but must have rank 1"},
      {"resize", "x=fp16[2,3] shape=int32[1]:-4 resized_dims=uint32:1",
       "resize.shape: shape[0] is -4 but must be 0 (kept) or more"},
      {"resize", "x=fp16[2,3] shape=int32[3]:1,2,3 resized_dims=uint32:1",
       "resize.length: shape has 3 entries but x has rank 2"},
      {"resize", "x=fp16[2,3] shape=int32[1]:4 resized_dims=uint32:2",
       "resize.dims: resized_dims is 2 but must lie in [0, 1]"},
  };
  check_lines(lines);
}

TEST_CASE("crop") {
  const Line lines[] = {
      {"crop", "x=fp16[5,s0,4,7] crop_height=int32[2]:1,2 crop_width=int32[2]:0,0",
       "fp16[5,s0,1,7]"},
      {"crop", "x=fp16[5,s0,4,s1] crop_height=int32[2]:0,0 crop_width=int32[2]:0,1",
       "fp16[5,s0,4,?]"},
      {"crop", "x=fp16[5,5] crop_height=int32[2]:1,0 crop_width=int32[2]:1,1",
       "crop.rank: x has shape [5, 5] but must have rank 3 or more"},
      {"crop", "x=fp16[1,5,5] crop_height=int32[2]:1,0 crop_width=int32[3]:1,1,1",
       "crop.length: crop_width has 3 entries but takes 2: before and after"},
      {"crop", "x=fp16[1,5,5] crop_height=int32[2]:-1,0 crop_width=int32[2]:1,1",
       "crop.margin: crop_height holds -1 but a margin is 0 or more"},
      {"crop", "x=fp16[1,5,5] crop_height=int32[2]:3,2 crop_width=int32[2]:1,1",
       "crop.margin: crop_height takes 5 elements off a dim of 5"},
  };
  check_lines(lines);
}

TEST_CASE("crop_resize") {
  const Line lines[] = {
      {"crop_resize",
       "x=fp16[2,s0,8,6] boxes=fp32[9,4] box_indices=int32[9] target_height=int32:3 "
       "target_width=int32:5",
       "fp16[9,s0,3,5]"},
      {"crop_resize", "x=fp16[3,2,8,6] boxes=fp16[2,4]", "fp16[2,2,1,1]", Opset::ios17},
      {"crop_resize", "x=fp16[3,2,8,6] roi=fp16[4,1,4,1,1] target_height=int32:3",
       "fp16[4,3,2,3,1]", Opset::ios15},
      {"crop_resize", "x=fp16[3,2,8,6] roi=fp16[4,1,5,1,1] target_height=int32:3",
       "fp16[4,1,2,3,1]", Opset::ios16},
      {"crop_resize", "x=fp16[3,8,8] boxes=fp16[2,4]",
       "crop_resize.rank: x has shape [3, 8, 8] but must have rank 4"},
      {"crop_resize", "x=fp16[3,2,8,8] boxes=fp16[2,4] target_width=int32:0",
       "crop_resize.size: target_width is 0 but must be 1 or more"},
      {"crop_resize", "x=fp16[3,2,8,8] roi=fp16[2,4]",
       "crop_resize.roi: roi has shape [2, 4] but must have rank 5", Opset::ios16},
      {"crop_resize", "x=fp16[3,2,8,8] roi=fp16[2,1,6,1,1]",
       "crop_resize.roi: roi has shape [2, 1, 6, 1, 1] but must have [N, 1, 4, 1, 1]",
       Opset::ios16},
      {"crop_resize", "x=fp16[3,2,8,8] boxes=fp16[2,5]",
       "crop_resize.boxes: boxes has shape [2, 5] but must have [?, 4]"},
      {"crop_resize", "x=fp16[3,2,8,8] boxes=uint16[2,4] normalized_coordinates=bool:true",
       "crop_resize.normalized: boxes is uint16 but normalized coordinates lie between 0 and 1"},
      {"crop_resize", "x=fp16[1,2,8,8] boxes=fp16[2,4]",
       "crop_resize.images: boxes has 2 boxes but x has 1 images, and without box_indices"},
      {"crop_resize", "x=fp16[2,2,8,8] boxes=fp16[1,4] box_indices=int32[1]:2",
       "crop_resize.images: box_indices holds 2 but x has 2 images"},
      {"crop_resize", "x=fp16[2,2,8,8] boxes=fp16[2,4] box_indices=int32[1]:0",
       "crop_resize.indices: box_indices has shape [1] but must have [2]"},
  };
  check_lines(lines);
}

TEST_CASE("affine, resample") {
  const std::string modes =
      " sampling_mode=string:bilinear padding_mode=string:constant "
      "coordinates_mode=string:normalized_minus_one_to_one align_corners=bool:true";
  const std::string affine = modes + " output_height=int32:5 output_width=int32:4";
  const auto lines_of = [](std::string_view op, const std::string& tail, const Line& line) {
    const std::string arguments = std::string(line.arguments) + tail;
    check_lines(std::vector<Line>{{op, arguments, line.expected, line.opset}});
  };
  for (const Line& line : {
           Line{"", "x=fp16[s0,3,8,8] transform_matrix=fp16[s0,6] padding_value=fp16:0",
                "fp16[s0,3,5,4]"},
           Line{"", "x=fp16[2,3,8,8] transform_matrix=fp16[1,6] padding_value=fp16:0",
                "fp16[2,3,5,4]"},
           Line{"", "x=fp16[3,8,8] transform_matrix=fp16[1,6] padding_value=fp16:0",
                "affine.rank: x has shape [3, 8, 8] but must have rank 4"},
           Line{"", "x=fp16[2,3,8,8] transform_matrix=fp16[3,6] padding_value=fp16:0",
                "affine.matrix: transform_matrix has shape [3, 6] but takes 6 coefficients"},
           Line{"", "x=fp16[2,3,8,8] transform_matrix=fp16[2,5] padding_value=fp16:0",
                "affine.matrix: transform_matrix has shape [2, 5] but takes 6 coefficients"},
           Line{"", "x=fp16[2,3,8,8] transform_matrix=fp16[2,6] padding_value=fp16:1",
                "affine.padding_value: padding_value is 1 but only 0 is taken"},
       }) {
    lines_of("affine", affine, line);
  }
  lines_of("affine", modes + " output_height=int32:0 output_width=int32:4",
           {"", "x=fp16[2,3,8,8] transform_matrix=fp16[2,6] padding_value=fp16:0",
            "affine.size: output_height is 0 but must be 1 or more"});
  for (const Line& line : {
           Line{"", "x=fp16[2,s0,4,4] coordinates=fp32[2,5,s1,2] padding_value=fp16:0",
                "fp16[2,s0,5,s1]"},
           Line{"", "x=fp16[3,4,4] coordinates=fp32[2,5,5,2] padding_value=fp16:0",
                "resample.rank: x has shape [3, 4, 4] but must have rank 4"},
           Line{"", "x=fp16[2,3,4,4] coordinates=fp32[3,5,5,2] padding_value=fp16:0",
                "resample.coordinates: coordinates has shape [3, 5, 5, 2] but must have [2, ?, ?, "
                "2]"},
           Line{"", "x=fp16[2,3,4,4] coordinates=fp32[2,5,2] padding_value=fp16:0",
                "resample.coordinates: coordinates has shape [2, 5, 2] but must have [2, ?, ?, 2]"},
       }) {
    lines_of("resample", modes, line);
  }
}
