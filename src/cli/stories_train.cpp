#include "milgen/stories_train.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <new>

#include "cli/args.h"
#include "cli/context.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/run_input.h"
#include "cli/train_settings.h"
#include "milgen/ane/engine.h"
#include "milgen/train/checkpoint.h"
#include "milgen/train/llama2c.h"
#include "milgen/train/model_safetensors.h"
#include "milgen/train/tokenizer.h"
#include "support/files.h"
#include "support/rule.h"

namespace milgen {
namespace cli {
namespace {

using train::TrainEnd;

class TrainTool {
 public:
  /// `given` are the arguments as they were given, for a restart.
  TrainTool(Context& context, std::span<const std::string> given, const Args& args,
            const StoriesTrainSetting& setting)
      : context_(context), given_(given.begin(), given.end()), args_(args), setting_(setting) {}

  int run() {
    bool usage = true;
    if (!read_train_settings(context_, args_, setting_, settings_, usage, diagnostics_)) {
      context_.report(diagnostics_);
      if (!usage) return kExitFailed;
      context_.streams.err << "'stories_train --help' shows what there is\n";
      return kExitUsage;
    }
    const Backend* backend = usable_backend(settings_.backend, diagnostics_);
    if (backend == nullptr) return context_.fail(diagnostics_, kExitUnavailable);
    settings_.pipeline.backend = backend;
    if (settings_.backend == "ane") {
      settings_.train.compiles_left = [] {
        const auto engine = ane::Engine::open();
        if (!engine) return std::int64_t{0};
        const ane::CompileLedger ledger = engine->ledger();
        return std::int64_t{ledger.limit} - ledger.compiles;
      };
    }
    if (!open_data() || !open_model()) return context_.fail(diagnostics_);
    say_what(*backend);
    // What is to be known of a run is said before it, not hours later.
    context_.report(diagnostics_);
    diagnostics_.clear();
    return train_and_show();
  }

 private:
  std::ostream& out() { return context_.streams.out; }

  bool open_data() {
    if (!tokens_.open(settings_.tokens, settings_.config.vocab, settings_.width, diagnostics_) ||
        !tokens_.check(diagnostics_)) {
      return false;
    }
    has_tokenizer_ = !settings_.tokenizer.empty();
    if (has_tokenizer_ &&
        !tokenizer_.read(settings_.tokenizer, settings_.config.vocab, diagnostics_)) {
      return false;
    }
    return !settings_.compact_vocab ||
           train::tokens_of_file(tokens_, settings_.pipeline.vocab, diagnostics_);
  }

  bool open_model() {
    // First of all: what does not fit the kernels shows before gigabytes are made.
    if (!pipeline_.open(settings_.config, settings_.pipeline, diagnostics_)) return false;
    if (!settings_.train.checkpoint.empty() && !settings_.config.shared_classifier) {
      diagnostics_.error(rule<"checkpoint.classifier">.id(),
                         "the model has a classifier of its own, which checkpoints have no place "
                         "for; --checkpoint none with --export FILE keeps it",
                         Place(settings_.model));
      return false;
    }
    state_ = train::TrainState(settings_.config);
    if (!settings_.resume.empty()) {
      return train::read_checkpoint(settings_.resume, settings_.config, state_.progress,
                                    state_.weights, state_.adam, diagnostics_) &&
             check_total_steps();
    }
    if (settings_.model.empty()) {
      train::initialize(state_.weights, settings_.config, settings_.init_seed);
      return true;
    }
    train::ModelConfig of_file;
    return train::read_llama2c(settings_.model, of_file, state_.weights, diagnostics_);
  }

  /// The learning rate follows from the number of steps.
  bool check_total_steps() {
    const train::CheckpointProgress& progress = state_.progress;
    if (progress.step > settings_.train.steps) {
      diagnostics_.error(rule<"train.option">.id(),
                         fmt::format("the checkpoint is at step {}, and --steps is {}",
                                     progress.step, settings_.train.steps),
                         Place(settings_.resume));
      return false;
    }
    if (progress.total_steps != settings_.train.steps && progress.step < settings_.train.steps) {
      diagnostics_.warning(
          rule<"train.option">.id(),
          fmt::format("the checkpoint is of a run of {} steps and this one has {}: its learning "
                      "rates are not those of the run that was broken off",
                      progress.total_steps, settings_.train.steps));
    }
    return true;
  }

  void say_what(const Backend& backend) {
    const train::ModelConfig& c = settings_.config;
    const train::PipelineOptions& p = settings_.pipeline;
    out() << fmt::format(
        "model    {}, dim {}, hidden {}, {} heads, {} kv_heads, seq {}, vocab {}: {} "
        "parameters\n",
        counted(static_cast<std::uint64_t>(c.layers), "layer"), c.dim, c.hidden, c.heads,
        c.kv_heads, c.seq, c.vocab, grouped(train::model_parameters(c)));
    out() << fmt::format("kernels  set {}, weights as {}, backend {}", kernel_set_name(p.kernels),
                         weights_as_name(p.weights_as), backend.engine());
    if (settings_.backend == "cpu") {
      out() << fmt::format(", mode {}", p.mode == NumericMode::exact ? "exact" : "fast");
    }
    out() << fmt::format(
        "\ndata     {}, {} tokens{}\n", context_.shown(settings_.tokens),
        grouped(static_cast<std::uint64_t>(tokens_.size())),
        p.vocab.full.empty() ? "" : fmt::format(", {} of them different", p.vocab.full.size()));
    if (!settings_.resume.empty()) {
      out() << fmt::format("resume   {}, step {}\n", context_.shown(settings_.resume),
                           state_.progress.step);
    }
    if (p.kernels == train::KernelSet::stories && !settings_.model.empty()) {
      out() << "note     the kernels of set stories have no rotary embedding: this is not the "
               "model that the\n         file's author trained; --kernels=dynamic is\n";
    }
    out() << std::flush;
  }

  int train_and_show() {
    if (!make_folders(settings_.out, diagnostics_) || !can_be_written(settings_.train.checkpoint) ||
        !can_be_written(settings_.export_file)) {
      return context_.fail(diagnostics_);
    }
    TrainEnd end = TrainEnd::failed;
    {
      StatusLine line(context_);
      end = train::train(
          state_, pipeline_, tokens_, settings_.train,
          [&](const train::TrainStep& step) { show(step, line); }, diagnostics_);
    }
    if (end == TrainEnd::failed) return context_.fail(diagnostics_);
    if (end == TrainEnd::restart) return restart();
    // The text in the end takes the last weights, which may be one compile too many.
    const bool is_sampled = wants_sample() && train::budget_allows(pipeline_, settings_.train);
    if (wants_sample() && !is_sampled && can_restart()) return restart();
    if (!plot() || !export_model()) return context_.fail(diagnostics_);
    if (is_sampled) {
      if (!sample()) return context_.fail(diagnostics_);
    } else if (wants_sample()) {
      out() << "sample   none: the compiles of this process are used up\n";
    } else if (settings_.sample.tokens > 0) {
      out() << "sample   none: --tokenizer FILE says what tokens mean\n";
    }
    context_.report(diagnostics_);
    return kExitDone;
  }

  /// What is written after hours is tried before them.
  bool can_be_written(const std::string& path) {
    AtomicFile trial;
    return path.empty() || trial.open(path, diagnostics_);
  }

  static std::string clock_text(double seconds) {
    const auto whole = static_cast<std::int64_t>(seconds + 0.5);
    return whole >= 3600 ? fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
                         : fmt::format("{}:{:02}", whole / 60, whole % 60);
  }

  void show(const train::TrainStep& step, StatusLine& line) {
    const std::string text = fmt::format(
        "step {:>5} of {}  loss {:.4f}  lr {:.2e}  {} tokens/s  {} left", step.step, step.steps,
        step.loss, static_cast<double>(step.lr),
        grouped(static_cast<std::uint64_t>(step.tokens_per_second)), clock_text(step.seconds_left));
    const std::int64_t each = std::max<std::int64_t>(1, step.steps / 20);
    const bool is_first = !shown_any_;
    if (is_first || step.step % each == 0 || step.step == step.steps) {
      out() << text << '\n' << std::flush;
      shown_any_ = true;
    } else if (line.is_terminal()) {
      line.show(text);
    }
  }

  bool wants_sample() const { return settings_.sample.tokens > 0 && has_tokenizer_; }

  bool can_restart() const {
    return settings_.restart && setting_.restart && !settings_.train.checkpoint.empty();
  }

  int restart() {
    const std::string& checkpoint = settings_.train.checkpoint;
    if (!can_restart()) {
      const std::string way_on =
          checkpoint.empty() ? "without a checkpoint its steps are lost"
                             : fmt::format("--resume {} goes on, --restart does that by itself",
                                           context_.shown(checkpoint));
      diagnostics_.error(
          rule<"train.budget">.id(),
          fmt::format("the engine stands no more compiles of this process after step {}; {}, and "
                      "--weights-as=param compiles each kernel once",
                      state_.progress.step, way_on));
      return context_.fail(diagnostics_);
    }
    context_.report(diagnostics_);
    std::vector<std::string> args;
    for (std::size_t i = 0; i < given_.size(); ++i) {
      if (given_[i] == "--resume") {
        ++i;  // and its value
      } else if (!given_[i].starts_with("--resume=")) {
        args.push_back(given_[i]);
      }
    }
    args.push_back("--resume");
    args.push_back(checkpoint);
    out() << fmt::format("restart  the compiles of this process are used up after step {}\n",
                         state_.progress.step)
          << std::flush;
    return setting_.restart(args);
  }

  bool plot() {
    std::vector<train::LogRow> rows;
    if (!train::read_log(settings_.train.log, rows, diagnostics_)) return false;
    const std::string path = settings_.out + "/loss.svg";
    AtomicFile file;
    if (!file.open(path, diagnostics_) || !file.write(train::loss_plot(rows), diagnostics_) ||
        !file.commit(diagnostics_)) {
      return false;
    }
    if (!rows.empty()) {
      out() << fmt::format("loss     {:.4f} at step {}, {:.4f} at step {}\n", rows.front().loss,
                           rows.front().step, rows.back().loss, rows.back().step);
    }
    const std::string& checkpoint = settings_.train.checkpoint;
    out() << fmt::format("written  {}{}, {}\n",
                         checkpoint.empty() ? "" : context_.shown(checkpoint) + ", ",
                         context_.shown(settings_.train.log), context_.shown(path));
    return true;
  }

  bool export_model() {
    const std::string& path = settings_.export_file;
    if (path.empty()) return true;
    const bool done =
        path.ends_with(".safetensors")
            ? train::write_model_safetensors(path, settings_.config, state_.weights, {},
                                             diagnostics_)
            : train::write_llama2c(path, settings_.config, state_.weights, diagnostics_);
    if (done) out() << fmt::format("exported {}\n", context_.shown(path));
    return done;
  }

  bool sample() {
    if (!pipeline_.refresh(state_.weights, diagnostics_)) return false;
    std::vector<std::int32_t> text = tokenizer_.encode(settings_.prompt);
    std::vector<std::int32_t> made;
    if (!train::sample(pipeline_, text, settings_.sample, made, diagnostics_)) return false;
    text.insert(text.end(), made.begin(), made.end());
    out() << "sample   " << tokenizer_.decode(text) << '\n';
    return true;
  }

  Context& context_;
  std::vector<std::string> given_;
  const Args& args_;
  const StoriesTrainSetting& setting_;
  TrainSettings settings_;
  Diagnostics diagnostics_;
  train::TokenFile tokens_;
  train::Tokenizer tokenizer_;
  bool has_tokenizer_ = false;
  bool shown_any_ = false;
  train::TrainState state_;
  train::Pipeline pipeline_;
};

int run_stories_train(std::span<const std::string> given, Context& context,
                      const StoriesTrainSetting& setting) {
  const CommandSpec& spec = stories_train_spec();
  Args args;
  Diagnostics diagnostics;
  if (!args.parse(spec, given, diagnostics)) {
    context.report(diagnostics);
    context.streams.err << "'stories_train --help' shows what there is\n";
    return kExitUsage;
  }
  if (args.has("--help")) {
    context.streams.out << help_page(spec, spec.name);
    return kExitDone;
  }
  TrainTool tool(context, given, args, setting);
  try {
    return tool.run();
  } catch (const std::bad_alloc&) {
    diagnostics.error(rule<"memory.limit">.id(),
                      "there is not enough memory for the weights, their gradients and moments");
    return context.fail(diagnostics);
  }
}

}  // namespace
}  // namespace cli

int stories_train_main(std::span<const std::string> args, Streams& streams,
                       const StoriesTrainSetting& setting) {
  const Registry none;
  cli::Context context(streams, none);
  try {
    const int code = cli::run_stories_train(args, context, setting);
    streams.out.flush();
    if (streams.out.good() || code != kExitDone) return code;
    Diagnostics diagnostics;
    diagnostics.error(rule<"output.write">.id(), "the standard output cannot be written");
    return context.fail(diagnostics);
  } catch (const std::exception& error) {
    streams.err << streams.program << ": " << error.what() << "\nthis is a bug in milgen\n";
    return kExitBug;
  }
}

int stories_train_main(int argc, char** argv) {
  try {
    Streams streams{.in = std::cin, .out = std::cout, .err = std::cerr};
    StoriesTrainSetting setting;
    streams.program = "stories_train";
    const std::string self = argc > 0 && argv[0] != nullptr ? argv[0] : "";
    // build/PRESET/stories_train stands in the source tree.
    const std::filesystem::path tiny =
        std::filesystem::path(self).parent_path() / ".." / ".." / "tools" / "tiny";
    std::error_code code;
    if (std::filesystem::is_directory(tiny, code)) {
      setting.tiny_folder = tiny.lexically_normal().string();
    }
    setting.restart = [&self](const std::vector<std::string>& args) {
      std::vector<char*> words;
      std::string program = self;
      std::vector<std::string> owned = args;
      words.push_back(program.data());
      for (std::string& word : owned) words.push_back(word.data());
      words.push_back(nullptr);
      ::execvp(program.c_str(), words.data());
      std::cerr << "stories_train: '" << program << "' cannot be started again\n";
      return static_cast<int>(kExitFailed);
    };
    streams.err_is_terminal = isatty(STDERR_FILENO) == 1;
    const std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
    return stories_train_main(args, streams, setting);
  } catch (...) {
    return kExitBug;
  }
}

}  // namespace milgen
