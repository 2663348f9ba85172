// Elementary functions of fp32 vectors and conversions between fp32 and fp16, for every vector
// width the same bits: no fused multiply-add, no approximate instruction, no instruction whose
// treatment of NaN or signed zero differs between machines where that shows.
//
// Coefficients of polynomials interpolate the function at Chebyshev points and are rounded to fp32.
// pointwise.h states the errors of what is built from these.
//
// Included once per target from within HWY_NAMESPACE files (the guard below toggles).
#if defined(MILGEN_CPU_VECTOR_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MILGEN_CPU_VECTOR_MATH_INL_H_
#undef MILGEN_CPU_VECTOR_MATH_INL_H_
#else
#define MILGEN_CPU_VECTOR_MATH_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu/half-inl.h"
#include "cpu/highway.h"
#include "support/half.h"

HWY_BEFORE_NAMESPACE();
namespace milgen::cpu::HWY_NAMESPACE {

namespace hn = ::hwy::HWY_NAMESPACE;

using D32 = hn::ScalableTag<float>;
using V32 = hn::Vec<D32>;
using U32 = hn::Vec<hn::RebindToUnsigned<D32>>;
using M32 = hn::Mask<D32>;
using DU32 = hn::RebindToUnsigned<D32>;
using DI32 = hn::RebindToSigned<D32>;
using D16 = hn::Rebind<hwy::float16_t, D32>;

/// Memory that vector code works on is padded to a multiple of this many elements: no target has
/// wider vectors.
inline constexpr std::size_t kMaxLanes = 16;

HWY_INLINE V32 splat(float value) { return hn::Set(D32(), value); }
HWY_INLINE V32 splat_bits(std::uint32_t bits) { return hn::BitCast(D32(), hn::Set(DU32(), bits)); }
HWY_INLINE U32 bits_of(V32 x) { return hn::BitCast(DU32(), x); }
HWY_INLINE V32 from_bits(U32 bits) { return hn::BitCast(D32(), bits); }

// --- Selection, the same for NaN and zeros on every machine. ---

HWY_INLINE M32 is_nan(V32 x) { return hn::IsNaN(x); }
HWY_INLINE V32 sign_of(V32 x) { return hn::And(x, splat_bits(0x80000000u)); }
HWY_INLINE V32 with_sign_of(V32 magnitude, V32 sign) { return hn::Or(magnitude, sign_of(sign)); }
/// x above y, else y; NaN if either is.
HWY_INLINE V32 maximum(V32 x, V32 y) {
  return hn::IfThenElse(hn::Or(hn::Gt(x, y), is_nan(x)), x, y);
}
HWY_INLINE V32 minimum(V32 x, V32 y) {
  return hn::IfThenElse(hn::Or(hn::Lt(x, y), is_nan(x)), x, y);
}
/// x held between two constants; NaN stays.
HWY_INLINE V32 held_between(V32 x, float low, float high) {
  x = hn::IfThenElse(hn::Lt(x, splat(low)), splat(low), x);
  return hn::IfThenElse(hn::Gt(x, splat(high)), splat(high), x);
}
HWY_INLINE V32 one_nan(V32 x) { return hn::IfThenElse(is_nan(x), splat_bits(0x7FC00000u), x); }

// --- Integers. ---

/// The nearest integer, ties to even; zero has the sign of x.
HWY_INLINE V32 nearest_integer(V32 x) {
  const V32 magnitude = hn::Abs(x);
  const V32 big = splat(0x1p23f);
  const V32 rounded = with_sign_of(hn::Sub(hn::Add(magnitude, big), big), x);
  return hn::IfThenElse(hn::Lt(magnitude, big), rounded, x);
}
HWY_INLINE V32 round_down(V32 x) {
  const V32 nearest = nearest_integer(x);
  const V32 lower = hn::IfThenElse(hn::Gt(nearest, x), hn::Sub(nearest, splat(1)), nearest);
  return with_sign_of(hn::Abs(lower), x);
}
HWY_INLINE V32 round_up(V32 x) { return hn::Neg(round_down(hn::Neg(x))); }

// --- fp16. ---

/// The nearest fp16 as the fp32 number that it is.
HWY_INLINE V32 rounded_to_half(V32 x) {
#if MILGEN_HALF_BY_INTEGERS
  // Adding and taking away a number whose last place is that of a half rounds there: 1.5 * 2^13
  // times x's power of two, or times that of the smallest normal half.
  const V32 power = hn::And(x, splat_bits(0x7F800000u));
  const V32 least = splat(0x1p-14f);
  const V32 bias = hn::Mul(hn::IfThenElse(hn::Lt(power, least), least, power), splat(12288.0f));
  const V32 rounded = with_sign_of(hn::Sub(hn::Add(x, bias), bias), x);
  const auto infinite = hn::Ge(hn::Abs(x), splat(65520.0f));
  const V32 infinity = with_sign_of(splat_bits(0x7F800000u), x);
  return hn::IfThenElse(infinite, infinity, rounded);
#else
  return hn::PromoteTo(D32(), hn::DemoteTo(D16(), x));
#endif
}

/// `count` fp16 or fp32 elements to fp32.
HWY_INLINE void load_row(const std::uint16_t* from, float* to, std::size_t count) {
  const std::size_t lanes = hn::Lanes(D32());
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(detail::HWY_NAMESPACE::load_halves(D32(), from + i), D32(), to + i);
  for (; i < count; ++i) to[i] = float_from_half(from[i]);
}
HWY_INLINE void load_row(const float* from, float* to, std::size_t count) {
  std::memcpy(to, from, count * sizeof(float));
}

/// `count` fp32 to fp16 or fp32, NaNs as the one of pointwise.h.
HWY_INLINE void store_row(const float* from, std::uint16_t* to, std::size_t count) {
  const std::size_t lanes = hn::Lanes(D32());
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes)
    detail::HWY_NAMESPACE::store_halves(one_nan(hn::LoadU(D32(), from + i)), D32(), to + i);
  for (; i < count; ++i) {
    to[i] = from[i] != from[i] ? std::uint16_t{0x7E00} : half_from_float(from[i]);
  }
}
HWY_INLINE void store_row(const float* from, float* to, std::size_t count) {
  const std::size_t lanes = hn::Lanes(D32());
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(one_nan(hn::LoadU(D32(), from + i)), D32(), to + i);
  }
  for (; i < count; ++i) {
    to[i] = from[i] != from[i] ? std::bit_cast<float>(0x7FC00000u) : from[i];
  }
}

// --- Polynomials. ---

HWY_INLINE V32 horner(V32, float last) { return splat(last); }
/// first + x * (second + x * ...).
template <class... Floats>
HWY_INLINE V32 horner(V32 x, float first, Floats... rest) {
  return hn::Add(hn::Mul(horner(x, rest...), x), splat(first));
}

// --- exp and what is made of it. ---

/// exp(x) before scaling: exp(x) = (1 + p) * 2^n, with p = exp(r) - 1 for |r| <= ln(2) / 2.
struct Exponential {
  V32 p;
  hn::Vec<DI32> n;
};

/// (e^r - 1) for |r| <= ln(2) / 2.
HWY_INLINE V32 expm1_reduced(V32 r) {
  const V32 q = horner(r, 0.5f, 0x1.555556p-3f, 0x1.5554e8p-5f, 0x1.1110ep-7f, 0x1.6d434ep-10f,
                       0x1.a12516p-13f);
  return hn::Add(r, hn::Mul(hn::Mul(r, r), q));
}

/// 2^n by halves, so that the range of n is twice that of exponents, times x.
HWY_INLINE V32 scaled(V32 x, hn::Vec<DI32> n) {
  const DI32 di;
  const auto first = hn::ShiftRight<1>(n);
  const auto second = hn::Sub(n, first);
  const auto power = [&](hn::Vec<DI32> exponent) HWY_ATTR {
    return hn::BitCast(D32(), hn::ShiftLeft<23>(hn::Add(exponent, hn::Set(di, 127))));
  };
  return hn::Mul(hn::Mul(x, power(first)), power(second));
}

/// The nearest integer of x in [-2^21, 2^21], as fp32 and as an integer: at 1.5 * 2^23 the last
/// place is 1, and the low bits of the sum are the integer.
struct Nearest {
  V32 value;
  hn::Vec<DI32> integer;
};
HWY_INLINE Nearest nearest(V32 x) {
  const DI32 di;
  const V32 magic = splat(12582912.0f);
  const V32 sum = hn::Add(x, magic);
  return {hn::Sub(sum, magic), hn::Sub(hn::BitCast(di, sum), hn::Set(di, 0x4B400000))};
}

/// exp(x + low), |low| far below |x| or below 2^-10. Beyond [-111, 89] x is taken for the limit,
/// where exp is 0 and infinity in fp32.
HWY_INLINE Exponential exponential(V32 x, V32 low) {
  x = held_between(x, -111.0f, 89.0f);
  const Nearest n = nearest(hn::Mul(x, splat(0x1.715476p+0f)));
  // ln(2) in two parts (Cody and Waite): the first has 10 bits, so that its product is exact.
  V32 r = hn::Sub(x, hn::Mul(n.value, splat(0x1.628p-1f)));
  r = hn::Sub(r, hn::Mul(n.value, splat(0x1.90bfbep-11f)));
  return {expm1_reduced(hn::Add(r, low)), n.integer};
}
HWY_INLINE Exponential exponential(V32 x) { return exponential(x, splat(0)); }

HWY_INLINE V32 exp(V32 x) {
  const Exponential e = exponential(x);
  return scaled(hn::Add(splat(1), e.p), e.n);
}

HWY_INLINE V32 exp2(V32 x) {
  x = held_between(x, -160.0f, 129.0f);
  const Nearest n = nearest(x);
  const V32 r = hn::Mul(hn::Sub(x, n.value), splat(0x1.62e43p-1f));
  return scaled(hn::Add(splat(1), expm1_reduced(r)), n.integer);
}

/// exp(x) - 1, for x <= 0.
HWY_INLINE V32 expm1_negative(V32 x) {
  const Exponential e = exponential(x);
  const V32 power = scaled(splat(1), e.n);
  return hn::Add(hn::Mul(power, e.p), hn::Sub(power, splat(1)));
}

/// x / (1 + exp(-(y + y_low))) where y >= 0 and x * exp(y) / (1 + exp(y)) elsewhere, so that
/// nothing overflows or vanishes early.
HWY_INLINE V32 times_sigmoid(V32 x, V32 y, V32 y_low) {
  const M32 negative = hn::Lt(y, splat(0));
  const V32 flipped_low = hn::IfThenElse(negative, y_low, hn::Neg(y_low));
  const Exponential e = exponential(hn::Neg(hn::Abs(y)), flipped_low);
  const V32 grown = hn::Add(splat(1), e.p);
  const V32 below = hn::Add(splat(1), scaled(grown, e.n));
  const V32 above = hn::Mul(x, hn::IfThenElse(negative, grown, splat(1)));
  const auto n = hn::IfThenElseZero(hn::RebindMask(DI32(), negative), e.n);
  return scaled(hn::Div(above, below), n);
}

HWY_INLINE V32 sigmoid(V32 x) { return times_sigmoid(splat(1), x, splat(0)); }

/// x * sigmoid(y + y_low), for a y that has x's sign and is at least as far from 0 below -128. That
/// of -inf is NaN, as of the product that it is.
HWY_INLINE V32 gated(V32 x, V32 y, V32 y_low) {
  // Further below the result is 0; x must not make up for the limit that exp has.
  const V32 least = splat(-128.0f);
  const V32 value = times_sigmoid(hn::IfThenElse(hn::Lt(x, least), least, x), y, y_low);
  return hn::IfThenElse(hn::Eq(x, splat_bits(0xFF800000u)), splat_bits(0x7FC00000u), value);
}

HWY_INLINE V32 silu(V32 x) { return gated(x, x, splat(0)); }

HWY_INLINE V32 tanh(V32 x) {
  const V32 size = hn::Abs(x);
  const V32 z = hn::Mul(size, size);
  const V32 q = horner(z, -0x1.555556p-2f, 0x1.1110e4p-3f, -0x1.ba0718p-5f, 0x1.648e8ep-6f,
                       -0x1.10bbf4p-7f, 0x1.2977d8p-9f);
  const V32 small = hn::Add(size, hn::Mul(hn::Mul(size, z), q));
  const V32 grown = exp(hn::Add(size, size));
  const V32 large = hn::Sub(splat(1), hn::Div(splat(2), hn::Add(grown, splat(1))));
  return with_sign_of(hn::IfThenElse(hn::Lt(size, splat(0.625f)), small, large), x);
}

// --- log. ---

/// log(1 + f), f in [-0.2929, 0.4143], in two parts to be added to something: f itself and the
/// rest.
HWY_INLINE V32 log_rest(V32 f) {
  const V32 z = hn::Mul(f, f);
  const V32 q =
      horner(f, 0x1.555554p-2f, -0x1.fffffcp-3f, 0x1.999d5cp-3f, -0x1.555b44p-3f, 0x1.23d1f8p-3f,
             -0x1.fcf5b6p-4f, 0x1.dea674p-4f, -0x1.d63002p-4f, 0x1.1d7b2ap-4f);
  return hn::Sub(hn::Mul(hn::Mul(f, z), q), hn::Mul(splat(0.5f), z));
}

HWY_INLINE V32 log(V32 x) {
  const DI32 di;
  const M32 subnormal = hn::Lt(x, splat(0x1p-126f));
  const V32 normal = hn::IfThenElse(subnormal, hn::Mul(x, splat(0x1p24f)), x);
  // The exponent that leaves a fraction in [sqrt(1/2), sqrt(2)): 0x3F3504F3 is sqrt(1/2).
  const auto bits = hn::BitCast(di, normal);
  const auto exponent = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, 0x3F3504F3)));
  const V32 m = hn::BitCast(D32(), hn::Sub(bits, hn::ShiftLeft<23>(exponent)));
  const V32 f = hn::Sub(m, splat(1));
  const V32 e = hn::Sub(hn::ConvertTo(D32(), exponent), hn::IfThenElseZero(subnormal, splat(24)));
  const V32 low = hn::Add(hn::Mul(e, splat(0x1.90bfbep-11f)), log_rest(f));
  V32 result = hn::Add(hn::Mul(e, splat(0x1.628p-1f)), hn::Add(f, low));
  const V32 infinity = splat_bits(0x7F800000u);
  result = hn::IfThenElse(hn::Lt(x, infinity), result, x);  // +inf and NaN
  result = hn::IfThenElse(hn::Eq(x, splat(0)), hn::Neg(infinity), result);
  return hn::IfThenElse(hn::Lt(x, splat(0)), splat_bits(0x7FC00000u), result);
}

/// log(1 + e^x).
HWY_INLINE V32 softplus(V32 x) {
  const V32 grown = exp(hn::Neg(hn::Abs(x)));
  // log(1 + g), g in [0, 1]: from g, or from half of 1 + g.
  const M32 large = hn::Gt(grown, splat(0.4142f));
  const V32 f = hn::IfThenElse(large, hn::Mul(hn::Sub(grown, splat(1)), splat(0.5f)), grown);
  const V32 base = hn::IfThenElseZero(large, splat(0x1.62e43p-1f));
  const V32 log = hn::Add(base, hn::Add(f, log_rest(f)));
  return hn::Add(hn::IfThenElse(hn::Le(x, splat(0)), splat(0), x), log);
}

// --- erf. ---

/// exp(x^2) erfc(x) for x in [0, 10.2]; the substitution of Shepherd and Laframboise (1981), as in
/// real_math.
HWY_INLINE V32 erfc_scaled(V32 x) {
  const V32 t = hn::Div(hn::Sub(x, splat(4)), hn::Add(x, splat(4)));
  const V32 q = horner(t, 0x1.3ba592p+0f, -0x1.1df1bp-3f, 0x1.f7f5eep-7f, 0x1.16eddep-4f,
                       -0x1.9dda66p-4f, 0x1.7fe006p-4f, -0x1.0fc726p-4f, 0x1.31040cp-5f,
                       -0x1.0680e6p-6f, 0x1.490b7ep-8f, -0x1.30c232p-10f, -0x1.551f6ep-11f);
  return hn::Div(q, hn::Add(splat(1), hn::Add(x, x)));
}

/// erf(x) for |x| <= 1.
HWY_INLINE V32 erf_near_zero(V32 x) {
  const V32 q = horner(hn::Mul(x, x), 0x1.06eba8p-3f, -0x1.81273ep-2f, 0x1.ce2d1p-4f,
                       -0x1.b7fabap-6f, 0x1.541270p-8f, -0x1.a45088p-11f, 0x1.4a569p-14f);
  return hn::Add(x, hn::Mul(x, q));
}

HWY_INLINE V32 erf(V32 x) {
  const V32 size = hn::Abs(x);
  // From 4 on it is 1 in fp32.
  const V32 held = held_between(size, 0.0f, 4.0f);
  const V32 tail = hn::Mul(exp(hn::Neg(hn::Mul(held, held))), erfc_scaled(held));
  const V32 large = with_sign_of(hn::Sub(splat(1), tail), x);
  return hn::IfThenElse(hn::Lt(size, splat(1)), erf_near_zero(x), large);
}

// --- What needs more than fp32 inside. ---

#if HWY_TARGET == HWY_SCALAR
using D64 = hn::Rebind<double, D32>;
#else
using D64 = hn::Repartition<double, D32>;
#endif
using V64 = hn::Vec<D64>;
using DI64 = hn::RebindToSigned<D64>;

HWY_INLINE V64 splat64(double value) { return hn::Set(D64(), value); }

/// As many doubles as a vector has of fp32. A vector of one fp32 has no halves: it is there twice.
struct Doubles {
  V64 lower;
  V64 upper;
};
HWY_INLINE Doubles widened(V32 x) {
#if HWY_TARGET == HWY_SCALAR
  const V64 wide = hn::PromoteTo(D64(), x);
  return {wide, wide};
#else
  const hn::Half<D32> half;
  return {hn::PromoteTo(D64(), hn::LowerHalf(half, x)),
          hn::PromoteTo(D64(), hn::UpperHalf(half, x))};
#endif
}
HWY_INLINE V32 narrowed(const Doubles& x) {
#if HWY_TARGET == HWY_SCALAR
  return hn::DemoteTo(D32(), x.lower);
#else
  const hn::Half<D32> half;
  return hn::Combine(D32(), hn::DemoteTo(half, x.upper), hn::DemoteTo(half, x.lower));
#endif
}

/// Doubles as the sum of two fp32.
struct Split {
  V32 high;
  V32 low;
};
HWY_INLINE Split split(const Doubles& x) {
  const V32 high = narrowed(x);
  const Doubles back = widened(high);
  return {high, narrowed({hn::Sub(x.lower, back.lower), hn::Sub(x.upper, back.upper)})};
}

/// f of the doubles of x, as a sum of fp32; x has been held to where f does not overflow.
template <class F>
HWY_INLINE Split through_doubles(V32 x, const F& f) {
  const Doubles wide = widened(x);
  return split({f(wide.lower), f(wide.upper)});
}

HWY_INLINE V32 gelu(V32 x) {
  // Beyond 14.4 the tail is 0.
  const V32 size = held_between(hn::Abs(x), 0.0f, 14.4f);
  const V32 scaled_size = hn::Mul(size, splat(0x1.6a09e6p-1f));
  const Split exponent =
      through_doubles(size, [](V64 v) HWY_ATTR { return hn::Mul(hn::Mul(v, v), splat64(-0.5)); });
  const Exponential e = exponential(exponent.high, exponent.low);
  // |x| times half of erfc(|x| / sqrt(2)).
  const V32 grown = hn::Mul(hn::Add(splat(1), e.p),
                            hn::Mul(hn::Mul(size, splat(0.5f)), erfc_scaled(scaled_size)));
  const V32 tail = scaled(grown, e.n);
  // -inf * 0 is NaN, as of the product that gelu is.
  const V32 lost =
      hn::IfThenElse(hn::Eq(x, splat_bits(0xFF800000u)), splat_bits(0x7FC00000u), hn::Neg(tail));
  const V32 far = hn::IfThenElse(hn::Lt(x, splat(0)), lost, hn::Sub(x, tail));
  // Near zero nothing is lost in 1 + erf.
  const V32 part =
      hn::Add(splat(0.5f), hn::Mul(splat(0.5f), with_sign_of(erf_near_zero(scaled_size), x)));
  return hn::IfThenElse(hn::Lt(size, splat(0.5f)), hn::Mul(x, part), far);
}

/// x * sigmoid(f(x)) with f in doubles; f is odd, grows, and is beyond 105 at 70.
template <class F>
HWY_INLINE V32 times_sigmoid_of(V32 x, const F& f) {
  const Split y = through_doubles(held_between(x, -70.0f, 70.0f), f);
  return gated(x, y.high, y.low);
}
HWY_INLINE V32 gelu_sigmoid(V32 x) {
  return times_sigmoid_of(x, [](V64 v) HWY_ATTR { return hn::Mul(v, splat64(1.702)); });
}
HWY_INLINE V32 gelu_tanh(V32 x) {
  // (1 + tanh(u)) / 2 is sigmoid(2 u).
  return times_sigmoid_of(x, [](V64 v) HWY_ATTR {
    const V64 cube = hn::Mul(hn::Mul(v, v), hn::Mul(v, splat64(0.044715)));
    return hn::Mul(hn::Add(v, cube), splat64(0x1.988453365650fp+0));  // 2 sqrt(2 / pi)
  });
}

/// log(x) of positive doubles that are normal.
HWY_INLINE V64 log64(V64 x) {
  const DI64 di;
  const auto bits = hn::BitCast(di, x);
  // The high word of sqrt(1/2), for a fraction in [sqrt(1/2), sqrt(2)).
  const auto from_root = hn::Sub(bits, hn::Set(di, 0x3FE6A09E00000000));
  const auto exponent = hn::ShiftRight<52>(from_root);
  const V64 m = hn::BitCast(D64(), hn::Sub(bits, hn::ShiftLeft<52>(exponent)));
  // An integer below 2^51 added to the bits of 1.5 * 2^52 is added to its value.
  const auto magic = hn::Set(di, 0x4338000000000000);
  const V64 e = hn::Sub(hn::BitCast(D64(), hn::Add(exponent, magic)), hn::BitCast(D64(), magic));
  const V64 s = hn::Div(hn::Sub(m, splat64(1)), hn::Add(m, splat64(1)));
  const V64 z = hn::Mul(s, s);
  // 2 atanh(s), the series of which is cut where it is below 2^-48.
  V64 sum = splat64(2.0 / 19);
  for (const double term :
       {2.0 / 17, 2.0 / 15, 2.0 / 13, 2.0 / 11, 2.0 / 9, 2.0 / 7, 2.0 / 5, 2.0 / 3, 2.0}) {
    sum = hn::Add(hn::Mul(sum, z), splat64(term));
  }
  return hn::Add(hn::Mul(e, splat64(0x1.62e42fefa39efp-1)), hn::Mul(s, sum));
}

/// x to the power of y as C has it.
HWY_INLINE V32 pow(V32 x, V32 y) {
  const V32 infinity = splat_bits(0x7F800000u);
  const V32 size = hn::Abs(x);
  const M32 zero = hn::Eq(size, splat(0));
  const M32 infinite = hn::Eq(size, infinity);
  // y * log(size), where that is a number; a zero, infinite or NaN size stands aside as 2.
  const M32 ordinary = hn::And(hn::Gt(size, splat(0)), hn::Lt(size, infinity));
  const Doubles wide = widened(hn::IfThenElse(ordinary, size, splat(2)));
  // Exponents beyond the reach of fp32 are held, lest they become infinite on the way to it; an
  // infinite y has its own rule below.
  const Doubles exponents = widened(held_between(y, -0x1p40f, 0x1p40f));
  const auto product = [](V64 log, V64 by) HWY_ATTR {
    const V64 value = hn::Mul(log, by);
    const V64 low = hn::IfThenElse(hn::Lt(value, splat64(-200)), splat64(-200), value);
    return hn::IfThenElse(hn::Gt(low, splat64(200)), splat64(200), low);
  };
  const Split exponent = split(
      {product(log64(wide.lower), exponents.lower), product(log64(wide.upper), exponents.upper)});
  const Exponential e = exponential(exponent.high, exponent.low);
  V32 result = scaled(hn::Add(splat(1), e.p), e.n);
  const M32 grows = hn::Gt(y, splat(0));
  result = hn::IfThenElse(zero, hn::IfThenElse(grows, splat(0), infinity), result);
  result = hn::IfThenElse(infinite, hn::IfThenElse(grows, infinity, splat(0)), result);
  // Signs: an odd power of a negative number is negative, one that is no integer NaN.
  const M32 integral = hn::Eq(round_down(y), y);
  const V32 half = hn::Mul(y, splat(0.5f));
  const M32 odd = hn::AndNot(hn::Eq(round_down(half), half), integral);
  result = with_sign_of(result, hn::IfThenElseZero(odd, x));
  const M32 undefined = hn::AndNot(integral, hn::And(hn::Lt(x, splat(0)), ordinary));
  const V32 nan = splat_bits(0x7FC00000u);
  result = hn::IfThenElse(undefined, nan, result);
  // An infinite y, of which also ordinary sizes give 0 or infinity.
  const M32 y_infinite = hn::Eq(hn::Abs(y), infinity);
  const M32 unit = hn::Eq(size, splat(1));
  const M32 to_infinity = hn::Not(hn::Xor(hn::Gt(size, splat(1)), grows));
  const V32 limit = hn::IfThenElse(unit, splat(1), hn::IfThenElse(to_infinity, infinity, splat(0)));
  result = hn::IfThenElse(y_infinite, limit, result);
  result = hn::IfThenElse(hn::Or(is_nan(x), is_nan(y)), nan, result);
  // Squares are frequent, and products have the one rounding that these should have.
  result = hn::IfThenElse(hn::Eq(y, splat(2)), hn::Mul(x, x), result);
  const M32 one = hn::Or(hn::Eq(y, splat(0)), hn::Eq(x, splat(1)));
  return hn::IfThenElse(one, splat(1), result);
}

}  // namespace milgen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
