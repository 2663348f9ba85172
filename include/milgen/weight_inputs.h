// The host's side of weights that are inputs: arrays that hold them, kept from run to run.
//
//     WeightInputs weights;
//     if (!weights.open(weight_plan(program), diagnostics)) return false;
//     if (!weights.load(*source, diagnostics)) return false;  // all of them, or one by one:
//     if (!weights.write("wq", wq, Transposed::no, diagnostics)) return false;
//     std::vector<NamedArray> inputs;
//     if (!weights.bind({{"x", x}}, inputs, diagnostics)) return false;
//     executable->run(inputs, outputs, diagnostics);
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "milgen/array.h"
#include "milgen/diagnostic.h"
#include "milgen/weight_modes.h"

namespace milgen {

class WeightSource;

/// Whether values are those of the transposed matrix: [in, out] of a weight [out, in, 1, 1].
enum class Transposed : bool { no, yes };

/// Writes one part of a planned input into `input`, packed bytes of its dtype and shape, aligned
/// for its elements: `values` are the part's elements in row-major order, rounded to nearest, ties
/// to even. Transposed::yes is for parts with two dims that are not 1; of an activation [1, C, 1,
/// S] the values are then [S, C]. False when a size does not fit: nothing is written then. Touches
/// the part's bytes and no other.
bool write_part(const PlannedInput& planned, const PlannedPart& part, std::span<const float> values,
                Transposed transposed, std::span<std::byte> input);

/// Arrays for the inputs of a program whose weights are inputs. Not for several threads at a time.
class WeightInputs {
 public:
  WeightInputs();
  WeightInputs(WeightInputs&&) noexcept;
  WeightInputs& operator=(WeightInputs&&) noexcept;
  ~WeightInputs();

  /// Makes the arrays, with zeros; `memory.limit` where there is no memory for them.
  bool open(WeightPlan plan, Diagnostics& diagnostics);
  const WeightPlan& plan() const;

  /// Values of a weight, as write_part(). `weights.unknown` for a name that is no weight of the
  /// plan, `weight.size` for another number of elements.
  bool write(std::string_view weight, std::span<const float> values, Transposed transposed,
             Diagnostics& diagnostics);
  /// The same from the bits of fp16.
  bool write_fp16(std::string_view weight, std::span<const std::uint16_t> values,
                  Transposed transposed, Diagnostics& diagnostics);
  /// All weights of the plan from a source, with its reports. False when one could not be read;
  /// the others have been.
  bool load(WeightSource& source, Diagnostics& diagnostics);

  /// The inputs of the program: an activation that has an input of its own is taken as it is, one
  /// that shares its input with weights is written in front of them, a weight's array is the one
  /// that is kept here. `run.input` for an activation that is missing, unknown, given twice, or of
  /// another dtype or shape.
  bool bind(std::span<const NamedArray> activations, std::vector<NamedArray>& inputs,
            Diagnostics& diagnostics);
  bool bind(std::initializer_list<NamedArray> activations, std::vector<NamedArray>& inputs,
            Diagnostics& diagnostics) {
    return bind(std::span<const NamedArray>(activations.begin(), activations.size()), inputs,
                diagnostics);
  }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace milgen
