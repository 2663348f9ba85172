#include "cli/graph_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/format.h"

namespace milgen::cli {
namespace {

constexpr std::size_t kUsesShown = 4;
constexpr std::size_t kChangesInFinding = 8;

/// "op added" -> "2 ops added"
std::string counted_change(ChangeKind kind, std::size_t count) {
  const std::string_view name = change_name(kind);
  const std::size_t space = name.find(' ');
  return fmt::format("{}{}", counted(count, name.substr(0, space)), name.substr(space));
}

std::string place_text(const Context& context, const Place& place) {
  if (place.line == 0) return context.shown(place.file);
  return fmt::format("{}:{}", context.shown(place.file), place.line);
}

/// A side's line and below it what the other side does not have.
std::string side_text(const Context& context, char sign, const ChangeSide& side, std::size_t width,
                      std::string_view indent) {
  if (side.text.empty()) return {};
  std::string out = fmt::format("{}  {} {:<{}}  {}\n", indent, sign,
                                place_text(context, side.place), width, side.text);
  std::string carets;
  for (const auto& [first, last] : side.marks) {
    carets.resize(display_width(std::string_view(side.text).substr(0, first)), ' ');
    carets.resize(display_width(std::string_view(side.text).substr(0, last)), '^');
  }
  if (!carets.empty()) {
    out += fmt::format("{}    {:<{}}  {}\n", indent, "", width, carets);
  }
  return out;
}

std::string change_text(const Context& context, const Change& change, bool name_function,
                        std::string_view indent) {
  std::string out = fmt::format("{}{}: {}{}\n", indent, change_name(change.kind), change.what,
                                name_function && !change.function.empty()
                                    ? fmt::format(" (function {})", change.function)
                                    : std::string());
  const std::size_t width = std::max(display_width(place_text(context, change.a.place)),
                                     display_width(place_text(context, change.b.place)));
  out += side_text(context, '-', change.a, width, indent);
  out += side_text(context, '+', change.b, width, indent);
  for (const std::string& note : change.notes) out += fmt::format("{}    {}\n", indent, note);
  for (std::size_t i = 0; i < change.uses.size(); ++i) {
    if (i == kUsesShown) {
      out += fmt::format("{}    and by {} more\n", indent, change.uses.size() - i);
      break;
    }
    out += fmt::format("{}    used by {} ({})\n", indent, change.uses[i].text,
                       place_text(context, change.uses[i].place));
  }
  return out;
}

Json side_json(const Context& context, const ChangeSide& side) {
  Json out;
  out["text"] = side.text;
  out["marks"] = Json::array();
  for (const auto& [first, last] : side.marks) out["marks"].push_back({first, last});
  out["file"] = context.shown(side.place.file);
  out["line"] = side.place.line;
  out["column"] = side.place.column;
  return out;
}

/// How two texts of one graph differ.
std::string same_text(const Comparison& comparison, std::string_view indent) {
  std::string out;
  for (const std::string& remark : comparison.remarks) {
    out += fmt::format("{}  {}\n", indent, remark);
  }
  return out;
}

}  // namespace

std::string verdict_text(const Comparison& comparison) {
  if (comparison.verdict != Verdict::different) {
    std::string same = comparison.verdict == Verdict::identical ? "identical" : "same graph";
    return comparison.weights_unread ? same + " as text; weights are not compared" : same;
  }
  std::vector<std::string> parts;
  std::size_t changes = 0;
  for (std::size_t kind = 0; kind < kChangeKinds; ++kind) {
    const std::size_t count = comparison.counts[kind];
    changes += count;
    if (count != 0) parts.push_back(counted_change(static_cast<ChangeKind>(kind), count));
  }
  std::string out = fmt::format("different: {}", fmt::join(parts, ", "));
  if (comparison.following_ops != 0) {
    out += fmt::format("; {} only {} from {}", counted(comparison.following_ops, "op"),
                       comparison.following_ops == 1 ? "follows" : "follow",
                       changes == 1 ? "it" : "them");
  }
  return out + fmt::format("; {} {} equal", counted(comparison.equal_ops, "op"),
                           comparison.equal_ops == 1 ? "is" : "are");
}

std::string comparison_text(const Context& context, const Comparison& comparison, std::size_t limit,
                            std::string_view indent) {
  std::string out = fmt::format("{}{}\n", indent, verdict_text(comparison));
  if (comparison.verdict != Verdict::different) return out + same_text(comparison, indent);
  bool several_functions = false;
  for (const Change& change : comparison.changes) {
    several_functions = several_functions || change.function != comparison.changes.front().function;
  }
  std::size_t total = 0;
  for (const std::size_t count : comparison.counts) total += count;
  const std::size_t shown = std::min(limit, comparison.changes.size());
  for (std::size_t i = 0; i < shown; ++i) {
    out += "\n" + change_text(context, comparison.changes[i], several_functions, indent);
  }
  if (shown != total) {
    out += fmt::format("\n{}and {} more {}\n", indent, grouped(total - shown),
                       total - shown == 1 ? "change" : "changes");
  }
  return out;
}

Json comparison_json(const Context& context, const Comparison& comparison) {
  Json out;
  constexpr std::string_view kVerdicts[] = {"identical", "same", "different"};
  out["verdict"] = kVerdicts[static_cast<std::size_t>(comparison.verdict)];
  if (comparison.weights_unread) out["weights_unread"] = true;
  out["equal_ops"] = comparison.equal_ops;
  out["following_ops"] = comparison.following_ops;
  out["counts"] = Json::object();
  for (std::size_t kind = 0; kind < kChangeKinds; ++kind) {
    if (comparison.counts[kind] == 0) continue;
    out["counts"][std::string(change_name(static_cast<ChangeKind>(kind)))] =
        comparison.counts[kind];
  }
  out["remarks"] = comparison.remarks;
  out["changes"] = Json::array();
  for (const Change& change : comparison.changes) {
    Json entry;
    entry["kind"] = std::string(change_name(change.kind));
    entry["function"] = change.function;
    entry["what"] = change.what;
    entry["a"] = change.a.text.empty() ? Json(nullptr) : side_json(context, change.a);
    entry["b"] = change.b.text.empty() ? Json(nullptr) : side_json(context, change.b);
    entry["notes"] = change.notes;
    entry["uses"] = Json::array();
    for (const ChangeSide& use : change.uses) entry["uses"].push_back(side_json(context, use));
    out["changes"].push_back(std::move(entry));
  }
  return out;
}

std::string explain_texts(const Context& context, std::string_view expected,
                          const std::string& expected_name, std::string_view found,
                          const std::string& found_name) {
  Diagnostics syntax;
  const Module a = parse_mil(expected, syntax, {.file = expected_name});
  const Module b = parse_mil(found, syntax, {.file = found_name});
  if (!a || !b) return {};
  const Comparison comparison = compare_mil(a, b);
  std::string out = comparison_text(context, comparison, kChangesInFinding, "  ");
  if (comparison.verdict == Verdict::different) out += '\n';
  return out;
}

}  // namespace milgen::cli
