#include "milgen/weight_modes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ir/weight_lowering.h"
#include "ir/weight_uses.h"
#include "support/printable.h"
#include "support/rule.h"

namespace milgen {
namespace {

/// Decides for each weight of a program how it reaches the engine.
class Chooser {
 public:
  Chooser(const Graph& graph, const WeightUses& uses, Diagnostics& diagnostics)
      : graph_(graph), uses_(uses), diagnostics_(diagnostics), places_(uses.weights().size()) {}

  /// False when a choice was refused.
  bool choose(const WeightModes& modes) {
    std::vector<const WeightChoice*> by_name(places_.size(), nullptr);
    if (!read_choices(modes, by_name)) return false;
    list_inputs();
    bool ok = true;
    for (std::uint32_t w = 0; w < places_.size(); ++w) {
      const WeightsAs wanted = by_name[w] != nullptr ? by_name[w]->as : modes.all;
      ok &= place(w, wanted, by_name[w] != nullptr);
    }
    if (ok) warn_width();
    return ok;
  }
  std::span<const LoweredPlace> places() const { return places_; }
  bool all_constant() const {
    return std::ranges::all_of(places_,
                               [](const LoweredPlace& at) { return at.as == WeightsAs::constant; });
  }

 private:
  /// An input that weights can be packed into.
  struct Host {
    std::uint32_t index;
    ValueId value;
    std::int64_t channels;
    std::int64_t columns;
  };

  std::string_view name_of(ValueId value) const {
    return graph_.names.view(graph_.value(value).name);
  }

  bool read_choices(const WeightModes& modes, std::vector<const WeightChoice*>& by_name) {
    std::map<std::string_view, std::uint32_t> known;
    for (std::uint32_t w = 0; w < places_.size(); ++w) {
      known.emplace(name_of(uses_.weights()[w].value), w);
    }
    bool ok = true;
    const auto refuse = [&](Rule broken, std::string message) {
      diagnostics_.error(broken.id(), std::move(message));
      ok = false;
    };
    for (const WeightChoice& choice : modes.choices) {
      const auto found = known.find(choice.weight);
      if (choice.weight.empty() || found == known.end()) {
        refuse(rule<"weights.unknown">,
               fmt::format("weight '{}' is to be {}, but no output needs a weight of that name",
                           printable(choice.weight), weights_as_name(choice.as)));
        continue;
      }
      const WeightChoice*& chosen = by_name[found->second];
      if (chosen != nullptr && chosen->as != choice.as) {
        refuse(rule<"weights.choice">,
               fmt::format("weight '{}' is to be {} and {}", choice.weight,
                           weights_as_name(chosen->as), weights_as_name(choice.as)));
      }
      chosen = &choice;
    }
    return ok;
  }

  void list_inputs() {
    for (std::uint32_t i = 0; i < graph_.inputs.size(); ++i) {
      const ValueId value = graph_.inputs[i];
      const TypeView type = graph_.types.view(graph_.value(value).type);
      std::int64_t count = 0;
      if (type.kind != TypeKind::tensor || type.rank() != 4 || type.dim(0) != 1 ||
          type.dim(2) != 1 || !element_count(type.shape, count) || type.dim(1) > INT32_MAX) {
        continue;
      }
      if (type.dtype != DType::fp16 && type.dtype != DType::fp32) continue;
      const auto host = static_cast<std::uint32_t>(hosts_.size());
      hosts_.push_back({i, value, type.dim(1), type.dim(3)});
      // Weights of fp16 go behind activations of fp16 and of fp32, whichever is declared first.
      first_with_.emplace(std::pair(DType::fp16, type.dim(1)), host);
      if (type.dtype == DType::fp32) {
        first_with_.emplace(std::pair(DType::fp32, type.dim(1)), host);
      }
    }
  }

  /// The first declared input with so many channels; kNone when there is none.
  std::uint32_t find_host(DType dtype, std::int64_t channels) const {
    const auto found = first_with_.find({dtype, channels});
    return found == first_with_.end() ? kNone : found->second;
  }

  bool place(std::uint32_t w, WeightsAs wanted, bool by_name) {
    const WeightUse& use = uses_.weights()[w];
    if (wanted == WeightsAs::constant) return true;
    if (!use.fixed.empty()) return stays(use, wanted, by_name, use.fixed);
    if (wanted == WeightsAs::param) {
      places_[w].as = WeightsAs::param;
      return true;
    }
    if (!use.is_matrix) {
      // A gain or a bias: nothing to say of, unless it was asked for.
      return !by_name ||
             stays(use, wanted, by_name, "it is no matrix of a projection or of a matmul");
    }
    return pack(w, by_name);
  }

  bool pack(std::uint32_t w, bool by_name) {
    const WeightUse& use = uses_.weights()[w];
    const DType dtype = graph_.types.dtype(graph_.value(use.value).type);
    LoweredPlace& place = places_[w];
    std::uint32_t at = find_host(dtype, use.columns);
    place.layout = at != kNone ? PartLayout::transposed : PartLayout::columns;
    if (at == kNone) at = find_host(dtype, use.rows);
    if (at == kNone) {
      return stays(
          use, WeightsAs::packed, by_name,
          fmt::format("no input [1, C, 1, S] for {} has a C of {}", dtype_name(dtype),
                      use.columns == use.rows ? fmt::to_string(use.columns)
                                              : fmt::format("{} or {}", use.columns, use.rows)));
    }
    Host& host = hosts_[at];
    const std::int64_t columns = place.layout == PartLayout::transposed ? use.rows : use.columns;
    std::int64_t count = 0;
    if (host.columns + columns > INT32_MAX ||
        !element_count(Shape{host.channels, host.columns + columns}, count)) {
      return stays(use, WeightsAs::packed, by_name,
                   fmt::format("input '{}' has {} columns already and takes no {} more",
                               name_of(host.value), host.columns, columns));
    }
    place.as = WeightsAs::packed;
    place.input = host.index;
    place.first_column = host.columns;
    place.columns = columns;
    host.columns += columns;
    return true;
  }

  /// Reports a weight that stays a constant: an error when it was chosen by name.
  bool stays(const WeightUse& use, WeightsAs wanted, bool by_name, std::string_view why) {
    const Place at(graph_.loc_of(use.value));
    Diagnostic& report =
        by_name ? diagnostics_.error(rule<"weights.choice">.id(),
                                     fmt::format("weight '{}' cannot be {}: {}", name_of(use.value),
                                                 weights_as_name(wanted), why),
                                     at)
                : diagnostics_.warning(
                      rule<"weights.constant">.id(),
                      fmt::format("weight '{}' stays a constant: {}", name_of(use.value), why), at);
    if (use.fixed_at.file != nullptr && why == use.fixed) {
      report.notes.push_back({"it is used here", Place(use.fixed_at)});
    }
    return !by_name;
  }

  void warn_width() {
    for (const Host& host : hosts_) {
      const std::int64_t own = graph_.types.shape(graph_.value(host.value).type)[3];
      if (host.columns == own || host.columns <= kMostPackedColumns) continue;
      diagnostics_.warning(rule<"weights.width">.id(),
                           fmt::format("input '{}' has {} columns with its weights, and some chips "
                                       "take no more than {}",
                                       name_of(host.value), host.columns, kMostPackedColumns),
                           graph_.loc_of(host.value));
    }
  }

  const Graph& graph_;
  const WeightUses& uses_;
  Diagnostics& diagnostics_;
  std::vector<LoweredPlace> places_;
  std::vector<Host> hosts_;
  /// The first host that takes weights of a dtype and has so many channels.
  std::map<std::pair<DType, std::int64_t>, std::uint32_t> first_with_;
};

}  // namespace

Program with_weights_as(const Program& program, const WeightModes& modes,
                        Diagnostics& diagnostics) {
  if (!program) return {};
  const auto& lowering = program.data().lowering;
  const Program definition = lowering != nullptr ? lowering->definition : program;
  const WeightUses uses(definition.data());
  Chooser chooser(*definition.data().graph, uses, diagnostics);
  if (!chooser.choose(modes)) return {};
  if (chooser.all_constant()) return definition;
  return lower_weights(definition, uses, chooser.places(), diagnostics);
}

WeightPlan weight_plan(const Program& program) {
  if (!program) return {};
  const auto& lowering = program.data().lowering;
  return lowering != nullptr ? lowering->plan : plan_of_inputs(*program.data().graph);
}

}  // namespace milgen
