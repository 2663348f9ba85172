// State that stays on the engine from one evaluation to the next, such as a key-value cache.
//
// The engine refuses MIL's own states on older chips (ST-002 in ane_constraints). What works there
// is that the surface an output was written to is an input of the next evaluation (IO-017). Nothing
// is known of reading and writing one surface within an evaluation, so that each state has two,
// which change places after every evaluation, by two requests that were made beforehand.
//
//     // main(x, cache) -> (y, new_cache)
//     auto state = ane::StateHandle::create(model, {{"cache", "new_cache"}}, 256);
//     model.write_fp32("x", x);
//     if (auto error = state->evaluate()) return fail(error.text());
//     if (auto error = state->advance(1)) return fail(error.text());
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "milgen/ane/error.h"
#include "milgen/ane/model.h"
#include "milgen/ane/surface.h"

namespace milgen::ane {

/// An input, and the output that is the same state afterwards: dtype, shape and strides are equal.
struct StatePair {
  std::string input;
  std::string output;
};

/// States of one model; copies are the same ones. For one thread at a time. The model's other
/// inputs and outputs are written and read by the model, with the surfaces that it had when this
/// was made; once it is closed, every call gives `closed`.
class StateHandle {
 public:
  StateHandle() = default;
  /// `max_positions`: how many positions the states have room for, at least 1. All states are
  /// zeros. Errors: `argument` for names that there are none of or that come twice, `layout` for
  /// tensors that differ, `map`, and those of every call of a model.
  static Result<StateHandle> create(Model& model, std::span<const StatePair> pairs,
                                    std::int64_t max_positions);

  /// Runs the model once; the states are then what it made of them. When it fails, they are what
  /// they were.
  Error evaluate();

  /// Counts n more positions, at least 0; `argument` when there is no room for them.
  Error advance(std::int64_t positions);
  std::int64_t position() const;
  std::int64_t max_positions() const;
  std::int64_t remaining() const { return max_positions() - position(); }
  /// Zeros all states, and goes back to position 0.
  Error reset();

  /// How many states there are; they are counted in the order of `pairs`.
  std::size_t size() const;
  /// What the next evaluation reads. Packed bytes, or floats as Model::write_fp32() and read_fp32()
  /// take them.
  Error write_packed(std::size_t state, std::span<const std::byte> packed);
  Error write_fp32(std::size_t state, std::span<const float> values, const Region& region = {});
  Error read_packed(std::size_t state, std::span<std::byte> packed) const;
  Error read_fp32(std::size_t state, std::span<float> values, const Region& region = {}) const;

 private:
  struct State;
  class Access;
  explicit StateHandle(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace milgen::ane
