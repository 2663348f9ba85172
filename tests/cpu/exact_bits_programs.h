// Programs whose bits are held, beside the Stories kernels and the evaluation cases: each family of
// ops at sizes that fill no vector and no block evenly.
#pragma once

#include <string>
#include <vector>

#include "milgen/array.h"
#include "milgen/backend.h"
#include "milgen/program.h"

namespace milgen::test {

struct BitsProgram {
  std::string name;  ///< "math.fp16"
  Program program;
};

/// Every family for fp16 and fp32. Complains and ends the process where one cannot be built.
std::vector<BitsProgram> bits_programs();

/// Values of an input: of `bits_x` and `bits_y` every kind of number there is (subnormals,
/// infinities, NaNs, all pairs of what is special); of others numbers by formula (fill_seeded).
Array bits_input(const TensorSpec& spec);

}  // namespace milgen::test
