// Recorded inference cases of every op, held against infer_op().
#include "ir/infer_cases.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>

using namespace milgen;
using namespace milgen::test;

namespace {

/// Cases that were recorded with what op_semantics lists as a bug of the reference tools, but not
/// marked so: a crop_resize of ios15 or ios16 whose rois have 5 elements takes the image from the
/// roi, so that its dim 1 is 1, as documented; the tools give it the batch size.
const std::set<std::string> kRecordedWithBug = {
    "crop_resize/iOS15/valid/0003",
    "crop_resize/iOS15/valid/0005",
    "crop_resize/iOS16/valid/0013",
};

}  // namespace

TEST_CASE("recorded inference cases") {
  const std::string path = case_file_path();
  const CaseReport report = run_case_file(path, kRecordedWithBug);
  if (!report.found) {
    MESSAGE("skipped: there are no recorded cases at ", path);
    return;
  }
  int accepted = 0;
  int to_accept = 0;
  int refused = 0;
  int to_refuse = 0;
  std::string table;
  for (const auto& [op, score] : report.ops) {
    accepted += score.accepted;
    to_accept += score.to_accept;
    refused += score.refused;
    to_refuse += score.to_refuse;
    table += fmt::format("{:<42} valid {:>4} of {:<4} invalid {:>4} of {:<4}\n", op, score.accepted,
                         score.to_accept, score.refused, score.to_refuse);
  }
  MESSAGE("agreement by op:\n", table, "all: valid ", accepted, " of ", to_accept, ", invalid ",
          refused, " of ", to_refuse);
  CHECK(accepted == to_accept);
  CHECK(refused == to_refuse);
  constexpr std::size_t kShown = 200;
  for (std::size_t i = 0; i < std::min(kShown, report.mismatches.size()); ++i) {
    FAIL_CHECK(report.mismatches[i]);
  }
}
