// Every kernel that comes with milgen, in every way that its weights can come, on the fake engine:
// what it gives is what the CPU gives with constants, bit for bit.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "milgen/backend.h"
#include "milgen/milgen.h"
#include "milgen/weight_inputs.h"
#include "milgen/weights.h"

using namespace milgen;
using milgen::test::CleanTemporary;
using milgen::test::FakeScope;

namespace {

std::vector<NamedArray> activations_of(const WeightPlan& plan) {
  std::vector<NamedArray> arrays;
  for (const PlannedInput& input : plan.inputs) {
    for (const PlannedPart& part : input.parts) {
      if (part.is_weight) continue;
      Array array(part.dtype, part.shape);
      fill_seeded(array, part.name, 1);
      arrays.push_back({part.name, array});
    }
  }
  return arrays;
}

std::vector<NamedArray> run(const Backend& backend, const Program& program) {
  Diagnostics diagnostics;
  const auto source = seeded_weights(1);
  const auto executable = backend.compile(program, *source, {}, diagnostics);
  REQUIRE_MESSAGE(executable != nullptr, render(diagnostics));
  WeightInputs weights;
  REQUIRE(weights.open(weight_plan(program), diagnostics));
  REQUIRE(weights.load(*source, diagnostics));
  std::vector<NamedArray> inputs;
  const auto activations = activations_of(weights.plan());
  REQUIRE_MESSAGE(weights.bind(activations, inputs, diagnostics), render(diagnostics));
  std::vector<NamedArray> outputs;
  const bool ran = executable->run(inputs, outputs, diagnostics);
  REQUIRE_MESSAGE(ran, render(diagnostics));
  return outputs;
}

void check_same_bits(const std::vector<NamedArray>& found,
                     const std::vector<NamedArray>& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].name == expected[i].name);
    CHECK(std::ranges::equal(found[i].array.bytes(), expected[i].array.bytes()));
  }
}

/// The small configuration of a set, or its first.
const KernelConfig& small_config(const KernelSetInfo& set) {
  const NamedConfig* small = set.find_config("small");
  REQUIRE(!set.configs.empty());
  return small != nullptr ? small->config : set.configs.front().config;
}

/// A kernel in all modes; how many of them have weights among their inputs.
int check_kernel(const KernelSetInfo& set, const KernelEntry& entry) {
  Diagnostics diagnostics;
  const Program program = build_kernel(set, entry, small_config(set), diagnostics);
  REQUIRE_MESSAGE(program, render(diagnostics));
  const std::vector<NamedArray> expected = run(cpu_backend(), program);
  if (std::ranges::any_of(program.inputs(), &PortInfo::is_state)) {
    // What the engine cannot run says so.
    const auto source = seeded_weights(1);
    CHECK(ane_backend().compile(program, *source, {}, diagnostics) == nullptr);
    CHECK(diagnostics.all().back().id == "ane.layout");
  } else {
    check_same_bits(run(ane_backend(), program), expected);
  }
  int modes = 0;
  const std::vector<WeightInfo> weights = program.weights();
  const bool declares = !std::ranges::all_of(weights, &WeightInfo::own_values);
  for (const WeightsAs as : {WeightsAs::param, WeightsAs::packed}) {
    CAPTURE(weights_as_name(as));
    Diagnostics lowering;
    const Program other = with_weights_as(program, {.all = as}, lowering);
    REQUIRE_MESSAGE(other, render(lowering));
    CHECK(!lowering.has_errors());
    if (!weight_plan(other).has_weights()) continue;
    ++modes;
    check_same_bits(run(cpu_backend(), other), expected);
    if (std::ranges::any_of(other.inputs(), &PortInfo::is_state)) continue;
    check_same_bits(run(ane_backend(), other), expected);
  }
  CHECK((modes > 0) == declares);  // as parameters at the least
  return modes;
}

}  // namespace

TEST_CASE("every kernel gives on the fake, in every mode, what it gives on the CPU") {
  CleanTemporary temporary;
  FakeScope fake;
  ::setenv("MILGEN_ANE_LIBRARY", FakeScope::library().c_str(), 1);
  ::setenv("MILGEN_ANE_COMPILE_LIMIT", "1000", 1);
  Registry registry;
  add_builtin_kernels(registry);
  int kernels = 0;
  int modes = 0;
  for (const KernelSetInfo& set : registry.sets()) {
    for (const KernelEntry& entry : set.kernels) {
      CAPTURE(set.name);
      CAPTURE(entry.name);
      modes += check_kernel(set, entry);
      ++kernels;
    }
  }
  MESSAGE(kernels << " kernels, and " << modes << " more with weights as inputs");
  CHECK(modes > 6);
  ::unsetenv("MILGEN_ANE_COMPILE_LIMIT");
  ::unsetenv("MILGEN_ANE_LIBRARY");
}
