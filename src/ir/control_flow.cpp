#include "milgen/control_flow.h"

#include <fmt/format.h>

#include "ir/builder.h"
#include "support/rule.h"

namespace milgen {

// --- Block ---

Block::Block(std::span<const Value> like, Loc loc) { open(like, loc); }

Block::Block(Value value, Loc loc) : builder_(value.builder()) { open({}, loc); }

void Block::open(std::span<const Value> like, Loc loc) {
  bool whole = true;
  std::vector<TypeId> types;
  types.reserve(like.size());
  for (const Value& value : like) {
    if (builder_ == nullptr) builder_ = value.builder();
    // The op that takes the block says what is wrong with such a value, or somebody else has.
    whole = whole && !value.poisoned() && value.builder() == builder_;
    if (whole) types.push_back(builder_->graph->value(value.id()).type);
  }
  inputs_.assign(like.size(), kPoison);
  if (builder_ == nullptr || builder_->finished) return;
  if (!whole) types.clear();
  id_ = builder_->open_block(types, loc);
  open_ = id_ != kNone;
  if (!open_ || !whole) return;
  const ValueId first = builder_->graph->block(id_).first_input;
  for (std::size_t i = 0; i < inputs_.size(); ++i) inputs_[i] = first + static_cast<ValueId>(i);
}

Block::~Block() {
  if (open_) builder_->graph->close_block({});
}

Value Block::input(std::size_t i) const {
  return {builder_, i < inputs_.size() ? inputs_[i] : kPoison};
}

Values Block::inputs() const { return {builder_, inputs_}; }

void Block::close(std::span<const Value> outputs, Loc loc) {
  if (!open_) return;
  open_ = false;
  bool whole = true;
  std::vector<ValueId> ids;
  ids.reserve(outputs.size());
  for (const Value& value : outputs) {
    const bool known = value.given() && !value.poisoned();
    if (known && value.builder() != builder_) {
      builder_->diagnostics.error(
          rule<"value.kernel">.id(),
          fmt::format("block: output {} belongs to another kernel than '{}'", ids.size(),
                      builder_->name),
          loc);
    }
    whole = whole && known && value.builder() == builder_ &&
            builder_->check_visible(value.id(), fmt::format("block: output {}", ids.size()), loc);
    ids.push_back(value.id());
  }
  builder_->graph->close_block(whole ? std::span<const ValueId>(ids) : std::span<const ValueId>());
  if (!whole) id_ = kNone;
}

// --- Classifiers ---

namespace {

Classified add_classify(Tensor<fp32> probabilities, Value classes, Loc loc) {
  OpBuilder op(OpCode::classify, loc);
  op.operand("probabilities", probabilities);
  op.operand("classes", classes);
  return {op.result(0), op.result(1)};
}

/// A list constant, written where it is used.
Value add_labels(Builder& b, ConstKind kind, DType dtype, std::span<const std::int64_t> elements,
                 Loc loc) {
  Const labels = b.graph->make_ints(dtype, {}, elements);
  labels.kind = kind;
  labels.type = b.graph->types.list(labels.type, static_cast<std::int64_t>(elements.size()));
  labels.role = {"classes", true};
  return b.handle(b.graph->add_const(labels, kNoName, loc));
}

template <class Texts>
Classified classify_texts(Tensor<fp32> probabilities, const Texts& classes, Loc loc) {
  Builder* b = probabilities.builder();
  if (b == nullptr) return {};
  std::vector<std::int64_t> ids;
  ids.reserve(classes.size());
  for (const std::string_view name : classes) ids.push_back(b->graph->names.intern(name));
  return add_classify(probabilities, add_labels(*b, ConstKind::texts, DType::string, ids, loc),
                      loc);
}

Classified classify_numbers(Tensor<fp32> probabilities, std::span<const std::int64_t> classes,
                            Loc loc) {
  Builder* b = probabilities.builder();
  if (b == nullptr) return {};
  return add_classify(probabilities, add_labels(*b, ConstKind::ints, DType::int64, classes, loc),
                      loc);
}

}  // namespace

Classified classify(Tensor<fp32> probabilities, std::initializer_list<std::string_view> classes,
                    Loc loc) {
  return classify_texts(probabilities, classes, loc);
}

Classified classify(Tensor<fp32> probabilities, const std::vector<std::string>& classes, Loc loc) {
  return classify_texts(probabilities, classes, loc);
}

Classified classify(Tensor<fp32> probabilities, std::initializer_list<std::int64_t> classes,
                    Loc loc) {
  return classify_numbers(probabilities, std::span(classes.begin(), classes.size()), loc);
}

Classified classify(Tensor<fp32> probabilities, const std::vector<std::int64_t>& classes, Loc loc) {
  return classify_numbers(probabilities, classes, loc);
}

}  // namespace milgen
