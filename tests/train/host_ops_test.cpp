#include "milgen/train/host_ops.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cpu/simd.h"
#include "milgen/array.h"
#include "milgen/fill.h"
#include "support/hash.h"
#include "support/splitmix.h"

namespace milgen::train {
namespace {

using Json = nlohmann::json;
using Floats = std::vector<float>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Floats seeded(const std::string& name, std::int64_t count, double scale = 1) {
  Array unit(DType::fp64, {count});
  fill_seeded(unit, name, 0);
  Floats values;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(unit.real(i) * scale));
  }
  return values;
}

std::vector<std::int32_t> seeded_tokens(const std::string& name, std::int64_t count,
                                        std::int64_t vocab) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t z = detail::mixed(fnv1a64(name), static_cast<std::uint64_t>(i));
    tokens.push_back(static_cast<std::int32_t>(z % static_cast<std::uint64_t>(vocab)));
  }
  return tokens;
}

std::vector<std::uint32_t> bits_of(std::span<const float> values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

/// Each is within `tolerance` of what is wanted, relative to that or to the largest of all.
template <class Values>
void check_close(const Values& values, const std::vector<double>& wanted, double tolerance) {
  REQUIRE_EQ(values.size(), wanted.size());
  double most = 0;
  for (const double value : wanted) most = std::max(most, std::abs(value));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    CAPTURE(i);
    const double difference = std::abs(static_cast<double>(values[i]) - wanted[i]);
    REQUIRE(difference <= tolerance * most);
  }
}

/// A case of the golden file.
struct Case {
  Json json;

  std::int64_t size(const char* name) const { return json["sizes"][name].get<std::int64_t>(); }
  double number(const char* name) const { return json["sizes"][name].get<double>(); }
  std::string full_name(const std::string& name) const {
    return json["case"].get<std::string>() + "." + name;
  }
  Floats input(const std::string& name, std::int64_t count) const {
    return seeded(full_name(name), count, json["scales"].value(name, 1.0));
  }
  std::vector<std::int32_t> tokens(const std::string& name, std::int64_t count,
                                   std::int64_t vocab) const {
    return seeded_tokens(full_name(name), count, vocab);
  }
  template <class Values>
  void check(const char* output, const Values& values, double tolerance = 1e-6) const {
    CAPTURE(std::string(output));
    check_close(values, json["outputs"][output].get<std::vector<double>>(), tolerance);
  }
};

Case golden_case(const std::string& name) {
  static const std::map<std::string, Json> cases = [] {
    std::map<std::string, Json> read;
    std::ifstream file(MILGEN_SOURCE_DIR "/golden/numeric/train/host_ops.jsonl");
    for (std::string line; std::getline(file, line);) {
      Json json = Json::parse(line);
      read[json["case"].get<std::string>()] = json;
    }
    return read;
  }();
  REQUIRE_MESSAGE(cases.count(name) == 1, name);
  return {cases.at(name)};
}

// --- Against numbers of numpy. ---

TEST_CASE("RMSNorm and its gradients are those of the reference") {
  for (const char* name : {"rmsnorm", "rmsnorm_small"}) {
    CAPTURE(name);
    const Case c = golden_case(name);
    const std::int64_t dim = c.size("dim");
    const std::int64_t seq = c.size("seq");
    const double eps = c.number("eps");
    const Floats x = c.input("x", dim * seq);
    const Floats w = c.input("w", dim);
    const Floats dy = c.input("dy", dim * seq);
    HostOps ops;
    Floats out(x.size());
    ops.rmsnorm(out, x, w, dim, seq, eps);
    c.check("out", out);
    Floats dx(x.size());
    Floats dw = c.input("dw", dim);
    ops.rmsnorm_backward(dx, dw, dy, x, w, dim, seq, eps);
    c.check("dx", dx);
    c.check("dw", dw);

    // In place.
    Floats own = x;
    ops.rmsnorm(own, own, w, dim, seq, eps);
    CHECK_EQ(bits_of(own), bits_of(out));
    own = dy;
    dw = c.input("dw", dim);
    ops.rmsnorm_backward(own, dw, own, x, w, dim, seq, eps);
    CHECK_EQ(bits_of(own), bits_of(dx));
    c.check("dw", dw);
  }
}

TEST_CASE("the gradients through silu are those of the reference") {
  const Case c = golden_case("silu_backward");
  const std::int64_t count = c.size("count");
  const Floats dy = c.input("dy", count);
  const Floats h1 = c.input("h1", count);
  const Floats h3 = c.input("h3", count);
  Floats dh1(dy.size());
  Floats dh3(dy.size());
  HostOps ops;
  ops.silu_backward(dh1, dh3, dy, h1, h3);
  c.check("dh1", dh1);
  c.check("dh3", dh3);
  Floats own = dy;
  ops.silu_backward(own, dh3, own, h1, h3);
  CHECK_EQ(bits_of(own), bits_of(dh1));
  c.check("dh3", dh3);
  Floats of_h1 = h1;
  Floats of_h3 = h3;
  ops.silu_backward(of_h1, of_h3, dy, of_h1, of_h3);
  CHECK_EQ(bits_of(of_h1), bits_of(dh1));
  CHECK_EQ(bits_of(of_h3), bits_of(dh3));
}

TEST_CASE("Adam takes the steps of the reference") {
  for (const char* name : {"adam", "adam_decay"}) {
    CAPTURE(name);
    const Case c = golden_case(name);
    const std::int64_t count = c.size("count");
    Floats w = c.input("w", count);
    AdamState state(w.size());
    AdamOptions options;
    options.lr = static_cast<float>(c.number("lr"));
    options.weight_decay = static_cast<float>(c.number("weight_decay"));
    const auto gradient_scale = static_cast<float>(c.number("gradient_scale"));
    HostOps ops;
    for (std::int64_t t = 1; t <= c.size("steps"); ++t) {
      const Floats g = c.input("g" + std::to_string(t), count);
      ops.adam_update(w, g, state, t, options, gradient_scale);
    }
    c.check("w", w);
    c.check("m", state.m);
    c.check("v", state.v);
  }
}

TEST_CASE("loss and gradient are those of the reference") {
  for (const char* name : {"cross_entropy", "cross_entropy_scaled"}) {
    CAPTURE(name);
    const Case c = golden_case(name);
    const std::int64_t vocab = c.size("vocab");
    const std::int64_t seq = c.size("seq");
    const Floats logits = c.input("logits", vocab * seq);
    const std::vector<std::int32_t> targets = c.tokens("targets", seq, vocab);
    const auto scale = static_cast<float>(c.number("scale"));
    HostOps ops;
    Floats dlogits(logits.size());
    const double loss = ops.cross_entropy_loss(dlogits, logits, targets, vocab, seq, scale);
    c.check("loss", std::vector<double>{loss});
    c.check("dlogits", dlogits);
    Floats own = logits;
    CHECK_EQ(ops.cross_entropy_loss(own, own, targets, vocab, seq, scale), loss);
    CHECK_EQ(bits_of(own), bits_of(dlogits));
  }
}

TEST_CASE("embedding, its gradient, and the tokens that occur are those of the reference") {
  const Case c = golden_case("embedding");
  const std::int64_t vocab = c.size("vocab");
  const std::int64_t dim = c.size("dim");
  const std::int64_t seq = c.size("seq");
  const std::vector<std::int32_t> tokens = c.tokens("tokens", seq, vocab);
  Floats x(static_cast<std::size_t>(dim * seq));
  embed_lookup(x, c.input("embed", vocab * dim), tokens, dim, seq);
  c.check("x", x, 1e-7);
  Floats d_embed = c.input("d_embed", vocab * dim);
  embed_backward(d_embed, c.input("dx", dim * seq), tokens, dim, seq);
  c.check("d_embed", d_embed);
  CompactVocab compact;
  Diagnostics diagnostics;
  REQUIRE(compact_vocab(tokens, vocab, compact, diagnostics));
  c.check("tokens", compact.full, 0);
}

TEST_CASE("the rotary embedding and its transpose are those of the reference") {
  for (const char* name : {"rope", "rope_far"}) {
    CAPTURE(name);
    const Case c = golden_case(name);
    const std::int64_t heads = c.size("heads");
    const std::int64_t head_dim = c.size("head_dim");
    const std::int64_t seq = c.size("seq");
    const RopeTables tables = rope_tables(seq, head_dim, c.number("theta"));
    c.check("cos", tables.cos, 1e-7);
    c.check("sin", tables.sin, 1e-7);
    Floats x = c.input("x", heads * head_dim * seq);
    rope(x, tables, heads, head_dim, seq);
    c.check("rotated", x);
    x = c.input("x", heads * head_dim * seq);
    rope_backward(x, tables, heads, head_dim, seq);
    c.check("back", x);
  }
}

TEST_CASE("key and value heads are repeated and summed as in the reference") {
  const Case c = golden_case("grouped");
  const std::int64_t heads = c.size("heads");
  const std::int64_t kv_heads = c.size("kv_heads");
  const std::int64_t head_dim = c.size("head_dim");
  const std::int64_t seq = c.size("seq");
  const Floats few = c.input("few", kv_heads * head_dim * seq);
  const Floats many = c.input("many", heads * head_dim * seq);
  Floats tiled(many.size());
  gqa_tile(tiled, few, heads, kv_heads, head_dim, seq);
  c.check("tiled", tiled, 1e-7);
  Floats reduced(few.size());
  gqa_reduce(reduced, many, heads, kv_heads, head_dim, seq);
  c.check("reduced", reduced);
}

TEST_CASE("products are those of the reference in both modes") {
  const Case c = golden_case("products");
  const std::int64_t out = c.size("out");
  const std::int64_t inner = c.size("inner");
  const std::int64_t seq = c.size("seq");
  const Floats w = c.input("w", out * inner);
  const Floats dy = c.input("dy", out * seq);
  const Floats x = c.input("x", inner * seq);
  for (const NumericMode mode : {NumericMode::exact, NumericMode::fast}) {
    HostOps ops(mode, 2);
    Floats dw = c.input("dw", out * inner);
    const auto scale = static_cast<float>(c.number("scale"));
    REQUIRE(ops.add_weight_gradient(dw, dy, x, out, inner, seq, scale));
    c.check("dw", dw);
    Floats y(dy.size());
    REQUIRE(ops.multiply(y, w, x, out, seq, inner));
    c.check("y", y);
    Floats dx(x.size());
    REQUIRE(ops.multiply(dx, w, dy, inner, seq, out, true));
    c.check("dx", dx);
  }
}

// --- Properties. ---

double dot(const Floats& a, const Floats& b) {
  REQUIRE_EQ(a.size(), b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

TEST_CASE("RMSNorm's gradients agree with central differences in double") {
  constexpr std::int64_t kDim = 6;
  constexpr std::int64_t kSeq = 4;
  constexpr double kEps = 1e-5;
  const Floats x = seeded("x", kDim * kSeq);
  const Floats w = seeded("w", kDim);
  const Floats dy = seeded("dy", kDim * kSeq);
  // sum of dy * rmsnorm(x, w)
  const auto value = [&](const std::vector<double>& at, const std::vector<double>& gains) {
    double total = 0;
    for (std::int64_t s = 0; s < kSeq; ++s) {
      double squares = 0;
      for (std::int64_t c = 0; c < kDim; ++c) {
        const double element = at[static_cast<std::size_t>(c * kSeq + s)];
        squares += element * element;
      }
      const double rrms = 1 / std::sqrt(squares / kDim + kEps);
      for (std::int64_t c = 0; c < kDim; ++c) {
        const auto i = static_cast<std::size_t>(c * kSeq + s);
        total += static_cast<double>(dy[i]) * at[i] * rrms * gains[static_cast<std::size_t>(c)];
      }
    }
    return total;
  };
  const std::vector<double> x_there(x.begin(), x.end());
  const std::vector<double> w_there(w.begin(), w.end());
  const auto central = [&](bool of_x, std::size_t i) {
    constexpr double kStep = 1e-6;
    std::vector<double> at = x_there;
    std::vector<double> gains = w_there;
    double& moved = of_x ? at[i] : gains[i];
    moved += kStep;
    const double above = value(at, gains);
    moved -= 2 * kStep;
    return (above - value(at, gains)) / (2 * kStep);
  };
  Floats dx(x.size());
  Floats dw(w.size());
  HostOps ops;
  ops.rmsnorm_backward(dx, dw, dy, x, w, kDim, kSeq, kEps);
  for (std::size_t i = 0; i < dx.size(); ++i) {
    CHECK(dx[i] == doctest::Approx(central(true, i)).epsilon(1e-5));
  }
  for (std::size_t i = 0; i < dw.size(); ++i) {
    CHECK(dw[i] == doctest::Approx(central(false, i)).epsilon(1e-5));
  }
}

TEST_CASE("the gradient of each position sums to nothing") {
  constexpr std::int64_t kVocab = 300;
  constexpr std::int64_t kSeq = 7;
  const Floats logits = seeded("logits", kVocab * kSeq, 6);
  const auto targets = seeded_tokens("targets", kSeq, kVocab);
  Floats dlogits(logits.size());
  HostOps ops;
  ops.cross_entropy_loss(dlogits, logits, targets, kVocab, kSeq);
  for (std::int64_t s = 0; s < kSeq; ++s) {
    double sum = 0;
    for (std::int64_t v = 0; v < kVocab; ++v) {
      sum += static_cast<double>(dlogits[static_cast<std::size_t>(v * kSeq + s)]);
    }
    CHECK(std::abs(sum) < 1e-7);
  }
}

TEST_CASE("equal logits have the loss of chance, large ones no overflow") {
  constexpr std::int64_t kVocab = 256;
  HostOps ops;
  Floats logits(kVocab * 2, 0.0f);
  Floats dlogits(logits.size());
  const std::vector<std::int32_t> targets = {3, 255};
  CHECK(ops.cross_entropy_loss(dlogits, logits, targets, kVocab, 2) ==
        doctest::Approx(std::log(256.0)));
  std::fill(logits.begin(), logits.end(), -3e38f);
  logits[3 * 2] = 3e38f;
  logits[255 * 2 + 1] = 3e38f;
  CHECK_EQ(ops.cross_entropy_loss(dlogits, logits, targets, kVocab, 2), 0.0);
  CHECK(std::all_of(dlogits.begin(), dlogits.end(), [](float d) { return d == 0; }));
}

TEST_CASE("logits of -inf are tokens that cannot come") {
  constexpr std::int64_t kVocab = 200;
  HostOps ops;
  Floats logits(kVocab, -kInfinity);
  logits[150] = 1;
  logits[151] = 1;
  Floats dlogits(logits.size());
  const std::vector<std::int32_t> targets = {150};
  CHECK(ops.cross_entropy_loss(dlogits, logits, targets, kVocab, 1) ==
        doctest::Approx(std::log(2.0)));
  CHECK_EQ(dlogits[0], 0.0f);
  CHECK(dlogits[150] == doctest::Approx(-0.5));
  CHECK(dlogits[151] == doctest::Approx(0.5));
}

TEST_CASE("NaN comes through") {
  constexpr std::int64_t kVocab = 130;
  HostOps ops;
  Floats logits = seeded("logits", kVocab * 2);
  logits[71 * 2 + 1] = kNan;
  Floats dlogits(logits.size());
  const std::vector<std::int32_t> targets = {1, 2};
  CHECK(std::isnan(ops.cross_entropy_loss(dlogits, logits, targets, kVocab, 2)));
  CHECK(std::isnan(dlogits[1]));
  CHECK_FALSE(std::isnan(dlogits[0]));

  Floats x = seeded("x", 12);
  x[5] = kNan;
  Floats out(x.size());
  const Floats w(4, 1.0f);
  ops.rmsnorm(out, x, w, 4, 3);
  CHECK(std::isnan(out[2]));
  CHECK_FALSE(std::isnan(out[0]));

  Floats weight = {1, 2};
  AdamState state(2);
  ops.adam_update(weight, Floats{0.5f, kNan}, state, 1, {});
  CHECK_FALSE(std::isnan(weight[0]));
  CHECK(std::isnan(weight[1]));
  CHECK(std::isnan(ops.sum_of_squares(x)));
}

TEST_CASE("rotating back undoes a rotation") {
  const RopeTables tables = rope_tables(9, 8);
  const Floats x = seeded("x", 3 * 8 * 9);
  Floats turned = x;
  rope(turned, tables, 3, 8, 9);
  CHECK(turned != x);
  CHECK(dot(turned, turned) == doctest::Approx(dot(x, x)));
  const Floats y = seeded("y", 3 * 8 * 9);
  Floats back = y;
  rope_backward(back, tables, 3, 8, 9);
  CHECK(dot(turned, y) == doctest::Approx(dot(x, back)));
  rope_backward(turned, tables, 3, 8, 9);
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(std::abs(turned[i] - x[i]) < 1e-6f);
}

TEST_CASE("summing groups of heads is the transpose of repeating them") {
  const Floats few = seeded("few", 2 * 5 * 7);
  const Floats many = seeded("many", 8 * 5 * 7);
  Floats tiled(many.size());
  gqa_tile(tiled, few, 8, 2, 5, 7);
  Floats reduced(few.size());
  gqa_reduce(reduced, many, 8, 2, 5, 7);
  CHECK(dot(tiled, many) == doctest::Approx(dot(few, reduced)));
}

TEST_CASE("the gradient of the embedding is the transpose of looking up") {
  const auto tokens = seeded_tokens("tokens", 21, 6);
  const Floats embed = seeded("embed", 6 * 37);
  const Floats dx = seeded("dx", 37 * 21);
  Floats x(dx.size());
  embed_lookup(x, embed, tokens, 37, 21);
  Floats d_embed(embed.size());
  embed_backward(d_embed, dx, tokens, 37, 21);
  CHECK(dot(x, dx) == doctest::Approx(dot(embed, d_embed)));
}

TEST_CASE("a compact vocabulary and back") {
  const std::vector<std::int32_t> tokens = {7, 2, 7, 9, 0};
  CompactVocab vocab;
  Diagnostics diagnostics;
  REQUIRE(compact_vocab(tokens, 10, vocab, diagnostics));
  CHECK_EQ(vocab.full, std::vector<std::int32_t>{0, 2, 7, 9});
  CHECK_EQ(vocab.compact, std::vector<std::int32_t>{0, -1, 1, -1, -1, -1, -1, 2, -1, 3});
  const Floats full = seeded("full", 10 * 3);
  Floats compact(4 * 3);
  gather_rows(compact, full, vocab, 3);
  Floats back(full.size());
  scatter_rows(back, compact, vocab, 3);
  for (std::size_t i = 0; i < full.size(); ++i) {
    const bool occurs = vocab.compact[i / 3] >= 0;
    CHECK_EQ(back[i], occurs ? full[i] : 0.0f);
  }
  scatter_rows(back, compact, vocab, 3);
  CHECK_EQ(back[7 * 3 + 1], 2 * full[7 * 3 + 1]);

  // The loss over the tokens that occur is that of the whole vocabulary without the others.
  HostOps ops;
  Floats logits(10, -kInfinity);
  Floats few(4);
  for (std::size_t i = 0; i < 4; ++i) {
    logits[static_cast<std::size_t>(vocab.full[i])] = few[i] = static_cast<float>(i);
  }
  const std::vector<std::int32_t> target = {9};
  const std::vector<std::int32_t> compact_target = {vocab.compact[9]};
  const double whole = ops.cross_entropy_loss(logits, logits, target, 10, 1);
  CHECK_EQ(ops.cross_entropy_loss(few, few, compact_target, 4, 1), doctest::Approx(whole));
}

TEST_CASE("tokens outside of the vocabulary are refused") {
  const auto fault = [](std::vector<std::int32_t> tokens) {
    CompactVocab vocab;
    Diagnostics diagnostics;
    CHECK_FALSE(compact_vocab(tokens, 10, vocab, diagnostics));
    REQUIRE_EQ(diagnostics.all().size(), 1u);
    CHECK_EQ(diagnostics.all()[0].id, "model.token");
    return diagnostics.all()[0].message;
  };
  CHECK_EQ(fault({1, 10}), "token 1 is 10, and the vocabulary has 10");
  CHECK_EQ(fault({-1}), "token 0 is -1, and the vocabulary has 10");
}

TEST_CASE("Adam without decay has the bits of the field's loop") {
  constexpr std::size_t kCount = 1003;
  const Floats start = seeded("w", kCount);
  for (const float beta2 : {0.999f, 0.95f}) {
    Floats w = start;
    AdamState state(kCount);
    Floats loop_w = start;
    Floats loop_m(kCount);
    Floats loop_v(kCount);
    AdamOptions options;
    options.beta2 = beta2;
    HostOps ops;
    for (std::int64_t t = 1; t <= 20; ++t) {
      const Floats g = seeded("g" + std::to_string(t), kCount, std::pow(10.0, -t));
      ops.adam_update(w, g, state, t, options);
      const float b1 = options.beta1;
      const float b2 = options.beta2;
      const float bias1 = 1 - std::pow(b1, static_cast<float>(t));
      const float bias2 = 1 - std::pow(b2, static_cast<float>(t));
      for (std::size_t i = 0; i < kCount; ++i) {
        loop_m[i] = b1 * loop_m[i] + (1 - b1) * g[i];
        loop_v[i] = b2 * loop_v[i] + (1 - b2) * g[i] * g[i];
        const float mean = loop_m[i] / bias1;
        const float square = loop_v[i] / bias2;
        loop_w[i] -= options.lr * mean / (std::sqrt(square) + options.eps);
      }
    }
    CHECK_EQ(bits_of(w), bits_of(loop_w));
    CHECK_EQ(bits_of(state.m), bits_of(loop_m));
    CHECK_EQ(bits_of(state.v), bits_of(loop_v));
  }
}

TEST_CASE("sums, scales, and what is not finite") {
  HostOps ops;
  Floats x = seeded("x", 40'001);
  double squares = 0;
  for (const float value : x) squares += static_cast<double>(value) * static_cast<double>(value);
  CHECK(ops.sum_of_squares(x) == doctest::Approx(squares).epsilon(1e-13));
  CHECK_EQ(ops.sum_of_squares({}), 0.0);
  CHECK_EQ(ops.first_nonfinite(x), -1);
  CHECK_EQ(ops.first_nonfinite({}), -1);
  Floats y = x;
  ops.accumulate(y, x, 0.5f);
  CHECK_EQ(y[40'000], x[40'000] + x[40'000] * 0.5f);
  Floats sum(x.size());
  ops.add_scaled(sum, x, y, -2);
  CHECK_EQ(sum[12'345], x[12'345] + y[12'345] * -2.0f);
  ops.scale(sum, 4);
  CHECK_EQ(sum[7], (x[7] + y[7] * -2.0f) * 4);
  x[40'000] = -kInfinity;
  CHECK_EQ(ops.first_nonfinite(x), 40'000);
  x[20'000] = kNan;
  x[20'001] = kInfinity;
  CHECK_EQ(ops.first_nonfinite(x), 20'000);
  x[0] = kNan;
  CHECK_EQ(ops.first_nonfinite(x), 0);
}

TEST_CASE("halves are rounded to nearest, ties to even") {
  HostOps ops;
  Floats floats(40'000, 1.0f);
  floats[0] = 1 + 0x1p-11f;
  floats[1] = 1 + 3 * 0x1p-11f;
  floats[2] = 1e6f;
  floats[39'999] = -0x1p-24f;
  std::vector<std::uint16_t> halves(floats.size());
  ops.to_fp16(halves, floats);
  CHECK_EQ(halves[0], 0x3C00);
  CHECK_EQ(halves[1], 0x3C02);
  CHECK_EQ(halves[2], 0x7C00);
  CHECK_EQ(halves[39'999], 0x8001);
  ops.to_fp32(floats, halves);
  CHECK_EQ(floats[1], 1 + 0x1p-9f);
  CHECK_EQ(floats[39'999], -0x1p-24f);
}

/// The bits of everything that is shared out to threads.
std::vector<std::uint32_t> everything(int threads) {
  constexpr std::int64_t kDim = 97;
  constexpr std::int64_t kSeq = 201;
  constexpr std::int64_t kVocab = 611;
  HostOps ops(NumericMode::exact, threads);
  CHECK_EQ(ops.threads(), threads);
  const Floats x = seeded("x", kDim * kSeq);
  const Floats dy = seeded("dy", kDim * kSeq);
  const Floats w = seeded("w", kDim);
  std::vector<std::uint32_t> bits;
  const auto keep = [&](const Floats& values) {
    const auto more = bits_of(values);
    bits.insert(bits.end(), more.begin(), more.end());
  };
  Floats out(x.size());
  ops.rmsnorm(out, x, w, kDim, kSeq);
  keep(out);
  Floats dw(w.size());
  ops.rmsnorm_backward(out, dw, dy, x, w, kDim, kSeq);
  keep(out);
  keep(dw);
  Floats other(x.size());
  ops.silu_backward(out, other, dy, x, dy);
  keep(out);
  keep(other);
  AdamState state(x.size());
  ops.adam_update(other, x, state, 3, {.weight_decay = 0.1f}, 0.3f);
  keep(other);
  keep(state.v);
  Floats logits = seeded("logits", kVocab * kSeq, 9);
  const double loss = ops.cross_entropy_loss(logits, logits, seeded_tokens("targets", kSeq, kVocab),
                                             kVocab, kSeq, 8);
  keep({static_cast<float>(loss), static_cast<float>(ops.sum_of_squares(logits))});
  keep(logits);
  Floats gradient(300 * kDim);
  const Floats tall = seeded("tall", 300 * kSeq);
  CHECK(ops.add_weight_gradient(gradient, tall, x, 300, kDim, kSeq, 0.25f));
  CHECK(ops.add_weight_gradient(gradient, tall, x, 300, kDim, kSeq));
  keep(gradient);
  Floats product(static_cast<std::size_t>(kDim * kDim));
  CHECK(ops.multiply(product, x, seeded("b", kSeq * kDim), kDim, kDim, kSeq));
  keep(product);
  return bits;
}

TEST_CASE("one to four threads and every vector unit give the same bits") {
  const std::vector<std::uint32_t> one = everything(1);
  for (int threads = 2; threads <= 4; ++threads) {
    CAPTURE(threads);
    CHECK_EQ(everything(threads), one);
  }
  for (const std::string_view level : detail::simd_levels()) {
    CAPTURE(level);
    REQUIRE(detail::limit_simd(level));
    CHECK_EQ(everything(2), one);
  }
  detail::limit_simd({});
}

TEST_CASE("host operations can be moved") {
  HostOps ops(NumericMode::exact, 1);
  HostOps moved = std::move(ops);
  Floats x = {1, 2};
  moved.scale(x, 2);
  CHECK_EQ(x, Floats{2, 4});
  ops = std::move(moved);
  ops.scale(x, 2);
  CHECK_EQ(x, Floats{4, 8});
}

}  // namespace
}  // namespace milgen::train
