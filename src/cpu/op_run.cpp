#include "cpu/op_run.h"

#include <cstdlib>

namespace milgen::cpu {

std::uint64_t StepRun::op_seed() const {
  // Ops draw from streams of their own; golden ratio steps keep those of neighbours apart.
  return runner_.options_.seed + runner_.round_ +
         (std::uint64_t{step_.number} + 1) * 0x9E3779B97F4A7C15u;
}

const Slot* StepRun::find(std::string_view param, int index) const {
  const ArgCode* arg = runner_.code_.find_arg(step_, param);
  if (arg == nullptr || static_cast<std::uint32_t>(index) >= arg->count) return nullptr;
  return &runner_.frame_.slot(runner_.code_.slots_of(*arg)[static_cast<std::size_t>(index)]);
}

int StepRun::count(std::string_view param) const {
  const ArgCode* arg = runner_.code_.find_arg(step_, param);
  return arg == nullptr ? 0 : static_cast<int>(arg->count);
}

const TensorView& StepRun::in(std::string_view param, int index) const {
  static const TensorView kNothing;
  const Slot* slot = find(param, index);
  return slot == nullptr ? kNothing : slot->view;
}

const Param& StepRun::param_of(std::string_view name) const {
  static const Param kNothing;
  for (const Param& param : step_.op->params(step_.opset)) {
    if (param.name == name) return param;
  }
  return kNothing;
}

std::size_t StepRun::rank_of(std::string_view param) const {
  const Slot* slot = find(param);
  return slot == nullptr ? 0 : slot->view.rank();
}

std::int64_t StepRun::integer(std::string_view param) const {
  const Slot* slot = find(param);
  if (slot != nullptr && slot->view.count != 0) return integer_at(slot->view, 0);
  return static_cast<std::int64_t>(param_of(param).def.number);
}

double StepRun::real(std::string_view param) const {
  const Slot* slot = find(param);
  if (slot != nullptr && slot->view.count != 0) return real_at(slot->view, 0);
  return param_of(param).def.number;
}

std::string_view StepRun::text(std::string_view param) const {
  const std::span<const std::string> given = texts(param);
  return given.empty() ? param_of(param).def.text : std::string_view(given.front());
}

std::span<const std::string> StepRun::texts(std::string_view param) const {
  const Slot* slot = find(param);
  return slot == nullptr ? std::span<const std::string>() : slot->texts.strings();
}

Ints StepRun::integers(std::string_view param) const {
  Ints out;
  const Slot* slot = find(param);
  if (slot != nullptr) {
    for (std::int64_t i = 0; i < slot->view.count; ++i) out.push_back(integer_at(slot->view, i));
    return out;
  }
  const Default& def = param_of(param).def;
  const auto number = static_cast<std::int64_t>(def.number);
  const std::size_t rank = rank_of("x");
  const std::size_t spatial = rank < 2 ? 0 : rank - 2;
  switch (def.kind) {
    case DefaultKind::integer:
    case DefaultKind::boolean:
    case DefaultKind::real:
      out.push_back(number);
      break;
    case DefaultKind::spatial_dims:
      out.resize(spatial, number);
      break;
    case DefaultKind::spatial_sides:
      out.resize(2 * spatial, number);
      break;
    case DefaultKind::all_axes:
      for (std::size_t i = 0; i < rank; ++i) out.push_back(static_cast<std::int64_t>(i));
      break;
    case DefaultKind::box_range: {
      const std::int64_t boxes = rank_of("boxes") == 0 ? 0 : in("boxes", 0).dim(0);
      for (std::int64_t i = 0; i < boxes; ++i) out.push_back(i);
      break;
    }
    case DefaultKind::required:
    case DefaultKind::absent:
    case DefaultKind::text:
    case DefaultKind::zero_bias:
      break;
  }
  return out;
}

const TensorView& StepRun::out(int i) const {
  return runner_.frame_.slot(step_.first_result + static_cast<SlotId>(i)).view;
}

const TensorView* StepRun::make_out(int i, std::span<const std::int64_t> shape) {
  const auto index = static_cast<std::uint32_t>(i);
  const SlotId id = step_.first_result + index;
  const DType dtype = runner_.code_.slots[id].dtype;
  if (!runner_.reserve_result(step_, index, dtype, Shape(shape))) return nullptr;
  return &runner_.frame_.slot(id).view;
}

std::byte* StepRun::scratch(std::uint64_t bytes) {
  std::byte* memory = runner_.frame_.scratch(bytes);
  if (memory == nullptr) runner_.no_memory(step_, bytes);
  return memory;
}

}  // namespace milgen::cpu
