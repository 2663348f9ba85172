// Reading what the runtime fills statistics with.
#pragma once

#include <cstddef>
#include <vector>

#include "ane/platform.h"
#include "milgen/ane/telemetry.h"

namespace milgen::ane {

/// The numbers of a dictionary, by name; none of nil and of other objects. The caller has a pool.
std::vector<PerfCounter> counters_of(const Platform& platform, Id dictionary);
/// The bytes of an NSData; none of nil and of other objects.
std::vector<std::byte> bytes_of(const Platform& platform, Id data);

}  // namespace milgen::ane
