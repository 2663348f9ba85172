#include "cli/files.h"

#include <cstdint>
#include <filesystem>

#include "support/files.h"

namespace milgen::cli {

bool read_text(const std::string& path, std::string& text, Diagnostics& diagnostics) {
  constexpr std::uint64_t kLargestTextBytes = std::uint64_t{1} << 30;
  return read_file(path, kLargestTextBytes, text, diagnostics);
}

bool write_file(const std::string& path, std::string_view content, Diagnostics& diagnostics) {
  AtomicFile file;
  return file.open(path, diagnostics) && file.write(content, diagnostics) &&
         file.commit(diagnostics);
}

bool make_parent_folders(const std::string& path, Diagnostics& diagnostics) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() || make_folders(parent, diagnostics);
}

}  // namespace milgen::cli
