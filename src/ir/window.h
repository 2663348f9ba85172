// Windows that slide over spatial dims: what convolution and pooling have in common.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ir/infer.h"

namespace milgen::detail {

inline constexpr int kMostSpatialDims = 3;

/// The ids of the rules that the windows of an op keep.
struct WindowRules {
  Rule rank;    ///< x is [N, C] and one to three spatial dims
  Rule length;  ///< one entry for each spatial dim, two for pad
  Rule value;   ///< strides, dilations and kernels are positive
  Rule output;  ///< something is left of each spatial dim
};

enum class PadType : std::uint8_t { valid, custom, same, same_lower };

/// The arguments of windows over the spatial dims of x, [N, C, spatial...].
class Windows {
 public:
  explicit Windows(const WindowRules& rules) : rules_(rules) {}

  /// Reads x's rank, strides, dilations (1 where the op has none), pad and pad_type. False when
  /// something was reported.
  bool read(InferContext& ctx, bool has_dilations);

  int dims() const { return dims_; }
  PadType pad_type() const { return pad_type_; }
  std::int64_t stride(int i) const { return strides_[at(i)]; }
  std::int64_t dilation(int i) const { return dilations_[at(i)]; }
  std::int64_t pad_before(int i) const { return pad_[at(2 * i)]; }
  std::int64_t pad_after(int i) const { return pad_[at(2 * i + 1)]; }

  /// How many windows of `kernel` elements fit along spatial dim `i` of x; kUnknownDim when that
  /// dim or the kernel is not known. `ceil_mode` counts a last window that reaches over the end.
  bool count(InferContext& ctx, int i, std::int64_t kernel, bool ceil_mode,
             std::int64_t& out) const;
  /// How many elements the windows of `kernel` elements cover that stand at the elements of
  /// spatial dim `i` of x: the transposed count.
  bool spread(InferContext& ctx, int i, std::int64_t kernel, std::int64_t& out) const;

  /// Reads a list with `per_dim` entries for each spatial dim into `out`, or `otherwise` for each
  /// when it was left out.
  bool read_list(InferContext& ctx, std::string_view param, int per_dim, std::int64_t otherwise,
                 std::span<std::int64_t> out) const;
  /// Reports entries below 1.
  bool need_positive(InferContext& ctx, std::string_view param,
                     std::span<const std::int64_t> values) const;

 private:
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }
  bool need_output(InferContext& ctx, int i, std::int64_t kernel, std::int64_t size) const;

  WindowRules rules_;
  int dims_ = 0;
  PadType pad_type_ = PadType::valid;
  std::array<std::int64_t, kMostSpatialDims> strides_{};
  std::array<std::int64_t, kMostSpatialDims> dilations_{};
  std::array<std::int64_t, std::size_t{2} * kMostSpatialDims> pad_{};
};

}  // namespace milgen::detail
