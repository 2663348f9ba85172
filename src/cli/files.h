// Files as commands use them: whole and small. Weights go through the library's streams.
#pragma once

#include <string>
#include <string_view>

#include "milgen/diagnostic.h"

namespace milgen::cli {

/// The whole of a text file; `file.*` when it cannot be read or is beyond a gibibyte.
bool read_text(const std::string& path, std::string& text, Diagnostics& diagnostics);
/// Puts a file in its place whole or not at all.
bool write_file(const std::string& path, std::string_view content, Diagnostics& diagnostics);
bool make_parent_folders(const std::string& path, Diagnostics& diagnostics);

}  // namespace milgen::cli
