#include "milgen/kernels/blocks.h"
#include "milgen/kernels/classifier.h"
#include "milgen/kernels/composable.h"
#include "milgen/kernels/dynamic.h"
#include "milgen/kernels/stories.h"

namespace milgen {

void add_builtin_kernels(Registry& registry) {
  add_stories_kernels(registry);
  add_classifier_kernels(registry);
  add_composable_kernels(registry);
  add_dynamic_kernels(registry);
  add_blocks_kernels(registry);
}

}  // namespace milgen
