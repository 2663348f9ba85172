// Recorded inference cases of every op, held against infer_op().
#include "ir/infer_cases.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "ir/case_json.h"
#include "support/temporary_folder.h"

using namespace milgen;
using namespace milgen::test;

TEST_CASE("recorded inference cases") {
  bool named = false;
  const std::string path = case_file_path("MILGEN_INFER_CASES", "infer_cases.jsonl.gz", named);
  const CaseReport report = run_case_file(path);
  if (!named && report.is_missing) {
    MESSAGE("skipped: there are no recorded cases at ", path);
    return;
  }
  if (!report.error.empty()) FAIL(path, ": ", report.error);
  OpScore all;
  std::string table;
  for (const auto& [op, score] : report.ops) {
    all.accepted += score.accepted;
    all.to_accept += score.to_accept;
    all.refused += score.refused;
    all.to_refuse += score.to_refuse;
    table += fmt::format("{:<42} valid {:>4} of {:<4} invalid {:>4} of {:<4}\n", op, score.accepted,
                         score.to_accept, score.refused, score.to_refuse);
  }
  std::string left;
  for (const auto& [category, count] : report.not_judged) {
    left += fmt::format("not judged, {}: {}\n", category, count);
  }
  MESSAGE("agreement by op:\n", table, "all: valid ", all.accepted, " of ", all.to_accept,
          ", invalid ", all.refused, " of ", all.to_refuse,
          "\nrecorded with a bug of the reference, documented type: ", report.corrected, " of ",
          report.to_correct, "\n", left);
  CHECK(all.to_accept + all.to_refuse > 0);
  CHECK(all.accepted == all.to_accept);
  CHECK(all.refused == all.to_refuse);
  CHECK(report.corrected == report.to_correct);
  constexpr std::size_t kShown = 200;
  for (std::size_t i = 0; i < std::min(kShown, report.mismatches.size()); ++i) {
    FAIL_CHECK(report.mismatches[i]);
  }
}

namespace {

/// Replays the lines as a file.
CaseReport replay(std::string_view lines) {
  const TemporaryFolder folder;
  return run_case_file(folder.write("cases.jsonl", lines));
}

}  // namespace

TEST_CASE("a file of cases that cannot be read") {
  CHECK(run_case_file("no/such/cases.jsonl").is_missing);
  CHECK(run_case_file("no/such/cases.jsonl").error == "it cannot be opened");
  CHECK(run_case_file("tests").error == "it cannot be read to its end");
  CHECK(replay("\x1f\x8b\x08\x00 this is no gzip").error == "it cannot be read to its end");
}

TEST_CASE("lines that are no case, or one of an unknown op or category, are told") {
  const CaseReport report = replay(
      R"([1, 2]
{"id": "a", "op": "abs", "opset": "iOS18"}
{"id": 7, "op": "abs", "opset": "iOS18", "category": "valid"}
{"id": "b", "op": "no_such", "opset": "iOS18", "category": "invalid", "inputs": {}, "attrs": {}}
{"id": "c", "op": "no_such", "opset": "iOS18", "category": "valid", "inputs": {}, "attrs": {},
{"id": "d", "op": "abs", "opset": "iOS99", "category": "valid", "inputs": {}, "attrs": {}, "expect": {"outputs": []}}
{"id": "e", "op": "abs", "opset": "iOS18", "category": "rumour"}
{"id": "f", "op": "abs", "opset": "iOS18", "category": "valid", "inputs": {"x": {"var": {"dtype": "fp16", "shape": ["sX"]}}}, "attrs": {}, "expect": {"outputs": []}}
{"id": "g", "op": "abs", "opset": "iOS18", "category": "valid", "inputs": {"x": {"var": {"dtype": "fp16", "shape": [2, "s0"]}}}, "attrs": {}, "expect": {"outputs": [{"dtype": "fp16", "shape": [2, "s0"]}]}}
)");
  CHECK(report.error.empty());
  REQUIRE(report.mismatches.size() == 6);
  CHECK(report.mismatches[0] == "line 1 is no case (no JSON object): [1, 2]");
  CHECK(report.mismatches[1].find("line 2 is no case") == 0);
  CHECK(report.mismatches[2].find("line 3 is no case") == 0);
  CHECK(report.mismatches[3].find("line 5 is no case (no JSON object)") == 0);
  CHECK(report.mismatches[4] == "d wants  but no opset iOS99");
  CHECK(report.mismatches[5].find("line 8 is no case") == 0);
  CHECK(report.not_judged.at("rumour") == 1);
  CHECK(report.ops.at("no_such").refused == 1);
  CHECK(report.ops.at("abs").accepted == 1);
}

TEST_CASE("a recorded bug of the reference is known by its situation") {
  // In turn: the index in front of a roi; a batch of 1, where the bug makes no difference; a slice
  // of a dim of 1 whose bounds are known at run time only, and one that a mask keeps whole.
  const CaseReport report = replay(
      R"({"id": "a", "op": "crop_resize", "opset": "iOS16", "category": "valid", "inputs": {"x": {"var": {"dtype": "fp16", "shape": [3, 2, 8, 8]}}, "roi": {"var": {"dtype": "fp16", "shape": [4, 1, 5, 1, 1]}}}, "attrs": {}, "expect": {"outputs": [{"dtype": "fp16", "shape": [4, 3, 2, 1, 1]}]}}
{"id": "b", "op": "crop_resize", "opset": "iOS15", "category": "valid", "inputs": {"x": {"var": {"dtype": "fp16", "shape": [1, 2, 8, 8]}}, "roi": {"var": {"dtype": "fp16", "shape": [4, 1, 5, 1, 1]}}}, "attrs": {}, "expect": {"outputs": [{"dtype": "fp16", "shape": [4, 1, 2, 1, 1]}]}}
{"id": "c", "op": "slice_by_index", "opset": "iOS18", "category": "valid", "inputs": {"x": {"var": {"dtype": "fp16", "shape": [1, 1, 4, 1]}}, "begin": {"var": {"dtype": "int32", "shape": [4]}}, "end": {"var": {"dtype": "int32", "shape": [4]}}}, "attrs": {"begin_mask": {"const": {"dtype": "bool", "shape": [4], "data": [false, true, false, false]}}, "end_mask": {"const": {"dtype": "bool", "shape": [4], "data": [false, true, false, false]}}, "squeeze_mask": {"const": {"dtype": "bool", "shape": [4], "data": [false, false, false, true]}}}, "expect": {"outputs": [{"dtype": "fp16", "shape": [1, 1, "?"]}]}}
)");
  CHECK(report.mismatches.empty());
  CHECK(report.to_correct == 2);
  CHECK(report.corrected == 2);
  CHECK(report.ops.at("crop_resize").accepted == 1);
}
