#include "io_surface.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "exports.h"
#include "foundation.h"

namespace milgen::fake_ane {
namespace {

// Fresh memory holds this, since nobody promises zeros (ane_runtime, 4.5: zero it before first
// use).
constexpr std::byte kFreshByte{0xa5};
// What lies between the end of a surface and its guard page.
constexpr std::byte kEndByte{0x5a};

std::size_t page_size() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

// Fills in what the properties leave out; false when they contradict each other. A size in bytes
// alone is enough.
bool complete(IoSurface::Properties& p) {
  if (p.bytes_per_element == 0) p.bytes_per_element = 1;
  std::size_t row = 0;
  if (__builtin_mul_overflow(p.width, p.bytes_per_element, &row)) return false;
  if (p.bytes_per_row == 0) p.bytes_per_row = row;
  std::size_t all = 0;
  if (p.bytes_per_row < row || __builtin_mul_overflow(p.bytes_per_row, p.height, &all)) {
    return false;
  }
  if (p.alloc_size == 0) p.alloc_size = all;
  return p.alloc_size > 0 && p.alloc_size >= all && p.alloc_size <= std::size_t{1} << 40;
}

std::uint32_t next_id() {
  static std::atomic<std::uint32_t> last{0};
  return ++last;
}

}  // namespace

Ref<IoSurface> IoSurface::create(Properties properties) {
  if (!complete(properties)) return nullptr;
  const std::size_t page = page_size();
  const std::size_t mapped = (properties.alloc_size + page - 1) / page * page;
  void* memory =
      mmap(nullptr, mapped + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* base = static_cast<std::byte*>(memory);
  mprotect(base + mapped, page, PROT_NONE);
  std::fill(base, base + properties.alloc_size, kFreshByte);
  std::fill(base + properties.alloc_size, base + mapped, kEndByte);
  return make<IoSurface>(properties, base, mapped);
}

IoSurface::IoSurface(Properties properties, std::byte* base, std::size_t mapped)
    : properties_(properties), base_(base), mapped_(mapped), id_(next_id()) {}

IoSurface::~IoSurface() {
  if (locks() != 0) trap("surface " + std::to_string(id_) + " is released while it is locked");
  check_end("released");
  munmap(base_, mapped_ + page_size());
}

int IoSurface::locks() const { return read_locks_.load() + write_locks_.load(); }
int IoSurface::write_locks() const { return write_locks_.load(); }

void IoSurface::lock(bool read_only) { ++(read_only ? read_locks_ : write_locks_); }

bool IoSurface::unlock(bool read_only) {
  std::atomic<int>& count = read_only ? read_locks_ : write_locks_;
  int held = count.load();
  while (held > 0 && !count.compare_exchange_weak(held, held - 1)) {
  }
  if (held > 0) {
    if (!read_only) check_end("unlocked");
    return true;
  }
  trap("surface " + std::to_string(id_) + " is unlocked" + (read_only ? " (read only)" : "") +
       " without a lock of that kind");
  return false;
}

void IoSurface::check_end(std::string_view when) {
  std::byte* end = base_ + properties_.alloc_size;
  const std::size_t size = mapped_ - properties_.alloc_size;
  // Every byte equals its neighbour: a memcmp, since surfaces are unlocked often.
  if (size == 0 || (*end == kEndByte && std::memcmp(end, end + 1, size - 1) == 0)) return;
  std::fill(end, end + size, kEndByte);
  trap("surface " + std::to_string(id_) + " of " + std::to_string(properties_.alloc_size) +
       " bytes was written past its end before it is " + std::string(when));
}

std::string IoSurface::description() const {
  return "<IOSurface " + std::to_string(id_) + ", " + std::to_string(properties_.alloc_size) +
         " bytes>";
}

struct SharedEvent::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t value = 0;
  std::uint32_t port = 0;
};

namespace {

// The events of the process by port.
struct Ports {
  std::mutex mutex;
  std::map<std::uint32_t, std::weak_ptr<SharedEvent::State>> events;
  std::uint32_t last = 0x1000;
};
Ports& ports() {
  static Ports& only = *new Ports;
  return only;
}

}  // namespace

SharedEvent::SharedEvent() : state_(std::make_shared<State>()) {
  Ports& p = ports();
  const std::lock_guard lock(p.mutex);
  state_->port = ++p.last;
  std::erase_if(p.events, [](const auto& entry) { return entry.second.expired(); });
  p.events.emplace(state_->port, state_);
}
SharedEvent::~SharedEvent() = default;

std::uint64_t SharedEvent::signaled_value() const {
  const std::lock_guard lock(state_->mutex);
  return state_->value;
}
void SharedEvent::signal(std::uint64_t value) {
  const std::lock_guard lock(state_->mutex);
  state_->value = value;
  state_->changed.notify_all();
}
bool SharedEvent::wait(std::uint64_t value, std::chrono::milliseconds timeout) const {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, timeout, [&] { return state_->value >= value; });
}
std::uint32_t SharedEvent::port() const { return state_->port; }
bool SharedEvent::attach(std::uint32_t port) {
  Ports& p = ports();
  const std::lock_guard lock(p.mutex);
  const auto found = p.events.find(port);
  const std::shared_ptr<State> state = found == p.events.end() ? nullptr : found->second.lock();
  if (state != nullptr) state_ = state;
  return state != nullptr;
}

namespace {

Object* event_init_with_port(SharedEvent& self, std::uint32_t port) {
  if (self.attach(port)) return &self;
  release(&self);
  return nullptr;
}
bool event_wait(SharedEvent& self, std::uint64_t value, std::uint64_t timeout_ms) {
  // A day is for ever, and short enough to be added to the time of a clock.
  constexpr std::uint64_t kMaxTimeoutMs = std::uint64_t{24} * 60 * 60 * 1000;
  return self.wait(value, std::chrono::milliseconds(std::min(timeout_ms, kMaxTimeoutMs)));
}

// The surface that a C function is given, or a trap and null.
IoSurface* checked_surface(Object* surface, const char* function) {
  auto* checked = cast<IoSurface>(surface);
  if (checked == nullptr) trap(std::string(function) + "() is given no live IOSurface");
  return checked;
}

template <class Read>
auto read_surface(Object* surface, const char* function, const Read& read) {
  IoSurface* checked = checked_surface(surface, function);
  return checked == nullptr ? decltype(read(*checked)){} : read(*checked);
}

// IOSurfaceLockOptions and IOReturn
constexpr std::uint32_t kLockReadOnly = 1;
constexpr auto kReturnError = static_cast<std::int32_t>(0xe00002bc);

// The number under `key`, 0 when there is none; `ok` becomes false when it is something else.
std::size_t property(NsDictionary& properties, Object* key, bool& ok) {
  Object* value = properties.find(*key);
  if (value == nullptr) return 0;
  const auto* number = cast<NsNumber>(value);
  if (number == nullptr || number->as_int64() < 0) {
    ok = false;
    return 0;
  }
  return static_cast<std::size_t>(number->as_uint64());
}

Object* constant(std::string_view name) {
  Object* string = make_string(name).detach();
  make_immortal(*string);
  return string;
}

}  // namespace

void define_io_surface_classes() {
  define_class<IoSurface>("IOSurface").breaks_after_fork();
  define_class<SharedEvent>("IOSurfaceSharedEvent")
      .creatable()
      .breaks_after_fork()
      .method<&event_init_with_port>("initWithMachPort:")
      .method<&SharedEvent::signaled_value>("signaledValue")
      .method<&SharedEvent::signal>("setSignaledValue:")
      .method<&SharedEvent::port>("eventPort")
      .method<&event_wait>("waitUntilSignaledValue:timeoutMS:");
  kIOSurfaceWidth = constant("IOSurfaceWidth");
  kIOSurfaceHeight = constant("IOSurfaceHeight");
  kIOSurfaceBytesPerElement = constant("IOSurfaceBytesPerElement");
  kIOSurfaceBytesPerRow = constant("IOSurfaceBytesPerRow");
  kIOSurfaceAllocSize = constant("IOSurfaceAllocSize");
  kIOSurfacePixelFormat = constant("IOSurfacePixelFormat");
}

}  // namespace milgen::fake_ane

using namespace milgen::fake_ane;

Object* kIOSurfaceWidth = nullptr;
Object* kIOSurfaceHeight = nullptr;
Object* kIOSurfaceBytesPerElement = nullptr;
Object* kIOSurfaceBytesPerRow = nullptr;
Object* kIOSurfaceAllocSize = nullptr;
Object* kIOSurfacePixelFormat = nullptr;

Object* IOSurfaceCreate(Object* dictionary) {
  auto* values = cast<NsDictionary>(dictionary);
  if (values == nullptr) {
    trap("IOSurfaceCreate() is given no NSDictionary");
    return nullptr;
  }
  bool ok = true;
  const IoSurface::Properties properties{
      .width = property(*values, kIOSurfaceWidth, ok),
      .height = property(*values, kIOSurfaceHeight, ok),
      .bytes_per_element = property(*values, kIOSurfaceBytesPerElement, ok),
      .bytes_per_row = property(*values, kIOSurfaceBytesPerRow, ok),
      .alloc_size = property(*values, kIOSurfaceAllocSize, ok),
      .pixel_format = static_cast<std::uint32_t>(property(*values, kIOSurfacePixelFormat, ok))};
  return ok ? IoSurface::create(properties).detach() : nullptr;
}

std::int32_t IOSurfaceLock(Object* surface, std::uint32_t options, std::uint32_t* /*seed*/) {
  IoSurface* checked = checked_surface(surface, "IOSurfaceLock");
  if (checked == nullptr) return kReturnError;
  checked->lock((options & kLockReadOnly) != 0);
  return 0;
}
std::int32_t IOSurfaceUnlock(Object* surface, std::uint32_t options, std::uint32_t* /*seed*/) {
  IoSurface* checked = checked_surface(surface, "IOSurfaceUnlock");
  const bool unlocked = checked != nullptr && checked->unlock((options & kLockReadOnly) != 0);
  return unlocked ? 0 : kReturnError;
}

void* IOSurfaceGetBaseAddress(Object* surface) {
  return read_surface(surface, "IOSurfaceGetBaseAddress",
                      [](IoSurface& s) -> void* { return s.bytes().data(); });
}
std::size_t IOSurfaceGetAllocSize(Object* surface) {
  return read_surface(surface, "IOSurfaceGetAllocSize",
                      [](IoSurface& s) { return s.properties().alloc_size; });
}
std::uint32_t IOSurfaceGetID(Object* surface) {
  return read_surface(surface, "IOSurfaceGetID", [](IoSurface& s) { return s.id(); });
}
std::size_t IOSurfaceGetWidth(Object* surface) {
  return read_surface(surface, "IOSurfaceGetWidth",
                      [](IoSurface& s) { return s.properties().width; });
}
std::size_t IOSurfaceGetHeight(Object* surface) {
  return read_surface(surface, "IOSurfaceGetHeight",
                      [](IoSurface& s) { return s.properties().height; });
}
std::size_t IOSurfaceGetBytesPerRow(Object* surface) {
  return read_surface(surface, "IOSurfaceGetBytesPerRow",
                      [](IoSurface& s) { return s.properties().bytes_per_row; });
}
std::size_t IOSurfaceGetBytesPerElement(Object* surface) {
  return read_surface(surface, "IOSurfaceGetBytesPerElement",
                      [](IoSurface& s) { return s.properties().bytes_per_element; });
}
std::int32_t IOSurfaceGetUseCount(Object* surface) {
  return read_surface(surface, "IOSurfaceGetUseCount",
                      [](IoSurface& s) { return s.use_count.load(); });
}
void IOSurfaceIncrementUseCount(Object* surface) {
  IoSurface* checked = checked_surface(surface, "IOSurfaceIncrementUseCount");
  if (checked != nullptr) ++checked->use_count;
}
void IOSurfaceDecrementUseCount(Object* surface) {
  IoSurface* checked = checked_surface(surface, "IOSurfaceDecrementUseCount");
  if (checked == nullptr) return;
  if (checked->use_count.fetch_sub(1) <= 0) {
    trap("IOSurfaceDecrementUseCount() is called more often than IOSurfaceIncrementUseCount()");
  }
}

Object* IOSurfaceSharedEventCreate() { return make<SharedEvent>().detach(); }
