#include "milgen/ane/state_handle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "ane/layout.h"
#include "ane/model_state.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

/// A pair, as places among the model's inputs and outputs.
struct Places {
  std::size_t input = 0;
  std::size_t output = 0;
};

Result<Places> find_pair(const ModelState& model, const StatePair& pair) {
  const Result<std::size_t> input = find_input(model, Port(pair.input));
  if (!input) return input.error();
  const Result<std::size_t> output = find_output(model, Port(pair.output));
  if (!output) return output.error();
  if (!same_layout(model.inputs[*input], model.outputs[*output])) {
    return Error(ErrorKind::layout, fmt::format("a state is read and written alike, but {}, and {}",
                                                strides_text(model.inputs[*input]),
                                                strides_text(model.outputs[*output])));
  }
  return Places{*input, *output};
}

Result<std::vector<Places>> find_pairs(const ModelState& model, std::span<const StatePair> pairs) {
  std::vector<Places> all;
  for (const StatePair& pair : pairs) {
    const Result<Places> places = find_pair(model, pair);
    if (!places) return places.error();
    const bool twice = std::ranges::any_of(all, [&](const Places& known) {
      return known.input == places->input || known.output == places->output;
    });
    if (twice) {
      return Error(ErrorKind::argument,
                   fmt::format("the pair of '{}' and '{}' shares a tensor with another pair",
                               printable(pair.input), printable(pair.output)));
    }
    all.push_back(*places);
  }
  return all;
}

/// The surfaces of both requests: the second one's states lie the other way round.
Result<std::array<RequestSurfaces, 2>> make_surfaces(const ModelState& model,
                                                     std::span<const Places> pairs) {
  std::array<RequestSurfaces, 2> both;
  both.fill({model.input_surfaces, model.output_surfaces});
  for (const Places& pair : pairs) {
    for (const std::size_t turn : {0U, 1U}) {
      const Result<Surface> surface =
          Surface::create(model.engine, model.inputs[pair.input].alloc_bytes());
      if (!surface) return surface.error();
      both[turn].inputs[pair.input] = *surface;
      both[1 - turn].outputs[pair.output] = *surface;
    }
  }
  return both;
}

}  // namespace

struct StateHandle::State {
  std::shared_ptr<ModelState> owner;
  std::shared_ptr<RequestSet> requests;
  std::vector<Places> pairs;
  std::size_t turn = 0;  // which request is next
  std::int64_t position = 0;
  std::int64_t max_positions = 0;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { release_request_set(*owner, requests); }
  ModelState& model() const { return *owner; }
  Request& next() const { return requests->requests[turn]; }
};

/// A state's surface and layout while the model's lock is held, or why it may not be used.
class StateHandle::Access {
 public:
  Access(const State* state, std::size_t which)
      : call_(state == nullptr ? nullptr : &state->model()), error_(call_.error()) {
    if (error_) return;
    if (which >= state->pairs.size()) {
      error_ = Error(ErrorKind::argument, fmt::format("there is no state {}, only {} of them",
                                                      which, state->pairs.size()));
      return;
    }
    const std::size_t input = state->pairs[which].input;
    surface_ = &state->next().inputs[input];
    layout_ = &state->model().inputs[input];
  }
  const Error& error() const { return error_; }
  const Surface& surface() const { return *surface_; }
  const TensorLayout& layout() const { return *layout_; }

 private:
  ModelCall call_;
  Error error_;
  const Surface* surface_ = nullptr;
  const TensorLayout* layout_ = nullptr;
};

Result<StateHandle> StateHandle::create(Model& model, std::span<const StatePair> pairs,
                                        std::int64_t max_positions) {
  if (max_positions < 1) {
    return Error(ErrorKind::argument,
                 fmt::format("states have room for at least 1 position, not {}", max_positions));
  }
  const ModelCall call(model.state().get());
  if (call.error()) return call.error();
  ModelState& state = *model.state();
  Result<std::vector<Places>> places = find_pairs(state, pairs);
  if (!places) return places.error();
  const Result<std::array<RequestSurfaces, 2>> surfaces = make_surfaces(state, *places);
  if (!surfaces) return surfaces.error();
  Result<std::shared_ptr<RequestSet>> requests = make_request_set(state, *surfaces);
  if (!requests) return requests.error();
  auto handle = std::make_shared<State>();
  handle->owner = model.state();
  handle->requests = *std::move(requests);
  handle->pairs = *std::move(places);
  handle->max_positions = max_positions;
  return StateHandle(std::move(handle));
}

Error StateHandle::evaluate() {
  const ModelCall call(state_ == nullptr ? nullptr : &state_->model());
  if (call.error()) return call.error();
  ModelState& model = state_->model();
  Error error = evaluate_bounded(model, state_->next(), model.options.route,
                                 model.call_options.get(), state_);
  if (!error) state_->turn = 1 - state_->turn;
  return error;
}

Error StateHandle::advance(std::int64_t positions) {
  if (positions >= 0 && positions <= remaining()) {
    if (state_ != nullptr) state_->position += positions;
    return Error();
  }
  return Error(ErrorKind::argument, fmt::format("{} positions do not follow position {} of {}",
                                                positions, position(), max_positions()));
}

std::int64_t StateHandle::position() const { return state_ == nullptr ? 0 : state_->position; }

std::int64_t StateHandle::max_positions() const {
  return state_ == nullptr ? 0 : state_->max_positions;
}

Error StateHandle::reset() {
  for (std::size_t i = 0; i < size(); ++i) {
    const Access to(state_.get(), i);
    if (to.error()) return to.error();
    const Result<SurfaceLock> lock = SurfaceLock::take(to.surface(), ane::Access::write);
    if (!lock) return lock.error();
    std::ranges::fill(lock->bytes(), std::byte{0});
  }
  if (state_ != nullptr) state_->position = 0;
  return Error();
}

std::size_t StateHandle::size() const { return state_ == nullptr ? 0 : state_->pairs.size(); }

Error StateHandle::write_packed(std::size_t state, std::span<const std::byte> packed) {
  const Access to(state_.get(), state);
  return to.error() ? to.error() : ane::write_packed(to.surface(), to.layout(), packed);
}

Error StateHandle::write_fp32(std::size_t state, std::span<const float> values,
                              const Region& region) {
  const Access to(state_.get(), state);
  return to.error() ? to.error() : ane::write_fp32(to.surface(), to.layout(), values, region);
}

Error StateHandle::read_packed(std::size_t state, std::span<std::byte> packed) const {
  const Access from(state_.get(), state);
  return from.error() ? from.error() : ane::read_packed(from.surface(), from.layout(), packed);
}

Error StateHandle::read_fp32(std::size_t state, std::span<float> values,
                             const Region& region) const {
  const Access from(state_.get(), state);
  return from.error() ? from.error()
                      : ane::read_fp32(from.surface(), from.layout(), values, region);
}

}  // namespace milgen::ane
