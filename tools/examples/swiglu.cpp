// A fused kernel of one's own, with the command line of milc:
//
//     swiglu emit swiglu dim=128 -o out
//     swiglu check golden --accept
#include <milgen/cli.h>
#include <milgen/milgen.h>

using namespace milgen;

struct Config {
  std::int64_t dim = 64, hidden = 160, seq = 32;
};

/// y = x + w2(silu(w1 x) * (w3 x)); x, y: [1, dim, 1, seq].
void swiglu(Kernel& k, const Config& c) {
  auto x = k.input<fp16>("x", {1, c.dim, 1, c.seq});
  auto gate = conv(x, k.weight<fp16>("w1", {c.hidden, c.dim, 1, 1}));
  auto up = conv(x, k.weight<fp16>("w3", {c.hidden, c.dim, 1, 1}));
  k.output("y", x + conv(silu(gate) * up, k.weight<fp16>("w2", {c.dim, c.hidden, 1, 1})));
}

int main(int argc, char** argv) {
  Registry kernels;
  kernels.set<Config>("mine", "kernels of my model")
      .param("dim", &Config::dim, "channels")
      .param("hidden", &Config::hidden, "channels inside the block")
      .param("seq", &Config::seq, "positions")
      .config("small", {})
      .kernel<swiglu>("swiglu", "gated feed-forward block with residual");
  return milc_main(argc, argv, kernels);
}
