// What the executables of all backends do with the arrays that they are given: find them by name
// and hold them against what the program declares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/array.h"
#include "milgen/backend.h"
#include "milgen/diagnostic.h"
#include "milgen/shape.h"

namespace milgen {

/// The inputs, the outputs or the states of a function, in its order, with other names each.
class Ports {
 public:
  static constexpr std::size_t kNone = SIZE_MAX;

  Ports() = default;
  /// As many places as specs: where each is declared.
  Ports(std::vector<TensorSpec> specs, std::vector<Place> places);

  std::span<const TensorSpec> specs() const { return specs_; }
  std::size_t size() const { return specs_.size(); }
  const TensorSpec& spec(std::size_t port) const { return specs_[port]; }
  const Place& place(std::size_t port) const { return places_[port]; }
  /// The port of this name; kNone when there is none.
  std::size_t find(std::string_view name) const;
  /// Sets `at[port]` to where in `arrays` the port's name stands first, kNone where it does not.
  /// Takes no memory when `at` has room for all ports.
  void locate(std::span<const NamedArray> arrays, std::vector<std::size_t>& at) const;

 private:
  std::vector<TensorSpec> specs_;
  std::vector<Place> places_;
  std::vector<std::size_t> by_name_;  // ports, sorted by their names
};

/// Whether an array of the shape `given` can stand where `declared` stands, which may have dims
/// that are not known.
bool shape_fits(const Shape& declared, const Shape& given);

/// Finds the array of every input: input `i` is `given[at[i]]`. Reports `run.input` for one that is
/// missing, unknown, given twice, or of another dtype or shape; false then. Takes no memory
/// otherwise, when `at` has room.
bool match_inputs(const Ports& inputs, std::span<const NamedArray> given, std::string_view file,
                  std::vector<std::size_t>& at, Diagnostics& diagnostics);

/// Reports `run.input` and returns false when the array for an input or a state is of another dtype
/// or shape. `kind` is "input" or "state".
bool check_given(std::string_view kind, const Ports& ports, std::size_t port, const Array& array,
                 Diagnostics& diagnostics);

/// Reports `run.output` and returns false when the caller's array for an output has another dtype,
/// or a shape that does not fit `shape`: the declared one, or what this run makes.
bool check_output(const Ports& outputs, std::size_t port, const Shape& shape, const Array& array,
                  Diagnostics& diagnostics);

}  // namespace milgen
