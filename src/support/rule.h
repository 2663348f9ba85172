// A rule is a diagnostic id that is known to be in the table of ids: a typo does not compile.
#pragma once

#include <cstddef>
#include <string_view>

#include "support/diagnostic_ids.h"

namespace milgen {

/// A string literal as a template argument.
template <std::size_t N>
struct FixedString {
  char text[N]{};
  // NOLINTNEXTLINE(google-explicit-constructor): that is the point of it
  constexpr explicit(false) FixedString(const char (&literal)[N]) {
    for (std::size_t i = 0; i < N; ++i) text[i] = literal[i];
  }
};

/// What functions that report take. Made only by `rule<"conv.channels">`.
class Rule {
 public:
  constexpr std::string_view id() const { return id_; }

 private:
  template <FixedString>
  friend struct MakeRule;
  constexpr explicit Rule(std::string_view id) : id_(id) {}
  std::string_view id_;
};

template <FixedString Id>
struct MakeRule {
  static constexpr bool is_listed() {
    for (const DiagnosticInfo& info : kDiagnosticIds) {
      if (info.id == std::string_view(Id.text)) return true;
    }
    return false;
  }
  static_assert(is_listed(), "this diagnostic id is not in src/support/diagnostic_ids.h");
  static constexpr FixedString stored = Id;
  static constexpr Rule value{std::string_view(stored.text)};
};

template <FixedString Id>
inline constexpr Rule rule = MakeRule<Id>::value;

}  // namespace milgen
