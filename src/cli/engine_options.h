// What `compile`, `bench`, `info` and `probe` have in common: the engine, and how a model is
// brought up on it.
#pragma once

#include <string>
#include <string_view>

#include "cli/args.h"
#include "cli/context.h"
#include "cli/json.h"
#include "milgen/ane/engine.h"
#include "milgen/ane/model.h"
#include "milgen/diagnostic.h"

namespace milgen::cli {

struct RunTarget;

/// The engine of this machine; none, after a report, where there is none: the command's exit code
/// is kExitUnavailable then.
ane::Engine open_engine(Diagnostics& diagnostics);

/// --qos, --option, --perf-mask, --route, --timeout, --cache, --cache-folder, --dump. `usage.value`
/// for a value that is none.
bool read_engine_options(const Context& context, const Args& args, ane::ModelOptions& options,
                         Diagnostics& diagnostics);

/// "standard", "client", "direct", "real-time"
std::string_view route_name(ane::EvaluateRoute route);
/// False, with `route` as it was, for a text that is none's name.
bool parse_route(std::string_view text, ane::EvaluateRoute& route);

/// Compiles and loads a target, saying so on err while it lasts; none after a report.
ane::Model bring_up(const Context& context, const ane::Engine& engine, const RunTarget& target,
                    const ane::ModelOptions& options, Diagnostics& diagnostics);

/// "engine: fake\n": the first line of every report of what an engine did.
std::string engine_line(std::string_view label);

/// One line for each input and output: how it lies in its surface and which symbol it is.
std::string layout_table(const ane::Model& model);
Json layout_json(const ane::Model& model);
/// One line for each phase that took time.
std::string phase_table(const ane::CompileStats& stats);
Json phase_json(const ane::CompileStats& stats);

}  // namespace milgen::cli
