// Texts that nobody writes, or only an enemy does: broken at every byte, nested, huge, repeated.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/text_checks.h"
#include "milgen/module.h"
#include "milgen/print.h"
#include "milgen/verify.h"

using namespace milgen;
using milgen::test::fault_of_handles;
using milgen::test::fault_of_places;
using milgen::test::fault_of_text;

namespace {

constexpr std::string_view kSmall = R"(program(1.3)
[buildInfo = dict<string, string>({{"coremlc-version", "3520.5.1"}})]
{
    func main<ios18>(tensor<fp16, [1, 4, 1, 2]> x, bool p) {
            int32 axis_0 = const()[name = string("axis_0"), val = int32(1)];
            tensor<fp16, [2]> w = const()[val = tensor<fp16, [2]>(BLOBFILE(path = string("@model_path/w.bin"), offset = uint64(64)))];
            tensor<fp16, [1, 8, 1, 2]> y = concat(axis = axis_0, interleave = bool(false), values = (x, x))[name = string("y")];
            tensor<fp16, [1, 8, 1, 2]> a, tensor<fp16, [1, 8, 1, 2]> b = split<ios17>(axis = axis_0, num_splits = int32(2), x = y);
            tensor<fp16, [1, 4, 1, 2]> z = cond(pred = p)[name = string("z")]
                (tensor<fp16, [2]> i) {
                    tensor<fp16, [1, 4, 1, 2]> t = mul(x = x, y = fp16(-0x1.8p-3))[name = string("t")];
                } -> (t)
                () {
                } -> (x);
        } -> (z, a);
}
)";

struct Parsed {
  Diagnostics diagnostics;
  Module module;

  explicit Parsed(std::string_view text, std::size_t error_limit = 100)
      : module(parse_mil(text, diagnostics, {.error_limit = error_limit})) {}
  bool ok() const { return static_cast<bool>(module); }
  const Diagnostic& first() const { return diagnostics.all().front(); }
  std::string said() const {
    return render(diagnostics, {.source_lines = false, .source_root = {}});
  }
};

std::string times(std::string_view text, std::size_t count) {
  std::string out;
  out.reserve(text.size() * count);
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

/// A function around `ops`.
std::string in_function(std::string_view ops) {
  return fmt::format("program(1.3) {{ func main<ios18>(fp16 x, bool p) {{\n{}\n}} -> (x); }}", ops);
}
std::string with_literal(std::string_view type, std::string_view value) {
  return in_function(fmt::format("fp16 y = op(a = {}({}));", type, value));
}

/// What the parser says to `text`, which it refuses with one error.
std::string refusal(std::string_view text) {
  const Parsed parsed(text);
  CHECK_FALSE(parsed.ok());
  REQUIRE(parsed.diagnostics.errors() >= 1);
  CHECK(fault_of_places(text, parsed.diagnostics) == "");
  return parsed.first().id + ": " + parsed.first().message;
}
bool is_taken(std::string_view text) {
  const Parsed parsed(text);
  if (!parsed.ok()) MESSAGE(parsed.said());
  const std::string fault = fault_of_text(text);
  if (!fault.empty()) MESSAGE(fault);
  return parsed.ok() && fault.empty();
}

// --- Nesting ---

std::string nested_blocks(std::size_t depth) {
  return in_function("bool b = " + times("cond(pred = p) { bool b = ", depth) + "op();" +
                     times(" } -> (p);", depth));
}
std::string nested_brackets(std::size_t depth) {
  return with_literal("tensor<int32, [1]>", times("[", depth) + times("]", depth));
}
std::string nested_tuples(std::size_t depth) {
  return in_function("fp16 y = op(a = " + times("(", depth) + "x" + times(")", depth) + ");");
}
std::string nested_types(std::size_t depth) {
  return in_function(times("tuple<", depth) + "fp16" + times(">", depth) + " y = op();");
}

}  // namespace

TEST_CASE("the small program is a good one") {
  CHECK(fault_of_text(kSmall) == "");
  const Parsed parsed(kSmall);
  REQUIRE(parsed.ok());
  CHECK(print_mil(parsed.module) == kSmall);
}

TEST_CASE("nesting is taken up to its limit and refused behind it") {
  struct Kind {
    std::string (*make)(std::size_t);
    std::size_t limit;
    std::string_view refusal;
  };
  // A function's body is the outermost block.
  const Kind kinds[] = {
      {nested_blocks, kNestingLimit - 1, "syntax.nesting: blocks nest deeper than 256"},
      {nested_brackets, kNestingLimit, "syntax.nesting: a value nests deeper than 256 brackets"},
      {nested_tuples, kNestingLimit, "syntax.nesting: an argument nests deeper than 256 tuples"},
      {nested_types, kTypeNestingLimit, "syntax.nesting: a type nests deeper than 32 levels"}};
  for (const Kind& kind : kinds) {
    CAPTURE(kind.refusal);
    CHECK(is_taken(kind.make(kind.limit)));
    CHECK(refusal(kind.make(kind.limit + 1)) == kind.refusal);
    CHECK(refusal(kind.make(kind.limit * 1000)) == kind.refusal);
  }
}

TEST_CASE("what nests and never closes is refused") {
  for (const std::string_view open : {"(",
                                      "[",
                                      "{",
                                      "<",
                                      "op(",
                                      "op(a = ",
                                      "op(a = (",
                                      "fp16 y = op()[a = ",
                                      "tensor<",
                                      "tuple<",
                                      "list<",
                                      "dict<fp16, ",
                                      "state<",
                                      "tensor<fp16, [",
                                      "cond() {",
                                      "cond() (",
                                      "() {",
                                      "op(a = fp16(",
                                      "op(a = fp16([",
                                      "BLOBFILE(",
                                      "\"",
                                      "\"\n",
                                      "//",
                                      "func ",
                                      "func f<",
                                      "func f<i>(",
                                      "program(1.3) {",
                                      "-> (",
                                      "} -> (",
                                      "x, ",
                                      "fp16 x, ",
                                      "-",
                                      "0x",
                                      "1.",
                                      "\\",
                                      "?",
                                      "="}) {
    CAPTURE(open);
    const std::string many = times(open, 20'000);
    CHECK(fault_of_text(many) == "");
    CHECK(fault_of_text(in_function(many)) == "");
    CHECK_FALSE(Parsed(many).ok());
  }
}

// --- Numbers ---

TEST_CASE("dims and their product") {
  CHECK(refusal(in_function("tensor<fp16, [9223372036854775808]> y = op();")) ==
        "syntax.number: '9223372036854775808' is not a dim; the largest is 9223372036854775807");
  CHECK(refusal(in_function("tensor<fp16, [-1]> y = op();")) ==
        "syntax.expected: expected a dim but found '-'; an example: tensor<fp16, [1, 64, ?]>");
  const std::string text = in_function(
      "tensor<int8, [4294967296, 4294967296]> y = const()[val = tensor<int8, [4294967296, "
      "4294967296]>(BLOBFILE(path = string(\"@model_path/w.bin\"), offset = "
      "uint64(18446744073709551615)))];\n"
      "tensor<int8, [9223372036854775807, 2]> z = const()[val = tensor<int8, "
      "[9223372036854775807, 2]>([[1, 2]])];");
  REQUIRE(is_taken(text));
  Parsed parsed(text);
  CHECK_FALSE(verify_mil(parsed.module, {}, parsed.diagnostics));
  CHECK(parsed.said().find("'y' is tensor<int8, [4294967296, 4294967296]>, which has more than "
                           "2^63 - 1 elements [tensor.size]") != std::string::npos);
  CHECK(fault_of_places(text, parsed.diagnostics) == "");
}

TEST_CASE("offsets of weights that lie") {
  const auto offset = [](std::string_view text) {
    return with_literal("tensor<fp16, [2]>",
                        fmt::format("BLOBFILE(path = string(\"w\"), offset = uint64({}))", text));
  };
  CHECK(is_taken(offset("18446744073709551615")));
  CHECK(refusal(offset("18446744073709551616")) ==
        "syntax.number: '18446744073709551616' is not an offset; an example: uint64(64)");
  CHECK(refusal(offset("-64")) == "syntax.number: '-64' is not an offset; an example: uint64(64)");
  CHECK(refusal(offset("0x1p+6")) ==
        "syntax.number: '0x1p+6' is not an offset; an example: uint64(64)");
}

// --- Bytes ---

TEST_CASE("a byte of zero is refused wherever it stands") {
  for (std::size_t i = 0; i <= kSmall.size(); ++i) {
    std::string text(kSmall);
    text.insert(i, 1, '\0');
    CAPTURE(i);
    CHECK_FALSE(Parsed(text).ok());
    CHECK(fault_of_text(text) == "");
  }
  using namespace std::string_view_literals;
  CHECK(refusal("program(1.3) { }\0"sv) ==
        "syntax.trailing: the byte 0x00 stands behind the program's closing brace");
  CHECK(refusal(with_literal("string", "\"a\0b\""sv)) ==
        "syntax.character: a string holds the byte 0x00");
}

TEST_CASE("lines that end as in Windows") {
  std::string text;
  for (const char c : kSmall) text += c == '\n' ? std::string("\r\n") : std::string(1, c);
  const Parsed parsed(text);
  REQUIRE(parsed.ok());
  CHECK(fault_of_text(text) == "");
  CHECK(print_mil(parsed.module, {.canonical = true}) ==
        print_mil(Parsed(kSmall).module, {.canonical = true}));
  const Parsed broken(
      "program(1.3) {\r\n  func main<ios18>() {\r\n    = y;\r\n  } -> ();\r\n}\r\n");
  REQUIRE(broken.diagnostics.errors() == 1);
  CHECK(broken.first().place.line == 3);
  CHECK(broken.first().place.column == 5);
}

TEST_CASE("letters beyond ASCII stand in strings and comments and nowhere else") {
  CHECK(is_taken(with_literal("string", "\"gr\u00F6\u00DFe \xFF\"")));
  CHECK(is_taken(in_function("// gr\u00F6\u00DFe")));
  CHECK(
      refusal(in_function("fp16 gr\u00F6\u00DFe = op();")) ==
      "syntax.expected: expected ',' or '=' but found the byte 0xc3; an example: tensor<fp16, [1, "
      "64]> y = relu(x = x)[name = string(\"y\")];");
  CHECK(refusal("\u00A0program(1.3) { }") ==
        "syntax.expected: expected 'program' but found the byte 0xc2; an example: program(1.3)");
}

TEST_CASE("a byte order mark is passed over") {
  CHECK(is_taken("\xEF\xBB\xBF" + std::string(kSmall)));
  CHECK_FALSE(Parsed("\xEF\xBB").ok());
  CHECK_FALSE(Parsed("\xEF\xBB\xBF").ok());
  CHECK(fault_of_text("\xEF\xBB\xBF") == "");
  const Parsed twice("\xEF\xBB\xBF\xEF\xBB\xBFprogram(1.3) { }");
  REQUIRE_FALSE(twice.ok());
  CHECK(twice.first().place.line == 1);
}

// --- Pieces of a program ---

TEST_CASE("a program that is cut off") {
  const std::size_t whole = kSmall.rfind('}') + 1;
  for (std::size_t size = 0; size < whole; ++size) {
    CAPTURE(size);
    const std::string_view text = kSmall.substr(0, size);
    const Parsed parsed(text);
    CHECK_FALSE(parsed.ok());
    CHECK(parsed.diagnostics.errors() >= 1);
    // The end is what is wrong, and what is open there may be named as well.
    CHECK_MESSAGE(parsed.diagnostics.errors() <= 2, parsed.said());
    CHECK(fault_of_text(text) == "");
  }
}

TEST_CASE("a program without one byte, or with another one") {
  std::mt19937_64 random(7);
  for (std::size_t i = 0; i < kSmall.size(); ++i) {
    CAPTURE(i);
    std::string text(kSmall);
    text.erase(i, 1);
    CHECK(fault_of_text(text) == "");
    text = kSmall;
    for (const char c : {static_cast<char>(random() & 0xFFu), '"', '{', '}', ')', ';', ',', '<'}) {
      text[i] = c;
      CHECK(fault_of_text(text) == "");
    }
  }
}

namespace {

struct TokenSpan {
  std::size_t at;
  std::size_t size;
};

std::vector<TokenSpan> tokens(std::string_view text) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '+';
  };
  std::vector<TokenSpan> out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i + 1;
    if (text[i] == ' ' || text[i] == '\n') {
      ++i;
      continue;
    }
    if (text[i] == '"') {
      end = text.find('"', end) + 1;
    } else if (text.substr(i, 2) == "->") {
      end = i + 2;
    } else if (is_word(text[i]) || text[i] == '-') {
      while (is_word(text[end])) ++end;
    }
    out.push_back({i, end - i});
    i = end;
  }
  return out;
}

std::size_t line_of(std::string_view text, std::size_t at) {
  return static_cast<std::size_t>(std::ranges::count(text.substr(0, at), '\n')) + 1;
}

}  // namespace

TEST_CASE("a program without one token") {
  std::size_t deletions = 0;
  std::size_t one_error = 0;
  for (const TokenSpan token : tokens(kSmall)) {
    const std::string_view word = kSmall.substr(token.at, token.size);
    std::string text(kSmall);
    text.erase(token.at, token.size);
    const Parsed parsed(text);
    if (parsed.ok()) continue;  // an element of a list may go
    CAPTURE(word);
    CAPTURE(token.at);
    ++deletions;
    one_error += parsed.diagnostics.errors() == 1 ? 1 : 0;
    const std::size_t line = line_of(kSmall, token.at);
    const std::size_t first = parsed.first().place.line;
    CHECK_MESSAGE(parsed.diagnostics.errors() <= 2, parsed.said());
    // A missing `;` belongs behind the line before, a missing brace shows at the line that follows.
    CHECK_MESSAGE((first + 1 == line || first == line || first == line + 1), "token ",
                  std::string(word), " of line ", line, "\n", parsed.said());
  }
  MESSAGE(deletions, " programs without a token that they need; one error in ", one_error);
  CHECK(deletions > 200);
  CHECK(one_error * 10 > deletions * 9);
}

TEST_CASE("reading ends behind the limit of errors") {
  const std::string text = in_function(times("= broken;\n", 1000));
  const Parsed parsed(text);
  REQUIRE(parsed.diagnostics.errors() == 101);
  CHECK(parsed.diagnostics.all().back().id == "syntax.many");
  CHECK(parsed.diagnostics.all().back().message ==
        "there are more than 100 syntax errors; reading ends here");
  CHECK(Parsed(text, 10).diagnostics.errors() == 11);
  CHECK(Parsed(text, 10'000).diagnostics.errors() == 1000);
}

// --- Size ---

namespace {

double seconds_of(const auto& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

/// Reads, judges and prints, whatever comes of it.
void run(const std::string& text, std::size_t error_limit) {
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics, {.error_limit = error_limit});
  verify_mil(module, {}, diagnostics);
  print_mil(module);
}

struct Trap {
  std::string_view what;
  std::string (*make)(std::size_t);
};

std::string numbered(std::size_t count, const auto& one) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += one(i);
  return out;
}

const Trap kTraps[] = {
    {"ops",
     [](std::size_t n) {
       return in_function(numbered(n, [](std::size_t i) {
         return fmt::format("fp16 v{} = relu(x = x)[name = string(\"v{}\")];\n", i, i);
       }));
     }},
    {"a chain of ops",
     [](std::size_t n) {
       return in_function(numbered(n, [](std::size_t i) {
         return fmt::format("fp16 v{} = relu(x = {})[name = string(\"v{}\")];\n", i + 1,
                            i == 0 ? std::string("x") : fmt::format("v{}", i), i + 1);
       }));
     }},
    {"one name defined over and over",
     [](std::size_t n) { return in_function(times("fp16 y = relu(x = x);\n", n)); }},
    {"one name used over and over",
     [](std::size_t n) {
       return in_function("fp16 y = op(values = (" + times("x, ", n) + "x));");
     }},
    {"names that nothing defines",
     [](std::size_t n) {
       return in_function(numbered(n, [](std::size_t i) {
         return fmt::format("fp16 v{} = relu(x = undefined{});\n", i, i);
       }));
     }},
    {"one name that nothing defines",
     [](std::size_t n) { return in_function(times("fp16 y = relu(x = undefined);\n", n)); }},
    {"errors", [](std::size_t n) { return in_function(times("= broken;\n", n)); }},
    {"errors in one line", [](std::size_t n) { return in_function(times("= broken; ", n)); }},
    {"errors behind results",
     [](std::size_t n) { return in_function(times("fp16 y = relu(x x);\n", n)); }},
    {"strings that are not closed",
     [](std::size_t n) { return in_function(times("fp16 y = op(a = string(\"\n);\n", n)); }},
    {"strings that seem closed by the next",
     [](std::size_t n) { return in_function(times("fp16 y = op(a = string(\"a);\n", n)); }},
    {"functions",
     [](std::size_t n) {
       return "program(1.3) {" +
              numbered(n,
                       [](std::size_t i) {
                         return fmt::format("func f{}<ios18>(fp16 x) {{ }} -> (x);\n", i);
                       }) +
              "}";
     }},
    {"functions without an end",
     [](std::size_t n) { return "program(1.3) {" + times("func f<ios18>(fp16 x) {\n", n); }},
    {"functions without a body",
     [](std::size_t n) { return "program(1.3) {" + times("func f(", n); }},
    {"the word func", [](std::size_t n) { return "program(1.3) {" + times("func ", n); }},
    {"blocks of one op",
     [](std::size_t n) {
       return in_function("bool b = cond(pred = p)" + times(" { } -> (p)", n) + ";");
     }},
    {"blocks with an error",
     [](std::size_t n) {
       return in_function("bool b = cond(pred = p)" + times(" () -> (p)", n) + ";");
     }},
    {"arguments",
     [](std::size_t n) {
       return in_function("fp16 y = op(" +
                          numbered(n, [](std::size_t i) { return fmt::format("a{} = x, ", i); }) +
                          "b = x);");
     }},
    {"attributes",
     [](std::size_t n) {
       return in_function(
           "fp16 y = op()[" +
           numbered(n, [](std::size_t i) { return fmt::format("a{} = fp16(1), ", i); }) +
           "b = fp16(1)];");
     }},
    {"results",
     [](std::size_t n) {
       return in_function(numbered(n, [](std::size_t i) { return fmt::format("fp16 r{}, ", i); }) +
                          "fp16 r = op();");
     }},
    {"inputs",
     [](std::size_t n) {
       return "program(1.3) { func main<ios18>(" +
              numbered(n, [](std::size_t i) { return fmt::format("fp16 r{}, ", i); }) +
              "fp16 r) { } -> (r); }";
     }},
    {"outputs",
     [](std::size_t n) {
       return "program(1.3) { func main<ios18>(fp16 x) { } -> (" + times("x, ", n) + "x); }";
     }},
    {"elements of a value",
     [](std::size_t n) {
       return with_literal("tensor<int32, [1]>", "[" + times("1, ", n) + "1]");
     }},
    {"elements of a type",
     [](std::size_t n) { return in_function("tuple<" + times("fp16, ", n) + "fp16> y = op();"); }},
    {"dims of a type",
     [](std::size_t n) {
       return in_function("tensor<fp16, [" + times("1, ", n) + "1]> y = op();");
     }},
    {"fields of a type",
     [](std::size_t n) {
       return in_function("tensor_buffer<fp16" + times(", shape=[1]", n) + "> y = op();");
     }},
    {"types",
     [](std::size_t n) {
       return in_function(numbered(
           n, [](std::size_t i) { return fmt::format("tensor<fp16, [{}]> y = op();\n", i); }));
     }},
    {"types in types",
     [](std::size_t n) {
       return in_function(numbered(n, [](std::size_t i) {
         return fmt::format("list<tuple<fp16, tensor<fp16, []>>, {}> y = op();\n", i);
       }));
     }},
    {"a long name",
     [](std::size_t n) { return in_function("fp16 " + times("abcdefgh", n) + " = op();"); }},
    {"a long string",
     [](std::size_t n) { return with_literal("string", '"' + times("abc\\\"", n) + '"'); }},
    {"a long number", [](std::size_t n) { return with_literal("fp16", times("12345678", n)); }},
    {"a long hexadecimal number",
     [](std::size_t n) { return with_literal("fp16", "0x1." + times("12345678", n) + "p+0"); }},
    {"white space", [](std::size_t n) { return in_function(times(" \n\t\r", n)); }},
    {"comments", [](std::size_t n) { return in_function(times("// a comment\n", n)); }},
    {"comments inside of an op",
     [](std::size_t n) {
       return in_function("fp16 y = relu(" + times("// a comment\n", n) + "x = x);");
     }},
    {"comments in front of every op",
     [](std::size_t n) { return in_function(times("// a comment\nfp16 y = relu(x = x);\n", n)); }},
    {"comments behind the program",
     [](std::size_t n) { return in_function("") + times("// a comment\n", n); }},
    {"a long comment", [](std::size_t n) { return in_function("//" + times("comment ", n)); }},
    {"open braces", [](std::size_t n) { return in_function(times("cond() {", n)); }},
    {"open brackets", [](std::size_t n) { return in_function(times("[", n)); }},
    {"lines with an open bracket",
     [](std::size_t n) { return in_function(times("tensor<\n", n)); }},
    {"closing braces", [](std::size_t n) { return in_function(times("} -> (x);\n", n)); }},
    {"programs", [](std::size_t n) { return times("program(1.3) { }\n", n); }},
};

}  // namespace

TEST_CASE("time grows with the size of the text") {
  // Quadratic work costs 64 times as much for 8 times the size, linear work 8 times.
  constexpr std::size_t kFirst = 4000;
  constexpr std::size_t kFactor = 8;
  constexpr double kMeasurable = 0.005;
  for (const Trap& trap : kTraps) {
    for (const std::size_t error_limit : {std::size_t{100}, SIZE_MAX}) {
      CAPTURE(trap.what);
      CAPTURE(error_limit);
      const std::string small = trap.make(kFirst);
      const std::string large = trap.make(kFirst * kFactor);
      double ratio = 0;
      // The machine does other work too: the best of three.
      for (int round = 0; round < 3; ++round) {
        const double less = std::max(seconds_of([&] { run(small, error_limit); }), kMeasurable);
        const double more = seconds_of([&] { run(large, error_limit); });
        ratio = round == 0 ? more / less : std::min(ratio, more / less);
        if (ratio < 2.5 * kFactor) break;
      }
      CHECK(ratio < 2.5 * kFactor);
    }
  }
}

TEST_CASE("names cannot be chosen so that they collide") {
  // Equal sizes, and eight bytes each: the table's hash sees nothing but the seed's mixing.
  std::string ops;
  for (std::uint64_t i = 0; i < 100'000; ++i) ops += fmt::format("fp16 a{:07} = op();\n", i * 8192);
  const std::string text = in_function(ops);
  const double seconds = seconds_of([&] { CHECK(Parsed(text).ok()); });
  CHECK(seconds < 10);
}

TEST_CASE("a million ops") {
  const std::string text = kTraps[1].make(1'000'000);
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics);
  REQUIRE(module);
  CHECK(module.op_count() == 1'000'000);
  CHECK(fault_of_handles(module) == "");
  const std::string printed = print_mil(module);
  const Module again = parse_mil(printed, diagnostics);
  REQUIRE(again);
  CHECK(print_mil(again) == printed);
}
