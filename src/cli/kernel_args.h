// Kernels as a command line names them: KERNEL or SET/KERNEL, a configuration, NAME=VALUE.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "milgen/registry.h"

namespace milgen::cli {

struct KernelRequest {
  const KernelSetInfo* set = nullptr;
  std::vector<const KernelEntry*> kernels;
  KernelConfig config;
  /// The named configuration that `config` is; "" once a parameter has another value.
  std::string config_name;
};

/// Finds a set, or reports `usage.set`.
const KernelSetInfo* find_set(const Registry& registry, std::string_view name,
                              Diagnostics& diagnostics);

/// Finds a kernel; reports `usage.kernel`.
bool find_kernel(const Registry& registry, std::string_view name, KernelRequest& request,
                 Diagnostics& diagnostics);

/// Whether `name` means a kernel: nothing of that name is there to be opened, and there is one.
bool names_kernel(const Context& context, std::string_view name, KernelRequest& request);

/// Fills in the configuration: `config_name`, or the set's first where that is empty, then each
/// NAME=VALUE. Every fault is reported: `usage.config`, `usage.param`, `usage.value`.
bool configure(KernelRequest& request, std::string_view config_name,
               std::span<const std::string> assignments, Diagnostics& diagnostics);

std::string_view type_name(ParamType type);

}  // namespace milgen::cli
