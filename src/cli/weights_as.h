// --weights-as: how the weights of a kernel reach the engine, as a command line says it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/args.h"
#include "cli/json.h"
#include "cli/kernel_args.h"
#include "milgen/diagnostic.h"
#include "milgen/program.h"
#include "milgen/registry.h"
#include "milgen/weight_modes.h"

namespace milgen::cli {

/// The option itself.
inline constexpr OptionSpec kWeightsAs = {
    .name = "--weights-as",
    .value = "MODES",
    .doc =
        "of a kernel: const (default), weights are compiled in; param, inputs of their own; "
        "packed, columns behind an input; WEIGHT=MODE for one of them, as packed,wo=const",
    .repeatable = true};

/// Every mode, constants first.
std::span<const WeightsAs> all_weight_modes();

/// What all of --weights-as say together; `usage.value` for a word that is no mode, a second mode
/// for all weights and a second one for the same weight.
bool read_weight_modes(const Args& args, WeightModes& modes, Diagnostics& diagnostics);
/// The same for these texts; `option` is what they are of.
bool parse_weight_modes(std::string_view option, std::span<const std::string> texts,
                        WeightModes& modes, Diagnostics& diagnostics);

/// Whether nothing but constants is asked for.
bool is_constant(const WeightModes& modes);
/// "param", "packed,wo=const"
std::string weight_modes_text(const WeightModes& modes);

/// with_weights_as(), which nothing is asked of where the modes are constants. Warns where no
/// weight becomes an input, although some should.
Program apply_weight_modes(const Program& program, const WeightModes& modes,
                           Diagnostics& diagnostics);
/// The first kernel of a request, at its configuration, with the weights as `modes` says.
Program build_requested(const KernelRequest& request, const WeightModes& modes,
                        Diagnostics& diagnostics);

/// The program in one mode for all; false where no weight becomes an input by it.
Program in_weight_mode(const Program& program, WeightsAs as);

/// A program in the modes that make sense for it.
struct ModeVersion {
  WeightsAs as = WeightsAs::constant;
  Program program;
};
std::vector<ModeVersion> mode_versions(const Program& program);

/// Ops that compute or move data: all but constants.
std::size_t working_ops(const Program& program);

/// The weights that are inputs, in the order of the plan.
std::vector<std::string_view> planned_weights(const WeightPlan& plan);
Json to_json(const WeightPlan& plan);

}  // namespace milgen::cli
