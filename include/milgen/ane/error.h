// What goes wrong on the way to the Neural Engine, as a value.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "milgen/diagnostic.h"

namespace milgen::ane {

enum class ErrorKind : std::uint8_t {
  none,
  unavailable,  ///< there is no Neural Engine, or no runtime for it, on this machine
  selector,     ///< the runtime of this system lacks a class or a selector that is needed
  argument,     ///< a name, an index, a number of elements or a dtype that does not fit
  layout,       ///< a tensor that surfaces cannot hold, or a model that lays it out in no known way
  text,         ///< the MIL text was refused by verify_mil(); the diagnostics say why
  weights,      ///< a weight file is missing, or not what the text says
  file,         ///< a folder or file could not be read, made or removed
  cache,        ///< the cache folder belongs to someone else, or cannot be locked
  budget,       ///< the process has compiled as many programs as the engine stands
  compile,      ///< the engine refused to compile
  load,         ///< the engine refused to load what it had compiled
  map,          ///< surfaces could not be mapped
  evaluate,     ///< the engine gave an error while evaluating
  timeout,      ///< the engine did not answer in time
  broken,       ///< an earlier call of this model never came back
  busy,         ///< another thread, or an evaluation that is not finished, uses the model
  closed,       ///< the model was closed before
  event,        ///< shared events could not be made or used
  package,      ///< the call needs a model that was loaded from a package
};

/// "compile", "evaluate", ... as in the id of the diagnostic, `ane.compile`.
std::string_view name(ErrorKind kind);

/// No error, or one with all that the runtime said about it. Copies share their text; an Error that
/// is none holds no memory.
class [[nodiscard]] Error {
 public:
  /// What the pieces of an error are; `domain` and `code` are those of the NSError, "" and 0 where
  /// there was none.
  struct Detail {
    ErrorKind kind = ErrorKind::none;
    std::string message = {};      ///< one sentence: what is wrong, with both values; no final stop
    std::string operation = {};    ///< the selector or function that failed; may be empty
    std::string domain = {};       ///< "com.apple.appleneuralengine"
    std::int64_t code = 0;         ///< of the NSError
    std::string description = {};  ///< localizedDescription, behind it those of underlying errors
    std::string hint = {};         ///< what can be done about it; may be empty
  };

  Error() = default;
  explicit Error(Detail detail) : detail_(std::make_shared<const Detail>(std::move(detail))) {}
  Error(ErrorKind kind, std::string message)
      : Error(Detail{kind, std::move(message), {}, {}, 0, {}, {}}) {}

  /// Whether there is an error.
  explicit operator bool() const { return detail_ != nullptr; }
  ErrorKind kind() const { return detail_ == nullptr ? ErrorKind::none : detail_->kind; }
  /// What the parts are; of no error, empty ones.
  const Detail& detail() const;
  /// The message, then operation, domain, code, description and hint as far as there are any; "" of
  /// no error.
  std::string text() const;

 private:
  std::shared_ptr<const Detail> detail_;
};

/// Adds the error as the diagnostic `ane.<kind>`, with the runtime's words and the hint as notes.
void report(const Error& error, Diagnostics& diagnostics, Place place = {});

/// A value, or why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

  /// Whether there is a value.
  explicit operator bool() const { return content_.index() == 0; }
  T& operator*() & { return std::get<0>(content_); }
  const T& operator*() const& { return std::get<0>(content_); }
  T&& operator*() && { return std::get<0>(std::move(content_)); }
  T* operator->() { return &std::get<0>(content_); }
  const T* operator->() const { return &std::get<0>(content_); }
  /// No error when there is a value.
  Error error() const { return content_.index() == 1 ? std::get<1>(content_) : Error(); }

 private:
  std::variant<T, Error> content_;
};

}  // namespace milgen::ane
