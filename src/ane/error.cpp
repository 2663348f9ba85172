#include "milgen/ane/error.h"

#include <fmt/format.h>

#include "support/rule.h"

namespace milgen::ane {
namespace {

constexpr std::string_view kPrefix = "ane.";

constexpr std::string_view id_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::none:
      return {};
    case ErrorKind::unavailable:
      return rule<"ane.unavailable">.id();
    case ErrorKind::selector:
      return rule<"ane.selector">.id();
    case ErrorKind::argument:
      return rule<"ane.argument">.id();
    case ErrorKind::layout:
      return rule<"ane.layout">.id();
    case ErrorKind::text:
      return rule<"ane.text">.id();
    case ErrorKind::weights:
      return rule<"ane.weights">.id();
    case ErrorKind::file:
      return rule<"ane.file">.id();
    case ErrorKind::cache:
      return rule<"ane.cache">.id();
    case ErrorKind::budget:
      return rule<"ane.budget">.id();
    case ErrorKind::compile:
      return rule<"ane.compile">.id();
    case ErrorKind::load:
      return rule<"ane.load">.id();
    case ErrorKind::map:
      return rule<"ane.map">.id();
    case ErrorKind::evaluate:
      return rule<"ane.evaluate">.id();
    case ErrorKind::timeout:
      return rule<"ane.timeout">.id();
    case ErrorKind::broken:
      return rule<"ane.broken">.id();
    case ErrorKind::busy:
      return rule<"ane.busy">.id();
    case ErrorKind::closed:
      return rule<"ane.closed">.id();
    case ErrorKind::event:
      return rule<"ane.event">.id();
    case ErrorKind::package:
      return rule<"ane.package">.id();
  }
  return {};
}

/// "-[X y] gives com.apple.appleneuralengine 1: what it says", as far as there is any of it.
std::string runtime_words(const Error::Detail& detail) {
  std::string words = detail.operation;
  if (!detail.domain.empty()) {
    if (!words.empty()) words += " gives ";
    words += fmt::format("{} {}", detail.domain, detail.code);
  }
  if (!detail.description.empty()) {
    if (!words.empty()) words += ": ";
    words += detail.description;
  }
  return words;
}

}  // namespace

std::string_view name(ErrorKind kind) {
  const std::string_view id = id_of(kind);
  return id.empty() ? "none" : id.substr(kPrefix.size());
}

const Error::Detail& Error::detail() const {
  static const Detail none;
  return detail_ == nullptr ? none : *detail_;
}

std::string Error::text() const {
  std::string text = detail().message;
  const std::string words = runtime_words(detail());
  if (!words.empty()) text += fmt::format(" ({})", words);
  if (!detail().hint.empty()) text += fmt::format("; {}", detail().hint);
  return text;
}

void report(const Error& error, Diagnostics& diagnostics, Place place) {
  if (!error) return;
  const Error::Detail& detail = error.detail();
  Diagnostic& added = diagnostics.error(id_of(detail.kind), detail.message, std::move(place));
  // A function's name alone says nothing to someone who reads the sentence before it.
  const bool has_words = !detail.domain.empty() || !detail.description.empty();
  std::string words = has_words ? runtime_words(detail) : std::string();
  if (!words.empty()) added.notes.push_back({std::move(words), {}});
  if (!detail.hint.empty()) added.notes.push_back({detail.hint, {}});
}

}  // namespace milgen::ane
