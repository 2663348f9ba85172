#include "milgen/ane/request_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "ane/bound.h"
#include "ane/model_state.h"
#include "support/printable.h"

namespace milgen::ane {
namespace {

struct Slot {
  EvaluateCall call;
  PostedEvaluation posted;
  bool begun = false;  // and not waited for
};

void run_slot(void* argument) { run_posted(static_cast<Slot*>(argument)->call); }

Error no_request() {
  return Error(ErrorKind::closed, "the pooled request is none, or was given back");
}

/// For each input whether all requests share the model's surface.
Result<std::vector<bool>> find_shared(const ModelState& model, std::span<const std::string> names) {
  std::vector<bool> shared(model.inputs.size(), false);
  for (const std::string& name : names) {
    const Result<std::size_t> place = find_input(model, Port(name));
    if (!place) return place.error();
    shared[*place] = true;
  }
  return shared;
}

Result<std::vector<RequestSurfaces>> make_all_surfaces(const ModelState& model, int depth,
                                                       const std::vector<bool>& shared) {
  std::vector<RequestSurfaces> all;
  for (int i = 0; i < depth; ++i) {
    Result<std::vector<Surface>> inputs =
        make_surfaces(model, model.inputs, model.input_surfaces, shared);
    if (!inputs) return inputs.error();
    Result<std::vector<Surface>> outputs =
        make_surfaces(model, model.outputs, model.output_surfaces, {});
    if (!outputs) return outputs.error();
    all.push_back({*std::move(inputs), *std::move(outputs)});
  }
  return all;
}

}  // namespace

struct PooledRequest::State {
  std::shared_ptr<ModelState> owner;
  std::shared_ptr<RequestSet> requests;
  std::vector<bool> shared;
  std::vector<Slot> slots;
  std::mutex mutex;
  std::condition_variable came_back;
  std::vector<std::size_t> free;  // the last is given out next

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { release_request_set(*owner, requests); }
  ModelState& model() const { return *owner; }
  Request& request(std::size_t slot) const { return requests->requests[slot]; }
};

PooledRequest::PooledRequest(PooledRequest&& other) noexcept
    : state_(std::move(other.state_)), slot_(other.slot_) {}

PooledRequest& PooledRequest::operator=(PooledRequest&& other) noexcept {
  if (this != &other) {
    release();
    state_ = std::move(other.state_);
    slot_ = other.slot_;
  }
  return *this;
}

void PooledRequest::release() {
  if (state_ == nullptr) return;
  const std::shared_ptr<State> state = std::move(state_);
  // In a forked child both the evaluation and the pool's mutex are the parent's.
  if (state->model().runtime().check_process()) return;
  const Slot& slot = state->slots[slot_];
  if (slot.begun && !slot.posted.wait(state->model())) {
    // The engine may still write to it: it does not come back.
    (void)gave_up(state->model());
    if (slot.posted.worker->abandon(slot.posted.ticket, state)) return;
  }
  state->slots[slot_].begun = false;
  {
    const std::lock_guard<std::mutex> lock(state->mutex);
    state->free.push_back(slot_);
  }
  state->came_back.notify_one();
}

Error PooledRequest::check_idle() const {
  if (state_ == nullptr) return no_request();
  const ModelState& model = state_->model();
  if (Error error = model.runtime().check_process()) return error;
  if (!state_->slots[slot_].begun) return Error();
  return Error(ErrorKind::busy,
               fmt::format("request {} of model '{}' is under way, or has not been waited for",
                           slot_, printable(model.name)));
}

Result<std::size_t> PooledRequest::find_input(Port input) const {
  if (Error error = check_idle()) return error;
  return ane::find_input(state_->model(), input);
}

Result<std::size_t> PooledRequest::find_output(Port output) const {
  if (Error error = check_idle()) return error;
  return ane::find_output(state_->model(), output);
}

/// A surface of the request with its layout, or why it may not be used.
struct PooledRequest::Target {
  Target(const PooledRequest& request, const Result<std::size_t>& place, bool is_input)
      : error(place.error()) {
    if (error) return;
    const Request& of_slot = request.state_->request(request.slot_);
    const ModelState& model = request.state_->model();
    surface = &(is_input ? of_slot.inputs : of_slot.outputs)[*place];
    layout = &(is_input ? model.inputs : model.outputs)[*place];
  }
  static Target to_write(const PooledRequest& request, Port input) {
    const Result<std::size_t> place = request.find_input(input);
    Target target(request, place, true);
    if (place && request.state_->shared[*place]) {
      target.error = Error(ErrorKind::argument,
                           fmt::format("input '{}' is shared by all requests of the pool: the "
                                       "model writes it",
                                       printable(target.layout->name)));
    }
    return target;
  }
  static Target to_read(const PooledRequest& request, Port output) {
    return Target(request, request.find_output(output), false);
  }

  Error error;
  const Surface* surface = nullptr;
  const TensorLayout* layout = nullptr;
};

Error PooledRequest::write_packed(Port input, std::span<const std::byte> packed) {
  const Target to = Target::to_write(*this, input);
  return to.error ? to.error : ane::write_packed(*to.surface, *to.layout, packed);
}

Error PooledRequest::write_fp16(Port input, std::span<const std::uint16_t> values,
                                const Region& region) {
  const Target to = Target::to_write(*this, input);
  return to.error ? to.error : ane::write_fp16(*to.surface, *to.layout, values, region);
}

Error PooledRequest::write_fp32(Port input, std::span<const float> values, const Region& region) {
  const Target to = Target::to_write(*this, input);
  return to.error ? to.error : ane::write_fp32(*to.surface, *to.layout, values, region);
}

Error PooledRequest::read_packed(Port output, std::span<std::byte> packed) const {
  const Target from = Target::to_read(*this, output);
  return from.error ? from.error : ane::read_packed(*from.surface, *from.layout, packed);
}

Error PooledRequest::read_fp16(Port output, std::span<std::uint16_t> values,
                               const Region& region) const {
  const Target from = Target::to_read(*this, output);
  return from.error ? from.error : ane::read_fp16(*from.surface, *from.layout, values, region);
}

Error PooledRequest::read_fp32(Port output, std::span<float> values, const Region& region) const {
  const Target from = Target::to_read(*this, output);
  return from.error ? from.error : ane::read_fp32(*from.surface, *from.layout, values, region);
}

Result<Surface> PooledRequest::input_surface(Port input) const {
  const Target target(*this, find_input(input), true);
  if (target.error) return target.error;
  return *target.surface;
}

Result<Surface> PooledRequest::output_surface(Port output) const {
  const Target target(*this, find_output(output), false);
  if (target.error) return target.error;
  return *target.surface;
}

Error PooledRequest::begin() {
  if (Error error = check_idle()) return error;
  ModelState& model = state_->model();
  const ModelCall call(&model, true);
  if (call.error()) return call.error();
  Slot& slot = state_->slots[slot_];
  slot.call = {&model, &state_->request(slot_), model.options.route, model.call_options.get(), {}};
  Error error = post_evaluation(model, {run_slot, &slot, nullptr}, slot.posted);
  slot.begun = !error;
  return error;
}

bool PooledRequest::done() const {
  return state_ == nullptr || !state_->slots[slot_].begun || state_->slots[slot_].posted.ended();
}

Error PooledRequest::wait() {
  if (state_ == nullptr) return no_request();
  ModelState& model = state_->model();
  if (Error error = model.runtime().check_process()) return error;
  Slot& slot = state_->slots[slot_];
  if (!slot.begun) {
    return Error(ErrorKind::argument, fmt::format("request {} of model '{}' has not been begun",
                                                  slot_, printable(model.name)));
  }
  if (!slot.posted.ended()) {
    if (Error error = check_not_telling(model)) return error;
  }
  if (!slot.posted.wait(model)) return gave_up(model);
  slot.begun = false;
  return std::move(slot.call.error);
}

Error PooledRequest::evaluate() {
  Error error = begin();
  return error ? error : wait();
}

Result<RequestPool> RequestPool::create(Model& model, const RequestPoolOptions& options) {
  if (options.depth < 1 || options.depth > kMostPooledRequests) {
    return Error(ErrorKind::argument, fmt::format("a pool has 1 to {} requests, not {}",
                                                  kMostPooledRequests, options.depth));
  }
  const ModelCall call(model.state().get());
  if (call.error()) return call.error();
  ModelState& state = *model.state();
  Result<std::vector<bool>> shared = find_shared(state, options.shared_inputs);
  if (!shared) return shared.error();
  const Result<std::vector<RequestSurfaces>> surfaces =
      make_all_surfaces(state, options.depth, *shared);
  if (!surfaces) return surfaces.error();
  Result<std::shared_ptr<RequestSet>> requests = make_request_set(state, *surfaces);
  if (!requests) return requests.error();
  auto pool = std::make_shared<PooledRequest::State>();
  pool->owner = model.state();
  pool->requests = *std::move(requests);
  pool->shared = *std::move(shared);
  const auto depth = static_cast<std::size_t>(options.depth);
  pool->slots.resize(depth);
  for (std::size_t i = depth; i-- > 0;) pool->free.push_back(i);
  return RequestPool(std::move(pool));
}

int RequestPool::depth() const {
  return state_ == nullptr ? 0 : static_cast<int>(state_->slots.size());
}

Result<PooledRequest> RequestPool::acquire(std::chrono::milliseconds at_most) {
  if (state_ == nullptr) return Error(ErrorKind::closed, "there is no pool to take a request from");
  const ModelState& model = state_->model();
  if (Error error = model.runtime().check_process()) return error;
  const auto is_free = [this] { return !state_->free.empty(); };
  std::unique_lock<std::mutex> lock(state_->mutex);
  const bool waits = at_most.count() > 0;
  if (waits ? !wait_bounded(state_->came_back, lock, bound_of(at_most), is_free) : !is_free()) {
    return Error(ErrorKind::busy,
                 fmt::format("all {} requests of model '{}' are taken, and none came back within "
                             "{} ms",
                             depth(), printable(model.name), at_most.count()));
  }
  const std::size_t slot = state_->free.back();
  state_->free.pop_back();
  return PooledRequest(state_, slot);
}

Result<PooledRequest> RequestPool::acquire() {
  if (state_ == nullptr) return acquire(std::chrono::milliseconds(0));
  const std::chrono::milliseconds bound = state_->model().options.evaluate_timeout;
  // An unbounded model's requests come back or they do not: a year says that.
  return acquire(bound.count() == 0 ? kYear : bound);
}

}  // namespace milgen::ane
