#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>

#include "cli/array_report.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/run_input.h"
#include "cli/run_output.h"
#include "support/printable.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

/// One run of `run`.
class Run {
 public:
  Run(Context& context, const Args& args) : context_(context), args_(args) {}

  int run() {
    bool usage = true;
    if (!read_options()) return context_.usage_error(diagnostics_, "run");
    const Backend* backend = usable_backend(backend_, diagnostics_);
    if (backend == nullptr) return context_.fail(diagnostics_, kExitUnavailable);
    if (!read_run_target(context_, args_, target_, usage, diagnostics_)) {
      return usage ? context_.usage_error(diagnostics_, "run") : context_.fail(diagnostics_);
    }
    engine_ = backend->engine();
    if (!compile(*backend) ||
        !input_.make(context_, target_, executable_->inputs(), executable_->states(), values_,
                     diagnostics_) ||
        !bind_inputs(target_, values_.inputs, inputs_, diagnostics_) ||
        !output_.check(context_, *executable_, diagnostics_) || !run_all() ||
        !output_.write(context_, results_, diagnostics_)) {
      return context_.fail(diagnostics_);
    }
    if (report_.nonfinite.found) report_nonfinite();
    context_.report(diagnostics_);
    context_.streams.out << (json() ? json_report() : text_report());
    return kExitDone;
  }

 private:
  bool json() const { return args_.value("--format") == "json"; }

  bool read_options() {
    backend_ = args_.value("--backend", "cpu");
    constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
    return count_option(args_, "--seed", kAny, seed_, diagnostics_) &&
           count_option(args_, "--repeat", kAny, repeats_, diagnostics_) &&
           count_option(args_, "--values", kAny, shown_values_, diagnostics_) &&
           input_.read(args_, diagnostics_) && output_.read(args_, diagnostics_);
  }

  bool compile(const Backend& backend) {
    const std::uint64_t start = steady_ns();
    executable_ = compile_target(context_, backend, target_, target_.options, diagnostics_);
    compile_ns_ = steady_ns() - start;
    return executable_ != nullptr;
  }

  bool run_once(RunOptions options, std::vector<NamedArray>& states,
                std::vector<NamedArray>& outputs, std::uint64_t& nanoseconds) {
    states = values_.fresh_states();
    options.states = &states;
    options.seed = seed_;
    options.time_ops = args_.has("--profile");
    const std::uint64_t start = steady_ns();
    const bool done = executable_->run(inputs_, outputs, diagnostics_, options);
    nanoseconds = steady_ns() - start;
    return done;
  }

  bool run_all() {
    const BusyLine busy(context_, "running " + target_.name);
    std::vector<NamedArray> states;
    RunOptions options;
    options.report = &report_;
    options.report_nonfinite = args_.has("--report-nonfinite");
    if (!run_once(options, states, results_, first_ns_)) return false;
    for (NamedArray& state : states) results_.push_back(std::move(state));

    // Repetitions write over outputs of their own: what is reported is the first run.
    std::vector<NamedArray> outputs;
    std::uint64_t least_ns = std::numeric_limits<std::uint64_t>::max();
    for (std::uint64_t i = 0; i < repeats_; ++i) {
      RunReport again;
      std::uint64_t nanoseconds = 0;
      if (!run_once({.report = &again}, states, outputs, nanoseconds)) return false;
      times_ns_.push_back(nanoseconds);
      if (nanoseconds >= least_ns) continue;
      least_ns = nanoseconds;
      report_.ops = std::move(again.ops);
    }
    std::ranges::sort(times_ns_);
    return true;
  }

  void report_nonfinite() {
    const NonFinite& found = report_.nonfinite;
    const std::string value = std::isnan(found.value) ? "NaN" : fmt::format("{}", found.value);
    diagnostics_.warning(
        rule<"run.nonfinite">.id(),
        fmt::format("{} makes {} of finite values: {} of '{}' {} not finite, the first at index {}",
                    found.op, value, counted(found.count, "element"), printable(found.result),
                    found.count == 1 ? "is" : "are", found.index),
        found.place);
  }

  /// Ops by time, and how much of the whole they took.
  std::vector<OpTime> slowest(std::uint64_t& total_ns) const {
    std::vector<OpTime> ops = report_.ops;
    std::ranges::stable_sort(ops, std::ranges::greater(), &OpTime::nanoseconds);
    total_ns = 0;
    for (const OpTime& op : ops) total_ns += op.nanoseconds;
    return ops;
  }

  std::uint64_t median_ns() const {
    const std::size_t middle = times_ns_.size() / 2;
    return times_ns_.size() % 2 != 0 ? times_ns_[middle]
                                     : (times_ns_[middle - 1] + times_ns_[middle]) / 2;
  }

  std::string time_text() const {
    Table table;
    table.right_align({1});
    const auto row = [&](std::string what, std::uint64_t nanoseconds) {
      table.row({std::move(what), milliseconds_text(nanoseconds)});
    };
    row("compile", compile_ns_);
    row("first run", first_ns_);
    if (!times_ns_.empty()) {
      row(fmt::format("least of {}", counted(times_ns_.size(), "run")), times_ns_.front());
      row("median", median_ns());
    }
    table.row({"values and scratch at most", size_text(report_.peak_bytes)});
    table.row({"weights and constants", size_text(report_.constant_bytes)});
    return table.text();
  }

  std::string profile_text() const {
    std::uint64_t total_ns = 0;
    Table table;
    table.right_align({0, 1, 2, 3});
    table.row({"ms", "%", "calls", "line", "op", "result"});
    for (const OpTime& op : slowest(total_ns)) {
      const double part =
          total_ns == 0 ? 0
                        : 100 * static_cast<double>(op.nanoseconds) / static_cast<double>(total_ns);
      table.row({fmt::format("{:.3f}", milliseconds(op.nanoseconds)), fmt::format("{:.1f}", part),
                 grouped(op.calls), std::to_string(op.line), op.op, printable(op.result)});
    }
    return table.text();
  }

  std::string text_report() const {
    const std::vector<NamedArray> flat = flat_arrays(results_);
    std::string out;
    if (engine_ != "cpu") out = engine_line(engine_);
    out += stats_table(flat).text();
    if (shown_values_ != 0) out += "\n" + first_values(flat, shown_values_);
    if (!output_.files().empty()) out += '\n';
    for (const std::string& file : output_.files()) out += fmt::format("wrote {}\n", file);
    if (args_.has("--time")) out += "\n" + time_text();
    if (args_.has("--profile")) out += "\n" + profile_text();
    return out;
  }

  Json time_json() const {
    Json out;
    out["compile_ms"] = milliseconds(compile_ns_);
    out["first_ms"] = milliseconds(first_ns_);
    out["runs"] = times_ns_.size();
    out["least_ms"] = times_ns_.empty() ? Json() : Json(milliseconds(times_ns_.front()));
    out["median_ms"] = times_ns_.empty() ? Json() : Json(milliseconds(median_ns()));
    out["peak_bytes"] = report_.peak_bytes;
    out["constant_bytes"] = report_.constant_bytes;
    return out;
  }

  Json profile_json() const {
    Json out = Json::array();
    std::uint64_t total_ns = 0;
    for (const OpTime& op : slowest(total_ns)) {
      Json entry;
      entry["op"] = op.op;
      entry["result"] = op.result;
      entry["line"] = op.line;
      entry["calls"] = op.calls;
      entry["nanoseconds"] = op.nanoseconds;
      out.push_back(std::move(entry));
    }
    return out;
  }

  std::string json_report() const {
    Json root;
    root["program"] = target_.name;
    root["backend"] = backend_;
    root["engine"] = engine_;
    // Of milgen's own executor alone.
    if (backend_ == "cpu") root["mode"] = args_.value("--mode", "exact");
    root["outputs"] = stats_json(flat_arrays(results_), shown_values_);
    root["files"] = output_.files();
    if (args_.has("--time")) root["time"] = time_json();
    if (args_.has("--profile")) root["ops"] = profile_json();
    root["diagnostics"] = to_json(context_, diagnostics_);
    return json_text(root);
  }

  Context& context_;
  const Args& args_;
  Diagnostics diagnostics_;
  std::string_view backend_;
  std::string_view engine_;
  std::uint64_t seed_ = 0;
  std::uint64_t repeats_ = 0;
  std::uint64_t shown_values_ = 0;
  RunTarget target_;
  RunInput input_;
  RunOutput output_;
  std::unique_ptr<Executable> executable_;
  RunValues values_;
  std::vector<NamedArray> inputs_;   // those of values_, and weights
  std::vector<NamedArray> results_;  // outputs, states behind them
  RunReport report_;
  std::uint64_t compile_ns_ = 0;
  std::uint64_t first_ns_ = 0;
  std::vector<std::uint64_t> times_ns_;  // of the repetitions, sorted once they are complete
};

}  // namespace

int run_run(Context& context, const Args& args) { return Run(context, args).run(); }

}  // namespace milgen::cli
