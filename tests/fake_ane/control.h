#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace milgen::fake_ane {

// The settings of the fake engine (README.md says what each does), set by the environment variable
// MILGEN_FAKE_ANE="key=value,key=value" and by milgen_fake_ane_set().
enum class Key {
  kStrict,          // number, 0 or 1
  kTrap,            // text: "abort" or "record"
  kRows,            // text: "64", "packed" or "128"
  kAttributes,      // number, 0 or 1
  kNames,           // text: "sorted" or "declared"
  kRewrite,         // number, 0 or 1
  kOs,              // text, "15.0"
  kBuild,           // text
  kCores,           // number
  kArchitecture,    // text
  kProduct,         // text
  kVm,              // number, 0 or 1
  kHasAne,          // number, 0 or 1
  kHide,            // text
  kFailCompile,     // count: N, or always; see fails()
  kFailLoad,        // count
  kFailEvaluate,    // count
  kFailMap,         // count
  kHang,            // text: "none", "compile", "load", "map", "evaluate" or "unload"
  kHangOnce,        // the same
  kLatencyUs,       // number
  kBudget,          // number
  kHwNs,            // number; -1: measured
  kLog,             // number, 0 or 1
  kFp32Io,          // number, 0 or 1
  kEventsInMemory,  // number, 0 or 1
  kSerial,          // number, 0 or 1
  kCount,
};

// A setting of the kind number or count (-1 is "always"): one atomic load.
long number(Key key);
// A setting of the kind text; takes a lock.
std::string text(Key key);

// Whether this call is one of those that a setting of the kind count makes fail; counts it down.
bool fails(Key key);
// Blocks while the setting hang (or, for one call, hang_once) names `stage`, such as "compile".
// Call it without holding a lock.
void hang_point(std::string_view stage);
// Whether the setting hide names `what`: a class or "Class.selector:". Takes a lock.
bool is_hidden(std::string_view what);

// Appends one line to the call log, for instance
// "-[_ANEInMemoryModel compileWithQoS:options:error:] qos=21 -> 1". The log keeps the newest lines.
// Ask log_wanted() before building the line where time counts.
void log_call(std::string_view line);
bool log_wanted();

// Records one violation: something that the engine refuses or that a careful client does not do.
void violation(std::string_view line);
// What the real thing would crash on: with trap=abort it prints `line` to stderr and aborts, with
// trap=record it records a violation and returns; the caller then answers nil, NO or 0.
void trap(std::string_view line);

// Calls `hook` at each milgen_fake_ane_reset(), for state that belongs to the process (number of
// compiles ...). Call it from define_ane_classes().
void on_reset(void (*hook)());

// Calls `hook` whenever the setting hide may have changed.
void on_hide(void (*hook)());

// Settings as they are at the start: the defaults, then the environment. Empties log and
// violations.
void reset_settings();

// Copies as much of `all` as fits into `size` bytes with a zero behind it, nothing to a null
// `buffer`; answers the length of all of it, without the zero.
std::size_t copy_text(std::string_view all, char* buffer, std::size_t size);

}  // namespace milgen::fake_ane
