// Convolution and its transpose. What is done is settled from shapes and attributes, before there
// is data, so that a constant weight can be packed ahead:
//
//     ConvPlan plan;
//     if (!make_conv_plan(run, plan)) return false;                    // reads no data
//     PackRequest request;
//     if (conv_pack_request(plan, weight, request)) packed.pack(request, pool);
//     ...
//     convolve(plan, {.x = ..., .packed = &packed, ...}, pool, workspace, scratch);
//
// Each element of the result is the sum over (c_in, kd, kh, kw), in that order, of what lies in x;
// then the bias is added, in fp32 (product.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/kernel.h"
#include "cpu/product.h"

namespace milgen::cpu {

/// Positions along one spatial dim of the result that use the same taps of the kernel: position j
/// of `count` takes x[j * step + tap.offset] for each tap, where that is in x, and is element first
/// + j * result_step of the result.
struct TapAxis {
  struct Tap {
    std::int64_t index;   ///< in the kernel
    std::int64_t offset;  ///< in x
  };
  std::int64_t size = 1;  ///< of x
  std::int64_t step = 1;
  std::int64_t count = 1;
  std::int64_t first = 0;
  std::int64_t result_step = 1;
  std::vector<Tap> taps = {};

  /// The positions whose tap at `offset` is in x: [begin, end).
  std::int64_t begin(std::int64_t offset) const;
  std::int64_t end(std::int64_t offset) const;
};

enum class ConvMethod : std::uint8_t {
  whole,    ///< 1x1, stride 1: a product with x as it is
  planes,   ///< depthwise: each channel by itself
  columns,  ///< a product with what windows cover, copied a block at a time
};

/// Depth, height and width; a dim that x does not have is one of one element.
struct ConvPlan {
  NumericMode mode = NumericMode::exact;
  ConvMethod method = ConvMethod::columns;
  bool transposed = false;  ///< weight [C_in, C_out / groups, kernel...]
  DType x = DType::none;
  DType weight = DType::none;
  DType bias = DType::none;  ///< none: there is none
  DType out = DType::none;
  std::int64_t images = 1;
  std::int64_t groups = 1;
  std::int64_t in_channels = 1;   ///< of a group
  std::int64_t out_channels = 1;  ///< of a group
  std::array<std::int64_t, 3> in_dims{};
  std::array<std::int64_t, 3> out_dims{};
  std::array<std::int64_t, 3> kernel{};
  /// One for a convolution; of a transposed one, one for each remainder of result positions divided
  /// by the stride. Every combination of the three dims' is done by itself.
  std::array<std::vector<TapAxis>, 3> axes;

  std::int64_t in_plane() const { return in_dims[0] * in_dims[1] * in_dims[2]; }
  std::int64_t out_plane() const { return out_dims[0] * out_dims[1] * out_dims[2]; }
  std::int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

struct ConvData {
  const void* x = nullptr;
  const void* weight = nullptr;
  const void* bias = nullptr;
  void* out = nullptr;
  /// The weight, made from conv_pack_request(); `weight` is not looked at then.
  const detail::PackedMatrix* packed = nullptr;
};

/// Reads shapes, dtypes and attributes of conv, conv_transpose and conv_quantized (whose weight is
/// planned as fp32, and whose bias is). False after a report.
bool make_conv_plan(OpRun& run, ConvPlan& plan);

/// What to pack of a constant weight; false where it is used as it is.
bool conv_pack_request(const ConvPlan& plan, const void* weight, detail::PackRequest& request);

/// Bytes that convolve() takes at `scratch`.
std::uint64_t conv_scratch_bytes(const ConvPlan& plan, int threads);

/// Bytes that convolve() reserves in its workspace. `packed` is the weight's or null.
std::size_t conv_workspace_bytes(const ConvPlan& plan, const detail::PackedMatrix* packed,
                                 int threads);

/// False when `workspace` cannot be grown.
[[nodiscard]] bool convolve(const ConvPlan& plan, const ConvData& data, ThreadPool& pool,
                            detail::ProductWorkspace& workspace, std::byte* scratch);

}  // namespace milgen::cpu
