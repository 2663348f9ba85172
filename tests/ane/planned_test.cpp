// Parts of a weight plan in the surfaces of models: from C++, from C, and by the example in C.
#include "milgen/ane/planned.h"

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "milgen/ane_bridge.h"
#include "milgen/backend.h"
#include "milgen/emit.h"
#include "milgen/kernels/stories.h"
#include "milgen/milgen.h"
#include "milgen/weights.h"
#include "support/temporary_folder.h"

using namespace milgen;
using milgen::test::CleanTemporary;
using milgen::test::FakeScope;

namespace {

constexpr std::string_view kTwoInputs = R"(program(1.3)
[buildInfo = dict<string, string>({})]
{
    func main<ios18>(tensor<fp16, [1, 3, 1, 9]> x, tensor<fp32, [1, 2, 3]> w) {
            tensor<fp16, [1, 3, 1, 9]> y = add(x = x, y = x)[name = string("y")];
            tensor<fp32, [1, 2, 3]> z = add(x = w, y = w)[name = string("z")];
        } -> (y, z);
})";

constexpr std::string_view kPlan =
    "# milgen weight plan 1\n"
    "input\tdtype\tshape\tpart\tkind\tdtype\tshape\tlayout\tfirst column\tcolumns\n"
    "x\tfp16\t[1, 3, 1, 9]\tx\tactivation\tfp16\t[1, 3, 1, 2]\tcolumns\t0\t2\n"
    "x\tfp16\t[1, 3, 1, 9]\ta\tweight\tfp16\t[4, 3, 1, 1]\ttransposed\t2\t4\n"
    "x\tfp16\t[1, 3, 1, 9]\tb\tweight\tfp16\t[3, 3]\tcolumns\t6\t3\n"
    "w\tfp32\t[1, 2, 3]\tw\tweight\tfp32\t[2, 3, 1, 1]\twhole\t0\t0\n";

WeightPlan plan_of(std::string_view text) {
  WeightPlan plan;
  Diagnostics diagnostics;
  REQUIRE_MESSAGE(read_plan(text, "test.plan", plan, diagnostics), render(diagnostics));
  return plan;
}

std::vector<float> counted(float first, std::size_t count) {
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(first + static_cast<float>(i));
  return values;
}

std::vector<float> transposed(const std::vector<float>& values, std::size_t rows) {
  const std::size_t columns = values.size() / rows;
  std::vector<float> out;
  for (std::size_t c = 0; c < columns; ++c) {
    for (std::size_t r = 0; r < rows; ++r) out.push_back(values[r * columns + c]);
  }
  return out;
}

// Twice x = 1..6, a = 11..22 by columns, b = 31..39.
const std::vector<float> kExpected = {2,  4,  22, 28, 34, 40, 62, 64, 66, 6,  8,  24, 30, 36,
                                      42, 68, 70, 72, 10, 12, 26, 32, 38, 44, 74, 76, 78};

[[maybe_unused]] std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("parts are written by name, straight and transposed") {
  CleanTemporary temporary;
  FakeScope fake;
  Diagnostics diagnostics;
  auto compiled = ane::Model::compile(fake.engine(), kTwoInputs, "two", {}, diagnostics);
  REQUIRE_MESSAGE(compiled, compiled.error().text());
  ane::Model model = *std::move(compiled);
  const WeightPlan plan = plan_of(kPlan);
  for (const Transposed way : {Transposed::no, Transposed::yes}) {
    const auto write = [&](std::string_view name, const std::vector<float>& values,
                           std::size_t rows) {
      const ane::Error error = ane::write_part(
          model, plan, name, way == Transposed::yes ? transposed(values, rows) : values, way);
      CHECK_MESSAGE(!error, error.text());
    };
    write("x", counted(1, 6), 3);
    write("a", counted(11, 12), 4);
    write("b", counted(31, 9), 3);
    write("w", counted(1, 6), 2);
    REQUIRE(!model.evaluate());
    std::vector<float> y(27);
    REQUIRE(!model.read_fp32("y", y));
    CHECK(y == kExpected);
    std::vector<float> z(6);
    REQUIRE(!model.read_fp32("z", z));
    CHECK(z == std::vector<float>{2, 4, 6, 8, 10, 12});
    const std::vector<float> zeros(27);
    REQUIRE(!model.write_fp32("x", zeros));
  }

  const auto refusal = [&](std::string_view part, std::size_t count,
                           const WeightPlan& by) -> std::string {
    return ane::write_part(model, by, part, counted(0, count)).text();
  };
  CHECK(refusal("c", 6, plan) == "the plan has no activation and no weight c");
  CHECK(refusal("a", 11, plan) == "'a' is tensor<fp16, [4, 3, 1, 1]> and was given 11 elements");
  WeightPlan other = plan;
  other.inputs[0].shape = {1, 3, 1, 10};
  CHECK(refusal("a", 12, other) ==
        "input 'x' is tensor<fp16, [1, 3, 1, 9]>, but the plan has tensor<fp16, [1, 3, 1, 10]>");
  other.inputs[0].name = "q";
  CHECK(refusal("a", 12, other) == "the model has no input q");
}

TEST_CASE("C reads plans and writes by them") {
  FakeScope fake;
  ::setenv("MILGEN_ANE_LIBRARY", FakeScope::library().c_str(), 1);
  ::setenv("MILGEN_ANE_PAUSE_MS", "0", 1);
  const auto last_error = [] { return std::string(ane_bridge_last_error()); };
  ANEWeightPlan* plan = ane_bridge_read_plan(kPlan.data(), kPlan.size());
  REQUIRE_MESSAGE(plan != nullptr, last_error());
  CHECK(ane_bridge_plan_inputs(plan) == 2);
  const std::size_t inputs[] = {ane_bridge_plan_input_bytes(plan, 0),
                                ane_bridge_plan_input_bytes(plan, 1)};
  CHECK(inputs[0] == 54);
  CHECK(inputs[1] == 24);
  CHECK(ane_bridge_plan_parts(plan) == 4);
  CHECK(std::string(ane_bridge_plan_part_name(plan, 2)) == "b");
  CHECK(ane_bridge_plan_part_elements(plan, 1) == 12);
  const std::size_t outputs[] = {54, 24};
  ANEKernelHandle* kernel =
      ane_bridge_compile(kTwoInputs.data(), kTwoInputs.size(), nullptr, 0, 2, inputs, 2, outputs);
  REQUIRE_MESSAGE(kernel != nullptr, last_error());
  const auto write = [&](const char* part, const std::vector<float>& values, bool is_transposed) {
    return ane_bridge_write_planned(kernel, plan, part, values.data(), values.size(),
                                    is_transposed);
  };
  CHECK(write("x", counted(1, 6), false));
  CHECK(write("a", transposed(counted(11, 12), 4), true));
  CHECK(write("b", counted(31, 9), false));
  REQUIRE(ane_bridge_eval(kernel));
  std::vector<std::uint16_t> y(27);
  ane_bridge_read_output(kernel, 0, y.data(), 54);
  CHECK(y == milgen::test::halves(kExpected));

  CHECK(!write("c", counted(0, 6), false));
  CHECK(last_error() == "the plan has no activation and no weight c");
  CHECK(!write(nullptr, counted(0, 6), false));
  CHECK(last_error() == "the name of the part is NULL");
  CHECK(!ane_bridge_write_planned(kernel, plan, "a", nullptr, 12, false));
  CHECK(last_error() == "the data is NULL, of 12 values");
  CHECK(ane_bridge_plan_input_bytes(plan, 2) == 0);
  CHECK(last_error() == "input 2 is asked for, and the kernel has 2 inputs");
  CHECK(ane_bridge_plan_part_name(plan, -1) == nullptr);
  CHECK(ane_bridge_plan_part_elements(plan, 4) == 0);
  CHECK(ane_bridge_read_plan(nullptr, 3) == nullptr);
  CHECK(last_error() == "the plan's text is NULL");
  CHECK(ane_bridge_read_plan("nothing", 7) == nullptr);
  CHECK(last_error() ==
        "line 1 of the plan: the line is 'nothing' but has to be '# milgen weight plan 1'");
  CHECK(!ane_bridge_write_planned(kernel, nullptr, "a", nullptr, 0, false));
  CHECK(last_error() == "the plan is NULL");
  ane_bridge_free_plan(plan);
  CHECK(last_error().empty());
  ane_bridge_free_plan(plan);
  CHECK(last_error().find("was freed, or never was one") != std::string::npos);
  CHECK(ane_bridge_plan_inputs(plan) == -1);
  ane_bridge_free_plan(nullptr);
  CHECK(last_error().empty());
  ane_bridge_free(kernel);
  ::unsetenv("MILGEN_ANE_LIBRARY");
}

// A build without tools has no example.
#ifdef MILGEN_PACKED_EXAMPLE
TEST_CASE("the example in C gives what the program with constants gives") {
  CleanTemporary temporary;
  TemporaryFolder folder;
  Kernel k("ffn_fwd_taps");
  ffn_fwd_taps(k, {.dim = 16, .hidden = 40, .heads = 2, .seq = 8});
  const Program program = k.finish();
  REQUIRE(program);
  const auto source = seeded_weights(3);
  Diagnostics diagnostics;

  // With constants, on the CPU.
  Array x(DType::fp16, {1, 16, 1, 8});
  fill_seeded(x, "x", 3);
  const auto baked = cpu_backend().compile(program, *source, {}, diagnostics);
  REQUIRE(baked);
  std::vector<NamedArray> expected;
  REQUIRE(baked->run({{"x", x}}, expected, diagnostics));

  for (const WeightsAs as : {WeightsAs::packed, WeightsAs::param}) {
    CAPTURE(weights_as_name(as));
    const Program lowered = with_weights_as(program, {.all = as}, diagnostics);
    REQUIRE(emit({&lowered, 1}, folder.path().string(), *source, {}, diagnostics));
    folder.write("ffn_fwd_taps.plan", plan_text(weight_plan(lowered)));
    for (const PlannedInput& input : weight_plan(lowered).inputs) {
      for (const PlannedPart& part : input.parts) {
        Array halves(part.dtype, part.shape);
        if (part.is_weight) {
          MemorySink sink(halves.mutable_bytes());
          REQUIRE(source->read({part.name, part.dtype, part.shape, part.fill}, sink, diagnostics));
        } else {
          halves = x;
        }
        std::vector<float> floats;
        for (std::int64_t i = 0; i < halves.size(); ++i) {
          floats.push_back(static_cast<float>(halves.real(i)));
        }
        folder.write(part.name + ".f32", std::as_bytes(std::span(floats)));
      }
    }
    const std::string bytes = std::to_string(expected[0].array.bytes().size());
    const std::string command = "MILGEN_ANE_LIBRARY='" + FakeScope::library() + "' '" +
                                MILGEN_PACKED_EXAMPLE + "' '" + folder.path().string() +
                                "' ffn_fwd_taps '" + folder.path().string() + "' " + bytes + " '" +
                                folder.file("result") + "' > '" + folder.file("log") + "' 2>&1";
    const int status = std::system(command.c_str());  // NOLINT(concurrency-mt-unsafe)
    REQUIRE_MESSAGE(WEXITSTATUS(status) == 0, bytes_of(folder.file("log")));
    CHECK(bytes_of(folder.file("log")).find("w2: 640 elements") != std::string::npos);
    const std::string found = bytes_of(folder.file("result"));
    REQUIRE(found.size() == expected[0].array.bytes().size());
    CHECK(std::memcmp(found.data(), expected[0].array.bytes().data(), found.size()) == 0);
  }
}
#endif
