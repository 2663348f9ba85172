// A client of the private framework as one writes it without milgen: symbols by dlsym, messages by
// casts. Tests hold the fake engine against it.
#pragma once

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace milgen::fake_ane::raw {

using Id = void*;

/// The library, opened once and for as long as the process lives.
inline void* library() {
  static void* const handle = ::dlopen(MILGEN_FAKE_ANE_LIBRARY, RTLD_NOW);
  return handle;
}

template <class F>
F symbol(const char* name) {
  return reinterpret_cast<F>(::dlsym(library(), name));
}

inline Id cls(const char* name) { return symbol<Id (*)(const char*)>("objc_getClass")(name); }

inline Id sel(const char* name) { return symbol<Id (*)(const char*)>("sel_registerName")(name); }

/// A message. A BOOL is the low byte of what comes back.
template <class R = Id, class... A>
R send(Id receiver, const char* selector, A... arguments) {
  using Raw = std::conditional_t<std::is_same_v<R, bool>, signed char, R>;
  const auto function = symbol<Raw (*)(Id, Id, A...)>("objc_msgSend");
  if constexpr (std::is_void_v<R>) {
    function(receiver, sel(selector), arguments...);
  } else {
    return static_cast<R>(function(receiver, sel(selector), arguments...));
  }
}

class Pool {
 public:
  Pool() : token_(symbol<void* (*)()>("objc_autoreleasePoolPush")()) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { symbol<void (*)(void*)>("objc_autoreleasePoolPop")(token_); }

 private:
  void* token_;
};

inline Id retain(Id object) { return symbol<Id (*)(Id)>("objc_retain")(object); }
inline void release(Id object) { symbol<void (*)(Id)>("objc_release")(object); }

inline Id string(const char* text) { return send(cls("NSString"), "stringWithUTF8String:", text); }
inline std::string text(Id ns_string) {
  const char* chars = send<const char*>(ns_string, "UTF8String");
  return chars == nullptr ? std::string() : chars;
}
inline Id data(const void* bytes, std::size_t size) {
  return send(cls("NSData"), "dataWithBytes:length:", bytes, size);
}
inline Id number(long long value) { return send(cls("NSNumber"), "numberWithLongLong:", value); }
inline Id array(std::vector<Id> items) {
  return send(cls("NSArray"), "arrayWithObjects:count:", static_cast<const Id*>(items.data()),
              items.size());
}
inline Id dictionary(std::vector<std::pair<Id, Id>> entries) {
  std::vector<Id> keys;
  std::vector<Id> values;
  for (const auto& [key, value] : entries) {
    keys.push_back(key);
    values.push_back(value);
  }
  return send(cls("NSDictionary"),
              "dictionaryWithObjects:forKeys:count:", static_cast<const Id*>(values.data()),
              static_cast<const Id*>(keys.data()), keys.size());
}
inline Id find(Id dictionary_object, const char* key) {
  return send(dictionary_object, "objectForKey:", string(key));
}

// --- Control of the fake. ---

inline int set(const char* key, const char* value) {
  return symbol<int (*)(const char*, const char*)>("milgen_fake_ane_set")(key, value);
}
inline void reset() { symbol<void (*)()>("milgen_fake_ane_reset")(); }
inline long live(const char* name) {
  return symbol<long (*)(const char*)>("milgen_fake_ane_live")(name);
}
inline std::string report(const char* function) {
  const auto get = symbol<std::size_t (*)(char*, std::size_t)>(function);
  std::string out(get(nullptr, 0) + 1, '\0');
  get(out.data(), out.size());
  out.resize(std::strlen(out.c_str()));
  return out;
}
inline std::string violations() { return report("milgen_fake_ane_violations"); }
inline std::string log() { return report("milgen_fake_ane_log"); }

// --- Surfaces. ---

inline Id surface_key(const char* name) { return *symbol<Id*>(name); }

/// A flat surface of so many bytes, released by the caller.
inline Id make_surface(long long bytes) {
  const Id properties = dictionary({{surface_key("kIOSurfaceWidth"), number(bytes)},
                                    {surface_key("kIOSurfaceHeight"), number(1)},
                                    {surface_key("kIOSurfaceBytesPerElement"), number(1)},
                                    {surface_key("kIOSurfaceBytesPerRow"), number(bytes)},
                                    {surface_key("kIOSurfaceAllocSize"), number(bytes)},
                                    {surface_key("kIOSurfacePixelFormat"), number(0)}});
  return symbol<Id (*)(Id)>("IOSurfaceCreate")(properties);
}

inline void lock(Id surface, std::uint32_t options = 0) {
  symbol<int (*)(Id, std::uint32_t, std::uint32_t*)>("IOSurfaceLock")(surface, options, nullptr);
}
inline void unlock(Id surface, std::uint32_t options = 0) {
  symbol<int (*)(Id, std::uint32_t, std::uint32_t*)>("IOSurfaceUnlock")(surface, options, nullptr);
}
inline std::byte* base(Id surface) {
  return symbol<std::byte* (*)(Id)>("IOSurfaceGetBaseAddress")(surface);
}

inline void write_floats(Id surface, std::size_t offset, const std::vector<float>& values) {
  lock(surface);
  std::memcpy(base(surface) + offset, values.data(), values.size() * sizeof(float));
  unlock(surface);
}
inline float read_float(Id surface, std::size_t offset) {
  float value = 0;
  lock(surface, 1);
  std::memcpy(&value, base(surface) + offset, sizeof value);
  unlock(surface, 1);
  return value;
}

inline Id surface_object(Id surface) {
  return send(cls("_ANEIOSurfaceObject"), "objectWithIOSurface:", surface);
}

/// The request with the seven arguments that most clients use.
inline Id request(std::vector<Id> inputs, std::vector<long long> input_indices,
                  std::vector<Id> outputs, std::vector<long long> output_indices,
                  Id stats = nullptr) {
  const auto objects = [](const std::vector<Id>& surfaces) {
    std::vector<Id> items;
    for (const Id surface : surfaces) items.push_back(surface_object(surface));
    return array(items);
  };
  const auto numbers = [](const std::vector<long long>& values) {
    std::vector<Id> items;
    for (const long long value : values) items.push_back(number(value));
    return array(items);
  };
  return send(cls("_ANERequest"),
              "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:"
              "procedureIndex:",
              objects(inputs), numbers(input_indices), objects(outputs), numbers(output_indices),
              Id{}, stats, number(0));
}

// --- Models. ---

/// An NSError in numbers and words.
struct Failure {
  long code = 0;
  std::string domain;
  std::string words;
  std::string reason;

  explicit Failure(Id error) {
    if (error == nullptr) return;
    code = send<long>(error, "code");
    domain = text(send(error, "domain"));
    words = text(send(error, "localizedDescription"));
    const Id underlying = find(send(error, "userInfo"), "NSUnderlyingError");
    reason = text(send(underlying, "localizedDescription"));
  }
};

/// A descriptor and its in-memory model, autoreleased.
inline Id in_memory_model(std::string_view mil, Id weights) {
  const Id descriptor =
      send(cls("_ANEInMemoryModelDescriptor"),
           "modelWithMILText:weights:optionsPlist:", data(mil.data(), mil.size()), weights, Id{});
  return send(cls("_ANEInMemoryModel"), "inMemoryModelWithDescriptor:", descriptor);
}

/// Gives the model a folder with its text in it.
inline void write_folder(Id model, const std::string& folder, std::string_view mil) {
  std::filesystem::create_directories(folder + "/weights");
  std::ofstream(folder + "/model.mil", std::ios::binary)
      .write(mil.data(), static_cast<std::streamsize>(mil.size()));
  const Id url = send(cls("NSURL"), "fileURLWithPath:", string(folder.c_str()));
  if (model != nullptr) send<void>(model, "setModelURL:", url);
}

inline Failure compile(Id model) {
  Id error = nullptr;
  const bool done = send<bool>(model, "compileWithQoS:options:error:", 21u,
                               send(cls("NSDictionary"), "dictionary"), &error);
  Failure failure(error);
  if (!done && error == nullptr) failure.words = "nothing said";
  return failure;
}
inline Failure load(Id model) {
  Id error = nullptr;
  send<bool>(model, "loadWithQoS:options:error:", 21u, send(cls("NSDictionary"), "dictionary"),
             &error);
  return Failure(error);
}
inline Failure unload(Id model) {
  Id error = nullptr;
  send<bool>(model, "unloadWithQoS:error:", 21u, &error);
  return Failure(error);
}
inline Failure evaluate(Id model, Id request_object) {
  Id error = nullptr;
  const bool done = send<bool>(model, "evaluateWithQoS:options:request:error:", 21u,
                               send(cls("NSDictionary"), "dictionary"), request_object, &error);
  Failure failure(error);
  if (!done && error == nullptr) failure.words = "nothing said";
  return failure;
}

}  // namespace milgen::fake_ane::raw
