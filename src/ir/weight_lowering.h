// Builds the graph of a program whose weights, or some of them, are inputs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ir/weight_uses.h"
#include "milgen/diagnostic.h"
#include "milgen/program.h"
#include "milgen/weight_modes.h"

namespace milgen {

/// How a weight of WeightUses reaches the program.
struct LoweredPlace {
  WeightsAs as = WeightsAs::constant;
  // Of a packed weight.
  std::uint32_t input = 0;  ///< its index among the definition's inputs
  PartLayout layout = PartLayout::transposed;
  std::int64_t first_column = 0;
  std::int64_t columns = 0;
};

/// What a lowered program remembers.
struct WeightLowering {
  Program definition;  ///< what it was made from, with constants alone
  WeightPlan plan;
};

/// The plan of a program with constants alone: its inputs, which are activations.
WeightPlan plan_of_inputs(const Graph& graph);

/// `places` has an entry for each weight of `uses`, at least one of which is no constant.
Program lower_weights(const Program& definition, const WeightUses& uses,
                      std::span<const LoweredPlace> places, Diagnostics& diagnostics);

}  // namespace milgen
