// What a function that executes an op sees of it: its arguments by name, the memory of its results,
// and a way to say what is wrong. One such function per op, in one file per op family; the list of
// them is kernel_table.cpp.
//
// When a kernel is called the program has been verified, so that arguments are there, have the
// dtypes of the op's row, and constants have the values that inference takes; results have the
// shape that inference gives for the shapes and values of this run. Left to kernels is what depends
// on values (indices, divisors, sizes of non_zero).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/backend.h"
#include "milgen/dtype.h"
#include "milgen/op_info.h"
#include "milgen/shape.h"
#include "support/aligned_buffer.h"
#include "support/rule.h"
#include "support/thread_pool.h"

namespace milgen::cpu {

/// A dense row-major tensor in memory that something else owns. Elements as in Array.
struct TensorView {
  DType dtype = DType::none;
  Shape shape;
  std::byte* data = nullptr;
  std::int64_t count = 0;  ///< elements

  std::size_t rank() const { return shape.size(); }
  std::int64_t dim(std::size_t i) const { return shape[i]; }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data);
  }
  template <class T>
  T* as_mutable() const {
    return reinterpret_cast<T*>(data);
  }
};

/// The value of an element as a double or a 64-bit integer, whatever the dtype (bool as 0 and 1).
double real_at(const TensorView& tensor, std::int64_t index);
std::int64_t integer_at(const TensorView& tensor, std::int64_t index);
/// Stores a number, rounded once to the dtype. Integers saturate; NaN is 0 there.
void set_real(const TensorView& tensor, std::int64_t index, double value);
/// Stores the low bits of an integer; a float dtype gets it rounded once.
void set_integer(const TensorView& tensor, std::int64_t index, std::int64_t value);

/// Calls f with a value of the C++ type that elements of `dtype` are moved as: std::uint8_t,
/// std::uint16_t, std::uint32_t or std::uint64_t by their size. For ops that only move elements.
template <class F>
decltype(auto) with_element_size(DType dtype, F&& f) {
  switch (element_bytes(dtype)) {
    case 2:
      return f(std::uint16_t{});
    case 4:
      return f(std::uint32_t{});
    case 8:
      return f(std::uint64_t{});
    default:
      return f(std::uint8_t{});
  }
}

using detail::ThreadPool;

/// One execution of one op.
class OpRun {
 public:
  OpRun(const OpRun&) = delete;
  OpRun& operator=(const OpRun&) = delete;

  virtual const OpInfo& info() const = 0;
  virtual Opset opset() const = 0;
  virtual NumericMode mode() const = 0;
  virtual ThreadPool& pool() const = 0;
  /// For random ops without a seed of their own: differs from op to op and follows
  /// RunOptions::seed.
  virtual std::uint64_t op_seed() const = 0;

  // --- Arguments, by their name in the op's row. ---

  /// Whether it was given; an argument with a default that was left out is not.
  bool has(std::string_view param) const { return count(param) != 0; }
  /// 1 for a plain argument, the number of elements of a variadic one, 0 for none.
  virtual int count(std::string_view param) const = 0;
  /// A tensor argument. Not for one that was left out.
  virtual const TensorView& in(std::string_view param, int index = 0) const = 0;

  // Values of an argument, constant or not; the default of the op's row in this opset where it was
  // left out.
  virtual std::int64_t integer(std::string_view param) const = 0;
  virtual double real(std::string_view param) const = 0;
  virtual bool boolean(std::string_view param) const = 0;
  virtual std::string_view text(std::string_view param) const = 0;
  /// A scalar reads as one element; empty when it was left out and its default is "absent".
  virtual Ints integers(std::string_view param) const = 0;
  /// Strings of a tensor<string>.
  virtual std::span<const std::string> texts(std::string_view param) const = 0;

  // --- Results. ---

  virtual int results() const = 0;
  /// Result `i`, with memory to write to. Of an op whose result shape depends on values
  /// (non_zero), make_out() is to be called first. With the flag kInPlace the memory may be that
  /// of an argument of equal dtype and shape.
  virtual const TensorView& out(int i = 0) const = 0;
  /// Gives result `i` its shape and memory; null when that failed, which has been reported.
  virtual const TensorView* make_out(int i, std::span<const std::int64_t> shape) = 0;

  // --- Memory for the kernel itself. ---

  /// Aligned to 64 bytes, not zeroed, valid until the kernel returns; null when there is not as
  /// much, which has been reported: the kernel then returns false. Not for worker threads.
  virtual std::byte* scratch(std::uint64_t bytes) = 0;
  template <class T>
  T* scratch_of(std::int64_t count) {
    return reinterpret_cast<T*>(scratch(static_cast<std::uint64_t>(count) * sizeof(T)));
  }

  /// The memory that matrix products use (cpu/product.h), kept from op to op.
  virtual detail::AlignedBuffer& workspace() = 0;

  // --- What is wrong. ---

  /// Reports an error at the op; its name and a colon are put in front of the message. Returns
  /// false, so that a kernel can `return run.fail(...)`. Not for worker threads.
  virtual bool fail(Rule rule, std::string message) = 0;

 protected:
  OpRun() = default;
  ~OpRun() = default;
};

/// Executes an op; false when it called fail() or was given no memory.
using Kernel = bool (*)(OpRun& run);

enum class KernelFlags : std::uint8_t {
  none = 0,
  /// The result may be written where an argument of the same dtype and shape stands: any argument
  /// of an elementwise op (Trait::elementwise), otherwise the one that is called x or data.
  in_place = 1,
  /// The result is the first argument's elements in their order: nothing is computed, and the
  /// planner may let both be one memory.
  alias = 2,
};
constexpr bool has(KernelFlags set, KernelFlags one) {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0;
}

/// A row of the list of executors.
struct KernelRow {
  OpCode code;
  Kernel kernel = nullptr;
  KernelFlags flags = KernelFlags::none;
  /// Why there is no kernel.
  std::string_view reason = {};
  bool by_executor = false;  ///< done without one
};

/// The row of an op; there is one for each.
const KernelRow& kernel_row(OpCode code);
/// Whether a program with the op can be run.
inline bool is_executed(OpCode code) {
  return kernel_row(code).kernel != nullptr || kernel_row(code).by_executor;
}

}  // namespace milgen::cpu
