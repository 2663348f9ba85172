#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <ostream>
#include <vector>

#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/run_input.h"
#include "support/rule.h"

namespace milgen::cli {
namespace {

/// Times of one kind, sorted.
class Times {
 public:
  void reserve(std::size_t count) { ns_.reserve(count); }
  void add(std::uint64_t ns) { ns_.push_back(ns); }
  void sort() { std::ranges::sort(ns_); }
  bool empty() const { return ns_.empty(); }
  std::size_t count() const { return ns_.size(); }
  std::uint64_t least() const { return ns_.front(); }
  std::uint64_t most() const { return ns_.back(); }
  /// The smallest time that `part` of all are not above.
  std::uint64_t quantile(double part) const {
    const double rank = std::ceil(part * static_cast<double>(ns_.size()));
    const auto index = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
    return ns_[std::min(index, ns_.size() - 1)];
  }
  std::uint64_t mean() const {
    return std::accumulate(ns_.begin(), ns_.end(), std::uint64_t{0}) / ns_.size();
  }

 private:
  std::vector<std::uint64_t> ns_;
};

struct Phase {
  std::string_view name;
  Times times = {};
};

/// One run of `bench`.
class Bench {
 public:
  Bench(Context& context, const Args& args) : context_(context), args_(args) {}

  int run() {
    bool usage = true;
    if (!read_options()) return usage_error();
    engine_ = open_engine(diagnostics_);
    if (!engine_) return context_.fail(diagnostics_, kExitUnavailable);
    if (!read_run_target(context_, args_, target_, usage, diagnostics_)) {
      return usage ? usage_error() : context_.fail(diagnostics_);
    }
    if (!compile_all() || !make_inputs() || !evaluate_all()) return context_.fail(diagnostics_);
    for (Phase* phase : phases()) phase->times.sort();
    context_.report(diagnostics_);
    context_.streams.out << (args_.value("--format") == "json" ? json_report() : text_report());
    return kExitDone;
  }

 private:
  int usage_error() { return context_.usage_error(diagnostics_, "bench"); }

  bool read_options() {
    constexpr std::uint64_t kMost = 100'000'000;
    constexpr std::uint64_t kMostCompiles = 1000;
    if (!count_option(args_, "--repeat", kMost, repeats_, diagnostics_) ||
        !count_option(args_, "--warmup", kMost, warmups_, diagnostics_) ||
        !count_option(args_, "--compiles", kMostCompiles, compiles_, diagnostics_) ||
        !read_engine_options(context_, args_, options_, diagnostics_) ||
        !input_.read(args_, diagnostics_)) {
      return false;
    }
    input_.seed_rest();
    if (repeats_ != 0 && compiles_ != 0) return true;
    diagnostics_.error(rule<"usage.value">.id(),
                       fmt::format("{} takes a number from 1, not '0'",
                                   repeats_ == 0 ? "--repeat" : "--compiles"));
    return false;
  }

  /// Every compilation counts against the budget of the process; the last model is kept.
  bool compile_all() {
    for (std::uint64_t i = 0; i < compiles_; ++i) {
      if (model_ && failed(model_.close())) return false;
      model_ = bring_up(context_, engine_, target_, options_, diagnostics_);
      if (!model_) return false;
      const ane::CompileStats& stats = model_.stats();
      if (!stats.cached) compile_.times.add(stats.compile_ns);
      load_.times.add(stats.load_ns);
    }
    return true;
  }

  bool make_inputs() {
    specs_.clear();
    for (const ane::TensorLayout& layout : model_.inputs()) {
      specs_.push_back({layout.name, layout.dtype, layout.shape});
    }
    for (const ane::TensorLayout& layout : model_.outputs()) {
      outputs_.emplace_back(layout.dtype, layout.shape);
    }
    return input_.make(context_, target_, specs_, {}, values_, diagnostics_) &&
           bind_inputs(target_, values_.inputs, inputs_, diagnostics_);
  }

  bool failed(const ane::Error& error) {
    if (error) ane::report(error, diagnostics_, Place(target_.name));
    return static_cast<bool>(error);
  }

  template <class Call>
  bool timed(Times* times, const Call& call) {
    const std::uint64_t start = steady_ns();
    const ane::Error error = call();
    const std::uint64_t end = steady_ns();
    if (failed(error)) return false;
    if (times != nullptr) times->add(end - start);
    return true;
  }

  bool evaluate_once(bool counts) {
    const auto into = [&](Phase& phase) { return counts ? &phase.times : nullptr; };
    const auto write = [&] {
      for (const NamedArray& input : inputs_) {
        if (ane::Error error = model_.write(input.name, input.array)) return error;
      }
      return ane::Error();
    };
    const auto read = [&] {
      for (std::size_t i = 0; i < outputs_.size(); ++i) {
        if (ane::Error error = model_.read(i, outputs_[i])) return error;
      }
      return ane::Error();
    };
    if (!timed(into(write_), write) || !timed(into(evaluate_), [&] { return model_.evaluate(); }) ||
        !timed(into(read_), read)) {
      return false;
    }
    const std::uint64_t hardware_ns = model_.hardware_ns();
    if (counts && hardware_ns != 0) hardware_.times.add(hardware_ns);
    return true;
  }

  bool evaluate_all() {
    const BusyLine busy(context_, "evaluating " + target_.name);
    for (Phase* phase : {&write_, &evaluate_, &read_, &hardware_}) phase->times.reserve(repeats_);
    for (std::uint64_t i = 0; i < warmups_; ++i) {
      if (!evaluate_once(false)) return false;
    }
    for (std::uint64_t i = 0; i < repeats_; ++i) {
      if (!evaluate_once(true)) return false;
    }
    return true;
  }

  std::array<Phase*, 6> phases() {
    return {&compile_, &load_, &write_, &evaluate_, &read_, &hardware_};
  }

  std::string text_report() {
    std::string out = engine_line(engine_.label());
    out += fmt::format("program: {}\nroute: {}, {} after {} to warm up\n\n", target_.name,
                       route_name(options_.route), counted(repeats_, "evaluation"), warmups_);
    Table table;
    table.right_align({1, 2, 3, 4, 5, 6});
    table.row({"ms", "times", "least", "p50", "p99", "most", "mean"});
    for (const Phase* phase : phases()) {
      if (phase->times.empty()) continue;
      const auto cell = [](std::uint64_t ns) { return fmt::format("{:.4f}", milliseconds(ns)); };
      const Times& times = phase->times;
      table.row({std::string(phase->name), grouped(times.count()), cell(times.least()),
                 cell(times.quantile(0.5)), cell(times.quantile(0.99)), cell(times.most()),
                 cell(times.mean())});
    }
    return out + table.text();
  }

  std::string json_report() {
    Json root;
    root["engine"] = engine_.label();
    root["program"] = target_.name;
    root["route"] = route_name(options_.route);
    root["warmup"] = warmups_;
    root["layout"] = layout_json(model_);
    Json all;
    for (const Phase* phase : phases()) {
      if (phase->times.empty()) continue;
      const Times& times = phase->times;
      Json entry;
      entry["times"] = times.count();
      entry["least_ms"] = milliseconds(times.least());
      entry["p50_ms"] = milliseconds(times.quantile(0.5));
      entry["p99_ms"] = milliseconds(times.quantile(0.99));
      entry["most_ms"] = milliseconds(times.most());
      entry["mean_ms"] = milliseconds(times.mean());
      all[std::string(phase->name)] = std::move(entry);
    }
    root["phases"] = std::move(all);
    root["diagnostics"] = to_json(context_, diagnostics_);
    return json_text(root);
  }

  Context& context_;
  const Args& args_;
  Diagnostics diagnostics_;
  std::uint64_t repeats_ = 200;
  std::uint64_t warmups_ = 10;
  std::uint64_t compiles_ = 1;
  ane::ModelOptions options_;
  ane::Engine engine_;
  RunTarget target_;
  RunInput input_;
  RunValues values_;
  std::vector<NamedArray> inputs_;  // those of values_, and weights
  std::vector<TensorSpec> specs_;
  std::vector<Array> outputs_;
  ane::Model model_;
  Phase compile_{"compile"};
  Phase load_{"load"};
  Phase write_{"write"};
  Phase evaluate_{"evaluate"};
  Phase read_{"read"};
  Phase hardware_{"hardware"};
};

}  // namespace

int run_bench(Context& context, const Args& args) { return Bench(context, args).run(); }

}  // namespace milgen::cli
