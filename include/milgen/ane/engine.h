// The way to the Neural Engine: the private framework of macOS, reached by dlopen, or a library
// that stands in for it (tests/fake_ane).
//
//     auto engine = ane::Engine::open();
//     if (!engine) return fail(engine.error().text());
//     std::puts(engine->device().architecture.c_str());
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/ane/error.h"

namespace milgen::ane {

struct EngineState;  // internal: src/ane/engine_state.h

struct EngineOptions {
  /// One library that has all symbols, instead of the frameworks of macOS. Empty: what the
  /// environment variable MILGEN_ANE_LIBRARY says.
  std::string library = {};
};

/// What the machine says of itself (`_ANEDeviceInfo`); a fact that it does not tell is empty.
struct DeviceInfo {
  std::optional<bool> has_ane = {};
  std::optional<std::uint32_t> cores = {};
  std::optional<std::uint32_t> engines = {};
  std::string architecture = {};  ///< "h16g"
  std::string sub_type = {};
  std::string product = {};        ///< "macOS"
  std::string build_version = {};  ///< of the system, "24A335"
  std::string os_version = {};     ///< "Version 15.0 (Build 24A335)"
  std::optional<std::int64_t> board_type = {};
  std::optional<bool> virtual_machine = {};
  std::optional<bool> internal_build = {};
  std::optional<bool> precompiled_checks_disabled = {};  ///< compiled packages of anyone are taken
};

/// A class, selector or C function that milgen may use, and whether this system has it.
struct RuntimeFeature {
  /// "IOSurfaceLock", "_ANEInMemoryModel", "+[_ANEInMemoryModel inMemoryModelWithDescriptor:]"
  std::string name;
  bool required = false;  ///< nothing works without it
  bool present = false;
  std::string_view purpose;  ///< what is done with it, or without it
};

/// The compile budget of this process (ane_runtime, 4.7): the engine's service stops answering
/// after some hundred compiles of one process, without an error of its own.
struct CompileLedger {
  int compiles = 0;  ///< compilations asked of the engine, failed ones too: what is held to `limit`
  int successes = 0;  ///< of them
  int failures = 0;
  int cache_loads = 0;  ///< programs that were loaded without compiling
  int limit = 100;
};

/// A connection; copies are the same one. All functions may be called from any thread.
///
/// There is one connection per process and library: it is opened once, and stays.
class Engine {
 public:
  /// None: every call gives ErrorKind::unavailable.
  Engine() = default;
  /// Errors: `unavailable` (no such framework here, the library lacks a required symbol, the device
  /// says that it has no engine), `selector` (a required class or selector is missing; all of them
  /// are named), `closed` (in a child of a process that has opened one: what the frameworks hold
  /// does not survive a fork).
  static Result<Engine> open(const EngineOptions& options = {});

  explicit operator bool() const { return state_ != nullptr; }
  /// The path that was opened.
  std::string_view library() const;
  /// Whether it is milgen's fake, and not a Neural Engine.
  bool fake() const;
  /// "ane", or "fake" for the fake: what every report of results says.
  std::string_view label() const;

  DeviceInfo device() const;
  std::vector<RuntimeFeature> features() const;

  CompileLedger ledger() const;
  /// At least 0. The default is what the environment variable MILGEN_ANE_COMPILE_LIMIT says, and
  /// 100 without: sources disagree between 100 and 119.
  void set_compile_limit(int limit);
  /// How long after a failed compile the next one waits; doubled with every further failure, up to
  /// 15 s. The default is what MILGEN_ANE_PAUSE_MS says, and 1 s without.
  void set_failure_pause(std::chrono::milliseconds pause);

  const std::shared_ptr<EngineState>& state() const { return state_; }

 private:
  explicit Engine(std::shared_ptr<EngineState> state) : state_(std::move(state)) {}
  std::shared_ptr<EngineState> state_;
};

}  // namespace milgen::ane
