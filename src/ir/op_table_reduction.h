// Rows of the op table: reductions over axes.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

inline constexpr Param kReduceParams[] = {
    in("x", 'T', kNumber),
    integers("axes", absent()),
    boolean("keep_dims", false),
};
inline constexpr Signature kReduce[] = {{Opset::ios15, kReduceParams}};

inline constexpr Param kReduceArgIos15[] = {
    in("x", 'T', kNumber),
    integer("axis", whole(-1)),
    boolean("keep_dims", false),
};
inline constexpr Param kReduceArgIos17[] = {
    in("x", 'T', kNumber),
    integer("axis", whole(-1)),
    boolean("keep_dims", false),
    result_dtype(any_case(text("output_dtype", "int32 uint16", "int32"))),
};
inline constexpr Signature kReduceArg[] = {
    {Opset::ios15, kReduceArgIos15},
    {Opset::ios17, kReduceArgIos17},
};

constexpr OpInfo reduction(OpCode code, std::string_view name, std::string_view summary) {
  return {.code = code,
          .name = name,
          .family = "reduction",
          .summary = summary,
          .signatures = kReduce,
          .infer = infer_reduce};
}

constexpr OpInfo arg_reduction(OpCode code, std::string_view name, std::string_view summary) {
  return {.code = code,
          .name = name,
          .family = "reduction",
          .summary = summary,
          .signatures = kReduceArg,
          .result_dtype = ResultDType::parameter,
          .infer = infer_reduce_arg};
}

inline constexpr OpInfo kReductionOps[] = {
    arg_reduction(OpCode::reduce_argmax, "reduce_argmax", "where along axis the maximum stands"),
    arg_reduction(OpCode::reduce_argmin, "reduce_argmin", "where along axis the minimum stands"),
    reduction(OpCode::reduce_l1_norm, "reduce_l1_norm", "sum of |x| over axes"),
    reduction(OpCode::reduce_l2_norm, "reduce_l2_norm", "sqrt of the sum of x * x over axes"),
    reduction(OpCode::reduce_log_sum, "reduce_log_sum", "natural logarithm of the sum over axes"),
    reduction(OpCode::reduce_log_sum_exp, "reduce_log_sum_exp",
              "natural logarithm of the sum of exp(x) over axes"),
    reduction(OpCode::reduce_max, "reduce_max", "greatest element over axes"),
    reduction(OpCode::reduce_mean, "reduce_mean", "arithmetic mean over axes"),
    reduction(OpCode::reduce_min, "reduce_min", "smallest element over axes"),
    reduction(OpCode::reduce_prod, "reduce_prod", "product of the elements over axes"),
    reduction(OpCode::reduce_sum, "reduce_sum", "sum of the elements over axes"),
    reduction(OpCode::reduce_sum_square, "reduce_sum_square", "sum of x * x over axes"),
};

}  // namespace milgen::table
