// Running a program that a test spells.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "milgen/backend.h"
#include "milgen/diagnostic.h"
#include "milgen/module.h"
#include "milgen/shape.h"

namespace milgen::test {

struct TextRun {
  std::vector<NamedArray> outputs;
  std::string errors;  ///< the messages of errors, one a line; empty: it ran
  std::string ids;     ///< their ids, one a line
};

/// A program whose only function is `main(inputs) { body } -> (results)`.
inline std::string program_text(std::string_view inputs, std::string_view body,
                                std::string_view results, std::string_view opset = "ios18") {
  std::string text = "program(1.3)\n{\n    func main<";
  text.append(opset).append(">(").append(inputs).append(") {\n").append(body);
  return text.append("\n        } -> (").append(results).append(");\n}\n");
}

/// "tensor<fp32, [2, 1]>([[1], [2]])".
template <class Values>
std::string tensor_text(std::string_view dtype, const Shape& shape, const Values& values) {
  std::string text = fmt::format("tensor<{}, {}>(", dtype, to_string(shape));
  std::int64_t index = 0;
  for (const auto value : values) {
    // As many brackets as there are dims in which the element is the first, then the last one.
    std::int64_t size = 1;
    std::size_t opened = 0;
    std::size_t closed = 0;
    for (std::size_t i = shape.size(); i-- > 0;) {
      size *= shape[i];
      if (index % size == 0) ++opened;
      if ((index + 1) % size == 0) ++closed;
    }
    text += fmt::format("{}{}{}{}", index == 0 ? "" : ", ", std::string(opened, '['), value,
                        std::string(closed, ']'));
    ++index;
  }
  return text + ")";
}

inline TextRun run_text(std::string_view text, const std::vector<NamedArray>& inputs,
                        const CompileOptions& options = {}) {
  Diagnostics diagnostics;
  TextRun run;
  const Module module = parse_mil(text, diagnostics);
  std::unique_ptr<Executable> executable;
  if (module) executable = cpu_backend().compile(module, options, diagnostics);
  if (executable) executable->run(inputs, run.outputs, diagnostics);
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    if (diagnostic.severity != Severity::error) continue;
    run.errors.append(diagnostic.message).append("\n");
    run.ids.append(diagnostic.id).append("\n");
  }
  return run;
}

}  // namespace milgen::test
