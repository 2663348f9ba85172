// The instructions of a tape over one block, in vectors.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/pointwise_block.cpp"
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "cpu/highway.h"
#include "cpu/pointwise_run.h"
#include "cpu/real_math.h"
#include "cpu/vector_math-inl.h"
#include "support/half.h"

HWY_BEFORE_NAMESPACE();
namespace milgen::cpu::HWY_NAMESPACE {

/// Blocks are filled up to a multiple of this many elements, so that loops need no rest.
constexpr std::size_t kPadding = 128;
static_assert(kTapeBlock % kPadding == 0);

/// A register as instructions read it: element i stands at data[i & mask], so that a constant needs
/// no more memory than one vector.
struct Value {
  const float* data;
  std::size_t mask = ~std::size_t{0};
};

/// One instruction with memory in place of slots.
struct Step {
  PointOp op;
  bool to_half;
  Value x;
  Value y;
  Value z;
  float* out;
  std::size_t count;  ///< a multiple of kPadding
  float alpha;
  float beta;
};

HWY_INLINE V32 load(const Value& value, std::size_t i) {
  return hn::LoadU(D32(), value.data + (i & value.mask));
}

// --- Ops of a few instructions, in chains. ---

// What costs most in them is storing what the next one loads. A chain is interpreted once for eight
// vectors, which stay in registers from its first to its last instruction.

HWY_INLINE V32 number(M32 mask) { return hn::IfThenElseZero(mask, splat(1)); }
// Highway's Ne is false of NaN on x86.
HWY_INLINE M32 differ(V32 x, V32 y) { return hn::Not(hn::Eq(x, y)); }
HWY_INLINE M32 truth(V32 x) { return differ(x, splat(0)); }
/// x >= 0 ? x : slope * x
HWY_INLINE V32 leaky(V32 x, V32 slope) {
  return hn::IfThenElse(hn::Ge(x, splat(0)), x, hn::Mul(slope, x));
}

/// The operands of an instruction for one vector.
struct Operands {
  V32 x;
  V32 y;
  V32 alpha;
  V32 beta;
};

template <PointOp kOp>
HWY_INLINE V32 result_of(const Operands& o) {
  using P = PointOp;
  const V32 x = o.x;
  const V32 y = o.y;
  const V32 zero = splat(0);
  const V32 one = splat(1);
  if constexpr (kOp == P::abs) return hn::Abs(x);
  if constexpr (kOp == P::ceil) return round_up(x);
  if constexpr (kOp == P::clamped_relu) return minimum(leaky(x, o.alpha), o.beta);
  if constexpr (kOp == P::clip) return minimum(maximum(x, o.alpha), o.beta);
  if constexpr (kOp == P::floor) return round_down(x);
  if constexpr (kOp == P::inverse) return hn::Div(one, hn::Add(x, o.alpha));
  if constexpr (kOp == P::leaky_relu) return leaky(x, o.alpha);
  if constexpr (kOp == P::linear) return hn::Add(hn::Mul(o.alpha, x), o.beta);
  if constexpr (kOp == P::logical_not) return number(hn::Eq(x, zero));
  if constexpr (kOp == P::negate) return hn::Neg(x);
  if constexpr (kOp == P::relu) return maximum(x, zero);
  if constexpr (kOp == P::relu6) return minimum(maximum(x, zero), splat(6));
  if constexpr (kOp == P::round) return nearest_integer(x);
  if constexpr (kOp == P::rsqrt) return hn::Div(one, hn::Sqrt(hn::Add(x, o.alpha)));
  if constexpr (kOp == P::sigmoid_hard) {
    return minimum(maximum(hn::Add(hn::Mul(o.alpha, x), o.beta), zero), one);
  }
  if constexpr (kOp == P::sign) {
    return hn::IfThenElse(hn::Gt(hn::Abs(x), zero), with_sign_of(one, x), x);
  }
  if constexpr (kOp == P::softsign) return hn::Div(x, hn::Add(hn::Abs(x), one));
  if constexpr (kOp == P::sqrt) return hn::Sqrt(x);
  if constexpr (kOp == P::square) return hn::Mul(x, x);
  if constexpr (kOp == P::threshold) return maximum(x, o.alpha);
  if constexpr (kOp == P::thresholded_relu) return hn::IfThenElseZero(hn::Ge(x, o.alpha), x);
  if constexpr (kOp == P::add) return hn::Add(x, y);
  if constexpr (kOp == P::equal) return number(hn::Eq(x, y));
  if constexpr (kOp == P::greater) return number(hn::Gt(x, y));
  if constexpr (kOp == P::greater_equal) return number(hn::Ge(x, y));
  if constexpr (kOp == P::less) return number(hn::Lt(x, y));
  if constexpr (kOp == P::less_equal) return number(hn::Le(x, y));
  if constexpr (kOp == P::logical_and) return number(hn::And(truth(x), truth(y)));
  if constexpr (kOp == P::logical_or) return number(hn::Or(truth(x), truth(y)));
  if constexpr (kOp == P::logical_xor) return number(hn::Xor(truth(x), truth(y)));
  if constexpr (kOp == P::maximum) return maximum(x, y);
  if constexpr (kOp == P::minimum) return minimum(x, y);
  if constexpr (kOp == P::mul) return hn::Mul(x, y);
  if constexpr (kOp == P::not_equal) return number(differ(x, y));
  if constexpr (kOp == P::prelu) return leaky(x, y);
  if constexpr (kOp == P::real_div) return hn::Div(x, y);
  if constexpr (kOp == P::sub) return hn::Sub(x, y);
}

// The values of a chain: members rather than an array, so that they are kept in registers. One of
// them will do where a vector is one element.
#if HWY_TARGET == HWY_SCALAR
struct Vectors {
  V32 a;
};
constexpr std::size_t kVectors = 1;

template <class F>
HWY_INLINE void each(Vectors& v, const F& f) {
  v.a = f(v.a, 0);
}
#else
struct Vectors {
  V32 a, b, c, d, e, f, g, h;
};
constexpr std::size_t kVectors = 8;

template <class F>
HWY_INLINE void each(Vectors& v, const F& f) {
  v.a = f(v.a, 0);
  v.b = f(v.b, 1);
  v.c = f(v.c, 2);
  v.d = f(v.d, 3);
  v.e = f(v.e, 4);
  v.f = f(v.f, 5);
  v.g = f(v.g, 6);
  v.h = f(v.h, 7);
}
#endif
static_assert(kPadding % (kVectors * kMaxLanes) == 0);

/// Vectors that are `step` elements apart.
struct LoadLink {
  const float* from;
  std::size_t step;
  HWY_INLINE V32 operator()(V32, std::size_t k) const { return hn::LoadU(D32(), from + k * step); }
};
struct StoreLink {
  float* to;
  HWY_INLINE V32 operator()(V32 x, std::size_t k) const {
    hn::Store(x, D32(), to + k * hn::Lanes(D32()));
    return x;
  }
};
template <PointOp kOp>
struct UnaryLink {
  V32 alpha;
  V32 beta;
  HWY_INLINE V32 operator()(V32 x, std::size_t) const {
    return result_of<kOp>({x, x, alpha, beta});
  }
};
template <PointOp kOp>
struct BinaryLink {
  const float* y;
  std::size_t step;
  HWY_INLINE V32 operator()(V32 x, std::size_t k) const {
    return result_of<kOp>({x, hn::LoadU(D32(), y + k * step), splat(0), splat(0)});
  }
};
struct RoundLink {
  HWY_INLINE V32 operator()(V32 x, std::size_t) const { return rounded_to_half(x); }
};

template <PointOp kOp>
HWY_INLINE void unary_link(const Step& link, std::size_t, Vectors& v) {
  each(v, UnaryLink<kOp>{splat(link.alpha), splat(link.beta)});
}
template <PointOp kOp>
HWY_INLINE void binary_link(const Step& link, std::size_t i, Vectors& v) {
  each(v, BinaryLink<kOp>{link.y.data + (i & link.y.mask), hn::Lanes(D32()) & link.y.mask});
}

HWY_INLINE void apply_link(const Step& link, std::size_t i, Vectors& v) {
  using P = PointOp;
  switch (link.op) {
    case P::abs:
      unary_link<P::abs>(link, i, v);
      break;
    case P::ceil:
      unary_link<P::ceil>(link, i, v);
      break;
    case P::clamped_relu:
      unary_link<P::clamped_relu>(link, i, v);
      break;
    case P::clip:
      unary_link<P::clip>(link, i, v);
      break;
    case P::floor:
      unary_link<P::floor>(link, i, v);
      break;
    case P::inverse:
      unary_link<P::inverse>(link, i, v);
      break;
    case P::leaky_relu:
      unary_link<P::leaky_relu>(link, i, v);
      break;
    case P::linear:
      unary_link<P::linear>(link, i, v);
      break;
    case P::logical_not:
      unary_link<P::logical_not>(link, i, v);
      break;
    case P::negate:
      unary_link<P::negate>(link, i, v);
      break;
    case P::relu:
      unary_link<P::relu>(link, i, v);
      break;
    case P::relu6:
      unary_link<P::relu6>(link, i, v);
      break;
    case P::round:
      unary_link<P::round>(link, i, v);
      break;
    case P::rsqrt:
      unary_link<P::rsqrt>(link, i, v);
      break;
    case P::sigmoid_hard:
      unary_link<P::sigmoid_hard>(link, i, v);
      break;
    case P::sign:
      unary_link<P::sign>(link, i, v);
      break;
    case P::softsign:
      unary_link<P::softsign>(link, i, v);
      break;
    case P::sqrt:
      unary_link<P::sqrt>(link, i, v);
      break;
    case P::square:
      unary_link<P::square>(link, i, v);
      break;
    case P::threshold:
      unary_link<P::threshold>(link, i, v);
      break;
    case P::thresholded_relu:
      unary_link<P::thresholded_relu>(link, i, v);
      break;
    case P::add:
      binary_link<P::add>(link, i, v);
      break;
    case P::equal:
      binary_link<P::equal>(link, i, v);
      break;
    case P::greater:
      binary_link<P::greater>(link, i, v);
      break;
    case P::greater_equal:
      binary_link<P::greater_equal>(link, i, v);
      break;
    case P::less:
      binary_link<P::less>(link, i, v);
      break;
    case P::less_equal:
      binary_link<P::less_equal>(link, i, v);
      break;
    case P::logical_and:
      binary_link<P::logical_and>(link, i, v);
      break;
    case P::logical_or:
      binary_link<P::logical_or>(link, i, v);
      break;
    case P::logical_xor:
      binary_link<P::logical_xor>(link, i, v);
      break;
    case P::maximum:
      binary_link<P::maximum>(link, i, v);
      break;
    case P::minimum:
      binary_link<P::minimum>(link, i, v);
      break;
    case P::mul:
      binary_link<P::mul>(link, i, v);
      break;
    case P::not_equal:
      binary_link<P::not_equal>(link, i, v);
      break;
    case P::prelu:
      binary_link<P::prelu>(link, i, v);
      break;
    case P::real_div:
      binary_link<P::real_div>(link, i, v);
      break;
    case P::sub:
      binary_link<P::sub>(link, i, v);
      break;
    default:
      break;
  }
  if (link.to_half) each(v, RoundLink());
}

/// Links of which each but the first goes on with the result of the one before.
void run_chain(const Step* links, std::size_t link_count, std::size_t count, float* out) {
  const std::size_t lanes = hn::Lanes(D32());
  const Value first = links[0].x;
  for (std::size_t i = 0; i < count; i += kVectors * lanes) {
    Vectors v = {};
    each(v, LoadLink{first.data + (i & first.mask), lanes & first.mask});
    for (std::size_t k = 0; k < link_count; ++k) apply_link(links[k], i, v);
    each(v, StoreLink{out + i});
  }
}

// --- Other ops, each in a loop of its own. ---

template <class F>
HWY_INLINE void loop(const Step& step, const F& f) {
  const std::size_t lanes = hn::Lanes(D32());
  // Copies: for all that the compiler knows, what is stored may be the step itself.
  const std::size_t count = step.count;
  float* const out = step.out;
  for (std::size_t i = 0; i < count; i += lanes) hn::Store(f(i), D32(), out + i);
}
void round_to_half(const Step& step) {
  const float* const values = step.out;
  loop(step, [=](std::size_t i) HWY_ATTR { return rounded_to_half(hn::Load(D32(), values + i)); });
}
template <class F>
HWY_INLINE void unary(const Step& step, const F& f) {
  const Value x = step.x;
  loop(step, [=](std::size_t i) HWY_ATTR { return f(load(x, i)); });
}

/// An op that is computed in double, element by element, and rounded from there.
template <class F>
HWY_INLINE void by_doubles(const Step& step, const F& f) {
  for (std::size_t i = 0; i < step.count; ++i) {
    const double result = f(step.x.data[i & step.x.mask], step.y.data[i & step.y.mask]);
    step.out[i] =
        step.to_half ? float_from_half(half_from_double(result)) : static_cast<float>(result);
  }
}

void run_in_double(const Step& step) {
  switch (step.op) {
    case PointOp::acos:
      return by_doubles(step, [](double x, double) { return real_acos(x); });
    case PointOp::asin:
      return by_doubles(step, [](double x, double) { return real_asin(x); });
    case PointOp::atan:
      return by_doubles(step, [](double x, double) { return real_atan(x); });
    case PointOp::atanh:
      return by_doubles(step, [](double x, double) { return real_atanh(x); });
    case PointOp::cos:
      return by_doubles(step, [](double x, double) { return real_cos(x); });
    case PointOp::cosh:
      return by_doubles(step, [](double x, double) { return real_cosh(x); });
    case PointOp::floor_div:
      return by_doubles(step, [](double x, double y) { return std::floor(x / y); });
    case PointOp::mod:
      return by_doubles(step, real_mod);
    case PointOp::sin:
      return by_doubles(step, [](double x, double) { return real_sin(x); });
    case PointOp::sinh:
      return by_doubles(step, [](double x, double) { return real_sinh(x); });
    case PointOp::tan:
      return by_doubles(step, [](double x, double) { return real_tan(x); });
    default:
      return;
  }
}

void run_function(const Step& step) {
  const V32 alpha = splat(step.alpha);
  const V32 beta = splat(step.beta);
  switch (step.op) {
    case PointOp::elu:
      return unary(step, [=](V32 x) HWY_ATTR {
        return hn::IfThenElse(hn::Lt(x, splat(0)), hn::Mul(alpha, expm1_negative(x)), x);
      });
    case PointOp::erf:
      return unary(step, [](V32 x) HWY_ATTR { return erf(x); });
    case PointOp::exp:
      return unary(step, [](V32 x) HWY_ATTR { return exp(x); });
    case PointOp::exp2:
      return unary(step, [](V32 x) HWY_ATTR { return exp2(x); });
    case PointOp::gelu:
      return unary(step, [](V32 x) HWY_ATTR { return gelu(x); });
    case PointOp::gelu_sigmoid:
      return unary(step, [](V32 x) HWY_ATTR { return gelu_sigmoid(x); });
    case PointOp::gelu_tanh:
      return unary(step, [](V32 x) HWY_ATTR { return gelu_tanh(x); });
    case PointOp::log:
      return unary(step, [=](V32 x) HWY_ATTR { return log(hn::Add(x, alpha)); });
    case PointOp::pow: {
      const Value x = step.x;
      const Value y = step.y;
      return loop(step, [=](std::size_t i) HWY_ATTR { return pow(load(x, i), load(y, i)); });
    }
    case PointOp::pow_constant:
      return unary(step, [=](V32 x) HWY_ATTR { return pow(x, alpha); });
    case PointOp::scaled_tanh:
      return unary(step, [=](V32 x) HWY_ATTR { return hn::Mul(alpha, tanh(hn::Mul(beta, x))); });
    case PointOp::sigmoid:
      return unary(step, [](V32 x) HWY_ATTR { return sigmoid(x); });
    case PointOp::silu:
      return unary(step, [](V32 x) HWY_ATTR { return silu(x); });
    case PointOp::softplus:
      return unary(step, [](V32 x) HWY_ATTR { return softplus(x); });
    case PointOp::tanh:
      return unary(step, [](V32 x) HWY_ATTR { return tanh(x); });
    default:
      return;
  }
}

void run_select(const Step& step) {
  const Value x = step.x;
  const Value y = step.y;
  const Value z = step.z;
  loop(step, [=](std::size_t i)
                 HWY_ATTR { return hn::IfThenElse(truth(load(x, i)), load(y, i), load(z, i)); });
}

// --- Inputs and outputs. ---

float element(const std::uint16_t* from) { return float_from_half(*from); }
float element(const float* from) { return *from; }
float element(const std::uint8_t* from) { return *from != 0 ? 1.0f : 0.0f; }

void load_row(const std::uint8_t* from, float* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = element(from + i);
}

void store_row(const float* from, std::uint8_t* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = from[i] != 0 ? 1 : 0;
}

/// Elements `stride` apart.
template <class T>
void load_strided(const T* from, std::int64_t stride, float* to, std::size_t count) {
  if (stride == 1) return load_row(from, to, count);
  if (stride == 0) {
    std::fill_n(to, count, element(from));
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    to[i] = element(from + static_cast<std::int64_t>(i) * stride);
  }
}

/// Elements [first, first + count) of a strided input.
template <class T>
void gather(const RunInput& input, std::int64_t first, float* to, std::size_t count) {
  const std::int64_t stride = input.dims.inner().stride;
  input.dims.each_run(first, static_cast<std::int64_t>(count),
                      [&](std::int64_t at, std::int64_t offset, std::int64_t length) {
                        load_strided(static_cast<const T*>(input.data) + offset, stride, to + at,
                                     static_cast<std::size_t>(length));
                      });
}

template <class T>
void load_input(const RunInput& input, std::int64_t first, float* to, std::size_t count) {
  if (input.kind == InputKind::strided) return gather<T>(input, first, to, count);
  load_row(static_cast<const T*>(input.data) + first, to, count);
}

void load_input(const RunInput& input, std::int64_t first, float* to, std::size_t count) {
  switch (input.dtype) {
    case DType::fp16:
      return load_input<std::uint16_t>(input, first, to, count);
    case DType::fp32:
      return load_input<float>(input, first, to, count);
    default:
      return load_input<std::uint8_t>(input, first, to, count);
  }
}

void store_output(const RunOutput& output, std::int64_t first, const float* from,
                  std::size_t count) {
  switch (output.dtype) {
    case DType::fp16:
      return store_row(from, static_cast<std::uint16_t*>(output.data) + first, count);
    case DType::fp32:
      return store_row(from, static_cast<float*>(output.data) + first, count);
    default:
      return store_row(from, static_cast<std::uint8_t*>(output.data) + first, count);
  }
}

/// Links that are interpreted as one chain; longer ones are cut.
constexpr std::size_t kMaxChain = 16;

constexpr std::size_t kSlots = kMaxLiveRegisters + kMaxTapeConstants;

/// The memory of one thread.
class Blocks {
 public:
  explicit Blocks(const TapeRun& run) : run_(run) {
    for (std::size_t i = 0; i < run.constants.size(); ++i) {
      values_[kMaxLiveRegisters + i] = constant(kMaxLiveRegisters + i, run.constants[i]);
    }
    for (const RunInput& input : run.inputs) {
      if (input.kind != InputKind::constant) continue;
      float value = 0;
      load_input(input, 0, &value, 1);
      constant(input.slot, value);
    }
  }

  void run(std::int64_t first, std::size_t count) {
    const std::size_t padded = (count + kPadding - 1) / kPadding * kPadding;
    for (const RunInput& input : run_.inputs) {
      values_[input.slot] = loaded(input, first, count, padded);
    }
    for (std::size_t i = 0; i < run_.code.size();) {
      const std::size_t steps = execute(i, padded);
      i += steps;
      const std::uint8_t result = run_.code[i - 1].result;
      values_[result] = {memory_[result]};
    }
    for (const RunOutput& output : run_.outputs) {
      store_output(output, first, spread(values_[output.slot], count), count);
    }
  }

 private:
  Value constant(std::size_t slot, float value) {
    std::fill_n(constants_[slot], kMaxLanes, value);
    return {constants_[slot], 0};
  }

  Value loaded(const RunInput& input, std::int64_t first, std::size_t count, std::size_t padded) {
    if (input.kind == InputKind::constant) return {constants_[input.slot], 0};
    if (input.kind == InputKind::in_place && count == padded) {
      return {static_cast<const float*>(input.data) + first};
    }
    float* slot = memory_[input.slot];
    load_input(input, first, slot, count);
    std::fill(slot + count, slot + padded, 0.0f);
    return {slot};
  }

  /// Executes a step, or a chain of them; how many.
  std::size_t execute(std::size_t index, std::size_t padded) {
    Step steps[kMaxChain];
    steps[0] = step_of(run_.code[index], padded);
    switch (point_cost(steps[0].op)) {
      case PointCost::in_double:
        run_in_double(steps[0]);
        return 1;
      case PointCost::vector_function:
        run_function(steps[0]);
        break;
      case PointCost::few_instructions:
        if (steps[0].op != PointOp::select) return execute_chain(index, padded, steps);
        run_select(steps[0]);
    }
    if (steps[0].to_half) round_to_half(steps[0]);
    return 1;
  }

  std::size_t execute_chain(std::size_t index, std::size_t padded, Step* links) {
    std::size_t count = 1;
    while (count < kMaxChain && index + count < run_.code.size() &&
           run_.code[index + count].continues) {
      links[count] = step_of(run_.code[index + count], padded);
      ++count;
    }
    run_chain(links, count, padded, links[count - 1].out);
    return count;
  }

  Step step_of(const TapeStep& step, std::size_t padded) {
    return {.op = step.op,
            .to_half = step.rounding == Rounding::fp16,
            .x = values_[step.operands[0]],
            .y = values_[step.operands[1]],
            .z = values_[step.operands[2]],
            .out = memory_[step.result],
            .count = padded,
            .alpha = step.alpha,
            .beta = step.beta};
  }

  /// A value's elements one after the other, also those of a constant.
  const float* spread(const Value& value, std::size_t count) {
    if (value.mask != 0) return value.data;
    std::fill_n(memory_[kMaxLiveRegisters], count, value.data[0]);
    return memory_[kMaxLiveRegisters];
  }

  const TapeRun& run_;
  Value values_[kSlots] = {};
  alignas(64) float constants_[kSlots][kMaxLanes];
  alignas(64) float memory_[kMaxLiveRegisters + 1][kTapeBlock];
};

void run_blocks_here(const TapeRun& run, std::int64_t first, std::int64_t last) {
  constexpr auto kBlock = static_cast<std::int64_t>(kTapeBlock);
  Blocks blocks(run);
  for (std::int64_t block = first; block < last; ++block) {
    const std::int64_t begin = block * kBlock;
    blocks.run(begin, static_cast<std::size_t>(std::min(kBlock, run.count - begin)));
  }
}

}  // namespace milgen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace milgen::cpu {

HWY_EXPORT(run_blocks_here);

void run_blocks(const TapeRun& run, std::int64_t first, std::int64_t last) {
  HWY_DYNAMIC_DISPATCH(run_blocks_here)(run, first, last);
}

}  // namespace milgen::cpu
#endif
