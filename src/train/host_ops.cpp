#include "milgen/train/host_ops.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>

#include "cpu/blas.h"
#include "cpu/product.h"
#include "cpu/real_math.h"
#include "support/aligned_buffer.h"
#include "support/half.h"
#include "support/thread_pool.h"
#include "train/vector_ops.h"

namespace milgen::train {
namespace {

using detail::MatrixView;
using detail::Product;

// Elements below which a thread is not worth waking, and of a part of a sum that threads share.
constexpr std::size_t kGrain = 16 * 1024;

// The loss takes blocks of the vocabulary that stay in a core's cache from one look at them to the
// next, and are added in fp32; blocks are added in double.
constexpr std::size_t kMostBlockRows = 64;
constexpr std::size_t kBlockElements = 16 * 1024;

// Rows of a weight gradient that are made at a time, in memory that a cache holds.
constexpr std::size_t kGradientRows = 128;

std::size_t size_of(std::int64_t value) { return static_cast<std::size_t>(value); }
std::ptrdiff_t stride_of(std::int64_t value) { return static_cast<std::ptrdiff_t>(value); }

MatrixView floats(const float* data, std::int64_t row_stride, std::int64_t column_stride = 1) {
  return {data, DType::fp32, stride_of(row_stride), stride_of(column_stride), nullptr};
}

/// 1 - beta^t. The field writes 1 - powf(beta, t), whose last bit is the C library's choice.
float bias_correction(float beta, std::int64_t t) {
  return 1 - static_cast<float>(cpu::real_pow(static_cast<double>(beta), static_cast<double>(t)));
}

}  // namespace

struct HostOps::Impl {
  Impl(NumericMode mode_asked, int threads) : mode(mode_asked), pool(threads) {}

  /// Calls work(begin, end) for pieces of [0, count).
  template <class Work>
  void elements(std::size_t count, const Work& work) {
    pool.run(count, kGrain, work);
  }
  /// The same for the rows of a [count, length] matrix.
  template <class Work>
  void rows(std::size_t count, std::size_t length, const Work& work) {
    pool.run(count, kGrain / std::max(length, std::size_t{1}) + 1, work);
  }
  /// Makes 1 / sqrt(mean + eps) of the squares of each column of x: [dim, seq] in `rrms`.
  void column_norms(const float* x, std::size_t dim, std::size_t seq, double eps);
  bool add_product(std::span<float> dw, const Product& product, std::size_t in, float scale);

  NumericMode mode;
  detail::ThreadPool pool;
  detail::ProductWorkspace workspace;
  detail::PackedMatrix packed;
  detail::AlignedBuffer block;
  std::vector<float> rrms;           // [S]
  std::vector<float> factors;        // [S]
  std::vector<double> sums;          // [S], or of parts of a sum
  std::vector<float> target_logits;  // [S]
  std::vector<float> maximum;        // [S]
  std::vector<float> maxima;         // [blocks, S]
  std::vector<float> exp_sums;       // [blocks, S]
};

HostOps::HostOps(NumericMode mode, int threads) : impl_(std::make_unique<Impl>(mode, threads)) {}
HostOps::HostOps(HostOps&&) noexcept = default;
HostOps& HostOps::operator=(HostOps&&) noexcept = default;
HostOps::~HostOps() = default;

int HostOps::threads() const { return impl_->pool.threads(); }

// --- Norms and activations. ---

namespace {

// Columns are added in runs of cache lines.
constexpr std::size_t kColumnGrain = 32;

}  // namespace

void HostOps::Impl::column_norms(const float* x, std::size_t dim, std::size_t seq, double eps) {
  sums.assign(seq, 0);
  rrms.resize(seq);
  pool.run(seq, kColumnGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t c = 0; c < dim; ++c) {
      const float* row = x + c * seq + begin;
      add_scaled_products(sums.data() + begin, row, 1, row, end - begin);
    }
    for (std::size_t s = begin; s < end; ++s) {
      rrms[s] = static_cast<float>(1 / std::sqrt(sums[s] / static_cast<double>(dim) + eps));
    }
  });
}

void HostOps::rmsnorm(std::span<float> out, std::span<const float> x, std::span<const float> w,
                      std::int64_t dim, std::int64_t seq, double eps) {
  Impl& impl = *impl_;
  const std::size_t length = size_of(seq);
  impl.column_norms(x.data(), size_of(dim), length, eps);
  impl.rows(size_of(dim), length, [&](std::size_t begin, std::size_t end) {
    for (std::size_t c = begin; c < end; ++c) {
      const float* from = x.data() + c * length;
      float* to = out.data() + c * length;
      const float gain = w[c];
      for (std::size_t s = 0; s < length; ++s) to[s] = from[s] * impl.rrms[s] * gain;
    }
  });
}

void HostOps::rmsnorm_backward(std::span<float> dx, std::span<float> dw, std::span<const float> dy,
                               std::span<const float> x, std::span<const float> w, std::int64_t dim,
                               std::int64_t seq, double eps) {
  Impl& impl = *impl_;
  const std::size_t channels = size_of(dim);
  const std::size_t length = size_of(seq);
  impl.column_norms(x.data(), channels, length, eps);
  impl.sums.assign(length, 0);
  impl.factors.resize(length);
  impl.pool.run(length, kColumnGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t c = 0; c < channels; ++c) {
      const std::size_t first = c * length + begin;
      add_scaled_products(impl.sums.data() + begin, dy.data() + first, w[c], x.data() + first,
                          end - begin);
    }
    for (std::size_t s = begin; s < end; ++s) {
      const auto r = static_cast<double>(impl.rrms[s]);
      impl.factors[s] = static_cast<float>(impl.sums[s] / static_cast<double>(dim) * (r * r));
    }
  });
  impl.rows(channels, length, [&](std::size_t begin, std::size_t end) {
    for (std::size_t c = begin; c < end; ++c) {
      const float* gradient = dy.data() + c * length;
      const float* value = x.data() + c * length;
      float* to = dx.data() + c * length;
      dw[c] += static_cast<float>(sum_of_products(gradient, value, impl.rrms.data(), length));
      const float gain = w[c];
      for (std::size_t s = 0; s < length; ++s) {
        to[s] = (gradient[s] * gain - value[s] * impl.factors[s]) * impl.rrms[s];
      }
    }
  });
}

void HostOps::silu_backward(std::span<float> dh1, std::span<float> dh3, std::span<const float> dy,
                            std::span<const float> h1, std::span<const float> h3) {
  impl_->elements(dy.size(), [&](std::size_t begin, std::size_t end) {
    silu_gradients(dh1.data() + begin, dh3.data() + begin, dy.data() + begin, h1.data() + begin,
                   h3.data() + begin, end - begin);
  });
}

// --- Optimiser. ---

void HostOps::adam_update(std::span<float> w, std::span<const float> g, AdamState& state,
                          std::int64_t t, const AdamOptions& options, float gradient_scale) {
  const AdamStep step = {
      .lr = options.lr,
      .beta1 = options.beta1,
      .rest1 = 1 - options.beta1,
      .beta2 = options.beta2,
      .rest2 = 1 - options.beta2,
      .bias1 = bias_correction(options.beta1, t),
      .bias2 = bias_correction(options.beta2, t),
      .eps = options.eps,
      .decay = options.lr * options.weight_decay,
      .gradient_scale = gradient_scale,
  };
  impl_->elements(w.size(), [&](std::size_t begin, std::size_t end) {
    adam_step(w.data() + begin, g.data() + begin, state.m.data() + begin, state.v.data() + begin,
              end - begin, step);
  });
}

// --- Loss. ---

double HostOps::cross_entropy_loss(std::span<float> dlogits, std::span<const float> logits,
                                   Tokens targets, std::int64_t vocab, std::int64_t seq,
                                   float scale) {
  Impl& impl = *impl_;
  const std::size_t rows = size_of(vocab);
  const std::size_t length = size_of(seq);
  const std::size_t block_rows =
      std::clamp(kBlockElements / length, std::size_t{1}, kMostBlockRows);
  const std::size_t blocks = (rows - 1) / block_rows + 1;
  impl.maxima.resize(blocks * length);
  impl.exp_sums.resize(blocks * length);
  // What the loss needs of the logits, which may be overwritten.
  impl.target_logits.resize(length);
  for (std::size_t s = 0; s < length; ++s) {
    impl.target_logits[s] = logits[static_cast<std::size_t>(targets[s]) * length + s];
  }

  // Exponentials relative to the maximum of their block.
  impl.pool.run(blocks, 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t b = begin; b < end; ++b) {
      const std::size_t first = b * block_rows;
      const std::size_t count = std::min(block_rows, rows - first);
      const float* from = logits.data() + first * length;
      float* maxima = impl.maxima.data() + b * length;
      column_maxima(from, count, length, length, maxima);
      column_exps(dlogits.data() + first * length, from, count, length, length, maxima,
                  impl.exp_sums.data() + b * length);
    }
  });

  // The maximum of all blocks; what makes a block relative to it stands in place of its own.
  impl.maximum.resize(length);
  column_maxima(impl.maxima.data(), blocks, length, length, impl.maximum.data());
  impl.sums.assign(length, 0);
  for (std::size_t b = 0; b < blocks; ++b) {
    float* relative = impl.maxima.data() + b * length;
    const float* sums = impl.exp_sums.data() + b * length;
    exp_below(relative, impl.maximum.data(), length);
    for (std::size_t s = 0; s < length; ++s) {
      impl.sums[s] += static_cast<double>(sums[s]) * static_cast<double>(relative[s]);
    }
  }

  const double share = static_cast<double>(scale) / static_cast<double>(length);
  double loss = 0;
  impl.factors.resize(length);
  for (std::size_t s = 0; s < length; ++s) {
    loss += cpu::real_log(impl.sums[s]) + static_cast<double>(impl.maximum[s]) -
            static_cast<double>(impl.target_logits[s]);
    impl.factors[s] = static_cast<float>(share / impl.sums[s]);
  }
  impl.pool.run(blocks, 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t b = begin; b < end; ++b) {
      float* relative = impl.maxima.data() + b * length;
      for (std::size_t s = 0; s < length; ++s) relative[s] *= impl.factors[s];
      for (std::size_t r = b * block_rows; r < std::min(rows, (b + 1) * block_rows); ++r) {
        float* to = dlogits.data() + r * length;
        for (std::size_t s = 0; s < length; ++s) to[s] *= relative[s];
      }
    }
  });
  for (std::size_t s = 0; s < length; ++s) {
    dlogits[static_cast<std::size_t>(targets[s]) * length + s] -= static_cast<float>(share);
  }
  return loss / static_cast<double>(length);
}

// --- Products. ---

/// dw += product * scale, block of rows by block. `product` lacks its target and its rows.
bool HostOps::Impl::add_product(std::span<float> dw, const Product& whole, std::size_t in,
                                float scale) {
  const std::size_t rows_here = std::min(kGradientRows, whole.rows);
  if (!block.reserve(rows_here * in * sizeof(float))) return false;
  auto* made = reinterpret_cast<float*>(block.data());
  const auto* a = static_cast<const float*>(whole.a.data);
  for (std::size_t first = 0; first < whole.rows; first += rows_here) {
    Product product = whole;
    product.rows = std::min(rows_here, whole.rows - first);
    product.a.data = a + static_cast<std::ptrdiff_t>(first) * whole.a.row_stride;
    product.c = {made, DType::fp32, static_cast<std::ptrdiff_t>(in), 1};
    if (!detail::multiply(product, pool, workspace)) return false;
    float* to = dw.data() + first * in;
    elements(product.rows * in, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) to[i] += made[i] * scale;
    });
  }
  return true;
}

bool HostOps::add_weight_gradient(std::span<float> dw, std::span<const float> dy,
                                  std::span<const float> x, std::int64_t out, std::int64_t in,
                                  std::int64_t seq, float scale) {
  Impl& impl = *impl_;
  const detail::BlasSgemm sgemm =
      impl.mode == NumericMode::fast ? detail::blas_library().sgemm : nullptr;
  if (sgemm != nullptr) {
    // The library adds to what is there, which multiply() has no way to say.
    constexpr int kRowMajor = 101;
    constexpr int kNotTransposed = 111;
    constexpr int kTransposed = 112;
    const std::size_t share = (size_of(out) - 1) / size_of(impl.pool.threads()) + 1;
    impl.pool.run(
        size_of(out), std::min(share, kGradientRows * 2), [&](std::size_t begin, std::size_t end) {
          sgemm(kRowMajor, kNotTransposed, kTransposed, static_cast<int>(end - begin),
                static_cast<int>(in), static_cast<int>(seq), scale,
                dy.data() + begin * size_of(seq), static_cast<int>(seq), x.data(),
                static_cast<int>(seq), 1, dw.data() + begin * size_of(in), static_cast<int>(in));
        });
    return true;
  }
  Product product;
  product.mode = impl.mode;
  product.rows = size_of(out);
  product.columns = size_of(in);
  product.inner = size_of(seq);
  product.a = floats(dy.data(), seq);
  const MatrixView transposed = floats(x.data(), 1, seq);
  if (!impl.packed.pack({.mode = impl.mode,
                         .side = detail::ProductSide::b,
                         .matrix = transposed,
                         .rows = size_of(seq),
                         .columns = size_of(in),
                         .other = size_of(out)},
                        impl.pool)) {
    return false;
  }
  product.b.packed = &impl.packed;
  return impl.add_product(dw, product, size_of(in), scale);
}

bool HostOps::multiply(std::span<float> c, std::span<const float> a, std::span<const float> b,
                       std::int64_t m, std::int64_t n, std::int64_t k, bool transpose_a) {
  Product product;
  product.mode = impl_->mode;
  product.rows = size_of(m);
  product.columns = size_of(n);
  product.inner = size_of(k);
  product.a = transpose_a ? floats(a.data(), 1, m) : floats(a.data(), k);
  product.b = floats(b.data(), n);
  product.c = {c.data(), DType::fp32, stride_of(n), 1};
  return detail::multiply(product, impl_->pool, impl_->workspace);
}

// --- Elements. ---

void HostOps::to_fp16(std::span<std::uint16_t> halves, std::span<const float> floats_given) {
  impl_->elements(halves.size(), [&](std::size_t begin, std::size_t end) {
    HalfReport ignored;
    halves_from_floats(floats_given.data() + begin, halves.data() + begin, end - begin, ignored);
  });
}

void HostOps::to_fp32(std::span<float> floats_wanted, std::span<const std::uint16_t> halves) {
  impl_->elements(halves.size(), [&](std::size_t begin, std::size_t end) {
    floats_from_halves(halves.data() + begin, floats_wanted.data() + begin, end - begin);
  });
}

void HostOps::accumulate(std::span<float> y, std::span<const float> x, float scale) {
  add_scaled(y, y, x, scale);
}

void HostOps::add_scaled(std::span<float> out, std::span<const float> x, std::span<const float> y,
                         float scale) {
  impl_->elements(out.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) out[i] = x[i] + y[i] * scale;
  });
}

void HostOps::scale(std::span<float> x, float factor) {
  impl_->elements(x.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) x[i] *= factor;
  });
}

double HostOps::sum_of_squares(std::span<const float> x) {
  Impl& impl = *impl_;
  const std::size_t parts = (x.size() + kGrain - 1) / kGrain;
  impl.sums.assign(parts, 0);
  impl.pool.run(parts, 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t p = begin; p < end; ++p) {
      const std::size_t first = p * kGrain;
      impl.sums[p] = train::sum_of_squares(x.data() + first, std::min(kGrain, x.size() - first));
    }
  });
  double sum = 0;
  for (const double part : impl.sums) sum += part;
  return sum;
}

std::int64_t HostOps::first_nonfinite(std::span<const float> x) {
  constexpr std::uint32_t kInfinity = 0x7F800000u;
  std::atomic<std::size_t> first = x.size();
  impl_->elements(x.size(), [&](std::size_t begin, std::size_t end) {
    if (begin >= first.load(std::memory_order_relaxed)) return;
    // One loop without a branch for what is nearly always all right.
    std::uint32_t nonfinite = 0;
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint32_t exponent = std::bit_cast<std::uint32_t>(x[i]) & kInfinity;
      nonfinite |= exponent == kInfinity ? 1u : 0u;
    }
    if (nonfinite == 0) return;
    const auto* found = std::find_if(x.data() + begin, x.data() + end,
                                     [](float value) { return !std::isfinite(value); });
    const auto index = static_cast<std::size_t>(found - x.data());
    std::size_t before = first.load(std::memory_order_relaxed);
    while (index < before && !first.compare_exchange_weak(before, index)) {
    }
  });
  return first == x.size() ? -1 : static_cast<std::int64_t>(first.load());
}

}  // namespace milgen::train
