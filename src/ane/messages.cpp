#include "ane/messages.h"

#include <fmt/format.h>

#include <string>

namespace milgen::ane {
namespace {

using C = RuntimeClass;
using M = Message;

// Class methods and required messages, by words instead of bare truth values.
constexpr bool kClass = true;
constexpr bool kInstance = false;
constexpr bool kRequired = true;
constexpr bool kOptional = false;

constexpr std::array<RuntimeClassRow, kClassCount> kClasses = {{
    {"_ANEInMemoryModelDescriptor", kRequired},
    {"_ANEInMemoryModel", kRequired},
    {"_ANEModel", kOptional},
    {"_ANERequest", kRequired},
    {"_ANEIOSurfaceObject", kRequired},
    {"_ANEClient", kOptional},
    {"_ANEPerformanceStats", kOptional},
    {"_ANESharedEvents", kOptional},
    {"_ANESharedSignalEvent", kOptional},
    {"_ANESharedWaitEvent", kOptional},
    {"_ANEDeviceInfo", kOptional},
    {"IOSurfaceSharedEvent", kOptional},
}};

constexpr std::array<MessageRow, kMessageCount> kMessages = {{
    {M::descriptor_with_mil, C::in_memory_descriptor, kClass, kRequired,
     "modelWithMILText:weights:optionsPlist:", "makes a program of MIL text"},

    {M::model_with_descriptor, C::in_memory_model, kClass, kRequired,
     "inMemoryModelWithDescriptor:", "makes the model"},
    {M::hex_identifier, C::in_memory_model, kInstance, kRequired, "hexStringIdentifier",
     "names the program and its folder"},
    {M::set_model_url, C::in_memory_model, kInstance, kOptional,
     "setModelURL:", "puts the program into a folder of the cache"},
    {M::compile, C::in_memory_model, kInstance, kRequired,
     "compileWithQoS:options:error:", "compiles"},
    {M::load, C::in_memory_model, kInstance, kRequired, "loadWithQoS:options:error:", "loads"},
    {M::unload, C::in_memory_model, kInstance, kRequired, "unloadWithQoS:error:", "unloads"},
    {M::evaluate, C::in_memory_model, kInstance, kRequired,
     "evaluateWithQoS:options:request:error:", "evaluates"},
    {M::map_surfaces, C::in_memory_model, kInstance, kOptional,
     "mapIOSurfacesWithRequest:cacheInference:error:",
     "maps surfaces once, not at each evaluation"},
    {M::unmap_surfaces, C::in_memory_model, kInstance, kOptional,
     "unmapIOSurfacesWithRequest:", "takes that back"},
    {M::compiled_model_exists, C::in_memory_model, kInstance, kOptional, "compiledModelExists",
     "tells whether a program of the cache is still compiled"},
    {M::purge_compiled_model, C::in_memory_model, kInstance, kOptional, "purgeCompiledModel",
     "removes what the engine keeps of a program"},
    {M::inner_model, C::in_memory_model, kInstance, kOptional, "model",
     "the _ANEModel, which knows the symbols"},
    {M::in_memory_attributes, C::in_memory_model, kInstance, kOptional, "modelAttributes",
     "row strides and symbol names; without, rows of 64 bytes and sorted names"},
    {M::in_memory_state, C::in_memory_model, kInstance, kOptional, "state", "telemetry"},
    {M::in_memory_queue_depth, C::in_memory_model, kInstance, kOptional, "queueDepth", "telemetry"},
    {M::in_memory_perf_mask, C::in_memory_model, kInstance, kOptional, "perfStatsMask",
     "performance counters"},
    {M::set_in_memory_perf_mask, C::in_memory_model, kInstance, kOptional,
     "setPerfStatsMask:", "performance counters"},
    {M::in_memory_program_handle, C::in_memory_model, kInstance, kOptional, "programHandle",
     "telemetry"},
    {M::in_memory_intermediate_buffer, C::in_memory_model, kInstance, kOptional,
     "intermediateBufferHandle", "telemetry: not 0 when intermediate values go to memory"},

    {M::model_at_url, C::model, kClass, kOptional, "modelAtURL:key:", "opens compiled packages"},
    {M::model_attributes, C::model, kInstance, kOptional, "modelAttributes",
     "row strides and symbol names; without, rows of 64 bytes and sorted names"},
    {M::input_symbol_indices, C::model, kInstance, kOptional,
     "inputSymbolIndicesForProcedureIndex:", "binds inputs; without, in the order of names"},
    {M::output_symbol_indices, C::model, kInstance, kOptional,
     "outputSymbolIndicesForProcedureIndex:", "binds outputs; without, in the order of names"},
    {M::model_state, C::model, kInstance, kOptional, "state", "telemetry"},
    {M::model_queue_depth, C::model, kInstance, kOptional, "queueDepth", "telemetry"},
    {M::model_perf_mask, C::model, kInstance, kOptional, "perfStatsMask", "performance counters"},
    {M::set_model_perf_mask, C::model, kInstance, kOptional,
     "setPerfStatsMask:", "performance counters"},
    {M::model_program_handle, C::model, kInstance, kOptional, "programHandle", "telemetry"},

    {M::request_7, C::request, kClass, kOptional,
     "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:",
     "makes requests; one of three forms is needed"},
    {M::request_6, C::request, kClass, kOptional,
     "requestWithInputs:inputIndices:outputs:outputIndices:perfStats:procedureIndex:",
     "makes requests; one of three forms is needed"},
    {M::request_5, C::request, kClass, kOptional,
     "requestWithInputs:inputIndices:outputs:outputIndices:procedureIndex:",
     "makes requests; one of three forms is needed"},
    {M::request_events, C::request, kClass, kOptional,
     "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:"
     "sharedEvents:transactionHandle:",
     "makes requests with shared events"},
    {M::set_perf_stats, C::request, kInstance, kOptional, "setPerfStats:", "performance counters"},
    {M::set_shared_events, C::request, kInstance, kOptional, "setSharedEvents:", "shared events"},

    {M::object_with_surface, C::io_surface_object, kClass, kRequired,
     "objectWithIOSurface:", "gives surfaces to requests"},

    {M::shared_connection, C::client, kClass, kOptional, "sharedConnection",
     "packages, real time and the routes client and direct"},
    {M::client_compile, C::client, kInstance, kOptional,
     "compileModel:options:qos:error:", "compiles packages"},
    {M::client_load, C::client, kInstance, kOptional,
     "loadModel:options:qos:error:", "loads packages"},
    {M::client_unload, C::client, kInstance, kOptional,
     "unloadModel:options:qos:error:", "unloads packages"},
    {M::client_evaluate, C::client, kInstance, kOptional,
     "evaluateWithModel:options:request:qos:error:", "the route client, and packages"},
    {M::client_evaluate_direct, C::client, kInstance, kOptional,
     "doEvaluateDirectWithModel:options:request:qos:error:", "the route direct"},
    {M::client_evaluate_real_time, C::client, kInstance, kOptional,
     "evaluateRealTimeWithModel:options:request:error:", "the route real_time"},
    {M::begin_real_time, C::client, kInstance, kOptional, "beginRealTimeTask", "real-time tasks"},
    {M::end_real_time, C::client, kInstance, kOptional, "endRealTimeTask", "real-time tasks"},
    {M::client_map_surfaces, C::client, kInstance, kOptional,
     "mapIOSurfacesWithModel:request:cacheInference:error:", "maps the surfaces of packages"},
    {M::client_unmap_surfaces, C::client, kInstance, kOptional,
     "unmapIOSurfacesWithModel:request:", "takes that back"},
    {M::client_is_virtual, C::client, kInstance, kOptional, "isVirtualClient",
     "tells virtual machines"},

    {M::stats_with_ns, C::performance_stats, kClass, kOptional,
     "statsWithHardwareExecutionNS:", "performance counters"},
    {M::stats_hardware_ns, C::performance_stats, kInstance, kOptional, "hwExecutionTime",
     "hardware time"},
    {M::stats_counters, C::performance_stats, kInstance, kOptional, "performanceCounters",
     "performance counters"},
    {M::stats_counter_data, C::performance_stats, kInstance, kOptional, "perfCounterData",
     "performance counters"},

    {M::shared_events_with, C::shared_events, kClass, kOptional,
     "sharedEventsWithSignalEvents:waitEvents:", "shared events"},
    {M::signal_event_with, C::shared_signal_event, kClass, kOptional,
     "signalEventWithValue:symbolIndex:eventType:sharedEvent:", "shared events"},
    {M::wait_event_with, C::shared_wait_event, kClass, kOptional,
     "waitEventWithValue:sharedEvent:", "shared events"},

    {M::device_has_ane, C::device_info, kClass, kOptional, "hasANE", "whether there is an engine"},
    {M::device_engines, C::device_info, kClass, kOptional, "numANEs", "facts of the device"},
    {M::device_cores, C::device_info, kClass, kOptional, "numANECores", "facts of the device"},
    {M::device_architecture, C::device_info, kClass, kOptional, "aneArchitectureType",
     "facts of the device; a part of the cache's key"},
    {M::device_sub_type, C::device_info, kClass, kOptional, "aneSubType", "facts of the device"},
    {M::device_board_type, C::device_info, kClass, kOptional, "aneBoardType",
     "facts of the device"},
    {M::device_product, C::device_info, kClass, kOptional, "productName", "facts of the device"},
    {M::device_build, C::device_info, kClass, kOptional, "buildVersion",
     "facts of the device; a part of the cache's key"},
    {M::device_is_vm, C::device_info, kClass, kOptional, "isVirtualMachine", "facts of the device"},
    {M::device_is_internal, C::device_info, kClass, kOptional, "isInternalBuild",
     "facts of the device"},
    {M::device_precompiled_checks_disabled, C::device_info, kClass, kOptional,
     "precompiledModelChecksDisabled", "facts of the device"},

    {M::event_with_port, C::io_surface_shared_event, kInstance, kOptional,
     "initWithMachPort:", "shared events of other processes"},
    {M::event_value, C::io_surface_shared_event, kInstance, kOptional, "signaledValue",
     "shared events"},
    {M::event_set_value, C::io_surface_shared_event, kInstance, kOptional,
     "setSignaledValue:", "shared events"},
    {M::event_port, C::io_surface_shared_event, kInstance, kOptional, "eventPort",
     "shared events for other processes"},
    {M::event_wait, C::io_surface_shared_event, kInstance, kOptional,
     "waitUntilSignaledValue:timeoutMS:", "shared events"},
}};

constexpr bool rows_follow_the_enum() {
  for (std::size_t i = 0; i < kMessageCount; ++i) {
    if (static_cast<std::size_t>(kMessages[i].message) != i) return false;
  }
  return true;
}
static_assert(rows_follow_the_enum());

std::array<std::string, kMessageCount> make_texts() {
  std::array<std::string, kMessageCount> texts;
  for (std::size_t i = 0; i < kMessageCount; ++i) {
    const MessageRow& row = kMessages[i];
    texts[i] = fmt::format("{}[{} {}]", row.class_method ? '+' : '-', class_row(row.owner).name,
                           row.selector);
  }
  return texts;
}

}  // namespace

const RuntimeClassRow& class_row(RuntimeClass which) {
  return kClasses[static_cast<std::size_t>(which)];
}

const MessageRow& message_row(Message message) {
  return kMessages[static_cast<std::size_t>(message)];
}

std::string_view message_text(Message message) {
  // Never destroyed: a call that the engine answers late may end with the process.
  static const auto* const texts = new std::array<std::string, kMessageCount>(make_texts());
  return (*texts)[static_cast<std::size_t>(message)];
}

}  // namespace milgen::ane
