// Recurrent layers beside what golden/numeric/ops shows: sequences that are longer than what is
// multiplied at a time, against a plain loop in double, and the same bits for any number of
// threads.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/run_text.h"

using namespace milgen;
using milgen::test::program_text;
using milgen::test::run_text;
using milgen::test::tensor_text;
using milgen::test::TextRun;

namespace {

using Reals = std::vector<double>;

// 4 * 96 * 3 gates take 4.5 KB a step, and 1 MB holds those of 227.
constexpr std::int64_t kSteps = 500;
constexpr std::int64_t kBatch = 3;
constexpr std::int64_t kFeatures = 5;
constexpr std::int64_t kHidden = 96;

/// Multiples of 1/64 between -1/2 and 1/2 without a pattern: a decimal of few digits names them.
Reals some_values(std::int64_t count, std::uint32_t seed) {
  Reals values;
  for (std::int64_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    values.push_back((static_cast<double>(seed >> 26) - 32) / 64);
  }
  return values;
}

struct Weights {
  Reals ih;
  Reals hh;
  Reals bias;
  Reals peephole;
};

Weights some_weights(std::int64_t gates, std::uint32_t seed) {
  Reals hh = some_values(gates * kHidden * kHidden, seed + 1);
  for (double& value : hh) value /= 4;  // states stay off the flat ends of tanh
  return {some_values(gates * kHidden * kFeatures, seed), std::move(hh),
          some_values(gates * kHidden, seed + 2), some_values(3 * kHidden, seed + 3)};
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// weight row `row` times a vector.
double row_sum(const Reals& weight, std::int64_t row, const double* vector, std::int64_t count) {
  double sum = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    sum += weight[static_cast<std::size_t>(row * count + k)] * vector[k];
  }
  return sum;
}

double gate(const Weights& w, std::int64_t row, const double* x, const double* h) {
  return row_sum(w.ih, row, x, kFeatures) + row_sum(w.hh, row, h, kHidden) +
         w.bias[static_cast<std::size_t>(row)];
}

/// One step of one batch entry.
void lstm_step(const Weights& w, const double* x, double* h, double* c, double clip) {
  const Reals old(h, h + kHidden);
  for (std::int64_t j = 0; j < kHidden; ++j) {
    const auto peephole = [&](std::int64_t part) {
      return w.peephole[static_cast<std::size_t>(part * kHidden + j)];
    };
    const double input = sigmoid(gate(w, j, x, old.data()) + peephole(0) * c[j]);
    const double forget = sigmoid(gate(w, kHidden + j, x, old.data()) + peephole(1) * c[j]);
    const double candidate = std::tanh(gate(w, 3 * kHidden + j, x, old.data()));
    c[j] = std::clamp(forget * c[j] + input * candidate, -clip, clip);
    const double output = sigmoid(gate(w, 2 * kHidden + j, x, old.data()) + peephole(2) * c[j]);
    h[j] = output * std::tanh(c[j]);
  }
}

void gru_step(const Weights& w, const double* x, double* h, bool resets_after) {
  const Reals old(h, h + kHidden);
  Reals reset(static_cast<std::size_t>(kHidden));
  Reals reset_h = old;
  for (std::int64_t j = 0; j < kHidden; ++j) {
    reset[static_cast<std::size_t>(j)] = sigmoid(gate(w, j, x, old.data()));
    reset_h[static_cast<std::size_t>(j)] *= reset[static_cast<std::size_t>(j)];
  }
  for (std::int64_t j = 0; j < kHidden; ++j) {
    const std::int64_t row = kHidden + j;
    const double from_x = row_sum(w.ih, row, x, kFeatures);
    const double bias = w.bias[static_cast<std::size_t>(row)];
    const double sum = resets_after ? from_x + reset[static_cast<std::size_t>(j)] *
                                                   (row_sum(w.hh, row, old.data(), kHidden) + bias)
                                    : from_x + row_sum(w.hh, row, reset_h.data(), kHidden) + bias;
    const double update = sigmoid(gate(w, 2 * kHidden + j, x, old.data()));
    h[j] = (1 - update) * std::tanh(sum) + update * h[j];
  }
}

Array array_of(Shape shape, const Reals& values) {
  Array array(DType::fp32, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) {
    array.set(static_cast<std::int64_t>(i), values[i]);
  }
  return array;
}

std::string weights_text(const Weights& w, std::int64_t gates, std::string_view suffix,
                         bool with_peephole) {
  std::string text = fmt::format("bias{0} = {1}, weight_hh{0} = {2}, weight_ih{0} = {3}", suffix,
                                 tensor_text("fp32", {gates * kHidden}, w.bias),
                                 tensor_text("fp32", {gates * kHidden, kHidden}, w.hh),
                                 tensor_text("fp32", {gates * kHidden, kFeatures}, w.ih));
  if (with_peephole) {
    text +=
        fmt::format(", peephole{} = {}", suffix, tensor_text("fp32", {3 * kHidden}, w.peephole));
  }
  return text;
}

Reals reals(const Array& array) {
  Reals values;
  for (std::int64_t i = 0; i < array.size(); ++i) values.push_back(array.real(i));
  return values;
}

double greatest_difference(const Reals& a, const Reals& b) {
  if (a.size() != b.size()) return HUGE_VAL;
  double greatest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (!(difference <= greatest)) greatest = difference;
  }
  return greatest;
}

/// Runs a program for 1, 2 and 4 threads, which must agree, and in fast mode, which must be near.
std::vector<Reals> run_all(const std::string& text, const std::vector<NamedArray>& inputs) {
  std::vector<Reals> results;
  for (const int threads : {1, 2, 4}) {
    const TextRun run = run_text(text, inputs, {.threads = threads});
    REQUIRE(run.errors == "");
    std::vector<Reals> now;
    for (const NamedArray& output : run.outputs) now.push_back(reals(output.array));
    if (results.empty()) results = now;
    CHECK(results == now);
  }
  const TextRun fast = run_text(text, inputs, {.mode = NumericMode::fast});
  REQUIRE(fast.errors == "");
  for (std::size_t i = 0; i < results.size(); ++i) {
    CHECK(greatest_difference(results[i], reals(fast.outputs[i].array)) < 1e-5);
  }
  return results;
}

std::string lstm_text(std::string_view direction, const std::string& weights, std::int64_t width) {
  return program_text(
      fmt::format("tensor<fp32, [{0}, {1}, {2}]> x, tensor<fp32, [{1}, {3}]> h0, tensor<fp32, "
                  "[{1}, {3}]> c0",
                  kSteps, kBatch, kFeatures, width),
      fmt::format("            tensor<fp32, [{0}, {1}, {2}]> y, tensor<fp32, [{1}, {2}]> h, "
                  "tensor<fp32, [{1}, {2}]> c = lstm(activation = string(\"tanh\"), "
                  "cell_activation = string(\"TANH\"), clip = fp32(0.5), direction = "
                  "string(\"{3}\"), initial_c = c0, initial_h = h0, output_sequence = bool(true), "
                  "recurrent_activation = string(\"sigmoid\"), x = x, {4})[name = string(\"y\")];",
                  kSteps, kBatch, width, direction, weights),
      "y, h, c");
}

std::size_t place(std::int64_t a, std::int64_t b, std::int64_t b_size, std::int64_t c,
                  std::int64_t c_size) {
  return static_cast<std::size_t>((a * b_size + b) * c_size + c);
}

}  // namespace

TEST_CASE("lstm over many steps, in each direction") {
  const Reals x = some_values(kSteps * kBatch * kFeatures, 1);
  const Weights there = some_weights(4, 10);
  const Weights back = some_weights(4, 20);
  for (const std::string_view direction : {"forward", "reverse", "bidirectional"}) {
    CAPTURE(std::string(direction));
    const bool both = direction == "bidirectional";
    const std::int64_t width = both ? 2 * kHidden : kHidden;
    const Reals h0 = some_values(kBatch * width, 2);
    const Reals c0 = some_values(kBatch * width, 3);
    std::string weights = weights_text(there, 4, "", true);
    if (both) weights += ", " + weights_text(back, 4, "_back", true);
    const std::vector<Reals> results = run_all(lstm_text(direction, weights, width),
                                               {{"x", array_of({kSteps, kBatch, kFeatures}, x)},
                                                {"h0", array_of({kBatch, width}, h0)},
                                                {"c0", array_of({kBatch, width}, c0)}});
    Reals y(static_cast<std::size_t>(kSteps * kBatch * width));
    Reals h = h0;
    Reals c = c0;
    for (std::int64_t column = 0; column < width; column += kHidden) {
      const bool is_reversed = direction == "reverse" || column != 0;
      for (std::int64_t step = 0; step < kSteps; ++step) {
        const std::int64_t at = is_reversed ? kSteps - 1 - step : step;
        for (std::int64_t b = 0; b < kBatch; ++b) {
          double* state = h.data() + b * width + column;
          lstm_step(column == 0 ? there : back, x.data() + place(at, b, kBatch, 0, kFeatures),
                    state, c.data() + b * width + column, 0.5);
          std::copy_n(state, kHidden,
                      y.begin() + static_cast<std::ptrdiff_t>(
                                      place(both ? at : step, b, kBatch, column, width)));
        }
      }
    }
    CHECK(greatest_difference(results[0], y) < 1e-5);
    CHECK(greatest_difference(results[1], h) < 1e-5);
    CHECK(greatest_difference(results[2], c) < 1e-5);
  }
}

TEST_CASE("gru over many steps, reset before and after the product") {
  const Reals x = some_values(kSteps * kBatch * kFeatures, 1);
  const Reals h0 = some_values(kBatch * kHidden, 2);
  const Weights weights = some_weights(3, 10);
  for (const bool resets_after : {false, true}) {
    CAPTURE(resets_after);
    const std::string text = program_text(
        fmt::format("tensor<fp32, [{0}, {1}, {2}]> x, tensor<fp32, [{1}, {3}]> h0", kSteps, kBatch,
                    kFeatures, kHidden),
        fmt::format(
            "            tensor<fp32, [1, {0}, {1}]> y, tensor<fp32, [{0}, {1}]> h = "
            "gru(activation = string(\"tanh\"), direction = string(\"reverse\"), initial_h = h0, "
            "output_sequence = bool(false), recurrent_activation = string(\"sigmoid\"), "
            "reset_after = bool({2}), x = x, {3})[name = string(\"y\")];",
            kBatch, kHidden, resets_after, weights_text(weights, 3, "", false)),
        "y, h");
    const std::vector<Reals> results = run_all(
        text,
        {{"x", array_of({kSteps, kBatch, kFeatures}, x)}, {"h0", array_of({kBatch, kHidden}, h0)}});
    Reals h = h0;
    for (std::int64_t at = kSteps - 1; at >= 0; --at) {
      for (std::int64_t b = 0; b < kBatch; ++b) {
        gru_step(weights, x.data() + place(at, b, kBatch, 0, kFeatures), h.data() + b * kHidden,
                 resets_after);
      }
    }
    CHECK(greatest_difference(results[0], h) < 1e-5);
    CHECK(results[1] == results[0]);
  }
}

TEST_CASE("a recurrent layer without steps or without batch gives its initial state") {
  const auto run = [](std::int64_t steps, std::int64_t batch, bool is_sequence) {
    const Shape state{batch, 2};
    const Shape shape{steps, batch, 1};
    Array h0(DType::fp16, state);
    for (std::int64_t i = 0; i < h0.size(); ++i) h0.set(i, 0.5 + static_cast<double>(i));
    return run_text(
        program_text(fmt::format("tensor<fp16, {}> x, tensor<fp16, {}> h0", to_string(shape),
                                 to_string(state)),
                     fmt::format("            tensor<fp16, [{0}, {1}, 2]> y, tensor<fp16, [{1}, "
                                 "2]> h = rnn(activation = string(\"relu\"), direction = "
                                 "string(\"forward\"), initial_h = h0, output_sequence = bool({2}),"
                                 " weight_hh = tensor<fp16, [2, 2]>([[1.0, 2.0], [3.0, 4.0]]), "
                                 "weight_ih = tensor<fp16, [2, 1]>([[1.0], [1.0]]), x = x)[name = "
                                 "string(\"y\")];",
                                 is_sequence ? steps : 1, batch, is_sequence),
                     "y, h"),
        {{"x", Array(DType::fp16, shape)}, {"h0", h0}});
  };
  const TextRun none = run(0, 2, false);
  REQUIRE(none.errors == "");
  CHECK(reals(none.outputs[0].array) == Reals{0.5, 1.5, 2.5, 3.5});
  CHECK(reals(none.outputs[1].array) == Reals{0.5, 1.5, 2.5, 3.5});
  CHECK(run(0, 2, true).errors == "");
  CHECK(run(3, 0, true).errors == "");
}
