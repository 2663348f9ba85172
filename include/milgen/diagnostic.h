// Diagnostics are data: a stable id, a sentence, a place and notes. The library never prints them
// and throws nothing for bad input; whoever owns the sink decides what becomes of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace milgen {

/// A place in C++ source, taken where a DSL call stands. Our own type because
/// std::source_location does not exist under clang 14 with libstdc++ 12.
struct Loc {
  const char* file = nullptr;
  std::uint32_t line = 0;
};

/// The caller's place when used as a default argument: `void f(Loc loc = here())`.
constexpr Loc here(const char* file = __builtin_FILE(), std::uint32_t line = __builtin_LINE()) {
  return {file, line};
}

/// A place in any text. Line and column count from 1; 0 means that there is none.
struct Place {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::uint32_t length = 0;  ///< columns to underline, at least 1 where there is a column

  Place() = default;
  explicit(false) Place(Loc loc) : file(loc.file != nullptr ? loc.file : ""), line(loc.line) {}
  explicit Place(std::string file_name, std::uint32_t line_number = 0,
                 std::uint32_t column_number = 0, std::uint32_t underline = 0)
      : file(std::move(file_name)), line(line_number), column(column_number), length(underline) {}
};

enum class Severity : std::uint8_t { warning, error };

struct Note {
  std::string message;
  Place place;
};

struct Diagnostic {
  std::string id;  ///< stable, `noun.rule`, one of diagnostic_ids()
  Severity severity = Severity::error;
  std::string message;  ///< one sentence, present tense, with both values; no final stop
  Place place;
  std::vector<Note> notes;
};

/// What a diagnostic id means. The list is complete: an id that is not in it does not compile.
struct DiagnosticInfo {
  std::string_view id;
  std::string_view meaning;  ///< the rule that was broken, in one sentence
};
std::span<const DiagnosticInfo> diagnostic_ids();

/// A sink. Order is kept; nothing is dropped.
class Diagnostics {
 public:
  /// Appends and returns the new entry, so that notes can be added to it.
  Diagnostic& add(Diagnostic diagnostic);
  Diagnostic& error(std::string_view id, std::string message, Place place = {});
  Diagnostic& warning(std::string_view id, std::string message, Place place = {});
  void append(const Diagnostics& other);

  const std::vector<Diagnostic>& all() const { return all_; }
  bool has_errors() const { return errors_ != 0; }
  std::size_t errors() const { return errors_; }
  std::size_t warnings() const { return all_.size() - errors_; }
  bool empty() const { return all_.empty(); }
  void clear();

 private:
  std::vector<Diagnostic> all_;
  std::size_t errors_ = 0;
};

struct RenderOptions {
  /// Show the source line under a place, read from the file when it is readable.
  bool source_lines = true;
  /// Relative file names are looked up below this folder; "" is the current one.
  std::string source_root;
};

/// The diagnostics as text, one block each:
///
///     rmsnorm_qkv.cpp:27: error: conv: x has 768 channels but weight ... [conv.channels]
///         27 | auto v = conv(n, wv);
///     rmsnorm_qkv.cpp:21: note: weight 'wv' is tensor<fp16, [768, 384, 1, 1]>, made here
std::string render(const Diagnostics& diagnostics, const RenderOptions& options = {});
std::string render(const Diagnostic& diagnostic, const RenderOptions& options = {});

}  // namespace milgen
