#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "milgen/ane/probe.h"

namespace milgen::cli {
namespace {

/// The questions that --only names, in their own order; all without it.
std::vector<const ane::ProbeQuestion*> chosen_questions(const Args& args) {
  const std::span<const std::string> only = args.values("--only");
  std::vector<const ane::ProbeQuestion*> chosen;
  for (const ane::ProbeQuestion& question : ane::probe_questions()) {
    if (only.empty() || std::ranges::find(only, question.name) != only.end()) {
      chosen.push_back(&question);
    }
  }
  return chosen;
}

std::string or_untold(const std::string& fact) { return fact.empty() ? "not told" : fact; }

/// Verdicts hold for the chip and the system that they were found on.
std::string machine_line(const ane::Engine& engine) {
  const ane::DeviceInfo device = engine.device();
  return fmt::format("architecture: {}, system: {}\n", or_untold(device.architecture),
                     or_untold(device.os_version));
}

std::string text_of(const ane::ProbeQuestion& question, const ane::ProbeAnswer& answer) {
  std::string out = fmt::format("\n{}: {}\n", question.name, answer.verdict);
  out += hanging(fmt::format("  {}:", answer.error ? "unasked" : name(answer.agreement)), 13,
                 std::string(question.settles));
  for (const std::string& line : answer.evidence) out += fmt::format("    {}\n", line);
  return out;
}

Json json_of(const ane::ProbeQuestion& question, const ane::ProbeAnswer& answer) {
  Json out;
  out["question"] = question.name;
  out["asks"] = question.asks;
  out["settles"] = question.settles;
  out["verdict"] = answer.verdict;
  out["agreement"] = answer.error ? Json() : Json(name(answer.agreement));
  out["evidence"] = answer.evidence;
  if (answer.error) out["error"] = answer.error.text();
  return out;
}

}  // namespace

int run_probe(Context& context, const Args& args) {
  Diagnostics diagnostics;
  const ane::Engine engine = open_engine(diagnostics);
  if (!engine) return context.fail(diagnostics, kExitUnavailable);

  std::string text = engine_line(engine.label()) + machine_line(engine);
  Json answers = Json::array();
  for (const ane::ProbeQuestion* question : chosen_questions(args)) {
    const BusyLine busy(context, fmt::format("asking {}", question->name));
    const ane::ProbeAnswer answer = ane::probe(engine, question->name);
    if (answer.error) report(answer.error, diagnostics, Place(std::string(question->name)));
    text += text_of(*question, answer);
    answers.push_back(json_of(*question, answer));
  }
  if (args.value("--format") == "json") {
    Json root;
    root["engine"] = engine.label();
    root["library"] = engine.library();
    root["architecture"] = engine.device().architecture;
    root["os_version"] = engine.device().os_version;
    root["answers"] = std::move(answers);
    text = json_text(root);
  }
  context.report(diagnostics);
  context.streams.out << text;
  return diagnostics.has_errors() ? kExitFailed : kExitDone;
}

}  // namespace milgen::cli
