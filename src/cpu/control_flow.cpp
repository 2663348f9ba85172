// The ops that kernels cannot do: they run blocks, hold lists and states, or make a dictionary.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "backend/ports.h"
#include "cpu/executor.h"
#include "support/splitmix.h"

namespace milgen::cpu {
namespace {

/// A list grows by writing behind its end; an index beyond this is taken for a mistake.
constexpr std::int64_t kMostElements = std::int64_t{1} << 24;

std::size_t bytes_of(const TensorView& tensor) {
  return static_cast<std::size_t>(tensor.count) * element_bytes(tensor.dtype);
}

}  // namespace

bool Runner::run_special(const StepCode& step) {
  switch (step.op->code) {
    case OpCode::cond:
      return run_cond(step);
    case OpCode::while_loop:
      return run_while_loop(step);
    case OpCode::make_list:
      return run_make_list(step);
    case OpCode::list_write:
      return run_list_write(step);
    case OpCode::list_scatter:
      return run_list_scatter(step);
    case OpCode::list_read:
      return run_list_read(step);
    case OpCode::list_gather:
      return run_list_gather(step);
    case OpCode::list_length:
      return run_list_length(step);
    case OpCode::read_state:
    case OpCode::write_state:
    case OpCode::coreml_update_state:
      return run_state(step);
    case OpCode::classify:
      return run_classify(step);
    default:
      return fail(step, rule<"run.op">, "the op has no executor");
  }
}

// --- Blocks. ---

bool Runner::take_outputs(const StepCode& step, const BlockCode& block, std::vector<Slot>& values) {
  std::vector<Slot> taken;
  for (const SlotId id : block.outputs) {
    const Slot& from = frame_.slot(id);
    taken.push_back(from);
    Slot& value = taken.back();
    if (value.list != nullptr || value.owner != nullptr || value.view.count == 0) continue;
    // Memory of the plan or of the caller: what stands there may change while the loop goes on.
    value.owner = frame_.heap().take(bytes_of(from.view));
    if (value.owner == nullptr) return no_memory(step, bytes_of(from.view));
    value.view.data = value.owner.get();
    std::memcpy(value.view.data, from.view.data, bytes_of(from.view));
  }
  // Only now, for one value may leave the block twice.
  clear_ports(block);
  values = std::move(taken);
  return true;
}

void Runner::clear_ports(const BlockCode& block) {
  for (const SlotId id : block.own_outputs) frame_.slot(id) = Slot();
  for (const SlotId id : block.inputs) frame_.slot(id) = Slot();
}

bool Runner::run_cond(const StepCode& step) {
  const bool pred = integer_at(frame_.slot(arg(step, "pred")).view, 0) != 0;
  const BlockCode& block = code_.block_of(step, pred ? 0 : 1);
  if (!run_block(block)) return false;
  for (std::uint32_t i = 0; i < step.results; ++i) {
    if (!set_result(step, i, frame_.slot(block.outputs[i]))) return false;
  }
  clear_ports(block);
  return true;
}

bool Runner::run_while_loop(const StepCode& step) {
  const BlockCode& condition = code_.block_of(step, 0);
  const BlockCode& body = code_.block_of(step, 1);
  std::vector<Slot> values;
  const ArgCode* vars = code_.find_arg(step, "loop_vars");
  for (const SlotId id : code_.slots_of(*vars)) values.push_back(frame_.slot(id));
  const std::uint64_t outer_round = round_;
  for (std::uint64_t round = 1;; ++round) {
    round_ = detail::mixed(outer_round, round);
    for (std::size_t i = 0; i < values.size(); ++i) frame_.slot(condition.inputs[i]) = values[i];
    if (!run_block(condition)) return false;
    const bool goes_on = integer_at(frame_.slot(condition.outputs.front()).view, 0) != 0;
    clear_ports(condition);
    if (!goes_on) break;
    for (std::size_t i = 0; i < values.size(); ++i) {
      frame_.slot(body.inputs[i]) = std::move(values[i]);
    }
    if (!run_block(body) || !take_outputs(step, body, values)) return false;
  }
  round_ = outer_round;
  for (std::uint32_t i = 0; i < step.results; ++i) {
    if (!set_result(step, i, values[i])) return false;
  }
  return true;
}

// --- Lists. ---

bool Runner::run_make_list(const StepCode& step) {
  auto list = std::make_shared<ListValue>();
  const SlotCode& declared = code_.slots[step.first_result];
  list->dtype = declared.dtype;
  list->shape = declared.shape;
  const SlotId dynamic = arg(step, "dynamic_length");
  list->may_grow = dynamic == kNone || integer_at(frame_.slot(dynamic).view, 0) != 0;
  const SlotId init = arg(step, "init_length");
  const std::int64_t length = init == kNone ? 1 : integer_at(frame_.slot(init).view, 0);
  if (length < 0 || length > kMostElements) {
    return fail(step, rule<"run.value">,
                fmt::format("init_length is {} but must lie in [0, {}]", length, kMostElements));
  }
  if (!charge_list(step, *list, static_cast<std::size_t>(length))) return false;
  list->elements.resize(static_cast<std::size_t>(length));
  frame_.slot(step.first_result) = Slot();
  frame_.slot(step.first_result).list = std::move(list);
  return true;
}

bool Runner::dies_at(const StepCode& step, SlotId id) const {
  return std::ranges::find(code_.dead_after(step), id) != code_.dead_after(step).end();
}

/// What a list of so many elements takes, besides their values.
bool Runner::charge_list(const StepCode& step, ListValue& list, std::size_t length) {
  const std::uint64_t bytes = std::uint64_t{length} * sizeof(Slot);
  list.charge = nullptr;
  list.charge = frame_.heap().charge(bytes);
  return list.charge != nullptr || no_memory(step, bytes);
}

std::shared_ptr<ListValue> Runner::own_list(const StepCode& step, SlotId id) {
  std::shared_ptr<ListValue> list = frame_.slot(id).list;
  // A list that nobody looks at again is written where it is: a loop that fills one is linear.
  if (dies_at(step, id)) frame_.slot(id).list = nullptr;
  if (list.use_count() == 1) return list;
  auto copy = std::make_shared<ListValue>();
  if (!charge_list(step, *copy, list->elements.size())) return nullptr;
  copy->dtype = list->dtype;
  copy->shape = list->shape;
  copy->may_grow = list->may_grow;
  copy->elements = list->elements;
  return copy;
}

Slot* Runner::element(const StepCode& step, ListValue& list, std::int64_t index) {
  const auto length = static_cast<std::int64_t>(list.elements.size());
  if (index < 0 || index >= length) {
    fail(step, rule<"run.index">,
         fmt::format("index {} lies outside of the list, which has {} elements", index, length));
    return nullptr;
  }
  Slot& found = list.elements[static_cast<std::size_t>(index)];
  if (found.view.data != nullptr) return &found;
  // What was never written is zeros.
  const auto is_open = [](std::int64_t dim) { return dim < 0; };
  if (std::ranges::any_of(list.shape, is_open)) {
    fail(step, rule<"run.value">,
         fmt::format("element {} was never written, and its shape {} is not known", index,
                     to_string(list.shape)));
    return nullptr;
  }
  if (!make_tensor(step, found, list.dtype, list.shape)) return nullptr;
  std::memset(found.view.data, 0, bytes_of(found.view));
  return &found;
}

bool Runner::put_element(const StepCode& step, ListValue& list, std::int64_t index,
                         const TensorView& value) {
  const auto length = static_cast<std::int64_t>(list.elements.size());
  if (index < 0 || index >= (list.may_grow ? kMostElements : length)) {
    const std::string more = list.may_grow ? fmt::format(" and may grow to {}", kMostElements) : "";
    return fail(step, rule<"run.index">,
                fmt::format("index {} lies outside of the list, which has {} elements{}", index,
                            length, more));
  }
  if (value.dtype != list.dtype || !shape_fits(list.shape, value.shape)) {
    return fail(step, rule<"run.shape">,
                fmt::format("value is tensor<{}, {}> but the list holds tensor<{}, {}>",
                            dtype_name(value.dtype), to_string(value.shape), dtype_name(list.dtype),
                            to_string(list.shape)));
  }
  if (index >= length) {
    const std::size_t wanted = static_cast<std::size_t>(index) + 1;
    if (!charge_list(step, list, wanted)) return false;
    list.elements.resize(wanted);
  }
  Slot& slot = list.elements[static_cast<std::size_t>(index)];
  slot = Slot();
  slot.owner = frame_.heap().take(bytes_of(value));
  if (slot.owner == nullptr) return no_memory(step, bytes_of(value));
  slot.view = value;
  slot.view.data = slot.owner.get();
  if (value.count != 0) std::memcpy(slot.view.data, value.data, bytes_of(value));
  return true;
}

bool Runner::run_list_write(const StepCode& step) {
  const std::int64_t index = integer_at(frame_.slot(arg(step, "index")).view, 0);
  std::shared_ptr<ListValue> list = own_list(step, arg(step, "ls"));
  if (list == nullptr) return false;
  if (!put_element(step, *list, index, frame_.slot(arg(step, "value")).view)) return false;
  frame_.slot(step.first_result) = Slot();
  frame_.slot(step.first_result).list = std::move(list);
  return true;
}

bool Runner::run_list_scatter(const StepCode& step) {
  const TensorView indices = frame_.slot(arg(step, "indices")).view;
  const TensorView value = frame_.slot(arg(step, "value")).view;
  std::shared_ptr<ListValue> list = own_list(step, arg(step, "ls"));
  if (list == nullptr) return false;
  if (value.rank() == 0 || value.dim(0) != indices.count) {
    return fail(step, rule<"run.shape">,
                fmt::format("value has shape {} but there are {} indices", to_string(value.shape),
                            indices.count));
  }
  TensorView slice = value;
  slice.shape.erase(0);
  element_count(slice.shape, slice.count);
  for (std::int64_t i = 0; i < indices.count; ++i) {
    slice.data = value.data + static_cast<std::size_t>(i) * bytes_of(slice);
    if (!put_element(step, *list, integer_at(indices, i), slice)) return false;
  }
  frame_.slot(step.first_result) = Slot();
  frame_.slot(step.first_result).list = std::move(list);
  return true;
}

bool Runner::run_list_read(const StepCode& step) {
  const std::int64_t index = integer_at(frame_.slot(arg(step, "index")).view, 0);
  const std::shared_ptr<ListValue> list = frame_.slot(arg(step, "ls")).list;
  const Slot* found = element(step, *list, index);
  return found != nullptr && set_result(step, 0, *found);
}

bool Runner::run_list_gather(const StepCode& step) {
  const TensorView indices = frame_.slot(arg(step, "indices")).view;
  const std::shared_ptr<ListValue> list = frame_.slot(arg(step, "ls")).list;
  Shape shape = list->shape;
  std::vector<const Slot*> found;
  for (std::int64_t i = 0; i < indices.count; ++i) {
    found.push_back(element(step, *list, integer_at(indices, i)));
    if (found.back() == nullptr) return false;
    const Shape& one = found.back()->view.shape;
    if (i == 0) shape = one;
    if (one != shape) {
      return fail(step, rule<"run.shape">,
                  fmt::format("elements of shape {} and {} cannot be stacked", to_string(shape),
                              to_string(one)));
    }
  }
  shape.insert(0, indices.count);
  if (!reserve_result(step, 0, list->dtype, shape)) return false;
  std::byte* to = frame_.slot(step.first_result).view.data;
  for (const Slot* one : found) {
    if (one->view.count != 0) std::memcpy(to, one->view.data, bytes_of(one->view));
    to += bytes_of(one->view);
  }
  return true;
}

bool Runner::run_list_length(const StepCode& step) {
  const std::size_t length = frame_.slot(arg(step, "ls")).list->elements.size();
  if (!reserve_result(step, 0, DType::int32, {})) return false;
  set_integer(frame_.slot(step.first_result).view, 0, static_cast<std::int64_t>(length));
  return true;
}

// --- States. ---

bool Runner::run_state(const StepCode& step) {
  const bool is_update = step.op->code == OpCode::coreml_update_state;
  Array& state = *frame_.slot(arg(step, is_update ? "state" : "input")).state;
  if (step.op->code != OpCode::read_state) {
    const TensorView& value = frame_.slot(arg(step, is_update ? "value" : "data")).view;
    if (value.dtype != state.dtype() || value.shape != state.shape()) {
      return fail(step, rule<"run.shape">,
                  fmt::format("the state is tensor<{}, {}> but gets tensor<{}, {}>",
                              dtype_name(state.dtype()), to_string(state.shape()),
                              dtype_name(value.dtype), to_string(value.shape)));
    }
    if (value.count != 0) {
      std::memmove(state.mutable_bytes().data(), value.data, bytes_of(value));
    }
  }
  // A copy: the state may be written while the value is still in use.
  return step.results == 0 ||
         copy_tensor(step, 0,
                     {state.dtype(), state.shape(), state.mutable_bytes().data(), state.size()});
}

// --- Classifiers. ---

bool Runner::run_classify(const StepCode& step) {
  const TensorView probabilities = frame_.slot(arg(step, "probabilities")).view;
  const Slot& classes = frame_.slot(arg(step, "classes"));
  if (probabilities.count == 0) return fail(step, rule<"run.value">, "there are no probabilities");
  if (probabilities.count != classes.view.count) {
    return fail(step, rule<"run.shape">,
                fmt::format("there are {} probabilities but {} classes", probabilities.count,
                            classes.view.count));
  }
  // The first of the largest; one that is not a number never is.
  std::int64_t best = 0;
  for (std::int64_t i = 1; i < probabilities.count; ++i) {
    const double value = real_at(probabilities, i);
    if (value > real_at(probabilities, best) || std::isnan(real_at(probabilities, best))) best = i;
  }
  Slot& label = frame_.slot(step.first_result);
  if (classes.view.dtype == DType::string) {
    label = Slot();
    label.view.dtype = DType::string;
    label.view.count = 1;
    label.texts = Array::of_strings({}, {classes.texts.strings()[static_cast<std::size_t>(best)]});
  } else {
    if (!reserve_result(step, 0, DType::int64, {})) return false;
    set_integer(label.view, 0, integer_at(classes.view, best));
  }
  Slot& dictionary = frame_.slot(step.first_result + 1);
  dictionary = Slot();
  dictionary.owner = frame_.heap().take(static_cast<std::uint64_t>(probabilities.count) * 8);
  if (dictionary.owner == nullptr) {
    return no_memory(step, static_cast<std::uint64_t>(probabilities.count) * 8);
  }
  dictionary.view = {
      DType::fp64, {probabilities.count}, dictionary.owner.get(), probabilities.count};
  for (std::int64_t i = 0; i < probabilities.count; ++i) {
    set_real(dictionary.view, i, real_at(probabilities, i));
  }
  dictionary.texts = classes.texts;
  return true;
}

}  // namespace milgen::cpu
