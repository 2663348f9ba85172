#include "ane/layout.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>

using namespace milgen::ane;
using milgen::DType;
using milgen::Shape;

namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

TensorLayout layout_of(DType dtype, const Shape& shape) {
  Result<TensorLayout> layout = make_layout("x", dtype, shape);
  REQUIRE_MESSAGE(layout, layout.error().text());
  CHECK_FALSE(check_layout(*layout));
  return *layout;
}

std::string refused(DType dtype, const Shape& shape) {
  const Result<TensorLayout> layout = make_layout("x", dtype, shape);
  REQUIRE_FALSE(layout);
  CHECK(layout.error().kind() == ErrorKind::layout);
  return layout.error().detail().message;
}

std::string refused(const TensorLayout& layout) {
  const Error error = check_layout(layout);
  CHECK(error.kind() == ErrorKind::layout);
  return error.detail().message;
}

}  // namespace

TEST_CASE("rows are pitched by 64 bytes") {
  CHECK(row_stride_bytes(1, 1) == 64);
  CHECK(row_stride_bytes(32, 2) == 64);
  CHECK(row_stride_bytes(33, 2) == 128);
  CHECK(row_stride_bytes(16, 4) == 64);
  CHECK(row_stride_bytes(kMost - 63, 1) == kMost - 63);
}

TEST_CASE("a row's bytes are a positive number that fits in 63 bits") {
  CHECK(row_stride_bytes(0, 2) == -1);
  CHECK(row_stride_bytes(2, 0) == -1);
  CHECK(row_stride_bytes(-1, 2) == -1);
  CHECK(row_stride_bytes(-1, -2) == -1);
  CHECK(row_stride_bytes(kMost, 1) == -1);
  CHECK(row_stride_bytes(kMost - 62, 1) == -1);
  CHECK(row_stride_bytes(kMost / 2 + 1, 2) == -1);
}

TEST_CASE("a tensor of rank 4 lies as the engine's own attributes say") {
  // RowStride 64, PlaneStride 64, PlaneCount 4, BatchStride 256: ane_runtime, 4.0.
  const TensorLayout layout = layout_of(DType::fp16, {1, 4, 1, 4});
  CHECK(layout.name == "x");
  CHECK(layout.symbol_index == -1);
  CHECK_FALSE(layout.from_model);
  CHECK(layout.row_stride == 64);
  CHECK(layout.depth_stride == 64);
  CHECK(layout.plane_stride == 64);
  CHECK(layout.channels == 4);
  CHECK(layout.batch_stride == 256);
  CHECK(layout.alloc_bytes() == 256);
  CHECK(layout.elements() == 16);
  CHECK(layout.element_bytes() == 2);
  CHECK(layout.logical_bytes() == 32);
  CHECK_FALSE(layout.contiguous());
}

TEST_CASE("the sizes that users of the engine found are those of the rule") {
  // "The minimum is 49,152 bytes": ane_runtime, 4.0.
  CHECK(layout_of(DType::fp16, {1, 768, 1, 16}).alloc_bytes() == 49152);
  CHECK(layout_of(DType::fp16, {1, 768, 1, 1}).alloc_bytes() == 49152);
  CHECK(layout_of(DType::fp16, {1, 768, 1, 256}).alloc_bytes() == 393216);
}

TEST_CASE("lower ranks are aligned to the right") {
  struct Row {
    Shape shape;
    std::int64_t dims[5];
    std::int64_t bytes;
  };
  const Row rows[] = {
      {{}, {1, 1, 1, 1, 1}, 64},
      {{40}, {1, 1, 1, 1, 40}, 128},
      {{3, 40}, {1, 1, 1, 3, 40}, 384},
      {{2, 3, 40}, {1, 2, 1, 3, 40}, 768},
      {{5, 2, 3, 40}, {5, 2, 1, 3, 40}, 3840},
      {{5, 2, 7, 3, 40}, {5, 2, 7, 3, 40}, 26880},
  };
  for (const Row& row : rows) {
    CAPTURE(to_string(row.shape));
    const TensorLayout layout = layout_of(DType::fp16, row.shape);
    CHECK(layout.batches == row.dims[0]);
    CHECK(layout.channels == row.dims[1]);
    CHECK(layout.depth == row.dims[2]);
    CHECK(layout.height == row.dims[3]);
    CHECK(layout.width == row.dims[4]);
    CHECK(layout.depth_stride == layout.height * layout.row_stride);
    CHECK(layout.plane_stride == layout.depth * layout.depth_stride);
    CHECK(layout.batch_stride == layout.channels * layout.plane_stride);
    CHECK(layout.alloc_bytes() == row.bytes);
  }
}

TEST_CASE("the dtypes of surfaces have their sizes") {
  CHECK(layout_of(DType::boolean, {3}).logical_bytes() == 3);
  CHECK(layout_of(DType::int8, {3}).logical_bytes() == 3);
  CHECK(layout_of(DType::uint8, {3}).logical_bytes() == 3);
  CHECK(layout_of(DType::fp16, {3}).logical_bytes() == 6);
  CHECK(layout_of(DType::int16, {3}).logical_bytes() == 6);
  CHECK(layout_of(DType::uint16, {3}).logical_bytes() == 6);
  CHECK(layout_of(DType::fp32, {3}).logical_bytes() == 12);
}

TEST_CASE("a tensor whose elements follow each other is contiguous") {
  CHECK(layout_of(DType::fp16, {1, 768, 1, 256}).contiguous());
  CHECK(layout_of(DType::fp32, {2, 3, 4, 16}).contiguous());
  CHECK_FALSE(layout_of(DType::fp32, {2, 3, 4, 15}).contiguous());
  // One row alone has nothing behind it.
  CHECK(layout_of(DType::fp16, {1, 1, 1, 5}).contiguous());
  CHECK(layout_of(DType::fp16, {}).contiguous());
  TensorLayout spread = layout_of(DType::fp16, {1, 4, 2, 32});
  spread.plane_stride = 256;
  CHECK_FALSE(spread.contiguous());
  CHECK_FALSE(TensorLayout().contiguous());
}

TEST_CASE("what surfaces do not hold is refused with what it is") {
  CHECK(refused(DType::int32, {4}) ==
        "'x' is tensor<int32, [4]>, but surfaces hold fp16, fp32, int8, uint8, int16, uint16 and "
        "bool");
  CHECK(refused(DType::none, {4}).find("tensor<none, [4]>") != std::string::npos);
  CHECK(refused(DType::uint4, {4}).find("tensor<uint4, [4]>") != std::string::npos);
  CHECK(refused(DType::fp16, {1, 1, 1, 1, 1, 2}) ==
        "'x' is tensor<fp16, [1, 1, 1, 1, 1, 2]> of rank 6, but surfaces hold ranks up to 5");
  CHECK(refused(DType::fp16, {1, -1, 8}) ==
        "'x' is tensor<fp16, [1, ?, 8]>, but the dims of a surface are known");
  CHECK(refused(DType::fp16, {1, 0, 8}) ==
        "'x' is tensor<fp16, [1, 0, 8]> without elements, but a surface holds at least one");
  CHECK(refused(DType::fp16, {4, kMost / 8}) ==
        "'x' is tensor<fp16, [4, 1152921504606846975]>, which takes more bytes than fit in 63 "
        "bits");
  for (const Shape& shape : {Shape{kMost}, Shape{kMost, 1}, Shape{kMost, 1, 1},
                             Shape{kMost, 1, 1, 1}, Shape{1, 1, kMost, 1, 1}}) {
    CHECK(refused(DType::int8, shape).find("more bytes than fit") != std::string::npos);
  }
}

TEST_CASE("a name from outside does not reach the terminal") {
  const Result<TensorLayout> layout = make_layout("a\nb", DType::int32, {1});
  CHECK(layout.error().detail().message.find("'a?b' is") == 0);
}

TEST_CASE("strides that let rows overlap are refused") {
  const TensorLayout good = layout_of(DType::fp16, {2, 3, 4, 5, 40});
  TensorLayout bad = good;
  bad.row_stride = 64;
  CHECK(refused(bad) ==
        "'x' is tensor<fp16, [2, 3, 4, 5, 40]>, but a row of 40 x 2 bytes is given 64 bytes");
  bad = good;
  bad.depth_stride = 639;
  CHECK(refused(bad) ==
        "'x' is tensor<fp16, [2, 3, 4, 5, 40]>, but a slice of 5 x 128 bytes is given 639 bytes");
  bad = good;
  bad.plane_stride = 0;
  CHECK(refused(bad) ==
        "'x' is tensor<fp16, [2, 3, 4, 5, 40]>, but a plane of 4 x 640 bytes is given 0 bytes");
  bad = good;
  bad.batch_stride = -1;
  CHECK(refused(bad) ==
        "'x' is tensor<fp16, [2, 3, 4, 5, 40]>, but a batch of 3 x 2560 bytes is given -1 bytes");
}

TEST_CASE("dims and dtypes that no tensor has are refused") {
  const TensorLayout good = layout_of(DType::fp16, {2, 3, 4, 5, 40});
  TensorLayout bad = good;
  bad.width = 0;
  CHECK(refused(bad).find("but a row of 0 x 2 bytes is given 128 bytes") != std::string::npos);
  bad = good;
  bad.channels = -3;
  CHECK(refused(bad).find("but a batch of -3 x 2560 bytes is given 7680 bytes") !=
        std::string::npos);
  bad = good;
  bad.batches = 0;
  CHECK(refused(bad).find(", but its batches number 0") != std::string::npos);
  bad = good;
  bad.batches = kMost;
  CHECK(refused(bad).find("more bytes than fit in 63 bits") != std::string::npos);
  CHECK(bad.alloc_bytes() == -1);
  CHECK(bad.elements() == -1);
  CHECK(bad.logical_bytes() == -1);
  bad = good;
  bad.height = kMost;
  CHECK(refused(bad).find("more bytes than fit in 63 bits") != std::string::npos);
  bad = good;
  bad.dtype = DType::int64;
  CHECK(refused(bad).find("tensor<int64") != std::string::npos);
  CHECK(bad.element_bytes() == 0);
}

TEST_CASE("wider strides than needed are sound") {
  TensorLayout layout = layout_of(DType::fp16, {2, 3, 5, 40});
  layout.row_stride = 256;
  layout.depth_stride = 5 * 256 + 64;
  layout.plane_stride = 2048;
  layout.batch_stride = 16384;
  CHECK_FALSE(check_layout(layout));
  CHECK(layout.alloc_bytes() == 32768);
}
