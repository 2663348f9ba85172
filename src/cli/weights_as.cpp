#include "cli/weights_as.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "ir/canonical.h"
#include "ir/graph.h"
#include "support/printable.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

constexpr std::array kModes = {WeightsAs::constant, WeightsAs::param, WeightsAs::packed};

bool refuse(Diagnostics& diagnostics, std::string message) {
  diagnostics.error(rule<"usage.value">.id(), std::move(message));
  return false;
}

bool read_mode(std::string_view option, std::string_view text, std::string_view word, WeightsAs& as,
               Diagnostics& diagnostics) {
  if (weights_as_from_name(word, as)) return true;
  std::vector<std::string_view> names;
  for (const WeightsAs mode : kModes) names.push_back(weights_as_name(mode));
  const std::string whole = word == text ? "" : fmt::format(" in '{}'", printable(text));
  return refuse(diagnostics,
                fmt::format("{} takes const, param or packed, or WEIGHT= and one of them, not "
                            "'{}'{}{}",
                            option, printable(word), whole, did_you_mean(word, names)));
}

/// Reads texts of one command line.
class ModeReader {
 public:
  ModeReader(std::string_view option, WeightModes& modes, Diagnostics& diagnostics)
      : option_(option), modes_(modes), diagnostics_(diagnostics) {}

  bool read(std::string_view text) {
    std::string_view rest = text;
    while (true) {
      const std::size_t comma = rest.find(',');
      if (!read_part(text, rest.substr(0, comma))) return false;
      if (comma == std::string_view::npos) return true;
      rest.remove_prefix(comma + 1);
    }
  }

 private:
  bool read_part(std::string_view text, std::string_view part) {
    const std::size_t equals = part.find('=');
    WeightsAs as = WeightsAs::constant;
    if (!read_mode(option_, text, equals == std::string_view::npos ? part : part.substr(equals + 1),
                   as, diagnostics_)) {
      return false;
    }
    return equals == std::string_view::npos ? set_all(as) : choose(part.substr(0, equals), as);
  }

  bool set_all(WeightsAs as) {
    if (has_all_ && modes_.all != as) {
      return refuse(diagnostics_, fmt::format("{} says {} and {} for all weights", option_,
                                              weights_as_name(modes_.all), weights_as_name(as)));
    }
    has_all_ = true;
    modes_.all = as;
    return true;
  }

  bool choose(std::string_view weight, WeightsAs as) {
    if (weight.empty()) {
      return refuse(diagnostics_, fmt::format("{} names no weight in front of '={}'", option_,
                                              weights_as_name(as)));
    }
    const auto same = std::ranges::find(modes_.choices, weight, &WeightChoice::weight);
    if (same != modes_.choices.end() && same->as != as) {
      return refuse(diagnostics_,
                    fmt::format("{} says {} and {} for '{}'", option_, weights_as_name(same->as),
                                weights_as_name(as), printable(weight)));
    }
    if (same == modes_.choices.end()) modes_.choices.push_back({std::string(weight), as});
    return true;
  }

  std::string_view option_;
  WeightModes& modes_;
  Diagnostics& diagnostics_;
  bool has_all_ = false;
};

Json part_json(const PlannedPart& part) {
  Json out;
  out["name"] = part.name;
  out["kind"] = part.is_weight ? "weight" : "activation";
  out["dtype"] = std::string(dtype_name(part.dtype));
  out["shape"] = to_json(part.shape);
  out["layout"] = std::string(part_layout_name(part.layout));
  out["first_column"] = part.first_column;
  out["columns"] = part.columns;
  return out;
}

}  // namespace

std::span<const WeightsAs> all_weight_modes() { return kModes; }

bool read_weight_modes(const Args& args, WeightModes& modes, Diagnostics& diagnostics) {
  return parse_weight_modes(kWeightsAs.name, args.values(kWeightsAs.name), modes, diagnostics);
}

bool parse_weight_modes(std::string_view option, std::span<const std::string> texts,
                        WeightModes& modes, Diagnostics& diagnostics) {
  ModeReader reader(option, modes, diagnostics);
  return std::ranges::all_of(texts, [&](const std::string& text) { return reader.read(text); });
}

bool is_constant(const WeightModes& modes) {
  return modes.all == WeightsAs::constant &&
         std::ranges::all_of(modes.choices, [](const WeightChoice& choice) {
           return choice.as == WeightsAs::constant;
         });
}

std::string weight_modes_text(const WeightModes& modes) {
  std::string out(weights_as_name(modes.all));
  for (const WeightChoice& choice : modes.choices) {
    out += fmt::format(",{}={}", choice.weight, weights_as_name(choice.as));
  }
  return out;
}

Program apply_weight_modes(const Program& program, const WeightModes& modes,
                           Diagnostics& diagnostics) {
  if (!program || (is_constant(modes) && modes.choices.empty())) return program;
  Program out = with_weights_as(program, modes, diagnostics);
  if (out && !is_constant(modes) && !weight_plan(out).has_weights()) {
    diagnostics.warning(rule<"weights.constant">.id(),
                        fmt::format("no weight of '{}' becomes an input by --weights-as={}",
                                    program.name(), weight_modes_text(modes)));
  }
  return out;
}

Program build_requested(const KernelRequest& request, const WeightModes& modes,
                        Diagnostics& diagnostics) {
  return apply_weight_modes(
      build_kernel(*request.set, *request.kernels.front(), request.config, diagnostics), modes,
      diagnostics);
}

Program in_weight_mode(const Program& program, WeightsAs as) {
  Diagnostics ignored;
  Program out = with_weights_as(program, {.all = as}, ignored);
  return weight_plan(out).has_weights() ? out : Program();
}

std::vector<ModeVersion> mode_versions(const Program& program) {
  std::vector<ModeVersion> out = {{WeightsAs::constant, program}};
  for (const WeightsAs as : {WeightsAs::param, WeightsAs::packed}) {
    if (Program version = in_weight_mode(program, as)) out.push_back({as, std::move(version)});
  }
  return out;
}

std::size_t working_ops(const Program& program) {
  const Graph& graph = *program.data().graph;
  return static_cast<std::size_t>(
      std::ranges::count_if(program.data().canonical.order,
                            [&](OpId id) { return graph.op(id).code != OpCode::const_; }));
}

std::vector<std::string_view> planned_weights(const WeightPlan& plan) {
  std::vector<std::string_view> out;
  for (const PlannedInput& input : plan.inputs) {
    for (const PlannedPart& part : input.parts) {
      if (part.is_weight) out.push_back(part.name);
    }
  }
  return out;
}

Json to_json(const WeightPlan& plan) {
  Json out = Json::array();
  for (const PlannedInput& input : plan.inputs) {
    Json entry;
    entry["name"] = input.name;
    entry["dtype"] = std::string(dtype_name(input.dtype));
    entry["shape"] = to_json(input.shape);
    entry["parts"] = Json::array();
    for (const PlannedPart& part : input.parts) entry["parts"].push_back(part_json(part));
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace milgen::cli
