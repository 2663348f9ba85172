#include "ane/channel_first.h"

#include <fmt/format.h>

#include <algorithm>

#include "support/half.h"

namespace milgen::ane {

Error check_dim(std::string_view what, std::int64_t size, std::int64_t most) {
  if (size >= 1 && size <= most) return {};
  return {ErrorKind::argument, fmt::format("{} is {}, and can be 1 to {}", what, size, most)};
}

Error check_values(std::string_view what, std::size_t values, std::int64_t rows,
                   std::int64_t columns) {
  const std::int64_t wanted = rows * columns;
  if (values == static_cast<std::size_t>(wanted)) return {};
  return {ErrorKind::argument, fmt::format("{} has {} values, but [{}, {}] takes {}", what, values,
                                           rows, columns, wanted)};
}

void to_channel_first(std::span<const float> x, std::int64_t batch,
                      std::span<std::uint16_t> channel_first) {
  HalfReport report;
  const auto rows = static_cast<std::size_t>(batch);
  const std::size_t columns = x.size() / rows;
  halves_from_floats_transposed(x.data(), rows, columns, 0, columns, channel_first.data(), report);
}

void from_channel_first(std::span<const float> channel_first, std::int64_t batch, float* to,
                        std::int64_t row_size) {
  // Squares whose rows, on either side, stay in the fastest cache.
  constexpr std::int64_t kBlock = 32;
  const std::int64_t channels = static_cast<std::int64_t>(channel_first.size()) / batch;
  for (std::int64_t first = 0; first < channels; first += kBlock) {
    const std::int64_t end = std::min(first + kBlock, channels);
    for (std::int64_t first_row = 0; first_row < batch; first_row += kBlock) {
      const std::int64_t end_row = std::min(first_row + kBlock, batch);
      for (std::int64_t row = first_row; row < end_row; ++row) {
        const float* from = channel_first.data() + row;
        for (std::int64_t c = first; c < end; ++c) to[row * row_size + c] = from[c * batch];
      }
    }
  }
}

}  // namespace milgen::ane
