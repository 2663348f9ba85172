// copy_strided() against one loop over all indices.
#include "cpu/strided_copy.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "milgen/array.h"
#include "milgen/dtype.h"
#include "milgen/shape.h"
#include "support/thread_pool.h"

using namespace milgen;
using milgen::cpu::copy_strided;
using milgen::cpu::dense_strides;

namespace {

/// One side of a copy: what lies between its least and its greatest offset, and where 0 is in that.
struct Side {
  Side(const Shape& shape, const Ints& steps) : strides(steps) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const std::int64_t reach = (shape[d] - 1) * steps[d];
      (reach < 0 ? low : high) += reach;
    }
    origin = -low;
    elements = high - low + 1;
  }

  Ints strides;
  std::int64_t origin = 0;
  std::int64_t elements = 0;
};

std::int64_t offset_of(const Shape& shape, const Side& side, std::int64_t index) {
  std::int64_t offset = side.origin;
  for (std::size_t d = shape.size(); d-- > 0; index /= shape[d]) {
    offset += index % shape[d] * side.strides[d];
  }
  return offset;
}

/// Whether the copy gives what a loop gives, and leaves the rest of the target alone.
bool copies(DType dtype, const Shape& shape, const Ints& from_strides, const Ints& to_strides,
            int threads) {
  const std::size_t size = element_bytes(dtype);
  const Side from(shape, from_strides);
  const Side to(shape, to_strides);
  std::vector<std::byte> source(static_cast<std::size_t>(from.elements) * size);
  for (std::size_t i = 0; i < source.size(); ++i) {
    source[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  }
  std::vector<std::byte> target(static_cast<std::size_t>(to.elements) * size, std::byte{0x5A});
  std::vector<std::byte> wanted = target;
  std::int64_t count = 0;
  REQUIRE(element_count({shape.data(), shape.size()}, count));
  const auto bytes_at = [&](std::int64_t offset) {
    return static_cast<std::ptrdiff_t>(offset) * static_cast<std::ptrdiff_t>(size);
  };
  for (std::int64_t i = 0; i < count; ++i) {
    std::copy_n(source.begin() + bytes_at(offset_of(shape, from, i)), size,
                wanted.begin() + bytes_at(offset_of(shape, to, i)));
  }
  detail::ThreadPool pool(threads);
  copy_strided(pool, dtype, shape, {source.data() + bytes_at(from.origin), from.strides},
               {target.data() + bytes_at(to.origin), to.strides});
  return target == wanted;
}

/// The strides of a dense tensor whose dims, moved to the places in `perm`, make `shape`.
Ints permuted_strides(const Shape& shape, const Ints& perm) {
  Shape source(shape.size(), 0);
  for (std::size_t i = 0; i < perm.size(); ++i)
    source[static_cast<std::size_t>(perm[i])] = shape[i];
  const Ints strides = dense_strides(source);
  Ints out;
  for (const std::int64_t axis : perm) out.push_back(strides[static_cast<std::size_t>(axis)]);
  return out;
}

constexpr DType kSizes[] = {DType::int8, DType::fp16, DType::fp32, DType::int64};

}  // namespace

TEST_CASE("every permutation of dims gives what a loop gives, for elements of every size") {
  for (const DType dtype : kSizes) {
    for (const Shape& shape :
         {Shape{67, 35, 3}, Shape{2, 65, 130}, Shape{1, 16, 64}, Shape{5, 1, 1}}) {
      Ints perm{0, 1, 2};
      do {
        CAPTURE(std::string(dtype_name(dtype)) + " " + to_string(shape) + " " + to_string(perm));
        CHECK(copies(dtype, shape, permuted_strides(shape, perm), dense_strides(shape), 1));
      } while (std::next_permutation(perm.begin(), perm.end()));
    }
  }
}

TEST_CASE("large copies are shared by threads without gaps") {
  const Shape square{515, 1030};
  for (const DType dtype : kSizes) {
    CAPTURE(std::string(dtype_name(dtype)));
    for (const int threads : {1, 2, 4}) {
      CHECK(
          copies(dtype, square, permuted_strides(square, {1, 0}), dense_strides(square), threads));
      CHECK(copies(dtype, square, Ints{1040, 1}, dense_strides(square), threads));
      CHECK(copies(dtype, square, dense_strides(square), Ints{1, 515}, threads));
      CHECK(copies(dtype, Shape{600001}, Ints{1}, Ints{1}, threads));
    }
  }
}

TEST_CASE("strides may be negative on either side, and 0 in the source") {
  const Shape shape{7, 40, 33};
  const Ints dense = dense_strides(shape);
  for (const DType dtype : kSizes) {
    CAPTURE(std::string(dtype_name(dtype)));
    CHECK(copies(dtype, shape, Ints{-1320, 33, -1}, dense, 2));
    CHECK(copies(dtype, shape, dense, Ints{-1320, -33, 1}, 2));
    CHECK(copies(dtype, shape, Ints{33, -231, -1}, Ints{1320, 33, -1}, 2));
    CHECK(copies(dtype, shape, Ints{0, 33, 1}, dense, 2));
    CHECK(copies(dtype, shape, Ints{40, 1, 0}, dense, 2));
    CHECK(copies(dtype, shape, Ints{0, 0, 0}, dense, 2));
    CHECK(copies(dtype, shape, Ints{2, 3, 5}, Ints{8000, 200, 3}, 2));
  }
}

TEST_CASE("a shape without dims has one element, and one with a dim of 0 has none") {
  CHECK(copies(DType::fp32, Shape{}, Ints{}, Ints{}, 1));
  CHECK(copies(DType::fp32, Shape{1, 1}, Ints{9, -9}, Ints{7, 7}, 1));
  const std::int32_t source = 1;
  std::int32_t target = 2;
  detail::ThreadPool pool(1);
  copy_strided(pool, DType::fp32, Shape{3, 0},
               {reinterpret_cast<const std::byte*>(&source), Ints{1, 1}},
               {reinterpret_cast<std::byte*>(&target), Ints{1, 1}});
  CHECK(target == 2);
}
