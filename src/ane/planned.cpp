#include "milgen/ane/planned.h"

#include <fmt/format.h>

#include <cstdint>

#include "support/printable.h"
#include "support/tensor_text.h"

namespace milgen::ane {
namespace {

Error bad(std::string message) { return {ErrorKind::argument, std::move(message)}; }

/// Holds the plan's input against the model's.
Error check_input(const Model& model, const PlannedInput& input) {
  const std::ptrdiff_t index = model.find_input(input.name);
  if (index < 0) return bad(fmt::format("the model has no input {}", printable(input.name)));
  const TensorLayout& layout = model.inputs()[static_cast<std::size_t>(index)];
  if (layout.dtype == input.dtype && layout.shape == input.shape) return {};
  return bad(fmt::format("input '{}' is {}, but the plan has {}", input.name,
                         tensor_text(layout.dtype, layout.shape),
                         tensor_text(input.dtype, input.shape)));
}

Error bad_count(const PlannedPart& part, std::size_t given) {
  return bad(fmt::format("'{}' is {} and was given {} elements", part.name,
                         tensor_text(part.dtype, part.shape), given));
}

/// The part turned into its layout in memory of its own, and from there into the surface.
Error write_turned(Model& model, const PlannedInput& input, const PlannedPart& part,
                   std::span<const float> values, Transposed transposed, const Region& region) {
  PlannedInput alone = input;
  PlannedPart moved = part;
  if (part.layout != PartLayout::whole) {
    alone.shape[3] = part.columns;
    moved.first_column = 0;
  }
  Array turned = Array::uninitialized(alone.dtype, alone.shape);
  if (!turned) return bad(fmt::format("there is no memory for '{}'", part.name));
  if (!write_part(alone, moved, values, transposed, turned.mutable_bytes())) {
    return bad_count(part, values.size());
  }
  if (input.dtype == DType::fp16) {
    return model.write_fp16(input.name, turned.as<std::uint16_t>(), region);
  }
  if (input.dtype == DType::fp32) return model.write_fp32(input.name, turned.as<float>(), region);
  return model.write_packed(input.name, turned.bytes());
}

}  // namespace

Error write_part(Model& model, const PlannedInput& input, const PlannedPart& part,
                 std::span<const float> values, Transposed transposed) {
  if (Error error = check_input(model, input)) return error;
  std::int64_t count = 0;
  if (!element_count(part.shape, count) || static_cast<std::uint64_t>(count) != values.size()) {
    return bad_count(part, values.size());
  }
  Region region;
  if (part.layout != PartLayout::whole) {
    if (input.shape.size() != 4) return bad_count(part, values.size());
    region = {0, -1, part.first_column, part.columns};
  }
  const bool turn = (transposed == Transposed::yes) != (part.layout == PartLayout::transposed);
  const bool is_float = input.dtype == DType::fp16 || input.dtype == DType::fp32;
  if (turn || !is_float) return write_turned(model, input, part, values, transposed, region);
  return model.write_fp32(input.name, values, region);
}

Error write_part(Model& model, const WeightPlan& plan, std::string_view part,
                 std::span<const float> values, Transposed transposed) {
  for (const PlannedInput& input : plan.inputs) {
    for (const PlannedPart& one : input.parts) {
      if (one.name == part) return write_part(model, input, one, values, transposed);
    }
  }
  return bad(fmt::format("the plan has no activation and no weight {}", printable(part)));
}

}  // namespace milgen::ane
