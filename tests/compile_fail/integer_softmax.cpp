// expect-gcc: constraints not satisfied.*is_one_of.*T = milgen::int32;
// expect-gcc: Allowed = {milgen::fp16, milgen::fp32}
// expect-clang: is_one_of<milgen::int32, milgen::fp16, milgen::fp32>. evaluated to false
#include "milgen/ops.h"

milgen::Tensor<milgen::fp16> of_halves(milgen::Tensor<milgen::fp16> x) {
  return milgen::softmax(x);
}

#ifdef FAIL
void of_integers(milgen::Tensor<milgen::int32> x) { milgen::softmax(x); }
#endif
