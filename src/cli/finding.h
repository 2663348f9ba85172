// What a comparison found.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace milgen::cli {

struct Finding {
  Diagnostic what;          ///< its place is in the file that was looked at
  std::string detail = {};  ///< lines that show the difference, indented
  std::string accept = {};  ///< the command that accepts it; "" where nothing can be accepted
};

std::string finding_text(const Context& context, const Finding& finding);

}  // namespace milgen::cli
