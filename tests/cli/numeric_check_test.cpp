// `check` and `demo` with numeric goldens: those of the repository and of somebody else's kernels.
#include "cli/numeric_check.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "cli/run_milc.h"
#include "milgen/fill.h"
#include "milgen/ops.h"
#include "support/temporary_folder.h"

namespace fs = std::filesystem;
using namespace milgen;

namespace {

struct Config {
  std::int64_t dim = 2;
};

void rectify(Kernel& k, const Config& c) {
  const auto x = k.input<fp16>("x", {1, c.dim, 1, 4});
  k.output("y", relu(x));
}

/// What `rectify` became after somebody touched it.
void rectify_changed(Kernel& k, const Config& c) {
  const auto x = k.input<fp16>("x", {1, c.dim, 1, 4});
  k.output("y", tanh(x));
}

/// One factor for each channel; a depthwise weight has no fan in.
void scaled(Kernel& k, const Config& c) {
  const auto x = k.input<fp16>("x", {1, c.dim, 1, 4});
  k.output("y", x * k.weight<fp16>("w", {c.dim, 1, 1}));
}

void open_ended(Kernel& k, const Config&) {
  const auto x = k.input<fp16>("x", {1, kUnknownDim});
  k.output("y", relu(x));
}

template <auto Rectify>
Registry my_kernels() {
  Registry registry;
  registry.set<Config>("mine", "kernels of my model")
      .param("dim", &Config::dim, "channels")
      .config("small", {.dim = 2})
      .kernel<scaled>("scaled", "y = w x")
      .kernel<Rectify>("rectify", "y = max(x, 0)");
  return registry;
}

constexpr std::uint64_t kInputSeed = 7;

Array seeded(std::string_view name, const Shape& shape, std::uint64_t seed) {
  Array array(DType::fp16, shape);
  fill_seeded(array, name, seed);
  return array;
}

/// A golden of values that fp16 has: they are true and rounded at once.
std::string golden_text(std::string_view kernel, std::uint64_t weight_seed, const Array& values) {
  const std::int64_t dim = values.shape()[1];
  double squares = 0;
  std::string samples;
  std::vector<double> sums(static_cast<std::size_t>(dim), 0.0);
  for (std::int64_t i = 0; i < values.size(); ++i) {
    const double value = values.real(i);
    squares += value * value;
    sums[static_cast<std::size_t>(i * dim / values.size())] += value;
    samples += fmt::format("at {0} {1} {1}\n", i, value);
  }
  return fmt::format(
      "# milgen numeric golden 1\n# kernel mine/{}\n# config small\n# params dim={}\n"
      "# weight-seed {}\n# input-seed {}\n# origin by hand\n"
      "output y fp16 {}\npart all {} {} 1 0.5 0.25\n{}sums {}\n",
      kernel, dim, weight_seed, kInputSeed, to_string(values.shape()), dim,
      std::sqrt(squares / static_cast<double>(values.size())), samples, fmt::join(sums, " "));
}

std::string rectify_golden() {
  Array values = seeded("x", {1, 2, 1, 4}, kInputSeed);
  for (std::int64_t i = 0; i < values.size(); ++i) values.set(i, std::max(values.real(i), 0.0));
  return golden_text("rectify", 0, values);
}

std::string scaled_golden(std::uint64_t weight_seed) {
  const Array weights = seeded("w", {2, 1, 1}, weight_seed);
  Array values = seeded("x", {1, 2, 1, 4}, kInputSeed);
  for (std::int64_t i = 0; i < values.size(); ++i) {
    values.set(i, values.real(i) * weights.real(i / 4));
  }
  return golden_text("scaled", weight_seed, values);
}

/// A folder of goldens; texts and weights are accepted, the numbers come from here.
class Goldens {
 public:
  explicit Goldens(const Registry& kernels) {
    REQUIRE(run({"check", "--accept", "golden"}, kernels).code == kExitDone);
  }

  fs::path path(std::string_view name) const {
    return fs::path(folder_.path()) / fmt::format("golden/numeric/mine/{}.numeric", name);
  }
  void write(std::string_view name, std::string_view text) const {
    fs::create_directories(path(name).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
  }
  std::string read(std::string_view name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  MilcRun run(const std::vector<std::string>& args, const Registry& kernels) const {
    return run_milc(args, kernels, {.cwd = folder_.path()});
  }
  MilcRun demo(const Registry& kernels) const {
    return run({"demo", "-o", "out", "--no-times"}, kernels);
  }

 private:
  TemporaryFolder folder_;
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

constexpr std::string_view kDifference =
    "golden/numeric/mine/rectify.small.numeric: error: mode exact: element [0, ";

}  // namespace

TEST_CASE("a user's kernel is held against numbers of the user") {
  const Registry kernels = my_kernels<rectify>();
  const Goldens goldens(kernels);
  goldens.write("rectify.small", rectify_golden());
  goldens.write("scaled.small", scaled_golden(5));
  MilcRun run = goldens.run({"check", "golden"}, kernels);
  CHECK(run.code == kExitDone);
  CHECK(run.out == "2 kernels, 2 numeric goldens: all match\n");
  run = goldens.run({"check", "golden", "--filter", "rectify.*"}, kernels);
  CHECK(run.out == "1 kernel, 1 numeric golden: all match\n");
  run = goldens.run({"check", "golden", "--filter", "numeric/mine/scaled.small"}, kernels);
  CHECK(run.out == "1 numeric golden: all match\n");

  // Another seed makes other weights.
  std::string other = scaled_golden(5);
  other.replace(other.find("weight-seed 5"), 13, "weight-seed 6");
  goldens.write("scaled.small", other);
  run = goldens.run({"check", "golden", "--filter", "numeric/*"}, kernels);
  CHECK(run.code == kExitDiffers);
  CHECK(contains(run.out,
                 "to see the values: milc run mine/scaled --config small --weights seed:6 "
                 "--input seed:7 --mode exact\n  nothing to accept: the golden's values "
                 "come from by hand\n2 numeric goldens: 1 differs\n"));
}

TEST_CASE("numbers are never accepted") {
  const Registry kernels = my_kernels<rectify_changed>();
  const Goldens goldens(kernels);
  const std::string text = rectify_golden();
  goldens.write("rectify.small", text);
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"check", "golden"},
        std::vector<std::string>{"check", "--accept", "golden"}}) {
    const MilcRun run = goldens.run(args, kernels);
    CHECK(run.code == kExitDiffers);
    CHECK(run.out.starts_with(kDifference));
    CHECK(run.out.ends_with("2 kernels, 1 numeric golden: 1 differs\n"));
    CHECK(goldens.read("rectify.small") == text);
  }
}

TEST_CASE("an input of unknown shape has no seeded values") {
  Registry kernels;
  kernels.set<Config>("mine", "kernels of my model")
      .config("small", {.dim = 2})
      .kernel<open_ended>("open", "y = max(x, 0)");
  const Goldens goldens(kernels);
  Array values(DType::fp16, {1, 2});
  values.set(0, 1);
  std::string text = golden_text("open", 0, values);
  goldens.write("open.small", text.replace(text.find("# params dim=2\n"), 15, ""));
  const MilcRun run = goldens.run({"check", "golden", "--filter", "numeric/*"}, kernels);
  CHECK(run.code == kExitDiffers);
  CHECK(run.out ==
        "milc: error: input 'x' is tensor<fp16, [1, ?]>, which no seed fills [run.input]\n"
        "1 numeric golden: 1 differs\n");
}

TEST_CASE("the demo runs what it emitted and compares") {
  const Registry kernels = my_kernels<rectify>();
  const Goldens goldens(kernels);
  goldens.write("rectify.small", rectify_golden());
  MilcRun run = goldens.demo(kernels);
  CHECK(run.code == kExitDone);
  CHECK(contains(run.out, "same     0.0 of 1\n"));
  CHECK(contains(run.out, "same  same     none\n"));
  CHECK(run.out.ends_with(
      "in out: text and weights are those of the goldens, 1 kernel without numbers\n"));

  // Weights of another seed than those that are written.
  goldens.write("scaled.small", scaled_golden(5));
  run = goldens.demo(kernels);
  CHECK(run.code == kExitDone);
  CHECK(run.out.ends_with("in out: text, weights and numbers are those of the goldens\n"));

  run = goldens.run({"demo", "-o", "out"}, kernels);
  CHECK(run.code == kExitDone);
  CHECK(contains(run.out, "numbers  error in eps  run ms\n"));
  CHECK(contains(run.out, " ms, run in "));
}

TEST_CASE("the demo says which numbers differ") {
  const Registry kernels = my_kernels<rectify_changed>();
  const Goldens goldens(kernels);
  goldens.write("rectify.small", rectify_golden());
  MilcRun run = goldens.demo(kernels);
  CHECK(run.code == kExitDiffers);
  CHECK(run.out.starts_with(kDifference));
  CHECK(contains(run.out, "same  same     differs"));
  CHECK(run.out.ends_with("in out: not as the goldens\n"));

  goldens.write("rectify.small", "nothing\n");
  run = goldens.demo(kernels);
  CHECK(run.code == kExitDiffers);
  CHECK(
      run.out.starts_with("golden/numeric/mine/rectify.small.numeric:1:1: error: the first line is "
                          "not '# milgen numeric golden 1' [golden.format]\n"));
  CHECK(contains(run.out, "same  same     differs\n"));
}

TEST_CASE("the Stories kernels compute what was found without milgen") {
  const TemporaryFolder folder;
  const std::string golden = std::string(MILGEN_SOURCE_DIR) + "/golden";
  const MilcRun run = run_milc({"demo", "-o", "out", "--golden", golden, "--no-times"},
                               builtin_kernels(), {.cwd = folder.path()});
  CHECK(run.code == kExitDone);
  CHECK(run.err.empty());
  // Mode exact has the same bits everywhere.
  CHECK(run.out ==
        "stories at stories110m (dim=768 hidden=2048 heads=12 seq=256 eps=1e-05), weights of seed "
        "0\n\n"
        "kernel         ops  text bytes  weight bytes  text  weights  numbers  error in eps\n"
        "sdpa_fwd_taps   51       6,701     4,851,200  same  same     near     1.3 of 2.9\n"
        "ffn_fwd_taps    30       3,981     9,438,720  same  same     same     1.4 of 3.8\n"
        "ffn_bwd         33       4,356     9,437,184  same  same     same     1.9 of 5.1\n"
        "sdpa_bwd1       48       6,107     1,310,720  same  same     same     0.8 of 2.6\n"
        "sdpa_bwd2       40       4,945             0  same  same     same     1.5 of 4.2\n"
        "qkv_bwd         20       3,042     3,538,944  same  same     same     1.1 of 3.8\n\n"
        "23 files, 28.5 MB in out: text, weights and numbers are those of the goldens\n");
}
