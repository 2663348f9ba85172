// The three ways of weights to the engine: the lowered programs are sound, say what the plan says,
// and give the numbers of the program with constants.
#include "milgen/weight_modes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "milgen/backend.h"
#include "milgen/control_flow.h"
#include "milgen/kernels/stories.h"
#include "milgen/milgen.h"
#include "milgen/module.h"
#include "milgen/ops.h"
#include "milgen/verify.h"
#include "milgen/weight_inputs.h"
#include "milgen/weights.h"

using namespace milgen;

namespace {

constexpr StoriesConfig kSmall{.dim = 16, .hidden = 40, .heads = 2, .seq = 8};

using Build = void (*)(Kernel&, const StoriesConfig&);
struct Story {
  const char* name;
  Build build;
  bool packs;  // a weight whose rows match the channels of the input
};
constexpr Story kStories[] = {
    {"sdpa_fwd_taps", sdpa_fwd_taps, true},
    {"ffn_fwd_taps", ffn_fwd_taps, true},
    {"ffn_bwd", ffn_bwd, false},
    {"sdpa_bwd1", sdpa_bwd1, false},
    {"sdpa_bwd2", sdpa_bwd2, false},
    {"qkv_bwd", qkv_bwd, false},
};

std::string text_of(const Diagnostics& diagnostics) {
  return render(diagnostics, {.source_lines = false, .source_root = ""});
}

Program finished(Kernel& kernel) {
  Program program = kernel.finish();
  REQUIRE_MESSAGE(program, text_of(kernel.diagnostics()));
  return program;
}

/// How often an op stands in the text.
std::size_t count(const Program& program, std::string_view op) {
  const std::string text = print_mil(program);
  const std::string call = " = " + std::string(op) + "(";
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(call, at)) != std::string::npos; ++at) ++found;
  return found;
}

/// "x:[1, 4, 1, 8] w:[1, 2, 4]"
std::string inputs_of(const Program& program) {
  std::string out;
  for (const PortInfo& input : program.inputs()) {
    out += (out.empty() ? "" : " ") + input.name + ":" + to_string(input.shape);
  }
  return out;
}

/// Verifies, prints and parses, and runs with seeded weights and inputs.
std::vector<NamedArray> run(const Program& program, NumericMode mode = NumericMode::exact) {
  Diagnostics diagnostics;
  const std::string text = print_mil(program);
  const Module module = parse_mil(text, diagnostics);
  REQUIRE_MESSAGE(module, text_of(diagnostics));
  CHECK_MESSAGE(verify_mil(module, {}, diagnostics), text_of(diagnostics));
  CHECK(print_mil(module) == text);

  const auto source = seeded_weights(7);
  std::vector<NamedArray> activations;
  WeightInputs weights;
  REQUIRE(weights.open(weight_plan(program), diagnostics));
  REQUIRE(weights.load(*source, diagnostics));
  for (const PlannedInput& input : weights.plan().inputs) {
    for (const PlannedPart& part : input.parts) {
      if (part.is_weight) continue;
      Array array(part.dtype, part.shape);
      fill_seeded(array, part.name, 3);
      activations.push_back({part.name, array});
    }
  }
  std::vector<NamedArray> inputs;
  REQUIRE_MESSAGE(weights.bind(activations, inputs, diagnostics), text_of(diagnostics));
  const auto executable =
      cpu_backend().compile(program, *source, {.mode = mode, .threads = 1}, diagnostics);
  REQUIRE_MESSAGE(executable, text_of(diagnostics));
  std::vector<NamedArray> outputs;
  const bool ran = executable->run(inputs, outputs, diagnostics);
  REQUIRE_MESSAGE(ran, text_of(diagnostics));
  return outputs;
}

void check_same_bits(const std::vector<NamedArray>& a, const std::vector<NamedArray>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].name == b[i].name);
    REQUIRE(a[i].array.bytes().size() == b[i].array.bytes().size());
    CHECK(std::ranges::equal(a[i].array.bytes(), b[i].array.bytes()));
  }
}

/// As far apart as `tolerance`, against the largest value of the output.
void check_close(const std::vector<NamedArray>& a, const std::vector<NamedArray>& b,
                 double tolerance) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    double largest = 0;
    double furthest = 0;
    for (std::int64_t e = 0; e < a[i].array.size(); ++e) {
      largest = std::max(largest, std::abs(a[i].array.real(e)));
      furthest = std::max(furthest, std::abs(a[i].array.real(e) - b[i].array.real(e)));
    }
    CHECK(furthest <= tolerance * largest);
  }
}

Program lowered(const Program& program, const WeightModes& modes, std::string_view report = "") {
  Diagnostics diagnostics;
  Program out = with_weights_as(program, modes, diagnostics);
  std::string ids;
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    ids += (ids.empty() ? "" : " ") + diagnostic.id;
  }
  CHECK_MESSAGE(ids == report, text_of(diagnostics));
  return out;
}

/// All modes of a program give the bits of the one with constants.
void check_modes(const Program& program, bool exact = true) {
  const std::vector<NamedArray> expected = run(program);
  for (const WeightsAs as : {WeightsAs::param, WeightsAs::packed}) {
    CAPTURE(weights_as_name(as));
    Diagnostics diagnostics;
    const Program other = with_weights_as(program, {.all = as}, diagnostics);
    REQUIRE(other);
    CHECK(!diagnostics.has_errors());
    if (exact) {
      check_same_bits(expected, run(other));
    } else {
      check_close(expected, run(other), 2e-3);
    }
    check_close(expected, run(other, NumericMode::fast), 1e-2);
    CHECK(print_mil(with_weights_as(other, {}, diagnostics)) == print_mil(program));
  }
}

Program projections(DType input_dtype = DType::fp16, std::int64_t out = 6) {
  Kernel k("projections");
  Tensor<fp16> x = input_dtype == DType::fp32 ? cast<fp16>(k.input<fp32>("x", {1, 4, 1, 8}))
                                              : k.input<fp16>("x", {1, 4, 1, 8});
  const auto wide = conv(x, k.weight<fp16>("up", {out, 4, 1, 1})).named("wide");
  k.output("y", conv(relu(wide), k.weight<fp16>("down", {4, out, 1, 1})));
  return finished(k);
}

/// A random kernel of projections, gains and what stands between them; weights are used again and
/// again, in branches, too.
class RandomKernel {
 public:
  explicit RandomKernel(std::uint32_t seed) : random_(seed), k_("random") {}

  Program make() {
    const auto which = squeeze(k_.input<bool>("flag", {1}));
    const std::size_t inputs = 1 + below(3);
    for (std::size_t i = 0; i < inputs; ++i) {
      const std::string name = "x" + std::to_string(i);
      const Shape shape = {1, channels(), 1, kPositions};
      values_.push_back(below(3) == 0 ? cast<fp16>(k_.input<fp32>(name, shape))
                                      : k_.input<fp16>(name, shape));
    }
    for (int op = 0; op < 10; ++op) {
      const Tensor<fp16> x = any();
      const std::int64_t c = x.dim(1);
      const auto branch = [&] { return step(x, c); };
      values_.push_back(below(5) != 0 ? step(x, channels()) : cond(which, branch, branch));
    }
    k_.output("y", values_.back());
    k_.output("z", any());
    return finished(k_);
  }

 private:
  static constexpr std::int64_t kPositions = 3;

  std::size_t below(std::size_t n) { return random_() % n; }
  std::int64_t channels() { return 2 + static_cast<std::int64_t>(below(3)); }
  Tensor<fp16> any() { return values_[below(values_.size())]; }
  /// One of two of each shape, so that many are shared.
  Tensor<fp16> weight(const Shape& shape) {
    std::string name = below(2) == 0 ? "w" : "v";
    for (const std::int64_t dim : shape) name += "_" + std::to_string(dim);
    return k_.weight<fp16>(name, shape);
  }
  Tensor<fp16> step(Tensor<fp16> x, std::int64_t out) {
    const std::int64_t c = x.dim(1);
    const Shape shape = {1, out, 1, kPositions};
    switch (below(7)) {
      case 0:
      case 1:
        return conv(x, weight({out, c, 1, 1}));
      case 2:
        return conv(relu(x), weight({out, c, 1, 1}) * weight({out, c, 1, 1}));
      case 3:
        return reshape(matmul(weight({1, out, c}), reshape(x, {1, c, kPositions})), shape);
      case 4:
        return reshape(
            matmul(weight({c, out}), reshape(x, {1, c, kPositions}), {.transpose_x = true}), shape);
      case 5: {
        const auto rows = reshape(transpose(x, {0, 3, 2, 1}), {kPositions, c});
        return reshape(transpose(linear(rows, weight({out, c})), {1, 0}), shape);
      }
      default:
        return conv(x * weight({1, c, 1, 1}), weight({out, c, 1, 1}) + weight({out, 1, 1, 1}));
    }
  }

  std::mt19937 random_;
  Kernel k_;
  std::vector<Tensor<fp16>> values_;
};

}  // namespace

TEST_CASE("names of modes and layouts") {
  for (const WeightsAs as : {WeightsAs::constant, WeightsAs::param, WeightsAs::packed}) {
    WeightsAs read = WeightsAs::constant;
    CHECK(weights_as_from_name(weights_as_name(as), read));
    CHECK(read == as);
  }
  WeightsAs as = WeightsAs::packed;
  CHECK(!weights_as_from_name("constant", as));
  CHECK(as == WeightsAs::packed);
  CHECK(part_layout_name(PartLayout::transposed) == "transposed");
}

TEST_CASE("the six kernels give the same bits in every mode") {
  for (const Story& story : kStories) {
    CAPTURE(std::string(story.name));
    Kernel k(story.name);
    story.build(k, kSmall);
    const Program program = finished(k);
    check_modes(program);
    Diagnostics diagnostics;
    const Program param = with_weights_as(program, {.all = WeightsAs::param}, diagnostics);
    const Program packed = with_weights_as(program, {.all = WeightsAs::packed}, diagnostics);
    CHECK(weight_plan(packed).has_weights() == story.packs);
    // Outputs are what they were, and nothing but the kernel's own constants stands in files.
    REQUIRE(param.outputs().size() == 1);
    CHECK(param.outputs()[0].shape == program.outputs()[0].shape);
    CHECK(count(param, "conv") == 0);
    for (const WeightInfo& weight : param.weights()) CHECK(weight.own_values);
    const std::vector<PortInfo> inputs = param.inputs();
    CHECK(std::ranges::is_sorted(inputs, {}, &PortInfo::name));
    MESSAGE(std::string(story.name) << ": " << program.op_count() << " ops, param "
                                    << param.op_count() << ", packed " << packed.op_count());
  }
}

TEST_CASE("projections of one activation share its reshape") {
  Kernel k("ffn");
  ffn_fwd_taps(k, kSmall);
  const Program program = finished(k);
  const Program param = lowered(program, {.all = WeightsAs::param});
  CHECK(inputs_of(param) ==
        "rms2:[1, 16, 1, 1] w1:[1, 40, 16] w2:[1, 16, 40] w3:[1, 40, 16] x:[1, 16, 1, 8]");
  CHECK(count(param, "matmul") == 3);
  CHECK(count(param, "reshape") == 5);  // xn, gate, and one behind each product
  CHECK(count(param, "transpose") == 0);
  CHECK(count(param, "slice_by_size") == 0);
  // The name that the author gave stays with the value.
  CHECK(print_mil(param).find("tensor<fp16, [1, 40, 1, 8]> h1 = reshape(") != std::string::npos);

  const Program packed = lowered(program, {.all = WeightsAs::packed});
  CHECK(inputs_of(packed) == "x:[1, 16, 1, 128]");
  CHECK(count(packed, "slice_by_size") == 4);
  CHECK(plan_text(weight_plan(packed)) ==
        "# milgen weight plan 1\n"
        "input\tdtype\tshape\tpart\tkind\tdtype\tshape\tlayout\tfirst column\tcolumns\n"
        "x\tfp16\t[1, 16, 1, 128]\tx\tactivation\tfp16\t[1, 16, 1, 8]\tcolumns\t0\t8\n"
        "x\tfp16\t[1, 16, 1, 128]\tw1\tweight\tfp16\t[40, 16, 1, 1]\ttransposed\t8\t40\n"
        "x\tfp16\t[1, 16, 1, 128]\tw3\tweight\tfp16\t[40, 16, 1, 1]\ttransposed\t48\t40\n"
        "x\tfp16\t[1, 16, 1, 128]\tw2\tweight\tfp16\t[16, 40, 1, 1]\tcolumns\t88\t40\n");
  CHECK(weight_plan(packed).widest_packed() == 128);
  CHECK(weight_plan(param).widest_packed() == 0);
  CHECK(weight_plan(param).has_weights());
  CHECK(!weight_plan(program).has_weights());
  CHECK(weight_plan(program).inputs.size() == 1);
  CHECK(weight_plan(Program()).inputs.empty());
}

TEST_CASE("a product that goes straight into the next is reshaped once") {
  Kernel k("chain");
  auto x = k.input<fp16>("x", {1, 4, 1, 8});
  const auto a = conv(x, k.weight<fp16>("a", {5, 4, 1, 1}));
  k.output("y", conv(a, k.weight<fp16>("b", {3, 5, 1, 1})));
  const Program program = finished(k);
  check_modes(program);
  CHECK(count(lowered(program, {.all = WeightsAs::param}), "reshape") == 2);
}

TEST_CASE("fp32 inputs take fp16 weights and cast them") {
  const Program program = projections(DType::fp32);
  check_modes(program);
  const Program packed = lowered(program, {.all = WeightsAs::packed});
  CHECK(inputs_of(packed) == "x:[1, 4, 1, 20]");
  CHECK(weight_plan(packed).inputs[0].dtype == DType::fp32);
  CHECK(weight_plan(packed).inputs[0].parts[1].dtype == DType::fp16);
  CHECK(count(packed, "cast") == 3);
}

TEST_CASE("a weight is chosen by name") {
  const Program program = projections();
  const Program mixed =
      lowered(program, {.choices = {{"down", WeightsAs::param}, {"up", WeightsAs::packed}}});
  CHECK(inputs_of(mixed) == "down:[1, 4, 6] x:[1, 4, 1, 14]");
  check_same_bits(run(program), run(mixed));
  const Program one =
      lowered(program, {.all = WeightsAs::param, .choices = {{"down", WeightsAs::constant}}});
  CHECK(inputs_of(one) == "up:[1, 6, 4] x:[1, 4, 1, 8]");
  CHECK(count(one, "conv") == 1);
  check_same_bits(run(program), run(one));
  // From its own definition again, not from what it has become.
  const Program again = lowered(mixed, {.choices = {{"up", WeightsAs::param}}});
  CHECK(inputs_of(again) == "up:[1, 6, 4] x:[1, 4, 1, 8]");
  CHECK(&lowered(mixed, {}).data() == &program.data());
}

TEST_CASE("choices that are not possible") {
  const Program program = projections();
  Diagnostics diagnostics;
  const auto refuse = [&](const WeightModes& modes, std::string_view id, std::string_view message) {
    diagnostics.clear();
    CHECK(!with_weights_as(program, modes, diagnostics));
    REQUIRE(diagnostics.all().size() == 1);
    CHECK(diagnostics.all()[0].id == id);
    CHECK(diagnostics.all()[0].message == message);
  };
  refuse({.choices = {{"sideways", WeightsAs::param}}}, "weights.unknown",
         "weight 'sideways' is to be param, but no output needs a weight of that name");
  refuse({.choices = {{"up", WeightsAs::param}, {"up", WeightsAs::packed}}}, "weights.choice",
         "weight 'up' is to be param and packed");
  diagnostics.clear();
  CHECK(!with_weights_as(Program(), {.all = WeightsAs::param}, diagnostics));
  CHECK(diagnostics.empty());

  Kernel k("gain");
  auto x = k.input<fp16>("x", {1, 4, 1, 8});
  const auto y = x * k.weight<fp16>("gain", {1, 4, 1, 1});
  const auto z =
      conv(slice_by_size(y, {0, 0, 0, 0}, {1, 3, 1, 8}), k.weight<fp16>("w", {5, 3, 1, 1}));
  k.output("z", z);
  const Program gains = finished(k);
  CHECK(!with_weights_as(gains, {.choices = {{"gain", WeightsAs::packed}}}, diagnostics));
  CHECK(diagnostics.all().back().message ==
        "weight 'gain' cannot be packed: it is no matrix of a projection or of a matmul");
  CHECK(!with_weights_as(gains, {.choices = {{"w", WeightsAs::packed}}}, diagnostics));
  CHECK(diagnostics.all().back().message ==
        "weight 'w' cannot be packed: no input [1, C, 1, S] for fp16 has a C of 3 or 5");
  // Nothing that can be packed: the program as it is.
  const Program same = lowered(gains, {.all = WeightsAs::packed}, "weights.constant");
  CHECK(&same.data() == &gains.data());
  check_modes(gains);
}

TEST_CASE("a bias is added behind the product") {
  Kernel k("biased");
  auto x = k.input<fp32>("x", {1, 4, 1, 8});
  const auto y = conv(x, k.weight<fp32>("w", {6, 4, 1, 1}), {.bias = k.weight<fp32>("b", {6})});
  k.output("y", y);
  const Program program = finished(k);
  check_modes(program);  // fp32: the sum is not rounded before the bias is added
  const Program param = lowered(program, {.all = WeightsAs::param});
  CHECK(inputs_of(param) == "b:[1, 6, 1, 1] w:[1, 6, 4] x:[1, 4, 1, 8]");
  const Program bias_alone = lowered(program, {.choices = {{"b", WeightsAs::param}}});
  CHECK(inputs_of(bias_alone) == "b:[1, 6, 1, 1] x:[1, 4, 1, 8]");
  CHECK(count(bias_alone, "conv") == 1);  // its weight is as constant as before
  CHECK(count(bias_alone, "matmul") == 0);
  check_same_bits(run(program), run(bias_alone));
  const Program weight_alone = lowered(program, {.choices = {{"w", WeightsAs::param}}});
  check_same_bits(run(program), run(weight_alone));
}

TEST_CASE("linear, matmul and convs of other ranks") {
  Kernel k("linears");
  auto x = k.input<fp16>("x", {1, 4, 1, 8});
  const auto rows = reshape(transpose(x, {0, 3, 2, 1}), {8, 4});
  const auto a = linear(rows, k.weight<fp16>("a", {5, 4}));
  const auto b = linear(rows, k.weight<fp16>("b", {5, 4}), {.bias = k.weight<fp16>("c", {5})});
  const auto columns = reshape(x, {1, 4, 8});
  const auto d = matmul(k.weight<fp16>("d", {1, 5, 4}), columns);
  const auto e = matmul(columns, k.weight<fp16>("e", {4, 6}), {.transpose_x = true});
  const auto f = conv(columns, k.weight<fp16>("f", {3, 4, 1}));
  const auto g = conv(reshape(x, {2, 2, 2, 4}), k.weight<fp16>("g", {3, 2, 1, 1}));
  k.output("y1", a + b);
  k.output("y2", d);
  k.output("y3", e);
  k.output("y4", f);
  k.output("y5", g);
  const Program program = finished(k);
  check_modes(program, false);
  const Program param = lowered(program, {.all = WeightsAs::param});
  CHECK(inputs_of(param) ==
        "a:[5, 4] b:[5, 4] c:[5] d:[1, 5, 4] e:[4, 6] f:[1, 3, 4] g:[1, 3, 2] x:[1, 4, 1, 8]");
  CHECK(count(param, "linear") == 0);
  CHECK(count(param, "conv") == 0);
  CHECK(count(param, "matmul") == 6);
  const Program packed = lowered(program, {.all = WeightsAs::packed}, "weights.constant");
  CHECK(weight_plan(packed).inputs[0].parts.size() == 6);
  // e's rows are channels: it stands in its columns as it is.
  CHECK(weight_plan(packed).inputs[0].parts[4].layout == PartLayout::columns);
  CHECK(weight_plan(packed).inputs[0].parts[4].name == "e");
}

TEST_CASE("tied weights and weights with two kinds of use") {
  Kernel k("tied");
  auto x = k.input<fp16>("x", {1, 4, 1, 8});
  auto z = k.input<fp16>("z", {1, 4, 1, 8});
  const auto w = k.weight<fp16>("w", {6, 4, 1, 1});
  const auto v = k.weight<fp16>("v", {4, 6, 1, 1});
  k.output("a", conv(x, w) + conv(z, w));
  k.output("b", reduce_sum(w * w, {.axes = {1}, .keep_dims = true}) * 2.0);
  k.output("c", conv(conv(x, w), v));
  k.output("d", v + v);
  const Program program = finished(k);
  check_modes(program);
  CHECK(inputs_of(lowered(program, {.all = WeightsAs::param})) ==
        "v:[4, 6, 1, 1] w:[6, 4, 1, 1] x:[1, 4, 1, 8] z:[1, 4, 1, 8]");
  // The first declared input that fits, and declared order.
  CHECK(inputs_of(lowered(program, {.all = WeightsAs::packed})) ==
        "x:[1, 4, 1, 20] z:[1, 4, 1, 8]");
}

TEST_CASE("a conv and a matmul that read one weight in two ways") {
  // [6, 4, 1, 1]: one matrix of the conv, 24 of the matmul.
  Kernel batched("batched");
  auto x = batched.input<fp16>("x", {1, 4, 1, 8});
  const auto w = batched.weight<fp16>("w", {6, 4, 1, 1});
  batched.output("a", conv(x, w));
  batched.output("b", matmul(batched.constant<fp16>("two", {1, 1, 1, 1}, {2.0}), w));
  const Program first = finished(batched);
  check_modes(first);
  CHECK(inputs_of(lowered(first, {.all = WeightsAs::packed})) == "x:[1, 4, 1, 14]");

  // [1, 5, 1]: 5 rows of the matmul, 5 columns of the conv behind it.
  Kernel turned("turned");
  auto one = turned.input<fp16>("x", {1, 1, 1, 8});
  auto five = turned.input<fp16>("y", {1, 5, 8});
  const auto v = turned.weight<fp16>("v", {1, 5, 1});
  turned.output("a", matmul(turned.constant<fp16>("row", {1, 1, 5}, {2.0, 1.0, 3.0, 4.0, 5.0}), v));
  turned.output("b", conv(five, v));
  turned.output("c", one * one);
  const Program second = finished(turned);
  check_modes(second);
  CHECK(inputs_of(lowered(second, {.all = WeightsAs::packed})) == "x:[1, 1, 1, 13] y:[1, 5, 8]");
}

TEST_CASE("weights that are computed with before they reach a conv") {
  Kernel k("computed");
  auto x = k.input<fp16>("x", {1, 4, 1, 8});
  const auto scaled = k.weight<fp16>("w", {6, 4, 1, 1}) * k.weight<fp16>("s", {6, 1, 1, 1});
  const auto turned = transpose(k.weight<fp16>("t", {4, 6, 1, 1}), {1, 0, 2, 3});
  const auto window = relu(k.weight<fp16>("u", {4, 4, 1, 3}));
  k.output("y", conv(x, scaled) + conv(x, turned));
  k.output("z", conv(x, window, {.pad_type = "same"}));
  const Program program = finished(k);
  check_modes(program);
  const Program param = lowered(program, {.all = WeightsAs::param}, "weights.constant");
  CHECK(inputs_of(param) == "s:[6, 1, 1, 1] t:[4, 6, 1, 1] w:[6, 4, 1, 1] x:[1, 4, 1, 8]");
  CHECK(count(param, "conv") == 1);
}

TEST_CASE("what an op wants to be constant stays so") {
  Kernel k("fixed");
  auto x = k.input<fp16>("x", {1, 4, 1, 8});
  const auto w = k.weight<fp16>("window", {4, 4, 1, 3});
  const auto a = conv(x, w, {.bias = k.weight<fp16>("bias", {4}), .pad_type = "same"});
  const auto g = conv(a, k.weight<fp16>("grouped", {4, 2, 1, 1}), {.groups = 2});
  const auto n =
      layer_norm(g, {.axes = {1}, .gamma = k.weight<fp16>("gamma", {4}), .epsilon = 1e-5});
  const auto s = n * k.weight<fp16>("scalar", {});
  const auto t = conv_transpose(s, k.weight<fp16>("turned", {4, 2, 1, 1}));
  k.output("y", conv(t, k.weight<fp16>("strided", {2, 2, 1, 1}), {.strides = {1, 2}}));
  const Program program = finished(k);
  Diagnostics diagnostics;
  const Program param = with_weights_as(program, {.all = WeightsAs::param}, diagnostics);
  CHECK(&param.data() == &program.data());
  std::string messages;
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    CHECK(diagnostic.severity == Severity::warning);
    messages += diagnostic.message + "\n";
  }
  CHECK(messages ==
        "weight 'window' stays a constant: it is used by a conv with a window of [1, 3]\n"
        "weight 'bias' stays a constant: it is used by a conv with a window of [1, 3]\n"
        "weight 'grouped' stays a constant: it is used by a conv with groups\n"
        "weight 'gamma' stays a constant: layer_norm has gamma known when the program is "
        "compiled\n"
        "weight 'scalar' stays a constant: it is a scalar, and some loaders take no input of rank "
        "0\n"
        "weight 'turned' stays a constant: it is used by a conv_transpose\n"
        "weight 'strided' stays a constant: it is used by a conv with strides\n");
  REQUIRE(diagnostics.all()[0].notes.size() == 1);
  CHECK(diagnostics.all()[0].notes[0].message == "it is used here");
  diagnostics.clear();
  CHECK(!with_weights_as(program, {.choices = {{"window", WeightsAs::param}}}, diagnostics));
  CHECK(diagnostics.all()[0].id == "weights.choice");
  CHECK(diagnostics.all()[0].message ==
        "weight 'window' cannot be param: it is used by a conv with a window of [1, 3]");
}

TEST_CASE("weights in nested blocks") {
  Kernel k("nested");
  auto x = k.input<fp16>("x", {1, 4, 1, 8});
  auto flag = k.input<bool>("flag", {1});
  const auto w = k.weight<fp16>("w", {4, 4, 1, 1});
  const auto g = k.weight<fp16>("g", {1, 4, 1, 1});
  const auto which = squeeze(flag);
  const auto chosen = cond(
      which, [&] { return conv(x, w); },
      [&] {
        return cond(
            logical_not(which), [&] { return conv(x * g, w); }, [&] { return x; });
      });
  const auto plain = cond(
      which, [&] { return g; }, [&] { return g + g; });
  k.output("y", chosen + conv(x, w));
  k.output("z", plain);
  const Program program = finished(k);
  check_modes(program);
  const Program param = lowered(program, {.all = WeightsAs::param});
  // Reshapes that a branch made are not known outside of it.
  CHECK(count(param, "matmul") == 3);
}

TEST_CASE("states are inputs as well") {
  Kernel k("stateful");
  auto state = k.state<fp16>("memory", {1, 4, 1, 8});
  auto x = k.input<fp16>("x", {1, 4, 1, 8});
  const auto w = k.weight<fp16>("a", {4, 4, 1, 1});
  const auto now = read_state(state) + conv(x, w);
  k.output("y", coreml_update_state(state, now));
  const Program program = finished(k);
  const Program param = lowered(program, {.all = WeightsAs::param});
  CHECK(inputs_of(param) == "a:[1, 4, 4] memory:[1, 4, 1, 8] x:[1, 4, 1, 8]");
  CHECK(param.inputs()[1].is_state);
  CHECK(weight_plan(param).inputs.size() == 2);
  check_modes(program);

  // The last op of a program may have no result.
  Kernel writes("writes");
  auto kept = writes.state<fp16>("kept", {1, 4, 1, 8});
  const auto made =
      conv(writes.input<fp16>("x", {1, 4, 1, 8}), writes.weight<fp16>("w", {4, 4, 1, 1}));
  writes.output("y", made);
  write_state(kept, made);
  check_modes(finished(writes));
}

TEST_CASE("random kernels give the same bits in every mode") {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    check_modes(RandomKernel(seed).make());
  }
}

TEST_CASE("wide inputs are warned of") {
  const Program program = projections(DType::fp16, 16'000);
  Diagnostics diagnostics;
  const Program packed = with_weights_as(program, {.all = WeightsAs::packed}, diagnostics);
  REQUIRE(packed);
  REQUIRE(diagnostics.all().size() == 1);
  CHECK(diagnostics.all()[0].id == "weights.width");
  CHECK(diagnostics.all()[0].message ==
        "input 'x' has 32008 columns with its weights, and some chips take no more than 16384");
  CHECK(weight_plan(packed).widest_packed() == 32008);
}

TEST_CASE("a kernel is finished with its weights as inputs") {
  Kernel k("direct");
  auto x = k.input<fp16>("x", {1, 4, 1, 8});
  k.output("y", conv(x, k.weight<fp16>("w", {4, 4, 1, 1})));
  const Program program = k.finish({.all = WeightsAs::param});
  REQUIRE(program);
  CHECK(inputs_of(program) == "w:[1, 4, 4] x:[1, 4, 1, 8]");
  Kernel wrong("wrong");
  auto z = wrong.input<fp16>("x", {1, 4, 1, 8});
  wrong.output("y", conv(z, wrong.weight<fp16>("w", {4, 4, 1, 1})));
  CHECK(!wrong.finish({.choices = {{"v", WeightsAs::param}}}));
  CHECK(wrong.diagnostics().all()[0].id == "weights.unknown");
}

TEST_CASE("a plan is read back as it was written") {
  for (const WeightsAs as : {WeightsAs::constant, WeightsAs::param, WeightsAs::packed}) {
    Kernel k("sdpa");
    sdpa_fwd_taps(k, kSmall);
    Diagnostics diagnostics;
    const Program program = with_weights_as(finished(k), {.all = as}, diagnostics);
    const std::string text = plan_text(weight_plan(program));
    WeightPlan plan;
    CHECK_MESSAGE(read_plan(text, "sdpa.plan", plan, diagnostics), text_of(diagnostics));
    CHECK(plan_text(plan) == text);
    CHECK(plan.has_weights() == (as != WeightsAs::constant));
  }
}

TEST_CASE("what is wrong with the text of a plan") {
  const std::string head =
      "# milgen weight plan 1\n"
      "input\tdtype\tshape\tpart\tkind\tdtype\tshape\tlayout\tfirst column\tcolumns\n";
  const std::string x =
      "x\tfp16\t[1, 4, 1, 12]\tx\tactivation\tfp16\t[1, 4, 1, 8]\tcolumns\t0\t8\n";
  const std::string w = "x\tfp16\t[1, 4, 1, 12]\tw\tweight\tfp16\t[4, 4, 1, 1]\ttransposed\t8\t4\n";
  const auto message = [&](const std::string& text) {
    Diagnostics diagnostics;
    WeightPlan plan;
    if (read_plan(text, "a.plan", plan, diagnostics)) return std::string("none");
    CHECK(plan.inputs.empty());
    REQUIRE(diagnostics.all().size() == 1);
    CHECK(diagnostics.all()[0].id == "plan.format");
    CHECK(diagnostics.all()[0].place.file == "a.plan");
    return std::to_string(diagnostics.all()[0].place.line) + ": " + diagnostics.all()[0].message;
  };
  const auto changed = [&](const std::string& line, const std::string& from,
                           const std::string& to) {
    std::string out = line;
    REQUIRE(out.find(from) != std::string::npos);
    out.replace(out.find(from), from.size(), to);
    return out;
  };
  CHECK(message(head + x + w) == "none");
  CHECK(message("") == "1: the text ends where '# milgen weight plan 1' belongs");
  CHECK(message("# milgen weight plan 2\n") ==
        "1: the line is '# milgen weight plan 2' but has to be '# milgen weight plan 1'");
  CHECK(message(head + "x\tfp16\n") == "3: the row has 2 cells and not 10");
  CHECK(message(head + changed(x, "x\t", "x y\t")) == "3: 'x y' is no name of input");
  CHECK(message(head + changed(x, "fp16", "fp17")) == "3: 'fp17' is no dtype of an input");
  CHECK(message(head + changed(x, "[1, 4, 1, 12]", "[1, 4, 1, 12")) ==
        "3: '[1, 4, 1, 12' is no shape");
  CHECK(message(head + changed(x, "[1, 4, 1, 12]", "[1, 4, 1, 012]")) ==
        "3: '[1, 4, 1, 012]' is no shape");
  CHECK(message(head + changed(x, "[1, 4, 1, 12]", "[1, 1, 1, 1, 1, 1]")) ==
        "3: '[1, 1, 1, 1, 1, 1]' is no shape");
  CHECK(message(head + changed(x, "[1, 4, 1, 12]", "[1, 4, 1, 0]")) ==
        "3: [1, 4, 1, 0] is no shape of an input: it has no elements");
  CHECK(message(head + changed(x, "[1, 4, 1, 12]", "[1, 4, 1, 4611686018427387904]")) ==
        "3: [1, 4, 1, 4611686018427387904] is no shape of an input: it has more bytes than 63 bits "
        "count");
  CHECK(message(head + changed(x, "activation", "gain")) ==
        "3: 'gain' is neither activation nor weight");
  CHECK(message(head + changed(x, "columns", "rows")) == "3: 'rows' is no layout");
  CHECK(message(head + changed(x, "\t8\n", "\t-8\n")) == "3: '0' and '-8' are no columns");
  CHECK(message(head + changed(x, "columns", "whole")) ==
        "3: part 'x' is whole and shares input 'x' or has columns");
  CHECK(message(head + x) == "3: input 'x' has 12 columns and its parts 8");
  CHECK(message(head + x + changed(w, "\t8\t", "\t7\t")) ==
        "4: part 'w' has 4 columns from 7 on, and input 'x' has 4 left from 8 on");
  CHECK(message(head + x + changed(w, "8\t4\n", "8\t5\n")) ==
        "4: part 'w' has 5 columns from 8 on, and input 'x' has 4 left from 8 on");
  CHECK(message(head + x + changed(w, "[4, 4, 1, 1]", "[5, 4, 1, 1]")) ==
        "4: part 'w' is fp16 [5, 4, 1, 1] and does not fill 4 columns of input 'x', fp16 "
        "[1, 4, 1, 12]");
  const std::string wide = "x\tfp16\t[1, 4, 1, 13]\t";
  CHECK(message(head + wide + "x\tactivation\tfp16\t[1, 4, 1, 8]\tcolumns\t0\t8\n" + wide +
                "w\tweight\tfp16\t[5, 4, 1, 1]\tcolumns\t8\t5\n") ==
        "4: part 'w' is [5, 4, 1, 1], whose layout 'columns' in 4 channels it contradicts");
  CHECK(message(head + x + changed(w, "\tw\t", "\tx\t")) == "4: part 'x' stands twice");
  CHECK(message(head + x + changed(w, "[1, 4, 1, 12]", "[1, 4, 1, 13]")) ==
        "4: input 'x' is fp16 [1, 4, 1, 13] and, a row before, fp16 [1, 4, 1, 12]");
  CHECK(message(head + x + w + changed(x, "\tx\t", "\ty\t")) ==
        "5: part 'y' has 8 columns from 0 on, and input 'x' has 0 left from 12 on");
  CHECK(message(head + changed(w, "8\t4\n", "0\t4\n")) ==
        "3: part 'w' of input 'x' is weight [4, 4, 1, 1]: an activation [1, 4, 1, 4] comes first, "
        "then weights");
  CHECK(message(head + "w\tfp16\t[1, 4, 4]\tw\tweight\tfp16\t[4, 5, 1, 1]\twhole\t0\t0\n") ==
        "3: part 'w' is fp16 [4, 5, 1, 1] and the whole of input 'w', fp16 [1, 4, 4]");
  CHECK(message(head + "w\tfp16\t[1, 4, 4]\tw\tweight\tfp16\t[4, 4]\tcolumns\t0\t4\n") ==
        "3: part 'w' is columns of input 'w', which is [1, 4, 4] and not [1, C, 1, W]");
}
