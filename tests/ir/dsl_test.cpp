// How a graph is written in C++: operators, numbers beside tensors, lists, and the dtype that the
// type of a result states.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ir/infer_lines.h"
#include "milgen/milgen.h"

using namespace milgen;

namespace {

/// The text of a kernel whose only output is `y`.
std::string text_of(Kernel& k, Value y) {
  k.output("y", y);
  const Program program = k.finish();
  for (const Diagnostic& d : k.diagnostics().all()) MESSAGE(d.id << ": " << d.message);
  REQUIRE(program);
  return print_mil(program);
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// Whether two types can be combined by the operators.
template <class X, class Y>
concept Adds = requires(X x, Y y) {
  x + y;
};
template <class X, class Y>
concept Assigns = requires(X x, Y y) {
  x += y;
};
template <class X, class Y>
concept Compares = requires(X x, Y y) {
  x == y;
};
template <class X>
concept Negates = requires(X x) {
  -x;
};
template <class X, class Y>
concept Multiplies = requires(X x, Y y) {
  matmul(x, y);
};
template <class X, class Y>
concept Conjoins = requires(X x, Y y) {
  x&& y;
};

}  // namespace

TEST_CASE("unary minus is a product with -1") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  const unsigned line = __LINE__ + 1;
  auto y = -x;
  k.output("y", y);
  const Program program = k.finish();
  REQUIRE(program);
  const std::string text = print_mil(program);
  CHECK(contains(text, "mul(x = x, y = "));
  CHECK(contains(text, "fp16(-0x1p+0)"));
  CHECK(program.location_of("y").line == line);
}

TEST_CASE("compound assignment makes a new value where it stands") {
  Kernel k("k");
  auto x = k.input<fp32>("x", {1, 4});
  auto y = x;
  y += x;
  y -= 1;
  y *= 2.5;
  const unsigned line = __LINE__ + 1;
  y /= x;
  k.output("y", y);
  const Program program = k.finish();
  REQUIRE(program);
  const std::string text = print_mil(program);
  CHECK(contains(text, "add_0 = add(x = x, y = x)"));
  CHECK(contains(text, "sub_0 = sub(x = add_0, y = "));
  CHECK(contains(text, "mul_0 = mul(x = sub_0, y = "));
  CHECK(contains(text, "y = real_div(x = mul_0, y = x)"));
  CHECK(program.location_of("y").line == line);
}

TEST_CASE("logical operators") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  const unsigned line = __LINE__ + 1;
  auto b = (!(x > 0) && x < 1) || x == 7;
  const std::string type = b.dtype() == DType::boolean ? "bool" : "another";
  CHECK(type == "bool");
  k.output("y", cast<fp16>(b));
  const Program program = k.finish();
  REQUIRE(program);
  const std::string text = print_mil(program);
  CHECK(contains(text, "logical_not_0 = logical_not(x = greater_0)"));
  CHECK(contains(text, "logical_and_0 = logical_and(x = logical_not_0, y = less_0)"));
  CHECK(contains(text, "logical_or_0 = logical_or(x = logical_and_0, y = equal_0)"));
  CHECK(program.location_of("logical_not_0").line == line);
  CHECK(program.location_of("logical_and_0").line == line);
}

TEST_CASE("any number stands beside a tensor") {
  Kernel k("k");
  auto x = k.input<fp32>("x", {1, 4});
  const std::size_t size = 3;
  const long long large = 5;
  const short small = 6;
  const std::uint8_t byte = 9;
  auto y = x + 2u + size + large + 7.0L + small + byte + 1.5f + std::int64_t{11};
  y = 12ul * y;
  const std::string text = text_of(k, y);
  for (const std::string_view number :
       {"fp32(0x1p+1)", "fp32(0x1.8p+1)", "fp32(0x1.4p+2)", "fp32(0x1.cp+2)", "fp32(0x1.8p+2)",
        "fp32(0x1.2p+3)", "fp32(0x1.8p+0)", "fp32(0x1.6p+3)", "fp32(0x1.8p+3)"}) {
    CHECK_MESSAGE(contains(text, number), number);
  }
}

TEST_CASE("the operators of numbers are not there for bool, nor those of bool for numbers") {
  CHECK(Adds<Tensor<fp16>, Tensor<fp16>>);
  CHECK(Adds<Tensor<int32>, unsigned>);
  CHECK(Compares<Tensor<fp16>, double>);
  CHECK(Negates<Tensor<fp32>>);
  CHECK(Conjoins<Tensor<bool>, Tensor<bool>>);
  CHECK_FALSE(Adds<Tensor<bool>, Tensor<bool>>);
  CHECK_FALSE(Adds<Tensor<bool>, int>);
  CHECK_FALSE(Adds<Tensor<fp16>, bool>);
  CHECK_FALSE(Adds<Tensor<fp16>, Tensor<fp32>>);
  CHECK_FALSE(Assigns<Tensor<bool>&, Tensor<bool>>);
  CHECK_FALSE(Compares<Tensor<bool>, Tensor<bool>>);
  CHECK_FALSE(Negates<Tensor<bool>>);
  CHECK_FALSE(Conjoins<Tensor<fp16>, Tensor<bool>>);
  CHECK_FALSE(Conjoins<Tensor<bool>, bool>);
}

TEST_CASE("elementwise functions take a number as the second operand") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto y = minimum(maximum(pow(x, 2), -4), 0.5);
  y = select(greater(y, 0.25), y, -8);
  y = select(y < 3, 16.0, y);
  const std::string text = text_of(k, y);
  CHECK(contains(text, "pow(x = x, y = "));
  CHECK(contains(text, "maximum(x = pow_0, y = "));
  CHECK(contains(text, "minimum(x = maximum_0, y = "));
  CHECK(contains(text, "greater(x = minimum_0, y = "));
  CHECK(contains(text, "select(a = minimum_0, b = "));
  CHECK(contains(text, ", b = select_0, cond = less_0)"));
  for (const std::string_view number : {"fp16(0x1p+1)", "fp16(-0x1p+2)", "fp16(0x1p-1)",
                                        "fp16(0x1p-2)", "fp16(-0x1p+3)", "fp16(0x1p+4)"}) {
    CHECK_MESSAGE(contains(text, number), number);
  }
}

TEST_CASE("the typed matmul has one dtype, and OpBuilder takes two") {
  Kernel k("k");
  auto w = k.weight<fp32>("w", {4, 4});
  auto x = k.input<fp16>("x", {4, 4});
  CHECK(std::is_same_v<decltype(matmul(x, x)), Tensor<fp16>>);
  CHECK_FALSE(Multiplies<Tensor<fp32>, Tensor<fp16>>);
  OpBuilder op(OpCode::matmul, here());
  op.operand("x", w);
  op.operand("y", x);
  const Value y = op.result();
  CHECK(y.dtype() == DType::fp16);
  CHECK(contains(text_of(k, y), "y = matmul("));
}

TEST_CASE("crop_resize with and without box_indices") {
  Kernel k("k");
  auto x = k.input<fp16>("a", {2, 3, 8, 8});
  auto boxes = k.input<fp16>("boxes", {2, 4});
  auto indices = k.constant<int32>("indices", {2}, {0, 1});
  auto y = crop_resize(x, boxes, {.target_height = 2, .target_width = 2});
  y = y + crop_resize(x, boxes, {.box_indices = indices, .target_height = 2, .target_width = 2});
  CHECK(contains(text_of(k, y), "box_indices = indices"));
}

TEST_CASE("topk names the dtype of its indices only when it returns them") {
  for (const bool indices : {true, false}) {
    Kernel k("k");
    auto x = k.input<fp16>("x", {1, 8});
    const Values out = topk(x, {.k = 2, .return_indices = indices});
    CHECK(out.size() == (indices ? 2 : 1));
    CHECK(contains(text_of(k, out[0]), "output_indices_dtype = ") == indices);
  }
}

TEST_CASE("identity of a tensor is a tensor") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 4});
  auto y = identity(x);
  CHECK(std::is_same_v<decltype(y), Tensor<fp16>>);
  CHECK(contains(text_of(k, y + 1), "add(x = identity_0, y = "));
}

TEST_CASE("the results of split can be walked over and put together again") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 6});
  const Tensors<fp16> parts = split(x, 1, {.num_splits = 3});
  std::size_t count = 0;
  for (const Tensor<fp16> part : parts) {
    CHECK(part.dim(1) == 2);
    CHECK(part.id() == parts[count].id());
    ++count;
  }
  CHECK(count == 3);
  const std::vector<Tensor<fp16>> listed(parts.begin(), parts.end());
  CHECK(listed.size() == 3);
  auto y = concat(listed, 1);
  y += concat(split(x, 1, {.num_splits = 2}), 1);
  const std::string text = text_of(k, y);
  CHECK(contains(text, "values = (split_0, split_1, split_2)"));
  CHECK(contains(text, "values = (split_3, split_4)"));
}

TEST_CASE("a list of integers may come in a vector") {
  Kernel k("k");
  auto x = k.input<fp16>("x", {1, 6});
  const std::vector<std::int64_t> dims = {2, 3};
  const std::vector<std::int64_t> perm = {1, 0};
  auto y = transpose(reshape(x, dims), perm);
  CHECK(to_string(y.shape()) == "[3, 2]");
  const Ints many(std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(to_string(many) == "[1, 2, 3, 4, 5, 6, 7, 8, 9]");
  CHECK(contains(text_of(k, y), "tensor<int32, [2]>([2, 3])"));
}

TEST_CASE("bounds and strides at the ends of what 64 bits hold") {
  using test::Line;
  const Line lines[] = {
      {"slice_by_index",
       "x=fp16[4] begin=int32[1]:3 end=int32[1]:0 stride=int32[1]:-9223372036854775808", "fp16[1]"},
      {"slice_by_index",
       "x=fp16[4] begin=int32[1]:-9223372036854775808 end=int32[1]:9223372036854775807", "fp16[4]"},
      {"slice_by_index",
       "x=fp16[s0] begin=int32[1]:9223372036854775807 end=int32[1]:-9223372036854775808 "
       "stride=int32[1]:-9223372036854775808",
       "fp16[?]"},
      {"slice_by_index",
       "x=fp16[s0] begin=int32[1]:-1 end=int32[1]:-9223372036854775808 "
       "stride=int32[1]:-9223372036854775808",
       "fp16[1]"},
      {"slice_by_size", "x=fp16[4] begin=int32[1]:1 size=int32[1]:9223372036854775807",
       "slice_by_size.range: begin[0] = 1 and size[0] = 9223372036854775807 reach "
       "9223372036854775808 but dim 0 of x has 4 elements"},
  };
  test::check_lines(lines);
}
