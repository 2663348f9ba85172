// Transcripts: a golden file that carries its own commands, input files, outputs and exit codes.
// golden/README.md, "Transcripts", describes the format.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"

namespace milgen::cli {

struct TranscriptStep {
  enum class Kind { file, run } kind = Kind::run;
  // file
  std::string name = {};  ///< below the transcript's folder
  bool base64 = false;    ///< `raw` is base64 of the content
  std::string raw = {};   ///< the section's text as it stands in the transcript
  std::string content = {};
  // run
  std::string command = {};
  bool has_input = false;
  std::string input_raw = {};
  std::string input = {};
  int exit_code = 0;
  std::string out = {};
  std::string err = {};
};

struct Transcript {
  std::string prose;
  std::vector<TranscriptStep> steps;

  bool expects_failure() const {
    for (const TranscriptStep& step : steps) {
      if (step.kind == TranscriptStep::Kind::run && step.exit_code != 0) return true;
    }
    return false;
  }
};

/// Reads a transcript; `path` is for messages. Reports `transcript.format`.
bool parse_transcript(std::string_view text, const std::string& path, Transcript& transcript,
                      Diagnostics& diagnostics);
std::string transcript_text(const Transcript& transcript);

/// Runs the commands in a fresh folder and puts in what they wrote. `context` lends its registry.
/// False with `transcript.*` or `file.*` when it could not be run.
bool replay_transcript(const Context& context, const std::string& path, Transcript& transcript,
                       Diagnostics& diagnostics);

/// Words of a command line as a shell splits them: blanks, '...', "...", backslash; no expansion.
/// False for a quote without its end.
bool split_words(std::string_view line, std::vector<std::string>& words);

bool decode_base64(std::string_view text, std::string& out);

/// A folder of its own below the system's for temporary files, removed with all it holds.
class TemporaryFolder {
 public:
  TemporaryFolder() = default;
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  bool make(Diagnostics& diagnostics);
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace milgen::cli
