// The bytes of MIL text: where they stand, what they are, and what is wrong with them. There are no
// tokens: who reads says what is expected next, and most of what a file holds - values - is only
// scanned for being well formed.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "mil/module_data.h"
#include "support/rule.h"

namespace milgen::mil {

// --- Letters. ---

enum CharClass : std::uint8_t {
  kSpace = 1,
  kWordStart = 2,
  kWord = 4,  // [A-Za-z0-9_@]
  kDigit = 8,
  kHexDigit = 16,
  kPlainInString = 32,  // neither a quote nor a backslash nor a byte of control
};

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> out{};
  for (int c = 32; c < 256; ++c) {
    if (c != '"' && c != '\\' && c != 127) out[static_cast<std::size_t>(c)] = kPlainInString;
  }
  for (const char c : {' ', '\t', '\n', '\r'}) out[static_cast<unsigned char>(c)] |= kSpace;
  for (int c = 'a'; c <= 'z'; ++c) out[static_cast<std::size_t>(c)] |= kWordStart | kWord;
  for (int c = 'A'; c <= 'Z'; ++c) out[static_cast<std::size_t>(c)] |= kWordStart | kWord;
  for (int c = '0'; c <= '9'; ++c) out[static_cast<std::size_t>(c)] |= kDigit | kHexDigit | kWord;
  for (int c = 'a'; c <= 'f'; ++c) out[static_cast<std::size_t>(c)] |= kHexDigit;
  for (int c = 'A'; c <= 'F'; ++c) out[static_cast<std::size_t>(c)] |= kHexDigit;
  out['_'] |= kWordStart | kWord;
  out['@'] |= kWord;
  return out;
}
inline constexpr std::array<std::uint8_t, 256> kClasses = make_classes();

inline bool is(char c, std::uint8_t classes) {
  return (kClasses[static_cast<unsigned char>(c)] & classes) != 0;
}

/// Behind the letters of `classes` that begin at `at`. A local pointer: the parser's own would be
/// stored for each letter, since what is read could be its bytes.
inline const char* past(const char* at, std::uint8_t classes) {
  while (is(*at, classes)) ++at;
  return at;
}

inline bool is_literal_word(std::string_view word) {
  return word == "true" || word == "false" || word == "inf" || word == "nan";
}

// --- What is expected, with an example. ---

struct Expected {
  std::string_view what;
  std::string_view example;
};

class Scanner {
 public:
  /// `text` is followed by a byte of 0 that is not part of it. `is_source`: it is the module's own
  /// text, which places are counted in.
  Scanner(ModuleData& data, std::string_view text, std::string_view file, bool is_source,
          std::size_t error_limit, Diagnostics& diagnostics)
      : data_(data),
        begin_(text.data()),
        p_(begin_),
        end_(begin_ + text.size()),
        file_(file),
        is_source_(is_source),
        error_limit_(error_limit),
        diagnostics_(diagnostics) {}

 protected:
  // --- Errors. ---

  std::uint32_t place_of(const char* at) const {
    return is_source_ ? static_cast<std::uint32_t>(at - begin_) : kNoPlace;
  }
  Place to_place(const char* at, std::size_t length) const;
  /// Always false, so that it can be returned. Behind the limit nothing more is read.
  bool error(Rule rule, std::string message, const char* at, std::size_t length = 1);
  bool expected(const Expected& wanted) { return expected(wanted, p_); }
  bool expected(const Expected& wanted, const char* at);
  std::string describe(const char* at, std::size_t& length) const;

  // --- Scanning. ---

  /// To the next byte that is neither white space nor part of a comment.
  void skip() {
    if (!is(*p_, kSpace) && *p_ != '/') return;
    skip_more();
  }
  void skip_more();
  bool take(char c) {
    skip();
    if (*p_ != c) return false;
    ++p_;
    return true;
  }
  bool take(char c, const Expected& wanted) { return take(c) || expected(wanted); }
  /// The word that begins here; empty when none does.
  std::string_view word() {
    skip();
    if (!is(*p_, kWordStart)) return {};
    const char* start = p_;
    p_ = past(start + 1, kWord);
    return {start, static_cast<std::size_t>(p_ - start)};
  }
  bool word(std::string_view& out, const Expected& wanted) {
    out = word();
    return !out.empty() || expected(wanted);
  }
  bool at_end() const { return p_ >= end_; }
  bool scan_string();
  bool scan_number();
  bool scan_value(std::string_view& text, bool& spaced);
  bool scan_scalar();

  ModuleData& data_;
  const char* begin_;
  const char* p_;
  const char* end_;
  std::string_view file_;
  bool is_source_;
  std::size_t error_limit_;
  Diagnostics& diagnostics_;
  std::size_t errors_ = 0;
};

}  // namespace milgen::mil
