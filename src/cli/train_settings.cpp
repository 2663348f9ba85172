#include "cli/train_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "cli/parse_text.h"
#include "milgen/train/llama2c.h"
#include "support/rule.h"
#include "support/text.h"

namespace milgen::cli {

using train::ModelConfig;

namespace {

constexpr Example kExamples[] = {
    {"", "a small model on the text that comes along, in about a minute"},
    {"--weights-as=const --kernels=stories", "the six fused kernels, weights baked in"},
    {"--resume out/checkpoint.bin --steps 2000", "go on where a run ended"},
    {"layers=2 dim=64 heads=2 hidden=160 seq=32 --steps 50", "a model of other sizes"},
    {"--model stories110M.bin --tokens data00.bin --tokenizer tokenizer.bin --out run1",
     "go on from a llama2.c model, on data of its own"},
    {"--backend=ane", "on the Neural Engine"},
};
constexpr std::string_view kUsages[] = {"[NAME=VALUE ...] [options]",
                                        "--model FILE.bin --tokens FILE [options]",
                                        "--resume CHECKPOINT [options]"};
constexpr OptionSpec kOptions[] = {
    {.name = "--model",
     .value = "FILE",
     .doc = "weights and sizes from a model file of llama2.c; without it weights by --init"},
    {.name = "--config",
     .value = "NAME",
     .doc = "sizes to start from: tiny (default), small, stories110m or qwen3_06b; NAME=VALUE "
            "then changes one; the vocabulary is that of the text that comes along where no other "
            "tokens "
            "are given",
     .choices = "tiny small stories110m qwen3_06b"},
    {.name = "--init", .value = "SEED", .doc = "seed of the weights at the start (default 0)"},
    {.name = "--tokens",
     .value = "FILE",
     .doc = "little-endian token ids to train on; without it the text that comes with milgen"},
    {.name = "--token-bytes",
     .value = "N",
     .doc = "bytes of a token: 2 (default) or 4",
     .choices = "2 4"},
    {.name = "--tokenizer",
     .value = "FILE",
     .doc = "tokenizer.bin of llama2.c, for the text that is sampled"},
    {.name = "--out",
     .value = "DIR",
     .doc = "folder for checkpoint.bin, log.csv and loss.svg (default out)",
     .short_name = "-o"},
    {.name = "--resume", .value = "FILE", .doc = "go on from this checkpoint"},
    {.name = "--checkpoint",
     .value = "FILE",
     .doc = "where checkpoints go instead of DIR/checkpoint.bin; 'none' writes none"},
    {.name = "--checkpoint-every",
     .value = "N",
     .doc = "steps between checkpoints (default 100); 0: one at the end"},
    {.name = "--export",
     .value = "FILE",
     .doc = "in the end write the model, too: FILE.safetensors with Hugging Face's names, else "
            "a llama2.c file"},
    {.name = "--kernels",
     .value = "SET",
     .doc = "dynamic (default): rotary embedding, grouped-query attention; stories: the six fused "
            "kernels, which have neither",
     .choices = "dynamic stories"},
    {.name = "--weights-as",
     .value = "HOW",
     .doc = "param (default) or packed: each kernel is compiled once, its weights are inputs; "
            "const: baked in, compiled anew for each step",
     .choices = "const param packed"},
    {.name = "--classifier",
     .value = "WHERE",
     .doc = "what computes the classifier: host (default), in fp32, or kernels, in fp16",
     .choices = "host kernels"},
    {.name = "--compact-vocab",
     .value = "",
     .doc = "classify among the tokens that occur in the data alone"},
    {.name = "--backend",
     .value = "BACKEND",
     .doc = "what runs the kernels: cpu (default), or ane, the Neural Engine"},
    {.name = "--mode",
     .value = "MODE",
     .doc = "fast (default): a BLAS library; exact: the same bits on every machine, and of a "
            "resumed run as of one without a break",
     .choices = "fast exact"},
    {.name = "--threads",
     .value = "N",
     .doc = "threads that work at a time; 0 (default): as many as the machine has"},
    {.name = "--steps", .value = "N", .doc = "updates of the weights in all (default 1200)"},
    {.name = "--batch", .value = "N", .doc = "sequences for each update (default 4)"},
    {.name = "--lr", .value = "RATE", .doc = "the highest learning rate (default 0.002)"},
    {.name = "--min-lr", .value = "RATE", .doc = "the last one (default a tenth of --lr)"},
    {.name = "--warmup",
     .value = "N",
     .doc = "steps in which the learning rate grows (default a twentieth of --steps)"},
    {.name = "--weight-decay", .value = "X", .doc = "of Adam, for matrices (default 0)"},
    {.name = "--clip",
     .value = "NORM",
     .doc = "gradients longer than this are shortened to it (default 1); 0: none is"},
    {.name = "--seed", .value = "N", .doc = "of the order of the data (default 0)"},
    {.name = "--loss-scale",
     .value = "X",
     .doc = "factor of gradients while they are fp16 (default 256)"},
    {.name = "--sample", .value = "N", .doc = "tokens of text in the end (default 64)"},
    {.name = "--prompt", .value = "TEXT", .doc = "how that text begins (default empty)"},
    {.name = "--temperature", .value = "T", .doc = "of sampling (default 0.8); 0: no chance"},
    {.name = "--top-p",
     .value = "P",
     .doc = "draw among the likeliest tokens that together have this probability (default 0.9)"},
    {.name = "--sample-seed", .value = "N", .doc = "of sampling (default 0)"},
    {.name = "--restart",
     .value = "",
     .doc = "when the engine's compiles of this process are used up, write a checkpoint and start "
            "again from it"},
};
constexpr std::string_view kNotes =
    "NAME=VALUE sets a size of the model: layers, dim, hidden, heads, kv_heads, head_dim, seq, "
    "vocab, eps, theta, residual_scale (0 for 1/sqrt(2 * layers)). Of a model file only seq can be "
    "changed. A resumed run takes its sizes from the checkpoint where --config and --model say "
    "none, and its other options from the command line: give the same ones.\n\n"
    "A loss that is not finite ends the run and says which op made the first such value; the "
    "last checkpoint stays. Exit codes: 0 done, 1 the input was rejected or the work failed, 2 the "
    "command line was wrong, 4 the backend is not on this machine.";

constexpr std::array kSizes = {
    std::pair("layers", &ModelConfig::layers),     std::pair("dim", &ModelConfig::dim),
    std::pair("hidden", &ModelConfig::hidden),     std::pair("heads", &ModelConfig::heads),
    std::pair("kv_heads", &ModelConfig::kv_heads), std::pair("head_dim", &ModelConfig::head_dim),
    std::pair("seq", &ModelConfig::seq),           std::pair("vocab", &ModelConfig::vocab)};
constexpr std::array kReals = {std::pair("eps", &ModelConfig::eps),
                               std::pair("theta", &ModelConfig::theta),
                               std::pair("residual_scale", &ModelConfig::residual_scale)};

/// Of tools/tiny/tokenizer.bin.
constexpr std::int64_t kTinyVocab = 512;

/// What a run without any option trains.
ModelConfig tiny_model() {
  return {.layers = 4,
          .dim = 128,
          .hidden = 352,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 32,
          .seq = 64,
          .vocab = kTinyVocab};
}

class Reader {
 public:
  Reader(const Context& context, const Args& args, const StoriesTrainSetting& setting,
         TrainSettings& settings, Diagnostics& diagnostics)
      : context_(context),
        args_(args),
        setting_(setting),
        settings_(settings),
        diagnostics_(diagnostics) {}

  bool read(bool& usage) {
    usage = true;
    read_words();
    read_numbers();
    read_paths();
    if (diagnostics_.has_errors()) return false;
    usage = false;
    if (!read_first_sizes()) return false;
    usage = true;
    read_sizes();
    return !diagnostics_.has_errors();
  }

 private:
  template <class T>
  void number(std::string_view option, T& value) {
    if (!args_.has(option)) return;
    const std::string_view text = args_.value(option);
    if (!parse_number(text, value)) {
      refuse(rule<"usage.value">, fmt::format("{} takes a number, not '{}'", option, text));
    }
  }
  void refuse(Rule rule, std::string message) { diagnostics_.error(rule.id(), std::move(message)); }

  void read_words() {
    train::PipelineOptions& pipeline = settings_.pipeline;
    pipeline.weights_as = WeightsAs::param;
    pipeline.loss_scale = 256;
    train::kernel_set_from_name(args_.value("--kernels", "dynamic"), pipeline.kernels);
    weights_as_from_name(args_.value("--weights-as", "param"), pipeline.weights_as);
    if (args_.value("--classifier") == "kernels") {
      pipeline.classifier = train::ClassifierOn::kernels;
    }
    pipeline.mode = args_.value("--mode") == "exact" ? NumericMode::exact : NumericMode::fast;
    if (args_.value("--token-bytes") == "4") settings_.width = train::TokenWidth::uint32;
    settings_.backend = args_.value("--backend", "cpu");
    settings_.compact_vocab = args_.has("--compact-vocab");
    settings_.restart = args_.has("--restart");
    settings_.prompt = args_.value("--prompt");
  }

  void read_numbers() {
    train::PipelineOptions& pipeline = settings_.pipeline;
    train::TrainOptions& train = settings_.train;
    train::SampleOptions& sample = settings_.sample;
    train.steps = 1200;
    train.batch = 4;
    train.adam.lr = 2e-3f;
    train.checkpoint_every = 100;
    number("--init", settings_.init_seed);
    number("--threads", pipeline.threads);
    number("--loss-scale", pipeline.loss_scale);
    number("--steps", train.steps);
    number("--batch", train.batch);
    number("--lr", train.adam.lr);
    number("--weight-decay", train.adam.weight_decay);
    number("--clip", train.clip_norm);
    number("--seed", train.seed);
    number("--checkpoint-every", train.checkpoint_every);
    train.min_lr = train.adam.lr / 10;
    train.warmup = train.steps / 20;
    number("--min-lr", train.min_lr);
    number("--warmup", train.warmup);
    number("--sample", sample.tokens);
    number("--temperature", sample.temperature);
    number("--top-p", sample.top_p);
    number("--sample-seed", sample.seed);
    check_sampling(sample);
    constexpr int kMostThreads = 1024;
    if (pipeline.threads < 0 || pipeline.threads > kMostThreads) {
      refuse(rule<"usage.value">,
             fmt::format("--threads is 0 to {}, not {}", kMostThreads, pipeline.threads));
    }
    Diagnostics reports;
    if (!train::check_options(train, reports)) diagnostics_.append(reports);
  }

  /// Before the training, though the text is made after it.
  void check_sampling(const train::SampleOptions& sample) {
    if (sample.tokens < 0) {
      refuse(rule<"usage.value">, fmt::format("--sample is 0 or more, not {}", sample.tokens));
    }
    if (!std::isfinite(sample.temperature) || sample.temperature < 0) {
      refuse(rule<"usage.value">,
             fmt::format("--temperature is finite and not below 0, not {:g}", sample.temperature));
    }
    if (!(sample.top_p > 0 && sample.top_p <= 1)) {
      refuse(rule<"usage.value">,
             fmt::format("--top-p is above 0 and at most 1, not {:g}", sample.top_p));
    }
  }

  std::string path(std::string_view option) const {
    return args_.has(option) ? context_.resolve(args_.value(option)) : std::string();
  }

  void read_paths() {
    settings_.out = context_.resolve(args_.value("--out", "out"));
    settings_.model = path("--model");
    settings_.resume = path("--resume");
    settings_.export_file = path("--export");
    settings_.tokens = path("--tokens");
    settings_.tokenizer = path("--tokenizer");
    const std::string_view checkpoint = args_.value("--checkpoint");
    if (checkpoint.empty()) {
      settings_.train.checkpoint = settings_.out + "/checkpoint.bin";
    } else if (checkpoint != "none") {
      settings_.train.checkpoint = context_.resolve(checkpoint);
    }
    settings_.train.log = settings_.out + "/log.csv";
    if (!settings_.tokens.empty()) return;
    if (setting_.tiny_folder.empty()) {
      refuse(rule<"usage.argument">,
             "--tokens FILE is missing: the text that comes with milgen is not near this program");
      return;
    }
    settings_.tokens = setting_.tiny_folder + "/tokens.bin";
  }

  /// The sizes that NAME=VALUE changes: those of the model file, of --config, or of the checkpoint.
  bool read_first_sizes() {
    ModelConfig& config = settings_.config;
    if (!settings_.model.empty()) {
      return train::read_llama2c_config(settings_.model, config, diagnostics_);
    }
    if (!settings_.resume.empty() && !args_.has("--config")) {
      train::CheckpointInfo info;
      if (!train::read_checkpoint_info(settings_.resume, info, diagnostics_)) return false;
      config = info.config;
      return true;
    }
    const std::string_view name = args_.value("--config", "tiny");
    config = name == "small"         ? train::small_model()
             : name == "stories110m" ? train::stories110m()
             : name == "qwen3_06b"   ? train::qwen3_06b()
                                     : tiny_model();
    // The static six share no keys and values between heads.
    if (settings_.pipeline.kernels == train::KernelSet::stories) config.kv_heads = config.heads;
    return true;
  }

  void read_sizes() {
    ModelConfig& config = settings_.config;
    if (!settings_.model.empty() && args_.has("--config")) {
      refuse(rule<"usage.argument">, "--config does not go with --model, which says the sizes");
    }
    std::vector<std::string_view> named;
    for (const std::string& word : args_.positionals()) {
      const std::size_t equals = word.find('=');
      const std::string_view name = std::string_view(word).substr(0, equals);
      if (equals == std::string::npos) {
        refuse(rule<"usage.argument">, fmt::format("'{}' is no NAME=VALUE, and no option", word));
      } else if (!set_size(name, std::string_view(word).substr(equals + 1))) {
        return;
      } else if (!settings_.model.empty() && name != "seq") {
        refuse(rule<"usage.param">,
               fmt::format("{} is said by the model file; only seq can be another", name));
      }
      named.push_back(name);
    }
    const auto said = [&](std::string_view name) { return std::ranges::count(named, name) != 0; };
    if (!args_.has("--tokens")) fit_tiny_text(said("vocab"));
    if (said("heads") && !said("kv_heads")) config.kv_heads = config.heads;
    if ((said("dim") || said("heads")) && !said("head_dim") && config.heads > 0) {
      config.head_dim = config.dim / config.heads;
    }
  }

  /// The text that comes along has a vocabulary of its own, which new models get.
  void fit_tiny_text(bool vocab_is_said) {
    const bool is_new = settings_.model.empty() && settings_.resume.empty();
    if (is_new && !vocab_is_said) settings_.config.vocab = kTinyVocab;
    if (settings_.config.vocab == kTinyVocab && settings_.tokenizer.empty()) {
      settings_.tokenizer = setting_.tiny_folder + "/tokenizer.bin";
    }
  }

  bool set_size(std::string_view name, std::string_view value) {
    bool is_number = false;
    bool known = false;
    for (const auto& [size, member] : kSizes) {
      if (name != size) continue;
      known = true;
      is_number = parse_number(value, settings_.config.*member);
    }
    for (const auto& [real, member] : kReals) {
      if (name != real) continue;
      known = true;
      is_number = parse_number(value, settings_.config.*member);
    }
    if (!known) {
      std::vector<std::string_view> names;
      for (const auto& [size, member] : kSizes) names.push_back(size);
      for (const auto& [real, member] : kReals) names.push_back(real);
      refuse(rule<"usage.param">,
             fmt::format("a model has no size '{}'{}", name, did_you_mean(name, names)));
    } else if (!is_number) {
      refuse(rule<"usage.value">, fmt::format("{} takes a number, not '{}'", name, value));
    }
    return known && is_number;
  }

  const Context& context_;
  const Args& args_;
  const StoriesTrainSetting& setting_;
  TrainSettings& settings_;
  Diagnostics& diagnostics_;
};

}  // namespace

const CommandSpec& stories_train_spec() {
  static constexpr CommandSpec kSpec = {
      .name = "stories_train",
      .summary = "train a Llama-style model through the kernels",
      .examples = kExamples,
      .usages = kUsages,
      .options = kOptions,
      .notes = kNotes,
      .max_args = 64,
  };
  return kSpec;
}

bool read_train_settings(const Context& context, const Args& args,
                         const StoriesTrainSetting& setting, TrainSettings& settings, bool& usage,
                         Diagnostics& diagnostics) {
  return Reader(context, args, setting, settings, diagnostics).read(usage);
}

}  // namespace milgen::cli
