// Modules as text: as written, in canonical form, in the other dialect.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/module.h"
#include "milgen/print.h"

namespace fs = std::filesystem;
using namespace milgen;

namespace {

std::string printed(std::string_view text, const ModulePrintOptions& options = {}) {
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics);
  CAPTURE(render(diagnostics));
  CHECK(module);
  return print_mil(module, options);
}

std::string canonical(std::string_view text) {
  const std::string out = printed(text, {.canonical = true});
  CHECK(printed(out, {.canonical = true}) == out);
  return out;
}

/// A program of one function with these lines, twelve columns in.
std::string program(std::string_view inputs, const std::vector<std::string>& ops,
                    std::string_view outputs = "y") {
  std::string text = fmt::format("program(1.3) {{\n    func main<ios18>({}) {{\n", inputs);
  for (const std::string& op : ops) text += fmt::format("            {}\n", op);
  return text + fmt::format("        }} -> ({});\n}}", outputs);
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The texts below a folder, by name.
std::vector<fs::path> texts_in(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code code;
  for (fs::directory_iterator file(folder, code), end; !code && file != end; file.increment(code)) {
    if (file->path().extension() == ".mil") out.push_back(file->path());
  }
  std::ranges::sort(out);
  return out;
}

constexpr std::string_view kLoop =
    "program(1.3)\n"
    "[buildInfo = dict<string, string>({{\"coremlc-component-MIL\", \"3520.4.1\"}, {\"z\", "
    "\"\"}})]\n"
    "{\n"
    "    func main<ios17>(tensor<fp16, [1, ?]> x) [FlexibleShapeInformation = tuple<tuple<string, "
    "dict<string, tensor<int32, [?]>>>, tuple<string, dict<string, list<tensor<int32, [2]>, "
    "?>>>>(((\"DefaultShapes\", {{\"x\", [1, 1]}}), (\"RangeDims\", {{\"x\", [[1, 1], [1, "
    "-1]]}})))] {\n"
    "            int32 zero = const()[name = string(\"zero\"), val = int32(0)];\n"
    "            int32 i_1, tensor<fp16, [1, ?]> h_1 = while_loop(loop_vars = (zero, x))[name = "
    "string(\"loop\")]\n"
    "                (int32 i, tensor<fp16, [1, ?]> h) {\n"
    "                    bool more = less(x = i, y = int32(4))[name = string(\"more\")];\n"
    "                } -> (more)\n"
    "                (int32 i, tensor<fp16, [1, ?]> h) {\n"
    "                    int32 next = add(x = i, y = int32(1))[name = string(\"next\")];\n"
    "                    tensor<fp16, [1, ?]> g = cond(pred = bool(true))\n"
    "                        () {\n"
    "                            tensor<fp16, [1, ?]> r = relu(x = h);\n"
    "                        } -> (r)\n"
    "                        {\n"
    "                        } -> (h);\n"
    "                } -> (next, g);\n"
    "            tensor<fp16, [1, 2]> v, tensor<uint16, [1, 2]> j = topk<ios16>(axis = int32(-1), "
    "k "
    "= int32(2), x = h_1);\n"
    "        } -> (h_1, i_1, v, j);\n"
    "    func other<ios18>(state<tensor<fp16, [4]>> cache, tensor_buffer<fp16, shape=[1, 64], "
    "strides=[64, 1]> b) {\n"
    "            write_state(data = b, input = cache)[name = string(\"w\")];\n"
    "            tensor<fp16, [4]> y = mystery(k = fp64(0x1p-3), n = -3, s = \"bare\", v = (a, (b, "
    "cache), ()))[BackendSupport = list<string, 2>([\"a\", \"b\"]), EstimatedRuntime = "
    "dict<string, "
    "fp64>({{\"ane\", 4.0960000000000001e-05}}), milId = uint64(5)];\n"
    "        } -> ();\n"
    "}\n";

constexpr std::string_view kOld =
    "program(1.0)\n"
    "[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{\"a\", \"1\"}})]\n"
    "{\n"
    "    func main<ios15>(tensor<fp32, []> x) {\n"
    "            tensor<fp32, [8, 4]> w = const()[name = tensor<string, []>(\"w\"), val = "
    "tensor<fp32, [8, 4]>(BLOBFILE(path = tensor<string, []>(\"@model_path/weights/weight.bin\"), "
    "offset = tensor<uint64, []>(64)))];\n"
    "            tensor<uint8, [4]> q = constexpr_affine_dequantize()[axis = tensor<int32, []>(0), "
    "name = tensor<string, []>(\"q\"), quantized_data = tensor<int8, [2]>([-1, 2]), scale = "
    "tensor<fp32, []>(0x1p-1)];\n"
    "            tensor<bool, []> t = const()[val = tensor<bool, []>(true)];\n"
    "        } -> (x, w);\n"
    "}";

constexpr std::string_view kNew =
    "program(1.3)\n"
    "[buildInfo = dict<string, string>({{\"a\", \"1\"}})]\n"
    "{\n"
    "    func main<ios15>(fp32 x) {\n"
    "            tensor<fp32, [8, 4]> w = const()[name = string(\"w\"), val = tensor<fp32, [8, "
    "4]>(BLOBFILE(path = string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))];\n"
    "            tensor<uint8, [4]> q = constexpr_affine_dequantize()[axis = int32(0), name = "
    "string(\"q\"), quantized_data = tensor<int8, [2]>([-1, 2]), scale = fp32(0x1p-1)];\n"
    "            bool t = const()[val = bool(true)];\n"
    "        } -> (x, w);\n"
    "}";

}  // namespace

TEST_CASE("text in Apple's layout is printed back byte for byte") {
  for (const std::string_view text : {kLoop, kOld, kNew}) CHECK(printed(text) == text);
  CHECK(printed("program(1.0) {\n}") == "program(1.0) {\n}");
  CHECK(printed("program(1.0) {\n}\n\n \t") == "program(1.0) {\n}\n\n \t");
}

TEST_CASE("written order, spellings and what nobody knows stay") {
  const std::string text =
      program("fp16 z, fp16 a", {"fp16 y = new_op(z = z, a = a, m = fp16(0.5), m = fp16(1e-3))[b = "
                                 "string(\"\\\"\"), a = bool(true)];",
                                 "tensor<fp16, []> u = mul(y = y, x = (z));"});
  CHECK(printed(text) == text);
}

TEST_CASE("hand layout becomes Apple's, once") {
  const std::string text =
      "program( 1.3 )[ buildInfo=dict<string,string>( { {\"a\",\"b\"} , {\"c\",\"d\"} } ) ]{func "
      "main<ios18>(tensor<fp16,[1,64,1,32]>x){tensor<fp16,[2]> c=const()[name=string(\"c\"),val="
      "tensor<fp16,[2]>([0.5 ,\n1e-3])];tensor<fp16,[1,64,1,32]>y=concat(values=(x,c),axis=int32(1)"
      ")[name=string(\"y\")];}->(y);}\r\n";
  const std::string expected =
      "program(1.3)\n[buildInfo = dict<string, string>({{\"a\", \"b\"}, {\"c\", \"d\"}})]\n{\n"
      "    func main<ios18>(tensor<fp16, [1, 64, 1, 32]> x) {\n"
      "            tensor<fp16, [2]> c = const()[name = string(\"c\"), val = tensor<fp16, "
      "[2]>([0.5, "
      "1e-3])];\n"
      "            tensor<fp16, [1, 64, 1, 32]> y = concat(values = (x, c), axis = int32(1))[name "
      "= "
      "string(\"y\")];\n"
      "        } -> (y);\n}\n";
  CHECK(printed(text) == expected);
  CHECK(printed(expected) == expected);
}

TEST_CASE("comments keep their places as lines") {
  const std::string text =
      "// top\n"
      "program(1.3) // head\n"
      "{ // open\n"
      "func main<ios18>(fp16 x) {\n"
      "  // first\n"
      "  fp16 a = relu(x = x); // behind a\n"
      "  // before b\n"
      "  fp16 b = relu( // inside b\n"
      "    x = a); fp16 c = cond(pred = bool(true)) () { // in the branch\n"
      "    fp16 r = relu(x = b);\n"
      "    // end of the branch\n"
      "  } -> (r) () { } -> (b);\n"
      "  // end\n"
      "} -> (c); // behind main\n"
      "} // tail";
  const std::string expected =
      "// top\n"
      "// head\n"
      "program(1.3) {\n"
      "    // open\n"
      "    func main<ios18>(fp16 x) {\n"
      "            // first\n"
      "            fp16 a = relu(x = x); // behind a\n"
      "            // before b\n"
      "            // inside b\n"
      "            fp16 b = relu(x = a);\n"
      "            fp16 c = cond(pred = bool(true))\n"
      "                () {\n"
      "                    // in the branch\n"
      "                    fp16 r = relu(x = b);\n"
      "                    // end of the branch\n"
      "                } -> (r)\n"
      "                () {\n"
      "                } -> (b);\n"
      "            // end\n"
      "        } -> (c);\n"
      "    // behind main\n"
      "} // tail";
  CHECK(printed(text) == expected);
  CHECK(printed(expected) == expected);
  CHECK(canonical(text).find("//") == std::string::npos);
}

TEST_CASE("printing many comments around the program's head takes time in proportion") {
  std::string comments;
  for (int i = 0; i < 100000; ++i) comments += "// c\n";
  const std::string text = comments + "program(1.3) {\n" + comments + "}";
  const std::string function = "func main<ios18>(fp16 x) {\n} -> (x);\n}";
  const std::string whole = text.substr(0, text.size() - 1) + function;
  const std::string out = printed(whole);
  CHECK(out.starts_with(comments + "program(1.3) {\n    // c\n"));
}

TEST_CASE("a comment between the elements of a value moves in front of the op") {
  const std::string text = program(
      "fp16 x", {"tensor<int32, [2]> y = const()[val = tensor<int32, [2]>([1, // one", "2])];"});
  CHECK(printed(text) ==
        program("fp16 x",
                {"// one", "tensor<int32, [2]> y = const()[val = tensor<int32, [2]>([1, 2])];"}));
}

TEST_CASE("dialects turn into each other and back") {
  CHECK(printed(kOld, {.dialect = mil::Dialect::v1_3}) == kNew);
  CHECK(printed(kNew, {.dialect = mil::Dialect::v1_0}) == kOld);
  CHECK(printed(kOld, {.dialect = mil::Dialect::v1_0}) == kOld);
  const std::string loop = printed(kLoop, {.dialect = mil::Dialect::v1_0});
  CHECK(loop.find("tensor<int32, []>(4)") != std::string::npos);
  CHECK(
      loop.find("tuple<tuple<tensor<string, []>, dict<tensor<string, []>, tensor<int32, [?]>>>") !=
      std::string::npos);
  CHECK(printed(loop, {.dialect = mil::Dialect::v1_3}) == kLoop);
}

TEST_CASE("compact style reads back as the same text") {
  for (const std::string_view text : {kOld, kNew, kLoop}) {
    const std::string compact = printed(text, {.style = TextStyle::compact});
    CHECK(compact.size() < text.size());
    CHECK(printed(compact) == text);
    CHECK(printed(compact, {.style = TextStyle::compact}) == compact);
  }
  CHECK(printed(kNew, {.style = TextStyle::compact})
            .find("bool t=const()[val=bool(true)];\n}->(x,w);\n}") != std::string::npos);
}

TEST_CASE("floats in hex and in decimal") {
  const auto constants = [](std::string_view a, std::string_view b, std::string_view c) {
    return program(
        "fp16 x",
        {fmt::format("tensor<fp16, [3]> a = const()[val = tensor<fp16, [3]>([{}])];", a),
         fmt::format(
             "int32 y = f(t = tuple<fp32, int32, string>(({}, 3, \"0.5\")))[r = dict<string, "
             "fp64>({{{{\"0.5\", {}}}}})];",
             b, c)});
  };
  const std::string hex =
      constants("0x1.998p-4, -0x1p-24, inf", "0x1.99999ap-4", "4.0960000000000001e-05");
  const std::string decimal = constants("0.1, -6e-08, inf", "0.1", "4.096e-05");
  CHECK(printed(hex, {.floats = FloatStyle::hex}) == hex);
  CHECK(printed(hex, {.floats = FloatStyle::decimal}) == decimal);
  CHECK(printed(decimal, {.floats = FloatStyle::hex}) == hex);
  CHECK(printed(constants("1e-1, -0, 1", "1e-1", "1"), {.floats = FloatStyle::hex}) ==
        constants("0x1.998p-4, -0x0p+0, 0x1p+0", "0x1.99999ap-4", "1"));
}

TEST_CASE("lines end in \\n, whatever those of the text end in") {
  const std::string text =
      program("fp16 x", {"// before", "fp16 y = relu(x = x);  // behind"}) + "\n// last\n";
  std::string returns;
  for (const char c : text) returns += c == '\n' ? "\r\n" : std::string(1, c);
  CHECK(printed(returns) == printed(text));
}

TEST_CASE("a number that its dtype does not hold stays as it is written") {
  const std::string text = program(
      "fp16 x",
      {"tensor<fp16, [5]> y = const()[name = string(\"y\"), val = tensor<fp16, [5]>([70000, -1e30, "
       "1e-9, inf, -0x0p+0])];"});
  CHECK(printed(text, {.floats = FloatStyle::hex}) == text);
  CHECK(canonical(text) == text);
  const std::string decimal = printed(text, {.floats = FloatStyle::decimal});
  CHECK(decimal.find("([70000, -1e30, 1e-9, inf, -0.0])") != std::string::npos);
  CHECK(printed(decimal, {.floats = FloatStyle::hex}) == text);
}

TEST_CASE("a value that is not what its type says is copied") {
  const std::string text = program(
      "fp16 x", {"tensor<fp16, [2]> y = const()[val = tensor<fp16, [2]>([0.5, [1], \"a\"])];"});
  CHECK(printed(text, {.floats = FloatStyle::hex}) == text);
}

TEST_CASE("canonical form: order, constants, numbers") {
  const std::string text =
      program("tensor<fp16, [4]> x, tensor<fp16, [4]> w",
              {"// dropped", "fp16 unused = const()[val = fp16(01.0), name = string(\"unused\")];",
               "tensor<fp16, [4]> late = relu(x = w)[name = string(\"late\")];",
               "tensor<fp16, [4]> dead = relu(x = x);", "tensor<fp16, [4]> early = relu(x = x);",
               "tensor<fp16, [4]> s = mul(y = late, x = early);",
               "tensor<fp16, [8]> y = concat(values = (s, fp16_1), interleave = bool(0), axis = "
               "int32(007));"});
  const std::string with_name = [&] {
    std::string copy = text;
    const std::string from = "fp16_1";
    copy.replace(copy.find(from), from.size(), "tensor<fp16, [4]>([1, 2.0, -0, 1e-1])");
    return copy;
  }();
  CHECK(canonical(with_name) ==
        program(
            "tensor<fp16, [4]> x, tensor<fp16, [4]> w",
            {"tensor<fp16, [4]> early = relu(x = x);",
             "tensor<fp16, [4]> late = relu(x = w)[name = string(\"late\")];",
             "tensor<fp16, [4]> s = mul(x = early, y = late);",
             "tensor<fp16, [4]> values_0 = const()[name = string(\"values_0\"), val = "
             "tensor<fp16, [4]>([0x1p+0, 0x1p+1, -0x0p+0, 0x1.998p-4])];",
             "int32 axis_0 = const()[name = string(\"axis_0\"), val = int32(7)];",
             "bool interleave_0 = const()[name = string(\"interleave_0\"), val = bool(false)];",
             "tensor<fp16, [8]> y = concat(axis = axis_0, interleave = interleave_0, values = (s, "
             "values_0));",
             "fp16 unused = const()[name = string(\"unused\"), val = fp16(0x1p+0)];",
             "tensor<fp16, [4]> dead = relu(x = x);"}));
}

TEST_CASE("canonical form does not depend on the order in which ops are written") {
  const std::vector<std::string> ops = {"fp16 a = relu(x = x);", "fp16 b = relu(x = z);",
                                        "fp16 c = const()[val = fp16(0x1p+0)];",
                                        "fp16 d = relu(x = c);"};
  std::vector<std::size_t> order = {0, 1, 2, 3};
  std::string first;
  do {
    if (std::ranges::find(order, 3u) < std::ranges::find(order, 2u)) continue;
    std::vector<std::string> lines;
    for (const std::size_t i : order) lines.push_back(ops[i]);
    lines.emplace_back("fp16 e = add(x = a, y = b);");
    lines.emplace_back("fp16 y = add(x = d, y = e);");
    const std::string text = canonical(program("fp16 x, fp16 z", lines));
    if (first.empty()) first = text;
    CHECK(text == first);
  } while (std::ranges::next_permutation(order).found);
}

TEST_CASE("canonical names of constants are free ones") {
  const std::string out = canonical(program(
      "fp16 x_0", {"fp16 x_2 = relu(x = x_0);", "fp16 a = add(x = fp16(1), y = x_2);",
                   "fp16 b = add(x = fp16(1), y = a);", "fp16 y = add(x = fp16(1), y = b);"}));
  CHECK(out ==
        program("fp16 x_0", {"fp16 x_1 = const()[name = string(\"x_1\"), val = fp16(0x1p+0)];",
                             "fp16 x_3 = const()[name = string(\"x_3\"), val = fp16(0x1p+0)];",
                             "fp16 x_4 = const()[name = string(\"x_4\"), val = fp16(0x1p+0)];",
                             "fp16 x_2 = relu(x = x_0);", "fp16 a = add(x = x_4, y = x_2);",
                             "fp16 b = add(x = x_3, y = a);", "fp16 y = add(x = x_1, y = b);"}));
}

TEST_CASE("canonical form leaves literals where a const would not do") {
  const std::string text = program(
      "fp16 x",
      {"tensor<fp16, [2]> w = constexpr_lut_to_dense(indices = tensor<uint1, [2]>([0, 1]), lut = "
       "tensor<fp16, [2, 1]>([[0x1p+0], [0x1p+1]]))[name = string(\"w\")];",
       "fp16 u = unknown_op(a = fp16(0x1p+0), b = w);", "fp16 y = add(x = u, y = 1);"});
  CHECK(canonical(text) == text);
}

TEST_CASE("canonical form: what touches a state keeps its order") {
  const std::string inputs = "state<tensor<fp16, [2]>> s, tensor<fp16, [2]> x";
  const std::vector<std::string> lines = {
      "tensor<fp16, [2]> before = read_state(input = s);", "write_state(data = x, input = s);",
      "tensor<fp16, [2]> after = read_state(input = s);", "write_state(data = after, input = s);",
      "tensor<fp16, [2]> y = sub(x = after, y = before);"};
  const std::string text = program(inputs, lines);
  CHECK(canonical(text) == program(inputs, {lines[0], lines[1], lines[2], lines[4], lines[3]}));
}

TEST_CASE("canonical form: a block that reads a state does not write it") {
  const std::string inputs = "state<fp16> s, state<fp16> t, bool p, fp16 x";
  const std::string before = "fp16 before = read_state(input = t);";
  const std::vector<std::string> branches = {"fp16 z = cond(pred = p)",
                                             "    () {",
                                             "        fp16 r = read_state(input = t);",
                                             "        write_state(data = x, input = s);",
                                             "    } -> (r)",
                                             "    () {",
                                             "    } -> (x);"};
  std::vector<std::string> lines = branches;
  lines.insert(lines.begin(), before);
  lines.emplace_back("fp16 y = sub(x = z, y = before);");
  std::vector<std::string> other = branches;
  other.push_back(before);
  other.push_back(lines.back());
  CHECK(canonical(program(inputs, lines)) == program(inputs, other));
  CHECK(canonical(program(inputs, other)) == program(inputs, other));
}

TEST_CASE("canonical form: the arguments' order does not matter to what touches two states") {
  const std::vector<std::string> lines = {"fp16 a = read_state(input = s);",
                                          "fp16 b = read_state(input = t);",
                                          "fp16 y = unknown_op(y = s, x = t);"};
  CHECK(canonical(program("state<fp16> s, state<fp16> t", lines)) ==
        program("state<fp16> s, state<fp16> t",
                {lines[1], lines[0], "fp16 y = unknown_op(x = t, y = s);"}));
}

TEST_CASE("canonical form of blocks") {
  const std::string out =
      canonical(std::string(kLoop.substr(0, kLoop.find("    func other"))) + "}");
  const std::size_t body = out.find("            int32 zero");
  CHECK(
      out.substr(body, out.find("            int32 k_0") - body) ==
      "            int32 zero = const()[name = string(\"zero\"), val = int32(0)];\n"
      "            int32 i_1, tensor<fp16, [1, ?]> h_1 = while_loop(loop_vars = (zero, x))[name = "
      "string(\"loop\")]\n"
      "                (int32 i, tensor<fp16, [1, ?]> h) {\n"
      "                    int32 y_0 = const()[name = string(\"y_0\"), val = int32(4)];\n"
      "                    bool more = less(x = i, y = y_0)[name = string(\"more\")];\n"
      "                } -> (more)\n"
      "                (int32 i, tensor<fp16, [1, ?]> h) {\n"
      "                    int32 y_1 = const()[name = string(\"y_1\"), val = int32(1)];\n"
      "                    int32 next = add(x = i, y = y_1)[name = string(\"next\")];\n"
      "                    bool pred_0 = const()[name = string(\"pred_0\"), val = bool(true)];\n"
      "                    tensor<fp16, [1, ?]> g = cond(pred = pred_0)\n"
      "                        () {\n"
      "                            tensor<fp16, [1, ?]> r = relu(x = h);\n"
      "                        } -> (r)\n"
      "                        () {\n"
      "                        } -> (h);\n"
      "                } -> (next, g);\n");
}

TEST_CASE("canonical form: what a block takes from outside comes in front of its op") {
  const auto lines = [](std::string_view a, std::string_view b) {
    return std::vector<std::string>{std::string(a),
                                    std::string(b),
                                    "fp16 y = cond(pred = p)",
                                    "    () {",
                                    "        fp16 t = add(x = b, y = a);",
                                    "    } -> (t)",
                                    "    () {",
                                    "    } -> (a);"};
  };
  const std::string out = canonical(
      program("bool p, fp16 x", lines("fp16 a = relu(x = x);", "fp16 b = sigmoid(x = x);")));
  CHECK(out ==
        program("bool p, fp16 x", lines("fp16 b = sigmoid(x = x);", "fp16 a = relu(x = x);")));
}

TEST_CASE("a function in which a move could change a meaning keeps its order") {
  const std::string twice =
      program("fp16 x", {"fp16 a = relu(x = x);", "fp16 b = relu(x = a);", "fp16 a = tanh(x = x);",
                         "fp16 y = add(x = a, y = b);"});
  CHECK(canonical(twice) == twice);
  const std::string undefined = program(
      "fp16 x", {"fp16 b = relu(x = a);", "fp16 a = tanh(x = x);", "fp16 y = add(x = a, y = b);"});
  CHECK(canonical(undefined) == undefined);
}

TEST_CASE("canonical text in the old dialect") {
  const std::string out =
      printed(program("fp16 x", {"fp16 y = add(x = x, y = fp16(1));"}),
              {.canonical = true, .dialect = mil::Dialect::v1_0, .floats = FloatStyle::decimal});
  CHECK(out.find("tensor<fp16, []> y_0 = const()[name = tensor<string, []>(\"y_0\"), val = "
                 "tensor<fp16, []>(1.0)];") != std::string::npos);
}

TEST_CASE("blocks as deep as the parser takes them") {
  std::string text = "program(1.3) { func main<ios18>(bool p, fp16 x) { ";
  constexpr int kDepth = 200;
  for (int i = 0; i < kDepth; ++i) text += fmt::format("fp16 v{} = cond(pred = p) () {{ ", i);
  for (int i = kDepth; i-- != 0;) {
    text += fmt::format("}} -> ({0}) () {{ }} -> (x); ",
                        i + 1 == kDepth ? std::string("x") : fmt::format("v{}", i + 1));
  }
  text += "} -> (v0); }";
  const std::string out = printed(text);
  CHECK(printed(out) == out);
  CHECK(canonical(text) == out);
}

TEST_CASE("a text with a syntax error is printed without the op that has it") {
  Diagnostics diagnostics;
  const Module module = parse_mil(
      program("fp16 x", {"fp16 y = relu(x = );", "fp16 z = relu(x = y);"}, "z"), diagnostics);
  CHECK_FALSE(module);
  CHECK(print_mil(module) == program("fp16 x", {"fp16 z = relu(x = y);"}, "z"));
}

TEST_CASE("the text of our own kernels is canonical") {
  const std::vector<fs::path> texts =
      texts_in(fs::path(MILGEN_SOURCE_DIR) / "golden" / "kernels" / "stories");
  REQUIRE(texts.size() >= 12);
  for (const fs::path& path : texts) {
    CAPTURE(path);
    const std::string text = read(path);
    CHECK(printed(text) == text);
    CHECK(canonical(text) == text);
  }
}

TEST_CASE("real files are printed back and have canonical forms") {
  const char* named = std::getenv("MILGEN_CORPUS");  // NOLINT(concurrency-mt-unsafe): one thread
  const fs::path folder =
      named != nullptr ? fs::path(named) : fs::path(MILGEN_SOURCE_DIR) / ".." / "shared" / "corpus";
  const std::vector<fs::path> texts = texts_in(folder);
  if (texts.empty() && named == nullptr) {
    MESSAGE("skipped: there are no real files in " << folder.string());
    return;
  }
  CHECK_MESSAGE(!texts.empty(), "MILGEN_CORPUS names no folder with .mil files");
  for (const fs::path& path : texts) {
    CAPTURE(path);
    const std::string text = read(path);
    const auto there = [&](const ModulePrintOptions& options) { return printed(text, options); };
    CHECK(there({}) == text);
    canonical(text);
    CHECK(printed(there({.style = TextStyle::compact})) == text);
    const bool is_old = text.starts_with("program(1.0)");
    const auto [same, other] = is_old ? std::pair(mil::Dialect::v1_0, mil::Dialect::v1_3)
                                      : std::pair(mil::Dialect::v1_3, mil::Dialect::v1_0);
    CHECK(printed(there({.dialect = other}), {.dialect = same}) == text);
    CHECK(printed(there({.floats = FloatStyle::decimal}), {.floats = FloatStyle::hex}) ==
          there({.floats = FloatStyle::hex}));
  }
}
