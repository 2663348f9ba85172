// Every class and selector of the runtime that the binding sends to, in one table (ane_runtime, 4.1
// to 4.9). `milc info` prints it with what the system has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace milgen::ane {

enum class RuntimeClass : std::uint8_t {
  in_memory_descriptor,
  in_memory_model,
  model,
  request,
  io_surface_object,
  client,
  performance_stats,
  shared_events,
  shared_signal_event,
  shared_wait_event,
  device_info,
  io_surface_shared_event,
  count,
};
inline constexpr std::size_t kClassCount = static_cast<std::size_t>(RuntimeClass::count);

struct RuntimeClassRow {
  std::string_view name;  ///< "_ANEInMemoryModel"; the text ends with a zero byte
  bool required;
};
const RuntimeClassRow& class_row(RuntimeClass which);

enum class Message : std::uint8_t {
  // _ANEInMemoryModelDescriptor
  descriptor_with_mil,
  // _ANEInMemoryModel
  model_with_descriptor,
  hex_identifier,
  set_model_url,
  compile,
  load,
  unload,
  evaluate,
  map_surfaces,
  unmap_surfaces,
  compiled_model_exists,
  purge_compiled_model,
  inner_model,
  in_memory_attributes,
  in_memory_state,
  in_memory_queue_depth,
  in_memory_perf_mask,
  set_in_memory_perf_mask,
  in_memory_program_handle,
  in_memory_intermediate_buffer,
  // _ANEModel
  model_at_url,
  model_attributes,
  input_symbol_indices,
  output_symbol_indices,
  model_state,
  model_queue_depth,
  model_perf_mask,
  set_model_perf_mask,
  model_program_handle,
  // _ANERequest
  request_7,       ///< inputs, indices, outputs, indices, weightsBuffer, perfStats, procedureIndex
  request_6,       ///< without weightsBuffer
  request_5,       ///< without perfStats, too
  request_events,  ///< the seven, sharedEvents, transactionHandle
  set_perf_stats,
  set_shared_events,
  // _ANEIOSurfaceObject
  object_with_surface,
  // _ANEClient
  shared_connection,
  client_compile,
  client_load,
  client_unload,
  client_evaluate,
  client_evaluate_direct,
  client_evaluate_real_time,
  begin_real_time,
  end_real_time,
  client_map_surfaces,
  client_unmap_surfaces,
  client_is_virtual,
  // _ANEPerformanceStats
  stats_with_ns,
  stats_hardware_ns,
  stats_counters,
  stats_counter_data,
  // _ANESharedEvents, _ANESharedSignalEvent, _ANESharedWaitEvent
  shared_events_with,
  signal_event_with,
  wait_event_with,
  // _ANEDeviceInfo
  device_has_ane,
  device_engines,
  device_cores,
  device_architecture,
  device_sub_type,
  device_board_type,
  device_product,
  device_build,
  device_is_vm,
  device_is_internal,
  device_precompiled_checks_disabled,
  // IOSurfaceSharedEvent
  event_with_port,
  event_value,
  event_set_value,
  event_port,
  event_wait,
  count,
};
inline constexpr std::size_t kMessageCount = static_cast<std::size_t>(Message::count);

struct MessageRow {
  Message message;
  RuntimeClass owner;
  bool class_method;
  bool required;
  std::string_view selector;  ///< ends with a zero byte
  std::string_view purpose;   ///< what is done with it, for `milc info`
};
const MessageRow& message_row(Message message);
/// "-[_ANEInMemoryModel compileWithQoS:options:error:]"
std::string_view message_text(Message message);

}  // namespace milgen::ane
