#include <algorithm>

#include "cpu/real_math.h"
#include "milgen/train/host_ops.h"

namespace milgen::train {
namespace {

/// Rotates pairs of rows of x: [heads * d, S] by the tables' angles times `direction`, 1 or -1.
void rotate(std::span<float> x, const RopeTables& tables, std::int64_t heads, std::int64_t head_dim,
            std::int64_t seq, float direction) {
  const auto length = static_cast<std::size_t>(seq);
  const auto width = static_cast<std::size_t>(head_dim);
  std::vector<float> cos(length);
  std::vector<float> sin(length);
  for (std::size_t i = 0; i < width; i += 2) {
    // A pair's column of the tables as a run beside the rows that it turns.
    for (std::size_t s = 0; s < length; ++s) {
      cos[s] = tables.cos[s * width + i];
      sin[s] = direction * tables.sin[s * width + i];
    }
    for (std::size_t h = 0; h < static_cast<std::size_t>(heads); ++h) {
      float* even = x.data() + (h * width + i) * length;
      float* odd = even + length;
      for (std::size_t s = 0; s < length; ++s) {
        const float x0 = even[s];
        const float x1 = odd[s];
        even[s] = x0 * cos[s] - x1 * sin[s];
        odd[s] = x0 * sin[s] + x1 * cos[s];
      }
    }
  }
}

}  // namespace

RopeTables rope_tables(std::int64_t seq, std::int64_t head_dim, double theta) {
  RopeTables tables;
  const auto width = static_cast<std::size_t>(head_dim);
  const std::size_t count = static_cast<std::size_t>(seq) * width;
  tables.cos.resize(count);
  tables.sin.resize(count);
  for (std::size_t i = 0; i < width; i += 2) {
    const double exponent = -static_cast<double>(i) / static_cast<double>(width);
    const double frequency = cpu::real_pow(theta, exponent);
    for (std::size_t s = 0; s < static_cast<std::size_t>(seq); ++s) {
      const double angle = static_cast<double>(s) * frequency;
      const std::size_t at = s * width + i;
      tables.cos[at] = tables.cos[at + 1] = static_cast<float>(cpu::real_cos(angle));
      tables.sin[at] = tables.sin[at + 1] = static_cast<float>(cpu::real_sin(angle));
    }
  }
  return tables;
}

void rope(std::span<float> x, const RopeTables& tables, std::int64_t heads, std::int64_t head_dim,
          std::int64_t seq) {
  rotate(x, tables, heads, head_dim, seq, 1);
}

void rope_backward(std::span<float> dx, const RopeTables& tables, std::int64_t heads,
                   std::int64_t head_dim, std::int64_t seq) {
  rotate(dx, tables, heads, head_dim, seq, -1);
}

void gqa_tile(std::span<float> out, std::span<const float> x, std::int64_t heads,
              std::int64_t kv_heads, std::int64_t head_dim, std::int64_t seq) {
  const auto size = static_cast<std::size_t>(head_dim * seq);
  const std::int64_t group = heads / kv_heads;
  for (std::int64_t h = 0; h < heads; ++h) {
    std::copy_n(x.data() + static_cast<std::size_t>(h / group) * size, size,
                out.data() + static_cast<std::size_t>(h) * size);
  }
}

void gqa_reduce(std::span<float> out, std::span<const float> x, std::int64_t heads,
                std::int64_t kv_heads, std::int64_t head_dim, std::int64_t seq) {
  const auto size = static_cast<std::size_t>(head_dim * seq);
  const std::int64_t group = heads / kv_heads;
  for (std::int64_t h = 0; h < heads; ++h) {
    const float* from = x.data() + static_cast<std::size_t>(h) * size;
    float* to = out.data() + static_cast<std::size_t>(h / group) * size;
    if (h % group == 0) {
      std::copy_n(from, size, to);
    } else {
      for (std::size_t i = 0; i < size; ++i) to[i] += from[i];
    }
  }
}

}  // namespace milgen::train
