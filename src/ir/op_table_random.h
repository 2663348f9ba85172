// Rows of the op table: random numbers. A seed of -1 draws differently each time.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

inline constexpr Param kRandomBernoulliParams[] = {
    extents("shape"),
    real("prob", 'T', kFloat, 0.5),
    integer("seed", whole(-1)),
};
inline constexpr Signature kRandomBernoulli[] = {{Opset::ios15, kRandomBernoulliParams}};

inline constexpr Param kRandomCategoricalParams[] = {
    in("x", 'T', kFloat),
    text("mode", "logits probs", "logits"),
    integer("size", whole(1)),
    integer("seed", whole(-1)),
};
inline constexpr Signature kRandomCategorical[] = {{Opset::ios15, kRandomCategoricalParams}};

inline constexpr Param kRandomNormalParams[] = {
    extents("shape"),
    real("mean", 'T', kFloat, 0.0),
    real("stddev", 'T', kFloat, 1.0),
    integer("seed", whole(-1)),
};
inline constexpr Signature kRandomNormal[] = {{Opset::ios15, kRandomNormalParams}};

inline constexpr Param kRandomUniformParams[] = {
    extents("shape"),
    real("low", 'T', kFloat, 0.0),
    real("high", 'T', kFloat, 1.0),
    integer("seed", whole(-1)),
};
inline constexpr Signature kRandomUniform[] = {{Opset::ios15, kRandomUniformParams}};

inline constexpr OpInfo kRandomOps[] = {
    {.code = OpCode::random_bernoulli,
     .name = "random_bernoulli",
     .family = "random",
     .summary = "1 with probability prob and 0 otherwise, drawn for each element",
     .signatures = kRandomBernoulli,
     .traits = Trait::random,
     .infer = infer_random_bernoulli},
    {.code = OpCode::random_categorical,
     .name = "random_categorical",
     .family = "random",
     .summary = "size class indices drawn by the logits or probabilities in x's last dim",
     .signatures = kRandomCategorical,
     .traits = Trait::random,
     .infer = infer_random_categorical},
    {.code = OpCode::random_normal,
     .name = "random_normal",
     .family = "random",
     .summary = "numbers of the normal distribution with this mean and stddev",
     .signatures = kRandomNormal,
     .traits = Trait::random,
     .infer = infer_random_normal},
    {.code = OpCode::random_uniform,
     .name = "random_uniform",
     .family = "random",
     .summary = "numbers that are equally likely anywhere from low up to high",
     .signatures = kRandomUniform,
     .traits = Trait::random,
     .infer = infer_random_uniform},
};

}  // namespace milgen::table
