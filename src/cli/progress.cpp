#include "cli/progress.h"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <ostream>
#include <thread>
#include <utility>

#include "cli/format.h"

namespace milgen::cli {
namespace {

// Short work stays silent; a log gets a line now and then, a terminal one that is rewritten.
constexpr std::int64_t kSilentMs = 1000;
constexpr std::int64_t kTerminalStepMs = 200;
constexpr std::int64_t kLogStepMs = 5000;
// Of work that does not say how far it is.
constexpr std::chrono::milliseconds kBusyTerminalStep{1000};
constexpr std::chrono::milliseconds kBusyLogStep{10000};

}  // namespace

std::uint64_t steady_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

std::int64_t steady_ms() { return static_cast<std::int64_t>(steady_ns() / 1'000'000); }

StatusLine::~StatusLine() {
  if (shown_ && is_terminal()) context_.streams.err << "\r\x1b[K" << std::flush;
}

void StatusLine::show(const std::string& text) {
  if (context_.streams.replay_depth != 0) return;
  shown_ = true;
  context_.streams.err << (is_terminal() ? fmt::format("\r{}\x1b[K", text) : text + "\n")
                       << std::flush;
}

ProgressLine::ProgressLine(const Context& context)
    : line_(context), next_ms_(steady_ms() + kSilentMs) {}

void ProgressLine::show(void* line, std::string_view what, std::uint64_t done_bytes,
                        std::uint64_t total_bytes) {
  auto& self = *static_cast<ProgressLine*>(line);
  const std::int64_t now = steady_ms();
  if (now < self.next_ms_) return;
  self.next_ms_ = now + (self.line_.is_terminal() ? kTerminalStepMs : kLogStepMs);
  const double part =
      total_bytes == 0 ? 1.0 : static_cast<double>(done_bytes) / static_cast<double>(total_bytes);
  self.line_.show(fmt::format("{}: {} of {} ({:.0f} %)", what, size_text(done_bytes),
                              size_text(total_bytes), part * 100));
}

struct BusyLine::Impl {
  Impl(const Context& context, std::string for_what)
      : line(context), what(std::move(for_what)), thread([this] { show(); }) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      done = true;
    }
    changed.notify_one();
    thread.join();
  }

  void show() {
    const auto step = line.is_terminal() ? kBusyTerminalStep : kBusyLogStep;
    const std::int64_t start = steady_ms();
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, step, [this] { return done; })) {
      line.show(fmt::format("{}: {} s", what, (steady_ms() - start) / 1000));
    }
  }

  StatusLine line;
  std::string what;
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::thread thread;  // the last one: it uses the others
};

BusyLine::BusyLine(const Context& context, std::string what)
    : impl_(std::make_unique<Impl>(context, std::move(what))) {}

BusyLine::~BusyLine() = default;

}  // namespace milgen::cli
