#include "cli/context.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <ostream>

namespace milgen::cli {

std::string Context::resolve(std::string_view path) const {
  if (streams.cwd.empty() || path.starts_with('/')) return std::string(path);
  if (path.empty() || path == ".") return streams.cwd;
  return fmt::format("{}/{}", streams.cwd, path);
}

std::string Context::shown(std::string text) const {
  if (streams.cwd.empty()) return text;
  std::string out;
  std::size_t from = 0;
  while (true) {
    const std::size_t at = text.find(streams.cwd, from);
    out.append(text, from, at - from);
    if (at == std::string::npos) return out;
    from = at + streams.cwd.size();
    const char next = from < text.size() ? text[from] : '\0';
    const bool longer_name = (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') ||
                             (next >= '0' && next <= '9') || next == '_' || next == '-' ||
                             next == '.';
    if (next == '/') {
      ++from;
    } else {
      out += longer_name ? streams.cwd : ".";
    }
  }
}

std::string render_shown(const Context& context, const Diagnostics& diagnostics,
                         bool source_lines) {
  Diagnostics shown;
  for (Diagnostic diagnostic : diagnostics.all()) {
    const auto fix = [&](std::string& message, Place& place) {
      message = context.shown(std::move(message));
      place.file = context.shown(std::move(place.file));
      if (place.file.empty()) place.file = context.streams.program;
    };
    fix(diagnostic.message, diagnostic.place);
    for (Note& note : diagnostic.notes) fix(note.message, note.place);
    shown.add(std::move(diagnostic));
  }
  return render(shown, {.source_lines = source_lines, .source_root = context.streams.cwd});
}

void Context::report(const Diagnostics& diagnostics) const {
  if (!diagnostics.empty()) streams.err << render_shown(*this, diagnostics);
}

int Context::usage_error(const Diagnostics& diagnostics, std::string_view command) const {
  report(diagnostics);
  // A help page has the options; what the names are is said by the command that lists them.
  const auto all_are = [&](std::initializer_list<std::string_view> ids) {
    return std::ranges::all_of(diagnostics.all(), [&](const Diagnostic& diagnostic) {
      return std::ranges::find(ids, diagnostic.id) != ids.end();
    });
  };
  std::string topic = command.empty() ? "help" : fmt::format("help {}", command);
  if (all_are({"usage.kernel", "usage.set", "usage.param", "usage.config"})) topic = "kernels";
  if (all_are({"usage.op"})) topic = "ops";
  if (all_are({"usage.id"})) topic = "explain";
  streams.err << fmt::format("'{} {}' shows what there is\n", streams.program, topic);
  return kExitUsage;
}

}  // namespace milgen::cli
