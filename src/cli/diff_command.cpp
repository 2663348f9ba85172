#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <ostream>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/graph_diff.h"
#include "cli/json.h"
#include "cli/kernel_args.h"
#include "cli/mil_input.h"
#include "cli/weights_as.h"
#include "mil/module_data.h"
#include "milgen/print.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

constexpr std::size_t kDefaultLimit = 20;

/// One of the two that are compared: the texts of a file or folder, or the one of a kernel.
struct Side {
  std::string name;
  std::vector<MilInput> inputs;
  KernelRequest kernel;
  bool is_kernel() const { return inputs.empty(); }
};

/// One run of `diff`.
class Diff {
 public:
  Diff(Context& context, const Args& args) : context_(context), args_(args) {}

  int run() {
    if (!read_arguments()) return context_.usage_error(diagnostics_, "diff");
    if (!find(a_) || !find(b_)) return context_.fail(diagnostics_);
    if (!check_kernels()) return context_.usage_error(diagnostics_, "diff");
    const std::size_t texts_a = texts(a_);
    const std::size_t texts_b = texts(b_);
    if (texts_a != texts_b) return report_stages(texts_a, texts_b);
    bool differs = false;
    for (std::size_t i = 0; i < texts_a; ++i) {
      Module a;
      Module b;
      if (!read(a_, i, a) || !read(b_, i, b)) return context_.fail(diagnostics_);
      Comparison comparison = compare_mil(a, b, options(i), diagnostics_);
      if (comparison.verdict != Verdict::different) note_weights(i, a, b, comparison);
      differs = differs || comparison.verdict == Verdict::different;
      show(i, comparison);
    }
    if (json()) {
      context_.streams.out << json_text(results_.size() == 1 ? results_.front() : results_);
    }
    context_.report(diagnostics_);
    if (diagnostics_.has_errors()) return kExitFailed;
    return differs ? kExitDiffers : kExitDone;
  }

 private:
  bool json() const { return args_.value("--format") == "json"; }

  bool read_arguments() {
    for (const std::string& word : args_.positionals()) {
      if (names_.size() == 2 && word.find('=') != std::string::npos) {
        assignments_.push_back(word);
      } else {
        names_.push_back(word);
      }
    }
    if (names_.size() != 2) {
      diagnostics_.error(rule<"usage.argument">.id(),
                         fmt::format("two programs are to be named, not {}", names_.size()));
      return false;
    }
    if (names_[0] == "-" && names_[1] == "-") {
      diagnostics_.error(rule<"usage.argument">.id(), "the standard input can be one program only");
      return false;
    }
    a_.name = names_[0];
    b_.name = names_[1];
    const std::string_view limit = args_.value("--limit");
    if (limit.empty()) return true;
    const auto result = std::from_chars(limit.data(), limit.data() + limit.size(), limit_);
    if (result.ec == std::errc() && result.ptr == limit.data() + limit.size()) return true;
    diagnostics_.error(rule<"usage.value">.id(),
                       fmt::format("--limit takes a number of changes, not '{}'", limit));
    return false;
  }

  /// What is there under the name is taken; otherwise a kernel of that name.
  bool find(Side& side) {
    return names_kernel(context_, side.name, side.kernel) ||
           find_mil_inputs(context_, side.name, side.inputs, diagnostics_);
  }

  bool check_kernels() {
    bool any = false;
    if (!read_weight_modes(args_, modes_, diagnostics_)) return false;
    for (Side* side : {&a_, &b_}) {
      if (!side->is_kernel()) continue;
      any = true;
      if (!configure(side->kernel, args_.value("--config"), assignments_, diagnostics_)) {
        return false;
      }
      if (args_.has("--weights")) {
        diagnostics_.error(
            rule<"usage.argument">.id(),
            fmt::format("'{}' is a kernel, which has no weight files; '{} emit {} -o "
                        "DIR' makes them",
                        side->name, context_.streams.program, side->name));
        return false;
      }
    }
    if (!any && (!assignments_.empty() || args_.has("--config") || args_.has(kWeightsAs.name))) {
      diagnostics_.error(rule<"usage.argument">.id(),
                         fmt::format("--config, {} and NAME=VALUE are for kernels, and neither "
                                     "program is one",
                                     kWeightsAs.name));
      return false;
    }
    return true;
  }

  static std::size_t texts(const Side& side) { return side.is_kernel() ? 1 : side.inputs.size(); }

  int report_stages(std::size_t a, std::size_t b) {
    const std::string what = fmt::format("different: {} has {}, {} has {}", a_.name,
                                         counted(a, "text"), b_.name, counted(b, "text"));
    if (json()) {
      Json root;
      root["verdict"] = "different";
      root["texts"] = {a, b};
      context_.streams.out << json_text(root);
    } else {
      context_.streams.out << what << '\n';
    }
    return kExitDiffers;
  }

  bool read(Side& side, std::size_t index, Module& module) {
    if (!side.is_kernel()) {
      return read_mil_input(context_, side.inputs[index], module, diagnostics_) &&
             static_cast<bool>(module);
    }
    const Program program = build_requested(side.kernel, modes_, diagnostics_);
    if (!program) return false;
    module = parse_mil(print_mil(program), diagnostics_, {.file = side.name});
    return static_cast<bool>(module);
  }

  CompareOptions options(std::size_t index) const {
    CompareOptions options;
    options.commutative = args_.has("--commutative");
    options.weights = args_.has("--weights");
    options.change_limit = json() ? SIZE_MAX : limit();
    const auto folder = [&](std::string_view option, const Side& side) {
      if (args_.has(option)) return context_.resolve(args_.value(option));
      return side.is_kernel() ? std::string() : side.inputs[index].folder;
    };
    options.model_path_a = folder("--model-path-a", a_);
    options.model_path_b = folder("--model-path-b", b_);
    return options;
  }

  /// Says where the values in weight files were not looked at.
  void note_weights(std::size_t index, const Module& a, const Module& b,
                    Comparison& comparison) const {
    if (args_.has("--weights") || a.data().blobs.empty() || b.data().blobs.empty()) return;
    // A kernel has no weight files.
    if (a_.is_kernel() || b_.is_kernel() || has_one_folder(index)) return;
    comparison.remarks.emplace_back("weight contents are not compared (--weights)");
  }
  /// Whether equal paths in the texts are one file.
  bool has_one_folder(std::size_t index) const {
    const CompareOptions both = options(index);
    std::error_code code;
    return std::filesystem::equivalent(folder_path(both.model_path_a),
                                       folder_path(both.model_path_b), code);
  }
  static std::filesystem::path folder_path(const std::string& folder) {
    return folder.empty() ? "." : folder;
  }

  std::size_t limit() const { return limit_ == 0 ? SIZE_MAX : limit_; }

  void show(std::size_t index, const Comparison& comparison) {
    if (json()) {
      results_.push_back(comparison_json(context_, comparison));
      return;
    }
    std::ostream& out = context_.streams.out;
    if (texts(a_) > 1) {
      out << fmt::format("{}{} and {}:\n", index == 0 ? "" : "\n", a_.inputs[index].path,
                         b_.inputs[index].path);
    }
    out << comparison_text(context_, comparison, limit());
  }

  Context& context_;
  const Args& args_;
  Diagnostics diagnostics_;
  std::vector<std::string> names_;
  std::vector<std::string> assignments_;
  Side a_;
  Side b_;
  WeightModes modes_;
  std::size_t limit_ = kDefaultLimit;
  Json results_ = Json::array();
};

}  // namespace

int run_diff(Context& context, const Args& args) { return Diff(context, args).run(); }

}  // namespace milgen::cli
