#include "milgen/stats.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "mil/op_cost.h"
#include "milgen/op_info.h"

namespace milgen {
namespace {

Module read(const std::string& text) {
  Diagnostics diagnostics;
  Module module = parse_mil(text, diagnostics);
  INFO(render(diagnostics));
  REQUIRE(static_cast<bool>(module));
  return module;
}

FunctionStats stats_of(const std::string& inputs, const std::string& ops,
                       const std::string& outputs) {
  const Module module = read("program(1.3)\n{\n    func main<ios18>(" + inputs + ") {\n" + ops +
                             "        } -> (" + outputs + ");\n}");
  const std::vector<FunctionStats> stats = module_stats(module);
  REQUIRE(stats.size() == 1);
  return stats[0];
}

/// FLOPs of the one op `call` with the result `result`, by hand in the tests below.
std::uint64_t flops(const std::string& inputs, const std::string& result, const std::string& call) {
  const FunctionStats stats = stats_of(inputs, result + " out = " + call + ";\n", "out");
  CHECK(stats.uncounted_ops == 0);
  return stats.flops;
}

TEST_CASE("every op has a cost, in the order of the table") {
  REQUIRE(mil::op_costs().size() == op_table().size());
  for (std::size_t i = 0; i < op_table().size(); ++i) {
    CHECK(mil::op_costs()[i].code == op_table()[i].code);
    // An elementwise op is one function value a result, but for those that round to a grid.
    if (has(op_table()[i].traits, Trait::elementwise) && op_table()[i].family != "quantization" &&
        op_table()[i].code != OpCode::cast) {
      INFO(op_table()[i].name);
      CHECK(mil::op_costs()[i].rule == mil::CostRule::per_result);
    }
  }
}

TEST_CASE("products") {
  // 10 results, 3 terms each.
  CHECK(flops("tensor<fp16, [2, 3]> x, tensor<fp16, [3, 5]> y", "tensor<fp16, [2, 5]>",
              "matmul(x = x, y = y, transpose_x = bool(false), transpose_y = bool(false))") == 60);
  CHECK(flops("tensor<fp16, [3, 2]> x, tensor<fp16, [3, 5]> y", "tensor<fp16, [2, 5]>",
              "matmul(x = x, y = y, transpose_x = bool(true))") == 60);
  CHECK(flops("tensor<fp16, [4, 3]> x, tensor<fp16, [5, 3]> w, tensor<fp16, [5]> b",
              "tensor<fp16, [4, 5]>", "linear(x = x, weight = w, bias = b)") == 2 * 20 * 3 + 20);
  // 8 channels of 6x6, each a sum over 2 channels (4 in 2 groups) of 3x3.
  CHECK(flops("tensor<fp16, [1, 4, 8, 8]> x, tensor<fp16, [8, 2, 3, 3]> w",
              "tensor<fp16, [1, 8, 6, 6]>",
              "conv(x = x, weight = w, groups = int32(2), pad_type = string(\"valid\"))") ==
        2 * 8 * 36 * 2 * 9);
  // Each of 4 * 16 elements goes into 6 channels of 2x2.
  CHECK(flops("tensor<fp16, [1, 4, 4, 4]> x, tensor<fp16, [4, 6, 2, 2]> w, tensor<fp16, [6]> b",
              "tensor<fp16, [1, 6, 5, 5]>",
              "conv_transpose(x = x, weight = w, bias = b)") == 2 * 64 * 6 * 4 + 150);
  CHECK(flops("tensor<fp16, [1, 2, 3, 4]> x, tensor<fp16, [1, 4, 3, 5]> y",
              "tensor<fp16, [1, 2, 3, 5]>",
              "einsum(values = (x, y), equation = string(\"nchw,nwhu->nchu\"))") ==
        2 * 1 * 2 * 3 * 4 * 5);
  // 6 scores a head over E = 4 and E_v = 5.
  CHECK(flops("tensor<fp16, [7, 2, 4]> q, tensor<fp16, [7, 3, 4]> k, tensor<fp16, [7, 3, 5]> v",
              "tensor<fp16, [7, 2, 5]>",
              "scaled_dot_product_attention(query = q, key = k, value = v)") ==
        2 * 42 * (4 + 5) + 42 * 6);
  // 2 positions, batch 1, 3 units of 4 gates from 5 features.
  CHECK(
      flops(
          "tensor<fp16, [2, 1, 5]> x, tensor<fp16, [1, 3]> h, tensor<fp16, [12, 5]> wi, "
          "tensor<fp16, [12, 3]> wh, tensor<fp16, [12]> b",
          "tensor<fp16, [1, 1, 3]>",
          "lstm(x = x, initial_h = h, initial_c = h, weight_ih = wi, weight_hh = wh, bias = b)") ==
      2 * (2 * (60 + 36) + 12 + 27));
}

TEST_CASE("the rest of the arithmetic") {
  const std::string x = "tensor<fp16, [2, 6]> x";
  CHECK(flops(x, "tensor<fp16, [2, 6]>", "exp(x = x)") == 12);
  CHECK(flops(x, "tensor<fp16, [2, 6]>", "add(x = x, y = fp16(1))") == 12);
  CHECK(flops(x, "tensor<fp16, [2]>", "reduce_sum(x = x, axes = tensor<int32, [1]>([1]))") == 12);
  CHECK(flops(x, "tensor<fp16, [2]>", "reduce_sum_square(x = x)") == 24);
  CHECK(flops(x, "tensor<fp16, [2, 6]>", "softmax(x = x, axis = int32(1))") == 60);
  CHECK(flops(x, "tensor<fp16, [2, 6]>", "layer_norm(x = x)") == 84);
  CHECK(flops(x, "tensor<fp16, [6, 2]>", "transpose(x = x)") == 0);
  CHECK(flops("tensor<fp16, [1, 1, 4, 4]> x", "tensor<fp16, [1, 1, 2, 2]>",
              "max_pool(x = x, kernel_sizes = tensor<int32, [2]>([2, 3]))") == 24);
  CHECK(flops("tensor<fp16, [1, 4, 4]> x", "tensor<fp16, [1, 4, 4]>",
              "local_response_norm(x = x, size = int32(3))") == 16 * 9);
  CHECK(flops("tensor<fp16, [1, 1, 4, 4]> x", "tensor<fp16, [1, 1, 8, 8]>",
              "upsample_bilinear(x = x)") == 7 * 64);
}

TEST_CASE("what is not known is said, not guessed") {
  const FunctionStats stats =
      stats_of("tensor<fp16, [?, 4]> x",
               "tensor<fp16, [?, 4]> a = relu(x = x);\ntensor<fp16, [2]> b = some_op(x = a);\n"
               "tensor<fp16, [2]> c = relu(x = b);\n",
               "c");
  CHECK(stats.flops == 2);
  CHECK(stats.uncounted_ops == 2);
  CHECK(stats.unknown_activations == 1);
  CHECK(stats.activation_bytes == 8);
  CHECK_FALSE(stats.inputs[0].size_known);
  CHECK(stats.inputs[0].type == "tensor<fp16, [?, 4]>");
  REQUIRE(stats.ops.size() == 2);
  CHECK(stats.ops[0].name == "relu");
  CHECK(stats.ops[0].count == 2);
  CHECK(stats.ops[0].uncounted == 1);
}

TEST_CASE("constants, parameters and bytes") {
  const std::string blob = "(BLOBFILE(path = string(\"@model_path/w.bin\"), offset = uint64(64)))";
  const FunctionStats stats = stats_of(
      "tensor<fp16, [4]> x",
      "tensor<fp16, [4]> w = const()[val = tensor<fp16, [4]>" + blob + "];\n" +
          "tensor<fp16, [4]> again = const()[val = tensor<fp16, [4]>" + blob + "];\n" +
          "tensor<fp16, [4]> c = const()[val = tensor<fp16, [4]>([1, 2, 3, 4])];\n"
          "tensor<int32, [2]> i = const()[val = tensor<int32, [2]>([1, 2])];\n"
          "bool f = const()[val = bool(true)];\n"
          "tensor<fp16, [8]> d = constexpr_affine_dequantize()[axis = int32(0), quantized_data = "
          "tensor<uint8, [8]>([1, 2, 3, 4, 5, 6, 7, 8]), scale = fp16(1), zero_point = uint8(0)];\n"
          "tensor<fp16, [4]> a = add(x = x, y = w);\n"
          "tensor<fp16, [4]> b = add(x = a, y = fp16(2));\n",
      "b");
  CHECK(stats.op_count == 3);
  CHECK(stats.constant_count == 10);
  CHECK(stats.weight_count == 1);
  CHECK(stats.weight_bytes == 8);
  // w once, c, and d after it is unpacked.
  CHECK(stats.parameters == 4 + 4 + 8);
  // c 8, i 8, f 1, axis 4, data 8, scale 2, zero point 1, the inline 2.0 2.
  CHECK(stats.inline_bytes == 34);
  CHECK(stats.activation_count == 2);
  CHECK(stats.activation_bytes == 16);
  CHECK(stats.largest_activation == "a");
  CHECK(stats.outputs[0].name == "b");
  CHECK(stats.outputs[0].bytes == 8);
}

TEST_CASE("blocks count once, and totals do not wrap") {
  const FunctionStats loop = stats_of(
      "int32 i, tensor<fp16, [4]> x",
      "int32 n, tensor<fp16, [4]> h = while_loop(loop_vars = (i, x))\n"
      "(int32 ci, tensor<fp16, [4]> ch) { bool go = less(x = ci, y = int32(3)); } -> (go)\n"
      "(int32 bi, tensor<fp16, [4]> bh) { tensor<fp16, [4]> o = relu(x = bh); } -> (bi, o);\n",
      "h");
  CHECK(loop.loops == 1);
  CHECK(loop.op_count == 3);
  CHECK(loop.flops == 5);
  const std::string big = "tensor<fp32, [4611686018427387904, 8]>";
  const FunctionStats huge = stats_of(big + " x", big + " a = relu(x = x);\n", "a");
  CHECK(huge.flops == UINT64_MAX);
  CHECK(huge.activation_bytes == UINT64_MAX);
}

}  // namespace
}  // namespace milgen
