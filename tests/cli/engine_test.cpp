// The commands of the Neural Engine, on the fake engine and where there is none.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "cli/run_milc.h"
#include "milgen/ane/probe.h"
#include "support/temporary_folder.h"

namespace milgen {
namespace {

using nlohmann::json;
using test::CleanTemporary;
using test::FakeScope;

class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    const char* before = std::getenv(name);
    had_ = before != nullptr;
    if (had_) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() {
    if (had_) {
      ::setenv(name_, before_.c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::string before_;
  bool had_ = false;
};

/// milc in a folder of its own, with the fake engine behind it. At its end nothing is left of what
/// the engine was given: no object, no file.
class OnFake {
 public:
  explicit OnFake(std::initializer_list<FakeScope::Setting> settings = {}) : fake_(settings) {}

  MilcRun operator()(const std::vector<std::string>& args) const {
    return run_milc(args, builtin_kernels(), {.cwd = folder_.path().string()});
  }
  /// What a command that works writes.
  std::string text(const std::vector<std::string>& args) const {
    const MilcRun run = (*this)(args);
    CHECK_MESSAGE(run.code == kExitDone, run.err);
    return run.out;
  }
  json value(std::vector<std::string> args) const {
    args.insert(args.end(), {"--format", "json"});
    const std::string out = text(args);
    REQUIRE(json::accept(out));
    return json::parse(out);
  }
  const TemporaryFolder& folder() const { return folder_; }
  FakeScope& fake() { return fake_; }

 private:
  TemporaryFolder folder_;
  CleanTemporary temporary_;
  Variable library_{"MILGEN_ANE_LIBRARY", FakeScope::library()};
  Variable pause_{"MILGEN_ANE_PAUSE_MS", "0"};
  FakeScope fake_;
};

/// Times as "T", which differ from run to run.
std::string without_times(const std::string& text) {
  static const std::regex time(" *[0-9]+\\.[0-9]+ (ms|us)");
  return std::regex_replace(text, time, " T");
}

std::string replaced(std::string text, const std::string& what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at)) {
    text.replace(at, what.size(), with);
  }
  return text;
}

std::size_t lines_in(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

/// Whether the tree under a folder has these files.
std::set<std::string> files_below(const std::string& folder) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      files.insert(entry.path().lexically_relative(folder).generic_string());
    }
  }
  return files;
}

constexpr const char* kKernels[] = {"ffn_bwd",   "ffn_fwd_taps", "qkv_bwd",
                                    "sdpa_bwd1", "sdpa_bwd2",    "sdpa_fwd_taps"};

/// One of each command that needs an engine.
const std::vector<std::vector<std::string>>& engine_commands() {
  static const std::vector<std::vector<std::string>> commands = {
      {"info"},
      {"info", "--all"},
      {"info", "--format", "json"},
      {"probe", "--only", "queue"},
      {"probe", "--only", "queue", "--format", "json"},
      {"compile", "qkv_bwd", "--config", "small"},
      {"compile", "qkv_bwd", "--config", "small", "--format", "json"},
      {"bench", "qkv_bwd", "--config", "small", "--input", "zeros", "--repeat", "2"},
      {"bench", "qkv_bwd", "--config", "small", "--input", "zeros", "--repeat", "2", "--format",
       "json"},
      {"run", "qkv_bwd", "--config", "small", "--input", "zeros", "--backend=ane"},
      {"run", "qkv_bwd", "--config", "small", "--input", "zeros", "--backend=ane", "--format",
       "json"},
      {"compare", "qkv_bwd", "--config", "small", "--input", "zeros", "--with", "backend=ane"},
      {"compare", "qkv_bwd", "--config", "small", "--input", "zeros", "--with", "backend=ane",
       "--format", "json"},
  };
  return commands;
}

std::string joined(const std::vector<std::string>& args) {
  std::string text;
  for (const std::string& arg : args) text += arg + " ";
  return text;
}

TEST_CASE("what came from the fake engine says so, in text and in JSON") {
  const OnFake milc;
  for (const std::vector<std::string>& command : engine_commands()) {
    CAPTURE(joined(command));
    const std::string out = milc.text(command);
    if (out.starts_with("{") && command[0] != "compare") {
      CHECK(json::parse(out)["engine"] == "fake");
    } else {
      CHECK(out.find("engine: fake") != std::string::npos);
    }
  }
}

TEST_CASE("where there is no engine each command says one sentence and exits 4") {
  const auto check = [](const std::string& why) {
    for (const std::vector<std::string>& command : engine_commands()) {
      CAPTURE(joined(command));
      const MilcRun run = run_milc(command, builtin_kernels());
      CHECK(run.code == kExitUnavailable);
      CHECK(run.out.empty());
      CHECK(lines_in(run.err) == 1);
      CHECK(run.err.starts_with("milc: error: "));
      CHECK_MESSAGE(run.err.find(why) != std::string::npos, run.err);
      const bool by_backend = command[0] == "run" || command[0] == "compare";
      CHECK(run.err.ends_with(by_backend ? " [backend.unavailable]\n" : " [ane.unavailable]\n"));
    }
  };
  {
    const Variable library("MILGEN_ANE_LIBRARY", "/nowhere/library.so");
    check("there is no Neural Engine runtime here: /nowhere/library.so cannot be opened");
  }
  {
    const OnFake milc({{"has_ane", "0"}});
    check("this machine says that it has no Neural Engine");
  }
#ifndef __APPLE__
  const Variable library("MILGEN_ANE_LIBRARY", "");
  check("AppleNeuralEngine.framework/AppleNeuralEngine cannot be opened");
#endif
}

TEST_CASE("a runtime that lacks what is needed is named, with all that it lacks") {
  const OnFake milc({{"hide", "_ANEInMemoryModel.hexStringIdentifier+_ANEIOSurfaceObject"}});
  const MilcRun run = milc({"info"});
  CHECK(run.code == kExitUnavailable);
  CHECK(run.err == "milc: error: the runtime " + FakeScope::library() +
                       " lacks _ANEIOSurfaceObject, -[_ANEInMemoryModel hexStringIdentifier] "
                       "[ane.selector]\n");
}

TEST_CASE("info: the machine, and what its runtime has") {
  const OnFake milc({{"hide", "_ANEClient.beginRealTimeTask+_ANEModel.queueDepth"}});
  const std::string out = replaced(milc.text({"info"}), FakeScope::library(), "LIBRARY");
  static const std::regex counts("[0-9]+ of [0-9]+ functions");
  CHECK(std::regex_replace(out, counts, "N of N functions") ==
        "engine: fake\n"
        "library          LIBRARY\n"
        "neural engine    yes\n"
        "architecture     h16g\n"
        "sub type         h16g\n"
        "cores            16\n"
        "engines          1\n"
        "board type       0\n"
        "product          macOS\n"
        "build            24A335\n"
        "system           Version 15.0 (Build 24A335)\n"
        "virtual machine  no\n"
        "internal build   no\n"
        "compile budget   100 for each process\n"
        "\n"
        "N of N functions, classes and selectors are there; not there:\n"
        "  no   -[_ANEModel queueDepth]: telemetry\n"
        "  no   -[_ANEClient beginRealTimeTask]: real-time tasks\n");

  const std::string all = milc.text({"info", "--all"});
  CHECK(all.find("\n  yes  IOSurfaceLock: ") != std::string::npos);
  CHECK(all.find("\n  yes  +[_ANEInMemoryModel inMemoryModelWithDescriptor:]: makes the model\n") !=
        std::string::npos);
  CHECK(all.find("\n  no   -[_ANEModel queueDepth]: telemetry\n") != std::string::npos);

  const json root = milc.value({"info"});
  CHECK(root["library"] == FakeScope::library());
  CHECK(root["device"]["architecture"] == "h16g");
  CHECK(root["device"]["cores"] == 16);
  CHECK(root["device"]["virtual_machine"] == false);
  CHECK(root["compile_limit"] == 100);
  std::size_t absent = 0;
  for (const json& feature : root["features"]) {
    CHECK(feature["purpose"].get<std::string>() != "");
    if (feature["present"] == false) {
      ++absent;
      CHECK(feature["required"] == false);
    }
  }
  CHECK(absent == 2);
  // All lines of the list and those of the machine.
  CHECK(lines_in(all) == root["features"].size() + 16);
}

TEST_CASE("info: facts that are not told are not made up") {
  const OnFake milc({{"hide", "_ANEDeviceInfo"}});
  const std::string out = milc.text({"info"});
  CHECK(out.find("\ncores            not told\n") != std::string::npos);
  CHECK(out.find("\narchitecture     not told\n") != std::string::npos);
  const json device = milc.value({"info"})["device"];
  CHECK(device["cores"].is_null());
  CHECK(device["architecture"].is_null());
  CHECK(device["os_version"] == "Version 15.0 (Build 24A335)");
}

TEST_CASE("compile: the layout, and what each phase took") {
  const OnFake milc;
  milc.folder().write("two.mil", test::kTwoAndTwo);
  const MilcRun run = milc({"compile", "two.mil"});
  REQUIRE_MESSAGE(run.code == kExitDone, run.err);
  static const std::regex identifier("program: [0-9a-f_]+\n");
  CHECK(without_times(std::regex_replace(run.out, identifier, "program: ID\n")) ==
        "engine: fake\n"
        "program: ID\n"
        "\n"
        "        name  type                            symbol  row bytes  surface bytes  strides\n"
        "input   w     tensor<fp16, [1, 2, 1, 4]>         1 w         64            128  told\n"
        "input   a     tensor<fp16, [1, 2, 1, 4]>         0 a         64            128  told\n"
        "output  z     tensor<fp16, [1, 2, 1, 4]>  1 z@output         64            128  told\n"
        "output  b     tensor<fp16, [1, 2, 1, 1]>  0 b@output         64            128  told\n"
        "\n"
        "files T\n"
        "compile T\n"
        "load T\n"
        "map T\n"
        "together T\n");
  // What other hosts would have to mind.
  CHECK(run.err.find("two.mil:4:") != std::string::npos);
  CHECK(run.err.find("[ane.order]") != std::string::npos);
  CHECK(run.err.find("[ane.pitch]") != std::string::npos);

  const json root = milc.value({"compile", "two.mil"});
  CHECK(root["program"] == "two.mil");
  CHECK(root["layout"]["bound_by_engine"] == true);
  CHECK(root["layout"]["inputs"][0]["name"] == "w");
  CHECK(root["layout"]["inputs"][0]["symbol_index"] == 1);
  CHECK(root["layout"]["inputs"][0]["row_stride"] == 64);
  CHECK(root["layout"]["outputs"][1]["symbol"] == "b@output");
  CHECK(root["layout"]["outputs"][1]["alloc_bytes"] == 128);
  CHECK(root["time"]["compile_ms"] > 0);
  CHECK(root["time"]["load_attempts"] == 1);
  CHECK(root["time"]["pause_ms"] == 0);
  CHECK_FALSE(root["diagnostics"].empty());
}

TEST_CASE("compile: strides that the engine does not tell are assumed") {
  const OnFake milc({{"attributes", "0"}});
  milc.folder().write("double.mil", test::kDouble);
  const std::string out = milc.text({"compile", "double.mil"});
  CHECK(out.find("assumed\n") != std::string::npos);
  CHECK(out.find("told\n") == std::string::npos);
}

TEST_CASE("compile --save writes what was sent and made, and --dump what was sent") {
  const OnFake milc;
  const std::string out = milc.text({"compile", "qkv_bwd", "--config", "small", "--save", "out"});
  CHECK(
      out.ends_with("\nwrote out/data\nwrote out/model.mil\nwrote out/net.plist\n"
                    "wrote out/weights/wkt.bin\nwrote out/weights/wqt.bin\n"
                    "wrote out/weights/wvt.bin\n"));
  CHECK(files_below(milc.folder().file("out")) ==
        std::set<std::string>{"data", "model.mil", "net.plist", "weights/wkt.bin",
                              "weights/wqt.bin", "weights/wvt.bin"});
  // What was saved is a program again.
  CHECK(milc({"verify", "out/model.mil"}).code == kExitDone);

  milc.folder().write("double.mil", test::kDouble);
  milc.text({"compile", "double.mil", "--dump", "sent"});
  const std::set<std::string> sent = files_below(milc.folder().file("sent"));
  REQUIRE(sent.size() == 2);
  CHECK(sent.begin()->ends_with("/model.mil"));
  CHECK(milc.folder().read("sent/" + *sent.begin()) == test::kDouble);

  const MilcRun refused = milc({"compile", "double.mil", "--save", "double.mil"});
  CHECK(refused.code == kExitFailed);
  CHECK(refused.out.empty());
  CHECK(refused.err.find("double.mil") != std::string::npos);
}

TEST_CASE("compile --cache: the second time it is only loaded") {
  OnFake milc;
  const std::vector<std::string> command = {"compile", "qkv_bwd",        "--config",
                                            "small",   "--cache-folder", "cache"};
  const std::string first = milc.text(command);
  CHECK(first.find("the cache had it") == std::string::npos);
  const std::string second = milc.text(command);
  CHECK(second.find("  the cache had it\n") != std::string::npos);
  CHECK(FakeScope::logged("compileWithQoS") == 1);
  CHECK(milc.value(command)["time"]["cached"] == true);

  FakeScope::set("fail_load", "2");
  const std::string again = milc.text(command);
  CHECK(again.find("  the cached program did not load\n") != std::string::npos);
  CHECK(again.find(" attempts\n") != std::string::npos);

  const Variable folder("MILGEN_ANE_CACHE", milc.folder().file("other"));
  milc.text({"compile", "qkv_bwd", "--config", "small", "--cache"});
  CHECK(milc.value({"compile", "qkv_bwd", "--config", "small", "--cache"})["time"]["cached"] ==
        true);
}

TEST_CASE("compile --package loads a folder that Core ML compiled") {
  const OnFake milc;
  std::filesystem::create_directory(milc.folder().file("double.mlmodelc"));
  milc.folder().write("double.mlmodelc/model.mil", test::kDouble);
  const std::string out = milc.text({"compile", "double.mlmodelc", "--package"});
  CHECK(out.starts_with("engine: fake\nprogram: "));
  CHECK(out.find("input   x     tensor<fp16, [1, 4, 1, 32]>") != std::string::npos);
  CHECK(FakeScope::logged("modelWithMILText") == 0);
  // Without it the text in the folder is compiled.
  milc.text({"compile", "double.mlmodelc"});
  CHECK(FakeScope::logged("modelWithMILText") == 1);

  const MilcRun missing = milc({"compile", "none.mlmodelc", "--package"});
  CHECK(missing.code == kExitFailed);
  CHECK(missing.err ==
        "none.mlmodelc: error: none.mlmodelc is no folder, and a package is one [ane.file]\n");
  const MilcRun two = milc({"compile", "a.mlmodelc", "b.mlmodelc", "--package"});
  CHECK(two.code == kExitUsage);
  CHECK(two.err ==
        "milc: error: --package takes one folder, NAME.mlmodelc [usage.argument]\n"
        "'milc help compile' shows what there is\n");
}

TEST_CASE("options that are none are refused before anything is compiled") {
  OnFake milc;
  const auto check = [&](std::vector<std::string> options, const std::string& message) {
    for (const std::string command : {"compile", "bench"}) {
      std::vector<std::string> args = {command, "qkv_bwd", "--config", "small"};
      args.insert(args.end(), options.begin(), options.end());
      const MilcRun run = milc(args);
      CHECK(run.code == kExitUsage);
      CHECK(run.err == "milc: error: " + message + " [usage.value]\n'milc help " + command +
                           "' shows what there is\n");
    }
  };
  check({"--qos", "64"}, "--qos takes a number from 0 to 63, not '64'");
  check({"--perf-mask", "16"}, "--perf-mask takes a number from 0 to 15, not '16'");
  check({"--timeout", "soon"}, "--timeout takes a number from 0 to 86400, not 'soon'");
  check({"--option", "kANEFKey"}, "--option takes KEY=VALUE, not 'kANEFKey'");
  check({"--option", "kANEFKey="}, "--option takes KEY=VALUE, not 'kANEFKey='");
  for (const std::string option : {"--repeat", "--compiles"}) {
    const MilcRun run = milc({"bench", "qkv_bwd", option, "0"});
    CHECK(run.code == kExitUsage);
    CHECK(run.err.starts_with("milc: error: " + option + " takes a number from 1, not '0' "));
  }
  CHECK(milc({"bench", "qkv_bwd", "--route", "scenic"}).code == kExitUsage);
  CHECK(FakeScope::logged("compileWithQoS") == 0);
}

TEST_CASE("options reach the engine") {
  OnFake milc;
  milc.folder().write("double.mil", test::kDouble);
  milc.text({"compile", "double.mil", "--qos", "33", "--timeout", "0", "--option",
             "kANEFKeepModelMemoryWiredKey=true", "--option", "kANEFAneInstanceHint=2", "--option",
             "kANEFModelType=kANEFModelMIL", "--dump", "sent"});
  const std::set<std::string> sent = files_below(milc.folder().file("sent"));
  REQUIRE(sent.size() == 2);
  const json options = json::parse(milc.folder().read("sent/" + *std::next(sent.begin())));
  const std::string text = options.dump();
  CAPTURE(text);
  CHECK(text.find("\"kANEFKeepModelMemoryWiredKey\":true") != std::string::npos);
  CHECK(text.find("\"kANEFAneInstanceHint\":2") != std::string::npos);
  CHECK(text.find("\"kANEFModelType\":\"kANEFModelMIL\"") != std::string::npos);
  CHECK(text.find("33") != std::string::npos);
}

TEST_CASE("what the engine refuses is an error with the engine's words") {
  OnFake milc;
  milc.folder().write("double.mil", test::kDouble);
  FakeScope::set("fail_compile", "1");
  MilcRun run = milc({"compile", "double.mil"});
  CHECK(run.code == kExitFailed);
  CHECK(run.out.empty());
  CHECK(run.err.starts_with("double.mil: error: "));
  CHECK(run.err.find("[ane.compile]\n") != std::string::npos);
  CHECK(run.err.find("com.apple.appleneuralengine 1: _ANECompiler : ANECCompile() FAILED") !=
        std::string::npos);
  FakeScope::set("fail_load", "always");
  run = milc({"compile", "double.mil"});
  CHECK(run.err.find("[ane.load]\n") != std::string::npos);
  FakeScope::set("fail_load", "0");
  FakeScope::set("fail_evaluate", "1");
  run = milc({"bench", "double.mil", "--input", "zeros"});
  CHECK(run.code == kExitFailed);
  CHECK(run.err.find("[ane.evaluate]\n") != std::string::npos);

  milc.folder().write("weighted.mil", test::kWeighted);
  run = milc({"compile", "weighted.mil"});
  CHECK(run.code == kExitFailed);
  CHECK(run.err.find("weighted.mil:5:93: error: ") != std::string::npos);
  CHECK(run.err.find("error: ") == run.err.rfind("error: "));

  milc.folder().write("broken.mil", "program(1.3)\n{\n");
  run = milc({"compile", "broken.mil"});
  CHECK(run.code == kExitFailed);
  CHECK(run.err.find("[ane.") == std::string::npos);
  CHECK(run.err.starts_with("broken.mil:"));
}

TEST_CASE("the Stories kernels run on the engine, and give what the CPU gives") {
  const OnFake milc;
  for (const char* kernel : kKernels) {
    CAPTURE(kernel);
    const MilcRun run =
        milc({"run", kernel, "--config", "small", "--input", "seed:7", "--backend=ane"});
    CHECK_MESSAGE(run.code == kExitDone, run.err);
    CHECK(run.err.empty());
    const std::string cpu = milc.text({"run", kernel, "--config", "small", "--input", "seed:7"});
    CHECK(run.out == "engine: fake\n" + cpu);
    const std::string compared = milc.text(
        {"compare", kernel, "--config", "small", "--input", "seed:7", "--with", "backend=ane"});
    CHECK(compared.starts_with("here:  cpu, exact\nthere: ane, engine: fake\n"));
    CHECK(compared.ends_with("1 output: the same values\n"));
  }
  const json root =
      milc.value({"run", "qkv_bwd", "--config", "small", "--input", "seed:7", "--backend=ane"});
  CHECK(root["backend"] == "ane");
  CHECK_FALSE(root.contains("mode"));
}

TEST_CASE("a kernel at its own sizes, and programs whose names do not sort as declared") {
  const OnFake milc;
  CHECK(milc.text({"compare", "qkv_bwd", "--input", "seed:7", "--with", "backend=ane"})
            .ends_with("1 output: the same values\n"));
  milc.folder().write("two.mil", test::kTwoAndTwo);
  CHECK(milc.text({"compare", "two.mil", "--input", "seed:7", "--with", "backend=ane"})
            .ends_with("2 outputs: the same values\n"));
  CHECK(milc.text({"run", "two.mil", "--input", "w=5", "--input", "a=3", "--backend", "ane",
                   "--values", "1"})
            .find("\nz: 2, ...\n") != std::string::npos);
}

TEST_CASE("bench: each phase by itself, counted") {
  OnFake milc({{"hw_ns", "1500000"}});
  const json root =
      milc.value({"bench", "qkv_bwd", "--config", "small", "--input", "seed:1", "--repeat", "20",
                  "--warmup", "3", "--compiles", "2", "--perf-mask", "15"});
  CHECK(root["program"] == "qkv_bwd");
  CHECK(root["route"] == "standard");
  CHECK(root["warmup"] == 3);
  CHECK(root["layout"]["inputs"].size() == 1);
  const json& phases = root["phases"];
  for (const char* phase : {"compile", "load"}) CHECK(phases[phase]["times"] == 2);
  for (const char* phase : {"write", "evaluate", "read", "hardware"}) {
    CHECK(phases[phase]["times"] == 20);
  }
  CHECK(phases.size() == 6);
  for (const json& phase : phases) {
    CHECK(phase["least_ms"] <= phase["p50_ms"]);
    CHECK(phase["p50_ms"] <= phase["p99_ms"]);
    CHECK(phase["p99_ms"] <= phase["most_ms"]);
    CHECK(phase["least_ms"] <= phase["mean_ms"]);
    CHECK(phase["mean_ms"] <= phase["most_ms"]);
  }
  CHECK(phases["hardware"]["p50_ms"] == 1.5);
  CHECK(FakeScope::logged("compileWithQoS") == 2);

  const std::string text = milc.text({"bench", "qkv_bwd", "--config", "small", "--input", "seed:1",
                                      "--repeat", "5", "--warmup", "0", "--route", "direct"});
  CHECK(
      text.starts_with("engine: fake\nprogram: qkv_bwd\nroute: direct, 5 evaluations after 0 to "
                       "warm up\n\nms        times "));
  CHECK(text.find("\nevaluate      5  ") != std::string::npos);
  CHECK(text.find("\nhardware") == std::string::npos);
  CHECK(FakeScope::logged("doEvaluateDirectWithModel") >= 5);

  // What the cache had was not compiled.
  const std::vector<std::string> cached = {"bench",          "qkv_bwd", "--config",   "small",
                                           "--input",        "zeros",   "--repeat",   "1",
                                           "--cache-folder", "cache",   "--compiles", "3"};
  CHECK(milc.value(cached)["phases"]["compile"]["times"] == 1);
  CHECK_FALSE(milc.value(cached)["phases"].contains("compile"));

  // Inputs that are given no values have some all the same.
  CHECK(milc.value({"bench", "qkv_bwd", "--config", "small", "--repeat",
                    "1"})["phases"]["write"]["times"] == 1);
  const MilcRun unknown = milc({"bench", "qkv_bwd", "--config", "small", "--input", "w=zeros"});
  CHECK(unknown.code == kExitFailed);
  CHECK(unknown.err.find("[run.input]") != std::string::npos);
}

TEST_CASE("bench: compilations end at the budget of the process") {
  const Variable limit("MILGEN_ANE_COMPILE_LIMIT", "2");
  OnFake milc;
  const MilcRun run =
      milc({"bench", "qkv_bwd", "--config", "small", "--input", "zeros", "--compiles", "3"});
  CHECK(run.code == kExitFailed);
  CHECK(run.out.empty());
  CHECK(run.err.find("[ane.budget]\n") != std::string::npos);
  CHECK(milc.value({"info"})["compile_limit"] == 2);
}

TEST_CASE("probe: a verdict for each question, with what it was read from") {
  OnFake milc;
  CHECK(milc.text({"probe", "--only", "names", "--only", "rewritten_weights"}) ==
        "engine: fake\n"
        "architecture: h16g, system: Version 15.0 (Build 24A335)\n"
        "\n"
        "names: surfaces are bound in the order of sorted names\n"
        "  agrees:    rule B (ane_runtime 4.0; IO-004, IO-005): sorted by name, not as declared\n"
        "    100 c + 10 a + b with c, a, b = 1, 2, 3, declared in this order, is 123\n"
        "    bound by milgen, by the symbols that the engine tells: 123\n"
        "    bound in the order of the declaration: 312\n"
        "    outputs z = 2 and m = 4 of other sizes came out as 2 and 4\n"
        "\n"
        "rewritten_weights: a weight file that is rewritten between unload and load has no effect\n"
        "  agrees:    ane_runtime 4.8; PR-010: milgen never relies on it\n"
        "    weight 2 gave 2; 3, written over it, gave 2\n");
  const json root = milc.value({"probe"});
  CHECK(root["architecture"] == "h16g");
  CHECK(root["os_version"] == "Version 15.0 (Build 24A335)");
  REQUIRE(root["answers"].size() == ane::probe_questions().size());
  for (const json& answer : root["answers"]) {
    CHECK_FALSE(answer.contains("error"));
    CHECK(answer["verdict"].get<std::string>() != "");
  }
  CHECK(root["answers"][0]["question"] == "rows");
  CHECK(root["answers"][0]["agreement"] == "agrees");
  CHECK(root["answers"][0]["evidence"].size() == 13);

  std::vector<std::string> each = {"probe"};
  for (const ane::ProbeQuestion& question : ane::probe_questions()) {
    each.insert(each.end(), {"--only", std::string(question.name)});
  }
  CHECK(milc.value(each)["answers"].size() == ane::probe_questions().size());
  const MilcRun unknown = milc({"probe", "--only", "row"});
  CHECK(unknown.code == kExitUsage);
  CHECK(unknown.err ==
        "milc: error: --only is rows, min_surface, names, symbols, fp32_io, rewritten_weights, "
        "cache, folder, routes, real_time, perf_stats, events or queue, not 'row' [usage.value]\n"
        "'milc help probe' shows what there is\n");
}

TEST_CASE("probe: what could not be asked is an error, and the others are answered") {
  OnFake milc;
  FakeScope::set("fail_compile", "1");
  const MilcRun run = milc({"probe", "--only", "symbols", "--only", "queue", "--format", "json"});
  CHECK(run.code == kExitFailed);
  CHECK(run.err.starts_with("symbols: error: "));
  CHECK(run.err.find("[ane.compile]\n") != std::string::npos);
  const json answers = json::parse(run.out)["answers"];
  REQUIRE(answers.size() == 2);
  CHECK(answers[0]["agreement"].is_null());
  CHECK(answers[0]["verdict"].get<std::string>().starts_with("could not be asked: "));
  CHECK(answers[0]["error"].get<std::string>().find("ANECCompile() FAILED") != std::string::npos);
  CHECK(answers[1]["agreement"] == "agrees");

  FakeScope::set("fail_compile", "1");
  const MilcRun text = milc({"probe", "--only", "symbols"});
  CHECK(text.out.find("\nsymbols: could not be asked: ") != std::string::npos);
  CHECK(text.out.find("\n  unasked:   ane_runtime 4.6: ") != std::string::npos);
}

}  // namespace
}  // namespace milgen
