// What operator new was asked for. The program has to be linked with counted_memory.cpp, which
// replaces it: growth is shown by counts, because times depend on what else the machine does.
#pragma once

#include <cstdint>

namespace milgen::test {

struct MemoryCost {
  std::uint64_t allocations = 0;
  std::uint64_t bytes = 0;
};

/// Of all threads since the program began.
MemoryCost memory_cost();

/// What `work` took.
template <class Work>
MemoryCost memory_cost_of(const Work& work) {
  const MemoryCost before = memory_cost();
  work();
  const MemoryCost after = memory_cost();
  return {after.allocations - before.allocations, after.bytes - before.bytes};
}

}  // namespace milgen::test
