// What the host does in a training step of Stories110M, against memcpy of as many bytes as it reads
// and writes, and products against the CBLAS library; contestants take turns in one run, medians.
//
//     bench_train_host [--quick]
//
// The rows to look at: "prepare" (every matrix as fp16 weight files, straight and transposed, read
// once) at least 0.70 of memcpy, "adam" near 1.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "cpu/blas.h"
#include "milgen/kernel.h"
#include "milgen/kernels/stories.h"
#include "milgen/train/host_ops.h"
#include "milgen/train/model.h"
#include "milgen/train/prepare.h"
#include "milgen/weight_inputs.h"
#include "milgen/weight_modes.h"
#include "support/thread_pool.h"

namespace {

using milgen::bench::Race;
using namespace milgen::train;  // NOLINT: all of this is about it

bool all_good = true;

std::vector<float> some_floats(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 9973) * 1e-4f - 0.5f;
  return values;
}

/// Copies with as many threads as the contestant has.
class Copier {
 public:
  Copier(std::size_t bytes, int threads) : from_(bytes), to_(bytes), pool_(threads) {
    std::memset(from_.data(), 1, bytes);
  }
  void copy() {
    pool_.run(from_.size(), std::size_t{1} << 16, [&](std::size_t begin, std::size_t end) {
      std::memcpy(to_.data() + begin, from_.data() + begin, end - begin);
    });
    milgen::bench::keep(to_.data());
  }

 private:
  std::vector<std::byte> from_;
  std::vector<std::byte> to_;
  milgen::detail::ThreadPool pool_;
};

/// A row: what `work` takes, and its share of the speed of a copy of `bytes`, half of what it reads
/// and writes.
template <class Work>
void row(const char* name, std::size_t bytes, int threads, int rounds, const Work& work) {
  Copier copier(bytes, threads);
  Race race(rounds, threads);
  const std::size_t copy = race.add([&] { copier.copy(); });
  const std::size_t own = race.add(work);
  race.run();
  std::printf("  %-34s %9.3f ms   memcpy %9.3f ms %6.1f GB/s   %.2f of memcpy\n", name,
              1e3 * race.median(own), 1e3 * race.median(copy),
              2e-9 * static_cast<double>(bytes) / race.median(copy),
              race.median(copy) / race.median(own));
}

void host_rows(const ModelConfig& config, int threads, int rounds) {
  HostOps ops(milgen::NumericMode::fast, threads);
  const auto model = static_cast<std::size_t>(model_parameters(config)) / 4;
  {
    std::vector<float> w = some_floats(model);
    const std::vector<float> g = some_floats(model);
    AdamState state(model);
    std::int64_t t = 0;
    row("adam, a quarter of the model", 14 * model, threads, rounds,
        [&] { ops.adam_update(w, g, state, ++t, {}); });
    row("sum of squares, the same", 2 * model, threads, rounds,
        [&] { all_good &= ops.sum_of_squares(g) > 0; });
    row("first that is not finite, the same", 2 * model, threads, rounds,
        [&] { all_good &= ops.first_nonfinite(g) < 0; });
  }
  const auto seq = static_cast<std::size_t>(config.seq);
  {
    const std::size_t count = static_cast<std::size_t>(config.vocab) * seq;
    const std::vector<float> logits = some_floats(count);
    std::vector<float> dlogits(count);
    const std::vector<std::int32_t> targets(seq, 7);
    // Logits are read, exponentials written, read and made gradients.
    row("cross entropy [V, S]", 8 * count, threads, rounds, [&] {
      all_good &= ops.cross_entropy_loss(dlogits, logits, targets, config.vocab, config.seq) > 0;
    });
  }
  const std::size_t count = static_cast<std::size_t>(config.dim) * seq;
  const std::vector<float> x = some_floats(count);
  const std::vector<float> dy = some_floats(count);
  const std::vector<float> w = some_floats(static_cast<std::size_t>(config.dim));
  std::vector<float> out(count);
  std::vector<float> dw(w.size());
  // In a cache, where a copy is faster than arithmetic.
  row("rmsnorm [D, S], in cache", 6 * count, threads, rounds,
      [&] { ops.rmsnorm(out, x, w, config.dim, config.seq); });
  row("rmsnorm backward [D, S], in cache", 12 * count, threads, rounds,
      [&] { ops.rmsnorm_backward(out, dw, dy, x, w, config.dim, config.seq); });
}

/// dw += dy * x^T against the library alone, which adds likewise.
void gradient_row(std::int64_t out, std::int64_t in, std::int64_t seq, int threads, int rounds) {
  const milgen::detail::BlasSgemm sgemm = milgen::detail::blas_library().sgemm;
  const auto elements = [](std::int64_t a, std::int64_t b) {
    return static_cast<std::size_t>(a * b);
  };
  const std::vector<float> dy = some_floats(elements(out, seq));
  const std::vector<float> x = some_floats(elements(in, seq));
  std::vector<float> dw(elements(out, in));
  HostOps fast(milgen::NumericMode::fast, threads);
  HostOps exact(milgen::NumericMode::exact, threads);
  Race race(rounds, threads);
  const std::size_t own =
      race.add([&] { all_good &= fast.add_weight_gradient(dw, dy, x, out, in, seq); });
  const std::size_t careful =
      race.add([&] { all_good &= exact.add_weight_gradient(dw, dy, x, out, in, seq); });
  std::size_t library = own;
  if (sgemm != nullptr) {
    library = race.add(
        [&] {
          sgemm(101, 111, 112, static_cast<int>(out), static_cast<int>(in), static_cast<int>(seq),
                1, dy.data(), static_cast<int>(seq), x.data(), static_cast<int>(seq), 1, dw.data(),
                static_cast<int>(in));
        },
        [&](bool before) { milgen::bench::give_blas_threads(before ? threads : 1); });
  }
  race.run();
  std::printf("  weight gradient [%lld, %lld] x %lld: fast %.3f ms, exact %.3f ms",
              static_cast<long long>(out), static_cast<long long>(in), static_cast<long long>(seq),
              1e3 * race.median(own), 1e3 * race.median(careful));
  if (sgemm != nullptr) {
    std::printf(", sgemm %.3f ms; fast is %.2f of sgemm's time", 1e3 * race.median(library),
                race.median(own) / race.median(library));
  }
  std::printf("\n");
}

void prepare_row(const ModelConfig& config, int threads, int rounds) {
  ModelWeights weights;
  initialize(weights, config, 0);
  PreparedWeights files;
  milgen::Diagnostics diagnostics;
  all_good &= files.open(config, threads, diagnostics);
  // Four bytes of fp32 are read, and twice two of fp16 are written.
  const auto bytes = static_cast<std::size_t>(4 * model_parameters(config));
  row("prepare all weight files", bytes, threads, rounds,
      [&] { all_good &= files.prepare(weights, diagnostics); });
  all_good &= diagnostics.empty();
}

/// WeightInputs of a feed-forward kernel of a layer. Matrices are given as the model has them: the
/// kernel backward has them transposed.
void refresh_row(const ModelConfig& config, bool backward, milgen::WeightsAs as, int rounds) {
  const milgen::StoriesConfig sizes = {.dim = config.dim,
                                       .hidden = config.hidden,
                                       .heads = config.heads,
                                       .seq = config.seq,
                                       .eps = config.eps};
  const std::string kernel_name = backward ? "ffn_bwd" : "ffn_fwd_taps";
  milgen::Kernel kernel(kernel_name);
  (backward ? milgen::ffn_bwd : milgen::ffn_fwd_taps)(kernel, sizes);
  milgen::Diagnostics diagnostics;
  const milgen::Program program = with_weights_as(kernel.finish(), {.all = as}, diagnostics);
  milgen::WeightInputs inputs;
  all_good &= inputs.open(weight_plan(program), diagnostics) && !diagnostics.has_errors();
  std::vector<std::string> names;
  std::vector<std::vector<float>> values;
  std::size_t count = 0;
  for (const milgen::PlannedInput& input : inputs.plan().inputs) {
    for (const milgen::PlannedPart& part : input.parts) {
      if (!part.is_weight) continue;
      names.push_back(part.name);
      values.push_back(some_floats(static_cast<std::size_t>(part.shape[0] * part.shape[1])));
      count += values.back().size();
    }
  }
  const auto transposed = backward ? milgen::Transposed::yes : milgen::Transposed::no;
  const std::string name = "refresh " + kernel_name + ", " + std::string(weights_as_name(as));
  // fp32 are read and fp16 written.
  row(name.c_str(), 3 * count, 1, rounds, [&] {
    for (std::size_t i = 0; i < names.size(); ++i) {
      all_good &= inputs.write(names[i], values[i], transposed, diagnostics);
    }
  });
  all_good &= !diagnostics.has_errors();
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = milgen::bench::is_quick(argc, argv);
  const ModelConfig config = quick ? small_model() : stories110m();
  const int rounds = quick ? 1 : 9;
  for (const int threads : {1, 2}) {
    std::printf("%d %s\n", threads, threads == 1 ? "thread" : "threads");
    host_rows(config, threads, rounds);
    prepare_row(config, threads, rounds);
    gradient_row(config.dim, config.dim, config.seq, threads, rounds);
    gradient_row(config.hidden, config.dim, config.seq, threads, rounds);
    gradient_row(config.vocab, config.dim, config.seq, threads, rounds);
  }
  std::printf("weights that are inputs, of a layer, 1 thread\n");
  refresh_row(config, false, milgen::WeightsAs::param, rounds);
  refresh_row(config, true, milgen::WeightsAs::param, rounds);
  refresh_row(config, false, milgen::WeightsAs::packed, rounds);
  return all_good ? 0 : 1;
}
