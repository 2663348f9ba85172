// Loops of the host operations over runs of floats. The same bits for any vector unit: elementary
// functions are those of cpu/vector_math-inl.h, sums over a run are taken in sixteen parts that do
// not depend on the width of registers.
#pragma once

#include <cstddef>

namespace milgen::train {

/// The numbers of an Adam step, as AdamOptions names them.
struct AdamStep {
  float lr = 0;
  float beta1 = 0;
  float rest1 = 0;  ///< 1 - beta1
  float beta2 = 0;
  float rest2 = 0;  ///< 1 - beta2
  float bias1 = 0;  ///< 1 - beta1^t
  float bias2 = 0;  ///< 1 - beta2^t
  float eps = 0;
  float decay = 0;  ///< lr * weight_decay
  float gradient_scale = 1;
};

void adam_step(float* w, const float* g, float* m, float* v, std::size_t count,
               const AdamStep& step);

/// Of each column of a matrix of so many rows, `stride` elements apart: the largest element, or
/// NaN.
void column_maxima(const float* x, std::size_t rows, std::size_t columns, std::size_t stride,
                   float* maxima);
/// out = exp(x - maximum), and of each column the sum of that. A column of -inf gives 0. `out` has
/// the layout of x and may be x.
void column_exps(float* out, const float* x, std::size_t rows, std::size_t columns,
                 std::size_t stride, const float* maxima, float* sums);
/// x = exp(x - maximum)
void exp_below(float* x, const float* maxima, std::size_t count);

/// dh1 = dy * h3 * s * (1 + h1 * (1 - s)) with s = sigmoid(h1), dh3 = dy * h1 * s. dh1 and dh3 may
/// each be any of dy, h1 and h3.
void silu_gradients(float* dh1, float* dh3, const float* dy, const float* h1, const float* h3,
                    std::size_t count);

/// sums += (x * factor) * y: the first product in fp32, the second and the sum in double.
void add_scaled_products(double* sums, const float* x, float factor, const float* y,
                         std::size_t count);
/// The sum of x * x, in double.
double sum_of_squares(const float* x, std::size_t count);
/// The sum of (x * y) * z: the first product in fp32, the second and the sum in double.
double sum_of_products(const float* x, const float* y, const float* z, std::size_t count);

}  // namespace milgen::train
