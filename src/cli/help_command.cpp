#include <fmt/format.h>

#include <ostream>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

constexpr Example kOverview[] = {
    {"demo -o out", "emit the built-in kernels and hold them against their goldens"},
    {"kernels", "what is built in"},
    {"emit sdpa_fwd_taps", "the MIL text of one kernel"},
    {"check", "hold everything against the goldens"},
    {"ops conv", "what an op takes and gives"},
};

std::string overview(std::string_view program) {
  std::string out = fmt::format(
      "{} - a compiler toolkit for MIL, the text language of Apple's Neural Engine\n\n", program);
  constexpr std::size_t kColumn = 34;
  for (const Example& example : kOverview) {
    out += hanging(fmt::format("  {} {}", program, example.command), kColumn, example.what);
  }
  out += "\ncommands:\n";
  Table table;
  for (const CommandSpec& spec : commands()) {
    table.row({std::string(spec.name), std::string(spec.summary)});
  }
  out += table.text("  ");
  out += fmt::format(
      "\n'{0} help COMMAND' or '{0} COMMAND --help' shows examples and all options;\n"
      "'{0} --version' the version.\n\n"
      "What was asked for goes to stdout, diagnostics and progress to stderr. Exit codes: 0 done,\n"
      "1 the input was rejected or the work failed, 2 the command line was wrong, 3 a comparison\n"
      "found a difference, 4 the backend is not on this machine. Any other is a bug.\n",
      program);
  return out;
}

}  // namespace

int run_help(Context& context, const Args& args) {
  if (args.positionals().empty()) {
    context.streams.out << overview(context.streams.program);
    return kExitDone;
  }
  const std::string& name = args.positionals()[0];
  std::vector<std::string_view> names;
  for (const CommandSpec& spec : commands()) {
    if (spec.name == name) {
      context.streams.out << help_page(spec, context.streams.program);
      return kExitDone;
    }
    names.push_back(spec.name);
  }
  Diagnostics diagnostics;
  diagnostics.error(rule<"usage.command">.id(),
                    fmt::format("there is no command '{}'{}", name, did_you_mean(name, names)));
  return context.usage_error(diagnostics, "");
}

int run_explain(Context& context, const Args& args) {
  const bool json = args.value("--format") == "json";
  Json root = Json::array();
  Table table;
  const std::string_view wanted =
      args.positionals().empty() ? std::string_view() : args.positionals()[0];
  std::vector<std::string_view> ids;
  for (const DiagnosticInfo& info : diagnostic_ids()) {
    ids.push_back(info.id);
    const bool same_noun = info.id.starts_with(wanted) && info.id[wanted.size()] == '.';
    if (!wanted.empty() && info.id != wanted && !same_noun) continue;
    Json entry;
    entry["id"] = std::string(info.id);
    entry["meaning"] = std::string(info.meaning);
    root.push_back(std::move(entry));
    table.row({std::string(info.id), std::string(info.meaning)});
  }
  if (table.empty()) {
    Diagnostics diagnostics;
    diagnostics.error(rule<"usage.id">.id(), fmt::format("there is no diagnostic '{}'{}", wanted,
                                                         did_you_mean(wanted, ids)));
    return context.usage_error(diagnostics, "explain");
  }
  context.streams.out << (json ? json_text(root) : table.text());
  return kExitDone;
}

}  // namespace milgen::cli
