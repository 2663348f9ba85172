#include <doctest/doctest.h>

#include <string>

#include "milgen/milgen.h"

using namespace milgen;

namespace {

Program small_program() {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4, 1, 8});
  auto n = k.scalar<fp16>("inv_dim", 1.0 / 768);
  auto y = softmax(x * n, {.axis = -1});
  k.output("y", concat({y, x}, 1));
  return k.finish();
}

}  // namespace

TEST_CASE("Apple's layout") {
  CHECK(print_mil(small_program()) ==
        R"(program(1.3)
[buildInfo = dict<string, string>({{"coremlc-component-MIL", "3510.2.1"}, {"coremlc-version", "3505.4.1"}, {"coremltools-component-milinternal", ""}, {"coremltools-version", "9.0"}})]
{
    func main<ios18>(tensor<fp16, [1, 4, 1, 8]> x) {
            fp16 inv_dim = const()[name = string("inv_dim"), val = fp16(0x1.554p-10)];
            tensor<fp16, [1, 4, 1, 8]> mul_0 = mul(x = x, y = inv_dim)[name = string("mul_0")];
            int32 axis_0 = const()[name = string("axis_0"), val = int32(-1)];
            tensor<fp16, [1, 4, 1, 8]> softmax_0 = softmax(axis = axis_0, x = mul_0)[name = string("softmax_0")];
            int32 axis_1 = const()[name = string("axis_1"), val = int32(1)];
            bool interleave_0 = const()[name = string("interleave_0"), val = bool(false)];
            tensor<fp16, [1, 8, 1, 8]> y = concat(axis = axis_1, interleave = interleave_0, values = (softmax_0, x))[name = string("y")];
        } -> (y);
})");
}

TEST_CASE("compact style, decimals, a buildInfo of one's own") {
  CHECK(print_mil(small_program(), {.style = TextStyle::compact,
                                    .floats = FloatStyle::decimal,
                                    .build_info = {{"made \"by\"", "mil\ngen"}, {"a", "b"}}}) ==
        R"(program(1.3)
[buildInfo=dict<string,string>({{"a","b"},{"made \"by\"","mil\ngen"}})]
{
func main<ios18>(tensor<fp16,[1,4,1,8]> x){
fp16 inv_dim=const()[name=string("inv_dim"),val=fp16(0.001302)];
tensor<fp16,[1,4,1,8]> mul_0=mul(x=x,y=inv_dim)[name=string("mul_0")];
int32 axis_0=const()[name=string("axis_0"),val=int32(-1)];
tensor<fp16,[1,4,1,8]> softmax_0=softmax(axis=axis_0,x=mul_0)[name=string("softmax_0")];
int32 axis_1=const()[name=string("axis_1"),val=int32(1)];
bool interleave_0=const()[name=string("interleave_0"),val=bool(false)];
tensor<fp16,[1,8,1,8]> y=concat(axis=axis_1,interleave=interleave_0,values=(softmax_0,x))[name=string("y")];
}->(y);
})");
}

TEST_CASE("every defaulted argument is written out, in the dtype of its domain") {
  Kernel k("k");
  auto x = k.input<fp32>("x", {1, 4, 8, 8});
  auto w = k.weight<fp32>("w", {4, 4, 3, 3});
  auto y = conv(x, w);
  auto z = layer_norm(y, {.axes = {1}});
  k.output("z", matmul(z, z, {.transpose_y = true}));
  const std::string text = print_mil(k.finish());
  for (
      const char* line : {
          R"(string pad_type_0 = const()[name = string("pad_type_0"), val = string("valid")];)",
          R"(tensor<int32, [4]> pad_0 = const()[name = string("pad_0"), val = tensor<int32, [4]>([0, 0, 0, 0])];)",
          R"(tensor<int32, [2]> strides_0 = const()[name = string("strides_0"), val = tensor<int32, [2]>([1, 1])];)",
          R"(int32 groups_0 = const()[name = string("groups_0"), val = int32(1)];)",
          R"(fp32 epsilon_0 = const()[name = string("epsilon_0"), val = fp32(0x1.4f8b58p-17)];)",
          R"(tensor<fp32, [4, 4, 3, 3]> w = const()[name = string("w"), val = tensor<fp32, [4, 4, 3, 3]>(BLOBFILE(path = string("@model_path/weights/w.bin"), offset = uint64(64)))];)",
          R"(matmul(transpose_x = transpose_x_0, transpose_y = transpose_y_0, x = layer_norm_0, y = layer_norm_0))",
      }) {
    CAPTURE(line);
    CHECK(text.find(line) != std::string::npos);
  }
  CHECK(text.find("bias") == std::string::npos);
}

TEST_CASE("order and names do not depend on the order of creation") {
  // C++ leaves open which operand of an operator is made first.
  const auto text = [](bool constant_first) {
    Kernel k("k");
    auto x = k.input<fp16>("x", {1, 4});
    Tensor<fp16> c;
    Tensor<fp16> a;
    if (constant_first) {
      c = k.scalar<fp16>(2.0);
      k.weight<fp16>("unused", {2});
      a = relu(x);
    } else {
      a = relu(x);
      c = k.scalar<fp16>(2.0);
    }
    k.output("y", sigmoid(a * c) + tanh(a));
    return print_mil(k.finish());
  };
  CHECK(text(true) == text(false));
}

TEST_CASE("constants: small integers inline, floats and long lists in files") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {4, 4});
  auto few = k.constant<int32>("few", {2}, {3, 1});
  auto many = k.constant<int32>("many", {12}, {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3});
  auto table = k.constant<fp16>("table", {2, 2}, {1.0, 0.5, 0.25, 0.1});
  k.output("a", gather(x, few, {.axis = 0}));
  k.output("b", gather(x, many, {.axis = 0}));
  k.output("c", matmul(table, gather(x, few)));
  const Program program = k.finish();
  const std::string text = print_mil(program);
  CHECK(text.find("val = tensor<int32, [2]>([3, 1])") != std::string::npos);
  CHECK(text.find("weights/many.bin") != std::string::npos);
  CHECK(text.find("weights/table.bin") != std::string::npos);
  REQUIRE(program.weights().size() == 2);
  CHECK(program.weights()[0].name == "many");
  CHECK(program.weights()[0].own_values);
}

TEST_CASE("symbolic dims print as ?") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, kUnknownDim, 64});
  k.output("y", relu(x));
  CHECK(print_mil(k.finish()).find("tensor<fp16, [1, ?, 64]> y = relu(x = x)") !=
        std::string::npos);
}

TEST_CASE("a long chain is printed without recursion") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  for (int i = 0; i < 200000; ++i) x = relu(x);
  k.output("y", x);
  const Program program = k.finish();
  REQUIRE(program);
  CHECK(program.op_count() == 200000);
  CHECK(print_mil(program).ends_with("} -> (y);\n}"));
}
