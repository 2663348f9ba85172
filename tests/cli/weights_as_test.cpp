// Weights as inputs on the command line: goldens, emitted folders, runs.
#include "cli/weights_as.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "cli/golden.h"
#include "cli/numeric_check.h"
#include "cli/run_milc.h"
#include "milgen/ops.h"
#include "support/temporary_folder.h"

namespace fs = std::filesystem;
using namespace milgen;

namespace {

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

struct Config {
  std::int64_t dim = 8;
};

/// Two projections behind a gain.
void first(Kernel& k, const Config& c) {
  const auto x = k.input<fp16>("x", {1, c.dim, 1, 4});
  const auto scaled = x * k.weight<fp16>("g", {1, c.dim, 1, 1}, Fill::near_one);
  const auto up = conv(scaled, k.weight<fp16>("up", {2 * c.dim, c.dim, 1, 1}));
  k.output("y", conv(up, k.weight<fp16>("down", {c.dim, 2 * c.dim, 1, 1})));
}

/// No weight.
void second(Kernel& k, const Config& c) {
  k.output("y", relu(k.input<fp16>("x", {1, c.dim, 1, 4})));
}

/// Two weights that share a file.
void third(Kernel& k, const Config& c) {
  const auto x = k.input<fp16>("x", {1, c.dim, 1, 4});
  k.output("a", conv(x, k.weight<fp16>("wa", {c.dim, c.dim, 1, 1})));
  k.output("b", conv(x, k.weight<fp16>("wb", {c.dim, c.dim, 1, 1})));
}

/// A weight that is called like a kernel with a file of its own.
void fourth(Kernel& k, const Config& c) {
  const auto x = k.input<fp16>("x", {1, c.dim, 1, 4});
  k.output("y", conv(x, k.weight<fp16>("third", {c.dim, c.dim, 1, 1})));
}

Registry my_kernels() {
  Registry registry;
  registry.set<Config>("mine", "kernels of my model")
      .param("dim", &Config::dim, "channels")
      .config("small", {.dim = 4})
      .weight_modes({WeightsAs::param, WeightsAs::packed})
      .kernel<first>("first", "y = down up (g x)")
      .kernel<second>("second", "y = relu(x)")
      .kernel<third>("third", "a = wa x; b = wb x", Opset::ios18, WeightFiles::shared);
  return registry;
}

}  // namespace

TEST_CASE("a set that asks for modes gets their goldens, where a weight becomes an input") {
  const TemporaryFolder folder;
  const Registry kernels = my_kernels();
  const MilcSetting here{.cwd = folder.path()};
  const fs::path golden = fs::path(folder.path()) / "golden/kernels/mine";

  MilcRun run = run_milc({"check", "--accept", "golden"}, kernels, here);
  INFO(run.out);
  INFO(run.err);
  REQUIRE(run.code == kExitDone);
  CHECK(run.out.ends_with("7 kernels: 18 files accepted\n"));
  CHECK(run.err.empty());
  CHECK(has(read(golden / "first.small.param.weights"), "\n# weights-as param\n"));
  CHECK_FALSE(has(read(golden / "first.small.weights"), "weights-as"));
  CHECK(has(read(golden / "third.small.weights"), "\n# weight-file shared third.bin\n"));
  CHECK(read(golden / "first.small.packed.plan").starts_with("# milgen weight plan 1\n"));
  CHECK(has(read(golden / "first.small.packed.weights"), "\ng\tweights/g.bin\t"));
  CHECK_FALSE(fs::exists(golden / "second.small.param.mil"));

  run = run_milc({"check", "golden"}, kernels, here);
  CHECK(run.out == "7 kernels: all match\n");
  run = run_milc({"check", "golden", "--filter", "*.param"}, kernels, here);
  CHECK(run.out == "2 kernels: all match\n");

  SUBCASE("a changed plan differs") {
    std::string plan = read(golden / "first.small.packed.plan");
    plan.replace(plan.find("transposed"), 10, "columns");
    write(golden / "first.small.packed.plan", plan);
    run = run_milc({"check", "golden"}, kernels, here);
    CHECK(run.code == kExitDiffers);
    CHECK(has(run.out,
              "weight plan of mine/first at small, weights as packed: 1 line differs "
              "[golden.weights]"));
    CHECK(has(run.out, "milc check --accept golden --filter first.small.packed\n"));
    run =
        run_milc({"check", "--accept", "golden", "--filter", "first.small.packed"}, kernels, here);
    CHECK(run.out.ends_with("1 kernel: 1 file accepted\n"));
  }
  SUBCASE("a missing file is a difference") {
    fs::remove(golden / "third.small.param.plan");
    run = run_milc({"check", "golden"}, kernels, here);
    CHECK(run.code == kExitDiffers);
    CHECK(has(run.out,
              "third.small.param.plan: error: there is no golden weight plan of mine/third "
              "at small, weights as param [golden.missing]"));
  }
  SUBCASE("so is a golden of a mode that makes no sense") {
    write(golden / "second.small.packed.mil", "x");
    write(golden / "second.small.plan", "x");
    run = run_milc({"check", "golden"}, kernels, here);
    CHECK(run.code == kExitDiffers);
    CHECK(has(run.out,
              "second.small.packed.plan: error: no weight of mine/second at small, weights "
              "as packed is an input; remove the golden [golden.unknown]"));
    CHECK(has(run.out, "second.small.plan: error: no weight of mine/second at small is an input"));
    CHECK(run.out.ends_with("8 kernels: 2 differ\n"));
  }
  SUBCASE("and one of a kernel that nobody registers") {
    write(golden / "fifth.small.param.plan", "x");
    run = run_milc({"check", "golden"}, kernels, here);
    CHECK(has(run.out, "fifth.small.param.mil: error: no kernel 'mine/fifth' is registered"));
  }
}

TEST_CASE("a set that asks for no modes keeps the goldens that it has, and may have others") {
  const TemporaryFolder folder;
  const MilcSetting here{.cwd = folder.path()};
  Registry kernels;
  kernels.set<Config>("mine", "kernels of my model")
      .config("small", {.dim = 4})
      .kernel<first>("first", "y = down up (g x)");
  const fs::path golden = fs::path(folder.path()) / "golden/kernels/mine";
  REQUIRE(run_milc({"check", "--accept", "golden"}, kernels, here)
              .out.ends_with("1 kernel: 2 files accepted\n"));
  // A listing's header is enough to start one by hand.
  write(golden / "first.small.param.weights",
        "# milgen weight listing 1\n# kernel mine/first\n# config small\n");
  REQUIRE(run_milc({"check", "--accept", "golden"}, kernels, here)
              .out.ends_with("2 kernels: 3 files accepted\n"));
  CHECK(run_milc({"check", "golden"}, kernels, here).out == "2 kernels: all match\n");
}

TEST_CASE("an emitted folder is held against the goldens of its mode") {
  const TemporaryFolder folder;
  const Registry kernels = my_kernels();
  const MilcSetting here{.cwd = folder.path()};
  REQUIRE(run_milc({"check", "--accept", "golden"}, kernels, here).code == kExitDone);
  const std::vector<std::string> check = {"check", "golden", "--artifacts", "out"};
  for (const std::string mode : {"const", "param", "packed"}) {
    CAPTURE(mode);
    MilcRun run =
        run_milc({"emit", "--all", "mine", "-o", "out", "--weights-as", mode}, kernels, here);
    INFO(run.err);
    REQUIRE(run.code == kExitDone);
    run = run_milc(check, kernels, here);
    CHECK(run.code == kExitDone);
    CHECK(run.out.ends_with("all match\n"));
  }
  const fs::path plan = fs::path(folder.path()) / "out/first.plan";
  const std::string good = read(plan);
  write(plan, good + "x");
  MilcRun run = run_milc(check, kernels, here);
  CHECK(run.code == kExitDiffers);
  CHECK(has(run.out, "out/first.plan:"));
  CHECK(has(run.out, "the weight plan differs from golden/kernels/mine/first.small.packed.plan"));
  fs::remove(plan);
  run = run_milc(check, kernels, here);
  CHECK(run.code == kExitDiffers);
  CHECK(has(run.out,
            "by golden/kernels/mine/first.small.packed.plan weights are inputs "
            "[artifact.missing]"));
  // Constants have no plan: one of milgen's goes, and somebody else's file stays.
  write(plan, good);
  write(fs::path(folder.path()) / "out/third.plan", "mine");
  REQUIRE(run_milc({"emit", "--all", "mine", "-o", "out"}, kernels, here).code == kExitDone);
  CHECK_FALSE(fs::exists(plan));
  CHECK(read(fs::path(folder.path()) / "out/third.plan") == "mine");
}

TEST_CASE("kernels that share a file have one each, beside those that do not") {
  const TemporaryFolder folder;
  Registry kernels = my_kernels();
  const MilcSetting here{.cwd = folder.path()};
  const fs::path weights = fs::path(folder.path()) / "out/weights";
  REQUIRE(run_milc({"emit", "--all", "mine", "-o", "out"}, kernels, here).code == kExitDone);
  CHECK(fs::exists(weights / "third.bin"));
  CHECK(fs::exists(weights / "up.bin"));
  CHECK_FALSE(fs::exists(weights / "wa.bin"));

  // What one group takes is not surplus for another.
  MilcRun run =
      run_milc({"emit", "--all", "mine", "-o", "again", "--weights-from", "out"}, kernels, here);
  CHECK(has(run.err, "'wa'"));  // a file of several records has no names for them
  run = run_milc({"emit", "--all", "mine", "-o", "out", "--weight-file", "per-weight"}, kernels,
                 here);
  CHECK(run.code == kExitDone);
  fs::remove(weights / "third.bin");
  run = run_milc({"emit", "--all", "mine", "-o", "again", "--weights-from", "out"}, kernels, here);
  CHECK(run.code == kExitDone);
  CHECK(run.err.empty());
  // Nor is what becomes an input.
  run = run_milc(
      {"emit", "--all", "mine", "-o", "again", "--weights-from", "out", "--weights-as", "param"},
      kernels, here);
  CHECK(run.code == kExitDone);
  CHECK_FALSE(has(run.err, "weight.extra"));

  kernels.set<Config>("mine", "kernels of my model").kernel<fourth>("fourth", "y = third x");
  run = run_milc({"emit", "--all", "mine", "-o", "other"}, kernels, here);
  CHECK(run.code == kExitFailed);
  CHECK(has(run.err,
            "'weights/third.bin' is the weight file of 'third' and one of 'first'; "
            "--weight-file says how all are laid out [weight.conflict]"));
  CHECK_FALSE(fs::exists(fs::path(folder.path()) / "other"));
}

TEST_CASE("of all kernels, a choice is for those that have the weight") {
  const TemporaryFolder folder;
  const Registry kernels = my_kernels();
  const MilcSetting here{.cwd = folder.path()};
  MilcRun run =
      run_milc({"emit", "--all", "mine", "-o", "out", "--weights-as", "wa=param"}, kernels, here);
  INFO(run.err);
  CHECK(run.code == kExitDone);
  CHECK(has(run.out, "third: "));
  CHECK(has(run.out, "weights as inputs: wa\n"));
  CHECK_FALSE(has(run.out, "first: "));
  run = run_milc({"emit", "--all", "mine", "-o", "out", "--weights-as", "wc=param"}, kernels, here);
  CHECK(run.code == kExitFailed);
  CHECK(has(run.err, "--weights-as names 'wc', which no kernel has [weights.unknown]"));
}

TEST_CASE("a choice that is not possible is refused, and what cannot come so is said") {
  const Registry kernels = my_kernels();
  MilcRun run = run_milc({"emit", "first", "--weights-as", "param,g=packed"}, kernels);
  CHECK(run.code == kExitFailed);
  CHECK(has(run.err,
            "weight 'g' cannot be packed: it is no matrix of a projection or of a matmul "
            "[weights.choice]"));
  run = run_milc({"emit", "second", "--weights-as", "packed"}, kernels);
  CHECK(run.code == kExitDone);
  CHECK(has(run.err,
            "no weight of 'second' becomes an input by --weights-as=packed "
            "[weights.constant]"));
}

TEST_CASE("a kernel computes the same with its weights as inputs") {
  const TemporaryFolder folder;
  const Registry kernels = my_kernels();
  const MilcSetting here{.cwd = folder.path()};
  for (const std::string mode : {"param", "packed", "packed,g=param", "up=param"}) {
    CAPTURE(mode);
    const MilcRun run = run_milc(
        {"compare", "first", "--input", "seed:7", "--with", "weights-as=" + mode}, kernels, here);
    INFO(run.err);
    CHECK(run.code == kExitDone);
    CHECK(
        run.out.starts_with("here:  cpu, exact, weights as const\nthere: cpu, exact, weights as "));
    CHECK(run.out.ends_with("1 output: the same values\n"));
  }
  // Both sides with inputs, from files.
  REQUIRE(
      run_milc({"emit", "first", "-o", "out", "--weights-from", "seed:5"}, kernels, here).code ==
      kExitDone);
  const MilcRun run =
      run_milc({"compare", "first", "--input", "x=seed:7", "--weights", "out", "--weights-as=param",
                "--with", "weights-as=packed", "--with", "threads=2"},
               kernels, here);
  INFO(run.err);
  CHECK(run.code == kExitDone);
  CHECK(has(run.out, "there: cpu, exact, 2 threads, weights as packed\n"));
}

TEST_CASE("the first different bit of two runs is found") {
  const auto outputs = [](double value, DType dtype = DType::fp16) {
    std::vector<NamedArray> out = {{"y", Array(dtype, {2, 2})}};
    out[0].array.set(2, value);
    return out;
  };
  CHECK(cli::first_different_bits(outputs(1), outputs(1)).empty());
  CHECK(cli::first_different_bits(outputs(1), outputs(0.5)) == "element 2 of 'y' is 1 but was 0.5");
  CHECK(cli::first_different_bits(outputs(0.0), outputs(-0.0)) ==
        "element 2 of 'y' is 0 but was -0");
  CHECK(cli::first_different_bits(outputs(1), outputs(1, DType::fp32)) ==
        "output 'y' is tensor<fp16, [2, 2]> but was 'y', tensor<fp32, [2, 2]>");
  CHECK(cli::first_different_bits(outputs(1), {}) == "there are 1 but were 0 outputs");
}

TEST_CASE("listings say the mode and the file, and no file outside of the folder") {
  const std::string start = "# milgen weight listing 1\n# kernel a/b\n";
  const auto parse = [&](const std::string& line, cli::Listing& listing) {
    Diagnostics diagnostics;
    const bool good = cli::parse_listing(start + line + "\n", "t.weights", listing, diagnostics);
    CHECK(good != has(render(diagnostics), "cannot be"));
    return good;
  };
  cli::Listing listing;
  CHECK_FALSE(parse("# weight-file sharedXname", listing));
  CHECK(parse("# weights-as packed", listing));
  CHECK(listing.header.weights_as == WeightsAs::packed);
  CHECK(parse("# weight-file shared qkv.bin", listing));
  CHECK(listing.header.layout.shared_name == "qkv.bin");
  CHECK(has(cli::listing_text(listing), "\n# weight-file shared qkv.bin\n"));
  CHECK(parse("# weight-file shared", listing));
  CHECK(has(cli::listing_text(listing), "\n# weight-file shared\n"));
  for (const char* bad :
       {"# weights-as", "# weights-as inputs", "# weight-file shared ", "# weight-file shared ../x",
        "# weight-file shared ..", "# weight-file sharedx/y"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse(bad, listing));
  }
}

TEST_CASE("modes are read from any number of texts that do not contradict each other") {
  const auto parse = [](std::vector<std::string> texts, std::string& error) {
    WeightModes modes;
    Diagnostics diagnostics;
    error.clear();
    if (!cli::parse_weight_modes("--weights-as", texts, modes, diagnostics)) {
      error = diagnostics.all().front().message;
    }
    return cli::weight_modes_text(modes);
  };
  std::string error;
  CHECK(parse({}, error) == "const");
  CHECK(parse({"packed,g=const", "packed", "w=param", "g=const"}, error) ==
        "packed,g=const,w=param");
  CHECK(error.empty());
  parse({"param", "packed"}, error);
  CHECK(error == "--weights-as says param and packed for all weights");
  parse({"g=param", "g=packed"}, error);
  CHECK(error == "--weights-as says param and packed for 'g'");
  parse({"=param"}, error);
  CHECK(error == "--weights-as names no weight in front of '=param'");
  parse({"parm"}, error);
  CHECK(error ==
        "--weights-as takes const, param or packed, or WEIGHT= and one of them, not "
        "'parm'; did you mean 'param'?");
  parse({"param,"}, error);
  CHECK(error ==
        "--weights-as takes const, param or packed, or WEIGHT= and one of them, not '' in "
        "'param,'");
}
