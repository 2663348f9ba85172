// A tensor with its values: what goes into a program that runs and what comes out of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "milgen/dtype.h"
#include "milgen/shape.h"

namespace milgen {

/// Dense, row-major values of one dtype. Copying an Array copies no values: copies share them, and
/// what one writes the others see; clone() is for itself.
///
/// An element takes element_bytes(dtype): bool is one byte (0 or 1), integers of less than 8 bits
/// are one byte each (weight files pack them, arrays do not), fp16 and bf16 their 16 bits. Strings
/// have no bytes: they are in strings().
class Array {
 public:
  /// No tensor at all: dtype none.
  Array() = default;
  /// Zeros (strings: empty ones). No tensor at all when the shape has an unknown dim, or its bytes
  /// are more than memory has.
  Array(DType dtype, Shape shape);
  /// The same with whatever stands in memory, to be written before it is read.
  static Array uninitialized(DType dtype, Shape shape);
  /// Memory of the caller, which outlives this and every copy. `bytes` is element_bytes() times the
  /// number of elements, aligned for the element; no tensor at all otherwise. Programs write only
  /// to arrays that are outputs or states.
  static Array borrow(DType dtype, Shape shape, std::span<std::byte> bytes);
  /// The same for memory that `owner` keeps alive.
  static Array share(DType dtype, Shape shape, std::span<std::byte> bytes,
                     std::shared_ptr<const void> owner);
  static Array of_strings(Shape shape, std::vector<std::string> values);

  explicit operator bool() const { return dtype_ != DType::none; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  /// The number of elements; 1 for a scalar.
  std::int64_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_, bytes_}; }
  std::span<std::byte> mutable_bytes() { return {data_, bytes_}; }
  /// The elements as `T`, which has element_bytes() bytes; empty when it has not.
  template <class T>
  std::span<const T> as() const {
    if (size_ == 0 || sizeof(T) * static_cast<std::size_t>(size_) != bytes_) return {};
    return {reinterpret_cast<const T*>(data_), static_cast<std::size_t>(size_)};
  }
  template <class T>
  std::span<T> as_mutable() {
    if (size_ == 0 || sizeof(T) * static_cast<std::size_t>(size_) != bytes_) return {};
    return {reinterpret_cast<T*>(data_), static_cast<std::size_t>(size_)};
  }
  std::span<const std::string> strings() const;
  std::span<std::string> mutable_strings();

  /// One element, exact for every dtype but 64-bit integers, which are rounded; NaN for a string.
  double real(std::int64_t index) const;
  /// One element of an integer or bool dtype; 0 for others.
  std::int64_t integer(std::int64_t index) const;
  /// Stores a number, rounded once to the dtype (to nearest, ties to even; integers saturate).
  void set(std::int64_t index, double value);

  Array clone() const;
  /// The same values under another shape of as many elements; no tensor at all otherwise.
  Array reshaped(Shape shape) const;

 private:
  DType dtype_ = DType::none;
  Shape shape_;
  std::int64_t size_ = 0;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<std::vector<std::string>> strings_;
};

/// Bytes of one element in an Array; 0 for strings and DType::none.
std::size_t element_bytes(DType dtype);

/// A value of a program by name.
struct NamedArray {
  std::string name;
  Array array;
  /// Of a dictionary (what classify makes): its keys, as many as `array` has elements.
  Array keys = {};
  /// Of a list: its elements; `array` is no tensor then.
  std::vector<Array> elements = {};
};

/// The one with this name; null when there is none.
const NamedArray* find_array(std::span<const NamedArray> arrays, std::string_view name);

}  // namespace milgen
