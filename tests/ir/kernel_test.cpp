// The DSL: what a kernel accepts, refuses and warns of, with the author's lines and both values.
#include <doctest/doctest.h>

#include <string>

#include "milgen/milgen.h"

using namespace milgen;

namespace {

/// "id: message" of each diagnostic, in order.
std::vector<std::string> reports(const Kernel& k) {
  std::vector<std::string> out;
  for (const Diagnostic& d : k.diagnostics().all()) out.push_back(d.id + ": " + d.message);
  return out;
}

std::string only_report(const Kernel& k) {
  const std::vector<std::string> all = reports(k);
  REQUIRE(all.size() == 1);
  return all.front();
}

}  // namespace

TEST_CASE("a kernel becomes a program with its ports and weights") {
  Kernel k("residual");
  auto x = k.input<fp16>("x", {1, 64, 1, 32});
  auto w = k.weight<fp16>("w", {64, 64, 1, 1});
  k.output("y", x + conv(x, w));
  const Program program = k.finish();
  REQUIRE(program);
  CHECK(k.diagnostics().empty());
  CHECK(program.name() == "residual");
  CHECK(program.inputs().size() == 1);
  CHECK(program.outputs().front().name == "y");
  CHECK(to_string(program.outputs().front().shape) == "[1, 64, 1, 32]");
  CHECK(program.weights().size() == 1);
  CHECK(program.weights().front().name == "w");
  CHECK_FALSE(program.weights().front().own_values);
}

TEST_CASE("a location leads from the name in the text to the author's line") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4, 1, 4});
  const unsigned line = __LINE__ + 1;
  k.output("y", sigmoid(x) * x);
  const Program program = k.finish();
  REQUIRE(program);
  CHECK(program.location_of("sigmoid_0").line == line);
  CHECK(std::string(program.location_of("sigmoid_0").file).ends_with("kernel_test.cpp"));
  CHECK(program.location_of("no_such").file == nullptr);
}

TEST_CASE("operators keep the line on which they stand") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4, 1, 4});
  auto y = k.input<fp16>("y", {1, 5, 1, 4});
  const unsigned line = __LINE__ + 1;
  auto z = x * y;
  CHECK(z.poisoned());
  REQUIRE(k.diagnostics().errors() == 1);
  const Diagnostic& d = k.diagnostics().all().front();
  CHECK(d.place.line == line);
  CHECK(d.message.find("[1, 4, 1, 4]") != std::string::npos);
  CHECK(d.message.find("[1, 5, 1, 4]") != std::string::npos);
  REQUIRE(d.notes.size() == 2);
  CHECK(d.notes[0].message == "input 'x' is tensor<fp16, [1, 4, 1, 4]>, made here");
  CHECK(d.notes[0].place.line == line - 3);
}

TEST_CASE("one run reports every independent mistake and nothing downstream") {
  Kernel k("two");
  auto x = k.input<fp16>("x", {1, 768, 1, 256});
  auto wv = k.weight<fp16>("wv", {768, 384, 1, 1});
  auto v = conv(x, wv);
  auto heads = reshape(x, {1, 12, 60, 256});
  auto both = matmul(v, heads);
  k.output("y", both * 2 + v);
  CHECK_FALSE(k.finish());
  REQUIRE(k.diagnostics().all().size() == 2);
  CHECK(k.diagnostics().all()[0].id == "conv.channels");
  CHECK(k.diagnostics().all()[0].message.find("768") != std::string::npos);
  CHECK(k.diagnostics().all()[0].message.find("384") != std::string::npos);
  CHECK(k.diagnostics().all()[1].message.find("[1, 768, 1, 256]") != std::string::npos);
  CHECK(k.diagnostics().all()[1].message.find("[1, 12, 60, 256]") != std::string::npos);
}

TEST_CASE("a number beside a tensor is a constant of the tensor's dtype") {
  Kernel k("k");
  auto x = k.input<fp32>("x", {2, 2});
  auto n = k.input<int32>("xn", {2, 2});
  k.output("y", 1 - x);
  k.output("z", n * 3);
  const Program program = k.finish();
  REQUIRE(program);
  const std::string text = print_mil(program);
  CHECK(text.find("fp32 const_0 = const()[name = string(\"const_0\"), val = fp32(0x1p+0)];") !=
        std::string::npos);
  CHECK(text.find("sub(x = const_0, y = x)") != std::string::npos);
  CHECK(text.find("val = int32(3)") != std::string::npos);
}

TEST_CASE("a fraction beside an integer tensor is refused") {
  Kernel k("k");
  auto n = k.input<int32>("n", {2});
  auto y = n * 0.5;
  CHECK(y.poisoned());
  CHECK(only_report(k) ==
        "value.fraction: mul: y = 0.5 is not an integer, and the operation is on int32");
}

TEST_CASE("names: characters, reserved words, duplicates, second names") {
  SUBCASE("characters") {
    Kernel k("k");
    k.input<fp16>("layers.0.x", {1});
    CHECK(
        only_report(k) ==
        "name.characters: name 'layers.0.x' is not [A-Za-z_][A-Za-z0-9_@]*; 'layers_0_x' would be");
  }
  SUBCASE("an empty name") {
    Kernel k("k");
    k.input<fp16>("", {1});
    CHECK(only_report(k) ==
          "name.characters: name '' is not [A-Za-z_][A-Za-z0-9_@]*; '_' would be");
  }
  SUBCASE("a reserved word is escaped") {
    Kernel k("k");
    k.output("tensor", relu(k.input<fp16>("state", {1, 2})));
    const Program program = k.finish();
    REQUIRE(program);
    CHECK(program.inputs().front().name == "state_workaround");
    CHECK(program.outputs().front().name == "tensor_workaround");
  }
  SUBCASE("duplicates") {
    Kernel k("k");
    k.input<fp16>("x", {1});
    k.weight<fp16>("x", {4});
    CHECK(only_report(k) ==
          "name.duplicate: name 'x' is that of input 'x' already, and tensor<fp16, [4]> here is "
          "another");
    CHECK(k.diagnostics().all().front().notes.size() == 1);
  }
  SUBCASE("two inputs of one name") {
    Kernel k("k");
    k.input<fp16>("x", {1});
    k.input<fp16>("x", {1});
    CHECK(only_report(k) == "name.duplicate: name 'x' is that of input 'x' already");
  }
  SUBCASE("a second name replaces the first, with a warning") {
    Kernel k("k");
    auto y = relu(k.input<fp16>("x", {1, 2})).named("inner");
    k.output("y", y);
    REQUIRE(k.finish());
    CHECK(
        only_report(k) ==
        "name.replaced: value 'inner' is output as 'y'; MIL has one name for a value, so the text "
        "will say 'y'");
    CHECK_FALSE(k.diagnostics().has_errors());
  }
  SUBCASE("a derived name gives way to an author's") {
    Kernel k("k");
    auto x = k.input<fp16>("relu_0", {1, 2});
    k.output("y", relu(relu(x)));
    const Program program = k.finish();
    REQUIRE(program);
    CHECK(print_mil(program).find("relu_1 = relu(x = relu_0)") != std::string::npos);
  }
  SUBCASE("scopes") {
    Kernel k("k");
    auto x = k.input<fp16>("x", {1, 4, 1, 4});
    for (const char* layer : {"layer0", "layer1"}) {
      auto scope = k.scope(layer);
      x = conv(x, k.weight<fp16>("w", {4, 4, 1, 1}));
    }
    k.output("y", x);
    const Program program = k.finish();
    REQUIRE(program);
    CHECK(program.weights()[0].name == "layer0_w");
    CHECK(program.weights()[1].name == "layer1_w");
  }
}

TEST_CASE("equal constants are one, different ones of a name are refused") {
  Kernel k("k");
  auto a = k.scalar<fp16>("eps", 1e-5);
  auto b = k.scalar<fp16>("eps", 1e-5);
  CHECK(a.id() == b.id());
  CHECK(k.weight<fp16>("w", {2, 2}).id() == k.weight<fp16>("w", {2, 2}).id());
  CHECK(k.diagnostics().empty());
  auto c = k.scalar<fp16>("eps", 1e-6);
  CHECK(c.poisoned());
  CHECK(only_report(k) ==
        "name.duplicate: name 'eps' is that of constant 'eps' already, and fp16 here is another");
}

TEST_CASE("shapes of inputs and weights") {
  const auto refusal = [](const Shape& shape) {
    Kernel k("k");
    k.weight<fp16>("w", shape);
    return only_report(k);
  };
  CHECK(refusal({1, 0}) == "tensor.dim: weight 'w' has shape [1, 0]; every dim is at least 1");
  CHECK(refusal({1, -3}).starts_with("tensor.dim: weight 'w'"));
  CHECK(refusal({1, 1, 1, 1, 1, 1}) ==
        "tensor.rank: weight 'w' has rank 6 with shape [1, 1, 1, 1, 1, 1]; the largest rank is 5");
  CHECK(refusal({std::int64_t{1} << 62, 4}).starts_with("tensor.size: weight 'w'"));
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, kUnknownDim});
  CHECK_FALSE(x.poisoned());
  k.input<fp16>("scalar", {});
  CHECK(only_report(k) ==
        "input.scalar: input 'scalar' has rank 0, which some loaders refuse; [1] is taken by all");
}

TEST_CASE("an op's result may not pass the largest rank or size") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 2, 3, 4, 5});
  CHECK(expand_dims(x, {0}).poisoned());
  CHECK(k.diagnostics().all().back().id == "tensor.rank");
  auto y = k.input<fp16>("y", {1, 1 << 20, 1 << 20, 1 << 20});
  CHECK(tile(y, {1 << 20, 1, 1, 1}).poisoned());
  CHECK(k.diagnostics().all().back().id == "tensor.size");
}

TEST_CASE("constants: count, range, overflow") {
  Kernel k("k");
  k.constant<fp16>("a", {3}, {1.0, 2.0});
  CHECK(reports(k).back() == "constant.count: constant 'a' has 2 elements but shape [3] takes 3");
  k.constant<int8>("b", {2}, {1, 128});
  CHECK(
      reports(k).back() ==
      "constant.range: constant 'b' has element 128 at index 1, outside int8's range -128 to 127");
  k.constant<int32>("c", {1}, {0.5});
  CHECK(reports(k).back() ==
        "constant.range: constant 'c' has element 0.5 at index 0, which is not a whole number that "
        "int32 holds");
  k.constant<fp16>("d", {3}, {1.0, 70000.0, -1e6});
  CHECK(reports(k).back() ==
        "constant.overflow: constant 'd' has 2 elements that fp16 cannot hold and that become "
        "infinite; the first is 70000 at index 1");
  k.weight<bool>("e", {4});
  CHECK(reports(k).back() == "weight.dtype: weight 'e' is bool, which weight files do not have");
  k.constant<fp16>("f", {1, 2, 3}, Fill::causal_mask);
  CHECK(reports(k).back() ==
        "weight.fill: constant 'f' is tensor<fp16, [1, 2, 3]>; a causal mask is a float and its "
        "last two dims are equal");
}

TEST_CASE("outputs: none, inputs and constants go through identity") {
  SUBCASE("none") {
    Kernel k("k");
    k.input<fp16>("x", {1});
    CHECK_FALSE(k.finish());
    CHECK(only_report(k) == "kernel.no_output: kernel 'k' has no output");
  }
  SUBCASE("through identity") {
    Kernel k("k");
    auto x = k.input<fp16>("x", {1, 2});
    auto y = relu(x);
    k.output("a", x);
    k.output("b", y);
    k.output("c", y);
    const Program program = k.finish();
    REQUIRE(program);
    const std::string text = print_mil(program);
    CHECK(text.find("a = identity(x = x)") != std::string::npos);
    CHECK(text.find("b = relu(x = x)") != std::string::npos);
    CHECK(text.find("c = identity(x = b)") != std::string::npos);
    CHECK(text.find("} -> (a, b, c);") != std::string::npos);
  }
}

TEST_CASE("what no output needs is a warning at its line and is not printed") {
  Kernel k("k");
  auto x = k.input<fp16>("a", {1, 4, 1, 4});
  k.input<fp16>("b", {1});
  k.weight<fp16>("w", {4, 4, 1, 1});
  const unsigned line = __LINE__ + 1;
  auto dead = relu(sigmoid(x));
  CHECK_FALSE(dead.poisoned());
  k.output("y", tanh(x));
  const Program program = k.finish();
  REQUIRE(program);
  CHECK(reports(k) ==
        std::vector<std::string>{
            "kernel.unused_input: input 'b' is not needed by any output",
            "kernel.unused_weight: weight 'w' is not needed by any output",
            "kernel.unused_value: the result of relu is not needed by any output and is left out"});
  CHECK(k.diagnostics().all().back().place.line == line);
  CHECK(print_mil(program).find("relu") == std::string::npos);
}

TEST_CASE("names that do not sort as declared are a warning and are never changed") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto w = k.input<fp16>("W", {1, 4});
  k.output("b", x + w);
  k.output("a", x - w);
  const Program program = k.finish();
  REQUIRE(program);
  REQUIRE(k.diagnostics().all().size() == 2);
  CHECK(
      k.diagnostics().all()[0].message ==
      "input 'W' is declared after 'x' and sorts before it; the ANE binds inputs in name order, so "
      "give them names that sort as declared");
  CHECK(k.diagnostics().all()[1].id == "io.order");
  CHECK(print_mil(program).find("(tensor<fp16, [1, 4]> x, tensor<fp16, [1, 4]> W)") !=
        std::string::npos);
  CHECK(print_mil(program).find("-> (b, a);") != std::string::npos);
}

TEST_CASE("kernels do not mix and do not go on after finish") {
  Kernel k("one");
  Kernel other("two");
  auto x = k.input<fp16>("x", {1, 4});
  auto y = other.input<fp16>("y", {1, 4});
  CHECK((x + y).poisoned());
  CHECK(only_report(k) == "value.kernel: add: an operand belongs to another kernel than 'one'");
  other.output("z", relu(y));
  REQUIRE(other.finish());
  CHECK(relu(y).poisoned());
  CHECK(only_report(other) ==
        "kernel.finished: kernel 'two' is finished; nothing can be added to it");
}

TEST_CASE("a value of run-time dtype is checked when it is typed") {
  Kernel k("k");
  Value x = k.input<fp16>("x", {1, 4});
  CHECK_FALSE(Tensor<fp16>::from(x).poisoned());
  CHECK(Tensor<int32>::from(x).poisoned());
  CHECK(only_report(k) == "value.dtype: Tensor<int32> is made from a value of dtype fp16");
}

TEST_CASE("a kernel refuses a configuration in its own words") {
  Kernel k("k");
  CHECK(k.require(true, "never said"));
  CHECK_FALSE(k.require(false, "heads is 5, which does not divide dim, 64"));
  CHECK(only_report(k) == "kernel.config: k: heads is 5, which does not divide dim, 64");
  CHECK_FALSE(k.finish());
}

TEST_CASE("results past an op's last are poison, not a crash") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {4, 4});
  const Tensors<fp16> parts = split(x, 0, {.num_splits = 2});
  CHECK(parts.size() == 2);
  CHECK(parts[2].poisoned());
  const Tensors<fp16> refused = split(x, 0, {.num_splits = 3});
  CHECK(relu(refused[0]).poisoned());
  CHECK(k.diagnostics().errors() == 1);
}

TEST_CASE("an argument that the op does not have is reported, not a crash") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4, 1, 4});
  OpBuilder op(OpCode::relu, {});
  op.operand("x", x);
  op.operand("weight", x);
  CHECK(op.result().poisoned());
  CHECK(only_report(k) == "arg.unknown: relu: there is no argument weight");
}

TEST_CASE("arguments may be given in any order") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4, 1, 4});
  OpBuilder op(OpCode::softmax, {});
  op.integer("axis", 1);
  op.operand("x", x);
  k.output("y", op.result());
  const Program program = k.finish();
  REQUIRE(program);
  CHECK(print_mil(program).find("softmax(axis = axis_0, x = x)") != std::string::npos);
}
