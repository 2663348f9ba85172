// A projection whose weight is an input: the Neural Engine compiles it once, and the weight is
// written as often as it changes. Runs on a Mac, or anywhere with MILGEN_ANE_LIBRARY naming the
// fake engine.
#include <milgen/ane/model.h>
#include <milgen/milgen.h>

#include <cstdio>
#include <vector>

using namespace milgen;

namespace {

/// y = w x; w: [1, out, in], x: [1, in, positions], y: [1, out, positions].
Program projection(std::int64_t in, std::int64_t out, std::int64_t positions) {
  Kernel k("projection");
  const auto w = k.input<fp16>("w", {1, out, in});
  const auto x = k.input<fp16>("x", {1, in, positions});
  k.output("y", matmul(w, x));
  return k.finish();
}

int fail(const ane::Error& error, const Diagnostics& diagnostics) {
  std::fputs((render(diagnostics) + error.text() + "\n").c_str(), stderr);
  return error.kind() == ane::ErrorKind::unavailable ? 4 : 1;
}

}  // namespace

int main() {
  constexpr int kIn = 64;
  constexpr int kOut = 32;
  constexpr int kPositions = 32;
  Diagnostics diagnostics;

  const auto engine = ane::Engine::open();
  if (!engine) return fail(engine.error(), diagnostics);
  auto model = ane::Model::compile(*engine, print_mil(projection(kIn, kOut, kPositions)),
                                   "projection", {}, diagnostics);
  if (!model) return fail(model.error(), diagnostics);

  std::vector<float> x(kIn * kPositions, 1.0f);
  std::vector<float> y(kOut * kPositions);
  if (const ane::Error error = model->write_fp32("x", x)) return fail(error, diagnostics);
  for (int step = 1; step <= 3; ++step) {
    const std::vector<float> w(kOut * kIn, 0.25f * static_cast<float>(step));
    if (const ane::Error error = model->write_fp32("w", w)) return fail(error, diagnostics);
    if (const ane::Error error = model->evaluate()) return fail(error, diagnostics);
    if (const ane::Error error = model->read_fp32("y", y)) return fail(error, diagnostics);
    std::printf("engine: %s, step %d: y[0] = %g\n", engine->label().data(), step, double{y[0]});
  }
  std::printf("compiled %d time(s)\n", engine->ledger().compiles);
}
