// An emitted folder held against golden kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/finding.h"
#include "cli/golden.h"

namespace milgen::cli {

struct ArtifactOptions {
  std::string golden_dir;
  std::string config = {};  ///< "": the one whose text is nearest
  std::string filter = {};  ///< "": all
  bool weights = true;
};

/// What was found for one kernel of the folder.
struct ArtifactResult {
  std::string kernel;
  std::string config;  ///< "" where there is no golden
  bool text_matches = false;
  bool weights_match = false;
  std::size_t weight_files = 0;
};

/// Looks at every KERNEL.mil in `dir`. False when the work could not be done (`artifact.empty`,
/// `file.*`); differences are findings.
bool check_artifacts(const Context& context, const std::string& dir, const ArtifactOptions& options,
                     std::vector<ArtifactResult>& results, std::vector<Finding>& findings,
                     Diagnostics& diagnostics);

/// Whether a golden passes --filter: KERNEL.CONFIG or SET/KERNEL.CONFIG fits the pattern.
bool passes_filter(const GoldenKernel& golden, std::string_view filter);

}  // namespace milgen::cli
