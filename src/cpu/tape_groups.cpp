#include "cpu/tape_groups.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cpu/op_run.h"
#include "cpu/plan_uses.h"
#include "cpu/pointwise.h"
#include "cpu/pointwise_ops.h"

namespace milgen::cpu {
namespace {

/// Longer chains gain nothing: a pass over memory is a small part of so many ops. It also keeps the
/// constants of a tape below their limit.
constexpr std::size_t kMostSteps = 24;

class TapeGroup final : public Group {
 public:
  bool run(Runner& runner) const override {
    std::vector<TapeInput> from;
    from.reserve(slots.size());
    for (std::size_t i = 0; i < slots.size(); ++i) {
      from.push_back({runner.frame().slot(slots[i]).view.data, strides[i]});
    }
    std::vector<void*> to;
    to.reserve(outputs.size());
    for (const SlotId id : outputs) to.push_back(runner.frame().slot(id).view.data);
    run_tape(tape, from, to, shape, runner.pool());
    return true;
  }
  std::span<const SlotId> reads() const override { return slots; }
  std::string name() const override { return name_text; }
  bool in_place() const override { return true; }

  Tape tape;
  std::vector<SlotId> slots;  ///< of the inputs
  std::vector<Ints> strides;  ///< of the inputs
  std::vector<SlotId> outputs;
  Shape shape;
  std::string name_text;
};

/// Steps that may become a tape: they feed each other, and what stands between them needs nothing
/// of them.
struct Chain {
  std::vector<std::uint32_t> steps;
  Shape shape;
  bool open = true;
};

class TapeMaker {
 public:
  TapeMaker(Plan& plan, Runner& shapes)
      : plan_(plan),
        code_(plan.code()),
        shapes_(shapes),
        uses_(plan),
        chain_of_(code_.slots.size(), kNone) {}

  void make() {
    const std::vector<StepCode>& steps = code_.body().steps;
    for (std::uint32_t i = 0; i < steps.size(); ++i) {
      if (plan_.steps[i].kind == StepKind::run && is_point(steps[i])) {
        add(i);
      } else {
        close_used(steps[i]);
      }
    }
    for (const Chain& chain : chains_) {
      if (chain.steps.size() > 1) make_group(chain);
    }
  }

 private:
  const StepCode& step(std::uint32_t i) const { return code_.body().steps[i]; }
  const Shape& shape_of(SlotId id) const { return plan_.slots[id].shape; }

  static bool is_tape_dtype(DType dtype) {
    return dtype == DType::fp16 || dtype == DType::fp32 || dtype == DType::boolean;
  }

  bool is_point(const StepCode& step) const {
    const OpCode code = step.op->code;
    if (point_row(code) == nullptr && code != OpCode::select && code != OpCode::cast) return false;
    if (step.results != 1 || !is_tape_dtype(code_.slots[step.first_result].dtype)) return false;
    for (const std::string_view param : {"x", "y", "cond", "a", "b"}) {
      const ArgCode* arg = code_.find_arg(step, param);
      if (arg != nullptr && !is_tape_dtype(code_.slots[code_.slots_of(*arg)[0]].dtype))
        return false;
    }
    bool placed = true;
    for_each_arg(step, [&](SlotId id) { placed = placed && uses_.has_place(id); });
    if (!placed) return false;
    // A bool that becomes a number, or the other way round, is no step of a tape.
    if (code != OpCode::cast) return true;
    const SlotId x = code_.slots_of(*code_.find_arg(step, "x"))[0];
    return is_float(code_.slots[x].dtype) && is_float(code_.slots[step.first_result].dtype);
  }

  template <class F>
  void for_each_arg(const StepCode& step, F&& f) const {
    for (const ArgCode& arg : code_.args_of(step)) {
      for (const SlotId id : code_.slots_of(arg)) f(id);
    }
  }

  /// A step that is no part of a chain needs the results that it takes to be there.
  void close_used(const StepCode& step) {
    for_each_arg(step, [&](SlotId id) { close(id); });
    for (std::uint32_t b = 0; b < step.blocks; ++b) close_all();
  }
  void close(SlotId id) {
    if (chain_of_[id] != kNone) chains_[root(chain_of_[id])].open = false;
  }
  /// What is used inside of a block is not looked for.
  void close_all() {
    for (; first_open_ < chains_.size(); ++first_open_) chains_[first_open_].open = false;
  }

  std::uint32_t root(std::uint32_t chain) const {
    while (parents_[chain] != chain) chain = parents_[chain];
    return chain;
  }

  void add(std::uint32_t i) {
    const Shape& shape = shape_of(step(i).first_result);
    std::uint32_t home = kNone;
    for_each_arg(step(i), [&](SlotId id) {
      if (chain_of_[id] == kNone) return;
      const std::uint32_t other = root(chain_of_[id]);
      if (other == home) return;
      Chain& chain = chains_[other];
      const bool fits =
          chain.open && chain.shape == shape && chain.steps.size() + 1 <= kMostSteps &&
          (home == kNone || chain.steps.size() + chains_[home].steps.size() < kMostSteps);
      if (!fits) {
        chain.open = false;
      } else if (home == kNone) {
        home = other;
      } else {
        merge(home, other);
      }
    });
    if (home == kNone) {
      home = static_cast<std::uint32_t>(chains_.size());
      chains_.push_back({{}, shape, true});
      parents_.push_back(home);
    }
    chains_[home].steps.push_back(i);
    chain_of_[step(i).first_result] = home;
  }

  void merge(std::uint32_t into, std::uint32_t from) {
    std::vector<std::uint32_t>& steps = chains_[into].steps;
    steps.insert(steps.end(), chains_[from].steps.begin(), chains_[from].steps.end());
    std::ranges::sort(steps);
    chains_[from].steps.clear();
    parents_[from] = into;
  }

  // --- The tape of a chain. ---

  struct Build {
    TapeGroup& group;
    std::vector<std::pair<SlotId, TapeRegister>> known;
  };

  TapeRegister register_of(Build& build, SlotId id) {
    for (const auto& [slot, reg] : build.known) {
      if (slot == id) return reg;
    }
    const DType dtype = code_.slots[id].dtype;
    const TensorView& view = shapes_.frame().slot(id).view;
    TapeRegister reg;
    if (plan_.slots[id].where == Where::constant && view.count == 1) {
      reg = build.group.tape.constant(static_cast<float>(real_at(view, 0)));
    } else {
      reg = build.group.tape.input(dtype);
      build.group.slots.push_back(id);
      build.group.strides.push_back(broadcast_strides(shape_of(id), build.group.shape));
    }
    build.known.emplace_back(id, reg);
    return reg;
  }

  SlotId arg_of(const StepCode& step, std::string_view param) const {
    const ArgCode* arg = code_.find_arg(step, param);
    return arg == nullptr ? kNone : code_.slots_of(*arg)[0];
  }

  /// What the step rounds to. In fast mode only what leaves the chain is rounded.
  Rounding rounding(const StepCode& step) const {
    if (shapes_.mode() == NumericMode::fast) return Rounding::fp32;
    return rounding_of(code_.slots[step.first_result].dtype);
  }

  TapeRegister append(Build& build, const StepCode& step) {
    Tape& tape = build.group.tape;
    if (step.op->code == OpCode::select) {
      const TapeRegister cond = register_of(build, arg_of(step, "cond"));
      const TapeRegister a = register_of(build, arg_of(step, "a"));
      const TapeRegister b = register_of(build, arg_of(step, "b"));
      return tape.apply(PointOp::select, rounding(step), cond, a, b);
    }
    const TapeRegister x = register_of(build, arg_of(step, "x"));
    if (step.op->code == OpCode::cast) {
      if (code_.slots[step.first_result].dtype == DType::fp32) return x;
      return tape.apply(PointOp::maximum, rounding(step), x, x);  // x itself, rounded
    }
    StepRun run(shapes_, step);
    const PointStep point = point_step(run);
    if (operand_count(point.op) == 1) {
      return tape.apply(point.op, rounding(step), x, point.alpha, point.beta);
    }
    const SlotId y = arg_of(step, "y");
    const TensorView& exponent = shapes_.frame().slot(y).view;
    if (point.op == PointOp::pow && plan_.slots[y].where == Where::constant &&
        exponent.count == 1) {
      const auto power = static_cast<float>(real_at(exponent, 0));
      return tape.apply(PointOp::pow_constant, rounding(step), x, power);
    }
    return tape.apply(point.op, rounding(step), x, register_of(build, y));
  }

  bool leaves(const Chain& chain, SlotId id) const {
    std::uint32_t inside = 0;
    for (const std::uint32_t i : chain.steps) {
      for_each_arg(step(i), [&](SlotId arg) { inside += arg == id ? 1 : 0; });
    }
    return uses_.count(id) != inside;
  }

  void make_group(const Chain& chain) {
    auto group = std::make_unique<TapeGroup>();
    group->shape = chain.shape;
    Build build{*group, {}};
    for (const std::uint32_t i : chain.steps) {
      const StepCode& one = step(i);
      build.known.emplace_back(one.first_result, append(build, one));
      group->name_text += (group->name_text.empty() ? "" : "+") + std::string(one.op->name);
    }
    for (const std::uint32_t i : chain.steps) {
      const SlotId id = step(i).first_result;
      if (!leaves(chain, id)) continue;
      group->tape.output(register_of(build, id), code_.slots[id].dtype);
      group->outputs.push_back(id);
    }
    if (group->outputs.empty() || !group->tape.finish()) return;
    const auto number = static_cast<std::uint32_t>(plan_.groups.size());
    for (const std::uint32_t i : chain.steps) {
      plan_.steps[i] = {i == chain.steps.back() ? StepKind::group : StepKind::skip, number};
      const SlotId id = step(i).first_result;
      plan_.slots[id].elided = std::ranges::find(group->outputs, id) == group->outputs.end();
    }
    plan_.groups.push_back(std::move(group));
  }

  Plan& plan_;
  const Code& code_;
  Runner& shapes_;
  PlanUses uses_;
  std::vector<Chain> chains_;
  std::vector<std::uint32_t> parents_;   // by chain: the one it was merged into, or itself
  std::vector<std::uint32_t> chain_of_;  // by slot: that of the step that makes it
  std::size_t first_open_ = 0;
};

}  // namespace

void make_tape_groups(Plan& plan, Runner& shapes) { TapeMaker(plan, shapes).make(); }

}  // namespace milgen::cpu
