#include "mil/literal.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>

#include "ir/graph.h"
#include "mil/literal_walk.h"
#include "support/float8.h"
#include "support/printable.h"

namespace milgen::mil {
namespace {

/// A decimal integer; false when `token` is none or beyond 64 bits.
struct Whole {
  bool negative = false;
  std::uint64_t magnitude = 0;

  bool read(std::string_view token) {
    negative = token.starts_with('-');
    if (negative) token.remove_prefix(1);
    const char* end = token.data() + token.size();
    const auto result = std::from_chars(token.data(), end, magnitude);
    return result.ec == std::errc() && result.ptr == end;
  }
  bool is_in(const IntegerRange& range) const {
    // The least is 0 or the negative of a power of two.
    if (negative) return magnitude <= std::uint64_t{0} - static_cast<std::uint64_t>(range.least);
    return magnitude <= range.largest;
  }
  /// The two's complement.
  std::int64_t bits() const {
    return static_cast<std::int64_t>(negative ? std::uint64_t{0} - magnitude : magnitude);
  }
};

/// Calls `take` with each token that is an element, as long as it says true.
template <class Take>
bool for_each_leaf(std::string_view text, std::size_t limit, const Take& take) {
  LiteralTokens tokens(text);
  for (std::size_t count = 0;;) {
    const Token token = tokens.next();
    switch (token.kind) {
      case TokenKind::end:
        return true;
      case TokenKind::open:
      case TokenKind::close:
      case TokenKind::comma:
        break;
      default:
        if (count == limit || !take(token)) return false;
        ++count;
    }
  }
}

bool decode_wholes(std::string_view text, const IntegerRange& range, std::vector<std::int64_t>& out,
                   std::size_t limit) {
  out.clear();
  return for_each_leaf(text, limit, [&](const Token& token) {
    if (token.kind == TokenKind::word) {
      if (token.text != "true" && token.text != "false") return false;
      out.push_back(token.text == "true" ? 1 : 0);
      return true;
    }
    Whole whole;
    if (token.kind != TokenKind::whole || !whole.read(token.text) || !whole.is_in(range)) {
      return false;
    }
    out.push_back(whole.bits());
    return true;
  });
}

double round_once(DType dtype, double value) {
  if (dtype != DType::fp8e4m3fn && dtype != DType::fp8e5m2) return round_to(dtype, value);
  const detail::Float8 format = detail::float8_format(dtype);
  return detail::double_from_float8(detail::float8_from_double(value, format), format);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// A hex float, from behind its 0x: its first 60 bits, whose last says whether there are more, and
/// the power of two that they are multiplied by.
struct HexFloat {
  std::uint64_t mantissa = 0;
  std::int64_t exponent = 0;

  bool read(std::string_view token) {
    constexpr std::uint64_t kFull = std::uint64_t{1} << 56;
    constexpr std::int64_t kFarthest = 1'000'000;
    bool any = false;
    bool in_fraction = false;
    std::size_t i = 0;
    for (; i < token.size(); ++i) {
      if (token[i] == '.' && !in_fraction) {
        in_fraction = true;
        continue;
      }
      const int digit = hex_digit(token[i]);
      if (digit < 0) break;
      any = true;
      if (mantissa < kFull) {
        mantissa = mantissa << 4 | static_cast<std::uint64_t>(digit);
        if (in_fraction) exponent -= 4;
      } else {
        mantissa |= digit != 0 ? 1 : 0;
        if (!in_fraction) exponent += 4;
      }
    }
    if (!any) return false;
    if (i == token.size()) return true;
    if ((token[i] | 0x20) != 'p') return false;
    token.remove_prefix(i + 1);
    if (token.starts_with('+')) token.remove_prefix(1);
    std::int64_t power = 0;
    const char* end = token.data() + token.size();
    const auto result = std::from_chars(token.data(), end, power);
    if (result.ptr != end || result.ptr == token.data()) return false;
    const bool far = result.ec == std::errc::result_out_of_range;
    if (far) power = token.starts_with('-') ? -kFarthest : kFarthest;
    exponent += std::clamp(power, -kFarthest, kFarthest);
    return true;
  }

  /// Rounded once to `dtype`.
  double value(DType dtype) const {
    constexpr int kDoubleBits = 53;
    if (mantissa == 0) return 0;
    const int width = static_cast<int>(std::bit_width(mantissa));
    const int excess = width - kDoubleBits;
    const auto power = static_cast<int>(std::clamp<std::int64_t>(exponent, -100'000, 100'000));
    // A double's own subnormals are rounded by ldexp; what is longer than a double has been cut
    // once by then, so the cut must not round: its last bit says whether anything was cut off.
    if (excess <= 0) return round_once(dtype, std::ldexp(static_cast<double>(mantissa), power));
    if (dtype == DType::fp64 && power + width > -1000) {
      return std::ldexp(static_cast<double>(mantissa), power);
    }
    std::uint64_t cut = mantissa >> excess;
    if (cut << excess != mantissa) cut |= 1;
    return round_once(dtype, std::ldexp(static_cast<double>(cut), power + excess));
  }
};

/// A decimal number as its significant digits and the power of ten of the first of them.
struct Decimal {
  std::string digits;
  std::int64_t exponent = 0;

  explicit Decimal(std::string_view token) {
    constexpr std::int64_t kFarthest = 1'000'000'000'000;
    bool in_fraction = false;
    std::size_t i = 0;
    std::int64_t whole_digits = 0;
    for (; i < token.size() && (token[i] | 0x20) != 'e'; ++i) {
      if (token[i] == '.') {
        in_fraction = true;
        continue;
      }
      if (token[i] != '0' || !digits.empty()) {
        digits += token[i];
        if (!in_fraction) ++whole_digits;
      } else if (in_fraction) {
        --whole_digits;
      }
    }
    while (digits.ends_with('0')) digits.pop_back();
    if (i < token.size()) {
      token.remove_prefix(i + 1);
      const bool below = token.starts_with('-');
      if (token.starts_with('+')) token.remove_prefix(1);
      const auto result = std::from_chars(token.data(), token.data() + token.size(), exponent);
      if (result.ec == std::errc::result_out_of_range) exponent = below ? -kFarthest : kFarthest;
      exponent = std::clamp(exponent, -kFarthest, kFarthest);
    }
    exponent += whole_digits - 1;
  }
  /// -1, 0 or 1 as this is less than, equal to or greater than the other.
  int against(const Decimal& other) const {
    if (digits.empty() || other.digits.empty()) {
      return static_cast<int>(!digits.empty()) - static_cast<int>(!other.digits.empty());
    }
    if (exponent != other.exponent) return exponent < other.exponent ? -1 : 1;
    const int order = digits.compare(other.digits);
    return static_cast<int>(order > 0) - static_cast<int>(order < 0);
  }
};

/// All digits of a double.
Decimal exact_decimal(double value) {
  constexpr int kMostDigits = 770;
  std::array<char, kMostDigits + 32> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value,
                                    std::chars_format::scientific, kMostDigits);
  return Decimal(std::string_view(text.data(), static_cast<std::size_t>(result.ptr - text.data())));
}

/// A decimal without a sign, rounded once.
bool read_decimal(std::string_view token, DType dtype, double& value) {
  if (token.empty() || ((token[0] < '0' || token[0] > '9') && token[0] != '.')) return false;
  const char* end = token.data() + token.size();
  float narrow = 0;
  const auto result = dtype == DType::fp32 ? std::from_chars(token.data(), end, narrow)
                                           : std::from_chars(token.data(), end, value);
  if (result.ptr != end) return false;
  if (result.ec == std::errc::result_out_of_range) {
    const Decimal decimal(token);
    const bool vanishes = decimal.digits.empty() || decimal.exponent < 0;
    value = round_once(dtype, vanishes ? 0.0 : std::numeric_limits<double>::infinity());
    return true;
  }
  if (result.ec != std::errc()) return false;
  if (dtype == DType::fp32) {
    value = static_cast<double>(narrow);
    return true;
  }
  if (dtype == DType::fp64) return true;
  // The double is next to the number that is written. Only where the doubles on both sides of it
  // round to different values does it matter on which side of the double that number is.
  const double below =
      round_once(dtype, std::nextafter(value, -std::numeric_limits<double>::infinity()));
  const double above =
      round_once(dtype, std::nextafter(value, std::numeric_limits<double>::infinity()));
  if (std::bit_cast<std::uint64_t>(below) == std::bit_cast<std::uint64_t>(above)) {
    value = above;
    return true;
  }
  const int side = value == 0 ? 0 : Decimal(token).against(exact_decimal(value));
  value = side == 0 ? round_once(dtype, value) : side < 0 ? below : above;
  return true;
}

/// Whether a glance says that a number lies between 1e-6 and 1e4 or is 0 (in hex: between powers of
/// two with exponents of `exponent_digits` digits), or is written as inf or nan. Most do, and fp16
/// and the wider dtypes round those to neither 0 nor inf. With 0 digits nothing but inf, nan and
/// the usual 0 passes.
bool is_moderate(std::string_view token, std::size_t exponent_digits) {
  constexpr std::size_t kMostWholeDigits = 4;
  constexpr std::size_t kMostZeros = 5;  // behind the point
  if (token.starts_with('-')) token.remove_prefix(1);
  if (token == "inf" || token == "nan" || token == "0x0p+0") return true;
  if (token.starts_with("0x")) {
    const std::size_t power = token.rfind('p');
    return power != token.npos && token.size() - power - 2 <= exponent_digits && token[2] == '1' &&
           (token[3] == '.' || token[3] == 'p');
  }
  if (exponent_digits == 0 || token.find_first_of("eE") != token.npos) return false;
  const std::size_t point = std::min(token.find('.'), token.size());
  const std::size_t first = token.find_first_not_of("0.");
  return point <= kMostWholeDigits && (first == token.npos || first <= point + 1 + kMostZeros);
}

/// Whether a number has a digit other than 0 in front of its exponent.
bool is_written_nonzero(std::string_view token) {
  if (token.starts_with('-')) token.remove_prefix(1);
  const bool hex = token.starts_with("0x") || token.starts_with("0X");
  if (hex) token.remove_prefix(2);
  return token.substr(0, token.find_first_of(hex ? "pP" : "eE")).find_first_not_of("0.") !=
         token.npos;
}

/// Holds a literal's tokens against its type.
class Checker {
 public:
  Checker(const ModuleData& data, Id type, std::vector<LiteralFault>& lost)
      : data_(data), type_(type), lost_(lost) {}

  void open(const Token&) {}
  void close(const Token&) {}
  void comma() {}
  bool leaf(const Token& token, DType dtype, bool) {
    if (dtype != known_dtype_) learn(dtype);
    switch (family_) {
      case Family::string:
        return token.kind == TokenKind::string || wrong_kind(token, dtype);
      case Family::real:
        if (token.kind != TokenKind::whole && token.kind != TokenKind::real) {
          return wrong_kind(token, dtype);
        }
        if (!is_moderate(token.text, moderate_digits_)) note_loss(token.text, dtype);
        return true;
      case Family::boolean:
        // Hand-written files have 0 and 1 as well (mil_text_format, section 3.1).
        return token.text == "true" || token.text == "false" ||
               (token.kind == TokenKind::whole ? integer(token, dtype) : wrong_kind(token, dtype));
      case Family::integer:
        return token.kind == TokenKind::whole ? integer(token, dtype) : wrong_kind(token, dtype);
    }
    return true;
  }
  void count_fault(const LiteralPart& part, std::int64_t expected, std::int64_t found,
                   const Token& at) {
    const TypeRecord& type = data_.types[part.type];
    const std::string_view more = found > expected ? "more than " : "";
    // Of a tensor's rows: which dim it is that does not fit.
    const std::string where = part.dim == 0 ? "" : fmt::format(" in dim {}", part.dim);
    fault = LiteralFault{
        rule<"literal.count">,
        fmt::format("the value has {}{} element{}{} where {}{} has {}", more,
                    std::min(found, expected), std::min(found, expected) == 1 ? "" : "s", where,
                    part.is_pair ? "an entry of " : "", type.text, expected),
        at.text};
  }
  void shape_fault(Id type, char expected, const Token& at) {
    const TypeKind kind = data_.types[type].kind;
    const std::string_view text = data_.types[type].text;
    if (kind == TypeKind::state || kind == TypeKind::tensor_buffer) {
      fault = LiteralFault{rule<"literal.type">, fmt::format("{} has no values in text", text),
                           at.text};
      return;
    }
    const std::string found =
        at.kind == TokenKind::end ? "the end" : fmt::format("'{}'", printable(at.text, 40));
    std::string wanted = fmt::format("'{}'", expected);
    if (expected == '\0') wanted = "an element";
    if (expected == ')') wanted = "the end";
    fault = LiteralFault{
        rule<"literal.shape">,
        fmt::format("the value of {} has {} where {} is expected", text, found, wanted), at.text};
  }

  std::optional<LiteralFault> fault;

 private:
  enum class Family : std::uint8_t { string, real, boolean, integer };

  void learn(DType dtype) {
    known_dtype_ = dtype;
    range_ = integer_range(dtype);
    family_ = dtype == DType::string    ? Family::string
              : dtype == DType::boolean ? Family::boolean
              : is_integer(dtype)       ? Family::integer
                                        : Family::real;
    // 0x1p-9 is no subnormal of fp16, nor 0x1p-99 one of fp32.
    const bool is_tiny = dtype == DType::fp8e4m3fn || dtype == DType::fp8e5m2;
    moderate_digits_ = is_tiny ? 0 : dtype == DType::fp16 ? 1 : 2;
  }
  /// Each of the two once for a literal.
  void note_loss(std::string_view token, DType dtype) {
    double value = 0;
    if (!is_float(dtype) || !decode_real(token, dtype, value)) return;
    const bool overflows = !std::isfinite(value);
    if (!overflows && (value != 0 || !is_written_nonzero(token))) return;
    bool& known = overflows ? overflowed_ : underflowed_;
    if (known) return;
    known = true;
    lost_.push_back({overflows ? rule<"constant.overflow"> : rule<"constant.underflow">,
                     fmt::format("{} becomes {} in {}", printable(token, 40),
                                 overflows ? value : 0.0, dtype_name(dtype)),
                     token});
  }
  bool integer(const Token& token, DType dtype) {
    Whole whole;
    if (whole.read(token.text) && whole.is_in(range_)) return true;
    fault = LiteralFault{
        rule<"literal.range">,
        fmt::format("{} is outside of {}, which goes from {} to {}", printable(token.text, 40),
                    dtype_name(dtype), range_.least, range_.largest),
        token.text};
    return false;
  }
  bool wrong_kind(const Token& token, DType dtype) {
    fault =
        LiteralFault{rule<"literal.kind">,
                     fmt::format("{} is no {}, which is what {} holds", printable(token.text, 40),
                                 dtype_name(dtype), data_.types[type_].text),
                     token.text};
    return false;
  }

  const ModuleData& data_;
  Id type_;
  DType known_dtype_ = DType::none;
  std::vector<LiteralFault>& lost_;
  IntegerRange range_;
  Family family_ = Family::real;
  std::size_t moderate_digits_ = 1;
  bool overflowed_ = false;
  bool underflowed_ = false;
};

}  // namespace

void LiteralTokens::skip_more_space() {
  for (; at_ != end_; ++at_) {
    const Letter kind = letter(*at_);
    if (kind == Letter::space) continue;
    if (kind != Letter::slash || end_ - at_ < 2 || at_[1] != '/') return;
    while (at_ != end_ && *at_ != '\n') ++at_;
    if (at_ == end_) return;
  }
}

Token LiteralTokens::element() {
  const char* start = at_;
  const auto token = [&](TokenKind kind) {
    return Token{kind, {start, static_cast<std::size_t>(at_ - start)}};
  };
  const Letter first = letter(*at_++);
  if (first == Letter::quote) {
    while (at_ != end_ && *at_ != '"') {
      if (*at_ == '\\' && end_ - at_ > 1) ++at_;
      ++at_;
    }
    if (at_ != end_) ++at_;
    return token(TokenKind::string);
  }
  const bool is_negative = *start == '-';
  const bool is_number = first == Letter::digit || is_negative || *start == '.';
  bool digits = first == Letter::digit || is_negative;
  for (; at_ != end_; ++at_) {
    const Letter kind = letter(*at_);
    if (kind == Letter::digit) continue;
    if (kind != Letter::other) break;
    digits = false;
  }
  if (digits && !(is_negative && at_ - start == 1)) return token(TokenKind::whole);
  if (is_number) return token(TokenKind::real);
  const Token word = token(TokenKind::word);
  return word.text == "inf" || word.text == "nan" ? token(TokenKind::real) : word;
}

IntegerRange integer_range(DType dtype) {
  if (dtype == DType::boolean) return {0, 1};
  const int bits = dtype_bits(dtype);
  if (!is_integer(dtype) || bits == 0) return {};
  const std::uint64_t top = std::uint64_t{1} << (bits - 1);
  switch (dtype) {
    case DType::int4:
    case DType::int8:
    case DType::int16:
    case DType::int32:
    case DType::int64:
      return {static_cast<std::int64_t>(std::uint64_t{0} - top), top - 1};
    default:
      return {0, top - 1 + top};
  }
}

bool decode_integers(std::string_view text, std::vector<std::int64_t>& out, std::size_t limit) {
  return decode_wholes(text, integer_range(DType::int64), out, limit);
}

bool decode_unsigned(std::string_view text, std::vector<std::int64_t>& out, std::size_t limit) {
  return decode_wholes(text, integer_range(DType::uint64), out, limit);
}

bool decode_real(std::string_view token, DType dtype, double& value) {
  if (token == "true" || token == "false") {
    value = token == "true" ? 1 : 0;
    return true;
  }
  const bool negative = token.starts_with('-');
  if (negative) token.remove_prefix(1);
  if (token.starts_with("0x") || token.starts_with("0X")) {
    HexFloat hex;
    if (!hex.read(token.substr(2))) return false;
    value = hex.value(dtype);
  } else if (token == "inf") {
    value = round_once(dtype, std::numeric_limits<double>::infinity());
  } else if (token == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (!read_decimal(token, dtype, value)) {
    return false;
  }
  // Rounding to nearest does not depend on the sign.
  if (negative) value = -value;
  return true;
}

bool keeps_number(std::string_view token, double value) {
  if (std::isfinite(value)) return value != 0 || !is_written_nonzero(token);
  // Only inf and nan have an n.
  return token.find('n') != token.npos && std::isnan(value) == token.ends_with("nan");
}

bool decode_reals(std::string_view text, DType dtype, std::vector<double>& out, std::size_t limit) {
  out.clear();
  return for_each_leaf(text, limit, [&](const Token& token) {
    double value = 0;
    if (token.kind == TokenKind::string || !decode_real(token.text, dtype, value)) return false;
    out.push_back(value);
    return true;
  });
}

bool decode_strings(std::string_view text, std::vector<std::string>& out, std::size_t limit) {
  out.clear();
  return for_each_leaf(text, limit, [&](const Token& token) {
    if (token.kind != TokenKind::string) return false;
    out.push_back(unescape(token.text));
    return true;
  });
}

std::string unescape(std::string_view quoted) {
  if (quoted.size() >= 2 && quoted.front() == '"' && quoted.back() == '"') {
    quoted = quoted.substr(1, quoted.size() - 2);
  }
  std::string out;
  out.reserve(quoted.size());
  for (std::size_t i = 0; i < quoted.size(); ++i) {
    if (quoted[i] != '\\' || i + 1 == quoted.size()) {
      out += quoted[i];
      continue;
    }
    ++i;
    switch (quoted[i]) {
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case 'r':
        out += '\r';
        break;
      default:
        out += quoted[i];
    }
  }
  return out;
}

std::optional<LiteralFault> check_literal(const ModuleData& data, const LiteralRecord& literal,
                                          std::vector<LiteralFault>& lost) {
  if (literal.type == kNoId || literal.blob != kNoId) return std::nullopt;
  Checker checker(data, literal.type, lost);
  LiteralWalk walk(data.types, literal.text, checker);
  walk.walk(literal.type);
  return std::move(checker.fault);
}

Place place_of_text(const ModuleData& data, std::string_view token) {
  const std::string_view source = data.text();
  const std::less_equal<const char*> before;
  if (!before(source.data(), token.data()) ||
      !before(token.data() + token.size(), source.data() + source.size())) {
    return data.place(kNoPlace);
  }
  return data.place(static_cast<std::uint32_t>(token.data() - source.data()),
                    std::max<std::size_t>(token.size(), 1));
}

}  // namespace milgen::mil
