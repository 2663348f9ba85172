#include "objc.h"

#include <pthread.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <unordered_map>

#include "exports.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MILGEN_FAKE_HAS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MILGEN_FAKE_HAS_ASAN 1
#endif
#if defined(MILGEN_FAKE_HAS_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) static_cast<void>(0)
#endif

// Where a message goes whose receiver is nil: answers 0. Part of message.cpp.
extern "C" __attribute__((visibility("hidden"))) void milgen_fake_ane_answer_nil();
// What objc_msgSend asks; never null.
extern "C" __attribute__((visibility("hidden"))) milgen::fake_ane::Implementation
milgen_fake_ane_find_method(milgen::fake_ane::Object* receiver, milgen::fake_ane::Selector name);

namespace milgen::fake_ane {
namespace {

constexpr std::uint64_t kLiveMagic = 0x6d696c67656e4f4b;
constexpr std::uint64_t kFreedMagic = 0x6d696c67656e5f5f;
constexpr std::int64_t kImmortal = std::int64_t{1} << 62;
// Freed objects that are kept, so that messages to them are found.
constexpr std::size_t kMaxQuarantined = std::size_t{1} << 16;
constexpr std::size_t kMaxQuarantinedBytes = std::size_t{16} << 20;

// All of the runtime's tables. They live as long as the process, since threads may still send
// messages when it ends.
struct Runtime {
  std::mutex mutex;  // of all that follows but the cache
  std::unordered_map<std::string_view, Class*> classes;
  std::unordered_map<std::string_view, Selector> selectors;
  struct Found {
    std::uintptr_t receiver;
    Selector selector;
    Implementation code;
  };
  // Every answer that was ever given, so that what the cache points at stays.
  std::deque<Found> found;
  // An open hash table by (class, selector), read without a lock; a class as receiver has the
  // lowest bit of its address set. Far larger than the number of such pairs.
  std::array<std::atomic<const Found*>, 8192> cache{};

  std::mutex quarantine_mutex;
  std::deque<Header*> quarantine;
  std::size_t quarantined_bytes = 0;

  std::atomic<std::uint32_t> forks{0};
};

Runtime& runtime() {
  static Runtime& only = *new Runtime;
  return only;
}

enum class Health { kLive, kFreed, kNoObject };

// The pointer may be anything that a client hands over, hence no check by the sanitizer.
__attribute__((no_sanitize("address"))) Health health_of(const Object* object) {
  const auto address = reinterpret_cast<std::uintptr_t>(object);
  constexpr std::uintptr_t kLowestAddress = 1 << 16;
  if (address % alignof(std::max_align_t) != 0 || address < kLowestAddress) {
    return Health::kNoObject;
  }
  const std::uint64_t magic = reinterpret_cast<const Header*>(address - sizeof(Header))->magic;
  if (magic == kLiveMagic) return Health::kLive;
  return magic == kFreedMagic ? Health::kFreed : Health::kNoObject;
}

bool is_class(const Object& object) { return header_of(object).isa == class_object<Class>; }

// What follows "is sent to", "is" and so on in the line of a trap.
std::string describe(const Object* object) {
  switch (health_of(object)) {
    case Health::kLive:
      return (is_class(*object) ? "the class " : "an object of class ") +
             (is_class(*object) ? static_cast<const Class*>(object)->name()
                                : class_of(*object).name());
    case Health::kFreed:
      return "a freed object of class " + class_of(*object).name();
    case Health::kNoObject:
      break;
  }
  return "something that is no object";
}

// Traps unless the object is live; `what` is done to it.
bool is_usable(const Object* object, std::string_view what) {
  if (health_of(object) == Health::kLive) return true;
  trap(std::string(what) + " is sent to " + describe(object));
  return false;
}

void free_block(Header* header) {
  ASAN_UNPOISON_MEMORY_REGION(header + 1, header->size);
  header->magic = 0;
  std::free(header);
}

void put_in_quarantine(Header* header) {
  Runtime& r = runtime();
  const std::lock_guard lock(r.quarantine_mutex);
  r.quarantine.push_back(header);
  r.quarantined_bytes += header->size;
  while (r.quarantine.size() > kMaxQuarantined || r.quarantined_bytes > kMaxQuarantinedBytes) {
    Header* oldest = r.quarantine.front();
    r.quarantine.pop_front();
    r.quarantined_bytes -= oldest->size;
    free_block(oldest);
  }
}

void destroy(Object* object) {
  Header& header = header_of(*object);
  header.isa->live.fetch_sub(1);
  object->~Object();
  header.magic = kFreedMagic;
  std::memset(static_cast<void*>(object), 0xdd, header.size);
  ASAN_POISON_MEMORY_REGION(object, header.size);
  put_in_quarantine(&header);
}

// The pools of one thread: what was autoreleased, and where each pool begins.
struct Pools {
  struct Pool {
    std::uintptr_t token;
    std::size_t begin;
  };
  std::vector<Object*> objects;
  std::vector<Pool> pools;

  // Releases what is in the pools from number `first` on.
  void drain(std::size_t first) {
    const std::size_t begin = pools[first].begin;
    // A destructor may autorelease more, which belongs to the pool that is drained.
    while (objects.size() > begin) {
      Object* last = objects.back();
      objects.pop_back();
      release(last);
    }
    pools.resize(first);
  }

  ~Pools() {
    if (pools.empty()) return;
    violation("a thread ends with an autorelease pool that is not popped");
    drain(0);
  }
};

Pools& pools() {
  thread_local Pools of_this_thread;
  return of_this_thread;
}

const Method* find_in(const std::map<Selector, Method>& methods, const Class& type,
                      const Class& receiver, Selector name) {
  const auto found = methods.find(name);
  if (found == methods.end()) return nullptr;
  const bool hidden =
      is_hidden(type.name() + "." + name->name) || is_hidden(receiver.name() + "." + name->name);
  return hidden ? nullptr : &found->second;
}

const Method* find_instance_method(const Class& receiver, Selector name) {
  for (const Class* type = &receiver; type != nullptr; type = type->super()) {
    const Method* method = find_in(type->methods, *type, receiver, name);
    if (method != nullptr) return method;
  }
  return nullptr;
}

const Method* find_class_method(const Class& receiver, Selector name) {
  for (const Class* type = &receiver; type != nullptr; type = type->super()) {
    const Method* method = find_in(type->class_methods, *type, receiver, name);
    if (method != nullptr) return method;
  }
  // The root's class is an object of the root as well.
  return find_instance_method(*class_object<Object>, name);
}

const Method* find_method(const Object& receiver, Selector name) {
  return is_class(receiver) ? find_class_method(static_cast<const Class&>(receiver), name)
                            : find_instance_method(class_of(receiver), name);
}

// Traps when the receiver was made before a fork that its class does not survive.
bool survived_fork(const Object& receiver, Selector name) {
  const Header& header = header_of(receiver);
  if (header.forks == runtime().forks.load(std::memory_order_relaxed)) return true;
  if (header.isa == nullptr || !header.isa->breaks_after_fork) return true;
  trap(message_name(&receiver, name) + " is sent to an object that was made before a fork");
  return false;
}

void forget_cached() {
  for (auto& entry : runtime().cache) entry.store(nullptr, std::memory_order_relaxed);
}

// Whether sel_registerName() gave it; a C string in its place is a common mistake.
bool is_registered(Selector name) {
  Runtime& r = runtime();
  const std::lock_guard lock(r.mutex);
  for (const auto& [text, registered] : r.selectors) {
    if (registered == name) return true;
  }
  return false;
}

// The cache's entry for (receiver, name), or the empty one where it belongs.
std::atomic<const Runtime::Found*>& cache_entry(std::uintptr_t receiver, Selector name) {
  auto& cache = runtime().cache;
  std::size_t i = (receiver >> 4) * 31 + (reinterpret_cast<std::uintptr_t>(name) >> 4);
  for (;; ++i) {
    std::atomic<const Runtime::Found*>& entry = cache[i % cache.size()];
    const Runtime::Found* found = entry.load(std::memory_order_acquire);
    if (found == nullptr || (found->receiver == receiver && found->selector == name)) return entry;
  }
}

Implementation find_uncached(Object* receiver, std::uintptr_t key, Selector name) {
  if (!is_registered(name)) {
    trap("a selector that sel_registerName() did not give is sent to " + describe(receiver));
    return &milgen_fake_ane_answer_nil;
  }
  const Method* method = find_method(*receiver, name);
  if (method == nullptr) {
    trap(message_name(receiver, name) + ": unrecognized selector sent to " + describe(receiver));
    return &milgen_fake_ane_answer_nil;
  }
  Runtime& r = runtime();
  const std::lock_guard lock(r.mutex);
  std::atomic<const Runtime::Found*>& entry = cache_entry(key, name);
  if (entry.load() == nullptr) {
    r.found.push_back({key, name, method->code});
    entry.store(&r.found.back(), std::memory_order_release);
  }
  return method->code;
}

std::vector<const Class*> sorted_classes() {
  std::map<std::string_view, const Class*> sorted;
  Runtime& r = runtime();
  const std::lock_guard lock(r.mutex);
  sorted.insert(r.classes.begin(), r.classes.end());
  std::vector<const Class*> classes;
  for (const auto& [name, type] : sorted) classes.push_back(type);
  return classes;
}

}  // namespace

std::uint64_t Object::hash() const { return reinterpret_cast<std::uintptr_t>(this) >> 4; }

std::string Object::description() const { return "<" + class_of(*this).name() + ">"; }

void* Object::operator new(std::size_t size) {
  void* block = std::malloc(sizeof(Header) + size);
  if (block == nullptr) throw std::bad_alloc();
  auto* header = new (block)
      Header{kLiveMagic, nullptr, 1, runtime().forks.load(), static_cast<std::uint32_t>(size)};
  return header + 1;
}

void Object::operator delete(void* object) {
  if (object != nullptr) free_block(static_cast<Header*>(object) - 1);
}

Header& header_of(const Object& object) {
  const auto address = reinterpret_cast<std::uintptr_t>(&object) - sizeof(Header);
  return *reinterpret_cast<Header*>(address);
}

Class& class_of(const Object& object) { return *header_of(object).isa; }

void set_class(Object& object, Class& type) {
  header_of(object).isa = &type;
  type.live.fetch_add(1);
}

Object* retain(Object* object) {
  if (object == nullptr || !is_usable(object, "retain")) return object;
  std::atomic<std::int64_t>& references = header_of(*object).references;
  if (references.load(std::memory_order_relaxed) < kImmortal) {
    references.fetch_add(1, std::memory_order_relaxed);
  }
  return object;
}

void release(Object* object) {
  if (object == nullptr || !is_usable(object, "release")) return;
  std::atomic<std::int64_t>& references = header_of(*object).references;
  if (references.load(std::memory_order_relaxed) >= kImmortal) return;
  if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(object);
}

Object* autorelease(Object* object) {
  if (object == nullptr || !is_usable(object, "autorelease")) return object;
  if (pools().pools.empty()) {
    violation(describe(object) + " is autoreleased without a pool");
  } else {
    pools().objects.push_back(object);
  }
  return object;
}

std::int64_t retain_count(const Object& object) { return header_of(object).references.load(); }

void make_immortal(Object& object) {
  header_of(object).references.store(kImmortal);
  class_of(object).live.fetch_sub(1);
}

bool Class::is_kind_of(const Class& other) const {
  for (const Class* type = this; type != nullptr; type = type->super()) {
    if (type == &other) return true;
  }
  return false;
}

Selector selector(std::string_view name) {
  Runtime& r = runtime();
  const std::lock_guard lock(r.mutex);
  const auto found = r.selectors.find(name);
  if (found != r.selectors.end()) return found->second;
  const auto* made = new SelectorName{std::string(name)};
  r.selectors.emplace(made->name, made);
  return made;
}

Class* find_class(std::string_view name) {
  Runtime& r = runtime();
  const std::lock_guard lock(r.mutex);
  const auto found = r.classes.find(name);
  return found == r.classes.end() ? nullptr : found->second;
}

Class& add_class(std::string name, Class* super) {
  Class& type = *new Class(std::move(name), super);
  header_of(type).isa = class_object<Class>;
  header_of(type).references.store(kImmortal);
  Runtime& r = runtime();
  const std::lock_guard lock(r.mutex);
  r.classes.emplace(type.name(), &type);
  return type;
}

bool is_live_object(const Object* object) { return health_of(object) == Health::kLive; }

bool is_kind_of(const Object* object, const Class& type) {
  return is_live_object(object) && class_of(*object).is_kind_of(type);
}

std::string message_name(const Object* receiver, Selector name) {
  const bool to_class = is_class(*receiver);
  const Class& type = to_class ? static_cast<const Class&>(*receiver) : class_of(*receiver);
  return std::string(to_class ? "+[" : "-[") + type.name() + " " + name->name + "]";
}

namespace detail {

bool argument_fits(const Object* self, Selector name, std::size_t index, const Object* argument,
                   const Class* type) {
  if (argument == nullptr) return true;
  if (is_live_object(argument) && (type == nullptr || class_of(*argument).is_kind_of(*type))) {
    return true;
  }
  trap(message_name(self, name) + ": argument " + std::to_string(index + 1) + " is " +
       describe(argument) + ", not " + (type == nullptr ? "an object" : "a " + type->name()));
  return false;
}

}  // namespace detail

namespace {

// NSObject

Object* ns_alloc(Class& self) { return self.create == nullptr ? nullptr : self.create(); }
Object* ns_init(Object& self) { return &self; }
Object* ns_retain(Object& self) { return retain(&self); }
void ns_release(Object& self) { release(&self); }
Object* ns_autorelease(Object& self) { return autorelease(&self); }
std::uint64_t ns_retain_count(Object& self) {
  return static_cast<std::uint64_t>(retain_count(self));
}
Class* ns_class(Object& self) {
  return is_class(self) ? static_cast<Class*>(&self) : &class_of(self);
}
bool ns_is_kind_of(Object& self, Class* type) {
  return type != nullptr && class_of(self).is_kind_of(*type);
}
bool ns_responds(Object& self, Selector name) {
  return name != nullptr && find_method(self, name) != nullptr;
}
bool ns_instances_respond(Class& self, Selector name) {
  return name != nullptr && find_instance_method(self, name) != nullptr;
}
std::uint64_t ns_hash(Object& self) { return self.hash(); }
bool ns_is_equal(Object& self, Object* other) { return other != nullptr && self.is_equal(*other); }

void define_root_classes() {
  // "Class" is the class of all classes, itself and the root among them.
  class_object<Object> = &add_class("NSObject", nullptr);
  class_object<Class> = &add_class("Class", class_object<Object>);
  for (Class* type : {class_object<Object>, class_object<Class>}) {
    header_of(*type).isa = class_object<Class>;
  }
  class_object<Object>->create = [] { return make<Object>().detach(); };
  ClassDefinition<Object>(*class_object<Object>)
      .class_method<&ns_alloc>("alloc")
      .class_method<&ns_alloc>("new")
      .class_method<&ns_instances_respond>("instancesRespondToSelector:")
      .method<&ns_init>("init")
      .method<&ns_retain>("retain")
      .method<&ns_release>("release")
      .method<&ns_autorelease>("autorelease")
      .method<&ns_retain_count>("retainCount")
      .method<&ns_class>("class")
      .method<&ns_is_kind_of>("isKindOfClass:")
      .method<&ns_responds>("respondsToSelector:")
      .method<&ns_hash>("hash")
      .method<&ns_is_equal>("isEqual:");
}

void count_fork() { runtime().forks.fetch_add(1); }

// Before anything of the client runs, so that its first look-up finds every class.
__attribute__((constructor)) void start() {
  define_root_classes();
  define_foundation_classes();
  define_io_surface_classes();
  define_ane_classes();
  on_hide(&forget_cached);
  pthread_atfork(nullptr, nullptr, &count_fork);
  reset_settings();
}

Object* visible_class(const char* name) {
  if (name == nullptr || is_hidden(name)) return nullptr;
  return find_class(name);
}

// `type` as a class, or a trap and null.
const Class* checked_class(Object* type, const char* function) {
  if (type == nullptr) return nullptr;
  if (is_live_object(type) && is_class(*type)) return static_cast<const Class*>(type);
  trap(std::string(function) + "() is given " + describe(type) + ", not a class");
  return nullptr;
}

}  // namespace
}  // namespace milgen::fake_ane

using namespace milgen::fake_ane;

Implementation milgen_fake_ane_find_method(Object* receiver, Selector name) {
  if (health_of(receiver) != Health::kLive) {
    trap((is_registered(name) ? name->name : "an unknown selector") + " is sent to " +
         describe(receiver));
    return &milgen_fake_ane_answer_nil;
  }
  if (!survived_fork(*receiver, name)) return &milgen_fake_ane_answer_nil;
  const Class* type = header_of(*receiver).isa;
  const std::uintptr_t key = type == class_object<Class>
                                 ? reinterpret_cast<std::uintptr_t>(receiver) | 1
                                 : reinterpret_cast<std::uintptr_t>(type);
  const Runtime::Found* found = cache_entry(key, name).load(std::memory_order_acquire);
  return found != nullptr ? found->code : find_uncached(receiver, key, name);
}

Object* objc_getClass(const char* name) { return visible_class(name); }
Object* objc_lookUpClass(const char* name) { return visible_class(name); }
Selector sel_registerName(const char* name) { return name == nullptr ? nullptr : selector(name); }
const char* sel_getName(Selector name) {
  return name == nullptr ? "<null selector>" : name->name.c_str();
}

Object* object_getClass(Object* object) {
  if (object == nullptr || !is_usable(object, "object_getClass()")) return nullptr;
  return &class_of(*object);
}
const char* class_getName(Object* type) {
  const Class* checked = checked_class(type, "class_getName");
  return checked == nullptr ? "nil" : checked->name().c_str();
}
const Method* class_getInstanceMethod(Object* type, Selector name) {
  const Class* checked = checked_class(type, "class_getInstanceMethod");
  return checked == nullptr || name == nullptr ? nullptr : find_instance_method(*checked, name);
}
const Method* class_getClassMethod(Object* type, Selector name) {
  const Class* checked = checked_class(type, "class_getClassMethod");
  return checked == nullptr || name == nullptr ? nullptr : find_class_method(*checked, name);
}

Object* objc_retain(Object* object) { return retain(object); }
void objc_release(Object* object) { release(object); }
Object* objc_autorelease(Object* object) { return autorelease(object); }

void* objc_autoreleasePoolPush() {
  static std::atomic<std::uintptr_t> last_token{0};
  const std::uintptr_t token = ++last_token;
  pools().pools.push_back({token, pools().objects.size()});
  return reinterpret_cast<void*>(token);
}

void objc_autoreleasePoolPop(void* token) {
  std::vector<Pools::Pool>& open = pools().pools;
  // Pools above the one that is popped end with it, as in the real runtime.
  for (std::size_t i = open.size(); i-- > 0;) {
    if (open[i].token == reinterpret_cast<std::uintptr_t>(token)) {
      pools().drain(i);
      return;
    }
  }
  trap("objc_autoreleasePoolPop() is given a token of no open pool of this thread");
}

Object* CFRetain(Object* object) {
  if (object == nullptr) trap("CFRetain() is given NULL");
  return retain(object);
}
void CFRelease(Object* object) {
  if (object == nullptr) trap("CFRelease() is given NULL");
  release(object);
}

long milgen_fake_ane_live(const char* class_name) {
  if (class_name != nullptr) {
    const Class* type = find_class(class_name);
    return type == nullptr ? 0 : type->live.load();
  }
  long all = 0;
  for (const Class* type : sorted_classes()) all += type->live.load();
  return all;
}

std::size_t milgen_fake_ane_live_report(char* buffer, std::size_t size) {
  std::string all;
  for (const Class* type : sorted_classes()) {
    const long live = type->live.load();
    if (live != 0) all += type->name() + " " + std::to_string(live) + "\n";
  }
  return copy_text(all, buffer, size);
}

std::size_t milgen_fake_ane_selectors(char* buffer, std::size_t size) {
  const auto add = [](std::string& all, const Class& type, const char* kind,
                      const std::map<Selector, Method>& methods) {
    std::map<std::string_view, bool> names;
    for (const auto& [name, method] : methods) names.emplace(name->name, true);
    for (const auto& [name, known] : names) {
      all += std::string(kind) + "[" + type.name() + " " + std::string(name) + "]\n";
    }
  };
  std::string all;
  for (const Class* type : sorted_classes()) {
    add(all, *type, "+", type->class_methods);
    add(all, *type, "-", type->methods);
  }
  return copy_text(all, buffer, size);
}
