// What literals say, and whether that is what their types say.
#include "mil/literal.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "mil/module_data.h"
#include "mil/number_text.h"
#include "support/half.h"

using namespace milgen;
using namespace milgen::mil;

namespace {

using Wholes = std::vector<std::int64_t>;
using Reals = std::vector<double>;

Wholes integers(std::string_view text) {
  Wholes out;
  REQUIRE(decode_integers(text, out, SIZE_MAX));
  return out;
}

bool is_refused(std::string_view text, std::size_t limit = SIZE_MAX) {
  Wholes out;
  return !decode_integers(text, out, limit);
}

double real(std::string_view token, DType dtype) {
  Reals out;
  CAPTURE(token);
  REQUIRE(decode_reals(token, dtype, out, 1));
  return out.at(0);
}

/// The fault of `type(text)`, as "id: message @ token", or what is lost in it; empty when there is
/// none.
std::string fault(std::string_view typed) {
  const std::string text = fmt::format(
      "program(1.3) {{ func main<ios18>(fp16 x) {{ fp16 y = relu(x = x)[a = {}]; }} -> (y); }}",
      typed);
  Diagnostics diagnostics;
  const Module module = parse_mil(text, diagnostics);
  CAPTURE(render(diagnostics));
  REQUIRE(module);
  const ModuleData& data = module.data();
  REQUIRE(data.literals.size() == 1);
  std::vector<LiteralFault> lost;
  std::optional<LiteralFault> found = check_literal(data, data.literals[0], lost);
  if (!found && !lost.empty()) found = lost.front();
  if (!found) return {};
  const Place place = place_of_text(data, found->token);
  CHECK(place.line == 1);
  CHECK(text.substr(place.column - 1, found->token.size()) == found->token);
  return fmt::format("{}: {} @ {}", found->rule.id(), found->message, found->token);
}

}  // namespace

TEST_CASE("tokens of a literal") {
  LiteralTokens tokens("[ -1,0x1.8p+3 // more\n,\"a\\\"]\",true]");
  const std::vector<std::pair<TokenKind, std::string_view>> expected = {
      {TokenKind::open, "["},        {TokenKind::whole, "-1"},  {TokenKind::comma, ","},
      {TokenKind::real, "0x1.8p+3"}, {TokenKind::comma, ","},   {TokenKind::string, "\"a\\\"]\""},
      {TokenKind::comma, ","},       {TokenKind::word, "true"}, {TokenKind::close, "]"},
      {TokenKind::end, ""}};
  for (const auto& [kind, text] : expected) {
    const Token token = tokens.next();
    CHECK(token.kind == kind);
    CHECK(token.text == text);
  }
  CHECK(LiteralTokens("-inf").next().kind == TokenKind::real);
  CHECK(LiteralTokens("nan").next().kind == TokenKind::real);
  CHECK(LiteralTokens("").next().kind == TokenKind::end);
}

TEST_CASE("integers in row-major order, whatever the brackets") {
  CHECK(integers("[[1, 2], [3, -4]]") == Wholes{1, 2, 3, -4});
  CHECK(integers("7") == Wholes{7});
  CHECK(integers("[]").empty());
  CHECK(integers("[true, false]") == Wholes{1, 0});
  CHECK(integers("-9223372036854775808") == Wholes{INT64_MIN});
  CHECK(integers("9223372036854775807") == Wholes{INT64_MAX});
  CHECK(is_refused("9223372036854775808"));
  CHECK(is_refused("-9223372036854775809"));
  CHECK(is_refused("[1, 1.0]"));
  CHECK(is_refused("\"1\""));
  CHECK(is_refused("[1, 2, 3]", 2));
  Wholes bits;
  REQUIRE(decode_unsigned("[18446744073709551615, 1]", bits, 2));
  CHECK(bits == Wholes{-1, 1});
  CHECK_FALSE(decode_unsigned("18446744073709551616", bits, 2));
  CHECK_FALSE(decode_unsigned("-1", bits, 2));
}

TEST_CASE("floats of every spelling") {
  CHECK(real("0x1.8p+3", DType::fp16) == 12.0);
  CHECK(real("-0x1p-24", DType::fp16) == -0x1p-24);
  CHECK(real("0X.8P1", DType::fp32) == 1.0);
  CHECK(real("1", DType::fp16) == 1.0);
  CHECK(real("1e-6", DType::fp16) == float_from_half(half_from_double(1e-6)));
  CHECK(real("0.1", DType::fp32) == static_cast<double>(0.1f));
  CHECK(real("0.1", DType::fp64) == 0.1);
  CHECK(real("70000", DType::fp16) == INFINITY);
  CHECK(real("-70000", DType::fp16) == -INFINITY);
  CHECK(real("448", DType::fp8e4m3fn) == 448.0);
  CHECK(real("0.30000000000000004", DType::fp8e5m2) == 0.3125);
  CHECK(real("1e400", DType::fp64) == INFINITY);
  CHECK(real("1e-400", DType::fp64) == 0.0);
  CHECK(real("0e999999999999999999999", DType::fp64) == 0.0);
  CHECK(real("0x1p+99999999999999999999", DType::fp32) == INFINITY);
  CHECK(real("0x1p-99999999999999999999", DType::fp32) == 0.0);
  CHECK(real("-inf", DType::fp32) == -INFINITY);
  CHECK(std::isnan(real("nan", DType::fp16)));
  CHECK(std::signbit(real("-0x0p+0", DType::fp16)));
  CHECK(std::signbit(real("-0", DType::fp16)));
  CHECK(real("true", DType::fp16) == 1.0);
  double value = 0;
  for (const std::string_view token :
       {"", "-", "0x", "0x1p", "1e", "abc", "1.0.0", "\"1\"", "+1"}) {
    CAPTURE(token);
    CHECK_FALSE(decode_real(token, DType::fp32, value));
  }
}

TEST_CASE("numbers are rounded once") {
  // 1 + 2^-11 lies in the middle between 1 and the next half; a bit more than that goes up, though
  // the nearest double is the middle itself.
  CHECK(real("1.00048828125", DType::fp16) == 1.0);
  CHECK(real("1.00048828125000000000000000000001", DType::fp16) == 1.0009765625);
  CHECK(real("-1.00048828125000000000000000000001", DType::fp16) == -1.0009765625);
  CHECK(real("1.00146484375", DType::fp16) == 1.001953125);
  CHECK(real("1.00146484374999999999999999999999", DType::fp16) == 1.0009765625);
  CHECK(real("100146484374999999999999999999999e-32", DType::fp16) == 1.0009765625);
  CHECK(real("1.00390625", DType::bf16) == 1.0);
  CHECK(real("1.003906250000000000000000000000001", DType::bf16) == 1.0078125);
  CHECK(real("1.0625", DType::fp8e4m3fn) == 1.0);
  CHECK(real("1.06250000000000000000000000000001", DType::fp8e4m3fn) == 1.125);
  CHECK(real("65519.99999999999999999999999999", DType::fp16) == 65504.0);
  CHECK(real("65520", DType::fp16) == INFINITY);
  CHECK(real("1.00000005960464477539062500000001", DType::fp32) == 1.0 + 0x1p-23);
  // The same in hex, with more digits than a double has.
  CHECK(real("0x1.002p+0", DType::fp16) == 1.0);
  CHECK(real("0x1.00200000000000000001p+0", DType::fp16) == 1.0009765625);
  CHECK(real("0x1.00000100000000000001p+0", DType::fp32) == 1.0 + 0x1p-23);
  CHECK(real("0x1.000001p+0", DType::fp32) == 1.0);
  CHECK(real("0x1.00000000000008p+0", DType::fp64) == 1.0);
  CHECK(real("0x1.000000000000080000001p+0", DType::fp64) == 1.0 + 0x1p-52);
}

TEST_CASE("every half reads back from what is printed") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const double value = float_from_half(static_cast<std::uint16_t>(bits));
    if (std::isnan(value)) continue;
    for (const FloatStyle style : {FloatStyle::hex, FloatStyle::decimal}) {
      const std::string text = float_text(value, DType::fp16, style);
      double back = 0;
      if (!decode_real(text, DType::fp16, back) || back != value ||
          std::signbit(back) != std::signbit(value)) {
        FAIL_CHECK(text);
      }
    }
  }
}

TEST_CASE("strings") {
  std::vector<std::string> out;
  REQUIRE(decode_strings(R"(["a", "b \"c\"", ""])", out, 3));
  CHECK(out == std::vector<std::string>{"a", "b \"c\"", ""});
  CHECK_FALSE(decode_strings("[\"a\", 1]", out, 3));
  CHECK(unescape(R"("a\\b\n\t\q")") == "a\\b\n\tq");
  CHECK(unescape("bare\\") == "bare\\");
}

TEST_CASE("literals that agree with their types") {
  for (const std::string_view typed :
       {"fp16(0x1p+0)",
        "fp16(1)",
        "fp16(-1e3)",
        "fp32(nan)",
        "tensor<fp16, []>(-inf)",
        "bool(true)",
        "bool(0)",
        "int32(-2147483648)",
        "uint64(18446744073709551615)",
        "int4(-8)",
        "uint3(7)",
        "string(\"x\")",
        "tensor<int32, [2, 2]>([[1, 2], [3, 4]])",
        "tensor<int32, [0]>([])",
        "tensor<int32, [2, 0]>([[], []])",
        "tensor<int32, [0, 4]>([])",
        "tensor<int32, [?]>([1, 2])",
        "list<string, 2>([\"a\", \"b\"])",
        "list<tensor<int32, [2]>, ?>([[1, 2], [3, 4]])",
        "dict<string, fp64>({{\"a\", 0}, {\"b\", 1.5e-3}})",
        "dict<string, string>({})",
        "tuple<string, int32>((\"a\", 1))",
        "tuple<tuple<string, dict<string, tensor<int32, [?]>>>, tuple<string, dict<string, "
        "list<tensor<int32, [2]>, ?>>>>(((\"D\", {{\"x\", [1]}}), (\"R\", {{\"x\", [[1, 1], [1, "
        "9]]}})))",
        "tensor<fp16, [8]>(BLOBFILE(path = string(\"@model_path/w.bin\"), offset = uint64(64)))"}) {
    CAPTURE(typed);
    CHECK(fault(typed).empty());
  }
}

TEST_CASE("literals that do not agree with their types") {
  CHECK(fault("tensor<int32, [2]>([1])") ==
        "literal.count: the value has 1 element where tensor<int32, [2]> has 2 @ ]");
  CHECK(fault("tensor<int32, [2]>([1, 2, 3])") ==
        "literal.count: the value has more than 2 elements where tensor<int32, [2]> has 2 @ 3");
  CHECK(fault("tensor<int32, [0, 4]>([[1]])") ==
        "literal.count: the value has more than 0 elements where tensor<int32, [0, 4]> has 0 @ [");
  CHECK(fault("tensor<int32, [2, 2]>([[1, 2], [3]])") ==
        "literal.count: the value has 1 element in dim 1 where tensor<int32, [2, 2]> has 2 @ ]");
  CHECK(fault("list<int32, 2>([1, 2, 3])") ==
        "literal.count: the value has more than 2 elements where list<int32, 2> has 2 @ 3");
  CHECK(fault("dict<string, int32>({{\"a\", 1, 2}})") ==
        "literal.count: the value has more than 2 elements where an entry of dict<string, int32> "
        "has 2 @ 2");
  CHECK(fault("tensor<int32, [2]>(1)") ==
        "literal.shape: the value of tensor<int32, [2]> has '1' where '[' is expected @ 1");
  CHECK(fault("int32([1])") ==
        "literal.shape: the value of int32 has '[' where an element is expected @ [");
  CHECK(fault("tensor<int32, [1]>([[1]])") ==
        "literal.shape: the value of tensor<int32, [1]> has '[' where an element is expected @ [");
  CHECK(fault("tuple<int32, int32>([1, 2])") ==
        "literal.shape: the value of tuple<int32, int32> has '[' where '(' is expected @ [");
  CHECK(fault("int32(1.5)") == "literal.kind: 1.5 is no int32, which is what int32 holds @ 1.5");
  CHECK(fault("tensor<fp16, [1]>([\"a\"])") ==
        "literal.kind: \"a\" is no fp16, which is what tensor<fp16, [1]> holds @ \"a\"");
  CHECK(fault("string(1)") == "literal.kind: 1 is no string, which is what string holds @ 1");
  CHECK(fault("bool(1.0)") == "literal.kind: 1.0 is no bool, which is what bool holds @ 1.0");
  CHECK(fault("fp16(true)") == "literal.kind: true is no fp16, which is what fp16 holds @ true");
  CHECK(fault("int8(128)") ==
        "literal.range: 128 is outside of int8, which goes from -128 to 127 @ 128");
  CHECK(fault("uint4(16)") ==
        "literal.range: 16 is outside of uint4, which goes from 0 to 15 @ 16");
  CHECK(fault("int4(-9)") == "literal.range: -9 is outside of int4, which goes from -8 to 7 @ -9");
  CHECK(fault("bool(2)") == "literal.range: 2 is outside of bool, which goes from 0 to 1 @ 2");
  CHECK(fault("uint64(-1)") ==
        "literal.range: -1 is outside of uint64, which goes from 0 to 18446744073709551615 @ -1");
  CHECK(fault("int64(99999999999999999999)") ==
        "literal.range: 99999999999999999999 is outside of int64, which goes from "
        "-9223372036854775808 to 9223372036854775807 @ 99999999999999999999");
  CHECK(fault("state<tensor<fp16, [2]>>([1, 2])") ==
        "literal.type: state<tensor<fp16, [2]>> has no values in text @ [");
}

TEST_CASE("a value whose dims have a huge product is checked by its text") {
  CHECK(fault("tensor<int8, [4611686018427387904, 4611686018427387904]>([])") ==
        "literal.count: the value has 0 elements where tensor<int8, [4611686018427387904, "
        "4611686018427387904]> has 4611686018427387904 @ ]");
}

TEST_CASE("numbers that a dtype does not hold") {
  CHECK(fault("fp16(70000.0)") == "constant.overflow: 70000.0 becomes inf in fp16 @ 70000.0");
  CHECK(fault("fp16(70000)") == "constant.overflow: 70000 becomes inf in fp16 @ 70000");
  CHECK(fault("fp16(-1e30)") == "constant.overflow: -1e30 becomes -inf in fp16 @ -1e30");
  CHECK(fault("fp16(0x1p+16)") == "constant.overflow: 0x1p+16 becomes inf in fp16 @ 0x1p+16");
  CHECK(fault("fp32(1e400)") == "constant.overflow: 1e400 becomes inf in fp32 @ 1e400");
  CHECK(fault("fp16(1e-9)") == "constant.underflow: 1e-9 becomes 0 in fp16 @ 1e-9");
  CHECK(fault("fp16(-0.00000001)") ==
        "constant.underflow: -0.00000001 becomes 0 in fp16 @ -0.00000001");
  CHECK(fault("fp16(0x1p-30)") == "constant.underflow: 0x1p-30 becomes 0 in fp16 @ 0x1p-30");
  CHECK(fault("fp32(0x1p-200)") == "constant.underflow: 0x1p-200 becomes 0 in fp32 @ 0x1p-200");
  CHECK(fault("tensor<fp16, [3]>([1.0, 1e9, 1e8])") ==
        "constant.overflow: 1e9 becomes inf in fp16 @ 1e9");
  CHECK(fault("tensor<fp8e5m2, [2]>([1.0, 0x1p-30])") ==
        "constant.underflow: 0x1p-30 becomes 0 in fp8e5m2 @ 0x1p-30");
  for (const std::string_view typed :
       {"fp16(inf)", "fp16(-inf)", "fp16(nan)", "fp16(0.0)", "fp16(-0.0)", "fp16(0e9)",
        "fp16(0.000000000)", "fp16(00065504)", "fp16(65504.0)", "fp16(0x1p-24)", "fp16(0x0p-99)",
        "fp16(0x1.ffcp+15)", "fp32(0x1p-149)", "fp32(3.4e38)", "fp64(1e-300)", "bf16(1e38)",
        "fp8e4m3fn(448.0)", "fp8e5m2(inf)"}) {
    CAPTURE(typed);
    CHECK(fault(typed) == "");
  }
}
