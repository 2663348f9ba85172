// Parts of a weight plan straight into a model's surfaces.
//
//     const WeightPlan plan = weight_plan(program);
//     if (auto error = ane::write_part(model, plan, "wq", wq)) return fail(error.text());
#pragma once

#include <span>
#include <string_view>

#include "milgen/ane/error.h"
#include "milgen/ane/model.h"
#include "milgen/weight_inputs.h"
#include "milgen/weight_modes.h"

namespace milgen::ane {

/// Writes an activation or a weight by its name: the part's elements in row-major order, or those
/// of its transpose, rounded to nearest, ties to even, into the part's place in its input's surface
/// and nowhere else. The input keeps them until they are written again. `argument` for a name that
/// the plan does not have, a plan of another program (an input of another dtype or shape), and
/// another number of elements.
Error write_part(Model& model, const WeightPlan& plan, std::string_view part,
                 std::span<const float> values, Transposed transposed = Transposed::no);
/// The same for a part that was found before.
Error write_part(Model& model, const PlannedInput& input, const PlannedPart& part,
                 std::span<const float> values, Transposed transposed = Transposed::no);

}  // namespace milgen::ane
