// What one run of each op costs through the executor, on the largest of its own evaluation cases
// (golden/numeric/ops), against a run of relu on four elements, which is little more than what a
// run costs whatever its op. The list of ops is the op table; those without a row here say why.
//
//     build/release/tests/bench_ops [--quick]
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "cpu/eval_cases.h"
#include "cpu/kernel.h"
#include "milgen/op_info.h"

namespace fs = std::filesystem;
using namespace milgen;
using namespace milgen::test;

namespace {

std::map<std::string, Json> largest_cases() {
  std::map<std::string, Json> out;
  std::vector<std::string> unreadable;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(MILGEN_SOURCE_DIR "/golden/numeric/ops")) {
    read_cases(entry.path().string(), unreadable, [&](const Json& json) {
      if (!json.contains("op")) return;
      Json& known = out[json["op"].get<std::string>()];
      if (known.is_null() || known.dump().size() < json.dump().size()) known = json;
    });
  }
  return out;
}

/// A case that is compiled and can be run over and over.
struct Contestant {
  std::unique_ptr<Executable> executable;
  std::vector<NamedArray> inputs;
  std::vector<NamedArray> outputs;
  std::string fault;

  explicit Contestant(const Json& json) {
    executable = compile_case(cpu_backend(), json, {.whole = true}, {.threads = 1}, fault);
    if (executable) inputs = inputs_of(calls_of(json).front());
  }
  void run() {
    Diagnostics diagnostics;
    if (!executable->run(inputs, outputs, diagnostics)) fault = render(diagnostics);
  }
};

const Json kRelu = Json::parse(R"({"id": "relu", "op": "relu", "opset": "iOS15", "dtype": "fp16",
  "inputs": {"x": {"dtype": "fp16", "shape": [4], "data": [1, 2, 3, 4]}}, "attrs": {},
  "outputs": [{"dtype": "fp16", "shape": [4], "data": [1, 2, 3, 4]}]})");

}  // namespace

int main(int argc, char** argv) {
  const bool quick = bench::is_quick(argc, argv);
  const int rounds = quick ? 1 : 15;
  const int repeats = quick ? 1 : 200;
  const std::map<std::string, Json> cases = largest_cases();
  Contestant relu(kRelu);
  if (!relu.executable) {
    fmt::print("{}\n", relu.fault);
    return 1;
  }
  fmt::print("{:40} {:>10} {:>8}\n", "op", "us a run", "of relu");
  for (const OpInfo& op : op_table()) {
    const auto found = cases.find(std::string(op.name));
    if (found == cases.end()) {
      fmt::print("{:40} {}\n", op.name, cpu::kernel_row(op.code).reason);
      continue;
    }
    Contestant one(found->second);
    if (one.executable) {
      const auto [mine, base] = bench::compare(
          rounds, repeats, [&] { one.run(); }, [&] { relu.run(); });
      if (one.fault.empty())
        fmt::print("{:40} {:10.2f} {:8.2f}\n", op.name, mine * 1e6, mine / base);
    }
    if (!one.fault.empty()) {
      fmt::print("{}: {}\n", op.name, one.fault);
      return 1;
    }
  }
  return 0;
}
