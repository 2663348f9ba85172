// The conversion between fp32 and fp16 as a loop of the machine's own instruction and nothing else:
// what contestants are held against.
#pragma once

#include <cstddef>
#include <cstdint>

#include "support/half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace milgen::bench {

#if defined(__x86_64__)

constexpr std::size_t kBareStep = 8;

/// Whether the machine has the instruction.
inline bool has_bare_loop() { return half_path_name().starts_with("f16c"); }

__attribute__((target("avx,f16c"))) inline void bare_narrow(const float* from, std::uint16_t* to,
                                                            std::size_t count) {
  std::size_t i = 0;
  for (; i + kBareStep <= count; i += kBareStep) {
    const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), half);
  }
  for (; i < count; ++i) to[i] = half_from_float(from[i]);
}

__attribute__((target("avx,f16c"))) inline void bare_widen(const std::uint16_t* from, float* to,
                                                           std::size_t count) {
  std::size_t i = 0;
  for (; i + kBareStep <= count; i += kBareStep) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(half));
  }
  for (; i < count; ++i) to[i] = float_from_half(from[i]);
}

#elif defined(__aarch64__)

constexpr std::size_t kBareStep = 4;

inline bool has_bare_loop() { return true; }

inline void bare_narrow(const float* from, std::uint16_t* to, std::size_t count) {
  std::size_t i = 0;
  for (; i + kBareStep <= count; i += kBareStep) {
    vst1_u16(to + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(from + i))));
  }
  for (; i < count; ++i) to[i] = half_from_float(from[i]);
}

inline void bare_widen(const std::uint16_t* from, float* to, std::size_t count) {
  std::size_t i = 0;
  for (; i + kBareStep <= count; i += kBareStep) {
    vst1q_f32(to + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from + i))));
  }
  for (; i < count; ++i) to[i] = float_from_half(from[i]);
}

#else

inline bool has_bare_loop() { return false; }

inline void bare_narrow(const float* from, std::uint16_t* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = half_from_float(from[i]);
}

inline void bare_widen(const std::uint16_t* from, float* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = float_from_half(from[i]);
}

#endif

}  // namespace milgen::bench
