#include "train/vector_ops.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "train/vector_ops.cpp"
#include "cpu/highway.h"
// After it, because it is read once per target.
#include "cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace milgen::train::HWY_NAMESPACE {

namespace hn = ::hwy::HWY_NAMESPACE;
namespace vm = ::milgen::cpu::HWY_NAMESPACE;

using D32 = vm::D32;
using V32 = vm::V32;

/// Calls `work` for whole vectors, and for what is left over once more through `tail`.
template <class Work, class Tail>
HWY_INLINE void in_vectors(std::size_t count, const Work& work, const Tail& tail) {
  const std::size_t lanes = hn::Lanes(D32());
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) work(i);
  if (i < count) tail(i, count - i);
}

HWY_INLINE V32 load(const float* from) { return hn::LoadU(D32(), from); }
HWY_INLINE void store(V32 x, float* to) { hn::StoreU(x, D32(), to); }

/// A vector of memory for what is left over at the end of a run.
struct Padded {
  float values[vm::kMaxLanes] = {};

  Padded() = default;
  Padded(const float* from, std::size_t count) { std::memcpy(values, from, count * sizeof(float)); }
  void copy_to(float* to, std::size_t count) const {
    std::memcpy(to, values, count * sizeof(float));
  }
};

template <bool kDecays>
HWY_INLINE void adam_vector(float* w, const float* g, float* m, float* v, const AdamStep& step) {
  const V32 gradient = hn::Mul(load(g), vm::splat(step.gradient_scale));
  const V32 first =
      hn::Add(hn::Mul(vm::splat(step.beta1), load(m)), hn::Mul(vm::splat(step.rest1), gradient));
  const V32 second = hn::Add(hn::Mul(vm::splat(step.beta2), load(v)),
                             hn::Mul(hn::Mul(vm::splat(step.rest2), gradient), gradient));
  store(first, m);
  store(second, v);
  const V32 root = hn::Sqrt(hn::Div(second, vm::splat(step.bias2)));
  const V32 change = hn::Div(hn::Mul(vm::splat(step.lr), hn::Div(first, vm::splat(step.bias1))),
                             hn::Add(root, vm::splat(step.eps)));
  V32 weight = load(w);
  if constexpr (kDecays) weight = hn::Sub(weight, hn::Mul(vm::splat(step.decay), weight));
  store(hn::Sub(weight, change), w);
}

template <bool kDecays>
HWY_INLINE void adam_run(float* w, const float* g, float* m, float* v, std::size_t count,
                         const AdamStep& step) {
  in_vectors(
      count,
      [&](std::size_t i) HWY_ATTR { adam_vector<kDecays>(w + i, g + i, m + i, v + i, step); },
      [&](std::size_t i, std::size_t left) HWY_ATTR {
        Padded weight(w + i, left);
        Padded first(m + i, left);
        Padded second(v + i, left);
        const Padded gradient(g + i, left);
        adam_vector<kDecays>(weight.values, gradient.values, first.values, second.values, step);
        weight.copy_to(w + i, left);
        first.copy_to(m + i, left);
        second.copy_to(v + i, left);
      });
}

void adam_step_here(float* w, const float* g, float* m, float* v, std::size_t count,
                    const AdamStep& step) {
  if (step.decay == 0) {
    adam_run<false>(w, g, m, v, count, step);
  } else {
    adam_run<true>(w, g, m, v, count, step);
  }
}

void column_maxima_here(const float* x, std::size_t rows, std::size_t columns, std::size_t stride,
                        float* maxima) {
  std::memcpy(maxima, x, columns * sizeof(float));
  for (std::size_t r = 1; r < rows; ++r) {
    const float* row = x + r * stride;
    in_vectors(
        columns,
        [&](std::size_t i)
            HWY_ATTR { store(vm::maximum(load(row + i), load(maxima + i)), maxima + i); },
        [&](std::size_t i, std::size_t left) HWY_ATTR {
          const Padded some(row + i, left);
          Padded most(maxima + i, left);
          store(vm::maximum(load(some.values), load(most.values)), most.values);
          most.copy_to(maxima + i, left);
        });
  }
}

/// exp(x - maximum); 0 where both are -inf.
HWY_INLINE V32 exp_of(V32 x, V32 maximum) {
  const V32 none = vm::splat_bits(0xFF800000u);
  return vm::exp(hn::Sub(x, hn::IfThenZeroElse(hn::Eq(maximum, none), maximum)));
}

HWY_INLINE void exp_vector(float* out, const float* x, const float* maxima, float* sums) {
  const V32 value = exp_of(load(x), load(maxima));
  store(value, out);
  store(hn::Add(load(sums), value), sums);
}

void column_exps_here(float* out, const float* x, std::size_t rows, std::size_t columns,
                      std::size_t stride, const float* maxima, float* sums) {
  std::fill_n(sums, columns, 0.0f);
  for (std::size_t r = 0; r < rows; ++r) {
    const float* from = x + r * stride;
    float* to = out + r * stride;
    in_vectors(
        columns,
        [&](std::size_t i) HWY_ATTR { exp_vector(to + i, from + i, maxima + i, sums + i); },
        [&](std::size_t i, std::size_t left) HWY_ATTR {
          const Padded some(from + i, left);
          const Padded most(maxima + i, left);
          Padded sum(sums + i, left);
          Padded result;
          exp_vector(result.values, some.values, most.values, sum.values);
          result.copy_to(to + i, left);
          sum.copy_to(sums + i, left);
        });
  }
}

void exp_below_here(float* x, const float* maxima, std::size_t count) {
  const auto replace = [](float* values, const float* most)
                           HWY_ATTR { store(vm::exp(hn::Sub(load(values), load(most))), values); };
  in_vectors(
      count, [&](std::size_t i) HWY_ATTR { replace(x + i, maxima + i); },
      [&](std::size_t i, std::size_t left) HWY_ATTR {
        Padded values(x + i, left);
        const Padded most(maxima + i, left);
        replace(values.values, most.values);
        values.copy_to(x + i, left);
      });
}

HWY_INLINE void silu_vector(float* dh1, float* dh3, const float* dy, const float* h1,
                            const float* h3) {
  const V32 one = vm::splat(1);
  const V32 gradient = load(dy);
  const V32 x = load(h1);
  const V32 s = vm::sigmoid(x);
  const V32 slope = hn::Mul(s, hn::Add(one, hn::Mul(x, hn::Sub(one, s))));
  const V32 of_h1 = hn::Mul(hn::Mul(gradient, load(h3)), slope);
  const V32 of_h3 = hn::Mul(gradient, hn::Mul(x, s));
  store(of_h1, dh1);
  store(of_h3, dh3);
}

void silu_gradients_here(float* dh1, float* dh3, const float* dy, const float* h1, const float* h3,
                         std::size_t count) {
  in_vectors(
      count, [&](std::size_t i) HWY_ATTR { silu_vector(dh1 + i, dh3 + i, dy + i, h1 + i, h3 + i); },
      [&](std::size_t i, std::size_t left) HWY_ATTR {
        const Padded gradient(dy + i, left);
        const Padded gate(h1 + i, left);
        const Padded up(h3 + i, left);
        Padded of_h1;
        Padded of_h3;
        silu_vector(of_h1.values, of_h3.values, gradient.values, gate.values, up.values);
        of_h1.copy_to(dh1 + i, left);
        of_h3.copy_to(dh3 + i, left);
      });
}

// Loops that a compiler makes vectors of by itself.

void add_scaled_products_here(double* HWY_RESTRICT sums, const float* HWY_RESTRICT x, float factor,
                              const float* HWY_RESTRICT y, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    sums[i] += static_cast<double>(x[i] * factor) * static_cast<double>(y[i]);
  }
}

/// The sum of term(0) ... term(count - 1) in sixteen parts.
template <class Term>
HWY_INLINE double sum_in_parts(std::size_t count, const Term& term) {
  constexpr std::size_t kParts = 16;
  double parts[kParts] = {};
  std::size_t i = 0;
  for (; i + kParts <= count; i += kParts) {
    for (std::size_t p = 0; p < kParts; ++p) parts[p] += term(i + p);
  }
  for (std::size_t p = 0; i + p < count; ++p) parts[p] += term(i + p);
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

double sum_of_squares_here(const float* x, std::size_t count) {
  return sum_in_parts(count, [&](std::size_t i) HWY_ATTR {
    const auto value = static_cast<double>(x[i]);
    return value * value;
  });
}

double sum_of_products_here(const float* x, const float* y, const float* z, std::size_t count) {
  return sum_in_parts(count, [&](std::size_t i) HWY_ATTR {
    return static_cast<double>(x[i] * y[i]) * static_cast<double>(z[i]);
  });
}

}  // namespace milgen::train::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace milgen::train {

HWY_EXPORT(adam_step_here);
HWY_EXPORT(column_maxima_here);
HWY_EXPORT(column_exps_here);
HWY_EXPORT(exp_below_here);
HWY_EXPORT(silu_gradients_here);
HWY_EXPORT(add_scaled_products_here);
HWY_EXPORT(sum_of_squares_here);
HWY_EXPORT(sum_of_products_here);

void adam_step(float* w, const float* g, float* m, float* v, std::size_t count,
               const AdamStep& step) {
  HWY_DYNAMIC_DISPATCH(adam_step_here)(w, g, m, v, count, step);
}

void column_maxima(const float* x, std::size_t rows, std::size_t columns, std::size_t stride,
                   float* maxima) {
  HWY_DYNAMIC_DISPATCH(column_maxima_here)(x, rows, columns, stride, maxima);
}

void column_exps(float* out, const float* x, std::size_t rows, std::size_t columns,
                 std::size_t stride, const float* maxima, float* sums) {
  HWY_DYNAMIC_DISPATCH(column_exps_here)(out, x, rows, columns, stride, maxima, sums);
}

void exp_below(float* x, const float* maxima, std::size_t count) {
  HWY_DYNAMIC_DISPATCH(exp_below_here)(x, maxima, count);
}

void silu_gradients(float* dh1, float* dh3, const float* dy, const float* h1, const float* h3,
                    std::size_t count) {
  HWY_DYNAMIC_DISPATCH(silu_gradients_here)(dh1, dh3, dy, h1, h3, count);
}

void add_scaled_products(double* sums, const float* x, float factor, const float* y,
                         std::size_t count) {
  HWY_DYNAMIC_DISPATCH(add_scaled_products_here)(sums, x, factor, y, count);
}

double sum_of_squares(const float* x, std::size_t count) {
  return HWY_DYNAMIC_DISPATCH(sum_of_squares_here)(x, count);
}

double sum_of_products(const float* x, const float* y, const float* z, std::size_t count) {
  return HWY_DYNAMIC_DISPATCH(sum_of_products_here)(x, y, z, count);
}

}  // namespace milgen::train
#endif
