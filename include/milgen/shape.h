// Dims: the short integer lists of MIL (shapes, axes, strides), held without an allocation up to
// eight entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace milgen {

/// A dim that is not known: `?` in MIL text. Two unknown dims are never equal to each other.
inline constexpr std::int64_t kUnknownDim = -1;
/// Dims at or below this are symbols: not known, but two equal symbols are the same number.
inline constexpr std::int64_t kFirstSymbolDim = -2;
/// The only entry of a shape of which not even the rank is known: the result of an op whose shape
/// argument is a run-time vector of unknown length.
inline constexpr std::int64_t kUnknownRank = INT64_MIN;

/// A short list of 64-bit integers. Up to eight live inline.
class Ints {
 public:
  using value_type = std::int64_t;

  Ints() noexcept {}  // not defaulted: the inline entries stay unwritten
  Ints(std::initializer_list<std::int64_t> values) { assign(values.begin(), values.size()); }
  // NOLINTNEXTLINE(google-explicit-constructor): a list is a list
  Ints(const std::vector<std::int64_t>& values) { assign(values.data(), values.size()); }
  explicit Ints(std::span<const std::int64_t> values) { assign(values.data(), values.size()); }
  Ints(std::size_t count, std::int64_t value) { resize(count, value); }
  Ints(const Ints& other) { assign(other.data(), other.size()); }
  Ints(Ints&& other) noexcept { take(other); }
  Ints& operator=(const Ints& other) {
    if (this != &other) assign(other.data(), other.size());
    return *this;
  }
  Ints& operator=(Ints&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~Ints() { release(); }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::int64_t* data() { return heap_ != nullptr ? heap_ : inline_; }
  const std::int64_t* data() const { return heap_ != nullptr ? heap_ : inline_; }
  std::int64_t* begin() { return data(); }
  std::int64_t* end() { return data() + size_; }
  const std::int64_t* begin() const { return data(); }
  const std::int64_t* end() const { return data() + size_; }
  std::int64_t& operator[](std::size_t i) { return data()[i]; }
  std::int64_t operator[](std::size_t i) const { return data()[i]; }
  std::int64_t back() const { return data()[size_ - 1]; }

  void push_back(std::int64_t value);
  void resize(std::size_t count, std::int64_t value = 0);
  void clear() { size_ = 0; }
  void erase(std::size_t index);
  void insert(std::size_t index, std::int64_t value);

  friend bool operator==(const Ints& a, const Ints& b) {
    if (a.size_ != b.size_) return false;
    for (std::size_t i = 0; i < a.size_; ++i) {
      if (a.data()[i] != b.data()[i]) return false;
    }
    return true;
  }

 private:
  static constexpr std::uint32_t kInline = 8;
  void assign(const std::int64_t* values, std::size_t count) {
    if (count <= kInline && heap_ == nullptr) {
      for (std::size_t i = 0; i < count; ++i) inline_[i] = values[i];
      size_ = static_cast<std::uint32_t>(count);
    } else {
      assign_slow(values, count);
    }
  }
  void assign_slow(const std::int64_t* values, std::size_t count);
  void grow(std::size_t count);
  void take(Ints& other) noexcept {
    heap_ = other.heap_;
    size_ = other.size_;
    capacity_ = other.capacity_;
    for (std::size_t i = 0; heap_ == nullptr && i < size_; ++i) inline_[i] = other.inline_[i];
    other.heap_ = nullptr;
    other.size_ = 0;
    other.capacity_ = kInline;
  }
  void release() noexcept {
    if (heap_ != nullptr) delete[] heap_;
    heap_ = nullptr;
    capacity_ = kInline;
  }

  std::int64_t* heap_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = kInline;
  std::int64_t inline_[kInline];
};

/// The dims of a tensor, outermost first. Rank 0 is a scalar.
using Shape = Ints;

/// As MIL spells it: "[1, 768, 1, 256]", with "?" for a dim that is not known.
std::string to_string(const Ints& values);

/// The number of elements; false when it does not fit in 63 bits or a dim is not known.
bool element_count(std::span<const std::int64_t> shape, std::int64_t& count);

}  // namespace milgen
