// The lines of a golden that say which kernel it is of.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/context.h"
#include "milgen/program.h"

namespace milgen::cli {

struct GoldenHeader {
  std::string set;
  std::string kernel;
  std::string config;
  std::vector<std::pair<std::string, std::string>> params;

  std::string id() const { return kernel + "." + config; }
};

/// Takes over a line `# KEY VALUE` with the key kernel, config or params; false for any other.
/// `good` is then whether the value could be read.
bool read_header_line(std::string_view key, std::string_view value, GoldenHeader& header,
                      bool& good);

/// Builds the kernel that the header of the golden `path` describes. Reports `golden.kernel` where
/// the registry cannot.
bool build_from_header(const Context& context, const GoldenHeader& header, const std::string& path,
                       Program& program, Diagnostics& diagnostics);

}  // namespace milgen::cli
