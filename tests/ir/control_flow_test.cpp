// Nested blocks, lists, states, dictionaries and constexpr ops in the DSL: what they print, in
// which order, and what is refused, with both places.
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "milgen/milgen.h"

using namespace milgen;

namespace {

/// The lines of the function, from its head on.
std::string function_text(Kernel& k, const PrintOptions& options = {}) {
  const Program program = k.finish();
  for (const Diagnostic& d : k.diagnostics().all()) MESSAGE(d.id << ": " << d.message);
  REQUIRE(program);
  const std::string text = print_mil(program, options);
  return text.substr(text.find("func main"));
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// Whether the parts stand in the text one behind the other.
bool in_order(const std::string& text, std::initializer_list<std::string_view> parts) {
  std::size_t at = 0;
  for (const std::string_view part : parts) {
    at = text.find(part, at);
    if (at == std::string::npos) return false;
    at += part.size();
  }
  return true;
}

std::string report(const Diagnostic& d) { return d.id + ": " + d.message; }

}  // namespace

TEST_CASE("while_loop prints its blocks behind its attributes") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto [count, out] =
      while_loop([&](Tensor<int32> i, Tensor<fp16>) { return i < 3; },
                 [&](Tensor<int32> i, Tensor<fp16> h) { return Pack(i + 1, h * h); },
                 Pack(k.scalar<int32>(0), x));
  CHECK(std::is_same_v<decltype(count), Tensor<int32>>);
  CHECK(std::is_same_v<decltype(out), Tensor<fp16>>);
  k.output("y", out);
  SUBCASE("in Apple's layout") {
    CHECK(function_text(k) ==
          R"(func main<ios18>(tensor<fp16, [1, 4]> x) {
            int32 const_0 = const()[name = string("const_0"), val = int32(0)];
            int32 const_1 = const()[name = string("const_1"), val = int32(3)];
            int32 const_2 = const()[name = string("const_2"), val = int32(1)];
            int32 while_loop_0, tensor<fp16, [1, 4]> y = while_loop(loop_vars = (const_0, x))[name = string("while_loop_0")]
                (int32 loop_var_0, tensor<fp16, [1, 4]> loop_var_1) {
                    bool less_0 = less(x = loop_var_0, y = const_1)[name = string("less_0")];
                } -> (less_0)
                (int32 loop_var_2, tensor<fp16, [1, 4]> loop_var_3) {
                    int32 add_0 = add(x = loop_var_2, y = const_2)[name = string("add_0")];
                    tensor<fp16, [1, 4]> mul_0 = mul(x = loop_var_3, y = loop_var_3)[name = string("mul_0")];
                } -> (add_0, mul_0);
        } -> (y);
})");
  }
  SUBCASE("compact") {
    CHECK(function_text(k, {.style = TextStyle::compact}) ==
          R"(func main<ios18>(tensor<fp16,[1,4]> x){
int32 const_0=const()[name=string("const_0"),val=int32(0)];
int32 const_1=const()[name=string("const_1"),val=int32(3)];
int32 const_2=const()[name=string("const_2"),val=int32(1)];
int32 while_loop_0,tensor<fp16,[1,4]> y=while_loop(loop_vars=(const_0,x))[name=string("while_loop_0")]
(int32 loop_var_0,tensor<fp16,[1,4]> loop_var_1){
bool less_0=less(x=loop_var_0,y=const_1)[name=string("less_0")];
}->(less_0)
(int32 loop_var_2,tensor<fp16,[1,4]> loop_var_3){
int32 add_0=add(x=loop_var_2,y=const_2)[name=string("add_0")];
tensor<fp16,[1,4]> mul_0=mul(x=loop_var_3,y=loop_var_3)[name=string("mul_0")];
}->(add_0,mul_0);
}->(y);
})");
  }
}

TEST_CASE("the functions of blocks return a value, a Pack, a std::tuple or a vector of values") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto flag = squeeze(k.input<bool>("x_flag", {1}));
  auto one = while_loop([&](Tensor<fp16> h) { return squeeze(reduce_max(h)) < 9; },
                        [&](Tensor<fp16> h) { return h + 1; }, x);
  CHECK(std::is_same_v<decltype(one), Tensor<fp16>>);
  auto [a, b] = cond(
      flag, [&] { return std::tuple(one, x); }, [&] { return std::tuple(x, one); });
  CHECK(std::is_same_v<decltype(b), Tensor<fp16>>);
  const std::vector<Value> vars = {a, b};
  const Values erased =
      while_loop([&](const Values& v) { return squeeze(reduce_max(Tensor<fp16>::from(v[0]))) < 9; },
                 [&](const Values& v) {
                   return std::vector<Value>{v[1], relu(Tensor<fp16>::from(v[0]))};
                 },
                 vars);
  REQUIRE(erased.size() == 2);
  const Value chosen = cond(
      Value(flag), [&] { return erased[0]; }, [&] { return erased[1]; });
  CHECK(chosen.dtype() == DType::fp16);
  k.output("y", chosen);
  const std::string text = function_text(k);
  CHECK(contains(text, "while_loop(loop_vars = x)[name = string(\"while_loop_0\")]"));
  CHECK(contains(text, "} -> (while_loop_0, x)\n"));
  CHECK(contains(text, "} -> (loop_var_"));
}

TEST_CASE("what a nested block takes from outside stands before the op that has the block") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto flag = squeeze(k.input<bool>("x_flag", {1}));
  auto outer = sigmoid(x);
  auto y = while_loop([&](Tensor<fp16> h) { return squeeze(reduce_max(h)) < 9; },
                      [&](Tensor<fp16> h) {
                        auto inner = tanh(h);
                        return cond(
                            flag, [&] { return inner + outer; }, [&] { return exp(outer) + h; });
                      },
                      x);
  k.output("y", y);
  const std::string text = function_text(k);
  CHECK(
      in_order(text, {"squeeze_0 = squeeze(x = x_flag)", "sigmoid_0 = sigmoid", "y = while_loop",
                      "loop_var_1) {", "tanh_0 = tanh(x = loop_var_1)", "cond_0 = cond",
                      "\n                        () {\n", "add_0 = add(x = tanh_0, y = sigmoid_0)",
                      "} -> (add_0)\n                        () {\n", "exp_0 = exp(x = sigmoid_0)",
                      "} -> (add_1);\n                } -> (cond_0);\n        } -> (y);"}));
}

TEST_CASE("names do not depend on the order of creation, and authors name values of blocks") {
  const auto text = [](bool early) {
    Kernel k("k");
    auto x = k.input<fp16>("x", {1, 4});
    auto flag = squeeze(k.input<bool>("x_flag", {1}));
    Tensor<fp16> other;
    if (early) other = relu(x);
    auto y = cond(
        flag, [&] { return relu(x * 2).named("twice"); }, [&] { return relu(x); });
    if (!early) other = relu(x);
    k.output("y", y + other);
    return function_text(k);
  };
  CHECK(text(true) == text(false));
  CHECK(contains(text(true), "} -> (twice)"));
}

TEST_CASE("an author's name is kept from derived ones inside of blocks, too") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto y = while_loop([&](Tensor<fp16> h) { return squeeze(reduce_max(h)) < 9; },
                      [&](Tensor<fp16> h) { return h.named("loop_var_0") + 1; }, x);
  k.output("y", y);
  const std::string text = function_text(k);
  CHECK(contains(text, "(tensor<fp16, [1, 4]> loop_var_1) {"));
  CHECK(contains(text, "(tensor<fp16, [1, 4]> loop_var_0) {"));
}

TEST_CASE("a loop over a list") {
  Kernel k("k");
  auto x = k.input<fp32>("x", {3, 4});
  auto ls = list_scatter(make_list<fp32>(k, {4}, {.init_length = 3, .dynamic_length = false}),
                         {0, 1, 2}, x);
  CHECK(to_string(ls.element_shape()) == "[4]");
  auto [i, filled] = while_loop([&](Tensor<int32> at, List<fp32> l) { return at < list_length(l); },
                                [&](Tensor<int32> at, List<fp32> l) {
                                  return Pack(at + 1, list_write(l, at, list_read(l, at) * 2));
                                },
                                Pack(k.scalar<int32>(0), ls));
  CHECK(std::is_same_v<decltype(filled), List<fp32>>);
  k.output("y", list_gather(filled, {0, 2}));
  const std::string text = function_text(k);
  CHECK(contains(text,
                 "list<tensor<fp32, [4]>, 3> make_list_0 = make_list(dtype = dtype_0, "
                 "dynamic_length = dynamic_length_0, elem_shape = const_2, init_length = "
                 "const_1)"));
  CHECK(
      contains(text, "int32 while_loop_0, list<tensor<fp32, [4]>, 3> while_loop_1 = while_loop("));
  CHECK(contains(text, "(int32 loop_var_0, list<tensor<fp32, [4]>, 3> loop_var_1) {"));
  CHECK(contains(text, "tensor<fp32, [2, 4]> y = list_gather("));
}

TEST_CASE("lists of scalars and of dims that are not known") {
  Kernel k("k");
  auto n = squeeze(k.input<int32>("n", {1}));
  auto scalars = make_list<int32>(k, {});
  scalars = list_write(scalars, n, n);
  auto rows = make_list<fp16>(k, {kUnknownDim, 4}, {.init_length = n});
  CHECK(to_string(rows.element_shape()) == "[?, 4]");
  k.output("a", list_read(scalars, 0) + list_length(rows));
  const std::string text = function_text(k);
  CHECK(contains(text, "list<int32, ?> make_list_0 = make_list("));
  CHECK(contains(text, "elem_shape = (), init_length = "));
  CHECK(contains(text, "val = string(\"dim\")]"));
  CHECK(contains(text, "list<tensor<fp16, [?, 4]>, ?> make_list_1 = make_list("));
}

TEST_CASE("states are inputs, and what touches one keeps its order") {
  Kernel k("k");
  auto cache = k.state<fp16>("cache", {1, 4});
  auto other = k.state<fp16>("other", {1, 4});
  auto x = k.input<fp16>("x", {1, 4});
  auto before = read_state(cache);
  write_state(cache, x);
  read_state(other);  // nothing needs it
  auto between = read_state(cache);
  write_state(other, x * 2);
  write_state(cache, x * 3);
  auto after = read_state(cache);
  k.output("y", after + between + before);
  const Program program = k.finish();
  REQUIRE(program);
  CHECK(k.diagnostics().empty());
  REQUIRE(program.inputs().size() == 3);
  CHECK(program.inputs()[0].is_state);
  CHECK(to_string(program.inputs()[0].shape) == "[1, 4]");
  CHECK(program.inputs()[0].dtype == DType::fp16);
  CHECK_FALSE(program.inputs()[2].is_state);
  const std::string text = print_mil(program);
  CHECK(contains(text,
                 "func main<ios18>(state<tensor<fp16, [1, 4]>> cache, state<tensor<fp16, "
                 "[1, 4]>> other, tensor<fp16, [1, 4]> x) {"));
  CHECK(in_order(
      text,
      {"tensor<fp16, [1, 4]> read_state_0 = read_state(input = cache)[name = "
       "string(\"read_state_0\")];\n",
       "            write_state(data = x, input = cache)[name = string(\"write_state_0\")];\n",
       "write_state(data = mul_1, input = other)", "read_state_1 = read_state(input = cache)",
       "write_state(data = mul_0, input = cache)", "read_state_2 = read_state(input = cache)",
       "add(x = read_state_2, y = read_state_1)"}));
}

TEST_CASE("a state keeps its order across blocks") {
  Kernel k("k");
  auto cache = k.state<fp16>("cache", {1, 4});
  auto flag = squeeze(k.input<bool>("flag", {1}));
  auto x = k.input<fp16>("x", {1, 4});
  auto before = read_state(cache);
  // Nobody uses the result, but the state is written.
  cond(
      flag,
      [&] {
        write_state(cache, x);
        return read_state(cache);
      },
      [&] {
        auto held = read_state(cache);
        write_state(cache, relu(held));
        return held;
      });
  auto after = read_state(cache);
  k.output("y", after + before);
  const std::string text = function_text(k);
  CHECK(in_order(
      text, {"read_state_0 = read_state", "cond_0 = cond(pred = squeeze_0)",
             "write_state(data = x, input = cache)", "read_state_1 = read_state",
             "} -> (read_state_1)", "read_state_2 = read_state", "write_state(data = relu_0",
             "} -> (read_state_2);", "read_state_3 = read_state", "y = add(x = read_state_3"}));
}

TEST_CASE("coreml_update_state is a write, and a read where the result is used") {
  Kernel k("k");
  auto cache = k.state<fp16>("cache", {1, 4});
  auto x = k.input<fp16>("x", {1, 4});
  k.output("y", coreml_update_state(cache, x) * 2);
  coreml_update_state(cache, relu(x));
  const std::string text = function_text(k);
  CHECK_FALSE(contains(text, "coreml_update_state"));
  CHECK(in_order(text, {"write_state(data = x, input = cache)[name = string(\"write_state_0\")]",
                        "read_state_0 = read_state(input = cache)", "mul(x = read_state_0",
                        "write_state(data = relu_0, input = cache)[name = "
                        "string(\"write_state_1\")];\n        } -> (y);"}));
  CHECK_FALSE(contains(text, "read_state_1"));
}

TEST_CASE("classify gives a label and a dictionary, and writes its classes in place") {
  Kernel k("k");
  auto x = k.input<fp32>("x", {1, 2});
  auto [label, probabilities] = classify(x, {"a \"cat\"", "dog"});
  auto [number, more] = classify(x, {std::int64_t{7}, std::int64_t{-1}});
  const std::vector<std::string> words = {"a", "b"};
  auto [word, rest] = classify(x, words);
  CHECK(label.dtype() == DType::string);
  CHECK(number.dtype() == DType::int64);
  k.output("a", label);
  k.output("b", probabilities);
  k.output("c", number);
  k.output("d", more);
  k.output("e", word);
  const Program program = k.finish();
  REQUIRE(program);
  CHECK(program.outputs()[1].dtype == DType::none);
  CHECK(program.op_count() == 3);
  const std::string text = print_mil(program);
  CHECK(contains(text,
                 "string a, dict<string, fp64> b = classify(classes = list<string, 2>([\"a "
                 "\\\"cat\\\"\", \"dog\"]), probabilities = x)[name = string(\"a\")];"));
  CHECK(contains(text,
                 "int64 c, dict<int64, fp64> d = classify(classes = list<int64, 2>([7, -1]), "
                 "probabilities = x)"));
}

TEST_CASE("constexpr ops have their operands as arguments from ios18 on, as attributes before") {
  const auto text = [](Opset opset) {
    Kernel k("k", opset);
    auto x = k.input<fp16>("x", {1, 4});
    auto codes = k.weight<int8>("codes", {6, 4});
    auto w = constexpr_affine_dequantize(codes, k.scalar<int8>(-1), k.scalar<fp16>(0.5), 0);
    k.output("y", linear(x, w));
    return function_text(k);
  };
  constexpr std::string_view kLine =
      "tensor<fp16, [6, 4]> constexpr_affine_dequantize_0 = constexpr_affine_dequantize()[axis = "
      "int32(0), name = string(\"constexpr_affine_dequantize_0\"), quantized_data = tensor<int8, "
      "[6, 4]>(BLOBFILE(path = string(\"@model_path/weights/codes.bin\"), offset = uint64(64))), "
      "scale = fp16(0x1p-1), zero_point = int8(-1)];\n";
  // Its signature is that of ios16 in every opset.
  CHECK(contains(text(Opset::ios17), kLine));
  CHECK(contains(text(Opset::ios18), kLine));
  CHECK_FALSE(contains(text(Opset::ios18), "const()[name = string(\"codes\")"));

  const auto cast_text = [](Opset opset) {
    Kernel k("k", opset);
    auto x = k.input<fp32>("x", {1, 4});
    k.output("y", x + constexpr_cast<fp32>(k.weight<fp16>("w", {4})));
    return function_text(k);
  };
  CHECK(contains(cast_text(Opset::ios17),
                 "constexpr_cast()[name = string(\"constexpr_cast_0\"), output_dtype = "
                 "string(\"fp32\"), source_val = tensor<fp16, [4]>(BLOBFILE("));
  CHECK(contains(cast_text(Opset::ios18),
                 "constexpr_cast(output_dtype = string(\"fp32\"), source_val = tensor<fp16, "
                 "[4]>(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = "
                 "uint64(64))))[name = string(\"constexpr_cast_0\")];"));
}

TEST_CASE("a constexpr op that is fed by another refers to it by name") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 2});
  auto mask = k.constant<uint1>("mask", {2, 2}, {1, 0, 0, 1});
  auto codes = k.weight<uint1>("codes", {2});
  auto lut = k.weight<fp16>("lut", {1, 1, 2, 1});
  const Sparse<fp16> sparse = constexpr_lut_to_sparse(mask, codes, lut);
  auto w = constexpr_sparse_to_dense(sparse.values, sparse.mask);
  // A constant that has other uses has a line of its own as well.
  k.output("y", linear(x, w) + reduce_sum(reshape(lut, {2}), {.axes = {0}, .keep_dims = true}));
  const Program program = k.finish();
  REQUIRE(program);
  CHECK(program.weights().size() == 3);  // one is the bias of linear
  const std::string text = print_mil(program);
  CHECK(contains(text,
                 "constexpr_lut_to_sparse(indices_mask = tensor<uint1, [2, 2]>([[1, 0], [0, "
                 "1]]), indices_nonzero_data = tensor<uint1, [2]>(BLOBFILE("));
  CHECK(contains(text,
                 "constexpr_sparse_to_dense(mask = constexpr_lut_to_sparse_0, nonzero_data = "
                 "constexpr_lut_to_sparse_1)[name = "));
  CHECK(contains(text, "tensor<fp16, [1, 1, 2, 1]> lut = const()[name = string(\"lut\"), val = "));
  CHECK_FALSE(contains(text, "codes = const()"));
}

TEST_CASE("constexpr_sparse_blockwise_shift_scale gives a mask and values") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 2});
  auto mask = k.constant<uint1>("mask", {2, 2}, {1, 0, 1, 1});
  auto data = k.weight<int8>("data", {3});
  auto scale = k.weight<fp16>("scale", {1, 1});
  auto [bits, values] = constexpr_sparse_blockwise_shift_scale(mask, data, scale);
  k.output("y", linear(x, constexpr_sparse_to_dense(values, bits)));
  CHECK(contains(function_text(k),
                 "tensor<uint1, [2, 2]> constexpr_sparse_blockwise_shift_scale_0, "
                 "tensor<fp16, [3]> constexpr_sparse_blockwise_shift_scale_1 = "
                 "constexpr_sparse_blockwise_shift_scale(data_mask = "));
}

TEST_CASE("matmul of two dtypes wants the result's by name") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {4, 4});
  auto w = k.weight<fp32>("w", {4, 4});
  auto y = matmul<fp16>(x, w);
  CHECK(std::is_same_v<decltype(y), Tensor<fp16>>);
  k.output("y", matmul<fp16>(w, y, {.transpose_x = true}));
  CHECK(matmul<fp32>(x, w).poisoned());
  REQUIRE(k.diagnostics().all().size() == 1);
  CHECK(report(k.diagnostics().all()[0]) ==
        "value.dtype: Tensor<fp32> is made from a value of dtype fp16");
}

// --- What is refused. ---

TEST_CASE("a value of a block is not known outside of it") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto flag = squeeze(k.input<bool>("x_flag", {1}));
  Tensor<fp16> leaked;
  const unsigned made = __LINE__ + 2;
  auto y = cond(
      flag, [&] { return leaked = relu(x); }, [&] { return x; });
  const unsigned used = __LINE__ + 1;
  auto z = y + leaked;
  CHECK(z.poisoned());
  k.output("leaked", leaked);
  REQUIRE(k.diagnostics().all().size() == 2);
  const Diagnostic& d = k.diagnostics().all()[0];
  CHECK(report(d) ==
        "block.scope: add: y is the result of relu, which belongs to a block of cond "
        "and is not known outside of it");
  CHECK(d.place.line == used);
  REQUIRE(d.notes.size() == 1);
  CHECK(d.notes[0].message == "the result of relu is tensor<fp16, [1, 4]>, made here");
  CHECK(d.notes[0].place.line == made);
  CHECK(report(k.diagnostics().all()[1]) ==
        "block.scope: output 'leaked' is the result of relu, which belongs to a block of cond and "
        "is not known outside of it");
}

TEST_CASE("a block sees no values of the block beside it") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto flag = squeeze(k.input<bool>("x_flag", {1}));
  Tensor<fp16> leaked;
  auto y = cond(
      flag, [&] { return leaked = relu(x); }, [&] { return leaked; });
  CHECK(y.poisoned());
  auto loop = while_loop(
      [&](Tensor<fp16> h) {
        leaked = h;
        return squeeze(reduce_max(h)) < 9;
      },
      [&](Tensor<fp16> h) { return h + leaked; }, x);
  CHECK(loop.poisoned());
  REQUIRE(k.diagnostics().all().size() == 2);
  CHECK(report(k.diagnostics().all()[0]) ==
        "block.scope: block: output 0 is the result of relu, which belongs to a block and is not "
        "known outside of it");
  CHECK(report(k.diagnostics().all()[1]) ==
        "block.scope: add: y is loop variable, which belongs to a block and is not known outside "
        "of it");
}

TEST_CASE("what does not fit is reported where the op stands") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto wide = k.input<fp16>("y", {1, 5});
  auto flag = k.input<bool>("x_flag", {1});
  const unsigned line = __LINE__ + 1;
  auto bad_pred = cond(
      flag, [&] { return x; }, [&] { return x; });
  CHECK(bad_pred.poisoned());
  CHECK(k.diagnostics().all()[0].place.line == line);
  cond(
      squeeze(flag), [&] { return x; }, [&] { return wide; });
  while_loop([&](Tensor<fp16> h) { return h < 1; }, [&](Tensor<fp16> h) { return h; }, x);
  // A refusal inside takes the op along, without a word more.
  while_loop([&](Tensor<fp16> h) { return squeeze(reduce_max(h)) < 1; },
             [&](Tensor<fp16> h) { return h + wide; }, x);
  CHECK_FALSE(k.finish());
  REQUIRE(k.diagnostics().all().size() == 4);
  CHECK(report(k.diagnostics().all()[0]) ==
        "cond.pred: cond: pred 'x_flag' has shape [1] but must have rank 0");
  CHECK(report(k.diagnostics().all()[1]) ==
        "cond.type: cond: value 0 is tensor<fp16, [1, 4]> in the block for true but tensor<fp16, "
        "[1, 5]> in that for false");
  CHECK(report(k.diagnostics().all()[2]) ==
        "while_loop.condition: while_loop: the condition is tensor<bool, [1, 4]> but must be bool");
  CHECK(k.diagnostics().all()[3].id == "broadcast.shapes");
}

TEST_CASE("outputs and the end of a kernel are outside of blocks") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto flag = squeeze(k.input<bool>("x_flag", {1}));
  cond(
      flag,
      [&] {
        k.output("y", x);
        CHECK_FALSE(k.finish());
        return x;
      },
      [&] { return relu(x); });
  REQUIRE(k.diagnostics().all().size() == 3);
  CHECK(report(k.diagnostics().all()[0]) ==
        "block.output: output 'y' is declared inside of a nested block; outputs are those of the "
        "kernel");
  CHECK(report(k.diagnostics().all()[1]) ==
        "block.open: kernel 'k' is finished while a nested block of it is open");
  CHECK(k.diagnostics().all()[2].id == "kernel.finished");
}

TEST_CASE("what is wrong with states") {
  Kernel old("old", Opset::ios17);
  CHECK(old.state<fp16>("cache", {4}).poisoned());
  CHECK(report(old.diagnostics().all()[0]) ==
        "state.opset: state 'cache': states exist from ios18 on but the program is ios17");

  Kernel k("k");
  auto cache = k.state<fp16>("cache", {1, 4});
  CHECK(k.state<fp16>("unknown", {kUnknownDim}).poisoned());
  auto x = k.input<fp16>("x", {1, 5});
  write_state(cache, x);
  k.output("y", cache);
  OpBuilder copy(OpCode::identity, here());
  copy.operand("x", cache);
  CHECK(copy.result().poisoned());
  const std::vector<Value> vars = {cache};
  while_loop([&](const Values&) { return k.scalar<bool>(1); },
             [&](const Values& v) { return std::vector<Value>{v[0]}; }, vars);
  REQUIRE(k.diagnostics().all().size() >= 5);
  const std::vector<Diagnostic>& all = k.diagnostics().all();
  CHECK(report(all[0]) == "tensor.dim: state 'unknown' has shape [?]; every dim is at least 1");
  CHECK(report(all[1]) ==
        "state.type: write_state: data 'x' is tensor<fp16, [1, 5]> but input "
        "'cache' is state<tensor<fp16, [1, 4]>>");
  REQUIRE(all[1].notes.size() == 2);
  CHECK(all[1].notes[1].message == "state 'cache' is state<tensor<fp16, [1, 4]>>, made here");
  CHECK(report(all[2]) ==
        "output.kind: output 'y' is state<tensor<fp16, [1, 4]>>, but an output "
        "is a tensor or a dictionary");
  CHECK(report(all[3]) ==
        "state.value: identity: the result is state<tensor<fp16, [1, 4]>>, but a "
        "state is an input and no op gives one");
  CHECK(report(all[4]) ==
        "state.value: an input of the block is state<tensor<fp16, [1, 4]>>, but a "
        "block sees the states of its kernel itself");
}

TEST_CASE("a list is no output, and its elements have one type") {
  Kernel k("k");
  auto ls = make_list<fp16>(k, {1, 4});
  auto x = k.input<fp16>("x", {1, 5});
  list_write(ls, 0, x);
  k.output("y", ls);
  CHECK(report(k.diagnostics().all()[0]).starts_with("list_write.element: list_write: value 'x' "));
  CHECK(report(k.diagnostics().all()[1]) ==
        "output.kind: output 'y' is list<tensor<fp16, [1, 4]>, ?>, but an output is a tensor or a "
        "dictionary");
}

TEST_CASE("blocks by hand: each for one op, where it was made") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto flag = squeeze(k.input<bool>("x_flag", {1}));
  const Value given = x;
  const auto build = [&](OpCode code, std::initializer_list<const Block*> blocks) {
    OpBuilder op(code, k, here());
    if (code == OpCode::cond) op.operand("pred", flag);
    if (code == OpCode::relu) op.operand("x", x);
    for (const Block* block : blocks) op.block(*block);
    return op.result();
  };
  Block yes(flag);
  CHECK(build(OpCode::cond, {&yes, &yes}).poisoned());
  yes.close(std::span(&given, 1));
  Block no(flag);
  no.close(std::span(&given, 1));
  CHECK_FALSE(build(OpCode::cond, {&yes, &no}).poisoned());
  CHECK(build(OpCode::cond, {&yes, &no}).poisoned());
  CHECK(build(OpCode::relu, {&no}).poisoned());
  Block third(flag);
  third.close({});
  CHECK(build(OpCode::cond, {&third, &third, &third}).poisoned());
  Block with_input(std::span(&given, 1));
  Block inner(flag);
  inner.close({});
  with_input.close({});
  CHECK(with_input.input(1).poisoned());
  CHECK(build(OpCode::cond, {&with_input, &third}).poisoned());
  CHECK(build(OpCode::cond, {&inner, &third}).poisoned());
  std::vector<std::string> all;
  for (const Diagnostic& d : k.diagnostics().all()) all.push_back(report(d));
  CHECK(all == std::vector<std::string>{
                   "block.place: cond: the block is still open",
                   "block.place: cond: the block is that of cond already",
                   "block.count: relu: the op has 1 blocks but takes 0",
                   "block.count: cond: the op has 3 blocks but takes 2",
                   "block.inputs: cond: the block takes 1 values but that of cond takes none",
                   "block.place: cond: the block was not made where the op stands"});
}

TEST_CASE("values of two kernels do not meet in a block") {
  Kernel a("a");
  Kernel b("b");
  auto x = a.input<fp16>("x", {1, 4});
  auto other = b.input<fp16>("x", {1, 4});
  auto flag = squeeze(a.input<bool>("x_flag", {1}));
  CHECK(cond(
            flag, [&] { return x; }, [&] { return other; })
            .poisoned());
  CHECK(report(a.diagnostics().all()[0]) ==
        "value.kernel: block: output 0 belongs to another kernel than 'a'");
  // Nothing is said about what comes from nowhere.
  CHECK(while_loop([&](Tensor<fp16> h) { return squeeze(h) < 1; },
                   [&](Tensor<fp16> h) { return h; }, Tensor<fp16>())
            .poisoned());
  CHECK(a.diagnostics().all().size() == 1);
}

namespace {

/// `depth` blocks in each other, made without recursion.
Program nest(Kernel& k, std::size_t depth) {
  auto x = k.input<fp16>("x", {1, 4});
  auto flag = squeeze(k.input<bool>("x_flag", {1}));
  std::vector<std::unique_ptr<Block>> open;
  for (std::size_t i = 0; i < depth; ++i) open.push_back(std::make_unique<Block>(flag));
  Value inner = relu(x);
  while (!open.empty()) {
    Block& yes = *open.back();
    yes.close(std::span(&inner, 1));
    Block no(flag);
    const Value same = x;
    no.close(std::span(&same, 1));
    OpBuilder op(OpCode::cond, k, here());
    op.operand("pred", flag);
    op.block(yes);
    op.block(no);
    inner = op.result();
    open.pop_back();
  }
  k.output("y", inner);
  return k.finish();
}

}  // namespace

TEST_CASE("blocks nest 256 deep") {
  Kernel k("k");
  const Program program = nest(k, 256);
  REQUIRE(program);
  const std::string text = print_mil(program);
  std::size_t blocks = 0;
  for (std::size_t at = 0; (at = text.find("() {\n", at)) != std::string::npos; ++at) ++blocks;
  CHECK(blocks == 512);
  CHECK(contains(text, std::string(12 + 8 * 256, ' ') + "tensor<fp16, [1, 4]> relu_0 = relu"));
}

TEST_CASE("blocks that nest deeper are refused, however deep") {
  for (const std::size_t depth : {std::size_t{257}, std::size_t{10000}}) {
    Kernel k("k");
    CHECK_FALSE(nest(k, depth));
    REQUIRE(k.diagnostics().all().size() == 1);
    CHECK(report(k.diagnostics().all()[0]) ==
          "block.depth: the block is nested 257 deep; the deepest is 256");
  }
}
