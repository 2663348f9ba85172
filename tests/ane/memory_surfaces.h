// Surfaces that are ordinary memory, and an engine's state that knows nothing else: what the code
// for surfaces asks of the system is counted and can be made to fail, without an engine.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ane/engine_state.h"
#include "ane/surface_state.h"

namespace milgen::ane::test {

struct MemorySurface {
  explicit MemorySurface(std::size_t size, std::byte fill = std::byte{0xA5}) : bytes(size, fill) {}

  std::vector<std::byte> bytes;
  int references = 1;
  std::string locks;  ///< r and w for locks, R and W for unlocks, in their order
  std::int32_t lock_code = 0;
  std::int32_t unlock_code = 0;
  bool has_base = true;
};

/// The one that IOSurfaceCreate gives next; null for a failure.
inline MemorySurface* next_surface = nullptr;

inline MemorySurface& memory_surface(const void* ref) {
  return *static_cast<MemorySurface*>(const_cast<void*>(ref));
}

/// `base` has the functions that are not about surfaces.
inline std::shared_ptr<EngineState> memory_engine(const Platform& base = {}) {
  auto platform = std::make_shared<Platform>(base);
  platform->CFRetain = [](const void* ref) {
    ++memory_surface(ref).references;
    return ref;
  };
  platform->CFRelease = [](const void* ref) { --memory_surface(ref).references; };
  platform->IOSurfaceCreate = [](Id) -> SurfaceRef { return next_surface; };
  platform->IOSurfaceGetAllocSize = [](SurfaceRef ref) { return memory_surface(ref).bytes.size(); };
  platform->IOSurfaceGetBaseAddress = [](SurfaceRef ref) -> void* {
    MemorySurface& surface = memory_surface(ref);
    return surface.has_base ? surface.bytes.data() : nullptr;
  };
  platform->IOSurfaceLock = [](SurfaceRef ref, std::uint32_t options, std::uint32_t*) {
    MemorySurface& surface = memory_surface(ref);
    if (surface.lock_code == 0) surface.locks += options == 1 ? 'r' : 'w';
    return surface.lock_code;
  };
  platform->IOSurfaceUnlock = [](SurfaceRef ref, std::uint32_t options, std::uint32_t*) {
    MemorySurface& surface = memory_surface(ref);
    surface.locks += options == 1 ? 'R' : 'W';
    return surface.unlock_code;
  };
  platform->process = getpid();
  auto engine = std::make_shared<EngineState>();
  engine->platform = std::move(platform);
  return engine;
}

/// A Surface of this memory, which stays the caller's.
inline Surface surface_of(const std::shared_ptr<EngineState>& engine, MemorySurface& memory) {
  return Surface::State::wrap(engine, &memory);
}

}  // namespace milgen::ane::test
