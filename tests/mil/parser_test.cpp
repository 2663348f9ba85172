// What the parser makes of well-formed text, and what it says about the rest.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "milgen/module.h"
#include "milgen/op_info.h"
#include "milgen/print.h"

using namespace milgen;

namespace {

Module parsed(std::string_view text) {
  Diagnostics diagnostics;
  Module module = parse_mil(text, diagnostics, {.file = "t.mil"});
  for (const Diagnostic& d : diagnostics.all()) FAIL_CHECK(d.place.line, ": ", d.message);
  CHECK(module);
  return module;
}

/// "LINE:COLUMN-LENGTH id: message", one for each diagnostic.
std::vector<std::string> errors(std::string_view text, const ParseOptions& options = {}) {
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics, options);
  CHECK_FALSE(module);
  std::vector<std::string> out;
  for (const Diagnostic& d : diagnostics.all()) {
    out.push_back(fmt::format("{}:{}-{} {}: {}", d.place.line, d.place.column, d.place.length, d.id,
                              d.message));
  }
  return out;
}

/// A program of one function whose ops are `ops`.
std::string in_main(std::string_view ops) {
  return fmt::format("program(1.3)\n{{\nfunc main<ios18>(fp16 x) {{\n{}\n}} -> (x);\n}}", ops);
}

/// The only error of a program with these ops; lines count from the first of them.
std::string error_in(std::string_view ops) {
  Diagnostics diagnostics;
  const Module module = parse_mil(in_main(ops), diagnostics);
  CHECK_FALSE(module);
  REQUIRE(diagnostics.all().size() == 1);
  const Diagnostic& d = diagnostics.all().front();
  return fmt::format("{}:{}-{} {}: {}", d.place.line - 3, d.place.column, d.place.length, d.id,
                     d.message);
}

mil::Block main_of(const Module& module) { return module.functions()[0].body(); }

}  // namespace

TEST_CASE("a program of Apple's layout") {
  const Module module = parsed(
      "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", \"3520.5.1\"}})]\n{\n"
      "    func main<ios18>(tensor<fp16, [1, 64]> x) {\n"
      "            tensor<fp16, [1, 64]> w = const()[name = string(\"w\"), val = tensor<fp16, [1, "
      "64]>(BLOBFILE(path = string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))];\n"
      "            tensor<fp16, [1, 64]> y = add(x = x, y = w)[name = string(\"y\")];\n"
      "        } -> (y);\n}");
  CHECK(module.version() == "1.3");
  CHECK(module.dialect() == mil::Dialect::v1_3);
  REQUIRE(module.attributes().size() == 1);
  CHECK(module.attributes()[0].name() == "buildInfo");
  CHECK(module.attributes()[0].value().type().text() == "dict<string, string>");
  REQUIRE(module.functions().size() == 1);
  const mil::Function main = module.functions()[0];
  CHECK(main.name() == "main");
  CHECK(main.opset() == "ios18");
  REQUIRE(main.inputs().size() == 1);
  CHECK(main.inputs()[0].name() == "x");
  CHECK(main.inputs()[0].type().dtype() == DType::fp16);
  CHECK(main.inputs()[0].type().shape() == Shape{1, 64});
  REQUIRE(main.body().ops().size() == 2);
  const mil::Op weight = main.body().ops()[0];
  CHECK(weight.is(OpCode::const_));
  const mil::Literal literal = weight.results()[0].constant();
  REQUIRE(literal);
  CHECK(literal.is_blob());
  CHECK(literal.blob_path() == "@model_path/weights/weight.bin");
  CHECK(literal.blob_offset() == 64);
  const mil::Op add = main.body().ops()[1];
  CHECK(add.info() == find_op("add"));
  CHECK(add.argument("y").bindings()[0].value() == weight.results()[0]);
  CHECK(add.argument("x").bindings()[0].value() == main.inputs()[0]);
  CHECK_FALSE(add.argument("z"));
  std::string name;
  CHECK(add.attribute("name").value().string(name));
  CHECK(name == "y");
  CHECK(weight.results()[0].uses().size() == 1);
  CHECK(weight.results()[0].uses()[0].user() == add);
  CHECK(main.body().outputs()[0].value() == add.results()[0]);
  CHECK(add.place().line == 6);
  CHECK(add.place().column == 39);
  CHECK(add.place().length == 3);
  CHECK(module.op_count() == 2);
}

TEST_CASE("every type") {
  for (const std::string_view type :
       {"bool",
        "string",
        "fp16",
        "fp32",
        "fp64",
        "bf16",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "int4",
        "uint1",
        "uint2",
        "uint3",
        "uint4",
        "uint6",
        "fp8e4m3fn",
        "fp8e5m2",
        "tensor<fp16, []>",
        "tensor<fp16, [0]>",
        "tensor<uint4, [1, ?, 3]>",
        "list<tensor<fp16, [4]>, 2>",
        "list<string, ?>",
        "tuple<string, int32>",
        "dict<string, list<tensor<int32, [2]>, ?>>",
        "state<tensor<fp16, [1, 2]>>",
        "tuple<tuple<string, dict<string, tensor<int32, [?]>>>, bool>",
        "tensor_buffer<fp16, shape=[16, 1, 64], strides=[64, 64, 1], interleave_factors=[1, 1, "
        "1]>"}) {
    CAPTURE(type);
    const Module module =
        parsed(fmt::format("program(1.3) {{ func f<ios18>({} a) {{ }} -> (a); }}", type));
    CHECK(module.functions()[0].inputs()[0].type().text() == type);
  }
  const Module module = parsed(
      "program(1.0) { func f<ios15>(list<tensor<fp16,[]>,?>a, list < fp16 , ? > b, "
      "tensor_buffer<fp16,shape=[2,3],strides=[3,1]>c) { } -> (a); }");
  const auto inputs = module.functions()[0].inputs();
  CHECK(inputs[0].type().text() == "list<tensor<fp16, []>, ?>");
  CHECK(inputs[1].type().text() == "list<fp16, ?>");
  CHECK(inputs[0].type().same(inputs[1].type()));
  CHECK(inputs[0].type().type_class() == mil::TypeClass::list);
  CHECK(inputs[0].type().list_length() == kUnknownDim);
  CHECK(inputs[0].type().element(0).shape().empty());
  CHECK(inputs[2].type().shape() == Shape{2, 3});
  CHECK(inputs[2].type().text() == "tensor_buffer<fp16, shape=[2, 3], strides=[3, 1]>");
}

TEST_CASE("every form of a value") {
  const auto value = [](std::string_view literal) {
    const Module module = parsed(in_main(fmt::format("fp16 c = const()[val = {}];", literal)));
    return std::string(main_of(module).ops()[0].attribute("val").value().text());
  };
  for (const std::string_view text : {"0",
                                      "-3",
                                      "0x1.8p+1",
                                      "-0x1p-24",
                                      "0.5",
                                      "1e-6",
                                      "-1.5E+3",
                                      "1.",
                                      "inf",
                                      "-inf",
                                      "nan",
                                      "true",
                                      "false",
                                      "\"\"",
                                      "\"a \\\"quoted\\\" word\"",
                                      "\"back\\\\slash\"",
                                      "[]",
                                      "[[1, 2], [3, 4]]",
                                      "{}",
                                      "{{\"a\", \"b\"}, {\"c\", \"d\"}}",
                                      "((\"DefaultShapes\", {{\"x\", [1, 1]}}))"}) {
    CAPTURE(text);
    CHECK(value(fmt::format("fp16({})", text)) == text);
  }
  CHECK(value("fp16( [ 1 ,2 ] )") == "[ 1 ,2 ]");
}

TEST_CASE("arguments: names, literals, tuples and nested tuples") {
  const Module module = parsed(in_main(
      "fp16 a = f(p = x, q = string(\"int32\"), r = true, s = -1, t = (x), u = (), v = (x, (x, "
      "fp16(1)), ()), w = [1, 2], later = z);"));
  const mil::Op op = main_of(module).ops()[0];
  CHECK(op.info() == nullptr);
  CHECK(op.argument("p").bindings()[0].is_value());
  CHECK(op.argument("q").bindings()[0].literal().type().text() == "string");
  CHECK_FALSE(op.argument("r").bindings()[0].literal().type());
  CHECK(op.argument("r").bindings()[0].literal().text() == "true");
  CHECK(op.argument("s").bindings()[0].literal().text() == "-1");
  CHECK(op.argument("t").is_tuple());
  CHECK(op.argument("t").bindings().size() == 1);
  CHECK(op.argument("u").is_tuple());
  CHECK(op.argument("u").bindings().empty());
  const auto nested = op.argument("v").bindings();
  REQUIRE(nested.size() == 3);
  CHECK(nested[0].value().name() == "x");
  REQUIRE(nested[1].is_tuple());
  REQUIRE(nested[1].elements().size() == 2);
  CHECK(nested[1].elements()[1].is_literal());
  CHECK(nested[2].is_tuple());
  CHECK(nested[2].elements().empty());
  CHECK(op.argument("w").bindings()[0].literal().text() == "[1, 2]");
  CHECK(op.argument("later").bindings()[0].is_undefined());
  CHECK(op.argument("later").bindings()[0].name() == "z");
  // x: p, t, twice in v, and the function's output.
  CHECK(module.functions()[0].inputs()[0].uses().size() == 5);
}

TEST_CASE("blocks, ops without results, opset overrides, several functions") {
  const Module module = parsed(
      "program(1.3) {\n"
      "func a<ios18>(int32 i, state<tensor<fp16, [2]>> s) {\n"
      "  int32 n, fp16 m = while_loop(loop_vars = (i, i))[name = string(\"n\")]\n"
      "    (int32 j, fp16 h) { bool c = less(x = j, y = i); } -> (c)\n"
      "    (int32 j_2, fp16 h_2) {\n"
      "      fp16 k = cond(pred = c) () { } -> (h_2) { fp16 z = relu<ios16>(x = h_2); } -> (z);\n"
      "    } -> (j_2, k);\n"
      "  write_state(data = m, input = s);\n"
      "} -> (n);\n"
      "func b<ios17>() { } -> ();\n}\n\n");
  REQUIRE(module.functions().size() == 2);
  CHECK(module.functions()[1].opset() == "ios17");
  CHECK(module.functions()[1].body().outputs().empty());
  const auto ops = module.functions()[0].body().ops();
  REQUIRE(ops.size() == 2);
  const mil::Op loop = ops[0];
  CHECK(loop.results().size() == 2);
  CHECK(loop.results()[1].index() == 1);
  REQUIRE(loop.blocks().size() == 2);
  CHECK(loop.blocks()[0].inputs().size() == 2);
  CHECK(loop.blocks()[0].outputs()[0].name() == "c");
  const mil::Op cond = loop.blocks()[1].ops()[0];
  CHECK(cond.parent() == loop.blocks()[1]);
  CHECK(cond.parent().parent() == loop);
  REQUIRE(cond.blocks().size() == 2);
  CHECK(cond.blocks()[1].ops()[0].opset_override() == "ios16");
  // c is made in another block and out of sight; i is seen from inside.
  CHECK(cond.argument("pred").bindings()[0].is_undefined());
  CHECK(module.functions()[0].inputs()[0].uses().size() == 3);
  CHECK(ops[1].results().empty());
  CHECK(ops[1].name() == "write_state");
  CHECK(module.op_count() == 5);
}

TEST_CASE("values decode") {
  const Module module = parsed(in_main(
      "fp16 a = f(i = tensor<int32, [2, 2]>([[1, -2], [3, 4]]), b = tensor<bool, [2]>([true, "
      "false]), r = tensor<fp16, [4]>([0x1.8p+1, 0.1, -inf, 2]), s = tensor<string, [2]>([\"a\", "
      "\"b\\\"c\"]));"));
  const mil::Op op = main_of(module).ops()[0];
  const auto literal = [&](std::string_view name) {
    return op.argument(name).bindings()[0].literal();
  };
  std::vector<std::int64_t> ints;
  REQUIRE(literal("i").integers(ints));
  CHECK(ints == std::vector<std::int64_t>{1, -2, 3, 4});
  CHECK_FALSE(literal("i").integers(ints, 3));
  REQUIRE(literal("b").integers(ints));
  CHECK(ints == std::vector<std::int64_t>{1, 0});
  CHECK_FALSE(literal("r").integers(ints));
  std::vector<double> reals;
  REQUIRE(literal("r").reals(reals));
  CHECK(reals[0] == 3.0);
  CHECK(reals[1] == 0.0999755859375);  // 0.1 in fp16
  CHECK(reals[2] < -1e300);
  CHECK(reals[3] == 2.0);
  std::vector<std::string> strings;
  REQUIRE(literal("s").strings(strings));
  CHECK(strings == std::vector<std::string>{"a", "b\"c"});
}

TEST_CASE("a name that is taken is kept and marked by the first definition") {
  const Module module = parsed(in_main("fp16 y = f(a = x); fp16 y = f(a = y); fp16 z = f(a = y);"));
  const auto ops = main_of(module).ops();
  CHECK(ops[1].argument("a").bindings()[0].value() == ops[0].results()[0]);
  CHECK(ops[2].argument("a").bindings()[0].value() == ops[1].results()[0]);
}

TEST_CASE("an op that reads its own result's name reads the earlier value") {
  const Module module = parsed(in_main("fp16 x = relu(x = x);"));
  CHECK(main_of(module).ops()[0].argument("x").bindings()[0].value() ==
        module.functions()[0].inputs()[0]);
}

TEST_CASE("what is expected, where, and an example") {
  CHECK(error_in("fp16 y = relu(x = x)") ==
        "1:21-1 syntax.expected: expected ';' but found '}'; an example: tensor<fp16, [1, 64]> y = "
        "relu(x = x)[name = string(\"y\")];");
  CHECK(error_in("fp16 y = add(x = x y = x);") ==
        "1:20-1 syntax.expected: expected ',' or ')' but found 'y'; an example: add(x = a, y = b)");
  CHECK(error_in("fp16 y = add(x = x, y = );") ==
        "1:25-1 syntax.expected: expected a value but found ')'; an example: add(x = a, y = "
        "fp16(0x1p+0))");
  CHECK(
      error_in("fp16 y = add(x = x, );") ==
      "1:21-1 syntax.expected: expected an argument but found ')'; an example: add(x = a, y = b)");
  CHECK(error_in("fp16 y = add(x x);") ==
        "1:16-1 syntax.expected: expected '=' but found 'x'; an example: add(x = a, y = b)");
  CHECK(
      error_in("fp16 = add(x = x);") ==
      "1:6-1 syntax.expected: expected a name but found '='; an example: tensor<fp16, [1, 64]> y = "
      "relu(x = x)[name = string(\"y\")];");
  CHECK(error_in("y = add(x = x);") ==
        "1:1-1 syntax.expected: expected a type in front of the name but found 'y'; an example: "
        "tensor<fp16, [1, 64]> y = relu(x = x)[name = string(\"y\")];");
  CHECK(error_in("tensr<fp16, [1]> y = add(x = x);") ==
        "1:11-1 syntax.expected: expected '>' but found ','; an example: cast<ios17>(dtype = "
        "dtype_0, "
        "x = x)");
  CHECK(error_in("float y = add(x = x);") ==
        "1:1-5 syntax.expected: expected a type but found 'float'; an example: tensor<fp16, [1, "
        "64]>, "
        "fp16, string");
  CHECK(error_in("tensor<half, [1]> y = add(x = x);") ==
        "1:8-4 syntax.expected: expected a scalar type but found 'half'; an example: fp16, fp32, "
        "int32, bool, string");
  CHECK(
      error_in("tensor<fp16, [1, -1]> y = add(x = x);") ==
      "1:18-1 syntax.expected: expected a dim but found '-'; an example: tensor<fp16, [1, 64, ?]>");
  CHECK(error_in("tensor<fp16, 3> y = add(x = x);") ==
        "1:14-1 syntax.expected: expected '[' but found '3'; an example: tensor<fp16, [1, 64]>");
  CHECK(error_in("fp16 y = const()[val = 3];") ==
        "1:24-1 syntax.expected: expected a type but found '3'; an example: tensor<fp16, [1, 64]>, "
        "fp16, string");
  CHECK(error_in("fp16 y = const()[val = fp16(0x1p)];") ==
        "1:29-4 syntax.number: '0x1p' is not a number; examples: -3, 0.5, 1e-6, 0x1.8p+1, -inf");
  CHECK(error_in("fp16 y = const()[val = fp16(1.2.3)];") ==
        "1:29-5 syntax.number: '1.2.3' is not a number; examples: -3, 0.5, 1e-6, 0x1.8p+1, -inf");
  CHECK(error_in("fp16 y = const()[val = fp16([1, 2)];") ==
        "1:34-1 syntax.expected: expected ',' or ']' but found ')'; an example: tensor<int32, "
        "[2]>([1, 2])");
  CHECK(error_in("fp16 y = const()[val = string(\"abc)];\nfp16 z = f(a = string(\"b\"));") ==
        "1:31-7 syntax.string: a string is not closed; an example: string(\"main\")");
  CHECK(error_in("fp16 y = const()[val = fp16(BLOBFILE(path = string(\"a\")))];") ==
        "1:56-1 syntax.expected: expected ',' but found ')'; an example: BLOBFILE(path = "
        "string(\"@model_path/weights/weight.bin\"), offset = uint64(64))");
  CHECK(error_in("fp16 y = const()[val = fp16(BLOBFILE(path = string(\"a\"), offset = "
                 "uint64(-1)))];") ==
        "1:74-2 syntax.number: '-1' is not an offset; an example: uint64(64)");
  CHECK(error_in("tensor<fp16, [99999999999999999999]> y = f();") ==
        "1:15-20 syntax.number: '99999999999999999999' is not a dim; the largest is "
        "9223372036854775807");
  CHECK(error_in("fp16 y = f(a = \x01);") ==
        "1:16-1 syntax.expected: expected a value but found the byte 0x01; an example: add(x = a, "
        "y = "
        "fp16(0x1p+0))");
  CHECK(error_in(std::string_view("fp16 y = f(a = string(\"\0\"));", 28)) ==
        "1:24-1 syntax.character: a string holds the byte 0x00");
}

TEST_CASE("what stands around functions") {
  CHECK(errors("") ==
        std::vector<std::string>{"1:1-1 syntax.end: expected 'program' but found the end "
                                 "of the text; an example: program(1.3)"});
  CHECK(
      errors("hello") ==
      std::vector<std::string>{
          "1:1-5 syntax.expected: expected 'program' but found 'hello'; an example: program(1.3)"});
  CHECK(errors("program(1.3) { func f<ios18>() { } -> (); } x") ==
        std::vector<std::string>{
            "1:45-1 syntax.trailing: 'x' stands behind the program's closing brace"});
  CHECK(
      errors("program(1.3) { func f<ios18>() {\n") ==
      std::vector<std::string>{"2:1-1 syntax.end: the text ends inside of func 'f'; an example of "
                               "its end: } -> (y);"});
  CHECK(errors("program(1.3) { func f<ios18>() { } -> ();\n") ==
        std::vector<std::string>{"2:1-1 syntax.end: expected '}' but found the end of the text; an "
                                 "example: program(1.3) { "
                                 "func main<ios18>() { ... } -> (y); }"});
  CHECK(errors("program(1.3) { func f<ios18>() { -> (); }") ==
        std::vector<std::string>{
            "1:34-2 syntax.expected: expected '}' but found '->'; an example: } -> (y);"});
  CHECK(errors("program(1.3) { func f<ios18>() { \nfunc g<ios18>() { } -> (); }") ==
        std::vector<std::string>{
            "2:1-4 syntax.expected: expected '}' but found 'func'; an example: } -> (y);"});
}

TEST_CASE("one run reports every independent mistake") {
  Diagnostics diagnostics;
  const Module module = parse_mil(
      "program(1.3) {\n"
      "func main<ios18>(fp16 x) {\n"
      "  fp16 a = relu(x = x)\n"
      "  fp16 b = add(x = a y = x);\n"
      "  fp16 c = add(x = a, y = b);\n"
      "  tensor<fp16, [1 2]> d = relu(x = c);\n"
      "  fp16 e = const()[val = string(\"e)];\n"
      "  fp16 f = add(x = c, y = fp16(1q));\n"
      "} -> (c)\n"
      "func other<ios18>(fp16 x {\n"
      "  fp16 a = relu(x = x);\n"
      "} -> (a);\n"
      "}",
      diagnostics);
  std::string lines;
  for (const Diagnostic& d : diagnostics.all()) lines += fmt::format("{} ", d.place.line);
  CHECK(lines == "3 4 6 7 8 9 10 ");
  // What could be read is there: b and d have their written types, other its op.
  REQUIRE(module.functions().size() == 2);
  CHECK(main_of(module).ops()[2].argument("y").bindings()[0].is_value());
  CHECK(module.functions()[1].body().ops().size() == 1);
}

TEST_CASE("a limit to syntax errors") {
  std::string ops;
  for (int i = 0; i < 300; ++i) ops += "fp16 y = );\n";
  const std::vector<std::string> all = errors(in_main(ops), {.error_limit = 7});
  REQUIRE(all.size() == 8);
  CHECK(all.back() ==
        "11:10-1 syntax.many: there are more than 7 syntax errors; reading ends here");
}

TEST_CASE("a limit to the size of a text") {
  Diagnostics diagnostics;
  const std::string text = in_main("");
  CHECK(parse_mil(text, diagnostics, {.size_limit_bytes = text.size()}));
  CHECK_FALSE(parse_mil(text, diagnostics, {.file = "t.mil", .size_limit_bytes = 50}));
  REQUIRE(diagnostics.all().size() == 1);
  CHECK(diagnostics.all()[0].id == "syntax.size");
  CHECK(diagnostics.all()[0].message ==
        fmt::format("the text has {} bytes; at most 50 are taken", text.size()));
  CHECK(diagnostics.all()[0].place.file == "t.mil");
}

TEST_CASE("nesting has a limit, and up to it anything is read") {
  const auto nested = [](std::size_t depth) {
    return in_main("fp16 y = const()[val = fp16(" + std::string(depth, '[') + "1" +
                   std::string(depth, ']') + ")];");
  };
  CHECK(parsed(nested(kNestingLimit)).op_count() == 1);
  Diagnostics diagnostics;
  parse_mil(nested(kNestingLimit + 1), diagnostics);
  REQUIRE(diagnostics.all().size() == 1);
  CHECK(diagnostics.all()[0].id == "syntax.nesting");
  CHECK(diagnostics.all()[0].message == "a value nests deeper than 256 brackets");

  const auto type = [](std::size_t depth) {
    std::string out = "program(1.3) { func f<ios18>(";
    for (std::size_t i = 0; i < depth; ++i) out += "list<";
    out += "fp16";
    for (std::size_t i = 0; i < depth; ++i) out += ", 2>";
    return out + " a) { } -> (a); }";
  };
  CHECK(parsed(type(kTypeNestingLimit)).functions().size() == 1);
  CHECK(errors(type(kTypeNestingLimit + 1))[0].find("syntax.nesting: a type nests deeper than 32 "
                                                    "levels") != std::string::npos);
}

TEST_CASE("comments and line ends are no text") {
  const Module module = parsed(
      "program(1.3) // one\r\n{\r\nfunc f<ios18>(fp16 x) { // two\r\n fp16 y = relu(x = "
      "x);// three\r\n} -> (y);\r\n}\r\n// four");
  CHECK(module.op_count() == 1);
  CHECK(main_of(module).ops()[0].place().line == 4);
}

TEST_CASE("a byte order mark is not part of the text") {
  CHECK(parsed("\xEF\xBB\xBFprogram(1.3) { func f<ios18>() { } -> (); }").functions().size() == 1);
}

TEST_CASE("a comment is kept each time, also between the words of a type that recurs") {
  const Module module = parsed(
      "program(1.3) { func main<ios18>(tensor<fp16, // a\n[2]> x, tensor<fp16, // b\n[2]> y,\n"
      "tensor<fp16, // b\n[2]> z) {\n} -> (x); }");
  const std::string out = print_mil(module);
  CHECK(out.find("// b") != out.rfind("// b"));
}

TEST_CASE("nothing stands between a sign and its number") {
  CHECK(error_in("fp16 y = add(x = x, y = fp16(- inf));") ==
        "1:30-1 syntax.number: '-' is not a number; examples: -3, 0.5, 1e-6, 0x1.8p+1, -inf");
}

TEST_CASE("what a function without an opset takes is known") {
  Diagnostics diagnostics;
  const Module module = parse_mil(
      "program(1.3) {\nfunc main(fp16 x) {\nfp16 y = relu(x = x);\n} -> (y);\n}", diagnostics);
  CHECK_FALSE(module);
  CHECK(diagnostics.all().size() == 1);
  REQUIRE(module.functions()[0].inputs().size() == 1);
  CHECK(module.functions()[0].inputs()[0].has_uses());
}
