// What a client hands to an evaluation: surfaces, events, statistics, and the request of them all.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine.h"
#include "foundation.h"
#include "io_surface.h"
#include "objc.h"

namespace milgen::fake_ane {

// _ANEIOSurfaceObject.
class SurfaceObject final : public Object {
 public:
  static Ref<SurfaceObject> of_surface(Class& self, IoSurface* surface);
  static Ref<SurfaceObject> of_surface_at(Class& self, IoSurface* surface, NsNumber* offset);

  SurfaceObject(IoSurface& surface, std::size_t offset) : surface_(&surface), offset_(offset) {}
  const IoSurface& surface() const { return *surface_; }
  std::span<std::byte> bytes() const { return surface_->bytes().subspan(offset_); }

 private:
  Ref<IoSurface> surface_;
  std::size_t offset_;
};

// _ANEPerformanceStats.
class PerformanceStats final : public Object {
 public:
  static Ref<PerformanceStats> with_ns(Class& self, std::uint64_t nanoseconds);
  static Ref<PerformanceStats> with_buffer(Class& self, void* buffer, std::uint64_t size);
  static unsigned driver_mask(Class& self, unsigned mask);

  explicit PerformanceStats(std::uint64_t nanoseconds) : nanoseconds_(nanoseconds) {}
  std::uint64_t execution_ns() const { return nanoseconds_; }
  void set_execution_ns(std::uint64_t nanoseconds) { nanoseconds_ = nanoseconds; }
  // Counters stay empty on the machines that sources tell of (ane_constraints, RT-008).
  Object* no_counters() const { return nullptr; }
  Object* no_name(int counter) const;

 private:
  std::atomic<std::uint64_t> nanoseconds_;
};

// _ANESharedSignalEvent.
class SignalEvent final : public Object {
 public:
  static Ref<SignalEvent> with_value(Class& self, std::uint64_t value, unsigned symbol,
                                     std::int64_t type, SharedEvent* event);
  SignalEvent(std::uint64_t value, SharedEvent& event) : value_(value), event_(&event) {}
  void signal() const { event_->signal(value_); }

 private:
  std::uint64_t value_;
  Ref<SharedEvent> event_;
};

// _ANESharedWaitEvent.
class WaitEvent final : public Object {
 public:
  static Ref<WaitEvent> with_value(Class& self, std::uint64_t value, SharedEvent* event);
  WaitEvent(std::uint64_t value, SharedEvent& event) : value_(value), event_(&event) {}
  // Blocks until the event has the value.
  void wait() const;

 private:
  std::uint64_t value_;
  Ref<SharedEvent> event_;
};

// _ANESharedEvents.
class SharedEvents final : public Object {
 public:
  static Ref<SharedEvents> with_events(Class& self, NsArray* signals, NsArray* waits);
  SharedEvents(std::vector<Ref<SignalEvent>> signals, std::vector<Ref<WaitEvent>> waits)
      : signals_(std::move(signals)), waits_(std::move(waits)) {}
  void wait() const;
  void signal() const;

 private:
  std::vector<Ref<SignalEvent>> signals_;
  std::vector<Ref<WaitEvent>> waits_;
};

// _ANERequest.
class Request final : public Object {
 public:
  // The arities that peers use (ane_runtime, section 4.6), the longest first.
  static Ref<Request> with_nine(Class& self, NsArray* inputs, NsArray* input_indices,
                                NsArray* outputs, NsArray* output_indices, SurfaceObject* weights,
                                Object* stats, NsNumber* procedure, SharedEvents* events,
                                NsNumber* transaction);
  static Ref<Request> with_seven(Class& self, NsArray* inputs, NsArray* input_indices,
                                 NsArray* outputs, NsArray* output_indices, SurfaceObject* weights,
                                 Object* stats, NsNumber* procedure);
  static Ref<Request> with_six(Class& self, NsArray* inputs, NsArray* input_indices,
                               NsArray* outputs, NsArray* output_indices, Object* stats,
                               NsNumber* procedure);
  static Ref<Request> with_five(Class& self, NsArray* inputs, NsArray* input_indices,
                                NsArray* outputs, NsArray* output_indices, NsNumber* procedure);

  Object* perf_stats() { return stats_.get(); }
  void set_perf_stats(Object* stats);
  SharedEvents* shared_events() { return events_.get(); }
  void set_shared_events(SharedEvents* events) { events_ = Ref<SharedEvents>(events); }
  void set_completion_handler(void* block) { completion_ = block; }
  bool validate() const;

  std::span<const BoundSurface> inputs() const { return inputs_; }
  std::span<const BoundSurface> outputs() const { return outputs_; }
  std::size_t procedure() const { return procedure_; }
  // A surface that a client has locked; null when there is none.
  const IoSurface* locked_surface() const;
  // Every statistics object of the request gets the time.
  void report_ns(std::uint64_t nanoseconds);
  void complete(bool success, Object* error) const;

 private:
  friend Ref<Request> make<Request>();
  Request() = default;
  bool take(std::string_view what, NsArray* surfaces, NsArray* indices,
            std::vector<BoundSurface>& bound);

  std::vector<Ref<SurfaceObject>> surfaces_;
  std::vector<BoundSurface> inputs_;
  std::vector<BoundSurface> outputs_;
  bool counts_fit_ = true;
  std::size_t procedure_ = 0;
  Ref<Object> stats_;
  Ref<SharedEvents> events_;
  void* completion_ = nullptr;
};

void define_ane_request_classes();

}  // namespace milgen::fake_ane
