#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <ostream>

#include "cli/artifacts.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/kernel_args.h"
#include "cli/mil_input.h"
#include "cli/numeric_check.h"
#include "cli/progress.h"
#include "milgen/emit.h"
#include "milgen/weights.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

/// Of the weights that are written.
constexpr std::uint64_t kSeed = 0;

std::string verdict(bool compared, bool same) {
  return !compared ? "none" : same ? "same" : "differs";
}

/// Bytes of a program's weights, those that a kernel itself has included.
std::uint64_t weight_bytes(const Program& program) {
  std::uint64_t total = 0;
  for (const WeightInfo& weight : program.weights()) {
    std::int64_t count = 0;
    std::uint64_t bytes = 0;
    std::uint32_t padding_bits = 0;
    if (element_count(weight.shape, count) &&
        payload_bytes(weight.dtype, static_cast<std::uint64_t>(count), bytes, padding_bits)) {
      total += bytes;
    }
  }
  return total;
}

/// What a kernel computes, held against its numeric golden.
struct Numbers {
  bool has_golden = false;
  bool ran = false;  ///< false where the golden cannot be read
  NumericOutcome outcome = {};

  bool holds() const { return ran && outcome.holds(); }
  std::string verdict() const {
    if (!has_golden) return "none";
    if (!holds()) return "differs";
    return outcome.is_equal ? "same" : "near";
  }
  /// "6.9 of 18"; empty where nothing was compared.
  std::string error() const {
    if (!ran || outcome.truth.index < 0) return {};
    return fmt::format("{:.1f} of {:g}", outcome.truth.error, outcome.truth.tolerance);
  }
};

/// One run of `demo`.
class Demo {
 public:
  Demo(Context& context, const Args& args) : context_(context), args_(args) {}

  int run() {
    if (!read_arguments()) return context_.usage_error(diagnostics_, "demo");
    if (!build() || !emit_all() || !compare() || !run_all()) return context_.fail(diagnostics_);
    context_.streams.out << report();
    context_.report(diagnostics_);
    if (!has_golden_) return kExitFailed;
    return holds_ ? kExitDone : kExitDiffers;
  }

 private:
  bool read_arguments() {
    folder_ = args_.value("--out");
    while (folder_.size() > 1 && folder_.ends_with('/')) folder_.pop_back();
    if (folder_.empty() || folder_ == "-") {
      diagnostics_.error(rule<"usage.argument">.id(),
                         "a folder to write to is to be named, -o DIR");
    }
    const Registry& registry = context_.registry;
    if (!args_.positionals().empty()) {
      request_.set = find_set(registry, args_.positionals()[0], diagnostics_);
    } else if (!registry.sets().empty()) {
      request_.set = &registry.sets().front();
    } else {
      diagnostics_.error(rule<"usage.set">.id(), "no kernel is registered");
    }
    golden_dir_ = args_.value("--golden", "golden");
    if (!args_.has("--golden") && !context_.streams.other_golden.empty() && !is_folder("")) {
      golden_dir_ = context_.streams.other_golden;
    }
    return !diagnostics_.has_errors() && configure(request_, "", {}, diagnostics_);
  }

  /// Whether this is a folder in that of the goldens.
  bool is_folder(std::string_view below) const {
    std::error_code code;
    return std::filesystem::is_directory(context_.resolve(fmt::format("{}{}", golden_dir_, below)),
                                         code);
  }

  /// Notes how long what was done since the last call took.
  void took(std::string_view what) {
    const std::int64_t now = steady_ms();
    times_ += fmt::format("{}{} in {} ms", times_.empty() ? "" : ", ", what, now - last_ms_);
    last_ms_ = now;
  }

  bool build() {
    for (const KernelEntry& kernel : request_.set->kernels) {
      Program program = build_kernel(*request_.set, kernel, request_.config, diagnostics_);
      if (program) programs_.push_back(std::move(program));
    }
    took("built");
    return !diagnostics_.has_errors();
  }

  bool emit_all() {
    const std::unique_ptr<WeightSource> source = seeded_weights(kSeed);
    ProgressLine line(context_);
    const bool done = emit(programs_, context_.resolve(folder_), *source, {}, diagnostics_,
                           &written_, &ProgressLine::show, &line);
    took("emitted");
    return done;
  }

  bool compare() {
    has_golden_ = is_folder("/kernels");
    if (!has_golden_) {
      diagnostics_.error(rule<"golden.folder">.id(),
                         fmt::format("nothing was compared: there is no folder '{}/kernels'; "
                                     "--golden DIR names another",
                                     golden_dir_));
      return true;
    }
    const bool done = check_artifacts(context_, folder_,
                                      {.golden_dir = golden_dir_,
                                       .config = request_.config_name,
                                       .filter = request_.set->name + "/*"},
                                      results_, findings_, diagnostics_);
    took("compared");
    return done;
  }

  bool run_all() {
    for (const Program& program : programs_) {
      if (!run_kernel(program)) return false;
    }
    took("run");
    return true;
  }

  /// Runs what was emitted, where there is something to hold it against.
  bool run_kernel(const Program& program) {
    GoldenHeader header;
    header.set = request_.set->name;
    header.kernel = program.name();
    header.config = request_.config_name;
    Numbers& numbers = numbers_[header.kernel];
    const std::string path = numeric_golden_path(golden_dir_, header);
    std::error_code code;
    numbers.has_golden = std::filesystem::exists(context_.resolve(path), code);
    if (!numbers.has_golden) return true;
    NumericGolden golden;
    Diagnostics problems;
    if (!read_numeric_golden(context_, path, golden, problems)) {
      add_findings(problems);
      return true;
    }
    RunTarget target;
    if (!read_emitted(program, golden.weight_seed, target) ||
        !run_numeric(context_, target, golden, path, numbers.outcome, diagnostics_)) {
      return false;
    }
    numbers.ran = true;
    add_findings(numbers.outcome.differences);
    return true;
  }

  /// The text that was written, with the weights beside it where they are of this seed.
  bool read_emitted(const Program& program, std::uint64_t seed, RunTarget& target) {
    target.name = program.name();
    target.options.model_path = context_.resolve(folder_);
    const std::string text = fmt::format("{}/{}.mil", folder_, program.name());
    if (!read_mil_input(context_, {text, target.options.model_path}, target.module, diagnostics_)) {
      return false;
    }
    const std::unique_ptr<WeightSource> source = seeded_weights(seed);
    return seed == kSeed || weight_files(program, *source, target.options.weights, diagnostics_);
  }

  void add_findings(const Diagnostics& problems) {
    for (const Diagnostic& problem : problems.all()) findings_.push_back({.what = problem});
  }

  /// The row of one kernel; false where it is not as its goldens.
  bool add_row(const Program& program, const ArtifactResult* result, std::uint64_t text_bytes,
               Table& table) const {
    const std::string name(program.name());
    const Numbers& numbers = numbers_.at(name);
    const bool compared = result != nullptr && !result->config.empty();
    const bool same_text = compared && result->text_matches;
    const bool same_weights = compared && result->weights_match;
    table.row({name, grouped(program.op_count()), grouped(text_bytes),
               grouped(weight_bytes(program)), verdict(compared, same_text),
               verdict(compared, same_weights), numbers.verdict(), numbers.error(),
               has_times() && numbers.ran
                   ? grouped(static_cast<std::uint64_t>(numbers.outcome.run_ms))
                   : ""});
    return same_text && same_weights && (!numbers.has_golden || numbers.holds());
  }

  bool has_times() const { return !args_.has("--no-times"); }

  std::string report() {
    std::map<std::string, std::uint64_t> sizes;
    std::uint64_t total = 0;
    for (const EmittedFile& file : written_) {
      sizes[file.path] = file.size_bytes;
      total += file.size_bytes;
    }
    std::map<std::string, const ArtifactResult*> by_kernel;
    for (const ArtifactResult& result : results_) by_kernel[result.kernel] = &result;

    Table table;
    table.right_align({1, 2, 3, 8});
    table.row({"kernel", "ops", "text bytes", "weight bytes", "text", "weights", "numbers",
               "error in eps", has_times() ? "run ms" : ""});
    holds_ = has_golden_;
    for (const Program& program : programs_) {
      const std::string name(program.name());
      holds_ = add_row(program, by_kernel[name], sizes[name + ".mil"], table) && holds_;
    }
    std::string out;
    for (const Finding& finding : findings_) out += finding_text(context_, finding);
    out += fmt::format("{} at {} ({}), weights of seed {}\n\n", request_.set->name,
                       request_.config_name, request_.set->describe(request_.config), kSeed);
    out += table.text();
    out += fmt::format("\n{}, {} in {}: {}\n", counted(written_.size(), "file"), size_text(total),
                       folder_, conclusion());
    if (has_times()) out += times_ + "\n";
    return out;
  }

  std::string conclusion() const {
    if (!has_golden_) return "not compared";
    if (!holds_) return "not as the goldens";
    const auto missing = static_cast<std::uint64_t>(std::ranges::count_if(
        numbers_, [](const auto& entry) { return !entry.second.has_golden; }));
    if (missing == 0) return "text, weights and numbers are those of the goldens";
    return fmt::format("text and weights are those of the goldens, {} without numbers",
                       counted(missing, "kernel"));
  }

  Context& context_;
  const Args& args_;
  Diagnostics diagnostics_;
  std::string folder_;
  std::string golden_dir_;
  KernelRequest request_;
  bool has_golden_ = false;
  bool holds_ = false;
  std::vector<Program> programs_;
  std::vector<EmittedFile> written_;
  std::vector<ArtifactResult> results_;
  std::vector<Finding> findings_;
  std::map<std::string, Numbers> numbers_;  // by kernel
  std::int64_t last_ms_ = steady_ms();
  std::string times_;
};

}  // namespace

int run_demo(Context& context, const Args& args) { return Demo(context, args).run(); }

}  // namespace milgen::cli
