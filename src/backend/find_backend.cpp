#include "milgen/backend.h"

namespace milgen {

const Backend* find_backend(std::string_view name) {
#if MILGEN_HAS_CPU
  if (name == cpu_backend().name()) return &cpu_backend();
#endif
  return name == ane_backend().name() ? &ane_backend() : nullptr;
}

}  // namespace milgen
