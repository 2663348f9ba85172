// What a transcript cannot show: a full disk, a broken standard output, exceptions, progress.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>

#include "cli/args.h"
#include "cli/format.h"
#include "cli/op_example.h"
#include "cli/progress.h"
#include "cli/run_milc.h"
#include "milgen/op_info.h"
#include "milgen/ops.h"
#include "support/file_faults.h"
#include "support/temporary_folder.h"

namespace fs = std::filesystem;
using namespace milgen;

namespace {

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

const std::vector<std::string> kEmitTiny = {"emit",    "qkv_bwd", "dim=2", "hidden=2",
                                            "heads=1", "seq=2",   "-o",    "out"};

struct None {
  std::int64_t size = 1;
};
void throws(Kernel&, const None&) { throw std::runtime_error("a kernel of mine gave up"); }
void runs_out(Kernel&, const None&) { throw std::bad_alloc(); }
void wasteful(Kernel& k, const None& c) {
  const auto x = k.input<fp16>("x", {c.size});
  static_cast<void>(exp(x));
  k.output("y", relu(x));
}

Registry odd_kernels() {
  Registry registry;
  registry.set<None>("odd", "kernels that nobody should write")
      .param("size", &None::size, "elements")
      .config("one", {})
      .kernel<throws>("throws", "throws")
      .kernel<runs_out>("runs_out", "asks for too much")
      .kernel<wasteful>("wasteful", "computes what it does not use");
  registry.set<None>("bare", "a set without configurations").kernel<wasteful>("lonely", "");
  return registry;
}

}  // namespace

TEST_CASE("a full disk leaves the files that were there") {
  const TemporaryFolder folder;
  const Registry kernels = builtin_kernels();
  const MilcSetting here{.cwd = folder.path()};
  REQUIRE(run_milc(kEmitTiny, kernels, here).code == kExitDone);
  const fs::path out = fs::path(folder.path()) / "out";
  const std::string text = read(out / "qkv_bwd.mil");
  const std::string weight = read(out / "weights/wqt.bin");

  std::vector<std::string> other = kEmitTiny;
  other.insert(other.end(), {"--weights-from", "seed:7"});
  // Anywhere in the first weight, the later ones, the text.
  for (const std::uint64_t room : {0u, 10u, 135u, 200u, 500u, 3000u}) {
    CAPTURE(room);
    const detail::DiskRoom full(room);
    const MilcRun run = run_milc(other, kernels, here);
    CHECK(run.code == kExitFailed);
    CHECK(run.err.find("No space left on device [file.write]") != std::string::npos);
    CHECK(run.err.starts_with("out/"));
    CHECK(run.err.find(folder.path()) == std::string::npos);
    CHECK(run.out.empty());
    CHECK(read(out / "qkv_bwd.mil") == text);
    if (room < 136) CHECK(read(out / "weights/wqt.bin") == weight);
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(out)) {
      CAPTURE(entry.path().string());
      const std::string extension = entry.path().extension().string();
      CHECK((entry.is_directory() || extension == ".mil" || extension == ".bin"));
    }
  }
  CHECK(run_milc(other, kernels, here).code == kExitDone);
}

TEST_CASE("a full disk while goldens are accepted") {
  const TemporaryFolder folder;
  const detail::DiskRoom full(100);
  const MilcRun run =
      run_milc({"check", "--accept", "golden"}, builtin_kernels(), {.cwd = folder.path()});
  CHECK(run.code == kExitFailed);
  CHECK(run.err.find("[file.write]") != std::string::npos);
}

TEST_CASE("a standard output that cannot be written is not success") {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  out.setstate(std::ios::badbit);
  Streams streams{.in = in, .out = out, .err = err};
  const std::vector<std::string> args = {"ops"};
  CHECK(milc_main(args, streams, builtin_kernels()) == kExitFailed);
  CHECK(err.str() == "milc: error: the standard output cannot be written [output.write]\n");
}

TEST_CASE("no exception gets out") {
  const MilcRun thrown = run_milc({"emit", "throws"}, odd_kernels());
  CHECK(thrown.code == kExitBug);
  CHECK(thrown.err == "milc: a kernel of mine gave up\nthis is a bug in milgen\n");
  const MilcRun memory = run_milc({"emit", "runs_out"}, odd_kernels());
  CHECK(memory.code == kExitBug);
  CHECK(memory.err == "milc: out of memory\nthis is a bug in milgen\n");
}

TEST_CASE("warnings become errors with --strict alone") {
  const TemporaryFolder folder;
  MilcRun run = run_milc({"emit", "wasteful", "-o", "out"}, odd_kernels(), {.cwd = folder.path()});
  CHECK(run.code == kExitDone);
  CHECK(run.err.find("[kernel.unused_value]") != std::string::npos);
  run = run_milc({"emit", "wasteful", "-o", "strict", "--strict"}, odd_kernels(),
                 {.cwd = folder.path()});
  CHECK(run.code == kExitFailed);
  CHECK_FALSE(fs::exists(fs::path(folder.path()) / "strict"));
}

TEST_CASE("a set without configurations cannot be started from") {
  const MilcRun run = run_milc({"emit", "bare/lonely"}, odd_kernels());
  CHECK(run.code == kExitUsage);
  CHECK(run.err.find("set 'bare' has no configuration to start from [usage.config]") !=
        std::string::npos);
}

TEST_CASE("kernels of one name in two sets do not overwrite each other") {
  Registry registry;
  for (const char* set : {"a", "b"}) {
    registry.set<None>(set, "").config("one", {}).kernel<wasteful>("same", "");
  }
  const MilcRun run = run_milc({"emit", "--all", "-o", "out"}, registry);
  CHECK(run.code == kExitUsage);
  CHECK(run.err.find("sets 'a' and 'b' both have a kernel 'same'; emit them into folders of their "
                     "own [usage.set]") != std::string::npos);
}

TEST_CASE("two runs write the same bytes") {
  const TemporaryFolder folder;
  const Registry kernels = builtin_kernels();
  for (const char* out : {"one", "two"}) {
    REQUIRE(run_milc({"emit", "--all", "stories", "--config", "small", "-o", out}, kernels,
                     {.cwd = folder.path()})
                .code == kExitDone);
  }
  std::size_t files = 0;
  const fs::path one = fs::path(folder.path()) / "one";
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(one)) {
    if (entry.is_directory()) continue;
    ++files;
    const fs::path twin = fs::path(folder.path()) / "two" / fs::relative(entry.path(), one);
    CHECK(read(entry.path()) == read(twin));
  }
  CHECK(files == 23);
}

TEST_CASE("a weight file can come from the standard input") {
  const TemporaryFolder folder;
  const Registry kernels = builtin_kernels();
  REQUIRE(run_milc(kEmitTiny, kernels, {.cwd = folder.path()}).code == kExitDone);
  const std::string bytes = read(fs::path(folder.path()) / "out/weights/wqt.bin");
  MilcRun run = run_milc({"weights", "-"}, kernels, {.input = bytes});
  CHECK(run.code == kExitDone);
  CHECK(run.out.starts_with("-: 1 record, 136 bytes\n"));
  run = run_milc({"weights", "-"}, kernels, {.input = bytes.substr(0, 130)});
  CHECK(run.code == kExitFailed);
  CHECK(run.err.find("[blob.range]") != std::string::npos);
}

TEST_CASE("the text on stdout is the text of the file") {
  const TemporaryFolder folder;
  const Registry kernels = builtin_kernels();
  REQUIRE(run_milc(kEmitTiny, kernels, {.cwd = folder.path()}).code == kExitDone);
  std::vector<std::string> to_stdout = kEmitTiny;
  to_stdout.back() = "-";
  CHECK(run_milc(to_stdout, kernels).out == read(fs::path(folder.path()) / "out/qkv_bwd.mil"));
}

TEST_CASE("main takes the program's name and CI from the process") {
  const Registry kernels = builtin_kernels();
  std::string program = "/usr/local/bin/mine";
  std::string command = "--version";
  char* argv[] = {program.data(), command.data(), nullptr};
  CHECK(milc_main(2, argv, kernels) == kExitDone);
}

TEST_CASE("options are read in every form") {
  const cli::CommandSpec* emit = nullptr;
  for (const cli::CommandSpec& spec : cli::commands()) {
    if (spec.name == "emit") emit = &spec;
  }
  REQUIRE(emit != nullptr);
  const std::vector<std::string> words = {
      "-oout", "a=1", "--config=small", "--strict", "--build-info", "k=v",
      "qkv",   "--",  "--odd",          "--map"};
  cli::Args args;
  Diagnostics diagnostics;
  REQUIRE(args.parse(*emit, words, diagnostics));
  CHECK(args.value("--out") == "out");
  CHECK(args.value("--config") == "small");
  CHECK(args.has("--strict"));
  CHECK_FALSE(args.has("--all"));
  CHECK(args.values("--build-info").size() == 1);
  const std::vector<std::string> expected = {"a=1", "qkv", "--odd", "--map"};
  CHECK(std::vector<std::string>(args.positionals().begin(), args.positionals().end()) == expected);
}

TEST_CASE("progress stays silent when the work is short") {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  Streams streams{.in = in, .out = out, .err = err};
  const Registry registry;
  const cli::Context context(streams, registry);
  cli::ProgressLine line(context);
  cli::ProgressLine::show(&line, "w", 1, 2);
  CHECK(err.str().empty());
}

TEST_CASE("progress speaks when the work takes longer, a log line now and then") {
  for (const bool terminal : {false, true}) {
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream err;
    Streams streams{.in = in, .out = out, .err = err, .err_is_terminal = terminal};
    const Registry registry;
    const cli::Context context(streams, registry);
    {
      cli::ProgressLine line(context);
      std::this_thread::sleep_for(std::chrono::milliseconds(1050));
      for (int i = 0; i < 1000; ++i) cli::ProgressLine::show(&line, "wq", 500, 2000000);
    }
    CHECK(out.str().empty());
    CHECK(err.str() == (terminal ? "\rwq: 500 bytes of 2.0 MB (0 %)\x1b[K\r\x1b[K"
                                 : "wq: 500 bytes of 2.0 MB (0 %)\n"));
  }
}

TEST_CASE("progress is silent in a transcript, which is the same on a slow machine") {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  Streams streams{.in = in, .out = out, .err = err, .replay_depth = 1};
  const Registry registry;
  const cli::Context context(streams, registry);
  cli::StatusLine(context).show("w");
  CHECK(err.str().empty());
}

TEST_CASE("numbers and patterns") {
  CHECK(cli::grouped(0) == "0");
  CHECK(cli::grouped(999) == "999");
  CHECK(cli::grouped(1000) == "1,000");
  CHECK(cli::grouped(1234567) == "1,234,567");
  CHECK(cli::counted(1, "file") == "1 file");
  CHECK(cli::size_text(28500000) == "28.5 MB");
  CHECK(cli::glob_matches("*.small", "ffn.small"));
  CHECK(cli::glob_matches("f?n*", "ffn.small"));
  CHECK_FALSE(cli::glob_matches("*.small", "ffn.smaller"));
  CHECK(cli::glob_matches("*a*b*", "xxaxxbxx"));
  CHECK_FALSE(cli::glob_matches(std::string(50, '*') + "b", std::string(5000, 'a')));
}

TEST_CASE("examples of ops are what the DSL builds") {
  std::size_t examples = 0;
  std::size_t ops = 0;
  for (const OpInfo& op : op_table()) {
    if (has(op.traits, Trait::no_dsl)) continue;
    ++ops;
    cli::OpExample example;
    if (!cli::make_op_example(op, example)) continue;
    ++examples;
    CAPTURE(std::string(op.name));
    // No text has this one.
    const std::string printed(op.code == OpCode::coreml_update_state ? "write_state" : op.name);
    CHECK(example.text.find(" " + printed + "(") != std::string::npos);
    CHECK(example.source.find(std::string(op.name)) != std::string::npos);
  }
  // Ops that take operands of an unusual form have none.
  CHECK(examples + 12 >= ops);
}
