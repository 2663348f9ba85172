// Taking a folder away with everything in it.
#pragma once

#include <string>

#include "milgen/ane/error.h"

namespace milgen::ane {

/// Removes everything in the folder. Never follows a symbolic link and never leaves the folder,
/// whatever becomes of it meanwhile; takes any depth. Errors: `file`, also for a path that is no
/// folder.
Error empty_folder(const std::string& path);
/// The folder, too. No error when there is none.
Error remove_folder(const std::string& path);

}  // namespace milgen::ane
