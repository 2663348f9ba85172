// argsort and topk. The value and the index of an element make one 64-bit key, so that sorting keys
// keeps equal values in the order of their indices, whatever the algorithm.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "cpu/kernel_util.h"
#include "cpu/kernels_tensor_operation.h"

namespace milgen::cpu {
namespace {

/// Numbers that are ordered as the values are. Both zeros are equal, NaN is above infinity.
std::uint32_t order_of(float value) {
  if (value != value) return std::numeric_limits<std::uint32_t>::max();
  constexpr std::uint32_t kSign = 0x80000000u;
  const auto bits = std::bit_cast<std::uint32_t>(value == 0 ? 0.0f : value);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}
std::uint32_t order_of(std::int32_t value) {
  return static_cast<std::uint32_t>(value) ^ 0x80000000u;
}
template <class T>
std::uint32_t order_of(T element) {
  if constexpr (std::is_integral_v<T>) {
    return order_of(static_cast<std::int32_t>(element));
  } else {
    return order_of(static_cast<float>(number(element)));
  }
}

/// Puts the indices of the first `taken` elements of a lane, in order, into the low halves of
/// `keys`, which has room for the lane's `size` elements.
template <class T>
void sort_lane(const T* lane, std::int64_t size, std::int64_t stride, bool ascending,
               std::int64_t taken, std::uint64_t* keys) {
  for (std::int64_t i = 0; i < size; ++i) {
    const std::uint32_t order = order_of(lane[i * stride]);
    keys[i] = std::uint64_t{ascending ? order : ~order} << 32 | static_cast<std::uint64_t>(i);
  }
  if (taken < size) std::nth_element(keys, keys + taken, keys + size);
  std::sort(keys, keys + taken);
}

void store_index(const TensorView& out, std::int64_t at, std::uint64_t index) {
  if (out.dtype == DType::uint16) {
    out.as_mutable<std::uint16_t>()[at] = static_cast<std::uint16_t>(index);
  } else {
    out.as_mutable<std::int32_t>()[at] = static_cast<std::int32_t>(index);
  }
}

/// Sorts the lanes of x along an axis and gives the first `taken` elements and their indices;
/// either result may be left out.
template <class T>
bool sort_lanes(OpRun& run, const AxisView& view, std::int64_t taken, const TensorView* values,
                const TensorView* indices) {
  const T* x = run.in("x").as<T>();
  const bool ascending = run.boolean("ascending");
  const std::int64_t threads = run.pool().threads();
  auto* all_keys = run.scratch_of<std::uint64_t>(threads * view.size);
  if (all_keys == nullptr) return false;
  const auto piece = [&](std::size_t begin, std::size_t end, std::size_t slot) {
    std::uint64_t* keys = all_keys + static_cast<std::int64_t>(slot) * view.size;
    for (auto lane = static_cast<std::int64_t>(begin); lane < static_cast<std::int64_t>(end);
         ++lane) {
      const std::int64_t outer = lane / view.inner;
      const std::int64_t inner = lane % view.inner;
      const T* from = x + outer * view.size * view.inner + inner;
      sort_lane(from, view.size, view.inner, ascending, taken, keys);
      for (std::int64_t i = 0; i < taken; ++i) {
        const std::uint64_t index = keys[i] & 0xFFFFFFFFu;
        const std::int64_t at = (outer * taken + i) * view.inner + inner;
        if (indices != nullptr) store_index(*indices, at, index);
        if (values != nullptr) {
          values->as_mutable<T>()[at] = from[static_cast<std::int64_t>(index) * view.inner];
        }
      }
    }
  };
  // Sorting costs some ten times as much as an elementwise op.
  const std::size_t grain = kElementGrain / 16 / static_cast<std::size_t>(view.size) + 1;
  run.pool().run(static_cast<std::size_t>(view.outer * view.inner), grain, piece);
  return true;
}

bool sort_along(OpRun& run, const TensorView* values, const TensorView* indices) {
  const TensorView& x = run.in("x");
  const TensorView& out = values != nullptr ? *values : *indices;
  if (out.count == 0) return true;
  const std::size_t axis = axis_from_front(run.integer("axis"), x.rank());
  const AxisView view = around_axis(x.shape, axis);
  const bool narrow = indices != nullptr && indices->dtype == DType::uint16;
  const std::int64_t most =
      narrow ? std::numeric_limits<std::uint16_t>::max() : std::numeric_limits<std::int32_t>::max();
  if (view.size - 1 > most) {
    return run.fail(rule<"run.shape">,
                    fmt::format("dim {} of x has {} elements, more than an index of {} reaches",
                                axis, view.size, narrow ? "uint16" : "int32"));
  }
  const std::int64_t taken = out.dim(axis);
  return with_element_type(x.dtype, [&](auto zero) {
    return sort_lanes<decltype(zero)>(run, view, taken, values, indices);
  });
}

}  // namespace

bool run_argsort(OpRun& run) { return sort_along(run, nullptr, &run.out()); }

bool run_topk(OpRun& run) {
  return sort_along(run, &run.out(), run.results() > 1 ? &run.out(1) : nullptr);
}

}  // namespace milgen::cpu
