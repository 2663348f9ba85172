#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <tuple>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/mil_input.h"
#include "milgen/module.h"
#include "milgen/verify.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {
namespace {

/// What became of one text.
struct Verdict {
  std::string path;
  std::size_t functions = 0;
  std::size_t ops = 0;
  std::size_t allowed_errors = 0;
  bool was_read = false;
  Diagnostics diagnostics;
};

bool read_options(const Args& args, VerifyOptions& options, Diagnostics& diagnostics) {
  Opset opset{};
  if (args.has("--opset")) {
    // The words that are taken have been checked against the table of options.
    opset_from_name(args.value("--opset"), opset);
    options.opset = opset;
  }
  for (const std::string& id : args.values("--allow")) {
    if (std::ranges::find(diagnostic_ids(), id, &DiagnosticInfo::id) == diagnostic_ids().end()) {
      std::vector<std::string_view> ids;
      for (const DiagnosticInfo& info : diagnostic_ids()) ids.push_back(info.id);
      diagnostics.error(rule<"usage.id">.id(),
                        fmt::format("there is no diagnostic '{}'{}", id, did_you_mean(id, ids)));
    }
    options.allow.push_back(id);
  }
  options.weights = WeightCheck::check;
  options.lenient = args.has("--lenient");
  return !diagnostics.has_errors();
}

/// What to do about weight files that are not there, or that are not as the format has them: the
/// first of each gets a note.
void add_hints(std::vector<Diagnostic>& all, bool lenient) {
  const auto first = [&](std::string_view prefix) {
    return std::ranges::find_if(all,
                                [&](const Diagnostic& one) { return one.id.starts_with(prefix); });
  };
  if (const auto missing = first(rule<"file.open">.id()); missing != all.end()) {
    missing->notes.push_back(
        {"--weights=skip leaves weight files alone; --weights FILE and --model-path DIR say where "
         "they are",
         {}});
  }
  if (const auto broken = first("blob."); broken != all.end() && !lenient) {
    broken->notes.push_back({"--lenient takes files of hand-written tools", {}});
  }
}

/// In the order of the text, syntax errors among the others.
Diagnostics sorted(const Diagnostics& found, std::string_view file, bool lenient) {
  std::vector<Diagnostic> all = found.all();
  std::ranges::stable_sort(all, {}, [&](const Diagnostic& one) {
    return std::tuple(one.place.file != file, one.place.line, one.place.column);
  });
  add_hints(all, lenient);
  Diagnostics out;
  for (Diagnostic& one : all) out.add(std::move(one));
  return out;
}

Verdict judge(const Context& context, const MilInput& input, const Args& args,
              VerifyOptions options) {
  Verdict verdict;
  verdict.path = input.path;
  const std::string_view weights = args.value("--weights");
  if (weights == "skip") {
    options.weights = WeightCheck::skip;
  } else if (!weights.empty()) {
    options.weight_file = context.resolve(weights);
  }
  options.model_path =
      args.has("--model-path") ? context.resolve(args.value("--model-path")) : input.folder;
  Module module;
  verdict.was_read = read_mil_input(context, input, module, verdict.diagnostics);
  if (!verdict.was_read) return verdict;
  verdict.functions = module.functions().size();
  verdict.ops = module.op_count();
  verify_mil(module, options, verdict.diagnostics, &verdict.allowed_errors);
  verdict.diagnostics =
      sorted(verdict.diagnostics, input.path == "-" ? input.path : context.resolve(input.path),
             options.lenient);
  return verdict;
}

std::string none_or(std::size_t count, std::string_view noun) {
  return count == 0 ? fmt::format("no {}s", noun) : counted(count, noun);
}

std::string summary(const Verdict& verdict) {
  const std::string allowed =
      verdict.allowed_errors == 0
          ? std::string()
          : fmt::format(" ({} not shown)", counted(verdict.allowed_errors, "error"));
  return fmt::format("{}: {}, {}: {}, {}{}\n", verdict.path, counted(verdict.functions, "function"),
                     counted(verdict.ops, "op"), none_or(verdict.diagnostics.errors(), "error"),
                     none_or(verdict.diagnostics.warnings(), "warning"), allowed);
}

Json to_json(const Context& context, const Verdict& verdict) {
  Json out;
  out["path"] = verdict.path;
  out["functions"] = verdict.functions;
  out["ops"] = verdict.ops;
  out["errors"] = verdict.diagnostics.errors();
  out["warnings"] = verdict.diagnostics.warnings();
  out["allowed_errors"] = verdict.allowed_errors;
  out["diagnostics"] = cli::to_json(context, verdict.diagnostics);
  return out;
}

}  // namespace

int run_verify(Context& context, const Args& args) {
  Diagnostics usage;
  VerifyOptions options;
  if (args.positionals().empty()) {
    usage.error(rule<"usage.argument">.id(), "a MIL text or an .mlmodelc folder is to be named");
  }
  if (!read_options(args, options, usage)) return context.usage_error(usage, "verify");

  const bool json = args.value("--format") == "json";
  Json files = Json::array();
  bool failed = false;
  for (const std::string& argument : args.positionals()) {
    std::vector<MilInput> inputs;
    Diagnostics of_argument;
    failed = !find_mil_inputs(context, argument, inputs, of_argument) || failed;
    context.report(of_argument);
    for (const MilInput& input : inputs) {
      const Verdict verdict = judge(context, input, args, options);
      failed = failed || verdict.diagnostics.has_errors() ||
               (args.has("--strict") && !verdict.diagnostics.empty());
      context.report(verdict.diagnostics);
      if (json) {
        files.push_back(to_json(context, verdict));
      } else if (verdict.was_read) {
        context.streams.out << summary(verdict);
      }
    }
  }
  if (json) {
    Json root;
    root["files"] = std::move(files);
    context.streams.out << json_text(root);
  }
  return failed ? kExitFailed : kExitDone;
}

}  // namespace milgen::cli
