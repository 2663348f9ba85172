// From a program's text to a loaded model with surfaces: the steps, in their order (ane_runtime,
// 4.2 to 4.6).
#pragma once

#include <memory>
#include <string>

#include "ane/model_state.h"
#include "ane/program_source.h"

namespace milgen::ane {

/// Whatever fails, all that was made is taken back when the last holder of the returned model's
/// state goes. A compile or load that does not end in time goes on with all that it uses, on a
/// thread of its own; when it ends after all, that is taken back, too.
Result<std::shared_ptr<ModelState>> bring_up(const Engine& engine, ProgramSource source,
                                             const ModelOptions& options);

/// The same for a compiled package. `declaration` is what its own model.mil declares, for an engine
/// that tells nothing; it may be empty.
Result<std::shared_ptr<ModelState>> bring_up_package(const Engine& engine,
                                                     const std::string& folder,
                                                     Declaration declaration,
                                                     const ModelOptions& options);

}  // namespace milgen::ane
