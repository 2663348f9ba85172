// The text that printers write.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace milgen {

/// Text that grows at its end. A line is a dozen pieces of a few letters, so what counts is what a
/// short piece costs: the literals are copied with a length that the compiler knows, and names
/// without a call. Both together took half of the instructions that a line cost with memcpy.
class Text {
 public:
  explicit Text(std::size_t reserve) { grow(reserve); }

  void put(char c) {
    need(1);
    *at_++ = c;
  }
  template <std::size_t N>
  void put(const char (&literal)[N]) {
    need(N);
    std::memcpy(at_, literal, N - 1);
    at_ += N - 1;
  }
  void put(std::string_view text) {
    need(text.size());
    copy(text.data(), text.size());
  }
  /// A copy of what was written from `start` on.
  void repeat(std::size_t start, std::size_t length) {
    need(length);
    const char* from = out_.data() + start;
    char* to = at_;
    at_ += length;
    // Types are twenty to forty letters: in words, of which the last may overlap the one before.
    if (length < kWordBytes) {
      std::memcpy(to, from, length);
      return;
    }
    for (; to + kWordBytes < at_; to += kWordBytes, from += kWordBytes) {
      std::memcpy(to, from, kWordBytes);
    }
    std::memcpy(at_ - kWordBytes, out_.data() + start + length - kWordBytes, kWordBytes);
  }
  /// Room for `bytes` that the caller fills from the returned place on, up to written_to().
  char* room(std::size_t bytes) {
    need(bytes);
    return at_;
  }
  void written_to(char* end) { at_ = end; }
  std::size_t size() const { return static_cast<std::size_t>(at_ - out_.data()); }
  /// Forgets what was written from `size` on.
  void cut(std::size_t size) { at_ = out_.data() + size; }
  std::string take() {
    out_.resize(size());
    return std::move(out_);
  }

 private:
  static constexpr std::size_t kWordBytes = 16;

  void need(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - at_) < bytes) grow(bytes);
  }
  void grow(std::size_t bytes) {
    const std::size_t used = at_ == nullptr ? 0 : size();
    out_.resize(std::max(out_.size() * 2, used + bytes));
    at_ = out_.data() + used;
    end_ = out_.data() + out_.size();
  }
  /// Two words that overlap do for any length between one and two words.
  [[gnu::always_inline]] void copy(const char* from, std::size_t size) {
    char* to = at_;
    at_ += size;
    if (size > 16) {
      std::memcpy(to, from, size);
    } else if (size >= 8) {
      copy_ends<8>(to, from, size);
    } else if (size >= 4) {
      copy_ends<4>(to, from, size);
    } else if (size >= 2) {
      copy_ends<2>(to, from, size);
    } else if (size == 1) {
      *to = *from;
    }
  }
  template <std::size_t Word>
  [[gnu::always_inline]] static void copy_ends(char* to, const char* from, std::size_t size) {
    std::array<char, Word> first;  // NOLINT(*-member-init): written before it is read
    std::array<char, Word> last;   // NOLINT(*-member-init): written before it is read
    std::memcpy(first.data(), from, Word);
    std::memcpy(last.data(), from + size - Word, Word);
    std::memcpy(to, first.data(), Word);
    std::memcpy(to + size - Word, last.data(), Word);
  }

  std::string out_;
  char* at_ = nullptr;
  char* end_ = nullptr;
};

}  // namespace milgen
