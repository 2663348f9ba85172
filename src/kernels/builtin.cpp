#include "milgen/stories.h"

namespace milgen {

void add_builtin_kernels(Registry& registry) { add_stories_kernels(registry); }

}  // namespace milgen
