#include "cli/finding.h"

#include <fmt/format.h>

namespace milgen::cli {

std::string finding_text(const Context& context, const Finding& finding) {
  Diagnostics one;
  one.add(finding.what);
  // The detail shows the lines already.
  std::string out = render_shown(context, one, false);
  out += finding.detail;
  if (!finding.accept.empty()) out += fmt::format("  to accept: {}\n", finding.accept);
  return out;
}

}  // namespace milgen::cli
