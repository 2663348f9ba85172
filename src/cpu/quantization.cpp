// Ops on quantised values: a value is scale * (code - zero point). Everything is computed in double
// and rounded once.
#include <algorithm>
#include <cstdint>

#include "cpu/kernel_util.h"
#include "cpu/kernels_quantization.h"

namespace milgen::cpu {
namespace {

/// Scales and zero points, one for all elements or one for each place along an axis.
class AxisParameters {
 public:
  AxisParameters(OpRun& run, const TensorView& values)
      : scale_(run.in("scale")),
        zero_point_(run.has("zero_point") ? &run.in("zero_point") : nullptr) {
    if (scale_.rank() == 0 && (zero_point_ == nullptr || zero_point_->rank() == 0)) {
      view_ = {.outer = 1, .size = 1, .inner = values.count};
    } else {
      view_ = around_axis(values.shape, axis_from_front(run.integer("axis"), values.rank()));
    }
  }

  /// Calls row(first, length, scale, zero point) for stretches of elements that share these.
  template <class Row>
  void for_each_row(OpRun& run, const Row& row) const {
    const std::int64_t inner = view_.inner;
    if (view_.size == 1) {
      parallel_for(run, view_.outer * inner, kElementGrain,
                   [&](std::int64_t begin, std::int64_t end) {
                     row(begin, end - begin, at(scale_, 0), zero_point(0));
                   });
      return;
    }
    const std::size_t grain =
        kElementGrain / static_cast<std::size_t>(std::max<std::int64_t>(inner, 1)) + 1;
    parallel_for(run, view_.outer * view_.size, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t place = i % view_.size;
        row(i * inner, inner, at(scale_, place), zero_point(place));
      }
    });
  }

 private:
  static double at(const TensorView& vector, std::int64_t place) {
    return real_at(vector, vector.rank() == 0 ? 0 : place);
  }
  double zero_point(std::int64_t place) const {
    return zero_point_ == nullptr ? 0 : at(*zero_point_, place);
  }

  const TensorView& scale_;
  const TensorView* zero_point_;
  AxisView view_;
};

/// To the nearest integer, ties to the even one; held to 2^20, which is beyond every code. A call
/// of std::rint is what this loop would spend its time with, where the baseline has no instruction.
double rounded_code(double value) {
  constexpr double kBound = 0x1p20;
  constexpr double kOnlyIntegers = 0x1.8p52;  // numbers of this size are 1 apart
  return std::clamp(value, -kBound, kBound) + kOnlyIntegers - kOnlyIntegers;
}

bool dequantize_along_axis(OpRun& run, const TensorView& codes) {
  const TensorView& out = run.out();
  const AxisParameters parameters(run, codes);
  with_element_and_float(codes.dtype, out.dtype, [&](auto code, auto real) {
    const auto* source = codes.as<decltype(code)>();
    auto* result = out.as_mutable<decltype(real)>();
    parameters.for_each_row(
        run, [&](std::int64_t first, std::int64_t length, double scale, double zero_point) {
          for (std::int64_t i = first; i < first + length; ++i) {
            const auto value = static_cast<double>(number(source[i]));
            result[i] = element_from_real<decltype(real)>(scale * (value - zero_point));
          }
        });
  });
  return true;
}

}  // namespace

bool run_quantize(OpRun& run) {
  const TensorView& input = run.in("input");
  const TensorView& out = run.out();
  const AxisParameters parameters(run, input);
  with_element_and_float(out.dtype, input.dtype, [&](auto code, auto real) {
    const auto* source = input.as<decltype(real)>();
    auto* result = out.as_mutable<decltype(code)>();
    parameters.for_each_row(
        run, [&](std::int64_t first, std::int64_t length, double scale, double zero_point) {
          for (std::int64_t i = first; i < first + length; ++i) {
            const auto value = static_cast<double>(number(source[i]));
            result[i] = element_from_real<decltype(code)>(rounded_code(value / scale) + zero_point);
          }
        });
  });
  return true;
}

bool run_dequantize(OpRun& run) { return dequantize_along_axis(run, run.in("input")); }

bool run_constexpr_affine_dequantize(OpRun& run) {
  return dequantize_along_axis(run, run.in("quantized_data"));
}

}  // namespace milgen::cpu
