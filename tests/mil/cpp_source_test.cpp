#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>

#include "milgen/emit.h"
#include "milgen/milgen.h"
#include "milgen/print_cpp.h"
#include "milgen/weights.h"
#include "support/temporary_folder.h"

namespace milgen {
namespace {

constexpr std::string_view kHead =
    "program(1.3)\n[buildInfo = dict<string, string>({})]\n{\n    func main<ios18>";

struct Printed {
  bool ok = false;
  std::string source;
  std::string reports;
};

Printed print(const std::string& text,
              const CppOptions& options = {.name = "f", .source = "t.mil"}) {
  Printed out;
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics, {.file = "t.mil"});
  out.ok = print_cpp(module, options, out.source, diagnostics);
  RenderOptions without_lines;
  without_lines.source_lines = false;
  out.reports = render(diagnostics, without_lines);
  return out;
}

/// A program whose function has these parameters, ops and outputs.
std::string program(std::string_view params, std::string_view ops, std::string_view outputs,
                    std::string_view head = kHead) {
  std::string out(head);
  out += "(";
  out += params;
  out += ") {\n";
  out += ops;
  out += "        } -> (";
  out += outputs;
  out += ");\n}";
  return out;
}

/// The body of the only kernel.
std::string body(const Printed& printed) {
  const std::string begin = "Config&) {\n";
  const std::size_t at = printed.source.find(begin);
  if (at == std::string::npos) return {};
  const std::size_t first = at + begin.size();
  return printed.source.substr(first, printed.source.find("\n}\n", first) + 1 - first);
}

TEST_CASE("ops read as a person writes them") {
  const Printed printed = print(program(
      "tensor<fp16, [1, 4, 1, 8]> x",
      "tensor<fp16, [1, 4, 1, 8]> a = mul(x = x, y = fp16(0.5))[name = string(\"a\")];\n"
      "bool keep = const()[name = string(\"keep\"), val = bool(true)];\n"
      "tensor<int32, [1]> axes = const()[name = string(\"axes\"), val = tensor<int32, [1]>([1])];\n"
      "tensor<fp16, [1, 1, 1, 8]> sum = reduce_sum(axes = axes, keep_dims = keep, x = a);\n"
      "tensor<fp16, [1, 4, 1, 8]> b = softmax(axis = int32(-1), x = a);\n"
      "tensor<fp16, [1, 4, 1, 8]> add_0 = add(x = b, y = sum);\n"
      "tensor<fp16, [1, 4, 1, 8]> y = mul(x = add_0, y = x);\n",
      "y"));
  CHECK(printed.ok);
  CHECK(printed.reports == "");
  CHECK(body(printed) ==
        "  auto x = k.input<fp16>(\"x\", {1, 4, 1, 8});\n"
        "  auto a = (x * 0.5).named(\"a\");\n"
        "  auto sum = reduce_sum(a, {.axes = {1}, .keep_dims = true}).named(\"sum\");\n"
        "  auto b = softmax(a).named(\"b\");\n"
        "  auto add_0 = b + sum;\n"
        "  auto y = add_0 * x;\n"
        "  k.output(\"y\", y);\n");
}

TEST_CASE("the header says how to emit, main registers the kernel with its opset") {
  const Printed printed =
      print(program("tensor<fp16, [4]> x", "tensor<fp16, [4]> y = relu(x = x);\n", "y",
                    "program(1.0)\n{\n    func main<ios16>"),
            {.name = "mine", .source = "a.mil"});
  CHECK(printed.source.find("from a.mil.\n") != std::string::npos);
  CHECK(printed.source.find("PROGRAM emit mine -o OUT --weights-from MODEL\n") !=
        std::string::npos);
  CHECK(printed.source.find("void mine(Kernel& k, const Config&) {\n") != std::string::npos);
  CHECK(printed.source.find(".kernel<mine>(\"mine\", \"func main\", Opset::ios16);\n") !=
        std::string::npos);
}

TEST_CASE("each function is a kernel; main is a word of C++") {
  const std::string text =
      "program(1.3)\n{\n"
      "    func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y);\n"
      "    func relu<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = sigmoid(x = x); } -> "
      "(y);\n"
      "}";
  const Printed printed = print(text, {});
  CHECK(printed.ok);
  CHECK(printed.source.find("void main_(Kernel& k, const Config&)") != std::string::npos);
  CHECK(printed.source.find("void relu_(Kernel& k, const Config&)") != std::string::npos);
  CHECK(printed.source.find(".kernel<main_>(\"main\", \"func main\")\n") != std::string::npos);
  CHECK(printed.source.find(".kernel<relu_>(\"relu\", \"func relu\");\n") != std::string::npos);
}

TEST_CASE("weights are called as their files, or as their constants where they share one") {
  const auto weight = [](std::string_view name, std::string_view path, int offset) {
    return "tensor<fp16, [4]> " + std::string(name) + " = const()[name = string(\"" +
           std::string(name) + "\"), val = tensor<fp16, [4]>(BLOBFILE(path = string(\"" +
           std::string(path) + "\"), offset = uint64(" + std::to_string(offset) + ")))];\n";
  };
  const Printed printed = print(program("tensor<fp16, [4]> x",
                                        weight("c0", "@model_path/weights/wq.bin", 64) +
                                            weight("c1", "@model_path/weights/weight.bin", 64) +
                                            weight("c2", "@model_path/weights/weight.bin", 192) +
                                            "tensor<fp16, [4]> a = add(x = x, y = c0);\n"
                                            "tensor<fp16, [4]> b = add(x = a, y = c1);\n"
                                            "tensor<fp16, [4]> y = add(x = b, y = c2);\n",
                                        "y"));
  CHECK(printed.reports == "");
  CHECK(body(printed).find("auto wq = k.weight<fp16>(\"wq\", {4});") != std::string::npos);
  CHECK(body(printed).find("auto c1 = k.weight<fp16>(\"c1\", {4});") != std::string::npos);
  CHECK(body(printed).find("auto c2 = k.weight<fp16>(\"c2\", {4});") != std::string::npos);
}

TEST_CASE("what the DSL has no words for is reported where it stands") {
  const auto reports = [](std::string_view params, std::string_view ops, std::string_view outputs,
                          std::string_view head = kHead) {
    const Printed printed = print(program(params, ops, outputs, head));
    CHECK_FALSE(printed.ok);
    CHECK(printed.source == "");
    return printed.reports;
  };
  constexpr std::string_view kX = "tensor<fp16, [4]> x";
  CHECK(reports(kX, "tensor<fp16, [4]> y = relo(x = x);\n", "y") ==
        "t.mil:5:23: error: the DSL has no function for op relo [cpp.op]\n");
  CHECK(reports(kX, "tensor<fp16, [4]> y = relu(x = x, z = x);\n", "y") ==
        "t.mil:5:35: error: the DSL's relu has no argument z [cpp.argument]\n");
  CHECK(reports(kX, "tensor<fp16, [4]> y = add(x = x);\n", "y") ==
        "t.mil:5:23: error: add has no argument y, which the DSL asks for [cpp.argument]\n");
  CHECK(reports(kX, "tensor<fp16, [4]> y = relu(x = z);\n", "y") ==
        "t.mil:5:32: error: nothing defines 'z' [cpp.argument]\n");
  CHECK(reports(kX, "", "x") ==
        "t.mil:5:15: error: output 'x' is an input; the DSL would put an identity op in between "
        "[cpp.output]\n");
  CHECK(reports(kX, "tensor<fp16, [4]> y = relu(x = x);\n", "y, y") ==
        "t.mil:6:18: error: output 'y' is an output already; the DSL would put an identity op in "
        "between [cpp.output]\n");
  CHECK(reports("tensor<fp8e5m2, [4]> x", "tensor<fp8e5m2, [4]> y = identity(x = x);\n", "y") ==
        "t.mil:4:43: error: the DSL has no values of type tensor<fp8e5m2, [4]> [cpp.type]\n"
        "t.mil:5:22: error: the DSL has no values of type tensor<fp8e5m2, [4]> [cpp.type]\n");
  CHECK(reports(kX, "tensor<fp16, [4]> y = add(x = x, y = tensor<fp16, [4]>([1, 2]));\n", "y") ==
        "t.mil:5:38: error: the value of tensor<fp16, [4]> does not fit its type [cpp.literal]\n");
  CHECK(reports(kX, "tensor<fp16, [4]> y = relu(x = x);\n", "y",
                "program(1.3)\n{\n\n    func main<ios26>") ==
        "t.mil:4:10: error: the DSL has no opset ios26; it has ios15 to ios18 [cpp.opset]\n");
  CHECK(reports(kX, "tensor<fp16, [4]> y = relu<ios17>(x = x);\n", "y") ==
        "t.mil:5:23: error: relu is of ios17 in a function of ios18; a kernel of the DSL has one "
        "opset [cpp.opset]\n");
  CHECK(
      print("program(1.3)\n{")
          .reports.ends_with("error: t.mil has syntax errors; what could not be read would be lost "
                             "[cpp.syntax]\n"));
}

TEST_CASE("what is not carried over is a warning") {
  const Printed printed =
      print(program("tensor<fp16, [4]> x",
                    "tensor<fp16, [4]> dead = exp(x = x);\n"
                    "tensor<fp16, [4]> y = softmax(x = x)[milId = uint64(5)];\n",
                    "y"));
  CHECK(printed.ok);
  CHECK(printed.reports ==
        "t.mil:6:38: warning: attribute milId is left out: ops of the DSL have none [cpp.dropped]\n"
        "t.mil:5:26: warning: the result of exp, 'dead', is not needed by any output and is left "
        "out [cpp.dropped]\n"
        "t.mil:6:23: warning: softmax is written without axis; the DSL writes out the default "
        "[cpp.default]\n");
  CHECK(body(printed) ==
        "  auto x = k.input<fp16>(\"x\", {4});\n"
        "  auto y = softmax(x);\n"
        "  k.output(\"y\", y);\n");
}

TEST_CASE("no line is longer than 100 columns, however many elements a constant has") {
  std::string elements;
  for (int i = 0; i < 2000; ++i) elements += (i == 0 ? "" : ", ") + std::to_string(i * 37);
  const Printed printed = print(program(
      "tensor<int32, [2000]> x",
      "tensor<int32, [2000]> a_rather_long_name_for_the_values_of_a_constant = const()[val = "
      "tensor<int32, [2000]>([" +
          elements +
          "])];\n"
          "tensor<int32, [2000]> y = add(x = x, y = "
          "a_rather_long_name_for_the_values_of_a_constant);\n",
      "y"));
  CHECK(printed.ok);
  std::istringstream lines(printed.source);
  std::size_t count = 0;
  std::size_t longest = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    longest = std::max(longest, line.size());
  }
  CHECK(longest <= 100);
  CHECK(count > 100);
}

TEST_CASE("a text's own weights are found under the names that are printed") {
  const TemporaryFolder folder;
  Kernel k("f");
  auto x = k.input<fp16>("x", {4});
  k.output("y", x + k.weight<fp16>("w", {4}));
  const Program original = k.finish();
  Diagnostics diagnostics;
  EmitOptions options;
  options.layout.files = WeightFiles::shared;
  const auto seeded = seeded_weights(7);
  REQUIRE(emit(std::span(&original, 1), folder.path().string(), *seeded, options, diagnostics));
  const Module module = read_mil(folder.file("f.mil"), diagnostics);
  const auto source = model_weights(module, folder.path().string(), {}, diagnostics);
  CHECK(render(diagnostics) == "");
  REQUIRE(source != nullptr);
  CHECK(source->names() == std::vector<std::string>{"w"});
  const WeightRequest request{"w", DType::fp16, {4}};
  HashSink found;
  HashSink expected;
  CHECK(source->read(request, found, diagnostics));
  CHECK(fill_weight(request, 7, expected, diagnostics));
  CHECK(found.finish() == expected.finish());
}

TEST_CASE("every real file is printed, or it is said what the DSL has no words for") {
  const char* variable = std::getenv("MILGEN_CORPUS");  // NOLINT(concurrency-mt-unsafe)
  const std::filesystem::path corpus = variable != nullptr ? variable : "../shared/corpus";
  if (!std::filesystem::is_directory(corpus)) {
    REQUIRE(variable == nullptr);
    MESSAGE("skipped: there is no ", corpus.string());
    return;
  }
  int printed = 0;
  int refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    if (entry.path().extension() != ".mil") continue;
    CAPTURE(entry.path().string());
    Diagnostics diagnostics;
    const Module module = read_mil(entry.path().string(), diagnostics);
    std::string source;
    const bool ok = print_cpp(module, {}, source, diagnostics);
    CHECK(ok == !diagnostics.has_errors());
    for (const Diagnostic& diagnostic : diagnostics.all()) CHECK(diagnostic.id.starts_with("cpp."));
    ++(ok ? printed : refused);
  }
  MESSAGE(printed, " files are printed as C++, ", refused, " are refused");
  CHECK(printed > refused);
}

}  // namespace
}  // namespace milgen
