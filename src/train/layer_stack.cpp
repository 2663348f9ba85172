#include "train/layer_stack.h"

#include <fmt/format.h>

#include "train/timed.h"

namespace milgen::train::detail {

bool LayerStack::open() {
  const auto layers = static_cast<std::size_t>(config().layers);
  const auto stream = static_cast<std::size_t>(config().dim * config().seq);
  residual_.assign(layers + 1, Floats(stream));
  x2_.assign(layers, Floats(stream));
  if (!open_channels()) return false;
  kernels_ = kernels();
  for (const KernelOfSet& one : kernels_) {
    if (!one.kernel->open(one.name, one.define, layers, bench_.environment, bench_.times,
                          *bench_.diagnostics)) {
      return false;
    }
  }
  return true;
}

bool LayerStack::refresh(const ModelWeights& weights) {
  if (!write(weights)) return false;
  for (const KernelOfSet& one : kernels_) {
    for (std::size_t layer = 0; layer < weights.layers.size() && one.kernel->is_baked(); ++layer) {
      if (!one.kernel->bake(layer, one.weights(weights.layers[layer], config()), bench_.times,
                            *bench_.diagnostics)) {
        return false;
      }
    }
  }
  return true;
}

/// All layers of all kernels, shared out among threads.
bool LayerStack::write(const ModelWeights& weights) {
  const Timed timed(bench_.times.weights_ms);
  const std::size_t layers = weights.layers.size();
  std::vector<Diagnostics> reports(kernels_.size() * layers);
  bench_.pool.run(reports.size(), 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const KernelOfSet& one = kernels_[i / layers];
      if (!one.kernel->has_weights()) continue;
      const std::size_t layer = i % layers;
      one.kernel->write(layer, one.weights(weights.layers[layer], config()), reports[i]);
    }
  });
  bool written = true;
  for (const Diagnostics& report : reports) {
    bench_.diagnostics->append(report);
    written = written && !report.has_errors();
  }
  return written;
}

bool LayerStack::finite_weights() {
  std::vector<std::uint16_t> halves;
  for (const KernelOfSet& one : kernels_) {
    if (one.weights == nullptr) continue;
    for (std::size_t layer = 0; layer < x2_.size(); ++layer) {
      for (const WeightValues& weight : one.weights(weights(layer), config())) {
        halves.resize(weight.values.size());
        const std::string name = fmt::format("weight {} of {} as fp16", weight.name, one.name);
        if (!bench_.halve(stage(layer, name), halves, weight.values)) return false;
      }
    }
  }
  return true;
}

bool LayerStack::run(LayerKernel& kernel, std::size_t layer,
                     std::initializer_list<NamedArray> activations, const Array& output) {
  const Timed timed(*direction_ms_);
  return bench_.run(kernel, layer, activations, output);
}

bool LayerStack::forward() {
  direction_ms_ = &bench_.times.forward_ms;
  for (std::size_t layer = 0; layer < x2_.size(); ++layer) {
    if (!forward_layer(layer) ||
        !bench_.finite(stage(layer, "residual stream"), residual_[layer + 1])) {
      return false;
    }
  }
  return true;
}

bool LayerStack::backward(std::span<float> dx) {
  direction_ms_ = &bench_.times.backward_ms;
  for (std::size_t layer = x2_.size(); layer-- > 0;) {
    if (!backward_layer(layer, dx) || !bench_.finite(stage(layer, "gradient"), dx)) return false;
  }
  return true;
}

std::int64_t LayerStack::compiles_per_refresh() const {
  std::int64_t count = 0;
  for (const KernelOfSet& one : kernels_) {
    count += one.kernel->compiles_per_refresh();
  }
  return count;
}

std::uint64_t LayerStack::held_bytes() const {
  std::uint64_t bytes = channel_bytes();
  for (const KernelOfSet& one : kernels_) {
    bytes += one.kernel->held_bytes();
  }
  for (const Floats& floats : residual_) bytes += floats.size() * sizeof(float);
  for (const Floats& floats : x2_) bytes += floats.size() * sizeof(float);
  return bytes;
}

std::string LayerStack::stage(std::size_t layer, std::string_view what) {
  return fmt::format("layer {} {}", layer, what);
}

}  // namespace milgen::train::detail
