// What pointwise.cpp gives to its vector code: a tape with memory behind its registers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cpu/pointwise.h"
#include "cpu/strided_dims.h"
#include "milgen/dtype.h"

namespace milgen::cpu {

/// How an input is brought into a block.
enum class InputKind : std::uint8_t {
  in_place,  ///< dense fp32: read where it is
  dense,
  constant,  ///< one element for all
  strided,
};

struct RunInput {
  InputKind kind = InputKind::dense;
  DType dtype = DType::fp32;
  const void* data = nullptr;
  std::uint8_t slot = 0;
  StridedDims dims = {};  ///< of a strided one
};

struct RunOutput {
  std::uint8_t slot = 0;
  DType dtype = DType::fp32;
  void* data = nullptr;
};

struct TapeRun {
  TapeRun(const Tape& tape, std::span<const TapeInput> tape_inputs, std::span<void* const> memory,
          std::span<const std::int64_t> shape);

  std::vector<RunInput> inputs;
  std::vector<RunOutput> outputs;
  std::span<const TapeStep> code;
  std::span<const float> constants;
  std::int64_t count = 1;  ///< elements
};

/// Runs blocks [first, last) of kTapeBlock elements.
void run_blocks(const TapeRun& run, std::int64_t first, std::int64_t last);

}  // namespace milgen::cpu
