#include "ane/runtime_hints.h"

#include <algorithm>

namespace milgen::ane {
namespace {

constexpr std::string_view kEngineDomain = "com.apple.appleneuralengine";

struct Hint {
  std::string_view words;  // a part of the description; "": the code alone tells
  std::int64_t code;       // in the engine's own domain; 0: the words alone tell
  std::string_view hint;
};

// ane_constraints, 1.15; the first row that fits counts, so those that know more come first. The
// ids in parentheses are of the rules of that collection.
constexpr Hint kHints[] = {
    {"Metadata data type does not match", 0,
     "the records of a weight file name other dtypes than the text (FMT-017); 'milc weights' shows "
     "them. Or a matmul has a constant operand with transpose_y=false (MM-004)"},
    {"Graph has a cycle path", 0,
     "the compiler fuses parts that depend on each other, as known of attention backward in one "
     "program; split the program in two (AT-008)"},
    {"exceeds the upper_bound", 0,
     "a dim is larger than this engine takes; width and height go up to 16384 before H16, channels "
     "up to 65536 (SH-002 to SH-005)"},
    {"collision during MIL to ANEC", 0, "two values of the program have the same name (FMT-011)"},
    {"InvalidMILProgram", 0,
     "the text is refused before it is compiled: look at buildInfo (FMT-003), outputs that nothing "
     "computes (FMT-012), tensors of fp16 written into the text (FMT-019); 'milc verify' looks at "
     "all of them"},
    {"lost helper application", 0,
     "the compiler's service died: a conv whose weight is an input has a batch of 2 or more "
     "(CV-001), more than some 256 layers in a row (PR-004), or a large square conv kernel "
     "(CV-004)"},
    {"must re-compile", 0,
     "more programs are loaded than the engine keeps, some 120 in a process; close some (RT-002)"},
    {"status=0x1d", 0,
     "a surface is smaller than its tensor with each row taking a multiple of 64 bytes (IO-001, "
     "IO-002); 'milc probe' tells what this machine wants"},
    {"status=0x2 ", 0,
     "the index arrays are not the program's symbol indices (FMT-021), or memory is short, which "
     "passes (RT-007)"},
    {"0x20004", 0,
     "programs that are loaded take too much memory together; close some, or split the weights "
     "(PR-012)"},
    {"", 53,
     "programs that are loaded take too much memory together; close some, or split the weights "
     "(PR-012)"},
    {"verifyBundleAtPath", 0, "the compiled package is of another version of the system"},
    {"", 10, "the compiled package is of another version of the system"},
    {"", 15, "chaining of requests is not known to work on any system; evaluate one by one"},
    {"ANECCompile() FAILED", 0,
     "the compiler does not say why: look for required arguments (FMT-006 to FMT-009), names "
     "(FMT-011), inputs that nothing uses (FMT-013), dims above 16384 (SH-002), inputs of fp32 on "
     "M1 and M2 (IO-010), tensors of int32 (DT-002); 'milc verify' checks most of them"},
};

// Nothing is said when the budget is used up, whatever milgen's own ledger says: libraries beside
// it compile, too.
constexpr std::string_view kSilentCompile =
    "the engine says nothing, as it does after some hundred compilations of one process (RT-001); "
    "try it in a new process";

bool fits(const Hint& hint, const RuntimeFailure& failure) {
  if (hint.code != 0 && (hint.code != failure.code || failure.domain != kEngineDomain)) {
    return false;
  }
  return failure.description.find(hint.words) != std::string::npos;
}

}  // namespace

std::string_view runtime_hint(ErrorKind kind, std::span<const RuntimeFailure> chain) {
  if (chain.empty()) return kind == ErrorKind::compile ? kSilentCompile : std::string_view();
  for (const Hint& hint : kHints) {
    const auto fits_hint = [&hint](const RuntimeFailure& failure) { return fits(hint, failure); };
    if (std::any_of(chain.begin(), chain.end(), fits_hint)) return hint.hint;
  }
  return {};
}

}  // namespace milgen::ane
