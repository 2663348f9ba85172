// Highway with the targets that milgen is compiled for. A file of kernels begins with
//
//     #undef HWY_TARGET_INCLUDE
//     #define HWY_TARGET_INCLUDE "cpu/that_file.cpp"
//     #include "cpu/highway.h"
//
// and goes on as Highway's documentation says. Halves are loaded and stored by cpu/half-inl.h:
// Highway's own conversion cuts instead of rounding where the machine has no instruction for it.
//
// There is no include guard: it is read once per target, as the file that includes it is.

#ifndef HWY_DISABLED_TARGETS
// One target per width of registers. Every further one is compiled and tested for little: the
// vectors of SSSE3 are those of SSE4, and what AVX3_DL adds is for integers. SVE of this version of
// Highway needs newer compilers than milgen does.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#endif

#ifndef HWY_BROKEN_EMU128
// The fallback is one element at a time, which Highway chooses for g++ 12.2 anyhow. Its emulation
// of four takes clang with sanitizers minutes a file.
#define HWY_BROKEN_EMU128 1
#endif

#if defined(HWY_TARGET_INCLUDE)
#include <hwy/foreach_target.h>
#endif
#include <hwy/highway.h>

#include "cpu/simd.h"
