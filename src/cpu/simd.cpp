#include "cpu/simd.h"

#include <cstdint>
#include <cstdlib>

#include "cpu/highway.h"

namespace milgen::detail {
namespace {

struct Level {
  std::string_view name;
  std::int64_t target;
};

// As Highway numbers its targets: of one machine's, the lower is the better.
constexpr Level kLevels[] = {{"avx3", HWY_AVX3},       {"avx2", HWY_AVX2},
                             {"sse4", HWY_SSE4},       {"neon", HWY_NEON},
                             {"portable", HWY_EMU128}, {"portable", HWY_SCALAR}};

std::int64_t usable_targets() { return HWY_SUPPORTED_TARGETS & HWY_TARGETS; }

#if (HWY_TARGETS & (HWY_TARGETS - 1)) == 0
// One target is compiled, which is called directly.
void use_targets(std::int64_t) {}
#else
/// 0: all.
void use_targets(std::int64_t targets) {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}
#endif

/// All targets that this machine runs, whatever the limit.
std::int64_t machine_targets() {
  static const std::int64_t targets = usable_targets();
  return targets;
}

}  // namespace

std::string_view simd_level() {
  const std::int64_t targets = usable_targets();
  for (const Level& level : kLevels) {
    if ((level.target & targets) != 0) return level.name;
  }
  return "portable";
}

std::vector<std::string_view> simd_levels() {
  std::vector<std::string_view> names;
  for (const Level& level : kLevels) {
    if ((level.target & machine_targets()) != 0) names.push_back(level.name);
  }
  return names;
}

bool limit_simd(std::string_view name) {
  // Read before the first limit is set.
  const std::int64_t all = machine_targets();
  if (name.empty()) {
    use_targets(0);
    return true;
  }
  for (const Level& level : kLevels) {
    if (level.name != name || (level.target & all) == 0) continue;
    use_targets(all & ~(level.target - 1));
    return true;
  }
  return false;
}

bool limit_simd_by_environment() {
  const char* level = std::getenv("MILGEN_SIMD");  // NOLINT(concurrency-mt-unsafe): before main
  return level != nullptr && limit_simd(level);
}

}  // namespace milgen::detail
