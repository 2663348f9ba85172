#include "cli/transcript.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "cli/files.h"
#include "cli/text_diff.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

constexpr std::string_view kMark = "--- ";
/// What diff(1) writes in the same place.
constexpr std::string_view kNoLineEnd = "\\ no newline at end";
/// A transcript whose command checks the transcript itself would never end.
constexpr int kDeepestReplay = 4;

/// Content as it stands in a section.
std::string section_text(std::string_view content) {
  std::string out;
  for (const std::string_view line : split_lines(content)) {
    if (line.starts_with(kMark) || line.starts_with('\\')) out += '\\';
    out += line;
    out += '\n';
  }
  if (!content.empty() && !content.ends_with('\n')) {
    out += kNoLineEnd;
    out += '\n';
  }
  return out;
}

/// The reverse.
std::string section_content(std::string_view raw) {
  std::string out;
  for (std::string_view line : split_lines(raw)) {
    if (line == kNoLineEnd) {
      if (!out.empty()) out.pop_back();
      break;
    }
    if (line.starts_with('\\')) line.remove_prefix(1);
    out += line;
    out += '\n';
  }
  return out;
}

bool stays_inside(std::string_view name) {
  if (name.empty() || name.front() == '/') return false;
  for (const std::filesystem::path& part : std::filesystem::path(name)) {
    if (part == "..") return false;
  }
  return true;
}

}  // namespace

bool decode_base64(std::string_view text, std::string& out) {
  out.clear();
  std::uint32_t bits = 0;
  int count = 0;
  std::size_t digits = 0;
  bool padded = false;
  for (const char c : text) {
    if (c == '\n' || c == ' ' || c == '\r') continue;
    ++digits;
    if (c == '=') {
      padded = true;
      continue;
    }
    std::uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = static_cast<std::uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      value = static_cast<std::uint32_t>(c - 'a') + 26;
    } else if (c >= '0' && c <= '9') {
      value = static_cast<std::uint32_t>(c - '0') + 52;
    } else if (c == '+') {
      value = 62;
    } else if (c == '/') {
      value = 63;
    } else {
      return false;
    }
    if (padded) return false;
    bits = (bits << 6 | value) & 0xFFFFFFu;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(static_cast<unsigned char>(bits >> count & 0xFFu));
    }
  }
  return digits % 4 == 0;
}

bool split_words(std::string_view line, std::vector<std::string>& words) {
  words.clear();
  std::string word;
  bool in_word = false;
  char quote = '\0';
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool escapes = c == '\\' && quote != '\'' && i + 1 < line.size();
    if (escapes) {
      word += line[++i];
      in_word = true;
    } else if (quote != '\0') {
      if (c == quote) {
        quote = '\0';
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t') {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (in_word) words.push_back(std::move(word));
  return quote == '\0';
}

bool parse_transcript(std::string_view text, const std::string& path, Transcript& transcript,
                      Diagnostics& diagnostics) {
  transcript = {};
  const std::size_t errors = diagnostics.errors();
  std::uint32_t number = 0;
  const auto wrong = [&](std::string message) {
    diagnostics.error(rule<"transcript.format">.id(), std::move(message),
                      Place(path, number, number == 0 ? 0 : 1));
  };

  std::string* content = &transcript.prose;
  std::string ignored;
  for (const std::string_view line : split_lines(text)) {
    ++number;
    if (!line.starts_with(kMark)) {
      *content += line;
      *content += '\n';
      continue;
    }
    const std::string_view rest = line.substr(kMark.size());
    const std::string_view word = rest.substr(0, rest.find(' '));
    std::string_view argument = rest.substr(word.size());
    if (!argument.empty()) argument.remove_prefix(1);
    const bool after_run =
        !transcript.steps.empty() && transcript.steps.back().kind == TranscriptStep::Kind::run;
    content = &ignored;
    if (word == "FILE") {
      TranscriptStep step{.kind = TranscriptStep::Kind::file};
      if (argument.ends_with(" base64")) {
        step.base64 = true;
        argument.remove_suffix(std::string_view(" base64").size());
      }
      step.name = argument;
      if (!stays_inside(argument)) {
        wrong(fmt::format("file '{}' is not below the transcript's folder", argument));
      }
      transcript.steps.push_back(std::move(step));
      content = &transcript.steps.back().raw;
    } else if (word == "RUN" && argument.empty()) {
      transcript.steps.push_back({.kind = TranscriptStep::Kind::run});
      content = &transcript.steps.back().command;
    } else if (word == "STDIN" || word == "EXIT" || word == "STDOUT" || word == "STDERR") {
      if (!after_run) {
        wrong(fmt::format("section {} stands behind no RUN", word));
        continue;
      }
      TranscriptStep& step = transcript.steps.back();
      if (word == "EXIT") {
        step.exit_code = std::atoi(std::string(argument).c_str());
        if (std::to_string(step.exit_code) != argument) {
          wrong(fmt::format("EXIT is followed by '{}', not by an exit code", argument));
        }
      } else if (word == "STDIN") {
        step.has_input = true;
        content = &step.input_raw;
      } else {
        content = word == "STDOUT" ? &step.out : &step.err;
      }
    } else {
      wrong(fmt::format("'{}' is no section; sections are FILE, RUN, STDIN, EXIT, STDOUT, STDERR",
                        rest));
    }
  }

  number = 0;
  bool any_run = false;
  for (TranscriptStep& step : transcript.steps) {
    if (step.kind == TranscriptStep::Kind::file) {
      if (!step.base64) {
        step.content = section_content(step.raw);
      } else if (!decode_base64(step.raw, step.content)) {
        wrong(fmt::format("file '{}' is not base64", step.name));
      }
      continue;
    }
    any_run = true;
    while (step.command.ends_with('\n')) step.command.pop_back();
    if (step.command.empty() || step.command.find('\n') != std::string::npos) {
      wrong("a RUN section holds one command line");
    }
    step.input = section_content(step.input_raw);
    step.out = section_content(step.out);
    step.err = section_content(step.err);
  }
  if (!any_run) wrong("there is no RUN section");
  return diagnostics.errors() == errors;
}

std::string transcript_text(const Transcript& transcript) {
  std::string out = transcript.prose;
  for (const TranscriptStep& step : transcript.steps) {
    if (step.kind == TranscriptStep::Kind::file) {
      out += fmt::format("--- FILE {}{}\n{}", step.name, step.base64 ? " base64" : "", step.raw);
      continue;
    }
    out += fmt::format("--- RUN\n{}\n", step.command);
    if (step.has_input) out += fmt::format("--- STDIN\n{}", step.input_raw);
    out += fmt::format("--- EXIT {}\n", step.exit_code);
    if (!step.out.empty()) out += "--- STDOUT\n" + section_text(step.out);
    if (!step.err.empty()) out += "--- STDERR\n" + section_text(step.err);
  }
  return out;
}

bool replay_transcript(const Context& context, const std::string& path, Transcript& transcript,
                       Diagnostics& diagnostics) {
  if (context.streams.replay_depth >= kDeepestReplay) {
    diagnostics.error(rule<"transcript.depth">.id(),
                      fmt::format("this transcript is replayed by {} others already",
                                  context.streams.replay_depth),
                      Place(path));
    return false;
  }
  TemporaryFolder folder;
  if (!folder.make(diagnostics)) return false;
  for (TranscriptStep& step : transcript.steps) {
    if (step.kind == TranscriptStep::Kind::file) {
      const std::string target = fmt::format("{}/{}", folder.path(), step.name);
      if (!make_parent_folders(target, diagnostics) ||
          !write_file(target, step.content, diagnostics)) {
        return false;
      }
      continue;
    }
    std::vector<std::string> words;
    bool readable = split_words(step.command, words);
    bool ci = false;
    while (!words.empty() && words.front().starts_with("CI=")) {
      ci = words.front() != "CI=";
      words.erase(words.begin());
    }
    readable = readable && !words.empty();
    if (!readable) {
      diagnostics.error(
          rule<"transcript.format">.id(),
          fmt::format("the command '{}' has no program or a quote without its end", step.command),
          Place(path));
      return false;
    }
    std::istringstream in(step.input);
    std::ostringstream out;
    std::ostringstream err;
    Streams streams{.in = in,
                    .out = out,
                    .err = err,
                    .cwd = folder.path(),
                    .program = words.front(),
                    .ci = ci,
                    .replay_depth = context.streams.replay_depth + 1};
    step.exit_code = milc_main(std::span(words).subspan(1), streams, context.registry);
    step.out = std::move(out).str();
    step.err = std::move(err).str();
  }
  return true;
}

bool TemporaryFolder::make(Diagnostics& diagnostics) {
  std::error_code code;
  const std::filesystem::path base = std::filesystem::temp_directory_path(code);
  std::string name = (code ? std::filesystem::path("/tmp") : base) / "milgen.XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    diagnostics.error(rule<"file.folder">.id(),
                      fmt::format("the folder cannot be made: {}", std::strerror(errno)),
                      Place(name));
    return false;
  }
  path_ = name;
  return true;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace milgen::cli
