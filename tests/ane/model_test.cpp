#include "milgen/ane/model.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ane/fake.h"
#include "ane/programs.h"
#include "milgen/module.h"
#include "milgen/print.h"

using namespace milgen;
using namespace milgen::ane;
using milgen::test::CleanTemporary;
using milgen::test::compiled;
using milgen::test::evaluate;
using milgen::test::FakeScope;
using milgen::test::kDouble;
using milgen::test::kTwoAndTwo;
using milgen::test::read;
using milgen::test::refusal;
using milgen::test::write;

namespace {

const std::vector<float> kW = {10, 20, 30, 40, 50, 60, 70, 80};
const std::vector<float> kA = {1, 2, 3, 4, 5, 6, 7, 8};

/// A function with these inputs, ops and outputs.
std::string program(const std::string& inputs, const std::string& ops, const std::string& outputs,
                    const std::string& name = "main") {
  return "program(1.3)\n[buildInfo = dict<string, string>({})]\n{\n    func " + name + "<ios18>(" +
         inputs + ") {\n" + ops + "\n        } -> (" + outputs + ");\n}";
}

std::string warnings(std::string_view text) {
  FakeScope fake;
  Diagnostics diagnostics;
  auto model = Model::compile(fake.engine(), text, "test.mil", {}, diagnostics);
  CHECK_MESSAGE(model, model.error().text());
  std::string found;
  for (const Diagnostic& one : diagnostics.all()) {
    CHECK(one.severity == Severity::warning);
    found += one.id + "@" + std::to_string(one.place.line) + ": " + one.message + "\n";
  }
  return found;
}

/// The messages of the log without their arguments.
std::vector<std::string> selectors() {
  std::vector<std::string> out;
  for (const std::string& line : FakeScope::log_lines())
    out.push_back(line.substr(0, line.find(']') + 1));
  return out;
}

}  // namespace

TEST_CASE("the whole life of a program") {
  CleanTemporary temporary;
  FakeScope fake;
  {
    Model model = compiled(fake.engine(), kTwoAndTwo);
    CHECK(model);
    CHECK(model.engine().fake());
    CHECK(model.identifier().size() > 64);
    CHECK_FALSE(model.from_package());
    CHECK(model.bound_by_engine());
    REQUIRE(model.inputs().size() == 2);
    CHECK(model.inputs()[0].name == "w");
    CHECK(model.inputs()[0].symbol_index == 1);
    CHECK(model.inputs()[0].from_model);
    CHECK(model.outputs()[0].symbol == "z@output");
    CHECK(model.find_input("a") == 1);
    CHECK(model.find_output("a") == -1);
    CHECK(temporary.entries() == 1);
    CHECK(std::filesystem::exists(model.folder() + "/model.mil"));
    write(model, "w", kW);
    write(model, 1, kA);
    evaluate(model);
    CHECK(read(model, "z") == std::vector<float>{9, 18, 27, 36, 45, 54, 63, 72});
    CHECK(read(model, 1) == std::vector<float>{90, 234});
    const CompileStats& stats = model.stats();
    CHECK(stats.write_ns > 0);
    CHECK(stats.compile_ns > 0);
    CHECK(stats.load_ns > 0);
    CHECK(stats.map_ns > 0);
    CHECK(stats.total_ns >= stats.write_ns + stats.compile_ns + stats.load_ns + stats.map_ns);
    CHECK(stats.load_attempts == 1);
    CHECK_FALSE(stats.cached);
    CHECK(fake.engine().ledger().compiles == 1);
    CHECK(fake.engine().ledger().successes == 1);
    CHECK(model.close().text() == "");
    CHECK(temporary.entries() == 0);
    CHECK(model.close().text() == "");
  }
  CHECK(selectors() ==
        std::vector<std::string>{
            "+[_ANEInMemoryModelDescriptor modelWithMILText:weights:optionsPlist:]",
            "+[_ANEInMemoryModel inMemoryModelWithDescriptor:]",
            "-[_ANEInMemoryModel hexStringIdentifier]", "-[_ANEInMemoryModel setModelURL:]",
            "-[_ANEInMemoryModel compileWithQoS:options:error:]",
            "-[_ANEInMemoryModel loadWithQoS:options:error:]", "+[_ANERequest request]",
            "-[_ANEInMemoryModel mapIOSurfacesWithRequest:cacheInference:error:]",
            "-[_ANEInMemoryModel evaluateWithQoS:options:request:error:]",
            "-[_ANEInMemoryModel unmapIOSurfacesWithRequest:]",
            "-[_ANEInMemoryModel unloadWithQoS:error:]"});
}

TEST_CASE("a module is sent as it prints, a text as it is") {
  CleanTemporary temporary;
  FakeScope fake;
  TemporaryFolder dump;
  std::string text(kDouble);
  text.replace(text.find("x = x"), 5, "x=x");
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics, {.file = "double.mil"});
  ModelOptions options;
  options.dump_folder = dump.path().string();
  options.compiler_options = {{"name", std::string("value")}};
  for (const bool as_module : {true, false}) {
    auto model = as_module ? Model::compile(fake.engine(), module, options, diagnostics)
                           : Model::compile(fake.engine(), text, "", options, diagnostics);
    REQUIRE_MESSAGE(model, model.error().text());
    const std::string folder(model->identifier());
    CHECK(dump.read(folder + "/model.mil") == (as_module ? print_mil(module) : text));
    CHECK(dump.read(folder + "/options.json").find("\"name\": \"value\"") != std::string::npos);
  }
  CHECK(dump.entries() == 2);
}

TEST_CASE("a dump that cannot be written is an error, and nothing is sent") {
  CleanTemporary temporary;
  FakeScope fake;
  TemporaryFolder folder;
  ::setenv("MILGEN_ANE_DUMP", folder.write("file", "").c_str(), 1);
  const Error error = refusal(fake.engine(), kDouble);
  ::unsetenv("MILGEN_ANE_DUMP");
  CHECK(error.kind() == ErrorKind::file);
  CHECK(fake.logged("compileWithQoS") == 0);
}

TEST_CASE("texts that are none are refused with the first error and their number") {
  FakeScope fake;
  CHECK(refusal(fake.engine(), "program(1.3) {").kind() == ErrorKind::text);
  const Error error = refusal(
      fake.engine(), program("tensor<fp16, [1, 4]> x",
                             "tensor<fp16, [1, 4]> y = relu(x = z)[name = string(\"y\")];\n"
                             "tensor<fp16, [1, 4]> q = frobnicate(x = x)[name = string(\"q\")];",
                             "y, q"));
  CHECK(error.kind() == ErrorKind::text);
  CHECK(error.text().find("the program has 2 errors, the first: test.mil:5: ") == 0);
  CHECK(fake.logged("modelWithMILText") == 0);
  Diagnostics diagnostics;
  CHECK_FALSE(Model::compile(fake.engine(), Module(), {}, diagnostics));
}

TEST_CASE("the function that runs is the first") {
  FakeScope fake;
  const std::string op = "tensor<fp16, [1, 32]> y = relu(x = x)[name = string(\"y\")];";
  const std::string input = "tensor<fp16, [1, 32]> x";
  const std::string body = "<ios18>(" + input + ") {\n" + op + "\n} -> (y);\n";
  const std::string two = "program(1.3)\n[buildInfo = dict<string, string>({})]\n{\nfunc main" +
                          body + "func other" + body + "}";
  ModelOptions options;
  CHECK(compiled(fake.engine(), two, options));
  options.function = "other";
  CHECK(
      refusal(fake.engine(), two, options).text() ==
      "function other is not the first of the program, which has main, other; the engine runs the "
      "first; put the function into a text of its own");
  options.function = "third";
  CHECK(refusal(fake.engine(), two, options).text() ==
        "the program has no function third, only main, other");
  CHECK(refusal(fake.engine(), two, options).kind() == ErrorKind::argument);
  CHECK(compiled(fake.engine(), program(input, op, "y", "only")));
  const std::string no_main = "program(1.3)\n[buildInfo = dict<string, string>({})]\n{\nfunc one" +
                              body + "func other" + body + "}";
  CHECK(refusal(fake.engine(), no_main).text() ==
        "the program has the functions one, other and none is called main");
}

TEST_CASE("what surfaces cannot hold is refused before anything is sent") {
  FakeScope fake;
  CHECK(
      refusal(
          fake.engine(),
          program("state<tensor<fp16, [1, 32]>> s",
                  "tensor<fp16, [1, 32]> y = read_state(input = s)[name = string(\"y\")];", "y"))
          .text() ==
      "input s is state<tensor<fp16, [1, 32]>>, and the runtime takes no states; give the state as "
      "an input and an output, and alternate their surfaces (StateHandle)");
  CHECK(refusal(fake.engine(), program("tensor<int32, [1, 32]> x",
                                       "tensor<int32, [1, 32]> y = add(x = x, y = x)[name = "
                                       "string(\"y\")];",
                                       "y"))
            .kind() == ErrorKind::layout);
  const std::string relu = "tensor<fp16, [1, 32]> y = relu(x = x)[name = string(\"y\")];";
  CHECK(refusal(fake.engine(),
                program("tensor<fp16, [1, 32]> x",
                        relu + "\nstring s = const()[name = string(\"s\"), val = string(\"a\")];",
                        "y, s"))
            .text() ==
        "'s' is tensor<string, []>, but surfaces hold fp16, fp32, int8, uint8, int16, uint16 and "
        "bool");
  CHECK(fake.logged("modelWithMILText") == 0);
}

TEST_CASE("the lint warns of names that do not sort, and of rows with gaps") {
  CHECK(
      warnings(kTwoAndTwo) ==
      "ane.order@4: input w is declared before a and sorts behind it, so that hosts which bind in "
      "declared order swap them\n"
      "ane.pitch@4: input 'w' is tensor<fp16, [1, 2, 1, 4]> with rows of 8 bytes, which the "
      "engine keeps 64 bytes apart, so that hosts which write packed bytes misplace them\n"
      "ane.pitch@4: input 'a' is tensor<fp16, [1, 2, 1, 4]> with rows of 8 bytes, which the "
      "engine keeps 64 bytes apart, so that hosts which write packed bytes misplace them\n"
      "ane.order@9: output z@output is declared before b@output and sorts behind it, so that hosts "
      "which bind in declared order swap them\n"
      "ane.pitch@9: output 'z' is tensor<fp16, [1, 2, 1, 4]> with rows of 8 bytes, which the "
      "engine keeps 64 bytes apart, so that hosts which write packed bytes misplace them\n"
      "ane.pitch@9: output 'b' is tensor<fp16, [1, 2, 1, 1]> with rows of 2 bytes, which the "
      "engine keeps 64 bytes apart, so that hosts which write packed bytes misplace them\n");
  CHECK(warnings(kDouble) == "");
  // By names y comes first, by symbols y2 does.
  const std::string ops =
      "tensor<fp16, [1, 32]> y = relu(x = x)[name = string(\"y\")];\n"
      "tensor<fp16, [1, 32]> y2 = square(x = x)[name = string(\"y2\")];";
  CHECK(warnings(program("tensor<fp16, [1, 32]> x", ops, "y, y2")) ==
        "ane.order@7: output y@output is declared before y2@output and sorts behind it, so that "
        "hosts which bind in declared order swap them\n");
}

TEST_CASE("ports that there are none of, and values that do not fit, name what there is") {
  CleanTemporary temporary;
  FakeScope fake;
  Model model = compiled(fake.engine(), kTwoAndTwo);
  std::vector<float> values(8);
  CHECK(model.write_fp32("q", values).text() == "there is no input 'q', only 'w', 'a'");
  CHECK(model.write_fp32(2, values).text() == "there is no input 2, only 0 to 1: 'w', 'a'");
  CHECK(model.write_fp32(-1, values).text() == "there is no input -1, only 0 to 1: 'w', 'a'");
  CHECK(model.read_fp32("w", values).text() == "there is no output 'w', only 'z', 'b'");
  CHECK(model.write_fp32("w", std::span(values).first(7)).kind() == ErrorKind::argument);
  Array array(DType::fp32, {1, 2, 1, 4});
  CHECK(model.write("w", array).text() ==
        "input 'w' is tensor<fp16, [1, 2, 1, 4]> but the array is tensor<fp32, [1, 2, 1, 4]>");
  CHECK(model.read("z", array).text() ==
        "output 'z' is tensor<fp16, [1, 2, 1, 4]> but the array is tensor<fp32, [1, 2, 1, 4]>");
  CHECK_FALSE(model.view_input("q"));
  CHECK_FALSE(model.view_output("q"));
  CHECK_FALSE(model.input_surface("q"));
  CHECK_FALSE(model.output_surface("q"));
  CHECK(model.write_fp32("w", values).text() == "");
}

TEST_CASE("every way in and out moves the same values") {
  CleanTemporary temporary;
  FakeScope fake;
  Model model = compiled(fake.engine(), kTwoAndTwo);
  Array w(DType::fp16, {1, 2, 1, 4});
  for (std::int64_t i = 0; i < 8; ++i) w.set(i, kW[static_cast<std::size_t>(i)]);
  CHECK(model.write("w", w).text() == "");
  CHECK(model.write_fp16("a", test::halves(kA)).text() == "");
  evaluate(model);
  Array z;
  CHECK(model.read("z", z).text() == "");
  CHECK(z.real(7) == 72);
  std::vector<std::uint16_t> z16(8);
  CHECK(model.read_fp16("z", z16).text() == "");
  CHECK(z16[0] == half_from_float(9));
  std::vector<std::byte> packed(16);
  CHECK(model.read_packed("z", packed).text() == "");
  CHECK(model.write_packed("w", packed).text() == "");
  std::vector<std::byte> raw(128);
  CHECK(model.read_raw("z", raw).text() == "");
  CHECK(std::equal(packed.begin(), packed.begin() + 8, raw.begin()));
  CHECK(std::equal(packed.begin() + 8, packed.end(), raw.begin() + 64));
  CHECK(model.write_raw("w", raw).text() == "");
  evaluate(model);
  CHECK(read(model, "z") == std::vector<float>{8, 16, 24, 32, 40, 48, 56, 64});
  {
    auto view = model.view_input("a");
    REQUIRE(view);
    CHECK(view->bytes().size() == 128);
    std::fill(view->bytes().begin(), view->bytes().end(), std::byte{0});
    auto out = model.view_output("z");
    REQUIRE(out);
  }
  evaluate(model);
  CHECK(read(model, "z") == std::vector<float>{9, 18, 27, 36, 45, 54, 63, 72});
}

TEST_CASE("surfaces are shared and copied from one program to the next") {
  CleanTemporary temporary;
  FakeScope fake;
  Model first = compiled(fake.engine(), kDouble);
  Model second = compiled(fake.engine(), kDouble);
  Model third = compiled(fake.engine(), kDouble);
  CHECK(share_surface(first, "y", second, "x").text() == "");
  CHECK(*first.output_surface("y") == *second.input_surface("x"));
  write(first, "x", std::vector<float>(128, 1));
  evaluate(first);
  evaluate(second);
  CHECK(copy_io(second, "y", third, "x").text() == "");
  evaluate(third);
  CHECK(read(third, "y") == std::vector<float>(128, 8));
  // Of a model to itself: an output becomes the next input.
  CHECK(copy_io(third, "y", third, "x").text() == "");
  evaluate(third);
  CHECK(read(third, "y") == std::vector<float>(128, 16));
  CHECK(
      copy_io(third, "y", first, "x", {.source_channel = 0, .channel = 3, .channels = 1}).text() ==
      "");
  evaluate(first);
  std::vector<float> expected(128, 2);
  std::fill(expected.begin() + 96, expected.end(), 32.0f);
  CHECK(read(first, "y") == expected);
  CHECK(share_surface(third, "y", third, "x").text() == "");

  Model other = compiled(fake.engine(), kTwoAndTwo);
  CHECK(share_surface(first, "y", other, "w").text() ==
        "output 'y' is tensor<fp16, [1, 4, 1, 32]> but input 'w' is tensor<fp16, [1, 2, 1, 4]>");
  CHECK(share_surface(first, "q", other, "w").text() == "there is no output 'q', only 'y'");
  CHECK(copy_io(first, "y", other, "q").text() == "there is no input 'q', only 'w', 'a'");
  CHECK(copy_io(first, 1, other, 0).text() == "there is no output 1, only 0 to 0: 'y'");
  Model none;
  CHECK(copy_io(none, 0, first, 0).kind() == ErrorKind::closed);
  CHECK(copy_io(first, 0, none, 0).kind() == ErrorKind::closed);
  CHECK(share_surface(none, 0, none, 0).kind() == ErrorKind::closed);
}

TEST_CASE("programs that lay a tensor out differently do not share its surface") {
  CleanTemporary temporary;
  FakeScope fake;
  Model first = compiled(fake.engine(), kDouble);
  FakeScope::set("rows", "128");
  Model second = compiled(fake.engine(), kDouble);
  const Error error = share_surface(first, "y", second, "x");
  CHECK(error.kind() == ErrorKind::layout);
  CHECK(error.text() ==
        "one surface cannot be both: output 'y' is tensor<fp16, [1, 4, 1, 32]>, its rows 64 and "
        "its planes 64 bytes apart, but input 'x' is tensor<fp16, [1, 4, 1, 32]>, its rows 128 and "
        "its planes 128 bytes apart");
  write(first, "x", std::vector<float>(128, 1));
  evaluate(first);
  CHECK(copy_io(first, "y", second, "x").text() == "");
  evaluate(second);
  CHECK(read(second, "y") == std::vector<float>(128, 4));
}

TEST_CASE("a surface of the caller takes a port's place when it is large enough") {
  CleanTemporary temporary;
  FakeScope fake;
  Model model = compiled(fake.engine(), kDouble);
  auto large = Surface::create(fake.engine(), 65536);
  REQUIRE(large);
  const Surface before = *model.output_surface("y");
  CHECK(model.set_output_surface("y", *large).text() == "");
  CHECK(*model.output_surface("y") == *large);
  write(model, "x", std::vector<float>(128, 3));
  evaluate(model);
  CHECK(read(model, "y") == std::vector<float>(128, 6));
  CHECK(model.set_input_surface("x", Surface()).text() ==
        "input 'x' is tensor<fp16, [1, 4, 1, 32]> in 256 bytes, but the surface has 0");
  CHECK(model.set_input_surface("q", *large).text() == "there is no input 'q', only 'x'");
  // What cannot be mapped leaves the model as it was.
  FakeScope::set("fail_map", "always");
  CHECK(model.set_output_surface("y", before).kind() == ErrorKind::map);
  FakeScope::set("fail_map", "0");
  CHECK(*model.output_surface("y") == *large);
  evaluate(model);
}

TEST_CASE("a model that is closed, moved from or none gives that and nothing else") {
  CleanTemporary temporary;
  FakeScope fake;
  Model none;
  std::vector<float> values(128);
  CHECK_FALSE(none);
  CHECK(none.write_fp32(0, values).text() == "the model is none, or was moved from");
  CHECK(none.evaluate().kind() == ErrorKind::closed);
  CHECK(none.close().text() == "");
  CHECK_FALSE(none.engine());
  CHECK(none.identifier() == "");
  CHECK(none.folder() == "");
  CHECK(none.stats().total_ns == 0);
  CHECK(none.hardware_ns() == 0);
  CHECK(none.inputs().empty());
  CHECK(none.outputs().empty());
  Model model = compiled(fake.engine(), kDouble);
  Model moved = std::move(model);
  CHECK(moved.write_fp32(0, values).text() == "");
  moved = compiled(fake.engine(), kTwoAndTwo);
  Model& same = moved;
  moved = std::move(same);
  CHECK(moved.find_input("w") == 0);
  CHECK(moved.close().text() == "");
  CHECK(moved.read_fp32(0, values).text() == "model 'test.mil' is closed");
  CHECK(moved.evaluate().kind() == ErrorKind::closed);
  CHECK(moved.inputs().size() == 2);
  Diagnostics diagnostics;
  CHECK(Model::compile(Engine(), kDouble, "", {}, diagnostics).error().text() ==
        "the engine is not open");
  CHECK(Model::load_package(Engine(), "/tmp", {}, diagnostics).error().kind() ==
        ErrorKind::unavailable);
}

TEST_CASE("a forked child can use nothing, and takes nothing from its parent") {
  CleanTemporary temporary;
  FakeScope fake;
  Model model = compiled(fake.engine(), kDouble);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    bool right = model.evaluate().kind() == ErrorKind::closed;
    right = right && model.close().text().empty();
    model = Model();
    right = right && temporary.entries() == 1;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  write(model, "x", std::vector<float>(128, 1));
  evaluate(model);
}

TEST_CASE("hardware time is told where the mask asks for it") {
  CleanTemporary temporary;
  for (const std::string& hide :
       std::vector<std::string>{"",
                                "_ANERequest.requestWithInputs:inputIndices:outputs:"
                                "outputIndices:weightsBuffer:perfStats:procedureIndex:",
                                "_ANERequest.requestWithInputs:inputIndices:outputs:"
                                "outputIndices:weightsBuffer:perfStats:procedureIndex:+_ANERequest."
                                "requestWithInputs:inputIndices:outputs:outputIndices:perfStats:"
                                "procedureIndex:",
                                "_ANEInMemoryModel.setPerfStatsMask:"}) {
    CAPTURE(hide);
    FakeScope fake({{"hw_ns", "4711"}, {"hide", hide}});
    ModelOptions options;
    options.perf_stats_mask = 1;
    Model model = compiled(fake.engine(), kDouble, options);
    write(model, "x", std::vector<float>(128, 1));
    CHECK(model.hardware_ns() == 0);
    evaluate(model);
    CHECK(read(model, "y") == std::vector<float>(128, 2));
    if (hide.find("setPerfStatsMask") == std::string::npos) CHECK(model.hardware_ns() == 4711);
  }
}

TEST_CASE("the options of the caller reach the engine") {
  CleanTemporary temporary;
  FakeScope fake;
  ModelOptions options;
  options.qos = 33;
  options.options = {{"kANEFKeepModelMemoryWiredKey", true},
                     {"kANEFAneInstanceHint", std::int64_t{1}}};
  options.compile_timeout = options.load_timeout = options.evaluate_timeout =
      std::chrono::milliseconds{0};
  Model model = compiled(fake.engine(), kDouble, options);
  evaluate(model);
  CHECK(fake.logged("compileWithQoS:options:error:] qos=33 options={...} -> 1") == 1);
  CHECK(fake.logged("loadWithQoS:options:error:] qos=33 options={...} -> 1") == 1);
}

TEST_CASE("what the engine cannot be told is an error, and nothing is sent in its place") {
  CleanTemporary temporary;
  TemporaryFolder folder;
  FakeScope fake;
  const std::string cut("a\0b", 3);
  ModelOptions options;
  options.options = {{"kANEFKeepModelMemoryWiredKey", true}, {"key", cut}};
  CHECK(refusal(fake.engine(), kDouble, options).text() ==
        "the options of test.mil make no dictionary");
  Diagnostics diagnostics;
  CHECK(Model::load_package(fake.engine(), folder.path().string(), options, diagnostics)
            .error()
            .kind() == ErrorKind::argument);
  options = {};
  options.compiler_options = {{cut, true}};
  CHECK(refusal(fake.engine(), kDouble, options).text() ==
        "the compiler options of test.mil make no property list");
  CHECK(fake.logged("modelWithMILText") == 0);

  const std::string no_text = folder.file("\xff");
  options = {};
  options.cache = {.enabled = true, .folder = no_text};
  const Error error = refusal(fake.engine(), kDouble, options);
  CHECK(error.kind() == ErrorKind::file);
  CHECK(error.text().find("is no text that makes a URL") != std::string::npos);
  CHECK(Model::load_package(fake.engine(), no_text, {}, diagnostics).error().kind() ==
        ErrorKind::file);
  CHECK(fake.logged("compile") == 0);
}

TEST_CASE("calls of two threads for one model exclude each other") {
  CleanTemporary temporary;
  FakeScope fake({{"latency_us", "1000"}});
  Model model = compiled(fake.engine(), kDouble);
  std::atomic<int> failures{0};
  const auto body = [&] {
    std::vector<float> values(128);
    for (int i = 0; i < 20; ++i) {
      if (model.write_fp32("x", values) || model.evaluate() || model.read_fp32("y", values)) {
        ++failures;
      }
    }
  };
  std::thread other(body);
  body();
  other.join();
  CHECK(failures == 0);
}

TEST_CASE("a package is loaded through the client") {
  CleanTemporary temporary;
  TemporaryFolder package;
  package.write("model.mil", kTwoAndTwo);
  for (const std::string attributes : {"1", "0"}) {
    CAPTURE(attributes);
    FakeScope fake({{"attributes", attributes}});
    Diagnostics diagnostics;
    auto model = Model::load_package(fake.engine(), package.path().string(), {}, diagnostics);
    REQUIRE_MESSAGE(model, model.error().text());
    CHECK(model->from_package());
    CHECK(model->identifier() == package.path().string());
    CHECK(model->folder() == package.path().string());
    CHECK(model->bound_by_engine() == (attributes == "1"));
    write(*model, "w", kW);
    write(*model, "a", kA);
    evaluate(*model);
    CHECK(read(*model, "z") == std::vector<float>{9, 18, 27, 36, 45, 54, 63, 72});
    CHECK(read(*model, "b") == std::vector<float>{90, 234});
    CHECK(model->close().text() == "");
  }
}

TEST_CASE("hardware time is told of a package, too") {
  TemporaryFolder package;
  package.write("model.mil", kDouble);
  FakeScope fake({{"hw_ns", "4711"}});
  ModelOptions options;
  options.perf_stats_mask = 1;
  Diagnostics diagnostics;
  auto model = Model::load_package(fake.engine(), package.path().string(), options, diagnostics);
  REQUIRE_MESSAGE(model, model.error().text());
  evaluate(*model);
  CHECK(model->hardware_ns() == 4711);
}

TEST_CASE("packages that cannot be loaded say why") {
  CleanTemporary temporary;
  TemporaryFolder package;
  Diagnostics diagnostics;
  {
    FakeScope fake;
    const auto none = Model::load_package(fake.engine(), package.file("none"), {}, diagnostics);
    CHECK(none.error().text() == package.file("none") + " is no folder, and a package is one");
    CHECK(diagnostics.all().back().id == "ane.file");
    CHECK(Model::load_package(fake.engine(), package.path().string(), {}, diagnostics)
              .error()
              .kind() == ErrorKind::compile);
  }
  package.write("model.mil", kDouble);
  {
    FakeScope fake({{"fail_load", "always"}});
    ModelOptions options;
    options.load_pause = std::chrono::milliseconds{1};
    CHECK(Model::load_package(fake.engine(), package.path().string(), options, diagnostics)
              .error()
              .kind() == ErrorKind::load);
  }
  {
    FakeScope fake({{"hide", "_ANEClient.loadModel:options:qos:error:"}});
    CHECK(Model::load_package(fake.engine(), package.path().string(), {}, diagnostics)
              .error()
              .kind() == ErrorKind::selector);
  }
}
