#include "mil/verify_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "support/printable.h"

namespace milgen::mil {

bool VerifyReport::wanted(Severity severity, std::string_view id) {
  auto count = std::ranges::find_if(counts_, [&](const Count& known) { return known.id == id; });
  if (count == counts_.end()) {
    if (std::ranges::find(options_.allow, id) != options_.allow.end()) {
      if (severity == Severity::error) ++allowed_errors_;
      return false;
    }
    // Ids of others are copied into their diagnostics; the table of ids outlives them.
    const auto listed = std::ranges::find(diagnostic_ids(), id, &DiagnosticInfo::id);
    counts_.push_back({listed->id, severity, 0});
    count = counts_.end() - 1;
  }
  if (severity == Severity::error) {
    has_errors_ = true;
    count->severity = severity;
  }
  return ++count->times <= options_.limit_per_id;
}

void VerifyReport::append(const Diagnostics& others) {
  for (const Diagnostic& other : others.all()) {
    if (wanted(other.severity, other.id)) found_.push_back(other);
  }
}

void VerifyReport::note_made(Diagnostic* diagnostic, std::string_view what, Id value) const {
  if (diagnostic == nullptr) return;
  const ValueRecord& record = data_.values[value];
  diagnostic->notes.push_back(
      {fmt::format("{} '{}' is {}, made here", what, data_.name(record.name),
                   printable(data_.types[record.type].text, 200)),
       data_.place_of_value(value)});
}

bool VerifyReport::finish(Diagnostics& diagnostics) {
  // Reports of weight files, which stand elsewhere, come last.
  std::ranges::stable_sort(found_, {}, [&](const Diagnostic& found) {
    return std::tuple(found.place.file != data_.file, found.place.line, found.place.column);
  });
  for (Diagnostic& found : found_) diagnostics.add(std::move(found));
  for (const Count& count : counts_) {
    if (count.times <= options_.limit_per_id) continue;
    diagnostics.add(
        {std::string(rule<"report.many">.id()),
         count.severity,
         fmt::format("{} more of {} are not shown", count.times - options_.limit_per_id, count.id),
         Place(data_.file),
         {}});
  }
  return !has_errors_;
}

}  // namespace milgen::mil
