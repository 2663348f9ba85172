// The smallest program: one kernel, its MIL text on stdout.
#include <milgen/milgen.h>

#include <cstdio>

using namespace milgen;

int main() {
  Kernel k("rms_norm");
  auto x = k.input<fp16>("x", {1, 64, 1, 32});
  auto gain = k.weight<fp16>("gain", {1, 64, 1, 1}, Fill::near_one);
  auto mean = reduce_sum(x * x, {.axes = {1}, .keep_dims = true}) * (1.0 / 64);
  k.output("y", x * pow(mean + 1e-5, k.scalar<fp16>(-0.5)) * gain);
  std::fputs(print_mil(k.finish()).c_str(), stdout);
}
