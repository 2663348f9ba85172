#include "cpu/product_groups.h"

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cpu/conv.h"
#include "cpu/linear.h"
#include "cpu/op_run.h"
#include "cpu/plan_uses.h"
#include "cpu/product.h"

namespace milgen::cpu {
namespace {

using detail::PackedMatrix;
using detail::PackRequest;
using detail::ProductSide;

/// Tensors by their slots; kNone for none.
const void* data_of(Runner& runner, SlotId id) {
  return id == kNone ? nullptr : runner.frame().slot(id).view.data;
}

/// A group that may have a constant in packed form.
class PackingGroup : public Group {
 public:
  std::uint64_t constant_bytes() const override { return packed.bytes(); }
  SlotId packed_constant() const override { return constant; }
  void unpack(std::byte* to) const override { packed.unpack(request, to); }

  /// False when there is no memory; then nothing is packed.
  bool pack(SlotId id, const PackRequest& wanted, ThreadPool& pool) {
    if (!packed.pack(wanted, pool)) return false;
    constant = id;
    request = wanted;
    request.matrix.data = nullptr;
    return true;
  }

  SlotId constant = kNone;
  PackRequest request;
  PackedMatrix packed;
};

/// A convolution with a constant weight.
class ConvGroup final : public PackingGroup {
 public:
  bool run(Runner& runner) const override {
    ThreadPool& pool = runner.pool();
    const std::uint64_t scratch_bytes = conv_scratch_bytes(plan, pool.threads());
    std::byte* scratch = nullptr;
    if (scratch_bytes != 0) {
      scratch = runner.frame().scratch(scratch_bytes);
      if (scratch == nullptr) return runner.no_memory(*step, scratch_bytes);
    }
    const ConvData data{.x = data_of(runner, slots[0]),
                        .bias = data_of(runner, bias),
                        .out = runner.frame().slot(out).view.data,
                        .packed = &packed};
    if (convolve(plan, data, pool, runner.frame().workspace(), scratch)) return true;
    return runner.no_memory(*step, conv_workspace_bytes(plan, &packed, pool.threads()));
  }
  std::span<const SlotId> reads() const override { return slots; }
  std::string name() const override { return std::string(step->op->name); }

  const StepCode* step = nullptr;
  ConvPlan plan;
  std::vector<SlotId> slots;  ///< x, and the bias when there is one
  SlotId bias = kNone;
  SlotId out = kNone;
};

/// linear or matmul.
class ProductGroup final : public PackingGroup {
 public:
  bool run(Runner& runner) const override {
    if (product.run(data_of(runner, a), data_of(runner, b), data_of(runner, bias),
                    runner.frame().slot(out).view.data, runner.pool(),
                    runner.frame().workspace())) {
      return true;
    }
    return runner.no_memory(*step,
                            detail::workspace_bytes(product.product, runner.pool().threads()));
  }
  std::span<const SlotId> reads() const override { return slots; }
  std::string name() const override { return name_text; }

  const StepCode* step = nullptr;
  OpProduct product;
  std::vector<SlotId> slots;  ///< those that are not packed
  ProductSide packed_side = ProductSide::b;
  SlotId a = kNone;
  SlotId b = kNone;
  SlotId bias = kNone;
  SlotId out = kNone;
  std::string name_text;
};

class ProductMaker {
 public:
  ProductMaker(Plan& plan, Runner& shapes)
      : plan_(plan),
        code_(plan.code()),
        shapes_(shapes),
        uses_(plan),
        folded_uses_(code_.slots.size(), 0) {
    const std::vector<StepCode>& steps = code_.body().steps;
    for (std::uint32_t i = 0; i < steps.size(); ++i) {
      if (is_matrix_transpose(i)) transposer_of_[arg_of(steps[i], "x")] = i;
    }
  }

  void make() {
    const std::vector<StepCode>& steps = code_.body().steps;
    for (std::uint32_t i = 0; i < steps.size(); ++i) {
      if (plan_.steps[i].kind != StepKind::run) continue;
      if (!all_have_places(steps[i])) continue;
      switch (steps[i].op->code) {
        case OpCode::conv:
        case OpCode::conv_transpose:
          make_conv(i);
          break;
        case OpCode::linear:
          make_linear(i);
          break;
        case OpCode::matmul:
          make_matmul(i);
          break;
        default:
          break;
      }
    }
    drop_transposes();
  }

 private:
  const StepCode& step(std::uint32_t i) const { return code_.body().steps[i]; }
  TensorView& view(SlotId id) { return shapes_.frame().slot(id).view; }
  bool is_constant(SlotId id) const { return plan_.slots[id].where == Where::constant; }

  bool all_have_places(const StepCode& one) const {
    for (const ArgCode& arg : code_.args_of(one)) {
      for (const SlotId id : code_.slots_of(arg)) {
        if (!uses_.has_place(id)) return false;
      }
    }
    return true;
  }

  SlotId arg_of(const StepCode& one, std::string_view param) const {
    const ArgCode* arg = code_.find_arg(one, param);
    return arg == nullptr ? kNone : code_.slots_of(*arg)[0];
  }

  void add_group(std::uint32_t i, std::unique_ptr<Group> group) {
    plan_.steps[i] = {StepKind::group, static_cast<std::uint32_t>(plan_.groups.size())};
    plan_.groups.push_back(std::move(group));
  }

  void make_conv(std::uint32_t i) {
    const StepCode& one = step(i);
    const SlotId weight = arg_of(one, "weight");
    if (!is_constant(weight) || view(one.first_result).count == 0) return;
    auto group = std::make_unique<ConvGroup>();
    StepRun run(shapes_, one);
    PackRequest request;
    if (!make_conv_plan(run, group->plan) ||
        !conv_pack_request(group->plan, view(weight).data, request) ||
        !group->pack(weight, request, shapes_.pool())) {
      return;
    }
    group->step = &one;
    group->bias = arg_of(one, "bias");
    group->out = one.first_result;
    group->slots.push_back(arg_of(one, "x"));
    if (group->bias != kNone) group->slots.push_back(group->bias);
    add_group(i, std::move(group));
  }

  void make_linear(std::uint32_t i) {
    const StepCode& one = step(i);
    auto group = std::make_unique<ProductGroup>();
    group->a = arg_of(one, "x");
    group->b = arg_of(one, "weight");
    group->bias = arg_of(one, "bias");
    group->out = one.first_result;
    const TensorView* bias = group->bias == kNone ? nullptr : &view(group->bias);
    if (!is_float_product(view(group->a).dtype, view(group->b).dtype, view(group->out).dtype) ||
        (bias != nullptr && !is_float(bias->dtype)) || view(group->out).count == 0) {
      return;
    }
    group->product =
        linear_product(shapes_.mode(), view(group->a), view(group->b), bias, view(group->out));
    if (!pack(*group, ProductSide::b, group->b)) return;
    finish(i, one, std::move(group));
  }

  /// Packs an operand when it is a constant.
  bool pack(ProductGroup& group, ProductSide side, SlotId operand) {
    PackRequest request;
    if (!is_constant(operand) || !pack_request(group.product, side, view(operand).data, request) ||
        !group.pack(operand, request, shapes_.pool())) {
      return false;
    }
    group.packed_side = side;
    group.product.use_packed(side, group.packed);
    return true;
  }

  void finish(std::uint32_t i, const StepCode& one, std::unique_ptr<ProductGroup> group) {
    group->step = &one;
    const bool packed = group->constant != kNone;
    if (!packed || group->packed_side == ProductSide::b) group->slots.push_back(group->a);
    if (!packed || group->packed_side == ProductSide::a) group->slots.push_back(group->b);
    if (group->bias != kNone) group->slots.push_back(group->bias);
    if (group->name_text.empty()) group->name_text = std::string(one.op->name);
    add_group(i, std::move(group));
  }

  // --- matmul, and the transpositions around it. ---

  /// Whether the step exchanges the last two dims and does nothing else.
  bool is_matrix_transpose(std::uint32_t i) const {
    if (i == kNone || plan_.steps[i].kind != StepKind::run) return false;
    const StepCode& one = step(i);
    if (one.op->code != OpCode::transpose || !uses_.has_place(arg_of(one, "x"))) return false;
    const SlotId perm = arg_of(one, "perm");
    const auto rank = static_cast<std::int64_t>(plan_.slots[one.first_result].shape.size());
    if (rank < 2 || plan_.slots[perm].where != Where::constant) return false;
    const Array& values = plan_.constants[plan_.slots[perm].index];
    for (std::int64_t d = 0; d < rank; ++d) {
      const std::int64_t wanted = d == rank - 2 ? rank - 1 : d == rank - 1 ? rank - 2 : d;
      const std::int64_t axis = values.integer(d);
      if ((axis < 0 ? axis + rank : axis) != wanted) return false;
    }
    return true;
  }

  /// What an operand is the transpose of; the operand itself when it is none.
  SlotId before_transpose(SlotId id, bool& transposed) {
    const std::uint32_t producer = uses_.producer(id);
    if (!is_matrix_transpose(producer)) return id;
    transposed = !transposed;
    ++folded_uses_[id];
    return arg_of(step(producer), "x");
  }

  /// The step that transposes the result of step `i`, when that is all that looks at it.
  std::uint32_t transpose_behind(std::uint32_t i) const {
    const SlotId result = step(i).first_result;
    if (uses_.count(result) != 1) return kNone;
    const auto behind = transposer_of_.find(result);
    return behind == transposer_of_.end() ? kNone : behind->second;
  }

  void make_matmul(std::uint32_t i) {
    const StepCode& one = step(i);
    auto group = std::make_unique<ProductGroup>();
    StepRun run(shapes_, one);
    bool transpose_x = run.boolean("transpose_x");
    bool transpose_y = run.boolean("transpose_y");
    group->a = arg_of(one, "x");
    group->b = arg_of(one, "y");
    group->out = one.first_result;
    if (!is_float_product(view(group->a).dtype, view(group->b).dtype, view(group->out).dtype) ||
        view(group->out).count == 0) {
      return;
    }
    group->a = before_transpose(group->a, transpose_x);
    group->b = before_transpose(group->b, transpose_y);
    const std::uint32_t behind = transpose_behind(i);
    const bool is_plain = group->a == arg_of(one, "x") && group->b == arg_of(one, "y");
    // Transposed as a whole: C' = B' A'. The sums have the same terms in the same order.
    if (behind != kNone && view(group->a).rank() > 1 && view(group->b).rank() > 1) {
      std::swap(group->a, group->b);
      std::swap(transpose_x, transpose_y);
      transpose_x = !transpose_x;
      transpose_y = !transpose_y;
      group->out = step(behind).first_result;
      group->name_text = "matmul+transpose";
    }
    group->product = matmul_product(shapes_.mode(), view(group->a), view(group->b), transpose_x,
                                    transpose_y, view(group->out));
    const bool packed =
        pack(*group, ProductSide::b, group->b) || pack(*group, ProductSide::a, group->a);
    if (group->out != one.first_result) {
      const auto number = static_cast<std::uint32_t>(plan_.groups.size());
      finish(behind, one, std::move(group));
      plan_.steps[i] = {StepKind::skip, number};
      plan_.slots[one.first_result].elided = true;
    } else if (packed || !is_plain) {
      finish(i, one, std::move(group));
    }
  }

  /// Transpositions that every user has taken over.
  void drop_transposes() {
    for (SlotId id = 0; id < folded_uses_.size(); ++id) {
      if (folded_uses_[id] == 0 || folded_uses_[id] != uses_.count(id)) continue;
      plan_.steps[uses_.producer(id)].kind = StepKind::skip;
      plan_.slots[id].elided = true;
    }
  }

  Plan& plan_;
  const Code& code_;
  Runner& shapes_;
  PlanUses uses_;
  std::vector<std::uint32_t> folded_uses_;                   // by slot
  std::unordered_map<SlotId, std::uint32_t> transposer_of_;  // by what is transposed
};

}  // namespace

void make_product_groups(Plan& plan, Runner& shapes) { ProductMaker(plan, shapes).make(); }

}  // namespace milgen::cpu
