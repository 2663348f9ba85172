// Moving values in and out of a model's surfaces, by port.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ane/layout.h"
#include "ane/model_state.h"
#include "milgen/ane/model.h"
#include "support/printable.h"
#include "support/tensor_text.h"

namespace milgen::ane {
namespace {

/// Inputs or outputs of a state.
struct Side {
  std::string_view what;
  std::vector<TensorLayout> ModelState::*layouts;
  std::vector<Surface> ModelState::*surfaces;
};
constexpr Side kInput{"input", &ModelState::inputs, &ModelState::input_surfaces};
constexpr Side kOutput{"output", &ModelState::outputs, &ModelState::output_surfaces};

std::ptrdiff_t find(std::span<const TensorLayout> layouts, std::string_view name) {
  const auto found = std::ranges::find(layouts, name, &TensorLayout::name);
  return found == layouts.end() ? -1 : found - layouts.begin();
}

std::string names_of(std::span<const TensorLayout> layouts) {
  std::string names;
  for (const TensorLayout& layout : layouts) {
    names += fmt::format("{}'{}'", names.empty() ? "" : ", ", printable(layout.name));
  }
  return names.empty() ? "none at all" : names;
}

Error no_port(const ModelState& state, const Side& side, const Port& port) {
  const std::string names = names_of(state.*side.layouts);
  if (!port.by_index()) {
    return {ErrorKind::argument,
            fmt::format("there is no {} '{}', only {}", side.what, printable(port.name()), names)};
  }
  return {ErrorKind::argument,
          fmt::format("there is no {} {}, only 0 to {}: {}", side.what, port.index(),
                      static_cast<std::ptrdiff_t>((state.*side.layouts).size()) - 1, names)};
}

Result<std::size_t> find_port(const ModelState& state, const Side& side, const Port& port) {
  const std::vector<TensorLayout>& layouts = state.*side.layouts;
  const std::int64_t index = port.by_index() ? port.index() : find(layouts, port.name());
  if (index >= 0 && index < static_cast<std::int64_t>(layouts.size())) {
    return static_cast<std::size_t>(index);
  }
  return no_port(state, side, port);
}

/// One port of a model that is held.
class PortCall {
 public:
  PortCall(const ModelState* state, const Side& side, const Port& port) : call_(state) {
    error_ = call_.error();
    if (error_) return;
    const Result<std::size_t> place = find_port(*state, side, port);
    error_ = place.error();
    if (error_) return;
    index_ = *place;
    layout_ = &(state->*side.layouts)[index_];
    surface_ = &(state->*side.surfaces)[index_];
  }
  const Error& error() const { return error_; }
  std::size_t index() const { return index_; }
  const TensorLayout& layout() const { return *layout_; }
  const Surface& surface() const { return *surface_; }

 private:
  ModelCall call_;
  Error error_;
  std::size_t index_ = 0;
  const TensorLayout* layout_ = nullptr;
  const Surface* surface_ = nullptr;
};

/// Calls `move` with the surface and the layout of a port.
template <class Move>
Error with_port(const ModelState* state, const Side& side, const Port& port, const Move& move) {
  const PortCall call(state, side, port);
  return call.error() ? call.error() : move(call.surface(), call.layout());
}

Error check_array(const Side& side, const TensorLayout& layout, const Array& array) {
  if (array.dtype() == layout.dtype && array.shape() == layout.shape) return {};
  return {ErrorKind::argument,
          fmt::format("{} {} but the array is {}", side.what, layout_text(layout),
                      tensor_text(array.dtype(), array.shape()))};
}

Error set_surface(ModelState* state, const Side& side, const Port& port, const Surface& surface) {
  const PortCall call(state, side, port);
  if (call.error()) return call.error();
  if (surface.bytes() < call.layout().alloc_bytes()) {
    return {ErrorKind::argument,
            fmt::format("{} {} in {} bytes, but the surface has {}", side.what,
                        layout_text(call.layout()), call.layout().alloc_bytes(), surface.bytes())};
  }
  std::vector<Surface> surfaces = state->*side.surfaces;
  surfaces[call.index()] = surface;
  const bool is_input = &side == &kInput;
  Result<Request> request = make_request(*state, is_input ? surfaces : state->input_surfaces,
                                         is_input ? state->output_surfaces : surfaces);
  if (!request) return request.error();
  // The old one stays in use when the new one cannot be mapped.
  if (Error error = map_request(*state, *request)) return error;
  unmap_request(*state, state->request);
  state->request = *std::move(request);
  state->*side.surfaces = std::move(surfaces);
  return {};
}

/// Two models that are held, which may be one; always in the same order, so that two threads which
/// hold them the other way round wait for each other's end and not for ever.
class TwoModels {
 public:
  TwoModels(const ModelState* a, const ModelState* b)
      : first_(std::min(a, b)), second_(a == b ? nullptr : std::max(a, b)), is_one_(a == b) {}
  Error error() const {
    if (first_.error()) return first_.error();
    return is_one_ ? Error() : second_.error();
  }

 private:
  ModelCall first_;
  ModelCall second_;
  bool is_one_;
};

struct TwoPorts {
  std::size_t output = 0;
  std::size_t input = 0;
};

Result<TwoPorts> find_ports(const ModelState& source, const Port& output, const ModelState& target,
                            const Port& input) {
  const Result<std::size_t> from = find_port(source, kOutput, output);
  if (!from) return from.error();
  const Result<std::size_t> to = find_port(target, kInput, input);
  if (!to) return to.error();
  return TwoPorts{*from, *to};
}

}  // namespace

Result<std::size_t> find_input(const ModelState& state, const Port& port) {
  return find_port(state, kInput, port);
}

Result<std::size_t> find_output(const ModelState& state, const Port& port) {
  return find_port(state, kOutput, port);
}

std::ptrdiff_t Model::find_input(std::string_view name) const { return find(inputs(), name); }
std::ptrdiff_t Model::find_output(std::string_view name) const { return find(outputs(), name); }

Error Model::write_packed(Port input, std::span<const std::byte> packed) {
  return with_port(state_.get(), kInput, input, [&](const Surface& to, const TensorLayout& as) {
    return ane::write_packed(to, as, packed);
  });
}

Error Model::write_fp16(Port input, std::span<const std::uint16_t> values, const Region& region) {
  return with_port(state_.get(), kInput, input, [&](const Surface& to, const TensorLayout& as) {
    return ane::write_fp16(to, as, values, region);
  });
}

Error Model::write_fp32(Port input, std::span<const float> values, const Region& region) {
  return with_port(state_.get(), kInput, input, [&](const Surface& to, const TensorLayout& as) {
    return ane::write_fp32(to, as, values, region);
  });
}

Error Model::write_raw(Port input, std::span<const std::byte> bytes) {
  return with_port(state_.get(), kInput, input, [&](const Surface& to, const TensorLayout& as) {
    return ane::write_raw(to, as, bytes);
  });
}

Error Model::write(Port input, const Array& array) {
  return with_port(state_.get(), kInput, input, [&](const Surface& to, const TensorLayout& as) {
    Error error = check_array(kInput, as, array);
    return error ? error : ane::write_packed(to, as, array.bytes());
  });
}

Error Model::read_packed(Port output, std::span<std::byte> packed) const {
  return with_port(state_.get(), kOutput, output, [&](const Surface& of, const TensorLayout& as) {
    return ane::read_packed(of, as, packed);
  });
}

Error Model::read_fp16(Port output, std::span<std::uint16_t> values, const Region& region) const {
  return with_port(state_.get(), kOutput, output, [&](const Surface& of, const TensorLayout& as) {
    return ane::read_fp16(of, as, values, region);
  });
}

Error Model::read_fp32(Port output, std::span<float> values, const Region& region) const {
  return with_port(state_.get(), kOutput, output, [&](const Surface& of, const TensorLayout& as) {
    return ane::read_fp32(of, as, values, region);
  });
}

Error Model::read_raw(Port output, std::span<std::byte> bytes) const {
  return with_port(state_.get(), kOutput, output, [&](const Surface& of, const TensorLayout& as) {
    return ane::read_raw(of, as, bytes);
  });
}

Error Model::read(Port output, Array& array) const {
  return with_port(state_.get(), kOutput, output, [&](const Surface& of, const TensorLayout& as) {
    if (!array) array = Array::uninitialized(as.dtype, as.shape);
    Error error = check_array(kOutput, as, array);
    return error ? error : ane::read_packed(of, as, array.mutable_bytes());
  });
}

Result<TensorView> Model::view_input(Port input, Access access) {
  const PortCall call(state_.get(), kInput, input);
  if (call.error()) return call.error();
  return TensorView::take(call.surface(), call.layout(), access);
}

Result<TensorView> Model::view_output(Port output, Access access) {
  const PortCall call(state_.get(), kOutput, output);
  if (call.error()) return call.error();
  return TensorView::take(call.surface(), call.layout(), access);
}

Result<Surface> Model::input_surface(Port input) const {
  const PortCall call(state_.get(), kInput, input);
  if (call.error()) return call.error();
  return call.surface();
}

Result<Surface> Model::output_surface(Port output) const {
  const PortCall call(state_.get(), kOutput, output);
  if (call.error()) return call.error();
  return call.surface();
}

Error Model::set_input_surface(Port input, const Surface& surface) {
  return set_surface(state_.get(), kInput, input, surface);
}

Error Model::set_output_surface(Port output, const Surface& surface) {
  return set_surface(state_.get(), kOutput, output, surface);
}

Error share_surface(Model& source, Port output, Model& target, Port input) {
  Surface shared;
  {
    const TwoModels both(source.state().get(), target.state().get());
    if (Error error = both.error()) return error;
    const ModelState& from = *source.state();
    const ModelState& to = *target.state();
    const Result<TwoPorts> ports = find_ports(from, output, to, input);
    if (!ports) return ports.error();
    const TensorLayout& written = from.outputs[ports->output];
    const TensorLayout& read = to.inputs[ports->input];
    if (written.dtype != read.dtype || written.shape != read.shape) {
      return {ErrorKind::argument,
              fmt::format("output {} but input {}", layout_text(written), layout_text(read))};
    }
    if (!same_layout(written, read)) {
      return {ErrorKind::layout, fmt::format("one surface cannot be both: output {}, but input {}",
                                             strides_text(written), strides_text(read))};
    }
    shared = from.output_surfaces[ports->output];
  }
  return target.set_input_surface(input, shared);
}

Error copy_io(const Model& source, Port output, Model& target, Port input, const CopyRange& range) {
  const TwoModels both(source.state().get(), target.state().get());
  if (Error error = both.error()) return error;
  const ModelState& from = *source.state();
  const ModelState& to = *target.state();
  const Result<TwoPorts> ports = find_ports(from, output, to, input);
  if (!ports) return ports.error();
  return copy_channels(from.output_surfaces[ports->output], from.outputs[ports->output],
                       to.input_surfaces[ports->input], to.inputs[ports->input], range);
}

}  // namespace milgen::ane
