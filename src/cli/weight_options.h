// Options that emit and its kin share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cli/args.h"
#include "cli/context.h"
#include "milgen/emit.h"
#include "milgen/weights.h"

namespace milgen::cli {

/// --weights-from and --map. Null after a report; `usage` is then whether the command line itself
/// was wrong.
std::unique_ptr<WeightSource> weight_source(const Context& context, const Args& args, bool& usage,
                                            Diagnostics& diagnostics);

/// --weight-file, --merge-identical, --no-weights, --style, --floats, --build-info,
/// --no-build-info.
bool emit_options(const Args& args, EmitOptions& options, Diagnostics& diagnostics);

/// Writes how far the weights are to err, and only when that takes longer than a second.
class ProgressLine {
 public:
  explicit ProgressLine(const Context& context);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  /// A milgen::Progress whose context is a ProgressLine.
  static void show(void* line, std::string_view what, std::uint64_t done_bytes,
                   std::uint64_t total_bytes);

 private:
  const Context& context_;
  std::int64_t next_ms_;
  bool shown_ = false;
};

/// Milliseconds of a clock that only goes forward.
std::int64_t steady_ms();

}  // namespace milgen::cli
