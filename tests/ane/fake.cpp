#include "ane/fake.h"

#include <dlfcn.h>
#include <doctest/doctest.h>

#include <cstddef>
#include <sstream>

#include "ane/engine_state.h"

namespace milgen::test {
namespace {

/// A control function of the fake, by its name; the test ends when there is none.
template <class Function>
Function* control(const char* name) {
  // Never closed: what the engine under test holds lies in it.
  static void* const handle = dlopen(MILGEN_FAKE_ANE_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  REQUIRE_MESSAGE(handle != nullptr, "the fake engine is at ", MILGEN_FAKE_ANE_LIBRARY);
  void* address = dlsym(handle, name);
  REQUIRE_MESSAGE(address != nullptr, name);
  return reinterpret_cast<Function*>(address);
}

std::string text_of(const char* name) {
  auto* const read = control<std::size_t(char*, std::size_t)>(name);
  std::string text(read(nullptr, 0) + 1, '\0');
  text.resize(read(text.data(), text.size()));
  return text;
}

}  // namespace

FakeScope::FakeScope(std::initializer_list<Setting> settings) {
  control<void()>("milgen_fake_ane_reset")();
  set("trap", "record");
  for (const auto& [key, value] : settings) set(key, value);
  ane::forget_engines();
  live_before_ = live();
}

FakeScope::~FakeScope() {
  engine_ = {};
  ane::forget_engines();
  if (!live_allowed_) CHECK_MESSAGE(live() == live_before_, live_report());
  if (!violations_allowed_) CHECK(violations() == "");
}

std::string FakeScope::library() { return MILGEN_FAKE_ANE_LIBRARY; }

const ane::Engine& FakeScope::engine() {
  if (engine_) return engine_;
  auto opened = open();
  REQUIRE_MESSAGE(opened, opened.error().text());
  engine_ = *opened;
  engine_.set_failure_pause(std::chrono::milliseconds{0});
  return engine_;
}

ane::Result<ane::Engine> FakeScope::open() { return ane::Engine::open({library()}); }

void FakeScope::set(std::string_view key, std::string_view value) {
  const int failed = control<int(const char*, const char*)>("milgen_fake_ane_set")(
      std::string(key).c_str(), std::string(value).c_str());
  REQUIRE_MESSAGE(failed == 0, key, "=", value);
}

std::string FakeScope::log() { return text_of("milgen_fake_ane_log"); }

std::vector<std::string> FakeScope::log_lines() {
  std::istringstream text(log());
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

std::size_t FakeScope::logged(std::string_view part) {
  std::size_t count = 0;
  for (const std::string& line : log_lines()) {
    if (line.find(part) != std::string::npos) ++count;
  }
  return count;
}

std::string FakeScope::violations() { return text_of("milgen_fake_ane_violations"); }

long FakeScope::live(const std::string& class_name) {
  auto* const count = control<long(const char*)>("milgen_fake_ane_live");
  return count(class_name.empty() ? nullptr : class_name.c_str());
}

std::string FakeScope::live_report() { return text_of("milgen_fake_ane_live_report"); }

}  // namespace milgen::test
