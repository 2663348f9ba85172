// Rows of the op table: elementwise functions of one, two and three tensors.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

// --- One tensor. ---

inline constexpr Param kXFloat[] = {in("x", 'T', kFloat)};
inline constexpr Signature kUnaryFloat[] = {{Opset::ios15, kXFloat}};

inline constexpr Param kXNumber[] = {in("x", 'T', kNumber)};
inline constexpr Signature kUnaryNumber[] = {{Opset::ios15, kXNumber}};

inline constexpr Param kXBool[] = {in("x", 'T', kBool)};
inline constexpr Signature kUnaryBool[] = {{Opset::ios15, kXBool}};

constexpr OpInfo unary(OpCode code, std::string_view name, std::span<const Signature> signatures,
                       std::string_view summary) {
  return {.code = code,
          .name = name,
          .family = "elementwise_unary",
          .summary = summary,
          .signatures = signatures,
          .traits = Trait::elementwise,
          .infer = infer_like_x};
}

inline constexpr Param kClipParams[] = {
    in("x", 'T', kFloat),
    real("alpha", 'T', kFloat),
    real("beta", 'T', kFloat),
};
// The arguments are those of ios15; from ios17 on alpha must be less than beta.
inline constexpr Signature kClip[] = {{Opset::ios15, kClipParams}, {Opset::ios17, kClipParams}};

inline constexpr Param kThresholdParams[] = {
    in("x", 'T', kNumber),
    real("alpha", 'T', kNumber),
};
inline constexpr Signature kThreshold[] = {{Opset::ios15, kThresholdParams}};

inline constexpr Param kInverseIos15[] = {
    in("x", 'T', kFloat),
    real("epsilon", 'T', kFloat, 1e-4),
};
inline constexpr Param kInverseIos17[] = {
    in("x", 'T', kFloat),
    real("epsilon", 'U', kFloat, 1e-4),
};
inline constexpr Signature kInverse[] = {
    {Opset::ios15, kInverseIos15},
    {Opset::ios17, kInverseIos17},
};

inline constexpr Param kLogIos15[] = {
    in("x", 'T', kFloat),
    real("epsilon", 'T', kFloat, 1e-45),
};
inline constexpr Param kLogIos17[] = {
    in("x", 'T', kFloat),
    real("epsilon", 'U', kFloat, 1e-45),
};
inline constexpr Signature kLog[] = {{Opset::ios15, kLogIos15}, {Opset::ios17, kLogIos17}};

inline constexpr Param kRsqrtIos15[] = {
    in("x", 'T', kFloat),
    real("epsilon", 'T', kFloat, 1e-12),
};
inline constexpr Param kRsqrtIos17[] = {
    in("x", 'T', kFloat),
    real("epsilon", 'U', kFloat, 1e-12),
};
inline constexpr Signature kRsqrt[] = {{Opset::ios15, kRsqrtIos15}, {Opset::ios17, kRsqrtIos17}};

inline constexpr Param kCastIos15[] = {
    in("x", 'T', kNumberOrBool),
    result_dtype(text("dtype", "fp16 fp32 int32 bool")),
};
inline constexpr Param kCastIos17[] = {
    in("x", 'T', kAnyData),
    result_dtype(text("dtype", "fp16 fp32 int8 uint8 int16 uint16 int32 bool")),
};
inline constexpr Signature kCast[] = {{Opset::ios15, kCastIos15}, {Opset::ios17, kCastIos17}};

inline constexpr OpInfo kElementwiseUnaryOps[] = {
    unary(OpCode::abs, "abs", kUnaryNumber, "|x|"),
    unary(OpCode::acos, "acos", kUnaryFloat, "arc cosine, in radians"),
    unary(OpCode::asin, "asin", kUnaryFloat, "arc sine, in radians"),
    unary(OpCode::atan, "atan", kUnaryFloat, "arc tangent, in radians"),
    unary(OpCode::atanh, "atanh", kUnaryFloat, "area hyperbolic tangent"),
    unary(OpCode::ceil, "ceil", kUnaryFloat, "smallest integer that is not below x"),
    unary(OpCode::cos, "cos", kUnaryFloat, "cosine of x radians"),
    unary(OpCode::cosh, "cosh", kUnaryFloat, "hyperbolic cosine of x"),
    unary(OpCode::erf, "erf", kUnaryFloat, "error function of the normal distribution"),
    unary(OpCode::exp, "exp", kUnaryFloat, "e to the power of x"),
    unary(OpCode::exp2, "exp2", kUnaryNumber, "2 to the power of x"),
    unary(OpCode::floor, "floor", kUnaryFloat, "largest integer that is not above x"),
    unary(OpCode::inverse, "inverse", kInverse, "1 / (x + epsilon)"),
    unary(OpCode::log, "log", kLog, "natural logarithm of (x + epsilon)"),
    unary(OpCode::logical_not, "logical_not", kUnaryBool, "true where x is false"),
    unary(OpCode::round, "round", kUnaryFloat, "nearest integer, ties to the even one"),
    unary(OpCode::rsqrt, "rsqrt", kRsqrt, "1 / sqrt(x + epsilon)"),
    unary(OpCode::sign, "sign", kUnaryNumber, "-1 below zero, 0 at zero, 1 above"),
    unary(OpCode::sin, "sin", kUnaryFloat, "sine of x radians"),
    unary(OpCode::sinh, "sinh", kUnaryFloat, "hyperbolic sine of x"),
    unary(OpCode::sqrt, "sqrt", kUnaryFloat, "non-negative root of x"),
    unary(OpCode::square, "square", kUnaryNumber, "x times x"),
    unary(OpCode::tan, "tan", kUnaryFloat, "tangent of x radians"),
    unary(OpCode::tanh, "tanh", kUnaryFloat, "hyperbolic tangent of x"),
    unary(OpCode::threshold, "threshold", kThreshold, "the greater of x and alpha"),
    {.code = OpCode::clip,
     .name = "clip",
     .family = "elementwise_unary",
     .summary = "x, held between alpha and beta",
     .signatures = kClip,
     .traits = Trait::elementwise,
     .infer = infer_clip},
    {.code = OpCode::cast,
     .name = "cast",
     .family = "elementwise_unary",
     .summary = "x converted to another dtype",
     .signatures = kCast,
     .result_dtype = ResultDType::parameter,
     .traits = Trait::elementwise,
     .infer = infer_cast},
};

// --- Two tensors that broadcast against each other. ---

inline constexpr Param kXYNumber[] = {in("x", 'T', kNumber), in("y", 'T', kNumber)};
inline constexpr Signature kBinaryNumber[] = {{Opset::ios15, kXYNumber}};

inline constexpr Param kXYBool[] = {in("x", 'T', kBool), in("y", 'T', kBool)};
inline constexpr Signature kBinaryBool[] = {{Opset::ios15, kXYBool}};

constexpr OpInfo arithmetic(OpCode code, std::string_view name, std::string_view summary,
                            Trait traits = Trait::none) {
  return {.code = code,
          .name = name,
          .family = "elementwise_binary",
          .summary = summary,
          .signatures = kBinaryNumber,
          .traits = Trait::elementwise | traits,
          .infer = infer_arithmetic};
}

constexpr OpInfo comparison(OpCode code, std::string_view name, std::string_view summary,
                            std::span<const Signature> signatures = kBinaryNumber,
                            Trait traits = Trait::none) {
  return {.code = code,
          .name = name,
          .family = "elementwise_binary",
          .summary = summary,
          .signatures = signatures,
          .result_dtype = ResultDType::boolean,
          .traits = Trait::elementwise | traits,
          .infer = infer_comparison};
}

inline constexpr OpInfo kElementwiseBinaryOps[] = {
    arithmetic(OpCode::add, "add", "x + y", Trait::commutative),
    arithmetic(OpCode::floor_div, "floor_div", "x / y rounded down to an integer"),
    arithmetic(OpCode::maximum, "maximum", "the greater of x and y", Trait::commutative),
    arithmetic(OpCode::minimum, "minimum", "the smaller of x and y", Trait::commutative),
    arithmetic(OpCode::mod, "mod", "what floor_div leaves over; has the sign of y"),
    arithmetic(OpCode::mul, "mul", "x * y", Trait::commutative),
    arithmetic(OpCode::pow, "pow", "x raised to y"),
    arithmetic(OpCode::real_div, "real_div", "x / y; of integers, cut off towards zero"),
    arithmetic(OpCode::sub, "sub", "x - y"),
    comparison(OpCode::equal, "equal", "x == y", kBinaryNumber, Trait::commutative),
    comparison(OpCode::greater, "greater", "x > y"),
    comparison(OpCode::greater_equal, "greater_equal", "x >= y"),
    comparison(OpCode::less, "less", "x < y"),
    comparison(OpCode::less_equal, "less_equal", "x <= y"),
    comparison(OpCode::logical_and, "logical_and", "true where x and y are", kBinaryBool,
               Trait::commutative),
    comparison(OpCode::logical_or, "logical_or", "true where x or y is", kBinaryBool,
               Trait::commutative),
    comparison(OpCode::logical_xor, "logical_xor", "true where exactly one of x and y is",
               kBinaryBool, Trait::commutative),
    comparison(OpCode::not_equal, "not_equal", "x != y", kBinaryNumber, Trait::commutative),
};

// --- Three. ---

inline constexpr Param kSelectParams[] = {
    in("cond", kBool),
    in("a", 'T', kNumberOrBool),
    in("b", 'T', kNumberOrBool),
};
inline constexpr Signature kSelect[] = {{Opset::ios15, kSelectParams}};

inline constexpr OpInfo kSelectOps[] = {
    {.code = OpCode::select,
     .name = "select",
     .family = "select",
     .summary = "a where cond is true and b elsewhere; all three broadcast",
     .signatures = kSelect,
     .traits = Trait::elementwise,
     .infer = infer_select},
};

}  // namespace milgen::table
