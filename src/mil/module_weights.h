// Which weights a text refers to, for who has a module's inside at hand.
#pragma once

#include <vector>

#include "mil/module_data.h"
#include "milgen/emit.h"

namespace milgen::mil {

/// What weight_references() gives.
std::vector<WeightReference> references_of(const ModuleData& data);

}  // namespace milgen::mil
