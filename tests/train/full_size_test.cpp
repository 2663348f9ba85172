// Stories110M at full size: one real step with each kernel set, its time and memory.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <cmath>
#include <string>
#include <vector>

#include "milgen/train/trainer.h"
#include "support/temporary_folder.h"

using namespace milgen;
using namespace milgen::train;

namespace {

/// The most memory that the process ever had, in MB.
double peak_mb() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  constexpr double kUnitsPerMb = 1e6;
#else
  constexpr double kUnitsPerMb = 1e3;
#endif
  return static_cast<double>(usage.ru_maxrss) / kUnitsPerMb;
}

}  // namespace

TEST_CASE("Stories110M takes one real step") {
  const TemporaryFolder folder;
  const ModelConfig config = stories110m();
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < 2 * config.seq; ++i) {
    tokens.push_back(static_cast<std::int32_t>((i * 7919 + 13) % config.vocab));
  }
  Diagnostics diagnostics;
  TokenFile file;
  REQUIRE(
      write_tokens(folder.file("tokens"), tokens, config.vocab, TokenWidth::uint16, diagnostics));
  REQUIRE(file.open(folder.file("tokens"), config.vocab, TokenWidth::uint16, diagnostics));
  for (const KernelSet set : {KernelSet::stories, KernelSet::dynamic}) {
    TrainState state(config);
    initialize(state.weights, config, 0);
    Pipeline pipeline;
    REQUIRE(pipeline.open(config,
                          {.kernels = set,
                           .weights_as = WeightsAs::param,
                           .mode = NumericMode::fast,
                           .threads = 2,
                           .loss_scale = 1024},
                          diagnostics));
    TrainStep report;
    const TrainOptions options{.steps = 1};
    const TrainEnd end = milgen::train::train(
        state, pipeline, file, options, [&](const TrainStep& step) { report = step; }, diagnostics);
    REQUIRE_MESSAGE(end == TrainEnd::done, render(diagnostics));
    CHECK(report.loss == doctest::Approx(std::log(config.vocab)).epsilon(0.05));
    // A gradient that is not finite would have made it so.
    CHECK(std::isfinite(report.gradient_norm));
    CHECK(report.gradient_norm > 0);
    const PipelineTimes& times = pipeline.times();
    MESSAGE(fmt::format(
        "set {}: step {:.0f} ms: forward {:.0f}, backward {:.0f}, weight gradients {:.0f}, "
        "classifier {:.0f}, host {:.0f}, refresh {:.0f}, optimiser {:.0f}; the pipeline holds "
        "{:.0f} MB, the process had {:.0f} MB at the most",
        kernel_set_name(set), report.step_ms, times.forward_ms, times.backward_ms,
        times.weight_gradients_ms, times.classifier_ms, times.host_ms, report.refresh_ms,
        report.optimizer_ms, static_cast<double>(pipeline.held_bytes()) / 1e6, peak_mb()));
  }
}
