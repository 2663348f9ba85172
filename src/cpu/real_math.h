// Elementary functions of doubles, whose bits are the same on every machine.
//
// A C library promises no particular result of exp or sin, and libraries differ. These use only
// operations that IEEE 754 defines to the last bit (+ - * /, sqrt, fma, rounding to integers,
// operations on bits), in a fixed order; the file is compiled without contraction.
//
// Errors are relative to the true value, in units of 2^-53 = 1.1e-16, the largest met over dense
// samples of the whole range (real_math_test, against long double functions): the number stands
// behind each function. Special values are those of IEEE 754 and C's annex F unless said otherwise;
// the sign and payload of a NaN mean nothing.
#pragma once

namespace milgen::cpu {

double real_exp(double x);    // 1.3
double real_exp2(double x);   // 1.4
double real_expm1(double x);  // 4.1
double real_log(double x);    // 1.6
double real_log1p(double x);  // 2.1
/// x to the power of y. As C has it: 1 for y = 0 and for x = 1 whatever the other is, NaN for a
/// negative finite x and a y that is no integer.
double real_pow(double x, double y);  // 1.6

// Angles are in radians; any finite one is reduced exactly enough, however large.
double real_sin(double x);   // 1.2
double real_cos(double x);   // 1.2
double real_tan(double x);   // 2.6
double real_asin(double x);  // 3.4; NaN outside of [-1, 1]
double real_acos(double x);  // 2.9; NaN outside of [-1, 1]
double real_atan(double x);  // 2.9

double real_sinh(double x);   // 4.3
double real_cosh(double x);   // 3.6
double real_tanh(double x);   // 3.8
double real_atanh(double x);  // 2.8

double real_erf(double x);   // 2.5
double real_erfc(double x);  // 4 where the result is normal

/// 1 / (1 + exp(-x)), as good for large negative x as for positive.
double real_sigmoid(double x);  // 2.9
/// log(1 + exp(x)).
double real_softplus(double x);  // 2.6

/// What `mod` of MIL leaves: x - y * floor(x / y), exact but for one rounding where the signs of x
/// and y differ. Has the sign of y; NaN for y = 0 or an infinite x.
double real_mod(double x, double y);

}  // namespace milgen::cpu
