// Matrix products of the sizes of a transformer and of recurrent models, beside sgemm of the CBLAS
// library, which is given fp32 copies of the operands for nothing. Halves are rounded and widened
// within the time, weights are packed before it. Each contestant takes turns with sgemm.
//
//     bench_product [--quick] [THREADS]
//
// Without THREADS: 1 and 2. Times are of the processor for one thread and of the clock for more.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "cpu/blas.h"
#include "cpu/product.h"
#include "cpu/simd.h"
#include "support/half.h"
#include "support/thread_pool.h"

namespace {

using namespace milgen;
using namespace milgen::detail;

struct Row {
  const char* name;
  std::size_t rows;
  std::size_t columns;
  std::size_t inner;
  std::size_t batch;
  ProductSide weights;  // when there is no batch
  bool b_transposed;
};

constexpr Row kRows[] = {
    {"1x1 conv 768 -> 768", 768, 256, 768, 1, ProductSide::a, false},
    {"1x1 conv 768 -> 2048", 2048, 256, 768, 1, ProductSide::a, false},
    {"1x1 conv 2048 -> 768", 768, 256, 2048, 1, ProductSide::a, false},
    {"linear 768 -> 2048", 256, 2048, 768, 1, ProductSide::b, true},
    {"12 heads: q k'", 256, 256, 64, 12, ProductSide::a, true},
    {"12 heads: p v", 256, 64, 256, 12, ProductSide::a, false},
    {"linear, one row", 1, 2048, 768, 1, ProductSide::b, true},
    {"1x1 conv, one column", 768, 1, 768, 1, ProductSide::a, false},
    {"LSTM step", 1, 512, 128, 1, ProductSide::b, true},
};

struct Times {
  double ours;
  double sgemm;
};

/// The operands of a row in both dtypes, and the contestants.
class Race {
 public:
  Race(const Row& row, ThreadPool& pool, bool quick) : row_(row), pool_(pool), quick_(quick) {
    const std::size_t a_size = row.rows * row.inner;
    const std::size_t b_size = row.inner * row.columns;
    batch_ = {row.batch, static_cast<std::ptrdiff_t>(a_size), static_cast<std::ptrdiff_t>(b_size),
              static_cast<std::ptrdiff_t>(row.rows * row.columns), 0};
    fill(a_size * row.batch, a_halves_, a_floats_);
    fill(b_size * row.batch, b_halves_, b_floats_);
    c_halves_.resize(row.rows * row.columns * row.batch);
    c_floats_.resize(c_halves_.size());
  }

  Times run(BlasSgemm sgemm, DType dtype, NumericMode mode) {
    PackedMatrix packed;
    const Product product = make(dtype, mode, packed);
    const double work = 2.0 * static_cast<double>(row_.rows * row_.columns * row_.inner) *
                        static_cast<double>(row_.batch);
    const int repeats = std::clamp(static_cast<int>(2e7 / work), 1, 500);
    const int rounds = quick_ ? 1 : 21;
    std::vector<double> ours;
    std::vector<double> theirs;
    for (int round = 0; round < rounds; ++round) {
      ours.push_back(time(repeats, [&] {
        if (!multiply(product, pool_, workspace_)) std::abort();
      }));
      theirs.push_back(sgemm == nullptr ? 0.0 : time(repeats, [&] { blas(sgemm); }));
    }
    return {bench::median(ours), bench::median(theirs)};
  }

 private:
  static void fill(std::size_t count, std::vector<std::uint16_t>& halves,
                   std::vector<float>& floats) {
    std::uint32_t state = 1;
    for (std::size_t i = 0; i < count; ++i) {
      state = state * 1664525u + 1013904223u;
      halves.push_back(
          half_from_float(static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31f));
      floats.push_back(float_from_half(halves.back()));
    }
  }

  Product make(DType dtype, NumericMode mode, PackedMatrix& packed) {
    const bool half = dtype == DType::fp16;
    const auto inner = static_cast<std::ptrdiff_t>(row_.inner);
    const auto columns = static_cast<std::ptrdiff_t>(row_.columns);
    Product p;
    p.mode = mode;
    p.rows = row_.rows;
    p.columns = row_.columns;
    p.inner = row_.inner;
    p.a = {half ? static_cast<const void*>(a_halves_.data()) : a_floats_.data(), dtype, inner, 1,
           nullptr};
    p.b = {half ? static_cast<const void*>(b_halves_.data()) : b_floats_.data(), dtype,
           row_.b_transposed ? 1 : columns, row_.b_transposed ? inner : 1, nullptr};
    p.c = {half ? static_cast<void*>(c_halves_.data()) : c_floats_.data(), dtype, columns, 1};
    p.batch = {&batch_, 1};
    if (row_.batch == 1) pack(p, packed);
    return p;
  }

  void pack(Product& p, PackedMatrix& packed) {
    const bool is_a = row_.weights == ProductSide::a;
    PackRequest request;
    request.mode = p.mode;
    request.side = row_.weights;
    request.matrix = is_a ? p.a : p.b;
    request.rows = is_a ? row_.rows : row_.inner;
    request.columns = is_a ? row_.inner : row_.columns;
    request.other = is_a ? row_.columns : row_.rows;
    if (!packed.pack(request, pool_)) std::abort();
    (is_a ? p.a : p.b).packed = &packed;
  }

  void blas(BlasSgemm sgemm) {
    const auto m = static_cast<int>(row_.rows);
    const auto n = static_cast<int>(row_.columns);
    const auto k = static_cast<int>(row_.inner);
    for (std::size_t i = 0; i < row_.batch; ++i) {
      sgemm(101, 111, row_.b_transposed ? 112 : 111, m, n, k, 1.0f,
            a_floats_.data() + i * row_.rows * row_.inner, k,
            b_floats_.data() + i * row_.inner * row_.columns, row_.b_transposed ? k : n, 0.0f,
            c_floats_.data() + i * row_.rows * row_.columns, n);
    }
  }

  template <class Work>
  double time(int repeats, const Work& work) {
    const bool of_processor = pool_.threads() == 1;
    const double start = bench::seconds_now(of_processor);
    for (int i = 0; i < repeats; ++i) work();
    return (bench::seconds_now(of_processor) - start) / repeats;
  }

  const Row& row_;
  ThreadPool& pool_;
  bool quick_;
  BatchDim batch_;
  ProductWorkspace workspace_;
  std::vector<std::uint16_t> a_halves_;
  std::vector<std::uint16_t> b_halves_;
  std::vector<std::uint16_t> c_halves_;
  std::vector<float> a_floats_;
  std::vector<float> b_floats_;
  std::vector<float> c_floats_;
};

void run(int threads, bool quick) {
  const BlasLibrary& library = blas_library();
  ThreadPool pool(threads);
  std::printf("\n%d thread(s), %s, CBLAS: %s\n", threads, std::string(simd_level()).c_str(),
              library.name.c_str());
  std::printf("%-22s %28s %28s %28s %28s\n", "", "fp16 exact", "fp16 fast", "fp32 exact",
              "fp32 fast");
  for (const Row& row : kRows) {
    Race race(row, pool, quick);
    std::printf("%-22s", row.name);
    for (const DType dtype : {DType::fp16, DType::fp32}) {
      for (const NumericMode mode : {NumericMode::exact, NumericMode::fast}) {
        // Fast products of floats are the library's, one thread a call; its own threads are for the
        // others to be held against.
        bench::give_blas_threads(dtype == DType::fp32 && mode == NumericMode::fast ? 1 : threads);
        const Times times = race.run(library.sgemm, dtype, mode);
        std::printf("  %9.1f /%9.1f us%5.2fx", times.ours * 1e6, times.sgemm * 1e6,
                    times.sgemm > 0 ? times.ours / times.sgemm : 0.0);
      }
    }
    std::printf("\n");
  }
  std::printf("time / time of sgemm, ratio\n");
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = bench::is_quick(argc, argv);
  const int threads = argc > 1 && !quick ? std::atoi(argv[1]) : 0;
  if (threads > 0) {
    run(threads, quick);
  } else {
    run(1, quick);
    run(2, quick);
  }
}
