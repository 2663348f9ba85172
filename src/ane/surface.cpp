#include "milgen/ane/surface.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "ane/foundation.h"
#include "ane/layout.h"
#include "ane/surface_state.h"

namespace milgen::ane {
namespace {

/// A page of the engine's memory; surfaces below it failed on some chips (IO-003 in
/// ane_constraints).
constexpr std::int64_t kMinimumBytes = 16384;
/// kIOSurfaceLockReadOnly
constexpr std::uint32_t kLockReadOnly = 1;

Error map_error(std::string message, std::string operation, std::int64_t code = 0) {
  return Error({.kind = ErrorKind::map,
                .message = std::move(message),
                .operation = std::move(operation),
                .domain = {},
                .code = code,
                .description = {},
                .hint = {}});
}

Error no_engine() {
  return Error(ErrorKind::unavailable, "there is no engine to make a surface for");
}

Error no_surface() { return Error(ErrorKind::argument, "there is no surface"); }

/// One row of single bytes, which is how most users of the engine describe their surfaces
/// (ane_runtime, 4.5): the tensor's own pitch is the program's business.
Id flat_properties(const Platform& platform, std::int64_t bytes) {
  const Id size = ns_number(platform, bytes);
  const Id one = ns_number(platform, std::int64_t{1});
  const Id none = ns_number(platform, std::int64_t{0});
  const std::array<Id, 6> keys = {platform.surface_width,
                                  platform.surface_height,
                                  platform.surface_bytes_per_element,
                                  platform.surface_bytes_per_row,
                                  platform.surface_alloc_size,
                                  platform.surface_pixel_format};
  const std::array<Id, 6> values = {size, one, one, size, size, none};
  return platform.send<Id>(platform.objc_getClass("NSDictionary"),
                           "dictionaryWithObjects:forKeys:count:", values.data(), keys.data(),
                           std::uint64_t{keys.size()});
}

Error lock_error(const Surface& surface, Access access, std::string_view what,
                 std::string operation, std::int32_t code) {
  return map_error(fmt::format("a surface of {} bytes cannot be {} for {}", surface.bytes(), what,
                               access == Access::read ? "reading" : "writing"),
                   std::move(operation), code);
}

std::uint32_t lock_options(Access access) { return access == Access::read ? kLockReadOnly : 0; }

}  // namespace

Surface::State::State(std::shared_ptr<EngineState> with, SurfaceRef taken)
    : engine(std::move(with)), ref(taken), bytes(engine->platform->IOSurfaceGetAllocSize(taken)) {}

Surface::State::~State() {
  // In a child of the process that made it the object may not be touched (ane_runtime, 4.6); it
  // goes with the process.
  if (platform().is_this_process()) platform().CFRelease(ref);
}

Result<Surface> Surface::State::create(const std::shared_ptr<EngineState>& engine,
                                       std::int64_t bytes) {
  if (bytes < 0) {
    return Error(ErrorKind::argument,
                 fmt::format("a surface of {} bytes is asked for, but the least is 0", bytes));
  }
  if (Error error = engine->check_process()) return error;
  const Platform& platform = *engine->platform;
  const AutoreleasePool pool(platform);
  const SurfaceRef ref = platform.IOSurfaceCreate(flat_properties(platform, bytes));
  if (ref == nullptr) {
    return map_error(fmt::format("there is no surface of {} bytes to be had", bytes),
                     "IOSurfaceCreate");
  }
  Surface surface(std::make_shared<State>(engine, ref));
  if (surface.bytes() < bytes) {
    return map_error(
        fmt::format("a surface has {} bytes, but {} are asked for", surface.bytes(), bytes),
        "IOSurfaceCreate");
  }
  // What a surface holds when it is new is not promised, and what stands between rows is not
  // written later on.
  Result<SurfaceLock> lock = SurfaceLock::take(surface, Access::write);
  if (!lock) return lock.error();
  std::memset(lock->bytes().data(), 0, lock->bytes().size());
  if (Error error = lock->unlock()) return error;
  return surface;
}

Surface Surface::State::wrap(const std::shared_ptr<EngineState>& engine, SurfaceRef ref) {
  engine->platform->CFRetain(ref);
  return Surface(std::make_shared<State>(engine, ref));
}

Result<Surface> Surface::create(const Engine& engine, std::int64_t bytes) {
  if (!engine) return no_engine();
  // A size that there is none of stays one, to be refused.
  return State::create(engine.state(), bytes < 0 ? bytes : std::max(bytes, kMinimumBytes));
}

Result<Surface> Surface::wrap(const Engine& engine, void* io_surface) {
  if (!engine) return no_engine();
  if (io_surface == nullptr) return no_surface();
  if (Error error = engine.state()->check_process()) return error;
  return State::wrap(engine.state(), io_surface);
}

void* Surface::ref() const { return state_ == nullptr ? nullptr : state_->ref; }

std::int64_t Surface::bytes() const {
  return state_ == nullptr ? 0 : static_cast<std::int64_t>(state_->bytes);
}

std::uint32_t Surface::id() const {
  if (state_ == nullptr || state_->platform().IOSurfaceGetID == nullptr) return 0;
  if (!state_->platform().is_this_process()) return 0;
  return state_->platform().IOSurfaceGetID(state_->ref);
}

Result<SurfaceLock> SurfaceLock::take(const Surface& surface, Access access) {
  if (!surface) return no_surface();
  const Surface::State& state = *surface.state();
  if (Error error = state.engine->check_process()) return error;
  const Platform& platform = state.platform();
  const std::int32_t code = platform.IOSurfaceLock(state.ref, lock_options(access), nullptr);
  if (code != 0) return lock_error(surface, access, "locked", "IOSurfaceLock", code);
  SurfaceLock lock;
  lock.surface_ = surface;
  lock.access_ = access;
  auto* base = static_cast<std::byte*>(platform.IOSurfaceGetBaseAddress(state.ref));
  if (base == nullptr) {
    return map_error(fmt::format("a surface of {} bytes has no memory here", surface.bytes()),
                     "IOSurfaceGetBaseAddress");
  }
  lock.bytes_ = {base, state.bytes};
  return lock;
}

SurfaceLock::SurfaceLock(SurfaceLock&& other) noexcept
    : surface_(std::exchange(other.surface_, Surface())),
      access_(other.access_),
      bytes_(std::exchange(other.bytes_, {})) {}

SurfaceLock& SurfaceLock::operator=(SurfaceLock&& other) noexcept {
  if (this != &other) {
    // The error of what is given up has nobody to go to, here and in the destructor.
    (void)unlock();
    surface_ = std::exchange(other.surface_, Surface());
    access_ = other.access_;
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

SurfaceLock::~SurfaceLock() { (void)unlock(); }

Error SurfaceLock::unlock() {
  const Surface surface = std::exchange(surface_, Surface());
  bytes_ = {};
  if (!surface) return {};
  const Surface::State& state = *surface.state();
  if (Error error = state.engine->check_process()) return error;
  const std::int32_t code =
      state.platform().IOSurfaceUnlock(state.ref, lock_options(access_), nullptr);
  return code == 0 ? Error() : lock_error(surface, access_, "unlocked", "IOSurfaceUnlock", code);
}

}  // namespace milgen::ane
