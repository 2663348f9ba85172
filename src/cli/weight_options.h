// Options that emit and its kin share.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cli/args.h"
#include "cli/context.h"
#include "milgen/emit.h"
#include "milgen/weights.h"

namespace milgen::cli {

/// The source `from`, as --weights-from says one, with --map and --strict. Null after a report;
/// `usage` is then whether the command line itself was wrong.
std::unique_ptr<WeightSource> weight_source(const Context& context, const Args& args,
                                            std::string_view from, bool& usage,
                                            Diagnostics& diagnostics);

/// --weight-file, --merge-identical, --no-weights, --style, --floats, --build-info,
/// --no-build-info.
bool emit_options(const Args& args, EmitOptions& options, Diagnostics& diagnostics);

}  // namespace milgen::cli
