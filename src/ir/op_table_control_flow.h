// Rows of the op table: constants, blocks, lists, states and what ends a classifier.
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

inline constexpr Param kConstParams[] = {
    known(of_kind(ParamKind::any, "val")),
};
inline constexpr Signature kConst[] = {{Opset::ios15, kConstParams}};

inline constexpr Param kCondParams[] = {
    in("pred", kBool),
    of_kind(ParamKind::block, "_true_fn"),
    of_kind(ParamKind::block, "_false_fn"),
};
inline constexpr Signature kCond[] = {{Opset::ios15, kCondParams}};

inline constexpr Param kWhileLoopParams[] = {
    of_kind(ParamKind::block, "_cond"),
    of_kind(ParamKind::block, "_body"),
    tuple("loop_vars"),
};
inline constexpr Signature kWhileLoop[] = {{Opset::ios15, kWhileLoopParams}};

inline constexpr Param kMakeListParams[] = {
    with(in("init_length", kInt32), whole(1)),
    boolean("dynamic_length", true),
    tuple("elem_shape"),
    text("dtype", "fp16 fp32 int32 bool", "fp32"),
};
inline constexpr Signature kMakeList[] = {{Opset::ios15, kMakeListParams}};

inline constexpr Param kListLengthParams[] = {of_kind(ParamKind::list, "ls")};
inline constexpr Signature kListLength[] = {{Opset::ios15, kListLengthParams}};

inline constexpr Param kListReadParams[] = {of_kind(ParamKind::list, "ls"), in("index", kInt32)};
inline constexpr Signature kListRead[] = {{Opset::ios15, kListReadParams}};

inline constexpr Param kListWriteParams[] = {
    of_kind(ParamKind::list, "ls"),
    in("index", kInt32),
    in("value", 'T', kNumberOrBool),
};
inline constexpr Signature kListWrite[] = {{Opset::ios15, kListWriteParams}};

inline constexpr Param kListGatherParams[] = {
    of_kind(ParamKind::list, "ls"),
    in("indices", kInt32),
};
inline constexpr Signature kListGather[] = {{Opset::ios15, kListGatherParams}};

inline constexpr Param kListScatterParams[] = {
    of_kind(ParamKind::list, "ls"),
    in("indices", kInt32),
    in("value", 'T', kNumberOrBool),
};
inline constexpr Signature kListScatter[] = {{Opset::ios15, kListScatterParams}};

constexpr OpInfo list_op(OpCode code, std::string_view name, std::span<const Signature> signatures,
                         void (*infer)(InferContext&), std::string_view summary) {
  return {.code = code,
          .name = name,
          .family = "control_flow",
          .summary = summary,
          .signatures = signatures,
          .result_dtype = ResultDType::inferred,
          .traits = Trait::own_dsl,
          .infer = infer};
}

inline constexpr OpInfo kControlFlowOps[] = {
    {.code = OpCode::cond,
     .name = "cond",
     .family = "control_flow",
     .summary = "the results of the first block when pred is true, of the second otherwise",
     .signatures = kCond,
     .results = ResultCount::by_inference,
     .result_dtype = ResultDType::inferred,
     .traits = Trait::own_dsl,
     .infer = infer_cond},
    {.code = OpCode::const_,
     .name = "const",
     .family = "control_flow",
     .summary = "a value that stands in the program or in its weight file",
     .signatures = kConst,
     .result_dtype = ResultDType::inferred,
     .traits = Trait::no_dsl,
     .note = "made by the functions that take a value: constant, scalar, weight",
     .infer = nullptr},
    list_op(OpCode::list_gather, "list_gather", kListGather, infer_list_gather,
            "the elements of ls at indices, stacked along a new first dim"),
    list_op(OpCode::list_length, "list_length", kListLength, infer_list_length,
            "how many elements ls has"),
    list_op(OpCode::list_read, "list_read", kListRead, infer_list_read,
            "the element of ls at index"),
    list_op(OpCode::list_scatter, "list_scatter", kListScatter, infer_list_scatter,
            "ls with the slices of value put in at indices"),
    list_op(OpCode::list_write, "list_write", kListWrite, infer_list_write,
            "ls with value put in at index"),
    list_op(OpCode::make_list, "make_list", kMakeList, infer_make_list,
            "a new list of tensors that all have elem_shape"),
    {.code = OpCode::while_loop,
     .name = "while_loop",
     .family = "control_flow",
     .summary = "the loop variables after the body has run for as long as the first block is true",
     .signatures = kWhileLoop,
     .results = ResultCount::by_inference,
     .result_dtype = ResultDType::inferred,
     .traits = Trait::own_dsl,
     .infer = infer_while_loop},
};

// --- States. ---

inline constexpr Param kReadStateParams[] = {of_kind(ParamKind::state, "input")};
inline constexpr Signature kReadState[] = {{Opset::ios18, kReadStateParams}};

inline constexpr Param kCoremlUpdateStateParams[] = {
    of_kind(ParamKind::state, "state"),
    in("value", 'T', kAnyData),
};
inline constexpr Signature kCoremlUpdateState[] = {{Opset::ios18, kCoremlUpdateStateParams}};

inline constexpr Param kWriteStateParams[] = {
    of_kind(ParamKind::state, "input"),
    in("data", DTypeSet{}),
};
inline constexpr Signature kWriteState[] = {{Opset::ios18, kWriteStateParams}};

inline constexpr OpInfo kStateOps[] = {
    {.code = OpCode::coreml_update_state,
     .name = "coreml_update_state",
     .family = "state",
     .summary = "value, after it has been stored in state",
     .signatures = kCoremlUpdateState,
     .traits = Trait::side_effect | Trait::own_dsl,
     .note = "compiled programs have write_state, and read_state where the result is used",
     .infer = infer_coreml_update_state},
    {.code = OpCode::read_state,
     .name = "read_state",
     .family = "state",
     .summary = "what the state holds at this point of the program",
     .signatures = kReadState,
     .result_dtype = ResultDType::inferred,
     .traits = Trait::own_dsl,
     .infer = infer_read_state},
    {.code = OpCode::write_state,
     .name = "write_state",
     .family = "state",
     .summary = "stores data in the state; it has no result",
     .signatures = kWriteState,
     .results = ResultCount::none,
     .result_dtype = ResultDType::inferred,
     .traits = Trait::side_effect | Trait::own_dsl,
     .infer = infer_write_state},
};

// --- Classifiers. ---

inline constexpr Param kClassifyParams[] = {
    in("probabilities", kFp32),
    known(of_kind(ParamKind::list, "classes")),
};
inline constexpr Signature kClassify[] = {{Opset::ios15, kClassifyParams}};

inline constexpr OpInfo kClassifyOps[] = {
    {.code = OpCode::classify,
     .name = "classify",
     .family = "classify",
     .summary = "the most likely of classes, and a dictionary of their probabilities",
     .signatures = kClassify,
     .results = ResultCount::two,
     .result_dtype = ResultDType::inferred,
     .traits = Trait::own_dsl,
     .note = "its second result is a dictionary; classes is written in place as a list",
     .infer = infer_classify},
};

}  // namespace milgen::table
