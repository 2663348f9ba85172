// What mistakes look like: this kernel has two of them. Both are reported in one run, with the line
// and both shapes; `y`, which follows from them, is not.
#include <milgen/milgen.h>

#include <cstdio>

using namespace milgen;

int main() {
  Kernel k("two_mistakes");
  auto x = k.input<fp16>("x", {1, 768, 1, 256});
  auto wv = k.weight<fp16>("wv", {768, 384, 1, 1});
  auto v = conv(x, wv);
  auto heads = reshape(x, {1, 12, 60, 256});
  auto y = matmul(v, heads);
  k.output("y", y);
  if (Program program = k.finish()) {
    std::puts(print_mil(program).c_str());
    return 0;
  }
  std::fputs(render(k.diagnostics()).c_str(), stderr);
  return 1;
}
