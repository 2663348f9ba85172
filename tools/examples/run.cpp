// Runs a kernel on the CPU: built, given weights, compiled once and run twice.
#include <milgen/backend.h>
#include <milgen/milgen.h>
#include <milgen/weights.h>

#include <iostream>
#include <vector>

using namespace milgen;

int main() {
  Kernel kernel("gate");
  auto x = kernel.input<fp16>("x", {1, 64, 1, 8});
  auto w = kernel.weight<fp16>("w", {64, 64, 1, 1});
  kernel.output("y", silu(conv(x, w)));

  const Program program = kernel.finish();
  Diagnostics diagnostics = kernel.diagnostics();
  const auto weights = seeded_weights(0);
  const auto gate = cpu_backend().compile(program, *weights, {}, diagnostics);

  Array values(DType::fp16, {1, 64, 1, 8});
  std::vector<NamedArray> outputs;
  for (const double number : {0.5, -2.0}) {
    for (std::int64_t i = 0; i < values.size(); ++i) values.set(i, number);
    if (gate == nullptr || !gate->run({{"x", values}}, outputs, diagnostics)) break;
    std::cout << "x = " << number << ": y[0] = " << outputs[0].array.real(0) << '\n';
  }
  std::cerr << render(diagnostics);
  return diagnostics.has_errors() ? 1 : 0;
}
