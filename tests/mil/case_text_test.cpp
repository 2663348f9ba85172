// Recorded cases through the text: each is written as MIL, read back, printed and judged.
#include "mil/case_text.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/text_checks.h"
#include "ir/case_json.h"
#include "milgen/compare.h"
#include "milgen/module.h"
#include "milgen/print.h"
#include "milgen/verify.h"

using namespace milgen;
using namespace milgen::test;

namespace {

/// Compilers print programs of ios18 in one dialect only (mil_text_format, section 0).
std::vector<CaseStyle> styles_of(const Json& json) {
  std::vector<CaseStyle> out{{mil::Dialect::v1_3, false}, {mil::Dialect::v1_3, true}};
  if (json.at("opset") != "iOS18") {
    out.push_back({mil::Dialect::v1_0, false});
    out.push_back({mil::Dialect::v1_0, true});
  }
  return out;
}

struct Count {
  int judged = 0;
  int as_expected = 0;
};

class Replay {
 public:
  std::map<std::string, Count> categories;
  std::map<std::string, int> not_written;  ///< by why
  std::vector<std::string> faults;

  void run(const Json& json) {
    const std::string category = json.at("category").get<std::string>();
    Module first;
    if (category == "valid" && !json.contains("program")) run_spoiled(json);
    for (const CaseStyle& style : styles_of(json)) {
      std::string why;
      const std::optional<std::string> text = case_text(json, style, why);
      if (!text) {
        ++not_written[why];
        return;
      }
      ++categories[category].judged;
      std::string fault = judge(category, *text, first);
      if (fault.empty() && category == "invalid") fault = other_reason(json, *text);
      if (fault.empty()) {
        ++categories[category].as_expected;
      } else {
        faults.push_back(fmt::format("{} [{}]: {}\n{}", json.at("id").get<std::string>(),
                                     json.value("tag", ""), fault, *text));
      }
    }
  }

 private:
  /// A result type that is not the op's has to be found out, if only the first that is wrong.
  void run_spoiled(const Json& json) {
    for (const Spoiled spoiled : {Spoiled::dtype, Spoiled::dim, Spoiled::rank}) {
      std::string why;
      const std::optional<std::string> text = case_text(json, {.spoiled = spoiled}, why);
      if (!text) continue;
      Count& count = categories["valid, but for the written type"];
      ++count.judged;
      Diagnostics diagnostics;
      const Module module = parse_mil(*text, diagnostics);
      if (module && !verify_mil(module, {}, diagnostics)) {
        ++count.as_expected;
      } else {
        faults.push_back(fmt::format("{}: {}\n{}", json.at("id").get<std::string>(),
                                     module ? "a wrong type is accepted" : render(diagnostics),
                                     *text));
      }
    }
  }

  /// Text has to be refused for what inference says of the op, or because a run-time value has no
  /// place among attributes.
  static std::string other_reason(const Json& json, const std::string& text) {
    Opset opset = Opset::ios18;
    std::string why;
    const OpInfo* op = find_op(json.at("op").get<std::string>());
    if (op == nullptr || op->code == OpCode::const_ || json.contains("program") ||
        !opset_of(json, opset)) {
      return {};
    }
    std::optional<std::vector<Argument>> arguments = arguments_of(json, {}, why);
    if (!arguments) return {};
    DataContext context(*op, opset, std::move(*arguments));
    context.run();
    Diagnostics diagnostics;
    verify_mil(parse_mil(text, diagnostics), {}, diagnostics);
    for (const Diagnostic& said : diagnostics.all()) {
      if (said.id == "constexpr.form") return {};
      for (const Diagnostic& wanted : context.diagnostics().all()) {
        if (said.id == wanted.id) return {};
      }
    }
    return fmt::format("inference says\n{}but the verifier\n{}", render(context.diagnostics()),
                       render(diagnostics));
  }

  static std::string judge(const std::string& category, const std::string& text, Module& first) {
    Diagnostics diagnostics;
    Module module = parse_mil(text, diagnostics);
    if (!module) return "it does not parse: " + render(diagnostics);
    if (print_mil(module) != text) return "it is printed otherwise: " + print_mil(module);
    const bool accepted = verify_mil(module, {}, diagnostics);
    if (category == "valid" && !accepted) return "it is refused: " + render(diagnostics);
    if (category == "invalid" && accepted) return "it is accepted";
    std::string fault = fault_of_text(text);
    if (!fault.empty()) return fault;
    if (first.functions().empty()) {
      first = std::move(module);
      return {};
    }
    const Comparison comparison = compare_mil(first, module);
    if (comparison.verdict != Verdict::different) return {};
    return "in another style it is another program: " +
           (comparison.changes.empty() ? std::string() : comparison.changes.front().what);
  }
};

/// Replays a file in the form that `change` gives its lines.
void replay(const char* variable, const char* file, Json (*change)(const Json&)) {
  bool named = false;
  const std::string path = case_file_path(variable, file, named);
  Replay all;
  const CaseLines lines =
      read_cases(path, all.faults, [&](const Json& json) { all.run(change(json)); });
  if (!named && lines.is_missing) {
    MESSAGE("skipped: there are no recorded cases at ", path);
    return;
  }
  if (!lines.error.empty()) FAIL(path, ": ", lines.error);
  std::string table;
  for (const auto& [category, count] : all.categories) {
    table += fmt::format("{}: {} of {} texts\n", category, count.as_expected, count.judged);
  }
  for (const auto& [why, count] : all.not_written) {
    table += fmt::format("not written ({}): {} cases\n", why, count);
  }
  MESSAGE(path, "\n", table);
  CHECK(!all.categories.empty());
  constexpr std::size_t kShown = 20;
  for (std::size_t i = 0; i < std::min(kShown, all.faults.size()); ++i) {
    FAIL_CHECK(all.faults[i]);
  }
}

}  // namespace

TEST_CASE("recorded inference cases as text") {
  replay("MILGEN_INFER_CASES", "infer_cases.jsonl.gz", [](const Json& json) { return json; });
}

TEST_CASE("recorded evaluation cases as text") {
  replay("MILGEN_EVAL_CASES", "eval_cases.jsonl.gz", as_infer_case);
}
