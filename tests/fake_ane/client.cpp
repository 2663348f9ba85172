// A client of the Neural Engine's libraries that knows nothing of the fake one: it opens them where
// macOS has them, makes a few objects, and says "ok" when all of them answered.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace {

using Id = void*;

void* open_library(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) std::fprintf(stderr, "%s\n", dlerror());
  return library;
}

template <class Function>
Function symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

bool works(void* objc, void* surfaces) {
  const auto push = symbol<void* (*)()>(objc, "objc_autoreleasePoolPush");
  const auto pop = symbol<void (*)(void*)>(objc, "objc_autoreleasePoolPop");
  const auto get_class = symbol<Id (*)(const char*)>(objc, "objc_getClass");
  const auto get_selector = symbol<void* (*)(const char*)>(objc, "sel_registerName");
  void* send = dlsym(objc, "objc_msgSend");
  if (push == nullptr || pop == nullptr || get_class == nullptr || get_selector == nullptr ||
      send == nullptr || dlsym(surfaces, "kIOSurfaceWidth") == nullptr) {
    return false;
  }
  void* pool = push();
  const auto make = reinterpret_cast<Id (*)(Id, void*, const char*)>(send);
  const auto read = reinterpret_cast<const char* (*)(Id, void*)>(send);
  Id string = make(get_class("NSString"), get_selector("stringWithUTF8String:"), "text");
  const char* text = read(string, get_selector("UTF8String"));
  const bool same = text != nullptr && std::strcmp(text, "text") == 0;
  pop(pool);
  return same;
}

}  // namespace

int main() {
  void* objc = open_library("/usr/lib/libobjc.A.dylib");
  void* foundation = open_library("/System/Library/Frameworks/Foundation.framework/Foundation");
  void* surfaces = open_library("/System/Library/Frameworks/IOSurface.framework/IOSurface");
  void* engine = open_library(
      "/System/Library/PrivateFrameworks/AppleNeuralEngine.framework/AppleNeuralEngine");
  if (objc == nullptr || foundation == nullptr || surfaces == nullptr || engine == nullptr) {
    return 1;
  }
  // What is none of macOS's libraries goes its usual way.
  if (dlopen("/nowhere/libnone.so", RTLD_NOW) != nullptr || dlopen(nullptr, RTLD_NOW) == nullptr) {
    return 2;
  }
  if (!works(objc, surfaces)) return 3;
  for (void* library : {engine, surfaces, foundation, objc}) dlclose(library);
  std::puts("ok");
  return 0;
}
