// Image ops and reductions: errors that only values show, sizes that threads share, and coordinates
// that are far away or no numbers. What the ops give is in golden/numeric/ops.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/op_values.h"
#include "cpu/run_text.h"
#include "milgen/array.h"
#include "milgen/shape.h"

using namespace milgen;
using namespace milgen::test;

namespace {

std::string crop_resize(std::string_view result, std::string_view boxes) {
  return fmt::format(
      "tensor<fp32, {}> y = crop_resize(x = x, {}, target_height = int32(1), target_width = "
      "int32(1), normalized_coordinates = bool(false), spatial_scale = fp32(1.0), "
      "box_coordinate_mode = string(\"CORNERS_HEIGHT_FIRST\"), sampling_mode = "
      "string(\"DEFAULT\"), pad_value = fp32(7.0))[name = string(\"y\")];",
      result, boxes);
}

std::string resample(std::string_view result, std::string_view sampling, std::string_view padding) {
  return fmt::format(
      "tensor<fp32, {}> y = resample(x = x, coordinates = c, sampling_mode = string(\"{}\"), "
      "padding_mode = string(\"{}\"), padding_value = fp32(7.0), coordinates_mode = "
      "string(\"unnormalized\"), align_corners = bool(true))[name = string(\"y\")];",
      result, sampling, padding);
}

}  // namespace

TEST_CASE("crop_resize reports images that x does not have") {
  const Array x = some_values(DType::fp32, {2, 1, 3, 3}, 1);
  const Array boxes = some_values(DType::fp32, {2, 4}, 2);
  const auto with_indices = [&](std::int32_t first, std::int32_t second) {
    Array indices(DType::int32, {2});
    indices.as_mutable<std::int32_t>()[0] = first;
    indices.as_mutable<std::int32_t>()[1] = second;
    return error_of("tensor<fp32, [2, 1, 3, 3]> x, tensor<fp32, [2, 4]> b, tensor<int32, [2]> i",
                    crop_resize("[2, 1, 1, 1]", "boxes = b, box_indices = i"),
                    {{"x", x}, {"b", boxes}, {"i", indices}});
  };
  CHECK(with_indices(1, 0).empty());
  CHECK(with_indices(1, 2) ==
        "run.index: crop_resize: box_indices has the image 2 for box 1, but x has 2 images");
  CHECK(with_indices(-1, 0) ==
        "run.index: crop_resize: box_indices has the image -1 for box 0, but x has 2 images");

  const auto with_roi = [&](double index) {
    Array roi(DType::fp32, {1, 1, 5, 1, 1});
    roi.set(0, index);
    const TextRun run =
        run_text(program_text("tensor<fp32, [2, 1, 3, 3]> x, tensor<fp32, [1, 1, 5, 1, 1]> r",
                              crop_resize("[1, 1, 1, 1, 1]", "roi = r"), "y", "ios16"),
                 {{"x", x}, {"r", roi}});
    return run.errors;
  };
  CHECK(with_roi(1).empty());
  CHECK(with_roi(std::nan("")) ==
        "crop_resize: roi has the image nan for box 0, but x has 2 images\n");
}

TEST_CASE("a resized dim without elements has none to take") {
  const TextRun run = run_text(
      program_text("tensor<fp32, [1, ?, 2]> x",
                   "tensor<fp32, [1, 4, 5]> y = resize_bilinear(x = x, target_size_height = "
                   "int32(4), target_size_width = int32(5), sampling_mode = "
                   "string(\"DEFAULT\"))[name = string(\"y\")];",
                   "y"),
      {{"x", Array(DType::fp32, {1, 0, 2})}});
  CHECK(run.ids == "run.shape\n");
  CHECK(run.errors ==
        "resize_bilinear: x has shape [1, 0, 2], which has no elements along dim 1 to resize to "
        "4\n");
}

TEST_CASE("resample takes any coordinates") {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double far[] = {kInf, -kInf, std::nan(""), 1e30, -1e30, 3.0e9};
  Array x(DType::fp32, {1, 1, 2, 3});
  for (std::int64_t i = 0; i < x.size(); ++i) x.set(i, static_cast<double>(i + 1));
  Array coordinates(DType::fp32, {1, 6, 1, 2});
  for (std::int64_t i = 0; i < 6; ++i) coordinates.set(2 * i, far[i]);  // y stays 0
  const auto run = [&](std::string_view sampling, std::string_view padding) {
    const TextRun one =
        run_text(program_text("tensor<fp32, [1, 1, 2, 3]> x, tensor<fp32, [1, 6, 1, 2]> c",
                              resample("[1, 1, 6, 1]", sampling, padding), "y"),
                 {{"x", x}, {"c", coordinates}});
    REQUIRE(one.errors == "");
    const auto values = one.outputs.front().array.as<float>();
    return std::vector<float>(values.begin(), values.end());
  };
  for (const std::string_view sampling : {"nearest", "bilinear"}) {
    CAPTURE(sampling);
    CHECK(run(sampling, "constant") == std::vector<float>(6, 7.0f));
    CHECK(run(sampling, "border") == std::vector<float>{3, 1, 1, 3, 1, 3});
    for (const std::string_view padding : {"reflection", "symmetric"}) {
      for (const float value : run(sampling, padding)) CHECK((value >= 1 && value <= 3));
    }
  }
  CHECK(error_of("tensor<fp32, [1, 1, 2, ?]> x, tensor<fp32, [1, 6, 1, 2]> c",
                 resample("[1, 1, 6, 1]", "nearest", "border"),
                 {{"x", Array(DType::fp32, {1, 1, 2, 0})}, {"c", coordinates}}) ==
        "run.shape: resample: x has shape [1, 1, 2, 0], which has no pixels to sample");
}

TEST_CASE("large images are the same for any number of threads") {
  const Array x = some_values(DType::fp16, {2, 5, 61, 83}, 1);
  const std::string_view ops[] = {
      "tensor<fp16, [2, 5, 100, 90]> y = resize_bilinear(x = x, target_size_height = int32(100), "
      "target_size_width = int32(90), sampling_mode = string(\"UNALIGN_CORNERS\"))[name = "
      "string(\"y\")];",
      "tensor<fp16, [2, 5, 100, 90]> y = resize_nearest_neighbor(x = x, target_size_height = "
      "int32(100), target_size_width = int32(90))[name = string(\"y\")];",
      "tensor<fp16, [2, 5, 70, 75]> y = affine(x = x, transform_matrix = tensor<fp16, [1, "
      "6]>([[0.75, 0.25, 0.0, -0.25, 1.0, 0.125]]), output_height = int32(70), output_width = "
      "int32(75), sampling_mode = string(\"bilinear\"), padding_mode = string(\"constant\"), "
      "padding_value = fp16(0.0), coordinates_mode = string(\"normalized_minus_one_to_one\"), "
      "align_corners = bool(true))[name = string(\"y\")];",
      "tensor<fp16, [2, 5, 60, 80]> y = crop(x = x, crop_height = tensor<int32, [2]>([0, 1]), "
      "crop_width = tensor<int32, [2]>([1, 2]))[name = string(\"y\")];",
      "tensor<fp16, [2, 5, 61, 83]> y = local_response_norm(x = x, size = int32(4), alpha = "
      "fp16(0.5), beta = fp16(0.75), k = fp16(1.0))[name = string(\"y\")];",
  };
  for (const std::string_view op : ops) {
    CAPTURE(op);
    const std::string text = program_text("tensor<fp16, [2, 5, 61, 83]> x", op, "y");
    const TextRun one = run_text(text, {{"x", x}}, {.threads = 1});
    REQUIRE(one.errors == "");
    for (const int threads : {2, 4}) {
      const TextRun more = run_text(text, {{"x", x}}, {.threads = threads});
      REQUIRE(more.errors == "");
      CHECK(same_bytes(more.outputs.front().array, one.outputs.front().array));
    }
  }
}

TEST_CASE("sums and products of int32 wrap, quotients and logarithms are cut off") {
  const auto run = [](std::string_view op, const std::vector<std::int32_t>& values) {
    const auto count = static_cast<std::int64_t>(values.size());
    Array x(DType::int32, {count});
    for (std::int64_t i = 0; i < count; ++i) {
      x.as_mutable<std::int32_t>()[static_cast<std::size_t>(i)] =
          values[static_cast<std::size_t>(i)];
    }
    const TextRun one = run_text(
        program_text(fmt::format("tensor<int32, [{}]> x", count),
                     fmt::format("int32 y = {}(x = x, axes = tensor<int32, [1]>([0]), keep_dims = "
                                 "bool(false))[name = string(\"y\")];",
                                 op),
                     "y"),
        {{"x", x}});
    REQUIRE(one.errors == "");
    return one.outputs.front().array.integer(0);
  };
  CHECK(run("reduce_sum", {INT32_MAX, 2}) == INT32_MIN + 1);
  CHECK(run("reduce_prod", {1 << 20, 1 << 12, 5}) == 0);
  CHECK(run("reduce_prod", {-(1 << 30), 3}) == -3221225472 + 4294967296);
  CHECK(run("reduce_sum_square", {1 << 16, 3}) == 9);
  CHECK(run("reduce_mean", {INT32_MAX, INT32_MAX, INT32_MAX - 1}) == INT32_MAX - 1);
  CHECK(run("reduce_mean", {-3, -4}) == -3);
  CHECK(run("reduce_l1_norm", {INT32_MIN, 1}) == INT32_MIN + 1);
  CHECK(run("reduce_l2_norm", {INT32_MIN, 0}) == INT32_MAX);  // 2^31, held to the range
  CHECK(run("reduce_log_sum", {3, 4}) == 1);
  CHECK(run("reduce_log_sum_exp", {1000000, 1000000}) == 1000000);
  CHECK(run("reduce_max", {INT32_MIN, INT32_MIN}) == INT32_MIN);
}
