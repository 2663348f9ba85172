// Chains of elementwise ops against one memcpy of their input and output, and softmax and sums
// against the conversion of their memory.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "cpu/pointwise.h"
#include "cpu/rows.h"
#include "cpu/simd.h"
#include "milgen/dtype.h"
#include "support/half.h"
#include "support/thread_pool.h"

namespace {

using namespace milgen;       // NOLINT(google-build-using-namespace): a program of its own
using namespace milgen::cpu;  // NOLINT(google-build-using-namespace)

/// ((x + 1) * 0.5 - x) * x ... : ten ops of an addition, a product or a comparison each.
Tape ten_ops(DType dtype, bool rounded) {
  const Rounding rounding = rounded && dtype == DType::fp16 ? Rounding::fp16 : Rounding::fp32;
  Tape tape;
  const TapeRegister x = tape.input(dtype);
  const TapeRegister half = tape.constant(0.5f);
  TapeRegister y = tape.apply(PointOp::add, rounding, x, tape.constant(1));
  y = tape.apply(PointOp::mul, rounding, y, half);
  y = tape.apply(PointOp::sub, rounding, y, x);
  y = tape.apply(PointOp::mul, rounding, y, x);
  y = tape.apply(PointOp::relu, rounding, y);
  y = tape.apply(PointOp::add, rounding, y, half);
  y = tape.apply(PointOp::square, rounding, y);
  y = tape.apply(PointOp::maximum, rounding, y, half);
  y = tape.apply(PointOp::mul, rounding, y, half);
  y = tape.apply(PointOp::add, rounding, y, x);
  tape.output(y, dtype);
  tape.finish();
  return tape;
}

Tape one_op(PointOp op, DType dtype, float alpha) {
  Tape tape;
  const Rounding rounding = dtype == DType::fp16 ? Rounding::fp16 : Rounding::fp32;
  tape.output(tape.apply(op, rounding, tape.input(dtype), alpha), dtype);
  tape.finish();
  return tape;
}

struct Buffers {
  std::vector<std::byte> x;
  std::vector<std::byte> y;
  DType dtype;

  Buffers(DType type, std::size_t bytes) : x(bytes), y(bytes), dtype(type) {
    for (std::size_t i = 0; i < count(); ++i) {
      const float value = static_cast<float>(i % 1021) * 0.01f - 5;
      const std::uint16_t half = half_from_float(value);
      if (type == DType::fp32) std::memcpy(x.data() + 4 * i, &value, 4);
      if (type == DType::fp16) std::memcpy(x.data() + 2 * i, &half, 2);
    }
  }
  std::size_t count() const { return x.size() / (dtype == DType::fp16 ? 2 : 4); }
};

void print(const std::string& name, double seconds, double copy_seconds, std::size_t elements) {
  std::printf("  %-28s %8.2f ms  %6.2f ns/element  %5.2f x memcpy\n", name.c_str(), seconds * 1e3,
              seconds * 1e9 / static_cast<double>(elements), seconds / copy_seconds);
}

template <class Work>
void row(const std::string& name, Buffers& buffers, int rounds, const Work& work) {
  const auto [ours, copy] = bench::compare(rounds, 1, work, [&] {
    std::memcpy(buffers.y.data(), buffers.x.data(), buffers.x.size());
    bench::keep(buffers.y.data());
  });
  print(name, ours, copy, buffers.count());
}

void bench_tape(const std::string& name, Buffers& buffers, int rounds, const Tape& tape,
                detail::ThreadPool& pool) {
  row(name, buffers, rounds, [&] {
    run_tape(tape, std::array<const void*, 1>{buffers.x.data()},
             std::array<void*, 1>{buffers.y.data()}, static_cast<std::int64_t>(buffers.count()),
             pool);
  });
}

void bench_dtype(DType dtype, std::size_t bytes, int rounds, detail::ThreadPool& pool) {
  const std::string word(dtype_name(dtype));
  Buffers large(dtype, bytes);
  std::printf("%s, %zu MB, %d threads, %s\n", word.c_str(), bytes >> 20, pool.threads(),
              std::string(detail::simd_level()).c_str());
  bench_tape("ten ops", large, rounds, ten_ops(dtype, true), pool);
  if (dtype == DType::fp16) {
    bench_tape("ten ops, not rounded", large, rounds, ten_ops(dtype, false), pool);
  }
  bench_tape("relu", large, rounds, one_op(PointOp::relu, dtype, 0), pool);
  Buffers small(dtype, std::min(bytes, std::size_t{1} << 20));
  struct Named {
    const char* name;
    PointOp op;
    float alpha;
  };
  for (const Named& one :
       {Named{"exp", PointOp::exp, 0}, Named{"tanh", PointOp::tanh, 0},
        Named{"sigmoid", PointOp::sigmoid, 0}, Named{"silu", PointOp::silu, 0},
        Named{"erf", PointOp::erf, 0}, Named{"gelu", PointOp::gelu, 0},
        Named{"log", PointOp::log, 1}, Named{"rsqrt", PointOp::rsqrt, 1},
        Named{"pow 2.5", PointOp::pow_constant, 2.5f}, Named{"sin", PointOp::sin, 0}}) {
    bench_tape(std::string(one.name) + ", 1 MB", small, rounds, one_op(one.op, dtype, one.alpha),
               pool);
  }
  const auto rows_of = [&](const std::string& name, const RowShape& shape, const auto& work) {
    Buffers rows(dtype, static_cast<std::size_t>(shape.rows() * shape.axis) *
                            (dtype == DType::fp16 ? 2 : 4));
    row(name, rows, rounds, [&] { work(rows, shape); });
  };
  const auto softmax = [&](Buffers& rows, const RowShape& shape) {
    softmax_rows(dtype, rows.x.data(), rows.y.data(), shape, NumericMode::exact, pool);
  };
  const auto sum = [&](Buffers& rows, const RowShape& shape) {
    reduce_rows(Reduction::sum, dtype, rows.x.data(), rows.y.data(), shape, NumericMode::exact,
                pool);
  };
  const auto norm = [&](Buffers& rows, const RowShape& shape) {
    layer_norm_rows(dtype, rows.x.data(), rows.y.data(), shape, {}, {}, 1e-5f, NumericMode::exact,
                    pool);
  };
  rows_of("softmax [12,256,256]", {12 * 256, 256, 1}, softmax);
  rows_of("softmax [1,768,256] axis 1", {1, 768, 256}, softmax);
  rows_of("sum [1,768,256] axis 1", {1, 768, 256}, sum);
  rows_of("sum [256,768] axis 1", {256, 768, 1}, sum);
  rows_of("layer_norm [256,768]", {256, 768, 1}, norm);
  rows_of("layer_norm [1,768,256]", {1, 768, 256}, norm);
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = bench::is_quick(argc, argv);
  const std::size_t bytes = std::size_t{quick ? 1u : 64u} << 20;
  const int rounds = quick ? 1 : 15;
  for (const int threads : {1, 2}) {
    detail::ThreadPool pool(threads);
    bench_dtype(DType::fp32, bytes, rounds, pool);
    bench_dtype(DType::fp16, bytes, rounds, pool);
  }
  return 0;
}
