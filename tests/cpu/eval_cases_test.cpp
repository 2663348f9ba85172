// Every op against numbers that were computed without milgen: the recorded cases of the file that
// MILGEN_EVAL_CASES names, and golden/numeric/ops.
#include "cpu/eval_cases.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/op_info.h"

namespace fs = std::filesystem;
using namespace milgen;
using namespace milgen::test;

namespace {

/// Ops without a case of their own: a constant is in nearly all of the others.
constexpr std::array<std::string_view, 1> kOpsWithoutCases = {"const"};

void judge(const std::string& path, const EvalReport& report,
           std::vector<std::string>& unreadable) {
  MESSAGE(path, "\n", score_table(report));
  for (const std::string& fault : report.flagged_faults) MESSAGE("flagged, not judged: ", fault);
  for (const std::string& fault : report.faults) FAIL_CHECK(fault);
  for (const std::string& line : unreadable) FAIL_CHECK(line);
  CHECK_FALSE(report.ops.empty());
}

std::vector<fs::path> own_files() {
  std::vector<fs::path> out;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(MILGEN_SOURCE_DIR "/golden/numeric/ops")) {
    if (entry.path().extension() == ".jsonl") out.push_back(entry.path());
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace

TEST_CASE("recorded evaluation cases") {
  bool named = false;
  const std::string path = case_file_path("MILGEN_EVAL_CASES", "eval_cases.jsonl.gz", named);
  EvalReport report;
  std::vector<std::string> unreadable;
  const CaseLines lines = read_cases(
      path, unreadable, [&](const Json& json) { run_eval_case(cpu_backend(), json, report); });
  if (!named && lines.is_missing) {
    MESSAGE("skipped: there are no recorded cases at ", path);
    return;
  }
  if (!lines.error.empty()) FAIL(path, ": ", lines.error);
  judge(path, report, unreadable);
}

TEST_CASE("own evaluation cases") {
  for (const fs::path& path : own_files()) {
    EvalReport report;
    std::vector<std::string> unreadable;
    const CaseLines lines = read_cases(path.string(), unreadable, [&](const Json& json) {
      run_eval_case(cpu_backend(), json, report);
    });
    if (!lines.error.empty()) FAIL_CHECK(path.string(), ": ", lines.error);
    judge(path.filename().string(), report, unreadable);
  }
}

TEST_CASE("every op has an own evaluation case, and every file says where it comes from") {
  std::map<std::string, int, std::less<>> counts;
  for (const fs::path& path : own_files()) {
    CAPTURE(path.string());
    std::vector<std::string> unreadable;
    std::string origin;
    const CaseLines lines = read_cases(path.string(), unreadable, [&](const Json& json) {
      if (json.contains("origin")) origin = json["origin"].get<std::string>();
      if (json.contains("op")) ++counts[json["op"].get<std::string>()];
    });
    CHECK(lines.error.empty());
    CHECK(unreadable.empty());
    CHECK(origin == "numpy float64, op_cases.py");
  }
  for (const OpInfo& op : op_table()) {
    CAPTURE(std::string(op.name));
    const bool is_exempt = std::ranges::find(kOpsWithoutCases, op.name) != kOpsWithoutCases.end();
    CHECK(counts.contains(op.name) != is_exempt);
  }
}
