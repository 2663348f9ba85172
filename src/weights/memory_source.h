// Values in memory that come from somewhere.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "milgen/weights.h"

namespace milgen::detail {

/// memory_weights() for values that were read from `origin`, the path that messages name.
std::unique_ptr<WeightSource> memory_weights_of(const std::string& origin,
                                                std::vector<MemoryWeight> weights,
                                                const WeightSourceOptions& options,
                                                Diagnostics& diagnostics);

}  // namespace milgen::detail
