// A text of a gigabyte, as inline weights make it: read from a file, printed back, and cut off.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

#include "milgen/module.h"
#include "milgen/print.h"
#include "support/temporary_folder.h"

using namespace milgen;

namespace {

constexpr std::size_t kBytes = std::size_t{1} << 30;
constexpr int kElements = 512;

/// An op of about 5 kB that gives v<i>.
void add_op(std::string& out, std::size_t i) {
  fmt::format_to(std::back_inserter(out),
                 "            tensor<fp16, [{0}]> v{1} = mul(x = v{2}, y = tensor<fp16, [{0}]>([",
                 kElements, i, i - 1);
  for (int e = 0; e < kElements; ++e) out += e == 0 ? "0x1.8p-3" : ", 0x1p-10";
  fmt::format_to(std::back_inserter(out), "]))[name = string(\"v{}\")];\n", i);
}

}  // namespace

TEST_CASE("a file of a gigabyte") {
  const TemporaryFolder folder;
  const std::string path = folder.file("model.mil");
  std::size_t ops = 0;
  std::size_t bytes = 0;
  {
    std::ofstream file(path, std::ios::binary);
    std::string text = fmt::format(
        "program(1.3)\n{{\n    func main<ios18>(tensor<fp16, [{}]> v0) {{\n", kElements);
    while (bytes < kBytes) {
      add_op(text, ++ops);
      file << text;
      bytes += text.size();
      text.clear();
    }
    text = fmt::format("        }} -> (v{});\n}}", ops);
    file << text;
    bytes += text.size();
    REQUIRE(file.good());
  }
  Diagnostics diagnostics;
  Module module = read_mil(path, diagnostics);
  REQUIRE(module);
  CHECK(module.text_bytes() == bytes);
  CHECK(module.op_count() == ops);
  std::string printed = print_mil(module);
  REQUIRE(printed.size() == bytes);
  module = Module();

  printed.resize(bytes - 1);
  CHECK_FALSE(parse_mil(printed, diagnostics));
  REQUIRE(diagnostics.errors() == 1);
  CHECK(diagnostics.all().front().id == "syntax.end");
  CHECK(diagnostics.all().front().place.line == ops + 4);
}
