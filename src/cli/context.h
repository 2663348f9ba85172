// What every command works with.
#pragma once

#include <string>
#include <string_view>

#include "milgen/cli.h"
#include "milgen/diagnostic.h"

namespace milgen::cli {

class Context {
 public:
  Context(Streams& io, const Registry& kernels) : streams(io), registry(kernels) {}

  /// A path as the user wrote it, made one that the process can open.
  std::string resolve(std::string_view path) const;
  /// The reverse for text that goes out: the name of the working folder is taken away wherever it
  /// stands.
  std::string shown(std::string text) const;

  /// Writes diagnostics to err; those without a place get the program's name in front.
  void report(const Diagnostics& diagnostics) const;
  /// report(), then the exit code: kExitUsage with a pointer to the command's help page.
  int usage_error(const Diagnostics& diagnostics, std::string_view command) const;
  /// report(), then `code`.
  int fail(const Diagnostics& diagnostics, int code = kExitFailed) const {
    report(diagnostics);
    return code;
  }

  Streams& streams;
  const Registry& registry;
};

/// One diagnostic as text, source lines read below `context`'s folder.
std::string render_shown(const Context& context, const Diagnostics& diagnostics,
                         bool source_lines = true);

}  // namespace milgen::cli
