// The list of executors: an op that is not in one of these headers, or is in two, does not build.
#include <array>
#include <cstddef>

#include "cpu/kernel.h"
#include "cpu/kernels_activation.h"
#include "cpu/kernels_control_flow.h"
#include "cpu/kernels_conv.h"
#include "cpu/kernels_elementwise.h"
#include "cpu/kernels_image_resizing.h"
#include "cpu/kernels_linear.h"
#include "cpu/kernels_normalization.h"
#include "cpu/kernels_quantization.h"
#include "cpu/kernels_random.h"
#include "cpu/kernels_recurrent.h"
#include "cpu/kernels_reduction.h"
#include "cpu/kernels_scatter_gather.h"
#include "cpu/kernels_tensor_operation.h"
#include "cpu/kernels_tensor_transformation.h"
#include "cpu/kernels_transformer.h"

namespace milgen::cpu {
namespace {

template <std::size_t... N>
constexpr auto by_code(const KernelRow (&... families)[N]) {
  std::array<KernelRow, kOpCount> rows{};
  std::array<int, kOpCount> seen{};
  const auto place = [&](const KernelRow& row) {
    const auto code = static_cast<std::size_t>(row.code);
    rows[code] = row;
    ++seen[code];
  };
  const auto place_all = [&](const auto& family) {
    for (const KernelRow& row : family) place(row);
  };
  (place_all(families), ...);
  for (const int count : seen) {
    if (count != 1) rows[0].code = static_cast<OpCode>(kOpCount);
  }
  return rows;
}

constexpr std::array<KernelRow, kOpCount> kRows =
    by_code(kActivationKernels, kControlFlowKernels, kConvKernels, kElementwiseKernels,
            kImageResizingKernels, kLinearKernels, kNormalizationKernels, kQuantizationKernels,
            kRandomKernels, kRecurrentKernels, kReductionKernels, kScatterGatherKernels,
            kTensorOperationKernels, kTensorTransformationKernels, kTransformerKernels);

static_assert(kRows[0].code == OpCode::abs,
              "an op is missing in the kernels_*.h headers, or is in two of them");

constexpr bool each_has_kernel_or_reason() {
  for (const KernelRow& row : kRows) {
    if ((row.kernel == nullptr) == row.reason.empty()) return false;
  }
  return true;
}
static_assert(each_has_kernel_or_reason(),
              "an op without a kernel needs a reason, and one with a kernel has none");

}  // namespace

const KernelRow& kernel_row(OpCode code) { return kRows[static_cast<std::size_t>(code)]; }

}  // namespace milgen::cpu
