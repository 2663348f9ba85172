#include "cpu/run_infer.h"

#include <deque>
#include <string>

#include "ir/infer.h"

namespace milgen::cpu {
namespace {

/// Inference looks at shapes, axes, indices: longer lists of integers are data. Of reals it looks
/// at scalars and scales.
constexpr std::int64_t kMostIntegers = 4096;
constexpr std::int64_t kMostReals = 16;

class RunInfer final : public InferContext {
 public:
  RunInfer(const Code& code, const StepCode& step, const ValueSource& source,
           std::vector<InferredValue>& results, Diagnostics& diagnostics)
      : InferContext(*step.op, step.opset),
        code_(code),
        step_(step),
        results_(results),
        diagnostics_(diagnostics) {
    std::size_t values = 0;
    for (const ArgCode& arg : code.args_of(step)) values += arg.count;
    values_.reserve(values);
    constants_.reserve(values);
    elements_.reserve(values);
    for (const ArgCode& arg : code.args_of(step)) {
      const std::size_t first = values_.size();
      for (const SlotId slot : code.slots_of(arg)) add_value(code.slots[slot], source.known(slot));
      arguments_.push_back({arg.param, {values_.data() + first, arg.count}});
    }
    set_arguments(arguments_);
  }

  std::string describe(std::string_view param, int index) const override {
    return count(param) > 1 ? std::string(param) + "[" + std::to_string(index) + "]"
                            : std::string(param);
  }
  void result(DType dtype, std::span<const std::int64_t> shape) override {
    results_.push_back({dtype, Shape(shape), true});
  }
  void result_like(std::string_view param, int index) override {
    const TypeView view = type(param, index);
    results_.push_back({view.dtype, Shape(view.shape), view.kind == TypeKind::tensor});
  }
  void result_list(DType dtype, std::span<const std::int64_t> shape, std::int64_t) override {
    results_.push_back({dtype, Shape(shape), false});
  }
  void result_element(std::string_view param) override {
    const TypeView view = type(param);
    if (view.element != nullptr) result(view.element->dtype, view.element->shape);
  }
  void error(Rule rule, std::string_view, std::string message) override {
    set_failed();
    diagnostics_.error(rule.id(), std::string(op().name) + ": " + message, code_.place_of(step_));
  }

 private:
  void add_value(const SlotCode& slot, const KnownValue& known) {
    TypeView type;
    type.kind = slot.kind;
    type.dtype = slot.dtype;
    const Shape& shape = known.shape != nullptr ? *known.shape : slot.shape;
    if (slot.kind == TypeKind::tensor) {
      type.shape = {shape.data(), shape.size()};
    } else {
      TypeView& element = elements_.emplace_back();
      element.dtype = slot.dtype;
      element.shape = {shape.data(), shape.size()};
      type.dtype = DType::none;
      type.element = &elements_.back();
      type.length = known.length;
    }
    values_.push_back({type, constant_of(slot, known)});
  }

  const ConstView* constant_of(const SlotCode& slot, const KnownValue& known) {
    if (slot.kind != TypeKind::tensor || (known.values == nullptr && known.texts.empty())) {
      return nullptr;
    }
    ConstView view;
    view.dtype = slot.dtype;
    if (known.shape != nullptr) view.shape = {known.shape->data(), known.shape->size()};
    if (slot.dtype == DType::string) {
      auto& texts = texts_.emplace_back(known.texts.begin(), known.texts.end());
      view.texts = texts;
      view.known = true;
    } else if (is_float(slot.dtype)) {
      if (known.values->count <= kMostReals) {
        auto& reals = reals_.emplace_back();
        for (std::int64_t i = 0; i < known.values->count; ++i) {
          reals.push_back(real_at(*known.values, i));
        }
        view.reals = reals;
        view.known = true;
      }
    } else if (known.values->count <= kMostIntegers) {
      auto& ints = ints_.emplace_back();
      for (std::int64_t i = 0; i < known.values->count; ++i) {
        ints.push_back(integer_at(*known.values, i));
      }
      view.ints = ints;
      view.known = true;
    }
    constants_.push_back(view);
    return &constants_.back();
  }

  const Code& code_;
  const StepCode& step_;
  std::vector<InferredValue>& results_;
  Diagnostics& diagnostics_;
  std::vector<ArgumentView> arguments_;
  // Views of their entries are handed out, so that the first three never grow beyond what the
  // constructor reserves.
  std::vector<ArgumentValue> values_;
  std::vector<ConstView> constants_;
  std::vector<TypeView> elements_;
  std::deque<std::vector<std::int64_t>> ints_;
  std::deque<std::vector<double>> reals_;
  std::deque<std::vector<std::string_view>> texts_;
};

}  // namespace

bool infer_results(const Code& code, const StepCode& step, const ValueSource& source,
                   std::vector<InferredValue>& results, Diagnostics& diagnostics) {
  results.clear();
  RunInfer context(code, step, source, results, diagnostics);
  return infer_op(context) && results.size() == step.results;
}

}  // namespace milgen::cpu
