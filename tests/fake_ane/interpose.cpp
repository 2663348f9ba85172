// Answers the dlopen of macOS's frameworks with this library, where this library is linked to a
// program or preloaded into it.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "exports.h"

namespace {

// The names under which a client opens what the fake engine serves; a path before them is left out
// of account. Of a framework's folder only the file in it counts.
constexpr std::array<std::string_view, 6> kServed = {
    "libobjc.A.dylib",
    "libobjc.dylib",
    "Foundation.framework/Foundation",
    "CoreFoundation.framework/CoreFoundation",
    "IOSurface.framework/IOSurface",
    "AppleNeuralEngine.framework/AppleNeuralEngine",
};

bool is_served(const char* path) {
  if (path == nullptr) return false;
  const std::string_view text = path;
  return std::any_of(kServed.begin(), kServed.end(), [text](std::string_view name) {
    if (!text.ends_with(name)) return false;
    return text.size() == name.size() || text[text.size() - name.size() - 1] == '/';
  });
}

using Open = void* (*)(const char*, int);

// Another handle of this library, which has its own dlclose().
void* open_own(Open open, int mode) {
  Dl_info own{};
  if (dladdr(reinterpret_cast<const void*>(&milgen_fake_ane_version), &own) == 0) return nullptr;
  return open(own.dli_fname, mode | RTLD_NOLOAD);
}

}  // namespace

#if defined(__APPLE__)

// What dyld reads of an inserted library: a function and the one that it stands in for. Calls of
// the library itself are left alone.
extern "C" void* milgen_fake_ane_dlopen(const char* path, int mode) {
  return is_served(path) ? open_own(&dlopen, mode) : dlopen(path, mode);
}
namespace {
struct Interposed {
  const void* replacement;
  const void* original;
};
__attribute__((used, section("__DATA,__interpose")))
const Interposed kInterposed[] = {{reinterpret_cast<const void*>(&milgen_fake_ane_dlopen),
                                   reinterpret_cast<const void*>(&dlopen)}};
}  // namespace

#else

MILGEN_FAKE_EXPORT void* dlopen(const char* path, int mode) noexcept {
  static const auto real = reinterpret_cast<Open>(dlsym(RTLD_NEXT, "dlopen"));
  return is_served(path) ? open_own(real, mode) : real(path, mode);
}

#endif
