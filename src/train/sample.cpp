#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cpu/real_math.h"
#include "milgen/train/tokenizer.h"
#include "milgen/train/trainer.h"
#include "support/rule.h"
#include "support/splitmix.h"

namespace milgen::train {
namespace {

bool check(const Tokens prompt, const SampleOptions& options, Diagnostics& diagnostics) {
  const std::size_t before = diagnostics.errors();
  const auto refuse = [&](const std::string& sentence) {
    diagnostics.error(rule<"train.option">.id(), sentence);
  };
  if (prompt.empty()) refuse("a text that is sampled begins with at least one token");
  if (!std::isfinite(options.temperature) || options.temperature < 0) {
    refuse(fmt::format("temperature is {:g} but has to be finite and not below 0",
                       options.temperature));
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    refuse(fmt::format("top_p is {:g} but has to be above 0 and at most 1", options.top_p));
  }
  return diagnostics.errors() == before;
}

/// In [0, 1).
double uniform(std::uint64_t seed, std::uint64_t index) {
  return static_cast<double>(milgen::detail::mixed(seed * 0xD1B54A32D192ED03u, index) >> 11) *
         0x1p-53;
}

/// A row of logits drawn by their probabilities; `u` in [0, 1) chooses.
std::size_t draw(std::span<const float> logits, const SampleOptions& options, double u) {
  const auto best = static_cast<std::size_t>(std::ranges::max_element(logits) - logits.begin());
  if (options.temperature == 0) return best;
  std::vector<double> weight(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double distance = static_cast<double>(logits[i]) - static_cast<double>(logits[best]);
    weight[i] = cpu::real_exp(distance / static_cast<double>(options.temperature));
  }
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order,
                           [&](std::size_t a, std::size_t b) { return weight[a] > weight[b]; });
  const double all = std::accumulate(weight.begin(), weight.end(), 0.0);
  double kept = 0;
  std::size_t count = 0;
  while (count < order.size() && (count == 0 || kept < static_cast<double>(options.top_p) * all)) {
    kept += weight[order[count++]];
  }
  double left = u * kept;
  for (std::size_t i = 0; i < count; ++i) {
    left -= weight[order[i]];
    if (left < 0) return order[i];
  }
  return order[count - 1];
}

}  // namespace

bool sample(Pipeline& pipeline, Tokens prompt, const SampleOptions& options,
            std::vector<std::int32_t>& tokens, Diagnostics& diagnostics) {
  tokens.clear();
  if (!check(prompt, options, diagnostics)) return false;
  const auto seq = static_cast<std::size_t>(pipeline.config().seq);
  const auto rows = static_cast<std::size_t>(pipeline.logit_rows());
  const std::vector<std::int32_t>& full = pipeline.options().vocab.full;
  std::vector<float> logits(rows * seq);
  std::vector<float> column(rows);
  std::vector<std::int32_t> text(prompt.begin(), prompt.end());
  for (std::int64_t made = 0; made < options.tokens; ++made) {
    const std::size_t used = std::min(seq, text.size());
    if (!pipeline.forward(Tokens(text).last(used), logits, diagnostics)) return false;
    for (std::size_t row = 0; row < rows; ++row) column[row] = logits[row * seq + used - 1];
    const auto bad =
        std::ranges::find_if(column, [](float logit) { return !std::isfinite(logit); });
    if (bad != column.end()) {
      diagnostics.error(rule<"train.loss">.id(),
                        fmt::format("logit {} behind {} tokens is {:g}, which no token is drawn by",
                                    bad - column.begin(), text.size(), *bad));
      return false;
    }
    const std::size_t row = draw(column, options, uniform(options.seed, text.size()));
    const std::int32_t token = full.empty() ? static_cast<std::int32_t>(row) : full[row];
    if (token == kBosToken) break;
    tokens.push_back(token);
    text.push_back(token);
    if (token == kEosToken) break;
  }
  return true;
}

}  // namespace milgen::train
