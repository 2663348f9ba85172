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
          "name.duplicate: name 'x' is that of input 'x' already and cannot be that of "
          "tensor<fp16, [4]> "
          "filled by uniform as well");
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
        "name.duplicate: name 'eps' is that of constant 'eps', fp16 1.0013580322265625e-05, "
        "already and "
        "cannot be that of fp16 1.0132789611816406e-06 as well");
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
  k.output("lost", relu(parts[2]));
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

TEST_CASE("an output that is lost without any error is an error itself") {
  const char* kMessage =
      "output.lost: output 'y' has no value: what it is computed from is a default Tensor, a "
      "result "
      "past an op's last, or a value of another kernel";
  SUBCASE("a default tensor") {
    Kernel k("k");
    k.output("y", Tensor<fp16>{});
    CHECK_FALSE(k.finish());
    CHECK(only_report(k) == kMessage);
  }
  SUBCASE("a result past an op's last") {
    Kernel k("k");
    auto x = k.input<fp16>("x", {4, 4});
    k.output("y", relu(split(x, 0, {.num_splits = 2})[2]));
    CHECK_FALSE(k.finish());
    CHECK(only_report(k) == kMessage);
  }
  SUBCASE("an optional operand that was computed from nothing is not the same as none") {
    Kernel k("k");
    auto x = k.input<fp16>("x", {1, 4, 1, 4});
    auto w = k.weight<fp16>("w", {4, 4, 1, 1});
    k.output("y", conv(x, w, {.bias = relu(Tensor<fp16>{})}));
    CHECK_FALSE(k.finish());
    CHECK(only_report(k) == kMessage);
  }
}

TEST_CASE("names that would leave MIL or the folder") {
  SUBCASE("a kernel's") {
    for (const char* name : {"../out", "a/b", "", "k.x"}) {
      Kernel k(name);
      k.output("y", relu(k.input<fp16>("x", {1})));
      CHECK_FALSE(k.finish());
      REQUIRE(k.diagnostics().errors() == 1);
      CHECK(k.diagnostics().all()[0].message.starts_with("kernel name '"));
    }
  }
  SUBCASE("a scope's") {
    Kernel k("k");
    auto scope = k.scope("layers.0");
    CHECK(k.weight<fp16>("w", {4}).poisoned());
    CHECK(
        only_report(k) ==
        "name.characters: name 'layers.0_w' is not [A-Za-z_][A-Za-z0-9_@]*; 'layers_0_w' would be");
  }
  SUBCASE("words of the grammar") {
    Kernel k("k");
    k.output("nan", relu(k.input<fp16>("tensor_buffer", {1})));
    const Program program = k.finish();
    REQUIRE(program);
    CHECK(program.inputs().front().name == "tensor_buffer_workaround");
    CHECK(program.outputs().front().name == "nan_workaround");
  }
}

TEST_CASE("integers have to fit the dtype in which they are written") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {4, 4});
  auto n = k.input<int32>("xn", {4});
  CHECK(slice_by_size(x, {0, 0}, {INT64_MAX, 4}).poisoned());
  CHECK(
      reports(k).back() ==
      "arg.range: slice_by_size: size holds 9223372036854775807, outside int32's range -2147483648 "
      "to 2147483647");
  CHECK((n * 5e9).poisoned());
  CHECK(reports(k).back() ==
        "arg.range: mul: y holds 5000000000, outside int32's range -2147483648 to 2147483647");
}

TEST_CASE("dims that an op takes are not of the elements' dtype") {
  Kernel k("k");
  auto x = k.input<int8>("x", {1000});
  k.output("y", reshape(x, {1000, 1}));
  const Program program = k.finish();
  REQUIRE(program);
  CHECK(print_mil(program).find("tensor<int32, [2]>([1000, 1])") != std::string::npos);
}

TEST_CASE("numbers that a half cannot hold are warned of") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {4});
  k.output("y", x * 1e6 + 1e-9);
  k.output("z", log(x));
  const Program program = k.finish();
  REQUIRE(program);
  CHECK(reports(k) ==
        std::vector<std::string>{"constant.overflow: mul: y = 1000000 becomes inf in fp16",
                                 "constant.underflow: add: y = 1e-09 becomes 0 in fp16"});
  // 1e-45 would be 0 as a half, and the op lets epsilon differ from x.
  CHECK(print_mil(program).find("fp32 epsilon_0 = const()[name = string(\"epsilon_0\"), val = "
                                "fp32(0x1p-149)]") != std::string::npos);
}

TEST_CASE("before ios17 log's epsilon has the dtype of x, and its default is 0 as a half") {
  Kernel k("k", Opset::ios16);
  k.output("y", log(k.input<fp16>("x", {2})));
  const Program program = k.finish();
  REQUIRE(program);
  REQUIRE(k.diagnostics().all().size() == 1);
  CHECK(k.diagnostics().all()[0].id == "constant.underflow");
  CHECK(print_mil(program).find("val = fp16(0x0p+0)") != std::string::npos);
}

TEST_CASE("an older opset gets the arguments that it has") {
  Kernel k("k", Opset::ios15);
  auto x = k.input<fp16>("x", {4, 4});
  auto i = k.constant<int32>("i", {2}, {0, 1});
  k.output("y", gather(x, i, {.axis = 0}));
  CHECK(gather(x, i, {.batch_dims = 1}).poisoned());
  CHECK(only_report(k) == "arg.opset: gather: batch_dims is given, which ios15 does not have");
  Kernel fine("fine", Opset::ios15);
  fine.output("y", gather(fine.input<fp16>("x", {4, 4}), fine.constant<int32>("i", {1}, {0})));
  const Program program = fine.finish();
  REQUIRE(program);
  CHECK(print_mil(program).find("gather(axis = axis_0, indices = i, x = x)") != std::string::npos);
}

TEST_CASE("topk without indices does not say what they are") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {4, 4});
  k.output("y", Tensor<fp16>::from(topk(x, {.k = 2, .return_indices = false})[0]));
  const Program program = k.finish();
  INFO(render(k.diagnostics()));
  REQUIRE(program);
  CHECK(print_mil(program).find("output_indices_dtype") == std::string::npos);
}

TEST_CASE("a name that is given up is free again, and an output's text has the last one") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {4});
  auto y = relu(x).named("a").named("b");
  k.output("y", y);
  auto z = tanh(x).named("a");
  k.output("z", z);
  CHECK_FALSE(z.poisoned());
  y.named("w");
  const Program program = k.finish();
  REQUIRE(program);
  CHECK(program.outputs()[0].name == "w");
  CHECK(print_mil(program).find("} -> (w, z);") != std::string::npos);
}

TEST_CASE("a linear layer of integers has a bias that is written to a file") {
  Kernel k("k");
  auto x = k.input<int32>("x", {2, 3});
  k.output("y", linear(x, k.weight<int32>("w", {4, 3})));
  const Program program = k.finish();
  INFO(render(k.diagnostics()));
  REQUIRE(program);
  CHECK(print_mil(program).find("weights/k_bias_0.bin") != std::string::npos);
}

TEST_CASE("crop_resize writes no list of boxes that is not known or has no end") {
  const auto report = [](std::int64_t boxes) {
    Kernel k("k");
    OpBuilder op(OpCode::crop_resize, here());
    op.operand("x", k.input<fp16>("x", {1, 3, 8, 8}));
    op.operand("boxes", k.input<fp16>("y", {boxes, 4}));
    CHECK(op.result().poisoned());
    return reports(k).front();
  };
  CHECK(report(kUnknownDim) ==
        "arg.missing: crop_resize: box_indices is left out, but the number of boxes is not known");
  CHECK(report(std::int64_t{1} << 40) ==
        "arg.missing: crop_resize: box_indices is left out, but it is written for 65536 boxes at "
        "most "
        "and there are 1099511627776");
}

TEST_CASE("an argument that is no tuple is given once") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {4});
  OpBuilder op(OpCode::relu, here());
  op.operand("x", x);
  op.operand("x", x);
  CHECK(op.result().poisoned());
  CHECK(only_report(k) == "arg.twice: relu: x is given 2 times");
}

TEST_CASE("a program that is none is empty, not a crash") {
  const Program none;
  CHECK(print_mil(none).empty());
  CHECK(none.weights().empty());
  CHECK(none.inputs().empty());
  CHECK(none.op_count() == 0);
  CHECK(none.location_of("x").file == nullptr);
}

TEST_CASE("the rank of a result has to be known") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {4, 4});
  auto shape = k.input<int32>("xs", {kUnknownDim});
  CHECK(reshape(x, shape).poisoned());
  CHECK(
      only_report(k) ==
      "tensor.unknown_rank: reshape: the rank of the result is not known, and MIL text has no word "
      "for that");
}

TEST_CASE("what no output needs does not shift a derived name") {
  const auto text = [](bool dead) {
    Kernel k("k");
    auto x = k.input<fp16>("x", {4});
    if (dead) relu(x).named("mul_0");
    k.output("y", relu(x * 2));
    return print_mil(k.finish());
  };
  CHECK(text(true) == text(false));
}
