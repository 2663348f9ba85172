// What transcripts of `run` and `compare` cannot show: times, and the folder behind.
#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cli/run_milc.h"
#include "support/temporary_folder.h"

namespace milgen {
namespace {

constexpr std::string_view kProgram =
    "program(1.3)\n{\n"
    "    func main<ios18>(tensor<fp16, [2, 3]> x) {\n"
    "            tensor<fp16, [2, 3]> y = relu(x = x)[name = string(\"y\")];\n"
    "            tensor<fp16, [2, 1]> total = reduce_sum(axes = tensor<int32, [1]>([1]), keep_dims "
    "= bool(true), x = y)[name = string(\"total\")];\n"
    "        } -> (total);\n}\n";

MilcRun run_in(const TemporaryFolder& folder, std::vector<std::string> args) {
  return run_milc(args, builtin_kernels(), {.cwd = folder.path().string()});
}

std::size_t files_in(const TemporaryFolder& folder) {
  const std::filesystem::directory_iterator all(folder.path());
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

TEST_CASE("times and the profile are of the runs that were asked for") {
  const TemporaryFolder folder;
  folder.write("a.mil", kProgram);
  const MilcRun run = run_in(folder, {"run", "a.mil", "--input", "seed:1", "--time", "--profile",
                                      "--repeat", "4", "--format", "json"});
  CHECK(run.err.empty());
  REQUIRE(run.code == kExitDone);
  const auto root = nlohmann::json::parse(run.out);
  const auto& time = root["time"];
  CHECK(time["runs"] == 4);
  CHECK(time["compile_ms"] > 0);
  CHECK(time["first_ms"] > 0);
  CHECK(time["least_ms"] > 0);
  CHECK(time["median_ms"] >= time["least_ms"]);
  CHECK(time["peak_bytes"] > 0);
  REQUIRE_FALSE(root["ops"].empty());
  for (const auto& op : root["ops"]) {
    CHECK(op["line"] >= 4);
    CHECK(op["calls"] == 1);
  }
  CHECK(root["ops"].front()["nanoseconds"] >= root["ops"].back()["nanoseconds"]);

  const MilcRun text =
      run_in(folder, {"run", "a.mil", "--input", "seed:1", "--time", "--profile", "--repeat", "4"});
  CHECK(text.out.find("\nleast of 4 runs ") != std::string::npos);
  CHECK(text.out.find("\n   ms     %  calls  line  op") != std::string::npos);
}

TEST_CASE("a run that fails leaves the files of the one before, and no others") {
  const TemporaryFolder folder;
  folder.write("a.mil", kProgram);
  REQUIRE(run_in(folder, {"run", "a.mil", "--input", "ones", "--output", "y.npy"}).code ==
          kExitDone);
  const std::string before = folder.read("y.npy");
  CHECK(files_in(folder) == 2);
  for (const std::string& input : {std::string("nowhere.npy"), std::string("seed:1:[9]")}) {
    CHECK(run_in(folder, {"run", "a.mil", "--input", input, "--output", "y.npy"}).code ==
          kExitFailed);
    CHECK(folder.read("y.npy") == before);
    CHECK(files_in(folder) == 2);
  }
  REQUIRE(run_in(folder, {"run", "a.mil", "--input", "zeros", "--output", "y.npy"}).code ==
          kExitDone);
  CHECK(folder.read("y.npy") != before);
  CHECK(files_in(folder) == 2);
}

TEST_CASE("tensors beyond memory are refused by name") {
  const TemporaryFolder folder;
  folder.write("a.mil",
               "program(1.3)\n{\n    func main<ios18>(tensor<fp16, [1099511627776, 1048576]> x) {\n"
               "            tensor<fp16, [1099511627776, 1048576]> y = relu(x = x)[name = "
               "string(\"y\")];\n        } -> (y);\n}\n");
  const MilcRun run = run_in(folder, {"run", "a.mil", "--input", "zeros"});
  CHECK(run.code == kExitFailed);
  CHECK(run.err.find("[memory.limit]") != std::string::npos);
}

}  // namespace
}  // namespace milgen
