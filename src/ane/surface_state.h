// What a Surface holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "ane/engine_state.h"
#include "ane/platform.h"
#include "milgen/ane/surface.h"

namespace milgen::ane {

struct Surface::State {
  /// Takes over the caller's reference to `ref`.
  State(std::shared_ptr<EngineState> with, SurfaceRef ref);
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  /// As large as is asked for, however small that is; zeros.
  static Result<Surface> create(const std::shared_ptr<EngineState>& engine, std::int64_t bytes);
  /// Retains `ref`, which is not null.
  static Surface wrap(const std::shared_ptr<EngineState>& engine, SurfaceRef ref);

  const Platform& platform() const { return *engine->platform; }

  std::shared_ptr<EngineState> engine;
  SurfaceRef ref;
  std::size_t bytes;
};

}  // namespace milgen::ane
