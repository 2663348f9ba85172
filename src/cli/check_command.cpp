#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>

#include "cli/artifacts.h"
#include "cli/commands.h"
#include "cli/files.h"
#include "cli/format.h"
#include "cli/graph_diff.h"
#include "cli/json.h"
#include "cli/numeric_check.h"
#include "cli/text_diff.h"
#include "cli/transcript.h"
#include "cli/weights_as.h"
#include "milgen/weights.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

/// One run of `check`.
class Check {
 public:
  Check(Context& context, const Args& args)
      : context_(context),
        args_(args),
        golden_dir_(args.positionals().empty() ? "golden" : args.positionals()[0]),
        filter_(args.value("--filter")),
        accept_(args.has("--accept")) {
    while (golden_dir_.size() > 1 && golden_dir_.ends_with('/')) golden_dir_.pop_back();
    std::error_code code;
    if (args.positionals().empty() && !accept_ && !context.streams.other_golden.empty() &&
        !std::filesystem::is_directory(context.resolve(golden_dir_), code)) {
      golden_dir_ = context.streams.other_golden;
    }
  }

  int run() {
    if (accept_ && context_.streams.ci) {
      diagnostics_.error(rule<"usage.ci">.id(),
                         "--accept is refused where CI is set: goldens are accepted by whoever "
                         "looks at what changed");
      return context_.usage_error(diagnostics_, "check");
    }
    std::error_code code;
    if (!std::filesystem::is_directory(context_.resolve(golden_dir_), code) && !accept_) {
      diagnostics_.error(rule<"golden.folder">.id(),
                         fmt::format("there is no folder '{}'; '{} check --accept {}' makes it",
                                     golden_dir_, context_.streams.program, golden_dir_));
      return context_.fail(diagnostics_);
    }
    for (const GoldenKernel& golden : golden_kernels(context_, golden_dir_)) {
      if (passes_filter(golden, filter_)) check_kernel(golden);
    }
    check_numeric();
    check_transcripts();
    if (args_.has("--artifacts")) {
      const std::string dir(args_.value("--artifacts"));
      ArtifactOptions options{.golden_dir = golden_dir_,
                              .config = std::string(args_.value("--config")),
                              .filter = filter_,
                              .weights = !args_.has("--no-weights")};
      std::vector<Finding> found;
      if (!check_artifacts(context_, dir, options, artifacts_, found, diagnostics_)) {
        return context_.fail(diagnostics_);
      }
      for (Finding& finding : found) {
        const std::string file = finding.what.place.file;
        differs(std::move(finding), file);
      }
    }
    if (kernels_ == 0 && numeric_ == 0 && transcripts_ == 0 && artifacts_.empty()) {
      diagnostics_.error(
          rule<"golden.folder">.id(),
          filter_.empty()
              ? fmt::format("nothing is in '{}' and no kernel is registered", golden_dir_)
              : fmt::format("nothing in '{}' fits '{}'", golden_dir_, filter_));
      return context_.fail(diagnostics_);
    }
    context_.report(diagnostics_);
    write_end();
    if (!differing_.empty()) return kExitDiffers;
    return diagnostics_.has_errors() ? kExitFailed : kExitDone;
  }

 private:
  bool json() const { return args_.value("--format") == "json"; }

  std::string accept_command(std::string_view what) const {
    return fmt::format("{} check --accept {} --filter {}", context_.streams.program, golden_dir_,
                       what);
  }

  /// Takes note of a difference; `item` is what is counted as differing.
  void differs(Finding finding, const std::string& item) {
    differing_.insert(item);
    if (!json()) context_.streams.out << finding_text(context_, finding);
    findings_.push_back(std::move(finding));
  }
  void differs(Rule rule, Place place, std::string message, const std::string& item,
               std::string detail = {}, std::string accept = {}) {
    differs({.what = {.id = std::string(rule.id()),
                      .message = std::move(message),
                      .place = std::move(place),
                      .notes = {}},
             .detail = std::move(detail),
             .accept = std::move(accept)},
            item);
  }

  bool accept_file(const std::string& path, std::string_view content, const std::string& how) {
    const std::string full = context_.resolve(path);
    if (!make_parent_folders(full, diagnostics_) || !write_file(full, content, diagnostics_)) {
      return false;
    }
    accepted_.push_back(path);
    if (!json()) context_.streams.out << fmt::format("accepted {} ({})\n", path, how);
    return true;
  }

  /// Holds one golden file against what it has to be.
  void compare(Rule rule, const std::string& path, bool there, const std::string& golden,
               const std::string& now, const std::string& item, const std::string& filter,
               std::string_view what) {
    if (!there) {
      if (accept_) {
        accept_file(path, now, "new");
      } else {
        differs(milgen::rule<"golden.missing">, Place(path),
                fmt::format("there is no golden {}", what), item, {}, accept_command(filter));
      }
      return;
    }
    if (golden == now) return;
    const TextDiff diff = diff_text(golden, now);
    if (accept_) {
      accept_file(path, now, diff.summary());
      return;
    }
    differs(rule, Place(path, diff.line, diff.column), fmt::format("{}: {}", what, diff.summary()),
            item, graph_difference(path, golden, now) + diff.hunks, accept_command(filter));
  }

  /// What differs in the graph, of goldens that are programs.
  std::string graph_difference(const std::string& path, const std::string& golden,
                               const std::string& now) const {
    if (!path.ends_with(".mil")) return {};
    return explain_texts(context_, golden, path, now, "now");
  }

  void report_unknown(std::string_view set, std::string_view kernel, const std::string& path,
                      const std::string& item) {
    differs(rule<"golden.unknown">, Place(path),
            fmt::format("no kernel '{}/{}' is registered; register it or remove the golden", set,
                        kernel),
            item);
  }

  void check_kernel(const GoldenKernel& golden) {
    const std::string item = golden.folder + "/" + golden.id();
    if (golden.entry == nullptr) {
      ++kernels_;
      report_unknown(golden.set, golden.kernel, golden.mil_path(), item);
      return;
    }
    GoldenFiles files(context_, golden);
    ListingHeader header;
    if (!golden_header(golden, files, header, item)) {
      ++kernels_;
      return;
    }
    GoldenContent content;
    Diagnostics made;
    const bool done = make_golden(context_, header, golden.weights_path(), digests_, content, made);
    // A mode that makes no sense for the kernel has no golden.
    if (done && golden.has_plan() && content.plan.empty() && !golden.on_disk) return;
    ++kernels_;
    if (!done) {
      for (const Diagnostic& problem : made.all()) {
        if (problem.severity == Severity::error) differs({.what = problem}, item);
      }
      return;
    }
    check_content(golden, files, content, item);
  }

  /// What is on disk of a golden.
  struct GoldenFiles {
    GoldenFiles(const Context& context, const GoldenKernel& golden) {
      const auto read = [&](const std::string& path, std::string& content) {
        Diagnostics ignored;
        return golden.on_disk && read_text(context.resolve(path), content, ignored);
      };
      has_text = read(golden.mil_path(), text);
      has_listing = read(golden.weights_path(), listing);
      has_plan = read(golden.plan_path(), plan);
    }
    std::string text;
    std::string listing;
    std::string plan;
    bool has_text = false;
    bool has_listing = false;
    bool has_plan = false;
  };

  /// What the golden is made from: the registry, or its own listing. False after a report.
  bool golden_header(const GoldenKernel& golden, const GoldenFiles& files, ListingHeader& header,
                     const std::string& item) {
    Listing listing;
    Diagnostics problems;
    const bool readable =
        files.has_listing && parse_listing(files.listing, golden.weights_path(), listing, problems);
    header = listing.header;
    if (golden.named != nullptr) {
      header = header_of(golden);
      if (readable) {
        header.seed = listing.header.seed;
        header.print = listing.header.print;
        header.layout = listing.header.layout;
      }
    } else if (!files.has_listing) {
      differs(rule<"golden.missing">, Place(golden.weights_path()),
              fmt::format("there is no listing, and set '{}' has no configuration '{}' to make it "
                          "from",
                          golden.set, golden.config),
              item);
      return false;
    }
    if (files.has_listing && !readable && (!accept_ || golden.named == nullptr)) {
      for (const Diagnostic& problem : problems.all()) {
        // Without the header nobody knows what to accept, unless the registry does.
        differs({.what = problem,
                 .detail = {},
                 .accept = golden.named != nullptr ? accept_command(golden.id()) : std::string()},
                item);
      }
      return false;
    }
    header.set = golden.set;
    header.kernel = golden.kernel;
    header.config = golden.config;
    header.weights_as = golden.weights_as;
    return true;
  }

  void check_content(const GoldenKernel& golden, const GoldenFiles& files,
                     const GoldenContent& content, const std::string& item) {
    if (content.plan.empty() && (golden.has_plan() || files.has_plan)) {
      differs(rule<"golden.unknown">, Place(golden.plan_path()),
              fmt::format("no weight of {}/{} at {} is an input; remove the golden", golden.set,
                          golden.kernel, golden.where()),
              item);
      if (golden.has_plan()) return;
    }
    const std::string of = fmt::format("of {}/{} at {}", golden.set, golden.kernel, golden.where());
    compare(rule<"golden.text">, golden.mil_path(), files.has_text, files.text, content.text, item,
            golden.id(), "text " + of);
    compare(rule<"golden.weights">, golden.weights_path(), files.has_listing, files.listing,
            listing_text(content.listing), item, golden.id(), "weight listing " + of);
    if (!content.plan.empty()) {
      compare(rule<"golden.weights">, golden.plan_path(), files.has_plan, files.plan, content.plan,
              item, golden.id(), "weight plan " + of);
    }
  }

  /// Whether the golden at `path` below the folder passes --filter by one of the names it has.
  bool path_passes(const std::string& path) const {
    const std::filesystem::path whole = path;
    return filter_.empty() || glob_matches(filter_, path) ||
           glob_matches(filter_, (whole.parent_path() / whole.stem()).generic_string()) ||
           glob_matches(filter_, whole.stem().string());
  }

  void check_numeric() {
    for (const std::string& file : numeric_golden_files(context_, golden_dir_)) {
      const std::filesystem::path whole = file;
      const std::string kernel =
          (whole.parent_path().filename() / whole.stem()).generic_string();  // SET/KERNEL.CONFIG
      if (!path_passes(file) && !glob_matches(filter_, kernel)) continue;
      ++numeric_;
      const std::string path = fmt::format("{}/{}", golden_dir_, file);
      Diagnostics problems;
      check_numeric_golden(path, problems);
      for (const Diagnostic& problem : problems.all()) {
        if (problem.severity == Severity::error) differs({.what = problem}, path);
      }
    }
  }

  /// What cannot be read or run is left in `problems`; what differs is reported.
  void check_numeric_golden(const std::string& path, Diagnostics& problems) {
    NumericGolden golden;
    if (!read_numeric_golden(context_, path, golden, problems)) return;
    const KernelSetInfo* set = context_.registry.find_set(golden.set);
    if (set == nullptr || set->find(golden.kernel) == nullptr) {
      report_unknown(golden.set, golden.kernel, path, path);
      return;
    }
    Program program;
    if (!build_from_header(context_, golden, path, program, problems)) return;
    std::vector<NamedArray> exact;  // with constants
    if (!check_numeric_mode(*set, golden, WeightsAs::constant, program, path, exact, problems)) {
      return;
    }
    for (const WeightsAs as : set->weight_modes) {
      const Program version = in_weight_mode(program, as);
      if (version && !check_numeric_mode(*set, golden, as, version, path, exact, problems)) return;
    }
  }

  /// Runs one mode of weights, exact and fast. False once something differs: what is wrong in one
  /// mode is wrong in the next, and once is enough to read.
  bool check_numeric_mode(const KernelSetInfo& set, const NumericGolden& golden, WeightsAs as,
                          const Program& program, const std::string& path,
                          std::vector<NamedArray>& exact, Diagnostics& problems) {
    RunTarget target;
    target.name = fmt::format("{}/{}", golden.set, golden.kernel);
    const std::unique_ptr<WeightSource> source = seeded_weights(golden.weight_seed);
    if (!make_kernel_target(program, *source, target, problems)) return false;
    const std::string how =
        as == WeightsAs::constant ? "" : fmt::format("weights as {}, ", weights_as_name(as));
    for (const NumericMode mode : {NumericMode::exact, NumericMode::fast}) {
      target.options.mode = mode;
      NumericOutcome outcome;
      if (!run_numeric(context_, target, golden, path, outcome, problems)) return false;
      if (mode == NumericMode::exact && as == WeightsAs::constant) {
        exact = std::move(outcome.outputs);
      } else if (mode == NumericMode::exact) {
        const std::string different = first_different_bits(outcome.outputs, exact);
        if (!different.empty()) {
          outcome.differences.error(rule<"golden.numeric">.id(),
                                    fmt::format("mode exact: {} with constants", different),
                                    Place(path));
        }
      }
      for (const Diagnostic& found : outcome.differences.all()) {
        Diagnostic difference = found;
        difference.message = how + found.message;
        const bool is_last = &found == &outcome.differences.all().back();
        differs({.what = std::move(difference),
                 .detail = is_last ? numeric_detail(set, golden, as, mode) : std::string()},
                path);
      }
      if (!outcome.holds()) return false;
    }
    return true;
  }

  /// How to see the values, and where those of the golden are from.
  std::string numeric_detail(const KernelSetInfo& set, const NumericGolden& golden, WeightsAs as,
                             NumericMode mode) const {
    std::string out = fmt::format("  to see the values: {} run {}/{}", context_.streams.program,
                                  golden.set, golden.kernel);
    const NamedConfig* named = set.find_config(golden.config);
    if (named != nullptr) out += fmt::format(" --config {}", golden.config);
    for (const auto& [name, value] : golden.params) {
      const bool is_known = named != nullptr && named->config.get(*set.find_param(name)) == value;
      if (!is_known) out += fmt::format(" {}={}", name, value);
    }
    if (as != WeightsAs::constant) out += fmt::format(" --weights-as {}", weights_as_name(as));
    out += fmt::format(" --weights seed:{} --input seed:{} --mode {}\n", golden.weight_seed,
                       golden.input_seed, mode_name(mode));
    out += fmt::format("  nothing to accept: the golden's values come from {}\n",
                       golden.origin.empty() ? "elsewhere" : golden.origin);
    return out;
  }

  void check_transcripts() {
    namespace fs = std::filesystem;
    std::vector<std::string> paths;  // below golden_dir_
    const fs::path root = context_.resolve(golden_dir_);
    std::error_code code;
    for (fs::recursive_directory_iterator file(root, code), end; !code && file != end;
         file.increment(code)) {
      if (file->path().extension() == ".golden") {
        paths.push_back(file->path().lexically_relative(root).generic_string());
      }
    }
    std::ranges::sort(paths);
    for (const std::string& path : paths) {
      if (path_passes(path)) check_transcript(path);
    }
  }

  /// `file` is below the folder of goldens.
  void check_transcript(const std::string& file) {
    ++transcripts_;
    const std::string path = fmt::format("{}/{}", golden_dir_, file);
    Diagnostics problems;
    std::string text;
    Transcript transcript;
    Transcript replayed;
    bool done = read_text(context_.resolve(path), text, problems) &&
                parse_transcript(text, path, transcript, problems);
    if (done) {
      replayed = transcript;
      done = replay_transcript(context_, path, replayed, problems);
    }
    if (!done) {
      for (const Diagnostic& problem : problems.all()) {
        differs({.what = problem, .detail = {}, .accept = {}}, path);
      }
      return;
    }
    const std::filesystem::path whole = file;
    const bool bad = whole.stem().string().starts_with("bad_");
    if (bad != replayed.expects_failure()) {
      differs(rule<"transcript.name">, Place(path),
              bad ? "the name starts with bad_ but every exit code is 0"
                  : "an exit code is not 0 but the name does not start with bad_",
              path);
    }
    compare(rule<"golden.transcript">, path, true, text, transcript_text(replayed), path,
            (whole.parent_path() / whole.stem()).generic_string(), "transcript");
  }

  std::string counts() const {
    std::vector<std::string> parts;
    if (kernels_ != 0) parts.push_back(counted(kernels_, "kernel"));
    if (numeric_ != 0) parts.push_back(counted(numeric_, "numeric golden"));
    if (transcripts_ != 0) parts.push_back(counted(transcripts_, "transcript"));
    if (!artifacts_.empty()) {
      std::size_t files = 0;
      for (const ArtifactResult& artifact : artifacts_) files += artifact.weight_files;
      parts.push_back(counted(artifacts_.size(), "artifact"));
      if (files != 0) parts.back() += fmt::format(" with {}", counted(files, "weight file"));
    }
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  void write_end() {
    if (json()) {
      Json root;
      root["golden"] = golden_dir_;
      root["kernels"] = kernels_;
      root["numeric"] = numeric_;
      root["transcripts"] = transcripts_;
      root["artifacts"] = artifacts_.size();
      root["differ"] = differing_.size();
      root["accepted"] = accepted_;
      root["findings"] = Json::array();
      for (const Finding& finding : findings_) {
        Json entry = to_json(context_, finding.what);
        entry["detail"] = finding.detail;
        entry["accept"] = finding.accept;
        root["findings"].push_back(std::move(entry));
      }
      context_.streams.out << json_text(root);
      return;
    }
    std::string end = "all match";
    if (!differing_.empty()) {
      end = fmt::format("{} {}", grouped(differing_.size()),
                        differing_.size() == 1 ? "differs" : "differ");
    }
    if (!accepted_.empty()) {
      end = fmt::format("{} accepted{}", counted(accepted_.size(), "file"),
                        differing_.empty() ? "" : ", " + end);
    }
    context_.streams.out << fmt::format("{}: {}\n", counts(), end);
  }

  Context& context_;
  const Args& args_;
  std::string golden_dir_;
  std::string filter_;
  bool accept_;
  Diagnostics diagnostics_;
  SeededDigests digests_;
  std::vector<Finding> findings_;
  std::set<std::string> differing_;
  std::vector<std::string> accepted_;
  std::vector<ArtifactResult> artifacts_;
  std::size_t kernels_ = 0;
  std::size_t numeric_ = 0;
  std::size_t transcripts_ = 0;
};

}  // namespace

int run_check(Context& context, const Args& args) { return Check(context, args).run(); }

}  // namespace milgen::cli
