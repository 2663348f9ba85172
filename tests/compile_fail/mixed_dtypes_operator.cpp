// expect-gcc: no match for .operator[*].
// expect-clang: invalid operands to binary expression
// expect: [(].*.milgen::Tensor<milgen::fp16>. and .milgen::Tensor<milgen::fp32>.
#include "milgen/ops.h"

milgen::Tensor<milgen::fp16> half_product(milgen::Tensor<milgen::fp16> x) { return x * x * 2; }

#ifdef FAIL
void mixed_product(milgen::Tensor<milgen::fp16> x, milgen::Tensor<milgen::fp32> y) { x* y; }
#endif
