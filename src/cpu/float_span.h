// Runs of elements as fp32, whatever the dtype of the tensor.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/kernel.h"

namespace milgen::cpu {

/// Elements [begin, begin + count) as fp32: where they are when they are fp32, else converted into
/// `buffer`, which takes that many. Integers are rounded once.
const float* floats_of(const TensorView& tensor, std::int64_t begin, std::int64_t count,
                       float* buffer);

/// Where to put fp32 values that become elements [begin, begin + count): the memory of the tensor
/// when it is fp32, else `buffer`. store_floats() is to be called when they are there.
float* floats_for(const TensorView& tensor, std::int64_t begin, float* buffer);

/// Stores `count` values as elements from `begin` on, each rounded once (integers are cut off
/// towards zero). A NaN becomes the quiet positive one, in `values` as well: which one an operation
/// gives differs between machines.
void store_floats(const TensorView& tensor, std::int64_t begin, std::int64_t count, float* values);

/// Elements [begin, begin + count) as fp64 into `values`.
void load_doubles(const TensorView& tensor, std::int64_t begin, std::int64_t count, double* values);

/// Stores fp64 values as elements from `begin` on, likewise.
void store_doubles(const TensorView& tensor, std::int64_t begin, std::int64_t count,
                   double* values);

}  // namespace milgen::cpu
