#include "cli/weight_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/files.h"
#include "cli/format.h"
#include "cli/mil_input.h"
#include "milgen/print_cpp.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

/// The weights that a MIL text or a compiled model refers to.
std::unique_ptr<WeightSource> weights_of_text(const Context& context, std::string_view path,
                                              bool strict, Diagnostics& diagnostics) {
  std::vector<MilInput> inputs;
  Module module;
  if (!find_mil_inputs(context, path, inputs, diagnostics)) return nullptr;
  if (inputs.size() != 1) {
    diagnostics.error(
        rule<"weight.none">.id(),
        fmt::format("the folder holds {} texts; name the one whose weights are wanted",
                    inputs.size()),
        Place(std::string(path)));
    return nullptr;
  }
  if (!read_mil_input(context, inputs[0], module, diagnostics) || !module) return nullptr;
  return model_weights(module, inputs[0].folder, {.strict = strict}, diagnostics);
}

}  // namespace

std::unique_ptr<WeightSource> weight_source(const Context& context, const Args& args,
                                            std::string_view from, bool& usage,
                                            Diagnostics& diagnostics) {
  constexpr std::string_view kSeed = "seed:";
  usage = false;
  std::unique_ptr<WeightSource> source;
  if (from.starts_with(kSeed)) {
    std::uint64_t seed = 0;
    const std::string_view digits = from.substr(kSeed.size());
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), seed);
    if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) {
      usage = true;
      diagnostics.error(rule<"usage.value">.id(),
                        fmt::format("a seed is a number from 0 to 2^64 - 1, not '{}'", digits));
      return nullptr;
    }
    source = seeded_weights(seed);
  } else if (from.ends_with(".mil") || from.ends_with(".mlmodelc")) {
    source = weights_of_text(context, from, args.has("--strict"), diagnostics);
  } else {
    source = open_weights(context.resolve(from), {.strict = args.has("--strict")}, diagnostics);
  }
  if (source != nullptr && args.has("--map")) {
    const std::string map_path = context.resolve(args.value("--map"));
    std::string map;
    if (!read_text(map_path, map, diagnostics)) return nullptr;
    source = mapped_weights(std::move(source), map, map_path, diagnostics);
  }
  return source;
}

LayoutOptions layout_of(const KernelEntry& kernel) {
  LayoutOptions layout;
  layout.files = kernel.weight_files;
  if (layout.files == WeightFiles::shared) layout.shared_name = kernel.name + ".bin";
  return layout;
}

bool emit_options(const Args& args, EmitOptions& options, Diagnostics& diagnostics) {
  const std::size_t errors = diagnostics.errors();
  if (args.value("--weight-file") == "shared") options.layout.files = WeightFiles::shared;
  options.merge_identical = args.has("--merge-identical");
  options.write_weights = !args.has("--no-weights");
  if (args.value("--style") == "compact") options.print.style = TextStyle::compact;
  if (args.value("--floats") == "decimal") options.print.floats = FloatStyle::decimal;
  BuildInfo& info = options.print.build_info;
  if (args.has("--no-build-info")) info.clear();
  for (const std::string& pair : args.values("--build-info")) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      diagnostics.error(rule<"usage.value">.id(),
                        fmt::format("--build-info is KEY=VALUE, not '{}'", pair));
      continue;
    }
    const std::string key = pair.substr(0, equals);
    const auto same =
        std::ranges::find_if(info, [&](const auto& entry) { return entry.first == key; });
    if (same == info.end()) {
      info.emplace_back(key, pair.substr(equals + 1));
    } else {
      same->second = pair.substr(equals + 1);
    }
  }
  return diagnostics.errors() == errors;
}

}  // namespace milgen::cli
