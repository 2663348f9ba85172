#include <fmt/format.h>

#include <map>
#include <ostream>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/kernel_args.h"
#include "cli/progress.h"
#include "cli/weight_options.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

/// The kernels and their configuration, from the positional arguments.
bool request_of(const Context& context, const Args& args, std::vector<KernelRequest>& requests,
                Diagnostics& diagnostics) {
  std::span<const std::string> rest = args.positionals();
  const bool named = !rest.empty() && rest[0].find('=') == std::string::npos;
  const std::string_view config = args.value("--config");
  if (!args.has("--all")) {
    KernelRequest request;
    if (!named) {
      diagnostics.error(rule<"usage.argument">.id(), "a kernel is to be named, or --all given");
      return false;
    }
    if (!find_kernel(context.registry, rest[0], request, diagnostics)) return false;
    requests.push_back(std::move(request));
    return configure(requests.back(), config, rest.subspan(1), diagnostics);
  }
  std::vector<const KernelSetInfo*> sets;
  if (named) {
    const KernelSetInfo* set = find_set(context.registry, rest[0], diagnostics);
    if (set == nullptr) return false;
    sets.push_back(set);
    rest = rest.subspan(1);
  } else {
    for (const KernelSetInfo& set : context.registry.sets()) sets.push_back(&set);
  }
  std::map<std::string_view, std::string_view> set_of;
  for (const KernelSetInfo* set : sets) {
    KernelRequest request;
    request.set = set;
    for (const KernelEntry& kernel : set->kernels) {
      const auto [other, is_new] = set_of.emplace(kernel.name, set->name);
      if (!is_new) {
        diagnostics.error(rule<"usage.set">.id(),
                          fmt::format("sets '{}' and '{}' both have a kernel '{}'; emit them into "
                                      "folders of their own",
                                      other->second, set->name, kernel.name));
        return false;
      }
      request.kernels.push_back(&kernel);
    }
    if (!configure(request, config, rest, diagnostics)) return false;
    requests.push_back(std::move(request));
  }
  if (set_of.empty()) diagnostics.error(rule<"usage.set">.id(), "no kernel is registered");
  return !diagnostics.has_errors();
}

/// What --strict makes of warnings.
void make_errors(Diagnostics& diagnostics) {
  Diagnostics out;
  for (Diagnostic diagnostic : diagnostics.all()) {
    diagnostic.severity = Severity::error;
    out.add(std::move(diagnostic));
  }
  diagnostics = std::move(out);
}

/// What there is in the end, files or not; for a program also that nothing was written.
int write_summary(const Context& context, const Args& args, const std::string& folder,
                  const std::vector<Program>& programs, const std::vector<EmittedFile>& written,
                  const Diagnostics& diagnostics) {
  const int code = diagnostics.has_errors() ? kExitFailed : kExitDone;
  std::uint64_t total = 0;
  for (const EmittedFile& file : written) total += file.size_bytes;
  if (args.value("--format") == "json") {
    Json root;
    root["folder"] = folder;
    root["kernels"] = Json::array();
    for (const Program& program : programs) root["kernels"].push_back(std::string(program.name()));
    root["files"] = Json::array();
    for (const EmittedFile& file : written) {
      Json entry;
      entry["path"] = fmt::format("{}/{}", folder, file.path);
      entry["bytes"] = file.size_bytes;
      root["files"].push_back(std::move(entry));
    }
    root["diagnostics"] = to_json(context, diagnostics);
    context.streams.out << json_text(root);
    return code;
  }
  if (code != kExitDone) return code;
  for (const EmittedFile& file : written) {
    context.streams.out << fmt::format("wrote {}/{} ({})\n", folder, file.path,
                                       counted(file.size_bytes, "byte"));
  }
  context.streams.out << fmt::format("{}, {}, {}\n", counted(programs.size(), "kernel"),
                                     counted(written.size(), "file"), size_text(total));
  return code;
}

}  // namespace

int run_emit(Context& context, const Args& args) {
  Diagnostics diagnostics;
  std::vector<KernelRequest> requests;
  EmitOptions options;
  if (!request_of(context, args, requests, diagnostics) ||
      !emit_options(args, options, diagnostics)) {
    return context.usage_error(diagnostics, "emit");
  }
  std::string folder(args.value("--out", "-"));
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  const bool to_stdout = folder == "-";
  if (to_stdout) {
    for (const std::string_view option :
         {"--all", "--weights-from", "--map", "--merge-identical", "--format"}) {
      if (!args.has(option)) continue;
      diagnostics.error(rule<"usage.option">.id(),
                        fmt::format("{} needs a folder to write to, -o DIR", option));
    }
    if (diagnostics.has_errors()) return context.usage_error(diagnostics, "emit");
  }

  const bool strict = args.has("--strict");
  std::vector<Program> programs;
  for (const KernelRequest& request : requests) {
    for (const KernelEntry* kernel : request.kernels) {
      Program program = build_kernel(*request.set, *kernel, request.config, diagnostics);
      if (program) programs.push_back(std::move(program));
    }
  }
  if (strict) make_errors(diagnostics);
  std::vector<EmittedFile> written;
  const auto finish = [&] {
    context.report(diagnostics);
    return to_stdout ? kExitFailed
                     : write_summary(context, args, folder, programs, written, diagnostics);
  };
  if (diagnostics.has_errors()) return finish();

  if (to_stdout) {
    WeightLayout layout;
    if (!layout.plan(programs, options.layout, diagnostics)) return finish();
    context.report(diagnostics);
    context.streams.out << print_mil(programs.front(), layout, 0, options.print);
    return kExitDone;
  }

  bool usage = false;
  const std::unique_ptr<WeightSource> source =
      weight_source(context, args, args.value("--weights-from", "seed:0"), usage, diagnostics);
  if (source == nullptr) return usage ? context.usage_error(diagnostics, "emit") : finish();
  if (strict) {
    options.check_values_first = true;
    check_source(programs, *source, diagnostics);
    make_errors(diagnostics);
    if (diagnostics.has_errors()) return finish();
  }
  {
    ProgressLine line(context);
    emit(programs, context.resolve(folder), *source, options, diagnostics, &written,
         &ProgressLine::show, &line);
  }
  return finish();
}

}  // namespace milgen::cli
