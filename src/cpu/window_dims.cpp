#include "cpu/window_dims.h"

#include <fmt/format.h>

namespace milgen::cpu {
namespace {

// Starts and ends of windows stay below twice this.
constexpr std::int64_t kMostReach = std::int64_t{1} << 60;

/// What pad_type same or same_lower pads; the other numbers of `dim` are there.
void pad_same(WindowDim& dim, bool lower) {
  const std::int64_t reach = (dim.kernel - 1) * dim.dilation + 1;
  // A window that ceil_mode adds is not padded for.
  const std::int64_t windows = std::min(dim.windows, WindowDim::ceil_divide(dim.size, dim.stride));
  const std::int64_t covered = (windows - 1) * dim.stride + reach;
  const std::int64_t total = std::max<std::int64_t>(0, covered - dim.size);
  // The odd element goes behind x, or in front of it for same_lower (op_semantics).
  dim.pad = lower ? total - total / 2 : total / 2;
  dim.pad_after = total - dim.pad;
}

/// a * b is small enough to compute with.
bool is_near(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  return !__builtin_mul_overflow(a, b, &product) && product <= kMostReach && product >= -kMostReach;
}

}  // namespace

bool read_windows(OpRun& run, const Shape& x, const Shape& kernel, const Shape& result,
                  bool has_dilations, WindowDims& out) {
  const std::size_t spatial = x.size() - 2;
  const Ints strides = run.integers("strides");
  const Ints pad = run.integers("pad");
  const Ints dilations = has_dilations ? run.integers("dilations") : Ints{};
  const std::string_view type = run.text("pad_type");
  const char kind = static_cast<char>(type.front() | 0x20);  // letter case does not matter
  for (std::size_t i = 0; i < spatial; ++i) {
    WindowDim& dim = out[out.size() - spatial + i];
    dim.size = x[i + 2];
    dim.kernel = kernel[i];
    dim.windows = result[i + 2];
    if (i < strides.size()) dim.stride = strides[i];
    if (i < dilations.size()) dim.dilation = dilations[i];
    if (kind == 'c' && 2 * i + 1 < pad.size()) {
      dim.pad = pad[2 * i];
      dim.pad_after = pad[2 * i + 1];
    }
    if (!is_near(dim.kernel, dim.dilation) || !is_near(dim.windows, dim.stride) ||
        !is_near(dim.pad, 1) || !is_near(dim.pad_after, 1)) {
      return run.fail(rule<"run.value">,
                      fmt::format("a kernel of {} elements, dilation {}, stride {} and padding {} "
                                  "and {} reach further than 2^60 elements",
                                  dim.kernel, dim.dilation, dim.stride, dim.pad, dim.pad_after));
    }
    if (kind == 's') pad_same(dim, type.size() > 4);
  }
  return true;
}

}  // namespace milgen::cpu
