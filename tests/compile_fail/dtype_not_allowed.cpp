// expect: int8.*(OneOf|is_one_of)
#include "milgen/dtype.h"

template <milgen::OneOf<milgen::fp16, milgen::fp32> T>
void softmax() {}

int main() {
  softmax<milgen::fp16>();
#ifdef FAIL
  softmax<milgen::int8>();
#endif
}
