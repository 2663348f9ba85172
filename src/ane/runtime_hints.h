// From what the runtime says of a failure to what is most likely the matter.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "milgen/ane/error.h"

namespace milgen::ane {

/// One NSError of a chain of underlying ones.
struct RuntimeFailure {
  std::string domain;
  std::int64_t code = 0;
  std::string description;
};

/// What can be done about it; "" when nothing is known. `chain` is empty when the runtime failed
/// without an NSError.
std::string_view runtime_hint(ErrorKind kind, std::span<const RuntimeFailure> chain);

}  // namespace milgen::ane
