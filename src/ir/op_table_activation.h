// Rows of the op table: activation functions.
#pragma once

#include "ir/op_table.h"
#include "ir/op_table_elementwise.h"

namespace milgen::table {

// Until ios17 alpha and beta have x's dtype; from then on a dtype of their own.
inline constexpr Param kAlphaIos15[] = {in("x", 'T', kFloat), real("alpha", 'T', kFloat)};
inline constexpr Param kAlphaIos17[] = {in("x", 'T', kFloat), real("alpha", 'U', kFloat)};
inline constexpr Signature kAlpha[] = {{Opset::ios15, kAlphaIos15}, {Opset::ios17, kAlphaIos17}};

inline constexpr Param kAlphaBetaIos15[] = {
    in("x", 'T', kFloat),
    real("alpha", 'T', kFloat),
    real("beta", 'T', kFloat),
};
inline constexpr Param kAlphaBetaIos17[] = {
    in("x", 'T', kFloat),
    real("alpha", 'U', kFloat),
    real("beta", 'U', kFloat),
};
inline constexpr Signature kAlphaBeta[] = {
    {Opset::ios15, kAlphaBetaIos15},
    {Opset::ios17, kAlphaBetaIos17},
};

inline constexpr Param kGeluParams[] = {
    in("x", 'T', kFloat),
    text("mode", "EXACT TANH_APPROXIMATION SIGMOID_APPROXIMATION", "EXACT"),
};
inline constexpr Signature kGelu[] = {{Opset::ios15, kGeluParams}};

inline constexpr Param kPreluIos15[] = {in("x", 'T', kFloat), fixed("alpha", 'T', kFloat)};
inline constexpr Param kPreluIos17[] = {in("x", 'T', kFloat), fixed("alpha", 'U', kFloat)};
inline constexpr Signature kPrelu[] = {{Opset::ios15, kPreluIos15}, {Opset::ios17, kPreluIos17}};

inline constexpr Param kSoftplusParametricIos15[] = {
    in("x", 'T', kFloat),
    fixed("alpha", 'T', kFloat),
    fixed("beta", 'T', kFloat),
};
inline constexpr Param kSoftplusParametricIos17[] = {
    in("x", 'T', kFloat),
    fixed("alpha", 'U', kFloat),
    fixed("beta", 'U', kFloat),
};
inline constexpr Signature kSoftplusParametric[] = {
    {Opset::ios15, kSoftplusParametricIos15},
    {Opset::ios17, kSoftplusParametricIos17},
};

inline constexpr Param kSoftmaxParams[] = {in("x", 'T', kFloat), integer("axis", whole(-1))};
inline constexpr Signature kSoftmax[] = {{Opset::ios15, kSoftmaxParams}};

constexpr OpInfo activation(OpCode code, std::string_view name,
                            std::span<const Signature> signatures, std::string_view summary) {
  return {.code = code,
          .name = name,
          .family = "activation",
          .summary = summary,
          .signatures = signatures,
          .traits = Trait::elementwise,
          .infer = infer_like_x};
}

inline constexpr OpInfo kActivationOps[] = {
    activation(OpCode::clamped_relu, "clamped_relu", kAlphaBeta,
               "leaky_relu with slope alpha, never above beta"),
    activation(OpCode::elu, "elu", kAlpha, "x above zero, alpha * (exp(x) - 1) below"),
    activation(OpCode::gelu, "gelu", kGelu, "x times the normal distribution function of x"),
    activation(OpCode::leaky_relu, "leaky_relu", kAlpha, "x above zero, alpha * x below"),
    activation(OpCode::linear_activation, "linear_activation", kAlphaBeta, "alpha * x + beta"),
    activation(OpCode::relu, "relu", kUnaryFloat, "the greater of x and 0"),
    activation(OpCode::relu6, "relu6", kUnaryFloat, "x, held between 0 and 6"),
    activation(OpCode::scaled_tanh, "scaled_tanh", kAlphaBeta, "alpha * tanh(beta * x)"),
    activation(OpCode::sigmoid, "sigmoid", kUnaryFloat, "1 / (1 + exp(-x))"),
    activation(OpCode::sigmoid_hard, "sigmoid_hard", kAlphaBeta,
               "alpha * x + beta, held between 0 and 1"),
    activation(OpCode::silu, "silu", kUnaryFloat, "x / (1 + exp(-x))"),
    activation(OpCode::softplus, "softplus", kUnaryFloat, "log(exp(x) + 1)"),
    activation(OpCode::softsign, "softsign", kUnaryFloat, "x / (|x| + 1)"),
    activation(OpCode::thresholded_relu, "thresholded_relu", kAlpha, "x from alpha on, 0 below it"),
    {.code = OpCode::prelu,
     .name = "prelu",
     .family = "activation",
     .summary = "leaky_relu whose slope alpha is per channel, the channels being dim 1",
     .signatures = kPrelu,
     .infer = infer_prelu},
    {.code = OpCode::softplus_parametric,
     .name = "softplus_parametric",
     .family = "activation",
     .summary = "alpha * log(exp(beta * x) + 1), alpha and beta per channel (dim 1)",
     .signatures = kSoftplusParametric,
     .infer = infer_softplus_parametric},
    {.code = OpCode::softmax,
     .name = "softmax",
     .family = "activation",
     .summary = "exp(x) divided by its sum along axis",
     .signatures = kSoftmax,
     .infer = infer_softmax},
};

}  // namespace milgen::table
