#include "support/half.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace milgen {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// fp16 by long division of the definition: every finite half there is, and the nearest of them.
std::uint16_t nearest_half(double value) {
  const auto exact = [](unsigned bits) {
    const int exponent = static_cast<int>(bits >> 10);
    const double fraction = static_cast<double>(bits & 0x3FFu);
    return exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  };
  const double magnitude = std::fabs(value);
  unsigned low = 0;
  unsigned high = 0x7C00;  // stands for 65536 here, the value after the largest
  while (high - low > 1) {
    const unsigned middle = (low + high) / 2;
    (exact(middle) <= magnitude ? low : high) = middle;
  }
  const double down = magnitude - exact(low);
  const double up = exact(high) - magnitude;
  const bool takes_high = up < down || (up == down && low % 2 == 1);
  const unsigned sign = std::signbit(value) ? 0x8000u : 0u;
  return static_cast<std::uint16_t>(sign | (takes_high ? high : low));
}

TEST_CASE("the oracle of these tests is right where that is easy to see") {
  CHECK(nearest_half(1.0) == 0x3C00);
  CHECK(nearest_half(-2.0) == 0xC000);
  CHECK(nearest_half(0x1p-24) == 0x0001);
  CHECK(nearest_half(65504.0) == 0x7BFF);
  CHECK(nearest_half(65520.0) == 0x7C00);
}

TEST_CASE("half from double agrees with Python's struct.pack('<e')") {
  // python3 -c "import struct; print(struct.pack('<e', x).hex())"
  const std::pair<double, int> rows[] = {
      {1.0 / 3, 0x3555},
      {0.1, 0x2E66},
      {65519.99999999999, 0x7BFF},
      {0x1p-24, 0x0001},
      {0x1p-25, 0x0000},
      {0x1.0000000000001p-25, 0x0001},
      {1 + 0x1p-11, 0x3C00},
      {1 + 0x1p-11 + 0x1p-40, 0x3C01},  // would be 0x3C00 through fp32
      {1 + 3 * 0x1p-11, 0x3C02},
      {1 + 0x1p-11 - 0x1p-50, 0x3C00},
      {6.1e-5, 0x03FF},
      {0x1.8p-24, 0x0002},
  };
  for (const auto& row : rows) {
    const double value = row.first;
    const int bits = row.second;
    CAPTURE(value);
    CHECK(half_from_double(value) == bits);
    CHECK(half_from_double(-value) == (bits | 0x8000));
  }
  CHECK(half_from_double(65520.0) == 0x7C00);
  CHECK(half_from_double(-1e300) == 0xFC00);
  CHECK(half_from_double(1e-300) == 0);
  CHECK(half_from_double(-0.0) == 0x8000);
  CHECK(half_from_double(std::numeric_limits<double>::quiet_NaN()) == 0x7E00);
}

TEST_CASE("every half goes to float and back, and ties between halves go to even") {
  for (unsigned h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<std::uint16_t>(h);
    const float value = float_from_half(half);
    const bool is_nan = (h & 0x7FFF) > 0x7C00;
    if (is_nan) {
      CHECK(std::isnan(value));
      CHECK(half_from_float(value) == (h | 0x200));
      continue;
    }
    CHECK(half_from_float(value) == half);
    CHECK(half_from_double(static_cast<double>(value)) == half);
    if ((h & 0x7FFF) >= 0x7BFF) continue;
    const float next = float_from_half(static_cast<std::uint16_t>(h + 1));
    const float middle = (value + next) / 2;  // exact: one more bit than a half has
    const std::uint16_t even = h % 2 == 0 ? half : static_cast<std::uint16_t>(h + 1);
    CHECK(half_from_float(middle) == even);
    CHECK(half_from_double(std::nextafter(static_cast<double>(middle), 1e9)) ==
          nearest_half(std::nextafter(static_cast<double>(middle), 1e9)));
  }
}

TEST_CASE("random doubles and floats agree with the nearest of all halves") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 200000; ++i) {
    const int exponent = static_cast<int>(random() % 48) - 30;
    const double value =
        std::ldexp(static_cast<double>(static_cast<std::int64_t>(random())), exponent - 63);
    CHECK(half_from_double(value) == nearest_half(value));
    const auto single = static_cast<float>(value);
    CHECK(half_from_float(single) == nearest_half(static_cast<double>(single)));
  }
}

TEST_CASE("bf16 rounds to nearest even, keeps subnormals, and rounds doubles once") {
  CHECK(bf16_from_float(1.0f) == 0x3F80);
  CHECK(bf16_from_float(1.0f + 0x1p-8f) == 0x3F80);
  CHECK(bf16_from_float(1.0f + 3 * 0x1p-8f) == 0x3F82);
  CHECK(bf16_from_float(std::numeric_limits<float>::max()) == 0x7F80);
  CHECK(bf16_from_float(-kInfinity) == 0xFF80);
  CHECK(bf16_from_float(std::bit_cast<float>(0x7F800001u)) == 0x7FC0);
  CHECK(bf16_from_double(1.0 + 0x1p-8 + 0x1p-40) == 0x3F81);
  CHECK(bf16_from_double(0x1p-133) == 0x0001);
  CHECK(bf16_from_double(0x1p-134) == 0x0000);
  CHECK(bf16_from_double(0x1.0000000000001p-134) == 0x0001);
  CHECK(bf16_from_double(-0x1.8p-133) == 0x8002);
  CHECK(bf16_from_double(std::numeric_limits<double>::quiet_NaN()) == 0x7FC0);
  for (unsigned b = 0; b < 0x10000; ++b) {
    const auto bits = static_cast<std::uint16_t>(b);
    const float value = float_from_bf16(bits);
    if (std::isnan(value)) continue;
    CHECK(bf16_from_float(value) == bits);
    CHECK(bf16_from_double(static_cast<double>(value)) == bits);
  }
}

/// fp32 patterns of every kind: all exponents, borders, NaN with payloads.
std::vector<float> patterns() {
  std::vector<float> out;
  std::mt19937 random(2);
  for (unsigned upper = 0; upper < 0x10000; ++upper) {
    for (const unsigned lower : {0u, 1u, 0x0FFFu, 0x1000u, 0x1001u, 0x2FFFu, 0x3000u, 0xFFFFu}) {
      out.push_back(std::bit_cast<float>(upper << 16 | lower));
    }
    out.push_back(
        std::bit_cast<float>(upper << 16 | static_cast<std::uint32_t>(random() & 0xFFFFu)));
  }
  return out;
}

TEST_CASE("the fast and the portable path give the same bits and the same report") {
  MESSAGE("the fast path here is " << half_path_name());
  const std::vector<float> floats = patterns();
  std::vector<std::uint16_t> fast(floats.size());
  std::vector<std::uint16_t> portable(floats.size());
  HalfReport fast_report;
  HalfReport portable_report;
  halves_from_floats(floats.data(), fast.data(), floats.size(), fast_report, 5);
  halves_from_floats(floats.data(), portable.data(), floats.size(), portable_report, 5,
                     HalfPath::portable);
  CHECK(fast == portable);
  CHECK(fast_report == portable_report);
  HalfReport expected;
  for (std::size_t i = 0; i < floats.size(); ++i) {
    if (std::isnan(floats[i])) {
      expected.nan_at(i + 5);
    } else if (std::isinf(floats[i])) {
      expected.infinity_at(i + 5);
    } else if (std::fabs(floats[i]) >= 65520.0f) {
      expected.overflow_at(i + 5);
    }
  }
  CHECK(fast_report == expected);

  std::vector<double> doubles(floats.begin(), floats.end());
  for (std::size_t i = 0; i < doubles.size(); i += 3) doubles[i] *= 1 + 0x1p-45;
  halves_from_doubles(doubles.data(), fast.data(), doubles.size(), fast_report);
  halves_from_doubles(doubles.data(), portable.data(), doubles.size(), portable_report, 0,
                      HalfPath::portable);
  CHECK(fast == portable);
  CHECK(fast_report == portable_report);

  std::vector<std::uint16_t> halves(65536);
  for (unsigned h = 0; h < halves.size(); ++h) halves[h] = static_cast<std::uint16_t>(h);
  std::vector<float> fast_wide(halves.size());
  std::vector<float> portable_wide(halves.size());
  floats_from_halves(halves.data(), fast_wide.data(), halves.size());
  floats_from_halves(halves.data(), portable_wide.data(), halves.size(), HalfPath::portable);
  CHECK(std::memcmp(fast_wide.data(), portable_wide.data(), 4 * halves.size()) == 0);
}

TEST_CASE("bulk conversions take any count and any address") {
  std::vector<std::byte> source(4 * 200 + 8);
  std::vector<std::byte> target(2 * 200 + 8);
  for (std::size_t shift = 0; shift < 4; ++shift) {
    for (std::size_t count = 0; count < 70; ++count) {
      for (std::size_t i = 0; i < count; ++i) {
        const float value = static_cast<float>(i) * 0.37f - 5;
        std::memcpy(source.data() + shift + 4 * i, &value, 4);
      }
      std::fill(target.begin(), target.end(), std::byte{0xAA});
      HalfReport report;
      halves_from_floats(source.data() + shift, target.data() + shift, count, report);
      for (std::size_t i = 0; i < count; ++i) {
        std::uint16_t half = 0;
        std::memcpy(&half, target.data() + shift + 2 * i, 2);
        CHECK(half == half_from_float(static_cast<float>(i) * 0.37f - 5));
      }
      CHECK(target[shift + 2 * count] == std::byte{0xAA});
    }
  }
}

TEST_CASE("transposed conversion: all sizes, parts of the columns, both paths, the report") {
  const std::pair<std::size_t, std::size_t> sizes[] = {{1, 1},   {1, 40},  {40, 1},   {7, 9},
                                                       {32, 16}, {33, 17}, {64, 128}, {100, 30},
                                                       {31, 65}, {96, 48}};
  for (const auto& size : sizes) {
    const std::size_t rows = size.first;
    const std::size_t columns = size.second;
    CAPTURE(rows);
    CAPTURE(columns);
    std::vector<float> source(rows * columns);
    for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<float>(i) * 0.25f - 99;
    source[source.size() / 2] = 1e6f;
    source[source.size() - 1] = std::numeric_limits<float>::quiet_NaN();
    for (const std::size_t first : {std::size_t{0}, columns / 3}) {
      const std::size_t count = columns - first;
      for (const HalfPath path : {HalfPath::best, HalfPath::narrow, HalfPath::portable}) {
        for (const std::size_t shift : {0u, 1u}) {
          std::vector<std::uint16_t> target(rows * count + 2, 0xAAAA);
          HalfReport report;
          halves_from_floats_transposed(source.data(), rows, columns, first, count,
                                        target.data() + shift, report, path);
          HalfReport expected;
          for (std::size_t c = 0; c < count; ++c) {
            for (std::size_t r = 0; r < rows; ++r) {
              const float value = source[r * columns + first + c];
              CHECK(target[shift + c * rows + r] == half_from_float(value));
              const std::uint64_t index = (first + c) * rows + r;
              if (std::isnan(value)) expected.nan_at(index);
              if (value == 1e6f) expected.overflow_at(index);
            }
          }
          CHECK(target[shift + rows * count] == 0xAAAA);
          CHECK(report == expected);
        }
      }
    }
  }
}

TEST_CASE("a transposed result that is larger than a cache is written past it") {
  constexpr std::size_t kRows = 1024;
  constexpr std::size_t kColumns = 2304;
  std::vector<float> source(kRows * kColumns);
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<float>(i % 4099);
  for (const std::size_t turn : {0u, 16u, 62u, 1u, 17u}) {
    const std::size_t shift = turn / 2;
    std::vector<std::uint16_t> target(kRows * kColumns + 32);
    HalfReport report;
    halves_from_floats_transposed(source.data(), kRows, kColumns, 0, kColumns,
                                  target.data() + shift, report,
                                  turn % 2 == 0 ? HalfPath::best : HalfPath::narrow);
    std::size_t wrong = 0;
    for (std::size_t c = 0; c < kColumns; ++c) {
      for (std::size_t r = 0; r < kRows; ++r) {
        wrong += target[shift + c * kRows + r] != half_from_float(source[r * kColumns + c]) ? 1 : 0;
      }
    }
    CHECK(wrong == 0);
    CHECK(report == HalfReport{});
  }
}

}  // namespace
}  // namespace milgen
