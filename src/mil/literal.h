// The text of literals: their tokens, what they say, and whether that is what their type says.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mil/module_data.h"
#include "milgen/dtype.h"
#include "support/rule.h"

namespace milgen::mil {

// --- Tokens. ---

enum class TokenKind : std::uint8_t {
  open,   ///< one of [ ( {
  close,  ///< one of ] ) }
  comma,
  string,  ///< with its quotes
  word,    ///< true, false, or what is no number
  whole,   ///< digits, with a sign or without
  real,    ///< any other number: hex, with a point or an exponent, inf, nan
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view text;
};

/// Reads the tokens of a literal one after another; white space and comments stand for nothing.
class LiteralTokens {
 public:
  explicit LiteralTokens(std::string_view text)
      : at_(text.data()), end_(text.data() + text.size()) {}

  Token next() {
    skip_space();
    const char* start = at_;
    if (at_ == end_) return {TokenKind::end, {start, 0}};
    switch (letter(*at_)) {
      case Letter::open:
        return {TokenKind::open, {at_++, 1}};
      case Letter::close:
        return {TokenKind::close, {at_++, 1}};
      case Letter::comma:
        return {TokenKind::comma, {at_++, 1}};
      default:
        return element();
    }
  }
  /// Whether the next token closes a bracket.
  bool closes() {
    skip_space();
    return at_ != end_ && letter(*at_) == Letter::close;
  }

 private:
  enum class Letter : std::uint8_t { other, digit, space, slash, quote, open, close, comma };
  static constexpr std::array<Letter, 256> kLetters = [] {
    std::array<Letter, 256> letters{};
    const auto set = [&](std::string_view all, Letter letter) {
      for (const char c : all) letters[static_cast<unsigned char>(c)] = letter;
    };
    set("0123456789", Letter::digit);
    set(" \t\n\r", Letter::space);
    set("/", Letter::slash);
    set("\"", Letter::quote);
    set("[({", Letter::open);
    set("])}", Letter::close);
    set(",", Letter::comma);
    return letters;
  }();

  static Letter letter(char c) { return kLetters[static_cast<unsigned char>(c)]; }
  /// A string, a word or a number.
  Token element();
  void skip_space() {
    if (at_ != end_ && *at_ == ' ') ++at_;
    if (at_ == end_) return;
    const Letter next = letter(*at_);
    if (next == Letter::space || next == Letter::slash) skip_more_space();
  }
  void skip_more_space();

  const char* at_;
  const char* end_;
};

// --- Values. `out` gets the elements in row-major order, whatever the brackets. False when
// something else stands among them, or more than `limit` elements. ---

/// Integers; true and false as 1 and 0. False for one that 64 bits with a sign do not take.
bool decode_integers(std::string_view text, std::vector<std::int64_t>& out, std::size_t limit);
/// The same for uint64: `out` gets the bits.
bool decode_unsigned(std::string_view text, std::vector<std::int64_t>& out, std::size_t limit);
/// Numbers of any spelling, each rounded once to `dtype` (to nearest, ties to even); true and false
/// as 1 and 0. A number beyond the largest is infinite, as is what `dtype` has instead.
bool decode_reals(std::string_view text, DType dtype, std::vector<double>& out, std::size_t limit);
bool decode_strings(std::string_view text, std::vector<std::string>& out, std::size_t limit);

/// One number, rounded once to `dtype`; false when `token` is none.
bool decode_real(std::string_view token, DType dtype, double& value);
/// Whether `value`, which decode_real() made of `token`, is what that says but for rounding: not
/// infinite for a finite number, not 0 for another one.
bool keeps_number(std::string_view token, double value);
/// A string without its quotes, and each \" \\ \n \t \r as what it stands for; a backslash in front
/// of any other character stands for that character (mil_text_format, section 1).
std::string unescape(std::string_view quoted);

/// The values of an integer dtype.
struct IntegerRange {
  std::int64_t least = 0;
  std::uint64_t largest = 0;
};
IntegerRange integer_range(DType dtype);

// --- Literals against their types. ---

/// What a literal says that its type does not.
struct LiteralFault {
  Rule rule;  ///< literal.*, constant.*
  std::string message;
  std::string_view token;  ///< what is wrong, a piece of the literal's text
};

/// Whether the text of a literal agrees with its type: nesting, numbers of elements, kind and range
/// of each token. Says the first thing that does not. Bare literals and those in weight files have
/// nothing to disagree with. Linear in the text, whatever the dims.
///
/// `lost` gets what is legal and yet says another thing than is written: the first finite number
/// that its dtype makes infinite (constant.overflow), and the first one other than 0 that it makes
/// 0 (constant.underflow).
std::optional<LiteralFault> check_literal(const ModuleData& data, const LiteralRecord& literal,
                                          std::vector<LiteralFault>& lost);

/// Where `token`, a piece of the source, stands there; without a line for text that an edit added.
Place place_of_text(const ModuleData& data, std::string_view token);

}  // namespace milgen::mil
