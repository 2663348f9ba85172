#include <utility>

#include "ane/model_state.h"

namespace milgen::ane {
namespace {

void unmap_all(const ModelState& state, RequestSet& set) {
  for (Request& request : set.requests) unmap_request(state, request);
}

Error add_request(const ModelState& state, RequestSet& set, const RequestSurfaces& surfaces,
                  Id shared_events) {
  Result<Request> request = make_request(state, surfaces.inputs, surfaces.outputs, shared_events);
  if (!request) return request.error();
  set.requests.push_back(*std::move(request));
  return map_request(state, set.requests.back());
}

}  // namespace

Result<std::vector<Surface>> make_surfaces(const ModelState& state,
                                           std::span<const TensorLayout> layouts,
                                           std::span<const Surface> own,
                                           const std::vector<bool>& shared) {
  std::vector<Surface> surfaces;
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    if (i < shared.size() && shared[i]) {
      surfaces.push_back(own[i]);
      continue;
    }
    Result<Surface> surface = Surface::create(state.engine, layouts[i].alloc_bytes());
    if (!surface) return surface.error();
    surfaces.push_back(*std::move(surface));
  }
  return surfaces;
}

Result<std::shared_ptr<RequestSet>> make_request_set(ModelState& state,
                                                     std::span<const RequestSurfaces> surfaces,
                                                     Id shared_events) {
  auto set = std::make_shared<RequestSet>();
  set->requests.reserve(surfaces.size());
  for (const RequestSurfaces& of_one : surfaces) {
    if (Error error = add_request(state, *set, of_one, shared_events)) {
      unmap_all(state, *set);
      return error;
    }
  }
  state.request_sets.push_back(set);
  return set;
}

void end_request_set(ModelState& state, const std::shared_ptr<RequestSet>& set) {
  unmap_all(state, *set);
  std::erase(state.request_sets, set);
}

void release_request_set(ModelState& state, const std::shared_ptr<RequestSet>& set) {
  const ModelCall call(&state);
  if (!call.error()) end_request_set(state, set);
}

void unmap_request_sets(ModelState& state) {
  for (const std::shared_ptr<RequestSet>& set : state.request_sets) unmap_all(state, *set);
  state.request_sets.clear();
}

}  // namespace milgen::ane
