#include "cpu/plan_uses.h"

namespace milgen::cpu {

PlanUses::PlanUses(const Plan& plan)
    : plan_(plan),
      producers_(plan.code().slots.size(), kNone),
      counts_(plan.code().slots.size(), 0) {
  const Code& code = plan.code();
  const std::vector<StepCode>& steps = code.body().steps;
  for (std::uint32_t i = 0; i < steps.size(); ++i) {
    for (std::uint32_t r = 0; r < steps[i].results; ++r) {
      producers_[steps[i].first_result + r] = i;
    }
  }
  for (const SlotId id : code.arg_slots) ++counts_[id];
  for (const BlockCode& block : code.blocks) {
    for (const SlotId id : block.outputs) ++counts_[id];
  }
}

bool PlanUses::has_place(SlotId id) const {
  const SlotPlan& slot = plan_.slots[id];
  if (!slot.shape_known) return false;
  if (producers_[id] == kNone) return slot.where != Where::heap;
  return plan_.code().body().steps[producers_[id]].row->kernel != nullptr;
}

}  // namespace milgen::cpu
