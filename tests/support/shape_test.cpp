#include "milgen/shape.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "milgen/dtype.h"

namespace milgen {
namespace {

TEST_CASE("Ints grow from inline to heap and behave like a vector") {
  Ints ints;
  std::vector<std::int64_t> model;
  std::uint32_t random = 1;
  for (int step = 0; step < 5000; ++step) {
    random = random * 1664525u + 1013904223u;
    const std::size_t at = model.empty() ? 0 : (random >> 8) % model.size();
    switch ((random >> 24) % 7) {
      case 0:
      case 1:
        ints.push_back(step);
        model.push_back(step);
        break;
      case 2:
        ints.insert(at, step);
        model.insert(model.begin() + static_cast<std::ptrdiff_t>(at), step);
        break;
      case 3:
        if (model.empty()) break;
        ints.erase(at);
        model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 4: {
        const Ints copy = ints;
        Ints moved = std::move(ints);
        CHECK(copy == moved);
        ints = moved;
        ints = std::move(moved);
        break;
      }
      case 5: {
        const std::size_t size = (random >> 8) % 20;
        ints.resize(size, -7);
        model.resize(size, -7);
        break;
      }
      default: {
        Ints other(std::size_t{(random >> 8) % 12}, 3);
        other = ints;
        std::swap(other, ints);
      }
    }
    REQUIRE(std::vector<std::int64_t>(ints.begin(), ints.end()) == model);
  }
}

TEST_CASE("shapes are spelled as MIL spells them") {
  CHECK(to_string(Shape{}) == "[]");
  CHECK(to_string(Shape{1, 768, 1, 256}) == "[1, 768, 1, 256]");
  CHECK(to_string(Shape{kUnknownDim, 3, kFirstSymbolDim - 5}) == "[?, 3, ?]");
}

TEST_CASE("element counts are exact or refused") {
  std::int64_t count = -1;
  CHECK(element_count(Shape{}, count));
  CHECK(count == 1);
  CHECK(element_count(Shape{2, 3, 4}, count));
  CHECK(count == 24);
  CHECK(element_count(Shape{std::int64_t{1} << 62, 0, std::int64_t{1} << 62}, count));
  CHECK(count == 0);
  CHECK(element_count(Shape{std::numeric_limits<std::int64_t>::max()}, count));
  CHECK_FALSE(element_count(Shape{std::int64_t{1} << 32, std::int64_t{1} << 31}, count));
  CHECK_FALSE(element_count(Shape{2, kUnknownDim}, count));
  CHECK_FALSE(element_count(Shape{0, kUnknownDim}, count));
}

TEST_CASE("dtypes: names go there and back, bits and families") {
  std::set<std::string_view> names;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    names.insert(dtype_name(dtype));
    CHECK(dtype_from_name(dtype_name(dtype)) == dtype);
    CHECK_FALSE((is_float(dtype) && is_integer(dtype)));
    CHECK((dtype_bits(dtype) != 0) == (is_float(dtype) || is_integer(dtype)));
  }
  CHECK(names.size() == kDTypeCount);
  CHECK(dtype_from_name("none") == DType::none);
  CHECK(dtype_from_name("float16") == DType::none);
  CHECK(dtype_name(DType::boolean) == "bool");
  CHECK(dtype_bits(DType::uint3) == 3);
  CHECK(dtype_bits(DType::fp8e5m2) == 8);
  CHECK(dtype_name(static_cast<DType>(200)) == "none");
}

}  // namespace
}  // namespace milgen
