// Memory for vector code.
#pragma once

#include <cstddef>
#include <limits>
#include <new>
#include <utility>

namespace milgen::detail {

/// Bytes at an address that is a multiple of 64, with unspecified values.
class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignmentBytes = 64;

  /// The distance between two of its bytes is a std::ptrdiff_t.
  static constexpr std::size_t kMostBytes = std::numeric_limits<std::ptrdiff_t>::max();

  AlignedBuffer() = default;
  ~AlignedBuffer() { release(); }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  /// Makes bytes() at least `bytes`; what was in it is lost when it has to grow. False when there
  /// is not so much memory: it is empty then.
  [[nodiscard]] bool reserve(std::size_t bytes) {
    if (bytes <= bytes_) return true;
    release();
    if (bytes > kMostBytes) return false;
    data_ = static_cast<std::byte*>(
        ::operator new (bytes, std::align_val_t{kAlignmentBytes}, std::nothrow));
    if (data_ != nullptr) bytes_ = bytes;
    return data_ != nullptr;
  }

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void release() {
    ::operator delete (std::exchange(data_, nullptr), std::align_val_t{kAlignmentBytes});
    bytes_ = 0;
  }

  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace milgen::detail
