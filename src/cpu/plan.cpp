#include "cpu/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "cpu/executor.h"
#include "cpu/fusion.h"
#include "cpu/memory_plan.h"
#include "cpu/run_infer.h"

namespace milgen::cpu {
namespace {

/// What is computed from constants becomes a constant when it is smaller than this, or when the op
/// is there for that (constexpr): shape arithmetic, not a tensor that a fill makes large.
constexpr std::uint64_t kMostFoldedBytes = 1u << 16;

class Planner final : public ValueSource {
 public:
  Planner(std::shared_ptr<const Code> code, std::vector<Array> constants,
          std::span<const Shape> inputs, const PlanOptions& options, ThreadPool& pool,
          Diagnostics& diagnostics)
      : code_(*code),
        plan_(std::make_unique<Plan>(std::move(code))),
        given_constants_(constants.size()),
        inputs_(inputs),
        options_(options),
        pool_(pool),
        diagnostics_(diagnostics) {
    plan_->constants = std::move(constants);
  }

  std::unique_ptr<const Plan> make() {
    plan_->slots.resize(code_.slots.size());
    plan_->steps.resize(code_.body().steps.size());
    frame_ = std::make_unique<Frame>(plan_shell(), options_.memory_limit_bytes);
    for (SlotId id = 0; id < code_.slots.size(); ++id) {
      if (code_.slots[id].constant != kNone) set_constant(id, code_.slots[id].constant);
    }
    for (std::uint32_t i = 0; i < code_.inputs.size(); ++i) {
      SlotPlan& slot = plan_->slots[code_.inputs[i].slot];
      slot.where = Where::input;
      slot.shape_known = true;
      slot.index = i;
      slot.shape = inputs_[i];
      show_shape(code_.inputs[i].slot);
    }
    for (std::size_t i = 0; i < code_.body().steps.size(); ++i) {
      if (!plan_step(code_.body().steps[i], plan_->steps[i])) return nullptr;
    }
    if (!options_.one_by_one) {
      const RunOptions run_options;
      Runner shapes(*frame_, options_.mode, pool_, run_options, diagnostics_);
      make_groups(*plan_, shapes);
    }
    const bool in_place = !options_.one_by_one;
    if (!plan_memory(*plan_, in_place, options_.memory_limit_bytes, diagnostics_)) return nullptr;
    if (options_.drop_packed) drop_packed();
    for (const Array& constant : plan_->constants) plan_->constant_bytes += constant.bytes().size();
    for (const auto& group : plan_->groups) plan_->constant_bytes += group->constant_bytes();
    return std::move(plan_);
  }

  KnownValue known(SlotId id) const override {
    const SlotPlan& slot = plan_->slots[id];
    KnownValue out;
    if (slot.shape_known) out.shape = &slot.shape;
    if (slot.where == Where::constant) {
      const Array& constant = plan_->constants[slot.index];
      view_ = view_of(constant);
      // Inference reads the elements before it asks for the next value.
      out.values = &view_;
      out.texts = constant.strings();
    }
    return out;
  }

 private:
  static TensorView view_of(Array array) {
    return {array.dtype(), array.shape(), array.mutable_bytes().data(), array.size()};
  }

  void set_constant(SlotId id, std::uint32_t index) {
    SlotPlan& slot = plan_->slots[id];
    slot.where = Where::constant;
    slot.shape_known = true;
    slot.index = index;
    slot.shape = plan_->constants[index].shape();
    frame_->slot(id).view = view_of(plan_->constants[index]);
    frame_->slot(id).texts = plan_->constants[index];
  }

  void show_shape(SlotId id) {
    TensorView& view = frame_->slot(id).view;
    view.dtype = code_.slots[id].dtype;
    view.shape = plan_->slots[id].shape;
    element_count(view.shape, view.count);
  }

  bool plan_step(const StepCode& step, StepPlan& step_plan) {
    bool all_known = step.row->kernel != nullptr;
    bool all_constant = true;
    for (const ArgCode& arg : code_.args_of(step)) {
      for (const SlotId id : code_.slots_of(arg)) {
        all_known = all_known && plan_->slots[id].shape_known;
        all_constant = all_constant && plan_->slots[id].where == Where::constant;
      }
    }
    if (all_known) {
      if (!infer_results(code_, step, *this, inferred_, diagnostics_)) return false;
      if (all_constant && hand_on(step, step_plan)) return true;
      if (all_constant && can_fold(step)) {
        if (!evaluate(step)) return false;
        // One by one means that what is not finite is met again when the function runs.
        if (!options_.one_by_one || is_finite(step)) {
          keep(step, step_plan);
          return true;
        }
      }
      if (!fits_declared(step)) return false;
      bool shapes_known = true;
      for (std::uint32_t i = 0; i < step.results; ++i) {
        shapes_known = set_shape(step.first_result + i, inferred_[i].shape) && shapes_known;
      }
      step_plan.kind = shapes_known && !takes_extents(step) ? StepKind::run : StepKind::dynamic;
      return true;
    }
    // What the types say is held against the values when they are there.
    step_plan.kind = StepKind::dynamic;
    for (std::uint32_t i = 0; i < step.results; ++i) {
      const SlotId id = step.first_result + i;
      set_shape(id, code_.slots[id].shape);
    }
    return true;
  }

  /// Whether it takes sizes or positions that only the run knows: they are held against the shapes
  /// then, even where the shape of the result does not depend on them.
  bool takes_extents(const StepCode& step) const {
    for (const Param& param : step.op->params(step.opset)) {
      if (param.form != Form::extents) continue;
      const ArgCode* arg = code_.find_arg(step, param.name);
      if (arg != nullptr && plan_->slots[code_.slots_of(*arg)[0]].where != Where::constant) {
        return true;
      }
    }
    return false;
  }

  /// What the text declares is held against what these inputs give.
  bool fits_declared(const StepCode& step) {
    const RunOptions run_options;
    Runner runner(*frame_, options_.mode, pool_, run_options, diagnostics_);
    for (std::uint32_t i = 0; i < step.results; ++i) {
      const InferredValue& value = inferred_[i];
      std::int64_t count = 0;
      if (!value.is_tensor || !element_count(value.shape, count)) continue;
      if (!runner.check_declared(step, step.first_result + i, value.dtype, value.shape)) {
        return false;
      }
    }
    return true;
  }

  /// Whether the inferred shape is known; otherwise the declared one counts, when that is.
  bool set_shape(SlotId id, const Shape& shape) {
    const SlotCode& declared = code_.slots[id];
    SlotPlan& slot = plan_->slots[id];
    if (declared.kind != TypeKind::tensor || declared.dtype == DType::string) return false;
    const auto is_known = [](std::int64_t dim) { return dim >= 0; };
    const bool inferred = std::ranges::all_of(shape, is_known);
    if (!inferred && !std::ranges::all_of(declared.shape, is_known)) return false;
    slot.shape = inferred ? shape : declared.shape;
    slot.shape_known = true;
    show_shape(id);
    return inferred;
  }

  bool can_fold(const StepCode& step) const {
    if (has(step.op->traits, Trait::random) || has(step.op->traits, Trait::side_effect)) {
      return false;
    }
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < step.results; ++i) {
      std::int64_t count = 0;
      if (!element_count(inferred_[i].shape, count) || inferred_[i].dtype == DType::string) {
        return false;
      }
      if (count > std::int64_t{1} << 56) return false;
      bytes += static_cast<std::uint64_t>(count) * element_bytes(inferred_[i].dtype);
    }
    return has(step.op->traits, Trait::constexpr_op) || bytes <= kMostFoldedBytes;
  }

  /// A weight under another shape is the same weight, however large.
  bool hand_on(const StepCode& step, StepPlan& step_plan) {
    const ArgCode* x = code_.find_arg(step, "x");
    if (!has(step.row->flags, KernelFlags::alias) || x == nullptr) return false;
    const SlotPlan& from = plan_->slots[code_.slots_of(*x)[0]];
    Array reshaped = plan_->constants[from.index].reshaped(inferred_[0].shape);
    if (!reshaped) return false;
    plan_->constants.push_back(std::move(reshaped));
    set_constant(step.first_result, static_cast<std::uint32_t>(plan_->constants.size() - 1));
    step_plan.kind = StepKind::skip;
    return true;
  }

  /// Runs the step now, on a frame that has only constants.
  bool evaluate(const StepCode& step) {
    const RunOptions run_options;
    Runner runner(*frame_, NumericMode::exact, pool_, run_options, diagnostics_);
    return runner.run_dynamic(step);
  }

  bool is_finite(const StepCode& step) const {
    for (SlotId id = step.first_result; id < step.first_result + step.results; ++id) {
      const TensorView& view = frame_->slot(id).view;
      for (std::int64_t i = 0; is_float(view.dtype) && i < view.count; ++i) {
        if (!std::isfinite(real_at(view, i))) return false;
      }
    }
    return true;
  }

  /// What evaluate() gave becomes constants.
  void keep(const StepCode& step, StepPlan& step_plan) {
    for (SlotId id = step.first_result; id < step.first_result + step.results; ++id) {
      Slot slot = std::move(frame_->slot(id));
      const std::size_t bytes =
          static_cast<std::size_t>(slot.view.count) * element_bytes(slot.view.dtype);
      plan_->constants.push_back(
          Array::share(slot.view.dtype, slot.view.shape, {slot.view.data, bytes}, slot.owner));
      frame_->slot(id) = Slot();
      set_constant(id, static_cast<std::uint32_t>(plan_->constants.size() - 1));
    }
    step_plan.kind = StepKind::skip;
  }

  /// Constants that something looks at while the function runs.
  std::vector<bool> constants_in_use() const {
    std::vector<bool> used(plan_->constants.size(), false);
    const auto use = [&](SlotId id) {
      const SlotPlan& slot = plan_->slots[id];
      if (slot.where == Where::constant) used[slot.index] = true;
    };
    const auto use_args = [&](const StepCode& step) {
      for (const ArgCode& arg : code_.args_of(step))
        std::ranges::for_each(code_.slots_of(arg), use);
    };
    for (std::size_t i = 0; i < code_.body().steps.size(); ++i) {
      const StepKind kind = plan_->steps[i].kind;
      if (kind == StepKind::run || kind == StepKind::dynamic) use_args(code_.body().steps[i]);
    }
    for (const auto& group : plan_->groups) std::ranges::for_each(group->reads(), use);
    for (const BlockCode& block : code_.blocks) {
      if (&block != &code_.body()) std::ranges::for_each(block.steps, use_args);
      std::ranges::for_each(block.outputs, use);
    }
    return used;
  }

  void drop_packed() {
    std::vector<bool> used = constants_in_use();
    for (std::uint32_t g = 0; g < plan_->groups.size(); ++g) {
      const SlotId id = plan_->groups[g]->packed_constant();
      if (id == kNone) continue;
      const std::uint32_t constant = plan_->slots[id].index;
      if (used[constant]) continue;
      used[constant] = true;  // dropped once
      const Array dropped = std::exchange(plan_->constants[constant], Array());
      // What was computed is computed again when another plan is made.
      if (constant >= given_constants_) continue;
      plan_->packed.push_back({constant, g, dropped.dtype(), dropped.shape()});
    }
  }

  /// A plan in which everything is on the heap.
  std::shared_ptr<const Plan> plan_shell() const {
    auto shell = std::make_shared<Plan>(plan_->code_pointer());
    shell->slots.resize(code_.slots.size());
    return shell;
  }

  const Code& code_;
  std::unique_ptr<Plan> plan_;
  std::size_t given_constants_;
  std::span<const Shape> inputs_;
  const PlanOptions& options_;
  ThreadPool& pool_;
  Diagnostics& diagnostics_;
  std::vector<InferredValue> inferred_;
  /// Constants with their values, everything else with its shape: for what is computed while
  /// planning, and for ops that are looked at without being run.
  std::unique_ptr<Frame> frame_;
  mutable TensorView view_;
};

}  // namespace

Group::~Group() = default;
void Group::unpack(std::byte*) const {}

std::unique_ptr<const Plan> make_plan(std::shared_ptr<const Code> code,
                                      std::vector<Array> constants, std::span<const Shape> inputs,
                                      const PlanOptions& options, ThreadPool& pool,
                                      Diagnostics& diagnostics) {
  return Planner(std::move(code), std::move(constants), inputs, options, pool, diagnostics).make();
}

}  // namespace milgen::cpu
