// verify_mil(): what golden/verify does not show.
#include "milgen/verify.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "milgen/module.h"

using namespace milgen;

namespace {

/// "LINE:COLUMN id: message" for each diagnostic.
std::string judge(std::string_view text, const VerifyOptions& options = {}) {
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics, {.file = "a.mil"});
  verify_mil(module, options, diagnostics);
  std::string out;
  for (const Diagnostic& one : diagnostics.all()) {
    out += fmt::format("{}:{} {}{}: {}\n", one.place.line, one.place.column,
                       one.severity == Severity::warning ? "warning " : "", one.id, one.message);
  }
  return out;
}

/// A function of `x`, one op a line from line 2 on.
std::string program(std::string_view inputs, std::string_view ops, std::string_view outputs = "y",
                    std::string_view opset = "ios18") {
  return fmt::format("program({}) {{ func main<{}>({}) {{\n{}\n}} -> ({}); }}",
                     opset == "ios18" ? "1.3" : "1.0", opset, inputs, ops, outputs);
}

constexpr std::string_view kX = "tensor<fp16, [1, 64]> x";

}  // namespace

TEST_CASE("a right program has nothing to report") {
  CHECK(judge(program(kX, "tensor<fp16, [1, 64]> y = relu(x = x);")) == "");
}

TEST_CASE("each unknown dim of an input is a number of its own") {
  const std::string_view inputs = "tensor<fp16, [?, 4]> a, tensor<fp16, [?, 4]> b";
  const std::string unlisted =
      "1:54 warning flexible.missing: input 'a' is tensor<fp16, [?, 4]> but func main has no "
      "FlexibleShapeInformation, which says what its dims may be\n";
  CHECK(judge(program(inputs,
                      "tensor<fp16, [?, 4]> h = add(x = a, y = b);\n"
                      "tensor<fp16, [4, ?]> t = transpose(perm = tensor<int32, [2]>([1, 0]), x = "
                      "h);\n"
                      "tensor<fp16, [4, 4]> y = matmul(transpose_x = bool(false), transpose_y = "
                      "bool(false), x = t, y = h);")) == unlisted);
  CHECK(judge(program(inputs,
                      "tensor<fp16, [?, 5]> h = add(x = a, y = b);\n"
                      "tensor<fp16, [?, 4]> y = relu(x = a);",
                      "h, y")) ==
        unlisted +
            "2:1 type.annotation: add: 'h' is written as tensor<fp16, [?, 5]> but is tensor<fp16, "
            "[?, 4]>\n");
}

TEST_CASE("a number that is written counts where inference knows none") {
  CHECK(judge(program("tensor<int32, [2]> s, tensor<fp16, [8, 8]> x",
                      "tensor<fp16, [4, 16]> h = reshape(shape = s, x = x);\n"
                      "tensor<fp16, [4, 17]> y = relu(x = h);")) ==
        "3:1 type.annotation: relu: 'y' is written as tensor<fp16, [4, 17]> but is tensor<fp16, "
        "[4, 16]>\n");
}

TEST_CASE("both spellings of rank 0 are one type") {
  CHECK(judge(program("tensor<fp16, [1, 64]> x",
                      "tensor<int32, []> a = const()[val = tensor<int32, []>(-1)];\n"
                      "tensor<fp16, [1, 64]> y = softmax(axis = a, x = x);",
                      "y", "ios17")) == "");
  CHECK(judge(program("tensor<fp16, [1, 64]> x",
                      "int32 a = const()[val = tensor<int32, []>(-1)];\n"
                      "tensor<fp16, [1, 64]> y = softmax(axis = a, x = x);",
                      "y", "ios17")) ==
        "2:1 warning program.dialect: a scalar is written as int32, but a program(1.0) has "
        "tensor<T, []> throughout\n");
}

TEST_CASE("what follows from a mistake is not reported") {
  SUBCASE("an op that does not exist") {
    CHECK(judge(program(kX,
                        "tensor<fp16, [64, 8]> w = wieght(of = x);\n"
                        "tensor<fp16, [1, 8]> y = linear(bias = w, weight = w, x = x);")) ==
          "2:27 op.unknown: there is no op wieght\n");
  }
  SUBCASE("a name that nothing defines") {
    CHECK(judge(program(kX,
                        "tensor<fp16, [1, 64]> h = relu(x = nowhere);\n"
                        "tensor<fp16, [1, 64]> y = relu(x = h);",
                        "y")) ==
          "1:55 warning input.unused: nothing uses input 'x'\n"
          "2:36 name.undefined: relu: x is 'nowhere', which nothing defines\n");
  }
  SUBCASE("a type that is not the op's, whichever of the two is meant") {
    CHECK(judge(program(kX,
                        "tensor<fp16, [1, 32]> h = relu(x = x);\n"
                        "tensor<fp16, [1, 64]> y = relu(x = h);")) ==
          "2:1 type.annotation: relu: 'h' is written as tensor<fp16, [1, 32]> but is tensor<fp16, "
          "[1, 64]>\n");
    CHECK(judge(program(kX,
                        "tensor<fp16, [1, 32]> h = relu(x = x);\n"
                        "tensor<fp16, [1, 32]> y = relu(x = h);")) ==
          "2:1 type.annotation: relu: 'h' is written as tensor<fp16, [1, 32]> but is tensor<fp16, "
          "[1, 64]>\n");
  }
  SUBCASE("a syntax error") {
    const std::string found = judge(program(kX,
                                            "tensor<fp16, [1, 64]> h = relu(x = );\n"
                                            "tensor<fp16, [1, 64]> y = relu(x = h);"));
    CHECK(found.find("syntax.expected") != std::string::npos);
    CHECK(found.find("name.undefined") == std::string::npos);
    CHECK(found.find("unused") == std::string::npos);
  }
}

TEST_CASE("a name is not missing where a syntax error may hide it") {
  constexpr std::string_view kOps = "tensor<fp16, [2]> y = relu(x = z);\n} -> (y); }";
  CHECK(judge(fmt::format("program(1.3) {{ func main(tensor<fp16, [2]> z) {{\n{}", kOps)) ==
        "1:25 syntax.expected: expected '<' but found '('; an example: func "
        "main<ios18>(tensor<fp16, [1, 64]> x) { ... } -> (y);\n");
  CHECK(judge(fmt::format("program(1.3) {{ func main<ios18>(tensor<fp16, [2]>) {{\n{}", kOps)) ==
        "1:50 syntax.expected: expected a name but found ')'; an example: func "
        "main<ios18>(tensor<fp16, [1, 64]> x)\n");
  CHECK(judge(program(kX,
                      "tensor<fp16 [1, 64]> a = relu(x = x);\n"
                      "tensor<fp16, [1, 64]> y = relu(x = a);")) ==
        "2:13 syntax.expected: expected ',' but found '['; an example: tensor<fp16, [1, 64]>\n");
}

TEST_CASE("what is computed from constants is one") {
  // opset_ios18: a const op, the result of a constexpr op, or a value folded from constants.
  CHECK(judge(program(kX,
                      "tensor<fp16, [8, 64]> c = const()[val = tensor<fp16, [8, 64]>(BLOBFILE(path "
                      "= string(\"@model_path/w.bin\"), offset = uint64(64)))];\n"
                      "tensor<fp16, [8, 64]> w = relu(x = c);\n"
                      "tensor<fp16, [8]> b = const()[val = tensor<fp16, [8]>(BLOBFILE(path = "
                      "string(\"@model_path/w.bin\"), offset = uint64(1152)))];\n"
                      "tensor<fp16, [1, 8]> y = linear(bias = b, weight = w, x = x);")) == "");
}

TEST_CASE("operands of old constexpr ops are attributes") {
  CHECK(judge(program(
            "tensor<fp16, [4]> x",
            "tensor<fp16, [4]> w = constexpr_lut_to_dense()[indices = tensor<uint8, [1]>([27]), "
            "lut = tensor<fp16, [4]>([0x1p+0, 0x1p+1, 0x1.8p+1, 0x1p+2]), shape = tensor<uint32, "
            "[1]>([4])];\n"
            "tensor<fp16, [4]> y = add(x = x, y = w);",
            "y", "ios16")) == "");
  CHECK(
      judge(
          program(
              "tensor<fp16, [4]> x",
              "tensor<fp16, [5]> w = constexpr_lut_to_dense()[indices = tensor<uint8, [1]>([27]), "
              "lut = tensor<fp16, [4]>([0x1p+0, 0x1p+1, 0x1.8p+1, 0x1p+2]), shape = tensor<uint32, "
              "[1]>([5])];\n"
              "tensor<fp16, [4]> y = add(x = x, y = w);",
              "y", "ios16"))
          .find("constexpr.packed: ") != std::string::npos);
}

TEST_CASE("an old constexpr op has no attributes but its operands and notes about it") {
  const auto said = [](std::string_view attribute) {
    return judge(program("tensor<fp32, [4]> x",
                         fmt::format("tensor<fp32, [4]> w = constexpr_cast()[{}output_dtype = "
                                     "tensor<string, []>(\"fp32\"), source_val = tensor<fp16, "
                                     "[4]>([0x0p+0, 0x1p+0, 0x1p+1, 0x1p+2])];\n"
                                     "tensor<fp32, [4]> y = add(x = x, y = w);",
                                     attribute),
                         "y", "ios16"));
  };
  CHECK(said("milId = tensor<uint64, []>(5), name = tensor<string, []>(\"w\"), ") == "");
  CHECK(said("SelectedBackend = tensor<string, []>(\"ane\"), ") == "");
  CHECK(said("source_value = tensor<int32, []>(5), ") ==
        "2:40 arg.unknown: constexpr_cast: there is no attribute source_value; did you mean "
        "'source_val'?\n");
}

TEST_CASE("an op may be of another opset than its function") {
  CHECK(judge(program(kX,
                      "tensor<int16, [1, 64]> y = cast<ios17>(dtype = tensor<string, "
                      "[]>(\"int16\"), x = x);",
                      "y", "ios16")) == "");
  CHECK(judge(program(kX,
                      "tensor<int16, [1, 64]> y = cast(dtype = tensor<string, []>(\"int16\"), "
                      "x = x);",
                      "y", "ios16"))
            .find("arg.choice: ") != std::string::npos);
}

TEST_CASE("blocks are judged in front of their op") {
  CHECK(judge(program("tensor<int32, [1]> n",
                      "int32 i = const()[val = int32(0)];\n"
                      "int32 m = squeeze(axes = tensor<int32, [1]>([0]), x = n);\n"
                      "int32 y = while_loop(loop_vars = (i))\n"
                      "(int32 a) { bool c = less(x = a, y = m); } -> (c)\n"
                      "(int32 b) { int32 d = add(x = b, y = int32(1)); } -> (d);")) == "");
  CHECK(judge(program("tensor<int32, [1]> n",
                      "int32 i = const()[val = int32(0)];\n"
                      "int32 m = squeeze(axes = tensor<int32, [1]>([0]), x = n);\n"
                      "int32 y = while_loop(loop_vars = (i))\n"
                      "(int32 a) { int32 c = add(x = a, y = m); } -> (c)\n"
                      "(int32 b) { int32 d = add(x = b, y = int32(1)); } -> (d);")) ==
        "4:11 while_loop.condition: while_loop: the condition is int32 but must be bool\n");
}

TEST_CASE("programs of the segmenter have ops of their own") {
  const std::string_view buffer =
      "tensor_buffer<fp16, shape=[2, 4], strides=[4, 1], interleave_factors=[1, 1]>";
  const std::string right = fmt::format(
      "tensor<fp16, [2, 4]> t = tensor_buffer_to_tensor<ios17>(input = b);\n"
      "{} y = tensor_to_tensor_buffer<ios17>(input = t, interleave_factors = "
      "tensor<uint8, [2]>([1, 1]), strides = tensor<int64, [2]>([4, 1]));",
      buffer);
  CHECK(judge(program(fmt::format("{} b", buffer), right)) == "");
  std::string wrong = right;
  wrong.replace(wrong.find("([4, 1])"), 8, "([8, 1])");
  CHECK(judge(program(fmt::format("{} b", buffer), wrong)).find("3:1 type.annotation: ") == 0);
}

TEST_CASE("linear takes an x of rank 4, because compilers print it") {
  CHECK(judge(program("tensor<fp16, [1, 1, 1, 2]> x",
                      "tensor<fp16, [1, 1, 1, 2]> y = linear(bias = tensor<fp16, [2]>([0x0p+0, "
                      "0x0p+0]), weight = tensor<fp16, [2, 2]>([[0x1p+0, 0x0p+0], [0x0p+0, "
                      "0x1p+0]]), x = x);")) == "");
}

TEST_CASE("options") {
  const std::string text = program(kX,
                                   "tensor<fp16, [1, 64]> a = relu(x = x);\n"
                                   "tensor<fp16, [1, 64]> b = relu(x = x);\n"
                                   "tensor<fp16, [1, 64]> c = relu(x = x);\n"
                                   "tensor<fp16, [1, 64]> y = relu(x = x);");
  VerifyOptions options;
  SUBCASE("a limit to reports of one kind") {
    options.limit_per_id = 1;
    CHECK(judge(text, options) ==
          "2:23 warning value.unused: relu: nothing uses 'a'\n"
          "0:0 warning report.many: 2 more of value.unused are not shown\n");
  }
  SUBCASE("an id that is allowed") {
    options.allow = {"value.unused"};
    CHECK(judge(text, options) == "");
  }
  SUBCASE("an allowed error leaves the program right") {
    options.allow = {"op.unknown"};
    Diagnostics diagnostics;
    const Module module =
        parse_mil(program(kX, "tensor<fp16, [1, 64]> y = mine(x = x);"), diagnostics);
    CHECK(verify_mil(module, options, diagnostics));
    CHECK(!verify_mil(module, {}, diagnostics));
  }
  SUBCASE("another opset") {
    options.opset = Opset::ios15;
    CHECK(judge(program(kX,
                        "tensor<fp16, [1, 64]> y = fill_like(ref_tensor = x, value = "
                        "fp16(0x1p+0));"),
                options) ==
          "2:27 op.opset: fill_like: the op exists from ios16 on but is judged as one of ios15\n");
  }
}

TEST_CASE("judging many mistakes takes time in proportion") {
  // Each undefined name is looked for among near values, each literal decoded, each report counted.
  std::string ops;
  for (int i = 0; i < 50000; ++i) {
    ops += fmt::format("tensor<fp16, [1, 64]> v{} = add(x = w{}, y = fp16(0x1p+0));\n", i, i);
  }
  VerifyOptions options;
  options.limit_per_id = 3;
  const std::string found = judge(program(kX, ops, "v0"), options);
  CHECK(found.find("49997 more of name.undefined are not shown") != std::string::npos);
}
