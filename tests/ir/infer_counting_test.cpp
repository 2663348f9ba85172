// Slices and windows against plain counting: every small case of one dim, element by element and
// window by window, where the inference has formulas.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "ir/infer_cases.h"

using namespace milgen;
using namespace milgen::test;

namespace {

struct Tally {
  int cases = 0;

  /// `count` elements are left of the only dim after `leading`, or the op is refused when it is
  /// negative.
  void check(std::string_view op, std::string_view leading, const std::string& arguments,
             std::int64_t count) {
    ++cases;
    const Outcome outcome = infer_line(op, arguments);
    const std::string wanted = count < 0 ? "" : fmt::format("fp16[{}{}]", leading, count);
    if (outcome.accepted == (count >= 0) && (count < 0 || outcome.results == wanted)) return;
    FAIL_CHECK(op, " ", arguments, ": ", outcome.accepted ? outcome.results : "refused",
               " and not ", count < 0 ? "refused" : wanted);
  }
};

constexpr int kOpen = 99;

/// The elements that a walk from `begin` by `stride` meets before it passes `end` or leaves the
/// dim; a bound below 0 counts from the end, one outside of the dim is moved to its edge.
int count_walk(int n, int begin, int end, int stride) {
  const auto place = [&](int bound) { return bound < 0 ? bound + n : bound; };
  int at = begin == kOpen ? (stride > 0 ? 0 : n - 1) : place(begin);
  // What lies before the first element in the walk's direction is where the walk begins.
  if (stride > 0 && at < 0) at = 0;
  if (stride < 0 && at > n - 1) at = n - 1;
  int count = 0;
  for (; at >= 0 && at < n; at += stride) {
    const bool passed = stride > 0 ? at >= place(end) : at <= place(end);
    if (end != kOpen && passed) break;
    ++count;
  }
  return count;
}

/// Bounds that count from one end of the dim and are in the wrong order are refused.
bool is_refused(int begin, int end, int stride) {
  if (begin == kOpen || end == kOpen) return false;
  return stride > 0 ? begin >= 0 && end >= 0 && end < begin : begin < 0 && end < 0 && begin < end;
}

std::string slice_line(int n, int begin, int end, int stride) {
  return fmt::format(
      "x=fp16[{}] begin=int32[1]:{} end=int32[1]:{} stride=int32[1]:{} begin_mask=bool[1]:{} "
      "end_mask=bool[1]:{}",
      n, begin == kOpen ? 0 : begin, end == kOpen ? 0 : end, stride, begin == kOpen, end == kOpen);
}

}  // namespace

TEST_CASE("slices") {
  Tally tally;
  constexpr int kBounds[] = {-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, kOpen};
  for (int n = 1; n <= 5; ++n) {
    for (const int stride : {-3, -2, -1, 1, 2, 3}) {
      for (const int begin : kBounds) {
        for (const int end : kBounds) {
          const int count = is_refused(begin, end, stride) ? -1 : count_walk(n, begin, end, stride);
          tally.check("slice_by_index", "", slice_line(n, begin, end, stride), count);
        }
      }
    }
  }
  MESSAGE(tally.cases, " slices");
}

namespace {

/// One spatial dim under windows.
struct Windowed {
  int size, kernel, stride, dilation, before, after;
  int reach() const { return (kernel - 1) * dilation + 1; }

  /// The windows that lie within the padded dim.
  int whole() const {
    int count = 0;
    for (int at = -before; at + reach() <= size + after; at += stride) ++count;
    return count;
  }
  /// With ceil_mode a last window may reach over the end; the last one is not counted when all of
  /// it lies in the padding there.
  int begun() const {
    int count = 0;
    for (int at = -before; at - stride + reach() < size + after; at += stride) ++count;
    const int last = -before + (count - 1) * stride;
    return before + after > 0 && last >= size ? count - 1 : count;
  }
  std::string arguments() const {
    return fmt::format("strides=int32[1]:{} pad_type=string:custom pad=int32[2]:{},{}", stride,
                       before, after);
  }
};

template <class Check>
void for_windows(const Check& check) {
  for (int size = 1; size <= 7; ++size) {
    for (int kernel = 1; kernel <= 4; ++kernel) {
      for (int stride = 1; stride <= 3; ++stride) {
        for (int dilation = 1; dilation <= 2; ++dilation) {
          for (int before = 0; before <= 2; ++before) {
            for (int after = 0; after <= 2; ++after) {
              check(Windowed{size, kernel, stride, dilation, before, after});
            }
          }
        }
      }
    }
  }
}

int or_refused(int count) { return count > 0 ? count : -1; }

}  // namespace

TEST_CASE("windows of convolutions and pools") {
  Tally tally;
  for_windows([&](const Windowed& w) {
    tally.check("conv", "1,2,",
                fmt::format("x=fp16[1,3,{}] weight=%fp16[2,3,{}] dilations=int32[1]:{} {}", w.size,
                            w.kernel, w.dilation, w.arguments()),
                or_refused(w.whole()));
    if (w.dilation != 1) return;
    const std::string pooled =
        fmt::format("x=fp16[1,2,{}] kernel_sizes=int32[1]:{} {}", w.size, w.kernel, w.arguments());
    tally.check("max_pool", "1,2,", pooled, or_refused(w.whole()));
    if (w.before == w.after) {
      tally.check("avg_pool", "1,2,", pooled + " ceil_mode=bool:true", or_refused(w.begun()));
    }
  });
  MESSAGE(tally.cases, " windows");
}

TEST_CASE("same has as many windows as begin in the dim") {
  Tally tally;
  for (int size = 1; size <= 9; ++size) {
    for (int stride = 1; stride <= 4; ++stride) {
      int count = 0;
      for (int at = 0; at < size; at += stride) ++count;
      for (const std::string_view pad_type : {"same", "same_lower"}) {
        tally.check("conv", "1,2,",
                    fmt::format("x=fp16[1,3,{}] weight=%fp16[2,3,5] dilations=int32[1]:2 "
                                "strides=int32[1]:{} pad_type=string:{}",
                                size, stride, pad_type),
                    count);
      }
    }
  }
  MESSAGE(tally.cases, " windows");
}

TEST_CASE("a transposed convolution covers what its windows touch") {
  Tally tally;
  for_windows([&](const Windowed& w) {
    const int touched = (w.size - 1) * w.stride + w.reach();
    tally.check("conv_transpose", "1,2,",
                fmt::format("x=fp16[1,3,{}] weight=%fp16[3,2,{}] dilations=int32[1]:{} {}", w.size,
                            w.kernel, w.dilation, w.arguments()),
                or_refused(touched - w.before - w.after));
  });
  MESSAGE(tally.cases, " windows");
}
