// Matrices for tests of the executors, and what their products are.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "milgen/ane/error.h"

namespace milgen::test {

using Floats = std::vector<float>;

/// Values between -1 and 1 that fp16 holds exactly, others for another seed.
inline Floats matrix(std::int64_t rows, std::int64_t columns, std::uint32_t seed) {
  Floats values(static_cast<std::size_t>(rows * columns));
  std::uint32_t state = seed * 2654435761U + 1;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<float>(static_cast<int>(state >> 24) - 128) / 128;
  }
  return values;
}

inline Floats transposed(const Floats& values, std::int64_t rows, std::int64_t columns) {
  Floats out(values.size());
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      out[static_cast<std::size_t>(c * rows + r)] =
          values[static_cast<std::size_t>(r * columns + c)];
    }
  }
  return out;
}

/// Holds y [batch, out] against x [batch, in] * w [in, out], summed up in fp64.
inline void check_product(const Floats& x, const Floats& w, const Floats& y, std::int64_t batch,
                          std::int64_t in, std::int64_t out) {
  REQUIRE(y.size() == static_cast<std::size_t>(batch * out));
  std::size_t wrong = 0;
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = 0;
      double magnitude = 0;
      for (std::int64_t i = 0; i < in; ++i) {
        const double product = double{x[static_cast<std::size_t>(b * in + i)]} *
                               double{w[static_cast<std::size_t>(i * out + o)]};
        sum += product;
        magnitude += std::fabs(product);
      }
      const double difference = std::fabs(double{y[static_cast<std::size_t>(b * out + o)]} - sum);
      // The result is rounded to fp16 once, and sums on the way at most as often.
      wrong += difference <= 0x1p-10 * (1 + magnitude) ? 0U : 1U;
    }
  }
  CHECK_MESSAGE(wrong == 0, "batch ", batch, ", in ", in, ", out ", out);
}

inline void expect(const ane::Error& error, ane::ErrorKind kind, std::string_view message) {
  CHECK(error.kind() == kind);
  CHECK(error.detail().message == message);
}

inline void succeed(const ane::Error& error) { CHECK_MESSAGE(!error, error.text()); }

}  // namespace milgen::test
