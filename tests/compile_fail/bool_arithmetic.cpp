// expect-gcc: no match for .operator[+].
// expect-clang: invalid operands to binary expression
// expect: [(].*Tensor<bool>.* and .*Tensor<bool>.*[)]
#include "milgen/ops.h"

milgen::Tensor<bool> both(milgen::Tensor<bool> a, milgen::Tensor<bool> b) { return a && !b; }

#ifdef FAIL
void sum(milgen::Tensor<bool> a, milgen::Tensor<bool> b) { a + b; }
#endif
