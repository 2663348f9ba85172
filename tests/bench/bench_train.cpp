// Forward and backward of one training sequence of Stories110M on the CPU backend, mode fast, two
// threads, beside the matrix products of that step alone, done by the CBLAS library in fp32, and
// beside PyTorch's step of the same model in fp32 (stories_train_torch.py). The contestants take
// turns in one run. bench_train_host has the optimiser and the refresh of the weights, beside the
// speed of memory; what a refresh takes here is told, too.
//
//     bench_train [--quick] [WAY [THREADS]]
//
// WAY: stories-const, dynamic-const, dynamic-param, dynamic-packed, or all of them. Times are of
// the clock; with one thread those of the three contestants are the processor's. --quick is a smoke
// run of a small model.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "bench/bench.h"
#include "bench/script.h"
#include "cpu/blas.h"
#include "milgen/train/model.h"
#include "milgen/train/pipeline.h"

namespace {

using namespace milgen;         // NOLINT(google-build-using-namespace): a program of its own
using namespace milgen::train;  // NOLINT(google-build-using-namespace)
using bench::Race;
using bench::Script;

constexpr float kLossScale = 1024;

std::vector<float> floats(std::int64_t count) {
  return std::vector<float>(static_cast<std::size_t>(count), 0.01f);
}

/// Every product of a step: projections, their gradients at inputs and weights, the attention,
/// whose scores the kernels compute again on the way back, and the classifier. No product reads
/// what another one made, so that values neither grow nor become subnormal.
class StepProducts {
 public:
  StepProducts(const ModelConfig& config, const ModelWeights& weights, ModelGrads& grads)
      : config_(config),
        weights_(weights),
        grads_(grads),
        x_(floats(std::max(config.hidden, config.dim) * config.seq)),
        dy_(floats(std::max({config.vocab, config.hidden, config.dim}) * config.seq)),
        scores_(floats(config.heads * config.seq * config.seq)),
        out_(dy_),
        scores_out_(scores_) {}

  void run(detail::BlasSgemm sgemm) {
    sgemm_ = sgemm;
    operations_ = 0;
    const std::int64_t d = config_.dim;
    const std::int64_t hidden = config_.hidden;
    for (const LayerWeights& w : weights_.layers) {
      for (const auto* square : {&w.wq, &w.wk, &w.wv, &w.wo}) forward(*square, d, d);
      for_heads([&](const Head& head) {
        scores_of(head);
        mix(head, true);
      });
      for (const auto* up : {&w.w1, &w.w3}) forward(*up, hidden, d);
      forward(w.w2, d, hidden);
    }
    forward(weights_.embed, config_.vocab, d);
    backward(weights_.embed, grads_.embed, config_.vocab, d);
    for (std::size_t i = weights_.layers.size(); i-- > 0;) {
      const LayerWeights& w = weights_.layers[i];
      LayerGrads& g = grads_.layers[i];
      backward(w.w2, g.w2, d, hidden);
      backward(w.w1, g.w1, hidden, d);
      backward(w.w3, g.w3, hidden, d);
      backward(w.wo, g.wo, d, d);
      for_heads([&](const Head& head) {
        scores_of(head);
        mix(head, false);  // dv
        scores_of(head);   // dprobs
        mix(head, true);   // dq
        mix(head, false);  // dk
      });
      backward(w.wq, g.wq, d, d);
      backward(w.wk, g.wk, d, d);
      backward(w.wv, g.wv, d, d);
    }
  }
  /// Multiplications and additions of the last run.
  double operations() const { return operations_; }

 private:
  struct Matrix {
    const float* values;
    std::int64_t columns;  // as it lies in memory
    bool transposed = false;
  };

  /// c [m, n] = a [m, k] b [k, n] + beta c
  void multiply(float* c, Matrix a, Matrix b, std::int64_t m, std::int64_t n, std::int64_t k,
                float beta = 0) {
    constexpr int kRowMajor = 101;
    const auto flag = [](bool transposed) { return transposed ? 112 : 111; };
    const auto size = [](std::int64_t value) { return static_cast<int>(value); };
    operations_ += 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    sgemm_(kRowMajor, flag(a.transposed), flag(b.transposed), size(m), size(n), size(k), 1,
           a.values, size(a.columns), b.values, size(b.columns), beta, c, size(n));
  }

  void forward(const std::vector<float>& w, std::int64_t out, std::int64_t in) {
    const std::int64_t s = config_.seq;
    multiply(out_.data(), {w.data(), in}, {x_.data(), s}, out, s, in);
  }
  void backward(const std::vector<float>& w, std::vector<float>& dw, std::int64_t out,
                std::int64_t in) {
    const std::int64_t s = config_.seq;
    multiply(out_.data(), {w.data(), in, true}, {dy_.data(), s}, in, s, out);
    multiply(dw.data(), {dy_.data(), s}, {x_.data(), s, true}, out, in, s, 1);
  }

  struct Head {
    const float* a;       // [d, S]
    const float* b;       // [d, S]
    const float* scores;  // [S, S]
    float* out;           // [d, S]
    float* scores_out;    // [S, S]
  };
  template <class Work>
  void for_heads(const Work& work) {
    for (std::int64_t h = 0; h < config_.heads; ++h) {
      const std::int64_t at = h * config_.head_dim * config_.seq;
      const std::int64_t square = h * config_.seq * config_.seq;
      work({x_.data() + at, dy_.data() + at, scores_.data() + square, out_.data() + at,
            scores_out_.data() + square});
    }
  }
  void scores_of(const Head& head) {
    const std::int64_t s = config_.seq;
    multiply(head.scores_out, {head.a, s, true}, {head.b, s}, s, s, config_.head_dim);
  }
  void mix(const Head& head, bool transposed) {
    const std::int64_t s = config_.seq;
    multiply(head.out, {head.a, s}, {head.scores, s, transposed}, config_.head_dim, s, s);
  }

  const ModelConfig& config_;
  const ModelWeights& weights_;
  ModelGrads& grads_;
  std::vector<float> x_;
  std::vector<float> dy_;
  std::vector<float> scores_;
  std::vector<float> out_;
  std::vector<float> scores_out_;
  detail::BlasSgemm sgemm_ = nullptr;
  double operations_ = 0;
};

struct Way {
  const char* name;
  KernelSet kernels;
  WeightsAs weights_as;
};

constexpr Way kWays[] = {
    {"stories-const", KernelSet::stories, WeightsAs::constant},
    {"dynamic-const", KernelSet::dynamic, WeightsAs::constant},
    {"dynamic-param", KernelSet::dynamic, WeightsAs::param},
    {"dynamic-packed", KernelSet::dynamic, WeightsAs::packed},
};

void expect(bool good, const Diagnostics& diagnostics) {
  if (good) return;
  std::fprintf(stderr, "%s\n", render(diagnostics).c_str());
  std::exit(1);
}

class Steps {
 public:
  Steps(bool quick, int threads)
      : quick_(quick),
        threads_(threads),
        config_(quick ? small_model() : stories110m()),
        weights_(config_),
        grads_(config_),
        products_grads_(config_),
        products_(config_, weights_, products_grads_),
        torch_("stories_train_torch.py", threads_, sizes(config_)) {
    initialize(weights_, config_, 1);
    for (std::int64_t s = 0; s < config_.seq; ++s) {
      tokens_.push_back(static_cast<std::int32_t>(s * 7919 % config_.vocab));
      targets_.push_back(static_cast<std::int32_t>((s + 1) * 7919 % config_.vocab));
    }
    std::printf("Step of %lld layers, dim %lld, sequence of %lld, %d threads, mode fast;\n",
                static_cast<long long>(config_.layers), static_cast<long long>(config_.dim),
                static_cast<long long>(config_.seq), threads_);
    std::printf("products alone: %s, PyTorch: %s\n", detail::blas_library().name.c_str(),
                torch_.ready() ? "its fp32 step" : "skipped, it is not installed");
    std::printf("  %-16s %18s %18s %18s %7s %7s\n", "least (median) s", "step", "products",
                "PyTorch", "step/p", "torch/s");
  }

  void run(const Way& way) {
    Diagnostics diagnostics;
    Pipeline pipeline;
    expect(pipeline.open(config_,
                         {.kernels = way.kernels,
                          .weights_as = way.weights_as,
                          .mode = NumericMode::fast,
                          .threads = threads_,
                          .loss_scale = kLossScale},
                         diagnostics),
           diagnostics);
    const double refresh =
        bench::seconds([&] { expect(pipeline.refresh(weights_, diagnostics), diagnostics); });
    int steps = 0;
    double loss = 0;
    const auto step = [&] {
      expect(pipeline.step(tokens_, targets_, grads_, loss, diagnostics), diagnostics);
      ++steps;
    };
    step();
    pipeline.reset_times();
    steps = 0;

    const detail::BlasSgemm sgemm = detail::blas_library().sgemm;
    Race race(quick_ ? 1 : 5, threads_);
    const std::size_t s = race.add(step);
    const std::size_t p = race.add(
        [&] {
          if (sgemm != nullptr) products_.run(sgemm);
        },
        [&](bool begins) { bench::give_blas_threads(begins ? threads_ : 1); });
    const std::size_t t = race.add_timed([&] { return torch_.run(kernel_set_name(way.kernels)); });
    race.run(std::chrono::milliseconds(quick_ ? 0 : 50));

    const auto time = [&](std::size_t one) {
      char text[32];
      std::snprintf(text, sizeof text, "%7.3f (%7.3f)", race.least(one), race.median(one));
      return std::string(text);
    };
    std::printf("  %-16s %18s %18s %18s %7.2f %7.2f\n", way.name, time(s).c_str(), time(p).c_str(),
                time(t).c_str(), race.least(s) / race.least(p), race.least(t) / race.least(s));
    std::printf("  %-16s products: %.1f billion operations, %.1f a second; loss %.4f\n", "",
                products_.operations() * 1e-9, products_.operations() * 1e-9 / race.least(p), loss);
    report(pipeline, steps, refresh);
    std::fflush(stdout);
  }

 private:
  static std::vector<std::string> sizes(const ModelConfig& config) {
    std::vector<std::string> words;
    for (const std::int64_t size :
         {config.layers, config.dim, config.hidden, config.heads, config.seq, config.vocab}) {
      words.push_back(std::to_string(size));
    }
    return words;
  }

  static void report(const Pipeline& pipeline, int steps, double refresh) {
    const PipelineTimes& times = pipeline.times();
    const auto each = [&](double ms) { return ms / std::max(steps, 1); };
    std::printf(
        "  %-16s ms of a step: forward %.1f, backward %.1f, weight gradients %.1f, "
        "classifier %.1f, host %.1f\n",
        "", each(times.forward_ms), each(times.backward_ms), each(times.weight_gradients_ms),
        each(times.classifier_ms), each(times.host_ms));
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    std::printf(
        "  %-16s first refresh %.2f s; %.0f MB held by the pipeline, %.0f MB at most in the "
        "process so far\n",
        "", refresh, static_cast<double>(pipeline.held_bytes()) * 1e-6,
        static_cast<double>(usage.ru_maxrss) * 1.024e-3);
  }

  bool quick_;
  int threads_;
  ModelConfig config_;
  ModelWeights weights_;
  ModelGrads grads_;
  ModelGrads products_grads_;
  StepProducts products_;
  Script torch_;
  std::vector<std::int32_t> tokens_;
  std::vector<std::int32_t> targets_;
};

}  // namespace

int main(int argc, char** argv) {
  const bool quick = bench::is_quick(argc, argv);
  const std::vector<std::string_view> words(argv + (quick ? 2 : 1), argv + argc);
  const std::string_view wanted = words.empty() ? "all" : words[0];
  Steps steps(quick, words.size() > 1 ? std::atoi(words[1].data()) : 2);
  for (const Way& way : kWays) {
    if (wanted == "all" || wanted == way.name) steps.run(way);
  }
  return 0;
}
