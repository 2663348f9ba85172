// The libraries of macOS that the binding stands on, opened by dlopen, and messages to Objective-C
// objects in plain C++ (ane_runtime, 4.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "milgen/ane/error.h"

namespace milgen::ane {

using Id = void*;   ///< an object, or a class
using Sel = void*;  ///< a selector
using SurfaceRef = void*;

/// What a method returns as BOOL, of which only the low byte counts: it is `bool` on arm64 macOS
/// and `signed char` on x86-64 (toolchain facts).
struct Bool {};

/// A C function or constant that is looked up.
struct PlatformSymbol {
  const char* name;     ///< "IOSurfaceLock"
  const char* purpose;  ///< what is done with it, or without it
  bool required;
};

/// The C functions and constants; those marked optional are null where the system lacks them.
struct Platform {
  /// Opens `library`, or the frameworks when it is empty. Errors: `unavailable`, naming the library
  /// and what dlopen says, or the symbols that it lacks.
  static Result<std::shared_ptr<const Platform>> open(const std::string& library);

  Id (*objc_getClass)(const char*) = nullptr;
  Sel (*sel_registerName)(const char*) = nullptr;
  const char* (*class_getName)(Id) = nullptr;
  Id (*object_getClass)(Id) = nullptr;
  void* (*class_getInstanceMethod)(Id, Sel) = nullptr;
  void* (*class_getClassMethod)(Id, Sel) = nullptr;
  void (*objc_msgSend)() = nullptr;
  Id (*objc_retain)(Id) = nullptr;
  void (*objc_release)(Id) = nullptr;
  void* (*objc_autoreleasePoolPush)() = nullptr;
  void (*objc_autoreleasePoolPop)(void*) = nullptr;

  const void* (*CFRetain)(const void*) = nullptr;
  void (*CFRelease)(const void*) = nullptr;
  Id (*NSTemporaryDirectory)() = nullptr;  ///< optional

  SurfaceRef (*IOSurfaceCreate)(Id properties) = nullptr;
  std::int32_t (*IOSurfaceLock)(SurfaceRef, std::uint32_t, std::uint32_t*) = nullptr;
  std::int32_t (*IOSurfaceUnlock)(SurfaceRef, std::uint32_t, std::uint32_t*) = nullptr;
  void* (*IOSurfaceGetBaseAddress)(SurfaceRef) = nullptr;
  std::size_t (*IOSurfaceGetAllocSize)(SurfaceRef) = nullptr;
  std::uint32_t (*IOSurfaceGetID)(SurfaceRef) = nullptr;  ///< optional
  Id (*IOSurfaceSharedEventCreate)() = nullptr;           ///< optional
  Id surface_width = nullptr;                             ///< kIOSurfaceWidth, and so on: CFStrings
  Id surface_height = nullptr;
  Id surface_bytes_per_element = nullptr;
  Id surface_bytes_per_row = nullptr;
  Id surface_alloc_size = nullptr;
  Id surface_pixel_format = nullptr;

  std::string path;          ///< that was opened
  bool fake = false;         ///< the library says that it is milgen's fake
  std::string fake_version;  ///< as it says
  std::int64_t process = 0;  ///< the pid that opened it
  std::uint32_t forks = 0;   ///< before it was opened, as far as milgen counted them

  /// All that are looked up, and whether they were found.
  std::vector<std::pair<PlatformSymbol, bool>> symbols() const;
  /// False in a child of the process that opened it.
  bool is_this_process() const;

  /// Sends a message. `R` is void, Bool (gives bool), an integer, double, or Id; the arguments must
  /// have exactly the types that the method takes. A nil receiver gives 0.
  template <class R, class... Args>
  auto send(Id receiver, Sel selector, Args... arguments) const {
    if constexpr (std::is_same_v<R, Bool>) {
      // Read as a whole register and cut down, since what is above the low byte is not defined.
      const auto whole = reinterpret_cast<std::uintptr_t (*)(Id, Sel, Args...)>(objc_msgSend)(
          receiver, selector, arguments...);
      return static_cast<std::uint8_t>(whole) != 0;
    } else {
      return reinterpret_cast<R (*)(Id, Sel, Args...)>(objc_msgSend)(receiver, selector,
                                                                     arguments...);
    }
  }
  /// The same with the selector looked up by its name: not for calls that are made often.
  template <class R, class... Args>
  auto send(Id receiver, const char* selector, Args... arguments) const {
    return send<R>(receiver, sel_registerName(selector), arguments...);
  }
  /// -respondsToSelector:, false for nil.
  bool responds(Id object, Sel selector) const;
  bool responds(Id object, const char* selector) const;
  bool is_kind_of(Id object, const char* class_name) const;
};

/// An object that is held; released when this goes, except in a child after a fork.
class Ref {
 public:
  Ref() = default;
  /// Takes over a reference that the caller owns (+alloc, Create functions).
  static Ref adopt(const Platform& platform, Id object) { return Ref(platform, object); }
  /// Takes one of its own (everything autoreleased).
  static Ref retain(const Platform& platform, Id object);
  Ref(Ref&& other) noexcept
      : platform_(other.platform_), object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref&& other) noexcept;
  Ref(const Ref& other);
  Ref& operator=(const Ref& other);
  ~Ref();

  Id get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  Ref(const Platform& platform, Id object) : platform_(&platform), object_(object) {}
  const Platform* platform_ = nullptr;  // of the engine, which outlives every object
  Id object_ = nullptr;
};

/// What is autoreleased inside of its life is released at its end. One on the stack of every
/// function that sends messages that make objects.
class AutoreleasePool {
 public:
  explicit AutoreleasePool(const Platform& platform)
      : platform_(platform), token_(platform.objc_autoreleasePoolPush()) {}
  AutoreleasePool(const AutoreleasePool&) = delete;
  AutoreleasePool& operator=(const AutoreleasePool&) = delete;
  ~AutoreleasePool() { platform_.objc_autoreleasePoolPop(token_); }

 private:
  const Platform& platform_;
  void* token_;
};

}  // namespace milgen::ane
