// Shapes of results when an op is about to run, or when a run is planned: the op's inference
// function, given what is known of its arguments.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/code.h"
#include "milgen/diagnostic.h"

namespace milgen::cpu {

/// What is known of a value.
struct KnownValue {
  const Shape* shape = nullptr;        ///< null when the shape is not known
  const TensorView* values = nullptr;  ///< null when the elements are not known
  std::span<const std::string> texts = {};
  std::int64_t length = kUnknownDim;  ///< of a list
};

class ValueSource {
 public:
  virtual KnownValue known(SlotId slot) const = 0;

 protected:
  ~ValueSource() = default;
};

struct InferredValue {
  DType dtype = DType::none;
  Shape shape;
  bool is_tensor = false;
};

/// Infers the results of an op without blocks. False when inference refuses it: with the shapes and
/// values of this run the op is not possible, which is reported at the op's place.
bool infer_results(const Code& code, const StepCode& step, const ValueSource& source,
                   std::vector<InferredValue>& results, Diagnostics& diagnostics);

}  // namespace milgen::cpu
