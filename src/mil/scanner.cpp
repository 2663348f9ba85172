#include "mil/scanner.h"

#include <fmt/format.h>

#include <algorithm>

#include "support/printable.h"

namespace milgen::mil {
namespace {

char closing_of(char open) { return open == '[' ? ']' : open == '(' ? ')' : '}'; }

}  // namespace

// --- Errors. ---

Place Scanner::to_place(const char* at, std::size_t length) const {
  if (is_source_) return data_.place(static_cast<std::uint32_t>(at - begin_), length);
  const std::string_view before(begin_, static_cast<std::size_t>(at - begin_));
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return Place(std::string(file_), static_cast<std::uint32_t>(std::ranges::count(before, '\n') + 1),
               static_cast<std::uint32_t>(before.size() - line_start + 1),
               static_cast<std::uint32_t>(length));
}

bool Scanner::error(Rule rule, std::string message, const char* at, std::size_t length) {
  if (errors_ > error_limit_) return false;
  if (++errors_ > error_limit_) {
    diagnostics_.error(
        milgen::rule<"syntax.many">.id(),
        fmt::format("there are more than {} syntax errors; reading ends here", error_limit_),
        to_place(at, length));
    p_ = end_;
    return false;
  }
  diagnostics_.error(rule.id(), std::move(message), to_place(at, length));
  return false;
}

std::string Scanner::describe(const char* at, std::size_t& length) const {
  constexpr std::size_t kShown = 40;
  length = 1;
  if (at >= end_) return "the end of the text";
  const char* stop = at;
  if (is(*at, kWord)) {
    while (is(*stop, kWord) || (*stop == '.' && is(*at, kDigit))) ++stop;
  } else if (*at == '"') {
    do {
      ++stop;
    } while (stop < end_ && is(*stop, kPlainInString));
    if (*stop == '"') ++stop;
  } else if (at[0] == '-' && at[1] == '>') {
    stop = at + 2;
  } else if (is(*at, kPlainInString) && static_cast<unsigned char>(*at) < 128) {
    stop = at + 1;
  } else {
    return fmt::format("the byte 0x{:02x}", static_cast<unsigned char>(*at));
  }
  length = static_cast<std::size_t>(stop - at);
  const std::string_view found(at, length);
  return length <= kShown ? fmt::format("'{}'", found)
                          : fmt::format("'{}...'", found.substr(0, kShown));
}

bool Scanner::expected(const Expected& wanted, const char* at) {
  std::size_t length = 1;
  const std::string found = describe(at, length);
  return error(
      at >= end_ ? rule<"syntax.end"> : rule<"syntax.expected">,
      fmt::format("expected {} but found {}; an example: {}", wanted.what, found, wanted.example),
      at, length);
}

// --- Scanning. ---

void Scanner::skip_more() {
  for (;;) {
    p_ = past(p_, kSpace);
    if (p_[0] != '/' || p_[1] != '/') return;
    const char* start = p_;
    const void* newline = std::memchr(p_, '\n', static_cast<std::size_t>(end_ - p_));
    p_ = newline == nullptr ? end_ : static_cast<const char*>(newline);
    std::string_view text(start, static_cast<std::size_t>(p_ - start));
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    // Recovery reads some text twice.
    const std::uint32_t at = place_of(start);
    if (is_source_ && (data_.comments.empty() || data_.comments.back().at < at)) {
      data_.comments.push_back({at, text});
    }
  }
}

/// At a quote; behind the closing one afterwards.
bool Scanner::scan_string() {
  const char* start = p_++;
  const char* line_end = nullptr;
  const char* zero = nullptr;
  for (;;) {
    p_ = past(p_, kPlainInString);
    if (*p_ == '"') {
      ++p_;
      // A quote that is missing shows at the next one, behind which another string's text stands.
      if (line_end != nullptr && is(*p_, kWord)) break;
      return zero == nullptr ||
             error(rule<"syntax.character">, "a string holds the byte 0x00", zero);
    }
    if (*p_ == '\\' && p_ + 1 < end_) {
      p_ += 2;
      continue;
    }
    if (p_ >= end_) break;
    if (*p_ == '\n') {
      if (line_end == nullptr) line_end = p_;
    } else if (*p_ == '\0' && zero == nullptr) {
      zero = p_;
    }
    ++p_;  // other bytes of control, and line breaks, are taken
  }
  p_ = line_end == nullptr ? end_ : line_end;
  return error(rule<"syntax.string">, "a string is not closed; an example: string(\"main\")", start,
               static_cast<std::size_t>(p_ - start));
}

bool Scanner::scan_number() {
  const char* start = p_;
  const auto digits = [this](std::uint8_t classes) {
    const char* first = p_;
    p_ = past(first, classes);
    return p_ != first;
  };
  const auto exponent = [&] {
    ++p_;
    if (*p_ == '+' || *p_ == '-') ++p_;
    return digits(kDigit);
  };
  bool ok = true;
  if (*p_ == '-') ++p_;
  if (p_[0] == '0' && (p_[1] == 'x' || p_[1] == 'X')) {
    p_ += 2;
    ok = digits(kHexDigit);
    if (*p_ == '.') {
      ++p_;
      digits(kHexDigit);
    }
    ok = ok && (*p_ == 'p' || *p_ == 'P') && exponent();
  } else if (is(*p_, kDigit)) {
    digits(kDigit);
    if (*p_ == '.') {
      ++p_;
      digits(kDigit);
    }
    if (*p_ == 'e' || *p_ == 'E') ok = exponent();
  } else {
    const std::string_view name = is(*p_, kWordStart) ? word() : std::string_view();
    ok = name == "inf" || name == "nan";
  }
  if (ok && !is(*p_, kWord) && *p_ != '.') return true;
  while (is(*p_, kWord) || *p_ == '.' || *p_ == '+' || *p_ == '-') ++p_;
  const auto length = static_cast<std::size_t>(p_ - start);
  return error(rule<"syntax.number">,
               fmt::format("'{}' is not a number; examples: -3, 0.5, 1e-6, 0x1.8p+1, -inf",
                           printable(std::string_view(start, std::min<std::size_t>(length, 60)))),
               start, length);
}

bool Scanner::scan_scalar() {
  if (*p_ == '"') return scan_string();
  if (*p_ == '-' || is(*p_, kDigit)) return scan_number();
  const char* start = p_;
  if (is(*p_, kWordStart) && is_literal_word(word())) return true;
  p_ = start;
  return expected({"a value", "fp16(0x1p+0), tensor<int32, [2]>([1, 2])"});
}

/// A value as it stands between the parentheses of its type; `spaced` says whether it is spaced as
/// Apple does.
bool Scanner::scan_value(std::string_view& text, bool& spaced) {
  skip();
  const char* start = p_;
  std::array<char, kNestingLimit> open;  // NOLINT(*-member-init): written before it is read
  std::size_t depth = 0;
  spaced = true;
  for (;;) {
    if (*p_ == '[' || *p_ == '(' || *p_ == '{') {
      if (depth == kNestingLimit) {
        return error(rule<"syntax.nesting">,
                     fmt::format("a value nests deeper than {} brackets", kNestingLimit), p_);
      }
      open[depth++] = closing_of(*p_++);
      if (is(*p_, kSpace) || *p_ == '/') {
        spaced = false;
        skip_more();
      }
      if (*p_ != open[depth - 1]) continue;
    } else if (!scan_scalar()) {
      return false;
    }
    // Behind a value.
    const char* after = p_;
    while (depth != 0) {
      after = p_;
      skip();
      if (p_ != after) spaced = false;
      if (*p_ != open[depth - 1]) break;
      ++p_;
      --depth;
      after = p_;
    }
    if (depth == 0) {
      text = {start, static_cast<std::size_t>(after - start)};
      return true;
    }
    if (*p_ != ',') {
      const std::string wanted = fmt::format("',' or '{}'", open[depth - 1]);
      return expected({wanted, "tensor<int32, [2]>([1, 2])"});
    }
    ++p_;
    if (*p_ == ' ' && !is(p_[1], kSpace) && p_[1] != '/') {
      ++p_;
    } else {
      spaced = false;
      skip();
    }
  }
}

}  // namespace milgen::mil
