#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <deque>
#include <map>
#include <ostream>
#include <set>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/kernel_args.h"
#include "cli/progress.h"
#include "cli/weight_options.h"
#include "cli/weights_as.h"
#include "milgen/weight_modes.h"
#include "support/rule.h"
#include "support/text.h"

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

/// Programs that are laid out together.
struct Group {
  LayoutOptions layout;
  std::vector<Program> programs;
};

/// One run of `emit`.
class Emit {
 public:
  Emit(Context& context, const Args& args) : context_(context), args_(args) {}

  int run() {
    if (!read_options()) return context_.usage_error(diagnostics_, "emit");
    if (!build() || !plan_layouts()) return finish();
    if (to_stdout()) {
      context_.report(diagnostics_);
      context_.streams.out << text_of(groups_.front());
      return kExitDone;
    }
    bool usage = false;
    source_ = weight_source(context_, args_, args_.value("--weights-from", "seed:0"), usage,
                            diagnostics_);
    if (source_ == nullptr) {
      return usage ? context_.usage_error(diagnostics_, "emit") : finish();
    }
    write();
    return finish();
  }

 private:
  bool to_stdout() const { return folder_ == "-"; }
  bool strict() const { return args_.has("--strict"); }

  bool read_options() {
    if (!request_of(context_, args_, requests_, diagnostics_) ||
        !emit_options(args_, options_, diagnostics_) ||
        !read_weight_modes(args_, modes_, diagnostics_)) {
      return false;
    }
    folder_ = args_.value("--out", "-");
    while (folder_.size() > 1 && folder_.ends_with('/')) folder_.pop_back();
    if (!to_stdout() && args_.has("--plan")) {
      return refuse("--plan is for stdout; with -o DIR the plan is in DIR/KERNEL.plan");
    }
    if (!to_stdout()) return true;
    for (const std::string_view option :
         {"--all", "--weights-from", "--map", "--merge-identical", "--format"}) {
      if (args_.has(option)) {
        refuse(fmt::format("{} needs a folder to write to, -o DIR", option));
      }
    }
    return !diagnostics_.has_errors();
  }

  bool refuse(std::string message) {
    diagnostics_.error(rule<"usage.option">.id(), std::move(message));
    return false;
  }

  /// The modes as far as they are for `program`: of several kernels, each has some of the weights
  /// that are named, or none at all.
  WeightModes modes_of(const Program& program) {
    WeightModes out = modes_;
    if (!args_.has("--all")) return out;
    const std::vector<WeightInfo> weights = program.weights();
    if (std::ranges::all_of(weights, &WeightInfo::own_values)) out.all = WeightsAs::constant;
    std::erase_if(out.choices, [&](const WeightChoice& choice) {
      const bool is_here =
          std::ranges::find(weights, choice.weight, &WeightInfo::name) != weights.end();
      if (is_here) chosen_.insert(choice.weight);
      return !is_here;
    });
    return out;
  }

  bool build() {
    for (const KernelRequest& request : requests_) {
      for (const KernelEntry* kernel : request.kernels) {
        const Program program = build_kernel(*request.set, *kernel, request.config, diagnostics_);
        if (!program) continue;
        Program version = apply_weight_modes(program, modes_of(program), diagnostics_);
        if (!version) continue;
        group_of(*kernel).programs.push_back(version);
        programs_.push_back(std::move(version));
      }
    }
    for (const WeightChoice& choice : modes_.choices) {
      if (!args_.has("--all") || chosen_.contains(choice.weight)) continue;
      diagnostics_.error(
          rule<"weights.unknown">.id(),
          fmt::format("{} names '{}', which no kernel has", kWeightsAs.name, choice.weight));
    }
    if (strict()) make_errors(diagnostics_);
    return !diagnostics_.has_errors();
  }

  /// Those with a file for each weight are laid out together, those that share one by themselves,
  /// so that each text is what it is without the others.
  Group& group_of(const KernelEntry& kernel) {
    const bool is_chosen = args_.has("--weight-file");
    const LayoutOptions layout = is_chosen ? options_.layout : layout_of(kernel);
    if (is_chosen || layout.files == WeightFiles::per_weight) {
      for (Group& group : groups_) {
        if (is_chosen || group.layout.files == layout.files) return group;
      }
    }
    return groups_.emplace_back(Group{layout, {}});
  }

  /// Whether each group can be laid out, and writes no file of another one.
  bool plan_layouts() {
    std::map<std::string, const Program*> writer_of;
    for (const Group& group : groups_) {
      WeightLayout layout;
      if (!layout.plan(group.programs, group.layout, diagnostics_)) return false;
      for (const PlannedFile& file : layout.files()) {
        const auto [other, is_new] =
            writer_of.emplace(lower_case(file.path), &group.programs.front());
        if (is_new) continue;
        diagnostics_.error(
            rule<"weight.conflict">.id(),
            fmt::format("'{}' is the weight file of '{}' and one of '{}'; "
                        "--weight-file says how all are laid out",
                        file.path, group.programs.front().name(), other->second->name()));
        return false;
      }
    }
    return true;
  }

  std::string text_of(const Group& group) const {
    if (args_.has("--plan")) return plan_text(weight_plan(group.programs.front()));
    WeightLayout layout;
    Diagnostics planned_before;
    layout.plan(group.programs, group.layout, planned_before);
    return print_mil(group.programs.front(), layout, 0, options_.print);
  }

  void write() {
    options_.check_values_first = strict();
    // Each group alone would call surplus what another one takes.
    if (strict() || groups_.size() > 1) {
      check_source(programs_, *source_, diagnostics_);
      if (strict()) make_errors(diagnostics_);
      if (diagnostics_.has_errors()) return;
    }
    ProgressLine line(context_);
    for (const Group& group : groups_) {
      options_.layout = group.layout;
      Diagnostics found;
      const bool done = emit(group.programs, context_.resolve(folder_), *source_, options_, found,
                             &written_, &ProgressLine::show, &line);
      for (const Diagnostic& one : found.all()) {
        if (groups_.size() == 1 || one.id != rule<"weight.extra">.id()) diagnostics_.add(one);
      }
      if (!done) return;
    }
  }

  int finish() {
    context_.report(diagnostics_);
    return to_stdout() ? kExitFailed : write_summary();
  }

  /// What there is in the end, files or not; for a program also that nothing was written.
  int write_summary() const {
    const int code = diagnostics_.has_errors() ? kExitFailed : kExitDone;
    if (args_.value("--format") == "json") {
      context_.streams.out << json_summary();
    } else if (code == kExitDone) {
      context_.streams.out << text_summary();
    }
    return code;
  }

  std::string json_summary() const {
    Json root;
    root["folder"] = folder_;
    root["kernels"] = Json::array();
    for (const Program& program : programs_) {
      root["kernels"].push_back(std::string(program.name()));
    }
    root["weights_as"] = weight_modes_text(modes_);
    root["programs"] = Json::array();
    for (const Program& program : programs_) {
      Json entry;
      entry["name"] = std::string(program.name());
      entry["ops"] = working_ops(program);
      const WeightPlan plan = weight_plan(program);
      entry["plan"] = plan.has_weights() ? to_json(plan) : Json(nullptr);
      root["programs"].push_back(std::move(entry));
    }
    root["files"] = Json::array();
    for (const EmittedFile& file : written_) {
      Json entry;
      entry["path"] = fmt::format("{}/{}", folder_, file.path);
      entry["bytes"] = file.size_bytes;
      root["files"].push_back(std::move(entry));
    }
    root["diagnostics"] = to_json(context_, diagnostics_);
    return json_text(root);
  }

  std::string text_summary() const {
    std::string out;
    std::uint64_t total = 0;
    for (const EmittedFile& file : written_) {
      total += file.size_bytes;
      out +=
          fmt::format("wrote {}/{} ({})\n", folder_, file.path, counted(file.size_bytes, "byte"));
    }
    for (const Program& program : programs_) {
      const WeightPlan plan = weight_plan(program);
      if (!plan.has_weights()) continue;
      out +=
          fmt::format("{}: {}, weights as inputs: {}\n", program.name(),
                      counted(working_ops(program), "op"), fmt::join(planned_weights(plan), ", "));
    }
    return out + fmt::format("{}, {}, {}\n", counted(programs_.size(), "kernel"),
                             counted(written_.size(), "file"), size_text(total));
  }

  Context& context_;
  const Args& args_;
  Diagnostics diagnostics_;
  std::vector<KernelRequest> requests_;
  EmitOptions options_;
  WeightModes modes_;
  std::set<std::string> chosen_;  // weights of --weights-as that some kernel has
  std::string folder_;
  std::deque<Group> groups_;
  std::vector<Program> programs_;
  std::unique_ptr<WeightSource> source_;
  std::vector<EmittedFile> written_;
};

}  // namespace

int run_emit(Context& context, const Args& args) { return Emit(context, args).run(); }

}  // namespace milgen::cli
