// Rows of the op table: normalization.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

// Until ios17 every parameter has x's dtype; from then on they share one of their own.
inline constexpr Param kBatchNormIos15[] = {
    in("x", 'T', kFloat),
    fixed("mean", 'T', kFloat),
    fixed("variance", 'T', kFloat),
    opt(fixed("gamma", 'T', kFloat)),
    opt(fixed("beta", 'T', kFloat)),
    real("epsilon", 'T', kFloat, 1e-5),
};
inline constexpr Param kBatchNormIos17[] = {
    in("x", 'T', kFloat),
    fixed("mean", 'U', kFloat),
    fixed("variance", 'U', kFloat),
    opt(fixed("gamma", 'U', kFloat)),
    opt(fixed("beta", 'U', kFloat)),
    real("epsilon", 'U', kFloat, 1e-5),
};
inline constexpr Signature kBatchNorm[] = {
    {Opset::ios15, kBatchNormIos15},
    {Opset::ios17, kBatchNormIos17},
};

inline constexpr Param kInstanceNormIos15[] = {
    in("x", 'T', kFloat),
    opt(fixed("gamma", 'T', kFloat)),
    opt(fixed("beta", 'T', kFloat)),
    real("epsilon", 'T', kFloat, 1e-5),
};
inline constexpr Param kInstanceNormIos17[] = {
    in("x", 'T', kFloat),
    opt(fixed("gamma", 'U', kFloat)),
    opt(fixed("beta", 'U', kFloat)),
    real("epsilon", 'U', kFloat, 1e-5),
};
inline constexpr Signature kInstanceNorm[] = {
    {Opset::ios15, kInstanceNormIos15},
    {Opset::ios17, kInstanceNormIos17},
};

inline constexpr Param kL2NormIos15[] = {
    in("x", 'T', kFloat),
    real("epsilon", 'T', kFloat, 1e-6),
};
inline constexpr Param kL2NormIos17[] = {
    in("x", 'T', kFloat),
    real("epsilon", 'U', kFloat, 1e-6),
};
inline constexpr Signature kL2Norm[] = {
    {Opset::ios15, kL2NormIos15},
    {Opset::ios17, kL2NormIos17},
};

inline constexpr Param kLayerNormIos15[] = {
    in("x", 'T', kFloat),
    integers("axes", rule_of(DefaultKind::all_axes)),
    opt(fixed("gamma", 'T', kFloat)),
    opt(fixed("beta", 'T', kFloat)),
    real("epsilon", 'T', kFloat, 1e-5),
};
inline constexpr Param kLayerNormIos17[] = {
    in("x", 'T', kFloat),
    integers("axes", rule_of(DefaultKind::all_axes)),
    opt(fixed("gamma", 'U', kFloat)),
    opt(fixed("beta", 'U', kFloat)),
    real("epsilon", 'U', kFloat, 1e-5),
};
inline constexpr Signature kLayerNorm[] = {
    {Opset::ios15, kLayerNormIos15},
    {Opset::ios17, kLayerNormIos17},
};

inline constexpr Param kLocalResponseNormIos15[] = {
    in("x", 'T', kFloat),
    integer("size"),
    real("alpha", 'T', kFloat, 1e-4),
    real("beta", 'T', kFloat, 0.75),
    real("k", 'T', kFloat, 1.0),
};
inline constexpr Param kLocalResponseNormIos17[] = {
    in("x", 'T', kFloat),
    integer("size"),
    real("alpha", 'U', kFloat, 1e-4),
    real("beta", 'U', kFloat, 0.75),
    real("k", 'U', kFloat, 1.0),
};
inline constexpr Signature kLocalResponseNorm[] = {
    {Opset::ios15, kLocalResponseNormIos15},
    {Opset::ios17, kLocalResponseNormIos17},
};

inline constexpr OpInfo kNormalizationOps[] = {
    {.code = OpCode::batch_norm,
     .name = "batch_norm",
     .family = "normalization",
     .summary = "gamma * (x - mean) / sqrt(variance + epsilon) + beta, all per channel (dim 1)",
     .signatures = kBatchNorm,
     .infer = infer_batch_norm},
    {.code = OpCode::instance_norm,
     .name = "instance_norm",
     .family = "normalization",
     .summary = "batch_norm with the statistics of each image and channel's own spatial dims",
     .signatures = kInstanceNorm,
     .infer = infer_instance_norm},
    {.code = OpCode::l2_norm,
     .name = "l2_norm",
     .family = "normalization",
     .summary = "x / sqrt(sum of x * x + epsilon), the sum over the last three dims",
     .signatures = kL2Norm,
     .infer = infer_l2_norm},
    {.code = OpCode::layer_norm,
     .name = "layer_norm",
     .family = "normalization",
     .summary = "x brought to mean 0 and variance 1 over axes, then times gamma, plus beta",
     .signatures = kLayerNorm,
     .infer = infer_layer_norm},
    {.code = OpCode::local_response_norm,
     .name = "local_response_norm",
     .family = "normalization",
     .summary = "x / (k + alpha / size * sum of squares of size channels around it)^beta",
     .signatures = kLocalResponseNorm,
     .infer = infer_local_response_norm},
};

}  // namespace milgen::table
