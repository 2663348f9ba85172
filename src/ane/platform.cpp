#include "ane/platform.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <iterator>
#include <string_view>
#include <vector>

namespace milgen::ane {
namespace {

// What the frameworks are called. The one that other systems surely lack is the first, so that it
// is what an error names.
constexpr const char* kFrameworks[] = {
    "/System/Library/PrivateFrameworks/AppleNeuralEngine.framework/AppleNeuralEngine",
    "/System/Library/Frameworks/IOSurface.framework/IOSurface",
    "/System/Library/Frameworks/Foundation.framework/Foundation",
    "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation",
    "/usr/lib/libobjc.A.dylib",
};

template <auto Member>
void store_function(Platform& platform, void* address) {
  using Function = std::remove_reference_t<decltype(platform.*Member)>;
  platform.*Member = reinterpret_cast<Function>(address);
}

/// The symbol of a constant is a variable that holds it.
template <Id Platform::*Member>
void store_constant(Platform& platform, void* address) {
  platform.*Member = *static_cast<Id*>(address);
}

template <auto Member>
bool is_stored(const Platform& platform) {
  return platform.*Member != nullptr;
}

struct SymbolRow {
  PlatformSymbol symbol;
  void (*store)(Platform&, void*);
  bool (*stored)(const Platform&);
};

template <auto Member>
constexpr SymbolRow function(const char* name, const char* purpose, bool required = true) {
  return {{name, purpose, required}, &store_function<Member>, &is_stored<Member>};
}

template <Id Platform::*Member>
constexpr SymbolRow constant(const char* name) {
  return {{name, "property of a surface", true}, &store_constant<Member>, &is_stored<Member>};
}

constexpr bool kOptional = false;

constexpr SymbolRow kSymbols[] = {
    function<&Platform::objc_getClass>("objc_getClass", "classes by name"),
    function<&Platform::sel_registerName>("sel_registerName", "selectors by name"),
    function<&Platform::class_getName>("class_getName", "names of classes in errors"),
    function<&Platform::object_getClass>("object_getClass", "class of an object"),
    function<&Platform::class_getInstanceMethod>("class_getInstanceMethod",
                                                 "which selectors this system has"),
    function<&Platform::class_getClassMethod>("class_getClassMethod",
                                              "which selectors this system has"),
    function<&Platform::objc_msgSend>("objc_msgSend", "messages"),
    function<&Platform::objc_retain>("objc_retain", "life of objects"),
    function<&Platform::objc_release>("objc_release", "life of objects"),
    function<&Platform::objc_autoreleasePoolPush>("objc_autoreleasePoolPush", "life of objects"),
    function<&Platform::objc_autoreleasePoolPop>("objc_autoreleasePoolPop", "life of objects"),
    function<&Platform::CFRetain>("CFRetain", "life of surfaces"),
    function<&Platform::CFRelease>("CFRelease", "life of surfaces"),
    function<&Platform::NSTemporaryDirectory>(
        "NSTemporaryDirectory", "where programs are written; $TMPDIR without", kOptional),
    function<&Platform::IOSurfaceCreate>("IOSurfaceCreate", "surfaces"),
    function<&Platform::IOSurfaceLock>("IOSurfaceLock", "reading and writing surfaces"),
    function<&Platform::IOSurfaceUnlock>("IOSurfaceUnlock", "reading and writing surfaces"),
    function<&Platform::IOSurfaceGetBaseAddress>("IOSurfaceGetBaseAddress",
                                                 "reading and writing surfaces"),
    function<&Platform::IOSurfaceGetAllocSize>("IOSurfaceGetAllocSize", "size of a surface"),
    function<&Platform::IOSurfaceGetID>(
        "IOSurfaceGetID", "number by which other processes know a surface", kOptional),
    function<&Platform::IOSurfaceSharedEventCreate>(
        "IOSurfaceSharedEventCreate", "shared events; none can be made without", kOptional),
    constant<&Platform::surface_width>("kIOSurfaceWidth"),
    constant<&Platform::surface_height>("kIOSurfaceHeight"),
    constant<&Platform::surface_bytes_per_element>("kIOSurfaceBytesPerElement"),
    constant<&Platform::surface_bytes_per_row>("kIOSurfaceBytesPerRow"),
    constant<&Platform::surface_alloc_size>("kIOSurfaceAllocSize"),
    constant<&Platform::surface_pixel_format>("kIOSurfacePixelFormat"),
};

/// Why the last dlopen() failed. Linux puts the path in front, which the caller names anyway.
std::string open_failure(std::string_view path) {
  const char* said = dlerror();  // NOLINT(concurrency-mt-unsafe): kept by thread on both systems
  std::string_view text = said != nullptr ? said : "the system does not say why";
  const std::string prefix = fmt::format("{}: ", path);
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  return std::string(text);
}

Error not_opened(const char* path) {
  Error::Detail detail;
  detail.kind = ErrorKind::unavailable;
  detail.message = fmt::format("there is no Neural Engine runtime here: {} cannot be opened: {}",
                               path, open_failure(path));
  detail.operation = "dlopen";
  detail.hint = "MILGEN_ANE_LIBRARY can name a library that stands in for it";
  return Error(std::move(detail));
}

/// The handles stay open for ever: a framework's classes cannot be taken back.
Error open_libraries(const std::string& library, std::vector<void*>& handles) {
  std::vector<const char*> paths(std::begin(kFrameworks), std::end(kFrameworks));
  if (!library.empty()) paths = {library.c_str()};
  for (const char* path : paths) {
    void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return not_opened(path);
    handles.push_back(handle);
  }
  return {};
}

void* find_symbol(const std::vector<void*>& handles, const char* name) {
  for (void* handle : handles) {
    if (void* address = dlsym(handle, name)) return address;
  }
  return nullptr;
}

std::atomic<std::uint32_t> fork_depth{0};

/// How many forks lie between this process and the one that asked first. Every call of a model
/// asks, and getpid() may cost more than a message.
std::uint32_t count_forks() {
  static const int failed =
      pthread_atfork(nullptr, nullptr, [] { fork_depth.fetch_add(1, std::memory_order_relaxed); });
  static_cast<void>(failed);  // for want of memory alone: then forks are not noticed
  return fork_depth.load(std::memory_order_relaxed);
}

Error lacks_symbols(const std::string& path, const std::vector<std::string_view>& names) {
  Error::Detail detail;
  detail.kind = ErrorKind::unavailable;
  detail.message =
      fmt::format("{} is no Neural Engine runtime: it lacks {}", path, fmt::join(names, ", "));
  detail.operation = "dlsym";
  return Error(std::move(detail));
}

}  // namespace

Result<std::shared_ptr<const Platform>> Platform::open(const std::string& library) {
  std::vector<void*> handles;
  if (Error error = open_libraries(library, handles)) return error;

  auto platform = std::make_shared<Platform>();
  platform->path = library.empty() ? kFrameworks[0] : library;
  platform->process = getpid();
  platform->forks = count_forks();
  std::vector<std::string_view> missing;
  for (const SymbolRow& row : kSymbols) {
    if (void* address = find_symbol(handles, row.symbol.name)) row.store(*platform, address);
    if (row.symbol.required && !row.stored(*platform)) missing.emplace_back(row.symbol.name);
  }
  if (!missing.empty()) return lacks_symbols(platform->path, missing);

  if (void* address = find_symbol(handles, "milgen_fake_ane_version")) {
    const char* version = reinterpret_cast<const char* (*)()>(address)();
    platform->fake = true;
    platform->fake_version = version != nullptr ? version : "";
  }
  return std::shared_ptr<const Platform>(std::move(platform));
}

std::vector<std::pair<PlatformSymbol, bool>> Platform::symbols() const {
  std::vector<std::pair<PlatformSymbol, bool>> found;
  for (const SymbolRow& row : kSymbols) found.emplace_back(row.symbol, row.stored(*this));
  return found;
}

bool Platform::is_this_process() const { return forks == count_forks(); }

bool Platform::responds(Id object, Sel selector) const {
  return object != nullptr && send<Bool>(object, "respondsToSelector:", selector);
}

bool Platform::responds(Id object, const char* selector) const {
  return responds(object, sel_registerName(selector));
}

bool Platform::is_kind_of(Id object, const char* class_name) const {
  const Id wanted = objc_getClass(class_name);
  return object != nullptr && wanted != nullptr && send<Bool>(object, "isKindOfClass:", wanted);
}

Ref Ref::retain(const Platform& platform, Id object) {
  if (object != nullptr) platform.objc_retain(object);
  return adopt(platform, object);
}

Ref::Ref(const Ref& other) : platform_(other.platform_), object_(other.object_) {
  if (object_ != nullptr) platform_->objc_retain(object_);
}

Ref& Ref::operator=(const Ref& other) {
  Ref copy(other);
  return *this = std::move(copy);
}

Ref& Ref::operator=(Ref&& other) noexcept {
  std::swap(platform_, other.platform_);
  std::swap(object_, other.object_);
  return *this;
}

Ref::~Ref() {
  // In a child after a fork the objects belong to the parent: letting them go would talk to
  // services that the child has no connection to (ane_runtime, 4.6).
  if (object_ != nullptr && platform_->is_this_process()) platform_->objc_release(object_);
}

}  // namespace milgen::ane
