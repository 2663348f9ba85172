// Options that emit and its kin share.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cli/args.h"
#include "cli/context.h"
#include "milgen/emit.h"
#include "milgen/registry.h"
#include "milgen/weights.h"

namespace milgen::cli {

/// The source `from`, as --weights-from says one, with --map and --strict. Null after a report;
/// `usage` is then whether the command line itself was wrong.
std::unique_ptr<WeightSource> weight_source(const Context& context, const Args& args,
                                            std::string_view from, bool& usage,
                                            Diagnostics& diagnostics);

/// How the weights of a kernel are laid out where nobody says otherwise; those that share a file
/// have one of the kernel's name, so that kernels can stand in one folder.
LayoutOptions layout_of(const KernelEntry& kernel);

/// --weight-file, --merge-identical, --no-weights, --style, --floats, --build-info,
/// --no-build-info.
bool emit_options(const Args& args, EmitOptions& options, Diagnostics& diagnostics);

}  // namespace milgen::cli
