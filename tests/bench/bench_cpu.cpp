// The CPU backend as a whole: the six Stories kernels at Stories110M beside the matrix products
// that they hold, done by the CBLAS library in fp32 and nothing else; beside numpy and PyTorch with
// the same mathematics in fp32 (stories_numpy.py, stories_torch.py); what memory they take; a chain
// of ten elementwise ops beside memcpy; and what starting the tool costs.
//
//     bench_cpu [--quick] [FILTER]
//
// FILTER: only kernels whose name has it, or `chain`, or `start`. Times are the processor's for one
// thread and the clock's for two, each the least and the median of turns that contestants take
// after each other.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/bench.h"
#include "bench/script.h"
#include "cpu/blas.h"
#include "milgen/backend.h"
#include "milgen/kernels/stories.h"
#include "milgen/milgen.h"
#include "milgen/weights.h"

namespace {

using namespace milgen;  // NOLINT(google-build-using-namespace): a program of its own
using bench::Race;
using bench::Script;

// --- What the kernels multiply. ---

/// C [rows, columns] = A [rows, inner] B [inner, columns], `count` times with other matrices.
struct Sizes {
  int rows;
  int columns;
  int inner;
  int count = 1;
};

constexpr int kDim = 768;
constexpr int kHidden = 2048;
constexpr int kHeads = 12;
constexpr int kHeadDim = kDim / kHeads;
constexpr int kSeq = 256;

constexpr Sizes kProject = {kDim, kSeq, kDim};
constexpr Sizes kWiden = {kHidden, kSeq, kDim};
constexpr Sizes kNarrow = {kDim, kSeq, kHidden};
constexpr Sizes kScores = {kSeq, kSeq, kHeadDim, kHeads};
constexpr Sizes kMix = {kSeq, kHeadDim, kSeq, kHeads};  // scores times what heads have

struct KernelProducts {
  std::string_view kernel;
  std::vector<Sizes> products;
};

const std::vector<KernelProducts>& kernel_products() {
  static const std::vector<KernelProducts> table = {
      {"sdpa_fwd_taps", {kProject, kProject, kProject, kScores, kMix, kProject}},
      {"ffn_fwd_taps", {kWiden, kWiden, kNarrow}},
      {"ffn_bwd", {kWiden, kNarrow, kNarrow}},
      {"sdpa_bwd1", {kProject, kScores, kMix, kScores}},
      {"sdpa_bwd2", {kMix, kMix}},
      {"qkv_bwd", {kProject, kProject, kProject}},
  };
  return table;
}

/// The products of a kernel, each with matrices of its own.
class Products {
 public:
  explicit Products(const std::vector<Sizes>& sizes) {
    for (const Sizes& one : sizes) {
      for (int i = 0; i < one.count; ++i) {
        const auto floats = [](int count) {
          return std::vector<float>(static_cast<std::size_t>(count), 0.25f);
        };
        products_.push_back({one, floats(one.rows * one.inner), floats(one.inner * one.columns),
                             floats(one.rows * one.columns)});
      }
    }
  }
  void run(detail::BlasSgemm sgemm) {
    constexpr int kRowMajor = 101;
    constexpr int kAsItIs = 111;
    for (Product& p : products_) {
      sgemm(kRowMajor, kAsItIs, kAsItIs, p.sizes.rows, p.sizes.columns, p.sizes.inner, 1,
            p.a.data(), p.sizes.inner, p.b.data(), p.sizes.columns, 0, p.c.data(), p.sizes.columns);
    }
  }

 private:
  struct Product {
    Sizes sizes;
    std::vector<float> a;
    std::vector<float> b;
    std::vector<float> c;
  };
  std::vector<Product> products_;
};

// --- A compiled program and its arrays. ---

class Compiled {
 public:
  Compiled(std::unique_ptr<Executable> executable, const Diagnostics& diagnostics)
      : executable_(std::move(executable)) {
    if (executable_ == nullptr) {
      std::fprintf(stderr, "%s\n", render(diagnostics).c_str());
      std::exit(1);
    }
    for (const TensorSpec& spec : executable_->inputs()) {
      inputs_.push_back({spec.name, Array(spec.dtype, spec.shape)});
      fill_seeded(inputs_.back().array, spec.name, 7);
    }
  }
  /// The first run makes the outputs; the others write over them.
  void run() {
    Diagnostics diagnostics;
    if (!executable_->run(inputs_, outputs_, diagnostics, {.report = &report_})) std::abort();
  }
  const RunReport& report() const { return report_; }
  std::span<const std::byte> input() const { return inputs_.front().array.bytes(); }

 private:
  std::unique_ptr<Executable> executable_;
  std::vector<NamedArray> inputs_;
  std::vector<NamedArray> outputs_;
  RunReport report_;
};

// --- The kernels. ---

class Kernels {
 public:
  Kernels(bool quick, std::string_view filter) : quick_(quick), filter_(filter) {
    add_builtin_kernels(registry_);
  }

  void run(int threads) {
    Script numpy("stories_numpy.py", threads);
    Script torch("stories_torch.py", threads);
    std::printf("\nStories110M, %d thread%s, least (median) ms; products alone: %s\n", threads,
                threads == 1 ? "" : "s", detail::blas_library().name.c_str());
    for (const auto& [script, name] : {std::pair(&numpy, "numpy"), std::pair(&torch, "PyTorch")}) {
      if (!script->ready()) std::printf("  skipped: there is no %s here\n", name);
    }
    std::printf("  %-14s %16s %16s %16s %8s %8s %8s %8s %8s\n", "kernel", "products", "fast",
                "exact", "fast/p", "exact/f", "numpy/f", "torch/f", "memory");
    for (const KernelProducts& row : kernel_products()) {
      if (row.kernel.find(filter_) == row.kernel.npos) continue;
      run_kernel(row, threads, numpy, torch);
    }
  }

 private:
  static Program build(const KernelSetInfo& set, const KernelEntry& entry) {
    Diagnostics diagnostics;
    Program program = build_kernel(set, entry, set.configs.front().config, diagnostics);
    if (!program) std::abort();
    return program;
  }

  static Compiled compile(const Program& program, NumericMode mode, int threads) {
    Diagnostics diagnostics;
    const auto weights = seeded_weights(0);
    return {
        cpu_backend().compile(program, *weights, {.mode = mode, .threads = threads}, diagnostics),
        diagnostics};
  }

  static double weight_bytes(const Program& program) {
    std::vector<WeightFileBytes> files;
    Diagnostics diagnostics;
    const auto weights = seeded_weights(0);
    if (!weight_files(program, *weights, files, diagnostics)) std::abort();
    double bytes = 0;
    for (const WeightFileBytes& file : files) bytes += static_cast<double>(file.bytes->size());
    return bytes;
  }

  void run_kernel(const KernelProducts& row, int threads, Script& numpy, Script& torch) {
    const KernelSetInfo* set = nullptr;
    const KernelEntry* entry = registry_.find(row.kernel, set);
    if (entry == nullptr) std::abort();
    const Program program = build(*set, *entry);
    Compiled fast = compile(program, NumericMode::fast, threads);
    Compiled exact = compile(program, NumericMode::exact, threads);
    Products products(row.products);
    const detail::BlasLibrary& blas = detail::blas_library();

    Race race(quick_ ? 1 : threads == 1 ? 25 : 9, threads);
    const std::size_t f = race.add([&] { fast.run(); });
    const std::size_t e = race.add([&] { exact.run(); });
    const std::size_t p = race.add(
        [&] {
          if (blas.sgemm != nullptr) products.run(blas.sgemm);
        },
        [&](bool begins) { bench::give_blas_threads(begins ? threads : 1); });
    const std::size_t n = race.add_timed([&] { return numpy.run(row.kernel); });
    const std::size_t t = race.add_timed([&] { return torch.run(row.kernel); });
    race.run(std::chrono::milliseconds(threads == 1 || quick_ ? 0 : 50));

    // Weights in the text and pack buffers of products are not in `kept`.
    const RunReport& report = exact.report();
    const double kept = static_cast<double>(report.live_bytes) + weight_bytes(program);
    const double taken = static_cast<double>(report.peak_bytes + report.constant_bytes);
    const auto time = [&](std::size_t one) {
      char text[32];
      std::snprintf(text, sizeof text, "%7.2f (%5.2f)", race.least(one) * 1e3,
                    race.median(one) * 1e3);
      return std::string(text);
    };
    const auto ratio = [&](std::size_t a, std::size_t b) { return race.least(a) / race.least(b); };
    std::printf("  %-14s %16s %16s %16s %8.2f %8.2f %8.2f %8.2f %8.2f\n", entry->name.c_str(),
                time(p).c_str(), time(f).c_str(), time(e).c_str(), ratio(f, p), ratio(e, f),
                ratio(n, f), ratio(t, f), taken / kept);
    std::printf("  %-14s peak %.2f MB of %.2f MB that live, constants %.2f MB of %.2f MB\n", "",
                static_cast<double>(report.peak_bytes) * 1e-6,
                static_cast<double>(report.live_bytes) * 1e-6,
                static_cast<double>(report.constant_bytes) * 1e-6, weight_bytes(program) * 1e-6);
    std::fflush(stdout);
  }

  bool quick_;
  std::string_view filter_;
  Registry registry_;
};

// --- Ten elementwise ops on 64 MB. ---

template <class T>
Program ten_ops(std::int64_t elements) {
  Kernel k("chain");
  const auto x = k.input<T>("x", {elements});
  auto y = (x + 1) * 0.5;
  y = (y - x) * x;
  y = relu(y) + 0.5;
  y = y * y;
  y = maximum(y, k.scalar<T>("least", 0.5)) * 0.5;
  k.output("y", y + x);
  return k.finish();
}

void chain(bool quick) {
  const std::size_t bytes = std::size_t{quick ? 1u : 64u} << 20;
  std::printf("\nTen elementwise ops on %zu MB, beside one memcpy of input to output\n",
              bytes >> 20);
  for (const int threads : {1, 2}) {
    for (const DType dtype : {DType::fp32, DType::fp16}) {
      for (const NumericMode mode : {NumericMode::exact, NumericMode::fast}) {
        const auto elements = static_cast<std::int64_t>(bytes / element_bytes(dtype));
        const Program program =
            dtype == DType::fp32 ? ten_ops<fp32>(elements) : ten_ops<fp16>(elements);
        Diagnostics diagnostics;
        const auto weights = seeded_weights(0);
        Compiled ours(cpu_backend().compile(program, *weights, {.mode = mode, .threads = threads},
                                            diagnostics),
                      diagnostics);
        std::vector<std::byte> copy(bytes);
        Race race(quick ? 1 : 15, threads);
        const std::size_t o = race.add([&] { ours.run(); });
        const std::size_t c = race.add([&] {
          std::memcpy(copy.data(), ours.input().data(), bytes);
          bench::keep(copy.data());
        });
        race.run();
        std::printf("  %s, %d thread%s, %-5s %8.2f ms, memcpy %6.2f ms, ratio %5.2f\n",
                    std::string(dtype_name(dtype)).c_str(), threads, threads == 1 ? " " : "s",
                    mode == NumericMode::exact ? "exact" : "fast", race.least(o) * 1e3,
                    race.least(c) * 1e3, race.least(o) / race.least(c));
      }
    }
  }
}

// --- Starting the tool. ---

#ifdef MILGEN_MILC
/// Seconds of the processor that a process takes.
double spawn(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  pid_t process = 0;
  if (posix_spawn(&process, arguments[0], &files, nullptr, arguments.data(), environ) != 0) {
    std::abort();
  }
  posix_spawn_file_actions_destroy(&files);
  int status = 0;
  rusage usage{};
  wait4(process, &status, 0, &usage);
  if (status != 0) std::abort();
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void start(bool quick) {
  const std::string milc = MILGEN_MILC;
  const std::string program = std::string(MILGEN_SOURCE_DIR) + "/tests/bench/tiny.mil";
  for (const bool of_processor : {true, false}) {
    Race race(quick ? 1 : 200, 2);
    const auto add = [&](const std::vector<std::string>& words) {
      return race.add_timed([=] {
        double processor = 0;
        const double clock = bench::seconds([&] { processor = spawn(words); });
        return of_processor ? processor : clock;
      });
    };
    const std::size_t h = add({milc, "help"});
    const std::size_t r = add({milc, "run", program, "--input", "seed:7"});
    race.run();
    std::printf("%s %-9s milc help %6.2f ms, milc run of two ops %6.2f ms, ratio %5.2f\n",
                of_processor ? "\nStart, median:\n " : " ", of_processor ? "processor" : "clock",
                race.median(h) * 1e3, race.median(r) * 1e3, race.median(r) / race.median(h));
  }
}
#endif

}  // namespace

int main(int argc, char** argv) {
  const bool quick = bench::is_quick(argc, argv);
  const std::string_view filter = argc > (quick ? 2 : 1) ? argv[quick ? 2 : 1] : "";
  const auto wanted = [&](std::string_view name) { return filter.empty() || filter == name; };
  if (filter != "chain" && filter != "start") {
    Kernels kernels(quick, filter);
    for (const int threads : {1, 2}) kernels.run(threads);
  }
  if (wanted("chain")) chain(quick);
#ifdef MILGEN_MILC
  if (wanted("start")) start(quick);
#endif
  return 0;
}
