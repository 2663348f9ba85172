// fp32 in memory to the bytes of a fp16 weight file, against what the machine does at best: a bare
// conversion loop and memcpy over the same buffers, interleaved in one run, medians.
//
//     bench_weights [--quick]
//
// The rows to look at: "straight" at least 0.8 of the slower of "bare loop" and "memcpy",
// "transposed" at least 0.6 of "straight".
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "milgen/weights.h"
#include "support/half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using milgen::DType;
using milgen::Shape;

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) void bare_loop(const float* from, std::uint16_t* to,
                                                   std::size_t count) {
  for (std::size_t i = 0; i + 8 <= count; i += 8) {
    const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), half);
  }
}
bool has_bare_loop() { return milgen::half_path_name().starts_with("f16c"); }
#else
void bare_loop(const float* from, std::uint16_t* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = milgen::half_from_float(from[i]);
}
bool has_bare_loop() { return true; }
#endif

template <class Work>
double seconds(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Runs the works in turn, so that what else the machine does meets all of them alike.
template <class... Works>
std::vector<double> medians(int rounds, const Works&... works) {
  std::vector<std::vector<double>> times(sizeof...(works));
  for (int round = 0; round < rounds; ++round) {
    std::size_t i = 0;
    (times[i++].push_back(seconds(works)), ...);
  }
  std::vector<double> out;
  for (auto& column : times) out.push_back(median(column));
  return out;
}

bool all_good = true;

void blob_rows(std::size_t rows, std::size_t columns, int rounds) {
  const std::size_t count = rows * columns;
  std::vector<float> source(count);
  for (std::size_t i = 0; i < count; ++i) source[i] = static_cast<float>(i % 9973) * 0.001f - 5.0f;
  std::vector<float> copy(count);
  std::vector<std::uint16_t> halves(count);
  std::vector<std::byte> file(128 + 2 * count);
  const auto blob = [&](bool transposed) {
    milgen::Diagnostics diagnostics;
    all_good &= milgen::half_weight_file("w", source, rows, columns, transposed, file, diagnostics);
  };
  const auto times = medians(
      rounds, [&] { std::memcpy(copy.data(), source.data(), 4 * count); },
      [&] { bare_loop(source.data(), halves.data(), count); }, [&] { blob(false); },
      [&] { blob(true); },
      [&] {
        milgen::HalfReport report;
        milgen::halves_from_floats(source.data(), halves.data(), count, report, 0,
                                   milgen::HalfPath::portable);
      });
  const double gigabytes = 4e-9 * static_cast<double>(count);
  const double floor = has_bare_loop() ? std::max(times[0], times[1]) : times[0];
  std::printf("[%zu, %zu], %.1f MB of fp32\n", rows, columns, 1e3 * gigabytes);
  std::printf("  memcpy      %9.3f ms  %6.1f GB/s\n", 1e3 * times[0], gigabytes / times[0]);
  std::printf("  bare loop   %9.3f ms  %6.1f GB/s\n", 1e3 * times[1], gigabytes / times[1]);
  std::printf("  straight    %9.3f ms  %6.1f GB/s  %.2f of the slower of the two above\n",
              1e3 * times[2], gigabytes / times[2], floor / times[2]);
  std::printf("  transposed  %9.3f ms  %6.1f GB/s  %.2f of straight\n", 1e3 * times[3],
              gigabytes / times[3], times[2] / times[3]);
  std::printf("  portable    %9.3f ms  %6.1f GB/s\n", 1e3 * times[4], gigabytes / times[4]);
}

void fill_row(DType dtype, milgen::Fill fill, std::int64_t dim, int rounds) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(dim * dim) * 4);
  const auto times = medians(rounds, [&] {
    milgen::MemorySink sink(bytes);
    milgen::Diagnostics diagnostics;
    all_good &= milgen::fill_weight({"w", dtype, Shape{dim, dim}, fill}, 0, sink, diagnostics);
  });
  const std::string_view dtype_name = milgen::dtype_name(dtype);
  const std::string_view name = milgen::fill_name(fill);
  std::printf("  %-6.*s %-12.*s %6.0f M elements/s\n", static_cast<int>(dtype_name.size()),
              dtype_name.data(), static_cast<int>(name.size()), name.data(),
              1e-6 * static_cast<double>(dim * dim) / times[0]);
}

void hash_row(std::size_t size, int rounds) {
  std::vector<std::byte> bytes(size, std::byte{7});
  const auto times = medians(rounds, [&] { all_good &= milgen::sha256_hex(bytes).size() == 64; });
  std::printf("  sha256 %6.2f GB/s\n", 1e-9 * static_cast<double>(size) / times[0]);
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::string_view(argv[1]) == "--quick";
  const int rounds = quick ? 3 : 21;
  const auto path = milgen::half_path_name();
  std::printf("fp32 to fp16 weight files, one thread, path: %.*s\n", static_cast<int>(path.size()),
              path.data());
  blob_rows(768, 768, rounds);
  blob_rows(2048, 768, rounds);
  if (!quick) {
    blob_rows(768, 2048, rounds);
    blob_rows(4096, 4096, rounds);
    blob_rows(11008, 4096, rounds);
    blob_rows(4093, 4099, rounds);
  }
  const std::int64_t dim = quick ? 256 : 4096;
  std::printf("seeded weights, [%lld, %lld]\n", static_cast<long long>(dim),
              static_cast<long long>(dim));
  for (const DType dtype : {DType::fp16, DType::fp32, DType::bf16, DType::int8, DType::uint4}) {
    fill_row(dtype, milgen::Fill::uniform, dim, quick ? 1 : 5);
  }
  fill_row(DType::fp16, milgen::Fill::near_one, dim, quick ? 1 : 5);
  fill_row(DType::fp16, milgen::Fill::causal_mask, dim, quick ? 1 : 5);
  std::printf("listings\n");
  hash_row(quick ? 1 << 20 : 64 << 20, quick ? 1 : 5);
  return all_good ? 0 : 1;
}
