#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <ostream>
#include <system_error>

#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/run_input.h"
#include "milgen/ane/model.h"
#include "support/files.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

namespace fs = std::filesystem;

/// One run of `compile`.
class Compile {
 public:
  Compile(Context& context, const Args& args) : context_(context), args_(args) {}

  int run() {
    bool usage = true;
    if (!read_engine_options(context_, args_, options_, diagnostics_)) return usage_error();
    engine_ = open_engine(diagnostics_);
    if (!engine_) return context_.fail(diagnostics_, kExitUnavailable);
    if (args_.has("--package")) {
      if (args_.positionals().size() != 1) {
        diagnostics_.error(rule<"usage.argument">.id(),
                           "--package takes one folder, NAME.mlmodelc");
        return usage_error();
      }
      target_.name = args_.positionals()[0];
      load_package();
    } else {
      if (!read_run_target(context_, args_, target_, usage, diagnostics_)) {
        return usage ? usage_error() : context_.fail(diagnostics_);
      }
      model_ = bring_up(context_, engine_, target_, options_, diagnostics_);
    }
    if (!model_ || !save()) return context_.fail(diagnostics_);
    const std::string report = json() ? json_report() : text_report();
    if (const ane::Error error = model_.close()) ane::report(error, diagnostics_);
    if (diagnostics_.has_errors()) return context_.fail(diagnostics_);
    context_.report(diagnostics_);
    context_.streams.out << report;
    return kExitDone;
  }

 private:
  bool json() const { return args_.value("--format") == "json"; }
  int usage_error() { return context_.usage_error(diagnostics_, "compile"); }

  void load_package() {
    ane::Result<ane::Model> model =
        ane::Model::load_package(engine_, context_.resolve(target_.name), options_, diagnostics_);
    if (model) {
      model_ = std::move(*model);
    } else if (!diagnostics_.has_errors()) {
      ane::report(model.error(), diagnostics_, Place(target_.name));
    }
  }

  bool refuse(const std::string& path, const std::error_code& code) {
    diagnostics_.error(rule<"file.read">.id(), fmt::format("cannot be read: {}", code.message()),
                       Place(path));
    return false;
  }

  /// What was sent, and what the engine put beside it, each file whole or not at all.
  bool save() {
    if (!args_.has("--save")) return true;
    const fs::path from = model_.folder();
    const fs::path to = context_.resolve(args_.value("--save"));
    std::error_code code;
    std::vector<fs::path> files;
    for (fs::recursive_directory_iterator i(from, code), end; !code && i != end;
         i.increment(code)) {
      if (i->is_regular_file(code) && !i->is_symlink(code)) files.push_back(i->path());
    }
    if (code) return refuse(from.string(), code);
    std::ranges::sort(files);
    for (const fs::path& file : files) {
      const fs::path relative = file.lexically_relative(from);
      if (!save_file(file.string(), (to / relative).string())) return false;
      saved_.push_back((fs::path(args_.value("--save")) / relative).string());
    }
    return true;
  }

  bool save_file(const std::string& from, const std::string& to) {
    MappedFile source;
    AtomicFile target;
    return source.open(from, diagnostics_) &&
           make_folders(fs::path(to).parent_path().string(), diagnostics_) &&
           target.open(to, diagnostics_) && target.write(source.bytes(), diagnostics_) &&
           target.commit(diagnostics_);
  }

  std::string text_report() const {
    std::string out = engine_line(engine_.label());
    out += fmt::format("program: {}\n\n", model_.identifier());
    out += layout_table(model_) + "\n" + phase_table(model_.stats());
    if (!saved_.empty()) out += '\n';
    for (const std::string& file : saved_) out += fmt::format("wrote {}\n", file);
    return out;
  }

  std::string json_report() const {
    Json root;
    root["engine"] = engine_.label();
    root["program"] = target_.name;
    root["identifier"] = model_.identifier();
    root["layout"] = layout_json(model_);
    root["time"] = phase_json(model_.stats());
    root["files"] = saved_;
    root["diagnostics"] = to_json(context_, diagnostics_);
    return json_text(root);
  }

  Context& context_;
  const Args& args_;
  Diagnostics diagnostics_;
  ane::ModelOptions options_;
  ane::Engine engine_;
  RunTarget target_;
  ane::Model model_;
  std::vector<std::string> saved_;
};

}  // namespace

int run_compile(Context& context, const Args& args) { return Compile(context, args).run(); }

}  // namespace milgen::cli
