// Ops that move elements, by index or not: errors that only values show, and sizes that threads
// share. What the ops give is in golden/numeric/ops.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/run_text.h"
#include "milgen/array.h"
#include "milgen/shape.h"

using namespace milgen;
using milgen::test::program_text;
using milgen::test::run_text;
using milgen::test::TextRun;

namespace {

template <class T>
Array array_of(DType dtype, Shape shape, const std::vector<T>& values) {
  Array out(dtype, std::move(shape));
  std::copy(values.begin(), values.end(), out.as_mutable<T>().begin());
  return out;
}

Array ints(Shape shape, const std::vector<std::int32_t>& values) {
  return array_of(DType::int32, std::move(shape), values);
}

/// 0, 1, 2 ... as fp32.
Array counting(Shape shape) {
  Array out(DType::fp32, std::move(shape));
  const auto values = out.as_mutable<float>();
  std::iota(values.begin(), values.end(), 0.0F);
  return out;
}

/// What a program that fails reports, "id: message"; "" when it does not fail.
std::string error_of(std::string_view params, std::string_view op, std::string_view result,
                     const std::vector<NamedArray>& inputs) {
  const TextRun run = run_text(program_text(params, op, result), inputs);
  if (run.errors.empty()) return "";
  return run.ids.substr(0, run.ids.find('\n')) + ": " + run.errors.substr(0, run.errors.find('\n'));
}

/// The only output of a program, which works.
Array output_of(std::string_view params, std::string_view op, std::string_view result,
                const std::vector<NamedArray>& inputs, int threads) {
  const TextRun run = run_text(program_text(params, op, result), inputs, {.threads = threads});
  if (!run.errors.empty()) FAIL(run.errors);
  REQUIRE(run.outputs.size() == 1);
  return run.outputs.front().array;
}

std::vector<float> floats_of(const Array& array) {
  const auto values = array.as<float>();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("an index outside of the axis is reported with its place, and nothing is read there") {
  constexpr std::string_view kParams = "tensor<fp32, [2, 3]> x, tensor<int32, [2]> i";
  constexpr std::string_view kGather =
      "tensor<fp32, [2, 2]> y = gather(axis = int32(1), batch_dims = int32(0), indices = i, "
      "validate_indices = bool({}), x = x)[name = string(\"y\")];";
  const auto gather = [&](std::string_view validate, const std::vector<std::int32_t>& indices) {
    std::string op(kGather);
    op.replace(op.find("{}"), 2, validate);
    return error_of(kParams, op, "y", {{"x", counting({2, 3})}, {"i", ints({2}, indices)}});
  };
  CHECK(gather("false", {0, 3}) ==
        "run.index: gather: indices holds 3 at [1], but dim 1 of x has 3 elements");
  CHECK(gather("false", {-4, 0}) ==
        "run.index: gather: indices holds -4 at [0], but dim 1 of x has 3 elements");
  CHECK(gather("false", {-3, 2}).empty());
  CHECK(gather("false", {INT32_MIN, INT32_MAX}) ==
        "run.index: gather: indices holds -2147483648 at [0], but dim 1 of x has 3 elements");
}

TEST_CASE("with validate_indices an index does not count from the end") {
  // More indices than inference looks at.
  std::vector<std::int32_t> indices(5000, 1);
  indices[4321] = -1;
  const auto run = [&](std::string_view validate) {
    return error_of("tensor<fp32, [2]> x, tensor<int32, [5000]> i",
                    "tensor<fp32, [5000]> y = gather(axis = int32(0), batch_dims = int32(0), "
                    "indices = i, validate_indices = bool(" +
                        std::string(validate) + "), x = x)[name = string(\"y\")];",
                    "y", {{"x", counting({2})}, {"i", ints({5000}, indices)}});
  };
  CHECK(run("false").empty());
  CHECK(run("true") ==
        "run.index: gather: indices holds -1 at [4321], but dim 0 of x has 2 elements");
}

TEST_CASE("the other ops with indices report them as well") {
  CHECK(error_of("tensor<fp32, [2, 3]> x, tensor<int32, [2, 2]> i",
                 "tensor<fp32, [2, 2]> y = gather_along_axis(axis = int32(1), indices = i, "
                 "validate_indices = bool(false), x = x)[name = string(\"y\")];",
                 "y", {{"x", counting({2, 3})}, {"i", ints({2, 2}, {0, 1, 2, 9})}}) ==
        "run.index: gather_along_axis: indices holds 9 at [1, 1], but dim 1 of x has 3 elements");
  CHECK(error_of("tensor<fp32, [2, 3]> x, tensor<int32, [2, 2]> i",
                 "tensor<fp32, [2]> y = gather_nd(batch_dims = int32(0), indices = i, "
                 "validate_indices = bool(false), x = x)[name = string(\"y\")];",
                 "y", {{"x", counting({2, 3})}, {"i", ints({2, 2}, {0, 1, 2, 2})}}) ==
        "run.index: gather_nd: indices holds 2 at [1, 0], but dim 0 of x has 2 elements");
  CHECK(error_of("tensor<fp32, [4]> x, tensor<int32, [2]> i, tensor<fp32, [2]> u",
                 "tensor<fp32, [4]> y = scatter(axis = int32(0), data = x, indices = i, mode = "
                 "string(\"add\"), updates = u, validate_indices = bool(false))[name = "
                 "string(\"y\")];",
                 "y", {{"x", counting({4})}, {"i", ints({2}, {3, 4})}, {"u", counting({2})}}) ==
        "run.index: scatter: indices holds 4 at [1], but dim 0 of data has 4 elements");
  CHECK(error_of("tensor<fp32, [4]> x, tensor<int32, [2]> i, tensor<fp32, [2]> u",
                 "tensor<fp32, [4]> y = scatter_along_axis(axis = int32(0), data = x, indices = i, "
                 "mode = string(\"add\"), updates = u, validate_indices = bool(false))[name = "
                 "string(\"y\")];",
                 "y", {{"x", counting({4})}, {"i", ints({2}, {-5, 0})}, {"u", counting({2})}}) ==
        "run.index: scatter_along_axis: indices holds -5 at [0], but dim 0 of data has 4 elements");
  CHECK(error_of("tensor<fp32, [4]> x, tensor<int32, [2, 1]> i, tensor<fp32, [2]> u",
                 "tensor<fp32, [4]> y = scatter_nd(data = x, indices = i, mode = string(\"add\"), "
                 "updates = u, validate_indices = bool(false))[name = string(\"y\")];",
                 "y", {{"x", counting({4})}, {"i", ints({2, 1}, {0, 8})}, {"u", counting({2})}}) ==
        "run.index: scatter_nd: indices holds 8 at [1, 0], but dim 0 of data has 4 elements");
  CHECK(error_of("tensor<fp32, [2, 3]> x, tensor<int32, [2]> n",
                 "tensor<fp32, [2, 3]> y = reverse_sequence(batch_axis = int32(0), lengths = n, "
                 "seq_axis = int32(1), x = x)[name = string(\"y\")];",
                 "y", {{"x", counting({2, 3})}, {"n", ints({2}, {3, 4})}}) ==
        "run.index: reverse_sequence: lengths[1] is 4 but dim 1 of x has 3 elements");
}

TEST_CASE("an integer that scatter divides by is not 0") {
  CHECK(
      error_of("tensor<int32, [3]> x, tensor<int32, [2]> i, tensor<int32, [2]> u",
               "tensor<int32, [3]> y = scatter(axis = int32(0), data = x, indices = i, mode = "
               "string(\"div\"), updates = u, validate_indices = bool(false))[name = "
               "string(\"y\")];",
               "y",
               {{"x", ints({3}, {1, 2, 3})}, {"i", ints({2}, {0, 1})}, {"u", ints({2}, {1, 0})}}) ==
      "run.division: scatter: updates holds 0 at [1], by which int32 is divided");
}

TEST_CASE("what has no elements to take or to repeat is reported") {
  CHECK(
      error_of("tensor<fp32, [?]> x",
               "tensor<fp32, [?]> y = pad(constant_val = fp32(0.0), mode = string(\"replicate\"), "
               "pad = tensor<int32, [2]>([1, 1]), x = x)[name = string(\"y\")];",
               "y", {{"x", Array(DType::fp32, {0})}}) ==
      "run.shape: pad: x has shape [0], which has no elements to pad with");
  CHECK(
      error_of("tensor<fp32, [?]> x",
               "tensor<fp32, []> y = slice_by_index(begin = tensor<int32, [1]>([0]), begin_mask = "
               "tensor<bool, [1]>([true]), end = tensor<int32, [1]>([0]), end_mask = tensor<bool, "
               "[1]>([true]), squeeze_mask = tensor<bool, [1]>([true]), x = x)[name = "
               "string(\"y\")];",
               "y", {{"x", Array(DType::fp32, {0})}}) ==
      "run.index: slice_by_index: begin[0] is 0 but dim 0 of x has 0 elements to take one from");
}

TEST_CASE("indices that their dtype does not hold are reported") {
  CHECK(
      error_of("tensor<fp32, [70000]> x",
               "tensor<fp32, [1]> v, tensor<uint16, [1]> y = topk(ascending = bool(false), axis = "
               "int32(0), k = int32(1), output_indices_dtype = string(\"uint16\"), return_indices "
               "= bool(true), sort = bool(true), x = x)[name = string(\"y\")];",
               "v, y", {{"x", counting({70000})}}) ==
      "run.shape: topk: dim 0 of x has 70000 elements, more than an index of uint16 reaches");
  CHECK(error_of("tensor<fp32, [?, ?]> x",
                 "tensor<int32, [2]> y = shape(x = x)[name = string(\"y\")];", "y",
                 {{"x", Array(DType::fp32, {0, 3000000000})}}) ==
        "run.shape: shape: dim 1 of x has 3000000000 elements, more than an int32 counts");
}

TEST_CASE("large results are the same for any number of threads") {
  const Array x = counting({300, 401});
  const std::vector<float> values = floats_of(x);
  for (const int threads : {1, 2, 4}) {
    CAPTURE(threads);
    const std::vector<float> sums = floats_of(
        output_of("tensor<fp32, [300, 401]> x",
                  "tensor<fp32, [300, 401]> y = cumsum(axis = int32(0), exclusive = bool(false), "
                  "reverse = bool(true), x = x)[name = string(\"y\")];",
                  "y", {{"x", x}}, threads));
    std::vector<float> wanted = values;
    for (std::size_t i = wanted.size() - 401; i-- > 0;) wanted[i] += wanted[i + 401];
    CHECK(sums == wanted);

    const std::vector<float> padded = floats_of(
        output_of("tensor<fp32, [300, 401]> x",
                  "tensor<fp32, [302, 405]> y = pad(constant_val = fp32(-1.0), mode = "
                  "string(\"constant\"), pad = tensor<int32, [4]>([1, 1, 2, 2]), x = x)[name = "
                  "string(\"y\")];",
                  "y", {{"x", x}}, threads));
    REQUIRE(padded.size() == 302 * 405);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < padded.size(); ++i) {
      const std::size_t row = i / 405;
      const std::size_t column = i % 405;
      const bool is_edge = row < 1 || row > 300 || column < 2 || column > 402;
      wrong += padded[i] != (is_edge ? -1.0F : values[(row - 1) * 401 + column - 2]);
    }
    CHECK(wrong == 0);

    const std::vector<float> sorted = floats_of(
        output_of("tensor<fp32, [300, 401]> x",
                  "tensor<fp32, [300, 3]> y = topk(ascending = bool(false), axis = int32(1), k = "
                  "int32(3), return_indices = bool(false), sort = bool(true), x = x)[name = "
                  "string(\"y\")];",
                  "y", {{"x", x}}, threads));
    wrong = 0;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      wrong += sorted[i] != values[i / 3 * 401 + 400 - i % 3];
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("updates of one element are added in their order and rounded once") {
  // 2048 + 1 is 2048 in fp16, and 2048 + 1 + 1 is not.
  Array data(DType::fp16, {1});
  data.set(0, 2048);
  Array updates(DType::fp16, {2});
  updates.set(0, 1);
  updates.set(1, 1);
  const Array sum = output_of(
      "tensor<fp16, [1]> x, tensor<int32, [2]> i, tensor<fp16, [2]> u",
      "tensor<fp16, [1]> y = scatter(axis = int32(0), data = x, indices = i, mode = "
      "string(\"add\"), updates = u, validate_indices = bool(false))[name = string(\"y\")];",
      "y", {{"x", data}, {"i", ints({2}, {0, 0})}, {"u", updates}}, 1);
  CHECK(sum.real(0) == 2050);
}
