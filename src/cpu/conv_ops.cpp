// conv, conv_transpose and conv_quantized with whatever weight they are given.
#include <fmt/format.h>

#include <algorithm>

#include "cpu/conv.h"
#include "cpu/kernel_util.h"
#include "cpu/kernels_conv.h"

namespace milgen::cpu {
namespace {

bool convolve_in(OpRun& run, const ConvPlan& plan, const ConvData& data, std::byte* scratch) {
  detail::ProductWorkspace& workspace = run.workspace();
  if (convolve(plan, data, run.pool(), workspace, scratch)) return true;
  return run.fail(rule<"memory.limit">, "there is no memory for the product's packed operands");
}

/// Scratch for the plan, with some floats in front of it.
std::byte* scratch_for(OpRun& run, const ConvPlan& plan, std::int64_t floats) {
  const std::uint64_t bytes = conv_scratch_bytes(plan, run.pool().threads()) +
                              static_cast<std::uint64_t>(floats) * sizeof(float);
  return run.scratch(std::max<std::uint64_t>(1, bytes));
}

bool run_with_weight(OpRun& run) {
  if (run.out().count == 0) return true;
  ConvPlan plan;
  if (!make_conv_plan(run, plan)) return false;
  std::byte* scratch = scratch_for(run, plan, 0);
  if (scratch == nullptr) return false;
  const ConvData data{.x = run.in("x").data,
                      .weight = run.in("weight").data,
                      .bias = run.has("bias") ? run.in("bias").data : nullptr,
                      .out = run.out().data};
  return convolve_in(run, plan, data, scratch);
}

/// The element of quant_scale or quant_bias for an output channel.
double of_channel(const TensorView& vector, std::int64_t channel) {
  return real_at(vector, vector.count == 1 ? 0 : channel);
}

/// Checks that a vector has one element, or one for each output channel.
bool is_per_channel(OpRun& run, std::string_view param, std::int64_t channels) {
  const TensorView& vector = run.in(param);
  if (vector.count == 1 || vector.count == channels) return true;
  return run.fail(rule<"run.shape">,
                  fmt::format("{} has {} elements but takes 1 or one for each of the {} output "
                              "channels",
                              param, vector.count, channels));
}

/// Codes of [channels][per_channel] as code * quant_scale + quant_bias.
void dequantize(const OpRun& run, const TensorView& codes, std::int64_t channels, float* to) {
  const TensorView& scales = run.in("quant_scale");
  const TensorView& biases = run.in("quant_bias");
  const std::int64_t per_channel = codes.count / channels;
  for (std::int64_t c = 0; c < channels; ++c) {
    const double scale = of_channel(scales, c);
    const double bias = of_channel(biases, c);
    for (std::int64_t i = 0; i < per_channel; ++i, ++to) {
      *to = static_cast<float>(real_at(codes, c * per_channel + i) * scale + bias);
    }
  }
}

}  // namespace

bool run_conv(OpRun& run) { return run_with_weight(run); }
bool run_conv_transpose(OpRun& run) { return run_with_weight(run); }

bool run_conv_quantized(OpRun& run) {
  if (run.out().count == 0) return true;
  const TensorView& weight = run.in("weight");
  const std::int64_t channels = weight.dim(0);
  if (run.text("quantization_type") != "linear") {
    return run.fail(rule<"run.value">,
                    fmt::format("quantization_type is {}, but the op has no argument for the "
                                "table; linear is executed",
                                run.text("quantization_type")));
  }
  if (!is_per_channel(run, "quant_scale", channels) ||
      !is_per_channel(run, "quant_bias", channels)) {
    return false;
  }
  ConvPlan plan;
  if (!make_conv_plan(run, plan)) return false;
  const bool has_bias = run.has("bias");
  // The plan's own scratch stays aligned.
  const std::int64_t floats = (weight.count + (has_bias ? channels : 0) + 15) / 16 * 16;
  std::byte* scratch = scratch_for(run, plan, floats);
  if (scratch == nullptr) return false;
  auto* weights = reinterpret_cast<float*>(scratch);
  float* bias = weights + weight.count;
  dequantize(run, weight, channels, weights);
  if (has_bias) dequantize(run, run.in("bias"), channels, bias);
  const ConvData data{.x = run.in("x").data,
                      .weight = weights,
                      .bias = has_bias ? bias : nullptr,
                      .out = run.out().data};
  return convolve_in(run, plan, data, reinterpret_cast<std::byte*>(weights + floats));
}

}  // namespace milgen::cpu
