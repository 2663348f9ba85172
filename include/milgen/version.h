// The version of the library.
#pragma once

#include <string_view>

namespace milgen {

/// "MAJOR.MINOR.PATCH", for example "0.1.0". The version of the canonical text form is another
/// number: kCanonicalVersion in program.h.
std::string_view version();

}  // namespace milgen
