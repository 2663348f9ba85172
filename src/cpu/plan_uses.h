// Who makes the values of a plan and who looks at them.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/plan.h"

namespace milgen::cpu {

class PlanUses {
 public:
  explicit PlanUses(const Plan& plan);

  /// The step of the body that makes the value; kNone for constants, inputs and values of blocks.
  std::uint32_t producer(SlotId id) const { return producers_[id]; }
  /// By arguments of all steps, those in blocks included, and outputs of all blocks.
  std::uint32_t count(SlotId id) const { return counts_[id]; }
  /// Whether it will have a place of its own as long as it is needed. What control flow makes is on
  /// the heap, and gone behind the step that looks at it last.
  bool has_place(SlotId id) const;

 private:
  const Plan& plan_;
  std::vector<std::uint32_t> producers_;
  std::vector<std::uint32_t> counts_;
};

}  // namespace milgen::cpu
