// What the executor itself does: ports, shapes that are bound when a program runs, control flow,
// memory that values share, several runs at a time, and what it refuses.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cpu/run_text.h"
#include "milgen/fill.h"
#include "milgen/kernels/stories.h"
#include "milgen/registry.h"
#include "milgen/weights.h"

namespace milgen::test {
namespace {

Array floats(const Shape& shape, const std::vector<double>& values) {
  Array array(DType::fp32, shape);
  for (std::size_t i = 0; i < values.size(); ++i) {
    array.set(static_cast<std::int64_t>(i), values[i]);
  }
  return array;
}

Array integers(const Shape& shape, const std::vector<std::int64_t>& values) {
  Array array(DType::int32, shape);
  for (std::size_t i = 0; i < values.size(); ++i) {
    array.set(static_cast<std::int64_t>(i), static_cast<double>(values[i]));
  }
  return array;
}

std::vector<double> values_of(const Array& array) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < array.size(); ++i) out.push_back(array.real(i));
  return out;
}

std::unique_ptr<Executable> compiled(std::string_view text, Diagnostics& diagnostics,
                                     const CompileOptions& options = {}) {
  const Module module = parse_mil(text, diagnostics, {.file = "test.mil"});
  return module ? cpu_backend().compile(module, options, diagnostics) : nullptr;
}

std::unique_ptr<Executable> compiled(std::string_view text, const CompileOptions& options = {}) {
  Diagnostics diagnostics;
  std::unique_ptr<Executable> executable = compiled(text, diagnostics, options);
  INFO(render(diagnostics));
  REQUIRE(executable != nullptr);
  return executable;
}

std::vector<NamedArray> run(const Executable& executable, const std::vector<NamedArray>& inputs,
                            const RunOptions& options = {}) {
  Diagnostics diagnostics;
  std::vector<NamedArray> outputs;
  const bool done = executable.run(inputs, outputs, diagnostics, options);
  INFO(render(diagnostics));
  REQUIRE(done);
  return outputs;
}

/// The reports of a run that fails.
std::string refused(const Executable& executable, const std::vector<NamedArray>& inputs,
                    const RunOptions& options = {}) {
  Diagnostics diagnostics;
  std::vector<NamedArray> outputs;
  CHECK_FALSE(executable.run(inputs, outputs, diagnostics, options));
  return render(diagnostics, RenderOptions{false, {}});
}

bool contains(const std::string& text, std::string_view part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

const std::string kAdd = program_text("tensor<fp32, [2]> x, tensor<fp32, [2]> y",
                                      "tensor<fp32, [2]> z = add(x = x, y = y);", "z");

}  // namespace

// --- Ports. ---

TEST_CASE("inputs are found by name, and what does not fit is refused") {
  const auto add = compiled(kAdd);
  REQUIRE(add->inputs().size() == 2);
  CHECK(add->inputs()[1].name == "y");
  CHECK(add->outputs()[0].shape == Shape{2});
  const Array x = floats({2}, {1, 2});
  const Array y = floats({2}, {10, 20});
  CHECK(values_of(run(*add, {{"y", y}, {"x", x}})[0].array) == std::vector<double>{11, 22});

  CHECK(contains(refused(*add, {{"x", x}}),
                 "error: input y is tensor<fp32, [2]> and was not given [run.input]"));
  CHECK(contains(refused(*add, {{"x", x}, {"y", y}, {"w", y}}),
                 "there is no input w, only x, y [run.input]"));
  CHECK(contains(refused(*add, {{"x", x}, {"y", y}, {"x", y}}),
                 "input x is given twice [run.input]"));
  CHECK(contains(refused(*add, {{"x", x}, {"y", floats({3}, {})}}),
                 "input y is tensor<fp32, [2]> but what was given is tensor<fp32, [3]>"));
  CHECK(contains(refused(*add, {{"x", x}, {"y", integers({2}, {})}}),
                 "input y is tensor<fp32, [2]> but what was given is tensor<int32, [2]>"));
  CHECK(contains(refused(*add, {{"x", x}, {"y", Array()}}), "what was given is tensor<none, []>"));
}

TEST_CASE("outputs are written where the caller wants them") {
  const auto add = compiled(kAdd);
  const Array x = floats({2}, {1, 2});
  std::vector<NamedArray> outputs = {{"z", Array(DType::fp32, {2})}};
  const std::byte* memory = outputs[0].array.bytes().data();
  Diagnostics diagnostics;
  REQUIRE(add->run({{"x", x}, {"y", x}}, outputs, diagnostics));
  CHECK(outputs.size() == 1);
  CHECK(outputs[0].array.bytes().data() == memory);
  CHECK(values_of(outputs[0].array) == std::vector<double>{2, 4});

  outputs = {{"z", Array(DType::fp32, {3})}};
  CHECK_FALSE(add->run({{"x", x}, {"y", x}}, outputs, diagnostics));
  CHECK(diagnostics.all().back().message ==
        "output z is tensor<fp32, [2]> but the array for it is tensor<fp32, [3]>");
}

TEST_CASE("an output may be an input, a constant, a view of one, and the same as another") {
  const auto program = compiled(program_text(
      "tensor<fp32, [2, 2]> x",
      R"(tensor<fp32, [2]> c = const()[name = string("c"), val = tensor<fp32, [2]>([5, 6])];
         tensor<int32, [1]> four = const()[name = string("four"), val = tensor<int32, [1]>([4])];
         tensor<fp32, [4]> flat = reshape(shape = four, x = x);
         tensor<fp32, [4]> twice = add(x = flat, y = flat);
         tensor<fp32, [4]> again = identity(x = twice);)",
      "x, c, flat, twice, again"));
  const Array x = floats({2, 2}, {1, 2, 3, 4});
  const std::vector<NamedArray> outputs = run(*program, {{"x", x}});
  REQUIRE(outputs.size() == 5);
  CHECK(values_of(outputs[0].array) == std::vector<double>{1, 2, 3, 4});
  CHECK(values_of(outputs[1].array) == std::vector<double>{5, 6});
  CHECK(values_of(outputs[2].array) == std::vector<double>{1, 2, 3, 4});
  CHECK(values_of(outputs[3].array) == std::vector<double>{2, 4, 6, 8});
  CHECK(values_of(outputs[4].array) == std::vector<double>{2, 4, 6, 8});
  // What the caller gets is the caller's: neither its input nor the program's constant.
  CHECK(outputs[0].array.bytes().data() != x.bytes().data());
  Array first = outputs[1].array;
  first.set(0, 99);
  CHECK(values_of(run(*program, {{"x", x}})[1].array) == std::vector<double>{5, 6});
}

TEST_CASE("the array of an output may be that of an input, a state or another output") {
  // y is written before x is read for the last time.
  const auto program = compiled(program_text("tensor<fp32, [2]> x",
                                             R"(tensor<fp32, [2]> y = square(x = x);
         int32 axis = const()[name = string("axis"), val = int32(0)];
         tensor<fp32, [2]> sums = cumsum(axis = axis, x = y);
         tensor<fp32, [2]> z = add(x = sums, y = x);)",
                                             "y, z"));
  std::vector<NamedArray> outputs = {{"y", floats({2}, {2, 3})}, {"z", Array()}};
  for (const auto& [y, z] :
       {std::pair{std::vector<double>{4, 9}, std::vector<double>{6, 16}},
        std::pair{std::vector<double>{16, 81}, std::vector<double>{20, 106}}}) {
    const std::byte* memory = outputs[0].array.bytes().data();
    Diagnostics diagnostics;
    REQUIRE(program->run({{"x", outputs[0].array}}, outputs, diagnostics));
    CHECK(outputs[0].array.bytes().data() == memory);
    CHECK(values_of(outputs[0].array) == y);
    CHECK(values_of(outputs[1].array) == z);
  }
  std::array<float, 3> memory = {1, 2, 3};
  const auto part = [&](std::size_t first) {
    return Array::borrow(DType::fp32, {2},
                         std::as_writable_bytes(std::span(memory).subspan(first, 2)));
  };
  outputs = {{"y", part(1)}};
  Diagnostics diagnostics;
  REQUIRE(program->run({{"x", part(0)}}, outputs, diagnostics));
  CHECK(values_of(outputs[0].array) == std::vector<double>{1, 4});
  CHECK(values_of(outputs[1].array) == std::vector<double>{2, 7});

  const auto counter = compiled(program_text("tensor<fp32, [2]> x, state<tensor<fp32, [2]>> s",
                                             R"(tensor<fp32, [2]> two = add(x = x, y = x);
         write_state(data = two, input = s);
         tensor<fp32, [2]> y = add(x = two, y = x);
         tensor<fp32, [2]> after = read_state(input = s);)",
                                             "y, after"));
  std::vector<NamedArray> states = {{"s", floats({2}, {1, 2})}};
  outputs = {{"y", states[0].array}};
  REQUIRE(counter->run({{"x", states[0].array}}, outputs, diagnostics, {.states = &states}));
  CHECK(values_of(outputs[0].array) == std::vector<double>{3, 6});
  CHECK(values_of(outputs[1].array) == std::vector<double>{2, 4});
}

TEST_CASE("outputs of any kind may be given to the next run") {
  const auto program =
      compiled(program_text("tensor<fp32, [?]> x",
                            R"(list<string, 3> names = const()[name = string("names"),
                                         val = list<string, 3>(["a", "b", "c"])];
         string label, dict<string, fp64> odds = classify(classes = names, probabilities = x);
         string again = identity(x = label);)",
                            "label, odds, again"));
  std::vector<NamedArray> outputs;
  for (int i = 0; i < 2; ++i) {
    Diagnostics diagnostics;
    const bool done = program->run({{"x", floats({3}, {1, 3, 2})}}, outputs, diagnostics);
    INFO(render(diagnostics));
    REQUIRE(done);
    REQUIRE(outputs.size() == 3);
    CHECK(outputs[0].array.strings()[0] == "b");
    CHECK(values_of(outputs[1].array) == std::vector<double>{1, 3, 2});
    REQUIRE(outputs[1].keys.strings().size() == 3);
    CHECK(outputs[1].keys.strings()[2] == "c");
    CHECK(outputs[2].array.strings()[0] == "b");
    // They are the caller's.
    outputs[1].keys.mutable_strings()[2] = "mine";
  }
  CHECK(contains(refused(*program, {{"x", floats({5}, {1, 2, 3, 4, 5})}}),
                 "classify: there are 5 probabilities but 3 classes [run.shape]"));
}

TEST_CASE("tensors of strings go in and out") {
  const auto program = compiled(
      program_text("tensor<string, [2]> s", "tensor<string, [2]> t = identity(x = s);", "t, s"));
  const auto outputs = run(*program, {{"s", Array::of_strings({2}, {"yes", "no"})}});
  REQUIRE(outputs.size() == 2);
  REQUIRE(outputs[0].array.strings().size() == 2);
  CHECK(outputs[0].array.strings()[1] == "no");
  REQUIRE(outputs[1].array.strings().size() == 2);
  CHECK(outputs[1].array.strings()[0] == "yes");
}

TEST_CASE("a program of several functions is run by name") {
  const std::string text =
      "program(1.3)\n{\n    func one<ios18>(tensor<fp32, [1]> x) {\n"
      "            tensor<fp32, [1]> y = relu(x = x);\n        } -> (y);\n"
      "    func two<ios18>(tensor<fp32, [1]> x) {\n"
      "            tensor<fp32, [1]> y = square(x = x);\n        } -> (y);\n}\n";
  const auto two = compiled(text, {.function = "two"});
  CHECK(values_of(run(*two, {{"x", floats({1}, {-3})}})[0].array) == std::vector<double>{9});
  Diagnostics diagnostics;
  CHECK(compiled(text, diagnostics, {.function = "three"}) == nullptr);
  CHECK(diagnostics.all().back().message == "the program has no function three, only one, two");
  CHECK(compiled(text, diagnostics) == nullptr);
  CHECK(diagnostics.all().back().message ==
        "the program has the functions one, two and none is called main");
  CHECK(cpu_backend().compile(Module(), {}, diagnostics) == nullptr);
  CHECK(diagnostics.all().back().message == "the program has no function");
}

// --- Shapes. ---

TEST_CASE("dims that the text leaves open are those of the inputs") {
  const auto program = compiled(program_text("tensor<fp32, [?, 3]> x, tensor<fp32, [?, 3]> y",
                                             R"(tensor<fp32, [?, 3]> s = add(x = x, y = y);
         tensor<int32, [2]> shape_of = shape(x = s);
         tensor<int32, [1]> flat_shape = const()[name = string("flat_shape"),
                                                 val = tensor<int32, [1]>([-1])];
         tensor<fp32, [?]> flat = reshape(shape = flat_shape, x = s);)",
                                             "flat, shape_of", "ios17"));
  for (const std::int64_t rows : {2, 1, 5, 2}) {
    Array x(DType::fp32, {rows, 3});
    for (std::int64_t i = 0; i < x.size(); ++i) x.set(i, static_cast<double>(i));
    const auto outputs = run(*program, {{"x", x}, {"y", x}});
    REQUIRE(outputs[0].array.shape() == Shape{rows * 3});
    CHECK(outputs[0].array.real(rows * 3 - 1) == static_cast<double>(2 * (rows * 3 - 1)));
    CHECK(outputs[1].array.integer(0) == rows);
  }
  // Both ? are dims of their own, and the op says that they do not fit.
  CHECK(contains(refused(*program, {{"x", floats({2, 3}, {})}, {"y", floats({4, 3}, {})}}),
                 "test.mil:4:"));
}

TEST_CASE("a declared dim is held against inputs that leave it open") {
  const auto program = compiled(
      program_text("tensor<fp32, [?, 4]> x", "tensor<fp32, [3, 4]> y = relu(x = x);", "y"));
  CHECK(run(*program, {{"x", floats({3, 4}, {})}})[0].array.shape() == Shape{3, 4});
  CHECK(contains(refused(*program, {{"x", floats({2, 4}, {})}}),
                 "relu: the result is tensor<fp32, [2, 4]> in this run but y is declared as "
                 "tensor<fp32, [3, 4]> [run.shape]"));
}

TEST_CASE("a shape that only values show goes on into what follows") {
  const auto program = compiled(program_text("tensor<fp32, [6]> x",
                                             R"(tensor<int32, [?, 1]> where = non_zero(x = x);
         tensor<int32, [1]> axes = const()[name = string("axes"), val = tensor<int32, [1]>([1])];
         tensor<int32, [?]> flat = squeeze(axes = axes, x = where);
         int32 axis = const()[name = string("axis"), val = int32(0)];
         int32 batch_dims = const()[name = string("batch_dims"), val = int32(0)];
         bool validate = const()[name = string("validate"), val = bool(false)];
         tensor<fp32, [?]> kept = gather(axis = axis, batch_dims = batch_dims, indices = flat,
                                         validate_indices = validate, x = x);
         tensor<fp32, [?]> doubled = add(x = kept, y = kept);)",
                                             "doubled"));
  CHECK(values_of(run(*program, {{"x", floats({6}, {0, 1, 0, 2, 3, 0})}})[0].array) ==
        std::vector<double>{2, 4, 6});
  CHECK(run(*program, {{"x", floats({6}, {})}})[0].array.size() == 0);
}

TEST_CASE("a type that says more than the op promises is held against the run") {
  const auto program = compiled(program_text(
      "tensor<fp32, [4]> x", "tensor<int32, [2, 1]> where = non_zero(x = x);", "where"));
  CHECK(run(*program, {{"x", floats({4}, {1, 0, 0, 1})}})[0].array.shape() == Shape{2, 1});
  const std::string report = refused(*program, {{"x", floats({4}, {1, 1, 1, 0})}});
  CHECK(contains(report,
                 "error: non_zero: the result is tensor<int32, [3, 1]> in this run but where is "
                 "declared as tensor<int32, [2, 1]> [run.shape]"));
  CHECK(contains(report, "test.mil:4:"));
}

TEST_CASE("sizes that no memory has are refused where they are asked for") {
  const std::string text =
      program_text("tensor<int32, [3]> shape",
                   R"(fp32 value = const()[name = string("value"), val = fp32(1)];
         tensor<fp32, [?, ?, ?]> y = fill(shape = shape, value = value);)",
                   "y");
  const auto program = compiled(text, {.memory_limit_bytes = 1 << 20});
  CHECK(run(*program, {{"shape", integers({3}, {2, 3, 4})}})[0].array.size() == 24);
  CHECK(contains(refused(*program, {{"shape", integers({3}, {1024, 1024, 1})}}),
                 "fill: 4194304 bytes are needed beside 0 in use, and 1048576 is the most"));
  const std::int64_t most = 0x7FFFFFFF;
  CHECK(contains(refused(*program, {{"shape", integers({3}, {most, most, most})}}),
                 "[memory.limit]"));
  Diagnostics diagnostics;
  const std::string fixed = program_text("tensor<fp32, [1]> x",
                                         R"(tensor<int32, [1]> reps = const()[name = string("reps"),
                                                        val = tensor<int32, [1]>([2147483647])];
                      tensor<fp32, [2147483647]> y = tile(reps = reps, x = x);)",
                                         "y");
  CHECK(compiled(fixed, diagnostics, {.memory_limit_bytes = 1 << 20}) == nullptr);
  CHECK(diagnostics.all().back().message ==
        "tile: 8589934588 bytes of values are alive at one time, and 1048576 is the most");
}

// --- Control flow, states. ---

TEST_CASE("loops carry values whose shape changes") {
  const std::string text =
      program_text("int32 n, tensor<fp32, [?, 2]> x",
                   R"(int32 zero = const()[name = string("zero"), val = int32(0)];
         int32 one = const()[name = string("one"), val = int32(1)];
         bool interleave = const()[name = string("interleave"), val = bool(false)];
         int32 i_end, tensor<fp32, [?, 2]> rows = while_loop(loop_vars = (zero, x))
           (int32 i, tensor<fp32, [?, 2]> r) {
             bool go_on = less(x = i, y = n);
           } -> (go_on)
           (int32 i2, tensor<fp32, [?, 2]> r2) {
             int32 next = add(x = i2, y = one);
             tensor<fp32, [?, 2]> longer = concat(axis = zero, interleave = interleave,
                                                  values = (r2, x));
           } -> (next, longer);
         tensor<fp32, [?, 2]> y = relu(x = rows);)",
                   "y, i_end");
  const auto program = compiled(text);
  for (const std::int64_t n : {0, 1, 4}) {
    const auto outputs = run(*program, {{"n", integers({}, {n})}, {"x", floats({1, 2}, {-1, 2})}});
    CHECK(outputs[0].array.shape() == Shape{n + 1, 2});
    CHECK(outputs[0].array.real(2 * n + 1) == 2);
    CHECK(outputs[1].array.integer(0) == n);
  }
}

TEST_CASE("a branch may hand on a value from outside of it") {
  const auto program = compiled(program_text("bool p, tensor<fp32, [2]> x",
                                             R"(tensor<fp32, [2]> twice = add(x = x, y = x);
         tensor<fp32, [2]> y = cond(pred = p)
           () { } -> (twice)
           () { tensor<fp32, [2]> s = square(x = twice); } -> (s);
         tensor<fp32, [2]> z = add(x = y, y = twice);)",
                                             "z"));
  Array yes(DType::boolean, {});
  yes.set(0, 1);
  const Array no(DType::boolean, {});
  const Array x = floats({2}, {1, 2});
  CHECK(values_of(run(*program, {{"p", yes}, {"x", x}})[0].array) == std::vector<double>{4, 8});
  CHECK(values_of(run(*program, {{"p", no}, {"x", x}})[0].array) == std::vector<double>{6, 20});
}

namespace {

/// A list of three tensors<fp32, [2]> of which the one in the middle is x, as `m`.
const std::string kMakeList = R"(
         int32 one = const()[name = string("one"), val = int32(1)];
         int32 two = const()[name = string("two"), val = int32(2)];
         int32 three = const()[name = string("three"), val = int32(3)];
         bool grows = const()[name = string("grows"), val = bool(true)];
         string dtype = const()[name = string("dtype"), val = string("fp32")];
         list<tensor<fp32, [2]>, ?> l = make_list(dtype = dtype, dynamic_length = grows,
                                                  elem_shape = (two), init_length = three);
         list<tensor<fp32, [2]>, ?> m = list_write(index = one, ls = l, value = x);)";

}  // namespace

TEST_CASE("lists are outputs, and what was never written is zeros") {
  const auto program = compiled(program_text(
      "tensor<fp32, [2]> x",
      kMakeList + "list<tensor<fp32, [2]>, ?> k = identity(x = m);\n"
                  "list<tensor<fp32, [2]>, ?> n = list_write(index = two, ls = k, value = x);\n"
                  "tensor<fp32, [2]> e = list_read(index = one, ls = n);",
      "m, k, n, e"));
  const auto outputs = run(*program, {{"x", floats({2}, {1, 2})}});
  REQUIRE(outputs.size() == 4);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(outputs[static_cast<std::size_t>(i)].elements.size() == 3);
    CHECK(values_of(outputs[static_cast<std::size_t>(i)].elements[0]) == std::vector<double>{0, 0});
    CHECK(values_of(outputs[static_cast<std::size_t>(i)].elements[1]) == std::vector<double>{1, 2});
  }
  CHECK(values_of(outputs[1].elements[2]) == std::vector<double>{0, 0});
  CHECK(values_of(outputs[2].elements[2]) == std::vector<double>{1, 2});
  // Each has values of its own.
  Array element = outputs[0].elements[1];
  element.set(0, 7);
  CHECK(outputs[1].elements[1].real(0) == 1);
  CHECK(outputs[2].elements[1].real(0) == 1);
  CHECK(outputs[3].array.real(0) == 1);
}

TEST_CASE("lists are held to the limit of memory") {
  const std::string text =
      program_text("tensor<fp32, [2]> x, int32 at",
                   kMakeList +
                       "list<tensor<fp32, [2]>, ?> n = list_write(index = at, ls = m, value = x);\n"
                       "int32 length = list_length(ls = n);",
                   "length");
  const auto program = compiled(text, {.memory_limit_bytes = 1 << 20});
  const Array x = floats({2}, {1, 2});
  CHECK(run(*program, {{"x", x}, {"at", integers({}, {9})}})[0].array.integer(0) == 10);
  const std::string report = refused(*program, {{"x", x}, {"at", integers({}, {16777215})}});
  CHECK(contains(report, "list_write: "));
  CHECK(contains(report, "and 1048576 is the most [memory.limit]"));
  CHECK(contains(report, "test.mil:12:"));
}

TEST_CASE("random ops draw anew in each round of a loop") {
  const auto program = compiled(program_text("int32 n",
                                             R"(
         int32 zero = const()[name = string("zero"), val = int32(0)];
         int32 one = const()[name = string("one"), val = int32(1)];
         int32 seed = const()[name = string("seed"), val = int32(-1)];
         fp32 low = const()[name = string("low"), val = fp32(0)];
         fp32 high = const()[name = string("high"), val = fp32(1)];
         tensor<int32, [1]> shape = const()[name = string("shape"), val = tensor<int32, [1]>([2])];
         tensor<fp32, [2]> begin = const()[name = string("begin"),
                                           val = tensor<fp32, [2]>([0, 0])];
         int32 end, tensor<fp32, [2]> a, tensor<fp32, [2]> b =
             while_loop(loop_vars = (zero, begin, begin))
           (int32 i, tensor<fp32, [2]> a1, tensor<fp32, [2]> b1) {
             bool go_on = less(x = i, y = n);
           } -> (go_on)
           (int32 i2, tensor<fp32, [2]> a2, tensor<fp32, [2]> b2) {
             int32 next = add(x = i2, y = one);
             tensor<fp32, [2]> drawn = random_uniform(high = high, low = low, seed = seed,
                                                      shape = shape);
           } -> (next, drawn, a2);)",
                                             "a, b"));
  const auto outputs = run(*program, {{"n", integers({}, {3})}});
  CHECK(values_of(outputs[0].array) != values_of(outputs[1].array));
  // What is drawn follows the seed of the run and nothing else.
  const auto again = run(*program, {{"n", integers({}, {3})}});
  CHECK(values_of(again[0].array) == values_of(outputs[0].array));
  const auto other = run(*program, {{"n", integers({}, {3})}}, {.seed = 1});
  CHECK(values_of(other[0].array) != values_of(outputs[0].array));
}

TEST_CASE("a state may be handed on") {
  const auto program = compiled(program_text("state<tensor<fp32, [2]>> s",
                                             "state<tensor<fp32, [2]>> t = identity(x = s);\n "
                                             "tensor<fp32, [2]> y = read_state(input = t);",
                                             "y"));
  std::vector<NamedArray> states = {{"s", floats({2}, {3, 4})}};
  CHECK(values_of(run(*program, {}, {.states = &states})[0].array) == std::vector<double>{3, 4});
  const auto open = compiled(program_text("state<tensor<fp32, [?]>> s",
                                          "tensor<fp32, [?]> y = read_state(input = s);", "y"));
  CHECK(contains(refused(*open, {}), "state s is tensor<fp32, [?]> and was not given [run.input]"));
  CHECK(values_of(run(*open, {}, {.states = &states})[0].array) == std::vector<double>{3, 4});
}

TEST_CASE("states live as long as the caller keeps them") {
  const auto program = compiled(program_text("tensor<fp32, [2]> x, state<tensor<fp32, [2]>> s",
                                             R"(tensor<fp32, [2]> before = read_state(input = s);
         tensor<fp32, [2]> sum = add(x = before, y = x);
         write_state(data = sum, input = s);
         tensor<fp32, [2]> after = read_state(input = s);
         tensor<fp32, [2]> y = add(x = before, y = after);)",
                                             "y"));
  REQUIRE(program->states().size() == 1);
  CHECK(program->inputs().size() == 1);
  const Array x = floats({2}, {1, 2});
  std::vector<NamedArray> states;
  const RunOptions options{.states = &states};
  CHECK(values_of(run(*program, {{"x", x}}, options)[0].array) == std::vector<double>{1, 2});
  CHECK(values_of(run(*program, {{"x", x}}, options)[0].array) == std::vector<double>{3, 6});
  REQUIRE(states.size() == 1);
  CHECK(values_of(states[0].array) == std::vector<double>{2, 4});
  // Without, every run begins anew.
  CHECK(values_of(run(*program, {{"x", x}})[0].array) == std::vector<double>{1, 2});
  states[0].array = floats({3}, {});
  CHECK(contains(refused(*program, {{"x", x}}, options),
                 "state s is tensor<fp32, [2]> but what was given is tensor<fp32, [3]>"));
}

// --- What is reported besides. ---

TEST_CASE("the first op that makes a value which is not finite is named") {
  const auto program = compiled(
      program_text("tensor<fp32, [3]> x",
                   "tensor<fp32, [3]> a = exp(x = x);\n tensor<fp32, [3]> b = exp(x = a);\n"
                   "tensor<fp32, [3]> c = sub(x = b, y = b);",
                   "c"));
  RunReport report;
  const RunOptions options{.report = &report, .report_nonfinite = true};
  run(*program, {{"x", floats({3}, {0, 1, 2})}}, options);
  CHECK_FALSE(report.nonfinite.found);
  run(*program, {{"x", floats({3}, {0, 5, 2})}}, options);
  REQUIRE(report.nonfinite.found);
  CHECK(report.nonfinite.op == "exp");
  CHECK(report.nonfinite.result == "b");
  CHECK(report.nonfinite.place.line == 5);
  CHECK(report.nonfinite.index == 1);
  CHECK(report.nonfinite.count == 1);
}

TEST_CASE("a value that is not finite is found where constants make it, and only there") {
  const auto program = compiled(program_text("tensor<fp16, [2]> x, bool p",
                                             R"(tensor<fp16, [2]> y = cond(pred = p)
           () { } -> (x)
           () { tensor<fp16, [2]> s = square(x = x); } -> (s);
         tensor<fp16, [2]> large = const()[name = string("large"),
                                           val = tensor<fp16, [2]>([1, 0x1p+15])];
         tensor<fp16, [2]> product = mul(x = large, y = large);
         tensor<fp16, [2]> z = add(x = y, y = product);)",
                                             "z"));
  Array x(DType::fp16, {2});
  x.set(0, std::numeric_limits<double>::infinity());
  Array p(DType::boolean, {});
  p.set(0, 1);
  RunReport report;
  const RunOptions options{.report = &report, .report_nonfinite = true};
  run(*program, {{"x", x}, {"p", p}}, options);
  REQUIRE(report.nonfinite.found);
  CHECK(report.nonfinite.op == "mul");
  CHECK(report.nonfinite.result == "product");
  CHECK(report.nonfinite.place.line == 9);
  CHECK(report.nonfinite.index == 1);
  CHECK(report.nonfinite.count == 1);
  // A report is of one run.
  run(*program, {{"x", x}, {"p", p}}, {.report = &report});
  CHECK_FALSE(report.nonfinite.found);
}

TEST_CASE("a value that leaves the run is counted once") {
  const auto program = compiled(program_text("tensor<int32, [1]> shape",
                                             R"(fp32 value = const()[name = string("value"),
                                                                     val = fp32(1)];
         tensor<fp32, [?]> y = fill(shape = shape, value = value);)",
                                             "y"));
  RunReport report;
  run(*program, {{"shape", integers({1}, {1 << 18})}}, {.report = &report});
  CHECK(report.peak_bytes >= (1 << 20));
  CHECK(report.peak_bytes < (1 << 20) + (1 << 16));
}

TEST_CASE("times are counted by what ran, fused or not") {
  const auto program = compiled(program_text(
      "tensor<fp32, [3]> x",
      "tensor<fp32, [3]> a = exp(x = x);\n tensor<fp32, [3]> b = add(x = a, y = x);\n", "b"));
  RunReport report;
  run(*program, {{"x", floats({3}, {0, 1, 2})}}, {.report = &report, .time_ops = true});
  REQUIRE(report.ops.size() == 1);
  CHECK(report.ops[0].op == "exp+add");
  CHECK(report.ops[0].calls == 1);
  CHECK(report.peak_bytes >= 12);
}

TEST_CASE("what has no executor is named") {
  Diagnostics diagnostics;
  const std::string buffer =
      "tensor_buffer<fp16, shape=[2, 64], strides=[64, 1], interleave_factors=[1, 1]> b";
  CHECK(compiled(program_text(buffer,
                              "tensor<fp16, [2, 64]> x = tensor_buffer_to_tensor(input = b);", "x"),
                 diagnostics) == nullptr);
  const std::string report = render(diagnostics, RenderOptions{false, {}});
  CHECK(contains(report, "test.mil:3:"));
  CHECK(contains(report, "input b is no tensor, and such a program cannot be run [run.input]"));
  CHECK(contains(report, "tensor_buffer_to_tensor has no executor [run.op]"));
}

TEST_CASE("strings are handed on and not moved about") {
  const auto program =
      compiled(program_text("string a, string b",
                            R"(int32 axis = const()[name = string("axis"), val = int32(0)];
         tensor<string, [2]> y = stack(axis = axis, values = (a, b));)",
                            "y"));
  const Array text = Array::of_strings({}, {"one"});
  CHECK(contains(refused(*program, {{"a", text}, {"b", text}}),
                 "stack: the op has no executor for strings [run.op]"));
}

// --- Weights. ---

TEST_CASE("weights come from where BLOBFILE says and from nowhere else") {
  const std::string text =
      program_text("tensor<fp16, [2]> x",
                   R"(tensor<fp16, [2]> w = const()[name = string("w"), val = tensor<fp16, [2]>(
           BLOBFILE(path = string("@model_path/weights/w.bin"), offset = uint64(64)))];
         tensor<fp16, [2]> y = add(x = x, y = w);)",
                   "y");
  Diagnostics diagnostics;
  CHECK(compiled(text, diagnostics, {.model_path = "/nonexistent"}) == nullptr);
  REQUIRE_FALSE(diagnostics.all().empty());
  CHECK(diagnostics.all().back().id == "file.open");

  const std::array<std::uint16_t, 2> one_two = {0x3C00, 0x4000};
  const WeightPayload payload{DType::fp16, std::as_bytes(std::span(one_two))};
  auto bytes = std::make_shared<std::vector<std::byte>>(weight_file_bytes({&payload, 1}));
  const auto program = compiled(text, {.weights = {{"@model_path/weights/w.bin", bytes}}});
  bytes.reset();  // the program keeps what it needs
  Array x(DType::fp16, {2});
  CHECK(values_of(run(*program, {{"x", x}})[0].array) == std::vector<double>{1, 2});

  std::string outside = text;
  outside.replace(outside.find("weights/w.bin"), 13, "../secret.bin");
  diagnostics.clear();
  CHECK(compiled(outside, diagnostics, {}) == nullptr);
  CHECK(diagnostics.all().back().id == "weight.path");
}

// --- One result, however it is made. ---

namespace {

struct SmallKernel {
  std::unique_ptr<Executable> executable;
  std::vector<NamedArray> inputs;
};

SmallKernel small_kernel(const KernelSetInfo& set, const KernelEntry& kernel, int threads,
                         NumericMode mode = NumericMode::exact) {
  Diagnostics diagnostics;
  SmallKernel out;
  const Program program = build_kernel(set, kernel, set.find_config("small")->config, diagnostics);
  const std::unique_ptr<WeightSource> source = seeded_weights(0);
  out.executable =
      cpu_backend().compile(program, *source, {.mode = mode, .threads = threads}, diagnostics);
  INFO(render(diagnostics));
  REQUIRE(out.executable != nullptr);
  for (const TensorSpec& input : out.executable->inputs()) {
    Array array(input.dtype, input.shape);
    for (std::int64_t i = 0; i < array.size(); ++i) {
      array.set(i, static_cast<double>((i * 7919) % 2001 - 1000) / 1000);
    }
    out.inputs.push_back({input.name, array});
  }
  return out;
}

bool same_bits(const std::vector<NamedArray>& a, const std::vector<NamedArray>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = a[i].array.bytes();
    const auto y = b[i].array.bytes();
    if (x.size() != y.size() || std::memcmp(x.data(), y.data(), x.size()) != 0) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a plan gives the bits that its ops give one by one, on any number of threads") {
  Registry registry;
  add_builtin_kernels(registry);
  const KernelSetInfo& set = registry.sets().front();
  for (const KernelEntry& kernel : set.kernels) {
    CAPTURE(kernel.name);
    const SmallKernel alone = small_kernel(set, kernel, 1);
    RunReport report;
    const auto expected =
        run(*alone.executable, alone.inputs, {.report = &report, .report_nonfinite = true});
    CHECK_FALSE(report.nonfinite.found);
    for (const int threads : {1, 2, 4}) {
      const SmallKernel planned = small_kernel(set, kernel, threads);
      CHECK(same_bits(run(*planned.executable, planned.inputs), expected));
      // The second run has the memory of the first.
      CHECK(same_bits(run(*planned.executable, planned.inputs), expected));
    }
  }
}

TEST_CASE("weights are kept once, in packed form or as they are") {
  constexpr std::uint64_t kWeightBytes = 64 * 64 * 2;
  std::vector<std::uint16_t> values;
  for (std::uint32_t i = 0; i < 64 * 64; ++i) {
    values.push_back(static_cast<std::uint16_t>(0x2C00 + i * 7919 % 1024));
  }
  const WeightPayload payload{DType::fp16, std::as_bytes(std::span(values))};
  const std::vector<std::byte> bytes = weight_file_bytes({&payload, 1});

  struct Use {
    std::string body;
    std::string results;
    std::uint64_t kept;  // of the weight
    bool keeps_file;
  };
  const std::string linear = "tensor<fp16, [32, 64]> y = linear(x = x, weight = w);";
  for (const Use& use :
       {Use{linear, "y", 1, false}, Use{linear, "y, w", 2, true},
        Use{linear + "tensor<fp16, [64, 64]> z = square(x = w);", "y, z", 2, false},
        Use{linear + "tensor<fp16, [32, 64]> z = matmul(x = y, y = w);", "z", 2, false}}) {
    const std::string text = program_text(
        "tensor<fp16, [32, 64]> x",
        R"(tensor<fp16, [64, 64]> w = const()[name = string("w"), val = tensor<fp16, [64, 64]>(
           BLOBFILE(path = string("@model_path/w.bin"), offset = uint64(64)))];)" +
            use.body,
        use.results);
    CAPTURE(text);
    Diagnostics diagnostics;
    auto own = std::make_shared<std::vector<std::byte>>(bytes);
    const std::weak_ptr<std::vector<std::byte>> kept = own;
    const auto model =
        compiled(text, diagnostics, {.weights = {{"@model_path/w.bin", std::move(own)}}});
    INFO(render(diagnostics));
    REQUIRE(model != nullptr);
    CHECK(kept.expired() != use.keeps_file);

    Array x(DType::fp16, {32, 64});
    fill_seeded(x, "x", 7);
    const std::vector<NamedArray> inputs = {{"x", x}};
    RunReport report;
    const auto planned = run(*model, inputs, {.report = &report});
    CHECK(report.constant_bytes / kWeightBytes == use.kept);
    // Looking for values that are not finite takes a second plan, which has the weight as it was.
    CHECK(same_bits(planned, run(*model, inputs, {.report = &report, .report_nonfinite = true})));
  }
}

TEST_CASE("one executable runs in many threads at a time") {
  Registry registry;
  add_builtin_kernels(registry);
  const KernelSetInfo& set = registry.sets().front();
  for (const NumericMode mode : {NumericMode::exact, NumericMode::fast}) {
    const SmallKernel kernel = small_kernel(set, set.kernels.front(), 2, mode);
    const auto expected = run(*kernel.executable, kernel.inputs);
    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (int& count : wrong) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          Diagnostics diagnostics;
          std::vector<NamedArray> outputs;
          if (!kernel.executable->run(kernel.inputs, outputs, diagnostics) ||
              (mode == NumericMode::exact && !same_bits(outputs, expected))) {
            ++count;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == std::vector<int>{0, 0, 0, 0});
  }
}

}  // namespace milgen::test
