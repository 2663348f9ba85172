// How far a command is, on err, and the clock behind that.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cli/context.h"

namespace milgen::cli {

/// A clock that only goes forward.
std::uint64_t steady_ns();
std::int64_t steady_ms();

/// A line on err that is rewritten on a terminal, and taken away in the end; elsewhere every text
/// is a line. Silent where a transcript is replayed, which is the same on a slow machine.
class StatusLine {
 public:
  explicit StatusLine(const Context& context) : context_(context) {}
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;
  bool is_terminal() const { return context_.streams.err_is_terminal; }
  void show(const std::string& text);

 private:
  const Context& context_;
  bool shown_ = false;
};

/// Writes how far the weights are to err, and only when that takes longer than a second.
class ProgressLine {
 public:
  explicit ProgressLine(const Context& context);
  /// A milgen::Progress whose context is a ProgressLine.
  static void show(void* line, std::string_view what, std::uint64_t done_bytes,
                   std::uint64_t total_bytes);

 private:
  StatusLine line_;
  std::int64_t next_ms_;
};

/// Says on err that something is still being worked on, once that takes longer than a few seconds.
class BusyLine {
 public:
  BusyLine(const Context& context, std::string what);
  ~BusyLine();
  BusyLine(const BusyLine&) = delete;
  BusyLine& operator=(const BusyLine&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace milgen::cli
