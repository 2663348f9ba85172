// The machine's CBLAS library, loaded when it is first asked for: linking to it would cost every
// program tens of milliseconds at its start.
#pragma once

#include <string>
#include <string_view>

namespace milgen::detail {

/// cblas_sgemm with its enumerations as int: CblasRowMajor is 101, CblasNoTrans 111, CblasTrans
/// 112. C = alpha * A * B + beta * C, where C is [m, n] and A, before it is transposed, [m, k].
using BlasSgemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k,
                           float alpha, const float* a, int lda, const float* b, int ldb,
                           float beta, float* c, int ldc);

struct BlasLibrary {
  BlasSgemm sgemm = nullptr;  ///< null: there is none
  /// It computes with a unit that our own kernels cannot use.
  bool has_matrix_unit = false;
  std::string name;  ///< "OpenBLAS 0.3.21", "Accelerate"; or why there is none
};

/// Loads a library by its path or file name; "" is the one that milgen was configured with and
/// "none" is none. An OpenBLAS is set to one thread, for the whole process: its callers share the
/// work out themselves, and may be several at a time.
BlasLibrary load_blas(std::string_view library);

/// What the environment variable MILGEN_BLAS names, or the configured one. Loaded once.
const BlasLibrary& blas_library();

}  // namespace milgen::detail
