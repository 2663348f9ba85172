// Each verdict of the probe against a fake engine that is set to the one or the other answer.
#include "milgen/ane/probe.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"

using namespace milgen;
using ane::ProbeAgreement;
using ane::ProbeAnswer;
using milgen::test::CleanTemporary;
using milgen::test::FakeScope;

namespace {

ProbeAnswer ask(std::string_view question, std::initializer_list<FakeScope::Setting> settings) {
  const CleanTemporary temporary;
  FakeScope fake(settings);
  return ane::probe(fake.engine(), question);
}

void check(const ProbeAnswer& answer, ProbeAgreement agreement, std::string_view verdict) {
  CAPTURE(answer.error.text());
  std::string evidence;
  for (const std::string& line : answer.evidence) evidence += line + "\n";
  CAPTURE(evidence);
  CHECK_FALSE(answer.error);
  CHECK(name(answer.agreement) == name(agreement));
  CHECK(answer.verdict == verdict);
}

void check_refused(const ProbeAnswer& answer, ane::ErrorKind kind, std::string_view verdict) {
  CHECK(answer.error.kind() == kind);
  CHECK(answer.verdict == verdict);
  CHECK(answer.agreement == ProbeAgreement::untold);
}

bool has_evidence(const ProbeAnswer& answer, std::string_view line) {
  for (const std::string& one : answer.evidence) {
    if (one == line) return true;
  }
  return false;
}

constexpr std::string_view kRowsOf64 = "rows begin at multiples of 64 bytes";
constexpr std::string_view kRowsTold =
    "rows do not begin at multiples of 64 bytes, and the model tells how they lie";
constexpr std::string_view kRowsNotTold =
    "rows do not begin at multiples of 64 bytes, and the model does not tell how they lie: tensors "
    "must have rows of a multiple of 64 bytes here";

}  // namespace

TEST_CASE("every question is asked once, in its order, within the compilations it says") {
  const CleanTemporary temporary;
  FakeScope fake;
  const ane::Engine& engine = fake.engine();
  std::set<std::string> names;
  int before = 0;
  for (const ane::ProbeQuestion& question : ane::probe_questions()) {
    CAPTURE(question.name);
    const ProbeAnswer answer = ane::probe(engine, question.name);
    CHECK_MESSAGE(!answer.error, answer.error.text());
    CHECK(answer.name == question.name);
    CHECK(names.insert(answer.name).second);
    CHECK_FALSE(answer.verdict.empty());
    CHECK_FALSE(question.asks.empty());
    CHECK_FALSE(question.settles.empty());
    const int after = engine.ledger().compiles;
    // Of those of the cache one is found again.
    CHECK(after - before == question.compiles - (question.name == "cache" ? 1 : 0));
    before = after;
  }
  // As the header says, far below any budget.
  CHECK(before >= 20);
  CHECK(before <= 30);
}

TEST_CASE("all questions at once") {
  const CleanTemporary temporary;
  FakeScope fake;
  const std::vector<ProbeAnswer> answers = ane::probe(fake.engine());
  REQUIRE(answers.size() == ane::probe_questions().size());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    CHECK(answers[i].name == ane::probe_questions()[i].name);
  }
}

TEST_CASE("rows: the pitch is what comes out, whatever the model tells") {
  ProbeAnswer answer = ask("rows", {});
  check(answer, ProbeAgreement::agrees, kRowsOf64);
  CHECK(has_evidence(answer, "fp16, width 1 (2 bytes): 64 bytes; the model tells 64"));
  CHECK(has_evidence(answer, "fp16, width 33 (66 bytes): 128 bytes; the model tells 128"));
  CHECK(has_evidence(answer, "fp32, width 17 (68 bytes): 128 bytes; the model tells 128"));

  answer = ask("rows", {{"rows", "packed"}});
  check(answer, ProbeAgreement::differs, kRowsTold);
  CHECK(has_evidence(answer, "fp16, width 7 (14 bytes): 14 bytes; the model tells 14"));
  answer = ask("rows", {{"rows", "128"}});
  check(answer, ProbeAgreement::differs, kRowsTold);
  CHECK(has_evidence(answer, "fp16, width 32 (64 bytes): 128 bytes; the model tells 128"));

  answer = ask("rows", {{"attributes", "0"}});
  check(answer, ProbeAgreement::agrees, kRowsOf64);
  CHECK(has_evidence(answer, "fp16, width 1 (2 bytes): 64 bytes"));
  for (const char* pitch : {"packed", "128"}) {
    check(ask("rows", {{"attributes", "0"}, {"rows", pitch}}), ProbeAgreement::differs,
          kRowsNotTold);
  }
}

TEST_CASE("rows: an engine without fp32 answers for fp16") {
  const ProbeAnswer answer = ask("rows", {{"fp32_io", "0"}});
  check(answer, ProbeAgreement::agrees, kRowsOf64);
  CHECK(answer.evidence.size() == 9);
  CHECK(answer.evidence.back().starts_with("fp32: "));
}

TEST_CASE("min_surface: whether a surface of the tensor's own size works") {
  const ProbeAnswer answer = ask("min_surface", {});
  check(answer, ProbeAgreement::differs, "surfaces of the tensor's own size work, too");
  CHECK(has_evidence(answer,
                     "surfaces were made for 384 bytes and have 384, where milgen makes them for "
                     "16384 at least"));
  CHECK(has_evidence(answer, "7 came out as 7"));
  check(ask("min_surface", {{"fail_evaluate", "1"}}), ProbeAgreement::agrees,
        "surfaces below 16 KiB do not work");
}

TEST_CASE("names: the order in which surfaces are bound") {
  ProbeAnswer answer = ask("names", {});
  check(answer, ProbeAgreement::agrees, "surfaces are bound in the order of sorted names");
  CHECK(has_evidence(answer, "bound by milgen, by the symbols that the engine tells: 123"));
  CHECK(has_evidence(answer, "bound in the order of the declaration: 312"));
  CHECK(has_evidence(answer, "outputs z = 2 and m = 4 of other sizes came out as 2 and 4"));
  answer = ask("names", {{"names", "declared"}});
  check(answer, ProbeAgreement::differs,
        "surfaces are bound in the order of the declaration; milgen binds them rightly");
  CHECK(has_evidence(answer, "bound in the order of the declaration: 123"));
  answer = ask("names", {{"attributes", "0"}});
  check(answer, ProbeAgreement::agrees, "surfaces are bound in the order of sorted names");
  CHECK(has_evidence(answer, "bound by milgen, by sorted names: 123"));
}

TEST_CASE("names: an engine that binds otherwise and does not say so is told") {
  check(ask("names", {{"attributes", "0"}, {"names", "declared"}}), ProbeAgreement::differs,
        "milgen does not bind inputs and outputs rightly here: please report this");
}

TEST_CASE("symbols: whether the engine tells them") {
  ProbeAnswer answer = ask("symbols", {});
  check(answer, ProbeAgreement::agrees,
        "the engine tells its symbols and strides, outputs as name@output");
  CHECK(has_evidence(answer, "z: symbol 1 'z@output', strides told"));
  answer = ask("symbols", {{"attributes", "0"}});
  check(answer, ProbeAgreement::differs, "the engine does not tell its symbols; names are sorted");
  CHECK(has_evidence(answer, "z: symbol 1 'z@output', strides not told"));
}

TEST_CASE("fp32_io: whether fp32 compiles") {
  const ProbeAnswer answer = ask("fp32_io", {});
  check(answer, ProbeAgreement::agrees, "inputs and outputs of fp32 compile");
  CHECK(has_evidence(answer, "1 + 2^-12 came out as 1.0002441: relu computes in fp32"));
  check(ask("fp32_io", {{"fp32_io", "0"}}), ProbeAgreement::differs,
        "inputs and outputs of fp32 are refused");
}

TEST_CASE("rewritten_weights: whether they take effect") {
  ProbeAnswer answer = ask("rewritten_weights", {});
  check(answer, ProbeAgreement::agrees,
        "a weight file that is rewritten between unload and load has no effect");
  CHECK(has_evidence(answer, "weight 2 gave 2; 3, written over it, gave 2"));
  answer = ask("rewritten_weights", {{"rewrite", "1"}});
  check(answer, ProbeAgreement::differs,
        "a weight file that is rewritten between unload and load takes effect");
  CHECK(has_evidence(answer, "weight 2 gave 2; 3, written over it, gave 3"));
}

TEST_CASE("cache: whether a compiled program is found again") {
  const ProbeAnswer answer = ask("cache", {});
  check(answer, ProbeAgreement::agrees,
        "a program that was compiled before is loaded without compiling");
  CHECK(has_evidence(answer,
                     "in the program's folder after compiling: data, model.mil, net.plist, "
                     "weights"));
  check(ask("cache", {{"hide", "_ANEInMemoryModel.setModelURL:"}}), ProbeAgreement::differs,
        "a program that was compiled before is compiled again");
}

TEST_CASE("folder: whether the runtime heeds the one that it is told") {
  ProbeAnswer answer = ask("folder", {});
  check(answer, ProbeAgreement::agrees, "programs are compiled in the folder that milgen tells");
  REQUIRE(answer.evidence.size() == 1);
  CHECK(has_evidence(answer, "in the folder that was told: data, model.mil, net.plist"));
  answer = ask("folder", {{"fail_compile", "1"}});
  check(answer, ProbeAgreement::differs,
        "nothing compiles in a folder of milgen's choice: try MILGEN_ANE_FOLDER=default");
  ::setenv("MILGEN_ANE_FOLDER", "default", 1);
  answer = ask("folder", {});
  check(answer, ProbeAgreement::agrees, "programs are compiled in the folder that milgen tells");
  // The folder that the runtime looks into by itself is no cache.
  check(ask("cache", {}), ProbeAgreement::differs,
        "a program that was compiled before is compiled again");
  ::unsetenv("MILGEN_ANE_FOLDER");
}

TEST_CASE("routes: those that are not there are left out") {
  ProbeAnswer answer = ask("routes", {});
  CHECK(answer.agreement == ProbeAgreement::untold);
  CHECK(answer.verdict.ends_with(" was the fastest of a program that does next to nothing"));
  REQUIRE(answer.evidence.size() == 4);
  for (const std::string& line : answer.evidence) {
    CHECK_MESSAGE(line.ends_with(" us, 7 gave 7"), line);
  }
  answer = ask("routes", {{"hide", "_ANEClient"}});
  check(answer, ProbeAgreement::untold,
        "standard was the fastest of a program that does next to nothing");
  REQUIRE(answer.evidence.size() == 4);
  CHECK_MESSAGE(answer.evidence[2].starts_with("direct: "), answer.evidence[2]);
  CHECK(answer.evidence[2].find("lacks") != std::string::npos);
  check_refused(ask("routes", {{"fail_evaluate", "always"}}), ane::ErrorKind::evaluate,
                "could not be asked: no route evaluates; standard: "
                "ANEProgramProcessRequestDirect() Failed with status=0x1d : statusType=0x9: "
                "Program Inference error; because of milgen.fake 0: the setting fail_evaluate");
}

TEST_CASE("real_time, perf_stats and queue") {
  check(ask("real_time", {}), ProbeAgreement::untold, "real-time scheduling is granted");
  CHECK(ask("real_time", {{"hide", "_ANEClient"}}).error.kind() == ane::ErrorKind::selector);

  check(ask("perf_stats", {{"hw_ns", "1234"}}), ProbeAgreement::agrees,
        "the engine tells its own time");
  check(ask("perf_stats", {{"hw_ns", "0"}}), ProbeAgreement::differs,
        "the engine does not tell its own time");

  check(ask("queue", {}), ProbeAgreement::agrees, "the engine queues 127 requests");
  check(ask("queue", {{"hide", "_ANEInMemoryModel.queueDepth+_ANEModel.queueDepth"}}),
        ProbeAgreement::untold, "the engine does not tell its queue's depth");
}

TEST_CASE("events: whether a program from text takes them") {
  check(ask("events", {}), ProbeAgreement::agrees,
        "an evaluation of MIL text takes no shared events; a package may");
  check(ask("events", {{"events_in_memory", "1"}}), ProbeAgreement::differs,
        "an evaluation of MIL text signals a shared event: SharedEventOptions::try_in_memory works "
        "here");
}

TEST_CASE("a question that cannot be asked says why, and leaves nothing behind") {
  for (const ane::ProbeQuestion& question : ane::probe_questions()) {
    CAPTURE(question.name);
    if (question.compiles == 0) continue;
    const ProbeAnswer answer = ask(question.name, {{"fail_compile", "always"}});
    if (question.name == "fp32_io") {
      CHECK(answer.verdict == "inputs and outputs of fp32 are refused");
      continue;
    }
    if (question.name == "folder") continue;  // a refusal is its answer, see above
    CHECK(answer.error);
    CHECK(answer.agreement == ProbeAgreement::untold);
    CHECK(answer.verdict.starts_with("could not be asked: "));
  }
  for (const char* question : {"rows", "names", "fp32_io", "rewritten_weights", "cache"}) {
    CAPTURE(question);
    CHECK(ask(question, {{"fail_evaluate", "always"}}).error.kind() == ane::ErrorKind::evaluate);
  }
  FakeScope fake;
  ProbeAnswer answer = ane::probe(fake.engine(), "colour");
  check_refused(answer, ane::ErrorKind::argument,
                "could not be asked: there is no question 'colour'");
  CHECK(answer.name == "colour");
  answer = ane::probe(ane::Engine(), "rows");
  check_refused(answer, ane::ErrorKind::unavailable, "could not be asked: the engine is not open");
}

TEST_CASE("an engine that does not answer ends a question, not the probe") {
  FakeScope fake({{"hang_once", "evaluate"}});
  fake.allow_live_objects();
  const ProbeAnswer answer = ane::probe(fake.engine(), "perf_stats");
  CHECK(answer.error.kind() == ane::ErrorKind::timeout);
  check(ane::probe(fake.engine(), "symbols"), ProbeAgreement::agrees,
        "the engine tells its symbols and strides, outputs as name@output");
  FakeScope::set("hang_once", "none");
  // What was given up is let go once the call has come back.
  for (int i = 0; i < 500 && FakeScope::live("_ANEInMemoryModel") != 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(FakeScope::live("_ANEInMemoryModel") == 0);
}
