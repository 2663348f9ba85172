// Halves in vectors of floats, with the bits that support/half.h documents on every target.
// Read once per target, as cpu/highway.h is.

#include "cpu/highway.h"

#if defined(MILGEN_CPU_HALF_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MILGEN_CPU_HALF_INL_H_
#undef MILGEN_CPU_HALF_INL_H_
#else
#define MILGEN_CPU_HALF_INL_H_
#endif

#include <cstdint>

#include "support/half.h"

HWY_BEFORE_NAMESPACE();
namespace milgen::detail {
namespace HWY_NAMESPACE {

#undef MILGEN_HALF_BY_INTEGERS
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_SSE4
#define MILGEN_HALF_BY_INTEGERS 1
#else
#define MILGEN_HALF_BY_INTEGERS 0
#endif

/// Lanes(d) halves, which need not be aligned, as floats.
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> load_halves(D d, const std::uint16_t* from) {
  namespace hn = hwy::HWY_NAMESPACE;
#if MILGEN_HALF_BY_INTEGERS
  const hn::Rebind<std::uint16_t, D> du16;
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const auto bits = hn::PromoteTo(du, hn::LoadU(du16, from));
  const auto magnitude = hn::And(bits, hn::Set(du, 0x7FFFu));
  const auto bias = hn::Set(du, 0x38000000u);
  auto normal = hn::Add(hn::ShiftLeft<13>(magnitude), bias);
  const auto special = hn::Gt(magnitude, hn::Set(du, 0x7BFFu));
  normal = hn::Add(normal, hn::IfThenElseZero(special, bias));
  const auto nan = hn::Gt(magnitude, hn::Set(du, 0x7C00u));
  normal = hn::Or(normal, hn::IfThenElseZero(nan, hn::Set(du, 0x00400000u)));
  const auto counted = hn::ConvertTo(d, hn::BitCast(di, magnitude));
  const auto subnormal = hn::BitCast(du, hn::Mul(counted, hn::Set(d, 0x1p-24f)));
  const auto is_subnormal = hn::Lt(magnitude, hn::Set(du, 0x400u));
  const auto value = hn::IfThenElse(is_subnormal, subnormal, normal);
  return hn::BitCast(d, hn::Or(value, hn::ShiftLeft<16>(hn::Sub(bits, magnitude))));
#else
  const hn::Rebind<hwy::float16_t, D> dhalf;
  return hn::PromoteTo(d, hn::LoadU(dhalf, reinterpret_cast<const hwy::float16_t*>(from)));
#endif
}

/// The floats rounded to nearest, ties to even; `to` need not be aligned.
template <class D>
HWY_INLINE void store_halves(hwy::HWY_NAMESPACE::Vec<D> value, [[maybe_unused]] D d,
                             std::uint16_t* to) {
  namespace hn = hwy::HWY_NAMESPACE;
#if MILGEN_HALF_BY_INTEGERS
  const hn::Rebind<std::uint16_t, D> du16;
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(du, value);
  const auto magnitude = hn::And(bits, hn::Set(du, 0x7FFFFFFFu));
  // The steps of half_from_float().
  const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 1u));
  const auto rounded = hn::Add(hn::Add(magnitude, hn::Set(du, 0xFFFu)), odd);
  auto half = hn::ShiftRight<13>(hn::Sub(rounded, hn::Set(du, 0x38000000u)));
  half = hn::IfThenElse(hn::Gt(magnitude, hn::Set(du, 0x477FEFFFu)), hn::Set(du, 0x7C00u), half);
  const auto small = hn::Lt(magnitude, hn::Set(du, 0x38800000u));
  const auto shifted =
      hn::Add(hn::BitCast(d, hn::IfThenElseZero(small, magnitude)), hn::Set(d, 0.5f));
  half = hn::IfThenElse(small, hn::Sub(hn::BitCast(du, shifted), hn::Set(du, 0x3F000000u)), half);
  const auto payload = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 0x3FFu));
  half = hn::IfThenElse(hn::Gt(magnitude, hn::Set(du, 0x7F800000u)),
                        hn::Or(hn::Set(du, 0x7E00u), payload), half);
  half = hn::Or(half, hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 0x8000u)));
  hn::StoreU(hn::DemoteTo(du16, hn::BitCast(di, half)), du16, to);
#else
  const hn::Rebind<hwy::float16_t, D> dhalf;
  hn::StoreU(hn::DemoteTo(dhalf, value), dhalf, reinterpret_cast<hwy::float16_t*>(to));
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace milgen::detail
HWY_AFTER_NAMESPACE();

#endif  // MILGEN_CPU_HALF_INL_H_
