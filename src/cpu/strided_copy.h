// Moving elements from one arrangement in memory to another: what transposing, slicing, tiling,
// joining and the like are made of.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/kernel.h"
#include "milgen/shape.h"

namespace milgen::cpu {

/// How far it is from an element of a dense tensor to the next one along each dim, in elements.
Ints dense_strides(const Shape& shape);

/// A place to read from or write to, and how far it is to the next element along each dim that is
/// copied. Strides count elements; they may be negative, those of a source also 0.
struct StridedSource {
  const std::byte* data = nullptr;
  Ints strides;
};
struct StridedTarget {
  std::byte* data = nullptr;
  Ints strides;
};

/// Copies elements of a dtype: for each index within `shape`, the one at that index of `from` to
/// that index of `to`. Source and target do not overlap, nor do the target's elements.
/// The target is written in the order of its memory, in whole runs where the source has such, and
/// in square tiles where the source runs along another dim than the target.
void copy_strided(ThreadPool& pool, DType dtype, const Shape& shape, const StridedSource& from,
                  const StridedTarget& to);

/// Copies `bytes` bytes on the threads of the pool.
void copy_bytes(ThreadPool& pool, const std::byte* from, std::byte* to, std::size_t bytes);

/// Makes every element of a tensor `value`, rounded once to the dtype as set_real() does.
void fill_tensor(ThreadPool& pool, const TensorView& tensor, double value);

}  // namespace milgen::cpu
