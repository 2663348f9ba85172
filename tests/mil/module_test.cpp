// Editing a module: uses stay exact, what is refused changes nothing.
#include "milgen/module.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "milgen/print.h"
#include "milgen/verify.h"

using namespace milgen;

namespace {

constexpr std::string_view kProgram =
    "program(1.3) {\n"
    "    func main<ios18>(tensor<fp16, [2]> x) {\n"
    "            tensor<fp16, [2]> a = relu(x = x)[name = string(\"a\")];\n"
    "            tensor<fp16, [2]> b = add(x = a, y = a)[name = string(\"b\")];\n"
    "        } -> (b);\n}";

Module program() {
  Diagnostics diagnostics;
  Module module = parse_mil(kProgram, diagnostics);
  REQUIRE(module);
  return module;
}

mil::Block body(const Module& module) { return module.functions()[0].body(); }

/// The lines between the function's head and its end.
std::string ops(const Module& module) {
  std::string text = print_mil(module);
  const std::size_t head = text.find("{\n", text.find("func"));
  const std::size_t tail = text.find("        } -> (");
  std::string out = text.substr(head + 2, tail - head - 2);
  for (std::size_t at = 0; (at = out.find("            ", at)) != std::string::npos;) {
    out.erase(at, 12);
  }
  return out;
}

}  // namespace

TEST_CASE("rename follows every use and the op's name") {
  Module module = program();
  Diagnostics diagnostics;
  CHECK(module.rename(body(module).ops()[0].results()[0], "act", diagnostics));
  CHECK(ops(module) ==
        "tensor<fp16, [2]> act = relu(x = x)[name = string(\"act\")];\n"
        "tensor<fp16, [2]> b = add(x = act, y = act)[name = string(\"b\")];\n");
  CHECK(diagnostics.empty());
}

TEST_CASE("rename refuses what cannot be a name") {
  Module module = program();
  const mil::Value a = body(module).ops()[0].results()[0];
  const auto refused = [&](std::string_view name) {
    Diagnostics diagnostics;
    CHECK_FALSE(module.rename(a, name, diagnostics));
    REQUIRE(diagnostics.all().size() == 1);
    return diagnostics.all()[0].id + ": " + diagnostics.all()[0].message;
  };
  CHECK(refused("b") == "name.duplicate: 'a' cannot be called 'b', which is taken");
  CHECK(refused("x") == "name.duplicate: 'a' cannot be called 'x', which is taken");
  CHECK(refused("tensor") ==
        "name.reserved: 'tensor' is a reserved word, so that 'a' cannot be called that");
  CHECK(refused("1a") ==
        "name.characters: '1a' is not [A-Za-z_][A-Za-z0-9_@]*, so that 'a' cannot be called that");
  CHECK(ops(module) == ops(program()));
}

TEST_CASE("ops are spliced in, with the names that are in sight there") {
  Module module = program();
  Diagnostics diagnostics;
  const mil::Op add = body(module).ops()[1];
  const mil::Op made =
      module.insert_before(add,
                           "tensor<fp16, [2]> c = tanh(x = a)[name = string(\"c\")];\n"
                           "tensor<fp16, [2]> d = sigmoid(x = c)[name = string(\"d\")];",
                           diagnostics);
  REQUIRE(made);
  CHECK(made.name() == "sigmoid");
  module.set_argument(add, "y", made.results()[0]);
  CHECK(ops(module) ==
        "tensor<fp16, [2]> a = relu(x = x)[name = string(\"a\")];\n"
        "tensor<fp16, [2]> c = tanh(x = a)[name = string(\"c\")];\n"
        "tensor<fp16, [2]> d = sigmoid(x = c)[name = string(\"d\")];\n"
        "tensor<fp16, [2]> b = add(x = a, y = d)[name = string(\"b\")];\n");
  CHECK(body(module).ops()[0].results()[0].uses().size() == 2);
  CHECK(module.op_count() == 4);
}

TEST_CASE("a splice that has a mistake changes nothing") {
  Module module = program();
  const mil::Op add = body(module).ops()[1];
  const auto refused = [&](std::string_view text) {
    Diagnostics diagnostics;
    CHECK_FALSE(module.insert_before(add, text, diagnostics));
    REQUIRE(diagnostics.all().size() == 1);
    CHECK(ops(module) == ops(program()));
    CHECK(module.op_count() == 2);
    CHECK(body(module).ops()[0].results()[0].uses().size() == 2);
    return std::to_string(diagnostics.all()[0].place.line) + ": " + diagnostics.all()[0].message;
  };
  CHECK(refused("tensor<fp16, [2]> c = tanh(x = a);\ntensor<fp16, [2]> d = tanh(x = );") ==
        "2: expected a value but found ')'; an example: add(x = a, y = fp16(0x1p+0))");
  CHECK(refused("tensor<fp16, [2]> b = tanh(x = a);") ==
        "0: 'b' is made by what is added, but the name is taken");
  CHECK(refused("fp16 c = cond(pred = a) () { fp16 q = relu(x = a); } -> (q)") ==
        "1: expected ';' but found the end of the text; an example: tensor<fp16, [1, 64]> y = "
        "relu(x = x)[name = string(\"y\")];");
  CHECK(refused("} -> (a);") ==
        "1: expected an op but found '}'; an example: tensor<fp16, [1, 64]> y = relu(x = x)[name = "
        "string(\"y\")];");
}

TEST_CASE("append, outputs, erase") {
  Module module = program();
  Diagnostics diagnostics;
  const mil::Op made =
      module.append(body(module), "tensor<fp16, [2]> e = exp(x = b);", diagnostics);
  REQUIRE(made);
  module.set_output(body(module), 0, made.results()[0]);
  CHECK(body(module).outputs()[0].name() == "e");
  CHECK_FALSE(module.erase(body(module).ops()[1], diagnostics));
  REQUIRE(diagnostics.all().size() == 1);
  CHECK(diagnostics.all()[0].id == "edit.used");
  CHECK(diagnostics.all()[0].message == "add cannot be erased while its result 'b' is in use");
  module.replace_uses(body(module).ops()[1].results()[0], body(module).ops()[0].results()[0]);
  diagnostics.clear();
  CHECK(module.erase(body(module).ops()[1], diagnostics));
  CHECK(ops(module) ==
        "tensor<fp16, [2]> a = relu(x = x)[name = string(\"a\")];\n"
        "tensor<fp16, [2]> e = exp(x = a);\n");
  CHECK(body(module).ops()[0].results()[0].uses().size() == 1);
  CHECK(module.op_count() == 2);
}

TEST_CASE("arguments, attributes and op names are set, added and removed") {
  Module module = program();
  Diagnostics diagnostics;
  const mil::Op relu = body(module).ops()[0];
  module.set_op_name(relu, "clip");
  CHECK(relu.is(OpCode::clip));
  CHECK(module.set_argument(relu, "alpha", "fp16(0x0p+0)", diagnostics));
  CHECK(module.set_argument(relu, "beta", "fp16(0x1p+0)", diagnostics));
  CHECK(module.set_argument(relu, "alpha", "fp16(-0x1p+0)", diagnostics));
  module.remove_attribute(relu, "name");
  CHECK(module.set_attribute(relu, "milId", "uint64(5)", diagnostics));
  const mil::Op add = body(module).ops()[1];
  module.remove_argument(add, "x");
  CHECK(ops(module) ==
        "tensor<fp16, [2]> a = clip(x = x, alpha = fp16(-0x1p+0), beta = fp16(0x1p+0))[milId = "
        "uint64(5)];\n"
        "tensor<fp16, [2]> b = add(y = a)[name = string(\"b\")];\n");
  CHECK(relu.results()[0].uses().size() == 1);
  CHECK_FALSE(module.set_argument(relu, "alpha", "fp16(", diagnostics));
  CHECK(diagnostics.all()[0].message ==
        "expected a value but found the end of the text; an example: fp16(0x1p+0), tensor<int32, "
        "[2]>([1, 2])");
}

TEST_CASE("a clone is independent") {
  Module module = program();
  Module copy = module.clone();
  Diagnostics diagnostics;
  CHECK(copy.rename(body(copy).ops()[0].results()[0], "other", diagnostics));
  CHECK(print_mil(module) == kProgram);
  CHECK(print_mil(copy) != kProgram);
  module = Module();
  CHECK(body(copy).ops()[0].results()[0].type().text() == "tensor<fp16, [2]>");
}

TEST_CASE("what goes with the block that it was in may be erased again, and takes nothing more") {
  Diagnostics diagnostics;
  Module module = parse_mil(
      "program(1.3) {\n"
      "    func main<ios18>(fp16 x, bool p) {\n"
      "            fp16 a = relu(x = x);\n"
      "            fp16 c = cond(pred = p)\n"
      "                () {\n"
      "                    fp16 t = tanh(x = a);\n"
      "                } -> (t)\n"
      "                () {\n"
      "                } -> (a);\n"
      "        } -> (a);\n}",
      diagnostics);
  REQUIRE(module);
  const mil::Op a = body(module).ops()[0];
  const mil::Op cond = body(module).ops()[1];
  const mil::Block branch = cond.blocks()[0];
  const mil::Op tanh = branch.ops()[0];
  CHECK(module.erase(cond, diagnostics));
  CHECK(module.erase(tanh, diagnostics));
  CHECK(module.erase(cond, diagnostics));
  CHECK(diagnostics.empty());
  CHECK(module.op_count() == 1);
  CHECK(a.results()[0].uses().size() == 1);
  CHECK_FALSE(module.insert_before(tanh, "fp16 d = exp(x = x);", diagnostics));
  CHECK_FALSE(module.append(branch, "fp16 d = exp(x = x);", diagnostics));
  REQUIRE(diagnostics.all().size() == 2);
  CHECK(diagnostics.all()[0].id == "edit.erased");
  CHECK(diagnostics.all()[0].message == "nothing can be added where tanh was, which is erased");
  CHECK(diagnostics.all()[1].message == "nothing can be added where cond was, which is erased");
  CHECK(ops(module) == "fp16 a = relu(x = x);\n");
}

TEST_CASE("a name is free once what had it is erased, inputs of blocks included") {
  Diagnostics diagnostics;
  Module module = parse_mil(
      "program(1.3) {\n"
      "    func main<ios18>(fp16 x, bool p) {\n"
      "            fp16 a = relu(x = x);\n"
      "            fp16 w = while_loop(loop_vars = (x))\n"
      "                (fp16 i) {\n"
      "                } -> (p)\n"
      "                (fp16 j) {\n"
      "                } -> (j);\n"
      "        } -> (a);\n}",
      diagnostics);
  REQUIRE(module);
  CHECK_FALSE(module.rename(body(module).ops()[0].results()[0], "i", diagnostics));
  diagnostics.clear();
  CHECK(module.erase(body(module).ops()[1], diagnostics));
  CHECK(module.rename(body(module).ops()[0].results()[0], "i", diagnostics));
  CHECK(module.append(body(module), "fp16 j = tanh(x = i);", diagnostics));
  CHECK(diagnostics.empty());
  CHECK(ops(module) == "fp16 i = relu(x = x);\nfp16 j = tanh(x = i);\n");
}

TEST_CASE("what is added may have a name of another function, and not one of its own") {
  Diagnostics diagnostics;
  Module module = parse_mil(
      "program(1.3) {\n"
      "    func f<ios18>(fp16 x) {\n        fp16 a = relu(x = x);\n    } -> (a);\n"
      "    func g<ios18>(fp16 x) {\n        fp16 b = relu(x = x);\n    } -> (b);\n}",
      diagnostics);
  REQUIRE(module);
  const mil::Block g = module.functions()[1].body();
  CHECK(module.append(g, "fp16 a = tanh(x = b);", diagnostics));
  CHECK(diagnostics.empty());
  CHECK_FALSE(module.append(g, "fp16 b = tanh(x = a);", diagnostics));
  CHECK_FALSE(module.append(g, "fp16 c = tanh(x = a);\nfp16 c = tanh(x = c);", diagnostics));
  REQUIRE(diagnostics.all().size() == 2);
  CHECK(diagnostics.all()[1].message == "'c' is made by what is added, but the name is taken");
}

TEST_CASE("a splice has one op at least, and all of its mistakes are reported") {
  Module module = program();
  Diagnostics diagnostics;
  const mil::Op add = body(module).ops()[1];
  CHECK_FALSE(module.insert_before(add, " // nothing\n", diagnostics));
  CHECK_FALSE(module.append(body(module), "", diagnostics));
  REQUIRE(diagnostics.all().size() == 2);
  CHECK(diagnostics.all()[0].message ==
        "expected an op but found the end of the text; an example: tensor<fp16, [1, 64]> y = "
        "relu(x = x)[name = string(\"y\")];");
  diagnostics.clear();
  CHECK_FALSE(
      module.insert_before(add, "fp16 c = tanh(x = );\nfp16 d = tanh(x : a);", diagnostics));
  REQUIRE(diagnostics.all().size() == 2);
  CHECK(diagnostics.all()[1].message ==
        "expected '=' but found ':'; an example: add(x = a, y = b)");
  CHECK(ops(module) == ops(program()));
}

TEST_CASE("a name that is made twice is made once when one of the two is renamed or erased") {
  constexpr std::string_view kTwice =
      "program(1.3) {\n"
      "    func main<ios18>(tensor<fp16, [2]> x) {\n"
      "            tensor<fp16, [2]> a = relu(x = x);\n"
      "            tensor<fp16, [2]> a = tanh(x = x);\n"
      "        } -> (a);\n}";
  const auto judged = [&](const auto& edit) {
    Diagnostics diagnostics;
    Module module = parse_mil(kTwice, diagnostics);
    REQUIRE(module);
    edit(module, diagnostics);
    verify_mil(module, {.allow = {"value.unused"}}, diagnostics);
    return diagnostics.empty() ? std::string() : diagnostics.all()[0].message;
  };
  CHECK(judged([](Module&, Diagnostics&) {}) == "there are two values 'a'");
  for (const std::size_t i : {0u, 1u}) {
    CHECK(judged([i](Module& module, Diagnostics& diagnostics) {
            CHECK(module.rename(body(module).ops()[i].results()[0], "b", diagnostics));
          }) == "");
  }
  CHECK(judged([](Module& module, Diagnostics& diagnostics) {
          CHECK(module.erase(body(module).ops()[0], diagnostics));
        }) == "");
}
