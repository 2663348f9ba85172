// expect: conflicting types for parameter .T. [(].milgen::fp16. (and|vs[.]) .milgen::fp32.[)]
#include "milgen/ops.h"

milgen::Tensor<milgen::fp16> half_product(milgen::Tensor<milgen::fp16> x) {
  return milgen::mul(x, x);
}

#ifdef FAIL
void mixed_product(milgen::Tensor<milgen::fp16> x, milgen::Tensor<milgen::fp32> y) {
  milgen::mul(x, y);
}
#endif
