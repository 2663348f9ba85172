#include "milgen/array.h"

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace milgen {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double stored(DType dtype, double value) {
  Array array(dtype, {2});
  array.set(1, value);
  CHECK(array.real(0) == 0);
  return array.real(1);
}

TEST_CASE("an array is zeros, dense and aligned for the widest vector") {
  for (const std::int64_t columns : {1, 3, 64, 100'000}) {
    const Array array(DType::fp16, {2, columns});
    REQUIRE(array);
    CHECK(array.dtype() == DType::fp16);
    CHECK(array.shape() == Shape{2, columns});
    CHECK(array.size() == 2 * columns);
    CHECK(array.bytes().size() == static_cast<std::size_t>(4 * columns));
    CHECK(std::bit_cast<std::uintptr_t>(array.bytes().data()) % 64 == 0);
    CHECK(array.as<std::uint16_t>().size() == static_cast<std::size_t>(2 * columns));
    CHECK(array.as<float>().empty());
    CHECK(array.real(columns) == 0);
  }
  const Array scalar(DType::fp32, {});
  CHECK(scalar.size() == 1);
  CHECK(scalar.bytes().size() == 4);
  const Array empty(DType::fp32, {3, 0});
  CHECK(empty);
  CHECK(empty.size() == 0);
  CHECK(empty.bytes().empty());
}

TEST_CASE("elements take whole bytes") {
  CHECK(element_bytes(DType::none) == 0);
  CHECK(element_bytes(DType::string) == 0);
  CHECK(element_bytes(DType::boolean) == 1);
  CHECK(element_bytes(DType::uint1) == 1);
  CHECK(element_bytes(DType::int4) == 1);
  CHECK(element_bytes(DType::fp8e5m2) == 1);
  CHECK(element_bytes(DType::bf16) == 2);
  CHECK(element_bytes(DType::int64) == 8);
}

TEST_CASE("what has no size, or more of it than there is memory, is no tensor") {
  CHECK_FALSE(Array());
  CHECK_FALSE(Array(DType::none, {1}));
  CHECK_FALSE(Array(DType::fp16, {1, kUnknownDim}));
  CHECK_FALSE(Array(DType::fp16, {kFirstSymbolDim}));
  const std::int64_t large = std::int64_t{1} << 40;
  CHECK_FALSE(Array(DType::fp16, {large, large}));
  CHECK_FALSE(Array(DType::fp64, {large, std::int64_t{1} << 21}));
  CHECK_FALSE(Array(DType::int8, {std::numeric_limits<std::int64_t>::max()}));
  CHECK_FALSE(Array(DType::string, {std::numeric_limits<std::int64_t>::max()}));
}

TEST_CASE("every dtype rounds once and saturates where it has no infinity") {
  CHECK(stored(DType::fp16, 1.0 + 0x1p-11) == 1.0);
  CHECK(stored(DType::fp16, 1.0 + 0x1p-11 + 0x1p-40) == 1.0 + 0x1p-10);
  CHECK(stored(DType::fp16, 65520) == kInfinity);
  CHECK(std::isnan(stored(DType::fp16, kNan)));
  CHECK(stored(DType::bf16, -3.140625) == -3.140625);
  CHECK(stored(DType::fp32, 0.1) == static_cast<double>(0.1f));
  CHECK(stored(DType::fp64, 0.1) == 0.1);
  CHECK(stored(DType::fp8e4m3fn, 17) == 16);
  CHECK(stored(DType::fp8e5m2, 1e9) == kInfinity);
  CHECK(stored(DType::boolean, -0.5) == 1);
  CHECK(stored(DType::int8, 2.5) == 2);
  CHECK(stored(DType::int8, 3.5) == 4);
  CHECK(stored(DType::int8, 1e9) == 127);
  CHECK(stored(DType::int8, -kInfinity) == -128);
  CHECK(stored(DType::int32, kNan) == 0);
  CHECK(stored(DType::int4, 100) == 7);
  CHECK(stored(DType::int4, -100) == -8);
  CHECK(stored(DType::uint1, 2) == 1);
  CHECK(stored(DType::uint3, 9) == 7);
  CHECK(stored(DType::uint6, -1) == 0);
  CHECK(stored(DType::uint8, 255.5) == 255);
  CHECK(stored(DType::int16, -40000) == -32768);
  CHECK(stored(DType::uint16, 70000) == 65535);
  CHECK(stored(DType::uint32, 4294967295.0) == 4294967295.0);
  CHECK(stored(DType::uint64, 0x1p63) == 0x1p63);

  Array wide(DType::int64, {1});
  wide.set(0, 1e300);
  CHECK(wide.integer(0) == std::numeric_limits<std::int64_t>::max());
  wide.set(0, -1e300);
  CHECK(wide.integer(0) == std::numeric_limits<std::int64_t>::min());
  wide.as_mutable<std::int64_t>()[0] = (std::int64_t{1} << 53) + 1;
  CHECK(wide.integer(0) == (std::int64_t{1} << 53) + 1);
  CHECK(wide.real(0) == 0x1p53);
  CHECK(Array(DType::fp32, {1}).integer(0) == 0);
}

TEST_CASE("copies share their values, clones and their originals do not") {
  Array a(DType::int32, {2, 3});
  Array copy = a;
  Array clone = a.clone();
  copy.set(4, 7);
  CHECK(a.integer(4) == 7);
  CHECK(clone.integer(4) == 0);
  const Array view = a.reshaped({6});
  REQUIRE(view);
  CHECK(view.shape() == Shape{6});
  CHECK(view.bytes().data() == a.bytes().data());
  CHECK_FALSE(a.reshaped({5}));
  CHECK_FALSE(Array().reshaped({}));
}

TEST_CASE("borrowed memory is as large as the tensor and aligned for its elements") {
  alignas(8) std::array<std::byte, 25> memory{};
  const std::span<std::byte> bytes(memory);
  Array array = Array::borrow(DType::fp32, {2, 3}, bytes.first(24));
  REQUIRE(array);
  array.set(5, 1);
  CHECK(std::to_integer<int>(memory[23]) == 0x3F);
  CHECK_FALSE(Array::borrow(DType::fp32, {2, 3}, bytes));
  CHECK_FALSE(Array::borrow(DType::fp32, {2, 3}, bytes.subspan(1)));
  CHECK_FALSE(Array::borrow(DType::string, {1}, bytes));
  CHECK(Array::borrow(DType::int8, {24}, bytes.subspan(1)));

  auto owner = std::make_shared<std::vector<std::byte>>(8);
  std::weak_ptr<std::vector<std::byte>> watch = owner;
  const std::span<std::byte> owned(*owner);
  Array shared = Array::share(DType::int8, {8}, owned, std::move(owner));
  CHECK_FALSE(watch.expired());
  shared = Array();
  CHECK(watch.expired());
}

TEST_CASE("strings are elements of their own") {
  Array words = Array::of_strings({2}, {"a", "b"});
  REQUIRE(words);
  CHECK(words.dtype() == DType::string);
  CHECK(words.size() == 2);
  CHECK(words.bytes().empty());
  CHECK(std::isnan(words.real(0)));
  const Array clone = words.clone();
  words.mutable_strings()[1] = "c";
  CHECK(words.strings()[1] == "c");
  CHECK(clone.strings()[1] == "b");
  CHECK_FALSE(Array::of_strings({3}, {"a"}));
  CHECK(Array(DType::string, {2}).strings().size() == 2);
  CHECK(Array(DType::fp32, {2}).strings().empty());
}

TEST_CASE("arrays are found by name") {
  const std::vector<NamedArray> arrays = {{"x", Array(DType::fp32, {1})}, {"y", {}}};
  CHECK(find_array(arrays, "y") == &arrays[1]);
  CHECK(find_array(arrays, "z") == nullptr);
}

}  // namespace
}  // namespace milgen
