// expect: conflicting types for parameter .T. [(].milgen::fp32. (and|vs[.]) .milgen::fp16.[)]
#include "milgen/ops.h"

milgen::Tensor<milgen::fp16> half_product(milgen::Tensor<milgen::fp16> x) {
  return milgen::matmul(x, x);
}

#ifdef FAIL
void mixed_product(milgen::Tensor<milgen::fp32> w, milgen::Tensor<milgen::fp16> x) {
  milgen::matmul(w, x);
}
#endif
