#include "backend/ports.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "milgen/dtype.h"
#include "support/counted_memory.h"

using namespace milgen;

namespace {

Ports two_ports() {
  return {{{.name = "x", .dtype = DType::fp16, .shape = {1, kUnknownDim}},
           {.name = "a", .dtype = DType::fp32, .shape = {2}}},
          {Place("p.mil", 3), Place("p.mil", 4)}};
}

NamedArray array_of(std::string name, DType dtype, Shape shape) {
  return {std::move(name), Array(dtype, std::move(shape))};
}

std::vector<std::string> texts_of(const Diagnostics& diagnostics) {
  std::vector<std::string> texts;
  for (const Diagnostic& one : diagnostics.all()) {
    texts.push_back(std::to_string(one.place.line) + ": " + one.message + " [" + one.id + "]");
  }
  return texts;
}

}  // namespace

TEST_CASE("ports are found by name, in whatever order they are declared") {
  const Ports ports = two_ports();
  CHECK(ports.find("x") == 0);
  CHECK(ports.find("a") == 1);
  CHECK(ports.find("") == Ports::kNone);
  CHECK(ports.find("b") == Ports::kNone);
  CHECK(ports.find("z") == Ports::kNone);
  CHECK(Ports().find("x") == Ports::kNone);
}

TEST_CASE("of arrays with one name the first is located") {
  const std::vector<NamedArray> arrays = {array_of("b", DType::fp32, {2}),
                                          array_of("a", DType::fp32, {2}),
                                          array_of("a", DType::fp32, {2})};
  std::vector<std::size_t> at = {7, 7, 7};
  two_ports().locate(arrays, at);
  CHECK(at == std::vector<std::size_t>{Ports::kNone, 1});
}

TEST_CASE("inputs are matched by name, without memory") {
  const Ports ports = two_ports();
  const std::vector<NamedArray> given = {array_of("a", DType::fp32, {2}),
                                         array_of("x", DType::fp16, {1, 64})};
  std::vector<std::size_t> at;
  at.reserve(2);
  Diagnostics diagnostics;
  bool matched = false;
  const auto cost =
      test::memory_cost_of([&] { matched = match_inputs(ports, given, "p.mil", at, diagnostics); });
  CHECK(matched);
  CHECK(cost.allocations == 0);
  CHECK(at == std::vector<std::size_t>{1, 0});
  CHECK(diagnostics.all().empty());
}

TEST_CASE("every input that is wrong is reported") {
  const Ports ports = two_ports();
  std::vector<std::size_t> at;
  Diagnostics diagnostics;
  const std::vector<NamedArray> wrong = {array_of("b", DType::fp32, {2}),
                                         array_of("x", DType::fp16, {2, 64}),
                                         array_of("x", DType::fp16, {1, 64})};
  CHECK_FALSE(match_inputs(ports, wrong, "p.mil", at, diagnostics));
  CHECK(texts_of(diagnostics) ==
        std::vector<std::string>{
            "0: there is no input b, only x, a [run.input]",
            "0: input x is given twice [run.input]",
            "3: input x is tensor<fp16, [1, ?]> but what was given is tensor<fp16, [2, 64]> "
            "[run.input]",
            "4: input a is tensor<fp32, [2]> and was not given [run.input]"});
}

TEST_CASE("an input of another dtype or rank, and one too many for a function without any") {
  std::vector<std::size_t> at;
  Diagnostics diagnostics;
  const std::vector<NamedArray> wrong = {array_of("x", DType::fp32, {1, 64}),
                                         array_of("a", DType::fp32, {2, 1})};
  CHECK_FALSE(match_inputs(two_ports(), wrong, "p.mil", at, diagnostics));
  CHECK_FALSE(match_inputs(Ports(), {wrong.data(), 1}, "p.mil", at, diagnostics));
  CHECK(texts_of(diagnostics) ==
        std::vector<std::string>{
            "3: input x is tensor<fp16, [1, ?]> but what was given is tensor<fp32, [1, 64]> "
            "[run.input]",
            "4: input a is tensor<fp32, [2]> but what was given is tensor<fp32, [2, 1]> "
            "[run.input]",
            "0: there is no input x, only none at all [run.input]"});
}

TEST_CASE("the caller's array for an output has its dtype and the shape of this run") {
  const Ports ports = two_ports();
  Diagnostics diagnostics;
  CHECK(check_output(ports, 0, {1, kUnknownDim}, Array(DType::fp16, {1, 5}), diagnostics));
  CHECK(check_output(ports, 0, {1, 5}, Array(DType::fp16, {1, 5}), diagnostics));
  CHECK(diagnostics.all().empty());
  CHECK_FALSE(check_output(ports, 0, {1, 6}, Array(DType::fp16, {1, 5}), diagnostics));
  CHECK_FALSE(check_output(ports, 1, {2}, Array(DType::fp16, {2}), diagnostics));
  CHECK(texts_of(diagnostics) ==
        std::vector<std::string>{"3: output x is tensor<fp16, [1, 6]> but the array for it is "
                                 "tensor<fp16, [1, 5]> [run.output]",
                                 "4: output a is tensor<fp32, [2]> but the array for it is "
                                 "tensor<fp16, [2]> [run.output]"});
}
