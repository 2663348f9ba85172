#include "milgen/diagnostic.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <system_error>
#include <utility>

#include "support/diagnostic_ids.h"

namespace milgen {

std::span<const DiagnosticInfo> diagnostic_ids() { return kDiagnosticIds; }

Diagnostic& Diagnostics::add(Diagnostic diagnostic) {
  if (diagnostic.severity == Severity::error) ++errors_;
  all_.push_back(std::move(diagnostic));
  return all_.back();
}

Diagnostic& Diagnostics::error(std::string_view id, std::string message, Place place) {
  return add({std::string(id), Severity::error, std::move(message), std::move(place), {}});
}

Diagnostic& Diagnostics::warning(std::string_view id, std::string message, Place place) {
  return add({std::string(id), Severity::warning, std::move(message), std::move(place), {}});
}

void Diagnostics::append(const Diagnostics& other) {
  // By index, so that a sink can be appended to itself.
  const std::size_t count = other.all_.size();
  all_.reserve(all_.size() + count);
  for (std::size_t i = 0; i < count; ++i) add(other.all_[i]);
}

void Diagnostics::clear() {
  all_.clear();
  errors_ = 0;
}

namespace {

constexpr std::size_t kExcerptColumns = 200;
constexpr std::size_t kLineNumberColumns = 6;
// Text beyond this is rendered without its source lines: an excerpt is not worth the memory.
constexpr std::uintmax_t kSourceLimitBytes = 256u << 20;

bool is_continuation_byte(char c) { return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u; }

/// Source files that have been read, each once, with the starts of their lines: a thousand
/// diagnostics in one file must not read it a thousand times.
class Sources {
 public:
  explicit Sources(const RenderOptions& options) : options_(options) {}

  bool line(const std::string& file, std::uint32_t number, std::string_view& out) {
    if (!options_.source_lines || file.empty() || number == 0) return false;
    auto found = files_.find(file);
    if (found == files_.end()) found = files_.emplace(file, load(file)).first;
    const Source& source = found->second;
    if (number > source.starts.size()) return false;
    const std::size_t begin = source.starts[number - 1];
    const std::size_t end =
        number < source.starts.size() ? source.starts[number] - 1 : source.text.size();
    out = std::string_view(source.text).substr(begin, end - begin);
    if (!out.empty() && out.back() == '\n') out.remove_suffix(1);
    if (!out.empty() && out.back() == '\r') out.remove_suffix(1);
    return true;
  }

 private:
  struct Source {
    std::string text;
    std::vector<std::size_t> starts;
  };

  Source load(const std::string& file) const {
    Source source;
    std::filesystem::path path(file);
    if (path.is_relative() && !options_.source_root.empty()) {
      path = std::filesystem::path(options_.source_root) / path;
    }
    std::error_code code;
    // Only regular files: opening a pipe could wait for ever.
    if (!std::filesystem::is_regular_file(path, code) || code) return source;
    const std::uintmax_t size = std::filesystem::file_size(path, code);
    if (code || size > kSourceLimitBytes) return source;
    std::ifstream stream(path, std::ios::binary);
    if (!stream) return source;
    source.text.resize(static_cast<std::size_t>(size));
    stream.read(source.text.data(), static_cast<std::streamsize>(size));
    source.text.resize(static_cast<std::size_t>(std::max<std::streamsize>(stream.gcount(), 0)));
    source.starts.push_back(0);
    for (std::size_t i = 0; i < source.text.size(); ++i) {
      if (source.text[i] == '\n' && i + 1 < source.text.size()) source.starts.push_back(i + 1);
    }
    return source;
  }

  const RenderOptions& options_;
  std::map<std::string, Source> files_;
};

void append_gutter(std::string& out, std::string_view number) {
  if (number.size() < kLineNumberColumns) out.append(kLineNumberColumns - number.size(), ' ');
  out += number;
  out += " | ";
}

void append_excerpt(std::string& out, const Place& place, std::string_view line) {
  // Byte offsets into the line. A column past the end points just behind the last character.
  const bool has_caret = place.column != 0;
  std::size_t caret = has_caret ? std::min<std::size_t>(place.column - 1, line.size()) : 0;
  std::size_t caret_end = caret + std::max<std::size_t>(place.length, 1);

  // Indentation says nothing here and takes the width away.
  std::size_t indent = line.find_first_not_of(" \t");
  if (indent == std::string_view::npos) indent = line.size();
  if (has_caret) indent = std::min(indent, caret);
  line.remove_prefix(indent);
  caret -= std::min(caret, indent);
  caret_end -= std::min(caret_end, indent);

  bool cut_front = false;
  bool cut_back = false;
  if (line.size() > kExcerptColumns) {
    std::size_t begin = caret > kExcerptColumns / 2 ? caret - kExcerptColumns / 2 : 0;
    begin = std::min(begin, line.size() - kExcerptColumns);
    std::size_t end = begin + kExcerptColumns;
    while (begin > 0 && begin < caret && is_continuation_byte(line[begin])) ++begin;
    while (end < line.size() && end > caret + 1 && is_continuation_byte(line[end])) --end;
    cut_front = begin != 0;
    cut_back = end != line.size();
    line = line.substr(begin, end - begin);
    caret -= begin;
    caret_end -= begin;
  }

  const std::string number = std::to_string(place.line);
  append_gutter(out, number);
  if (cut_front) out += "...";
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    // A control character in a source file must not reach a terminal.
    out += (byte < 0x20 && c != '\t') || byte == 0x7F ? '?' : c;
  }
  if (cut_back) out += "...";
  out += '\n';
  if (!has_caret) return;

  append_gutter(out, std::string(number.size(), ' '));
  if (cut_front) out += "   ";
  // A tab stays a tab, so that the caret stands right whatever the tab width is.
  for (std::size_t i = 0; i < caret && i < line.size(); ++i) {
    if (line[i] == '\t') {
      out += '\t';
    } else if (!is_continuation_byte(line[i])) {
      out += ' ';
    }
  }
  out += '^';
  for (std::size_t i = caret + 1; i < std::min(caret_end, line.size()); ++i) {
    if (!is_continuation_byte(line[i])) out += '~';
  }
  out += '\n';
}

/// Names in messages may come from hostile files or command lines: no control character of theirs
/// reaches a terminal.
void append_shown(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7F ? '?' : c;
  }
}

void append_entry(std::string& out, std::string_view severity, std::string_view message,
                  std::string_view id, const Place& place, Sources& sources) {
  if (!place.file.empty()) {
    append_shown(out, place.file);
    if (place.line != 0) {
      out += ':';
      out += std::to_string(place.line);
      if (place.column != 0) {
        out += ':';
        out += std::to_string(place.column);
      }
    }
    out += ": ";
  }
  out += severity;
  out += ": ";
  append_shown(out, message);
  if (!id.empty()) {
    out += " [";
    out += id;
    out += ']';
  }
  out += '\n';
  std::string_view line;
  if (sources.line(place.file, place.line, line)) append_excerpt(out, place, line);
}

void append_diagnostic(std::string& out, const Diagnostic& diagnostic, Sources& sources) {
  append_entry(out, diagnostic.severity == Severity::error ? "error" : "warning",
               diagnostic.message, diagnostic.id, diagnostic.place, sources);
  for (const Note& note : diagnostic.notes) {
    append_entry(out, "note", note.message, {}, note.place, sources);
  }
}

}  // namespace

std::string render(const Diagnostics& diagnostics, const RenderOptions& options) {
  std::string out;
  Sources sources(options);
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    append_diagnostic(out, diagnostic, sources);
  }
  return out;
}

std::string render(const Diagnostic& diagnostic, const RenderOptions& options) {
  std::string out;
  Sources sources(options);
  append_diagnostic(out, diagnostic, sources);
  return out;
}

}  // namespace milgen
