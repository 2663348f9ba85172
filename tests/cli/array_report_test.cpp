#include "cli/array_report.h"

#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

namespace milgen::cli {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Array array_of(DType dtype, std::initializer_list<double> values) {
  Array array(dtype, {static_cast<std::int64_t>(values.size())});
  std::int64_t i = 0;
  for (const double value : values) array.set(i++, value);
  return array;
}

ArrayDifference compare(const Array& here, const Array& there, const Tolerance& tolerance = {}) {
  const NamedArray one[] = {{"y", here}};
  const NamedArray other[] = {{"y", there}};
  const std::vector<ArrayDifference> all = compare_arrays(one, other, tolerance);
  REQUIRE(all.size() == 1);
  return all[0];
}

ArrayDifference compare(DType dtype, std::initializer_list<double> here,
                        std::initializer_list<double> there, const Tolerance& tolerance = {}) {
  return compare(array_of(dtype, here), array_of(dtype, there), tolerance);
}

constexpr Tolerance epsilons(double count) { return {.value = count, .in_epsilons = true}; }
constexpr Tolerance relative(double value) { return {.value = value, .in_epsilons = false}; }

TEST_CASE("equal values are equal whatever their bits are") {
  const ArrayDifference same =
      compare(DType::fp16, {0.0, kNan, kInfinity, -1}, {-0.0, -kNan, kInfinity, -1});
  CHECK(same.holds());
  CHECK(same.different == 0);
  CHECK(same.worst == -1);
}

TEST_CASE("the worst element is named with both values and how far they are") {
  const ArrayDifference one =
      compare(DType::fp16, {1, 2, 3, 4}, {1, 2 + 0x1p-9, 3, 4 + 0x1p-8}, epsilons(1));
  CHECK(one.holds());
  CHECK(one.different == 2);
  CHECK(one.worst == 3);
  CHECK(one.here == "4");
  CHECK(one.there == "4.0039");
  CHECK(one.ulps == 1);
  CHECK(one.absolute == 0x1p-8);
  CHECK(one.epsilons() < 1);
  CHECK_FALSE(compare(DType::fp16, {1, 2}, {1, 2 + 0x1p-9}).holds());
  // A small value that is wrong by the spacing of the large ones is not far off.
  CHECK(compare(DType::fp32, {1000, 1e-6}, {1000, 1e-5}, relative(1e-7)).holds());
  CHECK_FALSE(compare(DType::fp32, {1000, 1e-6}, {1000, 1}, relative(1e-7)).holds());
}

TEST_CASE("ULPs count through zero and in every width") {
  CHECK(compare(DType::fp16, {0x1p-24}, {-0x1p-24}).ulps == 2);
  CHECK(compare(DType::fp64, {1}, {1 + 0x1p-52}).ulps == 1);
  CHECK(compare(DType::bf16, {1}, {1 + 0x1p-6}).ulps == 2);
  CHECK(compare(DType::int8, {-3}, {4}).ulps == 7);
  CHECK(compare(DType::int64, {-1}, {1}).ulps == 2);
  CHECK(compare(DType::fp32, {65504}, {kInfinity}).ulps == 0x7F800000u - 0x477FE000u);
}

TEST_CASE("what is not finite on one side alone is beyond every tolerance") {
  for (const double odd : {kNan, kInfinity, -kInfinity}) {
    const ArrayDifference there = compare(DType::fp32, {1, 2}, {1, odd}, relative(1e30));
    CHECK(there.beyond == 1);
    CHECK(there.worst == 1);
    CHECK(std::isinf(there.relative));
    CHECK(compare(DType::fp32, {odd, 2}, {1, 2}, epsilons(1e30)).beyond == 1);
  }
  CHECK(compare(DType::fp32, {kInfinity}, {-kInfinity}, relative(1e30)).beyond == 1);
  // Where all is zero there is nothing to be relative to.
  CHECK(compare(DType::fp32, {1e-30, 0}, {0, 0}, relative(1)).beyond == 1);
}

TEST_CASE("in epsilons, what is no float has to be equal") {
  CHECK(compare(DType::int32, {100, 5}, {101, 5}, epsilons(1000)).beyond == 1);
  CHECK(compare(DType::int32, {100, 5}, {101, 5}, relative(0.1)).beyond == 0);
  CHECK(compare(DType::boolean, {1, 0}, {0, 0}, epsilons(4)).beyond == 1);
  // Doubles do not tell these two apart.
  Array here(DType::int64, {1});
  Array there(DType::int64, {1});
  here.as_mutable<std::int64_t>()[0] = (std::int64_t{1} << 60) + 1;
  there.as_mutable<std::int64_t>()[0] = std::int64_t{1} << 60;
  const ArrayDifference wide = compare(here, there);
  CHECK(wide.different == 1);
  CHECK(wide.here == "1152921504606846977");
  CHECK(wide.ulps == 1);
  CHECK_FALSE(wide.holds());
  const ArrayDifference words =
      compare(Array::of_strings({2}, {"a", "b"}), Array::of_strings({2}, {"a", "c"}), relative(1));
  CHECK(words.beyond == 1);
  CHECK(words.there == "'c'");
}

TEST_CASE("another type, and what one side has not, are differences") {
  CHECK(compare(DType::fp16, {1}, {1, 2}).mismatch ==
        "tensor<fp16, [1]> here, tensor<fp16, [2]> there");
  CHECK(compare(array_of(DType::fp16, {1}), array_of(DType::fp32, {1})).mismatch ==
        "tensor<fp16, [1]> here, tensor<fp32, [1]> there");
  const NamedArray here[] = {{"a", array_of(DType::fp16, {1})}, {"b", array_of(DType::fp16, {1})}};
  const NamedArray there[] = {{"c", array_of(DType::fp16, {1})}, {"b", array_of(DType::fp16, {1})}};
  const std::vector<ArrayDifference> all = compare_arrays(here, there, {});
  REQUIRE(all.size() == 3);
  CHECK(all[0].mismatch == "not there");
  CHECK(all[1].holds());
  CHECK(all[2].name == "c");
  CHECK(all[2].mismatch == "not here");
  CHECK_FALSE(all[2].holds());
}

TEST_CASE("lists and dictionaries are arrays with names of their own") {
  std::vector<NamedArray> values(2);
  values[0].name = "list";
  values[0].elements = {array_of(DType::fp16, {1}), array_of(DType::fp16, {2, 3})};
  values[1].name = "classes";
  values[1].array = array_of(DType::fp32, {0.25, 0.75});
  values[1].keys = Array::of_strings({2}, {"cat", "dog"});
  const std::vector<NamedArray> flat = flat_arrays(values);
  CHECK(stats_table(flat).text() ==
        "output        dtype   shape   min   max  mean  nan  inf\n"
        "list.0        fp16    [1]       1     1     1    0    0\n"
        "list.1        fp16    [2]       2     3   2.5    0    0\n"
        "classes       fp32    [2]    0.25  0.75   0.5    0    0\n"
        "classes.keys  string  [2]       -     -     -    -    -\n");
  CHECK(first_values(flat, 1) ==
        "list.0: 1\nlist.1: 2, ...\nclasses: 0.25, ...\nclasses.keys: 'cat', ...\n");
}

TEST_CASE("statistics leave out what is not a number, the mean what is not finite") {
  const ArrayStats stats = stats_of(array_of(DType::fp32, {kNan, -2, 4, kInfinity, kNan}));
  CHECK(stats.min == -2);
  CHECK(stats.max == kInfinity);
  CHECK(stats.mean == 1);
  CHECK(stats.nans == 2);
  CHECK(stats.infinities == 1);
  const NamedArray odd[] = {{"n", array_of(DType::fp16, {kNan})}, {"e", Array(DType::int8, {0})}};
  CHECK(stats_table(odd).text() ==
        "output  dtype  shape  min  max  mean  nan  inf\n"
        "n       fp16   [1]      -    -     -    1    0\n"
        "e       int8   [0]      -    -     -    0    0\n");
}

TEST_CASE("tolerances are epsilons or relative") {
  Tolerance tolerance;
  CHECK(parse_tolerance("4eps", tolerance));
  CHECK(tolerance.in_epsilons);
  CHECK(tolerance.text() == "4eps");
  CHECK(parse_tolerance("1e-3", tolerance));
  CHECK_FALSE(tolerance.in_epsilons);
  CHECK(tolerance.text() == "0.001");
  for (const char* bad : {"", "eps", "-1", "nan", "inf", "1 eps", "4ulps"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_tolerance(bad, tolerance));
  }
}

}  // namespace
}  // namespace milgen::cli
