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

Program with_table(const char* kernel, std::initializer_list<double> values) {
  Kernel k(kernel);
  auto x = k.input<fp16>("x", {2});
  k.output("y", x * k.constant<fp16>("table", {2}, values));
  return k.finish();
}

Program with_fill(const char* kernel, Fill fill) {
  Kernel k(kernel);
  auto x = k.input<fp16>("x", {2});
  k.output("y", x * k.constant<fp16>("table", {2}, fill));
  return k.finish();
}

Program with_weight(const char* kernel, const char* name, std::int64_t count,
                    Fill fill = Fill::uniform) {
  Kernel k(kernel);
  auto x = k.input<fp16>("x", {count});
  k.output("y", x * k.weight<fp16>(name, {count}, fill));
  return k.finish();
}

/// A bias that linear() makes is called bias_0, and its file NAME_bias_0.
Program with_derived_bias(const char* kernel, const char* weight) {
  Kernel k(kernel);
  auto x = k.input<fp16>("x", {1, 3});
  k.output("y", linear(x, k.weight<fp16>(weight, {4, 3})));
  return k.finish();
}

std::vector<std::string> faults(const std::vector<Program>& programs,
                                const LayoutOptions& options = {},
                                std::span<const std::string> same_as = {}) {
  WeightLayout layout;
  Diagnostics diagnostics;
  const bool ok = layout.plan(programs, options, diagnostics, same_as);
  std::vector<std::string> out;
  for (const Diagnostic& d : diagnostics.all()) out.push_back(d.id + ": " + d.message);
  CHECK(ok == out.empty());
  return out;
}

using Faults = std::vector<std::string>;

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

TEST_CASE("literals of one name are held against each other element by element") {
  CHECK(faults({with_table("a", {1, 2}), with_table("b", {1, 2})}).empty());
  const Faults elements = {
      "weight.conflict: weight 'table' of 'b' and that of 'a' are tensor<fp16, [2]> but their "
      "values differ: element 1 is 2.5 and 2.0; emit them into folders of their own"};
  CHECK(faults({with_table("a", {1, 2}), with_table("b", {1, 2.5})}) == elements);
  CHECK(faults({with_table("a", {1, 2}), with_table("b", {1, 2.5})},
               {.files = WeightFiles::shared}) == elements);
  CHECK(faults({with_table("a", {1, 0.0}), with_table("b", {1, -0.0})}) ==
        Faults{"weight.conflict: weight 'table' of 'b' and that of 'a' are tensor<fp16, [2]> but "
               "their values differ: element 1 is -0.0 and 0.0; emit them into folders of their "
               "own"});
  CHECK(faults({with_fill("a", Fill::zeros), with_fill("b", Fill::ones)}) ==
        Faults{"weight.conflict: weight 'table' of 'b' and that of 'a' are tensor<fp16, [2]> but "
               "their values differ: the kernel's own, by the formula ones and the kernel's own, "
               "by the formula zeros; emit them into folders of their own"});
  CHECK(faults({with_weight("a", "table", 2), with_table("b", {1, 2})}) ==
        Faults{"weight.conflict: weight 'table' of 'b' and that of 'a' are tensor<fp16, [2]> but "
               "their values differ: the kernel's own, element by element and from a source, "
               "uniform where that is seeded; emit them into folders of their own"});

  const auto rows = [](const char* kernel, double last) {
    Kernel k(kernel);
    auto x = k.input<fp16>("x", {16, 2});
    auto index = k.constant<int32>("rows", {10}, {0, 1, 2, 3, 4, 5, 6, 7, 8, last});
    k.output("y", gather(x, index, {.axis = 0}));
    return k.finish();
  };
  CHECK(faults({rows("a", 9), rows("b", 9)}).empty());
  CHECK(faults({rows("a", 9), rows("b", 10)}) ==
        Faults{"weight.conflict: weight 'rows' of 'b' and that of 'a' are tensor<int32, [10]> but "
               "their values differ: element 9 is 10 and 9; emit them into folders of their own"});
}

TEST_CASE("a derived name that an author's name meets is a conflict, whatever the shapes") {
  const Faults one_file = {
      "weight.conflict: weight 'bias_0' of 'k' and weight 'k_bias_0' of 'k' are both to be in "
      "'weights/k_bias_0.bin'; one of them needs a name of its own"};
  CHECK(faults({with_derived_bias("k", "k_bias_0")}) == one_file);
  CHECK(faults({with_weight("other", "k_bias_0", 4), with_derived_bias("k", "w")}) ==
        Faults{"weight.conflict: weight 'bias_0' of 'k' and weight 'k_bias_0' of 'other' are both "
               "to be in 'weights/k_bias_0.bin'; one of them needs a name of its own"});

  // With one file for all, no file is called by either.
  const Program program = with_derived_bias("k", "k_bias_0");
  WeightLayout layout;
  Diagnostics diagnostics;
  REQUIRE(layout.plan(std::span(&program, 1), {.files = WeightFiles::shared}, diagnostics));
  CHECK(layout.blob_offset(0, 0) != layout.blob_offset(0, 1));
}

TEST_CASE("a conflict by name is one though the first weight went into another's file") {
  // 'b' of the second program has the bytes of 'a' and no file of its own.
  const std::vector<std::string> digests = {"same", "same", "else"};
  CHECK(faults({with_weight("first", "a", 2), with_weight("second", "b", 2),
                with_weight("third", "b", 4)},
               {}, digests) ==
        Faults{"weight.conflict: weight 'b' of 'third' is tensor<fp16, [4]> but that of 'second' "
               "is tensor<fp16, [2]>; emit them into folders of their own"});
}

TEST_CASE("files that differ only in case are one on many file systems") {
  CHECK(faults({with_weight("one", "w", 2), with_weight("two", "W", 4)}) ==
        Faults{"weight.file_case: weight 'W' of 'two' and weight 'w' of 'one' have files that "
               "differ only in case, 'weights/W.bin' and 'weights/w.bin'"});
  CHECK(faults({with_weight("one", "w", 2), with_weight("two", "W", 4)},
               {.files = WeightFiles::shared})
            .empty());
  // Stored once, they are one file in any case.
  const std::vector<std::string> digests = {"same", "same"};
  CHECK(faults({with_weight("one", "w", 2), with_weight("two", "W", 2)}, {}, digests).empty());
}

TEST_CASE("a program that is none has no layout") {
  CHECK(faults({with_weight("one", "w", 2), Program()}) ==
        Faults{"program.none: program 2 of 2 is none: its kernel has errors or it was never "
               "built"});
}
