// The machine that this runs on.
#pragma once

#include <cstdint>

namespace milgen {

/// The bytes of memory that the machine has; 2^62 where it does not say.
std::uint64_t machine_memory_bytes();

}  // namespace milgen
