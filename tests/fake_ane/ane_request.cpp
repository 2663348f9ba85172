#include "ane_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "control.h"

namespace milgen::fake_ane {
namespace {

/// The items of an array as objects of one class; traps at the first that is something else.
template <class T>
bool items_of(std::string_view what, NsArray* array, std::vector<Ref<T>>& items) {
  if (array == nullptr) return true;
  for (const Ref<Object>& item : array->items()) {
    T* object = cast<T>(item.get());
    if (object == nullptr) {
      trap(fmt::format("{} holds {}, which is no {}", what, item->description(),
                       class_object<T>->name()));
      return false;
    }
    items.emplace_back(object);
  }
  return true;
}

/// The head of a block as compilers lay it out (Block Implementation Specification of LLVM).
struct Block {
  void* isa;
  int flags;
  int reserved;
  void (*invoke)(Block*, bool, Object*);
};

}  // namespace

Ref<SurfaceObject> SurfaceObject::of_surface(Class&, IoSurface* surface) {
  if (surface == nullptr) return nullptr;
  return make<SurfaceObject>(*surface, std::size_t{0});
}

Ref<SurfaceObject> SurfaceObject::of_surface_at(Class&, IoSurface* surface, NsNumber* offset) {
  if (surface == nullptr) return nullptr;
  const std::uint64_t start = offset == nullptr ? 0 : offset->as_uint64();
  if (start > surface->bytes().size()) {
    violation(fmt::format("a surface of {} bytes is taken from byte {} on", surface->bytes().size(),
                          start));
    return nullptr;
  }
  return make<SurfaceObject>(*surface, static_cast<std::size_t>(start));
}

Ref<PerformanceStats> PerformanceStats::with_ns(Class&, std::uint64_t nanoseconds) {
  return make<PerformanceStats>(nanoseconds);
}

Ref<PerformanceStats> PerformanceStats::with_buffer(Class&, void*, std::uint64_t) {
  return make<PerformanceStats>(std::uint64_t{0});
}

/// The mask has 4 bits (ane_constraints, RT-008).
unsigned PerformanceStats::driver_mask(Class&, unsigned mask) { return mask & 0xFu; }

Object* PerformanceStats::no_name(int) const { return nullptr; }

/// Sources name several event types, and none that is refused (ane_runtime, section 4.9).
Ref<SignalEvent> SignalEvent::with_value(Class&, std::uint64_t value, unsigned, std::int64_t,
                                         SharedEvent* event) {
  return event == nullptr ? nullptr : make<SignalEvent>(value, *event);
}

Ref<WaitEvent> WaitEvent::with_value(Class&, std::uint64_t value, SharedEvent* event) {
  return event == nullptr ? nullptr : make<WaitEvent>(value, *event);
}

void WaitEvent::wait() const {
  while (!event_->wait(value_, std::chrono::milliseconds(1000))) {
  }
}

Ref<SharedEvents> SharedEvents::with_events(Class&, NsArray* signals, NsArray* waits) {
  std::vector<Ref<SignalEvent>> signal_events;
  std::vector<Ref<WaitEvent>> wait_events;
  if (!items_of("the array of signal events", signals, signal_events) ||
      !items_of("the array of wait events", waits, wait_events)) {
    return nullptr;
  }
  return make<SharedEvents>(std::move(signal_events), std::move(wait_events));
}

void SharedEvents::wait() const {
  for (const Ref<WaitEvent>& event : waits_) event->wait();
}

void SharedEvents::signal() const {
  for (const Ref<SignalEvent>& event : signals_) event->signal();
}

bool Request::take(std::string_view what, NsArray* surfaces, NsArray* indices,
                   std::vector<BoundSurface>& bound) {
  std::vector<Ref<SurfaceObject>> objects;
  std::vector<Ref<NsNumber>> numbers;
  if (!items_of(fmt::format("the array of {} surfaces", what), surfaces, objects) ||
      !items_of(fmt::format("the array of {} indices", what), indices, numbers)) {
    return false;
  }
  counts_fit_ = counts_fit_ && objects.size() == numbers.size();
  for (std::size_t i = 0; i < std::min(objects.size(), numbers.size()); ++i) {
    const IoSurface::Properties& properties = objects[i]->surface().properties();
    bound.push_back({.symbol = numbers[i]->as_uint64(),
                     .bytes = objects[i]->bytes(),
                     .row_bytes = properties.bytes_per_row,
                     .height = properties.height});
  }
  surfaces_.insert(surfaces_.end(), objects.begin(), objects.end());
  return true;
}

Ref<Request> Request::with_nine(Class&, NsArray* inputs, NsArray* input_indices, NsArray* outputs,
                                NsArray* output_indices, SurfaceObject* weights, Object* stats,
                                NsNumber* procedure, SharedEvents* events, NsNumber*) {
  Ref<Request> request = make<Request>();
  if (!request->take("input", inputs, input_indices, request->inputs_) ||
      !request->take("output", outputs, output_indices, request->outputs_)) {
    return nullptr;
  }
  if (procedure == nullptr) {
    trap("a request has no procedure index");
    return nullptr;
  }
  request->procedure_ = static_cast<std::size_t>(procedure->as_uint64());
  request->set_perf_stats(stats);
  request->set_shared_events(events);
  if (log_wanted()) {
    // A weights buffer changes nothing (ane_constraints, PR-011).
    log_call(fmt::format("+[_ANERequest request] inputs={} outputs={} procedure={}{}",
                         request->inputs_.size(), request->outputs_.size(), request->procedure_,
                         weights == nullptr ? "" : " weightsBuffer"));
  }
  return request;
}

Ref<Request> Request::with_seven(Class& self, NsArray* inputs, NsArray* input_indices,
                                 NsArray* outputs, NsArray* output_indices, SurfaceObject* weights,
                                 Object* stats, NsNumber* procedure) {
  return with_nine(self, inputs, input_indices, outputs, output_indices, weights, stats, procedure,
                   nullptr, nullptr);
}

Ref<Request> Request::with_six(Class& self, NsArray* inputs, NsArray* input_indices,
                               NsArray* outputs, NsArray* output_indices, Object* stats,
                               NsNumber* procedure) {
  return with_seven(self, inputs, input_indices, outputs, output_indices, nullptr, stats,
                    procedure);
}

Ref<Request> Request::with_five(Class& self, NsArray* inputs, NsArray* input_indices,
                                NsArray* outputs, NsArray* output_indices, NsNumber* procedure) {
  return with_six(self, inputs, input_indices, outputs, output_indices, nullptr, procedure);
}

void Request::set_perf_stats(Object* stats) {
  // One object, or an array of them (ane_runtime, section 4.9).
  std::vector<Ref<PerformanceStats>> ignored;
  if (auto* array = cast<NsArray>(stats); array != nullptr) {
    if (!items_of("the array of statistics", array, ignored)) return;
  } else if (stats != nullptr && cast<PerformanceStats>(stats) == nullptr) {
    trap(fmt::format("the statistics of a request are {}, which is no _ANEPerformanceStats",
                     stats->description()));
    return;
  }
  stats_ = Ref<Object>(stats);
}

bool Request::validate() const { return counts_fit_ && !inputs_.empty() && !outputs_.empty(); }

const IoSurface* Request::locked_surface() const {
  const auto at = std::ranges::find_if(
      surfaces_, [](const Ref<SurfaceObject>& object) { return object->surface().locks() != 0; });
  return at == surfaces_.end() ? nullptr : &(*at)->surface();
}

void Request::report_ns(std::uint64_t nanoseconds) {
  if (auto* stats = cast<PerformanceStats>(stats_.get()); stats != nullptr) {
    stats->set_execution_ns(nanoseconds);
  } else if (auto* array = cast<NsArray>(stats_.get()); array != nullptr) {
    for (const Ref<Object>& item : array->items()) {
      cast<PerformanceStats>(item.get())->set_execution_ns(nanoseconds);
    }
  }
}

void Request::complete(bool success, Object* error) const {
  if (completion_ == nullptr) return;
  auto* block = static_cast<Block*>(completion_);
  block->invoke(block, success, error);
}

void define_ane_request_classes() {
  define_class<SurfaceObject>("_ANEIOSurfaceObject")
      .class_method<&SurfaceObject::of_surface>("objectWithIOSurface:")
      .class_method<&SurfaceObject::of_surface_at>("objectWithIOSurface:startOffset:")
      .breaks_after_fork();
  define_class<PerformanceStats>("_ANEPerformanceStats")
      .class_method<&PerformanceStats::with_ns>("statsWithHardwareExecutionNS:")
      .class_method<&PerformanceStats::with_buffer>(
          "statsWithRequestPerformanceBuffer:statsBufferSize:")
      .class_method<&PerformanceStats::driver_mask>("driverMaskForANEFMask:")
      .method<&PerformanceStats::execution_ns>("hwExecutionTime")
      .method<&PerformanceStats::no_counters>("performanceCounters")
      .method<&PerformanceStats::no_counters>("perfCounterData")
      .method<&PerformanceStats::no_name>("stringForPerfCounter:")
      .breaks_after_fork();
  define_class<SignalEvent>("_ANESharedSignalEvent")
      .class_method<&SignalEvent::with_value>(
          "signalEventWithValue:symbolIndex:eventType:sharedEvent:")
      .breaks_after_fork();
  define_class<WaitEvent>("_ANESharedWaitEvent")
      .class_method<&WaitEvent::with_value>("waitEventWithValue:sharedEvent:")
      .breaks_after_fork();
  define_class<SharedEvents>("_ANESharedEvents")
      .class_method<&SharedEvents::with_events>("sharedEventsWithSignalEvents:waitEvents:")
      .breaks_after_fork();
  define_class<Request>("_ANERequest")
      .class_method<&Request::with_nine>(
          "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:"
          "procedureIndex:sharedEvents:transactionHandle:")
      .class_method<&Request::with_seven>(
          "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:"
          "procedureIndex:")
      .class_method<&Request::with_six>(
          "requestWithInputs:inputIndices:outputs:outputIndices:perfStats:procedureIndex:")
      .class_method<&Request::with_five>(
          "requestWithInputs:inputIndices:outputs:outputIndices:procedureIndex:")
      .method<&Request::perf_stats>("perfStats")
      .method<&Request::set_perf_stats>("setPerfStats:")
      .method<&Request::shared_events>("sharedEvents")
      .method<&Request::set_shared_events>("setSharedEvents:")
      .method<&Request::set_completion_handler>("setCompletionHandler:")
      .method<&Request::validate>("validate")
      .breaks_after_fork();
}

}  // namespace milgen::fake_ane
