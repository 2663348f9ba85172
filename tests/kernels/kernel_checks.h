// What tests of several kernel sets ask of a kernel.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/array.h"
#include "milgen/backend.h"
#include "milgen/milgen.h"
#include "milgen/weights.h"

namespace milgen::test {

template <class Config>
using KernelBuild = void (*)(Kernel&, const Config&);

/// The program of a kernel that has nothing to report.
template <class Config>
Program finished(KernelBuild<Config> build, const Config& config) {
  Kernel k("kernel");
  build(k, config);
  Program program = k.finish();
  INFO(render(k.diagnostics()));
  REQUIRE(program);
  CHECK(k.diagnostics().empty());
  return program;
}

/// The one message of a kernel that refuses its configuration.
template <class Config>
std::string refusal(KernelBuild<Config> build, const Config& config) {
  Kernel k("kernel");
  build(k, config);
  REQUIRE(k.diagnostics().all().size() == 1);
  CHECK(k.diagnostics().all().front().id == "kernel.config");
  return k.diagnostics().all().front().message;
}

/// "x fp16 [1, 6, 1, 4]; y fp16 [1, 5, 1, 4]" of ports or weights.
template <class List>
std::string all_described(const List& list) {
  std::string text;
  for (const auto& one : list) {
    text += (text.empty() ? "" : "; ") + one.name + " " + std::string(dtype_name(one.dtype)) + " " +
            to_string(one.shape);
  }
  return text;
}

/// The ops of a program without its constants, in their order: "cast conv cast".
inline std::string ops_of(const Program& program) {
  std::string ops;
  std::istringstream text(print_mil(program));
  for (std::string line; std::getline(text, line);) {
    // An op stands on a line of its own: TYPE NAME = OP(...
    const std::size_t equals = line.find(" = ");
    if (equals == std::string::npos || line.front() == '[') continue;
    const std::string op = line.substr(equals + 3, line.find('(', equals) - equals - 3);
    if (op != "const") ops += (ops.empty() ? "" : " ") + op;
  }
  return ops;
}

/// The program's only output, by the CPU backend in mode exact and with weights of seed 0.
inline Array computed(const Program& program, const std::vector<NamedArray>& inputs,
                      std::vector<NamedArray>* states = nullptr) {
  Diagnostics found;
  const std::unique_ptr<Executable> executable =
      cpu_backend().compile(program, *seeded_weights(0), {}, found);
  INFO(render(found));
  REQUIRE(executable != nullptr);
  std::vector<NamedArray> outputs;
  const bool ran = executable->run(inputs, outputs, found, {.states = states});
  INFO(render(found));
  REQUIRE(ran);
  REQUIRE(outputs.size() == 1);
  return outputs.front().array;
}

/// An fp16 array of these values, row-major.
inline Array halves(const Shape& shape, const std::vector<double>& values) {
  Array array(DType::fp16, shape);
  REQUIRE(array.size() == static_cast<std::int64_t>(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    array.set(static_cast<std::int64_t>(i), values[i]);
  }
  return array;
}

inline std::vector<double> reals(const Array& array) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < array.size(); ++i) values.push_back(array.real(i));
  return values;
}

}  // namespace milgen::test
