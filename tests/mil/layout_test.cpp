#include "milgen/layout.h"

#include <doctest/doctest.h>

#include <vector>

#include "milgen/milgen.h"

using namespace milgen;

namespace {

Program two_weights(const char* name, std::int64_t second_channels = 3) {
  Kernel k(name);
  auto x = k.input<fp16>("x", {1, 3, 1, 8});
  auto a = k.weight<fp16>("a", {1, 3, 1, 1}, Fill::near_one);
  auto b = k.weight<fp16>("b", {second_channels, 3, 1, 1});
  k.output("y", conv(x * a, b));
  return k.finish();
}

}  // namespace

TEST_CASE("a file for each weight has its record at 64") {
  const Program program = two_weights("k");
  WeightLayout layout;
  Diagnostics diagnostics;
  REQUIRE(layout.plan(std::span(&program, 1), {}, diagnostics));
  REQUIRE(layout.files().size() == 2);
  CHECK(layout.files()[0].path == "weights/a.bin");
  CHECK(layout.files()[0].size_bytes == 128 + 6);
  CHECK(layout.blob_path(0, 1) == "@model_path/weights/b.bin");
  CHECK(layout.blob_offset(0, 1) == 64);
}

TEST_CASE("one shared file has a record for each weight, at multiples of 64") {
  const Program program = two_weights("k");
  WeightLayout layout;
  Diagnostics diagnostics;
  REQUIRE(layout.plan(std::span(&program, 1), {.files = WeightFiles::shared}, diagnostics));
  REQUIRE(layout.files().size() == 1);
  CHECK(layout.blob_path(0, 0) == "@model_path/weights/weight.bin");
  CHECK(layout.blob_offset(0, 0) == 64);
  // 64 + 64 + 6 bytes, rounded up.
  CHECK(layout.blob_offset(0, 1) == 192);
  CHECK(layout.files()[0].size_bytes == 192 + 64 + 18);
  const std::string text = print_mil(program, layout);
  CHECK(text.find("offset = uint64(192)") != std::string::npos);
}

TEST_CASE("programs of one folder share what has one name and form, and may not disagree") {
  const std::vector<Program> same = {two_weights("one"), two_weights("two")};
  WeightLayout layout;
  Diagnostics diagnostics;
  REQUIRE(layout.plan(same, {}, diagnostics));
  CHECK(layout.files().size() == 2);
  CHECK(layout.blob_path(1, 1) == "@model_path/weights/b.bin");

  const std::vector<Program> different = {two_weights("one"), two_weights("two", 4)};
  CHECK_FALSE(layout.plan(different, {}, diagnostics));
  REQUIRE(diagnostics.all().size() == 1);
  CHECK(diagnostics.all()[0].id == "weight.conflict");
  CHECK(
      diagnostics.all()[0].message ==
      "weight 'b' of 'two' is tensor<fp16, [4, 3, 1, 1]> but that of 'one' is tensor<fp16, [3, 3, "
      "1, 1]>; emit them into folders of their own");
}

TEST_CASE("weights with equal digests share a payload") {
  const Program program = two_weights("k", 1);
  WeightLayout layout;
  Diagnostics diagnostics;
  const std::vector<std::string> digests = {"same", "same"};
  REQUIRE(layout.plan(std::span(&program, 1), {}, diagnostics, digests));
  CHECK(layout.files().size() == 1);
  CHECK(layout.blob_path(0, 1) == layout.blob_path(0, 0));
}

TEST_CASE("weights without a name of the author's carry their program's") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 3});
  k.output("y", linear(x, k.weight<fp16>("w", {4, 3})));
  const Program program = k.finish();
  WeightLayout layout;
  Diagnostics diagnostics;
  REQUIRE(layout.plan(std::span(&program, 1), {}, diagnostics));
  CHECK(layout.blob_path(0, 1) == "@model_path/weights/k_bias_0.bin");
  CHECK(program.weights()[1].own_values);
}

TEST_CASE("weights larger than a file can be") {
  Kernel k("k");
  auto x = k.input<fp32>("x", {1, std::int64_t{1} << 61});
  k.output("y", x * k.weight<fp32>("w", {1, std::int64_t{1} << 61}));
  const Program program = k.finish();
  REQUIRE(program);
  WeightLayout layout;
  Diagnostics diagnostics;
  CHECK_FALSE(layout.plan(std::span(&program, 1), {}, diagnostics));
  REQUIRE(diagnostics.all().size() == 1);
  CHECK(diagnostics.all()[0].id == "weight.size");
}

TEST_CASE("text without a layout is that of one file for each weight") {
  Kernel k("dense");
  const auto x = k.input<fp16>("x", {2, 4});
  const auto w = k.weight<fp16>("w", {3, 4});
  const auto gain = k.constant<fp16>("gain", {3}, {1, 2, 3});
  k.output("y", linear(x, w) * gain);  // the bias that is left out is a tensor of zeros
  const Program program = k.finish();
  REQUIRE(program);
  Diagnostics diagnostics;
  WeightLayout layout;
  REQUIRE(layout.plan(std::span(&program, 1), {}, diagnostics));
  REQUIRE(layout.files().size() == 3);
  const std::string text = print_mil(program);
  CHECK(text == print_mil(program, layout));
  CHECK(text.find("\"@model_path/weights/dense_bias_0.bin\"") != std::string::npos);
}
