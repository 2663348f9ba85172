// What verify_mil() has to say, before it says it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "mil/module_data.h"
#include "milgen/diagnostic.h"
#include "milgen/verify.h"
#include "support/rule.h"

namespace milgen::mil {

/// Collects diagnostics: drops those that are allowed, counts those beyond the limit, and hands
/// over the rest in the order of the text.
class VerifyReport {
 public:
  VerifyReport(const ModuleData& data, const VerifyOptions& options)
      : data_(data), options_(options) {}

  /// `message` and `place` are only called when the report is wanted: a million values that nothing
  /// uses cost no million sentences. Null when it is not; valid until the next report.
  template <class Message, class Where>
  Diagnostic* add(Severity severity, Rule rule, const Where& place, const Message& message) {
    if (!wanted(severity, rule.id())) return nullptr;
    found_.push_back({std::string(rule.id()), severity, message(), place(), {}});
    return &found_.back();
  }
  template <class Message>
  Diagnostic* error(Rule rule, Place place, const Message& message) {
    return add(
        Severity::error, rule, [&] { return std::move(place); }, message);
  }
  template <class Message, class Where>
  Diagnostic* warning(Rule rule, const Where& place, const Message& message) {
    return add(Severity::warning, rule, place, message);
  }
  /// Reports of others, in their own order.
  void append(const Diagnostics& others);

  /// A note that says what a value is and where it was made.
  void note_made(Diagnostic* diagnostic, std::string_view what, Id value) const;

  /// Hands everything over. False when there was an error.
  bool finish(Diagnostics& diagnostics);
  /// Errors that the options allow.
  std::size_t allowed_errors() const { return allowed_errors_; }

 private:
  struct Count {
    std::string_view id;
    Severity severity;
    std::size_t times;
  };
  bool wanted(Severity severity, std::string_view id);

  const ModuleData& data_;
  const VerifyOptions& options_;
  std::vector<Diagnostic> found_;
  std::vector<Count> counts_;
  std::size_t allowed_errors_ = 0;
  bool has_errors_ = false;
};

}  // namespace milgen::mil
