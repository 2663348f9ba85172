// Small models and data for tests of training.
#pragma once

#include <doctest/doctest.h>

#include <bit>
#include <cstdlib>
#include <string>
#include <vector>

#include "milgen/diagnostic.h"
#include "milgen/train/model.h"
#include "milgen/train/pipeline.h"

#ifdef MILGEN_FAKE_ANE_LIBRARY
#include "ane/fake.h"
#endif

namespace milgen::test {

/// 2 layers that either set takes; rows of 32 elements, as the engine wants them.
inline train::ModelConfig tiny_config(train::KernelSet set) {
  const bool grouped = set == train::KernelSet::dynamic;
  return {.layers = 2,
          .dim = 32,
          .hidden = 64,
          .heads = 2,
          .kv_heads = grouped ? 1 : 2,
          .head_dim = grouped ? 32 : 16,
          .seq = 32,
          .vocab = 48};
}

/// S + 1 tokens, of which not all occur.
inline std::vector<std::int32_t> ramp(const train::ModelConfig& config) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i <= config.seq; ++i) {
    tokens.push_back(static_cast<std::int32_t>((i * 7 + 3) % (config.vocab - 10)));
  }
  return tokens;
}

inline train::Pipeline opened(const train::ModelConfig& config,
                              const train::PipelineOptions& options,
                              const train::ModelWeights& weights) {
  train::Pipeline pipeline;
  Diagnostics diagnostics;
  REQUIRE_MESSAGE(pipeline.open(config, options, diagnostics), render(diagnostics));
  REQUIRE_MESSAGE(pipeline.refresh(weights, diagnostics), render(diagnostics));
  return pipeline;
}

/// Every tensor, bit for bit.
inline std::vector<std::uint32_t> bits_of(train::ModelTensors& tensors,
                                          const train::ModelConfig& config) {
  std::vector<std::uint32_t> bits;
  for (const train::TensorGroup& group : train::groups_of(tensors, config)) {
    for (const float value : group.values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  }
  return bits;
}

/// "MESSAGE [ID]" a line.
inline std::string errors_of(const Diagnostics& diagnostics) {
  std::string text;
  for (const Diagnostic& one : diagnostics.all()) {
    if (one.severity == Severity::error) text += one.message + " [" + one.id + "]\n";
  }
  return text;
}

#ifdef MILGEN_FAKE_ANE_LIBRARY
/// The backend `ane` is the fake while one lives.
class FakeEnvironment {
 public:
  FakeEnvironment() {
    ::setenv("MILGEN_ANE_LIBRARY", FakeScope::library().c_str(), 1);
    ::setenv("MILGEN_ANE_PAUSE_MS", "0", 1);
  }
  FakeEnvironment(const FakeEnvironment&) = delete;
  FakeEnvironment& operator=(const FakeEnvironment&) = delete;
  ~FakeEnvironment() {
    ::unsetenv("MILGEN_ANE_LIBRARY");
    ::unsetenv("MILGEN_ANE_PAUSE_MS");
  }
};
#endif

}  // namespace milgen::test
