// Norms. All but local_response_norm are row operations (rows.h).
#include <algorithm>

#include "cpu/float_span.h"
#include "cpu/kernel_util.h"
#include "cpu/kernels_normalization.h"
#include "cpu/real_math.h"
#include "cpu/rows.h"

namespace milgen::cpu {
namespace {

constexpr std::int64_t kPowerCost = 32;  // as so many simple operations

NormVector vector_of(const OpRun& run, std::string_view param) {
  if (!run.has(param)) return {};
  const TensorView& tensor = run.in(param);
  return {.data = tensor.data, .dtype = tensor.dtype};
}

float epsilon_of(const OpRun& run) { return static_cast<float>(run.real("epsilon")); }

/// x as [batch, channels, spatial].
AxisView by_channel(const TensorView& x) { return around_axis(x.shape, 1); }

}  // namespace

bool run_batch_norm(OpRun& run) {
  const TensorView& x = run.in("x");
  if (x.count == 0) return true;
  const AxisView view = by_channel(x);
  batch_norm(x.dtype, x.data, run.out().data, view.outer, view.size, view.inner,
             vector_of(run, "mean"), vector_of(run, "variance"), vector_of(run, "gamma"),
             vector_of(run, "beta"), epsilon_of(run), run.pool());
  return true;
}

bool run_instance_norm(OpRun& run) {
  const TensorView& x = run.in("x");
  if (x.count == 0) return true;
  const AxisView view = by_channel(x);
  instance_norm(x.dtype, x.data, run.out().data, view.outer, view.size, view.inner,
                vector_of(run, "gamma"), vector_of(run, "beta"), epsilon_of(run), run.mode(),
                run.pool());
  return true;
}

bool run_l2_norm(OpRun& run) {
  const TensorView& x = run.in("x");
  if (x.count == 0) return true;
  l2_norm_rows(x.dtype, x.data, run.out().data, row_shape(x.shape, x.rank() - 3, x.rank() - 1),
               epsilon_of(run), run.mode(), run.pool());
  return true;
}

bool run_layer_norm(OpRun& run) {
  const TensorView& x = run.in("x");
  if (x.count == 0) return true;
  Ints axes;
  for (const std::int64_t axis : run.integers("axes")) {
    axes.push_back(static_cast<std::int64_t>(axis_from_front(axis, x.rank())));
  }
  std::sort(axes.begin(), axes.end());
  axes.resize(static_cast<std::size_t>(std::unique(axes.begin(), axes.end()) - axes.begin()));
  layer_norm_axes(x.dtype, x.data, run.out().data, x.shape, axes, vector_of(run, "gamma"),
                  vector_of(run, "beta"), epsilon_of(run), run.mode(), run.pool());
  return true;
}

// The window lies over dim -3 whatever the rank (op_semantics); where its size is even, the greater
// half is in front.
bool run_local_response_norm(OpRun& run) {
  const TensorView& x = run.in("x");
  const TensorView& out = run.out();
  if (x.count == 0) return true;
  const AxisView view = around_axis(x.shape, x.rank() - 3);
  const std::int64_t size = run.integer("size");
  const double scale = run.real("alpha") / static_cast<double>(size);
  const double beta = run.real("beta");
  const double offset = run.real("k");
  const std::int64_t buffer_size = 3 * view.inner;
  auto* buffers = run.scratch_of<float>(run.pool().threads() * buffer_size);
  if (buffers == nullptr) return false;
  const auto work = [&](std::size_t begin, std::size_t end, std::size_t slot) {
    float* buffer = buffers + static_cast<std::int64_t>(slot) * buffer_size;
    float* sums = buffer + view.inner;
    for (auto row = static_cast<std::int64_t>(begin); row < static_cast<std::int64_t>(end); ++row) {
      const std::int64_t channel = row % view.size;
      const std::int64_t first = std::max<std::int64_t>(0, channel - size / 2);
      const std::int64_t last = channel + std::min(view.size - 1 - channel, (size - 1) / 2);
      std::fill_n(sums, view.inner, 0.0f);
      for (std::int64_t c = first; c <= last; ++c) {
        const float* one = floats_of(x, (row - channel + c) * view.inner, view.inner, buffer);
        for (std::int64_t i = 0; i < view.inner; ++i) sums[i] += one[i] * one[i];
      }
      const float* centre = floats_of(x, row * view.inner, view.inner, buffer);
      float* result = floats_for(out, row * view.inner, sums + view.inner);
      for (std::int64_t i = 0; i < view.inner; ++i) {
        const double base = offset + scale * static_cast<double>(sums[i]);
        result[i] = static_cast<float>(static_cast<double>(centre[i]) / real_pow(base, beta));
      }
      store_floats(out, row * view.inner, view.inner, result);
    }
  };
  run.pool().run(static_cast<std::size_t>(view.outer * view.size),
                 items_grain(view.inner * kPowerCost), work);
  return true;
}

}  // namespace milgen::cpu
