// Training runs and the tool stories_train.
#include "milgen/train/trainer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "ane/fake.h"
#include "milgen/stories_train.h"
#include "milgen/train/llama2c.h"
#include "support/file_faults.h"
#include "support/temporary_folder.h"
#include "train/train_data.h"

using namespace milgen;
using namespace milgen::train;
using milgen::test::bits_of;
using milgen::test::errors_of;
using milgen::test::FakeEnvironment;
using milgen::test::FakeScope;
using milgen::test::opened;
using milgen::test::tiny_config;

namespace fs = std::filesystem;

namespace {

const std::string kTiny = std::string(MILGEN_SOURCE_DIR) + "/tools/tiny";

ModelConfig text_config() {
  ModelConfig config = tiny_config(train::KernelSet::dynamic);
  config.vocab = 512;
  return config;
}

/// A small run on the tiny text.
struct Training {
  explicit Training(const PipelineOptions& options = {.weights_as = WeightsAs::param,
                                                      .loss_scale = 256})
      : state(text_config()) {
    initialize(state.weights, state.config, 1);
    REQUIRE(pipeline.open(state.config, options, diagnostics));
    REQUIRE(tokens.open(kTiny + "/tokens.bin", 512, TokenWidth::uint16, diagnostics));
    train.steps = 6;
    train.batch = 2;
    train.adam.lr = 0.01f;
    train.warmup = 2;
  }
  TrainEnd run(const std::function<void(const TrainStep&)>& on_step = {}) {
    return milgen::train::train(state, pipeline, tokens, train, on_step, diagnostics);
  }
  std::string errors() const { return errors_of(diagnostics); }

  Diagnostics diagnostics;
  TrainState state;
  Pipeline pipeline;
  TokenFile tokens;
  TrainOptions train;
};

std::vector<std::int64_t> logged_steps(const std::string& path) {
  std::vector<LogRow> rows;
  Diagnostics diagnostics;
  CHECK_MESSAGE(read_log(path, rows, diagnostics), render(diagnostics));
  std::vector<std::int64_t> steps;
  for (const LogRow& row : rows) steps.push_back(row.step);
  return steps;
}

struct ToolRun {
  int code = -1;
  std::string out;
  std::string err;
};

ToolRun run_tool(const TemporaryFolder& folder, const std::vector<std::string>& args,
                 StoriesTrainSetting setting = {.tiny_folder = kTiny}) {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  Streams streams{
      .in = in, .out = out, .err = err, .cwd = folder.path().string(), .program = "stories_train"};
  ToolRun run;
  run.code = stories_train_main(args, streams, setting);
  run.out = out.str();
  run.err = err.str();
  return run;
}

/// The process stands so many compiles more.
void engine_allows(FakeScope& fake, int compiles) {
  ane::Engine engine = fake.engine();
  engine.set_compile_limit(engine.ledger().compiles + compiles);
}

/// Sizes for which a step takes no time.
std::vector<std::string> small_run(std::vector<std::string> more) {
  std::vector<std::string> args = {
      "layers=1", "dim=32", "hidden=64", "heads=2", "kv_heads=1",   "seq=32",    "--steps", "4",
      "--batch",  "1",      "--sample",  "3",       "--mode=exact", "--threads", "1"};
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

}  // namespace

TEST_CASE("the loss falls") {
  Training training;
  training.train.steps = 25;
  std::vector<double> losses;
  REQUIRE(training.run([&](const TrainStep& step) {
    losses.push_back(step.loss);
    CHECK(step.step == static_cast<std::int64_t>(losses.size()));
    CHECK(step.gradient_norm > 0);
  }) == TrainEnd::done);
  CHECK(losses.front() == doctest::Approx(std::log(512)).epsilon(0.05));
  CHECK(losses.back() < losses.front() - 0.8);
  CHECK(training.state.progress.adam_t == 25);
}

TEST_CASE("a resumed run has the bits of the one without a break, and its log") {
  const TemporaryFolder folder;
  Training whole;
  whole.train.checkpoint = folder.file("checkpoint.bin");
  whole.train.checkpoint_every = 2;
  whole.train.log = folder.file("log.csv");
  REQUIRE(whole.run([&](const TrainStep& step) {
    if (step.step != 4) return;
    fs::copy_file(folder.file("checkpoint.bin"), folder.file("at4.bin"));
  }) == TrainEnd::done);
  CHECK(logged_steps(whole.train.log) == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6});

  // Another way of the weights and other threads change nothing.
  Training rest({.weights_as = WeightsAs::constant, .threads = 3, .loss_scale = 256});
  rest.train.log = whole.train.log;
  REQUIRE(read_checkpoint(folder.file("at4.bin"), rest.state.config, rest.state.progress,
                          rest.state.weights, rest.state.adam, rest.diagnostics));
  CHECK(rest.state.progress.step == 4);
  REQUIRE(rest.run() == TrainEnd::done);
  CHECK(bits_of(rest.state.weights, rest.state.config) ==
        bits_of(whole.state.weights, whole.state.config));
  CHECK(rest.state.adam.embed.v == whole.state.adam.embed.v);
  CHECK(rest.state.progress.loss == whole.state.progress.loss);
  CHECK(logged_steps(whole.train.log) == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6});
  CHECK(rest.run() == TrainEnd::done);  // nothing is left to do
}

TEST_CASE("a loss that is not finite stops the run, and the checkpoint stays") {
  const TemporaryFolder folder;
  Training training;
  training.train.checkpoint = folder.file("checkpoint.bin");
  training.train.checkpoint_every = 2;
  const auto poison = [&](const TrainStep& step) {
    if (step.step == 2) training.state.weights.layers[1].w3.assign(64 * 32, 60'000);
  };
  CHECK(training.run(poison) == TrainEnd::failed);
  const std::string errors = training.errors();
  CHECK(errors.starts_with("the loss of step 3 is "));
  CHECK(errors.find(": op 'matmul' of layer 1 ffn_fused makes ") != std::string::npos);
  CHECK(errors.ends_with("; the last checkpoint, of step 2, is '" + training.train.checkpoint +
                         "' [train.loss]\n"));
  Training good;
  REQUIRE(read_checkpoint(training.train.checkpoint, good.state.config, good.state.progress,
                          good.state.weights, good.state.adam, good.diagnostics));
  CHECK(good.state.progress.step == 2);
  CHECK(good.state.weights.layers[1].w3[5] < 1);
}

TEST_CASE("gradients that overflow stop the run before the weights change") {
  Training training({.weights_as = WeightsAs::param, .loss_scale = 1e12f});
  const std::vector<std::uint32_t> before = bits_of(training.state.weights, training.state.config);
  CHECK(training.run() == TrainEnd::failed);
  const std::string errors = training.errors();
  CHECK(errors.starts_with("the norm of the gradients of step 1 is "));
  CHECK(errors.find(": layer 1 dffn as fp16 is ") != std::string::npos);
  CHECK(
      errors.ends_with("the loss scale is 1e+12, a smaller one keeps them from overflowing; no "
                       "checkpoint is written in this run [train.gradient]\n"));
  CHECK(bits_of(training.state.weights, training.state.config) == before);
}

TEST_CASE("a full disk ends the run and leaves the checkpoint that was there") {
  const TemporaryFolder folder;
  Training training;
  training.train.checkpoint = folder.file("checkpoint.bin");
  training.train.checkpoint_every = 2;
  std::string first;
  std::unique_ptr<milgen::detail::DiskRoom> room;
  CHECK(training.run([&](const TrainStep& step) {
    if (step.step != 2) return;
    first = folder.read("checkpoint.bin");
    room = std::make_unique<milgen::detail::DiskRoom>(1000);
  }) == TrainEnd::failed);
  room.reset();
  CHECK(training.errors() ==
        "cannot be written past byte 1000: No space left on device "
        "[file.write]\n");
  CHECK(!first.empty());
  CHECK(folder.read("checkpoint.bin") == first);
  CHECK(folder.entries() == 1);
}

TEST_CASE("options and token files that do not do are refused") {
  Training training;
  training.train.steps = -1;
  training.train.batch = 0;
  training.train.min_lr = 1;
  training.train.clip_norm = NAN;
  CHECK(training.run() == TrainEnd::failed);
  CHECK(training.errors() ==
        "steps is -1 but has to be 0 to 2147483647 [train.option]\n"
        "batch is 0 but has to be 1 to 1048576 [train.option]\n"
        "min_lr is 1 but has to be 0 to 0.01 [train.option]\n"
        "clip_norm is nan but has to be finite and not below 0 [train.option]\n");

  Training counted;
  counted.state.progress.adam_t = INT32_MAX - 5;
  CHECK(counted.run() == TrainEnd::failed);
  CHECK(counted.errors() ==
        "adam_t is 2147483642, and a checkpoint does not count 6 more steps [train.option]\n");
  Training other;
  other.state = TrainState(small_model());
  CHECK(other.run() == TrainEnd::failed);
  CHECK(other.errors() == "the pipeline was opened for another model [train.option]\n");

  const TemporaryFolder folder;
  Training few;
  const std::vector<std::int32_t> tokens(32, 7);
  REQUIRE(write_tokens(folder.file("few"), tokens, 512, TokenWidth::uint16, few.diagnostics));
  REQUIRE(few.tokens.open(folder.file("few"), 512, TokenWidth::uint16, few.diagnostics));
  CHECK(few.run() == TrainEnd::failed);
  CHECK(few.errors() ==
        "the file has 32 tokens, and a sequence with its targets takes 33 [train.tokens]\n");
}

TEST_CASE("the learning rate grows, and falls along a cosine") {
  const TrainOptions options{.steps = 110, .adam = {.lr = 1}, .min_lr = 0.1f, .warmup = 10};
  CHECK(learning_rate(options, 0) == doctest::Approx(0.1));
  CHECK(learning_rate(options, 9) == doctest::Approx(1));
  CHECK(learning_rate(options, 10) == doctest::Approx(1));
  CHECK(learning_rate(options, 60) == doctest::Approx(0.55));
  CHECK(learning_rate(options, 110) == doctest::Approx(0.1));
}

TEST_CASE("sequences begin anywhere in the file, and their targets are in it") {
  std::int64_t least = 100;
  std::int64_t most = 0;
  for (std::int64_t i = 0; i < 500; ++i) {
    const std::int64_t start = sequence_start(7, i, 100, 32);
    CHECK(start == sequence_start(7, i, 100, 32));
    least = std::min(least, start);
    most = std::max(most, start);
  }
  CHECK(least == 0);
  CHECK(most == 67);  // 33 tokens from there
  CHECK(sequence_start(7, 0, 33, 32) == 0);
}

TEST_CASE("a log is read back, and what is none is refused") {
  const TemporaryFolder folder;
  const std::string header = "step,loss,lr,gradient_norm,tokens_per_second,step_ms\n";
  std::vector<LogRow> rows;
  Diagnostics diagnostics;
  REQUIRE(read_log(folder.write("cut", header + "1,6.5,0.1,2,3,4\n2,6.25,0.1,2,3,4\n3,6."), rows,
                   diagnostics));
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].loss == 6.25);
  const auto refused = [&](const std::string& text) {
    diagnostics.clear();
    CHECK_FALSE(read_log(folder.write("bad", text), rows, diagnostics));
    CHECK(diagnostics.all()[0].place.line > 0);
    return errors_of(diagnostics);
  };
  CHECK(refused("steps\n") == "the first line is not that of a training log [train.log]\n");
  CHECK(refused(header + "1,2,3\n") == "'1,2,3' is not a row of a training log [train.log]\n");
  CHECK(refused(header + "2,1,1,1,1,1\n2,1,1,1,1,1\n") ==
        "step 2 stands behind step 2 [train.log]\n");
  CHECK(refused(header + "0,1,1,1,1,1\n") ==
        "step 0 is none: they are 1 to 2147483647 [train.log]\n");
  CHECK(refused(header + "9000000000000000000,1,1,1,1,1\n") ==
        "step 9000000000000000000 is none: they are 1 to 2147483647 [train.log]\n");
  CHECK(rows.size() == 2);
}

TEST_CASE("the plot is a picture whatever the losses are") {
  std::vector<LogRow> rows;
  for (std::int64_t i = 1; i <= 5000; ++i) {
    rows.push_back({.step = i, .loss = 1 + 5 / static_cast<double>(i)});
  }
  const std::string plot = loss_plot(rows);
  CHECK(plot.starts_with("<svg "));
  CHECK(plot.ends_with("</svg>\n"));
  CHECK(plot.find("loss: 6 at step 1, 1.001 at step 5000") != std::string::npos);
  CHECK(plot.size() < 60'000);
  for (std::vector<LogRow> few :
       {std::vector<LogRow>{},
        {{.step = 3, .loss = 2}},
        {{.step = 3, .loss = NAN}},
        {{.step = 1, .loss = 6.4}, {.step = 2, .loss = 0.01}},
        // Ticks that are closer than numbers of that size.
        {{.step = INT64_MAX, .loss = 1e10}},
        {{.step = INT64_MIN, .loss = -1e308}, {.step = INT64_MAX, .loss = 1e308}},
        {{.step = INT64_MIN, .loss = -1e30}, {.step = INT64_MAX, .loss = 1e30}}}) {
    const std::string text = loss_plot(few);
    CHECK(text.starts_with("<svg "));
    CHECK(text.find("nan") == std::string::npos);
    CHECK(text.find("inf") == std::string::npos);
    CHECK(text.find(">-0<") == std::string::npos);
  }
}

TEST_CASE("sampling is the same for the same seed") {
  Training training;
  REQUIRE(training.pipeline.refresh(training.state.weights, training.diagnostics));
  const std::vector<std::int32_t> prompt = {1, 40, 50};
  const auto sampled = [&](const SampleOptions& options) {
    std::vector<std::int32_t> tokens;
    CHECK(sample(training.pipeline, prompt, options, tokens, training.diagnostics));
    return tokens;
  };
  // Longer than the sequence: the last tokens count.
  const std::vector<std::int32_t> first = sampled({.tokens = 40, .seed = 5});
  CHECK(first == sampled({.tokens = 40, .seed = 5}));
  CHECK(first != sampled({.tokens = 40, .seed = 6}));
  CHECK(sampled({.tokens = 5, .temperature = 0, .seed = 1}) ==
        sampled({.tokens = 5, .temperature = 0, .seed = 2}));
  // So little of the probability that one token has it.
  CHECK(sampled({.tokens = 5, .top_p = 1e-6f, .seed = 1}) ==
        sampled({.tokens = 5, .temperature = 0}));
  training.state.weights.rms_final[0] = NAN;
  std::vector<std::int32_t> none;
  CHECK_FALSE(sample(training.pipeline, prompt, {}, none, training.diagnostics));
  CHECK(training.errors() ==
        "logit 0 behind 3 tokens is nan, which no token is drawn by [train.loss]\n");
  training.diagnostics.clear();
  CHECK_FALSE(
      sample(training.pipeline, {}, {.temperature = -1, .top_p = 0}, none, training.diagnostics));
  CHECK(training.errors() ==
        "a text that is sampled begins with at least one token [train.option]\n"
        "temperature is -1 but has to be finite and not below 0 [train.option]\n"
        "top_p is 0 but has to be above 0 and at most 1 [train.option]\n");
}

TEST_CASE("a used-up compile budget ends in a checkpoint, another process goes on") {
  const TemporaryFolder folder;
  Training whole;
  REQUIRE(whole.run() == TrainEnd::done);

  Training first({.weights_as = WeightsAs::constant, .loss_scale = 256});
  const std::int64_t each = first.pipeline.compiles_per_refresh();
  CHECK(each == 16);  // 8 kernels with weights for each of 2 layers
  first.train.checkpoint = folder.file("checkpoint.bin");
  std::int64_t left = 3 * each + 1;
  first.train.compiles_left = [&] { return left; };
  CHECK(first.run([&](const TrainStep&) { left -= each; }) == TrainEnd::restart);
  CHECK(first.state.progress.step == 3);

  Training second({.weights_as = WeightsAs::constant, .loss_scale = 256});
  REQUIRE(read_checkpoint(first.train.checkpoint, second.state.config, second.state.progress,
                          second.state.weights, second.state.adam, second.diagnostics));
  REQUIRE(second.run() == TrainEnd::done);
  CHECK(bits_of(second.state.weights, second.state.config) ==
        bits_of(whole.state.weights, whole.state.config));

  Training never({.weights_as = WeightsAs::constant});
  never.train.compiles_left = [] { return std::int64_t{15}; };
  CHECK(never.run() == TrainEnd::failed);
  CHECK(never.errors() ==
        "a refresh of the weights takes 16 compiles, and the process has 15 left; weights as param "
        "or packed take none [train.budget]\n");
}

TEST_CASE("the tokens of a file are found") {
  Training training;
  CompactVocab vocab;
  REQUIRE(tokens_of_file(training.tokens, vocab, training.diagnostics));
  CHECK(vocab.full.size() > 100);
  CHECK(vocab.full.size() < 512);
  CHECK(std::ranges::is_sorted(vocab.full));
}

TEST_CASE("the tool trains, goes on, and shows what it made") {
  const TemporaryFolder folder;
  const ToolRun run = run_tool(folder, small_run({"--export", "model.bin", "--prompt", "Once"}));
  REQUIRE_MESSAGE(run.code == kExitDone, run.err);
  CHECK(run.err.empty());
  CHECK(
      run.out.starts_with("model    1 layer, dim 32, hidden 64, 2 heads, 1 kv_heads, seq 32, "
                          "vocab 512: "));
  CHECK(run.out.find("kernels  set dynamic, weights as param, backend cpu, mode exact\n") !=
        std::string::npos);
  CHECK(run.out.find("step     4 of 4  loss ") != std::string::npos);
  CHECK(run.out.find("written  out/checkpoint.bin, out/log.csv, out/loss.svg\n") !=
        std::string::npos);
  CHECK(run.out.find("\nsample   Once") != std::string::npos);
  CHECK(folder.read("out/loss.svg").starts_with("<svg "));
  CHECK(logged_steps(folder.file("out/log.csv")) == std::vector<std::int64_t>{1, 2, 3, 4});

  const ToolRun rest = run_tool(
      folder, {"--resume", "out/checkpoint.bin", "--steps", "6", "--mode=exact", "--sample", "0",
               "--batch", "1", "--compact-vocab", "--classifier=kernels"});
  REQUIRE_MESSAGE(rest.code == kExitDone, rest.err);
  CHECK(rest.err.find("the checkpoint is of a run of 4 steps and this one has 6: its learning "
                      "rates are not those of the run that was broken off") != std::string::npos);
  CHECK(rest.out.find("resume   out/checkpoint.bin, step 4\n") != std::string::npos);
  CHECK(logged_steps(folder.file("out/log.csv")) == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6});

  // The exported file is a model to go on from; heads of 16 make dim 32.
  ModelConfig config;
  Diagnostics diagnostics;
  REQUIRE(read_llama2c_config(folder.file("model.bin"), config, diagnostics));
  CHECK(config.dim == 32);
  const ToolRun stories =
      run_tool(folder, {"--model", "model.bin", "--kernels=stories", "--steps", "1"});
  CHECK(stories.code == kExitFailed);
  CHECK(stories.err.find("kernel set stories gives every head keys and values of its own") !=
        std::string::npos);
}

TEST_CASE("the static six train the default model without shared keys") {
  const TemporaryFolder folder;
  const ToolRun run = run_tool(folder, {"--weights-as=const", "--kernels=stories", "--steps", "1",
                                        "--batch", "1", "--sample", "0", "layers=1"});
  REQUIRE_MESSAGE(run.code == kExitDone, run.err);
  CHECK(run.out.find("4 heads, 4 kv_heads") != std::string::npos);
  CHECK(run.out.find("kernels  set stories, weights as const") != std::string::npos);
}

TEST_CASE("a pretrained file through the static six is said to be another model") {
  const TemporaryFolder folder;
  ModelConfig config = tiny_config(train::KernelSet::stories);
  config.vocab = 512;
  ModelWeights weights;
  initialize(weights, config, 1);
  Diagnostics diagnostics;
  REQUIRE(write_llama2c(folder.file("model.bin"), config, weights, diagnostics));
  const ToolRun run =
      run_tool(folder, {"--model", "model.bin", "--kernels=stories", "--weights-as=const",
                        "--steps", "1", "--batch", "1", "--mode=exact", "--sample", "0"});
  REQUIRE_MESSAGE(run.code == kExitDone, run.err);
  CHECK(run.out.find("note     the kernels of set stories have no rotary embedding") !=
        std::string::npos);
  const ToolRun other = run_tool(folder, {"--model", "model.bin", "dim=64"});
  CHECK(other.code == kExitUsage);
  CHECK(other.err.find("dim is said by the model file; only seq can be another") !=
        std::string::npos);
  config.shared_classifier = false;
  initialize(weights, config, 1);
  REQUIRE(write_llama2c(folder.file("own.bin"), config, weights, diagnostics));
  const ToolRun own = run_tool(folder, {"--model", "own.bin", "--steps", "1"});
  CHECK(own.code == kExitFailed);
  CHECK(own.err.find("checkpoint.classifier") != std::string::npos);
}

TEST_CASE("what cannot be done behind the training is said in front of it") {
  const TemporaryFolder folder;
  for (const char* option : {"--export", "--checkpoint"}) {
    const ToolRun run = run_tool(folder, {"--steps", "1", option, "nowhere/model.bin"});
    CHECK(run.code == kExitFailed);
    CHECK(run.err ==
          "nowhere/model.bin: error: cannot be written: No such file or directory [file.open]\n");
    CHECK(run.out.find("step ") == std::string::npos);
  }
  const ToolRun sampling = run_tool(
      folder, {"--sample", "-1", "--temperature", "nan", "--top-p", "2", "--checkpoint=none"});
  CHECK(sampling.code == kExitUsage);
  CHECK(sampling.err ==
        "stories_train: error: --sample is 0 or more, not -1 [usage.value]\n"
        "stories_train: error: --temperature is finite and not below 0, not nan [usage.value]\n"
        "stories_train: error: --top-p is above 0 and at most 1, not 2 [usage.value]\n"
        "'stories_train --help' shows what there is\n");
}

TEST_CASE("the tool on the fake engine gives the checkpoint of the CPU, restarts included") {
  const TemporaryFolder folder;
  REQUIRE(run_tool(folder, small_run({"--out", "cpu"})).code == kExitDone);
  FakeScope fake;
  const FakeEnvironment environment;
  const ToolRun param = run_tool(folder, small_run({"--backend=ane", "--out", "param"}));
  REQUIRE_MESSAGE(param.code == kExitDone, param.err);
  CHECK(param.out.find("backend fake\n") != std::string::npos);
  const auto values = [&](const std::string& name) {
    return folder.read(name + "/checkpoint.bin").substr(kCheckpointHeaderBytes);
  };
  CHECK(values("param") == values("cpu"));

  // 8 compiles a step; each process stands 20.
  const auto allow = [&] { engine_allows(fake, 20); };
  allow();
  int restarts = 0;
  StoriesTrainSetting setting{.tiny_folder = kTiny};
  std::string last_out;
  setting.restart = [&](const std::vector<std::string>& args) {
    ++restarts;
    REQUIRE(restarts < 6);
    allow();
    const ToolRun again = run_tool(folder, args, setting);
    CHECK_MESSAGE(again.code == kExitDone, again.err);
    last_out = again.out;
    return again.code;
  };
  const std::vector<std::string> args =
      small_run({"--backend=ane", "--weights-as=const", "--out", "const"});
  std::vector<std::string> restarting = args;
  restarting.push_back("--restart");
  const ToolRun baked = run_tool(folder, restarting, setting);
  CHECK_MESSAGE(baked.code == kExitDone, baked.err);
  CHECK(restarts == 2);
  CHECK(values("const") == values("cpu"));
  CHECK(logged_steps(folder.file("const/log.csv")) == std::vector<std::int64_t>{1, 2, 3, 4});

  allow();
  const ToolRun stopped = run_tool(folder, args, setting);
  CHECK(stopped.code == kExitFailed);
  CHECK(stopped.err.find("the engine stands no more compiles of this process after step 2; "
                         "--resume const/checkpoint.bin goes on") != std::string::npos);
}

TEST_CASE("what was trained is written when the compiles are used up, if not what it says") {
  const TemporaryFolder folder;
  FakeScope fake;
  const FakeEnvironment environment;
  const std::vector<std::string> args = small_run(
      {"--backend=ane", "--weights-as=const", "--checkpoint", "none", "--export", "model.bin"});
  engine_allows(fake, 36);  // 4 steps, and 2 kernels without weights
  const ToolRun done = run_tool(folder, args);
  CHECK_MESSAGE(done.code == kExitDone, done.err);
  CHECK(done.out.ends_with(
      "exported model.bin\nsample   none: the compiles of this process are used up\n"));
  CHECK(fs::exists(folder.file("model.bin")));
  engine_allows(fake, 20);
  const ToolRun lost = run_tool(folder, args);
  CHECK(lost.code == kExitFailed);
  CHECK_MESSAGE(lost.err.find("after step 2; without a checkpoint its steps are lost, and") !=
                    std::string::npos,
                lost.err);
}

TEST_CASE("command lines and files that do not do are refused") {
  const TemporaryFolder folder;
  folder.write("odd.bin", std::string(101, 'x'));
  folder.write("large.bin", std::string("\xff\x7f\xff\x7f", 4));
  folder.write("short.bin", std::string(20, '\0'));
  struct Case {
    std::vector<std::string> args;
    int code;
    std::string part;
  };
  const std::vector<Case> cases = {
      {{"--stesp", "3"}, kExitUsage, "'stories_train' has no option --stesp; did you mean"},
      {{"--steps", "many"}, kExitUsage, "--steps takes a number, not 'many'"},
      {{"--kernels=fast"}, kExitUsage, "--kernels is dynamic or stories, not 'fast'"},
      {{"--batch", "0"}, kExitUsage, "batch is 0 but has to be 1 to 1048576"},
      {{"--threads", "-2"}, kExitUsage, "--threads is 0 to 1024, not -2"},
      {{"heads"}, kExitUsage, "'heads' is no NAME=VALUE, and no option"},
      {{"hidde=3"}, kExitUsage, "a model has no size 'hidde'; did you mean 'hidden'?"},
      {{"dim=x"}, kExitUsage, "dim takes a number, not 'x'"},
      {{"heads=0"}, kExitFailed, "model.config"},
      {{"--backend=gpu"}, kExitUnavailable, "backend 'gpu' is not built into this milgen"},
      {{"--tokens", "none.bin"}, kExitFailed, "none.bin"},
      {{"--tokens", "odd.bin"}, kExitFailed, "the file has 101 bytes, but tokens take 2 each"},
      {{"--tokens", "large.bin"}, kExitFailed, "tokens.vocab"},
      {{"--tokens", "large.bin", "vocab=40000"}, kExitFailed, "train.tokens"},
      {{"--model", "short.bin"}, kExitFailed, "llama2c.header"},
      {{"--resume", "short.bin"}, kExitFailed, "checkpoint.header"},
      {{"--loss-scale", "0"}, kExitFailed, "loss_scale is 0 but has to be finite and above 0"},
      {{"vocab=300"}, kExitFailed, "tokens.vocab"},
  };
  for (const Case& one : cases) {
    const ToolRun run = run_tool(folder, one.args);
    CAPTURE(one.args.back());
    CHECK(run.code == one.code);
    CHECK_MESSAGE(run.err.find(one.part) != std::string::npos, run.err);
  }
  // A config of another vocabulary gets that of the text; one that is asked for has no tokenizer.
  CHECK(run_tool(folder,
                 {"--config=small", "layers=1", "--steps", "1", "--batch", "1", "--sample", "1"})
            .code == kExitDone);
  const ToolRun wide =
      run_tool(folder, {"--config=small", "vocab=600", "layers=1", "--steps", "1", "--batch", "1"});
  CHECK(wide.code == kExitDone);
  CHECK(wide.out.find("sample   none: --tokenizer FILE says what tokens mean\n") !=
        std::string::npos);
  const ToolRun nowhere = run_tool(folder, {}, {});
  CHECK(nowhere.code == kExitUsage);
  CHECK(nowhere.err.find("--tokens FILE is missing") != std::string::npos);
  const ToolRun help = run_tool(folder, {"--help"});
  CHECK(help.code == kExitDone);
  CHECK(help.out.starts_with("stories_train - train a Llama-style model through the kernels\n"));

  // A checkpoint of another model.
  REQUIRE(run_tool(folder, small_run({"--steps", "1"})).code == kExitUsage);  // --steps twice
  REQUIRE(run_tool(folder, small_run({})).code == kExitDone);
  const ToolRun other = run_tool(folder, {"--resume", "out/checkpoint.bin", "dim=64"});
  CHECK(other.code == kExitFailed);
  CHECK(other.err.find("checkpoint.config") != std::string::npos);
  const ToolRun back = run_tool(folder, {"--resume", "out/checkpoint.bin", "--steps", "1"});
  CHECK(back.code == kExitFailed);
  CHECK_MESSAGE(back.err.find("the checkpoint is at step ") != std::string::npos, back.err);
  CHECK(back.err.find(", and --steps is 1 [train.option]") != std::string::npos);
}
