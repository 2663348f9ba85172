#include "control.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "exports.h"

namespace milgen::fake_ane {
namespace {

enum class Kind { kNumber, kCount, kText };

struct Setting {
  std::string_view name;
  Kind kind;
  std::string_view initial;
  // What a text may be, separated by spaces; empty: anything.
  std::string_view choices = {};
};

constexpr std::size_t kSettingCount = static_cast<std::size_t>(Key::kCount);

// In the order of Key. The limit of 119 compiles is what most sources report (ane_runtime, 4.7).
constexpr std::array<Setting, kSettingCount> kSettings{{
    {"strict", Kind::kNumber, "1"},
    {"trap", Kind::kText, "abort", "abort record"},
    {"rows", Kind::kText, "64", "64 packed 128"},
    {"attributes", Kind::kNumber, "1"},
    {"names", Kind::kText, "sorted", "sorted declared"},
    {"rewrite", Kind::kNumber, "0"},
    {"os", Kind::kText, "15.0"},
    {"build", Kind::kText, "24A335"},
    {"cores", Kind::kNumber, "16"},
    {"architecture", Kind::kText, "h16g"},
    {"product", Kind::kText, "macOS"},
    {"vm", Kind::kNumber, "0"},
    {"has_ane", Kind::kNumber, "1"},
    {"hide", Kind::kText, ""},
    {"fail_compile", Kind::kCount, "0"},
    {"fail_load", Kind::kCount, "0"},
    {"fail_evaluate", Kind::kCount, "0"},
    {"fail_map", Kind::kCount, "0"},
    {"hang", Kind::kText, "none", "none compile load map evaluate unload"},
    {"hang_once", Kind::kText, "none", "none compile load map evaluate unload"},
    {"latency_us", Kind::kNumber, "0"},
    {"budget", Kind::kNumber, "119"},
    {"hw_ns", Kind::kNumber, "-1"},
    {"log", Kind::kNumber, "1"},
    {"fp32_io", Kind::kNumber, "1"},
    {"events_in_memory", Kind::kNumber, "0"},
    {"serial", Kind::kNumber, "1"},
}};

constexpr std::size_t kMaxLogLines = std::size_t{1} << 16;
constexpr std::size_t kMaxViolations = 1000;

// Lives as long as the process, since threads may still run when it ends.
struct State {
  std::array<std::atomic<long>, kSettingCount> numbers{};
  std::atomic<bool> hides{false};
  std::atomic<bool> hangs{false};

  std::mutex mutex;  // of all that follows
  std::condition_variable released;
  std::array<std::string, kSettingCount> texts;
  unsigned long releases = 0;  // how often those that hang were let go
  std::deque<std::string> log;
  std::vector<std::string> violations;
  std::vector<void (*)()> reset_hooks;
  std::vector<void (*)()> hide_hooks;
};

State& state() {
  static State& only = *new State;
  return only;
}

std::size_t index_of(Key key) { return static_cast<std::size_t>(key); }

std::optional<Key> find_key(std::string_view name) {
  for (std::size_t i = 0; i < kSettingCount; ++i) {
    if (kSettings[i].name == name) return static_cast<Key>(i);
  }
  return std::nullopt;
}

// Calls visit(part) for each part of `text` between separators until it answers true.
template <class Visit>
bool any_part(std::string_view text, char separator, const Visit& visit) {
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    if (visit(text.substr(0, end))) return true;
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end + 1);
  }
  return false;
}

std::optional<long> parse_number(Kind kind, std::string_view value) {
  if (kind == Kind::kCount && value == "always") return -1;
  long number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
  return number;
}

// With the mutex held.
bool assign(State& s, Key key, std::string_view value) {
  const Setting& setting = kSettings[index_of(key)];
  if (setting.kind != Kind::kText) {
    const std::optional<long> number = parse_number(setting.kind, value);
    if (number) s.numbers[index_of(key)].store(*number);
    return number.has_value();
  }
  const auto is_value = [value](std::string_view choice) { return choice == value; };
  if (!setting.choices.empty() && !any_part(setting.choices, ' ', is_value)) return false;
  s.texts[index_of(key)] = value;
  return true;
}

// What follows from changed settings; with the mutex held.
void settings_changed(State& s) {
  s.hides.store(!s.texts[index_of(Key::kHide)].empty());
  const bool hang = s.texts[index_of(Key::kHang)] != "none";
  const bool hang_once = s.texts[index_of(Key::kHangOnce)] != "none";
  s.hangs.store(hang || hang_once);
}

// Lets go of all that hang_point() does not have to hold any more; with the mutex held.
void release_hung(State& s) {
  if (!s.hangs.load()) ++s.releases;
  s.released.notify_all();
}

void run_hooks(std::vector<void (*)()> State::*hooks) {
  std::vector<void (*)()> copy;
  {
    const std::lock_guard lock(state().mutex);
    copy = state().*hooks;
  }
  for (void (*hook)() : copy) hook();
}

bool set(std::string_view name, std::string_view value) {
  const std::optional<Key> key = find_key(name);
  if (!key) return false;
  {
    State& s = state();
    const std::lock_guard lock(s.mutex);
    if (!assign(s, *key, value)) return false;
    settings_changed(s);
    if (*key == Key::kHang || *key == Key::kHangOnce) release_hung(s);
  }
  if (*key == Key::kHide) run_hooks(&State::hide_hooks);
  return true;
}

void set_from_environment() {
  const char* variable = std::getenv("MILGEN_FAKE_ANE");
  if (variable == nullptr) return;
  any_part(variable, ',', [](std::string_view part) {
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos || !set(part.substr(0, equals), part.substr(equals + 1))) {
      violation("MILGEN_FAKE_ANE holds '" + std::string(part) + "', which sets nothing");
    }
    return false;
  });
}

template <class Lines>
std::size_t copy_lines(const Lines& lines, char* buffer, std::size_t size) {
  std::string all;
  for (const std::string& line : lines) all += line + '\n';
  return copy_text(all, buffer, size);
}

}  // namespace

long number(Key key) { return state().numbers[index_of(key)].load(std::memory_order_relaxed); }

std::string text(Key key) {
  const std::lock_guard lock(state().mutex);
  return state().texts[index_of(key)];
}

bool fails(Key key) {
  std::atomic<long>& left = state().numbers[index_of(key)];
  long calls = left.load();
  while (calls > 0) {
    if (left.compare_exchange_weak(calls, calls - 1)) return true;
  }
  return calls < 0;
}

void hang_point(std::string_view stage) {
  State& s = state();
  if (!s.hangs.load()) return;
  std::unique_lock lock(s.mutex);
  s.released.wait(lock, [&] { return s.texts[index_of(Key::kHang)] != stage; });
  std::string& once = s.texts[index_of(Key::kHangOnce)];
  if (once != stage) return;
  once = "none";
  const unsigned long before = s.releases;
  s.released.wait(lock, [&] { return s.releases != before; });
}

bool is_hidden(std::string_view what) {
  State& s = state();
  if (!s.hides.load(std::memory_order_relaxed)) return false;
  const std::lock_guard lock(s.mutex);
  return any_part(s.texts[index_of(Key::kHide)], '+',
                  [what](std::string_view hidden) { return hidden == what; });
}

bool log_wanted() { return number(Key::kLog) != 0; }

void log_call(std::string_view line) {
  if (!log_wanted()) return;
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (s.log.size() == kMaxLogLines) s.log.pop_front();
  s.log.emplace_back(line);
}

void violation(std::string_view line) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (s.violations.size() < kMaxViolations) s.violations.emplace_back(line);
}

void trap(std::string_view line) {
  violation(line);
  if (text(Key::kTrap) == "record") return;
  std::fprintf(stderr, "milgen's fake neural engine: %.*s\n", static_cast<int>(line.size()),
               line.data());
  std::abort();
}

void on_reset(void (*hook)()) {
  const std::lock_guard lock(state().mutex);
  state().reset_hooks.push_back(hook);
}

void on_hide(void (*hook)()) {
  const std::lock_guard lock(state().mutex);
  state().hide_hooks.push_back(hook);
}

void reset_settings() {
  {
    State& s = state();
    const std::lock_guard lock(s.mutex);
    for (std::size_t i = 0; i < kSettingCount; ++i) {
      assign(s, static_cast<Key>(i), kSettings[i].initial);
    }
    s.log.clear();
    s.violations.clear();
    settings_changed(s);
    release_hung(s);
  }
  run_hooks(&State::hide_hooks);
  set_from_environment();
}

std::size_t copy_text(std::string_view all, char* buffer, std::size_t size) {
  if (buffer != nullptr && size > 0) {
    const std::size_t copied = std::min(all.size(), size - 1);
    std::memcpy(buffer, all.data(), copied);
    buffer[copied] = '\0';
  }
  return all.size();
}

}  // namespace milgen::fake_ane

using namespace milgen::fake_ane;

const char* milgen_fake_ane_version() { return "1"; }

int milgen_fake_ane_set(const char* key, const char* value) {
  return key != nullptr && value != nullptr && set(key, value) ? 0 : 1;
}

void milgen_fake_ane_reset() {
  reset_settings();
  run_hooks(&State::reset_hooks);
}

std::size_t milgen_fake_ane_log(char* buffer, std::size_t size) {
  const std::lock_guard lock(state().mutex);
  return copy_lines(state().log, buffer, size);
}

std::size_t milgen_fake_ane_violations(char* buffer, std::size_t size) {
  const std::lock_guard lock(state().mutex);
  return copy_lines(state().violations, buffer, size);
}

std::size_t milgen_fake_ane_keys(char* buffer, std::size_t size) {
  std::vector<std::string> names;
  for (const Setting& setting : kSettings) names.emplace_back(setting.name);
  return copy_lines(names, buffer, size);
}
