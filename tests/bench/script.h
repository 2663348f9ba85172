// A Python script that runs what it is told to; stories_turns.py has the script's side.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX has it in no header

namespace milgen::bench {

/// A process of its own: its threads and its library are not ours.
class Script {
 public:
  /// A script of tests/bench; its first argument is the number of threads.
  Script(const std::string& script, int threads, const std::vector<std::string>& more = {}) {
    int to[2];
    int from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) return;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, to[0], 0);
    posix_spawn_file_actions_adddup2(&files, from[1], 1);
    const std::string count = std::to_string(threads);
    for (const char* name : {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"}) {
      setenv(name, count.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): nobody else runs
    }
    const std::string path = std::string(MILGEN_SOURCE_DIR) + "/tests/bench/" + script;
    std::vector<std::string> words = {MILGEN_PYTHON, path, count};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int error =
        posix_spawn(&process_, arguments[0], &files, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    close(to[0]);
    close(from[1]);
    ask_ = fdopen(to[1], "w");
    answer_ = fdopen(from[0], "r");
    if (error != 0) process_ = -1;
    ready_ = error == 0 && line() == "ready";
  }
  ~Script() {
    if (ask_ != nullptr) std::fclose(ask_);
    if (answer_ != nullptr) std::fclose(answer_);
    if (process_ > 0) waitpid(process_, nullptr, 0);
  }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  bool ready() const { return ready_; }
  /// Seconds of one run of what has this name; 0 when the script is not ready.
  double run(std::string_view name) {
    if (!ready_) return 0;
    std::fprintf(ask_, "%.*s\n", static_cast<int>(name.size()), name.data());
    std::fflush(ask_);
    return std::strtod(line().c_str(), nullptr);
  }

 private:
  std::string line() {
    std::string text;
    for (int c = std::fgetc(answer_); c != EOF && c != '\n'; c = std::fgetc(answer_)) {
      text += static_cast<char>(c);
    }
    return text;
  }

  pid_t process_ = -1;
  std::FILE* ask_ = nullptr;
  std::FILE* answer_ = nullptr;
  bool ready_ = false;
};

}  // namespace milgen::bench
