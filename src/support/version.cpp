#include "milgen/version.h"

namespace milgen {

std::string_view version() { return MILGEN_VERSION; }

}  // namespace milgen
