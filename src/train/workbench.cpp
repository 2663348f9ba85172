#include "train/workbench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "support/half.h"
#include "support/rule.h"
#include "train/timed.h"

namespace milgen::train::detail {

bool Channels::open(std::int64_t channels, std::int64_t seq, Diagnostics& diagnostics) {
  seq_ = static_cast<std::size_t>(seq);
  array_ = Array(DType::fp16, {1, channels, 1, seq});
  if (array_) return true;
  diagnostics.error(rule<"memory.limit">.id(),
                    fmt::format("there is no memory for activations, tensor<fp16, [1, {}, 1, {}]>",
                                channels, seq));
  return false;
}

Array Channels::part(std::int64_t first, std::int64_t count) const {
  const std::size_t row = seq_ * sizeof(std::uint16_t);
  Array all = array_;
  return Array::borrow(DType::fp16, {1, count, 1, static_cast<std::int64_t>(seq_)},
                       all.mutable_bytes().subspan(static_cast<std::size_t>(first) * row,
                                                   static_cast<std::size_t>(count) * row));
}

std::span<std::uint16_t> Channels::halves(std::int64_t first, std::int64_t count) {
  return array_.as_mutable<std::uint16_t>().subspan(static_cast<std::size_t>(first) * seq_,
                                                    static_cast<std::size_t>(count) * seq_);
}

std::span<const std::uint16_t> Channels::halves(std::int64_t first, std::int64_t count) const {
  return array_.as<std::uint16_t>().subspan(static_cast<std::size_t>(first) * seq_,
                                            static_cast<std::size_t>(count) * seq_);
}

Workbench::Workbench(const ModelConfig& model, const PipelineOptions& options)
    : config(model),
      environment{.backend = options.backend != nullptr ? options.backend : &cpu_backend(),
                  .compile = {.mode = options.mode, .threads = options.threads},
                  .weights_as = options.weights_as},
      host(options.mode, options.threads),
      pool(options.threads) {
  const std::int64_t widest = std::max({model.hidden, model.dim, model.q_dim(), model.kv_dim()});
  const auto count = static_cast<std::size_t>(widest * model.seq);
  dy_.resize(count);
  x_.resize(count);
  gain_.resize(static_cast<std::size_t>(model.dim));
}

bool Workbench::run(LayerKernel& kernel, std::size_t layer,
                    std::initializer_list<NamedArray> activations, const Array& output) {
  ++times.kernel_runs;
  if (probe == nullptr) return kernel.run(layer, activations, output, {}, *diagnostics);
  RunReport report;
  const RunOptions options{.report = &report, .report_nonfinite = true};
  if (!kernel.run(layer, activations, output, options, *diagnostics)) return false;
  const NonFinite& found = report.nonfinite;
  if (!found.found) return true;
  *probe = {.found = true,
            .stage = kernel.stage(layer),
            .op = found.op,
            .result = found.result,
            .index = found.index,
            .value = found.value};
  return false;
}

bool Workbench::finite(std::string_view stage, std::span<const float> values) {
  if (probe == nullptr) return true;
  const std::int64_t at = host.first_nonfinite(values);
  if (at < 0) return true;
  *probe = {.found = true,
            .stage = std::string(stage),
            .op = {},
            .result = {},
            .index = at,
            .value = static_cast<double>(values[static_cast<std::size_t>(at)])};
  return false;
}

bool Workbench::finite(std::string_view stage, std::span<const std::uint16_t> values) {
  if (probe == nullptr) return true;
  Floats floats(values.size());
  host.to_fp32(floats, values);
  return finite(stage, floats);
}

bool Workbench::halve(std::string_view stage, std::span<std::uint16_t> to,
                      std::span<const float> from) {
  host.to_fp16(to, from);
  return finite(stage, std::span<const std::uint16_t>(to));
}

bool Workbench::add_gradient(Floats& dw, std::span<const float> dy, std::span<const float> x) {
  const Timed timed(times.weight_gradients_ms);
  const auto seq = static_cast<std::size_t>(config.seq);
  return host.add_weight_gradient(dw, dy, x, static_cast<std::int64_t>(dy.size() / seq),
                                  static_cast<std::int64_t>(x.size() / seq), config.seq, unscale) ||
         no_memory("a weight gradient");
}

bool Workbench::no_memory(std::string_view what) {
  diagnostics->error(rule<"memory.limit">.id(),
                     fmt::format("there is not enough memory for {}", what));
  return false;
}

std::span<const float> Workbench::dy_floats(std::span<const std::uint16_t> halves) {
  return floats_in(dy_, halves);
}

std::span<const float> Workbench::x_floats(std::span<const std::uint16_t> halves) {
  return floats_in(x_, halves);
}

void Workbench::norm_backward(Floats* dgain, std::span<float> dx, std::span<const float> dy,
                              std::span<const float> x, std::span<const float> gain) {
  std::ranges::fill(gain_, 0.0f);
  host.rmsnorm_backward(dx, gain_, dy, x, gain, config.dim, config.seq, config.eps);
  if (dgain != nullptr) host.accumulate(*dgain, gain_, unscale);
}

std::span<const float> Workbench::floats_in(Floats& scratch,
                                            std::span<const std::uint16_t> halves) {
  const Timed timed(times.weight_gradients_ms);
  const std::span<float> floats = std::span(scratch).first(halves.size());
  host.to_fp32(floats, halves);
  return floats;
}

std::uint64_t Workbench::held_bytes() const {
  return (dy_.size() + x_.size() + gain_.size()) * sizeof(float);
}

}  // namespace milgen::train::detail
