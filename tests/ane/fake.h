// The fake engine of tests/fake_ane, for tests of the runtime.
//
//     TEST_CASE("...") {
//       FakeScope fake({{"fail_load", "1"}});
//       auto model = ane::Model::compile(fake.engine(), ...);
//       ...
//       CHECK(fake.log_lines().front() == "...");
//     }  // objects that are still alive, and violations, fail the test
#pragma once

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "milgen/ane/engine.h"

namespace milgen::test {

/// The fake with settings of its own (tests/fake_ane/README.md lists the keys), a fresh call log
/// and a compile ledger at 0. Traps are recorded, not fatal. At its end everything that was made in
/// its life must be gone again, and nothing may have been objected to. One at a time.
class FakeScope {
 public:
  using Setting = std::pair<std::string, std::string>;
  explicit FakeScope(std::initializer_list<Setting> settings = {});
  FakeScope(const FakeScope&) = delete;
  FakeScope& operator=(const FakeScope&) = delete;
  ~FakeScope();

  /// The library's path.
  static std::string library();
  /// Opened when it is first asked for; failures of compiles are not followed by a pause.
  const ane::Engine& engine();
  /// Opens it without demanding that this works.
  static ane::Result<ane::Engine> open();

  static void set(std::string_view key, std::string_view value);
  /// The call log, a line for each message.
  static std::string log();
  static std::vector<std::string> log_lines();
  /// How many lines of the log hold `part`.
  static std::size_t logged(std::string_view part);
  /// What strict mode and the traps objected to, a line for each.
  static std::string violations();
  /// Objects of a class that are alive, "" for all.
  static long live(const std::string& class_name = {});
  static std::string live_report();

  /// The test is about a violation: none is looked for at the end.
  void allow_violations() { violations_allowed_ = true; }
  /// The test is about a call that never comes back: what it holds stays alive.
  void allow_live_objects() { live_allowed_ = true; }

 private:
  ane::Engine engine_;
  long live_before_ = 0;
  bool violations_allowed_ = false;
  bool live_allowed_ = false;
};

}  // namespace milgen::test
